"""Every store read through its protocol for what is left of a user: each topic from its first message, each column of
text or bytes of each table, each document.

Looked for are the id, and what the user wrote that nobody else did: notes, names of companions and ids of entries,
where they are long enough to be nobody else's by chance. An id that is short could be a word: it counts where an id
stands, between quotes, before a slash, or alone.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.erasing import topics
from deploy.erasing.stores import escaped
from deploy.settings import Settings
from schemas import erasure
from schemas.erasure import How
from schemas.message import MessageError
from schemas.rejection import Rejection
from schemas.topics import BY_NAME

if TYPE_CHECKING:
    import meilisearch
    from clickhouse_connect.driver.client import Client

SHORT = 16
"""Characters; ids of ours have 32. A shorter one is looked for only where an id stands."""
LONG_ID, LONG_WORDS = 12, 20
"""Characters of an entry's id, of something written, from which it is taken for nobody else's."""
MOST = 50
"""Of entry ids, and of words, that are looked for: the longest. All of them would make each row a search of its own."""
CUT = 200
"""Characters of something written that are compared."""
ROWS = 1_000
"""Rows of a table that are looked at once the store said that they may be some."""


class Verdict(StrEnum):
    """What becomes of something found."""

    EXPIRES = "expires"
    LEFT = "left"


@dataclass(frozen=True)
class Finding:
    """Something of the user in one place."""

    where: str
    what: str
    count: int
    verdict: Verdict
    until: datetime | None = None
    """When it is gone at the latest."""
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the receipt."""
        return {
            "where": self.where,
            "what": self.what,
            "count": self.count,
            "verdict": self.verdict.value,
            "until": None if self.until is None else self.until.isoformat(),
            "why": self.why,
        }


@dataclass(frozen=True)
class Needles:
    """What is looked for."""

    user: str
    entry_ids: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    _id: re.Pattern[bytes] = field(init=False, repr=False)
    _others: tuple[tuple[str, tuple[bytes, ...]], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        either = b"|".join(re.escape(one) for one in sorted({self.user.encode(), escaped(self.user)}))
        bounded = rb"(?:^|[\"'`=:])(?:%b)(?:$|[\"'`/\\])" % either
        object.__setattr__(self, "_id", re.compile(either if len(self.user) >= SHORT else bounded))
        others = {"an entry's id": self.entry_ids, "words": self.words}
        forms = [
            (kind, {form for one in some for form in (one.encode(), escaped(one))}) for kind, some in others.items()
        ]
        object.__setattr__(self, "_others", tuple((kind, tuple(sorted(some))) for kind, some in forms))

    @property
    def texts(self) -> list[str]:
        """As a store is asked for them: any row that holds none of these holds nothing."""
        some = {self.user, escaped(self.user).decode(), *self.entry_ids, *self.words}
        return sorted({*some, *(escaped(one).decode() for one in some)})

    def kinds_in(self, body: bytes) -> list[str]:
        """What of the user is in these bytes: the id, an entry's id, words."""
        kinds = ["the id"] if self._id.search(body) else []
        return kinds + [kind for kind, some in self._others if any(one in body for one in some)]

    def as_json(self) -> dict[str, int]:
        """How much was looked for; never what."""
        return {"ids": 1, "entry_ids": len(self.entry_ids), "words": len(self.words)}


def needles_of(user: str, entry_ids: Iterable[str], words: Iterable[str]) -> Needles:
    """The longest of what the user alone has: `entry_ids` and `words` are without what others have as well."""
    ids = sorted({one for one in entry_ids if len(one) >= LONG_ID}, key=lambda one: (-len(one), one))
    cut = {one[:CUT] for one in words if len(one) >= LONG_WORDS}
    return Needles(user, frozenset(ids[:MOST]), frozenset(sorted(cut, key=lambda one: (-len(one), one))[:MOST]))


def written_in(body: bytes | None) -> list[str]:
    """Notes and names that an entry holds, or a suggestion or a decision that shows one beside it."""
    try:
        row = orjson.loads(body or b"null")
    except orjson.JSONDecodeError:
        return []
    found: list[str] = []
    for one in (row, row.get("entry") if isinstance(row, dict) else None):
        if isinstance(one, dict):
            with_ = one.get("with")
            found += [one["note"]] if isinstance(one.get("note"), str) else []
            found += [name for name in with_ if isinstance(name, str)] if isinstance(with_, list) else []
    return found


@dataclass
class Searched:
    """What was looked at, store -> figures, and what was found."""

    looked: dict[str, dict[str, int]] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)

    @property
    def left(self) -> list[Finding]:
        """What does not merely expire."""
        return [one for one in self.found if one.verdict is Verdict.LEFT]


