"""Read, write, commit, in that order: a crash may repeat a batch, never lose one.

    records -> receive, prepare -> write, around bad rows -> rejections acknowledged -> commit
                    bad data: a rejection, the neighbours go on
                    bad world: the same write again until the deadline, then StoreError, offset unmoved
                    too many rejections: TooManyRejections, offset unmoved

Writes are idempotent and a key stays in one partition, so repeats change nothing. After a rebalance Kafka starts again
at the commit: what was gathered before is dropped, what is being written is waited for before the partitions go.
"""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from deploy.logs import some_traces
from deploy.settings import Settings
from schemas.message import HEADER_TRACE, MessageError, new_trace
from schemas.outgoing import Outgoing, reject
from schemas.rejection import Reason
from sinks.errors import BadRows, StoreAway
from sinks.received import Change, Received, origin_of, receive

STOP_S = 5.0
"""How long a batch may take to finish once a stop was asked for; the whole stop, clients closed, has 10 s."""
READ_S = 1.0
"""The same for a read, which only a rebalance holds up for longer."""
ATTEMPT_S = 60.0
"""One write: 5,000 rows take a second; what takes this long never answers."""
COMMIT_S = 30.0
"""A commit; Kafka answers in milliseconds as a rule."""
TURN_S = 10.0
"""How long a rebalance waits for the batch in flight; Kafka waits for us for the session's timeout."""
POLL_MS = 200
"""How soon a stop is noticed while nothing comes in."""
BATCH_BYTES = 16 * 1_048_576
"""A batch ends here whatever the number of its messages: rejections carry up to 4 MB each."""
FIRST_DELAY_S, LONGEST_DELAY_S = 0.2, 10.0
KEPT_KEY = 10_000
"""Bytes of a key that a rejection carries: a longer one would not fit beside a large original."""
START_AGAIN = "when it answers, start this worker again: it goes on where it was"

log = structlog.get_logger()

T = TypeVar("T")
_Prepared: TypeAlias = tuple[ConsumerRecord, Change]
Reject: TypeAlias = Callable[[Sequence[Outgoing]], Awaitable[object]]
"""Publishes rejections and returns when Kafka has them."""


class Sink(Protocol):
    """A store at the end of the stream."""

    store: str
    """The engine, as its setting names it."""

    def prepare(self, received: Received) -> Change:
        """What the message does to the store; no I/O. MessageError when the store cannot hold it."""
        ...

    async def write(self, changes: Sequence[Change]) -> None:
        """Do it, all or anything of it: it may be done again. StoreAway, StoreRefuses or BadRows."""
        ...


class TooManyRejections(Exception):
    """So much is bad that the fault is hardly the data's."""


class _Abandoned(Exception):
    """The batch is given back: a stop was asked for, or the partitions went to another member."""


@dataclass(frozen=True)
class Limits:
    """The settings that the pump goes by, and the stage's name."""

    stage: str
    batch_size: int
    linger_s: float
    deadline_s: float
    rejection_share: float
    rejection_window: int

    @classmethod
    def of(cls, settings: Settings, stage: str) -> "Limits":
        """As they are set."""
        return cls(
            stage,
            settings.sink_batch_size,
            settings.sink_linger_s,
            settings.retry_deadline_s,
            settings.rejection_share_limit,
            settings.rejection_window,
        )


