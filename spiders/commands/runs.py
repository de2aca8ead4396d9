"""`gigz runs` and `gigz run`: what ran, and how one run went or goes."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from deploy.settings import Settings
    from spiders.runs import RunReport

app = typer.Typer(help="One run of a spider.", no_args_is_help=True)
STYLES = {
    "queued": "cyan",
    "running": "blue",
    "stopping": "yellow",
    "finished": "green",
    "failed": "red",
    "stopped": "yellow",
    "lost": "magenta",
}
COUNTS = ("scraped", "delivered", "unchanged", "rejected", "vanished", "spooled")
BAR = 20
LOOK_S = 1.0
"""Between two looks at a run that is followed."""
LOG_LINES = 15
"""Of its log, on a terminal; `--json` has all that is kept."""
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


@app.callback()
def run() -> None:
    """One run of a spider."""


def list_runs(
    spider: Annotated[str, typer.Option(help="Of this spider only.")] = "",
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed or were lost.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """What ran, the last first: state, duration, items, and why it ended."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = asyncio.run(_listed(spider, failed, limit))
    if as_json:
        typer.echo(json.dumps({"runs": [as_told(row) for row in rows]}))
        return
    console = Console(highlight=False, emoji=False)
    if not rows:
        console.print("No run" + (f" of {spider}" if spider else "") + (" failed." if failed else " yet."))
        return
    table = Table("run", "spider", "state", "began", "took", "items", "new", box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap = True
    table.add_column("why")
    for number in (4, 5, 6):
        table.columns[number].justify = "right"
    for row in rows:
        state = row.state.value
        new = row.figures.get("new")
        table.add_row(
            str(row.run_id)[:8],
            row.spider,
            f"[{STYLES[state]}]{state}[/]" + (" [red]![/]" if row.suspect else ""),
            instant(row.started_at or row.queued_at),
            took(row),
            f"{row.scraped:,}" if row.started_at else "",
            f"{new:,}" if new else "",
            Text(" ".join(_told(row).split()), no_wrap=True, overflow="ellipsis"),
        )
    console.print(table)
    if any(row.suspect for row in rows):
        console.print("[red]![/] suspect: `gigz monitors explain RUN`", style="dim")


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="A run's id, or its first letters; `gigz runs` lists them.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Its counts while it runs, until it ends.")] = False,
    as_json: AsJson = False,
) -> None:
    """One run: counts, requests, errors, coverage, what was found of it, who did what, its log."""
    from rich.console import Console

    console = Console(highlight=False, emoji=False)
    if follow:
        asyncio.run(_follow(run, console, as_json=as_json))
        return
    seen = asyncio.run(_seen(run))
    if as_json:
        typer.echo(json.dumps(seen.as_json()))
        return
    for part in page(seen.row, seen.log):
        console.print(part)


@dataclass(frozen=True)
class Seen:
    """A run's row and its lines in the operators' log."""

    row: Any
    log: list[Any]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        names = ("at", "who", "before", "after", "why")
        log = [{name: getattr(line, name) for name in names} for line in self.log]
        told = [line | {"at": line["at"].isoformat()} for line in log]
        return as_told(self.row) | {"log": told, "log_tail": self.row.log_tail}


def as_told(row: Any) -> dict[str, Any]:
    """A run's row for machines."""
    instants = ("queued_at", "started_at", "heartbeat_at", "finished_at")
    plain = ("spider", "source", "schedule", "arguments", "scope", "timeout_s", "host", "pid", "start_url", "pages")
    return {
        "run_id": str(row.run_id),
        "state": row.state.value,
        "trigger": row.trigger.value,
        **{name: getattr(row, name) for name in (*plain, *COUNTS, "suspect", "why", "findings", "figures")},
        **{name: (at := getattr(row, name)) and at.isoformat() for name in instants},
        "seconds": _seconds(row),
    }


