"""`gigz erase USER`, in order: ledger, tables, outbox, ClickHouse, topics, vacuum, compaction, search, receipt.

The ledger comes first, so that nothing is written again behind what was removed. Every step finds for itself what there
is left to do: after a crash the same command goes on.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import check_postgres, clickhouse, meilisearch_client, postgres_engine
from deploy.erasing import ErasureError, ledger, requests, stores, topics
from deploy.erasing.files import Living
from deploy.erasing.receipt import Receipt
from deploy.erasing.search import (
    Needles,
    Searched,
    needles_of,
    search_clickhouse,
    search_kafka,
    search_meilisearch,
    search_postgres,
    written_in,
)
from deploy.outbox import put_in_outbox
from deploy.settings import Settings
from schemas.erasure import How

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

T = TypeVar("T")
WAIT_S = 120.0
"""For compaction: the broker's cleaner looks every 15 s."""
SHUT = text("select pg_try_advisory_lock(:lock_class, 0)")
WRITTEN = text("select entry_id, cast(body as text) as body from state.entries where user_id = :user")
SHOWN = text("select entry_id from state.suggestions where user_id = :user")
OTHERS_IDS = text(
    """
    select entry_id from state.entries where user_id <> :user and entry_id = any(cast(:ids as text[]))
    union select entry_id from state.suggestions where user_id <> :user and entry_id = any(cast(:ids as text[]))
    union select entry_id from state.decisions where user_id <> :user and entry_id = any(cast(:ids as text[]))
    union select entry_id from state.journal where user_id <> :user and entry_id = any(cast(:ids as text[]))
    """
)
OTHERS_WORDS = text(
    """
    select body ->> 'note' as words from state.entries
    where user_id <> :user and body ->> 'note' = any(cast(:words as text[]))
    union select w.words from state.entries, jsonb_array_elements_text(body -> 'with') w (words)
    where user_id <> :user and jsonb_typeof(body -> 'with') = 'array' and w.words = any(cast(:words as text[]))
    """
)
EVERYBODY = text(
    " union ".join(f"select {column} from {table}" for table, column in stores.user_columns())  # noqa: S608 - declared
)
ENTER_HASH = text(
    "insert into state.erased (user_hash, receipt_id, erased_at) values (:hash, :receipt_id, :at) "
    "on conflict (user_hash) do nothing"
)

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Survey:
    """What there is of a user: store and place -> rows, messages."""

    there: dict[str, int]
    needles: Needles
    entered: ledger.Entered | None

    @property
    def unknown(self) -> bool:
        """Nobody ever heard of the user."""
        return not any(self.there.values()) and self.entered is None


async def survey(settings: Settings, user: str, tell: Tell = lambda _: None) -> Survey:
    """What would go; changes nothing. ErasureError, SettingsError."""
    async with _engine(settings) as engine:
        return await _survey(settings, engine, user, tell)


async def erase(
    settings: Settings,
    user: str,
    *,
    clock: Callable[[], datetime],
    wait_s: float = WAIT_S,
    compact: bool = True,
    tell: Tell = lambda _: None,
) -> Receipt:
    """Remove the user everywhere, then look for what is left. ErasureError; SettingsError when a store is away."""
    run_at = clock()
    async with _engine(settings) as engine, _alone(engine):
        found = await _survey(settings, engine, user, tell)
        if found.unknown:
            raise ErasureError(f"nobody knows a user {user!r}; nothing was done. Remedy: one of our ids.")
        notes: list[str] = []
        tell("the ledger")
        entered = await ledger.enter(engine, user, run_at)
        tell("the tables")
        await stores.remove_rows(engine, user, settings.outbox_shards)
        tell("ClickHouse")
        removed = await asyncio.to_thread(_with_clickhouse, settings, lambda client: stores.mutate(client, user))
        async with engine.begin() as connection:
            await ledger.count(connection, user, {f"clickhouse {name}": number for name, number in removed.items()})
        needles = await _end_topics(settings, engine, user, found.needles, tell)
        tell("vacuum")
        await stores.vacuum(engine)
        compacted = await _compacted(settings, user, entered, clock(), wait_s, compact, notes, tell)
        searched = await _search(settings, engine, needles, clock(), tell)
        if not searched.left:
            await ledger.prove(engine, user, clock())
        async with engine.connect() as connection:
            entered = await ledger.known(connection, user) or entered
        receipt = Receipt(
            entered.receipt_id,
            ledger.hash_of(user),
            entered.erased_at,
            run_at,
            entered.removed,
            searched,
            needles.as_json(),
            clock(),
            compacted,
            notes,
        )
        if receipt.clean:
            await requests.close(engine, receipt)
    return receipt


