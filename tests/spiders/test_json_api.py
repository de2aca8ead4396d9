"""Whatever an API answers: a message, a rejection or a fault, and never an exception."""

import copy
from collections.abc import Iterator
from datetime import date
from typing import Any

import orjson
import pytest
from scrapy import Request
from scrapy.http import TextResponse

from spiders.formats.base import SourceSpider
from spiders.formats.json_api import decoded, identifier, last_step, named, span, whole
from spiders.sources import SPIDERS
from spiders.sources.setlistfm import SetlistfmSpider
from spiders.sources.setlistfm_attended import SetlistfmAttendedSpider
from tests.spiders.normal import refusals
from tests.spiders.reading import ANSWERS, answer, followed, messages, spider_for, unreadable

SAVED = {
    "setlistfm": "setlists_p1.json",
    "setlistfm_attended": "setlists_attended.json",
    "ticketmaster": "ticketmaster_p1.json",
    "bandsintown": "bandsintown.json",
    "seatgeek": "seatgeek_p2.json",
    "songkick": "songkick_calendar.json",
    "songkick_venues": "songkick_venues.json",
    "songkick_artists": "songkick_artists.json",
    "songkick_setlists": "songkick_setlists.json",
    "phishnet": "phishnet_setlists.json",
    "kglw": "kglw_setlists.json",
}
BY_NAME = {spider.name: spider for spider in SPIDERS if spider.name in SAVED}
FORMATS = {spider.format for spider in BY_NAME.values()}


def read(name: str, body: bytes, url: str = "https://api.example/x?apikey=k") -> tuple[SourceSpider, list[Any]]:
    spider = spider_for(BY_NAME[name], url)
    return spider, list(spider.parse(TextResponse(url, body=body, encoding="utf-8", request=Request(url))))


def test_every_spider_of_an_api_has_a_saved_answer_and_every_one_gives_messages() -> None:
    assert set(SAVED) == {spider.name for spider in SPIDERS if spider.format in FORMATS}
    assert all(messages(read(name, (ANSWERS / file).read_bytes())[1]) for name, file in SAVED.items())


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Service Unavailable</body></html>",
        b"null",
        b"{}",
        b"17",
        b'"events"',
        b"[[[]]]",
        b"[null, 17, \"x\"]",
        b'{"a": ' * 500 + b"1" + b"}" * 500,
        b'{"resultsPage": [], "setlist": 1, "_embedded": 2, "events": 3, "data": 4}',
        b'\xff\xfe{"events": []}',
        b'{"id": "\\ud800"}',
    ],
    ids=range(12),
)  # fmt: skip
def test_an_answer_that_is_none_is_a_fault_that_names_the_address(name: str, body: bytes) -> None:
    spider, found = read(name, body)
    assert messages(found) == []
    assert unreadable(found) or spider.faults
    assert all("api.example" in fault for fault in spider.faults)
    assert all("api.example" in one.url for one in unreadable(found))


