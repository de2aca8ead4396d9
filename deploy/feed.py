"""`gigz feed`: rows of files onto a topic, in the shapes of `schemas/rows.py`.

Nothing is lost on the way: a line that is no row is sent as it stands, and the stage that reads it rejects it with its
reason; a line that no topic takes becomes a rejection at once.
"""

import codecs
import gzip
import hashlib
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import check_postgres, kafka_producer, postgres_engine, publish
from deploy.erasing import ledger
from deploy.settings import Settings
from schemas.history import BackfilledEntry, Entry
from schemas.message import HEADER_STAGE, HEADER_TRACE, Message, MessageError, new_trace
from schemas.outgoing import Outgoing, fitting, outgoing
from schemas.raw import RawArtist, RawEvent, RawMessage, RawSetlist, RawVenue
from schemas.rows import entry_from_row, raw_from_row
from schemas.topics import BY_NAME

STAGE = "feed"
BATCH = 2_000
FEEDABLE: dict[str, type[Message]] = {
    "raw-event": RawEvent,
    "raw-setlist": RawSetlist,
    "raw-venue": RawVenue,
    "raw-artist": RawArtist,
    "history": Entry,
    "history-backfill": BackfilledEntry,
}


class FileError(Exception):
    """A file cannot be read: names it and the remedy."""


@dataclass(frozen=True)
class Fed:
    """Lines read; messages sent; lines refused: too large; lines sent that are no row; lines of erased users: left."""

    lines: int = 0
    sent: int = 0
    refused: int = 0
    unreadable: int = 0
    erased: int = 0

    def __add__(self, other: "Fed") -> "Fed":
        return Fed(
            self.lines + other.lines,
            self.sent + other.sent,
            self.refused + other.refused,
            self.unreadable + other.unreadable,
            self.erased + other.erased,
        )


Learned = Callable[[Mapping[str, Any]], Mapping[str, str]]
"""Of a row: the fields that the whole file adds to it, such as the order of its dates."""


async def feed(
    settings: Settings,
    files: Sequence[Path],
    topic: str,
    tell: Callable[[int], None] = lambda _: None,
    learned: Learned | None = None,
) -> Fed:
    """Publish the rows of these files; returns when Kafka has acknowledged all. FileError, SettingsError.

    Rows of users who were erased are left out: PostgreSQL is asked for histories, and only then.
    """
    message = FEEDABLE[topic]
    total = Fed()
    engine = postgres_engine(settings, pool_size=1, name="gigz-feed") if BY_NAME[message.topic].of_users else None
    try:
        if engine is not None:
            await check_postgres(engine, settings)
        async with kafka_producer(settings, "gigz-feed") as producer:
            async for batch in _batches(files):
                records = [to_record(line, message, datetime.now(UTC), learned) for line in batch]
                async with _living(engine, records) as kept:
                    await publish(producer, (record for record, _ in kept), settings.partitions)
                refused = sum(record.topic != message.topic for record, _ in kept)
                unreadable = sum(not good for _, good in kept)
                total += Fed(len(batch), len(kept) - refused, refused, unreadable, len(records) - len(kept))
                tell(len(batch))
    finally:
        if engine is not None:
            await engine.dispose()
    return total


Lines = Sequence[tuple[Outgoing, bool]]
"""What is sent for each line, and whether it is a row."""


@asynccontextmanager
async def _living(engine: AsyncEngine | None, records: Lines) -> AsyncIterator[Lines]:
    """The records without those of erased users; no erasure begins before the end of this."""
    if engine is None:
        yield records
        return
    whose = [ledger.users_of_record(record) for record, _ in records]
    async with ledger.asking(engine, frozenset().union(*whose)) as erased:
        yield [one for one, users in zip(records, whose, strict=True) if not users & erased]


def to_record(
    line: bytes, message: type[Message], at: datetime, learned: Learned | None = None
) -> tuple[Outgoing, bool]:
    """What is sent for a line, and whether the line is a row."""
    trace = new_trace()
    try:
        row = orjson.loads(line)
        made: Message
        if issubclass(message, RawMessage):
            made = raw_from_row(row, message, learned)
        elif issubclass(message, Entry):
            made = entry_from_row(row, message, learned)
        else:
            raise TypeError(f"{message.topic} cannot be fed")
        record, good = outgoing(made, trace=trace, stage=STAGE), True
    except (orjson.JSONDecodeError, MessageError):
        key = hashlib.sha256(line).hexdigest()
        headers = {HEADER_TRACE: trace, HEADER_STAGE: STAGE}
        record, good = Outgoing(message.topic, key, key, line, headers), False
    return fitting(record, stage=STAGE, at=at), good


async def _batches(files: Sequence[Path]) -> AsyncIterator[list[bytes]]:
    for file in files:
        batch: list[bytes] = []
        for line in read_lines(file):
            batch.append(line)
            if len(batch) >= BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def read_lines(file: Path) -> Iterator[bytes]:
    """The lines of a file that are not blank; `-` is standard input, `.gz` is unpacked. FileError."""
    return (line for _, line in numbered_lines(file))


def numbered_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """The same with their numbers, as an editor counts: from 1, blank lines included."""
    try:
        if str(file) == "-":
            yield from _numbered(sys.stdin.buffer)
            return
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
            yield from _numbered(lines)
    except FileNotFoundError as error:
        raise FileError(f"{file}: there is no such file") from error
    except IsADirectoryError as error:
        raise FileError(f"{file} is a folder. Remedy: name the files in it.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{file} cannot be read: {error}") from error


def _numbered(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(codecs.BOM_UTF8).strip()  # where a file with a mark begins, or was appended
        if text:
            yield number, text
