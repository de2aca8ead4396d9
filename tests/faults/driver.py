"""`make faults`: a known input through the whole real stack while workers are killed and engines stop.

    python -m tests.faults.driver [--seed N] [--kills N] [--messages N] [--scenario S] [--each N]

    kills       workers die at boundaries, stores stop, the broker restarts; the end is that of a run without
    shuffled    the same input in another order, each part twice; the end is the same
    pairs       two workers of every stage; the end is the same
    both        the last two at once
    poison      one message among all cannot be used: all others are, and there is one rejection

The last line is the verdict, the exit code says the same. A run that was broken off goes on where it was when it is
started again with the same arguments. The run without faults is kept for the next.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psutil
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from sqlalchemy import text

from api.decisions import decide
from api.verdicts import Wish
from deploy.clients import kafka_producer, postgres_engine, publish
from deploy.failures import Exit
from deploy.flow import Gauge, gauge, scan, until_idle
from deploy.local import stack, workers
from deploy.local.processes import LOG_HEADER, Processes, write_private
from deploy.local.room import python_environment
from deploy.logs import QUIET
from deploy.migrate import migrate_stores
from deploy.settings import Settings, SettingsError, environment_for, load
from deploy.topics import apply_topics
from matchers.normalise import normalise
from matchers.refused import Refused
from schemas.action import Action
from schemas.history import Entry
from schemas.message import HEADER_TRACE, new_trace
from schemas.outgoing import Outgoing
from schemas.raw import RawArtist, RawEvent, RawMessage, RawSetlist, RawVenue
from schemas.suggestion import Suggestions
from tests.faults.boundaries import ANYWHERE, OF_STAGE, Marks, Struck
from tests.faults.end_state import Difference, Tables, compare, load_tables, read_end_state, save
from tests.faults.known_input import GENERATOR, INPUT_TOPICS, KnownInput, Sent, known_input
from tests.faults.plan import Kill, Outage, Round, plan
from tests.support import ANY_FREE_PORTS, ROOT

SCENARIOS = ("kills", "shuffled", "pairs", "both", "poison")
LOCAL = {f"{engine}_url": "" for engine in ("kafka", "postgres", "clickhouse", "meilisearch")}
"""Never a real server: they are stopped here."""
STRIKE_S = 90.0
"""How long a worker may take to reach its boundary while anything waits anywhere."""
STARTED_S = 240.0
TRIES = 3
IDLE_S = 420.0
AGAIN_S = 3.0
"""How long a worker that ended by itself is left, as a supervisor would."""
GLIMPSE_S = 0.1
"""How long whoever stood still goes on, at most, before it is killed."""
RESERVE = 0.08
"""Of the second part, for kills that did not come about in their round."""
DECIDED_AT = datetime(2024, 6, 1, tzinfo=UTC)
STATE = "done.json"
SHOWN = 20
"""Differences that are printed; a file has all."""
FINE = (Exit.AWAY, Exit.SETTINGS, Exit.TAKEN)
"""What a worker may end with while an engine is away, or the session of the one before it is not seen as gone."""
MANY_BUGS = 10
T = TypeVar("T")
RAW: dict[str, type[RawMessage]] = {one.topic: one for one in (RawSetlist, RawEvent, RawVenue, RawArtist)}


class RunFailed(Exception):
    """The run could not be brought to its end: says where it stands and where to look."""


@dataclass(frozen=True)
class Asked:
    """The arguments."""

    seed: int
    kills: int
    messages: int
    scenario: str
    folder: Path
    store_stop_s: float
    keep: bool
    each: int


@dataclass
class Done:
    """How far a run is; written down after each round."""

    rounds: int = 0
    fed: int = 0
    """Messages of the part at hand."""
    part: int = 0
    decided: bool = False
    kills: list[dict[str, Any]] = field(default_factory=list)
    """Those that met work under way: name, boundary, waiting."""
    outages: list[str] = field(default_factory=list)
    missed: list[dict[str, str]] = field(default_factory=list)
    """Kills that found nothing to do, to be tried again."""
    ends: dict[str, int] = field(default_factory=dict)
    """`STAGE code`: how often workers ended by themselves."""
    seconds: float = 0.0


class Log:
    """A line for each thing that happens: on the screen and in the folder."""

    def __init__(self, path: Path, before_s: float = 0.0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self._began = time.monotonic() - before_s

    @property
    def seconds(self) -> float:
        """Of this run, those before it was broken off included."""
        return time.monotonic() - self._began

    def __call__(self, *parts: object) -> None:
        """One line."""
        line = f"{self.seconds:7.1f} s  {'  '.join(map(str, parts))}"
        print(line, flush=True)
        print(line, file=self._file, flush=True)

    def plain(self, line: str) -> None:
        """Without the time."""
        print(line, flush=True)
        print(line, file=self._file, flush=True)


# -- the stack and its workers ----------------------------------------------------------------------------------------


def settings_for(home: Path) -> Settings:
    """The product's own settings; only addresses are this run's."""
    return load({"home": home, **ANY_FREE_PORTS, **LOCAL, "start_deadline_s": 240.0})


class Crew:
    """The workers, and who starts those again that have ended."""

    def __init__(self, settings: Settings, each: int, log: Log, ends: dict[str, int]) -> None:
        self.settings = settings
        self.log = log
        self.names = [f"{stage}-{number}" for stage in OF_STAGE for number in range(1, each + 1)]
        self.ends = ends
        self.bugs = 0
        self.held: set[str] = set()
        """Dead on purpose, for a moment."""
        self._processes = Processes(settings.home)
        self._after: dict[str, float] = defaultdict(float)

    def start(self, name: str) -> None:
        """A worker that can be killed between two steps."""
        stage, _, instance = name.rpartition("-")
        argv = [sys.executable, "-m", "tests.faults.worker", stage, "--instance", instance]
        self._processes.start(name, argv, environment=python_environment(environment_for(self.settings)))

    def alive(self, name: str) -> bool:
        """Whether its process runs."""
        process = self._processes.record(name)
        return process is not None and process.is_alive()

    async def all_started(self) -> None:
        """Until every worker said so. RunFailed."""
        deadline = time.monotonic() + STARTED_S
        while missing := [name for name in self.names if not self._started(name)]:
            ended = [name for name in missing if not self.alive(name)]
            if ended or time.monotonic() > deadline:
                raise RunFailed(f"{missing[0]} did not start:\n{self._processes.tail(missing[0])}")
            await asyncio.sleep(0.2)

    def _started(self, name: str) -> bool:
        log = self._processes.log_path(name)
        latest = log.read_bytes().rpartition(LOG_HEADER.encode())[2] if log.exists() else b""
        return b'"event": "started"' in latest

    async def kill(self, name: str) -> bool:
        """SIGKILL; False when it was dead already."""
        process = self._processes.record(name)
        handle = process.handle() if process else None
        if process is None or handle is None:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            handle.kill()
        while process.is_alive():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
        return True

    def stand_still(self, name: str) -> None:
        """SIGSTOP, where it lives."""
        self._handled(name, psutil.Process.suspend)

    def go_on(self, name: str) -> None:
        """SIGCONT, where it lives."""
        self._handled(name, psutil.Process.resume)

    def _handled(self, name: str, how: Callable[[psutil.Process], None]) -> None:
        process = self._processes.record(name)
        handle = process.handle() if process else None
        if handle is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                how(handle)

    async def tend(self) -> None:
        """Start whoever has ended again, for ever."""
        while True:
            for name in self.names:
                if name in self.held or self.alive(name) or time.monotonic() < self._after[name]:
                    continue
                code = Marks(self.settings.home, name).ended()
                if code is not None:
                    self._ended(name, code)
                else:
                    await asyncio.to_thread(self.start, name)
            await asyncio.sleep(0.2)

    def _ended(self, name: str, code: int) -> None:
        told = f"{name.rpartition('-')[0]} {code}"
        self.ends[told] = self.ends.get(told, 0) + 1
        self._after[name] = time.monotonic() + AGAIN_S
        last = [line for line in self._processes.tail(name, 40).splitlines() if line.strip()]
        why = [line for line in last if '"why"' in line or "Remedy" in line] or last
        self.log("ended", f"{name} by itself with {code}:", " ".join(why[-1:])[:140])
        if code not in FINE:
            self.bugs += 1
            self.log.plain("\n".join(f"            {line}" for line in last))
        if self.bugs >= MANY_BUGS:
            raise RunFailed(f"{name} ends again and again with code {code}")

    def stop(self) -> None:
        """All, in order."""
        workers.stop(self.settings, self.names)


@asynccontextmanager
async def running(home: Path, each: int, log: Log, ends: dict[str, int]) -> AsyncIterator[Crew]:
    """Engines, topics, tables and workers; stopped at the end, whatever happens."""
    settings = settings_for(home)
    crew = Crew(settings, each, log, ends)
    try:
        await asyncio.to_thread(stack.up, settings)
        await apply_topics(settings)
        await asyncio.to_thread(migrate_stores, settings)
        log("up", "the engines")
        for name in crew.names:
            Marks(home, name).ended()  # of a run that was broken off
            await asyncio.to_thread(crew.start, name)
        await crew.all_started()
        log("up", f"{len(crew.names)} workers")
        yield crew
    finally:
        crew.stop()
        stack.down(settings)
        log("down", "all")


async def quiet(crew: Crew, tending: "asyncio.Task[None]") -> None:
    """Until nothing waits anywhere; RunFailed when that does not come about."""

    async def check() -> None:
        if tending.done():
            tending.result()

    deadline = time.monotonic() + IDLE_S
    while True:
        try:
            await until_idle(crew.settings, deadline_s=max(1.0, deadline - time.monotonic()), check=check)
            return
        except TimeoutError as error:
            raise RunFailed(str(error)) from error
        except (KafkaError, SettingsError, OSError) as error:
            if time.monotonic() > deadline:
                raise RunFailed(f"the engines do not come back: {error}") from error
            await asyncio.sleep(1)


# -- what goes in -----------------------------------------------------------------------------------------------------


class Feeder:
    """Sends the input, each message once, whatever happens to the broker meanwhile."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._stack = contextlib.AsyncExitStack()
        self._producer: AIOKafkaProducer | None = None

    async def send(self, messages: Sequence[Sent], *, known: bool = True) -> None:
        """All of them, acknowledged. `known`: what Kafka may have of them already is looked for first."""
        left = list(messages)
        while left:
            try:
                if known:
                    there = await self.there()
                    left = [one for one in left if one.record.headers[HEADER_TRACE] not in there]
                if self._producer is None:
                    self._producer = await self._stack.enter_async_context(kafka_producer(self._settings, "faults"))
                async with asyncio.timeout(180):
                    await publish(self._producer, (one.record for one in left), self._settings.partitions)
                return
            except (KafkaError, SettingsError, OSError, TimeoutError) as error:
                self._log("feed", f"waits: {type(error).__name__} {error}"[:160])
                await self.close()
                known = True
                await asyncio.sleep(1)

    async def there(self) -> set[str]:
        """Traces of the messages of the input that Kafka has."""
        return {
            dict(record.headers).get(HEADER_TRACE, b"").decode()
            async for record in scan(self._settings, INPUT_TOPICS)
            if dict(record.headers).get("stage") == b"feed"
        }

    async def close(self) -> None:
        """The producer, if there is one."""
        self._producer = None
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            await self._stack.aclose()


