"""What operators are told: `state.alerts`, sent to a webhook, kept until it was.

A run that is suspect, failed or lost has one alert, whose id follows from the run's: whoever finds that it is missing
writes it, and a process that dies between a run's end and its alert loses nothing. The first good run of the same
scope afterwards says "recovered", once.

At least once: a row is claimed for a while, posted, and then marked. A receiver that sees a delivery id again had it.

Sent      POST, JSON; X-Gigz-Delivery: the alert's id, the same at every try; X-Gigz-Timestamp: seconds since 1970;
          X-Gigz-Signature: sha256=HEX, HMAC-SHA256 of "TIMESTAMP.BODY" with GIGZ_OPERATORS_WEBHOOK_SECRET.
Taken     any 2xx answer; everything else is tried again, ever later, until DEADLINE has passed.
"""

import asyncio
import hashlib
import hmac
import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import httpx
import orjson
import structlog
from sqlalchemy import exists, func, or_, select, type_coerce, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import aliased

from deploy.settings import Settings
from schemas.tables import AlertRow, AlertState, RunRow, RunState
from spiders.formats.base import Clock
from spiders.runs import RunReport

NAMESPACE = UUID("6b1f6f0e-54c5-5b6c-9f4d-5a3b5d3b0a5e")
SUSPECT, FAILED, LOST, RECOVERED, SCHEDULER = "suspect", "failed", "lost", "recovered", "scheduler"
BAD = (SUSPECT, FAILED, LOST)
RECOVERED_BY = "recovered_by"
LOOK_BACK = timedelta(days=7)
"""Runs that ended longer ago are not told of any more."""
POST_S = 10.0
"""An answer that takes longer counts as none."""
CLAIM = timedelta(seconds=60)
"""A sender that died gives its rows back after this."""
AT_ONCE = 20
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 900.0
DEADLINE = timedelta(days=1)
"""Then the row is failed: on the page and in the log, not sent."""
PATIENCE_S = 20.0
"""How long the end of a crawl goes on trying: where no scheduler runs, nobody else would."""
log = structlog.get_logger()


async def about(engine: AsyncEngine, settings: Settings, report: RunReport, clock: Clock) -> None:
    """Tell of a run that is suspect or failed, or of one that is good again after those that were."""
    async with engine.begin() as connection:
        told = await _noted(connection, clock())
    _say(told)
    await send_pending(engine, settings, clock, patience_s=PATIENCE_S, run_id=report.run_id)


async def send_pending(
    engine: AsyncEngine, settings: Settings, clock: Clock, *, patience_s: float = 0.0, run_id: UUID | None = None
) -> int:
    """Write the alerts that are missing and post what waits; the number that was taken.

    Without a webhook they stay where they are, for the page. Several processes may call it at once: none posts what
    another is posting. `patience_s`: go on for so long while what is posted is refused. `run_id`: of this run alone.
    """
    async with engine.begin() as connection:
        told = await _noted(connection, clock())
    _say(told)
    if not settings.operators_webhook:
        return 0
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    taken = 0
    # The environment's proxy is for what spiders ask, not for where operators are told.
    async with httpx.AsyncClient(timeout=POST_S, trust_env=False) as client:
        while True:
            claimed = await _claim(engine, clock(), run_id)
            results = await asyncio.gather(*(_post(client, settings, one, clock()) for one in claimed))
            waits = [await _settled(engine, one, error, clock()) for one, error in zip(claimed, results, strict=True)]
            taken += results.count(None)
            again = [wait for wait in waits if wait is not None]
            if len(claimed) == AT_ONCE and not again:
                continue
            if not again or loop.time() + min(again) > until:
                return taken
            await asyncio.sleep(min(again))


async def tell(engine: AsyncEngine, clock: Clock, kind: str, text: str, **body: Any) -> UUID:
    """An alert of something else than a run: a schedule that cannot be kept. Told once for each kind and text a day."""
    at = clock()
    alert_id = uuid5(NAMESPACE, f"{kind}\n{text}\n{at:%Y-%m-%d}")
    async with engine.begin() as connection:
        told = await _insert(connection, alert_id, kind, text, at, body)
    _say([told] if told else [])
    return alert_id


