"""What all measurements share: engines with an input, one stage on a backlog, and what processes cost.

Times are of the wall in seconds; processor seconds are of all threads, of engines with their children. Memory is the
resident set in MB; of engines with children the proportional set, since they share pages.
"""

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psutil
from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError

from deploy.clients import kafka_admin, kafka_consumer
from deploy.flow import Lag, commits_of, gauge, group_of, until_idle
from deploy.local import workers
from deploy.local.processes import Process, Processes
from deploy.migrate import migrate_stores
from deploy.settings import Settings
from deploy.topics import apply_topics
from schemas.topics import read_by
from tests.support import ENGINES, running_engines

LOOK_S = 0.1
PATIENCE_S = 1_800.0
READY_S = 90.0
MEMORY_EVERY_S = 0.5
ENGINES_EVERY = 10
"""Looks at our own processes for one at the engines: theirs takes a hundred times as long."""


class TooLittle(SystemExit):
    """A part of a benchmark has too little to measure."""


@dataclass(frozen=True)
class Cost:
    """Of one process, engines included, in a window."""

    cpu_s: float
    peak_mb: float


@dataclass(frozen=True)
class Drained:
    """A stage alone on its backlog."""

    messages: int
    seconds: float
    costs: dict[str, Cost]
    """By process: the stage's own as `stage`, the engines by their names."""

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


@contextmanager
def engines(prefix: str = "gigz-bench-", **changed: object) -> Iterator[Settings]:
    """Engines of one's own with tables and topics; whatever was started beside them is stopped first."""
    with running_engines(prefix, **changed) as settings:
        asyncio.run(_ready(settings))
        migrate_stores(settings)
        try:
            yield settings
        finally:
            stop_all(settings)


async def _ready(settings: Settings) -> None:
    await apply_topics(settings)
    # A fresh broker makes its topic of offsets when it is first asked; workers give up when it takes too long.
    async with asyncio.timeout(READY_S), kafka_admin(settings) as admin:
        while True:
            with contextlib.suppress(GroupCoordinatorNotAvailableError):
                await commits_of(admin, "gigz-bench")
                return


async def idle(settings: Settings, names: Collection[str], tell: Callable[[Lag], None] = lambda _: None) -> None:
    """Wait until nothing waits anywhere. WorkerFailed when one of these processes ends meanwhile."""

    async def check() -> None:
        workers.alive(settings, list(names))

    await until_idle(settings, deadline_s=PATIENCE_S, tell=tell, check=check)


def stop_all(settings: Settings) -> None:
    """Stop every process that is no engine."""
    workers.stop(settings, [name for name in Processes(settings.home).names() if name not in ENGINES])


@contextmanager
def lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[Path]:
    """Rows as a file."""
    with tempfile.TemporaryDirectory(prefix="gigz-input-") as folder:
        path = Path(folder) / "rows.jsonl"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        yield path


# -- what processes cost -----------------------------------------------------------------------------------------------


def cpu_seconds(process: psutil.Process) -> float:
    """Of a process and its children, those that ended included."""
    total = 0.0
    with contextlib.suppress(psutil.Error):
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


def memory_mb(process: psutil.Process, *, alone: bool) -> float:
    """Resident; with children proportional. `alone`: it has none, and nobody looks for them, which takes its time."""
    with contextlib.suppress(psutil.Error):
        children = [] if alone else process.children(recursive=True)
        if not children:
            return float(process.memory_info().rss) / 1e6
        total = 0
        for one in (process, *children):
            with contextlib.suppress(psutil.Error):
                total += one.memory_full_info().pss
        return total / 1e6
    return 0.0


