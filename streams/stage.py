"""The frame that all stages share: take a batch, handle it, publish and wait for the acks, acknowledge in order.

    bad data      becomes a rejection; the batch goes on
    a bad world   is retried in place until the deadline, then the process stops with the offset unmoved
    our own bug   stops the process with the offset unmoved

Faust acknowledges whatever it still holds when an agent's loop is left. So no agent here ever leaves its loop: one that
failed or is told to stop stands still, and `streams.main` commits, closes the door to commits, and takes it apart.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import faust
import structlog
from aiokafka import AIOKafkaProducer
from sqlalchemy.exc import DBAPIError

from deploy.clients import publish
from deploy.failures import RejectionWindow, sqlstate
from deploy.logs import some_traces
from deploy.meters import StageMeters, counted, stage_meters
from deploy.progress import heads_of
from deploy.settings import Settings
from schemas.message import HEADER_TRACE
from schemas.outgoing import Outgoing, first_origin
from schemas.rejection import ERROR_HEADERS, Reason, Rejection
from streams.record import Record, record_of, without_giants
from streams.retry import Patience

Clock = Callable[[], datetime]
Handle = Callable[[Sequence[Record]], Awaitable[list[Outgoing]]]
"""What a stage does with a batch: its own effects, and the messages to publish. Idempotent: may be called again."""

BAD_VALUES = ("22", "54")
"""PostgreSQL's data exceptions and program limits: a value that no column or index takes (U+0000 in a text, a number
too large, a key too long)."""
OUT_OF_LOCKS = "53200"
SLICE_S = 0.2
"""What a backfill may take at once: while it computes, nobody else in this process gets a turn."""
SMALLEST_SLICE = 16
"""Messages: below that the statements of a slice cost more than its messages."""
YIELD_S = 0.05
"""How often a backfill looks whether the live topics are empty."""
log = structlog.get_logger()


def utc_now() -> datetime:
    """The clock of a real process."""
    return datetime.now(UTC)


@dataclass
class Lane:
    """Who goes first. Backfill waits as long as a live topic has messages here."""

    channels: list[Any] = field(default_factory=list)
    working: int = 0

    @property
    def live(self) -> bool:
        """A live batch is being handled, or messages of a live topic wait."""
        return self.working > 0 or any(not channel.queue.empty() for channel in self.channels)


@dataclass
class Slices:
    """How many messages of a backfill are handled at once: as many as take SLICE_S on this machine now."""

    most: int
    size: int = SMALLEST_SLICE

    def took(self, number: int, seconds: float) -> None:
        """Learn from a slice; twice as many at most the next time."""
        fitting = int(number * SLICE_S / max(seconds, 0.001))
        self.size = max(min(SMALLEST_SLICE, self.most), min(fitting, 2 * self.size, self.most))


@dataclass
class Frame:
    """What the agents of one process share."""

    settings: Settings
    stage: str
    producer: AIOKafkaProducer
    clock: Clock = utc_now
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    failure: BaseException | None = None
    lane: Lane = field(default_factory=Lane)
    busy: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """No batch is being handled."""
    meters: StageMeters = field(init=False)

    def __post_init__(self) -> None:
        self.meters = stage_meters(self.settings, self.stage)
        self.patience = Patience(self.settings, self.stopping, self.meters)
        self.idle.set()
        self.window = RejectionWindow(self.settings.rejection_window, self.settings.rejection_share_limit)

    def read(self, app: faust.App, topic: str, handle: Handle, *, backfill: bool = False) -> None:
        """Give a topic to a handler: one agent, one batch at a time; backfill in slices, behind the live ones."""
        size = max(1, self.settings.batch_size // 4) if backfill else self.settings.batch_size
        slices = Slices(size)
        if backfill:
            self.meters.progress.last_in_line(topic)

        @app.agent(app.topic(topic, key_type=bytes, value_type=bytes), concurrency=1, name=f"{self.stage}-{topic}")
        async def agent(stream: Any) -> None:
            if not backfill:
                self.lane.channels.append(stream.channel)
            done_at = perf_counter()
            async for events in stream.noack_take(size, within=self.settings.batch_linger_s):
                self.meters.took("read", perf_counter() - done_at)
                left = list(events)
                while left:
                    while backfill and self.lane.live and not self._closing:  # noqa: ASYNC110 - looks at Faust's queues
                        await asyncio.sleep(YIELD_S)
                    some = left[: slices.size] if backfill else left
                    began = perf_counter()
                    if not self._closing and await self._complete(some, handle, backfill):
                        for event in some:
                            await stream.ack(event)
                    if self._closing:
                        await asyncio.Event().wait()
                    slices.took(len(some), perf_counter() - began)
                    left = left[len(some) :]
                done_at = perf_counter()

    @property
    def _closing(self) -> bool:
        return self.stopping.is_set() or self.failed.is_set()

    async def _complete(self, events: Sequence[Any], handle: Handle, backfill: bool) -> bool:
        self.busy += 1
        self.idle.clear()
        self.lane.working += not backfill
        self.meters.offsets.took(heads_of((event.message for event in events), ticks=1))
        try:
            await self.run([_record(event.message) for event in events], handle)
        except Exception as error:
            self.fail(error)
            return False
        finally:
            self.busy -= 1
            if not self.busy:
                self.idle.set()
            self.lane.working -= not backfill
        return True

    def fail(self, error: BaseException) -> None:
        """Stop the process because of this; the first reason counts."""
        if self.failure is None:
            self.failure = error
        self.failed.set()

    async def run(self, batch: Sequence[Record], handle: Handle) -> None:
        """Handle a batch and publish what comes of it. GaveUp, Refused, TooManyRejections, or a bug's own error."""
        until = self.patience.deadline()
        with self.meters.step("handle"):
            records = await self.patience.persist(lambda: self._handled(batch, handle), "postgres", until)
        records = without_giants(records, stage=self.stage, at=self.clock())
        rejections = [record for record in records if record.topic == Rejection.topic]
        places = ((one.origin, first_origin(one.origin, one.headers)) for one in batch)
        self.window.count(len(batch), [record.key for record in rejections], places)
        for record in rejections:
            log.info("rejected", key=record.key, **_told(record))
        with self.meters.step("publish"):
            await self.patience.persist(
                lambda: publish(self.producer, records, self.settings.partitions), "kafka", until
            )
        self.meters.batch(counted(record.origin.topic for record in batch))
        self.meters.refused(counted(record.headers.get(ERROR_HEADERS["exception"], "") for record in rejections))
        self.meters.published(counted(record.topic for record in records if record.topic != Rejection.topic))
        log.info(
            "batch",
            topic=batch[0].origin.topic,
            read=len(batch),
            published=len(records) - len(rejections),
            rejected=len(rejections),
            **some_traces(record.headers.get(HEADER_TRACE, "") for record in batch),
        )

    async def _handled(self, batch: Sequence[Record], handle: Handle) -> list[Outgoing]:
        try:
            return await handle(batch)
        except DBAPIError as error:
            state = sqlstate(error)
            if len(batch) > 1 and (state.startswith(BAD_VALUES) or state == OUT_OF_LOCKS):
                half = len(batch) // 2
                return [*await self._handled(batch[:half], handle), *await self._handled(batch[half:], handle)]
            if state.startswith(BAD_VALUES):
                why = f"PostgreSQL cannot hold a value of this message: {error.orig}"
                return [batch[0].rejected(Reason.BAD_VALUE, why, stage=self.stage, at=self.clock())]
            raise


def _record(message: Any) -> Record:
    return record_of(
        message.topic, message.partition, message.offset, message.key, message.value, message.headers or ()
    )


def _told(record: Outgoing) -> dict[str, str]:
    names = {"trace": HEADER_TRACE, "reason": ERROR_HEADERS["exception"], "text": ERROR_HEADERS["text"]}
    return {short: record.headers[name] for short, name in names.items() if name in record.headers}
