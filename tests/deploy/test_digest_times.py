"""When a digest is due: over weeks, zones and the days on which clocks change."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.digests.times import LEAST_APART, Last, Manners, due_week, is_quiet, not_before, week_of

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Kiritimati")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_week_is_that_of_the_users_own_calendar() -> None:
    sunday_evening = at("2026-11-22T20:00")
    weeks = {zone: week_of(sunday_evening, zone) for zone in ("America/New_York", "UTC", "Pacific/Kiritimati")}
    assert weeks == {"America/New_York": "2026-W47", "UTC": "2026-W47", "Pacific/Kiritimati": "2026-W48"}
    assert week_of(at("2027-01-01T12:00"), "UTC") == "2026-W53"
    assert week_of(at("2027-01-04T12:00"), "UTC") > "2026-W53"


def test_a_zone_that_the_system_has_no_more_reads_as_utc() -> None:
    assert week_of(at("2026-11-22T20:00"), "Atlantis/Capital") == "2026-W47"


@pytest.mark.parametrize(
    ("quiet_from", "quiet_until", "quiet", "loud"),
    [
        (time(22), time(8), ("22:00", "23:59", "00:00", "07:59"), ("08:00", "21:59")),
        (time(1), time(5), ("01:00", "04:59"), ("00:59", "05:00", "23:00")),
        (time(9), time(9), (), ("00:00", "09:00", "23:59")),
    ],
)
def test_quiet_hours_hold_across_midnight_or_not_at_all(
    quiet_from: time, quiet_until: time, quiet: tuple[str, ...], loud: tuple[str, ...]
) -> None:
    manners = Manners(quiet_from=quiet_from, quiet_until=quiet_until)
    assert all(is_quiet(at(f"2026-11-23T{one}"), manners) for one in quiet)
    assert not any(is_quiet(at(f"2026-11-23T{one}"), manners) for one in loud)


def test_quiet_hours_are_those_of_the_wall_on_the_days_when_clocks_change() -> None:
    berlin = Manners(tz="Europe/Berlin")
    # 29 March 2026: 02:00 becomes 03:00. 25 October 2026: 03:00 becomes 02:00.
    for instant, quiet in (
        ("2026-03-28T06:59", True),
        ("2026-03-28T07:00", False),
        ("2026-03-29T05:59", True),
        ("2026-03-29T06:00", False),
        ("2026-10-24T06:00", False),
        ("2026-10-25T06:59", True),
        ("2026-10-25T07:00", False),
        ("2026-10-25T21:00", True),
    ):
        assert is_quiet(at(instant), berlin) is quiet, instant


def test_one_digest_a_week_at_the_first_loud_moment_of_the_next() -> None:
    berlin = Manners(tz="Europe/Berlin")
    last = Last("2026-W43", at("2026-10-20T09:00"))
    # Saturday before the clocks change; Monday after it begins an hour later by UTC.
    assert due_week(at("2026-10-24T12:00"), berlin, last) is None
    assert not_before(at("2026-10-24T12:00"), berlin, last) == at("2026-10-26T07:00")
    assert due_week(at("2026-10-26T06:59"), berlin, last) is None
    assert due_week(at("2026-10-26T07:00"), berlin, last) == "2026-W44"


def test_sunday_evening_and_monday_morning_are_no_two_weeks() -> None:
    last = Last("2026-W47", at("2026-11-22T20:00"))
    assert due_week(at("2026-11-23T12:00"), Manners(), last) is None
    assert due_week(last.at + LEAST_APART, Manners(), last) == "2026-W48"


def test_who_flies_west_into_the_week_before_gets_no_second_digest() -> None:
    last = Last("2026-W48", at("2026-11-22T20:00"))  # Monday already, in Kiritimati
    week_later = at("2026-11-29T20:00")
    assert due_week(week_later, Manners(tz="America/New_York"), last) is None
    assert due_week(week_later, Manners(tz="Pacific/Kiritimati"), last) == "2026-W49"


def test_who_stopped_it_gets_none() -> None:
    assert due_week(at("2026-11-23T12:00"), Manners(digest=False), None) is None


moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))
walls = st.times().map(lambda one: one.replace(second=0, microsecond=0))


@given(now=moments, zone=st.sampled_from(ZONES), quiet=st.tuples(walls, walls), ago=st.floats(0, 20) | st.none())
def test_nobody_who_waits_until_then_is_late_and_nothing_is_due_before(
    now: datetime, zone: str, quiet: tuple[time, time], ago: float | None
) -> None:
    manners = Manners(True, zone, *quiet)
    last = None
    if ago is not None:
        then = now - timedelta(days=ago)
        last = Last(week_of(then, zone), then)
    until = not_before(now, manners, last)
    if due_week(now, manners, last) is not None:
        assert until == now
        return
    assert until > now
    passed = until - now
    for share in (0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999):
        assert due_week(now + passed * share, manners, last) is None
    # A wall time that the clocks leave out, or show twice, may put it off by the hour that they change.
    assert any(due_week(until + timedelta(minutes=m), manners, last) is not None for m in (0, 30, 60))


@given(
    zone=st.sampled_from(ZONES),
    looks=st.lists(st.floats(0.01, 3.0), min_size=20, max_size=60),
    start=moments,
    quiet=st.tuples(walls, walls),
)
def test_however_often_it_is_looked_there_is_one_a_week_at_most(
    zone: str, looks: list[float], start: datetime, quiet: tuple[time, time]
) -> None:
    manners, last, now = Manners(True, zone, *quiet), None, start
    weeks: list[str] = []
    for days in looks:
        now += timedelta(days=days)
        week = due_week(now, manners, last)
        if week is not None:
            weeks.append(week)
            last = Last(week, now)
            assert not is_quiet(now, manners)
    assert len(weeks) == len(set(weeks)) and weeks == sorted(weeks)
