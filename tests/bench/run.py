"""`make bench`: what Gigz does in a second, beside two other frameworks and beside bare loops, and how soon, in what
memory. On engines of its own, which it starts and stops.

    python -m tests.bench.run [--parts stages,stores,latency,memory,profile] [--quick] [--out FOLDER] ...

Each part that ends well is written to docs/benchmarks at once, with the machine, versions and date, and the figures of
docs/scale.md follow; with --quick, whose sizes say little, only where --out tells. Two parts run when they are asked
for by name: `memory`, since a million messages take their time, and `profile`, which needs py-spy.
"""

import argparse
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.bench import frameworks, latency, memory, profiles, report, scale, stores
from tests.bench.machine import machine, versions


@dataclass(frozen=True)
class Sizes:
    """Of every part."""

    rows: int
    rounds: int
    store_rows: int
    store_rounds: int
    latency_rows: int
    latency_seconds: int
    messages: int


FULL = Sizes(6_000, 3, 30_000, 3, 6_000, 240, 1_000_000)
QUICK = Sizes(2_500, 1, 20_000, 1, 1_500, 15, 5_000)


def chosen() -> tuple[list[str], Sizes, Path | None]:
    """The command line: parts, sizes, and where results go."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="stages,stores,latency", help="of stages, stores, latency, memory, profile")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: to see that it runs")
    parser.add_argument("--rows", type=int, help="listings of the stages, each round")
    parser.add_argument("--rounds", type=int, help="of the stages and of the stores")
    parser.add_argument("--store-rows", type=int, help="listings of the stores, each round")
    parser.add_argument("--latency-seconds", type=int, help="how long listings flow at half load")
    parser.add_argument("--messages", type=int, help="that every worker takes in the part memory")
    parser.add_argument("--out", type=Path, help="folder of the results; docs/benchmarks unless --quick")
    given = parser.parse_args()
    parts = given.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--parts: there is no {min(unknown)}. Remedy: some of {','.join(PARTS)}.")
    base = QUICK if given.quick else FULL
    sizes = Sizes(
        rows=given.rows or base.rows,
        rounds=given.rounds or base.rounds,
        store_rows=given.store_rows or base.store_rows,
        store_rounds=given.rounds or base.store_rounds,
        latency_rows=given.rows or base.latency_rows,
        latency_seconds=given.latency_seconds or base.latency_seconds,
        messages=given.messages or base.messages,
    )
    return parts, sizes, given.out or (None if given.quick else report.FOLDER)


Say = Callable[[str], None]
PARTS: dict[str, Callable[[Sizes, Say], dict[str, Any]]] = {
    "stages": lambda sizes, say: frameworks.measure(sizes.rows, sizes.rounds, say),
    "stores": lambda sizes, say: stores.measure(sizes.store_rows, sizes.store_rounds, say),
    "latency": lambda sizes, say: latency.measure(sizes.latency_rows, sizes.latency_seconds, say),
    "memory": lambda sizes, say: memory.measure(sizes.messages, say),
    "profile": lambda sizes, say: profiles.measure(sizes.rows, say),
}


def rounded(value: Any) -> Any:
    """Numbers to four places: more is noise."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {str(name): rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value


def main() -> None:
    """Measure, tell, write."""
    parts, sizes, folder = chosen()
    console = Console(highlight=False)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a fresh broker's "not leader yet", a hundred times
    results: dict[str, Any] = report.read(folder) if folder else {}
    for name in parts:
        if name == "stages":
            for peer in frameworks.PEERS:
                frameworks.environment_of(peer)
        about = {"machine": machine(), "versions": versions()}
        console.print(f"[bold]{name}[/bold] load {about['machine']['load_at_start']}")
        began = time.monotonic()
        found = PARTS[name](sizes, lambda line: console.print(f"  {line}"))
        results[name] = rounded(about | {"minutes": (time.monotonic() - began) / 60} | found)
        if folder:
            report.write(folder, results)
            if folder.resolve() == report.FOLDER and {"stages", "stores"} <= results.keys():
                scale.main()
    console.print(report.rendered(results)[report.PAGE], markup=False, soft_wrap=True)
    if folder:
        console.print(f"written to {folder}")


if __name__ == "__main__":
    main()
