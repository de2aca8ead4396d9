from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.dates import (
    DateError,
    Hours,
    Order,
    Precision,
    clock,
    impossible,
    readings,
    source_date,
    source_start,
    told_hours,
    zone,
)

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
    ("12-14 Nov 2014", ["2014-11-12/2014-11-14 range"]),
    ("Nov 12 - 14, 2014", ["2014-11-12/2014-11-14 range"]),
    ("12.-14.11.2014", ["2014-11-12/2014-11-14 range"]),
    ("12.11.-14.11.2014", ["2014-11-12/2014-11-14 range"]),
    ("12./13.11.2014", ["2014-11-12/2014-11-13 range"]),
    ("12/13 Nov 2014", ["2014-11-12/2014-11-13 range"]),
    ("11/12-14/2014", ["2014-11-12/2014-11-14 range"]),
    ("from 12 to 14 Nov 2014", ["2014-11-12/2014-11-14 range"]),
    ("between Nov 12 and Nov 14, 2014", ["2014-11-12/2014-11-14 range"]),
    ("between 2010 and 2012", ["2010-01-01/2012-12-31 range"]),
    ("vom 12. bis 14. November 2014", ["2014-11-12/2014-11-14 range"]),
    ("du 12 au 14 novembre 2014", ["2014-11-12/2014-11-14 range"]),
    ("2014-11-14 to 2014-11-16", ["2014-11-14/2014-11-16 range"]),
    ("2014-11-12..14", ["2014-11-12/2014-11-14 range"]),
    ("Nov 30 - Dec 2, 2014", ["2014-11-30/2014-12-02 range"]),
    ("Dec 30 - Jan 2, 2015", ["2014-12-30/2015-01-02 range"]),
    ("03/04/2014 - 05/04/2014", ["2014-03-04/2014-05-04 range", "2014-04-03/2014-04-05 range"]),
    ("12 and 13 Nov 2014", ["2014-11-12/2014-11-13 range"]),
    ("12 or 14 Nov 2014", ["2014-11-12/2014-11-12 day", "2014-11-14/2014-11-14 day"]),
    ("2013/14", ["2013-01-01/2014-12-31 range"]),
    ("Halloween 1980", ["1980-10-31/1980-10-31 day"]),
    ("New Year's Eve 1976", ["1976-12-31/1976-12-31 day"]),
    ("NYE 1999/2000", ["1999-12-31/1999-12-31 day"]),
    ("Silvester 2001", ["2001-12-31/2001-12-31 day"]),
    ("Friday the 13th, May 1977", ["1977-05-13/1977-05-13 day"]),
    ("Friday the 13th 1977", ["1977-05-13/1977-05-13 day"]),
    ("Boxing Day 1999", ["1999-12-26/1999-12-26 day"]),
    ("4th of July 1989", ["1989-07-04/1989-07-04 day"]),
    ("St. Patrick's Day 1991", ["1991-03-17/1991-03-17 day"]),
    ("Thanksgiving 1976", ["1976-11-25/1976-11-25 day"]),
    ("Easter Sunday 1998", ["1998-04-12/1998-04-12 day"]),
    ("Easter 1998", ["1998-04-10/1998-04-13 range"]),
    ("Labor Day weekend 1999", ["1999-09-03/1999-09-06 range"]),
    ("last Saturday of May 2014", ["2014-05-31/2014-05-31 day"]),
    ("letzter Samstag im Mai 2014", ["2014-05-31/2014-05-31 day"]),
    ("first weekend of June 2013", ["2013-05-31/2013-06-02 range"]),
    ("weekend of 14 Nov 2014", ["2014-11-14/2014-11-16 range"]),
    ("the summer of '69", ["1969-06-01/1969-09-22 season"]),
    ("winter 2013/14", ["2013-12-01/2014-03-21 season"]),
    ("Mitte Mai 2014", ["2014-05-08/2014-05-24 range"]),
    ("first half of 2014", ["2014-01-01/2014-07-01 range"]),
    ("early 90s", ["1990-01-01/1993-12-31 range"]),
    ("les années 90", ["1990-01-01/1999-12-31 range"]),
    ("Q3 2014", ["2014-07-01/2014-09-30 range"]),
    ("around 14 Nov 2014", ["2014-11-11/2014-11-17 range"]),
    ("before 2010", []),
    ("2014年11月14日(金)", ["2014-11-14/2014-11-14 day"]),
    ("２０１４／１１／１４", ["2014-11-14/2014-11-14 day"]),
    ("2014년 11월 14일", ["2014-11-14/2014-11-14 day"]),
    ("14 ноября 2014 г.", ["2014-11-14/2014-11-14 day"]),
    ("14 listopada 2014", ["2014-11-14/2014-11-14 day"]),
    ("vendredi 14 novembre 2014", ["2014-11-14/2014-11-14 day"]),
    ("Fr. 14.11.14 20:00 Uhr", ["2014-11-14/2014-11-14 day"]),
    ("Fri Nov 14 20:00:00 2014", ["2014-11-14/2014-11-14 day"]),
    ("Fri, 14 Nov 2014 20:00:00 +0100", ["2014-11-14/2014-11-14 day"]),
    ("14 Nov 2014 (late show)", ["2014-11-14/2014-11-14 day"]),
    ("11/14/2014 (Friday)", ["2014-11-14/2014-11-14 day"]),
    ("14 Novemeber 2014", ["2014-11-14/2014-11-14 day"]),
    ("Mar 12 2014", ["2014-03-12/2014-03-12 day"]),
    ("mar 11 nov 2014", ["2014-11-11/2014-11-11 day"]),
    ("14112014", ["2014-11-14/2014-11-14 day"]),
    ("41957", ["2014-11-14/2014-11-14 day"]),
    ("2014-11-00", ["2014-11-01/2014-11-30 month"]),
    ("2014-??-??", ["2014-01-01/2014-12-31 year"]),
    ("12 Nov", []),
    ("Sat 12 Nov", []),
    ("Room 2014", []),
    ("x" * 10_000, []),
    ("soon", []),
    ("", []),
    ("0000-01-01", []),
    ("9999-12-31", []),
]


