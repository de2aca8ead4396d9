"""`python -m tests.bench.scale`: the figures of docs/scale.md anew, from docs/benchmarks/results.json.

Arithmetic and nothing else: what a message cost in processor seconds, and a row in bytes, where it was measured, times
how many there are. The page's text stands outside of the marks, its figures between them; a test compares both.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.bench import frameworks, stores
from tests.bench.report import FOLDER, read, table
from tests.support import ROOT

PAGE = ROOT / "docs" / "scale.md"
MARKED = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", re.S)
ENGINES = {"postgres": "PostgreSQL", "kafka": "Kafka", "clickhouse": "ClickHouse", "meilisearch": "Meilisearch"}

# -- what is assumed ---------------------------------------------------------------------------------------------------

DAY_S = 86_400
SERVER_CORES = 16
SERVER_GB = 128
"""Of one server of an engine, for the question which engine is short first."""
CACHED = 0.5
"""Share of a server's memory that PostgreSQL's indexes may fill before reads go to the disk."""
HEADROOM = 0.5
"""Workers are counted at half of what one does alone: they share machines, and the live stream goes on."""
PARTITIONS = (24, 48, 96, 192, 384)
"""Numbers to choose from: a copy of a stage has one partition of each topic at least."""
PIECE_GB = 20
"""Of a partition of a table: vacuum and a new index take minutes of it."""
REPLICAS = {"postgres": 2, "kafka": 3, "clickhouse": 2, "meilisearch": 1}
GROWTH = 1.3
"""How much dearer a match becomes from 10,000 to 1,000,000 concerts: docs/decisions/0007-evidence-in-columns.md."""
MOST_DOCUMENTS = 2**32
"""Of an index of Meilisearch, by its documentation; see the page."""

BY_USER = ("state.entries", "state.suggestions", "state.wants", "state.decisions")
BY_CONCERT = ("state.listings", "state.concerts", "state.concert_members", "catalogue.concerts")


@dataclass(frozen=True)
class Size:
    """How much there is."""

    name: str
    concerts: int
    artists: int
    users: int
    entries: int


SIZES = (
    Size("a hundredth", 100_000, 10_000, 10_000, 1_000_000),
    Size("a tenth", 1_000_000, 100_000, 100_000, 10_000_000),
    Size("the goal", 10_000_000, 1_000_000, 1_000_000, 100_000_000),
)


# -- what was measured -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """What one message costs at one stage."""

    name: str
    rate: float
    """Messages a second of one worker alone."""
    cpu_ms: Mapping[str, float]
    """Of a message: `worker`, and each engine."""


@dataclass(frozen=True)
class Units:
    """All that the arithmetic needs of results.json."""

    steps: Mapping[str, Step]
    row_bytes: Mapping[str, Mapping[str, float]]
    """Engine -> table, topic or index -> bytes of one."""
    index_bytes: Mapping[str, float]
    """Table of PostgreSQL -> bytes of a row in its indexes."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """Table or topic -> rows, at the end of a run."""

    @property
    def listings_a_concert(self) -> float:
        """Of the benchmark's input."""
        return self.counts["state.listings"] / self.counts["state.concerts"]

    @property
    def messages_a_concert(self) -> float:
        """A concert is told again whenever a listing changes it."""
        return self.counts["gigz.concert.v1"] / self.counts["state.concerts"]


def units(results: Mapping[str, Any]) -> Units:
    """From the parts `stages`, `stores` and `memory`, the last where it is there. KeyError when one is not."""
    stages, alone = results["stages"]["figures"], results["stores"]["figures"]
    steps = {}
    for name in ("normalise", "resolve", "rematch", "match"):
        one = frameworks.medians(stages, "faust", name)
        assert one is not None
        steps[name] = _step(name, one)
    steps["relay"] = _step("relay", stores.medians(alone, "relay", "gigz"))
    for store in stores.STORES:
        steps[f"sink-{store}"] = _step(f"sink-{store}", stores.medians(alone, store, "gigz"))
    weights = max(
        (results[part]["bytes"] for part in ("stages", "memory") if part in results),
        key=lambda told: told["postgres"]["state.concerts"]["rows"],
    )
    return Units(
        steps,
        {engine: {name: one["bytes"] for name, one in told.items()} for engine, told in weights.items()},
        {name: one["of_keys"] for name, one in weights["postgres"].items()},
        {name: one["rows"] for told in weights.values() for name, one in told.items()},
    )


def _step(name: str, one: Mapping[str, Any]) -> Step:
    cpu = {"worker": one["cpu_ms"]["stage"]} | {engine: one["cpu_ms"].get(engine, 0.0) for engine in ENGINES}
    return Step(name, one["rate"], cpu)


# -- the arithmetic ----------------------------------------------------------------------------------------------------


def catalogue_load(size: Size, known: Units) -> dict[str, float]:
    """Messages of each stage when all concerts come in once."""
    listings = size.concerts * known.listings_a_concert
    told = size.concerts * known.messages_a_concert
    return {
        "normalise": listings,
        "resolve": listings,
        "relay": told,
        "rematch": told,
        "sink-clickhouse": listings + told,
        "sink-postgres": told,
        "sink-meilisearch": told,
    }


