"""Rows as sources send them, odd ones among them, become the listing that a person would read."""

from typing import Any

import orjson
import pytest

from matchers.files import Refusal, read_messages
from matchers.normalise import normalise
from matchers.refused import Refused
from schemas.listing import Listing, StartPrecision
from schemas.raw import RawEvent
from schemas.rows import listing_row, raw_from_row
from tests.matchers.make import listing


def read(**row: Any) -> Listing | Refusal:
    """The listing of one row of a file."""
    row = {"source": "s", "source_id": "1", "artist": "Son Mieux", "date": "2019-11-15", **row}
    (made,) = read_messages([("f.jsonl:1", orjson.dumps(row))], RawEvent)
    assert isinstance(made, Listing | Refusal)
    return made


READ: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"artist": 311}, {"artist": "311"}),
    ({"artist": 1975.0}, {"artist": "1975"}),
    ({"date": 20191115}, {"date": "2019-11-15"}),
    ({"venue": 7}, {"venue": "7"}),
    ({"venue": {"name": "Ampere"}}, {"venue": None}),
    ({"lat": "NaN", "lon": "1"}, {"lat": None, "lon": None}),
    ({"lat": "52.52N", "lon": "13.4"}, {"lat": None, "lon": None}),
    ({"lat": 952, "lon": 13.4}, {"lat": None, "lon": None}),
    ({"songs": "Dark Star, Ripple"}, {"songs": ["Dark Star", "Ripple"]}),
    ({"songs": "Me, Myself and I\nRipple"}, {"songs": ["Me, Myself and I", "Ripple"]}),
    ({"songs": [{"name": "Ripple"}, {"name": 7}, None]}, {"songs": ["Ripple", "7"]}),
    ({"songs": 7}, {"songs": None}),
    ({"support": [{"name": "Mono"}, "Ash"]}, {"support": ["Mono", "Ash"]}),
    ({"support": {"name": "Mono"}}, {"support": ["Mono"]}),
    ({"support": [311]}, {"support": ["311"]}),
    ({"support": True}, {"support": None}),
    ({"observed_at": "2019-01-01"}, {"observed_at": "2019-01-01T00:00:00+00:00"}),
    ({"date": "Sat 15 Nov 2019"}, {"date": "2019-11-15", "doubt": "2019-11-15 is a Friday"}),
    ({"date": "Fri 15 Nov 2019"}, {"date": "2019-11-15", "doubt": None}),
    (
        {"date": "Sat 15 Nov 2019 00:30", "city": "Lisboa", "country": "PT"},
        {"date": "2019-11-14", "doubt": "2019-11-15 is a Friday"},
    ),
]


@pytest.mark.parametrize(("fields", "expected"), READ, ids=str)
def test_an_odd_field_is_read_or_left_out(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    made = read(**fields)
    assert isinstance(made, Listing), made
    row = listing_row(made)
    assert {name: row.get(name) for name in expected} == expected


HOURS = [
    ("Hamburg", {"date": "2019-11-15 19:00-23:00"}, "2019-11-15", "2019-11-15T18:00:00+00:00"),
    ("Boston", {"date": "2019-05-06 20:00-23:00"}, "2019-05-06", "2019-05-07T00:00:00+00:00"),
    ("Boston", {"date": "Sat 11 May 2019 7:00pm-11:00pm"}, "2019-05-11", "2019-05-11T23:00:00+00:00"),
    ("Hamburg", {"start_time": "20:00+01:00"}, "2019-11-15", "2019-11-15T19:00:00+00:00"),
    ("Hamburg", {"start_time": "20:00:00.000Z"}, "2019-11-15", "2019-11-15T20:00:00+00:00"),
    ("Boston", {"start_time": "01:00Z"}, "2019-11-15", "2019-11-16T01:00:00+00:00"),
    ("Hamburg", {"start_time": "24:00"}, "2019-11-15", "2019-11-15T23:00:00+00:00"),
    ("Hamburg", {"start_time": "8:30p"}, "2019-11-15", "2019-11-15T19:30:00+00:00"),
]


@pytest.mark.parametrize(("city", "fields", "night", "start"), HOURS)
def test_an_hour_is_the_venues_and_moves_no_night(city: str, fields: dict[str, Any], night: str, start: str) -> None:
    made = listing(**{"date": "2019-11-15", "city": city, **fields})
    assert (made.night.isoformat(), made.start_at and made.start_at.isoformat()) == (night, start)


def test_doors_in_a_date_are_told_from_the_start() -> None:
    made = listing(date="2019-11-15, Einlass 19 Uhr", city="Hamburg")
    assert made.start_precision is StartPrecision.DOORS
    made = listing(date="2019-11-15, Einlass 19 Uhr, Beginn 20 Uhr", city="Hamburg")
    assert made.start_precision is StartPrecision.MINUTE


SHOWS = [
    ({"artist": "Bill Frisell (early show)"}, "early show"),
    ({"artist": "Bill Frisell (late show)", "title": "Jazz at the Hall"}, "late show"),
    ({"artist": "Bill Frisell - 1st set"}, "early show"),
    ({"artist": "Bill Frisell", "date": "2019-11-15 (matinée)"}, "early show"),
    ({"artist": "Bill Frisell", "start_time": "late show"}, "late show"),
    ({"artist": "Bill Frisell", "title": "Bill Frisell (Late Show)"}, "late show"),
    ({"artist": "Bill Frisell", "start_time": "early show and late show"}, None),
    ({"artist": "Bill Frisell"}, None),
]


@pytest.mark.parametrize(("fields", "show"), SHOWS, ids=str)
def test_which_of_two_shows_stays_in_the_title(fields: dict[str, Any], show: str | None) -> None:
    made = listing(**{"date": "2019-11-15", **fields})
    told = (made.title or "").casefold()
    assert [one for one in ("early show", "late show") if one in told] == ([show] if show else [])
    assert made.acts[0].name == "Bill Frisell"


@pytest.mark.parametrize("row", [{"date": "Sat 15 Nov 2019"}, {"artist": "Bill Frisell (late show)"}], ids=str)
def test_what_a_row_tells_beside_its_fields_survives_being_written_and_read(row: dict[str, Any]) -> None:
    first = listing(**row)
    again = normalise(raw_from_row(listing_row(first), RawEvent))
    assert not isinstance(again, Refused)
    same = {"version", "content_hash", "payload_hash"}
    assert again[0].model_dump(exclude=same) == first.model_dump(exclude=same)


BAD_LINES = [
    (
        b'{"source":"s","artist":"A","lat":NaN}',
        "not_json",
        "line 1 column",
        "NaN is no JSON number: leave the field out",
    ),
    (b'{"source":"s","lat": -Infinity }', "not_json", "line 1 column", "-Infinity is no JSON number"),
    (b'{"source":"s","artist":"A NaN"', "not_json", "line 1 column", "not JSON"),
    (b'{"source":"s","observed_at":"noon"}', "bad_value", "observed_at", "2024-12-28T07:33:01+01:00"),
    (b'{"source":"s","artist":{},"date":"2019-11-15"}', "wrong_type", "artist", "not an object"),
]


@pytest.mark.parametrize(("line", "reason", "where", "said"), BAD_LINES, ids=str)
def test_a_refusal_says_where_and_what_to_do(line: bytes, reason: str, where: str, said: str) -> None:
    (made,) = read_messages([("f.jsonl:3", line)], RawEvent)
    assert isinstance(made, Refusal)
    assert (made.origin, made.reason) == ("f.jsonl:3", reason)
    assert where in made.text
    assert said in made.text
