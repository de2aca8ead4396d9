from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.match import match
from matchers.resolve import resolve
from matchers.text import FOLD_VERSION
from matchers.weights import default_tables
from schemas import ids
from schemas.concert import Concert
from schemas.decision import Action, Decision
from schemas.suggestion import Band, Nothing, Suggestion
from tests.matchers.make import NOON, concert, entry, listing, why

LISBON: dict[str, Any] = {
    "artist": "Hallworth",
    "date": "2011-03-19",
    "venue": "Sala Grande",
    "city": "Lisbon",
    "country": "PT",
}

# One row for each rule: what was typed, how the concert differs from LISBON, how it reads.
READS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("as typed", {"artist": "Hallworth", "date": "2011-03-19", "city": "Lisboa"}, {}, "sure"),
    ("artist and night alone", {"artist": "Hallworth", "date": "2011-03-19"}, {}, "sure"),
    ("artist and month", {"artist": "Hallworth", "date": "Mar 2011"}, {}, "likely"),
    ("artist, month and town", {"artist": "Hallworth", "date": "Mar 2011", "city": "Lisboa"}, {}, "likely"),
    (
        "artist, month, town and songs",
        {"artist": "Hallworth", "date": "Mar 2011", "city": "Lisboa", "songs": ["One", "Two", "Three"]},
        {"songs": ["One", "Two", "Three", "Four"]},
        "sure",
    ),
    ("a typo", {"artist": "Halworth", "date": "2011-03-19", "city": "Lisboa"}, {}, "sure"),
    ("a day off is never sure", {"artist": "Hallworth", "date": "2011-03-20", "city": "Lisboa"}, {}, "possible"),
    ("another town that night", {"artist": "Hallworth", "date": "2011-03-19", "city": "Tokyo"}, {}, "possible"),
    (
        "another act of the same bill",
        {"artist": "Vesper Quill", "date": "2011-03-19", "city": "Lisboa"},
        {},
        "too_weak",
    ),
    ("the town and years off", {"artist": "Hallworth", "date": "2009-01-01", "city": "Lisboa"}, {}, "too_weak"),
    (
        "a tribute",
        {"artist": "Hallworth", "date": "2011-03-19", "city": "Lisboa"},
        {"artist": "Hallworth Tribute"},
        "too_weak",
    ),
    (
        "where and when, no artist",
        {"date": "2011-03-19", "venue": "Sala Grande", "city": "Lisboa"},
        {},
        "likely",
    ),
    ("nothing to go by", {"city": "Lisboa"}, {}, "nothing_to_go_by"),
    ("an unreadable artist", {"artist": "????", "date": "2011"}, {}, "nothing_to_go_by"),
    (
        "part of the name",
        {"artist": "Peter Hook", "date": "2011-03-19", "city": "Lisboa"},
        {"artist": "Peter Hook & the Light"},
        "likely",
    ),
    (
        "a country beside the name",
        {"artist": "Hallworth (UK)", "date": "2011-03-19", "city": "Lisboa"},
        {},
        "sure",
    ),
    (
        "the festival for the hall",
        {"artist": "Hallworth", "date": "2011", "venue": "Primavera Sound", "city": "Lisboa"},
        {"festival": "Primavera Sound 2011", "venue": "Parque da Cidade"},
        "likely",
    ),
    (
        "initials with their article",
        {"artist": "RATM", "date": "2011-03-19", "city": "Lisboa"},
        {"artist": "Rage Against the Machine"},
        "likely",
    ),
    (
        "a postponed night is a question",
        {"artist": "Hallworth", "date": "2011-03-19", "city": "Lisboa"},
        {"status": "postponed"},
        "possible",
    ),
    (
        "a slip in a tribute's long name",
        {"artist": "Tye Hallworth Tribute Show", "date": "2011-03-19", "city": "Lisboa"},
        {"artist": "The Hallworth Tribute Show"},
        "sure",
    ),
    (
        "a cancelled show is never suggested",
        {"artist": "Hallworth", "date": "2011-03-19"},
        {"status": "cancelled"},
        "no_candidate",
    ),
]


@pytest.mark.parametrize(("typed", "change", "reads"), [row[1:] for row in READS], ids=[row[0] for row in READS])
def test_an_entry_reads_as_sure_as_it_is(typed: dict[str, Any], change: dict[str, Any], reads: str) -> None:
    found = match(entry(**typed), [concert(**LISBON | change)])
    assert (found.suggestions[0].band if found.suggestions else found.reason) == reads


def test_a_festival_named_for_the_hall_is_told_as_one() -> None:
    show = concert(**LISBON | {"festival": "Primavera Sound 2011", "venue": "Parque da Cidade"})
    (one,) = match(entry(artist="Hallworth", date="2011-03-19", venue="Primavera Sound"), [show]).suggestions
    assert why(one)["venue"].text == "Primavera Sound is the festival"
    assert why(one)["venue"].bits > 4


