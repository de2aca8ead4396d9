"""Items to Kafka. An item counts when Kafka acknowledged it.

    scraped = delivered + unchanged + rejected, or the run failed

An item's way: the queue; a look at what was published of it last (`delivery.seen`), where an unchanged one ends; Kafka,
or the spool (`delivery.spool`) while Kafka is away; its acknowledgement; the row that remembers it. All of it goes this
way in the order in which it was scraped: nothing is handed to Kafka while older records wait on disk. What an earlier
process left in the spool goes first.

Errors
    NotDelivered    an item could not be handed over, and why: the run fails, nothing is claimed
    SettingsError   an address is malformed
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import UUID

import orjson
import structlog
from scrapy.crawler import Crawler
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import bootstrap, kafka_producer
from deploy.settings import Settings
from schemas.message import new_trace
from schemas.outgoing import Origin, Outgoing, fitting, outgoing, reject
from schemas.raw import RawArtist, RawEvent, RawKind, RawMessage, RawSetlist, RawVenue
from schemas.rejection import Reason
from schemas.rows import envelope
from spiders.delivery.broker import Broker, Pulse, Refused
from spiders.delivery.seen import Key, Known, Memory, NotRemembered, Scope, Sighting, sighting
from spiders.delivery.spool import FOLDER, MEGABYTE, Place, Spool, SpoolError
from spiders.formats.base import Clock, Item, Shows, SourceSpider, Unreadable

STAGE = "spiders"
T = TypeVar("T")
BATCH = 1_000
"""Items looked up at once."""
LINGER_S = 0.5
"""How long a batch is filled: a statement costs as much as a hundred of its rows."""
QUEUED_BYTES = 8 * MEGABYTE
"""Items taken from the spider and not looked at yet; more make the spider wait."""
IN_FLIGHT = 2_000
"""Items sent and not acknowledged, or not remembered: some batches."""
IN_FLIGHT_BYTES = 16 * MEGABYTE
READ_BYTES = MEGABYTE
"""Read from the spool at once."""
LOOK_S = 0.25
SAVING_LOOKS = 8
"""In a row that find no more on the disk than before: it is full."""
PAUSE_AFTER_S = 1.0
"""An item that waits for so long to be taken pauses the crawl."""
NEXT_MOMENT = timedelta(milliseconds=1)
RAW: dict[str, type[RawMessage]] = {one.topic: one for one in (RawSetlist, RawEvent, RawVenue, RawArtist)}
log = structlog.get_logger()


class NotDelivered(Exception):
    """An item could not be handed over."""


@dataclass(frozen=True)
class Counts:
    """Items so far."""

    scraped: int = 0
    delivered: int = 0
    unchanged: int = 0
    rejected: int = 0
    vanished: int = 0
    """Messages about what is gone; they are not scraped."""
    spooled: int = 0
    """Items on disk that Kafka has not taken yet."""

    @property
    def settled(self) -> bool:
        """Every item came to its end."""
        return self.scraped == self.delivered + self.unchanged + self.rejected


class Tallies(Protocol):
    """Counts what is scraped."""

    def add(self, item: Item) -> None:
        """One item."""


class Delivery(Protocol):
    """Takes items; says what became of them."""

    @property
    def counts(self) -> Counts:
        """So far."""

    async def deliver(self, item: Item) -> None:
        """Take it; returns before it is acknowledged, and waits while there is no room. NotDelivered."""

    async def settle(self) -> None:
        """Wait until every item came to its end. NotDelivered when one does not."""

    async def lost(self) -> "Lost":
        """After a complete crawl: what its scope had before and this crawl did not find. NotDelivered."""

    async def vanish(self) -> None:
        """Publish that those are gone, and wait for the acknowledgements. NotDelivered."""


@dataclass(frozen=True)
class Lost:
    """Ids of a scope: those known before, those of them that were not found, those found for the first time."""

    known: int = 0
    missing: int = 0
    new: int = 0

    @property
    def share(self) -> float:
        """Of the known ones that were not found: 0 to 1."""
        return self.missing / self.known if self.known else 0.0


@dataclass(eq=False, slots=True)
class Parcel:
    """A record on its way, and what is to be done when it arrived."""

    record: Outgoing
    name: str
    """The count it adds to."""
    sighting: Sighting | None
    arrived: Callable[["Parcel"], None]
    place: Place | None = None
    """Where it stands in the spool."""
    gone: bool = False
    """Kafka acknowledged it."""
    left_behind: bool = False
    """By an earlier process: it counts in no run."""

    def acknowledged(self) -> None:
        """Kafka has it."""
        self.arrived(self)

    def packed(self) -> bytes:
        """For the spool: a line of JSON, then the message."""
        record, seen = self.record, self.sighting
        told = {
            "topic": record.topic,
            "key": record.key,
            "partition_by": record.partition_by,
            "headers": record.headers,
            "name": self.name,
            "seen": seen and {"at": seen.at, "run_id": seen.run_id, "scope": seen.scope},
        }
        return orjson.dumps(told) + b"\n" + (record.value or b"")


def unpacked(body: bytes, arrived: Callable[[Parcel], None]) -> Parcel:
    """The parcel that was packed."""
    line, _, value = body.partition(b"\n")
    told = orjson.loads(line)
    seen = None
    if told["seen"]:
        message = RAW[told["topic"]].from_bytes(value)
        at, run_id = datetime.fromisoformat(told["seen"]["at"]), UUID(told["seen"]["run_id"])
        seen = sighting(message, key_of(message), at=at, run_id=run_id, scope=told["seen"]["scope"])
    record = Outgoing(told["topic"], told["key"], told["partition_by"], value, told["headers"])
    return Parcel(record, told["name"], seen, arrived)


@dataclass(slots=True)
class Coming:
    """What was published of an item and is not remembered yet."""

    known: Known
    records: int = 1
    again: datetime | None = None
    """When the crawl of this process saw it once more, unchanged."""


class KafkaDelivery:
    """To the item's topic, or to the rejections; by way of the disk while Kafka is away."""

    def __init__(
        self,
        broker: Broker[Parcel],
        spool: Spool,
        memory: Memory,
        scope: Scope,
        clock: Clock,
        pulse: Pulse,
        wait_s: float,
    ) -> None:
        self.full = False
        """Publish what is unchanged too."""
        self._broker = broker
        self._spool = spool
        self._memory = memory
        self._scope = scope
        self._clock = clock
        self._wait_s = wait_s
        self._numbers = dict.fromkeys(("scraped", "delivered", "unchanged", "rejected", "vanished"), 0)
        self._new = 0
        self._back = 0
        """Had vanished, and are there again: neither new nor known to the scope before."""
        self._left_behind = 0
        self._failure: BaseException | None = None
        self._hurry = False
        self._giving_up = False
        # from the spider
        self._turn = asyncio.Lock()
        self._in_turn = 0
        """Who waits for it, or holds it."""
        self._queue: deque[tuple[Item, int]] = deque()
        """With their weights."""
        self._queued_bytes = 0
        self._arrived = asyncio.Event()
        self._filled, self._taken, self._gathered = Pulse(), Pulse(), Pulse()
        self._busy = False
        # to Kafka
        self._changed = pulse
        self._gate = asyncio.Lock()
        """Held by whoever hands records to Kafka or to the spool: one order."""
        self._drawn: deque[Parcel] = deque()
        """Read from the spool, not handed to Kafka yet."""
        self._handing = False
        """Some are being handed to Kafka; a silent one is waited for, until it counts as away."""
        self._disk = asyncio.Lock()
        self._disk_work: asyncio.Future[Any] | None = None
        # from Kafka
        self._coming: dict[Key, Coming] = {}
        self._here: list[Parcel] = []
        """Acknowledged, not remembered yet."""
        self._remembering = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def counts(self) -> Counts:
        """So far."""
        return Counts(**self._numbers, spooled=self._spool.waiting)

    async def open(self) -> None:
        """Take over what earlier processes left on disk, and start. NotDelivered when the disk fails."""
        try:
            left = await self._on_disk(self._take_over)
        except SpoolError as error:
            raise NotDelivered(str(error)) from error
        if left:
            log.info("spool_taken_over", records=left, folder=str(self._spool.folder))
        self._left_behind = left
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._guarded(work)) for work in (self._work, self._drain, self._remember)]

    async def close(self) -> None:
        """Stop; what is on disk stays there for the next start."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._disk_work is not None:
            await asyncio.wait([self._disk_work])  # a thread cannot be stopped, and writes to files that close now
        self._spool.close()

    # -- what a crawl calls --------------------------------------------------------------------------------------------

    async def deliver(self, item: Item) -> None:
        """Take an item; waits while so many are not looked at yet that the crawl must pause. NotDelivered."""
        self._check()
        item = storable(item)
        self._numbers["scraped"] += 1
        if self._queued_bytes <= QUEUED_BYTES and not self._in_turn:
            self._take(item)
            return
        # In turn: the order of one source_id's items is kept. Counted, since a lock that was given up is not locked
        # until the next in turn runs: whoever came meanwhile would overtake all who wait.
        self._in_turn += 1
        try:
            async with self._turn:
                while self._queued_bytes > QUEUED_BYTES:
                    await self._taken.wait(LOOK_S)
                    self._check()
                self._take(item)
        finally:
            self._in_turn -= 1

    def _take(self, item: Item) -> None:
        size = weight(item)
        self._queue.append((item, size))
        self._queued_bytes += size
        self._arrived.set()
        if self._enough:
            self._filled.beat()

    async def settle(self) -> None:
        """Wait until everything is acknowledged and remembered, the spool's too. NotDelivered.

        As long as Kafka takes something it is waited for; then for `spool_wait_s`.
        """
        self._hurry = True
        self._filled.beat()
        self._gathered.beat()
        now = asyncio.get_running_loop().time
        progress, since = self._progress, now()
        while not self._done:
            self._check()
            if self._progress != progress:
                progress, since = self._progress, now()
            elif now() - since > self._wait_s:
                await self._save()
                self._failure = NotDelivered(self._waiting_for())
            await self._changed.wait(LOOK_S)
        self._check()
        self._hurry = False

    async def lost(self) -> Lost:
        """What the scope had before, and this crawl did not find. NotDelivered."""
        try:
            counted, missing = await self._memory.lost(self._scope)
        except NotRemembered as error:
            raise NotDelivered(str(error)) from error
        return Lost(known=max(missing, counted - self._new - self._back), missing=missing, new=self._new)

    async def vanish(self) -> None:
        """Tell of those that they are gone, with what was seen of them last. NotDelivered."""
        try:
            async for page in self._memory.gone(self._scope):
                await self._carry([self._farewell(one.key, one.record) for one in page])
        except (NotRemembered, Refused, SpoolError) as error:
            raise NotDelivered(str(error)) from error
        await self.settle()

    # -- from the queue to Kafka or to the disk ------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            await self._arrived.wait()
            if not self._enough:
                await self._filled.wait(LINGER_S)
            self._busy = True
            batch: list[Item] = []
            for _ in range(min(BATCH, len(self._queue))):
                item, size = self._queue.popleft()
                batch.append(item)
                self._queued_bytes -= size
            if not self._queue:
                self._arrived.clear()
            self._taken.beat()
            parcels = await self._changed_ones(batch)
            batch.clear()  # what is on its way is written already: its fields need not be kept, too
            await self._carry(parcels)
            self._busy = False
            self._changed.beat()

    @property
    def _enough(self) -> bool:
        """For a batch."""
        return self._hurry or len(self._queue) >= BATCH or self._queued_bytes > QUEUED_BYTES

    async def _changed_ones(self, batch: Sequence[Item]) -> list[Parcel]:
        """Those to publish, in order; the others are counted."""
        at = self._clock()
        keys = [key_of(item) if isinstance(item, RawMessage) else None for item in batch]
        before = {key: coming.known for key in keys if key and (coming := self._coming.get(key))}
        stored = await self._memory.known(filter(None, keys))
        parcels: list[Parcel] = []
        unchanged: list[Key] = []
        for item, key in zip(batch, keys, strict=True):
            if key is None or not isinstance(item, RawMessage):
                parcels.append(Parcel(*to_record(item, self._clock), None, self._has_arrived))
                continue
            coming = self._coming.get(key)
            # What is on its way now, or was while PostgreSQL was asked, is newer than its answer.
            known = coming.known if coming else before.get(key) or stored.get(key)
            if known and not known.vanished and not self.full and known.content_hash == item.content_hash:
                unchanged.append(key)
                if coming:
                    coming.again = at
                continue
            parcel = self._parcel(later(item, known, at), key, at)
            self._new += parcel.sighting is not None and known is None
            self._back += parcel.sighting is not None and known is not None and known.vanished
            parcels.append(parcel)
        await self._memory.touch(unchanged, self._scope.run_id, self._scope.name, at)
        self._numbers["unchanged"] += len(unchanged)
        return parcels

    def _parcel(self, message: RawMessage, key: Key, at: datetime, name: str = "") -> Parcel:
        record, counted = to_record(message, self._clock)
        if counted == "rejected":
            return Parcel(record, counted, None, self._has_arrived)
        seen = sighting(message, key, at=at, run_id=self._scope.run_id, scope=self._scope.name)
        self._expect(seen)
        return Parcel(record, name or counted, seen, self._has_arrived)

    def _expect(self, seen: Sighting) -> None:
        coming = self._coming.get(seen.key)
        records = 1 if coming is None else coming.records + 1
        self._coming[seen.key] = Coming(seen.known, records)

    def _farewell(self, key: Key, record: Any) -> Parcel:
        at = self._clock()
        last = record.get("seen_at")
        message = envelope(
            RAW[key.topic],
            source=key.source,
            source_id=key.source_id,
            # Later than what it takes back, whose time may be the source's.
            seen_at=max(at, datetime.fromisoformat(last) + NEXT_MOMENT) if last else at,
            spider=record.get("spider") or STAGE,
            fields=record.get("fields") or {},
            url=record.get("url"),
            kind=RawKind.VANISHED,
        )
        return self._parcel(message, key, at, "vanished")

    async def _carry(self, parcels: Sequence[Parcel]) -> None:
        """Hand all over, in order; waits while neither Kafka nor the disk has room."""
        left = deque(parcels)
        while left:
            before = len(left)
            async with self._gate:
                if self._spool.unread or self._drawn or self._away:
                    await self._keep(left)
                else:
                    await self._send(left)
            if len(left) == before:
                await self._changed.wait(LOOK_S)

    async def _send(self, left: deque[Parcel]) -> None:
        """To Kafka, as many as may be on their way at once."""
        room = IN_FLIGHT - self._broker.on_their_way - len(self._here)
        size = self._broker.bytes_on_their_way
        some: list[Parcel] = []
        while left and len(some) < room and size <= IN_FLIGHT_BYTES:
            size += len(left[0].record.value or b"")
            some.append(left.popleft())
        if some:
            self._handing = True
            try:
                left.extendleft(reversed(await self._broker.send(some)))
            finally:
                self._handing = False

    async def _keep(self, left: deque[Parcel]) -> None:
        """To the disk, behind everything that came before."""
        if self._away and not await self._back_up():
            return
        batch = [left[n] for n in range(min(BATCH, len(left)))]
        for _ in await self._on_disk(self._spool.append, [parcel.packed() for parcel in batch]):
            left.popleft()

    async def _back_up(self) -> bool:
        """A copy on disk of what Kafka took and does not acknowledge; False when there is no room for all."""
        if self._spool.unread or self._drawn:
            return True  # it came from there
        loose = self._loose
        if not loose:
            return True
        places = await self._on_disk(lambda: self._spool.append([one.packed() for one in loose], handed_out=True))
        early = []
        for parcel, place in zip(loose, places, strict=False):
            parcel.place = place
            if parcel.gone:  # acknowledged while it was written
                early.append(place)
        await self._on_disk(self._spool.settle, early)
        return len(places) == len(loose)

    async def _save(self) -> None:
        """Everything that is not acknowledged to the disk, as far as there is room: nobody waits for Kafka any more."""
        self._giving_up = True
        saved, looks = -1, 0
        while looks < SAVING_LOOKS and self._failure is None:
            looks = looks + 1 if saved == self._spool.waiting and not self._handing else 0
            saved = self._spool.waiting
            if not (self._queue or self._busy or self._loose):
                return
            await self._changed.wait(LOOK_S)

    @property
    def _away(self) -> bool:
        return self._broker.away or self._giving_up

    @property
    def _loose(self) -> list[Parcel]:
        """With Kafka, not acknowledged, and not on disk."""
        return [parcel for parcel in self._broker.unacknowledged if parcel.place is None]

    # -- from the disk to Kafka ----------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        while True:
            idle = True
            if self._away:
                async with self._gate:
                    await self._back_up()
            elif self._spool.unread or self._drawn:
                async with self._gate:
                    if not self._drawn:
                        await self._draw()
                    before = len(self._drawn)
                    await self._send(self._drawn)
                    idle = len(self._drawn) == before
            self._broker.check()
            if idle:
                await self._changed.wait(LOOK_S)

    async def _draw(self) -> None:
        for place, body in await self._on_disk(self._spool.read, BATCH, READ_BYTES):
            parcel = unpacked(body, self._has_arrived)
            parcel.place = place
            parcel.left_behind = self._left_behind > 0
            self._left_behind -= parcel.left_behind
            self._drawn.append(parcel)

    def _take_over(self) -> int:
        left = self._spool.take_over()
        for body in self._spool.contents():
            if seen := unpacked(body, self._has_arrived).sighting:
                self._expect(seen)
        return left

    async def _on_disk(self, work: Callable[..., T], *arguments: Any) -> T:
        """In a thread, one after the other."""
        async with self._disk:
            running = asyncio.get_running_loop().run_in_executor(None, work, *arguments)
            self._disk_work = running
            return await asyncio.shield(running)

    # -- from Kafka to what is remembered ------------------------------------------------------------------------------

    def _has_arrived(self, parcel: Parcel) -> None:
        parcel.gone = True
        if not parcel.left_behind:
            self._numbers[parcel.name] += 1
        self._here.append(parcel)
        if len(self._here) >= BATCH:
            self._gathered.beat()

    async def _remember(self) -> None:
        while True:
            if not self._here:
                await self._changed.wait(LOOK_S)
                continue
            if len(self._here) < BATCH and not self._hurry:
                await self._gathered.wait(LINGER_S)
            self._remembering = True
            here, self._here = self._here, []
            await self._memory.remember([self._as_seen(one.sighting) for one in here if one.sighting])
            for one in here:
                if one.sighting and (coming := self._coming.get(one.sighting.key)):
                    coming.records -= 1
                    if not coming.records:
                        del self._coming[one.sighting.key]
            # Only now: whoever takes over a spool writes the rows of what he drains.
            if places := [one.place for one in here if one.place]:
                await self._on_disk(self._spool.settle, places)
            self._remembering = False
            self._changed.beat()

    def _as_seen(self, seen: Sighting) -> Sighting:
        """What an earlier run published and this one saw again is this one's."""
        coming = self._coming.get(seen.key)
        if coming is None or coming.again is None:
            return seen
        return seen._replace(at=coming.again, run_id=self._scope.run_id, scope=self._scope.name)

    # -- how it stands -------------------------------------------------------------------------------------------------

    @property
    def _done(self) -> bool:
        on_its_way = self._queue or self._busy or self._spool.waiting or self._drawn or self._broker.on_their_way
        return not (on_its_way or self._here or self._remembering)

    @property
    def _progress(self) -> tuple[Any, ...]:
        return (*self._numbers.values(), self._spool.waiting > 0, self._broker.acknowledged)

    async def _guarded(self, work: Callable[[], Any]) -> None:
        """What goes wrong in the background comes out of whatever the crawl calls next."""
        try:
            await work()
        except Exception as error:
            self._failure = self._failure or error
            self._taken.beat()
            self._changed.beat()

    def _check(self) -> None:
        if self._failure is None:
            return
        if isinstance(self._failure, NotRemembered | Refused | SpoolError):
            counts = self.counts
            missing = counts.scraped - counts.delivered - counts.unchanged - counts.rejected
            raise NotDelivered(f"{missing} of {counts.scraped} items are not delivered: {self._failure}") from (
                self._failure
            )
        raise self._failure

    def _waiting_for(self) -> str:
        counts = self.counts
        missing = counts.scraped - counts.delivered - counts.unchanged - counts.rejected
        kept = self._spool.waiting
        told = f"Kafka did not take {missing} of {counts.scraped} items within {self._wait_s:g} s"
        told += f": {self._broker.why}" if self._broker.why else "."
        told += f" {kept} items wait in {self._spool.folder}; the next start of this spider delivers them."
        if missing > kept:
            told += f" {missing - kept} found no room there; the next crawl reads them again."
        return told if "Remedy" in told else f"{told} Remedy: bring the broker back and start the spider again."


