"""What speaks for and against a pair of an entry and a concert, in bits, each with a level and words for people.

An entry is compared with many rows of a catalogue at once: every field gives each row a level (its code in
`weights.FIELDS`) and bits. What one side does not say is worth nothing either way: level -1, 0 bits. Names are compared
once for each unique text; only those that are near by spelling, or share a word, are looked at one by one.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import OSA, JaroWinkler
from rapidfuzz.process import cdist, cpdist

from matchers import weights as w
from matchers.catalogue import Catalogue, Codes, Rows, artist_words, place_words, unit
from matchers.dates import Precision, When
from matchers.places import (
    SAME_TOWN_KM,
    SUBURB_KM,
    Near,
    SameVenue,
    distance_km,
    points,
    region_code,
    town_relation,
    venue_key,
    venue_relation,
)
from matchers.text import (
    edits,
    fold,
    initials,
    is_tribute,
    letters,
    names,
    similarity,
    squash,
    tokens,
    without_qualifiers,
)
from matchers.understand import Show, Understood
from matchers.weights import Others, Tables
from schemas.concert import Concert
from schemas.listing import Place
from schemas.weights import AliasVenue

Bits = NDArray[np.float64]

_ARTIST = {name: code for code, name in enumerate(w.ARTIST)}
_DATE = {name: code for code, name in enumerate(w.DATE)}
_VENUE = {name: code for code, name in enumerate(w.VENUE)}


@dataclass(frozen=True, slots=True)
class Piece:
    """One field's evidence. `level` is its class: what a signature is made of."""

    field: str
    level: str
    bits: float
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """An entry as read, and the rows it is compared with."""

    told: Understood
    others: Others
    rows: Rows


@dataclass(frozen=True)
class Compared:
    """Entries against rows of a catalogue, pair by pair: levels and bits by field, and what they come to."""

    asked: Sequence[Asked]
    catalogue: Catalogue
    tables: Tables
    entry: Rows
    """Of each pair: which of `asked`."""
    rows: Rows
    starts: Rows
    """Where the pairs of each entry start; one more than entries."""
    levels: dict[str, Codes]
    bits: dict[str, Bits]
    total: Bits
    timely: NDArray[np.bool_]
    """The night is one that was typed; without a date every night is."""

    def told(self, pair: int) -> Understood:
        """What the entry of a pair says."""
        return self.asked[int(self.entry[pair])].told

    def concert(self, pair: int) -> Concert:
        """The concert of a pair."""
        return self.catalogue.concerts[int(self.rows[pair])]

    def signature(self, pair: int) -> str:
        """The levels of one pair, as text: the same as long as nothing changed that matters."""
        return ";".join(f"{field}={level}" for field, level in self._said(pair))

    def _said(self, pair: int) -> Iterator[tuple[str, str]]:
        for field, codes in self.levels.items():
            code = int(codes[pair])
            if code >= 0:
                yield field, f"{code // 64}/{code % 64}" if field == "songs" else w.FIELDS[field][code]

    def pieces(self, pair: int) -> list[Piece]:
        """The evidence of one pair, for people."""
        told, concert = self.told(pair), self.concert(pair)
        pieces = []
        for field, level in self._said(pair):
            if field == "artist":
                text = _artist_text(level, told.artist or "", concert.artist)
            elif field == "date":
                text = _date_text(level, told.whens, concert.night)
            elif field == "songs":
                text = _songs_text(level)
            elif field == "time":
                minute = int(self.catalogue.minute[self.rows[pair]])
                text = f"began at {minute // 60:02}:{minute % 60:02}"
            elif field == "status":
                text = "this night was postponed" if level == "postponed" else "no source lists it any more"
            else:
                text = _place_text(field, level, told.place, concert.place, concert.festival)
            name = "venue" if field == "venue-alone" else field
            pieces.append(Piece(name, level, float(self.bits[field][pair]), text[:500]))
        pieces.append(Piece("prior", "prior", self.tables.weights.prior, "one of about a million concerts"))
        return pieces


