"""What Postgres keeps of a run: `state.runs`, one row each, from when it is asked for to its end.

    queued -> running -> finished | failed
                 |-----> stopping -> stopped | failed
                 '-----> lost

Every step is taken under the row's lock, only where `STEPS` has it, and with its line in the operators' log, in one
transaction: two processes cannot both take a queued run, and nobody ends a run twice.

Errors
    RunRefused    there is no such run, or it stands where it cannot do that: names the run and its state
    LaneTaken     another run of that spider is under way
"""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from getpass import getuser
from typing import Any
from uuid import UUID, uuid4

import psutil
import structlog
from sqlalchemy import Row, Text, cast, func, insert, select, update
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.failures import in_a_line
from deploy.local.processes import SAME_START_S
from deploy.settings import Settings, SettingsError
from schemas.tables import OperatorLogRow, RunRow, RunState, Trigger, WatchedBy
from spiders.delivery import Counts
from spiders.errand import Errand

STEPS: Mapping[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.STOPPED, RunState.FAILED}),
    RunState.RUNNING: frozenset(
        {RunState.STOPPING, RunState.FINISHED, RunState.FAILED, RunState.STOPPED, RunState.LOST}
    ),
    RunState.STOPPING: frozenset({RunState.FINISHED, RunState.FAILED, RunState.STOPPED, RunState.LOST}),
    RunState.FINISHED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.STOPPED: frozenset(),
    RunState.LOST: frozenset(),
}
"""Where a run can go from where it stands. One that is asked to stop may come to its end first."""
ACTIVE = (RunState.RUNNING, RunState.STOPPING)
ENDED = tuple(state for state, steps in STEPS.items() if not steps)
TIME_LIMIT = "time limit"
"""How the reason begins of a run that took too long: it ends as failed. An operator's begins with "stopped by"."""
BEAT_S = 5.0
"""A heartbeat that takes longer is given up; the next one tells the same and more."""
END_S = 120.0
"""How long the end of a run waits for Postgres to come back; then the run will be taken for lost."""
WAITS = 75
"""Exit code of a run's process that found another run of its spider under way (EX_TEMPFAIL)."""
AWAY = (OperationalError, InterfaceError, PoolTimeout, OSError, TimeoutError)
"""Postgres is not there at the moment."""
log = structlog.get_logger()


class RunRefused(SettingsError):
    """That cannot be done to this run."""


class LaneTaken(RunRefused):
    """Another run of the same spider is under way: this one goes on waiting."""


Stop = Callable[[str], None]
"""Tells a crawl to end in order, and why."""
Snapshot = Callable[[], Mapping[str, Any]]
"""The counts and figures so far, under the names of the row's columns."""


@dataclass(frozen=True)
class Run:
    """A run that has begun."""

    run_id: UUID
    spider: str
    source: str
    scope: str
    start_url: str
    errand: Errand
    started_at: datetime
    trigger: Trigger = Trigger.OPERATOR


@dataclass(frozen=True)
class RunReport:
    """One run of one spider: finished, stopped, or failed and why."""

    run_id: UUID
    spider: str
    source: str
    start_url: str
    state: RunState
    started_at: datetime
    finished_at: datetime
    pages: int
    counts: Counts
    figures: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Mapping[str, Any], ...] = ()
    suspect: bool = False
    why: str | None = None
    log_tail: str | None = None

    @property
    def ok(self) -> bool:
        """It finished: every item is delivered, unchanged or rejected, and there were some."""
        return self.state is RunState.FINISHED

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "run_id": str(self.run_id),
            "spider": self.spider,
            "source": self.source,
            "start_url": self.start_url,
            "state": self.state.value,
            "seconds": round((self.finished_at - self.started_at).total_seconds(), 3),
            "pages": self.pages,
            **asdict(self.counts),
            "suspect": self.suspect,
            "findings": [dict(finding) for finding in self.findings],
            "why": self.why,
        }


@dataclass(frozen=True)
class Step:
    """Who takes a run further, when and why."""

    who: str
    at: datetime
    why: str | None = None


def this_user() -> str:
    """Who sits at this machine's command line."""
    try:
        return getuser()
    except (KeyError, OSError):  # a user without a name: containers have them
        return f"uid {os.getuid()}"


def short(run_id: UUID | str) -> str:
    """The beginning of a run's id, as people say it."""
    return str(run_id)[:8]


