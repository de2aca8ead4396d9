"""One run of one spider, in a process of its own: a Twisted reactor runs once.

    python -m spiders.crawl SPIDER [--run ID] [--arg start_url=URL] [--arg artist=NAME] ... [--progress]

The last line on standard output is the report as JSON; the exit code is 0 when the run finished, 1 when it did not.

Errors
    SettingsError    no such spider, no start URL, a key is missing, Kafka or Postgres does not answer
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar
from uuid import UUID, uuid4

import orjson
import structlog
from scrapy import signals
from scrapy.crawler import AsyncCrawlerRunner, Crawler
from scrapy.http import Response
from scrapy.settings import Settings as ScrapySettings
from scrapy.utils.reactor import install_reactor
from twisted.python.failure import Failure

from deploy import logs
from deploy.clients import check_postgres, postgres_engine
from deploy.settings import PREFIX, Settings, SettingsError, current
from schemas.tables import RunState, Trigger
from spiders import alerts, monitors, runlog, runs, wanted, watermarks
from spiders.delivery import STAGE, Counts, Delivery, Lost, NotDelivered, delivering, pipeline
from spiders.errand import Errand, errand_of
from spiders.figures import Reach, Tally
from spiders.formats.base import Clock, SourceSpider, utc_now
from spiders.polite import polite
from spiders.runs import Run, RunReport
from spiders.sources import SPIDERS

T = TypeVar("T")
Progress = Callable[[Counts, int], None]
"""Called about twice a second with the counts and the pages so far."""
PROGRESS_S = 0.5
LOGGED = 20
"""Faults and findings that are in the log; the rest is counted."""
LONGEST_LOGGED = 1_000
REACTOR = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"
log = structlog.get_logger()


def run_crawl(
    settings: Settings,
    spider_name: str,
    errand: Errand,
    progress: Progress | None = None,
    *,
    run_id: UUID | None = None,
    trigger: Trigger = Trigger.OPERATOR,
    clock: Clock = utc_now,
) -> RunReport:
    """Crawl, deliver to Kafka, record the run in Postgres. Once in a process. SettingsError.

    `run_id`: of a run that was queued before.
    """
    spider = chosen(spider_name)
    key = api_key(settings, spider)
    mirror_of(settings, spider)
    spider.check_arguments(errand)
    spider(errand=errand)  # says here, before anything is opened, if it cannot do what is asked
    run_id = run_id or uuid4()
    runlog.keep_log(settings, run_id)
    logs.configure(settings.log_level, settings.log_format, STAGE)
    return in_reactor(lambda: _recorded(settings, spider, errand, key, progress, run_id, trigger, clock))


def chosen(spider_name: str) -> type[SourceSpider]:
    """The spider of that name. SettingsError."""
    by_name = {spider.name: spider for spider in SPIDERS}
    spider = by_name.get(spider_name)
    if spider is None:
        raise SettingsError(f"there is no spider {spider_name!r}. Remedy: one of {', '.join(by_name)}.")
    return spider


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


def mirror_of(settings: Settings, spider: type[SourceSpider]) -> str:
    """The origin that is asked in place of the source's own hosts; empty: they. SettingsError."""
    known = {one.name for one in SPIDERS} | {spider.name}
    if strange := sorted(settings.mirrors.keys() - known):
        raise SettingsError(
            f"{PREFIX}SOURCE_MIRRORS: there is no spider {strange[0]!r}. Remedy: `gigz spiders` lists them."
        )
    return settings.mirrors.get(spider.name, "")


def without_keys(spider: SourceSpider, errand: Errand) -> Errand:
    """An errand as it may be kept and told: a key that a person typed into it is left out."""
    told = {name: spider.public(f"{name}={value}").partition("=")[2] for name, value in errand.more.items()}
    return replace(errand, start_url=spider.keyless(errand.start_url), more=told)