def compare(asked: Sequence[Asked], catalogue: Catalogue, tables: Tables) -> Compared:
    """All that can be compared of these entries and their rows, in columns over all pairs."""
    starts = np.zeros(len(asked) + 1, dtype=np.int64)
    np.cumsum([len(one.rows) for one in asked], out=starts[1:])
    rows = np.concatenate([one.rows for one in asked]) if len(asked) else np.zeros(0, dtype=np.int64)
    entry = np.repeat(np.arange(len(asked)), np.diff(starts))
    levels: dict[str, Codes] = {}
    bits: dict[str, Bits] = {}
    timely = np.ones(len(rows), dtype=np.bool_)
    if len(rows):
        timely = _compare(asked, catalogue, tables, entry, rows, levels, bits)
    total = np.full(len(rows), tables.weights.prior)
    for worth in bits.values():
        total += worth
    return Compared(asked, catalogue, tables, entry, rows, starts, levels, bits, total, timely)


def _compare(
    asked: Sequence[Asked],
    catalogue: Catalogue,
    tables: Tables,
    entry: Rows,
    rows: Rows,
    levels: dict[str, Codes],
    bits: dict[str, Bits],
) -> NDArray[np.bool_]:
    told = [one.told for one in asked]
    timely = np.ones(len(rows), dtype=np.bool_)
    named = _where([one.artist is not None for one in told], entry)
    if len(named):
        unique, inverse = _unique(entry[named], catalogue.artist[rows[named]], len(catalogue.artists))
        columns = _artists(asked, catalogue, *unique, tables)
        _spread(levels, bits, "artist", named, inverse, columns, len(rows))
    dated = _where([bool(one.whens) for one in told], entry)
    if len(dated):
        level, worth, inside = _dates([one.whens for one in told], entry[dated], catalogue.night[rows[dated]], tables)
        # Who typed the weekday, too, is hardly a day off: both would have to slip alike.
        checked = np.array([one.weekday for one in told], dtype=np.bool_)[entry[dated]]
        worth[checked & np.isin(level, (_DATE["day-off"], _DATE["days-off"]))] -= w.WEEKDAY
        _spread(levels, bits, "date", dated, slice(None), (level, worth), len(rows))
        timely[dated] = inside
    placed = _where([_says_where(one.place) for one in told], entry)
    if len(placed):
        unique, inverse = _unique(entry[placed], catalogue.place[rows[placed]], len(catalogue.places))
        for field, columns in _places(asked, catalogue, *unique, tables).items():
            _spread(levels, bits, field, placed, inverse, columns, len(rows))
    for number in np.flatnonzero([bool(one.songs) for one in told]):
        at = np.flatnonzero(entry == number)
        _spread(levels, bits, "songs", at, slice(None), _songs(told[number], catalogue, rows[at], tables), len(rows))
    timed = _where([_minute(one) >= 0 for one in told], entry)
    if len(timed):
        minutes = np.array([_minute(one) for one in told])
        columns = _times(minutes[entry[timed]], catalogue.minute[rows[timed]], tables)
        _spread(levels, bits, "time", timed, slice(None), columns, len(rows))
    standing = catalogue.standing[rows]
    if standing.any():
        at = np.flatnonzero(standing)
        _spread(levels, bits, "status", at, slice(None), (standing[at], tables.bits["status"][standing[at]]), len(rows))
    return timely


def _where(flags: Sequence[bool], entry: Rows) -> Rows:
    """The pairs whose entry has the flag."""
    return np.flatnonzero(np.array(flags, dtype=np.bool_)[entry])


