"""Bytes as they come in: a file that can be read more than once, its hash, its encoding, its lines.

Nothing here holds more of a file than a line.
"""

import codecs
import gzip
import hashlib
import re
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import BinaryIO

import charset_normalizer

from api.imports.shapes import Code, Fault, ImportFailed, Limits, Reason

CHUNK = 1 << 16
LONGEST_LINE = 1_000_000
"""Bytes: no row of a history is longer; a longer line is given back unread."""
SAMPLE = 1 << 17
"""Bytes of lines beyond ASCII from which an encoding is told."""
IN_MEMORY = 1 << 20
"""Bytes of an unpacked file up to which it stays in memory; beyond, it is a temporary file without a name."""


@dataclass(frozen=True)
class Upload:
    """A file by its name, opened as often as it is read."""

    name: str
    opened: Callable[[], BinaryIO]

    @classmethod
    def of_bytes(cls, name: str, body: bytes) -> "Upload":
        """A file in memory."""
        return cls(name, lambda: BytesIO(body))

    @classmethod
    def of_path(cls, path: Path) -> "Upload":
        """A file on disk."""
        return cls(path.name, lambda: path.open("rb"))

    @property
    def suffix(self) -> str:
        """What the name ends in, in small letters: '.csv'."""
        return Path(self.name).suffix.casefold()

    def head(self, most: int = CHUNK) -> bytes:
        """The first bytes."""
        with self.opened() as file:
            return file.read(most)

    def size(self) -> int:
        """Bytes."""
        with self.opened() as file:
            return file.seek(0, SEEK_END)

    def sha256(self) -> str:
        """Of the whole content: the same file has the same, whatever it is called."""
        with self.opened() as file:
            digest = hashlib.sha256()
            while chunk := file.read(CHUNK):
                digest.update(chunk)
            return digest.hexdigest()


def is_photo(head: bytes) -> bool:
    """Whether a file that begins so is a photo with metadata: JPEG, HEIC, TIFF, PNG or WebP."""
    return (
        head[:3] == b"\xff\xd8\xff"
        or head[4:8] == b"ftyp"
        or head[:4] in (b"II*\0", b"MM\0*")
        or head[:8] == b"\x89PNG\r\n\x1a\n"
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
    )


def checked(upload: Upload, limits: Limits) -> Upload:
    """The upload, unpacked where it is gzipped. ImportFailed when it is empty or too large."""
    if upload.head(2) == b"\x1f\x8b":
        upload = _ungzipped(upload, limits)
    size = upload.size()
    if size > limits.bytes:
        raise too_large(upload.name, limits)
    if size == 0:
        raise ImportFailed(Code.EMPTY, f"{upload.name} is empty. Remedy: choose the file that holds your shows")
    return upload


def too_large(name: str, limits: Limits, unpacked: bool = False) -> ImportFailed:
    """The error for more bytes than one import may have."""
    what = "unpacks to more than" if unpacked else "is larger than"
    return ImportFailed(
        Code.TOO_LARGE,
        f"{name} {what} {limits.bytes / 1_000_000:g} MB, the most that one import may be. "
        "Remedy: divide it into several files and import them one after the other",
    )


def copied(source: BinaryIO, name: str, limits: Limits) -> Upload:
    """A stream that can be read once, as an upload; on disk beyond a megabyte. ImportFailed when it is too large."""
    kept = _Kept()
    taken = 0
    while chunk := source.read(CHUNK):
        taken += len(chunk)
        if taken > limits.bytes:
            raise too_large(name, limits, unpacked=True)
        kept.file.write(chunk)
    return Upload(name, kept.opened)


class _Kept:
    """A temporary file that is closed when nobody reads it any more."""

    def __init__(self) -> None:
        self.file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed by the finalizer
        weakref.finalize(self, self.file.close)

    def opened(self) -> BinaryIO:
        """A reader of its own."""
        return _Again(self)  # type: ignore[return-value]


class _Again:
    """One reader of a temporary file: begins at its start, and leaves it open."""

    def __init__(self, kept: _Kept) -> None:
        self.kept = kept
        self.at = 0

    def _there(self) -> "tempfile.SpooledTemporaryFile[bytes]":
        self.kept.file.seek(self.at)
        return self.kept.file

    def read(self, size: int = -1) -> bytes:
        read = self._there().read(size)
        self.at += len(read)
        return read

    def readline(self, size: int = -1) -> bytes:
        read = self._there().readline(size)
        self.at += len(read)
        return read

    def readinto(self, buffer: bytearray) -> int:
        read = self.read(len(buffer))
        buffer[: len(read)] = read
        return len(read)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._there()
        self.at = self.kept.file.seek(offset, whence)
        return self.at

    def tell(self) -> int:
        return self.at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def close(self) -> None:
        """Others may read on."""

    @property
    def closed(self) -> bool:
        return False

    def __enter__(self) -> "_Again":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ungzipped(upload: Upload, limits: Limits) -> Upload:
    name = upload.name.removesuffix(".gz") or upload.name
    try:
        with upload.opened() as packed, gzip.open(packed) as file:
            return copied(file, name, limits)  # type: ignore[arg-type]
    except (OSError, EOFError, zlib.error) as error:
        raise ImportFailed(
            Code.BAD_DOCUMENT, f"{upload.name} is no whole gzip file: {error}. Remedy: upload it unpacked"
        ) from None


