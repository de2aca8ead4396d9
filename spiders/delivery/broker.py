"""Records to Kafka in order, by a producer that outlives its broker's absence.

An idempotent producer of aiokafka tries for ever: what it took is written once and in order however long the broker
was away, as long as the process lives. So it is kept, not closed: `away` says that the oldest record waits for too
long, and whoever has records keeps the new ones elsewhere, and a copy of `unacknowledged`. A producer is replaced only
when it cannot go on (an error that no repeat mends, its sender dead) or does not although another one could; then the
records it had are sent again, in order, before any new one. docs/spiders/delivery.md has what was found about it.

Errors
    Refused    Kafka answers, and will not have it
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from deploy.settings import SettingsError
from schemas.outgoing import Outgoing

AWAY_S = 10.0
"""A broker that restarts (3 to 7 s for the local one) is waited for; one that is silent for longer is away."""
STUCK_S = 30.0
"""Silence after which another producer is tried: an address may have moved."""
GRACE_S = 5.0
"""How long the old one has to show life once another one could start."""
FIRST_TRY_S = 3.0
TICK_S = 0.25
RETRY_S = 1.0
MOST_TURNS = 3
"""New producers in a row that got nothing acknowledged before the same error: it is no accident."""
Connect = Callable[[], AbstractAsyncContextManager[AIOKafkaProducer]]
log = structlog.get_logger()


class Refused(Exception):
    """The broker answers and refuses; the message has the remedy."""


class Pulse:
    """Something changed: everyone who waits looks again."""

    def __init__(self) -> None:
        self._beat: asyncio.Future[None] | None = None

    def beat(self) -> None:
        """Wake them."""
        if self._beat is not None and not self._beat.done():
            self._beat.set_result(None)
        self._beat = None

    async def wait(self, timeout_s: float) -> None:
        """Until the next beat, or for so long."""
        if self._beat is None:
            self._beat = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._beat], timeout=timeout_s)


class Carried(Protocol):
    """What can be sent."""

    record: Outgoing

    def acknowledged(self) -> None:
        """Kafka has it."""


P = TypeVar("P", bound=Carried)


@dataclass(eq=False, slots=True)
class Sent(Generic[P]):
    """A batch on its way: records of one partition, taken or refused as one."""

    parcels: Sequence[P]
    since: float
    """When it was handed over, by the loop's clock."""
    acknowledgement: asyncio.Future[Any] | None = None
    size: int = field(init=False)
    """Bytes."""

    def __post_init__(self) -> None:
        self.size = sum([len(parcel.record.value or b"") for parcel in self.parcels])


