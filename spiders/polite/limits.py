"""How often a host may be asked, and a key be used, by all processes together: kept in Postgres.

    enter   wait for a turn: a free connection, the host's pace, what is left of the key's day; one transaction settles
            all three, by the database's clock, or none
    leave   give the connection back; one that is not given back, because its process was killed, runs out by itself
    pause   nobody asks the host for a while: it said Retry-After

First come, first served: who asks takes a number (a lease that waits), and the lowest number has the next turn; one
whose process does not look for it in time is passed over. Between two requests to a host lies the longer of the paces
of the two that ask. Postgres away is waited for, and never taken as leave to ask.

Errors
    QuotaUsed      the key's day is used up
    AskedToWait    the host wants to be left alone for longer than a crawl waits
    LimitsAway     Postgres did not answer within `retry_deadline_s`
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scrapy.exceptions import IgnoreRequest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from spiders.formats.base import Clock, Left

LONGEST_WAIT_S = 120.0
"""A server that wants to be left alone for longer is: the run fails, and a later one goes on."""
LONGEST_PAUSE_S = 86_400.0
"""What a Retry-After is believed at most: one of years would close a host for good."""
LOOK_S = 0.25
"""How often it is looked whether a connection came free, or the crawl is ending."""
STATEMENT_S = 10.0
"""A statement that takes longer is given up: Postgres counts as away."""
WAITING_S = 2.0
"""Who waits for a turn looks at least this often, and is passed over when it is that late."""
LEASE_MARGIN_S = 15.0
"""A connection is held this much longer than a page may take, and then counts as that of a process that is gone."""

ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('gigz host ' || CAST(:host AS text), 0))")
"""Turns of one host are settled one after the other."""
LOOK = text("""
WITH here AS MATERIALIZED (SELECT clock_timestamp() AS at),
gone AS (
    DELETE FROM state.host_leases AS l USING here
    WHERE l.host = :host AND l.expires_at <= here.at AND l.slot <> CAST(:ticket AS bigint)
), live AS (
    SELECT l.slot, l.waits FROM state.host_leases AS l, here
    WHERE l.host = :host AND (l.expires_at > here.at OR l.slot = CAST(:ticket AS bigint))
), mine AS (
    SELECT coalesce(
        (SELECT slot FROM live WHERE slot = CAST(:ticket AS bigint)),
        greatest((SELECT max(slot) + 1 FROM live), (extract(epoch FROM here.at) * 1e6)::bigint)) AS ticket
    FROM here
)
SELECT mine.ticket,
       (SELECT count(*) FROM live WHERE waits AND slot < mine.ticket) AS ahead,
       (SELECT count(*) FROM live WHERE NOT waits) AS busy,
       (SELECT extract(epoch FROM h.next_at - here.at)::float + greatest(CAST(:every AS float) - h.every_s, 0)
        FROM state.hosts AS h WHERE h.host = :host) AS wait,
       (SELECT used FROM state.quotas WHERE key = :key AND day = (now() AT TIME ZONE 'UTC')::date) AS used
FROM mine, here
""")
"""How a host stands: the number that is mine (0: I have none yet) and how many are before it. A number tells when it
was taken, so that none is given twice."""
HOLD = text("""
INSERT INTO state.host_leases (host, slot, holder, waits, expires_at)
VALUES (:host, :ticket, :holder, :waits, clock_timestamp() + CAST(:lease AS float) * interval '1 second')
ON CONFLICT (host, slot) DO UPDATE SET
    waits = excluded.waits, expires_at = excluded.expires_at, updated_at = now()
""")
ASKED = text("""
INSERT INTO state.hosts AS h (host, next_at, every_s)
VALUES (:host, clock_timestamp() + CAST(:every AS float) * interval '1 second', :every)
ON CONFLICT (host) DO UPDATE SET next_at = excluded.next_at, every_s = excluded.every_s, updated_at = now()
""")
COUNT = text("""
INSERT INTO state.quotas AS q (key, day, used) VALUES (:key, (now() AT TIME ZONE 'UTC')::date, 1)
ON CONFLICT (key, day) DO UPDATE SET used = q.used + 1, updated_at = now()
WHERE CAST(:a_day AS integer) IS NULL OR q.used < :a_day
RETURNING used
""")
LEAVE = text("DELETE FROM state.host_leases WHERE host = :host AND slot = :slot AND holder = :holder")
PAUSE = text("""
INSERT INTO state.hosts AS h (host, next_at, every_s)
VALUES (:host, clock_timestamp() + CAST(:seconds AS float) * interval '1 second', :every)
ON CONFLICT (host) DO UPDATE SET
    next_at = greatest(h.next_at, clock_timestamp() + CAST(:seconds AS float) * interval '1 second'), updated_at = now()
