"""What was said of a run, kept with it; and an operator's word that a suspect one is right.

Errors
    deploy.settings.SettingsError    no such run, or it is not one that can be accepted: names the remedy
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, insert, select, type_coerce, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.settings import SettingsError
from schemas.tables import OperatorLogRow, RunRow, RunState, WatchedBy
from spiders import runs
from spiders.monitoring.figures import figures_of
from spiders.monitoring.monitors import COLD, judge

ACCEPTED = "accepted"
"""Name among a run's figures, and in the operators' log."""


@dataclass(frozen=True)
class Judgement:
    """A run, and each rule with value, baseline, MAD, limit and whether it is beyond."""

    run_id: UUID
    spider: str
    scope: str
    state: RunState
    suspect: bool
    why: str | None
    reach: str
    judged: Mapping[str, Any]
    """See spiders.monitoring.monitors.Verdict.as_json; empty when the run was not judged."""
    accepted: Mapping[str, Any] | None
    """By whom, when and why."""

    @property
    def told(self) -> str:
        """In one sentence."""
        ended = "it has not ended" if self.state in LIVE else f"it is {self.state.value}"
        because = f" ({self.why})" if self.why else ""
        if not self.judged.get("compared"):
            return f"not judged: {ended}{because}"
        runs = self.judged["runs"]
        alike = f"{runs} good runs that read {REACH[self.reach]}"
        base = f"compared with {alike}"
        if self.judged["cold"]:
            base = f"cold start: {alike}, a baseline needs {COLD}; absolute limits only"
        if self.state is not RunState.FINISHED:
            return f"{self.state.value}{because}; {base}"
        if not self.suspect:
            return f"good; {base}"
        withheld = "; the watermark did not move and nothing vanished" if self.judged["withholds"] else ""
        return f"suspect{withheld}; {base}"

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "run_id": str(self.run_id),
            "spider": self.spider,
            "scope": self.scope,
            "state": self.state.value,
            "reach": self.reach,
            "suspect": self.suspect,
            "verdict": self.told,
            "why": self.why,
            "good_runs": self.judged.get("runs", 0),
            "cold_start": self.judged.get("cold"),
            "withholds": self.judged.get("withholds", False),
            "rules": list(self.judged.get("compared", ())),
            "accepted": dict(self.accepted) if self.accepted else None,
        }


LIVE = frozenset({RunState.QUEUED, RunState.RUNNING, RunState.STOPPING})
REACH = {"whole": "everything", "news": "what was new", "part": "a part"}


async def explain(engine: AsyncEngine, run: UUID | str) -> Judgement:
    """What was compared when the run ended; by its id or the beginning of it. SettingsError."""
    async with engine.connect() as connection:
        row = await runs.find(connection, str(run))
        run_id = row.run_id
        log = (
            select(OperatorLogRow.at, OperatorLogRow.who, OperatorLogRow.why)
            .where(
                OperatorLogRow.about == WatchedBy.RUN,
                OperatorLogRow.thing == str(run_id),
                OperatorLogRow.after == ACCEPTED,
            )
            .limit(1)
        )
        accepted = (await connection.execute(log)).one_or_none()
    judged = row.figures.get("judged", {})
    if not judged.get("compared") and row.state not in LIVE and row.figures and row.scope:
        # It died before it was judged: its last heartbeat told what it had by then.
        figures = figures_of(row.figures)
        good = await runs.good_figures(engine, row.spider, row.scope, figures.reach, before=row.started_at)
        judged = judge(figures, good, looked=False).as_json()
    return Judgement(
        run_id=run_id,
        spider=row.spider,
        scope=row.scope,
        state=row.state,
        suspect=row.suspect,
        why=row.why,
        reach=row.figures.get("reach", "part"),
        judged=judged,
        accepted=accepted and {"at": accepted.at.isoformat(), "who": accepted.who, "why": accepted.why},
    )


async def accept(engine: AsyncEngine, run: UUID | str, who: str, why: str, at: datetime) -> UUID:
    """Make a suspect run the new normal: baselines begin with it, and what it withheld happens at the next run. Its id.

    SettingsError unless the run finished and is suspect, or without a reason. A second time changes nothing.
    """
    if not why.strip():
        raise SettingsError("a reason is needed. Remedy: say why the run is right (--reason on the command line).")
    suspect = RunRow.suspect & (RunRow.state == RunState.FINISHED)
    accepted = type_coerce(RunRow.figures[ACCEPTED].as_boolean(), Boolean)
    async with engine.begin() as connection:
        row = await runs.find(connection, str(run))
        run_id: UUID = row.run_id
        mark = (
            update(RunRow)
            .where(RunRow.run_id == run_id, suspect, accepted.is_not(True))
            .values(figures=RunRow.figures.concat(type_coerce({ACCEPTED: True}, JSONB)))
            .returning(RunRow.run_id)
        )
        if await connection.scalar(mark) is not None:
            told = {"about": WatchedBy.RUN, "thing": str(run_id), "at": at, "who": who, "why": why.strip()}
            await connection.execute(insert(OperatorLogRow).values(before="suspect", after=ACCEPTED, **told))
    if not (row.suspect and row.state is RunState.FINISHED):
        told_state = "not suspect" if row.state is RunState.FINISHED else row.state.value
        raise SettingsError(
            f"run {run_id} is {told_state}. Remedy: only a finished run that is suspect can be accepted; "
            "a failed one is run again."
        )
    return run_id
