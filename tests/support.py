"""What conftest files and tests share."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy.local import stack
from deploy.settings import Settings, load

ROOT = Path(__file__).resolve().parents[1]
ENGINES = ("kafka", "postgres", "clickhouse", "meilisearch")
ANY_FREE_PORTS = {f"{name}_port": 0 for name in (*ENGINES, "kafka_controller", "api", "demo_site")}
"""Settings with which any number of stacks can run side by side."""
CONNECT = socket.socket.connect


@contextlib.contextmanager
def open_network() -> Iterator[None]:
    """Let connections out for a moment: the engines' jars come from a package registry, once for a user."""
    guarded = socket.socket.connect
    socket.socket.connect = CONNECT  # type: ignore[method-assign]
    try:
        yield
    finally:
        socket.socket.connect = guarded  # type: ignore[method-assign]


@contextlib.contextmanager
def running_engines(prefix: str, **changed: object) -> Iterator[Settings]:
    """The engines on free ports in a folder of their own, stopped and removed at the end.

    A helper process cleans up when this one is killed.
    """
    home = Path(tempfile.mkdtemp(prefix=prefix)).resolve()
    settings = load({"home": home, **ANY_FREE_PORTS, **changed})
    reaper = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "reaper.py"), str(os.getpid()), str(home)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        with open_network():
            stack.up(settings)
        yield settings
    finally:
        stack.down(settings)
        reaper.terminate()
        reaper.wait()
        shutil.rmtree(home, ignore_errors=True)
