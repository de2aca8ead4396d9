"""The figures that must hold on other people's data. Only `evaluate` reads the labels."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from matchers.candidates import concert_keys, entry_keys
from matchers.evaluate import evaluate_history, evaluate_mb20k, evaluate_resolve, first_right
from matchers.match import match
from matchers.normalise import normalise
from matchers.refused import Refused
from matchers.resolve import resolve
from schemas.concert import Concert
from schemas.history import Entry
from schemas.listing import Listing
from schemas.raw import RawSetlist
from schemas.rows import entry_from_row, raw_from_row
from schemas.suggestion import Suggestions

pytestmark = pytest.mark.data


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def listings_of(rows: list[dict[str, Any]]) -> list[Listing]:
    found = []
    for row in rows:
        made = normalise(raw_from_row(row, RawSetlist))
        assert not isinstance(made, Refused), (row, made)
        assert isinstance(made[0], Listing)
        found.append(made[0])
    return found


def suggest(entries: list[dict[str, Any]], concerts: list[Concert]) -> list[Suggestions]:
    index: dict[str, list[Concert]] = {}
    for concert in concerts:
        for key in concert_keys(concert):
            index.setdefault(key, []).append(concert)
    found = []
    for row in entries:
        entry = entry_from_row(row, Entry)
        candidates = {c.concert_id: c for key in entry_keys(entry) for c in index.get(key, ())}
        found.append(match(entry, list(candidates.values())))
    return found


@pytest.fixture(scope="module")
def dead(data_dir: Path) -> list[dict[str, Any]]:
    return rows_of(data_dir / "listings/grateful_dead.jsonl")


@pytest.fixture(scope="module")
def entries(data_dir: Path) -> list[dict[str, Any]]:
    return rows_of(data_dir / "histories/entries.jsonl")


@pytest.fixture(scope="module")
def suggestions(data_dir: Path, entries: list[dict[str, Any]], dead: list[dict[str, Any]]) -> list[Suggestions]:
    """Against the concerts of the histories, with the other catalogue as distractors."""
    known = rows_of(data_dir / "histories/concerts.jsonl")
    return suggest(entries, resolve(listings_of(known + dead)))


@pytest.mark.parametrize("listener", ["listener-1", "listener-2"])
def test_the_concert_that_was_meant_comes_first(
    listener: str, entries: list[dict[str, Any]], suggestions: list[Suggestions]
) -> None:
    figures = evaluate_history([row for row in entries if row["user"] == listener], suggestions)
    assert figures["right"] >= 0.99, figures["missed"]
    assert figures["sure"] >= 0.95 * figures["labelled"]
    assert figures["sure_right"] == figures["sure"]
    assert figures["two_sure"] == 0


def test_doubtful_entries_are_never_sure(entries: list[dict[str, Any]], suggestions: list[Suggestions]) -> None:
    figures = evaluate_history(entries, suggestions)
    assert figures["labelled"] == 786
    assert set(figures["wrong_bands"]) == {"other_date", "unknown"}
    for bands in figures["wrong_bands"].values():
        assert bands.get("sure", 0) == bands.get("likely", 0) == 0
    assert first_right(entries, suggestions)[1] == 786


@pytest.mark.parametrize("half", ["before 1974", "from 1974"])
def test_two_catalogues_agree_on_their_shows(half: str, dead: list[dict[str, Any]]) -> None:
    rows = [row for row in dead if (row["date"] < "1974") == (half == "before 1974")]
    concerts = resolve(listings_of(rows))
    figures = evaluate_resolve(rows, concerts)
    assert figures["f1"] == 1.0
    assert figures["merged"] == 0
    assert sum(len(concert.members) for concert in concerts) == len(rows)


def test_no_listing_is_lost(dead: list[dict[str, Any]]) -> None:
    assert len(dead) == 2_147
    listings = listings_of(dead)
    held = {m.listing_id for concert in resolve(listings) for m in concert.members}
    assert held == {one.listing_id for one in listings}


def test_the_track_benchmark_holds(data_dir: Path) -> None:
    rows = []
    for file in sorted((data_dir / "mb20k").glob("*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            rows += list(csv.DictReader(lines))
    assert len(rows) == 19_375
    assert evaluate_mb20k(rows)["f1"] >= 0.985
