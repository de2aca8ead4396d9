"""The front door: `gigz`. Composes the rooms, holds no logic.

Exit codes: 0 done; 1 it did not work, the message says why; 2 an argument or a setting is wrong.
"""

import asyncio
import contextlib
import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from os import SEEK_END
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from api.imports import commands as imports
from deploy import commands as erasing
from deploy import settings as settings_module
from deploy.settings import Settings, SettingsError
from deploy.watching import commands as watching
from sinks import commands as stores
from spiders.commands import monitors, runs, schedule, source, wanted
from streams import commands as tracing

if TYPE_CHECKING:
    from matchers.columns import Columns
    from matchers.files import Refusal
    from matchers.judge.evaluate import Evaluated
    from matchers.weights import Tables
    from schemas.raw import RawMessage

app = typer.Typer(
    help="Shows find you: the pipeline of a live-music journal.", no_args_is_help=True, pretty_exceptions_enable=False
)
topics_app = typer.Typer(help="The topics of the broker.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")
app.add_typer(schedule.app, name="schedule")
app.add_typer(runs.app, name="run")
app.command(name="runs")(runs.list_runs)
app.add_typer(monitors.app, name="monitors")
app.add_typer(wanted.app, name="wanted")
app.add_typer(source.app, name="spider")
app.command(name="spiders")(source.list_spiders)
app.command(name="status")(watching.status)
app.command(name="top")(watching.top)
app.command(name="reconcile")(stores.reconcile)
app.command(name="rebuild")(stores.rebuild)
app.command(name="trace")(tracing.trace)
app.command(name="import")(imports.import_file)
app.command(name="erase")(erasing.erase)
app.command(name="living")(erasing.living)
err = Console(stderr=True, highlight=False, emoji=False)

Files = Annotated[list[Path], typer.Argument(help="Files of JSON lines; - is standard input, .gz is read.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]


def _settings() -> Settings:
    return settings_module.current()


def _tell_versions(wanted: bool) -> None:
    if wanted:
        from deploy.version import versions

        print("\n".join(f"{name} {version}" for name, version in versions().items()))
        raise typer.Exit


@app.callback()
def front_door(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_versions, is_eager=True, help="Of Gigz, of its tables and of each message."
        ),
    ] = False,
) -> None:
    """Shows find you: the pipeline of a live-music journal."""


# -- the local stack ----------------------------------------------------------------------------------------------


@app.command()
def up(
    workers: Annotated[
        bool, typer.Option("--workers", help="The stages, the API and the scheduler as well, one of each.")
    ] = False,
) -> None:
    """Start the local stack: Kafka, PostgreSQL, ClickHouse and Meilisearch on loopback."""
    from deploy.local import stack

    with err.status("starting") as status:
        running = stack.up(_settings(), lambda engine, what: status.update(f"{engine}: {what}"))
    for process in running.processes:
        print(f"{process.name:12} {settings_module.shown(process.address)}")
    if workers:
        from deploy.local.demo.run import Steps, start_all
        from deploy.local.workers import SCHEDULER, start_worker
        from deploy.migrate import migrate_stores
        from deploy.topics import apply_topics

        asyncio.run(apply_topics(_settings()))
        migrate_stores(_settings())
        print(f"{'api':12} {asyncio.run(start_all(_settings(), Steps(err)))}")
        start_worker(_settings(), SCHEDULER)


