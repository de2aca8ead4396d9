"""An entry and its candidates -> suggestions: at most three, each with its reasons."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

import numpy as np

from matchers import weights as w
from matchers.candidates import entry_keys, read_entry
from matchers.catalogue import Catalogue, Rows
from matchers.decided import signature, standing, when_decided
from matchers.evidence import Asked, Compared, compare
from matchers.score import MOST_BITS, Column, band, probabilities
from matchers.text import FOLD_VERSION
from matchers.weights import Tables, default_tables
from schemas import ids
from schemas.concert import Concert
from schemas.decision import Action, Decision
from schemas.history import Entry
from schemas.suggestion import Band, Evidence, Nothing, Suggestion, Suggestions

MOST = 3
"""Suggestions of an entry."""
SETTLED = frozenset(["exact", "alias", "close"])
"""Levels of the artist that can be sure: 'Peter Gabriel' is not surely 'Peter Gabriel feat. Sinéad O'Connor'."""


BATCH = 256
"""Entries compared at once: columns long enough that numpy's calls cost little, short enough for some MB."""


def match(
    entry: Entry, concerts: Sequence[Concert], decisions: Sequence[Decision] = (), tables: Tables | None = None
) -> Suggestions:
    """The entry's set. `concerts`: its candidates in any order; `decisions`: those of this entry.

    Cancelled concerts are left out; a dismissed one while the evidence stays the same; a confirmed one is first.
    """
    catalogue = Catalogue(concerts)
    question = Question(entry, np.arange(len(catalogue)), decisions=decisions)
    return match_rows([question], catalogue, tables or default_tables())[0]


def match_all(entries: Iterable[Entry], catalogue: Catalogue, tables: Tables | None = None) -> Iterator[Suggestions]:
    """The set of each entry, in order, from a whole catalogue."""
    tables = tables or default_tables()
    ahead = iter(entries)
    while batch := list(islice(ahead, BATCH)):
        questions = []
        for entry in batch:
            rows, left = catalogue.index.rows(entry_keys(entry, tables), w.MOST_CANDIDATES)
            questions.append(Question(entry, rows, left))
        yield from match_rows(questions, catalogue, tables)


@dataclass(frozen=True, slots=True)
class Question:
    """An entry, the rows of a catalogue that it could mean, and what was decided on it."""

    entry: Entry
    rows: Rows
    left_out: int = 0
    """Keys that too many concerts share."""
    decisions: Sequence[Decision] = ()


def match_rows(questions: Sequence[Question], catalogue: Catalogue, tables: Tables) -> list[Suggestions]:
    """The set of each, out of its rows; compared all at once."""
    verdicts = [_Verdicts(question.decisions) for question in questions]
    asked = []
    for question, verdict in zip(questions, verdicts, strict=True):
        told, others = read_entry(question.entry, tables)
        running = ~catalogue.cancelled[question.rows]
        if verdict.decided:
            running |= np.array([verdict.confirms(catalogue.concerts[row]) for row in question.rows], dtype=np.bool_)
        rows = question.rows[running] if not told.says_nothing else question.rows[:0]
        asked.append(Asked(told, others, rows))
    compared = compare(asked, catalogue, tables)
    hidden = hidden_odds(compared)
    return [
        _answer(question, verdict, compared, hidden, number)
        for number, (question, verdict) in enumerate(zip(questions, verdicts, strict=True))
    ]


