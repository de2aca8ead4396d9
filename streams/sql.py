"""What the stores of the stages share: many rows in one statement, and locks by name."""

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.message import Message

BY_INDEX = text("set local enable_seqscan = off")
"""For transactions that look up thousands of keys: a planner with old statistics (a young table, a bulk load) reads the
whole table once for each of them instead."""


def as_rows(rows: Iterable[dict[str, Any]]) -> str:
    """Rows as one JSON parameter for json_to_recordset: one statement, whatever their number."""
    return orjson.dumps(list(rows), option=orjson.OPT_NON_STR_KEYS).decode()


def body(message: Message) -> orjson.Fragment:
    """A message as the body of a row, without parsing it again."""
    return orjson.Fragment(message.to_bytes())


TAKE_LOCKS = text("select pg_advisory_xact_lock(lock) from unnest(cast(:locks as bigint[])) as l (lock)")


async def take_locks(connection: AsyncConnection, names: Iterable[str]) -> None:
    """Hold these names until the transaction ends; in one order everywhere, so that two do not wait in a circle."""
    await connection.execute(TAKE_LOCKS, {"locks": sorted({lock_number(name) for name in names})})


def lock_number(name: str) -> int:
    """A name as PostgreSQL's advisory locks take it: 64 bits, signed."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
