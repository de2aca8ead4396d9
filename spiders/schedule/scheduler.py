"""The scheduler: `gigz worker scheduler`. Queues what is due, starts what waits, watches what runs.

One is active at a time: it holds a session lock of PostgreSQL on a connection of its own, and does all its work on that
connection. No connection, no lock, no work. A second one stands by and takes over when the lock is free: at once when
the first dies, after `SILENT_S` when it hangs or its machine is cut off, because the server ends a session that says
nothing.

A run is a process of its own, in a session of its own: it outlives the scheduler, and the next one takes it over by its
row. A row is taken from queued to running by the run's process itself, once; so a run that two schedulers start is run
by one.

    due       a schedule's date has come: one run, however many dates were missed; none beside one that still waits
    wanted    what users ask for and no source has told yet: searches, as far as quotas go
    start     the oldest that waits, of a spider that has no run under way, `runs_at_once` at most; searches last
    watch     a run that takes too long or too much memory, that will not stop, or whose process is gone

Beside the rounds goes what else comes with time, and is to be done once (docs/decisions/0014): the digests of users
(`deploy.digests`), and the erasures that they asked for (`deploy.erasing.waiting`).

SIGTERM: nothing is started any more, its own runs are stopped in order (SIGTERM, then SIGKILL) and queued again for the
next scheduler: a container that ends takes them along anyway.

Exit codes
    0    stopped by SIGTERM or SIGINT
SettingsError, before anything is done, when PostgreSQL cannot be used.
"""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import psutil
import structlog
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.clients import check_postgres, postgres_engine
from deploy.digests.job import Digests
from deploy.erasing.requests import asked_at
from deploy.erasing.waiting import erase_waiting
from deploy.failures import in_a_line
from deploy.local.processes import MARK
from deploy.local.room import python_environment
from deploy.local.workers import RUNS
from deploy.locks import GIGZ, SCHEDULER, TAKE
from deploy.meters import SchedulerMeters, serving
from deploy.settings import Settings, SettingsError, environment_for
from schemas.tables import OperatorLogRow, RunRow, RunState, ScheduleRow, Trigger, WatchedBy
from spiders import runs, wanted
from spiders.errand import Errand, errand_of
from spiders.formats.base import Clock, utc_now
from spiders.monitoring import alerts
from spiders.monitoring.figures import figures_of
from spiders.monitoring.measures import measure
from spiders.runs import ACTIVE, AWAY, RunRefused, Step, runlog, short
from spiders.schedule import due, duration
from spiders.schedule.operations import plan_of
from spiders.sources import SPIDERS

T = TypeVar("T")
WHO = "scheduler"
STANDBY_S = 2.0
"""How often one that stands by tries the lock."""
SILENT_S = 15
"""The server ends the session of an active scheduler that says nothing for so long: it speaks every second."""
PATIENCE_S = 10.0
"""A round that takes longer means that the connection is gone or Postgres hangs: step down."""
BEGIN_S = 120.0
"""A process that has not begun its run by then never will; it takes 2 to 4 s."""
LINGER_S = 90.0
"""For a process whose run has ended to tell operators and go."""
LEAVE_S = 8.0
"""For runs to end in order when the scheduler is stopped: `docker stop` waits 10 s."""
ALERTS_S = 5.0
WANTED_S = 30.0
FIGURES_S = 15.0
HOUSEKEEPING_S = 3_600.0
AGAIN_S, LONGEST_S = 1.0, 60.0
"""Waits after a failure: doubled each time."""
LONGEST_AWAY_S = 5.0
"""Between two tries to reach Postgres: taking over must not take long."""
LEAST_CATCH_UP = timedelta(minutes=1)
"""Nobody looks at a date in the very moment that it comes."""
LONGEST_WAIT = timedelta(days=1)
"""A scheduled run that could not be started for so long is given up: its next date comes."""
MEMORY_ROOM = 1.25
"""Address space beside what is resident: the kernel's limit is the second fence, against leaps between two looks."""
log = structlog.get_logger()

