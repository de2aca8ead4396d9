"""Kafka and PostgreSQL for the streams, a database for each test, and workers as processes of their own."""

import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import kafka_admin, kafka_consumer, kafka_producer, postgres_engine, publish
from deploy.migrate import migrate_postgres
from deploy.settings import Settings, environment_for
from deploy.topics import apply_topics
from schemas.outgoing import Outgoing
from tests.support import ROOT, running_engines

PARTITIONS = 4
WORKER = (
    "import sys; from deploy.settings import SettingsError, load; from streams.main import run_worker\n"
    "exec(sys.argv[3])\n"
    "try: sys.exit(run_worker(load(), sys.argv[1], int(sys.argv[2]), reset_offsets='reset' in sys.argv[4:]))\n"
    "except SettingsError as error: print(error, file=sys.stderr); sys.exit(2)\n"
)
_databases = itertools.count()


@pytest.fixture(scope="package")
def engines() -> Iterator[Settings]:
    """A broker and a database server of their own: topics have fixed names, and other tests fill them."""
    absent = {"clickhouse_url": "http://127.0.0.1:1/none", "meilisearch_url": "http://127.0.0.1:1"}
    quick = {
        "partitions": PARTITIONS,
        "batch_linger_s": 0.05,
        "batch_size": 50,
        "outbox_poll_s": 0.05,
        "session_timeout_s": 6.0,
    }
    with running_engines("gigz-streams-", **absent, **quick, kafka_heap_mb=256) as settings:
        asyncio.run(apply_topics(settings))
        yield settings


@pytest.fixture
def settings(engines: Settings) -> Settings:
    """Settings with a migrated, empty database of this test's own."""
    url = engines.engine_url("postgres")
    name = f"streams_{next(_databases)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    settings = engines.model_copy(update={"postgres_url": url.rpartition("/")[0] + f"/{name}"})
    migrate_postgres(settings)
    return settings


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    pool = postgres_engine(settings, pool_size=6, name="test")
    yield pool
    await pool.dispose()


@dataclass
class Workers:
    """Stages as processes; what they logged stands in files."""

    settings: Settings
    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, stage: str, instance: int = 0, *more: str, before: str = "", **changed: object
    ) -> subprocess.Popen[bytes]:
        """A worker; `before`: code that it runs first, `more`: further arguments."""
        with self.log(stage, instance).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", WORKER, stage, str(instance), before, *more],
                cwd=ROOT,
                env=environment_for(self.settings.model_copy(update=changed)),
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        self.running[f"{stage}-{instance}"] = process
        return process

    def log(self, stage: str, instance: int = 0) -> Path:
        return self.folder / f"{stage}-{instance}.log"

    async def until_logged(
        self, what: str, stage: str, instance: int = 0, times: int = 1, seconds: float = 120
    ) -> None:
        deadline = time.monotonic() + seconds
        while self.log(stage, instance).read_text().count(what) < times:
            assert time.monotonic() < deadline, (
                f"{stage} never logged {what!r}:\n{self.log(stage, instance).read_text()}"
            )
            await asyncio.sleep(0.05)

    def stop(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[Workers]:
    """Start them by name; those that still run are stopped at the end."""
    made = Workers(settings, tmp_path)
    yield made
    made.stop()


async def send(settings: Settings, records: list[Outgoing]) -> None:
    """Publish and wait for the acks."""
    async with kafka_producer(settings, "test") as producer:
        await publish(producer, records, settings.partitions)


async def everything_in(settings: Settings, topic: str) -> list[Outgoing]:
    """All records of a topic, in the order of each partition."""
    found = []
    async with kafka_consumer(settings, (), None) as consumer:
        from aiokafka import TopicPartition

        parts = [TopicPartition(topic, p) for p in range(settings.partitions)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        await consumer.seek_to_beginning(*parts)
        while any([await consumer.position(part) < ends[part] for part in parts]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for r in records:
                    headers = {name: value.decode() for name, value in r.headers}
                    found.append(Outgoing(topic, r.key.decode(), "", r.value, headers))
    return found


async def committed(settings: Settings, group: str, topic: str) -> int:
    """Messages of a topic that a group has committed: the sum over its partitions."""
    async with kafka_admin(settings) as admin:
        offsets = await admin.list_consumer_group_offsets(group)
    return sum(max(0, at.offset) for part, at in offsets.items() if part.topic == topic)


async def until(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not await condition():  # type: ignore[misc]
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:.0f} s"
        await asyncio.sleep(0.1)


async def rows(engine: AsyncEngine, statement: str, **values: object) -> list[tuple[object, ...]]:
    """What a query finds."""
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(statement), values)]
