"""What the matcher costs, as ratios taken in one run.

scoring     all evidence of entries and their candidates, against a bare `rapidfuzz.process.cdist` of the same strings
growth      entries a second as the catalogue grows from 10,000 to 1,000,000 concerts, synthesised from real ones
            (halves of their names, towns and halls recombined, tours of a dozen nights; seeded)
"""

import argparse
import gc
import random
import resource
import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist
from rich.console import Console
from rich.table import Table

from deploy.feed import read_lines
from matchers import weights as w
from matchers.candidates import entry_keys, read_entry
from matchers.catalogue import Catalogue
from matchers.evidence import Asked, compare
from matchers.files import read_concerts
from matchers.match import BATCH, Question, match_all
from matchers.places import venue_key
from matchers.text import fold, letters, squash
from schemas.concert import Concert, Member
from schemas.history import Entry
from schemas.listing import Status
from schemas.raw import RawEvent

FIRST, LAST = date(1995, 1, 1), date(2024, 12, 31)
ROUNDS = 5


def real_concerts(files: Sequence[Path]) -> list[Concert]:
    """Of listing rows."""
    lines = [(f"{file}:{number}", line) for file in files for number, line in enumerate(read_lines(file), 1)]
    concerts, _ = read_concerts(lines, RawEvent)
    if not concerts:
        raise SystemExit("no concerts in these files. Remedy: listing rows, one JSON object a line.")
    return concerts


def synthesise(real: Sequence[Concert], count: int, seed: int = 0) -> list[Concert]:
    """As many concerts: artists of recombined names, tours of a dozen nights, at real places."""
    draw = random.Random(seed)
    heard = sorted({word for one in real for word in one.artist.split() if len(word) > 3})
    words = [one[: (len(one) + 1) // 2] + other[len(other) // 2 :] for one in heard for other in draw.sample(heard, 20)]
    places = sorted({one.place for one in real}, key=repr)
    days = (LAST - FIRST).days
    made: list[Concert] = []
    while len(made) < count:
        artist = " ".join(draw.sample(words, draw.choice((1, 2, 2, 3))))
        start = FIRST + timedelta(days=draw.randrange(days))
        for step in range(min(12, count - len(made))):
            number = len(made)
            listing = UUID(int=(seed << 64) | number | (4 << 76) | (2 << 62))
            member = Member.model_construct(
                listing_id=listing, source="made", source_id=str(number), version=0, act=artist, url=None
            )
            made.append(
                Concert.model_construct(
                    concert_id=listing,
                    artist=artist,
                    artist_key=fold(artist),
                    night=start + timedelta(days=step * 2),
                    place=draw.choice(places),
                    status=Status.HAPPENED,
                    members=(member,),
                )
            )
    return made


def typed(concerts: Sequence[Concert], count: int, seed: int = 1) -> list[Entry]:
    """Entries of some of the concerts: the night or the month, the town mostly, a third with a slip in the name."""
    draw = random.Random(seed)
    entries = []
    for number, concert in enumerate(draw.sample(list(concerts), min(count, len(concerts)))):
        artist = concert.artist
        if number % 3 == 0 and len(artist) > 3:
            at = draw.randrange(1, len(artist) - 1)
            artist = artist[:at] + artist[at + 1 :]
        night = concert.night.isoformat()
        entries.append(
            Entry.model_validate(
                {
                    "user": "bench",
                    "entry_id": str(number),
                    "seen_at": "2020-01-01T00:00:00Z",
                    "artist": artist,
                    "date": night if number % 4 else night[:7],
                    "city": concert.place.city if number % 5 else None,
                    "venue": concert.place.name if number % 2 else None,
                }
            )
        )
    return entries


def best(run: Callable[[], object]) -> float:
    """Shortest of some rounds, in seconds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)


def questions(catalogue: Catalogue, entries: Sequence[Entry]) -> list[Question]:
    """Entries with the rows that their keys find."""
    tables = w.default_tables()
    found = [Question(entry, *catalogue.index.rows(entry_keys(entry, tables), w.MOST_CANDIDATES)) for entry in entries]
    return [question for question in found if len(question.rows)]


def scoring(catalogue: Catalogue, asked: Sequence[Question]) -> tuple[float, float, int]:
    """Seconds of all evidence, seconds of the bare comparison of the same strings, and pairs."""
    tables = w.default_tables()
    read = [Asked(*read_entry(question.entry, tables), question.rows) for question in asked]
    batches = [read[start : start + BATCH] for start in range(0, len(read), BATCH)]
    strings = []
    for one in read:
        concerts = [catalogue.concerts[row] for row in one.rows]
        strings += [
            ([squash(one.told.artist or "")], [squash(concert.artist) for concert in concerts]),
            ([letters(one.told.artist or "")], [letters(concert.artist) for concert in concerts]),
            ([fold(one.told.place.city or "")], [fold(concert.place.city or "") for concert in concerts]),
            ([venue_key(one.told.place.name or "")], [venue_key(concert.place.name or "") for concert in concerts]),
        ]

    def whole() -> None:
        for batch in batches:
            compare(batch, catalogue, tables)

    def bare() -> None:
        for one, many in strings:
            cdist(one, many, scorer=OSA.normalized_similarity, dtype=np.float32)

    whole()
    return best(whole), best(bare), sum(len(question.rows) for question in asked)


def throughput(catalogue: Catalogue, entries: Sequence[Entry]) -> tuple[float, float]:
    """Entries a second from keys to suggestions, and candidates an entry."""
    tables = w.default_tables()
    seconds = best(lambda: list(match_all(entries, catalogue, tables)))
    return len(entries) / seconds, sum(len(one.rows) for one in questions(catalogue, entries)) / len(entries)


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="listing rows: the real concerts")
    parser.add_argument("--sizes", default="10000,1000000", help="of the catalogue")
    parser.add_argument("--entries", type=int, default=1_000)
    options = parser.parse_args()
    console = Console()
    real = real_concerts(options.files)
    table = Table("concerts", "build s", "peak MB", "entries/s", "candidates", "evidence / cdist", title="matcher")
    speeds = []
    for size in map(int, options.sizes.split(",")):
        concerts = synthesise(real, size)
        began = time.perf_counter()
        catalogue = Catalogue(concerts)
        _ = catalogue.index, catalogue.order
        build = time.perf_counter() - began
        entries = typed(concerts[:10_000], options.entries)
        gc.freeze()
        speed, near = throughput(catalogue, entries)
        whole, bare, pairs = scoring(catalogue, questions(catalogue, entries))
        speeds.append(speed)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        table.add_row(
            f"{size:,}", f"{build:.1f}", f"{peak:,.0f}", f"{speed:,.0f}", f"{near:.1f}", f"{whole / bare:.2f}x"
        )
        console.print(f"{size:,}: {pairs:,} pairs, evidence {whole * 1e6 / pairs:.2f} us a pair")
    console.print(table)
    if len(speeds) > 1:
        console.print(f"throughput falls {speeds[0] / speeds[-1]:.2f}x as the catalogue grows (goal: 1.5x at most)")


if __name__ == "__main__":
    main()
