from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.places import (
    Named,
    Near,
    SameVenue,
    VenueAliases,
    cell,
    cells_around,
    country_code,
    distance_km,
    known,
    read_place,
    region_code,
    the_city,
    time_zone,
    town_relation,
    venue_named,
    venue_relation,
)
from schemas.listing import Place
from schemas.reference import DatedName, Venue
from tests.matchers.make import NOON


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
    ("Den Haag", "The Hague,,NL", Near.SAME),
    ("Wien", "Vienna,,AT", Near.SAME),
    ("'s-Hertogenbosch", "Den Bosch,,NL", Near.SAME),
    ("NYC", "New York,NY,US", Near.SAME),
    ("NYC", "Brooklyn,NY,US", Near.SUBURB),
    ("LA", "Los Angeles,CA,US", Near.SAME),
    ("SF", "San Francisco,CA,US", Near.SAME),
    ("DC", "Washington,DC,US", Near.SAME),
    ("Philly", "Philadelphia,PA,US", Near.SAME),
    ("Frankfurt am Main", "Frankfurt,,DE", Near.SAME),
    ("Newcastle upon Tyne,,GB", "Newcastle,,GB", Near.SAME),
    ("St. Louis", "Saint Louis,MO,US", Near.SAME),
    ("Montréal", "Montreal,QC,CA", Near.SAME),
    ("St. Paul", "Minneapolis,MN,US", Near.SUBURB),
    ("E. Lansing", "East Lansing,MI,US", Near.SAME),
    ("Ft. Lauderdale", "Fort Lauderdale,FL,US", Near.SAME),
    ("Minneapolis/St. Paul", "Minneapolis,MN,US", Near.SAME),
    ("Los Angeles (LA)", "Los Angeles,CA,US", Near.SAME),
    ("Berlin-Kreuzberg", "Berlin,,DE", Near.SAME),
    ("75010 Paris", "Paris,,FR", Near.SAME),
    ("Oberursel", "Frankfurt,,DE", Near.SUBURB),
    ("Muncih", "München,,DE", Near.SAME),
    ("Philadelpia", "Philadelphia,PA,US", Near.SAME),
    ("Washingon", "Washington,DC,US", Near.SAME),
    ("Gothenberg", "Göteborg,,SE", Near.SAME),
    ("Ostrava", "Prague,,CZ", Near.FAR),
]
COUNTRY_OR_STATE_INSIDE = [
    ("London, UK", "London,,GB", Near.SAME),
    ("London, UK", "London,ON,CA", Near.FAR),
    ("London, Ontario", "London,,GB", Near.FAR),
    ("Berlin, Germany", "Berlin,,DE", Near.SAME),
    ("Washington, D.C.", "Washington,DC,US", Near.SAME),
    ("Portland, Maine", "Portland,OR,US", Near.FAR),
    ("Portland, OR, USA", "Portland,OR,US", Near.SAME),
    ("Toronto, ON", "Toronto,ON,CA", Near.SAME),
    ("Toronto, CA", "Toronto,ON,CA", Near.SAME),
    ("Athens, Georgia", "Athens,,GR", Near.FAR),
    ("Tbilisi, Georgia", "Tbilisi,,GE", Near.SAME),
]


@pytest.mark.parametrize(("one", "other", "near"), COUNTRY_OR_STATE_INSIDE)
def test_a_city_may_name_its_country_or_state(one: str, other: str, near: Near) -> None:
    assert town_relation(Place(city=one), town(other)).near is near


def test_pins_far_apart_are_two_towns_of_one_name() -> None:
    west = Place(city="Portland", lat=45.5, lon=-122.7)
    east = Place(city="Portland", lat=43.7, lon=-70.3)
    assert town_relation(west, east).near is Near.FAR
    assert town_relation(west, west).near is Near.SAME


