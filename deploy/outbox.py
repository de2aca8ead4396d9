"""Messages into the outbox, many in one statement; the relay publishes them after the commit."""

from collections.abc import Sequence

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.outgoing import Outgoing, outbox_values

PUT = text(
    """
    insert into state.outbox (shard, topic, key, partition_by, value, headers)
    select shard, topic, key, partition_by, decode(value, 'hex'), headers
    from json_to_recordset(cast(:rows as json)) as r
        (place int, shard smallint, topic text, key text, partition_by text, value text, headers jsonb)
    order by place
    """
)


async def put_in_outbox(connection: AsyncConnection, records: Sequence[Outgoing], shards: int) -> None:
    """Publish these after the commit, in this order. Call it after the locks of their aggregates are held.

    Ids are drawn here: of two transactions on one aggregate the one that had its lock first draws, and commits, first.
    """
    rows = []
    for place, record in enumerate(records):
        values = outbox_values(record, shards)
        value = values["value"]
        rows.append(values | {"place": place, "value": value.hex() if isinstance(value, bytes) else None})
    if rows:
        await connection.execute(PUT, {"rows": orjson.dumps(rows).decode()})
