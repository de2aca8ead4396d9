"""Who works on an import: one process at a time holds its lease in PostgreSQL, and every write of its work checks that.

A process that dies leaves a lease that runs out; another one, or the same started again, goes on from `reached`. One
import of a user is worked on at a time, in the order in which they came.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.erased import refuse_erased
from schemas.tables import ImportState

AT_WORK = (ImportState.FETCHING, ImportState.READING, ImportState.APPLYING, ImportState.UNDOING)
"""States that somebody should be at; the statements below and an index name them, too."""
PUT_OFF = "put off"
"""The holder of an import that nobody is to work on before its lease is over: others of the user go on meanwhile."""

ONE_OF_THE_USER = text(
    """
    select pg_advisory_xact_lock(hashtextextended('imports of ' || user_id, 0))
    from state.imports where import_id = :id
    """
)
CLAIM = text(
    """
    update state.imports i set holder = :me, lease_until = now() + make_interval(secs => :seconds), tries = tries + 1,
        updated_at = now()
    where import_id = :id and state in ('fetching', 'reading', 'applying', 'undoing')
        and coalesce(lease_until < now(), true)
        and not exists (
            select from state.imports other
            where other.user_id = i.user_id and other.import_id <> i.import_id and other.lease_until > now()
                and other.holder <> 'put off'
        )
    returning *
    """
)
RENEW = text(
    """
    update state.imports set lease_until = now() + make_interval(secs => :seconds),
        reached = coalesce(:reached, reached), total = coalesce(:total, total),
        rev = rev + cast(cast(:reached as bigint) is not null as int), updated_at = now()
    where import_id = :id and holder = :me returning import_id
    """
)
HELD = text("select user_id from state.imports where import_id = :id and holder = :me for update")
RELEASE = text(
    "update state.imports set holder = null, lease_until = null, updated_at = now() "
    "where import_id = :id and holder = :me"
)
WAITING = text(
    """
    select import_id from state.imports
    where state in ('fetching', 'reading', 'applying', 'undoing') and coalesce(lease_until < now(), true)
    order by created_at limit 50
    """
)
RESTS = text(
    """
    select state not in ('fetching', 'reading', 'applying', 'undoing')
        or coalesce(holder = 'put off' and lease_until > now(), false)  -- nobody holds it: somebody should
    from state.imports where import_id = :id
    """
)
TOMORROW = text("select ((now() at time zone 'utc')::date + 1)::timestamp at time zone 'utc'")
STEP = text(
    """
    insert into state.import_steps (import_id, user_id, at, who, before, after, why)
    values (:id, :user, :at, :who, cast(:before as state.import_state), cast(:after as state.import_state), :why)
    """
)


class LostLeaseError(Exception):
    """Somebody else works on it, or it is there no more."""


@dataclass(frozen=True)
class Lease:
    """What one process holds of one import."""

    engine: AsyncEngine
    me: str
    seconds: float
    import_id: UUID
    user: str

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only the holder has. LostLeaseError; UnauthorizedError when the user was erased."""
        async with self.engine.begin() as connection:
            if await connection.scalar(HELD, {"id": self.import_id, "me": self.me}) is None:
                raise LostLeaseError
            await refuse_erased(connection, self.user)
            yield connection

    async def renew(self, reached: int | None = None, total: int | None = None) -> None:
        """Hold it for longer, and say how far it is. LostLeaseError."""
        told = {"id": self.import_id, "me": self.me, "seconds": self.seconds, "reached": reached, "total": total}
        async with self.engine.begin() as connection:
            if await connection.scalar(RENEW, told) is None:
                raise LostLeaseError

    async def release(self) -> None:
        """Let it go."""
        async with self.engine.begin() as connection:
            await connection.execute(RELEASE, {"id": self.import_id, "me": self.me})


async def claim(engine: AsyncEngine, me: str, seconds: float, import_id: UUID) -> tuple[Lease, Any] | None:
    """The lease and the import; None when there is nothing to do, or another process or import of the user is at it."""
    async with engine.begin() as connection:
        await connection.execute(ONE_OF_THE_USER, {"id": import_id})
        row = (await connection.execute(CLAIM, {"id": import_id, "me": me, "seconds": seconds})).one_or_none()
    return None if row is None else (Lease(engine, me, seconds, import_id, row.user_id), row)


async def waiting(engine: AsyncEngine) -> list[UUID]:
    """Imports that nobody works on and somebody should, the oldest first."""
    async with engine.connect() as connection:
        return list(await connection.scalars(WAITING))


async def is_at_work(engine: AsyncEngine, import_id: UUID) -> bool:
    """Whether somebody is at it, or should be now."""
    async with engine.connect() as connection:
        return await connection.scalar(RESTS, {"id": import_id}) is False


async def advance(connection: AsyncConnection, import_id: UUID, **values: Any) -> None:
    """Change the import's row; whoever follows its progress is told."""
    names = ", ".join(f"{name} = {_CASTS.get(name, ':{}').format(name)}" for name in values)
    told = {name: orjson.dumps(one).decode() if isinstance(one, dict) else one for name, one in values.items()}
    changed = f"update state.imports set {names}, rev = rev + 1, updated_at = now() where import_id = :id"  # noqa: S608 - our own names
    await connection.execute(text(changed), told | {"id": import_id})


async def put_off(connection: AsyncConnection, import_id: UUID) -> datetime:
    """Let go of it until the next day (UTC) begins, by the database's clock; when that is. Call it with the lease."""
    until: datetime | None = await connection.scalar(TOMORROW)
    assert until is not None
    await advance(connection, import_id, holder=PUT_OFF, lease_until=until, tries=0)
    return until


_JSON = "cast(:{} as jsonb)"
_CASTS = {
    **dict.fromkeys(("wish", "corrections", "dry_run", "error", "options", "counts"), _JSON),
    "state": "cast(:{} as state.import_state)",
}


async def step(
    connection: AsyncConnection,
    import_id: UUID,
    user: str,
    before: ImportState | None,
    after: ImportState,
    at: datetime,
    who: str,
    why: str | None = None,
) -> None:
    """Write down that an import went from one state to another."""
    told = {"id": import_id, "user": user, "before": before and str(before), "after": str(after)}
    await connection.execute(STEP, told | {"at": at, "who": who, "why": why})
