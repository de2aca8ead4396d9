import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.candidates import concert_keys
from matchers.companions import (
    MEASURED,
    MOST,
    MOST_OF_A_NIGHT,
    Size,
    companion_keys,
    companions,
    link,
)
from matchers.judge.unasked import evaluate_companions
from matchers.resolve import resolve
from schemas import ids
from schemas.concert import Concert
from schemas.decision import Action, Decision
from schemas.suggestion import Band, Nothing, Origin, Suggestions
from tests.matchers.make import NOON, concert, listing
from tests.matchers.quality import data

LOW: dict[str, Any] = {"artist": "Low", "date": "2011-03-19", "venue": "Sala Grande", "city": "Lisbon", "country": "PT"}
QUILL = LOW | {"artist": "Vesper Quill", "source": "two", "source_id": "2"}
FESTIVAL = {"festival": "Lowlands"}

# One row for each rule: how the other act's listing differs from QUILL, how Low's from LOW, and what links them.
LINKS: list[tuple[str, dict[str, Any], dict[str, Any], str | None]] = [
    ("the same hall that night", {}, {}, "venue"),
    ("a hall's other spelling", {"venue": "The Sala Grande"}, {}, "venue"),
    ("a suburb's hall of one name is another hall", {"city": "Cascais"}, {}, None),
    ("another hall", {"venue": "Sala Pequena"}, {}, None),
    ("another town's hall of one name", {"city": "Porto"}, {}, None),
    ("a hall that nobody names", {"venue": None}, {}, None),
    ("another room", {"room": "Cave"}, {"room": "Main Room"}, None),
    ("another night", {"date": "2011-03-20"}, {}, None),
    ("the act itself, listed twice", {"artist": "LOW", "city": "Cascais"}, {}, None),
    ("a matinee", {"start_time": "15:00"}, {"start_time": "21:00"}, None),
    ("support at the hour before", {"start_time": "20:00"}, {"start_time": "21:00"}, "venue"),
    ("one source lists bills, and these two apart", {"source": "one", "support": ["Ostrander"]}, {}, None),
    ("one source that lists no bills", {"source": "one"}, {}, "venue"),
    ("a festival's other stage", FESTIVAL | {"venue": "Stage B"}, FESTIVAL | {"venue": "Stage A"}, "festival"),
    ("a festival's other day", FESTIVAL | {"date": "2011-03-20"}, FESTIVAL, None),
    ("a festival of the name far away", FESTIVAL | {"city": "Porto"}, FESTIVAL, None),
    ("two festivals of a night", FESTIVAL | {"venue": "Stage B"}, {"festival": "Primavera"}, None),
]


def made(fields: dict[str, Any]) -> Concert:
    told = {name: value for name, value in fields.items() if value is not None}
    name = told["artist"]
    return next(one for one in resolve([listing(**told)]) if one.artist == name)


@pytest.mark.parametrize(("other", "low", "how"), [row[1:] for row in LINKS], ids=[row[0] for row in LINKS])
def test_acts_hang_together_by_bill_festival_or_hall(
    other: dict[str, Any], low: dict[str, Any], how: str | None
) -> None:
    show, act = made(LOW | low), made(QUILL | other)
    assert link(show, act) == link(act, show) == how
    found = companions("me", [show], [act])
    assert [one.suggestions[0].why[0].field for one in found] == ([how] if how else [])


def bill(**fields: Any) -> tuple[Concert, list[Concert]]:
    """Low's show, and those of its bill."""
    concerts = resolve([listing(**LOW | {"support": ["Vesper Quill", "Ostrander"]} | fields)])
    return next(one for one in concerts if one.artist == "Low"), [one for one in concerts if one.artist != "Low"]


def test_a_companion_is_a_question_of_its_own_that_explains_itself() -> None:
    low, others = bill()
    found = companions("me", [low], others)
    assert [one.suggestions[0].concert.artist for one in found] == ["Ostrander", "Vesper Quill"]
    for one in found:
        (suggestion,) = one.suggestions
        other = next(act for act in others if act.concert_id == suggestion.concert_id)
        assert one.entry_id == ids.companion_entry_id(low.concert_id, other.concert_id)
        assert suggestion.suggestion_id == ids.suggestion_id("me", one.entry_id, other.concert_id)
        assert (one.origin, one.decision, one.reason) == (Origin.COMPANION, None, None)
        assert (suggestion.band, suggestion.concert, suggestion.members) == (Band.POSSIBLE, other.facts, other.members)
        assert suggestion.why[0].text == "on the same bill as Low, which you confirmed"
        assert one.because is not None
        assert (one.because.text, one.because.concert_id) == (suggestion.why[0].text, low.concert_id)
        odds = 2 ** sum(piece.bits for piece in suggestion.why)
        assert odds / (1 + odds) == pytest.approx(suggestion.confidence, abs=1e-3)
        assert Suggestions.from_bytes(one.to_bytes()) == one


