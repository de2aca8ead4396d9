"""Shows per year as bars: where each stands, in hundredths of the picture's width and height. Pure; the template draws.

Hundredths and not units: the picture is as wide as its page, the words under it stay as large as the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass

ROOM = 0.78
"""Of a year's width that its bar fills."""
LABELS = 8
"""At most so many years are written: as many as a hand's width has room for."""
STEPS = (1, 2, 5, 10, 20, 50)


@dataclass(frozen=True)
class Bar:
    """A year. `left`, `width`: of its whole column; the bar itself stands within."""

    year: int
    shows: int
    left: float
    width: float
    bar_left: float
    bar_width: float
    top: float
    height: float
    labelled: bool

    @property
    def middle(self) -> float:
        """Where its year is written."""
        return round(self.left + self.width / 2, 3)


@dataclass(frozen=True)
class Line:
    """A line across, and the number of shows that it stands for."""

    shows: int
    y: float


@dataclass(frozen=True)
class Bars:
    """Every year from the first with a show to the last, those without among them."""

    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    most: int


def years(counts: Mapping[int, int]) -> Bars:
    """Bars of shows by year; nothing for nothing.

    >>> [(bar.year, bar.height) for bar in years({2001: 2, 2003: 1}).bars]
    [(2001, 100.0), (2002, 0.0), (2003, 50.0)]
    """
    there = {year: shows for year, shows in counts.items() if shows > 0}
    if not there:
        return Bars((), (), 0)
    first, last = min(there), max(there)
    listed = range(first, last + 1)
    most = max(there.values())
    lines = tuple(Line(shows, round(100.0 - 100.0 * shows / most, 3)) for shows in _marks(most))
    width = 100.0 / len(listed)
    step = next((one for one in STEPS if len(listed) / one <= LABELS), STEPS[-1])
    bars = tuple(
        Bar(
            year=year,
            shows=there.get(year, 0),
            left=round(place * width, 3),
            width=round(width, 3),
            bar_left=round(place * width + width * (1 - ROOM) / 2, 3),
            bar_width=round(width * ROOM, 3),
            top=round(100.0 - 100.0 * there.get(year, 0) / most, 3),
            height=round(100.0 * there.get(year, 0) / most, 3),
            labelled=year % step == 0,
        )
        for place, year in enumerate(listed)
    )
    if not any(bar.labelled for bar in bars):
        bars = tuple(Bar(**{**vars(bar), "labelled": bar.year == first}) for bar in bars)
    return Bars(bars, lines, most)


def share(part: int, whole: int) -> float:
    """Hundredths of the longest, for a bar beside a name; never so short that it is not seen."""
    return max(2.0, round(100.0 * part / whole, 1)) if whole > 0 else 0.0


def _marks(most: int) -> list[int]:
    """The top, and its half where that is a whole number of some use."""
    return [most] if most < 4 else [most, most // 2]
