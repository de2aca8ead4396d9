"""What finds what: keys that concerts and entries share. Plain strings, the same in every process and store.

nt:night:word       a word of the name, that night: 'Sinead O'Connor' finds 'Peter Gabriel feat. Sinéad O'Connor'
nd:night:skeleton   the name as heard, less one letter: two slips of the hand still find it
nc:night:cell       the neighbourhood that night, whoever plays
nn:night:town       the same for towns that the gazetteer does not know
am:artist:month     the artist as heard, that month: a date off by days, a month or a year typed alone
at:artist:town      the artist in that town, whenever
aw:word:town:year   a word of the name in that town, that year: 'The Stooges' finds 'Iggy and The Stooges'
a:artist            the artist, whenever: only where nothing else is known
vm:venue:month      the venue that month, whoever played

An entry asks by the most selective thing it knows. A concert has some 20 keys, an entry up to a few dozen.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache

from matchers.dates import Precision, When
from matchers.places import cell, cells_around, cities, known, the_city, venue_key
from matchers.text import fold, initials, names, skeleton, squash, tokens
from matchers.understand import Understood, understand
from schemas.concert import Concert
from schemas.history import Entry
from schemas.listing import Place

LONGEST = 24
"""Letters of a skeleton in a key."""
MOST_WORDS = 4
MOST_MONTHS = 40
"""Of an interval: beyond three years the artist alone is asked for."""
NEAR_DAYS = 7


def concert_keys(concert: Concert) -> frozenset[str]:
    """What entries find a concert by."""
    night, month = concert.night.isoformat(), _month(concert.night)
    place = concert.place
    keys = set()
    for name in names(concert.artist):
        heard = _heard(name)
        keys |= {f"am:{heard}:{month}", f"a:{heard}"}
        keys |= {f"at:{heard}:{town}" for town in _towns_of(place)}
    keys |= {f"aw:{word}:{town}:{concert.night.year}" for word in _words(concert.artist) for town in _towns_of(place)}
    short = initials(concert.artist)
    if len(short) > 2:
        keys.add(f"am:{short}:{month}")
        keys.add(f"nt:{night}:{short}")
    keys |= _night_keys(night, names(concert.artist)[:1])
    for point in _spots(place):
        row, column = cell(*point)
        keys.add(f"nc:{night}:{row},{column}")
    if known(place.city):
        keys.add(f"nn:{night}:{fold(place.city or '')}")
    if place.name:
        keys.add(f"vm:{venue_key(place.name)[:60]}:{month}")
    return frozenset(keys)


def entry_keys(entry: Entry) -> frozenset[str]:
    """What finds an entry's concerts; empty when there is nothing to go by."""
    told = understand(entry)
    keys: set[str] = set()
    nights = told.nights
    months = _months(told.whens)
    towns = _towns_of(told.place) if told.has_place else frozenset()
    years = sorted({month[:4] for month in _months(_around(told.whens))})
    for name in told.names:
        heard = _heard(name)
        short = squash(name)
        if nights:
            around = _months(_around(told.whens))
            keys |= {f"am:{heard}:{month}" for month in around}
            # The slip in the year.
            keys |= {f"am:{heard}:{_month(_year_off(night, step))}" for night in nights for step in (-1, 1)}
        elif months:
            keys |= {f"am:{heard}:{month}" for month in months}
        keys |= {f"at:{heard}:{town}" for town in towns}
        keys |= {f"aw:{word}:{town}:{year}" for word in _words(name) for town in towns for year in years}
        if not nights and not months and not towns:
            keys.add(f"a:{heard}")
        if 2 < len(short) < 6:  # 'OMD'
            keys |= {f"am:{short}:{month}" for month in months}
    for night in nights:
        keys |= _night_keys(night.isoformat(), told.names)
        keys |= {f"nc:{night.isoformat()}:{row},{column}" for row, column in _cells(told)}
        if known(told.place.city):
            keys.add(f"nn:{night.isoformat()}:{fold(told.place.city or '')}")
    if told.place.name and (months or nights):
        keys |= {f"vm:{venue_key(told.place.name)[:60]}:{month}" for month in months or _months(told.whens)}
    return frozenset(keys)


@lru_cache(maxsize=65_536)
def _heard(name: str) -> str:
    return skeleton(name)[:LONGEST]


def _night_keys(night: str, named: Iterable[str]) -> set[str]:
    keys = set()
    for name in named:
        keys |= {f"nt:{night}:{word}" for word in _words(name)}
        keys |= {f"nd:{night}:{less}" for less in _less_one(_heard(name))}
    return keys


@lru_cache(maxsize=65_536)
def _words(name: str) -> frozenset[str]:
    """The longest words, as heard."""
    words = sorted(
        {word for word in tokens(name) if len(word) > 2 or len(tokens(name)) == 1}, key=lambda w: (-len(w), w)
    )
    return frozenset(skeleton(word)[:LONGEST] for word in words[:MOST_WORDS])


@lru_cache(maxsize=65_536)
def _less_one(heard: str) -> frozenset[str]:
    """Itself and all that a lost letter makes of it: two that are one edit apart share one (FastSS)."""
    heard = heard[:12]
    if len(heard) < 3:
        return frozenset([heard])
    return frozenset([heard, *(heard[:index] + heard[index + 1 :] for index in range(len(heard)))])


@lru_cache(maxsize=65_536)
def _towns_of(place: Place) -> frozenset[str]:
    """The town's names that a key may hold: as folded, and the square of the map where it lies."""
    towns = set()
    city = known(place.city)
    if city:
        towns.add(fold(city))
        found = the_city(city, place.region, place.country)
        if found:
            towns.add(fold(found.name))
    return frozenset(towns)


def _spots(place: Place) -> tuple[tuple[float, float], ...]:
    if place.lat is not None and place.lon is not None:
        return ((place.lat, place.lon),)
    return tuple((city.lat, city.lon) for city in cities(place.city, place.region, place.country)[:3])


def _cells(told: Understood) -> frozenset[tuple[int, int]]:
    """Squares around where the entry was, or around each town that it can mean."""
    return frozenset(square for point in _spots(told.place) for square in cells_around(*point))


def _month(night: date) -> str:
    return f"{night.year}-{night.month:02}"


def _months(whens: Iterable[When]) -> frozenset[str]:
    """The months of the intervals; none for an interval too long to list."""
    found: set[str] = set()
    for when in whens:
        if when.days > MOST_MONTHS * 30:
            return frozenset()
        year, month = when.start.year, when.start.month
        while (year, month) <= (when.end.year, when.end.month):
            found.add(f"{year}-{month:02}")
            year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return frozenset(found)


def _around(whens: Iterable[When]) -> list[When]:
    """A week to both sides."""
    week = timedelta(days=NEAR_DAYS)
    return [When(when.start - week, when.end + week, Precision.RANGE) for when in whens]


def _year_off(night: date, step: int) -> date:
    day = 28 if (night.month, night.day) == (2, 29) else night.day
    return night.replace(year=night.year + step, day=day)
