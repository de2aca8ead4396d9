"""/ops as an operator without scripts sees it, and who may."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from api.operating import BARS, Brief, arguments_of, arguments_told, chart
from api.ops import ago, lasting, share, size, time_limit
from api.tokens import OPERATOR, Audience, checker, inbox_link, issue_token
from deploy.clients import kafka_producer
from deploy.feed import to_record
from deploy.flow import scan
from deploy.replay import Kept, Sample, filters_of, replay, sendable
from deploy.settings import Settings, SettingsError, environment_for
from deploy.topics import apply_topics
from schemas.history import Entry
from schemas.message import canonical
from schemas.outgoing import Origin, Outgoing, reject
from schemas.rejection import Reason, Rejection
from schemas.tables import (
    AlertRow,
    CatalogueRejection,
    OperatorLogRow,
    RunRow,
    RunState,
    ScheduleRow,
    WantedListRow,
    WatchedBy,
)
from spiders.monitoring import judgements
from spiders.monitoring.figures import Figures, Reach
from spiders.monitoring.monitors import judge
from spiders.schedule.operations import Operations
from tests.api.support import START, Client, Clock, reach
from tests.api.test_api_inbox import HOSTILE, _Page

NOWHERE = Origin("gigz.raw-event.v1", -1, -1)
ROOT = Path(__file__).parents[2]
GOOD = Figures(
    items=100,
    requests=14,
    statuses={"200": 12, "404": 2},
    bytes=1_234_567,
    seconds=20.0,
    latency_s=0.21,
    coverage={"artist": 1.0, "date": 1.0, "venue": 0.97, "coordinates": 0.62, "songs": 0.0},
    known=100,
    missing=2,
    new=2,
    reach=Reach.WHOLE,
)


@pytest.fixture
async def ops(migrated: Settings, engine: AsyncEngine, clock: Clock) -> AsyncIterator[Client]:
    """An operator who is signed in, over tables that hold nothing of other tests."""
    async with engine.begin() as connection:
        for table in (AlertRow, RunRow, ScheduleRow, CatalogueRejection, WantedListRow):
            await connection.execute(delete(table))
    app = create_app(migrated, clock=clock, rate_limits=False, operations=lambda own: Operations(migrated, own, clock))
    async with reach(app) as client:
        answer = await client.get(inbox_link(migrated, "http://gigz.test", "ada", clock(), [OPERATOR]))
        assert (answer.status_code, answer.headers["location"]) == (303, "/ops")
        client.headers["accept"] = "text/html"
        yield client


async def page(client: Client, address: str, status: int = 200) -> _Page:
    answer = await client.get(address)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    made = _Page(answer.text)
    tags = {tag for tag, _ in made.elements}
    assert not tags & {"script", "style", "iframe", "object"}
    assert not any("style" in told or any(name.startswith("on") for name in told) for _, told in made.elements)
    return made


async def send(client: Client, address: str, form: _Page | None = None, **fields: str) -> httpx.Response:
    """Fill a form in and send it."""
    shown = form or await page(client, address)
    found = next(one for one in shown.forms if one["action"] == address)
    hidden = {name: value for name, value in found.items() if name != "action"}
    return await client.post(address, data=hidden | fields)


async def ran(
    engine: AsyncEngine,
    spider: str = "setlistfm",
    state: RunState = RunState.FINISHED,
    minutes: float = 60,
    figures: Figures = GOOD,
    good: int = 0,
    **more: Any,
) -> UUID:
    """A run that began so many minutes ago, judged beside so many good ones."""
    run_id, began = uuid4(), START - timedelta(minutes=minutes)
    verdict = judge(figures, [GOOD.as_json()] * good)
    live = state in {RunState.QUEUED, RunState.RUNNING, RunState.STOPPING}
    row = {
        "run_id": run_id,
        "spider": spider,
        "state": state,
        "scope": spider,
        "queued_at": began - timedelta(seconds=2),
        "started_at": None if state is RunState.QUEUED else began,
        "finished_at": None if live else began + timedelta(seconds=figures.seconds),
        "scraped": figures.items,
        "delivered": figures.items - figures.rejected,
        "rejected": figures.rejected,
        "figures": figures.as_json() | {"judged": verdict.as_json()},
        "findings": [one.as_json() for one in verdict.findings],
        "suspect": verdict.suspect,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(RunRow).values(**row | more))
    return run_id


async def rejected(engine: AsyncEngine, *messages: Rejection) -> None:
    """As the Postgres sink stores them."""
    async with engine.begin() as connection:
        for one in messages:
            row = {
                "key": one.key,
                "stage": one.stage,
                "source": one.source,
                "reason": one.reason,
                "text": one.text,
                "origin_topic": one.origin_topic,
                "rejected_at": one.rejected_at,
                "original": one.original_bytes,
                "original_size": one.original_size,
                "body": one.model_dump(mode="json", exclude_none=True, exclude={"original"}),
            }
            await connection.execute(insert(CatalogueRejection).values(**row))


def rejection(number: int, original: bytes | None = None, **more: Any) -> Rejection:
    told: dict[str, Any] = {
        "reason": Reason.BAD_DATE,
        "text": f"date {number} is none",
        "origin": Origin("gigz.raw-event.v1", 3, number),
        "original": original or canonical({"n": number}),
        "stage": "normalise",
        "at": START - timedelta(hours=1) + timedelta(seconds=number),
        "trace": "0" * 32,
        "key": f"hall:{number}",
        "source": "hall",
    }
    return Rejection.from_bytes(reject(**told | more).value)


# -- small parts ------------------------------------------------------------------------------------------------------


def brief(items: int, kind: str = "finished", minutes: int = 0) -> Brief:
    at = START - timedelta(minutes=minutes)
    return Brief(uuid4(), "hall", kind, items, 0, None, "operator", at, at, at, False, None)


def test_a_chart_stands_its_newest_run_at_the_right_and_tells_itself_in_words() -> None:
    made = chart([brief(50, "suspect"), brief(100, minutes=1), brief(0, "failed", 2)])
    assert made.label == "last 3 runs: 1 finished, 1 suspect, 1 failed; 0 to 100 items"
    assert [bar.kind for bar in made.bars] == ["failed", "finished", "suspect"]
    assert made.bars[-1].x + 9 <= made.width and made.bars[-1].x + 12 == made.width
    assert made.bars[1].height == 44 and made.bars[2].height == 22 and 0 < made.bars[0].height < 3
    assert len(chart([brief(1)] * 50).bars) == BARS
    assert chart([]).label == "no runs yet" and chart([brief(0)]).bars[0].height > 0


def test_words_for_times_and_sizes() -> None:
    assert [ago(START - timedelta(seconds=s), START) for s in (3, 90, 7_300, -90)] == [
        "now",
        "2 min ago",
        "2 h ago",
        "in 2 min",
    ]
    assert [lasting(s) for s in (4.2, 200, 7_500)] == ["4.2 s", "3 min 20 s", "2 h 5 min"]
    assert [time_limit(s) for s in (None, 90, 7_200, 9_000, 86_460)] == ["", "1m30s", "2h", "2h30m", "1d1m"]
    assert [size(n) for n in (12, 1_500, 2_000_000, 3e9)] == ["12 B", "1.5 kB", "2.0 MB", "3.0 GB"]
    assert [share(v) for v in (0, 0.0001, 0.5, 0.9999, 1)] == ["0 %", "< 0.1 %", "50 %", "> 99.9 %", "100 %"]


def test_arguments_are_written_and_read_the_same_way() -> None:
    told = {"artist": "AC/DC = loud", "since": "2014"}
    assert arguments_of(arguments_told(told)) == told
    assert arguments_of("\n a=b \n\n") == {"a": "b"}
    with pytest.raises(ValueError, match="nothing"):
        arguments_of("a=b\nnothing")


# -- who may ----------------------------------------------------------------------------------------------------------


async def test_a_stranger_and_a_listener_do_not_come_in(alone: httpx.AsyncClient, offline: Settings) -> None:
    nobody = await alone.get("/ops")
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    bearer = {"Authorization": f"Bearer {issue_token(offline, 'bob', START)}"}
    for path in ("/ops", "/ops/runs", "/ops/schedules/new", f"/ops/runs/{uuid4()}/stop", "/ops/rejections"):
        answer = await alone.get(path, headers=bearer)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN"), path
    shown = await alone.get("/ops", headers=bearer | {"accept": "text/html"})
    assert shown.status_code == 403 and "role operator" in shown.text and "<html" in shown.text
    posted = await alone.post("/ops/schedules/new", headers=bearer, data={"name": "x"})
    assert posted.status_code == 403


async def test_a_role_is_a_list_of_names_and_the_session_keeps_it(
    alone: httpx.AsyncClient, offline: Settings, clock: Clock
) -> None:
    link = await alone.get(inbox_link(offline, "http://gigz.test", "bob", clock()))
    assert link.headers["location"] == "/inbox"
    assert (await alone.get("/ops")).status_code == 403


async def test_in_production_the_pages_are_there_once_their_forms_can_be_signed(offline: Settings) -> None:
    from pydantic import SecretStr

    production = {
        "environment": "production",
        "jwt_jwks_url": "https://issuer.example/jwks.json",
        "jwt_issuer": "https://issuer.example/",
        "jwt_audience": "gigz",
    }
    async with reach(create_app(offline.model_copy(update=production))) as client:
        assert (await client.get("/ops")).status_code == 404
    signed = production | {"pages_secret": SecretStr("s" * 40)}
    async with reach(create_app(offline.model_copy(update=signed))) as client:
        assert (await client.get("/ops")).status_code == 401
        assert (await client.get("/static/ops.css")).status_code == 200
        assert (await client.get("/inbox")).status_code == 401
    with pytest.raises(SettingsError, match="GIGZ_PAGES_SECRET"):
        create_app(offline.model_copy(update=production | {"pages_secret": SecretStr("short")}))


@pytest.mark.stack
async def test_a_bearer_token_with_the_role_reads_and_acts_too(
    ops: Client, engine: AsyncEngine, migrated: Settings, clock: Clock
) -> None:
    bearer = {"Authorization": f"Bearer {issue_token(migrated, 'eve', clock(), [OPERATOR])}"}
    ops.cookies.clear()
    ops.headers.update(bearer)
    fields = {"why": "a try", "arguments": "start_url=https://hall.example/agenda"}
    assert (await send(ops, "/ops/spiders/venuepages/start", **fields)).status_code == 303
    async with engine.connect() as connection:
        assert await connection.scalar(select(OperatorLogRow.who).order_by(OperatorLogRow.id.desc()).limit(1)) == "eve"


# -- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.stack
async def test_the_first_page_shows_each_spider_with_its_runs_and_what_comes_next(
    ops: Client, engine: AsyncEngine
) -> None:
    for minutes in (300, 200, 100):
        await ran(engine, minutes=minutes, good=20)
    failed = await ran(engine, state=RunState.FAILED, minutes=50, figures=Figures(seconds=2.0), why="gone")
    async with engine.begin() as connection:
        row = {"spider": "setlistfm", "cron": "30 3 * * *", "next_at": START + timedelta(hours=3)}
        await connection.execute(insert(ScheduleRow).values(name="nightly", **row))
    shown = await page(ops, "/ops")
    (drawn,) = (told for tag, told in shown.elements if tag == "svg" and told.get("role") == "img")
    assert drawn["aria-label"] == "last 4 runs: 3 finished, 1 failed; 0 to 100 items"
    assert "30 3 * * *" in shown.text and "in 3 h" in shown.text and "No scheduler is active" in shown.text
    links = [told["href"] for tag, told in shown.elements if tag == "a" and "href" in told]
    assert f"/ops/runs/{failed}" in links and "/ops/spiders/setlistfm/start" in links
    for address in ("/ops/spiders/setlistfm", "/ops/runs", "/ops/schedules", "/ops/alerts", "/ops/wanted"):
        assert "setlistfm" in (await page(ops, address)).text or address in {"/ops/alerts", "/ops/wanted"}
    assert (await page(ops, "/ops/runs?state=failed&spider=setlistfm")).text.count("gone") == 1
    assert "No such runs" in (await page(ops, "/ops/runs?state=lost")).text
    await page(ops, "/ops/runs?state=wrong", 400)
    await page(ops, "/ops/spiders/nosuch", 404)
    await page(ops, f"/ops/runs/{uuid4()}", 404)
    await page(ops, "/ops/schedules/nosuch", 404)


@pytest.mark.stack
async def test_what_runs_comes_before_what_waits_and_each_has_a_stop_of_its_own(
    ops: Client, engine: AsyncEngine
) -> None:
    running = await ran(engine, state=RunState.RUNNING, minutes=30)
    queued = [await ran(engine, state=RunState.QUEUED, minutes=n / 10) for n in range(25)][-1]
    shown = await page(ops, "/ops")
    links = [told["href"] for tag, told in shown.elements if tag == "a" and "href" in told]
    assert next(one for one in links if one.startswith("/ops/runs/")) == f"/ops/runs/{running}"
    assert f"Stop running {str(running)[:8]}" in shown.text and f"Stop queued {str(queued)[:8]}" in shown.text
    assert "25 more wait" in shown.text
    own = await page(ops, "/ops/spiders/setlistfm")
    assert own.text.index("running") < own.text.index("queued") and "Under way" in own.text
    stops = [told["href"] for tag, told in own.elements if tag == "a" and told.get("href", "").endswith("/stop")]
    assert stops[:2] == [f"/ops/runs/{running}/stop", f"/ops/runs/{queued}/stop"]


@pytest.mark.stack
async def test_a_suspect_run_says_in_lists_what_was_found_first(ops: Client, engine: AsyncEngine) -> None:
    run_id = await ran(engine, figures=replace(GOOD, items=40, missing=60), good=20)
    async with engine.connect() as connection:
        findings = await connection.scalar(select(RunRow.findings).where(RunRow.run_id == run_id))
    for address in ("/ops/runs", "/ops/spiders/setlistfm"):
        assert findings[0]["text"] in (await page(ops, address)).text


@pytest.mark.stack
async def test_a_run_tells_which_of_its_answers_only_say_that_nothing_was_found(
    ops: Client, engine: AsyncEngine
) -> None:
    words = "of them say that nothing was found"
    absent = await page(ops, f"/ops/runs/{await ran(engine, figures=replace(GOOD, nothing_found=2))}")
    assert f"2 {words}" in absent.text
    assert words not in (await page(ops, f"/ops/runs/{await ran(engine, minutes=90)}")).text


@pytest.mark.stack
async def test_a_run_that_lives_is_read_anew_and_one_that_ended_is_not(ops: Client, engine: AsyncEngine) -> None:
    live = await ran(engine, state=RunState.RUNNING, minutes=2, heartbeat_at=START)
    ended = await ran(engine, minutes=60)

    def refreshes(shown: _Page) -> bool:
        return any(told.get("http-equiv") == "refresh" for tag, told in shown.elements if tag == "meta")

    assert refreshes(await page(ops, f"/ops/runs/{live}"))
    assert not refreshes(await page(ops, f"/ops/runs/{live}?live=off"))
    assert not refreshes(await page(ops, f"/ops/runs/{live}/stop"))  # what is typed there would be lost
    assert not refreshes(await page(ops, f"/ops/runs/{ended}"))


@pytest.mark.stack
async def test_a_suspect_run_says_what_is_beyond_and_can_be_accepted(ops: Client, engine: AsyncEngine) -> None:
    shrunk = replace(GOOD, items=40, missing=60, rejected=3)
    run_id = await ran(engine, figures=shrunk, good=20, log_tail="INFO crawled\nERROR one")
    shown = await page(ops, f"/ops/runs/{run_id}")
    for text in (
        "beyond the usual",
        "More than half is not there",
        "items_fewer",
        "coverage.venue",
        "62 %",
        "ERROR one",
    ):
        assert text in shown.text, text
    address = f"/ops/runs/{run_id}/accept"
    refused = await send(ops, address, why="  ")
    assert refused.status_code == 400 and "A reason is needed" in refused.text
    assert (await send(ops, address, why="half of the hall is closed")).status_code == 303
    accepted = (await judgements.explain(engine, run_id)).accepted
    assert accepted and (accepted["who"], accepted["why"]) == ("ada", "half of the hall is closed")
    after = await page(ops, f"/ops/runs/{run_id}?done=accepted")
    assert "suspect, accepted" in after.text and not any(address in told.get("href", "") for _, told in after.elements)


# -- acting -----------------------------------------------------------------------------------------------------------


@pytest.mark.stack
async def test_starting_and_stopping_need_a_reason_which_is_kept(ops: Client, engine: AsyncEngine) -> None:
    address = "/ops/spiders/venuepages/start"
    no_reason = await send(ops, address, why="", arguments="start_url=https://hall.example/agenda")
    assert no_reason.status_code == 400 and "start_url=https://hall.example/agenda" in no_reason.text
    wrong = await send(ops, address, why="a try", arguments="start_url")
    assert wrong.status_code == 400 and "is not name=value" in wrong.text
    unfit = await send(ops, address, why="a try")
    assert unfit.status_code == 400 and "Remedy" in unfit.text
    answer = await send(ops, address, why="new season", arguments="start_url=https://hall.example/agenda")
    assert answer.status_code == 303
    run_id = answer.headers["location"].split("/")[-1].partition("?")[0]
    assert "The run is queued." in (await page(ops, answer.headers["location"])).text
    stop = f"/ops/runs/{run_id}/stop"
    assert (await send(ops, stop, why="")).status_code == 400
    assert (await send(ops, stop, why="wrong season")).status_code == 303
    shown = await page(ops, f"/ops/runs/{run_id}?live=off")
    assert "new season" in shown.text and "wrong season" in shown.text and "ada" in shown.text
    async with engine.connect() as connection:
        log = select(OperatorLogRow.who, OperatorLogRow.why).where(
            OperatorLogRow.about == WatchedBy.RUN, OperatorLogRow.thing == run_id
        )
        assert {tuple(row) for row in await connection.execute(log)} >= {("ada", "new season"), ("ada", "wrong season")}


@pytest.mark.stack
async def test_a_schedule_is_added_changed_rested_and_removed(ops: Client, engine: AsyncEngine) -> None:
    fields = {
        "name": "nightly",
        "spider": "setlistfm",
        "cron": "30 25 * * *",
        "tz": "Europe/Berlin",
        "timeout": "2h30m",
    }
    wrong = await send(ops, "/ops/schedules/new", **fields, arguments="artist=Moths")
    assert wrong.status_code == 400 and "Remedy" in wrong.text and "artist=Moths" in wrong.text
    bad_limit = await send(ops, "/ops/schedules/new", **fields | {"cron": "@daily", "timeout": "soon"})
    assert bad_limit.status_code == 400 and "is no duration" in bad_limit.text
    fields["cron"] = "30 3 * * *"
    added = await send(ops, "/ops/schedules/new", **fields, arguments="artist=Moths", why="every night")
    assert added.headers["location"] == "/ops/schedules/nightly?done=saved"
    again = await send(ops, "/ops/schedules/new", **fields, arguments="artist=Moths")
    assert again.status_code == 400 and "already" in again.text
    shown = await page(ops, "/ops/schedules/nightly")
    assert "every night" in shown.text and "artist=Moths" in shown.text
    assert any(told.get("name") == "timeout" and told["value"] == "2h30m" for _, told in shown.elements)
    async with engine.connect() as connection:
        assert await connection.scalar(select(ScheduleRow.timeout_s)) == 9_000
    changed = await send(ops, "/ops/schedules/nightly", **fields | {"cron": "@weekly"}, arguments="artist=Moths")
    assert changed.status_code == 303
    for verb, text in (("pause", "Paused."), ("resume", "Next run")):
        done = await send(ops, f"/ops/schedules/nightly/{verb}", await page(ops, "/ops/schedules/nightly"))
        assert done.status_code == 303, done.text
        assert text in (await page(ops, "/ops/schedules/nightly")).text
    removed = await send(ops, "/ops/schedules/nightly/remove", await page(ops, "/ops/schedules/nightly"), why="enough")
    assert removed.headers["location"] == "/ops/schedules?done=removed"
    assert "No spider is scheduled" in (await page(ops, "/ops/schedules")).text


@pytest.mark.stack
async def test_a_form_from_elsewhere_does_nothing(ops: Client, engine: AsyncEngine, migrated: Settings) -> None:
    run_id = await ran(engine, state=RunState.RUNNING)
    for address in (f"/ops/runs/{run_id}/stop", "/ops/spiders/setlistfm/start", "/ops/rejections/replay"):
        for data in ({"why": "x"}, {"why": "x", "form_token": "ü"}, {"why": "x", "form_token": "0" * 64}):
            assert (await ops.post(address, data=data)).status_code == 403
    async with engine.connect() as connection:
        assert await connection.scalar(select(RunRow.state).where(RunRow.run_id == run_id)) is RunState.RUNNING


@pytest.mark.stack
async def test_without_spiders_behind_it_the_page_is_for_reading(
    ops: Client, engine: AsyncEngine, migrated: Settings, clock: Clock
) -> None:
    await ran(engine)
    async with reach(create_app(migrated, clock=clock, rate_limits=False)) as client:
        client.cookies = ops.cookies
        client.headers["accept"] = "text/html"
        shown = await page(client, "/ops")
        assert "for reading only" in shown.text and "setlistfm" in shown.text
        assert not any(told.get("href", "").endswith("/start") for _, told in shown.elements)


# -- hostile ----------------------------------------------------------------------------------------------------------


@pytest.mark.stack
async def test_what_sources_wrote_is_text_on_every_page(ops: Client, engine: AsyncEngine) -> None:
    figures = replace(GOOD, samples=(HOSTILE,), coverage={HOSTILE: 0.5}, statuses={HOSTILE: 3}, items=10)
    run_id = await ran(
        engine,
        HOSTILE,
        figures=figures,
        good=20,
        why=HOSTILE,
        log_tail=HOSTILE,
        start_url=f"javascript:{HOSTILE}",
        arguments={"artist": HOSTILE},
        schedule=HOSTILE,
        source=HOSTILE,
    )
    async with engine.begin() as connection:
        for text in (HOSTILE, "ok"):
            line = {"about": WatchedBy.RUN, "thing": str(run_id), "at": START, "who": text, "why": text}
            await connection.execute(insert(OperatorLogRow).values(before=text, after=text, **line))
        told = {"kind": "suspect", "spider": HOSTILE, "text": HOSTILE, "body": {}, "state": "pending"}
        await connection.execute(insert(AlertRow).values(alert_id=uuid4(), next_try_at=START, run_id=run_id, **told))
        asked = {"artist_key": "x", "artist": HOSTILE, "year": 2014, "asked": 3, "since": START}
        await connection.execute(insert(WantedListRow).values(**asked))
        row = {"spider": HOSTILE, "cron": HOSTILE, "tz": HOSTILE, "arguments": {HOSTILE: HOSTILE}}
        await connection.execute(insert(ScheduleRow).values(name="hostile", next_at=START, **row))
    one = rejection(1, HOSTILE.encode() + b"\x00\xff\x1b[31m", text=HOSTILE, source=HOSTILE, key=HOSTILE)
    await rejected(engine, one)
    addresses = ["/ops", "/ops/runs", f"/ops/runs/{run_id}", f"/ops/runs/{run_id}/accept", "/ops/schedules"]
    addresses += ["/ops/schedules/hostile", "/ops/alerts", "/ops/rejections", "/ops/rejections/replay", "/ops/wanted"]
    for address in addresses:
        answer = await ops.get(address)
        assert answer.status_code == 200, (address, answer.text)
        assert "<script" not in answer.text and "<img" not in answer.text.replace('<img src="/static/icon.svg?v=', "")
        assert 'href="javascript' not in answer.text and "\x1b" not in answer.text and "\x00" not in answer.text
        assert "&lt;script&gt;" in answer.text or address.endswith("/replay"), address


# -- rejections -------------------------------------------------------------------------------------------------------


def test_filters_are_read_as_they_are_typed() -> None:
    assert filters_of(since="24h", now=START).since == START - timedelta(hours=24)
    assert str(filters_of("bad_date", "normalise", now=START)) == "reason bad_date, stage normalise"
    moment = filters_of(since="2026-02-01T10:00", now=START).since
    assert moment and moment.isoformat() == "2026-02-01T10:00:00+00:00"
    for wrong in ({"reason": "nosuch"}, {"stage": "normalize"}, {"since": "yesterday"}, {"since": "99999999999d"}):
        with pytest.raises(SettingsError, match="Remedy"):
            filters_of(**wrong, now=START)


@pytest.mark.stack
async def test_a_replay_shows_what_it_would_do_and_then_sends_the_bytes_with_their_keys(
    ops: Client, engine: AsyncEngine, migrated: Settings
) -> None:
    await apply_topics(migrated)
    key = uuid4().hex
    mine = [rejection(n, b'{"n": %d}\n' % n, key=f"{key}:{n}") for n in range(3)]
    twice = rejection(0, b'{"n": 0}\n', key=f"{key}:0", stage="resolve")
    piece = rejection(0, b"<p>", origin=Origin("gigz.raw-event.v1", -1, -1), stage="spiders")
    large = rejection(9, b"x" * 3_000_000)
    other = rejection(5, reason=Reason.NO_ARTIST)
    await rejected(engine, *mine, twice, piece, large, other)
    shown = await page(ops, "/ops/rejections?reason=bad_date")
    assert "date 2 is none" in shown.text and '{"n": 1}' in shown.text and "no_artist" in shown.text
    planned = await page(ops, "/ops/rejections/replay?reason=bad_date")
    assert "3 messages go again" in planned.text
    assert "a piece of a page" in planned.text and "too large to be kept" in planned.text
    assert await _sent(migrated, key) == []  # looking sends nothing
    no_reason = await send(ops, "/ops/rejections/replay", planned, why="")
    assert no_reason.status_code == 400 and await _sent(migrated, key) == []
    done = await send(ops, "/ops/rejections/replay", planned, why="dates are read now")
    assert done.headers["location"] == "/ops/rejections?done=replayed&count=3"
    assert "Sent again. 3 messages" in (await page(ops, done.headers["location"])).text
    for forged in ("/ops/rejections?done=replayed&count=999", "/ops/rejections?done=replayed"):
        assert "Sent again" not in (await page(ops, forged)).text
    assert sorted(await _sent(migrated, key)) == [(f"{key}:{n}", b'{"n": %d}\n' % n) for n in range(3)]
    async with engine.connect() as connection:
        log = select(OperatorLogRow).where(OperatorLogRow.about == WatchedBy.REJECTION)
        line = (await connection.execute(log.order_by(OperatorLogRow.id.desc()).limit(1))).one()
    assert (line.who, line.why, line.after) == ("ada", "dates are read now", "replayed 3")


@pytest.mark.stack
async def test_a_replay_sends_what_was_shown_and_nothing_that_came_after_it(
    ops: Client, engine: AsyncEngine, migrated: Settings, clock: Clock
) -> None:
    await apply_topics(migrated)
    key = uuid4().hex
    await rejected(engine, *(rejection(n, key=f"{key}:{n}") for n in range(3)))
    shown = await page(ops, "/ops/rejections/replay?since=2h")
    await rejected(engine, rejection(10, key=f"{key}:10"))  # later than all that were shown
    clock.move(minutes=60, seconds=2)  # "2h ago" was before them then, and is after the first of them now
    address = "/ops/rejections/replay"
    unsaid = await ops.post(address, data={"form_token": shown.forms[-1]["form_token"], "why": "again"})
    assert unsaid.status_code == 400 and "does not say what was shown" in unsaid.text
    assert (await send(ops, address, shown, why="again")).headers["location"].endswith("count=3")
    assert sorted(name for name, _ in await _sent(migrated, key)) == [f"{key}:{n}" for n in range(3)]

    again = await page(ops, "/ops/rejections/replay")
    assert "4 messages go again" in again.text
    await rejected(engine, rejection(5, key=f"{key}:5"))  # stored late: among those that were shown, by its time
    refused = await send(ops, address, again, why="again")
    assert refused.status_code == 400 and "5 of the 4" in refused.text and "5 messages go again" in refused.text
    assert len(await _sent(migrated, key)) == 3
    assert (await send(ops, address, _Page(refused.text), why="again")).headers["location"].endswith("count=5")


def test_where_a_rejection_was_read_is_not_told_by_numbers_that_it_has_not() -> None:
    told = Sample(Reason.BAD_DATE, "spiders", None, "gigz.raw-event.v1:-1:1741", "", START, b"\x1b[31m:+1:", 8)
    assert (told.place, told.shown) == ("gigz.raw-event.v1", "\\x1b[31m:+1:")
    assert replace(told, origin="gigz.raw-event.v1:3:17").place == "gigz.raw-event.v1:3:17"


@pytest.mark.stack
async def test_an_entry_that_was_sent_anew_is_not_overwritten_by_the_old_one(
    engine: AsyncEngine, migrated: Settings, ops: Client
) -> None:
    await apply_topics(migrated)
    user = f"u-{uuid4().hex}"
    async with kafka_producer(migrated, "gigz-test") as producer:
        records = []
        for number in range(2):
            row = canonical({"user": user, "entry_id": f"e{number}", "artist": "Moths"})
            records.append(to_record(row, Entry, START)[0])
        offsets = [await (await producer.send(**_as_sent(one, migrated))) for one in records]
    for number, (record, told) in enumerate(zip(records, offsets, strict=True)):
        # e0 was refused before what is in the topic now, e1 is what is there
        offset = told.offset - 1 if number == 0 else told.offset
        origin = Origin("gigz.history.v1", told.partition, offset)
        await rejected(engine, rejection(number, record.value, origin=origin, key=record.key, stage="match"))
    filters = filters_of(stage="match", now=START)
    done = await replay(migrated, engine, filters, dry=True)
    assert (dict(done.topics), dict(done.held)) == (
        {"gigz.history.v1": 1},
        {"a newer message of the same key is in its topic": 1},
    )


def _as_sent(record: Outgoing, settings: Settings) -> dict[str, Any]:
    return {
        "topic": record.topic,
        "value": record.value,
        "key": record.key.encode(),
        "partition": record.partition(settings.partitions),
    }


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"topic": "gigz.nosuch.v1"}, "not one of ours"),
        ({"topic": "gigz.rejection.v1"}, "not one of ours"),
        ({"partition": -1}, "crawl again"),
        ({"there": False}, "too large to be kept"),
        ({"key": None}, "no key"),
        ({"key": "a\ufffd"}, "no UTF-8"),
        ({"size": 5_000_000}, "too large for its topic"),
        ({"topic": "gigz.history.v1", "size": 1_048_576}, "too large for its topic"),
    ],
)
def test_what_cannot_be_sent_again_says_why(changed: dict[str, Any], why: str) -> None:
    kept = Kept("gigz.raw-event.v1", "normalise", Reason.BAD_DATE, 3, 17, "hall:1", 2, True, b"{}")
    assert isinstance(sendable(kept, {}), Outgoing)
    told = sendable(replace(kept, **changed), {})
    assert isinstance(told, str) and why in told


def test_what_is_sent_again_goes_to_its_users_partition_and_names_where_it_was() -> None:
    kept = Kept("gigz.history.v1", "match", Reason.BAD_VALUE, 3, 17, "u1/e/1", 2, True, b"{}")
    record = sendable(kept, {("gigz.history.v1", "u1/e/1"): 17})
    assert isinstance(record, Outgoing)
    assert (record.key, record.partition_by, record.value) == ("u1/e/1", "u1", b"{}")
    assert record.headers["origin"] == "gigz.history.v1:3:17"


@pytest.mark.stack
async def test_the_commands_tell_and_send_the_same(ops: Client, engine: AsyncEngine, migrated: Settings) -> None:
    await apply_topics(migrated)
    key = uuid4().hex
    await rejected(engine, *(rejection(n, key=f"{key}:{n}") for n in range(3)))
    told = orjson.loads((await gigz(migrated, "rejections", "--reason", "bad_date", "--json")).out)
    assert [(one["reason"], one["count"], one["source"]) for one in told["groups"]] == [("bad_date", 3, "hall")]
    assert told["samples"][0]["text"] == "date 2 is none" and told["samples"][0]["original"] == '{"n":2}'
    odd = rejection(1, reason=Reason.NO_DATE, text="[red]:-1: \x1b[31m", source="[b]:cat:", key="odd", origin=NOWHERE)
    await rejected(engine, odd)
    plain = (await gigz(migrated, "rejections", "--reason", "no_date")).out
    assert "[red]:-1: \\x1b[31m" in plain and "[b]:cat:, gigz.raw-event.v1\n" in plain and ":-1:-1" not in plain
    async with engine.begin() as connection:
        await connection.execute(delete(CatalogueRejection).where(CatalogueRejection.reason == Reason.NO_DATE))
    dry = orjson.loads((await gigz(migrated, "replay", "--dry-run", "--source", "hall", "--json")).out)
    assert dry == {"dry_run": True, "sent": {"gigz.raw-event.v1": 3}, "held": {}}
    assert await _sent(migrated, key) == []
    done = await gigz(migrated, "replay", "--stage", "normalise")
    assert done.status == 0 and "3 sent again" in done.out
    assert len(await _sent(migrated, key)) == 3
    token = (await gigz(migrated, "token", "eve", "--operator")).out.strip()
    claims = await checker(migrated).check(token, Audience.API, datetime.now(UTC))
    assert (claims.subject, claims.roles) == ("dev:eve", {OPERATOR})
    link = httpx.URL((await gigz(migrated, "open", "eve", "--operator")).out.strip())
    claims = await checker(migrated).check(link.params["token"], Audience.LINK, datetime.now(UTC))
    assert (link.path, claims.roles) == ("/open", {OPERATOR})
    wrong = await gigz(migrated, "replay", "--since", "tomorrowish")
    assert wrong.status == 2 and "Remedy" in wrong.err


@dataclass(frozen=True)
class Ended:
    """What a command left."""

    status: int
    out: str
    err: str


async def gigz(settings: Settings, *arguments: str) -> Ended:
    argv = [sys.executable, "-m", "gigz", *arguments]
    child = await asyncio.create_subprocess_exec(
        *argv,
        cwd=ROOT,
        env=environment_for(settings) | {"COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await child.communicate()
    return Ended(child.returncode or 0, out.decode(), errors.decode())


async def _sent(settings: Settings, key: str) -> list[tuple[str, bytes]]:
    found = []
    async for record in scan(settings, ["gigz.raw-event.v1"]):
        if record.key and record.key.decode().startswith(key):
            found.append((record.key.decode(), record.value))
    return found
