"""The memory of what artists and venues are called: `state.names`, read by match, written from their topics."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from matchers.reference import MOST_ROWS, names_at, reference_names
from schemas.reference import Artist, Venue
from schemas.weights import Names
from streams.sql import as_rows, body, take_locks

Reference = Artist | Venue

PUT = text(
    """
    insert into state.names as n (reference_id, topic, version, keys, ever, body)
    select reference_id, topic, version, keys, keys, body from json_to_recordset(cast(:rows as json)) as r
        (reference_id uuid, topic text, version bigint, keys text[], body jsonb)
    order by reference_id
    on conflict (reference_id) do update set
        version = excluded.version, keys = excluded.keys, body = excluded.body, updated_at = now(),
        ever = array(select distinct one from unnest(n.ever || excluded.keys) as one order by one)
    where n.version <= excluded.version
    returning reference_id, ever
    """
)
END = text(
    """
    update state.names set keys = '{}', body = null, updated_at = now()
    where reference_id = any(cast(:ids as uuid[])) returning reference_id, ever
    """
)
ASKED = text(
    """
    select asked.key, found.ids from unnest(cast(:keys as text[])) as asked (key)
    cross join lateral (
        select array_agg(reference_id) as ids from (
            select reference_id from state.names where keys @> array[asked.key] limit :most + 1
        ) as few
    ) found
    where found.ids is not null
    """
)
BODIES = text(
    "select topic, cast(body as text) as body from state.names where reference_id = any(cast(:ids as uuid[]))"
)


async def known_names(connection: AsyncConnection, keys: Collection[str]) -> Names:
    """What is typed under these keys is called otherwise, as committed now. See `matchers.reference`."""
    if not keys:
        return Names()
    rows = list(await connection.execute(ASKED, {"keys": sorted(keys), "most": MOST_ROWS}))
    telling = {row.key: row.ids for row in rows if len(row.ids) <= MOST_ROWS}
    if not telling:
        return Names()
    ids = sorted({one for found in telling.values() for one in found})
    found = await connection.execute(BODIES, {"ids": ids})
    kinds: dict[str, type[Artist] | type[Venue]] = {Artist.topic: Artist, Venue.topic: Venue}
    return names_at(telling.keys(), [kinds[row.topic].model_validate_json(row.body) for row in found])


class NameStore:
    """Artists and venues in, whom they concern out. Each method is one transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def put(self, references: Mapping[UUID, Reference], ended: Collection[UUID] = ()) -> dict[UUID, list[str]]:
        """Store what is newer or as new, end what is to be ended; the keys of every name that each ever bore.

        An older version changes nothing, and concerns nobody.
        """
        rows = [
            {
                "reference_id": reference_id,
                "topic": one.topic,
                "version": one.version,
                "keys": sorted(reference_names(one)),
                "body": body(one),
            }
            for reference_id, one in references.items()
        ]
        concerned: dict[UUID, list[str]] = {}
        async with self._engine.begin() as connection:
            # Of two on one reference the second adds its names to those that the first stored.
            await take_locks(connection, (f"name:{one}" for one in (*references, *ended)))
            if rows:
                concerned |= {
                    row.reference_id: row.ever for row in await connection.execute(PUT, {"rows": as_rows(rows)})
                }
            if ended:
                found = await connection.execute(END, {"ids": sorted(ended)})
                concerned |= {row.reference_id: row.ever for row in found}
        return concerned