def page(row: Any, log: list[Any]) -> "Iterator[RenderableType]":
    """A run, part by part, to be read in 80 columns."""
    from rich.table import Table
    from rich.text import Text

    from spiders.schedule import shown

    state = row.state.value
    head = Text.assemble(
        (str(row.run_id), "bold"), "  ", (row.spider, "bold"), "  ", (state, STYLES[state]), overflow="fold"
    )
    if row.suspect:
        head.append("  suspect", "red")
    yield head
    asked = f"schedule {row.schedule}" if row.schedule else row.trigger.value
    yield _line("asked by", " · ".join(part for part in (asked, shown(row.arguments)) if part))
    if row.start_url:
        yield _line("from", row.start_url)
    yield _line("time", _times(row))
    if row.host:
        limit = f" · time limit {_duration(row.timeout_s)}" if row.timeout_s else ""
        yield _line("process", f"{row.pid} on {row.host}{limit}")
    yield from _outcome(row, row if row.started_at else None)
    if log:
        yield Text("\nwho did what", "bold")
        table = Table(box=None, pad_edge=False, show_header=False)
        for line in log:
            style = STYLES.get(line.after or "", "default")
            table.add_row(
                Text(instant(line.at), "dim"),
                Text(line.after or "", style),
                Text(f"{line.who}" + (f": {line.why}" if line.why else ""), overflow="fold"),
            )
        yield table
    if row.log_tail:
        lines = row.log_tail.splitlines()
        told = f"last {LOG_LINES} of {len(lines)} lines kept" if len(lines) > LOG_LINES else "all of it"
        yield Text.assemble("\n", ("log", "bold"), (f", {told}", "dim"))
        for one in lines[-LOG_LINES:]:
            yield readable(one)


def summary(report: "RunReport") -> "Iterator[RenderableType]":
    """What came of a run that just ended, as its page tells it, and the verdict."""
    from rich.text import Text

    state, run = report.state.value, str(report.run_id)[:8]
    yield Text.assemble((run, "bold"), "  ", (report.spider, "bold"), "  ", (state, STYLES[state]), overflow="fold")
    yield _line("from", report.start_url)
    took_s = (report.finished_at - report.started_at).total_seconds()
    yield _line("time", f"{instant(report.started_at)} to {instant(report.finished_at)} ({_duration(took_s)})")
    yield from _outcome(report, report.counts)
    judged = report.figures.get("judged", {})
    if report.suspect:
        withheld = " The watermark did not move and nothing vanished." if judged.get("withholds") else ""
        yield _line("verdict", f"suspect: {len(report.findings)} beyond the limit.{withheld}", "red")
        yield _line("", f"gigz monitors explain {run}")
    elif report.ok:
        cold = "; too few good runs for a baseline yet" if judged.get("cold") else ""
        yield _line("verdict", f"good{cold}", "green")
    else:
        yield _line("verdict", f"{state}: gigz run show {run}", STYLES[state])


def _outcome(row: Any, counts: Any | None) -> "Iterator[RenderableType]":
    """Of a run's row or report: why it ended so, counts, requests, coverage, errors, findings."""
    from rich.table import Table
    from rich.text import Text

    figures = row.figures
    if row.why:
        yield _line("why", row.why, STYLES[row.state.value])
    if counts is not None:
        yield _line("items", _items(counts))
        if figures.get("known") or figures.get("new"):
            new, known, missing = (figures.get(name, 0) for name in ("new", "known", "missing"))
            yield _line("ids", f"{new:,} new, {known:,} known before, {missing:,} of them not found")
        yield _line("requests", _requests(row))
    if coverage := figures.get("coverage"):
        bars = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
        bars.add_column(width=9, style="dim")
        for number, (name, share) in enumerate(sorted(coverage.items(), key=lambda one: (-one[1], one[0]))):
            full = round(share * BAR)
            bar = Text("█" * full, "green" if share > 0.5 else "yellow") + Text("░" * (BAR - full), "dim")
            bars.add_row("" if number else "coverage", name, bar, f"{share:>4.0%}")
        yield bars
    if figures.get("errors"):
        yield _line("errors", f"{figures['errors']:,}", "red")
        for sample in figures.get("samples", ()):
            yield _line("", f"- {sample}")
    for number, finding in enumerate(row.findings):
        yield _line("" if number else "findings", f"- {finding.get('text', '')}", "red")


