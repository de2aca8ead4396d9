"""What an entry asks the spiders for, and what it keeps to itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from matchers.catalogue import Catalogue
from matchers.match import Question, match, match_rows
from matchers.wants import MOST_YEARS, Want, wants
from matchers.weights import default_tables
from schemas.concert import Concert
from schemas.decision import Action, Decision
from schemas.history import Entry
from schemas.suggestion import Nothing, Suggestions
from tests.matchers.make import concert, entry
from tests.matchers.test_matching import LISBON, TYPED, decided


def asked(line: Entry, *known: Concert, decisions: Sequence[Decision] = ()) -> tuple[Want, ...]:
    """What the entry asks for where these concerts are known."""
    catalogue = Catalogue(known)
    question = Question(line, np.arange(len(known)), decisions=decisions)
    (found,) = match_rows([question], catalogue, default_tables())
    return wants(question, found, catalogue, default_tables())


# What was typed, and the years asked for: a line for each rule.
ASKS: list[tuple[str, dict[str, Any], list[int]]] = [
    ("a night", {"date": "19 Mar 2011", "city": "Lisboa", "note": "with M."}, [2011]),
    ("a year", {"date": "2011"}, [2011]),
    ("two years", {"date": "2010-2011"}, [2010, 2011]),
    ("New Year's Eve to New Year", {"date": "2010-12-31/2011-01-01"}, [2010, 2011]),
    ("a decade in full", {"date": "the 1990s"}, [*range(1990, 2000)]),
    ("of more than a decade its middle", {"date": "1985/2005"}, [*range(1990, 2000)]),
    ("no time", {}, []),
    ("a time that cannot be read", {"date": "way back"}, []),
]


@pytest.mark.parametrize(("typed", "years"), [(t, y) for _, t, y in ASKS], ids=[name for name, *_ in ASKS])
def test_an_entry_asks_for_its_artist_and_each_of_its_years(typed: dict[str, Any], years: list[int]) -> None:
    line = entry(artist="Hallworth ", **typed)
    assert asked(line) == tuple(Want("hallworth", year, "Hallworth") for year in years)
    assert len(years) <= MOST_YEARS


@pytest.mark.parametrize(
    "artist", [None, "????", "unknown", "me@example.org", "https://example.org/hallworth", "a long story " * 20]
)
def test_what_is_no_artist_s_name_is_not_asked_for(artist: str | None) -> None:
    line = entry(artist=artist, date="2011", city="Porto")
    assert asked(line) == ()


def test_how_they_played_is_left_out() -> None:
    line = entry(artist="An Evening with Hallworth (acoustic)", date="2011")
    assert asked(line) == (Want("hallworth", 2011, "Hallworth"),)


def test_what_was_found_is_not_asked_for() -> None:
    assert asked(TYPED, concert(**LISBON)) == ()


def test_who_is_compared_with_another_act_in_vain_still_asks() -> None:
    line = entry(artist="Vesper Quill", date="2011-03-19", city="Lisboa")
    assert match(line, [concert(**LISBON)]).reason is Nothing.TOO_WEAK
    assert asked(line, concert(**LISBON)) == (Want("vesper quill", 2011, "Vesper Quill"),)


@pytest.mark.parametrize("reason", [reason for reason in Nothing if reason not in ("no_candidate", "too_weak")])
def test_only_what_nothing_known_could_mean_is_asked_for(reason: Nothing) -> None:
    found = Suggestions(user="me", entry_id="1", reason=reason)
    assert wants(Question(TYPED, np.arange(0)), found, Catalogue([]), default_tables()) == ()


@pytest.mark.parametrize("action", [Action.CONFIRMED, Action.DISMISSED, Action.OTHER_NIGHT])
def test_what_was_decided_is_not_asked_for_though_its_concert_is_gone(action: Action) -> None:
    (first,) = match(TYPED, [concert(**LISBON)]).suggestions
    found = match(TYPED, [], [decided(first, action)])
    assert found.reason is Nothing.NO_CANDIDATE
    assert asked(TYPED, decisions=[decided(first, action)]) == ()
    assert asked(TYPED, decisions=[decided(first, Action.SNOOZED)]) != ()


@pytest.mark.parametrize(
    ("typed", "asks"),
    [
        ({"date": "2011/2012"}, False),
        ({"date": "2010/2011", "artist": "Halworth"}, False),
        ({"date": "2012/2013"}, True),
        ({"date": "2011/2012", "artist": "Vesper Quill"}, True),
    ],
)
def test_known_shows_in_its_time_end_the_search_though_nobody_can_tell_which_it_was(
    typed: dict[str, Any], asks: bool
) -> None:
    line = entry(**{"artist": "Hallworth"} | typed)
    known = [concert(source_id=str(n), **LISBON | {"date": f"2011-{1 + n:02}-19"}) for n in range(2)]
    assert match(line, known).suggestions == ()
    assert bool(asked(line, *known)) is asks


def test_a_cancelled_show_answers_nothing() -> None:
    line = entry(artist="Hallworth", date="2011-03-19")
    assert asked(line, concert(**LISBON, status="cancelled")) != ()
