"""Pages become events."""

import json
import time
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import pytest
from scrapy.http import HtmlResponse, Response, TextResponse, XmlResponse

from matchers.normalise import normalise
from schemas.listing import Listing
from schemas.message import content_hash
from schemas.raw import RawEvent, RawMessage
from schemas.rejection import Reason
from spiders.formats import json_ld, pages
from spiders.formats.json_ld import JsonLdSpider, start
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
    assert [m.fields.get("festival") for m in found] == [None, "Lampfest", "Lampfest", None], "its parts name it"
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


def page(body: str, url: str = URL) -> HtmlResponse:
    return HtmlResponse(url, body=body.encode(), encoding="utf-8")


def script(block: Any, kind: str = "application/ld+json") -> str:
    return f'<script type="{kind}">{block if isinstance(block, str) else json.dumps(block)}</script>'


def read(*blocks: Any) -> list[RawMessage]:
    found = list(spider_for(VenuePagesSpider, URL).parse(page("".join(map(script, blocks)))))
    assert unreadable(found) == []
    return messages(found)


def event(**more: Any) -> dict[str, Any]:
    told = {"@type": "MusicEvent", "name": "Moths", "startDate": "2024-03-01T20:00:00+01:00", "url": "/gigs/moths"}
    return {name: value for name, value in {**told, **more}.items() if value is not None}


def one(**more: Any) -> dict[str, Any]:
    (found,) = read(event(**more))
    return found.fields


def listing(message: RawMessage) -> Listing:
    found = normalise(message)
    assert isinstance(found, tuple), found
    (told,) = found
    assert isinstance(told, Listing)
    return told


# -- what counts ------------------------------------------------------------------------------------------------------


def test_what_counts_as_a_concert_is_declared() -> None:
    kinds = ("MusicEvent", "Event", "Festival", "MusicFestival", "ComedyEvent", "DanceEvent", "schema:MusicEvent",
             "https://schema.org/MusicEvent")  # fmt: skip
    body = script([event(**{"@type": kind, "url": f"/gigs/{at}"}) for at, kind in enumerate(kinds)])
    assert len(messages(list(spider_for(VenuePagesSpider, URL).parse(page(body))))) == 6

    class House(VenuePagesSpider):
        name = "house"
        types = JsonLdSpider.types | {"ComedyEvent"}

    assert len(messages(list(spider_for(House, URL).parse(page(body))))) == 7


def test_events_are_found_wherever_pages_put_them() -> None:
    listed = {"@type": "ItemList", "itemListElement": [{"@type": "ListItem", "position": 1, "item": event(url="/1")}]}
    house = {"@type": "MusicVenue", "name": "The Pit", "event": [event(url="/2")], "events": event(url="/3")}
    series = {"@type": "EventSeries", "name": "Jams", "subEvent": [[event(url="/4")]]}
    about = {"@type": "WebPage", "mainEntity": event(url="/5")}
    found = read(listed, house, {"@graph": [series, about]}, event(**{"@type": ["Event", "Thing"], "url": "/6"}))
    assert [message.source_id for message in found] == [f"/{at}" for at in range(1, 7)]


def test_a_house_or_a_band_that_lists_its_events_is_their_place_or_their_act() -> None:
    address = {"@type": "PostalAddress", "addressLocality": "Oslo"}
    (at_house,) = read({"@type": "MusicVenue", "name": "The Pit", "address": address, "event": [event()]})
    assert (at_house.fields["venue"], at_house.fields["city"], "artist" in at_house.fields) == (
        "The Pit",
        "Oslo",
        False,
    )
    (of_band,) = read({"@type": "MusicGroup", "name": "Moths", "events": [event(name="At the Pit")]})
    assert (of_band.fields["artist"], "venue" in of_band.fields) == ("Moths", False)


def test_a_page_that_is_served_as_plain_text_is_read() -> None:
    body = f"<!doctype html>{script(event())}".encode()
    assert len(messages(list(spider_for(VenuePagesSpider, URL).parse(TextResponse(URL, body=body))))) == 1
    assert list(spider_for(VenuePagesSpider, URL).parse(XmlResponse(URL, body=body))) == []