# -- Kafka --------------------------------------------------------------------------------------------------------


async def search_kafka(settings: Settings, needles: Needles, now: datetime, tell: Callable[[str], None]) -> Searched:
    """All topics of the broker, from their first messages."""
    names = await topics.all_topics(settings)
    scanned = await topics.scan(
        settings, names, _holding(needles), tell=lambda number: tell(f"Kafka: {number:,} messages read")
    )
    found: list[Finding] = []
    for topic, messages in topics.by_topic(scanned.found).items():
        found += _judged(needles, topic, messages, now)
    return Searched({"kafka": {"topics": len(names), "messages": scanned.messages}}, found)


def _holding(needles: Needles) -> topics.Look:
    """Messages that hold something of the user; where keys end with a tombstone, also what came after them."""
    own = topics.mine(needles.user)
    held: set[tuple[str, str]] = set()

    def look(topic: str, key: str, value: bytes | None) -> bool:
        if own(topic, key, value) or _kinds(needles, topic, key, value):
            if _ends_with_tombstones(topic):
                held.add((topic, key))
            return True
        return (topic, key) in held

    return look


def _ends_with_tombstones(topic: str) -> bool:
    place = erasure.TOPICS.get(topic)
    return place is not None and place.how is How.TOMBSTONES


def _kinds(needles: Needles, topic: str, key: str, value: bytes | None) -> list[str]:
    kinds = needles.kinds_in(key.encode()) + needles.kinds_in(value or b"")
    if topic == Rejection.topic and value is not None:
        with contextlib.suppress(MessageError, ValueError):
            kinds += needles.kinds_in(Rejection.from_bytes(value).original_bytes or b"")
    return kinds


def _kinds_of(needles: Needles, message: topics.Message) -> list[str]:
    return _kinds(needles, message.topic, message.key, message.value)


def _judged(needles: Needles, topic: str, messages: list[topics.Message], now: datetime) -> Iterator[Finding]:
    place = erasure.TOPICS.get(topic)
    newest = max(message.at for message in messages)
    if place is not None and place.how is How.EXPIRES:
        until = topics.until_gone(topic, newest)
        days = BY_NAME[topic].days
        yield Finding(topic, "messages", len(messages), Verdict.EXPIRES, until, f"kept for {days} days, then deleted")
        return
    own = topics.mine(needles.user)
    if _ends_with_tombstones(topic):
        config = BY_NAME[topic].config
        compaction = timedelta(milliseconds=int(config["max.compaction.lag.ms"]) + int(config["segment.ms"]))
        mine = [one for one in messages if own(one.topic, one.key, one.value) or one.key.startswith(f"{needles.user}/")]
        ends = [one for one in mine if one.value is None]
        waiting = topics.superseded(mine)
        kept = timedelta(milliseconds=int(config["delete.retention.ms"]))
        if ends:
            why = "keys of tombstones: consumers have this long to read them; gone with the compaction after that"
            yield Finding(topic, "tombstones", len(ends), Verdict.EXPIRES, newest + compaction + kept, why)
        if waiting:
            why = "a tombstone follows; gone when the broker compacts, once another message closed the segment"
            yield Finding(topic, "messages", len(waiting), Verdict.EXPIRES, now + compaction, why)
        owned = {(one.place, one.offset) for one in mine}
        held = [one for one in messages if (one.place, one.offset) in owned or _kinds_of(needles, one)]
        theirs = [
            one
            for one in topics.followed(messages)
            if (one.place, one.offset) not in owned and _said_by_others(needles, one)
        ]
        if theirs:
            why = "of others who wrote the same and took it back, or were erased; gone when the broker compacts it"
            until = max(newest + compaction + kept, now + compaction)
            yield Finding(topic, "messages of others", len(theirs), Verdict.EXPIRES, until, why)
        gone = {(one.place, one.offset) for one in (*ends, *waiting, *theirs)}
        messages = [one for one in held if (one.place, one.offset) not in gone]
    if messages:
        first = messages[0]
        kinds = sorted({kind for one in messages for kind in _kinds_of(needles, one)})
        why = f"first at partition {first.partition}, offset {first.offset}"
        yield Finding(topic, f"messages with {', '.join(kinds)}", len(messages), Verdict.LEFT, None, why)


