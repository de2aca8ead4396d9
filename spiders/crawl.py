"""One run of one spider, in a process of its own: a Twisted reactor runs once.

    python -m spiders.crawl SPIDER --start-url URL [--source NAME] [--progress]

The last line on standard output is the report as JSON; the exit code is 0 when the run finished, 1 when it failed.

Errors
    SettingsError    no such spider, no start URL, a key is missing, Kafka or Postgres does not answer
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import orjson
import structlog
from scrapy import signals
from scrapy.crawler import AsyncCrawlerRunner, Crawler
from scrapy.http import Response
from scrapy.utils.reactor import install_reactor
from twisted.python.failure import Failure

from deploy import logs
from deploy.clients import check_postgres, kafka_producer, postgres_engine
from deploy.settings import PREFIX, Settings, SettingsError, current
from spiders import runs
from spiders.delivery import STAGE, Counts, Delivery, KafkaDelivery, NotDelivered, pipeline
from spiders.formats.base import Clock, SourceSpider, utc_now
from spiders.polite import scrapy_settings
from spiders.runs import RunReport
from spiders.sources import SPIDERS

T = TypeVar("T")
Progress = Callable[[Counts, int], None]
"""Called about twice a second with the counts and the pages so far."""
PROGRESS_S = 0.5
CLOSE_S = 5.0
REACTOR = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"
log = structlog.get_logger()


def run_crawl(
    settings: Settings,
    spider_name: str,
    start_url: str | None = None,
    progress: Progress | None = None,
    *,
    source: str = "",
    clock: Clock = utc_now,
) -> RunReport:
    """Crawl, deliver to Kafka, record the run in Postgres. Once in a process. SettingsError.

    `source` names the catalogue where the start URL serves another one than the spider's own.
    """
    spider, address = chosen(spider_name, start_url)
    key = api_key(settings, spider)
    return in_reactor(lambda: _recorded(settings, spider, address, key, source, progress, clock))


def chosen(spider_name: str, start_url: str | None) -> tuple[type[SourceSpider], str]:
    """The spider and where it starts. SettingsError."""
    by_name = {spider.name: spider for spider in SPIDERS}
    spider = by_name.get(spider_name)
    if spider is None:
        raise SettingsError(f"there is no spider {spider_name!r}. Remedy: one of {', '.join(by_name)}.")
    parts = urlsplit(start_url or "")
    if start_url is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(
            f"{spider_name} needs a start URL, {start_url!r} is none. Remedy: --start-url {spider.example}"
        )
    return spider, start_url


def api_key(settings: Settings, spider: type[SourceSpider]) -> str:
    """The key a source wants; empty when it wants none. SettingsError names the setting."""
    if not spider.key_setting:
        return ""
    key: str = getattr(settings, spider.key_setting).get_secret_value()
    if not key:
        raise SettingsError(
            f"{PREFIX}{spider.key_setting.upper()} is not set, and {spider.name} sends it with every request. "
            f"Remedy: ask {spider.source} for a key of your own and set {PREFIX}{spider.key_setting.upper()}."
        )
    return key


async def _recorded(
    settings: Settings,
    spider: type[SourceSpider],
    start_url: str,
    key: str,
    source: str,
    progress: Progress | None,
    clock: Clock,
) -> RunReport:
    run_id, started_at = uuid4(), clock()
    structlog.contextvars.bind_contextvars(run=str(run_id), spider=spider.name)
    engine = postgres_engine(settings, pool_size=1, name="gigz-spiders")
    try:
        await check_postgres(engine, settings)
        async with AsyncExitStack() as open_:
            producer = await open_.enter_async_context(kafka_producer(settings, f"gigz-spiders-{spider.name}"))
            delivery = KafkaDelivery(producer, settings.partitions, clock, settings.retry_deadline_s)
            await runs.begin(engine, run_id, spider.name, start_url, started_at)
            crash: Exception | None = None
            try:
                outcome = await crawl(
                    spider,
                    delivery,
                    settings.user_agent,
                    start_url,
                    source=source,
                    key=key,
                    progress=progress,
                    clock=clock,
                )
            except Exception as error:  # a fault of our own: it is recorded, then it crashes
                crash, outcome = error, Outcome(0, (f"{type(error).__name__}: {error}",))
            report = RunReport(
                run_id=run_id,
                spider=spider.name,
                source=source or spider.source or urlsplit(start_url).hostname or "",
                start_url=start_url,
                state="failed" if outcome.faults else "finished",
                started_at=started_at,
                finished_at=clock(),
                pages=outcome.pages,
                scraped=delivery.counts.scraped,
                delivered=delivery.counts.delivered,
                rejected=delivery.counts.rejected,
                why="; ".join(outcome.faults)[:4_000] or None,
            )
            await runs.end(engine, report)
            if crash is not None:
                raise crash
            if not delivery.counts.settled:
                # An idempotent producer tries for ever, also while it is being closed.
                with suppress(TimeoutError):
                    async with asyncio.timeout(CLOSE_S):
                        await open_.aclose()
    finally:
        await engine.dispose()
    return report


@dataclass(frozen=True)
class Outcome:
    """Pages read, and what went wrong: nothing, when the crawl is good."""

    pages: int
    faults: tuple[str, ...]


async def crawl(
    spider: type[SourceSpider],
    delivery: Delivery,
    user_agent: str,
    start_url: str,
    *,
    source: str = "",
    key: str = "",
    progress: Progress | None = None,
    clock: Clock = utc_now,
) -> Outcome:
    """Crawl into a delivery; needs a running reactor, see `in_reactor`."""
    faults: list[str] = []
    undelivered: list[str] = []

    def not_delivered(error: NotDelivered) -> None:
        undelivered[:] = [str(error)]  # the last one knows how many

    runner = AsyncCrawlerRunner(scrapy_settings(user_agent, start_url, pipeline(delivery, not_delivered)))
    crawler = runner.create_crawler(spider)
    ended: list[str] = []

    def closed(spider: SourceSpider, reason: str) -> None:
        ended.append(reason)

    def broke(failure: Failure, response: Response, spider: SourceSpider) -> None:
        faults.append(f"{response.url}: in the spider: {failure.value!r}")

    crawler.signals.connect(closed, signals.spider_closed)
    crawler.signals.connect(broke, signals.spider_error)
    arguments = {"start_url": start_url, "source": source, "api_key": key, "clock": clock}
    async with _told(progress, delivery, crawler), _stopped_by_signals(crawler, faults):
        await runner.crawl(crawler, **arguments)
        try:
            await delivery.settle()
        except NotDelivered as error:
            not_delivered(error)
    crawled = crawler.spider
    assert isinstance(crawled, SourceSpider)
    faults += undelivered + crawled.faults
    if not faults and ended != ["finished"]:
        faults.append(f"the crawl was ended early: {', '.join(ended) or 'unknown'}")
    counts = delivery.counts
    if not faults and not counts.scraped:
        faults.append(
            f"the crawl yielded nothing: {crawled.pages} pages read from {start_url}, no {spider.format} in it"
        )
    if not faults and not counts.settled:
        faults.append(f"{counts.scraped} scraped, but {counts.delivered} delivered and {counts.rejected} rejected")
    return Outcome(crawled.pages, tuple(dict.fromkeys(faults)))


def in_reactor(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in the asyncio reactor until it ends; once in a process."""
    install_reactor(REACTOR)
    from twisted.internet import reactor as installed  # only now is it the right one

    reactor: Any = installed  # it is a module to type checkers
    done: list[asyncio.Task[T]] = []

    def start() -> None:
        task = asyncio.get_event_loop().create_task(work())
        task.add_done_callback(lambda _: reactor.stop())
        done.append(task)

    reactor.callWhenRunning(start)
    reactor.run(installSignalHandlers=False)
    return done[0].result()


