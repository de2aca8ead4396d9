"""The stages as processes: killed, stopped, started wrongly; whatever happens, the state is the same in the end."""

import asyncio
import random
import signal
import time
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.failures import Exit
from deploy.flow import gauge
from deploy.settings import Settings
from matchers.candidates import concert_keys, entry_keys
from matchers.match import match
from matchers.normalise import normalise
from matchers.resolve import resolve
from matchers.settle import settle
from schemas.concert import Concert
from schemas.history import BackfilledEntry, Entry
from schemas.listing import Listing
from schemas.outgoing import Outgoing, outgoing
from schemas.raw import RawEvent
from schemas.rejection import Rejection
from schemas.suggestion import Suggestions
from streams.store_resolve import canonical_without_rev
from tests.streams.conftest import Workers, committed, everything_in, rows, send, until
from tests.streams.support import entry, raw

pytestmark = pytest.mark.stack

STAGES = ("normalise", "resolve", "match", "relay")


async def until_idle(settings: Settings, seconds: float = 90) -> None:
    """Until nothing waits in a topic or in the outbox, twice in a row with nothing written between."""
    deadline = time.monotonic() + seconds
    before = -1
    async with gauge(settings) as reading:
        while True:
            now = await reading.lag()
            left = {stage: now.waiting[stage] for stage in STAGES[:3] if now.waiting[stage]}
            if not left and not now.outbox and now.written == before:
                return
            before = now.written if not left and not now.outbox else -1
            assert time.monotonic() < deadline, f"still waiting: {left}, outbox {now.outbox}"
            await asyncio.sleep(0.2)


def artist(mark: str, number: int) -> str:
    """One of eleven, this test's own: the groups of a test may still read what one before it left."""
    return f"{mark} Lantern {number % 11}"


def some_raws(mark: str, count: int) -> list[RawEvent]:
    """Nights told by two sources."""
    return [
        raw(
            f"{mark}-{source}",
            str(n),
            artist(mark, n),
            f"2017-{1 + n % 12:02}-{1 + n % 28:02}",
            city="Oslo",
            country="NO",
        )
        for n in range(count)
        for source in ("a", "b")
    ]


def sent(message: RawEvent | Entry) -> Outgoing:
    return outgoing(message, trace=uuid4().hex, stage="test")


async def stored(engine: AsyncEngine, mark: str) -> tuple[dict[UUID, bytes], dict[str, Suggestions]]:
    """Concerts and suggestions of one test, without revs and times."""
    concerts = [
        Concert.model_validate_json(str(body))
        for (body,) in await rows(engine, "select cast(body as text) from state.concerts where live")
    ]
    sets = [
        Suggestions.model_validate_json(str(body))
        for (body,) in await rows(engine, "select cast(body as text) from state.suggestions")
    ]
    return (
        {one.concert_id: canonical_without_rev(one) for one in concerts if one.artist.startswith(mark)},
        {one.key: one.model_copy(update={"rev": 0, "made_at": None}) for one in sets if one.user.startswith(mark)},
    )


def expected(raws: list[RawEvent], entries: list[Entry]) -> tuple[dict[UUID, bytes], dict[str, Suggestions]]:
    listings = [one for message in raws for one in normalise(message) if isinstance(one, Listing)]  # type: ignore[union-attr]
    concerts = resolve(listings)
    sets = {}
    for one in entries:
        keys = entry_keys(one)
        sets[one.key] = match(one, [c for c in concerts if keys & concert_keys(c)])
    settled = {one.key: one for one in settle([*sets.values()])}
    return {one.concert_id: canonical_without_rev(one) for one in concerts}, settled


@pytest.mark.long
async def test_workers_killed_in_mid_stream_and_started_again_end_in_the_same_state(
    settings: Settings, engine: AsyncEngine, workers: Workers
) -> None:
    dice = random.Random(7)
    raws = some_raws("kill", 250)
    entries = [
        entry(f"kill{n % 7}", f"e{n}", artist=artist("kill", n), date=f"2017-{1 + n % 12:02}-{1 + n % 28:02}")
        for n in range(120)
    ]
    for stage in STAGES:
        workers.start(stage)
    for stage in STAGES:
        await workers.until_logged('"started"', stage)
    messages: list[RawEvent | Entry] = [*raws, *entries]
    dice.shuffle(messages)
    third = len(messages) // 3
    for round_ in range(3):
        await send(settings, [sent(one) for one in messages[round_ * third : (round_ + 1) * third + 3 * (round_ == 2)]])
        await asyncio.sleep(dice.uniform(0.1, 0.6))
        victims = STAGES if round_ == 1 else (dice.choice(STAGES),)
        for stage in victims:
            workers.running[f"{stage}-0"].send_signal(signal.SIGKILL)
            workers.running[f"{stage}-0"].wait()
        for stage in victims:
            workers.start(stage)
    await until_idle(settings)
    assert await stored(engine, "kill") == expected(raws, entries)
    last = {record.key: record.value for record in await everything_in(settings, Concert.topic)}
    told = {key for key, value in last.items() if value is not None and b'"artist":"kill' in value}
    assert told == {
        str(concert_id) for concert_id in expected(raws, entries)[0]
    }  # what was published is what is stored


