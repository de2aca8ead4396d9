"""Uploads in PostgreSQL: pieces of a megabyte, each compressed for itself, so that neither side holds more than one.

In PostgreSQL and not on a disk of the API's, because any process must be able to go on with an import, a restore has to
bring both back together, and an erasure removes both. They are removed some days after the import's last step.
"""

import asyncio
import os
import shutil
import tempfile
import zlib
from collections.abc import AsyncIterable, AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from uuid import UUID

import psutil
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schemas.tables import ImportPieceRow

PIECE = 1 << 20
FOLDERS = "gigz-import-"
MOST_KEPT = 20
"""Uploads of one user: those of the oldest imports that nobody works on go first."""

What = Literal["upload", "unmatched", "entries"]

PIECES = text(
    "select number, body from state.import_pieces where import_id = :id and what = :what and number > :after "
    "order by number limit 1"
)
LAST = text("select max(number) from state.import_pieces where import_id = :id and what = :what")
DROP = text("delete from state.import_pieces where import_id = :id and what = any(cast(:what as text[]))")
SWEEP = text(
    """
    delete from state.import_pieces p using state.imports i
    where p.import_id = i.import_id and i.holder is null and i.updated_at < :before
        and i.state in ('ready', 'applied', 'undone', 'failed')
    """
)
CROWD_OUT = text(
    """
    delete from state.import_pieces where user_id = :user and import_id in (
        select i.import_id from state.imports i
        where i.user_id = :user and i.state in ('ready', 'applied', 'undone', 'failed')
        order by i.created_at desc offset :most
    )
    """
)


def folder() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder of this process."""
    return tempfile.TemporaryDirectory(prefix=f"{FOLDERS}{os.getpid()}-")


def clear_folders() -> None:
    """Remove the folders of processes that were killed: what somebody uploaded may be in them."""
    for path in Path(tempfile.gettempdir()).glob(f"{FOLDERS}*"):
        pid = path.name.removeprefix(FOLDERS).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


async def keep(connection: AsyncConnection, import_id: UUID, user: str, what: What, path: Path) -> int:
    """Write a file down; its bytes."""
    size = 0
    with path.open("rb") as file:
        number = 0
        while piece := file.read(PIECE):
            size += len(piece)
            await keep_piece(connection, import_id, user, what, number, piece)
            number += 1
    return size


async def keep_piece(
    connection: AsyncConnection, import_id: UUID, user: str, what: What, number: int, piece: bytes
) -> None:
    """Write one piece down."""
    body = await asyncio.to_thread(zlib.compress, piece, 3)
    values = {"import_id": import_id, "user_id": user, "what": what, "number": number, "body": body}
    await connection.execute(insert(ImportPieceRow).values(values))


async def pieces(engine: AsyncEngine, import_id: UUID, what: What) -> AsyncIterator[bytes]:
    """One after the other; a connection is held for each only as long as it takes."""
    after = -1
    while True:
        async with engine.connect() as connection:
            row = (await connection.execute(PIECES, {"id": import_id, "what": what, "after": after})).one_or_none()
        if row is None:
            return
        yield await asyncio.to_thread(zlib.decompress, row.body)
        after = row.number


async def last_piece(connection: AsyncConnection, import_id: UUID, what: What) -> int | None:
    """The number of the last one; None: there is none."""
    last: int | None = await connection.scalar(LAST, {"id": import_id, "what": what})
    return last


async def fetch(engine: AsyncEngine, import_id: UUID, path: Path, what: What = "upload") -> bool:
    """The upload as a file, or another; False when it was removed."""
    return await write(pieces(engine, import_id, what), path)


async def write(told: AsyncIterable[bytes], path: Path) -> bool:
    """Pieces into a file; False when there is none."""
    there = False
    with path.open("wb") as file:
        async for piece in told:
            there = True
            file.write(piece)
    return there


async def drop(connection: AsyncConnection, import_id: UUID, *what: What) -> None:
    """Remove pieces of an import."""
    await connection.execute(DROP, {"id": import_id, "what": list(what)})


async def crowd_out(connection: AsyncConnection, user: str) -> None:
    """Remove the uploads of a user's oldest imports, where there are too many."""
    await connection.execute(CROWD_OUT, {"user": user, "most": MOST_KEPT})


async def sweep(engine: AsyncEngine, now: datetime, days: int) -> None:
    """Remove what was kept for long enough."""
    async with engine.begin() as connection:
        await connection.execute(SWEEP, {"before": now - timedelta(days=days)})
