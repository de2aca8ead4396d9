"""Any bytes at all become listings, venues or artists, or a refusal with a reason: never an exception, never a hang."""

from time import perf_counter
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.columns import Columns, column_order, synthetic_time
from matchers.dates import Order, impossible, readings, told_hours
from matchers.files import Refusal, read_messages
from matchers.normalise import normalise
from matchers.places import read_place, town_relation, venue_relation
from matchers.refused import Refused
from matchers.understand import understand
from schemas.history import Remembered
from schemas.listing import Listing
from schemas.message import Message, content_hash
from schemas.raw import RawArtist, RawEvent, RawMessage, RawSetlist, RawVenue
from schemas.rejection import Reason
from schemas.rows import ARTIST_FIELDS, LISTING_FIELDS, VENUE_FIELDS
from tests.matchers.make import NOON

GOOD = {"artist": "Grateful Dead", "date": "1977-05-08", "venue": "Barton Hall", "city": "Ithaca", "country": "US"}
KINDS: list[type[RawMessage]] = [RawEvent, RawSetlist, RawVenue, RawArtist]
NAMES = sorted(LISTING_FIELDS | VENUE_FIELDS | ARTIST_FIELDS)


def bare(fields: dict[str, Any], message: type[RawMessage] = RawEvent) -> RawMessage:
    """A raw message with exactly these fields, whatever they are."""
    return message(
        source="one", source_id="1", seen_at=NOON, spider="test", fields=fields, content_hash=content_hash("any")
    )


def judged(made: Any) -> None:
    """A message that survives its own serialisation, or a refusal that says something."""
    if isinstance(made, Refused | Refusal):
        assert made.text
        assert str(made.reason) in set(Reason)
        return
    for one in made if isinstance(made, tuple) else (made,):
        assert type(one).from_bytes(one.to_bytes()) == one


# A row of what is known to go wrong, or has: field, value, and whether the listing survives it.
NASTY: list[tuple[str, Any, bool]] = [
    ("date", "0000-00-00", False),
    ("date", "0000-01-01", False),
    ("date", "9999-12-31", False),
    ("date", "2014-02-31", False),
    ("date", "31 Feb 2014", False),
    ("date", "2014-11-14T99:99:99Z", True),
    ("date", "2199-12-31T23:59:59-14:00", True),
    ("date", "2014-11-14T20:00:00+99:99", True),
    ("date", "٢٠١٤-١١-١٤", True),
    ("date", "２０１４-１１-１４", True),
    ("date", "2014-11-14\x00", True),
    ("date", "1" * 10_000, False),
    ("date", "9" * 1_900, False),
    ("date", "1/1/" * 400, False),
    ("date", "- " * 900, False),
    ("date", {"year": 2014}, False),
    ("date", True, False),
    ("date_order", "sideways", True),
    ("date_order", 5, True),
    ("synthetic_time", "never", True),
    ("start_time", "25:61", True),
    ("start_time", "doors " * 300, True),
    ("start_time", "0001-01-01T00:00:00+14:00", True),
    ("artist", "x" * 10_000, False),
    ("artist", "🎸🎸🎸", True),
    ("artist", "فيروز", True),
    ("artist", "\u202eevil\u202c", True),
    ("artist", "A\ud800B", True),
    ("artist", "\x00\x01\x02", False),
    ("artist", "e\u0301" * 900, True),
    ("artist", ["A"], False),
    ("artist", float("nan"), False),
    ("artist", 10**400, False),
    ("artist", 311, True),
    ("title", ["A"], True),
    ("date", 20141114, True),
    ("date", 41957.0, True),
    ("date", 10**400, False),
    ("venue", 7, True),
    ("venue", ["a"], True),
    ("venue", "x" * 10_000, True),
    ("venue", "(" * 2_000, True),
    ("venue", ", " * 1_000, True),
    ("venue", "at " * 666, True),
    ("venue", "Amsterdam, " * 180, True),
    ("city", "Berlin, " * 240, True),
    ("city", "((((Berlin", True),
    ("city", "/" * 2_000, True),
    ("city", " - " * 600, True),
    ("region", "x" * 2_000, True),
    ("country", "x" * 2_000, True),
    ("lat", float("nan"), True),
    ("lat", float("inf"), True),
    ("lat", 1e999, True),
    ("lat", 10**400, True),
    ("lat", "9" * 1_000, True),
    ("lat", "48,1°", True),
    ("lat", -90.0000001, True),
    ("lon", [1], True),
    ("tz", "../../etc/passwd", True),
    ("tz", "Europe", True),
    ("tz", "\x00", True),
    ("tz", "x" * 1_999, True),
    ("songs", [[[]], {}, None, "x" * 5_000], True),
    ("songs", "Dark Star", True),
    ("support", [{"name": "B"}, None, 3], True),
    ("support", {"name": ["B"]}, True),
    ("doubt", ["B"], True),
    ("doubt", "x" * 10_000, True),
    ("artist_mbid", "{" * 100, True),
    ("status", "", True),
]


