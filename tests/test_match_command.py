"""`gigz match` on files as people have them."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import gigz

SHOWS = [
    {
        "source": "a",
        "source_id": "1",
        "artist": "Hallworth",
        "date": "2014-04-03",
        "venue": "Sala Grande",
        "city": "Lisbon",
    },
    {
        "source": "a",
        "source_id": "2",
        "artist": "Hallworth",
        "date": "2014-03-04",
        "venue": "Sala Grande",
        "city": "Lisbon",
    },
    {
        "source": "a",
        "source_id": "3",
        "artist": "Ostrander",
        "date": "2010-12-25",
        "venue": "Maus Hábitos",
        "city": "Porto",
    },
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "shows.jsonl", SHOWS)
    return tmp_path


def write(file: Path, rows: list[Any]) -> Path:
    file.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return file


def match(folder: Path, entries: list[Any], *options: object) -> tuple[list[dict[str, Any]], str]:
    """The rows written, and what was told beside them."""
    history = write(folder / "entries.jsonl", entries)
    arguments = ["match", "--history", str(history), "--concerts", str(folder / "shows.jsonl"), *map(str, options)]
    result = CliRunner().invoke(gigz.app, arguments)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def test_every_line_has_an_answer_in_its_place_and_what_is_wrong_is_named_with_its_line(folder: Path) -> None:
    entries = [
        {"user": "me", "entry_id": "1", "artist": "Ostrander", "date": "2010-12-25"},
        "{not json\n",
        {"user": "me", "entry_id": "3", "artist": ["Ostrander"]},
        {"user": "me", "entry_id": "4", "artist": "Ostrander", "date": "2014-02-31"},
        {"user": "me", "entry_id": "5", "artist": "Ostrander", "date": "whenever"},
        {"entry_id": "6", "artist": "Ostrander"},
        {"user": "me", "entry_id": "7", "artist": "Ostrander", "date": "2010", "city": "Porto"},
    ]
    rows, told = match(folder, entries)
    reasons = [row.get("reason") for row in rows]
    assert reasons[1:6] == ["not_json", "wrong_type", "bad_date", "unreadable_date", "missing_field"]
    assert (reasons[0], reasons[6]) == (None, None)
    assert "4 rows could not be used" in told
    assert [f"entries.jsonl:{number}: " in told for number in range(1, 8)] == [n in (2, 3, 4, 6) for n in range(1, 8)]
    assert "entries.jsonl:4: date: " in rows[3]["problem"]


def test_the_order_of_a_date_is_told_by_the_users_other_dates(folder: Path) -> None:
    asks = {"user": "me", "entry_id": "1", "artist": "Hallworth", "date": "03/04/2014", "city": "Lisbon"}
    tells = [
        {"user": "me", "entry_id": str(n), "artist": "X", "date": date}
        for n, date in enumerate(["25/12/2010", "19/03/2011", "30/06/2012"], 2)
    ]
    (alone,), _ = match(folder, [asks])
    assert len(alone["suggestions"]) == 2
    assert all(one["band"] != "sure" for one in alone["suggestions"])
    rows, _ = match(folder, [asks, *tells])
    assert [one["members"][0]["source_id"] for one in rows[0]["suggestions"]][:1] == ["1"]
    assert rows[0]["suggestions"][0]["confidence"] > alone["suggestions"][0]["confidence"]


def test_reference_rows_tell_other_names(folder: Path) -> None:
    artists = write(folder / "artists.jsonl", [{"name": "Hallworth", "aliases": ["The Mill"]}])
    halls = [{"name": "Maus Hábitos", "city": "Porto", "names": ["Quarto Andar"]}]
    venues = write(folder / "venues.jsonl", halls)
    entries = [
        {"user": "me", "entry_id": "1", "artist": "The Mill", "date": "2014-04-03", "city": "Lisbon"},
        {"user": "me", "entry_id": "2", "date": "2010-12-25", "venue": "Quarto Andar"},
    ]
    without, _ = match(folder, entries)
    assert [row["suggestions"] for row in without] == [[], []]
    rows, _ = match(folder, entries, "--artists", artists, "--venues", venues)
    assert [row["suggestions"][0]["members"][0]["source_id"] for row in rows] == ["1", "3"]
    assert rows[0]["weights"] != without[0]["weights"]


def test_weights_that_lack_a_level_are_refused_by_name(folder: Path) -> None:
    weights = write(
        folder / "w.json",
        ['{"prior": -20, "unlisted": 0, "unlisted_here": 0, "unlisted_anywhere": 0, "unlisted_song": 0, "levels": {}}'],
    )
    arguments = ["match", "--history", "x", "--concerts", "y", "--weights", str(weights)]
    result = CliRunner().invoke(gigz.app, arguments)
    assert result.exit_code == 1
    assert "levels.artist.exact" in result.stderr


def test_songs_and_a_year_find_the_night_whoever_played(folder: Path) -> None:
    played = {"songs": ["Glass Harbour", "Nine Winters", "The Long Quay", "Lantern Hill"]}
    write(folder / "shows.jsonl", [SHOWS[0] | played, SHOWS[2] | {"songs": ["Nine Winters", "Elsewhere"]}])
    rows, _ = match(folder, [{"user": "me", "entry_id": "1", "date": "2014", "songs": played["songs"][:3]}])
    assert rows[0]["suggestions"][0]["members"][0]["source_id"] == "1"


def test_a_missing_number_loses_neither_user_nor_place(folder: Path) -> None:
    rows, told = match(folder, ['{"user": "me", "entry_id": "1", "artist": "X", "lat": NaN}\n'])
    assert (rows[0]["user"], rows[0]["entry_id"], rows[0]["reason"]) == ("me", "1", "not_json")
    assert "NaN is no JSON number" in told
