"""What an entry says, read once."""

from datetime import date
from typing import Any

import pytest

from matchers.dates import Order
from matchers.understand import Show, understand
from schemas.history import Remembered


def nights(fields: dict[str, Any], order: Order | None = None) -> list[str]:
    """The entry's readings, '?' for those in doubt."""
    told = understand(Remembered(**fields), order)
    return [f"{when.start}{'' if when.days == 1 else f'/{when.end}'}{'?' * when.doubt}" for when in told.whens]


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ({"date": "2014-11-14"}, ["2014-11-14"]),
        ({"date": "2014-11-15", "time": "00:30"}, ["2014-11-14/2014-11-15"]),
        ({"date": "2014-11-15T03:00:00Z", "city": "Los Angeles"}, ["2014-11-14"]),
        ({"date": "2014-11-15T03:00:00Z", "city": "Lisboa"}, ["2014-11-14"]),
        ({"date": "2014-11-15T12:00:00Z", "city": "Tokyo"}, ["2014-11-15"]),
        ({"date": "summer 2014", "city": "Sydney"}, ["2013-12-01/2014-03-21", "2014-12-01/2015-03-21"]),
        ({"date": "Sat 12 Nov"}, []),
        ({"date": "Sat 12 Nov", "note": "the 2016 tour"}, ["2016-11-12"]),
        ({"date": "Sat 12 Nov", "note": "between 2010 and 2016"}, ["2016-11-12"]),
        ({"date": "Thu 12 Nov 2016"}, ["2016-11-12?", "2016-11-10?", "2015-11-12?"]),
        ({"date": "03/04/2014"}, ["2014-03-04", "2014-04-03"]),
    ],
    ids=str,
)
def test_an_entry_means_these_nights(fields: dict[str, str], meant: list[str]) -> None:
    assert nights(fields) == meant


def test_the_order_of_a_file_settles_its_entries() -> None:
    assert nights({"date": "03/04/2014"}, Order.DMY) == ["2014-04-03"]
    assert nights({"date": "03/04/2014"}, Order.MDY) == ["2014-03-04"]


@pytest.mark.parametrize(
    ("fields", "show"),
    [
        ({"date": "2014-11-14 (late show)"}, Show.LATE),
        ({"time": "early show"}, Show.EARLY),
        ({"date": "Matinée, 14 Nov 2014"}, Show.EARLY),
        ({"artist": "Miles Davis (2nd set)"}, Show.LATE),
        ({"date": "2014-11-14", "time": "early show and late show"}, None),
        ({"date": "early 2014", "artist": "The Late Show Band"}, None),
    ],
    ids=str,
)
def test_an_early_show_is_told_from_a_late_one(fields: dict[str, str], show: Show | None) -> None:
    assert understand(Remembered(**fields)).show is show


def test_a_place_is_read_from_the_field_it_was_typed_in() -> None:
    told = understand(Remembered(artist="A", venue="Paradiso, Amsterdam", country="Holland"))
    assert (told.place.name, told.place.city, told.place.country) == ("Paradiso", "Amsterdam", "NL")
    assert understand(Remembered(date="2014-11-14")).whens[0].start == date(2014, 11, 14)