def spoiled(value: Any) -> Iterator[Any]:
    """The same document with one value of it replaced, for every value and every kind of replacement."""

    def paths(part: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        if path:
            yield path
        inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for key, one in inner:
            yield from paths(one, (*path, key))

    for path in paths(value, ()):
        for other in (None, 17, -0.5, "", "17", True, [], {}, [None], {"name": {}}):
            made = copy.deepcopy(value)
            holder = made
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = other
            yield path, made


@pytest.mark.parametrize("name", SAVED)
def test_whatever_value_is_of_another_kind_nothing_raises_and_nothing_is_dropped_silently(name: str) -> None:
    page = orjson.loads((ANSWERS / SAVED[name]).read_bytes())
    whole_ = len(messages(read(name, orjson.dumps(page))[1]))
    for path, made in spoiled(page):
        spider, found = read(name, orjson.dumps(made))
        refusals(messages(found))  # normalising does not raise either
        told = len(messages(found)) + len(unreadable(found))
        # Only the list itself can be empty, or a row of songs name another show.
        assert told >= whole_ or spider.faults or len(path) <= 3 or path[0] == "data", path


@pytest.mark.parametrize("file", sorted(path.name for path in ANSWERS.iterdir() if path.is_file()))
def test_no_api_claims_what_is_not_its_own(file: str) -> None:
    claiming = {kind.format for kind in BY_NAME.values() if kind.recognises(answer(file, "https://www.example.org/x"))}
    assert len(claiming) <= 1
    owners = {"setlists": "setlist-api", "phishnet": "fan-archive", "kglw": "fan-archive"}
    start = file.partition("_")[0].removesuffix(".json")
    if file.startswith("songkick_") and not file.startswith("songkick_error"):
        assert len(claiming) == 1
    elif start in {"ticketmaster", "bandsintown", "seatgeek", *owners}:
        assert claiming == {owners.get(start, start)}
    else:
        assert claiming == set()


@pytest.mark.parametrize("name", SAVED)
def test_the_key_of_an_api_is_in_nothing_that_it_yields(name: str) -> None:
    key = "s3cret-key"
    spider = spider_for(BY_NAME[name], "http://127.0.0.1:1/x", api_key=key)
    asked = spider.ask("http://127.0.0.1:1/x")
    body = (ANSWERS / SAVED[name]).read_bytes()
    body += b"<!-- %s -->" % key.encode()
    for sent in (body, body.partition(b"<!--")[0]):
        found = list(spider.parse(TextResponse(asked.url, body=sent, encoding="utf-8", request=asked)))
        told = [one for one in found if not isinstance(one, Request)]
        assert told and key not in repr(told) and key not in " ".join(spider.faults)


def test_a_search_of_setlistfm_goes_from_the_newest_year_to_the_oldest() -> None:
    spider = spider_for(SetlistfmSpider, artist="Sigur Rós", since=date(2013, 5, 1), until=date(2014, 2, 1))
    search = "https://api.setlist.fm/rest/1.0/search/setlists"
    assert spider.addresses == [f"{search}?artistName=Sigur%20R%C3%B3s&year={year}" for year in (2014, 2013)]
    assert spider_for(SetlistfmSpider, artist="x", mbid="an-id").addresses == [f"{search}?artistMbid=an-id"]


def test_a_search_that_finds_nothing_is_an_answer_and_a_start_url_that_is_absent_is_not() -> None:
    spider = spider_for(SetlistfmSpider, artist="Nobody", since=date(2014, 1, 1), until=date(2014, 12, 31))
    (url,) = spider.addresses
    asked = spider.ask(url)
    assert asked.meta["handle_httpstatus_list"] == [404]
    nothing = b'{"code": 404, "status": "Not Found", "message": "not found"}'
    assert list(spider.parse(TextResponse(url, status=404, body=nothing, request=asked))) == []
    assert (spider.faults, spider.cut) == ([], "")
    unbounded = spider_for(SetlistfmSpider, artist="Nobody")
    assert list(unbounded.parse(TextResponse(url, status=404, body=nothing, request=asked))) == []
    assert (unbounded.faults, unbounded.cut) == ([], "setlistfm found nothing for Nobody")
    given = spider_for(SetlistfmSpider, url)
    assert "handle_httpstatus_list" not in given.ask(url).meta
    assert list(given.parse(TextResponse(url, status=404, body=nothing, request=Request(url)))) == []
    assert "404 not found" in given.faults[0]


def test_a_search_for_all_years_goes_on_from_what_changed_last() -> None:
    spider = spider_for(SetlistfmSpider, artist="Die Nachtfalter")
    list(spider.parse(answer("setlists_p1.json", spider.addresses[0])))
    assert spider.newest == "20190128035245"  # the other's clock is wrong
    later = spider_for(SetlistfmSpider, artist="Die Nachtfalter", watermark=spider.newest)
    assert later.addresses == [f"{spider.addresses[0]}&lastUpdated=20190128035245"]
    some = spider_for(SetlistfmSpider, artist="Die Nachtfalter", since=date(2018, 1, 1))
    list(some.parse(answer("setlists_p1.json", some.addresses[0])))
    start = spider_for(SetlistfmSpider, spider.addresses[0])
    list(start.parse(answer("setlists_p1.json", start.addresses[0])))
    assert (some.newest, start.newest) == ("", "")


def test_of_a_user_who_attended_nothing_is_kept() -> None:
    spider = spider_for(SetlistfmAttendedSpider, more={"user": "some body"})
    assert spider.addresses == ["https://api.setlist.fm/rest/1.0/user/some%20body/attended"]
    (found,) = messages(list(spider.parse(answer("setlists_attended.json", spider.addresses[0]))))
    assert "some" not in found.model_dump_json().replace('"source"', "")
    assert found.url == "https://api.setlist.fm/rest/1.0/user/***/attended"


def test_a_page_that_is_empty_before_the_end_makes_nothing_vanish() -> None:
    spider = spider_for(SetlistfmSpider, "https://api.example/setlists")
    body = b'{"type": "setlists", "itemsPerPage": 20, "page": 3, "total": 60, "setlist": []}'
    url = "https://api.example/setlists?p=3"
    assert followed(list(spider.parse(TextResponse(url, body=body, request=Request(url))))) == []
    assert "has no setlists, though there should be 60" in spider.cut


def test_small_readings() -> None:
    assert [identifier(one) for one in ("a ", 3, 3.0, 3.5, True, None, {})] == ["a", "3", "3", None, None, None, None]
    assert [named(one) for one in (" 311 ", 311, {"a": 1}, None)] == ["311", "311", {"a": 1}, None]
    assert [whole(one) for one in ("20", 20, "x", "9" * 19, None)] == [20, 20, None, None, None]
    assert span("2024-07-05", "2024-07-07") == "2024-07-05/2024-07-07"
    assert [span("2024-07-05", one) for one in ("2024-07-05", None)] == ["2024-07-05"] * 2
    assert last_step("https://x/artists/AC%252FDC/events?date=all", "events") == "AC/DC"
    with pytest.raises(ValueError):
        decoded(b"[" * 300 + b"]" * 300)
