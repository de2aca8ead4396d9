"""What is new for the users that listen, read from PostgreSQL by one look a second for all of them.

A look reads the rows of `state.suggestions` and `state.decisions` whose transaction is not older than the last look and
older than every transaction that is still open: so whatever commits late is seen late, and never missed. It does not
matter which process wrote, nor whether this one was there: `Last-Event-ID` is the number of a transaction.
Why this and not LISTEN: docs/decisions/0012.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

log = structlog.get_logger()

MOST = 1_000
"""Rows that a listener who comes back is told one by one; beyond, it is quicker to read the lists again."""
LONGEST_QUEUE = 100
"""Looks that a listener may be behind; then it is let go, and comes back with its Last-Event-ID."""

HORIZON = text("select cast(pg_snapshot_xmin(pg_current_snapshot())::text as bigint)")
ROWS = text(
    """
    select 'suggestions' as kind, user_id, tx, cast(null as text) as device, cast(0 as bigint) as seq, body
    from state.suggestions where tx >= :since and tx < :horizon and user_id = any(:users)
    union all
    select 'decision', user_id, tx, device, seq, body
    from state.decisions where tx >= :since and tx < :horizon and user_id = any(:users)
    order by tx, kind, seq limit :most
    """
)


@dataclass(frozen=True)
class Event:
    """A row that is new to somebody."""

    kind: str
    """suggestions or decision."""
    tx: int
    device: str | None
    """That decided, if it said so."""
    body: dict[str, Any]


@dataclass(eq=False)
class Listener:
    """One open stream."""

    user: str
    since: int
    """The first transaction that it was not told of."""
    looks: asyncio.Queue[Sequence[Event] | None] = field(default_factory=asyncio.Queue)
    """What each look found for it; None: the stream ends."""

    def tell(self, found: Sequence[Event] | None) -> None:
        """Put a look's finds in its queue; a listener that is too far behind is let go."""
        if found is not None and self.looks.qsize() >= LONGEST_QUEUE:
            found = None
        self.looks.put_nowait(found)


class News:
    """The looks of one process; none are made while nobody listens."""

    def __init__(self, engine: AsyncEngine, every_s: float) -> None:
        self._engine = engine
        self.every_s = every_s
        self._listeners: set[Listener] = set()
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the process is about to end: streams of any kind do, too."""
        return self._closed

    def listening(self, user: str) -> int:
        """Open streams of a user in this process."""
        return sum(one.user == user for one in self._listeners)

    @asynccontextmanager
    async def listen(self, user: str, since: int | None) -> AsyncIterator[tuple[Listener, Sequence[Event] | None]]:
        """A listener, and what it missed from `since` on; None: too much, or the number is of another database."""
        async with self._engine.connect() as connection:
            horizon = await self._horizon(connection)
            missed: Sequence[Event] | None = ()
            if since is not None:
                found = await _read(connection, since, horizon, [user], MOST + 1)
                missed = found.get(user, ())
                if since > horizon or len(missed) > MOST:
                    missed = None
        listener = Listener(user, horizon)
        if self._closed:
            listener.tell(None)
        self._listeners.add(listener)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield listener, missed
        finally:
            self._listeners.discard(listener)

    def stop(self) -> None:
        """End every stream: the process is about to."""
        self._closed = True
        for one in self._listeners:
            one.tell(None)

    async def close(self) -> None:
        """The same, and no more looks."""
        self.stop()
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    async def _look(self) -> None:
        while self._listeners:
            await asyncio.sleep(self.every_s)
            told = [*self._listeners]
            if not told:
                break
            try:
                async with self._engine.connect() as connection:
                    horizon = await self._horizon(connection)
                    since = min(one.since for one in told)
                    found = await _read(connection, since, horizon, sorted({one.user for one in told}), None)
            except (SQLAlchemyError, OSError) as error:  # the next look reads what this one could not
                log.warning("no_news", error=type(error).__name__)
                continue
            for one in told:
                new = [event for event in found.get(one.user, ()) if event.tx >= one.since]
                one.since = max(one.since, horizon)
                if new:
                    one.tell(new)

    async def _horizon(self, connection: AsyncConnection) -> int:
        return int(await connection.scalar(HORIZON) or 0)


async def _read(
    connection: AsyncConnection, since: int, horizon: int, users: list[str], most: int | None
) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    asked = {"since": since, "horizon": horizon, "users": users, "most": most}
    for row in await connection.execute(ROWS, asked):
        found.setdefault(row.user_id, []).append(Event(row.kind, row.tx, row.device, row.body))
    return found
