"""Bits -> probability -> band."""

from collections.abc import Sequence
from math import exp2

from matchers import weights as w
from schemas.suggestion import Band

MOST_BITS = 60.0


def probabilities(bits: Sequence[float]) -> list[float]:
    """Of each candidate to be the one meant, where one of them is or none: they share, and sum below 1."""
    odds = [exp2(max(-MOST_BITS, min(MOST_BITS, one))) for one in bits]
    whole = 1.0 + sum(odds)
    return [one / whole for one in odds]


def band(confidence: float, margin: float, in_time: bool) -> Band:
    """How a confidence reads; `margin`: bits to the best other candidate."""
    if confidence >= w.SURE and margin >= w.SURE_MARGIN and in_time:
        return Band.SURE
    return Band.LIKELY if confidence >= w.LIKELY else Band.POSSIBLE