# -- steps ------------------------------------------------------------------------------------------------------------


async def queue(
    connection: AsyncConnection,
    spider: str,
    arguments: Mapping[str, Any],
    step: Step,
    *,
    trigger: Trigger,
    timeout_s: int,
    schedule: str | None = None,
) -> UUID:
    """A run for the scheduler to start. Its id."""
    run_id = uuid4()
    row = {
        "run_id": run_id,
        "spider": spider,
        "state": RunState.QUEUED,
        "trigger": trigger,
        "schedule": schedule,
        "lane": spider,
        "arguments": dict(arguments),
        "queued_at": step.at,
        "timeout_s": timeout_s,
    }
    await connection.execute(insert(RunRow).values(**row))
    await _note(connection, run_id, None, RunState.QUEUED, step)
    return run_id


async def take(connection: AsyncConnection, run_id: UUID, to: RunState, step: Step, **columns: Any) -> Row[Any]:
    """Take a run further; the row as it stood before. RunRefused where that is no step from there."""
    row = await _locked(connection, run_id)
    if row is None:
        raise RunRefused(f"there is no run {run_id}. Remedy: `gigz runs` lists them.")
    if to not in STEPS[row.state]:
        raise RunRefused(f"run {short(run_id)} of {row.spider} is {row.state.value}: it cannot become {to.value}.")
    if to in ENDED:
        columns.setdefault("finished_at", step.at)
        if row.state is RunState.QUEUED and to is not RunState.STOPPED:
            columns["started_at"] = columns["finished_at"]
        elif row.started_at is not None:
            # Clocks of two machines differ.
            columns["finished_at"] = func.greatest(columns["finished_at"], RunRow.started_at)
    put = update(RunRow).where(RunRow.run_id == run_id, RunRow.state == row.state).values(state=to, **columns)
    await connection.execute(put)
    await _note(connection, run_id, row.state, to, step)
    return row


async def begin(engine: AsyncEngine, run: Run) -> None:
    """A queued run begins in this process, or a new one does. RunRefused when another process has it; LaneTaken."""
    me = psutil.Process()
    columns = {
        "spider": run.spider,
        "source": run.source,
        "arguments": run.errand.as_json(),
        "scope": run.scope,
        "started_at": run.started_at,
        "start_url": run.start_url,
        "heartbeat_at": func.now(),
        "host": socket.gethostname(),
        "pid": me.pid,
        "pid_since": me.create_time(),
    }
    try:
        async with engine.begin() as connection:
            row = await _locked(connection, run.run_id)
            if row is None:
                step = Step(this_user(), run.started_at)
                put = insert(RunRow).values(
                    run_id=run.run_id,
                    state=RunState.RUNNING,
                    trigger=run.trigger,
                    queued_at=run.started_at,
                    **columns,
                )
                await connection.execute(put)
                await _note(connection, run.run_id, None, RunState.RUNNING, step)
            else:
                where = f"process {me.pid} on {columns['host']}"
                await take(connection, run.run_id, RunState.RUNNING, Step(where, run.started_at), **columns)
    except IntegrityError as error:
        if "ix_runs_lane" not in str(error):
            raise
        raise LaneTaken(f"a run of {run.spider} is under way: run {short(run.run_id)} waits for its end.") from error
    log.info("run began", start_url=run.start_url, arguments=run.errand.as_json())


@asynccontextmanager
async def beating(
    engine: AsyncEngine, settings: Settings, run: Run, snapshot: Snapshot, stop: Stop
) -> AsyncIterator[None]:
    """While it is open, the row tells every `heartbeat_s` that the run lives, and its counts.

    `stop` is called when someone wants the run to stop, or when the row was taken for lost. A Postgres that is away
    only delays that.
    """

    async def beat() -> None:
        silent = 0
        while True:
            await asyncio.sleep(settings.heartbeat_s)
            try:
                async with asyncio.timeout(max(BEAT_S, settings.heartbeat_s)):
                    row = await _beaten(engine, run.run_id, snapshot())
            except AWAY as error:
                silent += 1
                if silent == 1:
                    log.warning("no heartbeat: postgres is away", why=in_a_line(error))
            except Exception:  # the crawl goes on: what it finds is worth more than its figures under way
                silent += 1
                if silent == 1:
                    log.exception("no heartbeat")
            else:
                silent = 0
                if row is None:
                    stop("the run was ended from elsewhere: its process had been taken for lost")
                    return
                if row.state is RunState.STOPPING:
                    stop(row.why or "stopped")

    beats = asyncio.get_running_loop().create_task(beat())
    try:
        yield
    finally:
        beats.cancel()
        with suppress(asyncio.CancelledError):
            await beats


