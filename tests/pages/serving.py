"""An API that listens, within the test's own process: its clock stands, it counts nobody, and it can be begun anew."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import httpx
import uvicorn
from playwright.async_api import Browser, BrowserContext, Page
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import Operating, create_app
from api.services import COOKIE
from api.tokens import page_token
from deploy.settings import Settings
from spiders.schedule.operations import Operations
from tests.api.support import Clock, Story
from tests.browsers import watch

START_S = 20
QUICK_S = 0.2
"""Between two looks for what is new."""
GRACE_S = 2
"""For what is under way when it ends; streams are told to end at once."""


@asynccontextmanager
async def serving(
    settings: Settings, clock: Callable[[], datetime], port: int = 0, operations: Operating | None = None
) -> AsyncIterator[str]:
    """Its address, while it listens."""
    app = create_app(settings, clock=clock, rate_limits=False, operations=operations)
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=port, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_S
        )
    )
    listening = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(START_S):
            while not server.started:
                if listening.done():
                    listening.result()
                await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        app.state.services.news.stop()
        server.should_exit = True
        await listening
        await app.state.services.close()


@dataclass(frozen=True)
class Site:
    """An API that listens, whoever calls it, and who looks at it."""

    base: str
    client: httpx.AsyncClient
    story: Story
    """Of nobody in particular: other users are made of it."""
    clock: Clock
    browser: Browser

    def named(self, user: str) -> Story:
        """The story of this user."""
        return replace(self.story, user=user)

    async def context(
        self, user: str | None, width: int = 1280, roles: Collection[str] = (), **more: object
    ) -> BrowserContext:
        """A browser of its own, signed in unless there is no user; its language is English unless `locale` says so."""
        told = {"viewport": {"width": width, "height": 900}, "locale": "en-GB", "reduced_motion": "reduce"}
        context = await self.browser.new_context(**(told | more))  # type: ignore[arg-type]
        context.set_default_timeout(15_000)
        if user is not None:
            token = page_token(self.story.settings, user, self.clock(), roles=roles)
            await context.add_cookies([{"name": COOKIE, "value": token, "url": self.base}])
        return context

    @asynccontextmanager
    async def visiting(self, user: str | None, width: int = 1280, **more: object) -> AsyncIterator[Page]:
        """A page of theirs; anything that the browser complains of, or that another host is asked for, fails."""
        context = await self.context(user, width, **more)
        page = await context.new_page()
        complaints = watch(page, self.base)
        page.on("dialog", lambda dialog: complaints.append(f"{page.url}: dialog: {dialog.message}"))
        yield page
        await context.close()
        assert not complaints, complaints


@asynccontextmanager
async def opened(settings: Settings, engine: AsyncEngine, browser: Browser) -> AsyncIterator[Site]:
    """A site that is served."""
    clock = Clock()
    settings = settings.model_copy(update={"stream_poll_s": QUICK_S})
    async with (
        serving(settings, clock, operations=lambda own: Operations(settings, own, clock)) as base,
        httpx.AsyncClient(base_url=base, timeout=60, trust_env=False) as client,
    ):
        yield Site(base, client, Story(engine, settings), clock, browser)
