"""One run of one spider, in a process of its own: a Twisted reactor runs once.

    python -m spiders.crawl SPIDER [--run ID] [--arg start_url=URL] [--arg artist=NAME] ... [--progress]

The last line on standard output is the report as JSON; the exit code is 0 when the run finished, 1 when it did not.

Errors
    SettingsError    no such spider, no start URL, a key is missing, Kafka or Postgres does not answer
"""

import argparse
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy import logs
from deploy.clients import check_postgres, postgres_engine
from deploy.settings import PREFIX, Settings, SettingsError, current
from schemas.tables import Trigger
from spiders import runs, wanted
from spiders.crawling import Brake, Crawling, Outcome, Progress, crawl, in_reactor, reach_asked, reach_of
from spiders.delivery import STAGE, Counts, Delivery, Lost, NotDelivered, delivering
from spiders.errand import Errand, errand_of
from spiders.formats.base import Clock, SourceSpider, utc_now
from spiders.monitoring import alerts, monitors
from spiders.monitoring.figures import Figures, Reach, Tally
from spiders.polite import polite
from spiders.runs import Run, RunReport, runlog, watermarks
from spiders.sources import SPIDERS

LOGGED = 20
"""Faults and findings that are in the log; the rest is counted."""
LONGEST_LOGGED = 1_000
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
            way = _UnderWay(settings, engine, run, errand, to, began.public, clock, reach_asked(errand))

            async def crawled() -> Outcome:
                return await crawl(
                    spider,
                    to,
                    errand,
                    scrapy_settings,
                    key=key,
                    mirror=mirror,
                    secrets=settings.api_keys,
                    progress=progress,
                    clock=clock,
                    brake=way.brake,
                    tally=way.tally,
                    crawling=way.crawling,
                )

            return await way.to_its_end(crawled)
    finally:
        await engine.dispose()


@dataclass
class _UnderWay:
    """A run that has begun, until its row says how it ended."""

    settings: Settings
    engine: AsyncEngine
    run: Run
    errand: Errand
    to: Delivery
    public: Callable[[str], str]
    """A text without the keys that the spider sends."""
    clock: Clock
    reach: Reach
    started: float = field(default_factory=time.monotonic)
    tally: Tally = field(default_factory=Tally)
    crawling: Crawling = field(default_factory=Crawling)
    brake: Brake = field(default_factory=lambda: Brake(_log_stop))

    async def to_its_end(self, crawled: Callable[[], Awaitable[Outcome]]) -> RunReport:
        """Crawl, judge, record, tell. What breaks in our own code is recorded, then raised."""
        crash: Exception | None = None
        async with runs.beating(self.engine, self.settings, self.run, self._snapshot, self.brake.stop):
            try:
                outcome = await crawled()
                verdict = await self._judged(outcome)
                if outcome.good and not verdict.withholds and await runs.goes_on(self.engine, self.run.run_id):
                    await self._takes_effect(outcome)
            except NotDelivered as error:
                outcome, verdict = self._failed(str(error)), monitors.Verdict()
            except Exception as error:
                crash, verdict = error, monitors.Verdict()
                outcome = self._failed(self.public(f"{type(error).__name__}: {error}"))
        self.tally.faulty(outcome.faults, outcome.unanswered)
        _log_end(outcome, verdict, self.to.counts)
        report = await runs.end(self.engine, self._report(outcome, verdict))
        if self.run.trigger is Trigger.WANTED:
            keys = await wanted.keys_of(self.engine, self.errand)
            await wanted.tried(self.engine, keys, self.run.run_id, self._figures.years, self.clock)
        await alerts.about(self.engine, self.settings, report, self.clock)
        if crash is not None:
            raise crash
        return report

    async def _judged(self, outcome: Outcome) -> monitors.Verdict:
        """Beside this spider's good runs; what the scope lost is counted first. NotDelivered."""
        self.crawling.lost = await self.to.lost() if outcome.complete else Lost()
        self.reach = reach_of(self.errand, outcome)
        self.tally.faulty(outcome.faults, outcome.unanswered)
        good = await runs.good_figures(self.engine, self.run.spider, self.run.scope, self.reach)
        return monitors.judge(self._figures, good, looked=not outcome.faults)

    async def _takes_effect(self, outcome: Outcome) -> None:
        """What is gone vanishes, the watermark moves. NotDelivered."""
        if outcome.complete:
            await self.to.vanish()
        # Of a crawl that was cut or of some nights only, what lies between was not read.
        if outcome.newest and not (outcome.cut or self.errand.since or self.errand.until):
            run = self.run
            await watermarks.move(self.engine, run.scope, run.spider, outcome.newest, run.run_id)

    def _failed(self, fault: str) -> Outcome:
        return replace(self.crawling.outcome, faults=(fault,))

    @property
    def _figures(self) -> Figures:
        """So far."""
        seconds = time.monotonic() - self.started
        return self.tally.figures(
            self.to.counts, self.crawling.stats, seconds, self.crawling.lost or Lost(), self.reach
        )

    def _snapshot(self) -> Mapping[str, Any]:
        return {"pages": self.crawling.pages, **asdict(self.to.counts), "figures": self._figures.as_json()}

    def _report(self, outcome: Outcome, verdict: monitors.Verdict) -> RunReport:
        return RunReport(
            run_id=self.run.run_id,
            spider=self.run.spider,
            source=self.run.source,
            start_url=self.run.start_url,
            state=outcome.state,
            started_at=self.run.started_at,
            finished_at=self.clock(),
            pages=outcome.pages,
            counts=self.to.counts,
            figures=self._figures.as_json() | {"judged": verdict.as_json()},
            findings=tuple(finding.as_json() for finding in verdict.findings),
            suspect=verdict.suspect,
            why="; ".join(outcome.told)[:4_000] or None,
            log_tail=runlog.tail(self.settings, self.run.run_id),
        )


def _log_stop(why: str) -> None:
    log.warning("told to stop", why=why)


def _log_end(outcome: Outcome, verdict: monitors.Verdict, counts: Counts) -> None:
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
