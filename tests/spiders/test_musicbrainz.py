"""Answers of MusicBrainz's web service become events, venues and artists."""

import json
from datetime import date
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from scrapy.http import TextResponse
from scrapy.utils.test import get_crawler

from deploy.settings import SettingsError, load
from matchers.normalise import normalise
from matchers.refused import Refused
from schemas.listing import Listing
from schemas.reference import Artist, DatedName, Venue
from schemas.rejection import Reason
from spiders.contact import UNTOLD, check_contact
from spiders.errand import Errand
from spiders.formats.musicbrainz import Ws2Spider, songs_of
from spiders.sources.musicbrainz_artists import MusicBrainzArtistsSpider
from spiders.sources.musicbrainz_events import MusicBrainzEventsSpider
from spiders.sources.musicbrainz_places import MusicBrainzPlacesSpider
from tests.spiders.reading import ANSWERS, answer, followed, messages, spider_for, unreadable

EVENTS = "https://musicbrainz.org/ws/2/event?artist=x&fmt=json&limit=100"
PLACES = "https://musicbrainz.org/ws/2/place?query=area:x&fmt=json&limit=100"
ARTISTS = "https://musicbrainz.org/ws/2/artist?query=x&fmt=json&limit=100"
MBID = "0c1f7a9e-3d44-4f0b-9a55-2f3c1f2b7a10"


def test_an_event_has_its_bill_its_place_and_the_songs_of_its_headliner() -> None:
    first = messages(
        list(spider_for(MusicBrainzEventsSpider, EVENTS).parse(answer("musicbrainz_events.json", EVENTS)))
    )[0]
    assert first.fields == {
        "artist": "Die Motten",
        "support": ["Lamps"],
        "artist_mbid": MBID,
        "title": "Moths at The Alibi",
        "date": "2014-11-14",
        "start_time": "20:30",
        "status": "happened",
        "songs": ["Lamplight / Dust [acoustic]", "Rock & Rust"],
        "venue": "The Alibi",
        "city": "Århus",
        "lat": 56.1567,
        "lon": 10.2108,
    }
    assert first.url == "https://musicbrainz.org/event/11111111-0000-4000-8000-000000000001"
    (listing,) = normalise(first)  # type: ignore[misc]
    assert isinstance(listing, Listing)
    assert [act.name for act in listing.acts] == ["Die Motten", "Lamps"]
    assert (listing.night, len(listing.songs)) == (date(2014, 11, 14), 2)


def test_days_of_a_festival_are_told_apart_where_relations_have_them() -> None:
    found = messages(list(spider_for(MusicBrainzEventsSpider, EVENTS).parse(answer("musicbrainz_events.json", EVENTS))))
    days = {one.source_id[-12:]: one.fields for one in found if one.fields.get("festival") == "Lampfest"}
    assert {day: (one["date"], one["artist"]) for day, one in days.items()} == {
        "2@2019-06-28": ("2019-06-28", "Moths"),
        "2@2019-06-29": ("2019-06-29", "Lamps"),
        "000000000002": ("2019-06-28/2019-06-29", "Dust"),
    }
    assert all((one["city"], one["region"], one["country"]) == ("Portland", "OR", "US") for one in days.values())
    refused = [normalise(one) for one in found if "/" in one.fields["date"]]
    assert [one.reason for one in refused if isinstance(one, Refused)] == [Reason.BAD_DATE]


def test_a_day_of_a_festival_names_it_and_the_festival_itself_says_nothing_more() -> None:
    found = messages(list(spider_for(MusicBrainzEventsSpider, EVENTS).parse(answer("musicbrainz_events.json", EVENTS))))
    rustfest = [one for one in found if "Rustfest" in one.fields["title"]]
    assert [(one.fields["title"], one.fields["festival"], one.fields["status"]) for one in rustfest] == [
        ("Rustfest, day 1", "Rustfest", "cancelled")
    ]


