"""Read, write, commit, in that order: a crash may repeat a batch, never lose one.

    records -> receive, prepare -> write, around bad rows -> rejections acknowledged -> commit
                    bad data: a rejection, the neighbours go on
                    bad world: the same write again until the deadline, then StoreError, offset unmoved
                    too many rejections: TooManyRejections, offset unmoved

Writes are idempotent and a key stays in one partition, so repeats change nothing. After a rebalance Kafka starts again
at the commit: what was gathered before is dropped, what is being written is waited for before the partitions go.

While a batch takes its time, because its store is away, the partitions are paused and polling goes on: the member stays
in its group, whatever the poll interval, and nothing is fetched that would be lost.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from deploy.failures import Meaning, RejectionWindow, answered, kafka_meaning, pauses
from deploy.logs import some_traces
from deploy.meters import StageMeters, counted
from deploy.progress import heads_of
from deploy.settings import Settings
from schemas.message import HEADER_TRACE, MessageError, new_trace
from schemas.outgoing import Outgoing, reject
from schemas.rejection import ERROR_HEADERS, Reason
from sinks.errors import BadRows, StoreAway, StoreError, StoreRefuses, StoreSpent
from sinks.received import Change, Received, first_origin_of, origin_of, receive

STOP_S = 4.0
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
PAUSE_AFTER_S = 1.0
"""A batch that takes longer may take minutes: from then on the partitions are paused, and polls go on."""
KEPT_KEY = 10_000
"""Bytes of a key that a rejection carries: a longer one would not fit beside a large original."""
START_AGAIN = "when it answers, start this worker again: it goes on where it was"

log = structlog.get_logger()

T = TypeVar("T")
_Prepared: TypeAlias = tuple[ConsumerRecord, Change]
Reject: TypeAlias = Callable[[Sequence[Outgoing]], Awaitable[object]]
"""Publishes rejections and returns when Kafka has them."""
Records: TypeAlias = dict[TopicPartition, list[ConsumerRecord]]
Poll: TypeAlias = Callable[[Callable[[], Awaitable[Records]]], Awaitable[Records]]
"""Goes around every fetch; see `deploy.inputs`."""


async def _plainly(fetch: Callable[[], Awaitable[Records]]) -> Records:
    return await fetch()


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
    moving: asyncio.Event = field(default_factory=asyncio.Event)
    """The partitions are on their way: a pause between two tries ends."""

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Before the partitions go: what was gathered is void, what is being written may finish."""
        self.turn += 1
        self.moving.set()
        try:
            async with asyncio.timeout(TURN_S), self.writing:
                pass
        except TimeoutError:
            log.warning("a rebalance does not wait any longer for the batch in flight", seconds=TURN_S)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Kafka starts again at the commit."""
        self.moving.clear()


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
    meters: StageMeters | None = None,
    poll: Poll = _plainly,
) -> None:
    """Run until `stop`. StoreError, TooManyRejections, InputGone or KafkaError leave the offset at the last commit."""
    meters = meters or StageMeters(limits.stage)
    pumping = _Pump(consumer, sink, reject_all, limits, ownership, stop, clock, now, meters)
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            began = time.perf_counter()
            reading = asyncio.create_task(gather(consumer, limits, ownership, stop, clock, poll))
            if not await _finished(reading, stopping, READ_S):
                break  # in the middle of a rebalance, which a member that stops need not see to its end
            turn, records = await reading
            if not records:
                continue
            meters.took("read", time.perf_counter() - began)
            batch = asyncio.create_task(pumping.take(turn, records))
            staying = asyncio.create_task(stay_in_the_group(consumer, batch, poll))
            await _finished(batch, stopping, STOP_S)
            [outcome] = await asyncio.gather(batch, return_exceptions=True)
            if await _finished(staying, stopping, READ_S):
                await staying
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
    poll: Poll = _plainly,
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
        asked = {"timeout_ms": left_ms, "max_records": limits.batch_size - len(records)}
        found = await poll(partial(consumer.getmany, **asked))
        if ownership.turn != turn:  # whoever reads on from the commit has what was gathered before
            records, size, turn, until = [], 0, ownership.turn, None
        for of_partition in found.values():
            records.extend(of_partition)
            size += sum(len(record.value or b"") for record in of_partition)
        if records and until is None:
            until = clock() + limits.linger_s
    return turn, records


async def stay_in_the_group(consumer: AIOKafkaConsumer, batch: asyncio.Task[Any], poll: Poll = _plainly) -> None:
    """While the batch takes its time, pause what is assigned and poll; then resume."""
    await asyncio.wait({batch}, timeout=PAUSE_AFTER_S)
    if batch.done():
        return
    try:
        while not batch.done():
            consumer.pause(*consumer.assignment())  # each time: a rebalance forgets it
            for part, records in (await poll(partial(consumer.getmany, timeout_ms=POLL_MS))).items():
                # Given to us within this very poll, and not paused: they are read again.
                with contextlib.suppress(IllegalStateError):
                    consumer.seek(part, records[0].offset)
            await asyncio.sleep(0)  # a poll that returns at once gives the batch a turn
    finally:
        consumer.resume(*consumer.paused())


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
    meters: StageMeters
    window: RejectionWindow = field(init=False)

    def __post_init__(self) -> None:
        window = RejectionWindow(self.limits.rejection_window, self.limits.rejection_share)
        object.__setattr__(self, "window", window)

    async def take(self, turn: int, records: Sequence[ConsumerRecord]) -> Done:
        """Write a batch, publish what is bad in it, commit."""
        async with self.ownership.writing:
            if self.ownership.turn != turn:
                raise _Abandoned
            self.meters.offsets.took(heads_of(records))
            until = self.clock() + self.limits.deadline_s
            with self.meters.step("handle"):
                good, rejections = self._prepared(records)

            async def patiently(
                work: Callable[[], Coroutine[Any, Any, object]], store: str, attempt_s: float | None = None
            ) -> None:
                await persist(
                    work,
                    store=store,
                    until=until,
                    given_up=lambda: self.stop.is_set() or self.ownership.turn != turn,
                    clock=self.clock,
                    sleep=self._sleep,
                    failed=lambda code: self.meters.retry(store, code, until),
                    attempt_s=attempt_s,
                )
                self.meters.progress.back()

            async def write(some: Sequence[_Prepared]) -> None:
                await patiently(lambda: self.sink.write([change for _, change in some]), self.sink.store)

            with self.meters.step("write"):
                refused = await write_around(write, good) if good else []
            rejections += [self._rejection(record, Reason.BAD_DOCUMENT, text) for (record, _), text in refused]
            places = ((origin_of(record), first_origin_of(record)) for record in records)
            self.window.count(len(records), [one.key for one in rejections], places)
            if rejections:
                with self.meters.step("publish"):
                    await patiently(lambda: told_by_kafka(self.reject_all(rejections)), "kafka", COMMIT_S)
            with self.meters.step("commit"):
                await patiently(lambda: told_by_kafka(self._commit(records)), "kafka", COMMIT_S)
            self.meters.batch(counted(record.topic for record in records))
            self.meters.refused(counted(record.headers[ERROR_HEADERS["exception"]] for record in rejections))
            self.meters.written.labels(self.limits.stage, self.sink.store).inc(len(good) - len(refused))
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
            origin=first_origin_of(record),
            original=record.value,
            stage=self.limits.stage,
            at=self.now(),
            trace=trace.decode(errors="replace") or new_trace(),
            key=None if len(record.key or b"") > KEPT_KEY else (record.key or b"").decode(errors="replace"),
        )

    async def _sleep(self, seconds: float) -> None:
        """A pause that a stop ends, or partitions that go."""
        ends = [asyncio.create_task(event.wait()) for event in (self.stop, self.ownership.moving)]
        try:
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

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
            await self.consumer.commit(offsets)
            self.meters.committed({(at.topic, at.partition): offset for at, offset in offsets.items()})
        except (CommitFailedError, IllegalStateError) as error:
            log.warning("the group moved on before the commit; the batch is read again", why=str(error))


async def told_by_kafka(work: Awaitable[object]) -> None:
    """Await it; Kafka's errors as a store's. Those that are mistakes of ours are raised as they are."""
    try:
        await work
    except KafkaError as error:
        raise kafka_error(error) from error


def kafka_error(error: KafkaError) -> StoreError:
    """What Kafka's answer means for a request that is done again."""
    why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    match kafka_meaning(error):
        case Meaning.PASSES:
            return StoreAway("kafka", why, START_AGAIN, type(error).__name__)
        case Meaning.SPENT:
            return StoreSpent("kafka", why, "start this worker again: it goes on where it was")
        case Meaning.BAD_DATA:
            raise error
    return StoreRefuses("kafka", why, "correct GIGZ_KAFKA_URL, or the rights that the broker gives")


async def persist(
    write: Callable[[], Coroutine[Any, Any, object]],
    *,
    store: str,
    until: float,
    given_up: Callable[[], bool],
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    jitter: Callable[[], float] = random.random,
    failed: Callable[[str], None] = lambda code: None,
    attempt_s: float | None = None,
) -> None:
    """Write until it succeeds, with `pauses` between. After `until`, StoreAway.

    What takes longer than `attempt_s` (ATTEMPT_S) counts as away. `failed` is told the code of each failure that is
    tried again.
    """
    for pause in pauses(jitter):
        try:
            await answered(write(), max(1.0, min(attempt_s or ATTEMPT_S, until - clock())))
            return
        except (StoreAway, TimeoutError) as error:
            if given_up():
                raise _Abandoned from error
            why = error.why if isinstance(error, StoreAway) else "it took the request and did not answer"
            if clock() + pause >= until:
                raise StoreAway(store, f"{why}, still at the deadline (GIGZ_RETRY_DEADLINE_S)", START_AGAIN) from error
            failed(error.code if isinstance(error, StoreAway) else "never_answered")
            log.warning("the store is away; the same is tried again", store=store, why=why, in_s=round(pause, 2))
            await sleep(pause)
            if given_up():
                raise _Abandoned from error


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