def _said_by_others(needles: Needles, message: topics.Message) -> bool:
    """Whether it holds an entry's id or words of the user's, and not the user's id: somebody else wrote the same."""
    kinds = _kinds_of(needles, message)
    return bool(kinds) and "the id" not in kinds


# -- PostgreSQL ---------------------------------------------------------------------------------------------------

COLUMNS = text(
    """
    select n.nspname as schema, c.relname as name, a.attname as column, format_type(a.atttypid, null) as type
    from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'm') and a.attnum > 0 and not a.attisdropped
      and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_toast%'
      and format_type(a.atttypid, null) in ('text', 'text[]', 'character varying', 'character varying[]', 'character',
        'json', 'jsonb', 'bytea', 'name', 'xml')
    order by 1, 2, a.attnum
    """
)
STATISTICS = text(
    """
    select schemaname || '.' || tablename || '.' || attname as column,
        coalesce(most_common_vals::text, '') || coalesce(histogram_bounds::text, '')
        || coalesce(most_common_elems::text, '') as value
    from pg_stats where schemaname not in ('pg_catalog', 'information_schema')
    """
)
"""What ANALYZE keeps of the columns: values as they are."""


async def search_postgres(engine: AsyncEngine, needles: Needles, tell: Callable[[str], None]) -> Searched:
    """Every column of text, JSON or bytes of every table, and the planner's statistics of them."""
    tables: dict[str, list[tuple[str, bool]]] = {}
    found: list[Finding] = []
    rows = 0
    async with engine.connect() as connection:
        for row in await connection.execute(COLUMNS):
            tables.setdefault(f'"{row.schema}"."{row.name}"', []).append((row.column, row.type == "bytea"))
        for table, columns in tables.items():
            tell(f"PostgreSQL: {table}")
            rows += int(await connection.scalar(text(f"select count(*) from {table}")) or 0)  # noqa: S608
            asked = {"texts": needles.texts, "raw": [one.encode() for one in needles.texts]}
            selected = ", ".join(f'"{name}"' if raw else f'cast("{name}" as text)' for name, raw in columns)
            query = text(
                f"select {selected} from {table} where {' or '.join(_holds(*one) for one in columns)} "  # noqa: S608
                f"limit {ROWS}"
            )
            candidates = (await connection.execute(query, asked)).all()
            for place, (name, _) in enumerate(columns):
                values = (_bytes(row[place]) for row in candidates if row[place] is not None)
                where = f"{table}.{name}".replace('"', "")
                found += _judged_here(where, name, [needles.kinds_in(one) for one in values])
        statistics = (await connection.execute(STATISTICS)).all()
    for row in statistics:
        # An array's text: quotes and commas around each value.
        kinds = needles.kinds_in(str(row.value).replace("{", '"').replace("}", '"').replace(",", '"').encode())
        found += _left(f"pg_stats of {row.column}", "statistics", [kinds])
    looked = {"tables": len(tables), "columns": sum(map(len, tables.values())), "rows": rows}
    return Searched({"postgres": looked | {"statistics": len(statistics)}}, found)


