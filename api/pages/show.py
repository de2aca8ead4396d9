"""/journal/{suggestion_id}: one show, with all that is known of it, kept of it and decided about it.

A show that was taken out of the journal keeps its page: what was decided stands there, and can be decided again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template
from pydantic import ValidationError
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.concerts import present_concert, web
from api.decisions import decide
from api.entries import read_decisions
from api.errors import AnyRequest, ConflictError, NotFoundError
from api.friends.shows import FriendThere, friends_there
from api.journal import BRIEF, LONGEST_NOTE, OWN, JournalShow, Kept, OwnShow, Writing, add_show, change_show, one_show
from api.pages import cards, maps
from api.pages.frame import Form, check_form, show
from api.pages.journal import Did, exactly
from api.pages.notices import read_notice, returned
from api.pages.words import _, day, hour, ngettext
from api.preferences import preferences_of
from api.services import Caller, Services
from api.suggestions import suggestion_uuid
from api.verdicts import REFUSED, Wish, last_of
from schemas import ids
from schemas.concert import BillAct, Facts, Member
from schemas.decision import Action, Decision
from schemas.tables import DecisionRow, Visibility

MOST_FRIENDS = 100
MOST_ACTS = 60
"""Of a bill that are asked about; a festival has more than anybody reads."""
MOST_OTHERS = 200
LONGEST_NAME = 2_000
MOST_NAMES = 100

OTHERS = text(
    BRIEF
    + """
select suggestion_id, concert_id, night, artist, venue, city,
    lower(artist) = lower(cast(:artist as text)) as theirs,
    coalesce(lower(venue) = lower(cast(:venue as text)) and lower(city) is not distinct from
        lower(cast(:city as text)), false) as there
from shows
where concert_id <> :concert and (lower(artist) = lower(cast(:artist as text))
    or (lower(venue) = lower(cast(:venue as text)) and lower(city) is not distinct from lower(cast(:city as text))))
order by night desc, suggestion_id
limit :most
"""
)
"""The user's other shows of an artist or at a venue."""
MINE = text(
    """
    with asked as (
        select unnest(cast(:ids as uuid[])) as id
    ), ever as (
        select id, id as once from asked
        union
        select asked.id, old.concert_id from asked
        join state.concert_members held on held.concert_id = asked.id
        join state.concerts old on old.anchor_listing_id = held.listing_id and old.anchor_act = held.act
    ), last as (
        select distinct on (said.entry_id, said.suggestion_id) ever.id, said.suggestion_id, said.action
        from ever join state.decisions said on said.concert_id = ever.once and said.user_id = :user
        order by said.entry_id, said.suggestion_id, said.seq desc
    )
    select id, suggestion_id from last where action = 'confirmed' order by suggestion_id
    """
)
"""Of these concerts, those that the user confirmed, also under an id that they had before."""


@dataclass(frozen=True)
class Source:
    """Who tells of the show, and where to read it."""

    name: str
    url: str | None


@dataclass(frozen=True)
class Told:
    """A decision of the show's history."""

    decision: Decision
    standing: bool
    """It is in force, so it can be taken back."""
    here: bool
    """It is about this show, not about another that was proposed for the same line."""
    when: str
    """Day and hour, in the zone of who reads."""


@dataclass(frozen=True)
class ActAsked:
    """Another act of the bill: seen, not seen, or still to be asked."""

    act: BillAct
    seen: UUID | None
    """Its show in the journal."""
    refused: UUID | None
    """The suggestion that was refused, to be taken back."""


@dataclass(frozen=True)
class Other:
    """Another show of the user's."""

    suggestion_id: UUID
    artist: str
    night: date
    venue: str | None
    city: str | None


@get("/journal/{suggestion_id:str}", include_in_schema=False)
async def read_show(
    request: AnyRequest,
    services: NamedDependency[Services],
    suggestion_id: FromPath[str],
    did: Did = "",
    which: FromQuery[UUID | None] = None,
) -> Template:
    """A show of the journal, or one that was taken out of it."""
    return await _page(request, services, suggestion_uuid(suggestion_id), did=did, which=which)


@post("/journal/{suggestion_id:str}/keep", include_in_schema=False)
async def keep_of_show(
    request: AnyRequest,
    services: NamedDependency[Services],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    data: Form,
) -> Redirect | Template:
    """Note, rating, company, and who sees it."""
    check_form(request, services, data)
    caller: Caller = request.user
    one = suggestion_uuid(suggestion_id)
    told, errors = kept_of(data)
    if errors:
        return await _page(request, services, one, typed=dict(data), errors=errors, status=400)
    await change_show(services, Writing(caller.user, trace), one, Kept.model_validate(told))
    return returned(data, f"/journal/{one}", "kept")