def test_the_words_name_the_festival_or_the_hall() -> None:
    same_day = companions("me", [made(LOW | FESTIVAL)], [made(QUILL | FESTIVAL | {"venue": "Stage B"})])
    same_hall = companions("me", [made(LOW)], [made(QUILL)])
    assert [one.suggestions[0].why[0].text for one in (*same_day, *same_hall)] == [
        "same day of Lowlands as Low, which you confirmed",
        "same night at Sala Grande as Low, which you confirmed",
    ]


@pytest.mark.parametrize("status", ["cancelled", "postponed"])
def test_what_did_not_take_place_is_never_asked_for(status: str) -> None:
    assert not companions("me", [made(LOW)], [made(QUILL | {"status": status})])


def test_confidence_is_what_was_measured_for_such_a_night_and_never_likely() -> None:
    low, others = bill()
    three = companions("me", [low], others)
    day = [made(QUILL | {"artist": f"Act {n}", "source_id": str(n)}) for n in range(4)]
    assert {one.suggestions[0].confidence for one in three} == {MEASURED[Size.CONCERT].precision}
    assert {one.suggestions[0].confidence for one in companions("me", [made(LOW)], day)} == {
        MEASURED[Size.FESTIVAL].precision
    }
    assert all(0.3 <= rate.precision < 0.8 for rate in MEASURED.values())


def decided(on: Suggestions, action: Action, number: int = 1, **changed: Any) -> Decision:
    (one,) = on.suggestions
    return Decision(
        **{
            "decision_id": uuid5(ids.NAMESPACE, str(number)),
            "user": "me",
            "entry_id": on.entry_id,
            "suggestion_id": one.suggestion_id,
            "concert_id": one.concert_id,
            "action": action,
            "decided_at": NOON + timedelta(minutes=number),
            "members": one.members,
            "listing_ids": tuple(member.listing_id for member in one.members),
            "signature": one.signature,
            "confidence": one.confidence,
            "why": one.why,
        }
        | changed
    )


def one_companion() -> tuple[Concert, Concert, Suggestions]:
    low, quill = made(LOW), made(QUILL)
    (found,) = companions("me", [low], [quill])
    return low, quill, found


def test_what_the_user_has_is_not_asked_for_again() -> None:
    low, quill, found = one_companion()
    assert not companions("me", [low], [quill], already=[quill.concert_id])
    assert not companions("me", [low, quill], [low, quill])
    for action in (Action.CONFIRMED, Action.DISMISSED, Action.OTHER_NIGHT):
        for entry_id in ("typed", "companion-1"):
            assert not companions("me", [low], [quill], decisions=[decided(found, action, entry_id=entry_id)])


def test_what_was_said_of_a_concert_follows_its_listings_into_a_merged_one() -> None:
    low, quill, found = one_companion()
    rows = [QUILL | {"source": f"source{n}"} for n in range(5)]
    (merged,) = resolve([listing(**row) for row in (QUILL, *rows)])
    assert merged.concert_id != quill.concert_id
    assert not companions("me", [low], [merged], already=[quill.concert_id])
    (after,) = companions("me", [low], [merged], decisions=[decided(found, Action.DISMISSED)])
    assert (after.entry_id, after.reason) == (found.entry_id, Nothing.DISMISSED)


def test_what_was_said_of_one_act_of_a_bill_is_not_said_of_the_others() -> None:
    low, others = bill()
    first, second = companions("me", [low], others)
    after = companions("me", [low], others, decisions=[decided(first, Action.DISMISSED)])
    assert [one.reason for one in after] == [Nothing.DISMISSED, None]
    assert companions("me", [low], others, already=[first.suggestions[0].concert_id]) == (second,)


def test_a_dismissal_holds_until_the_evidence_changes() -> None:
    low, quill, found = one_companion()
    dismissed = decided(found, Action.DISMISSED)
    (after,) = companions("me", [low], [quill], decisions=[dismissed])
    assert (after.entry_id, after.suggestions, after.reason) == (found.entry_id, (), Nothing.DISMISSED)
    assert after.decision is Action.DISMISSED
    billed = quill.model_copy(
        update={"bill": (bill()[1][0].bill[0].model_copy(update={"concert_id": low.concert_id}),)}
    )
    (again,) = companions("me", [low], [billed], decisions=[dismissed])
    assert again.suggestions[0].why[0].field == "bill"
    assert again.entry_id == found.entry_id


