"""Rows out of one file: CSV, JSON lines, JSON, an SQLite database or its dump as text, each also packed (.gz, .zip).

What kind of file it is, its first bytes tell; names are asked only where they do not. Rows come one by one, so that a
hundred thousand take no more memory than one, beside the file itself. A row that cannot be read is a `BadRow` with its
line, and the rows around it go on; a file that cannot is `Unusable`.

A file of somebody else may be made to harm: what it unpacks to is bounded, a dump may create tables and fill them and
nothing else, and no statement works for longer than `PATIENCE_S`.

Errors
    Unusable    the file is not what it should be; the message has the remedy
"""

import codecs
import csv
import gzip
import io
import itertools
import json
import re
import sqlite3
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, TypeAlias

import orjson

from schemas.rejection import Reason

LARGEST = 512 * 1_048_576
"""Bytes of a file unpacked: a database of half a million concerts has 100 MB."""
LARGEST_AT_ONCE = 192 * 1_048_576
"""Bytes of what has to be in memory as a whole: JSON that is no JSON lines, a database, a dump."""
LONGEST_VALUE = 4 * 1_048_576
"""Bytes of one value in a database; a message has no room for more."""
MOST_LINES = 200
"""Lines of one CSV row: a quote that is not closed by then was never meant to be one."""
SAMPLE_LINES = 25
"""Lines that tell the delimiter."""
TOLD_LINES = 400
"""Lines beyond ASCII that tell the encoding."""
HEAD = 65_536
PATIENCE_S = 30.0
"""Longest time a database may take for its next row; loading a dump of 196 MB took 3 to 8 s."""
DELIMITERS = (",", ";", "\t", "|")
MAGIC = b"SQLite format 3\0"
_SQL = re.compile(
    r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/;?\s*)*"
    r"(?:PRAGMA\s+\w+\s*=|BEGIN\b[\s\w]*;|(?:CREATE|DROP)\s+(?:VIRTUAL\s+)?TABLE\s|INSERT\s+INTO\s|SET\s+@?\w+\s*=)",
    re.IGNORECASE | re.DOTALL,
)
_PACKED = {".gz": b"\x1f\x8b", ".zip": b"PK\x03\x04"}
_SURROGATE = re.compile("[\ud800-\udfff]")


class Unusable(Exception):
    """The file cannot be read."""


@dataclass(frozen=True)
class Layout:
    """What is known of a file beforehand; empty: its bytes tell."""

    delimiter: str = ""
    encoding: str = ""
    header: tuple[str, ...] = ()
    """Names of the columns of a CSV file whose first line is a row already."""
    path: tuple[str, ...] = ()
    """Where the list stands in a JSON object."""
    table: str = ""
    query: str = ""
    """A SELECT, for a database whose rows stand in several tables."""
    member: str = ""
    """Which file of a .zip."""


@dataclass(frozen=True)
class Row:
    """One row, and the line it begins on; of a database its number."""

    line: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class BadRow:
    """One that cannot be read."""

    line: int
    reason: Reason
    text: str
    original: bytes


Read: TypeAlias = Row | BadRow
Open: TypeAlias = Callable[[], BinaryIO]


@dataclass(frozen=True)
class Table:
    """A file, opened: what it is, which columns it has, its rows."""

    kind: str
    """CSV, JSON lines, JSON, SQLite."""
    columns: tuple[str, ...] | None
    """None: each row has its own names."""
    rows: Iterator[Read]