@post("/journal/{suggestion_id:str}/undo", include_in_schema=False)
async def undo_show(
    request: AnyRequest,
    services: NamedDependency[Services],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    data: Form,
) -> Redirect:
    """Take back what was decided of it: a confirmation, or a refusal."""
    check_form(request, services, data)
    caller: Caller = request.user
    one = suggestion_uuid(suggestion_id)
    async with services.engine.connect() as connection:
        before = await _standing(connection, caller.user, one)
    wish = Wish(caller.user, one, Action.UNDONE, services.clock(), trace)
    try:
        await decide(services.engine, wish, services.settings.outbox_shards)
    except ConflictError:
        return returned(data, f"/journal/{one}", "conflict")
    out = before is None or before.action is Action.CONFIRMED
    return returned(data, f"/journal/{one}", "undone" if out else "open", one)


@post("/journal/{suggestion_id:str}/again", include_in_schema=False)
async def confirm_again(
    request: AnyRequest,
    services: NamedDependency[Services],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    data: Form,
) -> Redirect:
    """A show that was taken out, back into the journal: as proposed, else as the catalogue or its owner has it."""
    check_form(request, services, data)
    caller: Caller = request.user
    one = suggestion_uuid(suggestion_id)
    wish = Wish(caller.user, one, Action.CONFIRMED, services.clock(), trace)
    try:
        try:
            await decide(services.engine, wish, services.settings.outbox_shards)
        except NotFoundError:
            own = await _own(services, caller.user, one)
            one = (await add_show(services, Writing(caller.user, trace), own)).suggestion_id
    except ConflictError:
        return returned(data, f"/journal/{one}", "conflict")
    return returned(data, f"/journal/{one}", "again", one)


@post("/journal/{suggestion_id:str}/not-seen", include_in_schema=False)
async def pass_act(
    request: AnyRequest,
    services: NamedDependency[Services],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    data: Form,
) -> Redirect:
    """Another act of the bill that the user did not see: the field `act`, its concert."""
    check_form(request, services, data)
    caller: Caller = request.user
    one = suggestion_uuid(suggestion_id)
    act = _act(data)
    wish = Wish(caller.user, one, Action.NOT_SEEN, services.clock(), trace, act=act)
    try:
        decision = await decide(services.engine, wish, services.settings.outbox_shards)
    except ConflictError:
        return returned(data, f"/journal/{one}", "conflict")
    return returned(data, f"/journal/{one}", "passed", decision.suggestion_id)


@post("/journal/{suggestion_id:str}/seen", include_in_schema=False)
async def confirm_act(
    request: AnyRequest,
    services: NamedDependency[Services],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    data: Form,
) -> Redirect:
    """Another act of the bill that the user saw, too: the answer to the question about it where that was asked."""
    check_form(request, services, data)
    user = request.user.user
    one = suggestion_uuid(suggestion_id)
    act = _act(data)
    async with services.engine.connect() as connection:
        kept = await one_show(connection, user, one)
    if act not in {billed.concert_id for billed in kept.concert.bill}:
        raise _no_act()
    question = ids.suggestion_id(user, ids.companion_entry_id(kept.concert_id, act), act)
    wish = Wish(user, question, Action.CONFIRMED, services.clock(), trace)
    try:
        try:
            seen = (await decide(services.engine, wish, services.settings.outbox_shards)).suggestion_id
        except NotFoundError:  # nobody asked
            seen = (await add_show(services, Writing(user, trace), OwnShow(concert_id=act))).suggestion_id
    except NotFoundError:
        return returned(data, f"/journal/{one}", "gone")
    except ConflictError:
        return returned(data, f"/journal/{one}", "conflict")
    return returned(data, f"/journal/{one}", "added", seen)


@post("/journal/there", include_in_schema=False)
async def add_known(
    request: AnyRequest, services: NamedDependency[Services], trace: NamedDependency[str], data: Form
) -> Redirect:
    """ "I was there": the field `concert_id`, of a show that was found."""
    check_form(request, services, data)
    caller: Caller = request.user
    concert = _uuid(data.get("concert_id", ""))
    if concert is None:
        raise NotFoundError("concert", _("There is no such show any more. Look for it again."))
    async with services.engine.connect() as connection:
        known = await mine(connection, caller.user, [concert])
    if concert in known:
        return returned(data, f"/journal/{known[concert]}", "added", known[concert])
    try:
        added = await add_show(services, Writing(caller.user, trace), OwnShow(concert_id=concert))
    except NotFoundError:
        return returned(data, "/journal", "gone")
    except ConflictError:
        return returned(data, "/journal", "conflict")
    return returned(data, f"/journal/{added.suggestion_id}", "added", added.suggestion_id)


