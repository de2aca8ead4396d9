"""The one clustering engine: records of several sources -> groups that mean one thing.

Pairs       that share blocking keys and come from two sources
Bits        each field's level of agreement is worth log2(m/u); they add up, from a prior; named, to explain a pair
Clusters    best link first, by the average of all pairs between two clusters; never two records of one source, never
            across a veto; ties fall to the smaller record, so the order of the records changes nothing

Model       Fellegi & Sunter 1969, doi:10.1080/01621459.1969.10501049; EM as in Winkler 1988
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from typing import Generic, NamedTuple, TypeVar

R = TypeVar("R")
L = TypeVar("L", bound=Hashable)

MOST = 60
"""Records of one key that are all compared with each other: 1,770 pairs. Beyond, a key tells little."""
WINDOW = 12
"""Records of a larger key that each is compared with, next in the model's order: the work grows as the key does."""
SPEAKERS = 12
"""Members of a cluster that are compared with another's: all of them, where fewer sources tell of one thing."""
RARE = 30
"""Records: a key that no more of them hold counts twice."""


class Weighed(NamedTuple):
    """What one field says of a pair."""

    field: str
    level: str
    bits: float


@dataclass(frozen=True, slots=True)
class Comparison(Generic[R]):
    """One field of two records: how they agree, and what that is worth."""

    field: str
    level: Callable[[R, R], str | None]
    """The name of the agreement, the same both ways round; None where a side says nothing."""
    bits: Mapping[str, float]
    """log2(m/u) of each level."""


@dataclass(frozen=True, slots=True)
class Model(Generic[R]):
    """How records of one kind are compared."""

    order: Callable[[R], tuple[object, ...]]
    """Total: no two records are equal in it. Ties fall by it, and neighbours in large keys are neighbours in it."""
    source: Callable[[R], str]
    keys: Callable[[R], Iterable[str]]
    """Blocking: only records that share keys are compared."""
    comparisons: tuple[Comparison[R], ...]
    prior: float
    """Bits of a pair of which nothing is known but that it shares keys."""
    veto: Callable[[R, R], str | None] = lambda one, other: None
    """Why two records are never one, whatever their bits."""
    apart: Callable[[R, R], bool] = lambda one, other: False
    """So unlike that weighing is idle: never linked for themselves, only by a record that shares an id with one."""
    identity: Callable[[R], Hashable | None] = lambda record: None
    """An id that sources share: records of one id are one before anything is weighed, unless a source has it twice."""
    shared: int = 1
    """Keys a pair has to share."""
    most: int = MOST
    beyond: int = WINDOW
    """What happens to keys of more than `most` records: neighbours that are compared; 0: the key finds nothing."""

    def explain(self, one: R, other: R) -> tuple[Weighed, ...]:
        """What each field says, in the model's order; sums with the prior to the pair's bits."""
        return tuple(
            Weighed(comparison.field, level, comparison.bits[level])
            for comparison in self.comparisons
            if (level := comparison.level(one, other)) is not None
        )

    def score(self, one: R, other: R) -> float:
        """Bits for the pair to be one."""
        bits = self.prior
        for comparison in self.comparisons:
            level = comparison.level(one, other)
            if level is not None:
                bits += comparison.bits[level]
        return bits


def cluster(records: Iterable[R], model: Model[R]) -> list[list[R]]:
    """The records in groups, each in the model's order, the groups by their first: the same for any order of them."""
    ordered = sorted(records, key=model.order)
    return [[ordered[index] for index in group] for group in _Clusters(ordered, model).run()]


def pairs(ordered: Sequence[R], model: Model[R]) -> list[tuple[int, int]]:
    """Positions of the pairs that share keys, smaller first; sorted."""
    holders: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(ordered):
        for key in set(model.keys(record)):
            holders[key].append(index)
    sources = [model.source(record) for record in ordered]
    found: Counter[tuple[int, int]] = Counter()
    for held in holders.values():
        weight = 2 if len(held) <= RARE else 1
        reach = len(held) if len(held) <= model.most else model.beyond
        for place, one in enumerate(held):
            for other in held[place + 1 : place + 1 + reach]:
                if sources[one] != sources[other]:
                    found[one, other] += weight
    return sorted(pair for pair, shared in found.items() if shared >= model.shared)