def _unique(entry: Rows, codes: Codes, size: int) -> tuple[tuple[Rows, Rows], Rows]:
    """Each pair of an entry and a code once, and which of them each pair is."""
    keys, inverse = np.unique(entry * size + codes, return_inverse=True)
    return (keys // size, keys % size), inverse


def _spread(
    levels: dict[str, Codes],
    bits: dict[str, Bits],
    field: str,
    at: Rows,
    inverse: Rows | slice,
    columns: tuple[Codes, Bits],
    size: int,
) -> None:
    """Columns of unique pairs, as columns of all: -1 and 0 bits where there is nothing to compare."""
    level, worth = columns
    if not (level >= 0).any():
        return
    if field not in levels:
        levels[field], bits[field] = np.full(size, -1, dtype=np.int32), np.zeros(size)
    levels[field][at], bits[field][at] = level[inverse], worth[inverse]


def _says_where(place: Place) -> bool:
    return place.lat is not None or bool(place.city or place.name or place.region or place.country)


# -- artist -----------------------------------------------------------------------------------------------------------

START = 0.8
"""Jaro-Winkler, which looks at the start: 'Zigy Marlley' and 'Ziggy Marley and the Melody Makers' are .86."""
NEAR = 0.5
"""Spelling below which two names without a word in common are not looked at one by one."""


def _artists(
    asked: Sequence[Asked], catalogue: Catalogue, entry: Rows, codes: Rows, tables: Tables
) -> tuple[Codes, Bits]:
    names_ = [one.told.artist or "" for one in asked]
    squashed, lettered = [squash(name) for name in names_], [letters(name) for name in names_]
    near = _spelled(squashed, entry, catalogue.squashed[codes], NEAR) > 0
    # Only where the articles make a difference, and only where one name is the longer: the rest was compared above.
    told = np.array([a != b for a, b in zip(squashed, lettered, strict=True)], dtype=np.bool_)
    at = np.flatnonzero(~near & (told[entry] | catalogue.with_article[codes]))
    near[at] = _spelled(lettered, entry[at], catalogue.lettered[codes[at]], NEAR) > 0
    length = np.array([len(name) for name in squashed], dtype=np.int64)
    at = np.flatnonzero(~near & (np.abs(length[entry] - catalogue.length[codes]) > SLIPS))
    near[at] = _spelled(squashed, entry[at], catalogue.squashed[codes[at]], START, JaroWinkler) > 0
    words = catalogue.artist_words
    near |= words.sharing(words.codes([_typed_words(one) for one in asked]), entry, codes)
    level = np.full(len(codes), _ARTIST["different"], dtype=np.int32)
    worth = tables.bits["artist"][level]
    bits = tables.bits["artist"]
    for index, number, code in zip(
        np.flatnonzero(near).tolist(), entry[near].tolist(), codes[near].tolist(), strict=True
    ):
        artist = catalogue.artists[code]
        name = artist_level(names_[number], artist)
        others = asked[number].others.artists
        if others and name not in ("exact", "tribute") and any(squash(other) == squash(artist) for other in others):
            name = "alias"
        level[index] = _ARTIST[name]
        worth[index] = bits[_ARTIST[name]]
        if name in ("exact", "alias"):
            worth[index] += tables.artist_frequency(fold(artist)) + (SHORT_NAME if len(squash(artist)) <= 3 else 0.0)
    return level, worth


def _typed_words(one: Asked) -> list[str]:
    """What an artist must have one of to be looked at: a word, initials either way, another name."""
    typed = one.told.artist
    if typed is None:
        return []
    others = [f"={squash(other)}" for other in one.others.artists]
    words = [word for name in one.told.names for word in artist_words(name)]
    return [f"={squash(typed)}", f"={initials(typed)}", *others, *words]


def _spelled(
    typed: Sequence[str], entry: Rows, others: NDArray[np.object_], least: float, by: Any = OSA
) -> NDArray[np.float32]:
    """Similarity of what was typed to each of the others, 0 below `least`."""
    column = np.empty(len(typed), dtype=np.object_)
    column[:] = typed
    return np.asarray(
        cpdist(
            column[entry],
            others,
            scorer=by.normalized_similarity,
            score_cutoff=least,
            score_hint=least,
            dtype=np.float32,
        )
    )


SHORT_NAME = -2.5
"""Bits, for names up to three letters: several acts share them."""
SLIPS = 2
"""Of the hand, in one name: letters left out, put in, changed or swapped."""


@lru_cache(maxsize=262_144)
def artist_level(typed: str, artist: str) -> str:
    """exact, part, close, similar, related, different or tribute; never by the words in common alone."""
    a, b = squash(typed), squash(artist)
    if is_tribute(typed) != is_tribute(artist):
        # A slip in a long name is one; 'Fleetwood Bac' is none.
        slip = min(len(a), len(b)) >= LONG and edits(letters(typed), letters(artist), SLIPS) <= SLIPS
        return "close" if slip else "tribute"
    if a == b or squash(without_qualifiers(typed)) == squash(without_qualifiers(artist)) != "":
        return "exact"
    heads, others = {squash(name) for name in names(typed)}, {squash(name) for name in names(artist)}
    if heads & others - {""}:
        return "part"
    slips = min(edits(a, b, SLIPS), edits(letters(typed), letters(artist), SLIPS))
    shortest = min(len(a), len(b))
    longest = max(len(letters(typed)), len(letters(artist)))
    if slips <= SLIPS and shortest >= (7 if slips == 2 else 4 if slips == 1 else 3):
        return "close"
    # 'OMD', 'CSS': the initials, and long enough not to be chance.
    if _abbreviates(a, artist) or _abbreviates(b, typed):
        return "part"
    words, said = tokens(typed), tokens(artist)
    if _leads(words, said) or _leads(said, words):
        return "part"
    spelled = max(similarity(a, b), similarity(letters(typed), letters(artist)))
    if spelled >= ALIKE and longest > 2:
        return "similar"
    if _leads_like(words, said) or _leads_like(said, words):
        return "similar"
    if spelled >= LIKE and longest > 2:
        return "faint"
    shared = {word for word in set(words) & set(said) if len(word) > 3}
    if shared and sum(map(len, shared)) * 2 >= min(len(a), len(b)):
        return "related"
    return "different"


def _abbreviates(short: str, name: str) -> bool:
    """'rhcp', and 'ratm' with its article."""
    if len(short) < 3:
        return False
    return short in (initials(name), "".join(word[0] for word in re.findall(r"\w+", name.casefold())))


LONG = 16
"""Letters from which no tribute is two letters away from what it plays."""
ALIKE, LIKE = 0.72, 0.6
"""Of two acts drawn at random 3 and 17 pairs in 100,000 are spelled so alike, at .5 104: counted on 4,137 names."""


def _leads_like(few: tuple[str, ...], many: tuple[str, ...]) -> bool:
    """The same with a slip or two: 'Peetre Hook' of 'Peter Hook & the Light'."""
    if not few or len(few) >= len(many) or sum(map(len, few)) < 6:
        return False
    short = "".join(few)
    return any(similarity(short, "".join(part)) >= 0.8 for part in (many[: len(few)], many[-len(few) :]))


def _leads(few: tuple[str, ...], many: tuple[str, ...]) -> bool:
    """All words of one at the start or end of the other: 'Ziggy Marley' of '... and the Melody Makers'."""
    if not few or len(few) >= len(many) or sum(map(len, few)) < 4:
        return False
    return many[: len(few)] == few or many[-len(few) :] == few


def _artist_text(level: str, typed: str, artist: str) -> str:
    if level == "part" and (_abbreviates(squash(typed), artist) or _abbreviates(squash(artist), typed)):
        return f"'{typed}' is short for {artist}" if len(typed) < len(artist) else f"{artist} is short for '{typed}'"
    return {
        "exact": "same artist",
        "alias": f"'{typed}' is another name of {artist}",
        "part": f"'{typed}' and {artist} have a name in common",
        "close": f"artist spelled '{typed}'",
        "similar": f"artist written like '{typed}'",
        "faint": f"artist written somewhat like '{typed}'",
        "related": f"shares a word with '{typed}'",
        "tribute": "one plays the other's songs",
    }.get(level, f"another artist than '{typed}'")


# -- date -------------------------------------------------------------------------------------------------------------


_NEVER = 4_000_000
"""An ordinal beyond the year 9999."""


def _dates(
    whens: Sequence[tuple[When, ...]], entry: Rows, nights: Codes, tables: Tables
) -> tuple[Codes, Bits, NDArray[np.bool_]]:
    most = max(map(len, whens))
    start = np.full((len(whens), most), _NEVER)
    end = np.full((len(whens), most), _NEVER)
    day = np.zeros((len(whens), most), dtype=np.bool_)
    slips = np.full((len(whens), most, 3), -1)
    for number, told in enumerate(whens):
        for place, when in enumerate(told):
            start[number, place], end[number, place] = when.start.toordinal(), when.end.toordinal()
            if when.precision is Precision.DAY:
                day[number, place] = True
                slips[number, place] = _swapped(when.start), *_years_off(when.start)
    days = np.array([max(1, sum(when.days for when in told)) for told in whens])
    nearest = np.zeros(len(nights), dtype=np.int64)
    away = np.full(len(nights), _NEVER)
    exact = np.zeros(len(nights), dtype=np.bool_)
    for place in range(most):
        first, last = start[entry, place], end[entry, place]
        off = np.maximum(np.maximum(first - nights, nights - last), 0)
        nearest[off < away] = place
        away = np.minimum(away, off)
        exact |= (off == 0) & (first == last)
    inside = away == 0
    bits = tables.bits["date"]
    level = np.full(len(nights), _DATE["other"], dtype=np.int32)
    a_day = day[entry, nearest]
    slip = slips[entry, nearest]
    level[a_day & (away <= 31)] = _DATE["month-off"]
    level[a_day & (nights == slip[:, 0])] = _DATE["swapped"]
    level[a_day & ((nights == slip[:, 1]) | (nights == slip[:, 2]))] = _DATE["year-off"]
    level[a_day & (away <= 7)] = _DATE["days-off"]
    level[a_day & (away == 1)] = _DATE["day-off"]
    length = end[entry, nearest] - start[entry, nearest] + 1
    level[~a_day & (away <= np.maximum(3, length // 2))] = _DATE["edge"]
    one = days[entry] == 1
    level[inside] = _DATE["within"]
    level[inside & exact] = _DATE["reading"]
    level[inside & one] = _DATE["same"]
    worth = bits[level]
    edge = np.log2(tables.date_edge * w.NIGHTS / (2 * days))
    within = np.maximum(0.5, np.log2(tables.date_within * w.NIGHTS / days))
    at = level == _DATE["edge"]
    worth[at] = np.minimum(bits[_DATE["days-off"]], edge[entry[at]])
    at = inside & ~one
    worth[at] = within[entry[at]]
    return level, worth, inside


def _years_off(typed: date) -> tuple[int, int]:
    if (typed.month, typed.day) == (2, 29) or not 1 < typed.year < 9999:
        return -1, -1
    return typed.replace(year=typed.year - 1).toordinal(), typed.replace(year=typed.year + 1).toordinal()


def _swapped(typed: date) -> int:
    return typed.replace(month=typed.day, day=typed.month).toordinal() if typed.day <= 12 else -1


def in_time(told: Understood, night: date) -> bool:
    """Whether the night is one that was typed; without a date every night is."""
    return not told.whens or any(night in when for when in told.whens)


def _date_text(level: str, whens: tuple[When, ...], night: date) -> str:
    if level == "same":
        return "same night"
    if level == "reading":
        return f"same night, where the date reads {night.isoformat()}"
    if level == "within":
        return f"{night.isoformat()} is within what was typed"
    if level == "swapped":
        return "day and month the other way round"
    if level == "year-off":
        return f"the same day of {night.year}"
    when = min(whens, key=lambda one: (one.away(night), one.start))
    if when.precision is not Precision.DAY:
        return f"{_days(when.away(night))} outside what was typed"
    if level == "other":
        return f"another night: {night.isoformat()}"
    return f"{_days(when.away(night))} {'later' if night > when.end else 'earlier'} than typed"


def _days(count: int) -> str:
    return "one day" if count == 1 else f"{count} days"


# -- place ------------------------------------------------------------------------------------------------------------

EARTH_KM = 12_742.0
"""Diameter."""
NAME_LIKE = 0.8
"""Town names spelled so alike may be one town with a slip, however far its namesakes."""


def _places(
    asked: Sequence[Asked], catalogue: Catalogue, entry: Rows, codes: Rows, tables: Tables
) -> dict[str, tuple[Codes, Bits]]:
    """Coordinates before names; regions and countries only where towns cannot be compared; then the venue."""
    typed = [one.told.place for one in asked]
    size = len(codes)
    found = {
        field: (np.full(size, -1, dtype=np.int32), np.zeros(size))
        for field in ("distance", "city", "region", "country")
    }
    pinned = np.array([place.lat is not None for place in typed], dtype=np.bool_)[entry]
    km, known_ = _kilometres(typed, catalogue, entry, codes, pinned)
    near = np.flatnonzero(pinned & known_)
    level = np.searchsorted(w.RINGS, km[near], side="left").astype(np.int32)
    _put(found["distance"], near, level, tables.bits["distance"][level])
    here = np.zeros(size, dtype=np.bool_)
    here[near] = km[near] <= 40
    rest = ~pinned | ~known_
    towns = [fold(place.city or "") for place in typed]
    in_town = np.array([bool(town) for town in towns], dtype=np.bool_)[entry]
    by_name = np.flatnonzero(~pinned & known_ & in_town)
    if len(by_name):
        like = _spelled(towns, entry[by_name], catalogue.towns[codes[by_name]], NAME_LIKE)
        far = by_name[(like == 0) & (km[by_name] > SUBURB_KM) & catalogue.located[codes[by_name]]]
        same = by_name[(like == 1) & (km[by_name] <= SAME_TOWN_KM)]
        level = np.full(len(far), w.TOWN.index("far"), dtype=np.int32)
        _put(found["city"], far, level, tables.bits["city"][level])
        _put(found["city"], same, np.zeros(len(same), dtype=np.int32), catalogue.town_bits(tables)[codes[same]])
        here[same] = True
        rest[far] = rest[same] = False
    for index, number, code in zip(
        np.flatnonzero(rest).tolist(), entry[rest].tolist(), codes[rest].tolist(), strict=True
    ):
        field, name = _where_level(typed[number], catalogue.places[code])
        if not field:
            continue
        found[field][0][index] = w.FIELDS[field].index(name)
        found[field][1][index] = (
            catalogue.town_bits(tables)[code]
            if (field, name) == ("city", "same")
            else tables.bits[field][w.FIELDS[field].index(name)]
        )
        here[index] = field == "city" and name in ("same", "suburb")
    compared = np.any([level >= 0 for level, _ in found.values()], axis=0)
    relation = _venues(asked, catalogue, entry, codes, here | ~compared)
    for field, at in (("venue", (relation >= 0) & compared), ("venue-alone", (relation >= 0) & ~compared)):
        worth = np.zeros(size)
        worth[at] = tables.bits[field][relation[at]]
        named = at & (relation <= _VENUE["alias"])
        worth[named] += catalogue.venue_bits(tables)[codes[named]]
        # In another town a venue of the same name is another venue.
        worth[at & compared & ~here] = np.minimum(worth[at & compared & ~here], 0.0)
        found[field] = np.where(at, relation, -1).astype(np.int32), worth
    return found


def _put(column: tuple[Codes, Bits], at: Rows, level: Codes, worth: Bits) -> None:
    column[0][at], column[1][at] = level, worth


MOST_TOWNS = 12
"""That a typed name can mean."""


def _kilometres(
    typed: Sequence[Place], catalogue: Catalogue, entry: Rows, codes: Rows, pinned: NDArray[np.bool_]
) -> tuple[Bits, NDArray[np.bool_]]:
    """Shortest distance of each place to where the entry can have been, and where that is known.

    With coordinates on both sides they count alone, else the towns by name do, too.
    """
    spots = [_spots(place.city, place.region, place.country, place.lat, place.lon) for place in typed]
    table = np.zeros((len(typed), max(1, max(map(len, spots))), 3))
    for number, some in enumerate(spots):
        if some:
            table[number, : len(some)] = some
    # Pairs, spots of the place, spots of the entry. No spot is the centre of the earth: a quarter round from any.
    cosine = np.matmul(catalogue.spots[codes], table[entry].transpose(0, 2, 1)).max(axis=2)
    its_own = catalogue.pinned[codes]
    nearest = np.where(pinned & its_own, cosine[:, 0], cosine.max(axis=1))
    km = EARTH_KM * np.arcsin(np.sqrt(np.clip((1 - nearest) / 2, 0, 1)))
    told = np.array([bool(some) for some in spots], dtype=np.bool_)[entry]
    return km, told & (its_own | catalogue.in_towns[codes])


@lru_cache(maxsize=65_536)
def _spots(
    city: str | None, region: str | None, country: str | None, lat: float | None, lon: float | None
) -> tuple[tuple[float, float, float], ...]:
    place = Place(city=city, region=region, country=country, lat=lat, lon=lon)
    return tuple(unit(spot) for spot in points(place)[:MOST_TOWNS])


@lru_cache(maxsize=131_072)
def _where_level(typed: Place, place: Place) -> tuple[str, str]:
    """The one comparison of two places that says most: field and level; ('', '') where there is none."""
    near = town_relation(typed, place).near
    if near is not Near.UNKNOWN:
        return "city", near.value
    if typed.region and place.region and (same := _same_region(typed, place)) is not None:
        return "region", "same" if same else "different"
    if typed.country and place.country:
        return "country", "same" if typed.country == place.country else "different"
    return "", ""


def _same_region(typed: Place, place: Place) -> bool | None:
    one = region_code(typed.region, typed.country or place.country)
    other = region_code(place.region, place.country)
    if one and other:
        return one == other
    return True if fold(typed.region or "") == fold(place.region or "") else None


def _venues(asked: Sequence[Asked], catalogue: Catalogue, entry: Rows, codes: Rows, at: NDArray[np.bool_]) -> Codes:
    """How the venues of the places `at` relate to what was typed."""
    level = np.full(len(codes), -1, dtype=np.int32)
    names_ = [one.told.place.name for one in asked]
    told = np.array([name is not None for name in names_], dtype=np.bool_)[entry]
    compared = np.flatnonzero(at & told & ((catalogue.venues[codes] != "") | (catalogue.festivals[codes] != "")))
    if not len(compared):
        return level
    level[compared] = _VENUE["different"]
    who, where = entry[compared], codes[compared]
    near = _spelled([venue_key(name or "") for name in names_], who, catalogue.venues[where], 0.6) > 0
    near |= catalogue.festivals[where] != ""
    words = catalogue.venue_words
    near |= words.sharing(words.codes([_venue_words(one) for one in asked]), who, where)
    for index, number, code in zip(compared[near].tolist(), who[near].tolist(), where[near].tolist(), strict=True):
        typed, place, others = asked[number].told.place, catalogue.places[code], asked[number].others.venues
        relation = venue_relation(typed.name, place.name, typed.city or place.city)
        level[index] = -1 if relation is SameVenue.UNKNOWN else _VENUE[relation.value]
        if relation is SameVenue.SAME:
            continue
        if any(_is_venue(other, place) for other in others) or _is_festival(typed.name, catalogue.festivals[code]):
            level[index] = _VENUE["alias"]
    return level


def _venue_words(one: Asked) -> list[str]:
    """Words one of which a venue must have to be looked at."""
    names_ = [one.told.place.name, *(other.name for other in one.others.venues)]
    return [word for name in names_ for word in place_words(name)]


def _is_festival(typed: str | None, festival: str) -> bool:
    """Whether a venue as typed names the festival: 'Primavera Sound' of 'Primavera Sound 2013'."""
    said = {word for word in tokens(typed or "") if not word.isdigit() and word not in _FESTIVAL_WORDS}
    held = {word for word in festival.split() if not word.isdigit() and word not in _FESTIVAL_WORDS}
    return bool(said and held) and (said <= held or held <= said) and max(map(len, said & held)) > 3


_FESTIVAL_WORDS = frozenset(["festival", "fest", "the", "of", "open", "air", "day"])


def _is_venue(other: AliasVenue, place: Place) -> bool:
    return venue_key(other.name) == venue_key(place.name or "") and (
        other.city is None or place.city is None or fold(other.city) == fold(place.city)
    )


def _place_text(field: str, level: str, typed: Place, place: Place, festival: str | None) -> str:
    if field == "distance":
        spots = points(place)
        assert typed.lat is not None and typed.lon is not None
        return f"{_km(min(distance_km((typed.lat, typed.lon), spot) for spot in spots))} away"
    if field in ("region", "country"):
        return f"{'same' if level == 'same' else 'another'} {field}"
    if field == "city":
        relation = town_relation(typed, place)
        if level == "far":
            return f"{place.city} is another town" + (f", {_km(relation.km)} away" if relation.km is not None else "")
        if level == "other":
            return f"{place.city} is another name than {typed.city}"
        if level == "suburb":
            return f"{place.city} is {_km(relation.km or 0)} from {typed.city}"
        same = fold(typed.city or "") == fold(place.city or "")
        return "same town" if same else f"{typed.city} is {place.city}"
    if level == "alias" and _is_festival(typed.name, fold(festival or "")):
        return f"{typed.name} is the festival"
    return {
        "same": "same venue",
        "alias": f"{typed.name} is another name of {place.name}",
        "part": f"{typed.name} is {place.name}, or part of it",
        "room": f"{typed.name} and {place.name} are rooms of one complex",
        "similar": f"{typed.name} is much like {place.name}",
    }.get(level, f"{place.name} is another name than {typed.name}")


def _km(km: float) -> str:
    return f"{km * 1000:.0f} m" if km < 1 else f"{km:.0f} km"


# -- songs and hour ---------------------------------------------------------------------------------------------------

SONG_LIKE = 0.85


SONG_ALONE, SONGS_ALONE_MOST = 7.0, 21.0
"""Bits of a title where no artist is known, and of all: of 100 acts not one has a song of the same name. Assumed."""


def _songs(told: Understood, catalogue: Catalogue, rows: Rows, tables: Tables) -> tuple[Codes, Bits]:
    """How many of the songs each concert played: 64 times that, plus how many were typed."""
    typed = told.songs
    starts, flat, texts = catalogue.songs
    level = np.full(len(rows), -1, dtype=np.int32)
    worth = np.zeros(len(rows))
    first, count = starts[rows], starts[rows + 1] - starts[rows]
    known_ = np.flatnonzero(count)
    if not len(known_):
        return level, worth
    lists = np.concatenate(
        [np.arange(start, start + size) for start, size in zip(first[known_], count[known_], strict=True)]
    )
    owner = np.repeat(np.arange(len(known_)), count[known_])
    played = flat[lists]
    unique, inverse = np.unique(played, return_inverse=True)
    asked = sorted(typed)[:MOST_SONGS]
    like = cdist(
        asked,
        [texts[code] for code in unique],
        scorer=OSA.normalized_similarity,
        score_cutoff=SONG_LIKE,
        dtype=np.float32,
    )
    found = np.zeros(len(known_), dtype=np.int32)
    for row in like > 0:
        hit = np.zeros(len(known_), dtype=np.bool_)
        hit[owner[row[inverse]]] = True
        found += hit
    played_bits, missing_bits = tables.bits["song"]
    most = w.SONGS_MOST
    if told.artist is None:
        played_bits, most = SONG_ALONE, SONGS_ALONE_MOST
    missing = np.where(count[known_] >= w.SETLIST_COMPLETE, missing_bits, missing_bits / 2)
    worth[known_] = np.clip(found * played_bits + (len(asked) - found) * missing, -most, most)
    level[known_] = found * 64 + len(asked)
    return level, worth


MOST_SONGS = 60
"""Of an entry: nobody's night had more."""


def _songs_text(level: str) -> str:
    found, typed = map(int, level.split("/"))
    if typed == 1:
        return "your song was played" if found else "your song was not played"
    return f"{found} of your {typed} songs {'was' if found == 1 else 'were'} played"


EARLY, LATE = 18 * 60 + 30, 22 * 60 + 30
"""Minutes of the day around which the early and the late of two shows begin."""


def _minute(told: Understood) -> int:
    """Of the day, as typed; -1 where nothing is."""
    if told.hour is not None:
        return told.hour.hour * 60 + told.hour.minute
    return -1 if told.show is None else EARLY if told.show is Show.EARLY else LATE


def _times(typed: Codes, minutes: Codes, tables: Tables) -> tuple[Codes, Bits]:
    apart = np.abs(minutes - typed)
    apart = np.minimum(apart, 24 * 60 - apart)
    level = np.select([minutes < 0, apart <= 120, apart <= 300], [-1, 0, 1], default=2).astype(np.int32)
    return level, np.where(level < 0, 0.0, tables.bits["time"][level])
