"""Plain lists: 'Radiohead, Reading 1994', '1994 Reading - Radiohead', '14.11.2014 Tocotronic @ Große Freiheit'.

A line falls into a date and segments. Which segment is who and which is where, the lines of one shape say together: a
town, a house, a festival are known; a name is not. A heading that is only a year holds for the lines below it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from api.imports import wordings
from api.imports.shapes import Cell, Fault, Reason, Record
from api.imports.tables import unmarked
from api.imports.uploads import Line
from matchers.dates import Order, Precision, readings
from matchers.text import clean

LONGEST = 400
"""Characters of a line of a list; a longer one is prose."""
LEAST_ALIKE = 4
"""Lines of one shape from which they decide together; fewer are read each by itself."""
MOST_WORDS = 6
"""Of a date."""
_BULLET = re.compile(r"^\s*(?:[-*+•·–—▪◦‣✓✔☑]|\[[ xX]?\])\s+(?:\[[ xX]?\]\s+)?")
_NUMBER = re.compile(r"^\s*(?:#?\d{1,4}[.):]|\(\d{1,4}\))\s+(?=\S)")
_RULES = re.compile(r"^[\s=\-_*#~|+]*$")
_HEADING = re.compile(r"^\s*#{1,6}\s+|^\s*={2,}\s*|\s*={2,}\s*$|[:：]\s*$")
_BRACKETED = re.compile(r"\s*[(\[]([^()\[\]]{2,40})[)\]]\s*")
_STRONG = re.compile(r"\s+[-–—|/·•:]\s+|\s*[;|\t·•]\s*|\s*—\s*")
_SIGNS = re.compile(rf"{_STRONG.pattern}|,\s+")
_PLACED = re.compile(r"\s*\(([^()]{3,60}\b(?:19|20)\d\d)\)\s*$")
"""'Metallica (Donington 1991)'."""
_AT = re.compile(r"\s+@\s*|\s+(?:live at|live @|live in|at)\s+(?=\S)|@", re.IGNORECASE)
_EDGE = " \t,;:|/–—-·•"
_YEAR = re.compile(r"(?:19|20)\d\d$")


@dataclass(frozen=True, slots=True)
class Split:
    """A line taken apart."""

    line: Line
    date: str | None
    first: bool
    """The date stands at the beginning."""
    segments: tuple[str, ...]
    at: int | None
    """The segment before which '@' or 'at' stands: from there on it is where."""

    @property
    def shape(self) -> tuple[bool, bool, int, int | None]:
        """What lines have alike that say things in one order."""
        return self.date is not None, self.first, len(self.segments), self.at


def split(line: Line, order: Order | None = None) -> Split | None:
    """The parts of a line; None where it is empty or only a rule."""
    text = unmarked(clean(line.text)) if line.text.strip() else ""
    if not text or _RULES.match(text):
        return None
    text = unmarked(_BULLET.sub("", _HEADING.sub("", clean(line.text))))
    if (placed := _PLACED.search(text)) and not _is_date(placed[1]):
        text = f"{text[: placed.start()]} - {placed[1]}"
    day, first, rest = _dated(text)
    if (numbered := _NUMBER.match(text)) and not (first and day is not None and len(day.split()) > 1):
        without = _dated(text[numbered.end() :])
        if without[0] is not None or day is None:
            day, first, rest = without
    at = None
    parts: list[str] = []
    for index, part in enumerate(_AT.split(rest, maxsplit=1)):
        if index == 1:
            at = len(parts)
        signs = _STRONG if _STRONG.search(rest) else _SIGNS  # beside a dash, a comma parts two acts, or house and town
        parts += [tidy for one in signs.split(part) if (tidy := one.strip(_EDGE))]
    if at is not None and (at == 0 or at >= len(parts)):
        at = None
    return Split(line, day, first, tuple(parts), at)


def _dated(text: str) -> tuple[str | None, bool, str]:
    """The date of a line, whether it begins with it, and what is left."""
    for found in _BRACKETED.finditer(text):
        if _is_date(found[1]):
            return found[1], found.start() == 0, f"{text[: found.start()]} {text[found.end() :]}".strip()
    words = text.split(" ")
    for size in range(min(MOST_WORDS, len(words)), 0, -1):
        head = " ".join(words[:size]).strip(_EDGE)
        if _is_date(head):
            return head, True, " ".join(words[size:]).strip(_EDGE)
    for size in range(min(MOST_WORDS, len(words) - 1), 0, -1):
        tail = " ".join(words[-size:]).strip(_EDGE)
        if _is_date(tail):
            return tail, False, " ".join(words[:-size]).strip(_EDGE)
    for part in _SIGNS.split(text):
        if _is_date(part.strip(_EDGE)):
            return part.strip(_EDGE), False, text.replace(part, "", 1).strip(_EDGE)
    return None, False, text


def _is_date(text: str) -> bool:
    if not any(sign.isdecimal() for sign in text):
        return False
    if text.isdecimal():
        return bool(_YEAR.match(text))
    if not all(map(_is_word_of_date, _WORDS.findall(text))):
        return False
    if readings(text):
        return True
    return _without_year(text)


_WORDS = re.compile(r"[^\W\d_]+")
_LITTLE = frozenset(
    ["of", "de", "the", "th", "st", "nd", "rd", "den", "der", "am", "pm", "um", "uhr", "h", "d", "del", "le"]
)


@lru_cache(maxsize=16_384)
def _is_word_of_date(word: str) -> bool:
    """Whether a word can stand in a date: a month, a weekday, a season. Most words of a line are none."""
    if word.casefold() in _LITTLE:
        return True
    return any(
        readings(text) for text in (f"1 {word} 2014", f"{word} 2014", f"{word} 14.11.2014", f"14.11.2014 {word}")
    )


_DAY_MONTH = re.compile(
    r"\d{1,2}\.\d{1,2}\.$|\d{1,2}(?:st|nd|rd|th|\.)? [^\W\d_]{3,}\.?$|[^\W\d_]{3,}\.? \d{1,2}(?:st|nd|rd|th)?$"
)


def _without_year(text: str) -> bool:
    """'12 Aug', 'Aug 12', '12.8.': a day that lacks its year, which a heading may tell."""
    return bool(_DAY_MONTH.match(text)) and bool(readings(text, False, None, (2000,)))


# -- who and where ----------------------------------------------------------------------------------------------------


def roles(splits: Iterable[Split]) -> dict[tuple[bool, bool, int, int | None], int]:
    """Of each shape that several lines have, which segment says who played."""
    scores: defaultdict[tuple[bool, bool, int, int | None], list[list[int]]] = defaultdict(list)
    for one in splits:
        if len(one.segments) > 1 and len(scores[one.shape]) < 500:
            scores[one.shape].append([_likeness(segment) for segment in one.segments])
    found = {}
    for shape, rows in scores.items():
        if shape[3] is None and len(rows) >= LEAST_ALIKE:
            found[shape] = _likeliest([sum(column) / len(rows) for column in zip(*rows, strict=True)])
    return found


def as_record(one: Split, source: str, who: dict[tuple[bool, bool, int, int | None], int], year: str | None) -> Record:
    """A line's record: artist, date, venue, city as far as it says."""
    where = f"{source}:{one.line.number}"
    if one.line.fault is not None:
        return Record(where, one.line.raw, fault=one.line.fault)
    if len(one.line.text) > LONGEST or (one.date is None and len(one.line.text.split()) > 14):
        fault = Fault(
            Reason.NO_SHOW,
            "it reads like prose, not like a show",
            "write a line for each show: 'Radiohead, Reading 1994'",
        )
        return Record(where, one.line.raw, {"line": one.line.text[:LONGEST]}, fault=fault)
    cells: dict[str, Cell] = {}
    day = one.date
    if day is not None and _without_year(day) and not readings(day) and year:
        day = f"{day.rstrip('.')}.{year}" if re.match(r"\d{1,2}\.\d{1,2}", day) else f"{day} {year}"
    if day or year:
        cells["date"] = day or year or ""
    if one.segments:
        if one.at is not None:
            cells["artist"], rest = ", ".join(one.segments[: one.at]), one.segments[one.at :]
        else:
            index = who.get(one.shape, _own(one.segments))
            cells["artist"], rest = one.segments[index], (*one.segments[:index], *one.segments[index + 1 :])
        if ", " in cells["artist"] and one.at is None:
            cells["artist"] = tuple(wordings.acts(str(cells["artist"]), "names"))
        cells |= dict(wordings.place(", ".join(rest))) if rest else {}
    return Record(where, one.line.raw, cells)


