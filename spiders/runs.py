"""What Postgres keeps of a run: `state.runs`, one row each, from when it is asked for to its end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.settings import Settings
from schemas.tables import RunRow, RunState, Trigger
from spiders.delivery import Counts
from spiders.errand import Errand

Stop = Callable[[str], None]
"""Tells a crawl to end in order, and why."""
Snapshot = Callable[[], Mapping[str, Any]]
"""The counts and figures so far, under the names of the row's columns."""


@dataclass(frozen=True)
class Run:
    """A run that has begun."""

    run_id: UUID
    spider: str
    source: str
    scope: str
    start_url: str
    errand: Errand
    started_at: datetime
    trigger: Trigger = Trigger.OPERATOR


@dataclass(frozen=True)
class RunReport:
    """One run of one spider: finished, stopped, or failed and why."""

    run_id: UUID
    spider: str
    source: str
    start_url: str
    state: RunState
    started_at: datetime
    finished_at: datetime
    pages: int
    counts: Counts
    figures: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Mapping[str, Any], ...] = ()
    suspect: bool = False
    why: str | None = None
    log_tail: str | None = None

    @property
    def ok(self) -> bool:
        """It finished: every item is delivered, unchanged or rejected, and there were some."""
        return self.state is RunState.FINISHED

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "run_id": str(self.run_id),
            "spider": self.spider,
            "source": self.source,
            "start_url": self.start_url,
            "state": self.state.value,
            "seconds": round((self.finished_at - self.started_at).total_seconds(), 3),
            "pages": self.pages,
            **asdict(self.counts),
            "suspect": self.suspect,
            "findings": [dict(finding) for finding in self.findings],
            "why": self.why,
        }


async def begin(engine: AsyncEngine, run: Run) -> None:
    """The row of a run that has begun."""
    row = {
        "run_id": run.run_id,
        "spider": run.spider,
        "source": run.source,
        "state": RunState.RUNNING,
        "trigger": run.trigger,
        "arguments": run.errand.as_json(),
        "scope": run.scope,
        "started_at": run.started_at,
        "start_url": run.start_url,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(RunRow).values(**row))


@asynccontextmanager
async def beating(
    engine: AsyncEngine, settings: Settings, run: Run, snapshot: Snapshot, stop: Stop
) -> AsyncIterator[None]:
    """While it is open, the row tells every `heartbeat_s` that the run lives, and its counts."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(settings.heartbeat_s)
            async with engine.begin() as connection:
                await connection.execute(update(RunRow).where(RunRow.run_id == run.run_id).values(**snapshot()))

    beats = asyncio.get_running_loop().create_task(beat())
    try:
        yield
    finally:
        beats.cancel()


async def end(engine: AsyncEngine, report: RunReport) -> None:
    """What became of it."""
    outcome = {
        "state": report.state,
        "finished_at": report.finished_at,
        "pages": report.pages,
        **asdict(report.counts),
        "figures": dict(report.figures),
        "findings": [dict(finding) for finding in report.findings],
        "suspect": report.suspect,
        "why": report.why,
        "log_tail": report.log_tail,
    }
    async with engine.begin() as connection:
        await connection.execute(update(RunRow).where(RunRow.run_id == report.run_id).values(**outcome))


async def good_figures(engine: AsyncEngine, spider: str, scope: str, most: int = 20) -> list[Mapping[str, Any]]:
    """Figures of the last good runs of this scope: finished, not suspect; newest first."""
    query = (
        select(RunRow.figures)
        .where(RunRow.spider == spider, RunRow.scope == scope, RunRow.state == RunState.FINISHED, ~RunRow.suspect)
        .order_by(RunRow.started_at.desc())
        .limit(most)
    )
    async with engine.connect() as connection:
        return [row.figures for row in await connection.execute(query)]
