"""What /ops may do to spiders: the API and the spiders do not know each other, the front door brings them together.

Errors
    deploy.settings.SettingsError    it cannot be done as asked: says why, and the remedy
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine


class SpiderFacts(Protocol):
    """A spider, as declared."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def source(self) -> str:
        """The catalogue it reads; empty where each site is one."""

    @property
    def format(self) -> str:
        """The family of its pages."""

    @property
    def politeness(self) -> str:
        """How fast it asks."""

    @property
    def licence(self) -> str:
        """On what terms."""

    @property
    def example(self) -> str:
        """A start URL to copy."""

    @property
    def searches(self) -> bool:
        """It can be sent for an artist."""

    @property
    def needs_start_url(self) -> bool:
        """It has none of its own."""


class Operations(Protocol):
    """Acts on runs and schedules; every act says who and why, and is logged with both."""

    async def spiders(self) -> Sequence[SpiderFacts]:
        """All there are."""

    async def start(self, spider: str, arguments: Mapping[str, Any], who: str, why: str) -> UUID:
        """Queue a run; its id."""

    async def stop(self, run_id: UUID, who: str, why: str) -> object:
        """Tell a run to end in order."""

    async def accept(self, run_id: UUID, who: str, why: str) -> object:
        """Make a suspect run the new normal."""

    async def put_schedule(
        self,
        name: str,
        spider: str,
        cron: str,
        tz: str,
        arguments: Mapping[str, Any],
        timeout_s: int | None,
        who: str,
        why: str | None = None,
        *,
        new: bool | None = None,
    ) -> object:
        """Add a schedule (`new`), or change the one of that name."""

    async def pause(self, name: str, paused: bool, who: str, why: str | None = None) -> object:
        """Let a schedule rest, or go on."""

    async def remove(self, name: str, who: str, why: str | None = None) -> object:
        """Forget a schedule."""

    async def scheduler_is_there(self) -> bool:
        """Whether what waits will be started."""

    def seconds_of(self, written: str) -> int:
        """A time limit as it is typed: 2h, 30m, 1h30m, 90."""

    def warnings(self, spider: str) -> Sequence[str]:
        """What will go wrong though it can be asked for."""


Operating = Callable[[AsyncEngine], Operations]
"""Makes them over the API's own connections."""
