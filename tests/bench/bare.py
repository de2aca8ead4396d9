"""`python -m tests.bench.bare clickhouse|postgres|meilisearch`: what a sink must be compared with, until SIGTERM.

The shortest loop that reads the same messages with the same client, in batches as large, takes the same columns out of
their JSON, writes them in the way that the store takes fastest, and commits after the write. What a sink does beyond
that it does not do: no check of a message, no rejection, no retry, no order of versions within a batch, no care in a
rebalance, no figure, no deduplication token.

    clickhouse     one columnar insert into each of two tables, current and history
    postgres       COPY into a temporary table, then one upsert from it; the latest version of each id
    meilisearch    one batch of documents, its task awaited
"""

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import orjson
import psycopg
from aiokafka import ConsumerRecord

from deploy.clients import clickhouse_async, kafka_consumer, meilisearch_client
from deploy.settings import Settings, current
from schemas.concert import Concert
from schemas.listing import Listing
from schemas.message import HEADER_TRACE
from sinks.meilisearch import INDEXES

Write = Callable[[Sequence[ConsumerRecord]], Awaitable[None]]
LONGEST_POLL_S = 0.25
PLACE = {"venue": "name", "city": "city", "region": "region", "country": "country"}


def group_of_bare(store: str) -> str:
    """Its consumer group."""
    return f"bench-bare-{store}"


def topics_of_bare(store: str) -> tuple[str, ...]:
    """What it reads: of the sink's topics those that the benchmark fills."""
    return (Listing.topic, Concert.topic) if store == "clickhouse" else (Concert.topic,)


# -- ClickHouse --------------------------------------------------------------------------------------------------------


def listing_row(record: ConsumerRecord) -> dict[str, Any]:
    """The sink's columns."""
    body = orjson.loads(record.value)
    place = body.get("place") or {}
    return {
        "listing_id": body["listing_id"],
        "version": body["version"],
        "is_deleted": 0,
        "source": body["source"],
        "source_id": body["source_id"],
        "artist": body["acts"][0]["name"],
        "acts": [act["name"] for act in body["acts"]],
        "night": date.fromisoformat(body["night"]),
        "start_at": _instant(body.get("start_at")),
        **{column: place.get(name) or "" for column, name in PLACE.items()},
        "lat": place.get("lat"),
        "lon": place.get("lon"),
        "status": body["status"],
        "vanished": body.get("vanished", False),
        **{name: body.get(name) or "" for name in ("title", "festival", "tour", "url")},
        "songs": body.get("songs") or [],
        "seen_at": _instant(body["seen_at"]),
        **_envelope(record),
    }


def concert_row(record: ConsumerRecord) -> dict[str, Any]:
    """The sink's columns."""
    body = orjson.loads(record.value)
    place = body.get("place") or {}
    return {
        "concert_id": body["concert_id"],
        "rev": body["rev"],
        "is_deleted": 0,
        "artist": body["artist"],
        "artist_key": body["artist_key"],
        "artist_mbid": body.get("artist_mbid"),
        "role": body.get("role") or "",
        "night": date.fromisoformat(body["night"]),
        "start_at": _instant(body.get("start_at")),
        "venue_id": body.get("venue_id"),
        **{column: place.get(name) or "" for column, name in PLACE.items()},
        "lat": place.get("lat"),
        "lon": place.get("lon"),
        "status": body["status"],
        "vanished": body.get("vanished", False),
        **{name: body.get(name) or "" for name in ("title", "festival", "tour")},
        "parent": body.get("parent"),
        "songs": body.get("songs") or [],
        "members": [member["listing_id"] for member in body["members"]],
        "sources": [member["source"] for member in body["members"]],
        **_envelope(record),
    }


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _envelope(record: ConsumerRecord) -> dict[str, Any]:
    trace = next((value for name, value in record.headers if name == HEADER_TRACE), b"")
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return {"published_at": at, "trace": trace.decode(), "body": record.value.decode()}


async def into_clickhouse(settings: Settings) -> Write:
    """Two tables of each kind, of the sink's own shape."""
    client = await clickhouse_async(settings)
    for name in ("listings", "listings_history", "concerts", "concerts_history"):
        await client.command(f"CREATE TABLE IF NOT EXISTS bare_{name} AS {name}")

    async def write(records: Sequence[ConsumerRecord]) -> None:
        for topic, name, row_of in (
            (Listing.topic, "listings", listing_row),
            (Concert.topic, "concerts", concert_row),
        ):
            rows = [row_of(record) for record in records if record.topic == topic]
            if not rows:
                continue
            columns = [[row[column] for row in rows] for column in rows[0]]
            for table in (f"bare_{name}", f"bare_{name}_history"):
                await client.insert(
                    table, columns, column_names=list(rows[0]), column_oriented=True, settings={"async_insert": 0}
                )

    return write


