"""An export as a zip: a CSV file for each kind, the files that were uploaded, and a page that says what is what.

A zip rather than one CSV a call: kinds have columns of their own, and only one call is one snapshot. It is written as
it is sent, each part compressed on its way; nothing is kept on a disk.

CSV is RFC 4180, UTF-8 without a mark, the first line names the columns. A text that a spreadsheet would take for a
formula (it begins with = + - @, a tab or a line's end, or their wide forms) has an apostrophe before it, which
spreadsheets take for "this is text"; numbers have none. Lists are one text each, with semicolons. The JSON export has
everything as it is.
"""

import csv
import io
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from api.export.json_file import piece_of
from api.export.kinds import KINDS, LEFT_OUT, Kind, about
from api.export.rows import Snapshot

PIECE = 65_536
"""Bytes that are collected before they are sent."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
README = "README.txt"


def cell(value: Any) -> str:
    """A value as a CSV file has it, and no spreadsheet runs it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        scalars = all(one is None or isinstance(one, str | int | float) for one in value)
        value = "; ".join(str(one) for one in value) if scalars else orjson.dumps(value).decode()
    elif isinstance(value, Mapping):
        value = orjson.dumps(value).decode()
    text = str(value).replace("\x00", "")
    return f"'{text}" if text.startswith(_FORMULA) else text


class _Sent:
    """What zipfile writes to: it is sent, not kept, so there is no way back in it."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        self._size += len(part)
        return len(part)

    def flush(self) -> None:
        """Nothing waits."""

    def take(self, least: int = PIECE) -> bytes:
        """What came since the last call, once it is this much."""
        if self._size < least:
            return b""
        taken, self._parts, self._size = b"".join(self._parts), [], 0
        return taken


async def zip_of_csv(snapshot: Snapshot, kinds: Sequence[Kind] = KINDS) -> AsyncIterator[bytes]:
    """The zip, piece by piece. Its table of contents comes last: one that was cut off does not open."""
    sent = _Sent()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:  # type: ignore[call-overload]
        for kind in kinds:
            write = _files if kind.files else _csv
            async for _ in write(archive, snapshot, kind):
                if piece := sent.take():
                    yield piece
        archive.writestr(_named(README, snapshot.at), _readme(snapshot, kinds))
    yield sent.take(0)


async def _csv(archive: zipfile.ZipFile, snapshot: Snapshot, kind: Kind) -> AsyncIterator[None]:
    with archive.open(_named(f"{kind.name}.csv", snapshot.at), "w", force_zip64=True) as file:
        file.write(_lines(lambda out: out.writerow(kind.columns)))
        async for rows in snapshot.of(kind):
            flat = [one for row in rows for one in kind.flat(orjson.loads(row))]
            cells = [[cell(one.get(column)) for column in kind.columns] for one in flat]
            file.write(_lines(lambda out, cells=cells: out.writerows(cells)))  # type: ignore[misc]
            yield


async def _files(archive: zipfile.ZipFile, snapshot: Snapshot, kind: Kind) -> AsyncIterator[None]:
    """Pieces put together again; the names are ours, whatever the file was called."""
    name, file = "", None
    try:
        async for rows in snapshot.of(kind):
            for row in map(orjson.loads, rows):
                wanted = f"{kind.name}/{row['import_id']}.{row['what']}"
                if file is None or wanted != name:
                    if file is not None:
                        file.close()
                    name, file = wanted, archive.open(_named(wanted, snapshot.at), "w", force_zip64=True)
                file.write(piece_of(row))
                yield
    finally:
        if file is not None:
            file.close()


def _lines(write: Callable[[Any], object]) -> bytes:
    text = io.StringIO(newline="")
    write(csv.writer(text))
    return text.getvalue().encode()


def _named(name: str, at: datetime) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, at.astimezone(UTC).timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _readme(snapshot: Snapshot, kinds: Sequence[Kind]) -> str:
    told = about(kinds)
    files = "\n".join(f"{kind.name + ('/' if kind.files else '.csv'):22} {told[kind.name]}" for kind in kinds)
    left = "\n".join(f"{place:32} {why}" for place, why in LEFT_OUT.items())
    return (
        f"All that Gigz has of {snapshot.user}, as it was at {snapshot.at:%Y-%m-%d %H:%M:%S} UTC.\n\n{files}\n\n"
        "A text that a spreadsheet would run as a formula has an apostrophe before it.\n"
        "The JSON export has the same rows, whole.\n\nNot in it\n\n"
        f"{left}\n"
    )