@dataclass(frozen=True)
class Alert:
    """A row that waits."""

    alert_id: UUID
    tries: int
    body: Mapping[str, Any]
    created_at: datetime


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What X-Gigz-Signature must be for this body at this time."""
    return "sha256=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def wait_s(tries: int) -> float:
    """Before the next try: 1, 2, 4 s and so on to a quarter of an hour, a quarter more or less."""
    doubled: float = FIRST_WAIT_S * 2.0 ** min(tries - 1, 20)
    return min(LONGEST_WAIT_S, doubled) * random.uniform(0.75, 1.25)


# -- writing ----------------------------------------------------------------------------------------------------------


async def _noted(connection: AsyncConnection, at: datetime) -> list[Mapping[str, Any]]:
    """Alerts that runs ask for and that were not there; what was written."""
    bad = (RunRow.state.in_((RunState.FAILED, RunState.LOST))) | RunRow.suspect
    untold = ~exists().where(AlertRow.run_id == RunRow.run_id, AlertRow.kind.in_(BAD))
    ended = (
        select(RunRow.__table__).where(bad, untold, RunRow.finished_at > at - LOOK_BACK).order_by(RunRow.finished_at)
    )
    written = []
    for run in await connection.execute(ended):
        kind = run.state.value if run.state in (RunState.FAILED, RunState.LOST) else SUSPECT
        told = [finding["text"] for finding in run.findings]
        why = run.why if kind != SUSPECT or not told else "; ".join(told)
        text = f"{run.spider}: run {kind}" + (f": {why}" if why else "")
        written.append(await _of_run(connection, run, kind, text, at))
    return [one for one in written + await _recoveries(connection, at) if one]


async def _recoveries(connection: AsyncConnection, at: datetime) -> list[Mapping[str, Any] | None]:
    """One for each good run that is the first after bad ones of its scope; those are marked with it."""
    good = aliased(RunRow)
    # A run that was lost before it began has no scope yet: any good run of its spider is the answer.
    first = (
        select(good.run_id)
        .where(
            good.spider == RunRow.spider,
            or_(good.scope == RunRow.scope, RunRow.scope == ""),
            good.state == RunState.FINISHED,
            ~good.suspect,
            good.finished_at > RunRow.finished_at,
        )
        .order_by(good.finished_at)
        .limit(1)
        .correlate(RunRow)
        .scalar_subquery()
    )
    open_ = (
        select(AlertRow.alert_id, AlertRow.kind, first.label("good"))
        .join(RunRow, RunRow.run_id == AlertRow.run_id)
        .where(AlertRow.kind.in_(BAD), ~AlertRow.body.has_key(RECOVERED_BY), first.is_not(None))
        .with_for_update(of=AlertRow, skip_locked=True)
    )
    by_run: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in await connection.execute(open_):
        by_run[row.good].append(row)
    written = []
    for run_id, answered in by_run.items():
        mark = type_coerce({RECOVERED_BY: str(run_id)}, JSONB)
        await connection.execute(
            update(AlertRow)
            .where(AlertRow.alert_id.in_([row.alert_id for row in answered]))
            .values(body=AlertRow.body.concat(mark))
        )
        run = (await connection.execute(select(RunRow.__table__).where(RunRow.run_id == run_id))).one()
        before = ", ".join(sorted({row.kind for row in answered}))
        text = f"{run.spider}: good again after {len(answered)} {'run' if len(answered) == 1 else 'runs'} ({before})"
        written.append(await _of_run(connection, run, RECOVERED, text, at))
    return written


async def _of_run(
    connection: AsyncConnection, run: Any, kind: str, text: str, at: datetime
) -> Mapping[str, Any] | None:
    body = {
        "scope": run.scope,
        "state": run.state.value,
        "suspect": run.suspect,
        "why": run.why,
        "started_at": run.started_at and run.started_at.isoformat(),
        "finished_at": run.finished_at.isoformat(),
        "pages": run.pages,
        "scraped": run.scraped,
        "delivered": run.delivered,
        "unchanged": run.unchanged,
        "rejected": run.rejected,
        "withholds": run.figures.get("judged", {}).get("withholds", False),
        "findings": [finding["text"] for finding in run.findings],
    }
    alert_id = uuid5(NAMESPACE, f"{run.run_id}\n{kind}")
    return await _insert(connection, alert_id, kind, text, at, body, run.spider, run.run_id)


async def _insert(
    connection: AsyncConnection,
    alert_id: UUID,
    kind: str,
    text: str,
    at: datetime,
    body: Mapping[str, Any],
    spider: str | None = None,
    run_id: UUID | None = None,
) -> Mapping[str, Any] | None:
    """What the row says; None where it was there."""
    told = {
        "alert_id": str(alert_id),
        "kind": kind,
        "spider": spider,
        "run_id": run_id and str(run_id),
        "text": text[:4_000],
        "at": at.isoformat(),
        **body,
    }
    put = (
        insert(AlertRow)
        .values(
            alert_id=alert_id,
            kind=kind,
            spider=spider,
            run_id=run_id,
            text=text[:4_000],
            body=told,
            state=AlertState.PENDING,
            next_try_at=at,
        )
        .on_conflict_do_nothing()
        .returning(AlertRow.alert_id)
    )
    return told if await connection.scalar(put) is not None else None


def _say(written: list[Mapping[str, Any]]) -> None:
    """Once the rows are committed."""
    for told in written:
        say = log.info if told["kind"] == RECOVERED else log.error
        say("operators_alert", **{name: told[name] for name in ("alert_id", "kind", "spider", "run_id", "text")})


# -- sending ----------------------------------------------------------------------------------------------------------


async def _claim(engine: AsyncEngine, at: datetime, run_id: UUID | None) -> list[Alert]:
    """Rows that are due and nobody else is posting; they are this process's for a while."""
    due = select(AlertRow.alert_id).where(AlertRow.state == AlertState.PENDING, AlertRow.next_try_at <= at)
    if run_id is not None:
        due = due.where(AlertRow.run_id == run_id)
    due = due.order_by(AlertRow.next_try_at).limit(AT_ONCE).with_for_update(skip_locked=True)
    claim = (
        update(AlertRow)
        .where(AlertRow.alert_id.in_(due))
        .values(tries=AlertRow.tries + 1, next_try_at=at + CLAIM)
        .returning(AlertRow.alert_id, AlertRow.tries, AlertRow.body, AlertRow.created_at)
    )
    async with engine.begin() as connection:
        return [Alert(*row) for row in await connection.execute(claim)]


