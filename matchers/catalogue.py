"""Concerts as columns: what a batch of entries is compared with, without a loop over pairs.

Columns hold codes of unique artists, places and songs, so that text is read once for each, however many concerts share
it. An index finds rows by the keys of `matchers.candidates`.
"""

import re
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import cos, radians, sin
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from matchers.candidates import concert_keys
from matchers.places import cities, known, the_city, venue_key, venue_words
from matchers.text import fold, initials, letters, names, squash, tokens, without_qualifiers
from matchers.weights import Tables
from schemas.concert import Concert
from schemas.listing import Place, StartPrecision, Status

Rows = NDArray[np.int64]
Codes = NDArray[np.int32]

WORDS = 12
"""Of a name, in its column: beyond, only spelling tells."""
TOWNS = 3
"""That a place can be in, by its town's name."""


class Vocabulary:
    """Texts and their codes, in the order in which they were met."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._codes: dict[str, int] = {}

    def code(self, text: str) -> int:
        """The text's code, a new one when it is new."""
        held = self._codes.get(text)
        if held is None:
            held = self._codes[text] = len(self.texts)
            self.texts.append(text)
        return held

    def known(self, texts: Iterable[str]) -> list[int]:
        """The codes of those that were met."""
        return [self._codes[text] for text in texts if text in self._codes]

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class Words:
    """The words of names, as a table of codes: a row a name, -1 where it has no more."""

    vocabulary: Vocabulary
    table: Codes

    def codes(self, asked: Sequence[Sequence[str]]) -> Codes:
        """The words of what was typed as a table of codes: -2 where there is no more, or no name has the word."""
        rows = [self.vocabulary.known(dict.fromkeys(words))[:MOST_TYPED] for words in asked]
        table = np.full((len(rows), max(1, max(map(len, rows)))), -2, dtype=np.int32)
        for number, row in enumerate(rows):
            table[number, : len(row)] = row
        return table

    def sharing(self, typed: Codes, entry: Rows, codes: Rows) -> NDArray[np.bool_]:
        """Of each pair of typed words and a name: whether they have one in common."""
        found = np.zeros(len(codes), dtype=np.bool_)
        held = self.table[codes]
        for column in range(typed.shape[1]):
            found |= (held == typed[entry, column, None]).any(axis=1)
        return found


MOST_TYPED = 24
"""Words of what was typed that are looked for, of those that any name has."""


def _words(rows: Sequence[Collection[str]]) -> Words:
    vocabulary = Vocabulary()
    table = np.full((len(rows), WORDS), -1, dtype=np.int32)
    for row, words in enumerate(rows):
        for column, word in enumerate(list(words)[:WORDS]):
            table[row, column] = vocabulary.code(word)
    return Words(vocabulary, table)


@lru_cache(maxsize=65_536)
def artist_words(name: str) -> tuple[str, ...]:
    """What two names must share one of to be related: a word, or one's initials being the other."""
    said = dict.fromkeys(word for one in names(name) for word in tokens(one))
    short = initials(name)
    every = "".join(word[0] for word in re.findall(r"\w+", name.casefold()))
    shorts = dict.fromkeys(f"={one}" for one in (short, every) if len(one) > 2)
    return (*said, *shorts, f"={squash(name)}", f"={squash(without_qualifiers(name))}")


def place_words(name: str | None) -> tuple[str, ...]:
    """The words of a venue's name."""
    return tuple(dict.fromkeys(venue_words(name))) if name else ()