READ = [
    ({"city": "Berlin, Germany"}, {"city": "Berlin", "country": "DE"}),
    ({"city": "Denver, CO, US"}, {"city": "Denver", "region": "CO", "country": "US"}),
    ({"city": "Berlin, DE"}, {"city": "Berlin", "country": "DE"}),
    ({"city": "Wilmington, DE"}, {"city": "Wilmington", "region": "DE", "country": "US"}),
    ({"city": "Paris (France)"}, {"city": "Paris", "country": "FR"}),
    ({"city": "Seattle", "country": "Washington"}, {"city": "Seattle", "region": "WA", "country": "US"}),
    ({"city": "Hamburg", "region": "Germany"}, {"city": "Hamburg", "country": "DE"}),
    ({"name": "Paradiso, Amsterdam"}, {"name": "Paradiso", "city": "Amsterdam"}),
    ({"name": "Paradiso - Amsterdam"}, {"name": "Paradiso", "city": "Amsterdam"}),
    ({"name": "Ampere (München)"}, {"name": "Ampere", "city": "München"}),
    (
        {"name": "The Fillmore, San Francisco, CA"},
        {"name": "The Fillmore", "city": "San Francisco", "region": "CA", "country": "US"},
    ),
    ({"name": "Harmon Gym, UC Berkeley"}, {"name": "Harmon Gym, UC Berkeley"}),
    ({"name": "Madison Square Garden, Theater"}, {"name": "Madison Square Garden, Theater"}),
    ({"name": "Berlin", "city": "Berghain"}, {"name": "Berghain", "city": "Berlin"}),
    ({"name": "Amsterdam"}, {"city": "Amsterdam"}),
    ({"name": "Vega"}, {"name": "Vega"}),  # not La Vega
    ({"name": "Cologne"}, {"city": "Cologne"}),
    ({"city": "Milla Club"}, {"name": "Milla Club"}),
    ({"city": "Amsterdam, Paradiso Club"}, {"name": "Paradiso Club", "city": "Amsterdam"}),
    ({"city": "Paradiso, Amsterdam"}, {"name": "Paradiso", "city": "Amsterdam"}),
    ({"name": "TBA", "city": "????"}, {}),
    ({"name": "Secret Location", "city": "Berlin"}, {"city": "Berlin"}),
    ({"name": "geheimer Ort"}, {}),
    ({"name": "Halle", "city": "Frankfurt a.M."}, {"name": "Halle", "city": "Frankfurt a.M."}),
    ({"name": "Essen", "city": "Kleinkleckersdorf"}, {"name": "Essen", "city": "Kleinkleckersdorf"}),
    ({"name": "Amsterdam", "city": "Melkweg Club"}, {"name": "Melkweg Club", "city": "Amsterdam"}),
    ({"name": "Muffatwerk, Ampere"}, {"name": "Muffatwerk, Ampere"}),
    ({"name": "Harpur College, Binghamton"}, {"name": "Harpur College", "city": "Binghamton"}),
    ({"city": "Köln", "country": "GER"}, {"city": "Köln", "country": "DE"}),
    ({"city": "Toronto", "region": "ON"}, {"city": "Toronto", "region": "ON", "country": "CA"}),
    ({"city": "Perth", "region": "WA"}, {"city": "Perth", "region": "WA", "country": "AU"}),
    ({"city": "Seattle", "region": "WA"}, {"city": "Seattle", "region": "WA", "country": "US"}),
    ({"name": "X", "region": "Ontario"}, {"name": "X", "region": "Ontario", "country": "CA"}),
    ({"name": "X", "region": "WA"}, {"name": "X", "region": "WA"}),
    ({"city": "Sydney NSW"}, {"city": "Sydney", "region": "NSW", "country": "AU"}),
    ({"city": "Portland Maine"}, {"city": "Portland", "region": "Maine", "country": "US"}),
    ({"city": "Albany New York"}, {"city": "Albany", "region": "New York", "country": "US"}),
    ({"city": "Cambridge, Mass."}, {"city": "Cambridge", "region": "Mass.", "country": "US"}),
    ({"city": "Kansas City"}, {"city": "Kansas City"}),
    ({"city": "Melbourne VIC"}, {"city": "Melbourne", "region": "VIC", "country": "AU"}),
    ({"city": "Monaco di Baviera"}, {"city": "Monaco di Baviera"}),
    ({"name": "X", "lat": 0.0, "lon": 0.0}, {"name": "X"}),
    ({"name": "X", "lat": float("nan"), "lon": 5.0}, {"name": "X"}),
]


@pytest.mark.parametrize(("fields", "place"), READ, ids=str)
def test_each_part_of_a_place_is_put_where_it_belongs(fields: dict[str, Any], place: dict[str, Any]) -> None:
    read = read_place(**fields)
    assert read == Place(**place)
    assert read_place(**read.model_dump()) == read


ZONES = [
    ({"city": "Sydney NSW"}, "Australia/Sydney"),
    ({"city": "Monaco di Baviera"}, "Europe/Berlin"),
    ({"city": "Frankfurt a.M."}, "Europe/Berlin"),
    ({"city": "Portland", "region": "ME"}, "America/New_York"),
    ({"city": "Nowhere at all"}, None),
]


