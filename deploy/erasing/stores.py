"""What goes in PostgreSQL and ClickHouse: the walk over schemas/erasure.py, statement by statement.

The user is in the ledger before: nobody else writes these rows any more.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import LargeBinary, Table, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.erasing import ErasureError, ledger
from deploy.outbox import put_in_outbox
from deploy.wanted import recount
from schemas import erasure
from schemas.erasure import How, Place
from schemas.message import new_trace
from schemas.outgoing import Outgoing, tombstone
from schemas.tables import Base
from schemas.topics import BY_NAME, TOPICS

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

OUTBOX = "state.outbox"
WANTS = "state.wants"
REJECTIONS = "catalogue.rejections"
LOCK_CLASS = 0x67696765
"""Of the advisory lock that lets one erasure run at a time: "gige"."""

HASHED = f"lower(hex(SHA256(concat('{ledger.PREFIX.decode().strip()}\\n', user_id))))"
"""In ClickHouse, whose log of statements, and list of the mutations that were done, would keep the id."""

_KNOWN: dict[str, tuple[Mapping[str, Place], frozenset[How]]] = {
    "postgres": (erasure.POSTGRES, frozenset({How.DELETE_ROWS, How.NOTHING, How.LEDGER, How.REQUEST})),
    "kafka": (erasure.TOPICS, frozenset({How.TOMBSTONES, How.EXPIRES, How.NOTHING})),
    "clickhouse": (erasure.CLICKHOUSE, frozenset({How.DELETE_MUTATION, How.NOTHING})),
    "meilisearch": (erasure.MEILISEARCH, frozenset({How.NOTHING})),
}

LOCK_ENTRIES = text("select entry_id from state.entries where user_id = :user order by entry_id for update")
LOCK_WANTED = text(
    """
    select w.rev from state.wanted w join json_to_recordset(cast(:touched as json)) as r (artist_key text, year int)
    using (artist_key, year) order by artist_key, year for update of w
    """
)
MAY_BE_OF_USER = """
    origin_topic = any(cast(:topics as text[])) and (
        starts_with(body ->> 'original_key', :keys) or position(cast(:raw as bytea) in original) > 0
        or position(cast(:escaped as bytea) in original) > 0)
"""
"""Of rejections; takes `may_be_of`. What is not of users is no user's, whatever words are in it."""
CANDIDATES = text(
    "select key, stage, origin_topic, body ->> 'original_key' as original_key, original "  # noqa: S608 - of constants
    f"from catalogue.rejections where {MAY_BE_OF_USER}"
)
FORGET_REJECTIONS = text(
    """
    delete from catalogue.rejections r
    using json_to_recordset(cast(:rows as json)) as g (key text, stage text) where r.key = g.key and r.stage = g.stage
    """
)
STATISTICS = text(
    "select schemaname, tablename, attname, inherited from pg_stats where schemaname || '.' || tablename = :table"
)
CAN_CLEAR = text("select exists (select from pg_proc where proname = 'pg_clear_attribute_stats')")
CLEAR = text("select pg_clear_attribute_stats(:schema, :table, :column, :inherited)")


def check_registry() -> None:
    """ErasureError when a place is declared in a way that is not known here: before anything is removed."""
    for store, (places, known) in _KNOWN.items():
        for name, place in places.items():
            if place.how not in known:
                raise ErasureError(f"{store} {name} is declared {place.how.name}, which `gigz erase` does not know.")
            if store == "postgres" and place.how is How.DELETE_ROWS:
                assert place.user is not None
                binary = isinstance(_table(name).columns[place.user].type, LargeBinary)
                if binary and name != REJECTIONS:
                    raise ErasureError(f"postgres {name}.{place.user} holds bytes: `gigz erase` does not read those.")


def places(store: str, how: How) -> list[str]:
    """The declared places of a store that forget in this way."""
    return [name for name, place in _KNOWN[store][0].items() if place.how is how]


def _table(name: str) -> Table:
    return Base.metadata.tables[name]


def of_user(name: str) -> str:
    """The condition that finds a user's rows of a declared table, with `:user`."""
    place = erasure.POSTGRES[name]
    return f"{place.user} = :user" + (f" or {place.also} = :user" if place.also else "")


def user_columns() -> list[tuple[str, str]]:
    """(table, column) of every column that holds users' ids as they are."""
    return [
        (name, column)
        for name in places("postgres", How.DELETE_ROWS)
        if name not in {OUTBOX, REJECTIONS}
        for column in (erasure.POSTGRES[name].user, erasure.POSTGRES[name].also)
        if column
    ]


def topics_of_users() -> list[str]:
    """Their names."""
    return [topic.name for topic in TOPICS if topic.of_users]


def escaped(user: str) -> bytes:
    """The id as it stands within a JSON text."""
    return orjson.dumps(user)[1:-1]


async def count_rows(connection: AsyncConnection, user: str) -> dict[str, int]:
    """Table -> rows of the user."""
    found = {}
    for name in places("postgres", How.DELETE_ROWS):
        if name == REJECTIONS:
            found[name] = len(await _rejections(connection, user))
        else:
            query = text(f"select count(*) from {name} where {of_user(name)}")  # noqa: S608 - declared names
            found[name] = int(await connection.scalar(query, {"user": user}) or 0)
    return found


