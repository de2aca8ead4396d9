from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.normalise import normalise
from matchers.refused import Refused
from matchers.resolve import block_keys, listing_venue_keys, resolve, venue_keys
from schemas import ids
from schemas.concert import Concert
from schemas.listing import Listing, Role, Status
from schemas.raw import RawVenue
from schemas.reference import Venue
from tests.matchers.make import NOON, listing, raw


def groups(concerts: Sequence[Concert]) -> set[frozenset[str]]:
    return {frozenset(f"{m.source}:{m.source_id}" for m in concert.members) for concert in concerts}


def rows(*told: dict[str, Any]) -> list[Listing]:
    return [listing(**row) for row in told]


# One row of data for each rule: the listings, and which of them are one concert.
A, B, C = {"source": "a"}, {"source": "b"}, {"source": "c"}
ITHACA = {"venue": "Barton Hall", "city": "Ithaca", "region": "NY", "country": "US"}
RULES: list[tuple[str, list[dict[str, Any]], set[frozenset[str]]]] = [
    ("two sources, one show", [A | ITHACA, B | ITHACA], {frozenset({"a:1", "b:1"})}),
    ("another night", [A | ITHACA, B | ITHACA | {"date": "1977-05-09"}], {frozenset({"a:1"}), frozenset({"b:1"})}),
    (
        "another spelling in one venue",
        [A | ITHACA, B | ITHACA | {"artist": "Grateful Ded"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "another act in one venue",
        [A | ITHACA, B | ITHACA | {"artist": "Santana"}],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "a tribute and its original",
        [A | ITHACA, B | ITHACA | {"artist": "Grateful Dead Tribute"}],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "an early and a late show of one source stay two",
        [
            A | ITHACA | {"source_id": "1", "start_time": "19:00"},
            A | ITHACA | {"source_id": "2", "start_time": "23:00"},
            B | ITHACA | {"start_time": "23:15"},
        ],
        {frozenset({"a:1"}), frozenset({"a:2", "b:1"})},
    ),
    (
        "songs tell which of two shows",
        [
            A | ITHACA | {"source_id": "1", "songs": ["Bertha", "Sugaree"]},
            A | ITHACA | {"source_id": "2", "songs": ["Dark Star"]},
            B | ITHACA | {"songs": ["Dark Star", "St. Stephen"]},
        ],
        {frozenset({"a:1"}), frozenset({"a:2", "b:1"})},
    ),
    (
        "the venue tells which of two shows",
        [
            A | {"source_id": "1", "venue": "Palace of Fine Arts", "city": "San Francisco"},
            A | {"source_id": "2", "venue": "Fillmore West", "city": "San Francisco"},
            B | {"venue": "Fillmore", "city": "San Francisco"},
        ],
        {frozenset({"a:1"}), frozenset({"a:2", "b:1"})},
    ),
    (
        "without a hint, the first of two shows",
        [A | ITHACA | {"source_id": "1"}, A | ITHACA | {"source_id": "2"}, B | ITHACA],
        {frozenset({"a:1", "b:1"}), frozenset({"a:2"})},
    ),
    (
        "a short name in two far towns is two acts",
        [
            A | {"artist": "Fear", "city": "London", "country": "GB"},
            B | {"artist": "Fear", "city": "Los Angeles", "country": "US"},
        ],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "a long one is one act and a mistake",
        [A | {"city": "Houston", "country": "US"}, B | {"city": "Boston", "country": "US"}],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "two MusicBrainz ids are two acts",
        [A | ITHACA | {"artist_mbid": str(UUID(int=1))}, B | ITHACA | {"artist_mbid": str(UUID(int=2))}],
        {frozenset({"a:1"}), frozenset({"b:1"})},
    ),
    (
        "one MusicBrainz id is one act, whatever it is called",
        [
            A | ITHACA | {"artist": "Prince", "artist_mbid": str(UUID(int=1))},
            B | ITHACA | {"artist": "The Artist", "artist_mbid": str(UUID(int=1))},
        ],
        {frozenset({"a:1", "b:1"})},
    ),
    (
        "exonyms and suburbs are one town",
        [
            A | {"artist": "Ostrander", "venue": "Zenith", "city": "München", "country": "DE"},
            B | {"artist": "Ostrander", "venue": "Zenith", "city": "Munich", "country": "Germany"},
        ],
        {frozenset({"a:1", "b:1"})},
    ),
]


@pytest.mark.parametrize(("told", "expected"), [rule[1:] for rule in RULES], ids=[rule[0] for rule in RULES])
def test_listings_of_one_show_are_one_concert(told: list[dict[str, Any]], expected: set[frozenset[str]]) -> None:
    assert groups(resolve(rows(*told))) == expected


STATUSES: list[tuple[str, list[dict[str, Any]], Status]] = [
    ("one cancels, one never looked again", [A | {"status": "cancelled"}, B], Status.CANCELLED),
    (
        "announced again later",
        [A | {"status": "cancelled"}, B | {"seen_at": NOON + timedelta(days=3)}],
        Status.ANNOUNCED,
    ),
    ("songs prove it", [A | {"status": "cancelled"}, B | {"songs": ["Bertha"]}], Status.HAPPENED),
    (
        "the majority of those who say",
        [A | {"status": "cancelled"}, B | {"status": "postponed"}, C | {"status": "postponed"}],
        Status.POSTPONED,
    ),
    (
        "the latest on a tie",
        [A | {"status": "postponed", "seen_at": NOON + timedelta(days=1)}, B | {"status": "cancelled"}],
        Status.POSTPONED,
    ),
    (
        "a cancelled booking elsewhere is not this night's",
        [A | {"city": "Chicago", "country": "US", "status": "cancelled"}, B | {"city": "Calgary", "country": "CA"}],
        Status.ANNOUNCED,
    ),
]


@pytest.mark.parametrize(("told", "status"), [row[1:] for row in STATUSES], ids=[row[0] for row in STATUSES])
def test_the_fate_of_a_show_is_what_is_known_of_it(told: list[dict[str, Any]], status: Status) -> None:
    (concert,) = resolve(rows(*told))
    assert concert.status is status


def test_ids_follow_the_smallest_listing_and_its_own_spelling() -> None:
    told = rows(A | ITHACA | {"artist": "The Grateful Dead"}, B | ITHACA, C | ITHACA)
    (concert,) = resolve(told)
    smallest = min(told, key=lambda one: str(one.listing_id))
    assert concert.concert_id == ids.concert_id(smallest.listing_id, smallest.acts[0].name)
    assert concert.artist == "Grateful Dead"
    assert [m.listing_id for m in concert.members] == sorted((one.listing_id for one in told), key=str)
    assert concert.rev == 0


def test_fields_that_one_source_lacks_come_from_another() -> None:
    told = rows(
        A | {"city": "Ithaca", "country": "US", "venue": "Barton Hall"},
        B | ITHACA | {"lat": 42.4456, "lon": -76.4804, "start_time": "20:00", "tour": "Spring"},
    )
    (concert,) = resolve(told)
    assert (concert.place.region, concert.place.lat, concert.tour) == ("NY", 42.4456, "Spring")
    assert concert.start_at is not None


def test_a_concert_has_vanished_when_no_source_shows_it() -> None:
    assert not resolve(rows(A | {"vanished": True}, B))[0].vanished
    assert resolve(rows(A | {"vanished": True}, B | {"vanished": True}))[0].vanished


def test_the_newest_version_of_a_listing_counts() -> None:
    old, new = listing(date="1977-05-07"), listing(date="1977-05-08", seen_at=NOON + timedelta(days=1))
    assert resolve([old, new]) == resolve([new, old]) == resolve([new])


def test_a_bill_is_a_concert_for_each_act() -> None:
    concerts = resolve(rows(A | {"artist": "Amber Falcon", "support": ["Tin Harbour", "Slow Tide"]}))
    heads = {concert.artist: concert for concert in concerts}
    assert set(heads) == {"Amber Falcon", "Tin Harbour", "Slow Tide"}
    assert [(act.artist, act.role) for act in heads["Tin Harbour"].bill] == [
        ("Amber Falcon", Role.HEADLINE),
        ("Slow Tide", Role.SUPPORT),
    ]
    assert {act.concert_id for act in heads["Amber Falcon"].bill} == {
        heads["Tin Harbour"].concert_id,
        heads["Slow Tide"].concert_id,
    }
    assert heads["Slow Tide"].role is Role.SUPPORT


def test_a_festivals_nights_share_a_parent() -> None:
    told = rows(
        A | {"source_id": "1", "artist": "Kettle Row", "festival": "Northfest", "city": "München"},
        A | {"source_id": "2", "artist": "Iron Birch", "festival": "NORTHFEST", "city": "Munich", "date": "1977-05-09"},
    )
    concerts = resolve(told)
    assert {concert.parent for concert in concerts} == {ids.festival_id(min((o.listing_id for o in told), key=str))}
    assert len(concerts) == 2


def venue(**fields: Any) -> Venue:
    made = normalise(raw(fields, source="venues", source_id=f"{fields['name']}, {fields['city']}", message=RawVenue))
    assert not isinstance(made, Refused)
    assert isinstance(made[0], Venue)
    return made[0]


def test_a_venue_gives_its_id_zone_and_coordinates() -> None:
    barton = venue(
        name="Barton Hall", names=["Drill Hall"], city="Ithaca", region="NY", country="US", lat=42.44, lon=-76.48
    )
    elsewhere = venue(name="Barton Hall", city="Paris", country="FR", lat=48.85, lon=2.35)
    one = listing(**ITHACA)
    assert venue_keys(barton) & listing_venue_keys(one)
    assert venue_keys(barton) & listing_venue_keys(listing(**ITHACA | {"venue": "Drill Hall"}))
    assert not venue_keys(elsewhere) & listing_venue_keys(one)
    (concert,) = resolve([one], [elsewhere, barton])
    assert (concert.venue_id, concert.place.lat, concert.place.tz) == (barton.venue_id, 42.44, "America/New_York")


def test_a_venue_of_the_metropolis_is_found_by_the_map() -> None:
    forum = venue(name="The Forum", city="Los Angeles", country="US", lat=33.958, lon=-118.342)
    one = listing(venue="Forum", city="Inglewood", region="CA", country="US")
    assert venue_keys(forum) & listing_venue_keys(one)
    assert resolve([one], [forum])[0].venue_id == forum.venue_id


def test_a_tour_is_no_block() -> None:
    nights = [listing(source_id=str(day), date=f"1977-05-{day:02}") for day in range(1, 20)]
    assert all(not block_keys(a) & block_keys(b) for a, b in pairwise(nights))


WORDS = st.sampled_from(
    ["Grateful Dead", "Grateful Ded", "The Grateful Dead", "Fear", "Ostrander", "Ostranders", "Fear Tribute"]
)
LISTINGS = st.lists(
    st.fixed_dictionaries(
        {
            "source": st.sampled_from("abc"),
            "source_id": st.sampled_from("123456"),
            "artist": WORDS,
            "date": st.sampled_from(["1977-05-08", "1977-05-09"]),
        },
        optional={
            "support": st.lists(WORDS, max_size=2),
            "venue": st.sampled_from(["Barton Hall", "Zenith", "Zenith Club", "TBA"]),
            "city": st.sampled_from(["Ithaca", "München", "Munich", "Los Angeles", "Hollywood"]),
            "country": st.sampled_from(["US", "DE"]),
            "start_time": st.sampled_from(["19:00", "23:00"]),
            "songs": st.lists(st.sampled_from(["Bertha", "Dark Star"]), max_size=2),
            "artist_mbid": st.sampled_from([str(UUID(int=1)), str(UUID(int=2))]),
            "festival": st.sampled_from(["Fest", "Other Fest"]),
            "status": st.sampled_from(["cancelled", "postponed"]),
            "vanished": st.booleans(),
        },
    ),
    max_size=9,
)


@settings(max_examples=150, deadline=None)
@given(LISTINGS, st.randoms(use_true_random=False))
def test_the_order_of_listings_changes_nothing(told: list[dict[str, Any]], random: Any) -> None:
    listings = rows(*told)
    shuffled = listings[:] + listings[:2]
    random.shuffle(shuffled)
    assert resolve(shuffled) == resolve(listings)


@settings(max_examples=150, deadline=None)
@given(LISTINGS)
def test_blocks_resolve_as_they_do_together(told: list[dict[str, Any]]) -> None:
    listings = list({one.listing_id: one for one in rows(*told)}.values())
    blocks: list[list[Listing]] = []
    for one in listings:
        touching = [block for block in blocks if any(block_keys(one) & block_keys(other) for other in block)]
        blocks = [block for block in blocks if block not in touching] + [
            [one, *(o for block in touching for o in block)]
        ]
    apart = [concert for block in blocks for concert in resolve(block)]
    together = resolve(listings)
    assert sorted(apart, key=lambda c: str(c.concert_id)) == sorted(together, key=lambda c: str(c.concert_id))


@settings(max_examples=150, deadline=None)
@given(LISTINGS)
def test_every_act_of_every_listing_is_in_exactly_one_concert(told: list[dict[str, Any]]) -> None:
    listings = {one.listing_id: one for one in rows(*told)}
    concerts = resolve(list(listings.values()))
    held = [(m.listing_id, m.act) for concert in concerts for m in concert.members]
    assert len(held) == len(set(held))
    assert {listing_id for listing_id, _ in held} == set(listings)
    assert len({concert.concert_id for concert in concerts}) == len(concerts)
    for concert in concerts:
        sources = [m.source for m in concert.members]
        assert len(sources) == len(set(sources))
        assert all(listings[m.listing_id].night == concert.night for m in concert.members)
