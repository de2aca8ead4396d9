"""A world that breaks around the sinks: what they wait for, what ends them and with which code; nothing is lost."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from deploy.clients import kafka_admin
from deploy.failures import Exit
from deploy.local import stack as local_stack
from deploy.local.workers import command
from deploy.settings import Settings, SettingsError, environment_for
from schemas.listing import Listing
from schemas.outgoing import Origin, Outgoing, reject
from schemas.rejection import Reason, Rejection
from schemas.topics import read_by
from sinks import main as sinks_main
from sinks.main import Store, run_sink
from sinks.pump import Ownership
from tests.proxy import proxy_to
from tests.sinks.support import a_concert, sent
from tests.sinks.test_sinks_on_the_stack import (
    STORES,
    ask_postgres,
    concerts_in,
    produce,
    produce_raw,
    running,
    sink_all,
    stop_engine,
    until,
    until_read,
    waiting,
)

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]


@pytest.mark.parametrize("store", STORES)
@pytest.mark.long
async def test_a_store_that_accepts_and_never_answers_ends_the_sink_with_its_code_and_the_offset_unmoved(
    laid: Settings, store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    await sink_all(laid, stores=[store])
    with proxy_to(laid.engine_url(store)) as proxy:
        hasty = laid.model_copy(update={f"{store}_url": proxy.url, "retry_deadline_s": 3.0})
        stop = asyncio.Event()
        task = asyncio.create_task(run_sink(hasty, store, 1, stop))
        await produce(laid, [sent(a_concert(f"heard by {store}"))])
        await until_read(laid, [store])
        proxy.silent.set()
        await produce(laid, [sent(a_concert(f"unheard by {store}"))])
        assert await asyncio.wait_for(task, 60) == Exit.AWAY
    told = "".join(capfd.readouterr())
    assert f"GIGZ_{store.upper()}_URL" in told and "did not answer" in told and "start this worker again" in told
    assert await waiting(laid, store) == 1
    await sink_all(laid, stores=[store])
    assert await concerts_in(laid, store, [f"heard by {store}", f"unheard by {store}"]) == 2


Start = Callable[[Store, Settings], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts `gigz worker sink-STORE`; none outlives the test. What it logs is in STORE.log."""
    processes: list[asyncio.subprocess.Process] = []

    async def one(store: Store, settings: Settings) -> asyncio.subprocess.Process:
        path = tmp_path / f"{store}.log"
        before = path.read_text().count('"started"') if path.exists() else 0
        with path.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command("worker", f"sink-{store}"), env=environment_for(settings), stdout=log, stderr=log
            )
        processes.append(process)

        async def started() -> bool:
            assert process.returncode is None, path.read_text()
            return path.read_text().count('"started"') > before

        await until("it starts", started)
        return process

    yield one
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, float]:
    """Exit code after SIGTERM, and how long it took."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.wait(), 15)
    return process.returncode, time.monotonic() - began


@pytest.mark.parametrize("store", STORES)
async def test_a_stop_does_not_wait_for_a_silent_store(laid: Settings, start: Start, store: Store) -> None:
    with proxy_to(laid.engine_url(store)) as proxy:
        process = await start(store, laid.model_copy(update={f"{store}_url": proxy.url}))
        proxy.silent.set()
        await produce(laid, [sent(a_concert(f"never {store}"))])
        await asyncio.sleep(3)
        code, took = await ended(process)
    assert code == Exit.STOPPED
    assert took < 10
    await sink_all(laid, stores=[store])


@pytest.mark.parametrize("store", STORES)
async def test_sigterm_under_load_ends_a_sink_within_ten_seconds_with_its_batch_committed(
    laid: Settings, start: Start, store: Store, tmp_path: Path
) -> None:
    names = [f"load {store} {n}" for n in range(3_000)]
    await sink_all(laid, stores=[store])
    await produce(laid, [sent(a_concert(name)) for name in names])
    total = await waiting(laid, store)
    small = laid.model_copy(update={"sink_batch_size": 50})
    log = tmp_path / f"{store}.log"

    def batches() -> list[int]:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        return [line["read"] for line in lines if line["event"] == "batch written"]

    for round_ in range(1, 3):
        process = await start(store, small)

        async def busy(least: int = 3 * round_) -> bool:
            return len(batches()) >= least

        await until("it is under load", busy)
        code, took = await ended(process)
        assert (code, took < 10) == (Exit.STOPPED, True)
    assert await waiting(laid, store) > 0, "there was no load any more"
    process = await start(store, laid)
    await until_read(laid, [store])
    assert (await ended(process))[0] == Exit.STOPPED
    assert sum(batches()) == total, "something was read twice: it was written, and not committed"
    assert await concerts_in(laid, store, names[-500:]) == 500


@pytest.mark.long
async def test_a_member_stays_in_its_group_while_its_store_is_away_for_longer_than_the_poll_interval(
    laid: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of the settings forbids it; the mechanism must bear it."""
    monkeypatch.setattr(sinks_main, "check_deadline", lambda settings: None)
    turns: list[Ownership] = []

    class Watched(Ownership):
        def __init__(self) -> None:
            super().__init__()
            turns.append(self)

    monkeypatch.setattr(sinks_main, "Ownership", Watched)
    short = laid.model_copy(update={"poll_interval_s": 3.0, "session_timeout_s": 6.0})
    names = [f"patient {n}" for n in range(50)]
    async with running(short, ["clickhouse"]):
        await produce(laid, [sent(a_concert("before the long pause"))])
        await until_read(laid, ["clickhouse"])
        turn = turns[0].turn
        await stop_engine(laid, "clickhouse")
        try:
            for name in names:
                await produce(laid, [sent(a_concert(name))])
                await asyncio.sleep(0.2)
        finally:
            await asyncio.to_thread(local_stack.up, laid)
        await until_read(laid, ["clickhouse"])
        assert turns[0].turn == turn, "it left its group, and came back"
    assert await concerts_in(laid, "clickhouse", names) == 50


