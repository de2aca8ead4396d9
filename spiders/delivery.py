"""Items to Kafka. An item counts when Kafka acknowledged it.

    scraped = delivered + rejected, or the run failed

Many items are on their way at once; what bounds them is `IN_FLIGHT`. Everything that can go wrong with the broker comes
out of `Delivery.deliver` and `Delivery.settle` as `NotDelivered`: a delivery that keeps what the broker does not take
would stand behind the same two methods.

Errors
    NotDelivered    the broker is away or refuses: the run fails, nothing is claimed
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from scrapy.crawler import Crawler
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import kafka_producer
from deploy.settings import Settings
from schemas.message import new_trace
from schemas.outgoing import Origin, Outgoing, fitting, outgoing, reject
from spiders.formats.base import Clock, Item, Unreadable

STAGE = "spiders"
CLOSE_S = 5.0
IN_FLIGHT = 1_000
"""Items sent and not acknowledged: at 2 KB each 2 MB, and more than a linger of 30 ms can fill."""


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
        """Send it; returns before it is acknowledged. NotDelivered when an earlier one could not be."""

    async def settle(self) -> None:
        """Wait until every item came to its end. NotDelivered when one does not."""

    async def lost(self) -> "Lost":
        """After a complete crawl: what its scope had before and this crawl did not find."""

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


class KafkaDelivery:
    """To the item's topic, or to the rejections."""

    def __init__(self, producer: AIOKafkaProducer, partitions: int, clock: Clock, deadline_s: float) -> None:
        self.counts = Counts()
        self._producer = producer
        self._partitions = partitions
        self._clock = clock
        self._deadline_s = deadline_s
        self._waiting: dict[asyncio.Future[Any], float] = {}
        """Acknowledgements to come, oldest first, and when each was asked for."""
        self._failure: BaseException | None = None

    async def deliver(self, item: Item) -> None:
        """Send an item; one that is too large or unreadable goes to the rejections."""
        self.counts = replace(self.counts, scraped=self.counts.scraped + 1)
        record, name = to_record(item, self._clock)
        try:
            async with asyncio.timeout_at(self._patience()):
                while len(self._waiting) >= IN_FLIGHT and self._failure is None:
                    await asyncio.wait([next(iter(self._waiting))])
                self._check()
                acknowledgement = await self._producer.send(
                    record.topic,
                    value=record.value,
                    key=record.key.encode(),
                    partition=record.partition(self._partitions),
                    headers=record.kafka_headers,
                )
        except (KafkaError, TimeoutError) as error:
            self._failure = self._failure or error
            self._check()
        else:
            self._waiting[acknowledgement] = asyncio.get_running_loop().time()
            acknowledgement.add_done_callback(partial(self._acknowledged, name))

    async def settle(self) -> None:
        """Wait for the last acknowledgements."""
        if self._waiting and self._failure is None:
            _, late = await asyncio.wait(self._waiting, timeout=self._deadline_s)
            if late:
                self._failure = self._failure or TimeoutError()
        self._check()

    async def lost(self) -> Lost:
        """Nothing is remembered here."""
        return Lost()

    async def vanish(self) -> None:
        """Nothing is remembered here."""

    def _patience(self) -> float:
        """Until when the oldest acknowledgement may be waited for; an idempotent producer itself tries for ever."""
        now = asyncio.get_running_loop().time()
        return next(iter(self._waiting.values()), now) + self._deadline_s

    def _acknowledged(self, name: str, acknowledgement: asyncio.Future[Any]) -> None:
        self._waiting.pop(acknowledgement, None)
        if acknowledgement.cancelled():
            return
        error = acknowledgement.exception()
        if error is None:
            self.counts = replace(self.counts, **{name: getattr(self.counts, name) + 1})
        else:
            self._failure = self._failure or error

    def _check(self) -> None:
        if self._failure is None and self._patience() < asyncio.get_running_loop().time():
            self._failure = TimeoutError()
        if self._failure is not None:
            missing = self.counts.scraped - self.counts.delivered - self.counts.rejected
            why = str(self._failure) or f"no acknowledgement within {self._deadline_s:g} s"
            raise NotDelivered(
                f"Kafka did not take {missing} of {self.counts.scraped} items: {why}. "
                "Remedy: bring the broker back and crawl again; what was delivered is recognised."
            ) from self._failure


@asynccontextmanager
async def delivering(
    settings: Settings, engine: AsyncEngine, run_id: UUID, scope: str, client: str, clock: Clock, *, full: bool = False
) -> AsyncIterator[Delivery]:
    """The delivery of one run, open."""
    async with AsyncExitStack() as open_:
        producer = await open_.enter_async_context(kafka_producer(settings, client))
        delivery = KafkaDelivery(producer, settings.partitions, clock, settings.retry_deadline_s)
        yield delivery
        if not delivery.counts.settled:
            # An idempotent producer tries for ever, also while it is being closed.
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await open_.aclose()


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
    """Scrapy's end of a delivery: hands items on, and stops the crawl when they cannot be."""

    def __init__(
        self, delivery: Delivery, crawler: Crawler, tell: Callable[[NotDelivered], None], tally: Tallies
    ) -> None:
        self._delivery = delivery
        self._tally = tally
        self._crawler = crawler
        self._tell = tell
        self._stopping: asyncio.Task[None] | None = None

    async def process_item(self, item: Item) -> Item:
        """Count it and deliver it."""
        self._tally.add(item)
        try:
            await self._delivery.deliver(item)
        except NotDelivered as error:
            if self._stopping is None:
                self._tell(error)
                # As a task: stopping waits for the items that are being processed, this one among them.
                self._stopping = asyncio.get_running_loop().create_task(self._crawler.stop_async())
        return item


def pipeline(delivery: Delivery, tell: Callable[[NotDelivered], None], tally: Tallies) -> type[ItemPipeline]:
    """A class as Scrapy wants one: its settings can hold classes, but no open producer."""

    class Bound(ItemPipeline):
        @classmethod
        def from_crawler(cls, crawler: Crawler) -> "Bound":
            return cls(delivery, crawler, tell, tally)

    return Bound
