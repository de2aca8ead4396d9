"""Labelled histories as less careful people would have typed them, and catalogues that lack what was meant.

A variant is made from entry rows with `gold` (a source_id) and the concerts that are known. What becomes of an entry
depends on the seed, its user and its entry_id alone: not on the order of the rows, nor on the process.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeVar
from unicodedata import normalize

from matchers.dates import Precision, readings
from matchers.places import Near, town_relation
from matchers.text import fold
from schemas.concert import Concert

Row = Mapping[str, Any]
T = TypeVar("T")

REMOVED = "removed"
"""The label of an entry whose concert was taken out of the catalogue: whatever is proposed is wrong."""
WHERE = ("venue", "city", "region", "country", "lat", "lon")
FEWEST_SONGS = 3


class Draw:
    """Numbers that look random and depend on nothing but what they are drawn for."""

    def __init__(self, *of: object) -> None:
        self._of = "\x1f".join(map(str, of)).encode()
        self._drawn = 0

    def below(self, end: int) -> int:
        """One of 0 .. end-1."""
        self._drawn += 1
        digest = hashlib.blake2b(self._of, digest_size=8, salt=self._drawn.to_bytes(8, "big")).digest()
        return int.from_bytes(digest, "big") * end >> 64

    def chance(self, percent: int) -> bool:
        """True so many times of a hundred."""
        return self.below(100) < percent

    def pick(self, among: Sequence[T]) -> T:
        """One of them."""
        return among[self.below(len(among))]

    def sample(self, among: Sequence[T], count: int) -> list[T]:
        """So many of them, each once, in the order drawn."""
        left = list(among)
        return [left.pop(self.below(len(left))) for _ in range(min(count, len(left)))]


@dataclass(frozen=True, slots=True)
class Known:
    """What a variant may ask of the catalogue."""

    gold: Mapping[str, Concert]
    """By the source_id of any of its listings."""
    other: Mapping[str, Concert]
    """The records of another night, likewise."""
    songs: Mapping[str, tuple[str, ...]]
    """All songs of an artist, by artist key, each once and in the order of the alphabet."""

    @classmethod
    def of(cls, rows: Iterable[Row], concerts: Sequence[Concert]) -> "Known":
        """Of labelled rows and the concerts that they name."""
        named = [(str(row.get("gold")), str(row.get("other"))) for row in rows]
        gold, other = (_by_source_id(concerts, {pair[side] for pair in named}) for side in (0, 1))
        artists = {concert.artist_key for concert in gold.values()}
        songs: dict[str, set[str]] = {artist: set() for artist in artists}
        for concert in concerts:
            if concert.artist_key in artists:
                songs[concert.artist_key].update(concert.songs)
        return cls(gold, other, {artist: tuple(sorted(titles)) for artist, titles in songs.items()})


def _by_source_id(concerts: Iterable[Concert], wanted: set[str]) -> dict[str, Concert]:
    """Of a bill the concert with the smallest id: night, town and songs are the same."""
    found: dict[str, Concert] = {}
    for concert in concerts:
        for name in wanted & {member.source_id for member in concert.members}:
            found[name] = min(found.get(name, concert), concert, key=lambda one: one.concert_id.int)
    return found


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to type a history, and how much of what was meant the catalogue still has."""

    name: str
    about: str
    vary: Callable[[dict[str, Any], Known, Draw], dict[str, Any] | None] = lambda row, known, draw: row
    """The row as typed instead; None leaves the entry out."""
    kept: float = 1.0
    """Share of the gold concerts that stay in the catalogue."""


@dataclass(frozen=True, slots=True)
class Varied:
    """A variant's rows and the concerts to match them against."""

    rows: list[dict[str, Any]]
    concerts: list[Concert]


# -- dates ------------------------------------------------------------------------------------------------------------


def typed_night(row: Row, known: Known) -> date | None:
    """The night that a row's date names, where it names one; of several readings the one that is meant."""
    told = row.get("date")
    if not isinstance(told, str):
        return None
    try:
        return date.fromisoformat(told.strip())
    except ValueError:
        pass
    nights = sorted(one.start for one in readings(told, False) if one.precision is Precision.DAY)
    meant = known.gold.get(str(row.get("gold")))
    if meant is not None and meant.night in nights:
        return meant.night
    return nights[0] if nights else None


