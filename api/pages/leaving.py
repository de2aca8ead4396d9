"""/settings/leave, /farewell/{receipt_id}: what will be deleted, the end of an account, and its receipt.

Nothing is deleted by one click: the page counts what there is, says what stays where and until when, and asks for two
words to be typed, in the reader's language. The end itself is that of DELETE /v1/me (api.me); the session goes with it.
The receipt's page needs no session, since nobody has one any more: its address is 122 random bits.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, ServerSentEvent, Template
from litestar.response.sse import ServerSentEventMessage
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.errors import AnyRequest, RateLimitedError, UnavailableError
from api.export.kinds import KINDS
from api.export.rows import snapshot
from api.me import erasure_of, leave
from api.pages.frame import Form, check_form, show
from api.pages.settings import CONTENTS
from api.pages.signing import no_cookie
from api.pages.words import _, marked
from api.services import Caller, Services
from deploy.erasing import stores
from deploy.erasing.requests import Stands
from deploy.erasing.topics import until_gone
from schemas.erasure import TOPICS, How

WORD = marked("delete everything")
"""What is to be typed."""
STAYS = {
    "gigz.rematch.v1": marked("Notes of Gigz to itself to look at one of your lines again"),
    "gigz.digest.v1": marked("Digests on their way to the app"),
    "gigz.rejection.v1": marked("Lines that could not be used, as they were sent"),
}
"""Topic that only expires -> what of a user is in it."""
FILES = text("select count(distinct (import_id, what)) from state.import_pieces where user_id = :user")
LONGEST_WATCH_S = 600.0
"""Then the browser comes again by itself."""
MOST_WATCHING = 50
"""Receipts that one process watches."""


@dataclass(frozen=True)
class Counted:
    """A kind of thing that goes, and how many."""

    kind: str
    about: str
    number: int


@dataclass(frozen=True)
class Stay:
    """What is not deleted but expires."""

    about: str
    until: datetime


@get("/settings/leave", include_in_schema=False)
async def leaving(request: AnyRequest, services: NamedDependency[Services]) -> Template:
    """What goes, what stays, and the word to be typed."""
    return await _page(request, services)


@post("/settings/leave", include_in_schema=False)
async def leave_for_good(request: AnyRequest, services: NamedDependency[Services], data: Form) -> Redirect | Template:
    """Deletes everything if the word was typed; else nothing."""
    check_form(request, services, data)
    typed = data.get("word", "")
    if " ".join(typed.split()).casefold() != str(_(WORD)).casefold():
        wrong = _("Nothing was deleted. Type the words exactly: %(word)s", word=_(WORD))
        return await _page(request, services, typed, wrong)
    try:
        erasure = await leave(services, request.user)
    except UnavailableError:
        wrong = _("Nothing was deleted: something of yours is being written right now. Try again in a moment.")
        return await _page(request, services, typed, wrong, 503)
    return Redirect(f"/farewell/{erasure.receipt_id}", status_code=303, cookies=[no_cookie(request)])


@get("/farewell/{receipt_id:uuid}", include_in_schema=False)
async def farewell(services: NamedDependency[Services], receipt_id: FromPath[UUID]) -> Template:
    """How far it is, and the receipt once it is done. NotFoundError for an address that nobody was given."""
    erasure = await erasure_of(services, receipt_id)
    receipt = erasure.receipt or {}
    found = [
        (one["where"], one["count"], one["until"] and datetime.fromisoformat(one["until"]))
        for one in receipt.get("found", ())
    ]
    context = {"erasure": erasure, "done": erasure.state is Stands.DONE, "found": found}
    return Template("receipt.html", context=context | {"removed": receipt.get("removed", {})})


@get("/farewell/{receipt_id:uuid}/stream", include_in_schema=False)
async def watch(services: NamedDependency[Services], receipt_id: FromPath[UUID]) -> ServerSentEvent:
    """`progress` when it goes on, `done` at the end."""
    erasure = await erasure_of(services, receipt_id)
    events = _events(services, receipt_id, erasure.state)
    first = await anext(events)  # what cannot begin is answered as an error
    return ServerSentEvent(_all(first, events), headers={"x-accel-buffering": "no"})


async def count_kinds(engine: AsyncEngine, user: str) -> list[Counted]:
    """Everything that an export would hold, counted in one snapshot; kinds of which there is nothing are left out."""
    found = []
    async with snapshot(engine, user) as taken:
        for kind in KINDS:
            if kind.table == stores.REJECTIONS:  # of some that may be the user's, some are
                number = sum([len(rows) async for rows in taken.of(kind)])
            else:
                query = FILES if kind.files else text(f"select count(*) from ({kind.query}) counted")  # noqa: S608
                number = int(await taken.connection.scalar(query, {"user": user}) or 0)
            if number:
                found.append(Counted(kind.name, _(CONTENTS[kind.name]), number))
    return found


def stays(now: datetime) -> list[Stay]:
    """What only expires, and when it is gone at the latest: the last message of a topic may be of now."""
    return [Stay(_(STAYS[name]), until_gone(name, now)) for name, place in TOPICS.items() if place.how is How.EXPIRES]


class Watching:
    """Receipts that are watched in this process; whoever asks has no name to be counted by."""

    def __init__(self) -> None:
        self.number = 0


_watching = Watching()


async def _events(services: Services, receipt_id: UUID, stands: Stands) -> AsyncGenerator[ServerSentEventMessage, None]:
    if _watching.number >= MOST_WATCHING:
        raise RateLimitedError(60)
    _watching.number += 1
    try:
        yield ServerSentEventMessage(data="{}", event="ready")
        for _look in range(int(LONGEST_WATCH_S / services.settings.stream_poll_s)):
            if stands is Stands.DONE or services.news.closed:
                break
            await asyncio.sleep(services.settings.stream_poll_s)
            now = (await erasure_of(services, receipt_id)).state
            if now is not stands and now is not Stands.DONE:
                yield ServerSentEventMessage(data="{}", event="progress")
            stands = now
        if stands is Stands.DONE:
            yield ServerSentEventMessage(data="{}", event="done")
    finally:
        _watching.number -= 1


async def _all(
    first: ServerSentEventMessage, rest: AsyncGenerator[ServerSentEventMessage, None]
) -> AsyncIterator[ServerSentEventMessage]:
    async with aclosing(rest):
        yield first
        async for message in rest:
            yield message


async def _page(
    request: AnyRequest, services: Services, typed: str = "", wrong: str = "", status: int = 400
) -> Template:
    caller: Caller = request.user
    return show(
        request,
        services,
        "leave.html",
        status=status if wrong else 200,
        counted=await count_kinds(services.engine, caller.user),
        stays=stays(services.clock()),
        word=_(WORD),
        typed=typed,
        wrong=wrong,
    )


handlers = [leaving, leave_for_good]
of_nobody = [farewell, watch]
