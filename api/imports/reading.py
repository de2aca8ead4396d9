"""From bytes to entries: what a file is, how its columns are read, and its rows one after the other.

    reading = read(Upload.of_path(path))        guesses; nothing is kept
    run = dry_run(reading)                      counts, samples, the layout of each table with its reasons
    reading = reading.corrected(Corrections(...))
    for row in reading.rows(after=12_000): ...  the same rows in the same order each time, so that work can be resumed

A reading holds no rows: it goes through the file each time, and what it holds of a file is one row. The same bytes with
the same format and corrections give the same rows, entries and ids.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import chain
from typing import Any

import orjson

from api.imports import archives, calendars, documents, lists, mails, photos, tables
from api.imports.columns import drawn, guess, is_date, with_order
from api.imports.entries import read_row
from api.imports.headings import meant
from api.imports.shapes import (
    Choice,
    Code,
    Corrections,
    Fault,
    Field,
    Format,
    ImportFailed,
    Layout,
    Limits,
    Reason,
    Record,
    Row,
    Standing,
)
from api.imports.uploads import Line, Upload, checked, encoding_of, is_photo, lines_of

Records = Callable[[], Iterator[Record]]
MOST_TABLES = 30
"""Of one page or text; the largest are taken."""
EVERY_LINE = 2_000
"""Lines of a list that are asked who comes first in them; of those behind, every twentieth."""
PROGRESS = 500
"""Rows between two words of progress."""
_BINARY = {
    b"%PDF": "a PDF. Remedy: import the mail that it came with, or type the show",
    b"\xd0\xcf\x11\xe0": "a document of an old office program. Remedy: save it there as CSV, and import that",
    b"Rar!": "a RAR archive. Remedy: pack it as zip",
    b"7z\xbc\xaf": "a 7z archive. Remedy: pack it as zip",
    b"BZh": "a bzip2 archive. Remedy: pack it as zip",
    b"\xfd7zX": "an xz archive. Remedy: pack it as zip",
    b"GIF8": "a picture that tells no time. Remedy: take the photo as the camera wrote it",
}


@dataclass(frozen=True)
class Source:
    """One table of a file, or all that is read alike in it, before its columns are told."""

    name: str
    format: Format
    records: Records


@dataclass(frozen=True)
class Part:
    """One table of a file and how it is read."""

    name: str
    format: Format
    layout: Layout
    rows: int
    records: Records


@dataclass(frozen=True)
class Reading:
    """A file, understood; see the module."""

    upload: Upload
    file_hash: str
    parts: tuple[Part, ...]
    format: Format | None = None
    """As it was asked for; None: told by the content."""
    corrections: Corrections = field(default_factory=Corrections)
    limits: Limits = field(default_factory=Limits)

    @property
    def total(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts)

    def corrected(self, corrections: Corrections) -> "Reading":
        """The same file, read as the user says. ImportFailed for a column that it does not have."""
        return read(self.upload, format=self.format, corrections=corrections, limits=self.limits)

    def rows(self, after: int = 0, tell: Callable[[int, int], None] = lambda done, total: None) -> Iterator[Row]:
        """Every row, in the order of the file. `after`: those that an interrupted run has done; `tell`: progress."""
        seen: set[bytes] = set()
        done = 0
        for part in self.parts:
            for record in part.records():
                row = read_row(record, part.layout)
                keys = [blake2b(one.entry_id.encode(), digest_size=12).digest() for one in row.entries]
                if keys and all(key in seen for key in keys):
                    row = replace(row, standing=Standing.REPEATED, entries=())
                elif keys and not seen.isdisjoint(keys):
                    fresh = (one for one, key in zip(row.entries, keys, strict=True) if key not in seen)
                    row = replace(row, entries=tuple(fresh))
                seen.update(keys)
                done += 1
                if done > after:
                    yield row
                if done % PROGRESS == 0:
                    tell(done, self.total)
        tell(done, self.total)


def read(
    upload: Upload,
    *,
    format: Format | None = None,
    corrections: Corrections | None = None,
    limits: Limits | None = None,
) -> Reading:
    """What a file holds and how it would be read. ImportFailed for one that cannot be imported at all."""
    corrections, limits = corrections or Corrections(), limits or Limits()
    whole = checked(upload, limits)
    sources = _sources(whole, format, corrections, limits)
    names: set[Field] = set()
    parts: list[Part] = []
    rows = 0
    failed: ImportFailed | None = None
    for source in sources:
        count = _Counted(source.records, limits, rows, upload.name)
        sample = drawn(count())
        rows += count.rows
        if not count.rows:
            continue
        try:
            layout = guess(sample, corrections)
            names |= set(corrections.columns)
        except ImportFailed as error:
            failed = error  # one table of several may lack the column
            layout = guess(sample, replace(corrections, columns={}))
        parts.append(Part(source.name, source.format, with_order(layout, source.records()), count.rows, source.records))
    if failed is not None and not names:
        raise failed
    if not parts:
        raise ImportFailed(
            Code.EMPTY,
            f"{upload.name} holds no row that could be a show. Remedy: write a line for each, 'Radiohead, Reading "
            "1994', or a table with columns for artist, date and place; or name its --format",
        )
    return Reading(upload, upload.sha256(), tuple(parts), format, corrections, limits)


def read_rows(rows: Sequence[Mapping[str, Any]], name: str = "rows", corrections: Corrections | None = None) -> Reading:
    """The same of typed rows: objects with any names."""
    body = orjson.dumps(list(rows), option=orjson.OPT_NON_STR_KEYS)
    return read(Upload.of_bytes(f"{name}.json", body), format=Format.ROWS, corrections=corrections)


class _Counted:
    """Records while they are counted; ImportFailed when there are more than one import may have."""

    def __init__(self, records: Records, limits: Limits, before: int, name: str) -> None:
        self.records, self.limits, self.before, self.name = records, limits, before, name
        self.rows = 0

    def __call__(self) -> Iterator[Record]:
        for record in self.records():
            self.rows += 1
            if self.before + self.rows > self.limits.rows:
                raise ImportFailed(
                    Code.TOO_MANY_ROWS,
                    f"{self.name} has more than {self.limits.rows:,} rows, the most that one import may be. "
                    "Remedy: divide it into several files and import them one after the other",
                )
            yield record


# -- what a file is ---------------------------------------------------------------------------------------------------


def format_of(upload: Upload) -> Format:
    """What a file is, by its content first and its name second. ImportFailed for what is no list of any kind."""
    head = upload.head(1 << 16)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    small = start[:4_000].lower()
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return Format.ZIP
    if is_photo(head):
        return Format.PHOTOS
    for sign, what in _BINARY.items():
        if head.startswith(sign):
            raise ImportFailed(Code.BAD_DOCUMENT, f"{upload.name} is {what}")
    if b"begin:vcalendar" in small[:1_000]:
        return Format.ICALENDAR
    if head.startswith(b"From ") or upload.suffix in (".eml", ".mbox") or _is_mail(start):
        return Format.MAIL
    if documents.is_json(start) and (upload.suffix in (".json", ".jsonl", ".ndjson") or _begins_json(start)):
        return Format.JSON
    if any(sign in small for sign in (b"<!doctype html", b"<html", b"<table", b"<body", b"<ul", b"<ol")):
        return Format.HTML
    if upload.suffix in (".md", ".markdown"):
        return Format.MARKDOWN
    return Format.TEXT if upload.suffix not in (".csv", ".tsv", ".tab") else Format.CSV


def _is_mail(start: bytes) -> bool:
    names = {line.partition(b":")[0].lower() for line in start[:8_000].split(b"\n")[:60] if b":" in line[:40]}
    return (
        len(names & {b"from", b"to", b"subject", b"date", b"mime-version", b"message-id", b"received", b"return-path"})
        >= 3
    )


def _begins_json(start: bytes) -> bool:
    rest = start[1:].lstrip()[:1]
    return rest in (b'"', b"{", b"[", b"}", b"]") or (start[:1] == b"[" and rest.isdigit() and b"]" not in start[:12])


def _sources(upload: Upload, format: Format | None, corrections: Corrections, limits: Limits) -> list[Source]:
    found = format_of(upload)
    if found is Format.ZIP:
        return _of_archive(upload, format, corrections, limits)
    if found is Format.PHOTOS:
        return [_of_photos(upload.name, [(upload.name, upload.head(photos.HEAD))])]
    if format in (None, Format.ROWS, Format.SETLISTFM, Format.SONGKICK, Format.BANDSINTOWN, Format.PHOTOS, Format.ZIP):
        asked = found
    else:
        asked = format
    encoding = corrections.encoding or encoding_of(upload)
    try:
        "".encode(encoding)
    except LookupError:
        raise ImportFailed(Code.BAD_MAPPING, f"{encoding!r} is no encoding. Remedy: utf-8, cp1252, ...") from None
    if found is not Format.MAIL and asked is not Format.MAIL and _is_binary(upload, encoding):
        raise ImportFailed(Code.BAD_DOCUMENT, f"{upload.name} is no text. Remedy: save it as CSV, and import that")
    if asked is Format.MAIL:
        return [Source(upload.name, Format.MAIL, lambda: _mail(upload))]
    if asked is Format.ICALENDAR:
        return [
            Source(
                upload.name,
                Format.ICALENDAR,
                lambda: calendars.calendar_records(lines_of(upload, encoding), upload.name),
            )
        ]
    if asked is Format.JSON:
        return [_of_json(upload, encoding, limits)]
    if asked is Format.HTML:
        return _of_html(upload)
    if asked is Format.MARKDOWN:
        return _of_markdown(upload, encoding) or [_of_text(upload, encoding)]
    if asked is Format.CSV:
        return [_of_delimited(upload, encoding)]
    if format is not Format.TEXT:
        if found_tables := _of_markdown(upload, encoding):
            return found_tables
        if _looks_delimited(upload, encoding):
            return [_of_delimited(upload, encoding)]
    return [_of_text(upload, encoding)]


def _is_binary(upload: Upload, encoding: str) -> bool:
    if encoding.startswith(("utf-16", "utf-32")):
        return False
    head = upload.head(1 << 14)
    odd = sum(byte < 9 or 13 < byte < 32 for byte in head if byte != 27)
    return odd > max(8, len(head) // 10)


def _mail(upload: Upload) -> Iterator[Record]:
    with upload.opened() as file:
        yield from mails.mail_records(mails.mails_of(file), upload.name)


def _of_json(upload: Upload, encoding: str, limits: Limits) -> Source:
    def records() -> Iterator[Record]:
        return documents.json_records(upload, encoding, limits)

    first = next(iter(records()), None)
    if first is not None and set(first.cells) == {"line"} and first.fault is None:

        def lines() -> Iterator[Line]:
            for number, record in enumerate(records(), 1):
                text = record.cells.get("line", "")
                yield Line(number, record.original, text if isinstance(text, str) else "", record.fault)

        return _listed(upload.name, Format.JSON, lines)
    service = (first.own_id or "").partition(":")[0] if first is not None else ""
    return Source(upload.name, Format(service) if service in set(Format) else Format.JSON, records)


def _of_delimited(upload: Upload, encoding: str) -> Source:
    delimiter, _ = tables.delimiter_of(lines_of(upload, encoding))
    delimiter = "\t" if upload.suffix in (".tsv", ".tab") else delimiter

    def rows() -> Iterator[tables.Cells]:
        return tables.delimited(lines_of(upload, encoding), delimiter)

    return _of_rows(upload.name, Format.CSV, rows)


def _of_rows(name: str, format: Format, rows: Callable[[], Iterator[tables.Cells]]) -> Source:
    heading = tables.heading_of(row for row in rows() if row.fault is None)

    def records() -> Iterator[Record]:
        return tables.as_records(rows(), heading, name)

    names = {one.casefold(): one for one in heading.names}
    if photos.is_photo_table(heading.names) and not any(
        (found := meant(one)) is not None and found[0] is Field.ARTIST for one in heading.names
    ):
        return Source(name, Format.PHOTOS, lambda: photos.evenings(_shots(records())))
    own = names.get("setid") or names.get("setlist id") or names.get("setlistid")
    if own is not None:

        def with_ids() -> Iterator[Record]:
            for record in records():
                cell = record.cells.get(own)
                yield replace(record, own_id=f"setlistfm:{cell}") if isinstance(cell, str) and cell.strip() else record

        return Source(name, Format.SETLISTFM, with_ids)
    return Source(name, format, records)


def _shots(records: Iterable[Record]) -> Iterator[tuple[photos.Shot, bytes]]:
    for record in records:
        if record.fault is not None:
            yield photos.Shot(record.where, None, fault=record.fault), record.original
        else:
            yield photos.shot_of_row(record), record.original


def _of_photos(name: str, files: Sequence[tuple[str, bytes]]) -> Source:
    shots = [(photos.shot_of(photo, head), photo.encode("utf-8", "replace")) for photo, head in files]
    return Source(name, Format.PHOTOS, lambda: photos.evenings(shots))


def read_photos(name: str, files: Iterable[tuple[str, Callable[[], bytes]]], limits: Limits | None = None) -> Reading:
    """The same of many photos, each by its name and what gives its first bytes: a folder's."""
    limits = limits or Limits()
    shots = [(photos.shot_of(photo, head()[: photos.HEAD]), photo.encode("utf-8", "replace")) for photo, head in files]
    if len(shots) > limits.rows:
        raise ImportFailed(
            Code.TOO_MANY_ROWS, f"{name} has more than {limits.rows:,} photos. Remedy: import it in parts"
        )
    listed = orjson.dumps(
        [[shot.name, None if shot.taken is None else shot.taken.isoformat(), shot.lat, shot.lon] for shot, _ in shots]
    )
    upload = Upload.of_bytes(name, listed)
    source = Source(name, Format.PHOTOS, lambda: photos.evenings(shots))
    found = list(source.records())
    if not found:
        raise ImportFailed(Code.EMPTY, f"{name} holds no photo. Remedy: choose the folder with the JPEG or HEIC files")
    layout = with_order(guess(found, Corrections()), found)
    return Reading(
        upload,
        upload.sha256(),
        (Part(name, Format.PHOTOS, layout, len(found), source.records),),
        Format.PHOTOS,
        limits=limits,
    )


