"""Messages a second of each stage, each alone on a full backlog, on engines of its own. `make bench`.

The input is the demo's facts, repeated under other source ids and years until there are enough. Machines are noisy and
stages differ in what a message costs them: compare figures of one run only.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.feed import feed
from deploy.flow import gauge
from deploy.local import stack, workers
from deploy.local.demo.run import SAMPLE_HISTORY
from deploy.migrate import migrate_stores
from deploy.settings import Settings, load
from deploy.topics import apply_topics
from tests.support import ANY_FREE_PORTS, ROOT

FACTS = ROOT / "deploy" / "local" / "demo" / "facts"
USERS = 40


def listings(wanted: int) -> Iterator[dict[str, Any]]:
    """Rows of the demo's catalogues, moved by a year a round: other nights, other ids, the same names and places."""
    rows = [
        json.loads(line) for name in ("gdshowsdb", "jerrybase", "songkick") for line in _lines(FACTS / f"{name}.jsonl")
    ]
    made = 0
    for turn in range(1_000):
        for row in rows:
            if made == wanted:
                return
            made += 1
            year, _, rest = str(row["date"]).partition("-")
            date = f"{1900 + (int(year) + turn) % 120}-{rest if rest != '02-29' else '02-28'}"
            yield row | {"source_id": f"{turn}-{row['source_id']}", "date": date}


def entries() -> Iterator[dict[str, Any]]:
    """The sample history under many users."""
    for line in _lines(SAMPLE_HISTORY):
        for user in range(USERS):
            yield json.loads(line) | {"user": f"user-{user}"}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


async def drain(settings: Settings, stage: str, worker: str = "") -> tuple[int, float]:
    """Start one worker of a stage; messages and seconds between its first commit and its last.

    What lies before the first commit is not counted: starting a process is not its speed.
    """
    async with gauge(settings) as reading:
        backlog = await reading.waiting(stage)
        workers.start_worker(settings, f"{worker or stage}-1")
        commits: list[tuple[float, int]] = []
        left = backlog
        while left:
            await asyncio.sleep(0.02)
            now = await reading.waiting(stage)
            if now < left:
                commits.append((time.monotonic(), now))
            left = now
            workers.alive(settings, [f"{worker or stage}-1"])
    if len(commits) < 2:
        raise SystemExit(f"{stage}: {backlog} messages were one commit, too few to measure. Remedy: more --rows.")
    return commits[0][1] - commits[-1][1], commits[-1][0] - commits[0][0]


async def measure(settings: Settings, rows: int, folder: Path) -> list[tuple[str, int, float]]:
    """Every stage in the order of the flow, one at a time."""
    (folder / "listings.jsonl").write_text("\n".join(json.dumps(row) for row in listings(rows)), encoding="utf-8")
    (folder / "entries.jsonl").write_text("\n".join(json.dumps(row) for row in entries()), encoding="utf-8")
    await apply_topics(settings)
    migrate_stores(settings)
    began = time.monotonic()
    await feed(settings, [folder / "listings.jsonl"], "raw-event")
    results = [("feed", rows, time.monotonic() - began)]
    for stage in ("normalise", "resolve", "relay", "sink-clickhouse", "sink-postgres", "sink-meilisearch"):
        results.append((stage, *await drain(settings, stage)))
        workers.stop(settings, [f"{stage}-1"])
    # There are no entries yet that concerts could concern: only reading them and looking is measured.
    results.append(("rematch", *await drain(settings, "rematch", "match")))
    workers.stop(settings, ["match-1"])
    await feed(settings, [folder / "entries.jsonl"], "history")
    results.append(("match", *await drain(settings, "match")))
    return results


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="listings to send")
    rows = parser.parse_args().rows
    console = Console()
    with tempfile.TemporaryDirectory(prefix="gigz-bench-") as folder:
        settings = load({"home": Path(folder) / "home", **ANY_FREE_PORTS})
        try:
            stack.up(settings)
            results = asyncio.run(measure(settings, rows, Path(folder)))
        finally:
            workers.stop(settings, workers.WORKERS)
            stack.down(settings)
    table = Table("stage", "messages", "seconds", "messages/s", title=f"{rows:,} listings", title_justify="left")
    for stage, messages, seconds in results:
        table.add_row(stage, f"{messages:,}", f"{seconds:.1f}", f"{messages / seconds:,.0f}" if seconds else "")
    console.print(table)


if __name__ == "__main__":
    main()
