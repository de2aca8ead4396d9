"""What each source showed last of each item: `state.seen`.

A row is written once Kafka acknowledged the item, and says so: what has the same content is not published again. A row
that a later crawl wrote is never overwritten by an earlier one, whatever the order in which they get here.

Errors
    NotRemembered    PostgreSQL stayed away; the message names the setting and the remedy
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import unusable
from deploy.failures import Meaning, pauses, postgres_meaning
from deploy.settings import Settings
from schemas.message import body_without_nul
from schemas.raw import RawKind, RawMessage
from spiders.formats.base import told_night

T = TypeVar("T")
PAGE = 500
"""Rows read at a time of those that are to vanish."""


class NotRemembered(Exception):
    """PostgreSQL did not answer in time."""


class Key(NamedTuple):
    """What an item is known by."""

    topic: str
    source: str
    source_id: str


class Known(NamedTuple):
    """What was published of it last."""

    content_hash: str
    seen_at: datetime | None
    """The message's time: whatever comes after it must be later to count."""
    vanished: bool = False


class Sighting(NamedTuple):
    """A published item, as it is to be remembered: its fields in writing, which takes a fraction of their memory."""

    key: Key
    content_hash: str
    seen_at: datetime
    at: datetime
    """When the spider saw it, by its own clock."""
    run_id: UUID
    scope: str
    vanished: bool
    night: date | None
    """Of the fields' date, where it can be told."""
    record: bytes
    """What its vanishing will be told with, as JSON: url, spider, fields, seen_at."""

    @property
    def known(self) -> Known:
        """What is known once it is remembered."""
        return Known(self.content_hash, self.seen_at, self.vanished)

    @property
    def row(self) -> dict[str, Any]:
        """As the table has it."""
        return {
            "topic": self.key.topic,
            "source": self.key.source,
            "source_id": self.key.source_id,
            "content_hash": self.content_hash,
            "night": self.night,
            "scope": self.scope,
            "run_id": self.run_id,
            "last_seen_at": self.at,
            "vanished": self.vanished,
            "record": orjson.Fragment(self.record),
        }


def sighting(message: RawMessage, key: Key, *, at: datetime, run_id: UUID, scope: str) -> Sighting:
    """Of a message that was published."""
    record = {"url": message.url, "spider": message.spider, "fields": message.fields, "seen_at": message.seen_at}
    return Sighting(
        key,
        message.content_hash,
        message.seen_at,
        at,
        run_id,
        scope,
        message.kind is RawKind.VANISHED,
        told_night(message.fields.get("date")),
        orjson.dumps(record, option=orjson.OPT_NON_STR_KEYS),
    )


@dataclass(frozen=True)
class Scope:
    """What one crawl answers for."""

    name: str
    run_id: UUID
    began: datetime
    """What was seen since, another crawl saw meanwhile."""
    ahead_of: date | None = None
    """Of an agenda: a night up to this one left it by itself."""

    @property
    def parameters(self) -> dict[str, Any]:
        """For the queries."""
        return {"scope": self.name, "run": self.run_id, "began": self.began, "ahead_of": self.ahead_of}


class Gone(NamedTuple):
    """A row of something that its scope shows no more."""

    key: Key
    content_hash: str
    record: Mapping[str, Any]


_COUNTED = """
    scope = :scope and not vanished
    and (cast(:ahead_of as date) is null or night is null or night > cast(:ahead_of as date))
"""
_MISSING = "run_id <> :run and last_seen_at <= :began"
# One parameter of JSON: psycopg's arrays of text cost more than all the rest of a delivery.
_ASKED = "json_to_recordset(cast(:keys as json)) as asked (topic text, source text, source_id text)"
KNOWN = text(f"""
    select topic, source, source_id, content_hash, record ->> 'seen_at' as seen_at, vanished
    from {_ASKED} join state.seen using (topic, source, source_id)
""")  # noqa: S608 - of our own constants
TOUCH = text(f"""
    update state.seen set run_id = :run, scope = :scope, last_seen_at = :at, updated_at = now() from {_ASKED}
    where (seen.topic, seen.source, seen.source_id) = (asked.topic, asked.source, asked.source_id)
    and seen.last_seen_at <= :at
""")  # noqa: S608 - of our own constants
REMEMBER = text("""
    insert into state.seen as old
        (topic, source, source_id, content_hash, night, scope, run_id, last_seen_at, vanished, record)
    select * from json_to_recordset(cast(:rows as json)) as coming (
        topic text, source text, source_id text, content_hash text, night date, scope text, run_id uuid,
        last_seen_at timestamptz, vanished boolean, record jsonb
    )
    on conflict (topic, source, source_id) do update set
        content_hash = excluded.content_hash, night = excluded.night, scope = excluded.scope, run_id = excluded.run_id,
        last_seen_at = excluded.last_seen_at, vanished = excluded.vanished, record = excluded.record, updated_at = now()
    where old.last_seen_at <= excluded.last_seen_at
""")
LOST = text(f"""
    select count(*) as counted, count(*) filter (where {_MISSING}) as missing from state.seen where {_COUNTED}
""")  # noqa: S608 - of our own constants
GONE = text(f"""
    select topic, source, source_id, content_hash, record from state.seen
    where {_COUNTED} and {_MISSING} and (topic, source, source_id) > (:topic, :source, :source_id)
    order by topic, source, source_id limit :most
""")  # noqa: S608 - of our own constants


