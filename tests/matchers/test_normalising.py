from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.normalise import normalise
from matchers.refused import Refused
from schemas import ids
from schemas.listing import Listing, StartPrecision, Status
from schemas.message import content_hash
from schemas.raw import RawArtist, RawEvent, RawKind, RawMessage, RawSetlist, RawVenue
from schemas.reference import Artist, Venue
from schemas.rejection import Reason
from schemas.rows import listing_row, raw_from_row
from tests.matchers.make import NOON, listing, raw

GOOD = {"artist": "Grateful Dead", "date": "1977-05-08", "venue": "Barton Hall", "city": "Ithaca", "country": "US"}

REFUSED = [
    ({"date": "2014-11-14"}, Reason.NO_ARTIST, "artist"),
    ({"artist": "  ", "date": "2014-11-14"}, Reason.NO_ARTIST, "artist"),
    ({"artist": "TBA", "date": "2014-11-14"}, Reason.NO_ARTIST, "artist"),
    ({"artist": "\u3164\u115f", "date": "2014-11-14"}, Reason.NO_ARTIST, "artist"),
    ({"artist": "X"}, Reason.NO_DATE, "date"),
    ({"artist": "X", "date": ""}, Reason.NO_DATE, "date"),
    ({"artist": "X", "date": "2014-02-31"}, Reason.BAD_DATE, "date"),
    ({"artist": "X", "date": "soon"}, Reason.BAD_DATE, "date"),
    ({"artist": "X", "date": "1899-12-31"}, Reason.BAD_DATE, "1900"),
    ({"artist": "X", "date": "2300-01-01"}, Reason.BAD_DATE, "date"),
    ({"artist": "X", "date": "03/04/2014"}, Reason.BAD_DATE, "2014-03-04 or 2014-04-03"),
    ({"artist": True, "date": "2014-11-14"}, Reason.WRONG_TYPE, "artist"),
    ({"artist": "X", "date": ["2014-11-14"]}, Reason.WRONG_TYPE, "date"),
    ({"title": ["X"], "date": "2014-11-14"}, Reason.WRONG_TYPE, "title"),
    ({"artist": {"name": "X"}, "date": "2014-11-14"}, Reason.WRONG_TYPE, "artist"),
    ({**GOOD, "artist": "x" * 10_000}, Reason.BAD_VALUE, "artist"),
]


@pytest.mark.parametrize(("fields", "reason", "named"), REFUSED)
def test_what_cannot_be_a_listing_is_refused_by_field(fields: dict[str, Any], reason: Reason, named: str) -> None:
    made = normalise(bare(fields))
    assert isinstance(made, Refused)
    assert made.reason is reason
    assert named in made.text


HARMLESS = [
    {"songs": [None, 5, " ", "Dark Star"]},
    {"city": ""},
    {"city": None},
    {"region": "????"},
    {"country": "Narnia"},
    {"artist_mbid": "no uuid"},
    {"start_time": "in the evening"},
    {"tz": "Mars/Olympus"},
    {"venue": ["a"]},
    {"support": 7},
    {"lat": 123, "lon": 5},
    {"lat": "north", "lon": 5},
    {"lat": "52.52N", "lon": 5},
    {"lat": float("nan"), "lon": 5},
    {"lat": True, "lon": 5},
    {"title": {"en": "X"}},
    {"lat": 42.4},
    {"lat": 0, "lon": 0},
    {"status": "who knows"},
    {"support": [None, {}, 3]},
    {"genres": {"not": "ours"}},
]


@pytest.mark.parametrize("field", HARMLESS, ids=str)
def test_an_odd_optional_field_does_not_lose_the_listing(field: dict[str, Any]) -> None:
    made = normalise(bare({**GOOD, **field}))
    assert not isinstance(made, Refused)
    assert isinstance(made[0], Listing)
    assert made[0].acts[0].name == "Grateful Dead"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = ["artist", "title", "support", "date", "start_time", "doors_time", "status", "songs", "artist_mbid", "festival"]
NAMES += ["tour", "venue", "room", "city", "region", "country", "lat", "lon", "tz", "name", "names", "aliases", "mbid"]
NAMES += ["capacity", "disambiguation"]
LIKELY = st.sampled_from(
    [
        "2014-11-14",
        "2014-11-14T23:59:59-14:00",
        "1850-01-01",
        "2199-12-31T23:00:00-12:00",
        "20:00",
        "X + Y, Z",
        "US",
        "0",
        "Europe/Berlin",
        "90",
        "-180",
        "+ Special Guest",
        "Fest 2025 - ",
        " | ",
        "// ",
        "1e999",
        "\x00",
        "\ud800",
    ]
)


