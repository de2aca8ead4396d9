"""Photos: only when and where they were taken is read, from the first bytes of a file; no picture is decoded or kept.

The photos of one evening at one place are one row.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from io import BytesIO
from math import asin, cos, radians, sin, sqrt

import exifread
from exifread.utils import get_gps_coords

from api.imports.entries import degrees
from api.imports.shapes import Cell, Fault, Reason, Record
from matchers.dates import Order, evening_of, readings

HEAD = 1 << 20
"""Bytes of a file that are looked at: cameras write what they know before the picture."""
LONGEST_METADATA = 1 << 18
MOST_STEPS = 20_000
"""Reads and seeks in one photo's metadata; a camera's take a few hundred."""
_METADATA = re.compile(rb"(?:Exif\0\0|eXIf|EXIF....|^)(?=II\*\0|MM\0\*)", re.DOTALL)
"""Where metadata begin, in any container: JPEG, HEIC, PNG, WebP, or a TIFF itself. The boxes of a HEIC are not walked:
the reader's own walk never ends for a box that says it has no size."""
NEAR_KM = 0.7
"""Photos so near each other are of one place: a festival's ground, a hall and the street before it."""
EVENING = 16
"""The hour from which photos are likely of a show; earlier ones are a doubt, for festivals begin at noon."""
SUFFIXES = frozenset([".jpg", ".jpeg", ".jpe", ".heic", ".heif", ".tif", ".tiff", ".dng", ".webp", ".png"])
_TAKEN = re.compile(r"(\d{4})[:-](\d{2})[:-](\d{2})[ T](\d{2}):(\d{2})(?::(\d{2}))?")

logging.getLogger("exifread").setLevel(logging.CRITICAL)  # what is wrong with a photo is the row's reason


class _Bounded(BytesIO):
    """Metadata for a reader that follows offsets, and would follow them in a circle."""

    left = MOST_STEPS

    def read(self, size: int | None = -1, /) -> bytes:
        self._step()
        return super().read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._step()
        return super().seek(offset, whence)

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ValueError("its metadata lead in a circle")


@dataclass(frozen=True, slots=True)
class Shot:
    """When and where a photo was taken, by the camera's clock."""

    name: str
    taken: datetime | None
    lat: float | None = None
    lon: float | None = None
    fault: Fault | None = None


def shot_of(name: str, head: bytes) -> Shot:
    """What the first bytes of a photo tell. Total."""
    try:
        begin = _METADATA.search(head)
        metadata = head[begin.end() : begin.end() + LONGEST_METADATA] if begin else b""
        tags = exifread.process_file(_Bounded(metadata), details=False, extract_thumbnail=False) if metadata else {}
        taken = next(
            (
                found
                for key in ("EXIF DateTimeOriginal", "EXIF DateTimeDigitized", "Image DateTime")
                if (found := _taken(str(tags.get(key, ""))))
            ),
            None,
        )
        point = get_gps_coords(tags) if tags else None
        lat, lon = (float(point[0]), float(point[1])) if point and len(point) == 2 else (None, None)
    except Exception as error:  # of the reader: any bytes may stand in a file that says it is a photo
        text = f"its metadata cannot be read: {type(error).__name__}"
        return Shot(name, None, fault=Fault(Reason.BROKEN, text, "export the original from the camera or the phone"))
    if taken is None:
        text = "it does not tell when it was taken"
        remedy = "take the original: what is sent by messengers or edited loses its metadata"
        return Shot(name, None, fault=Fault(Reason.NO_TIME, text, remedy))
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180 or (lat == 0 and lon == 0):
        lat = lon = None
    return Shot(name, taken, lat, lon)


def _taken(text: str) -> datetime | None:
    found = _TAKEN.match(text)
    if found is None:
        return None
    try:
        moment = datetime(*(int(part or 0) for part in found.groups()))  # type: ignore[arg-type] # noqa: DTZ001 - the camera's clock
    except ValueError:
        return None
    return moment if 1980 <= moment.year <= 2299 else None


def is_photo_table(names: Iterable[str]) -> bool:
    """Whether columns are those of photo metadata, as exiftool and its kin write them."""
    plain = {re.sub(r"[^a-z]", "", name.casefold()) for name in names}
    return bool(plain & _TIMES) and (
        bool(plain & _FILES) or any(name.endswith("latitude") or name in ("lat", "gpsposition") for name in plain)
    )


_TIMES = frozenset(
    [
        "datetimeoriginal",
        "createdate",
        "datetaken",
        "exifdatetimeoriginal",
        "subsecdatetimeoriginal",
        "photodate",
        "takenat",
        "captured",
        "capturedat",
        "timestamp",
        "photo taken time",
    ]
)
_FILES = frozenset(["sourcefile", "filename", "file", "photo", "image", "picture", "directory", "make", "model"])


