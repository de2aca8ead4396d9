"""POST, DELETE /v1/follows/{user}; .../accept, .../decline; GET /v1/follows, GET /v1/friends; /v1/blocks.

What is kept for a repeat of a call names nobody but its caller: the other may be erased one day.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import TAKE, Answer, Cursor, Page, PageMeta, Take, cursor_of, place_of, plain
from api.calls import Call, Key, write_once
from api.errors import Detail, InvalidError, told
from api.friends import relations
from api.friends.relations import Stand
from api.services import Services

_LIST = """
select * from ({rows}) listed
where cast(:before as timestamptz) is null or since < :before or (since = :before and other > :after)
order by since desc, other limit :most
"""


def _list(rows: str) -> TextClause:
    return text(_LIST.format(rows=rows))


OUT = _list(
    """
    select mine.other_id as other, mine.created_at as since from state.follows mine where mine.user_id = :user
        and not exists (select from state.follows theirs
            where theirs.user_id = mine.other_id and theirs.other_id = mine.user_id)
    """
)
IN = _list(
    """
    select theirs.user_id as other, theirs.created_at as since from state.follows theirs
    where theirs.other_id = :user and theirs.declined_at is null
        and not exists (select from state.follows mine
            where mine.user_id = theirs.other_id and mine.other_id = theirs.user_id)
        and not exists (select from state.blocks mine
            where mine.user_id = theirs.other_id and mine.other_id = theirs.user_id)
    """
)
FRIENDS = _list(
    """
    select mine.other_id as other, greatest(mine.created_at, theirs.created_at) as since from state.follows mine
    join state.follows theirs on theirs.user_id = mine.other_id and theirs.other_id = mine.user_id
    where mine.user_id = :user
    """
)
BLOCKED = _list("select other_id as other, created_at as since from state.blocks where user_id = :user")


class Direction(StrEnum):
    """Whose wish."""

    IN = "in"
    OUT = "out"


class Standing(BaseModel):
    """How two users stand, without their names."""

    state: Stand


class Follow(BaseModel):
    """What another user is to you."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user": "u-2", "state": "requested"}]})

    user: str = Field(description="The other's id.")
    state: Stand = Field(
        description="requested: you asked, whether or not anybody hears of it. friends: both follow each other."
    )


class Other(BaseModel):
    """Another user of a list."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user": "u-2", "since": "2026-03-01T12:00:00Z"}]})

    user: str
    since: datetime


OtherUser = Annotated[
    str,
    PathParameter(
        name="other",
        min_length=1,
        max_length=128,
        pattern=r"^[^/\s\x00][^/\x00]*$",
        description="Another user's id; GET /v1/me tells yours.",
    ),
]
Whose = Annotated[
    Direction, QueryParameter(name="direction", description="in: who asks to follow you; out: whom you asked.")
]


class Verb(StrEnum):
    """What a user can do about another."""

    FOLLOW = "follow"
    UNFOLLOW = "unfollow"
    ACCEPT = "accept"
    DECLINE = "decline"
    BLOCK = "block"
    UNBLOCK = "unblock"


async def change(services: Services, user: str, other: str, verb: Verb, key: str | None = None) -> Follow:
    """Do it; what the other is to the user then. InvalidError for oneself, else the errors of `relations`."""
    if other == user:
        raise InvalidError("The request is not valid.", [Detail(field="other", message="is yourself; take another id")])
    now = services.clock()

    async def write(connection: AsyncConnection) -> Standing:
        match verb:
            case Verb.FOLLOW:
                stand = await relations.follow(connection, user, other)
            case Verb.UNFOLLOW:
                stand = await relations.unfollow(connection, user, other, now)
            case Verb.ACCEPT:
                stand = await relations.accept(connection, user, other)
            case Verb.DECLINE:
                stand = await relations.decline(connection, user, other, now)
            case Verb.BLOCK:
                stand = await relations.block(connection, user, other, now)
            case Verb.UNBLOCK:
                stand = await relations.unblock(connection, user, other)
        return Standing(state=stand)

    done = await write_once(services.engine, Call(user, key, [verb.value, other]), Standing, write)
    return Follow(user=other, state=done.state)


@post("/{other:str}", status_code=200, summary="Ask to follow somebody, or follow back", responses=told(400, 409))
async def follow_user(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    other: OtherUser,
    idempotency_key: Key = None,
) -> Answer[Follow]:
    """Answered alike for every id, whether or not somebody has it."""
    return Answer(data=await change(services, user, other, Verb.FOLLOW, idempotency_key))


@delete("/{other:str}", status_code=200, summary="Take a request back, or end a friendship", responses=told(400))
async def unfollow_user(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    other: OtherUser,
    idempotency_key: Key = None,
) -> Answer[Follow]:
    """At once for both: neither sees the other's shows any more. The other is not told."""
    return Answer(data=await change(services, user, other, Verb.UNFOLLOW, idempotency_key))


