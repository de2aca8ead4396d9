"""Gigz's own processes on this machine, kept beside the engines: one of each stage, and the API."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.flow import SINKS, STREAMS, WORKER_OF
from deploy.local.processes import Process, Processes
from deploy.local.room import python_environment
from deploy.settings import Settings, environment_for

API = "api-1"
WORKERS = tuple(f"{stage}-1" for stage in (*STREAMS, "relay", *SINKS) if stage not in WORKER_OF)
SCHEDULER = "scheduler-1"
"""Starts spiders; no stage of the flow, so not one of those."""
RUNS = "runs"
"""Mark of the processes that a scheduler started: they outlive it."""
_ROOT = Path(__file__).resolve().parents[2]


class WorkerFailed(Exception):
    """A process of ours ended: names it, with its last lines and where the rest is."""


def command(*arguments: str) -> list[str]:
    """The argv of `gigz ARGUMENTS`, run by this interpreter from this checkout."""
    return [sys.executable, str(_ROOT / "gigz.py"), *arguments]


def start_worker(settings: Settings, name: str) -> Process:
    """`gigz worker STAGE --instance N`, for a name STAGE-N; the living one when there is one."""
    stage, _, instance = name.rpartition("-")
    return Processes(settings.home).start(
        name,
        command("worker", stage, "--instance", instance),
        environment=python_environment(environment_for(settings)),
    )


def start_api(settings: Settings, port: int) -> Process:
    """`gigz api` on this port."""
    return Processes(settings.home).start(
        API,
        command("api", "--port", str(port)),
        environment=_environment(settings),
        address=f"http://{settings.api_host}:{port}",
    )


def stop(settings: Settings, names: Sequence[str]) -> list[str]:
    """Stop these, all at once, gracefully; the names of those that ran."""
    processes = Processes(settings.home)
    running = [process for process in (processes.find(name) for name in names) if process is not None]
    for process in running:
        handle = process.handle()
        if handle is not None:
            handle.terminate()
    deadline = time.monotonic() + 15
    while any(process.is_alive() for process in running) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in running:
        processes.stop(process.name, timeout_s=1)
    if SCHEDULER in names:
        processes.sweep(RUNS)  # it stops its runs itself, unless it was killed
    return [process.name for process in running]


def revive(settings: Settings, name: str) -> bool:
    """Start a worker that has ended (by a crash, a kill, or its own verdict on a bad world) again; False: it runs."""
    if name == API or Processes(settings.home).find(name) is not None:
        return False
    start_worker(settings, name)
    return True


def alive(settings: Settings, names: Sequence[str]) -> None:
    """WorkerFailed when one of these has ended."""
    processes = Processes(settings.home)
    for name in names:
        process = processes.record(name)
        if process is None or not process.is_alive():
            raise WorkerFailed(f"{name} ended. Its last lines ({processes.log_path(name)}):\n{processes.tail(name)}")


def _environment(settings: Settings) -> dict[str, str]:
    return python_environment(environment_for(settings))