def _own(segments: tuple[str, ...]) -> int:
    """The segment that says who, by this line alone."""
    return _likeliest([_likeness(segment) for segment in segments])


def _likeness(segment: str) -> int:
    return max(wordings.likeness(part) for part in segment.split(","))


def _likeliest(likenesses: Sequence[float]) -> int:
    """Who is said is the part that looks least like a place; the first, unless another does so plainly."""
    return min(range(len(likenesses)), key=lambda index: (round(likenesses[index] + (index > 0), 1), index))


def text_records(
    lines: Iterable[Line], source: str, who: dict[tuple[bool, bool, int, int | None], int]
) -> Iterator[Record]:
    """The shows of a list, line by line."""
    year: str | None = None
    for line in lines:
        one = split(line) if line.fault is None else Split(line, None, False, (), None)
        if one is None:
            continue
        heading = _heading(one)
        if heading is not None:
            year = heading or year
            continue
        yield as_record(one, source, who, year)


def _heading(one: Split) -> str | None:
    """The year or month that a heading tells, '' for one that tells none; None for a line of the list."""
    text = one.line.text.strip()
    if one.line.fault is not None:
        return None
    bare = _HEADING.sub("", text).strip()
    if one.date is not None and not one.segments and not _without_year(one.date):
        spans = readings(one.date)
        if spans and spans[0].precision in (Precision.YEAR, Precision.MONTH, Precision.SEASON):
            return str(spans[0].start.year) if spans[0].precision is not Precision.MONTH else f"{spans[0].start.year}"
    if bare != text and one.date is None and len(bare.split()) <= 8:
        return ""
    if text.startswith(("<!--", "//")):
        return ""
    return None
