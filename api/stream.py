"""GET /v1/stream: server-sent events of what is new, from any process, resumed by Last-Event-ID.

ready         the stream began; nothing before it is told
suggestions   a set was found, changed or withdrawn
decision      something was decided, on another device where this one has a name (`device`)
reset         too much happened since Last-Event-ID: read the lists again

At least once: an id stands on the last event of a transaction, so whoever comes back is told of a transaction that it
heard half of again. The stream ends with its token; the next one goes on where it ended.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from typing import Annotated, Any

import orjson
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter
from litestar.response import ServerSentEvent
from litestar.response.sse import ServerSentEventMessage
from pydantic import BaseModel, ConfigDict

from api.errors import AnyRequest, RateLimitedError, told
from api.news import Event
from api.services import Caller, Services

MOST_STREAMS = 10
"""Of one user, in one process."""
LOOKS_OF_SILENCE = 15
"""Then a comment is sent, so that proxies between keep the connection."""

LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID", pattern=r"^[0-9]{1,18}$", description="The last id of the stream before: go on there."
    ),
]
OwnDevice = Annotated[
    str | None,
    QueryParameter(
        name="device",
        max_length=64,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="As in X-Device: decisions of this device are left out.",
    ),
]


class StreamEvent(BaseModel):
    """One event, as text/event-stream writes it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 1287,
                    "event": "decision",
                    "data": {
                        "decision_id": "4f6d7a52-9f0e-4a53-8ef2-9f39a0f6a5a1",
                        "entry_id": "e1",
                        "suggestion_id": "8b7cf6a0-3f3e-5d6c-8a92-2a1f0e3b7c11",
                        "concert_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33",
                        "action": "confirmed",
                        "decided_at": "2026-03-01T12:00:00Z",
                    },
                }
            ]
        }
    )

    id: int | None = None
    event: str
    data: dict[str, Any]


@get(
    "/",
    summary="What is new, as it happens (text/event-stream)",
    responses={
        **told(400, 503),
        200: ResponseSpec(
            StreamEvent,
            generate_examples=False,
            media_type="text/event-stream",
            description="Events: ready, suggestions, decision, reset.",
        ),
    },
)
async def stream(
    request: AnyRequest,
    services: NamedDependency[Services],
    last_event_id: LastEventId = None,
    device: OwnDevice = None,
) -> ServerSentEvent:
    """New suggestions, and decisions from your other devices."""
    caller: Caller = request.user
    return await tell(services, caller, device, last_event_id)


async def tell(
    services: Services, caller: Caller, device: str | None = None, last_event_id: str | None = None
) -> ServerSentEvent:
    """The answer that goes on. RateLimitedError where the user has too many of them open."""
    if services.news.listening(caller.user) >= MOST_STREAMS:
        raise RateLimitedError(60)
    since = None if last_event_id is None else int(last_event_id) + 1
    told = events(services, caller, device, since)
    first = await anext(told)  # what cannot begin is answered as an error
    return ServerSentEvent(_all(first, told), headers={"x-accel-buffering": "no", "cache-control": "no-store"})


async def _all(
    first: ServerSentEventMessage, rest: AsyncGenerator[ServerSentEventMessage, None]
) -> AsyncIterator[ServerSentEventMessage]:
    async with aclosing(rest):
        yield first
        async for message in rest:
            yield message


async def events(
    services: Services, caller: Caller, device: str | None, since: int | None
) -> AsyncGenerator[ServerSentEventMessage, None]:
    """Messages until the token ends, the process does, or the listener falls too far behind."""
    silence = LOOKS_OF_SILENCE * services.news.every_s
    async with services.news.listen(caller.user, since) as (listener, missed):
        # As soon as it is there, a listener that hears nothing has a number to come back with.
        begins = "ready" if missed is not None else "reset"
        for message in messages(missed or (), device):
            yield message
        yield ServerSentEventMessage(data="{}", event=begins, id=listener.since - 1)
        while services.clock() < caller.claims.expires:
            try:
                found = await asyncio.wait_for(listener.looks.get(), silence)
            except TimeoutError:
                yield ServerSentEventMessage(data=None, comment="still here")
                continue
            if found is None:
                return
            for message in messages(found, device):
                yield message


def messages(found: Iterable[Event], device: str | None) -> Iterable[ServerSentEventMessage]:
    """Events as they are sent; the last of each transaction carries its number."""
    told = [event for event in found if event.kind != "decision" or device is None or event.device != device]
    for place, event in enumerate(told):
        last = place + 1 == len(told) or told[place + 1].tx != event.tx
        data = orjson.dumps(_decision(event.body) if event.kind == "decision" else _suggestions(event.body)).decode()
        yield ServerSentEventMessage(data=data, event=event.kind, id=event.tx if last else None)


def _decision(body: dict[str, Any]) -> dict[str, Any]:
    names = ("decision_id", "entry_id", "suggestion_id", "concert_id", "action", "decided_at", "until", "together")
    return {name: body[name] for name in names if body.get(name) is not None}


def _suggestions(body: dict[str, Any]) -> dict[str, Any]:
    found = body.get("suggestions") or []
    told = {name: body.get(name) for name in ("entry_id", "rev", "reason", "decision") if body.get(name) is not None}
    told |= {"origin": body.get("origin", "entry"), "suggestions": len(found)}
    if found:
        best = found[0]
        told["best"] = {
            "suggestion_id": best["suggestion_id"],
            "concert_id": best["concert_id"],
            "artist": best["concert"]["artist"],
            "night": best["concert"]["night"],
            "confidence": best["confidence"],
            "band": best["band"],
        }
    return told


router = Router("/v1/stream", route_handlers=[stream], opt={"credential": "bearer"}, tags=["suggestions"])
