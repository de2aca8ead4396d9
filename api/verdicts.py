"""What a wish meets: pure, so that every meeting of two devices can be written down as a test.

In force of an entry is, for each suggestion, the last decision, unless that is an undo. At most one is a confirmation.
A refusal (dismissed, other night, not seen) holds while match shows the suggestion with the same evidence; once match
brings it back with other evidence, it can be decided anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from api.errors import ConflictError, Detail
from api.pages.words import marked
from schemas.concert import Facts, Member
from schemas.decision import Action, Decision
from schemas.suggestion import Suggestion

REFUSED = frozenset({Action.DISMISSED, Action.OTHER_NIGHT, Action.NOT_SEEN})

RULES = {
    Action.CONFIRMED: marked(
        "You were there. It stays so until you undo it, whatever sources tell later; undo has no time limit."
    ),
    Action.DISMISSED: marked(
        "Stays dismissed, under whatever id the show goes, unless its evidence changes materially: its artist, night, "
        "place, songs or status agree with what you wrote better or worse than they did (a level of the evidence "
        "changes, not only its weight or wording). Undo has no time limit."
    ),
    Action.OTHER_NIGHT: marked(
        "Moved: the night that was shown stays dismissed unless its evidence changes materially, the other one is "
        "confirmed. One undo takes both back, without time limit."
    ),
    Action.SNOOZED: marked(
        "Not shown as open until then; a new show found for the entry does not wake it. Undo wakes it."
    ),
    Action.NOT_SEEN: marked("This act is not asked for again, whatever its evidence. Undo has no time limit."),
    Action.UNDONE: marked("As if it had not been decided; what was decided before it stands again."),
}
"""What a decision comes to, in words for its answer; pages say it in the reader's language."""


class Step(StrEnum):
    """Which neighbour of a night."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Target:
    """The night that it was: one of the three."""

    concert_id: UUID | None = None
    night: date | None = None
    step: Step | None = None

    def means(self, decided: Decision, shown: Decision) -> bool:
        """Whether this is the night that was decided for."""
        if self.concert_id is not None:
            return decided.concert_id == self.concert_id
        there, here = decided.concert, shown.concert
        if there is None or here is None:
            return False
        if self.night is not None:
            return there.night == self.night
        return there.night < here.night if self.step is Step.BEFORE else there.night > here.night


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    user: str
    suggestion_id: UUID
    action: Action
    at: datetime
    trace: str
    idempotency_key: str | None = None
    device: str | None = None
    until: datetime | None = None
    """Of a snooze."""
    written: str = ""
    """What the caller wrote of it: a key that comes again stands for the same words, not for the same moment."""
    target: Target | None = None
    """Of another night."""
    act: UUID | None = None
    """Of an act that was not seen: its concert."""


@dataclass(frozen=True)
class Night:
    """A concert that an entry can be moved to."""

    concert_id: UUID
    facts: Facts
    members: tuple[Member, ...]


def verdict(wish: Wish, in_force: Sequence[Decision], shown: Suggestion | None) -> Decision | None:
    """The decision that stands already, where the wish only repeats it; None where it is to be made.

    `in_force`: of the entry; `shown`: the suggestion as match has it now. ConflictError with the decision in force.
    """
    mine = last_of(in_force, wish.suggestion_id)
    if mine is not None and lifted(mine, shown):
        mine = None
    confirmed = the_confirmed(in_force)
    if mine is not None and mine.action is Action.SNOOZED:
        if wish.action is Action.SNOOZED and mine.until == wish.until:
            return mine
        mine = None  # later is no answer yet
    if wish.action is Action.OTHER_NIGHT and mine is not None:
        if mine.action is Action.CONFIRMED:
            return None
        if mine.action is Action.OTHER_NIGHT and confirmed is not None and wish.target is not None:
            if confirmed.together == mine.together and wish.target.means(confirmed, mine):
                return confirmed
            raise conflict(confirmed)
    elif mine is not None and mine.action is wish.action:
        return mine
    if mine is not None or confirmed is not None:
        raise conflict(mine or confirmed)
    return None


def to_undo(wish: Wish, in_force: Sequence[Decision]) -> list[Decision]:
    """What an undo of this suggestion takes back, the latest first; empty: nothing is in force.

    ConflictError where a night was moved on since: the last move is undone first.
    """
    mine = last_of(in_force, wish.suggestion_id)
    if mine is None:
        return []
    if mine.together is None or mine.action not in (Action.CONFIRMED, Action.OTHER_NIGHT):
        return [mine]
    pair = [one for one in in_force if one.together == mine.together]
    if not any(one.action is Action.OTHER_NIGHT for one in pair):
        return [mine]
    confirmed = the_confirmed(in_force)
    if confirmed is not None and confirmed not in pair:
        raise conflict(confirmed)
    return sorted(pair, key=lambda one: one.decided_at, reverse=True)


def last_of(in_force: Iterable[Decision], suggestion_id: UUID) -> Decision | None:
    """What is in force of one suggestion."""
    return next((one for one in in_force if one.suggestion_id == suggestion_id), None)


def the_confirmed(in_force: Iterable[Decision]) -> Decision | None:
    """The concert that it was, once the user said so."""
    return next((one for one in in_force if one.action is Action.CONFIRMED), None)


def lifted(decision: Decision, shown: Suggestion | None) -> bool:
    """Whether match brought a refused suggestion back: its evidence is another."""
    return (
        shown is not None
        and decision.action in REFUSED
        and decision.suggestion_id == shown.suggestion_id
        and decision.signature not in ("", shown.signature)
    )


def conflict(in_force: Decision | None) -> ConflictError:
    """409, with what is in force."""
    assert in_force is not None
    state = {
        "decision": in_force.action.value,
        "entry_id": in_force.entry_id,
        "suggestion_id": str(in_force.suggestion_id),
        "concert_id": str(in_force.concert_id),
        "decision_id": str(in_force.decision_id),
        "decided_at": in_force.decided_at.isoformat(),
    }
    said = in_force.action.value.replace("_", " ")
    return ConflictError(
        f"This entry is already {said}. Undo that first: POST /v1/suggestions/{in_force.suggestion_id}/undo.",
        [Detail(field=name, message=value) for name, value in state.items()],
    )


def the_night(target: Target, shown: Facts, others: Sequence[Night]) -> list[Night]:
    """The concerts of an artist that a target can mean, of those around; more than one: it has to be asked."""
    here, city = shown.night, shown.place.city
    if target.concert_id is not None:
        return [one for one in others if one.concert_id == target.concert_id]
    if target.night is not None:
        meant = [one for one in others if one.facts.night == target.night]
    else:
        before = target.step is Step.BEFORE
        nights = [one.facts.night for one in others]
        there = [night for night in nights if (night < here if before else night > here)]
        nearest = (max if before else min)(there, default=None)
        meant = [one for one in others if one.facts.night == nearest]
    same_town = [one for one in meant if city is not None and one.facts.place.city == city]
    return same_town if len(same_town) == 1 else meant
