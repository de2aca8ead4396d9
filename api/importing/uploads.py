"""What comes with POST /v1/imports, into one file on this machine's disk: never more of it in memory than a piece.

    multipart/form-data    a file; several are one import, of photos only their first megabyte is taken
    application/json       a wish: {"setlistfm_user"} or {"text"} or {"rows"}; any other JSON is a file of shows
    anything else          the file itself, called as `name` says

What is too large is read to its end, as far as that is bearable, so that the answer that says so is heard. A form of a
page is checked (CSRF) by the fields before its first file, before anything of a file is taken.
"""

import re
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson
from litestar.exceptions import HTTPException
from multipart import (  # type: ignore[import-untyped]
    MultipartSegment,
    ParserError,
    ParserLimitReached,
    PushMultipartParser,
)
from pydantic import ValidationError

from api.errors import AnyRequest, Detail, InvalidError
from api.importing.views import NewImport
from api.imports.archives import shown
from api.imports.photos import HEAD
from api.imports.shapes import MOST_BYTES, Format
from api.imports.uploads import is_photo
from schemas.tables import ImportKind

MOST_RECEIVED = 10 * MOST_BYTES
"""Bytes of one request: the pictures of an evening, of which little is taken."""
MOST_DRAINED = 3 * MOST_BYTES
MOST_FILES = 1_000
LONGEST_FIELD = 10_000
LONGEST_WISH = 2_000_000
"""Bytes of JSON that may be a wish; beyond, it is a file."""
_SUFFIXES = {
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "text/markdown": "md",
    "text/html": "html",
    "text/calendar": "ics",
    "application/json": "json",
    "application/zip": "zip",
    "message/rfc822": "eml",
    "application/mbox": "mbox",
    "image/jpeg": "jpg",
}
_FILENAME = re.compile(r"""filename="?([^";]+)""")


@dataclass(frozen=True)
class Received:
    """What is to be imported."""

    kind: ImportKind
    name: str
    path: Path | None = None
    """Of the file; None: a list that is to be fetched."""
    format: Format | None = None
    setlistfm_user: str | None = None


Check = Callable[[Mapping[str, str]], None]
"""Raises for a form that no page of ours sent; given the fields that stand before its first file."""


async def receive(
    request: AnyRequest, folder: Path, name: str | None, format: Format | None, check: Check | None = None
) -> Received:
    """The request's body. InvalidError when it is too large, empty, broken, or says nothing.

    `check`: it has to be a form, and this is asked before a file of it is taken.
    """
    kind, options = request.content_type
    body = _Body(request)
    if check is not None and kind != "multipart/form-data":
        check({})
    try:
        if kind == "multipart/form-data":
            return await _form(body, options.get("boundary", ""), folder, name, format, check)
        path = folder / "body"
        with path.open("wb") as file:
            async for piece in body.pieces():
                file.write(piece)
                body.keep(len(piece))
        await body.check()
    except HTTPException as error:
        raise InvalidError(
            "The upload broke off. Send it again.", [Detail(field="file", message="incomplete")]
        ) from error
    if kind == "application/json" and body.kept <= LONGEST_WISH:
        wish = _wish(path.read_bytes())
        if wish is not None:
            return _of_wish(wish, path, name, format)
    if not body.kept:
        raise _invalid("file", 'is empty: send a file, a text, or {"setlistfm_user": "name"}')
    sent = _FILENAME.search(request.headers.get("content-disposition", ""))
    called = name or (sent[1] if sent else None) or f"import.{_SUFFIXES.get(kind, 'txt')}"
    return Received(ImportKind.FILE, shown(called), path, format)


class _Body:
    """Counts what came and what was kept of it."""

    def __init__(self, request: AnyRequest) -> None:
        self._stream = request.stream()
        self._announced = int(length) if (length := request.headers.get("content-length", "")).isdigit() else 0
        self.received = self.kept = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        """As they come, up to what may be kept, or received."""
        while self.kept <= MOST_BYTES and self.received <= MOST_RECEIVED:
            piece = await anext(self._stream, b"")
            if not piece:
                return
            self.received += len(piece)
            yield piece

    def keep(self, size: int) -> None:
        """So much of it was written down."""
        self.kept += size

    async def check(self) -> None:
        """InvalidError when it is too much, once the rest was heard."""
        if self.kept <= MOST_BYTES and self.received <= MOST_RECEIVED:
            return
        most = self.received + MOST_DRAINED
        async for piece in self._stream:
            self.received += len(piece)
            if self.received > most:
                break
        raise _invalid(
            "file",
            f"is larger than {MOST_BYTES // 1_000_000} MB, the most that one import may be; divide it into several "
            "files and import them one after the other",
        )


def may_hold_pictures(path: Path) -> bool:
    """Whether a file has to be looked into before it is kept: a photo, an archive, or something packed."""
    with path.open("rb") as file:
        head = file.read(16)
    return is_photo(head) or head.startswith((b"PK", b"\x1f\x8b"))


def _invalid(field: str, message: str) -> InvalidError:
    return InvalidError("The request is not valid.", [Detail(field=field, message=message)])


