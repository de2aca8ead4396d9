"""Tables as records: delimited text, Markdown, HTML. Read line by line, however long they are."""

import csv
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from lxml import etree

from api.imports.columns import is_date
from api.imports.headings import meant
from api.imports.shapes import Cell, Fault, Reason, Record
from api.imports.uploads import Line, Upload
from matchers.text import clean

DELIMITERS = (",", ";", "\t", "|")
LOOKED_AT = 200
"""Lines from which the delimiter is told."""
MOST_COLUMNS = 500
LONGEST_QUOTE = 40
"""Lines that one quoted cell may go on for; a quote that is not closed by then was none."""
PREAMBLE = 12
"""Lines before a heading: a title, when it was made."""


@dataclass(frozen=True, slots=True)
class Cells:
    """A row of a table: where it begins, how it stood, what it holds."""

    number: int
    original: bytes
    cells: list[str]
    fault: Fault | None = None


# -- delimited --------------------------------------------------------------------------------------------------------


def delimiter_of(lines: Iterable[Line]) -> tuple[str, float]:
    """The sign between cells, and how regular that makes the rows, from 0 to 1."""
    texts = [line.text for line in islice(lines, LOOKED_AT) if line.text.strip()]
    if texts and (named := re.fullmatch(r"sep=(.)", texts[0].strip())):
        return named[1], 1.0
    best, regular = ",", 0.0
    for sign in DELIMITERS:
        counts = Counter(len(_split(text, sign) or ()) for text in texts)
        wide = {count: rows for count, rows in counts.items() if count > 1}
        if not wide:
            continue
        count, rows = max(wide.items(), key=lambda one: (one[1], one[0]))
        score = rows / len(texts) * (1 - 0.5 / count)
        if score > regular + 0.01:
            best, regular = sign, score
    return best, regular


def delimited(lines: Iterable[Line], delimiter: str) -> Iterator[Cells]:
    """The rows of a delimited file. A quote that nobody closes spoils its own line only."""
    waiting: deque[Line] = deque()
    source = iter(lines)

    def take() -> Line | None:
        return waiting.popleft() if waiting else next(source, None)

    while (line := take()) is not None:
        if line.fault is not None:
            yield Cells(line.number, line.raw, [], line.fault)
            continue
        if not line.text.strip():
            continue
        if line.number == 1 and re.fullmatch(r"sep=.", line.text.strip()):
            continue
        cells = _split(line.text, delimiter)
        if cells is not None:
            yield Cells(line.number, line.raw, cells)
            continue
        more: list[Line] = []
        while cells is None and len(more) < LONGEST_QUOTE and (following := take()) is not None:
            more.append(following)
            if following.fault is not None:
                break
            cells = _split("\n".join([line.text, *(one.text for one in more)]), delimiter)
        if cells is None or any("\n" in cell and len(cell) > 20_000 for cell in cells):
            waiting.extendleft(reversed(more))
            yield Cells(line.number, line.raw, _split(line.text, delimiter, quoted=False) or [line.text])
        else:
            yield Cells(line.number, b"\n".join([line.raw, *(one.raw for one in more)]), cells)


def _split(text: str, delimiter: str, quoted: bool = True) -> list[str] | None:
    """A line's cells; None where a quote is open at its end."""
    if '"' not in text:
        return text.split(delimiter)
    if not quoted:
        return [cell.strip('"') for cell in text.split(delimiter)]
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True, skipinitialspace=delimiter != "\t"), [])
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            return None
    try:
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:  # a cell above csv.field_size_limit
        return text.split(delimiter)


# -- headings ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heading:
    """The names of a table's columns, and the rows that stand before its first row."""

    names: tuple[str, ...]
    skipped: int
    raw: bytes = b""


def heading_of(rows: Iterable[Cells]) -> Heading:
    """The heading of a table, by its first rows; where there is none, columns are named by their number."""
    first = [replace(row, cells=row.cells[:MOST_COLUMNS]) for row in islice(rows, PREAMBLE + 20)]
    if not first:
        return Heading((), 0)
    width = max(len(row.cells) for row in first)
    best, at = 0.0, -1
    for index, row in enumerate(first[:PREAMBLE]):
        filled = [cell for cell in row.cells if cell.strip()]
        if not filled or any(is_date(cell) for cell in filled):
            continue
        surely = [
            found[1] for cell in filled if len(cell) < 40 and (found := meant(cell)) is not None and found[1] > 0.9
        ]
        score = sum(surely) / len(filled) + len(surely)
        if len(surely) >= min(2, len(filled)) and score > best:
            best, at = score, index
    if at < 0 and _differs(first):
        at = 0
    if at < 0:
        return Heading(tuple(f"column {number}" for number in range(1, width + 1)), 0)
    return Heading(named(first[at].cells, width), at + 1, first[at].original)


def _differs(rows: Sequence[Cells]) -> bool:
    """Whether the first row has words where all others have dates."""
    if len(rows) < 3:
        return False
    return any(
        cell.strip()
        and not is_date(cell)
        and all(is_date(row.cells[index]) for row in rows[1:] if index < len(row.cells) and row.cells[index].strip())
        and sum(index < len(row.cells) and bool(row.cells[index].strip()) for row in rows[1:]) > len(rows) // 2
        for index, cell in enumerate(rows[0].cells)
    )


def named(cells: Sequence[str], width: int) -> tuple[str, ...]:
    """Column names, each different, those without one by their number."""
    names: dict[str, None] = {}
    for number in range(1, min(max(width, len(cells)), MOST_COLUMNS) + 1):
        name = clean(cells[number - 1])[:100] if number <= len(cells) else ""
        name = name or f"column {number}"
        while name in names:
            name = f"{name} {number}"
        names[name] = None
    return tuple(names)


