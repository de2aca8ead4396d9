"""Answers of Ticketmaster's Discovery API become events."""

from datetime import date
from itertools import pairwise

import orjson
import pytest
from scrapy import Request
from scrapy.http import TextResponse
from w3lib.url import url_query_parameter

from schemas.rejection import Reason
from spiders.formats.ticketmaster import narrower
from spiders.sources.ticketmaster import TicketmasterEventsSpider
from tests.spiders.normal import listings, refusals
from tests.spiders.reading import NOW, answer, followed, messages, spider_for, unreadable

URL = "https://app.ticketmaster.com/discovery/v2/events.json?countryCode=DE&size=8"


def test_every_event_of_a_page_becomes_a_message() -> None:
    found = list(spider_for(TicketmasterEventsSpider, URL).parse(answer("ticketmaster_p0.json", URL)))
    read = {one.source_id: one.fields for one in messages(found)}
    assert list(read) == ["TM1", "TM2", "TM3", "TM4", "TM5", "TM6"]
    assert read["TM1"] == {
        "artist": "Die Nachtfalter",
        "support": ["Mottenkugel"],
        "artist_mbid": "0c1f7a9e-3d44-4f0b-9a55-2f3c1f2b7a10",
        "title": "Die Nachtfalter: Winterreise",
        "date": "2024-03-14",
        "start_time": "20:00:00",
        "doors_time": "19:00:00",
        "status": "announced",
        "venue": "Halle am Kanal",
        "city": "Leipzig",
        "country": "DE",
        "lat": 51.3281,
        "lon": 12.3311,
        "tz": "Europe/Berlin",
    }
    assert {name: read["TM2"].get(name) for name in ("artist", "support", "festival", "date", "start_time")} == {
        "artist": "Die Nachtfalter",
        "support": ["Ölmühle"],
        "festival": "Uferklang 2024",
        "date": "2024-07-05/2024-07-07",
        "start_time": None,
    }
    assert (read["TM3"]["status"], read["TM4"]["status"], read["TM5"]["status"]) == (
        "cancelled",
        "postponed",
        "announced",
    )
    assert "date" not in read["TM4"] and "start_time" not in read["TM5"]
    assert (read["TM5"]["venue"], read["TM5"]["city"]) == ("Marktplatz", "Görlitz")
    assert (read["TM6"]["title"], "artist" in read["TM6"], read["TM6"]["date"]) == (
        "Nobody Told",
        False,
        "2024-06-01T18:30:00Z",
    )


def test_what_is_no_event_is_told_with_its_reason() -> None:
    found = list(spider_for(TicketmasterEventsSpider, URL).parse(answer("ticketmaster_p0.json", URL)))
    test, without_id = unreadable(found)
    assert (test.reason, "TM7" in test.text) == (Reason.BAD_VALUE, True)
    assert (without_id.reason, orjson.loads(without_id.original)["name"]) == (Reason.MISSING_FIELD, "No id")


def test_normalising_refuses_only_what_has_no_night() -> None:
    found = messages(list(spider_for(TicketmasterEventsSpider, URL).parse(answer("ticketmaster_p0.json", URL))))
    assert refusals(found) == {"TM2": "bad_date", "TM4": "no_date"}
    first = listings(found)[0]
    assert (first.night, [act.name for act in first.acts], first.place.tz) == (
        date(2024, 3, 14),
        ["Die Nachtfalter", "Mottenkugel"],
        "Europe/Berlin",
    )


def test_pages_are_turned_until_the_last() -> None:
    spider = spider_for(TicketmasterEventsSpider, URL)
    assert followed(list(spider.parse(answer("ticketmaster_p0.json", URL)))) == [f"{URL}&page=1"]
    assert followed(list(spider.parse(answer("ticketmaster_p1.json", f"{URL}&page=1")))) == []
    assert spider.faults == []


def test_a_server_that_always_gives_the_first_page_fails_the_run() -> None:
    spider = spider_for(TicketmasterEventsSpider, URL)
    assert followed(list(spider.parse(answer("ticketmaster_p0.json", f"{URL}&page=1")))) == []
    assert "page 0, though page 1 was asked for" in spider.faults[0]


