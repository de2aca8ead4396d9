"""A run's row: its steps, its heartbeats, its end, its log."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import postgres_engine
from deploy.settings import Settings, load
from schemas.tables import RunRow, RunState, Trigger
from spiders import runs
from spiders.delivery import Counts
from spiders.errand import Errand
from spiders.formats.base import utc_now
from spiders.runs import LaneTaken, Run, RunRefused, RunReport, Step, runlog
from tests.spiders.scheduling import log_of, own_database, row_of, until

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def settings(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return own_database(stack, "gigz_runs", tmp_path_factory.mktemp("home"), heartbeat_s=0.1)


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = postgres_engine(settings)
    async with engine.begin() as connection:
        await connection.execute(text("truncate state.runs, state.operator_log"))
    yield engine
    await engine.dispose()


def run_of(run_id: UUID, spider: str = "setlistfm") -> Run:
    return Run(run_id, spider, "setlist.fm", "setlistfm", "https://a.example/x", Errand(artist="Moths"), utc_now())


def report_of(run_id: UUID, state: RunState = RunState.FINISHED, why: str | None = None) -> RunReport:
    counts = Counts(scraped=3, delivered=1, unchanged=1, rejected=1)
    started = utc_now()
    finished = started + timedelta(seconds=1)
    return RunReport(
        run_id, "setlistfm", "setlist.fm", "https://a.example/x", state, started, finished, 2, counts, why=why
    )


async def queued(engine: AsyncEngine, spider: str = "setlistfm", timeout_s: int = 60) -> UUID:
    async with engine.begin() as connection:
        step = Step("ann", utc_now(), "a try")
        return await runs.queue(connection, spider, {}, step, trigger=Trigger.OPERATOR, timeout_s=timeout_s)


# -- steps ------------------------------------------------------------------------------------------------------------


def test_every_state_can_be_reached_and_what_ended_stays() -> None:
    reached = {RunState.QUEUED}.union(*runs.STEPS.values())
    assert reached == set(RunState) == set(runs.STEPS)
    assert set(runs.ENDED) == {RunState.FINISHED, RunState.FAILED, RunState.STOPPED, RunState.LOST}
    assert RunState.QUEUED not in set().union(*runs.STEPS.values())


@pytest.mark.stack
async def test_a_run_from_the_queue_to_its_end_has_a_line_for_every_step(engine: AsyncEngine) -> None:
    run_id = await queued(engine)
    await runs.begin(engine, run_of(run_id))
    row = await row_of(engine, run_id)
    me = psutil.Process()
    assert (row.state, row.host, row.pid) == (RunState.RUNNING, socket.gethostname(), me.pid)
    assert row.heartbeat_at is not None and runs.process_of(row) == me
    ended = await runs.end(engine, report_of(run_id))
    assert ended.state is RunState.FINISHED
    row = await row_of(engine, run_id)
    assert (row.state, row.scraped, row.delivered, row.unchanged, row.rejected) == (RunState.FINISHED, 3, 1, 1, 1)
    lines = [(line.before, line.after) for line in await log_of(engine, run_id)]
    assert lines == [(None, "queued"), ("queued", "running"), ("running", "finished")]
    first, *_ = await log_of(engine, run_id)
    assert (first.who, first.why) == ("ann", "a try")


@pytest.mark.stack
async def test_two_processes_cannot_both_take_a_queued_run(engine: AsyncEngine) -> None:
    run_id = await queued(engine)
    tries = await asyncio.gather(*(runs.begin(engine, run_of(run_id)) for _ in range(4)), return_exceptions=True)
    assert tries.count(None) == 1
    refused = [error for error in tries if error is not None]
    assert all(isinstance(error, RunRefused) and "cannot become running" in str(error) for error in refused)
    assert [line.after for line in await log_of(engine, run_id)] == ["queued", "running"]


@pytest.mark.stack
async def test_a_second_run_of_a_spider_waits_and_one_of_another_does_not(engine: AsyncEngine) -> None:
    first, second, other = await queued(engine), await queued(engine), await queued(engine, "venues")
    await runs.begin(engine, run_of(first))
    with pytest.raises(LaneTaken, match="under way"):
        await runs.begin(engine, run_of(second))
    await runs.begin(engine, run_of(other, "venues"))
    assert (await row_of(engine, second)).state is RunState.QUEUED
    await runs.end(engine, report_of(first))
    await runs.begin(engine, run_of(second))


@pytest.mark.stack
@pytest.mark.parametrize("to", [RunState.RUNNING, RunState.STOPPING, RunState.LOST, RunState.FAILED])
async def test_an_impossible_step_is_refused_and_leaves_no_line(engine: AsyncEngine, to: RunState) -> None:
    run_id = await queued(engine)
    await runs.begin(engine, run_of(run_id))
    await runs.end(engine, report_of(run_id))
    before = await log_of(engine, run_id)
    with pytest.raises(RunRefused, match=f"is finished: it cannot become {to.value}"):
        async with engine.begin() as connection:
            await runs.take(connection, run_id, to, Step("ann", utc_now()))
    assert await log_of(engine, run_id) == before
    with pytest.raises(RunRefused, match="there is no run"):
        async with engine.begin() as connection:
            await runs.take(connection, uuid4(), to, Step("ann", utc_now()))


@pytest.mark.stack
async def test_a_run_by_hand_needs_no_queue_and_no_lane(engine: AsyncEngine) -> None:
    first, second = uuid4(), uuid4()
    await runs.begin(engine, run_of(first))
    await runs.begin(engine, run_of(second))
    row = await row_of(engine, first)
    assert (row.state, row.lane, row.trigger) == (RunState.RUNNING, None, Trigger.OPERATOR)
    assert [(line.before, line.after, line.who) for line in await log_of(engine, first)] == [
        (None, "running", runs.this_user())
    ]


@pytest.mark.stack
async def test_one_that_waits_is_stopped_at_once_and_one_that_ended_is_refused(engine: AsyncEngine) -> None:
    run_id = await queued(engine)
    async with engine.begin() as connection:
        assert await runs.stop_run(connection, run_id, Step("ann", utc_now(), "no"), "no") is RunState.STOPPED
    row = await row_of(engine, run_id)
    assert row.started_at is None and row.finished_at is not None and row.why == "no"
    with pytest.raises(RunRefused, match="nothing to stop"):
        async with engine.begin() as connection:
            await runs.stop_run(connection, run_id, Step("ann", utc_now()), "no")
    with pytest.raises(RunRefused, match="cannot become running"):
        await runs.begin(engine, run_of(run_id))


@pytest.mark.stack
async def test_a_run_is_found_by_its_first_letters(engine: AsyncEngine) -> None:
    one, two = UUID("abcd1111-0000-4000-8000-000000000001"), UUID("abcd2222-0000-4000-8000-000000000002")
    for run_id in (one, two):
        await runs.begin(engine, run_of(run_id))
    async with engine.connect() as connection:
        assert (await runs.find(connection, "ABCD1")).run_id == one
        assert (await runs.find(connection, str(two))).run_id == two
        assert (await runs.find(connection, two.hex)).run_id == two
        for written, told in (("abcd", "several runs"), ("ffff", "no run ffff"), ("x%", "no id"), ("", "no id")):
            with pytest.raises(RunRefused, match=told):
                await runs.find(connection, written)


# -- heartbeats -------------------------------------------------------------------------------------------------------


@pytest.mark.stack
async def test_a_heartbeat_tells_the_counts_and_hears_that_the_run_is_to_stop(
    engine: AsyncEngine, settings: Settings
) -> None:
    run_id = await queued(engine)
    run = run_of(run_id)
    await runs.begin(engine, run)
    told: list[str] = []
    seen = {"pages": 0, "scraped": 0, "figures": {"samples": ["half a \ud83d and a \0"]}}
    async with runs.beating(engine, settings, run, lambda: seen, told.append):
        seen |= {"pages": 7, "scraped": 9}

        async def counted() -> bool:
            return (await row_of(engine, run_id)).pages == 7

        await until(counted)
        assert told == []
        async with engine.begin() as connection:
            await runs.stop_run(connection, run_id, Step("ann", utc_now(), "enough"), "stopped by ann: enough")

        async def heard() -> bool:
            return bool(told)

        await until(heard)
    assert set(told) == {"stopped by ann: enough"}
    ended = await runs.end(engine, report_of(run_id, RunState.STOPPED, "stopped by SIGTERM"))
    assert (ended.state, ended.why) == (RunState.STOPPED, "stopped by ann: enough")


@pytest.mark.stack
async def test_a_postgres_that_is_away_for_a_moment_only_delays_heartbeats(
    engine: AsyncEngine, settings: Settings
) -> None:
    run = run_of(uuid4())
    await runs.begin(engine, run)
    name = "gigz-away"
    victim = postgres_engine(settings, pool_size=1, name=name)
    told: list[str] = []
    pages = 0
    async with runs.beating(victim, settings, run, lambda: {"pages": pages}, told.append):
        for pages in (1, 2, 3):

            async def counted(wanted: int = pages) -> bool:
                return (await row_of(engine, run.run_id)).pages == wanted

            await until(counted)
            async with engine.begin() as connection:  # now its connection is gone
                end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = :name"
                assert await connection.scalar(text(end), {"name": name}) >= 1
    await victim.dispose()
    assert told == []


@pytest.mark.stack
async def test_one_that_was_taken_for_lost_notices_and_its_end_overwrites_nothing(
    engine: AsyncEngine, settings: Settings
) -> None:
    run = run_of(uuid4())
    await runs.begin(engine, run)
    told: list[str] = []
    async with runs.beating(engine, settings, run, dict, told.append):
        async with engine.begin() as connection:
            await runs.lose(
                connection, await row_of(engine, run.run_id), Step("scheduler", utc_now(), "silent"), "tail"
            )

        async def heard() -> bool:
            return bool(told)

        await until(heard)
    assert "taken for lost" in told[0]
    ended = await runs.end(engine, report_of(run.run_id))
    assert ended.state is RunState.LOST and "silent" in str(ended.why)
    row = await row_of(engine, run.run_id)
    assert (row.state, row.why, row.log_tail, row.scraped) == (RunState.LOST, "silent", "tail", 0)


def test_a_run_that_took_too_long_fails_and_one_that_was_told_to_stop_is_stopped() -> None:
    def ended(state: RunState, why: str | None, asked: str) -> tuple[RunState, str | None]:
        told = runs.as_asked(report_of(uuid4(), state, why), RunState.STOPPING, asked)
        return told.state, told.why

    late = "time limit: it ran for more than 30 min"
    assert ended(RunState.STOPPED, "stopped by SIGTERM", late) == (RunState.FAILED, late)
    assert ended(RunState.STOPPED, None, "stopped by ann: no") == (RunState.STOPPED, "stopped by ann: no")
    assert ended(RunState.FAILED, "a fault", "stopped by ann: no") == (RunState.FAILED, "a fault; stopped by ann: no")
    assert ended(RunState.FINISHED, None, late) == (RunState.FINISHED, None)
    out = runs.as_asked(report_of(uuid4(), RunState.FAILED, "x: MemoryError()"), RunState.RUNNING, None)
    assert out.why == "out of memory: x: MemoryError()"


@pytest.mark.stack
async def test_only_a_process_that_is_gone_and_silent_is_lost(engine: AsyncEngine, settings: Settings) -> None:
    here, gone, elsewhere, quiet = (uuid4() for _ in range(4))
    for run_id in (here, gone, elsewhere, quiet):
        await runs.begin(engine, run_of(run_id))
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    changes: dict[UUID, dict[str, Any]] = {
        here: {"heartbeat_at": long_ago},  # alive, only silent
        gone: {"heartbeat_at": long_ago, "pid": ended.pid, "started_at": long_ago},
        elsewhere: {"heartbeat_at": long_ago, "host": "another.example"},
        quiet: {"pid": ended.pid},  # gone, but it told a moment ago: its end may be under way
    }
    async with engine.begin() as connection:
        for run_id, change in changes.items():
            await connection.execute(update(RunRow).where(RunRow.run_id == run_id).values(**change))
        await connection.execute(update(RunRow).where(RunRow.run_id == quiet).values(heartbeat_at=text("now()")))
    patient = settings.model_copy(update={"heartbeat_s": 10.0})
    async with engine.connect() as connection:
        found = {row.run_id: why for row, why in await runs.vanished(connection, patient, elsewhere=True)}
        assert set(found) == {gone, elsewhere}
        assert f"process {ended.pid} is gone" in found[gone] and "another.example" in found[elsewhere]
        found = {row.run_id: why for row, why in await runs.vanished(connection, patient, elsewhere=False)}
        assert set(found) == {gone}


# -- the log ----------------------------------------------------------------------------------------------------------

CHATTY = """
import sys
from uuid import UUID
from deploy.settings import load
from spiders.runs import runlog
settings = load({"home": sys.argv[1], "songkick_api_key": "hidden key+", "postgres_url": "postgresql://u:pass%40word@h/d"})
runlog.keep_log(settings, UUID(sys.argv[2]))
sys.stderr.write("asked with hidden key+ and hidden%20key%2B and pass%40word\\n")
for number in range(int(sys.argv[3])):
    sys.stderr.write(f"line {number} {'x' * 1000}\\n")
