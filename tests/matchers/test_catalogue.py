from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.candidates import entry_keys
from matchers.catalogue import Catalogue, Index, fewest_first
from matchers.evidence import Asked, compare
from matchers.match import match, match_all
from matchers.understand import understand
from matchers.weights import MOST_CANDIDATES, NO_OTHERS, default_tables
from schemas.concert import Concert
from schemas.suggestion import Nothing
from tests.matchers.make import concert, entry

KEYED = [{"a", "b"}, {"a"}, {"a", "c"}, {"d"}]


def test_rows_are_found_by_any_of_the_keys() -> None:
    index = Index(KEYED)
    assert (index.rows(["b", "c", "x"], 10)[0].tolist(), index.rows(["x"], 10)[0].tolist()) == ([0, 2], [])


def test_keys_that_fewest_share_come_first_and_the_rest_is_told() -> None:
    rows, left = Index(KEYED).rows(["a", "d"], 2)
    assert (rows.tolist(), left) == ([3], 1)
    assert fewest_first({"a": [0, 1, 2], "b": [0], "c": [2]}, 2) == ({0, 2}, 1)


def test_a_night_with_more_shows_than_are_compared_does_not_hang_and_says_so() -> None:
    one = concert(artist="Hallworth", date="2011-03-19", venue="Sala Grande", city="Lisbon")
    crowd = [
        one.model_copy(update={"artist": f"Act {number}", "artist_key": f"act {number}"})
        for number in range(MOST_CANDIDATES + 1)
    ]
    (found,) = match_all([entry(artist="Hallworth", date="2011-03-19", city="Lisbon")], Catalogue([one, *crowd]))
    assert found.suggestions[0].concert.artist == "Hallworth"
    assert "only the nearest" in found.suggestions[0].why[-1].text
    (nothing,) = match_all([entry(date="2011-03-19", city="Lisbon")], Catalogue(crowd))
    assert (nothing.suggestions, nothing.reason) == ((), Nothing.TOO_MANY)


SHOWS: list[Concert] = [
    concert(source_id="1", artist="Hallworth", date="2011-03-19", venue="Sala Grande", city="Lisbon", country="PT"),
    concert(source_id="2", artist="Halworth", date="2011-03-20", venue="Sala", city="Porto", songs=["First Song"]),
    concert(source_id="3", artist="Ostrander Tribute", date="2012-03-19", city="Xyzzy"),
    concert(source_id="4", artist="!!!", date="2011-03-19", lat=38.71, lon=-9.14, start_time="21:00", city="Lisbon"),
    concert(source_id="5", artist="東京事変", date="2011-03-19", city="Tokyo", country="JP", status="postponed"),
]
TYPED = st.fixed_dictionaries(
    {},
    optional={
        "artist": st.sampled_from(["Hallworth", "Hall", "Ostrander", "!!!", "東京事変"]),
        "date": st.sampled_from(["2011-03-19", "03/04/2011", "Mar 2011", "2011", "2011-03-18"]),
        "venue": st.sampled_from(["Sala", "Sala Grande", "Elsewhere"]),
        "city": st.sampled_from(["Lisboa", "Porto", "Xyzzy"]),
        "lat": st.just(38.72),
        "lon": st.just(-9.13),
        "time": st.sampled_from(["20:00", "04:00"]),
        "songs": st.just(["First Song", "Xyzzy"]),
    },
)


@settings(max_examples=100, deadline=None)
@given(st.lists(TYPED, min_size=1, max_size=6))
def test_a_batch_says_of_each_what_it_says_alone(typed: list[dict[str, Any]]) -> None:
    catalogue, tables = Catalogue(SHOWS), default_tables()
    every = np.arange(len(SHOWS))
    asked = [Asked(understand(entry(**fields)), NO_OTHERS, every) for fields in typed]
    together = compare(asked, catalogue, tables)
    for number, one in enumerate(asked):
        alone = compare([one], catalogue, tables)
        for row in range(len(SHOWS)):
            pair = number * len(SHOWS) + row
            assert together.pieces(pair) == alone.pieces(row)
            assert together.signature(pair) == alone.signature(row)
            assert together.total[pair] == pytest.approx(sum(piece.bits for piece in together.pieces(pair)))


@settings(max_examples=50, deadline=None)
@given(TYPED)
def test_what_the_keys_leave_out_is_never_sure(typed: dict[str, Any]) -> None:
    typed_entry = entry(**typed)
    rows, _ = Catalogue(SHOWS).index.rows(entry_keys(typed_entry), MOST_CANDIDATES)
    found = {SHOWS[row].concert_id for row in rows}
    assert all(one.concert_id in found for one in match(typed_entry, SHOWS).suggestions if one.band == "sure")
