"""Rows of fan archives become shows."""

from datetime import date

import pytest
from scrapy import Request
from scrapy.http import TextResponse

from deploy.settings import SettingsError
from schemas.rejection import Reason
from spiders.sources.kglw import KglwSpider
from spiders.sources.phishnet import PhishnetSpider
from tests.spiders.normal import listings, refusals
from tests.spiders.reading import answer, messages, spider_for, unreadable

YEAR = "https://api.phish.net/v5/{}/showyear/1999.json"
KGLW = "https://kglw.net/api/v2/setlists/showyear/2019.json"


def test_the_rows_of_a_show_become_one_message() -> None:
    url = YEAR.format("setlists")
    found = list(spider_for(PhishnetSpider, url).parse(answer("phishnet_setlists.json", url)))
    first, solo = messages(found)
    assert (first.source_id, first.url) == ("1", "https://fans.example/shows/1.html")
    assert first.fields == {
        "artist": "Phish",
        "artist_mbid": "e01646f2-2a04-450d-8bf2-0d993082e058",
        "date": "1999-05-06",
        "venue": "Paper Mill",
        "city": "Portland",
        "region": "OR",
        "country": "USA",
        "tour": "1999 Spring Tour",
        "songs": ["Street Lamps", "O'Moth", "Halleluja"],  # by position, and without the soundcheck
        "status": "happened",
    }
    assert (solo.fields["artist"], "artist_mbid" in solo.fields) == ("Trey Anastasio", False)
    (bad,) = unreadable(found)
    assert (bad.reason, bad.text) == (Reason.MISSING_FIELD, "showid: Field required (Phish, 1999-05-06)")
    assert refusals(messages(found)) == {}


def test_a_year_is_its_shows_and_then_what_was_played_at_them() -> None:
    spider = spider_for(PhishnetSpider, since=date(1999, 1, 1), until=date(1999, 12, 31))
    assert spider.addresses == [YEAR.format("shows")]
    (asked,) = list(spider.parse(answer("phishnet_shows.json", spider.addresses[0])))
    assert isinstance(asked, Request) and asked.url == YEAR.format("setlists")
    read = messages(list(spider.parse(answer("phishnet_setlists.json", asked.url).replace(request=asked))))
    assert [(one.source_id, len(one.fields.get("songs", []))) for one in read] == [("1", 3), ("3", 0), ("2", 1)]
    assert (read[1].fields["city"], "status" in read[1].fields) == ("München", False)


def test_two_shows_of_one_night_stay_two() -> None:
    found = messages(list(spider_for(KglwSpider, KGLW).parse(answer("kglw_setlists.json", KGLW))))
    assert [(one.source_id, one.fields.get("title"), one.fields["songs"]) for one in found] == [
        ("700", "King Gizzard & the Lizard Wizard (early show)", ["Lamp One", "Lamp Two"]),
        ("701", "King Gizzard & the Lizard Wizard (late show)", ["Lamp Three"]),
        ("702", "Second Night", ["Lamp Four"]),
        ("703-1", "King Gizzard & the Lizard Wizard (early show)", ["Early Lamp"]),
        ("703-2", "King Gizzard & the Lizard Wizard (late show)", ["Late Lamp"]),
    ]
    assert found[0].url == "https://kglw.net/setlists/show-700.html"
    made = listings(found)
    assert len({one.listing_id for one in made}) == 5
    assert [act.name for act in made[0].acts] == ["King Gizzard & the Lizard Wizard", "Mottenkugel"]


def test_years_go_from_the_newest_to_the_oldest_that_the_archive_has() -> None:
    years = [url[-9:-5] for url in spider_for(PhishnetSpider).addresses]
    assert (years[0], years[-1], len(years)) == ("2025", "1983", 43)
    spider = spider_for(PhishnetSpider, artist="phish", since=date(1960, 1, 1), until=date(1984, 6, 1))
    assert [url[-9:-5] for url in spider.addresses] == ["1984", "1983"]


@pytest.mark.parametrize("name", ["King Gizzard and the Lizard Wizard", "king gizzard the lizard wizard"])
def test_an_artist_is_known_however_the_name_is_written(name: str) -> None:
    spider = spider_for(KglwSpider, artist=name)
    url = spider.addresses[0].replace("/shows/", "/setlists/")
    assert len(messages(list(spider.parse(answer("kglw_setlists.json", url))))) == 5


def test_only_the_artist_that_was_asked_for_is_read() -> None:
    spider = spider_for(PhishnetSpider, artist="Trey Anastasio")
    read = messages(list(spider.parse(answer("phishnet_setlists.json", YEAR.format("setlists")))))
    assert [one.fields["artist"] for one in read] == ["Trey Anastasio"]


def test_an_artist_that_the_archive_has_not_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(SettingsError, match=r"has shows of .*Phish only, not of Radiohead. Remedy: another spider"):
        spider_for(PhishnetSpider, artist="Radiohead")
    with pytest.raises(SettingsError, match=r"kglw has shows from 2010 on. Remedy"):
        spider_for(KglwSpider, until=date(1999, 1, 1))


@pytest.mark.parametrize(
    "body", [b'{"error": 3, "error_message": "Invalid API key", "data": []}', b'{"error": false, "data": null}', b"[]"]
)
def test_an_error_in_an_answer_that_looks_fine_fails_the_run(body: bytes) -> None:
    spider = spider_for(KglwSpider, KGLW)
    assert list(spider.parse(TextResponse(KGLW, body=body, encoding="utf-8", request=Request(KGLW)))) == []
    assert spider.faults and KGLW in spider.faults[0]
