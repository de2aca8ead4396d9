"""The inbox: shows that were found, to be confirmed, and an entry's own page.

Whatever a button does, its form says where it came from (`back`) and which card comes next (`at`): the answer leads to
the same place of the same list, with what was done told in a toast until it is dismissed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Redirect, Template
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import plain
from api.bulk import MOST
from api.decisions import decide, nights_around
from api.entries import EntryView, Filters, Wanted, count_sure, read_counts, read_entries, read_entry
from api.errors import AnyRequest, ConflictError, Detail, InvalidError, NotFoundError
from api.pages.bulk import read_bulk
from api.pages.cards import CERTAINTY, Card, Told, card, days_between, key_of, short, show, signed
from api.pages.evidence import label
from api.pages.frame import Form, check_form
from api.pages.frame import show as page
from api.pages.words import _, marked
from api.preferences import Changed, prefer
from api.services import Caller, Services
from api.suggestions import suggestion_uuid
from api.verdicts import RULES, Night, Target, Wish
from schemas.decision import Action, Decision
from schemas.suggestion import Band, Origin
from schemas.tables import DecisionRow

PAGE = 12
"""Cards at once: the richest take 7 kB each, and a page stays below 100."""
VERBS = {
    "confirm": Action.CONFIRMED,
    "dismiss": Action.DISMISSED,
    "other-night": Action.OTHER_NIGHT,
    "snooze": Action.SNOOZED,
    "not-seen": Action.NOT_SEEN,
    "undo": Action.UNDONE,
}
"""The last part of a button's address; or, where that is `decide`, what its `do` begins with."""
WHAT = {"other-night": "concert_id", "snooze": "days", "not-seen": "concert_id"}
"""What may follow it there."""
SNOOZE_DAYS, MOST_DAYS = 7, 366
DONE = {
    Action.CONFIRMED: marked("Confirmed."),
    Action.DISMISSED: marked("Not this one."),
    Action.OTHER_NIGHT: marked("Moved to another night."),
    Action.SNOOZED: marked("For later."),
    Action.NOT_SEEN: marked("Noted: you did not see them."),
    Action.UNDONE: marked("Undone."),
}
IN_FORCE = {
    Action.CONFIRMED: marked("Nothing changed: this entry was already confirmed."),
    Action.DISMISSED: marked("Nothing changed: this entry was already dismissed."),
    Action.OTHER_NIGHT: marked("Nothing changed: this entry was already moved to another night."),
    Action.SNOOZED: marked("Nothing changed: this entry was already put off for later."),
    Action.NOT_SEEN: marked("Nothing changed: you already said that you did not see them."),
}
QUESTIONS = {
    "companions": (
        marked("You are asked no more about other acts of a bill."),
        marked("You are asked about other acts of a bill again."),
    ),
    "habits": (
        marked("You are asked no more about your habits."),
        marked("You are asked about your habits again."),
    ),
}
"""What is not asked for in an entry -> what is said once it is switched off, and on."""
KEPT = ("id", "state", "band", "artist", "year", "origin", "cursor")
"""What an address of a list is made of."""
CARD = re.compile(r"card-[0-9a-f]{12}")


@dataclass(frozen=True)
class Toast:
    """What was just done, the rule that it stands under, and how it is taken back."""

    said: str
    about: Told | None = None
    rule: str = ""
    conflict: bool = False
    undo: UUID | None = None
    at: str = ""
    """The card to come back to."""
    again: str = ""
    """Questions that were switched off and can be switched on."""


@dataclass(frozen=True)
class Other:
    """A night that an entry can be moved to."""

    concert_id: UUID
    show: Told
    later: str


