"""What finds what: keys that concerts and entries share. Plain strings, the same in every process and store.

nt:night:word       a word of the name, that night: 'Sinead O'Connor' finds 'Peter Gabriel feat. Sinéad O'Connor'
nd:night:letters    the start or the end of the name less one letter: two slips of the hand still find it
nk:night:sounds     the name as heard, less one or two sounds
nc:night:cell       the neighbourhood that night, whoever plays
nn:night:town       the same for towns that the gazetteer does not know
am:artist:month     the artist as heard, or that less a sound, that month: a date off by days, a month alone
ay:artist:year      the same for a year
at:artist:town      the artist in that town, whenever
aw:word:town:year   a word of the name in that town, that year: 'The Stooges' finds 'Iggy and The Stooges'
wm:word:month       the same that month, where no town is known
a:artist            the artist, whenever: only where nothing else is known
vm:venue:month      the venue that month, whoever played
sy:song:year        a song that was played: only where no artist is known

An entry asks by the most selective thing it knows. A concert has some 60 keys and one for each song, an entry up to a
few dozen for a night, a hundred for a year.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache
from itertools import combinations

from matchers.dates import Precision, When
from matchers.places import cell, cells_around, cities, known, the_city, venue_key
from matchers.text import fold, initials, names, skeleton, squash, tokens
from matchers.understand import Understood, understand
from matchers.weights import Others, Tables, default_tables
from schemas.concert import Concert
from schemas.history import Entry
from schemas.listing import Place
from schemas.weights import AliasVenue

LONGEST = 24
"""Letters of a skeleton in a key."""
MOST_WORDS = 4
MOST_MONTHS = 40
"""Of an interval: beyond three years the artist alone is asked for."""
NEAR_DAYS = 7
A_SEASON = 4
"""Months: of a longer interval whole years are asked for."""


def concert_keys(concert: Concert) -> frozenset[str]:
    """What entries find a concert by."""
    night, month = concert.night.isoformat(), _month(concert.night)
    place = concert.place
    keys = set()
    for name in names(concert.artist):
        heard = _heard(name)
        for less in _less_one(heard):
            keys |= {f"am:{less}:{month}", f"ay:{less}:{concert.night.year}"}
        keys.add(f"a:{heard}")
        keys |= {f"at:{heard}:{town}" for town in _towns_of(place)}
    keys |= {f"wm:{word}:{month}" for word in _words(concert.artist)}
    keys |= {f"aw:{word}:{town}:{concert.night.year}" for word in _words(concert.artist) for town in _towns_of(place)}
    short = initials(concert.artist)
    if len(short) > 2:
        keys.add(f"am:{short}:{month}")
        keys.add(f"nt:{night}:{short}")
    keys |= _night_keys(night, names(concert.artist)[:1], slips=1)
    keys |= {f"sy:{song}:{concert.night.year}" for song in _songs(concert.songs)}
    city = the_city(place.city, place.region, place.country)
    for point in (*_spots(place), *([(city.lat, city.lon)] if city else [])):
        row, column = cell(*point)
        keys.add(f"nc:{night}:{row},{column}")
    if known(place.city):
        keys.add(f"nn:{night}:{fold(place.city or '')}")
    if place.name:
        keys.add(f"vm:{venue_key(place.name)[:60]}:{month}")
    return frozenset(keys)


def read_entry(entry: Entry, tables: Tables) -> tuple[Understood, Others]:
    """What an entry says, and what else its artist and venue are called. A venue that is only in one town tells it."""
    told = understand(entry)
    others = tables.others(entry.user, told.artist, told.place.name)
    if told.whens:
        venues = tuple(one for one in others.venues if any(_in_use(one, when) for when in told.whens))
        others = Others(others.artists, venues)
    place = told.place
    if not (place.city or place.region or place.country or place.lat is not None):
        towns = {(one.city, one.region, one.country) for one in others.venues if one.city}
        if len(towns) == 1:
            city, region, country = towns.pop()
            place = place.model_copy(update={"city": city, "region": region, "country": country})
            told = replace(told, place=place)
    return told, others


def _in_use(name: AliasVenue, when: When) -> bool:
    return (name.since is None or name.since <= when.end) and (name.until is None or when.start <= name.until)


def entry_keys(entry: Entry, tables: Tables | None = None) -> frozenset[str]:
    """What finds an entry's concerts; empty when there is nothing to go by. The weights know other names."""
    told, others = read_entry(entry, tables or default_tables())
    keys: set[str] = set()
    nights = told.nights
    months = _months(told.whens)
    towns = _towns_of(told.place) if told.has_place else frozenset()
    around = _months(_around(told.whens))
    years = sorted({month[:4] for month in around})
    named = tuple(dict.fromkeys((*told.names, *others.artists)))
    for name in named:
        heard = _heard(name)
        short = squash(name)
        if nights:
            keys |= {f"am:{heard}:{month}" for month in around}
            # The slip in the year.
            keys |= {f"am:{heard}:{_month(_year_off(night, step))}" for night in nights for step in (-1, 1)}
        elif len(months) > A_SEASON:
            keys |= {f"ay:{less}:{year}" for year in {month[:4] for month in months} for less in _less_one(heard)}
        elif months:
            keys |= {f"am:{less}:{month}" for month in months for less in _less_one(heard)}
            if not towns:
                keys |= {f"wm:{word}:{month}" for month in months for word in _words(name)}
        keys |= {f"at:{heard}:{town}" for town in towns}
        keys |= {f"aw:{word}:{town}:{year}" for word in _words(name) for town in towns for year in years}
        if not nights and not months and not towns:
            keys.add(f"a:{heard}")
        if 2 < len(short) < 6:  # 'OMD'
            keys |= {f"am:{short}:{month}" for month in months}
    for night in nights:
        keys |= _night_keys(night.isoformat(), named, slips=2)
        keys |= {f"nc:{night.isoformat()}:{row},{column}" for row, column in _cells(told)}
        if known(told.place.city):
            keys.add(f"nn:{night.isoformat()}:{fold(told.place.city or '')}")
    # With a night and a name the other nights of the hall are none of it.
    if months and not (nights and named):
        venues = [told.place.name, *(other.name for other in others.venues)]
        keys |= {f"vm:{venue_key(venue)[:60]}:{month}" for venue in venues if venue for month in months}
    if not named:
        keys |= {f"sy:{song}:{year}" for song in _songs(sorted(told.songs)) for year in sorted({m[:4] for m in months})}
    return frozenset(keys)


