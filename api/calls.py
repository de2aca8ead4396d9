"""A write that happens once: the same Idempotency-Key gets the same answer, and nothing happens twice.

The key is entered first, in the transaction that writes: of two requests at once the second waits, and reads what the
first was answered. A request that fails leaves no key behind, so that it can be tried again. A key is known for
GIGZ_CALL_HOURS at least, then it is removed (api.tidying): whoever repeats a request later makes a new one.

Errors
    ConflictError        the key stands for another request
    UnauthorizedError    the user was erased
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from litestar.params import HeaderParameter
from pydantic import BaseModel
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.erased import refuse_erased
from api.errors import ConflictError, Detail
from schemas.message import content_hash
from schemas.tables import CallRow

Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Yours; for three days at least the same key gets the same answer, and nothing happens twice.",
    ),
]
Device = Annotated[
    str | None,
    HeaderParameter(
        name="X-Device",
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="A name of your own for this device: its stream leaves out what it decided itself.",
    ),
]
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Call:
    """Who writes, and what is asked for, as JSON."""

    user: str
    key: str | None
    asked: Any = field(default=None)

    @property
    def request(self) -> str:
        """The same for the same request."""
        return content_hash(self.asked)


async def write_once(
    engine: AsyncEngine, call: Call, shape: type[M], write: Callable[[AsyncConnection], Awaitable[M]]
) -> M:
    """What `write` answers in its transaction, or what it answered to this key before."""
    async with engine.begin() as connection:
        await refuse_erased(connection, call.user)
        before = await _claim(connection, call)
        if before is not None:
            return shape.model_validate(before)
        answer = await write(connection)
        if call.key is not None:
            await connection.execute(
                update(CallRow)
                .where(CallRow.user_id == call.user, CallRow.key == call.key)
                .values(answer=answer.model_dump(mode="json", by_alias=True))
            )
        return answer


async def _claim(connection: AsyncConnection, call: Call) -> Any:
    """None: the key is new, or there is none; else the answer."""
    if call.key is None:
        return None
    entered = insert(CallRow).values(user_id=call.user, key=call.key, request=call.request)
    if await connection.scalar(entered.on_conflict_do_nothing().returning(CallRow.key)) is not None:
        return None
    kept = (
        await connection.execute(
            select(CallRow.request, CallRow.answer).where(CallRow.user_id == call.user, CallRow.key == call.key)
        )
    ).one()
    if kept.request != call.request:
        raise ConflictError(
            "This Idempotency-Key stands for another request.",
            [Detail(field="Idempotency-Key", message="take a new key for each request; repeat it only to try again")],
        )
    return kept.answer