@pytest.mark.parametrize(("typed", "meant"), READ)
def test_typed_dates_are_read_as_intervals_with_every_reading(typed: str, meant: list[str]) -> None:
    assert [f"{when.start}/{when.end} {when.precision}" for when in readings(typed)] == meant


WEEKDAYS = [
    ("Sat 12 Nov 2016", ["2016-11-12"]),
    ("Sat 05/11/2016", ["2016-11-05"]),
    ("Sat 11/05/2016", ["2016-11-05"]),
    ("Samstag, 12.11.2016", ["2016-11-12"]),
    # A Thursday: the day as typed, the nearest Saturday, the same day of the next year and of the next month.
    ("Sat 12 Nov 2015", ["2015-11-12?", "2015-11-14?", "2016-11-12?", "2015-12-12?"]),
    ("a Saturday in May 2014", ["2014-05-03", "2014-05-10", "2014-05-17", "2014-05-24", "2014-05-31"]),
]


@pytest.mark.parametrize(("typed", "meant"), WEEKDAYS)
def test_a_weekday_settles_the_order_or_is_doubt(typed: str, meant: list[str]) -> None:
    assert [f"{when.start}{'?' * when.doubt}" for when in readings(typed)] == meant


def test_the_order_of_the_column_settles_what_a_row_leaves_open() -> None:
    assert [when.start for when in readings("03/04/2014", order=Order.DMY)] == [date(2014, 4, 3)]
    assert [when.start for when in readings("03/04/2014", order=Order.MDY)] == [date(2014, 3, 4)]
    assert [when.start for when in readings("14/11/12", order=Order.YMD)] == [date(2014, 11, 12)]
    assert [when.start for when in readings("25/12/2014", order=Order.MDY)] == [date(2014, 12, 25)]
    assert source_date("03/04/2014", Order.MDY).night == date(2014, 3, 4)
    assert source_date("03-04-2014", Order.MDY).night == date(2014, 3, 4)
    # A weekday that contradicts the column: doubt, with the day that it fits beside.
    doubtful = readings("Tue 03/04/2014", order=Order.DMY)
    assert [(when.start, when.doubt) for when in doubtful][:2] == [(date(2014, 4, 3), True), (date(2014, 3, 4), True)]


