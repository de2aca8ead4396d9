"""The page docs/benchmarks/README.md and its charts, from results.json alone: nothing in them is typed by a person."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench import charts, frameworks, latency, memory, profiles, stores
from tests.bench.frameworks import END_TO_END, FRAMEWORKS, PEERS
from tests.support import ROOT

FOLDER = ROOT / "docs" / "benchmarks"
RESULTS, PAGE = "results.json", "README.md"
SHOWN = {"faust": "Gigz (Faust)", "arroyo": "arroyo", "quix": "Quix Streams"}
STEP_S = 0.1
Part = Mapping[str, Any]

HEAD = """# Benchmarks

Written by `make bench` (`tests/bench/run.py`) from [results.json](results.json), which has every single figure; a part
is replaced whenever it is measured again. Engines are the local stack's: Kafka and PostgreSQL are the real ones,
ClickHouse is `chdb` behind a small HTTP server, Meilisearch is a stand-in over `tantivy` (see `deploy/local/`). All
processes, engines and the benchmark itself share one machine. Machines are noisy: **only ratios of one part count**,
and what is compared takes turns within it.
"""


def write(folder: Path, results: Mapping[str, Part]) -> None:
    """The page, the charts and the results themselves."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULTS).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for name, text in rendered(results).items():
        (folder / name).write_text(text, encoding="utf-8")


def read(folder: Path) -> dict[str, Any]:
    """What is there; empty where nothing was measured yet."""
    try:
        found: dict[str, Any] = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def rendered(results: Mapping[str, Part]) -> dict[str, str]:
    """File name -> text of all that follows from the results."""
    parts: dict[str, Callable[[Part], tuple[str, dict[str, str]]]] = {
        "stages": _stages,
        "stores": _stores,
        "latency": _latency,
        "memory": _memory,
        "profile": _profile,
    }
    files: dict[str, str] = {}
    sections = [HEAD]
    for name, section in parts.items():
        if name in results:
            text, drawn = section(results[name])
            sections.append(text + "\n" + _where(results[name]))
            files |= drawn
    return files | {PAGE: "\n".join(sections)}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join([_row(head), _row(["---", *["---:"] * (len(head) - 1)]), *map(_row, rows), ""])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _where(part: Part) -> str:
    at, known = part["machine"], part["versions"]
    load = " ".join(str(one) for one in at["load_at_start"])
    told = ", ".join(f"{name} {number}" for name, number in sorted(known.items()))
    return (
        f"<details><summary>{at['date']}, {at['cores']} cores ({at['cpu']}), {at['memory_gb']} GB, load {load} at the "
        f"start, {part['minutes']:.0f} minutes, commit {at['commit']}</summary>\n\n{at['system']}; {told}\n\n"
        "</details>\n"
    )


# -- stages and frameworks ---------------------------------------------------------------------------------------------


def _stages(part: Part) -> tuple[str, dict[str, str]]:
    whats = ("normalise", "resolve", "relay", "rematch", "match", END_TO_END)
    rows, groups = [], dict[str, dict[str, float]]()
    for what in whats:
        found = {name: frameworks.medians(part["figures"], name, what) for name in FRAMEWORKS}
        there = {name: one for name, one in found.items() if one}
        if not there:
            continue
        ratio = ratio_to_peers(part, what)
        own = "stage" if what != END_TO_END else None
        rows.append(
            [
                what,
                *(_rate(found[name]) for name in FRAMEWORKS),
                f"**{ratio:.2f}x**" if ratio else "",
                " / ".join(f"{_of(one['cpu_ms'], own):.2f}" for one in there.values()),
                " / ".join(f"{_of(one['peak_mb'], own):.0f}" for one in there.values()),
            ]
        )
        groups[what] = {SHOWN[name]: one["rate"] for name, one in there.items()}
    head = ["", *(f"{SHOWN[name]}, messages/s" for name in FRAMEWORKS), "to the faster peer"]
    head += ["CPU ms a message", "peak MB"]
    text = f"""## Stages and frameworks

Rounds: {part["rounds"]}, of {part["rows"]:,} listings ({frameworks.QUICK} times as many for normalise) and
{part["entries"]:,} entries; medians, in brackets the slowest and the fastest round. The same pure functions,
PostgreSQL statements and order of effects (effects, publish with acks=all, then commit) run in all three; relay and
sinks are Gigz's own in all three. A stage alone on its backlog, from its first commit to its last; end to end
everything runs at once, listings/s from the first sent until nothing waits anywhere. CPU and memory: of the stage's
process; end to end of Gigz's processes together, without the engines.

{table(head, rows)}
![Messages a second of each stage](stages.svg)

{_processes(part)}"""
    return text, {"stages.svg": charts.bars("Messages a second, stage by stage and end to end", groups, "/s", {})}


