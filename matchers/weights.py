"""How much each agreement between an entry and a concert is worth, and the thresholds of an answer.

Unit    bits, log2(m/u): they add; 10 bits are odds of about 1000 to 1
Source  weights.json beside this module, written by `gigz calibrate`; its `source` names data, pairs and date
Model   Fellegi & Sunter 1969, doi:10.1080/01621459.1969.10501049; frequencies of values after Winkler 1989
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from math import log2
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from matchers.places import venue_key
from matchers.text import fold
from schemas.message import MessageError, message_error
from schemas.weights import AliasVenue, Method, Names, Weights

NIGHTS = 10_000
"""u of one night is its inverse: 27 years of evenings."""

# Levels of each field, best first; their order is their code in columns.
ARTIST = ("exact", "alias", "part", "close", "similar", "faint", "related", "different", "tribute")
DATE = ("same", "reading", "within", "edge", "day-off", "days-off", "year-off", "swapped", "month-off", "other")
TOWN = ("same", "suburb", "other", "far")
REGION = ("same", "different")
COUNTRY = ("same", "different")
DISTANCE = ("within-2", "within-10", "within-40", "within-150", "far")
RINGS = (2.0, 10.0, 40.0, 150.0)
"""Kilometres up to."""
VENUE = ("same", "alias", "part", "room", "similar", "different")
SONG = ("played", "missing")
TIME = ("near", "apart", "far")
STATUS = ("stands", "postponed", "vanished")

FIELDS: Mapping[str, tuple[str, ...]] = {
    "artist": ARTIST,
    "date": DATE,
    "city": TOWN,
    "region": REGION,
    "country": COUNTRY,
    "distance": DISTANCE,
    "venue": VENUE,
    "venue-alone": VENUE,
    "song": SONG,
    "time": TIME,
    "status": STATUS,
}
"""`venue` where the place around it was compared already, `venue-alone` where it was not."""

SURE, LIKELY, POSSIBLE = 0.99, 0.8, 0.3
SURE_MARGIN = 6.0
"""Bits to the second."""
OFF_NIGHT_MOST = 0.35
"""Confidence of a concert on a night that was not typed, so that it never reads better than possible."""
SHOWN_BESIDE = 0.02
"""Of the set's further members, where the set as a whole is likelier than not."""
WEEKDAY = 4.0
"""Bits against a neighbouring night where the weekday was typed and agrees: one slip in 16 hits both. Assumed."""
SAME_RUN = 14.0
"""Bits: another night of the same artist in the same place is worth no less, a few days off against none."""
SONGS_MOST = 10.0
"""Bits for or against, however many songs: they hang together."""
SETLIST_COMPLETE = 8
"""Songs: a shorter list may lack what was played."""
MOST_CANDIDATES = 5_000
"""Compared for one entry; the keys that fewest concerts share come first."""


@dataclass(frozen=True)
class Others:
    """What else an entry's artist and venue are called."""

    artists: tuple[str, ...] = ()
    venues: tuple[AliasVenue, ...] = ()


NO_OTHERS = Others()


class Tables:
    """Weights as columns of bits: `bits[field][code]`."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.bits: dict[str, NDArray[np.float64]] = {
            field: np.array([log2(weights.levels[field][name].m / weights.levels[field][name].u) for name in names])
            for field, names in FIELDS.items()
        }
        self._beside = Names()

    def knowing(self, names: Names) -> Self:
        """The same weights, which know these names too: reference data, no part of the version."""
        tables = copy(self)
        tables._beside = names
        return tables

    def others(self, user: str, artist: str | None, venue: str | None) -> Others:
        """Other names of what this user typed: everybody's, and the user's own."""
        books = [self.weights.names, self._beside]
        if user in self.weights.users:
            books.append(self.weights.users[user])
        artists = [name for book in books for name in book.artists.get(fold(artist or ""), ())]
        venues = [other for book in books for other in book.venues.get(venue_key(venue or ""), ())]
        return Others(tuple(dict.fromkeys(artists)), tuple(dict.fromkeys(venues)))

    @property
    def version(self) -> str:
        """Travels with every suggestion."""
        return self.weights.version

    @cached_property
    def date_within(self) -> float:
        """How often the night is within what was typed, where that is an interval."""
        return self.weights.levels["date"]["within"].m

    @cached_property
    def date_edge(self) -> float:
        """How often it lies just outside."""
        return self.weights.levels["date"]["edge"].m

    def artist_frequency(self, folded: str) -> float:
        """Bits that an agreement on this artist is worth less than on a rare one: 0 or negative."""
        return self._rarer(self.weights.frequencies.artists.get(folded), "artist")

    def _rarer(self, share: float | None, field: str) -> float:
        u = self.weights.levels[field][FIELDS[field][0]].u
        return 0.0 if share is None or share <= u else log2(u / share)

    def town(self, town: str, people: int | None) -> float:
        """Bits of an agreement on this town ('porto,PT'): by how often it was counted, else by its size."""
        level = self.weights.levels["city"]["same"]
        share = self.weights.frequencies.towns.get(town)
        if share is None and people is not None:
            share = next((share for least, share in self.weights.frequencies.sizes if people >= least), None)
        return log2(level.m / (level.u if share is None else share))

    def venue_frequency(self, venue: str) -> float:
        """Bits that a match on this venue ('fillmorewest@san francisco,US') is worth beyond the usual."""
        share = self.weights.frequencies.venues.get(venue)
        return 0.0 if share is None else log2(self.weights.levels["venue"]["same"].u / share)

    def calibrated(self, odds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log2 odds as fitted on held-out answers."""
        calibration = self.weights.calibration
        if calibration.method is Method.PLATT:
            return calibration.slope * odds + calibration.shift
        if calibration.method is Method.ISOTONIC:
            return np.interp(odds, calibration.x, calibration.y)
        return odds


def read_weights(body: bytes) -> Tables:
    """The weights in these bytes. MessageError names what is wrong or missing: 'levels.artist.exact'."""
    try:
        weights = Weights.model_validate_json(body)
    except ValidationError as error:
        raise message_error(error) from error
    missing = [
        f"levels.{field}.{name}"
        for field, names in FIELDS.items()
        for name in names
        if name not in weights.levels.get(field, {})
    ]
    if missing:
        raise MessageError(
            "missing_field", f"{', '.join(missing[:5])}: the matcher needs it. Remedy: `gigz calibrate`."
        )
    return Tables(weights)


@lru_cache(maxsize=1)
def default_tables() -> Tables:
    """The weights that Gigz ships."""
    return read_weights(files("matchers").joinpath("weights.json").read_bytes())