def table_of(body: bytes, name: str = "", layout: Layout | None = None) -> Table:
    """The rows of a file. Unusable."""
    layout = layout or Layout()
    open_, name = unpacked(lambda: io.BytesIO(body), name, layout.member)
    with closing(open_()) as stream:
        head = stream.read(HEAD)
    if head.startswith(MAGIC):
        return _database(open_, layout)
    encoding = layout.encoding or _marked(head)
    text = _text_of(head, encoding).lstrip()
    if text.startswith(("{", "[")):
        if _is_lines(text, name, len(head) < HEAD):
            return Table("JSON lines", None, json_lines(open_))
        return Table("JSON", None, json_rows(open_, layout.path, encoding))
    if text.startswith("<"):
        raise Unusable("it is a page or XML, and no catalogue. Remedy: the address of the file itself.")
    if name.endswith(".sql") or _SQL.match(text):
        return _dump(open_, layout)
    if "\0" in text:
        raise Unusable("it is neither text nor an SQLite database. Remedy: CSV, JSON, JSON lines or SQLite.")
    return _csv(open_, layout, encoding or encoding_of(open_))


# -- packed -----------------------------------------------------------------------------------------------------------


class _Bounded(io.RawIOBase):
    """A stream that ends with an error where more comes out than may."""

    def __init__(self, inner: BinaryIO, most: int) -> None:
        self._inner = inner
        self._left = most
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            read = self._inner.read(len(buffer))
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise Unusable(f"it cannot be unpacked: {error}. Remedy: pack it again.") from error
        self._left -= len(read)
        if self._left < 0:
            raise Unusable(f"it unpacks to more than {self._most // 1_048_576} MB. Remedy: split it.")
        buffer[: len(read)] = read
        return len(read)

    def close(self) -> None:
        self._inner.close()
        super().close()


def unpacked(open_: Open, name: str, member: str = "") -> tuple[Open, str]:
    """What opens the file inside, however often it was packed up to twice, and its name."""
    for _ in range(2):
        with closing(open_()) as stream:
            magic = stream.read(4)
        if magic.startswith(_PACKED[".gz"]):
            open_, name = _gunzip(open_), name.removesuffix(".gz")
        elif magic.startswith(_PACKED[".zip"]):
            archive = partial(io.BytesIO, _whole(open_))  # what is in it stands at its end
            name = _member(archive, member)
            open_ = _unzip(archive, name)
    return open_, name


def _gunzip(packed: Open) -> Open:
    return lambda: io.BufferedReader(_Bounded(gzip.GzipFile(fileobj=packed()), LARGEST))  # type: ignore[arg-type]


def _unzip(packed: Open, name: str) -> Open:
    def open_() -> BinaryIO:
        try:
            inner = zipfile.ZipFile(packed()).open(name)  # noqa: SIM115 - whoever reads it closes it
        except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:  # a password, a method of the future
            raise Unusable(f"{name} cannot be unpacked: {error}. Remedy: pack it again.") from error
        return io.BufferedReader(_Bounded(inner, LARGEST))  # type: ignore[arg-type]

    return open_