def shot_of_row(record: Record, order: Order | None = None) -> Shot:
    """The photo that a row of such a table describes."""
    cells = {
        re.sub(r"[^a-z]", "", name.casefold()): cell if isinstance(cell, str) else ", ".join(cell)
        for name, cell in record.cells.items()
    }
    when = next((text for key, text in cells.items() if key in _TIMES and text.strip()), "")
    taken = _taken(when.strip()) or _other_time(when, order)
    lat = next(
        (degrees(text) for key, text in cells.items() if (key.endswith("latitude") or key == "lat") and text.strip()),
        None,
    )
    lon = next(
        (
            degrees(text)
            for key, text in cells.items()
            if (key.endswith("longitude") or key in ("lon", "lng", "long")) and text.strip()
        ),
        None,
    )
    if (position := cells.get("gpsposition", "")) and lat is None and len(parts := position.split(",")) == 2:
        lat, lon = degrees(parts[0]), degrees(parts[1])
    name = cells.get("sourcefile") or cells.get("filename") or record.where
    if taken is None:
        fault = Fault(Reason.NO_TIME, "it does not tell when it was taken", "fill in the time: 2014:11:14 21:03:22")
        if told := cells.get("unreadable"):  # of a photo that was read when it was uploaded
            text, _, remedy = told.partition(". Remedy: ")
            fault = Fault(Reason.BROKEN, text, remedy or fault.remedy)
        return Shot(name, None, fault=fault)
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180 or (lat == 0 and lon == 0):
        lat = lon = None
    return Shot(name, taken, lat, lon)


def _other_time(text: str, order: Order | None) -> datetime | None:
    day, _, hour = text.strip().partition(" ")
    found = readings(day, False, order)
    at = re.match(r"(\d{1,2}):(\d{2})", hour)
    if len(found) != 1 or found[0].days != 1 or at is None or int(at[1]) > 23 or int(at[2]) > 59:
        return None
    return datetime(found[0].start.year, found[0].start.month, found[0].start.day, int(at[1]), int(at[2]))  # noqa: DTZ001


def evenings(shots: Iterable[tuple[Shot, bytes]]) -> Iterator[Record]:
    """A record for each evening and place, in the order of time; photos that cannot be read first, each for itself.

    Beside each photo stands what is given back for it: its row of a table, or its name.
    """
    known: dict[date, list[tuple[Shot, bytes]]] = {}
    for shot, original in shots:
        if shot.taken is None:
            yield Record(shot.name, original, {"photo": shot.name}, fault=shot.fault)
        else:
            known.setdefault(evening_of(shot.taken), []).append((shot, original))
    for night in sorted(known):
        for group in _places(sorted(known[night], key=lambda one: (one[0].taken, one[0].name))):
            yield _evening(night, group)


def _places(shots: list[tuple[Shot, bytes]]) -> list[list[tuple[Shot, bytes]]]:
    """Photos of one night by place; those that do not know theirs go with the first."""
    groups: list[list[tuple[Shot, bytes]]] = []
    for one in shots:
        if one[0].lat is None:
            continue
        near = next((group for group in groups if _km(group[0][0], one[0]) <= NEAR_KM), None)
        if near is None:
            groups.append([one])
        else:
            near.append(one)
    lost = [one for one in shots if one[0].lat is None]
    if lost and groups:
        groups[0] += lost
    elif lost:
        groups.append(lost)
    return groups


def _evening(night: date, group: list[tuple[Shot, bytes]]) -> Record:
    shots = [shot for shot, _ in group]
    begun = min(shot.taken for shot in shots if shot.taken is not None)
    points = [(shot.lat, shot.lon) for shot in shots if shot.lat is not None and shot.lon is not None]
    cells: dict[str, Cell] = {"date": night.isoformat()}
    if begun.hour >= 5:  # an hour after midnight beside the evening's date would be read as the night before it
        cells["time"] = f"{begun:%H:%M}"
    if points:
        middle = sorted(points)[len(points) // 2]
        cells |= {"lat": f"{middle[0]:.6f}", "lon": f"{middle[1]:.6f}"}
    first = shots[0].name
    where = first if len(shots) == 1 else f"{first} and {len(shots) - 1} more"
    doubt = None
    if not points:
        text = "the photos do not tell where they were taken"
        remedy = "export them with their place, or enter the show by hand"
        return Record(
            where, b"\n".join(original for _, original in group), cells, fault=Fault(Reason.NO_PLACE, text, remedy)
        )
    if all(5 <= shot.taken.hour < EVENING for shot in shots if shot.taken is not None):
        doubt = "the photos were taken by day"
    return Record(where, b"\n".join(original for _, original in group), cells, doubt=doubt, complete=True)


def _km(one: Shot, other: Shot) -> float:
    lat1, lon1, lat2, lon2 = (radians(value or 0.0) for value in (one.lat, one.lon, other.lat, other.lon))
    half = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return 12_742 * asin(sqrt(min(1.0, half)))