@dataclass
class Meter:
    """Processes by name: their peaks while `watching`, their processor seconds when asked."""

    processes: dict[str, psutil.Process]
    peaks: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, others: Mapping[str, Process] | None = None) -> "Meter":
        """The engines, and these."""
        running = Processes(settings.home)
        found = {name: running.find(name) for name in ENGINES} | dict(others or {})
        return cls({name: psutil.Process(one.pid) for name, one in found.items() if one is not None})

    def cpu(self) -> dict[str, float]:
        """Seconds since each began."""
        return {name: cpu_seconds(process) for name, process in self.processes.items()}

    def look(self, names: Collection[str] | None = None) -> dict[str, float]:
        """Memory now, of all or of these; peaks are kept."""
        some = self.processes if names is None else {name: self.processes[name] for name in names}
        now = {name: memory_mb(process, alone=name not in ENGINES) for name, process in some.items()}
        for name, mb in now.items():
            self.peaks[name] = max(self.peaks.get(name, 0.0), mb)
        return now

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Look at the memory of our own processes every half second, at the engines' with their children less often."""

        async def look() -> None:
            for turn in count():
                own = None if turn % ENGINES_EVERY == 0 else set(self.processes) - set(ENGINES)
                await asyncio.to_thread(self.look, own)
                await asyncio.sleep(MEMORY_EVERY_S)

        looking = asyncio.create_task(look())
        try:
            yield
        finally:
            looking.cancel()
            self.look()

    def costs(self, before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, Cost]:
        """Of what lies between two readings."""
        return {name: Cost(after[name] - before[name], self.peaks.get(name, 0.0)) for name in after}


# -- one stage on a backlog --------------------------------------------------------------------------------------------

Waiting = Callable[[], Any]


@asynccontextmanager
async def backlog(settings: Settings, stage: str) -> AsyncIterator[Waiting]:
    """What asks how much waits before a stage; for the relay, in the outbox. Nothing else may write meanwhile."""
    if stage == "relay":
        async with gauge(settings) as reading:
            yield reading.outbox
        return
    async with group_backlog(settings, group_of(stage), [topic.name for topic in read_by(stage)]) as waiting:
        yield waiting


@asynccontextmanager
async def group_backlog(settings: Settings, group: str, topics: Collection[str]) -> AsyncIterator[Waiting]:
    """The same of any group, to the ends as they are now."""
    parts = [TopicPartition(topic, p) for topic in topics for p in range(settings.partitions)]
    async with kafka_admin(settings) as admin, kafka_consumer(settings, (), None) as consumer:
        begins, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)

        async def waiting() -> int:
            commits = await commits_of(admin, group)
            done = {at: max(commits[at].offset, begins[at]) if at in commits else begins[at] for at in parts}
            return sum(max(0, ends[at] - done[at]) for at in parts)

        yield waiting


async def skip(settings: Settings, stage: str, leave: int = 0) -> None:
    """Let a stage that does not run go on near the end of its topics: about so many messages of each are left to it."""
    parts = [TopicPartition(topic.name, p) for topic in read_by(stage) for p in range(settings.partitions)]
    async with kafka_consumer(settings, (), group_of(stage)) as consumer:
        consumer.assign(parts)
        begins, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
        kept = -(-leave // settings.partitions)
        await consumer.commit({at: max(begins[at], ends[at] - kept) for at in parts})


async def drain(settings: Settings, waiting: Waiting, name: str, start: Callable[[], Process]) -> Drained:
    """Start a process and let it work its backlog off; what lies between its first commit and its last is measured.

    What lies before the first commit does not count: starting a process is not its speed. TooLittle for one commit.
    """
    left: int = await waiting()
    meter = Meter.of(settings, {"stage": start()})
    commits: list[tuple[float, int]] = []
    before: dict[str, float] = {}
    async with meter.watching():
        while left:
            await asyncio.sleep(LOOK_S)
            now = await waiting()
            workers.alive(settings, [name])
            if now < left:
                commits.append((time.monotonic(), now))
                before = before or meter.cpu()
            left = now
        after = meter.cpu()
    workers.stop(settings, [name])
    if len(commits) < 2:
        raise TooLittle(f"{name}: one commit is too little to measure. Remedy: more --rows.")
    (began, most), (ended, least) = commits[0], commits[-1]
    return Drained(most - least, ended - began, meter.costs(before, after))


async def drain_stage(settings: Settings, stage: str, worker: str | None = None) -> Drained:
    """One of our own workers; `worker`, where a stage lives in another's process."""
    name = f"{worker or stage}-1"
    async with backlog(settings, stage) as waiting:
        return await drain(settings, waiting, name, lambda: workers.start_worker(settings, name))