def _answer(question: Question, verdicts: "_Verdicts", compared: Compared, hidden: Column, number: int) -> Suggestions:
    entry, told = question.entry, compared.asked[number].told
    found = Suggestions(
        user=entry.user,
        entry_id=entry.entry_id,
        entry=entry.remembered,
        decision=verdicts.last,
        weights=compared.tables.version,
        fold=FOLD_VERSION,
    )
    unread = entry.date is not None and not told.whens
    if told.says_nothing:
        return found.model_copy(update={"reason": Nothing.UNREADABLE_DATE if unread else Nothing.NOTHING_TO_GO_BY})
    pairs = np.arange(compared.starts[number], compared.starts[number + 1])
    standing = pairs
    if verdicts.decided:
        standing = np.array([pair for pair in pairs if not verdicts.dismisses(compared, int(pair))], dtype=np.int64)
    suggestions = _ranked(question, compared, hidden, standing, verdicts)
    if suggestions:
        # A set that still asks is not decided, whatever was said of others before.
        asks = verdicts.last in (Action.DISMISSED, Action.OTHER_NIGHT)
        return found.model_copy(update={"suggestions": suggestions, "decision": None if asks else verdicts.last})
    if len(standing) < len(pairs):
        reason = Nothing.DISMISSED
    elif unread:
        reason = Nothing.UNREADABLE_DATE
    elif question.left_out:
        reason = Nothing.TOO_MANY
    else:
        reason = Nothing.TOO_WEAK if len(pairs) else Nothing.NO_CANDIDATE
    return found.model_copy(update={"reason": reason})


def _ranked(
    question: Question, compared: Compared, hidden: Column, pairs: Rows, verdicts: "_Verdicts"
) -> tuple[Suggestion, ...]:
    """Best first; equal bits fall by night and id, so that nothing depends on the order of the candidates."""
    if not len(pairs):
        return ()
    bits = compared.total[pairs]
    chances = probabilities(bits, hidden[pairs], compared.tables)
    doubtful = ~compared.timely[pairs]
    if "status" in compared.levels:
        doubtful |= compared.levels["status"][pairs] == w.STATUS.index("postponed")
    chances = np.where(doubtful, np.minimum(chances, w.OFF_NIGHT_MOST), chances)
    confirmed = [
        place for place in range(len(pairs)) if verdicts.decided and verdicts.confirms(compared.concert(pairs[place]))
    ]
    if not confirmed and not np.max(chances) >= w.SHOWN_BESIDE:
        return ()
    best = _best(chances, bits, compared.catalogue.order[compared.rows[pairs]], MOST + 1)
    together = float(np.sum(chances))
    # Who said that it was not this one still looks for the other one.
    look_further = together >= 0.5 or verdicts.last in (Action.DISMISSED, Action.OTHER_NIGHT)
    first = sorted(confirmed, key=lambda place: -bits[place])[:1]
    # Where the first is not sure, the other nights of the run, or what else it can be, stand beside it.
    doubt = w.POSSIBLE <= chances[best[0]] < w.SURE
    shown = first + [
        place
        for place in best[:MOST]
        if place not in first
        and (
            chances[place] >= w.POSSIBLE
            or (look_further and chances[place] >= w.SHOWN_BESIDE)
            or (doubt and bits[place] >= bits[best[0]] - w.SAME_RUN)
        )
    ]
    made = []
    for rank, place in enumerate(shown[:MOST], 1):
        others = [bits[other] for other in best[:2] if other != place]
        margin = float(bits[place] - others[0]) if others else w.SURE_MARGIN
        confidence, pair = float(chances[place]), int(pairs[place])
        reads = band(confidence, margin, settled=_settled(compared, pair))
        made.append(_suggestion(question, compared, pair, rank, confidence, reads))
    return tuple(made)


def _best(chances: Column, bits: Column, order: Rows, most: int) -> list[int]:
    """The places of the best, likeliest first; the likely as nothing fall by their bits."""
    near = np.arange(len(bits))
    rounded = -np.round(bits, 6)
    if len(bits) > 64:
        # Doubt can only push down: whoever is likeliest is among those of the most bits, or is timely.
        kept = np.partition(rounded, 63)[63]
        near = np.flatnonzero((rounded <= kept) | (chances >= np.partition(chances, -most)[-most]))
    found: list[int] = near[np.lexsort((order[near], rounded[near], -np.round(chances[near], 6)))].tolist()
    return found