def test_what_is_no_event_is_unreadable_and_pages_are_asked_for_until_the_count_is_reached() -> None:
    spider = spider_for(MusicBrainzEventsSpider, EVENTS)
    found = list(spider.parse(answer("musicbrainz_events.json", EVENTS)))
    assert [(bad.reason, bad.text) for bad in unreadable(found)] == [
        (Reason.MISSING_FIELD, "id: Field required"),
        (Reason.WRONG_TYPE, "one of the events is not an object"),
    ]
    assert followed(found) == [f"{EVENTS}&offset=6"]
    last = b'{"event-count": 7, "event-offset": 6, "events": [{"id": "x", "name": "Moths", "cancelled": "true"}]}'
    told = list(spider.parse(TextResponse(followed(found)[0], body=last, encoding="utf-8")))
    assert [one.fields["status"] for one in messages(told)] == ["cancelled"]
    assert (followed(told), spider.faults) == ([], [])


def test_an_empty_page_before_the_count_is_reached_is_no_end_of_the_crawl() -> None:
    url = f"{EVENTS}&offset=6"
    spider = spider_for(MusicBrainzEventsSpider, url)
    empty = b'{"event-count": 7, "event-offset": 6, "events": []}'
    assert list(spider.parse(TextResponse(url, body=empty, encoding="utf-8"))) == []
    assert spider.faults == [f"{url} has no events, though there should be 7"]


@pytest.mark.parametrize(("score", "fits"), [(45.5, False), ("45.5", False), (89, False), (90.0, True), (None, True)])
def test_a_score_below_the_threshold_is_another_artist_however_it_is_written(score: object, fits: bool) -> None:
    page = {"artists": [{"id": MBID, "name": "Møl", "score": score}], "count": 200, "offset": 0}
    spider = spider_for(MusicBrainzArtistsSpider, artist="Møl")
    found = list(spider.parse(TextResponse(spider.start_url, body=orjson.dumps(page), encoding="utf-8")))
    assert (len(messages(found)), len(followed(found))) == (int(fits), int(fits))


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b'{"event-count": 3}',
        b'{"error": "rate limited"}',
        b'{"events": [], "event-count": 3, "event-offset": 9}',
    ],
)
def test_an_answer_that_is_no_page_of_events_fails_the_run(body: bytes) -> None:
    spider = spider_for(MusicBrainzEventsSpider, EVENTS)
    assert messages(list(spider.parse(TextResponse(EVENTS, body=body, encoding="utf-8")))) == []
    assert EVENTS in spider.faults[0]


def test_one_event_looked_up_is_read_as_in_a_page() -> None:
    event = json.loads((ANSWERS / "musicbrainz_events.json").read_text(encoding="utf-8"))["events"][0]
    url = f"https://musicbrainz.org/ws/2/event/{event['id']}?fmt=json"
    response = TextResponse(url, body=orjson.dumps(event), encoding="utf-8")
    assert [one.source_id for one in messages(list(spider_for(MusicBrainzEventsSpider, url).parse(response)))] == [
        event["id"]
    ]
    assert MusicBrainzEventsSpider.recognises(response) == "one MusicBrainz event"
    assert MusicBrainzPlacesSpider.recognises(response) == ""


def test_a_place_has_the_names_it_had_and_when_and_a_studio_is_no_venue() -> None:
    found = messages(list(spider_for(MusicBrainzPlacesSpider, PLACES).parse(answer("musicbrainz_places.json", PLACES))))
    assert [one.fields["name"] for one in found] == ["The Alibi", "Old Mill"]
    assert found[1].fields == {"name": "Old Mill", "country": "DK"}
    (venue,) = normalise(found[0])  # type: ignore[misc]
    assert isinstance(venue, Venue)
    assert venue.names == (
        DatedName(name="Town Hall", since=date(1921, 1, 1), until=date(1987, 5, 31)),
        DatedName(name="Alibi Ballroom", since=date(1987, 6, 1), until=date(2003, 12, 31)),
    )
    assert (venue.place.city, venue.place.region, venue.place.lat) == ("Portland", "OR", 56.1567)


