from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.candidates import concert_keys
from matchers.habits import (
    LEAST,
    LEAST_SHOWS,
    MEASURED,
    MOST,
    MOST_OF_A_HABIT,
    Kind,
    Profile,
    habit_keys,
    habit_profile,
    habits,
    kind_of,
)
from matchers.judge.unasked import evaluate_habits
from matchers.resolve import resolve
from schemas import ids
from schemas.concert import Concert
from schemas.decision import Action, Decision
from schemas.history import Entry
from schemas.suggestion import Band, Nothing, Origin, Suggestions
from tests.matchers.make import NOON, concert, listing
from tests.matchers.quality import data


def logged(*rows: tuple[str, str | None, str | None], **more: Any) -> list[Entry]:
    """Entries of artist, date and town."""
    return [
        Entry(user="me", entry_id=f"{n:03}", seen_at=NOON, artist=artist, date=when, city=city, **more)
        for n, (artist, when, city) in enumerate(rows)
    ]


# Two shows of Low far away, three others in Porto from 2009 to 2014, two of them in 2012.
HISTORY = logged(
    ("Low", "2010-05-01", "Lisboa"),
    ("Low", "2013-06-01", "Braga"),
    ("Ostrander", "2009-02-03", "Porto"),
    ("Vesper Quill", "2012-03-04", "Porto"),
    ("Hallworth", "2012-11-12", "Gaia"),
    ("Hallworth", "2014-12-31", "Porto"),
)
SHOW: dict[str, Any] = {"artist": "Low", "date": "2012-06-07", "venue": "Hard Club", "city": "Porto", "country": "PT"}

# One row for each rule: how the show differs from SHOW, what else was logged, what speaks for it.
KINDS: list[tuple[str, dict[str, Any], list[tuple[str, str | None, str | None]], str | None]] = [
    ("an artist logged twice, in the town and its years", {}, [], "regular"),
    ("the town's other name", {"city": "Oporto"}, [], "regular"),
    ("a suburb", {"city": "Matosinhos"}, [], "regular"),
    ("by coordinates alone", {"city": None, "country": None, "lat": 41.15, "lon": -8.61}, [], "regular"),
    ("an artist logged once", {"artist": "Vesper Quill", "date": "2009-06-07"}, [], "once"),
    ("one of two names of a line", {}, [("Ada feat. Low", "2001", None)], "regular"),
    ("an artist never logged", {"artist": "Ada"}, [], None),
    ("a tribute to the artist", {"artist": "Low (Tribute)"}, [], None),
    ("before the first show there", {"date": "2008-06-07"}, [], None),
    ("after the last show there", {"date": "2015-06-07"}, [], None),
    ("a year without a show there", {"date": "2011-06-07"}, [], None),
    ("a month that speaks for its year", {"date": "2011-06-07"}, [("Ada", "Sep 2011", "Porto")], "regular"),
    ("a decade that speaks for none", {"date": "2011-06-07"}, [("Ada", "2005-2014", "Porto")], None),
    ("a decade that does not stretch the years", {"date": "2009-01-15"}, [("Ada", "2005-2014", "Porto")], None),
    ("a town of two shows", {"city": "Braga", "date": "2013-01-01"}, [("Ada", "2012-01-01", "Braga")], None),
    ("a far town of the name", {"country": "US"}, [], None),
    ("another show there that night", {}, [("Ada", "2012-06-07", "Porto")], "there"),
    ("another show that night in a suburb", {}, [("Ada", "2012-06-07", "Gaia")], "there"),
    ("a show far away that night", {}, [("Ada", "2012-06-07", "Lisboa")], None),
    ("the artist that night, wherever", {}, [("Low", "2012-06-07", None)], None),
    ("the artist that night two towns away", {}, [("Low", "2012-06-07", "Braga")], None),
    ("the artist there that week", {}, [("Low", "2012-06-01", "Porto")], None),
    ("the artist there that month", {}, [("Low", "Jun 2012", "Porto")], None),
    ("the artist there, nobody knows when", {}, [("Low", None, "Porto")], None),
    ("the artist that year, nobody knows where", {}, [("Low", "2012", None)], None),
    ("the artist there in another year", {}, [("Low", "2013-06-01", "Porto")], "regular"),
    ("the artist that week in a far town", {}, [("Low", "2012-06-01", "Lisboa")], "regular"),
    ("cancelled", {"status": "cancelled"}, [], None),
    ("postponed", {"status": "postponed"}, [], None),
]


def made(**fields: Any) -> Concert:
    return concert(**{name: value for name, value in fields.items() if value is not None})


