"""When a spider is to run: cron expressions, the dates they mean, what a schedule is written as. No I/O, no clock.

Cron     minute hour day-of-month month day-of-week, as crontab(5) reads them: names, ranges, steps, 0 and 7 are Sunday,
         and where both days are given, one of them is enough. APScheduler finds the dates; it counts weekdays from
         Monday, so it is given every field spelled out.
Clocks   A date in the hour that a change to summer time leaves out comes an hour later by the clock on the wall; one in
         the hour that is there twice comes once, at the first. Schedules for every hour go by the time that passes.

Errors
    SettingsError    a cron expression, zone, duration or name that cannot be read: says which part, and the remedy
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from apscheduler.triggers.cron import CronTrigger

from deploy.settings import SettingsError

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
HORIZON = timedelta(days=41 * 366)
"""29 February falls on a given weekday every 28 years, or 40 across 2100: what does not come by then never does."""
MOST_COUNTED = 1_000
"""Missed dates that are counted one by one: most of a day of minutes."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_EXAMPLE = 'Remedy: five fields, minute hour day month weekday: "30 3 * * *" is 03:30 every day; or @daily.'


@dataclass(frozen=True)
class _Field:
    """What may stand in one place of a cron expression."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()
    first_name: int = 0
    round: bool = False
    """A range may go over the end: fri-mon."""


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, MONTHS, 1),
    _Field("weekday", 0, 7, DAYS, round=True),
)
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")


@dataclass(frozen=True)
class Cron:
    """A cron expression in a zone."""

    text: str
    tz: str = "UTC"

    def after(self, moment: datetime) -> datetime | None:
        """The first date after a moment, in UTC; None when there is none within 41 years. SettingsError."""
        zone, fields, both = zone_of(self.tz), _fields(self.text), _either_day(self.text)
        ways = [fields | {"day_of_week": "*"}, fields | {"day": "*"}] if both else [fields]
        every_hour = fields["hour"] == "*"
        found = [_after(one, zone, moment, real=every_hour) for one in ways]
        return min((date for date in found if date is not None), default=None)


def cron_of(text: str, tz: str = "UTC", *, now: datetime) -> Cron:
    """A cron expression that can be read and has a date to come. SettingsError."""
    cron = Cron(" ".join(text.split()), tz.strip() or "UTC")
    if cron.after(now) is None:
        raise SettingsError(f'cron "{cron.text}" never comes: no month has that day. Remedy: a day that there is.')
    return cron


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name. SettingsError names those that look alike."""
    known = _zones()
    if name not in known:
        folded = {zone.casefold(): zone for zone in known}
        by_city = {zone.rpartition("/")[2].casefold(): zone for zone in sorted(known, reverse=True)}
        written = name.casefold().replace(" ", "_")
        close = [folded[near] for near in get_close_matches(written, folded, n=2, cutoff=0.75)]
        close += [by_city[near] for near in get_close_matches(written, by_city, n=1, cutoff=0.85)]
        like = ", ".join(dict.fromkeys(close)) or "Europe/Berlin, America/New_York or UTC"
        raise SettingsError(f"{name!r} is no time zone. Remedy: an IANA name: {like}.")
    return ZoneInfo(name)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())  # reads a folder of six hundred files


@dataclass(frozen=True)
class Due:
    """What is to be done about a schedule whose date has come."""

    run_for: datetime | None
    """The date to run for: the last that passed. None: all of them are too long ago."""
    missed: int
    """Dates that passed besides; `MOST_COUNTED` means that many or more."""
    next_at: datetime | None


def due(cron: Cron, next_at: datetime, now: datetime, catch_up: timedelta) -> Due:
    """However many dates passed, at most one run; none when even the last is longer ago than `catch_up`."""
    last, dates = next_at, 1
    while (following := cron.after(last)) is not None and following <= now and dates < MOST_COUNTED:
        last, dates = following, dates + 1
    if dates == MOST_COUNTED:
        last = _last_before(cron, now) or last
    recent = now - last <= catch_up
    return Due(last if recent else None, dates - 1 if recent else dates, cron.after(now))


def _last_before(cron: Cron, now: datetime) -> datetime | None:
    """Of a schedule with so many dates that the last is surely within the hour, or the day."""
    last = None
    for back in (timedelta(hours=1), timedelta(days=1)):
        date = cron.after(now - back)
        while date is not None and date <= now:
            last, date = date, cron.after(date)
        if last is not None:
            break
    return last


@dataclass(frozen=True)
class Plan:
    """A schedule, as it is written down."""

    name: str
    spider: str
    cron: Cron
    arguments: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: int | None = None
    paused: bool = False

    def __str__(self) -> str:
        told = [self.spider, f"{self.cron.text} {self.cron.tz}", shown(self.arguments)]
        told += [f"timeout {duration(self.timeout_s)}"] if self.timeout_s else []
        return " · ".join(part for part in (*told, "paused" if self.paused else "") if part)


def shown(arguments: Mapping[str, Any]) -> str:
    """Arguments as they are typed: `artist=Moths since=2014-01-01`."""
    return " ".join(f"{name}={value}" for name, value in arguments.items())