@asynccontextmanager
async def _told(progress: Progress | None, delivery: Delivery, crawler: Crawler) -> AsyncIterator[None]:
    async def tell() -> None:
        while progress is not None:
            await asyncio.sleep(PROGRESS_S)
            progress(delivery.counts, getattr(crawler.spider, "pages", 0))

    telling = asyncio.get_running_loop().create_task(tell())
    try:
        yield
    finally:
        telling.cancel()


@asynccontextmanager
async def _stopped_by_signals(crawler: Crawler, faults: list[str]) -> AsyncIterator[None]:
    """The first signal stops the crawl in order: what was scraped is still delivered."""
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()
    stopping: list[asyncio.Task[None]] = []

    def started() -> None:
        begun.set()

    async def stop() -> None:
        await begun.wait()  # Scrapy forgets to stop what does not run yet, and tells that it runs a step too early
        await crawler.stop_async()

    def told(name: str) -> None:
        faults.append(f"stopped by {name}")
        stopping.append(loop.create_task(stop()))

    crawler.signals.connect(started, signals.request_scheduled)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told, number.name)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        for task in stopping:
            task.cancel()


def main(argv: list[str] | None = None) -> int:
    """`python -m spiders.crawl`."""
    parser = argparse.ArgumentParser(prog="python -m spiders.crawl", description="One run of one spider.")
    parser.add_argument("spider", choices=[spider.name for spider in SPIDERS])
    parser.add_argument("--start-url", required=True, help="where the crawl begins")
    parser.add_argument("--source", default="", help="name of the catalogue, where it is not the spider's own")
    parser.add_argument("--progress", action="store_true", help="counts as JSON lines while it works")
    given = parser.parse_args(argv)

    def line(value: dict[str, Any]) -> None:
        sys.stdout.write(orjson.dumps(value).decode() + "\n")
        sys.stdout.flush()

    def progress(counts: Counts, pages: int) -> None:
        line({"pages": pages, **asdict(counts)})

    try:
        settings = current()
        logs.configure(settings.log_level, settings.log_format, STAGE)
        report = run_crawl(
            settings, given.spider, given.start_url, progress if given.progress else None, source=given.source
        )
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    (log.info if report.ok else log.error)("crawled", **report.as_json())
    line(report.as_json())
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
