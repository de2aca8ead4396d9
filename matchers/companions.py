"""From a show that the user confirmed: the other acts of the same bill or festival day. "Did you also see ...?"

Links       bill      a listing names both
            festival  the same festival, the same night
            venue     the same hall that night, by sources that list each act by itself
Vetoes      cancelled or postponed; the same act again; one source lists them as two events, or hours apart
Confidence  the measured precision for a night of that size, below likely
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from uuid import UUID

from matchers.candidates import concert_keys
from matchers.decided import signature
from matchers.places import Near, SameVenue, known, town_relation, venue_relation
from matchers.questions import PRIOR, TOOK_PLACE, Measured, Question, Said, ask, bits, kept, names_of, newest
from matchers.text import fold, squash
from schemas import ids
from schemas.concert import Concert
from schemas.decision import Action, Decision
from schemas.listing import Role, StartPrecision
from schemas.suggestion import Because, Evidence, Origin, Suggestions


class Link(StrEnum):
    """How two acts of one night hang together, closest first."""

    BILL = "bill"
    FESTIVAL = "festival"
    VENUE = "venue"


class Size(StrEnum):
    """What kind of a night it was."""

    CONCERT = "concert"
    FESTIVAL = "festival"
    """A festival's, or more acts than a concert has, whatever it is called."""


CONCERT_ACTS = 3

MEASURED = {
    Size.CONCERT: Measured(right=111, asked=111, bound=0.77),
    Size.FESTIVAL: Measured(right=319, asked=319, bound=0.57),
}
"""`evaluate_companions`, seed 0, 2026-11-21: 1,073 entries of two listeners against the concerts that they logged, two
catalogues of one band, and the listings of a town and of a country. Those tell nearly no act of the listeners' nights
but the logged ones, so all that was asked is right, and the bound decides: listeners log .83 further acts of a night
with up to three, where a bill elsewhere has 1.07; of a longer one 5.4, where a festival's day elsewhere has 9.4.
"""

MOST_OF_A_NIGHT = 10
"""Questions about one night: a festival day has dozens of acts, and its listener names those that were missed faster
than they dismiss the rest."""
MOST = 50
"""Open questions of one user: more would bury the answers to what was asked."""
SAME_SHOW = timedelta(hours=4)
"""Of one hall, starts further apart are two shows: a matinee and an evening, a concert and a club night."""


def companion_keys(confirmed: Concert) -> frozenset[str]:
    """What finds the candidates among `concert_keys`: whoever plays around there that night.

    The bill's concerts are named by `confirmed.bill` besides, wherever they were put.
    """
    keys = concert_keys(confirmed)
    return frozenset(key for key in keys if key.startswith(("nc:", "nn:"))) or frozenset(
        key for key in keys if key.startswith("vm:")
    )


def link(confirmed: Concert, other: Concert) -> Link | None:
    """How they hang together; None for not at all."""
    if confirmed.night != other.night or confirmed.concert_id == other.concert_id:
        return None
    if _same_act(confirmed, other):
        return None
    if _billed(confirmed, other) or _billed(other, confirmed):
        return Link.BILL
    near = town_relation(confirmed.place, other.place).near
    if near in (Near.FAR, Near.OTHER):
        return None
    if _same_festival(confirmed, other):
        return Link.FESTIVAL
    return Link.VENUE if near is not Near.SUBURB and _same_show(confirmed, other) else None


def _same_act(one: Concert, other: Concert) -> bool:
    """The act itself, early or late or listed twice: which of them it was, is its entry's question."""
    return one.concert_id != other.concert_id and squash(one.artist) == squash(other.artist)


def _billed(one: Concert, other: Concert) -> bool:
    if any(act.concert_id == other.concert_id for act in one.bill):
        return True
    return not {member.listing_id for member in one.members}.isdisjoint(member.listing_id for member in other.members)


def _same_festival(one: Concert, other: Concert) -> bool:
    if one.parent is not None and one.parent == other.parent:
        return True
    return bool(one.festival and other.festival) and squash(one.festival or "") == squash(other.festival or "")


def _same_show(one: Concert, other: Concert) -> bool:
    """One hall, one evening, by sources that do not tell bills."""
    if venue_relation(one.place.name, other.place.name, one.place.city) is not SameVenue.SAME:
        return False
    here, there = known(one.place.room), known(other.place.room)
    if here and there and fold(here) != fold(there):
        return False
    if _timed(one) and _timed(other) and abs(one.start_at - other.start_at) > SAME_SHOW:  # type: ignore[operator]
        return False
    # Who lists bills, and lists these two apart, means two events.
    sources = {member.source for member in one.members} & {member.source for member in other.members}
    return not ((one.bill or other.bill) and sources)


