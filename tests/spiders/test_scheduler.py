"""Schedules kept in Postgres, and the scheduler that keeps them: two of them, killed ones, runs beyond their limits."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import postgres_engine
from deploy.settings import Settings
from deploy.topics import apply_topics
from schemas.tables import RunRow, RunState, ScheduleRow, Trigger, WatchedBy
from spiders import runs, wanted
from spiders.runs import Step
from spiders.schedule.operations import OperationRefused, Operations
from spiders.schedule.scheduler import Scheduler, beside
from tests.spiders.scheduling import (
    endless,
    in_state,
    is_there,
    log_of,
    own_database,
    row_of,
    rows_of,
    scheduler,
    until,
)
from tests.support import ROOT

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)  # a Sunday
HERE = {"start_url": "http://127.0.0.1:1/x"}


@pytest.fixture(scope="module")
def settings(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    asyncio.run(apply_topics(stack))
    key = {"setlistfm_api_key": "a-key-that-nobody-sees"}
    own = own_database(stack, "gigz_scheduler", tmp_path_factory.mktemp("home"), run_stop_grace_s=8.0)
    return Settings.model_validate(own.model_dump() | key)


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = postgres_engine(settings, pool_size=8)
    async with engine.begin() as connection:
        await connection.execute(text("truncate state.runs, state.operator_log, state.schedules, state.alerts"))
    yield engine
    await engine.dispose()


class Clock:
    """Says what it is told to."""

    def __init__(self, now: datetime = MIDNIGHT) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def a_process(code: str) -> Callable[[UUID, str, Trigger, Mapping[str, Any]], list[str]]:
    """Instead of a crawl: Python, with the run's id as its argument."""
    return lambda run_id, *_: [sys.executable, "-c", code, str(run_id)]


WAITING = a_process(f"raise SystemExit({runs.WAITS})")
"""A process that finds another run of its spider under way: the run stays in the queue."""


@asynccontextmanager
async def active(
    settings: Settings, engine: AsyncEngine, clock: Clock, argv: Any = WAITING
) -> AsyncIterator[Scheduler]:
    """A scheduler in this process that holds the lock; its rounds are called by hand."""
    one = Scheduler(settings, engine, clock, argv)
    assert await one._stand()
    try:
        yield one
    finally:
        await one._leave()


async def schedules(engine: AsyncEngine) -> dict[str, Any]:
    async with engine.connect() as connection:
        return {row.name: row for row in await connection.execute(select(ScheduleRow.__table__))}


async def started(settings: Settings, engine: AsyncEngine, url: str, **more: Any) -> UUID:
    return await Operations(settings, engine).start("setlistfm", {"start_url": url}, "ann", "a try", **more)


async def active_one(engine: AsyncEngine) -> str | None:
    """The process name of the one that holds the lock."""
    query = """
        select a.application_name from pg_locks l join pg_stat_activity a using (pid)
        where l.locktype = 'advisory' and l.objid = 200000 and l.granted
          and l.database = (select oid from pg_database where datname = current_database())
    """
    async with engine.connect() as connection:
        return await connection.scalar(text(query))


# -- what operators say -----------------------------------------------------------------------------------------------


