"""The API as processes of their own, on one stack."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from deploy.settings import Settings, environment_for
from tests.support import ROOT

PROGRAM = """
import functools
import sys
from api import main
from deploy.logs import configure
from deploy.settings import load
settings = load()
configure("DEBUG", "json", "api")
main.create_app = functools.partial(main.create_app, rate_limits=sys.argv[1] == "limits")
main.run_api(settings, lambda address: print(address, flush=True))
"""


@dataclass(frozen=True)
class Running:
    """A process that answers."""

    process: subprocess.Popen[str]
    address: str
    _log: IO[str]

    def log(self) -> str:
        """All it has logged by now."""
        self._log.flush()
        self._log.seek(0)
        return self._log.read()


@contextlib.contextmanager
def running(settings: Settings, rate_limits: bool = True) -> Iterator[Running]:
    """An API process at a free port, killed at the end."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "limits" if rate_limits else "none"],
            cwd=ROOT,
            env=environment_for(settings.model_copy(update={"api_port": 0})),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        try:
            with process.stdout:
                yield Running(process, process.stdout.readline().strip(), log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
