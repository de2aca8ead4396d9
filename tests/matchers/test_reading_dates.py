from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.dates import DateError, Precision, clock, impossible, readings, source_date, source_start

READ = [
    ("2014-11-14", ["2014-11-14/2014-11-14 day"]),
    ("14/11/14", ["2014-11-14/2014-11-14 day"]),
    ("11/14/2014", ["2014-11-14/2014-11-14 day"]),
    ("14.11.2014", ["2014-11-14/2014-11-14 day"]),
    ("9/25/22", ["2022-09-25/2022-09-25 day"]),
    ("31/12/99", ["1999-12-31/1999-12-31 day"]),
    ("05/05/2014", ["2014-05-05/2014-05-05 day"]),
    ("03/04/2014", ["2014-03-04/2014-03-04 day", "2014-04-03/2014-04-03 day"]),
    ("12/11/10", ["2010-11-12/2010-11-12 day", "2010-12-11/2010-12-11 day"]),
    ("20141114", ["2014-11-14/2014-11-14 day"]),
    ("14 Nov 2014", ["2014-11-14/2014-11-14 day"]),
    ("Fri, 14th November 2014", ["2014-11-14/2014-11-14 day"]),
    ("November 14, 2014", ["2014-11-14/2014-11-14 day"]),
    ("12. März 2025", ["2025-03-12/2025-03-12 day"]),
    ("14 de novembro de 2014", ["2014-11-14/2014-11-14 day"]),
    ("2014-11-14T20:00:00+01:00", ["2014-11-14/2014-11-14 day"]),
    ("2014-11-15T00:30", ["2014-11-14/2014-11-15 day"]),
    ("Nov 2014", ["2014-11-01/2014-11-30 month"]),
    ("2014-11", ["2014-11-01/2014-11-30 month"]),
    ("11/2014", ["2014-11-01/2014-11-30 month"]),
    ("Feb '16", ["2016-02-01/2016-02-29 month"]),
    ("2014", ["2014-01-01/2014-12-31 year"]),
    ("ca. 2014?", ["2014-01-01/2014-12-31 year"]),
    ("the 90s", ["1990-01-01/1999-12-31 range"]),
    ("summer 2014", ["2014-06-01/2014-09-22 season"]),
    ("Verão 2014", ["2014-06-01/2014-09-22 season"]),
    ("winter 2014", ["2013-12-01/2014-03-21 season", "2014-12-01/2015-03-21 season"]),
    ("2014-11-14/2014-11-16", ["2014-11-14/2014-11-16 range"]),
    ("14-16 Nov 2014", ["2014-11-14/2014-11-16 range"]),
    ("Nov 2014 - Feb 2015", ["2014-11-01/2015-02-28 range"]),
    ("2013-2015", ["2013-01-01/2015-12-31 range"]),
    ("late Nov 2014", ["2014-11-18/2014-11-30 range"]),
    ("2014-02-31", []),
    ("13/13/2013", []),
    ("2014-11-16/2014-11-14", []),
    ("soon", []),
    ("", []),
    ("0000-01-01", []),
    ("9999-12-31", []),
]


@pytest.mark.parametrize(("typed", "meant"), READ)
def test_typed_dates_are_read_as_intervals_with_every_reading(typed: str, meant: list[str]) -> None:
    assert [f"{when.start}/{when.end} {when.precision}" for when in readings(typed)] == meant


def test_seasons_turn_south_of_the_equator() -> None:
    (winter,) = readings("winter 2014", southern=True)
    assert (winter.start, winter.end) == (date(2014, 6, 1), date(2014, 9, 22))


@given(st.dates(date(1900, 1, 1), date(2190, 12, 31)))
def test_iso_dates_are_that_one_night(day: date) -> None:
    (when,) = readings(day.isoformat())
    assert (when.start, when.end, when.precision) == (day, day, Precision.DAY)
    assert source_date(day.isoformat()).night == day
    assert source_date(f"{day:%d-%m-}{day.year:04}").night == day


@given(
    st.text(max_size=40)
    | st.from_regex(r"[0-9]{1,4}[-/. ][0-9]{1,2}[-/. ][0-9]{1,4}([T ][0-9:+Z]{0,14})?", fullmatch=True)
)
def test_no_text_breaks_the_readers(text: str) -> None:
    for when in readings(text):
        assert when.start <= when.end
    try:
        assert source_date(text).night
    except DateError as error:
        assert str(error)
    source_start(text, date(2014, 11, 14))
    clock(text)


@pytest.mark.parametrize(
    ("written", "night"),
    [
        ("14-11-2014", date(2014, 11, 14)),
        ("03-04-2014", date(2014, 4, 3)),
        ("03.04.2014", date(2014, 4, 3)),
        ("25/12/2014", date(2014, 12, 25)),
        ("2014-11-15T00:30:00", date(2014, 11, 14)),
        ("2014-11-14T00:00:00", date(2014, 11, 14)),
        ("2014-11-14 20:00:00", date(2014, 11, 14)),
        ("Sat 15 Nov 2014", date(2014, 11, 15)),
    ],
)
def test_a_source_date_is_one_night(written: str, night: date) -> None:
    assert source_date(written).night == night


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("2014-02-31", "does not exist"),
        ("03/04/2014", "2014-03-04 or 2014-04-03"),
        ("Nov 2014", "no single night"),
        ("soon", "no date"),
        ("0000-00-00", "year"),
    ],
)
def test_a_source_date_that_is_none_says_why(written: str, said: str) -> None:
    with pytest.raises(DateError, match=said):
        source_date(written)


def test_small_hours_belong_to_the_evening_before() -> None:
    night = date(2014, 11, 14)
    told = {hour: source_start(hour, night) for hour in ("00:30", "04:59", "05:00", "20:00")}
    assert {hour: one.night for hour, one in told.items() if one} == {
        "00:30": night - timedelta(days=1),
        "04:59": night - timedelta(days=1),
        "05:00": night,
        "20:00": night,
    }


@pytest.mark.parametrize(
    ("typed", "hour"),
    [
        ("20:00", time(20)),
        ("8pm", time(20)),
        ("8:30 PM", time(20, 30)),
        ("12am", time(0)),
        ("20h30", time(20, 30)),
        ("20 Uhr", time(20)),
        ("24:00", time(0)),
        ("25:00", None),
        ("evening", None),
    ],
)
def test_hours_are_read_as_people_write_them(typed: str, hour: time | None) -> None:
    assert clock(typed) == hour


def test_a_moment_keeps_its_zone() -> None:
    moment = source_date("2014-11-14T20:00:00Z")
    assert moment.start == datetime(2014, 11, 14, 20, tzinfo=UTC)


@pytest.mark.parametrize("typed", ["2014-02-31", "31/02/2014", "2014-13-01", "2014-06-02/2014-06-01", "99.99.2014"])
def test_what_has_the_form_of_a_date_and_is_none_is_impossible(typed: str) -> None:
    assert impossible(typed)


POSSIBLE = ["2014-02-28", "14/11/14", "11/14/2014", "2014", "summer 2014", "around then", "2014-06-01/2014-06-02"]


@pytest.mark.parametrize("typed", POSSIBLE)
def test_what_can_be_or_has_no_such_form_is_not_judged(typed: str) -> None:
    assert impossible(typed) is None
