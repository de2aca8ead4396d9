"""Who was erased. Every stage, the API, `gigz feed` and `gigz replay` ask before they write for users.

Asked in the transaction that writes, with `for key share`: that takes a lock of the whole table, which the entering of
a user does not pass. So when `enter` has returned, whoever asked before has committed, and whoever asks later is told:
no writer in between brings anything back. A statement's snapshot is taken after its table locks (PostgreSQL, tcop),
so one statement is enough.

The hash is plain SHA-256 with a prefix of its own. Ids that Gigz gives are 128 random bits: nobody finds them by
trying. A key would have to be in every process and outlive every backup; lost, it would let the erased come back.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from uuid import UUID, uuid4

import orjson
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.erasing import ErasureError
from deploy.failures import sqlstate
from schemas.message import HEADER_STAGE
from schemas.outgoing import Outgoing
from schemas.rejection import Rejection
from schemas.topics import BY_NAME

STAGE = "erase"
"""In the headers of its tombstones: whoever asks the ledger has nothing to do with them."""
PREFIX = b"gigz.erased.v1\n"
LOCK_WAIT_S = 2.0
"""Whoever asks the ledger waits behind the one that enters: no longer than this."""
PAUSE_S = 0.5
ENTER_S = 120.0
"""Batches that write end within their own deadline."""
LOCKED = "55P03"

ASK = text(
    "select user_hash from state.erased where user_hash = any(cast(:hashes as text[])) order by user_hash for key share"
)
KNOWN = text("select receipt_id, erased_at, proved_at, removed from state.erased where user_hash = :hash")
ENTER = text(
    "insert into state.erased (user_hash, receipt_id, erased_at) values (:hash, :receipt_id, :at) "
    "on conflict (user_hash) do nothing"
)
COUNT = text(
    """
    update state.erased set updated_at = now(), removed = removed || (
        select coalesce(jsonb_object_agg(key, value::bigint + coalesce((removed ->> key)::bigint, 0)), '{}')
        from jsonb_each_text(cast(:removed as jsonb))
    )
    where user_hash = :hash
    """
)
PROVED = text("update state.erased set proved_at = :at, updated_at = now() where user_hash = :hash")

# As JSON, or nearly: what could not be parsed still says whose it is.
_NAMED = re.compile(rb"""\buser["']?\s*[:=]\s*["']?([^"'\s,;}/][^"',;}/]{0,127})""")


def hash_of(user: str) -> str:
    """What the ledger keeps of an id: 64 hex digits."""
    return hashlib.sha256(PREFIX + user.encode("utf-8", "surrogatepass")).hexdigest()


async def erased_among(connection: AsyncConnection, users: Iterable[str]) -> frozenset[str]:
    """Those of the users that were erased; until the transaction ends, nobody of the others is.

    One statement; none when there are no users.
    """
    hashes = {hash_of(user): user for user in users}
    if not hashes:
        return frozenset()
    rows = await connection.execute(ASK, {"hashes": sorted(hashes)})
    return frozenset(hashes[row.user_hash] for row in rows)


@asynccontextmanager
async def asking(engine: AsyncEngine, users: Iterable[str]) -> AsyncIterator[frozenset[str]]:
    """The same around a write to another store: those erased, and no erasure begins before the end of it."""
    users = frozenset(users)
    if not users:
        yield frozenset()
        return
    async with engine.begin() as connection:
        yield await erased_among(connection, users)


def named_in(body: bytes | None) -> frozenset[str]:
    """Whom the bytes of a message, or of what should have been one, call its user."""
    try:
        row = orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return frozenset(found[1].decode("utf-8", "replace").strip() for found in _NAMED.finditer(body or b""))
    user = row.get("user") if isinstance(row, dict) else None
    return frozenset({str(user)} if isinstance(user, str | int) else ())


