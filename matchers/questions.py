"""Suggestions that answer no line of a history: what companions and habits have in common.

Each is a question of its own, with an entry id of its own: "were you at this one, too?" A yes to one says nothing of
the next, and the last decision of an entry is all that its topic keeps, so one entry for several would lose answers.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from math import log2
from uuid import UUID

from matchers.decided import standing, when_decided
from matchers.text import FOLD_VERSION, squash
from schemas import ids
from schemas.concert import Concert, Member
from schemas.decision import Action, Decision
from schemas.listing import Status
from schemas.suggestion import Band, Because, Evidence, Nothing, Origin, Suggestion, Suggestions

RATES_VERSION = "companions-1"
"""Goes up with every change of a measured rate, in companions or habits: stands where sets of entries name weights."""

MOST_CONFIDENCE = 0.75
"""Below likely (.8), whatever was measured: nobody asked for it, so it never reads better than possible."""

PRIOR = -20.0
"""Bits: a catalogue of a million concerts, one of which is meant."""

TOOK_PLACE = frozenset({Status.ANNOUNCED, Status.HAPPENED, Status.MOVED})
"""A cancelled show is never suggested; of a postponed one nobody could say that they were there that night."""


@dataclass(frozen=True, slots=True)
class Measured:
    """How often a question of one kind was right, where the truth is known."""

    right: int
    asked: int
    bound: float | None = None
    """What the precision would be where everything that took place is in the catalogue, where that can be estimated."""

    @property
    def precision(self) -> float:
        """The lower of the two, and below likely."""
        counted = self.right / self.asked if self.asked else 0.0
        return min(counted, MOST_CONFIDENCE, 1.0 if self.bound is None else self.bound)


@dataclass(frozen=True, slots=True)
class Question:
    """A concert that the user could have been at, with the reasons."""

    concert: Concert
    entry_id: str
    confidence: float
    why: tuple[Evidence, ...]
    signature: str
    because: Because
    group: str
    """Of a group only so many are asked: a night, or a habit."""
    closeness: tuple[int | str, ...] = ()
    """Decides between equal confidences, smallest first, before night and id do."""

    @property
    def order(self) -> tuple[object, ...]:
        """Best first; nothing depends on the order in which candidates came."""
        return (-self.confidence, *self.closeness, self.concert.night, self.concert.concert_id.int)


def bits(rate: float) -> float:
    """Log2 odds."""
    return log2(rate / (1.0 - rate))


class Said:
    """What one user's decisions, on whatever entries, come to: the last word on each concert counts."""

    def __init__(self, decisions: Iterable[Decision], prefix: str) -> None:
        # A user may well have typed an entry 'habit-1'.
        ours = re.compile(re.escape(prefix) + "[0-9a-f-]{36}")
        self._last: dict[str, Action] = {}
        by_entry: dict[str, list[Decision]] = defaultdict(list)
        for decision in sorted(decisions, key=when_decided):
            by_entry[decision.entry_id].append(decision)
            self._last[decision.entry_id] = decision.action
        told = [one for _, made in sorted(by_entry.items()) for one in standing(made)]
        self._own: dict[UUID, Decision] = {}
        self._others: dict[UUID, Decision] = {}
        for decision in sorted(told, key=when_decided):
            held = self._own if ours.fullmatch(decision.entry_id) else self._others
            held.update(dict.fromkeys((decision.concert_id, *_ids(decision.members)), decision))

    def own(self, concert: Concert) -> Decision | None:
        """The last word on it as an answer to such a question."""
        return _on(concert, self._own)

    def elsewhere(self, concert: Concert) -> Decision | None:
        """The last word on it as an answer to anything else."""
        return _on(concert, self._others)

    def snoozed(self, entry_id: str) -> bool:
        """Whether the last that was said of the entry is: later."""
        return self._last.get(entry_id) is Action.SNOOZED


