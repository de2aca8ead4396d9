"""A worker that can be killed between two steps: `python -m tests.faults.worker STAGE --instance N`.

It is `gigz worker` itself, with a look at `tests.faults.boundaries` wrapped around its steps. Nothing of the product is
changed, and what is wrapped must be there: a step that was renamed ends the worker at its start.
"""

import functools
import inspect
import os
import sys
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer

from deploy.settings import current
from tests.faults.boundaries import (
    AFTER_READ,
    AFTER_TRANSACTION,
    AFTER_WRITE,
    BEFORE_COMMIT,
    BEFORE_DELETE,
    HALF_WRITTEN,
    IN_TRANSACTION,
    Marks,
)


class StepGone(Exception):
    """A step that faults are put around is not there any more, or takes other arguments. Names it."""


def step(owner: Any, name: str, *parameters: str) -> Any:
    """What is wrapped: must be there and take these parameters. StepGone."""
    found = getattr(owner, name, None)
    if found is None:
        raise StepGone(f"{owner.__name__}.{name} is gone. Remedy: find the step's new name in tests/faults/worker.py.")
    there = inspect.signature(found).parameters
    missing = [one for one in parameters if one not in there]
    if missing:
        raise StepGone(f"{owner.__name__}.{name} takes no {missing[0]} any more. Remedy: see tests/faults/worker.py.")
    return found


def wrap_streams(marks: Marks, stage: str) -> None:
    """normalise, resolve, match, relay."""
    from streams import main, relay, store_match, store_resolve
    from streams import stage as frames

    run = step(frames.Frame, "run", "batch", "handle")

    async def run_and_look(self: Any, batch: Sequence[Any], handle: Any) -> None:
        topic = batch[0].origin.topic
        marks.at(AFTER_READ, len(batch), topic)

        async def handled(some: Sequence[Any]) -> Any:
            found = await handle(some)
            if stage != "normalise":  # which writes by publishing
                marks.at(AFTER_WRITE, len(some), topic)
            return found

        await run(self, batch, handled)
        if stage == "normalise":
            marks.at(AFTER_WRITE, len(batch), topic)

    frames.Frame.run = run_and_look  # type: ignore[method-assign]

    def in_store(moment: str) -> None:
        if moment == "written":
            marks.at(IN_TRANSACTION)

    for store, module in ((store_resolve.ResolveStore, "ResolveStore"), (store_match.MatchStore, "MatchStore")):
        step(store, "__init__", "shown")
        step(main, module)
        setattr(main, module, functools.partial(store, shown=in_store))

    def in_relay(moment: str) -> None:
        if moment == "read":
            marks.at(AFTER_TRANSACTION)
        if moment == "published":
            marks.at(BEFORE_DELETE)

    step(relay.Relay, "__init__", "shown")
    step(main, "Relay")
    setattr(main, "Relay", functools.partial(relay.Relay, shown=in_relay))  # noqa: B010 - a name that mypy guards


def wrap_sinks(marks: Marks, store: str) -> None:
    """sink-clickhouse, sink-postgres, sink-meilisearch."""
    from sinks import clickhouse, meilisearch, postgres, pump

    gather = step(pump, "gather", "consumer", "limits")

    async def gather_and_look(*args: Any, **options: Any) -> Any:
        turn, records = await gather(*args, **options)
        if records:
            marks.at(AFTER_READ, len(records), records[0].topic)
        return turn, records

    pump.gather = gather_and_look
    sinks: dict[str, Any] = {
        "clickhouse": clickhouse.ClickHouseSink,
        "postgres": postgres.PostgresSink,
        "meilisearch": meilisearch.MeilisearchSink,
    }
    sink = sinks[store]
    write = step(sink, "write", "changes")

    async def write_and_look(self: Any, changes: Sequence[Any]) -> None:
        await write(self, changes)
        marks.at(AFTER_WRITE, len(changes), changes[0].table)

    sink.write = write_and_look
    insert = step(clickhouse.ClickHouseSink, "_insert", "table", "changes")

    async def insert_and_look(self: Any, table: str, changes: Sequence[Any]) -> None:
        await insert(self, table, changes)
        if changes and not table.endswith("_history"):
            marks.at(HALF_WRITTEN, len(changes), table)

    clickhouse.ClickHouseSink._insert = insert_and_look  # type: ignore[method-assign]


def wrap_commits(marks: Marks) -> None:
    """Of every consumer, Faust's among them: it is aiokafka's in the end."""
    commit = step(AIOKafkaConsumer, "commit", "offsets")

    async def look_and_commit(self: Any, offsets: Any = None) -> None:
        if offsets:
            marks.at(BEFORE_COMMIT, 0, ", ".join(sorted({at.topic for at in offsets})))
        await commit(self, offsets)

    AIOKafkaConsumer.commit = look_and_commit


def main() -> None:
    """As `gigz worker` with the same arguments."""
    stage, instance = sys.argv[1], int(sys.argv[3])
    marks = Marks(current().home, f"{stage}-{instance}")
    wrap_commits(marks)
    if stage.startswith("sink-"):
        wrap_sinks(marks, stage.removeprefix("sink-"))
    else:
        wrap_streams(marks, stage)
    import gigz

    leave = os._exit

    def tell_and_leave(code: int) -> None:
        marks.end(code)
        leave(code)

    os._exit = tell_and_leave  # type: ignore[assignment]
    sys.argv = ["gigz", "worker", *sys.argv[1:]]
    code: Any = 1
    try:
        gigz.main()
        code = 0
    except SystemExit as ended:
        code = ended.code
        raise
    finally:
        marks.end(int(code) if isinstance(code, int) else 1)


if __name__ == "__main__":
    main()