def ratio_to_peers(part: Part, what: str) -> float | None:
    """Gigz's rate to that of the faster peer."""
    peers = [one["rate"] for name in PEERS if (one := frameworks.medians(part["figures"], name, what))]
    own = frameworks.medians(part["figures"], "faust", what)
    return own["rate"] / max(peers) if own and peers else None


def _processes(part: Part) -> str:
    one = frameworks.medians(part["figures"], "faust", END_TO_END)
    if one is None:
        return ""
    rows = [
        [name, f"{one['cpu_s'][name]:.1f}", f"{one['cpu_ms'][name]:.2f}", f"{one['peak_mb'][name]:.0f}"]
        for name in sorted(one["cpu_s"], key=lambda name: -one["cpu_s"][name])
    ]
    return f"""Gigz end to end, process by process ({one["messages"]:,.0f} listings; engines with their children, whose
memory is the proportional set):

{table(["process", "CPU s", "CPU ms a listing", "peak MB"], rows)}"""


def _rate(one: Mapping[str, Any] | None) -> str:
    return f"{one['rate']:,.0f} ({one['lowest']:,.0f}-{one['highest']:,.0f})" if one else ""


def _of(values: Mapping[str, float], name: str | None) -> float:
    """Of one process, or of all that are no engines."""
    if name:
        return values[name]
    return sum(value for process, value in values.items() if process.endswith("-1"))


# -- stores ------------------------------------------------------------------------------------------------------------


def _stores(part: Part) -> tuple[str, dict[str, str]]:
    rows, groups, goals = [], dict[str, dict[str, float]](), dict[str, float]()
    for store in stores.STORES:
        own, bare = (stores.medians(part["figures"], store, how) for how in ("gigz", "bare"))
        rows.append(
            [
                f"sink-{store}",
                _rate(own),
                _rate(bare),
                f"**{stores.ratio(part['figures'], store):.2f}x**",
                f"{stores.GOALS[store]}x",
                f"{own['cpu_ms']['stage']:.2f} / {bare['cpu_ms']['stage']:.2f}",
                f"{own['peak_mb']['stage']:.0f} / {bare['peak_mb']['stage']:.0f}",
            ]
        )
        groups[store] = {"sink": own["rate"], "bare loop": bare["rate"]}
        goals[store] = stores.GOALS[store] * bare["rate"]
    relay = stores.medians(part["figures"], "relay", "gigz")
    head = ["", "sink, messages/s", "bare loop, messages/s", "ratio", "goal", "CPU ms a message", "peak MB"]
    text = f"""## Sinks beside bare loops

Rounds: {part["rounds"]}, each of {part["rows"]:,} new listings and their concerts; medians, in brackets the slowest and
the fastest; the ratio is the median of the rounds' ratios. `tests/bench/bare.py` says what a bare loop does and does
not: it reads the same messages, takes the same columns, writes in batches as large, and commits after the write.
ClickHouse gets listings and concerts, each into two tables; PostgreSQL and Meilisearch get concerts.

{table(head, rows)}
The relay, PostgreSQL's outbox to Kafka: {_rate(relay)} messages/s, {relay["cpu_ms"]["stage"]:.2f} ms CPU each,
{relay["peak_mb"]["stage"]:.0f} MB.

![Messages a second of sinks and bare loops](sinks.svg)
"""
    title = "Messages a second into each store; the dashed line is the goal"
    return text, {"sinks.svg": charts.bars(title, groups, "/s", goals)}


