"""The reader's own processes: what they answer, and how a file ends that would keep one for ever."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import psutil
import pytest
import pytest_asyncio

from api.imports.jobs import Job
from api.imports.kept import known_in, rows_in
from api.imports.process import Readers
from api.imports.shapes import Code, ImportFailed

BODY = "Band,When,Where\n" + "".join(f"Band {n},{n % 28 + 1:02}.05.2001,Hall {n % 9}\n" for n in range(60))


pytestmark = pytest.mark.asyncio(loop_scope="module")  # one reader for all: it takes two seconds to begin


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def readers() -> AsyncIterator[Readers]:
    readers = Readers(1, 60)
    yield readers
    await readers.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "upload"
    path.write_text(BODY)
    return path


def job(path: Path, do: str, **more: object) -> Job:
    given = {"path": str(path), "name": "gigs.csv", "out": str(path.parent / f"{do}.out")}
    given["entries"] = str(path.parent / "entries")
    return Job(do, **(given | more))  # type: ignore[arg-type]


async def test_a_dry_run_is_counted_sampled_and_explained(readers: Readers, path: Path) -> None:
    told = await readers.ask(job(path, "dry_run"))
    assert told["counts"] == {"understood": 60, "doubtful": 0, "unreadable": 0, "repeated": 0}
    assert {one["field"]: one["columns"] for one in told["parts"][0]["columns"]}["artist"] == ["Band"]
    corrected = {"mapping": {"artist": ["Where"], "venue": []}}
    told = await readers.ask(job(path, "dry_run", corrections=corrected))
    assert told["samples"]["understood"][0]["entries"][0]["artist"] == "Hall 0"


async def test_a_dry_run_keeps_what_it_understood_row_by_row(readers: Readers, path: Path) -> None:
    grown(path)
    await readers.ask(job(path, "dry_run"))
    kept = path.parent / "entries"
    rows = list(rows_in(kept, doubtful=True))
    assert [len(entries) for entries in rows[:60]] == [1] * 60 and rows[60] == rows[62] == []
    whole = [entry for entries in rows for entry in entries]
    assert whole[0][3] == {"artist": "Band 0", "date": "2001-05-01", "venue": "Hall 0"}
    assert len({entry_id for entry_id, *_ in whole}) == len(whole)
    assert list(rows_in(kept, doubtful=True, after=45)) == rows[45:]
    assert [one.entry_id for one in known_in(kept, doubtful=True)] == [entry_id for entry_id, *_ in whole]
    again = path.parent / "again"
    await readers.ask(job(path, "rows", entries=str(again)))
    assert again.read_bytes() == kept.read_bytes(), "where a dry run did not keep it, it is read once more"


async def test_a_corrected_file_finds_its_rows(readers: Readers, path: Path) -> None:
    before, kept = path.parent / "before", path.parent / "entries"
    await readers.ask(job(path, "dry_run"))
    before.write_bytes(
        b"".join(orjson.dumps([one.entry_id, one.said, one.facts]) + b"\n" for one in known_in(kept, doubtful=True))
    )
    corrected(path)
    await readers.ask(job(path, "dry_run"))
    told = job(path, "carry", before=str(before), now=str(kept))
    assert await readers.ask(told) == {"gone": 1}
    assert kinds_in(told.out) == ["is", "gone"]


def corrected(path: Path) -> None:
    path.write_text(BODY.replace("Band 7,", "Band Seven,").replace("Band 9,10.05.2001,Hall 0\n", ""))


def grown(path: Path) -> None:
    """A row that cannot be read, a bill of two, and a row that is there twice."""
    path.write_text(BODY + "Pulp,99.99.2001,Hall\n" + "Low & Slint,01.02.2003,Hall\n" + BODY.splitlines()[1] + "\n")


def kinds_in(path: str) -> list[str]:
    return [orjson.loads(line)[0] for line in Path(path).read_bytes().splitlines()]


async def test_a_file_that_cannot_be_read_says_why_and_the_reader_goes_on(readers: Readers, path: Path) -> None:
    other = path.parent / "other"
    other.write_bytes(b"%PDF-1.7")
    with pytest.raises(ImportFailed, match="a PDF") as caught:
        await readers.ask(job(other, "dry_run"))
    assert caught.value.code is Code.BAD_DOCUMENT
    assert (await readers.ask(job(path, "dry_run")))["rows"] == 60
    assert len(readers._all) == 1


async def test_a_reader_that_is_silent_is_ended_and_the_next_file_is_read(path: Path) -> None:
    readers = Readers(1, 0.05)  # it takes two seconds to begin
    try:
        with pytest.raises(ImportFailed, match="takes too long") as caught:
            await readers.ask(job(path, "dry_run"))
        assert caught.value.code is Code.TOO_SLOW and not readers._all
        readers._silence_s = 60
        assert (await readers.ask(job(path, "dry_run")))["rows"] == 60
    finally:
        await readers.close()


async def test_a_small_file_does_not_wait_for_a_large_one(readers: Readers, path: Path) -> None:
    two = Readers(2, 60)
    large = path.parent / "large"
    large.write_text(BODY + "x,2001-05-05,Hall\n" * 100_000)
    try:
        slow = [asyncio.create_task(two.ask(job(large, "dry_run", out=f"{large}.{n}"))) for n in range(2)]
        assert (await two.ask(job(path, "dry_run")))["rows"] == 60
        assert not any(one.done() for one in slow)
        for one in slow:
            one.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
    finally:
        await two.close()


async def test_a_reader_that_dies_is_an_answer_and_not_an_exception(readers: Readers, path: Path) -> None:
    await readers.ask(job(path, "dry_run"))
    (process,) = readers._all
    os.kill(process.pid, 9)
    with pytest.raises(ImportFailed):
        await readers.ask(job(path, "dry_run", name="gigs.csv"))
    assert (await readers.ask(job(path, "dry_run")))["rows"] == 60


async def test_a_reader_knows_no_environment_and_ends_with_what_started_it(readers: Readers, path: Path) -> None:
    await readers.ask(job(path, "dry_run"))
    (process,) = readers._all
    there = psutil.Process(process.pid)
    assert not [name for name in there.environ() if name.startswith("GIGZ_")]
    assert process.stdin is not None
    process.stdin.close()
    await asyncio.wait_for(process.wait(), 10)


async def test_readers_without_work_are_ended(readers: Readers, path: Path) -> None:
    await readers.ask(job(path, "dry_run"))
    await readers.shed(60)
    assert len(readers._all) == 1
    await readers.shed(0)
    assert not readers._all


async def test_what_takes_more_memory_than_an_import_may_is_told(readers: Readers, tmp_path: Path) -> None:
    deep = tmp_path / "deep.json"
    deep.write_bytes(b"[" * 3_000_000 + b"]" * 3_000_000)
    with pytest.raises(ImportFailed) as caught:
        await readers.ask(job(deep, "dry_run", name="deep.json"))
    assert "Remedy" in caught.value.text
