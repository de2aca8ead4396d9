"""Bits -> probability -> band."""

import numpy as np
from numpy.typing import NDArray

from matchers import weights as w
from matchers.weights import Tables
from schemas.suggestion import Band

MOST_BITS = 60.0

Column = NDArray[np.float64]


def probabilities(bits: Column, hidden: Column | float, tables: Tables) -> Column:
    """Of each candidate to be the one meant, where one of them is, or a show that no source lists, or none.

    They share: two strong candidates halve the probability. `hidden`: odds, for each candidate, that a show nobody
    lists fits what was typed as well as it does. Calibrated; the sum stays below 1.
    """
    odds = np.exp2(np.clip(bits, -MOST_BITS, MOST_BITS))
    whole = 1.0 + float(np.sum(odds)) + float(np.max(odds * hidden, initial=0.0))
    chances = odds / whole
    inside = np.clip(chances, 1e-12, 1 - 1e-12)
    told = 1 / (1 + np.exp2(-tables.calibrated(np.log2(inside / (1 - inside)))))
    found: Column = np.where(chances > 1e-12, told, chances)
    return found / max(1.0, float(np.sum(found)))


def band(confidence: float, margin: float, *, settled: bool) -> Band:
    """How a confidence reads; `margin`: bits to the best other; `settled`: nothing typed speaks against it."""
    if confidence >= w.SURE and margin >= w.SURE_MARGIN and settled:
        return Band.SURE
    return Band.LIKELY if confidence >= w.LIKELY else Band.POSSIBLE
