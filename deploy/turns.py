"""How often a host may be asked, and a key be used, by all processes together: kept in Postgres.

A turn is one request. Looking for it settles the host's pace, a free connection and what is left of the key's day in
one transaction, by the database's clock, or none of them. First come, first served: who asks takes a number (a lease
that waits), and the lowest number has the next turn; one whose process does not look for it in time is passed over.
Between two requests to a host lies the longer of the paces of the two that ask.

Spiders wait for turns in `spiders.polite.limits`, imports of a service's list in `api.importing.turns`: whoever asks
with the same key counts in the same row.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

LONGEST_WAIT_S = 120.0
"""A server that wants to be left alone for longer is, and somebody comes back later."""
LONGEST_PAUSE_S = 86_400.0
"""What a Retry-After is believed at most: one of years would close a host for good."""
LOOK_S = 0.25
"""How often it is looked whether a connection came free."""
WAITING_S = 2.0
"""Who waits for a turn looks at least this often, and is passed over when it is that late."""
LEASE_MARGIN_S = 15.0
"""A connection is held this much longer than a page may take, and then counts as that of a process that is gone."""
_A_DAY = re.compile(rb"quota|daily|(?:a|per) day", re.IGNORECASE)

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
USED = text("SELECT used FROM state.quotas WHERE key = :key AND day = (now() AT TIME ZONE 'UTC')::date")


@dataclass(frozen=True)
class Quota:
    """How often a key may be used in a day (UTC)."""

    key: str
    """The setting's name and a hash of the key, as the table has it; empty: nothing is counted."""
    a_day: int | None = None
    told: str = ""
    """What people know it by."""


def quota_of(setting: str, key: str, a_day: int | None, name: str) -> Quota:
    """The quota of a key, kept in the setting; of a spider (`name`) where its source wants no key."""
    hashed = hashlib.sha256(key.encode()).hexdigest()[:16] if key else "-"
    if a_day is None:
        return Quota("")
    return Quota(f"{setting or name}:{hashed}", a_day, f"GIGZ_{setting.upper()}" if setting else name)


@dataclass
class Turn:
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
    """Until it is to be looked for again."""


async def look(connection: AsyncConnection, turn: Turn, holder: str, lease_s: float) -> None:
    """Enter, or wait on; in one transaction of the caller's. A turn that entered is held for `lease_s` at most."""
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
        turn.entered, held_s = True, lease_s
    else:
        turn.wait_s = min(turn.paused_s + row.ahead * turn.every_s or LOOK_S, WAITING_S)
        held_s = turn.wait_s + WAITING_S
    turn.ticket = row.ticket
    held = {"host": turn.host, "ticket": turn.ticket, "holder": holder}
    await connection.execute(HOLD, held | {"waits": not turn.entered, "lease": held_s})


async def leave(connection: AsyncConnection, turn: Turn, holder: str) -> None:
    """Give it back; one that is not given back runs out by itself."""
    await connection.execute(LEAVE, {"host": turn.host, "slot": turn.ticket, "holder": holder})


async def pause(connection: AsyncConnection, host: str, seconds: float, every_s: float) -> None:
    """Nobody asks this host for so long."""
    await connection.execute(PAUSE, {"host": host, "seconds": min(seconds, LONGEST_PAUSE_S), "every": every_s})


async def use_up(connection: AsyncConnection, quota: Quota) -> None:
    """The source itself said that nothing is left of the key's day."""
    if quota.key:
        await connection.execute(USED_UP, {"key": quota.key, "a_day": quota.a_day})


async def used_today(connection: AsyncConnection, quota: Quota) -> int:
    """Requests of this day, so far."""
    used: int | None = await connection.scalar(USED, {"key": quota.key})
    return used or 0


def means_the_day(retry_after_s: float | None, body: bytes, keyed: bool) -> bool:
    """Whether a 429 is of the key's day and not of the pace: the body says so, or the wait with a key is that long."""
    too_long = retry_after_s is not None and retry_after_s > LONGEST_WAIT_S
    return (too_long and keyed) or _A_DAY.search(body[:10_000]) is not None


def renewed_at(now: datetime) -> datetime:
    """When the next day begins, in UTC."""
    today = now.astimezone(UTC)
    return datetime(today.year, today.month, today.day, tzinfo=UTC) + timedelta(days=1)
