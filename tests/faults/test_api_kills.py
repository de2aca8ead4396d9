"""What `tests.faults.api_kills` says of an API that loses a decision or makes one twice, and what it says of ours."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from schemas.decision import Action, Decision
from tests.faults.api_kills import Tally, differences, go, verdict
from tests.support import running_engines


def decision(entry: str = "e1", action: Action = Action.CONFIRMED, **more: Any) -> Decision:
    return Decision(
        decision_id=uuid4(),
        user="u",
        entry_id=entry,
        suggestion_id=uuid4(),
        concert_id=uuid4(),
        action=action,
        decided_at=datetime(2026, 3, 1, tzinfo=UTC),
        **more,
    )


def named(*made: Decision) -> dict[str, Decision]:
    return {str(one.decision_id): one for one in made}


def last(*made: Decision) -> dict[str, Decision]:
    return {one.entry_id: one for one in made}


def told(*made: Decision) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json") for one in made]


def test_what_was_kept_published_and_told_once_is_right() -> None:
    bond = uuid4()
    moved = decision("e2", Action.OTHER_NIGHT, together=bond)
    there = decision("e2", together=bond)
    back = decision("e2", Action.UNDONE, undoes=there.decision_id)
    back_too = decision("e2", Action.UNDONE, undoes=moved.decision_id)
    made = (decision(), moved, there, back_too, back)
    assert differences(named(*made), named(*made), last(*made), told(made[0], there, back)) == []


def test_a_decision_that_is_lost_doubled_or_told_to_nobody_is_named() -> None:
    one, other = decision("e1"), decision("e1", Action.DISMISSED)
    both = (one, other)
    assert any("is not published" in w for w in differences(named(*both), named(one), last(one), told(*both)))
    assert any(
        "the last word is dismissed" in w for w in differences(named(*both), named(*both), last(one), told(*both))
    )
    assert any("published, and not kept" in w for w in differences(named(one), named(*both), last(one), told(one)))
    assert any("made by no call" in w for w in differences(named(*both), named(*both), last(*both), told(one)))
    assert any("told to a client" in w for w in differences(named(one), named(one), last(one), told(*both)))
    assert any("answer to 2 calls" in w for w in differences(named(one), named(one), last(one), told(one, one)))
    changed = other.model_copy(update={"signature": "x"})
    assert any("otherwise" in w for w in differences(named(other), named(changed), last(other), told(other)))


def test_a_run_whose_kills_hit_nothing_does_not_pass() -> None:
    tally = Tally(lost=20)
    tally.kills["committed"] = 20
    assert verdict(tally, 20).startswith("PASS: 20 kills (20 committed)")
    assert verdict(tally, 21).startswith("FAIL")
    tally.lost = 3
    assert "the kills hit nothing" in verdict(tally, 20)


@pytest.mark.stack
@pytest.mark.long
@pytest.mark.timeout(600)
async def test_of_an_api_killed_after_commit_twenty_times_all_is_published_and_none_twice_in_effect() -> None:
    with running_engines("gigz-kills-") as settings:
        said = await go(settings, 20, seed=1)
    assert said.startswith("PASS: 20 kills"), said
