"""What goes through the stages: lag from the groups' commits, counts from the messages themselves.

Counts are taken from Kafka, not from the memory of processes: a stage that was killed and started again is counted
once for what it did twice, because a repeat has the same key, origin and bytes.
"""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError
from aiokafka.structs import OffsetAndMetadata
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import kafka_admin, kafka_consumer, postgres_engine
from deploy.settings import Settings
from schemas.message import HEADER_ORIGIN, HEADER_STAGE
from schemas.rejection import Rejection
from schemas.tables import OutboxRow, RunRow
from schemas.topics import TOPICS, read_by

STREAMS = ("normalise", "resolve", "rematch", "match")
WORKER_OF = {"rematch": "match"}
SINKS = ("sink-clickhouse", "sink-postgres", "sink-meilisearch")
CONSUMERS = (*STREAMS, *SINKS)
"""Stages that read topics, in the order of the flow."""
PUBLISHED = ("gigz.concert.v1", "gigz.suggestion.v1", "gigz.decision.v1", "gigz.wanted.v1")


@dataclass(frozen=True)
class Flow:
    """One stage: messages in, out, rejected, and how many wait."""

    stage: str
    into: int = 0
    out: int = 0
    rejected: int = 0
    lag: int = 0


@dataclass(frozen=True)
class Lag:
    """Messages that each stage has not committed yet, and outbox rows not published yet."""

    waiting: dict[str, int]
    done: dict[str, int]
    """Messages that each stage has committed, of those that are still kept."""
    outbox: int
    written: int
    """Sum of all end offsets: two equal readings mean that nothing was written between them."""

    @property
    def idle(self) -> bool:
        """Nothing waits anywhere."""
        return not self.outbox and not any(self.waiting.values())


def group_of(stage: str) -> str:
    """The consumer group of a stage: of its worker, where two stages are agents of one."""
    return f"gigz-{WORKER_OF.get(stage, stage)}"


Offsets = Mapping[TopicPartition, int]


class Gauge:
    """Reads lag; holds its connections open while it is used."""

    def __init__(
        self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, engine: AsyncEngine, partitions: int
    ) -> None:
        self._admin = admin
        self._consumer = consumer
        self._engine = engine
        self._partitions = partitions
        self._every = [TopicPartition(topic.name, p) for topic in TOPICS for p in range(partitions)]

    async def lag(self) -> Lag:
        """Commits first, then ends, then the outbox: what moves meanwhile is seen as waiting, never missed."""
        begins = await self._consumer.beginning_offsets(self._every)
        commits = {stage: await commits_of(self._admin, group_of(stage)) for stage in CONSUMERS}
        outbox = await self.outbox()
        ends = await self._consumer.end_offsets(self._every)
        waiting = {stage: self._behind(stage, begins, commits[stage], ends) for stage in CONSUMERS}
        kept = Counter[str]()
        for at in self._every:
            kept[at.topic] += ends[at] - begins[at]
        done = {s: max(0, sum(kept[topic.name] for topic in read_by(s)) - waiting[s]) for s in CONSUMERS}
        return Lag(waiting, done, outbox, sum(ends.values()))

    async def waiting(self, stage: str) -> int:
        """Messages that wait before one stage; for the relay, rows in the outbox."""
        if stage == "relay":
            return await self.outbox()
        parts = [at for at in self._every if at.topic in {topic.name for topic in read_by(stage)}]
        commits = await commits_of(self._admin, group_of(stage))
        begins, ends = await self._consumer.beginning_offsets(parts), await self._consumer.end_offsets(parts)
        return self._behind(stage, begins, commits, ends)

    async def outbox(self) -> int:
        """Rows that the relay has not published."""
        async with self._engine.connect() as connection:
            return await connection.scalar(select(func.count()).select_from(OutboxRow)) or 0

    def _behind(
        self, stage: str, begins: Offsets, commits: dict[TopicPartition, OffsetAndMetadata], ends: Offsets
    ) -> int:
        total = 0
        for topic in read_by(stage):
            for p in range(self._partitions):
                at = TopicPartition(topic.name, p)
                commit = commits.get(at)
                done = begins[at] if commit is None or commit.offset < 0 else max(commit.offset, begins[at])
                total += max(0, ends[at] - done)
        return total


async def commits_of(admin: AIOKafkaAdminClient, group: str) -> dict[TopicPartition, OffsetAndMetadata]:
    """What a group has committed. A fresh broker makes its offsets topic when first asked: that is waited for."""
    for wait_s in (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0):
        try:
            return dict(await admin.list_consumer_group_offsets(group))
        except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError, GroupLoadInProgressError):
            await asyncio.sleep(wait_s)
    return dict(await admin.list_consumer_group_offsets(group))


class NoTopics(Exception):
    """The topics were not created yet; asking for their offsets would wait in vain."""


