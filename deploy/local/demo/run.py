"""`gigz demo`: the whole of Gigz on this machine, from a crawl (or files of your own) to a show that is confirmed.

Every step can be run again: the engines keep their data, and what was seen before is recognised by its version.

Errors
    DemoFailed    a step did not end well: names the step, shows the last lines of whoever failed
"""

import asyncio
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from sqlalchemy import Select, select

from deploy.clients import postgres_engine
from deploy.feed import feed, read_lines
from deploy.flow import CONSUMERS, Flow, Lag, flows, until_idle, without_lag
from deploy.local import stack, workers
from deploy.local.demo.site import API_KEY, CRAWLS
from deploy.local.ports import Ports
from deploy.local.processes import Processes
from deploy.local.room import python_environment
from deploy.settings import Settings, environment_for
from deploy.topics import apply_topics
from schemas.decision import Action
from schemas.suggestion import Suggestions
from schemas.tables import DecisionRow, SuggestionsRow

SITE = "demo-site"
DEMO_USER = "demo"
SAMPLE_HISTORY = Path(__file__).parent / "sample_history.jsonl"
CONFIRM_KEY = "gigz-demo-confirms-one"
"""Idempotency key: a second demo confirms the same show, which changes nothing."""
IDLE_S = 600.0
REVIVALS = 5


class DemoFailed(Exception):
    """A step of the demo did not end well."""


@dataclass(frozen=True)
class Rooms:
    """What the demo needs of rooms above this one; `gigz.py` hands them over."""

    migrate: Callable[[Settings], Awaitable[None]]
    count: Callable[[Settings], Awaitable[dict[str, dict[str, int]]]]
    evaluate: Callable[[Sequence[dict[str, Any]], Sequence[Suggestions]], tuple[int, int]]
    """(entries whose labelled concert came first, labelled entries)."""
    token: Callable[[Settings, str], str]
    link: Callable[[Settings, str, str], str]
    """settings, base address, user -> an address that signs the user in."""


@dataclass(frozen=True)
class Input:
    """What goes in: files of listings and of entries, or a crawl of the demo site."""

    listings: tuple[tuple[Path, str], ...]
    """(file, topic)."""
    entries: Path
    crawl: bool

    def users(self) -> list[str]:
        """Whose history it is, by the number of entries."""
        counted: dict[str, int] = {}
        for row in self.rows():
            counted[row["user"]] = counted.get(row["user"], 0) + 1
        return sorted(counted, key=lambda user: (-counted[user], user))

    def rows(self) -> Iterable[dict[str, Any]]:
        """The rows of the history, labels included."""
        return (orjson.loads(line) for line in read_lines(self.entries))


@dataclass
class Outcome:
    """What a demo did."""

    stages: list[Flow] = field(default_factory=list)
    stores: dict[str, dict[str, int]] = field(default_factory=dict)
    confirmed: int = 0
    first_right: int = 0
    labelled: int = 0
    inbox: str = ""

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        told: dict[str, Any] = {
            "stages": without_lag(self.stages),
            "stores": self.stores,
            "confirmed": self.confirmed,
        }
        if self.labelled:
            told |= {"first_right": self.first_right, "labelled": self.labelled}
        return told


def demo_input(data: Path | None) -> Input:
    """The crawl and the sample history, or the files of a data folder. DemoFailed names the one that is missing."""
    if data is None:
        return Input((), SAMPLE_HISTORY, crawl=True)
    listings = (
        (data / "listings" / "grateful_dead.jsonl", "raw-event"),
        (data / "histories" / "concerts.jsonl", "raw-setlist"),
    )
    entries = data / "histories" / "entries.jsonl"
    for path in (*(path for path, _ in listings), entries):
        if not path.is_file():
            raise DemoFailed(
                f"{path} is not there. Remedy: give a folder that has listings/grateful_dead.jsonl, "
                "histories/concerts.jsonl and histories/entries.jsonl."
            )
    return Input(listings, entries, crawl=False)