MOST_SONGS = 40
"""Of a concert, in keys."""


def _songs(songs: Iterable[str]) -> frozenset[str]:
    return frozenset(skeleton(song)[:LONGEST] for song in list(songs)[:MOST_SONGS] if fold(song))


@lru_cache(maxsize=65_536)
def _heard(name: str) -> str:
    return skeleton(name)[:LONGEST]


def _night_keys(night: str, named: Iterable[str], *, slips: int) -> set[str]:
    keys = set()
    for name in named:
        keys |= {f"nt:{night}:{word}" for word in _words(name)}
        keys |= {f"nd:{night}:{less}" for less in _spelled(squash(name))}
        keys |= {f"nk:{night}:{less}" for less in _less(_heard(name)[:8], slips)}
    return keys


ENDS = 7
"""Letters of a name's start and end."""


@lru_cache(maxsize=65_536)
def _spelled(letters: str) -> frozenset[str]:
    """Of two slips in a long name at least one end has no more than one, and one slip shares a key (FastSS)."""
    starts = _less_one(letters[:ENDS])
    if len(letters) < ENDS:
        return starts
    return starts | {f"${less}" for less in _less_one(letters[-ENDS:])}


@lru_cache(maxsize=65_536)
def _words(name: str) -> frozenset[str]:
    """The longest words, as heard."""
    words = sorted(
        {word for word in tokens(name) if len(word) > 2 or len(tokens(name)) == 1}, key=lambda w: (-len(w), w)
    )
    return frozenset(skeleton(word)[:LONGEST] for word in words[:MOST_WORDS])


def _less_one(heard: str) -> frozenset[str]:
    """Itself and all that a lost letter makes of it: two that are one edit apart share one (FastSS)."""
    return _less(heard[:12], 1)


@lru_cache(maxsize=65_536)
def _less(heard: str, slips: int) -> frozenset[str]:
    """What is left of sounds when up to so many go, two of them at least.

    A concert gives one up and an entry two: a sound put in and another changed are found, and the vowels are no matter.
    """
    return frozenset(
        "".join(sound for index, sound in enumerate(heard) if index not in gone)
        for count in range(slips + 1)
        for gone in combinations(range(len(heard)), count)
        if len(heard) - count > 1 or not count
    )


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
    return tuple((city.lat, city.lon) for city in cities(place.city, place.region, place.country)[:6])


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
