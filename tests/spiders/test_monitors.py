"""What makes a run suspect."""

import asyncio
import random
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from aiohttp import web
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import postgres_engine
from deploy.migrate import migrate_postgres
from deploy.settings import Settings, SettingsError, environment_for
from deploy.topics import apply_topics
from schemas.tables import OperatorLogRow, RunRow, RunState
from spiders import runs
from spiders.monitoring import judgements
from spiders.monitoring.figures import Figures, Reach
from spiders.monitoring.monitors import BASELINE, COLD, RULES, Verdict, judge
from tests.spiders.scheduling import row_of

ROOT = Path(__file__).parents[2]
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GOOD = Figures(
    items=100,
    requests=12,
    statuses={"200": 12},
    seconds=20.0,
    latency_s=0.2,
    coverage={"artist": 1.0, "venue": 1.0, "coordinates": 0.8},
    known=100,
    missing=2,
    new=2,
    reach=Reach.WHOLE,
)


def before(n: int, **changed: Any) -> list[Mapping[str, Any]]:
    return [replace(GOOD, **changed).as_json() for _ in range(n)]


def beyond(verdict: Verdict) -> list[str]:
    return [one.rule for one in verdict.findings]


def test_a_run_like_the_others_is_good() -> None:
    assert judge(GOOD, before(20)) == replace(judge(GOOD, before(20)), withholds=False)
    assert not judge(GOOD, before(20)).suspect


def test_searches_that_found_nothing_are_as_usual() -> None:
    searched = replace(GOOD, statuses={"200": 2, "404": 10}, nothing_found=10)
    assert beyond(judge(searched, before(COLD))) == beyond(judge(searched, [])) == []
    assert beyond(judge(replace(searched, nothing_found=3), before(COLD))) == ["requests_failing"]


def test_a_mark_in_the_good_runs_of_before_makes_no_run_suspect() -> None:
    marked = before(COLD, coverage={**GOOD.coverage, "read_in": 1.0})
    assert not judge(GOOD, marked).suspect


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"items": 70}, "items_fewer"),
        ({"items": 0, "coverage": {}}, "items_fewer"),
        ({"items": 201}, "items_more"),
        ({"errors": 5}, "errors"),
        ({"rejected": 5}, "rejected"),
        ({"statuses": {"200": 11, "503": 1}}, "requests_failing"),
        ({"statuses": {"200": 11, "TimeoutError": 1}}, "requests_failing"),
        ({"latency_s": 1.3}, "latency"),
        ({"new": 40}, "new_ids"),
        ({"missing": 20}, "missing_ids"),
        ({"coverage": {"artist": 1.0, "venue": 0.85, "coordinates": 0.8}}, "coverage.venue"),
        ({"coverage": {"artist": 1.0, "venue": 1.0}}, "coverage.coordinates"),
    ],
)
def test_each_figure_that_leaves_the_usual_is_found(changed: dict[str, Any], rule: str) -> None:
    assert rule in beyond(judge(replace(GOOD, **changed), before(COLD)))


@pytest.mark.parametrize(
    "changed",
    [
        {"items": 76},
        {"items": 199},
        {"errors": 1},
        {"rejected": 1},
        {"latency_s": 1.1},
        {"latency_s": 0.0},
        {"new": 20},
        {"new": 0},
        {"missing": 0},
        {"coverage": {"artist": 1.0, "venue": 0.95, "coordinates": 1.0, "city": 0.1}},
    ],
)
def test_a_wobble_of_a_spider_that_was_always_alike_is_none(changed: dict[str, Any]) -> None:
    assert beyond(judge(replace(GOOD, **changed), before(20))) == []


def test_a_spider_that_always_varied_may_go_on_varying() -> None:
    dice = random.Random(7)
    varied = [replace(GOOD, items=dice.randint(40, 160)).as_json() for _ in range(20)]
    assert not judge(replace(GOOD, items=30), varied).suspect
    assert judge(replace(GOOD, items=30), before(20)).suspect


def test_a_cold_start_knows_only_absolute_limits_and_says_so() -> None:
    fewer = replace(GOOD, items=10, missing=40, latency_s=9.0)
    cold = judge(fewer, before(COLD - 1))
    assert cold.cold and not cold.suspect
    assert all("cold start" in one.text and one.baseline is None for one in cold.compared)
    assert not judge(fewer, before(COLD)).cold and judge(fewer, before(COLD)).suspect


@pytest.mark.parametrize("n", [0, 1, COLD, 20])
def test_a_run_that_lost_more_than_half_withholds_whatever_is_known_of_it(n: int) -> None:
    assert judge(replace(GOOD, missing=51), before(n)).withholds
    assert not judge(replace(GOOD, missing=50), before(n)).withholds