async def test_a_schedule_is_made_changed_paused_and_removed_and_every_time_it_is_written_who_and_why(
    settings: Settings, engine: AsyncEngine
) -> None:
    clock = Clock()
    operations = Operations(settings, engine, clock)
    await operations.put_schedule("nightly", "setlistfm", "30 3 * * *", "Europe/Berlin", HERE, 60, "ann", "new")
    row = (await schedules(engine))["nightly"]
    assert (row.cron, row.tz, row.arguments, row.timeout_s, row.paused) == (
        "30 3 * * *",
        "Europe/Berlin",
        HERE,
        60,
        False,
    )
    assert row.next_at == datetime(2026, 3, 1, 2, 30, tzinfo=UTC)
    await operations.put_schedule("nightly", "setlistfm", "0 4 * * *", "UTC", HERE, None, "bob", "later", new=False)
    assert (await schedules(engine))["nightly"].next_at == datetime(2026, 3, 1, 4, tzinfo=UTC)
    await operations.put_schedule("nightly", "setlistfm", "0 4 * * *", "UTC", HERE, None, "bob", "the same")
    await operations.pause("nightly", True, "ann", "they asked us to")
    row = (await schedules(engine))["nightly"]
    assert row.paused and row.next_at is None
    clock.now = MIDNIGHT + timedelta(days=3)
    await operations.pause("nightly", False, "ann")
    assert (await schedules(engine))["nightly"].next_at == datetime(2026, 3, 4, 4, tzinfo=UTC)
    await operations.remove("nightly", "ann", "no more")
    assert await schedules(engine) == {}
    lines = [(line.who, line.why, line.after) for line in await log_of(engine, "nightly", WatchedBy.SCHEDULE)]
    start = "start_url=http://127.0.0.1:1/x"
    assert lines == [
        ("ann", "new", f"setlistfm · 30 3 * * * Europe/Berlin · {start} · timeout 1 min"),
        ("bob", "later", f"setlistfm · 0 4 * * * UTC · {start}"),
        ("ann", "they asked us to", f"setlistfm · 0 4 * * * UTC · {start} · paused"),
        ("ann", None, f"setlistfm · 0 4 * * * UTC · {start}"),
        ("ann", "no more", None),
    ]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"spider": "setlstfm"}, "there is no spider 'setlstfm'. Remedy: one of "),
        ({"cron": "0 25 * * *"}, "'25' is no hour. Remedy: "),
        ({"cron": "0 0 30 2 *"}, "never comes.* Remedy: "),
        ({"tz": "Europe/Berln"}, "no time zone. Remedy: .*Europe/Berlin"),
        ({"arguments": {"since": "last year"}}, "since: 'last year' is no day. Remedy: "),
        (
            {"arguments": {"artst": "Moths"}},
            "artst=... is not known to setlistfm. Remedy: artist=Moths; it knows artist, ",
        ),
        (
            {"spider": "wikidata_venues", "arguments": {"colour": "red"}},
            "not known to .*Remedy: it knows country, since, until, ",
        ),
        ({"spider": "venuepages", "arguments": {"artist": "Moths"}}, "venuepages cannot search.* Remedy: "),
        ({"spider": "venuepages", "arguments": {}}, "needs a start URL. Remedy: "),
        ({"spider": "venues", "arguments": {"start_url": "file:///etc/passwd"}}, "no web address. Remedy: "),
        ({"name": "a b"}, "no name of a schedule. Remedy: "),
        ({"timeout_s": 0}, "no time limit. Remedy: "),
        ({"new": False}, "there is no schedule 'nightly'. Remedy: "),
    ],
)
async def test_a_wrong_schedule_is_refused_with_the_remedy(
    settings: Settings, engine: AsyncEngine, changed: dict[str, Any], told: str
) -> None:
    given = {
        "name": "nightly",
        "spider": "setlistfm",
        "cron": "@daily",
        "tz": "UTC",
        "arguments": HERE,
        "timeout_s": None,
        "who": "ann",
    }
    with pytest.raises(OperationRefused, match=told):
        await Operations(settings, engine).put_schedule(**given | changed)
    assert await schedules(engine) == {}


async def test_a_second_schedule_of_a_name_and_a_second_run_of_a_kind_are_refused(
    settings: Settings, engine: AsyncEngine
) -> None:
    operations = Operations(settings, engine)
    for_all = ("setlistfm", "@daily", "UTC", HERE, None, "ann")
    await operations.put_schedule("nightly", *for_all, new=True)
    with pytest.raises(OperationRefused, match=r"already.*Remedy: `gigz schedule edit nightly`"):
        await operations.put_schedule("nightly", *for_all, new=True)
    run_id = await operations.start("setlistfm", HERE, "ann")
    with pytest.raises(OperationRefused, match=f"run {str(run_id)[:8]} of setlistfm waits already"):
        await operations.start("setlistfm", HERE, "bob")
    await operations.start("setlistfm", HERE | {"artist": "Moths"}, "bob")
    with pytest.raises(OperationRefused, match="reason"):
        await operations.stop(run_id, "ann", " ")
    assert await operations.stop(str(run_id)[:8], "ann", "no") is RunState.STOPPED
    assert not await operations.scheduler_is_there()
    with pytest.raises(OperationRefused, match="is not paused"):
        await operations.pause("nightly", False, "ann")


