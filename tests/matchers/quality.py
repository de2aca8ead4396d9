"""The figures that must not get worse, and what they are measured on.

`python -m tests.matchers.quality` measures them anew and writes quality.json. A change that makes one worse than its
interval allows is written down by nobody but the one who means it.
"""

import csv
import gzip
import json
import random
import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import orjson

from matchers.files import read_concerts
from matchers.judge.evaluate import evaluate_variants, figures_of
from matchers.judge.variants import VARIANTS
from schemas.concert import Concert
from schemas.raw import RawEvent

HERE = Path(__file__).parent
RECORDED = HERE / "quality.json"
FACTS = HERE / "facts"
DATA = HERE.parents[1].parent / "shared" / "data"
MUNICH_ROWS = 20_000

BETTER_HIGH = ("right", "right_unambiguous", "right_ambiguous", "in_three", "sure", "sure_right")
BETTER_LOW = ("proposed", "ece", "ece_labelled", "ece_all", "log_loss", "brier")
NEVER_MORE = ("wrong_sure", "two_sure")
"""Counted, not estimated: an interval around none would allow some."""

Figures = dict[str, dict[str, dict[str, Any]]]
Lines = Iterator[tuple[str, bytes]]


def lines_of(file: Path) -> Lines:
    """(file:line, bytes) of each line."""
    with (gzip.open if file.suffix == ".gz" else open)(file, "rb") as lines:
        for number, line in enumerate(lines, 1):
            yield f"{file.name}:{number}", line


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for _, line in lines_of(file)]


@cache
def facts() -> tuple[list[dict[str, Any]], list[Concert]]:
    """The entries and concerts that are kept beside the tests."""
    concerts, refused = read_concerts(lines_of(FACTS / "listings.jsonl"), RawEvent)
    assert not refused, refused[:3]
    return rows_of(FACTS / "entries.jsonl"), concerts


def data() -> tuple[list[dict[str, Any]], list[Concert]]:
    """Two listeners' entries, among their concerts and other people's: the Dead's, Munich's, half of America's."""
    concerts, _ = read_concerts(
        chain(
            lines_of(DATA / "histories/concerts.jsonl"),
            lines_of(DATA / "listings/grateful_dead.jsonl"),
            sampled(DATA / "stream/munich.jsonl.gz", MUNICH_ROWS),
            songkick(DATA / "stream/songkick_shows.csv"),
        ),
        RawEvent,
    )
    return rows_of(DATA / "histories/entries.jsonl"), concerts


def sampled(file: Path, count: int, seed: int = 0) -> Lines:
    """So many lines of a file, the same ones each time."""
    everything = list(lines_of(file))
    return iter(random.Random(seed).sample(everything, count))


def songkick(file: Path) -> Lines:
    """A table of shows as listing rows: a bill of up to three, the town as `Denver, CO, US`."""
    with file.open(encoding="utf-8", newline="") as lines:
        for number, told in enumerate(csv.DictReader(lines), 1):
            acts = [told[f"Artist{place}"] for place in (1, 2, 3) if told[f"Artist{place}"] not in ("", "NA")]
            if told["Type"] != "Concert" or not acts:
                continue
            city, _, rest = told["City"].partition(", ")
            region, _, country = rest.rpartition(", ")
            row = {
                "source": "songkick-shows",
                "source_id": told[""],
                "artist": acts[0],
                "support": acts[1:],
                "date": told["Date"],
                "venue": re.sub("^Unknown venue$", "", told["Venue"]),
                "city": city,
                "region": region,
                "country": country,
            }
            yield f"{file.name}:{number}", orjson.dumps({name: value for name, value in row.items() if value})


def measure(rows: list[dict[str, Any]], concerts: list[Concert]) -> Figures:
    """The figures that are held, of every variant."""
    held = {*BETTER_HIGH, *BETTER_LOW, *NEVER_MORE}
    return {
        one.variant: {name: figure for name, figure in figures_of(one.judged).items() if name in held}
        for one in evaluate_variants(list(VARIANTS), rows, concerts)
    }


def worse(recorded: Figures, now: Figures) -> list[str]:
    """What fell out of its interval, in words."""
    found = []
    for variant, figures in recorded.items():
        for name, was in figures.items():
            held = now[variant].get(name)
            if held is None:
                # Nothing is sure any more, say: another figure tells.
                continue
            if name in NEVER_MORE:
                bad = held["count"] > was["count"]
            else:
                bad = held["value"] < was["low"] if name in BETTER_HIGH else held["value"] > was["high"]
            if bad:
                allowed = f"{was['value']} ({was['low']} to {was['high']})"
                found.append(f"{variant} {name}: {held['value']} of {held['n']}, recorded {allowed} of {was['n']}")
    return found


if __name__ == "__main__":
    told = {"facts": measure(*facts())}
    if DATA.is_dir():
        told["data"] = measure(*data())
    else:
        told["data"] = json.loads(RECORDED.read_text("utf-8"))["data"]
        print(f"{DATA} is not there: its figures stay as they were", file=sys.stderr)
    for name, figures in told.items():
        for line in worse(json.loads(RECORDED.read_text("utf-8")).get(name, {}), figures) if RECORDED.exists() else ():
            print(f"{name}: worse: {line}", file=sys.stderr)
    blocks = []
    for name, figures in told.items():
        variants = []
        for variant, of in figures.items():
            each = ",\n".join(f"   {json.dumps(figure)}: {json.dumps(value)}" for figure, value in of.items())
            variants.append(f"  {json.dumps(variant)}: {{\n{each}\n  }}")
        blocks.append(f" {json.dumps(name)}: {{\n" + ",\n".join(variants) + "\n }")
    RECORDED.write_text("{\n" + ",\n".join(blocks) + "\n}\n", encoding="utf-8")
