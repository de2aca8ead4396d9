"""The stages in Faust (as they ship), arroyo and Quix Streams: listings a second, processor time, memory.

The pure functions, the stores, the producer's promises and the order of effects are the same; what differs is who reads
Kafka and commits. Relay and sinks are ours in all three. Frameworks take turns in every round, each on engines of its
own, with the same input: only ratios of one round count on a noisy machine.
"""

import asyncio
import hashlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.feed import feed
from deploy.flow import SINKS, Lag
from deploy.local import workers
from deploy.local.processes import Process, Processes
from deploy.local.room import python_environment
from deploy.settings import Settings, environment_for
from tests.bench.inputs import A_SHOW, entries, listings
from tests.bench.measuring import (
    Cost,
    Meter,
    TooLittle,
    backlog,
    drain,
    drain_stage,
    engines,
    idle,
    lines,
    skip,
    stop_all,
)
from tests.bench.weighing import Weights, weigh
from tests.support import ROOT

FRAMEWORKS = ("faust", "arroyo", "quix")
PEERS = FRAMEWORKS[1:]
STAGES = ("normalise", "resolve", "match")
QUICK = 5
"""Times as many messages for normalise: it is so quick that fewer would be worked off before it commits twice."""
SECOND = 10_000_000
"""The first show of the input end to end."""
OURS = ("relay-1", "sink-clickhouse-1", "sink-postgres-1", "sink-meilisearch-1")
END_TO_END = "end to end"


@dataclass(frozen=True)
class Figure:
    """One stage, or the whole, once."""

    framework: str
    what: str
    messages: int
    seconds: float
    costs: dict[str, Cost]

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


def python_of(peer: str) -> Path:
    """Of a peer's own environment, made or not."""
    return ROOT / f".venv-{peer}" / "bin" / "python"


def environment_of(peer: str) -> Path:
    """The Python of a peer's own environment, from the lock and requirements/peer-NAME.txt; anew when they changed."""
    python = python_of(peer)
    pinned = [ROOT / "requirements" / name for name in ("lock.txt", f"peer-{peer}.txt")]
    asked = hashlib.sha256(b"".join(file.read_bytes() for file in pinned)).hexdigest()
    stamp = python.parents[1] / "installed-from"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != asked:
        subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
        for file in pinned:  # one after the other: a peer may want another version of what the lock has
            install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
            if subprocess.run([*install, "--python", str(python), "-r", str(file)], check=False).returncode:
                raise SystemExit(
                    f"{file.name} could not be installed into {stamp.parent.name}. Remedy: see what uv says above; "
                    "or leave the other frameworks out: --parts stores,latency,memory."
                )
        stamp.write_text(asked, encoding="utf-8")
    return python


def start(settings: Settings, framework: str, stage: str) -> Process:
    """A process of a stage."""
    if framework == "faust":
        return workers.start_worker(settings, f"{stage}-1")
    argv = [str(environment_of(framework)), "-m", f"tests.bench.peers.{framework}_peer", stage]
    environment = python_environment(environment_for(settings))
    return Processes(settings.home).start(f"{stage}-1", argv, environment=environment)


async def _drained(settings: Settings, framework: str, stage: str, worker: str = "") -> list[Figure]:
    """One figure; none where another framework committed everything at once: that round has no speed of it."""
    async with backlog(settings, stage) as waiting:
        name = f"{worker or stage}-1"
        try:
            one = await drain(settings, waiting, name, lambda: start(settings, framework, worker or stage))
        except TooLittle:
            if framework == "faust":
                raise
            return []
    return [Figure(framework, stage, one.messages, one.seconds, one.costs)]


