"""The front door: `gigz`. Composes the rooms, holds no logic.

Exit codes: 0 done; 1 it did not work, the message says why; 2 an argument or a setting is wrong.
"""

import asyncio
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from deploy import settings as settings_module
from deploy.settings import Settings, SettingsError

if TYPE_CHECKING:
    from matchers.files import Refusal
    from schemas.raw import RawMessage

app = typer.Typer(
    help="Shows find you: the pipeline of a live-music journal.", no_args_is_help=True, pretty_exceptions_enable=False
)
topics_app = typer.Typer(help="The topics of the broker.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")
err = Console(stderr=True, highlight=False)

Files = Annotated[list[Path], typer.Argument(help="Files of JSON lines; - is standard input, .gz is read.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


def _settings() -> Settings:
    return settings_module.current()


# -- the local stack ----------------------------------------------------------------------------------------------


@app.command()
def up(
    workers: Annotated[bool, typer.Option("--workers", help="The stages and the API as well, one of each.")] = False,
) -> None:
    """Start the local stack: Kafka, PostgreSQL, ClickHouse and Meilisearch on loopback."""
    from deploy.local import stack

    with err.status("starting") as status:
        running = stack.up(_settings(), lambda engine, what: status.update(f"{engine}: {what}"))
    for process in running.processes:
        print(f"{process.name:12} {settings_module.shown(process.address)}")
    if workers:
        from deploy.local.demo.run import Steps, start_all
        from deploy.topics import apply_topics

        asyncio.run(apply_topics(_settings()))
        _migrate(_settings())
        print(f"{'api':12} {asyncio.run(start_all(_settings(), Steps(err)))}")


@app.command()
def down() -> None:
    """Stop what `gigz up` and `gigz demo` started from this home folder; data stay."""
    from deploy.local import stack, workers
    from deploy.local.demo.run import SITE

    with err.status("stopping") as status:
        stopped = workers.stop(_settings(), (SITE, workers.API, *workers.WORKERS))
        stopped += stack.down(_settings(), lambda engine, what: status.update(f"{engine}: {what}")) or []
    print("stopped: " + (", ".join(stopped) or "nothing ran"))


@app.command()
def status(as_json: AsJson = False) -> None:
    """What runs, where, since when, and how many messages wait before each stage."""
    from deploy.flow import WORKER_OF, gauge
    from deploy.local import stack

    async def lag() -> dict[str, int] | None:
        try:
            async with gauge(_settings()) as reading:
                now = await reading.lag()
        except Exception as error:  # status tells what it can, whatever is down
            err.print(f"[yellow]lag unknown:[/] {' '.join(str(error).split())[:300]}")
            return None
        return now.waiting | {"relay": now.outbox}

    processes = stack.status(_settings())
    kafka_is_there = any(p.name == "kafka" and p.state in {"running", "elsewhere"} for p in processes)
    waiting = asyncio.run(lag()) if kafka_is_there else {}
    if as_json:
        rows = [
            {
                "name": p.name,
                "state": p.state,
                "address": p.address,
                "pid": p.pid,
                "since": p.since.isoformat() if p.since else None,
                "memory_bytes": p.memory_bytes,
                "lag": (waiting or {}).get(p.name.rpartition("-")[0]),
            }
            for p in processes
        ]
        print(json.dumps({"processes": rows, "lag": waiting}))
        return
    table = Table("process", "state", "address", "pid", "since", "memory", "lag", box=None, pad_edge=False)
    today = datetime.now().astimezone().date()
    for p in processes:
        own = (waiting or {}).get(p.name.rpartition("-")[0])
        since = p.since.astimezone() if p.since else None
        table.add_row(
            p.name,
            f"[{'green' if p.state == 'running' else 'yellow'}]{p.state}[/]",
            p.address.rpartition("://")[2].removesuffix("/default"),
            str(p.pid or ""),
            "" if since is None else since.strftime("%H:%M:%S" if since.date() == today else "%Y-%m-%d %H:%M"),
            f"{p.memory_bytes / 1e6:,.0f} MB" if p.memory_bytes else "",
            "" if own is None else f"{own:,}",
        )
    running = {p.name.rpartition("-")[0] for p in processes}
    for stage, left in (waiting or {}).items():
        if WORKER_OF.get(stage, stage) not in running:
            table.add_row(stage, "[yellow]stopped[/]", "", "", "", "", f"{left:,}")
    Console().print(table)


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Confirm one show through the API, then stop everything.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object on the last line.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="Take listings/grateful_dead.jsonl and histories/*.jsonl of this folder instead of a crawl."),
    ] = None,
) -> None:
    """From a crawl to a show that is confirmed, with everything running on this machine."""
    from api.tokens import inbox_link, issue_token
    from deploy.local.demo import run
    from matchers.evaluate import first_right
    from sinks.counts import count_stores

    async def migrate(settings: Settings) -> None:
        await asyncio.to_thread(_migrate, settings)

    rooms = run.Rooms(
        migrate=migrate,
        count=count_stores,
        evaluate=first_right,
        token=lambda settings, user: issue_token(settings, user, datetime.now(UTC)),
        link=lambda settings, base, user: inbox_link(settings, base, user, datetime.now(UTC)),
    )
    console = err if as_json else Console(highlight=False)
    outcome = asyncio.run(run.run_demo(_settings(), console, rooms, run.demo_input(data), once=once))
    for table in run.tables(outcome):
        console.print(table)
    if not once:
        console.print(f"\n[bold]Your inbox:[/] {outcome.inbox}", soft_wrap=True)
        console.print(
            "[dim]The link signs you in for a day; `gigz open USER` makes a new one. `make down` stops everything.[/]"
        )
    if as_json:
        print(json.dumps(outcome.as_json()))