def extended(rows: Sequence[tuple[str, str | None, str | None]]) -> Profile:
    more = [entry.model_copy(update={"entry_id": f"more {entry.entry_id}"}) for entry in logged(*rows)]
    return habit_profile([*HISTORY, *more])


@pytest.mark.parametrize(("show", "more", "kind"), [row[1:] for row in KINDS], ids=[row[0] for row in KINDS])
def test_a_habit_is_an_artist_in_a_place_and_time_of_the_users(
    show: dict[str, Any], more: list[tuple[str, str | None, str | None]], kind: str | None
) -> None:
    found = habits("me", extended(more), [made(**SHOW | show)], asked=True, least=0.0)
    expected = [] if kind is None else [MEASURED[Kind(kind)].precision]
    assert [one.suggestions[0].confidence for one in found] == pytest.approx(expected, abs=1e-6)


def test_habits_are_off_until_asked_for() -> None:
    profile = habit_profile(HISTORY)
    assert habits("me", profile, [made(**SHOW)]) == ()
    assert len(habits("me", profile, [made(**SHOW)], asked=True)) == 1


def test_a_habit_explains_itself() -> None:
    show = made(**SHOW)
    (found,) = habits("me", habit_profile(HISTORY), [show], asked=True)
    (one,) = found.suggestions
    assert found.entry_id == ids.habit_entry_id("000", show.concert_id)
    assert (found.origin, one.band, one.rank, one.concert_id) == (Origin.HABIT, Band.POSSIBLE, 1, show.concert_id)
    assert {piece.field: piece.text for piece in one.why} == {
        "artist": "you logged Low 2 times",
        "city": "in and around Porto, where you logged 4 shows",
        "date": "in 2012, when you logged 2 shows there",
        "prior": "one of about a million concerts",
    }
    assert found.because is not None
    assert (found.because.artist, found.because.town) == ("Low", "Porto")
    assert found.because.text == "you logged Low 2 times, and 4 shows in and around Porto"
    odds = 2 ** sum(piece.bits for piece in one.why)
    assert odds / (1 + odds) == pytest.approx(one.confidence, abs=1e-3)
    assert Suggestions.from_bytes(found.to_bytes()) == found


def test_the_night_of_another_show_is_told() -> None:
    (found,) = habits("me", extended([("Ada", "2012-06-07", "Porto")]), [made(**SHOW)], asked=True)
    assert "you logged Ada there that night" in [piece.text for piece in found.suggestions[0].why]


def test_confidence_is_what_was_measured_and_what_is_below_possible_is_not_asked() -> None:
    once = made(**SHOW | {"artist": "Vesper Quill", "date": "2009-06-07"})
    assert MEASURED[Kind.ONCE].precision < LEAST
    assert not habits("me", habit_profile(HISTORY), [once], asked=True)
    (found,) = habits("me", habit_profile(HISTORY), [made(**SHOW)], asked=True)
    assert found.suggestions[0].confidence == pytest.approx(MEASURED[Kind.REGULAR].precision, abs=1e-6)
    assert all(rate.precision < 0.8 for rate in MEASURED.values())


def test_a_confirmed_concert_says_where_and_when_better_than_the_line() -> None:
    """Another hall of the town, that very night: nobody is in two."""
    there = made(artist="Ada", date="2012-06-07", venue="Coliseu", city="Porto", country="PT", source_id="2")
    rows = [("Ada", "2012", "Porto")]
    assert kind_of(extended(rows), made(**SHOW)) is Kind.REGULAR
    more = [entry.model_copy(update={"entry_id": "more"}) for entry in logged(*rows)]
    profile = habit_profile([*HISTORY, *more], {"more": there})
    assert kind_of(profile, made(**SHOW)) is None
    assert kind_of(profile, made(**SHOW | {"venue": "Coliseu"})) is Kind.THERE
    assert kind_of(profile, made(**SHOW | {"venue": None})) is Kind.THERE


@pytest.mark.parametrize(
    ("home", "here", "far"),
    [
        (["Seattle", "Tacoma"], {"city": "Portland", "region": "OR"}, {"city": "Portland", "region": "ME"}),
        (["Boston", "Worcester"], {"city": "Portland", "region": "ME"}, {"city": "Portland", "region": "OR"}),
    ],
)
def test_a_town_that_others_are_named_after_is_the_one_near_home(
    home: list[str], here: dict[str, str], far: dict[str, str]
) -> None:
    rows = [(f"Act {n}", f"2012-0{n + 1}-01", city) for n, city in enumerate([*home, *["Portland"] * LEAST_SHOWS])]
    profile = habit_profile(logged(*rows, ("Low", "2001", None), ("Low", "2002", None), country="US"))
    show = {"artist": "Low", "date": "2012-04-15", "country": "US"}
    assert kind_of(profile, made(**show, **here)) is Kind.REGULAR
    assert kind_of(profile, made(**show, **far)) is None


