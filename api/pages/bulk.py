"""Many entries decided at once: first what it would be, then one press, and one undo for all of it.

GET /inbox/bulk                 counts (api.bulk), and lists what would be decided. What is counted is kept by a token,
POST /inbox/bulk                which decides just that; the answer leads to the inbox, which tells it (`?bulk=`)
POST /inbox/bulk/{token}/undo   takes back what still stands of it, at any time
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Redirect, Template
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import plain
from api.bulk import SNOOZE, Bulk, Bulked, Chosen, apply, count, take_back
from api.entries import EntryView
from api.errors import AnyRequest, ConflictError, Detail, InvalidError, NotFoundError
from api.pages import cards
from api.pages.frame import Form, back, check_form, show
from api.pages.words import _, day, ngettext
from api.services import Caller, Services
from schemas.history import Remembered
from schemas.suggestion import Band, Origin
from schemas.tables import BulkRow

SHOWN = 50
"""Named before they are decided; the rest is counted."""
NAMES = ("action", "band", "artist", "year", "origin")


@dataclass(frozen=True)
class Notice:
    """What a bulk came to, told on the page that comes after it."""

    token: UUID
    told: str
    undoable: bool


@dataclass(frozen=True)
class Line:
    """An entry that would be decided."""

    artist: str
    show: cards.Told
    band: Band
    certainty: str
    more: int
    """Alternatives that would be dismissed along with it."""
    wrote: str


@get("/inbox/bulk", include_in_schema=False)
async def preview(
    request: AnyRequest,
    services: NamedDependency[Services],
    action: FromQuery[Literal["confirm", "dismiss", "snooze"]] = "confirm",
    band: FromQuery[Literal["", "sure", "likely", "possible"]] = "",
    artist: Annotated[str, QueryParameter(name="artist", max_length=200)] = "",
    year: Annotated[str, QueryParameter(name="year", pattern=r"^(\d{4})?$")] = "",
    origin: FromQuery[Literal["", "entry", "companion", "habit"]] = "",
) -> Template:
    """What would be decided."""
    return await _counted(request, services, dict(zip(NAMES, (action, band, artist, year, origin), strict=True)))


@post("/inbox/bulk", include_in_schema=False)
async def decide_all(
    request: AnyRequest, services: NamedDependency[Services], trace: NamedDependency[str], data: Form
) -> Redirect | Template:
    """Just what was counted. Counted too long ago: it is counted again, and shown again."""
    caller: Caller = request.user
    check_form(request, services, data)
    token = token_of(data.get("token", ""))
    try:
        await apply(services, caller.user, token, trace)
    except ConflictError:
        chosen = {name: data.get(name, "") for name in NAMES}
        told = _("You counted these more than an hour ago, so nothing was decided. This is what it would be now.")
        return await _counted(request, services, chosen, told, status=409)
    return back("/inbox", bulk=token)


@post("/inbox/bulk/{token:str}/undo", include_in_schema=False)
async def undo_all(
    request: AnyRequest,
    services: NamedDependency[Services],
    trace: NamedDependency[str],
    token: FromPath[str],
    data: Form,
) -> Redirect:
    """One undo for the whole; what was decided otherwise since stays."""
    caller: Caller = request.user
    check_form(request, services, data)
    one = token_of(token)
    await take_back(services, caller.user, one, trace)
    return back("/decisions" if data.get("to") == "decisions" else "/inbox", bulk=one)


async def read_bulk(connection: AsyncConnection, user: str, token: UUID | None) -> Notice | None:
    """What a bulk came to, in the reader's words; None where there is none, or it was not applied."""
    if token is None:
        return None
    answer = await connection.scalar(select(BulkRow.answer).where(BulkRow.bulk_id == token, BulkRow.user_id == user))
    if not answer:
        return None
    bulk = Bulked.model_validate(answer)
    return Notice(token, told_of(bulk), bool(bulk.count) and not bulk.undone)