def test_a_run_that_is_suspect_for_something_else_withholds_nothing() -> None:
    verdict = judge(replace(GOOD, latency_s=30.0, missing=5), before(20))
    assert verdict.suspect and not verdict.withholds


def test_what_was_new_is_not_compared_with_what_was_everything() -> None:
    news = replace(GOOD, items=3, reach=Reach.NEWS, known=0, missing=0, new=0)
    assert judge(news, before(20)).runs == 0
    usual = [replace(news, items=12).as_json() for _ in range(10)]
    assert judge(news, usual + before(20)).withholds  # less than half of the usual number
    assert (
        "items_fewer" in beyond(judge(replace(news, items=8), usual))
        and not judge(replace(news, items=8), usual).withholds
    )
    part = judge(replace(GOOD, items=1, reach=Reach.PART), before(20, reach=Reach.PART))
    assert not {"items_fewer", "new_ids", "missing_ids"} & {one.rule for one in part.compared}


def test_no_share_of_errors_is_more_than_all() -> None:
    (errors,) = (one for one in judge(replace(GOOD, errors=500), []).compared if one.rule == "errors")
    assert errors.value == 1.0


def test_a_run_that_failed_is_compared_with_what_it_was_sent_for_and_not_by_ids_that_it_never_looked_for() -> None:
    verdict = judge(Figures(reach=Reach.WHOLE, requests=1, errors=1), before(COLD), looked=False)
    assert "items_fewer" in beyond(verdict) and not verdict.cold
    assert not {"missing_ids", "new_ids"} & {one.rule for one in verdict.compared}


def test_only_the_last_twenty_count() -> None:
    moved = before(BASELINE, items=400) + before(50)
    assert not judge(replace(GOOD, items=400), moved).suspect
    assert judge(GOOD, moved).suspect


def test_an_accepted_run_is_where_the_new_normal_begins_and_the_next_lets_vanish_what_it_withheld() -> None:
    shrunk = replace(GOOD, items=40, missing=60, new=0)
    assert judge(shrunk, before(20)).withholds
    accepted = [shrunk.as_json() | {"accepted": True}, *before(20)]
    following = judge(shrunk, accepted)
    assert (following.runs, following.suspect) == (1, False)
    assert judge(replace(shrunk, missing=75), accepted).withholds  # more than what was accepted
    settled = [replace(shrunk, known=40, missing=0).as_json(), *accepted]
    assert judge(replace(shrunk, known=40, missing=24), settled).withholds


def test_a_judgement_names_every_rule_with_its_value_and_its_limit() -> None:
    verdict = judge(replace(GOOD, items=70), before(20))
    found = {one.rule: one for one in verdict.compared}
    assert len(found) == 8 + 3
    fewer = found["items_fewer"]
    assert (fewer.value, fewer.baseline, fewer.mad, fewer.limit) == (70, 100, 0, 75)
    assert fewer.text == "items: 70 is below the limit of 75; usual is 100 (median of 20 good runs, MAD 0)"
    assert found["coverage.venue"].text.startswith("items with venue: 100.0 % is within the limit of 90.0 %")


def test_judging_changes_with_nothing_but_its_input() -> None:
    assert judge(GOOD, before(20)) == judge(GOOD, before(20))
    assert orjson.loads(orjson.dumps(judge(GOOD, before(3)).as_json()))["cold"] is True


# -- with Postgres ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def engine(stack: Settings) -> AsyncIterator[AsyncEngine]:
    migrate_postgres(stack)
    engine = postgres_engine(stack, 4, "gigz-test")
    yield engine
    await engine.dispose()


async def ended(engine: AsyncEngine, spider: str, minute: int, figures: Figures, good: list[Mapping[str, Any]]) -> UUID:
    """A finished run, judged as a crawl does."""
    run_id, verdict = uuid4(), judge(figures, good)
    began = START + timedelta(minutes=minute)
    row = {
        "run_id": run_id,
        "spider": spider,
        "state": RunState.FINISHED,
        "scope": f"{spider} scope",
        "started_at": began,
        "finished_at": began + timedelta(seconds=20),
        "scraped": figures.items,
        "delivered": figures.items,
        "figures": figures.as_json() | {"judged": verdict.as_json()},
        "findings": [one.as_json() for one in verdict.findings],
        "suspect": verdict.suspect,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(RunRow).values(**row))
    return run_id


async def good_of(engine: AsyncEngine, spider: str) -> list[Mapping[str, Any]]:
    return await runs.good_figures(engine, spider, f"{spider} scope", Reach.WHOLE)


