"""Items to Kafka: what counts, what is refused, what fails."""

import asyncio
import base64
import hashlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from aiohttp import web

from deploy.local.demo import site
from deploy.migrate import migrate_postgres
from deploy.settings import Settings
from deploy.topics import apply_topics
from matchers.normalise import normalise
from matchers.resolve import resolve
from schemas.listing import Listing
from schemas.raw import RawEvent, RawKind, RawSetlist
from schemas.rejection import Reason, Rejection
from schemas.topics import partition_of
from spiders.delivery import Counts, NotDelivered, key_of, later, to_record
from spiders.delivery.seen import Known, NotRemembered
from spiders.delivery.spool import MEGABYTE
from spiders.formats.base import Unreadable, utc_now
from tests.spiders.handing import THEN, Kafka, Remembered, event, handing, until
from tests.spiders.running import of_source, recorded, rows, run, serving, setlists, setlists_of

FIVE_MB = base64.b64encode(random.Random(5).randbytes(4_000_000)).decode()
"""Of what cannot be made smaller."""


def size_of(spool: Path) -> int:
    """Bytes in a folder; -1 when there is an empty file."""
    sizes = [file.stat().st_size for file in spool.iterdir()]
    return sum(sizes) if all(sizes) else -1


async def test_an_item_counts_when_it_is_acknowledged_and_not_before(tmp_path: Path) -> None:
    kafka, memory = Kafka(), Remembered()
    async with handing(kafka, tmp_path, memory=memory) as to:
        await to.deliver(event("1"))
        await to.deliver(event("2"))
        await until(lambda: len(kafka.sent) == 2)
        assert (to.counts.scraped, to.counts.delivered, to.counts.settled, memory.rows) == (2, 0, False, {})
        kafka.acknowledge(1)
        settling = asyncio.create_task(to.settle())
        await until(lambda: len(memory.rows) == 1)
        assert to.counts.delivered == 1 and not settling.done()
        kafka.acknowledge()
        await settling
        assert to.counts.delivered == 2 and to.counts.settled and len(memory.rows) == 2


async def test_what_a_silent_broker_does_not_acknowledge_is_on_disk_and_the_run_fails(tmp_path: Path) -> None:
    kafka = Kafka()
    async with handing(kafka, tmp_path, away_s=0.1, wait_s=0.5) as to:
        await to.deliver(event("1"))
        await until(lambda: to.counts.spooled == 1)
        await to.deliver(event("2"))
        with pytest.raises(NotDelivered, match=r"did not take 2 of 2 items within 0.5 s.* 2 items wait in .* Remedy"):
            await to.settle()
        assert not to.counts.settled
    kafka.acknowledges = True
    memory = Remembered()
    async with handing(kafka, tmp_path, memory=memory) as to:
        await to.deliver(event("2"))
        await to.settle()
        assert to.counts == Counts(scraped=1, unchanged=1), "it is on its way already, from the spool"
    assert sorted(kafka.keys) == ["test:1", "test:1", "test:2"] and size_of(tmp_path) == 0
    assert memory.rows[key_of(event("2"))].run_id == to._scope.run_id, "this run saw it too"
    assert memory.rows[key_of(event("1"))].run_id != to._scope.run_id


async def test_a_broker_that_comes_back_gets_everything_once_and_in_order(tmp_path: Path) -> None:
    kafka = Kafka()
    async with handing(kafka, tmp_path, away_s=0.2) as to:
        for number in range(5):
            await to.deliver(event(str(number), note=number))
        await until(lambda: to.counts.spooled == 5)
        for number in range(5, 900):
            await to.deliver(event(str(number % 7), note=number))
        await until(lambda: to.counts.spooled == 900)
        kafka.acknowledges = True
        kafka.acknowledge()
        await to.settle()
        assert to.counts.delivered == 900
    assert kafka.notes == {f"test:{key}": list(range(key, 900, 7)) for key in range(7)}
    assert kafka.producers == 1, "the one that had them kept them"