async def living(settings: Settings, lines: Iterable[bytes]) -> AsyncIterator[tuple[bytes, bool]]:
    """Rows or messages of files, line by line, and whether they may be used: not those of erased users."""
    async with _engine(settings) as engine, engine.connect() as connection:
        alive = Living(frozenset(await ledger.all_hashes(connection)))
    for line in lines:
        yield line, alive.of(line)


async def again(
    settings: Settings,
    receipts: Sequence[dict[str, object]],
    *,
    clock: Callable[[], datetime],
    wait_s: float = WAIT_S,
    compact: bool = True,
    tell: Tell = lambda _: None,
) -> list[Receipt]:
    """After a backup was restored: who stands in these receipts, or in the ledger, and is there, is erased again."""
    async with _engine(settings) as engine:
        async with engine.begin() as connection:
            for one in receipts:
                told = {"hash": one["user_hash"], "receipt_id": one["receipt"]}
                at = datetime.fromisoformat(str(one["erased_at"]))
                await connection.execute(ENTER_HASH, told | {"at": at})
        async with engine.connect() as connection:
            hashes = frozenset(await ledger.all_hashes(connection))
            users = set((await connection.execute(EVERYBODY)).scalars())
    names = stores.places("kafka", How.TOMBSTONES)
    scanned = await topics.scan(
        settings, names, lambda topic, key, value: _any_of(hashes, ledger.users_of(topic, key, value))
    )
    living_keys = topics.alive(scanned.found)
    for message in scanned.found:
        if (message.topic, message.key) in living_keys:
            users |= ledger.users_of(message.topic, message.key, message.value)
    users |= await asyncio.to_thread(_with_clickhouse, settings, stores.users_in_clickhouse)
    there = sorted(user for user in users if _any_of(hashes, {user}))
    return [await erase(settings, user, clock=clock, wait_s=wait_s, compact=compact, tell=tell) for user in there]


def _any_of(hashes: Collection[str], users: Collection[str]) -> bool:
    return any(ledger.hash_of(user) in hashes for user in users)


@asynccontextmanager
async def _engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    stores.check_registry()
    engine = postgres_engine(settings, pool_size=4, name="gigz-erase")
    try:
        await check_postgres(engine, settings)
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def _alone(engine: AsyncEngine) -> AsyncIterator[None]:
    """One erasure at a time; the lock goes with the session of a process that dies."""
    async with engine.connect() as connection:
        session = await connection.execution_options(isolation_level="AUTOCOMMIT")
        if not await session.scalar(SHUT, {"lock_class": stores.LOCK_CLASS}):
            raise ErasureError("another erasure is under way. Remedy: run this again when it is done.")
        try:
            yield
        finally:
            await session.invalidate()  # closes the connection itself; back in the pool it would keep the lock


async def _survey(settings: Settings, engine: AsyncEngine, user: str, tell: Tell) -> Survey:
    tell("what there is")
    async with engine.connect() as connection:
        entered = await ledger.known(connection, user)
        there = {f"postgres {name}": number for name, number in (await stores.count_rows(connection, user)).items()}
    names = [*stores.places("kafka", How.TOMBSTONES), *stores.places("kafka", How.EXPIRES)]
    scanned = await topics.scan(
        settings, names, topics.mine(user), tell=lambda number: tell(f"Kafka: {number:,} messages read")
    )
    for topic, messages in topics.by_topic(scanned.found).items():
        there[f"kafka {topic}"] = sum(message.value is not None for message in messages)
    counted = await asyncio.to_thread(_with_clickhouse, settings, lambda client: stores.count_clickhouse(client, user))
    there |= {f"clickhouse {name}": number for name, number in counted.items()}
    return Survey(there, await _needles(engine, user, scanned.found), entered)