def decided(on: Suggestions, action: Action, **changed: Any) -> Decision:
    (one,) = on.suggestions
    return Decision(
        **{
            "decision_id": uuid5(ids.NAMESPACE, on.entry_id),
            "user": "me",
            "entry_id": on.entry_id,
            "suggestion_id": one.suggestion_id,
            "concert_id": one.concert_id,
            "action": action,
            "decided_at": NOON,
            "members": one.members,
            "signature": one.signature,
            "confidence": one.confidence,
            "why": one.why,
        }
        | changed
    )


def test_what_the_user_has_or_dismissed_is_not_asked_for_again() -> None:
    profile, show = habit_profile(HISTORY), made(**SHOW)
    (found,) = habits("me", profile, [show], asked=True)
    assert not habits("me", profile, [show], [show.concert_id], asked=True)
    companion = decided(found, Action.DISMISSED, entry_id=ids.companion_entry_id(show.concert_id, show.concert_id))
    assert not habits("me", profile, [show], decisions=[companion], asked=True)
    dismissed = decided(found, Action.DISMISSED)
    once_more = extended([("Low", "2014-06-01", "Braga"), ("Ada", "2012-01-01", "Porto")])
    for now in (profile, once_more):
        (after,) = habits("me", now, [show], decisions=[dismissed], asked=True)
        assert (after.entry_id, after.suggestions, after.reason) == (found.entry_id, (), Nothing.DISMISSED)
    there = extended([("Ada", "2012-06-07", "Porto")])
    (again,) = habits("me", there, [show], decisions=[dismissed], asked=True)
    assert again.suggestions, "that the user was in town that night is new"


def test_logging_the_artist_once_more_brings_no_dismissed_show_back() -> None:
    once, show = habit_profile(HISTORY[1:]), made(**SHOW)
    (found,) = habits("me", once, [show], asked=True, least=0.0)
    (after,) = habits("me", habit_profile(HISTORY), [show], decisions=[decided(found, Action.DISMISSED)], asked=True)
    assert after.reason is Nothing.DISMISSED


def test_a_confirmed_habit_stays_when_habits_are_off_again() -> None:
    profile, show = habit_profile(HISTORY), made(**SHOW)
    (found,) = habits("me", profile, [show], asked=True)
    yes = decided(found, Action.CONFIRMED)
    for now in (profile, habit_profile([])):
        (kept,) = habits("me", now, [show], decisions=[yes])
        assert (kept.entry_id, kept.decision, kept.suggestions[0].why) == (
            found.entry_id,
            Action.CONFIRMED,
            found.suggestions[0].why,
        )


def tour(artist: str, nights: int) -> list[Concert]:
    first = date(2012, 1, 1)
    return [
        made(**SHOW | {"artist": artist, "date": (first + timedelta(days=n)).isoformat(), "source_id": f"{artist} {n}"})
        for n in range(nights)
    ]


def test_questions_are_capped_for_a_habit_and_for_a_user() -> None:
    artists = [f"Band {n}" for n in range(12)]
    twice = [(artist, when, "Lisboa") for artist in artists for when in ("2001-01-01", "2002-01-01")]
    profile = extended(twice)
    assert len(habits("me", profile, tour("Band 1", 40), asked=True)) == MOST_OF_A_HABIT
    every = habits("me", profile, [show for artist in artists for show in tour(artist, 5)], asked=True)
    assert len(every) == MOST < 12 * MOST_OF_A_HABIT


POOL = [*tour("Low", 6), *tour("Hallworth", 6), *tour("Ada", 2), made(**SHOW | {"city": "Lisboa", "country": "PT"})]


@settings(max_examples=60, deadline=None)
@given(st.permutations(HISTORY), st.permutations(POOL), st.sets(st.sampled_from(POOL).map(lambda one: one.concert_id)))
def test_order_changes_nothing(entries: list[Entry], shuffled: list[Concert], already: set[Any]) -> None:
    found = habits("me", habit_profile(HISTORY), POOL, already, asked=True, least=0.0)
    again = habits("me", habit_profile(entries), shuffled + shuffled[:3], sorted(already), asked=True, least=0.0)
    assert found == again
    offered = [one.suggestions[0].concert_id for one in found]
    assert len(set(offered)) == len(offered) <= MOST
    assert not already.intersection(offered)
    assert all(one.suggestions[0].band is Band.POSSIBLE for one in found)


