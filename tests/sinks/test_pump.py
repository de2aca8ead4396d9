"""Read, write, commit: what a broken, slow or refusing store does to the offset, without engines."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    KafkaConnectionError,
    NotCoordinatorForGroupError,
    OutOfOrderSequenceNumber,
    TopicAuthorizationFailedError,
)

from deploy.failures import TooManyRejections
from schemas.concert import Concert
from schemas.outgoing import Outgoing
from schemas.rejection import Reason, Rejection
from sinks import meilisearch
from sinks.errors import BadRows, StoreAway, StoreRefuses, StoreSpent
from sinks.pump import Limits, Ownership, persist, pump, write_around
from sinks.received import Change, Received
from tests.sinks.support import a_concert, raw_record, record_of, replayed, sent

PART = TopicPartition(Concert.topic, 0)
LIMITS = Limits("sink-test", batch_size=100, linger_s=0.01, deadline_s=5.0, rejection_share=0.5, rejection_window=2_000)
ONE_BY_ONE = replace(LIMITS, batch_size=1)


class Consumer:
    """Gives one batch after the other, then asks for a stop; remembers commits."""

    def __init__(self, batches: Sequence[Sequence[ConsumerRecord]], stop: asyncio.Event) -> None:
        self.batches = list(batches)
        self.stop = stop
        self.commits: list[dict[TopicPartition, int]] = []
        self.owned = {PART}
        self.held: set[TopicPartition] = set()
        self.sought: list[tuple[TopicPartition, int]] = []
        self.polls_while_paused = 0
        self.within_a_poll: list[list[ConsumerRecord]] = []
        """What a rebalance brings within a poll, before it can be paused."""
        self.on_read: Callable[[], Awaitable[None]] | None = None

    async def getmany(self, *, timeout_ms: int, max_records: int = 500) -> dict[TopicPartition, list[ConsumerRecord]]:
        await asyncio.sleep(0)
        if self.held >= self.owned:
            self.polls_while_paused += 1
            await asyncio.sleep(0.01)
            return {PART: self.within_a_poll.pop(0)} if self.within_a_poll else {}
        if self.on_read is not None:
            await self.on_read()
        if not self.batches:
            self.stop.set()
            return {}
        return {PART: list(self.batches.pop(0))}

    def assignment(self) -> set[TopicPartition]:
        return self.owned

    def pause(self, *parts: TopicPartition) -> None:
        self.held |= set(parts)

    def paused(self) -> set[TopicPartition]:
        return self.held & self.owned

    def resume(self, *parts: TopicPartition) -> None:
        self.held -= set(parts)

    def seek(self, part: TopicPartition, offset: int) -> None:
        self.sought.append((part, offset))

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.commits.append(offsets)


class Store:
    """A sink that keeps what was written, and fails as told."""

    store = "clickhouse"

    def __init__(self, *failures: Exception, bad: frozenset[str] = frozenset()) -> None:
        self.failures = list(failures)
        self.bad = bad
        self.written: list[list[str]] = []

    def prepare(self, received: Received) -> Change:
        return meilisearch.change_of(received)

    async def write(self, changes: Sequence[Change]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if self.bad & {change.key for change in changes}:
            raise BadRows("one of them is bad")
        self.written.append([change.key for change in changes])


async def run(
    consumer: Consumer, store: Any, rejected: list[Outgoing] | None = None, limits: Limits = LIMITS, **given: Any
) -> None:
    async def reject_all(rejections: Sequence[Outgoing]) -> None:
        (rejected if rejected is not None else []).extend(rejections)

    await asyncio.wait_for(
        pump(
            consumer,
            store,
            reject_all,
            limits=limits,
            ownership=given.pop("ownership", Ownership()),
            stop=consumer.stop,
            now=lambda: datetime(2024, 1, 1, tzinfo=UTC),
            **given,
        ),
        20,
    )


def records(*names: str, start: int = 0) -> list[ConsumerRecord]:
    return [record_of(sent(a_concert(name)), offset=start + n) for n, name in enumerate(names)]


def key(name: str) -> str:
    return a_concert(name).key


async def test_a_batch_is_written_then_committed() -> None:
    consumer, store = Consumer([records("a", "b")], asyncio.Event()), Store()
    await run(consumer, store)
    assert store.written == [[key("a"), key("b")]]
    assert consumer.commits == [{PART: 2}]


async def test_bad_bytes_become_rejections_before_the_commit_and_the_neighbours_go_on() -> None:
    consumer, store = Consumer([], asyncio.Event()), Store()
    poison = raw_record(Concert.topic, b"k", b"\x00", offset=1, headers=(("trace", b"abc"),))
    consumer.batches = [[*records("a"), poison, *records("b", start=2)]]
    rejected: list[Outgoing] = []
    await run(consumer, store, rejected)
    assert store.written == [[key("a"), key("b")]]
    assert consumer.commits == [{PART: 3}]
    [rejection] = [Rejection.from_bytes(one.value) for one in rejected]
    assert (rejection.reason, rejection.stage, rejection.original_bytes) == (Reason.NOT_JSON, "sink-test", b"\x00")
    assert rejection.key == f"{Concert.topic}:0:1"
    assert rejected[0].headers["trace"] == "abc"


async def test_a_rejection_that_kafka_does_not_take_leaves_the_offset() -> None:
    consumer = Consumer([[raw_record(Concert.topic, b"k", b"{")]], asyncio.Event())

    async def refuse(_: Sequence[Outgoing]) -> None:
        raise ConnectionError("no broker")

    with pytest.raises(ConnectionError):
        await pump(consumer, Store(), refuse, limits=LIMITS, ownership=Ownership(), stop=consumer.stop)
    assert consumer.commits == []


async def test_a_row_that_the_store_refuses_becomes_a_rejection_and_the_others_are_written() -> None:
    names = [f"n{n}" for n in range(17)]
    consumer, store = Consumer([records(*names)], asyncio.Event()), Store(bad=frozenset({key("n11")}))
    rejected: list[Outgoing] = []
    await run(consumer, store, rejected)
    written = [one for batch in store.written for one in batch]
    assert written == [key(name) for name in names if name != "n11"], "all but the bad one, in their order"
    [rejection] = [Rejection.from_bytes(one.value) for one in rejected]
    assert (rejection.reason, rejection.origin_offset) == (Reason.BAD_DOCUMENT, 11)
    assert consumer.commits == [{PART: 17}]


async def test_a_store_that_comes_back_gets_the_same_batch_and_the_offset_moves_once() -> None:
    consumer, store = Consumer([records("a")], asyncio.Event()), Store(StoreAway("clickhouse", "away", "wait"))
    await run(consumer, store, limits=ONE_BY_ONE)
    assert store.written == [[key("a")]]
    assert consumer.commits == [{PART: 1}]


async def test_a_store_that_refuses_ends_it_at_once_with_the_offset_unmoved() -> None:
    consumer, store = (
        Consumer([records("a")], asyncio.Event()),
        Store(StoreRefuses("clickhouse", "no table", "migrate")),
    )
    with pytest.raises(StoreRefuses, match="no table"):
        await run(consumer, store)
    assert consumer.commits == []


async def test_a_mistake_of_our_own_is_not_tried_again() -> None:
    consumer, store = Consumer([records("a")], asyncio.Event()), Store(KeyError("ours"))
    with pytest.raises(KeyError):
        await run(consumer, store)
    assert consumer.commits == []


async def test_too_many_rejections_halt_it_with_the_offset_unmoved() -> None:
    poison = [raw_record(Concert.topic, b"k", b"{", offset=n) for n in range(60)]
    consumer = Consumer([poison], asyncio.Event())
    limits = replace(LIMITS, rejection_window=100)
    rejected: list[Outgoing] = []
    with pytest.raises(TooManyRejections, match="60 of the last 60"):
        await run(consumer, Store(), rejected, limits)
    assert rejected == []
    assert consumer.commits == []


async def test_what_was_sent_again_and_is_still_bad_halts_nothing_and_is_the_same_rejection() -> None:
    poison = [
        raw_record(Concert.topic, b"k", b"{", offset=n, headers=replayed(Concert.topic, n - 500))
        for n in range(500, 560)
    ]
    rejected: list[Outgoing] = []
    await run(Consumer([poison], asyncio.Event()), Store(), rejected, replace(LIMITS, rejection_window=100))
    assert [one.key for one in rejected] == [f"{Concert.topic}:0:{n}" for n in range(60)]


async def test_a_bad_message_and_what_was_sent_again_of_it_are_one_that_is_new() -> None:
    def both(number: int) -> list[ConsumerRecord]:
        new = [raw_record(Concert.topic, b"k", b"{", offset=n) for n in range(number)]
        again = [
            raw_record(Concert.topic, b"k", b"{", offset=500 + n, headers=replayed(Concert.topic, n))
            for n in range(number)
        ]
        return [*new, *again]

    limits = replace(LIMITS, batch_size=200, rejection_window=100)
    rejected: list[Outgoing] = []
    await run(Consumer([both(50)], asyncio.Event()), Store(), rejected, limits)
    assert [one.key for one in rejected] == [f"{Concert.topic}:0:{n}" for n in (*range(50), *range(50))]
    with pytest.raises(TooManyRejections, match="51 of the last 51"):
        await run(Consumer([both(51)], asyncio.Event()), Store(), [], limits)


async def test_a_stop_while_the_store_is_away_gives_the_batch_back() -> None:
    consumer = Consumer([records("a")], asyncio.Event())

    class Away(Store):
        async def write(self, changes: Sequence[Change]) -> None:
            consumer.stop.set()
            raise StoreAway("clickhouse", "away", "wait")

    await run(consumer, Away())
    assert consumer.commits == []


async def test_a_stop_lets_the_batch_in_flight_finish() -> None:
    consumer = Consumer([records("a")], asyncio.Event())

    class Slow(Store):
        async def write(self, changes: Sequence[Change]) -> None:
            consumer.stop.set()
            await asyncio.sleep(0.2)
            await super().write(changes)

    store = Slow()
    await run(consumer, store)
    assert store.written == [[key("a")]]
    assert consumer.commits == [{PART: 1}]


async def test_a_stop_does_not_wait_for_a_store_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.pump.STOP_S", 0.2)
    consumer = Consumer([records("a")], asyncio.Event())

    class Silent(Store):
        async def write(self, changes: Sequence[Change]) -> None:
            consumer.stop.set()
            await asyncio.sleep(3600)

    await run(consumer, Silent())
    assert consumer.commits == []


async def test_only_what_is_still_owned_is_committed() -> None:
    other = [record_of(sent(a_concert("b")), offset=5, partition=1)]
    consumer = Consumer([[*records("a"), *other]], asyncio.Event())
    await run(consumer, Store())
    assert consumer.commits == [{PART: 1}]


async def test_a_commit_that_comes_too_late_is_no_failure() -> None:
    consumer = Consumer([records("a"), records("b", start=1)], asyncio.Event())
    commit = consumer.commit

    async def once_too_late(offsets: dict[TopicPartition, int]) -> None:
        consumer.commit = commit  # type: ignore[method-assign]
        raise CommitFailedError("the group moved on")

    consumer.commit = once_too_late  # type: ignore[method-assign]
    store = Store()
    await run(consumer, store, limits=ONE_BY_ONE)
    assert store.written == [[key("a")], [key("b")]]
    assert consumer.commits == [{PART: 2}]


async def test_what_was_gathered_before_a_rebalance_is_dropped() -> None:
    consumer, ownership = Consumer([records("old"), records("new")], asyncio.Event()), Ownership()

    async def rebalance_at_the_second_read() -> None:
        if len(consumer.batches) == 1:
            await ownership.on_partitions_revoked([PART])

    consumer.on_read = rebalance_at_the_second_read
    store = Store()
    await run(consumer, store, ownership=ownership)
    assert store.written == [[key("new")]]


async def test_a_batch_whose_partitions_went_before_its_turn_is_not_written() -> None:
    consumer, ownership = Consumer([records("a")], asyncio.Event()), Ownership()

    async def rebalance() -> None:
        async with ownership.writing:
            while consumer.batches:  # noqa: ASYNC110 - until it is gathered
                await asyncio.sleep(0)
            await asyncio.sleep(0.1)
            ownership.turn += 1

    moving = asyncio.create_task(rebalance())
    await asyncio.sleep(0)
    store = Store()
    await run(consumer, store, ownership=ownership, limits=ONE_BY_ONE)
    await moving
    assert (store.written, consumer.commits) == ([], [])


async def test_a_rebalance_waits_for_the_batch_in_flight() -> None:
    consumer, ownership = Consumer([records("a")], asyncio.Event()), Ownership()
    order: list[str] = []

    class Slow(Store):
        async def write(self, changes: Sequence[Change]) -> None:
            asyncio.get_running_loop().create_task(revoke())
            await asyncio.sleep(0.1)
            order.append("written")

    async def revoke() -> None:
        await ownership.on_partitions_revoked([PART])
        order.append("revoked" if consumer.commits else "revoked before the commit")

    await run(consumer, Slow(), ownership=ownership)
    await asyncio.sleep(0.05)
    assert order == ["written", "revoked"]


async def test_a_rebalance_ends_the_retries_of_a_batch_that_others_will_read() -> None:
    consumer, ownership = Consumer([records("a")], asyncio.Event()), Ownership()

    class Away(Store):
        async def write(self, changes: Sequence[Change]) -> None:
            ownership.turn += 1
            raise StoreAway("clickhouse", "away", "wait")

    await run(consumer, Away(), ownership=ownership)
    assert consumer.commits == []


class AwayFor(Store):
    """Away for so many seconds, then there."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.until = time.monotonic() + seconds

    async def write(self, changes: Sequence[Change]) -> None:
        if time.monotonic() < self.until:
            raise StoreAway("clickhouse", "away", "wait")
        await super().write(changes)


