"""What one device's wish meets that another decided before: every pair, without a database."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from api.errors import ConflictError
from api.verdicts import RULES, Night, Step, Target, Wish, last_of, lifted, the_night, to_undo, verdict
from schemas.concert import Facts
from schemas.decision import Action, Decision
from schemas.listing import Place
from schemas.suggestion import Band, Suggestion

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINE, OTHER = UUID(int=1), UUID(int=2)
CONCERTS = {MINE: UUID(int=11), OTHER: UUID(int=12)}
NIGHTS = {MINE: date(1994, 8, 27), OTHER: date(1994, 8, 28)}


def said(action: Action, suggestion: UUID = MINE, minutes: int = 0, **more: object) -> Decision:
    told = {
        "decision_id": uuid4(),
        "user": "u",
        "entry_id": "e",
        "suggestion_id": suggestion,
        "concert_id": CONCERTS[suggestion],
        "action": action,
        "decided_at": NOON + timedelta(minutes=minutes),
        "signature": "s1",
        "concert": Facts(artist="Low", night=NIGHTS[suggestion]),
    }
    return Decision.model_validate(told | more)


def wish(action: Action, **more: object) -> Wish:
    return Wish("u", MINE, action, NOON, "t", **more)  # type: ignore[arg-type]


def shown(signature: str) -> Suggestion:
    return Suggestion(
        suggestion_id=MINE,
        rank=1,
        concert_id=CONCERTS[MINE],
        concert=Facts(artist="Low", night=NIGHTS[MINE]),
        members=(),
        confidence=0.9,
        band=Band.SURE,
        why=(),
        signature=signature,
    )


DECIDED = (Action.CONFIRMED, Action.DISMISSED, Action.OTHER_NIGHT, Action.NOT_SEEN)


@pytest.mark.parametrize("asked", [*DECIDED, Action.SNOOZED])
@pytest.mark.parametrize("stands", [None, *DECIDED, Action.SNOOZED])
def test_a_repeat_is_answered_a_contradiction_refused_and_the_rest_made(asked: Action, stands: Action | None) -> None:
    in_force = [said(stands)] if stands else []
    target = Target(concert_id=CONCERTS[OTHER]) if asked is Action.OTHER_NIGHT else None
    expected: object
    if stands is None or stands is Action.SNOOZED:
        expected = None  # nothing is decided yet
    elif asked is stands and asked is not Action.OTHER_NIGHT:
        expected = in_force[0]
    elif asked is Action.OTHER_NIGHT and stands is Action.CONFIRMED:
        expected = None  # a confirmed night can be moved
    else:
        expected = ConflictError
    if asked is stands is Action.SNOOZED:
        expected = in_force[0]  # until the same moment
    if expected is ConflictError:
        with pytest.raises(ConflictError) as refused:
            verdict(wish(asked, target=target), in_force, None)
        told = {detail.field: detail.message for detail in refused.value.details}
        assert stands is not None and told["decision"] == stands.value
        assert told["decision_id"] == str(in_force[0].decision_id)
    else:
        assert verdict(wish(asked, target=target), in_force, None) is expected


@pytest.mark.parametrize("asked", [*DECIDED, Action.SNOOZED])
def test_another_concert_confirmed_for_the_entry_refuses_everything(asked: Action) -> None:
    target = Target(step=Step.AFTER) if asked is Action.OTHER_NIGHT else None
    with pytest.raises(ConflictError, match=str(OTHER)):
        verdict(wish(asked, target=target), [said(Action.CONFIRMED, OTHER)], None)


def test_a_move_that_is_repeated_is_answered_by_the_night_it_moved_to_and_another_move_is_refused() -> None:
    call = uuid4()
    moved = said(Action.OTHER_NIGHT, together=call)
    there = said(Action.CONFIRMED, OTHER, together=call)
    for target in (Target(concert_id=CONCERTS[OTHER]), Target(night=NIGHTS[OTHER]), Target(step=Step.AFTER)):
        assert verdict(wish(Action.OTHER_NIGHT, target=target), [moved, there], None) is there
    with pytest.raises(ConflictError):
        verdict(wish(Action.OTHER_NIGHT, target=Target(step=Step.BEFORE)), [moved, there], None)


def test_a_refusal_holds_for_the_evidence_it_was_made_on() -> None:
    no = said(Action.DISMISSED)
    assert not lifted(no, shown("s1")) and not lifted(no, None)
    assert lifted(no, shown("s2"))
    assert not lifted(said(Action.NOT_SEEN, signature=""), shown("s2"))
    assert not lifted(said(Action.CONFIRMED), shown("s2"))
    assert verdict(wish(Action.CONFIRMED), [no], shown("s2")) is None


def test_an_undo_takes_back_a_move_as_a_whole_and_a_bulk_one_by_one() -> None:
    call = uuid4()
    moved, there = said(Action.OTHER_NIGHT, together=call), said(Action.CONFIRMED, OTHER, 1, together=call)
    assert to_undo(wish(Action.UNDONE), [moved, there]) == [there, moved]
    bulk = [said(Action.DISMISSED, together=call), said(Action.DISMISSED, OTHER, 1, together=call)]
    assert to_undo(wish(Action.UNDONE), bulk) == bulk[:1]
    assert to_undo(wish(Action.UNDONE), []) == []


def test_a_night_that_was_moved_on_is_undone_last_move_first() -> None:
    moved = said(Action.OTHER_NIGHT, together=uuid4())
    on = said(Action.CONFIRMED, OTHER, 2, together=uuid4())
    with pytest.raises(ConflictError, match=str(OTHER)):
        to_undo(wish(Action.UNDONE), [moved, on])


def test_a_neighbouring_night_is_the_nearest_and_of_two_the_one_in_the_same_town() -> None:
    def night(number: int, day: int, city: str | None = None) -> Night:
        facts = Facts(artist="Low", night=date(1994, 8, day), place=Place(city=city))
        return Night(UUID(int=number), facts, ())

    others = [night(1, 20), night(2, 25, "Leeds"), night(3, 25, "Reading"), night(4, 29), night(5, 30)]
    here = Facts(artist="Low", night=date(1994, 8, 27), place=Place(city="Reading"))

    def meant(target: Target, facts: Facts = here) -> list[int]:
        return [one.concert_id.int for one in the_night(target, facts, others)]

    assert meant(Target(step=Step.AFTER)) == [4]
    assert meant(Target(step=Step.BEFORE)) == [3]
    assert meant(Target(step=Step.BEFORE), Facts(artist="Low", night=date(1994, 8, 27))) == [2, 3]
    assert meant(Target(night=date(1994, 8, 30))) == [5]
    assert meant(Target(night=date(1994, 8, 31))) == meant(Target(concert_id=UUID(int=9))) == []
    assert meant(Target(concert_id=UUID(int=1))) == [1]


def test_every_decision_has_its_rule_in_words() -> None:
    assert set(RULES) == set(Action)
    assert last_of([said(Action.DISMISSED)], OTHER) is None
