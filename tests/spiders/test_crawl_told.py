"""What `gigz crawl` prints of the run that it did, and `gigz schedule list` of the next one."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console
from typer.testing import CliRunner

from gigz import app
from schemas.tables import RunState
from spiders import crawl
from spiders.commands.runs import summary
from spiders.commands.schedule import _date
from spiders.delivery import Counts
from spiders.runs import RunReport

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIGURES: Mapping[str, Any] = {
    "requests": 4,
    "statuses": {"200": 2, "404": 2},
    "nothing_found": 2,
    "bytes": 900,
    "coverage": {"venue": 0.5},
    "judged": {"cold": True, "withholds": True},
}


def report(state: RunState = RunState.FINISHED, **more: Any) -> RunReport:
    return RunReport(
        UUID("aaaa1111-0000-4000-8000-000000000000"), "venues", "hall", "https://hall.example/x", state, BEGAN,
        BEGAN + timedelta(seconds=65), 3, Counts(scraped=3, delivered=2, rejected=1), FIGURES, **more,
    )  # fmt: skip


def printed(told: RunReport) -> str:
    console = Console(width=80, highlight=False, emoji=False, color_system=None)
    with console.capture() as captured:
        for part in summary(told):
            console.print(part)
    return captured.get()


def test_a_good_run_is_told_in_words() -> None:
    lines = [" ".join(line.split()) for line in printed(report()).splitlines()]
    assert lines[0] == "aaaa1111 venues finished"
    assert lines[1] == "from https://hall.example/x"
    assert lines[2].startswith("time ") and lines[2].endswith("(1 min 5 s)")
    assert lines[3] == "items 3 scraped: 2 delivered, 0 unchanged, 1 rejected"
    assert "4: 2 × 200, 2 × 404 · 2 of them say that nothing was found · 3 pages" in " ".join(lines)
    assert lines[-1] == "verdict good; too few good runs for a baseline yet"


def test_a_suspect_run_names_what_was_found_and_where_to_look() -> None:
    told = printed(report(suspect=True, findings=({"rule": "items_fewer", "text": "items: 3 is below the limit"},)))
    assert "- items: 3 is below the limit" in told and "gigz monitors explain aaaa1111" in told
    assert "suspect: 1 beyond the limit. The watermark did not move" in " ".join(told.split())
    assert not any(value in told for value in ("{", "True", "None"))


def test_a_failed_run_says_why() -> None:
    told = printed(report(RunState.FAILED, why="the start page answered 503"))
    assert "the start page answered 503" in told and "failed: gigz run show aaaa1111" in told


def test_the_command_prints_it_and_json_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crawl, "run_crawl", lambda *_: report(RunState.FAILED, why="gone"))
    said = CliRunner().invoke(app, ["crawl", "venues"])
    assert said.exit_code == 1 and "gone" in said.stdout and "{" not in said.stdout
    told = json.loads(CliRunner().invoke(app, ["crawl", "venues", "--json"]).stdout)
    assert (told["state"], told["why"], told["scraped"]) == ("failed", "gone", 3)


def test_a_date_is_told_on_the_clocks_of_its_schedule() -> None:
    assert _date(BEGAN, "Europe/Copenhagen") == "Sun 2026-03-01 13:00 CET"
    assert _date(BEGAN, "UTC") == "Sun 2026-03-01 12:00 UTC"