def _of_markdown(upload: Upload, encoding: str) -> list[Source]:
    def rows(table: int) -> Iterator[tables.Cells]:
        return (row for at, row in tables.markdown_tables(lines_of(upload, encoding)) if at == table)

    return _of_tables(
        upload.name, Format.MARKDOWN, (at for at, _ in tables.markdown_tables(lines_of(upload, encoding))), rows
    )


def _of_html(upload: Upload) -> list[Source]:
    def rows(table: int) -> Iterator[tables.Cells]:
        return (row for at, row in tables.html_rows(upload) if at == table)

    wide = (at for at, row in tables.html_rows(upload) if len(row.cells) > 1)
    found = _of_tables(upload.name, Format.HTML, wide, rows)
    return found or [_listed(upload.name, Format.HTML, lambda: tables.html_items(upload))]


def _of_tables(
    name: str, format: Format, numbers: Iterable[int], rows: Callable[[int], Iterator[tables.Cells]]
) -> list[Source]:
    sizes = Counter(numbers)
    chosen = sorted(number for number, count in sizes.most_common(MOST_TABLES) if count > 1)
    found = []
    for number in chosen:
        called = name if len(chosen) == 1 else f"{name} table {number + 1}"
        found.append(_of_rows(called, format, lambda number=number: rows(number)))  # type: ignore[misc]
    return found


