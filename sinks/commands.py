"""`gigz reconcile` and `gigz rebuild`: are the stores what Kafka says, and how to make them so."""

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from sinks.reconcile import Compared, Report

AsJson = Annotated[bool, typer.Option("--json", help="For machines: one object.")]
SHOWN = 20
"""Differences that a person is shown."""
HOW = {
    "missing": "is missing",
    "extra": "is not in Kafka",
    "older": "is an older version",
    "newer": "is a newer version",
    "content": "says something else",
}


def reconcile(
    since: Annotated[
        str, typer.Option("--since", help="Only what changed since: 2026-11-20, 2026-11-20T14:00 (UTC), or 90m, 24h.")
    ] = "",
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds that the sinks are waited for.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Compare Kafka and the three stores, by counts and content; exit 1 and the ids where they differ."""
    from rich.console import Console

    from deploy.replay import filters_of
    from deploy.settings import current
    from sinks.reconcile import reconcile as compare

    begun = filters_of("", "", "", since, now=datetime.now(UTC)).since
    err = Console(stderr=True, highlight=False, emoji=False)
    try:
        with err.status("connecting") as status:
            report = asyncio.run(compare(current(), since=begun, wait_s=wait, tell=status.update))
    except _stores_errors() as error:
        raise _stopped(err, error) from None
    if as_json:
        typer.echo(json.dumps(report.as_json()))
    else:
        # In a file or a pipe a line is as long as it is.
        width = None if sys.stdout.isatty() else 160
        _show(Console(highlight=False, emoji=False, width=width), report)
    raise typer.Exit(0 if report.ok else 1)


def _show(console: "Console", report: "Report") -> None:
    from rich.table import Table

    from sinks.reconcile import total

    table = Table("", "store", "table", "count", "hash", "partitions", "", box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
    table.columns[3].justify = "right"
    for noun, places in report.compared.items():
        kafka = total(report.kafka[noun])
        table.add_row(f"[bold]{noun}[/]", "kafka", places[0].topic, f"{kafka.count:,}", kafka.hash[:12], "", "")
        for one in places:
            there = total(one.there)
            equal = sum(a == b for a, b in zip(one.there, one.expected, strict=True))
            shown = there.hash[:12] + (f" of {one.place.form}s" if one.place.form != "whole" else "")
            row = (one.place.name, one.place.table, f"{there.count:,}", shown, f"{equal}/{len(one.there)}")
            table.add_row("", *row, _verdict(one))
    console.print(table)
    for stage, messages in report.waiting.items():
        console.print(f"lag: {messages:,} messages of before the start have not passed {stage}", markup=False)
    for what in report.broken_off:
        console.print(
            f"rebuild: one of {what} was killed after its swap, what came in that moment may be missing. "
            f"Remedy: start a sink-{what} worker again, which does the rest; or `gigz rebuild {what}`.",
            markup=False,
            soft_wrap=True,
        )
    for found in report.differences[:SHOWN]:
        more = f": {found.version}, Kafka has {found.kafka_version}" if found.how in {"older", "newer"} else ""
        more += f": {found.what or 'the body'}" if found.what or found.how == "content" else ""
        told = f"{found.noun} {found.id} {HOW[found.how]} in {found.place} {found.table}{more}"
        console.print(told, markup=False, soft_wrap=True)
    if report.differing > SHOWN:
        console.print(f"and {report.differing - SHOWN:,} more; --json names up to 1,000 of each place")
    span = f" since {report.since:%Y-%m-%d %H:%M} UTC" if report.since else ""
    verdict = "the stores are as Kafka says" if report.ok else f"{report.differing:,} ids differ"
    console.print(f"{verdict}{span}, {report.seconds:.1f} s", markup=False)


def _stores_errors() -> tuple[type[Exception], ...]:
    """What the clients raise when a store goes away in the middle."""
    from aiokafka.errors import KafkaError
    from clickhouse_connect.driver.exceptions import Error
    from meilisearch.errors import MeilisearchError
    from sqlalchemy.exc import DBAPIError

    return DBAPIError, Error, MeilisearchError, KafkaError, OSError


def _stopped(err: "Console", error: Exception) -> typer.Exit:
    why = " ".join(str(error).split())[:300]
    told = f"{type(error).__name__}: {why}. Remedy: see `gigz status`; when all engines answer, start this again."
    err.print(told, style="red", markup=False, soft_wrap=True)
    return typer.Exit(2)


def _verdict(one: "Compared") -> str:
    told = [f"[red]{one.differing:,} differ[/]"] if one.differing else []
    told += [f"[yellow]{one.in_flight:,} on their way[/]"] if one.in_flight else []
    told += [f"{one.rejected:,} rejected"] if one.rejected else []
    told += [f"{one.erased:,} of erased users"] if one.erased else []
    return ", ".join(told) or "[green]same[/]"


def rebuild(
    what: Annotated[str, typer.Argument(help="clickhouse, catalogue or meilisearch.")], as_json: AsJson = False
) -> None:
    """Make a store anew from Kafka, compare it, and swap it in; readers and sinks go on meanwhile."""
    from rich.console import Console

    from deploy.settings import current
    from sinks.errors import StoreError
    from sinks.rebuild import LOCKS, RebuildFailed
    from sinks.rebuild import rebuild as build

    if what not in LOCKS:
        raise typer.BadParameter(f"{what} cannot be rebuilt; one of {', '.join(LOCKS)}")
    err = Console(stderr=True, highlight=False, emoji=False)
    try:
        with err.status("connecting") as status:
            done = asyncio.run(build(current(), what, tell=status.update))
    except (RebuildFailed, StoreError) as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except _stores_errors() as error:
        raise _stopped(err, error) from None
    if as_json:
        typer.echo(json.dumps(done.as_json()))
        return
    typer.echo(
        f"{what}: {done.messages:,} messages in {done.seconds:.1f} s, swapped in {1000 * done.swap_seconds:.0f} ms"
        + (f"; {done.unreadable:,} cannot be read" if done.unreadable else "")
    )
    for table, rows in done.kept.items():
        typer.echo(f"  {table}: {rows:,} rows taken over")
