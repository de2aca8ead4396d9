"""The bad world: Kafka or PostgreSQL away, busy or restarting. Retried in place, with an end.

GaveUp      the world stayed bad until the deadline, or the process is to stop: the batch is not done
Refused     trying again will not help: rights, tables or settings are wrong

Which codes mean which stands in `deploy.failures`.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import structlog
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from deploy.clients import unusable
from deploy.failures import (
    KAFKA,
    POSTGRES_NOT_MIGRATED,
    REPORT_IT,
    Meaning,
    answered,
    in_no_table,
    kafka_meaning,
    pauses,
    postgres_meaning,
    sqlstate,
)
from deploy.meters import StageMeters
from deploy.settings import Settings

T = TypeVar("T")
Engine = Literal["kafka", "postgres"]

ATTEMPT_S = 60.0
"""One try: a batch takes seconds; what takes this long never answers, and a new connection may."""
STOP_S = 4.0
"""How long a try may take to finish once a stop was asked for; the whole stop has 10 s."""
log = structlog.get_logger()


class GaveUp(Exception):
    """The batch is not done, its offset not moved. The text names the setting and the remedy; empty when stopping."""


class Refused(Exception):
    """The same, and trying again will not help. `spent`: a new process can go on, this one cannot."""

    def __init__(self, text: str, *, spent: bool = False) -> None:
        super().__init__(text)
        self.spent = spent


def verdict(error: BaseException) -> tuple[Engine, Meaning] | None:
    """Whose failure it is and what it means; None for our own bugs."""
    if isinstance(error, KafkaError):
        return "kafka", kafka_meaning(error)
    if isinstance(error, DBAPIError | PoolTimeoutError):
        found = postgres_meaning(error)
        return None if found is None else ("postgres", found)
    return None


def engine_at_fault(error: BaseException) -> Engine | None:
    """Whose failure it is, when waiting may help; None for bad data and for our own bugs."""
    found = verdict(error)
    return found[0] if found is not None and found[1] is Meaning.PASSES else None


def code_of(error: BaseException) -> str:
    """PostgreSQL's five letters, else the kind of the failure: few, and the same every time."""
    return sqlstate(error) or type(getattr(error, "orig", None) or error).__name__


@dataclass
class Patience:
    """How long a stage tries again. One for a process; `stopping` ends every wait."""

    settings: Settings
    stopping: asyncio.Event
    meters: StageMeters | None = None

    def deadline(self) -> float:
        """Of a batch that begins now, on the clock that never jumps."""
        return time.monotonic() + self.settings.retry_deadline_s

    async def persist(
        self,
        work: Callable[[], Coroutine[Any, Any, T]],
        last: Engine | Callable[[], Engine],
        deadline: float | None = None,
    ) -> T:
        """What `work` gives, as soon as it succeeds. GaveUp, Refused; any other error is raised at once.

        `last`, or whom it names then, is blamed when an attempt neither succeeds nor fails in time. `deadline`: of the
        batch, where `work` is only a part of what is done with it.
        """
        deadline = self.deadline() if deadline is None else deadline
        for pause in pauses():
            try:
                done = await self._once(work, deadline)
            except TimeoutError as error:
                engine = last() if callable(last) else last
                why, code = "accepted and never answered", "never_answered"
                cause: Exception = error
            except Exception as error:
                found = verdict(error)
                if found is None or found[1] is Meaning.BAD_DATA:
                    raise
                engine = found[0]
                why = " ".join(str(getattr(error, "orig", None) or error).split()) or type(error).__name__
                code = code_of(error)
                if found[1] is not Meaning.PASSES:
                    raise self._refused(engine, found[1], code, why) from error
                cause = error
            else:
                if self.meters is not None:
                    self.meters.progress.back()
                return done
            if self.stopping.is_set():
                raise GaveUp("") from cause
            if time.monotonic() + pause > deadline:
                raise GaveUp(self._remedy(engine, why)) from cause
            if self.meters is not None:
                self.meters.retry(engine, code, deadline)
            log.warning("retry", engine=engine, error=why[:300], pause_s=round(pause, 2))
            if await self._stopped_within(pause):
                raise GaveUp("") from cause
        raise AssertionError("pauses have no end")

    async def _once(self, work: Callable[[], Coroutine[Any, Any, T]], deadline: float) -> T:
        """One try; TimeoutError when it takes too long, or longer than a process that is to stop can wait."""
        trying = asyncio.ensure_future(answered(work(), max(0.05, min(ATTEMPT_S, deadline - time.monotonic()))))
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({trying, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not trying.done():
                await asyncio.wait({trying}, timeout=STOP_S)
            if not trying.done():
                raise TimeoutError("not done when the process had to stop")
            return trying.result()
        finally:
            stopping.cancel()
            trying.cancel()

    def _remedy(self, engine: Engine, why: str) -> str:
        waited = f"Tried for {self.settings.retry_deadline_s:g} s; the offset has not moved: start again afterwards."
        return f"{unusable(engine, self.settings, why)} {waited}"

    def _refused(self, engine: Engine, found: Meaning, code: str, why: str) -> Refused:
        unmoved = "The offset has not moved."
        if found is Meaning.SPENT:
            return Refused(f"{engine}: {code}: {why[:300]}. {unmoved} Remedy: start this worker again.", spent=True)
        if engine == "postgres" and code.startswith(POSTGRES_NOT_MIGRATED):
            return Refused(f"postgres: {code}: {why[:300]}. {unmoved} Remedy: `gigz migrate`, then start it again.")
        if engine == "postgres" and in_no_table(code):
            return Refused(f"postgres: {code}: {why[:300]}. {unmoved} Remedy: {REPORT_IT}.")
        name = KAFKA.get(code, (code,))[0]
        return Refused(f"{unusable(engine, self.settings, f'{name}: {why}')} {unmoved}")

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True