# -- festivals --------------------------------------------------------------------------------------------------------


def test_a_part_of_a_festival_has_its_name_and_where_it_tells_none_its_place() -> None:
    park = {"@type": "Place", "name": "Town park", "address": {"addressLocality": "Oslo", "addressCountry": "NO"}}
    parts = [
        event(url="/1", startDate="2024-06-07T18:00"),
        event(url="/2", startDate="2024-06-08T18:00", location={"@type": "Place", "name": "Stage 2"}),
    ]
    fest = event(
        **{"@type": "MusicFestival"}, name="Lampfest", url="/lampfest", location=park, startDate="2024-06-07",
        endDate="2024-06-09", subEvent=parts,
    )  # fmt: skip
    festival, first, second = read(fest)
    assert (festival.fields["festival"], festival.fields["date"]) == ("Lampfest", "2024-06-07/2024-06-09")
    assert not isinstance(normalise(festival), tuple), "three days are no night"
    assert [first.fields[name] for name in ("festival", "venue", "city")] == ["Lampfest", "Town park", "Oslo"]
    assert [second.fields[name] for name in ("festival", "venue", "city")] == ["Lampfest", "Stage 2", "Oslo"]


def test_a_part_that_names_its_festival_or_is_named_by_it_belongs_to_it() -> None:
    fest = {"@type": "Festival", "@id": "#fest", "name": "Lampfest", "startDate": "2024-06-07", "location": "Town park"}
    (moths,) = read(event(superEvent={**fest, "@id": None}))
    assert (moths.fields["festival"], moths.fields["venue"]) == ("Lampfest", "Town park")
    _, by_name = read({"@graph": [fest, event(superEvent={"@id": "#fest"})]})
    assert by_name.fields["festival"] == "Lampfest"
    _, named = read({"@graph": [{**fest, "subEvent": [{"@id": "#moths"}]}, event(**{"@id": "#moths"})]})
    assert (named.fields["festival"], named.fields["venue"]) == ("Lampfest", "Town park")
    (season,) = read(event(superEvent={"@type": "EventSeries", "name": "Jams"}))
    assert "festival" not in season.fields


def test_a_part_of_a_part_belongs_to_the_festival_however_it_is_told() -> None:
    park = {"@type": "Place", "name": "Town park", "address": {"addressLocality": "Oslo", "addressCountry": "NO"}}
    day = {"@type": "Event", "name": "Friday"}
    whole = {"@type": "MusicFestival", "name": "Lampfest", "url": "/lampfest", "location": park}
    stage = {"@type": "Place", "name": "Stage 2"}
    moths = event(location=stage)
    for told in (
        {**whole, "subEvent": [{**day, "subEvent": [moths]}]},
        event(location=stage, superEvent={**day, "superEvent": whole}),
        {"@graph": [{**whole, "@id": "#fest"}, {**day, "@id": "#day", "superEvent": {"@id": "#fest"}},
                    event(location=stage, superEvent={"@id": "#day"})]},
        {"@graph": [{**whole, "subEvent": {"@id": "#day"}}, {**day, "@id": "#day", "subEvent": {"@id": "#moths"}},
                    {**moths, "@id": "#moths"}]},
        {**day, "superEvent": whole, "subEvent": [moths]},
        {"@type": "Place", "name": "Lampland", "event": [event(location=stage, superEvent=whole)]},
    ):  # fmt: skip
        found = next(message for message in read(told) if message.fields["title"] == "Moths")
        assert [found.fields.get(name) for name in ("festival", "venue", "city", "country")] == [
            "Lampfest", "Stage 2", "Oslo", "NO",
        ], told  # fmt: skip
    circle = {"@graph": [event(**{"@id": "#a"}, superEvent={"@id": "#b"}), {"@type": "Event", "@id": "#b", "name": "b",
              "superEvent": {"@id": "#a"}}]}  # fmt: skip
    assert len(read(circle)) == 2