def _month(row: dict[str, Any], known: Known, draw: Draw) -> dict[str, Any] | None:
    night = typed_night(row, known)
    return row if night is None else _cut(row, known, f"{night.year:04}-{night.month:02}")


def _year(row: dict[str, Any], known: Known, draw: Draw) -> dict[str, Any] | None:
    night = typed_night(row, known)
    if night is None and (whens := readings(str(row.get("date") or ""), False)):
        night = whens[0].start if whens[0].start.year == whens[0].end.year else None
    return row if night is None else _cut(row, known, f"{night.year:04}")


def _cut(row: dict[str, Any], known: Known, when: str) -> dict[str, Any] | None:
    """None where the record that is said to be of another night fits what is left: then nothing speaks against it."""
    other = known.other.get(str(row.get("other")))
    if row.get("label") == "other_date" and other is not None and other.night.isoformat().startswith(when):
        return None
    return row | {"date": when}


def _shifted(row: dict[str, Any], known: Known, draw: Draw) -> dict[str, Any]:
    night = typed_night(row, known)
    off, days = draw.chance(50), draw.pick((-1, 1))
    # An entry that is known to be off already would be put right by half of the shifts.
    if night is None or not off or row.get("label") == "other_date" or not date.min < night < date.max:
        return row
    return row | {"date": (night + timedelta(days=days)).isoformat()}


def _artist_month(row: dict[str, Any], known: Known, draw: Draw) -> dict[str, Any] | None:
    less = {name: value for name, value in row.items() if name not in (*WHERE, "songs", "time", "note")}
    return _month(less, known, draw)


# -- slips of the hand ------------------------------------------------------------------------------------------------

_KEYBOARD = ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
SHORT = 5
"""Letters: whoever errs twice in a shorter name sees it."""


def _neighbours() -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for upper, row in enumerate(_KEYBOARD):
        for column, key in enumerate(row):
            near = [(upper, column - 1), (upper, column + 1)]
            near += [(upper - 1, column), (upper - 1, column + 1), (upper + 1, column - 1), (upper + 1, column)]
            found[key] = {_KEYBOARD[y][x] for y, x in near if 0 <= y < len(_KEYBOARD) and 0 <= x < len(_KEYBOARD[y])}
    return {key: "".join(sorted(near)) for key, near in found.items()}


NEIGHBOURS = _neighbours()
"""Of a key, on a keyboard whose first letters are Q, W, E, R, T, Y."""


def slip(text: str, draw: Draw, meant: str = "") -> str:
    """One letter left out, put in, changed for its neighbour on the keyboard, or swapped with the next.

    `meant`: what a slip must not lead back to.
    """
    places = [index for index, letter in enumerate(text) if letter.isalnum()]
    if not places:
        return text
    for _ in range(20):
        index, kind = draw.pick(places), draw.pick(("out", "in", "change", "swap"))
        letter = text[index]
        base = normalize("NFD", letter.lower())[:1]
        near = NEIGHBOURS.get(base, "")
        made = text
        if kind == "out" and len(places) > 1:
            made = text[:index] + text[index + 1 :]
        elif kind == "in":
            # The same key twice, or the one beside it as well.
            added = draw.pick(near) if near and draw.chance(50) else base
            made = text[: index + 1] + (added if base in NEIGHBOURS else letter) + text[index + 1 :]
        elif kind == "change" and near:
            made = text[:index] + _cased(draw.pick(near), letter) + text[index + 1 :]
        elif kind == "swap" and index + 1 < len(text):
            following = text[index + 1]
            made = text[:index] + _cased(following, letter) + _cased(letter, following) + text[index + 2 :]
        if fold(made) not in ("", fold(text), fold(meant)):
            return made.strip()
    return text


def slips(text: str, draw: Draw) -> str:
    """One slip or two; one in a short name."""
    made = slip(text, draw)
    if sum(map(str.isalnum, text)) >= SHORT and draw.chance(50):
        made = slip(made, draw, text)
    return made


def _cased(letter: str, like: str) -> str:
    return letter.upper() if like.isupper() else letter.lower() if like.islower() else letter


def _typos(row: dict[str, Any], known: Known, draw: Draw) -> dict[str, Any]:
    return row | {name: slips(row[name], draw) for name in ("artist", "venue") if isinstance(row.get(name), str)}


