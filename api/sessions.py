"""Sessions of pages: a signed cookie, looked up nowhere but for whether it was ended.

    POST /session, /open --> good --each page--> good (a new cookie, the same session)
                              |  \\
            POST /sign-out ---+   +-- SESSION_LIFE without a page, SESSION_MOST in all --> expired
                              v
                            ended        every cookie of the session, whoever holds a copy

What is kept is the end alone, as a row of `state.sign_ins` under a hash of the session's id: it is asked with every
page, goes with the user, and is removed a day later (api.tidying). By then the last cookie of the session has expired
by itself: an ended session is renewed no more, so none lives for longer than SESSION_LIFE.

Errors
    UnauthorizedError    the session was ended
"""

import hashlib
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.errors import UnauthorizedError
from schemas.tables import SignInEnd, SignInRow

ENDED = text("select exists (select from state.sign_ins where sign_in_id = :id and ended is not null)")


async def refuse_ended(connection: AsyncConnection, session: str) -> None:
    """UnauthorizedError for a session that was signed out."""
    if await connection.scalar(ENDED, {"id": named(session)}):
        raise UnauthorizedError("This session was signed out. Sign in again.")


async def end(connection: AsyncConnection, user: str, session: str, now: datetime) -> UUID | None:
    """End a session for good; the name of its row, or None where it was ended before."""
    ended = insert(SignInRow).values(
        sign_in_id=named(session), user_id=user, roles=[], ended_at=now, ended=SignInEnd.SIGNED_OUT
    )
    first: UUID | None = await connection.scalar(ended.on_conflict_do_nothing().returning(SignInRow.sign_in_id))
    return first


def named(session: str) -> UUID:
    """The name of its row: what is stored, and what an export shows, signs nobody in and no form."""
    return UUID(bytes=hashlib.sha256(f"gigz.session.v1\n{session}".encode("utf-8", "surrogatepass")).digest()[:16])
