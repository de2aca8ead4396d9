"""Crawls whose broker stops, dies or hangs, whose disk is full, which are killed themselves."""

import asyncio
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from deploy.local import stack as local
from deploy.local.processes import Processes
from deploy.migrate import migrate_postgres
from deploy.settings import Settings
from deploy.topics import apply_topics
from tests.spiders.running import Setlists, ended, setlist, setlists, setlists_of, started
from tests.support import running_engines

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
NOT_HERE = "http://127.0.0.1:1/none"
OTHERS = {"clickhouse_url": NOT_HERE, "meilisearch_url": NOT_HERE}
"""A crawl needs Kafka and PostgreSQL."""


@pytest.fixture(scope="module")
def engines() -> Iterator[Settings]:
    """Of these tests alone: they are stopped in the middle."""
    with running_engines("gigz-faults-", start_deadline_s=240.0, **OTHERS) as settings:
        asyncio.run(apply_topics(settings))
        migrate_postgres(settings)
        yield settings


@pytest.fixture(autouse=True)
def up_again(engines: Settings) -> Iterator[None]:
    """Whatever a test left."""
    yield
    local.up(engines)


async def stop_kafka(engines: Settings) -> None:
    """In order, as an upgrade would."""
    await asyncio.to_thread(Processes(engines.home).stop, "kafka")


async def start_kafka(engines: Settings) -> None:
    """At the same port."""
    await asyncio.to_thread(local.up, engines)


def kafka(engines: Settings) -> psutil.Process:
    """Its process."""
    found = Processes(engines.home).find("kafka")
    assert found is not None
    return psutil.Process(found.pid)


def spooled(engines: Settings) -> int:
    """Bytes on disk."""
    folder = engines.home / "spool" / "setlistfm"
    return sum(file.stat().st_size for file in folder.iterdir()) if folder.is_dir() else 0


async def on_disk(engines: Settings, wanted: int) -> None:
    """Until so many bytes are."""
    async with asyncio.timeout(60):
        while spooled(engines) < wanted:  # noqa: ASYNC110 - written by another process
            await asyncio.sleep(0.02)


@asynccontextmanager
async def paced(items: int, pages_a_second: float) -> AsyncIterator[Setlists]:
    """Each of a hundred setlists changes again and again, in an order that shows: `tour` counts up."""
    async with setlists(0) as shown:
        shown.items = [setlist(n % 100, tour={"name": f"{n // 100:05}"}) for n in range(items)]

        async def slowly(number: int) -> None:
            await asyncio.sleep(1 / pages_a_second)

        shown.before = slowly
        yield shown


async def page(shown: Setlists, number: int, child: asyncio.subprocess.Process) -> None:
    """Until so many were asked for."""
    async with asyncio.timeout(60):
        while shown.asked < number:
            assert child.returncode is None, (await ended(child))[2]
            await asyncio.sleep(0.05)


