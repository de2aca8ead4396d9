"""What operators do: start and stop runs, edit schedules. The command line and the operators' page call the same.

Errors
    OperationRefused    it cannot be done: says why, and the remedy
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.clients import unusable
from deploy.locks import GIGZ, HOLDERS, SCHEDULER
from deploy.settings import PREFIX, Settings, SettingsError
from schemas.tables import OperatorLogRow, RunRow, RunState, ScheduleRow, Trigger, WatchedBy
from spiders import runs
from spiders.crawl import api_key, chosen
from spiders.errand import Errand, errand_of
from spiders.formats.base import Clock, SourceSpider, utc_now
from spiders.monitoring import judgements
from spiders.runs import ACTIVE, Step, short
from spiders.schedule import Cron, Plan, checked_name, cron_of, seconds_of
from spiders.sources import SPIDERS


class OperationRefused(SettingsError):
    """That cannot be done; the message names the remedy."""


@dataclass(frozen=True)
class SpiderInfo:
    """A spider, for people."""

    name: str
    source: str
    """Empty: the host it is sent to."""
    format: str
    politeness: str
    licence: str
    topic: str
    example: str
    """A start URL to copy."""
    searches: bool
    """It can be sent for an artist."""
    needs_start_url: bool
    key: str
    """The setting that holds its API key; empty when it needs none."""
    has_key: bool

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class Changed:
    """A schedule that was paused, taken up again or removed, and what became of its runs."""

    plan: Plan
    stopped: Sequence[UUID] = ()
    """Waited, and will not start."""
    under_way: Sequence[UUID] = ()
    """Go on."""

    def __str__(self) -> str:
        told = [f"run {short(run_id)} waited and was stopped" for run_id in self.stopped]
        told += [f"run {short(run_id)} is under way and goes on" for run_id in self.under_way]
        return "; ".join(told)


class Operations:
    """All that an operator can do, with who and why kept in `state.operator_log`."""

    def __init__(
        self, settings: Settings, engine: AsyncEngine, clock: Clock = utc_now, *, local_files: bool = False
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._local_files = local_files
        """A start URL may be a file: for whoever has a shell on this machine anyway."""

    async def spiders(self) -> list[SpiderInfo]:
        """Every spider, by name."""
        return [self._info(spider) for spider in sorted(SPIDERS, key=lambda spider: spider.name)]

    async def start(
        self, spider: str, arguments: Mapping[str, Any], who: str, why: str | None = None, timeout_s: int | None = None
    ) -> UUID:
        """Queue a run for the scheduler to start at once, or when the spider's present run has ended. Its id.

        OperationRefused: no such spider, it cannot do that, or the same waits already.
        """
        with _refusing():
            errand = self._errand(spider, arguments)
        step = Step(who, self._clock(), why or None)
        async with self._writing() as connection:
            same = select(RunRow.run_id).where(
                RunRow.state == RunState.QUEUED, RunRow.spider == spider, RunRow.arguments == errand.as_json()
            )
            waits = await connection.scalar(same.limit(1))
            if waits is not None:
                raise OperationRefused(f"run {short(waits)} of {spider} waits already for the same. Remedy: wait.")
            return await runs.queue(
                connection,
                spider,
                errand.as_json(),
                step,
                trigger=Trigger.OPERATOR,
                timeout_s=timeout_s or self._settings.run_timeout_s,
            )

    async def stop(self, run_id: UUID | str, who: str, why: str) -> RunState:
        """Ask a run to end in order, on whatever machine it is; the state it is in then. OperationRefused."""
        if not why.strip():
            raise OperationRefused("a reason is needed. Remedy: say why the run is to stop (--reason).")
        async with self._writing() as connection:
            row = await runs.find(connection, str(run_id))
            told = f"stopped by {who}: {why.strip()}"
            return await runs.stop_run(connection, row.run_id, Step(who, self._clock(), why.strip()), told)

    async def accept(self, run_id: UUID | str, who: str, why: str) -> None:
        """Make a suspect run the new normal: see `spiders.monitoring.judgements`. OperationRefused."""
        async with self._writing() as connection:
            row = await runs.find(connection, str(run_id))
        with _refusing():
            await judgements.accept(self._engine, row.run_id, who, why, self._clock())

    async def put_schedule(
        self,
        name: str,
        spider: str,
        cron: str,
        tz: str,
        arguments: Mapping[str, Any],
        timeout_s: int | None,
        who: str,
        why: str | None = None,
        *,
        new: bool | None = None,
    ) -> Plan:
        """Make a schedule, or change one. `new`: True: it must not be there; False: it must. OperationRefused."""
        now = self._clock()
        with _refusing():
            checked_name(name)
            errand = self._errand(spider, arguments)
            when = cron_of(cron, tz, now=now)
        if timeout_s is not None and timeout_s < 1:
            raise OperationRefused(f"{timeout_s} s is no time limit. Remedy: a second at least, or none.")
        async with self._writing() as connection:
            row = await self._schedule(connection, name, missing_ok=new is not False)
            if row is not None and new:
                raise OperationRefused(
                    f"there is a schedule {name} already: {plan_of(row)}. "
                    f"Remedy: `gigz schedule edit {name}`, or another --name."
                )
            plan = Plan(name, spider, when, errand.as_json(), timeout_s, paused=bool(row and row.paused))
            columns: dict[str, Any] = {
                "spider": spider,
                "cron": when.text,
                "tz": when.tz,
                "arguments": dict(plan.arguments),
                "timeout_s": timeout_s,
            }
            same_dates = row is not None and (row.cron, row.tz) == (when.text, when.tz)
            if not same_dates:
                columns["next_at"] = None if plan.paused else when.after(now)
            if row is None:
                await connection.execute(insert(ScheduleRow).values(name=name, **columns))
            elif plan == plan_of(row):
                return plan
            else:
                await connection.execute(update(ScheduleRow).where(ScheduleRow.name == name).values(**columns))
            await self._note(connection, name, row and str(plan_of(row)), str(plan), who, why)
        return plan

    async def pause(self, name: str, paused: bool, who: str, why: str | None = None) -> "Changed":
        """Pause a schedule or take it up again; dates that passed meanwhile are not made up for. OperationRefused.

        A run of it that waits is stopped with the pause; one that is under way goes on.
        """
        async with self._writing() as connection:
            row = await self._schedule(connection, name)
            before = plan_of(row)
            if row.paused == paused:
                raise OperationRefused(f"schedule {name} {'is paused already' if paused else 'is not paused'}.")
            plan = replace(before, paused=paused)
            next_at = None if paused else plan.cron.after(self._clock())
            put = update(ScheduleRow).where(ScheduleRow.name == name).values(paused=paused, next_at=next_at)
            await connection.execute(put)
            await self._note(connection, name, str(before), str(plan), who, why)
            stopped, under_way = await self._given_up(connection, name, "paused", who, why) if paused else ([], [])
        return Changed(plan, stopped, under_way)

    async def remove(self, name: str, who: str, why: str | None = None) -> "Changed":
        """Remove a schedule. A run of it that waits is stopped, one that is under way goes on. OperationRefused."""
        async with self._writing() as connection:
            plan = plan_of(await self._schedule(connection, name))
            await connection.execute(delete(ScheduleRow).where(ScheduleRow.name == name))
            await self._note(connection, name, str(plan), None, who, why)
            stopped, under_way = await self._given_up(connection, name, "removed", who, why)
        return Changed(plan, stopped, under_way)

    async def schedules(self) -> list[Row[Any]]:
        """Every schedule's row, the next one first."""
        query = select(ScheduleRow.__table__).order_by(ScheduleRow.next_at.nulls_last(), ScheduleRow.name)
        async with self._writing() as connection:
            return list(await connection.execute(query))

    async def schedule(self, name: str) -> Row[Any]:
        """One of them. OperationRefused."""
        async with self._writing() as connection:
            row: Row[Any] = await self._schedule(connection, name)
        return row

    async def states(self, run_ids: Sequence[UUID]) -> dict[UUID, str]:
        """How these runs stand."""
        query = select(RunRow.run_id, RunRow.state).where(RunRow.run_id.in_(run_ids))
        async with self._writing() as connection:
            return {row.run_id: row.state.value for row in await connection.execute(query)}

    async def scheduler_is_there(self) -> bool:
        """Whether a scheduler is active: else nothing that waits is started."""
        async with self._writing() as connection:
            return bool(await connection.scalar(HOLDERS, {"lock_class": GIGZ, "number": SCHEDULER}))

    def seconds_of(self, written: str) -> int:
        """A time limit as it is typed. SettingsError."""
        return seconds_of(written)

    def warnings(self, spider: str) -> list[str]:
        """What will go wrong though it can be asked for."""
        try:
            api_key(self._settings, chosen(spider))
        except SettingsError as error:
            return [f"{error} (As far as this process knows: the scheduler's may have it.)"]
        return []

    def _info(self, spider: type[SourceSpider]) -> SpiderInfo:
        setting = spider.key_setting
        return SpiderInfo(
            name=spider.name,
            source=spider.source,
            format=spider.format,
            politeness=str(spider.pace),
            licence=spider.licence,
            topic=spider.topic,
            example=spider.example,
            searches=bool(spider.search),
            needs_start_url=not spider.start_urls,
            key=f"{PREFIX}{setting.upper()}" if setting else "",
            has_key=not setting or bool(getattr(self._settings, setting).get_secret_value()),
        )

    def _errand(self, spider: str, arguments: Mapping[str, Any]) -> Errand:
        """SettingsError when the spider cannot do that."""
        kind = chosen(spider)
        errand = errand_of(arguments)
        if errand.start_url and not self._local_files and urlsplit(errand.start_url).scheme not in {"http", "https"}:
            raise SettingsError(
                f"start_url {errand.start_url!r} is no web address. Remedy: http:// or https://; "
                "a file is read by `gigz crawl` or `gigz schedule` on the machine that has it."
            )
        kind.check_arguments(errand)
        kind(errand=errand)
        return errand

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        with _refusing():
            try:
                async with self._engine.begin() as connection:
                    yield connection
            except (SQLAlchemyError, OSError) as error:
                if isinstance(error, runs.AWAY):
                    raise unusable("postgres", self._settings, str(getattr(error, "orig", error))) from error
                raise

    async def _schedule(self, connection: AsyncConnection, name: str, *, missing_ok: bool = False) -> Any:
        query = select(ScheduleRow.__table__).where(ScheduleRow.name == name).with_for_update()
        row = (await connection.execute(query)).one_or_none()
        if row is None and not missing_ok:
            names = list(await connection.scalars(select(ScheduleRow.name).order_by(ScheduleRow.name).limit(20)))
            there = f"one of {', '.join(names)}" if names else "`gigz schedule add`; there is none yet"
            raise OperationRefused(f"there is no schedule {name!r}. Remedy: {there}.")
        return row

    async def _given_up(
        self, connection: AsyncConnection, name: str, what: str, who: str, why: str | None
    ) -> tuple[list[UUID], list[UUID]]:
        """Stop what a schedule has in the queue; those, and its runs under way."""
        # Under their locks: one that begins in this moment is under way, and not stopped half-way.
        query = select(RunRow.run_id, RunRow.state).where(
            RunRow.schedule == name, RunRow.state.in_((RunState.QUEUED, *ACTIVE))
        )
        rows = (await connection.execute(query.order_by(RunRow.run_id).with_for_update())).all()
        told = f"schedule {name} was {what} by {who}" + (f": {why}" if why else "")
        waiting = [row.run_id for row in rows if row.state is RunState.QUEUED]
        for run_id in waiting:
            await runs.stop_run(connection, run_id, Step(who, self._clock(), told), told)
        return waiting, [row.run_id for row in rows if row.state in ACTIVE]

    async def _note(
        self,
        connection: AsyncConnection,
        name: str,
        before: str | None,
        after: str | None,
        who: str,
        why: str | None,
    ) -> None:
        line = {"about": WatchedBy.SCHEDULE, "thing": name, "at": self._clock(), "who": who, "why": why or None}
        await connection.execute(insert(OperatorLogRow).values(before=before, after=after, **line))


def plan_of(row: Any) -> Plan:
    """A schedule's row as it is written down."""
    return Plan(row.name, row.spider, Cron(row.cron, row.tz), row.arguments, row.timeout_s, row.paused)


def status_of(row: Any, now: datetime) -> str:
    """How a schedule stands, in a word."""
    if row.paused:
        return "paused"
    if row.next_at is None:
        return "never"
    return "due" if row.next_at <= now else "waits"


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except OperationRefused:
        raise
    except SettingsError as error:
        raise OperationRefused(str(error)) from error