@pytest.mark.parametrize(
    ("begins", "ends", "written"),
    [
        ("2024-06-07", "2024-06-07", "2024-06-07"),
        ("2024-06-07", "2024-06-09", "2024-06-07/2024-06-09"),
        ("2024-06-07T20:00", "2024-06-08T03:00", "2024-06-07T20:00"),
        ("2024-06-07T20:00", "2024-06-12T23:00", "2024-06-07T20:00"),  # a run begins that evening
        ("2024-06-07", "2024-06-01", "2024-06-07"),
        ("2024-06-07", "soon", "2024-06-07"),
        ("2024-06-07", "2024-02-31", "2024-06-07"),
    ],
)
def test_days_without_an_hour_are_a_span(begins: str, ends: str, written: str) -> None:
    assert one(startDate=begins, endDate=ends)["date"] == written


# -- who --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("performer", "artist", "support"),
    [
        ("Moths", "Moths", []),
        ({"@type": "Person", "name": "Ann"}, "Ann", []),
        ([{"@type": "PerformingGroup", "name": " Moths "}, "Lamps", {"name": "Lamps"}, {}, None], "Moths", ["Lamps"]),
        ([[{"name": ["Moths", "Moths (NO)"]}], {"@list": ["Lamps"]}], "Moths", ["Lamps"]),
        ({"@value": "Moths", "@language": "en"}, "Moths", []),
        ([{"@type": "MusicGroup"}, {"name": "<b>Moths</b> &amp;amp; Co"}], "Moths & Co", []),
        ({"@id": "#moths"}, "The Moths", []),
        ([], None, []),
        (7, None, []),
    ],
)  # fmt: skip
def test_performers_are_read_however_they_are_written(performer: Any, artist: str | None, support: list[str]) -> None:
    found = read(
        {"@graph": [event(performer=performer), {"@type": "MusicGroup", "@id": "#moths", "name": "The Moths"}]}
    )
    assert (found[0].fields.get("artist"), found[0].fields.get("support", [])) == (artist, support)


@pytest.mark.parametrize(
    "performer",
    [
        {"name": "Moths", "sameAs": "https://musicbrainz.org/artist/0C1F7A9E-3d44-4f0b-9a55-2f3c1f2b7a10/"},
        {"name": "Moths", "sameAs": [["https://x.example", {"@id": "http://musicbrainz.org/artist/0c1f7a9e-3d44-4f0b-9a55-2f3c1f2b7a10"}]]},
        {"name": "Moths", "@id": "https://musicbrainz.org/artist/0c1f7a9e-3d44-4f0b-9a55-2f3c1f2b7a10#_"},
        {"name": "Moths", "identifier": {"value": "https://musicbrainz.org/artist/0c1f7a9e-3d44-4f0b-9a55-2f3c1f2b7a10"}},
    ],
)  # fmt: skip
def test_the_headliners_musicbrainz_id_is_found(performer: Any) -> None:
    assert one(performer=[{"@type": "MusicGroup"}, performer])["artist_mbid"] == "0c1f7a9e-3d44-4f0b-9a55-2f3c1f2b7a10"


# -- what became of it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("http://schema.org/EventCancelled", "cancelled"),
        ("https://schema.org/EventCancelled/", "cancelled"),
        ("schema:EventCanceled", "cancelled"),
        ("eventcancelled", "cancelled"),
        ({"@id": "https://schema.org/EventPostponed"}, "postponed"),
        (["https://schema.org/EventRescheduled", "https://schema.org/EventMovedOnline"], "moved"),
        ("EventScheduled", "announced"),
        ("sold out", None),
        (None, None),
    ],
)
def test_the_status_is_read_with_any_prefix_and_the_gravest_counts(written: Any, status: str | None) -> None:
    assert one(eventStatus=written).get("status") == status


MOVED = {"eventStatus": "https://schema.org/EventRescheduled", "previousStartDate": "2024-03-01T20:00:00+01:00"}


