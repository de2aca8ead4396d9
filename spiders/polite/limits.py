"""How often a host may be asked, and a key be used, by all processes together: kept in Postgres.

    enter   wait for a turn: a free connection, the host's pace, what is left of the key's day; one statement settles
            all three, by the database's clock, or none
    leave   give the connection back; one that is not given back, because its process was killed, runs out by itself
    pause   nobody asks the host for a while: it said Retry-After

Between two requests to a host lies the longer of the paces of the two that ask. Postgres away is waited for, and never
taken as leave to ask.

Errors
    QuotaUsed      the key's day is used up
    AskedToWait    the host wants to be left alone for longer than a crawl waits
    LimitsAway     Postgres did not answer within `retry_deadline_s`
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from scrapy.exceptions import IgnoreRequest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from spiders.formats.base import Clock, Left

LONGEST_WAIT_S = 120.0
"""A server that wants to be left alone for longer is: the run fails, and a later one goes on."""
LONGEST_PAUSE_S = 86_400.0
"""What a Retry-After is believed at most: one of years would close a host for good."""
LOOK_S = 0.25
"""How often it is looked whether a connection came free, or the crawl is ending."""
STATEMENT_S = 10.0
"""A statement that takes longer is given up: Postgres counts as away."""
LEASE_MARGIN_S = 15.0
"""A connection is held this much longer than a page may take, and then counts as that of a process that is gone."""

ENTER = text("""
WITH paced AS (
    INSERT INTO state.hosts AS h (host, next_at, every_s)
    SELECT CAST(:host AS text), clock_timestamp() + CAST(:every AS float) * interval '1 second', CAST(:every AS float)
    WHERE (SELECT count(*) FROM state.host_leases WHERE host = :host AND expires_at > clock_timestamp()) < :at_once
      AND (CAST(:a_day AS integer) IS NULL OR coalesce(
          (SELECT used FROM state.quotas WHERE key = :key AND day = (now() AT TIME ZONE 'UTC')::date), 0) < :a_day)
    ON CONFLICT (host) DO UPDATE SET
        next_at = clock_timestamp() + CAST(:every AS float) * interval '1 second',
        every_s = excluded.every_s, updated_at = now()
    WHERE clock_timestamp() >= h.next_at + greatest(excluded.every_s - h.every_s, 0) * interval '1 second'
    RETURNING h.host
), leased AS (
    INSERT INTO state.host_leases AS l (host, slot, holder, expires_at)
    SELECT host, (
        SELECT min(free) FROM generate_series(0, CAST(:at_once AS integer) - 1) AS free WHERE NOT EXISTS (
            SELECT FROM state.host_leases AS held
            WHERE held.host = :host AND held.slot = free AND held.expires_at > clock_timestamp())
    ), CAST(:holder AS text), clock_timestamp() + CAST(:lease AS float) * interval '1 second'
    FROM paced
    ON CONFLICT (host, slot) DO UPDATE SET
        holder = excluded.holder, expires_at = excluded.expires_at, updated_at = now()
    WHERE l.expires_at <= clock_timestamp()
    RETURNING slot
), counted AS (
    INSERT INTO state.quotas AS q (key, day, used)
    SELECT CAST(:key AS text), (now() AT TIME ZONE 'UTC')::date, 1 FROM leased WHERE :key <> ''
    ON CONFLICT (key, day) DO UPDATE SET used = q.used + 1, updated_at = now()
    WHERE CAST(:a_day AS integer) IS NULL OR q.used < :a_day
    RETURNING used
)
SELECT (SELECT slot FROM leased) AS slot,
       (SELECT used FROM counted) AS counted,
       (SELECT used FROM state.quotas WHERE key = :key AND day = (now() AT TIME ZONE 'UTC')::date) AS used,
       (SELECT extract(epoch FROM next_at - clock_timestamp())::float + greatest(:every - every_s, 0)
        FROM state.hosts WHERE host = :host) AS wait
""")
"""A turn, or how long to wait for one. What the last lines read is as it was before the statement."""
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
        slot = await self._enter(host, every_s, at_once, self.quota if counts else Quota(""), leaving)
        try:
            yield
        finally:
            await asyncio.shield(self._leave(host, slot))

    async def _enter(self, host: str, every_s: float, at_once: int, quota: Quota, leaving: Callable[[], bool]) -> int:
        asked = {
            "host": host,
            "every": every_s,
            "at_once": at_once,
            "holder": self._holder,
            "lease": self._lease_s,
            "key": quota.key,
            "a_day": quota.a_day,
        }
        while not leaving():
            row = await self._run(ENTER, asked, leaving)
            slot: int | None = row.slot
            if slot is not None and (not quota.key or row.counted is not None):
                return slot
            if slot is not None:  # another process took the last of the day meanwhile
                await self._leave(host, slot)
            if quota.a_day is not None and (slot is not None or (row.used or 0) >= quota.a_day):
                raise QuotaUsed(self.used_up())
            wait = row.wait if row.wait is not None and row.wait > 0 else LOOK_S
            if wait > LONGEST_WAIT_S + every_s:
                until = self._clock() + timedelta(seconds=wait)
                raise AskedToWait(
                    f"{host} asked to be left alone until {until:%Y-%m-%d %H:%M:%S} UTC. Remedy: crawl after that."
                )
            await pause(wait, leaving)
        raise Left("the crawl is ending")

    async def _leave(self, host: str, slot: int) -> None:
        with suppress(SQLAlchemyError, OSError, TimeoutError):  # it runs out by itself
            async with asyncio.timeout(STATEMENT_S), self._engine.begin() as connection:
                await connection.execute(LEAVE, {"host": host, "slot": slot, "holder": self._holder})

    async def pause(self, host: str, seconds: float, every_s: float, leaving: Callable[[], bool]) -> None:
        """No process asks this host for so long."""
        seconds = min(seconds, LONGEST_PAUSE_S)
        await self._run(PAUSE, {"host": host, "seconds": seconds, "every": every_s}, leaving)

    async def use_up(self, leaving: Callable[[], bool]) -> None:
        """The source itself said that nothing is left of the key's day."""
        if self.quota.key:
            await self._run(USED_UP, {"key": self.quota.key, "a_day": self.quota.a_day}, leaving)

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

    async def _run(self, statement: Any, values: dict[str, Any], leaving: Callable[[], bool]) -> Any:
        """The one row of a statement, None when it gives none; Postgres away is waited for."""
        loop = asyncio.get_running_loop()
        began, wait = loop.time(), LOOK_S
        while True:
            try:
                async with asyncio.timeout(STATEMENT_S), self._engine.begin() as connection:
                    result = await connection.execute(statement, values)
                    return result.one() if result.returns_rows else None
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
