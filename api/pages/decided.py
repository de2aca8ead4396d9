"""The history of decisions: what was decided, when, of what, whether it stands; what stands can be undone at any time.

GET /decisions                      newest first. A bulk is one item with one undo, and so is another night with the
                                    night that it was not; `together` lists a bulk one by one.
POST /decisions/{decision}/undo     that decision, and not one that came after it

An item stands while its decisions are the last word on their entries. It does not where it was taken back, where
something else was decided since, where its time is over (for later), or where match brought a dismissed show back with
other evidence: then the inbox asks again.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Redirect, Template
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import TAKE, cursor_of, place_of, plain
from api.calls import Call, write_once
from api.decisions import decide_in
from api.entries import anywhere
from api.errors import AnyRequest, ConflictError, NotFoundError
from api.pages import cards
from api.pages.bulk import read_bulk, wrote
from api.pages.frame import Form, back, check_form, show
from api.pages.words import _, day, moment, ngettext
from api.preferences import preferences_of
from api.services import Caller, Services
from api.verdicts import REFUSED, Wish, lifted
from schemas.decision import Action, Decision
from schemas.suggestion import Suggestions
from schemas.tables import DecisionRow, SuggestionsRow

KINDS = (Action.CONFIRMED, Action.DISMISSED, Action.OTHER_NIGHT, Action.SNOOZED, Action.NOT_SEEN)

_NAME = "case when cast(:together as uuid) is null then coalesce(together, decision_id) else decision_id end"
PAGE = text(
    f"""
    select {_NAME} as name, max(seq) as last from state.decisions
    where user_id = :user and action <> 'undone'
        and (cast(:together as uuid) is null or together = :together)
        and (cast(:kind as text) is null or cast(action as text) = :kind)
        and (cast(:artist as text) is null
            or body->'concert'->>'artist' ilike :artist or body->'entry'->>'artist' ilike :artist)
    group by 1 having cast(:before as bigint) is null or max(seq) < :before
    order by last desc limit :most
    """  # noqa: S608 - of constants
)
ROWS = text(
    f"""
    with mine as (
        select {_NAME} as name, decision_id, seq, entry_id, action, together,
            row_number() over (partition by entry_id, suggestion_id order by seq desc) = 1 as stands
        from state.decisions where user_id = :user
    ), named as (
        select *, row_number() over (partition by name order by seq desc) as place
        from mine where action <> 'undone' and name = any(:names)
    ), counted as (
        select name, count(distinct entry_id) as entries,
            count(distinct entry_id) filter (where stands) as standing from named group by name
    ), shown as materialized (
        select name, decision_id, seq, stands, entries, standing
        from named join counted using (name) where place <= :each
    )
    select shown.*, decisions.body,
        exists (select from state.bulks where bulk_id = shown.name and bulks.user_id = :user) as bulk
    from shown join state.decisions using (decision_id)
    order by shown.seq desc
    """  # noqa: S608 - of constants
)
EACH = 6
"""Decisions of one item that are read: more than a move makes, and enough to say what a bulk was of."""
NAMED = 3
"""Artists of a bulk that are named."""
UNDOING = text(
    """
    select cast(body->>'undoes' as uuid) as undone, decided_at from state.decisions
    where user_id = :user and action = 'undone' and cast(body->>'undoes' as uuid) = any(:ids)
    """
)


@dataclass(frozen=True)
class Item:
    """Something that was decided by one press."""

    key: str
    """Stable, and safe as an id of HTML."""
    said: str
    name: str
    """What a button is about."""
    shows: tuple[cards.Told, ...]
    """What it is of: a show, of another night also the one that it was not."""
    wrote: str
    when: str
    at: datetime
    state: str
    stands: bool
    undo: str
    """The address of its undo; empty where there is nothing to undo."""
    each: str = ""
    """The address of a bulk's decisions one by one."""