async def run_demo(settings: Settings, console: Console, rooms: Rooms, source: Input, *, once: bool) -> Outcome:
    """All steps in order. With `once`, one suggestion is confirmed and everything is stopped at the end."""
    step = Steps(console)
    outcome = Outcome()
    user = source.users()[0]
    try:
        with step("engines", "Kafka, PostgreSQL, ClickHouse, Meilisearch") as say:
            told: dict[str, str] = {}

            def tell(engine: str, what: str) -> None:
                told[engine] = what
                say(" · ".join(f"{name} {text}" for name, text in told.items()))

            await asyncio.to_thread(stack.up, settings, tell)
            say("Kafka, PostgreSQL, ClickHouse, Meilisearch")
        with step("topics and tables") as say:
            applied = await apply_topics(settings)
            await rooms.migrate(settings)
            say(f"{len(applied.created)} topics created, {len(applied.unchanged)} were there")
        base = await start_all(settings, step)
        names = (*workers.WORKERS, workers.API)
        if source.crawl:
            await crawl(settings, step)
        for path, topic in source.listings:
            with step(f"feed {path.name}") as say:
                say(f"{(await feed(settings, [path], topic)).sent} messages")
        await stream(settings, step, "concerts", names)
        with step("import a history", str(source.entries.name)) as say:
            say(f"{(await feed(settings, [source.entries], 'history')).sent} entries of {len(source.users())} user(s)")
        await stream(settings, step, "suggestions", names)
        if once:
            with step("confirm one show through the API") as say:
                say(await confirm_one(base, rooms.token(settings, user)))
            await stream(settings, step, "the decision", names)
        with step("count", "reading topics and stores") as say:
            outcome.stages = await flows(settings)
            outcome.stores = await rooms.count(settings)
            outcome.confirmed = await confirmed(settings)
            labelled = [row for row in source.rows() if row.get("label") == "match"]
            outcome.first_right, outcome.labelled = rooms.evaluate(labelled, await present_sets(settings))
            say(f"{outcome.first_right} of {outcome.labelled} labelled entries have their concert first")
        outcome.inbox = rooms.link(settings, base, user)
    except BaseException:
        if once:
            await stop_all(settings, step)
        raise
    if once:
        await stop_all(settings, step)
    return outcome


class Steps:
    """Says what is going on: a spinner while it lasts, a line with its time when it is done."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def __call__(self, name: str, detail: str = "") -> Iterator[Callable[[str], None]]:
        """`with step("count", "reading topics and stores") as say: say("halfway")`."""
        began = time.monotonic()
        last = detail
        with self._console.status(f"{name} [dim]{detail}[/]") as status:

            def say(text: str) -> None:
                nonlocal last
                last = text
                status.update(f"{name} [dim]{text}[/]")

            yield say
        self._console.print(f"[green]✓[/] {name} [dim]{last} · {time.monotonic() - began:.1f} s[/]", highlight=False)


async def start_all(settings: Settings, step: Steps) -> str:
    """One worker of each stage and the API; the API's address, once it is ready."""
    with step("stages", ", ".join(workers.WORKERS)) as say:
        for name in workers.WORKERS:
            workers.start_worker(settings, name)
        running = Processes(settings.home).find(workers.API)
        taken = int(running.address.rpartition(":")[2]) if running else 0
        port = taken or Ports(settings).take("the API", "api_port")
        base = workers.start_api(settings, port).address
        await _answers(settings, f"{base}/ready", workers.API)
        say(f"{len(workers.WORKERS)} workers and the API at {base}")
    return base


async def crawl(settings: Settings, step: Steps) -> None:
    """The three spiders over the demo's site, one after the other, each a process of its own."""
    processes = Processes(settings.home)
    processes.stop(SITE)
    port = Ports(settings).take("the demo's site", "demo_site_port")  # the same each time: addresses are facts, too
    site = f"http://127.0.0.1:{port}"
    argv = [workers.command()[0], "-m", "deploy.local.demo.site", "--port", str(port)]
    environment = python_environment(environment_for(settings))
    processes.start(SITE, argv, environment=environment, address=site)
    try:
        await _answers(settings, f"{site}/robots.txt", SITE)
        own = "127.0.0.1"  # our own site: nobody else's to spare
        environment |= {"GIGZ_SETLISTFM_API_KEY": API_KEY, "GIGZ_OWN_HOSTS": own, "GIGZ_PRIVATE_HOSTS": own}
        for one in CRAWLS:
            with step(f"crawl {one.source} with {one.spider}", f"{site}{one.path}") as say:
                argv = workers.command(
                    "crawl", one.spider, "--start-url", f"{site}{one.path}", "--source", one.source, "--json"
                )
                done = await asyncio.to_thread(
                    subprocess.run, argv, env=environment, capture_output=True, text=True, check=False
                )
                if done.returncode != 0:
                    raise DemoFailed(f"gigz crawl {one.spider} ended with {done.returncode}:\n{done.stderr[-3_000:]}")
                report = orjson.loads(done.stdout.strip().splitlines()[-1])
                say(f"{report['pages']} pages, {report['scraped']} items, {report['delivered']} delivered")
    finally:
        processes.stop(SITE)