# -- setting up ---------------------------------------------------------------------------------------------------


@topics_app.command("apply")
def topics_apply() -> None:
    """Create the topics of the table in schemas/ and set what differs."""
    from deploy.topics import apply_topics

    done = asyncio.run(apply_topics(_settings()))
    for name in done.created:
        print(f"created {name}")
    for name in done.altered:
        print(f"altered {name}")
    print(f"{len(done.unchanged)} unchanged")


def _migrate(settings: Settings) -> list[str]:
    from deploy.clients import clickhouse
    from deploy.migrate import migrate_postgres
    from deploy.migrations.clickhouse import apply_clickhouse

    revision = migrate_postgres(settings)
    client = clickhouse(settings)
    try:
        applied = apply_clickhouse(client)
    finally:
        client.close()
    return [f"postgres {revision}", *(f"clickhouse {name}" for name in applied)]


@app.command()
def migrate() -> None:
    """Bring the tables of PostgreSQL and ClickHouse to what this version needs."""
    print("\n".join(_migrate(_settings())))


@app.command()
def contract(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when the files differ.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the files are.")] = Path("docs/contract"),
) -> None:
    """Write AsyncAPI 3 and the JSON Schemas of all topics, or check that they are as committed."""
    from schemas.contract import contract_files

    files = contract_files()
    present = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    if check:
        differing = sorted(name for name in {*files, *present} if files.get(name) != present.get(name))
        if differing:
            told = ", ".join(differing)
            raise _failed(f"{folder}: {told} differ. Remedy: `gigz contract`; a v2 where a reader would break.")
        print(f"{len(files)} files are as schemas/ says")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in present.keys() - files.keys():
        (folder / name).unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    print(f"{len(files)} files written to {folder}")


@app.command(name="settings")
def show_settings() -> None:
    """Every setting: what is in force, and why it is what it is."""
    table = Table("setting", "value", "why")
    for name, field in Settings.model_fields.items():
        value = getattr(_settings(), name)
        table.add_row(f"{settings_module.PREFIX}{name.upper()}", settings_module.shown(value), field.description or "")
    Console().print(table)


# -- the stages ---------------------------------------------------------------------------------------------------


@app.command()
def worker(
    stage: Annotated[
        str, typer.Argument(help="normalise, resolve, match, relay, sink-clickhouse, sink-postgres, sink-meilisearch.")
    ],
    instance: Annotated[int, typer.Option(min=1, help="Number of this process among those of its stage.")] = 1,
) -> None:
    """Run one process of a stage until SIGTERM."""
    from deploy.logs import configure

    settings = _settings()
    configure(settings.log_level, settings.log_format, stage)
    if stage in {"normalise", "resolve", "match", "relay"}:
        from streams.main import run_worker

        sys.exit(run_worker(settings, stage, instance))  # type: ignore[arg-type]
    if stage in {"sink-clickhouse", "sink-postgres", "sink-meilisearch"}:
        from sinks.main import run_sink

        sys.exit(asyncio.run(run_sink(settings, stage.removeprefix("sink-"), instance)))  # type: ignore[arg-type]
    raise typer.BadParameter(f"{stage} is no stage")