def test_an_artist_has_all_names_the_primary_ones_first_and_other_artists_of_a_search_are_left_out() -> None:
    spider = spider_for(MusicBrainzArtistsSpider, artist="Søren Møl")
    (found,) = answers = messages(list(spider.parse(answer("musicbrainz_artists.json", ARTISTS))))
    assert len(answers) == 1
    assert found.fields["aliases"] == ["Møl, Søren", "Moth", "Soren Mol", "Mol, Soren"]
    (artist,) = normalise(found)  # type: ignore[misc]
    assert isinstance(artist, Artist)
    assert (str(artist.mbid), artist.country, artist.disambiguation) == (MBID, "DK", "Danish singer")
    assert artist.aliases == ("Møl, Søren", "Moth", "Soren Mol", "Mol, Soren")


def test_a_search_by_name_turns_no_pages_of_other_names_and_a_list_does() -> None:
    page = answer("musicbrainz_artists.json", ARTISTS)
    assert followed(list(spider_for(MusicBrainzArtistsSpider, artist="Søren Møl").parse(page))) == []
    assert followed(list(spider_for(MusicBrainzArtistsSpider, ARTISTS).parse(page))) == [f"{ARTISTS}&offset=2"]


def test_a_search_that_finds_nothing_is_no_fault() -> None:
    spider = spider_for(MusicBrainzEventsSpider, artist="Nobody")
    response = TextResponse(spider.start_url, body=b'{"count": 0, "offset": 0, "events": []}', encoding="utf-8")
    assert list(spider.parse(response)) == []
    assert (spider.faults, bool(spider.cut)) == ([], True)


def query(spider: Ws2Spider) -> dict[str, str]:
    """The parameters of its first address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(spider.start_url).query).items()}


def test_events_are_searched_by_id_by_name_by_area_and_by_days() -> None:
    by_id = query(spider_for(MusicBrainzEventsSpider, mbid=MBID))
    assert (by_id["artist"], by_id["inc"]) == (MBID, "artist-rels place-rels event-rels area-rels")
    since, until = date(2014, 1, 1), date(2014, 12, 31)
    by_name = query(spider_for(MusicBrainzEventsSpider, artist='AC"DC', since=since, until=until))
    assert by_name["query"] == 'artist:"AC\\"DC" AND begin:[2014-01-01 TO 2014-12-31]'
    assert "inc" not in by_name
    assert query(spider_for(MusicBrainzEventsSpider, since=since))["query"] == "begin:[2014-01-01 TO *]"
    assert query(spider_for(MusicBrainzPlacesSpider, more={"area": "Århus"}))["query"] == 'area:"Århus"'
    assert query(spider_for(MusicBrainzPlacesSpider, more={"area": MBID}))["area"] == MBID
    with pytest.raises(SettingsError, match="needs a start URL"):
        spider_for(MusicBrainzPlacesSpider)


def test_songs_before_any_artist_are_the_headliners_and_other_signs_are_no_songs() -> None:
    assert songs_of("* One\n@ Moths\n* Two\n@ Lamps\n* Three\n* \n- Four\n#* Five", "Moths") == ["One", "Two"]


@pytest.mark.parametrize("host", ["musicbrainz.org", "beta.musicbrainz.org"])
def test_nobody_in_particular_does_not_ask_musicbrainz(host: str) -> None:
    assert load({}).user_agent == UNTOLD
    with pytest.raises(SettingsError, match=r"GIGZ_USER_AGENT.*Remedy"):
        check_contact("x", [f"https://{host}/ws/2"], MusicBrainzEventsSpider.contact_hosts, UNTOLD)
    check_contact("x", [f"https://{host}/ws/2"], MusicBrainzEventsSpider.contact_hosts, "mine/1.0 ( me@my.domain )")
    check_contact("x", ["https://mirror.example/ws/2"], MusicBrainzEventsSpider.contact_hosts, UNTOLD)


def test_a_crawl_of_nobody_in_particular_does_not_begin() -> None:
    errand = Errand(mbid=MBID)
    for kind in (MusicBrainzEventsSpider, MusicBrainzArtistsSpider):
        with pytest.raises(SettingsError, match="does not start"):
            kind.from_crawler(get_crawler(settings_dict={"USER_AGENT": UNTOLD}), errand=errand)
        named = get_crawler(settings_dict={"USER_AGENT": "mine/1.0 ( me@my.domain )"})
        assert kind.from_crawler(named, errand=errand).errand == errand
