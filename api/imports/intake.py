"""What is kept of a file that was uploaded: all of it, but of photos only when and where they were taken.

A photo becomes a table of one row, as exiftool writes them; an archive with photos becomes one with such a table in
their place. What cannot be opened in such an archive is a row of that table, with the reason: nothing that may hold a
picture is kept. Any other file is kept as it is.
"""

import csv
import io
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from api.imports import archives, photos
from api.imports.shapes import Fault, Limits, Reason
from api.imports.uploads import CHUNK, Upload, checked, is_photo

TABLE = "photos.csv"
COLUMNS = ("SourceFile", "DateTimeOriginal", "GPSLatitude", "GPSLongitude", "Unreadable")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""Of every file in an archive that is written here, so that the same photos give the same bytes."""


def taken_in(path: Path, name: str, out: Path, limits: Limits) -> dict[str, Any]:
    """The name and the place of the file that is kept: the given one, or `out`. ImportFailed when it is too large."""
    upload = checked(replace(Upload.of_path(path), name=name), limits)
    head = upload.head(photos.HEAD)
    if is_photo(head):
        out.write_bytes(table([photos.shot_of(name, head)]))
        return {"path": str(out), "name": f"{name}.csv"}
    if head.startswith(b"PK") and _without_pictures(upload, out, limits):
        return {"path": str(out), "name": upload.name}
    return {"path": str(path), "name": name}


def table(shots: Iterable[photos.Shot]) -> bytes:
    """Photos as rows."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for shot in shots:
        place = ("", "") if shot.lat is None else (f"{shot.lat:.6f}", f"{shot.lon:.6f}")
        taken = "" if shot.taken is None else f"{shot.taken:%Y:%m:%d %H:%M:%S}"
        lines.writerow([shot.name, taken, *place, "" if shot.fault is None else str(shot.fault)])
    return text.getvalue().encode("utf-8", "replace")


def _without_pictures(upload: Upload, out: Path, limits: Limits) -> bool:
    """Whether there was anything to leave out; if so the archive without it is in `out`."""
    shots: list[photos.Shot] = []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as kept:
        for member in archives.members(upload, limits):
            head = (
                member.photo if member.photo is not None else member.upload.head(photos.HEAD) if member.upload else None
            )
            if head is None:
                shots.append(photos.Shot(member.name, None, fault=member.fault or Fault(*_UNKNOWN)))
            elif member.photo is not None or is_photo(head):
                shots.append(photos.shot_of(member.name, head))
            elif member.upload is not None:
                with (
                    member.upload.opened() as source,
                    kept.open(zipfile.ZipInfo(_free(kept, member.name), _LONG_AGO), "w") as place,
                ):
                    while chunk := source.read(CHUNK):
                        place.write(chunk)
        if shots:
            ordered = sorted(shots, key=lambda shot: (shot.name, str(shot.taken)))
            kept.writestr(zipfile.ZipInfo(_free(kept, TABLE), _LONG_AGO), table(ordered))
    return bool(shots)


_UNKNOWN = (Reason.UNKNOWN_FORMAT, "it cannot be read", "import it by itself")


def _free(archive: zipfile.ZipFile, name: str) -> str:
    """The name, or one like it that nothing in the archive has."""
    if name not in archive.NameToInfo:
        return name
    stem, dot, suffix = name.rpartition(".")
    return f"{stem or name}-{len(archive.NameToInfo)}{dot}{suffix if dot else ''}"
