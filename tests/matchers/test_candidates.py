import os
import subprocess
import sys
from typing import Any

import pytest

from matchers.candidates import concert_keys, entry_keys
from matchers.resolve import resolve
from tests.matchers.make import concert, entry, listing
from tests.support import ROOT

SHOW = {
    "artist": "Hallworth",
    "date": "2011-03-19",
    "venue": "Sala Grande",
    "city": "Lisbon",
    "country": "PT",
}

FINDS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("as typed", {"artist": "Hallworth", "date": "2011-03-19", "city": "Lisboa"}, {}),
    ("a typo, no town", {"artist": "Halworth", "date": "2011-03-19"}, {}),
    ("a consonant changed, no town", {"artist": "Hallwonth", "date": "2011-03-19"}, {}),
    ("any name, night and town", {"artist": "Somebody Else", "date": "2011-03-19", "city": "Lisboa"}, {}),
    ("a day off, no town", {"artist": "Hallworth", "date": "2011-03-20"}, {}),
    ("a day off over the month's end", {"artist": "Hallworth", "date": "2011-04-01"}, {"date": "2011-03-31"}),
    ("a year off, no town", {"artist": "Hallworth", "date": "2010-03-19"}, {}),
    ("any year, with the town", {"artist": "Hallworth", "date": "2009-01-01", "city": "Lisboa"}, {}),
    ("both orders of day and month", {"artist": "Hallworth", "date": "19/03/2011"}, {}),
    ("a month", {"artist": "Hallworth", "date": "Mar 2011"}, {}),
    ("a season", {"artist": "Hallworth", "date": "spring 2011"}, {}),
    ("a year", {"artist": "Hallworth", "date": "2011"}, {}),
    ("the town alone", {"artist": "Hallworth", "city": "Lisboa"}, {}),
    ("the artist alone", {"artist": "The Hallworth"}, {}),
    ("no artist, night and town", {"date": "2011-03-19", "city": "Lisboa"}, {}),
    ("no artist, night and suburb", {"date": "2011-03-19", "city": "Amadora"}, {}),
    ("no artist, night and coordinates", {"date": "2011-03-19", "lat": 38.714, "lon": -9.14}, {}),
    ("no artist, small hours and coordinates", {"date": "2011-03-20T00:40", "lat": 38.714, "lon": -9.14}, {}),
    ("no artist, month and venue", {"date": "Mar 2011", "venue": "Sala Grande"}, {}),
    ("a town in no gazetteer", {"date": "2011-03-19", "city": "Xyzzy"}, {"city": "Xyzzy", "country": None}),
    ("initials", {"artist": "OMD", "date": "Mar 2011"}, {"artist": "Orchestral Manoeuvres in the Dark"}),
    (
        "the guest",
        {"artist": "Sinéad O'Connor", "date": "2011-03-19"},
        {"artist": "Peter Gabriel feat. Sinéad O'Connor"},
    ),
    (
        "part of the name, year and town",
        {"artist": "The Stooges", "date": "2011", "city": "Lisboa"},
        {"artist": "Iggy and The Stooges"},
    ),
]


@pytest.mark.parametrize(("typed", "change"), [row[1:] for row in FINDS], ids=[row[0] for row in FINDS])
def test_an_entry_finds_its_concert(typed: dict[str, Any], change: dict[str, Any]) -> None:
    found = {key for one in resolve([listing(**SHOW | change)]) for key in concert_keys(one)}
    assert entry_keys(entry(**typed)) & found


PASSES: list[tuple[str, dict[str, Any]]] = [
    ("another act another night", {"artist": "Ostrander", "date": "2011-05-03", "city": "Porto"}),
    ("another act that night, no town", {"artist": "Ostrander", "date": "2011-03-19"}),
    ("another act that night, far away", {"artist": "Ostrander", "date": "2011-03-19", "city": "Tokyo"}),
    ("the act years before, no town", {"artist": "Hallworth", "date": "2003-03-19"}),
    ("a town alone", {"city": "Lisboa"}),
    ("a year and a town", {"city": "Lisboa", "date": "2011"}),
    ("nothing", {}),
]


@pytest.mark.parametrize("typed", [row[1] for row in PASSES], ids=[row[0] for row in PASSES])
def test_an_entry_leaves_the_rest_alone(typed: dict[str, Any]) -> None:
    assert not entry_keys(entry(**typed)) & concert_keys(concert(**SHOW))


def test_keys_are_few() -> None:
    assert len(concert_keys(concert(**SHOW))) < 40
    assert len(entry_keys(entry(artist="Nick Cave and the Bad Seeds", date="2011", city="Lisboa"))) < 150


def test_keys_are_the_same_in_every_process() -> None:
    program = (
        "from tests.matchers.make import concert, entry\n"
        "from matchers.candidates import concert_keys, entry_keys\n"
        f"print(sorted(concert_keys(concert(**{SHOW!r}))), sorted(entry_keys(entry(artist='X', date='2014'))))"
    )
    other = (
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(1 + os.getpid()), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
    ).stdout.strip()
    assert other == f"{sorted(concert_keys(concert(**SHOW)))} {sorted(entry_keys(entry(artist='X', date='2014')))}"