async def end(engine: AsyncEngine, report: RunReport) -> RunReport:
    """Write what became of it; the report as it stands then. One that was taken for lost stays lost.

    Waits for a Postgres that is away, `END_S` at most.
    """
    loop = asyncio.get_running_loop()
    deadline, wait = loop.time() + END_S, 0.5
    while True:
        try:
            return await _end(engine, report)
        except AWAY as error:
            if loop.time() + wait > deadline:
                raise
            log.warning("the end of the run is not written yet: postgres is away", why=in_a_line(error))
        await asyncio.sleep(wait)
        wait = min(2 * wait, 5.0)


async def _end(engine: AsyncEngine, report: RunReport) -> RunReport:
    async with engine.begin() as connection:
        row = await _locked(connection, report.run_id)
        if row is None or row.state not in ACTIVE:
            state = RunState.LOST if row is None else row.state
            why = f"the run was ended from elsewhere: {row.why if row else 'its row is gone'}"
            log.error("the end of the run is not written", state=state.value, why=why)
            return replace(report, state=state, why=why)
        ended = as_asked(report, row.state, row.why)
        outcome = {
            "pages": ended.pages,
            **asdict(ended.counts),
            "figures": clean(dict(ended.figures)),
            "findings": clean([dict(finding) for finding in ended.findings]),
            "suspect": ended.suspect,
            "why": clean(ended.why),
            "log_tail": clean(ended.log_tail),
            "heartbeat_at": func.now(),
            "finished_at": ended.finished_at,
        }
        step = Step(f"process {row.pid} on {row.host}", ended.finished_at, clean(ended.why))
        await take(connection, report.run_id, ended.state, step, **outcome)
    return ended


def as_asked(report: RunReport, state: RunState, why: str | None) -> RunReport:
    """The report of a run that was asked to stop, with the reason it was asked for; of one that had no memory left."""
    if report.why and "MemoryError" in report.why:
        report = replace(report, why=f"out of memory: {report.why}")
    if state is not RunState.STOPPING or not why or report.state is RunState.FINISHED:
        return report
    if report.state is RunState.FAILED:
        return replace(report, why="; ".join(dict.fromkeys(part for part in (report.why, why) if part)))
    return replace(report, why=why, state=RunState.FAILED if why.startswith(TIME_LIMIT) else report.state)


async def goes_on(engine: AsyncEngine, run_id: UUID) -> bool:
    """Whether the row says still that the run is under way: one that was frozen may have been taken for lost."""
    async with engine.connect() as connection:
        state = await connection.scalar(select(RunRow.state).where(RunRow.run_id == run_id))
    if state not in ACTIVE:
        log.error("nothing vanishes and no watermark moves: the run was ended from elsewhere", state=state)
    return state in ACTIVE


async def stop_run(connection: AsyncConnection, run_id: UUID, step: Step, why: str) -> RunState:
    """Ask a run to stop: one that waits is stopped, one that runs will be. Its new state. RunRefused.

    `why` goes to the row; asked again, the first reason stays.
    """
    row = await _locked(connection, run_id)
    if row is not None and row.state is RunState.STOPPING:
        return RunState.STOPPING
    to = RunState.STOPPED if row is not None and row.state is RunState.QUEUED else RunState.STOPPING
    if row is not None and row.state in ENDED:
        raise RunRefused(f"run {short(run_id)} of {row.spider} is {row.state.value} already: there is nothing to stop.")
    await take(connection, run_id, to, step, why=why)
    return to


# -- who lives --------------------------------------------------------------------------------------------------------


def process_of(row: Row[Any]) -> psutil.Process | None:
    """The process of a run of this machine; None when it is gone, or its number is another's by now."""
    if row.pid is None or row.host != socket.gethostname():
        return None
    try:
        process = psutil.Process(row.pid)
        if abs(process.create_time() - (row.pid_since or 0.0)) > SAME_START_S:
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def kill(process: psutil.Process) -> None:
    """End a process that would not, with what it started if it leads a group of its own."""
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


