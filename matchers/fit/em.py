"""How often right pairs agree in each level (m), without anybody's labels: expectation and maximisation.

Model   each entry means one of its candidates, or a concert that nobody lists; which one, is not known. The first step
        shares an entry among its candidates by their odds, as an answer does (`matchers.score`); the second counts how
        often each level occurs among the shares. u is fixed: it is counted elsewhere, on random pairs.
Source  Winkler 1988, "Using the EM algorithm for weight computation in the Fellegi-Sunter model of record linkage";
        sharing among candidates keeps those that a key found, and that are no random pairs, from passing for matches
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchers import weights as w
from matchers.candidates import entry_keys, read_entry
from matchers.catalogue import Catalogue, Codes, Rows
from matchers.evidence import Asked, compare
from matchers.match import BATCH
from matchers.match import hidden_odds as hidden
from matchers.score import MOST_BITS, Column
from matchers.weights import Tables
from schemas.history import Entry
from schemas.weights import Level, Weights

SEEN = 2.0
"""Pairs that a present m is worth at its present rate: one in ten thousand stands until 20,000 pairs speak."""
ENOUGH = 5.0
"""Pairs of a level from which it goes by them; with fewer its bits move by that share, with none not at all: who never
saw a pair in two far towns has learned nothing of it, because such a pair is not taken for one."""
MOST_STEPS = 200
STILL = 1e-4
"""Bits by which no level moves any more."""
LEAST_BITS = -20.0
"""Of a candidate: beyond, an entry gives it no share."""
KEPT = 60
"""Candidates of an entry."""
ROUNDS = 2
"""Pairs are found and compared with the weights so far, then once more with what that fitted."""

Groups = Mapping[str, tuple[tuple[str, ...], ...]]

# What is shared out: levels of one field of which a pair has one. Not in it: what is worth what it is by rule (an alias
# is a name that is known, a tribute a veto, `reading` is `within`) and status, which is no memory.
GROUPS: Groups = {
    "artist": (("exact", "part", "close", "similar", "faint", "related", "different"),),
    "date": (
        ("same", "day-off", "days-off", "year-off", "swapped", "month-off", "other"),
        ("within", "edge"),
    ),
    "city": (w.TOWN,),
    "region": (w.REGION,),
    "country": (w.COUNTRY,),
    "distance": (w.DISTANCE,),
    "venue": (("same", "part", "room", "similar", "different"),),
    "venue-alone": (("same", "part", "room", "similar", "different"),),
    "song": (w.SONG,),
    "time": (w.TIME,),
}

# What the concerts of one source, typed by nobody, can tell: slips of the hand. They cannot tell what other sources and
# other people call a place.
OF_SLIPS: Groups = {
    "artist": (("exact", "close", "similar", "faint"),),
    "date": GROUPS["date"],
    "venue": (("same", "similar"),),
    "venue-alone": (("same", "similar"),),
}

# A level is never worth less than the next of its chain.
CHAINS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "artist": (
        ("exact", "close", "similar", "faint", "related", "different"),
        ("exact", "alias", "related"),
        ("exact", "part", "related"),
    ),
    "date": (
        ("same", "day-off", "days-off", "month-off", "other"),
        ("same", "year-off", "other"),
        ("same", "swapped", "other"),
        ("within", "edge"),
    ),
    "city": (w.TOWN,),
    "region": (w.REGION,),
    "country": (w.COUNTRY,),
    "distance": (w.DISTANCE,),
    "venue": (
        ("same", "alias", "different"),
        ("same", "part", "different"),
        ("same", "room", "different"),
        ("same", "similar", "different"),
    ),
    "venue-alone": (
        ("same", "alias", "different"),
        ("same", "part", "different"),
        ("same", "room", "different"),
        ("same", "similar", "different"),
    ),
    "song": (w.SONG,),
    "time": (w.TIME,),
}


@dataclass(frozen=True)
class Patterns:
    """Candidates of entries as columns: whose they are, their levels, and the bits they have with the present weights.

    `levels` are codes of `weights.FIELDS`, -1 where nothing was compared; `played` and `missing`: how many of the songs
    that were typed a complete setlist has, and has not. `verdict`: 1 confirmed, 0 dismissed, -1 not known; `keyed`:
    found by a key, and not only because it was confirmed.
    """

    owner: Rows
    entries: int
    rows: Rows
    levels: Mapping[str, Codes]
    played: Codes
    missing: Codes
    bits: Column
    hidden: Column
    timely: NDArray[np.bool_]
    verdict: Codes
    keyed: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Answered:
    """An entry, and the rows of a catalogue that its user said it was, or was not."""

    entry: Entry
    right: tuple[int, ...] = ()
    wrong: tuple[int, ...] = ()
    beside: tuple[int, ...] = ()
    """Shown with the right one, and not chosen."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """m by field and level, from which counts, and how it was come by.

    `before` and `after`: mean bits by which an entry is likelier with its candidates than with none.
    """

    m: Mapping[str, Mapping[str, float]]
    counts: Mapping[str, Mapping[str, float]]
    steps: int
    settled: bool
    matched: float
    before: float
    after: float


def patterns(answered: Sequence[Answered], catalogue: Catalogue, tables: Tables) -> Patterns:
    """The candidates of each entry by its keys, with what was said of them; cancelled ones only where confirmed."""
    batches = [
        _patterns(answered[start : start + BATCH], start, catalogue, tables) for start in range(0, len(answered), BATCH)
    ]
    if not batches:
        batches = [_patterns((), 0, catalogue, tables)]

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(batch, name) for batch in batches])

    levels = {field: np.concatenate([batch.levels[field] for batch in batches]) for field in batches[0].levels}
    columns = ("owner", "rows", "played", "missing", "bits", "hidden", "timely", "verdict", "keyed")
    return Patterns(entries=len(answered), levels=levels, **{name: joined(name) for name in columns})


def _patterns(answered: Sequence[Answered], first: int, catalogue: Catalogue, tables: Tables) -> Patterns:
    asked = []
    by_key = []
    for one in answered:
        told, others = read_entry(one.entry, tables)
        rows = keyed = np.empty(0, dtype=np.int64)
        if not told.says_nothing:
            keyed, _ = catalogue.index.rows(entry_keys(one.entry, tables), w.MOST_CANDIDATES)
            keyed = keyed[~catalogue.cancelled[keyed] | np.isin(keyed, one.right)]
            rows = np.union1d(keyed, np.array(one.right, dtype=np.int64)).astype(np.int64)
        asked.append(Asked(told, others, rows))
        by_key.append(np.isin(rows, keyed))
    compared = compare(asked, catalogue, tables)
    size = len(compared.rows)
    verdict = np.full(size, -1, dtype=np.int32)
    best = np.zeros(size, dtype=np.bool_)
    for number, one in enumerate(answered):
        pairs = slice(int(compared.starts[number]), int(compared.starts[number + 1]))
        rows, bits = compared.rows[pairs], compared.total[pairs]
        verdict[pairs] = np.where(np.isin(rows, one.right), 1, np.where(np.isin(rows, one.wrong), 0, -1))
        best[pairs][np.lexsort((catalogue.order[rows], -np.round(bits, 6)))[:KEPT]] = True
    kept = np.flatnonzero((best & (compared.total > LEAST_BITS)) | (verdict >= 0))
    nothing = np.full(size, -1, dtype=np.int32)
    songs = compared.levels.get("songs", nothing)
    starts = catalogue.songs[0]
    whole = (songs >= 0) & (starts[compared.rows + 1] - starts[compared.rows] >= w.SETLIST_COMPLETE)
    played = np.where(whole, songs // 64, 0)
    return Patterns(
        owner=compared.entry[kept] + first,
        entries=len(answered),
        rows=compared.rows[kept],
        levels={field: compared.levels.get(field, nothing)[kept] for field in GROUPS if field != "song"},
        played=played[kept].astype(np.int32),
        missing=np.where(whole, songs % 64 - played, 0)[kept].astype(np.int32),
        bits=compared.total[kept],
        hidden=hidden(compared)[kept] if size else np.empty(0),
        timely=compared.timely[kept],
        verdict=verdict[kept],
        keyed=np.concatenate([np.empty(0, dtype=np.bool_), *by_key])[kept],
    )


def shares(found: Patterns, bits: Column) -> tuple[Column, Column]:
    """Of each candidate, how much of its entry means it; and for each entry, log2 of how much more than nothing.

    A confirmed candidate has its entry whole, a dismissed one nothing of it.
    """
    odds = np.where(found.verdict == 0, 0.0, np.exp2(np.clip(bits, -MOST_BITS, MOST_BITS)))
    whole = 1.0 + np.bincount(found.owner, odds, found.entries)
    other = np.zeros(found.entries)
    np.maximum.at(other, found.owner, odds * found.hidden)
    whole += other
    confirmed = np.bincount(found.owner, found.verdict == 1, found.entries)
    of = confirmed[found.owner]
    share = np.where(of > 0, (found.verdict == 1) / np.maximum(of, 1), odds / whole[found.owner])
    return share, np.log2(whole)


def estimate(found: Patterns, weights: Weights, prior: Weights | None = None, groups: Groups = GROUPS) -> Estimate:
    """m of the levels that these patterns tell, from that of `weights` on, with which they were compared.

    Each m of `prior` (else of `weights`) counts as `SEEN` pairs at its own rate: rare levels hold out until there is
    enough to say. The levels of a group keep the sum that they have there.
    """
    present = {field: {name: weights.levels[field][name].m for name in of} for field, of in w.FIELDS.items()}
    held = present
    if prior is not None:
        held = {field: {name: prior.levels[field][name].m for name in of} for field, of in w.FIELDS.items()}
    u = {field: {name: weights.levels[field][name].u for name in of} for field, of in w.FIELDS.items()}
    m = {field: dict(of) for field, of in present.items()}
    bits = found.bits
    before = after = 0.0
    counts: dict[str, dict[str, float]] = {}
    settled = False
    steps = 0
    for steps in range(1, MOST_STEPS + 1):
        share, likelihood = shares(found, bits)
        after = float(np.mean(likelihood)) if found.entries else 0.0
        before = after if steps == 1 else before
        counts = _counted(found, share)
        moved = {field: _maximised(field, of, counts[field], held[field], u[field]) for field, of in groups.items()}
        dates = moved["date"]
        dates["reading"] = dates["within"] * held["date"]["reading"] / held["date"]["within"]
        change = max(abs(log2(moved[field][name] / m[field][name])) for field in moved for name in moved[field])
        for field, of in moved.items():
            m[field].update(of)
        bits = found.bits + _difference(found, present, m)
        if change < STILL:
            settled = True
            break
    share, likelihood = shares(found, bits)
    after = float(np.mean(likelihood)) if found.entries else 0.0
    return Estimate(m, counts, steps, settled, float(share.sum()), before, after)


def _counted(found: Patterns, share: Column) -> dict[str, dict[str, float]]:
    counts = {}
    for field, codes in found.levels.items():
        told = codes >= 0
        of = np.bincount(codes[told], share[told], len(w.FIELDS[field]))
        counts[field] = {name: float(count) for name, count in zip(w.FIELDS[field], of, strict=True)}
    counts["date"]["within"] += counts["date"]["reading"]
    counts["song"] = {"played": float(share @ found.played), "missing": float(share @ found.missing)}
    return counts


def _maximised(
    field: str,
    groups: tuple[tuple[str, ...], ...],
    counts: Mapping[str, float],
    present: Mapping[str, float],
    u: Mapping[str, float],
) -> dict[str, float]:
    """Of each level a Gamma posterior mean, as far as it was seen; none is worth less than the next of its chain."""
    found = dict(present)
    for group in groups:
        pairs = sum(counts[name] for name in group)
        heard = {name: min(1.0, counts[name] / ENOUGH) for name in group}
        for name in group:
            fitted = (SEEN + counts[name]) / (SEEN / present[name] + pairs)
            found[name] = present[name] ** (1 - heard[name]) * fitted ** heard[name]
        # The sum stays, and what was not seen stays: the rest makes room.
        free = sum(found[name] * heard[name] for name in group)
        left = sum(present[name] - found[name] * (1 - heard[name]) for name in group)
        if free > 0 and left > 0:
            for name in group:
                found[name] = min(1.0, found[name] * (1 - heard[name] + heard[name] * left / free))
    return ordered(field, found, u)


def ordered(field: str, m: Mapping[str, float], u: Mapping[str, float]) -> dict[str, float]:
    """m with neighbours pooled, along each chain, where the lesser agreement would be worth more (m/u)."""
    made = dict(m)
    for _ in range(ROUNDS_OF_CHAINS):
        before = dict(made)
        for chain in CHAINS[field]:
            _pool(chain, made, u)
        if made == before:
            break
    # Two chains through one level may take turns for long: then the better agreement decides.
    for _ in CHAINS[field]:
        for chain in CHAINS[field]:
            for better, lesser in pairwise(chain):
                made[lesser] = min(made[lesser], made[better] / u[better] * u[lesser])
    return made


ROUNDS_OF_CHAINS = 20


def _pool(chain: Sequence[str], m: dict[str, float], u: Mapping[str, float]) -> None:
    """Pool adjacent violators: levels of one worth each, so that worth falls along the chain."""
    pools: list[tuple[float, list[str]]] = []
    for name in chain:
        pools.append((m[name] / u[name], [name]))
        while len(pools) > 1 and pools[-2][0] < pools[-1][0] * (1 - 1e-9):
            names = pools[-2][1] + pools[-1][1]
            worth = sum(m[one] for one in names) / sum(u[one] for one in names)
            pools[-2:] = [(min(worth, *(1 / u[one] for one in names)), names)]
    for worth, names in pools:
        if len(names) > 1:
            for name in names:
                m[name] = worth * u[name]


def _difference(
    found: Patterns, present: Mapping[str, Mapping[str, float]], m: Mapping[str, Mapping[str, float]]
) -> Column:
    """Bits that each candidate has more with m than with the present one; songs, which are capped, wait for a round."""
    more = np.zeros(len(found.owner))
    for field, codes in found.levels.items():
        worth = np.array([log2(m[field][name] / present[field][name]) for name in w.FIELDS[field]] + [0.0])
        more += worth[codes]
    return more


def with_m(weights: Weights, m: Mapping[str, Mapping[str, float]]) -> Weights:
    """The weights with these m."""
    levels = {field: dict(of) for field, of in weights.levels.items()}
    for field in GROUPS:
        for name, value in m[field].items():
            levels[field][name] = Level(m=round(value, 9), u=levels[field][name].u)
    return weights.model_copy(update={"levels": levels})


def fit_levels(
    answered: Sequence[Answered], catalogue: Catalogue, weights: Weights, groups: Groups = GROUPS
) -> tuple[Weights, Estimate]:
    """The weights with m fitted. Pairs are found and compared `ROUNDS` times, the last ones with what was fitted."""
    fitted, steps, before = weights, 0, 0.0
    for turn in range(ROUNDS):
        told = estimate(patterns(answered, catalogue, Tables(fitted)), fitted, weights, groups)
        fitted = with_m(fitted, told.m)
        steps += told.steps
        before = told.before if turn == 0 else before
    return fitted, replace(told, steps=steps, before=before)