# -- latency and memory ------------------------------------------------------------------------------------------------


def _latency(part: Part) -> tuple[str, dict[str, str]]:
    times = part["seconds"]
    marks = {f"p{int(100 * share)} {latency.quantile(times, share):.2f} s": share for share in (0.5, 0.99)}
    rows = [
        [f"{share:.0%}" if share < 1 else "all", f"{latency.quantile(times, share):.2f} s"]
        for share in (0.5, 0.9, 0.95, 0.99, 1.0)
    ]
    reached = "reached" if latency.quantile(times, 0.99) < latency.GOAL_P99_S else "missed"
    text = f"""## From a listing to its suggestion

{len(times)} listings, each the one show that a user of its own remembers, among {part["load"]:,.0f} listings/s: half of
the {part["throughput"]:,.0f}/s measured end to end just before, API included. From before the producer is called until
`GET /v1/suggestions` answers with the suggestion; it is asked every {part["asked_every_s"]} s, which is part of the
time. The goal, 99 % within {latency.GOAL_P99_S:.0f} s, is **{reached}**.

{table(["of all", "within"], rows)}
![How many suggestions could be read after how many seconds](latency.svg)
"""
    drawn = charts.histogram(
        "Seconds from a listing produced to its suggestion readable in the API, at half load",
        times,
        STEP_S,
        {name: latency.quantile(times, share) for name, share in marks.items()}
        | {f"goal of p99: {latency.GOAL_P99_S:.0f} s": latency.GOAL_P99_S},
        "seconds",
    )
    return text, {"latency.svg": drawn}


def _memory(part: Part) -> tuple[str, dict[str, str]]:
    samples = part["samples"]
    rows = []
    for name in memory.NAMES:
        first, second = memory.halves(samples, name)
        rows.append(
            [
                name,
                f"{samples[-1]['taken'][name]:,}",
                f"{first:.0f}",
                f"{second:.0f}",
                f"**{100 * (second / first - 1):+.1f} %**",
                f"{max(one['mb'][name] for one in samples):.0f}",
            ]
        )
    lines = {name: [(one["taken"][name] / 1000, one["mb"][name]) for one in samples] for name in memory.NAMES}
    head = ["worker", "messages", "first half, MB", "second half, MB", "growth", "peak MB"]
    text = f"""## Memory

Every worker has taken at least {part["messages"]:,} messages in one run of {samples[-1]["seconds"] / 60:.0f} minutes;
resident memory, looked at every {memory.LOOK_S:.0f} s. The medians of a worker's first half of messages, the first
tenth aside, and of its second.

{table(head, rows)}
![Memory of each worker over the messages it has taken](memory.svg)
"""
    drawn = charts.curves(
        "Resident memory of each worker over the messages it has taken", lines, "thousand messages", "MB"
    )
    return text, {"memory.svg": drawn}


# -- profile -----------------------------------------------------------------------------------------------------------


def _profile(part: Part) -> tuple[str, dict[str, str]]:
    told = part["shares"]
    owners = list(dict.fromkeys([*profiles.OWNERS.values(), profiles.OTHER]))
    rows = [[owner, *(f"{one.get(owner, 0.0):.0%}" for one in told.values())] for owner in owners]
    text = f"""## Where the time of a stage goes

Shares of the samples in which a thread of the worker held the interpreter, by the innermost frame of these packages
(`tests/bench/profiles.py`, py-spy), while it works a backlog off. What Faust costs is its own share
and that of aiokafka's consumer beneath it; the stages of the other frameworks have the same shares of Gigz's rooms.

{table(["", *told], rows)}"""
    return text, {}
