"""Catalogues become venues."""

from scrapy.http import TextResponse

from schemas.raw import RawVenue
from schemas.rejection import Reason
from spiders.sources.venues import VenuesSpider
from tests.spiders.reading import NOW, answer, messages, spider_for, unreadable

URL = "https://catalogue.example/venues.json"


def test_a_row_becomes_exactly_this_message() -> None:
    found = messages(list(spider_for(VenuesSpider, URL).parse(answer("venues.json", URL))))
    alibi = found[0]
    assert alibi == RawVenue(
        source="catalogue.example",
        source_id="7",
        seen_at=NOW,
        url="https://alibi.example/",
        spider="venues",
        fields={
            "name": "The Alibi",
            "city": "Århus",
            "country": "DK",
            "lat": 56.1567,
            "lon": 10.2108,
            "capacity": 400,
            "names": ["Alibi Ballroom", "Town Hall"],
        },
        content_hash=alibi.content_hash,
        payload='{"id":7,"name":"The Alibi","former_names":["Alibi Ballroom","Town Hall"],"city":"Århus",'
        '"country":"DK","lat":56.1567,"lng":10.2108,"capacity":400,"url":"https://alibi.example/"}',
        payload_type="application/json",
        payload_hash=alibi.payload_hash,
    )
    assert found[1].fields["capacity"] == "about 90", "normalising judges it"


def test_what_is_no_venue_is_unreadable() -> None:
    (bad,) = unreadable(list(spider_for(VenuesSpider, URL).parse(answer("venues.json", URL))))
    assert (bad.reason, bad.original) == (Reason.WRONG_TYPE, b'"not a venue"')


def test_csv_gives_the_same_as_json() -> None:
    page = answer(
        "venues.csv", "https://catalogue.example/venues.csv", {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    )
    found = messages(list(spider_for(VenuesSpider, URL, source="catalogue").parse(page)))
    json = messages(list(spider_for(VenuesSpider, URL).parse(answer("venues.json", URL))))
    assert found[0].fields == json[0].fields
    assert found[0].content_hash == json[0].content_hash
    assert (found[0].source, found[0].seen_at.year) == ("catalogue", 2024)
    assert found[1].fields == {"name": "Mill, Old", "city": "Leeds", "country": "GB", "capacity": 1.2}
    assert found[1].source_id.startswith("derived-")


def test_a_catalogue_that_is_cut_off_fails_the_run() -> None:
    spider = spider_for(VenuesSpider, URL)
    (bad,) = unreadable(list(spider.parse(TextResponse(URL, body=b'{"venues": [{"name": "The', encoding="utf-8"))))
    assert bad.reason is Reason.BAD_DOCUMENT
    assert URL in spider.faults[0]