@asynccontextmanager
async def gauge(settings: Settings) -> AsyncIterator[Gauge]:
    """A gauge on the topics of these settings. NoTopics."""
    engine = postgres_engine(settings, pool_size=1, name="gigz-status")
    try:
        async with kafka_admin(settings) as admin, kafka_consumer(settings, (), None) as consumer:
            if missing := {topic.name for topic in TOPICS} - set(await admin.list_topics()):
                raise NoTopics(f"the broker has no topic {min(missing)}. Remedy: `gigz topics apply`.")
            yield Gauge(admin, consumer, engine, settings.partitions)
    finally:
        await engine.dispose()


async def until_idle(
    settings: Settings,
    *,
    deadline_s: float,
    tell: Callable[[Lag], None] = lambda _: None,
    check: Callable[[], Awaitable[None]] | None = None,
) -> Lag:
    """Wait until nothing waits in two readings with nothing written between. TimeoutError names what still waits.

    `check` is called at every reading and raises when waiting is in vain (a worker died).
    """
    deadline = time.monotonic() + deadline_s
    before: Lag | None = None
    async with gauge(settings) as reading:
        while True:
            now = await reading.lag()
            tell(now)
            if now.idle and before is not None and before.idle and before.written == now.written:
                return now
            if check is not None:
                await check()
            if time.monotonic() > deadline:
                left = {stage: n for stage, n in (now.waiting | {"outbox": now.outbox}).items() if n}
                raise TimeoutError(f"after {deadline_s:.0f} s still waiting: {left}")
            before = now
            await asyncio.sleep(0.3)


async def scan(settings: Settings, topics: Iterable[str]) -> AsyncIterator[ConsumerRecord]:
    """Every record of these topics from the oldest to what is there now, partition by partition."""
    async with kafka_consumer(settings, (), None) as consumer:
        parts = [TopicPartition(topic, p) for topic in topics for p in range(settings.partitions)]
        ends = await consumer.end_offsets(parts)
        begins = await consumer.beginning_offsets(parts)
        async for records in records_between(consumer, begins, ends):
            for record in records:
                yield record


async def records_between(
    consumer: AIOKafkaConsumer, starts: Offsets, ends: Offsets, most: int = 5_000
) -> AsyncIterator[list[ConsumerRecord]]:
    """Every record from `starts` to before `ends`, in the order of each partition, `most` at a time.

    Assigns the consumer, which is to have no group.
    """
    left = {part for part in starts if ends[part] > starts[part]}
    if not left:
        return
    consumer.assign(sorted(left))
    for part in left:
        consumer.seek(part, starts[part])
    while left:
        found = await consumer.getmany(*left, timeout_ms=1_000, max_records=most)
        if records := [r for part, of_part in found.items() for r in of_part if r.offset < ends[part]]:
            yield records
        # By position, not by the last record seen: compaction leaves gaps at the end.
        left = {part for part in left if await consumer.position(part) < ends[part]}


async def flows(settings: Settings) -> list[Flow]:
    """A row for each stage, in the order of the flow."""
    out: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    published = 0
    seen: set[bytes] = set()
    async for record in scan(settings, (topic.name for topic in TOPICS)):
        headers = dict(record.headers)
        stage = headers.get(HEADER_STAGE, b"?").decode()
        if HEADER_ORIGIN in headers:  # without one it was sent from outside, each time on purpose
            parts = (record.topic.encode(), record.key or b"", headers[HEADER_ORIGIN], record.value or b"-")
            digest = hashlib.blake2b(b"\0".join(parts), digest_size=16).digest()
            if digest in seen:
                continue
            seen.add(digest)
        if record.topic == Rejection.topic:
            rejected[stage] += 1
        else:
            out[stage] += 1
            published += record.topic in PUBLISHED or stage == "api"
    async with gauge(settings) as reading:
        lag = await reading.lag()
    engine = postgres_engine(settings, pool_size=1, name="gigz-status")
    try:
        async with engine.connect() as connection:
            sums = select(func.sum(RunRow.pages), func.sum(RunRow.delivered), func.sum(RunRow.rejected))
            pages, delivered, refused = (await connection.execute(sums)).one()
    finally:
        await engine.dispose()
    rows = [
        Flow("spiders", pages or 0, delivered or 0, refused or 0),
        Flow("feed", out["feed"] + rejected["feed"], out["feed"], rejected["feed"]),
    ]
    for stage in CONSUMERS:
        into = lag.done[stage]
        written = out[stage] if stage in STREAMS else into - rejected[stage]
        rows.append(Flow(stage, into, written, rejected[stage], lag.waiting[stage]))
    relay = Flow("relay", published + lag.outbox, published, 0, lag.outbox)
    api = Flow("api", out["api"], out["api"])
    return [*rows[:6], api, relay, *rows[6:]]


def without_lag(rows: Iterable[Flow]) -> dict[str, dict[str, int]]:
    """As `gigz demo --json` prints it."""
    return {row.stage: {"in": row.into, "out": row.out, "rejected": row.rejected} for row in rows}