def test_an_undone_dismissal_asks_again_and_a_snooze_only_says_so() -> None:
    low, quill, found = one_companion()
    no = decided(found, Action.DISMISSED, 1)
    for undone in (decided(found, Action.UNDONE, 2, undoes=no.decision_id), decided(found, Action.UNDONE, 2)):
        assert companions("me", [low], [quill], decisions=[undone, no]) == (found,)
    (later,) = companions("me", [low], [quill], decisions=[decided(found, Action.SNOOZED)])
    assert later == found.model_copy(update={"decision": Action.SNOOZED})


def test_a_snooze_takes_back_no_answer() -> None:
    low, quill, found = one_companion()
    said = [decided(found, Action.CONFIRMED, 1), decided(found, Action.SNOOZED, 2)]
    (after,) = companions("me", [low, quill], [quill], decisions=said)
    assert after.decision is Action.CONFIRMED


def test_an_act_that_two_sources_write_differently_is_asked_for_once() -> None:
    acts = [made(QUILL | {"artist": name, "source_id": name}) for name in ("TORRES", "Torres", "The Torres")]
    assert len(companions("me", [made(LOW)], acts)) == 1


@pytest.mark.parametrize("headliner", ["Zed", "Yan", "Xu"])
def test_headliners_come_before_their_support(headliner: str) -> None:
    concerts = resolve([listing(**LOW | {"artist": headliner, "support": ["Ada", "Bo", "Cy", "Di", "Low"]})])
    low = next(one for one in concerts if one.artist == "Low")
    assert companions("me", [low], concerts)[0].suggestions[0].concert.artist == headliner


def test_a_confirmed_companion_stays_though_its_show_is_taken_back() -> None:
    low, quill, found = one_companion()
    yes = decided(found, Action.CONFIRMED)
    kept = [companions("me", shows, [quill], decisions=[yes]) for shows in ([low, quill], [quill])]
    for (one,) in kept:
        assert (one.entry_id, one.decision) == (found.entry_id, Action.CONFIRMED)
        assert one.suggestions[0].concert_id == quill.concert_id
        assert one.suggestions[0].why == found.suggestions[0].why


def test_two_confirmed_shows_ask_for_a_third_once() -> None:
    low, (ostrander, quill) = bill()
    (found,) = companions("me", [low, quill], [ostrander, quill, low])
    assert found.suggestions[0].concert_id == ostrander.concert_id


def festival_day(acts: int, night: date = date(2011, 3, 19)) -> list[Concert]:
    low = made(LOW | FESTIVAL | {"date": night.isoformat(), "source_id": night.isoformat()})
    return [low] + [
        low.model_copy(
            update={
                "concert_id": uuid5(ids.NAMESPACE, f"{night} {n}"),
                "artist": f"Act {n}",
                "artist_key": f"act {n}",
                "members": (low.members[0].model_copy(update={"act": f"Act {n}"}),),
            }
        )
        for n in range(acts)
    ]


def test_questions_are_capped_for_a_night_and_for_a_user() -> None:
    low, *others = festival_day(40)
    found = companions("me", [low], others)
    assert len(found) == MOST_OF_A_NIGHT
    no = [decided(one, Action.DISMISSED, n) for n, one in enumerate(found)]
    after = companions("me", [low], others, decisions=no)
    assert len([one for one in after if one.suggestions]) == MOST_OF_A_NIGHT, "what was answered leaves its room"
    days = [festival_day(15, date(2011, 3, 1) + timedelta(days=n)) for n in range(12)]
    every = companions("me", [day[0] for day in days], [one for day in days for one in day])
    assert len(every) == MOST < 12 * MOST_OF_A_NIGHT


def test_who_played_next_to_it_is_asked_for_first() -> None:
    hours = {"Ostrander": "16:00", "Vesper Quill": "20:00", "Ada": None}
    others = [
        made(QUILL | FESTIVAL | {"artist": name, "source_id": name, "start_time": hour, "venue": f"Stage {name}"})
        for name, hour in hours.items()
    ]
    found = companions("me", [made(LOW | FESTIVAL | {"start_time": "21:00"})], others)
    assert [one.suggestions[0].concert.artist for one in found] == ["Vesper Quill", "Ostrander", "Ada"]


SHOWS = [*festival_day(12), *festival_day(3, date(2011, 3, 20)), *bill()[1], made(QUILL), made(LOW)]