TYPED = st.fixed_dictionaries(
    {},
    optional={
        "artist": st.sampled_from(["Low", "🎸", "!!!"]) | st.text(min_size=1, max_size=9),
        "date": st.sampled_from(["2012", "1/2/12", "summer 2012", "0000-00-00"]) | st.text(min_size=1, max_size=9),
        "city": st.sampled_from(["Porto", "????", "Springfield"]) | st.text(min_size=1, max_size=9),
        "lat": st.floats(-90, 90),
        "lon": st.floats(-180, 180),
    },
)


@settings(max_examples=100, deadline=None)
@given(st.lists(TYPED, max_size=6))
def test_whatever_was_typed_makes_a_profile(typed: list[dict[str, Any]]) -> None:
    entries = [Entry(user="me", entry_id=str(n), seen_at=NOON, **fields) for n, fields in enumerate(typed)]
    profile = habit_profile(entries)
    habit_keys(profile)
    habits("me", profile, POOL, asked=True)


def test_of_two_versions_of_an_entry_the_newer_counts() -> None:
    older = HISTORY[0].model_copy(update={"artist": "Ada", "seen_at": NOON - timedelta(days=1)})
    assert habit_profile([*HISTORY, older]) == habit_profile([older, *HISTORY]) == habit_profile(HISTORY)


def test_candidates_are_found_by_the_keys_that_concerts_have() -> None:
    keys = habit_keys(habit_profile(HISTORY))
    assert keys & concert_keys(made(**SHOW))
    assert keys & concert_keys(made(**SHOW | {"city": "Oporto"}))
    assert not keys & concert_keys(made(**SHOW | {"artist": "Ada"}))
    assert not keys & concert_keys(made(**SHOW | {"city": "Lisboa"})), "one show is no place of the user's"


def test_ten_thousand_candidates_and_a_long_history_take_seconds() -> None:
    (show,) = tour("Low", 1)
    shows = [
        show.model_copy(
            update={
                "concert_id": uuid5(ids.NAMESPACE, str(n)),
                "artist": f"Band {n % 300}",
                "night": date(2000, 1, 1) + timedelta(days=n % 5_000),
            }
        )
        for n in range(10_000)
    ]
    entries = logged(*((f"Band {n % 300}", f"{2000 + n % 14}-01-02", ("Porto", "Lisboa")[n % 2]) for n in range(1_000)))
    began = perf_counter()
    profile = habit_profile(entries)
    assert habit_keys(profile)
    assert len(habits("me", profile, shows, asked=True)) == MOST
    assert perf_counter() - began < 10


def test_figures_count_what_was_hidden_and_asked_for() -> None:
    """Low every other year in Porto, each logged; as many shows of theirs between, of which nobody logged one."""
    years = range(2001, 2011)
    shows = [SHOW | {"date": f"{year}-06-07", "source_id": f"yes {year}"} for year in years]
    shows += [SHOW | {"date": f"{year}-11-12", "source_id": f"no {year}"} for year in years]
    rows = [
        {"user": "me", "entry_id": f"{n:02}", "artist": "Low", "date": show["date"], "city": "Porto", "gold": gold}
        for n, show in enumerate(shows[:10])
        for gold in [show["source_id"]]
    ]
    rows += [
        {"user": "me", "entry_id": f"x{year}", "artist": "Ada", "date": f"{year}-01-01", "city": "Porto"}
        for year in range(2000, 2012)
    ]
    concerts = resolve([listing(**show) for show in shows])
    figures = evaluate_habits(rows, concerts)
    assert (figures["hidden"], figures["found"], figures["recall"]) == (10, 10, 1.0)
    kinds = figures["users"]["me"]["kinds"]
    assert (kinds["regular"]["asked"], kinds["regular"]["right"]) == (5 * 10 + 10, 10)
    assert (figures["asked"], figures["users"]["me"]["asked"]) == (5 * MOST_OF_A_HABIT, 5 * MOST_OF_A_HABIT)
    assert evaluate_habits(reversed(rows), reversed(concerts)) == figures


@pytest.mark.data
@pytest.mark.long
def test_measured_precision_still_holds_on_other_peoples_data(data_dir: Path) -> None:
    figures = evaluate_habits(*data())
    kinds = figures["users"]["listener-2"]["kinds"]
    for kind, held in MEASURED.items():
        low, high = kinds[kind]["interval"]
        assert low <= held.right / held.asked <= high, (kind, kinds[kind])
    assert figures["precision"] > 0.6
