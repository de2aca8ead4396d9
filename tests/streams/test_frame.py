"""What the frame of a stage does with bad data, a bad world and bugs; no broker."""

import asyncio
import itertools
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError, NotLeaderForPartitionError
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from deploy import failures
from deploy.failures import TooManyRejections
from deploy.settings import Settings, load
from schemas.message import HEADER_ORIGIN, HEADER_STAGE
from schemas.outgoing import REPLAY, Origin, Outgoing, first_origin, headers_as_text
from schemas.raw import RawEvent
from schemas.rejection import ERROR_HEADERS, Rejection
from streams import stage as frames
from streams.normalise import normalise_batch
from streams.record import Record
from streams.retry import GaveUp, engine_at_fault
from streams.stage import Frame
from tests.streams.support import NOON, clock, raw
from tests.support import ROOT


def settings(**changed: Any) -> Settings:
    return load({"kafka_url": "localhost:1", "postgres_url": "postgresql://u:p@localhost:1/db", **changed})


def record(value: bytes | None, offset: int = 0, key: str = "s:1") -> Record:
    return Record(Origin(RawEvent.topic, 2, offset), key, value, {"trace": "a" * 32})


def database_error(kind: type[Exception], state: str, wrapped: type[DBAPIError] = DBAPIError) -> DBAPIError:
    original = kind("told by the server")
    original.sqlstate = state  # type: ignore[attr-defined]
    return wrapped("select", {}, original)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[Outgoing]:
    sent: list[Outgoing] = []

    async def publish(_: object, records: Sequence[Outgoing], __: int) -> int:
        sent.extend(records)
        return len(records)

    monkeypatch.setattr(frames, "publish", publish)
    return sent


def frame(**changed: Any) -> Frame:
    return Frame(settings(**changed), "normalise", None, clock)


BAD = {
    "not_json": b"\xff\xfe no json",
    "missing_field": b'{"source": "s"}',
    "wrong_type": orjson.dumps(orjson.loads(raw("s", "1", "Low", "2019-06-01").to_bytes()) | {"fields": "none"}),
    "bad_date": raw("s", "1", "Low", "2019-02-31").to_bytes(),
}


def test_each_bad_message_is_one_rejection_and_its_neighbours_go_on() -> None:
    good = [record(raw("s", str(n), "Low", "2019-06-01").to_bytes(), n) for n in range(3)]
    bad = [record(body, 10 + n) for n, body in enumerate(BAD.values())]
    mixed = [good[0], bad[0], bad[1], good[1], bad[2], bad[3], good[2]]
    out = normalise_batch(mixed, RawEvent, NOON)
    rejections = [Rejection.from_bytes(one.value) for one in out if one.topic == Rejection.topic]
    assert sum(one.topic == "gigz.listing.v1" for one in out) == 3
    assert {one.reason.value for one in rejections} == set(BAD)
    assert {one.origin_offset: one.original_bytes for one in rejections} == {r.origin.offset: r.value for r in bad}
    told = next(one for one in out if one.topic == Rejection.topic)
    assert told.headers[ERROR_HEADERS["partition"]] == "2" and told.headers["trace"] == "a" * 32


def test_what_follows_carries_the_trace_and_the_origin() -> None:
    (one,) = normalise_batch([record(raw("s", "1", "Low", "2019-06-01").to_bytes(), 7)], RawEvent, NOON)
    assert one.headers["trace"] == "a" * 32 and one.headers["origin"] == f"{RawEvent.topic}:2:7"
    assert one.headers["stage"] == "normalise"
    unsigned = Record(Origin(RawEvent.topic, 0, 1), "s:1", raw("s", "1", "Low", "2019-06-01").to_bytes())
    (one,) = normalise_batch([unsigned], RawEvent, NOON)
    assert len(one.headers["trace"]) == 32