def _of_text(upload: Upload, encoding: str) -> Source:
    return _listed(upload.name, Format.TEXT, lambda: lines_of(upload, encoding))


def _listed(name: str, format: Format, lines: Callable[[], Iterator[Line]]) -> Source:
    some = (line for line in lines() if line.number <= EVERY_LINE or line.number % 20 == 0)
    who = lists.roles(one for line in some if line.fault is None and (one := lists.split(line)) is not None)
    return Source(name, format, lambda: lists.text_records(lines(), name, who))


def _looks_delimited(upload: Upload, encoding: str) -> bool:
    """Whether a text without a telling name is a table: regular signs, and a heading or a column of days."""
    delimiter, regular = tables.delimiter_of(lines_of(upload, encoding))
    if regular < 0.4:
        return False
    rows = [
        row
        for row, _ in zip(
            tables.delimited(lines_of(upload, encoding), delimiter), range(tables.LOOKED_AT), strict=False
        )
    ]
    heading = tables.heading_of(rows)
    if heading.skipped:
        return True
    if delimiter in ("\t", ";") and regular > 0.6:
        return True
    width = max((len(row.cells) for row in rows), default=0)
    for index in range(width):
        cells = [row.cells[index].strip() for row in rows if index < len(row.cells) and row.cells[index].strip()]
        if (
            len(cells) >= 0.8 * len(rows)
            and sum(map(is_date, cells)) >= 0.8 * len(cells)
            and len(rows) > 1
            and width > 2
            and regular > 0.6
        ):
            return True
    return False


