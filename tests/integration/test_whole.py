"""The whole of Gigz on engines of its own: the stores agree, and neither order nor crashes change anything."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import select

from deploy.clients import postgres_engine
from deploy.feed import feed
from deploy.flow import flows, gauge
from deploy.local import stack, workers
from deploy.local.demo import run
from deploy.local.processes import Processes
from deploy.migrate import migrate_stores
from deploy.settings import Settings, load
from deploy.topics import apply_topics
from matchers.judge.evaluate import first_right
from schemas.suggestion import Suggestions
from schemas.tables import ConcertRow
from sinks.counts import count_stores
from tests.support import ANY_FREE_PORTS, ROOT

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
WORKERS = (*workers.WORKERS, workers.API)


@contextmanager
def own_stack(home: Path) -> Iterator[Settings]:
    """Engines and workers in a folder of their own: topics have fixed names, so each run needs a broker of its own."""
    settings = load({"home": home, **ANY_FREE_PORTS})
    try:
        stack.up(settings)
        asyncio.run(apply_topics(settings))
        migrate_stores(settings)
        yield settings
    finally:
        workers.stop(settings, WORKERS)
        stack.down(settings)


@dataclass(frozen=True)
class Result:
    """What a run ended with; revs, offsets and instants left out."""

    stores: dict[str, dict[str, int]]
    concerts: dict[str, Any]
    suggestions: dict[tuple[str, str], Any]
    sets: list[Suggestions]
    rejected: int


async def result_of(settings: Settings) -> Result:
    """Read the end state from the stores."""
    engine = postgres_engine(settings)
    async with engine.connect() as connection:
        bodies = (await connection.execute(select(ConcertRow.body).where(ConcertRow.live))).scalars().all()
    await engine.dispose()
    sets = await run.present_sets(settings)
    return Result(
        stores=await count_stores(settings),
        concerts={body["concert_id"]: body | {"rev": 0} for body in bodies},
        suggestions={(one.user, one.entry_id): one.model_dump(mode="json", exclude={"rev", "made_at"}) for one in sets},
        sets=sets,
        rejected=sum(row.rejected for row in await flows(settings)),
    )


def kill(settings: Settings, name: str) -> None:
    """SIGKILL: whoever waits for the messages sees to a new one in its place."""
    process = Processes(settings.home).find(name)
    assert process is not None, f"{name} does not run"
    os.kill(process.pid, signal.SIGKILL)
    while process.is_alive():
        pass


async def waiting(settings: Settings) -> int:
    """Messages that wait anywhere."""
    async with gauge(settings) as reading:
        lag = await reading.lag()
    return sum(lag.waiting.values()) + lag.outbox


async def go(settings: Settings, data: Path, kills: list[str]) -> Result:
    """Listings and entries in, at once, while the workers of `kills` are killed one after the other."""
    step = run.Steps(Console(quiet=True))
    await run.start_all(settings, step)
    source = run.demo_input(data)
    for path, topic in source.listings:
        await feed(settings, [path], topic)
    await feed(settings, [source.entries], "history")
    streaming = asyncio.create_task(run.stream(settings, step, "everything", WORKERS))
    in_the_middle = 0
    for name in kills:
        in_the_middle += await waiting(settings) > 0
        kill(settings, name)
        await asyncio.sleep(0.7)
    assert in_the_middle >= len(kills) // 2, "the workers were killed when there was nothing left to do"
    await streaming
    await run.stream(settings, step, "what was left", WORKERS)
    return await result_of(settings)


@pytest.mark.long
@pytest.mark.data
def test_neither_order_nor_kills_change_what_comes_out_of_the_real_data(data_dir: Path, tmp_path: Path) -> None:
    with own_stack(tmp_path / "first") as settings:
        first = asyncio.run(go(settings, data_dir, []))
    shuffled = tmp_path / "data"
    for name in ("listings/grateful_dead.jsonl", "histories/concerts.jsonl", "histories/entries.jsonl"):
        lines = (data_dir / name).read_text(encoding="utf-8").splitlines()
        random.Random(7).shuffle(lines)
        (shuffled / name).parent.mkdir(parents=True, exist_ok=True)
        (shuffled / name).write_text("\n".join(lines), encoding="utf-8")
    with own_stack(tmp_path / "second") as settings:
        second = asyncio.run(go(settings, shuffled, list(workers.WORKERS)))

    assert first.stores["kafka"]["listings"] == 2_147 + 838
    for result in (first, second):
        stores = result.stores
        assert stores["kafka"] == stores["postgres"] == stores["clickhouse"]
        assert stores["meilisearch"]["concerts"] == stores["kafka"]["concerts"]
        assert result.rejected == 0
        assert len(result.suggestions) == 1_073
    assert first.stores == second.stores
    assert first.concerts == second.concerts
    assert first.suggestions == second.suggestions

    rows = [json.loads(line) for line in (data_dir / "histories/entries.jsonl").read_text("utf-8").splitlines()]
    right, labelled = first_right([row for row in rows if row["label"] == "match"], first.sets)
    assert labelled == 786
    assert right / labelled >= 0.95


def demo(home: Path, *arguments: str) -> dict[str, Any]:
    """`gigz demo --once --json`, as a person runs it; the object on its last line."""
    ports = {f"GIGZ_{name.upper()}": "0" for name in ANY_FREE_PORTS}
    done = subprocess.run(
        [sys.executable, "gigz.py", "demo", "--once", "--json", *arguments],
        cwd=ROOT,
        env={**os.environ, "GIGZ_HOME": str(home), **ports},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def test_the_demo_confirms_a_show_and_a_second_one_adds_nothing(tmp_path: Path) -> None:
    first = demo(tmp_path / "home")
    assert first["confirmed"] == 1
    for counts in (first["stores"]["kafka"], first["stores"]["postgres"], first["stores"]["clickhouse"]):
        assert counts == first["stores"]["kafka"]
    assert first["stores"]["kafka"]["listings"] > 300
    assert first["stores"]["meilisearch"]["concerts"] == first["stores"]["kafka"]["concerts"] > 200
    assert first["stages"]["normalise"]["in"] == (
        first["stages"]["normalise"]["out"] + first["stages"]["normalise"]["rejected"]
    )
    assert first["labelled"] >= 45
    assert first["first_right"] / first["labelled"] >= 0.9
    second = demo(tmp_path / "home")
    assert second["stores"] == first["stores"]
    for stage in ("resolve", "api"):
        assert second["stages"][stage]["out"] == first["stages"][stage]["out"], "what was known was published again"
    assert second["confirmed"] == 1
