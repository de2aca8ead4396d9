"""The input of the benchmarks: shows told by one to three sources, and what people remember of them.

Made of numbers alone, so that every framework, round and machine gets the same. Few artists play most of the shows, as
in life: the n-th of `ARTISTS` is drawn with a square law. Towns and venues are those of the demo.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import islice
from random import Random
from typing import Any

from tests.support import ROOT

FACTS = ROOT / "deploy" / "local" / "demo" / "facts"
ARTISTS = 20_000
SOURCES = ("archive", "listings", "tickets")
TELL = (0.55, 0.3, 0.15)
"""Shares of shows that one, two or three sources tell of."""
A_SHOW = sum(share * many for many, share in enumerate(TELL, 1))
"""Listings of a show."""
SONGS = 0.3
"""Share of listings with a set list."""
SUPPORT = 0.2
"""Share of shows with a second act."""
FIRST = date(1975, 1, 1)
DAYS = 365 * 49
ENTRIES_OF_A_USER = 100
SEEN = datetime(2024, 6, 1, tzinfo=UTC)

_SYLLABLES = tuple(consonant + vowel for consonant in "bdfghjklmnprstvw" for vowel in "aeio")


@cache
def artist(number: int) -> str:
    """A name of two made-up words, the same for the same number."""
    dice = Random(f"artist {number}")
    words = ["".join(dice.choices(_SYLLABLES, k=dice.choice((2, 3, 3, 4)))).capitalize() for _ in range(2)]
    return " ".join(words if number % 5 else ["The", *words])


@cache
def _venues() -> tuple[dict[str, Any], ...]:
    rows = map(json.loads, (FACTS / "venues.jsonl").read_text(encoding="utf-8").splitlines())
    where = ("city", "region", "country")
    return tuple({name: row[name] for name in where if row.get(name)} | {"venue": row["name"]} for row in rows)


def show(number: int) -> dict[str, Any]:
    """Who, when, where."""
    dice = Random(f"show {number}")
    return {
        "artist": artist(int(ARTISTS * dice.random() ** 2)),
        "date": (FIRST + timedelta(days=dice.randrange(DAYS))).isoformat(),
        **dice.choice(_venues()),
    }


def rows_of(number: int) -> list[dict[str, Any]]:
    """The listings of one show."""
    dice = Random(f"rows {number}")
    shown = show(number)
    if dice.random() < SUPPORT:
        shown["support"] = [artist(dice.randrange(ARTISTS))]
    rows = []
    for source in dice.sample(SOURCES, k=dice.choices((1, 2, 3), TELL)[0]):
        row = shown | {"source": f"bench-{source}", "source_id": str(number), "observed_at": SEEN.isoformat()}
        if dice.random() < SONGS:
            row["songs"] = [f"{artist(dice.randrange(ARTISTS))} Song {n}" for n in range(dice.randint(8, 24))]
        rows.append(row)
    return rows


def listings(wanted: int, first_show: int = 0) -> Iterator[dict[str, Any]]:
    """So many rows of listings, show by show from this one on."""

    def every() -> Iterator[dict[str, Any]]:
        number = first_show
        while True:
            yield from rows_of(number)
            number += 1

    return islice(every(), wanted)


def entries(wanted: int, first_show: int = 0) -> Iterator[dict[str, Any]]:
    """What users remember of every other show from this one on: a day, a month or a year; the town, or not."""
    for number in range(wanted):
        at = first_show + 2 * number
        dice, shown = Random(f"entry {at}"), show(at)
        row = {
            "user": f"user-{at // (2 * ENTRIES_OF_A_USER)}",
            "entry_id": f"e{at}",
            "artist": shown["artist"],
            "date": shown["date"][: dice.choice((10, 10, 10, 7, 4))],
        }
        yield row | ({"city": shown["city"]} if dice.random() < 0.5 else {})
