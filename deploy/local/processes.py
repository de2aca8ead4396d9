"""Background processes under a home folder: started once, found again after any crash, stopped with care.

A process is known by pid and start time, never by pid alone. Before one is spawned, its record is written as an
intent and its environment gets a mark (`GIGZ_PROCESS=HOME:NAME`); whoever dies between spawning and recording
leaves a process that the mark finds again. So there is one of each name, whatever was killed.

    home/run/NAME.json   record: pid, create_time (psutil, s since 1970), argv, started_at, address, stop_signal
    home/logs/NAME.log   its stdout and stderr; NAME.log.1 is the one before, from 10 MB on

Starting and stopping are for one caller at a time: hold `deploy.local.lock.exclusive(home)`.

Errors: ProcessFailed (`run`: it ended with another code than 0, or too late).
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

MARK = "GIGZ_PROCESS"
LOG_LIMIT_BYTES = 10_000_000
LOG_HEADER = "==== started at "
SAME_START_S = 0.1
"""psutil derives start times from the boot time, which moves when the clock is slewed. After a larger step a process
no longer matches its record; its mark still finds it."""


class ProcessFailed(Exception):
    """A process that was to run to its end did not end well. The message has its last log lines."""


@dataclass(frozen=True)
class Process:
    """One background process, as its record tells it."""

    name: str
    argv: tuple[str, ...]
    started_at: datetime
    pid: int = 0
    """0: an intent, spawned perhaps, not recorded."""
    create_time: float = 0.0
    address: str = field(default="", repr=False)
    """URL where it listens, credentials included; empty when it does not."""
    stop_signal: str = "SIGTERM"

    def is_alive(self) -> bool:
        """True while this very process runs; a zombie, or another process with its pid, is not it."""
        return self.handle() is not None

    def handle(self) -> psutil.Process | None:
        """The live process, or None."""
        if self.pid <= 0:
            return None
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.create_time) > SAME_START_S:
                return None
            if process.status() == psutil.STATUS_ZOMBIE:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(self.pid, os.WNOHANG)  # ours when this process spawned it: reap it
                return None
        except psutil.NoSuchProcess:
            return None
        return process

    def wait(self, timeout_s: float) -> None:
        """Until it is dead, or the time is over. A zombie that its parent leaves lying is dead, unlike to psutil."""
        deadline = time.monotonic() + timeout_s
        while self.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)

    def memory(self) -> int:
        """Resident bytes of it and its descendants; pages they share count for each."""
        total = 0
        handle = self.handle()
        if handle is not None:
            with contextlib.suppress(psutil.Error):
                for process in (handle, *handle.children(recursive=True)):
                    with contextlib.suppress(psutil.Error):
                        total += process.memory_info().rss
        return total


class Processes:
    """The processes of one home folder."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        address: str = "",
        stop_signal: str = "SIGTERM",
    ) -> Process:
        """Spawn `argv` in a session of its own, with the home folder as its working directory.

        When one of that name lives already, it is returned and nothing is spawned. OSError when argv[0] cannot run.
        """
        living = self.find(name)
        if living is not None:
            return living
        self.sweep(name)
        process = Process(name, tuple(argv), datetime.now(UTC), address=address, stop_signal=stop_signal)
        self._write(process)
        with self._open_log(name) as log:
            log.write(f"{LOG_HEADER}{process.started_at.isoformat()}\n".encode())
            log.flush()
            spawned = subprocess.Popen(  # noqa: S603 - argv comes from this repository, no shell
                argv,
                env={**environment, MARK: self._mark(name)},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        spawned.returncode = 0  # it is meant to outlive us and is watched by pid; Popen would warn of it
        try:
            process = replace(process, pid=spawned.pid, create_time=psutil.Process(spawned.pid).create_time())
        except psutil.NoSuchProcess:
            process = replace(process, pid=spawned.pid)
        self._write(process)
        return process

    def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        timeout_s: float,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Run `argv` to its end. One left over from an interrupted run is stopped first. ProcessFailed."""
        self.stop(name, timeout_s=0)
        process = self.start(name, argv, environment=environment)
        deadline = time.monotonic() + timeout_s
        while True:
            ended, status = os.waitpid(process.pid, os.WNOHANG)
            if ended:
                break
            if time.monotonic() > deadline:
                self.stop(name, timeout_s=0)
                raise ProcessFailed(f"{name} did not end within {timeout_s:.0f} s; last lines:\n{self.tail(name)}")
            pause(0.02)
        self._record_path(name).unlink(missing_ok=True)
        if status != 0:
            code = os.waitstatus_to_exitcode(status)
            raise ProcessFailed(f"{name} ended with code {code}; last lines:\n{self.tail(name)}")

    def find(self, name: str) -> Process | None:
        """The living process of that name, or None. One without a record is found by its mark and recorded."""
        process = self.record(name)
        if process is not None and process.is_alive():
            return process
        for candidate in self._marked(name):
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getsid(candidate.pid) != candidate.pid:
                    continue  # a child of the one we spawned
                create_time = candidate.create_time()
                found = process or Process(name, tuple(candidate.cmdline()), datetime.fromtimestamp(create_time, UTC))
                found = replace(found, pid=candidate.pid, create_time=create_time)
                self._write(found)
                return found
        return None

    def stop(self, name: str, *, timeout_s: float = 20.0) -> bool:
        """End it by its stop signal, after `timeout_s` by SIGKILL with its children; True when there was one."""
        process = self.find(name)
        handle = process.handle() if process else None
        if process is not None and handle is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                if timeout_s > 0:
                    handle.send_signal(signal.Signals[process.stop_signal])
                    process.wait(timeout_s)
                if process.is_alive():
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(process.pid, signal.SIGKILL)  # it leads its session, so its group has its number
                    process.wait(10)
        self.sweep(name)
        self._record_path(name).unlink(missing_ok=True)
        return handle is not None

    def sweep(self, name: str) -> None:
        """Kill what a dead process of that name left behind: its children, known by the mark they inherited."""
        orphans = list(self._marked(name))
        for orphan in orphans:
            with contextlib.suppress(psutil.Error):
                orphan.kill()
        wait_for_end(orphans, 5)

    def names(self) -> list[str]:
        """Names with a record, dead or alive, sorted."""
        return sorted(path.stem for path in (self.home / "run").glob("*.json"))

    def list(self) -> "list[Process]":
        """Every recorded process, dead or alive, by name."""
        found = (self.find(name) or self.record(name) for name in self.names())
        return [process for process in found if process is not None]

    def record(self, name: str) -> Process | None:
        """What is written of it, dead or alive; None when nothing readable is."""
        try:
            content: dict[str, Any] = json.loads(self._record_path(name).read_text(encoding="utf-8"))
            return Process(
                **{
                    **content,
                    "argv": tuple(content["argv"]),
                    "started_at": datetime.fromisoformat(content["started_at"]),
                }
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None  # an unreadable record is no record: the mark finds the process

    def log_path(self, name: str) -> Path:
        """Where its output goes."""
        return self.home / "logs" / f"{name}.log"

    def tail(self, name: str, lines: int = 15) -> str:
        """Its last lines of output since it was started last."""
        try:
            with self.log_path(name).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 20_000))
                text = log.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        _, _, latest = ("\n" + text).rpartition("\n" + LOG_HEADER)
        return "\n".join(latest.splitlines()[1 if LOG_HEADER in text else 0 :][-lines:])

    def _mark(self, name: str) -> str:
        return f"{self.home}:{name}"

    def _marked(self, name: str) -> Iterator[psutil.Process]:
        mark = self._mark(name)
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                    yield process

    def _record_path(self, name: str) -> Path:
        return self.home / "run" / f"{name}.json"

    def _write(self, process: Process) -> None:
        content = {**asdict(process), "started_at": process.started_at.isoformat()}
        write_private(self._record_path(process.name), json.dumps(content, indent=1))

    def _open_log(self, name: str) -> Any:
        path = self.log_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size > LOG_LIMIT_BYTES:
                path.replace(path.with_suffix(".log.1"))
        return path.open("ab")


def wait_for_end(processes: Sequence[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Wait until all have ended, zombies counting as ended (psutil's own waiting does not); those that have not."""
    deadline = time.monotonic() + timeout_s
    while True:
        left = [process for process in processes if _runs(process)]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.02)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def write_private(path: Path, text: str) -> None:
    """Replace a file whole, readable by its owner only: a reader sees the old text or the new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)
