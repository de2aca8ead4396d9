"""`gigz monitors`: what each run is judged by, and an operator's word on it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from spiders.monitoring.judgements import Judgement

app = typer.Typer(help="What each run is measured by.", no_args_is_help=True)
T = TypeVar("T")
RunId = Annotated[str, typer.Argument(help="A run's id or its first letters; `gigz runs` lists them.")]


@app.callback()
def monitors() -> None:
    """What each run is measured by."""


@app.command()
def explain(run: RunId, as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """Every rule for one run: its value, the baseline, the limit, the verdict."""
    from spiders.monitoring import judgements

    judgement = _with_engine(lambda engine: judgements.explain(engine, run))
    if as_json:
        typer.echo(json.dumps(judgement.as_json()))
    else:
        _show(judgement)


def _show(judgement: "Judgement") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, emoji=False)
    console.print(f"run {judgement.run_id}: {judgement.spider}, {judgement.scope}", markup=False, soft_wrap=True)
    console.print(judgement.told, markup=False, soft_wrap=True)
    if judgement.accepted:
        told = judgement.accepted
        console.print(f"accepted by {told['who']} at {told['at']}: {told['why']}", markup=False, soft_wrap=True)
    if not judgement.judged.get("compared"):
        return
    table = Table("rule", "value", "baseline", "MAD", "limit", "verdict", box=None, pad_edge=False)
    for column in table.columns[1:5]:
        column.justify = "right"
    for one in judgement.judged["compared"]:
        figures = ["-" if one[name] is None else f"{one[name]:,g}" for name in ("value", "baseline", "mad", "limit")]
        verdict = "[red]beyond[/]" if one["beyond"] else "not judged" if one["limit"] is None else "within"
        table.add_row(one["rule"], *figures, verdict)
    console.print(table)
    for one in judgement.judged["compared"]:
        if one["beyond"]:
            console.print(one["text"], markup=False, soft_wrap=True)


@app.command()
def accept(run: RunId, reason: Annotated[str, typer.Option(help="Why the run is right; kept in the log.")]) -> None:
    """Make a suspect run the new normal; what it withheld happens at the next run."""
    from spiders.formats.base import utc_now
    from spiders.monitoring import judgements
    from spiders.runs import this_user

    run_id = _with_engine(lambda engine: judgements.accept(engine, run, this_user(), reason, utc_now()))
    typer.echo(f"accepted: baselines of its scope begin with run {run_id}")


def _with_engine(work: "Callable[[AsyncEngine], Awaitable[T]]") -> T:
    from deploy.clients import check_postgres, postgres_engine
    from deploy.settings import current

    settings = current()

    async def open_() -> T:
        engine = postgres_engine(settings, pool_size=1, name="gigz-monitors")
        try:
            await check_postgres(engine, settings)
            return await work(engine)
        finally:
            await engine.dispose()

    return asyncio.run(open_())