async def test_a_run_that_waits_is_stopped_with_its_schedule_and_one_under_way_goes_on(
    settings: Settings, engine: AsyncEngine
) -> None:
    clock = Clock()
    operations = Operations(settings, engine, clock)
    for name in ("paused", "removed"):
        await operations.put_schedule(name, "setlistfm", "0 * * * *", "UTC", HERE, None, "ann")
        async with engine.begin() as connection:
            for artist, to in (("A", None), ("B", RunState.RUNNING)):
                run_id = await runs.queue(
                    connection,
                    f"setlistfm-{name}",
                    HERE | {"artist": artist},
                    Step("scheduler", MIDNIGHT),
                    trigger=Trigger.SCHEDULE,
                    timeout_s=60,
                    schedule=name,
                )
                if to is not None:
                    await runs.take(connection, run_id, to, Step("process", MIDNIGHT), started_at=MIDNIGHT)
    paused = await operations.pause("paused", True, "ann", "their API is down")
    removed = await operations.remove("removed", "bob")
    for name, changed, told in (
        ("paused", paused, "schedule paused was paused by ann: their API is down"),
        ("removed", removed, "schedule removed was removed by bob"),
    ):
        rows = await rows_of(engine, f"setlistfm-{name}")
        waited, under_way = sorted(rows, key=lambda row: row.state is RunState.RUNNING)
        assert (waited.state, waited.why, under_way.state) == (RunState.STOPPED, told, RunState.RUNNING)
        assert (list(changed.stopped), list(changed.under_way)) == ([waited.run_id], [under_way.run_id])
        assert [line.why for line in await log_of(engine, waited.run_id)][-1] == told
        assert "waited and was stopped; run " in str(changed) and "is under way and goes on" in str(changed)
    async with active(settings, engine, clock) as one:
        await one.round()
        assert not one._children


def test_a_spider_without_its_key_is_warned_of(settings: Settings, engine: AsyncEngine) -> None:
    assert Operations(settings, engine).warnings("setlistfm") == []
    without = Settings.model_validate(settings.model_dump() | {"setlistfm_api_key": ""})
    (warning,) = Operations(without, engine).warnings("setlistfm")
    assert "GIGZ_SETLISTFM_API_KEY" in warning


# -- what is due ------------------------------------------------------------------------------------------------------


async def test_missed_dates_are_one_run_and_the_next_date_lies_ahead(settings: Settings, engine: AsyncEngine) -> None:
    clock = Clock()
    operations = Operations(settings, engine, clock)
    await operations.put_schedule("hourly", "setlistfm", "0 * * * *", "UTC", HERE, 60, "ann")
    await operations.put_schedule("paused", "setlistfm", "0 * * * *", "UTC", HERE, 60, "ann")
    await operations.pause("paused", True, "ann")
    async with active(settings, engine, clock) as one:
        await one.round()
        assert await rows_of(engine) == []
        clock.now = MIDNIGHT + timedelta(hours=5, minutes=30)
        await one.round()
        await one.round()
        (row,) = await rows_of(engine)
        assert (row.state, row.trigger, row.schedule, row.lane) == (
            RunState.QUEUED,
            Trigger.SCHEDULE,
            "hourly",
            "setlistfm",
        )
        assert (row.arguments, row.timeout_s) == (HERE, 60)
        (line,) = await log_of(engine, row.run_id)
        assert line.why == "schedule hourly: due at 2026-03-01 05:00:00 UTC, 4 missed before it"
        hourly = (await schedules(engine))["hourly"]
        assert hourly.next_at == MIDNIGHT + timedelta(hours=6)
        assert (hourly.last_at, hourly.last_run) == (MIDNIGHT + timedelta(hours=5), row.run_id)


async def test_a_date_beside_one_that_still_waits_is_no_second_run(settings: Settings, engine: AsyncEngine) -> None:
    clock = Clock()
    operations = Operations(settings, engine, clock)
    await operations.put_schedule("hourly", "setlistfm", "0 * * * *", "UTC", HERE, None, "ann")
    await operations.put_schedule("other", "setlistfm", "0 * * * *", "UTC", HERE | {"artist": "M"}, None, "ann")
    async with active(settings, engine, clock) as one:
        for hour in (1, 2, 3):
            clock.now = MIDNIGHT + timedelta(hours=hour, minutes=1)
            await one.round()
    assert sorted(row.schedule for row in await rows_of(engine)) == ["hourly", "other"]
    assert (await schedules(engine))["hourly"].next_at == MIDNIGHT + timedelta(hours=4)
    assert all(row.timeout_s == settings.run_timeout_s for row in await rows_of(engine))


