"""What a run ended with, read row by row from Kafka and the three stores, and the differences between two runs.

    read_end_state    settings -> table -> key -> column -> value
    compare           two of these -> differences, each with table, key, column and both values

Compared are the things a run must end with whatever happened on the way. What depends on the way is left out; each of
these has its reason in LEFT_OUT and in docs/operations/faults.md. Instead, the way itself is checked within each run:
the tables `checks.*` are empty where every change of a concert or a set was published, once for each rev, and stands in
ClickHouse's history.
"""

import asyncio
import gzip
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from clickhouse_connect.driver.asyncclient import AsyncClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from deploy.clients import clickhouse_async, meilisearch_client, postgres_engine
from deploy.flow import scan
from deploy.settings import Settings
from schemas.concert import Concert
from schemas.decision import Decision
from schemas.listing import Listing
from schemas.message import HEADER_TRACE, MessageError
from schemas.reference import Artist, Venue
from schemas.rejection import Rejection
from schemas.suggestion import Suggestions
from schemas.wanted import Wanted
from sinks.meilisearch import INDEXES
from sinks.received import receive
from tests.faults.known_input import INPUT_TOPICS

Row = dict[str, Any]
Tables = dict[str, dict[str, Row]]
"""Table -> key -> column -> value, all of JSON."""

LEFT_OUT = {
    "created_at": "wall time",
    "updated_at": "wall time",
    "published_at": "wall time",
    "rejected_at": "wall time",
    "made_at": "wall time",
    "trace": "of whichever of two equal messages came first",
    "rev": "how many steps it took: depends on how messages fell into batches",
    "id": "of the outbox, which must be empty",
    "seq": "the order in which rows were written",
    "tx": "the number of the transaction that wrote it",
    "decision_id": "drawn at random for each decision",
    "idempotency_key": "of the request, not of the decision",
    "undoes": "a decision_id",
    "origin_partition": "offset",
    "origin_offset": "offset",
    "ever": "names that a venue or artist had between two messages of one batch are not kept",
}
"""Column, or field of a body -> why it is not compared."""
POSTGRES: dict[str, tuple[str, tuple[str, ...]]] = {
    "state.listings": ("select * from state.listings", ("listing_id",)),
    "state.venues": ("select * from state.venues", ("venue_id",)),
    "state.concerts": ("select * from state.concerts where live", ("concert_id",)),
    "state.concert_members": ("select * from state.concert_members", ("listing_id", "act")),
    "state.entries": ("select * from state.entries", ("user_id", "entry_id")),
    "state.suggestions": (
        "select * from state.suggestions where body->>'reason' is distinct from 'entry_deleted'",
        ("user_id", "entry_id"),
    ),
    "state.names": ("select * from state.names", ("reference_id",)),
    "state.unasked": ("select * from state.unasked", ("user_id", "entry_id")),
    "state.wants": ("select * from state.wants", ("user_id", "entry_id", "year")),
    "state.wanted": ("select * from state.wanted where asked > 0", ("artist_key", "year")),
    "state.decisions": ("select * from state.decisions", ("user_id", "entry_id", "decided_at")),
    "state.outbox": ("select * from state.outbox", ("topic", "id")),
    "state.erased": ("select * from state.erased", ("user_hash",)),
    "catalogue.concerts": ("select * from catalogue.concerts where not gone", ("concert_id",)),
    "catalogue.venues": ("select * from catalogue.venues", ("venue_id",)),
    "catalogue.artists": ("select * from catalogue.artists", ("artist_id",)),
}
"""Table -> query, key. Ended concerts, counts that came back to none and sets of deleted entries are there or not as
messages fell into batches; `checks.*` sees to their messages."""

CLICKHOUSE: dict[str, tuple[str, ...]] = {
    "listings": ("listing_id",),
    "listings_history": ("listing_id", "version"),
    "concerts": ("concert_id",),
    "songs": ("concert_id", "position"),
    "suggestions": ("user_id", "entry_id", "rank"),
    "decisions": ("user_id", "entry_id"),
    "decisions_history": ("user_id", "entry_id", "decided_at"),
}


@dataclass(frozen=True)
class Difference:
    """One value that two runs have otherwise; column empty: one of them has no such row."""

    table: str
    key: str
    column: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        if not self.column:
            how = "is missing" if self.found is None else "should not be there"
            return f"{self.table} {self.key} {how}: {_short(self.expected if self.found is None else self.found)}"
        return f"{self.table} {self.key} {self.column}: expected {_short(self.expected)}, found {_short(self.found)}"


def compare(expected: Tables, found: Tables) -> list[Difference]:
    """Every value that differs, by table and key."""
    differences = []
    for table in sorted({*expected, *found}):
        ours, theirs = expected.get(table, {}), found.get(table, {})
        for key in sorted({*ours, *theirs}):
            if key not in theirs:
                differences.append(Difference(table, key, "", ours[key], None))
            elif key not in ours:
                differences.append(Difference(table, key, "", None, theirs[key]))
            elif ours[key] != theirs[key]:
                differences += [
                    Difference(table, key, column, ours[key].get(column), theirs[key].get(column))
                    for column in sorted({*ours[key], *theirs[key]})
                    if ours[key].get(column) != theirs[key].get(column)
                ]
    return differences