def test_a_moved_event_keeps_its_id_so_that_the_old_night_is_replaced() -> None:
    (before,) = read(event())
    (after,) = read(event(**MOVED, startDate="2024-05-01T20:00:00+02:00"))
    assert (before.key, listing(before).listing_id) == (after.key, listing(after).listing_id)
    assert (listing(after).night, listing(after).status.value) == (date(2024, 5, 1), "announced")
    assert "previousStartDate" in (after.payload or "") and "previousStartDate" not in after.fields


def test_a_moved_night_of_several_keeps_its_id_too() -> None:
    other = event(startDate="2024-03-08T20:00:00+01:00")
    before = {message.source_id for message in read(event(), other)}
    after = {message.source_id: message.fields["date"] for message in read(
        event(**MOVED, startDate="2024-05-01T20:00:00+02:00"), other)}  # fmt: skip
    assert before == set(after)
    assert after["/gigs/moths@2024-03-01T20:00:00+01:00"] == "2024-05-01T20:00:00+02:00"


def test_a_moved_event_without_an_id_of_its_own_keeps_the_one_that_was_derived() -> None:
    (before,) = read(event(url=None))
    (after,) = read(event(**MOVED, url=None, startDate="2024-05-01T20:00:00+02:00"))
    (postponed,) = read(event(**MOVED, url=None, startDate=None))
    (again,) = read(event(url=None, startDate="2024-06-01T20:00:00+02:00", eventStatus=MOVED["eventStatus"],
                          previousStartDate=["2024-05-01T20:00:00+02:00", "2024-03-01T20:00:00+01:00"]))  # fmt: skip
    assert before.source_id.startswith("derived-")
    assert {before.source_id} == {after.source_id, postponed.source_id, again.source_id}


@pytest.mark.parametrize(
    ("starts", "more", "dates"),
    [
        (["2024-03-01", "2024-03-02"], {}, ["2024-03-01", "2024-03-02"]),
        (["2024-03-02T20:00", "2024-03-01T20:00"], {"endDate": "2024-03-02T23:00"},
         ["2024-03-02T20:00", "2024-03-01T20:00"]),
        (["2024-03-01T18:00", "2024-03-01T21:00"], {}, ["2024-03-01T18:00", "2024-03-01T21:00"]),
        (["2024-03-01", "2024-03-08"], {"endDate": ["2024-03-02", "2024-03-08"]},
         ["2024-03-01/2024-03-02", "2024-03-08"]),
        (["2024-03-01", {"@value": "2024-03-08"}], {"previousStartDate": "2024-02-01"}, ["2024-03-01", "2024-03-08"]),
        (["2024-03-01T20:00", "Friday 1 March"], {}, ["2024-03-01T20:00"]),
        (["2024-03-01", "2024-03-01T20:00:00+01:00"], {}, ["2024-03-01T20:00:00+01:00"]),
        (["1 March 2024", "2 March 2024"], {}, ["1 March 2024", "2 March 2024"]),
        ([["2024-03-01"], []], {}, ["2024-03-01"]),
    ],
)  # fmt: skip
def test_several_dates_are_a_message_for_each_night(starts: Any, more: dict[str, Any], dates: list[str]) -> None:
    found = read(event(startDate=starts, **more))
    assert [message.fields["date"] for message in found] == dates
    if len(dates) > 1:
        assert [message.source_id for message in found] == [f"/gigs/moths@{one.partition('/')[0]}" for one in dates]
    assert all('"startDate":[' in (message.payload or "") for message in found), "the payload stays as the page has it"


def test_moved_without_a_new_night_it_is_postponed() -> None:
    fields = one(**MOVED, startDate=None)
    assert (fields["date"], fields["status"]) == ("2024-03-01T20:00:00+01:00", "postponed")


# -- where ------------------------------------------------------------------------------------------------------------

PIT = {"@type": "MusicVenue", "name": "The Pit"}
NORWAY = {"@type": "Country", "name": "NO"}


