"""What Postgres keeps of a run: `state.runs`, one row each, written when it starts and when it ends."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.tables import RunRow


@dataclass(frozen=True)
class RunReport:
    """One run of one spider: finished, or failed and why."""

    run_id: UUID
    spider: str
    source: str
    start_url: str
    state: str
    started_at: datetime
    finished_at: datetime
    pages: int
    scraped: int
    delivered: int
    rejected: int
    why: str | None = None

    @property
    def ok(self) -> bool:
        """It finished: every item is delivered or rejected, and there were some."""
        return self.state == "finished"

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "run_id": str(self.run_id),
            "spider": self.spider,
            "source": self.source,
            "start_url": self.start_url,
            "state": self.state,
            "seconds": round((self.finished_at - self.started_at).total_seconds(), 3),
            "pages": self.pages,
            "scraped": self.scraped,
            "delivered": self.delivered,
            "rejected": self.rejected,
            "why": self.why,
        }


async def begin(engine: AsyncEngine, run_id: UUID, spider: str, start_url: str, at: datetime) -> None:
    """The row of a run that has begun."""
    row = {"run_id": run_id, "spider": spider, "state": "running", "started_at": at, "start_url": start_url}
    async with engine.begin() as connection:
        await connection.execute(insert(RunRow).values(**row))


async def end(engine: AsyncEngine, report: RunReport) -> None:
    """What became of it."""
    outcome = {
        "state": report.state,
        "finished_at": report.finished_at,
        "pages": report.pages,
        "scraped": report.scraped,
        "delivered": report.delivered,
        "rejected": report.rejected,
        "why": report.why,
    }
    async with engine.begin() as connection:
        await connection.execute(update(RunRow).where(RunRow.run_id == report.run_id).values(**outcome))
