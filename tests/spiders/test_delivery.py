"""Items to Kafka: what counts, what is refused, what fails."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import orjson
import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaConnectionError
from sqlalchemy import select

from deploy.clients import kafka_producer, postgres_engine
from deploy.flow import scan
from deploy.local.demo import site
from deploy.migrate import migrate_postgres
from deploy.settings import Settings, environment_for
from deploy.topics import apply_topics
from schemas.raw import RawEvent, RawMessage, RawSetlist
from schemas.rejection import Reason, Rejection
from schemas.rows import envelope
from schemas.tables import RunRow
from schemas.topics import partition_of
from spiders.delivery import KafkaDelivery, NotDelivered, to_record
from spiders.formats.base import Unreadable, utc_now

ROOT = Path(__file__).parents[2]
OURS = {
    "GIGZ_SETLISTFM_API_KEY": site.API_KEY,
    "GIGZ_OWN_HOSTS": "127.0.0.1",
    "GIGZ_PRIVATE_HOSTS": "127.0.0.1",
}
FIVE_MB = "x" * 5_000_000


def event(source_id: str, payload: str | None = None, source: str = "test") -> RawMessage:
    """A message of a test's own."""
    return envelope(
        RawEvent,
        source=source,
        source_id=source_id,
        seen_at=datetime(2024, 1, 1, tzinfo=UTC),
        spider="venuepages",
        fields={"artist": "Moths", "date": "2024-03-01"},
        url=f"https://alibi.example/{source_id}",
        payload=payload,
    )