""")
USED_UP = text("""
INSERT INTO state.quotas AS q (key, day, used) VALUES (:key, (now() AT TIME ZONE 'UTC')::date, :a_day)
ON CONFLICT (key, day) DO UPDATE SET used = greatest(q.used, excluded.used), updated_at = now()
""")


class QuotaUsed(Left):
    """No request with this key any more today."""


class AskedToWait(IgnoreRequest):
    """The host said when it wants to be asked again."""


class LimitsAway(Left):
    """Nobody can say whether the host may be asked."""


@dataclass(frozen=True)
class Quota:
    """How often a key may be used in a day (UTC)."""

    key: str
    """The setting's name and a hash of the key, as the table has it; empty: nothing is counted."""
    a_day: int | None = None
    told: str = ""
    """What people know it by."""


def quota_of(setting: str, key: str, a_day: int | None, name: str) -> Quota:
    """The quota of a key; of a spider where its source wants no key."""
    hashed = hashlib.sha256(key.encode()).hexdigest()[:16] if key else "-"
    if a_day is None:
        return Quota("")
    return Quota(f"{setting or name}:{hashed}", a_day, f"GIGZ_{setting.upper()}" if setting else name)


@dataclass
class _Turn:
    """A request that wants to go out."""

    host: str
    every_s: float
    at_once: int
    quota: Quota
    ticket: int = 0
    """Its number; 0: none yet."""
    entered: bool = False
    used_up: bool = False
    paused_s: float = 0.0
    """Until the host may be asked by anybody."""
    wait_s: float = 0.0


