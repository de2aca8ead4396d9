"""What an entry says, read once: names it can mean, nights it can mean, where, songs, hour."""

import re
from dataclasses import dataclass, replace
from datetime import date, time, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache

from matchers.dates import DAWN, LONGEST_DATE, Order, Precision, When, clock, readings, take_weekday, zone
from matchers.places import known, read_place, the_city, time_zone
from matchers.text import clean, fold, names
from schemas.history import Remembered
from schemas.listing import Place

SHORT = 7
"""Nights: an interval up to this long is looked up night by night."""


class Show(StrEnum):
    """Which of two shows on one night."""

    EARLY = "early"
    LATE = "late"


@dataclass(frozen=True)
class Understood:
    """An entry as the matcher takes it."""

    artist: str | None
    names: tuple[str, ...]
    """The artist as typed, then the names that may be in it."""
    whens: tuple[When, ...]
    """Readings of the date; any of them may be meant."""
    place: Place
    """With the country as a code; `lat`, `lon` only as the entry gives them."""
    songs: frozenset[str]
    """Folded."""
    hour: time | None
    weekday: bool = False
    """The weekday was typed, and is that of the date."""
    show: Show | None = None
    """As typed: 'late show', 'matinée'."""

    @cached_property
    def nights(self) -> tuple[date, ...]:
        """Each night, where the date is known to a few."""
        if not self.whens or sum(when.days for when in self.whens) > SHORT:
            return ()
        return tuple(sorted({when.start + timedelta(days=step) for when in self.whens for step in range(when.days)}))

    @property
    def has_place(self) -> bool:
        """Whether it says where, finer than a region."""
        return bool(self.place.city or self.place.name or self.place.lat is not None)

    @property
    def says_nothing(self) -> bool:
        """No artist, and no time and place, or time and songs, that could stand for one."""
        return not self.names and not (self.whens and (self.has_place or self.songs))


def understand(entry: Remembered, order: Order | None = None) -> Understood:
    """The entry's own words, read. `order`: of the numbers in its file's dates, where the whole column tells."""
    return _understand(
        entry.artist,
        entry.date,
        entry.venue,
        entry.city,
        entry.region,
        entry.country,
        entry.lat,
        entry.lon,
        entry.time,
        entry.songs,
        entry.note,
        order or (Order(entry.date_order) if entry.date_order else None),
    )


@lru_cache(maxsize=4_096)
def _understand(
    artist: str | None,
    when: str | None,
    venue: str | None,
    city: str | None,
    region: str | None,
    country: str | None,
    lat: float | None,
    lon: float | None,
    hour: str | None,
    songs: tuple[str, ...],
    note: str | None,
    order: Order | None,
) -> Understood:
    artist = known(_tidy(artist))
    place = read_place(
        name=_tidy(venue), city=_tidy(city), region=_tidy(region), country=_tidy(country), lat=lat, lon=lon
    )
    told = clock(hour) if hour else None
    whens: tuple[When, ...] = ()
    if when:
        tz = time_zone(place) if _INSTANT.search(when) else None
        years = _years(note or "")
        whens = readings(when, _southern(place), order, years, zone(tz) if tz else None)
    if told is not None and told < DAWN:
        # After midnight: the night may be the one before.
        whens = tuple(
            replace(one, start=one.start - timedelta(days=1)) if one.precision is Precision.DAY else one
            for one in whens
        )
    return Understood(
        artist=artist,
        names=names(artist) if artist else (),
        whens=whens,
        place=place,
        songs=frozenset(fold(song) for song in songs if fold(song)),
        hour=told,
        weekday=bool(whens) and not any(one.doubt for one in whens) and _says_weekday(when or ""),
        show=_show(when, hour, *_ASIDE.findall(f"{artist or ''} ; {venue or ''}")),
    )


_INSTANT = re.compile(r"\d(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})\s*$")
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_SHOW = re.compile(
    r"\b(?:(early|first|1st|matin[ée]e|afternoon)|(late|second|2nd)) (?:show|set|performance)\b", re.IGNORECASE
)
_ASIDE = re.compile(r"[(\[][^()\[\]]{,40}[)\]]|\s[-–]\s[^;]{,40}")
"""What stands beside a name: 'Miles Davis (late show)', but not 'The Late Show Band'."""
_MATINEE = re.compile(r"\bmatin[ée]e\b", re.IGNORECASE)


def _years(text: str) -> tuple[int, ...]:
    """Years that a text names: what a date without one may mean."""
    return tuple(sorted({int(year) for year in _YEAR.findall(text[:2_000])}))


def _says_weekday(when: str) -> bool:
    return len(when) <= LONGEST_DATE and take_weekday(when)[0] is not None


def _show(*texts: str | None) -> Show | None:
    """Early or late, where exactly one of them is typed."""
    told = set()
    for text in texts:
        if text and _MATINEE.search(text):
            told.add(Show.EARLY)
        for found in _SHOW.finditer(text or ""):
            told.add(Show.EARLY if found[1] else Show.LATE)
    return told.pop() if len(told) == 1 else None


def _tidy(text: str | None) -> str | None:
    return (clean(text) or None) if text else None


_SOUTH = frozenset(
    ["AU", "NZ", "ZA", "AR", "CL", "UY", "PY", "BR", "BO", "PE", "NA", "BW", "ZW", "MZ", "MG", "LS", "SZ"]
)


def _southern(place: Place) -> bool:
    if place.lat is not None:
        return place.lat < 0
    if place.country:
        return place.country in _SOUTH
    city = the_city(place.city, place.region, None)
    return city is not None and city.lat < 0