def weight(item: Item) -> int:
    """About how many bytes of memory an item takes."""
    return 2_000 + (len(item.payload or "") if isinstance(item, RawMessage) else len(item.original))


def key_of(message: RawMessage) -> Key:
    """What it is known by."""
    return Key(message.topic, message.source, message.source_id)


def storable(item: Item) -> Item:
    """The item; unreadable where what it is known by holds a NUL, which PostgreSQL keeps in no text."""
    if not isinstance(item, RawMessage) or ("\0" not in item.source_id and "\0" not in item.source):
        return item
    source, where = item.source.replace("\0", ""), (item.url or "").replace("\0", "")
    text = "source_id: holds a NUL character, which no store keeps"
    return Unreadable(item.topic, source, where, Reason.BAD_VALUE, text, item.to_bytes())


def later(message: RawMessage, known: Known | None, now: datetime) -> RawMessage:
    """The message, with a time after that of what it replaces: readers ignore what is older.

    Its own is the source's where the source tells one, and sources change without telling: a corrected spelling, an
    item that is back after it was gone.
    """
    if known is None or known.seen_at is None:
        return message
    same = known.content_hash == message.content_hash and not known.vanished
    if same or message.seen_at >= known.seen_at + NEXT_MOMENT:
        return message
    return message.model_copy(update={"seen_at": max(now, known.seen_at + NEXT_MOMENT)})


