"""What a consumer needs to find in Kafka: its topics, whole, and the messages that come next.

a new group              begins at the oldest message
a message that is gone   stops the stage: retention overtook it, or the topic was made anew. What was lost cannot be
                         known here; a person decides. `gigz worker STAGE --reset-offsets` goes on at the oldest.
a topic that is gone     stops the stage, too: at its start, or within MISSING_S of losing it
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from deploy.clients import kafka_admin
from deploy.settings import PREFIX, Settings, SettingsError

T = TypeVar("T")
LOOK_EVERY_S = 5.0
"""How often the topics are counted; the client's own memory of them is asked, not the broker."""
MISSING_S = 30.0
"""How long a topic may be missing: a broker that starts does not know all of them at once."""
MOST_TOLD = 5
ASK_S = 10.0
log = structlog.get_logger()


class InputGone(Exception):
    """What was to be read is not there any more. The message names it, and the remedy. Nothing was committed."""


async def check_topics(settings: Settings, names: Collection[str]) -> None:
    """SettingsError when one of these topics is missing, or has other partitions than are set."""
    async with kafka_admin(settings) as admin:
        missing = sorted(set(names) - set(await admin.list_topics()))
        if missing:
            raise SettingsError(
                f"{PREFIX}KAFKA_URL: Kafka has no topic {', '.join(missing)}. "
                "Remedy: `gigz topics apply`, or name the broker that has them."
            )
        if not names:
            return
        for told in await admin.describe_topics(sorted(names)):
            if len(told["partitions"]) != settings.partitions:
                raise SettingsError(
                    f"{told['topic']} has {len(told['partitions'])} partitions, {PREFIX}PARTITIONS is "
                    f"{settings.partitions}: keys would go elsewhere. Remedy: set {PREFIX}PARTITIONS to what the "
                    "topics were made with, or copy this one into a topic with as many as the others."
                )


class Reading:
    """The rules above, around a consumer that was made with `auto_offset_reset="none"`."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        stage: str,
        instance: int,
        partitions: int,
        *,
        reset: bool = False,
        forget: Callable[[TopicPartition], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer = consumer
        self._stage = stage
        self._instance = instance
        self._partitions = partitions
        self._reset = reset
        self._forget = forget
        """Told of a partition whose offsets begin anew, before its first message."""
        self._clock = clock
        self._done: set[TopicPartition] = set()
        self._begun: set[TopicPartition] = set()
        self._looked_at = self._whole_at = clock()

    async def poll(self, fetch: Callable[[], Awaitable[T]]) -> T:
        """What `fetch` gives: the consumer's next messages. InputGone."""
        while True:
            self._count_partitions()
            try:
                return await fetch()
            except NoOffsetForPartitionError as error:
                with contextlib.suppress(IllegalStateError):  # it has gone to another member
                    await self._begin(error.args[0])
            except OffsetOutOfRangeError as error:
                await self._out_of_range(error.args[0])

    async def _begin(self, part: TopicPartition) -> None:
        """Go to the oldest message of this partition, and of all others that have no commit: one question, not many."""
        if part in self._begun:
            self._begun.clear()  # a rebalance has forgotten where they were
        parts = sorted(self._consumer.assignment())
        commits = await asyncio.gather(*(self._consumer.committed(one) for one in parts))
        new = {part} | {one for one, offset in zip(parts, commits, strict=True) if offset is None} - self._begun
        self._begun |= new
        await self._consumer.seek_to_beginning(*sorted(new))

    def _count_partitions(self) -> None:
        now = self._clock()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        found = {
            topic: len(self._consumer.partitions_for_topic(topic) or ()) for topic in self._consumer.subscription()
        }
        short = sorted(topic for topic, count in found.items() if count < self._partitions)
        if not short:
            self._whole_at = now
        elif now - self._whole_at > MISSING_S:
            told = ", ".join(f"{topic} has {found[topic]} of {self._partitions} partitions" for topic in short)
            raise InputGone(
                f"{told}: it was deleted, or made anew. Nothing was committed. Remedy: restore it, or make it with "
                "`gigz topics apply` and feed it again; then start this worker again."
            )

    async def _out_of_range(self, offsets: dict[TopicPartition, int]) -> None:
        ranges = {}
        wanted = await self._committed() | offsets
        parts = list(wanted)
        async with asyncio.timeout(ASK_S):
            begins = await self._consumer.beginning_offsets(parts)
            ends = await self._consumer.end_offsets(parts)
        for part, offset in sorted(wanted.items()):
            if not begins[part] <= offset <= ends[part]:
                ranges[part] = (offset, begins[part], ends[part])
        fresh = set(ranges) - self._done
        if not self._reset or (ranges and not fresh):
            if ranges:
                raise InputGone(self._told(ranges))
            await asyncio.sleep(0.1)  # a broker that starts tells of its end late
            return
        for part in sorted(fresh):
            offset, begin, end = ranges[part]
            self._done.add(part)
            with contextlib.suppress(IllegalStateError, KafkaError):
                self._forget(part)
                self._consumer.seek(part, begin)
                # Else a restart without the option would stop at the same place.
                await asyncio.wait_for(self._consumer.commit({part: begin}), ASK_S)
            gone = begin - offset
            log.warning(
                "offset reset",
                topic=part.topic,
                partition=part.partition,
                was=offset,
                now=begin,
                end=end,
                gone=gone if gone > 0 else None,
                why=f"{gone} messages are gone" if gone > 0 else "the topic was made anew; its old messages are gone",
            )

    async def _committed(self) -> dict[TopicPartition, int]:
        found = {}
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(ASK_S):
                for part in self._consumer.assignment():
                    offset = await self._consumer.committed(part)
                    if offset is not None:
                        found[part] = offset
        return found

    def _told(self, ranges: dict[TopicPartition, tuple[int, int, int]]) -> str:
        lines = [
            f"{part.topic} partition {part.partition}: offset {offset} is next, Kafka has {begin} to {end}"
            + (f", {begin - offset} messages are gone" if offset < begin else ", the topic was made anew")
            for part, (offset, begin, end) in list(ranges.items())[:MOST_TOLD]
        ]
        if len(ranges) > MOST_TOLD:
            lines.append(f"and {len(ranges) - MOST_TOLD} partitions more")
        return (
            f"What {self._stage} was to read next is not there: {'; '.join(lines)}. Nothing was committed. Remedy: "
            "feed or crawl what is missed again; "
            f"`gigz worker {self._stage} --instance {self._instance} --reset-offsets` goes on at the oldest message."
        )
