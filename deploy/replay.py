"""Rejections, looked at and sent again: `gigz rejections`, `gigz replay`, and the page for operators.

What is sent again is the original, byte for byte, with its key, to the topic it came from; the stages are idempotent,
so that a message that was used meanwhile changes nothing. What cannot be sent again is counted with the reason.

A topic that keeps only the last message of a key would forget a newer one if an old one came after it: there the topic
is read from the original on, and a message that has a successor is held back.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka.structs import TopicPartition
from sqlalchemy import func, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import check_postgres, kafka_consumer, kafka_producer, postgres_engine, publish
from deploy.erasing import ledger
from deploy.settings import Settings, SettingsError
from schemas.message import HEADER_ORIGIN, HEADER_STAGE, HEADER_TRACE, new_trace
from schemas.outgoing import REPLAY, Outgoing
from schemas.rejection import Reason, Rejection
from schemas.tables import CatalogueRejection, OperatorLogRow, WatchedBy
from schemas.topics import BY_NAME

BATCH = 500
Row = CatalogueRejection
_ORIGIN = ("origin_partition", "origin_offset", "original_key")


@dataclass(frozen=True)
class Filters:
    """Which rejections; nothing set: all."""

    reason: Reason | None = None
    stage: str = ""
    source: str = ""
    since: datetime | None = None
    until: datetime | None = None
    """The last that was seen: what is rejected later is not among them."""

    def __str__(self) -> str:
        told = {"reason": self.reason, "stage": self.stage, "source": self.source, "since": self.since}
        return ", ".join(f"{name} {value}" for name, value in told.items() if value) or "all rejections"

    def of(self, query: Any) -> Any:
        """The select, narrowed."""
        if self.reason is not None:
            query = query.where(Row.reason == self.reason)
        if self.stage:
            query = query.where(Row.stage == self.stage)
        if self.source:
            query = query.where(Row.source == self.source)
        if self.since is not None:
            query = query.where(Row.rejected_at >= self.since)
        if self.until is not None:
            query = query.where(Row.rejected_at <= self.until)
        return query


@dataclass(frozen=True)
class Group:
    """Rejections that are alike."""

    reason: Reason
    stage: str
    source: str | None
    origin_topic: str
    count: int
    last: datetime


@dataclass(frozen=True)
class Sample:
    """One rejection, its original cut to what a person looks at."""

    reason: Reason
    stage: str
    source: str | None
    origin: str
    text: str
    rejected_at: datetime
    original: bytes | None
    original_size: int

    @property
    def shown(self) -> str:
        """The first bytes as text; what is no UTF-8 or no character to print is written as such."""
        return "" if self.original is None else printable(self.original.decode("utf-8", "backslashreplace"))

    @property
    def place(self) -> str:
        """Where it was read: topic:partition:offset, or the topic alone of what was refused before it was in it."""
        topic, partition, _ = self.origin.rsplit(":", 2)
        return topic if partition == "-1" else self.origin


def printable(text: str) -> str:
    """What is no character to print is written as such: a terminal takes no orders from a source."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


@dataclass(frozen=True)
class Replay:
    """What was sent again, or would be: topic -> messages, and reason -> messages that cannot be."""

    topics: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    until: datetime | None = None
    """When the last of them was rejected; None: there is none."""

    @property
    def count(self) -> int:
        """Messages sent."""
        return sum(self.topics.values())


def filters_of(reason: str = "", stage: str = "", source: str = "", since: str = "", *, now: datetime) -> Filters:
    """Filters as they are typed; `since` is 2026-11-20, 2026-11-20T14:00 (UTC) or 90m, 24h, 7d ago. SettingsError."""
    if reason and reason not in {one.value for one in Reason}:
        raise SettingsError(f"there is no reason {reason!r}. Remedy: one of {', '.join(Reason)}.")
    stages = BY_NAME[Rejection.topic].written_by
    if stage and stage not in stages:
        raise SettingsError(f"there is no stage {stage!r}. Remedy: one of {', '.join(stages)}.")
    return Filters(Reason(reason) if reason else None, stage, source, _moment(since, now) if since else None)