@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("The Pit", {"venue": "The Pit"}),
        ("The Pit, Gade 1, 8000 Århus C, Denmark", {"venue": "The Pit", "city": "Århus C", "country": "Denmark"}),
        ([{"@type": "VirtualLocation", "url": "https://x.example"}, PIT], {"venue": "The Pit"}),
        ({"@type": "VirtualLocation", "url": "https://x.example"}, {}),
        ({**PIT, "address": "Gade 1, 8000 Århus C"}, {"venue": "The Pit", "city": "Århus C"}),
        ({**PIT, "address": {"addressLocality": ["Oslo"], "addressCountry": {"name": "Norway"}}},
         {"venue": "The Pit", "city": "Oslo", "country": "Norway"}),
        ({**PIT, "geo": {"latitude": "56.15", "longitude": " 10.2 "}}, {"venue": "The Pit", "lat": 56.15, "lon": 10.2}),
        ({**PIT, "latitude": 56.15, "longitude": 10.2}, {"venue": "The Pit", "lat": 56.15, "lon": 10.2}),
        ({**PIT, "geo": {"latitude": "inf", "longitude": True}}, {"venue": "The Pit"}),
        ({"name": "Small hall", "containedInPlace": {**PIT, "address": {"addressLocality": "Oslo"}}},
         {"venue": "The Pit", "room": "Small hall", "city": "Oslo"}),
        ({**PIT, "containedInPlace": {"@type": "City", "name": "Oslo", "containedInPlace": NORWAY}},
         {"venue": "The Pit", "city": "Oslo", "country": "NO"}),
        ({"@id": "#pit"}, {"venue": "Pit of Oslo"}),
        (7, {}),
    ],
)  # fmt: skip
def test_places_are_read_however_they_are_written(location: Any, found: dict[str, Any]) -> None:
    place = {"@type": "Place", "@id": "#pit", "name": "Pit of Oslo"}
    fields = read({"@graph": [event(location=location), place]})[0].fields
    assert {n: v for n, v in fields.items() if n in ("venue", "room", "city", "country", "lat", "lon")} == found


def test_a_stream_has_no_place() -> None:
    assert "venue" not in one(location=PIT, eventAttendanceMode="https://schema.org/OnlineEventAttendanceMode")
    assert one(location=PIT, eventAttendanceMode="https://schema.org/MixedEventAttendanceMode")["venue"] == "The Pit"


# -- what readers forgive ---------------------------------------------------------------------------------------------

GOOD = json.dumps(event())
OTHER = json.dumps(event(url="/gigs/lamps", name="Lamps"))


@pytest.mark.parametrize(
    ("block", "events"),
    [
        (GOOD[:-1] + ",}", 1),
        (f"// ours\n{GOOD}", 1),
        (f"/* ours */ {GOOD}", 1),
        (f"<!-- {GOOD[:0]} -->\n{GOOD}", 1),
        (f"//<![CDATA[\n{GOOD}\n//]]>", 1),
        (f"<![CDATA[{GOOD}]]>", 1),
        (f"\ufeff{GOOD};", 1),
        (GOOD.replace('"', "&quot;"), 1),
        (GOOD.replace("Moths", "Mo\nths\ttonight\x02"), 1),
        (GOOD.replace("Moths", "Moth\\'s"), 1),
        (GOOD + OTHER, 2),
        (f"{GOOD},\n{OTHER}", 2),
        (f"[{GOOD},{OTHER},]", 2),
        (GOOD.replace("Moths", "Moths <\\/script>"), 1),
        (GOOD.replace('"MusicEvent"', '"MusicEvent", "number": 123456789012345678901234567890'), 1),
    ],
)
def test_a_block_with_a_slip_is_read_as_a_reader_would(block: str, events: int) -> None:
    assert len(read(block)) == events


@pytest.mark.parametrize("block", [GOOD[:-20], "{event: 1}", "Moths tonight", '{"a":' * 5_000, "[" * 100_000])
def test_a_block_that_no_reader_would_read_is_a_rejection_with_the_original(block: str) -> None:
    found = list(spider_for(VenuePagesSpider, URL).parse(page(script(block) + script(OTHER))))
    (bad,) = unreadable(found)
    assert (bad.reason, bad.original) == (Reason.BAD_DOCUMENT, block.encode())
    assert [message.fields["title"] for message in messages(found)] == ["Lamps"]