class Memory:
    """Of all crawls; each statement is a transaction of its own and tried again while PostgreSQL is away."""

    def __init__(self, engine: AsyncEngine, settings: Settings) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._settings = settings

    async def known(self, keys: Iterable[Key]) -> dict[Key, Known]:
        """What was published last of each, where anything was. NotRemembered."""
        asked = set(keys)
        if not asked:
            return {}
        return {
            Key(row.topic, row.source, row.source_id): Known(
                row.content_hash, datetime.fromisoformat(row.seen_at) if row.seen_at else None, row.vanished
            )
            for row in await self._rows(KNOWN, {"keys": _keys(asked)})
        }

    async def touch(self, keys: Iterable[Key], run_id: UUID, scope: str, at: datetime) -> None:
        """They are still there, unchanged. NotRemembered."""
        asked = sorted(set(keys))
        if asked:
            await self._rows(TOUCH, {"keys": _keys(asked), "run": run_id, "scope": scope, "at": at})

    async def remember(self, sightings: Sequence[Sighting]) -> None:
        """What Kafka acknowledged; of several of one item the last. NotRemembered."""
        # In one order everywhere: two processes that write the same rows do not wait for each other in a circle.
        last = sorted({one.key: one for one in sightings}.items())
        if last:
            await self._rows(REMEMBER, {"rows": _json([one.row for _, one in last])})

    async def lost(self, scope: Scope) -> tuple[int, int]:
        """Ids that the scope has, and those of them that this crawl did not see. NotRemembered."""
        (row,) = await self._rows(LOST, scope.parameters)
        return row.counted, row.missing

    async def gone(self, scope: Scope) -> AsyncIterator[list[Gone]]:
        """Those, in pages. NotRemembered."""
        after = Key("", "", "")
        while True:
            rows = await self._rows(GONE, {**scope.parameters, **after._asdict(), "most": PAGE})
            page = [Gone(Key(row.topic, row.source, row.source_id), row.content_hash, row.record) for row in rows]
            if page:
                yield page
                after = page[-1].key
            if len(page) < PAGE:
                return

    async def _rows(self, statement: Any, parameters: Mapping[str, Any]) -> Sequence[Any]:
        async def once() -> Sequence[Any]:
            async with self._engine.connect() as connection:
                result = await connection.execute(statement, parameters)
                return result.all() if result.returns_rows else ()

        return await persist(once, self._settings)


async def persist(work: Callable[[], Awaitable[T]], settings: Settings) -> T:
    """What `work` gives as soon as PostgreSQL lets it; NotRemembered after `retry_deadline_s`."""
    deadline = time.monotonic() + settings.retry_deadline_s
    for pause in pauses():
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await work()
        except (DBAPIError, PoolTimeoutError, OSError) as error:
            if postgres_meaning(error) is not Meaning.PASSES:
                raise
            if time.monotonic() + pause >= deadline:
                why = str(getattr(error, "orig", None) or error) or "does not answer"
                told = unusable("postgres", settings, why)
                raise NotRemembered(f"{told} (tried for {settings.retry_deadline_s:g} s)") from error
        await asyncio.sleep(pause)
    raise AssertionError("pauses have no end")


def _keys(asked: Iterable[Key]) -> str:
    return _json([{"topic": topic, "source": source, "source_id": source_id} for topic, source, source_id in asked])


def _json(rows: list[dict[str, Any]]) -> str:
    return body_without_nul(orjson.dumps(rows, option=orjson.OPT_NON_STR_KEYS)).decode()