async def _post(client: httpx.AsyncClient, settings: Settings, alert: Alert, at: datetime) -> str | None:
    """None when it was taken, else why not."""
    body = orjson.dumps(dict(alert.body))
    timestamp = str(int(at.timestamp()))
    headers = {
        "content-type": "application/json",
        "user-agent": settings.user_agent,
        "x-gigz-delivery": str(alert.alert_id),
        "x-gigz-timestamp": timestamp,
    }
    if secret := settings.operators_webhook_secret.get_secret_value():
        headers["x-gigz-signature"] = signature(secret, timestamp, body)
    try:
        answer = await client.post(settings.operators_webhook, content=body, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"{type(error).__name__}: {error}"[:300]
    return None if answer.is_success else f"answered {answer.status_code}: {answer.text[:200]}"


async def _settled(engine: AsyncEngine, alert: Alert, error: str | None, at: datetime) -> float | None:
    """Mark a row by what came of it; the seconds until the next try, None when there is none."""
    wait = None
    if error is None:
        values: dict[str, Any] = {"state": AlertState.SENT, "last_error": None}
    elif at - alert.created_at > DEADLINE:
        values = {"state": AlertState.FAILED, "last_error": error}
        log.error("operators_not_told", alert_id=str(alert.alert_id), tries=alert.tries, why=error)
    else:
        wait = wait_s(alert.tries)
        values = {"next_try_at": at + timedelta(seconds=wait), "last_error": error}
        log.warning("webhook_refused", alert_id=str(alert.alert_id), tries=alert.tries, why=error)
    # Only while it is pending: a slow sender whose claim ran out does not undo what another one did.
    mark = update(AlertRow).where(AlertRow.alert_id == alert.alert_id, AlertRow.state == AlertState.PENDING)
    async with engine.begin() as connection:
        await connection.execute(mark.values(updated_at=func.now(), **values))
    return wait
