import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.places import (
    Near,
    SameVenue,
    cell,
    cells_around,
    country_code,
    distance_km,
    known,
    region_code,
    the_city,
    time_zone,
    town_relation,
    venue_relation,
)
from schemas.listing import Place


def town(text: str) -> Place:
    """'Portland,ME,US'."""
    city, region, country = (*text.split(","), "", "")[:3]
    return Place(city=city, region=region or None, country=country or None)


TOWNS = [
    ("Lisboa", "Lisbon,,PT", Near.SAME),
    ("München", "Munich,,DE", Near.SAME),
    ("Köln", "Cologne,,DE", Near.SAME),
    ("Milão", "Milan,,IT", Near.SAME),
    ("東京", "Tokyo,,JP", Near.SAME),
    ("Москва", "Moscow,,RU", Near.SAME),
    ("Gaia", "Vila Nova de Gaia,,PT", Near.SAME),
    ("Santiago Compostela", "Santiago de Compostela,,ES", Near.SAME),
    ("Los Angeles", "Universal City,CA,US", Near.SUBURB),
    ("Hollywood", "Los Angeles,CA,US", Near.SUBURB),
    ("Portland,OR", "Portland,ME,US", Near.FAR),
    ("Portland", "Portland,ME,US", Near.SAME),
    ("Porto", "Lisbon,,PT", Near.FAR),
    ("Birmingham,,GB", "Birmingham,AL,US", Near.FAR),
    ("Xyzzy Village", "Lisbon,,PT", Near.OTHER),
    ("????", "Lisbon,,PT", Near.UNKNOWN),
]


@pytest.mark.parametrize(("one", "other", "near"), TOWNS)
def test_towns_are_compared_by_what_they_mean(one: str, other: str, near: Near) -> None:
    assert town_relation(town(one), town(other)).near is near


VENUES = [
    ("The Rose Bowl", "Rose Bowl", SameVenue.SAME),
    ("Universal Amphitheater", "Universal Amphitheatre", SameVenue.SAME),
    ("Harmon Gym", "Harmon Gym, UC Berkeley", SameVenue.PART),
    ("Greek Theatre", "William Randolph Hearst Greek Theatre, UC Berkeley", SameVenue.PART),
    ("Fillmore West", "Fillmore", SameVenue.PART),
    ("House of Blues Anaheim", "House of Blues", SameVenue.PART),
    ("Eagle's Auditorium", "Eagles Auditorium", SameVenue.SAME),
    ("Kings Beech Bowl", "King's Beach Bowl", SameVenue.SAME),
    ("Memorial Auditorium", "Memorial Hall", SameVenue.DIFFERENT),
    ("9:30 Club", "Rock & Roll Hotel", SameVenue.DIFFERENT),
    ("TBA", "9:30 Club", SameVenue.UNKNOWN),
]


@pytest.mark.parametrize(("one", "other", "same"), VENUES)
def test_venues_are_compared_by_what_sets_them_apart(one: str, other: str, same: SameVenue) -> None:
    assert venue_relation(one, other) is same
    assert venue_relation(other, one) is same


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("USA", "US"),
        ("Deutschland", "DE"),
        ("gb", "GB"),
        ("England", "GB"),
        ("PRT", "PT"),
        ("Narnia", None),
        ("", None),
    ],
)
def test_countries_become_their_code(written: str, code: str | None) -> None:
    assert country_code(written) == code


def test_states_are_read_by_code_and_name() -> None:
    assert region_code("California", "US") == region_code("CA", "US") == region_code("ca", None) == "CA"
    assert region_code("LA", "US") == "LA"
    assert region_code("Ontario", "CA") == region_code("ON", "CA") == "08"
    assert region_code("Bavaria", "FR") is None


def test_a_town_gives_its_zone_only_when_it_is_one_town() -> None:
    assert time_zone(town("Lisboa,,PT")) == "Europe/Lisbon"
    assert time_zone(town("Portland,ME,US")) == "America/New_York"
    assert the_city("Springfield", None, "US") is None
    assert time_zone(town("Springfield,,US")) is None


@pytest.mark.parametrize("text", ["????", "TBA", " - ", "unknown", "n/a", "", None])
def test_what_says_nothing_is_unknown(text: str | None) -> None:
    assert known(text) is None


def test_a_name_of_question_marks_and_letters_is_known() -> None:
    assert known("? and the Mysterians") == "? and the Mysterians"


@given(st.floats(-89, 89), st.floats(-179, 179), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_neighbours_on_the_ground_are_neighbours_on_the_grid(lat: float, lon: float, up: float, right: float) -> None:
    assert cell(lat, lon) in cells_around(lat, lon)
    assert distance_km((lat, lon), (lat, lon)) == 0
    if abs(lat) < 45:
        assert cell(lat + up, lon + right) in cells_around(lat, lon)
