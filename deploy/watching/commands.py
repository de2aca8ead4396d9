"""`gigz status` and `gigz top`: what runs, how far it is, and what hinders it."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy import settings as settings_module
from deploy.settings import Settings

if TYPE_CHECKING:
    from deploy.local.stack import ProcessStatus
    from deploy.watching.readings import Reading, Row

OVER_S = 6.0
"""What a live rate is an average of: a stage takes a batch of 500 now and then, not a message at a time."""
APART_S = 1.0
"""Between the two readings that a rate is taken of."""
WIDE = 132
"""Columns of a line that goes to a file or a pipe: nothing is cut there."""
err = Console(stderr=True, highlight=False, emoji=False)


def status(as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """What runs, where, since when; of each worker its lag, rate, age of the commit and memory."""
    from deploy.flow import group_of
    from deploy.local import stack
    from deploy.watching.readings import by_stage, compare, published

    settings = settings_module.current()
    processes = stack.status(settings)
    there = any(one.name == "kafka" and one.state in {"running", "elsewhere"} for one in processes)
    before, now, waiting = asyncio.run(_look(settings, there))
    rows = compare(now, before)
    stages = by_stage(rows, published(now, before))
    if as_json:
        own = {row.name: row for row in rows}
        told = [_process_as_json(one, own.get(one.name), waiting or {}) for one in processes]
        known = {one.name for one in processes}
        told += [_worker_as_json(row, waiting or {}) for row in rows if row.name not in known]
        typer.echo(json.dumps({"processes": told, "lag": waiting}))
        return
    console = Console(emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDE)
    console.print(engines_table([one for one in processes if one.name not in {row.name for row in rows}]))
    console.print()
    console.print(workers_table(rows, stages, waiting, {one.name: one for one in processes}))
    running = {group_of(row.stage) for row in rows}
    for stage, left in (waiting or {}).items():
        if group_of(stage) not in running and left:
            console.print(f"[yellow]{stage}: {left:,} messages wait and no worker is known here[/]")
    for row in rows:
        for problem in row.problems:
            console.print(Text(f"! {problem}", "red"))


def top(
    once: Annotated[bool, typer.Option("--once", help="Print one screen and leave.")] = False,
    every: Annotated[float, typer.Option(min=0.5, max=60, help="Seconds between two screens.")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: for machines.")] = False,
) -> None:
    """The stages, live: messages in, out and rejected a second, lag, age of the commit, processor, memory."""
    from deploy.watching.readings import by_stage, compare, published, read, targets
    from deploy.watching.screen import frame, show

    settings = settings_module.current()
    seen: deque[Sequence[Reading]] = deque(maxlen=1 + max(1, round(OVER_S / every)))

    def look() -> "list[Row]":
        now = asyncio.run(read(targets(settings.home)))
        before = seen[0] if seen else ()
        seen.append(now)
        return by_stage(compare(now, before), published(now, before))

    console = Console(emoji=False, highlight=False)
    if once or as_json or not console.is_terminal:
        look()
        time.sleep(APART_S)
        rows = look()
        if as_json:
            typer.echo(json.dumps([row.as_json() for row in rows]))
        else:
            console.print(frame(rows, datetime.now().astimezone()))
        return
    show(console, look, every)


async def _look(
    settings: Settings, kafka: bool
) -> "tuple[Sequence[Reading], Sequence[Reading], dict[str, int] | None]":
    """Two readings of every worker, and what waits before each stage as Kafka has it; None when it cannot be told."""
    from deploy.flow import gauge
    from deploy.watching.readings import read, targets

    known = await asyncio.to_thread(targets, settings.home)
    before, began = await read(known), time.monotonic()
    waiting: dict[str, int] | None = None
    try:
        if kafka:
            async with gauge(settings) as reading:
                now = await reading.lag()
            waiting = now.waiting | {"relay": now.outbox}
    except Exception as error:  # status tells what it can, whatever is down
        err.print(f"[yellow]lag unknown:[/] {' '.join(str(error).split())[:300]}")
    await asyncio.sleep(max(0.0, began + APART_S - time.monotonic()))
    return before, await read(known), waiting


def engines_table(processes: "Sequence[ProcessStatus]") -> Table:
    """Where each engine listens, and what else runs that tells nothing of itself."""
    table = Table("process", "state", "address", "pid", "since", "memory", box=None, pad_edge=False)
    for one in processes:
        table.add_row(
            one.name,
            f"[{'green' if one.state in {'running', 'elsewhere'} else 'yellow'}]{one.state}[/]",
            one.address.rpartition("://")[2].removesuffix("/default"),
            str(one.pid or ""),
            _since(one.since),
            f"{one.memory_bytes / 1e6:,.0f} MB" if one.memory_bytes else "",
        )
    return table


def workers_table(
    rows: "Sequence[Row]",
    stages: "Sequence[Row]",
    waiting: Mapping[str, int] | None,
    processes: "Mapping[str, ProcessStatus]",
) -> Table:
    """A line for each worker, and above those of a stage that has several, a line for the stage.

    A stage's lag is Kafka's own; a worker's is what it knows of its partitions.
    """
    from deploy.watching.screen import COLORS, aged, number, size

    names = ("worker", "state", "since", "parts", "lag", "age", "in/s", "commit", "mem")
    table = Table(*names, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in table.columns:
        column.no_wrap = True
    for column in table.columns[3:]:
        column.justify = "right"

    def add(row: "Row", name: str, lag: int | None, since: str) -> None:
        table.add_row(
            name,
            Text(row.state, COLORS.get(row.state, "red")),
            since,
            "" if row.partitions is None else str(row.partitions),
            number(lag),
            aged(row.lag_s),
            number(row.into),
            aged(row.commit_s),
            size(row.memory),
        )

    for stage in stages:
        own = [row for row in rows if row.stage == stage.stage]
        from_kafka = (waiting or {}).get(stage.stage, stage.lag)
        if len(own) > 1:
            add(stage, f"{stage.stage} ×{len(own)}", from_kafka, "")
        for row in own:
            process = processes.get(row.name)
            since = _since(process.since if process else _started(row))
            only = len(own) == 1
            add(stage if only else row, row.name if only else f"  {row.name}", from_kafka if only else row.lag, since)
    return table


def _started(row: "Row") -> datetime | None:
    return datetime.fromtimestamp(row.since).astimezone() if row.since else None


def _since(at: datetime | None) -> str:
    if at is None:
        return ""
    local = at.astimezone()
    today = datetime.now().astimezone().date()
    return local.strftime("%H:%M:%S" if local.date() == today else "%Y-%m-%d %H:%M")


def _process_as_json(one: "ProcessStatus", row: "Row | None", waiting: Mapping[str, int]) -> dict[str, object]:
    return {
        "name": one.name,
        "state": one.state,
        "address": one.address,
        "pid": one.pid,
        "since": one.since.isoformat() if one.since else None,
        "memory_bytes": one.memory_bytes,
        "lag": waiting.get(one.name.rpartition("-")[0]),
        "worker": row.as_json() if row else None,
    }


def _worker_as_json(row: "Row", waiting: Mapping[str, int]) -> dict[str, object]:
    started = _started(row)
    return {
        "name": row.name,
        "state": "died" if row.state == "down" else "running",
        "address": row.address,
        "pid": row.pid or None,
        "since": started.isoformat() if started else None,
        "memory_bytes": row.memory,
        "lag": waiting.get(row.stage),
        "worker": row.as_json(),
    }
