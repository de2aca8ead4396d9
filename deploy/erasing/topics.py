"""Kafka: the user's messages found, tombstones sent, old values compacted away.

A broker compacts closed segments only, and closes one when a message comes in after its time (`segment.ms`,
`max.compaction.lag.ms`): in a partition that lies still, nothing is ever forgotten. So an erasure closes the segments
itself: for as long as it waits, the topics with messages of the user have a short `max.compaction.lag.ms` (which
shortens the time of segments, too), and one more record, which says nothing of anybody, comes behind the tombstones.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import UUID

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code
from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import kafka_admin, kafka_consumer, kafka_producer, publish
from deploy.erasing import ErasureError, ledger
from deploy.locks import GIGZ as RELAY_LOCK_CLASS
from deploy.locks import GIVE, TAKE
from deploy.settings import Settings
from schemas.message import HEADER_STAGE
from schemas.outgoing import Outgoing
from schemas.tables import OutboxRow
from schemas.topics import BY_NAME, DAY_MS

RELAY_S = 60.0
"""A relay publishes within a second; one that retries goes on for longer."""
LAG_MS = 1_000
"""`max.compaction.lag.ms` while it is waited for."""
ROLL_S = 1.5 * LAG_MS / 1000
FIRST_LOOK_S, LONGEST_LOOK_S = 2.0, 60.0
SEGMENT_MS = 7 * DAY_MS
"""Kafka's own `segment.ms`, where a topic says nothing."""

WAITING = text("select shard, count(*) as number from state.outbox where headers ->> 'stage' = :stage group by shard")


@dataclass(frozen=True)
class Message:
    """A message that was looked for."""

    topic: str
    partition: int
    offset: int
    at: datetime
    key: str
    value: bytes | None

    @property
    def place(self) -> TopicPartition:
        """Its partition."""
        return TopicPartition(self.topic, self.partition)


@dataclass
class Scanned:
    """What was read."""

    topics: int = 0
    messages: int = 0
    found: list[Message] = field(default_factory=list)


Look = Callable[[str, str, bytes | None], bool]
"""topic, key, value -> whether it is looked for."""


def message_of(record: ConsumerRecord) -> Message:
    """A consumed record, its key as text."""
    return Message(
        record.topic,
        record.partition,
        record.offset,
        datetime.fromtimestamp(max(record.timestamp, 0) / 1000, UTC),
        (record.key or b"").decode("utf-8", "replace"),
        record.value,
    )


async def scan(
    settings: Settings,
    topics: Collection[str],
    look: Look,
    *,
    only: Collection[TopicPartition] = (),
    tell: Callable[[int], None] = lambda _: None,
) -> Scanned:
    """Read these topics, or these partitions alone, from the oldest message to those that are the last now."""
    done = Scanned(topics=len(topics))
    places = list(only) or await partitions(settings, topics)
    if not places:
        return done
    async with kafka_consumer(settings, (), None) as consumer:
        ends: Mapping[TopicPartition, int] = await consumer.end_offsets(places)
        oldest: Mapping[TopicPartition, int] = await consumer.beginning_offsets(places)
        waiting = {at for at in places if oldest[at] < ends[at]}
        consumer.assign(list(waiting))
        for at in waiting:
            consumer.seek(at, oldest[at])
        while waiting:
            for records in (await consumer.getmany(*waiting, timeout_ms=500)).values():
                for record in records:
                    done.messages += 1
                    message = message_of(record)
                    if look(message.topic, message.key, message.value):
                        done.found.append(message)
                tell(done.messages)
            # By position: what compaction left out never comes as a record.
            for at in list(waiting):
                if await consumer.position(at) >= ends[at]:
                    waiting.discard(at)
                    consumer.pause(at)
    return done


async def all_topics(settings: Settings) -> list[str]:
    """What the broker has, Kafka's own aside."""
    async with kafka_admin(settings) as admin:
        return sorted(name for name in await admin.list_topics() if not name.startswith("__"))


async def partitions(settings: Settings, topics: Collection[str]) -> list[TopicPartition]:
    """Of those of the topics that are there."""
    async with kafka_admin(settings) as admin:
        there = sorted(set(topics) & set(await admin.list_topics()))
        told = await admin.describe_topics(there) if there else []
    return [TopicPartition(one["topic"], part["partition"]) for one in told for part in one["partitions"]]


def mine(user: str) -> Look:
    """Messages of this user, by key, or by body where the key is none; rejections by what they hold.

    For one scan: the tombstone of a key that names nobody is the user's because of what came before it.
    """
    keyless: set[tuple[str, str]] = set()

    def look(topic: str, key: str, value: bytes | None) -> bool:
        if user in ledger.users_of_message(topic, key, value):
            if not key.startswith(f"{user}/"):
                keyless.add((topic, key))
            return True
        return value is None and (topic, key) in keyless

    return look


def alive(found: Sequence[Message]) -> set[tuple[str, str]]:
    """(topic, key) of those that no tombstone followed."""
    last: dict[tuple[TopicPartition, str], Message] = {}
    for message in found:
        at = (message.place, message.key)
        if at not in last or last[at].offset < message.offset:
            last[at] = message
    return {(message.topic, message.key) for message in last.values() if message.value is not None}


def superseded(found: Sequence[Message]) -> list[Message]:
    """Bodies that a tombstone follows: the broker forgets them when it compacts."""
    ended: dict[tuple[TopicPartition, str], int] = {}
    for message in found:
        if message.value is None:
            at = (message.place, message.key)
            ended[at] = max(ended.get(at, -1), message.offset)
    return [one for one in found if one.value is not None and one.offset < ended.get((one.place, one.key), -1)]