@dataclass
class Ownership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Whose turn it is: counts rebalances and lets each wait for the batch that is being written."""

    turn: int = 0
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Before the partitions go: what was gathered is void, what is being written may finish."""
        self.turn += 1
        try:
            async with asyncio.timeout(TURN_S), self.writing:
                pass
        except TimeoutError:
            log.warning("a rebalance does not wait any longer for the batch in flight", seconds=TURN_S)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Kafka starts again at the commit."""


@dataclass
class Share:
    """The share of rejections among the last messages of a window."""

    limit: float
    window: int
    _batches: deque[tuple[int, int]] = field(default_factory=deque)

    def add(self, read: int, rejected: int) -> None:
        """Count a batch. TooManyRejections when the window holds more than its share."""
        self._batches.append((read, rejected))
        while sum(batch[0] for batch in self._batches) - self._batches[0][0] >= self.window:
            self._batches.popleft()
        bad = sum(batch[1] for batch in self._batches)
        if bad > self.limit * self.window:
            raise TooManyRejections(
                f"{bad} of the last {sum(batch[0] for batch in self._batches)} messages were rejected, "
                f"the limit is {self.limit:.0%} of {self.window}. Remedy: look at the reasons with `gigz rejections`; "
                "when they are right, raise GIGZ_REJECTION_SHARE_LIMIT and start again."
            )


@dataclass(frozen=True)
class Done:
    """What became of a batch."""

    read: int
    written: int
    rejected: int


async def pump(
    consumer: AIOKafkaConsumer,
    sink: Sink,
    reject_all: Reject,
    *,
    limits: Limits,
    ownership: Ownership,
    stop: asyncio.Event,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Run until `stop`. StoreError, TooManyRejections or KafkaError leave the offset where the last commit was."""
    pumping = _Pump(consumer, sink, reject_all, limits, ownership, stop, clock, now)
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            reading = asyncio.create_task(gather(consumer, limits, ownership, stop, clock))
            if not await _finished(reading, stopping, READ_S):
                break  # in the middle of a rebalance, which a member that stops need not see to its end
            turn, records = await reading
            if not records:
                continue
            batch = asyncio.create_task(pumping.take(turn, records))
            await _finished(batch, stopping, STOP_S)
            [outcome] = await asyncio.gather(batch, return_exceptions=True)
            if isinstance(outcome, Done):
                log.info(
                    "batch written",
                    read=outcome.read,
                    written=outcome.written,
                    rejected=outcome.rejected,
                    **some_traces(_trace(record) for record in records),
                )
            elif isinstance(outcome, _Abandoned | asyncio.CancelledError):
                log.warning("batch given back; it is read again from the commit", messages=len(records))
            else:
                raise outcome
    finally:
        stopping.cancel()


async def _finished(task: asyncio.Task[Any], stopping: asyncio.Task[Any], seconds: float) -> bool:
    """Wait for the task, after a stop for `seconds` at most; then it is cancelled."""
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await asyncio.wait({task}, timeout=seconds)
        return task.done()
    finally:
        task.cancel()


async def gather(
    consumer: AIOKafkaConsumer,
    limits: Limits,
    ownership: Ownership,
    stop: asyncio.Event,
    clock: Callable[[], float],
) -> tuple[int, list[ConsumerRecord]]:
    """A batch and the turn it belongs to: full, or `linger_s` after its first message, or what is there at a stop."""
    records: list[ConsumerRecord] = []
    size = 0
    turn = ownership.turn
    until: float | None = None
    while len(records) < limits.batch_size and size < BATCH_BYTES and not stop.is_set():
        left_ms = POLL_MS if until is None else min(POLL_MS, int((until - clock()) * 1000))
        if left_ms <= 0:
            break
        found = await consumer.getmany(timeout_ms=left_ms, max_records=limits.batch_size - len(records))
        if ownership.turn != turn:  # whoever reads on from the commit has what was gathered before
            records, size, turn, until = [], 0, ownership.turn, None
        for of_partition in found.values():
            records.extend(of_partition)
            size += sum(len(record.value or b"") for record in of_partition)
        if records and until is None:
            until = clock() + limits.linger_s
    return turn, records


