"""What entries ask for that no known concert answers -> wanted, through the outbox of the transaction that matched.

A row for each entry and year in `state.wants`, counted into one for each artist and year in `state.wanted`. An entry's
rows are written under its own lock; then the counted rows are locked, in one order for everybody, and counted anew from
what is committed: of two workers that change one count, the second sees what the first wrote. So the counts follow from
the entries alone, whatever came when.

The messages carry a trace of their own and no origin: both would lead back to a user.
"""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from deploy.wanted import recount
from matchers.wants import Want
from schemas.outgoing import Outgoing
from streams.sql import as_rows

STAGE = "match"
Key = tuple[str, str]
"""user, entry"""

HELD = text(
    """
    select user_id, entry_id, artist_key, year, artist from state.wants w
    join json_to_recordset(cast(:rows as json)) as r (user_id text, entry_id text) using (user_id, entry_id)
    """
)
CHANGE = text(
    """
    with gone as (
        delete from state.wants w
        using json_to_recordset(cast(:gone as json)) as r (user_id text, entry_id text, year int)
        where w.user_id = r.user_id and w.entry_id = r.entry_id and w.year = r.year
    ), come as (
        insert into state.wants (user_id, entry_id, year, artist_key, artist)
        select user_id, entry_id, year, artist_key, artist from json_to_recordset(cast(:come as json)) as r
            (user_id text, entry_id text, year int, artist_key text, artist text)
        on conflict (user_id, entry_id, year) do update set
            artist_key = excluded.artist_key, artist = excluded.artist, updated_at = now()
    )
    insert into state.wanted (artist_key, year, rev, asked, artist)
    select artist_key, year, 0, 0, '' from json_to_recordset(cast(:touched as json)) as r (artist_key text, year int)
    order by artist_key, year
    on conflict (artist_key, year) do update set updated_at = now()
    """
)
"""The last part is for its locks."""


async def ask(connection: AsyncConnection, asking: Mapping[Key, Sequence[Want]]) -> list[Outgoing]:
    """Let each of these entries, whose locks are held, ask for this and nothing else; what is to be published."""
    rows = as_rows({"user_id": user, "entry_id": entry} for user, entry in sorted(asking))
    held = {
        (row.user_id, row.entry_id, row.year): Want(row.artist_key, row.year, row.artist)
        for row in await connection.execute(HELD, {"rows": rows})
    }
    now = {(*at, want.year): want for at, wants in asking.items() for want in wants}
    gone = [at for at in held if at not in now]
    come = [at for at, want in now.items() if held.get(at) != want]
    if not gone and not come:
        return []
    before = [held[at] for at in (*gone, *come) if at in held]
    touched = {(one.artist_key, one.year) for one in (*before, *(now[at] for at in come))}
    rows = as_rows({"artist_key": artist_key, "year": year} for artist_key, year in sorted(touched))
    await connection.execute(CHANGE, {"gone": _rows(gone), "come": _rows(come, now), "touched": rows})
    return await recount(connection, touched, STAGE)


def _rows(keys: Iterable[tuple[str, str, int]], now: Mapping[tuple[str, str, int], Want] | None = None) -> str:
    rows = []
    for user, entry, year in sorted(keys):
        row: dict[str, object] = {"user_id": user, "entry_id": entry, "year": year}
        if now is not None:
            want = now[user, entry, year]
            row |= {"artist_key": want.artist_key, "artist": want.artist}
        rows.append(row)
    return as_rows(rows)