@settings(max_examples=60, deadline=None)
@given(
    st.permutations(SHOWS),
    st.sets(st.sampled_from(SHOWS), min_size=1, max_size=5),
    st.sets(st.sampled_from(SHOWS).map(lambda one: one.concert_id), max_size=4),
)
def test_order_changes_nothing_and_the_answer_is_a_fixed_point(
    shuffled: list[Concert], confirmed: set[Concert], already: set[UUID]
) -> None:
    shows = sorted(confirmed, key=SHOWS.index)
    found = companions("me", shows, SHOWS, already)
    assert found == companions("me", reversed(shows), shuffled + shuffled[:5], sorted(already))
    offered = [one.suggestions[0].concert_id for one in found]
    assert len(set(offered)) == len(offered) <= MOST
    assert not {one.concert_id for one in shows}.union(already).intersection(offered)
    assert len({one.entry_id for one in found}) == len(found)


def test_the_answer_does_not_depend_on_the_seed_of_hashes() -> None:
    program = (
        "from tests.matchers.test_companions import SHOWS, companions\n"
        "print([one.to_bytes().hex() for one in companions('me', set(SHOWS[:3]), set(SHOWS))])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
    assert json.loads(told.pop().replace("'", '"'))


def test_candidates_are_found_by_the_keys_that_concerts_have() -> None:
    low, others = bill()
    for other in (*others, made(QUILL), made(QUILL | FESTIVAL | {"venue": "Stage B"})):
        assert companion_keys(low) & concert_keys(other)
    assert not companion_keys(low) & concert_keys(made(QUILL | {"date": "2011-03-20"}))
    nowhere = concert(artist="Low", date="2011-03-19", venue="Sala Grande")
    assert companion_keys(nowhere) & concert_keys(concert(artist="Ada", date="2011-03-19", venue="Sala Grande"))


def test_ten_thousand_candidates_take_seconds() -> None:
    low, *others = festival_day(10_000)
    began = perf_counter()
    assert len(companions("me", [low], others)) == MOST_OF_A_NIGHT
    assert perf_counter() - began < 10


def entry_rows(*logged: tuple[str, str, str | None]) -> list[dict[str, Any]]:
    """Of a listener: artist, date, the record that it means."""
    return [
        {"user": "me", "entry_id": str(n), "artist": artist, "date": when, "city": "Lisboa", "gold": gold}
        for n, (artist, when, gold) in enumerate(logged)
    ]


def test_figures_count_what_was_logged_beside_the_drawn_show() -> None:
    rows = [LOW | {"source_id": "low"}, QUILL | {"source": "one"}, QUILL | {"artist": "Ostrander", "source_id": "3"}]
    rows += [{"artist": f"Act {n}", "date": "2012-01-01", "city": "Porto", "source_id": f"4{n}"} for n in range(2)]
    rows += [{"artist": "Ada", "support": ["Bo", "Cy"], "date": "2012-01-02", "city": "Porto", "source_id": "5"}]
    concerts = resolve([listing(**row) for row in rows])
    logged = entry_rows(("Low", "2011-03-19", "low"), ("Vesper Quill", "2011-03-19", "2"))
    figures = evaluate_companions(logged, concerts, seed=1)
    assert (figures["nights"], figures["asked"], figures["right"], figures["precision"]) == (1, 2, 1, 0.5)
    assert figures["interval"][0] < 0.5 < figures["interval"][1]
    assert (figures["others"], figures["found"], figures["recall"], figures["unlogged"]) == (1, 1, 1.0, 1)
    assert [line.split(",")[0] for line in figures["wrong"]] == ["2011-03-19 Ostrander"]
    assert figures["links"]["venue"]["asked"] == figures["sizes"]["concert"]["asked"] == 2
    # One further act is logged; of the six acts elsewhere three have two others.
    assert figures["bound"]["concert"] == {"logged": 1.0, "billed": 1.0, "acts": 6, "precision": 1.0}
    assert evaluate_companions(reversed(logged), reversed(concerts), seed=1) == figures
    also = entry_rows(("Low", "2011-03-19", "low"), ("OSTRANDER", "2011-03-19", None))
    assert evaluate_companions(also, concerts)["right"] == 1, "logged, though no record was found for it"


def test_figures_of_nothing_are_nothing() -> None:
    figures = evaluate_companions([], [])
    assert (figures["asked"], figures["precision"], figures["interval"]) == (0, None, [0.0, 1.0])
    json.dumps(figures)


@pytest.mark.data
@pytest.mark.long
def test_measured_precision_still_holds_on_other_peoples_data(data_dir: Path) -> None:
    figures = evaluate_companions(*data())
    for size, held in MEASURED.items():
        assert figures["sizes"][size]["asked"] > 100
        assert figures["sizes"][size]["interval"][1] >= held.precision
        assert held.bound is not None
        assert figures["bound"][size]["precision"] == pytest.approx(held.bound, abs=0.06)
    assert figures["recall"] > 0.95
