"""The gate: no figure leaves the interval of the recorded one. `python -m tests.matchers.quality` records anew."""

import json
from pathlib import Path

import pytest

from tests.matchers.quality import FACTS, RECORDED, Figures, data, facts, measure, rows_of, worse

WAS: dict[str, Figures] = json.loads(RECORDED.read_text("utf-8"))


def test_no_figure_is_worse_on_the_facts_that_are_kept() -> None:
    assert worse(WAS["facts"], measure(*facts())) == []


@pytest.mark.data
def test_no_figure_is_worse_on_other_peoples_data(data_dir: Path) -> None:
    assert worse(WAS["data"], measure(*data())) == []


def figure(value: float, low: float, high: float, count: int = 0) -> Figures:
    one = {"value": value, "low": low, "high": high, "count": count, "n": 100}
    return {"month": {"right": one, "ece": one, "wrong_sure": one}}


@pytest.mark.parametrize(
    ("now", "fell"),
    [
        (figure(0.5, 0.4, 0.6), []),
        (figure(0.41, 0.3, 0.5), []),
        (figure(0.39, 0.3, 0.5), ["right"]),
        (figure(0.61, 0.5, 0.7), ["ece"]),
        (figure(0.5, 0.4, 0.6, count=1), ["wrong_sure"]),
    ],
)
def test_the_gate_falls_when_a_figure_leaves_its_interval(now: Figures, fell: list[str]) -> None:
    told = worse(figure(0.5, 0.4, 0.6), now)
    assert [line.split()[1].rstrip(":") for line in told] == fell


def test_the_facts_are_many_and_say_what_is_hard() -> None:
    rows, concerts = facts()
    listings = rows_of(FACTS / "listings.jsonl")
    assert len(rows) >= 60 and len(listings) >= 120 and len(concerts) < len(listings)
    known = {row["source_id"] for row in listings}
    for row in rows:
        assert (row["label"] == "match") == ("gold" in row)
        assert row["label"] == "match" or row["hard"]
        assert {row[key] for key in ("gold", "other") if key in row} <= known
