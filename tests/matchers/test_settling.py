from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.catalogue import Catalogue
from matchers.match import Question, match_rows
from matchers.settle import settle, shared
from matchers.weights import default_tables
from schemas.concert import Concert
from schemas.suggestion import Band, Nothing, Suggestions
from tests.matchers.make import concert, entry

SHOW: dict[str, Any] = {"artist": "Hallworth", "date": "2011-03-19", "venue": "Sala Grande", "city": "Lisbon"}
NIGHTS = [concert(source_id=day, **SHOW | {"date": f"2011-03-{day}"}) for day in ("19", "20", "28")]


def sets(*typed: dict[str, Any], concerts: list[Concert] = NIGHTS, user: str = "me") -> list[Suggestions]:
    """What each entry says for itself."""
    catalogue = Catalogue(concerts)
    rows = np.arange(len(catalogue))
    entries = [
        entry(**fields).model_copy(update={"entry_id": str(number), "user": user})
        for number, fields in enumerate(typed, 1)
    ]
    return match_rows([Question(one, rows) for one in entries], catalogue, default_tables())


AS_TYPED = {"artist": "Hallworth", "date": "2011-03-19", "city": "Lisboa"}
A_DAY_OFF = {"artist": "Hallworth", "date": "2011-03-18", "city": "Lisboa"}
THE_MONTH = {"artist": "Hallworth", "date": "Mar 2011", "city": "Lisboa"}


def test_two_lines_that_mean_one_show_both_keep_it_and_say_so() -> None:
    first, second = settle(sets(AS_TYPED, AS_TYPED | {"venue": "Sala Grande"}, concerts=NIGHTS[:1]))
    for found, other in ((first, "Hallworth, 2011-03-19, Sala Grande"), (second, "Hallworth, 2011-03-19, Lisboa")):
        (one,) = found.suggestions
        assert one.band is Band.SURE
        assert one.why[-1].text == f"also found for what you wrote as {other}"
        assert one.why[-1].bits == 0


def test_a_show_that_one_line_means_is_not_offered_to_a_line_of_another_night() -> None:
    alone = sets(A_DAY_OFF, AS_TYPED, concerts=NIGHTS[:1])
    assert alone[0].suggestions[0].band is Band.POSSIBLE
    doubtful, meant = settle(alone)
    assert (doubtful.suggestions, doubtful.reason) == ((), Nothing.TAKEN)
    assert meant == alone[1]


def test_ranks_stay_whole_when_one_goes() -> None:
    first, _ = settle(sets(A_DAY_OFF, AS_TYPED))
    assert [one.rank for one in first.suggestions] == list(range(1, len(first.suggestions) + 1))
    assert NIGHTS[0].concert_id not in shared([first])


def test_other_users_are_none_of_it() -> None:
    mine, theirs = sets(A_DAY_OFF), sets(AS_TYPED, user="you")
    assert settle([*mine, *theirs]) == [*mine, *theirs]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from([AS_TYPED, A_DAY_OFF, THE_MONTH, {"date": "2011-03-20", "city": "Lisboa"}]), max_size=5)
)
def test_settling_is_no_matter_of_order_and_settles_once(typed: list[dict[str, Any]]) -> None:
    alone = sets(*typed)
    settled = {one.entry_id: one for one in settle(alone)}
    assert {one.entry_id: one for one in settle(alone[::-1])} == settled
    for one in settled.values():
        assert (one.reason is None) == bool(one.suggestions)
    sure = [s.concert_id for one in settled.values() for s in one.suggestions if s.band is Band.SURE]
    told = [s for one in settled.values() for s in one.suggestions if s.concert_id in sure]
    assert all(s.why[-1].field == "also" for s in told if sum(t.concert_id == s.concert_id for t in told) > 1)
