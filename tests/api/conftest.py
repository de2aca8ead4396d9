"""An API over the test stack's PostgreSQL, and one that reaches no store."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from deploy.clients import postgres_engine
from deploy.migrate import migrate_postgres
from deploy.settings import Settings
from tests.api.support import Clock, Story, reach


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def offline(tmp_path: Path) -> Settings:
    """Settings of a process that reaches no store."""
    return Settings(home=tmp_path, postgres_url="postgresql://nobody@127.0.0.1:1/none", postgres_connect_timeout_s=1)


@pytest.fixture
async def alone(offline: Settings, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API whose stores are all away."""
    async with reach(create_app(offline, clock=clock)) as client:
        yield client


@pytest.fixture(scope="session")
def migrated(stack: Settings) -> Iterator[Settings]:
    migrate_postgres(stack)
    yield stack


@pytest.fixture
async def engine(migrated: Settings) -> AsyncIterator[AsyncEngine]:
    engine = postgres_engine(migrated, 8, "gigz-test")
    yield engine
    await engine.dispose()


@pytest.fixture
def story(engine: AsyncEngine, migrated: Settings) -> Story:
    return Story(engine, migrated)


@pytest.fixture
async def client(migrated: Settings, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API over the stack; requests at once run at once."""
    async with reach(create_app(migrated, clock=clock, rate_limits=False)) as client:
        yield client