REQUESTED = "the request itself: it goes in the moment in which this receipt is kept"


def _judged_here(where: str, column: str, kinds: list[list[str]]) -> Iterator[Finding]:
    """Left, unless it is the request that this erasure answers, which forgets the id when it is done."""
    place = erasure.POSTGRES.get(where.removesuffix(f".{column}"))
    for one in _left(where, "rows", kinds):
        if place is not None and place.how is How.REQUEST and column == place.user:
            yield Finding(where, one.what, one.count, Verdict.EXPIRES, None, REQUESTED)
        else:
            yield one


def _holds(name: str, raw: bool) -> str:
    if raw:
        return f'exists (select from unnest(cast(:raw as bytea[])) n where position(n in "{name}") > 0)'
    return f'exists (select from unnest(cast(:texts as text[])) n where strpos(cast("{name}" as text), n) > 0)'


def _bytes(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else str(value).encode()


def _left(where: str, what: str, kinds: list[list[str]]) -> Iterator[Finding]:
    hits = [one for one in kinds if one]
    if hits:
        told = ", ".join(sorted({kind for one in hits for kind in one}))
        yield Finding(where, f"{what} with {told}", len(hits), Verdict.LEFT)


# -- ClickHouse and Meilisearch -----------------------------------------------------------------------------------


UNLOGGED = {"log_queries": 0}
"""ClickHouse keeps a log of statements: one that looks for the user is not for it."""


def search_clickhouse(client: "Client", needles: Needles) -> Searched:
    """Every column of text of every table, all versions of the rows, and the mutations that ClickHouse remembers."""
    columns = client.query(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND position(type, 'String') > 0 "
        "AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine NOT LIKE '%View') "
        "ORDER BY table, position"
    ).result_rows
    tables: dict[str, list[str]] = {}
    for table, column in columns:
        tables.setdefault(table, []).append(column)
    found: list[Finding] = []
    rows = 0
    for table, names in tables.items():
        rows += int(client.query(f"SELECT count() FROM `{table}`").result_rows[0][0])  # noqa: S608
        shown = [f"ifNull(toString(`{name}`), '')" for name in names]
        holds = " OR ".join(f"multiSearchAny({one}, texts)" for one in shown)
        query = f"WITH %(texts)s AS texts SELECT {', '.join(shown)} FROM `{table}` WHERE {holds} LIMIT {ROWS}"  # noqa: S608
        candidates: list[Any] = []
        for part in _parts(needles.texts):
            candidates += client.query(query, parameters={"texts": part}, settings=UNLOGGED).result_rows
        for place, name in enumerate(names):
            found += _left(f"{table}.{name}", "rows", [needles.kinds_in(_bytes(row[place])) for row in candidates])
    done = client.query("SELECT command FROM system.mutations WHERE database = currentDatabase()").result_rows
    found += _left("system.mutations.command", "mutations", [needles.kinds_in(_bytes(row[0])) for row in done])
    looked = {"tables": len(tables), "columns": len(columns), "rows": rows, "mutations": len(done)}
    return Searched({"clickhouse": looked}, found)


def _parts(texts: list[str], most: int = 64) -> Iterator[list[str]]:
    """multiSearchAny takes 255."""
    for start in range(0, len(texts), most):
        yield texts[start : start + most]


def search_meilisearch(client: "meilisearch.Client", needles: Needles) -> Searched:
    """Every document of every index."""
    indexes = client.get_indexes({"limit": 1_000})["results"]
    found: list[Finding] = []
    documents = 0
    for index in indexes:
        hits: list[list[str]] = []
        offset = 0
        while True:
            page = index.get_documents({"offset": offset, "limit": ROWS}).results
            hits += [needles.kinds_in(orjson.dumps(dict(one))) for one in page]
            offset += len(page)
            if len(page) < ROWS:
                break
        documents += offset
        found += _left(index.uid, "documents", hits)
    return Searched({"meilisearch": {"indexes": len(indexes), "documents": documents}}, found)
