"""A store made anew from Kafka beside the one that is read, compared, then put in its place.

    lay       new tables or indexes, `_rebuild` behind their names; what Kafka has forgotten is copied over
    fill      every topic of the store from its oldest message, then what came meanwhile, until nothing is left
    compare   as `gigz reconcile` does: a difference ends it here, and nothing was touched
    swap      names change places; readers ask by name and notice nothing
    pass over the messages since the last look before the swap are written once more, now under the names that are read

The sink goes on writing all the while, into whatever bears the name. Between the last look and the swap it writes what
the new tables lack: each such message was in Kafka before it was written, so it is among those that are passed over
afterwards. Postgres does both in one transaction, under a lock that keeps the sink out. All writes are idempotent.

Killed before the swap: the old one is untouched. Killed after it, before the pass: the few messages of that moment are
missing until the sink starts the next time, which finds a note of it (`sinks.broken_off`), or a rebuild is begun again.
Every start begins by clearing away what an earlier one left.

Errors
    RebuildFailed    what was built is not what Kafka says, or another rebuild runs: says what to do
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import meilisearch
import orjson
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.clients import clickhouse_async, meilisearch_client, postgres_engine
from deploy.erasing import ledger
from deploy.failures import sqlstate
from deploy.flow import records_between
from deploy.locks import GIGZ, GIVE, REBUILD, TAKE
from deploy.settings import Settings
from schemas.concert import Concert
from schemas.decision import Decision
from schemas.listing import Listing
from schemas.message import Message, MessageError
from schemas.reference import Artist, Venue
from schemas.suggestion import Suggestions
from schemas.tables import CATALOGUE, Base
from schemas.topics import BY_NAME, read_by
from sinks import broken_off, clickhouse, postgres
from sinks import meilisearch as search
from sinks.asking import AskingSink
from sinks.broken_off import PASSED_OVER, What
from sinks.clickhouse import TABLES, ClickHouseSink
from sinks.meilisearch import INDEXES, MeilisearchSink
from sinks.newest import Reader
from sinks.places import InClickHouse, InMeilisearch, Noun, in_catalogue
from sinks.postgres import PostgresSink, write_on
from sinks.pump import Sink, persist, write_around
from sinks.received import Change, Received, receive
from sinks.reconcile import Comparison, Difference, Stores, open_stores

NEW = "_rebuild"
"""Behind the names of what is being built."""
NEW_SCHEMA, OLD_SCHEMA = CATALOGUE + NEW, CATALOGUE + "_old"
LOCKS: dict[What, int] = {"clickhouse": REBUILD, "catalogue": REBUILD + 1, "meilisearch": REBUILD + 2}
LOCK_NOT_HAD = ("55P03", "40P01")
"""Not within the time; a deadlock with the sink, which takes the tables in the order of its batch."""
LOCK_WAIT_S, LOCK_TRIES = 2, 30
"""A swap in Postgres does not queue behind a long reader, where all later readers would queue behind it."""
NEAR = 1_000
"""Messages: the swap begins when no more than these came during the last look."""
PATIENCE_S = 120.0
"""How long a store may be away in the middle of a rebuild, for each write."""
MOVING_S = 60.0
"""How long the comparison waits for ids that change at every look."""
PASSES = 5
"""Over the messages around the swap, until they are there."""
EXCHANGE_NOT_SERVED = {48, 57, 62, 81, 392}
"""ClickHouse's codes for an engine or a front that cannot exchange: NOT_IMPLEMENTED and what stands for it."""


Erased = Callable[[Collection[str]], Awaitable[frozenset[str]]]
"""Of some users, those in the ledger of the erased."""
Write = Callable[[Sequence[Change]], Coroutine[Any, Any, None]]