def test_a_date_without_year_is_read_by_the_years_of_its_row() -> None:
    assert [when.start for when in readings("Sat 12 Nov", years=(2015, 2016))] == [date(2016, 11, 12)]
    assert [when.start for when in readings("12.11.", years=(2016,))] == [date(2016, 11, 12), date(2016, 12, 11)]
    assert source_date("Sat 12 Nov", years=(2016,)).night == date(2016, 11, 12)


def test_an_instant_is_the_night_by_the_clock_of_the_place() -> None:
    (when,) = readings("2014-11-15T03:00:00Z", tz=zone("America/Los_Angeles"))
    assert (when.start, when.days) == (date(2014, 11, 14), 1)
    (when,) = readings("Fri, 14 Nov 2014 20:00:00 +0000", tz=zone("Australia/Sydney"))
    assert when.start == date(2014, 11, 15)


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
        ("Tue 04/03/2014", date(2014, 3, 4)),
        ("Fri, 14 Nov 2014 20:00:00 +0100", date(2014, 11, 14)),
        ("15.11.2014 00:30", date(2014, 11, 14)),
        ("11/14/2014 8:00 PM", date(2014, 11, 14)),
        ("2019-W46-5", date(2019, 11, 15)),
        ("15.XI.2019", date(2019, 11, 15)),
        ("03.IV.2014", date(2014, 4, 3)),
        ("15·11·2019", date(2019, 11, 15)),
        ("١٥ نوفمبر ٢٠١٩", date(2019, 11, 15)),
        ("15 בנובמבר 2019", date(2019, 11, 15)),
        ("lau. 12. nóv 2022", date(2022, 11, 12)),
        ("20112014", date(2014, 11, 20)),
        ("22112014", date(2014, 11, 22)),
        ("~15 Nov 2019", date(2019, 11, 15)),
    ],
)
def test_a_source_date_is_one_night(written: str, night: date) -> None:
    assert source_date(written).night == night


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("2014-02-31", "does not exist"),
        ("03/04/2014", "2014-03-04 or 2014-04-03"),
        ("03/04/2014", "date_order"),
        ("12-14 Nov 2014", "no single night; list each night for itself"),
        ("2014-11-14/2014-11-16", "list each night for itself"),
        ("2014-W99-1", "does not exist"),
        ("?", r"'\?'"),
        ("1850-01-01", "between 1900 and 2299"),
        ("2300-01-01", "between 1900 and 2299"),
        ("31 Feb 2014", "does not exist"),
        ("Nov 2014", "no single night"),
        ("soon", "no date"),
        ("0000-00-00", "year"),
    ],
)
def test_a_source_date_that_is_none_says_why(written: str, said: str) -> None:
    with pytest.raises(DateError, match=said):
        source_date(written)


HOUR_IN_DATE = [
    ("2019-11-15 19:00-23:00", "2019-11-15T19:00:00"),
    ("2019-11-15T19:00-23:00", "2019-11-15T19:00:00"),
    ("2019-11-15 20:00 - 23:00", "2019-11-15T20:00:00"),
    ("2019-11-15 20:00-02:00", "2019-11-15T20:00:00"),
    ("2019-11-15T20:00-05:00", "2019-11-15T20:00:00-05:00"),
    ("2019-11-15 20:00:00-05", "2019-11-15T20:00:00-05:00"),
    ("2019-11-15 20:00 - 2019-11-16 02:00", "2019-11-15T20:00:00"),
    ("Sat 16 Nov 2019 7:00pm-11:00pm", "2019-11-16T19:00:00"),
    ("16.11.2019 19:00-23:00", "2019-11-16T19:00:00"),
    ("16.11.2019, Einlass 19 Uhr, Beginn 20 Uhr", "2019-11-16T20:00:00"),
    ("2019-11-16 doors 19:00 start 20:00", "2019-11-16T20:00:00"),
    ("16 Nov 2019, doors 19:00", "2019-11-16T19:00:00 doors"),
    ("venerdì 15 novembre 2019 ore 21", "2019-11-15T21:00:00"),
    ("Fr 15.11.2019 · 20:00 Uhr", "2019-11-15T20:00:00"),
]