def test_every_suggestion_explains_itself() -> None:
    typed = entry(artist="Halworth", date="2011-03-19", city="Lisboa", venue="Sala", songs=["First Song", "Xyzzy"])
    show = concert(**LISBON | {"songs": ["First Song", "Other Song"]})
    found = match(typed, [show])
    (one,) = found.suggestions
    assert {name: e.text for name, e in why(one).items()} == {
        "artist": "artist spelled 'Halworth'",
        "date": "same night",
        "city": "Lisboa is Lisbon",
        "venue": "Sala is Sala Grande, or part of it",
        "songs": "1 of your 2 songs was played",
        "prior": "one of about a million concerts",
    }
    assert 1 / (1 + 2 ** -sum(e.bits for e in one.why)) == pytest.approx(one.confidence, abs=1e-3)
    assert (one.suggestion_id, one.concert_id) == (ids.suggestion_id("me", "1", show.concert_id), show.concert_id)
    assert (one.concert, one.members, one.rank) == (show.facts, show.members, 1)
    assert (found.weights, found.fold, found.rev, found.made_at) == (default_tables().version, FOLD_VERSION, 0, None)
    assert found.entry == typed.remembered


def test_the_other_nights_of_a_run_stand_beside_the_one_that_was_typed() -> None:
    nights = [concert(source_id=str(day), **LISBON | {"date": f"2011-03-{day}"}) for day in (18, 19, 20, 21)]
    for typed, shown in (("2011-03-19", [19, 18, 20]), ("2011-03-17", [18, 19, 20])):
        found = match(entry(artist="Hallworth", date=typed, city="Lisboa"), nights)
        assert [one.concert.night.day for one in found.suggestions] == shown
        assert all(one.band is not Band.SURE for one in found.suggestions)
        told = [one.confidence for one in found.suggestions]
        assert told == sorted(told, reverse=True)


def test_a_weekday_that_agrees_settles_which_night_of_a_run() -> None:
    nights = [concert(source_id=str(day), **LISBON | {"date": f"2011-03-{day}"}) for day in (18, 19, 20)]
    for typed, band in (
        ("19 Mar 2011", Band.LIKELY),
        ("Sat 19 Mar 2011", Band.SURE),
        ("Fri 19 Mar 2011", Band.POSSIBLE),
    ):
        found = match(entry(artist="Hallworth", date=typed, city="Lisboa"), nights)
        assert found.suggestions[0].band is band, typed


def early_and_late() -> list[Concert]:
    return resolve([listing(source_id="1", **LISBON), listing(source_id="2", **LISBON)])


def test_two_equal_candidates_are_a_question() -> None:
    found = match(entry(artist="Hallworth", date="2011-03-19", city="Lisboa"), early_and_late())
    assert [one.band for one in found.suggestions] == [Band.POSSIBLE, Band.POSSIBLE]
    assert sum(one.confidence for one in found.suggestions) <= 1


def test_songs_decide_between_nights() -> None:
    nights = [
        concert(source_id=str(day), **LISBON | {"date": f"2011-03-{day:02}", "songs": [f"Song {day}", "First Song"]})
        for day in (6, 7, 8)
    ]
    found = match(entry(artist="Hallworth", date="Mar 2011", city="Lisboa", songs=["Song 7", "First Song"]), nights)
    assert found.suggestions[0].concert.night.day == 7
    assert len(found.suggestions) <= 3


def test_both_readings_of_a_date_are_asked() -> None:
    nights = [concert(source_id=day, **LISBON | {"date": day}) for day in ("2014-03-04", "2014-04-03")]
    found = match(entry(artist="Hallworth", date="03/04/2014"), nights)
    assert {one.concert.night.isoformat() for one in found.suggestions} == {"2014-03-04", "2014-04-03"}
    assert all(one.band is not Band.SURE for one in found.suggestions)


def decided(
    on: Suggestion, action: Action, number: int = 1, undoes: UUID | None = None, listing_ids: Any = None
) -> Decision:
    return Decision(
        decision_id=uuid5(ids.NAMESPACE, str(number)),
        user="me",
        entry_id="1",
        suggestion_id=on.suggestion_id,
        concert_id=on.concert_id,
        action=action,
        decided_at=NOON + timedelta(minutes=number),
        listing_ids=tuple(m.listing_id for m in on.members) if listing_ids is None else listing_ids,
        signature=on.signature,
        undoes=undoes,
    )


TYPED = entry(artist="Hallworth", date="2011-03-19", city="Lisboa")


def test_a_dismissed_concert_stays_out_while_the_evidence_is_the_same() -> None:
    show = concert(**LISBON)
    (one,) = match(TYPED, [show]).suggestions
    dismissed = decided(one, Action.DISMISSED)
    found = match(TYPED, [show], [dismissed])
    assert (found.suggestions, found.reason, found.decision) == ((), Nothing.DISMISSED, Action.DISMISSED)
    richer = entry(artist="Hallworth", date="2011-03-19", city="Lisboa", venue="Sala Grande")
    assert match(richer, [show], [dismissed]).suggestions