def save(tables: Tables, path: Path) -> None:
    """To a file, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(gzip.compress(orjson.dumps(tables), 3))
    part.replace(path)


def load_tables(path: Path) -> Tables:
    """From a file."""
    tables: Tables = orjson.loads(gzip.decompress(path.read_bytes()))
    return tables


async def read_end_state(settings: Settings, times: int = 1) -> Tables:
    """Everything, when nothing moves any more. `times`: how often each message of the input was sent on purpose."""
    tables, published = await _kafka(settings, times)
    tables |= await _postgres(settings, times)
    tables |= await _clickhouse(settings, published)
    tables |= await asyncio.to_thread(_meilisearch, settings)
    return tables


# -- Kafka ---------------------------------------------------------------------------------------------------------


@dataclass
class _Published:
    """All messages of an aggregate's topic: key -> rev -> its bodies; and the rev of the last one."""

    revs: dict[str, dict[int, set[bytes | None]]]
    last: dict[str, int]


async def _kafka(settings: Settings, times: int) -> tuple[Tables, dict[str, _Published]]:
    """The newest of each key, every version of what is not counted up here, and what was sent."""
    sent: dict[str, Counter[str]] = defaultdict(Counter)
    versions: dict[str, dict[str, Row]] = {f"kafka.{one.topic}": {} for one in (Listing, Venue, Artist)}
    published = {one.topic: _Published(defaultdict(dict), {}) for one in (Concert, Suggestions, Wanted)}
    decisions: dict[str, Row] = {}
    rejections: dict[str, Row] = {}
    mine = set(INPUT_TOPICS)
    topics = mine | {Listing.topic, Artist.topic, Suggestions.topic, Decision.topic, Wanted.topic, Rejection.topic}
    async for record in scan(settings, sorted(topics)):
        headers = dict(record.headers)
        if record.topic in mine and headers.get("stage") == b"feed":
            name = f"{record.topic} {headers.get(HEADER_TRACE, b'').decode()}"
            sent[name][hashlib.sha256(record.value or b"").hexdigest() if record.value is not None else "ended"] += 1
            continue
        try:
            received = receive(record)
        except MessageError:
            continue
        match received.message:
            case Listing() | Venue() | Artist() as one:
                versions[f"kafka.{record.topic}"][f"{received.key} {one.version}"] = {"body": _body(record.value)}
            case Concert() | Suggestions() | Wanted() as one:
                published[record.topic].revs[received.key].setdefault(one.rev, set()).add(record.value)
                published[record.topic].last[received.key] = one.rev
            case Decision() as one:
                decisions[f"{received.key} {one.decided_at.isoformat()}"] = {"body": _body(record.value)}
            case Rejection() as one:
                rejections[f"{one.key} {one.stage}"] = _rejected(one)
            case None if received.rev is not None:
                published[record.topic].revs[received.key].setdefault(received.rev, set()).add(None)
                published[record.topic].last[received.key] = received.rev
    tables: Tables = {
        "kafka.input": {
            f"{name} {digest}": {"times": _shared(n, times)} for name, of in sent.items() for digest, n in of.items()
        },
        **versions,
        f"kafka.{Decision.topic}": decisions,
        f"kafka.{Rejection.topic}": _counted(rejections.values(), times),
        "checks.revs": {},
    }
    for topic, of_topic in published.items():
        rows: dict[str, Row] = {}
        for key, revs in of_topic.revs.items():
            newest = revs[max(revs)]
            body = next(iter(newest))
            if body is not None and not _ended(topic, body):
                rows[key] = {"body": _body(body)}
            tables["checks.revs"] |= _faults(topic, key, revs, of_topic.last[key])
        tables[f"kafka.{topic}"] = rows
    return tables, published


def _ended(topic: str, body: bytes) -> bool:
    return topic == Suggestions.topic and orjson.loads(body).get("reason") == "entry_deleted"


def _faults(topic: str, key: str, revs: Mapping[int, set[bytes | None]], last: int) -> dict[str, Row]:
    """What a relay that loses, changes or turns round would leave."""
    told: Row = {}
    if missing := sorted(set(range(1, max(revs) + 1)) - revs.keys()):
        told["missing revs"] = missing
    if double := sorted(rev for rev, bodies in revs.items() if len(bodies) > 1):
        told["revs that say two things"] = double
    if last != max(revs):
        told["last rev"] = f"{last}, not {max(revs)}"
    return {f"{topic} {key}": told} if told else {}


def _rejected(one: Rejection) -> Row:
    kept = one.model_dump(mode="json", exclude_none=True, include={"origin_topic", "stage", "source", "text"})
    return {**kept, "reason": one.reason.value, "original": one.original, "size": one.original_size}


# -- the stores ----------------------------------------------------------------------------------------------------