async def test_while_a_store_is_away_the_partitions_are_paused_and_polls_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.pump.PAUSE_AFTER_S", 0.05)
    consumer, store = Consumer([records("a"), records("b", start=1)], asyncio.Event()), AwayFor(0.6)
    await run(consumer, store, limits=ONE_BY_ONE)
    assert consumer.polls_while_paused > 10
    assert store.written == [[key("a")], [key("b")]]
    assert (consumer.commits, consumer.held) == ([{PART: 1}, {PART: 2}], set())


async def test_what_a_rebalance_brings_while_a_store_is_away_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.pump.PAUSE_AFTER_S", 0.05)
    consumer, store = Consumer([records("a")], asyncio.Event()), AwayFor(0.4)
    consumer.within_a_poll = [records("b", "c", start=7)]
    await run(consumer, store, limits=ONE_BY_ONE)
    assert consumer.sought == [(PART, 7)]
    assert consumer.commits == [{PART: 1}]


async def test_a_quick_batch_is_not_slowed_by_pauses() -> None:
    consumer, store = Consumer([records("a")], asyncio.Event()), Store()
    await run(consumer, store)
    assert consumer.polls_while_paused == 0


async def test_a_rebalance_does_not_wait_for_the_pause_between_two_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.failures.FIRST_PAUSE_S", 8.0)
    consumer, ownership = Consumer([records("a")], asyncio.Event()), Ownership()

    class Away(Store):
        async def write(self, changes: Sequence[Change]) -> None:
            asyncio.get_running_loop().call_later(0.2, lambda: asyncio.ensure_future(revoke()))
            raise StoreAway("clickhouse", "away", "wait")

    async def revoke() -> None:
        await ownership.on_partitions_revoked([PART])

    began = time.monotonic()
    await run(consumer, Away(), ownership=ownership, limits=replace(ONE_BY_ONE, deadline_s=60))
    assert time.monotonic() - began < 3
    assert consumer.commits == []