# -- encodings --------------------------------------------------------------------------------------------------------

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WESTERN = re.compile(
    r"[\x00-\x7f\u00a0-\u00ff\u2013\u2014\u2018-\u201e\u2022\u2026\u20ac\u0152\u0153\u0160\u0161\u2122]*"
)
_UNLIKELY = re.compile(r"[\u00a1-\u00a9\u00aa-\u00be\u00d7\u00f7\u00d0\u00de\u00fe\u00f0]")
"""Signs of Windows-1252 that words seldom hold: where they are many, the bytes are another alphabet's."""
CANDIDATES = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859_2", "iso8859_15"),
    *("koi8_r", "mac_roman", "cp437", "cp850", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
]


def encoding_of(upload: Upload) -> str:
    """The name of a Python codec that reads the file; UTF-8 where that is possible."""
    head = upload.head(CHUNK)
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if head[1::2].count(0) > len(head) // 4:
        return "utf-16-le"
    if head[::2].count(0) > len(head) // 4:
        return "utf-16-be"
    foreign = bytearray()
    decoder = codecs.getincrementaldecoder("utf-8")()
    good = True
    with upload.opened() as file:
        while line := file.readline(CHUNK):
            if good:
                try:
                    decoder.decode(line)
                except UnicodeDecodeError:
                    good = False
            if not line.isascii() and len(foreign) < SAMPLE:
                foreign += line
            if not good and len(foreign) >= SAMPLE:
                break
    if good and not decoder.getstate()[0]:
        return "utf-8"
    western = foreign.decode("cp1252", "replace")
    letters = sum(character.isalpha() and ord(character) > 127 for character in western)
    if (
        _WESTERN.fullmatch(western)
        and len(_UNLIKELY.findall(western)) <= letters // 4
        and not _runs_of_foreign(western)
    ):
        return "cp1252"
    best = charset_normalizer.from_bytes(bytes(foreign), cp_isolation=CANDIDATES).best()
    return best.encoding if best is not None else "cp1252"


def _runs_of_foreign(text: str) -> bool:
    """Whether whole words are letters beyond ASCII, as Cyrillic read as Western is: 'Êèíî'."""
    words = [word for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()]
    whole = sum(len(word) > 2 and all(ord(letter) > 127 for letter in word) for word in words)
    return whole > len(words) // 3


# -- lines ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text file, numbered from 1."""

    number: int
    raw: bytes
    """Without its end."""
    text: str
    fault: Fault | None = None


def lines_of(upload: Upload, encoding: str) -> Iterator[Line]:
    """A file line by line. One that is longer than any row is told as it stands, with its fault."""
    if encoding.startswith(("utf-16", "utf-32")):
        upload, encoding = _transcoded(upload, encoding), "utf-8"
    end = b"\r" if b"\r" in (head := upload.head()) and b"\n" not in head else b"\n"
    with upload.opened() as file:
        reading = _by_carriage(file) if end == b"\r" else _by_newline(file)
        for number, raw in enumerate(reading, 1):
            if number == 1:
                raw = raw.removeprefix(codecs.BOM_UTF8)
            raw = raw.rstrip(b"\r\n")
            if len(raw) > LONGEST_LINE:
                text = f"the line has {len(raw):,} bytes; no row is longer than {LONGEST_LINE:,}"
                yield Line(number, raw, "", Fault(Reason.TOO_LONG, text, "write each show on a line of its own"))
            else:
                yield Line(number, raw, raw.decode(encoding, "replace").replace("\0", ""))


def _by_newline(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline():
        yield line


def _by_carriage(file: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(CHUNK):
        *whole, rest = (rest + chunk).split(b"\r")
        yield from whole
    if rest:
        yield rest


def _transcoded(upload: Upload, encoding: str) -> Upload:
    """The same in UTF-8: a newline of UTF-16 is no byte that lines could be parted by."""
    kept = _Kept()
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    with upload.opened() as file:
        while chunk := file.read(CHUNK):
            kept.file.write(decoder.decode(chunk).encode("utf-8", "replace"))
    kept.file.write(decoder.decode(b"", final=True).encode("utf-8", "replace"))
    return Upload(upload.name, kept.opened)
