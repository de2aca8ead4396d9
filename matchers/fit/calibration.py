"""Log2 odds -> log2 odds that held-out answers bear out: as they are, by Platt's line, or by steps (isotonic).

Models  Platt 1999, "Probabilistic outputs for support vector machines"; Zadrozny & Elkan 2002 for isotonic steps
Own     forty lines of numpy for two fits that need no more: scikit-learn is 40 MB, and its isotonic steps say 0 and 1,
        which no number of answers can bear out
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from matchers import weights as w
from matchers.fit.counts import drawn
from matchers.score import Column, probabilities
from matchers.weights import Tables
from schemas.weights import Calibration, Method, Weights

FOLDS = 5
FEWEST_USERS = 5
"""With fewer, entries are held out and not users."""
FEWEST = 20
"""Answers: with fewer, odds stay as they are."""
LEAST_CHANCE = 0.001
"""A confidence counts as no further from 0 and 1: one mistake costs 10 bits at most."""
FURTHEST = 16.0
"""Bits of odds beyond which a line is not fitted: nobody has answers enough."""
SLOPE_SPREAD, SHIFT_SPREAD = 0.5, 4.0
"""How far from 1, and from 0 bits, a line is likely to be before any answer: answers that are all right say little."""
GAIN = 1e-3
"""Bits a pair by which a method must be better than a simpler one."""


@dataclass(frozen=True, slots=True)
class Case:
    """An entry's candidates, and what was said of some: `places` of the columns, and whether each was right."""

    user: str
    entry_id: str
    bits: Column
    hidden: Column
    most: Column
    """Confidence that each may have at most, whatever its odds."""
    places: tuple[int, ...]
    rights: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """How well confidences fit answers: log loss in bits, expected calibration error in ten bins, and how many of the
    wrong ones are told as sure.
    """

    pairs: int
    log_loss: float
    ece: float
    wrong_sure: int


def calibrate(cases: Sequence[Case], weights: Weights) -> tuple[Calibration, dict[Method, float]]:
    """The map whose log loss on held-out answers is least, fitted on all; and the log loss of each.

    Held out by user, or by entry where there are fewer than five users. A simpler method wins a tie.
    """
    present = weights.calibration
    if sum(len(case.places) for case in cases) < FEWEST:
        return present, {}
    users = len({case.user for case in cases}) >= FEWEST_USERS
    folds = [drawn("fold", case.user, "" if users else case.entry_id) % FOLDS for case in cases]
    losses: dict[Method, float] = {}
    for method in Method:
        total = pairs = 0.0
        for fold in range(FOLDS):
            rest = [case for case, of in zip(cases, folds, strict=True) if of != fold]
            held = [case for case, of in zip(cases, folds, strict=True) if of == fold]
            if rest and held:
                scores = score(held, _with(weights, fitted(method, *odds(rest, weights))))
                total += scores.log_loss * scores.pairs
                pairs += scores.pairs
        losses[method] = total / pairs if pairs else 0.0
    best = Method.IDENTITY
    for method in (Method.PLATT, Method.ISOTONIC):
        if losses[method] < losses[best] - GAIN:
            best = method
    return fitted(best, *odds(cases, weights)), losses


def fitted(method: Method, x: Column, right: Column) -> Calibration:
    """Of log2 odds `x` and whether each was right. Without an answer the odds stay as they are."""
    if method is Method.IDENTITY or not len(x):
        return Calibration()
    if method is Method.PLATT:
        slope, shift = _line(np.clip(x, -FURTHEST, FURTHEST), right)
        return Calibration(method=method, slope=round(slope, 6), shift=round(shift, 6))
    points, heights = _steps(x, right)
    if points[0] > -FURTHEST:
        # Nobody was asked about what is hopeless: it stays so.
        points, heights = [-FURTHEST, *points], [-FURTHEST, *heights]
    return Calibration(
        method=method, x=tuple(round(float(one), 6) for one in points), y=tuple(round(float(one), 6) for one in heights)
    )