def test_blocks_are_known_by_any_spelling_of_their_type_and_empty_ones_are_none() -> None:
    body = script(GOOD, "Application/LD+JSON; charset=utf-8") + script("  ") + script('{"@type": "Event"')
    found = list(spider_for(VenuePagesSpider, URL).parse(page(body)))
    assert len(messages(found)) == 1 and len(unreadable(found)) == 1


# -- one event, told more than once -----------------------------------------------------------------------------------


MARKED_UP = """<div itemscope itemtype="https://schema.org/MusicEvent"><a itemprop="url" href="/gigs/moths?ref=1"></a>
<span itemprop="name">Moths</span><time itemprop="startDate" datetime="2024-03-01T20:00:00+01:00"></time></div>"""
RDFA = """<div vocab="https://schema.org/" typeof="MusicEvent"><a property="url" href="/gigs/dust">Dust</a>
<span property="name">Dust</span><time property="startDate" datetime="2024-04-01T20:00">1 April</time>
<div property="performer" typeof="MusicGroup"><span property="name">The Dust</span></div>
<div property="performer" typeof="MusicGroup"><span property="name">Ash</span></div>
<div property="location" typeof="Place"><span property="name">The Pit</span>
<div property="address" typeof="PostalAddress"><span property="addressLocality">Oslo</span></div></div></div>"""


def test_what_two_voices_of_a_page_tell_is_told_once() -> None:
    (moths,) = messages(list(spider_for(VenuePagesSpider, URL).parse(page(script(GOOD) + MARKED_UP))))
    assert moths.payload_type == "application/ld+json"
    assert len(read(GOOD, GOOD)) == 1


def test_rdfa_is_read_in_the_order_of_the_page() -> None:
    (dust,) = messages(list(spider_for(VenuePagesSpider, URL).parse(page(f"<html><body>{RDFA}</body></html>"))))
    assert dust.fields == {
        "title": "Dust",
        "artist": "The Dust",
        "support": ["Ash"],
        "date": "2024-04-01T20:00",
        "venue": "The Pit",
        "city": "Oslo",
    }
    assert dust.source_id == "/gigs/dust"


def test_two_events_under_one_id_on_one_night_are_two() -> None:
    found = read(event(**{"@id": "#event"}), event(**{"@id": "#event"}, name="Lamps"))
    assert len({message.source_id for message in found}) == 2


def test_nameless_ids_and_the_front_page_are_no_ids() -> None:
    found = read(
        event(**{"@id": "_:b0"}, url=None),
        event(url="/", name="Lamps"),
        event(url="https://alibi.example", name="Dust"),
    )
    assert all(message.source_id.startswith("derived-") for message in found)


def test_a_fuller_account_replaces_a_poorer_one_and_not_the_other_way_round() -> None:
    spider = spider_for(VenuePagesSpider, URL)
    full = page(script(event(location=PIT)), "https://alibi.example/gigs/moths")
    told = [messages(list(spider.parse(one))) for one in (page(script(GOOD)), full, page(script(GOOD)))]
    assert [len(found) for found in told] == [1, 1, 0]


def test_an_id_that_is_too_long_becomes_its_hash() -> None:
    (moths,) = read(event(url="/gigs/" + "x" * 2_000))
    assert moths.source_id.startswith("hashed-")


def test_a_page_with_events_for_machines_is_recognised_and_no_other() -> None:
    body = script([GOOD and event(), event(url="/2", startDate="2024-03-02")]) + RDFA
    assert JsonLdSpider.recognises(page(body)) == "events for machines: 2 as JSON-LD, 1 as RDFa"
    assert JsonLdSpider.recognises(page(script({"@type": "WebSite", "name": "x"}))) == ""
    assert JsonLdSpider.recognises(Response(URL, body=b"%PDF")) == ""