def rematch_load(size: Size, known: Units) -> dict[str, float]:
    """Messages of each stage when every entry is matched again and, at worst, every set comes out anew."""
    del known
    return {"match": size.entries, "relay": size.entries, "sink-clickhouse": size.entries}


def dearer(size: Size) -> float:
    """What a match costs beside one among 10,000 concerts: GROWTH for each hundredfold."""
    return float(GROWTH ** max(0.0, math.log(size.concerts / 10_000, 100)))


def core_seconds(load: Mapping[str, float], known: Units, size: Size) -> dict[str, float]:
    """Processor seconds of each stage's workers and of each engine."""
    found = dict.fromkeys(ENGINES, 0.0)
    for stage, count in load.items():
        more = dearer(size) if stage == "match" else 1.0
        for who, ms in known.steps[stage].cpu_ms.items():
            name = stage if who == "worker" else who
            found[name] = found.get(name, 0.0) + count * ms * more / 1000
    return found


def copies(load: Mapping[str, float], known: Units, size: Size, seconds: float) -> dict[str, int]:
    """Workers of each stage that do it in so many seconds, at HEADROOM of what one does alone."""
    return {
        stage: max(
            1,
            math.ceil(
                count / seconds * (dearer(size) if stage == "match" else 1.0) / (HEADROOM * known.steps[stage].rate)
            ),
        )
        for stage, count in load.items()
    }


def partitions_for(most: int) -> int:
    """The smallest number of partitions that so many copies can share."""
    return next((number for number in PARTITIONS if number >= most), PARTITIONS[-1])


def gigabytes(size: Size, known: Units) -> dict[str, dict[str, float]]:
    """Engine -> what of it -> GB, one copy of everything."""
    listings, entries = size.concerts * known.listings_a_concert, size.entries
    many = {
        "state.listings": listings,
        "state.concerts": size.concerts,
        "state.concert_members": size.concerts * _per(known, "state.concert_members", "state.concerts"),
        "catalogue.concerts": size.concerts,
        "state.entries": entries,
        "state.suggestions": entries,
        "state.wants": entries * _per(known, "state.wants", "state.entries"),
        "gigz.raw-event.v1": listings,
        "gigz.listing.v1": listings,
        "gigz.concert.v1": size.concerts,
        "gigz.history.v1": entries,
        "gigz.suggestion.v1": entries,
        "listings": listings,
        "listings_history": listings,
        "concerts": size.concerts,
        "concerts_history": size.concerts * known.messages_a_concert,
        "suggestions": 3 * entries,
        "suggestions_history": 3 * entries,
    }
    found: dict[str, dict[str, float]] = {}
    for engine, rows in known.row_bytes.items():
        if engine == "meilisearch":
            each = rows.get("concerts", 0.0)
            found[engine] = {"concerts": size.concerts * each / 1e9, "artists": size.artists * each / 1e9}
        else:
            found[engine] = {name: many[name] * each / 1e9 for name, each in rows.items() if name in many}
    return found


def _per(known: Units, table_: str, other: str) -> float:
    return known.counts.get(table_, 0.0) / known.counts[other]


def pieces(gb: float) -> int:
    """Partitions of a table, as a power of two, so that it can be halved again."""
    return int(2 ** max(0, math.ceil(math.log2(max(gb, 0.001) / PIECE_GB))))


# -- the page's tables -------------------------------------------------------------------------------------------------


def _unit_costs(known: Units) -> str:
    rows = [
        [step.name, f"{step.rate:,.0f}", f"{step.cpu_ms['worker']:.2f}"]
        + [f"{step.cpu_ms[engine]:.2f}" for engine in ENGINES]
        for step in known.steps.values()
    ]
    return table(["stage", "messages/s of one worker", "worker, ms", *(f"{n}, ms" for n in ENGINES.values())], rows)


def _bytes(known: Units) -> str:
    rows = [
        [ENGINES[engine], name, f"{each:,.0f}", f"{known.index_bytes[name]:,.0f}" if engine == "postgres" else ""]
        for engine, told in known.row_bytes.items()
        for name, each in sorted(told.items(), key=lambda one: -one[1])
    ]
    return table(["engine", "table, topic or index", "bytes of one", "of which indexes"], rows)


def _work(load_of: Callable[[Size, Units], dict[str, float]]) -> Callable[[Units], str]:
    def shown(known: Units) -> str:
        rows = []
        for size in SIZES:
            load = load_of(size, known)
            spent, many = core_seconds(load, known, size), copies(load, known, size, DAY_S)
            rows.append(
                [
                    size.name,
                    f"{sum(load.values()):,.0f}",
                    ", ".join(f"{stage} {number}" for stage, number in many.items()),
                    str(partitions_for(max(many.values()))),
                    *(f"{spent[engine] / DAY_S:.2f}" for engine in ENGINES),
                    _shortest(size, known, load),
                ]
            )
        head = ["size", "messages", "copies of each stage", "partitions"]
        head += [f"{name}, cores" for name in ENGINES.values()]
        return table([*head, "what limits it first, and the least time"], rows)

    return shown


