"""Answers of Bandsintown become events."""

from datetime import date

import pytest
from scrapy import Request
from scrapy.http import TextResponse

from deploy.settings import SettingsError
from schemas.rejection import Reason
from spiders.sources.bandsintown import BandsintownEventsSpider
from tests.spiders.normal import listings, refusals
from tests.spiders.reading import answer, messages, spider_for, unreadable

URL = "https://rest.bandsintown.com/artists/Die%20Nachtfalter/events?date=all"


def text(body: bytes, status: int = 200) -> TextResponse:
    return TextResponse(URL, status=status, body=body, encoding="utf-8", request=Request(URL))


def test_every_event_becomes_a_message() -> None:
    found = list(spider_for(BandsintownEventsSpider, URL).parse(answer("bandsintown.json", URL)))
    read = {one.source_id: one.fields for one in messages(found)}
    assert list(read) == ["9001", "9002", "9003"]
    assert read["9001"] == {
        "artist": "Die Nachtfalter",
        "support": ["Mottenkugel"],
        "artist_mbid": "0c1f7a9e-3d44-4f0b-9a55-2f3c1f2b7a10",
        "date": "2024-03-14T20:00:00",
        "venue": "Halle am Kanal",
        "city": "Leipzig",
        "country": "Germany",
        "lat": 51.3281,
        "lon": 12.3311,
    }
    festival = read["9002"]
    assert (festival["festival"], festival["date"], "venue" in festival) == ("Uferklang", "2024-07-06", False)
    assert (read["9003"]["artist"], read["9003"]["status"]) == ("Die Nachtfalter", "cancelled")
    (bad,) = unreadable(found)
    assert (bad.reason, bad.text) == (Reason.MISSING_FIELD, "id: Field required (Die Nachtfalter, 2024-05-02T19:30:00)")


def test_everything_normalises() -> None:
    found = messages(list(spider_for(BandsintownEventsSpider, URL).parse(answer("bandsintown.json", URL))))
    assert refusals(found) == {}
    assert [(one.night, one.status) for one in listings(found)] == [
        (date(2024, 3, 14), "announced"),
        (date(2024, 7, 6), "announced"),
        (date(2024, 5, 1), "cancelled"),
    ]


def test_the_app_id_is_in_no_message() -> None:
    found = messages(list(spider_for(BandsintownEventsSpider, URL).parse(answer("bandsintown.json", URL))))
    assert "app_id" not in (found[0].payload or "") and "came_from=267" in (found[0].payload or "")
    assert found[0].url == "https://bands.example/e/9001?came_from=267"


@pytest.mark.parametrize(
    ("asked", "address"),
    [
        ({"artist": "Sigur Rós"}, "/artists/Sigur%20R%C3%B3s/events?date=all"),
        ({"artist": "AC/DC", "since": date(2014, 1, 1), "until": date(2014, 12, 31)},
         "/artists/AC%252FDC/events?date=2014-01-01%2C2014-12-31"),
        ({"artist": "Who?", "since": date(2014, 1, 1)}, "/artists/Who%253F/events?date=2014-01-01%2C2026-12-31"),
    ],
)  # fmt: skip
def test_a_search_asks_for_the_artist(asked: dict[str, object], address: str) -> None:
    assert spider_for(BandsintownEventsSpider, **asked).addresses == [f"https://rest.bandsintown.com{address}"]


def test_an_id_alone_is_refused_because_it_would_find_nothing() -> None:
    with pytest.raises(SettingsError, match=r"searches by artist\. Remedy: --artist"):
        spider_for(BandsintownEventsSpider, mbid="0c1f7a9e-3d44-4f0b-9a55-2f3c1f2b7a10")


UNKNOWN = [
    text(b"{warn=Not found}\n"),
    text(b'{"errorMessage": "[NotFound] The artist was not found"}'),
    text(b'{"warn": "Not found"}', 404),
    text(b'{"errors": ["Unknown Artist"]}'),
    text(b'{"errors": ["Unknown Artist"]}', 404),
]


@pytest.mark.parametrize("answered", [*UNKNOWN, text(b"[]")])
def test_a_search_for_an_artist_that_is_not_known_finds_nothing(answered: TextResponse) -> None:
    spider = spider_for(BandsintownEventsSpider, artist="Nobody At All")
    assert list(spider.parse(answered)) == []
    assert (spider.faults, spider.cut) == ([], "bandsintown found nothing for Nobody At All")


@pytest.mark.parametrize("answered", [*UNKNOWN, text(b'{"message": "Missing required request parameters: [app_id]"}')])
def test_a_start_url_that_answers_with_an_error_fails_the_run(answered: TextResponse) -> None:
    spider = spider_for(BandsintownEventsSpider, URL)
    list(spider.parse(answered))
    assert spider.faults and "rest.bandsintown.com" in spider.faults[0]


def test_an_empty_list_at_a_start_url_is_left_to_the_run_which_yielded_nothing() -> None:
    spider = spider_for(BandsintownEventsSpider, URL)
    assert list(spider.parse(text(b"[]"))) == []
    assert (spider.faults, spider.cut) == ([], "")


@pytest.mark.parametrize(
    ("venue", "name", "city"),
    [
        ('"Halle am Kanal"', "Halle am Kanal", None),
        ('[{"name": "Halle am Kanal", "city": "Leipzig"}, {"name": "Foyer"}]', "Halle am Kanal", "Leipzig"),
        ('{"name": 930, "city": "Washington"}', "930", "Washington"),
        ("[]", None, None),
        ("7", None, None),
    ],
)
def test_a_venue_is_read_however_it_is_written(venue: str, name: str | None, city: str | None) -> None:
    body = f'[{{"id": "1", "datetime": "2024-03-14T20:00:00", "lineup": ["Dust"], "venue": {venue}}}]'.encode()
    (found,) = messages(list(spider_for(BandsintownEventsSpider, URL).parse(text(body))))
    assert (found.fields.get("venue"), found.fields.get("city")) == (name, city)