@settings(max_examples=400)
@given(
    st.sampled_from([RawEvent, RawSetlist, RawVenue, RawArtist]),
    st.dictionaries(st.sampled_from(NAMES), LIKELY | JSON, max_size=12),
)
def test_any_content_becomes_a_message_or_a_refusal(message: type[RawMessage], fields: dict[str, Any]) -> None:
    made = normalise(bare(fields, message))
    if isinstance(made, Refused):
        assert made.text
    else:
        for one in made:
            assert type(one).from_bytes(one.to_bytes()) == one


def bare(fields: dict[str, Any], message: type[RawMessage] = RawEvent) -> RawMessage:
    """A raw message with exactly these fields, whatever they are."""
    return message(
        source="one", source_id="1", seen_at=NOON, spider="test", fields=fields, content_hash=content_hash("any")
    )


BILLS = [
    ({"artist": "A", "support": "B, C + D"}, ["A", "B", "C", "D"]),
    ({"artist": "A", "support": ["B", "C, of the North"]}, ["A", "B", "C, of the North"]),
    ({"artist": "A", "support": "A + B"}, ["A", "B"]),
    ({"artist": "The A-Team", "support": "a team; B; b"}, ["The A-Team", "B"]),
    ({"artist": "A", "support": "+ Special Guest"}, ["A"]),
    ({"artist": "A", "support": "Support: Ash. + Eintritt Frei!"}, ["A", "Ash."]),
    ({"artist": "A", "support": "Tyler, The Creator, B"}, ["A", "Tyler, The Creator", "B"]),
    ({"artist": "A", "support": "Field & Co + B"}, ["A", "Field & Co", "B"]),
    ({"title": "Lone Singer"}, ["Lone Singer"]),
    (
        {"title": "Amber Falcon - Long Road Tour 2026", "support": "Amber Falcon + Tin Harbour"},
        ["Amber Falcon", "Tin Harbour"],
    ),
    ({"title": "Glass Orchard - The Final Tour 2027", "support": "+ Special Guest"}, ["Glass Orchard"]),
    (
        {"title": "Copper Moth + Slow Tide | Summer Nights 2025", "support": "Eintritt Frei!"},
        ["Copper Moth", "Slow Tide"],
    ),
    ({"title": "Florence + The Machine"}, ["Florence + The Machine"]),
    ({"title": "Northfest 2025 | Ausverkauft", "support": "Kettle Row + Iron Birch"}, ["Kettle Row", "Iron Birch"]),
    ({"title": "Jo Field & The Quiet Ones"}, ["Jo Field & The Quiet Ones"]),
    ({"title": "Abgesagt! Jo Field"}, ["Jo Field"]),
    ({"title": "Abgesagt Jo Field"}, ["Jo Field"]),
    ({"artist": "Jo Field & Support Ash", "support": "Supports: Ash + Elm"}, ["Jo Field", "Ash", "Elm"]),
    ({"artist": "Special Guest", "support": "Ash, Elm"}, ["Ash", "Elm"]),
    ({"artist": "Jo Field (UK)", "support": ["Ash (live)"]}, ["Jo Field", "Ash"]),
    ({"artist": "Jo Field feat. Ash", "support": "Ash + Elm"}, ["Jo Field", "Ash", "Elm"]),
    ({"artist": "Jo Field & Ash", "support": "Ash, Elm"}, ["Jo Field", "Ash", "Elm"]),
    ({"artist": "TBA", "support": "Ash, Elm"}, ["Ash", "Elm"]),
    ({"artist": "Lowlands 2014", "support": "Ash, Elm"}, ["Ash", "Elm"]),
    ({"artist": "A Tribute to Ash"}, ["A Tribute to Ash"]),
    ({"artist": "🎸"}, ["🎸"]),
    ({"artist": "\u202bמשינה\u202c"}, ["משינה"]),
]


@pytest.mark.parametrize(("fields", "acts"), BILLS)
def test_the_bill_is_read_headliner_first(fields: dict[str, Any], acts: list[str]) -> None:
    made = normalise(raw({"date": "2025-01-01", **fields}))
    assert not isinstance(made, Refused)
    assert isinstance(made[0], Listing)
    assert [act.name for act in made[0].acts] == acts


def test_a_festival_of_a_title_is_kept_apart_from_who_plays() -> None:
    made = listing(artist=None, title="Northfest 2025 | Ausverkauft", support="Kettle Row + Iron Birch")
    assert made.festival == "Northfest"
    assert made.title == "Northfest 2025 | Ausverkauft"