def test_a_dismissal_follows_a_listing_into_a_merged_concert() -> None:
    *others, alone = sorted(
        (listing(source=f"source{n}", **LISBON) for n in range(5)), key=lambda told: str(told.listing_id)
    )
    (one,) = match(TYPED, resolve([alone])).suggestions
    merged = resolve([alone, *others])
    assert merged[0].concert_id != one.concert_id
    assert not match(TYPED, merged, [decided(one, Action.DISMISSED)]).suggestions


def test_a_word_on_one_act_of_a_bill_is_none_on_the_others() -> None:
    bill = resolve([listing(**LISBON | {"support": ["Vesper Quill"]})])
    typed = entry(date="2011-03-19", venue="Sala Grande", city="Lisboa")
    first, second = match(typed, bill).suggestions
    told = match(typed, bill, [decided(first, Action.DISMISSED).model_copy(update={"members": first.members})])
    assert [one.concert_id for one in told.suggestions] == [second.concert_id]


def test_an_undone_dismissal_is_lifted() -> None:
    show = concert(**LISBON)
    (one,) = match(TYPED, [show]).suggestions
    no = decided(one, Action.DISMISSED, 1)
    for undo in (decided(one, Action.UNDONE, 2, undoes=no.decision_id), decided(one, Action.UNDONE, 2)):
        found = match(TYPED, [show], [undo, no])
        assert found.suggestions
        assert found.decision is None


def test_a_confirmed_concert_stays_first() -> None:
    shows = early_and_late()
    second = match(TYPED, shows).suggestions[1]
    found = match(TYPED, shows, [decided(second, Action.CONFIRMED)])
    assert found.suggestions[0].concert_id == second.concert_id
    assert [one.rank for one in found.suggestions] == [1, 2]
    assert found.decision is Action.CONFIRMED


def test_a_snooze_changes_nothing_but_the_decision() -> None:
    show = concert(**LISBON)
    before = match(TYPED, [show])
    after = match(TYPED, [show], [decided(before.suggestions[0], Action.SNOOZED)])
    assert (after.suggestions, after.decision) == (before.suggestions, Action.SNOOZED)


ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "artist": st.sampled_from(["Hallworth", "Halworth", "Ostrander", "!!!", "🎸"])
        | st.text(min_size=1, max_size=20),
        "date": st.sampled_from(["2011-03-19", "19/03/2011", "Mar 2011", "2011", "summer 2011"])
        | st.text(min_size=1, max_size=20),
        "venue": st.sampled_from(["Sala", "????"]) | st.text(min_size=1, max_size=20),
        "city": st.sampled_from(["Lisboa", "Porto", "Xyzzy"]) | st.text(min_size=1, max_size=20),
        "country": st.sampled_from(["PT", "Portugal", "US"]),
        "lat": st.floats(-90, 90),
        "lon": st.floats(-180, 180),
        "time": st.sampled_from(["20:00", "00:30", "8pm"]) | st.text(min_size=1, max_size=10),
        "songs": st.lists(st.sampled_from(["First Song", "Xyzzy"]) | st.text(min_size=1, max_size=9), max_size=3),
    },
)
CATALOGUE = [
    *early_and_late(),
    concert(source_id="3", **LISBON | {"date": "2011-03-20", "songs": ["First Song"], "start_time": "21:00"}),
    concert(source_id="4", **LISBON | {"artist": "Ostrander", "city": "Porto", "lat": 41.15, "lon": -8.61}),
    concert(source_id="5", artist="🎸", date="2011-03-19"),
]


@settings(max_examples=200, deadline=None)
@given(ENTRIES, st.permutations(CATALOGUE))
def test_the_order_of_candidates_changes_nothing(typed: dict[str, Any], shuffled: list[Concert]) -> None:
    found = match(entry(**typed), shuffled)
    assert found == match(entry(**typed), CATALOGUE)
    assert len(found.suggestions) <= 3
    assert (found.reason is None) == bool(found.suggestions)
    assert sum(one.band is Band.SURE for one in found.suggestions) <= 1
    assert type(found).from_bytes(found.to_bytes()) == found


def test_who_said_no_to_the_best_still_sees_the_others() -> None:
    typed = entry(artist="Hallworth", date="2011-03-19", city="Lisboa")
    near = concert(**LISBON)
    off = concert(source_id="2", **LISBON | {"date": "2011-03-20"})
    later = concert(source_id="3", **LISBON | {"date": "2011-03-21"})
    best, *others = match(typed, [near, off, later]).suggestions
    assert best.concert_id == near.concert_id
    shown = {one.concert_id for one in others}
    after = match(typed, [near, off, later], [decided(best, Action.DISMISSED)])
    assert near.concert_id not in {one.concert_id for one in after.suggestions}
    assert shown <= {one.concert_id for one in after.suggestions}
    if after.suggestions:
        assert after.decision is None, "a set that still asks is not decided"
