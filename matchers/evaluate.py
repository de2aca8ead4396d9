"""Figures against labelled data. The only module that reads `gold`, `label`, `other` and `cluster_id`.

history     entries with the concert they mean: is it the first suggestion, and how sure
resolve     listings of which some are told to be one show: precision, recall and F1 over pairs
mb20k       MusicBrainz-20K, 19,375 track records of five sources: the same folding, evidence in bits and clustering
            with one record a source, on fields of its own
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from matchers.text import fold
from schemas.concert import Concert
from schemas.suggestion import Band, Suggestions

Row = Mapping[str, Any]


# -- histories --------------------------------------------------------------------------------------------------------


def evaluate_history(rows: Iterable[Row], suggestions: Iterable[Suggestions]) -> dict[str, Any]:
    """Figures of entry rows with `gold` (a source_id) and `label`, and the suggestions of each user and entry.

    right: share of labelled entries whose first suggestion is the gold concert; bands: of their first suggestions;
    wrong_bands: the same for rows of other labels, where a suggestion is doubtful or wrong; sure_right: first
    suggestions in band sure that are right, of `sure`; two_sure: entries with more than one; ece: expected calibration
    error of first suggestions over labelled and other_date rows, ten bins of equal width; missed: whose first is wrong.
    """
    found = {(one.user, one.entry_id): one for one in suggestions}
    bands: Counter[str] = Counter()
    wrong: dict[str, Counter[str]] = defaultdict(Counter)
    told: list[tuple[float, bool]] = []
    missed = []
    entries = labelled = first_right_ = in_three = sure_right = two_sure = 0
    for row in rows:
        entries += 1
        one = found.get((row["user"], row["entry_id"]))
        offered = one.suggestions if one else ()
        band = offered[0].band.value if offered else "none"
        two_sure += sum(suggestion.band is Band.SURE for suggestion in offered) > 1
        rights = [any(m.source_id == row.get("gold") for m in suggestion.members) for suggestion in offered]
        right = bool(rights and rights[0])
        label = row.get("label", "match" if row.get("gold") else "unknown")
        if offered and label in {"match", "other_date"}:
            told.append((offered[0].confidence, right))
        if label != "match":
            wrong[label][band] += 1
            continue
        labelled += 1
        bands[band] += 1
        first_right_ += right
        in_three += any(rights)
        sure_right += right and band == Band.SURE.value
        if not right:
            missed.append(f"{row['user']}/{row['entry_id']}")
    return {
        "entries": entries,
        "labelled": labelled,
        "first_right": first_right_,
        "right": round(first_right_ / labelled, 4) if labelled else 0.0,
        "in_three": in_three,
        "bands": dict(sorted(bands.items())),
        "sure": bands[Band.SURE.value],
        "sure_right": sure_right,
        "two_sure": two_sure,
        "wrong_bands": {label: dict(sorted(counts.items())) for label, counts in sorted(wrong.items())},
        "ece": round(_calibration_error(told), 4),
        "missed": missed,
    }


def first_right(rows: Iterable[Row], suggestions: Iterable[Suggestions]) -> tuple[int, int]:
    """How many labelled rows have their gold concert as first suggestion, and how many are labelled."""
    figures = evaluate_history(rows, suggestions)
    return figures["first_right"], figures["labelled"]


def _calibration_error(told: Sequence[tuple[float, bool]]) -> float:
    """Mean distance of confidence and frequency, weighted by how many fall in each bin."""
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for confidence, right in told:
        bins[min(9, int(confidence * 10))].append((confidence, right))
    return sum(abs(sum(c for c, _ in one) - sum(r for _, r in one)) for one in bins.values()) / max(1, len(told))


# -- pairs ------------------------------------------------------------------------------------------------------------


def evaluate_resolve(rows: Iterable[Row], concerts: Iterable[Concert]) -> dict[str, Any]:
    """Figures of pairs over the listing rows that have a `gold`.

    merged: records put together with another of their own source, labelled or not.
    """
    gold = {(row["source"], str(row["source_id"])): row["gold"] for row in rows if row.get("gold")}
    groups = []
    merged = 0
    for concert in concerts:
        sources = [member.source for member in concert.members]
        merged += len(sources) - len(set(sources))
        groups.append([gold[key] for m in concert.members if (key := (m.source, m.source_id)) in gold])
    return _pairs(groups, Counter(gold.values())) | {"merged": merged}


def _pairs(groups: Iterable[Sequence[Any]], sizes: Mapping[Any, int]) -> dict[str, Any]:
    """Pairs found together against pairs that belong together."""
    groups = [group for group in groups if group]
    right = sum(count * (count - 1) // 2 for group in groups for count in Counter(group).values())
    true = sum(size * (size - 1) // 2 for size in sizes.values())
    found = sum(len(group) * (len(group) - 1) // 2 for group in groups)
    precision, recall = right / found if found else 1.0, right / true if true else 1.0
    return {
        "records": sum(sizes.values()),
        "clusters": len(groups),
        "true_pairs": true,
        "found_pairs": found,
        "right_pairs": right,
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(2 * precision * recall / (precision + recall), 4) if right else 0.0,
    }


# -- MusicBrainz-20K --------------------------------------------------------------------------------------------------


def evaluate_mb20k(rows: Sequence[Row]) -> dict[str, Any]:
    """Track records (id, cluster_id, source, number, title, length, artist, album, year) clustered, then counted."""
    clusters = cluster_tracks(rows)
    truth = {row["id"]: row["cluster_id"] for row in rows}
    return _pairs([[truth[one] for one in cluster] for cluster in clusters], Counter(truth.values()))


MOST_SHARED = 150
"""Records: a word that more of them hold finds nothing."""
TRACK_PRIOR = -14.0
"""log2 of 1 in 20,000 records."""
NUMBER = (3.5, -3.0)
LENGTH = (6.0, -6.0)
YEAR = (4.0, -4.0)


@dataclass(frozen=True, slots=True)
class _Track:
    id: str
    source: str
    grams: frozenset[str]
    words: frozenset[str]
    number: int | None
    seconds: float | None
    year: int | None


def cluster_tracks(rows: Sequence[Row]) -> list[list[str]]:
    """Ids of records that are one track, one record a source; reads no label."""
    tracks = [_track(row) for row in rows]
    counts = Counter(gram for track in tracks for gram in track.grams)
    idf = {gram: math.log2(len(tracks) / count) for gram, count in counts.items()}
    weight = [sum(idf[gram] for gram in track.grams) for track in tracks]
    scored = []
    for one, other in _candidate_tracks(tracks):
        a, b = tracks[one], tracks[other]
        shared = sum(idf[gram] for gram in a.grams & b.grams)
        # Dice over what each says: a title alone is a part of title, artist and album.
        dice = 2 * shared / ((weight[one] + weight[other]) or 1.0)
        held = shared / (min(weight[one], weight[other]) or 1.0)
        bits = _track_bits(a, b, dice, held)
        if bits > 0:
            scored.append((-bits, a.id, b.id, one, other))
    parent = list(range(len(tracks)))
    content = {index: [index] for index in range(len(tracks))}
    pair_bits = {(one, other): -minus for minus, _, _, one, other in scored}
    for *_, one, other in sorted(scored):
        a_root, b_root = parent[one], parent[other]
        if a_root == b_root:
            continue
        together = content[a_root] + content[b_root]
        if len({tracks[index].source for index in together}) < len(together):
            continue
        # Average linkage: one good pair does not outweigh what the rest of the cluster says.
        links = [pair_bits.get((min(i, j), max(i, j)), -10.0) for i in content[a_root] for j in content[b_root]]
        if sum(links) / len(links) < 0:
            continue
        content[a_root] = together
        for index in content.pop(b_root):
            parent[index] = a_root
    return [[tracks[index].id for index in members] for members in content.values()]


def _track_bits(a: _Track, b: _Track, dice: float, held: float) -> float:
    bits = TRACK_PRIOR + 40.0 * (max(dice, 0.85 * held) - 0.3)
    if a.number is not None and b.number is not None:
        bits += NUMBER[0] if a.number == b.number else NUMBER[1]
    if a.seconds is not None and b.seconds is not None:
        bits += LENGTH[0] if abs(a.seconds - b.seconds) <= 1.2 else LENGTH[1]
    if a.year is not None and b.year is not None:
        bits += YEAR[0] if a.year == b.year else YEAR[1]
    return bits


def _candidate_tracks(tracks: Sequence[_Track]) -> Iterable[tuple[int, int]]:
    """Pairs of two sources that share two words which few hold, or one that very few do."""
    holders: dict[str, list[int]] = defaultdict(list)
    for index, track in enumerate(tracks):
        for word in track.words:
            holders[word].append(index)
    shared: Counter[tuple[int, int]] = Counter()
    for indexes in holders.values():
        if len(indexes) <= MOST_SHARED:
            weight = 2 if len(indexes) <= 30 else 1
            for pair in combinations(indexes, 2):
                shared[pair] += weight
    return [
        (one, other)
        for (one, other), count in shared.items()
        if count >= 2 and tracks[one].source != tracks[other].source
    ]


_LEADING_NUMBER = re.compile(r"^\d{1,3}\s*-\s*")
_DIGITS = re.compile(r"\d+")


def _track(row: Row) -> _Track:
    title = _LEADING_NUMBER.sub("", row["title"] or "")
    album = re.sub(r"\s*\((?:unknown|\d{2,4})\)$", "", row["album"] or "")
    words = frozenset(word for text in (title, row["artist"] or "", album) for word in fold(text).split())
    grams = frozenset(
        padded[start : start + 3] for word in words for padded in [f" {word} "] for start in range(len(padded) - 2)
    )
    number = _DIGITS.search(row["number"] or "")
    stems = {word[:4] + "~" for word in words if len(word) > 5} | {"~" + word[-4:] for word in words if len(word) > 5}
    return _Track(
        row["id"],
        row["source"],
        grams,
        words | stems,
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