@post(
    "/{other:str}/accept",
    status_code=200,
    summary="Accept a request: you follow each other",
    responses=told(400, 404, 409, missing=["request"]),
)
async def accept_follow(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    other: OtherUser,
    idempotency_key: Key = None,
) -> Answer[Follow]:
    """From now on each sees what the other shows friends."""
    return Answer(data=await change(services, user, other, Verb.ACCEPT, idempotency_key))


@post(
    "/{other:str}/decline",
    status_code=200,
    summary="Decline a request; the other is not told",
    responses=told(400, 404, 409, missing=["request"]),
)
async def decline_follow(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    other: OtherUser,
    idempotency_key: Key = None,
) -> Answer[Follow]:
    """It is not listed any more. To think better of it, follow."""
    return Answer(data=await change(services, user, other, Verb.DECLINE, idempotency_key))


@get("/", summary="Requests that wait, latest first", responses=told(400))
async def list_requests(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    direction: Whose = Direction.IN,
    take: Take = TAKE,
    cursor: Cursor = None,
) -> Page[Other]:
    """Those to you, without what you declined; or yours, whatever became of them."""
    return await others(services, IN if direction is Direction.IN else OUT, user, take, cursor)


@get("/", summary="Your friends, latest first", responses=told(400))
async def list_friends(
    services: NamedDependency[Services], user: NamedDependency[str], take: Take = TAKE, cursor: Cursor = None
) -> Page[Other]:
    """Whom you follow and who follow you."""
    return await others(services, FRIENDS, user, take, cursor)


@get("/", summary="Whom you block, latest first", responses=told(400))
async def list_blocks(
    services: NamedDependency[Services], user: NamedDependency[str], take: Take = TAKE, cursor: Cursor = None
) -> Page[Other]:
    """They are not told."""
    return await others(services, BLOCKED, user, take, cursor)


@post("/{other:str}", status_code=200, summary="Block somebody", responses=told(400, 409))
async def block_user(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    other: OtherUser,
    idempotency_key: Key = None,
) -> Answer[Follow]:
    """Ends a friendship; their requests reach you no more. They are not told."""
    return Answer(data=await change(services, user, other, Verb.BLOCK, idempotency_key))


@delete("/{other:str}", status_code=200, summary="Block somebody no more", responses=told(400))
async def unblock_user(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    other: OtherUser,
    idempotency_key: Key = None,
) -> Answer[Follow]:
    """You are friends again once both follow anew."""
    return Answer(data=await change(services, user, other, Verb.UNBLOCK, idempotency_key))


async def others(services: Services, query: TextClause, user: str, take: int, cursor: str | None) -> Page[Other]:
    """A part of one of the lists OUT, IN, FRIENDS and BLOCKED. InvalidError for a cursor that is none."""
    before, after = place_of(cursor, str, str) if cursor else (None, None)
    asked: dict[str, Any] = {"user": user, "before": _instant(before), "after": plain("cursor", after)}
    asked |= {"most": take + 1}
    async with services.engine.connect() as connection:
        rows = (await connection.execute(query, asked)).all()
    page = rows[:take]
    more = cursor_of([page[-1].since.isoformat(), page[-1].other]) if len(rows) > take else None
    return Page(
        data=[Other(user=row.other, since=row.since) for row in page], meta=PageMeta(next_cursor=more, take=take)
    )


def _instant(told_at: str | None) -> datetime | None:
    try:
        return None if told_at is None else datetime.fromisoformat(told_at)
    except ValueError as error:
        raise InvalidError(
            "The cursor is not valid.",
            [Detail(field="cursor", message="take meta.next_cursor of the answer before, unchanged")],
        ) from error


_SIGNED_IN: dict[str, Any] = {"opt": {"credential": "bearer"}, "tags": ["friends"]}
follows_router = Router(
    "/v1/follows",
    route_handlers=[follow_user, unfollow_user, accept_follow, decline_follow, list_requests],
    **_SIGNED_IN,
)
friends_router = Router("/v1/friends", route_handlers=[list_friends], **_SIGNED_IN)
blocks_router = Router("/v1/blocks", route_handlers=[block_user, unblock_user, list_blocks], **_SIGNED_IN)
routers = (follows_router, friends_router, blocks_router)
