"""The spool: what it promised is there, in order, whatever ended the process that wrote it."""

import errno
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiders.delivery import spool as spools
from spiders.delivery.spool import Spool, SpoolError

LIMIT = 10 * spools.MEGABYTE


def bodies(count: int, size: int = 10) -> list[bytes]:
    return [b"%06d" % number + b"x" * size for number in range(count)]


def all_of(spool: Spool) -> list[bytes]:
    found = spool.read(10**6, 10**9)
    return [body for _, body in found]


def reopened(folder: Path, limit: int = LIMIT) -> Spool:
    spool = Spool(folder, limit)
    spool.take_over()
    return spool


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.segment"))


def test_records_come_out_as_they_went_in_and_the_files_go_when_they_are_done(tmp_path: Path) -> None:
    spool = reopened(tmp_path / "new" / "folder")
    spool.append(bodies(300))
    assert (spool.waiting, spool.unread) == (300, 300)
    first = spool.read(100, 10**9)
    rest = spool.read(10**6, 10**9)
    assert [body for _, body in first + rest] == bodies(300)
    spool.settle([place for place, _ in first + rest])
    assert (spool.waiting, spool.size, files(spool.folder)) == (0, 0, [])
    spool.close()


def test_what_was_not_done_is_there_at_the_next_start_and_what_was_is_not(tmp_path: Path) -> None:
    spool = reopened(tmp_path)
    spool.append(bodies(10))
    taken = spool.read(6, 10**9)
    spool.settle([place for place, _ in taken[:4]])
    spool.close()
    again = reopened(tmp_path)
    assert again.waiting == 6 and list(again.contents()) == bodies(10)[4:]
    assert all_of(again) == bodies(10)[4:]


def test_a_mark_waits_for_those_before_it(tmp_path: Path) -> None:
    spool = reopened(tmp_path)
    spool.append(bodies(5))
    taken = spool.read(5, 10**9)
    spool.settle([place for place, _ in taken[1:]])
    spool.close()
    assert all_of(reopened(tmp_path)) == bodies(5), "the first one is not done: all come again, none is lost"


@given(cut=st.integers(min_value=0, max_value=200))
def test_a_torn_tail_is_cut_wherever_the_kill_came(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("torn")
    spool = reopened(folder)
    spool.append(bodies(8))
    spool.close()
    (file,) = files(folder)
    whole = file.stat().st_size
    with file.open("r+b") as tail:
        tail.truncate(max(0, whole - cut))
    frame = whole // 8
    left = reopened(folder)
    assert all_of(left) == bodies(8)[: max(0, whole - cut) // frame]
    left.append([b"later"])
    assert all_of(left) == [b"later"]
    left.close()


def test_a_damaged_record_is_set_aside_with_what_follows_and_not_taken_for_a_torn_tail(tmp_path: Path) -> None:
    spool = reopened(tmp_path)
    spool.append(bodies(5))
    spool.close()
    (file,) = files(tmp_path)
    content = bytearray(file.read_bytes())
    frame = len(content) // 5
    content[2 * frame + 12] ^= 1
    file.write_bytes(content)
    assert all_of(reopened(tmp_path)) == bodies(2)
    (aside,) = tmp_path.glob("*.damaged")
    assert len(aside.read_bytes()) == 3 * frame


def test_a_full_spool_takes_what_fits_in_order_and_has_room_again_when_a_segment_is_done(tmp_path: Path) -> None:
    spool = reopened(tmp_path, 1_000_000)
    wanted = bodies(30, 50_000)
    first = spool.append(wanted)
    assert 15 <= len(first) < 20 and spool.size <= 1_000_000
    assert spool.append(wanted[len(first) :]) == []
    taken = spool.read(len(first) // 2, 10**9)
    spool.settle([place for place, _ in taken])
    second = spool.append(wanted[len(first) :])
    assert second
    assert [b for _, b in taken] + all_of(spool) == wanted[: len(first) + len(second)]


def test_a_record_larger_than_the_spool_goes_into_an_empty_one(tmp_path: Path) -> None:
    spool = reopened(tmp_path, 1_000)
    assert len(spool.append([b"x" * 5_000, b"y"])) == 1
    taken = spool.read(1, 10)
    spool.settle([place for place, _ in taken])
    assert len(spool.append([b"y"])) == 1


def test_a_full_disk_is_a_full_spool_and_leaves_no_half_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = reopened(tmp_path)
    spool.append(bodies(3))
    real = os.pwrite

    def full(handle: int, data: bytes, offset: int) -> int:
        if len(data) > 20:
            return real(handle, data[:20], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    assert spool.append([b"z" * 100]) == []
    monkeypatch.undo()
    assert len(spool.append([b"later"])) == 1
    spool.close()
    assert all_of(reopened(tmp_path)) == [*bodies(3), b"later"]


def test_a_disk_that_fails_otherwise_names_the_place_and_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SpoolError, match=r"spool at .*file.* Remedy"):
        Spool(tmp_path / "file" / "x", LIMIT).take_over()


def hold(folder: str, ready: Any, go: Any) -> None:
    spool = reopened(Path(folder))
    spool.append([b"of the other"])
    ready.set()
    go.wait(30)
    os._exit(9)


def test_two_processes_have_a_spool_each_and_the_one_that_stays_inherits(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    other = context.Process(target=hold, args=(str(tmp_path), ready, go))
    other.start()
    assert ready.wait(30)
    mine = reopened(tmp_path)
    assert mine.waiting == 0, "it is held by a process that lives"
    mine.append([b"mine"])
    assert len(files(tmp_path)) == 2
    go.set()
    other.join(30)
    assert reopened(tmp_path).waiting == 1, "the kernel let go of what the dead one held, and mine is still mine"
    assert all_of(mine) == [b"mine"]


def test_backed_up_records_are_not_read_again_by_the_one_that_sent_them(tmp_path: Path) -> None:
    spool = reopened(tmp_path)
    sent = spool.append([b"1", b"2"], handed_out=True)
    spool.append([b"3"])
    assert all_of(spool) == [b"3"] and spool.waiting == 3
    spool.settle(sent[:1])
    spool.close()
    assert all_of(reopened(tmp_path)) == [b"2", b"3"]


def test_settled_twice_counts_once(tmp_path: Path) -> None:
    spool = reopened(tmp_path)
    places = spool.append([b"1"], handed_out=True)
    spool.settle(places)
    spool.settle(places)
    assert spool.waiting == 0


def test_a_hundred_thousand_records_come_out_in_order_and_leave_nothing(tmp_path: Path) -> None:
    spool = reopened(tmp_path, 512 * spools.MEGABYTE)
    for start in range(0, 100_000, 500):
        spool.append([b"%08d" % number + b"x" * 500 for number in range(start, start + 500)])
    expected = 0
    while found := spool.read(500, spools.MEGABYTE):
        for _, body in found:
            assert int(body[:8]) == expected
            expected += 1
        spool.settle([place for place, _ in found])
    assert expected == 100_000 and files(tmp_path) == []
