"""One `up` or `down` at a time for a home folder.

The lock is the kernel's (flock): it goes with its holder, however that dies. The file `up.lock` says who holds it, by
pid and start time, so that the one who waits can name the holder, and the one who comes after a crash knows of it.

Errors: Locked (held longer than one cares to wait).
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from deploy.local.processes import SAME_START_S

LOCK_FILE = "up.lock"


class Locked(Exception):
    """Another process holds the lock; the message names it and the remedy."""


@dataclass(frozen=True)
class Holder:
    """Who wrote the lock file."""

    pid: int
    create_time: float
    purpose: str

    def is_alive(self) -> bool:
        """False for a stale lock: its process is gone, or the pid is another's by now."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.create_time) <= SAME_START_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.create_time, UTC).astimezone()
        return f"`{self.purpose}` (pid {self.pid}, since {since:%Y-%m-%d %H:%M:%S})"


def read_holder(path: Path) -> Holder | None:
    """Who holds or held the lock; None when it was given back, or cannot be told."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Holder(int(content["pid"]), float(content["create_time"]), str(content["purpose"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def exclusive(
    home: Path, purpose: str, *, wait_s: float = 120.0, say: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Hold the home folder's lock, waiting up to `wait_s` for another holder. Locked.

    `say` is told when there is one to wait for, and when one died without giving the lock back.
    """
    path = home / LOCK_FILE
    with path.open("a+", encoding="utf-8") as file:
        deadline = time.monotonic() + wait_s
        told = False
        while not _take(file.fileno()):
            holder = read_holder(path)
            who = str(holder) if holder else "another process"
            if time.monotonic() > deadline:
                raise Locked(f"{home} is in use by {who}. Remedy: wait for it, or stop it.")
            # a child that a killed holder was just starting keeps the lock until it runs its own program: that passes
            if not told and (holder is None or holder.is_alive()):
                say(f"waiting for {who}")
                told = True
            time.sleep(0.1)
        before = read_holder(path)
        if before is not None and not before.is_alive():
            say(f"{before} did not finish; going on from what it left")
        me = psutil.Process()
        _write(file.fileno(), json.dumps({"pid": me.pid, "create_time": me.create_time(), "purpose": purpose}))
        try:
            yield
        finally:
            _write(file.fileno(), "")


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