async def test_a_commit_that_a_restarting_broker_refuses_is_tried_again() -> None:
    consumer = Consumer([records("a")], asyncio.Event())
    commit, refusals = consumer.commit, [KafkaConnectionError("restarting"), NotCoordinatorForGroupError()]

    async def refused_twice(offsets: dict[TopicPartition, int]) -> None:
        if refusals:
            raise refusals.pop()
        await commit(offsets)

    consumer.commit = refused_twice  # type: ignore[method-assign]
    store = Store()
    await run(consumer, store, limits=ONE_BY_ONE)
    assert store.written == [[key("a")]]
    assert consumer.commits == [{PART: 1}]


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (KafkaConnectionError("gone"), StoreAway),
        (TopicAuthorizationFailedError("no right"), StoreRefuses),
        (OutOfOrderSequenceNumber(), StoreSpent),
    ],
)
async def test_a_commit_that_kafka_never_takes_ends_it_with_what_kafka_said(
    error: Exception, ends: type[Exception]
) -> None:
    consumer = Consumer([records("a")], asyncio.Event())

    async def refused(offsets: dict[TopicPartition, int]) -> None:
        raise error

    consumer.commit = refused  # type: ignore[method-assign]
    with pytest.raises(ends, match=f"kafka: {type(error).__name__}"):
        await run(consumer, Store(), limits=replace(ONE_BY_ONE, deadline_s=0.5))


