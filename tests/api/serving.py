"""The API as a process for tests: on a free port, counting nobody.

    python -m tests.api.serving

Limits are tested elsewhere; here they would answer 429 to whoever asks by the thousand. The address is the first line.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from api import main
from api.app import create_app
from deploy.logs import configure
from deploy.settings import Settings, environment_for, load
from tests.support import ROOT


@contextlib.contextmanager
def serving(settings: Settings, log: Path, module: str = "tests.api.serving", *arguments: str) -> Iterator[str]:
    """Its address, while it runs; what it logs goes into a file."""
    with log.open("ab") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=environment_for(settings.model_copy(update={"api_port": 0})),
            stdout=subprocess.PIPE,
            stderr=lines,
            text=True,
        )
    assert process.stdout is not None
    try:
        with process.stdout:
            address = process.stdout.readline().strip()
            if not address:
                raise RuntimeError(f"the API did not start:\n{log.read_text(encoding='utf-8')[-2_000:]}")
            yield address
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    mine = load()
    configure("WARNING", "json", "api")
    main.create_app = partial(create_app, rate_limits=False)
    main.run_api(mine, lambda address: print(address, flush=True))