def checked_name(name: str) -> str:
    """A schedule's name. SettingsError."""
    if not NAME.fullmatch(name):
        raise SettingsError(f"{name!r} is no name of a schedule. Remedy: letters, digits, . _ and -, 64 at most.")
    return name


def seconds_of(written: str) -> int:
    """`90`, `90s`, `30m`, `2h`, `1h30m`, `1d`: seconds. SettingsError."""
    text = written.strip().lower()
    units = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
    parts = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text)
    if not text or parts is None:
        raise SettingsError(f"{written!r} is no duration. Remedy: seconds, or 30m, 2h, 1h30m.")
    seconds = sum(int(number or 0) * unit for number, unit in zip(parts.groups(), units.values(), strict=True))
    if not 1 <= seconds <= 30 * units["d"]:
        raise SettingsError(f"{written!r} is no time limit. Remedy: from a second to 30 days.")
    return seconds


def duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 12 min, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 or seconds == int(seconds) else f"{seconds:.1f} s"
    minutes = int(seconds) // 60
    if minutes < 60:
        return f"{minutes} min" + (f" {int(seconds) % 60} s" if minutes < 10 and int(seconds) % 60 else "")
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def _after(fields: Mapping[str, str], zone: ZoneInfo, moment: datetime, *, real: bool) -> datetime | None:
    """`real`: by the time that passes; else by the clock on the wall, each of its times once a day."""
    if real:
        start = moment + timedelta(microseconds=1)
        found: datetime | None = CronTrigger(**fields, timezone=zone, end_date=moment + HORIZON).get_next_fire_time(
            None, start.astimezone(zone)
        )
        return found and found.astimezone(UTC)
    # The wall's clock as if it were UTC: there every time is once.
    wall = moment.astimezone(zone).replace(tzinfo=UTC, fold=0)
    trigger = CronTrigger(**fields, timezone=UTC, end_date=wall + HORIZON)
    while True:
        following: datetime | None = trigger.get_next_fire_time(None, wall + timedelta(microseconds=1))
        if following is None:
            return None
        wall = following
        # fold=0: the first of two; in a gap the offset of before, so that it falls after the gap.
        instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
        if instant > moment:
            return instant


def _fields(text: str) -> dict[str, str]:
    """The fields as APScheduler wants them, spelled out. SettingsError."""
    written = MACROS.get(text.strip().lower(), text).split()
    if len(written) != 5:
        many = f"has {len(written)} field{'s' * (len(written) != 1)}" if written else "is empty"
        if text.strip().startswith("@"):
            raise SettingsError(f'cron "{text}" is not known. Remedy: one of {", ".join(MACROS)}.')
        raise SettingsError(f'cron "{text}" {many}. {_EXAMPLE}')
    minute, hour, day, month, weekday = (_expanded(one, part, text) for one, part in zip(_FIELDS, written, strict=True))
    days = "*" if weekday is None else ",".join(sorted({DAYS[number % 7] for number in weekday}))
    return {
        "month": _listed(month),
        "day": _listed(day),
        "day_of_week": days,
        "hour": _listed(hour),
        "minute": _listed(minute),
    }


def _either_day(text: str) -> bool:
    """Both days are given: then one of them is enough, as crontab(5) has it."""
    written = MACROS.get(text.strip().lower(), text).split()
    return not written[2].startswith("*") and not written[4].startswith("*")


def _listed(numbers: Iterable[int] | None) -> str:
    return "*" if numbers is None else ",".join(map(str, sorted(numbers)))


def _expanded(one: _Field, written: str, text: str) -> set[int] | None:
    """Every number that a field means; None for all of them."""
    if written == "*":
        return None
    found: set[int] = set()
    for part in written.split(","):
        read = _PART.fullmatch(part)
        if read is None:
            raise _wrong(one, part, text)
        star, last, step = read["first"] == "*", read["last"], int(read["step"] or 1)
        if star and last:
            raise _wrong(one, part, text)
        begin = one.least if star else _number(one, read["first"], part, text)
        whole = star or (last is None and read["step"])
        end = one.most if whole else (_number(one, last, part, text) if last else begin)
        if star and one.round:
            end = one.most - 1
        if not 1 <= step <= one.most - one.least:
            raise _wrong(one, part, text)
        if begin > end and one.round:
            end += 7
        if begin > end:
            raise _wrong(one, part, text)
        found.update(number % 7 if one.round else number for number in range(begin, end + 1, step))
    return found


def _number(one: _Field, written: str, part: str, text: str) -> int:
    if written.lower() in one.names:
        return one.names.index(written.lower()) + one.first_name
    if not written.isdecimal() or not one.least <= int(written) <= one.most:
        raise _wrong(one, part, text)
    return int(written)


def _wrong(one: _Field, part: str, text: str) -> SettingsError:
    names = f" or {one.names[0]} to {one.names[-1]}" if one.names else ""
    return SettingsError(
        f'cron "{text}": {part!r} is no {one.name}. '
        f"Remedy: {one.least} to {one.most}{names}; *, ranges 1-5, lists 1,3 and steps */15."
    )
