"""Files as people and programs write them, made in the test that reads them."""

import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from api.imports.reading import Reading, read
from api.imports.shapes import Corrections, Format, Limits, Row, Standing
from api.imports.uploads import Upload


def reading_of(name: str, body: str | bytes, **options: Any) -> Reading:
    """A file of this name and content, read."""
    return read(Upload.of_bytes(name, body.encode() if isinstance(body, str) else body), **options)


def rows_of(name: str, body: str | bytes, **options: Any) -> list[Row]:
    return list(reading_of(name, body, **options).rows())


def said(rows: list[Row]) -> list[dict[str, Any]]:
    """What the entries of rows say, without ids."""
    return [without_id(one.as_row("me")) for row in rows for one in row.entries]


def without_id(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("user", "entry_id", "date_order")}


def shows_of(name: str, body: str | bytes, **options: Any) -> list[dict[str, Any]]:
    return said(rows_of(name, body, **options))


def faults_of(rows: list[Row]) -> list[str]:
    return [str(row.fault) for row in rows if row.standing is Standing.UNREADABLE]


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    body = BytesIO()
    with zipfile.ZipFile(body, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return body.getvalue()


# -- photos -----------------------------------------------------------------------------------------------------------


def exif(taken: str | None, point: tuple[float, float] | None = None) -> bytes:
    """A TIFF block with DateTimeOriginal and GPS, as cameras write it; big endian."""
    exif_tags = [] if taken is None else [(0x9003, 2, len(taken) + 1, taken.encode() + b"\0")]
    gps_tags: list[tuple[int, int, int, bytes]] = []
    if point is not None:
        lat, lon = point
        gps_tags = [
            (1, 2, 2, b"N\0" if lat >= 0 else b"S\0"),
            (2, 5, 3, _degrees(lat)),
            (3, 2, 2, b"E\0" if lon >= 0 else b"W\0"),
            (4, 5, 3, _degrees(lon)),
        ]
    first = 8
    pointers = 2 + 12 * 2 + 4
    exif_at = first + pointers
    exif_block = _directory(exif_tags, exif_at)
    gps_at = exif_at + len(exif_block)
    gps_block = _directory(gps_tags, gps_at)
    head = struct.pack(">2sHI", b"MM", 42, first)
    main = (
        struct.pack(">H", 2) + struct.pack(">HHII", 0x8769, 4, 1, exif_at) + struct.pack(">HHII", 0x8825, 4, 1, gps_at)
    )
    return head + main + struct.pack(">I", 0) + exif_block + gps_block


def _degrees(value: float) -> bytes:
    value = abs(value)
    degrees, minutes = int(value), int(value % 1 * 60)
    seconds = round((value - degrees - minutes / 60) * 3600 * 1000)
    return struct.pack(">6I", degrees, 1, minutes, 1, seconds, 1000)


def _directory(tags: list[tuple[int, int, int, bytes]], at: int) -> bytes:
    values = at + 2 + 12 * len(tags) + 4
    entries, behind = b"", b""
    for tag, kind, count, value in tags:
        if len(value) <= 4:
            entries += struct.pack(">HHI", tag, kind, count) + value.ljust(4, b"\0")
        else:
            entries += struct.pack(">HHII", tag, kind, count, values + len(behind))
            behind += value
    return struct.pack(">H", len(tags)) + entries + struct.pack(">I", 0) + behind


def jpeg(metadata: bytes, picture: bytes = b"") -> bytes:
    body = b"Exif\0\0" + metadata
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(body) + 2) + body + b"\xff\xda" + picture + b"\xff\xd9"


def heic(metadata: bytes) -> bytes:
    """As phones write it: the metadata are an item of their own among the picture's."""
    item = struct.pack(">I", 6) + b"Exif\0\0" + metadata
    kind = b"heic" + struct.pack(">I", 0) + b"mif1heic"
    return _box(b"ftyp", kind) + _box(b"meta", b"\0" * 40) + _box(b"mdat", b"\1" * 500 + item + b"\2" * 500)


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + name + body


__all__ = [
    "Corrections",
    "Format",
    "Limits",
    "Standing",
    "exif",
    "faults_of",
    "heic",
    "jpeg",
    "reading_of",
    "rows_of",
    "said",
    "shows_of",
    "without_id",
    "zipped",
]