@pytest.mark.parametrize(("written", "start"), HOUR_IN_DATE)
def test_hours_behind_a_date_are_its_start_and_move_no_night(written: str, start: str) -> None:
    told = source_date(written)
    assert told.start is not None
    assert told.start.isoformat() + " doors" * told.doors == start
    assert told.night == told.start.date()
    (reading,) = readings(written)
    assert reading.start == told.night


STARTS = [
    ("8:30p", "2014-11-14T20:30:00"),
    ("8p", "2014-11-14T20:00:00"),
    ("ore 21", "2014-11-14T21:00:00"),
    ("kl. 19", "2014-11-14T19:00:00"),
    ("24:00", "2014-11-15T00:00:00"),
    ("20:00+01:00", "2014-11-14T20:00:00+01:00"),
    ("20:00:00.000Z", "2014-11-14T20:00:00+00:00"),
    ("00:00:00Z", None),
    ("20:00 a 23:00", "2014-11-14T20:00:00"),
    ("8", None),
]


@pytest.mark.parametrize(("written", "start"), STARTS)
def test_a_start_of_its_own_is_an_hour_of_the_night(written: str, start: str | None) -> None:
    told = source_start(written, date(2014, 11, 14))
    assert (told and told.start and told.start.isoformat()) == start
    assert told is None or told.night == date(2014, 11, 14)


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


HOURS = [
    ("doors 7, show 8", time(19), time(20)),
    ("Doors: 7pm / Show: 8pm", time(19), time(20)),
    ("19:00 Einlass, 20:00 Beginn", time(19), time(20)),
    ("7pm (doors), 8pm (show)", time(19), time(20)),
    ("8pm doors", time(20), None),
    ("20:00 - 23:00", None, time(20)),
    ("7:30pm & 10pm", None, None),
    ("2014-11-14T20:00", None, None),
    ("14.11.2014", None, None),
]


@pytest.mark.parametrize(("typed", "doors", "start"), HOURS)
def test_doors_are_told_from_the_start(typed: str, doors: time | None, start: time | None) -> None:
    assert told_hours(typed) == Hours(doors, start)


def test_a_source_whose_weekday_is_wrong_is_in_doubt() -> None:
    assert source_date("Sat 12 Nov 2015").doubt == "2015-11-12 is a Thursday"
    assert source_date("Thu 12 Nov 2015").doubt is None
    assert source_date("~15 Nov 2019").doubt == "the source says about 2019-11-15"


def test_midnight_sharp_without_a_zone_is_no_hour() -> None:
    assert source_start("00:00:00", date(2014, 11, 14)) is None
    told = source_start("2014-11-14T00:00:00", None)
    assert told is not None
    assert (told.night, told.start) == (date(2014, 11, 14), None)


def test_a_moment_keeps_its_zone() -> None:
    moment = source_date("2014-11-14T20:00:00Z")
    assert moment.start == datetime(2014, 11, 14, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "typed",
    [
        "2014-02-31",
        "31/02/2014",
        "2014-13-01",
        "2014-06-02/2014-06-01",
        "99.99.2014",
        "31 Feb 2014",
        "Nov 31, 2014",
        "9999-12-31",
        "0000",
    ],
)
def test_what_has_the_form_of_a_date_and_is_none_is_impossible(typed: str) -> None:
    assert impossible(typed)


POSSIBLE = [
    "2014-02-28",
    "14/11/14",
    "11/14/2014",
    "2014",
    "summer 2014",
    "around then",
    "2014-06-01/2014-06-02",
    "12 Nov",
]


@pytest.mark.parametrize("typed", POSSIBLE)
def test_what_can_be_or_has_no_such_form_is_not_judged(typed: str) -> None:
    assert impossible(typed) is None
