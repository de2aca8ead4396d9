"""One `up` or `down` at a time, and a lock that dies with its holder."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.local.lock import LOCK_FILE, Locked, exclusive, read_holder

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import os, sys, time
from pathlib import Path
from deploy.local.lock import exclusive
with exclusive(Path(sys.argv[1]), "gigz up"):
    exec(sys.argv[2])
    print("held", flush=True)
    time.sleep(60)
"""


def hold(home: Path, before: str = "") -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home), before],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def end(holder: "subprocess.Popen[str]") -> None:
    holder.kill()
    holder.communicate()


def test_a_held_lock_names_its_holder_and_the_remedy(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    told: list[str] = []
    try:
        with (
            pytest.raises(Locked, match=rf"`gigz up` \(pid {holder.pid}, since .*\). Remedy: wait for it"),
            exclusive(tmp_path, "gigz down", wait_s=0.3, say=told.append),
        ):
            pass
    finally:
        end(holder)
    assert len(told) == 1
    assert told[0].startswith(f"waiting for `gigz up` (pid {holder.pid}")


def test_the_lock_of_a_killed_holder_is_free_and_told(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    holder.send_signal(signal.SIGKILL)
    end(holder)
    told: list[str] = []
    with exclusive(tmp_path, "gigz up", wait_s=0, say=told.append):
        pass
    assert len(told) == 1
    assert f"pid {holder.pid}" in told[0]
    assert "did not finish" in told[0]


def test_what_a_killed_holder_was_starting_is_waited_for_without_a_word(tmp_path: Path) -> None:
    holder = hold(tmp_path, before="os.fork() or (time.sleep(1.5), os._exit(0))")
    holder.kill()
    holder.wait()
    told: list[str] = []
    with exclusive(tmp_path, "gigz up", wait_s=20, say=told.append):
        pass
    holder.communicate()
    assert [f"pid {holder.pid}" in line and "did not finish" in line for line in told] == [True]


@pytest.mark.parametrize(
    ("pid", "age_s", "stale"), [(0, 0, False), (2**22 + 1, 0, True), (0, 3_600, True)], ids=["ours", "gone", "reused"]
)
def test_a_stale_lock_is_known_by_pid_and_start_time(tmp_path: Path, pid: int, age_s: float, stale: bool) -> None:
    me = psutil.Process()
    content = {"pid": pid or me.pid, "create_time": me.create_time() - age_s, "purpose": "gigz up"}
    (tmp_path / LOCK_FILE).write_text(json.dumps(content))
    holder = read_holder(tmp_path / LOCK_FILE)
    assert holder is not None
    assert holder.is_alive() is not stale
    told: list[str] = []
    with exclusive(tmp_path, "gigz up", wait_s=0, say=told.append):
        pass
    assert bool(told) is stale


def test_a_lock_that_was_given_back_tells_nothing(tmp_path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        with exclusive(tmp_path, "gigz up", wait_s=0, say=told.append):
            holder = read_holder(tmp_path / LOCK_FILE)
            assert holder is not None
            assert holder.pid == os.getpid()
        assert read_holder(tmp_path / LOCK_FILE) is None
    assert told == []


def test_an_unreadable_lock_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("{half")
    with exclusive(tmp_path, "gigz up", wait_s=0):
        pass