@pytest.mark.stack
async def test_a_suspect_run_is_no_baseline_until_an_operator_accepts_it(engine: AsyncEngine) -> None:
    spider = f"s-{uuid4().hex}"
    for minute in range(COLD):
        await ended(engine, spider, minute, GOOD, await good_of(engine, spider))
    shrunk = replace(GOOD, items=40, missing=60)
    first = await ended(engine, spider, 10, shrunk, await good_of(engine, spider))
    second = await ended(engine, spider, 11, shrunk, await good_of(engine, spider))
    assert (await judgements.explain(engine, second)).suspect
    assert len(await good_of(engine, spider)) == COLD
    await judgements.accept(engine, second, "ada", "the venue closed a hall", START)
    await judgements.accept(engine, second, "bob", "again", START)
    third = await ended(engine, spider, 12, shrunk, await good_of(engine, spider))
    told = await judgements.explain(engine, third)
    assert not told.suspect and told.judged["runs"] == 1 and "cold start" in told.told
    accepted = (await judgements.explain(engine, second)).accepted
    assert accepted and (accepted["who"], accepted["why"]) == ("ada", "the venue closed a hall")
    async with engine.connect() as connection:
        log = select(OperatorLogRow.who, OperatorLogRow.before, OperatorLogRow.after)
        rows = (await connection.execute(log.where(OperatorLogRow.thing == str(second)))).all()
    assert [tuple(row) for row in rows] == [("ada", "suspect", "accepted")]
    for run_id, why, told_why in ((third, "fine", "not suspect"), (first, " ", "a reason"), (uuid4(), "x", "no run")):
        with pytest.raises(SettingsError, match=f"{told_why}.*Remedy"):
            await judgements.accept(engine, run_id, "ada", why, START)


@pytest.mark.stack
async def test_the_command_explains_and_accepts(engine: AsyncEngine, stack: Settings) -> None:
    spider = f"s-{uuid4().hex}"
    for minute in range(COLD):
        await ended(engine, spider, minute, GOOD, await good_of(engine, spider))
    run_id = await ended(engine, spider, 9, replace(GOOD, items=40, missing=60), await good_of(engine, spider))
    told = orjson.loads(gigz(stack, "explain", str(run_id), "--json").stdout)
    assert told["suspect"] and told["withholds"] and told["good_runs"] == COLD and not told["cold_start"]
    (fewer,) = (rule for rule in told["rules"] if rule["rule"] == "items_fewer")
    assert (fewer["value"], fewer["baseline"], fewer["limit"], fewer["beyond"]) == (40, 100, 75, True)
    shown = gigz(stack, "explain", str(run_id)).stdout
    assert "items_fewer" in shown and "the watermark did not move" in shown and "coverage.venue" in shown
    done = gigz(stack, "accept", str(run_id), "--reason", "half of the hall is closed")
    assert done.returncode == 0, done.stderr
    assert "half of the hall is closed" in gigz(stack, "explain", str(run_id)).stdout
    again = gigz(stack, "explain", str(uuid4()))
    assert again.returncode == 2 and "Remedy" in again.stderr


def gigz(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "gigz", "monitors", *arguments]
    env = environment_for(settings) | {"COLUMNS": "200"}
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


# -- a whole crawl ----------------------------------------------------------------------------------------------------


