"""One process for each number, on every machine; a number that is given up gives its partitions up at once."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from aiokafka import AIOKafkaConsumer
from sqlalchemy import text
from typer.testing import CliRunner

import gigz
from deploy import instances
from deploy.clients import kafka_consumer, postgres_engine
from deploy.failures import Exit
from deploy.flow import group_of
from deploy.instances import InstanceTaken, hold, leave, member_of
from deploy.local.workers import command
from deploy.migrate import migrate_stores
from deploy.settings import Settings, SettingsError, environment_for
from deploy.topics import apply_topics
from schemas.topics import read_by
from tests.support import ROOT

EVERY = ("normalise", "resolve", "match", "relay", "sink-clickhouse", "sink-postgres", "sink-meilisearch")
SINK = "sink-clickhouse"
"""Its group is shared out by Kafka's own protocol; Faust's members have one of their own."""
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def whole(stack: Settings) -> Settings:
    """The engines with topics and tables."""

    asyncio.run(apply_topics(stack))
    migrate_stores(stack)
    return stack


@pytest.fixture
def here(stack: Settings, tmp_path: Path) -> Settings:
    """A machine: a home folder of its own, the engines' addresses as they are set anywhere."""
    return elsewhere(stack, tmp_path / "here")


def elsewhere(settings: Settings, home: Path) -> Settings:
    """The same on another machine."""
    home.mkdir(exist_ok=True)
    urls = {f"{name}_url": settings.engine_url(name) for name in ("kafka", "postgres", "clickhouse", "meilisearch")}
    return settings.model_copy(update={"home": home, **urls})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instances, "BEAT_S", 0.1)
    monkeypatch.setattr(instances, "AGAIN_S", 0.5)


HOLDER = """
import asyncio, sys, time
from deploy.instances import hold
from deploy.settings import load
async def main():
    async with hold(load(), sys.argv[1], int(sys.argv[2])):
        print("held", flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


def holder(settings: Settings, stage: str, instance: int) -> "subprocess.Popen[bytes]":
    """A process that holds a number."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", HOLDER, stage, str(instance)],
        cwd=ROOT,
        env=environment_for(settings),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


