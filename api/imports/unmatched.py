"""The rows that could not be read, as they were, each with its reason and what would help.

As JSON lines a row stands as it was, byte for byte. As CSV it is for people with a spreadsheet: what such a program
would take for a formula gets an apostrophe before it (OWASP, CSV injection).
"""

import base64
import csv
import io
from collections.abc import Callable, Mapping
from typing import IO, Any

import orjson

from api.imports.shapes import Row

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
COLUMNS = ("where", "reason", "text", "remedy", "original")


def as_json(row: Row) -> dict[str, Any]:
    """A row for machines; `original` where it is UTF-8, else `original_base64`."""
    fault = row.fault
    said: dict[str, Any] = {"where": row.where}
    if fault is not None:
        said |= {"reason": fault.reason.value, "text": fault.text, "remedy": fault.remedy}
    try:
        said["original"] = row.original.decode()
    except UnicodeDecodeError:
        said["original"] = row.original.decode("cp1252", "replace")
        said["original_base64"] = base64.b64encode(row.original).decode()
    return said


def harmless(text: str) -> str:
    """A cell that no spreadsheet runs."""
    text = text.replace("\0", "")
    return f"'{text}" if text.startswith(FORMULA) else text


def writer(file: IO[bytes], name: str) -> Callable[[Row], None]:
    """Writes one row after the other: as CSV where the file is called so, else as JSON lines."""
    if not name.casefold().endswith(".csv"):

        def write(row: Row) -> None:
            file.write(orjson.dumps(as_json(row)) + b"\n")

        return write

    file.write(csv_lines(None))

    def write_cells(row: Row) -> None:
        file.write(csv_lines(as_json(row)))

    return write_cells


def csv_lines(told: Mapping[str, Any] | None) -> bytes:
    """A row of `as_json` as one of a table; None: the headings."""
    line = io.StringIO(newline="")
    cells = COLUMNS if told is None else [harmless(str(told.get(column, ""))) for column in COLUMNS]
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().encode("utf-8", "replace")


def original_of(told: Mapping[str, Any]) -> bytes:
    """The bytes of a row of `as_json`, as they stood."""
    if "original_base64" in told:
        return base64.b64decode(told["original_base64"])
    return str(told["original"]).encode()


def originals(row: Row) -> bytes:
    """A row as it was, with a line's end: all of them together are the file of what is left to correct."""
    return row.original + b"\n"