class _Clusters(Generic[R]):
    """Agglomeration with average linkage over units. A cluster is known by its smallest unit.

    A unit is a record, or the records of one shared id: to others it is as near as the nearest of them, for each may
    name the thing in its own way.
    """

    def __init__(self, ordered: Sequence[R], model: Model[R]) -> None:
        self.ordered = ordered
        self.model = model
        self.units = _units(ordered, model)
        self.members: dict[int, list[int]] = {index: [index] for index in range(len(self.units))}
        self.sources = {
            index: {model.source(ordered[place]) for place in unit} for index, unit in enumerate(self.units)
        }
        self.links: dict[int, dict[int, float]] = defaultdict(dict)
        """Sums of bits between two clusters that may be one."""

    def run(self) -> list[list[int]]:
        heap = []
        unit_of = {place: index for index, unit in enumerate(self.units) for place in unit}
        near = {(unit_of[one], unit_of[other]) for one, other in pairs(self.ordered, self.model)}
        for one, other in sorted({(min(pair), max(pair)) for pair in near if pair[0] != pair[1]}):
            total = None if self.sources[one] & self.sources[other] else self._between([one], [other])
            if total is not None:
                self.links[one][other] = self.links[other][one] = total
                if total > 0:
                    heap.append((-round(total, 6), one, other))
        heapify(heap)
        while heap:
            minus, one, other = heappop(heap)
            total = self.links.get(one, {}).get(other)
            if total is None or -self._average(one, other, total) != minus:
                continue
            for joined in self._join(one, other):
                average = self._average(one, joined, self.links[one][joined])
                if average > 0:
                    heappush(heap, (-average, min(one, joined), max(one, joined)))
        groups = (sorted(place for unit in held for place in self.units[unit]) for held in self.members.values())
        return sorted(groups)

    def _average(self, one: int, other: int, total: float) -> float:
        return round(total / (len(self.members[one]) * len(self.members[other])), 6)

    def _join(self, one: int, other: int) -> list[int]:
        """`other` becomes part of `one`, the smaller; the clusters that are linked to it now."""
        kept, lost = self.links[one], self.links.pop(other)
        del kept[other], lost[one]
        old = self.members[one]
        new = self.members.pop(other)
        sources = self.sources[one] | self.sources.pop(other)
        for third in sorted({*kept, *lost}):
            self.links[third].pop(other, None)
            parts: tuple[float | None, float | None] = (None, None)
            if not sources & self.sources[third]:
                far = self.members[third]
                parts = (
                    kept[third] if third in kept else self._between(old, far),
                    lost[third] if third in lost else self._between(new, far),
                )
            if parts[0] is None or parts[1] is None:
                kept.pop(third, None)
                self.links[third].pop(one, None)
            else:
                kept[third] = self.links[third][one] = parts[0] + parts[1]
        self.members[one] = old + new
        self.sources[one] = sources
        return sorted(kept)

    def _between(self, ones: Sequence[int], others: Sequence[int]) -> float | None:
        """The sum over all pairs; None where one is vetoed or apart. Of large clusters the first members speak."""
        some, rest = ones[:SPEAKERS], others[:SPEAKERS]
        total = 0.0
        for one in some:
            for other in rest:
                bits = self._units_score(one, other)
                if bits is None:
                    return None
                total += bits
        return total * (len(ones) * len(others)) / (len(some) * len(rest))

    def _units_score(self, one: int, other: int) -> float | None:
        best = None
        for here in self.units[one]:
            for there in self.units[other]:
                a, b = self.ordered[min(here, there)], self.ordered[max(here, there)]
                if self.model.veto(a, b) is not None:
                    return None
                if self.model.apart(a, b):
                    continue
                bits = self.model.score(a, b)
                best = bits if best is None else max(best, bits)
        return best


