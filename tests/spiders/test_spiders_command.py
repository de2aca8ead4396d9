"""`gigz spiders`: every source, how it is treated, and what its last run was."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import delete, insert

from deploy.clients import postgres_engine
from deploy.migrate import migrate_postgres
from deploy.settings import Settings
from schemas.tables import RunRow, RunState
from spiders.runs.lastruns import LastRun, ago, last_runs
from spiders.sources import SPIDERS
from tests.spiders.commanding import gigz

NOW = datetime(2024, 2, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("width", [80, 160])
async def test_every_spider_is_told_within_the_width_also_where_no_postgres_is(tmp_path: Path, width: int) -> None:
    typed = await gigz(tmp_path, "spiders", width=width)
    assert typed.code == 0, typed
    lines = typed.out.splitlines()
    assert max(map(len, lines)) <= width
    assert "last runs are not known: GIGZ_POSTGRES_URL" in typed.err.replace("\n", " ")
    squeezed = " ".join(typed.out.split())
    for spider in SPIDERS:
        assert any(line.startswith(f"{spider.name} ") and spider.format in line for line in lines), spider.name
        assert all(word in squeezed for word in str(spider.pace).split()), spider.name
    assert squeezed.count("unknown") == len(SPIDERS)


async def test_machines_are_told_the_same(tmp_path: Path) -> None:
    typed = await gigz(tmp_path, "spiders", "--json")
    told = json.loads(typed.out)
    assert [row["spider"] for row in told["spiders"]] == [spider.name for spider in SPIDERS]
    setlistfm = next(row for row in told["spiders"] if row["spider"] == "setlistfm")
    assert (setlistfm["format"], setlistfm["politeness"]["every_s"], setlistfm["key"], setlistfm["last_run"]) == (
        "setlist-api",
        0.5,
        "GIGZ_SETLISTFM_API_KEY",
        None,
    )
    assert setlistfm["licence"] and not setlistfm["last_run_known"] and "GIGZ_POSTGRES_URL" in told["note"]


def test_a_run_is_told_in_a_few_words() -> None:
    run = LastRun(RunState.FINISHED, NOW - timedelta(hours=2, minutes=59), 1_204, False, "x")
    assert run.told(NOW) == "finished, 1,204 items, 2 h ago"
    assert LastRun(RunState.FAILED, NOW, 0, True, "x").told(NOW) == "failed (suspect), 0 items, just now"
    assert [ago(timedelta(seconds=s)) for s in (-5, 59, 60, 86_399, 172_800)] == [
        "just now",
        "just now",
        "1 min ago",
        "23 h ago",
        "2 d ago",
    ]


@pytest.mark.stack
async def test_the_newest_run_of_each_spider_is_the_one_that_is_told(stack: Settings, tmp_path: Path) -> None:
    migrate_postgres(stack)
    engine = postgres_engine(stack, pool_size=1)
    ended = {"state": RunState.FINISHED, "scraped": 3, "delivered": 3}
    at = datetime(2020, 1, 1, tzinfo=UTC)
    name = SPIDERS[0].name
    rows = [
        {"run_id": uuid4(), "spider": name, "started_at": at, "finished_at": at, **ended},
        {"run_id": uuid4(), "spider": name, "started_at": at + timedelta(days=1), "finished_at": at + timedelta(days=2)}
        | {"state": RunState.FAILED, "scraped": 7, "why": "x"},
        {"run_id": uuid4(), "spider": "queued_only", "queued_at": at, "state": RunState.QUEUED},
    ]
    try:
        async with engine.begin() as connection:
            for row in rows:
                await connection.execute(insert(RunRow).values(**row))
        found = await last_runs(stack)
        assert (found["queued_only"].state, found["queued_only"].at) == (RunState.QUEUED, at)
        assert found[name].run_id == str(rows[1]["run_id"])
        typed = await gigz(tmp_path, "spiders", width=160, postgres_url=stack.engine_url("postgres"))
        assert "failed, 7 items" in " ".join(typed.out.split()) and "never" in typed.out, typed
        assert typed.err == ""
    finally:
        async with engine.begin() as connection:
            made = [row["run_id"] for row in rows]
            await connection.execute(delete(RunRow).where(RunRow.run_id.in_(made)))
        await engine.dispose()
