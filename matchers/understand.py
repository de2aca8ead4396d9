"""What an entry says, read once: names it can mean, nights it can mean, where, songs, hour."""

from dataclasses import dataclass
from datetime import date, time, timedelta
from functools import cached_property, lru_cache

from matchers.dates import DAWN, Precision, When, clock, readings
from matchers.places import country_code, known, the_city
from matchers.text import clean, fold, names
from schemas.history import Remembered
from schemas.listing import Place

SHORT = 7
"""Nights: an interval up to this long is looked up night by night."""


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
        """No artist, and no time and place that could stand for one."""
        return not self.names and not (self.whens and self.has_place)


def understand(entry: Remembered) -> Understood:
    """The entry's own words, read."""
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
) -> Understood:
    artist = known(_tidy(artist))
    place = Place(
        name=known(_tidy(venue)),
        city=known(_tidy(city)),
        region=known(_tidy(region)),
        country=country_code(_tidy(country)),
        lat=lat if lon is not None else None,
        lon=lon if lat is not None else None,
    )
    told = clock(hour) if hour else None
    whens = readings(when, _southern(place)) if when else ()
    if told is not None and told < DAWN:
        # After midnight: the night may be the one before.
        whens = tuple(
            When(one.start - timedelta(days=1), one.end, Precision.DAY) if one.precision is Precision.DAY else one
            for one in whens
        )
    return Understood(
        artist=artist,
        names=names(artist) if artist else (),
        whens=whens,
        place=place,
        songs=frozenset(fold(song) for song in songs if fold(song)),
        hour=told,
    )


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