async def test_rejections_that_kafka_never_acknowledges_end_it_with_the_offset_unmoved() -> None:
    consumer = Consumer([[raw_record(Concert.topic, b"k", b"{")]], asyncio.Event())

    async def silent(_: Sequence[Outgoing]) -> None:
        await asyncio.sleep(3600)

    limits = replace(ONE_BY_ONE, deadline_s=0.5)
    with pytest.raises(StoreAway, match="kafka: it took the request and did not answer"):
        await pump(consumer, Store(), silent, limits=limits, ownership=Ownership(), stop=consumer.stop)
    assert consumer.commits == []


class Clock:
    """Time that only passes in pauses."""

    def __init__(self) -> None:
        self.time = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.pauses.append(round(seconds, 3))


async def away() -> None:
    raise StoreAway("clickhouse", "no answer", "wait")


async def try_until(deadline: float, jitter: float) -> Clock:
    clock = Clock()
    with pytest.raises(StoreAway, match="no answer, still at the deadline"):
        await persist(
            away,
            store="clickhouse",
            until=deadline,
            given_up=lambda: False,
            clock=clock,
            sleep=clock.sleep,
            jitter=lambda: jitter,
        )
    return clock


async def test_pauses_double_up_to_ten_seconds_and_end_before_the_deadline() -> None:
    clock = await try_until(40, 1.0)
    assert clock.pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert clock.time < 40


async def test_half_of_each_pause_is_chance_so_that_workers_do_not_come_back_together() -> None:
    assert (await try_until(2, 0.0)).pauses == [0.1, 0.2, 0.4, 0.8]


async def test_a_write_that_is_not_answered_counts_as_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.pump.ATTEMPT_S", 0.05)
    clock, tries = Clock(), 0

    async def silent_once() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            await asyncio.sleep(3600)

    await persist(
        silent_once, store="s", until=100, given_up=lambda: False, clock=clock, sleep=clock.sleep, jitter=lambda: 1.0
    )
    assert tries == 2


@pytest.mark.parametrize("bad", [set(), {0}, {15}, {3, 4, 11}, set(range(16))])
async def test_halving_finds_exactly_the_bad_rows(bad: set[int]) -> None:
    written: list[int] = []
    writes = 0

    async def write(rows: Sequence[int]) -> None:
        nonlocal writes
        writes += 1
        if bad & set(rows):
            raise BadRows("refused")
        written.extend(rows)

    found = await write_around(write, list(range(16)))
    assert {row for row, _ in found} == bad
    assert written == [n for n in range(16) if n not in bad]
    if len(bad) == 1:
        assert writes <= 2 * 4 + 1