class RebuildFailed(Exception):
    """The old tables or indexes are as they were."""


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild did."""

    what: What
    messages: int
    """Written, repeats included."""
    unreadable: int
    """Messages that no reader can use: they are rejections."""
    kept: dict[str, int]
    """Table -> rows taken over because Kafka may have forgotten them."""
    seconds: float
    swap_seconds: float

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Target(Protocol):
    """A store as a rebuild sees it."""

    store: str
    nouns: tuple[Noun, ...]
    """What is compared: the new tables, by the names they have now."""

    def prepare(self, received: Received) -> Change:
        """As the sink's."""
        ...

    async def write(self, changes: Sequence[Change]) -> None:
        """Into the new tables; after the swap, into those that are read. One write: it is tried again from outside."""
        ...

    async def clear(self) -> None:
        """Away with what is being built, or was replaced."""
        ...

    async def lay(self, erased: Erased) -> dict[str, int]:
        """New tables, empty but for what Kafka may have forgotten: table -> rows."""
        ...

    async def swap(self, fill: "Fill") -> None:
        """The new ones take the names of the old."""
        ...

    async def purge(self, erased: Erased) -> None:
        """Nothing of users who were erased meanwhile, in what is being built or, after the swap, is read."""
        ...


@dataclass
class Fill:
    """Topics on their way into a target."""

    consumer: AIOKafkaConsumer
    sink: Sink
    topics: tuple[str, ...]
    partitions: int
    upto: dict[TopicPartition, int] = field(default_factory=dict)
    """Offset of the next message."""
    messages: int = 0
    unreadable: int = 0

    async def catch_up(self, write: Write | None = None) -> int:
        """Write from where it stopped to what is there now; the number of messages."""
        parts = [TopicPartition(topic, p) for topic in self.topics for p in range(self.partitions)]
        begins = await self.consumer.beginning_offsets(parts)
        ends = await self.consumer.end_offsets(parts)
        starts = {part: max(begins[part], self.upto.get(part, 0)) for part in parts}
        count = 0
        async for records in records_between(self.consumer, starts, ends):
            count += len(records)
            changes = [change for record in records if (change := self._change(record)) is not None]
            if changes:
                await write_around(write or self._persist, changes)
        self.upto = {part: max(starts[part], ends[part]) for part in parts}
        self.messages += count
        return count

    async def _persist(self, changes: Sequence[Change]) -> None:
        await persist(
            lambda: self.sink.write(changes),
            store=self.sink.store,
            until=time.monotonic() + PATIENCE_S,
            given_up=lambda: False,
            clock=time.monotonic,
            sleep=asyncio.sleep,
        )

    def _change(self, record: ConsumerRecord) -> Change | None:
        try:
            return self.sink.prepare(receive(record))
        except MessageError:
            self.unreadable += 1
            return None


async def rebuild(
    settings: Settings,
    what: What,
    *,
    tell: Callable[[str], None] = lambda doing: None,
    shown: Callable[[str], None] = lambda moment: None,
) -> Rebuilt:
    """Make a store anew and put it in place. RebuildFailed, SettingsError, or StoreError: the old one is untouched.

    Of users in the ledger of the erased nothing is written or taken over; it is asked again after the swap. `shown` is
    told of moments between steps: tests stop there.
    """
    begun = time.monotonic()
    async with open_stores(settings) as stores, alone(settings, what), _target(settings, what) as target:
        tell("clearing away what an earlier one left")
        await target.clear()
        kept = await target.lay(stores.erased)
        shown("laid")
        topics = tuple(topic.name for topic in read_by(f"sink-{_SINKS[what]}"))
        fill = Fill(stores.consumer, AskingSink(target, stores.engine), topics, settings.partitions)
        tell("filling from Kafka")
        while await fill.catch_up() > NEAR:
            shown("filled")
        tell("comparing with Kafka")
        if differences := await _differences(stores, target.nouns, fill):
            await target.clear()
            raise RebuildFailed(_told(what, differences))
        shown("compared")
        while await fill.catch_up() > NEAR:
            tell("catching up")
        await target.purge(stores.erased)
        mark = dict(fill.upto)
        if what in PASSED_OVER:
            await broken_off.note(settings, what, mark)
        tell("swapping")
        swapping = time.monotonic()
        await target.swap(fill)
        swapped = time.monotonic() - swapping
        shown("swapped")
        tell("passing over what came around the swap")
        await _pass_over(stores, target, fill, mark)
        if what in PASSED_OVER:
            await broken_off.forget(settings, what, mark)
        await target.purge(stores.erased)
        await target.clear()
    return Rebuilt(what, fill.messages, fill.unreadable, kept, time.monotonic() - begun, swapped)


