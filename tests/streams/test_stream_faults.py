"""A world that breaks around the stages: what they wait for, what ends them and with which code; nothing is lost."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import kafka_admin
from deploy.failures import Exit
from deploy.flow import gauge
from deploy.instances import leave
from deploy.local import stack as local_stack
from deploy.local.processes import Processes
from deploy.outbox import put_in_outbox
from deploy.settings import Settings
from deploy.topics import apply_topics
from matchers.normalise import normalise
from schemas.history import Entry
from schemas.listing import Listing
from schemas.message import Message
from schemas.outgoing import Outgoing, outgoing
from schemas.raw import RawEvent, RawVenue
from schemas.wanted import Wanted
from tests.proxy import proxy_to
from tests.streams.conftest import Workers, committed, everything_in, rows, send, until
from tests.streams.support import entry, listing, raw
from tests.streams.test_workers import STAGES, expected, some_raws, stored, until_idle

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]


def sent(message: Message) -> Outgoing:
    return outgoing(message, trace=uuid4().hex, stage="test")


def lines(workers: Workers, stage: str, event: str, instance: int = 0) -> list[dict[str, object]]:
    """What a worker logged of one kind."""
    found = []
    for line in workers.log(stage, instance).read_text().splitlines():
        if line.startswith("{"):
            told = json.loads(line)
            if told.get("event") == event:
                found.append(told)
    return found


async def waits(settings: Settings, stage: str) -> int:
    async with gauge(settings) as reading:
        return await reading.waiting(stage) + (await reading.waiting("rematch") if stage == "match" else 0)


# -- a graceful stop -----------------------------------------------------------------------------------------------


def work_for(stage: str, mark: str, count: int) -> list[Outgoing]:
    """Messages that keep a stage busy for a second or two."""
    match stage:
        case "normalise":
            return [sent(one) for one in some_raws(mark, count // 2)]
        case "resolve":
            found = [normalise(one) for one in some_raws(mark, count // 2)]
            return [sent(one) for some in found for one in some if isinstance(one, Listing)]  # type: ignore[union-attr]
        case "match":
            return [sent(entry(f"{mark}{n % 5}", f"e{n}", artist=f"Owl {n % 7}", date="2017")) for n in range(count)]
    return [Outgoing(Wanted.topic, f"{mark}{n}", f"{mark}{n}", b"{}", {"trace": "t"}) for n in range(count)]


@pytest.mark.parametrize("stage", STAGES)
async def test_sigterm_under_load_ends_a_stage_within_ten_seconds_with_its_batch_committed(
    settings: Settings, engine: AsyncEngine, workers: Workers, stage: str
) -> None:
    mark, total = f"stop{stage}", 0
    for _ in range(3):
        records = work_for(stage, mark, 600)
        if stage == "relay":
            async with engine.begin() as connection:
                await put_in_outbox(connection, records, settings.outbox_shards)
            total += len(records)
        else:
            await send(settings, records)
    if stage != "relay":
        total = await waits(settings, stage)
    logged = ("published", "records") if stage == "relay" else ("batch", "read")
    quick: dict[str, Any] = {"batch_size": 20, "outbox_poll_s": 0.01}
    slow = "import streams.relay as relays; relays.BATCH = 40"
    seen = 0
    for _ in range(2):
        process = workers.start(stage, before=slow, **quick)
        await workers.until_logged(f'"event": "{logged[0]}"', stage, times=seen + 3)
        began = time.monotonic()
        process.terminate()
        assert await asyncio.to_thread(process.wait, 10) == Exit.STOPPED
        assert time.monotonic() - began < 10
        seen = len(lines(workers, stage, logged[0]))
    assert await waits(settings, stage) > 0, "there was no load any more"
    workers.start(stage, **quick)

    async def nothing_waits() -> bool:
        return await waits(settings, stage) == 0

    await until(nothing_waits, "the rest is read")
    read = sum(int(str(line[logged[1]])) for line in lines(workers, stage, logged[0]))
    assert read == total, "something was read twice: it was done, and not committed"


# -- a store that is away ------------------------------------------------------------------------------------------


async def test_a_store_that_accepts_and_never_answers_ends_resolve_with_its_code_and_the_offset_unmoved(
    settings: Settings, workers: Workers
) -> None:
    with proxy_to(settings.engine_url("postgres")) as proxy:
        process = workers.start("resolve", postgres_url=proxy.url, retry_deadline_s=3.0)
        await workers.until_logged('"started"', "resolve")
        before = await committed(settings, "gigz-resolve", Listing.topic)
        proxy.silent.set()
        await send(settings, [sent(listing("silent", "1", "Low", "2019-06-01"))])
        assert await asyncio.to_thread(process.wait, 90) == Exit.AWAY
    (last,) = lines(workers, "resolve", "halted")
    assert "GIGZ_POSTGRES_URL" in str(last["why"]) and "never answered" in str(last["why"]), last
    assert "Remedy" in str(last["why"]) and last["exit_code"] == Exit.AWAY
    assert await committed(settings, "gigz-resolve", Listing.topic) == before


@pytest.mark.parametrize("stage", ["resolve", "match", "relay"])
@pytest.mark.long
async def test_a_stop_does_not_wait_for_a_store_that_never_answers(
    settings: Settings, engine: AsyncEngine, workers: Workers, stage: str
) -> None:
    with proxy_to(settings.engine_url("postgres")) as proxy:
        process = workers.start(stage, postgres_url=proxy.url)
        await workers.until_logged('"started"', stage)
        proxy.silent.set()
        if stage == "relay":
            async with engine.begin() as connection:
                await put_in_outbox(connection, work_for(stage, "deaf", 5), settings.outbox_shards)
        await send(settings, work_for("resolve", "deaf", 4) + work_for("match", "deaf", 4))
        await asyncio.sleep(2)
        began = time.monotonic()
        process.terminate()
        assert await asyncio.to_thread(process.wait, 12) == Exit.STOPPED
        assert time.monotonic() - began < 10


@pytest.mark.long
async def test_kafka_that_hangs_is_waited_for_and_a_stop_does_not_wait(settings: Settings, workers: Workers) -> None:
    broker = Processes(settings.home).find("kafka")
    assert broker is not None
    process = workers.start("normalise")
    await workers.until_logged('"started"', "normalise")
    await send(settings, work_for("normalise", "before", 4))
    await workers.until_logged('"event": "batch"', "normalise")
    total = await waits(settings, "normalise")
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(4)
        began = time.monotonic()
        process.terminate()
        assert await asyncio.to_thread(process.wait, 12) == Exit.STOPPED
        assert time.monotonic() - began < 10
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    assert total >= 0


POLLS = "import streams.main; streams.main.check_deadline = lambda settings: None"
"""A store away for longer than the poll interval: the check of the settings forbids it, the mechanism must bear it."""


@pytest.mark.long
async def test_a_member_stays_in_its_group_while_its_store_is_away_longer_than_the_poll_interval(
    settings: Settings, engine: AsyncEngine, workers: Workers
) -> None:
    with proxy_to(settings.engine_url("postgres")) as proxy:
        # More than Faust's buffer holds, so that every partition is paused.
        records = work_for("match", "patient", 3_000)
        waiting: dict[str, Any] = {"poll_interval_s": 4.0, "retry_deadline_s": 90.0, "postgres_connect_timeout_s": 1}
        workers.start("match", before=POLLS, postgres_url=proxy.url, **waiting)
        await workers.until_logged('"started"', "match")
        await send(settings, records[:50])
        await workers.until_logged('"event": "batch"', "match")
        before = await rebalances_of(settings, "match")
        proxy.away.set()
        await send(settings, records[50:])
        await workers.until_logged('"event": "retry"', "match")
        await asyncio.sleep(14)
        assert await rebalances_of(settings, "match") == before, "it left its group, and came back"
        proxy.away.clear()

        async def all_stored() -> bool:
            return await rows(engine, "select count(*) from state.entries where user_id like 'patient%'") == [(3_000,)]

        await until(all_stored, "everything fetched is stored")
        assert await rebalances_of(settings, "match") == before


async def rebalances_of(settings: Settings, stage: str) -> int:
    """How often a worker's partitions were shared out, as it tells Prometheus."""
    (told,) = json.loads((settings.home / "metrics" / f"{stage}-0.json").read_text())

    def read() -> str:
        with urllib.request.urlopen(f"http://{told['targets'][0]}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    (line,) = [one for one in (await asyncio.to_thread(read)).splitlines() if one.startswith("gigz_rebalances_total")]
    return int(float(line.rpartition(" ")[2]))


# -- the broker ----------------------------------------------------------------------------------------------------


@pytest.mark.long
async def test_a_broker_that_restarts_under_load_costs_time_only(
    engines: Settings, settings: Settings, engine: AsyncEngine, workers: Workers
) -> None:
    raws = some_raws("restart", 200)
    for stage in STAGES:
        workers.start(stage)
    for stage in STAGES:
        await workers.until_logged('"started"', stage)
    await send(settings, [sent(one) for one in raws[:200]])
    await workers.until_logged('"event": "batch"', "resolve")
    await asyncio.to_thread(Processes(settings.home).stop, "kafka")
    await asyncio.sleep(2)
    await asyncio.to_thread(local_stack.up, engines)
    await send(settings, [sent(one) for one in raws[200:]])
    await until_idle(settings)
    assert await stored(engine, "restart") == expected(raws, [])
    assert all(process.poll() is None for process in workers.running.values()), "a worker gave up"


@pytest.mark.long
async def test_a_rebalance_under_load_loses_nothing(settings: Settings, engine: AsyncEngine, workers: Workers) -> None:
    raws = some_raws("moving", 300)
    written: list[Entry] = [entry("moving", f"e{n}", artist=f"moving Lantern {n % 11}", date="2017") for n in range(30)]
    for stage in STAGES:
        workers.start(stage)
    for stage in STAGES:
        await workers.until_logged('"started"', stage)
    await send(settings, [sent(one) for one in [*raws[:200], *written[:15]]])
    await workers.until_logged('"event": "batch"', "resolve")
    for stage in STAGES:
        workers.start(stage, 1)
    await send(settings, [sent(one) for one in raws[200:400]])
    for stage in STAGES:
        await workers.until_logged('"started"', stage, 1)
    await send(settings, [sent(one) for one in [*raws[400:], *written[15:]]])
    for stage in STAGES:
        workers.running[f"{stage}-0"].terminate()
    for stage in STAGES:
        assert await asyncio.to_thread(workers.running[f"{stage}-0"].wait, 10) == Exit.STOPPED
        await leave(settings, stage, 0)
    await until_idle(settings)
    assert await stored(engine, "moving") == expected(raws, written)


# -- messages, topics, partitions that are not there ---------------------------------------------------------------


async def drop(settings: Settings, topic: str, before: int) -> None:
    """What retention does: the messages before an offset of every partition are gone."""
    parts = {TopicPartition(topic, p): RecordsToDelete(before_offset=before) for p in range(settings.partitions)}
    async with kafka_admin(settings) as admin:
        await admin.delete_records(parts, 10_000)


async def test_messages_that_retention_took_stop_it_until_a_person_says_go_on(
    settings: Settings, workers: Workers
) -> None:
    first = workers.start("normalise")
    await workers.until_logged('"started"', "normalise")
    await send(settings, work_for("normalise", "kept", 40))

    async def nothing_waits() -> bool:
        return await waits(settings, "normalise") == 0

    await until(nothing_waits, "all is read")
    first.terminate()
    assert await asyncio.to_thread(first.wait, 10) == Exit.STOPPED
    was = await committed(settings, "gigz-normalise", RawEvent.topic)
    lost = work_for("normalise", "lost", 80)
    await send(settings, lost)
    await drop(settings, RawEvent.topic, -1)  # up to the end
    kept = [raw("after", str(n), "Low", "2019-06-01") for n in range(20)]
    await send(settings, [sent(one) for one in kept])

    stopped = workers.start("normalise")
    assert await asyncio.to_thread(stopped.wait, 90) == Exit.GONE
    (told,) = lines(workers, "normalise", "halted")
    why = str(told["why"])
    assert f"{RawEvent.topic} partition" in why and "messages are gone" in why and "offset" in why
    assert "gigz worker normalise --instance 0 --reset-offsets" in why
    assert await committed(settings, "gigz-normalise", RawEvent.topic) == was

    workers.start("normalise", 0, "reset")

    async def arrived() -> bool:
        found = await everything_in(settings, Listing.topic)
        return {one.key for one in found if one.key.startswith("after:")} == {f"after:{n}" for n in range(20)}

    await until(arrived, "what came after is read")
    gone = [int(str(line["gone"])) for line in lines(workers, "normalise", "offset reset")]
    assert sum(gone) == len(lost), "it tells how many are gone"
    await until(nothing_waits, "all is committed")


async def test_a_topic_that_is_missing_at_the_start_is_named_with_the_remedy(
    settings: Settings, workers: Workers
) -> None:
    await without_topic(settings, RawVenue.topic)
    try:
        process = workers.start("normalise")
        assert await asyncio.to_thread(process.wait, 90) == 2  # a SettingsError; `gigz worker` makes 78 of it
        said = workers.log("normalise").read_text()
        assert f"Kafka has no topic {RawVenue.topic}" in said and "gigz topics apply" in said
    finally:
        await with_topics(settings)


@pytest.mark.long
async def test_a_topic_that_goes_while_it_is_read_ends_the_stage(settings: Settings, workers: Workers) -> None:
    hasty = "import deploy.inputs as i; i.MISSING_S, i.LOOK_EVERY_S = 2.0, 0.5"
    process = workers.start("normalise", before=hasty)
    await workers.until_logged('"started"', "normalise")
    await asyncio.sleep(3)
    await without_topic(settings, RawVenue.topic)
    try:
        assert await asyncio.to_thread(process.wait, 90) == Exit.GONE
        (told,) = lines(workers, "normalise", "halted")
        assert f"{RawVenue.topic} has 0 of {settings.partitions} partitions" in str(told["why"])
    finally:
        await with_topics(settings)


async def without_topic(settings: Settings, topic: str) -> None:
    async with kafka_admin(settings) as admin:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await until(gone, "the topic is deleted")


async def with_topics(settings: Settings) -> None:
    async def made() -> bool:
        try:
            await apply_topics(settings)
        except KafkaError:  # its deletion is not over
            return False
        return True

    await until(made, "the topics are there again")


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning(settings: Settings, workers: Workers) -> None:
    """Kafka forgets the group's commits with the topic that is deleted."""
    first = workers.start("normalise")
    await workers.until_logged('"started"', "normalise")
    await send(settings, work_for("normalise", "old", 80))

    async def nothing_waits() -> bool:
        return await waits(settings, "normalise") == 0

    await until(nothing_waits, "all is read")
    first.terminate()
    assert await asyncio.to_thread(first.wait, 10) == Exit.STOPPED
    await without_topic(settings, RawEvent.topic)
    await with_topics(settings)
    anew = [raw("anew", str(n), "Low", "2019-06-01") for n in range(8)]
    await send(settings, [sent(one) for one in anew])
    workers.start("normalise")

    async def arrived() -> bool:
        found = {one.key for one in await everything_in(settings, Listing.topic)}
        return {f"anew:{n}" for n in range(8)} <= found

    await until(arrived, "the new topic is read from its beginning")
    await until(nothing_waits, "all is committed")


# -- too much is bad -----------------------------------------------------------------------------------------------


async def test_a_stage_that_rejects_too_much_halts_with_its_code_and_the_offset_before_the_batch(
    settings: Settings, workers: Workers
) -> None:
    poison = [Outgoing(RawEvent.topic, f"halt{n}", f"halt{n}", b"\xff\x00 no JSON", {}) for n in range(120)]
    process = workers.start("normalise", rejection_window=100, batch_size=10)
    await workers.until_logged('"started"', "normalise")
    await send(settings, poison)
    assert await asyncio.to_thread(process.wait, 90) == Exit.HALTED
    (told,) = lines(workers, "normalise", "halted")
    assert "GIGZ_REJECTION_SHARE_LIMIT" in str(told["why"]) and "gigz rejections" in str(told["why"])
    done = sum(int(str(line["read"])) for line in lines(workers, "normalise", "batch"))
    assert done <= 51 and await waits(settings, "normalise") >= 120 - done
    process = workers.start("normalise", rejection_share_limit=1.0)  # what a person does who finds the reasons right

    async def nothing_waits() -> bool:
        return await waits(settings, "normalise") == 0

    await until(nothing_waits, "the rest becomes rejections")


# -- a disk that is full -------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(engines: Settings) -> Iterator[Path]:
    """The broker's data on a file system of 60 MB; skipped where none can be mounted."""
    data = engines.home / "kafka" / "data"
    aside = engines.home / "kafka" / "aside"
    processes = Processes(engines.home)
    processes.stop("kafka")
    data.rename(aside)
    data.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "gigz", str(data)], capture_output=True)
    if mounted.returncode:
        data.rmdir()
        aside.rename(data)
        local_stack.up(engines)
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        shutil.copytree(aside, data, dirs_exist_ok=True)
        local_stack.up(engines)
        yield data
    finally:
        processes.stop("kafka")
        shutil.copytree(data, aside, dirs_exist_ok=True)
        subprocess.run(["umount", str(data)], check=True)
        data.rmdir()
        aside.rename(data)
        local_stack.up(engines)


