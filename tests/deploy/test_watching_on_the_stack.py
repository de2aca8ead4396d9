"""What workers tell of themselves is true: on engines of these tests' own, which they stop, freeze and start again."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import insert

from deploy.clients import kafka_producer, postgres_engine, publish
from deploy.flow import until_idle
from deploy.local import stack as engines
from deploy.local import workers
from deploy.local.processes import Processes
from deploy.migrate import migrate_stores
from deploy.settings import Settings, environment_for
from deploy.topics import apply_topics
from deploy.watching.readings import DOWN, FROZEN, OK, STUCK, WAITS, Reading, read, targets
from schemas.concert import Concert
from schemas.history import Entry
from schemas.listing import Listing
from schemas.outgoing import Outgoing, outgoing
from schemas.raw import RawEvent
from schemas.tables import QuotaRow, RunRow, RunState
from spiders.monitoring.measures import measure
from tests.deploy.test_alert_rules import BY_NAME, fires
from tests.streams.support import entry, raw
from tests.support import ROOT, running_engines

pytestmark = pytest.mark.stack

PARTITIONS = 24
STAGES = ("normalise", "resolve", "match", "relay", "sink-clickhouse", "sink-postgres", "sink-meilisearch")


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    """Engines, topics and tables of this module's own: others' are not to be stopped."""
    with running_engines(
        "gigz-watching-", partitions=PARTITIONS, kafka_heap_mb=256, session_timeout_s=10.0
    ) as settings:
        asyncio.run(apply_topics(settings))
        migrate_stores(settings)
        yield settings


@asynccontextmanager
async def running(settings: Settings, *names: str) -> AsyncIterator[None]:
    """Workers, until they have told that they are ready; stopped at the end."""
    try:
        for name in names:
            workers.start_worker(settings, name)
        await until(settings, lambda found: all(found[name].state == OK for name in names), *names)
        yield
    finally:
        await asyncio.to_thread(workers.stop, settings, names)


async def look(settings: Settings) -> dict[str, Reading]:
    return {one.target.name: one for one in await read(targets(settings.home))}


async def until(
    settings: Settings, condition: Callable[[dict[str, Reading]], object], *names: str, within_s: float = 90
) -> dict[str, Reading]:
    """Read until it is true."""
    deadline = time.monotonic() + within_s
    while True:
        found = await look(settings)
        if set(names) <= found.keys() and condition(found):
            return found
        if time.monotonic() > deadline:
            logs = "\n".join(Processes(settings.home).tail(name) for name in names)
            pytest.fail(f"never true: {[(one.target.name, one.state, one.why) for one in found.values()]}\n{logs}")
        await asyncio.sleep(0.2)


async def send(settings: Settings, records: list[Outgoing]) -> None:
    async with kafka_producer(settings, "test") as producer:
        await publish(producer, records, settings.partitions)


def shows(mark: str, count: int) -> list[Outgoing]:
    messages = [
        raw(mark, str(n), f"{mark} {n}", f"2018-{1 + n % 12:02}-{1 + n % 28:02}", city="Oslo") for n in range(count)
    ]
    return [outgoing(one, trace=uuid4().hex, stage="test") for one in messages]


def poison(topic: str, bodies: list[bytes]) -> list[Outgoing]:
    return [Outgoing(topic, f"poison:{n}", f"poison:{n}", body, {}) for n, body in enumerate(bodies)]


async def page_of(settings: Settings, name: str, path: str = "/metrics") -> httpx.Response:
    [one] = [target for target in targets(settings.home) if target.name == name]
    async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
        return await client.get(f"http://{one.address}{path}")


async def gigz(settings: Settings, *arguments: str) -> str:
    process = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(ROOT / "gigz.py"), *arguments],
        env=environment_for(settings) | {"COLUMNS": "80"},
        cwd=ROOT,
        capture_output=True,
        timeout=60,
    )
    return process.stdout.decode()


async def test_every_stage_counts_what_went_through_it_to_the_message(settings: Settings) -> None:
    names = [f"{stage}-1" for stage in STAGES]
    async with running(settings, *names):
        bad_date = raw("count", "bad", "Low", "2018-02-31").to_bytes()
        await send(
            settings, shows("count", 60) + poison(RawEvent.topic, [b"\xff no json", b"{}", b"[1", bad_date, bad_date])
        )
        entries = [entry("watch1", f"e{n}", artist=f"count {n}", date="2018") for n in range(10)]
        told = [outgoing(one, trace=uuid4().hex, stage="test") for one in entries]
        await until_idle(settings, deadline_s=120)
        await send(settings, told + poison(Entry.topic, [b"no json"]))
        await until_idle(settings, deadline_s=120)
        found = await until(
            settings, lambda found: not any(one.total("gigz_lag_messages") for one in found.values()), *names
        )

        normalise = found["normalise-1"]
        assert normalise.total("gigz_messages_consumed_total") == 65
        assert normalise.total("gigz_messages_consumed_total", topic=RawEvent.topic) == 65
        assert normalise.total("gigz_messages_produced_total", topic=Listing.topic) == 60
        reasons = {
            labels["reason"]: count for labels, count in normalise.samples["gigz_messages_rejected_total"] if count
        }
        assert sum(reasons.values()) == 5 and reasons["not_json"] == 2 and reasons["bad_date"] == 2, reasons
        resolve, match, relay = (found[f"{stage}-1"] for stage in ("resolve", "match", "relay"))
        assert resolve.total("gigz_messages_consumed_total", topic=Listing.topic) == 60
        assert resolve.total("gigz_messages_rejected_total") == 0
        concerts = relay.total("gigz_messages_produced_total", topic=Concert.topic)
        assert concerts == match.total("gigz_messages_consumed_total", topic=Concert.topic) >= 60
        assert match.total("gigz_messages_consumed_total", topic=Entry.topic) == 11
        assert match.total("gigz_messages_rejected_total", reason="not_json") == 1
        assert relay.total("gigz_messages_consumed_total") == relay.total("gigz_messages_produced_total")
        assert relay.total("gigz_outbox_shards") == settings.outbox_shards and relay.total("gigz_outbox_rows") == 0
        for sink in STAGES[4:]:
            one = found[f"{sink}-1"]
            consumed = one.total("gigz_messages_consumed_total")
            assert consumed == one.total("gigz_rows_written_total") + one.total("gigz_messages_rejected_total") >= 60
            assert one.total("gigz_step_duration_seconds_count", step="write") > 0
        assert found["sink-postgres-1"].total("gigz_messages_consumed_total", topic="gigz.rejection.v1") == 6
        for stage in ("normalise", "resolve", "match"):
            one = found[f"{stage}-1"]
            for step in ("read", "handle", "publish", "commit"):
                assert one.total("gigz_step_duration_seconds_count", step=step) > 0, (stage, step)
            assert one.total("gigz_partitions_assigned") % PARTITIONS == 0 < one.total("gigz_partitions_assigned")
            assert one.total("gigz_rebalances_total") >= 1
            batches = one.total("gigz_batch_messages_count")
            assert one.total("gigz_batch_messages_sum") == one.total("gigz_messages_consumed_total") >= batches > 0
        assert resolve.total("db_query_duration_seconds_count", operation="select") > 0
        for one in found.values():
            assert one.most("gigz_lag_seconds") == one.most("gigz_commit_age_seconds") == 0, one
            assert one.total("process_resident_memory_bytes") > 20_000_000
            assert one.total("gigz_store_retries_total") == 0

        screen = await gigz(settings, "top", "--once")
        assert max(map(len, screen.splitlines())) <= 80 and "!" not in screen, screen
        assert screen.count(" ok ") == len(STAGES), screen
        status = json.loads(await gigz(settings, "status", "--json"))
        assert status["lag"]["resolve"] == 0
        [mine] = [one for one in status["processes"] if one["name"] == "match-1"]
        assert mine["state"] == "running" and mine["worker"]["partitions"] == match.total("gigz_partitions_assigned")
    assert targets(settings.home) == [], "who is stopped takes its file along"


@pytest.mark.long
async def test_three_processes_of_a_stage_share_its_partitions_and_its_line(settings: Settings) -> None:
    names = ("normalise-1", "normalise-2", "normalise-3")
    async with running(settings, *names):
        found = await until(
            settings,
            lambda found: (
                sum(found[name].total("gigz_partitions_assigned") for name in names) == 4 * PARTITIONS
                and all(found[name].total("gigz_partitions_assigned") for name in names)
            ),
            *names,
        )
        await send(settings, shows("three", 100))
        await until(
            settings,
            lambda found: sum(found[name].total("gigz_messages_consumed_total") for name in names) == 100,
            *names,
        )
        text = await gigz(settings, "status")
        assert "normalise ×3" in text and all(f"  {name}" in text for name in names), text
        assert max(map(len, text.splitlines())) <= 132
        assert "normalise ×3" in await gigz(settings, "top", "--once")
        assert all(found[name].state == OK for name in names)


async def test_a_store_that_is_away_is_counted_waited_for_and_no_reason_to_kill(settings: Settings) -> None:
    async with running(settings, "normalise-1", "resolve-1"):
        rule = BY_NAME["GigzCommitStuck"]["expr"].replace("> 120", "> 3")
        await until(settings, lambda found: found["resolve-1"].total("gigz_lag_messages") == 0, "resolve-1")
        assert fires((await page_of(settings, "resolve-1")).text, rule) == []
        done = (await look(settings))["resolve-1"].total("gigz_messages_consumed_total", topic=Listing.topic)
        Processes(settings.home).stop("postgres")
        try:
            await send(settings, shows("away", 40))
            found = await until(
                settings,
                lambda found: (
                    found["resolve-1"].state == WAITS
                    and found["resolve-1"].most("gigz_commit_age_seconds") > 3
                    and found["resolve-1"].total("gigz_store_retries_total", store="postgres") >= 2
                    and found["resolve-1"].total("gigz_lag_messages", topic=Listing.topic) == 40
                ),
                "resolve-1",
            )
            resolve = found["resolve-1"]
            assert resolve.most("gigz_store_waiting_seconds") > 0 and resolve.most("gigz_lag_seconds") > 3
            live = await page_of(settings, "resolve-1", "/live")
            assert live.status_code == 200 and "it waits for postgres" in live.text
            assert {"stage": "resolve", "topic": Listing.topic} in fires(
                (await page_of(settings, "resolve-1")).text, rule
            )
            screen = await gigz(settings, "top", "--once")
            assert "! resolve-1 it waits for postgres" in screen, screen
        finally:
            await asyncio.to_thread(engines.up, settings)
        found = await until(
            settings,
            lambda found: found["resolve-1"].state == OK and found["resolve-1"].total("gigz_lag_messages") == 0,
            "resolve-1",
        )
        resolve = found["resolve-1"]
        assert resolve.total("gigz_messages_consumed_total", topic=Listing.topic) == done + 40, (
            "once, for all the tries"
        )
        assert resolve.total("gigz_store_waiting_seconds") == 0
        assert fires((await page_of(settings, "resolve-1")).text, rule) == []


@pytest.mark.long
async def test_a_worker_that_gives_up_stays_a_target_that_is_down(settings: Settings) -> None:
    hasty = settings.model_copy(update={"retry_deadline_s": 2.0})
    file = settings.home / "metrics" / "resolve-1.json"
    async with running(settings, "normalise-1"), running(hasty, "resolve-1"):
        Processes(settings.home).stop("postgres")
        try:
            await send(settings, shows("gone", 5))
            await until(settings, lambda found: found["resolve-1"].state == DOWN, "resolve-1")
            assert file.exists() and "! resolve-1 is down" in await gigz(settings, "top", "--once")
        finally:
            await asyncio.to_thread(engines.up, settings)
        workers.start_worker(settings, "resolve-1")
        await until(settings, lambda found: found["resolve-1"].state == OK, "resolve-1")
    assert not file.exists()


@pytest.mark.long
async def test_a_store_that_takes_and_never_answers_is_found_out_by_the_commit(settings: Settings) -> None:
    hasty = settings.model_copy(update={"liveness_s": 8.0})
    process = Processes(settings.home).find("clickhouse")
    assert process is not None
    async with running(settings, "normalise-1"), running(hasty, "sink-clickhouse-1"):
        await until(
            settings, lambda found: found["sink-clickhouse-1"].total("gigz_lag_messages") == 0, "sink-clickhouse-1"
        )
        os.killpg(process.pid, signal.SIGSTOP)
        try:
            await send(settings, shows("hang", 5))
            found = await until(settings, lambda found: found["sink-clickhouse-1"].state == STUCK, "sink-clickhouse-1")
            assert "messages wait and the commit has not moved for" in found["sink-clickhouse-1"].why
            assert (await page_of(settings, "sink-clickhouse-1", "/live")).status_code == 503
        finally:
            os.killpg(process.pid, signal.SIGCONT)
        await until(settings, lambda found: found["sink-clickhouse-1"].state == OK, "sink-clickhouse-1")


@pytest.mark.long
async def test_a_frozen_worker_fails_its_probe_and_a_killed_one_is_told_as_down(settings: Settings) -> None:
    async with running(settings, "normalise-1"):
        [target] = [one for one in targets(settings.home) if one.name == "normalise-1"]
        os.kill(target.pid, signal.SIGSTOP)
        with pytest.raises(httpx.TimeoutException):
            await page_of(settings, "normalise-1", "/live")
        assert (await look(settings))["normalise-1"].state == FROZEN
        assert f"kill -CONT {target.pid}" in await gigz(settings, "top", "--once")
        os.kill(target.pid, signal.SIGCONT)
        await until(settings, lambda found: found["normalise-1"].state == OK, "normalise-1")
        os.kill(target.pid, signal.SIGKILL)
        found = await until(settings, lambda found: found["normalise-1"].state == DOWN, "normalise-1", within_s=10)
        assert not found["normalise-1"].samples
        assert "! normalise-1 is down" in await gigz(settings, "status")
        workers.start_worker(settings, "normalise-1")
        found = await until(settings, lambda found: found["normalise-1"].state == OK, "normalise-1")
        assert found["normalise-1"].target.pid != target.pid


async def test_the_scheduler_tells_that_it_is_active_and_what_became_of_runs(settings: Settings) -> None:
    at = datetime.now(UTC)
    hour = timedelta(hours=1)

    def run(spider: str, state: RunState, ended: timedelta, suspect: bool = False) -> dict[str, object]:
        times = {"started_at": at - ended - hour, "finished_at": at - ended}
        return {"run_id": uuid4(), "spider": spider, "state": state, "suspect": suspect, **times}

    engine = postgres_engine(settings)
    try:
        async with engine.begin() as connection:
            await connection.execute(
                insert(RunRow),
                [
                    run("bimhuis", RunState.FINISHED, 30 * hour),
                    run("bimhuis", RunState.FINISHED, 2 * hour, suspect=True),
                    run("setlistfm", RunState.FAILED, 5 * hour),
                    run("setlistfm", RunState.FINISHED, 3 * hour),
                ],
            )
            day = {"key": "setlistfm_api_key:-", "day": at.date(), "used": 720}
            await connection.execute(insert(QuotaRow).values(**day))
        spool = settings.home / "spool" / "bimhuis"
        spool.mkdir(parents=True)
        (spool / "0001.segment").write_bytes(b"x" * 1_000)
        (spool / "other").write_bytes(b"x")
        figures = await measure(engine, settings, at)
    finally:
        await engine.dispose()
    assert figures.runs["finished"] == 3 and figures.runs["failed"] == 1 and figures.runs["lost"] == 0
    assert figures.last_good["bimhuis"] == pytest.approx((at - 30 * hour).timestamp(), abs=1)
    assert figures.bad == {"bimhuis": True, "setlistfm": False}
    assert figures.quotas["setlistfm_api_key"] == 0.5
    assert figures.spools == {"bimhuis": 1_000, "setlistfm": 0}

    async with running(settings, "scheduler-1"):
        found = await until(
            settings,
            lambda found: (
                found["scheduler-1"].total("gigz_scheduler_active") == 1
                and found["scheduler-1"].total("gigz_run_last_bad", spider="bimhuis") == 1
            ),
            "scheduler-1",
        )
        scheduler = found["scheduler-1"]
        assert scheduler.total("gigz_runs", state="failed") == 1
        assert scheduler.total("gigz_spool_bytes", spider="bimhuis") == 1_000
        assert scheduler.total("gigz_run_last_good_age_seconds", spider="setlistfm") > 3 * 3_600
        Processes(settings.home).stop("postgres")
        try:
            found = await until(
                settings, lambda found: found["scheduler-1"].total("gigz_scheduler_active") == 0, "scheduler-1"
            )
            assert found["scheduler-1"].total("gigz_scheduler_rounds_total", outcome="failed") >= 1
            assert (await page_of(settings, "scheduler-1", "/live")).status_code == 200
        finally:
            await asyncio.to_thread(engines.up, settings)