async def _differences(stores: Stores, nouns: Sequence[Noun], fill: Fill) -> list[Difference]:
    """Of what was built, beside Kafka; each look first brings it up to date."""

    async def commits() -> Mapping[str, Mapping[TopicPartition, int]]:
        await fill.catch_up()
        return {place.stage: fill.upto for noun in nouns for place in noun.places if place.stage}

    found: list[Difference] = []
    for noun in nouns:
        for compared in await Comparison(stores, noun, commits, time.monotonic() + MOVING_S).run():
            found += compared.named
    return found


async def _pass_over(stores: Stores, target: Target, fill: Fill, mark: Mapping[TopicPartition, int]) -> None:
    """Write what came since `mark` again, until each of its keys is as in Kafka.

    Once is enough as a rule. The sink may write one of these keys between our look at it and our write (Meilisearch),
    or after a tombstone that we do once more (ClickHouse).
    """
    for _ in range(PASSES):
        fill.upto = dict(mark)
        await fill.catch_up()
        left: list[Difference] = []
        for noun in target.nouns:
            of_topic = {part.partition: offset for part, offset in mark.items() if part.topic == noun.topic}
            reader = Reader(stores.consumer, noun.topic, upto=of_topic)
            await reader.read(list(of_topic))
            only = {newest.key: id_ for id_, newest in reader.known.items()}
            if not only:
                continue

            async def commits(noun: Noun = noun) -> Mapping[str, Mapping[TopicPartition, int]]:
                return {place.stage: fill.upto for place in noun.places if place.stage}

            comparison = Comparison(stores, noun, commits, time.monotonic(), only=only)
            left += [one for compared in await comparison.run() for one in compared.named]
        if not left:
            return
    raise RebuildFailed(
        f"{left[0].table} is swapped in, and {len(left)} ids of the moments around the swap are not as in Kafka "
        f"({left[0].noun} {left[0].id}: {left[0].how}). Remedy: start this rebuild again."
    )


def _told(what: What, differences: Sequence[Difference]) -> str:
    first = differences[0]
    return (
        f"the new {what} differs from Kafka in {len(differences)} ids, first {first.noun} {first.id}: {first.how}. "
        "The old one is untouched. Remedy: look whether something else writes into the tables that end in "
        f"{NEW}; else this is a fault of Gigz."
    )


@asynccontextmanager
async def alone(settings: Settings, what: What) -> AsyncIterator[None]:
    """One rebuild of a store at a time, by a lock that goes with the process. RebuildFailed when it is taken."""
    engine = postgres_engine(settings, pool_size=1, name=f"gigz-rebuild-{what}")
    told = {"lock_class": GIGZ, "number": LOCKS[what]}
    try:
        async with engine.connect() as session:
            await session.execution_options(isolation_level="AUTOCOMMIT")
            if not await session.scalar(TAKE, told):
                raise RebuildFailed(f"a rebuild of {what} runs already. Remedy: wait for it, or end it.")
            try:
                yield
            finally:
                await session.execute(GIVE, told)
    finally:
        await engine.dispose()


@asynccontextmanager
async def _target(settings: Settings, what: What) -> AsyncIterator[Target]:
    if what == "clickhouse":
        client = await clickhouse_async(settings)
        try:
            yield ClickHouseTarget(client)
        finally:
            await client.close()
    elif what == "catalogue":
        engine = postgres_engine(settings, pool_size=1, name="gigz-rebuild")
        try:
            yield CatalogueTarget(engine)
        finally:
            await engine.dispose()
    else:
        yield MeilisearchTarget(await asyncio.to_thread(meilisearch_client, settings))


