"""What a consumer does when messages, partitions or topics are not there, without a broker."""

from collections.abc import Callable, Collection

import pytest
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError

from deploy.inputs import LOOK_EVERY_S, MISSING_S, InputGone, Reading

ONE, TWO = TopicPartition("gigz.listing.v1", 0), TopicPartition("gigz.listing.v1", 1)


class Consumer:
    """Partitions with a range and a commit each."""

    def __init__(self, ranges: dict[TopicPartition, tuple[int, int]], commits: dict[TopicPartition, int]) -> None:
        self.ranges = ranges
        self.commits = commits
        self.positions: dict[TopicPartition, int] = {}
        self.asked = 0
        self.partitions: dict[str, int] = {ONE.topic: 2}

    def subscription(self) -> set[str]:
        return {ONE.topic}

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(self.partitions[topic])) or None

    def assignment(self) -> set[TopicPartition]:
        return set(self.ranges)

    async def committed(self, part: TopicPartition) -> int | None:
        return self.commits.get(part)

    async def beginning_offsets(self, parts: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {part: self.ranges[part][0] for part in parts}

    async def end_offsets(self, parts: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {part: self.ranges[part][1] for part in parts}

    async def seek_to_beginning(self, *parts: TopicPartition) -> None:
        self.asked += 1
        for part in parts:
            self.seek(part, self.ranges[part][0])

    def seek(self, part: TopicPartition, offset: int) -> None:
        self.positions[part] = offset

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.commits |= offsets

    async def fetch(self) -> str:
        """As aiokafka with auto_offset_reset "none"."""
        for part, (begin, end) in self.ranges.items():
            if part not in self.positions and part not in self.commits:
                raise NoOffsetForPartitionError(part)
            position = self.positions.setdefault(part, self.commits.get(part, 0))
            if not begin <= position <= end:
                raise OffsetOutOfRangeError({part: position})
        return "messages"


class Watch:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def reading(consumer: Consumer, *, reset: bool = False, clock: Callable[[], float] | None = None) -> Reading:
    forgot.clear()
    return Reading(consumer, "resolve", 2, 2, reset=reset, forget=forgot.append, clock=clock or Watch())


forgot: list[TopicPartition] = []


async def test_a_new_group_begins_at_the_oldest_message() -> None:
    consumer = Consumer({ONE: (700, 900), TWO: (0, 0)}, {})
    assert await reading(consumer).poll(consumer.fetch) == "messages"
    assert consumer.positions == {ONE: 700, TWO: 0}
    assert (consumer.commits, consumer.asked) == ({}, 1)


async def test_a_partition_that_was_read_is_not_begun_again_with_a_new_one() -> None:
    consumer = Consumer({ONE: (0, 9)}, {})
    rules = reading(consumer)
    await rules.poll(consumer.fetch)
    consumer.positions[ONE] = 7  # read, not committed yet
    consumer.ranges[TWO] = (5, 9)
    await rules.poll(consumer.fetch)
    assert consumer.positions == {ONE: 7, TWO: 5}
    consumer.positions.clear()  # a rebalance
    await rules.poll(consumer.fetch)
    assert consumer.positions == {ONE: 0, TWO: 5}


async def test_messages_that_retention_took_stop_it_and_all_such_partitions_are_named() -> None:
    consumer = Consumer({ONE: (700, 900), TWO: (10, 20)}, {ONE: 500, TWO: 3})
    with pytest.raises(InputGone) as told:
        await reading(consumer).poll(consumer.fetch)
    said = str(told.value)
    assert "gigz.listing.v1 partition 0: offset 500 is next, Kafka has 700 to 900, 200 messages are gone" in said
    assert "partition 1: offset 3 is next, Kafka has 10 to 20, 7 messages are gone" in said
    assert "Remedy" in said and "gigz worker resolve --instance 2 --reset-offsets" in said
    assert consumer.commits == {ONE: 500, TWO: 3}


async def test_a_topic_that_was_made_anew_stops_it() -> None:
    consumer = Consumer({ONE: (0, 3)}, {ONE: 500})
    with pytest.raises(InputGone, match="offset 500 is next, Kafka has 0 to 3, the topic was made anew"):
        await reading(consumer).poll(consumer.fetch)


async def test_when_told_so_it_goes_on_at_the_oldest_and_tells_how_many_are_gone() -> None:
    consumer = Consumer({ONE: (700, 900), TWO: (0, 3)}, {ONE: 500, TWO: 80})
    with structlog.testing.capture_logs() as logged:
        assert await reading(consumer, reset=True).poll(consumer.fetch) == "messages"
    assert consumer.positions == consumer.commits == {ONE: 700, TWO: 0}
    assert sorted(forgot) == [ONE, TWO]
    assert [(line["partition"], line["gone"]) for line in logged] == [(0, 200), (1, None)]


async def test_what_is_lost_after_that_stops_it_again() -> None:
    consumer = Consumer({ONE: (700, 900)}, {ONE: 500})
    rules = reading(consumer, reset=True)
    await rules.poll(consumer.fetch)
    consumer.ranges[ONE] = (1000, 1100)
    with pytest.raises(InputGone, match="300 messages are gone"):
        await rules.poll(consumer.fetch)


@pytest.mark.parametrize(("count", "says"), [(0, "has 0 of 2 partitions"), (1, "has 1 of 2 partitions")])
async def test_a_topic_that_goes_while_it_runs_stops_it_after_a_while(count: int, says: str) -> None:
    consumer, clock = Consumer({ONE: (0, 9)}, {ONE: 5}), Watch()
    rules = reading(consumer, clock=clock)

    async def for_seconds(seconds: float) -> None:
        until = clock.time + seconds
        while clock.time < until:
            clock.time += LOOK_EVERY_S
            await rules.poll(consumer.fetch)

    consumer.partitions[ONE.topic] = count
    await for_seconds(MISSING_S - LOOK_EVERY_S)
    consumer.partitions[ONE.topic] = 2  # a broker that has just started
    await for_seconds(MISSING_S)
    consumer.partitions[ONE.topic] = count
    with pytest.raises(InputGone, match=says + ".*Remedy"):
        await for_seconds(MISSING_S + 2 * LOOK_EVERY_S)
