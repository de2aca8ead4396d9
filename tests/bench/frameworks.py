"""The same stages in Faust (as they ship), arroyo and Quix Streams: listings a second, processor time, memory.

    python -m tests.bench.frameworks [--rows N] [--rounds N] [--json FILE]

The pure functions, the stores, the producer's promises and the order of effects are the same; what differs is who reads
Kafka and commits. Relay and sinks are ours in all three. Frameworks take turns in every round, each on engines of its
own: only ratios of one round count on a noisy machine.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from deploy.feed import feed
from deploy.flow import gauge, until_idle
from deploy.local import workers
from deploy.local.processes import Processes
from deploy.local.room import python_environment
from deploy.migrate import migrate_stores
from deploy.settings import Settings, environment_for
from deploy.topics import apply_topics
from tests.bench.stages import entries, listings
from tests.support import ROOT, running_engines

FRAMEWORKS = ("faust", "arroyo", "quix")
STAGES = ("normalise", "resolve", "match")
OURS = ("relay-1", "sink-clickhouse-1", "sink-postgres-1", "sink-meilisearch-1")
PATIENCE_S = 1_800.0


@dataclass(frozen=True)
class Figure:
    """One stage, or the whole, once."""

    framework: str
    what: str
    messages: int
    seconds: float
    cpu_s: float
    peak_mb: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


def environment_of(peer: str) -> Path:
    """The Python of a peer's own environment, made once from the lock and requirements/peer-NAME.txt."""
    python = ROOT / f".venv-{peer}" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
        pinned = [ROOT / "requirements" / name for name in ("lock.txt", f"peer-{peer}.txt")]
        install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        files = [word for file in pinned for word in ("-r", str(file))]
        subprocess.run([*install, "--python", str(python), *files], check=True)
    return python


def start(settings: Settings, framework: str, stage: str) -> psutil.Process:
    """A process of a stage."""
    if framework == "faust":
        process = workers.start_worker(settings, f"{stage}-1")
    else:
        argv = [str(environment_of(framework)), "-m", f"tests.bench.peers.{framework}_peer", stage]
        environment = {**python_environment(environment_for(settings)), "PYTHONPATH": str(ROOT)}
        process = Processes(settings.home).start(f"{stage}-1", argv, environment=environment)
    return psutil.Process(process.pid)


@contextmanager
def prepared(rows: int) -> Iterator[tuple[Settings, Path]]:
    """Engines with tables and topics, and the input beside them."""
    with tempfile.TemporaryDirectory(prefix="gigz-input-") as name, running_engines("gigz-bench-") as settings:
        folder = Path(name)
        for file, lines in (("listings", listings(rows)), ("entries", entries())):
            (folder / f"{file}.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        asyncio.run(apply_topics(settings))
        migrate_stores(settings)
        try:
            yield settings, folder
        finally:
            workers.stop(settings, [*(f"{stage}-1" for stage in STAGES), *OURS])


async def drained(settings: Settings, framework: str, stage: str) -> Figure:
    """One stage alone on its backlog, from its first commit to its last: starting is not its speed."""
    async with gauge(settings) as reading:
        left = await reading.waiting(stage)
        process = start(settings, framework, stage)
        commits: list[tuple[float, int, float]] = []
        peak = 0.0
        while left:
            await asyncio.sleep(0.05)
            now = await reading.waiting(stage)
            workers.alive(settings, [f"{stage}-1"])
            peak = max(peak, process.memory_info().rss / 1e6)
            if now < left:
                times = process.cpu_times()
                commits.append((time.monotonic(), now, times.user + times.system))
            left = now
    workers.stop(settings, [f"{stage}-1"])
    if len(commits) < 2:
        raise SystemExit(f"{framework} {stage}: one commit is too little to measure. Remedy: more --rows.")
    (began, most, cpu), (ended, least, spent) = commits[0], commits[-1]
    return Figure(framework, stage, most - least, ended - began, spent - cpu, peak)


async def stage_by_stage(settings: Settings, folder: Path, framework: str) -> list[Figure]:
    """Each alone, in the order of the flow; the relay between them is ours."""
    await feed(settings, [folder / "listings.jsonl"], "raw-event")
    figures = [await drained(settings, framework, "normalise"), await drained(settings, framework, "resolve")]
    workers.start_worker(settings, "relay-1")
    async with gauge(settings) as reading:
        while await reading.outbox():  # noqa: ASYNC110 - looks at a table
            await asyncio.sleep(0.2)
    await feed(settings, [folder / "entries.jsonl"], "history")
    figures.append(await drained(settings, framework, "match"))
    return figures


async def end_to_end(settings: Settings, folder: Path, framework: str, rows: int) -> Figure:
    """Everything runs; from the first listing sent until nothing waits anywhere."""
    processes = [start(settings, framework, stage) for stage in STAGES]
    for name in OURS:
        processes.append(psutil.Process(workers.start_worker(settings, name).pid))
    await feed(settings, [folder / "entries.jsonl"], "history")
    await until_idle(settings, deadline_s=PATIENCE_S)
    before = sum(_spent(process) for process in processes)
    began = time.monotonic()
    await feed(settings, [folder / "listings.jsonl"], "raw-event")
    await until_idle(settings, deadline_s=PATIENCE_S)
    seconds = time.monotonic() - began
    workers.alive(settings, [*(f"{stage}-1" for stage in STAGES), *OURS])
    cpu = sum(_spent(process) for process in processes) - before
    return Figure(framework, "end to end", rows, seconds, cpu, sum(p.memory_info().rss for p in processes) / 1e6)


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def measured(rows: int, rounds: int, console: Console) -> list[Figure]:
    """All of it, frameworks in turn."""
    figures: list[Figure] = []
    for number in range(rounds):
        turn = FRAMEWORKS[number % 3 :] + FRAMEWORKS[: number % 3]
        for framework in turn:
            with prepared(rows) as (settings, folder):
                figures += asyncio.run(stage_by_stage(settings, folder, framework))
            with prepared(rows) as (settings, folder):
                figures.append(asyncio.run(end_to_end(settings, folder, framework, rows)))
            for figure in figures[-len(STAGES) - 1 :]:
                console.print(f"round {number + 1} {figure.framework:7} {figure.what:11} {figure.rate:,.0f}/s")
    return figures


def table(figures: list[Figure]) -> Table:
    """Medians over the rounds; the ratio is to the faster of the two peers."""
    shown = Table("", *FRAMEWORKS, "to the faster peer", "CPU s (f/a/q)", "peak MB (f/a/q)")
    for what in (*STAGES, "end to end"):
        of = {name: [one for one in figures if (one.framework, one.what) == (name, what)] for name in FRAMEWORKS}
        rates = {name: statistics.median(one.rate for one in found) for name, found in of.items()}
        cpu = "/".join(f"{statistics.median(one.cpu_s for one in found):.1f}" for found in of.values())
        peak = "/".join(f"{max(one.peak_mb for one in found):,.0f}" for found in of.values())
        ratio = rates["faust"] / max(rates["arroyo"], rates["quix"])
        shown.add_row(what, *(f"{rates[name]:,.0f}/s" for name in FRAMEWORKS), f"{ratio:.2f}x", cpu, peak)
    return shown


def main() -> None:
    """Print a table; keep the figures where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, help="listings to send")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=None, help="where the figures go")
    given = parser.parse_args()
    os.environ.setdefault("GIGZ_LOG_LEVEL", "WARNING")
    for peer in FRAMEWORKS[1:]:
        environment_of(peer)
    console = Console()
    figures = measured(given.rows, given.rounds, console)
    console.print(table(figures))
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in figures], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
