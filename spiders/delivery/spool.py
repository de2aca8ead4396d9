"""What Kafka does not take at the moment, on disk, in the order in which it came.

A folder of one spider holds segments, files that are only ever appended to. A process holds the segments that it locked
(flock: the kernel's, gone with its holder, however that dies); one that starts takes over those that nobody holds, the
oldest first, and writes to segments of its own. Each is

    frame, frame, ...     frame: length and CRC-32 of the body (big-endian, 4 bytes each), then the body
    body                  b"R" and a record, or b"D" and 8 bytes: everything before that place of the file is done

What is done at the end of a segment is done with: the file is removed. What an append returned for is on the disk, its
name in the folder too. A torn tail, left by a kill in the middle of a write, was promised to nobody and is cut; a frame
that is whole and does not fit its checksum was damaged: from there on the file is set aside, `.damaged`.

Errors
    SpoolError    the disk cannot be read or written, for another reason than being full
"""

import errno
import fcntl
import os
import struct
import time
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

FOLDER = "spool"
SUFFIX = ".segment"
MEGABYTE = 1_048_576
SEGMENTS = 8
"""A spool is so many segments at least: room comes back a segment at a time."""
LARGEST_SEGMENT = 16 * MEGABYTE
_FRAME = struct.Struct(">II")
_PLACE = struct.Struct(">Q")
_RECORD, _DONE = b"R", b"D"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
log = structlog.get_logger()


class SpoolError(Exception):
    """The spool's disk fails; the message names the file and the remedy."""


@dataclass(eq=False)
class Segment:
    """A file that this process holds."""

    path: Path
    handle: int
    size: int = 0
    """Bytes of whole frames."""
    read: int = 0
    """What lies before was handed out."""
    done: int = 0
    """What lies before is done."""
    told: int = 0
    """As far as the last mark says."""
    unread: int = 0
    """Records not handed out."""
    open_ends: deque["Place"] = field(default_factory=deque)
    """Records handed out, in order, until those before them are done too."""


@dataclass(eq=False, slots=True)
class Place:
    """Where a record stands."""

    segment: Segment
    end: int
    done: bool = False