def test_a_tour_glued_to_a_name_is_kept_apart_from_it() -> None:
    made = listing(artist="Amber Falcon - Long Road Tour 2026")
    assert (made.acts[0].name, made.tour) == ("Amber Falcon", "Long Road Tour 2026")
    assert listing(artist="Amber Falcon - Long Road Tour 2026", tour="LR").tour == "LR"


STATUSES = [
    ({"status": "EventCancelled"}, Status.CANCELLED),
    ({"status": "https://schema.org/EventPostponed"}, Status.POSTPONED),
    ({"status": "EventRescheduled"}, Status.MOVED),
    ({"status": "EventScheduled"}, Status.ANNOUNCED),
    ({"status": "canceled"}, Status.CANCELLED),
    ({"status": "abgesagt"}, Status.CANCELLED),
    ({"songs": ["Dark Star"]}, Status.HAPPENED),
    ({"title": "X - Tour | Abgesagt"}, Status.CANCELLED),
    ({"title": "The Cancelled"}, Status.ANNOUNCED),
    ({"title": "CANCELLED: X"}, Status.CANCELLED),
    ({"title": "Abgesagt Jo Field"}, Status.CANCELLED),
    ({"artist": "Abgesagt Jo Field"}, Status.CANCELLED),
    ({"status": "findet nicht statt"}, Status.CANCELLED),
    ({"status": "no longer postponed"}, Status.ANNOUNCED),
    ({"title": "X | Abgesagt", "status": "EventScheduled"}, Status.CANCELLED),
    ({"title": "X | Abgesagt", "status": "EventPostponed"}, Status.POSTPONED),
    ({"artist": "X (verschoben)"}, Status.POSTPONED),
    ({"artist": "X", "status": "who knows"}, Status.ANNOUNCED),
    ({"artist": "X", "status": "not cancelled"}, Status.ANNOUNCED),
    ({"artist": "X", "status": "scheduled", "songs": ["Dark Star"]}, Status.HAPPENED),
    ({"artist": "X", "status": "sold out"}, Status.ANNOUNCED),
    ({}, Status.ANNOUNCED),
]


@pytest.mark.parametrize(("fields", "status"), STATUSES)
def test_every_sources_word_for_its_fate_is_one_of_ours(fields: dict[str, Any], status: Status) -> None:
    assert listing(**fields).status is status


NIGHTS = [
    ({"date": "2014-11-14", "start_time": "20:00"}, "2014-11-14", "2014-11-14T20:00:00+00:00"),
    ({"date": "2014-11-15", "start_time": "00:30"}, "2014-11-14", "2014-11-15T00:30:00+00:00"),
    ({"date": "2014-11-14", "start_time": "2014-11-15T00:30:00+00:00"}, "2014-11-14", "2014-11-15T00:30:00+00:00"),
    ({"date": "2014-11-15", "start_time": "2014-11-15T00:30:00+00:00"}, "2014-11-14", "2014-11-15T00:30:00+00:00"),
    ({"date": "2014-11-14", "start_time": "2015-03-03T20:00"}, "2014-11-14", None),
    ({"date": "2014-11-14T21:00:00+01:00"}, "2014-11-14", "2014-11-14T20:00:00+00:00"),
    ({"date": "2014-11-14T00:00:00"}, "2014-11-14", None),
    ({"date": "14-11-2014"}, "2014-11-14", None),
    ({"date": None, "start_time": "2014-11-14T20:00"}, "2014-11-14", "2014-11-14T20:00:00+00:00"),
]


@pytest.mark.parametrize(("fields", "night", "start"), NIGHTS)
def test_the_night_is_the_one_on_which_the_show_began(fields: dict[str, Any], night: str, start: str | None) -> None:
    made = listing(city="Lisboa", country="Portugal", **fields)
    assert made.night.isoformat() == night
    assert (made.start_at and made.start_at.isoformat()) == start


def test_a_utc_moment_is_read_by_the_venues_clock() -> None:
    made = listing(date="2014-11-15T03:00:00Z", city="Los Angeles", region="CA", country="US")
    assert made.night == date(2014, 11, 14)
    assert made.start_at == datetime(2014, 11, 15, 3, tzinfo=UTC)


def test_doors_are_told_from_the_start() -> None:
    made = listing(city="Porto", country="PT", doors_time="19:00")
    assert made.start_precision is StartPrecision.DOORS
    assert listing(city="Porto", country="PT", doors_time="19:00", start_time="20:00").start_precision == "minute"
    assert listing(start_time="20:00").start_precision is StartPrecision.UNKNOWN