@pytest.mark.parametrize(
    ("error", "engine"),
    [
        (KafkaConnectionError(), "kafka"),
        (NotLeaderForPartitionError(), "kafka"),
        (MessageSizeTooLargeError(), None),
        (database_error(pg.DeadlockDetected, "40P01"), "postgres"),
        (database_error(pg.SerializationFailure, "40001"), "postgres"),
        (database_error(pg.AdminShutdown, "57P01"), "postgres"),
        (database_error(pg.DiskFull, "53100"), "postgres"),
        (database_error(pg.OperationalError, "", OperationalError), "postgres"),
        (database_error(pg.UndefinedTable, "42P01", ProgrammingError), None),
        (database_error(pg.NotNullViolation, "23502"), None),
        (ValueError("ours"), None),
    ],
)
def test_a_bad_world_is_told_from_bad_data_and_from_bugs(error: Exception, engine: str | None) -> None:
    assert engine_at_fault(error) == engine


async def test_a_bad_world_is_retried_in_place(published: list[Outgoing], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_PAUSE_S", 0.001)
    calls = 0

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        nonlocal calls
        calls += 1
        if calls < 4:
            raise database_error(pg.DeadlockDetected, "40P01")
        return [Outgoing("gigz.listing.v1", "k", "k", b"1", {})]

    await frame().run([record(b"x")], handle)
    assert calls == 4 and len(published) == 1


async def test_a_world_that_stays_bad_ends_with_setting_and_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "FIRST_PAUSE_S", 0.01)

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        raise database_error(pg.AdminShutdown, "57P01")

    with pytest.raises(GaveUp, match=r"GIGZ_POSTGRES_URL.*Remedy.*offset has not moved"):
        await frame(retry_deadline_s=0.2).run([record(b"x")], handle)


async def test_a_store_that_never_answers_ends_the_same_way() -> None:
    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        await asyncio.sleep(60)
        return []

    with pytest.raises(GaveUp, match="GIGZ_POSTGRES_URL"):
        await frame(retry_deadline_s=0.1).run([record(b"x")], handle)


async def test_a_bug_is_not_retried() -> None:
    calls = 0

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await frame().run([record(b"x")], handle)
    assert calls == 1


async def test_a_value_that_no_column_takes_is_found_and_rejected_alone(published: list[Outgoing]) -> None:
    stored: list[int] = []

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        if any(one.value == b"poison" for one in batch):
            raise database_error(pg.UntranslatableCharacter, "22P05")
        stored.extend(one.origin.offset for one in batch)
        return []

    batch = [record(b"poison" if n == 5 else b"fine", n) for n in range(12)]
    await frame().run(batch, handle)
    assert stored == [n for n in range(12) if n != 5]
    (rejection,) = [Rejection.from_bytes(one.value) for one in published]
    assert (rejection.origin_offset, rejection.reason) == (5, "bad_value")


async def test_a_message_too_large_for_its_topic_is_rejected_without_its_body(published: list[Outgoing]) -> None:
    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        return [Outgoing("gigz.listing.v1", "k", "k", b"x" * 5_000_000, {"trace": "t"})]

    await frame().run([record(b"x")], handle)
    rejection = Rejection.from_bytes(published[0].value)
    assert rejection.reason == "too_large" and rejection.original is None and rejection.original_size == 5_000_000


async def test_a_halted_batch_publishes_nothing(published: list[Outgoing]) -> None:
    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        return normalise_batch(batch, RawEvent, NOON)

    with pytest.raises(TooManyRejections):
        await frame(rejection_window=20).run([record(b"no", n) for n in range(20)], handle)
    assert published == []


def again(n: int) -> Record:
    """The message at offset n, sent again."""
    told = {HEADER_STAGE: REPLAY, HEADER_ORIGIN: f"{RawEvent.topic}:2:{n}", "trace": "a" * 32}
    return Record(Origin(RawEvent.topic, 2, 500 + n), "s:1", b"no", told)


async def test_what_was_sent_again_and_is_still_bad_halts_nothing_and_is_the_same_rejection(
    published: list[Outgoing],
) -> None:
    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        return normalise_batch(batch, RawEvent, NOON)

    await frame(rejection_window=20).run([again(n) for n in range(20)], handle)
    assert [one.key for one in published] == [f"{RawEvent.topic}:2:{n}" for n in range(20)]
    with pytest.raises(TooManyRejections):  # what is new counts all the same
        new = [record(b"no", n) for n in range(600, 611)]
        await frame(rejection_window=20).run([*(again(n) for n in range(20)), *new], handle)


