"""What two users are to each other: rows of `state.follows` and `state.blocks`, changed under one lock for the pair.

Both users are asked of in the ledger, in the transaction that writes: a row that names somebody who was erased is not
written. Whoever asked is answered as ever; to tell would tell that there was somebody.

Errors
    NotFoundError    a request that is not there
    ConflictError    details are the state that stands in the way
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import ConflictError, Detail, NotFoundError
from deploy.erasing import ledger

MOST = 2_000
"""Follows of one user, and blocks: more are a program's."""

LOCK = text(
    """
    select pg_advisory_xact_lock(
        hashtextextended('follow ' || least(:user, :other) || '/' || greatest(:user, :other), 0))
    """
)
STANDS = text(
    """
    select exists (select from state.follows where user_id = :user and other_id = :other) as mine,
        exists (select from state.follows where user_id = :other and other_id = :user) as theirs,
        exists (select from state.blocks where user_id = :user and other_id = :other) as blocked
    """
)
COUNT = text("select count(*) from state.follows where user_id = :user")
COUNT_BLOCKS = text("select count(*) from state.blocks where user_id = :user")
FOLLOW = text("insert into state.follows (user_id, other_id) values (:user, :other) on conflict do nothing")
TAKE_UP = text(
    """
    update state.follows set declined_at = null, updated_at = now()
    where user_id = :other and other_id = :user and declined_at is not null
    """
)
UNFOLLOW = text("delete from state.follows where user_id = :user and other_id = :other")
DECLINE = text(
    """
    update state.follows set declined_at = :now, updated_at = now()
    where user_id = :other and other_id = :user and declined_at is null
    """
)
BLOCK = text("insert into state.blocks (user_id, other_id) values (:user, :other) on conflict do nothing")
UNBLOCK = text("delete from state.blocks where user_id = :user and other_id = :other")


class Stand(StrEnum):
    """What another is to a user, as far as the user may know."""

    NONE = "none"
    REQUESTED = "requested"
    FRIENDS = "friends"
    BLOCKED = "blocked"


async def follow(connection: AsyncConnection, user: str, other: str) -> Stand:
    """Ask to follow, or answer a request by following."""
    erased, stands = await _begin(connection, user, other)
    if stands.blocked:
        raise ConflictError(
            f"You block this user. Remedy: DELETE /v1/blocks/{other}, then follow.",
            [Detail(field="state", message=Stand.BLOCKED.value)],
        )
    if not stands.mine and not erased:
        await _within(connection, COUNT, user, "follows")
        await connection.execute(FOLLOW, {"user": user, "other": other})
        await connection.execute(TAKE_UP, {"user": user, "other": other})
    return Stand.FRIENDS if stands.theirs else Stand.REQUESTED


async def unfollow(connection: AsyncConnection, user: str, other: str, now: datetime) -> Stand:
    """Take a request back, or end a friendship; the other's wish is not to come back as a request."""
    _, stands = await _begin(connection, user, other)
    if stands.mine:
        await connection.execute(UNFOLLOW, {"user": user, "other": other})
        await connection.execute(DECLINE, {"user": user, "other": other, "now": now})
    return Stand.BLOCKED if stands.blocked else Stand.NONE


async def accept(connection: AsyncConnection, user: str, other: str) -> Stand:
    """Follow whoever asked. NotFoundError when nobody of that id does."""
    _, stands = await _begin(connection, user, other)
    if not stands.theirs or stands.blocked:
        raise _no_request(other)
    return await follow(connection, user, other)


async def decline(connection: AsyncConnection, user: str, other: str, now: datetime) -> Stand:
    """Do not show the request any more; the other is not told."""
    _, stands = await _begin(connection, user, other)
    if not stands.theirs or stands.blocked:
        raise _no_request(other)
    if stands.mine:
        raise ConflictError(
            f"You are friends. Remedy: DELETE /v1/follows/{other} ends it.",
            [Detail(field="state", message=Stand.FRIENDS.value)],
        )
    await connection.execute(DECLINE, {"user": user, "other": other, "now": now})
    return Stand.NONE


async def block(connection: AsyncConnection, user: str, other: str, now: datetime) -> Stand:
    """End whatever there is, and hear nothing of the other any more."""
    erased, stands = await _begin(connection, user, other)
    if not stands.blocked and not erased:
        await _within(connection, COUNT_BLOCKS, user, "blocks")
        await connection.execute(BLOCK, {"user": user, "other": other})
        await connection.execute(UNFOLLOW, {"user": user, "other": other})
        await connection.execute(DECLINE, {"user": user, "other": other, "now": now})
    return Stand.BLOCKED


async def unblock(connection: AsyncConnection, user: str, other: str) -> Stand:
    """Hear of the other again, from the next request on."""
    _, stands = await _begin(connection, user, other)
    if stands.blocked:
        await connection.execute(UNBLOCK, {"user": user, "other": other})
    return Stand.REQUESTED if stands.mine else Stand.NONE


@dataclass(frozen=True)
class _Stands:
    """The rows of a pair, read under its lock."""

    mine: bool
    theirs: bool
    blocked: bool


async def _begin(connection: AsyncConnection, user: str, other: str) -> tuple[bool, _Stands]:
    """Whether the other was erased, and how the two stand."""
    erased = await ledger.erased_among(connection, {other})
    pair = {"user": user, "other": other}
    await connection.execute(LOCK, pair)
    row = (await connection.execute(STANDS, pair)).one()
    return bool(erased), _Stands(row.mine, row.theirs, row.blocked)


async def _within(connection: AsyncConnection, count: TextClause, user: str, what: str) -> None:
    number = int(await connection.scalar(count, {"user": user}) or 0)
    if number >= MOST:
        raise ConflictError(
            f"You have {number} {what}; {MOST} is the limit. Remedy: take some back first.",
            [Detail(field=what, message=str(number))],
        )


def _no_request(other: str) -> NotFoundError:
    return NotFoundError(
        "request", f"There is no request of {other}. GET /v1/follows?direction=in lists those there are."
    )
