"""The alerting rules name only what the code tells, and say what to do on a page that exists."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from deploy.flow import SINKS, STREAMS, WORKER_OF
from deploy.meters import FOLDER, StageMeters
from deploy.progress import Progress, Waiting
from deploy.watching.readings import parse
from tests.deploy.promql import asked, families, grammar, headings, wrong

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "deploy/alerts").glob("*.yml"))
RULES: list[dict[str, Any]] = [
    rule
    for path in FILES
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
BY_NAME = {rule["alert"]: rule for rule in RULES}
each = pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])


def test_there_are_rules_and_no_name_is_used_twice() -> None:
    assert FILES and len(BY_NAME) == len(RULES) >= 19


@each
def test_a_rule_asks_only_for_metrics_and_labels_that_the_code_has(rule: dict[str, Any]) -> None:
    assert asked(rule["expr"])
    assert wrong(rule["expr"], families()) == []


def test_every_rule_is_promql() -> None:
    parser = grammar()
    if parser is None:
        pytest.skip("promql-parser is not installed; names, labels and brackets are checked without")
    for rule in RULES:
        parser.parse(rule["expr"])


@each
def test_a_rule_says_what_is_the_matter_what_to_do_and_where_more_is_written(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    told = rule["annotations"]
    assert set(told) == {"summary", "action", "runbook_url"} and len(told["action"]) > 30
    page, _, anchor = told["runbook_url"].partition("#")
    assert anchor == rule["alert"].lower() and anchor in headings(ROOT / page)
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))


@each
def test_a_summary_uses_only_labels_that_the_result_has(rule: dict[str, Any]) -> None:
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    grouped = re.findall(r"\bby \(([^)]*)\)", rule["expr"])
    if grouped:
        kept = {name.strip() for name in grouped[0].split(",")}
        assert used <= kept, f"{used - kept} is summed away"
    elif rule["expr"].startswith("absent("):
        assert used <= set(re.findall(r'(\w+)="', rule["expr"])), "an absent series has the labels it was asked by"
    elif rule["expr"].startswith(("sum(", "max(")):
        assert not used
    else:
        known = families()
        labels = set().union(*(set(known[one.name].labels) for one in asked(rule["expr"]) if one.name in known))
        assert used <= labels | {"instance", "job"}


def test_every_heading_of_the_page_is_a_rule() -> None:
    lines = (ROOT / "docs/operations/alerts.md").read_text(encoding="utf-8").splitlines()
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == list(BY_NAME)


def test_the_example_for_prometheus_reads_these_rules_and_gives_the_jobs_that_they_name() -> None:
    example = yaml.safe_load((ROOT / "deploy/prometheus.yml").read_text(encoding="utf-8"))
    assert {path for glob in example["rule_files"] for path in (ROOT / "deploy").glob(glob)} == set(FILES)
    jobs = [job["job_name"] for job in example["scrape_configs"]]
    named = {pattern for rule in RULES for pattern in re.findall(r'job=~"([^"]+)"', rule["expr"])}
    assert named and all(re.fullmatch(pattern, job) for pattern in named for job in jobs)
    assert example["scrape_configs"][0]["file_sd_configs"][0]["files"][0].endswith(f"/{FOLDER}/*.json")


def test_no_stage_can_go_unnoticed() -> None:
    missed = set(re.findall(r'stage="([^"]+)"', BY_NAME["GigzStageGone"]["expr"]))
    assert missed == {*(stage for stage in STREAMS if stage not in WORKER_OF), "relay", *SINKS}


def test_what_was_agreed_on_has_its_rule_with_its_limits() -> None:
    agreed = {
        "GigzHttpErrors": ("> 0.01", "[5m]", None, "critical"),
        "GigzHttpSlow": ("> 2", "0.95", "1m", "warning"),
        "GigzPoolFull": ("> 0.8", "db_connections_active", "5m", "warning"),
        "GigzMemory": ("> 0.85", "gigz_memory_used_ratio", "5m", "warning"),
        "GigzDisk": ("> 0.8", "gigz_disk_used_ratio", "5m", "warning"),
        "GigzInstanceDown": ("== 0", "up{", "1m", "critical"),
        "GigzCommitStuck": ("> 120", "gigz_lag_messages > 0", None, "critical"),
        "GigzRejections": ("> 0.05", "[10m]", None, "warning"),
    }
    for name, (limit, part, lasting, severity) in agreed.items():
        rule = BY_NAME[name]
        assert limit in rule["expr"] and part in rule["expr"], name
        assert (rule.get("for"), rule["labels"]["severity"]) == (lasting, severity), name


@pytest.mark.parametrize(
    "expression",
    [
        "gigz_no_such_metric > 1",
        'gigz_lag_messages{user="alice"} > 1',
        "sum by (source_id) (gigz_lag_messages)",
        "gigz_messages_consumed_total > 5",
        "rate(gigz_lag_messages[5m]) > 5",
        "gigz_batch_messages > 5",
        "rate(gigz_messages_consumed_total_bucket[5m])",
    ],
)
def test_the_check_finds_what_is_not_there(expression: str) -> None:
    assert wrong(expression, families())


@pytest.mark.parametrize("expression", ["sum(gigz_lag_messages", "gigz_lag_messages}", "gigz_lag_messages & 1", "f(x)"])
def test_the_check_finds_what_is_no_expression(expression: str) -> None:
    with pytest.raises(ValueError):
        asked(expression)


# -- a rule, evaluated on what a process tells ---------------------------------------------------------------------


def fires(page: str, expression: str) -> list[dict[str, str]]:
    """Labels for which `a > n and b > m` holds on one page. Only of this form: `and` joins series of equal labels."""
    results = []
    for part in expression.split(" and "):
        match = re.fullmatch(r"(\w+) > ([\d.]+)", part.strip())
        assert match, f"{part} is more than this evaluates"
        samples = parse(page).get(match[1], ())
        results.append([dict(labels) for labels, value in samples if value > float(match[2])])
    return [labels for labels in results[0] if all(labels in other for other in results[1:])]


def test_the_rule_of_the_commit_fires_when_it_stands_still_with_lag_and_never_else() -> None:
    now = 1_000.0
    progress = Progress(120.0, clock=lambda: now, wall=lambda: now)
    meters = StageMeters("resolve", progress)
    rule = BY_NAME["GigzCommitStuck"]["expr"]

    def page() -> str:
        return generate_latest(meters.registry).decode()

    progress.sample({"gigz.listing.v1": Waiting(40, now), "gigz.venue.v1": Waiting()})
    now += 119
    assert fires(page(), rule) == []
    now += 2
    assert fires(page(), rule) == [{"stage": "resolve", "topic": "gigz.listing.v1"}]
    progress.moved(["gigz.listing.v1"])
    assert fires(page(), rule) == []
    now += 3_600
    progress.sample({"gigz.listing.v1": Waiting(), "gigz.venue.v1": Waiting()})
    assert fires(page(), rule) == [], "idle for an hour"