def readable(line: str) -> Any:
    """A line of the log in words, coloured by its level."""
    from rich.text import Text

    from spiders.runs.runlog import in_words

    words = in_words(line)
    level = next(iter(words[9:17].split()), "")
    style = {"warning": "yellow", "error": "red", "critical": "red"}.get(level, "default")
    return Text(words, style, overflow="fold")


def instant(at: datetime | None) -> str:
    """On this machine's clock; the day where it is another one."""
    if at is None:
        return ""
    here, now = at.astimezone(), datetime.now().astimezone()
    if here.date() == now.date():
        return here.strftime("%H:%M:%S")
    return here.strftime("%m-%d %H:%M" if here.year == now.year else "%Y-%m-%d %H:%M")


def took(row: Any) -> str:
    """How long a run took, or takes so far."""
    seconds = _seconds(row)
    return "" if seconds is None else _duration(seconds)


def _duration(seconds: float) -> str:
    from spiders.schedule import duration

    return duration(seconds)


def _seconds(row: Any) -> float | None:
    if row.started_at is None:
        return None
    until = row.finished_at or datetime.now().astimezone()
    seconds: float = (until - row.started_at).total_seconds()
    return round(max(0.0, seconds), 3)


def _line(name: str, text: str, style: str = "default") -> "Table":
    from rich.table import Table
    from rich.text import Text

    line = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1, 0, 0))
    line.add_column(width=9, style="dim")
    line.add_column(overflow="fold")
    line.add_row(name, Text(text, style, overflow="fold"))
    return line


def _times(row: Any) -> str:
    told = [f"queued {instant(row.queued_at)}"]
    told += [f"began {instant(row.started_at)}"] if row.started_at else []
    told += [f"ended {instant(row.finished_at)}"] if row.finished_at else []
    return " · ".join(told) + (f" ({took(row)})" if row.started_at else "")


def _items(row: Any) -> str:
    told = (
        f"{row.scraped:,} scraped: {row.delivered:,} delivered, {row.unchanged:,} unchanged, {row.rejected:,} rejected"
    )
    under_way = row.scraped - row.delivered - row.unchanged - row.rejected
    more = [f"{under_way:,} under way" if under_way else "", f"{row.vanished:,} vanished" if row.vanished else ""]
    more += [f"{row.spooled:,} on disk" if row.spooled else ""]
    return "; ".join(part for part in (told, *more) if part)


def _requests(row: Any) -> str:
    figures = row.figures
    statuses = ", ".join(f"{n:,} × {status}" for status, n in figures.get("statuses", {}).items())
    told = [f"{figures.get('requests', 0):,}" + (f": {statuses}" if statuses else ""), f"{row.pages:,} pages"]
    size = figures.get("bytes", 0)
    if absent := figures.get("nothing_found"):
        told.insert(1, f"{absent:,} of them say that nothing was found")
    told.append(f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size:,} bytes")
    if latency := figures.get("latency_s"):
        told.append(f"{latency * 1000:,.0f} ms an answer")
    return " · ".join(told)


def _told(row: Any) -> str:
    """Why it ended as it did; what was found of it; of one that finished, the other way round."""
    told = [row.why or "", _findings(row)]
    return "; ".join(part for part in (reversed(told) if row.state.value == "finished" else told) if part)


def _findings(row: Any) -> str:
    return "; ".join(str(finding.get("text", "")) for finding in row.findings) if row.suspect else ""


async def _listed(spider: str, failed: bool, limit: int) -> list[Any]:
    from sqlalchemy import select

    from schemas.tables import RunRow, RunState

    query = select(RunRow.__table__).order_by(RunRow.queued_at.desc(), RunRow.run_id).limit(limit)
    if spider:
        query = query.where(RunRow.spider == spider)
    if failed:
        query = query.where(RunRow.state.in_((RunState.FAILED, RunState.LOST)))
    settings, engine = _open()
    try:
        await _checked(settings, engine)
        async with engine.begin() as connection:
            if spider and not await _known(connection, spider):
                raise typer.BadParameter(f"there is no spider {spider!r}, and it never ran", param_hint="--spider")
            return list(await connection.execute(query))
    finally:
        await engine.dispose()