async def _postgres(settings: Settings, times: int) -> Tables:
    engine = postgres_engine(settings, pool_size=1, name="gigz-faults")
    tables: Tables = {}
    try:
        async with engine.connect() as connection:
            for table, (query, keys) in POSTGRES.items():
                tables[table] = _keyed(await _rows(connection, query), keys)
            refused = await _rows(connection, "select * from catalogue.rejections")
            for row in refused:
                del row["key"]  # topic, partition and offset
    finally:
        await engine.dispose()
    tables["catalogue.rejections"] = _counted((_neutral(row) for row in refused), times)
    return tables


async def _rows(connection: AsyncConnection, query: str) -> list[Row]:
    return [dict(row) for row in (await connection.execute(text(query))).mappings()]


async def _clickhouse(settings: Settings, published: Mapping[str, _Published]) -> Tables:
    client = await clickhouse_async(settings)
    tables: Tables = {}
    try:
        for table, keys in CLICKHOUSE.items():
            final = "" if table == "songs" else " FINAL"
            tables[f"clickhouse.{table}"] = _keyed(await _selected(client, f"SELECT * FROM {table}{final}"), keys)
        concerts = await _selected(client, "SELECT concert_id, rev, body FROM concerts_history FINAL")
        sets = await _selected(client, "SELECT user_id, entry_id, rank, rev FROM suggestions_history FINAL")
    finally:
        await client.close()
    kept = {f"{row['concert_id']} {row['rev']}" for row in concerts}
    tables["checks.concerts_history"] = _apart(kept, _every(published[Concert.topic]))
    ranked = Counter(f"{row['user_id']}/{row['entry_id']} {row['rev']}" for row in sets)
    tables["checks.suggestions_history"] = _apart(
        (f"{name} {rank}" for name, ranks in ranked.items() for rank in range(ranks)),
        {f"{name} {rank}" for name in _every(published[Suggestions.topic]) for rank in range(3)},
    )
    return tables


def _every(published: _Published) -> set[str]:
    return {f"{key} {rev}" for key, revs in published.revs.items() for rev in revs}


def _apart(there: Iterable[str], expected: set[str]) -> dict[str, Row]:
    """Rows of a history that are not in Kafka, and the other way round."""
    counted = Counter(there)
    told = {name: {"in Kafka": False} for name in counted if name not in expected}
    told |= {name: {"in the history": False} for name in expected if name not in counted}
    return told | {name: {"rows": count} for name, count in counted.items() if count > 1}


async def _selected(client: AsyncClient, query: str) -> list[Row]:
    found = await client.query(query)
    return [dict(zip(found.column_names, row, strict=True)) for row in found.result_rows]


def _meilisearch(settings: Settings) -> Tables:
    client = meilisearch_client(settings)
    tables: Tables = {}
    for name, index in INDEXES.items():
        rows: list[Row] = []
        while True:
            page = client.index(name).get_documents({"offset": len(rows), "limit": 1_000}).results
            if not page:
                break
            rows += [dict(document) for document in page]
        tables[f"meilisearch.{name}"] = _keyed(rows, (index.id_field,))
    return tables


# -- rows ----------------------------------------------------------------------------------------------------------


def _keyed(rows: Iterable[Row], keys: Sequence[str]) -> dict[str, Row]:
    """By their key. A key that two rows share is a fault of its own, and shows."""
    found: dict[str, Row] = {}
    for row in rows:
        key = " ".join(str(_plain(row[name])) for name in keys)
        while key in found:
            key += " again"
        found[key] = _neutral(row)
    return found


def _counted(rows: Iterable[Row], times: int) -> dict[str, Row]:
    """Rows without a key, each once with how often it is there."""
    counts: Counter[bytes] = Counter(orjson.dumps(row, option=orjson.OPT_SORT_KEYS) for row in rows)
    return {
        hashlib.sha256(one).hexdigest()[:16]: {**orjson.loads(one), "times": _shared(count, times)}
        for one, count in counts.items()
    }


def _shared(count: int, times: int) -> float:
    return count // times if count % times == 0 else count / times


def _neutral(row: Mapping[str, Any]) -> Row:
    """Without what depends on the way, bodies read."""
    kept: Row = {}
    for name, value in row.items():
        if name in LEFT_OUT:
            continue
        if name in {"body", "alone"} and value is not None:
            kept[name] = _body(value)
        else:
            kept[name] = _plain(value)
    return kept


def _body(value: Any) -> Any:
    """A message's body without its counters and times, at its own level."""
    body = orjson.loads(value) if isinstance(value, str | bytes) else value
    return {name: one for name, one in body.items() if name not in LEFT_OUT} if isinstance(body, dict) else body


_PLAIN: dict[type, Callable[[Any], Any]] = {
    UUID: str,
    datetime: datetime.isoformat,
    date: date.isoformat,
    Decimal: float,
    bytes: lambda value: value.hex(),
    memoryview: lambda value: bytes(value).hex(),
}


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    told = _PLAIN.get(type(value))
    return told(value) if told else value


def _short(value: Any) -> str:
    shown = orjson.dumps(value, default=str).decode()
    return shown if len(shown) <= 300 else shown[:300] + "..."