@app.command()
def down() -> None:
    """Stop what `gigz up` and `gigz demo` started from this home folder; data stay."""
    from deploy.local import stack, workers
    from deploy.local.demo.run import SITE
    from deploy.watching import readings

    with err.status("stopping") as status:
        stopped = workers.stop(_settings(), (SITE, workers.SCHEDULER, workers.API, *workers.WORKERS))
        stopped += stack.down(_settings(), lambda engine, what: status.update(f"{engine}: {what}")) or []
    readings.forget_dead(_settings().home)
    print("stopped: " + (", ".join(stopped) or "nothing ran"))


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
    from deploy.migrate import migrate_stores
    from matchers.judge.evaluate import first_right
    from sinks.counts import count_stores

    async def migrate(settings: Settings) -> None:
        await asyncio.to_thread(migrate_stores, settings)

    rooms = run.Rooms(
        migrate=migrate,
        count=count_stores,
        evaluate=first_right,
        token=lambda settings, user: issue_token(settings, user, datetime.now(UTC)),
        link=lambda settings, base, user: inbox_link(settings, base, user, datetime.now(UTC)),
    )
    console = err if as_json else Console(highlight=False, emoji=False)
    outcome = asyncio.run(run.run_demo(_settings(), console, rooms, run.demo_input(data), once=once))
    for table in run.tables(outcome):
        console.print(table)
    if not once:
        hint = "The link signs you in for a day; `gigz open USER` makes a new one. `make down` stops everything."
        console.print(f"\n[dim]{hint}[/]", soft_wrap=True)
        # The last line, so that it is seen without looking for it.
        console.print(f"[bold]Your inbox:[/] {outcome.inbox}", soft_wrap=True)
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


@app.command()
def migrate() -> None:
    """Bring the tables of PostgreSQL and ClickHouse to what this version needs."""
    from deploy.migrate import migrate_stores

    print("\n".join(migrate_stores(_settings())))


@app.command()
def contract(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 when the files differ.")] = False,
    folder: Annotated[Path, typer.Option(help="Where those of topics are.")] = Path("docs/contract"),
    api: Annotated[Path, typer.Option(help="Where that of the API is.")] = Path("docs/api/openapi.json"),
) -> None:
    """Write AsyncAPI and JSON Schema of all topics and OpenAPI of the API, or check that they are as committed."""
    from api.contract import contract_text
    from schemas.contract import contract_files

    files = {folder / name: text for name, text in contract_files().items()} | {api: contract_text()}
    present = {path: path.read_text(encoding="utf-8") for path in (*folder.glob("*.json"), api) if path.exists()}
    if check:
        differing = sorted(str(path) for path in {*files, *present} if files.get(path) != present.get(path))
        if differing:
            raise _failed(f"{', '.join(differing)} differ. Remedy: `gigz contract`; a v2 where a reader would break.")
        print(f"{len(files)} files are as schemas/ and api/ say")
        return
    for path in present.keys() - files.keys():
        path.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(f"{len(files)} files written to {folder} and {api}")


@app.command(name="settings")
def show_settings() -> None:
    """Every setting: what is in force, and why it is what it is."""
    table = Table("setting", "value", "why")
    for name, field in Settings.model_fields.items():
        value = getattr(_settings(), name)
        table.add_row(f"{settings_module.PREFIX}{name.upper()}", settings_module.shown(value), field.description or "")
    Console(emoji=False).print(table)


# -- the stages ---------------------------------------------------------------------------------------------------


@app.command()
def worker(
    stage: Annotated[
        str,
        typer.Argument(
            help="normalise, resolve, match, relay, sink-clickhouse, sink-postgres, sink-meilisearch, scheduler."
        ),
    ],
    instance: Annotated[int, typer.Option(min=1, help="Number of this process among those of its stage.")] = 1,
    leave: Annotated[
        bool,
        typer.Option("--leave", help="Run nothing: take this instance, which has stopped for good, out of its group."),
    ] = False,
    reset_offsets: Annotated[
        bool,
        typer.Option("--reset-offsets", help="Where messages are gone that were to be read, go on at the oldest."),
    ] = False,
) -> None:
    """Run one process of a stage until SIGTERM.

    Exit codes: 0 stopped; 1 a bug; 2 a wrong argument; 65 halted, too many rejections; 66 messages or topics that were
    to be read are gone; 69 another process has this instance; 75 Kafka or a store stayed away past the deadline, start
    again; 78 a setting, a right or a table is wrong. The offset is unmoved in all but the first;
    docs/operations/failures.md says what to do.
    """
    from deploy.failures import Exit
    from deploy.instances import InstanceTaken
    from deploy.instances import leave as take_out
    from deploy.logs import configure

    try:
        settings = _settings()
        configure(settings.log_level, settings.log_format, stage)
        if leave:
            print(asyncio.run(take_out(settings, stage, instance)))
            return
        if stage in {"normalise", "resolve", "match", "relay"}:
            from streams.main import run_worker

            sys.exit(run_worker(settings, stage, instance, reset_offsets=reset_offsets))  # type: ignore[arg-type]
        if stage in {"sink-clickhouse", "sink-postgres", "sink-meilisearch"}:
            from sinks import main as sinks_main

            store = stage.removeprefix("sink-")
            sys.exit(sinks_main.run_worker(settings, store, instance, reset_offsets=reset_offsets))  # type: ignore[arg-type]
    except SettingsError as error:
        err.print(str(error), style="red", soft_wrap=True, markup=False)
        sys.exit(Exit.TAKEN if isinstance(error, InstanceTaken) else Exit.SETTINGS)
    if stage == "scheduler":
        from spiders.schedule.scheduler import run_scheduler

        sys.exit(asyncio.run(run_scheduler(settings, instance)))
    raise typer.BadParameter(f"{stage} is no stage")