@app.command()
def api(port: Annotated[int | None, typer.Option(help="Instead of GIGZ_API_PORT; 0: any free one.")] = None) -> None:
    """Serve the API and the inbox until SIGTERM."""
    from api.main import run_api
    from deploy.logs import configure

    settings = _settings() if port is None else _settings().model_copy(update={"api_port": port})
    configure(settings.log_level, settings.log_format, "api")
    run_api(settings, on_listening=lambda address: print(address, flush=True))


@app.command()
def crawl(
    spider: Annotated[str, typer.Argument(help="Its name; `gigz spiders` lists them.")],
    start_url: Annotated[str | None, typer.Option(help="Where the crawl begins.")] = None,
    source: Annotated[str, typer.Option(help="Name of the catalogue, where it is not the spider's own.")] = "",
    as_json: AsJson = False,
) -> None:
    """Run one spider once and deliver what it finds to Kafka."""
    from deploy.logs import configure
    from spiders.crawl import run_crawl

    settings = _settings()
    configure(settings.log_level, settings.log_format, "spiders")
    report = run_crawl(settings, spider, start_url, source=source)
    told = report.as_json()
    print(json.dumps(told) if as_json else "\n".join(f"{name:12} {value}" for name, value in told.items()))
    sys.exit(0 if report.ok else 1)


@app.command()
def spiders() -> None:
    """The spiders: source, topic, format, politeness, licence."""
    from spiders.sources import SPIDERS

    table = Table("spider", "topic", "format", "politeness", "licence")
    for spider in SPIDERS:
        table.add_row(spider.name, spider.message.topic, spider.format, spider.politeness, spider.licence)
    Console().print(table)


@app.command()
def feed(
    files: Files,
    topic: Annotated[
        str, typer.Option(help="raw-event, raw-setlist, raw-venue, raw-artist, history or history-backfill.")
    ],
) -> None:
    """Publish rows of files: listings as raw messages, entries as history."""
    from deploy.feed import FEEDABLE
    from deploy.feed import feed as feed_files

    if topic not in FEEDABLE:
        raise typer.BadParameter(f"{topic} cannot be fed; one of {', '.join(FEEDABLE)}", param_hint="--topic")
    done = asyncio.run(feed_files(_settings(), files, topic))
    print(f"{done.lines} lines: {done.sent} sent to {topic}, {done.refused} refused as too large")
    if done.unreadable:
        err.print(f"[yellow]{done.unreadable} lines are no {topic} rows: sent as they stand, they will be rejected.[/]")


@app.command()
def token(user: Annotated[str, typer.Argument(help="An id of ours, e.g. listener-1.")]) -> None:
    """An access token for a user, in development."""
    from api.tokens import issue_token

    print(issue_token(_settings(), user, datetime.now(UTC)))


@app.command(name="open")
def open_inbox(user: Annotated[str, typer.Argument(help="An id of ours, e.g. listener-1.")]) -> None:
    """An address that signs a user in and shows the inbox, in development."""
    from api.tokens import inbox_link
    from deploy.local.processes import Processes
    from deploy.local.workers import API

    settings = _settings()
    running = Processes(settings.home).find(API)
    base = running.address if running else f"http://{settings.api_host}:{settings.api_port}"
    print(inbox_link(settings, base, user, datetime.now(UTC)))


# -- the parts that work on files ----------------------------------------------------------------------------------