def as_records(rows: Iterable[Cells], heading: Heading, source: str) -> Iterator[Record]:
    """The rows of a table by their columns' names."""
    again = {name.casefold() for name in heading.names}
    for row in islice(rows, heading.skipped, None):
        where = f"{source}:{row.number}"
        if row.fault is not None:
            yield Record(where, row.original, fault=row.fault)
            continue
        if not any(cell.strip() for cell in row.cells):
            continue
        if heading.skipped and {cell.strip().casefold() for cell in row.cells if cell.strip()} <= again:
            continue  # the heading once more, as two files put together have it
        if len(row.cells) > MOST_COLUMNS:
            text = f"it has {len(row.cells):,} cells; a row may have {MOST_COLUMNS}"
            yield Record(where, row.original, fault=Fault(Reason.BROKEN, text, "look for a sign that parts too much"))
            continue
        names = heading.names
        if len(row.cells) > len(names):
            names = (*names, *(f"column {number}" for number in range(len(names) + 1, len(row.cells) + 1)))
        cells: dict[str, Cell] = dict(zip(names, row.cells, strict=False))
        yield Record(where, row.original, cells)


# -- Markdown ---------------------------------------------------------------------------------------------------------

_BAR = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*$")
_MARKS = re.compile(r"\*\*|__|~~|`|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w)")
_MARKED_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*(?:\s\"[^\"]*\")?\)")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def markdown_tables(lines: Iterable[Line]) -> Iterator[tuple[int, Cells]]:
    """The rows of each table, the tables numbered from 0; what stands between them is prose."""
    table, inside, rule = -1, False, False
    before: Line | None = None
    for line in lines:
        text = line.text.strip()
        barred = line.fault is None and "|" in text and bool(_BAR.search(text))
        if barred and _RULE.match(text) and "-" in text:
            if before is not None and not inside:
                table, inside = table + 1, True
                yield table, _barred(before)
            rule = True
            before = None
            continue
        if not barred:
            inside, before, rule = False, None, False
            if line.fault is not None and table >= 0:
                yield table, Cells(line.number, line.raw, [], line.fault)
            continue
        if inside and rule:
            yield table, _barred(line)
        else:
            before = line


def _barred(line: Line) -> Cells:
    text = line.text.strip()
    text = text[1:] if text.startswith("|") else text
    text = text[:-1] if text.endswith("|") and not text.endswith("\\|") else text
    return Cells(line.number, line.raw, [unmarked(cell) for cell in _BAR.split(text)])


def unmarked(text: str) -> str:
    """Markdown as it is shown: '**[Muse](/muse)**' -> 'Muse'."""
    text = _BREAK.sub("\n", _MARKED_LINK.sub(r"\1", text))
    return _MARKS.sub("", text).replace("\\|", "|").strip()


# -- HTML -------------------------------------------------------------------------------------------------------------

_BLOCKS = frozenset(["p", "div", "br", "li", "tr"])
LONGEST_CELL = 20_000
"""Characters of a cell, and of a paragraph."""


def html_rows(upload: Upload) -> Iterator[tuple[int, Cells]]:
    """The rows of each table of a page, the tables numbered from 0 in the order in which they begin."""
    open_tables: list[int] = []
    table = -1
    for event, element in _elements(upload, ("table", "tr")):
        if element.tag == "table":
            if event == "start":
                table += 1
                open_tables.append(table)
            else:
                if open_tables:
                    open_tables.pop()
                _forget(element)
        elif event == "end":
            cells = [_text(cell) for cell in element if cell.tag in ("td", "th")]
            if cells and open_tables and not any(cell.find(".//table") is not None for cell in element):
                yield (
                    open_tables[-1],
                    Cells(element.sourceline or 0, etree.tostring(element, encoding="utf-8", with_tail=False), cells),
                )
            _forget(element)


def html_items(upload: Upload) -> Iterator[Line]:
    """The list items and paragraphs of a page, as lines."""
    for event, element in _elements(upload, ("li", "p")):
        if event == "end":
            text = _text(element)
            raw = etree.tostring(element, encoding="utf-8", with_tail=False)
            for part in filter(None, map(str.strip, text.split("\n"))):
                yield Line(element.sourceline or 0, raw, part)
            _forget(element)


def _elements(upload: Upload, tags: tuple[str, ...]) -> Iterator[tuple[str, "etree._Element"]]:
    """Elements as the parser meets them. Nothing is fetched, no entity is expanded, what was read is forgotten."""
    with upload.opened() as file:
        reading = etree.iterparse(
            file,
            events=("start", "end"),
            tag=tags,
            html=True,
            recover=True,
            huge_tree=False,
            no_network=True,
            remove_comments=True,
        )
        try:
            yield from reading
        except etree.XMLSyntaxError:  # nested deeper, or a text longer, than the parser's own limits
            return


def _text(element: "etree._Element") -> str:
    parts: list[str] = []
    size = 0
    for piece in element.iter():
        if piece.tag in _BLOCKS and parts:
            parts.append("\n")
        if piece.tag not in ("script", "style") and isinstance(piece.tag, str):
            parts.append(piece.text or "")
        if piece is not element:
            parts.append(piece.tail or "")
        size += len(parts[-1])
        if size > LONGEST_CELL:
            break
    lines = (" ".join(line.split()) for line in "".join(parts)[:LONGEST_CELL].split("\n"))
    return "\n".join(line for line in lines if line)


def _forget(element: "etree._Element") -> None:
    """Free what was read, the element's elder siblings included."""
    element.clear(keep_tail=False)
    while (
        element.getprevious() is not None
        and element.getparent() is not None
        and element.getprevious().tag == element.tag
    ):
        del element.getparent()[0]