def _member(packed: Open, member: str) -> str:
    try:
        with zipfile.ZipFile(packed()) as archive:
            names = [one.filename for one in archive.infolist() if not one.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise Unusable(f"it is no whole .zip: {error}. Remedy: get it again.") from error
    names = [name for name in names if not name.startswith("__MACOSX/")]
    if member:
        if member not in names:
            raise Unusable(f"there is no {member} in it, but {_some(names)}. Remedy: `member` names one of them.")
        return member
    if len(names) != 1:
        raise Unusable(f"it holds {len(names)} files: {_some(names)}. Remedy: `member` names one of them.")
    return names[0]


def _some(names: Sequence[str]) -> str:
    told = ", ".join(names[:12])
    return f"{told}, ..." if len(names) > 12 else told or "nothing"


def _whole(open_: Open) -> bytes:
    with closing(open_()) as stream:
        body = stream.read(LARGEST_AT_ONCE + 1)
    if len(body) > LARGEST_AT_ONCE:
        raise Unusable(
            f"it has more than {LARGEST_AT_ONCE // 1_048_576} MB, and has to be read as a whole. "
            "Remedy: CSV or JSON lines, which are read line by line."
        )
    return body


# -- text -------------------------------------------------------------------------------------------------------------


def _marked(head: bytes) -> str:
    """The encoding that the first bytes tell of themselves."""
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    return "utf-16" if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ""


def _text_of(body: bytes, encoding: str) -> str:
    try:
        return body.decode(encoding or "utf-8", "replace").removeprefix("\ufeff")
    except LookupError as error:
        raise Unusable(f"there is no encoding {encoding!r}. Remedy: utf-8, latin-1, cp1252, utf-16.") from error


def encoding_of(open_: Open) -> str:
    """UTF-8 where most lines beyond ASCII are that; else Windows' Western one, which is Latin-1 and some signs."""
    good = bad = 0
    with closing(open_()) as stream:
        for line in stream:
            if line.isascii():
                continue
            try:
                line.decode()
            except UnicodeDecodeError:
                bad += 1
            else:
                good += 1
            if good + bad >= TOLD_LINES:
                break
    return "utf-8" if good >= bad else "cp1252"


def _lines(open_: Open, encoding: str) -> Iterator[str]:
    """Lines with their ends; bytes that the encoding does not have are kept as surrogates."""
    with closing(io.TextIOWrapper(open_(), encoding=encoding, errors=_keeping(encoding), newline="")) as text:
        yield from text


def _keeping(encoding: str) -> str:
    return "replace" if "16" in encoding else "surrogateescape"


def _broken(line: int, text: str, encoding: str) -> BadRow | None:
    """The rejection of a row with bytes that are no text."""
    found = _SURROGATE.search(text)
    if found is None:
        return None
    told = f"line {line}: byte 0x{ord(found[0]) & 0xFF:02X} is not {encoding}: declare the `encoding`"
    return BadRow(line, Reason.BAD_VALUE, told, text.encode("utf-8", "surrogateescape"))


# -- CSV --------------------------------------------------------------------------------------------------------------


def _csv(open_: Open, layout: Layout, encoding: str) -> Table:
    lines = _lines(open_, encoding)
    delimiter = layout.delimiter or delimiter_of(open_, encoding)
    if len(delimiter) != 1:
        raise Unusable(f"the delimiter {delimiter!r} is not one sign. Remedy: `delimiter` names one, as '\\t'.")
    cut = _cut(lines, delimiter)
    header = layout.header
    if not header:
        try:
            first = next(one for one in cut if isinstance(one[2], BadRow) or any(field.strip() for field in one[2]))
        except StopIteration:
            raise Unusable("it is empty. Remedy: look at the address.") from None
        if isinstance(first[2], BadRow):
            raise Unusable(f"its header cannot be read: {first[2].text}. Remedy: declare `header`.")
        header = tuple(field.removeprefix("\ufeff").strip() for field in first[2])
    return Table("CSV", header, _csv_rows(cut, header, encoding))


def _csv_rows(
    cut: Iterator[tuple[int, str, "list[str] | BadRow"]], header: tuple[str, ...], encoding: str
) -> Iterator[Read]:
    width = len(header)
    for line, text, fields in cut:
        if isinstance(fields, BadRow):
            yield fields
        elif broken := _broken(line, text, encoding):
            yield broken
        elif any(field.strip() for field in fields[width:]):
            told = f"line {line}: {len(fields)} fields where the header has {width}"
            yield BadRow(line, Reason.BAD_VALUE, told, text.encode("utf-8", "surrogateescape"))
        elif any(field.strip() for field in fields):
            yield Row(line, dict(zip(header, fields, strict=False)))


def _cut(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, str, "list[str] | BadRow"]]:
    """Line, text and fields of each row.

    Python's reader would take a quote that nobody closes for the beginning of a field, and all rows after it for its
    end. So rows are put together line by line, and where a quote stays open, its line alone is bad.
    """
    ahead: list[str] = []
    number = 0
    while True:
        line = ahead.pop(0) if ahead else next(lines, None)
        if line is None:
            return
        number += 1
        text, more = line, 0
        if '"' not in line:
            yield number, line, line.rstrip("\r\n").split(delimiter)
            continue
        fields, open_ = _fields(text, delimiter)
        while open_ and more < MOST_LINES:
            if more == len(ahead):
                following = next(lines, None)
                if following is None:
                    break
                ahead.append(following)
            text += ahead[more]
            more += 1
            if ahead[more - 1].count('"') or more == MOST_LINES:  # only a quote can close it
                fields, open_ = _fields(text, delimiter)
        if fields is None:
            told = f"line {number}: a quote is not closed, or stands within a field"
            yield number, line, BadRow(number, Reason.BAD_VALUE, told, line.encode("utf-8", "surrogateescape"))
            continue
        yield number, text, fields
        number += more
        del ahead[:more]


