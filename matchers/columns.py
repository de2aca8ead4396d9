"""What a whole column tells and no single row can: the order of day and month, and an hour that stands for none.

Model   each date that exists in one order only, or whose weekday fits one order only, is evidence for that order; a
        column is day first, month first, year first, or mixed (any share of each is as likely). Bayes' rule gives the
        confidence. Equal texts count once: five acts of one night are one piece of evidence.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, time
from math import exp, lgamma, log
from typing import Any

from matchers.dates import (
    LONGEST_DATE,
    DateError,
    Order,
    clock,
    numeric_readings,
    source_date,
    take_weekday,
    three_numbers,
)

DECIDED = 0.95
"""Confidence from which a column's order is used."""
SLIP = 0.01
"""Share of dates that a hand or a program writes against the order of its column."""
WEEKDAY_SLIP = 0.1
"""The same where only the weekday tells: it is wrong more often than a month above 12."""
SHAPE_SLIP = 0.02
"""How often rows are in the order of time by one reading alone and another is right; the same of numbers that vary as
years do where days should stand."""
LEAST_SORTED = 6
"""Steps between neighbouring rows that a sorted column needs."""
LEAST_VARIED = 10
"""Dates with two-digit years of which the first or the last number should vary more."""
_PRIOR = {
    "/": {Order.DMY: 0.5, Order.MDY: 0.47, Order.YMD: 0.01},
    "-": {Order.DMY: 0.8, Order.MDY: 0.16, Order.YMD: 0.02},
    ".": {Order.DMY: 0.94, Order.MDY: 0.03, Order.YMD: 0.01},
    " ": {Order.DMY: 0.6, Order.MDY: 0.36, Order.YMD: 0.02},
}
"""By the sign between the numbers; the rest is for mixed columns. Dots are Central Europe's."""


@dataclass(frozen=True, slots=True)
class DateOrder:
    """The order of a column, with how sure it is and what that rests on. Counts are of different texts."""

    order: Order | None = None
    """None: no date needs one, or they do not decide."""
    confidence: float = 0.0
    """Of the likeliest order, decided or not; 0 where no date needs one."""
    day_first_only: int = 0
    month_first_only: int = 0
    year_first_only: int = 0
    by_weekday: int = 0
    """Dates that exist in several orders and whose weekday fits one."""
    ambiguous: int = 0
    """Dates that mean different days in different orders, whatever the weekday."""

    @property
    def text(self) -> str:
        """For people: what was decided and why."""
        counts = {
            "day first": self.day_first_only,
            "month first": self.month_first_only,
            "year first": self.year_first_only,
            "told by their weekday": self.by_weekday,
        }
        seen = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        why = f"{seen or 'none has only one order'}; {self.ambiguous} could be either"
        if self.order is None:
            return f"dates in no certain order, {self.confidence:.0%} sure at best ({why})"
        name = {Order.DMY: "day first", Order.MDY: "month first", Order.YMD: "year first"}[self.order]
        return f"dates read {name}, {min(self.confidence, 0.999):.1%} sure ({why})"