@dataclass(frozen=True)
class _Pump:
    """What `pump` was given, for one batch after the other."""

    consumer: AIOKafkaConsumer
    sink: Sink
    reject_all: Reject
    limits: Limits
    ownership: Ownership
    stop: asyncio.Event
    clock: Callable[[], float]
    now: Callable[[], datetime]
    share: Share = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", Share(self.limits.rejection_share, self.limits.rejection_window))

    async def take(self, turn: int, records: Sequence[ConsumerRecord]) -> Done:
        """Write a batch, publish what is bad in it, commit."""
        async with self.ownership.writing:
            if self.ownership.turn != turn:
                raise _Abandoned
            until = self.clock() + self.limits.deadline_s
            good, rejections = self._prepared(records)

            async def write(some: Sequence[_Prepared]) -> None:
                await persist(
                    lambda: self.sink.write([change for _, change in some]),
                    store=self.sink.store,
                    until=until,
                    given_up=lambda: self.stop.is_set() or self.ownership.turn != turn,
                    clock=self.clock,
                    sleep=self._sleep,
                )

            refused = await write_around(write, good) if good else []
            rejections += [self._rejection(record, Reason.BAD_DOCUMENT, text) for (record, _), text in refused]
            self.share.add(len(records), len(rejections))
            if rejections:
                await self.reject_all(rejections)
            await self._commit(records)
        return Done(len(records), len(good) - len(refused), len(rejections))

    def _prepared(self, records: Sequence[ConsumerRecord]) -> tuple[list[_Prepared], list[Outgoing]]:
        good: list[_Prepared] = []
        rejections: list[Outgoing] = []
        for record in records:
            try:
                good.append((record, self.sink.prepare(receive(record))))
            except MessageError as error:
                rejections.append(self._rejection(record, error.reason, error.text))
        return good, rejections

    def _rejection(self, record: ConsumerRecord, reason: str, text: str) -> Outgoing:
        trace = dict(record.headers).get(HEADER_TRACE) or b""
        return reject(
            reason,
            text,
            origin=origin_of(record),
            original=record.value,
            stage=self.limits.stage,
            at=self.now(),
            trace=trace.decode(errors="replace") or new_trace(),
            key=None if len(record.key or b"") > KEPT_KEY else (record.key or b"").decode(errors="replace"),
        )

    async def _sleep(self, seconds: float) -> None:
        """A pause that a stop ends."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), seconds)

    async def _commit(self, records: Sequence[ConsumerRecord]) -> None:
        """Move the offsets of what this member still owns; what it lost, its owner reads and writes again."""
        owned = self.consumer.assignment()
        offsets: dict[TopicPartition, int] = {}
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            if partition in owned:
                offsets[partition] = max(offsets.get(partition, 0), record.offset + 1)
        if not offsets:
            return
        try:
            # By itself the client would repeat a commit for ever while the broker is away.
            await asyncio.wait_for(self.consumer.commit(offsets), COMMIT_S)
        except (CommitFailedError, IllegalStateError) as error:
            log.warning("the group moved on before the commit; the batch is read again", why=str(error))
        except TimeoutError as error:
            raise StoreAway("kafka", f"a commit was not answered in {COMMIT_S:.0f} s", START_AGAIN) from error


async def persist(
    write: Callable[[], Awaitable[None]],
    *,
    store: str,
    until: float,
    given_up: Callable[[], bool],
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    jitter: Callable[[], float] = random.random,
) -> None:
    """Write until it succeeds: pauses double from 0.2 s to 10 s, each half of it chance. After `until`, StoreAway.

    What takes longer than ATTEMPT_S counts as away.
    """
    delay = FIRST_DELAY_S
    while True:
        try:
            async with asyncio.timeout(max(1.0, min(ATTEMPT_S, until - clock()))):
                await write()
            return
        except (StoreAway, TimeoutError) as error:
            if given_up():
                raise _Abandoned from error
            why = error.why if isinstance(error, StoreAway) else "it took the write and did not answer"
            pause = delay * (0.5 + jitter() / 2)
            if clock() + pause >= until:
                raise StoreAway(store, f"{why}, still at the deadline (GIGZ_RETRY_DEADLINE_S)", START_AGAIN) from error
            log.warning("the store is away; the write is tried again", store=store, why=why, in_s=round(pause, 2))
            await sleep(pause)
            if given_up():
                raise _Abandoned from error
            delay = min(2 * delay, LONGEST_DELAY_S)


async def write_around(write: Callable[[Sequence[T]], Awaitable[None]], rows: Sequence[T]) -> list[tuple[T, str]]:
    """Write all but the rows that the store refuses, found by halving; those, with what the store said of each.

    The order of rows is kept: one bad row of n costs about 2 log2(n) writes.
    """
    try:
        await write(rows)
    except BadRows as error:
        if len(rows) == 1:
            return [(rows[0], str(error))]
        middle = len(rows) // 2
        return [*await write_around(write, rows[:middle]), *await write_around(write, rows[middle:])]
    return []


def _trace(record: ConsumerRecord) -> str:
    return str(next((value.decode("latin-1") for name, value in record.headers if name == HEADER_TRACE and value), ""))
