"""Results of SPARQL become venues."""

from datetime import date
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import orjson
import pytest
from aiohttp import web
from scrapy import Request
from scrapy.http import TextResponse

from deploy.settings import SettingsError
from matchers.normalise import normalise
from schemas.reference import DatedName, Venue
from schemas.rejection import Reason
from spiders.contact import UNTOLD, check_contact
from spiders.sources.wikidata_venues import WikidataVenuesSpider
from tests.spiders.collecting import collect_all
from tests.spiders.reading import answer, followed, messages, spider_for, unreadable
from tests.spiders.test_crawl import serving

URL = "https://sparql.example/sparql?format=json"


def rows(*items: str) -> bytes:
    """A page with a row for each of these."""
    bindings = [{"item": {"type": "uri", "value": item}, "label": {"type": "literal", "value": item}} for item in items]
    return orjson.dumps({"head": {"vars": ["item", "label"]}, "results": {"bindings": bindings}})


def page(url: str, body: bytes, meta: dict[str, Any] | None = None) -> TextResponse:
    """An answer to a request with this meta."""
    return TextResponse(url, body=body, encoding="utf-8", request=Request(url, meta=meta or {}))


def test_the_rows_of_an_item_are_one_venue_with_its_names_and_when_it_had_them() -> None:
    found = list(spider_for(WikidataVenuesSpider, URL).parse(answer("wikidata_venues.json", URL)))
    first, second = messages(found)
    assert first.source_id == "Q901"
    assert first.url == "https://www.wikidata.org/wiki/Q901"
    assert first.fields == {
        "name": "The Alibi",
        "names": [
            {"name": "Town Hall", "until": "1987"},
            {"name": "Alibi Ballroom", "since": "1987-06-17", "until": "2003-05"},
            {"name": "The Alibi", "since": "2003"},
        ],
        "city": "Aarhus",
        "country": "DK",
        "lat": 56.1567,
        "lon": 10.2108,
        "capacity": 650,
        "mbid": "9c0e2f64-1111-4000-8000-00000000b001",
    }
    assert second.fields == {"name": "Old Mill", "country": "DK"}, "a label that is the id is no name"
    (venue,) = normalise(first)  # type: ignore[misc]
    assert isinstance(venue, Venue)
    assert venue.names == (
        DatedName(name="Town Hall", until=date(1987, 12, 31)),
        DatedName(name="Alibi Ballroom", since=date(1987, 6, 17), until=date(2003, 5, 31)),
    )
    assert (venue.capacity, venue.place.city) == (650, "Aarhus")


def test_rows_without_an_item_and_what_is_no_row_are_unreadable() -> None:
    found = list(spider_for(WikidataVenuesSpider, URL).parse(answer("wikidata_venues.json", URL)))
    assert [bad.reason for bad in unreadable(found)] == [Reason.WRONG_TYPE, Reason.MISSING_FIELD]


def test_a_full_page_is_followed_and_its_last_item_waits_for_the_rest_of_its_rows() -> None:
    url = f"{URL}&query={quote_plus('SELECT ?item WHERE {} ORDER BY ?item LIMIT 3 OFFSET 0')}"
    spider = spider_for(WikidataVenuesSpider, url)
    found = list(spider.parse(page(url, rows("a", "b", "b"))))
    assert [one.source_id for one in messages(found)] == ["a"]
    (asked,) = [one for one in found if isinstance(one, Request)]
    assert parse_qs(urlsplit(asked.url).query)["query"][0].endswith("LIMIT 3 OFFSET 3")
    found = list(spider.parse(page(asked.url, rows("b", "c"), asked.meta)))
    assert [one.source_id for one in messages(found)] == ["b", "c"]
    assert len(orjson.loads(messages(found)[0].payload or "")) == 3
    assert followed(found) == []


def test_an_empty_page_is_the_end_and_gives_what_waited() -> None:
    url = f"{URL}&query={quote_plus('SELECT ?item WHERE {} LIMIT 1 OFFSET 5')}"
    waiting = orjson.loads(rows("z"))["results"]["bindings"]
    spider = spider_for(WikidataVenuesSpider, url)
    found = list(spider.parse(page(url, rows(), {"waiting": waiting})))
    assert [one.source_id for one in messages(found)] == ["z"]
    assert (followed(found), spider.faults) == ([], [])


