"""What an engine gets to start with, and what it gives back."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from deploy.local.ports import Ports
from deploy.local.processes import Processes
from deploy.settings import PREFIX, Settings, environment_for

Progress = Callable[[str, str], None]
"""Called with an engine's name (or 'stack') and what happens to it now. From several threads, one at a time."""

ROOT = Path(__file__).resolve().parents[2]
"""Where the packages are: children find them without being installed, whatever their working directory."""


class Interrupted(Exception):
    """The one who asked for the stack has given up; threads that wait for engines end by this."""


@dataclass(frozen=True)
class Launch:
    """How to start one engine, and where it will listen."""

    argv: Sequence[str]
    url: str
    environment: Mapping[str, str]
    stop_signal: str = "SIGTERM"


@dataclass(frozen=True)
class Room:
    """The home folder as one `up` sees it."""

    settings: Settings
    processes: Processes
    ports: Ports
    progress: Progress
    given_up: threading.Event = field(default_factory=threading.Event)

    @property
    def home(self) -> Path:
        """The home folder."""
        return self.settings.home

    def pause(self, seconds: float) -> None:
        """Sleep, unless the whole was given up: then Interrupted."""
        if self.given_up.wait(seconds):
            raise Interrupted

    def run(self, name: str, argv: Sequence[str], *, timeout_s: float = 60.0) -> None:
        """Run a helper program of an engine to its end. ProcessFailed."""
        environment = engine_environment(self.settings)
        self.processes.run(name, argv, environment=environment, timeout_s=timeout_s, pause=self.pause)


class Engine(Protocol):
    """One of the stack's servers: a module with these functions."""

    NAME: str
    PORT_SETTING: str

    def launch(self, room: Room) -> Launch:
        """Make ready what the engine needs, once or again, and say how to start it. StackError, ProcessFailed."""
        ...

    def probe(self, url: str) -> None:
        """Ask one question in the engine's own protocol; any exception means that it does not answer yet."""
        ...


def engine_environment(settings: Settings) -> dict[str, str]:
    """This process's environment less what would set up an engine behind our back, and less our secrets."""
    foreign = (PREFIX, "PG", "MEILI_", "CLICKHOUSE_", "KAFKA_")
    return {name: value for name, value in environment_for(settings).items() if not name.startswith(foreign)}


def python_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with our packages on Python's path."""
    path = [str(ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": ":".join(path)}