@asynccontextmanager
async def delivering(
    settings: Settings,
    engine: AsyncEngine,
    run_id: UUID,
    scope: str,
    spider: type[SourceSpider],
    clock: Clock,
    *,
    full: bool = False,
) -> AsyncIterator[Delivery]:
    """The delivery of one run, open; Kafka may be away. NotDelivered when the spool's disk fails, SettingsError."""
    bootstrap(settings)
    began = clock()
    answers_for = Scope(scope, run_id, began, began.date() if spider.shows is Shows.UPCOMING else None)
    pulse = Pulse()
    broker: Broker[Parcel] = Broker(
        lambda: kafka_producer(settings, f"gigz-spiders-{spider.name}"), settings.partitions, pulse
    )
    spool = Spool(spool_folder(settings, spider.name), settings.spool_mb * MEGABYTE)
    delivery = KafkaDelivery(broker, spool, Memory(engine, settings), answers_for, clock, pulse, settings.spool_wait_s)
    delivery.full = full
    await delivery.open()
    try:
        await broker.open()
        yield delivery
    finally:
        await delivery.close()
        await broker.close()


def spool_folder(settings: Settings, spider: str) -> Path:
    """Where a spider keeps what Kafka does not take."""
    return settings.home / FOLDER / spider


def to_record(item: Item, clock: Clock) -> tuple[Outgoing, str]:
    """What is sent for an item, and which count it adds to."""
    trace = new_trace()
    if isinstance(item, Unreadable):
        refused = reject(
            item.reason,
            item.text,
            origin=Origin(item.topic, -1, -1),
            original=item.original,
            stage=STAGE,
            at=clock(),
            trace=trace,
            key=item.url,
            source=item.source,
        )
        return refused, "rejected"
    sent = outgoing(item, trace=trace, stage=STAGE)
    record = fitting(sent, stage=STAGE, at=clock(), source=item.source, url=item.url or item.key)
    return record, "delivered" if record is sent else "rejected"