raise ZeroDivisionError("hidden key+")
"""


@pytest.mark.parametrize("redirected", [False, True])
def test_a_log_is_bounded_keeps_the_end_and_never_a_secret(tmp_path: Path, redirected: bool) -> None:
    run_id = uuid4()
    settings = load({"home": tmp_path})
    argv = [sys.executable, "-c", CHATTY, str(tmp_path), str(run_id), "6000"]
    # As the scheduler starts it: its errors go to that very file, also those from before it is kept.
    errors = runlog.open_log(settings, run_id) if redirected else subprocess.PIPE
    done = subprocess.run(argv, stderr=errors, check=False)
    path = runlog.log_path(settings, run_id)
    assert path.stat().st_size < runlog.LIMIT_BYTES + 2_000 and path.stat().st_mode & 0o777 == 0o600
    tail = runlog.tail(settings, run_id)
    assert tail is not None and tail.endswith("ZeroDivisionError: ***")
    assert "line 5999" in tail and len(tail.splitlines()) <= runlog.TAIL_LINES
    everything = path.read_text() + (done.stderr or b"").decode()
    assert "hidden" not in everything and "pass%40word" not in everything
    if redirected:
        os.close(errors)
        assert everything.count("line 5999") == 1
    else:
        assert "asked with *** and *** and ***" in everything


def test_a_log_is_told_in_words_and_the_last_thing_it_said_is_what_went_wrong(tmp_path: Path) -> None:
    settings, run_id = load({"home": tmp_path}), uuid4()
    path = runlog.log_path(settings, run_id)
    path.parent.mkdir(parents=True)
    began = b'{"event": "run began", "level": "info", "timestamp": "2026-11-21T15:27:22Z", "run": "x", "pages": 2}\n'
    away = b'{"why": "no route", "event": "no heartbeat", "level": "warning", "timestamp": "2026-11-21T15:27:23Z"}\n'
    path.write_bytes(began + away + began)
    assert runlog.tail(settings, run_id) == (
        "15:27:22 info    run began pages=2\n15:27:23 warning no heartbeat why=no route\n"
        "15:27:22 info    run began pages=2"
    )
    assert runlog.last_said(settings, run_id) == "no heartbeat why=no route"
    path.write_bytes(began + away + b"MemoryError\n")
    assert runlog.last_said(settings, run_id) == "MemoryError"
    path.write_bytes(began)
    assert runlog.last_said(settings, run_id) == "run began pages=2"
    assert runlog.last_said(settings, uuid4()) == ""


def test_retries_are_told_without_keys_and_not_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    scrapys = logging.getLogger("gigz-test-retries")
    scrapys.setLevel(logging.DEBUG)
    scrapys.addFilter(runlog.Retries(lambda text: text.replace("s3cret", "***")))
    for _ in range(2 * runlog.MOST_RETRIES):
        scrapys.debug("Retrying %s", "<GET https://a.example/?key=s3cret>")
    scrapys.error("Gave up")
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told[0] == ("WARNING", "Retrying <GET https://a.example/?key=***>")
    assert len(told) == runlog.MOST_RETRIES + 1 and told[-1] == ("ERROR", "Gave up")


@pytest.mark.stack
async def test_a_run_that_was_taken_for_lost_may_let_nothing_vanish(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        run_id = await runs.queue(
            connection, f"s-{uuid4().hex}", {}, Step("ann", NOW), trigger=Trigger.OPERATOR, timeout_s=60
        )
        await runs.take(connection, run_id, RunState.RUNNING, Step("p", NOW), started_at=NOW)
    assert await runs.goes_on(engine, run_id)
    async with engine.begin() as connection:
        await runs.take(connection, run_id, RunState.LOST, Step("scheduler", NOW, "silent"), why="silent")
    assert not await runs.goes_on(engine, run_id)
    assert not await runs.goes_on(engine, uuid4())


def test_there_is_no_tail_where_the_run_was_on_another_machine(tmp_path: Path) -> None:
    assert runlog.tail(load({"home": tmp_path}), uuid4()) is None


def test_old_logs_are_removed(tmp_path: Path) -> None:
    settings = load({"home": tmp_path})
    old, new = uuid4(), uuid4()
    for run_id in (old, new):
        os.close(runlog.open_log(settings, run_id))
    long_ago = time.time() - 86_400 * (runlog.KEPT_DAYS + 1)
    os.utime(runlog.log_path(settings, old), (long_ago, long_ago))
    assert runlog.forget_old(settings) == 1
    assert not runlog.log_path(settings, old).exists() and runlog.log_path(settings, new).exists()