class Limits:
    """The turns of one run."""

    def __init__(
        self,
        engine: AsyncEngine,
        holder: str,
        quota: Quota,
        *,
        clock: Clock,
        deadline_s: float,
        lease_s: float,
    ) -> None:
        self.quota = quota
        self._engine = engine
        self._holder = holder
        self._clock = clock
        self._deadline_s = deadline_s
        self._lease_s = lease_s + LEASE_MARGIN_S

    @asynccontextmanager
    async def turn(
        self, host: str, every_s: float, at_once: int, *, counts: bool, leaving: Callable[[], bool]
    ) -> AsyncIterator[None]:
        """While it is open, one request may be under way. `counts`: the key goes with it.

        Left when the crawl is ending, and the errors above.
        """
        turn = _Turn(host, every_s, at_once, self.quota if counts else Quota(""))
        try:
            await self._enter(turn, leaving)
            yield
        finally:
            await asyncio.shield(self._leave(turn))

    async def _enter(self, turn: "_Turn", leaving: Callable[[], bool]) -> None:
        async def look(connection: AsyncConnection) -> None:
            await self._look(connection, turn)

        while not leaving():
            await self._run(look, leaving)
            if turn.used_up:
                raise QuotaUsed(self.used_up())
            if turn.entered:
                return
            if turn.paused_s > LONGEST_WAIT_S + turn.every_s:
                until = self._clock() + timedelta(seconds=turn.paused_s)
                raise AskedToWait(
                    f"{turn.host} asked to be left alone until {until:%Y-%m-%d %H:%M:%S} UTC. Remedy: crawl after that."
                )
            await pause(turn.wait_s, leaving)
        raise Left("the crawl is ending")

    async def _look(self, connection: AsyncConnection, turn: "_Turn") -> None:
        """Enter, or wait on; one transaction."""
        quota = turn.quota
        asked = {"host": turn.host, "every": turn.every_s}
        used = {"key": quota.key, "a_day": quota.a_day}
        await connection.execute(ALONE, {"host": turn.host})
        row = (await connection.execute(LOOK, asked | {"ticket": turn.ticket, "key": quota.key})).one()
        turn.entered, turn.paused_s = False, max(0.0, row.wait or 0.0)
        turn.used_up = quota.a_day is not None and (row.used or 0) >= quota.a_day
        if turn.used_up:
            return
        if not row.ahead and row.busy < turn.at_once and not turn.paused_s:
            if quota.key and await connection.scalar(COUNT, used) is None:
                turn.used_up = True  # a process that asks another host with this key was quicker
                return
            await connection.execute(ASKED, asked)
            turn.entered, held_s = True, self._lease_s
        else:
            turn.wait_s = min(turn.paused_s + row.ahead * turn.every_s or LOOK_S, WAITING_S)
            held_s = turn.wait_s + WAITING_S
        turn.ticket = row.ticket
        held = {"host": turn.host, "ticket": turn.ticket, "holder": self._holder}
        await connection.execute(HOLD, held | {"waits": not turn.entered, "lease": held_s})

    async def _leave(self, turn: "_Turn") -> None:
        if not turn.ticket:
            return
        with suppress(SQLAlchemyError, OSError, TimeoutError):  # it runs out by itself
            async with asyncio.timeout(STATEMENT_S), self._engine.begin() as connection:
                await connection.execute(LEAVE, {"host": turn.host, "slot": turn.ticket, "holder": self._holder})

    async def pause(self, host: str, seconds: float, every_s: float, leaving: Callable[[], bool]) -> None:
        """No process asks this host for so long."""
        seconds = min(seconds, LONGEST_PAUSE_S)
        paused = {"host": host, "seconds": seconds, "every": every_s}
        await self._run(lambda connection: connection.execute(PAUSE, paused), leaving)

    async def use_up(self, leaving: Callable[[], bool]) -> None:
        """The source itself said that nothing is left of the key's day."""
        if self.quota.key:
            used = {"key": self.quota.key, "a_day": self.quota.a_day}
            await self._run(lambda connection: connection.execute(USED_UP, used), leaving)

    async def left(self) -> int | None:
        """Requests that are left of the key's day; None: any number."""
        if self.quota.a_day is None:
            return None
        query = "SELECT used FROM state.quotas WHERE key = :key AND day = (now() AT TIME ZONE 'UTC')::date"
        async with self._engine.connect() as connection:
            used = await connection.scalar(text(query), {"key": self.quota.key})
        return max(0, self.quota.a_day - (used or 0))

    def used_up(self, said: str = "") -> str:
        """Why nothing more is asked today."""
        now = self._clock().astimezone(UTC)
        tomorrow = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
        most = self.quota.a_day
        limit = f"{most:,} of {most:,} requests of this day" if most and not said else "what the source allows a day"
        return (
            f"the quota of {self.quota.told or 'the source'} is used up{said and f' ({said})'}: {limit} (UTC). "
            f"It is renewed at {tomorrow:%Y-%m-%d %H:%M} UTC; a crawl after that goes on."
        )

    async def _run(self, work: Callable[[AsyncConnection], Awaitable[object]], leaving: Callable[[], bool]) -> None:
        """In one transaction; Postgres away is waited for."""
        loop = asyncio.get_running_loop()
        began, wait = loop.time(), LOOK_S
        while True:
            try:
                async with asyncio.timeout(STATEMENT_S), self._engine.begin() as connection:
                    await work(connection)
                return
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                why = str(getattr(error, "orig", error)) or type(error).__name__
                if leaving() or loop.time() - began + wait > self._deadline_s:
                    raise LimitsAway(
                        f"PostgreSQL keeps the limits of hosts and did not answer for {self._deadline_s:g} s: {why}. "
                        "Remedy: bring it back and crawl again; no host is asked without it."
                    ) from error
            await pause(wait, leaving)
            wait = min(2 * wait, 5.0)


async def pause(seconds: float, leaving: Callable[[], bool]) -> None:
    """Sleep, but not on while the crawl is ending."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while (left := until - loop.time()) > 0 and not leaving():  # noqa: ASYNC110 - Scrapy has no event of its ending
        await asyncio.sleep(min(left, LOOK_S))
