"""Cron expressions and the dates they mean."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.settings import SettingsError
from spiders.schedule import Cron, Plan, cron_of, due, duration, seconds_of, zone_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)  # a Thursday
BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)


def dates(text: str, tz: str = "UTC", after: datetime = NOW, number: int = 3) -> list[str]:
    """The next dates, on the zone's clock."""
    cron, told = Cron(text, tz), []
    for _ in range(number):
        found = cron.after(after)
        assert found is not None and found > after
        after = found
        told.append(found.astimezone(ZoneInfo(tz)).strftime("%a %m-%d %H:%M%z"))
    return told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 3 * * *", ["Thu 01-01 03:30+0000", "Fri 01-02 03:30+0000", "Sat 01-03 03:30+0000"]),
        ("*/20 * * * *", ["Thu 01-01 00:20+0000", "Thu 01-01 00:40+0000", "Thu 01-01 01:00+0000"]),
        ("5/25 0 * * *", ["Thu 01-01 00:05+0000", "Thu 01-01 00:30+0000", "Thu 01-01 00:55+0000"]),
        # Sunday is 0 and 7, Monday 1: not as APScheduler counts.
        ("0 0 * * 0", ["Sun 01-04 00:00+0000", "Sun 01-11 00:00+0000", "Sun 01-18 00:00+0000"]),
        ("0 0 * * 7", ["Sun 01-04 00:00+0000", "Sun 01-11 00:00+0000", "Sun 01-18 00:00+0000"]),
        ("0 0 * * 1", ["Mon 01-05 00:00+0000", "Mon 01-12 00:00+0000", "Mon 01-19 00:00+0000"]),
        ("0 0 * * sun", ["Sun 01-04 00:00+0000", "Sun 01-11 00:00+0000", "Sun 01-18 00:00+0000"]),
        ("0 0 * * 5-7", ["Fri 01-02 00:00+0000", "Sat 01-03 00:00+0000", "Sun 01-04 00:00+0000"]),
        ("0 0 * * Fri-Mon", ["Fri 01-02 00:00+0000", "Sat 01-03 00:00+0000", "Sun 01-04 00:00+0000"]),
        ("0 0 * * */2", ["Sat 01-03 00:00+0000", "Sun 01-04 00:00+0000", "Tue 01-06 00:00+0000"]),
        ("0 0 * * 1-5/2", ["Fri 01-02 00:00+0000", "Mon 01-05 00:00+0000", "Wed 01-07 00:00+0000"]),
        ("0 12 1 feb,JUL *", ["Sun 02-01 12:00+0000", "Wed 07-01 12:00+0000", "Mon 02-01 12:00+0000"]),
        ("0 0 29 2 *", ["Tue 02-29 00:00+0000", "Sun 02-29 00:00+0000", "Fri 02-29 00:00+0000"]),
        # Both days: one of them is enough.
        ("0 0 13 * 5", ["Fri 01-02 00:00+0000", "Fri 01-09 00:00+0000", "Tue 01-13 00:00+0000"]),
        ("@weekly", ["Sun 01-04 00:00+0000", "Sun 01-11 00:00+0000", "Sun 01-18 00:00+0000"]),
        ("@hourly", ["Thu 01-01 01:00+0000", "Thu 01-01 02:00+0000", "Thu 01-01 03:00+0000"]),
        ("@daily", ["Fri 01-02 00:00+0000", "Sat 01-03 00:00+0000", "Sun 01-04 00:00+0000"]),
        ("@monthly", ["Sun 02-01 00:00+0000", "Sun 03-01 00:00+0000", "Wed 04-01 00:00+0000"]),
        ("@yearly", ["Fri 01-01 00:00+0000", "Sat 01-01 00:00+0000", "Mon 01-01 00:00+0000"]),
    ],
)
def test_a_cron_expression_means_what_crontab_says(text: str, expected: list[str]) -> None:
    assert dates(text) == expected


def test_a_date_in_the_hour_that_summer_time_leaves_out_comes_an_hour_later_that_day() -> None:
    before = datetime(2026, 3, 28, 12, tzinfo=UTC)
    assert dates("30 2 * * *", "Europe/Berlin", before) == [
        "Sun 03-29 03:30+0200",
        "Mon 03-30 02:30+0200",
        "Tue 03-31 02:30+0200",
    ]


def test_a_date_in_the_hour_that_is_there_twice_comes_once() -> None:
    before = datetime(2026, 10, 24, 12, tzinfo=UTC)
    expected = ["Sun 10-25 02:30+0200", "Mon 10-26 02:30+0100", "Tue 10-27 02:30+0100"]
    assert dates("30 2 * * *", "Europe/Berlin", before) == expected
    between = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10 for the second time
    assert dates("30 2 * * *", "Europe/Berlin", between, 1) == expected[1:2]