async def users_decide(crew: Crew, seed: int) -> list[str]:
    """All at one moment: relays stand still meanwhile, else match would hear of a decision and change what the next
    one is made of, sooner in one run than in another."""
    relays = [name for name in crew.names if name.startswith("relay")]
    for name in relays:
        crew.stand_still(name)
    try:
        return await make_decisions(crew.settings, seed)
    finally:
        for name in relays:
            crew.go_on(name)


async def make_decisions(settings: Settings, seed: int) -> list[str]:
    """What users say of what they were shown: of these sets and the seed alone, through the API's own transaction."""
    engine = postgres_engine(settings, pool_size=2, name="gigz-faults")
    made = []
    try:
        async with engine.connect() as connection:
            bodies = await connection.scalars(
                text("select cast(body as text) from state.suggestions order by user_id, entry_id")
            )
            sets = [Suggestions.model_validate_json(body) for body in bodies]
        for number, found in enumerate(one for one in sets if one.suggestions):
            digest = hashlib.sha256(f"{seed}/{found.key}".encode()).digest()[0]
            first, *others = found.suggestions
            steps = {
                0: [(first, Action.CONFIRMED)],
                1: [(first, Action.DISMISSED)],
                2: [(first, Action.DISMISSED), *((one, Action.CONFIRMED) for one in others[:1])],
                3: [(first, Action.CONFIRMED), (first, Action.UNDONE)],
            }.get(digest % 8, [])
            for step, (one, action) in enumerate(steps):
                wish = Wish(
                    user=found.user,
                    suggestion_id=one.suggestion_id,
                    action=action,
                    at=DECIDED_AT + timedelta(minutes=number, seconds=step),
                    trace=new_trace(),
                    idempotency_key=f"{found.key}/{step}",
                )
                await decide(engine, wish, settings.outbox_shards)
                made.append(f"{found.key} {action.value} {one.suggestion_id}")
    finally:
        await engine.dispose()
    return made