def users_of(topic: str, key: str | None, body: bytes | None) -> frozenset[str]:
    """Whose message this is: by its key user/entry, or by its body where the key is none. Empty: not of users."""
    if topic not in BY_NAME or not BY_NAME[topic].of_users:
        return frozenset()
    user, slash, _ = (key or "").partition("/")
    if user and (slash or topic == "gigz.digest.v1"):
        return frozenset({user})
    return named_in(body)


def users_of_record(record: Outgoing) -> frozenset[str]:
    """The same of what is to be published."""
    return users_of(record.topic, record.key, record.value)


def users_of_rejection(body: bytes | None) -> frozenset[str]:
    """Whose message a rejection holds; nobody's when it is none."""
    try:
        rejection = Rejection.from_bytes(body)
        return users_of(rejection.origin_topic, rejection.original_key, rejection.original_bytes)
    except ValueError:
        return frozenset()


def users_of_message(topic: str, key: str | None, body: bytes | None) -> frozenset[str]:
    """The same of any topic's message."""
    return users_of_rejection(body) if topic == Rejection.topic else users_of(topic, key, body)


def by_erasure(headers: dict[str, str], value: bytes | None) -> bool:
    """Whether a message is a tombstone of an erasure: the tables were seen to, and nothing is to be kept of it."""
    return value is None and headers.get(HEADER_STAGE) == STAGE


@dataclass(frozen=True)
class Entered:
    """A user's row of the ledger."""

    receipt_id: UUID
    erased_at: datetime
    proved_at: datetime | None
    removed: dict[str, int]


async def known(connection: AsyncConnection, user: str) -> Entered | None:
    """The row of a user; None: never erased."""
    row = (await connection.execute(KNOWN, {"hash": hash_of(user)})).one_or_none()
    return None if row is None else Entered(row.receipt_id, row.erased_at, row.proved_at, dict(row.removed))


async def enter(
    engine: AsyncEngine,
    user: str,
    at: datetime,
    patience_s: float = ENTER_S,
    beside: Callable[[AsyncConnection, Entered], Awaitable[None]] | None = None,
) -> Entered:
    """Write the user into the ledger, once; when it returns, no writer that asks writes for the user any more.

    `beside` writes in the same transaction. ErasureError when a writer keeps its transaction open for longer than
    `patience_s`.
    """
    until = monotonic() + patience_s
    while True:
        try:
            async with engine.begin() as connection:
                there = await known(connection, user)
                if there is None:
                    await connection.execute(text(f"set local lock_timeout = {int(LOCK_WAIT_S * 1000)}"))
                    await connection.execute(text("lock table state.erased in exclusive mode"))
                    await connection.execute(ENTER, {"hash": hash_of(user), "receipt_id": uuid4(), "at": at})
                    there = await known(connection, user)
                assert there is not None
                if beside is not None:
                    await beside(connection, there)
            return there
        except OperationalError as error:
            if sqlstate(error) != LOCKED:
                raise
            if monotonic() > until:
                raise ErasureError(
                    f"something has written for users for {patience_s:.0f} s without an end. "
                    "Remedy: see pg_stat_activity for a transaction that lasts; end it, then run this again."
                ) from error
            await asyncio.sleep(PAUSE_S)


async def count(connection: AsyncConnection, user: str, removed: dict[str, int]) -> None:
    """Add what was removed, place by place, to the row of the user."""
    some = {place: number for place, number in removed.items() if number}
    if some:
        await connection.execute(COUNT, {"hash": hash_of(user), "removed": orjson.dumps(some).decode()})


async def prove(engine: AsyncEngine, user: str, at: datetime) -> None:
    """Write down that a search found nothing but what expires."""
    async with engine.begin() as connection:
        await connection.execute(PROVED, {"hash": hash_of(user), "at": at})


async def all_hashes(connection: AsyncConnection) -> Sequence[str]:
    """Every hash of the ledger."""
    return list((await connection.execute(text("select user_hash from state.erased order by user_hash"))).scalars())
