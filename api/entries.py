"""A user's entries with what was found for each and what was decided: read straight from the tables of match and of
decisions, so that a decision shows at once, before match has heard of it.

A decision is in force until it is undone; for each pair of entry and concert only the last one counts. A refusal counts
while match shows the same evidence, a snooze until its time is over. Companions and habits that a user switched off are
not there, but for those that were confirmed.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import ConfigDict, Field
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import cursor_of, place_of
from api.verdicts import REFUSED, last_of, lifted, the_confirmed
from deploy.inbox import ENTRIES
from schemas.decision import Action, Decision
from schemas.suggestion import Band, Origin, Suggestions
from schemas.tables import DecisionRow


class State(StrEnum):
    """Where an entry stands."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"
    NOTHING = "nothing"
    SNOOZED = "snoozed"


class Wanted(StrEnum):
    """Which entries are asked for."""

    OPEN = "open"
    DECIDED = "decided"
    ALL = "all"
    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"
    SNOOZED = "snoozed"
    NOTHING = "nothing"


SURE_LEAST = 0.9
"""Confidence that nothing reads sure below; `matchers.weights.SURE` is .99. What is less need not be opened."""

STATES = {
    **{Wanted(state): [state.value] for state in State},
    Wanted.DECIDED: [State.CONFIRMED.value, State.DISMISSED.value],
    Wanted.ALL: [state.value for state in State],
}


class EntryView(Suggestions):
    """An entry's set as match left it, without what was dismissed since, and the decisions in force."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "user": "u-1",
                    "entry_id": "e1",
                    "origin": "entry",
                    "rev": 1,
                    "made_at": "2026-03-01T11:59:58Z",
                    "entry": {"artist": "Radiohead", "date": "summer 1994", "city": "Reading"},
                    "suggestions": [
                        {
                            "suggestion_id": "8b7cf6a0-3f3e-5d6c-8a92-2a1f0e3b7c11",
                            "rank": 1,
                            "concert_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33",
                            "concert": {
                                "artist": "Radiohead",
                                "night": "1994-08-27",
                                "place": {"name": "Little John's Farm", "city": "Reading", "country": "GB"},
                                "status": "happened",
                                "songs": ["Creep", "My Iron Lung"],
                            },
                            "members": [
                                {
                                    "listing_id": "3c234698-b46e-5d13-9641-1ceb909254ac",
                                    "source": "setlistfm",
                                    "source_id": "63de4613",
                                    "version": 1,
                                    "act": "Radiohead",
                                    "url": "https://www.setlist.fm/setlist/63de4613.html",
                                }
                            ],
                            "confidence": 0.97,
                            "band": "sure",
                            "why": [
                                {"field": "artist", "bits": 14.2, "text": "same artist"},
                                {"field": "city", "bits": 8.1, "text": "same town"},
                            ],
                            "signature": "d1d428b437f6817d",
                        }
                    ],
                    "weights": "1",
                    "fold": "2",
                    "state": "open",
                }
            ]
        }
    )

    state: State
    decisions: tuple[Decision, ...] = Field(default=(), description="Those in force, the latest last.")

    @property
    def confirmed(self) -> Decision | None:
        """The concert that it was, once the user said so."""
        return the_confirmed(self.decisions)


@dataclass(frozen=True)
class Filters:
    """Which entries; nothing given: all."""

    wanted: Wanted = Wanted.OPEN
    band: Band | None = None
    year: int | None = None
    artist: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True)
class Counts:
    """Entries of a user by where they stand; waiting: not matched yet."""

    open: int = 0
    confirmed: int = 0
    dismissed: int = 0
    nothing: int = 0
    snoozed: int = 0
    waiting: int = 0

    @property
    def all(self) -> int:
        """Every entry."""
        return self.open + self.confirmed + self.dismissed + self.nothing + self.snoozed + self.waiting


_FITTING = """
from entries
where state = any(:states)
    and (cast(:band as text) is null or band = :band)
    and (cast(:origin as text) is null or origin = :origin)
    and (cast(:year as text) is null or exists (
        select from jsonb_array_elements(body->'suggestions') one
        where starts_with(one->'concert'->>'night', :year)))
    and (cast(:artist as text) is null or body->'entry'->>'artist' ilike :artist or exists (
        select from jsonb_array_elements(body->'suggestions') one where one->'concert'->>'artist' ilike :artist))
"""

_PAGE = text(
    ENTRIES
    + "select entry_id, confidence, body, state"
    + _FITTING
    + """
    and (cast(:below as float8) is null or confidence < :below or (confidence = :below and entry_id > :after))
order by confidence desc, entry_id
limit :most
"""
)

_SURE = text(
    ENTRIES  # noqa: S608 - of constants
    + "select count(*) from (select entry_id"
    + _FITTING
    + """
    and confidence >= :least