def test_what_comes_every_hour_goes_by_the_time_that_passes() -> None:
    before = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # 02:00 for the first time
    twice = ["Sun 10-25 02:15+0200", "Sun 10-25 02:15+0100", "Sun 10-25 03:15+0100"]
    assert dates("15 * * * *", "Europe/Berlin", before) == twice
    before = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # 01:30
    assert dates("15 * * * *", "Europe/Berlin", before, 2) == ["Sun 03-29 03:15+0200", "Sun 03-29 04:15+0200"]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["* * * * *", "*/7 * * * *", "15 2 * * *", "0,30 1-4 * * *", "59 23 28-31 * *", "5 */3 * * 1-5"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)),
)
def test_dates_go_forward_and_none_between_is_left_out(text: str, tz: str, naive: datetime) -> None:
    cron, moment = Cron(text, tz), naive.replace(tzinfo=UTC)
    first = cron.after(moment)
    assert first is not None and first > moment
    middle = moment + (first - moment) / 2
    assert cron.after(middle) == first
    assert first.second == first.microsecond == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("0 3 * *", "has 4 fields"),
        ("0 0 3 * * *", "has 6 fields"),
        ("60 * * * *", "'60' is no minute"),
        ("*/90 * * * *", "'*/90' is no minute"),
        ("0 24 * * *", "'24' is no hour"),
        ("0 3 0 * *", "'0' is no day of the month"),
        ("0 3 * 13 *", "'13' is no month"),
        ("0 3 * janfoo *", "'janfoo' is no month"),
        ("0 3 * * 8", "'8' is no weekday"),
        ("0 3 * * funday", "'funday' is no weekday"),
        ("0 3 L * *", "'L' is no day of the month"),
        ("0 5-3 * * *", "'5-3' is no hour"),
        ("0 */0 * * *", "'*/0' is no hour"),
        ("0,,5 * * * *", "'' is no minute"),
        ("@reboot", "is not known.*@hourly"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
    ],
)
def test_a_wrong_cron_expression_names_its_part_and_the_remedy(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told.replace("*/", r"\*/")) as caught:
        cron_of(text, now=NOW)
    assert "Remedy: " in str(caught.value)


@pytest.mark.parametrize(
    ("name", "like"),
    [("Europe/Berln", "Europe/Berlin"), ("berlin", "Europe/Berlin"), ("new york", "America/New_York"), ("../x", "UTC")],
)
def test_a_wrong_zone_names_those_that_look_alike(name: str, like: str) -> None:
    with pytest.raises(SettingsError, match=f"no time zone.*{like}"):
        zone_of(name)


def test_missed_dates_are_one_run_for_the_last_of_them() -> None:
    cron = Cron("0 3 * * *")
    next_at = datetime(2026, 1, 1, 3, tzinfo=UTC)
    now = datetime(2026, 1, 4, 4, tzinfo=UTC)
    done = due(cron, next_at, now, DAY)
    assert (done.run_for, done.missed) == (datetime(2026, 1, 4, 3, tzinfo=UTC), 3)
    assert done.next_at == datetime(2026, 1, 5, 3, tzinfo=UTC)
    at_once = due(cron, next_at, next_at, DAY)
    assert (at_once.run_for, at_once.missed) == (next_at, 0)


def test_what_was_missed_too_long_ago_is_not_made_up_for() -> None:
    cron = Cron("0 3 1 * *")
    late = due(cron, datetime(2026, 1, 1, 3, tzinfo=UTC), datetime(2026, 1, 20, tzinfo=UTC), DAY)
    assert (late.run_for, late.missed) == (None, 1)
    assert late.next_at == datetime(2026, 2, 1, 3, tzinfo=UTC)


def test_a_year_of_missed_minutes_is_one_run_for_the_last_minute() -> None:
    now = datetime(2027, 1, 1, 0, 0, 30, tzinfo=UTC)
    done = due(Cron("* * * * *"), NOW, now, DAY)
    assert done.run_for == datetime(2027, 1, 1, tzinfo=UTC)
    assert done.next_at == datetime(2027, 1, 1, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1_800), ("2h", 7_200), ("1h30m", 5_400), (" 1D ", 86_400), ("1h5", 3_605)],
)
def test_durations_are_read(written: str, seconds: int) -> None:
    assert seconds_of(written) == seconds


@pytest.mark.parametrize("written", ["", "0", "-5", "5 minutes", "m", "31d", "1.5h"])
def test_wrong_durations_are_refused_with_the_remedy(written: str) -> None:
    with pytest.raises(SettingsError, match="Remedy: "):
        seconds_of(written)


def test_durations_are_told_as_people_say_them() -> None:
    told = [duration(seconds) for seconds in (0.4, 7, 45.2, 60, 125, 720, 3_600, 12_000)]
    assert told == ["0.4 s", "7 s", "45 s", "1 min", "2 min 5 s", "12 min", "1 h", "3 h 20 min"]


def test_a_schedule_is_written_in_a_line() -> None:
    plan = Plan("phish", "phishnet", Cron("0 3 * * *", "Europe/Berlin"), {"artist": "Phish"}, 1_800, paused=True)
    assert str(plan) == "phishnet · 0 3 * * * Europe/Berlin · artist=Phish · timeout 30 min · paused"
