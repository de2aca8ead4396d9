"""Crawls in processes of their own, the sites that they read, and what they leave on the engines."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import orjson
from aiohttp import web
from aiokafka import ConsumerRecord
from sqlalchemy import select, text

from deploy.clients import postgres_engine
from deploy.flow import scan
from deploy.local.demo import site
from deploy.settings import Settings, environment_for
from schemas.raw import RawSetlist
from schemas.tables import RunRow

ROOT = Path(__file__).parents[2]
PER_PAGE = 20
OURS = {
    "GIGZ_SETLISTFM_API_KEY": site.API_KEY,
    "GIGZ_OWN_HOSTS": "127.0.0.1",
    "GIGZ_PRIVATE_HOSTS": "127.0.0.1",
}


async def started(settings: Settings, *arguments: str, **changed: object) -> asyncio.subprocess.Process:
    """`python -m spiders.crawl`, at work."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "spiders.crawl", *arguments),
        cwd=ROOT,
        env=environment_for(settings.model_copy(update=changed)) | OURS,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(child: asyncio.subprocess.Process) -> tuple[int, dict[str, Any], str]:
    """Exit code, report, errors."""
    out, errors = await child.communicate()
    lines = out.splitlines()
    return child.returncode or 0, orjson.loads(lines[-1]) if lines else {}, errors.decode()


async def run(settings: Settings, *arguments: str, **changed: object) -> tuple[int, dict[str, Any], str]:
    """From its start to its end."""
    return await ended(await started(settings, *arguments, **changed))


async def recorded(settings: Settings, run_id: str) -> RunRow:
    """The run's row."""
    engine = postgres_engine(settings, pool_size=1)
    try:
        async with engine.connect() as connection:
            found = await connection.execute(select(RunRow).where(RunRow.run_id == UUID(run_id)))
            return cast(RunRow, found.one())
    finally:
        await engine.dispose()


async def rows(settings: Settings, query: str, **parameters: Any) -> list[Any]:
    """Of PostgreSQL."""
    engine = postgres_engine(settings, pool_size=1)
    try:
        async with engine.begin() as connection:
            result = await connection.execute(text(query), parameters)
            return list(result.all()) if result.returns_rows else []
    finally:
        await engine.dispose()


async def of_source(settings: Settings, topic: str, source: str) -> list[ConsumerRecord]:
    """The records of one source on a topic."""
    return [record async for record in scan(settings, [topic]) if f'"source":"{source}"'.encode() in record.value]


async def setlists_of(settings: Settings, source: str) -> list[RawSetlist]:
    """They, read."""
    return [RawSetlist.from_bytes(record.value) for record in await of_source(settings, RawSetlist.topic, source)]


def setlist(number: int, **more: Any) -> dict[str, Any]:
    """As the API has it; about 2 kB, like a real one."""
    songs = [{"name": f"Song {number % 97 + n} of a Summer Night", "info": "with the house band"} for n in range(18)]
    return {
        "id": f"s{number}",
        "eventDate": f"{number % 28 + 1:02}-{number // 28 % 12 + 1:02}-{1960 + number // 336 % 60}",
        "lastUpdated": "2024-06-01T00:00:00.000+0000",
        "artist": {"name": "Moths", "mbid": "6faa7ca7-0d99-4a5e-bfa6-1fd5037520c6", "sortName": "Moths"},
        "venue": {
            "id": f"v{number % 40}",
            "name": f"Hall {number % 40}",
            "city": {
                "name": "Leeds",
                "state": "England",
                "coords": {"lat": 53.79, "long": -1.54},
                "country": {"code": "GB", "name": "United Kingdom"},
            },
        },
        "tour": {"name": f"Tour {number // 100}"},
        "sets": {"set": [{"song": songs}]},
        "url": f"https://www.setlist.fm/setlist/moths/{number}.html",
    } | more


@dataclass
class Setlists:
    """A site of setlists that a test changes."""

    items: list[dict[str, Any]]
    base: str = ""
    asked: int = 0
    """Pages."""
    before: Callable[[int], Awaitable[None]] | None = None
    """Called with the page's number before it is answered."""
    broken: set[int] = field(default_factory=set)
    """Pages that are not there."""

    @property
    def url(self) -> str:
        """Where a crawl starts."""
        return f"{self.base}/rest/1.0/artist/x/setlists"

    def arguments(self, source: str, *more: str) -> tuple[str, ...]:
        """Of a crawl of it."""
        told = (f"start_url={self.url}", f"source={source}", *more)
        return ("setlistfm", *(word for one in told for word in ("--arg", one)))

    async def answer(self, request: web.Request) -> web.Response:
        """A page of them."""
        if not request.path.endswith("/setlists"):
            return web.Response(status=404)
        number = int(request.query.get("p", "1"))
        self.asked += 1
        if self.before is not None:
            await self.before(number)
        if number in self.broken:
            return web.Response(status=404)
        page = self.items[(number - 1) * PER_PAGE : number * PER_PAGE]
        told = {"page": number, "itemsPerPage": PER_PAGE, "total": len(self.items), "setlist": page}
        return web.Response(body=json.dumps(told).encode(), content_type="application/json")


@asynccontextmanager
async def setlists(count: int) -> AsyncIterator[Setlists]:
    """So many, served."""
    here = Setlists([setlist(number) for number in range(count)])
    async with serving(here.answer) as here.base:
        yield here


@asynccontextmanager
async def serving(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server with one answer for everything."""
    application = web.Application()
    application.add_routes([web.get("/{path:.*}", answer)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