_SINKS: dict[What, str] = {"clickhouse": "clickhouse", "catalogue": "postgres", "meilisearch": "meilisearch"}


class ClickHouseTarget:
    """Current tables and histories. Histories keep what they have: Kafka keeps the last version of each key only."""

    store = clickhouse.STORE

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._sink = ClickHouseSink(client, NEW)
        self.nouns = self._nouns(NEW)

    def _nouns(self, suffix: str) -> tuple[Noun, ...]:
        kinds: dict[str, type[Message]] = {
            "listings": Listing,
            "concerts": Concert,
            "suggestions": Suggestions,
            "decisions": Decision,
        }
        return tuple(Noun(n, kinds[n], (InClickHouse(self._client, n, f"{n}{suffix}"),)) for n in TABLES)

    @property
    def _tables(self) -> list[str]:
        return [name for table in TABLES for name in (table, f"{table}_history")]

    def prepare(self, received: Received) -> Change:
        """As the sink's."""
        return self._sink.prepare(received)

    async def write(self, changes: Sequence[Change]) -> None:
        """By the sink."""
        await self._sink.write(changes)

    async def clear(self) -> None:
        """The tables that end in `_rebuild`."""
        for table in self._tables:
            await self._client.command(f"DROP TABLE IF EXISTS {table}{NEW} SYNC")

    async def lay(self, erased: Erased) -> dict[str, int]:
        """Tables like those that are there; histories with their rows, but for erased users."""
        kept = {}
        for table in self._tables:
            await self._client.command(f"CREATE TABLE {table}{NEW} AS {table}")
            if table.endswith("_history"):
                gone = sorted(await erased(await self._users(table)))
                where = "user_id NOT IN {users:Array(String)}" if gone else "1"
                await self._client.command(
                    f"INSERT INTO {table}{NEW} SELECT * FROM {table} WHERE {where}",  # noqa: S608 - our names
                    parameters={"users": gone},
                )
                kept[table] = await self._count(f"{table}{NEW}")
        return kept

    async def swap(self, fill: Fill) -> None:
        """In one statement. Each table changes places in one moment."""
        pairs = [(table, f"{table}{NEW}") for table in self._tables]
        try:
            await self._client.command("EXCHANGE TABLES " + ", ".join(f"{old} AND {new}" for old, new in pairs))
        except ClickHouseError as error:
            if getattr(error, "code", None) not in EXCHANGE_NOT_SERVED:
                raise
            renames = [f"{old} TO {old}_old, {new} TO {old}, {old}_old TO {new}" for old, new in pairs]
            await self._client.command("RENAME TABLE " + ", ".join(renames))
        self._sink = ClickHouseSink(self._client)
        self.nouns = self._nouns("")

    async def purge(self, erased: Erased) -> None:
        """By mutation."""
        suffix = self.nouns[0].places[0].table.removeprefix(self.nouns[0].name)
        for table in self._tables:
            name = f"{table}{suffix}"
            if gone := sorted(await erased(await self._users(name))):
                await self._client.command(
                    f"ALTER TABLE {name} DELETE WHERE user_id IN {{users:Array(String)}}",
                    parameters={"users": gone},
                    settings={"mutations_sync": 1},
                )

    async def _users(self, table: str) -> list[str]:
        if not table.startswith(("suggestions", "decisions")):
            return []
        return [user for [user] in (await self._client.query(f"SELECT DISTINCT user_id FROM {table}")).result_rows]  # noqa: S608 - our names

    async def _count(self, table: str) -> int:
        [[count]] = (await self._client.query(f"SELECT count() FROM {table}")).result_rows  # noqa: S608 - our names
        return int(count)