# -- runs -------------------------------------------------------------------------------------------------------------


async def run_without_faults(home: Path, given: KnownInput, log: Log, *, each: int = 1, times: int = 1) -> Tables:
    """The end of a run in which nothing happens."""
    shutil.rmtree(home, ignore_errors=True)
    async with running(home, each, log, {}) as crew:
        tending = asyncio.create_task(crew.tend())
        feeder = Feeder(crew.settings, log)
        try:
            await feeder.send(given.first, known=False)
            await quiet(crew, tending)
            made = await users_decide(crew, given.seed)
            log("decided", f"{len(made)} times")
            await feeder.send(given.second, known=False)
            await quiet(crew, tending)
        finally:
            tending.cancel()
            await feeder.close()
        if crew.bugs or crew.ends:
            raise RunFailed(f"workers ended by themselves in a run without faults: {crew.ends}")
        log("done", f"{len(given.all):,} messages, nothing waits")
        tables = await read_end_state(crew.settings, times)
        log("read", f"{sum(map(len, tables.values())):,} rows of {len(tables)} tables")
        return tables


async def reference(asked: Asked, given: KnownInput, log: Log) -> Tables:
    """The same for this input, from the file where there is one."""
    poison = "-poison" if asked.scenario == "poison" else ""
    path = asked.folder.parent / f"without-{GENERATOR}-{asked.seed}-{asked.messages}{poison}-{code_version()}.json.gz"
    if path.exists():
        log("without", f"faults: {path}")
        return load_tables(path)
    log("without", "faults: is run first, and kept")
    home = asked.folder / "without"
    tables = await run_without_faults(home, given, log)
    save(tables, path)
    if not asked.keep:
        shutil.rmtree(home, ignore_errors=True)
    return tables


