"""What operators are told: `state.alerts`, sent to a webhook, kept until it was."""

from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.settings import Settings
from spiders.formats.base import Clock
from spiders.runs import RunReport


async def about(engine: AsyncEngine, settings: Settings, report: RunReport, clock: Clock) -> None:
    """Tell of a run that is suspect or failed."""
