"""What is remembered of items: guarded, batched, and patient with PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event as events
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import postgres_engine
from deploy.migrate import migrate_postgres
from deploy.settings import Settings
from schemas.raw import RawEvent, RawMessage
from spiders.delivery import key_of
from spiders.delivery.seen import Key, Memory, NotRemembered, Scope, Sighting, sighting
from tests.spiders.handing import event

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def laid(stack: Settings) -> Settings:
    """PostgreSQL with tables."""
    migrate_postgres(stack)
    return stack


@pytest.fixture
async def engine(laid: Settings) -> AsyncIterator[AsyncEngine]:
    """A pool."""
    engine = postgres_engine(laid, pool_size=2)
    yield engine
    await engine.dispose()


@pytest.fixture
def memory(engine: AsyncEngine, laid: Settings) -> Memory:
    """Of this test."""
    return Memory(engine, laid)


@pytest.fixture
def source() -> str:
    """Of this test."""
    return f"seen-{uuid4().hex}"


def seen(message: RawMessage, at: datetime = NOW, scope: str | None = None, **more: Any) -> Sighting:
    key = Key(message.topic, message.source, message.source_id)
    return sighting(message, key, at=at, run_id=uuid4(), scope=scope or message.source)._replace(**more)


@pytest.mark.parametrize(
    ("written", "night"),
    [
        ("2024-03-01", date(2024, 3, 1)),
        ("2024-03-01T20:00:00+01:00", date(2024, 3, 1)),
        ("2024-03-01T04:59", date(2024, 2, 29)),
        ("2024-03-01T05:00", date(2024, 3, 1)),
        ("01.03.2024", None),
        ("2024-02-30", None),
        (20240301, None),
    ],
)
def test_a_night_is_remembered_where_the_date_can_be_read(written: Any, night: date | None) -> None:
    assert seen(event("1", date=written)).night == night


@pytest.mark.stack
async def test_what_was_remembered_is_known(memory: Memory, source: str) -> None:
    one, other = event("1", source=source), event("2", source=source, note="\0 and \\u0000")
    await memory.remember([seen(one), seen(other)])
    known = await memory.known([key_of(one), key_of(other), Key(one.topic, source, "3")])
    assert set(known) == {key_of(one), key_of(other)}
    assert known[key_of(one)] == (one.content_hash, one.seen_at, False)


@pytest.mark.stack
async def test_of_several_of_one_item_the_last_counts(memory: Memory, source: str) -> None:
    versions = [event("1", source=source, note=note) for note in "abc"]
    await memory.remember([seen(version) for version in versions])
    known = await memory.known([key_of(versions[0])])
    assert known[key_of(versions[0])].content_hash == versions[-1].content_hash


@pytest.mark.stack
async def test_what_arrives_late_does_not_undo_what_a_later_crawl_wrote(memory: Memory, source: str) -> None:
    new, old = event("1", source=source, note="new"), event("1", source=source, note="old")
    await memory.remember([seen(new)])
    await memory.remember([seen(old, NOW - timedelta(hours=1))])
    assert (await memory.known([key_of(new)]))[key_of(new)].content_hash == new.content_hash
    await memory.touch([key_of(new)], uuid4(), "older", NOW - timedelta(hours=1))
    assert await memory.lost(Scope(source, uuid4(), NOW)) == (1, 1)


@pytest.mark.stack
async def test_missing_is_what_no_crawl_saw_since_this_one_began(memory: Memory, source: str) -> None:
    mine, began = uuid4(), NOW + timedelta(hours=1)
    shown = [event(str(number), source=source) for number in range(4)]
    await memory.remember([seen(one) for one in shown])
    await memory.touch([key_of(shown[0])], mine, source, began)
    await memory.touch([key_of(shown[1])], uuid4(), source, began + timedelta(seconds=1))  # another, at the same time
    scope = Scope(source, mine, began)
    assert await memory.lost(scope) == (4, 2)
    gone = [one async for page in memory.gone(scope) for one in page]
    assert [one.key.source_id for one in gone] == ["2", "3"]
    assert gone[0].record["fields"] == shown[2].fields and gone[0].record["url"] == shown[2].url
    assert await memory.lost(replace(scope, name="another")) == (0, 0)


@pytest.mark.stack
async def test_nights_gone_by_are_not_missing_from_an_agenda(memory: Memory, source: str) -> None:
    dates = ["2026-04-30", "2026-05-01", "2026-05-02T01:30", "2026-05-02", "one day"]
    await memory.remember([seen(event(when, source=source, date=when)) for when in dates])
    agenda = Scope(source, uuid4(), NOW, ahead_of=NOW.date())
    assert [one.key.source_id async for page in memory.gone(agenda) for one in page] == ["2026-05-02", "one day"]
    assert await memory.lost(agenda) == (2, 2) and await memory.lost(replace(agenda, ahead_of=None)) == (5, 5)


@pytest.mark.stack
async def test_hundreds_of_items_are_a_handful_of_statements(engine: AsyncEngine, laid: Settings, source: str) -> None:
    said: list[str] = []
    events.listen(engine.sync_engine, "before_cursor_execute", lambda *told: said.append(told[2]))
    memory = Memory(engine, laid)
    shown = [event(str(number), source=source) for number in range(800)]
    await memory.remember([seen(one) for one in shown])
    known = await memory.known(map(key_of, shown))
    await memory.touch(known, uuid4(), source, NOW)
    assert len(known) == 800 and len(said) == 3


@pytest.mark.stack
async def test_two_that_write_the_same_rows_at_once_do_not_block_each_other(memory: Memory, source: str) -> None:
    rows = [seen(event(str(number), source=source)) for number in range(300)]
    async with asyncio.timeout(30):
        await asyncio.gather(*(memory.remember(rows[::step]) for step in (1, -1) * 10))


@pytest.mark.network
async def test_postgres_that_stays_away_is_named_with_its_setting() -> None:
    settings = Settings(postgres_url="postgresql://u:secret@127.0.0.1:1/none", retry_deadline_s=0.5)
    engine = postgres_engine(settings)
    try:
        with pytest.raises(NotRemembered, match=r"GIGZ_POSTGRES_URL.*Remedy.*0\.5 s") as told:
            await Memory(engine, settings).known([Key(RawEvent.topic, "s", "1")])
        assert "secret" not in str(told.value)
    finally:
        await engine.dispose()