def _shortest(size: Size, known: Units, load: Mapping[str, float]) -> str:
    """The least hours with as many workers as partitions allow at 24, and one server of each engine."""
    spent = core_seconds(load, known, size)
    hours = {ENGINES[engine]: spent[engine] / SERVER_CORES / 3600 for engine in ENGINES}
    for stage, count in load.items():
        more = dearer(size) if stage == "match" else 1.0
        hours[f"{PARTITIONS[0]} workers of {stage}"] = (
            count * more / (PARTITIONS[0] * HEADROOM * known.steps[stage].rate) / 3600
        )
    name, longest = max(hours.items(), key=lambda one: one[1])
    return f"{name}, {longest:,.1f} h"


def _disk(known: Units) -> str:
    rows = []
    for size in SIZES:
        of = gigabytes(size, known)
        sums = {engine: sum(told.values()) for engine, told in of.items()}
        rows.append(
            [
                size.name,
                *(f"{sums.get(engine, 0.0):,.0f} x {REPLICAS[engine]}" for engine in ENGINES),
                f"{indexes_gb(size, known):,.0f}",
                _memory_verdict(size, known),
            ]
        )
    head = ["size", *(f"{name}, GB x copies" for name in ENGINES.values()), "PostgreSQL's indexes, GB"]
    return table([*head, f"in {CACHED:.0%} of {SERVER_GB} GB of memory"], rows)


def indexes_gb(size: Size, known: Units) -> float:
    """Of PostgreSQL's indexes."""
    of = gigabytes(size, known)["postgres"]
    return sum(gb * known.index_bytes[name] / known.row_bytes["postgres"][name] for name, gb in of.items())


def servers(size: Size, known: Units) -> int:
    """Of PostgreSQL, so that the indexes stay in memory."""
    return max(1, math.ceil(indexes_gb(size, known) / (CACHED * SERVER_GB)))


def _memory_verdict(size: Size, known: Units) -> str:
    many = servers(size, known)
    return "one server" if many == 1 else f"{many} servers"


def _tables(known: Units) -> str:
    goal = SIZES[-1]
    of = gigabytes(goal, known)["postgres"]
    rows = []
    for how, names in (("user", BY_USER), ("concert", BY_CONCERT)):
        for name in names:
            if name in of:
                keys = of[name] * known.index_bytes[name] / known.row_bytes["postgres"][name]
                rows.append([name, how, f"{of[name]:,.0f}", f"{keys:,.0f}", str(pieces(of[name]))])
    head = ["table at the goal", "partitioned by", "GB", "of which indexes", f"partitions of at most {PIECE_GB} GB"]
    return table(head, rows)


def _first(known: Units) -> str:
    rows = []
    for size in SIZES:
        memory, many = indexes_gb(size, known), servers(size, known)
        load = rematch_load(size, known)
        least = partitions_for(max(copies(load, known, size, DAY_S).values()))
        changes = [f"{least} partitions"]
        if many > 1:
            changes.append(f"PostgreSQL split by user and by key, {many} servers (or one with {2 * memory:,.0f} GB)")
        elif memory > CACHED * SERVER_GB / 4:
            changes.append("tables of users partitioned within one server")
        short = f"PostgreSQL's memory: {memory:,.0f} GB of indexes, {CACHED * SERVER_GB:,.0f} GB for them"
        rows.append([size.name, short if many > 1 else _shortest(size, known, load), "; ".join(changes)])
    return table(["size", "short first", "what to set up"], rows)


def _search(known: Units) -> str:
    rows = []
    for size in SIZES:
        documents = size.concerts + size.artists
        gb = sum(gigabytes(size, known).get("meilisearch", {}).values())
        rows.append([size.name, f"{documents:,}", f"{size.concerts / MOST_DOCUMENTS:.3%}", f"{gb:,.1f}"])
    head = ["size", "documents", "concerts' share of the most that an index holds", "GB in the local stand-in"]
    return table(head, rows)


def _ratios(known: Units) -> str:
    return (
        f"{known.listings_a_concert:.2f} listings a concert, {known.messages_a_concert:.2f} messages a concert; a "
        f"match at the goal is taken for {dearer(SIZES[-1]):.2f} times as dear as one among 10,000 concerts.\n"
    )


BLOCKS: dict[str, Callable[[Units], str]] = {
    "units": _unit_costs,
    "bytes": _bytes,
    "ratios": _ratios,
    "catalogue": _work(catalogue_load),
    "rematch": _work(rematch_load),
    "disk": _disk,
    "tables": _tables,
    "first": _first,
    "search": _search,
}


def filled(page: str, known: Units) -> str:
    """The page with its figures anew. KeyError for a mark that no figures belong to."""
    return MARKED.sub(lambda found: f"{found[1]}{BLOCKS[found[2]](known)}{found[3]}", page)


def main() -> None:
    """Rewrite the page in its place."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), units(read(FOLDER))), encoding="utf-8")


if __name__ == "__main__":
    main()