def a_rejection(name: str, number: int) -> Outgoing:
    """Of a topic that is kept for a time; of the compacted ones nobody may delete the oldest."""
    origin = Origin(name, 0, number)
    return reject(
        Reason.NOT_JSON, "test", origin=origin, original=b"x", stage="test", at=datetime.now(UTC), trace="t" * 32
    )


async def test_messages_that_retention_took_stop_a_sink_until_a_person_says_go_on(
    laid: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    await sink_all(laid, [a_rejection("kept", n) for n in range(30)], ["postgres"])
    await produce(laid, [a_rejection("lost", n) for n in range(30)])
    parts = {TopicPartition(Rejection.topic, p): RecordsToDelete(before_offset=-1) for p in range(laid.partitions)}
    async with kafka_admin(laid) as admin:
        await admin.delete_records(parts, 10_000)
    await produce(laid, [a_rejection("after", n) for n in range(12)])
    assert await asyncio.wait_for(run_sink(laid, "postgres", 1, asyncio.Event()), 60) == Exit.GONE
    told = "".join(capfd.readouterr())
    assert f"{Rejection.topic} partition" in told and "messages are gone" in told
    assert "gigz worker sink-postgres --instance 1 --reset-offsets" in told
    stop = asyncio.Event()
    task = asyncio.create_task(run_sink(laid, "postgres", 1, stop, reset_offsets=True))
    await until_read(laid, ["postgres"])
    stop.set()
    assert await asyncio.wait_for(task, 20) == Exit.STOPPED
    [(count,)] = await ask_postgres(laid, "select count(*) from catalogue.rejections where origin_topic = 'after'")
    assert count == 12
    await sink_all(laid, stores=["postgres"])  # without the option: the new place was committed


@pytest.mark.parametrize("store", STORES)
async def test_topics_with_other_partitions_than_are_set_are_refused(laid: Settings, store: Store) -> None:
    other = laid.model_copy(update={"partitions": laid.partitions + 1})
    with pytest.raises(SettingsError, match=rf"has {laid.partitions} partitions, GIGZ_PARTITIONS is 7.*Remedy"):
        await run_sink(other, store, 1, asyncio.Event())


async def test_a_missing_topic_is_named_with_the_remedy(laid: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    topics = [*read_by("sink-postgres")]
    monkeypatch.setattr(sinks_main, "written_by", lambda stage: ())
    monkeypatch.setattr(sinks_main, "read_by", lambda stage: [*topics, _Absent()])
    with pytest.raises(SettingsError, match=r"no topic gigz\.absent\.v1\. Remedy: `gigz topics apply`"):
        await run_sink(laid, "postgres", 1, asyncio.Event())


class _Absent:
    name = "gigz.absent.v1"


async def test_a_sink_that_rejects_too_much_halts_with_its_code_and_commits_nothing_of_that_batch(
    laid: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    await sink_all(laid, stores=["clickhouse"])
    for _ in range(30):
        await produce_raw(laid, Listing.topic, b"test:halt", b"\x00 no JSON")
    strict = laid.model_copy(update={"rejection_window": 20})
    assert await asyncio.wait_for(run_sink(strict, "clickhouse", 1, asyncio.Event()), 60) == Exit.HALTED
    assert "GIGZ_REJECTION_SHARE_LIMIT" in "".join(capfd.readouterr())
    assert await waiting(laid, "clickhouse") > 0
    await sink_all(laid)
