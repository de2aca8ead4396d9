"""The rows that an import could not read, out of the lines that were kept of them: piece by piece, in three shapes."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import orjson

from api.imports.unmatched import csv_lines, original_of


@dataclass(frozen=True)
class Way:
    """One of the shapes."""

    media_type: str
    suffix: str
    write: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]


async def lines_in(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines, however they are cut into pieces."""
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line
    if rest:
        yield rest


async def _as_they_are(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for line in lines:
        yield line + b"\n"


async def _originals(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for line in lines:
        yield original_of(orjson.loads(line)) + b"\n"


async def _table(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield csv_lines(None)
    async for line in lines:
        yield csv_lines(orjson.loads(line))


WAYS = {
    "original": Way("text/plain", "txt", _originals),
    "jsonl": Way("application/x-ndjson", "jsonl", _as_they_are),
    "csv": Way("text/csv", "csv", _table),
}
_ROW = {
    "where": "line 7",
    "reason": "bad_date",
    "text": "32.13.1994 is no date",
    "remedy": "write 1994-12-31, or correct date_order",
    "original": "Radiohead;32.13.1994;Reading",
}
EXAMPLES = {
    WAYS["original"].media_type: original_of(_ROW).decode() + "\n",
    WAYS["jsonl"].media_type: orjson.dumps(_ROW).decode() + "\n",
    WAYS["csv"].media_type: (csv_lines(None) + csv_lines(_ROW)).decode(),
}
"""Media type -> a file of it, for the OpenAPI document."""