def _on(concert: Concert, held: dict[UUID, Decision]) -> Decision | None:
    told = (held[one] for one in names_of(concert) if one in held)
    return max(told, key=when_decided, default=None)


def names_of(concert: Concert) -> frozenset[UUID]:
    """Every id that it had or can have: that of each member's listing and act. So an old one is followed through
    merges, and an act of a bill is not taken for the others, which have the listing, too."""
    return frozenset((concert.concert_id, *_ids(concert.members)))


def _ids(members: Iterable[Member]) -> Iterator[UUID]:
    return (ids.concert_id(member.listing_id, member.act) for member in members)


def newest(concerts: Iterable[Concert]) -> dict[UUID, Concert]:
    """By id, of several versions the last; equal ones with unlike content fall the same way in every order."""
    found: dict[UUID, Concert] = {}
    for one in concerts:
        held = found.setdefault(one.concert_id, one)
        if held is not one and held != one and (held.rev, held.to_bytes()) < (one.rev, one.to_bytes()):
            found[one.concert_id] = one
    return found


def kept(concert: Concert, yes: Decision) -> Question:
    """What was confirmed, when all that it hung on is gone: a yes stays a yes."""
    return Question(
        concert=concert,
        entry_id=yes.entry_id,
        confidence=min(MOST_CONFIDENCE, yes.confidence or MOST_CONFIDENCE),
        why=yes.why,
        signature=yes.signature,
        because=Because(text="which you confirmed", artist=concert.artist, night=concert.night),
        group=concert.night.isoformat(),
    )


def ask(
    user: str,
    origin: Origin,
    questions: Iterable[Question],
    already: Collection[UUID],
    said: Said,
    most: int,
    most_of_a_group: int,
) -> tuple[Suggestions, ...]:
    """A set of one for each question that may be asked, best first; `most` of them open, one for an act and night.

    A concert that the user has (in `already` by any id it had, or decided elsewhere) is not asked for. What was
    confirmed stays, as decided; what was dismissed is an empty set while its signature stays the same. Both leave the
    room they took to others.
    """
    had = frozenset(already)
    sets: list[Suggestions] = []
    asked: Counter[str] = Counter()
    acts: set[tuple[str, date]] = set()
    for question in sorted(questions, key=lambda one: one.order):
        concert = question.concert
        own = said.own(concert)
        entry_id = own.entry_id if own else question.entry_id
        if own and own.action is Action.CONFIRMED:
            sets.append(_set(user, origin, question, entry_id, Action.CONFIRMED))
        elif said.elsewhere(concert) or had.intersection(names_of(concert)):
            continue
        elif own and own.signature in ("", question.signature):
            sets.append(_set(user, origin, question, entry_id, own.action))
        elif (act := (squash(concert.artist), concert.night)) not in acts and (
            asked.total() < most and asked[question.group] < most_of_a_group
        ):
            acts.add(act)
            asked[question.group] += 1
            sets.append(_set(user, origin, question, entry_id, Action.SNOOZED if said.snoozed(entry_id) else None))
    return tuple(sets)


def _set(user: str, origin: Origin, question: Question, entry_id: str, decision: Action | None) -> Suggestions:
    found = Suggestions(
        user=user,
        entry_id=entry_id,
        origin=origin,
        because=question.because,
        decision=decision,
        weights=RATES_VERSION,
        fold=FOLD_VERSION,
    )
    if decision in (Action.DISMISSED, Action.OTHER_NIGHT, Action.NOT_SEEN):
        return found.model_copy(update={"reason": Nothing.DISMISSED})
    concert = question.concert
    one = Suggestion(
        suggestion_id=ids.suggestion_id(user, entry_id, concert.concert_id),
        rank=1,
        concert_id=concert.concert_id,
        concert=concert.facts,
        members=concert.members,
        confidence=round(question.confidence, 6),
        band=Band.POSSIBLE,
        why=question.why,
        signature=question.signature,
    )
    return found.model_copy(update={"suggestions": (one,)})
