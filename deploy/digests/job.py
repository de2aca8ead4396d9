"""Rounds of the digest: who has news, who is due, and for each of these one transaction.

    look    whose sets changed since the last look: by the number of the transaction, as the API's stream reads them
            (docs/decisions/0012). The first look of a process takes everybody whose sets changed since anybody was
            written down last, and some time before
    due     of those with news, whose calendar and clock let a digest go out
    send    under the lock of the user's row: what is new is counted, the message goes into the outbox, the week into
            the row. Whoever comes second, in this process or another, finds the week there; whoever is killed before
            the commit has sent nothing, and after it everything

The relay publishes, at least once: `week` tells a repeat.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import insert, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.digests.found import digest_of
from deploy.digests.times import Last, Manners, due_week, not_before
from deploy.erasing import ledger
from schemas.message import canonical, new_trace
from schemas.outgoing import outbox_values, outgoing
from schemas.tables import OutboxRow

STAGE = "digest"
AT_ONCE = 500
"""Users of one statement."""
log = structlog.get_logger()

HORIZON = text("select cast(pg_snapshot_xmin(pg_current_snapshot())::text as bigint)")
SINCE = text("select distinct user_id from state.suggestions where tx >= :since and tx < :horizon")
EVERYBODY = text(
    """
    select distinct user_id from state.suggestions where updated_at > coalesce(
        (select max(updated_at) - interval '1 hour' from state.digests), '-infinity')
    """
)
"""Rounds take minutes at most: what was written down an hour before the last of them had been looked at."""
NEWS = text(
    """
    insert into state.digests (user_id, news, next_at) select unnest(cast(:users as text[])), true, :now
    on conflict (user_id) do update set news = true, updated_at = now() where not digests.news
    """
)
_ROW = """
    select d.user_id, d.week, d.until_at, d.told, coalesce(p.digest, true) as digest, coalesce(p.tz, 'UTC') as tz,
        coalesce(p.quiet_from, time '22:00') as quiet_from, coalesce(p.quiet_until, time '08:00') as quiet_until
    from state.digests d left join state.preferences p on p.user_id = d.user_id
"""
DUE = text(
    _ROW
    + """
    where d.news and coalesce(p.digest, true) and (d.next_at <= :now or p.updated_at > d.updated_at)
        and d.user_id > :after
    order by d.user_id limit :most
    """
)
LOCKED = text(_ROW + "where d.user_id = :user and d.news for update of d skip locked")
BUSY = text(
    """
    select exists (select from state.suggestions where user_id = :user
        and cast(body->>'made_at' as timestamptz) > :settled and cast(body->>'made_at' as timestamptz) <= :now)
    """
)
LATER = text("update state.digests set next_at = :next_at, updated_at = now() where user_id = :user")
NOTHING = text(
    """
    update state.digests set news = false, next_at = :next_at, updated_at = now() where user_id = :user
    """
)
SENT = text(
    """
    update state.digests set news = false, next_at = :next_at, week = :week, until_at = :until, told = :told,
        body = cast(:body as jsonb), updated_at = now()
    where user_id = :user and (week is null or week < :week)
    """
)


class Digests:
    """The rounds of one process."""

    def __init__(
        self,
        engine: AsyncEngine,
        shards: int,
        clock: Callable[[], datetime],
        settle: timedelta,
        shown: Callable[[str], None] = lambda moment: None,
    ) -> None:
        self._engine = engine
        self._shards = shards
        self._clock = clock
        self._settle = settle
        self._shown = shown
        """Told of moments between the steps: tests stop there."""
        self._since: int | None = None

    async def round(self) -> int:
        """Look, then send what is due; the number of digests."""
        await self._look()
        sent, after = 0, ""
        while True:
            async with self._engine.connect() as connection:
                asked = {"now": self._clock(), "after": after, "most": AT_ONCE}
                rows = (await connection.execute(DUE, asked)).all()
            for row in rows:
                try:
                    sent += await self._one(row.user_id)
                except (SQLAlchemyError, OSError):
                    raise
                except Exception:  # a bug that one user's rows bring out is not to cost the others their digest
                    log.exception("bug: no digest for one user")
            if len(rows) < AT_ONCE:
                break
            after = rows[-1].user_id
        if sent:
            log.info("digests", sent=sent)
        return sent

    async def _look(self) -> None:
        async with self._engine.connect() as connection:
            horizon = int(await connection.scalar(HORIZON) or 0)
            if self._since is None:
                users = list(await connection.scalars(EVERYBODY))
            else:
                asked = {"since": self._since, "horizon": horizon}
                users = list(await connection.scalars(SINCE, asked))
        for begin in range(0, len(users), AT_ONCE):
            await self._write_down(users[begin : begin + AT_ONCE])
        self._since = horizon

    async def _write_down(self, users: Sequence[str]) -> None:
        async with self._engine.begin() as connection:
            living = set(users) - await ledger.erased_among(connection, users)
            await connection.execute(NEWS, {"users": sorted(living), "now": self._clock()})

    async def _one(self, user: str) -> bool:
        """Send the user's digest, when it is due and there is one."""
        async with self._engine.begin() as connection:
            if await ledger.erased_among(connection, {user}):
                return False
            row = (await connection.execute(LOCKED, {"user": user})).one_or_none()
            if row is None:
                return False  # another process is at it, or has just been
            now = self._clock()
            manners = Manners(row.digest, row.tz, row.quiet_from, row.quiet_until)
            last = None if row.week is None else Last(row.week, row.until_at)
            week = due_week(now, manners, last)
            if week is None:
                await connection.execute(LATER, {"user": user, "next_at": not_before(now, manners, last)})
                return False
            if await connection.scalar(BUSY, {"user": user, "settled": now - self._settle, "now": now}):
                # An import is under way: three of two thousand shows are no news.
                await connection.execute(LATER, {"user": user, "next_at": now + self._settle})
                return False
            return await self._send(connection, user, now, manners, week, last, row.told)

    async def _send(
        self,
        connection: AsyncConnection,
        user: str,
        now: datetime,
        manners: Manners,
        week: str,
        last: Last | None,
        told: Sequence[object],
    ) -> bool:
        digest, there = await digest_of(connection, user, now, manners, week, last, told)
        if digest is None:
            await connection.execute(NOTHING, {"user": user, "next_at": now})
            return False
        next_at = not_before(now, manners, Last(week, now))
        body = canonical(digest.model_dump(mode="json", exclude_none=True)).decode()
        kept = {"user": user, "next_at": next_at, "week": week, "until": now, "told": there, "body": body}
        if not (await connection.execute(SENT, kept)).rowcount:
            return False
        record = outgoing(digest, trace=new_trace(), stage=STAGE)
        await connection.execute(insert(OutboxRow).values(**outbox_values(record, self._shards)))
        self._shown("counted")
        return True
