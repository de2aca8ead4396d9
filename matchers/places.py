"""Where: places compared by what they mean rather than how they are spelled.

Towns       `matchers.gazetteer`
Venues      `matchers.venues`
Units       kilometres, degrees of WGS 84
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from matchers.gazetteer import (
    SUBURB_KM,
    City,
    cities,
    country_code,
    country_of_region,
    distance_km,
    exact_cities,
    known,
    region_code,
    split_town,
    the_city,
    time_zone,
    town_and_region,
    warm,
)
from matchers.text import fold, similarity
from matchers.venues import (
    Named,
    SameVenue,
    VenueAliases,
    is_kind_of_venue,
    venue_key,
    venue_named,
    venue_relation,
    venue_words,
)
from schemas.listing import Place

__all__ = [
    "SAME_TOWN_KM",
    "SUBURB_KM",
    "City",
    "Named",
    "Near",
    "Relation",
    "SameVenue",
    "VenueAliases",
    "cell",
    "cells_around",
    "cities",
    "country_code",
    "distance_km",
    "known",
    "points",
    "read_place",
    "region_code",
    "the_city",
    "time_zone",
    "town_relation",
    "venue_key",
    "venue_named",
    "venue_relation",
    "venue_words",
    "warm",
]

SAME_TOWN_KM = 5.0
APART_KM = 150.0
"""Two pins farther apart are two towns, however alike their names."""
LARGE_TOWN = 100_000
SWAPPED_TOWN = 500_000
"""People of a town that stands in the venue's field, for the two fields to be taken as swapped."""


# -- reading ----------------------------------------------------------------------------------------------------------


def read_place(
    *,
    name: str | None = None,
    room: str | None = None,
    city: str | None = None,
    region: str | None = None,
    country: str | None = None,
    lat: float | None = None,
    lon: float | None = None,
    tz: str | None = None,
) -> Place:
    """A place from fields as they were written, each in the field where it belongs.

    'Berlin, Germany' as a city, 'Paradiso, Amsterdam' as a venue, the two fields swapped, a state for a country. What
    says that nothing is known is left out; half a point and the one that stands for none (0, 0) as well.
    """
    name, room, city, region = known(name), known(room), known(city), known(region)
    code = country_code(country)
    if code is None and country and region is None and (state := region_code(country, None)):
        region, code = state, "US"
    if code is None and region and len(region) > 3 and not region_code(region, None):
        code = country_code(region)
        region = None if code else region
    if city is not None:
        name, city, region, code = _of_city(name, city, region, code)
    elif name is not None:
        name, city, region, code = _of_venue(name, region, code)
    if code is None and region is not None:
        code = country_of_region(region, city)
    if lat is None or lon is None or not (math.isfinite(lat) and math.isfinite(lon)) or (lat == 0 and lon == 0):
        lat = lon = None
    return Place(name=name, room=room, city=city, region=region, country=code, lat=lat, lon=lon, tz=tz)


_Fields = tuple[str | None, str | None, str | None, str | None]


def _of_city(name: str | None, city: str, region: str | None, code: str | None) -> _Fields:
    """Venue, city, region and country where the city's field is filled."""
    head, found, tail = city.replace("(", ",").partition(",")
    head, tail = head.strip(), tail.strip(" )")
    if found and head and tail:
        town, its_region, country = split_town(head, tail, region, code)
        if town == head:
            city, region, code = town, its_region, country_code(country)
        elif name is None and not _beside(head, tail.partition(",")[0].strip()):
            found_name, found_city, *where = _of_venue(city, region, code)  # 'Paradiso, Amsterdam'
            if found_city is not None:
                return found_name, found_city, where[0], where[1]
        elif name is None and exact_cities(head, region, code) and is_kind_of_venue(tail):
            name, city = tail, head
    if region is None and (apart := town_and_region(city)) and code in (None, apart[2]):
        return name, *apart
    if cities(city, region, code):
        return name, city, region, code
    if name is not None and _are_swapped(name, city, region, code):
        return city, name, region, code
    if name is None and is_kind_of_venue(city):
        return city, None, region, code
    return name, city, region, code


_LIKE_A_TOWN = re.compile(
    r"(?:dorf|burg|berg|heim|hausen|ingen|stadt|stedt|hofen|kirchen|bach|furt|ville|ton|ham|bury|borough|ford|mouth|land"
    r"|by|stad|grad|polis)$|\b(?:saint|st|sankt|bad|san|santa|a\. ?[mdi]|am|an der|upon|sur|sous|les)\b",
    re.IGNORECASE,
)


def _are_swapped(name: str, city: str, region: str | None, code: str | None) -> bool:
    """Whether a city that no gazetteer has is the venue of the town in the venue's field: 'Berlin' and 'Berghain'.

    A hall may be called like a town, and a village be missing: only a house by its own word, or a large town beside
    what does not sound like one, is enough.
    """
    people = max((town.population for town in exact_cities(name, region, code)), default=0)
    if is_kind_of_venue(city):
        return people >= LARGE_TOWN
    return people >= SWAPPED_TOWN and not is_kind_of_venue(name) and not _LIKE_A_TOWN.search(city)


def _beside(town: str, other: str) -> bool:
    """Whether two names can be of towns near each other, or the second is none: 'Hackney, London'."""
    others = exact_cities(other)
    return not others or any(distance_km(a, b) <= SUBURB_KM for a in exact_cities(town) for b in others)


_TAIL = re.compile(r"\s*,\s*|\s+[-–]\s+|\s*\(")