# -- PostgreSQL --------------------------------------------------------------------------------------------------------

COLUMNS = ("concert_id", "rev", "gone", "artist", "artist_key", "night", "city", "country", "status", "body")
LAY = """
    create schema if not exists bare;
    create table if not exists bare.concerts (like catalogue.concerts including all);
    create temporary table staging as select {columns} from catalogue.concerts limit 0;
"""
UPSERT = """
    insert into bare.concerts ({columns})
    select distinct on (concert_id) {columns} from staging order by concert_id, rev desc
    on conflict (concert_id) do update set {written}, updated_at = now() where excluded.rev >= bare.concerts.rev
"""


async def into_postgres(settings: Settings) -> Write:
    """A table of the sink's own shape, indexes included."""
    connection = await psycopg.AsyncConnection.connect(settings.engine_url("postgres"), autocommit=True)
    named = ", ".join(COLUMNS)
    upsert = UPSERT.format(columns=named, written=", ".join(f"{one} = excluded.{one}" for one in COLUMNS[1:]))
    await connection.execute(LAY.format(columns=named))

    async def write(records: Sequence[ConsumerRecord]) -> None:
        async with connection.transaction(), connection.cursor() as cursor:
            async with cursor.copy(f"copy staging ({named}) from stdin") as copy:
                for record in records:
                    body = orjson.loads(record.value)
                    place = body.get("place") or {}
                    await copy.write_row(
                        (
                            body["concert_id"],
                            body["rev"],
                            False,
                            body["artist"],
                            body["artist_key"],
                            body["night"],
                            place.get("city"),
                            place.get("country"),
                            body["status"],
                            record.value.decode(),
                        )
                    )
            await cursor.execute(upsert)
            await cursor.execute("truncate staging")

    return write


# -- Meilisearch -------------------------------------------------------------------------------------------------------


def document_of(record: ConsumerRecord) -> dict[str, Any]:
    """The sink's fields."""
    body = orjson.loads(record.value)
    place = body.get("place") or {}
    night = body["night"]
    told = {
        "concert_id": body["concert_id"],
        "rev": body["rev"],
        **{name: body.get(name) for name in ("artist", "artist_key", "title", "festival", "tour", "parent")},
        "night": night,
        "year": int(night[:4]),
        "day": int(night.replace("-", "")),
        **{name: place.get(name) for name in ("city", "region", "country", "lat", "lon")},
        "venue": place.get("name"),
        "status": body["status"],
        "vanished": body.get("vanished", False),
        "songs": body.get("songs") or [],
        "sources": sorted({member["source"] for member in body["members"]}),
    }
    return {name: value for name, value in told.items() if value is not None and value != []}


async def into_meilisearch(settings: Settings) -> Write:
    """An index with the settings of the sink's."""
    client = await asyncio.to_thread(meilisearch_client, settings)

    def lay() -> None:
        client.wait_for_task(client.create_index("bare_concerts", {"primaryKey": "concert_id"}).task_uid)
        laid = client.index("bare_concerts").update_settings(INDEXES["concerts"].settings)
        client.wait_for_task(laid.task_uid)

    await asyncio.to_thread(lay)
    index = client.index("bare_concerts")

    def add(documents: list[dict[str, Any]]) -> None:
        task = client.wait_for_task(index.add_documents(documents).task_uid, timeout_in_ms=60_000, interval_in_ms=10)
        if task.status != "succeeded":
            raise RuntimeError(f"Meilisearch: {task.error}")

    async def write(records: Sequence[ConsumerRecord]) -> None:
        await asyncio.to_thread(add, [document_of(record) for record in records])

    return write


# -- the loop ----------------------------------------------------------------------------------------------------------

INTO = {"clickhouse": into_clickhouse, "postgres": into_postgres, "meilisearch": into_meilisearch}


async def run(settings: Settings, store: str) -> None:
    """Read, write, commit."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    write = await INTO[store](settings)
    async with kafka_consumer(settings, topics_of_bare(store), group_of_bare(store)) as consumer:
        while not stop.is_set():
            records: list[ConsumerRecord] = []
            until = time.monotonic() + settings.sink_linger_s
            while len(records) < settings.sink_batch_size and time.monotonic() < until and not stop.is_set():
                most = settings.sink_batch_size - len(records)
                for found in (await consumer.getmany(timeout_ms=int(LONGEST_POLL_S * 1000), max_records=most)).values():
                    records.extend(found)
            if records:
                await write(records)
                await consumer.commit()


if __name__ == "__main__":
    asyncio.run(run(current(), sys.argv[1]))