async def test_a_full_spool_makes_the_crawl_wait_and_drops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spiders.delivery.QUEUED_BYTES", 20_000)
    kafka = Kafka()
    kafka.away = True
    async with handing(kafka, tmp_path, limit=100_000) as to:

        async def crawl() -> None:
            for number in range(1_000):
                await to.deliver(event(str(number % 50), note=number))

        crawling = asyncio.create_task(crawl())
        await asyncio.sleep(1)
        assert not crawling.done() and 50 < to.counts.scraped < 400
        assert size_of(tmp_path) <= 100_000
        kafka.away, kafka.acknowledges = False, True
        await crawling
        await to.settle()
        assert to.counts.delivered == to.counts.scraped == 1_000
    assert kafka.notes == {f"test:{key}": list(range(key, 1_000, 50)) for key in range(50)}


async def test_unchanged_items_end_here_and_full_sends_them_all_the_same(tmp_path: Path) -> None:
    kafka, memory = Kafka(), Remembered()
    kafka.acknowledges = True
    expected = [Counts(scraped=3, delivered=2, unchanged=1), Counts(scraped=3, unchanged=3), Counts(3, 3)]
    for full, counts in zip((False, False, True), expected, strict=True):
        async with handing(kafka, tmp_path, memory=memory, full=full) as to:
            for source_id in ("1", "2", "1"):
                await to.deliver(event(source_id))
            await to.settle()
            assert to.counts == counts


async def test_an_item_that_goes_back_and_forth_is_sent_each_time(tmp_path: Path) -> None:
    kafka, memory = Kafka(), Remembered()
    kafka.acknowledges = True
    async with handing(kafka, tmp_path, memory=memory) as to:
        for note in ("a", "b", "a", "a"):
            await to.deliver(event("1", note=note))
        await to.settle()
        assert to.counts == Counts(scraped=4, delivered=3, unchanged=1)
        assert memory.rows[key_of(event("1"))].content_hash == event("1", note="a").content_hash


async def test_a_memory_that_stays_away_fails_the_run(tmp_path: Path) -> None:
    class Away(Remembered):
        async def known(self, keys: Any) -> Any:
            raise NotRemembered("GIGZ_POSTGRES_URL: away. Remedy: start it.")

    async with handing(Kafka(), tmp_path, memory=Away()) as to:
        await to.deliver(event("1"))
        with pytest.raises(NotDelivered, match="1 of 1 items are not delivered: GIGZ_POSTGRES_URL: away"):
            await to.settle()
        with pytest.raises(NotDelivered):
            await to.deliver(event("2"))


async def test_a_fault_of_our_own_comes_out_as_it_is(tmp_path: Path) -> None:
    class Wrong(Remembered):
        async def remember(self, sightings: Any) -> None:
            raise ZeroDivisionError

    kafka = Kafka()
    kafka.acknowledges = True
    async with handing(kafka, tmp_path, memory=Wrong()) as to:
        await to.deliver(event("1"))
        with pytest.raises(ZeroDivisionError):
            await to.settle()


async def test_who_comes_while_others_wait_for_room_does_not_overtake_them(tmp_path: Path) -> None:
    """A thousand at once, as Scrapy hands them over, against a queue that is full again and again."""
    kafka = Kafka()
    async with handing(kafka, tmp_path, limit=MEGABYTE, wait_s=60) as to:
        tasks = []
        for n in range(1_500):
            tasks.append(asyncio.create_task(to.deliver(event(f"k{n % 3}", payload="x" * 20_000, note=n))))
            if n == 750:
                kafka.acknowledges = True
                kafka.acknowledge()
            if n % 7 == 0:
                await asyncio.sleep(0)
        kafka.acknowledge()
        await asyncio.gather(*tasks)
        await to.settle()
    assert sum(map(len, kafka.notes.values())) == 1_500
    assert all(notes == sorted(notes) for notes in kafka.notes.values())


async def test_an_id_that_no_store_keeps_is_rejected_and_its_neighbours_go_on(tmp_path: Path) -> None:
    kafka = Kafka()
    kafka.acknowledges = True
    async with handing(kafka, tmp_path) as to:
        for source_id in ("1", "2\0", "3"):
            await to.deliver(event(source_id))
        await to.settle()
        assert to.counts == Counts(scraped=3, delivered=2, rejected=1)


def test_what_replaces_a_message_is_later_than_it() -> None:
    before, now = THEN + timedelta(days=1), THEN + timedelta(days=9)
    item = event("1")
    assert later(item, None, now) is item
    assert later(item, Known(item.content_hash, before), now) is item, "sent again with --full it is the same version"
    assert later(item, Known("other", THEN - timedelta(days=1)), now) is item
    assert later(item, Known("other", before), now).seen_at == now
    assert later(item, Known(item.content_hash, before, vanished=True), now).seen_at == now
    assert later(item, Known("other", now), now).version > Known("other", now).seen_at.timestamp() * 1000 * 2**20


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