def followed(found: Sequence[Message]) -> list[Message]:
    """Tombstones, and bodies that any other message of their key follows: the broker forgets them by itself."""
    last: dict[tuple[TopicPartition, str], int] = {}
    for message in found:
        at = (message.place, message.key)
        last[at] = max(last.get(at, -1), message.offset)
    return [one for one in found if one.value is None or one.offset < last[one.place, one.key]]


def due(found: Sequence[Message], now: datetime) -> list[Message]:
    """What the broker is to forget at its next compaction: bodies that a tombstone follows, and tombstones that
    consumers have had their time to read."""
    kept = {topic: int(BY_NAME[topic].config["delete.retention.ms"]) for topic in {one.topic for one in found}}
    old = [one for one in found if one.value is None and (now - one.at).total_seconds() * 1000 > kept[one.topic]]
    return [*superseded(found), *old]


async def until_published(settings: Settings, engine: AsyncEngine, *, patience_s: float = RELAY_S) -> None:
    """Wait until the relay has published what erasures left in the outbox; where no relay is, publish it here.

    ErasureError when a relay holds their shard and does not publish.
    """
    until = monotonic() + patience_s
    while True:
        async with engine.connect() as connection:
            session = await connection.execution_options(isolation_level="AUTOCOMMIT")
            waiting = {row.shard: row.number for row in await session.execute(WAITING, {"stage": ledger.STAGE})}
            for shard in sorted(waiting):
                lock = {"lock_class": RELAY_LOCK_CLASS, "number": shard}
                if not await session.scalar(TAKE, lock):
                    continue
                try:
                    await _publish(settings, session, shard)
                finally:
                    await session.execute(GIVE, lock)
        if not waiting:
            return
        if monotonic() > until:
            raise ErasureError(
                f"the relay has not published {sum(waiting.values())} tombstones within {patience_s:.0f} s. "
                "Remedy: see its log; when it publishes again, run this again."
            )
        await asyncio.sleep(0.2)


async def _publish(settings: Settings, connection: Any, shard: int) -> None:
    """All that waits in a shard whose lock is held, in order: what came before the tombstones goes before them."""
    rows = (
        await connection.execute(select(OutboxRow).where(OutboxRow.shard == shard).order_by(OutboxRow.id).limit(5_000))
    ).all()
    async with kafka_producer(settings, "gigz-erase") as producer:
        records = [Outgoing(r.topic, r.key, r.partition_by, r.value, r.headers) for r in rows]
        await publish(producer, records, settings.partitions)
    await connection.execute(delete(OutboxRow).where(OutboxRow.id.in_([row.id for row in rows])))


@asynccontextmanager
async def _soon(settings: Settings, topics: Iterable[str]) -> AsyncIterator[None]:
    """The topics compact at once, until the end of this; then they are as the table of topics says."""
    names = sorted(topics)
    await _set(settings, {name: BY_NAME[name].config | {"max.compaction.lag.ms": str(LAG_MS)} for name in names})
    try:
        yield
    finally:
        await _set(settings, {name: BY_NAME[name].config for name in names})


async def _set(settings: Settings, configs: Mapping[str, Mapping[str, str]]) -> None:
    async with kafka_admin(settings) as admin:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(one)) for name, one in configs.items()]
        for response in await admin.alter_configs(asked):
            for code, told, _, name in (resource[:4] for resource in response.resources):
                if code:
                    raise ErasureError(
                        f"{name}: its time of compaction cannot be set: {for_code(code).__name__}: {told}. "
                        "Remedy: allow it (ALTER_CONFIGS), or run with --no-compact and wait."
                    )


async def compact(
    settings: Settings,
    user: str,
    places: Collection[TopicPartition],
    receipt_id: UUID,
    now: datetime,
    *,
    wait_s: float,
    tell: Callable[[str], None],
) -> float | None:
    """Have the broker forget what is due in these partitions; seconds it took, None: not within `wait_s`.

    Looks at what it can still read. The topics are set back whatever happens; after a kill, `gigz topics apply` does.
    """
    began = monotonic()
    topics = {at.topic for at in places}
    async with _soon(settings, topics):
        await asyncio.sleep(ROLL_S)
        async with kafka_producer(settings, "gigz-erase") as producer:
            for at in places:
                await producer.send_and_wait(
                    at.topic,
                    value=None,
                    key=f"erasure/{receipt_id}".encode(),
                    partition=at.partition,
                    headers=[(HEADER_STAGE, ledger.STAGE.encode())],
                )
        pause = FIRST_LOOK_S
        while True:
            seen = await scan(settings, topics, mine(user), only=places)
            left = len(due(seen.found, now))
            if not left:
                return monotonic() - began
            passed = monotonic() - began
            if passed + pause > wait_s:
                return None
            tell(f"compaction: {left} messages are still there after {passed:.0f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_LOOK_S)


def until_gone(topic: str, at: datetime) -> datetime:
    """When a message of a topic that only expires is gone at the latest: closed, then kept for its days."""
    config = BY_NAME[topic].config
    kept = int(config["retention.ms"]) + int(config.get("segment.ms", SEGMENT_MS))
    return datetime.fromtimestamp(at.timestamp() + kept / 1000, UTC)


def by_topic(found: Iterable[Message]) -> dict[str, list[Message]]:
    """Topic -> its messages."""
    grouped: defaultdict[str, list[Message]] = defaultdict(list)
    for message in found:
        grouped[message.topic].append(message)
    return dict(grouped)