@pytest.fixture
def holding(here: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    with holder(here, "resolve", 3) as process:
        yield process
        process.kill()


@pytest.mark.stack
async def test_a_second_process_on_this_machine_is_refused_with_the_firsts_number(
    here: Settings, holding: "subprocess.Popen[bytes]"
) -> None:
    with pytest.raises(InstanceTaken, match=rf"resolve --instance 3 runs already: process {holding.pid}.*Remedy"):
        async with hold(here, "resolve", 3):
            pass
    async with hold(here, "resolve", 4):
        pass


@pytest.mark.stack
async def test_a_second_process_on_another_machine_is_refused_with_the_firsts_place(
    here: Settings, holding: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    with pytest.raises(InstanceTaken, match=rf"runs already: gigz resolve-3 .* {holding.pid} .* at 127.*Remedy"):
        async with hold(elsewhere(here, tmp_path / "there"), "resolve", 3):
            pass


@pytest.mark.stack
async def test_the_number_of_a_killed_process_is_free_at_once(
    here: Settings, holding: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    holding.kill()
    async with hold(elsewhere(here, tmp_path / "there"), "resolve", 3):
        pass


@pytest.mark.stack
@pytest.mark.parametrize("stage", EVERY)
async def test_every_stage_refuses_a_number_that_another_machine_has(
    whole: Settings, stage: str, tmp_path: Path
) -> None:
    async with hold(elsewhere(whole, tmp_path / "here"), stage, 9):
        process = await asyncio.create_subprocess_exec(
            *command("worker", stage, "--instance", "9"),
            env=environment_for(elsewhere(whole, tmp_path / "there")),
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        _, told = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == Exit.TAKEN
    said = told.decode()
    assert f"{stage} --instance 9 runs already: gigz {stage}-9" in said and f" {os.getpid()} " in said
    assert "Remedy" in said and "Traceback" not in said


def away(settings: Settings) -> Settings:
    return settings.model_copy(update={"postgres_url": "postgresql://u:p@127.0.0.1:9/none"})


@pytest.mark.stack
async def test_a_stage_that_needs_no_postgres_goes_on_without_it_with_the_files_lock_alone(here: Settings) -> None:
    async with hold(away(here), "normalise", 1) as held:
        assert not held.guarded
        await asyncio.sleep(0.3)
        assert not held.lost.is_set()
        with pytest.raises(InstanceTaken, match="process"):
            async with hold(here, "normalise", 1):
                pass
    with pytest.raises(SettingsError, match=r"GIGZ_POSTGRES_URL.*Remedy"):
        async with hold(away(here), "resolve", 1):
            pass


async def end_sessions(settings: Settings, stage: str) -> None:
    """What a restart of PostgreSQL does to them."""
    engine = postgres_engine(settings, pool_size=1)
    async with engine.connect() as connection:
        await connection.execute(
            text("select pg_terminate_backend(pid) from pg_stat_activity where application_name like :who"),
            {"who": f"gigz {stage}-%"},
        )
    await engine.dispose()


@pytest.mark.stack
async def test_a_session_that_is_lost_is_taken_again_in_the_background(here: Settings, tmp_path: Path) -> None:
    async with hold(here, "match", 1) as held:
        await end_sessions(here, "match")
        async with asyncio.timeout(5):
            while held.guarded:  # noqa: ASYNC110 - until it is noticed
                await asyncio.sleep(0.01)
            while not held.guarded:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not held.lost.is_set()
        with pytest.raises(InstanceTaken):
            async with hold(elsewhere(here, tmp_path / "there"), "match", 1):
                pass


@pytest.mark.stack
async def test_only_who_lost_its_number_to_another_process_is_told(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hold(here, "match", 2) as held:
        monkeypatch.setattr(instances, "BEAT_S", 0.5)
        await asyncio.sleep(0.2)
        await end_sessions(here, "match")
        async with hold(elsewhere(here, tmp_path / "there"), "match", 2) as other:
            await asyncio.wait_for(held.lost.wait(), 5)
            assert not other.lost.is_set()
    assert "match --instance 2 runs already: gigz match-2" in held.why


# -- members of groups ---------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def member(settings: Settings, instance: int) -> AsyncIterator[AIOKafkaConsumer]:
    """A member of a sink's group, as its worker is one; it leaves at the end."""
    name = member_of(SINK, instance)
    opened = kafka_consumer(
        settings, (), group_of(SINK), client_id=name, group_instance_id=name, session_timeout_ms=60_000
    )
    async with opened as consumer:
        consumer.subscribe([topic.name for topic in read_by(SINK)])
        yield consumer
    await leave(settings, SINK, instance)


async def until_owned(consumer: AIOKafkaConsumer, count: int, seconds: float) -> float:
    """How long it took until the member had so many partitions."""
    began = time.monotonic()
    while len(consumer.assignment()) != count:
        assert time.monotonic() - began < seconds, f"{len(consumer.assignment())} of {count}"
        await consumer.getmany(timeout_ms=100)
    return time.monotonic() - began


@pytest.mark.long
@pytest.mark.stack
async def test_a_restart_keeps_the_partitions_and_leaving_gives_them_up_at_once(
    whole: Settings, tmp_path: Path
) -> None:
    settings = elsewhere(whole, tmp_path / "here").model_copy(update={"session_timeout_s": 60.0})
    every = len(read_by(SINK)) * settings.partitions
    worker = await started(settings, 22, tmp_path)
    try:
        async with member(settings, 21) as staying:
            await until_owned(staying, every // 2, 60)
            generation, parts = staying._coordinator.generation, staying.assignment()
            assert await ended(worker) == Exit.STOPPED
            worker = await started(settings, 22, tmp_path)
            for _ in range(50):  # 5 s: more than a heartbeat
                await staying.getmany(timeout_ms=100)
            assert (staying._coordinator.generation, staying.assignment()) == (generation, parts), "it rebalanced"

            with pytest.raises(InstanceTaken, match=f"{SINK} --instance 22 runs already"):
                await leave(settings, SINK, 22)
            assert await ended(worker) == Exit.STOPPED
            for _ in range(50):
                await staying.getmany(timeout_ms=100)
            assert staying.assignment() == parts, "a stop alone gave the partitions up"

            assert (await leave(settings, SINK, 22)).startswith(f"{member_of(SINK, 22)} is out of {group_of(SINK)}:")
            assert await until_owned(staying, every, 30) < 15, "it took as long as the session's timeout"
            assert "is not in gigz-sink-clickhouse" in await leave(settings, SINK, 22)
    finally:
        worker.kill()
        worker.wait()


async def ended(worker: "subprocess.Popen[bytes]") -> int:
    """Its exit code after SIGTERM."""
    worker.send_signal(signal.SIGTERM)
    return await asyncio.to_thread(worker.wait, 10)


async def started(settings: Settings, instance: int, folder: Path) -> "subprocess.Popen[bytes]":
    """A worker of the sink that has begun to read."""
    with (folder / f"{instance}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - begins, and is not waited for
            command("worker", SINK, "--instance", str(instance)), env=environment_for(settings), stderr=log
        )
    async with asyncio.timeout(60):
        while b'"started"' not in (folder / f"{instance}.log").read_bytes():
            assert process.poll() is None, (folder / f"{instance}.log").read_text()
            await asyncio.sleep(0.1)
    return process


@pytest.mark.stack
async def test_leaving_wants_to_know_whether_the_process_lives(here: Settings) -> None:
    with pytest.raises(SettingsError, match="only it knows whether sink-clickhouse --instance 2 lives"):
        await leave(away(here), "sink-clickhouse", 2)


async def test_a_stage_without_a_group_has_nothing_to_leave(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert "Nothing to do" in await leave(settings, "relay", 1)
    with pytest.raises(SettingsError, match=r"there is no stage 'matchh'\. Remedy: one of normalise"):
        await leave(settings, "matchh", 1)


@pytest.mark.parametrize("moment", ["the command", "after it"])
def test_the_command_refuses_a_stage_that_is_none_and_its_logs_end_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moment: str
) -> None:
    if moment == "the command":
        monkeypatch.setattr(gigz, "_settings", lambda: Settings(home=tmp_path))
        done = CliRunner().invoke(gigz.app, ["worker", "matchh", "--leave"])
        assert done.exit_code == Exit.SETTINGS
    else:  # the runner's stream, on which the command logged, is closed by now
        structlog.get_logger().warning("heard")
        logging.getLogger("deploy").warning("heard")
        assert "stage" not in structlog.contextvars.get_contextvars()
