"""What a whole column decides: the order of day and month, an hour that stands for none."""

import random
from collections.abc import Callable
from datetime import date, time, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.columns import DECIDED, Columns, column_order, synthetic_time
from matchers.dates import Order
from matchers.files import Refusal, read_messages
from schemas.listing import Listing
from schemas.raw import RawEvent
from schemas.rows import raw_from_row

RANDOM = random.Random(1)
NIGHTS = [date(2012, 1, 1) + timedelta(days=RANDOM.randrange(2_000)) for _ in range(60)]
EITHER = [night for night in NIGHTS if night.day <= 12 and night.day != night.month]

COLUMNS = [
    ("day first", [f"{n:%d/%m/%Y}" for n in NIGHTS], Order.DMY),
    ("month first", [f"{n:%m/%d/%Y}" for n in NIGHTS], Order.MDY),
    ("two-digit years", [f"{n:%m/%d/%y}" for n in NIGHTS], Order.MDY),
    ("with hours", [f"{n:%m/%d/%Y} 8:00 PM" for n in NIGHTS], Order.MDY),
    ("a slip in sixty", [f"{n:%d/%m/%Y}" for n in NIGHTS] + ["11/14/2014"], Order.DMY),
    ("one row that tells", ["25/12/2014", "03/04/2014"], Order.DMY),
    ("told by weekdays", [f"{n:%a %d/%m/%Y}" for n in EITHER], Order.DMY),
    ("told by the rows' order", [f"{n:%d/%m/%Y}" for n in sorted(EITHER)], Order.DMY),
    ("newest first", [f"{n:%m/%d/%Y}" for n in sorted(EITHER, reverse=True)], Order.MDY),
    ("nothing tells", [f"{n:%d/%m/%Y}" for n in EITHER], None),
    ("sorted as texts, which proves nothing", sorted(f"{n:%d/%m/%Y}" for n in EITHER), None),
    ("half and half", [f"{n:%d/%m/%Y}" for n in NIGHTS[:30]] + [f"{n:%m/%d/%Y}" for n in NIGHTS[30:]], None),
    ("year first in two digits, which could be day first", [f"{n:%y/%m/%d}" for n in NIGHTS], None),
    ("needs no order", ["2014-11-14", "14 Nov 2014", "soon"], None),
    ("empty", [], None),
]


@pytest.mark.parametrize(("name", "texts", "order"), COLUMNS, ids=[name for name, *_ in COLUMNS])
def test_the_order_is_decided_by_the_whole_column(name: str, texts: list[str], order: Order | None) -> None:
    found = column_order(texts)
    assert found.order is order
    assert (found.confidence >= DECIDED) or order is None


def test_the_decision_is_told_with_what_it_rests_on() -> None:
    found = column_order(["25/12/2014", "03/04/2014", "26/12/2014", "25/12/2014"])
    assert (found.day_first_only, found.month_first_only, found.ambiguous) == (2, 0, 1)
    assert found.text == "dates read day first, 98.7% sure (2 day first; 1 could be either)"


def test_a_long_column_of_one_order_is_as_sure_as_a_short_one() -> None:
    texts = [f"{day}/{month}/{year}" for year in range(1950, 2020) for month in range(1, 13) for day in range(1, 29)]
    found = column_order(sorted(texts, key=lambda text: text[::-1]))
    assert found.order is Order.DMY
    assert found.confidence > 0.99


@given(st.lists(st.text(max_size=20) | st.from_regex(r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4}", fullmatch=True), max_size=12))
def test_no_column_breaks_it(texts: list[str]) -> None:
    found = column_order(texts)
    assert 0 <= found.confidence <= 1
    synthetic_time(texts)


@given(st.permutations([f"{n:%d/%m/%Y}" for n in NIGHTS[:12]]))
def test_the_order_of_rows_does_not_turn_a_decision(texts: list[str]) -> None:
    assert column_order(texts).order is Order.DMY


@pytest.mark.parametrize(
    ("times", "hour"),
    [
        (["19:00:00"] * 20, time(19)),
        (["2014-11-14T00:00:00Z"] * 5, time(0)),
        (["14.11.2014 20:00"] * 20, time(20)),
        (["20:00"] * 5, None),
        (["20:00", "19:00"] * 20, None),
        (["20:00"] * 20 + ["soon"] * 5, None),
        ([], None),
    ],
)
def test_one_hour_for_all_rows_is_no_hour(times: list[str], hour: time | None) -> None:
    assert synthetic_time(times) == hour


def rows(source: str, write: Callable[[date], str], nights: list[date], **more: str) -> list[tuple[str, bytes]]:
    """Lines of a file, with the night beside to compare."""
    return [
        (
            night.isoformat(),
            orjson.dumps({"source": source, "source_id": str(i), "artist": f"A{i}", "date": write(night), **more}),
        )
        for i, night in enumerate(nights)
    ]


def test_a_file_is_read_source_by_source_and_in_its_order() -> None:
    lines = rows("us", lambda n: f"{n:%m/%d/%Y}", NIGHTS) + rows("eu", lambda n: f"{n:%d/%m/%Y}", NIGHTS)
    read = list(read_messages(lines, RawEvent))
    assert [one.night.isoformat() for one in read if isinstance(one, Listing)] == [night for night, _ in lines]


def test_a_source_that_does_not_tell_is_refused_row_by_row_with_the_remedy() -> None:
    columns = Columns()
    read = list(read_messages(rows("one", lambda n: f"{n:%d/%m/%Y}", EITHER), RawEvent, columns))
    assert all(isinstance(one, Refusal) for one in read)
    assert "date_order" in read[0].text  # type: ignore[union-attr]
    (told,) = columns.told()
    assert told.startswith("one: dates in no certain order, 51% sure at best (none has only one order; ")
    assert told.removeprefix("one: ") in read[0].text  # type: ignore[union-attr]


def test_rows_with_iso_dates_wait_for_nothing() -> None:
    lines = iter(rows("one", date.isoformat, NIGHTS))
    next(read_messages(lines, RawEvent))
    assert len(list(lines)) == len(NIGHTS) - 1


def test_an_hour_on_every_row_is_left_out_and_moves_no_night() -> None:
    told = {"city": "Los Angeles", "region": "CA", "country": "US"}
    read = list(read_messages(rows("one", lambda n: f"{n}T00:00:00Z", NIGHTS, **told), RawEvent))
    assert [(one.night, one.start_at) for one in read if isinstance(one, Listing)] == [(n, None) for n in NIGHTS]
    read = list(read_messages(rows("one", date.isoformat, NIGHTS, start_time="19:00:00", **told), RawEvent))
    assert [(one.night, one.start_at) for one in read if isinstance(one, Listing)] == [(n, None) for n in NIGHTS]


def test_what_the_file_tells_travels_with_the_rows_that_need_it() -> None:
    columns = Columns()
    read = [orjson.loads(line) for _, line in rows("one", lambda n: f"{n:%m/%d/%Y}", NIGHTS)]
    for row in read:
        columns.see("one", row)
    sent = [raw_from_row(row, RawEvent, lambda row: columns.learned("one", row)).fields for row in read]
    assert {fields.get("date_order") for fields in sent} == {None, "MDY"}
    assert all(("date_order" in fields) == (night in EITHER) for fields, night in zip(sent, NIGHTS, strict=True))
