"""Turns to ask setlist.fm, shared with the spiders that ask it with the same key (`deploy.turns`).

Errors
    QuotaUsed       nothing is left of the key's day
    ImportFailed    service_away: setlist.fm wants to be left alone for longer than is waited for
    OperationalError, OSError    PostgreSQL is away: without it nobody is asked
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.imports.attended import A_DAY, EVERY_S, HOST, LONGEST_PAUSE_S, SPIDER, TIMEOUT_S, QuotaUsed, wants_peace
from deploy import turns
from deploy.settings import Settings
from deploy.turns import LEASE_MARGIN_S, Quota, Turn, quota_of

SETTING = "setlistfm_api_key"


class SetlistFmTurns:
    """Of one process: one of its lists queues at a time, so that a connection to PostgreSQL is taken for one only."""

    def __init__(self, settings: Settings, engine: AsyncEngine, holder: str) -> None:
        self.address = settings.mirrors.get(SPIDER, HOST)
        self._engine, self._holder = engine, holder
        self._host = urlsplit(self.address).hostname or ""
        own = not settings.hosts_own.isdisjoint({self._host, urlsplit(self.address).netloc})
        self._quota = Quota("") if own else quota_for(settings)
        self._every_s = 0.0 if own else EVERY_S
        self._one = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """While it is open, one request may be under way."""
        turn = Turn(self._host, self._every_s, 1, self._quota)
        async with self._one:
            try:
                await self._enter(turn)
                yield
            finally:
                await asyncio.shield(self._leave(turn))

    async def _enter(self, turn: Turn) -> None:
        while True:
            async with self._engine.begin() as connection:
                await turns.look(connection, turn, self._holder, TIMEOUT_S + LEASE_MARGIN_S)
            if turn.used_up:
                raise QuotaUsed
            if turn.entered:
                return
            if turn.paused_s > LONGEST_PAUSE_S + turn.every_s:
                raise wants_peace()
            await asyncio.sleep(turn.wait_s)

    async def _leave(self, turn: Turn) -> None:
        if turn.ticket:
            with suppress(SQLAlchemyError, OSError):  # it runs out by itself
                async with self._engine.begin() as connection:
                    await turns.leave(connection, turn, self._holder)

    async def pause(self, seconds: float) -> None:
        """setlist.fm said Retry-After: nobody asks it for so long."""
        async with self._engine.begin() as connection:
            await turns.pause(connection, self._host, seconds, self._every_s)

    async def use_up(self) -> None:
        """setlist.fm said that nothing is left of the key's day."""
        async with self._engine.begin() as connection:
            await turns.use_up(connection, self._quota)


def quota_for(settings: Settings) -> Quota:
    """The same row of the table in which spiders count."""
    return quota_of(SETTING, settings.setlistfm_api_key.get_secret_value(), A_DAY, SPIDER)
