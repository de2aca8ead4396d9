"""Feeds become events; only what tells when an event is counts as its date."""

import time
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from scrapy.http import Response, TextResponse, XmlResponse

from matchers.normalise import normalise
from schemas.listing import Listing
from schemas.raw import RawMessage
from schemas.rejection import Reason
from spiders.authoring.trying import fits_of
from spiders.formats.feed import FeedSpider, date_advice
from spiders.sources.feeds import FeedsSpider
from tests.spiders.reading import messages, spider_for, unreadable

URL = "https://pit.example/events/rss"
RSS = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:ev="http://purl.org/rss/1.0/modules/event/" xmlns:geo="http://www.w3.org/2003/01/geo/wgs84_pos#">
<channel><title>The Pit</title>{}</channel></rss>"""
MOTHS = """<item><title>Moths &amp;amp; Lamps</title><link>https://pit.example/gigs/moths</link><guid>pit-1</guid>
<pubDate>Mon, 01 Jan 2024 10:00:00 GMT</pubDate><ev:startdate>2024-03-01T20:00:00+01:00</ev:startdate>
<ev:location>The Pit, Gade 1, 8000 Århus C, Denmark</ev:location><geo:lat>56.15</geo:lat><geo:long>10.2</geo:long>
<description><![CDATA[<p>Loud&nbsp;night</p>]]></description></item>"""


def read(text: str | bytes, kind: type[FeedSpider] = FeedsSpider) -> tuple[list[RawMessage], list[Any], FeedSpider]:
    spider = spider_for(kind, URL)
    found = list(spider.parse(Response(URL, body=text.encode() if isinstance(text, str) else text)))
    return messages(found), unreadable(found), spider


class Published(FeedSpider):
    name = "published"
    fields = {"title": "title", "date": "pubDate", "support": "category"}  # noqa: RUF012


def test_an_item_becomes_a_message_with_what_its_elements_say() -> None:
    (moths,), bad, spider = read(RSS.format(MOTHS))
    assert moths.fields == {
        "title": "Moths & Lamps",
        "date": "2024-03-01T20:00:00+01:00",
        "venue": "The Pit",
        "city": "Århus C",
        "country": "Denmark",
        "lat": 56.15,
        "lon": 10.2,
    }
    assert (moths.source_id, moths.url) == ("pit-1", "https://pit.example/gigs/moths")
    assert "<guid>pit-1" in (moths.payload or "") and bad == [] and spider.faults == []


def test_when_it_was_published_is_no_date_of_an_event_unless_the_source_says_so() -> None:
    item = MOTHS.replace("ev:startdate", "ev:type")
    found, (bad,), _ = read(RSS.format(item + MOTHS.replace("pit-1", "pit-2")))
    assert [message.source_id for message in found] == ["pit-2"]
    assert (bad.reason, bad.text) == (Reason.MISSING_FIELD, "date: the page has none here (row 1, Moths & Lamps)")
    assert b"pit-1" in bad.original
    (moths,), _, _ = read(RSS.format(item), Published)
    assert moths.fields["date"] == "2024-01-01T10:00:00+00:00"


def test_atom_is_read_by_its_local_names_and_its_links() -> None:
    (moths,), _, _ = read(
        """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:e="http://purl.org/rss/1.0/modules/event/"><title>Pit</title>
        <entry><id>tag:pit.example,2024:1</id><title type="html">&lt;b&gt;Moths&lt;/b&gt;</title>
        <updated>2024-01-15T12:00:00Z</updated>
        <link rel="alternate" href="/gigs/moths"/><e:startdate>20240301T200000Z</e:startdate></entry></feed>"""
    )
    assert moths.fields == {"title": "Moths", "date": "2024-03-01T20:00Z"}
    assert (moths.source_id, moths.url) == ("tag:pit.example,2024:1", "https://pit.example/gigs/moths")
    assert moths.seen_at == datetime(2024, 1, 15, 12, tzinfo=UTC)


def test_xcal_within_rss_and_rdf_are_read() -> None:
    (moths,), _, _ = read(
        """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
        xmlns:xCal="urn:ietf:params:xml:ns:xcal"><channel/><item rdf:about="https://pit.example/gigs/moths"><title>Moths</title>
        <link>https://pit.example/gigs/moths</link><xCal:dtstart>2024-03-01 20:00</xCal:dtstart>
        <xCal:location>The Pit</xCal:location></item></rdf:RDF>"""
    )
    assert moths.fields == {"title": "Moths", "date": "2024-03-01 20:00", "venue": "The Pit"}
    assert moths.source_id == "/gigs/moths"


class Shows(FeedSpider):
    name = "shows"
    row = "show"
    fields = {  # noqa: RUF012
        "artist": "act/name",
        "support": "guests/guest",
        "date": ("when@day", "when"),
        "venue": "place/name",
        "city": "place/town",
        "status": "@state",
    }
    ids = "@nr"
    link = "see@href"
    date_order = "DMY"


def test_any_xml_is_read_with_a_declared_row_and_declared_fields() -> None:
    (moths,), _, spider = read(
        """<programme xmlns="urn:x"><show nr="7" state="cancelled"><act><name>Moths</name></act>
        <guests><guest>Lamps</guest><guest>Dust</guest></guests><when day="03/04/2024">soon</when>
        <place><name>The Pit</name><town>Oslo</town></place>
        <see href="/gigs/7"/></show></programme>""",
        Shows,
    )
    assert (moths.source_id, moths.url) == ("7", "https://pit.example/gigs/7") and spider.faults == []
    found = normalise(moths)
    assert isinstance(found, tuple)
    (listing,) = found
    assert isinstance(listing, Listing)
    assert ([act.name for act in listing.acts], listing.night) == (["Moths", "Lamps", "Dust"], date(2024, 4, 3))
    assert (listing.place.name, listing.place.city, listing.status.value) == ("The Pit", "Oslo", "cancelled")


def test_xml_without_the_declared_row_is_a_fault_that_names_it_and_an_empty_feed_is_none() -> None:
    found, _, spider = read("<programme><gig/></programme>", Shows)
    assert found == [] and "<programme> has no <show>" in spider.faults[0] and "Remedy" in spider.faults[0]
    found, _, spider = read(RSS.format(""))
    assert found == [] and spider.faults == []


def test_what_is_no_xml_is_a_fault_and_a_rejection() -> None:
    for text in ("", "not found", '{"items": []}', "<!doctype html><html><body>no</body></html>"):
        found, (bad,), spider = read(text)
        assert found == [] and bad.reason is Reason.BAD_DOCUMENT and "is no XML" in spider.faults[0]


def test_a_feed_that_is_cut_off_is_a_fault_and_what_was_whole_is_given() -> None:
    text = RSS.format(MOTHS + MOTHS.replace("pit-1", "pit-2"))
    found, _, spider = read(text[: text.index("pit-2") - 10])
    assert found[0].source_id == "pit-1" and "cut off" in spider.faults[0]


def test_slips_that_readers_forgive_lose_no_item() -> None:
    item = MOTHS.replace("Moths &amp;amp; Lamps", "M&ouml;ths & Lamps\x0b &nbsp;caf&eacute;")
    (moths,), _, spider = read(RSS.format(item))
    assert moths.fields["title"].startswith("Möths") and moths.fields["title"].endswith("café") and spider.faults == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_every_usual_encoding_is_read(encoding: str) -> None:
    text = RSS.format(MOTHS).replace('encoding="utf-8"', f'encoding="{encoding.removesuffix("-sig")}"')
    (moths,), _, _ = read(text.encode(encoding))
    assert moths.fields["city"] == "Århus C"


def test_the_charset_of_the_server_counts_where_the_feed_tells_none() -> None:
    text = RSS.format(MOTHS).replace(' encoding="utf-8"', "")
    spider = spider_for(FeedsSpider, URL)
    (moths,) = messages(list(spider.parse(XmlResponse(URL, body=text.encode("cp1252"), encoding="cp1252"))))
    assert moths.fields["city"] == "Århus C"


def test_entities_of_the_feeds_own_are_neither_expanded_nor_fetched(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 30))
    doctype = f'<!DOCTYPE rss [<!ENTITY x SYSTEM "file://{secret}"><!ENTITY l0 "ha">{laughs}'
    doctype += '<!ENTITY % p SYSTEM "http://127.0.0.1:1/x">%p;]>'
    text = RSS.format(MOTHS.replace("Lamps", "Lamps &x; &l29;")).replace("<rss", f"{doctype}<rss", 1)
    started = time.monotonic()
    (moths,), _, _ = read(text)
    assert time.monotonic() - started < 2
    assert "secret" not in str(moths.fields) and "ha" not in moths.fields["title"]


def test_a_wrong_declaration_is_told_when_the_file_is_read() -> None:
    with pytest.raises(TypeError, match="no listing row has price"):
        type("Wrong", (FeedSpider,), {"fields": {"price": "price"}})
    with pytest.raises(TypeError, match="names no element"):
        type("Wrong", (FeedSpider,), {"fields": {"title": "a[1]"}})


def test_a_feed_is_recognised_and_a_calendar_as_xml_is_not() -> None:
    assert FeedSpider.recognises(TextResponse(URL, body=RSS.format(MOTHS).encode(), encoding="utf-8")) == (
        "a feed (rss) with 1 rows, 1 of them with an event's date"
    )
    xcal = b'<icalendar xmlns="urn:ietf:params:xml:ns:icalendar-2.0"><item/></icalendar>'
    for body in (xcal, b"<html><body><item></item></body></html>", b"{}", b"<urlset><url/></urlset>"):
        assert FeedSpider.recognises(Response(URL, body=body)) == ""


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            "<pit:when>2030-05-03</pit:when>",
            "<pit:when> could be it: the source declares fields = {**FeedSpider.fields",
        ),
        ("<show><day at='3.5.2030'/><night>3 May 2030</night></show>", "<show/day@at> or <show/night> could be it"),
        ("", "<pubDate> says when a row was published"),
    ],
)
def test_of_a_feed_without_dates_it_is_told_which_element_could_be_one(more: str, told: str) -> None:
    item = MOTHS.replace("ev:startdate", "ev:type").replace("2024-03-01T20:00:00+01:00", "music")
    text = RSS.format(item.replace("</item>", f"{more}</item>")).replace("<rss ", '<rss xmlns:pit="urn:pit" ')
    response = TextResponse(URL, body=text.encode(), encoding="utf-8")
    assert told in date_advice(response, FeedSpider)
    (fit,) = fits_of(response, 3)
    assert (fit.total, fit.hint) == (0, date_advice(response, FeedSpider))


def test_of_a_feed_that_has_dates_or_nothing_like_one_no_element_is_named() -> None:
    assert date_advice(TextResponse(URL, body=RSS.format(MOTHS).encode(), encoding="utf-8"), FeedSpider) == ""
    news = RSS.format("<item><title>Moths</title><guid>https://pit.example/2030-05-03</guid></item>")
    told = date_advice(TextResponse(URL, body=news.encode(), encoding="utf-8"), FeedSpider)
    assert told.startswith("no element of a row is a date")


def test_no_feed_stops_the_reading() -> None:
    text, told = RSS.format(MOTHS).encode(), Counter[str]()
    for at in range(0, len(text), 11):
        for wrong in (b"", b"\x00", b"\xff", b"<", b"&", b">", b"]]>", b"<item>", b"<!ENTITY"):
            found, bad, spider = read(text[:at] + wrong + text[at + 1 :])
            told["messages"] += len(found)
            told["rest"] += len(bad) + len(spider.faults)
    assert told["messages"] > 300 and told["rest"] > 5
