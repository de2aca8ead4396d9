"""Pages become events."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from scrapy.http import HtmlResponse, Response

from schemas.message import content_hash
from schemas.raw import RawEvent
from schemas.rejection import Reason
from spiders.formats.json_ld import start
from spiders.sources.venuepages import VenuePagesSpider
from tests.spiders.reading import NOW, answer, followed, messages, spider_for, unreadable

URL = "https://alibi.example/agenda/"
MODIFIED = {"Last-Modified": "Wed, 31 Jan 2024 10:00:00 GMT"}


def test_an_event_becomes_exactly_this_message() -> None:
    page = answer("agenda.html", URL, MODIFIED)
    moths = messages(list(spider_for(VenuePagesSpider, URL).parse(page)))[0]
    fields = {
        "artist": "Moths",
        "support": ["Lamps"],
        "artist_mbid": "0c1f7a9e-3d44-4f0b-9a55-2f3c1f2b7a10",
        "title": "Moths & Lamps",
        "date": "2024-03-01T20:30:00+01:00",
        "doors_time": "2024-03-01T19:30:00+01:00",
        "status": "cancelled",
        "venue": "The Alibi",
        "city": "Århus",
        "region": "Midtjylland",
        "country": "DK",
        "lat": 56.1567,
        "lon": 10.2108,
    }
    assert moths == RawEvent(
        source="alibi.example",
        source_id="/events/moths#event",
        seen_at=datetime(2024, 1, 31, 10, tzinfo=UTC),
        url="https://alibi.example/events/moths",
        spider="venuepages",
        fields=fields,
        content_hash=content_hash(["seen", fields]),
        payload=moths.payload,
        payload_type="application/ld+json",
        payload_hash=moths.payload_hash,
    )
    assert '"Moths &amp; Lamps"' in (moths.payload or ""), "the payload stays as the page has it"


def test_festivals_their_parts_and_microdata_are_found() -> None:
    found = messages(list(spider_for(VenuePagesSpider, URL).parse(answer("agenda.html", URL))))
    told = [(m.source_id, m.fields.get("title"), m.fields.get("date"), m.fields.get("venue")) for m in found]
    assert told[1:3] == [
        ("lampfest-24", "Lampfest", "2024-06-07", "Town park"),
        ("lampfest-24-1", "Lamps", "2024-06-08T03:00Z", "Stage 2"),
    ]
    assert found[1].fields["festival"] == "Lampfest" and "festival" not in found[2].fields
    assert found[2].fields["status"] == "postponed"
    dust = found[3]
    assert (dust.fields, dust.payload_type) == ({"title": "Dust", "date": "2024-04-04"}, "application/json")
    assert dust.source_id.startswith("derived-")
    assert len(found) == 4, "a play is no concert"


def test_without_last_modified_it_was_seen_now() -> None:
    assert {m.seen_at for m in messages(list(spider_for(VenuePagesSpider, URL).parse(answer("agenda.html", URL))))} == {
        NOW
    }


def test_a_broken_block_is_unreadable_and_its_neighbours_are_read() -> None:
    (bad,) = unreadable(list(spider_for(VenuePagesSpider, URL).parse(answer("agenda.html", URL))))
    assert (bad.reason, bad.url) == (Reason.BAD_DOCUMENT, URL)
    assert b'"name": "broken' in bad.original


def test_links_are_followed_as_declared() -> None:
    found = followed(list(spider_for(VenuePagesSpider, URL).parse(answer("agenda.html", URL))))
    assert found == [
        "https://alibi.example/events/moths",
        "https://elsewhere.example/events/x",  # Scrapy drops it: not the spider's host
        "https://alibi.example/shows?page=2",
    ]
    assert spider_for(VenuePagesSpider, URL).allowed_domains == ["alibi.example"]


def test_nights_that_share_an_address_have_ids_of_their_own() -> None:
    found = messages(list(spider_for(VenuePagesSpider, URL).parse(answer("weekly.html", URL))))
    assert [message.source_id for message in found] == [
        "/events/jam@2024-01-05",
        "/events/jam@2024-01-12",
        "https://tickets.example/9",
    ]


def test_an_id_survives_a_move_to_https_and_another_port() -> None:
    ids = [
        messages(list(spider_for(VenuePagesSpider, url).parse(answer("weekly.html", url))))[0].source_id
        for url in ("http://127.0.0.1:1/agenda/", "http://127.0.0.1:2/agenda/", "https://www.alibi.example/agenda/")
    ]
    assert len(set(ids)) == 1


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("2024-03-01T00:00:00", "2024-03-01"),
        ("2024-03-01T00:00+01:00", "2024-03-01"),
        ("2024-03-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        ("2024-03-01T00:00:00+00:00", "2024-03-01T00:00:00+00:00"),
        ("2024-03-01T00:30:00", "2024-03-01T00:30:00"),
        ("March 1st", "March 1st"),
        (None, None),
    ],
)
def test_midnight_is_a_day_without_an_hour_unless_it_is_utc(written: str | None, date: str | None) -> None:
    assert start({"startDate": written}) == date


def test_what_is_no_page_is_passed_over() -> None:
    assert list(spider_for(VenuePagesSpider, URL).parse(Response(URL, body=b"%PDF-1.7"))) == []


def test_a_text_that_was_cut_within_an_emoji_loses_no_event() -> None:
    block = '[{"@type": "Event", "name": "Dust \\ud83d"}, {"@type": "Event", "name": "\\ud83c\\udfb8 Rust"}]'
    body = f'<script type="application/ld+json">{block}</script>'
    found = messages(list(spider_for(VenuePagesSpider, URL).parse(HtmlResponse(URL, body=body.encode()))))
    assert [message.fields["title"] for message in found] == ["Dust \ufffd", "🎸 Rust"]


@pytest.mark.data
def test_recorded_pages_are_read_and_what_they_tell_machines_is_extracted(data_dir: Path) -> None:
    found: Counter[str] = Counter()
    pages = sorted((data_dir / "fixtures" / "venue_pages").glob("*.html"))
    for path in pages:
        url = f"https://{path.stem.replace('_', '-')}.example/agenda/"
        page = HtmlResponse(url, body=path.read_bytes(), encoding="utf-8")
        spider = spider_for(VenuePagesSpider, url)
        events = messages(list(spider.parse(page)))
        assert len({event.key for event in events}) == len(events), path.name
        assert all(event.fields["title"] and event.fields["date"][:2] == "20" for event in events)
        found[path.name] += len(events)
    assert len(pages) == 19
    # The others tell people only; JSON-LD is on three, about the house and not about what is on.
    assert +found == {"metalwatch_heavymetaldk_2025-12-15.html": 118}
