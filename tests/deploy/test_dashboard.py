"""The Grafana dashboard asks only for what the code tells; the list of metrics is what the code has."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.promql import families, grammar, headings, wrong

ROOT = Path(__file__).parents[2]
BOARD: dict[str, Any] = json.loads((ROOT / "deploy/dashboards/gigz.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
ASKED = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
SCHEMA = 41
"""Grafana 12; an older one reads it, a newer one raises it."""


def plain(expression: str) -> str:
    """Without Grafana's variables."""
    return expression.replace("$__rate_interval", "5m").replace("$stage", ".*")


def test_it_has_a_row_for_each_part_and_every_panel_a_place_of_its_own() -> None:
    assert BOARD["schemaVersion"] == SCHEMA and BOARD["uid"] == "gigz" and BOARD["title"] == "Gigz"
    rows = [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Ingestion", "Stages", "Stores", "API", "Users' side"]
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize(("title", "expression"), ASKED, ids=[f"{n}-{title}" for n, (title, _) in enumerate(ASKED)])
def test_a_panel_asks_only_for_metrics_and_labels_that_the_code_has(title: str, expression: str) -> None:
    assert wrong(plain(expression), families()) == []


def test_every_panel_asks_in_promql() -> None:
    parser = grammar()
    if parser is None:
        pytest.skip("promql-parser is not installed; names, labels and brackets are checked without")
    for _, expression in ASKED:
        parser.parse(plain(expression))


def test_every_panel_has_a_unit_a_source_and_a_legend() -> None:
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in PANELS:
        assert panel["type"] in {"timeseries", "stat"} and panel["datasource"] == source, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert all(target["legendFormat"] and target["refId"] for target in panel["targets"])
    assert [one["name"] for one in BOARD["templating"]["list"]] == ["datasource", "stage"]


def test_the_board_shows_every_metric_of_ours() -> None:
    text = " ".join(expression for _, expression in ASKED)
    missing = {name for name in families() if name.startswith(("gigz_", "db_", "http_")) and name not in text}
    assert missing == {"gigz_scheduler_rounds_total"}


# -- docs/operations/metrics.md ------------------------------------------------------------------------------------

ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", flags=re.M)


def test_the_page_lists_exactly_the_metrics_that_exist_with_type_and_labels() -> None:
    page = (ROOT / "docs/operations/metrics.md").read_text(encoding="utf-8")
    listed = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in ROW.findall(page)}
    there = {one.name: (one.kind, one.labels) for one in families().values()}
    assert listed == there
    assert len(ROW.findall(page)) == len(listed), "a metric stands there twice"


def test_names_have_units_and_labels_are_of_the_few_that_are_bounded() -> None:
    units = ("_seconds", "_bytes", "_ratio", "_total", "_messages", "_rows", "_shards", "_connections")
    counted = {
        "gigz_partitions_assigned", "gigz_partitions_paused", "gigz_runs", "gigz_run_last_bad", "gigz_scheduler_active",
        "db_connections_active", "db_connections_limit", "process_open_fds", "process_max_fds",
    }  # fmt: skip
    bounded = {
        "stage", "topic", "reason", "store", "code", "step", "state", "spider", "setting", "outcome", "operation",
        "method", "path", "status",
    }  # fmt: skip
    for one in families().values():
        assert one.name.endswith(units) or one.name in counted, one.name
        assert (one.kind == "counter") == one.name.endswith("_total"), one.name
        assert set(one.labels) <= bounded, one.name
        assert one.text.endswith("."), one.name


@pytest.mark.parametrize("name", ["metrics.md", "alerts.md"])
def test_the_pages_lead_only_to_what_is_there(name: str) -> None:
    page = ROOT / "docs/operations" / name
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), link
        assert not anchor or anchor in headings(there), link
