"""Weights from a catalogue and from decisions: `gigz calibrate`, without its files.

fit     from a catalogue, without labels: frequencies and u are counted, m is fitted on lines of a history or on the
        catalogue's own concerts as people might type them
learn   from decisions: names, then m, then the calibration, each kept only where both halves of the answers, held out
        in turn, are told no worse than before
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import numpy as np

from matchers import weights as w
from matchers.catalogue import Catalogue
from matchers.fit.calibration import Case, Scores, calibrate, score
from matchers.fit.counts import chances, drawn, frequencies, with_chances
from matchers.fit.em import GROUPS, Answered, Estimate, Groups, fit_levels, patterns, shares
from matchers.fit.names import learn_names, with_called
from matchers.text import fold
from matchers.understand import understand
from matchers.weights import Tables
from schemas import ids
from schemas.concert import Concert, Facts, Member
from schemas.decision import Action, Decision
from schemas.history import Entry, Remembered
from schemas.message import MessageError, canonical, content_hash
from schemas.rows import FED_AT
from schemas.suggestion import Suggestions
from schemas.weights import Weights

# -- from a catalogue -------------------------------------------------------------------------------------------------

WORSE_LIKELIHOOD = 1e-4
"""Bits an entry that the held-out half may lose: less is rounding."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Weights fitted without labels, and how the half of the entries that was held out is explained by them.

    `before` and `after`: mean bits by which an entry is likelier with its candidates than with none, by half: fitted on
    the other half, told on this one.
    """

    weights: Weights
    entries: int
    concerts: int
    estimate: Estimate
    before: tuple[float, float]
    after: tuple[float, float]

    @property
    def worse(self) -> bool:
        """Whether a half is explained worse by what the other one taught."""
        return any(new < old - WORSE_LIKELIHOOD for old, new in zip(self.before, self.after, strict=True))


def fit(
    entries: Sequence[Entry],
    concerts: Sequence[Concert],
    weights: Weights,
    groups: Groups = GROUPS,
    counted: Sequence[Concert] | None = None,
    *,
    general: bool = False,
    keep: Collection[tuple[str, str]] = (),
) -> Fitted:
    """Weights for a catalogue: its frequencies and u by counting, m by EM on entries; nobody says what these mean.

    `groups`: the levels that these entries can tell; `counted`: the whole catalogue, where the entries are looked for
    in a part of it; `general`: for other catalogues than this one, so that m alone is fitted: it tells how people type,
    u and frequencies tell what a catalogue is like; `keep`: fields and levels whose m stays. The same for any order.
    """
    catalogue = _catalogue(concerts)
    asked = [Answered(one) for one in sorted(entries, key=lambda one: (one.user, one.entry_id, one.to_bytes()))]
    whole = catalogue if counted is None else _catalogue(counted)
    start = weights
    if not general:
        start = weights.model_copy(update={"frequencies": frequencies(whole.concerts, weights)})
        start = with_chances(start, chances(whole, Tables(start)))
    halves = _halves(asked)
    before, after = [], []
    for held in (0, 1):
        taught = _kept(fit_levels(halves[1 - held], catalogue, start, groups)[0], start, keep)
        before.append(_explained(halves[held], catalogue, start))
        after.append(_explained(halves[held], catalogue, taught))
    fitted, estimate = fit_levels(asked, catalogue, start, groups)
    fitted = _kept(fitted, start, keep)
    return Fitted(fitted.versioned(), len(asked), len(whole), estimate, (before[0], before[1]), (after[0], after[1]))


def _catalogue(concerts: Iterable[Concert]) -> Catalogue:
    return Catalogue(sorted(concerts, key=lambda one: one.concert_id))


def _kept(weights: Weights, start: Weights, keep: Collection[tuple[str, str]]) -> Weights:
    levels = {field: dict(of) for field, of in weights.levels.items()}
    for field, name in keep:
        levels[field][name] = start.levels[field][name]
    return weights.model_copy(update={"levels": levels})


def _explained(answered: Sequence[Answered], catalogue: Catalogue, weights: Weights) -> float:
    found = patterns(answered, catalogue, Tables(weights))
    return float(np.mean(shares(found, found.bits)[1])) if answered else 0.0


def held_in(user: str, entry_id: str) -> int:
    """0 or 1: the half an entry belongs to. Another split than that of `variants`, which may have been cut already."""
    return drawn("held out", user, entry_id) % 2


def _halves(answered: Sequence[Answered]) -> tuple[list[Answered], list[Answered]]:
    halves: tuple[list[Answered], list[Answered]] = ([], [])
    for one in answered:
        halves[held_in(one.entry.user, one.entry.entry_id)].append(one)
    return halves


# -- from decisions ---------------------------------------------------------------------------------------------------

WORSE_LOSS = 1e-4
"""Bits a pair: less is rounding."""
WORSE_ERROR = 0.005
"""Expected calibration error of a few hundred answers moves so far by chance."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change that the answers suggest, told on each half as fitted on the other one."""

    name: str
    about: str
    before: tuple[Scores, Scores]
    after: tuple[Scores, Scores]

    @property
    def kept(self) -> bool:
        """Whether neither half is told worse, nor anything wrong is newly sure: that outranks any gain."""
        return all(
            new.log_loss <= old.log_loss + WORSE_LOSS
            and new.ece <= old.ece + WORSE_ERROR
            and new.wrong_sure <= old.wrong_sure
            for old, new in zip(self.before, self.after, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Learned:
    """What decisions came to. `weights` are the present ones where nothing was kept."""

    weights: Weights
    steps: tuple[Step, ...]
    answers: int
    """Entries with a decision that says which concert it was, or was not."""
    unused: int
    """Decisions on a line that nobody typed, as on a companion, or on a concert that is not known."""

    @property
    def kept(self) -> bool:
        """Whether there is anything to write."""
        return any(step.kept for step in self.steps)

    @property
    def refused(self) -> bool:
        """Whether there was something, and nothing of it holds on the held-out halves."""
        return bool(self.steps) and not self.kept


def learn(decisions: Iterable[Decision], concerts: Iterable[Concert], weights: Weights) -> Learned:
    """Names, m and calibration as decisions suggest them, each kept only where it holds on what it was not fitted on.

    `concerts` are what the entries are matched with: a catalogue, beside what the decisions themselves show. The
    weights that are given back are fitted on all answers. The same for any order of both.
    """
    told = standing(decisions)
    catalogue = _catalogue(pool(concerts, told))
    answered, unused = answers(told, catalogue, weights)
    halves = _halves(answered)
    # What is fitted on one half is told on the other one; `full` is fitted on both.
    full, taught = weights, [weights, weights]
    scores = [_scores(halves[held], catalogue, weights) for held in (0, 1)]
    steps: list[Step] = []
    for name, change in STEPS:
        changed, about = change(answered, catalogue, full)
        if changed == full:
            continue
        trial = [change(halves[1 - held], catalogue, taught[held])[0] for held in (0, 1)]
        now = [_scores(halves[held], catalogue, trial[held]) for held in (0, 1)]
        steps.append(Step(name, about, (scores[0], scores[1]), (now[0], now[1])))
        if steps[-1].kept:
            full, taught, scores = changed, trial, now
    return Learned(full.versioned() if full is not weights else weights, tuple(steps), len(answered), unused)


Change = Callable[[Sequence[Answered], Catalogue, Weights], tuple[Weights, str]]


def _with_names(answered: Sequence[Answered], catalogue: Catalogue, weights: Weights) -> tuple[Weights, str]:
    # By everybody's names alone: those of users are learned anew.
    found = patterns(answered, catalogue, Tables(weights.model_copy(update={"users": {}})))
    called = learn_names(found, answered, catalogue)
    return with_called(weights, called), f"{called.count} names of {len(called.users)} users"


def _with_levels(answered: Sequence[Answered], catalogue: Catalogue, weights: Weights) -> tuple[Weights, str]:
    confirmed = [one for one in answered if one.right]
    if not confirmed:
        return weights, ""
    fitted, told = fit_levels(confirmed, catalogue, weights)
    return fitted, f"how often right pairs agree, by {len(confirmed)} confirmed shows ({told.steps} steps)"


def _with_calibration(answered: Sequence[Answered], catalogue: Catalogue, weights: Weights) -> tuple[Weights, str]:
    calibration, losses = calibrate(_cases(answered, catalogue, weights), weights)
    told = ", ".join(f"{method.value} {loss:.4f}" for method, loss in losses.items())
    return weights.model_copy(update={"calibration": calibration}), f"{calibration.method.value} (log loss: {told})"


STEPS: tuple[tuple[str, Change], ...] = (
    ("names", _with_names),
    ("levels", _with_levels),
    ("calibration", _with_calibration),
)


def _scores(answered: Sequence[Answered], catalogue: Catalogue, weights: Weights) -> Scores:
    return score(_cases(answered, catalogue, weights), Tables(weights))


def _cases(answered: Sequence[Answered], catalogue: Catalogue, weights: Weights) -> list[Case]:
    """What was decided, and what was shown beside a confirmed show and not chosen."""
    found = patterns(answered, catalogue, Tables(weights))
    bounds = np.searchsorted(found.owner, np.arange(len(answered) + 1))
    cases = []
    for number, one in enumerate(answered):
        pairs = np.arange(bounds[number], bounds[number + 1])
        pairs = pairs[found.keyed[pairs]]
        place = {int(row): number for number, row in enumerate(found.rows[pairs])}
        judged = sorted({*one.right, *one.wrong, *one.beside})
        cases.append(
            Case(
                user=one.entry.user,
                entry_id=one.entry.entry_id,
                bits=found.bits[pairs],
                hidden=found.hidden[pairs],
                most=np.where(found.timely[pairs], 1.0, w.OFF_NIGHT_MOST),
                places=tuple(place.get(row, -1) for row in judged),
                rights=tuple(row in one.right for row in judged),
            )
        )
    return cases


# -- what was said of which concert -----------------------------------------------------------------------------------


def decision_from_row(row: Any) -> Decision:
    """A decision message, or a row of user, entry_id, action and the concert: concert_id, or source and source_id.

    MessageError names what does not fit.
    """
    if not isinstance(row, Mapping):
        raise MessageError("wrong_type", "the line is not a JSON object")
    body = dict(row)
    if body.get("source") and body.get("source_id"):
        listing = ids.listing_id(str(body["source"]), str(body["source_id"]))
        body.setdefault("concert_id", str(listing))
        body.setdefault("listing_ids", [str(listing)])
    try:
        concert_id = UUID(str(body.get("concert_id")))
    except ValueError:
        raise MessageError("missing_field", "concert_id: a UUID is required, or source and source_id") from None
    about = (str(body.get("user")), str(body.get("entry_id")), concert_id)
    body.setdefault("suggestion_id", str(ids.suggestion_id(*about)))
    body.setdefault("decided_at", FED_AT.isoformat())
    digest = content_hash([*map(str, about), body.get("action"), body["decided_at"]])
    body.setdefault("decision_id", str(UUID(digest[:32])))
    return Decision.from_bytes(canonical(body))


def with_what_was_typed(
    decisions: Iterable[Decision], entries: Iterable[Entry] = (), suggestions: Iterable[Suggestions] = ()
) -> tuple[list[Decision], list[Concert]]:
    """Decisions with their entry, where they lack it, from a history or from what was suggested; and what was shown."""
    typed: dict[tuple[str, str], Remembered] = {}
    shown: dict[UUID, Concert] = {}
    for one in suggestions:
        typed[one.user, one.entry_id] = one.entry
        shown |= {of.concert_id: shown_concert(of.concert_id, of.concert, of.members) for of in one.suggestions}
    typed |= {(one.user, one.entry_id): one.remembered for one in entries}
    told = [
        one.model_copy(update={"entry": typed.get((one.user, one.entry_id), one.entry)})
        if one.entry == Remembered()
        else one
        for one in decisions
    ]
    return told, list(shown.values())


def standing(decisions: Iterable[Decision]) -> list[Decision]:
    """The last word on each entry and concert, by user and entry; what was undone or put off is none."""
    by_entry: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    for decision in {one.decision_id: one for one in decisions}.values():
        by_entry[decision.user, decision.entry_id].append(decision)
    told: list[Decision] = []
    for key in sorted(by_entry):
        said: list[Decision] = []
        for one in sorted(by_entry[key], key=lambda one: (one.decided_at, str(one.decision_id))):
            if one.action is Action.UNDONE:
                said = [before for before in said if before.decision_id != one.undoes] if one.undoes else said[:-1]
            else:
                said.append(one)
        told += {one.concert_id: one for one in said if one.action is not Action.SNOOZED}.values()
    return told


def pool(concerts: Iterable[Concert], decisions: Iterable[Decision]) -> list[Concert]:
    """The concerts, and those that only the decisions show, each once."""
    held = {one.concert_id: one for one in concerts}
    known = {member.listing_id for one in held.values() for member in one.members}
    for one in sorted(decisions, key=lambda one: (one.decided_at, str(one.decision_id)), reverse=True):
        if one.concert is None or one.concert_id in held or known & {*one.listing_ids, *_listings(one.members)}:
            continue
        shown = shown_concert(one.concert_id, one.concert, one.members, one.listing_ids)
        held[one.concert_id] = shown
        known |= _listings(shown.members)
    return list(held.values())


def shown_concert(
    concert_id: UUID, facts: Facts, members: Sequence[Member] = (), listing_ids: Sequence[UUID] = ()
) -> Concert:
    """A concert as it was shown: what suggestions and decisions carry. One of no known listing stands for itself."""
    named = tuple(members) or tuple(
        Member(listing_id=listing_id, source="shown", source_id=str(listing_id), version=0, act=facts.artist)
        for listing_id in sorted({*listing_ids} or {concert_id})
    )
    said = {name: getattr(facts, name) for name in Facts.model_fields}
    return Concert(concert_id=concert_id, artist_key=fold(facts.artist), members=named, **said)


def _listings(members: Iterable[Member]) -> set[UUID]:
    return {member.listing_id for member in members}


def answers(decisions: Sequence[Decision], catalogue: Catalogue, weights: Weights) -> tuple[list[Answered], int]:
    """Entries with what was said of them, by user and entry; and how many decisions say nothing that can be used.

    A concert is followed through merges by any listing that it had when the user decided.
    """
    by_id = {one.concert_id: row for row, one in enumerate(catalogue.concerts)}
    by_listing = {member.listing_id: row for row, one in enumerate(catalogue.concerts) for member in one.members}
    right: dict[tuple[str, str], dict[int, None]] = defaultdict(dict)
    wrong: dict[tuple[str, str], dict[int, None]] = defaultdict(dict)
    entries: dict[tuple[str, str], Entry] = {}
    unused = 0
    for one in decisions:
        listings = (*one.listing_ids, *(member.listing_id for member in one.members))
        rows = [by_listing[listing] for listing in listings if listing in by_listing]
        row = rows[0] if rows else by_id.get(one.concert_id)
        entry = Entry(user=one.user, entry_id=one.entry_id, seen_at=one.decided_at, **dict(one.entry))
        if row is None or understand(entry).says_nothing:
            unused += 1
            continue
        key = one.user, one.entry_id
        entries[key] = entry
        (right if one.action is Action.CONFIRMED else wrong)[key][row] = None
        (wrong if one.action is Action.CONFIRMED else right)[key].pop(row, None)
    told = [Answered(entries[key], tuple(right[key]), tuple(wrong[key])) for key in sorted(entries)]
    found = patterns(told, catalogue, Tables(weights))
    share, _ = shares(replace(found, verdict=np.full_like(found.verdict, -1)), found.bits)
    shown: dict[int, list[int]] = defaultdict(list)
    for pair in np.flatnonzero((share >= w.SHOWN_BESIDE) & found.keyed):
        shown[int(found.owner[pair])].append(int(found.rows[pair]))
    return [
        replace(one, beside=tuple(row for row in shown[number] if row not in (*one.right, *one.wrong)))
        if one.right
        else one
        for number, one in enumerate(told)
    ], unused