@get("/inbox", include_in_schema=False)
async def inbox(
    request: AnyRequest,
    services: NamedDependency[Services],
    wanted: Annotated[
        Literal["open", "decided", "confirmed", "dismissed", "snoozed", "nothing"], QueryParameter(name="state")
    ] = "open",
    band: FromQuery[Literal["", "sure", "likely", "possible"]] = "",
    artist: Annotated[str | None, QueryParameter(name="artist", max_length=200)] = None,
    year: Annotated[str | None, QueryParameter(name="year", pattern=r"^(\d{4})?$")] = None,
    origin: FromQuery[Literal["", "entry", "companion", "habit"]] = "",
    cursor: Annotated[str | None, QueryParameter(name="cursor", max_length=1_000)] = None,
    decided: FromQuery[UUID | None] = None,
    did: FromQuery[Literal["", "other-night", "conflict"]] = "",
    off: FromQuery[Literal["", "companions", "habits"]] = "",
    on: FromQuery[Literal["", "companions", "habits"]] = "",
    bulk: FromQuery[UUID | None] = None,
) -> Template:
    """Entries to decide, or those that stand elsewhere."""
    caller: Caller = request.user
    now = services.clock()
    filters = Filters(
        Wanted(wanted),
        Band(band) if band else None,
        int(year) if year else None,
        plain("artist", artist) or None,
        Origin(origin) if origin else None,
    )
    async with services.engine.connect() as connection:
        counts = await read_counts(connection, caller.user, now)
        views, following = await read_entries(connection, caller.user, filters, now, PAGE, cursor)
        sure = 0
        if counts.open and filters.wanted is Wanted.OPEN and band in ("", "sure"):
            sure = await count_sure(connection, caller.user, filters, now, MOST)
        toast = await _toast(connection, caller.user, decided, did, off, on)
        many = await read_bulk(connection, caller.user, bulk)
    chosen = {"state": wanted, "band": band, "artist": artist or "", "year": year or "", "origin": origin}
    here = _address("/inbox", chosen | {"cursor": cursor or ""})
    cards = [card(view) for view in views]
    return page(
        request,
        services,
        "inbox.html",
        cards=list(zip(cards, _neighbours(cards), strict=True)),
        counts=counts,
        sure=sure,
        bulk=_address("/inbox/bulk", {"action": "confirm"} | chosen | {"state": "", "band": "sure"}),
        toast=toast,
        many=many,
        chosen=chosen,
        filtered=bool(band or artist or year or origin),
        here=here,
        cursor=cursor or "",
        start=_address("/inbox", {"state": wanted}),
        first=_address("/inbox", chosen),
        next=_address("/inbox", chosen | {"cursor": following}) if following else "",
    )


@get("/inbox/entries/{entry_id:str}", include_in_schema=False)
async def entry_page(
    request: AnyRequest,
    services: NamedDependency[Services],
    entry_id: FromPath[str],
    decided: FromQuery[UUID | None] = None,
    did: FromQuery[Literal["", "other-night", "conflict"]] = "",
) -> Template:
    """All of one entry: each show that it can be, and the nights around."""
    return await _entry(request, services, entry_id, decided, did)


@get("/inbox/entries", include_in_schema=False)
async def entry_page_by_id(
    request: AnyRequest,
    services: NamedDependency[Services],
    entry_id: Annotated[str, QueryParameter(name="id", max_length=200)] = "",
    decided: FromQuery[UUID | None] = None,
    did: FromQuery[Literal["", "other-night", "conflict"]] = "",
) -> Template:
    """The same, for an id that a path cannot hold."""
    return await _entry(request, services, entry_id, decided, did)


@post("/inbox/{suggestion_id:str}/{verb:str}", include_in_schema=False)
async def decide_on_page(
    request: AnyRequest,
    services: NamedDependency[Services],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    verb: FromPath[str],
    data: Form,
) -> Redirect:
    """A button of a card; back to the same place of the list."""
    caller: Caller = request.user
    check_form(request, services, data)
    if verb == "decide":
        verb, _space, what = data.get("do", "").partition(" ")
        data = {**data, WHAT[verb]: what} if what and verb in WHAT else data
    if verb not in VERBS:
        raise NotFoundError("route", f"There is nothing at {request.url.path}.")
    wish = _wish(Wish(caller.user, suggestion_uuid(suggestion_id), VERBS[verb], services.clock(), trace), data)
    try:
        decision = await decide(services.engine, wish, services.settings.outbox_shards)
    except ConflictError as conflict:
        in_force = {detail.field: detail.message for detail in conflict.details}
        if "suggestion_id" not in in_force:
            raise
        return _back(data, decided=in_force["suggestion_id"], did="conflict")
    return _back(data, decided=str(decision.suggestion_id), did="other-night" if verb == "other-night" else "")


@post("/inbox/questions", include_in_schema=False)
async def ask_on_page(
    request: AnyRequest, services: NamedDependency[Services], trace: NamedDependency[str], data: Form
) -> Redirect:
    """Companions or habits off, or on again: `off` or `on` of the form says which."""
    caller: Caller = request.user
    check_form(request, services, data)
    for way in ("off", "on"):
        which = data.get(way, "")
        if which in QUESTIONS:
            await prefer(services, caller.user, Changed.model_validate({which: way == "on"}), trace)
            return _back(data, **{way: which})
    raise _wrong("off", f"must be one of {', '.join(QUESTIONS)}")


async def _entry(request: AnyRequest, services: Services, entry_id: str, decided: UUID | None, did: str) -> Template:
    caller: Caller = request.user
    now = services.clock()
    async with services.engine.connect() as connection:
        view = await read_entry(connection, caller.user, plain("id", entry_id) or "", now)
        if view is None:
            raise NotFoundError("entry", f"There is no entry {short(entry_id, 60)!r} that was looked for already.")
        others = await _others(connection, caller.user, view, now)
        toast = await _toast(connection, caller.user, decided, did)
    mine = card(view, whole=True)
    return page(
        request,
        services,
        "entry.html",
        card=mine,
        others=others,
        from_=mine.best.suggestion_id if mine.best else mine.verdicts[-1].suggestion_id if mine.verdicts else None,
        toast=toast,
        here=mine.address,
    )