@pytest.mark.parametrize(
    "page_of",
    [
        "<time " * 50_000,
        'itemtype="' * 50_000,
        "typeof=" * 50_000,
        script("//" + " " * 200_000 + "x"),
        script("]]>" + " " * 200_000 + "x"),
        script('{"@type": "Event"' + ' ,"a": 1' * 20_000),
        "".join(f'<p vocab="http://schema.org/" typeof="Event" resource="#{at}">' + "".join(
            f'<a property="subEvent" resource="#{other}"></a>' for other in range(12)) + "</p>" for at in range(12)),
    ],
    ids=range(7),
)  # fmt: skip
def test_no_page_keeps_the_spider_for_long(page_of: str) -> None:
    started = time.monotonic()
    list(spider_for(VenuePagesSpider, URL).parse(page(page_of)))
    assert time.monotonic() - started < 10


def test_no_page_stops_the_reading() -> None:
    text = (
        script(json.dumps([event(location=PIT, performer=["A", {"name": "B"}]), event(url="/2")])) + MARKED_UP
    ).encode()
    told: Counter[str] = Counter()
    for at in range(0, len(text), 17):
        for wrong in (b"", b"\x00", b"\xff", b'"', b"{", b"[]", b"null", b"<", b"&quot;"):
            body = text[:at] + wrong + text[at + 1 :]
            found = list(spider_for(VenuePagesSpider, URL).parse(HtmlResponse(URL, body=body, encoding="utf-8")))
            told["messages"] += len(messages(found))
            told["rejections"] += len(unreadable(found))
            for message in messages(found):
                normalise(message)
    assert told["messages"] > 500 and told["rejections"] > 30


@pytest.mark.parametrize(
    "odd", [None, 7, 1.5, True, "", "x", [], [None], {}, {"@id": 7}, {"name": {"name": []}}, [[{}]]]
)
def test_no_odd_value_stops_the_reading(odd: Any) -> None:
    names = ("@type", "@id", "name", "url", "startDate", "endDate", "performer", "location", "eventStatus", "subEvent",
             "superEvent", "identifier", "previousStartDate", "doorTime", "eventAttendanceMode")  # fmt: skip
    for name in names:
        for found in read(
            {
                "@graph": [
                    event(**{"@id": "#x", name: odd}),
                    event(url="/2", location={**PIT, "geo": odd, "address": odd}),
                ]
            }
        ):
            normalise(found)


def many(count: int) -> list[dict[str, str]]:
    return [{"@type": "MusicEvent", "name": f"Moths {at}", "startDate": "2024-03-01T20:00"} for at in range(count)]


def test_a_page_of_endless_blocks_is_read_in_part_and_says_so() -> None:
    blocks = "".join(f'<script type="application/ld+json">{json.dumps(one)}</script>' for one in many(50_000))
    spider = spider_for(VenuePagesSpider, URL)
    found = list(spider.parse(HtmlResponse(URL, body=f"<html>{blocks}</html>".encode(), encoding="utf-8")))
    assert len(messages(found)) == json_ld.MOST_BLOCKS
    (fault,) = spider.faults
    assert "more than 5,000 blocks of JSON-LD: the rest is not read. Remedy: " in fault


@pytest.mark.parametrize("more", [0, 1])
def test_a_page_with_as_many_events_as_are_given_is_whole(more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_A_PAGE", 3)
    block = f'<script type="application/ld+json">{json.dumps(many(3 + more))}</script>'
    spider = spider_for(VenuePagesSpider, URL)
    found = list(spider.parse(HtmlResponse(URL, body=f"<html>{block}</html>".encode(), encoding="utf-8")))
    assert (len(messages(found)), len(spider.faults)) == (3, more)


@pytest.mark.parametrize(("syntax", "of_type"), [("microdata", "itemscope itemtype"), ("rdfa", "typeof")])
def test_markup_without_end_is_not_read_and_says_so(syntax: str, of_type: str) -> None:
    things = f'<p {of_type}="https://schema.org/MusicEvent"></p>' * (json_ld.MOST_MARKED_UP + 1)
    spider = spider_for(VenuePagesSpider, URL)
    assert list(spider.parse(HtmlResponse(URL, body=f"<html>{things}</html>".encode(), encoding="utf-8"))) == []
    assert f"more than 5,000 things in its {syntax}" in spider.faults[0]