async def mine(connection: AsyncConnection, user: str, concerts: Sequence[UUID]) -> dict[UUID, UUID]:
    """Of these concerts, those in the user's journal, with the suggestion ids that name them there."""
    if not concerts:
        return {}
    rows = await connection.execute(MINE, {"user": user, "ids": list(concerts)})
    return {row.id: row.suggestion_id for row in rows}


def kept_of(data: Form) -> tuple[dict[str, Any], dict[str, str]]:
    """What the fields of a form say of note, rating, company and who sees it; and what is wrong, by field."""
    errors: dict[str, str] = {}
    note = _clean(data.get("note", "")).strip()
    if len(note) > LONGEST_NOTE:
        errors["note"] = ngettext(
            "At most 10,000 characters; this is %(num)s too many.",
            "At most 10,000 characters; these are %(num)s too many.",
            len(note) - LONGEST_NOTE,
        )
    company = list(
        dict.fromkeys(filter(None, (one.strip() for one in re.split(r"[,\n]", _clean(data.get("with", ""))))))
    )
    if len(company) > MOST_NAMES or any(len(one) > LONGEST_NAME for one in company):
        errors["with"] = _("At most 100 names, parted by commas.")
    rating = data.get("rating", "")
    if rating not in ("", "1", "2", "3", "4", "5"):
        errors["rating"] = _("Choose one to five stars, or none.")
    visibility = data.get("visibility", "")
    if visibility not in ("", *Visibility):
        errors["visibility"] = _("Choose one of the three.")
    told: dict[str, Any] = {
        "note": note or None,
        "rating": int(rating) if rating and "rating" not in errors else None,
        "with": company,
        "visibility": visibility or None,
        "shared": [one for one in ("note", "rating") if data.get(f"shared_{one}")],
    }
    return told, errors


# -- reading ----------------------------------------------------------------------------------------------------------


