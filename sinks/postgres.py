"""Concerts, venues, artists and rejections into PostgreSQL's schema `catalogue`, for the API to show.

One upsert statement for each table of a batch, all in one transaction; a row gives way only to the same version or a
newer one. A concert's tombstone keeps the row as gone, with its rev, so that an older message loses; tombstones
without a version delete.

PostgreSQL's text and jsonb cannot hold NUL characters: they are taken out, here only.

What its codes mean stands in `deploy.failures`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from psycopg.types.array import ListBinaryDumper
from sqlalchemy import ARRAY, Column, ColumnElement, Table, Text, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.dml import Delete, Insert

from deploy.clients import check_postgres, postgres_engine
from deploy.failures import POSTGRES_NOT_MIGRATED, REPORT_IT, Meaning, in_no_table, postgres_meaning, sqlstate
from deploy.settings import Settings
from schemas.concert import Concert
from schemas.message import MessageError, body_without_nul, canonical, without_nul
from schemas.reference import Artist, Venue
from schemas.rejection import Rejection
from schemas.tables import Base, CatalogueArtist, CatalogueConcert, CatalogueRejection, CatalogueVenue
from sinks.errors import BadRows, StoreAway, StoreError, StoreRefuses
from sinks.pump import START_AGAIN
from sinks.received import Change, Received, expect, settle

STORE = "postgres"
_OURS = {"created_at", "updated_at"}


class PostgresSink:
    """A sink of the pump; `open_postgres_sink` makes one."""

    store = STORE

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writing = False

    def prepare(self, received: Received) -> Change:
        """The row of the message."""
        return change_of(received)

    async def write(self, changes: Sequence[Change]) -> None:
        """One transaction. StoreAway, StoreRefuses or BadRows."""
        if self._writing:
            # The last write was given up without an end: the pool's one connection still waits for a silent server.
            self._engine.sync_engine.dispose(close=False)
        self._writing = True
        try:
            async with self._engine.begin() as connection:
                await write_on(connection, changes)
        except (DBAPIError, OSError) as error:
            raise store_error(error) from error
        finally:
            self._writing = False


async def write_on(connection: AsyncConnection, changes: Sequence[Change]) -> None:
    """The statements of a batch, in a transaction that is the caller's."""
    # As text, each quote of a body is escaped by itself: nine tenths of this process's time in a write.
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None
    raw.adapters.register_dumper(list, ListBinaryDumper)
    for name, settled in settle(changes).items():
        if settled.forgotten:
            await connection.execute(_FORGET[name], {"keys": [UUID(key) for key in settled.forgotten]})
        rows = [row for change in settled.last for row in change.rows]
        if rows:
            columns = {column: [row[column] for row in rows] for column in rows[0]}
            await connection.execute(_UPSERT[name], columns)


@asynccontextmanager
async def open_postgres_sink(settings: Settings) -> AsyncIterator[PostgresSink]:
    """A sink with a pool of its own. SettingsError when nobody answers, StoreRefuses without our tables."""
    engine = postgres_engine(settings, pool_size=1, name="gigz-sink-postgres")
    try:
        await check_postgres(engine, settings)
        await _check_tables(engine)
        yield PostgresSink(engine)
    finally:
        await engine.dispose()


async def _check_tables(engine: AsyncEngine) -> None:
    try:
        async with engine.connect() as connection:
            for kind in _VERSIONS:
                await connection.execute(select(kind).limit(0))
    except (DBAPIError, OSError) as error:
        raise store_error(error) from error


def store_error(error: DBAPIError | OSError) -> StoreError | BadRows:
    """What PostgreSQL's answer means for a write that is done again. A mistake of ours is raised as it is."""
    original = getattr(error, "orig", None) or error
    code = sqlstate(error)
    why = " ".join(str(original).split())[:300]
    match postgres_meaning(error):
        case None:
            raise error
        case Meaning.PASSES:
            return StoreAway(STORE, f"{code} {why}".strip(), START_AGAIN, code or "no_answer")
        case Meaning.BAD_DATA:
            return BadRows(f"PostgreSQL {code}: {why}")
    if code.startswith(POSTGRES_NOT_MIGRATED):
        return StoreRefuses(STORE, f"{code} {why}", "`gigz migrate`, then start this worker again")
    if in_no_table(code):
        return StoreRefuses(STORE, f"{code} {why}", REPORT_IT)
    return StoreRefuses(STORE, f"{code} {why}", "correct user, password, rights or database in GIGZ_POSTGRES_URL")