@pytest.mark.parametrize(
    "body",
    [
        b'{"head": {"vars": ["item"]}, "results": {"bindings": [ java.util.concurrent.TimeoutException\n\tat ...',
        b"SPARQL-QUERY: queryStr=SELECT\njava.util.concurrent.TimeoutException",
        b"<html><h1>429 Too Many Requests</h1></html>",
        b'{"head": {}, "boolean": true}',
    ],
)
def test_a_query_that_was_cut_off_fails_the_run(body: bytes) -> None:
    spider = spider_for(WikidataVenuesSpider, URL)
    assert messages(list(spider.parse(page(URL, body)))) == []
    assert URL in spider.faults[0]
    assert ("took too long" in spider.faults[0]) is (b"Timeout" in body)


def test_each_country_is_a_query_of_its_own() -> None:
    spider = spider_for(WikidataVenuesSpider, more={"country": "dk, SE"})
    queries = [parse_qs(urlsplit(url).query)["query"][0] for url in spider.addresses]
    assert ['"DK"' in query for query in queries] == [True, False]
    assert ['"SE"' in query for query in queries] == [False, True]
    assert all("LIMIT 500 OFFSET 0" in query and "wdt:P625" in query and "COUNTRY" not in query for query in queries)
    with pytest.raises(SettingsError, match="country=DK"):
        spider_for(WikidataVenuesSpider)


def test_nobody_in_particular_does_not_ask_wikidata() -> None:
    with pytest.raises(SettingsError, match=r"query\.wikidata\.org.*GIGZ_USER_AGENT"):
        check_contact("x", ["https://query.wikidata.org/sparql"], WikidataVenuesSpider.contact_hosts, UNTOLD)


@pytest.mark.network
async def test_pages_of_both_services_are_crawled_to_their_end() -> None:
    items = [f"http://www.wikidata.org/entity/Q{number}" for number in range(100, 107) for _ in range(3)]

    async def service(request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(status=404)
        if request.path == "/sparql":
            offset = int(request.query["query"].rpartition(" ")[2])
            return web.Response(body=rows(*items[offset : offset + 4]), content_type="application/sparql-results+json")
        offset = int(request.query.get("offset", 0))
        artists = [{"id": f"{number}", "name": f"Artist {number}"} for number in range(25)]
        page = {"artist-count": 25, "artist-offset": offset, "artists": artists[offset : offset + 10]}
        return web.json_response(page)

    async with serving(service) as base:
        query = quote_plus("SELECT ?item ORDER BY ?item LIMIT 4 OFFSET 0")
        crawls = [
            ("wikidata_venues", f"{base}/sparql?query={query}&format=json", ""),
            ("musicbrainz_artists", f"{base}/ws/2/artist?area=x&fmt=json&limit=10", ""),
        ]
        venues, artists = await collect_all(crawls)
    assert (venues.faults, artists.faults) == ([], [])
    assert (venues.pages, artists.pages) == (6, 3)
    assert [item["source_id"] for item in venues.items] == [f"Q{number}" for number in range(100, 107)]
    assert all(len(orjson.loads(item["payload"])) == 3 for item in venues.items)
    assert sorted(item["fields"]["name"] for item in artists.items) == sorted(f"Artist {n}" for n in range(25))


def test_a_town_without_a_label_and_a_blank_node_say_nothing() -> None:
    told = [
        {"item": ("uri", "http://www.wikidata.org/entity/Q1"), "cityLabel": ("literal", "Q1234567")},
        {"item": ("uri", "http://www.wikidata.org/entity/Q1"), "name": ("bnode", "t123"), "capacity": ("bnode", "t4")},
        {"item": ("uri", "http://www.wikidata.org/entity/Q1"), "regionLabel": ("literal", "Q42")},
        {"item": ("uri", "http://www.wikidata.org/entity/Q1"), "itemLabel": ("literal", "Q1")},
        {"item": ("uri", "http://www.wikidata.org/entity/Q1"), "name": ("literal", "Vega")},
        {"item": ("uri", "http://www.wikidata.org/entity/Q2"), "itemLabel": ("literal", "Rust")},
        {
            "item": ("uri", "http://www.wikidata.org/entity/Q2"),
            "cityLabel": ("literal", "Q7"),
            "city": ("literal", "By"),
        },
        {"item": ("bnode", "t9"), "itemLabel": ("literal", "Nowhere")},
    ]
    bindings = [{name: {"type": kind, "value": value} for name, (kind, value) in row.items()} for row in told]
    body = orjson.dumps({"head": {"vars": ["item"]}, "results": {"bindings": bindings}})
    found = list(spider_for(WikidataVenuesSpider, URL).parse(page(URL, body)))
    assert [one.fields for one in messages(found)] == [{"name": "Vega"}, {"name": "Rust", "city": "By"}]
    assert [bad.reason for bad in unreadable(found)] == [Reason.MISSING_FIELD]
