"""When a digest is due: by the user's calendar and clock, whatever these do.

A week is that of ISO 8601, Monday to Sunday, where the user is. Nothing is computed by adding hours: an instant is
looked at as the user's wall shows it, so the days on which clocks change need no care.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

LEAST_APART = timedelta(days=4)
"""Between two digests, however the weeks fall: one on Sunday evening and one on Monday morning are too many."""


@dataclass(frozen=True)
class Manners:
    """How a user wants to be told."""

    digest: bool = True
    tz: str = "UTC"
    quiet_from: time = time(22)
    quiet_until: time = time(8)


@dataclass(frozen=True)
class Last:
    """The last digest."""

    week: str
    at: datetime


def zone_of(name: str) -> ZoneInfo:
    """The zone; UTC where the system has none of that name any more."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def week_of(at: datetime, tz: str) -> str:
    """2026-W48: later weeks are greater, also as texts."""
    year, week, _ = at.astimezone(zone_of(tz)).isocalendar()
    return f"{year:04}-W{week:02}"


def is_quiet(at: datetime, manners: Manners) -> bool:
    """Whether the user's wall shows a time from `quiet_from` to before `quiet_until`, across midnight or not."""
    wall = at.astimezone(zone_of(manners.tz)).time()
    begins, ends = manners.quiet_from, manners.quiet_until
    if begins <= ends:
        return begins <= wall < ends
    return wall >= begins or wall < ends


def due_week(now: datetime, manners: Manners, last: Last | None) -> str | None:
    """The week whose digest may go out now; None: not now."""
    if not manners.digest or is_quiet(now, manners):
        return None
    week = week_of(now, manners.tz)
    # A user who flies west comes back into a week that has had its digest.
    if last is not None and (week <= last.week or now < last.at + LEAST_APART):
        return None
    return week


def not_before(now: datetime, manners: Manners, last: Last | None) -> datetime:
    """Until when nobody need look again; `now` when one is due."""
    zone = zone_of(manners.tz)
    earliest = now
    if last is not None and week_of(now, manners.tz) <= last.week:
        today = now.astimezone(zone).date()
        monday = today + timedelta(days=7 - today.weekday())
        earliest = max(earliest, datetime.combine(monday, time(), zone).astimezone(UTC))
    if last is not None:
        earliest = max(earliest, last.at + LEAST_APART)
    if is_quiet(earliest, manners):
        wall = earliest.astimezone(zone)
        days = 1 if wall.time() >= manners.quiet_until else 0
        ends = datetime.combine(wall.date() + timedelta(days=days), manners.quiet_until, zone)
        earliest = max(earliest, ends.astimezone(UTC))
    return earliest
