"""The API as processes of their own, on one stack, each at a free port.

    python -m tests.api.processes limits|none LEVEL

`none` counts nobody: limits are tested elsewhere, and would answer 429 to whoever asks by the thousand. The address is
the first line.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import IO

from api import main
from api.app import create_app
from deploy.logs import configure
from deploy.settings import Settings, environment_for, load
from tests.support import ROOT

END_S = 15
"""For a process to end by itself; its own grace is shorter."""


@dataclass(frozen=True)
class Running:
    """A process that answers."""

    process: subprocess.Popen[str]
    address: str
    _log: IO[bytes]

    def log(self) -> str:
        """All it has logged by now."""
        here = self._log.fileno()  # no seek: the process writes where this file stands
        return os.pread(here, os.fstat(here).st_size, 0).decode()


@contextlib.contextmanager
def running(settings: Settings, rate_limits: bool = True, level: str = "DEBUG") -> Iterator[Running]:
    """A process of the API; told to end at the end."""
    with started(settings, "tests.api.processes", "limits" if rate_limits else "none", level) as process:
        yield process


@contextlib.contextmanager
def started(settings: Settings, module: str, *arguments: str) -> Iterator[Running]:
    """A module that writes its address in its first line, then answers until SIGTERM."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=environment_for(settings.model_copy(update={"api_port": 0})),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        try:
            with process.stdout:
                one = Running(process, process.stdout.readline().strip(), log)
                if not one.address:
                    raise RuntimeError(f"{module} did not start:\n{one.log()[-2_000:]}")
                yield one
        finally:
            process.terminate()
            try:
                process.wait(timeout=END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


if __name__ == "__main__":
    counting, level = sys.argv[1:]
    mine = load()
    configure(level, "json", "api")
    main.create_app = partial(create_app, rate_limits=counting == "limits")
    main.run_api(mine, lambda address: print(address, flush=True))