async def test_what_was_missed_too_long_ago_is_written_down_and_not_made_up_for(
    settings: Settings, engine: AsyncEngine
) -> None:
    clock = Clock()
    await Operations(settings, engine, clock).put_schedule("m", "setlistfm", "0 3 2 * *", "UTC", HERE, None, "ann")
    clock.now = MIDNIGHT + timedelta(days=9)
    async with active(settings, engine, clock) as one:
        await one.round()
    assert await rows_of(engine) == []
    assert (await schedules(engine))["m"].next_at == datetime(2026, 4, 2, 3, tzinfo=UTC)
    *_, line = await log_of(engine, "m", WatchedBy.SCHEDULE)
    assert line.who == "scheduler" and "too long ago" in line.why


async def test_without_catching_up_a_date_that_comes_now_is_kept(settings: Settings, engine: AsyncEngine) -> None:
    clock = Clock()
    strict = settings.model_copy(update={"schedule_catch_up_h": 0.0})
    await Operations(strict, engine, clock).put_schedule("m", "setlistfm", "0 3 * * *", "UTC", HERE, None, "ann")
    async with active(strict, engine, clock) as one:
        clock.now = MIDNIGHT + timedelta(hours=3, seconds=2)
        await one.round()
    assert len(await rows_of(engine)) == 1


async def test_a_schedule_that_cannot_be_read_stops_no_other(settings: Settings, engine: AsyncEngine) -> None:
    clock = Clock()
    operations = Operations(settings, engine, clock)
    for name in ("broken", "sound"):
        await operations.put_schedule(name, "setlistfm", "0 3 * * *", "UTC", HERE, None, "ann")
    async with engine.begin() as connection:
        await connection.execute(update(ScheduleRow).where(ScheduleRow.name == "broken").values(tz="Mars/Olympus"))
    async with active(settings, engine, clock) as one:
        clock.now = MIDNIGHT + timedelta(hours=3)
        await one.round()
    assert [row.schedule for row in await rows_of(engine)] == ["sound"]
    *_, line = await log_of(engine, "broken", WatchedBy.SCHEDULE)
    assert "Mars/Olympus" in line.why


async def test_the_oldest_that_wait_are_started_one_of_each_spider_and_not_too_many(
    settings: Settings, engine: AsyncEngine
) -> None:
    clock = Clock()
    operations = Operations(settings, engine, clock)
    sleeping = a_process("import time; time.sleep(60)")
    spiders = ("setlistfm", "setlistfm", "venues", "venuepages")
    ids = []
    for number, spider in enumerate(spiders):
        clock.now += timedelta(seconds=1)
        ids.append(await operations.start(spider, HERE | {"source": str(number)}, "ann"))
    two = settings.model_copy(update={"runs_at_once": 2})
    async with active(two, engine, clock, sleeping) as one:
        await one.round()
        await one.round()
        assert set(one._children) == {ids[0], ids[2]}
    # They had not begun: whoever schedules next starts them.
    assert {row.state for row in await rows_of(engine)} == {RunState.QUEUED}


async def test_what_is_wanted_is_searched_for_after_everything_else_and_rests_when_the_search_fails(
    settings: Settings, engine: AsyncEngine
) -> None:
    now = datetime.now(UTC)
    async with engine.begin() as connection:
        await connection.execute(text("truncate state.wanted_list, state.wanted_tries"))
    keys = await wanted.add(engine, "The Moths", [1991, 1992], "ann", "they were great", now)
    one_at_a_time = settings.model_copy(update={"runs_at_once": 1})
    broken = a_process("raise SystemExit('no such page')")
    async with active(one_at_a_time, engine, Clock(now), broken) as one:
        await one.plan()
        await one._queue_planned(one._held())
        (row,) = await rows_of(engine)
        assert (row.trigger, row.lane) == (Trigger.WANTED, row.spider)
        assert row.arguments == {"artist": "The Moths", "since": "1991-01-01", "until": "1992-12-31"}
        (line,) = await log_of(engine, row.run_id)
        assert line.why == f"wanted: {', '.join(keys)}"
        later = await Operations(settings, engine).start("venues", HERE, "ann")
        await one.round()
        assert set(one._children) == {later}  # though the search waits longer

        async def failed() -> bool:
            await one.round()
            return (await row_of(engine, row.run_id)).state is RunState.FAILED

        await until(failed)
    async with engine.connect() as connection:
        tried = (await connection.execute(text("select * from state.wanted_tries order by year"))).all()
    assert [(one.artist_key, one.year, one.spider, one.tries, one.found) for one in tried] == [
        ("the moths", 1991, row.spider, 1, 0),
        ("the moths", 1992, row.spider, 1, 0),
    ]
    assert all(one.next_at > now for one in tried)