async def remove_rows(engine: AsyncEngine, user: str, shards: int) -> dict[str, int]:
    """Delete the user's rows in one transaction, entries locked first; what the outbox still held gets tombstones.

    What the relay has read already comes before them in its shard. Counts by table, in the ledger as well.
    """
    async with engine.begin() as connection:
        await connection.execute(LOCK_ENTRIES, {"user": user})
        removed: Counter[str] = Counter()
        waiting: set[tuple[str, str]] = set()
        touched: set[tuple[str, int]] = set()
        for name in places("postgres", How.DELETE_ROWS):
            if name == REJECTIONS:
                rows = await _rejections(connection, user)
                if rows:
                    await connection.execute(FORGET_REJECTIONS, {"rows": orjson.dumps(rows).decode()})
                removed[name] = len(rows)
                continue
            told = {OUTBOX: "topic, key", WANTS: "artist_key, year"}.get(name, "1")
            query = text(f"delete from {name} where {of_user(name)} returning {told}")  # noqa: S608 - declared names
            gone = (await connection.execute(query, {"user": user})).all()
            removed[name] = len(gone)
            if name == OUTBOX:
                waiting = {(row.topic, row.key) for row in gone}
            elif name == WANTS:
                touched = {(row.artist_key, row.year) for row in gone}
        records = tombstones((at for at in waiting if at[0] in places("kafka", How.TOMBSTONES)), user)
        if touched:
            counted = [{"artist_key": artist_key, "year": year} for artist_key, year in sorted(touched)]
            await connection.execute(LOCK_WANTED, {"touched": orjson.dumps(counted).decode()})
            records += await recount(connection, touched, ledger.STAGE)
        await put_in_outbox(connection, records, shards)
        await ledger.count(connection, user, {f"postgres {name}": number for name, number in removed.items()})
    return dict(removed)


def may_be_of(user: str) -> dict[str, Any]:
    """What `MAY_BE_OF_USER` takes; `ledger.users_of` says whose a row is."""
    return {"topics": topics_of_users(), "keys": f"{user}/", "raw": user.encode(), "escaped": escaped(user)}


async def _rejections(connection: AsyncConnection, user: str) -> list[dict[str, str]]:
    return [
        {"key": row.key, "stage": row.stage}
        for row in await connection.execute(CANDIDATES, may_be_of(user))
        if user in ledger.users_of(row.origin_topic, row.original_key, row.original)
    ]


def tombstones(keys: Iterable[tuple[str, str]], user: str) -> list[Outgoing]:
    """The end of each (topic, key), to the partition where the key is."""
    trace = new_trace()
    return [
        tombstone(
            BY_NAME[topic].message,
            key,
            trace=trace,
            stage=ledger.STAGE,
            partition_by=user if key.startswith(f"{user}/") else key,
        )
        for topic, key in sorted(keys)
    ]


async def vacuum(engine: AsyncEngine) -> list[str]:
    """Take what was deleted out of the pages, and the user out of the planner's statistics; the tables."""
    names = places("postgres", How.DELETE_ROWS)
    async with engine.connect() as connection:
        session = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await session.execute(text(f"vacuum (analyze) {', '.join(names)}"))
        # ANALYZE leaves the statistics of a table as they were when it finds no row in it.
        if await session.scalar(CAN_CLEAR):
            for name in names:
                if await session.scalar(text(f"select exists (select from {name})")):  # noqa: S608 - declared names
                    continue
                for row in (await session.execute(STATISTICS, {"table": name})).all():
                    told = {"schema": row.schemaname, "table": row.tablename, "column": row.attname}
                    await session.execute(CLEAR, told | {"inherited": row.inherited})
        await session.execute(text("vacuum pg_catalog.pg_statistic"))
    return names


def clickhouse_tables(client: "Client") -> list[str]:
    """The declared tables that are there, and others with the same column: a rebuild's, not swapped in yet."""
    declared = places("clickhouse", How.DELETE_MUTATION)
    columns = {erasure.CLICKHOUSE[name].user for name in declared}
    found = client.query(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND table IN "
        "(SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree')"
    ).result_rows
    return sorted({table for table, column in found if column in columns})


def count_clickhouse(client: "Client", user: str) -> dict[str, int]:
    """Table -> rows of the user, all versions."""
    found = {}
    for name in clickhouse_tables(client):
        query = f"SELECT count() FROM `{name}` WHERE {HASHED} = %(hash)s"  # noqa: S608 - the database's names
        found[name] = int(client.query(query, parameters={"hash": ledger.hash_of(user)}).result_rows[0][0])
    return found


def users_in_clickhouse(client: "Client") -> set[str]:
    """Everybody who has a row."""
    users: set[str] = set()
    for name in clickhouse_tables(client):
        users |= {row[0] for row in client.query(f"SELECT DISTINCT user_id FROM `{name}`").result_rows}  # noqa: S608
    return users


def mutate(client: "Client", user: str) -> dict[str, int]:
    """Delete the user's rows by mutation, done on every replica on return; what remains is merged. Counts by table."""
    found = count_clickhouse(client, user)
    for name, number in found.items():
        if number:
            client.command(
                f"ALTER TABLE `{name}` DELETE WHERE {HASHED} = %(hash)s",
                parameters={"hash": ledger.hash_of(user)},
                settings={"mutations_sync": 2},
            )
            client.command(f"OPTIMIZE TABLE `{name}` FINAL")
    return found
