"""What is removed by itself: rates of minutes gone by, idempotency keys after their time, refresh tokens that expired.

Each process looks once a minute and takes what no other has locked, a portion at a time: no statement is long, and
nobody waits for it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from sqlalchemy import TextClause, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.settings import Settings

log = structlog.get_logger()

EVERY_S = 60.0
PORTION = 1_000
RATES = text(
    """
    delete from state.rates where caller in (
        select caller from state.rates where updated_at < now() - interval '2 minutes'
        limit :portion for update skip locked
    )
    """
)
CALLS = text(
    """
    delete from state.calls where (user_id, key) in (
        select user_id, key from state.calls where created_at < now() - make_interval(hours => :hours)
        order by created_at limit :portion for update skip locked
    )
    """
)
REFRESH_TOKENS = text(
    """
    delete from state.refresh_tokens where token_hash in (
        select token_hash from state.refresh_tokens where expires_at < now() - interval '1 day'
        order by expires_at limit :portion for update skip locked
    )
    """
)
SIGN_INS = text(
    """
    delete from state.sign_ins s where created_at < now() - interval '1 day'
        and not exists (select from state.refresh_tokens r where r.sign_in_id = s.sign_in_id)
    """
)
"""A token that expired a day ago is told so until then; after that it is not known. A session of pages that was ended
has no such token: what its last cookie is good for is less than a day (api.sessions).
"""


async def tidy(engine: AsyncEngine, settings: Settings) -> dict[str, int]:
    """Remove what is due now; how many rows, by table."""
    removed: dict[str, int] = {}
    statements: dict[str, tuple[TextClause, dict[str, int]]] = {
        "rates": (RATES, {"portion": PORTION}),
        "calls": (CALLS, {"hours": settings.call_hours, "portion": PORTION}),
        "refresh_tokens": (REFRESH_TOKENS, {"portion": PORTION}),
        "sign_ins": (SIGN_INS, {}),
    }
    for table, (statement, told) in statements.items():
        number = PORTION
        while number >= PORTION:
            async with engine.begin() as connection:
                number = (await connection.execute(statement, told)).rowcount
            removed[table] = removed.get(table, 0) + number
    return removed


@asynccontextmanager
async def tidying(engine: AsyncEngine, settings: Settings) -> AsyncIterator[None]:
    """While the application runs, tidy every minute."""
    task = asyncio.create_task(_tidy_on(engine, settings))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _tidy_on(engine: AsyncEngine, settings: Settings) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            await tidy(engine, settings)
        except (SQLAlchemyError, OSError) as error:  # the next look removes what this one could not
            log.warning("not_tidied", error=type(error).__name__)
