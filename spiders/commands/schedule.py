"""`gigz schedule`: when which spider runs; a run now, and the end of one."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from spiders.schedule import Plan
    from spiders.schedule.operations import Changed, Operations

app = typer.Typer(help="Schedules of spiders: when which one runs.", no_args_is_help=True)
T = TypeVar("T")
Name = Annotated[str, typer.Argument(help="Of the schedule; `gigz schedule list` has them.")]
Spider = Annotated[str, typer.Argument(help="Its name; `gigz spiders` lists them.")]
Arg = Annotated[
    list[str] | None, typer.Option("--arg", metavar="K=V", help="Of its errand: artist, since, start_url, full, ...")
]
Timeout = Annotated[str, typer.Option(help="Longest time of a run: 30m, 2h, 1h30m, or seconds.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the operators' log.")]
Who = Annotated[str, typer.Option(help="Who says so, instead of this machine's user.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


@app.callback()
def schedule() -> None:
    """Schedules of spiders: when which one runs."""


@app.command()
def add(
    spider: Spider,
    cron: Annotated[str, typer.Option(help='Minute hour day month weekday: "30 3 * * *", "0 6 * * mon", @daily.')],
    tz: Annotated[str, typer.Option(help="Zone of the cron expression: Europe/Berlin.")] = "UTC",
    arg: Arg = None,
    timeout: Timeout = "",
    name: Annotated[str, typer.Option(help="Of the schedule; else the spider's.")] = "",
    reason: Reason = "",
    who: Who = "",
) -> None:
    """Let a spider run by a schedule of its own."""
    from spiders.crawl import arguments_of
    from spiders.runs import this_user
    from spiders.schedule import seconds_of

    arguments, limit = arguments_of(arg or []), seconds_of(timeout) if timeout else None

    async def work(operations: "Operations") -> None:
        user = who or this_user()
        plan = await operations.put_schedule(name or spider, spider, cron, tz, arguments, limit, user, reason, new=True)
        await _tell(operations, plan)

    operate(work)


@app.command()
def edit(
    name: Name,
    cron: Annotated[str, typer.Option(help="Another cron expression.")] = "",
    tz: Annotated[str, typer.Option(help="Another zone.")] = "",
    arg: Annotated[
        list[str] | None, typer.Option("--arg", metavar="K=V", help="Set an argument; K= takes it away.")
    ] = None,
    timeout: Annotated[str, typer.Option(help="Longest time of a run: 30m; none: the general one.")] = "",
    reason: Reason = "",
    who: Who = "",
) -> None:
    """Change a schedule; what is not given stays."""
    from spiders.crawl import arguments_of
    from spiders.runs import this_user
    from spiders.schedule import seconds_of

    changed = arguments_of(arg or [])

    async def work(operations: "Operations") -> None:
        row = await operations.schedule(name)
        arguments = {k: v for k, v in (row.arguments | changed).items() if v != ""}
        limit = row.timeout_s if not timeout else None if timeout == "none" else seconds_of(timeout)
        plan = await operations.put_schedule(
            name, row.spider, cron or row.cron, tz or row.tz, arguments, limit, who or this_user(), reason, new=False
        )
        await _tell(operations, plan)

    operate(work)


@app.command(name="list")
def list_schedules(as_json: AsJson = False) -> None:
    """Every schedule, the next one first."""
    from rich.console import Console
    from rich.table import Table

    from spiders.commands.runs import STYLES
    from spiders.schedule import shown
    from spiders.schedule.operations import status_of

    async def work(operations: "Operations") -> tuple[list[Any], dict[Any, Any], bool]:
        rows = await operations.schedules()
        states = await operations.states([row.last_run for row in rows if row.last_run])
        return rows, states, await operations.scheduler_is_there()

    rows, states, active = operate(work)
    if as_json:
        names = ("name", "spider", "cron", "tz", "arguments", "timeout_s", "paused", "next_at", "last_at", "last_run")
        told = [{name: getattr(row, name) for name in names} for row in rows]
        for one, row in zip(told, rows, strict=True):
            one["last_state"] = states.get(row.last_run)
        typer.echo(json.dumps({"schedules": told, "scheduler_active": active}, default=str))
        return
    table = Table("schedule", "spider", "cron", "next", "last run", box=None, pad_edge=False)
    table.columns[3].no_wrap = True
    now = datetime.now().astimezone()
    for row in rows:
        when = {"paused": "[yellow]paused[/]", "never": "[red]never[/]", "due": "[green]due[/]"}
        last = states.get(row.last_run, "")
        what = row.spider + (f" [dim]{shown(row.arguments)}[/]" if row.arguments else "")
        table.add_row(
            row.name,
            what,
            row.cron + ("" if row.tz == "UTC" else f" [dim]{row.tz}[/]"),
            when.get(status_of(row, now)) or _date(row.next_at, row.tz),
            f"[{STYLES.get(last, 'default')}]{last}[/] [dim]{str(row.last_run)[:8]}[/]" if last else "",
        )
    console = Console(highlight=False, emoji=False)
    if rows:
        console.print(table)
    else:
        console.print('There is none yet: gigz schedule add SPIDER --cron "30 3 * * *"', markup=False)
    _warn_of_no_scheduler(active)


@app.command()
def pause(name: Name, reason: Reason = "", who: Who = "") -> None:
    """Keep a schedule, but start nothing by it; a run of it that waits is stopped, one under way goes on."""
    _paused(name, True, reason, who)


@app.command()
def resume(name: Name, reason: Reason = "", who: Who = "") -> None:
    """Start runs by it again; dates that passed meanwhile are not made up for."""
    _paused(name, False, reason, who)


@app.command()
def remove(name: Name, reason: Reason = "", who: Who = "") -> None:
    """Remove a schedule; a run of it that waits is stopped, one under way goes on. The history stays."""
    from spiders.runs import this_user

    async def work(operations: "Operations") -> None:
        changed = await operations.remove(name, who or this_user(), reason)
        typer.echo(f"removed {name}: {changed.plan}")
        _tell_of_runs(changed)

    operate(work)


@app.command(name="run")
def run_now(spider: Spider, arg: Arg = None, timeout: Timeout = "", reason: Reason = "", who: Who = "") -> None:
    """Queue a run for the scheduler to start now."""
    from spiders.crawl import arguments_of
    from spiders.runs import this_user
    from spiders.schedule import seconds_of

    arguments, limit = arguments_of(arg or []), seconds_of(timeout) if timeout else None

    async def work(operations: "Operations") -> None:
        run_id = await operations.start(spider, arguments, who or this_user(), reason, limit)
        typer.echo(f"queued {run_id}")
        for warning in operations.warnings(spider):
            typer.secho(warning, err=True, fg="yellow")
        _warn_of_no_scheduler(await operations.scheduler_is_there())

    operate(work)


@app.command()
def stop(
    run: Annotated[str, typer.Argument(help="A run's id, or its first letters; `gigz runs` lists them.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the run.")],
    who: Who = "",
) -> None:
    """Tell a run to end, on whatever machine it is: what it scraped is still delivered."""
    from spiders.runs import this_user

    async def work(operations: "Operations") -> None:
        state = await operations.stop(run, who or this_user(), reason)
        typer.echo(f"{run}: {state.value}")

    operate(work)


def _paused(name: str, paused: bool, reason: str, who: str) -> None:
    from spiders.runs import this_user

    async def work(operations: "Operations") -> None:
        changed = await operations.pause(name, paused, who or this_user(), reason)
        if paused:
            typer.echo(f"{name} is paused")
            _tell_of_runs(changed)
        else:
            await _tell(operations, changed.plan)

    operate(work)


def _tell_of_runs(changed: "Changed") -> None:
    if told := str(changed):
        typer.echo(told)
    if changed.under_way:
        typer.echo("to end it: gigz schedule stop RUN --reason WHY")


async def _tell(operations: "Operations", plan: "Plan") -> None:
    """What the schedule is now, and when it comes."""
    typer.echo(f"{plan.name}: {plan}")
    if not plan.paused:
        typer.echo(f"next: {', '.join(_dates(plan))}")
    for warning in operations.warnings(plan.spider):
        typer.secho(warning, err=True, fg="yellow")
    _warn_of_no_scheduler(await operations.scheduler_is_there())


def _dates(plan: "Plan", number: int = 3) -> list[str]:
    from spiders.formats.base import utc_now

    told, moment = [], utc_now()
    for _ in range(number):
        date = plan.cron.after(moment)
        if date is None:
            break
        told.append(_date(date, plan.cron.tz))
        moment = date
    return told


def _date(at: datetime, tz: str) -> str:
    """On the clocks of the schedule's zone, with its name."""
    from spiders.schedule import zone_of

    return at.astimezone(zone_of(tz)).strftime("%a %Y-%m-%d %H:%M %Z")


def _warn_of_no_scheduler(active: bool) -> None:
    if not active:
        typer.secho(
            "No scheduler is active, nothing will start. Remedy: `gigz worker scheduler`, or `gigz up --workers`.",
            err=True,
            fg="yellow",
        )


def operate(work: "Callable[[Operations], Awaitable[T]]") -> T:
    """Run it with Postgres open. SettingsError."""
    from deploy.clients import check_postgres, postgres_engine
    from deploy.settings import current
    from spiders.schedule.operations import Operations

    settings = current()

    async def open_() -> T:
        engine = postgres_engine(settings, pool_size=1, name="gigz-schedule")
        try:
            await check_postgres(engine, settings)
            return await work(Operations(settings, engine, local_files=True))
        finally:
            await engine.dispose()

    return asyncio.run(open_())
