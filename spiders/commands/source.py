"""`gigz spiders`, `gigz spider new`, `expect` and `try`."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from spiders.authoring.trying import Fit, Tried
    from spiders.formats.base import SourceSpider
    from spiders.runs.lastruns import LastRun

app = typer.Typer(help="Write a new source, or try an address.", no_args_is_help=True)
WIDE = 140
"""Columns from which everything about a spider fits on its line."""
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


@app.callback()
def spider() -> None:
    """Write a new source, or try an address."""


# -- gigz spiders -----------------------------------------------------------------------------------------------------


def list_spiders(as_json: AsJson = False) -> None:
    """The spiders: source, format, politeness, licence and last run."""
    import asyncio

    from rich.console import Console

    from deploy.settings import SettingsError, current
    from spiders.runs.lastruns import last_runs
    from spiders.sources import SPIDERS

    unknown = ""
    runs: Mapping[str, LastRun] = {}
    try:
        runs = asyncio.run(last_runs(current()))
    except SettingsError as error:
        unknown = f"last runs are not known: {error}"
    if as_json:
        rows = [_as_json(one, runs.get(one.name), unknown) for one in SPIDERS]
        typer.echo(json.dumps({"spiders": rows, "note": unknown or None}))
        return
    console = Console(highlight=False, emoji=False)
    now = datetime.now(UTC)
    told = {one.name: "unknown" if unknown else _told(runs.get(one.name), now) for one in SPIDERS}
    if console.width >= WIDE:
        _as_table(console, SPIDERS, told)
    else:
        _as_blocks(console, SPIDERS, told)
    if unknown:
        Console(stderr=True, highlight=False, emoji=False).print(unknown, style="yellow", markup=False)


def _as_json(one: "type[SourceSpider]", run: "LastRun | None", unknown: str) -> dict[str, Any]:
    pace = one.pace
    return {
        "spider": one.name,
        "source": one.source or None,
        "format": one.format,
        "topic": one.topic,
        "politeness": {
            "every_s": pace.every_s,
            "at_once": pace.at_once,
            "a_day": pace.a_day,
            "adapts": pace.adapts,
            "text": str(pace),
        },
        "licence": one.licence,
        "key": f"GIGZ_{one.key_setting.upper()}" if one.key_setting else None,
        "searches": bool(one.search),
        "example": one.example or None,
        "last_run": None if run is None else run.as_json(),
        "last_run_known": not unknown,
    }


def _told(run: "LastRun | None", now: datetime) -> str:
    return "never" if run is None else run.told(now)


def _source(one: "type[SourceSpider]") -> str:
    return one.source or "the host"


def _as_table(console: "Console", spiders: "tuple[type[SourceSpider], ...]", told: dict[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("spider", "source", "format"):
        table.add_column(name, no_wrap=True)
    for name, ratio in (("politeness", 3), ("licence", 5), ("last run", 3)):
        table.add_column(name, ratio=ratio)
    for one in spiders:
        cells = (one.name, _source(one), one.format, str(one.pace), one.licence, told[one.name])
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)


def _as_blocks(console: "Console", spiders: "tuple[type[SourceSpider], ...]", told: dict[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    wide = max(len(one.name) for one in spiders)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True, min_width=wide)
    table.add_column()
    for one in spiders:
        lines = (
            f"{_source(one)}, {one.format}; last run: {told[one.name]}",
            str(one.pace),
            one.licence,
        )
        table.add_row(Text(one.name, style="bold"), Text(lines[0]))
        for line in lines[1:]:
            table.add_row("", Text(line, style="dim"))
    console.print(table)


# -- gigz spider new --------------------------------------------------------------------------------------------------


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="What the spider is called: small letters, digits and _.")],
    format_: Annotated[str, typer.Option("--format", help="What its pages are: a wrong one lists them all.")],
    start_url: Annotated[str, typer.Option(help="Where a crawl begins.")] = "",
) -> None:
    """Write a source, a saved answer and a test that passes: to be changed into the real ones."""
    from spiders.authoring.scaffold import ROOT, new_source

    written = new_source(name, format_, start_url)
    for path in written.files:
        typer.echo(f"wrote {path.relative_to(ROOT)}")
    typer.echo(f"and its line in docs/sources/README.md; the test: pytest {written.test.relative_to(ROOT)}")


@app.command()
def expect(name: Annotated[str, typer.Argument(help="A source that `gigz spider new` wrote.")]) -> None:
    """Write its test anew: to expect what it makes of its saved answer now. Look at what it says."""
    from spiders.authoring.scaffold import ROOT, expected

    test, found, refused = expected(name)
    for message in found:
        typer.echo(f"{message.source_id}  {json.dumps(message.fields, ensure_ascii=False)}")
    for text in refused:
        typer.echo(f"refused  {text}")
    more = f", {len(refused)} refused" if refused else ""
    typer.echo(f"wrote {test.relative_to(ROOT)}: {len(found)} messages{more}")


# -- gigz spider try --------------------------------------------------------------------------------------------------


@app.command(name="try")
def try_(
    url: Annotated[str, typer.Argument(help="An address, or a file.")],
    limit: Annotated[int, typer.Option(min=0, help="Messages of each format to show.")] = 3,
    save: Annotated[Path | None, typer.Option(help="Keep the answer in this file, for a test.")] = None,
    base: Annotated[
        str, typer.Option(help="Of a file: where it came from; else of a source's saved answer, where that begins.")
    ] = "",
    raw: Annotated[
        bool, typer.Option("--raw", help="The messages of the likeliest format alone, a line each: for gigz normalise.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Which formats fit an address, and the messages they would emit. Nothing is published; no engine is needed."""
    from rich.console import Console

    from deploy.settings import current
    from spiders.authoring.trying import try_address

    tried = try_address(current(), url, limit, save, base)
    if as_json:
        typer.echo(json.dumps(tried.as_json()))
    elif raw:
        for message in tried.fits[0].messages if tried.fits else ():
            typer.echo(message.to_bytes().decode())
        if kind := _kind_to_normalise(tried):
            typer.echo(f"to normalise these: gigz normalise --kind {kind} FILE", err=True)
        if not tried.ok:
            _show(Console(highlight=False, emoji=False, stderr=True), tried)
    else:
        _show(Console(highlight=False, emoji=False), tried)
    raise typer.Exit(0 if tried.ok else 1)


