import csv
from pathlib import Path

import pytest

from matchers.judge.mb20k import _seconds, _short_year, cluster_tracks, evaluate_mb20k

FIELDS = ("id", "cluster_id", "source", "number", "title", "length", "artist", "album", "year")
ALBUM = "Harbour Lights"
TOLD = [
    ("1", "x", "1", "016", f"The Lamplighter ({ALBUM})", "02:13", "Nroa Velde", ALBUM, "1992"),
    ("2", "x", "2", "16", "Nora Velde - The Lamplighter", "133", "", ALBUM, "92"),
    ("3", "x", "4", "16", "016-The Lamplighter", "2m 13sec", "Velde", f"{ALBUM} (1992)", ""),
    ("4", "y", "5", "3", "Winter Orchard", "149773", "The Quiet Ones", "The Quiet Ones", "2009"),
    ("5", "z", "1", "017", f"Salt and Iron ({ALBUM})", "04:40", "Nora Velde", ALBUM, "1992"),
    ("6", "z", "2", "17", "Nora Velde - Salt and Iron", "280", "", ALBUM, "92"),
]
ROWS = [dict(zip(FIELDS, row, strict=True)) for row in TOLD]


def test_tracks_are_clustered_over_the_sources_own_formats() -> None:
    assert sorted(map(sorted, cluster_tracks(ROWS))) == [["1", "2", "3"], ["4"], ["5", "6"]]


def test_the_order_of_rows_changes_nothing() -> None:
    assert cluster_tracks(ROWS[::-1]) == cluster_tracks(ROWS)


def test_labels_are_read_only_to_count() -> None:
    unlabelled = [{name: value for name, value in row.items() if name != "cluster_id"} for row in ROWS]
    assert cluster_tracks(unlabelled) == cluster_tracks(ROWS)
    assert evaluate_mb20k(ROWS)["f1"] == 1.0
    assert evaluate_mb20k([row | {"cluster_id": row["id"]} for row in ROWS])["precision"] == 0.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("04:04", 244), ("244", 244), ("4.067", 244), ("4m 4sec", 244), ("244226", 244), ("", None), ("unk.", None)],
)
def test_lengths_are_read(text: str, seconds: float | None) -> None:
    assert _seconds(text) == (None if seconds is None else pytest.approx(seconds, abs=0.3))


@pytest.mark.parametrize(
    ("year", "album", "expected"),
    [("1992", "", 92), ("92", "", 92), ("", "Harbour Lights (1992)", 92), ("'05", "", 5), ("", "1984", None)],
)
def test_years_are_read(year: str, album: str, expected: int | None) -> None:
    assert _short_year(year, album) == expected


@pytest.mark.data
def test_the_benchmark_holds(data_dir: Path) -> None:
    rows = []
    for file in sorted((data_dir / "mb20k").glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            rows += list(csv.DictReader(lines))
    assert len(rows) == 19_375
    figures = evaluate_mb20k(rows)
    assert figures["f1"] >= 0.985
    assert figures["precision"] >= 0.99