def told_of(bulk: Bulked) -> str:
    """'412 confirmed.', or what became of it."""
    said: str
    if bulk.undone:
        said = ngettext("Undone: %(num)s is open again.", "Undone: %(num)s are open again.", bulk.count)
        left = ngettext(
            "%(num)s was decided otherwise since, and stays so.",
            "%(num)s were decided otherwise since, and stay so.",
            bulk.left,
        )
    else:
        said = _done(bulk.action, bulk.count)
        left = ngettext(
            "%(num)s was left as it is: it was decided, or changed, meanwhile.",
            "%(num)s were left as they are: they were decided, or changed, meanwhile.",
            bulk.left,
        )
    return said + " " + left if bulk.left else said


def _done(action: str, number: int) -> str:
    if action == "confirm":
        return ngettext("%(num)s confirmed.", "%(num)s confirmed.", number)
    if action == "dismiss":
        return ngettext("%(num)s dismissed.", "%(num)s dismissed.", number)
    return ngettext("%(num)s put off.", "%(num)s put off.", number)


def _heading(action: str, number: int) -> str:
    if action == "confirm":
        return ngettext("Confirm %(num)s show at once", "Confirm %(num)s shows at once", number)
    if action == "dismiss":
        return ngettext("Dismiss %(num)s entry at once", "Dismiss %(num)s entries at once", number)
    return ngettext("Put off %(num)s entry at once", "Put off %(num)s entries at once", number)


def _button(action: str, number: int) -> str:
    if action == "confirm":
        return ngettext("Confirm it", "Confirm all %(num)s", number)
    if action == "dismiss":
        return ngettext("Dismiss it", "Dismiss all %(num)s", number)
    return ngettext("Put it off", "Put off all %(num)s", number)


def wrote(entry: Remembered) -> str:
    """A line of history in short: 'radiohead, summer 1994, Reading'."""
    told = (entry.artist, entry.date, entry.venue, entry.city)
    return cards.short(", ".join(part for part in told if part) or entry.note or "", 120)


async def _counted(
    request: AnyRequest, services: Services, chosen: dict[str, str], problem: str = "", status: int = 200
) -> Template:
    caller: Caller = request.user
    wish = _wish(chosen)
    now = services.clock()
    async with services.engine.begin() as connection:
        counted, views = await count(connection, caller.user, wish, now)
    action = counted.action
    return show(
        request,
        services,
        "bulk.html",
        status=status,
        counted=counted,
        lines=_lines(views, action),
        chosen=chosen,
        problem=problem,
        heading=_heading(action, counted.count),
        button=_button(action, counted.count),
        until=day((now + SNOOZE).date()) if action == "snooze" else "",
    )


def _wish(chosen: dict[str, str]) -> Bulk:
    """The dry run that a form or an address asks for. InvalidError for what no page of ours says."""
    plain("artist", chosen["artist"])
    try:
        return Bulk.model_validate(
            {
                "dry_run": True,
                "action": chosen["action"],
                "filter": Chosen(
                    band=Band(chosen["band"]) if chosen["band"] else None,
                    year=int(chosen["year"]) if chosen["year"] else None,
                    artist=chosen["artist"] or None,
                    origin=Origin(chosen["origin"]) if chosen["origin"] else None,
                ),
            }
        )
    except ValueError as error:  # pydantic's is one, too
        raise InvalidError(
            "The request is not valid.", [Detail(field="filter", message="band, year, artist or origin does not fit")]
        ) from error


def _lines(views: Sequence[EntryView], action: str) -> list[Line]:
    return [
        Line(
            artist=first.concert.artist,
            show=cards.show(first.concert),
            band=first.band,
            certainty=_(cards.CERTAINTY[first.band]),
            more=len(view.suggestions) - 1 if action == "dismiss" else 0,
            wrote=wrote(view.entry),
        )
        for view in views[:SHOWN]
        for first in view.suggestions[:1]
    ]


def token_of(given: str) -> UUID:
    """Of a bulk. NotFoundError for what cannot be one."""
    try:
        return UUID(given)
    except ValueError as error:
        raise NotFoundError("bulk", _("This is not there any more. Count once more.")) from error


handlers = [preview, decide_all, undo_all]
