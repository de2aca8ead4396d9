"""News of the inbox for a page that is open: the stream of events, and what is to be said of cards that it shows.

GET /inbox/stream   the events of GET /v1/stream, for the page's cookie. A browser that comes back by itself sends
                    Last-Event-ID; a script that opens a new one cannot, and sends the number as `since`.
GET /inbox/news     of some entries what was decided since they were shown, in words; the script puts them beside the
                    cards that it does not move (docs/decisions/0015).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import ServerSentEvent, Template
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import stream
from api.answers import plain
from api.entries import State, read_decisions
from api.errors import AnyRequest
from api.pages import cards
from api.pages.frame import show
from api.pages.words import _, day
from api.services import Caller, Services
from api.verdicts import the_confirmed
from deploy.inbox import ENTRIES
from schemas.decision import Decision

MOST = 100
"""Entries of one question; a page shows fewer."""
ASKED = text(ENTRIES + "select entry_id, state from entries where entry_id = any(:asked)")  # noqa: S608 - of constants

Since = Annotated[str | None, QueryParameter(name="since", pattern=r"^[0-9]{1,18}$")]


@dataclass(frozen=True)
class Told:
    """What became of an entry."""

    entry_id: str
    state: str
    said: str
    show: cards.Told | None = None


@get("/inbox/stream", include_in_schema=False)
async def stream_for_page(
    request: AnyRequest,
    services: NamedDependency[Services],
    last_event_id: stream.LastEventId = None,
    since: Since = None,
) -> ServerSentEvent:
    """New suggestions and decisions, from any device and process."""
    caller: Caller = request.user
    return await stream.tell(services, caller, last_event_id=last_event_id or since)


@get("/inbox/news", include_in_schema=False)
async def news(
    request: AnyRequest,
    services: NamedDependency[Services],
    entry: Annotated[list[str] | None, QueryParameter(name="entry", max_items=MOST)] = None,
    found: Annotated[int, QueryParameter(name="found", ge=0, le=10_000)] = 0,
) -> Template:
    """What became of these entries, those left out that are still to be decided; and how many are new."""
    caller: Caller = request.user
    asked = [one for one in entry or () if plain("entry", one)]
    async with services.engine.connect() as connection:
        told = await what_became(connection, services, caller.user, asked)
    return show(request, services, "news.html", told=told, found=found)


async def what_became(connection: AsyncConnection, services: Services, user: str, asked: Sequence[str]) -> list[Told]:
    """Of each entry that is not open any more, in the order of the question."""
    now = services.clock()
    states: dict[str, str] = {
        row.entry_id: row.state
        for row in await connection.execute(ASKED, {"user": user, "now": now, "asked": list(asked)})
    }
    decisions = await read_decisions(connection, user, asked, now)
    return [
        _told(one, states.get(one), decisions[one]) for one in dict.fromkeys(asked) if states.get(one) != State.OPEN
    ]


def _told(entry_id: str, state: str | None, decisions: Sequence[Decision]) -> Told:
    latest = the_confirmed(decisions) or (decisions[-1] if decisions else None)
    facts = cards.show(latest.concert) if latest is not None and latest.concert is not None else None
    if state == State.CONFIRMED:
        return Told(entry_id, state, _("Confirmed on another device"), facts)
    if state == State.DISMISSED:
        return Told(entry_id, state, _("Dismissed on another device"), facts)
    if state == State.SNOOZED:
        until = latest.until if latest else None
        said = _("Put off on another device, until %(day)s", day=day(until.date())) if until else ""
        return Told(entry_id, state, said or _("Put off on another device"), facts)
    return Told(entry_id, state or "gone", _("This is not asked any more: no source tells of it as it did."))


handlers = [stream_for_page, news]
