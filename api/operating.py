"""What /ops shows, read from `state.runs`, `schedules`, `alerts`, `operator_log` and the wanted list."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, column, func, select, text, true, values
from sqlalchemy import Text as SqlText
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.tables import (
    AlertRow,
    OperatorLogRow,
    RunRow,
    RunState,
    ScheduleRow,
    WantedListRow,
    WatchedBy,
)

BARS = 20
LIVE = (RunState.QUEUED, RunState.RUNNING, RunState.STOPPING)
KINDS = ("queued", "running", "stopping", "finished", "suspect", "failed", "stopped", "lost")
"""How runs are shown: the states, and finished ones that are suspect."""
BAR_WIDTH, BAR_GAP, CHART_HEIGHT, MARK = 9, 3, 44, 13
"""Of the chart, in its own units; MARK is the strip below the bars."""


@dataclass(frozen=True)
class Brief:
    """A run in a list."""

    run_id: UUID
    spider: str
    kind: str
    items: int
    rejected: int
    schedule: str | None
    trigger: str
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    accepted: bool
    why: str | None
    finding: str | None = None
    """The first thing that the monitors found."""

    @property
    def live(self) -> bool:
        """It has not ended."""
        return self.finished_at is None

    @property
    def at(self) -> datetime:
        """When it began, or was asked for."""
        return self.started_at or self.queued_at

    def seconds(self, now: datetime) -> float:
        """How long it took so far."""
        return max(0.0, ((self.finished_at or now) - self.at).total_seconds())


@dataclass(frozen=True)
class Bar:
    """One run of a chart: where it stands, how high, what mark is below."""

    kind: str
    x: int
    y: float
    height: float
    title: str

    @property
    def middle(self) -> float:
        """Of the mark."""
        return self.x + BAR_WIDTH / 2


@dataclass(frozen=True)
class Chart:
    """The last runs, oldest first: items as height, the kind as colour and as mark."""

    bars: tuple[Bar, ...]
    label: str
    """What it shows, in words."""
    width: int = BARS * (BAR_WIDTH + BAR_GAP)
    height: int = CHART_HEIGHT + MARK

    @property
    def base(self) -> int:
        """Where the bars stand."""
        return CHART_HEIGHT

    @property
    def mark(self) -> float:
        """The middle of the marks."""
        return CHART_HEIGHT + MARK / 2


def chart(runs: Sequence[Brief]) -> Chart:
    """Of runs, newest first."""
    shown = list(reversed(runs[:BARS]))
    most = max((run.items for run in shown), default=0)
    offset = BARS - len(shown)  # the newest is always at the right
    bars = []
    for place, run in enumerate(shown, offset):
        height = max(1.5, CHART_HEIGHT * run.items / most) if most else 1.5
        title = f"{run.at:%Y-%m-%d %H:%M}: {run.kind}, {run.items:,} items"
        bars.append(Bar(run.kind, place * (BAR_WIDTH + BAR_GAP), CHART_HEIGHT - height, round(height, 2), title))
    if not shown:
        return Chart((), "no runs yet")
    kinds = Counter(run.kind for run in shown)
    told = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS if kinds[kind])
    least, largest = min(run.items for run in shown), max(run.items for run in shown)
    items = f"{least:,} to {largest:,} items" if least != largest else f"{largest:,} items each"
    return Chart(tuple(bars), f"last {len(shown)} {'run' if len(shown) == 1 else 'runs'}: {told}; {items}")


def kind_of(state: RunState, suspect: bool) -> str:
    """How a run is shown."""
    return "suspect" if suspect and state is RunState.FINISHED else state.value


def _briefs(query: Any) -> Any:
    return query.with_only_columns(
        RunRow.run_id,
        RunRow.spider,
        RunRow.state,
        RunRow.suspect,
        RunRow.scraped,
        RunRow.rejected,
        RunRow.schedule,
        RunRow.trigger,
        RunRow.queued_at,
        RunRow.started_at,
        RunRow.finished_at,
        RunRow.figures["accepted"].as_boolean().label("accepted"),
        func.left(RunRow.why, 300).label("why"),
        func.left(RunRow.findings[0]["text"].as_string(), 300).label("finding"),
    )


def _brief(row: Row[Any]) -> Brief:
    return Brief(
        run_id=row.run_id,
        spider=row.spider,
        kind=kind_of(row.state, row.suspect),
        items=row.scraped,
        rejected=row.rejected,
        schedule=row.schedule,
        trigger=row.trigger.value,
        queued_at=row.queued_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        accepted=bool(row.accepted),
        why=row.why,
        finding=row.finding if row.suspect else None,
    )


async def last_runs(connection: AsyncConnection, spiders: Iterable[str], most: int = BARS) -> dict[str, list[Brief]]:
    """The last runs of each, newest first; one walk of the index for each spider."""
    names = sorted(set(spiders))
    if not names:
        return {}
    given = values(column("name", SqlText), name="given").data([(name,) for name in names])
    last = (
        _briefs(select(RunRow))
        .where(RunRow.spider == given.c.name)
        .order_by(RunRow.started_at.desc())  # nulls first: what is queued
        .limit(most)
        .lateral("last")
    )
    found: dict[str, list[Brief]] = {name: [] for name in names}
    for row in await connection.execute(select(last).select_from(given).join(last, true())):
        found[row.spider].append(_brief(row))
    for runs in found.values():
        runs.sort(key=lambda run: run.at, reverse=True)
    return found


async def live_runs(connection: AsyncConnection, spider: str = "", most: int = 200) -> list[Brief]:
    """What runs, then what waits, each the oldest first: of one spider, or of all."""
    query = _briefs(select(RunRow)).where(RunRow.finished_at.is_(None))
    if spider:
        query = query.where(RunRow.spider == spider)
    query = query.order_by(RunRow.started_at.nulls_last(), RunRow.queued_at, RunRow.run_id).limit(most)
    return [_brief(row) for row in await connection.execute(query)]


async def last_done(connection: AsyncConnection, about: WatchedBy, who: str) -> Row[Any] | None:
    """The last thing that somebody did to things of a kind."""
    query: Select[Any] = select(OperatorLogRow.__table__).where(
        OperatorLogRow.about == about, OperatorLogRow.who == who
    )
    row: Row[Any] | None = (await connection.execute(query.order_by(OperatorLogRow.id.desc()).limit(1))).one_or_none()
    return row


async def runs(connection: AsyncConnection, spider: str, kind: str, most: int, before: datetime | None) -> list[Brief]:
    """Runs by when they were asked for, newest first."""
    query = _briefs(select(RunRow)).order_by(RunRow.queued_at.desc(), RunRow.run_id).limit(most)
    if spider:
        query = query.where(RunRow.spider == spider)
    if kind == "suspect":
        query = query.where(RunRow.suspect, RunRow.state == RunState.FINISHED)
    elif kind:
        query = query.where(RunRow.state == RunState(kind))
        if kind == "finished":
            query = query.where(~RunRow.suspect)
    if before is not None:
        query = query.where(RunRow.queued_at < before)
    return [_brief(row) for row in await connection.execute(query)]


async def run(connection: AsyncConnection, run_id: UUID) -> Row[Any] | None:
    """Everything of one run."""
    return (await connection.execute(select(RunRow.__table__).where(RunRow.run_id == run_id))).one_or_none()


async def log_of(connection: AsyncConnection, about: WatchedBy, thing: str, most: int = 100) -> Sequence[Row[Any]]:
    """Who did what and why, newest first."""
    query: Select[Any] = (
        select(OperatorLogRow.__table__)
        .where(OperatorLogRow.about == about, OperatorLogRow.thing == thing)
        .order_by(OperatorLogRow.id.desc())
        .limit(most)
    )
    return list(await connection.execute(query))


async def schedules(connection: AsyncConnection, name: str = "") -> Sequence[Row[Any]]:
    """All, or the one of that name; what comes next first."""
    query: Select[Any] = select(ScheduleRow.__table__).order_by(ScheduleRow.next_at.nulls_last(), ScheduleRow.name)
    if name:
        query = query.where(ScheduleRow.name == name)
    return list(await connection.execute(query))


async def alerts(connection: AsyncConnection, most: int, *, open_only: bool = False) -> Sequence[Row[Any]]:
    """The latest; open ones are those that no good run has answered."""
    query: Select[Any] = select(AlertRow.__table__).order_by(AlertRow.created_at.desc()).limit(most)
    if open_only:
        query = query.where(AlertRow.kind != "recovered", ~AlertRow.body.has_key("recovered_by"))
    return list(await connection.execute(query))


async def wanted(connection: AsyncConnection, most: int) -> Sequence[Row[Any]]:
    """What is searched for next: boosted first, then what most entries ask for."""
    query: Select[Any] = (
        select(WantedListRow.__table__)
        .where(~WantedListRow.hidden, (WantedListRow.asked > 0) | WantedListRow.added)
        .order_by(WantedListRow.boost.desc(), WantedListRow.asked.desc(), WantedListRow.artist, WantedListRow.year)
        .limit(most)
    )
    return list(await connection.execute(query))


def arguments_told(arguments: Mapping[str, Any]) -> str:
    """A line for each: k=v."""
    return "\n".join(f"{name}={value}" for name, value in arguments.items())


def arguments_of(written: str) -> dict[str, str]:
    """The other way. ValueError names the line."""
    found = {}
    for line in filter(None, map(str.strip, written.splitlines())):
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise ValueError(line)
        found[name.strip()] = value.strip()
    return found


async def spiders_seen(connection: AsyncConnection) -> set[str]:
    """Spiders that ever ran: a step over the index for each, however many runs there are."""
    return set(await connection.scalars(text(_NAMES)))


_NAMES = """
with recursive names as (
  (select spider from state.runs order by spider limit 1)
  union all
  select (select spider from state.runs where spider > names.spider order by spider limit 1)
    from names where names.spider is not null
)
select spider from names where spider is not null
"""