def _units(ordered: Sequence[R], model: Model[R]) -> list[list[int]]:
    """Positions of records, together where they share an id; by the first of each."""
    by_id: dict[Hashable, list[int]] = defaultdict(list)
    alone: list[list[int]] = []
    for place, record in enumerate(ordered):
        identity = model.identity(record)
        if identity is None:
            alone.append([place])
        else:
            by_id[identity].append(place)
    for unit in by_id.values():
        sources = {model.source(ordered[place]) for place in unit}
        split = len(sources) < len(unit) or any(
            model.veto(ordered[one], ordered[other]) is not None
            for index, one in enumerate(unit)
            for other in unit[index + 1 :]
        )
        alone += [[place] for place in unit] if split else [unit]
    return sorted(alone)


# -- weights without labels -------------------------------------------------------------------------------------------

ROUNDS = 60
LEARN = 100_000
"""Pairs that weights are learnt from, evenly taken: more change the second decimal."""
SMOOTHING = 0.5
"""Pairs added to each level: one that was never seen is unlikely, not impossible."""


def fitted(records: Iterable[R], model: Model[R]) -> Model[R]:
    """The model with bits and prior from the records themselves, by expectation and maximisation; no labels are read.

    Begins from the model's own bits; fields are taken to be independent where the pair is known.
    """
    ordered = sorted(records, key=model.order)
    patterns: Counter[tuple[str | None, ...]] = Counter()
    found = pairs(ordered, model)
    for one, other in found[:: 1 + len(found) // LEARN]:
        a, b = ordered[one], ordered[other]
        if model.veto(a, b) is None:
            patterns[tuple(comparison.level(a, b) for comparison in model.comparisons)] += 1
    if not patterns:
        return model
    tables = [dict(comparison.bits) for comparison in model.comparisons]
    prior = model.prior
    for _ in range(ROUNDS):
        match: list[Counter[str]] = [Counter() for _ in tables]
        other_: list[Counter[str]] = [Counter() for _ in tables]
        matched = 0.0
        for pattern, count in sorted(patterns.items(), key=str):
            bits = prior + sum(table[level] for table, level in zip(tables, pattern, strict=True) if level is not None)
            share = count / (1.0 + 2.0 ** (-max(-60.0, min(60.0, bits))))
            matched += share
            for field, level in enumerate(pattern):
                if level is not None:
                    match[field][level] += share
                    other_[field][level] += count - share
        whole = sum(patterns.values())
        prior = math.log2((matched + SMOOTHING) / (whole - matched + SMOOTHING))
        for field, table in enumerate(tables):
            m_whole = match[field].total() + SMOOTHING * len(table)
            u_whole = other_[field].total() + SMOOTHING * len(table)
            for level in table:
                m = (match[field][level] + SMOOTHING) / m_whole
                u = (other_[field][level] + SMOOTHING) / u_whole
                table[level] = math.log2(m / u)
    comparisons = tuple(replace(c, bits=table) for c, table in zip(model.comparisons, tables, strict=True))
    return replace(model, comparisons=comparisons, prior=prior)


# -- figures ----------------------------------------------------------------------------------------------------------


def pair_figures(groups: Iterable[Sequence[L]], sizes: Mapping[L, int]) -> dict[str, float | int]:
    """Precision, recall and F1 over pairs: `groups` hold the true label of each member, `sizes` all of each label."""
    held = [group for group in groups if group]
    right = sum(count * (count - 1) // 2 for group in held for count in Counter(group).values())
    true = sum(size * (size - 1) // 2 for size in sizes.values())
    found = sum(len(group) * (len(group) - 1) // 2 for group in held)
    precision, recall = right / found if found else 1.0, right / true if true else 1.0
    return {
        "records": sum(sizes.values()),
        "clusters": len(held),
        "true_pairs": true,
        "found_pairs": found,
        "right_pairs": right,
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(2 * precision * recall / (precision + recall), 4) if right else 0.0,
    }
