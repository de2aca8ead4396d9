"""`make bench-api`: fifty people at the API, on engines and data of its own; docs/benchmarks/api.md is written from it.

    python -m tests.bench.api_load [--concerts N] [--entries N] [--users N] [--seconds N] [--think S] [--out FOLDER]

Locust asks, one process of the API answers as `gigz api` starts it, limits, log and all, and a bare route beside it, in
a process of its own, is asked in turn with the others. Latencies in milliseconds say how fast this machine was while it
also ran the engines and locust; what is judged is a route's median by that of the bare route in the same minutes, and
that nothing failed. The last line is the verdict, the exit code says the same.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

from api.tokens import issue_token
from deploy.migrate import migrate_stores
from deploy.settings import Settings
from tests.api.processes import started
from tests.bench.api_data import Known, fill
from tests.bench.machine import machine, versions
from tests.bench.report import table
from tests.support import ROOT, running_engines

FOLDER = ROOT / "docs" / "benchmarks"
RESULTS, PAGE = "api.json", "api.md"
PEOPLE = 50
BARE = "bare"
LIMITS = {
    "query": (50, 150, 300),
    "joins": (150, 400, 800),
    "figures": (150, 400, 800),
    "search": (100, 300, 600),
    "write": (150, 350, 700),
}
"""P50, P95 and P99 in ms, as the conventions have them; the goal is half."""
GATES = {"query": 6.0, "joins": 30.0, "figures": 60.0, "search": 20.0, "write": 30.0}
"""A route's median by that of the bare route in the same run, at most. Figures are counted by ClickHouse, which here is
one process that takes one question after the other: 40 to 80 ms of its time each. Twice what a quiet machine showed."""
KINDS = {
    "GET /v1/suggestions": "joins",
    "GET /v1/suggestions (next page)": "joins",
    "GET /v1/suggestions (band, state)": "joins",
    "GET /v1/journal": "joins",
    "GET /v1/journal/stats": "figures",
    "GET /v1/artists/{id}/history": "figures",
    "GET /v1/venues/{id}/history": "figures",
    "GET /v1/concerts/{id}": "query",
    "GET /v1/preferences": "query",
    "GET /v1/search": "search",
    "GET /v1/search/artists": "search",
    "POST /v1/suggestions/{id}/confirm": "write",
    "POST /v1/suggestions/{id}/dismiss": "write",
    "POST /v1/suggestions/{id}/undo": "write",
    "POST /v1/journal": "write",
    "POST /v1/history": "write",
}
LEAST = 20
"""Requests of a route below which its percentiles say nothing, and a run does not count."""


@dataclass(frozen=True)
class Measured:
    """One route."""

    route: str
    requests: int
    errors: int
    p50: float
    p95: float
    p99: float


def measured(times: Mapping[str, Mapping[str, Any]]) -> list[Measured]:
    """From milliseconds to percentiles, route by route."""
    return [
        Measured(
            route,
            len(one["ms"]),
            len(one["errors"]),
            *(round(percentile(sorted(one["ms"]), share), 1) for share in (0.5, 0.95, 0.99)),
        )
        for route, one in sorted(times.items())
    ]


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank: a latency that was seen."""
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


def verdict(found: Sequence[Measured]) -> list[str]:
    """What is wrong; empty: PASS."""
    by_route = {one.route: one for one in found}
    wrong = [f"{route} was not asked" for route in (BARE, *KINDS) if route not in by_route]
    wrong += [f"{one.route}: {one.requests} requests are too few" for one in found if one.requests < LEAST]
    wrong += [f"{one.route}: {one.errors} errors" for one in found if one.errors]
    bare = by_route.get(BARE)
    for one in found:
        if one.route in KINDS and bare is not None:
            ratio, gate = one.p50 / bare.p50, GATES[KINDS[one.route]]
            if ratio > gate:
                wrong.append(f"{one.route}: {ratio:.1f} times the bare route, {gate:.0f} is the most")
    return wrong


# -- the run ----------------------------------------------------------------------------------------------------------


