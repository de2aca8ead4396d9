"""Ends a test run's engines when the run was killed: `reaper.py PID HOME`. The `stack` fixture starts and ends it."""

import contextlib
import shutil
import sys
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deploy.local.stack import down
from deploy.settings import load


def main(pid: int, home: Path) -> None:
    """Wait for the run's end, stop what it started, remove its folder."""
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait()
    if home.exists():
        down(load({"home": home}))
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