def _moment(written: str, now: datetime) -> datetime:
    units = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
    number, unit = written[:-1], written[-1:]
    try:
        if unit in units and number.isdecimal():
            return now - int(number) * units[unit]
        moment = datetime.fromisoformat(written)
    except (ValueError, OverflowError):
        raise SettingsError(f"since: {written!r} is no time. Remedy: 2026-11-20, 2026-11-20T14:00 or 24h.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def groups(engine: AsyncEngine, filters: Filters) -> list[Group]:
    """How many of each kind, most first."""
    alike = (Row.reason, Row.stage, Row.source, Row.origin_topic)
    count, last = func.count().label("count"), func.max(Row.rejected_at).label("last")
    query = filters.of(select(*alike, count, last)).group_by(*alike).order_by(count.desc(), *alike).limit(200)
    async with engine.connect() as connection:
        return [Group(*row) for row in await connection.execute(query)]


async def samples(engine: AsyncEngine, filters: Filters, most: int, cut: int = 600) -> list[Sample]:
    """The latest; of each original the first `cut` bytes."""
    query = select(
        Row.reason,
        Row.stage,
        Row.source,
        Row.key.label("origin"),
        Row.text,
        Row.rejected_at,
        func.substring(Row.original, 1, cut),
        Row.original_size,
    )
    async with engine.connect() as connection:
        rows = await connection.execute(filters.of(query).order_by(Row.rejected_at.desc(), Row.key).limit(most))
        return [Sample(*row) for row in rows]


async def replay(
    settings: Settings,
    engine: AsyncEngine,
    filters: Filters,
    *,
    dry: bool = False,
    tell: Callable[[int], None] = lambda _: None,
    who: str = "",
    why: str = "",
    at: datetime | None = None,
) -> Replay:
    """Send the originals again, oldest first; returns when Kafka acknowledged all. A dry run only counts.

    What is rejected while it goes on, an original that it sent among it, is for the next.

    `who`, `why` and `at` go to the operators' log. SettingsError when Kafka or PostgreSQL does not answer.
    """
    successors, until = await _successors(settings, engine, filters)
    if until is None:
        return await _logged(engine, Replay(), filters, who, why, None if dry else at)
    filters = replace(filters, until=until)
    sent: Counter[str] = Counter()
    held: Counter[str] = Counter()
    if dry:
        async for rows in _rows(engine, filters, with_bodies=False):
            async with _living(engine, rows, successors) as records:
                for one in records:
                    _count(one, sent, held)
        return Replay(dict(sent), dict(held), until)
    async with kafka_producer(settings, "gigz-replay") as producer:
        async for rows in _rows(engine, filters, with_bodies=True):
            async with _living(engine, rows, successors) as records:
                await publish(producer, [one for one in records if isinstance(one, Outgoing)], settings.partitions)
            for one in records:
                _count(one, sent, held)
            tell(len(rows))
    return await _logged(engine, Replay(dict(sent), dict(held), until), filters, who, why, at)


async def _logged(
    engine: AsyncEngine, done: Replay, filters: Filters, who: str, why: str, at: datetime | None
) -> Replay:
    if who and at is not None:
        told: dict[str, Any] = {"about": WatchedBy.REJECTION, "thing": str(filters), "at": at, "who": who, "why": why}
        async with engine.begin() as connection:
            await connection.execute(insert(OperatorLogRow).values(after=replayed(done.count), **told))
    return done


def replayed(count: int) -> str:
    """As the operators' log has it."""
    return f"replayed {count}"


def _count(one: Outgoing | str, sent: Counter[str], held: Counter[str]) -> None:
    if isinstance(one, Outgoing):
        sent[one.topic] += 1
    else:
        held[one] += 1


@dataclass(frozen=True)
class Kept:
    """A rejection as far as it is needed to send its original again."""

    topic: str
    stage: str
    reason: Reason
    partition: int
    offset: int
    key: str | None
    size: int
    there: bool
    """The original was kept."""
    original: bytes | None = None
    rejected_at: datetime | None = None


Sendable = Sequence[Outgoing | str]
"""The record to send, or why it cannot be sent."""
Successors = Mapping[tuple[str, str], int]
"""(topic, key) -> offset of the last message, of topics that are compacted."""


@asynccontextmanager
async def _living(engine: AsyncEngine, rows: Sequence[Kept], successors: Successors) -> AsyncIterator[Sendable]:
    """What is to be sent for each row, or why it is not; no erasure begins before the end of this."""
    whose = [ledger.users_of(row.topic, row.key, row.original) for row in rows]
    async with ledger.asking(engine, frozenset().union(*whose)) as erased:
        yield [
            "its user was erased" if users & erased else sendable(row, successors)
            for row, users in zip(rows, whose, strict=True)
        ]


def sendable(row: Kept, successors: Successors) -> Outgoing | str:
    """The record to send, or why it cannot be sent."""
    topic = BY_NAME.get(row.topic)
    if topic is None or topic.message is Rejection:
        return "the topic it came from is not one of ours"
    if row.partition < 0 and row.reason is not Reason.TOO_LARGE:
        return "a piece of a page, which no message could be made of: crawl again"
    if not row.there:
        return "its body was too large to be kept: send it again from where it came"
    if row.key is None:
        return "it had no key"
    if "\ufffd" in row.key:
        return "its key was no UTF-8"
    record = Outgoing(
        row.topic,
        row.key,
        row.key.partition("/")[0] if topic.of_users else row.key,
        row.original if row.original is not None else b"",
        {
            HEADER_TRACE: new_trace(),
            HEADER_STAGE: REPLAY,
            HEADER_ORIGIN: f"{row.topic}:{row.partition}:{row.offset}",
        },
    )
    if record.size - len(record.value or b"") + row.size > topic.max_bytes - 1024:
        return "too large for its topic"
    if successors.get((row.topic, row.key), -1) > row.offset:
        return "a newer message of the same key is in its topic"
    return record


async def _rows(engine: AsyncEngine, filters: Filters, *, with_bodies: bool) -> AsyncIterator[list[Kept]]:
    """Each original once, however many stages refused it; a page at a time."""
    place = tuple_(Row.rejected_at, Row.key, Row.stage)
    columns: list[Any] = [Row.rejected_at, Row.key, Row.stage, Row.origin_topic, Row.reason]
    columns += [Row.body[name].astext.label(name) for name in _ORIGIN]
    columns += [Row.original_size, Row.original.is_not(None).label("there")]
    columns += [Row.original] if with_bodies else []
    query = filters.of(select(*columns)).order_by(Row.rejected_at, Row.key, Row.stage).limit(BATCH)
    seen: set[str] = set()
    after = None
    while True:
        page = query if after is None else query.where(place > after)
        async with engine.connect() as connection:
            rows = (await connection.execute(page)).all()
        found = []
        for row in rows:
            if row.key not in seen:
                seen.add(row.key)
                found.append(
                    Kept(
                        row.origin_topic,
                        row.stage,
                        row.reason,
                        int(row.origin_partition),
                        int(row.origin_offset),
                        row.original_key,
                        row.original_size,
                        row.there,
                        bytes(row.original) if with_bodies and row.original is not None else None,
                        row.rejected_at,
                    )
                )
        if found:
            yield found
        if len(rows) < BATCH:
            return
        after = tuple_(rows[-1].rejected_at, rows[-1].key, rows[-1].stage)


async def _successors(settings: Settings, engine: AsyncEngine, filters: Filters) -> tuple[Successors, datetime | None]:
    """Where the last message stands of each key that is to be sent again to a compacted topic; the last rejection."""
    until: datetime | None = None
    keys: set[tuple[str, str]] = set()
    begins: defaultdict[TopicPartition, int] = defaultdict(lambda: 1 << 62)
    async for rows in _rows(engine, filters, with_bodies=False):
        for row in rows:
            until = max(filter(None, (until, row.rejected_at)), default=None)
            topic = BY_NAME.get(row.topic)
            if topic is None or topic.days is not None or not isinstance(one := sendable(row, {}), Outgoing):
                continue
            keys.add((row.topic, one.key))
            # Counted by us: the partition it is sent to, which is the one it came from while the number stays.
            at = TopicPartition(row.topic, one.partition(settings.partitions))
            begins[at] = min(begins[at], row.offset + 1)
    last: dict[tuple[str, str], int] = {}
    if not begins:
        return last, until
    async with kafka_consumer(settings, (), None) as consumer:
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(list(begins))
        oldest: Mapping[TopicPartition, int] = await consumer.beginning_offsets(list(begins))
        waiting = {at for at, begin in begins.items() if max(begin, oldest[at]) < ends[at]}
        consumer.assign(list(waiting))
        for at in waiting:
            consumer.seek(at, max(begins[at], oldest[at]))
        while waiting:
            await _read(consumer, waiting, ends, keys, last)
    return last, until


async def _read(
    consumer: Any,
    waiting: set[TopicPartition],
    ends: Mapping[TopicPartition, int],
    keys: set[tuple[str, str]],
    last: dict[tuple[str, str], int],
) -> None:
    for at, records in (await consumer.getmany(*waiting, timeout_ms=1_000)).items():
        for record in records:
            key = (at.topic, (record.key or b"").decode("utf-8", "replace"))
            if key in keys:
                last[key] = record.offset
    # By position: what compaction or a transaction's marker left out never comes as a record.
    for at in list(waiting):
        if await consumer.position(at) >= ends[at]:
            waiting.discard(at)


@dataclass(frozen=True)
class Looked:
    """What `gigz rejections` shows."""

    groups: list[Group]
    samples: list[Sample]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "groups": [asdict(one) | {"last": one.last.isoformat()} for one in self.groups],
            "samples": [
                {
                    "reason": one.reason.value,
                    "stage": one.stage,
                    "source": one.source,
                    "origin": one.origin,
                    "text": one.text,
                    "rejected_at": one.rejected_at.isoformat(),
                    "original": one.shown,
                    "original_size": one.original_size,
                    "original_kept": one.original is not None,
                }
                for one in self.samples
            ],
        }


async def look(settings: Settings, filters: Filters, most: int) -> Looked:
    """Groups and samples, over a connection of its own. SettingsError."""
    async with _engine(settings) as engine:
        return Looked(await groups(engine, filters), await samples(engine, filters, most) if most else [])


async def replay_all(settings: Settings, filters: Filters, *, dry: bool, who: str, at: datetime) -> Replay:
    """`replay` over a connection of its own, at the command line. SettingsError."""
    async with _engine(settings) as engine:
        return await replay(settings, engine, filters, dry=dry, who=who, why="gigz replay", at=at)


@asynccontextmanager
async def _engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = postgres_engine(settings, pool_size=1, name="gigz-replay")
    try:
        await check_postgres(engine, settings)
        yield engine
    finally:
        await engine.dispose()