def _kind_to_normalise(tried: "Tried") -> str:
    """What `gigz normalise` has to be told; empty where it need not be."""
    topics = [fit.messages[0].topic for fit in tried.fits[:1] if fit.messages]
    kind = topics[0].removeprefix("gigz.raw-").partition(".")[0] if topics else ""
    return "" if kind == "event" else kind


def _show(console: "Console", tried: "Tried") -> None:
    def line(text: str, style: str = "") -> None:
        console.print(text, style=style or None, markup=False, soft_wrap=True)

    status = "" if tried.status is None else f"{tried.status}, "
    kind = f"{tried.content_type}, " if tried.content_type else ""
    line(f"{tried.url}: {status}{kind}{tried.size:,} bytes" if tried.size else tried.url)
    if tried.base:
        line(f"read as from {tried.base}")
    for fit in tried.fits:
        _show_fit(line, fit)
    if not tried.ok:
        line("")
        line("No format gives messages." if tried.size else "There is no answer.", "yellow")
        line(f"Found: {tried.found}")
        if tried.remedy:
            line(f"Remedy: {tried.remedy}")


def _show_fit(line: Any, fit: "Fit") -> None:
    by = f"spider {fit.spider}" if fit.spider else "the bare format"
    line("")
    line(f"{fit.format} fits ({by}): {fit.why}", "bold")
    pages = f", and would ask for {fit.asks} more" if fit.asks else ""
    topic = f" to {fit.messages[0].topic}" if fit.messages else ""
    line(f"  {fit.total} messages{topic}, {fit.refused} unreadable{pages}")
    for message in fit.messages:
        fields = json.dumps(message.fields, ensure_ascii=False, default=str)
        line(f"  {message.key}  {message.seen_at:%Y-%m-%dT%H:%M:%SZ}")
        line(f"    {fields}")
    for told in fit.unreadable:
        line(f"  unreadable: {told}", "yellow")
    if fit.hint:
        line(f"  hint: {fit.hint}", "yellow")
    for address in fit.follows:
        line(f"  next: {address}", "dim")
    for told in fit.faults:
        line(f"  fault: {told}", "yellow")