def _of_archive(upload: Upload, format: Format | None, corrections: Corrections, limits: Limits) -> list[Source]:
    """What is in an archive: its photos as one source, its mails as one, every other file as those that it holds."""
    shots: list[tuple[photos.Shot, bytes]] = []
    letters: list[Upload] = []
    refused: list[Record] = []
    sources: list[Source] = []
    for member in archives.members(upload, limits):
        name = f"{upload.name}/{member.name}"
        if member.photo is not None:
            shots.append((photos.shot_of(member.name, member.photo), member.name.encode("utf-8", "replace")))
        elif member.upload is None:
            fault = member.fault or Fault(Reason.UNKNOWN_FORMAT, "it cannot be read", "import it by itself")
            refused.append(Record(name, member.name.encode("utf-8", "replace"), fault=fault))
        elif member.upload.size() == 0:
            continue
        else:
            try:
                inner = Upload(name, member.upload.opened)
                if format_of(inner) is Format.MAIL:
                    letters.append(inner)
                else:
                    sources += _sources(inner, format, corrections, limits)
            except ImportFailed as error:
                if error.code in (Code.TOO_MANY_ROWS, Code.TOO_MANY_PAGES, Code.TOO_LARGE, Code.BAD_MAPPING):
                    raise
                text, _, remedy = error.text.partition(" Remedy: ")
                fault = Fault(Reason.UNKNOWN_FORMAT, text.rstrip(". "), remedy or "import it by itself")
                refused.append(Record(name, member.name.encode("utf-8", "replace"), fault=fault))
    if shots:
        sources.append(Source(f"{upload.name}: photos", Format.PHOTOS, lambda: photos.evenings(shots)))
    if letters:
        sources.append(Source(f"{upload.name}: mails", Format.MAIL, lambda: chain.from_iterable(map(_mail, letters))))
    if refused:
        sources.append(Source(upload.name, Format.ZIP, lambda: iter(refused)))
    return sources


