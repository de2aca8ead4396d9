"""What tests of runs and schedules share: a database of their own, an endless source, schedulers as processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from aiohttp import web
from sqlalchemy import create_engine, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import sqlalchemy_url
from deploy.local.room import python_environment
from deploy.migrate import migrate_postgres
from deploy.settings import Settings, environment_for
from schemas.tables import OperatorLogRow, RunRow, RunState, WatchedBy
from tests.support import ROOT

T = TypeVar("T")
QUICK: dict[str, Any] = {
    "schedule_poll_s": 0.2,
    "heartbeat_s": 0.5,
    "own_hosts": "127.0.0.1",
    "private_hosts": "127.0.0.1",
}


def own_database(settings: Settings, name: str, home: Path, **changed: Any) -> Settings:
    """The engines with an empty database of this name, and a home folder of its own."""
    url = sqlalchemy_url(settings)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"drop database if exists {name} with (force)"))
        connection.execute(text(f"create database {name}"))
    engine.dispose()
    base, _, query = url.replace("+psycopg", "").partition("?")
    own = base.rpartition("/")[0] + f"/{name}" + (f"?{query}" if query else "")
    engines = {f"{one}_url": settings.engine_url(one) for one in ("kafka", "clickhouse", "meilisearch")}
    found = settings.model_copy(update={**engines, "postgres_url": own, "home": home, **QUICK, **changed})
    migrate_postgres(found)
    return found


@asynccontextmanager
async def endless(pause_s: float = 0.1) -> AsyncIterator[tuple[str, list[float]]]:
    """A setlist API of a million pages; its start URL, and when each page was asked for."""
    asked: list[float] = []

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(status=404)
        asked.append(time.monotonic())
        await asyncio.sleep(pause_s)
        number = int(request.query.get("p", "1"))
        setlist = [{"id": f"s{number}", "eventDate": "14-11-2014", "artist": {"name": "Moths"}}]
        return web.json_response({"page": number, "itemsPerPage": 1, "total": 10**6, "setlist": setlist})

    application = web.Application()
    application.add_routes([web.get("/{path:.*}", answer)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/x/setlists", asked
    finally:
        await runner.cleanup()


@contextmanager
def scheduler(settings: Settings, instance: int = 1) -> Iterator["subprocess.Popen[bytes]"]:
    """`gigz worker scheduler` as a process; stopped at the end, if it runs still."""
    log = settings.home / f"scheduler-{instance}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "gigz.py"), "worker", "scheduler", "--instance", str(instance)],
            env=python_environment(environment_for(settings)),
            cwd=settings.home,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(30)


async def until(look: Callable[[], Awaitable[T]], seconds: float = 30.0) -> T:
    """Ask until the answer is something."""
    deadline = time.monotonic() + seconds
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.1)


async def row_of(engine: AsyncEngine, run_id: UUID) -> Any:
    """A run's row."""
    async with engine.connect() as connection:
        return (await connection.execute(select(RunRow.__table__).where(RunRow.run_id == run_id))).one()


async def rows_of(engine: AsyncEngine, spider: str | None = None) -> list[Any]:
    """Every run, the first queued first."""
    query = select(RunRow.__table__).order_by(RunRow.queued_at, RunRow.run_id)
    if spider:
        query = query.where(RunRow.spider == spider)
    async with engine.connect() as connection:
        return list(await connection.execute(query))


async def log_of(engine: AsyncEngine, thing: object, about: WatchedBy = WatchedBy.RUN) -> list[Any]:
    """The operators' log of a run or a schedule."""
    query = select(OperatorLogRow.__table__).where(OperatorLogRow.about == about, OperatorLogRow.thing == str(thing))
    async with engine.connect() as connection:
        return list(await connection.execute(query.order_by(OperatorLogRow.id)))


async def in_state(engine: AsyncEngine, run_id: UUID, *states: RunState, seconds: float = 30.0) -> Any:
    """The run's row, once it is in one of these states."""

    async def look() -> Any:
        row = await row_of(engine, run_id)
        return row if row.state in states else None

    return await until(look, seconds)


def is_there(pid: int) -> bool:
    """A process of that number runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