@pytest.mark.long
async def test_a_disk_that_is_full_under_kafka_ends_the_stage_and_space_lets_it_go_on(
    engines: Settings, settings: Settings, engine: AsyncEngine, workers: Workers, small_disk: Path
) -> None:
    process = workers.start("normalise", retry_deadline_s=6.0)
    await workers.until_logged('"started"', "normalise")
    raws = some_raws("disk", 40)
    await send(settings, [sent(one) for one in raws[:40]])
    await workers.until_logged('"event": "batch"', "normalise")
    with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while filler.write(b"\0" * 16_384):
            pass
    try:
        async with asyncio.timeout(20):
            await send(settings, [sent(one) for one in raws[40:]])
            raise AssertionError("the disk was not full")
    except (KafkaError, TimeoutError):
        pass
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    (small_disk / "filler").unlink()
    await asyncio.to_thread(Processes(settings.home).stop, "kafka")
    await asyncio.to_thread(local_stack.up, engines)
    if process.poll() is None:
        process.terminate()
    assert await asyncio.to_thread(process.wait, 90) in {Exit.STOPPED, Exit.AWAY}
    workers.start("normalise")
    workers.start("resolve")
    await send(settings, [sent(one) for one in raws[40:]])
    await send(settings, [sent(one) for one in raws[:40]])

    async def all_stored() -> bool:
        return (await stored(engine, "disk"))[0] == expected(raws, [])[0]

    await until(all_stored, "everything is there")