def change_of(received: Received) -> Change:
    """A message of one of our four topics as a row."""
    match received.origin.topic:
        case Concert.topic:
            return _concert(received)
        case Venue.topic:
            return _venue(received)
        case Artist.topic:
            return _artist(received)
        case Rejection.topic:
            return _rejection(received)
        case other:
            raise TypeError(f"{other} is not for PostgreSQL")


def _concert(received: Received) -> Change:
    concert_id = received.uuid_key()
    if received.message is None:
        rev = received.tombstone_rev()
        empty = dict.fromkeys(("artist", "artist_key", "night", "city", "country", "status", "body"))
        row = {"concert_id": concert_id, "rev": rev, "gone": True, **empty}
    else:
        concert = expect(received.message, Concert)
        rev = concert.rev
        row = {
            "concert_id": concert_id,
            "rev": rev,
            "gone": False,
            "artist": _text(concert.artist),
            "artist_key": _text(concert.artist_key),
            "night": concert.night,
            "city": _text(concert.place.city),
            "country": concert.place.country,
            "status": concert.status,
            "body": body_without_nul(received.value).decode(),
        }
    return Change("concerts", received.key, received.origin, rev, (row,))


def _venue(received: Received) -> Change:
    if received.message is None:
        return Change("venues", str(received.uuid_key()), received.origin, None)
    venue = expect(received.message, Venue)
    row = {
        "venue_id": venue.venue_id,
        "version": venue.version,
        "name": _text(venue.name),
        "city": _text(venue.place.city),
        "country": venue.place.country,
        "body": body_without_nul(received.value).decode(),
    }
    return Change("venues", received.key, received.origin, venue.version, (row,))


def _artist(received: Received) -> Change:
    if received.message is None:
        return Change("artists", str(received.uuid_key()), received.origin, None)
    artist = expect(received.message, Artist)
    row = {
        "artist_id": artist.artist_id,
        "version": artist.version,
        "name": _text(artist.name),
        "body": body_without_nul(received.value).decode(),
    }
    return Change("artists", received.key, received.origin, artist.version, (row,))


def _rejection(received: Received) -> Change:
    if received.message is None:
        raise MessageError("missing_field", "a rejection without a body")
    rejection = expect(received.message, Rejection)
    try:
        original = rejection.original_bytes
    except ValueError as error:
        raise MessageError("bad_value", f"original: {error}") from error
    row = {
        "key": _text(rejection.key),
        "stage": _text(rejection.stage),
        "source": _text(rejection.source),
        "reason": rejection.reason,
        "text": _text(rejection.text),
        "origin_topic": _text(rejection.origin_topic),
        "rejected_at": rejection.rejected_at,
        "original": original,
        "original_size": rejection.original_size,
        "body": _json(rejection.model_dump(mode="json", exclude_none=True, exclude={"original"})),
    }
    # One message may be refused by several stages. A repeat has the same content: the later one stays.
    return Change("rejections", f"{rejection.key} {rejection.stage}", received.origin, 0, (row,))


def _json(value: Any) -> str:
    return canonical(without_nul(value)).decode()


def _text(value: str | None) -> str | None:
    return value.replace("\x00", "") if value else value


def _upsert(table: Table, version: str) -> Insert:
    """INSERT ... SELECT unnest(...) ON CONFLICT: one array for each column, whatever the number of rows."""
    columns = [column for column in table.columns if column.name not in _OURS]
    statement = insert(table).from_select([column.name for column in columns], select(*map(_unnested, columns)))
    written = {column.name: statement.excluded[column.name] for column in columns if not column.primary_key}
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_=written | {"updated_at": func.now()},
        where=statement.excluded[version] >= table.c[version],
    )


def _unnested(column: Column[Any]) -> ColumnElement[Any]:
    if isinstance(column.type, JSONB):  # bodies are texts already: PostgreSQL alone parses them
        return func.unnest(bindparam(column.name, type_=ARRAY(Text()))).cast(JSONB)
    return func.unnest(bindparam(column.name, type_=ARRAY(column.type)))


def _forget(table: Table) -> Delete:
    (key,) = table.primary_key.columns
    return delete(table).where(key == func.any(bindparam("keys", type_=ARRAY(key.type))))


def _table(kind: type[Base]) -> Table:
    table = kind.__table__
    assert isinstance(table, Table)
    return table


_VERSIONS = {CatalogueConcert: "rev", CatalogueVenue: "version", CatalogueArtist: "version"} | {
    # A repeat says the same at a later time.
    CatalogueRejection: "rejected_at"
}
_UPSERT = {_table(kind).name: _upsert(_table(kind), version) for kind, version in _VERSIONS.items()}
_FORGET = {_table(kind).name: _forget(_table(kind)) for kind in (CatalogueVenue, CatalogueArtist)}
"""Tables whose tombstones have no version."""
