"""A crawl's turns: what all processes may ask together (`deploy.turns`), waited for while the crawl goes on.

    turn      wait for one and hold it: the host's pace, a free connection, what is left of the key's day
    pause     nobody asks the host for a while: it said Retry-After
    use_up    the source said that nothing is left of the key's day

Postgres away is waited for, and never taken as leave to ask.

Errors
    QuotaUsed      the key's day is used up
    AskedToWait    the host wants to be left alone for longer than a crawl waits
    LimitsAway     Postgres did not answer within `retry_deadline_s`
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from scrapy.exceptions import IgnoreRequest
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy import turns
from deploy.turns import LEASE_MARGIN_S, LONGEST_WAIT_S, LOOK_S, Quota, Turn
from spiders.formats.base import Clock, Left

STATEMENT_S = 10.0
"""A statement that takes longer is given up: Postgres counts as away."""


class QuotaUsed(Left):
    """No request with this key any more today."""


class AskedToWait(IgnoreRequest):
    """The host said when it wants to be asked again."""


class LimitsAway(Left):
    """Nobody can say whether the host may be asked."""


class Limits:
    """The turns of one run."""

    def __init__(
        self,
        engine: AsyncEngine,
        holder: str,
        quota: Quota,
        *,
        clock: Clock,
        deadline_s: float,
        lease_s: float,
    ) -> None:
        self.quota = quota
        self._engine = engine
        self._holder = holder
        self._clock = clock
        self._deadline_s = deadline_s
        self._lease_s = lease_s + LEASE_MARGIN_S

    @asynccontextmanager
    async def turn(
        self, host: str, every_s: float, at_once: int, *, counts: bool, leaving: Callable[[], bool]
    ) -> AsyncIterator[None]:
        """While it is open, one request may be under way. `counts`: the key goes with it.

        Left when the crawl is ending, and the errors above.
        """
        turn = Turn(host, every_s, at_once, self.quota if counts else Quota(""))
        try:
            await self._enter(turn, leaving)
            yield
        finally:
            await asyncio.shield(self._leave(turn))

    async def _enter(self, turn: Turn, leaving: Callable[[], bool]) -> None:
        while not leaving():
            await self._run(lambda connection: turns.look(connection, turn, self._holder, self._lease_s), leaving)
            if turn.used_up:
                raise QuotaUsed(self.used_up())
            if turn.entered:
                return
            if turn.paused_s > LONGEST_WAIT_S + turn.every_s:
                until = self._clock() + timedelta(seconds=turn.paused_s)
                raise AskedToWait(
                    f"{turn.host} asked to be left alone until {until:%Y-%m-%d %H:%M:%S} UTC. Remedy: crawl after that."
                )
            await pause(turn.wait_s, leaving)
        raise Left("the crawl is ending")

    async def _leave(self, turn: Turn) -> None:
        if not turn.ticket:
            return
        with suppress(SQLAlchemyError, OSError, TimeoutError):  # it runs out by itself
            async with asyncio.timeout(STATEMENT_S), self._engine.begin() as connection:
                await turns.leave(connection, turn, self._holder)

    async def pause(self, host: str, seconds: float, every_s: float, leaving: Callable[[], bool]) -> None:
        """No process asks this host for so long."""
        await self._run(lambda connection: turns.pause(connection, host, seconds, every_s), leaving)

    async def use_up(self, leaving: Callable[[], bool]) -> None:
        """The source itself said that nothing is left of the key's day."""
        if self.quota.key:
            await self._run(lambda connection: turns.use_up(connection, self.quota), leaving)

    async def left(self) -> int | None:
        """Requests that are left of the key's day; None: any number."""
        if self.quota.a_day is None:
            return None
        async with self._engine.connect() as connection:
            return max(0, self.quota.a_day - await turns.used_today(connection, self.quota))

    def used_up(self, said: str = "") -> str:
        """Why nothing more is asked today."""
        tomorrow = turns.renewed_at(self._clock())
        most = self.quota.a_day
        limit = f"{most:,} of {most:,} requests of this day" if most and not said else "what the source allows a day"
        return (
            f"the quota of {self.quota.told or 'the source'} is used up{said and f' ({said})'}: {limit} (UTC). "
            f"It is renewed at {tomorrow:%Y-%m-%d %H:%M} UTC; a crawl after that goes on."
        )

    async def _run(self, work: Callable[[AsyncConnection], Awaitable[object]], leaving: Callable[[], bool]) -> None:
        """In one transaction; Postgres away is waited for."""
        loop = asyncio.get_running_loop()
        began, wait = loop.time(), LOOK_S
        while True:
            try:
                async with asyncio.timeout(STATEMENT_S), self._engine.begin() as connection:
                    await work(connection)
                return
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                why = str(getattr(error, "orig", error)) or type(error).__name__
                if leaving() or loop.time() - began + wait > self._deadline_s:
                    raise LimitsAway(
                        f"PostgreSQL keeps the limits of hosts and did not answer for {self._deadline_s:g} s: {why}. "
                        "Remedy: bring it back and crawl again; no host is asked without it."
                    ) from error
            await pause(wait, leaving)
            wait = min(2 * wait, 5.0)


async def pause(seconds: float, leaving: Callable[[], bool]) -> None:
    """Sleep, but not on while the crawl is ending."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while (left := until - loop.time()) > 0 and not leaving():  # noqa: ASYNC110 - Scrapy has no event of its ending
        await asyncio.sleep(min(left, LOOK_S))