@get("/decisions", include_in_schema=False)
async def decisions(
    request: AnyRequest,
    services: NamedDependency[Services],
    artist: Annotated[str, QueryParameter(name="artist", max_length=200)] = "",
    kind: FromQuery[Literal["", "confirmed", "dismissed", "other_night", "snoozed", "not_seen"]] = "",
    together: FromQuery[UUID | None] = None,
    cursor: Annotated[str | None, QueryParameter(name="cursor", max_length=1_000)] = None,
    undone: FromQuery[UUID | None] = None,
    bulk: FromQuery[UUID | None] = None,
    refused: FromQuery[bool] = False,
) -> Template:
    """All of them, or those that fit."""
    caller: Caller = request.user
    plain("artist", artist)
    (before,) = place_of(cursor, int) if cursor else (None,)
    async with services.engine.connect() as connection:
        zone = (await preferences_of(connection, caller.user)).tz
        asked = {
            "user": caller.user,
            "together": together,
            "kind": kind or None,
            "artist": anywhere(artist) if artist else None,
            "before": before,
        }
        items, following = await _items(connection, asked, services.clock(), zone)
        notice = await read_bulk(connection, caller.user, bulk)
        told = await _told_undone(connection, caller.user, undone, refused) if undone else ""
    chosen = {"artist": artist, "kind": kind, "together": str(together or "")}
    query = urlencode({name: value for name, value in chosen.items() if value})
    return show(
        request,
        services,
        "decided.html",
        items=items,
        chosen=chosen,
        kinds=[(one.value, kind_name(one)) for one in KINDS],
        cursor=cursor or "",
        newest=f"/decisions?{query}",
        earlier=f"/decisions?{query}&cursor={following}" if following else "",
        many=notice,
        told=told,
        refused=refused,
        zone=zone,
    )


@post("/decisions/{decision_id:str}/undo", include_in_schema=False)
async def undo(
    request: AnyRequest,
    services: NamedDependency[Services],
    trace: NamedDependency[str],
    decision_id: FromPath[str],
    data: Form,
) -> Redirect:
    """Back to the same place of the list. Where something else was decided since, nothing changes, and it is said."""
    caller: Caller = request.user
    check_form(request, services, data)
    one = _uuid(decision_id)

    async def write(connection: AsyncConnection) -> Decision:
        wish = await _undoing(connection, services, caller.user, one, trace)
        return await decide_in(connection, wish, services.settings.outbox_shards)

    refused = False
    try:
        await write_once(services.engine, Call(caller.user, None), Decision, write)
    except ConflictError:
        refused = True
    chosen = {name: data.get(name, "") for name in ("artist", "kind", "together", "cursor")}
    return back("/decisions", **chosen, undone=one, refused="true" if refused else "")


async def _undoing(connection: AsyncConnection, services: Services, user: str, decision: UUID, trace: str) -> Wish:
    """What takes this decision back. NotFoundError; ConflictError where it is not the last word any more."""
    of = (
        await connection.execute(
            select(DecisionRow.suggestion_id, DecisionRow.entry_id).where(
                DecisionRow.user_id == user, DecisionRow.decision_id == decision
            )
        )
    ).one_or_none()
    if of is None:
        raise _unknown(str(decision))
    last = await connection.scalar(
        select(DecisionRow.body)
        .where(
            DecisionRow.user_id == user,
            DecisionRow.entry_id == of.entry_id,
            DecisionRow.suggestion_id == of.suggestion_id,
        )
        .order_by(DecisionRow.seq.desc())
        .limit(1)
    )
    said = Decision.model_validate(last)
    if decision not in (said.decision_id, said.undoes):
        raise ConflictError("Something else was decided since.")
    return Wish(user, of.suggestion_id, Action.UNDONE, services.clock(), trace)


async def _told_undone(connection: AsyncConnection, user: str, decision: UUID, refused: bool) -> str:
    body = await connection.scalar(
        select(DecisionRow.body).where(DecisionRow.user_id == user, DecisionRow.decision_id == decision)
    )
    if body is None:
        return ""
    name = _name(Decision.model_validate(body))
    if refused:
        return _("Nothing changed: something else was decided since. %(name)s", name=name)
    return _("Undone: %(name)s", name=name)


# -- items ------------------------------------------------------------------------------------------------------------


async def _items(
    connection: AsyncConnection, asked: dict[str, Any], now: datetime, zone: str
) -> tuple[list[Item], str | None]:
    page = (await connection.execute(PAGE, asked | {"most": TAKE + 1})).all()
    names = [row.name for row in page[:TAKE]]
    of: defaultdict[UUID, list[Any]] = defaultdict(list)
    told = {"user": asked["user"], "together": asked["together"], "names": names, "each": EACH}
    for row in await connection.execute(ROWS, told):
        of[row.name].append(row)
    made = {name: [(Decision.model_validate(row.body), row.stands) for row in of[name]] for name in names}
    every = [one for some in made.values() for one, _ in some]
    undone = {
        row.undone: row.decided_at
        for row in await connection.execute(UNDOING, {"user": asked["user"], "ids": [one.decision_id for one in every]})
    }
    asks_again = await _asks_again(connection, asked["user"], [one for some in made.values() for one, ok in some if ok])
    items = []
    for name in names:
        first = of[name][0]
        if first.bulk:
            items.append(_bulk(name, made[name], first.entries, first.standing, zone))
        else:
            items.append(_single(name, made[name], undone, asks_again, now, zone))
    following = cursor_of([int(page[TAKE - 1].last)]) if len(page) > TAKE else None
    return items, following


