"""The local stack as a whole: up, down, status.

    up       starts every engine whose address is not set, side by side, and waits until each answers its own protocol
    down     stops what runs from this home folder, Gigz's own processes first
    status   what runs, where, since when

Run twice, at once, or after a crash at any point, `up` ends with one of each. Data stay in the home folder.

Errors: StackError, SettingsError.
"""

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from deploy.local import clickhouse, kafka, meilisearch, postgres
from deploy.local.errors import StackError, StackErrors, remedy_for
from deploy.local.lock import Locked, exclusive
from deploy.local.ports import Ports
from deploy.local.processes import Process, Processes, ProcessFailed, write_private
from deploy.local.room import Engine, Progress, Room
from deploy.settings import PREFIX, STACK_FILE, Settings

ENGINES: tuple[Engine, ...] = tuple(cast(Engine, module) for module in (kafka, postgres, clickhouse, meilisearch))
LEAST_FREE_BYTES = 1_000_000_000
STOP_S = 30.0
"""Kafka writes its state down when it stops: 0.3 s as a rule, longer with much unflushed."""
LIVING_ANSWERS_S = 10.0
"""How long an engine that runs since before may keep `up` waiting until it is taken for stuck."""
LOST_PORT_TRIES = 3


@dataclass(frozen=True)
class Stack:
    """The engines that `up` answers for."""

    urls: dict[str, str] = field(repr=False)
    """Engine -> address, as in `stack.json`; PostgreSQL's with its password."""
    processes: tuple[Process, ...]


@dataclass(frozen=True)
class ProcessStatus:
    """One line of `gigz status`."""

    name: str
    state: str
    """running; died: started and gone; stopped: an engine that was not started; elsewhere: its address is set."""
    address: str = ""
    pid: int | None = None
    since: datetime | None = None
    memory_bytes: int = 0
    """Resident, with its children; pages they share count for each."""


def _silent(engine: str, what: str) -> None:
    pass


def up(settings: Settings, progress: Progress = _silent, *, lock_wait_s: float = 180.0) -> Stack:
    """Start what is not there, wait until it answers, write the addresses to the home folder. StackError.

    When an engine fails, the others are still brought up and left running: the next `up` finds them.
    """
    say = _one_voice(progress)
    _prepare_home(settings.home)
    with _locked(settings.home, "gigz up", say, lock_wait_s):
        room = Room(settings, Processes(settings.home), Ports(settings), say)
        wanted = [engine for engine in ENGINES if not getattr(settings, f"{engine.NAME}_url")]
        urls: dict[str, str] = {}
        errors: list[StackError] = []
        with ThreadPoolExecutor(max(1, len(wanted))) as pool:
            tasks = {pool.submit(_bring_up, engine, room): engine for engine in wanted}
            try:
                for task in as_completed(tasks):
                    try:
                        urls[tasks[task].NAME] = task.result()
                    except StackError as error:
                        errors.append(error)
            except BaseException:
                room.given_up.set()
                raise
        if errors:
            raise errors[0] if len(errors) == 1 else StackErrors(errors)
        urls = {engine.NAME: urls[engine.NAME] for engine in wanted}
        write_private(settings.home / STACK_FILE, json.dumps({"urls": urls}, indent=1))
        found = (room.processes.find(engine.NAME) for engine in wanted)
        return Stack(urls, tuple(process for process in found if process))


def down(
    settings: Settings, progress: Progress = lambda engine, what: None, *, lock_wait_s: float = 180.0
) -> list[str]:
    """Stop every process of this home folder: Gigz's own first, then the engines. Names of those that ran. StackError.

    Data and ports stay. A process that took over a recorded pid is left alone.
    """
    home = settings.home
    if not home.exists():
        return []
    say = _one_voice(progress)
    with _locked(home, "gigz down", say, lock_wait_s):
        processes = Processes(home)
        engines = [engine.NAME for engine in ENGINES]
        others = [name for name in processes.names() if name not in engines]
        stopped: list[str] = []
        for names in (others, engines):
            with ThreadPoolExecutor(max(1, len(names))) as pool:
                ran = pool.map(lambda name: _stop(processes, name, say), names)
                stopped += [name for name, it_ran in zip(names, ran, strict=True) if it_ran]
        (home / STACK_FILE).unlink(missing_ok=True)
        return stopped


def status(settings: Settings) -> list[ProcessStatus]:
    """The engines in the stack's order, then Gigz's own processes by name."""
    processes = Processes(settings.home)
    engines = [engine.NAME for engine in ENGINES]
    lines = []
    for name in [*engines, *(name for name in processes.names() if name not in engines)]:
        elsewhere = str(getattr(settings, f"{name}_url", "")) if name in engines else ""
        process = processes.find(name) or processes.record(name)
        where = _for_people(process.address if process else elsewhere)
        if process is None:
            state = "elsewhere" if elsewhere else "stopped"
            lines.append(ProcessStatus(name, state, address=where))
        elif process.is_alive():
            lines.append(ProcessStatus(name, "running", where, process.pid, process.started_at, process.memory()))
        else:
            lines.append(ProcessStatus(name, "died", where, since=process.started_at))
    return lines


