"""An entry and its candidates -> suggestions: at most three, each with its reasons."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from uuid import UUID

from matchers import weights as w
from matchers.evidence import Piece, evidence, in_time
from matchers.score import band, probabilities
from matchers.text import FOLD_VERSION, fold
from matchers.understand import Understood, understand
from matchers.weights import WEIGHTS_VERSION
from schemas import ids
from schemas.concert import Concert
from schemas.decision import Action, Decision
from schemas.history import Entry
from schemas.listing import Status
from schemas.suggestion import Band, Evidence, Nothing, Suggestion, Suggestions
from schemas.wanted import Wanted

MOST = 3
"""Suggestions of an entry."""


@dataclass(frozen=True)
class _Pair:
    concert: Concert
    pieces: list[Piece]

    @cached_property
    def bits(self) -> float:
        return sum(piece.bits for piece in self.pieces)

    @cached_property
    def signature(self) -> str:
        """Of the evidence's classes: the same as long as nothing changed that matters."""
        said = ";".join(f"{piece.field}={piece.level}" for piece in self.pieces if piece.field != "prior")
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def match(entry: Entry, concerts: Sequence[Concert], decisions: Sequence[Decision] = ()) -> Suggestions:
    """The entry's set. `concerts`: its candidates in any order; `decisions`: those of this entry.

    Cancelled concerts are left out; a dismissed one while the evidence stays the same; a confirmed one is first.
    """
    told = understand(entry)
    verdicts = _Verdicts(decisions)
    found = Suggestions(
        user=entry.user,
        entry_id=entry.entry_id,
        entry=entry.remembered,
        decision=verdicts.last,
        weights=WEIGHTS_VERSION,
        fold=FOLD_VERSION,
    )
    if told.says_nothing:
        return found.model_copy(update={"reason": Nothing.NOTHING_TO_GO_BY})
    running = {
        concert.concert_id: concert
        for concert in concerts
        if concert.status is not Status.CANCELLED or verdicts.confirms(concert)
    }
    pairs = [_Pair(concert, evidence(told, concert)) for concert in running.values()]
    standing = [pair for pair in pairs if not verdicts.dismisses(pair)]
    suggestions = _ranked(entry, told, standing, verdicts)
    if suggestions:
        # A set that still asks is not decided, whatever was said of others before.
        asks = verdicts.last in (Action.DISMISSED, Action.OTHER_NIGHT)
        return found.model_copy(update={"suggestions": suggestions, "decision": None if asks else verdicts.last})
    weak = Nothing.TOO_WEAK if pairs else Nothing.NO_CANDIDATE
    reason = Nothing.DISMISSED if len(standing) < len(pairs) else weak
    return found.model_copy(update={"reason": reason})


def _ranked(entry: Entry, told: Understood, pairs: Sequence[_Pair], verdicts: "_Verdicts") -> tuple[Suggestion, ...]:
    """Best first; equal bits fall by night and id, so that nothing depends on the order of the candidates."""
    best = sorted(pairs, key=lambda pair: (-round(pair.bits, 6), pair.concert.night, pair.concert.concert_id.int))
    chances = dict(zip((pair.concert.concert_id for pair in best), probabilities([p.bits for p in best]), strict=True))
    together = sum(chances.values())
    # Who said that it was not this one still looks for the other one.
    look_further = together >= 0.5 or verdicts.last in (Action.DISMISSED, Action.OTHER_NIGHT)
    confirmed = [pair for pair in best if verdicts.confirms(pair.concert)]
    shown = confirmed[:1] + [
        pair
        for pair in best[:MOST]
        if pair not in confirmed[:1]
        and (
            chances[pair.concert.concert_id] >= w.POSSIBLE
            or (look_further and chances[pair.concert.concert_id] >= w.SHOWN_BESIDE)
        )
    ]
    made = []
    for rank, pair in enumerate(shown[:MOST], 1):
        others = [other.bits for other in best[:2] if other is not pair]
        margin = pair.bits - others[0] if others else w.SURE_MARGIN
        timely = in_time(told, pair.concert.night)
        confidence = chances[pair.concert.concert_id]
        if not timely:
            confidence = min(confidence, w.OFF_NIGHT_MOST)
        made.append(_suggestion(entry, pair, rank, confidence, band(confidence, margin, timely)))
    return tuple(made)


def _suggestion(entry: Entry, pair: _Pair, rank: int, confidence: float, reads: Band) -> Suggestion:
    concert = pair.concert
    return Suggestion(
        suggestion_id=ids.suggestion_id(entry.user, entry.entry_id, concert.concert_id),
        rank=rank,
        concert_id=concert.concert_id,
        concert=concert.facts,
        members=concert.members,
        confidence=round(confidence, 6),
        band=reads,
        why=tuple(Evidence(field=one.field, bits=round(one.bits, 3), text=one.text) for one in pair.pieces),
        signature=pair.signature,
    )


class _Verdicts:
    """What the decisions of one entry come to."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        ordered = sorted(decisions, key=lambda one: (one.decided_at, str(one.decision_id)))
        undone: set[UUID] = set()
        standing: list[Decision] = []
        for decision in ordered:
            if decision.action is not Action.UNDONE:
                standing.append(decision)
            elif decision.undoes is not None:
                undone.add(decision.undoes)
            elif standing:
                undone.add(standing[-1].decision_id)
        standing = [decision for decision in standing if decision.decision_id not in undone]
        last = ordered[-1] if ordered else None
        self.last: Action | None = None if last is None or last.action is Action.UNDONE else last.action
        # The last word on each concert, told by any of its listings.
        self._of_listing: dict[UUID, Decision] = {}
        self._of_concert: dict[UUID, Decision] = {}
        for decision in standing:
            if decision.action is Action.SNOOZED:
                continue
            self._of_concert[decision.concert_id] = decision
            for listing_id in decision.listing_ids:
                self._of_listing[listing_id] = decision

    def _on(self, concert: Concert) -> Decision | None:
        if not self._of_concert:
            return None
        told = [self._of_listing[m.listing_id] for m in concert.members if m.listing_id in self._of_listing]
        if concert.concert_id in self._of_concert:
            told.append(self._of_concert[concert.concert_id])
        return max(told, key=lambda one: (one.decided_at, str(one.decision_id)), default=None)

    def confirms(self, concert: Concert) -> bool:
        """Whether the user said that it was this one."""
        decision = self._on(concert)
        return decision is not None and decision.action is Action.CONFIRMED

    def dismisses(self, pair: _Pair) -> bool:
        """Whether the user said no, and the evidence is what it was then."""
        decision = self._on(pair.concert)
        return (
            decision is not None
            and decision.action in (Action.DISMISSED, Action.OTHER_NIGHT)
            and decision.signature in ("", pair.signature)
        )


def wanted(entry: Entry, found: Suggestions) -> Wanted | None:
    """What to fetch for an entry that found nothing: artist and year, and nothing about the user, not even the day."""
    told = understand(entry)
    if found.suggestions or found.reason not in (Nothing.NO_CANDIDATE, Nothing.TOO_WEAK) or told.artist is None:
        return None
    years = {year for when in told.whens for year in (when.start.year, when.end.year)}
    if len(years) != 1 or not 1900 <= (year := min(years)) <= 2200:
        return None
    return Wanted(
        artist_key=fold(told.artist)[:2_000],
        artist=told.artist,
        year=year,
        since=date(year, 1, 1),
        until=date(year, 12, 31),
    )