def column_order(texts: Iterable[str]) -> DateOrder:
    """The order of a column's numeric dates. `texts` as the rows have them: that they are sorted is evidence, too."""
    rows: list[dict[Order, date]] = []
    fits: list[frozenset[Order]] = []
    signs: Counter[str] = Counter()
    written: list[str] = []
    numbers_seen: list[tuple[int, str]] = []
    seen: set[str] = set()
    for text in texts:
        if text in seen or len(text) > LONGEST_DATE:
            continue
        seen.add(text)
        numbers, weekday = _numbers(text)
        if numbers is None:
            continue
        first, sign, second, third = numbers
        meant = numeric_readings(first, second, third)
        if not meant:
            continue
        signs[sign] += 1
        rows.append(meant)
        written.append(text)
        numbers_seen.append((first, third))
        fits.append(frozenset(order for order, day in meant.items() if weekday in (None, day.weekday())))
    if not rows:
        return DateOrder()
    sign = max(signs, key=lambda one: (signs[one], one))
    logs = {order: log(share) for order, share in _PRIOR[sign].items()}
    mixed = log(1 - sum(_PRIOR[sign].values()))
    only: Counter[Order] = Counter()
    by_weekday = ambiguous = 0
    for meant, fitting in zip(rows, fits, strict=True):
        slashed = [meant[order] for order in (Order.DMY, Order.MDY) if order in meant]
        ambiguous += len(set(slashed)) > 1
        mixed += log(1 - SLIP)  # as every order pays for a row: or a long column would be mixed for its length alone
        if len(slashed) == 2 or not slashed:
            _weigh(logs, frozenset(meant), SLIP)
        else:
            _weigh(logs, frozenset(meant), SLIP)
            mixed += log(0.5)
        if len(meant) == 1 or (len(slashed) == 1 and Order.YMD in meant):
            only[next(order for order in Order if order in meant)] += 1
        if fitting and len({meant[order] for order in fitting}) < len(set(meant.values())):
            by_weekday += len(set(slashed)) > 1
            _weigh(logs, fitting, WEEKDAY_SLIP)
            mixed += log(0.5)
    hard = [only[order] for order in (Order.DMY, Order.MDY)]
    # Dirichlet: any share of both orders is as likely; beside the halves counted above.
    mixed += lgamma(hard[0] + 1) + lgamma(hard[1] + 1) - lgamma(sum(hard) + 2) + sum(hard) * log(2)
    varied = _varied(numbers_seen)
    if varied:
        _weigh(logs, varied, SHAPE_SLIP)
        mixed += log(0.5)
    in_time = _sorted_by(rows, written)
    if in_time is not None:
        _weigh(logs, frozenset([in_time]), SHAPE_SLIP)
        mixed += log(0.5)
    top = max(*logs.values(), mixed)
    whole = sum(exp(value - top) for value in (*logs.values(), mixed))
    best = max(logs, key=lambda order: (logs[order], order))
    confidence = exp(logs[best] - top) / whole
    return DateOrder(
        order=best
        if confidence >= DECIDED and (only.total() or by_weekday or best in varied or in_time is best)
        else None,
        confidence=confidence,
        day_first_only=only[Order.DMY],
        month_first_only=only[Order.MDY],
        year_first_only=only[Order.YMD],
        by_weekday=by_weekday,
        ambiguous=ambiguous,
    )


def _numbers(text: str) -> tuple[tuple[int, str, int, str] | None, int | None]:
    """The three numbers of a date that needs an order, with or without an hour behind, and its weekday."""
    if text[:4].isdecimal():  # 2014-11-14 needs none
        return None, None
    weekday, text = take_weekday(text)
    head, _, tail = text.replace(",", " ").partition(" ")
    numbers = three_numbers(text)
    if numbers is None and tail and clock(tail) is not None:
        numbers = three_numbers(head)
    return numbers, weekday


def numbered(text: str) -> bool:
    """Whether a text is a date of three numbers that needs an order."""
    return len(text) <= LONGEST_DATE and _numbers(text)[0] is not None


def ambiguous(text: str) -> bool:
    """Whether such a date means different days in different orders."""
    numbers = _numbers(text)[0] if len(text) <= LONGEST_DATE else None
    if numbers is None:
        return False
    first, _, second, third = numbers
    return len(set(numeric_readings(first, second, third).values())) > 1


def _weigh(logs: dict[Order, float], fitting: frozenset[Order], slip: float) -> None:
    for order in logs:
        logs[order] += log(1 - slip if order in fitting else slip)


def _varied(ends: list[tuple[int, str]]) -> frozenset[Order]:
    """The orders that put the day where the numbers vary most; empty where years have four digits or nothing shows."""
    if len(ends) < LEAST_VARIED or any(len(third) != 2 for _, third in ends):
        return frozenset()
    first, third = len({first for first, _ in ends}), len({third for _, third in ends})
    if third >= 2 * first:
        return frozenset([Order.YMD])
    return frozenset([Order.DMY, Order.MDY]) if first >= 2 * third else frozenset()


def _sorted_by(rows: list[dict[Order, date]], written: list[str]) -> Order | None:
    """The one order in which the rows follow each other in time; None where the texts are sorted as texts."""
    if written in (sorted(written), sorted(written, reverse=True)):
        return None
    shares = {}
    for order in Order:
        days = [row.get(order) for row in rows]
        steps = [b > a for a, b in itertools.pairwise(days) if a is not None and b is not None and a != b]
        if len(steps) >= LEAST_SORTED and len(steps) >= 0.9 * (len(rows) - 1):
            shares[order] = max(sum(steps), len(steps) - sum(steps)) / len(steps)
    best = max(shares, key=lambda order: (shares[order], order), default=None)
    if (
        best is None
        or shares[best] < 0.95
        or any(shares[order] > shares[best] - 0.1 for order in shares if order is not best)
    ):
        return None
    return best


# -- hours ------------------------------------------------------------------------------------------------------------

LEAST_HOURS = 12
"""Rows from which one hour for all of them is no coincidence."""
LEAST_MIDNIGHTS = 3
SAME_HOUR = 0.98


