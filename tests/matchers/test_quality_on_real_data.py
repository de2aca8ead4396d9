"""The figures that must hold on other people's data. Only `evaluate` reads the labels."""

import csv
from pathlib import Path
from typing import Any

import pytest

from matchers.files import read_concerts
from matchers.judge.evaluate import Judged, evaluate_resolve, evaluate_variants, summary
from matchers.judge.mb20k import evaluate_mb20k
from schemas.raw import RawEvent, RawSetlist
from tests.matchers.quality import lines_of, rows_of

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def dead_file(data_dir: Path) -> Path:
    return data_dir / "listings/grateful_dead.jsonl"


@pytest.fixture(scope="module")
def dead(dead_file: Path) -> list[dict[str, Any]]:
    return rows_of(dead_file)


@pytest.fixture(scope="module")
def judged(data_dir: Path, dead_file: Path) -> list[Judged]:
    """Against the concerts of the histories, with the other catalogue as distractors."""
    lines = [*lines_of(data_dir / "histories/concerts.jsonl"), *lines_of(dead_file)]
    concerts, refused = read_concerts(lines, RawEvent)
    assert not refused
    return evaluate_variants(["exact"], rows_of(data_dir / "histories/entries.jsonl"), concerts)[0].judged


@pytest.mark.parametrize("listener", ["listener-1", "listener-2"])
def test_the_concert_that_was_meant_comes_first(listener: str, judged: list[Judged]) -> None:
    figures = summary([one for one in judged if one.row["user"] == listener])
    assert figures["right"] >= 0.99, figures["missed"]
    assert figures["sure"] >= 0.93 * figures["labelled"]
    assert figures["sure_right"] == figures["sure"]
    assert figures["two_sure"] == 0


def test_doubtful_entries_are_never_sure(judged: list[Judged]) -> None:
    figures = summary(judged)
    assert figures["labelled"] == 786
    assert set(figures["wrong_bands"]) == {"other_date", "unknown"}
    for bands in figures["wrong_bands"].values():
        assert bands.get("sure", 0) == bands.get("likely", 0) == 0


@pytest.mark.parametrize("half", ["before 1974", "from 1974"])
def test_two_catalogues_agree_on_their_shows(half: str, dead: list[dict[str, Any]], dead_file: Path) -> None:
    rows = [row for row in dead if (row["date"] < "1974") == (half == "before 1974")]
    ids = {(row["source"], row["source_id"]) for row in rows}
    told = zip(lines_of(dead_file), dead, strict=True)
    lines = (line for line, row in told if (row["source"], row["source_id"]) in ids)
    concerts, _ = read_concerts(lines, RawSetlist)
    figures = evaluate_resolve(rows, concerts)
    assert figures["f1"] == 1.0
    assert figures["merged"] == 0
    assert sum(len(concert.members) for concert in concerts) == len(rows)


def test_no_listing_is_lost(dead: list[dict[str, Any]], dead_file: Path) -> None:
    assert len(dead) == 2_147
    concerts, refused = read_concerts(lines_of(dead_file), RawSetlist)
    held = {(member.source, member.source_id) for concert in concerts for member in concert.members}
    assert not refused and held == {(row["source"], row["source_id"]) for row in dead}


def test_the_track_benchmark_holds(data_dir: Path) -> None:
    rows = []
    for file in sorted((data_dir / "mb20k").glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            rows += list(csv.DictReader(lines))
    assert len(rows) == 19_375
    assert evaluate_mb20k(rows)["f1"] >= 0.985