_CATALOGUE_TABLES = [table for table in Base.metadata.sorted_tables if table.schema == CATALOGUE]
_NAMES = [table.name for table in _CATALOGUE_TABLES]
_GRANTS = text(
    """
    select format(
        'grant %s on %I.%I to %s', privilege_type, cast(:new as text), table_name,
        case when grantee = 'PUBLIC' then 'public' else quote_ident(grantee) end
    )
    from information_schema.role_table_grants where table_schema = :old and grantee <> grantor
    """
)
_TOPICS_OF_USERS = [name for name, topic in BY_NAME.items() if topic.of_users]
_OF_USERS = """
    select key, stage, origin_topic, body ->> 'original_key' as original_key, original from {schema}.rejections
    where origin_topic = any(:topics)
"""
"""Whose they are, the ledger's own reading says: by key, by body, by what is left of either."""
_FORGET_REJECTIONS = """
    delete from {schema}.rejections r
    using json_to_recordset(cast(:rows as json)) as g (key text, stage text) where (r.key, r.stage) = (g.key, g.stage)
"""


class CatalogueTarget:
    """Schema `catalogue`. Rejections keep what they have: their topic keeps 90 days only."""

    store = postgres.STORE

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._new = engine.execution_options(schema_translate_map={CATALOGUE: NEW_SCHEMA})
        self._sink = PostgresSink(self._new)
        self.nouns = self._nouns(NEW_SCHEMA)

    def _nouns(self, schema: str) -> tuple[Noun, ...]:
        kinds: dict[str, type[Message]] = {"concerts": Concert, "venues": Venue, "artists": Artist}
        return tuple(Noun(name, kind, (in_catalogue(self._engine, name, schema),)) for name, kind in kinds.items())

    def prepare(self, received: Received) -> Change:
        """As the sink's."""
        return self._sink.prepare(received)

    async def write(self, changes: Sequence[Change]) -> None:
        """By the sink."""
        await self._sink.write(changes)

    async def clear(self) -> None:
        """The schemas beside the one that is read."""
        async with self._engine.begin() as connection:
            for schema in (NEW_SCHEMA, OLD_SCHEMA):
                await connection.execute(text(f"drop schema if exists {schema} cascade"))

    async def lay(self, erased: Erased) -> dict[str, int]:
        """Tables as `schemas.tables` says, in a schema of their own, so that all names are as they will be."""
        async with self._new.begin() as connection:
            await connection.execute(text(f"create schema {NEW_SCHEMA}"))
            await connection.run_sync(lambda sync: Base.metadata.create_all(sync, _CATALOGUE_TABLES))
            for grant in list(await connection.scalars(_GRANTS, {"old": CATALOGUE, "new": NEW_SCHEMA})):
                await connection.execute(text(grant))
        async with self._engine.begin() as connection:
            copied = await connection.execute(
                text(f"insert into {NEW_SCHEMA}.rejections select * from {CATALOGUE}.rejections")  # noqa: S608 - our names
            )
            kept = copied.rowcount
        await self._purge(NEW_SCHEMA, erased)
        return {"rejections": kept}

    async def swap(self, fill: Fill) -> None:
        """One transaction: the sink is kept out, what came is written, the tables change schemas."""
        async with self._engine.begin() as connection:
            for name in _NAMES:  # else the planner knows nothing of them
                await connection.execute(text(f"analyze {NEW_SCHEMA}.{name}"))
        for _ in range(LOCK_TRIES):
            before = dict(fill.upto)
            try:
                async with self._engine.begin() as connection:
                    await self._swap_on(connection, fill)
                break
            except DBAPIError as error:
                fill.upto = before
                if sqlstate(error) not in LOCK_NOT_HAD:
                    raise
            await fill.catch_up()
        else:
            raise RebuildFailed(
                f"something has read the catalogue for {LOCK_TRIES * LOCK_WAIT_S} s without an end, so it could not be "
                "swapped; the old one is untouched. Remedy: see pg_stat_activity for a transaction that lasts; end it, "
                "then start this again."
            )
        self._sink = PostgresSink(self._engine)
        self.nouns = self._nouns(CATALOGUE)

    async def _swap_on(self, connection: AsyncConnection, fill: Fill) -> None:
        await connection.execute(text(f"set local lock_timeout = '{LOCK_WAIT_S}s'"))
        tables = ", ".join(f"{CATALOGUE}.{name}" for name in _NAMES)
        await connection.execute(text(f"lock table {tables} in access exclusive mode"))
        beside = await connection.execution_options(schema_translate_map={CATALOGUE: NEW_SCHEMA})

        async def write(changes: Sequence[Change]) -> None:
            try:
                async with beside.begin_nested():
                    await write_on(beside, changes)
            except DBAPIError as error:
                raise postgres.store_error(error) from error

        await fill.catch_up(write)
        await connection.execute(text(f"create schema {OLD_SCHEMA}"))
        for name in _NAMES:
            await connection.execute(text(f"alter table {CATALOGUE}.{name} set schema {OLD_SCHEMA}"))
            await connection.execute(text(f"alter table {NEW_SCHEMA}.{name} set schema {CATALOGUE}"))

    async def purge(self, erased: Erased) -> None:
        """Rejections of their messages."""
        await self._purge(NEW_SCHEMA if self._sink_is_beside else CATALOGUE, erased)

    @property
    def _sink_is_beside(self) -> bool:
        return self.nouns[0].places[0].table.startswith(NEW_SCHEMA)

    async def _purge(self, schema: str, erased: Erased) -> None:
        whose: dict[tuple[str, str], frozenset[str]] = {}
        async with self._engine.connect() as connection:
            asked = text(_OF_USERS.format(schema=schema))
            rows = await connection.stream(asked, {"topics": _TOPICS_OF_USERS}, execution_options={"yield_per": 100})
            async for row in rows:
                users = ledger.users_of(row.origin_topic, row.original_key, row.original)
                if users:
                    whose[row.key, row.stage] = users
        gone = await erased(frozenset().union(*whose.values()))
        if forgotten := [{"key": key, "stage": stage} for (key, stage), users in whose.items() if users & gone]:
            async with self._engine.begin() as connection:
                await connection.execute(
                    text(_FORGET_REJECTIONS.format(schema=schema)), {"rows": orjson.dumps(forgotten).decode()}
                )


