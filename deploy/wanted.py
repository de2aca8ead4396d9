"""What is asked for by how many, counted anew: by match when an entry changes its mind, by an erasure when it goes.

See streams/wanted.py for what is counted, and why in this order.
"""

from collections.abc import Iterable
from datetime import date
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.message import new_trace
from schemas.outgoing import Outgoing, outgoing, tombstone
from schemas.wanted import Wanted

COUNT = text(
    """
    update state.wanted w set asked = c.asked, artist = c.artist, rev = w.rev + 1, updated_at = now()
    from (
        select r.artist_key, r.year, count(a.user_id) as asked,
            coalesce(mode() within group (order by a.artist collate "C"), '') as artist
        from json_to_recordset(cast(:touched as json)) as r (artist_key text, year int)
        left join state.wants a on a.artist_key = r.artist_key and a.year = r.year
        group by r.artist_key, r.year
    ) c
    where w.artist_key = c.artist_key and w.year = c.year and (w.asked, w.artist) <> (c.asked, c.artist)
    returning w.artist_key, w.year, w.rev, w.asked, w.artist
    """
)
"""A statement of its own: what others committed while the locks were waited for, only a later one sees."""


async def recount(connection: AsyncConnection, touched: Iterable[tuple[str, int]], stage: str) -> list[Outgoing]:
    """Count these artists (folded) and years anew, whose rows in state.wanted are locked; what is to be published."""
    rows = [{"artist_key": artist_key, "year": year} for artist_key, year in sorted(touched)]
    counted = await connection.execute(COUNT, {"touched": orjson.dumps(rows).decode()})
    found = sorted(counted, key=lambda row: (row.artist_key, row.year))
    return [_message(row, stage) for row in found]


def _message(row: Any, stage: str) -> Outgoing:
    if not row.asked:
        return tombstone(Wanted, f"{row.artist_key}/{row.year}", trace=new_trace(), stage=stage, rev=row.rev)
    message = Wanted(
        artist_key=row.artist_key,
        artist=row.artist,
        year=row.year,
        since=date(row.year, 1, 1),
        until=date(row.year, 12, 31),
        asked=row.asked,
        rev=row.rev,
    )
    return outgoing(message, trace=new_trace(), stage=stage)
