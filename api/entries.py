"""A user's entries with what was found for each and what was decided: read straight from the tables of match and of
decisions, so that a decision shows at once, before match has heard of it.

A decision is in force until it is undone; for each pair of entry and concert only the last one counts.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import Field
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import cursor_of, place_of
from schemas.decision import Action, Decision
from schemas.suggestion import Band, Suggestions
from schemas.tables import DecisionRow


class State(StrEnum):
    """Where an entry stands."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"
    NOTHING = "nothing"


class Wanted(StrEnum):
    """Which entries are asked for."""

    OPEN = "open"
    DECIDED = "decided"
    ALL = "all"


STATES = {
    Wanted.OPEN: [State.OPEN.value],
    Wanted.DECIDED: [State.CONFIRMED.value, State.DISMISSED.value],
    Wanted.ALL: [state.value for state in State],
}


class EntryView(Suggestions):
    """An entry's set as match left it, without what was dismissed since, and the decisions in force."""

    state: State
    decisions: tuple[Decision, ...] = Field(default=(), description="Those in force, the latest last.")

    @property
    def confirmed(self) -> Decision | None:
        """The concert that it was, once the user said so."""
        return next((one for one in self.decisions if one.action is Action.CONFIRMED), None)


@dataclass(frozen=True)
class Filters:
    """Which entries; nothing given: all."""

    wanted: Wanted = Wanted.OPEN
    band: Band | None = None
    year: int | None = None
    artist: str | None = None


@dataclass(frozen=True)
class Counts:
    """Entries of a user by where they stand; waiting: not matched yet."""

    open: int = 0
    confirmed: int = 0
    dismissed: int = 0
    nothing: int = 0
    waiting: int = 0

    @property
    def all(self) -> int:
        """Every entry."""
        return self.open + self.confirmed + self.dismissed + self.nothing + self.waiting


_ENTRIES = """
with last as (
    select distinct on (entry_id, suggestion_id) entry_id, suggestion_id, action
    from state.decisions where user_id = :user
    order by entry_id, suggestion_id, seq desc
), standing as (
    select entry_id,
        bool_or(action = 'confirmed') as confirmed,
        coalesce(array_agg(suggestion_id) filter (where action = 'dismissed'), '{}') as dismissed
    from last where action <> 'undone' group by entry_id
), entries as (
    select found.entry_id, found.confidence, found.body,
        case
            when standing.confirmed then 'confirmed'
            when found.suggestion_ids <@ standing.dismissed then 'dismissed'
            when cardinality(found.suggestion_ids) > 0 then 'open'
            else 'nothing'
        end as state
    from state.suggestions found left join standing using (entry_id)
    where found.user_id = :user and found.body->>'reason' is distinct from 'entry_deleted'
)
"""

_PAGE = text(
    _ENTRIES  # noqa: S608 - of constants
    + """
select entry_id, confidence, body, state from entries
where state = any(:states)
    and (cast(:band as text) is null or body->'suggestions'->0->>'band' = :band)
    and (cast(:year as text) is null or exists (
        select from jsonb_array_elements(body->'suggestions') one
        where starts_with(one->'concert'->>'night', :year)))
    and (cast(:artist as text) is null or body->'entry'->>'artist' ilike :artist or exists (
        select from jsonb_array_elements(body->'suggestions') one where one->'concert'->>'artist' ilike :artist))
    and (cast(:below as float8) is null or confidence < :below or (confidence = :below and entry_id > :after))
order by confidence desc, entry_id
limit :most
"""
)

_COUNTS = text(
    _ENTRIES
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
    connection: AsyncConnection, user: str, filters: Filters, take: int, cursor: str | None
) -> tuple[list[EntryView], str | None]:
    """A page of entries, best confidence first, and the cursor of the next. InvalidError for a foreign cursor."""
    below, after = place_of(cursor, float, str) if cursor else (None, None)
    artist = filters.artist and f"%{_literal(filters.artist)}%"
    rows = (
        await connection.execute(
            _PAGE,
            {
                "user": user,
                "states": STATES[filters.wanted],
                "band": filters.band and filters.band.value,
                "year": filters.year and f"{filters.year:04d}-",
                "artist": artist,
                "below": below,
                "after": after,
                "most": take + 1,
            },
        )
    ).all()
    page = rows[:take]
    more = cursor_of([float(page[-1].confidence), page[-1].entry_id]) if len(rows) > take else None
    decisions = await read_decisions(connection, user, [row.entry_id for row in page])
    return [_view(row.body, State(row.state), decisions[row.entry_id]) for row in page], more


async def read_counts(connection: AsyncConnection, user: str) -> Counts:
    """How many entries stand where."""
    return Counts(**{row[0]: row[1] for row in await connection.execute(_COUNTS, {"user": user})})


async def read_decisions(
    connection: AsyncConnection, user: str, entry_ids: Sequence[str]
) -> defaultdict[str, list[Decision]]:
    """Entry -> its decisions in force, the latest last."""
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
        found[row.entry_id].append(Decision.model_validate(row.body))
    return found


def _view(body: dict[str, Any], state: State, decisions: list[Decision]) -> EntryView:
    found = Suggestions.model_validate(body)
    dismissed = {one.suggestion_id for one in decisions if one.action is Action.DISMISSED}
    shown = [one for one in found.suggestions if one.suggestion_id not in dismissed]
    told = {name: getattr(found, name) for name in Suggestions.model_fields}
    told |= {
        "suggestions": shown,
        "decision": decisions[-1].action if decisions else None,
        "decisions": decisions,
        "state": state,
    }
    return EntryView.model_validate(told)


def _literal(text: str) -> str:
    """For LIKE: the text itself, no wildcards."""
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