class Catalogue:
    """Concerts, one row each, in the order given."""

    def __init__(self, concerts: Iterable[Concert]) -> None:
        self.concerts = list(concerts)
        size = len(self.concerts)
        self.night: Codes = np.fromiter((one.night.toordinal() for one in self.concerts), np.int32, size)
        artists = Vocabulary()
        self.artist: Codes = np.fromiter((artists.code(one.artist) for one in self.concerts), np.int32, size)
        self.artists = artists.texts
        codes: dict[tuple[Place, str], int] = {}
        self.place: Codes = np.fromiter(
            (codes.setdefault((one.place, fold(one.festival or "")), len(codes)) for one in self.concerts),
            np.int32,
            size,
        )
        self.places = [place for place, _ in codes]
        self.festivals = _objects([festival for _, festival in codes])
        """Folded, of each place: where people name the festival for the hall."""
        self.cancelled: NDArray[np.bool_] = np.fromiter(
            (one.status is Status.CANCELLED for one in self.concerts), np.bool_, size
        )

        self._town_bits: tuple[Tables, NDArray[np.float64]] | None = None
        self._venue_bits: tuple[Tables, NDArray[np.float64]] | None = None

    def __len__(self) -> int:
        return len(self.concerts)

    @cached_property
    def order(self) -> Rows:
        """Rank by night and id: how equal candidates fall, whatever the order they came in."""
        ids = sorted(range(len(self)), key=lambda row: (self.night[row], self.concerts[row].concert_id.int))
        rank = np.empty(len(self), dtype=np.int64)
        rank[ids] = np.arange(len(self))
        return rank

    # -- artists ------------------------------------------------------------------------------------------------------

    @cached_property
    def squashed(self) -> NDArray[np.object_]:
        """Of each artist."""
        return _objects([squash(name) for name in self.artists])

    @cached_property
    def lettered(self) -> NDArray[np.object_]:
        """Of each artist: with its articles."""
        return _objects([letters(name) for name in self.artists])

    @cached_property
    def with_article(self) -> NDArray[np.bool_]:
        """Artists whose articles or joining words `squashed` leaves out."""
        return np.array([a != b for a, b in zip(self.squashed, self.lettered, strict=True)], dtype=np.bool_)

    @cached_property
    def length(self) -> Rows:
        """Letters of each, squashed."""
        return np.array([len(name) for name in self.squashed], dtype=np.int64)

    @cached_property
    def artist_words(self) -> Words:
        """Of each artist."""
        return _words([artist_words(name) for name in self.artists])

    # -- places -------------------------------------------------------------------------------------------------------

    @cached_property
    def spots(self) -> NDArray[np.float64]:
        """Points on the unit sphere (n, 4, 3), 0 where there is none: its own, then those of its town by name."""
        table = np.zeros((len(self.places), 1 + TOWNS, 3))
        for row, place in enumerate(self.places):
            if place.lat is not None and place.lon is not None:
                table[row, 0] = unit((place.lat, place.lon))
            for column, city in enumerate(cities(place.city, place.region, place.country)[:TOWNS], 1):
                table[row, column] = unit((city.lat, city.lon))
        return table

    @cached_property
    def pinned(self) -> NDArray[np.bool_]:
        """Places with coordinates of their own."""
        return np.array([place.lat is not None for place in self.places], dtype=np.bool_)

    @cached_property
    def in_towns(self) -> NDArray[np.bool_]:
        """Places in a town of the gazetteer."""
        return np.asarray(self.spots[:, 1:].any(axis=(1, 2)))

    @cached_property
    def located(self) -> NDArray[np.bool_]:
        """Places that are nowhere else than in `spots`."""
        return np.array(
            [
                place.lat is not None or 0 < len(cities(place.city, place.region, place.country)) <= TOWNS
                for place in self.places
            ],
            dtype=np.bool_,
        )

    @cached_property
    def towns(self) -> NDArray[np.object_]:
        """The folded town of each place, '' where unknown."""
        return _objects([fold(known(place.city) or "") for place in self.places])

    def town_bits(self, tables: Tables) -> NDArray[np.float64]:
        """What an agreement on the town of each place is worth."""
        if self._town_bits is None or self._town_bits[0] is not tables:
            bits = np.array([tables.town(*town_of(place)) for place in self.places])
            self._town_bits = tables, bits
        return self._town_bits[1]

    def venue_bits(self, tables: Tables) -> NDArray[np.float64]:
        """What an agreement on the venue of each place is worth beyond the usual: a hall that few use says more."""
        if self._venue_bits is None or self._venue_bits[0] is not tables:
            bits = np.array(
                [tables.venue_frequency(hall) if (hall := hall_of(place)) else 0.0 for place in self.places]
            )
            self._venue_bits = tables, bits
        return self._venue_bits[1]

    @cached_property
    def venues(self) -> NDArray[np.object_]:
        """The venue key of each place, '' where unknown."""
        return _objects([venue_key(known(place.name) or "") for place in self.places])

    @cached_property
    def venue_words(self) -> Words:
        """Of each place."""
        return _words([place_words(known(place.name)) for place in self.places])

    # -- songs, hour, status ------------------------------------------------------------------------------------------

    @cached_property
    def songs(self) -> tuple[Rows, Codes, list[str]]:
        """Where each row's songs start (n + 1), their codes, and the folded songs."""
        vocabulary = Vocabulary()
        starts = np.zeros(len(self) + 1, dtype=np.int64)
        flat = array("i")
        for row, concert in enumerate(self.concerts):
            flat.extend(vocabulary.code(fold(song)) for song in concert.songs)
            starts[row + 1] = len(flat)
        return starts, np.array(flat, dtype=np.int32), vocabulary.texts

    @cached_property
    def minute(self) -> Codes:
        """Local minute of the day at which each began; -1 where not known to the minute."""
        return np.fromiter((_minute(one) for one in self.concerts), np.int32, len(self))

    @cached_property
    def standing(self) -> Codes:
        """0 stands, 1 postponed, 2 announced once and shown by no source any more."""
        return np.fromiter((_standing(one) for one in self.concerts), np.int32, len(self))

    # -- what finds what ----------------------------------------------------------------------------------------------

    @cached_property
    def index(self) -> "Index":
        """Rows by key."""
        return Index(concert_keys(one) for one in self.concerts)