def page(total: int, url: str) -> TextResponse:
    body = orjson.loads(answer("ticketmaster_p1.json", URL).body)
    body["page"] = {"size": 200, "totalElements": total, "totalPages": -(-total // 200), "number": 0}
    return TextResponse(url, body=orjson.dumps(body), encoding="utf-8", request=Request(url))


def test_what_lies_deeper_than_the_api_goes_is_asked_for_in_shorter_windows() -> None:
    spider = spider_for(TicketmasterEventsSpider, URL)
    found = list(spider.parse(page(5_000, URL)))
    first, rest = followed(found)
    assert messages(found) == []  # the windows give them
    assert url_query_parameter(first, "startDateTime") == "2024-02-01T12:00:00Z"
    assert url_query_parameter(first, "endDateTime") == "2024-04-01T12:00:00Z"
    assert url_query_parameter(rest, "startDateTime") == "2024-04-01T12:00:01Z"
    assert url_query_parameter(rest, "endDateTime") is None
    again = followed(list(spider.parse(page(1_001, first))))
    assert [url_query_parameter(url, "startDateTime") for url in again] == [
        "2024-02-01T12:00:00Z",
        "2024-03-02T12:00:01Z",
    ]
    assert len(messages(list(spider.parse(page(1_000, first))))) == 1
    assert (spider.faults, spider.cut) == ([], "")


def test_windows_leave_no_gap_and_end() -> None:
    waiting, whole = [URL], []
    while waiting:
        url = waiting.pop()
        start, end = (url_query_parameter(url, name) for name in ("startDateTime", "endDateTime"))
        if end is not None:
            whole.append((start, end))
        waiting += list(narrower(url, NOW)) if end is None else []
    whole.sort()
    assert all(later[0] is not None and later[0][:-3] == earlier[1][:-3] for earlier, later in pairwise(whole))


def test_an_hour_with_too_many_events_is_read_as_far_as_it_goes_and_says_so() -> None:
    url = f"{URL}&startDateTime=2024-03-01T12:00:00Z&endDateTime=2024-03-01T13:00:00Z"
    spider = spider_for(TicketmasterEventsSpider, URL)
    found = list(spider.parse(page(3_000, url)))
    assert len(messages(found)) == 1
    assert [url_query_parameter(one, "page") for one in followed(found)] == ["1"]
    assert "3000 events, of which the API gives 1000" in spider.cut
    last = page(3_000, f"{url}&page=4")
    last = last.replace(body=last.body.replace(b'"number":0', b'"number":4'))
    assert followed(list(spider.parse(last))) == []
    assert spider.faults == []


def test_a_search_asks_for_the_name_around_the_days() -> None:
    spider = spider_for(TicketmasterEventsSpider, artist="AC/DC", since=date(2024, 1, 1), until=date(2024, 12, 31))
    (url,) = spider.addresses
    assert [url_query_parameter(url, name) for name in ("keyword", "startDateTime", "endDateTime")] == [
        "AC/DC",
        "2023-12-31T00:00:00Z",
        "2025-01-02T00:00:00Z",
    ]


def test_nights_that_were_not_asked_for_are_left_out() -> None:
    spider = spider_for(TicketmasterEventsSpider, URL, since=date(2024, 4, 1), until=date(2024, 4, 30))
    read = messages(list(spider.parse(answer("ticketmaster_p0.json", URL))))
    # A night that cannot be told is left to normalising.
    assert [one.source_id for one in read] == ["TM2", "TM3", "TM4"]


def test_a_country_is_enough() -> None:
    (url,) = spider_for(TicketmasterEventsSpider, more={"country": "DE"}).addresses
    assert (url_query_parameter(url, "countryCode"), url_query_parameter(url, "size")) == ("DE", "200")


@pytest.mark.parametrize(
    "body",
    [
        b'{"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "oauth.v2.InvalidApiKey"}}}',
        b'{"errors": [{"code": "DIS1035", "detail": "API Limits Exceeded: Max paging depth exceeded."}]}',
        b'{"page": {"totalElements": 7, "totalPages": 1, "size": 20, "number": 0}}',
        b'{"_embedded": {"events": []}}',
    ],
)
def test_an_error_in_an_answer_that_looks_fine_fails_the_run(body: bytes) -> None:
    spider = spider_for(TicketmasterEventsSpider, URL)
    assert list(spider.parse(TextResponse(URL, body=body, encoding="utf-8", request=Request(URL)))) == []
    assert spider.faults and "app.ticketmaster.com" in spider.faults[0]


def test_nothing_on_sale_is_no_fault() -> None:
    spider = spider_for(TicketmasterEventsSpider, URL)
    body = b'{"page": {"totalElements": 0, "totalPages": 0, "size": 20, "number": 0}}'
    assert list(spider.parse(TextResponse(URL, body=body, encoding="utf-8", request=Request(URL)))) == []
    assert spider.faults == []
    assert spider.cut == ""
    search = spider_for(TicketmasterEventsSpider, artist="Nobody")
    url = search.start_url
    assert list(search.parse(TextResponse(url, body=body, encoding="utf-8", request=Request(url)))) == []
    assert (search.faults, search.cut) == ([], "ticketmaster found nothing for Nobody")