@dataclass
class Hall:
    """A hall's agenda, and the operators' webhook beside it."""

    nights: int = 10
    answers: list[int] = field(default_factory=list)
    """Statuses of the next answers."""
    told: list[dict[str, Any]] = field(default_factory=list)
    base: str = ""

    async def agenda(self, request: web.Request) -> web.Response:
        if self.answers:
            return web.Response(status=self.answers.pop(0))
        events = [
            {
                "@type": "MusicEvent",
                "@id": f"https://hall.example/e/{n}",
                "name": f"Band {n}",
                "startDate": f"2090-03-{n + 1:02}T20:00:00+01:00",
                "location": {"@type": "MusicVenue", "name": "The Hall", "address": "Leeds, GB"},
            }
            for n in range(self.nights)
        ]
        body = f'<html><script type="application/ld+json">{orjson.dumps(events).decode()}</script></html>'
        return web.Response(text=body, content_type="text/html")

    async def hook(self, request: web.Request) -> web.Response:
        self.told.append(await request.json())
        return web.Response(status=204)


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    hall = Hall()
    app = web.Application()
    app.router.add_get("/agenda", hall.agenda)
    app.router.add_post("/hook", hall.hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hall.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield hall
    await runner.cleanup()


@pytest.mark.stack
async def test_a_crawl_that_lost_more_than_half_lets_nothing_vanish_until_it_is_accepted(
    engine: AsyncEngine, stack: Settings, hall: Hall
) -> None:
    await apply_topics(stack)
    source = f"hall-{uuid4().hex}"
    assert (await crawled(stack, hall, source))["scraped"] == 10
    hall.nights = 4
    shrunk = await crawled(stack, hall, source)
    assert (shrunk["state"], shrunk["suspect"], shrunk["vanished"]) == ("finished", True, 0)
    told = await judgements.explain(engine, UUID(shrunk["run_id"]))
    (missing,) = (one for one in told.judged["compared"] if one["rule"] == "missing_ids")
    assert (missing["value"], missing["limit"], missing["beyond"]) == (0.6, 0.5, True)
    assert told.judged["withholds"] and told.judged["cold"] and "the watermark did not move" in told.told
    again = await crawled(stack, hall, source)  # what was missing is missing still
    assert again["suspect"] and again["vanished"] == 0
    await judgements.accept(engine, UUID(again["run_id"]), "ada", "the hall closed its cellar", datetime.now(UTC))
    settled = await crawled(stack, hall, source)
    assert (settled["suspect"], settled["vanished"]) == (False, 6)
    kinds = [told["kind"] for told in hall.told]
    assert kinds == ["suspect", "suspect", "recovered"]
    assert hall.told[0]["withholds"] is True and "60.0 % is above the limit of 50.0 %" in hall.told[0]["text"]
    async with engine.connect() as connection:
        figures = await connection.scalar(select(RunRow.figures).where(RunRow.run_id == UUID(settled["run_id"])))
    assert figures["coverage"]["venue"] == 1 and figures["latency_s"] > 0 and figures["statuses"]["200"] >= 1


@pytest.mark.stack
async def test_a_run_that_failed_is_explained_beside_the_good_ones_and_its_log_tells_how_it_went(
    engine: AsyncEngine, stack: Settings, hall: Hall
) -> None:
    await apply_topics(stack)
    source = f"hall-{uuid4().hex}"
    hall.answers = [503]
    first = await row_of(engine, UUID((await crawled(stack, hall, source))["run_id"]))
    assert first.figures["statuses"] == {"200": 1, "503": 1}, "a robots.txt that is missing is no failed request"
    for told in ("run began", "warning Retrying <GET", "503 Service Unavailable", "judged suspect=", "scraped=10"):
        assert told in first.log_tail
    columns = {name: value for name, value in first._mapping.items() if name not in ("created_at", "updated_at")}
    copies = [columns | {"run_id": uuid4(), "suspect": False} for _ in range(COLD)]
    async with engine.begin() as connection:
        await connection.execute(insert(RunRow), copies)
    hall.nights = 0
    empty = await crawled(stack, hall, source, code=1)
    told = await judgements.explain(engine, UUID(empty["run_id"]))
    (fewer,) = (one for one in told.judged["compared"] if one["rule"] == "items_fewer")
    assert (fewer["value"], fewer["baseline"], fewer["beyond"]) == (0, 10, True)
    assert "failed (the crawl yielded nothing" in told.told and "compared with" in told.told
    assert "cold start" not in told.told
    hall.answers = [404]
    gone = await crawled(stack, hall, source, code=1)
    row = await row_of(engine, UUID(gone["run_id"]))
    assert (row.figures["errors"], row.figures["statuses"], row.figures["reach"]) == (1, {"404": 1}, "whole")
    assert "error   fault what=" in row.log_tail and "agenda answered 404" in row.log_tail
    assert "state=failed" in row.log_tail
    async with engine.begin() as connection:  # as one whose process was killed before it was judged
        unjudged = {name: value for name, value in row.figures.items() if name != "judged"}
        lost = {"state": RunState.LOST, "figures": unjudged, "why": "its process 1 is gone"}
        await connection.execute(update(RunRow).where(RunRow.run_id == row.run_id).values(**lost))
    told = await judgements.explain(engine, row.run_id)
    assert told.told.startswith("lost (its process 1 is gone); compared with ")
    assert "items_fewer" in {one["rule"] for one in told.judged["compared"] if one["beyond"]}


async def crawled(settings: Settings, hall: Hall, source: str, code: int = 0) -> dict[str, Any]:
    """The report of one crawl, in a process of its own."""
    arguments = ["crawl", "venuepages", "--start-url", f"{hall.base}/agenda", "--source", source, "--json"]
    more = {
        "GIGZ_OWN_HOSTS": "127.0.0.1",
        "GIGZ_PRIVATE_HOSTS": "127.0.0.1",
        "GIGZ_OPERATORS_WEBHOOK": f"{hall.base}/hook",
    }
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gigz", *arguments),
        cwd=ROOT,
        env=environment_for(settings) | more,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await child.communicate()
    assert child.returncode == code, errors.decode()
    report: dict[str, Any] = orjson.loads(out.splitlines()[-1])
    return report


def test_the_document_tells_of_every_rule_and_no_other() -> None:
    text = (ROOT / "docs/spiders/monitors.md").read_text(encoding="utf-8")
    table = text.partition("## Rules")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", table, flags=re.M) == [rule.name for rule in RULES]
    assert f"fewer than {COLD} good runs" in text and f"The last {BASELINE} of" in text