@app.command()
def api(port: Annotated[int | None, typer.Option(help="Instead of GIGZ_API_PORT; 0: any free one.")] = None) -> None:
    """Serve the API, the inbox and the operators' pages (/ops) until SIGTERM."""
    from api.main import run_api
    from deploy.logs import configure
    from spiders.schedule.operations import Operations

    settings = _settings() if port is None else _settings().model_copy(update={"api_port": port})
    configure(settings.log_level, settings.log_format, "api")
    run_api(
        settings,
        on_listening=lambda address: print(address, flush=True),
        operations=lambda engine: Operations(settings, engine),
    )


@app.command()
def crawl(
    spider: Annotated[str, typer.Argument(help="Its name; `gigz spiders` lists them.")],
    start_url: Annotated[str, typer.Option(help="Where the crawl begins, instead of the spider's own.")] = "",
    source: Annotated[str, typer.Option(help="Name of the catalogue, where it is not the spider's own.")] = "",
    artist: Annotated[str, typer.Option(help="Only this artist, of spiders that can search.")] = "",
    mbid: Annotated[str, typer.Option(help="The artist's MusicBrainz id, for spiders that want it.")] = "",
    since: Annotated[str, typer.Option(help="First night: 2014-11-14, 2014-11 or 2014.")] = "",
    until: Annotated[str, typer.Option(help="Last night, in the same forms.")] = "",
    full: Annotated[bool, typer.Option("--full", help="Everything anew: unchanged items, too.")] = False,
    arg: Annotated[list[str] | None, typer.Option(help="An argument of the spider's own, k=v.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run one spider once and deliver what it finds to Kafka."""
    from deploy.logs import configure
    from spiders.commands.runs import summary
    from spiders.crawl import arguments_of, run_crawl
    from spiders.errand import errand_of

    settings = _settings()
    configure(settings.log_level, settings.log_format, "spiders")
    told = {"start_url": start_url, "source": source, "artist": artist, "mbid": mbid, "since": since, "until": until}
    told |= {"full": "true" if full else ""} | arguments_of(arg or [])
    report = run_crawl(settings, spider, errand_of(told))
    if as_json:
        print(json.dumps(report.as_json()))
    else:
        console = Console(highlight=False, emoji=False)
        for part in summary(report):
            console.print(part)
    sys.exit(0 if report.ok else 1)


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
    learned = _learned(files, "source" if topic.startswith("raw-") else "user")
    done = asyncio.run(feed_files(_settings(), files, topic, learned=learned))
    print(f"{done.lines} lines: {done.sent} sent to {topic}, {done.refused} refused as too large")
    if done.erased:
        err.print(f"[yellow]{done.erased} lines of erased users left out.[/]")
    if done.unreadable:
        err.print(f"[yellow]{done.unreadable} lines are no {topic} rows: sent as they stand, they will be rejected.[/]")


def _learned(files: Sequence[Path], whose: str) -> "Callable[[Mapping[str, Any]], Mapping[str, str]] | None":
    """What the columns of each source, or user, add to a row. Standard input is read once: its dates stand alone."""
    from matchers.columns import Columns

    columns = Columns()
    if any(str(file) == "-" for file in files):
        return None
    for _, line in _rows(files):
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(row, dict) and isinstance(row.get(whose), str) and "fields" not in row:
            columns.see(row[whose], row)
    _tell_columns(columns)

    def told(row: Mapping[str, Any]) -> Mapping[str, str]:
        found = columns.learned(str(row.get(whose)), row)
        return found if whose == "source" else {name: found[name] for name in ("date_order",) if name in found}

    return told


AsOperator = Annotated[bool, typer.Option("--operator", help="With the role that /ops asks for.")]


@app.command()
def token(
    user: Annotated[str, typer.Argument(help="An id of ours, e.g. listener-1.")],
    operator: AsOperator = False,
    service: Annotated[bool, typer.Option("--service", help="Of an app's backend: reads the catalogue only.")] = False,
) -> None:
    """An access token for a user, in development."""
    from api.tokens import OPERATOR, SERVICE, issue_token

    roles = [role for role, wanted in ((OPERATOR, operator), (SERVICE, service)) if wanted]
    print(issue_token(_settings(), user, datetime.now(UTC), roles))


@app.command(name="open")
def open_inbox(
    user: Annotated[str, typer.Argument(help="An id of ours, e.g. listener-1.")], operator: AsOperator = False
) -> None:
    """An address that signs a user in and shows the inbox, or an operator /ops; in development."""
    from api.tokens import OPERATOR, inbox_link
    from deploy.local.processes import Processes
    from deploy.local.workers import API

    settings = _settings()
    running = Processes(settings.home).find(API)
    base = running.address if running else f"http://{settings.api_host}:{settings.api_port}"
    print(inbox_link(settings, base, user, datetime.now(UTC), [OPERATOR] if operator else []))


# -- rejections ----------------------------------------------------------------------------------------------------


ByReason = Annotated[str, typer.Option("--reason", help="Only of this reason; docs/rejections.md lists them.")]
ByStage = Annotated[str, typer.Option("--stage", help="Only of this stage.")]
BySource = Annotated[str, typer.Option("--source", help="Only of this source.")]
BySince = Annotated[str, typer.Option("--since", help="2026-11-20, 2026-11-20T14:00 (UTC), or 90m, 24h, 7d ago.")]


@app.command()
def rejections(
    reason: ByReason = "",
    stage: ByStage = "",
    source: BySource = "",
    since: BySince = "",
    samples: Annotated[int, typer.Option(min=0, max=1_000, help="How many to show as they were, latest first.")] = 5,
    as_json: AsJson = False,
) -> None:
    """What could not be used: by reason, stage and source, with samples."""
    from deploy import replay as replaying

    filters = replaying.filters_of(reason, stage, source, since, now=datetime.now(UTC))
    told = asyncio.run(replaying.look(_settings(), filters, samples))
    if as_json:
        print(json.dumps(told.as_json()))
        return
    console = Console(highlight=False, emoji=False, markup=False)
    table = Table("reason", "count", "stage", "source", "topic", "last", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for one in told.groups:
        last = f"{one.last:%Y-%m-%d %H:%M}"
        table.add_row(one.reason.value, f"{one.count:,}", one.stage, one.source or "", one.origin_topic, last)
    console.print(table if told.groups else f"{filters}: none")
    if not told.groups:
        told_by = "They are counted by sink-postgres (`gigz up --workers`); what one run refused: `gigz run show RUN`."
        console.print(told_by, style="dim", soft_wrap=True)
    for sample in told.samples:
        where = f"{sample.stage}{f', {sample.source}' if sample.source else ''}, {sample.place}"
        console.print(f"\n{sample.reason.value}: {replaying.printable(sample.text)}\n  {where}", soft_wrap=True)
        console.print(
            f"  {sample.shown[:400]}" if sample.shown else "  (the original was too large to be kept)",
            style="dim",
            soft_wrap=True,
        )


@app.command()
def replay(
    reason: ByReason = "",
    stage: ByStage = "",
    source: BySource = "",
    since: BySince = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; tell what would be sent.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send the originals of rejections again, with their keys, to the topics they came from."""
    from deploy import replay as replaying
    from spiders.runs import this_user

    now = datetime.now(UTC)
    filters = replaying.filters_of(reason, stage, source, since, now=now)
    done = asyncio.run(replaying.replay_all(_settings(), filters, dry=dry_run, who=this_user(), at=now))
    if as_json:
        print(json.dumps({"dry_run": dry_run, "sent": dict(done.topics), "held": dict(done.held)}))
        return
    print(f"{filters}: {done.count:,} {'would be sent' if dry_run else 'sent'} again")
    for name, count in done.topics.items():
        print(f"  {count:,} to {name}")
    for why, count in done.held.items():
        print(f"  {count:,} cannot be: {why}")


# -- the parts that work on files ----------------------------------------------------------------------------------


def _rows(files: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """(file:line, bytes) of every line that is not blank; lines are counted as an editor does."""
    from deploy.feed import numbered_lines

    for file in files:
        for number, line in numbered_lines(file):
            yield f"{file}:{number}", line


def _write(row: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(row) + b"\n")


def _reference_rows(files: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """Rows of artists or venues; those that name no source are of their file, each with an id by its content."""
    for where, line in _rows(files):
        with contextlib.suppress(orjson.JSONDecodeError):
            row = orjson.loads(line)
            if isinstance(row, dict) and "fields" not in row:
                line = orjson.dumps({"source": "reference", "source_id": sha256(line).hexdigest()[:24]} | row)
        yield where, line


Rejections = Annotated[Path | None, typer.Option(help="A file for the rows that cannot be used, with their reasons.")]
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
    """Raw messages or listing rows -> listing rows. Tells in which order the dates of each source were read."""
    from matchers.columns import Columns
    from matchers.files import Refusal, message_row, read_messages

    refused: list[Refusal] = []
    columns = Columns()
    for one in read_messages(_rows(files), _raw_class(kind), columns):
        if isinstance(one, Refusal):
            refused.append(one)
        else:
            _write(message_row(one))
    _tell_columns(columns)
    _tell_refusals(refused, rejections)


@app.command()
def resolve(
    files: Files,
    kind: Kind = "event",
    day_off: Annotated[
        list[str] | None, typer.Option(help="A source that is known to date shows a day off; may be repeated.")
    ] = None,
    rejections: Rejections = None,
) -> None:
    """Listing rows -> concert rows, by night and artist. Tells its rate; a bar on a terminal."""
    from rich.progress import Progress

    from matchers.files import Refusal, resolve_rows
    from matchers.places import warm
    from schemas.rows import concert_row

    refused: list[Refusal] = []
    rows = listings = concerts = 0
    warm()  # once for any number of rows: no part of their rate
    begun = monotonic()
    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        reading, resolving = bar.add_task("reading", total=_size(files)), bar.add_task("resolving", total=None)

        def read() -> Iterator[tuple[str, bytes]]:
            nonlocal rows
            for where, line in _rows(files):
                rows += 1
                bar.advance(reading, len(line) + 1)
                yield where, line

        def told(done: int, of: int) -> None:
            nonlocal listings
            listings = of
            bar.update(resolving, completed=done, total=of)

        for one in resolve_rows(read(), _raw_class(kind), day_off or (), told):
            if isinstance(one, Refusal):
                refused.append(one)
            else:
                concerts += 1
                _write(concert_row(one))
    took = monotonic() - begun
    peak = getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    err.print(
        f"{rows:,} rows, {listings:,} listings: {concerts:,} concerts in {took:.1f} s,"
        f" {rows / took:,.0f} rows/s, {peak:,.0f} MB at most",
        soft_wrap=True,
    )
    _tell_refusals(refused, rejections)


def _size(files: Sequence[Path]) -> int | None:
    """Bytes when unpacked, as far as the files tell: a .gz ends with them, modulo 2^32. None for standard input."""
    total = 0
    for file in files:
        if not file.is_file():
            return None
        with file.open("rb") as content:
            packed = file.suffix == ".gz"
            end = content.seek(-4 if packed and file.stat().st_size > 4 else 0, SEEK_END)
            total += int.from_bytes(content.read(4), "little") if packed else end
    return total


WeightsFile = Annotated[
    Path | None, typer.Option("--weights", help="Written by `gigz calibrate`; else those that Gigz ships.")
]


@app.command()
def match(
    history: Annotated[list[Path], typer.Option(help="Entry rows.")],
    concerts: Annotated[list[Path], typer.Option(help="Concert rows, or listing rows, which are resolved first.")],
    artists: Annotated[list[Path] | None, typer.Option(help="Artist rows: name, aliases.")] = None,
    venues: Annotated[
        list[Path] | None, typer.Option(help="Venue rows: name, city, lat, lon, names [{name, since, until}].")
    ] = None,
    weights: WeightsFile = None,
    rejections: Rejections = None,
    kind: Kind = "event",
) -> None:
    """Entry rows and concerts -> suggestion rows, in the order of the entries."""
    from matchers.files import Refusal, match_entries, read_concerts, read_messages
    from matchers.reference import names_of, with_names
    from schemas.reference import Artist, Venue
    from schemas.rows import suggestion_row

    tables = _tables(weights)
    known_artists = list(read_messages(_reference_rows(artists or []), _raw_class("artist")))
    known_venues = list(read_messages(_reference_rows(venues or []), _raw_class("venue")))
    refused = [one for one in (*known_artists, *known_venues) if isinstance(one, Refusal)]
    halls = [one for one in known_venues if isinstance(one, Venue)]
    if artists or venues:
        tables = with_names(tables, names_of((one for one in known_artists if isinstance(one, Artist)), halls))
    known, unread = read_concerts(_rows(concerts), _raw_class(kind))
    refused += unread
    for found, refusal in match_entries(_rows(history), known, tables):
        _write(found if isinstance(found, dict) else suggestion_row(found))
        if refusal is not None:
            refused.append(refusal)
    _tell_refusals(refused, rejections)


def _tables(weights: Path | None) -> "Tables":
    """The weights in a file, or the shipped ones."""
    from matchers.weights import default_tables, read_weights
    from schemas.message import MessageError

    if weights is None:
        return default_tables()
    try:
        return read_weights(weights.read_bytes())
    except (OSError, MessageError) as error:
        raise _failed(f"{weights}: {error}") from None


@app.command()
def calibrate(
    catalogue: Annotated[
        list[Path] | None, typer.Argument(help="Concert rows or listing rows: the shows that weights are fitted for.")
    ] = None,
    history: Annotated[
        list[Path] | None, typer.Option(help="Entry rows; no label is read. Without, lines are made of the catalogue.")
    ] = None,
    vary: Annotated[
        list[str] | None, typer.Option(help="The history typed otherwise, by the variants of `evaluate`.")
    ] = None,
    half: Annotated[
        int | None, typer.Option(min=0, max=1, help="One half of the history, to judge by the other.")
    ] = None,
    decisions: Annotated[
        list[Path] | None,
        typer.Option(
            help="gigz.decision.v1 messages, or rows: user, entry_id, action, concert_id (or source, source_id)."
        ),
    ] = None,
    suggestions: Annotated[
        list[Path] | None, typer.Option(help="gigz.suggestion.v1 messages: what was shown when users decided.")
    ] = None,
    weights: WeightsFile = None,
    out: Annotated[Path | None, typer.Option(help="Where the new weights go; without, figures alone.")] = None,
    kind: Kind = "event",
    seed: Annotated[int, typer.Option(help="Of variants, and of lines made of the catalogue.")] = 0,
    general: Annotated[
        bool,
        typer.Option(
            "--general", help="For other catalogues, too: how people type, and not what this catalogue is like."
        ),
    ] = False,
    keep: Annotated[
        list[str] | None, typer.Option(help="A level that stays as frequent as it is: artist.exact; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit weights to a catalogue, and to decisions; a change that tells what was held out worse is refused (exit 1).

    Lines of erased users are left out.
    """
    from deploy.erasing.files import ask
    from matchers.fit.files import calibrate_rows

    if not catalogue and not decisions:
        raise typer.BadParameter("nothing to go by: give a catalogue, or --decisions")
    begun = _tables(weights).weights
    kept = [(field, level) for field, _, level in (one.partition(".") for one in keep or ())]
    for field, level in kept:
        if level not in begun.levels.get(field, {}):
            raise typer.BadParameter(f"{field}.{level} is no level of the weights", param_hint="--keep")
    living = asyncio.run(ask(_settings())) if history or decisions or suggestions else None
    with err.status("reading") as status:
        made = calibrate_rows(
            begun,
            _raw_class(kind),
            _rows(catalogue or []),
            *(
                (living.only(_rows(files)) if living else ())
                for files in (history or [], decisions or [], suggestions or [])
            ),
            names=_variants(vary) if vary else (),
            half=half,
            seed=seed,
            general=general,
            keep=kept,
            doing=status.update,
        )
    if as_json:
        print(json.dumps(made.as_json(), indent=2))
    else:
        for title, columns, rows in made.as_tables():
            table = Table(*columns, title=title, title_justify="left", box=None)
            for row in rows:
                table.add_row(*row)
            Console(highlight=False, emoji=False).print(table)
    _tell_refusals(list(made.refused), None)
    if living is not None:
        err.print(living.told)
    if made.worse:
        raise _failed("Refused: what was held out is told worse. Nothing is written.")
    if made.weights.version == begun.version:
        err.print("Nothing to write: the weights stay as they are.")
    elif out is not None:
        source = f"{made.about}, {datetime.now(UTC):%Y-%m-%d}; before: {begun.source or begun.version}"
        body = made.weights.model_copy(update={"source": source}).model_dump(mode="json")
        out.write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2) + b"\n")
        err.print(f"{out}: version {made.weights.version}")


@app.command()
def evaluate(
    kind: Annotated[str, typer.Argument(help="history, resolve or mb20k.")],
    files: Annotated[
        list[Path], typer.Argument(help="history: ENTRIES LISTINGS...; resolve: LISTINGS...; mb20k: its CSV files.")
    ],
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="history: typed otherwise. exact, month, year, shifted, typos, typos-no-town, artist-month, "
            "month-songs, removed, half, half-month or all; several with commas."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="history: of the variants.")] = 0,
    half: Annotated[
        int | None, typer.Option(min=0, max=1, help="history: one half of the entries, to tune on the other.")
    ] = None,
    also: Annotated[
        list[Path] | None, typer.Option(help="history: listings that nobody meant, added to the catalogue.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="history: an HTML file with curves, bits and mistakes.")] = None,
    weights: WeightsFile = None,
    as_json: AsJson = False,
) -> None:
    """Figures against a labelled set: a table on a terminal, else one JSON object."""
    from matchers.files import read_concerts
    from matchers.judge import evaluate as figures
    from matchers.judge.mb20k import evaluate_mb20k

    if kind == "history":
        tables, as_json = _tables(weights), as_json or not sys.stdout.isatty()
        _evaluate_history(files, _variants(vary), seed, half, also or [], report, tables, as_json)
        return
    if vary or also or report or weights or half is not None:
        raise typer.BadParameter("--vary, --half, --also, --report and --weights go with history")
    refused: list[Refusal] = []
    if kind == "resolve":
        lines = list(_rows(files))
        known, refused = read_concerts(lines, _raw_class("event"))
        told = figures.evaluate_resolve(_objects(lines, ("source", "source_id")), known)
    elif kind == "mb20k":
        told = evaluate_mb20k([row for file in files for row in _csv(file)])
    else:
        raise typer.BadParameter(f"{kind} is no kind; one of history, resolve, mb20k")
    print(json.dumps(told, indent=2))
    _tell_refusals(refused, None)


def _variants(asked: Sequence[str] | None) -> list[str]:
    from matchers.judge.variants import VARIANTS

    names = [name for one in asked or ["exact"] for name in one.split(",") if name]
    if "all" in names:
        return list(VARIANTS)
    for name in names:
        if name not in VARIANTS:
            raise typer.BadParameter(f"{name} is no variant; one of {', '.join(VARIANTS)}, all", param_hint="--vary")
    return list(dict.fromkeys(names))


def _evaluate_history(
    files: Sequence[Path],
    names: Sequence[str],
    seed: int,
    half: int | None,
    also: Sequence[Path],
    report: Path | None,
    tables: "Tables",
    as_json: bool,
) -> None:
    """One variant is one object of figures; several are objects by name under `variants`."""
    from matchers.files import match_entries, read_concerts
    from matchers.judge.evaluate import evaluate_variants

    with err.status("reading") as status:
        lines = list(_rows(files[:1]))
        known, refused = read_concerts(_rows([*files[1:], *also]), _raw_class("event"))
        refused += [refusal for _, refusal in match_entries(lines, []) if refusal is not None]
        rows = _objects(lines, ("user", "entry_id"))
        status.update(f"matching {len(rows):,} entries {len(names)}x with {len(known):,} concerts")
        evaluated = evaluate_variants(names, rows, known, tables, seed=seed, half=half)
        if report is not None:
            from matchers.judge.report import history_report
            from matchers.judge.unasked import evaluate_companions, evaluate_habits

            status.update("asking for companions and habits")
            unasked = {"companions": evaluate_companions(rows, known), "habits": evaluate_habits(rows, known)}
            about = [f"{len(rows):,} entries", f"{len(known):,} concerts", f"seed {seed}"]
            about += [] if half is None else [f"half {half}"]
            report.write_text(history_report(evaluated, about, unasked), encoding="utf-8")
    if as_json:
        told = {one.variant: one.as_json() for one in evaluated}
        print(json.dumps(told[names[0]] if len(names) == 1 else {"seed": seed, "variants": told}, indent=2))
    else:
        _print_figures(evaluated)
    _tell_refusals(refused, None)


def _print_figures(evaluated: "Sequence[Evaluated]") -> None:
    """A table for each variant: figure, interval, how many, goal; then where the mistakes are."""
    console = Console(highlight=False, emoji=False)
    for one in evaluated:
        told = one.as_json()
        bands = "  ".join(f"{band} {count:,}" for band, count in told["bands"].items())
        table = Table(
            *("", "figure", "95 %", "n", "goal"),
            title=f"[bold]{one.variant}[/]  [dim]{bands}[/]",
            title_justify="left",
            title_style="not italic",
            box=None,
        )
        table.columns[3].justify = "right"
        for name, figure in told["figures"].items():
            goal = figure.get("goal", {})
            color = {True: "green", False: "red", None: "default"}[figure.get("met")]
            sign = "≥" if "at_least" in goal else "≤"
            table.add_row(
                name,
                f"[{color}]{figure['value']:.4f}[/]",
                f"[dim]{figure['low']:.4f} – {figure['high']:.4f}[/]",
                f"{figure['n']:,}",
                f"[{color}]{sign} {next(iter(goal.values())):g}[/]" if goal else "",
            )
        console.print(table)
        for wrong in told["mistakes"][:5]:
            typed = ", ".join(map(str, wrong["typed"].values()))
            first = wrong["proposed"][0] if wrong["proposed"] else None
            found = f"{first['artist']} {first['night']} ({first['confidence']:.3f})" if first else "nothing"
            console.print(f"  {wrong['kind']}: {wrong['entry_id']}: {typed} -> {found}", markup=False, style="dim")
        console.print()


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


def _tell_columns(columns: "Columns") -> None:
    for line in columns.told():
        err.print(line, markup=False, soft_wrap=True)


MOST_TOLD = 50
"""Refused rows that are named one by one."""


def _tell_refusals(refused: "Sequence[Refusal]", path: Path | None) -> None:
    if path is not None:
        path.write_bytes(b"".join(orjson.dumps(asdict(one)) + b"\n" for one in refused))
    if refused:
        where = f"; they are in {path}" if path else ""
        err.print(f"[yellow]{len(refused)} rows could not be used{where}.[/]")
        for one in refused[:MOST_TOLD]:
            err.print(f"{one.origin}: {one.reason}: {one.text}", markup=False, soft_wrap=True)
        if len(refused) > MOST_TOLD:
            err.print(f"and {len(refused) - MOST_TOLD} more" + ("" if path else "; --rejections FILE holds them all"))


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