@lru_cache(maxsize=65_536)
def town_of(place: Place) -> tuple[str, int | None]:
    """How frequencies name its town, by the gazetteer where it knows it, and its people: 'porto,PT'."""
    city = the_city(place.city, place.region, place.country)
    if city is None:
        return f"{fold(place.city or '')},{place.country or ''}", None
    return f"{fold(city.name)},{city.country}", city.population


def hall_of(place: Place) -> str | None:
    """How frequencies name its venue: 'fillmorewest@san francisco,US'; None where venue or town is not known."""
    if not (known(place.name) and known(place.city)):
        return None
    return f"{venue_key(place.name or '')}@{town_of(place)[0]}"


def _objects(texts: list[str]) -> NDArray[np.object_]:
    column = np.empty(len(texts), dtype=np.object_)
    column[:] = texts
    return column


def unit(spot: tuple[float, float]) -> tuple[float, float, float]:
    """Latitude and longitude in degrees -> a point on the unit sphere."""
    lat, lon = radians(spot[0]), radians(spot[1])
    return cos(lat) * cos(lon), cos(lat) * sin(lon), sin(lat)


def _minute(concert: Concert) -> int:
    if concert.start_at is None or concert.start_precision is not StartPrecision.MINUTE:
        return -1
    local = concert.start_at.astimezone(ZoneInfo(concert.place.tz)) if concert.place.tz else concert.start_at
    return local.hour * 60 + local.minute


def _standing(concert: Concert) -> int:
    if concert.status is Status.POSTPONED:
        return 1
    return 2 if concert.vanished and concert.status is Status.ANNOUNCED else 0


BUCKET_BITS = 20


class Index:
    """Rows by key, held as two columns: 30 keys of a million concerts are 360 MB, as a dict of lists ten times that."""

    def __init__(self, keyed: Iterable[Iterable[str]]) -> None:
        hashes, rows = array("q"), array("i")
        for row, keys in enumerate(keyed):
            for key in keys:
                hashes.append(hash(key))
                rows.append(row)
        hashed = np.array(hashes, dtype=np.int64)
        order = np.argsort(hashed, kind="stable")
        hashed = hashed[order]
        self._rows = np.array(rows, dtype=np.int32)[order]
        starts = np.flatnonzero(np.diff(hashed, prepend=hashed[:1] - 1))
        self._hashes = hashed[starts]
        self._starts = np.append(starts, len(hashed))
        # Where the hashes with the same first bits begin: few steps of a search, each a trip to memory, are left.
        firsts = np.arange(-(1 << (BUCKET_BITS - 1)), 1 << (BUCKET_BITS - 1), dtype=np.int64) << (64 - BUCKET_BITS)
        self._buckets = np.append(np.searchsorted(self._hashes, firsts), len(self._hashes))

    def rows(self, keys: Iterable[str], most: int) -> tuple[Rows, int]:
        """Rows that have one of the keys, ascending, and how many keys were left out; see `fewest_first`."""
        asked = sorted(set(keys))
        hashed = np.array([hash(key) for key in asked], dtype=np.int64)
        bucket = (hashed >> (64 - BUCKET_BITS)) + (1 << (BUCKET_BITS - 1))
        low, high = self._buckets[bucket], self._buckets[bucket + 1]
        held = {}
        for number in np.flatnonzero(high > low).tolist():
            part = self._hashes[low[number] : high[number]]
            place = int(part.searchsorted(hashed[number]))
            if place < len(part) and part[place] == hashed[number]:
                place += int(low[number])
                held[asked[number]] = self._rows[self._starts[place] : self._starts[place + 1]]
        if sum(map(len, held.values())) <= most:
            if not held:
                return np.empty(0, dtype=np.int64), 0
            return np.unique(np.concatenate(list(held.values()))).astype(np.int64), 0
        rows, left = fewest_first({key: column.tolist() for key, column in held.items()}, most)
        return np.array(sorted(rows), dtype=np.int64), left


def fewest_first(held: Mapping[str, Sequence[int]], most: int) -> tuple[set[int], int]:
    """Rows of the keys that fewest share, until a key would go beyond `most`; and how many keys were left out."""
    rows: set[int] = set()
    for done, key in enumerate(sorted(held, key=lambda key: (len(held[key]), key))):
        if len(held[key]) > most or len(rows) + len(held[key]) > most:
            return rows, len(held) - done
        rows.update(held[key])
    return rows, 0