HELD = text(
    """
    select count(*) from pg_locks where locktype = 'advisory' and classid = :lock_class and objid = :number
      and objsubid = 2 and granted and pid = pg_backend_pid()
    """
)
LOCK = {"lock_class": GIGZ, "number": SCHEDULER}
MANNERS = text(
    """
    select set_config('idle_session_timeout', :silent, false),
           set_config('idle_in_transaction_session_timeout', :silent, false),
           set_config('statement_timeout', :statement, false), set_config('lock_timeout', :statement, false),
           set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '3', false),
           set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', :silent, false)
    """
)


class NotActive(Exception):
    """The lock is not this process's any more."""


@dataclass
class Child:
    """A process that this scheduler started."""

    process: "subprocess.Popen[bytes]"
    spider: str
    started: float
    """Monotonic."""
    over_since: float | None = None
    """Its run has ended; the process has not."""


def crawl_argv(run_id: UUID, spider: str, trigger: Trigger, arguments: Mapping[str, Any]) -> list[str]:
    """The command of a run's process."""
    argv = [sys.executable, "-m", "spiders.crawl", spider, "--run", str(run_id), "--trigger", trigger.value]
    for name, value in arguments.items():
        argv += ["--arg", f"{name}={value}"]
    return argv


class Scheduler:
    """Stands by until it holds the lock, then schedules."""

    def __init__(
        self,
        settings: Settings,
        engine: AsyncEngine,
        clock: Clock = utc_now,
        argv: Callable[[UUID, str, Trigger, Mapping[str, Any]], Sequence[str]] = crawl_argv,
        meters: SchedulerMeters | None = None,
    ) -> None:
        self._settings = settings
        self._meters = meters or SchedulerMeters(settings)
        self._engine = engine
        self._clock = clock
        self._argv = argv
        self._session: AsyncConnection | None = None
        self._since = 0.0
        """When the session began: who was silent before was not heard."""
        self.active = False
        self._children: dict[UUID, Child] = {}
        self._asked: dict[UUID, float] = {}
        """Runs that were told to stop, and when this process saw it first."""
        self._beside: list[asyncio.Task[None]] = []
        self._said: set[str] = set()
        self._planned: list[tuple[str, Errand, list[str]]] = []
        """Searches to be queued by the next round."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Until told to stop."""
        failures = 0
        try:
            while not stopping.is_set():
                pause = self._settings.schedule_poll_s
                try:
                    if self.active or await self._patiently(self._stand()):
                        await self._patiently(self.round())
                        self._beside = self._beside or [asyncio.create_task(one) for one in self._side_works()]
                    else:
                        pause = STANDBY_S
                    failures = 0
                except (NotActive, *AWAY) as error:
                    failures += 1
                    log.error("not active: postgres is away or ended the session", why=in_a_line(error))
                except Exception:
                    failures += 1
                    log.exception("bug: this round came to nothing")
                if failures:
                    await self._step_down()
                    pause = min(LONGEST_AWAY_S, AGAIN_S * failures)
                self._meters.round("failed" if failures else "done" if self.active else "standby", active=self.active)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), pause)
        finally:
            await self._leave()

    async def round(self) -> None:
        """Look at everything once. NotActive when the lock is gone."""
        session = self._held()
        async with session.begin():
            if not await session.scalar(HELD, LOCK):
                raise NotActive("the lock is not held any more")
        await self._watch(session)
        await self._queue_due(session)
        await self._queue_planned(session)
        await self._start_waiting(session)

    # -- the lock -------------------------------------------------------------------------------------------------

    async def _stand(self) -> bool:
        """Try the lock; True when it is ours."""
        if self._session is None:
            self._session = await self._engine.connect()
            silent = max(SILENT_S, round(5 * self._settings.schedule_poll_s))
            async with self._session.begin():
                limits = {"silent": f"{silent * 1000}", "statement": f"{int(PATIENCE_S * 800)}"}
                await self._session.execute(MANNERS, limits)
            self._since = time.monotonic()
        async with self._session.begin():
            held = bool(await self._session.scalar(TAKE, LOCK))
        if held:
            self.active = True
            self._said.clear()
            log.info("active")
        elif "standby" not in self._said:
            self._said.add("standby")
            log.info("another scheduler is active: standing by")
        return held

    def _held(self) -> AsyncConnection:
        if self._session is None or not self.active:
            raise NotActive("it does not hold the lock")
        return self._session

    async def _patiently(self, work: Awaitable[T]) -> T:
        """Await it, but not for ever: psycopg waits without end for a server that has gone silent."""
        task = asyncio.ensure_future(work)
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        if not done:
            task.add_done_callback(lambda late: late.cancelled() or late.exception())
            task.cancel()
            raise TimeoutError(f"no answer within {PATIENCE_S:g} s")
        return task.result()

    async def _step_down(self) -> None:
        """No lock, no work. Its runs go on: whoever is active next watches them."""
        if self.active and self._children:
            log.warning("stepping down", runs=[short(run_id) for run_id in self._children])
        self.active = False
        beside, self._beside = self._beside, []
        for task in beside:
            task.cancel()
        if beside:
            await asyncio.wait(beside, timeout=2)
        session, self._session = self._session, None
        if session is not None:
            with suppress(Exception):
                async with asyncio.timeout(2):
                    await session.invalidate()  # closes the connection itself; in the pool it would keep the lock
                    await session.close()

    # -- due ------------------------------------------------------------------------------------------------------

    async def _queue_due(self, session: AsyncConnection) -> None:
        now = self._clock()
        query = select(ScheduleRow.name).where(~ScheduleRow.paused, ScheduleRow.next_at <= now)
        async with session.begin():
            names = list(await session.scalars(query.order_by(ScheduleRow.next_at, ScheduleRow.name)))
        for name in names:
            async with session.begin():
                await self._queue_one(session, name)

    async def _queue_one(self, session: AsyncConnection, name: str) -> None:
        now = self._clock()
        query = select(ScheduleRow.__table__).where(ScheduleRow.name == name).with_for_update()
        row = (await session.execute(query)).one_or_none()
        if row is None or row.paused or row.next_at is None or row.next_at > now:
            return  # edited in this moment
        catch_up = max(timedelta(hours=self._settings.schedule_catch_up_h), LEAST_CATCH_UP)
        try:
            found = due(plan_of(row).cron, row.next_at, now, catch_up)
        except SettingsError as error:  # a zone that the system has no more
            await session.execute(update(ScheduleRow).where(ScheduleRow.name == name).values(next_at=None))
            await self._note(session, name, f"it cannot be kept: {error}")
            log.error("schedule cannot be kept", schedule=name, why=str(error))
            return
        values: dict[str, Any] = {"next_at": found.next_at}
        waits = select(RunRow.run_id).where(RunRow.schedule == name, RunRow.state == RunState.QUEUED).limit(1)
        waiting = await session.scalar(waits)
        told: dict[str, Any] = {"schedule": name, "spider": row.spider, "next": found.next_at and str(found.next_at)}
        if found.run_for is None:
            log.warning("missed too long ago, not made up for", missed=found.missed, **told)
            await self._note(session, name, f"{found.missed} missed, the last too long ago to be made up for")
        elif waiting is not None:
            log.warning("still waits: one run for both dates", run=short(waiting), missed=found.missed, **told)
        else:
            missed = f", {found.missed} missed before it" if found.missed else ""
            step = Step(WHO, now, f"schedule {name}: due at {found.run_for:%Y-%m-%d %H:%M:%S} UTC{missed}")
            run_id = await runs.queue(
                session,
                row.spider,
                row.arguments,
                step,
                trigger=Trigger.SCHEDULE,
                timeout_s=row.timeout_s or self._settings.run_timeout_s,
                schedule=name,
            )
            values |= {"last_at": found.run_for, "last_run": run_id}
            log.info("queued", run=short(run_id), missed=found.missed, **told)
        await session.execute(update(ScheduleRow).where(ScheduleRow.name == name).values(**values))

    async def _queue_planned(self, session: AsyncConnection) -> None:
        planned, self._planned = self._planned, []
        for spider, errand, keys in planned:
            step = Step(WHO, self._clock(), f"wanted: {', '.join(keys)}")
            async with session.begin():
                run_id = await runs.queue(
                    session,
                    spider,
                    errand.as_json(),
                    step,
                    trigger=Trigger.WANTED,
                    timeout_s=self._settings.run_timeout_s,
                )
            log.info("queued", run=short(run_id), spider=spider, wanted=keys)

    async def _note(self, session: AsyncConnection, name: str, why: str) -> None:
        line = {"about": WatchedBy.SCHEDULE, "thing": name, "at": self._clock(), "who": WHO, "why": why}
        await session.execute(insert(OperatorLogRow).values(**line))

    # -- start ----------------------------------------------------------------------------------------------------

    async def _start_waiting(self, session: AsyncConnection) -> None:
        states = (RunState.QUEUED, *ACTIVE)
        query = select(RunRow.__table__).where(RunRow.state.in_(states)).order_by(RunRow.queued_at, RunRow.run_id)
        async with session.begin():
            rows = list(await session.execute(query))
        starting = {run_id: child for run_id, child in self._children.items() if child.process.poll() is None}
        active = [row for row in rows if row.state in ACTIVE]
        busy = {row.spider for row in active}
        under_way = sum(row.lane is not None for row in active)
        for row in rows:
            if row.state is RunState.QUEUED and row.run_id in starting:
                busy.add(row.spider)
                under_way += 1
        # A search for years gone by never delays what is on its way to happen.
        for row in sorted(rows, key=lambda row: row.trigger is Trigger.WANTED):
            if row.state is not RunState.QUEUED or row.run_id in self._children:
                continue
            if row.trigger is Trigger.SCHEDULE and self._clock() - row.queued_at > LONGEST_WAIT:
                await self._settle(session, row, RunState.STOPPED, "it waited for more than a day")
            elif under_way < self._settings.runs_at_once and row.spider not in busy:
                busy.add(row.spider)
                under_way += 1
                self._spawn(row)

    def _spawn(self, row: Any) -> None:
        settings = self._settings
        argv = list(self._argv(row.run_id, row.spider, row.trigger, row.arguments))
        environment = python_environment(environment_for(settings)) | {MARK: f"{settings.home}:{RUNS}"}
        try:
            settings.home.mkdir(parents=True, exist_ok=True)
            errors = runlog.open_log(settings, row.run_id)
        except OSError as error:
            log.error("the run's log cannot be kept", run=short(row.run_id), why=str(error))
            errors = subprocess.DEVNULL
        try:
            process = subprocess.Popen(  # noqa: S603 - argv is ours, no shell
                argv,
                env=environment,
                cwd=settings.home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            log.error("the run's process cannot be started: it goes on waiting", run=short(row.run_id), why=str(error))
            return
        finally:
            if errors != subprocess.DEVNULL:
                os.close(errors)
        self._children[row.run_id] = Child(process, row.spider, time.monotonic())
        limit = int(settings.run_memory_mb * 1_048_576 * MEMORY_ROOM)
        with suppress(OSError, AttributeError):  # it ended already; or a system that has no prlimit
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (limit, limit))
        log.info("started", run=short(row.run_id), spider=row.spider, pid=process.pid, trigger=row.trigger.value)

    # -- watch ----------------------------------------------------------------------------------------------------

    async def _watch(self, session: AsyncConnection) -> None:
        query = select(RunRow.__table__).where(RunRow.state.in_(ACTIVE))
        async with session.begin():
            rows = {row.run_id: row for row in await session.execute(query)}
        for run_id, child in list(self._children.items()):
            code = child.process.poll()
            if code is not None:
                await self._ended(session, run_id, child, code)
                del self._children[run_id]
            elif run_id not in rows:
                await self._without_a_run(session, run_id, child)
        for run_id in self._asked.keys() - rows.keys():
            del self._asked[run_id]
        for row in rows.values():
            await self._keep_within_limits(session, row)
        # Who could not be heard because Postgres was away gets the time to beat again.
        heard = time.monotonic() - self._since > 3 * self._settings.heartbeat_s + runs.BEAT_S
        async with session.begin():
            gone = await runs.vanished(session, self._settings, elsewhere=heard)
        for row, why in gone:
            if row.run_id not in self._children:
                asked = row.run_id in self._asked and row.host == socket.gethostname()
                state, why = _as_asked(row, why) if asked else (RunState.LOST, why)
                await self._settle(session, row, state, why)

    async def _ended(self, session: AsyncConnection, run_id: UUID, child: Child, code: int) -> None:
        """A process of ours is gone: what does its row say?"""
        async with session.begin():
            row = (await session.execute(select(RunRow.__table__).where(RunRow.run_id == run_id))).one_or_none()
        said = f"its process ended with {_code(code)}"
        if row is None or row.state in runs.ENDED or (row.state in ACTIVE and row.pid != child.process.pid):
            return
        if row.state is RunState.QUEUED:
            if code != runs.WAITS:
                last = runlog.last_said(self._settings, run_id)
                await self._settle(
                    session, row, RunState.FAILED, f"{said} before it began: {last or 'it said nothing'}"
                )
        elif run_id in self._asked:
            await self._settle(session, row, *_as_asked(row, said))
        else:
            last = runlog.last_said(self._settings, run_id)
            if "MemoryError" in last:
                why = f"memory limit: nothing was left of {self._settings.run_memory_mb:,} MB (GIGZ_RUN_MEMORY_MB)"
                await self._settle(session, row, RunState.FAILED, f"{why}; {said}")
                return
            why = f"{said} and did not say how the run went" + (f"; the last it said: {last}" if last else "")
            await self._settle(session, row, RunState.LOST, why)

    async def _without_a_run(self, session: AsyncConnection, run_id: UUID, child: Child) -> None:
        """A process that has not begun, or whose run is over."""
        now = time.monotonic()
        async with session.begin():
            state = await session.scalar(select(RunRow.state).where(RunRow.run_id == run_id))
        if state is RunState.QUEUED:
            if now - child.started > BEGIN_S:
                runs.kill(psutil.Process(child.process.pid))
            return
        if state in ACTIVE:
            return  # it began in this moment
        child.over_since = child.over_since or now
        if now - child.over_since > LINGER_S:
            log.error("its run is over, its process did not end: killed", run=short(run_id), pid=child.process.pid)
            runs.kill(psutil.Process(child.process.pid))

    async def _keep_within_limits(self, session: AsyncConnection, row: Any) -> None:
        settings, process = self._settings, runs.process_of(row)
        if row.lane is not None and process is not None:
            taken = _memory(process) / 1_048_576
            if taken > settings.run_memory_mb:
                # Killed at once: what has no memory left cannot end in order. What was delivered is delivered.
                why = f"memory limit: it took {taken:,.0f} MB of {settings.run_memory_mb:,} (GIGZ_RUN_MEMORY_MB)"
                await self._kill(session, row, process, RunState.FAILED, why)
                return
        if row.state is RunState.RUNNING and row.lane is not None and row.timeout_s is not None:
            if (self._clock() - row.started_at).total_seconds() < row.timeout_s:
                return
            why = f"{runs.TIME_LIMIT}: it ran for more than {duration(row.timeout_s)}"
            log.warning("told to stop", run=short(row.run_id), spider=row.spider, why=why)
            with suppress(RunRefused):
                async with session.begin():
                    await runs.stop_run(session, row.run_id, Step(WHO, self._clock(), why), why)
            return  # the next round has the row as it is then
        if row.state is not RunState.STOPPING:
            return
        if row.run_id not in self._asked:
            self._asked[row.run_id] = time.monotonic()
            if process is not None:
                with suppress(psutil.NoSuchProcess):
                    process.terminate()  # it reads its row, too; unless Postgres is away for it
        elif process is not None and time.monotonic() - self._asked[row.run_id] > settings.run_stop_grace_s:
            state, why = _as_asked(row, f"killed: it did not end within {duration(settings.run_stop_grace_s)}")
            await self._kill(session, row, process, state, why)

    async def _kill(
        self, session: AsyncConnection, row: Any, process: psutil.Process, state: RunState, why: str
    ) -> None:
        runs.kill(process)
        for _ in range(100):
            child = self._children.get(row.run_id)
            if (child is not None and child.process.poll() is not None) or runs.process_of(row) is None:
                break
            await asyncio.sleep(0.02)
        await self._settle(session, row, state, why)

    async def _settle(self, session: AsyncConnection, row: Any, state: RunState, why: str) -> None:
        """End a run in its row, because its process cannot."""
        (log.info if state is RunState.STOPPED else log.error)(
            f"run {state.value}", run=short(row.run_id), spider=row.spider, why=why
        )
        columns = {"why": runs.clean(why), "log_tail": runs.clean(runlog.tail(self._settings, row.run_id))}
        with suppress(RunRefused):  # it ended in this moment
            async with session.begin():
                await runs.take(session, row.run_id, state, Step(WHO, self._clock(), columns["why"]), **columns)
            if row.trigger is Trigger.WANTED:  # else the same would be planned again at once
                with suppress(SettingsError, LookupError):
                    keys = await wanted.keys_of(self._engine, errand_of(row.arguments))
                    found = figures_of(row.figures).years
                    await wanted.tried(self._engine, keys, row.run_id, found, self._clock)

    async def plan(self) -> None:
        """Choose the next searches; the next round queues them."""
        under_way = (RunRow.trigger == Trigger.WANTED) & RunRow.finished_at.is_(None)
        async with self._engine.connect() as connection:
            busy = await connection.scalar(select(func.count()).select_from(RunRow).where(under_way)) or 0
        most = self._settings.runs_at_once - busy
        if most > 0 and not self._planned:
            self._planned = await wanted.plan(self._engine, self._settings, SPIDERS, self._clock(), most)

    # -- beside it ------------------------------------------------------------------------------------------------

    def _side_works(self) -> list[Coroutine[Any, Any, None]]:
        async def tell() -> None:
            await alerts.send_pending(self._engine, self._settings, self._clock)

        async def housekeep() -> None:
            await asyncio.to_thread(runlog.forget_old, self._settings)

        async def count() -> None:
            self._meters.spiders.figures = await measure(self._engine, self._settings, self._clock())

        async def take() -> None:
            await wanted.take_wanted(self._settings, self._engine, self._clock)

        async def erase() -> None:
            await erase_waiting(self._settings, self._engine, self._clock)
            oldest = await asked_at(self._engine)
            self._meters.erasure.set(0 if oldest is None else (self._clock() - oldest).total_seconds())

        settings = self._settings
        settle = timedelta(seconds=settings.digest_settle_s)
        digests = Digests(self._engine, settings.outbox_shards, self._clock, settle)
        return [
            beside("erasures that users asked for", erase, every_s=settings.erasure_poll_s),
            beside("digests", digests.round, every_s=settings.digest_poll_s),
            beside("reading what is wanted", take, every_s=WANTED_S),
            beside("planning searches", self.plan, every_s=WANTED_S),
            beside("alerts", tell, every_s=ALERTS_S),
            beside("figures for Prometheus", count, every_s=FIGURES_S),
            beside("old logs", housekeep, every_s=HOUSEKEEPING_S),
        ]

    # -- the end --------------------------------------------------------------------------------------------------

    async def _leave(self) -> None:
        """Stop what this process started, queue it again, give the lock back."""
        own = {run_id: child for run_id, child in self._children.items() if child.process.poll() is None}
        if own:
            log.info("stopping its runs", runs=[short(run_id) for run_id in own])
            again = await self._told_to_stop(own)
            for child in own.values():
                with suppress(ProcessLookupError):
                    child.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + min(LEAVE_S, self._settings.run_stop_grace_s)
            while time.monotonic() < deadline and any(  # noqa: ASYNC110 - Popen has no event
                child.process.poll() is None for child in own.values()
            ):
                await asyncio.sleep(0.05)
            for child in own.values():
                if child.process.poll() is None:
                    with suppress(psutil.NoSuchProcess):
                        runs.kill(psutil.Process(child.process.pid))
                    child.process.wait()
            await self._queue_again(again)
        for child in self._children.values():
            child.process.poll()
        self._children.clear()
        await self._step_down()
        log.info("stopped")

    async def _told_to_stop(self, own: Mapping[UUID, Child]) -> list[UUID]:
        """Those whose rows say now that they are stopping; none while Postgres is away."""
        told = []
        why = "the scheduler was stopped"
        for run_id in own:
            with suppress(RunRefused, NotActive, *AWAY):
                async with asyncio.timeout(2), self._engine.begin() as connection:
                    state = await connection.scalar(select(RunRow.state).where(RunRow.run_id == run_id))
                    if state is RunState.RUNNING:
                        await runs.stop_run(connection, run_id, Step(WHO, self._clock(), why), why)
                        told.append(run_id)
        return told

    async def _queue_again(self, told: Sequence[UUID]) -> None:
        for run_id in told:
            with suppress(RunRefused, *AWAY):
                async with asyncio.timeout(2), self._engine.begin() as connection:
                    query = select(RunRow.__table__).where(RunRow.run_id == run_id)
                    row = (await connection.execute(query)).one()
                    step = Step(WHO, self._clock(), f"in place of {short(run_id)}, which ended with its scheduler")
                    if row.state in ACTIVE:
                        tail = runs.clean(runlog.tail(self._settings, run_id))
                        ended = Step(WHO, self._clock(), "the scheduler was stopped; killed")
                        await runs.take(connection, run_id, RunState.STOPPED, ended, why=ended.why, log_tail=tail)
                    elif row.state is not RunState.STOPPED:
                        continue
                    again = await runs.queue(
                        connection,
                        row.spider,
                        row.arguments,
                        step,
                        trigger=row.trigger,
                        timeout_s=row.timeout_s,
                        schedule=row.schedule,
                    )
                    log.info("queued again", run=short(again), instead_of=short(run_id), spider=row.spider)


