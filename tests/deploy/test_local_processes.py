"""Background processes: one of each name, whatever was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from deploy.local.processes import Processes, ProcessFailed

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(tmp_path)
    yield processes
    for name in processes.names():
        processes.stop(name, timeout_s=0)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that Gigz did not start."""
    process = subprocess.Popen(SLEEP)
    yield process
    process.kill()
    process.wait()


def wait_until(condition: Callable[[], object], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def test_a_process_outlives_its_starter_and_another_finds_it(processes: Processes) -> None:
    script = (
        "import sys; from pathlib import Path; from deploy.local.processes import Processes;"
        f"print(Processes(Path(sys.argv[1])).start('a', {SLEEP!r}, environment={{}}).pid)"
    )
    out = subprocess.run(
        [sys.executable, "-c", script, str(processes.home)], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    found = processes.find("a")
    assert found is not None
    assert found.pid == int(out.stdout)
    assert os.getsid(found.pid) == found.pid, "a session of its own: a terminal's ctrl-C does not reach it"


def test_starting_twice_keeps_the_first(processes: Processes) -> None:
    first = processes.start("a", SLEEP, environment=ENVIRONMENT)
    assert processes.start("a", SLEEP, environment=ENVIRONMENT) == first


def test_another_process_with_the_recorded_pid_is_not_ours(
    processes: Processes, stranger: subprocess.Popen[bytes]
) -> None:
    ours = processes.start("a", SLEEP, environment=ENVIRONMENT)
    processes.stop("a")
    processes._write(replace(ours, pid=stranger.pid, create_time=ours.create_time - 5))
    assert processes.find("a") is None
    assert not processes.stop("a")
    assert stranger.poll() is None, "a stranger was stopped"
    assert processes.names() == []


def test_a_zombie_is_dead(processes: Processes) -> None:
    process = processes.start("a", SLEEP, environment=ENVIRONMENT)
    os.kill(process.pid, signal.SIGKILL)  # nobody has waited for it
    wait_until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    assert not process.is_alive()
    assert processes.start("a", SLEEP, environment=ENVIRONMENT).pid != process.pid


@pytest.mark.parametrize("left", ["intent", "nothing", "half a record"])
def test_a_starter_killed_before_recording_leaves_a_process_that_is_found(processes: Processes, left: str) -> None:
    process = processes.start("a", SLEEP, environment=ENVIRONMENT, address="127.0.0.1:1", stop_signal="SIGINT")
    record = processes.home / "run" / "a.json"
    if left == "intent":
        processes._write(replace(process, pid=0, create_time=0.0))
    elif left == "nothing":
        record.unlink()
    else:
        record.write_text(record.read_text()[:20])
    found = processes.start("a", SLEEP, environment=ENVIRONMENT)
    assert found.pid == process.pid, "a second copy was started"
    assert found.address == ("127.0.0.1:1" if left == "intent" else "")
    assert json.loads(record.read_text())["pid"] == process.pid, "and it is recorded from now on"


def test_a_process_is_found_after_the_clock_was_set(processes: Processes) -> None:
    process = processes.start("a", SLEEP, environment=ENVIRONMENT)
    processes._write(replace(process, create_time=process.create_time + 3_600))  # as psutil would tell it now
    assert processes.find("a") == process


def test_processes_of_another_home_are_not_ours(processes: Processes, tmp_path: Path) -> None:
    processes.start("a", SLEEP, environment=ENVIRONMENT)
    other = Processes(tmp_path / "other")
    assert other.find("a") is None
    assert other.list() == []


def test_what_ignores_its_stop_signal_is_killed_with_its_children(processes: Processes) -> None:
    process = processes.start("a", [sys.executable, "-S", "-c", STUBBORN], environment=ENVIRONMENT)
    wait_until(lambda: processes.tail("a") == "ready")
    children = psutil.Process(process.pid).children()
    assert len(children) == 1
    assert processes.stop("a", timeout_s=0.2)
    assert not process.is_alive()
    wait_until(lambda: not children[0].is_running() or children[0].status() == psutil.STATUS_ZOMBIE)


def test_children_of_a_killed_process_end_before_it_starts_again(processes: Processes) -> None:
    process = processes.start("a", [sys.executable, "-S", "-c", STUBBORN], environment=ENVIRONMENT)
    wait_until(lambda: processes.tail("a") == "ready")
    (child,) = psutil.Process(process.pid).children()
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not process.is_alive())
    again = processes.start("a", SLEEP, environment=ENVIRONMENT)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert again.is_alive()


def test_a_helper_that_fails_tells_its_last_lines(processes: Processes) -> None:
    with pytest.raises(ProcessFailed, match=r"(?s)helper ended with code 3.*no such luck"):
        processes.run(
            "helper",
            [sys.executable, "-S", "-c", "print('no such luck'); raise SystemExit(3)"],
            environment={},
            timeout_s=20,
        )
    assert not processes.list()


def test_a_helper_that_hangs_is_ended(processes: Processes) -> None:
    with pytest.raises(ProcessFailed, match="did not end within"):
        processes.run("helper", SLEEP, environment={}, timeout_s=0.2)
    assert not processes.list()


def test_a_helper_left_by_a_killed_starter_is_not_run_beside_a_second(processes: Processes) -> None:
    left = processes.start("helper", SLEEP, environment=ENVIRONMENT)
    processes.run("helper", [sys.executable, "-S", "-c", ""], environment={}, timeout_s=20)
    assert not left.is_alive()


def test_the_tail_is_of_the_last_start_only(processes: Processes) -> None:
    for word in ("old", "new"):
        processes.run("helper", [sys.executable, "-S", "-c", f"print('{word}')"], environment={}, timeout_s=20)
    assert processes.tail("helper") == "new"
    assert "old" in processes.log_path("helper").read_text()


def test_a_long_log_is_put_aside(processes: Processes) -> None:
    path = processes.log_path("helper")
    path.parent.mkdir()
    with path.open("wb") as log:
        log.truncate(10_000_001)
    processes.run("helper", [sys.executable, "-S", "-c", "print('new')"], environment={}, timeout_s=20)
    assert path.stat().st_size < 1_000
    assert path.with_suffix(".log.1").stat().st_size == 10_000_001


def test_records_are_for_their_owner_only(processes: Processes) -> None:
    processes.start("a", SLEEP, environment=ENVIRONMENT, address="postgresql://gigz:secret@127.0.0.1:1/gigz")
    assert (processes.home / "run" / "a.json").stat().st_mode & 0o777 == 0o600
    assert "secret" not in repr(processes.find("a"))


def test_a_program_that_is_not_there_is_an_error(processes: Processes) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        processes.start("a", ["/no-such-program"], environment=ENVIRONMENT)
    assert processes.find("a") is None