@asynccontextmanager
async def a_page(body: str | Callable[[], str]) -> AsyncIterator[str]:
    """A server whose page is this, or is what this gives when it is asked for."""

    async def answer(request: web.Request) -> web.Response:
        found = request.path == "/agenda/"
        page = body if isinstance(body, str) else body()
        return web.Response(text=page if found else "", status=200 if found else 404, content_type="text/html")

    async with serving(answer) as base:
        yield f"{base}/agenda/"


@pytest.mark.stack
async def test_everything_crawled_stands_on_its_topic_acknowledged_and_the_run_is_recorded(laid: Settings) -> None:
    source = f"crawl-{uuid4().hex}"
    async with site.serve() as base:
        arguments = ("--arg", f"start_url={base + site.CRAWLS[1].path}", "--arg", f"source={source}")
        runs = [await run(laid, "setlistfm", *arguments, *more) for more in ((), (), ("--arg", "full=true"))]
    for (code, report, errors), delivered in zip(runs, (351, 0, 351), strict=True):
        assert code == 0, errors
        counts = (report["scraped"], report["delivered"], report["unchanged"], report["rejected"], report["vanished"])
        assert counts == (351, delivered, 351 - delivered, 0, 0)
        row = await recorded(laid, report["run_id"])
        assert (row.state, row.spider, row.delivered, row.why) == ("finished", "setlistfm", delivered, None)
        assert row.finished_at is not None and row.finished_at >= row.started_at
    records = await of_source(laid, RawSetlist.topic, source)
    read = [RawSetlist.from_bytes(record.value) for record in records]
    assert len(records) == 702 and len({(m.key, m.version) for m in read}) == 351, "sent again it changes nothing"
    for record, message in zip(records, read, strict=True):
        assert record.key.decode() == message.key
        assert record.partition == partition_of(message.key, laid.partitions)
        assert {"schema", "trace", "stage"} <= {name for name, _ in record.headers}
        assert message.payload_text and message.kind is RawKind.SEEN


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
async def test_a_message_that_is_too_large_as_it_is_goes_packed(laid: Settings) -> None:
    source = f"packed-{uuid4().hex}"
    told = {
        "@type": "Event",
        "name": "Moths",
        "identifier": "1",
        "startDate": "2024-03-01",
        "description": "x" * 5 * 10**6,
    }
    block = f'<script type="application/ld+json">{orjson.dumps(told).decode()}</script>'
    async with a_page(block) as url:
        code, report, errors = await run(laid, "venuepages", "--arg", f"start_url={url}", "--arg", f"source={source}")
    assert (code, report["scraped"], report["delivered"]) == (0, 1, 1), errors
    (record,) = await of_source(laid, RawEvent.topic, source)
    message = RawEvent.from_bytes(record.value)
    assert len(record.value) < 100_000 and message.payload_encoding == "gzip+base64"
    text = message.payload_text
    assert text is not None and "x" * 5 * 10**6 in text
    assert message.payload_hash == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.stack
async def test_what_a_complete_crawl_no_longer_finds_vanishes_and_comes_back(laid: Settings) -> None:
    source = f"gone-{uuid4().hex}"
    async with setlists(50) as shown:
        everything = list(shown.items)

        async def crawl(*more: str) -> dict[str, Any]:
            code, report, errors = await run(laid, *shown.arguments(source, *more))
            assert code == 0 or shown.broken, errors
            return {name: report[name] for name in ("delivered", "unchanged", "vanished")}

        assert await crawl() == {"delivered": 50, "unchanged": 0, "vanished": 0}
        shown.items = everything[:45]
        shown.broken = {2}
        assert (await crawl())["vanished"] == 0, "it failed"
        shown.broken = set()
        assert (await crawl("since=1950"))["vanished"] == 0, "it was asked for a part"
        assert await crawl() == {"delivered": 0, "unchanged": 45, "vanished": 5}
        assert await crawl() == {"delivered": 0, "unchanged": 45, "vanished": 0}, "told once"
        shown.items = everything
        assert await crawl() == {"delivered": 5, "unchanged": 45, "vanished": 0}
    told = [message for message in await setlists_of(laid, source) if message.source_id == "s47"]
    assert [message.kind for message in told] == ["seen", "vanished", "seen"]
    assert told[0].version < told[1].version < told[2].version, "each replaces the one before"
    gone = normalise(told[1])
    assert isinstance(gone[0], Listing) and gone[0].vanished and gone[0].listing_id == normalise(told[0])[0].listing_id
    (concert,) = resolve([gone[0]])
    assert concert.vanished, "no source shows it any more"


