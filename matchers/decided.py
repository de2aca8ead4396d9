"""What decisions come to, wherever they count: which stand, in what order, and what evidence they were made on."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from schemas.action import Action
from schemas.decision import Decision


def when_decided(decision: Decision) -> tuple[object, ...]:
    """Oldest first; of one moment by id, so that nothing depends on the order of arrival."""
    return decision.decided_at, str(decision.decision_id)


def standing(ordered: Sequence[Decision]) -> list[Decision]:
    """Of one entry, oldest first: without what was taken back, and without snoozes, which decide nothing."""
    undone: set[UUID] = set()
    made: list[Decision] = []
    for decision in ordered:
        if decision.action is not Action.UNDONE:
            made.append(decision)
        elif decision.undoes is not None:
            undone.add(decision.undoes)
        elif made:
            undone.add(made[-1].decision_id)
    return [one for one in made if one.decision_id not in undone and one.action is not Action.SNOOZED]


def signature(*levels: str) -> str:
    """Of the evidence's levels: the same as long as nothing changed that matters."""
    return hashlib.sha256(";".join(levels).encode()).hexdigest()[:16]