limit :most
) counted
"""
)

_ONE = text(ENTRIES + "select entry_id, body, state from entries where entry_id = :entry")  # noqa: S608 - of constants

_COUNTS = text(
    ENTRIES
    + """
select state, count(*) from entries group by state
union all
select 'waiting', count(*) from state.entries
where user_id = :user and body is not null
    and not exists (select from state.suggestions found
        where found.user_id = :user and found.entry_id = state.entries.entry_id)
"""
)


async def read_entries(
    connection: AsyncConnection, user: str, filters: Filters, now: datetime, take: int, cursor: str | None
) -> tuple[list[EntryView], str | None]:
    """A page of entries, best confidence first, and the cursor of the next. InvalidError for a foreign cursor."""
    below, after = place_of(cursor, float, str) if cursor else (None, None)
    rows = (
        await connection.execute(
            _PAGE,
            _asked(user, filters, now) | {"below": below, "after": after, "most": take + 1},
        )
    ).all()
    page = rows[:take]
    more = cursor_of([float(page[-1].confidence), page[-1].entry_id]) if len(rows) > take else None
    decisions = await read_decisions(connection, user, [row.entry_id for row in page], now)
    return [_view(row.body, State(row.state), decisions[row.entry_id]) for row in page], more


async def read_entry(connection: AsyncConnection, user: str, entry_id: str, now: datetime) -> EntryView | None:
    """One entry; None for one that is not there, or was not matched yet."""
    row = (await connection.execute(_ONE, {"user": user, "now": now, "entry": entry_id})).one_or_none()
    if row is None:
        return None
    decisions = await read_decisions(connection, user, [entry_id], now)
    return _view(row.body, State(row.state), decisions[entry_id])


async def count_sure(connection: AsyncConnection, user: str, filters: Filters, now: datetime, most: int) -> int:
    """How many of the entries that `read_entries` has read sure; no more than `most` are counted."""
    asked = _asked(user, replace(filters, band=Band.SURE), now)
    return int(await connection.scalar(_SURE, asked | {"least": SURE_LEAST, "most": most}) or 0)


async def read_counts(connection: AsyncConnection, user: str, now: datetime) -> Counts:
    """How many entries stand where."""
    return Counts(**{row[0]: row[1] for row in await connection.execute(_COUNTS, {"user": user, "now": now})})


async def read_decisions(
    connection: AsyncConnection, user: str, entry_ids: Sequence[str], now: datetime | None = None
) -> defaultdict[str, list[Decision]]:
    """Entry -> its decisions in force, the latest last; with `now`, without snoozes that are over."""
    last = (
        select(DecisionRow.entry_id, DecisionRow.seq, DecisionRow.action, DecisionRow.body)
        .where(DecisionRow.user_id == user, DecisionRow.entry_id.in_(entry_ids))
        .ext(distinct_on(DecisionRow.entry_id, DecisionRow.suggestion_id))
        .order_by(DecisionRow.entry_id, DecisionRow.suggestion_id, DecisionRow.seq.desc())
        .subquery()
    )
    found: defaultdict[str, list[Decision]] = defaultdict(list)
    for row in await connection.execute(
        select(last.c.entry_id, last.c.body).where(last.c.action != Action.UNDONE).order_by(last.c.seq)
    ):
        decision = Decision.model_validate(row.body)
        if now is None or decision.until is None or decision.until > now:
            found[row.entry_id].append(decision)
    return found


def _asked(user: str, filters: Filters, now: datetime) -> dict[str, Any]:
    return {
        "user": user,
        "now": now,
        "states": STATES[filters.wanted],
        "band": filters.band and filters.band.value,
        "origin": filters.origin and filters.origin.value,
        "year": filters.year and f"{filters.year:04d}-",
        "artist": filters.artist and anywhere(filters.artist),
    }


def _view(body: dict[str, Any], state: State, decisions: list[Decision]) -> EntryView:
    found = Suggestions.model_validate(body)
    shown, given_back = [], set()
    for one in found.suggestions:
        said = last_of(decisions, one.suggestion_id)
        if said is None or said.action not in REFUSED:
            shown.append(one)
        elif lifted(said, one):
            shown.append(one)
            given_back.add(said.decision_id)
    standing = [one for one in decisions if one.decision_id not in given_back]
    told = {name: getattr(found, name) for name in Suggestions.model_fields}
    told |= {
        "suggestions": shown,
        "decision": standing[-1].action if standing else None,
        "decisions": standing,
        "state": state,
    }
    return EntryView.model_validate(told)


def anywhere(text: str) -> str:
    """A pattern of LIKE: the text itself, no wildcards, with anything around."""
    escaped = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"