async def test_a_process_that_dies_before_it_began_fails_its_run_with_its_last_line(
    settings: Settings, engine: AsyncEngine
) -> None:
    run_id = await Operations(settings, engine).start("setlistfm", HERE, "ann")
    broken = a_process("raise SystemExit('GIGZ_KAFKA_URL: nobody answers')")
    async with active(settings, engine, Clock(datetime.now(UTC)), broken) as one:
        for _ in range(50):
            await one.round()
            if (await row_of(engine, run_id)).state is RunState.FAILED:
                break
            await asyncio.sleep(0.1)
    row = await row_of(engine, run_id)
    assert row.why == "its process ended with exit code 1 before it began: GIGZ_KAFKA_URL: nobody answers"
    assert row.log_tail == "GIGZ_KAFKA_URL: nobody answers"


async def test_work_beside_it_that_fails_is_tried_again_and_stops_nothing() -> None:
    done: list[int] = []

    async def work() -> None:
        done.append(1)
        if len(done) == 1:
            raise ZeroDivisionError

    task = asyncio.create_task(beside("a work", work, every_s=0.01))

    async def again() -> bool:
        return len(done) >= 3

    await until(again, 10)
    task.cancel()


# -- the processes ----------------------------------------------------------------------------------------------------


async def test_a_scheduler_that_is_killed_is_replaced_within_30_s_and_its_run_goes_on_once(
    settings: Settings, engine: AsyncEngine
) -> None:
    async with endless() as (url, asked):
        with scheduler(settings, 1) as first:
            run_id = await started(settings, engine, url)
            row = await in_state(engine, run_id, RunState.RUNNING)
            assert await active_one(engine) == "gigz-scheduler-1"
            with scheduler(settings, 2) as second:
                await asyncio.sleep(5)
                assert await active_one(engine) == "gigz-scheduler-1"
                first.kill()
                first.wait()
                killed = time.monotonic()

                async def taken_over() -> bool:
                    return await active_one(engine) == "gigz-scheduler-2"

                await until(taken_over, 30)
                assert time.monotonic() - killed < 30
                # The run of the dead one goes on: the same process, the same row, begun once.
                before = len(asked)
                await asyncio.sleep(3)
                now = await row_of(engine, run_id)
                assert (now.state, now.pid, now.started_at) == (RunState.RUNNING, row.pid, row.started_at)
                assert len(asked) > before and now.scraped > 0
                assert [line.after for line in await log_of(engine, run_id)] == ["queued", "running"]
                # And the second watches it: killed, it is lost.
                os.kill(row.pid, signal.SIGKILL)
                lost = await in_state(engine, run_id, RunState.LOST)
                assert f"process {row.pid} is gone" in lost.why and lost.finished_at is not None
                assert "run began" in lost.log_tail
                assert second.poll() is None
    (line,) = [line for line in await log_of(engine, run_id) if line.after == "lost"]
    assert (line.before, line.who) == ("running", "scheduler")


