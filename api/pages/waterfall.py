"""Evidence as a waterfall: each bar begins where the one before ended, from what is known beforehand to the sum.

Unit    bits (log2 odds) in, the picture's own units out: `Waterfall.width` by `height`, y downwards
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from schemas.suggestion import Evidence

LABELS, BARS, FIGURES = 72, 220, 44
"""Widths of the columns: words, bars, numbers."""
ROW, BAR = 18, 10
MOST_BARS = 16
"""Of one picture; there are twelve kinds of evidence."""
THIN = 1.0
"""A bar of no bits still shows where it stands."""


@dataclass(frozen=True)
class Bar:
    """One piece of evidence: from where the sum stood to where it stands."""

    field: str
    """As in `Evidence`; `total` for the sum."""
    bits: float
    x: float
    width: float
    y: int
    """The top of its row."""

    @property
    def kind(self) -> str:
        """for, against, or ends: the beginning and the sum."""
        if self.field in ("prior", "total"):
            return "ends"
        return "for" if self.bits >= 0 else "against"

    @property
    def path(self) -> str:
        """The bar as an SVG path."""
        return f"M{self.x:g} {self.y + (ROW - BAR) // 2}h{self.width:g}v{BAR}h{-self.width:g}z"


@dataclass(frozen=True)
class Waterfall:
    """Bars from above; `zero`: x of even odds."""

    bars: tuple[Bar, ...]
    zero: float
    total: float
    width: int = LABELS + BARS + FIGURES

    @property
    def height(self) -> int:
        """Of all rows."""
        return ROW * len(self.bars)

    def path(self, kind: str) -> str:
        """All bars of one kind, as one SVG path; empty where there are none."""
        return "".join(bar.path for bar in self.bars if bar.kind == kind)


def in_order(why: Sequence[Evidence]) -> list[Evidence]:
    """What is known beforehand, what speaks for it, the strongest first, then what speaks against it."""
    return sorted(why, key=lambda one: (one.field != "prior", one.bits < 0, -abs(one.bits)))


def waterfall(why: Sequence[Evidence]) -> Waterfall:
    """The picture of some evidence. What is no number counts as nothing; what is beyond MOST_BARS is one bar."""
    pieces = [(one.field, one.bits if isfinite(one.bits) else 0.0) for one in in_order(why)]
    if len(pieces) > MOST_BARS:
        rest = sum(bits for _, bits in pieces[MOST_BARS - 1 :])
        pieces = [*pieces[: MOST_BARS - 1], ("…", rest)]
    sums = [0.0]
    for _, bits in pieces:
        sums.append(sums[-1] + bits)
    total = sums[-1]
    low, high = min(sums), max(sums)
    scale = BARS / (high - low) if high > low else 0.0

    def x(bits: float) -> float:
        return round(LABELS + (bits - low) * scale, 1)

    spans = [*((field, bits, sums[place], sums[place + 1]) for place, (field, bits) in enumerate(pieces))]
    spans.append(("total", total, 0.0, total))
    bars = tuple(
        Bar(field, bits, x(min(start, end)), max(THIN, round(abs(x(end) - x(start)), 1)), place * ROW)
        for place, (field, bits, start, end) in enumerate(spans)
    )
    return Waterfall(bars, x(0.0), round(total, 3))