async def test_a_bad_message_and_what_was_sent_again_of_it_are_one_that_is_new(published: list[Outgoing]) -> None:
    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        return normalise_batch(batch, RawEvent, NOON)

    def both(number: int) -> list[Record]:
        return [one for n in range(number) for one in (record(b"no", n), again(n))]

    await frame(rejection_window=20).run(both(10), handle)
    assert [one.key for one in published] == [f"{RawEvent.topic}:2:{n}" for n in range(10) for _ in "12"]
    with pytest.raises(TooManyRejections, match="11 of the last 11"):
        await frame(rejection_window=20).run(both(11), handle)


@pytest.mark.parametrize(
    "told",
    [
        {HEADER_STAGE: "normalise", HEADER_ORIGIN: f"{RawEvent.topic}:2:7"},
        {HEADER_STAGE: REPLAY, HEADER_ORIGIN: "gigz.listing.v1:2:7"},
        {HEADER_STAGE: REPLAY, HEADER_ORIGIN: f"{RawEvent.topic}:-1:-1"},
        {HEADER_STAGE: REPLAY, HEADER_ORIGIN: "nonsense"},
        {HEADER_STAGE: REPLAY},
        {},
    ],
)
def test_only_what_a_replay_sent_to_its_own_topic_has_a_first_place(told: dict[str, str]) -> None:
    here = Origin(RawEvent.topic, 2, 900)
    assert first_origin(here, told) == here


def test_a_header_without_a_value_or_without_text_harms_nobody() -> None:
    assert headers_as_text([("trace", None), ("stage", b"\xff")]) == {"trace": "", "stage": "\ufffd"}


WALL = datetime(2024, 1, 1, tzinfo=UTC)


async def test_a_clock_that_jumps_changes_times_and_nothing_else(
    published: list[Outgoing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year ahead and back between any two looks; a store that is away meanwhile."""
    monkeypatch.setattr(failures, "FIRST_PAUSE_S", 0.01)
    ways = itertools.cycle([timedelta(), timedelta(days=365), timedelta(days=-365)])
    jumping = Frame(settings(retry_deadline_s=30), "normalise", None, lambda: WALL + next(ways))
    monkeypatch.setattr(time, "time", lambda: (WALL + next(ways)).timestamp())
    fails = iter([True, True, True])

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        if next(fails, False):
            raise database_error(pg.AdminShutdown, "57P01")
        return normalise_batch(batch, RawEvent, jumping.clock())

    began = time.monotonic()
    batch = [record(body, n) for n, body in enumerate([raw("s", "1", "Low", "2019-06-01").to_bytes(), *BAD.values()])]
    await jumping.run(batch, handle)
    assert time.monotonic() - began < 5, "a deadline or a pause went by the wall's clock"
    steady = normalise_batch(batch, RawEvent, NOON)
    assert [(one.topic, one.key) for one in published] == [(one.topic, one.key) for one in steady]
    good, same = ([one.value for one in some if one.topic != Rejection.topic] for some in (published, steady))
    assert good == same and good, "what is published of good data bears no time of ours"


def test_no_stage_measures_time_by_the_clock_on_the_wall() -> None:
    """Deadlines, pauses and intervals: monotonic. Of the wall's clock there is the injected one, read in one place."""
    rooms = [
        path for room in ("streams", "sinks") for path in (ROOT / room).rglob("*.py") if path.name != "commands.py"
    ]
    rooms += [ROOT / "deploy" / f"{name}.py" for name in ("failures", "inputs", "instances", "clients", "flow")]
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in rooms
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"\btime\.time\(|datetime\.(now|utcnow)\(", line)
    ]
    allowed = {"streams/stage.py", "sinks/pump.py"}
    assert {place.partition(":")[0] for place in found} <= allowed, found
    assert len([place for place in found if place.partition(":")[0] in allowed]) == 2, found