async def _others(connection: AsyncConnection, user: str, view: EntryView, now: datetime) -> list[Other]:
    """What else it can have been, by night; nothing where it was said that it was none of them."""
    decided = view.confirmed or (None if view.suggestions else (view.decisions or (None,))[-1])
    if decided is not None and decided.concert is not None:
        shown, facts = decided.suggestion_id, decided.concert
    elif view.suggestions:
        shown, facts = view.suggestions[0].suggestion_id, view.suggestions[0].concert
    else:
        return []
    nights: list[Night] = await nights_around(connection, Wish(user, shown, Action.OTHER_NIGHT, now, ""))
    return [Other(one.concert_id, show(one.facts), days_between(facts.night, one.facts.night)) for one in nights]


async def _toast(
    connection: AsyncConnection, user: str, decided: UUID | None, did: str, off: str = "", on: str = ""
) -> Toast | None:
    if off:
        return Toast(_(QUESTIONS[off][0]), again=off)
    if on:
        return Toast(_(QUESTIONS[on][1]))
    if decided is None:
        return None
    body = await connection.scalar(
        select(DecisionRow.body)
        .where(DecisionRow.user_id == user, DecisionRow.suggestion_id == decided)
        .order_by(DecisionRow.seq.desc())
        .limit(1)
    )
    return told(Decision.model_validate(body), did) if body else None


def told(decision: Decision, did: str = "") -> Toast:
    """What is said of a decision that was just made, or that stands in the way."""
    about = show(decision.concert) if decision.concert else None
    undo = None if decision.action is Action.UNDONE else decision.suggestion_id
    at = key_of(decision.entry_id)
    if did == "conflict" and decision.action in IN_FORCE:
        return Toast(_(IN_FORCE[decision.action]), about, conflict=True, undo=undo, at=at)
    moved = did == "other-night" and decision.action is Action.CONFIRMED
    action = Action.OTHER_NIGHT if moved else decision.action
    return Toast(_(DONE[action]), about, _(RULES[action]), undo=undo, at=at)


def _wish(wish: Wish, data: Mapping[str, str]) -> Wish:
    """With what the form says besides. InvalidError names the field."""
    if wish.action is Action.SNOOZED:
        days = data.get("days") or str(SNOOZE_DAYS)
        if not days.isdecimal() or not 1 <= int(days[:9]) <= MOST_DAYS:
            raise _wrong("days", f"must be a number from 1 to {MOST_DAYS}")
        # To the minute: two presses of a button are one snooze.
        until = wish.at.replace(second=0, microsecond=0) + timedelta(days=int(days))
        return replace(wish, until=until, written=f"days {int(days)}")
    if wish.action is Action.OTHER_NIGHT:
        return replace(wish, target=Target(concert_id=_uuid("concert_id", data.get("concert_id", ""))))
    if wish.action is Action.NOT_SEEN and data.get("concert_id"):
        return replace(wish, act=_uuid("concert_id", data["concert_id"]))
    return wish


def _uuid(field: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise _wrong(field, "must be the id of a concert") from error


def _wrong(field: str, message: str) -> InvalidError:
    return InvalidError("The request is not valid.", [Detail(field=field, message=message)])


def _back(data: Mapping[str, str], **told: str) -> Redirect:
    """To the list, or the entry, that the form names; to the inbox where that is none of ours."""
    try:
        named = urlsplit(data.get("back", ""))
    except ValueError:  # 'http://[' is no address at all
        named = urlsplit("")
    within = named.path in ("/inbox", "/inbox/entries") or named.path.startswith("/inbox/entries/")
    ours = within and not named.scheme and not named.netloc
    query = {name: value for name, value in parse_qsl(named.query) if name in KEPT} if ours else {}
    at = data.get("at", "")
    address = _address(named.path if ours else "/inbox", query | told)
    return Redirect(address + (f"#{at}" if CARD.fullmatch(at) else ""), status_code=303)


def _address(path: str, query: Mapping[str, Any]) -> str:
    told = {name: value for name, value in query.items() if value and (name, value) != ("state", "open")}
    return path + (f"?{urlencode(told)}" if told else "")


def _neighbours(cards: list[Card]) -> list[str]:
    """Of each card the one that takes its place when it is gone: the next, of the last the one before."""
    keys = [one.key for one in cards]
    return [*keys[1:], keys[-2] if len(keys) > 1 else ""][: len(keys)]


HELPERS = {"certainty": lambda band: _(CERTAINTY[band]), "label": label, "signed": signed}
"""What the templates of cards call."""
handlers = [inbox, entry_page, entry_page_by_id, ask_on_page, decide_on_page]