def _fields(text: str, delimiter: str) -> tuple[list[str] | None, bool]:
    """The fields of a row, and whether it goes on: a quote is open. Neither: it is none."""
    try:
        return next(csv.reader((text,), delimiter=delimiter, strict=True), []), False
    except csv.Error as error:
        return None, "unexpected end" in str(error)


def delimiter_of(open_: Open, encoding: str) -> str:
    """The sign that cuts the most of the first lines into as many fields as the header, two at least."""
    sample = list(itertools.islice(_lines(open_, encoding), SAMPLE_LINES))
    best, most = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        widths = [len(fields) for _, _, fields in _cut(iter(sample), delimiter) if isinstance(fields, list)]
        if widths and widths[0] > 1:
            told = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
            best, most = (delimiter, told) if told > most else (best, most)
    return best


# -- JSON -------------------------------------------------------------------------------------------------------------


def _is_lines(text: str, name: str, complete: bool) -> bool:
    """Whether each line is a value of its own."""
    if name.endswith((".jsonl", ".ndjson", ".jsonlines")):
        return True
    first, _, rest = text.partition("\n")
    if not rest.strip():
        return False if complete else "\n" in text
    try:
        orjson.loads(first)
    except orjson.JSONDecodeError:
        return False
    return True


def json_lines(open_: Open) -> Iterator[Read]:
    """An object a line; empty lines are none."""
    with closing(open_()) as stream:
        for number, line in enumerate(stream, 1):
            told = line.removeprefix(codecs.BOM_UTF8).strip() if number == 1 else line.strip()
            if not told:
                continue
            try:
                value = orjson.loads(told)
            except orjson.JSONDecodeError as error:
                yield BadRow(number, Reason.NOT_JSON, f"line {number}: not JSON: {error}", told)
                continue
            yield _object(number, value)


