"""What the active scheduler tells Prometheus of the spiders: runs, good and bad, quotas, what waits on disk."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Boolean, and_, func, select, type_coerce
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.meters import SpiderFigures
from deploy.settings import Settings
from deploy.turns import quota_of
from schemas.tables import QuotaRow, RunRow, RunState
from spiders.delivery.spool import FOLDER, SUFFIX
from spiders.monitoring.judgements import ACCEPTED
from spiders.sources import SPIDERS

BAD = (RunState.FAILED, RunState.LOST)


async def measure(engine: AsyncEngine, settings: Settings, now: datetime) -> SpiderFigures:
    """Four statements and a look at the spools' folder."""
    keys = _keys(settings)
    ended = RunRow.state.in_((RunState.FINISHED, *BAD))
    accepted = type_coerce(RunRow.figures[ACCEPTED].as_boolean(), Boolean)
    doubtful = and_(RunRow.suspect, accepted.is_not(True))
    latest = (
        select(RunRow.spider, RunRow.state, doubtful)
        .ext(distinct_on(RunRow.spider))
        .where(ended)
        .order_by(RunRow.spider, RunRow.finished_at.desc())
    )
    good = select(RunRow.spider, func.max(RunRow.finished_at)).where(RunRow.state == RunState.FINISHED, ~doubtful)
    async with engine.connect() as connection:
        counts = await connection.execute(select(RunRow.state, func.count()).group_by(RunRow.state))
        runs = {state.value: 0 for state in RunState} | {state.value: count for state, count in counts}
        goods = (await connection.execute(good.group_by(RunRow.spider))).all()
        bads = (await connection.execute(latest)).all()
        of_today = (QuotaRow.day == now.astimezone(UTC).date()) & QuotaRow.key.in_(keys)
        rows = await connection.execute(select(QuotaRow.key, QuotaRow.used).where(of_today))
        used = {row.key: row.used for row in rows}
    spools = await asyncio.to_thread(spool_sizes, settings.home)
    return SpiderFigures(
        runs=runs,
        last_good={spider: at.timestamp() for spider, at in goods if at is not None},
        bad={spider: doubted or state in BAD for spider, state, doubted in bads},
        quotas={setting: used.get(key, 0) / a_day for key, (setting, a_day) in keys.items()},
        spools=dict.fromkeys((spider for spider, _ in goods), 0) | spools,
    )


def spool_sizes(home: Path) -> dict[str, int]:
    """Spider -> bytes that wait on this machine's disk. A file that goes meanwhile counts as none."""
    found = {}
    for folder in sorted((home / FOLDER).glob("*")):
        if folder.is_dir():
            total = 0
            for path in folder.glob(f"*{SUFFIX}"):
                try:
                    total += path.stat().st_size
                except FileNotFoundError:
                    continue
            found[folder.name] = total
    return found


def _keys(settings: Settings) -> dict[str, tuple[str, int]]:
    """Key of the quota's row -> the setting, or the spider where its source wants no key; and requests a day."""
    keys = {}
    for spider in SPIDERS:
        if spider.pace.a_day is None:
            continue
        secret = getattr(settings, spider.key_setting).get_secret_value() if spider.key_setting else ""
        name = spider.key_setting or spider.name
        keys[quota_of(spider.key_setting, secret, spider.pace.a_day, spider.name).key] = (name, spider.pace.a_day)
    return keys