@pytest.mark.parametrize(("fields", "tz"), ZONES, ids=str)
def test_the_zone_follows_from_the_town(fields: dict[str, Any], tz: str | None) -> None:
    assert time_zone(read_place(**fields)) == tz


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
    # Words that venues share, in the languages that occur.
    ("Music Hall", "Concert Hall", SameVenue.DIFFERENT),
    ("Kulturzentrum Lagerhaus", "Kulturzentrum Schlachthof", SameVenue.DIFFERENT),
    ("Stadthalle Fürth", "Stadthalle Offenbach", SameVenue.DIFFERENT),
    ("Centro Cultural Kirchner", "Centro Cultural Recoleta", SameVenue.DIFFERENT),
    ("Sala Apolo", "Sala Razzmatazz", SameVenue.DIFFERENT),
    ("Auditorio Nacional", "Auditorio Telmex", SameVenue.DIFFERENT),
    ("Salle Pleyel", "Salle Gaveau", SameVenue.DIFFERENT),
    ("Teatro Verdi", "Teatro Rossini", SameVenue.DIFFERENT),
    ("Cultuurcentrum Brugge", "Cultuurcentrum Hasselt", SameVenue.DIFFERENT),
    ("Kulturhuset Oslo", "Kulturhuset Stockholm", SameVenue.DIFFERENT),
    ("Coliseu do Porto", "Coliseu dos Recreios", SameVenue.DIFFERENT),
    ("Royal Albert Hall", "Royal Festival Hall", SameVenue.DIFFERENT),
    ("St. John's Church", "St. Mary's Church", SameVenue.DIFFERENT),
    ("Olympiahalle", "Olympiastadion", SameVenue.DIFFERENT),
    ("Red Rocks Amphitheatre", "Red Butte Garden", SameVenue.DIFFERENT),
    ("Hollywood Palladium", "Hollywood Bowl", SameVenue.DIFFERENT),
    ("Barclaycard Arena", "Barclays Center", SameVenue.DIFFERENT),
    ("Studio 7", "Studio 8", SameVenue.DIFFERENT),
    ("Fox Theatre, Atlanta", "Fox Theatre, St. Louis", SameVenue.DIFFERENT),
    ("House of Blues Chicago", "House of Blues Anaheim", SameVenue.DIFFERENT),
    ("O2 Academy Brixton", "O2 Academy Islington", SameVenue.DIFFERENT),
    ("Shady Grove", "Groove Club", SameVenue.DIFFERENT),
    ("Canal Room", "Erie Canal Harbor", SameVenue.SIMILAR),
    ("White House", "White Horse", SameVenue.SIMILAR),
    ("Music Hall", "Music Hall of Williamsburg", SameVenue.SIMILAR),
    # One venue, spelled differently.
    ("O2 Academy Brixton", "Brixton Academy", SameVenue.SAME),
    ("The Fillmore", "Fillmore Auditorium", SameVenue.SAME),
    ("Bercy Arena", "Bercy Arean", SameVenue.SAME),
    ("The Gorge Ampithetre", "Gorge Amphitheatre", SameVenue.SAME),
    ("The Troubadour", "Troubador", SameVenue.SAME),
    ("Wolf Trap", "Wolftrap", SameVenue.SAME),
    ("Mem. Aud.", "Memorial Auditorium", SameVenue.SAME),
    ("Univ. of Oregon", "University of Oregon", SameVenue.SAME),
    ("9:30", "9:30 Club", SameVenue.SAME),
    ("RFK Stadium", "Robert F. Kennedy Memorial Stadium", SameVenue.SAME),
    ("San Antonio Civic Auditorium", "San Antonio Municipal Auditorium", SameVenue.SAME),
    ("Palau dels Esports", "Sports Palace", SameVenue.SAME),
    ("Paradiso, Amsterdam", "Paradiso", SameVenue.SAME),
    ("東京ドーム", "東京ドーム", SameVenue.SAME),
    # A house and its rooms.
    ("Feierwerk - Hansa 39", "Feierwerk", SameVenue.PART),
    ("Backstage Werk", "Backstage", SameVenue.PART),
    ("Kleine Olympiahalle", "Olympiahalle", SameVenue.PART),
    ("Sala", "Sala Grande", SameVenue.PART),
    ("Lindley Meadows", "Lindley Meadow, Golden Gate Park", SameVenue.PART),
    ("Room 2 at Fabric", "Fabric", SameVenue.PART),
    ("Barton Hall, Cornell University", "Cornell University", SameVenue.PART),
    ("Feierwerk - Hansa 39", "Feierwerk - Orangehouse", SameVenue.ROOM),
    ("Backstage Werk", "Backstage Halle", SameVenue.ROOM),
    ("Backstage Werk", "Backstage Club", SameVenue.ROOM),
    ("Room 1 at Fabric", "Room 2 at Fabric", SameVenue.ROOM),
    ("Paradiso (Kleine Zaal)", "Paradiso (Grote Zaal)", SameVenue.ROOM),
    ("Elbphilharmonie, Großer Saal", "Elbphilharmonie, Kleiner Saal", SameVenue.ROOM),
    ("Harmon Gym, UC Berkeley", "Greek Theatre, UC Berkeley", SameVenue.ROOM),
    ("Fillmore West", "Fillmore East", SameVenue.ROOM),
]