async def _asks_again(connection: AsyncConnection, user: str, standing: Sequence[Decision]) -> set[UUID]:
    """Refusals that match brought back with other evidence."""
    refusals = [one for one in standing if one.action in REFUSED]
    bodies = await connection.scalars(
        select(SuggestionsRow.body).where(
            SuggestionsRow.user_id == user, SuggestionsRow.entry_id.in_({one.entry_id for one in refusals})
        )
    )
    shown = {one.suggestion_id: one for body in bodies for one in Suggestions.model_validate(body).suggestions}
    return {one.decision_id for one in refusals if lifted(one, shown.get(one.suggestion_id))}


def _single(
    name: UUID,
    made: Sequence[tuple[Decision, bool]],
    undone: dict[UUID, datetime],
    asks_again: set[UUID],
    now: datetime,
    zone: str,
) -> Item:
    moved = next((one for one, _ in made if one.action is Action.OTHER_NIGHT), None)
    # Of a move, the night that it was: what is undone by it takes the other along.
    said, last = next((pair for pair in made if moved and pair[0].action is Action.CONFIRMED), made[0])
    over = said.until is not None and said.until <= now
    stands = last and not over and said.decision_id not in asks_again
    if said.decision_id in undone:
        state = _("Taken back on %(moment)s", moment=moment(undone[said.decision_id], zone))
    elif not last:
        state = _("Decided otherwise later")
    elif over:
        state = _("Over: it is asked again")
    elif not stands:
        state = _("Asked again: what is known of it has changed")
    else:
        state = _("Stands")
    facts = [one.concert for one in (said, moved) if one is not None and one.concert is not None]
    kind = Action.OTHER_NIGHT if moved else said.action
    until = f" ({_('until %(day)s', day=day(said.until.date()))})" if said.until else ""
    return Item(
        key=f"decided-{name}",
        said=kind_name(kind) + until,
        name=_name(said),
        shows=tuple(cards.show(one) for one in facts),
        wrote=wrote(said.entry),
        when=moment(said.decided_at, zone),
        at=said.decided_at,
        state=state,
        stands=stands,
        undo=f"/decisions/{said.decision_id}/undo" if stands else "",
    )


def _bulk(name: UUID, made: Sequence[tuple[Decision, bool]], entries: int, standing: int, zone: str) -> Item:
    said = made[0][0]
    artists = list(dict.fromkeys(cards.short(one.concert.artist, 60) for one, _ in made if one.concert))[:NAMED]
    if standing == entries:
        state = _("Stands")
    elif standing:
        state = ngettext("%(num)s of them still stands", "%(num)s of them still stand", standing)
    else:
        state = _("Taken back, or decided otherwise later")
    number = ngettext("%(num)s entry at once", "%(num)s entries at once", entries)
    return Item(
        key=f"decided-{name}",
        said=f"{kind_name(said.action)}: {number}",
        name=f"{kind_name(said.action)}, {number}",
        shows=(),
        wrote=_("%(artists)s and others", artists=", ".join(artists)) if len(artists) < entries else ", ".join(artists),
        when=moment(said.decided_at, zone),
        at=said.decided_at,
        state=state,
        stands=standing > 0,
        undo=f"/inbox/bulk/{name}/undo" if standing else "",
        each=f"/decisions?together={name}",
    )


def kind_name(kind: Action) -> str:
    """'Confirmed'."""
    return {
        Action.CONFIRMED: _("Confirmed"),
        Action.DISMISSED: _("Dismissed"),
        Action.OTHER_NIGHT: _("Another night"),
        Action.SNOOZED: _("Put off"),
        Action.NOT_SEEN: _("Not seen"),
        Action.UNDONE: _("Taken back"),
    }[kind]


def _name(said: Decision) -> str:
    if said.concert is None:
        return wrote(said.entry)
    return f"{cards.short(said.concert.artist, 80)}, {day(said.concert.night)}"


def _uuid(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError as error:
        raise _unknown(given) from error


def _unknown(given: str) -> NotFoundError:
    return NotFoundError("decision", f"There is no decision {given[:60]!r}.")


handlers = [decisions, undo]