def _typos_no_town(row: dict[str, Any], known: Known, draw: Draw) -> dict[str, Any]:
    less = {name: value for name, value in row.items() if name not in ("city", "region", "country", "lat", "lon")}
    return _typos(less, known, draw)


# -- songs ------------------------------------------------------------------------------------------------------------


def _month_songs(row: dict[str, Any], known: Known, draw: Draw) -> dict[str, Any] | None:
    """Three to five songs of the setlist; one time in four one of them was played on another night."""
    meant = known.gold.get(str(row.get("gold")))
    if meant is None or len(set(meant.songs)) < FEWEST_SONGS:
        return None
    songs = draw.sample(sorted(set(meant.songs)), 3 + draw.below(3))
    others = [song for song in known.songs[meant.artist_key] if song not in meant.songs]
    if others and draw.chance(25):
        songs[-1] = draw.pick(others)
    return _month(row | {"songs": songs}, known, draw)


# -- all of them ------------------------------------------------------------------------------------------------------

VARIANTS = {
    one.name: one
    for one in (
        Variant("exact", "as typed"),
        Variant("month", "the date cut to the month", _month),
        Variant("year", "the date cut to the year", _year),
        Variant("shifted", "half of the dates a day off, either way", _shifted),
        Variant("typos", "one or two slips of the hand in the artist, and in the venue", _typos),
        Variant("typos-no-town", "the same, and no town", _typos_no_town),
        Variant("artist-month", "nothing but artist and month", _artist_month),
        Variant("month-songs", "the month, and three to five songs, sometimes one of them wrong", _month_songs),
        Variant("removed", "as typed; none of the concerts that were meant is known", kept=0.0),
        Variant("half", "as typed; half of the concerts that were meant are known", kept=0.5),
        Variant("half-month", "the month; half of the concerts that were meant are known", _month, kept=0.5),
    )
}


def vary(name: str, rows: Sequence[Row], concerts: Sequence[Concert], seed: int = 0) -> Varied:
    """The rows of a variant, in their order, and what of the catalogue is left. KeyError: no such variant.

    An entry whose concert was taken out has the label `removed`, no `gold`, and the source_id in `other`.
    """
    variant = VARIANTS[name]
    known = Known.of(rows, concerts)
    left = list(concerts)
    if variant.kept < 1.0:
        left = _without(concerts, _taken_out(known.gold, variant.kept, seed))
    names = {member.source_id for concert in left for member in concert.members}
    varied = []
    for row in rows:
        made = variant.vary(dict(row), known, Draw(seed, name, row.get("user"), row.get("entry_id")))
        if made is None:
            continue
        gold = str(made.get("gold"))
        if gold in known.gold and gold not in names:
            made = {key: value for key, value in made.items() if key != "gold"} | {"label": REMOVED, "other": gold}
        varied.append(made)
    return Varied(varied, left)


def _taken_out(golds: Iterable[str], kept: float, seed: int) -> frozenset[str]:
    """The share that goes, drawn over the listings that were meant and the same for every variant."""
    drawn = sorted(golds, key=lambda one: (Draw(seed, "taken out", one).below(1 << 62), one))
    return frozenset(drawn[: len(drawn) - round(len(drawn) * kept)])


def _without(concerts: Iterable[Concert], gone: frozenset[str]) -> list[Concert]:
    """What is left without these listings, and without the same act in the same town that night.

    That is the same show as another source tells it, or one that fits what was typed as well: no wrong answer.
    """
    concerts = list(concerts)
    out = [one for one in concerts if any(member.source_id in gone for member in one.members)]
    ids = {one.concert_id for one in out}
    shows: dict[tuple[str, date], list[Concert]] = {}
    for one in out:
        shows.setdefault((one.artist_key, one.night), []).append(one)
    return [
        one
        for one in concerts
        if one.concert_id not in ids
        and all(
            town_relation(one.place, show.place).near in (Near.FAR, Near.OTHER)
            for show in shows.get((one.artist_key, one.night), ())
        )
    ]


def half_of(row: Row) -> int:
    """0 or 1: which half of the entries a row belongs to, to tune on one and report on both."""
    return Draw("half", row.get("user"), row.get("entry_id")).below(2)
