"""Users who asked to be erased themselves: from `DELETE /v1/me` to the receipt.

    (nothing) --ask--> waiting --run begins--> under way --clean--> done
                          ^                        |
                          +---- failed, or left ---+        next_at: later each time

    ask        one transaction: the ledger and the request, or neither. From its commit nobody writes for the user, and
               the API refuses every token.
    waiting    the id is kept in the request, the only place outside the stores that are emptied
    under way  tries is counted and next_at set before anything is done: a process that dies is followed by another
    done       the id goes and the receipt comes in one statement

The work is `deploy.erasing.run.erase`, which finds for itself what there is left to do; the active scheduler does it
(docs/decisions/0014). `gigz erase USER` closes a request as well.

Errors
    ErasureError    of `ask`: a writer keeps its transaction open; nothing was done
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.erasing import ledger
from deploy.erasing.receipt import Receipt

ASK_S = 10.0
"""How long a request of the API waits for those who write; they end within seconds."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=6)
"""Between tries: doubled each time. While a run lasts nobody else begins one: deploy.erasing.run sees to it."""
SUBJECT = b"gigz.subject.v1\n"

KEEP = text(
    """
    insert into state.erasures (receipt_id, user_id, subject_hash, asked_at, next_at)
    values (:receipt_id, :user, :subject, :at, :at) on conflict do nothing
    """
)
NEXT = text(
    """
    select user_id, receipt_id, tries from state.erasures where user_id is not null and next_at <= :now
    order by next_at, receipt_id limit 1 for update skip locked
    """
)
BEGIN = text(
    """
    update state.erasures set tries = tries + 1, next_at = :next_at, last_error = null, updated_at = now()
    where receipt_id = :receipt_id
    """
)
FAILED = text(
    "update state.erasures set last_error = :why, updated_at = now() where receipt_id = :receipt_id and done_at is null"
)
CLOSE = text(
    """
    update state.erasures set user_id = null, last_error = null, done_at = :at, receipt = cast(:receipt as jsonb),
        updated_at = now()
    where receipt_id = :receipt_id and user_id is not null
    """
)
VACUUM = text("vacuum state.erasures")
FORGET_SUBJECTS = text(
    """
    update state.erasures set subject_hash = null, updated_at = now()
    where subject_hash is not null and asked_at < :at
    """
)
OLDEST = text("select min(asked_at) from state.erasures where user_id is not null")
BY_RECEIPT = text(
    """
    select e.receipt_id, e.erased_at, e.proved_at, r.tries, r.done_at, r.receipt, r.receipt_id is not null as asked
    from state.erased e left join state.erasures r on r.receipt_id = e.receipt_id where e.receipt_id = :receipt_id
    """
)
BY_SUBJECT = text(
    "select receipt_id, asked_at from state.erasures where subject_hash = :subject order by asked_at desc limit 1"
)


class Stands(StrEnum):
    """How far an erasure is."""

    WAITING = "waiting"
    UNDER_WAY = "under_way"
    DONE = "done"


@dataclass(frozen=True)
class Request:
    """An erasure as its receipt's address tells it."""

    receipt_id: UUID
    erased_at: datetime
    stands: Stands
    done_at: datetime | None = None
    receipt: dict[str, Any] | None = None
    """As `Receipt.as_json`; None where it was written into an operator's file, or is not there yet."""


def subject_hash(subject: str) -> str:
    """What is kept of a token's subject for as long as a token of before may be good: 64 hex digits."""
    return hashlib.sha256(SUBJECT + subject.encode("utf-8", "surrogatepass")).hexdigest()


async def ask(engine: AsyncEngine, user: str, subject: str | None, at: datetime) -> ledger.Entered:
    """Enter the user into the ledger and the request beside it, or neither. Asked again: the same receipt."""

    async def keep(connection: AsyncConnection, entered: ledger.Entered) -> None:
        hashed = None if subject is None else subject_hash(subject)
        asked = {"receipt_id": entered.receipt_id, "user": user, "subject": hashed, "at": at}
        await connection.execute(KEEP, asked)

    return await ledger.enter(engine, user, at, ASK_S, keep)


async def next_waiting(engine: AsyncEngine, now: datetime) -> tuple[str, UUID] | None:
    """The user and the receipt of the request that waits longest; its try is counted. None: none is due."""
    async with engine.begin() as connection:
        row = (await connection.execute(NEXT, {"now": now})).one_or_none()
        if row is None:
            return None
        later = now + min(FIRST_PAUSE * 2 ** min(row.tries, 20), LONGEST_PAUSE)
        await connection.execute(BEGIN, {"receipt_id": row.receipt_id, "next_at": later})
        return row.user_id, row.receipt_id


async def failed(engine: AsyncEngine, user: str, receipt_id: UUID, why: str) -> None:
    """Write down why a try came to nothing, without the user's id."""
    async with engine.begin() as connection:
        await connection.execute(FAILED, {"receipt_id": receipt_id, "why": why.replace(user, "…")[:500]})


async def close(engine: AsyncEngine, receipt: Receipt) -> None:
    """The id goes, the receipt comes. Nothing where nobody asked, or it was closed before."""
    body = orjson.dumps(receipt.as_json()).decode()
    told = {"receipt_id": receipt.receipt_id, "at": receipt.finished_at, "receipt": body}
    async with engine.begin() as connection:
        closed = await connection.execute(CLOSE, told)
    if closed.rowcount:
        async with engine.connect() as connection:
            await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(VACUUM)


async def forget_subjects(engine: AsyncEngine, before: datetime) -> None:
    """Whose erasure was asked for before this has no token of then that is still good."""
    async with engine.begin() as connection:
        await connection.execute(FORGET_SUBJECTS, {"at": before})


async def asked_at(engine: AsyncEngine) -> datetime | None:
    """When the oldest request was made that is not done. None: all are."""
    async with engine.connect() as connection:
        oldest: datetime | None = await connection.scalar(OLDEST)
    return oldest


async def told_by(connection: AsyncConnection, receipt_id: UUID) -> Request | None:
    """The erasure of a receipt. None: there is none."""
    row = (await connection.execute(BY_RECEIPT, {"receipt_id": receipt_id})).one_or_none()
    if row is None:
        return None
    done_at = row.done_at if row.asked else row.proved_at
    stands = Stands.DONE if done_at else Stands.UNDER_WAY if row.tries or not row.asked else Stands.WAITING
    return Request(row.receipt_id, row.erased_at, stands, done_at, row.receipt)


async def of_subject(connection: AsyncConnection, subject: str) -> tuple[UUID, datetime] | None:
    """Receipt and instant of the last erasure that this subject asked for, while it is remembered."""
    row = (await connection.execute(BY_SUBJECT, {"subject": subject_hash(subject)})).one_or_none()
    return None if row is None else (row.receipt_id, row.asked_at)
