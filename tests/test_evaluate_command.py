"""`gigz evaluate history`, on the facts that are kept beside the tests."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

import gigz
from matchers.judge.evaluate import evaluate_variants
from matchers.judge.variants import VARIANTS
from tests.matchers.quality import FACTS, facts

ENTRIES, LISTINGS = FACTS / "entries.jsonl", FACTS / "listings.jsonl"
AS_BEFORE = {
    *("entries", "labelled", "first_right", "right", "in_three", "bands", "sure", "sure_right", "two_sure"),
    *("wrong_bands", "ece", "missed"),
}


def evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(gigz.app, ["evaluate", *map(str, arguments)])


def told(*arguments: object) -> dict[str, Any]:
    result = evaluate(*arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_one_variant_is_one_object_of_figures() -> None:
    exact = told("history", ENTRIES, LISTINGS)
    assert set(exact) >= AS_BEFORE | {"variant", "figures", "mistakes", "reliability", "precision_recall"}
    assert (exact["variant"], exact["labelled"]) == ("exact", 60)
    assert told("history", ENTRIES, LISTINGS, "--vary", "month")["variant"] == "month"


def test_several_variants_are_objects_by_name() -> None:
    asked = told("history", ENTRIES, LISTINGS, "--vary", "exact,removed", "--vary", "month", "--seed", 3)
    assert list(asked["variants"]) == ["exact", "removed", "month"] and asked["seed"] == 3
    assert set(told("history", ENTRIES, LISTINGS, "--vary", "all")["variants"]) == set(VARIANTS)


def test_two_halves_are_the_whole() -> None:
    halves = [told("history", ENTRIES, LISTINGS, "--half", half)["entries"] for half in (0, 1)]
    assert sum(halves) == 66 and min(halves) > 15


def test_other_listings_are_looked_through_as_well(tmp_path: Path) -> None:
    lines = LISTINGS.read_text("utf-8").splitlines(keepends=True)
    meant, others = tmp_path / "meant.jsonl", tmp_path / "others.jsonl"
    meant.write_text("".join(lines[:100]), "utf-8")
    others.write_text("".join(lines[100:]), "utf-8")
    assert told("history", ENTRIES, meant, "--also", others) == told("history", ENTRIES, LISTINGS)


def test_a_row_that_is_none_is_told_once_and_the_rest_is_counted(tmp_path: Path) -> None:
    entries = tmp_path / "entries.jsonl"
    entries.write_text(ENTRIES.read_text("utf-8") + "{nonsense\n" + '["no", "row"]\n', "utf-8")
    result = evaluate("history", entries, LISTINGS, "--vary", "exact,month")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["variants"]["month"]["labelled"] == 60
    assert "2 rows could not be used" in result.stderr and f"{entries.name}:67" in result.stderr


def test_a_report_is_written(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    told("history", ENTRIES, LISTINGS, "--vary", "year", "--report", report)
    page = report.read_text("utf-8")
    assert "66 entries" in page and "companions" in page and "habits" in page


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("history", ENTRIES, LISTINGS, "--vary", "nonsense"), "nonsense is no variant; one of exact"),
        (("history", ENTRIES, LISTINGS, "--half", 2), "not in the range 0<=x<=1"),
        (("resolve", LISTINGS, "--vary", "month"), "go with history"),
        (("nonsense", LISTINGS), "nonsense is no kind"),
    ],
)
def test_what_cannot_be_asked_is_told(arguments: tuple[object, ...], says: str) -> None:
    result = evaluate(*arguments)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.replace("│", " ").split())


def test_help_names_every_variant() -> None:
    said = evaluate("--help").stdout.replace("│", " ").split()
    assert set(VARIANTS) <= {word.strip(",.") for word in said}


def test_a_terminal_shows_each_figure_beside_its_goal(capsys: pytest.CaptureFixture[str]) -> None:
    rows, concerts = facts()
    gigz._print_figures(evaluate_variants(["exact", "removed"], rows, concerts))
    shown = capsys.readouterr().out
    lines = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert "≥ 0.997" in lines["right"] and "60" in lines["right"]
    assert "≤ 0.0095" in lines["proposed"]
    assert "goal" in shown and "sure" in lines["exact"]