async def told(engines: Settings, source: str, items: int) -> int:
    """Everything is there and in order for each key; how many were sent twice."""
    tours: dict[str, list[str]] = defaultdict(list)
    for message in await setlists_of(engines, source):
        tours[message.source_id].append(message.fields["tour"])
    assert set(tours) == {f"s{n}" for n in range(100)}
    twice = 0
    for history in tours.values():
        once = sorted(set(history))
        assert once == [f"{n:05}" for n in range(items // 100)], "nothing is missing"
        assert history == sorted(history), "nothing overtakes"
        twice += len(history) - len(once)
    return twice


@pytest.mark.parametrize(
    "away_s", [15, pytest.param(60, marks=pytest.mark.long), pytest.param(180, marks=pytest.mark.long)]
)
async def test_a_broker_that_stops_in_mid_crawl_gets_everything_once_and_in_order(
    engines: Settings, away_s: int
) -> None:
    source, items = f"stops-{uuid4().hex}", 100 * 2 * (away_s + 12)
    async with paced(items, pages_a_second=10) as shown:
        child = await started(engines, *shown.arguments(source))
        await page(shown, 30, child)
        await stop_kafka(engines)
        await asyncio.sleep(away_s)
        await on_disk(engines, 100_000)
        await start_kafka(engines)
        code, report, errors = await ended(child)
    assert code == 0, errors
    assert (report["scraped"], report["delivered"], report["spooled"]) == (items, items, 0)
    assert await told(engines, source, items) == 0, "the producer that had them kept them"
    assert spooled(engines) == 0


@pytest.mark.long
async def test_a_broker_that_restarts_needs_no_spool(engines: Settings) -> None:
    source, items = f"restarts-{uuid4().hex}", 2_000
    async with paced(items, pages_a_second=10) as shown:
        child = await started(engines, *shown.arguments(source))
        await page(shown, 20, child)
        most = 0
        restarting = asyncio.create_task(stop_kafka(engines))
        restarting.add_done_callback(lambda _: None)
        await restarting
        began = time.monotonic()
        again = asyncio.create_task(start_kafka(engines))
        while not again.done():
            most = max(most, spooled(engines))
            await asyncio.sleep(0.1)
        took = time.monotonic() - began
        code, report, errors = await ended(child)
    assert code == 0 and report["delivered"] == items, errors
    assert await told(engines, source, items) == 0
    if took < 8:  # on a busy machine it takes longer, and is away
        assert most == 0


@pytest.mark.long
async def test_a_broker_that_is_killed_loses_nothing(engines: Settings) -> None:
    source, items = f"killed-{uuid4().hex}", 6_000
    async with paced(items, pages_a_second=10) as shown:
        child = await started(engines, *shown.arguments(source))
        await page(shown, 30, child)
        kafka(engines).kill()
        await asyncio.sleep(20)
        await start_kafka(engines)
        code, report, errors = await ended(child)
    assert code == 0 and report["delivered"] == items, errors
    assert await told(engines, source, items) == 0


@pytest.mark.long
async def test_a_broker_that_hangs_is_waited_for(engines: Settings) -> None:
    source, items = f"hangs-{uuid4().hex}", 6_000
    async with paced(items, pages_a_second=10) as shown:
        child = await started(engines, *shown.arguments(source))
        await page(shown, 30, child)
        hanging = kafka(engines)
        hanging.suspend()
        await asyncio.sleep(20)
        await on_disk(engines, 100_000)
        hanging.resume()
        code, report, errors = await ended(child)
    assert code == 0 and report["delivered"] == items, errors
    await told(engines, source, items)


@pytest.mark.long
async def test_a_full_spool_pauses_the_crawl_and_nothing_is_dropped(engines: Settings) -> None:
    source, items = f"full-{uuid4().hex}", 10_000
    await stop_kafka(engines)
    async with paced(items, pages_a_second=200) as shown:
        child = await started(engines, *shown.arguments(source), spool_mb=1)
        await page(shown, 50, child)
        asked = -1
        async with asyncio.timeout(60):
            while asked != shown.asked:
                asked = shown.asked
                await asyncio.sleep(3)
        assert asked < items / 20 * 0.8, "no more pages are asked for"
        assert 500_000 < spooled(engines) <= 1_048_576
        assert child.returncode is None
        await start_kafka(engines)
        code, report, errors = await ended(child)
    assert code == 0, errors
    assert (report["scraped"], report["delivered"]) == (items, items)
    assert "crawl_paused" in errors and "crawl_goes_on" in errors
    assert await told(engines, source, items) == 0


async def test_a_spider_that_is_killed_with_a_spool_loses_nothing(engines: Settings) -> None:
    source = f"killed-spider-{uuid4().hex}"
    async with paced(20_000, pages_a_second=20) as shown:
        child = await started(engines, *shown.arguments(source))
        await page(shown, 20, child)
        await stop_kafka(engines)
        await on_disk(engines, 300_000)
        child.send_signal(signal.SIGKILL)
        await child.wait()
        assert spooled(engines) > 0
        # Another errand of the same spider delivers it, whatever it crawls itself.
        await start_kafka(engines)
        async with setlists(20) as other:
            code, report, errors = await ended(await started(engines, *other.arguments(f"other-{uuid4().hex}")))
    assert (code, report["scraped"], report["delivered"]) == (0, 20, 20), errors
    assert "spool_taken_over" in errors and spooled(engines) == 0
    tours: dict[str, list[str]] = defaultdict(list)
    for message in await setlists_of(engines, source):
        tours[message.source_id].append(message.fields["tour"])
    assert sum(map(len, tours.values())) > 300
    for history in tours.values():
        assert [int(n) for n in dict.fromkeys(history)] == list(range(len(set(history)))), "no gap, none overtakes"


@pytest.mark.long
async def test_a_spider_killed_again_and_again_delivers_all_in_the_end(engines: Settings) -> None:
    source = f"again-{uuid4().hex}"
    await stop_kafka(engines)
    async with setlists(1_000) as shown:
        for wanted in (50_000, 400_000):
            child = await started(engines, *shown.arguments(source))
            await on_disk(engines, wanted)
            child.send_signal(signal.SIGKILL)
            await child.wait()
        await start_kafka(engines)
        code, report, errors = await ended(await started(engines, *shown.arguments(source)))
    assert code == 0, errors
    assert report["scraped"] == report["delivered"] + report["unchanged"] == 1_000
    keys = [message.key for message in await setlists_of(engines, source)]
    assert len(set(keys)) == len(keys) == 1_000, "what the killed ones had spooled is sent once"
    assert spooled(engines) == 0


@pytest.mark.long
async def test_kafka_that_stays_away_fails_the_run_and_the_spool_stays(engines: Settings, tmp_path: Path) -> None:
    source = f"stays-{uuid4().hex}"
    async with setlists(1_000) as shown:
        child = await started(engines, *shown.arguments(source), spool_wait_s=2.0)
        await page(shown, 10, child)
        await stop_kafka(engines)
        code, report, errors = await ended(child)
        assert code == 1 and report["state"] == "failed", errors
        waiting = report["scraped"] - report["delivered"]
        assert f"{waiting} items wait in" in report["why"] and "Remedy" in report["why"]
        await start_kafka(engines)
        code, report, errors = await ended(await started(engines, *shown.arguments(source)))
    assert code == 0 and report["unchanged"] == 1_000, errors
    assert len({message.key for message in await setlists_of(engines, source)}) == 1_000