@pytest.mark.long
async def test_a_scheduler_that_hangs_is_replaced_within_30_s_and_does_no_harm_when_it_comes_back(
    settings: Settings, engine: AsyncEngine
) -> None:
    with scheduler(settings, 1) as first:

        async def by(name: str) -> bool:
            return await active_one(engine) == name

        await until(lambda: by("gigz-scheduler-1"))
        with scheduler(settings, 2):
            await asyncio.sleep(3)
            first.send_signal(signal.SIGSTOP)
            await until(lambda: by("gigz-scheduler-2"), 30)
            first.send_signal(signal.SIGCONT)
            await asyncio.sleep(3)
            assert await by("gigz-scheduler-2") and first.poll() is None
            async with endless() as (url, _):
                run_id = await started(settings, engine, url)
                await in_state(engine, run_id, RunState.RUNNING)
                await Operations(settings, engine).stop(run_id, "ann", "seen enough")
                await in_state(engine, run_id, RunState.STOPPED)
    assert [line.after for line in await log_of(engine, run_id)] == ["queued", "running", "stopping", "stopped"]


async def test_a_stop_with_a_reason_reaches_a_run_in_another_process(settings: Settings, engine: AsyncEngine) -> None:
    async with endless() as (url, asked):
        with scheduler(settings):
            run_id = await started(settings, engine, url)

            async def scraping() -> bool:
                return (await row_of(engine, run_id)).scraped > 0  # live, while it runs

            await until(scraping)
            row = await row_of(engine, run_id)
            assert row.figures["statuses"]["200"] >= 1
            stopped = time.monotonic()
            assert await Operations(settings, engine).stop(run_id, "ann", "they called") is RunState.STOPPING
            row = await in_state(engine, run_id, RunState.STOPPED)
            assert time.monotonic() - stopped < 10
            assert row.why == "stopped by ann: they called"
            assert row.scraped == row.delivered + row.unchanged + row.rejected > 0
            assert len(asked) < 1_000 and "a-key-that-nobody-sees" not in row.log_tail
    (line,) = [line for line in await log_of(engine, run_id) if line.after == "stopping"]
    assert (line.who, line.why) == ("ann", "they called")


async def test_a_run_by_hand_is_stopped_by_its_heartbeat_alone(settings: Settings, engine: AsyncEngine) -> None:
    from deploy.local.room import python_environment
    from deploy.settings import environment_for

    async with endless() as (url, _):
        argv = [sys.executable, str(ROOT / "gigz.py"), "crawl", "setlistfm", "--start-url", url, "--json"]
        pipe = asyncio.subprocess.PIPE
        environment = python_environment(environment_for(settings))
        child = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=pipe, env=environment)

        async def running() -> bool:
            return any(row.state is RunState.RUNNING and row.scraped for row in await rows_of(engine))

        await until(running)
        (row,) = await rows_of(engine)
        await Operations(settings, engine).stop(row.run_id, "ann", "from elsewhere")
        out, _errors = await asyncio.wait_for(child.communicate(), 20)
    assert child.returncode == 1 and b'"state": "stopped"' in out
    assert (await row_of(engine, row.run_id)).why == "stopped by ann: from elsewhere"


async def test_a_run_beyond_its_time_fails_and_says_so(settings: Settings, engine: AsyncEngine) -> None:
    async with endless() as (url, _):
        with scheduler(settings):
            run_id = await started(settings, engine, url, timeout_s=2)
            row = await in_state(engine, run_id, RunState.FAILED)
    assert row.why == "time limit: it ran for more than 2 s"
    assert row.scraped == row.delivered + row.unchanged > 0
    assert [line.after for line in await log_of(engine, run_id)] == ["queued", "running", "stopping", "failed"]


async def test_a_run_that_does_not_hear_is_killed_after_its_grace(settings: Settings, engine: AsyncEngine) -> None:
    deaf = a_process(
        "import asyncio, signal, sys; from uuid import UUID\n"
        "from tests.spiders.greedy import grow\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "asyncio.run(grow(UUID(sys.argv[1]), 0))\n"
    )
    short = settings.model_copy(update={"run_stop_grace_s": 1.0})
    run_id = await Operations(short, engine).start("venues", HERE, "ann", timeout_s=1)
    async with active(short, engine, Clock(datetime.now(UTC)), deaf) as one:
        clock = one._clock
        assert isinstance(clock, Clock)
        deadline = time.monotonic() + 30
        while (await row_of(engine, run_id)).state is not RunState.FAILED and time.monotonic() < deadline:
            clock.now = datetime.now(UTC)
            await one.round()
            await asyncio.sleep(0.1)
    row = await row_of(engine, run_id)
    assert row.why == "time limit: it ran for more than 1 s; killed: it did not end within 1 s"
    assert not is_there(row.pid)