class Broker(Generic[P]):
    """Open it, close it; several may `send` meanwhile."""

    def __init__(self, connect: Connect, partitions: int, pulse: Pulse, away_s: float = AWAY_S) -> None:
        self.why = ""
        """Why it could not be reached, the last time that it was tried."""
        self.refused: Refused | None = None
        self.acknowledged = 0
        """Records, since the beginning."""
        self.on_their_way = 0
        """Records taken and not acknowledged."""
        self.bytes_on_their_way = 0
        self._connect = connect
        self._partitions = partitions
        self._pulse = pulse
        self._away_s = away_s
        self._producer: AIOKafkaProducer | None = None
        self._open = AsyncExitStack()
        self._in_flight: dict[int, Sent[P]] = {}
        self._sent = 0
        self._broken: BaseException | None = None
        self._turns = 0
        self._acknowledged_at = 0.0
        self._sending = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._last_words = LastWords()

    @property
    def unacknowledged(self) -> list[P]:
        """What it has taken, in the order of each key."""
        return [parcel for sent in self._in_flight.values() for parcel in sent.parcels]

    @property
    def silence_s(self) -> float:
        """How long the oldest record waits, while nothing else is acknowledged either."""
        oldest = next(iter(self._in_flight.values()), None)
        now = asyncio.get_running_loop().time()
        return 0.0 if oldest is None else now - max(oldest.since, self._acknowledged_at)

    @property
    def away(self) -> bool:
        """Nothing is taken at the moment."""
        return self._producer is None or self._broken is not None or self.silence_s > self._away_s

    async def send(self, parcels: Sequence[P]) -> list[P]:
        """Hand records over; those not taken, because the broker is away, come back in their order. Refused.

        What was taken is acknowledged later, whatever happens meanwhile.
        """
        async with self._sending:
            self.check()
            return list(parcels) if self.away else await self._hand_over(parcels)

    def check(self) -> None:
        """Refused, once Kafka refused something; and whatever went wrong in watching it."""
        if self._watching is not None and self._watching.done() and not self._watching.cancelled():
            self._watching.result()
        if self.refused is not None:
            raise self.refused

    # -- records -------------------------------------------------------------------------------------------------------

    async def _hand_over(self, parcels: Sequence[P]) -> list[P]:
        """In batches made here: a future and a callback for each record cost more than the rest of its way. Refused."""
        groups: dict[tuple[str, int], list[P]] = {}
        for parcel in parcels:
            groups.setdefault((parcel.record.topic, parcel.record.partition(self._partitions)), []).append(parcel)
        taken: set[int] = set()
        place = ("", 0)
        try:
            async with asyncio.timeout(max(TICK_S, self._away_s - self.silence_s)):
                for place, group in groups.items():
                    for batch, members in self._batches(group):
                        # Waits while the one before it in its partition waits.
                        await self._submit(place, batch, members)
                        taken |= set(map(id, members))
        except (KafkaError, TimeoutError, AssertionError) as error:
            # aiokafka asserts that it knows the partition.
            await self._look_for(*place, error)
            self.why = str(error) or self._last_words.text or f"no answer within {self._away_s:g} s"
            if not isinstance(error, TimeoutError):
                self._broken = error
        return [parcel for parcel in parcels if id(parcel) not in taken]

    def _batches(self, group: Sequence[P]) -> Iterator[tuple[Any, list[P]]]:
        """Closed, each as large as the producer makes them."""
        assert self._producer is not None
        batch, members = self._producer.create_batch(), list[P]()
        for parcel in group:
            if not _append(batch, parcel.record):
                yield batch, members
                batch, members = self._producer.create_batch(), list[P]()
                _append(batch, parcel.record)  # an empty one takes any
            members.append(parcel)
        yield batch, members

    async def _submit(self, place: tuple[str, int], batch: Any, members: list[P]) -> None:
        assert self._producer is not None
        batch.close()
        acknowledgement = await self._producer.send_batch(batch, place[0], partition=place[1])
        sent = Sent(members, asyncio.get_running_loop().time(), acknowledgement)
        self._note(sent)
        acknowledgement.add_done_callback(partial(self._acknowledged, sent, self._sent))

    def _note(self, sent: Sent[P]) -> None:
        self._sent += 1
        self._in_flight[self._sent] = sent
        self.on_their_way += len(sent.parcels)
        self.bytes_on_their_way += sent.size

    async def _look_for(self, topic: str, partition: int, error: BaseException) -> None:
        """Refused, when the broker answers and has not that topic or partition."""
        assert self._producer is not None
        client = self._producer.client
        if partition in (client.cluster.partitions_for_topic(topic) or ()):
            return
        try:
            async with asyncio.timeout(2.0):
                cluster = await client.fetch_all_metadata()
        except (KafkaError, TimeoutError):
            return
        if partition not in (cluster.partitions_for_topic(topic) or ()):
            self.refused = Refused(
                f"Kafka has no topic {topic} with {self._partitions} partitions. "
                "Remedy: `gigz topics apply`, with the GIGZ_PARTITIONS that this process has."
            )
            raise self.refused from error

    def _acknowledged(self, sent: Sent[P], number: int, acknowledgement: asyncio.Future[Any]) -> None:
        error = None if acknowledgement.cancelled() else acknowledgement.exception()
        if sent.acknowledgement is not acknowledgement:  # of a producer that was replaced
            return
        if error is not None or acknowledgement.cancelled():
            self._broken = self._broken or error or asyncio.CancelledError()
        else:
            self._in_flight.pop(number, None)
            self.on_their_way -= len(sent.parcels)
            self.bytes_on_their_way -= sent.size
            self.acknowledged += len(sent.parcels)
            self._acknowledged_at = asyncio.get_running_loop().time()
            self._turns = 0
            for parcel in sent.parcels:
                parcel.acknowledged()
        self._pulse.beat()

    # -- the producer --------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect, and watch from now on; returns when the first try ended, or takes long."""
        self._last_words.listen()
        self._watching = asyncio.get_running_loop().create_task(self._watch())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_TRY_S):
                await self._tried.wait()

    async def _watch(self) -> None:
        """Connects, tells when the broker goes and comes, replaces what cannot go on."""
        was_away = False
        while self.refused is None:
            if self._producer is None or self._broken is not None:
                await self._replace()
                self._tried.set()
            elif self.silence_s > max(STUCK_S, 2 * self._away_s):
                await self._replace_when_stuck()
            if self.away is not was_away:
                was_away = self.away
                if was_away:
                    self.why = self.why or self._last_words.text or f"no acknowledgement for {self.silence_s:.0f} s"
                    log.warning("kafka_away", why=self.why)
                else:
                    self.why = ""
                    log.info("kafka_back")
                self._pulse.beat()
            await asyncio.sleep(RETRY_S if self._producer is None else TICK_S)

    async def _replace(self) -> None:
        """Another producer, which first sends what the last one was not acknowledged for."""
        if self._broken is not None and self._producer is not None:
            self.why = str(self._broken) or type(self._broken).__name__
            passes = isinstance(self._broken, TimeoutError) or getattr(self._broken, "retriable", False)
            self._turns += not passes
            if self._turns > MOST_TURNS:
                self.refused = Refused(
                    f"Kafka refuses what it is sent: {type(self._broken).__name__}: {self.why}. Remedy: see that "
                    "topics are as `gigz topics apply` makes them and that this process may write to them."
                )
                self._pulse.beat()
                return
        async with self._sending:
            await self._give_up()
            opening = AsyncExitStack()
            try:
                producer = await opening.enter_async_context(self._connect())
            except SettingsError as error:
                self.why = str(error)
                return
            patient(producer)
            self._producer, self._open, self._broken = producer, opening, None
            await self._send_again()

    async def _send_again(self) -> None:
        again = self.unacknowledged
        self._in_flight, self.on_their_way, self.bytes_on_their_way = {}, 0, 0
        if again and (left := await self._hand_over(again)):
            # For the next producer, behind what this one took.
            self._note(Sent(left, asyncio.get_running_loop().time()))
            self._broken = self._broken or TimeoutError(self.why)

    async def _replace_when_stuck(self) -> None:
        oldest = next(iter(self._in_flight))
        async with AsyncExitStack() as trial:
            try:
                await trial.enter_async_context(self._connect())
            except SettingsError as error:
                self.why = str(error)
                return
        await asyncio.sleep(GRACE_S)
        if next(iter(self._in_flight), None) == oldest and self.silence_s > STUCK_S:
            self._broken = TimeoutError(f"no acknowledgement for {self.silence_s:.0f} s, though Kafka answers")

    async def _give_up(self) -> None:
        for sent in self._in_flight.values():
            sent.acknowledgement = None
        if self._producer is not None:
            abandoned, self._producer = self._producer, None
            await abandon(abandoned)
        await self._open.aclose()
        self._open = AsyncExitStack()

    async def close(self) -> None:
        """Close the producer; one that still has something to send is abandoned: its close would wait for ever."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        if self._in_flight or self._broken is not None:
            await self._give_up()
        self._producer = None
        await self._open.aclose()
        self._last_words.leave()


class LastWords(logging.Handler):
    """What aiokafka said last, instead of saying it ten times a second while nobody answers.

    A pipe that nobody reads fills up with that in the length of an outage, and the crawl with it stands still.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""
        self._logger = logging.getLogger("aiokafka")

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, but for what only follows from the one before."""
        if not (said := record.getMessage()).startswith("Unable to update metadata"):
            self.text = said

    def listen(self) -> None:
        """From now on."""
        self._logger.addHandler(self)
        self._logger.propagate = False

    def leave(self) -> None:
        """As before."""
        self._logger.removeHandler(self)
        self._logger.propagate = not any(isinstance(one, LastWords) for one in self._logger.handlers)


def _append(batch: Any, record: Outgoing) -> bool:
    """Whether it found room."""
    added = batch.append(timestamp=None, key=record.key.encode(), value=record.value, headers=record.kafka_headers)
    return added is not None


def patient(producer: AIOKafkaProducer) -> None:
    """Let its batches wait for ever, also those whose partition has no known leader.

    aiokafka fails them after the request timeout (30 s), with their sequence numbers used up: such a producer is of no
    use any more, and what it had written without hearing of it would be written again by the next.
    """
    producer._message_accumulator._batch_ttl = float("inf")


async def abandon(producer: AIOKafkaProducer) -> None:
    """Make sure that a producer sends nothing any more, whatever it still has.

    `stop` waits until everything is sent, and when it is cancelled the sender goes on behind its back: a batch of long
    ago would arrive after newer ones. aiokafka has no other way than its parts.
    """
    sender = producer._sender.sender_task
    if sender is not None and not sender.done():
        sender.cancel()
        await asyncio.sleep(0)  # what it has just begun reaches its connection, which the next line closes
    await producer.client.close()
    accumulator = producer._message_accumulator
    accumulator.fail_all(KafkaError("given up"))
    for batch in itertools.chain(accumulator._pending_batches, *accumulator._batches.values()):
        if batch._drain_waiter.done():
            batch._drain_waiter.exception()  # nobody waits for it; asyncio would tell
    if sender is not None and not (await asyncio.wait([sender], timeout=1.0))[0]:
        sender.cancel()  # it waits for a request, and that for addresses that nobody looks up any more
        await asyncio.wait([sender], timeout=1.0)