class MeilisearchTarget:
    """All indexes, with the settings of this release."""

    store = search.STORE

    def __init__(self, client: meilisearch.Client) -> None:
        self._client = client
        self._sink = MeilisearchSink(client, NEW)
        self.nouns = self._nouns(NEW)

    def _nouns(self, suffix: str) -> tuple[Noun, ...]:
        kinds: dict[str, type[Message]] = {"concerts": Concert, "artists": Artist, "venues": Venue}
        return tuple(Noun(n, kinds[n], (InMeilisearch(self._client, n, f"{n}{suffix}"),)) for n in INDEXES)

    def prepare(self, received: Received) -> Change:
        """As the sink's."""
        return self._sink.prepare(received)

    async def write(self, changes: Sequence[Change]) -> None:
        """By the sink."""
        await self._sink.write(changes)

    async def clear(self) -> None:
        """The indexes that end in `_rebuild`."""
        for name in INDEXES:
            await self._sink.finish(partial(self._client.delete_index, name + NEW), fine="index_not_found")

    async def lay(self, erased: Erased) -> dict[str, int]:
        """Empty indexes; the names that are read are laid too, so that there is something to swap with."""
        await MeilisearchSink(self._client).lay_indexes()
        await self._sink.lay_indexes()
        return {}

    async def swap(self, fill: Fill) -> None:
        """One task: what was enqueued before it goes into the old ones, what comes after it into the new."""
        pairs: list[Mapping[str, list[str] | bool]] = [{"indexes": [name, name + NEW]} for name in INDEXES]
        await self._sink.finish(partial(self._client.swap_indexes, pairs))
        self._sink = MeilisearchSink(self._client)
        self.nouns = self._nouns("")

    async def purge(self, erased: Erased) -> None:
        """No document is of a user."""