def _wish(body: bytes) -> NewImport | None:
    """None: it is a file of shows. InvalidError for a wish that says nothing, or too much."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(told, dict) or not set(told) <= set(NewImport.model_fields) or not told:
        return None
    try:
        return NewImport.model_validate(told)
    except ValidationError as error:
        raise InvalidError(
            "The request is not valid.",
            [
                Detail(field=".".join(map(str, one["loc"])) or "body", message=one["msg"].removeprefix("Value error, "))
                for one in error.errors(include_url=False, include_input=False)[:10]
            ],
        ) from None


def _of_wish(wish: NewImport, path: Path, name: str | None, format: Format | None) -> Received:
    called, asked = wish.name or name, wish.format or format
    if wish.setlistfm_user is not None:
        return Received(
            ImportKind.SETLISTFM, f"setlist.fm {wish.setlistfm_user}.jsonl", setlistfm_user=wish.setlistfm_user
        )
    if wish.text is not None:
        path.write_bytes(wish.text.encode("utf-8", "replace"))
        return Received(ImportKind.TEXT, shown(called or "pasted.txt"), path, asked)
    path.write_bytes(orjson.dumps(wish.rows))
    return Received(ImportKind.ROWS, shown(called or "rows.json"), path, asked or Format.ROWS)


# -- forms ------------------------------------------------------------------------------------------------------------


@dataclass
class _Part:
    """A file of a form, as it is written down."""

    name: str
    text: bool
    path: Path
    file: IO[bytes]
    head: bytes = b""
    photo: bool | None = None
    size: int = 0

    def write(self, piece: bytes) -> int:
        """How many bytes of it were kept."""
        if self.photo is None:
            self.head += piece
            if len(self.head) < 16:
                return 0
            piece, self.photo = self.head, is_photo(self.head)
        if self.photo:
            piece = piece[: max(0, HEAD - self.size)]
        self.file.write(piece)
        self.size += len(piece)
        return len(piece)

    def close(self) -> None:
        if self.photo is None:
            self.file.write(self.head)
            self.size = len(self.head)
        self.file.close()


async def _form(
    body: _Body, boundary: str, folder: Path, name: str | None, format: Format | None, check: Check | None
) -> Received:
    if not boundary:
        raise _invalid("body", "is a form without a boundary; let your client write the Content-Type")
    parts: list[_Part] = []
    fields: dict[str, str] = {}
    try:
        with PushMultipartParser(boundary, max_segment_count=MOST_FILES) as parser:
            try:
                await _parse(parser, body, folder, parts, fields, check)
            finally:
                for part in parts:
                    part.close()
            await body.check()
        if check is not None:
            check(fields)
    except ParserLimitReached:
        raise _invalid("body", f"has more than {MOST_FILES:,} parts; pack the files as a zip") from None
    except ParserError as error:
        raise _invalid("body", f"is no whole form: {error}") from None
    if "setlistfm_user" in fields and not parts:
        wish = _wish(orjson.dumps({"setlistfm_user": fields["setlistfm_user"]}))
        assert wish is not None
        return _of_wish(wish, folder, None, None)
    parts = [part for part in parts if part.size]
    if not parts:
        raise _invalid("file", "is missing or empty: send a part with a file, or one called `text`")
    if asked := fields.get("format"):
        if asked not in set(Format):
            raise _invalid("format", f"must be one of {', '.join(Format)}")
        format = Format(asked)
    name = name or fields.get("name")
    if len(parts) == 1:
        part = parts[0]
        kind = ImportKind.TEXT if part.text else ImportKind.FILE
        return Received(kind, shown(name or part.name), part.path, format)
    packed = folder / "files.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for number, part in enumerate(parts):
            archive.write(part.path, f"{number}/{shown(part.name)}")
            part.path.unlink()
    return Received(ImportKind.FILE, shown(name or f"{len(parts)} files.zip"), packed, format)


async def _parse(
    parser: Any, body: _Body, folder: Path, parts: list[_Part], fields: dict[str, str], check: Check | None
) -> None:
    part: _Part | None = None
    segment: MultipartSegment | None = None
    written = bytearray()
    async for piece in body.pieces():
        for found in parser.parse(piece):
            if isinstance(found, MultipartSegment):
                segment, part = found, None
                written.clear()
                if found.filename or found.name in ("file", "files", "text", "photo", "photos"):
                    if check is not None:
                        check(fields)
                    path = folder / f"part{len(parts)}"
                    text = not found.filename and found.name == "text"
                    if text and any(one.text for one in parts):
                        raise _invalid("text", "is there twice")
                    part = _Part(
                        found.filename or ("pasted.txt" if text else "import.txt"), text, path, path.open("wb")
                    )
                    parts.append(part)
            elif found and part is not None:
                body.keep(part.write(bytes(found)))
            elif found:
                written += found
                if len(written) > LONGEST_FIELD:
                    raise _invalid(segment.name if segment else "body", f"is longer than {LONGEST_FIELD:,} bytes")
            elif segment is not None and part is None:
                if segment.name in fields:
                    raise _invalid(segment.name, "is there twice")
                fields[segment.name] = bytes(written).decode("utf-8", "replace")
        if parser.closed:
            break