def json_rows(open_: Open, path: tuple[str, ...], encoding: str) -> Iterator[Read]:
    """The objects of an array, one decoded at a time; of an object without an array, itself."""
    body = _whole(open_)
    try:
        text = body.decode(encoding or "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Unusable(f"it is not {encoding or 'UTF-8'}: {error}. Remedy: declare the `encoding`.") from error
    del body
    decoder = json.JSONDecoder()
    try:
        at = _descended(decoder, text, path)
        if at < 0:
            raise Unusable(f"there is no list at {'.'.join(path)} in it. Remedy: `rows` says where it stands.")
        if text[at] != "[":
            yield _object(text.count("\n", 0, at) + 1, decoder.raw_decode(text, at)[0])
            return
        line, counted = 1, 0
        at = _after(text, at + 1)
        while text[at] != "]":
            line, counted = line + text.count("\n", counted, at), at
            value, at = decoder.raw_decode(text, at)
            yield _object(line, value)
            at = _after(text, at)
            if text[at] == ",":
                at = _after(text, at + 1)
            elif text[at] != "]":
                raise Unusable(f"it is not JSON: a comma is missing at character {at}. Remedy: get it again.")
    except (ValueError, IndexError, RecursionError) as error:
        told = str(error) or type(error).__name__
        told = "it ends within a value" if isinstance(error, IndexError) else told
        raise Unusable(f"it is not JSON: {told}. Remedy: get it again; it may have been cut off.") from error


def _descended(decoder: json.JSONDecoder, text: str, path: tuple[str, ...]) -> int:
    """Where the value at this path of objects begins; -1 when there is none."""
    at = _after(text, 0)
    for name in path:
        if text[at] != "{":
            break  # a list in the place of the object around it
        at = _after(text, at + 1)
        while text[at] != "}":
            key, at = decoder.raw_decode(text, at)
            at = _after(text, at)
            if text[at] != ":":
                raise ValueError(f"a colon is missing at character {at}")
            at = _after(text, at + 1)
            if key == name:
                break
            _, at = decoder.raw_decode(text, at)
            at = _after(text, at)
            at = _after(text, at + 1) if text[at] == "," else at
        else:
            return -1
    return at


_BLANK = re.compile(r"[ \t\n\r]*")


def _after(text: str, at: int) -> int:
    """The next place that is not blank."""
    found = _BLANK.match(text, at)
    assert found is not None
    return found.end()


def _object(line: int, value: Any) -> Read:
    if isinstance(value, Mapping):
        return Row(line, value)
    told = f"line {line}: a row is not an object"
    return BadRow(line, Reason.WRONG_TYPE, told, json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


# -- SQLite -----------------------------------------------------------------------------------------------------------

_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}
_FILLING = _READING | {
    sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_CREATE_INDEX,
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_TRANSACTION,
    sqlite3.SQLITE_REINDEX,
}
_HARMLESS = frozenset(
    {"char", "coalesce", "count", "date", "group_concat", "ifnull", "json_extract", "length", "like", "lower"}
)
_HARMLESS |= {"max", "min", "printf", "replace", "strftime", "substr", "sum", "trim", "unistr", "upper"}
_ITS_OWN = frozenset({"sqlite_master", "sqlite_schema", "sqlite_sequence", "sqlite_stat1", "sqlite_stat4"})


class _Patience:
    """Interrupts a statement that works for longer than `PATIENCE_S`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.begin()
        database.set_progress_handler(self._over, 20_000)

    def begin(self) -> None:
        """From now on."""
        self._until = time.monotonic() + PATIENCE_S

    def _over(self) -> bool:
        return time.monotonic() > self._until


def _database(open_: Open, layout: Layout) -> Table:
    """An SQLite file; only a copy in memory is opened."""
    body = bytearray(_whole(open_))
    body[18:20] = b"\1\1"  # one in WAL mode cannot be opened in memory; what is in its log is not in the file anyway
    database = _connected()
    try:
        database.deserialize(bytes(body))
        del body
        database.execute("PRAGMA trusted_schema=OFF")
        return _selected(database, layout)
    except sqlite3.Error as error:
        raise Unusable(f"it is no whole SQLite database: {error}. Remedy: get it again.") from error


def _dump(open_: Open, layout: Layout) -> Table:
    """Statements, run in an empty database in memory that lets them create tables and fill them."""
    database = _connected()
    database.execute(f"PRAGMA max_page_count={LARGEST // 4096}")
    filling = _Filling()
    database.set_authorizer(filling)
    _Patience(database)
    begun, first, line = "", 1, 0
    try:
        for line, text in enumerate(_lines(open_, layout.encoding or "utf-8"), 1):
            begun += text
            if len(begun) > LONGEST_VALUE:
                raise Unusable(f"line {first}: a statement has more than 4 MB. Remedy: an SQLite file, or CSV.")
            if text.rstrip().endswith(";") and sqlite3.complete_statement(begun):
                filling.run(database, begun)
                begun, first = "", line + 1
        if begun.strip():
            filling.run(database, begun)
    except (sqlite3.Error, UnicodeEncodeError) as error:
        told = f"line {first}: {filling.refused or error}"
        raise Unusable(f"it is no dump of an SQLite database: {told}. Remedy: `sqlite3 FILE .dump`, or CSV.") from error
    return _selected(database, layout)


class _Filling:
    """Lets statements create tables and fill them.

    Views and triggers are passed over, and so are the PRAGMAs that a dump begins with; whatever else it does ends it.
    """

    def __init__(self) -> None:
        self.refused = ""
        self._passed_over = False

    def run(self, database: sqlite3.Connection, statements: str) -> None:
        """One statement, or several on one line."""
        self._passed_over = False
        if _TRANSACTION.fullmatch(statements):  # Python ends one before each script; nobody else sees this database
            return
        try:
            database.executescript(statements)
        except sqlite3.DatabaseError:
            if not self._passed_over or self.refused:
                raise

    def __call__(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action in _FILLING or (action == sqlite3.SQLITE_FUNCTION and second in _HARMLESS):
            return sqlite3.SQLITE_OK
        if action in {sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE} and first in _ITS_OWN:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_PRAGMA:
            return sqlite3.SQLITE_IGNORE
        if action in {sqlite3.SQLITE_CREATE_VIEW, sqlite3.SQLITE_CREATE_TRIGGER}:
            self._passed_over = True
        else:
            self.refused = f"{_REFUSED.get(action, 'what it does')} is not allowed in it"
        return sqlite3.SQLITE_DENY


_TRANSACTION = re.compile(r"\s*(?:BEGIN|COMMIT|END)\b[\s\w]*;\s*", re.IGNORECASE)
_REFUSED = {
    sqlite3.SQLITE_ATTACH: "ATTACH",
    sqlite3.SQLITE_DELETE: "DELETE",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_RECURSIVE: "a recursive query",
    sqlite3.SQLITE_CREATE_VTABLE: "a virtual table",
    sqlite3.SQLITE_FUNCTION: "that function",
}


def _connected() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    database.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    return database


def _selected(database: sqlite3.Connection, layout: Layout) -> Table:
    database.set_authorizer(_reading)
    kinds = dict(
        database.execute(
            "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' "
            "ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY rowid"
        ).fetchall()
    )
    tables = [name for name, kind in kinds.items() if kind == "table"] or list(kinds)
    table = layout.table
    if not layout.query and not table and len(tables) != 1:
        raise Unusable(f"it has {len(tables)} tables: {_some(tables)}. Remedy: `table` names one, or `query` selects.")
    if table and table not in kinds:
        raise Unusable(f"there is no table {table}, but {_some(list(kinds))}. Remedy: `table` names one of them.")
    quoted = (table or (tables[0] if tables else "")).replace('"', '""')
    patience = _Patience(database)
    try:
        cursor = database.execute(layout.query or f'SELECT * FROM "{quoted}"')  # noqa: S608 - a name of its own schema
    except sqlite3.Error as error:
        raise Unusable(
            f"its rows cannot be selected: {error}. Remedy: `table` names one of {_some(tables)}."
        ) from error
    columns = tuple(one[0] for one in cursor.description or ())
    return Table("SQLite", columns, _selection(database, cursor, columns, patience))


def _selection(
    database: sqlite3.Connection, cursor: sqlite3.Cursor, columns: tuple[str, ...], patience: _Patience
) -> Iterator[Read]:
    with closing(database):
        for number in itertools.count(1):
            patience.begin()  # its own time: whoever takes the rows may wait between them
            try:
                row = cursor.fetchone()
            except sqlite3.Error as error:
                raise Unusable(f"it ends at row {number}: {error}. Remedy: get it again.") from error
            if row is None:
                return
            values = {name: None if isinstance(v, bytes) else v for name, v in zip(columns, row, strict=True)}
            told = "".join(value for value in values.values() if isinstance(value, str))
            yield _broken(number, told, "utf-8") or Row(number, values)


def _reading(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    allowed = action in _READING or (action == sqlite3.SQLITE_FUNCTION and second in _HARMLESS)
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