class Broker:
    """A producer whose acknowledgements the test gives."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, asyncio.Future[Any]]] = []

    async def send(self, topic: str, **record: Any) -> asyncio.Future[Any]:
        """Taken, not acknowledged."""
        acknowledgement: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.sent.append((topic, acknowledgement))
        return acknowledgement


def delivery(broker: Broker, deadline_s: float = 5) -> KafkaDelivery:
    """To that producer."""
    return KafkaDelivery(cast(AIOKafkaProducer, broker), 24, utc_now, deadline_s)


async def test_an_item_counts_when_it_is_acknowledged_and_not_before() -> None:
    broker = Broker()
    to = delivery(broker)
    await to.deliver(event("1"))
    await to.deliver(event("2"))
    assert (to.counts.scraped, to.counts.delivered, to.counts.settled) == (2, 0, False)
    broker.sent[0][1].set_result(None)
    settling = asyncio.create_task(to.settle())
    await asyncio.sleep(0.01)
    assert to.counts.delivered == 1 and not settling.done()
    broker.sent[1][1].set_result(None)
    await settling
    assert to.counts.delivered == 2 and to.counts.settled


async def test_a_broker_that_stays_silent_fails_the_delivery_within_its_deadline() -> None:
    to = delivery(Broker(), deadline_s=0.05)
    await to.deliver(event("1"))
    with pytest.raises(NotDelivered, match=r"did not take 1 of 1 items: no acknowledgement within 0.05 s. Remedy"):
        await to.settle()
    assert not to.counts.settled


async def test_a_broker_that_falls_silent_stops_the_crawl_and_does_not_wait_for_its_end() -> None:
    to = delivery(Broker(), deadline_s=0.05)
    await to.deliver(event("1"))
    await asyncio.sleep(0.06)
    with pytest.raises(NotDelivered, match="no acknowledgement"):
        await to.deliver(event("2"))


async def test_after_a_refusal_nothing_more_is_claimed() -> None:
    broker = Broker()
    to = delivery(broker)
    await to.deliver(event("1"))
    broker.sent[0][1].set_exception(KafkaConnectionError("away"))
    await asyncio.sleep(0)
    with pytest.raises(NotDelivered, match="away"):
        await to.deliver(event("2"))
    assert len(broker.sent) == 1 and to.counts.delivered == 0


async def test_only_so_many_items_are_on_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spiders.delivery.IN_FLIGHT", 3)
    broker = Broker()
    to = delivery(broker)
    for number in range(3):
        await to.deliver(event(str(number)))
    fourth = asyncio.create_task(to.deliver(event("4")))
    await asyncio.sleep(0.01)
    assert not fourth.done() and len(broker.sent) == 3
    broker.sent[0][1].set_result(None)
    await fourth
    assert len(broker.sent) == 4


def test_an_item_too_large_becomes_a_rejection_without_its_body() -> None:
    record, counted = to_record(event("1", FIVE_MB), utc_now)
    told = Rejection.from_bytes(record.value)
    assert (record.topic, counted) == ("gigz.rejection.v1", "rejected")
    assert (told.reason, told.original, told.original_key) == (Reason.TOO_LARGE, None, "test:1")
    assert told.original_size > 5_000_000 and (told.origin_partition, told.origin_offset) == (-1, -1)
    assert not record.too_large and "alibi.example/1" in told.text


def test_what_could_not_be_read_keeps_its_bytes_and_where_it_came_from() -> None:
    item = Unreadable("gigz.raw-event.v1", "alibi", "https://a.example/x", Reason.BAD_DOCUMENT, "no JSON", b"{")
    record, counted = to_record(item, utc_now)
    told = Rejection.from_bytes(record.value)
    assert counted == "rejected"
    assert (told.original_bytes, told.original_key, told.source) == (b"{", "https://a.example/x", "alibi")
    assert (told.stage, told.origin_topic, told.reason) == ("spiders", "gigz.raw-event.v1", Reason.BAD_DOCUMENT)


# -- with the engines --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def laid(stack: Settings) -> Settings:
    """Engines with topics and tables."""
    asyncio.run(apply_topics(stack))
    migrate_postgres(stack)
    return stack


async def run(settings: Settings, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """`python -m spiders.crawl`: exit code, report, errors."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "spiders.crawl", *arguments),
        cwd=ROOT,
        env=environment_for(settings)
        | {"GIGZ_SETLISTFM_API_KEY": site.API_KEY, "GIGZ_OWN_HOSTS": "127.0.0.1", "GIGZ_PRIVATE_HOSTS": "127.0.0.1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await child.communicate()
    lines = out.splitlines()
    return child.returncode or 0, orjson.loads(lines[-1]) if lines else {}, errors.decode()


async def recorded(settings: Settings, run_id: str) -> RunRow:
    """The run's row."""
    engine = postgres_engine(settings, pool_size=1)
    try:
        async with engine.connect() as connection:
            found = await connection.execute(select(RunRow).where(RunRow.run_id == UUID(run_id)))
            return cast(RunRow, found.one())
    finally:
        await engine.dispose()


async def of_source(settings: Settings, topic: str, source: str) -> list[ConsumerRecord]:
    """The records of one source on a topic."""
    return [record async for record in scan(settings, [topic]) if f'"source":"{source}"'.encode() in record.value]


@asynccontextmanager
async def a_page(body: str) -> AsyncIterator[str]:
    """A server whose every page is this."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body, content_type="text/html")

    application = web.Application()
    application.add_routes([web.get("/agenda/", answer)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/agenda/"
    finally:
        await runner.cleanup()


@pytest.mark.stack
async def test_everything_crawled_stands_on_its_topic_acknowledged_and_the_run_is_recorded(laid: Settings) -> None:
    source = f"crawl-{uuid4().hex}"
    async with site.serve() as base:
        start = base + site.CRAWLS[1].path
        runs = [
            await run(laid, "setlistfm", "--arg", f"start_url={start}", "--arg", f"source={source}") for _ in range(2)
        ]
    for code, report, errors in runs:
        assert code == 0, errors
        assert (report["pages"], report["scraped"], report["delivered"], report["rejected"]) == (18, 351, 351, 0)
        row = await recorded(laid, report["run_id"])
        assert (row.state, row.spider, row.delivered, row.why) == ("finished", "setlistfm", 351, None)
        assert row.finished_at is not None and row.finished_at >= row.started_at
    records = await of_source(laid, RawSetlist.topic, source)
    read = [RawSetlist.from_bytes(record.value) for record in records]
    assert len(records) == 702 and len({(m.key, m.version) for m in read}) == 351, "the second crawl changes nothing"
    for record, message in zip(records, read, strict=True):
        assert record.key.decode() == message.key
        assert record.partition == partition_of(message.key, laid.partitions)
        assert {"schema", "trace", "stage"} <= {name for name, _ in record.headers}


@pytest.mark.stack
async def test_a_crawl_that_yields_nothing_fails_and_its_row_says_why(laid: Settings) -> None:
    async with a_page("<p>nothing on</p>") as url:
        code, report, errors = await run(laid, "venuepages", "--arg", f"start_url={url}")
    assert code == 1 and "yielded nothing" in errors
    row = await recorded(laid, report["run_id"])
    assert (row.state, row.pages, row.scraped) == ("failed", 1, 0)
    assert row.why is not None and "yielded nothing" in row.why


@pytest.mark.stack
async def test_an_item_too_large_is_rejected_and_its_neighbours_go_on(laid: Settings) -> None:
    source = f"large-{uuid4().hex}"
    events = [
        {"@type": "Event", "name": "Moths", "identifier": "1", "startDate": "2024-03-01"},
        {"@type": "Event", "name": "Lamps", "identifier": "2", "startDate": "2024-03-02", "description": FIVE_MB},
        {"@type": "Event", "name": "Dust", "identifier": "3", "startDate": "2024-03-03"},
    ]
    block = f'<script type="application/ld+json">{orjson.dumps(events).decode()}</script>'
    async with a_page(block) as url:
        code, report, errors = await run(laid, "venuepages", "--arg", f"start_url={url}", "--arg", f"source={source}")
    assert (code, report["scraped"], report["delivered"], report["rejected"]) == (0, 3, 2, 1), errors
    assert len(await of_source(laid, RawEvent.topic, source)) == 2
    (rejection,) = await of_source(laid, Rejection.topic, source)
    told = Rejection.from_bytes(rejection.value)
    assert (told.reason, told.original, told.original_key) == (Reason.TOO_LARGE, None, f"{source}:2")


@pytest.mark.stack
async def test_a_producer_delivers_in_batches_and_settles(laid: Settings) -> None:
    source = f"batch-{uuid4().hex}"
    async with kafka_producer(laid, "gigz-test") as producer:
        to = KafkaDelivery(producer, laid.partitions, utc_now, 30)
        for number in range(3_000):
            await to.deliver(event(str(number), source=source))
        await to.settle()
    assert (to.counts.scraped, to.counts.delivered) == (3_000, 3_000)
    assert len(await of_source(laid, RawEvent.topic, source)) == 3_000


@pytest.mark.stack
@pytest.mark.parametrize("engine", ["kafka", "postgres"])
async def test_an_engine_that_is_away_ends_the_run_and_names_the_setting(laid: Settings, engine: str) -> None:
    away = {"kafka": "127.0.0.1:1", "postgres": "postgresql://nobody:secret@127.0.0.1:1/none"}[engine]
    settings = laid.model_copy(update={f"{engine}_url": away})
    async with site.serve() as base:
        code, _, errors = await run(settings, "venues", "--arg", f"start_url={base}/venues.json")
    assert code == 1
    assert f"GIGZ_{engine.upper()}_URL" in errors and "Remedy" in errors
    assert "Traceback" not in errors and "secret" not in errors