# -- the dry run ------------------------------------------------------------------------------------------------------

SAMPLES = 5
LONGEST_SHOWN = 500
"""Characters of a row that a sample shows."""


@dataclass(frozen=True)
class DryRun:
    """What an import would do, before anything is kept."""

    reading: Reading
    counts: Mapping[Standing, int]
    entries: int
    samples: Mapping[Standing, tuple[Row, ...]]

    def as_json(self) -> dict[str, Any]:
        """For machines, and for a page that shows it and lets the columns be corrected."""
        return {
            "file": self.reading.upload.name,
            "sha256": self.reading.file_hash,
            "rows": self.reading.total,
            "entries": self.entries,
            "counts": {standing.value: self.counts.get(standing, 0) for standing in Standing},
            "parts": [_part_json(part) for part in self.reading.parts],
            "samples": {standing.value: [row_json(row) for row in rows] for standing, rows in self.samples.items()},
        }


def dry_run(
    reading: Reading,
    samples: int = SAMPLES,
    tell: Callable[[int, int], None] = lambda done, total: None,
    each: Callable[[Row], None] = lambda row: None,
) -> DryRun:
    """Counts and samples of all rows; goes through the file once. ImportFailed when too many entries would come of it.

    `each` sees every row.
    """
    counts: Counter[Standing] = Counter()
    kept: dict[Standing, list[Row]] = {}
    entries = written = 0
    for row in reading.rows(tell=tell):
        counts[row.standing] += 1
        entries += len(row.entries)
        written += len(row.entries) * len(row.original)
        if entries > reading.limits.entries or written > reading.limits.written:
            raise ImportFailed(
                Code.TOO_MANY_ROWS,
                f"{reading.upload.name} would be more than {reading.limits.entries:,} entries, or entries of more than "
                f"{reading.limits.written / 1_000_000:g} MB: each act of a row is one. "
                "Remedy: divide it into several files, or correct which columns are the acts",
            )
        each(row)
        if counts[row.standing] <= samples:
            kept.setdefault(row.standing, []).append(replace(row, original=row.original[: 4 * LONGEST_SHOWN]))
    return DryRun(
        reading, counts, entries, {standing: tuple(kept[standing]) for standing in Standing if standing in kept}
    )


def _part_json(part: Part) -> dict[str, Any]:
    layout = part.layout
    return {
        "name": part.name,
        "format": part.format.value,
        "rows": part.rows,
        "columns": [choice_json(choice) for choice in layout.choices],
        "unused": list(layout.unused),
        "date_order": None if layout.date_order is None else layout.date_order.value,
        "date_order_given": layout.given is not None,
        "date_order_confidence": round(layout.order.confidence, 4),
        "date_order_why": layout.order.text,
        "separator": layout.separator,
        "separator_why": layout.separator_why,
    }


def choice_json(choice: Choice) -> dict[str, Any]:
    """A guess, for machines."""
    return {
        "field": choice.field.value,
        "columns": list(choice.columns),
        "why": choice.why,
        "confidence": round(choice.confidence, 2),
    }


def row_json(row: Row) -> dict[str, Any]:
    """A row, for machines: what it says, and what is wrong with it."""
    return {
        "where": row.where,
        "original": row.original.decode("utf-8", "replace")[:LONGEST_SHOWN],
        "entries": [
            one.as_row("")["entry_id"] and {k: v for k, v in one.as_row("").items() if k != "user"}
            for one in row.entries
        ],
        "doubts": list(row.doubts),
        "reason": None if row.fault is None else row.fault.reason.value,
        "text": None if row.fault is None else row.fault.text,
        "remedy": None if row.fault is None else row.fault.remedy,
    }
