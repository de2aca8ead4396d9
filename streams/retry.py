"""The bad world: Kafka or PostgreSQL away, busy or restarting. Retried in place, with an end.

GaveUp    the world stayed bad until the deadline, or the process is to stop: the batch is not done
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from deploy.clients import unusable
from deploy.settings import Settings

T = TypeVar("T")
Engine = Literal["kafka", "postgres"]

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0

# Classes and codes of https://www.postgresql.org/docs/18/errcodes-appendix.html that pass by themselves.
PASSING_CLASSES = ("08", "53", "57", "58")  # connection; resources; operator's intervention; system
PASSING_CODES = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "55P03",  # lock_not_available
    "25006",  # read_only_sql_transaction: a standby, until the new primary is known
}
log = structlog.get_logger()


class GaveUp(Exception):
    """The batch is not done, its offset not moved. The text names the setting and the remedy; empty when stopping."""


def engine_at_fault(error: BaseException) -> Engine | None:
    """Whose failure it is, when waiting may help; None for bad data and for our own bugs."""
    if isinstance(error, (MessageSizeTooLargeError, RecordTooLargeError)):
        return None
    if isinstance(error, KafkaError):
        return "kafka"
    if isinstance(error, (PoolTimeoutError, InterfaceError)):
        return "postgres"
    if isinstance(error, DBAPIError):
        state = sqlstate(error)
        passes = state in PASSING_CODES or state.startswith(PASSING_CLASSES) if state else False
        lost = error.connection_invalidated or (isinstance(error, OperationalError) and not state)
        return "postgres" if passes or lost else None
    return None


def sqlstate(error: DBAPIError) -> str:
    """PostgreSQL's five letters; empty when the failure was not the server's answer."""
    return getattr(error.orig, "sqlstate", None) or ""


@dataclass
class Patience:
    """How long a stage tries again. One for a process; `stopping` ends every wait."""

    settings: Settings
    stopping: asyncio.Event

    async def persist(self, work: Callable[[], Awaitable[T]], last: Engine) -> T:
        """What `work` gives, as soon as it succeeds. GaveUp; any other error is raised at once.

        `last` is blamed when an attempt neither succeeds nor fails before the deadline.
        """
        deadline = time.monotonic() + self.settings.retry_deadline_s
        pause = FIRST_PAUSE_S
        while True:
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    return await work()
            except TimeoutError as error:
                raise GaveUp(self._remedy(last, "accepted and never answered")) from error
            except Exception as error:
                engine = engine_at_fault(error)
                if engine is None:
                    raise
                why = " ".join(str(getattr(error, "orig", None) or error).split()) or type(error).__name__
                pause *= random.uniform(0.5, 1.0)  # many workers do not come back at one moment
                if time.monotonic() + pause > deadline:
                    raise GaveUp(self._remedy(engine, why)) from error
                log.warning("retry", engine=engine, error=why[:300], pause_s=round(pause, 2))
                if await self._stopped_within(pause):
                    raise GaveUp("") from error
                pause = min(pause * 3, LONGEST_PAUSE_S)

    def _remedy(self, engine: Engine, why: str) -> str:
        waited = f"Tried for {self.settings.retry_deadline_s:.0f} s; the offset has not moved: start again afterwards."
        return f"{unusable(engine, self.settings, why)} {waited}"

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True
