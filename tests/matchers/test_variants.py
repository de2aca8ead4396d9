import os
import random
import subprocess
import sys
from typing import Any

import pytest

from matchers.judge.evaluate import judge
from matchers.judge.variants import NEIGHBOURS, VARIANTS, Draw, half_of, slip, slips, vary
from matchers.resolve import resolve
from matchers.text import fold
from schemas.concert import Concert
from tests.matchers.make import concert, listing
from tests.matchers.quality import facts
from tests.support import ROOT

SONGS = [f"Song {number}" for number in range(9)]
SHOWS = [
    concert(source_id=str(number), date=f"2011-03-{number + 10}", artist="Hallworth", city="Lisboa", songs=SONGS)
    for number in range(8)
]
ENTRY = {"user": "me", "artist": "Hallworth", "date": "2011-03-10", "city": "Lisboa", "venue": "Sala", "label": "match"}
ROWS: list[dict[str, Any]] = [
    ENTRY | {"entry_id": str(number), "date": f"2011-03-{number + 10}", "gold": str(number)} for number in range(8)
]


def varied(name: str, row: dict[str, Any], concerts: list[Concert] = SHOWS, seed: int = 0) -> dict[str, Any]:
    (one,) = vary(name, [row], concerts, seed).rows
    return one


TYPED = [
    # (variant, what was typed, what becomes of it)
    ("exact", {}, {}),
    ("month", {}, {"date": "2011-03"}),
    ("year", {}, {"date": "2011"}),
    ("artist-month", {"lat": 38.7, "lon": -9.1, "songs": ["A"]}, {"date": "2011-03", "city": None, "venue": None}),
    # As people type it: of two readings the one that is meant.
    ("month", {"date": "10/03/2011"}, {"date": "2011-03"}),
    ("month", {"date": "10 March 2011"}, {"date": "2011-03"}),
    # What says no more than a month is left alone.
    ("month", {"date": "March 2011"}, {}),
    ("month", {"date": "2011"}, {}),
    ("year", {"date": "2011-03"}, {"date": "2011"}),
    ("month", {"date": None}, {}),
    ("year", {"date": "sometime"}, {}),
]


@pytest.mark.parametrize(("name", "typed", "becomes"), TYPED)
def test_a_variant_says_less(name: str, typed: dict[str, Any], becomes: dict[str, Any]) -> None:
    made = varied(name, ROWS[0] | typed)
    if name == "artist-month":
        assert set(made) == {"user", "entry_id", "artist", "date", "label", "gold"}
    expected = {key: value for key, value in (ROWS[0] | typed | becomes).items() if key in made}
    assert made == expected


def test_half_of_the_dates_are_a_day_off_either_way() -> None:
    rows = [ENTRY | {"entry_id": str(number), "date": "2011-03-15"} for number in range(400)]
    days = [row["date"] for row in vary("shifted", rows, []).rows]
    assert set(days) == {"2011-03-14", "2011-03-15", "2011-03-16"}
    assert 160 < days.count("2011-03-15") < 240
    assert 70 < days.count("2011-03-14") < 130
    hard = [row | {"label": "other_date"} for row in rows]
    assert vary("shifted", hard, []).rows == hard


def test_a_record_of_another_night_that_fits_the_month_is_left_out() -> None:
    row = ROWS[0] | {"label": "other_date", "gold": None, "other": "5"}
    assert vary("month", [row], SHOWS).rows == []
    assert varied("typos", row)["other"] == "5"
    assert varied("month", row | {"date": "2011-04-01"})["date"] == "2011-04"


@pytest.mark.parametrize("name", ["Hallworth", "U2", "Björk", "Кино", "椎名林檎", "!!!", "AC/DC", "10cc", "ß", "M"])
def test_a_slip_is_one_edit_that_can_be_seen(name: str) -> None:
    for number in range(200):
        made = slip(name, Draw(number))
        if name in {"!!!"}:
            assert made == name
            continue
        assert fold(made) and (fold(made) != fold(name) or len(name) == 1), made
        assert abs(len(made) - len(name)) <= 1
        changed = [index for index, (a, b) in enumerate(zip(made, name, strict=False)) if a != b]
        if len(made) == len(name) and changed:
            assert changed in ([changed[0]], [changed[0], changed[0] + 1])


def test_a_letter_is_changed_for_its_neighbour() -> None:
    made = {slip("hallworth", Draw(number)) for number in range(3_000)}
    changed = [one for one in made if len(one) == 9 and sum(a != b for a, b in zip(one, "hallworth", strict=True)) == 1]
    pairs = {(a, b) for one in changed for a, b in zip("hallworth", one, strict=True) if a != b}
    assert {("h", "j"), ("a", "s"), ("w", "e")} <= pairs
    assert all(b in NEIGHBOURS[a] for a, b in pairs)
    assert any(sorted(one) == sorted("hallworth") for one in made)
    assert {len(one) for one in made} == {8, 9, 10}


BAD: list[dict[str, Any]] = [
    {"artist": None},
    {"artist": 311, "venue": 9},
    {"artist": "", "venue": ""},
    {"artist": "?" * 10_000},
    {"artist": "\u202eמוזיקה"},
    {"date": "9999-12-31"},
    {"date": "0001-01-01"},
    {"date": 2014},
    {"date": ["2014"]},
    {"date": "no day"},
    {"gold": 7},
    {"gold": "nobody's"},
    {"songs": "One, Two"},
    {"lat": "north", "lon": None},
]


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_row_that_is_odd_stays_a_row(name: str, bad: dict[str, Any]) -> None:
    for seed in range(4):
        made = vary(name, [ROWS[0] | bad], SHOWS, seed)
        judge(made.rows, [], made.concerts, SHOWS)


