"""Answers of Songkick become events, venues, artists and setlists."""

from datetime import date

import orjson
import pytest
from scrapy import Request
from scrapy.http import TextResponse
from w3lib.url import url_query_parameter

from deploy.settings import SettingsError
from matchers.normalise import normalise
from spiders.formats.songkick import event_fields
from spiders.sources.songkick import SongkickEventsSpider
from spiders.sources.songkick_artists import ArtistsOfSongkickSpider
from spiders.sources.songkick_setlists import SetlistsOfSongkickSpider
from spiders.sources.songkick_venues import VenuesOfSongkickSpider
from tests.spiders.normal import listings, refusals
from tests.spiders.reading import answer, followed, messages, spider_for, unreadable

API = "https://api.songkick.com/api/3.0"
URL = f"{API}/metro_areas/1/calendar.json"
MBID = "0c1f7a9e-3d44-4f0b-9a55-2f3c1f2b7a10"


def test_every_event_becomes_a_message() -> None:
    found = list(spider_for(SongkickEventsSpider, URL).parse(answer("songkick_p1.json", URL)))
    read = {one.source_id: one.fields for one in messages(found)}
    assert list(read) == ["71", "72", "73", "74", "75"]
    assert read["71"] == {
        "artist": "The Night Moths",
        "support": ["Mothball"],
        "artist_mbid": MBID,
        "date": "2024-03-14",
        "start_time": "20:00:00",
        "status": "announced",
        "venue": "Paper Mill",
        "city": "Portland",
        "region": "OR",
        "country": "US",
        "lat": 45.52,
        "lon": -122.67,
    }
    assert (read["72"]["festival"], read["72"]["date"]) == ("Riverside Fest 2024", "2024-07-05/2024-07-07")
    assert "artist_mbid" not in read["72"]  # of two ids nobody knows which
    assert (read["73"]["festival"], read["73"]["date"]) == ("One Day Fest 2024", "2024-08-01")
    assert (read["74"]["status"], "venue" in read["74"], read["74"]["city"]) == ("cancelled", False, "Leeds")
    assert (read["74"]["country"], read["74"]["lat"], "region" in read["74"]) == ("UK", 53.8, False)
    assert (read["75"]["title"], read["75"]["date"], "artist" in read["75"]) == ("Open Mic", "April 10, 2024", False)


def test_a_span_of_days_is_left_to_normalising_which_refuses_it() -> None:
    found = messages(list(spider_for(SongkickEventsSpider, URL).parse(answer("songkick_p1.json", URL))))
    assert refusals(found) == {"72": "bad_date"}
    assert [one.night for one in listings(found)] == [
        date(2024, 3, 14),
        date(2024, 8, 1),
        date(2024, 4, 1),
        date(2024, 4, 10),
    ]


def test_pages_are_turned_until_the_total_is_reached() -> None:
    assert followed(list(spider_for(SongkickEventsSpider, URL).parse(answer("songkick_p1.json", URL)))) == [
        f"{URL}?page=2"
    ]


def test_of_a_users_calendar_the_events_stay_and_the_user_does_not() -> None:
    url = f"{API}/users/somebody/calendar.json?reason=attendance"
    spider = spider_for(SongkickEventsSpider, more={"user": "somebody"}, api_key="k3y")
    assert url in spider.addresses
    body = answer("songkick_calendar.json", url).body.replace(b'"uri"', b'"gone"')
    (read,) = messages(list(spider.parse(TextResponse(url, body=body, encoding="utf-8", request=Request(url)))))
    assert "im_going" not in read.model_dump_json() and "somebody" not in read.model_dump_json()
    (bad,) = unreadable(list(spider.parse(TextResponse(url, body=b"<p>", encoding="utf-8", request=Request(url)))))
    assert "somebody" not in bad.url and "somebody" not in spider.faults[0]


def test_a_venue_an_artist_and_a_setlist_become_messages_of_their_own() -> None:
    (venue,) = messages(list(spider_for(VenuesOfSongkickSpider, URL).parse(answer("songkick_venues.json", URL))))
    assert (venue.topic, venue.source_id, venue.fields) == (
        "gigz.raw-venue.v1",
        "31",
        {"name": "Paper Mill", "city": "Portland", "region": "OR", "country": "US", "lat": 45.52, "lon": -122.67}
        | {"capacity": 450},
    )
    artists = list(spider_for(ArtistsOfSongkickSpider, URL).parse(answer("songkick_artists.json", URL)))
    assert [(one.topic, one.fields) for one in messages(artists)] == [
        ("gigz.raw-artist.v1", {"name": "The Night Moths", "mbid": MBID}),
        ("gigz.raw-artist.v1", {"name": "Night Moths Revival"}),
    ]
    assert followed(artists) == [f"{URL}?page=2"]
    (setlist,) = messages(list(spider_for(SetlistsOfSongkickSpider, URL).parse(answer("songkick_setlists.json", URL))))
    assert (setlist.topic, setlist.source_id) == ("gigz.raw-setlist.v1", "setlist-5")
    assert setlist.fields == {
        "artist": "The Night Moths",
        "artist_mbid": MBID,
        "date": "25 Aug 2009",
        "venue": "Paper Mill",
        "songs": ["Street Lamps", "Halleluja"],
        "status": "happened",
    }
    for message in (venue, *messages(artists), setlist):
        assert isinstance(normalise(message), tuple)