async def beside(name: str, work: Callable[[], Awaitable[object]], *, every_s: float) -> None:
    """Do it again and again; a failure is logged and tried again later, and stops nothing else."""
    failures = 0
    while True:
        try:
            await work()
            failures = 0
        except Exception as error:
            failures += 1
            (log.warning if isinstance(error, (SettingsError, *AWAY)) else log.exception)(
                f"{name} failed, will be tried again", why=in_a_line(error), failures=failures
            )
        await asyncio.sleep(min(LONGEST_S, AGAIN_S * 2.0 ** min(failures - 1, 10)) if failures else every_s)


async def run_scheduler(settings: Settings, instance: int, stop: asyncio.Event | None = None) -> int:
    """Run until SIGTERM, or until `stop`; the exit code. SettingsError when PostgreSQL cannot be used."""
    structlog.contextvars.bind_contextvars(instance=instance)
    stopping = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    if stop is None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
    engine = postgres_engine(settings, name=f"gigz-scheduler-{instance}")
    try:
        await check_postgres(engine, settings)
        meters = SchedulerMeters(settings)
        meters.queries.watch(engine)
        with serving(settings, meters, instance) as endpoint:
            await Scheduler(settings, engine, meters=meters).run(stopping)
            endpoint.ended(0)
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await engine.dispose()
    return 0


def _as_asked(row: Any, said: str) -> tuple[RunState, str]:
    """How a run ends that was told to stop and could not tell how it went."""
    why = f"{row.why}; {said}" if row.why else said
    return RunState.FAILED if why.startswith(runs.TIME_LIMIT) else RunState.STOPPED, why


def _memory(process: psutil.Process) -> int:
    """Resident bytes, of its children as well."""
    total = 0
    with suppress(psutil.Error):
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += one.memory_info().rss
    return total


def _code(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
