"""A small world in all places at once: messages on their topics, and the rows that the stages would have written."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import TopicPartition
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.clients import (
    clickhouse_async,
    kafka_consumer,
    kafka_producer,
    meilisearch_client,
    postgres_engine,
    publish,
)
from deploy.flow import gauge, group_of
from deploy.outbox import put_in_outbox
from deploy.settings import Settings
from schemas.concert import Concert
from schemas.decision import Decision
from schemas.listing import Listing
from schemas.message import Message
from schemas.outgoing import Outgoing
from schemas.suggestion import Suggestions
from schemas.tables import ConcertRow, DecisionRow, ListingRow, SuggestionsRow
from schemas.topics import read_by
from sinks.main import Store, run_sink
from streams.relay import Relay
from tests.sinks.support import sent

STORES: tuple[Store, ...] = ("clickhouse", "postgres", "meilisearch")


async def produce(settings: Settings, records: Iterable[Outgoing]) -> None:
    """To Kafka."""
    async with kafka_producer(settings, "test") as producer:
        await publish(producer, records, settings.partitions)


async def happen(settings: Settings, messages: Sequence[Message], *, sinks: bool = True) -> None:
    """What the stages would have written, the messages, and, where the sinks run, their tables."""
    engine = postgres_engine(settings, pool_size=1)
    async with engine.begin() as connection:
        await keep(connection, messages)
    await engine.dispose()
    await produce(settings, [sent(one) for one in messages])
    await passed_by(settings, "resolve")
    if sinks:
        async with sinking(settings):
            await until_sunk(settings)


async def keep(connection: AsyncConnection, messages: Iterable[Message]) -> None:
    """Rows of schema state, as their owners write them."""
    for one in messages:
        body = orjson.loads(one.to_bytes())
        match one:
            case Listing():
                row = one.model_dump(include={"listing_id", "source", "source_id", "version", "night"})
                await _put(connection, ListingRow, ("listing_id",), row | {"keys": [], "body": body})
            case Concert():
                anchor = {"anchor_listing_id": one.members[0].listing_id, "anchor_act": one.members[0].act}
                row = {"concert_id": one.concert_id, "rev": one.rev, "night": one.night, "live": True, **anchor}
                await _put(connection, ConcertRow, ("concert_id",), row | {"keys": [], "body": body})
            case Suggestions():
                row = {
                    "user_id": one.user,
                    "entry_id": one.entry_id,
                    "rev": one.rev,
                    "suggestion_ids": [shown.suggestion_id for shown in one.suggestions],
                    "confidence": one.suggestions[0].confidence if one.suggestions else 0.0,
                }
                await _put(connection, SuggestionsRow, ("user_id", "entry_id"), row | {"body": body})
            case Decision():
                names = {"decision_id", "entry_id", "suggestion_id", "concert_id", "action", "decided_at"}
                row = one.model_dump(include=names) | {"user_id": one.user}
                await _put(connection, DecisionRow, ("decision_id",), row | {"body": body})


async def _put(connection: AsyncConnection, kind: Any, key: tuple[str, ...], row: dict[str, Any]) -> None:
    statement = insert(kind).values(row)
    changed = {name: value for name, value in row.items() if name not in key}
    await connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed))


async def passed_by(settings: Settings, stage: str) -> None:
    """Commit everything for a stage that does not run here."""
    async with kafka_consumer(settings, (), group_of(stage)) as consumer:
        parts = [TopicPartition(t.name, p) for t in read_by(stage) for p in range(settings.partitions)]
        consumer.assign(parts)
        await consumer.commit({part: end for part, end in (await consumer.end_offsets(parts)).items() if end})


@asynccontextmanager
async def sinking(settings: Settings, stores: Iterable[Store] = STORES) -> AsyncIterator[None]:
    """These sinks, in this process; at the end each must have stopped well."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(run_sink(settings, store, 1, stop)) for store in stores]
    try:
        yield
    finally:
        stop.set()
        codes = await asyncio.wait_for(asyncio.gather(*tasks), 20)
    assert codes == [0] * len(tasks)


async def until_sunk(settings: Settings, stores: Iterable[Store] = STORES, seconds: float = 60) -> None:
    """Until nothing waits before these sinks."""
    async with gauge(settings) as reading:
        for _ in range(int(seconds / 0.1)):
            lag = await reading.lag()
            if not any(lag.waiting[f"sink-{store}"] for store in stores):
                return
            await asyncio.sleep(0.1)
    raise AssertionError(f"the sinks did not commit all within {seconds:.0f} s")


@asynccontextmanager
async def relaying(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The relay, in this process; the engine is for whoever writes into the outbox."""
    engine = postgres_engine(settings, pool_size=3, name="test")
    stop = asyncio.Event()
    async with kafka_producer(settings, "test-relay") as producer:
        task = asyncio.create_task(Relay(settings, engine, producer).run(stop))
        try:
            yield engine
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)
    await engine.dispose()


async def commit_together(engine: AsyncEngine, settings: Settings, messages: Sequence[Message]) -> None:
    """As resolve and match do: the rows and the outbox in one transaction."""
    async with engine.begin() as connection:
        await keep(connection, messages)
        await put_in_outbox(connection, [sent(one) for one in messages], settings.outbox_shards)


async def ask_clickhouse(settings: Settings, *statements: str) -> list[tuple[Any, ...]]:
    """The rows of the last statement; mutations are waited for."""
    client = await clickhouse_async(settings)
    rows: list[tuple[Any, ...]] = []
    try:
        for sql in statements:
            if sql.lstrip().upper().startswith("SELECT"):
                rows = [tuple(row) for row in (await client.query(sql)).result_rows]
            else:
                await client.command(sql, settings={"mutations_sync": 1})
        return rows
    finally:
        await client.close()


async def ask_postgres(settings: Settings, *statements: str) -> list[tuple[Any, ...]]:
    """The rows of the last statement that has any; all in one transaction."""
    engine = postgres_engine(settings, pool_size=1)
    rows: list[tuple[Any, ...]] = []
    async with engine.begin() as connection:
        for sql in statements:
            found = await connection.execute(text(sql))
            rows = [tuple(row) for row in found] if found.returns_rows else rows
    await engine.dispose()
    return rows


def document(settings: Settings, index: str, key: str) -> dict[str, Any] | None:
    """Of Meilisearch."""
    found = meilisearch_client(settings).index(index).get_documents({"ids": [key], "limit": 1}).results
    return dict(found[0]) if found else None


def put_document(settings: Settings, index: str, row: dict[str, Any]) -> None:
    """By hand."""
    client = meilisearch_client(settings)
    client.wait_for_task(client.index(index).add_documents([row]).task_uid)


def drop_document(settings: Settings, index: str, key: str) -> None:
    """By hand."""
    client = meilisearch_client(settings)
    client.wait_for_task(client.index(index).delete_document(key).task_uid)