def code_version() -> str:
    """Of what decides what comes out: another code, another run without faults."""
    digest = hashlib.sha256()
    for room in ("schemas", "matchers", "streams", "sinks"):
        for file in sorted((ROOT / room).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:10]


class FaultRun:
    """One run with faults, from wherever it is to its end."""

    def __init__(self, asked: Asked, given: KnownInput, crew: Crew, done: Done, log: Log) -> None:
        self.asked, self.given, self.crew, self.done, self.log = asked, given, crew, done, log
        self.settings = crew.settings
        self.feeder = Feeder(self.settings, log)
        self.again = (asked.folder / STATE).exists()
        """Broken off before: Kafka may have more than was written down."""
        self._write()
        self.rounds = plan(asked.seed, asked.kills, asked.each, asked.store_stop_s)
        self.cut = len(self.rounds) * len(given.first) // len(given.all)
        self._fed = asyncio.Event()
        """The piece of this round is in Kafka."""
        self._catching_up = False
        """Whoever is killed from outside stands still until something waits for it."""
        self._last_try = False
        """A boundary that is not reached is not asked for any more: from outside will do."""
        self._reading = asyncio.Lock()
        self._gauge: Gauge | None = None
        self._gauges = contextlib.AsyncExitStack()

    async def go(self) -> None:
        """Both parts, the decisions between them, and the kills that are still owed. RunFailed."""
        tending = asyncio.create_task(self.crew.tend())
        work = asyncio.create_task(self._go(tending))
        try:
            await asyncio.wait({tending, work}, return_when=asyncio.FIRST_COMPLETED)
            if tending.done():
                tending.result()
            await work
        finally:
            for task in (tending, work):
                task.cancel()
            await asyncio.gather(tending, work, return_exceptions=True)
            await self.feeder.close()
            await self._forget_gauge()

    async def _go(self, tending: "asyncio.Task[None]") -> None:
        if self.done.part == 0:
            await self._rounds(self.given.first, self.rounds[: self.cut], 0)
            self._next_part()
        if not self.done.decided:
            await quiet(self.crew, tending)
            made = await users_decide(self.crew, self.given.seed)
            self.log("decided", f"{len(made)} times")
            self.done.decided = True
            self._write()
        if self.done.part == 1:
            reserve = int(len(self.given.second) * RESERVE) if self.asked.kills else 0
            await self._rounds(self.given.second[: len(self.given.second) - reserve], self.rounds[self.cut :], self.cut)
            await self._owed()
            self._next_part()
        await quiet(self.crew, tending)

    def _next_part(self) -> None:
        self.done.part, self.done.fed = self.done.part + 1, 0
        self._write()

    async def _rounds(self, part: Sequence[Sent], rounds: Sequence[Round], begun: int) -> None:
        """The part in as many pieces as there are rounds, each sent into the faults of its round."""
        for number, one in enumerate(rounds, begun):
            if number < self.done.rounds:
                continue
            size = -(-(len(part) - self.done.fed) // (begun + len(rounds) - number))
            piece = part[self.done.fed : self.done.fed + size]
            await self._round(one, piece)
            self.done.fed += len(piece)
            self.done.rounds = number + 1
            self._write()
        left = part[self.done.fed :]
        if left:
            await self.feeder.send(left, known=self.again)
            self.done.fed += len(left)
            self._write()

    async def _owed(self) -> None:
        """Kills that found nothing to do, each with a piece of what was kept back; then the rest of it."""
        second = self.given.second
        self._catching_up = True
        for number_of_try in range(1, TRIES + 1):
            self._last_try = number_of_try == TRIES
            owed = [Kill(**one) for one in self.done.missed]
            self.done.missed = []
            for number, kill in enumerate(owed):
                size = -(-(len(second) - self.done.fed) // (2 * (len(owed) - number)))
                piece = second[self.done.fed : self.done.fed + size]
                await self._round(Round((kill,)), piece)
                self.done.fed += len(piece)
                self._write()
        await self.feeder.send(second[self.done.fed :], known=self.again)

    async def _round(self, one: Round, piece: Sequence[Sent]) -> None:
        if one.outage is None:
            await self._strike(one.kills, self.feeder.send(piece, known=self.again))
        else:
            await self._outage(one.outage, one.kills, piece)

    # -- kills --------------------------------------------------------------------------------------------------------

    async def _strike(self, kills: Sequence[Kill], feeding: Awaitable[None]) -> None:
        """Plant, feed, and see each of them die."""
        planted = [kill for kill in kills if kill.boundary != ANYWHERE]
        for kill in planted:
            Marks(self.settings.home, kill.name).plant(kill.boundary)
        self._fed.clear()
        deaths = [asyncio.create_task(self._death(kill)) for kill in kills]
        await feeding
        self._fed.set()
        await asyncio.gather(*deaths)

    async def _death(self, kill: Kill) -> None:
        if kill.boundary != ANYWHERE:
            struck = await self._struck(kill)
            if struck is not None:
                waiting = struck.in_hand or max(1, await self._waiting(kill.stage))
                self._killed(kill, waiting, struck)
                return
            if not self._last_try:
                self._owe(kill)
                return
        await self._from_outside(kill)

    def _owe(self, kill: Kill) -> None:
        self.done.missed.append(asdict(kill))
        self.log("owed", f"{kill.name} {kill.boundary}: nothing to do for it now, tried again later")

    async def _struck(self, kill: Kill) -> Struck | None:
        """What it had in hand; None when everything that waited was done and it did not come by there."""
        marks = Marks(self.settings.home, kill.name)
        async for _ in self._while_work(STRIKE_S):
            if (struck := marks.struck()) is not None:
                return struck
        if marks.take_back():
            return None
        async for _ in self._for(5):  # it is just about to die
            if (struck := marks.struck()) is not None:
                return struck
        return None

    async def _from_outside(self, kill: Kill, seconds: float = STRIKE_S) -> None:
        """When something waits for it, which is looked at before and after. Else it is owed."""
        delay = int.from_bytes(hashlib.sha256(f"{kill}{self.done.rounds}".encode()).digest()[:2], "big") / 65_536
        if not self._catching_up:
            await asyncio.sleep(delay * 1.5)
        async for _ in self._while_work(seconds) if seconds == STRIKE_S else self._for(seconds):
            if not self.crew.alive(kill.name):
                continue
            if self._catching_up:
                self.crew.stand_still(kill.name)
            if not await self._waiting(kill.stage):
                continue
            self.crew.held.add(kill.name)
            try:
                if self._catching_up:
                    self.crew.go_on(kill.name)
                    await asyncio.sleep(delay * GLIMPSE_S)
                if await self.crew.kill(kill.name):
                    waiting = await self._waiting(kill.stage)
                    if waiting:
                        self._killed(Kill(kill.name, ANYWHERE), waiting, None)
                        return
                    self.log("kill", f"{kill.name} met nothing under way, does not count")
            finally:
                self.crew.held.discard(kill.name)
        self.crew.go_on(kill.name)
        self._owe(kill)

    async def _for(self, seconds: float) -> AsyncIterator[None]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            yield
            await asyncio.sleep(0.05)

    async def _while_work(self, seconds: float) -> AsyncIterator[None]:
        """As long as anything waits anywhere, or that cannot be read."""
        idle, looked_at = 0, time.monotonic()
        async for _ in self._for(seconds):
            yield
            if time.monotonic() - looked_at > 1.0 and self._fed.is_set():
                looked_at = time.monotonic()
                lag = await self._look(lambda gauge: gauge.lag())
                idle = idle + 1 if lag is not None and lag.idle else 0
                if idle > 1:
                    return

    def _killed(self, kill: Kill, waiting: int, struck: Struck | None) -> None:
        self.done.kills.append({"name": kill.name, "boundary": kill.boundary, "waiting": waiting})
        what = f"{waiting:>5} {'in hand' if struck and struck.in_hand else 'waiting'}"
        told = struck.what if struck else ""
        self.log(f"kill {len(self.done.kills):>3}", f"{kill.name:<18}", f"{kill.boundary:<21}", what, told)

    async def _waiting(self, stage: str) -> int:
        """Messages that the stage has not committed; 0 also where that cannot be read."""
        return await self._look(lambda gauge: gauge.waiting(stage)) or 0

    async def _look(self, ask: Callable[[Gauge], Awaitable[T]]) -> T | None:
        """What a gauge says; None while engines come and go."""
        async with self._reading:
            try:
                if self._gauge is None:
                    self._gauge = await self._gauges.enter_async_context(gauge(self.settings))
                async with asyncio.timeout(20):
                    return await ask(self._gauge)
            except Exception as error:
                self.log("look", f"{type(error).__name__}: {error}"[:100])
                await self._forget_gauge()
                return None

    async def _forget_gauge(self) -> None:
        self._gauge = None
        with contextlib.suppress(Exception):
            await self._gauges.aclose()

    # -- outages ------------------------------------------------------------------------------------------------------

    async def _outage(self, outage: Outage, kills: Sequence[Kill], piece: Sequence[Sent]) -> None:
        """Stop, go on feeding and killing, start again."""
        engines = Processes(self.settings.home)
        half = len(piece) // 2
        await self.feeder.send(piece[:half], known=self.again)
        how = "crashes" if outage.crash else "stops"
        self.log("outage", f"{outage.engine} {how} for {outage.seconds:.0f} s")
        await asyncio.to_thread(engines.stop, outage.engine, timeout_s=0.0 if outage.crash else 30.0)
        down_at = time.monotonic()
        feeding = asyncio.create_task(self.feeder.send(piece[half:], known=self.again))
        try:
            if kills:
                await asyncio.gather(*(self._from_outside(kill, outage.seconds) for kill in kills))
            await asyncio.sleep(max(0.0, outage.seconds - (time.monotonic() - down_at)))
        finally:
            await asyncio.to_thread(stack.up, self.settings)
        self.log("outage", f"{outage.engine} answers again after {time.monotonic() - down_at:.1f} s")
        await feeding
        self.done.outages.append(outage.engine)

    def _write(self) -> None:
        self.done.seconds = self.log.seconds
        write_private(self.asked.folder / STATE, json.dumps(asdict(self.done), indent=1))


async def run_with_faults(asked: Asked, given: KnownInput, done: Done, log: Log) -> tuple[Tables, list[str], int]:
    """The end of a run with faults; what is wrong beside the tables; and the bugs that ended workers."""
    async with running(asked.folder / "faults", asked.each, log, done.ends) as crew:
        run = FaultRun(asked, given, crew, done, log)
        await run.go()
        log("done", "nothing waits; reading the stores")
        tables = await read_end_state(crew.settings)
        log("read", f"{sum(map(len, tables.values())):,} rows of {len(tables)} tables")
        wrong = await asyncio.to_thread(reconciled, crew.settings, log)
        return tables, wrong, crew.bugs


def reconciled(settings: Settings, log: Log) -> list[str]:
    """What `gigz reconcile` says of the stores, as a person would ask it."""
    environment = python_environment(environment_for(settings))
    argv = workers.command("reconcile", "--json")
    ran = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if ran.returncode == 0:
        log("reconcile", "the stores are as Kafka says")
        return []
    told = (ran.stdout.strip().splitlines() or ran.stderr.strip().splitlines() or [""])[-1]
    return [f"gigz reconcile ended with {ran.returncode}: {told[:600]}"]


# -- the verdict ------------------------------------------------------------------------------------------------------


def unaccounted(given: KnownInput, tables: Tables) -> tuple[int, int, list[str]]:
    """Of the messages of an input: how many were used, how many rejected, and which are neither."""
    rejected = {(row["origin_topic"], row.get("original")) for row in tables["kafka.gigz.rejection.v1"].values()}
    used, refused, lost = 0, 0, []
    for one in {sent.number: sent for sent in given.all}.values():
        value = one.record.value
        if value is not None and (one.record.topic, base64.b64encode(value).decode()) in rejected:
            refused += 1
        elif one.kind != "poison" and _arrived(one.record, tables):
            used += 1
        else:
            lost.append(f"message {one.number} ({one.kind}, {one.record.topic} {one.record.key})")
    return used, refused, lost


def _arrived(record: Outgoing, tables: Tables) -> bool:
    if record.topic in RAW:
        found = normalise(RAW[record.topic].from_bytes(record.value))
        if isinstance(found, Refused):
            return False
        return all(f"{one.key} {one.version}" in tables[f"kafka.{one.topic}"] for one in found)
    row = tables["state.entries"].get(record.key.replace("/", " ", 1))
    if row is None:
        return False
    if record.value is None:
        return row["body"] is None
    version: int = row["version"]
    return version >= Entry.from_bytes(record.value).version


def tell_differences(differences: Sequence[Difference], path: Path, log: Log) -> None:
    """The first few, and all of them into a file."""
    for one in differences[:SHOWN]:
        log.plain(f"  {one}")
    if differences:
        path.write_text("".join(f"{one}\n" for one in differences), encoding="utf-8")
        log.plain(f"  {len(differences):,} differences in all: {path}")


def kinds(done: Done) -> str:
    """How many kills where."""
    counted = Counter(one["boundary"] for one in done.kills)
    return ", ".join(f"{count} {boundary}" for boundary, count in sorted(counted.items()))


async def judge(asked: Asked, log: Log, done: Done) -> str:
    """Run what is asked for; the verdict, which begins with PASS or FAIL."""
    poison = 1 if asked.scenario == "poison" else None
    given = known_input(asked.seed, asked.messages, poison=poison)
    expected = await reference(asked, given, log)
    problems = [f"the run without faults: {name} {told}" for name, told in _checks(expected)]
    if asked.scenario == "kills":
        tables, wrong, bugs = await run_with_faults(asked, given, done, log)
        problems += wrong
        if bugs:
            problems.append(f"workers ended {bugs} times by a bug")
        if len(done.kills) < asked.kills:
            problems.append(f"{asked.kills - len(done.kills)} of {asked.kills} kills met nothing under way")
    elif asked.scenario == "poison":
        tables = expected
    else:
        pairs, doubled = asked.scenario in {"pairs", "both"}, asked.scenario in {"shuffled", "both"}
        sent = given.shuffled_and_doubled() if doubled else given
        home = asked.folder / asked.scenario
        tables = await run_without_faults(home, sent, log, each=2 if pairs else 1, times=2 if doubled else 1)
    differences = compare(expected, tables)
    used, refused, lost = unaccounted(given, tables)
    save(tables, asked.folder / "end.json.gz")
    tell_differences(differences, asked.folder / "differences.txt", log)
    for line in (*lost[:SHOWN], *problems):
        log.plain(f"  {line}")
    if lost:
        problems.append(f"{len(lost)} messages are neither used nor rejected")
    figures = f"{len(tables)} tables equal" if not differences else f"{len(differences):,} values differ"
    figures += f", {sum(map(len, tables.values())):,} rows; {used:,} messages used, {refused:,} rejected"
    if asked.scenario == "kills":
        restarts = done.outages.count("kafka")
        stops = len(done.outages) - restarts
        figures = f"{len(done.kills)} kills ({kinds(done)}), {stops} store stops, {restarts} broker restarts; {figures}"
    good = not differences and not problems
    where = "" if good else f"; {asked.folder} has everything"
    minutes = f"{log.seconds / 60:.1f} min"
    return f"{'PASS' if good else 'FAIL'} seed {asked.seed} {asked.scenario}: {figures}; {minutes}{where}"


def _checks(tables: Tables) -> Iterator[tuple[str, Any]]:
    for table, rows in tables.items():
        if table.startswith("checks.") or table == "state.outbox":
            yield from ((f"{table} {key}", row) for key, row in rows.items())


def arguments(given: Sequence[str] | None = None) -> Asked:
    """From the command line."""
    parser = argparse.ArgumentParser(prog="make faults", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="of input and faults; 1 where none is given")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--scenario", choices=SCENARIOS, default="kills")
    parser.add_argument("--folder", type=Path, help="of the run; one in the system's temporary folder by seed and size")
    parser.add_argument("--store-stop-s", type=float, default=30.0, help="how long a store is away")
    parser.add_argument("--each", type=int, default=1, help="workers of each stage while they are killed")
    parser.add_argument("--afresh", action="store_true", help="do not go on with a run that was broken off")
    parser.add_argument("--keep", action="store_true", help="keep the engines' data also when all is well")
    told = parser.parse_args(given)
    name = f"{told.scenario}-{told.seed}-{told.messages}-{told.kills}" + (f"-{told.each}" if told.each > 1 else "")
    folder = (told.folder or Path(tempfile.gettempdir()) / "gigz-faults" / name).resolve()
    if told.afresh:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return Asked(told.seed, told.kills, told.messages, told.scenario, folder, told.store_stop_s, told.keep, told.each)


def begun(asked: Asked) -> Done:
    """How far a run of this folder was; nothing where it was at its end."""
    try:
        return Done(**json.loads((asked.folder / STATE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        shutil.rmtree(asked.folder / "faults", ignore_errors=True)
        return Done()


def main() -> int:
    """0: PASS."""
    asked = arguments()
    done = begun(asked)
    log = Log(asked.folder / "log.txt", done.seconds)
    log.plain(f"seed {asked.seed}: {asked.messages:,} messages, {asked.scenario}, in {asked.folder}")
    if done.rounds:
        log.plain(f"goes on after {done.rounds} rounds, {len(done.kills)} kills; --afresh begins anew")
    for name in ("aiokafka", *QUIET):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # the broker goes and comes, on purpose
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        verdict = asyncio.run(judge(asked, log, done))
    except KeyboardInterrupt:
        log.plain("broken off; the same command goes on from here")
        return 130
    except RunFailed as error:
        verdict = f"FAIL seed {asked.seed} {asked.scenario}: {error}; {asked.folder} has everything"
    good = verdict.startswith("PASS")
    (asked.folder / STATE).unlink(missing_ok=True)
    if good and not asked.keep:
        for name in ("faults", "without", *SCENARIOS):
            shutil.rmtree(asked.folder / name, ignore_errors=True)
    log.plain(verdict)
    return 0 if good else 1


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