@pytest.mark.parametrize("leap", [60, 1_500])
async def test_a_run_beyond_its_memory_fails_and_says_so(settings: Settings, engine: AsyncEngine, leap: int) -> None:
    small = settings.model_copy(update={"run_memory_mb": 256})
    run_id = await Operations(small, engine).start("venues", HERE, "ann")
    greedy = a_process(
        "import asyncio, sys; from uuid import UUID\n"
        "from tests.spiders.greedy import grow\n"
        f"asyncio.run(grow(UUID(sys.argv[1]), {leap}))\n"
    )
    async with active(small, engine, Clock(datetime.now(UTC)), greedy) as one:
        deadline = time.monotonic() + 30
        while (await row_of(engine, run_id)).state not in runs.ENDED and time.monotonic() < deadline:
            await one.round()
            await asyncio.sleep(0.1)
    row = await row_of(engine, run_id)
    assert row.state is RunState.FAILED
    assert "memory" in row.why
    assert not is_there(row.pid)


async def test_a_scheduler_that_is_stopped_stops_its_run_in_order_and_the_next_one_takes_it_up_again(
    settings: Settings, engine: AsyncEngine
) -> None:
    async with endless() as (url, _):
        with scheduler(settings) as one:
            run_id = await started(settings, engine, url)
            row = await in_state(engine, run_id, RunState.RUNNING)
            await asyncio.sleep(1.5)
            one.terminate()
            assert await asyncio.to_thread(one.wait, 15) == 0  # the server goes on answering
        assert not is_there(row.pid)
        first, second = await rows_of(engine)
        assert (first.run_id, first.state, first.why) == (run_id, RunState.STOPPED, "the scheduler was stopped")
        assert first.scraped == first.delivered + first.unchanged > 0
        assert (second.state, second.arguments, second.timeout_s) == (RunState.QUEUED, first.arguments, first.timeout_s)
        with scheduler(settings, 2):
            await in_state(engine, second.run_id, RunState.RUNNING)
            await Operations(settings, engine).stop(second.run_id, "ann", "enough")
            await in_state(engine, second.run_id, RunState.STOPPED)


async def test_a_session_that_postgres_ends_is_stepped_down_from_and_the_run_is_taken_over_by_oneself(
    settings: Settings, engine: AsyncEngine
) -> None:
    async with endless() as (url, _):
        with scheduler(settings) as one:
            run_id = await started(settings, engine, url)
            row = await in_state(engine, run_id, RunState.RUNNING)
            async with engine.connect() as connection:
                end = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'gigz-sched%'"
                await connection.execute(text(end))

            async def again() -> bool:
                return await active_one(engine) == "gigz-scheduler-1"

            await asyncio.sleep(1)
            await until(again, 15)
            assert one.poll() is None
            now = await row_of(engine, run_id)
            assert (now.state, now.pid) == (RunState.RUNNING, row.pid)
            await Operations(settings, engine).stop(run_id, "ann", "enough")
            await in_state(engine, run_id, RunState.STOPPED)
    log = (settings.home / "scheduler-1.log").read_text()
    assert "not active" in log


async def test_runs_of_one_spider_do_not_overlap_and_those_of_another_do(
    settings: Settings, engine: AsyncEngine
) -> None:
    async with endless() as (url, _):
        with scheduler(settings):
            first = await started(settings, engine, url)
            second = await started(settings, engine, url + "?again")
            other = await Operations(settings, engine).start("venuepages", {"start_url": url}, "ann")
            await in_state(engine, first, RunState.RUNNING)
            await in_state(engine, other, RunState.RUNNING, *runs.ENDED)
            await asyncio.sleep(2)
            assert (await row_of(engine, second)).state is RunState.QUEUED
            await Operations(settings, engine).stop(first, "ann", "next please")
            await in_state(engine, second, RunState.RUNNING)
            one, two = await row_of(engine, first), await row_of(engine, second)
            assert two.started_at >= one.finished_at
            await Operations(settings, engine).stop(second, "ann", "enough")
            await in_state(engine, second, RunState.STOPPED)
    async with engine.connect() as connection:
        states = set(await connection.scalars(select(RunRow.state)))
    assert not states & {RunState.LOST, RunState.QUEUED, RunState.RUNNING}