async def _known(connection: "AsyncConnection", spider: str) -> bool:
    """It ran once, or there is one: asked in this order, because the second takes a second."""
    from sqlalchemy import exists, select

    from schemas.tables import RunRow

    if await connection.scalar(select(exists().where(RunRow.spider == spider))):
        return True
    from spiders.sources import SPIDERS

    return spider in {one.name for one in SPIDERS}


async def _seen(written: str) -> Seen:
    settings, engine = _open()
    try:
        await _checked(settings, engine)
        return await _look(engine, written)
    finally:
        await engine.dispose()


async def _look(engine: "AsyncEngine", written: str) -> Seen:
    from sqlalchemy import select

    from schemas.tables import OperatorLogRow, WatchedBy
    from spiders import runs

    async with engine.begin() as connection:
        row = await runs.find(connection, written)
        about = select(OperatorLogRow.__table__).where(
            OperatorLogRow.about == WatchedBy.RUN, OperatorLogRow.thing == str(row.run_id)
        )
        return Seen(row, list(await connection.execute(about.order_by(OperatorLogRow.id))))


async def _follow(written: str, console: Any, *, as_json: bool) -> None:
    """Look again and again until the run has ended; then its page."""
    from rich.live import Live

    from spiders.runs import ENDED

    settings, engine = _open()
    try:
        await _checked(settings, engine)
        seen = await _look(engine, written)
        if as_json:
            while seen.row.state not in ENDED:
                typer.echo(json.dumps(progress(seen.row)))
                await asyncio.sleep(LOOK_S)
                seen = await _look(engine, str(seen.row.run_id))
            typer.echo(json.dumps(seen.as_json()))
            return
        if console.is_terminal:
            with Live(console=console, auto_refresh=False, transient=True) as live:
                while seen.row.state not in ENDED:
                    live.update(_now(seen.row), refresh=True)
                    await asyncio.sleep(LOOK_S)
                    await _checked(settings, engine)
                    seen = await _look(engine, str(seen.row.run_id))
        else:
            told = None
            while seen.row.state not in ENDED:
                if told != (told := progress(seen.row)):
                    typer.echo(" ".join(f"{name}={value}" for name, value in told.items()))
                await asyncio.sleep(LOOK_S)
                await _checked(settings, engine)
                seen = await _look(engine, str(seen.row.run_id))
        for part in page(seen.row, seen.log):
            console.print(part)
    finally:
        await engine.dispose()


def progress(row: Any) -> Mapping[str, Any]:
    """How far a run is."""
    return {"run_id": str(row.run_id), "state": row.state.value, "pages": row.pages} | {
        name: getattr(row, name) for name in COUNTS
    }


def _now(row: Any) -> "Table":
    from rich.table import Table

    state = row.state.value
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row(f"[bold]{str(row.run_id)[:8]}[/]", row.spider, f"[{STYLES[state]}]{state}[/]", took(row))
    table.add_row("", "pages", f"{row.pages:,}", "")
    for name in COUNTS:
        table.add_row("", name, f"{getattr(row, name):,}", "")
    return table


def _open() -> "tuple[Settings, AsyncEngine]":
    from deploy.clients import postgres_engine
    from deploy.settings import current

    settings = current()
    return settings, postgres_engine(settings, pool_size=1, name="gigz-runs")


async def _checked(settings: "Settings", engine: "AsyncEngine") -> None:
    """Postgres answers, and what runs according to it does: a process of this machine that is gone is lost."""
    from deploy.clients import check_postgres
    from spiders import runs
    from spiders.formats.base import utc_now
    from spiders.runs import runlog

    await check_postgres(engine, settings)
    async with engine.begin() as connection:
        for row, why in await runs.vanished(connection, settings, elsewhere=False):
            step = runs.Step(runs.this_user(), utc_now(), why)
            try:
                await runs.lose(connection, row, step, runlog.tail(settings, row.run_id))
            except runs.RunRefused:  # it ended in this moment
                continue