async def _page(
    request: AnyRequest,
    services: Services,
    one: UUID,
    *,
    did: str = "",
    which: UUID | None = None,
    typed: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> Template:
    caller: Caller = request.user
    user = caller.user
    async with services.engine.connect() as connection:
        wishes = await preferences_of(connection, user)
        history = await _history(connection, user, one, wishes.tz)
        notice = await read_notice(connection, user, did, which)
        every = {"history": history, "notice": notice, "here": f"/journal/{one}", "one": one}
        try:
            kept = await one_show(connection, user, one)
        except NotFoundError:
            gone = next((one.decision for one in reversed(history) if one.here), None)
            if gone is None or gone.concert is None:
                raise
            facts, told = gone.concert, cards.show(gone.concert, whole=True)
            return show(request, services, "show_gone.html", facts=facts, told=told, status=status, **every)
        facts = kept.concert
        members = await _members(connection, kept)
        others = await _others(connection, user, kept)
        context = {
            "kept": kept,
            "facts": facts,
            "told": cards.show(facts, whole=True),
            "sources": members,
            "friends": await _friends(connection, user, kept),
            "acts": await _acts(connection, user, kept),
            "theirs": [other for other, theirs, _there in others if theirs],
            "there": [other for other, _theirs, there in others if there],
            "journal_shown": wishes.journal,
            "map": _map(facts),
            "fields": typed if typed is not None else fields_of(kept),
            "errors": errors or {},
            # What was written here has its form on this page, and nothing that it was matched with.
            "line": "" if kept.entry_id.startswith(OWN) else cards.address_of(kept.entry_id),
            "exactly": exactly,
        }
    return show(request, services, "show.html", status=status, **every, **context)


def fields_of(kept: JournalShow) -> dict[str, str]:
    """What is kept of a show, as the fields of its form have it."""
    return {
        "note": kept.note or "",
        "rating": str(kept.rating or ""),
        "with": ", ".join(kept.with_),
        "visibility": kept.visibility_set.value if kept.visibility_set else "",
        **{f"shared_{one.value}": "on" for one in kept.shared},
    }


def _map(facts: Facts) -> maps.View | None:
    place = facts.place
    return maps.around(place.lat, place.lon) if place.lat is not None and place.lon is not None else None


def _when(at: datetime, zone: str) -> str:
    local = cards.in_zone(at, zone)
    return f"{day(local.date())}, {hour(local)}"


async def _history(connection: AsyncConnection, user: str, one: UUID, zone: str = "UTC") -> list[Told]:
    """All that was decided of the show's line, the first first. Empty: nothing ever was."""
    line = select(DecisionRow.entry_id).where(DecisionRow.user_id == user, DecisionRow.suggestion_id == one).limit(1)
    said = select(DecisionRow.body).where(DecisionRow.user_id == user, DecisionRow.entry_id == line.scalar_subquery())
    made = [Decision.model_validate(body) for body in await connection.scalars(said.order_by(DecisionRow.seq))]
    last = {decision.suggestion_id: decision.decision_id for decision in made}
    return [
        Told(
            decision,
            standing=decision.action is not Action.UNDONE and last[decision.suggestion_id] == decision.decision_id,
            here=decision.suggestion_id == one,
            when=_when(decision.decided_at, zone),
        )
        for decision in made
    ]


async def _standing(connection: AsyncConnection, user: str, one: UUID) -> Decision | None:
    """What is in force of a suggestion."""
    told = [told for told in await _history(connection, user, one) if told.here and told.standing]
    return told[-1].decision if told else None


async def _members(connection: AsyncConnection, kept: JournalShow) -> list[Source]:
    """Every source once for each of its addresses: as the catalogue has them now, else as they were at the decision."""
    concert = await present_concert(connection, kept.concert_id)
    members: Sequence[Member] = concert.members if concert else ()
    if concert is None and kept.sources:
        return [Source(_host(address), address) for address in kept.sources]
    return [Source(name, url) for name, url in dict.fromkeys((one.source, web(one.url)) for one in members)]


def _host(address: str) -> str:
    return address.partition("//")[2].partition("/")[0]


async def _friends(connection: AsyncConnection, user: str, kept: JournalShow) -> list[FriendThere]:
    if kept.own:
        return []
    return (await friends_there(connection, user, kept.concert_id, MOST_FRIENDS, None)).data


async def _acts(connection: AsyncConnection, user: str, kept: JournalShow) -> list[ActAsked]:
    others = {act.concert_id: act for act in kept.concert.bill if act.concert_id != kept.concert_id}
    bill = list(others.values())[:MOST_ACTS]
    if not bill:
        return []
    seen = await mine(connection, user, [act.concert_id for act in bill])
    entries = {act.concert_id: ids.companion_entry_id(kept.concert_id, act.concert_id) for act in bill}
    in_force = await read_decisions(connection, user, list(entries.values()))
    return [
        ActAsked(act, seen.get(act.concert_id), _refused(user, act.concert_id, entry_id, in_force[entry_id]))
        for act, entry_id in zip(bill, entries.values(), strict=True)
    ]


def _refused(user: str, act: UUID, entry_id: str, in_force: Sequence[Decision]) -> UUID | None:
    said = last_of(in_force, ids.suggestion_id(user, entry_id, act))
    return said.suggestion_id if said is not None and said.action in REFUSED else None


async def _others(connection: AsyncConnection, user: str, kept: JournalShow) -> list[tuple[Other, bool, bool]]:
    """Other shows: each with whether it is of the same artist, and at the same venue. The latest first, each once."""
    place = kept.concert.place
    asked = {"artist": kept.concert.artist, "venue": place.name, "city": place.city, "concert": kept.concert_id}
    rows = await connection.execute(OTHERS, asked | {"user": user, "most": MOST_OTHERS})
    found: dict[UUID, tuple[Other, bool, bool]] = {}
    for row in rows:
        other = Other(row.suggestion_id, row.artist, row.night, row.venue, row.city)
        found.setdefault(row.concert_id, (other, row.theirs, row.there))
    return list(found.values())


async def _own(services: Services, user: str, one: UUID) -> OwnShow:
    """A show that was taken out, as it is written anew. NotFoundError when it never was in."""
    async with services.engine.connect() as connection:
        history = await _history(connection, user, one)
        gone = next((told.decision for told in reversed(history) if told.here), None)
        if gone is None or gone.concert is None:
            raise NotFoundError("show", _("This show was never in your journal."))
        concert = await present_concert(connection, gone.concert_id)
    if concert is not None:
        return OwnShow(concert_id=concert.concert_id)
    return own_of(gone.concert)


def own_of(facts: Facts) -> OwnShow:
    """A show as its owner tells it."""
    place = facts.place
    try:
        return OwnShow(
            artist=facts.artist,
            night=facts.night,
            venue=place.name,
            city=place.city,
            region=place.region,
            country=place.country,
            lat=place.lat,
            lon=place.lon,
            festival=facts.festival,
            songs=facts.songs[:500],
        )
    except ValidationError as error:
        raise NotFoundError("show", _("This show cannot be written as one of your own.")) from error


def _act(data: Form) -> UUID:
    act = _uuid(data.get("act", ""))
    if act is None:
        raise _no_act()
    return act


def _no_act() -> NotFoundError:
    return NotFoundError("concert", _("There is no such act on this bill."))


def _uuid(given: str) -> UUID | None:
    try:
        return UUID(given)
    except ValueError:
        return None


def _clean(typed: str) -> str:
    """As PostgreSQL can hold it: no NUL; lines end as they do here."""
    return typed.replace("\x00", "").replace("\r\n", "\n")


handlers = [read_show, keep_of_show, undo_show, confirm_again, pass_act, confirm_act, add_known]