def _line(x: Column, right: Column) -> tuple[float, float]:
    """Slope and shift, by Newton's method, of the likeliest line."""
    columns = np.stack([x, np.ones_like(x)], axis=1) * log(2)
    start = np.array([1.0, 0.0])
    tight = np.diag([1 / SLOPE_SPREAD**2, 1 / SHIFT_SPREAD**2])

    def cost(line: Column) -> float:
        z = columns @ line
        return float(np.sum(np.logaddexp(0, z) - right * z) + (line - start) @ tight @ (line - start) / 2)

    line = start
    for _ in range(50):
        chance = 1 / (1 + np.exp(-columns @ line))
        slope = columns.T @ (chance - right) + tight @ (line - start)
        curve = (columns * (chance * (1 - chance))[:, None]).T @ columns + tight
        step = np.linalg.solve(curve, slope)
        while cost(line - step) > cost(line) + 1e-12 and np.abs(step).max() > 1e-9:
            step = step / 2
        line = line - step
        if np.abs(step).max() < 1e-9:
            break
    return max(0.05, float(line[0])), float(line[1])


def _steps(x: Column, right: Column) -> tuple[list[float], list[float]]:
    """Neighbours pooled until odds rise; each pool has half a right and half a wrong answer more: none says 0 or 1."""
    pools: list[tuple[float, float, float]] = []  # sum of x, how many, of these right
    values, inverse = np.unique(x, return_inverse=True)
    counts, rights = np.bincount(inverse), np.bincount(inverse, right)
    for value, count, of in zip(values.tolist(), counts.tolist(), rights.tolist(), strict=True):
        pools.append((value * count, count, of))
        while len(pools) > 1 and _height(pools[-2]) >= _height(pools[-1]):
            last, before = pools.pop(), pools.pop()
            pools.append((before[0] + last[0], before[1] + last[1], before[2] + last[2]))
    return [total / count for total, count, _ in pools], [_height(pool) for pool in pools]


def _height(pool: tuple[float, float, float]) -> float:
    _, count, right = pool
    return float(np.log2((right + 0.5) / (count - right + 0.5)))


def _with(weights: Weights, calibration: Calibration) -> Tables:
    return Tables(weights.model_copy(update={"calibration": calibration}))


def odds(cases: Sequence[Case], weights: Weights) -> tuple[Column, Column]:
    """Log2 odds of what was decided, shared among candidates and not calibrated; and 1 where it was right.

    Not of what may not be told as likely as it is, whatever its odds: it says nothing of how odds should be read.
    """
    tables = _with(weights, Calibration())
    told = [(chance, right) for chance, most, right in _told(cases, tables) if most == 1]
    chances = np.array([chance for chance, _ in told])
    right = np.array([right for _, right in told], dtype=np.float64)
    inside = np.clip(chances, 1e-12, 1 - 1e-12)
    return np.log2(inside / (1 - inside)), right


def score(cases: Sequence[Case], tables: Tables) -> Scores:
    """Of the confidences that users would have seen."""
    told = [(min(chance, most), right) for chance, most, right in _told(cases, tables)]
    if not told:
        return Scores(0, 0.0, 0.0, 0)
    chances = np.array([chance for chance, _ in told])
    right = np.array([right for _, right in told], dtype=np.bool_)
    losses = -np.log2(np.clip(np.where(right, chances, 1 - chances), LEAST_CHANCE, 1.0))
    bins = np.minimum((chances * 10).astype(np.int64), 9)
    off = np.abs(np.bincount(bins, chances, 10) - np.bincount(bins, right, 10))
    wrong = int(np.sum(~right & (chances >= w.SURE)))
    return Scores(len(told), float(losses.mean()), float(off.sum() / len(told)), wrong)


def _told(cases: Sequence[Case], tables: Tables) -> Iterator[tuple[float, float, bool]]:
    """Chance, the most it may be told as, and whether it was right."""
    for case in cases:
        chances = probabilities(case.bits, case.hidden, tables)
        for place, right in zip(case.places, case.rights, strict=True):
            # A concert that no key found has no column: it was given no chance.
            yield (float(chances[place]), float(case.most[place]), right) if place >= 0 else (0.0, 1.0, right)