async def stream(settings: Settings, step: Steps, what: str, names: Sequence[str]) -> None:
    """Wait until nothing waits in any stage. A worker that ends is started again, as a supervisor would do, REVIVALS
    times; then WorkerFailed tells its last lines."""
    revived = Counter[str]()

    async def check() -> None:
        for name in names:
            if revived[name] < REVIVALS and workers.revive(settings, name):
                revived[name] += 1
        workers.alive(settings, names)

    def tell(lag: Lag) -> None:
        waiting = " · ".join(f"{stage} {lag.waiting[stage]:,}" for stage in CONSUMERS if lag.waiting[stage])
        again = "".join(f" · {name} started again" for name in revived)
        say(f"waiting: {waiting or 'nothing'}" + (f" · outbox {lag.outbox:,}" if lag.outbox else "") + again)

    with step(f"stream, match and sink {what}") as say:
        await until_idle(settings, deadline_s=IDLE_S, tell=tell, check=check)


async def confirm_one(base: str, token: str) -> str:
    """Confirm the surest suggestion as its user would; what was confirmed."""
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": CONFIRM_KEY}
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as client:
        listed = await client.get("/v1/suggestions", params={"take": 1, "state": "all"})
        if listed.status_code != 200 or not listed.json()["data"]:
            raise DemoFailed(f"GET /v1/suggestions answered {listed.status_code}: {listed.text[:500]}")
        first = listed.json()["data"][0]["suggestions"][0]
        answer = await client.post(f"/v1/suggestions/{first['suggestion_id']}/confirm")
        if answer.status_code not in {200, 201}:
            raise DemoFailed(f"confirming answered {answer.status_code}: {answer.text[:500]}")
    place = first["concert"]["place"]
    return f"{first['concert']['artist']}, {first['concert']['night']}, {place.get('name') or place.get('city')}"


async def confirmed(settings: Settings) -> int:
    """Entries whose last decision confirms a show."""
    last = select(DecisionRow.action).distinct(DecisionRow.user_id, DecisionRow.entry_id)
    last = last.order_by(DecisionRow.user_id, DecisionRow.entry_id, DecisionRow.seq.desc())
    return (await _column(settings, last)).count(Action.CONFIRMED)


async def present_sets(settings: Settings) -> list[Suggestions]:
    """The present suggestions of all entries, from Postgres."""
    return [Suggestions.model_validate(body) for body in await _column(settings, select(SuggestionsRow.body))]


async def _column(settings: Settings, query: Select[Any]) -> list[Any]:
    engine = postgres_engine(settings, pool_size=1, name="gigz-demo")
    try:
        async with engine.connect() as connection:
            return list((await connection.execute(query)).scalars())
    finally:
        await engine.dispose()


async def stop_all(settings: Settings, step: Steps) -> None:
    """Workers and API first, then the engines."""
    with step("stop") as say:
        stopped = await asyncio.to_thread(workers.stop, settings, (SITE, workers.API, *workers.WORKERS))
        await asyncio.to_thread(stack.down, settings)
        say(f"{len(stopped)} processes of ours and the engines; data stay in {settings.home}")


def tables(outcome: Outcome) -> tuple[Table, Table]:
    """What went through each stage, and what each store holds."""
    through = Table(
        "stage",
        "in",
        "out",
        "rejected",
        box=SIMPLE_HEAD,
        title="What went through since the first run",
        title_justify="left",
    )
    for row in outcome.stages:
        through.add_row(row.stage, f"{row.into:,}", f"{row.out:,}", f"{row.rejected:,}")
    kinds = ("listings", "concerts", "suggestions", "decisions")
    held = Table("store", *kinds, box=SIMPLE_HEAD, title="What each store holds", title_justify="left")
    for store, counts in outcome.stores.items():
        held.add_row(store, *(f"{counts[kind]:,}" if kind in counts else "" for kind in kinds))
    for table in (through, held):
        for column in table.columns[1:]:
            column.justify = "right"
    return through, held


async def _answers(settings: Settings, url: str, name: str) -> None:
    deadline = time.monotonic() + settings.start_deadline_s
    async with httpx.AsyncClient(timeout=5) as client:
        while True:
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            workers.alive(settings, [name])
            if time.monotonic() > deadline:
                raise DemoFailed(f"{name} does not answer at {url}:\n{Processes(settings.home).tail(name)}")
            await asyncio.sleep(0.1)