@pytest.mark.parametrize(("one", "other", "same"), VENUES)
def test_venues_are_compared_by_what_sets_them_apart(one: str, other: str, same: SameVenue) -> None:
    assert venue_relation(one, other) is same
    assert venue_relation(other, one) is same


IN_TOWN = [
    ("The Fillmore", "The Fillmore Charlotte", "San Francisco", SameVenue.DIFFERENT),
    ("The Fillmore", "The Fillmore Charlotte", "Charlotte", SameVenue.SAME),
    ("House of Blues", "House of Blues Chicago", "Anaheim", SameVenue.DIFFERENT),
    ("House of Blues", "House of Blues Chicago", "Chicago", SameVenue.SAME),
    ("Göteborgs Konserthus", "Konserthuset Göteborg", "Göteborg", SameVenue.SAME),
    ("Long Beach Arena", "Long Beach Auditorium", "Long Beach", SameVenue.DIFFERENT),
    ("Apollo Theater", "Apollo Manchester", "Manchester", SameVenue.SAME),
]


@pytest.mark.parametrize(("one", "other", "city", "same"), IN_TOWN)
def test_the_towns_own_name_says_nothing_and_anothers_does(one: str, other: str, city: str, same: SameVenue) -> None:
    assert venue_relation(one, other, city) is venue_relation(other, one, city) is same


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_names_break_the_comparison(one: str, other: str) -> None:
    assert venue_relation(one, other) is venue_relation(other, one)
    assert venue_relation(one, one) in (SameVenue.SAME, SameVenue.UNKNOWN)


def hall(name: str, *names: DatedName, city: str = "Los Angeles", number: int = 1) -> Venue:
    """A venue of a catalogue."""
    place = Place(name=name, city=city)
    return Venue(
        venue_id=UUID(int=number),
        source="s",
        source_id="1",
        version=1,
        seen_at=NOON,
        name=name,
        names=names,
        place=place,
    )


UNIVERSAL = hall(
    "Gibson Amphitheatre",
    DatedName(name="Universal Amphitheatre", until=date(2005, 2, 28)),
    DatedName(name="Gibson Amphitheatre", since=date(2005, 3, 1), until=date(2013, 9, 6)),
)


@pytest.mark.parametrize(
    ("name", "night", "named"),
    [
        ("Universal Amphitheater", date(1990, 1, 1), Named.THEN),
        ("Universal Amphitheatre", date(2010, 1, 1), Named.OTHER_TIME),
        ("Gibson Amphitheatre", date(2010, 1, 1), Named.THEN),
        ("Gibson Amphitheatre", date(1990, 1, 1), Named.OTHER_TIME),
        ("Universal Amphitheatre", None, Named.THEN),
        ("Hollywood Bowl", date(1990, 1, 1), Named.NEVER),
        ("????", None, Named.NEVER),
    ],
)
def test_a_hall_is_known_by_the_name_of_its_time(name: str, night: date | None, named: Named) -> None:
    assert venue_named(UNIVERSAL, name, night) is named


def test_two_names_of_one_hall_are_the_same_venue_in_its_town() -> None:
    aliases = VenueAliases([UNIVERSAL, hall("Universal Amphitheatre", city="Berlin", number=2)])
    one, other = Place(name="Universal Amphitheatre", city="Los Angeles"), Place(name="Gibson Amphitheatre")
    assert aliases.relation(one, other) is SameVenue.SAME
    assert aliases.relation(one.model_copy(update={"city": "Berlin"}), other) is not SameVenue.SAME
    assert [venue.venue_id.int for venue in aliases.named(one, date(2010, 1, 1))] == [1]
    assert aliases.named(Place(name="?")) == ()


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
    assert region_code("Bayern", "DE") == region_code("BY", "DE") == "02"
    assert region_code("SP", "BR") == region_code("São Paulo", "BR") == "27"


def test_a_town_gives_its_zone_only_when_it_is_one_town() -> None:
    assert time_zone(town("Lisboa,,PT")) == "Europe/Lisbon"
    assert time_zone(town("Portland,ME,US")) == "America/New_York"
    assert the_city("Springfield", None, "US") is None
    assert time_zone(town("Springfield,,US")) is None


@pytest.mark.parametrize("text", ["????", "TBA", " - ", "unknown", "n/a", "various", "Location TBA", "", None])
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
