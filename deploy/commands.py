"""`gigz erase` and `gigz living`: a user removed everywhere, and left out of what was exported before."""

import asyncio
import json
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from deploy import settings as settings_module

if TYPE_CHECKING:
    from deploy.erasing.receipt import Receipt

err = Console(stderr=True, highlight=False, emoji=False)
T = TypeVar("T")


def erase(
    user: Annotated[str, typer.Argument(help="An id of ours; the id of an account is in state.accounts.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would go; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for Kafka's compaction; it is bounded by 8 days without.")
    ] = 120.0,
    no_compact: Annotated[
        bool, typer.Option("--no-compact", help="Leave the topics' settings alone; compaction comes in its own time.")
    ] = False,
    receipt: Annotated[
        Path | None, typer.Option(help="Where the receipt goes. Without: erasure-<its id>.json, here.")
    ] = None,
    restored: Annotated[
        list[Path] | None,
        typer.Option(help="After a backup was restored: receipts of those erased since. May be repeated."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The receipt for machines, on standard output.")] = False,
) -> None:
    """Remove a user everywhere, search every store for what is left (exit 1 when there is), write a receipt."""
    from deploy.erasing import run

    settings = settings_module.current()
    if bool(user) == bool(restored):
        raise typer.BadParameter("name a user, or receipts with --restored")
    told = {"clock": lambda: datetime.now(UTC), "wait_s": wait, "compact": not no_compact}
    with err.status("looking") as status:
        if restored:
            receipts = [run.read_receipt(path.read_bytes()) for path in restored]
            done = _run(run.again(settings, receipts, tell=status.update, **told))  # type: ignore[arg-type]
            typer.echo(f"{len(done)} of {len(receipts)} users were there again", err=True)
            _tell(done, None, as_json)
            return
        if not yes and not dry_run and not sys.stdin.isatty():
            raise typer.BadParameter("nobody is there to be asked; say --yes", param_hint="--yes")
        found = _run(run.survey(settings, user, status.update)) if dry_run or not yes else None
    if dry_run and found is not None:
        _show(found.there, as_json)
        return
    if found is not None:
        _confirm(user, found.there)
    with err.status("erasing") as status:
        done = [_run(run.erase(settings, user, tell=status.update, **told))]  # type: ignore[arg-type]
    _tell(done, receipt, as_json)


def living(
    files: Annotated[list[Path], typer.Argument(help="Files of JSON lines; - is standard input, .gz is read.")],
) -> None:
    """Rows and messages of files without those of erased users: for what was exported before, and is used again."""
    from deploy.erasing import run
    from deploy.feed import read_lines

    async def filtered() -> int:
        left_out = 0
        async for line, alive in run.living(
            settings_module.current(), (line for file in files for line in read_lines(file))
        ):
            if alive:
                sys.stdout.buffer.write(line + b"\n")
            left_out += not alive
        sys.stdout.buffer.flush()
        return left_out

    left_out = _run(filtered())
    err.print(f"{left_out} lines of erased users left out")


def _run(work: Coroutine[Any, Any, T]) -> T:
    """The result; what a person can mend is told in a line."""
    from aiokafka.errors import KafkaError
    from clickhouse_connect.driver.exceptions import Error as ClickHouseError
    from meilisearch.errors import MeilisearchError
    from sqlalchemy.exc import SQLAlchemyError

    from deploy.erasing import ErasureError
    from deploy.failures import in_a_line

    try:
        return asyncio.run(work)
    except ErasureError as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
    except (KafkaError, SQLAlchemyError, ClickHouseError, MeilisearchError, OSError) as error:
        why = in_a_line(error)
        told = f"{why}. What was done stays done. Remedy: when all stores answer, run this again; it goes on."
        err.print(told, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(1)


def _confirm(user: str, there: dict[str, int]) -> None:
    _show(there, as_json=False)
    err.print("This cannot be undone.", style="yellow")
    if typer.prompt("Type the user's id to go on", err=True) != user:
        err.print("That is another id; nothing was done.")
        raise typer.Exit(1)


def _show(there: dict[str, int], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(there))
        return
    table = Table("store", "place", "there", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    for place, number in sorted(there.items()):
        if number:
            store, _, name = place.partition(" ")
            table.add_row(store, name, f"{number:,}")
    Console(highlight=False, emoji=False).print(table if any(there.values()) else "nothing")


def _tell(done: "list[Receipt]", path: Path | None, as_json: bool) -> None:
    for one in done:
        file = path or Path(f"erasure-{one.receipt_id}.json")
        file.write_text(json.dumps(one.as_json(), indent=2) + "\n", encoding="utf-8")
        typer.echo(json.dumps(one.as_json()) if as_json else one.as_text(), nl=as_json)
        err.print(f"receipt: {file}", markup=False, soft_wrap=True)
    if not all(one.clean for one in done):
        raise typer.Exit(1)