def run(settings: Settings, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Fill, ask, count."""
    more = {name: version(name) for name in ("litestar", "uvicorn", "locust")}
    at = {"machine": machine(), "versions": versions() | more}
    began = monotonic()
    migrate_stores(settings)
    known = asyncio.run(fill(settings, asked.concerts, asked.entries, asked.users))
    print(f"{asked.concerts:,} concerts, {asked.entries:,} entries after {monotonic() - began:.0f} s", flush=True)
    # What a process is started with is what `gigz api` has; its level of logs is that of production.
    local = settings.model_copy(update={"log_format": "json", "log_level": "INFO"})
    with (
        started(local, "gigz", "api", "--port", "0") as api,
        started(local, "tests.bench.api_bare") as bare,
    ):
        times = _ask(settings, asked, folder, known, api.address, bare.address)
    found = measured(times)
    return {
        **at,
        "minutes": (monotonic() - began) / 60,
        "people": PEOPLE,
        "think_s": asked.think,
        "seconds": asked.seconds,
        "concerts": asked.concerts,
        "entries": asked.entries,
        "users": asked.users,
        "routes": [asdict(one) for one in found],
        "errors": {name: one["errors"][:5] for name, one in times.items() if one["errors"]},
    }


def _ask(
    settings: Settings, asked: argparse.Namespace, folder: Path, known: Known, address: str, bare: str
) -> dict[str, Any]:
    now = datetime.now(UTC)
    lasting = settings.model_copy(update={"access_token_minutes": 240})
    users = {user: {"token": issue_token(lasting, user, now), "open": still} for user, still in known.users.items()}
    kept, times = folder / "known.json", folder / "times.json"
    kept.write_text(json.dumps(asdict(known) | {"users": users}), encoding="utf-8")
    argv = [
        *(sys.executable, "-m", "locust", "--locustfile", str(ROOT / "tests" / "bench" / "api_locustfile.py")),
        *("--headless", "--only-summary", "--loglevel", "WARNING", "--host", address),
        *("--users", str(PEOPLE), "--spawn-rate", "10", "--run-time", f"{asked.seconds}s", "--stop-timeout", "30"),
        *("--known", str(kept), "--bare", bare, "--times", str(times), "--think", str(asked.think)),
    ]
    # Its exit code is 1 where a request failed: that is the verdict's to say.
    subprocess.run(argv, cwd=folder, check=False, timeout=asked.seconds + 120)
    found: dict[str, Any] = json.loads(times.read_text(encoding="utf-8"))
    return found


# -- the page ---------------------------------------------------------------------------------------------------------


def page(results: Mapping[str, Any]) -> str:
    """docs/benchmarks/api.md, from the results alone."""
    found = [Measured(**one) for one in results["routes"]]
    bare = next(one for one in found if one.route == BARE)
    rows = []
    for one in sorted(
        found, key=lambda one: (one.route != BARE, list(KINDS).index(one.route) if one.route in KINDS else 0)
    ):
        kind = KINDS.get(one.route, "")
        limits = LIMITS.get(kind)
        seen = (one.p50, one.p95, one.p99)
        rows.append(
            [
                one.route,
                kind,
                f"{one.requests:,}",
                str(one.errors),
                " / ".join(f"{value:.0f}" for value in seen),
                " / ".join(map(str, limits)) if limits else "",
                _standing(seen, limits) if limits else "",
                f"{one.p50 / bare.p50:.1f}x" if kind else "",
                f"{GATES[kind]:.0f}x" if kind else "",
            ]
        )
    head = ["", "kind", "requests", "errors", "p50 / p95 / p99, ms", "limits, ms", "as seen", "to bare", "gate"]
    wrong = verdict(found)
    at = results["machine"]
    load = " ".join(str(one) for one in at["load_at_start"])
    told = ", ".join(f"{name} {number}" for name, number in sorted(results["versions"].items()))
    said = "**PASS**: no errors, every route within its gate." if not wrong else "**FAIL**: " + "; ".join(wrong) + "."
    return f"""# The API under fifty people

Written by `make bench-api` (`tests/bench/api_load.py`) from [api.json](api.json).

- {results["people"]} of locust's users for {results["seconds"]} s, {results["think_s"]:g} s between two requests of
  each on the average, counted from when all were there
- {results["concerts"]:,} concerts in every store, {results["entries"]:,} entries of {results["users"]:,} users, four in
  ten of them decided
- one process of the API as `gigz api` starts it, with limits, audit and log

Everything shares one machine: PostgreSQL, ClickHouse (`chdb` behind a small HTTP server), Meilisearch (a stand-in over
`tantivy`), Kafka, locust and the API. So the milliseconds are those of a machine that is busy with more than the API,
and **the ratios are what is gated**: a route's median by that of a route of Litestar and psycopg alone that reads one
row (`tests/bench/api_bare.py`), asked in the same minutes. Limits are the conventions'; the goal is half of each.

{table(head, rows)}
{said}

<details><summary>{at["date"]}, {at["cores"]} cores ({at["cpu"]}), {at["memory_gb"]} GB, load {load} at the start,
{results["minutes"]:.0f} minutes, commit {at["commit"]}</summary>

{at["system"]}; {told}

</details>
"""


def _standing(seen: Sequence[float], limits: Sequence[int]) -> str:
    if all(2 * value <= limit for value, limit in zip(seen, limits, strict=True)):
        return "half"
    return "within" if all(value <= limit for value, limit in zip(seen, limits, strict=True)) else "above"


def write(folder: Path, results: Mapping[str, Any]) -> None:
    """The page and the results."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULTS).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (folder / PAGE).write_text(page(results), encoding="utf-8")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Fifty people at the API.")
    parser.add_argument("--concerts", type=int, default=100_000)
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--users", type=int, default=400, help="of Gigz: whose the entries are")
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--think", type=float, default=2.0, help="seconds between two requests of a person")
    parser.add_argument("--out", type=Path, default=FOLDER)
    asked = parser.parse_args()
    with running_engines("gigz-bench-api-") as settings, tempfile.TemporaryDirectory() as folder:
        results = run(settings, asked, Path(folder))
    write(asked.out, results)
    wrong = verdict([Measured(**one) for one in results["routes"]])
    print(page(results))
    print("PASS" if not wrong else f"FAIL: {'; '.join(wrong)}")
    return 0 if not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