@pytest.mark.parametrize(
    "spider", [SongkickEventsSpider, VenuesOfSongkickSpider, ArtistsOfSongkickSpider, SetlistsOfSongkickSpider]
)
def test_an_error_and_another_kind_of_list_fail_the_run(spider: type[SongkickEventsSpider]) -> None:
    crawling = spider_for(spider, URL)
    assert list(crawling.parse(answer("songkick_error.json", URL))) == []
    assert "Invalid or missing apikey" in crawling.faults[0]
    other = (
        b'{"resultsPage": {"status": "ok", "results": {"metroArea": [{"id": 1}]}, "totalEntries": 1, "perPage": 50}}'
    )
    list(crawling.parse(TextResponse(URL, body=other, encoding="utf-8", request=Request(URL))))
    assert "metroArea. Remedy:" in crawling.faults[1]


def test_a_search_by_name_asks_for_events_and_for_the_gigography_of_who_is_called_so() -> None:
    spider = spider_for(
        SongkickEventsSpider, artist="the night moths", since=date(2014, 1, 1), until=date(2014, 12, 31)
    )
    events, artists = spider.addresses
    assert [url_query_parameter(events, name) for name in ("artist_name", "min_date", "max_date")] == [
        "the night moths",
        "2014-01-01",
        "2014-12-31",
    ]
    assert followed(list(spider.parse(answer("songkick_artists.json", artists)))) == [
        f"{API}/artists/11/gigography.json?min_date=2014-01-01&max_date=2014-12-31"
    ]


def test_a_search_by_musicbrainz_id_asks_what_was_and_what_will_be() -> None:
    spider = spider_for(SongkickEventsSpider, mbid=MBID)
    assert spider.addresses == [f"{API}/artists/mbid:{MBID}/{kind}.json" for kind in ("gigography", "calendar")]
    missing = b'{"resultsPage": {"status": "error", "error": {"message": "Resource not found"}}}'
    url = spider.addresses[0]
    list(spider.parse(TextResponse(url, status=404, body=missing, encoding="utf-8", request=Request(url))))
    assert (spider.faults, spider.cut) == ([], f"songkick found nothing for {MBID}")
    both = spider_for(SongkickEventsSpider, artist="x", mbid=MBID)
    found = list(both.parse(TextResponse(url, status=404, body=missing, encoding="utf-8", request=Request(url))))
    assert followed(found) == [f"{API}/events.json?artist_name=x", f"{API}/search/artists.json?query=x"]
    assert (both.faults, both.cut) == ([], "")


def test_without_knowing_whose_events_it_says_what_to_tell_it() -> None:
    with pytest.raises(SettingsError, match=r"Remedy: --arg metro_area=... or --arg venue=... or"):
        spider_for(SongkickEventsSpider)
    assert orjson.loads(answer("songkick_p1.json", URL).body)


def paged(results: str, total: int = 0) -> bytes:
    told = f'"status": "ok", "results": {results}, "perPage": 50, "page": 1, "totalEntries": {total}'
    return f'{{"resultsPage": {{{told}}}}}'.encode()


def heard(spider: SongkickEventsSpider, url: str, body: bytes) -> list[str]:
    return followed(list(spider.parse(TextResponse(url, body=body, encoding="utf-8", request=Request(url)))))


def test_a_search_finds_nothing_only_where_no_address_has_anything() -> None:
    artists = '{"artist": [{"id": 11, "displayName": "Dust"}]}'
    spider = spider_for(SongkickEventsSpider, artist="Dust")
    events, names = spider.addresses
    assert heard(spider, events, paged("{}")) == []
    assert spider.cut == "songkick found nothing for Dust"
    (gigography,) = heard(spider, names, paged(artists, 1))
    event = '{"event": [{"id": 1, "start": {"date": "2024-03-14"}, "displayName": "Dust at Paper Mill"}]}'
    heard(spider, gigography, paged(event, 1))
    assert (spider.faults, spider.cut) == ([], "")
    heard(spider, events, paged("{}"))
    assert spider.cut == "", "what was found stays found"

    nobody = spider_for(SongkickEventsSpider, artist="Rust")
    assert heard(nobody, nobody.addresses[1], paged(artists, 1)) == []
    assert (nobody.faults, nobody.cut) == ([], "songkick found nothing for Rust")


@pytest.mark.parametrize("results", ["{}", "[]", "null"])
def test_nothing_at_all_is_no_fault_and_only_of_a_search_the_whole_answer(results: str) -> None:
    calendar = spider_for(SongkickEventsSpider, URL)
    assert heard(calendar, URL, paged(results)) == []
    assert (calendar.faults, calendar.cut) == ([], "")
    search = spider_for(SongkickEventsSpider, mbid=MBID)
    heard(search, search.addresses[0], paged(results))
    assert (search.faults, search.cut) == ([], f"songkick found nothing for {MBID}")
    heard(calendar, URL, paged(results, 3))
    assert "though there should be 3" in calendar.faults[-1]


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("Washington, D.C., DC, US", ("Washington", "DC", "US")),
        ("Austin, TX, US", ("Austin", "TX", "US")),
        ("Berlin, Germany", ("Berlin", None, "Germany")),
    ],
)
def test_the_region_stands_before_the_country(written: str, place: tuple[str | None, ...]) -> None:
    fields = event_fields({"location": {"city": written}})
    assert (fields["city"], fields["region"], fields["country"]) == place