async def _needles(engine: AsyncEngine, user: str, found: Sequence[topics.Message]) -> Needles:
    """What the user alone wrote, as far as it is still there to be read."""
    ids: set[str] = set()
    words: set[str] = set()
    async with engine.connect() as connection:
        for row in await connection.execute(WRITTEN, {"user": user}):
            ids.add(row.entry_id)
            words |= set(written_in(None if row.body is None else row.body.encode()))
        ids |= set((await connection.execute(SHOWN, {"user": user})).scalars())
        for message in found:
            ids.add(message.key.partition("/")[2])
            words |= set(written_in(message.value))
        ids -= set((await connection.execute(OTHERS_IDS, {"user": user, "ids": sorted(ids)})).scalars())
        words -= set((await connection.execute(OTHERS_WORDS, {"user": user, "words": sorted(words)})).scalars())
    return needles_of(user, ids, words)


async def _end_topics(settings: Settings, engine: AsyncEngine, user: str, before: Needles, tell: Tell) -> Needles:
    """A tombstone for each key whose last message still says something; what was read meanwhile is looked for, too."""
    names = stores.places("kafka", How.TOMBSTONES)
    tell("Kafka: looking for the user's messages")
    scanned = await topics.scan(settings, names, topics.mine(user))
    records = stores.tombstones(topics.alive(scanned.found), user)
    async with engine.begin() as connection:
        await put_in_outbox(connection, records, settings.outbox_shards)
        sent: dict[str, int] = {}
        for record in records:
            sent[f"kafka {record.topic}"] = sent.get(f"kafka {record.topic}", 0) + 1
        await ledger.count(connection, user, sent)
    tell(f"Kafka: {len(records):,} tombstones")
    await topics.until_published(settings, engine)
    now = await _needles(engine, user, scanned.found)
    return needles_of(user, before.entry_ids | now.entry_ids, before.words | now.words)


async def _compacted(
    settings: Settings,
    user: str,
    entered: ledger.Entered,
    now: datetime,
    wait_s: float,
    compact: bool,
    notes: list[str],
    tell: Tell,
) -> float | None:
    names = stores.places("kafka", How.TOMBSTONES)
    scanned = await topics.scan(settings, names, topics.mine(user))
    places = sorted({message.place for message in topics.due(scanned.found, now)})
    if not places:
        return None
    if not compact or wait_s <= 0:
        notes.append("Compaction was not waited for: it is the broker's, within its time. Run this again to see it.")
        return None
    tell(f"compaction of {len(places)} partitions")
    took = await topics.compact(settings, user, places, entered.receipt_id, now, wait_s=wait_s, tell=tell)
    if took is None:
        notes.append(f"The broker has not compacted all within {wait_s:.0f} s. Run this again to see it done.")
    return took


async def _search(settings: Settings, engine: AsyncEngine, needles: Needles, now: datetime, tell: Tell) -> Searched:
    done = Searched()
    for one in (
        await search_kafka(settings, needles, now, tell),
        await search_postgres(engine, needles, tell),
        await asyncio.to_thread(_with_clickhouse, settings, lambda client: search_clickhouse(client, needles)),
        await asyncio.to_thread(lambda: search_meilisearch(meilisearch_client(settings), needles)),
    ):
        done.looked |= one.looked
        done.found += one.found
    return done


def _with_clickhouse(settings: Settings, work: "Callable[[Client], T]") -> T:
    client = clickhouse(settings)
    try:
        return work(client)
    finally:
        client.close()


def read_receipt(body: bytes) -> dict[str, object]:
    """A receipt's file. ErasureError when it is none."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ErasureError(f"no receipt: {error}") from error
    if not isinstance(told, dict) or not {"receipt", "user_hash", "erased_at"} <= told.keys():
        raise ErasureError("no receipt: receipt, user_hash or erased_at is missing")
    return told