class ItemPipeline:
    """Scrapy's end of a delivery: hands items on, pauses the crawl while they wait, stops it when they cannot go."""

    def __init__(
        self, delivery: Delivery, crawler: Crawler, tell: Callable[[NotDelivered], None], tally: Tallies
    ) -> None:
        self._delivery = delivery
        self._tally = tally
        self._crawler = crawler
        self._tell = tell
        self._stopping: asyncio.Task[None] | None = None
        self._waiting = 0
        self._since = 0.0
        """When the first of those that wait came."""
        self._watching: asyncio.Task[None] | None = None

    async def process_item(self, item: Item) -> Item:
        """Count it and deliver it."""
        self._tally.add(item)
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting += 1
        try:
            await self._delivery.deliver(item)
        except NotDelivered as error:
            if self._stopping is None:
                self._tell(error)
                # As a task: stopping waits for the items that are being processed, this one among them.
                self._stopping = asyncio.get_running_loop().create_task(self._crawler.stop_async())
        finally:
            self._waiting -= 1
        return item

    def close_spider(self) -> None:
        """Scrapy is done with it."""
        if self._watching is not None:
            self._watching.cancel()

    async def _watch(self) -> None:
        """No more requests while items wait: Scrapy itself would go on until it holds 5 MB of pages whose items do."""
        while True:
            await asyncio.sleep(LOOK_S)
            engine = self._crawler.engine
            stuck = self._waiting > 0 and time.monotonic() - self._since > PAUSE_AFTER_S
            if engine is None or engine.paused is stuck:
                continue
            if stuck:
                engine.pause()
                log.warning("crawl_paused", waiting=self._waiting, spooled=self._delivery.counts.spooled)
            else:
                engine.unpause()
                log.info("crawl_goes_on")


def pipeline(delivery: Delivery, tell: Callable[[NotDelivered], None], tally: Tallies) -> type[ItemPipeline]:
    """A class as Scrapy wants one: its settings can hold classes, but no open producer."""

    class Bound(ItemPipeline):
        @classmethod
        def from_crawler(cls, crawler: Crawler) -> "Bound":
            return cls(delivery, crawler, tell, tally)

    return Bound