async def stage_by_stage(settings: Settings, framework: str, rows: Path, remembered: Path, count: int) -> list[Figure]:
    """Each alone, in the order of the flow; the relay between them is ours.

    match is measured twice: on concerts, when nobody remembers anything yet (rematch: reading and looking), and on
    entries whose concerts are all there.
    """
    await feed(settings, [rows], "raw-event")
    figures = await _drained(settings, framework, "normalise")
    await skip(settings, "resolve", leave=count)
    figures += await _drained(settings, framework, "resolve")
    relayed = await drain_stage(settings, "relay")
    if framework == "faust":
        figures.append(Figure(framework, "relay", relayed.messages, relayed.seconds, relayed.costs))
    figures += await _drained(settings, framework, "rematch", "match")
    await feed(settings, [remembered], "history")
    figures += await _drained(settings, framework, "match")
    return figures


async def end_to_end(settings: Settings, framework: str, rows: Path, count: int) -> Figure:
    """Everything runs; from the first listing sent until nothing waits anywhere. Histories are there before."""
    for sink in SINKS:  # what the stages before left to them is no part of this
        await skip(settings, sink)
    started = {f"{stage}-1": start(settings, framework, stage) for stage in STAGES}
    started |= {name: workers.start_worker(settings, name) for name in OURS}
    await idle(settings, started)
    meter = Meter.of(settings, started)
    before = meter.cpu()
    async with meter.watching():
        seconds = await through(settings, started, rows)
    return Figure(framework, END_TO_END, count, seconds, meter.costs(before, meter.cpu()))


async def through(settings: Settings, names: Collection[str], rows: Path) -> float:
    """Feed a file of listings; seconds until the first look that finds nothing waiting, for good."""
    began = time.monotonic()
    idle_at = 0.0

    def tell(lag: Lag) -> None:
        nonlocal idle_at
        idle_at = (idle_at or time.monotonic()) if lag.idle else 0.0

    await feed(settings, [rows], "raw-event")
    await idle(settings, names, tell)
    return idle_at - began


def measure(rows: int, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """All of it, frameworks in turn: the first in one round is the second in the next."""
    figures: list[Figure] = []
    weights: Weights = {}
    remembered = rows // 3
    left = int((QUICK - 1) * rows / A_SHOW)  # the first show that skipping leaves to resolve
    with (
        lines(listings(QUICK * rows)) as first,
        lines(listings(rows, first_show=SECOND)) as second,
        lines([*entries(remembered, left), *entries(remembered, SECOND)]) as histories,
    ):
        for number in range(rounds):
            for framework in FRAMEWORKS[number % 3 :] + FRAMEWORKS[: number % 3]:
                with engines() as settings:
                    found = asyncio.run(stage_by_stage(settings, framework, first, histories, rows))
                    stop_all(settings)
                    found.append(asyncio.run(end_to_end(settings, framework, second, rows)))
                    if framework == "faust":
                        weights = asyncio.run(weigh(settings))
                for one in found:
                    say(f"round {number + 1}  {framework:7} {one.what:11} {one.rate:8,.0f}/s")
                figures += found
    told = [asdict(one) for one in figures]
    return {"rows": rows, "entries": 2 * remembered, "rounds": rounds, "figures": told, "bytes": weights}


def medians(figures: list[dict[str, Any]], framework: str, what: str) -> dict[str, Any] | None:
    """The rounds of one framework and stage as one: medians of rate and processor time a message, the highest peak."""
    found = [one for one in figures if (one["framework"], one["what"]) == (framework, what)]
    if not found:
        return None
    rates = [one["messages"] / one["seconds"] for one in found]
    names = found[0]["costs"]
    return {
        "rate": statistics.median(rates),
        "lowest": min(rates),
        "highest": max(rates),
        "messages": statistics.median(one["messages"] for one in found),
        "cpu_ms": {
            name: statistics.median(1000 * one["costs"][name]["cpu_s"] / one["messages"] for one in found)
            for name in names
        },
        "cpu_s": {name: statistics.median(one["costs"][name]["cpu_s"] for one in found) for name in names},
        "peak_mb": {name: max(one["costs"][name]["peak_mb"] for one in found) for name in names},
    }