def synthetic_time(times: Iterable[str]) -> time | None:
    """The hour that a column writes for all its rows, known or not: 19:00:00 on every one, or midnight.

    `times`: one text a row, an hour or a date with its hour, as the source's clock has it. None where the hours differ,
    as they do where somebody looked them up.
    """
    hours = [written_hour(text) for text in times]
    return _one_hour(Counter(hours), len(hours))


def _one_hour(hours: Counter[time | None], rows: int) -> time | None:
    told = [(count, hour) for hour, count in hours.items() if hour is not None]
    if not told:
        return None
    count, hour = max(told)
    least = LEAST_MIDNIGHTS if hour == time(0) else LEAST_HOURS
    return hour if count >= least and count >= SAME_HOUR * rows else None


def written_hour(text: str) -> time | None:
    """The hour in a text as it stands there, whatever the zone."""
    hour = clock(text)
    if hour is not None:
        return hour
    _, found, rest = text.strip().partition("T" if "T" in text else " ")
    if found and rest[:8].count(":") == 2:
        hour = clock(rest[:8])
        if hour is not None:
            return hour
    try:
        start = source_date(text, Order.DMY).start
    except DateError:
        return None
    return None if start is None else start.time()


# -- the columns of files ---------------------------------------------------------------------------------------------

TIMED = 13
"""Characters from which a date may hold an hour."""
_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}$")


class Columns:
    """What the columns of each source tell, gathered row by row, for those that read whole files.

    `needs` says which rows have to wait until all have been seen.
    """

    def __init__(self) -> None:
        self._dates: dict[str, dict[str, None]] = {}
        self._hours: dict[str, _HourColumn] = {}
        self._orders: dict[str, DateOrder] = {}

    def see(self, source: str, fields: Mapping[str, Any]) -> None:
        """One row."""
        date_, start = fields.get("date"), fields.get("start_time")
        if isinstance(date_, str) and not _ISO_DAY.match(date_):
            if numbered(date_):
                self._dates.setdefault(source, {})[date_] = None
                self._orders.pop(source, None)
        elif not isinstance(date_, str):
            date_ = None
        if (start is None or start == "") and (date_ is None or len(date_) < TIMED):
            return
        column = self._hours.setdefault(source, _HourColumn())
        if column.open:
            column.see(written_hour(start) if isinstance(start, str) and start else written_hour(date_ or ""))

    def needs(self, source: str, fields: Mapping[str, Any]) -> bool:
        """Whether how this row reads depends on the source's other rows."""
        date_ = fields.get("date")
        if isinstance(date_, str) and "date_order" not in fields and source in self._dates and ambiguous(date_):
            return True
        column = self._hours.get(source)
        return column is not None and column.open

    def order(self, source: str) -> DateOrder:
        """The order of the source's dates, as far as seen."""
        if source not in self._orders:
            self._orders[source] = column_order(self._dates.get(source, ()))
        return self._orders[source]

    def synthetic(self, source: str) -> time | None:
        """The hour that the source writes on all its rows; None while they are few or differ."""
        column = self._hours.get(source)
        return None if column is None else column.synthetic

    def learned(self, source: str, fields: Mapping[str, Any]) -> dict[str, str]:
        """Fields that tell a single message of this row what its column tells: `date_order`, `synthetic_time`."""
        found = {}
        date_ = fields.get("date")
        if isinstance(date_, str) and ambiguous(date_) and (order := self.order(source).order):
            found["date_order"] = order.value
        hour = self.synthetic(source)
        texts = [text for name in ("start_time", "date") if isinstance(text := fields.get(name), str)]
        if hour is not None and any(written_hour(text) == hour for text in texts):
            found["synthetic_time"] = hour.isoformat()
        return found

    def told(self) -> list[str]:
        """For people, a line for each source and column that decided something, or should have."""
        lines = []
        for source in sorted(self._dates):
            order = self.order(source)
            if order.ambiguous:
                lines.append(f"{source}: {order.text}")
        for source in sorted(self._hours):
            hour = self.synthetic(source)
            if hour is not None:
                lines.append(
                    f"{source}: {hour.isoformat()} on all {self._hours[source].rows} rows is taken for no hour"
                )
        return lines


class _HourColumn:
    """The hours of a source until they differ."""

    def __init__(self) -> None:
        self.hours: Counter[time | None] = Counter()
        self.rows = 0
        self.open = True

    def see(self, hour: time | None) -> None:
        self.hours[hour] += 1
        self.rows += 1
        others = self.rows - max(self.hours.values())
        self.open = others < 2 or others <= (1 - SAME_HOUR) * self.rows

    @property
    def synthetic(self) -> time | None:
        return _one_hour(self.hours, self.rows) if self.open else None