def hidden_odds(compared: Compared) -> Column:
    """Odds, for each pair, of a show that no source lists and that fits as well.

    Of an interval: another night of the same run or tour. Of a name that is only like the typed one: the act that was
    typed, where one of the acts that played there and then is called so by chance.
    """
    levels, weights, entry = compared.levels, compared.tables.weights, compared.entry
    near = np.zeros(len(entry), dtype=np.bool_)
    for field in ("city", "distance"):
        if field in levels:
            near |= np.isin(levels[field], (0, 1))
    open_ = np.array([sum(when.days for when in one.told.whens) != 1 for one in compared.asked], dtype=np.bool_)[entry]
    found = np.where(open_, np.where(near, weights.unlisted_here, weights.unlisted_anywhere), 0.0)
    if "songs" in levels:
        # Of another night of the tour, about every second song is the same.
        played = np.minimum(np.maximum(levels["songs"], 0) // 64, 10)
        found = found * np.exp2(-weights.unlisted_song * played)
    if "artist" in levels:
        there = np.maximum(1, np.bincount(entry, near & compared.timely, len(compared.asked)))[entry]
        alike = np.exp2(np.minimum(-compared.bits["artist"], MOST_BITS))
        found = found + np.where(levels["artist"] > LIKE_BY_CHANCE, weights.unlisted * there * alike, 0.0)
    return found


LIKE_BY_CHANCE = w.ARTIST.index("close")
"""Levels beyond it are names that another act may have."""


def _settled(compared: Compared, pair: int) -> bool:
    """Whether nothing typed speaks against it: its night and weekday, its artist's name, its status."""
    night = compared.concert(pair).night
    if compared.told(pair).whens and not any(night in when and not when.doubt for when in compared.told(pair).whens):
        return False
    if "status" in compared.levels and compared.levels["status"][pair] > 0:
        return False
    level = int(compared.levels["artist"][pair]) if "artist" in compared.levels else -1
    return level < 0 or w.ARTIST[level] in SETTLED


def _suggestion(
    question: Question, compared: Compared, pair: int, rank: int, confidence: float, reads: Band
) -> Suggestion:
    entry, concert = question.entry, compared.concert(pair)
    why = [Evidence(field=one.field, bits=round(one.bits, 3), text=one.text) for one in compared.pieces(pair)]
    if question.left_out:
        why.append(Evidence(field="cap", bits=0.0, text=f"only the nearest {w.MOST_CANDIDATES:,} shows were compared"))
    return Suggestion(
        suggestion_id=ids.suggestion_id(entry.user, entry.entry_id, concert.concert_id),
        rank=rank,
        concert_id=concert.concert_id,
        concert=concert.facts,
        members=concert.members,
        confidence=round(confidence, 6),
        band=reads,
        why=tuple(why),
        signature=signature(compared.signature(pair)),
    )


class _Verdicts:
    """What the decisions of one entry come to."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        ordered = sorted(decisions, key=when_decided)
        last = ordered[-1] if ordered else None
        self.last: Action | None = None if last is None or last.action is Action.UNDONE else last.action
        # The last word on each concert, told by any of its listings.
        self._of_listing: dict[tuple[UUID, str | None], Decision] = {}
        self._of_concert: dict[UUID, Decision] = {}
        for decision in standing(ordered):
            self._of_concert[decision.concert_id] = decision
            # A listing speaks of every act of its bill: where it was kept, the act counts, too.
            acts = {member.listing_id: member.act for member in decision.members}
            for listing_id in decision.listing_ids:
                self._of_listing[listing_id, acts.get(listing_id)] = decision

    @property
    def decided(self) -> bool:
        """Whether anything was said of any concert."""
        return bool(self._of_concert)

    def _on(self, concert: Concert) -> Decision | None:
        if not self._of_concert:
            return None
        ways = ((member.listing_id, act) for member in concert.members for act in (member.act, None))
        told = [self._of_listing[way] for way in ways if way in self._of_listing]
        if concert.concert_id in self._of_concert:
            told.append(self._of_concert[concert.concert_id])
        return max(told, key=when_decided, default=None)

    def confirms(self, concert: Concert) -> bool:
        """Whether the user said that it was this one."""
        decision = self._on(concert)
        return decision is not None and decision.action is Action.CONFIRMED

    def dismisses(self, compared: Compared, pair: int) -> bool:
        """Whether the user said no, and the evidence is what it was then."""
        decision = self._on(compared.concert(pair))
        return (
            decision is not None
            and decision.action in (Action.DISMISSED, Action.OTHER_NIGHT)
            and decision.signature in ("", signature(compared.signature(pair)))
        )
