"""Pages as people see them: an API that listens over the test stack's PostgreSQL, and Chromium before it.

A module has one browser and one site for all its tests: `pytestmark = pytest.mark.asyncio(loop_scope="module")`.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from deploy.clients import postgres_engine
from deploy.migrate import migrate_postgres
from deploy.settings import Settings
from tests.browsers import browsing
from tests.pages.serving import Site, opened


@pytest.fixture(scope="session")
def migrated(stack: Settings) -> Iterator[Settings]:
    migrate_postgres(stack)
    yield stack


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def site(migrated: Settings, browser: Browser) -> AsyncIterator[Site]:
    engine = postgres_engine(migrated, 8, "gigz-test")
    async with opened(migrated, engine, browser) as one:
        yield one
    await engine.dispose()


@pytest.fixture(scope="session")
def screenshots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of pages are put: --screenshots, else beside what else this run leaves behind."""
    told: Path | None = request.config.getoption("--screenshots")
    folder = told or tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
