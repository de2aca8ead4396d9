"""What a process tells of itself, and that it tells it while everything else hangs. On the stack: that it is true."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import structlog
from aiokafka.errors import KafkaConnectionError
from prometheus_client import generate_latest

from deploy.meters import (
    Machine,
    RelayMeters,
    SchedulerMeters,
    SpiderFigures,
    StageMeters,
    answer,
    operation_of,
    serving,
    watch,
)
from deploy.progress import Progress, Waiting
from deploy.settings import Settings, SettingsError, load
from deploy.watching.readings import Samples, parse
from schemas.outgoing import Origin, Outgoing
from schemas.raw import RawEvent
from streams import retry
from streams import stage as frames
from streams.normalise import normalise_batch
from streams.record import Record
from streams.retry import GaveUp
from streams.stage import Frame
from tests.streams.support import clock, raw

TOPIC = "gigz.listing.v1"


@pytest.fixture(autouse=True)
def logging_anew() -> None:
    """A command that another test ran in this process may have left the log with a file that is closed by now."""
    structlog.reset_defaults()


def told(meters: Any) -> Samples:
    """The page as a scraper reads it."""
    return parse(generate_latest(meters.registry).decode())


def value(samples: Samples, name: str, **labels: str) -> float | None:
    """Of the one series with these labels."""
    found = [number for of, number in samples.get(name, ()) if labels.items() <= of.items()]
    assert len(found) <= 1, f"{name} {labels}: {found}"
    return found[0] if found else None


# -- counting -----------------------------------------------------------------------------------------------------


def test_a_batch_is_counted_by_topic_and_its_rejections_by_reason() -> None:
    meters = StageMeters("resolve")
    for _ in range(2):
        meters.batch({TOPIC: 500, "gigz.venue.v1": 1})
        meters.refused({"bad_date": 3})
        meters.published({"gigz.artist.v1": 7})
    samples = told(meters)
    assert value(samples, "gigz_messages_consumed_total", stage="resolve", topic=TOPIC) == 1_000
    assert value(samples, "gigz_messages_rejected_total", stage="resolve", reason="bad_date") == 6
    assert value(samples, "gigz_messages_produced_total", topic="gigz.artist.v1") == 14
    assert value(samples, "gigz_batch_messages_bucket", topic=TOPIC, le="250.0") == 0
    assert value(samples, "gigz_batch_messages_bucket", topic=TOPIC, le="500.0") == 2


def test_a_step_that_fails_took_its_time_too() -> None:
    meters = StageMeters("resolve")
    with pytest.raises(ZeroDivisionError), meters.step("handle"):
        raise ZeroDivisionError
    assert value(told(meters), "gigz_step_duration_seconds_count", stage="resolve", step="handle") == 1


def test_a_store_that_fails_is_waited_for_until_it_is_back() -> None:
    meters = StageMeters("resolve", Progress(120.0))
    meters.retry("postgres", "57P01", time.monotonic() + 60)
    meters.retry("postgres", "57P01", time.monotonic() + 60)
    samples = told(meters)
    assert value(samples, "gigz_store_retries_total", store="postgres", code="57P01") == 2
    assert value(samples, "gigz_store_waiting_seconds", store="postgres") == pytest.approx(0, abs=1)
    meters.progress.back()
    assert value(told(meters), "gigz_store_waiting_seconds") is None


def test_partitions_that_went_to_another_process_are_none() -> None:
    meters = StageMeters("resolve")
    one, two = SimpleNamespace(topic=TOPIC), SimpleNamespace(topic="gigz.venue.v1")
    meters.holds([one, one, two], [one])
    meters.holds([two], [])
    samples = told(meters)
    assert value(samples, "gigz_partitions_assigned", topic=TOPIC) == 0
    assert value(samples, "gigz_partitions_assigned", topic="gigz.venue.v1") == 1
    assert value(samples, "gigz_partitions_paused", topic=TOPIC) == 0


def test_rebalances_are_counted_once_each() -> None:
    meters = StageMeters("resolve")
    for times in (0, 1, 1, 3):
        meters.rebalanced(times)
    assert value(told(meters), "gigz_rebalances_total", stage="resolve") == 3


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("SELECT 1", "select"),
        ("\n    with x as (select 1) insert into y select * from x", "select"),
        ("insert into state.outbox", "insert"),
        ("vacuum", "other"),
        ("", "other"),
    ],
)
def test_statements_are_told_by_a_few_verbs(statement: str, operation: str) -> None:
    assert operation_of(statement) == operation


def test_memory_is_measured_against_the_containers_limit_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("900000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 200000\n")
    memory, disk = Machine(tmp_path, tmp_path).collect()
    assert memory.samples[0].value == pytest.approx(0.7)
    assert 0 < disk.samples[0].value <= 1
    (tmp_path / "memory.max").write_text("max\n")
    memory, _ = Machine(tmp_path / "gone", tmp_path).collect()
    assert 0 < memory.samples[0].value <= 1


def test_a_scheduler_that_stands_by_tells_nothing_of_spiders(tmp_path: Path) -> None:
    meters = SchedulerMeters(load({"home": tmp_path}), wall=lambda: 1_000.0)
    meters.spiders.figures = SpiderFigures({"failed": 2}, {"bimhuis": 400.0}, {"bimhuis": True}, {}, {"bimhuis": 9})
    meters.round("done", active=True)
    samples = told(meters)
    assert value(samples, "gigz_scheduler_active") == 1
    assert value(samples, "gigz_runs", state="failed") == 2
    assert value(samples, "gigz_run_last_good_age_seconds", spider="bimhuis") == 600
    assert value(samples, "gigz_run_last_bad", spider="bimhuis") == 1
    assert value(samples, "gigz_spool_bytes", spider="bimhuis") == 9
    meters.round("standby", active=False)
    samples = told(meters)
    assert (value(samples, "gigz_scheduler_active"), value(samples, "gigz_runs", state="failed")) == (0, None)
    assert value(samples, "gigz_scheduler_rounds_total", outcome="standby") == 1
    assert meters.progress.dead() == meters.progress.unready() == ""


# -- through the stages' frame, without a broker --------------------------------------------------------------------


def frame(**changed: Any) -> Frame:
    settings = load({"kafka_url": "localhost:1", "postgres_url": "postgresql://u:p@localhost:1/db", **changed})
    return Frame(settings, "normalise", None, clock)  # type: ignore[arg-type]


def raw_records(good: int, bad: int) -> list[Record]:
    values = [raw("s", str(n), "Low", "2019-06-01").to_bytes() for n in range(good)] + [b"\xff no json"] * bad
    return [Record(Origin(RawEvent.topic, 0, n), f"s:{n}", body, {"trace": "a" * 32}) for n, body in enumerate(values)]


async def test_a_frame_counts_what_it_read_published_and_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    async def publish(_: object, records: Sequence[Outgoing], __: int) -> int:
        return len(records)

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        return normalise_batch(batch, RawEvent, clock())

    monkeypatch.setattr(frames, "publish", publish)
    one = frame()
    await one.run(raw_records(9, 2), handle)
    samples = told(one.meters)
    assert value(samples, "gigz_messages_consumed_total", stage="normalise", topic=RawEvent.topic) == 11
    assert value(samples, "gigz_messages_produced_total", topic=TOPIC) == 9
    assert value(samples, "gigz_messages_rejected_total", reason="not_json") == 2
    for step in ("handle", "publish"):
        assert value(samples, "gigz_step_duration_seconds_count", step=step) == 1


async def test_a_frame_counts_failures_of_a_store_by_their_code(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([KafkaConnectionError("gone"), KafkaConnectionError("gone")])

    async def publish(_: object, records: Sequence[Outgoing], __: int) -> int:
        for failure in failures:
            raise failure
        return len(records)

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        return []

    monkeypatch.setattr(frames, "publish", publish)
    one = frame()
    await one.run(raw_records(1, 0), handle)
    assert value(told(one.meters), "gigz_store_retries_total", store="kafka", code="KafkaConnectionError") == 2
    assert one.meters.progress.waits_for is None, "it is back"


async def test_who_gives_up_still_waits_and_says_for_what(monkeypatch: pytest.MonkeyPatch) -> None:
    async def publish(_: object, records: Sequence[Outgoing], __: int) -> int:
        raise KafkaConnectionError("gone")

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        return []

    monkeypatch.setattr(frames, "publish", publish)
    one = frame(retry_deadline_s=0.5)
    one.meters.progress.sample({})
    with pytest.raises(GaveUp):
        await one.run(raw_records(1, 0), handle)
    assert "kafka (KafkaConnectionError)" in one.meters.progress.unready()
    assert value(told(one.meters), "gigz_messages_consumed_total", topic=RawEvent.topic) is None, "nothing was done"


def test_the_code_of_a_failure_is_short_and_the_same_every_time() -> None:
    assert retry.code_of(KafkaConnectionError("connection 17 to host-3 at 12:00")) == "KafkaConnectionError"


# -- answering ----------------------------------------------------------------------------------------------------


def test_probes_answer_with_a_reason() -> None:
    now = 0.0
    progress = Progress(120.0, clock=lambda: now, wall=lambda: now)
    meters = StageMeters("resolve", progress)
    assert answer(meters, "/live")[::2] == (200, b"resolve: it is starting\n")
    assert answer(meters, "/ready")[::2] == (503, b"resolve: it is starting\n")
    progress.sample({TOPIC: Waiting(7, now)})
    assert answer(meters, "/live")[::2] == answer(meters, "/ready")[::2] == (200, b"resolve: ok\n")
    meters.retry("postgres", "57P01", 110.0)
    waits = b"resolve: it waits for postgres (57P01) since 0 s, for 110 s more\n"
    assert answer(meters, "/live")[::2] == (200, waits)
    assert answer(meters, "/ready")[::2] == (503, waits)
    now = 121.0
    progress.sample({TOPIC: Waiting(7, now)})
    stuck = f"resolve: {TOPIC}: 7 messages wait and the commit has not moved for 121 s\n".encode()
    assert answer(meters, "/live")[::2] == (503, stuck)
    assert answer(meters, "/anything")[0] == 404


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"home": tmp_path, "metrics_port": 0})


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=2, trust_env=False) as one:
        yield one


@pytest.mark.network
def test_a_worker_says_where_it_listens_as_prometheus_reads_it_and_takes_it_back(
    settings: Settings, client: httpx.Client
) -> None:
    file = settings.home / "metrics" / "relay-3.json"
    meters = RelayMeters()
    before = threading.active_count()
    with serving(settings, meters, 3) as endpoint:
        address = endpoint.address
        [entry] = json.loads(file.read_text())
        assert entry["targets"] == [address] and entry["labels"]["instance"] == "relay-3"
        assert all(isinstance(text, str) for text in entry["labels"].values())
        page = client.get(f"http://{address}/metrics?name=x")
        assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "gigz_outbox_rows" in page.text and "process_resident_memory_bytes" in page.text
        assert "_created" not in page.text
        assert client.head(f"http://{address}/live").content == b""
        assert client.post(f"http://{address}/live").status_code == 501
        assert endpoint.ended(0) == 0
    assert not file.exists() and threading.active_count() <= before + 1
    with pytest.raises(httpx.ConnectError):
        client.get(f"http://{address}/live")


@pytest.mark.network
@pytest.mark.parametrize("ending", ["an exit code", "an error"])
def test_a_worker_that_gives_up_leaves_its_file_for_it_is_down(settings: Settings, ending: str) -> None:
    with suppress(ZeroDivisionError), serving(settings, StageMeters("resolve"), 1) as endpoint:
        if ending == "an error":
            raise ZeroDivisionError
        assert endpoint.ended(75) == 75
    assert (settings.home / "metrics" / "resolve-1.json").exists()


@pytest.mark.network
def test_a_successor_with_the_same_number_keeps_its_file(settings: Settings) -> None:
    file = settings.home / "metrics" / "resolve-1.json"
    with serving(settings, StageMeters("resolve"), 1) as endpoint:
        endpoint.ended(0)
        file.write_text('[{"targets": ["127.0.0.1:1"], "labels": {}}]')
    assert file.exists()


@pytest.mark.network
def test_a_port_that_is_taken_is_told_by_its_setting(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        fixed = settings.model_copy(update={"metrics_port": taken.getsockname()[1]})
        with pytest.raises(SettingsError, match=r"GIGZ_METRICS_PORT=.*Remedy"), serving(fixed, StageMeters("x"), 1):
            pass


@pytest.mark.network
async def test_a_blocked_event_loop_is_told_while_it_is_blocked(settings: Settings) -> None:
    meters = StageMeters("resolve", Progress(limit_s=1.0))
    watching = asyncio.create_task(watch(lambda: meters.progress.sample({})))
    await asyncio.sleep(0)
    answers: list[tuple[float, int, str]] = []

    def probe(address: str) -> None:
        with httpx.Client(timeout=1, trust_env=False) as client:
            for _ in range(12):
                began = time.monotonic()
                live = client.get(f"http://{address}/live")
                answers.append((time.monotonic() - began, live.status_code, live.text))
                time.sleep(0.2)

    with serving(settings, meters, 1) as endpoint:
        address = endpoint.address
        prober = threading.Thread(target=probe, args=(address,))
        prober.start()
        time.sleep(2.6)  # noqa: ASYNC251 - the fault
        await asyncio.to_thread(prober.join)
    watching.cancel()
    assert answers[0][1] == 200 and answers[-1][1] == 503
    assert answers[-1][2].startswith("resolve: the event loop has been blocked for")
    assert max(seconds for seconds, _, _ in answers) < 1
