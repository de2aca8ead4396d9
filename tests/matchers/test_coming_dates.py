"""Dates without a year, from pages of what comes."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from matchers.dates import DateError, Order, coming_date
from matchers.normalise import normalise
from schemas.listing import Listing
from schemas.raw import RawEvent
from schemas.rejection import Reason
from schemas.rows import envelope


@pytest.mark.parametrize(
    ("text", "month", "night", "doubtful"),
    [
        ("Sun 5th Jan", (2020, 1), (2020, 1, 5), False),
        ("Sun 5th Jan", (2019, 12), (2020, 1, 5), False),
        ("Sun 5 Jan 3:00pm", (2020, 1), (2020, 1, 5), False),
        ("Tuesday, Aug 11", (2026, 8), (2026, 8, 11), False),  # not August 2011
        ("Tuesday, Aug 11 @ 10:00 am", (2026, 8), (2026, 8, 11), False),
        ("Aug 11", (2026, 8), (2026, 8, 11), True),
        ("vr 22 jul", (2022, 7), (2022, 7, 22), False),
        ("15/12 (man)", (2025, 12), (2025, 12, 15), False),
        ("29 Feb", (2023, 5), (2024, 2, 29), False),  # of three years one has such a day
        ("15 January", (2019, 12), (2020, 1, 15), True),
        ("15 December", (2020, 1), (2019, 12, 15), True),  # just gone by, and still on the page
        ("15 November", (2020, 1), (2020, 11, 15), True),
        ("Mon 5 Jan", (2020, 1), (2020, 1, 5), True),  # a Monday in none of the three
        ("Mon 5 Jan 2015", (2020, 1), (2015, 1, 5), False),
    ],
)
def test_the_weekday_decides_else_the_month_of_reading_and_then_in_doubt(
    text: str, month: tuple[int, int], night: tuple[int, int, int], doubtful: bool
) -> None:
    told = coming_date(text, date(*month, 1))
    assert (told.night, told.doubt is not None) == (date(*night), doubtful)


@pytest.mark.parametrize("text", ["tomorrow", "Fri 10th - Mon 13th Jan", "5/1", "31 Feb", "", "x" * 500])
def test_what_is_no_single_night_is_refused(text: str) -> None:
    with pytest.raises(DateError):
        coming_date(text, date(2020, 1, 1))


def test_the_order_of_numbers_counts_here_too() -> None:
    assert coming_date("Sat 3/1", date(2024, 12, 1), Order.MDY).night == date(2025, 3, 1)
    assert coming_date("Sun 5/1", date(2024, 12, 1), Order.DMY).night == date(2025, 1, 5)


def normalised(**fields: Any) -> Any:
    at = datetime(2020, 1, 5, tzinfo=UTC)
    return normalise(envelope(RawEvent, source="x", source_id="1", seen_at=at, spider="x", fields=fields))


def test_a_message_says_in_which_month_its_page_was_read() -> None:
    (found,) = normalised(title="Moths", date="Sun 12 Jan", read_in="2020-01")
    assert isinstance(found, Listing) and found.night == date(2020, 1, 12) and found.doubt is None
    (found,) = normalised(title="Moths", date="12 January", read_in="2020-01")
    assert found.night == date(2020, 1, 12) and "tells no year" in (found.doubt or "")
    assert normalised(title="Moths", date="12 January").reason is Reason.BAD_DATE
    assert normalised(title="Moths", date="12 January", read_in="soon").reason is Reason.BAD_DATE