def _bring_up(engine: Engine, room: Room) -> str:
    """The engine's address, once it answers."""
    living = room.processes.find(engine.NAME)
    if living is not None:
        age = (datetime.now(UTC) - living.started_at).total_seconds()
        patience = max(LIVING_ANSWERS_S, room.settings.start_deadline_s - age)
        if living.address and _answers(engine, living.address, living, room, time.monotonic() + patience):
            room.progress(engine.NAME, f"already runs at {_for_people(living.address)}")
            return living.address
        room.progress(engine.NAME, "does not answer: starting it again")
        room.processes.stop(engine.NAME, timeout_s=LIVING_ANSWERS_S)
    for attempt in range(LOST_PORT_TRIES):
        try:
            launch = engine.launch(room)
        except ProcessFailed as error:
            raise _failure(engine, room, str(error), "") from error
        except PermissionError as error:
            raise StackError(
                engine.NAME,
                f"{error.filename} cannot be used: {error.strerror}.",
                f"set {PREFIX}HOME to a folder of your own; a stack started by root is root's to use.",
            ) from error
        except OSError as error:
            raise _failure(engine, room, str(error), "") from error
        address = _for_people(launch.url)
        room.progress(engine.NAME, f"starting at {address}")
        began = time.monotonic()
        try:
            process = room.processes.start(
                engine.NAME,
                launch.argv,
                environment=launch.environment,
                address=launch.url,
                stop_signal=launch.stop_signal,
            )
        except OSError as error:
            raise _failure(engine, room, f"{launch.argv[0]} cannot run: {error.strerror}.", "") from error
        if _answers(engine, launch.url, process, room, began + room.settings.start_deadline_s):
            room.progress(engine.NAME, f"answers at {address} after {time.monotonic() - began:.1f} s")
            return launch.url
        tail = room.processes.tail(engine.NAME)
        lost_port = "Address already in use" in tail and getattr(room.settings, engine.PORT_SETTING) == 0
        if process.is_alive():
            problem = f"does not answer at {address} within {room.settings.start_deadline_s:.0f} s."
        elif lost_port and attempt < LOST_PORT_TRIES - 1:
            continue  # another took the port between our look and the engine's
        else:
            problem = "ended while starting."
        raise _failure(engine, room, problem, tail)
    raise AssertionError


def _answers(engine: Engine, url: str, process: Process, room: Room, deadline: float) -> bool:
    """Ask until it answers; False when it died or the deadline passed."""
    while True:
        try:
            engine.probe(url)
        except Exception:  # any answer but the right one is "not yet": the log has the reason
            if not process.is_alive() or time.monotonic() > deadline:
                return False
            room.pause(0.1)
        else:
            return process.is_alive()  # else another server sits at that address


def _failure(engine: Engine, room: Room, problem: str, tail: str) -> StackError:
    log = room.processes.log_path(engine.NAME)
    otherwise = (
        f"read {log}; `gigz down` and `gigz up` begin anew; "
        f"if its data are broken, removing {room.home / engine.NAME} starts it empty."
    )
    remedy = remedy_for(f"{problem}\n{tail}", f"{PREFIX}{engine.PORT_SETTING.upper()}", otherwise)
    return StackError(engine.NAME, problem, remedy, tail)


def _stop(processes: Processes, name: str, say: Progress) -> bool:
    if processes.find(name) is not None:
        say(name, "stopping")
    stopped = processes.stop(name, timeout_s=STOP_S)
    if stopped:
        say(name, "stopped")
    return stopped


def _for_people(url: str) -> str:
    """host:port of an address; several of Kafka's stay several."""
    return url.partition("://")[2].rpartition("@")[2].partition("/")[0] if "://" in url else url


def _prepare_home(home: Path) -> None:
    try:
        # Others may pass, not list: under root, PostgreSQL runs as another user. Files with secrets are 0600.
        home.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
        # A name of its own: another `up` may be looking at the same moment.
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise StackError(
            "stack", f"{home} cannot be written: {error.strerror}.", f"set {PREFIX}HOME to a folder of your own."
        ) from error
    free = shutil.disk_usage(home).free
    if free < LEAST_FREE_BYTES:
        raise StackError(
            "stack",
            f"the disk of {home} is full: {free / 1e9:.1f} GB free, {LEAST_FREE_BYTES / 1e9:.0f} GB needed.",
            f"free some space, or set {PREFIX}HOME to a folder on another disk.",
        )


@contextmanager
def _locked(home: Path, purpose: str, say: Progress, wait_s: float) -> Iterator[None]:
    try:
        with exclusive(home, purpose, wait_s=wait_s, say=lambda what: say("stack", what)):
            yield
    except Locked as error:
        problem, _, remedy = str(error).partition(" Remedy: ")
        raise StackError("stack", problem, remedy) from error


def _one_voice(progress: Progress) -> Progress:
    lock = threading.Lock()

    def say(engine: str, what: str) -> None:
        with lock:
            progress(engine, what)

    return say
