"""The rows of an export: one snapshot for all kinds, a few rows in memory at a time.

REPEATABLE READ, read only: what is decided while the export is read is not in it, wherever it stands. The server keeps
the cursor; a reader that says nothing for SILENT_S loses its transaction, so that nobody holds old rows for ever.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.export.kinds import Kind
from deploy.erasing import ledger, stores

SILENT_S = 120
BEGIN = text(
    """
    select set_config('timezone', 'UTC', true), set_config('idle_in_transaction_session_timeout', :silent, true),
        set_config('transaction_read_only', 'on', true), now()
    """
)


@dataclass(frozen=True)
class Snapshot:
    """What one user has at one instant."""

    connection: AsyncConnection
    user: str
    at: datetime

    async def of(self, kind: Kind) -> AsyncIterator[Sequence[str]]:
        """Its rows, JSON each, a few at a time."""
        asked = {"user": self.user} if kind.table != stores.REJECTIONS else stores.may_be_of(self.user)
        query = text(kind.query).execution_options(yield_per=kind.at_once)
        found = await self.connection.stream(query, asked)
        async for rows in found.partitions(kind.at_once):
            if kind.table == stores.REJECTIONS:
                rows = [
                    row
                    for row in rows
                    if self.user in ledger.users_of(row.origin_topic, row.original_key, row.original)
                ]
            if rows:
                yield [row.row for row in rows]


@asynccontextmanager
async def snapshot(engine: AsyncEngine, user: str) -> AsyncIterator[Snapshot]:
    """Open for as long as it is read."""
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ")
        row = (await connection.execute(BEGIN, {"silent": f"{SILENT_S}s"})).one()
        yield Snapshot(connection, user, row[-1])
