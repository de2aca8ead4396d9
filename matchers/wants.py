"""An entry that no known concert could mean -> what to fetch: an artist and years, and nothing about the user.

Asks    no known concert shares anything with it (no_candidate), or none that does is plausible (too_weak)
Not     answered; one of several known shows of that artist in that time, though nobody can tell which; decided,
        whatever was said; taken by another entry of the user; compared with too many to be sure; without an artist or a
        readable time: no source can be searched for it, and an artist's whole life is no answer
"""

import re
from dataclasses import dataclass

import numpy as np

from matchers.candidates import read_entry
from matchers.catalogue import Catalogue
from matchers.evidence import artist_level
from matchers.match import Question
from matchers.text import fold, squash, without_qualifiers
from matchers.understand import understand
from matchers.weights import Tables
from schemas.action import Action
from schemas.suggestion import Nothing, Suggestions

UNKNOWN = frozenset([Nothing.NO_CANDIDATE, Nothing.TOO_WEAK])
"""Reasons that mean: nothing known could be it."""
LONGEST_NAME = 200
"""Letters: what is longer is a story."""
MOST_YEARS = 10
"""Of an entry, a decade in full: one that spans more asks for those in its middle."""
YEARS = range(1900, 2201)
"""What the message takes."""
_ADDRESS = re.compile(r"\S@\S|://")


@dataclass(frozen=True, slots=True, order=True)
class Want:
    """An artist, as the entry writes the name, and a year."""

    artist_key: str
    year: int
    artist: str


def wants(question: Question, found: Suggestions, catalogue: Catalogue, tables: Tables) -> tuple[Want, ...]:
    """What an entry asks for, by its own set out of this catalogue; a year each, in order."""
    if found.suggestions or found.reason not in UNKNOWN or found.decision not in (None, Action.SNOOZED):
        return ()
    told = understand(question.entry)
    artist = without_qualifiers(told.artist or "").strip()
    key = fold(artist)
    if not key or len(artist) > LONGEST_NAME or _ADDRESS.search(artist):
        return ()
    years = sorted({year for when in told.whens for year in range(when.start.year, when.end.year + 1)} & {*YEARS})
    if not years or could_be_one(question, catalogue, tables):
        return ()
    spare = max(0, len(years) - MOST_YEARS) // 2
    return tuple(Want(key, year, artist) for year in years[spare : spare + MOST_YEARS])


SAME = frozenset(["exact", "close", "part"])
"""Levels of an artist that may be the one who was typed."""


def could_be_one(question: Question, catalogue: Catalogue, tables: Tables) -> bool:
    """Whether a known concert has the entry's artist in the entry's time, wherever it was."""
    told, others = read_entry(question.entry, tables)
    rows = question.rows[~catalogue.cancelled[question.rows]]
    nights = catalogue.night[rows]
    timely = np.zeros(len(rows), dtype=np.bool_)
    for when in told.whens:
        timely |= (nights >= when.start.toordinal()) & (nights <= when.end.toordinal())
    names = {catalogue.artists[code] for code in set(catalogue.artist[rows[timely]].tolist())}
    called = {squash(other) for other in others.artists}
    return any(artist_level(told.artist or "", name) in SAME or squash(name) in called for name in names)