async def _recorded(
    settings: Settings,
    spider: type[SourceSpider],
    errand: Errand,
    key: str,
    progress: Progress | None,
    run_id: UUID,
    trigger: Trigger,
    clock: Clock,
) -> RunReport:
    mirror = mirror_of(settings, spider)
    began = spider(errand=errand, api_key=key, clock=clock, mirror=mirror, secrets=settings.api_keys)
    told, start_url = without_keys(began, errand), began.keyless(began.start_url)
    scope = told.scope(spider.name, began.catalogue, "" if errand.artist or errand.mbid else start_url)
    run = Run(run_id, spider.name, began.catalogue, scope, start_url, told, clock(), trigger)
    structlog.contextvars.bind_contextvars(run=str(run_id), spider=spider.name)
    engine = postgres_engine(settings, pool_size=2, name="gigz-spiders")
    try:
        await check_postgres(engine, settings)
        if spider.incremental and not errand.full and not errand.bounded:
            errand = replace(errand, watermark=await watermarks.read(engine, scope))
        async with (
            delivering(settings, engine, run_id, scope, spider, clock, full=errand.full) as to,
            polite(settings, engine, str(run_id), spider, fresh=errand.full) as scrapy_settings,
        ):
            runlog.tell_retries(began.public)
            await runs.begin(engine, run)
            crash: Exception | None = None
            brake, tally, started, reach = Brake(_log_stop), Tally(), time.monotonic(), reach_asked(errand)
            crawling = Crawling()

            def snapshot() -> Mapping[str, Any]:
                figures = tally.figures(to.counts, crawling.stats, time.monotonic() - started, Lost(), reach)
                return {"pages": crawling.pages, **asdict(to.counts), "figures": figures.as_json()}

            async with runs.beating(engine, settings, run, snapshot, brake.stop):
                try:
                    outcome = await crawl(
                        spider,
                        to,
                        errand,
                        scrapy_settings,
                        key=key,
                        mirror=mirror,
                        secrets=settings.api_keys,
                        progress=progress,
                        clock=clock,
                        brake=brake,
                        tally=tally,
                        crawling=crawling,
                    )
                    lost = crawling.lost = await to.lost() if outcome.complete else Lost()
                    reach = reach_of(errand, outcome)
                    tally.faulty(outcome.faults, outcome.unanswered)
                    figures = tally.figures(to.counts, crawling.stats, time.monotonic() - started, lost, reach)
                    good = await runs.good_figures(engine, spider.name, scope, reach)
                    verdict = monitors.judge(figures, good, looked=not outcome.faults)
                    if outcome.good and not verdict.withholds and await runs.goes_on(engine, run_id):
                        if outcome.complete:
                            await to.vanish()
                        # Of a crawl that was cut or of some nights only, what lies between was not read.
                        if outcome.newest and not (outcome.cut or errand.since or errand.until):
                            await watermarks.move(engine, scope, spider.name, outcome.newest, run_id)
                except NotDelivered as error:
                    outcome, verdict = replace(crawling.outcome, faults=(str(error),)), monitors.Verdict()
                except Exception as error:  # a fault of our own: it is recorded, then it crashes
                    crash, verdict = error, monitors.Verdict()
                    outcome = replace(crawling.outcome, faults=(began.public(f"{type(error).__name__}: {error}"),))
            tally.faulty(outcome.faults, outcome.unanswered)
            lost = crawling.lost or Lost()
            figures = tally.figures(to.counts, crawling.stats, time.monotonic() - started, lost, reach)
            _log_end(outcome, verdict, to.counts)
            report = RunReport(
                run_id=run_id,
                spider=spider.name,
                source=run.source,
                start_url=run.start_url,
                state=outcome.state,
                started_at=run.started_at,
                finished_at=clock(),
                pages=outcome.pages,
                counts=to.counts,
                figures=figures.as_json() | {"judged": verdict.as_json()},
                findings=tuple(finding.as_json() for finding in verdict.findings),
                suspect=verdict.suspect,
                why="; ".join(outcome.told)[:4_000] or None,
                log_tail=runlog.tail(settings, run_id),
            )
            report = await runs.end(engine, report)
            if trigger is Trigger.WANTED:
                keys = await wanted.keys_of(engine, errand)
                await wanted.tried(engine, keys, run_id, report.counts.scraped, clock)
            await alerts.about(engine, settings, report, clock)
            if crash is not None:
                raise crash
    finally:
        await engine.dispose()
    return report


def _log_stop(why: str) -> None:
    log.warning("told to stop", why=why)


def _log_end(outcome: "Outcome", verdict: monitors.Verdict, counts: Counts) -> None:
    """For the run's log: what went wrong, the verdict, the end."""
    for fault in outcome.faults[:LOGGED]:
        log.error("fault", what=fault[:LONGEST_LOGGED])
    if len(outcome.faults) > LOGGED:
        log.error("faults", not_told=len(outcome.faults) - LOGGED)
    found = [finding.text for finding in verdict.findings]
    say = log.warning if verdict.suspect else log.info
    say("judged", suspect=verdict.suspect, withholds=verdict.withholds, good_runs=verdict.runs, findings=found[:LOGGED])
    say = log.info if outcome.good else log.warning
    say("run ended", state=outcome.state.value, pages=outcome.pages, **asdict(counts))


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


def arguments_of(written: list[str]) -> dict[str, str]:
    """`k=v` each. SettingsError."""
    told = [one.partition("=") for one in written]
    wrong = [k for k, equals, _ in told if not equals or not k]
    if wrong:
        raise SettingsError(f"--arg {wrong[0]!r} is not k=v. Remedy: --arg start_url=https://www.example.org/agenda/")
    return {k.strip(): v for k, _, v in told}


def main(argv: list[str] | None = None) -> int:
    """`python -m spiders.crawl`."""
    parser = argparse.ArgumentParser(prog="python -m spiders.crawl", description="One run of one spider.")
    parser.add_argument("spider", choices=[spider.name for spider in SPIDERS])
    parser.add_argument("--arg", action="append", default=[], metavar="K=V", help="of its errand: start_url, artist...")
    parser.add_argument("--run", type=UUID, default=None, help="a run that was queued")
    parser.add_argument("--trigger", type=Trigger, default=Trigger.OPERATOR, choices=list(Trigger), help="why")
    parser.add_argument("--progress", action="store_true", help="a line of counts twice a second")
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
            settings,
            given.spider,
            errand_of(arguments_of(given.arg)),
            progress if given.progress else None,
            run_id=given.run,
            trigger=given.trigger,
        )
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return runs.WAITS if isinstance(error, runs.LaneTaken) else 1
    (log.info if report.ok else log.error)("crawled", **report.as_json())
    line(report.as_json())
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