def _timed(concert: Concert) -> bool:
    return concert.start_at is not None and concert.start_precision is StartPrecision.MINUTE


def size_of(show: Concert, linked: Iterable[Concert]) -> Size:
    """Of the show's night, by what hangs together with it."""
    acts = {squash(show.artist)}
    for other in linked:
        how = link(show, other)
        if how is Link.FESTIVAL:
            return Size.FESTIVAL
        if how is not None:
            acts.add(squash(other.artist))
    return Size.FESTIVAL if len(acts) > CONCERT_ACTS else Size.CONCERT


def companions(
    user: str,
    confirmed: Iterable[Concert],
    candidates: Iterable[Concert],
    already: Collection[UUID] = (),
    decisions: Sequence[Decision] = (),
    most: int = MOST,
) -> tuple[Suggestions, ...]:
    """One set for each question, best first; the same for any order of shows and candidates.

    `confirmed`: the user's confirmed shows, of one night or of all; `candidates`: found by `companion_keys` and by
    their bills; `already`: ids, new or old, of concerts that stand in the sets of the user's own entries;
    `decisions`: all of the user's, on whatever entries. Who keeps sets withdraws those that no longer come.
    """
    told = tuple(confirmed)
    everything = newest((*told, *candidates))
    shows = {one.concert_id: everything[one.concert_id] for one in told}
    by_night: dict[date, list[Concert]] = defaultdict(list)
    for show in shows.values():
        by_night[show.night].append(show)
    near: dict[date, list[Concert]] = defaultdict(list)
    for other in everything.values():
        near[other.night].append(other)
    said = Said(decisions, ids.COMPANION)
    questions = []
    for night, tonight in by_night.items():
        sizes = {show.concert_id: size_of(show, near[night]) for show in tonight}
        for other in near[night]:
            question = _question(other, tonight, sizes, said.own(other))
            if question is not None:
                questions.append(question)
    had = {*already, *(name for show in shows.values() for name in names_of(show))}
    return ask(user, Origin.COMPANION, questions, had, said, most, MOST_OF_A_NIGHT)


def _question(
    other: Concert, tonight: Sequence[Concert], sizes: Mapping[UUID, Size], own: Decision | None
) -> Question | None:
    """Hung on the confirmed show that it is closest to."""
    yes = own is not None and own.action is Action.CONFIRMED
    if not yes and (other.status not in TOOK_PLACE or any(_same_act(show, other) for show in tonight)):
        return None
    links = [(one, show) for show in tonight if (one := link(show, other)) is not None]
    if not links:
        # The show that it hung on is no longer confirmed; a yes stays a yes.
        return kept(other, own) if own is not None and yes else None
    how, show = min(links, key=lambda pair: (_CLOSENESS[pair[0]], pair[1].concert_id.int))
    size = sizes[show.concert_id]
    rate, base = MEASURED[size].precision, MEASURED[Size.CONCERT].precision
    text = _words(how, show, other)
    why = [Evidence(field=how.value, bits=round(bits(base) - PRIOR, 3), text=text)]
    if size is Size.FESTIVAL:
        why.append(Evidence(field="acts", bits=round(bits(rate) - bits(base), 3), text="of that day's many acts"))
    why.append(Evidence(field="prior", bits=PRIOR, text="one of about a million concerts"))
    return Question(
        concert=other,
        entry_id=ids.companion_entry_id(show.concert_id, other.concert_id),
        confidence=rate,
        why=tuple(why),
        signature=signature(f"companion={how.value}"),
        because=Because(text=text, concert_id=show.concert_id, artist=show.artist, night=show.night),
        group=other.night.isoformat(),
        closeness=(_CLOSENESS[how], other.role is not Role.HEADLINE, _minutes_apart(show, other)),
    )


_CLOSENESS = {one: index for index, one in enumerate(Link)}


def _words(how: Link, show: Concert, other: Concert) -> str:
    match how:
        case Link.BILL:
            said = f"on the same bill as {show.artist}"
        case Link.FESTIVAL:
            said = f"same day of {other.festival or show.festival or 'the festival'} as {show.artist}"
        case Link.VENUE:
            said = f"same night at {other.place.name} as {show.artist}"
    return f"{said[:1_900]}, which you confirmed"


def _minutes_apart(show: Concert, other: Concert) -> int:
    """What began next to it comes first; what tells no hour comes last."""
    if not _timed(show) or not _timed(other):
        return 24 * 60
    return int(abs(show.start_at - other.start_at).total_seconds()) // 60  # type: ignore[operator]