def _of_venue(name: str, region: str | None, code: str | None) -> _Fields:
    """The same where only the venue's field is: 'The Fillmore, San Francisco, CA', or 'Amsterdam'."""
    bounds = list(_TAIL.finditer(name))[-3:]
    for bound in bounds:
        town, _, tail = name[bound.end() :].strip(" )").partition(",")
        town, its_region, country = split_town(town.strip(), tail.strip(), region, code)
        found = exact_cities(town, its_region, country)
        if "," not in bound.group():
            found = tuple(one for one in found if one.population >= LARGE_TOWN)
        elif not country and not its_region:  # a hall, too, is called like a village somewhere: 'Muffatwerk, Ampere'
            found = tuple(
                one for one in found if one.population >= LARGE_TOWN or one.name.casefold() == town.casefold()
            )
        if is_kind_of_venue(town) or not found:
            continue
        head = name[: bound.start()].strip()
        if head:
            return head, town, its_region, country_code(country)
    the_town = the_city(name, region, code)
    if the_town is not None and exact_cities(name, region, code):
        # By another name than its own, a middling town is a house: 'Vega' is not La Vega.
        own = fold(the_town.name) == fold(name) and len(the_town.name.split()) == len(name.split())  # articles count
        least = LARGE_TOWN if own else SWAPPED_TOWN
        if the_town.population >= least:
            return None, name, region, code
    return name, None, region, code


# -- where it can be --------------------------------------------------------------------------------------------------


def points(place: Place) -> tuple[tuple[float, float], ...]:
    """Where it can be: its coordinates, else each town its city can mean."""
    if place.lat is not None and place.lon is not None:
        return ((place.lat, place.lon),)
    return tuple((city.lat, city.lon) for city in cities(place.city, place.region, place.country))


CELL_DEGREES = 0.25
"""28 km north to south: a town with its suburbs is a cell and its neighbours."""


def cell(lat: float, lon: float) -> tuple[int, int]:
    """The square of a grid; at high latitudes it grows wider in degrees, so that it stays wide on the ground."""
    row = math.floor(lat / CELL_DEGREES)
    return row, math.floor(lon / _width(row))


def cells_around(lat: float, lon: float) -> frozenset[tuple[int, int]]:
    """The square and those next to it."""
    row, _ = cell(lat, lon)
    return frozenset(
        (near, math.floor(lon / _width(near)) + step) for near in (row - 1, row, row + 1) for step in (-1, 0, 1)
    )


def _width(row: int) -> float:
    """Degrees of longitude of the cells of a row: one of a few steps, so that neighbours mostly agree."""
    latitude = abs((row + 0.5) * CELL_DEGREES)
    return CELL_DEGREES * (1 if latitude < 50 else 2 if latitude < 70 else 8)


class Near(StrEnum):
    """How two towns relate."""

    SAME = "same"
    SUBURB = "suburb"
    FAR = "far"
    OTHER = "other"
    """Another name, one of them in no gazetteer: how far is not known."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Relation:
    """How near, and by how far apart where that is known."""

    near: Near
    km: float | None = None


def town_relation(one: Place, other: Place) -> Relation:
    """Whether two places are in one town: by name, exonym, distance; never by coordinates of a venue alone."""
    city, town = known(one.city), known(other.city)
    if city is None or town is None:
        return Relation(Near.UNKNOWN)
    return _relation(city, one.region, one.country, town, other.region, other.country, _spot(other), _spot(one))


def _spot(place: Place) -> tuple[float, float] | None:
    return None if place.lat is None or place.lon is None else (round(place.lat, 3), round(place.lon, 3))


@lru_cache(maxsize=65_536)
def _relation(
    city: str,
    region: str | None,
    country: str | None,
    town: str,
    town_region: str | None,
    town_country: str | None,
    town_spot: tuple[float, float] | None,
    spot: tuple[float, float] | None,
) -> Relation:
    code, town_code = country_code(country), country_code(town_country)
    equal = fold(city) == fold(town)
    if code and town_code and code != town_code:
        equal = False
    state, town_state = region_code(region, code), region_code(town_region, town_code)
    conflict = bool(state and town_state and state != town_state)
    if spot and town_spot and (km := distance_km(spot, town_spot)) > APART_KM:
        return Relation(Near.FAR, km)  # Portland and Portland, each with its pin
    if equal and not conflict:
        return Relation(Near.SAME, 0.0)
    named, other_named = cities(city, region, country), cities(town, town_region, town_country)
    if not set(named).isdisjoint(other_named):  # 'Gaia' and 'Vila Nova de Gaia', wherever a source puts its pin
        return Relation(Near.SAME, 0.0)
    here: Iterable[tuple[float, float]] = [spot] if spot else [(c.lat, c.lon) for c in named]
    there: Iterable[tuple[float, float]] = [town_spot] if town_spot else [(c.lat, c.lon) for c in other_named]
    apart = [distance_km(a, b) for a in here for b in there]
    if not apart:
        if code and town_code and code != town_code:
            return Relation(Near.FAR)
        # Unknown to the gazetteer: a slip of the pen is still the same town.
        if not conflict and similarity(fold(city), fold(town)) >= 0.8:
            return Relation(Near.SAME)
        return Relation(Near.FAR if conflict else Near.OTHER)
    km = min(apart)
    if km <= SAME_TOWN_KM:
        return Relation(Near.SAME, km)
    if km <= SUBURB_KM:
        return Relation(Near.SUBURB, km)
    if not conflict and len(city) > 4 and similarity(fold(city), fold(town)) >= 0.8 and (not code or code == town_code):
        return Relation(Near.SAME)
    return Relation(Near.FAR, km)
