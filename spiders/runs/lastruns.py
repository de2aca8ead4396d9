"""When each spider ran last, and what came of it, out of `state.runs`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.exc import SQLAlchemyError

from deploy.clients import check_postgres, postgres_engine, unusable
from deploy.settings import Settings
from schemas.tables import RunRow, RunState


@dataclass(frozen=True)
class LastRun:
    """The newest row of one spider."""

    state: RunState
    at: datetime
    """When it began; of one that never did, when it was asked for."""
    items: int
    suspect: bool
    run_id: str

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "run_id": self.run_id,
            "state": self.state.value,
            "at": self.at.isoformat(),
            "items": self.items,
            "suspect": self.suspect,
        }

    def told(self, now: datetime) -> str:
        """'finished, 1,204 items, 2 h ago'."""
        state = f"{self.state.value} (suspect)" if self.suspect else self.state.value
        return f"{state}, {self.items:,} items, {ago(now - self.at)}"


def ago(passed: timedelta) -> str:
    """'2 h ago': the largest unit, whole."""
    seconds = max(0, int(passed.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"


async def last_runs(settings: Settings) -> Mapping[str, LastRun]:
    """Spider -> its last run. SettingsError when PostgreSQL is not there or has not our tables."""
    engine = postgres_engine(settings, pool_size=1, name="gigz-spiders")
    at = func.coalesce(RunRow.started_at, RunRow.queued_at)
    query = (
        select(RunRow.spider, RunRow.state, at.label("at"), RunRow.scraped, RunRow.suspect, RunRow.run_id)
        .ext(distinct_on(RunRow.spider))
        .order_by(RunRow.spider, at.desc())
    )
    try:
        await check_postgres(engine, settings)
        async with engine.connect() as connection:
            rows = await connection.execute(query)
            return {row.spider: LastRun(row.state, row.at, row.scraped, row.suspect, str(row.run_id)) for row in rows}
    except SQLAlchemyError as error:
        told = f"has not our tables: {getattr(error, 'orig', error)}; if the address is right: `gigz migrate`"
        raise unusable("postgres", settings, told) from error
    finally:
        await engine.dispose()
