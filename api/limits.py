"""How often a caller may call: the conventions' limits, counted in PostgreSQL for all processes together.

In any 60 s, whatever the number of processes, no more than the limit: a row of `state.rates` keeps when each call of a
caller was let through. A call that is refused is not counted, so that whoever hammers comes in again.

Cost     calls that wait at the same moment are counted by one statement, on a connection of its own; the table is
         unlogged, so nothing waits for a disk. Who is known to be full is refused without asking. Shares that each
         process leases were not taken: what one process holds and does not use, another refuses. Figures:
         docs/api/security.md.
Away     without PostgreSQL, or after WAIT_S without an answer, a process decides by what it let through itself, and
         asks again after ALONE_S: for that long N processes let through N times the limit at most. Refusing instead
         would turn a slow database into an outage; letting all through would open sign-in to guessing.

Rows are named by a hash of kind and caller, and are removed two minutes after the last call (api.tidying).
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

log = structlog.get_logger()

A_MINUTE = {"address": 100, "user": 300, "search": 20, "import": 10, "export": 10, "sign_in": 5}
"""Requests a minute: of an address that is not signed in, of a user, and of the dearer kinds."""
WINDOW_MS = 60_000
WAIT_S = 2.0
"""A process that is busy, not PostgreSQL, answers late by a few tenths."""
GIVE_UP_S = 10.0
"""Then the statement itself is given up, and its connection."""
ALONE_S = 5.0
LONGEST_CONNECTION_S = 1_800.0

COUNT = """
insert into state.rates as r (caller, taken, asked, most, granted)
select caller, array_fill(cast(%(now)s as bigint), array[least(asked, most)]), asked, most, least(asked, most)
from unnest(cast(%(callers)s as uuid[]), cast(%(asked)s as int[]), cast(%(most)s as int[])) as a (caller, asked, most)
order by caller
on conflict (caller) do update set (taken, asked, most, granted, updated_at) = (
    select kept || array_fill(cast(%(now)s as bigint), array[fits]), excluded.asked, excluded.most, fits, now()
    from (
        select kept, greatest(0, least(excluded.asked, excluded.most - cardinality(kept))) as fits
        from (
            select coalesce(array_agg(at order by at), '{}') as kept
            from unnest(r.taken) as at where at > %(now)s - %(window)s
        ) k
    ) f
)
returning caller, granted, cardinality(taken) as taken, taken[1] as oldest
"""
"""In the order of the callers, so that two processes never wait for each other crosswise. For the driver itself:
SQLAlchemy's way to it takes as much processor time again as the statement does.
"""


@dataclass(frozen=True)
class Share:
    """What a caller has of a limit."""

    most: int
    left: int
    wait_s: int
    """0: the call may go on."""
    reset_s: int
    """Until the oldest call counts no more."""


@dataclass
class _Asking:
    """Calls of one caller that wait for the next statement."""

    most: int
    waiting: list[asyncio.Future[tuple[bool, int, int] | None]]


class Limits:
    """Of one process. `engine` None: it counts for itself alone."""

    def __init__(
        self, clock: Callable[[], datetime], engine: AsyncEngine | None = None, timer: Callable[[], float] = monotonic
    ) -> None:
        self._clock = clock
        self._engine = engine
        self._timer = timer
        self._own: dict[UUID, deque[int]] = {}
        """When this process let each caller through."""
        self._full: dict[UUID, int] = {}
        """Until when nobody of the caller is let through, whatever any process does."""
        self._swept = 0
        self._asking: dict[UUID, _Asking] = {}
        self._counting: asyncio.Task[None] | None = None
        self._connection: AsyncConnection | None = None
        self._connected = 0.0
        self._alone_until = float("-inf")

    async def take(self, kind: str, who: str) -> Share:
        """One call more of this caller, if it fits."""
        most = A_MINUTE[kind]
        caller, now = name_of(kind, who), self._now()
        self._sweep(now)
        own = self._kept(caller, now)
        full = max(self._full.get(caller, 0), own[0] + WINDOW_MS if len(own) >= most else 0)
        if now < full:
            return _share(most, False, most, full, now)
        told = None
        if self._engine is not None and self._timer() >= self._alone_until:
            told = await self._ask(caller, most)
        if told is None:  # there was a wait in between: others of this process may have come in
            now, own = self._now(), self._kept(caller, self._now())
            fits = len(own) < most
            told = (fits, len(own) + fits, own[0] if own else now)
        fits, taken, oldest = told
        if fits:
            self._own.setdefault(caller, deque()).append(now)
        else:
            self._full[caller] = oldest + WINDOW_MS
        return _share(most, fits, taken, oldest + WINDOW_MS, now)

    async def close(self) -> None:
        """Give the connection back; who waits decides alone."""
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.gather(self._counting, return_exceptions=True)
        await self._let_go()

    def _now(self) -> int:
        return int(self._clock().timestamp() * 1000)

    def _kept(self, caller: UUID, now: int) -> deque[int]:
        own = self._own.get(caller)
        if own is None:
            return deque()
        while own and own[0] <= now - WINDOW_MS:
            own.popleft()
        return own

    def _sweep(self, now: int) -> None:
        """Once a minute: memory is bounded by the callers of two."""
        if abs(now - self._swept) < WINDOW_MS:
            return
        self._swept = now
        self._own = {caller: own for caller in list(self._own) if (own := self._kept(caller, now))}
        self._full = {caller: until for caller, until in self._full.items() if until > now}

    async def _ask(self, caller: UUID, most: int) -> tuple[bool, int, int] | None:
        """Whether it fits, how many there are, and when the oldest was. None: PostgreSQL does not say in time."""
        answer: asyncio.Future[tuple[bool, int, int] | None] = asyncio.get_running_loop().create_future()
        self._asking.setdefault(caller, _Asking(most, [])).waiting.append(answer)
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._count())
        done, _ = await asyncio.wait({answer}, timeout=WAIT_S)
        if done:
            return answer.result()
        answer.cancel()
        self._go_alone("no answer in time")
        return None

    async def _count(self) -> None:
        while self._asking:
            asking, self._asking = self._asking, {}
            found: dict[UUID, tuple[int, int, int]] = {}
            try:
                async with asyncio.timeout(GIVE_UP_S):
                    connection = await self._connect()
                    told = {
                        "now": self._now(),
                        "window": WINDOW_MS,
                        "callers": list(asking),
                        "asked": [len(one.waiting) for one in asking.values()],
                        "most": [one.most for one in asking.values()],
                    }
                    answer = await connection.execute(COUNT, told, prepare=True)
                    found = {row[0]: row[1:] for row in await answer.fetchall()}
            except (psycopg.Error, SQLAlchemyError, OSError, TimeoutError) as error:
                self._go_alone(type(error).__name__)
                await self._let_go()
            finally:  # also when it is cancelled: nobody waits for ever
                for caller, one in asking.items():
                    granted, taken, oldest = found.get(caller, (0, 0, 0))
                    for place, waiting in enumerate(one.waiting):
                        if not waiting.done():
                            waiting.set_result((place < granted, taken, oldest) if caller in found else None)

    def _go_alone(self, why: str) -> None:
        if self._timer() >= self._alone_until:
            log.warning("limits_alone", why=why, seconds=ALONE_S)
        self._alone_until = self._timer() + ALONE_S

    async def _connect(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        assert self._engine is not None
        if self._connection is not None and self._timer() - self._connected > LONGEST_CONNECTION_S:
            await self._let_go()
        if self._connection is None:
            self._connection = await self._engine.connect()
            self._connected = self._timer()
            # One round trip for each statement, not three.
            await self._connection.execution_options(isolation_level="AUTOCOMMIT")
        driver: Any = (await self._connection.get_raw_connection()).driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)
        return driver

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                async with asyncio.timeout(WAIT_S):
                    await connection.invalidate()
                    await connection.close()
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("not_closed", why=type(error).__name__)


def name_of(kind: str, who: str) -> UUID:
    """A row's name: the table holds neither addresses nor ids."""
    return UUID(bytes=hashlib.sha256(f"gigz.rate\n{kind}\n{who}".encode("utf-8", "surrogatepass")).digest()[:16])


def _share(most: int, fits: bool, taken: int, until: int, now: int) -> Share:
    seconds = max(1, -(-(until - now) // 1000))
    return Share(most, max(0, most - taken), 0 if fits else seconds, seconds)
