"""What is new for a user: open entries with a suggestion that was not there at the last digest."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from deploy.digests.times import Last, Manners
from deploy.inbox import ENTRIES
from schemas.digest import Digest
from schemas.suggestion import Band

BEST = 20

OPEN = text(
    ENTRIES
    + """
select entry_id, confidence, band, shown[1] as best,
    exists (select from unnest(shown) one where one not in (select unnest(cast(:told as uuid[])))) as fresh
from entries where state = 'open'
order by confidence desc, entry_id
"""
)
THERE = text("select distinct unnest(suggestion_ids) from state.suggestions where user_id = :user order by 1")
FIRST = text("select min(created_at) from state.suggestions where user_id = :user")


async def digest_of(
    connection: AsyncConnection, user: str, now: datetime, manners: Manners, week: str, last: Last | None, told: Any
) -> tuple[Digest | None, Sequence[UUID]]:
    """The digest of a week, None when nothing is new; and the suggestions that are there now, told with it."""
    rows = (await connection.execute(OPEN, {"user": user, "now": now, "told": list(told)})).all()
    there = list(await connection.scalars(THERE, {"user": user}))
    new = [row for row in rows if row.fresh]
    if not new:
        return None, there
    since = last.at if last is not None else await connection.scalar(FIRST, {"user": user}) or now
    sure = sum(row.band == Band.SURE for row in new)
    digest = Digest(
        user=user,
        since=min(since, now),
        until=now,
        new=len(new),
        sure=sure,
        to_decide=len(new) - sure,
        suggestion_ids=tuple(row.best for row in new[:BEST]),
        week=week,
        tz=manners.tz,
        open=len(rows),
    )
    return digest, there