def test_slips_are_in_artist_and_venue_and_the_town_stays() -> None:
    rows = [ENTRY | {"entry_id": str(number), "artist": "Hallworth", "venue": "Coliseu"} for number in range(200)]
    made = vary("typos", rows, []).rows
    assert all(row["artist"] != "Hallworth" and row["venue"] != "Coliseu" for row in made)
    assert all(row["city"] == "Lisboa" and row["date"] == "2011-03-10" for row in made)
    assert all("city" not in row for row in vary("typos-no-town", rows, []).rows)
    assert {len(slips("U2", Draw(number))) for number in range(200)} <= {1, 2, 3}


def test_songs_are_remembered_of_the_night_and_one_in_four_times_one_is_not() -> None:
    other = concert(source_id="x", date="2012-01-01", artist="Hallworth", songs=["Another"])
    rows = [ROWS[0] | {"entry_id": str(number)} for number in range(400)]
    made = [row["songs"] for row in vary("month-songs", rows, [*SHOWS, other]).rows]
    assert {len(songs) for songs in made} == {3, 4, 5}
    assert all(len(set(songs)) == len(songs) for songs in made)
    wrong = [songs for songs in made if not set(songs) <= set(SONGS)]
    assert 70 < len(wrong) < 130
    assert all(sum(song == "Another" for song in songs) == 1 for songs in wrong)
    few = concert(source_id="0", date="2011-03-10", artist="Hallworth", songs=["One", "Two"])
    assert vary("month-songs", [ROWS[0]], [few]).rows == []


@pytest.mark.parametrize(("name", "left"), [("removed", 0), ("half", 4), ("half-month", 4), ("exact", 8)])
def test_what_was_meant_is_taken_out_of_the_catalogue(name: str, left: int) -> None:
    made = vary(name, ROWS, SHOWS)
    held = {member.source_id for one in made.concerts for member in one.members}
    assert len(held) == left
    for row in made.rows:
        if row["label"] == "match":
            assert row["gold"] in held
        else:
            assert (row["label"], row["other"] in held, "gold" in row) == ("removed", False, False)


ALSO = [
    # (what, the other listing, whether it stays)
    ("as another source tells it", {"source": "two", "artist": "HALLWORTH"}, False),
    ("a second show that fits as well", {"source": "one"}, False),
    ("in another town that day", {"city": "Porto"}, True),
    ("on another night", {"date": "2012-03-10"}, True),
    ("by another act", {"artist": "Hallmark"}, True),
]


@pytest.mark.parametrize(("other", "stays"), [row[1:] for row in ALSO], ids=[row[0] for row in ALSO])
def test_nothing_that_fits_as_well_stays_where_a_show_is_taken_out(other: dict[str, Any], stays: bool) -> None:
    told = {"artist": "Hallworth", "date": "2011-03-10", "city": "Lisboa", "source_id": "other"} | other
    left = vary("removed", ROWS, [*SHOWS, concert(**told)]).concerts
    assert [one.members[0].source_id for one in left] == (["other"] if stays else [])


def test_a_bill_is_taken_out_as_a_whole() -> None:
    bill = resolve([listing(source_id="0", artist="Hallworth", support=["Hallmark"], date="2011-03-10")])
    assert len(bill) == 2
    made = vary("removed", [*ROWS[:1], ROWS[0] | {"entry_id": "2", "artist": "Hallmark"}], bill)
    assert (made.concerts, [row["label"] for row in made.rows]) == ([], ["removed", "removed"])


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_depends_on_seed_and_entry_alone(name: str) -> None:
    rows, concerts = facts()
    made = vary(name, rows, concerts)
    mixed = random.Random(1).sample(rows, len(rows))
    others = random.Random(2).sample(concerts, len(concerts))
    again = vary(name, mixed, others)
    by_entry = {(row["user"], row["entry_id"]): row for row in again.rows}
    assert {(row["user"], row["entry_id"]): row for row in made.rows} == by_entry
    assert {one.concert_id for one in made.concerts} == {one.concert_id for one in again.concerts}
    assert vary(name, rows, concerts, seed=0).rows == made.rows
    if name not in {"exact", "month", "year", "artist-month", "removed"}:
        assert vary(name, rows, concerts, seed=1).rows != made.rows


def test_a_variant_is_the_same_in_every_process() -> None:
    program = "\n".join(
        [
            "import orjson, sys",
            "from tests.matchers.quality import facts",
            "from matchers.judge.variants import VARIANTS, half_of, vary",
            "rows, concerts = facts()",
            "told = {name: vary(name, rows, concerts).rows for name in VARIANTS}",
            "sys.stdout.buffer.write(orjson.dumps([told, [half_of(row) for row in rows]]))",
        ]
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1 and len(outputs.pop()) > 10_000


def test_entries_fall_into_two_halves() -> None:
    rows = [{"user": "me", "entry_id": str(number)} for number in range(1_000)]
    assert 450 < sum(map(half_of, rows)) < 550


def test_a_variant_that_is_none_is_told() -> None:
    with pytest.raises(KeyError):
        vary("nonsense", ROWS, SHOWS)
