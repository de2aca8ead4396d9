"""One crawl: a spider through Scrapy into a delivery, and what came of it.

Nothing here knows of runs: `spiders.crawl` records them, `spiders.authoring.trying` publishes nothing.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from scrapy import signals
from scrapy.crawler import AsyncCrawlerRunner, Crawler
from scrapy.http import Response
from scrapy.settings import Settings as ScrapySettings
from scrapy.utils.reactor import install_reactor
from twisted.python.failure import Failure

from deploy.garbage import leave_imports_alone
from schemas.tables import RunState
from spiders.delivery import Counts, Delivery, Lost, NotDelivered, pipeline
from spiders.errand import Errand
from spiders.formats.base import Clock, SourceSpider, utc_now
from spiders.monitoring.figures import Reach, Tally

T = TypeVar("T")
Progress = Callable[[Counts, int], None]
"""Called about twice a second with the counts and the pages so far."""
PROGRESS_S = 0.5
REACTOR = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"


@dataclass(frozen=True)
class Outcome:
    """What came of a crawl, before anyone judged it."""

    pages: int = 0
    faults: tuple[str, ...] = ()
    """What went wrong: nothing, when the crawl is good."""
    unanswered: frozenset[str] = frozenset()
    """Those of them that are requests that failed."""
    stopped: str = ""
    """By whom or by what it was told to stop."""
    cut: str = ""
    """Why not everything was read though nothing failed."""
    bounded: bool = False
    """Only a part was asked for."""
    newest: str = ""
    """The watermark it would leave."""

    @property
    def good(self) -> bool:
        """It came to its end."""
        return not self.faults and not self.stopped

    @property
    def complete(self) -> bool:
        """Everything that the scope has was read."""
        return self.good and not self.cut and not self.bounded

    @property
    def state(self) -> RunState:
        """How the run ends."""
        if self.faults:
            return RunState.FAILED
        return RunState.STOPPED if self.stopped else RunState.FINISHED

    @property
    def told(self) -> tuple[str, ...]:
        """Everything that a person should know."""
        return tuple(dict.fromkeys(part for part in (*self.faults, self.stopped, self.cut) if part))


def reach_asked(errand: Errand) -> Reach:
    """How much of its scope a crawl is sent for."""
    if errand.since or errand.until:
        return Reach.PART
    return Reach.NEWS if errand.watermark else Reach.WHOLE


def reach_of(errand: Errand, outcome: Outcome) -> Reach:
    """How much of its scope a crawl read; of one that failed, how much it was sent for."""
    if outcome.faults:
        return reach_asked(errand)
    if outcome.complete:
        return Reach.WHOLE
    news = outcome.good and not outcome.cut and errand.watermark and not errand.since and not errand.until
    return Reach.NEWS if news else Reach.PART


class Brake:
    """Stops a crawl in order, from wherever: what was scraped is still delivered."""

    def __init__(self, told: Callable[[str], None] = lambda why: None) -> None:
        """`told` hears the reason."""
        self.why = ""
        self._told = told
        self._stop: Callable[[], None] | None = None

    def stop(self, why: str) -> None:
        """Tell it to end; the first reason stays."""
        if not self.why:
            self.why = why
            self._told(why)
            if self._stop is not None:
                self._stop()

    def holds(self, stop: Callable[[], None]) -> None:
        """What stops it, once there is something to stop."""
        self._stop = stop
        if self.why:
            stop()


@dataclass
class Crawling:
    """A crawl under way, to look at from outside."""

    crawler: Crawler | None = None
    lost: Lost | None = None
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def pages(self) -> int:
        """Read so far."""
        return getattr(self.crawler and self.crawler.spider, "pages", 0)

    @property
    def stats(self) -> Mapping[str, Any]:
        """Scrapy's."""
        stats = self.crawler and self.crawler.stats
        return stats.get_stats() if stats else {}


