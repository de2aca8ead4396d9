"""Zip archives: what is in them. Each file is bounded, and all together; none is written under its name.

An archive in an archive is not opened. What a member claims of its size is not believed: bytes are counted.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from struct import error as struct_error
from struct import unpack
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile, ZipInfo

from api.imports.photos import HEAD, SUFFIXES
from api.imports.shapes import Code, Fault, ImportFailed, Limits, Reason
from api.imports.uploads import Upload, copied

MOST_FILES = 20_000
LONGEST_DIRECTORY = 4_000_000
"""Bytes of an archive's table of contents: twenty thousand names, which take 30 MB when read."""
_TAIL = 66_000
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
BROKEN = (BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, struct_error, ValueError)
"""What the reader raises for archives that are cut, encrypted, or of methods that it does not know."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive: unpacked, or only its first bytes where it is a photo, or why it is not."""

    name: str
    upload: Upload | None = None
    photo: bytes | None = None
    fault: Fault | None = None


def members(upload: Upload, limits: Limits) -> Iterator[Member]:
    """The files of an archive that may hold shows. ImportFailed when it is none, or too much."""
    with upload.opened() as file:
        _check_directory(file, upload.name)
        try:
            archive = ZipFile(file)
        except BROKEN as error:
            raise _no_archive(upload.name, error) from None
        with archive:
            infos = [info for info in archive.infolist() if not info.is_dir() and not _is_hidden(info.filename)]
            if len(infos) > MOST_FILES:
                raise ImportFailed(
                    Code.TOO_LARGE,
                    f"{upload.name} holds {len(infos):,} files, more than {MOST_FILES:,}. "
                    "Remedy: divide it into several archives",
                )
            if any(info.filename == "[Content_Types].xml" for info in infos):
                raise ImportFailed(
                    Code.BAD_DOCUMENT,
                    f"{upload.name} is a document of an office program. Remedy: save it there as CSV, and import that",
                )
            left = limits.bytes
            for info in infos:
                member = _member(archive, info, limits, left)
                if member.upload is not None:
                    left -= member.upload.size()
                yield member


def _check_directory(file: BinaryIO, name: str) -> None:
    """Before it is read as a whole: a directory of a million names takes a gigabyte."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _TAIL))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at >= 0 and len(tail) >= at + 22:
        length = unpack("<I", tail[at + 12 : at + 16])[0]
        if length > LONGEST_DIRECTORY:
            raise ImportFailed(
                Code.TOO_LARGE, f"{name} holds more than {MOST_FILES:,} files. Remedy: divide it into several archives"
            )
    file.seek(0)


def _no_archive(name: str, error: Exception) -> ImportFailed:
    return ImportFailed(
        Code.BAD_DOCUMENT, f"{name} is no whole zip archive: {error}. Remedy: upload what is in it, unpacked"
    )


def _is_hidden(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return any(part.startswith((".", "__MACOSX")) and part != ".." for part in parts) or not parts


def shown(name: str) -> str:
    """A member's name without the folders that it would like to be in."""
    return _CONTROL.sub("", PurePosixPath(name.replace("\\", "/")).name)[-100:] or "without a name"


def _member(archive: ZipFile, info: ZipInfo, limits: Limits, left: int) -> Member:
    name = shown(info.filename)
    if info.flag_bits & 1:
        return Member(name, fault=Fault(Reason.BROKEN, "it is encrypted", "pack it without a password"))
    try:
        with archive.open(info) as packed:
            if PurePosixPath(name).suffix.casefold() in SUFFIXES:
                return Member(name, photo=packed.read(HEAD))
            upload = copied(packed, name, Limits(left, limits.rows, limits.pages))  # type: ignore[arg-type]
    except ImportFailed:
        raise ImportFailed(
            Code.TOO_LARGE,
            f"the archive unpacks to more than {limits.bytes / 1_000_000:g} MB, the most that one import may be. "
            "Remedy: divide it into several archives",
        ) from None
    except BROKEN as error:
        fault = Fault(Reason.BROKEN, f"it cannot be unpacked: {error}", "pack it again, or import it by itself")
        return Member(name, fault=fault)
    if upload.head(4) in (b"PK\x03\x04", b"PK\x05\x06"):
        fault = Fault(Reason.UNKNOWN_FORMAT, "it is an archive in an archive", "unpack it, and import what is in it")
        return Member(name, fault=fault)
    return Member(name, upload)
