"""What `gigz runs`, `gigz run` and `gigz schedule` print."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from deploy import settings as settings_module
from deploy.clients import postgres_engine
from deploy.settings import Settings, SettingsError
from gigz import app
from schemas.tables import RunState, Trigger
from spiders import runs
from spiders.delivery import Counts
from spiders.errand import Errand
from spiders.runs import Run, RunReport, Step
from tests.spiders.scheduling import own_database

pytestmark = pytest.mark.stack
GOOD, BAD, WAITS = (UUID(f"{name}-0000-4000-8000-000000000000") for name in ("aaaa1111", "bbbb2222", "cccc3333"))
FIGURES = {
    "items": 3,
    "requests": 4,
    "statuses": {"200": 3, "404": 1},
    "bytes": 2_500_000,
    "latency_s": 0.25,
    "coverage": {"venue": 0.5, "date": 1.0},
    "errors": 1,
    "samples": ["https://a.example/x answered 404"],
    "known": 10,
    "missing": 2,
    "new": 1,
    "reach": "whole",
}


async def fill(settings: Settings) -> UUID:
    """A good run, a failed one, one that waits."""
    engine = postgres_engine(settings)
    now = datetime.now(UTC)
    counts = Counts(scraped=3, delivered=1, unchanged=1, rejected=1, vanished=2)
    for run_id, state, why in ((GOOD, RunState.FINISHED, None), (BAD, RunState.FAILED, "the start page answered 503")):
        errand = Errand(artist="Moths")
        run = Run(run_id, "setlistfm", "setlist.fm", "setlistfm", "https://a.example/x", errand, now)
        await runs.begin(engine, run)
        log = '{"event": "run began", "level": "info", "timestamp": "2026-11-21T15:27:22Z", "pages": 2}\nplain words'
        ended = now + timedelta(minutes=2, seconds=5)
        told = RunReport(
            run_id, "setlistfm", "setlist.fm", "https://a.example/x", state, now, ended, 3, counts, FIGURES, why=why,
            log_tail=log, suspect=state is RunState.FAILED, findings=({"text": "items: 0 is below the limit"},),
        )  # fmt: skip
        await runs.end(engine, told)
        now += timedelta(seconds=10)
    async with engine.begin() as connection:
        step = Step("ann", now, "a try")
        waits = await runs.queue(connection, "venues", {}, step, trigger=Trigger.OPERATOR, timeout_s=60)
    await engine.dispose()
    return waits


@pytest.fixture(scope="module")
def waiting(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, UUID]:
    settings = own_database(stack, "gigz_run_commands", tmp_path_factory.mktemp("home"))
    return settings, asyncio.run(fill(settings))


@pytest.fixture
def gigz(waiting: tuple[Settings, UUID], monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setattr(settings_module, "current", lambda: waiting[0])
    return CliRunner()


def said(gigz: CliRunner, *arguments: str) -> Result:
    done = gigz.invoke(app, list(arguments), env={"COLUMNS": "80"}, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert arguments[0] == "schedule" or all(len(line) <= 80 for line in done.stdout.splitlines())
    return done


def test_runs_are_listed_the_last_first(gigz: CliRunner) -> None:
    lines = said(gigz, "runs").stdout.splitlines()
    assert lines[1].split()[1:3] == ["venues", "queued"]
    assert "bbbb2222" in lines[2] and "2 min 5 s" in lines[2] and "the start page" in lines[2]
    (failed,) = json.loads(gigz.invoke(app, ["runs", "--failed", "--json"]).stdout)["runs"]
    assert (failed["run_id"], failed["state"], failed["seconds"]) == (str(BAD), "failed", 125.0)
    assert len(json.loads(gigz.invoke(app, ["runs", "--limit", "1", "--json"]).stdout)["runs"]) == 1
    assert said(gigz, "runs", "--spider", "venues", "--failed").stdout == "No run of venues failed.\n"
    wide = gigz.invoke(app, ["runs", "--failed"], env={"COLUMNS": "200"}).stdout
    assert "the start page answered 503; items: 0 is below the limit" in wide, "why it failed comes first"
    wrong = gigz.invoke(app, ["runs", "--spider", "venus"])
    assert wrong.exit_code == 2 and "no spider 'venus'" in wrong.output


def test_a_run_is_shown_in_80_columns(gigz: CliRunner) -> None:
    page = said(gigz, "run", "show", "bbbb").stdout
    for told in (
        f"{BAD}  setlistfm  failed",
        "3 scraped: 1 delivered, 1 unchanged, 1 rejected; 2 vanished",
        "1 new, 10 known before, 2 of them not found",
        "4: 3 × 200, 1 × 404 · 3 pages · 2.5 MB · 250 ms an answer",
        "date  ████████████████████ 100%",
        "venue ██████████░░░░░░░░░░  50%",
        "- https://a.example/x answered 404",
        "the start page answered 503",
        "info    run began pages=2",
        "plain words",
        "failed",
    ):
        assert told in page
    told = json.loads(gigz.invoke(app, ["run", "show", str(BAD), "--json"]).stdout)
    assert [line["after"] for line in told["log"]] == ["running", "failed"]
    assert told["log_tail"].endswith("plain words") and told["figures"]["statuses"] == {"200": 3, "404": 1}
    with pytest.raises(SettingsError, match="no run ffff"):
        gigz.invoke(app, ["run", "show", "ffff"], catch_exceptions=False)


def test_a_schedule_is_made_listed_and_removed(gigz: CliRunner, waiting: tuple[Settings, UUID]) -> None:
    url = "start_url=http://127.0.0.1:1/venues.json"
    added = said(gigz, "schedule", "add", "venues", "--cron", "30 3 * * mon", "--arg", url, "--timeout", "30m")
    assert "venues: venues · 30 3 * * mon UTC" in added.stdout and "next: Mon " in added.stdout
    assert "No scheduler is active" in added.stderr
    edited = said(gigz, "schedule", "edit", "venues", "--tz", "Europe/Berlin", "--arg", "source=x", "--timeout", "none")
    assert "Europe/Berlin" in edited.stdout and "source=x" in edited.stdout and "timeout" not in edited.stdout
    assert said(gigz, "schedule", "pause", "venues", "--reason", "they sleep").stdout == "venues is paused\n"
    assert "paused" in said(gigz, "schedule", "list").stdout
    said(gigz, "schedule", "resume", "venues")
    assert re.search(r"Mon \d{4}-\d\d-\d\d 03:30 CES?T", said(gigz, "schedule", "list").stdout)
    (row,) = json.loads(gigz.invoke(app, ["schedule", "list", "--json"]).stdout)["schedules"]
    assert (row["name"], row["paused"], row["arguments"]["source"]) == ("venues", False, "x")
    queued = said(gigz, "schedule", "run", "venues", "--arg", url).stdout.split()[-1]
    assert said(gigz, "schedule", "stop", queued[:8], "--reason", "no").stdout == f"{queued[:8]}: stopped\n"
    assert "removed venues" in said(gigz, "schedule", "remove", "venues").stdout
    assert said(gigz, "schedule", "stop", str(waiting[1]), "--reason", "done").stdout.endswith(": stopped\n")