class Spool:
    """Of one process. No method is for two threads at a time."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.size = 0
        """Bytes of the files, what is done in them included."""
        self.unread = 0
        """Records not handed out."""
        self.waiting = 0
        """Records not done."""
        self._segments: deque[Segment] = deque()
        self._largest = max(64 * 1024, min(LARGEST_SEGMENT, limit_bytes // SEGMENTS))

    def take_over(self) -> int:
        """Hold the segments that nobody holds; the number of records in them. SpoolError."""
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(parents=True, exist_ok=True)
                _sync_folder(self.folder.parent)
            paths = sorted(self.folder.glob(f"*{SUFFIX}"))
            for path in paths:
                if handle := _held(path):
                    self._adopt(path, handle)
        except OSError as error:
            raise self._failed(error) from error
        return self.waiting

    def contents(self) -> Iterator[bytes]:
        """Every record that is not done, from the oldest; nothing is handed out by it. SpoolError."""
        for segment in self._segments:
            at = segment.done
            while frame := self._frame(segment, at):
                body, at = frame
                if body[:1] == _RECORD:
                    yield body[1:]

    def append(self, records: Sequence[bytes], *, handed_out: bool = False) -> list[Place]:
        """Write records; those that found room are on the disk when it returns, the rest is not. SpoolError.

        `handed_out`: they are on their way already and not to be read again; only while nothing else is unread. An
        empty spool takes a record of any size.
        """
        assert not (handed_out and self.unread)
        places: list[Place] = []
        touched: dict[int, Segment] = {}
        pending: list[bytes] = []
        segment: Segment | None = None
        coming = 0

        def flush() -> bool:
            """Write what is pending for the segment; False when the disk is full."""
            nonlocal coming
            if segment is None or not pending:
                return True
            if not self._write(segment, pending):
                return False
            for body in pending:
                segment.size += _FRAME.size + len(body)
                places.append(Place(segment, segment.size))
            touched[segment.handle] = segment
            pending.clear()
            coming = 0
            return True

        try:
            for record in records:
                length = _FRAME.size + 1 + len(record)
                if self.size + coming + length > self.limit_bytes and (self.waiting or places or pending):
                    break
                if segment is None or segment.size + coming + length > self._largest:
                    if not flush():
                        break
                    segment = self._open(length)
                    if segment is None:
                        break
                pending.append(_RECORD + record)
                coming += length
            if not flush():
                pending.clear()
            for one in touched.values():
                os.fsync(one.handle)
        except OSError as error:
            raise self._failed(error) from error
        for place in places:
            if handed_out:
                place.segment.read = place.end
                place.segment.open_ends.append(place)
            else:
                place.segment.unread += 1
        self.waiting += len(places)
        self.unread += 0 if handed_out else len(places)
        return places

    def read(self, most: int, most_bytes: int) -> list[tuple[Place, bytes]]:
        """The next records, at most so many and about so many bytes; each to be `settle`d. SpoolError."""
        found: list[tuple[Place, bytes]] = []
        size = 0
        for segment in self._segments:
            while segment.unread and len(found) < most and size < most_bytes:
                frame = self._frame(segment, segment.read)
                if frame is None:
                    raise SpoolError(
                        f"{segment.path} ends before its records do. Remedy: see to the disk, crawl again."
                    )
                body, segment.read = frame
                if body[:1] != _RECORD:
                    continue
                place = Place(segment, segment.read)
                segment.open_ends.append(place)
                segment.unread -= 1
                self.unread -= 1
                size += len(body)
                found.append((place, body[1:]))
        return found

    def settle(self, places: Sequence[Place]) -> None:
        """These records are done; a mark for each segment says so, and one that is done with is removed. SpoolError.

        No fsync: a mark that is lost means that records are sent twice, and they may be.
        """
        places = [place for place in places if not place.done]
        for place in places:
            place.done = True
        self.waiting -= len(places)
        try:
            for segment in dict.fromkeys(place.segment for place in places):
                while segment.open_ends and segment.open_ends[0].done:
                    segment.done = segment.open_ends.popleft().end
                if not segment.open_ends and not segment.unread:
                    self._remove(segment)
                elif segment.done > segment.told:
                    mark = _DONE + _PLACE.pack(segment.done)
                    if self._write(segment, [mark]):
                        segment.size += _FRAME.size + len(mark)
                        segment.told = segment.done
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Let go of the segments; what is not done in them stays for whoever comes next."""
        while self._segments:
            os.close(self._segments.popleft().handle)
        self.size = self.unread = 0

    # -- segments ------------------------------------------------------------------------------------------------------

    def _open(self, length: int) -> Segment | None:
        """The last segment, when it has room, or a new one; None when the disk is full."""
        last = self._segments[-1] if self._segments else None
        if last is not None and last.size + length <= self._largest:
            return last
        try:
            while True:
                path = self.folder / f"{time.time_ns()}-{os.getpid()}{SUFFIX}"
                try:
                    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                except FileExistsError:
                    continue
                if _lock(handle, path):
                    break
            _sync_folder(self.folder)
        except OSError as error:
            if error.errno in _FULL:
                return None
            raise
        segment = Segment(path, handle)
        self._segments.append(segment)
        return segment

    def _adopt(self, path: Path, handle: int) -> None:
        segment = Segment(path, handle)
        whole = os.fstat(handle).st_size
        ends: list[int] = []
        while frame := self._frame(segment, segment.size, whole):
            body, segment.size = frame
            if body[:1] == _RECORD:
                ends.append(segment.size)
            else:
                (segment.done,) = _PLACE.unpack(body[1:])
        segment.told = segment.read = segment.done
        if segment.size < whole:
            self._cut(segment, whole)
        segment.unread = sum(1 for end in ends if end > segment.done)
        self._segments.append(segment)
        self.size += segment.size
        if not segment.unread:
            self._remove(segment)
            return
        self.unread += segment.unread
        self.waiting += segment.unread

    def _cut(self, segment: Segment, whole: int) -> None:
        head = os.pread(segment.handle, _FRAME.size, segment.size)
        if len(head) == _FRAME.size and segment.size + _FRAME.size + _FRAME.unpack(head)[0] < whole:
            aside = segment.path.with_suffix(".damaged")
            aside.write_bytes(os.pread(segment.handle, whole - segment.size, segment.size))
            log.error(
                "spool_damaged",
                file=str(aside),
                bytes=whole - segment.size,
                remedy="its items are not delivered from here: crawl again with --full, then remove the file",
            )
        else:
            log.warning("spool_torn_tail_cut", file=str(segment.path), bytes=whole - segment.size)
        os.ftruncate(segment.handle, segment.size)

    def _frame(self, segment: Segment, at: int, whole: int | None = None) -> tuple[bytes, int] | None:
        """The body at a place and where the next frame begins; None at the end, or when it is none."""
        whole = segment.size if whole is None else whole
        try:
            head = os.pread(segment.handle, _FRAME.size, at)
            if len(head) < _FRAME.size:
                return None
            length, checksum = _FRAME.unpack(head)
            end = at + _FRAME.size + length
            if not length or end > whole:
                return None
            body = os.pread(segment.handle, length, at + _FRAME.size)
        except OSError as error:
            raise self._failed(error) from error
        return (body, end) if len(body) == length and zlib.crc32(body) == checksum else None

    def _write(self, segment: Segment, bodies: Sequence[bytes]) -> bool:
        """Append frames to a segment; when the disk is full none of them, and False."""
        frames = b"".join(_FRAME.pack(len(body), zlib.crc32(body)) + body for body in bodies)
        written = 0
        try:
            while written < len(frames):
                written += os.pwrite(segment.handle, frames[written:], segment.size + written)
        except OSError as error:
            os.ftruncate(segment.handle, segment.size)
            if error.errno in _FULL:
                return False
            raise
        self.size += len(frames)
        return True

    def _remove(self, segment: Segment) -> None:
        self._segments.remove(segment)
        self.size -= segment.size
        segment.path.unlink(missing_ok=True)
        os.close(segment.handle)

    def _failed(self, error: OSError) -> SpoolError:
        where = error.filename or self.folder
        return SpoolError(
            f"the spool at {where} cannot be used: {error.strerror}. Remedy: make it writable, or set GIGZ_HOME to a "
            "folder that is."
        )


def _held(path: Path) -> int | None:
    """The file, open and locked; None when another process holds it or it is gone."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    return handle if _lock(handle, path) else None


def _lock(handle: int, path: Path) -> bool:
    """Lock an open file; else it is closed. Whoever was faster may have removed it meanwhile."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_nlink:
            return True
    except BlockingIOError:
        pass
    os.close(handle)
    return False


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