@pytest.mark.stack
async def test_a_night_gone_by_leaves_an_agenda_by_itself(laid: Settings) -> None:
    source, today = f"agenda-{uuid4().hex}", datetime.now(UTC).date()
    nights = {"before": -3, "today": 0, "ahead": 5, "stays": 9}
    events = [
        {"@type": "MusicEvent", "name": name, "identifier": name, "startDate": str(today + timedelta(days=days))}
        for name, days in nights.items()
    ]
    shown = events
    async with a_page(lambda: f'<script type="application/ld+json">{orjson.dumps(shown).decode()}</script>') as url:
        for events_left, vanished in ((events, 0), (events[-1:], 1)):
            shown = events_left
            code, report, errors = await run(
                laid, "venuepages", "--arg", f"start_url={url}", "--arg", f"source={source}"
            )
            assert (code, report["vanished"]) == (0, vanished), errors
    gone = [RawEvent.from_bytes(record.value) for record in await of_source(laid, RawEvent.topic, source)]
    assert [message.source_id for message in gone if message.kind is RawKind.VANISHED] == ["ahead"]


@pytest.mark.stack
async def test_killed_before_the_rows_are_written_everything_is_sent_again_and_nothing_is_lost(laid: Settings) -> None:
    source = f"unwritten-{uuid4().hex}"
    async with setlists(300) as shown:
        await run(laid, *shown.arguments(source))
        # As after a kill between the acknowledgement and the row.
        await rows(laid, "delete from state.seen where source = :source and source_id like 's1%'", source=source)
        _, report, _ = await run(laid, *shown.arguments(source))
    assert (report["delivered"], report["unchanged"], report["state"]) == (111, 189, "finished")
    read = await setlists_of(laid, source)
    assert len(read) == 411 and len({(message.key, message.version) for message in read}) == 300


@pytest.mark.stack
async def test_kafka_away_from_the_start_is_spooled_and_the_next_start_delivers(laid: Settings) -> None:
    source = f"away-{uuid4().hex}"
    async with setlists(300) as shown:
        code, report, errors = await run(laid, *shown.arguments(source), kafka_url="127.0.0.1:1", spool_wait_s=1.0)
        assert code == 1 and "GIGZ_KAFKA_URL" in report["why"] and "Remedy" in report["why"], errors
        assert (report["state"], report["scraped"], report["delivered"], report["spooled"]) == ("failed", 300, 0, 300)
        assert f"300 items wait in {laid.home}/spool/setlistfm" in report["why"]
        assert "Traceback" not in errors
        shown.items = shown.items[:40]
        code, report, errors = await run(laid, *shown.arguments(source))
    assert (code, report["scraped"], report["unchanged"], report["spooled"]) == (0, 40, 40, 0), errors
    read = await setlists_of(laid, source)
    assert len(read) == len({message.key for message in read}) + report["vanished"] == 300 + report["vanished"]
    assert size_of(laid.home / "spool" / "setlistfm") == 0


@pytest.mark.stack
async def test_postgres_away_ends_the_run_and_names_the_setting(laid: Settings) -> None:
    async with site.serve() as base:
        away = "postgresql://nobody:secret@127.0.0.1:1/none"
        code, _, errors = await run(laid, "venues", "--arg", f"start_url={base}/venues.json", postgres_url=away)
    assert code == 1
    assert "GIGZ_POSTGRES_URL" in errors and "Remedy" in errors
    assert "Traceback" not in errors and "secret" not in errors


@pytest.mark.stack
async def test_a_topic_that_is_not_there_fails_the_run_with_its_remedy(laid: Settings) -> None:
    async with setlists(20) as shown:
        code, report, _ = await run(laid, *shown.arguments(f"no-topic-{uuid4().hex}"), partitions=96)
    assert code == 1 and "gigz topics apply" in report["why"]
