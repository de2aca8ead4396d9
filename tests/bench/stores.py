"""The relay and the sinks alone on a backlog, and each sink beside the bare loop of `tests.bench.bare`.

Messages are made by the pure functions (listings are normalised and resolved, a block of shows at a time); listings go
onto their topic, concerts into the outbox, from where the relay takes them onto theirs. Every round has messages of its
own; sink and bare loop take turns in being first. Both write into tables of the same shape, as large as each other.
"""

import asyncio
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Any

import orjson

from deploy.clients import kafka_producer, postgres_engine, publish
from deploy.feed import to_record
from deploy.local import workers
from deploy.local.processes import Process, Processes
from deploy.local.room import python_environment
from deploy.outbox import put_in_outbox
from deploy.settings import Settings, environment_for
from matchers.normalise import normalise
from matchers.refused import Refused
from matchers.resolve import resolve
from schemas.listing import Listing
from schemas.message import new_trace
from schemas.outgoing import Outgoing, outgoing
from schemas.raw import RawEvent
from tests.bench.bare import group_of_bare, topics_of_bare
from tests.bench.inputs import SEEN, listings
from tests.bench.measuring import Drained, drain, drain_stage, engines, group_backlog
from tests.support import ROOT

STORES = ("clickhouse", "postgres", "meilisearch")
GOALS = {"clickhouse": 0.5, "postgres": 0.5, "meilisearch": 0.8}
AT_ONCE = 2_000


def messages(rows: int, first_show: int) -> Iterator[tuple[list[Outgoing], list[Outgoing]]]:
    """Listings and the concerts they make, show by show, as the stages would publish them."""
    for _, told in groupby(listings(rows, first_show), key=lambda row: row["source_id"]):
        found = [one for row in told for one in _normalised(row)]
        concerts = [one.model_copy(update={"rev": 1}) for one in resolve(found)]
        yield (
            [outgoing(one, trace=new_trace(), stage="normalise") for one in found],
            [outgoing(one, trace=new_trace(), stage="resolve") for one in concerts],
        )


def _normalised(row: dict[str, Any]) -> list[Listing]:
    record, _ = to_record(orjson.dumps(row), RawEvent, SEEN)
    found = normalise(RawEvent.from_bytes(record.value or b""))
    if isinstance(found, Refused):
        raise TypeError(f"the benchmark's own input was refused: {found}")
    return [one for one in found if isinstance(one, Listing)]


async def lay(settings: Settings, rows: int, first_show: int) -> None:
    """Listings onto their topic, concerts into the outbox."""
    engine = postgres_engine(settings, pool_size=1)
    waiting: tuple[list[Outgoing], list[Outgoing]] = ([], [])
    try:
        async with kafka_producer(settings, "gigz-bench") as producer:

            async def send() -> None:
                await publish(producer, waiting[0], settings.partitions)
                async with engine.begin() as connection:
                    await put_in_outbox(connection, waiting[1], settings.outbox_shards)
                for some in waiting:
                    some.clear()

            for made in messages(rows, first_show):
                for some, more in zip(waiting, made, strict=True):
                    some.extend(more)
                if len(waiting[0]) >= AT_ONCE:
                    await send()
            await send()
    finally:
        await engine.dispose()


async def one_round(settings: Settings, number: int, rows: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Relay, then each sink and its bare loop on the same messages."""
    await lay(settings, rows, first_show=number * 1_000_000)
    found = []

    def note(what: str, how: str, one: Drained) -> None:
        found.append({"round": number, "what": what, "how": how} | asdict(one))
        say(f"round {number + 1}  {what:11} {how:5} {one.rate:8,.0f}/s")

    note("relay", "gigz", await drain_stage(settings, "relay"))
    for store in STORES:
        for how in ("gigz", "bare") if number % 2 else ("bare", "gigz"):
            note(store, how, await _sunk(settings, store) if how == "gigz" else await _bare(settings, store))
    return found


async def _sunk(settings: Settings, store: str) -> Drained:
    return await drain_stage(settings, f"sink-{store}")


async def _bare(settings: Settings, store: str) -> Drained:
    name = f"bare-{store}"

    def start() -> Process:
        argv = [workers.command()[0], "-m", "tests.bench.bare", store]
        environment = python_environment(environment_for(settings))
        return Processes(settings.home).start(name, argv, environment=environment | {"PYTHONPATH": str(ROOT)})

    async with group_backlog(settings, group_of_bare(store), topics_of_bare(store)) as waiting:
        return await drain(settings, waiting, name, start)


def measure(rows: int, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """All rounds, on one set of engines."""
    found: list[dict[str, Any]] = []
    with engines() as settings:
        for number in range(rounds):
            found += asyncio.run(one_round(settings, number, rows, say))
    return {"rows": rows, "rounds": rounds, "figures": found}


def medians(figures: list[dict[str, Any]], what: str, how: str) -> dict[str, Any]:
    """The rounds of one store as one."""
    some = [one for one in figures if (one["what"], one["how"]) == (what, how)]
    rates = [one["messages"] / one["seconds"] for one in some]
    return {
        "rate": statistics.median(rates),
        "lowest": min(rates),
        "highest": max(rates),
        "messages": statistics.median(one["messages"] for one in some),
        "cpu_ms": {
            name: statistics.median(1000 * one["costs"][name]["cpu_s"] / one["messages"] for one in some)
            for name in some[0]["costs"]
        },
        "peak_mb": {name: max(one["costs"][name]["peak_mb"] for one in some) for name in some[0]["costs"]},
    }


def ratio(figures: list[dict[str, Any]], store: str) -> float:
    """Sink to bare loop: the median of the ratios of each round."""
    rates = {(one["round"], one["how"]): one["messages"] / one["seconds"] for one in figures if one["what"] == store}
    return statistics.median(rates[number, "gigz"] / rates[number, "bare"] for number, how in rates if how == "gigz")
