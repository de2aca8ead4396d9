"""Where each noun rests, and how a place is read: in pages, by its own keys, or some of it by id.

Pages go by the primary key, so nothing is held open and nothing is sorted; what is written meanwhile may be read or
not, and is looked at again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any, Protocol
from uuid import UUID

import meilisearch
from clickhouse_connect.driver.asyncclient import AsyncClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.concert import Concert
from schemas.decision import Decision
from schemas.listing import Listing
from schemas.message import Message
from schemas.reference import Artist, Venue
from schemas.suggestion import Suggestions
from schemas.tables import CATALOGUE
from sinks.held import (
    Form,
    Held,
    catalogue_row,
    clickhouse_row,
    document,
    of_ranks,
    of_row,
    state_row,
)
from sinks.received import Received, Row

PAGE = 5_000
DOCUMENTS = 1_000
"""Of a page of Meilisearch, which answers with whole documents."""


class Place(Protocol):
    """A table or an index that holds one noun."""

    @property
    def name(self) -> str:
        """postgres, postgres-state, clickhouse or meilisearch."""
        ...

    @property
    def table(self) -> str:
        """As its store calls it."""
        ...

    @property
    def form(self) -> Form:
        """What of a message it holds."""
        ...

    @property
    def stage(self) -> str | None:
        """Who writes it from Kafka; None where Kafka is told afterwards, by the outbox."""
        ...

    def pages(self, since: datetime | None = None) -> AsyncIterator[list[Held]]:
        """Everything in it; only what was written since, where the place knows when."""
        ...

    async def some(self, ids: Sequence[str]) -> dict[str, Held]:
        """These, as far as they are there."""
        ...


@dataclass(frozen=True)
class Table:
    """How a table of Postgres is read."""

    kind: type[Message]
    columns: str
    id_columns: tuple[str, ...]
    expected: Callable[[Received], Row]
    version: str
    where: str = "true"
    latest: str = ""
    """Where an id has many rows: which comes first."""


@dataclass(frozen=True)
class InPostgres:
    """A table of Postgres."""

    engine: AsyncEngine
    name: str
    schema: str
    noun: str
    read: Table
    stage: str | None = None
    form: Form = Form.WHOLE

    @property
    def table(self) -> str:
        """With its schema."""
        return f"{self.schema}.{self.noun}"

    async def pages(self, since: datetime | None = None) -> AsyncIterator[list[Held]]:
        """By primary key."""
        after: tuple[Any, ...] | None = None
        while True:
            where = f"updated_at >= :since and {self.read.where}" if since else self.read.where
            told: dict[str, Any] = {"since": since} if since else {}
            if after is not None:
                where += (
                    f" and ({', '.join(self.read.id_columns)}) > ({', '.join(f':a{n}' for n in range(len(after)))})"
                )
                told |= {f"a{n}": value for n, value in enumerate(after)}
            rows = await self._ask(where, told, PAGE)
            if rows:
                yield [self._held(row) for row in rows]
            if len(rows) < PAGE:
                return
            after = tuple(rows[-1][name] for name in self.read.id_columns)

    async def some(self, ids: Sequence[str]) -> dict[str, Held]:
        """By primary key."""
        found: dict[str, Held] = {}
        for start in range(0, len(ids), PAGE):
            asked = ids[start : start + PAGE]
            if len(self.read.id_columns) == 1:
                where = f"{self.read.id_columns[0]} = any(cast(:ids as uuid[]))"
                told: dict[str, Any] = {"ids": _uuids(asked)}
            else:
                where = (
                    "(user_id, entry_id) in (select * from unnest(cast(:users as text[]), cast(:entries as text[])))"
                )
                told = {
                    "users": [id_.partition("/")[0] for id_ in asked],
                    "entries": [id_.partition("/")[2] for id_ in asked],
                }
            rows = await self._ask(f"{where} and {self.read.where}", told, None)
            found |= {held.id: held for held in map(self._held, rows)}
        return found

    async def _ask(self, where: str, told: dict[str, Any], most: int | None) -> list[Row]:
        key = ", ".join(self.read.id_columns)
        first = f"distinct on ({key})" if self.read.latest else ""
        order = f"{key}, {self.read.latest}" if self.read.latest else key
        limit = "" if most is None else f"limit {most}"
        sql = f"select {first} {self.read.columns} from {self.table} where {where} order by {order} {limit}"  # noqa: S608 - our names
        async with self.engine.connect() as connection:
            return [dict(row._mapping) for row in await connection.execute(text(sql), told)]

    def _held(self, row: Row) -> Held:
        id_ = "/".join(str(row[name]) for name in self.read.id_columns)
        key = f"{row['source']}:{row['source_id']}" if self.read.kind is Listing else id_
        version = row[self.read.version]
        return of_row(self.read.kind, row, self.read.expected, id=id_, key=key, version=version)


_BODY = "cast(body as text) as body"
_STATE = {
    "listings": Table(
        Listing, f"listing_id, source, source_id, version, night, {_BODY}", ("listing_id",), state_row, "version"
    ),
    "concerts": Table(Concert, f"concert_id, rev, night, {_BODY}", ("concert_id",), state_row, "rev", where="live"),
    "suggestions": Table(
        Suggestions,
        f"user_id, entry_id, rev, suggestion_ids, confidence, {_BODY}",
        ("user_id", "entry_id"),
        state_row,
        "rev",
    ),
    "decisions": Table(
        Decision,
        "user_id, entry_id, decision_id, suggestion_id, concert_id, cast(action as text) as action, decided_at, "
        f"cast(extract(epoch from decided_at) * 1000000 as bigint) as version, {_BODY}",
        ("user_id", "entry_id"),
        state_row,
        "version",
        latest="decided_at desc, seq desc",
    ),
}
_CATALOGUE = {
    "concerts": Table(
        Concert,
        f"concert_id, rev, gone, artist, artist_key, night, city, country, cast(status as text) as status, {_BODY}",
        ("concert_id",),
        catalogue_row,
        "rev",
        where="not gone",
    ),
    "venues": Table(Venue, f"venue_id, version, name, city, country, {_BODY}", ("venue_id",), catalogue_row, "version"),
    "artists": Table(Artist, f"artist_id, version, name, {_BODY}", ("artist_id",), catalogue_row, "version"),
}


def in_state(engine: AsyncEngine, noun: str) -> InPostgres:
    """What a stage keeps of a noun: of listings a copy of what came, of the others what goes to Kafka from there."""
    name = "postgres-state" if noun in _CATALOGUE else "postgres"
    return InPostgres(engine, name, "state", noun, _STATE[noun], "resolve" if noun == "listings" else None)


def in_catalogue(engine: AsyncEngine, noun: str, schema: str = CATALOGUE) -> InPostgres:
    """What the API shows of a noun."""
    return InPostgres(engine, "postgres", schema, noun, _CATALOGUE[noun], "sink-postgres")


@dataclass(frozen=True)
class InClickHouse:
    """A table of ClickHouse; FINAL, so that every id is there once."""

    client: AsyncClient
    noun: str
    table: str
    name: str = "clickhouse"
    stage: str | None = "sink-clickhouse"

    @property
    def form(self) -> Form:
        """Suggestions without what the user wrote."""
        return Form.SET if self.noun == "suggestions" else Form.WHOLE

    @property
    def _id_columns(self) -> tuple[str, ...]:
        return _CLICKHOUSE_IDS[self.noun]

    async def pages(self, since: datetime | None = None) -> AsyncIterator[list[Held]]:
        """By primary key; the ranks of an entry stay together."""
        after: tuple[Any, ...] | None = None
        while True:
            told: dict[str, Any] = {}
            where = ["1"]
            if since is not None:
                where.append("published_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')")
                told["since"] = int(since.timestamp() * 1000)
            if after is not None:
                named = [f"{{a{n}:{_type(name)}}}" for n, name in enumerate(self._id_columns)]
                where.append(f"({', '.join(self._id_columns)}) > ({', '.join(named)})")
                told |= {f"a{n}": value for n, value in enumerate(after)}
            rows = await self._ask(" AND ".join(where), told, PAGE)
            whole, more = rows, len(rows) == PAGE
            if more and self.noun == "suggestions":
                last = self._id(rows[-1])
                whole = [row for row in rows if self._id(row) != last]
            if whole:
                yield self._held(whole)
            if not more:
                return
            after = tuple(whole[-1][name] for name in self._id_columns)

    async def some(self, ids: Sequence[str]) -> dict[str, Held]:
        """By primary key."""
        found: dict[str, Held] = {}
        for start in range(0, len(ids), DOCUMENTS):
            asked = ids[start : start + DOCUMENTS]
            if len(self._id_columns) == 1:
                where = f"{self._id_columns[0]} IN {{ids:Array(UUID)}}"
                told = {"ids": [str(id_) for id_ in _uuids(asked)]}
            else:
                # The users as well: they are the first column of the key.
                where = "user_id IN {users:Array(String)} AND concat(user_id, '/', entry_id) IN {ids:Array(String)}"
                told = {"ids": list(asked), "users": sorted({id_.partition("/")[0] for id_ in asked})}
            found |= {held.id: held for held in self._held(await self._ask(where, told, None))}
        return found

    async def _ask(self, where: str, told: dict[str, Any], most: int | None) -> list[Row]:
        order = ", ".join((*self._id_columns, "rank")) if self.noun == "suggestions" else ", ".join(self._id_columns)
        limit = "" if most is None else f"LIMIT {most}"
        sql = f"SELECT * FROM {self.table} FINAL WHERE {where} ORDER BY {order} {limit}"  # noqa: S608 - our names
        return list((await self.client.query(sql, parameters=told)).named_results())

    def _id(self, row: Row) -> str:
        return "/".join(str(row[name]) for name in self._id_columns)

    def _held(self, rows: Sequence[Row]) -> list[Held]:
        if self.noun == "suggestions":
            return [of_ranks(list(ranks)) for _, ranks in groupby(rows, self._id)]
        kind = _CLICKHOUSE_KINDS[self.noun]
        version = "rev" if kind is Concert else "version"
        held = []
        for row in rows:
            id_ = self._id(row)
            key = f"{row['source']}:{row['source_id']}" if kind is Listing else id_
            held.append(of_row(kind, row, clickhouse_row, id=id_, key=key, version=row[version]))
        return held


_CLICKHOUSE_IDS = {
    "listings": ("listing_id",),
    "concerts": ("concert_id",),
    "suggestions": ("user_id", "entry_id"),
    "decisions": ("user_id", "entry_id"),
}
_CLICKHOUSE_KINDS: dict[str, type[Message]] = {"listings": Listing, "concerts": Concert, "decisions": Decision}


@dataclass(frozen=True)
class InMeilisearch:
    """An index of Meilisearch, whole documents."""

    client: meilisearch.Client
    noun: str
    table: str
    name: str = "meilisearch"
    stage: str | None = "sink-meilisearch"
    form: Form = Form.DOCUMENT

    async def pages(self, since: datetime | None = None) -> AsyncIterator[list[Held]]:
        """By position. Documents do not say when they were written: with `since`, none."""
        offset = 0
        while since is None:
            found = await self._ask({"offset": offset, "limit": DOCUMENTS})
            if found:
                yield found
            if len(found) < DOCUMENTS:
                return
            offset += DOCUMENTS

    async def some(self, ids: Sequence[str]) -> dict[str, Held]:
        """By id."""
        found: dict[str, Held] = {}
        for start in range(0, len(ids), DOCUMENTS):
            asked = list(ids[start : start + DOCUMENTS])
            found |= {held.id: held for held in await self._ask({"ids": asked, "limit": len(asked)})}
        return found

    async def _ask(self, asked: dict[str, Any]) -> list[Held]:
        results = (await asyncio.to_thread(self.client.index(self.table).get_documents, asked)).results
        kinds: dict[str, type[Message]] = {"concerts": Concert, "artists": Artist, "venues": Venue}
        return [document(kinds[self.noun].topic, dict(one)) for one in results]


@dataclass(frozen=True)
class Noun:
    """A kind of thing, its topic, and the places that hold it."""

    name: str
    kind: type[Message]
    places: tuple[Place, ...]

    @property
    def topic(self) -> str:
        """Where it travels."""
        return self.kind.topic

    def at(self, names: Sequence[str]) -> "Noun":
        """The same, of these places only."""
        return replace(self, places=tuple(place for place in self.places if place.name in names))


def nouns(engine: AsyncEngine, clickhouse: AsyncClient, search: meilisearch.Client) -> tuple[Noun, ...]:
    """Everything that rests in more than one place."""
    return (
        Noun("listings", Listing, (in_state(engine, "listings"), InClickHouse(clickhouse, "listings", "listings"))),
        Noun(
            "concerts",
            Concert,
            (
                in_catalogue(engine, "concerts"),
                in_state(engine, "concerts"),
                InClickHouse(clickhouse, "concerts", "concerts"),
                InMeilisearch(search, "concerts", "concerts"),
            ),
        ),
        Noun(
            "suggestions",
            Suggestions,
            (in_state(engine, "suggestions"), InClickHouse(clickhouse, "suggestions", "suggestions")),
        ),
        Noun(
            "decisions", Decision, (in_state(engine, "decisions"), InClickHouse(clickhouse, "decisions", "decisions"))
        ),
        Noun("venues", Venue, (in_catalogue(engine, "venues"), InMeilisearch(search, "venues", "venues"))),
        Noun("artists", Artist, (in_catalogue(engine, "artists"), InMeilisearch(search, "artists", "artists"))),
    )


def _uuids(ids: Sequence[str]) -> list[UUID]:
    found = []
    for id_ in ids:
        try:
            found.append(UUID(id_))
        except ValueError:  # an id made by hand: no table of ours can have it
            continue
    return found


def _type(column: str) -> str:
    return "UUID" if column.endswith("_id") and column not in {"user_id", "entry_id"} else "String"