def _rows(files: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """(file:line, bytes) of every line."""
    from deploy.feed import read_lines

    for file in files:
        for number, line in enumerate(read_lines(file), 1):
            yield f"{file}:{number}", line


def _write(row: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(row) + b"\n")


Kind = Annotated[str, typer.Option(help="What the rows are: event, setlist, venue or artist.")]


def _raw_class(kind: str) -> "type[RawMessage]":
    from schemas.raw import RawArtist, RawEvent, RawSetlist, RawVenue

    kinds: dict[str, type[RawMessage]] = {
        "event": RawEvent,
        "setlist": RawSetlist,
        "venue": RawVenue,
        "artist": RawArtist,
    }
    if kind not in kinds:
        raise typer.BadParameter(f"{kind} is no kind; one of {', '.join(kinds)}", param_hint="--kind")
    return kinds[kind]


@app.command()
def normalise(
    files: Files,
    kind: Kind = "event",
    rejections: Annotated[Path | None, typer.Option(help="Rows that cannot be used, with their reason.")] = None,
) -> None:
    """Raw messages or listing rows -> listing rows."""
    from matchers.files import Refusal, message_row, read_messages

    refused: list[Refusal] = []
    for one in read_messages(_rows(files), _raw_class(kind)):
        if isinstance(one, Refusal):
            refused.append(one)
        else:
            _write(message_row(one))
    _tell_refusals(refused, rejections)


@app.command()
def resolve(files: Files, kind: Kind = "event") -> None:
    """Listing rows -> concert rows."""
    from matchers.files import read_concerts
    from schemas.rows import concert_row

    concerts, refused = read_concerts(_rows(files), _raw_class(kind))
    for concert in concerts:
        _write(concert_row(concert))
    _tell_refusals(refused, None)


@app.command()
def match(
    history: Annotated[list[Path], typer.Option(help="Entry rows.")],
    concerts: Annotated[list[Path], typer.Option(help="Concert rows, or listing rows, which are resolved first.")],
    kind: Kind = "event",
) -> None:
    """Entry rows and concerts -> suggestion rows, in the order of the entries."""
    from matchers.files import match_entries, read_concerts
    from schemas.rows import suggestion_row

    known, refused = read_concerts(_rows(concerts), _raw_class(kind))
    for found, refusal in match_entries(_rows(history), known):
        _write(found if isinstance(found, dict) else suggestion_row(found))
        if refusal is not None:
            refused.append(refusal)
    _tell_refusals(refused, None)


@app.command()
def evaluate(
    kind: Annotated[str, typer.Argument(help="history, resolve or mb20k.")],
    files: Annotated[
        list[Path], typer.Argument(help="history: ENTRIES LISTINGS...; resolve: LISTINGS...; mb20k: its CSV files.")
    ],
) -> None:
    """Figures against a labelled set, as one JSON object."""
    from matchers import evaluate as figures
    from matchers.files import match_entries, read_concerts
    from schemas.suggestion import Suggestions

    if kind == "history":
        lines = list(_rows(files[:1]))
        known, refused = read_concerts(_rows(files[1:]), _raw_class("event"))
        found = list(match_entries(lines, known))
        refused += [refusal for _, refusal in found if refusal is not None]
        sets = [one for one, _ in found if isinstance(one, Suggestions)]
        told = figures.evaluate_history(_objects(lines, ("user", "entry_id")), sets)
    elif kind == "resolve":
        lines = list(_rows(files))
        known, refused = read_concerts(lines, _raw_class("event"))
        told = figures.evaluate_resolve(_objects(lines, ("source", "source_id")), known)
    elif kind == "mb20k":
        refused = []
        told = figures.evaluate_mb20k([row for file in files for row in _csv(file)])
    else:
        raise typer.BadParameter(f"{kind} is no kind; one of history, resolve, mb20k")
    print(json.dumps(told, indent=2))
    _tell_refusals(refused, None)


def _objects(lines: Sequence[tuple[str, bytes]], needed: Sequence[str]) -> list[dict[str, Any]]:
    """The rows that have what figures are counted by; `read_concerts` and `match_entries` tell of the others."""
    rows = []
    for _, line in lines:
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(row, dict) and all(row.get(name) is not None for name in needed):
            rows.append(row | {name: str(row[name]) for name in needed})
    return rows


def _csv(file: Path) -> list[dict[str, str]]:
    from deploy.feed import read_lines

    return list(csv.DictReader(line.decode("utf-8", "replace") + "\n" for line in read_lines(file)))


def _tell_refusals(refused: "Sequence[Refusal]", path: Path | None) -> None:
    if path is not None:
        path.write_bytes(b"".join(orjson.dumps(asdict(one)) + b"\n" for one in refused))
    if refused:
        first = refused[0]
        where = f"; they are in {path}" if path else ""
        err.print(f"[yellow]{len(refused)} rows could not be used{where}.[/]")
        err.print(f"First: {first.origin}: {first.reason}: {first.text}", markup=False, soft_wrap=True)


def _failed(text: str) -> typer.Exit:
    err.print(f"[red]{text}[/]", soft_wrap=True)
    return typer.Exit(1)


def main() -> None:
    """Run the command line; errors that a person can mend are told in a line, not as a traceback."""
    from deploy.feed import FileError
    from deploy.local.demo.run import DemoFailed
    from deploy.local.errors import StackError
    from deploy.local.workers import WorkerFailed
    from deploy.topics import TopicError

    try:
        app(prog_name="gigz")
    except SettingsError as error:
        err.print(str(error), style="red", soft_wrap=True, markup=False)
        sys.exit(2)
    except (StackError, TopicError, FileError, DemoFailed, WorkerFailed, TimeoutError) as error:
        err.print(str(error), style="red", soft_wrap=True, markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