async def crawl(
    spider: type[SourceSpider],
    delivery: Delivery,
    errand: Errand,
    scrapy_settings: ScrapySettings,
    *,
    key: str = "",
    mirror: str = "",
    secrets: tuple[str, ...] = (),
    progress: Progress | None = None,
    clock: Clock = utc_now,
    brake: Brake | None = None,
    tally: Tally | None = None,
    crawling: Crawling | None = None,
) -> Outcome:
    """Crawl into a delivery; needs a running reactor, see `in_reactor`."""
    brake, crawling = brake or Brake(), crawling or Crawling()
    faults: list[str] = []
    undelivered: list[str] = []

    def not_delivered(error: NotDelivered) -> None:
        undelivered[:] = [str(error)]  # the last one knows how many

    settings = scrapy_settings.copy()
    tally = tally or Tally()
    settings.setdict({"ITEM_PIPELINES": {pipeline(delivery, not_delivered, tally): 500}})
    runner = AsyncCrawlerRunner(settings)
    crawler = crawling.crawler = runner.create_crawler(spider)
    ended: list[str] = []

    def closed(spider: SourceSpider, reason: str) -> None:
        ended.append(reason)

    def broke(failure: Failure, response: Response, spider: SourceSpider) -> None:
        faults.append(spider.public(f"{response.url}: in the spider: {failure.value!r}"))

    crawler.signals.connect(closed, signals.spider_closed)
    crawler.signals.connect(broke, signals.spider_error)
    crawler.signals.connect(tally.answered, signals.response_downloaded)
    async with _told(progress, delivery, crawling), _braked(crawler, brake):
        await runner.crawl(crawler, errand=errand, api_key=key, clock=clock, mirror=mirror, secrets=secrets)
        try:
            await delivery.settle()
        except NotDelivered as error:
            not_delivered(error)
    crawled = crawler.spider
    assert isinstance(crawled, SourceSpider)
    faults += undelivered + crawled.faults
    if not faults and not brake.why and ended != ["finished"]:
        faults.append(f"the crawl was ended early: {', '.join(ended) or 'unknown'}")
    counts = delivery.counts
    whole = not brake.why and not crawled.cut and not errand.bounded
    if not faults and whole and not counts.scraped:
        faults.append(
            f"the crawl yielded nothing: {crawled.pages} pages read from {crawled.keyless(crawled.start_url)}, "
            f"no {spider.format} in it"
        )
    if not faults and whole and counts.scraped == counts.rejected:
        because = f", the first because {tally.first_refused}" if tally.first_refused else ""
        faults.append(f"the crawl yielded nothing: all {counts.rejected:,} items that it read were refused{because}")
    if not faults and not brake.why and crawled.cut and crawled.cut == crawled.leaving and not counts.scraped:
        faults.append(crawled.cut)  # the quota was used up before anything was read
    if not faults and not counts.settled:
        told = f"{counts.delivered} delivered, {counts.unchanged} unchanged and {counts.rejected} rejected"
        faults.append(f"{counts.scraped} scraped, but {told}")
    crawling.outcome = Outcome(
        crawled.pages,
        tuple(dict.fromkeys(map(crawled.public, faults))),
        frozenset(crawled.unanswered),
        brake.why,
        crawled.public(crawled.cut or crawled.unread),
        errand.bounded,
        crawled.newest,
    )
    return crawling.outcome


def in_reactor(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in the asyncio reactor until it ends; once in a process."""
    install_reactor(REACTOR)
    from twisted.internet import reactor as installed  # only now is it the right one

    reactor: Any = installed  # it is a module to type checkers
    done: list[asyncio.Task[T]] = []

    leave_imports_alone()

    def start() -> None:
        task = asyncio.get_event_loop().create_task(work())
        task.add_done_callback(lambda _: reactor.stop())
        done.append(task)

    reactor.callWhenRunning(start)
    reactor.run(installSignalHandlers=False)
    return done[0].result()


@asynccontextmanager
async def _told(progress: Progress | None, delivery: Delivery, crawling: Crawling) -> AsyncIterator[None]:
    async def tell() -> None:
        while progress is not None:
            await asyncio.sleep(PROGRESS_S)
            progress(delivery.counts, crawling.pages)

    telling = asyncio.get_running_loop().create_task(tell())
    try:
        yield
    finally:
        telling.cancel()


@asynccontextmanager
async def _braked(crawler: Crawler, brake: Brake) -> AsyncIterator[None]:
    """The first signal, or whoever pulls the brake, stops the crawl in order."""
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()
    stopping: list[asyncio.Task[None]] = []

    def started() -> None:
        begun.set()

    async def stop() -> None:
        await begun.wait()  # Scrapy forgets to stop what does not run yet, and tells that it runs a step too early
        await crawler.stop_async()

    crawler.signals.connect(started, signals.request_scheduled)
    brake.holds(lambda: stopping.append(loop.create_task(stop())))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, brake.stop, f"stopped by {number.name}")
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        for task in stopping:
            task.cancel()