@pytest.mark.long
async def test_two_of_each_share_the_work_and_stop_within_ten_seconds(
    settings: Settings, engine: AsyncEngine, workers: Workers
) -> None:
    raws = some_raws("pair", 120)
    for stage in STAGES:
        for instance in (0, 1):
            workers.start(stage, instance)
    await send(settings, [sent(one) for one in raws])
    written: list[Entry] = [entry("pair", f"e{n}", artist=artist("pair", n), date="2017") for n in range(20)]
    backfilled = [BackfilledEntry.model_validate(one.model_dump(by_alias=True)) for one in written[10:]]
    await send(settings, [sent(one) for one in [*written[:10], *backfilled]])
    for stage in STAGES:
        for instance in (0, 1):
            await workers.until_logged('"started"', stage, instance)
    await until_idle(settings)
    assert await stored(engine, "pair") == expected(raws, written)
    for process in workers.running.values():
        process.terminate()
    assert [process.wait(10) for process in workers.running.values()] == [0] * 8


async def test_poison_among_good_messages_is_rejected_and_the_neighbours_go_on(
    settings: Settings, engine: AsyncEngine, workers: Workers
) -> None:
    good = some_raws("good", 20)
    poison = {
        "not_json": b"{oops",
        "missing_field": b'{"source":"s","source_id":"1"}',
        "bad_date": raw("poison", "date", "Low", "2019-02-31").to_bytes(),
        # A text that JSON can hold and PostgreSQL cannot.
        "bad_value": raw("poison", "nul", "L\x00ow", "2019-02-03", title="no\x00l").to_bytes(),
    }
    records = [sent(one) for one in good]
    for place, body in enumerate(poison.values()):
        records.insert(5 * place, Outgoing(RawEvent.topic, f"p{place}", f"p{place}", body, {}))
    before = {one.key for one in await everything_in(settings, Rejection.topic)}
    workers.start("normalise")
    workers.start("resolve")
    await send(settings, records)

    async def done() -> bool:
        counted = await rows(engine, "select count(*) from state.listings where source like 'good-%'")
        return counted == [(40,)]

    await until(done, "all neighbours stored")
    rejections = [one for one in await everything_in(settings, Rejection.topic) if one.key not in before]
    reasons = sorted(Rejection.from_bytes(one.value).reason.value for one in rejections)
    assert [reason for reason in reasons if reason != "bad_value"] == ["bad_date", "missing_field", "not_json"]
    assert len(reasons) - 3 <= 1  # the text with U+0000: cleaned by normalise, or refused
    assert all(process.poll() is None for process in workers.running.values())


async def test_postgres_that_stays_away_stops_resolve_with_setting_and_remedy_and_the_offset_unmoved(
    settings: Settings, workers: Workers
) -> None:
    process = workers.start("resolve", retry_deadline_s=1.0)
    await workers.until_logged('"started"', "resolve")
    url = settings.engine_url("postgres")
    name = url.rpartition("/")[2]
    with psycopg.connect(url.rpartition("/")[0] + "/postgres", autocommit=True) as connection:
        connection.execute(f"alter database {name} allow_connections false")
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
    before = await committed(settings, "gigz-resolve", Listing.topic)
    listings = [one for message in some_raws("away", 3) for one in normalise(message)]  # type: ignore[union-attr]
    await send(settings, [outgoing(one, trace=uuid4().hex, stage="test") for one in listings])
    assert await asyncio.to_thread(process.wait, 30) == Exit.AWAY
    log = workers.log("resolve").read_text()
    assert "GIGZ_POSTGRES_URL" in log and "Remedy" in log and "offset has not moved" in log
    assert await committed(settings, "gigz-resolve", Listing.topic) == before


async def test_a_wrong_address_is_told_before_anything_is_read(settings: Settings, workers: Workers) -> None:
    wrong = {
        "GIGZ_KAFKA_URL": workers.start("normalise", kafka_url="127.0.0.1:1"),
        "GIGZ_POSTGRES_URL": workers.start("resolve", postgres_url="postgresql://u:p@127.0.0.1:1/none"),
        "GIGZ_PARTITIONS": workers.start("match", partitions=7),
    }
    stages = {"GIGZ_KAFKA_URL": "normalise", "GIGZ_POSTGRES_URL": "resolve", "GIGZ_PARTITIONS": "match"}
    for setting, process in wrong.items():
        assert await asyncio.to_thread(process.wait, 40) == 2
        log = workers.log(stages[setting]).read_text()
        assert setting in log and "Remedy" in log and "Traceback" not in log


async def test_a_second_process_with_the_same_instance_refuses_to_start(settings: Settings, workers: Workers) -> None:
    first = workers.start("normalise")
    await workers.until_logged('"started"', "normalise")
    second = workers.start("normalise")
    assert await asyncio.to_thread(second.wait, 40) == 2
    assert "--instance 0 runs already" in workers.log("normalise").read_text()
    assert first.poll() is None
    first.terminate()
    assert first.wait(10) == 0