def test_numbers_given_as_text_are_read_and_the_zone_follows_from_the_town() -> None:
    place = listing(lat="38.7", lon=" -9,1 ", city="Lisboa", country="Portugal").place
    assert (place.lat, place.lon, place.country, place.tz) == (38.7, -9.1, "PT", "Europe/Lisbon")


def test_the_envelope_goes_along() -> None:
    message = raw(GOOD, source="setlistfm", source_id="abc", kind=RawKind.VANISHED)
    made = normalise(message)
    assert not isinstance(made, Refused)
    assert isinstance(made[0], Listing)
    assert made[0].listing_id == ids.listing_id("setlistfm", "abc")
    assert (made[0].version, made[0].content_hash, made[0].vanished) == (message.version, message.content_hash, True)
    assert made[0].seen_at == NOON


def test_a_listing_row_read_again_is_the_same_listing() -> None:
    first = listing(
        artist_mbid=str(UUID(int=7)),
        support=["B", "C"],
        start_time="00:30",
        songs=["Dark Star"],
        lat=38.7,
        lon=-9.1,
        city="Lisboa",
        country="PT",
        tour="T",
        festival="F",
        title="X at Y",
    )
    again = normalise(raw_from_row(listing_row(first), RawEvent))
    assert not isinstance(again, Refused)
    assert isinstance(again[0], Listing)
    same = {"version", "content_hash", "payload_hash"}
    assert again[0].model_dump(exclude=same) == first.model_dump(exclude=same)


@pytest.mark.parametrize(
    ("fields", "name", "city", "tz"),
    [
        ({"venue": "Vega", "date": "2024-06-01T20:00:00+02:00"}, "Vega", None, None),
        ({"venue": "Providence", "date": "2024-06-01T20:00:00+02:00"}, "Providence", None, None),
        ({"venue": "Providence", "date": "2024-06-01T20:00:00-04:00"}, None, "Providence", "America/New_York"),
        ({"venue": "Providence", "date": "2024-06-01T20:00:00Z"}, None, "Providence", "America/New_York"),
        ({"venue": "Providence", "date": "2024-06-01"}, None, "Providence", "America/New_York"),
        ({"venue": "Providence", "date": "2024-06-01", "tz": "Europe/Oslo"}, "Providence", None, "Europe/Oslo"),
        ({"venue": "Berlin", "date": "2024-06-01T20:00:00+02:00"}, None, "Berlin", "Europe/Berlin"),
    ],
)
def test_a_venue_called_like_a_town_of_another_clock_is_a_venue(
    fields: dict[str, Any], name: str | None, city: str | None, tz: str | None
) -> None:
    place = listing(**fields).place
    assert (place.name, place.city, place.tz) == (name, city, tz)


def test_venues_and_artists_have_their_own_shapes() -> None:
    (venue,) = normalise(
        raw(
            {
                "name": "Barton Hall",
                "names": [{"name": "Drill Hall", "until": "1940-01-01"}, "BH", 3],
                "capacity": "4800",
                "lat": 42.4,
                "lon": -76.5,
            },
            message=RawVenue,
        )
    )  # type: ignore[misc]
    assert isinstance(venue, Venue)
    assert [name.name for name in venue.names] == ["Drill Hall", "BH"]
    assert venue.names[0].until == date(1940, 1, 1)
    assert (venue.capacity, venue.place.name, venue.place.lat) == (4_800, "Barton Hall", 42.4)
    (artist,) = normalise(
        raw({"name": "MARINA", "aliases": ["Marina & The Diamonds"], "country": "Wales"}, message=RawArtist)
    )  # type: ignore[misc]
    assert isinstance(artist, Artist)
    assert (artist.aliases, artist.country) == (("Marina & The Diamonds",), "GB")
    refused = normalise(raw({"city": "Ithaca"}, message=RawVenue))
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.NO_VENUE_NAME


def test_a_later_sighting_is_a_later_version() -> None:
    assert listing(seen_at=NOON + timedelta(days=1)).version > listing().version


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//host/path"])
def test_only_an_address_that_a_browser_may_follow_is_passed_on(url: str) -> None:
    told = raw({"artist": "X", "date": "2014-02-01"})
    (listing,) = normalise(told.model_copy(update={"url": url}))  # type: ignore[misc]
    assert listing.url is None  # type: ignore[union-attr]
    (listing,) = normalise(told.model_copy(update={"url": "https://example.org/1"}))  # type: ignore[misc]
    assert listing.url == "https://example.org/1"  # type: ignore[union-attr]
