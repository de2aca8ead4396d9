"""MusicBrainz-20K: 19,375 track records of five sources, 10,000 clusters, through the one clustering engine.

Records     id, cluster_id, source, number, title, length, artist, album, year; each source writes them its own way
Fields      words (title, artist and album together: sources move them about), number, length, year
Weights     by EM over the records themselves; `cluster_id` is read by `evaluate_mb20k` only, after clustering

Source      Hildebrandt et al. 2017 and Saeedi et al. 2017, Leipzig's benchmark data sets for entity resolution
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matchers.cluster import Comparison, Model, cluster, fitted, pair_figures
from matchers.text import fold

Row = Mapping[str, Any]


def evaluate_mb20k(rows: Sequence[Row]) -> dict[str, Any]:
    """Pairwise precision, recall and F1 of the clusters, over all pairs of records."""
    truth = {row["id"]: row["cluster_id"] for row in rows}
    return pair_figures([[truth[one] for one in group] for group in cluster_tracks(rows)], Counter(truth.values()))


def cluster_tracks(rows: Sequence[Row]) -> list[list[str]]:
    """Ids of records that are one track, one record a source; reads no label."""
    tracks = [_track(row) for row in rows]
    return [[track.id for track in group] for group in cluster(tracks, fitted(tracks, _model(tracks)))]


@dataclass(frozen=True, slots=True)
class _Track:
    id: str
    source: str
    grams: frozenset[str]
    keys: frozenset[str]
    number: int | None
    seconds: float | None
    year: int | None


# -- the field list ---------------------------------------------------------------------------------------------------

STEPS = 20
LEVELS = tuple(f".{step * 100 // STEPS:02}" for step in range(STEPS))
"""Of likeness of the words: steps of .05."""
HELD = 0.85
"""What holding all words of the other, shorter record is worth beside being equal."""
MOST_SHARED = 150
"""Records: a word that more of them hold finds nothing."""
BEGIN = 0.55
"""Likeness at which EM begins to think of a match; it moves from there by itself."""
SAME_LENGTH_S = 1.2
"""Sources round seconds up and down, and one keeps thousandths of minutes."""


def _model(tracks: Sequence[_Track]) -> Model[_Track]:
    counts = Counter(gram for track in tracks for gram in track.grams)
    # Whole numbers (thousandths of a bit): their sum is the same in any order of a set.
    rarity = {gram: round(1_000 * math.log2(len(tracks) / count)) for gram, count in counts.items()}
    weight = {track.id: sum(rarity[gram] for gram in track.grams) for track in tracks}

    def words(one: _Track, other: _Track) -> str:
        shared = sum(map(rarity.__getitem__, one.grams & other.grams))
        ours, theirs = weight[one.id], weight[other.id]
        # Dice over what each says, or most of what the shorter says: a title alone is part of title, artist and album.
        like = max(2 * shared / ((ours + theirs) or 1), HELD * shared / (min(ours, theirs) or 1))
        return LEVELS[min(STEPS - 1, int(like * STEPS))]

    return Model(
        order=lambda track: (track.id,),
        source=lambda track: track.source,
        keys=lambda track: track.keys,
        comparisons=(
            Comparison("words", words, {name: 40.0 * (step / STEPS - BEGIN) for step, name in enumerate(LEVELS)}),
            Comparison("number", _number_level, {"same": 3.0, "other": -3.0}),
            Comparison("length", _length_level, {"same": 5.0, "other": -5.0}),
            Comparison("year", _year_level, {"same": 3.0, "other": -3.0}),
        ),
        prior=0.0,
        shared=2,
        most=MOST_SHARED,
        beyond=0,
    )


def _number_level(one: _Track, other: _Track) -> str | None:
    return _level(one.number, other.number)


def _year_level(one: _Track, other: _Track) -> str | None:
    return _level(one.year, other.year)


def _level(one: int | None, other: int | None) -> str | None:
    return None if one is None or other is None else "same" if one == other else "other"


def _length_level(one: _Track, other: _Track) -> str | None:
    if one.seconds is None or other.seconds is None:
        return None
    return "same" if abs(one.seconds - other.seconds) <= SAME_LENGTH_S else "other"


# -- reading ----------------------------------------------------------------------------------------------------------

_LEADING_NUMBER = re.compile(r"^\d{1,3}\s*-\s*")
_DIGITS = re.compile(r"\d+")
_ALBUM_YEAR = re.compile(r"\s*\((?:unknown|\d{2,4})\)$")


def _track(row: Row) -> _Track:
    title = _LEADING_NUMBER.sub("", row["title"] or "")
    album = _ALBUM_YEAR.sub("", row["album"] or "")
    words = frozenset(word for text in (title, row["artist"] or "", album) for word in fold(text).split())
    grams = frozenset(
        padded[start : start + 3] for word in words for padded in [f" {word} "] for start in range(len(padded) - 2)
    )
    number = _DIGITS.search(row["number"] or "")
    # Ends of words as well: a word with a slip in it still shares one of them.
    ends = {word[:4] + "~" for word in words if len(word) > 5} | {"~" + word[-4:] for word in words if len(word) > 5}
    return _Track(
        row["id"],
        row["source"],
        grams,
        words | ends,
        int(number[0]) if number else None,
        _seconds(row["length"] or ""),
        _short_year(row["year"] or "", row["album"] or ""),
    )


def _seconds(text: str) -> float | None:
    """04:04, 244, 4.067 (minutes), '4m 4sec', 244226 (ms) are the same length."""
    text = text.strip()
    if found := re.fullmatch(r"(\d+):(\d\d)", text):
        return int(found[1]) * 60.0 + int(found[2])
    if found := re.fullmatch(r"(\d+)m\s*(\d+)\s*sec", text):
        return int(found[1]) * 60.0 + int(found[2])
    if re.fullmatch(r"\d+\.\d+", text):
        return float(text) * 60.0
    if text.isascii() and text.isdigit():
        value = int(text)
        return value / 1000.0 if value >= 10_000 else float(value)
    return None


def _short_year(text: str, album: str) -> int | None:
    """The last two digits, which every source keeps; one source keeps them in the album."""
    found = _DIGITS.search(text) or re.search(r"(?<=\()\d{4}(?=\)$)", album)
    return int(found[0]) % 100 if found else None
