"""How far an import is, as server-sent events read from its row: any process tells of it, whichever works on it.

An event's id is the row's `rev`: whoever comes back with Last-Event-ID is told what changed since, and nothing twice.
"""

import asyncio
from collections.abc import AsyncGenerator
from uuid import UUID

import orjson
from litestar.response.sse import ServerSentEventMessage
from sqlalchemy import text

from api.importing.leases import AT_WORK
from api.services import Caller, Services

MOST_FOLLOWING = 10
"""Streams of one user, in one process."""
LOOKS_OF_SILENCE = 15
"""Then a comment is sent, so that proxies between keep the connection."""
PLACE = text("select state, rev, reached, total from state.imports where import_id = :id and user_id = :user")


async def told_as_it_goes(
    services: Services, caller: Caller, import_id: UUID, seen: int | None
) -> AsyncGenerator[ServerSentEventMessage, None]:
    """Until the import rests, the token or the process ends."""
    following = services.imports.following
    following[caller.user] = following.get(caller.user, 0) + 1
    silent = 0
    try:
        while services.clock() < caller.claims.expires and not services.news.closed:
            async with services.engine.connect() as connection:
                row = (await connection.execute(PLACE, {"id": import_id, "user": caller.user})).one_or_none()
            if row is None:
                return
            rests = row.state not in AT_WORK
            if row.rev != seen or rests:
                seen, silent = row.rev, 0
                data = {"state": row.state, "done": row.reached, "total": row.total}
                kind = "rest" if rests else "progress"
                yield ServerSentEventMessage(data=orjson.dumps(data).decode(), event=kind, id=seen)
            else:
                silent += 1
                if silent % LOOKS_OF_SILENCE == 0:
                    yield ServerSentEventMessage(data=None, comment="still here")
            if rests:
                return
            await asyncio.sleep(services.news.every_s)
    finally:
        following[caller.user] -= 1
        if not following[caller.user]:
            del following[caller.user]
