"""Answers of SeatGeek become events."""

import json
from datetime import date
from typing import Any

import pytest
from scrapy import Request
from scrapy.http import TextResponse
from w3lib.url import url_query_parameter

from spiders.sources.seatgeek import SeatGeekEventsSpider
from tests.spiders.normal import listings, refusals
from tests.spiders.reading import answer, followed, messages, spider_for

URL = "https://api.seatgeek.com/2/events?venue.city=Portland&per_page=5"


def test_every_event_becomes_a_message() -> None:
    read = {
        one.source_id: one.fields
        for one in messages(list(spider_for(SeatGeekEventsSpider, URL).parse(answer("seatgeek_p1.json", URL))))
    }
    assert read["501"] == {
        "artist": "The Night Moths",
        "support": ["Mothball"],
        "artist_mbid": "0c1f7a9e-3d44-4f0b-9a55-2f3c1f2b7a10",
        "title": "Mothball with The Night Moths",
        "date": "2024-03-14T20:00:00",
        "status": "announced",
        "venue": "Paper Mill",
        "city": "Portland",
        "region": "OR",
        "country": "US",
        "lat": 45.52,
        "lon": -122.67,
        "tz": "America/Los_Angeles",
    }
    assert (read["502"]["artist"], read["502"]["festival"]) == ("Mothball", "Riverside Fest")
    assert read["502"]["date"] == "2024-07-05"  # 03:30 stands for no hour
    assert "date" not in read["503"]
    assert [read[one]["status"] for one in ("503", "504", "505")] == ["postponed", "announced", "cancelled"]


@pytest.mark.parametrize(
    ("more", "written"),
    [
        ({"enddatetime_utc": "2024-07-08T05:00:00"}, "2024-07-05/2024-07-07"),
        ({"enddatetime_utc": "2024-07-06T05:00:00Z"}, "2024-07-05"),
        ({"enddatetime_utc": "2024-07-06T07:00:00", "type": "concert", "performers": []}, "2024-07-05"),
        ({"enddatetime_local": "2024-07-07T23:00:00"}, "2024-07-05/2024-07-07"),
        ({"enddatetime_utc": "2024-07-08T05:00:00", "venue": {"timezone": "Mars"}}, "2024-07-05"),
        ({"enddatetime_utc": None}, "2024-07-05"),
        ({"enddatetime_utc": "soon"}, "2024-07-05"),
        ({"enddatetime_utc": "2024-07-08T05:00:00", "date_tbd": True}, None),
    ],
)
def test_a_festival_of_several_days_has_both_ends_as_its_date(more: dict[str, Any], written: str | None) -> None:
    page = json.loads(answer("seatgeek_p1.json", URL).text)
    fest = {**page["events"][1], **more}
    body = json.dumps({"events": [fest], "meta": {"total": 1, "page": 1, "per_page": 5}}).encode()
    response = TextResponse(URL, body=body, encoding="utf-8", request=Request(URL))
    (found,) = messages(list(spider_for(SeatGeekEventsSpider, URL).parse(response)))
    assert found.fields.get("date") == written
    if written and "/" in written:
        assert refusals([found]) == {"502": "bad_date"}


def test_normalising_refuses_only_what_has_no_night() -> None:
    found = messages(list(spider_for(SeatGeekEventsSpider, URL).parse(answer("seatgeek_p1.json", URL))))
    assert refusals(found) == {"503": "no_date"}
    assert listings(found)[0].night == date(2024, 3, 14)


def test_pages_are_turned_until_the_total_is_reached() -> None:
    spider = spider_for(SeatGeekEventsSpider, URL)
    assert followed(list(spider.parse(answer("seatgeek_p1.json", URL)))) == [f"{URL}&page=2"]
    assert followed(list(spider.parse(answer("seatgeek_p2.json", f"{URL}&page=2")))) == []
    assert spider.faults == []


def test_a_search_asks_for_the_name_within_the_days() -> None:
    spider = spider_for(SeatGeekEventsSpider, artist="The Night Moths", since=date(2024, 1, 1), until=date(2024, 2, 1))
    (url,) = spider.addresses
    assert [url_query_parameter(url, name) for name in ("q", "datetime_local.gte", "datetime_local.lte")] == [
        "The Night Moths",
        "2024-01-01",
        "2024-02-01T23:59:59",
    ]


def test_an_error_object_fails_the_run() -> None:
    spider = spider_for(SeatGeekEventsSpider, URL)
    body = b'{"status": "error", "message": "Invalid client credentials.", "code": 11}'
    assert list(spider.parse(TextResponse(URL, body=body, encoding="utf-8", request=Request(URL)))) == []
    assert "Invalid client credentials." in spider.faults[0]


def nothing(spider: SeatGeekEventsSpider) -> None:
    body = b'{"events": [], "meta": {"total": 0, "page": 1, "per_page": 100}}'
    url = spider.start_url
    assert list(spider.parse(TextResponse(url, body=body, encoding="utf-8", request=Request(url)))) == []


def test_a_search_that_finds_nothing_says_so_and_an_empty_city_is_left_to_the_run() -> None:
    search, city = spider_for(SeatGeekEventsSpider, artist="Nobody"), spider_for(SeatGeekEventsSpider, URL)
    nothing(search)
    nothing(city)
    assert (search.faults, search.cut) == ([], "seatgeek found nothing for Nobody")
    assert (city.faults, city.cut) == ([], "")


@pytest.mark.parametrize(
    ("more", "written"),
    [
        ({"datetime_utc": "2024-03-15T03:00:00"}, "2024-03-14T20:00:00"),
        ({"datetime_utc": "2024-03-15T03:00:00Z"}, "2024-03-14T20:00:00"),
        ({"datetime_utc": "2024-03-15T03:00:00", "time_tbd": True}, "2024-03-14"),
        ({"datetime_utc": "2024-03-15T03:00:00", "venue": {"name": "Paper Mill"}}, None),
        ({"datetime_utc": "2024-03-15T03:00:00", "venue": {"timezone": "Mars"}}, None),
        ({"datetime_utc": "soon"}, None),
    ],
)
def test_a_moment_alone_is_read_by_the_clock_of_the_venue(more: dict[str, Any], written: str | None) -> None:
    page = json.loads(answer("seatgeek_p1.json", URL).text)
    event = {name: value for name, value in page["events"][0].items() if name != "datetime_local"} | more
    body = json.dumps(event).encode()  # as /events/{id} has it
    response = TextResponse(URL, body=body, encoding="utf-8", request=Request(URL))
    spider = spider_for(SeatGeekEventsSpider, URL)
    (found,) = messages(list(spider.parse(response)))
    assert (found.fields.get("date"), spider.faults) == (written, [])