async def vanished(connection: AsyncConnection, settings: Settings, *, elsewhere: bool) -> list[tuple[Row[Any], str]]:
    """Runs under way whose process is gone, and how that is known.

    On this machine: there is no such process, and it has been silent for three beats. `elsewhere`: runs of other
    machines as well, when they were silent for `lost_after_s`.
    """
    silent = func.extract("epoch", func.now() - func.coalesce(RunRow.heartbeat_at, RunRow.started_at))
    query = select(RunRow.__table__, cast(silent, Text).label("silent")).where(RunRow.state.in_(ACTIVE))
    found = []
    for row in await connection.execute(query):
        silence = float(row.silent)
        if row.host == socket.gethostname():
            if process_of(row) is None and silence > 3 * settings.heartbeat_s:
                found.append((row, f"its process {row.pid} is gone: killed, crashed, or the machine went down"))
        elif elsewhere and silence > settings.lost_after_s:
            found.append((row, f"no sign of life from its process on {row.host or 'an unknown host'}: {silence:.0f} s"))
    return found


async def lose(connection: AsyncConnection, row: Row[Any], step: Step, tail: str | None) -> None:
    """Take a run for lost. RunRefused when it ended meanwhile."""
    await take(connection, row.run_id, RunState.LOST, step, why=step.why, log_tail=clean(tail))


# -- reading ----------------------------------------------------------------------------------------------------------


async def find(connection: AsyncConnection, written: str) -> Row[Any]:
    """A run by its id or the beginning of it. RunRefused when there is none, or several."""
    wanted = written.strip().lower().replace("-", "")
    if not wanted or any(letter not in "0123456789abcdef" for letter in wanted):
        raise RunRefused(f"{written!r} is no id of a run. Remedy: `gigz runs` lists them; the first letters will do.")
    told = func.replace(cast(RunRow.run_id, Text), "-", "")
    query = select(RunRow.__table__).where(told.startswith(wanted)).order_by(RunRow.queued_at.desc()).limit(5)
    rows = (await connection.execute(query)).all()
    if not rows:
        raise RunRefused(f"there is no run {written}. Remedy: `gigz runs` lists them.")
    if len(rows) > 1:
        like = ", ".join(str(row.run_id)[: len(written) + 4] for row in rows)
        raise RunRefused(f"{written} begins the ids of several runs: {like}. Remedy: more letters.")
    return rows[0]


def clean(value: Any) -> Any:
    """What Postgres can keep: no NUL, no halves of characters."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {clean(name): clean(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(one) for one in value]
    return value


async def _locked(connection: AsyncConnection, run_id: UUID) -> Row[Any] | None:
    query = select(RunRow.__table__).where(RunRow.run_id == run_id).with_for_update()
    return (await connection.execute(query)).one_or_none()


async def _note(
    connection: AsyncConnection, run_id: UUID, before: RunState | None, after: RunState, step: Step
) -> None:
    line = {"about": WatchedBy.RUN, "thing": str(run_id), "at": step.at, "who": step.who, "why": step.why}
    put = insert(OperatorLogRow).values(before=before and before.value, after=after.value, **line)
    await connection.execute(put)


async def _beaten(engine: AsyncEngine, run_id: UUID, snapshot: Mapping[str, Any]) -> Row[Any] | None:
    put = (
        update(RunRow)
        .where(RunRow.run_id == run_id, RunRow.state.in_(ACTIVE))
        .values(heartbeat_at=func.now(), **clean(snapshot))
        .returning(RunRow.state, RunRow.why)
    )
    async with engine.begin() as connection:
        row: Any = (await connection.execute(put)).one_or_none()
        return row  # type: ignore[no-any-return]


async def good_figures(
    engine: AsyncEngine, spider: str, scope: str, reach: str, most: int = 20, before: datetime | None = None
) -> list[Mapping[str, Any]]:
    """Figures of the last good runs of this scope and reach, newest first: finished, and not suspect or accepted.

    `before`: those that had begun by then.
    """
    query = (
        select(RunRow.figures)
        .where(
            RunRow.spider == spider,
            RunRow.scope == scope,
            RunRow.state == RunState.FINISHED,
            RunRow.figures["reach"].astext == str(reach),
            ~RunRow.suspect | RunRow.figures["accepted"].as_boolean(),
        )
        .order_by(RunRow.started_at.desc())
        .limit(most)
    )
    if before is not None:
        query = query.where(RunRow.started_at < before)
    async with engine.connect() as connection:
        return [row.figures for row in await connection.execute(query)]