@pytest.mark.parametrize(("field", "value", "kept"), NASTY, ids=lambda value: repr(value)[:30])
def test_one_bad_field_is_refused_or_left_out(field: str, value: Any, kept: bool) -> None:
    begun = perf_counter()
    made = normalise(bare({**GOOD, "lat": 42.4, "lon": -76.5, field: value}))
    judged(made)
    assert isinstance(made, Refused) is not kept
    assert perf_counter() - begun < 5  # the gazetteer's 2 s included


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SHAPED = (
    st.from_regex(r"[0-9]{1,4}[-/. ][0-9]{1,2}[-/. ][0-9]{1,4}([T ][0-9:.+Zpm -]{0,16})?", fullmatch=True)
    | st.from_regex(
        r"(Fri|Sat|Mi|mar)?[ ,.]{0,2}[0-9]{0,2}[ .-]{0,2}(Nov|May|Mai|mar)?[ ,.'-]{0,2}[0-9]{0,4}", fullmatch=True
    )
    | st.sampled_from(
        ["DMY", "MDY", "Berlin", "Berlin, Germany", "Paradiso, Amsterdam", "US", "O2", "Club", "20:00", "TBA"]
    )
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(NAMES), SHAPED | JSON, max_size=10),
    st.none() | st.sampled_from(Order),
)
def test_any_json_in_the_fields_becomes_a_message_or_a_refusal(
    message: type[RawMessage], fields: dict[str, Any], order: Order | None
) -> None:
    judged(normalise(bare(fields, message), order))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.lists(
        st.binary(max_size=60)
        | st.dictionaries(
            st.sampled_from([*NAMES, "source", "source_id", "observed_at"]), SHAPED | JSON.filter(bool), max_size=6
        ).map(lambda row: orjson.dumps(row, default=str) if _writable(row) else b"{"),
        max_size=8,
    ),
)
def test_any_bytes_in_a_file_become_a_message_or_a_refusal(message: type[RawMessage], lines: list[bytes]) -> None:
    columns = Columns()
    made = list(read_messages(((f"file:{i}", line) for i, line in enumerate(lines)), message, columns))
    assert len(made) == len(lines)
    for one in made:
        judged(one)
    columns.told()


def _writable(row: dict[str, Any]) -> bool:
    try:
        orjson.dumps(row)
    except TypeError:
        return False
    return True


TEXT = st.text(max_size=80) | SHAPED


@settings(max_examples=200, deadline=None)
@given(TEXT, TEXT, TEXT, TEXT, TEXT, st.none() | st.sampled_from(Order))
def test_no_entry_breaks_the_reader(a: str, b: str, c: str, d: str, e: str, order: Order | None) -> None:
    told = understand(Remembered.model_construct(artist=a, date=b, venue=c, city=d, country=e, time=b, note=a), order)
    assert all(when.start <= when.end for when in told.whens)
    impossible(b, order)


LONG = [
    "1",
    "a",
    " ",
    "1/",
    "12.11.",
    "Sat ",
    "the ",
    "(",
    "ab ",
    "é",
    "Nov 14 - ",
    "🎸",
    "\u0301",
    ", ",
    "at ",
    "-",
    "年",
]


@pytest.mark.parametrize("piece", LONG, ids=repr)
def test_ten_thousand_characters_cost_no_more_than_they_should(piece: str) -> None:
    town_relation(read_place(city="Ulm"), read_place(city="Bonn"))  # the gazetteer is read once
    text = (piece * 10_000)[:10_000]
    begun = perf_counter()
    readings(text)
    impossible(text)
    told_hours(text)
    column_order([text])
    synthetic_time([text])
    venue_relation(text, text[:-1] + "x")
    place = read_place(name=text[:2_000], city=text[:2_000])
    town_relation(place, read_place(city="Bonn"))
    assert perf_counter() - begun < 1


def test_a_file_of_one_line_is_a_file() -> None:
    (one,) = read_messages([("f:1", orjson.dumps({"source": "s", **GOOD}))], RawEvent)
    assert isinstance(one, Listing)
    assert isinstance(one, Message)
