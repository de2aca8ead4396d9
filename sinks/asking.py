"""A sink that asks the ledger of erased users first: what is theirs is not written, wherever it comes from.

Tombstones pass, they take away. A batch without users asks nothing. The ledger is held until the store has the batch:
an erasure that begins meanwhile waits for it, and removes what it wrote.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import orjson
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import postgres_engine
from deploy.erasing import ledger
from deploy.settings import Settings
from schemas.rejection import Rejection
from schemas.topics import BY_NAME
from sinks.errors import BadRows, StoreError
from sinks.postgres import store_error
from sinks.pump import Sink
from sinks.received import Change, Received


class AskingSink:
    """A sink of the pump around another; `asking` makes one."""

    def __init__(self, sink: Sink, engine: AsyncEngine) -> None:
        self.store = sink.store
        self._sink = sink
        self._engine = engine

    def prepare(self, received: Received) -> Change:
        """As the sink does."""
        return self._sink.prepare(received)

    async def write(self, changes: Sequence[Change]) -> None:
        """What is nobody's who was erased. The errors of the sink; StoreAway when PostgreSQL cannot be asked."""
        whose = [users_of(change) for change in changes]
        try:
            async with ledger.asking(self._engine, frozenset().union(*whose)) as erased:
                kept = [change for change, users in zip(changes, whose, strict=True) if not users & erased]
                try:
                    await self._sink.write(kept)
                except (StoreError, BadRows):
                    raise
                except (DBAPIError, OSError) as error:
                    raise _Its(error) from error
        except _Its as error:
            raise error.error from None
        except (DBAPIError, OSError) as error:
            raise store_error(error) from error


class _Its(Exception):
    """An error of the sink's own, on its way past the ledger's."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


@asynccontextmanager
async def asking(settings: Settings, sink: Sink) -> AsyncIterator[Sink]:
    """The sink behind the ledger; one that holds nothing of users as it is."""
    if sink.store not in {"clickhouse", "postgres"}:
        yield sink
        return
    engine = postgres_engine(settings, pool_size=1, name=f"gigz-sink-{sink.store}-ledger")
    try:
        yield AskingSink(sink, engine)
    finally:
        await engine.dispose()


def users_of(change: Change) -> frozenset[str]:
    """Whose row it is; of a rejection, whose message was refused. None's: a tombstone, what is not of users."""
    if not change.rows:
        return frozenset()
    if change.origin.topic != Rejection.topic:
        topic = BY_NAME.get(change.origin.topic)
        return ledger.users_of(change.origin.topic, change.key, None) if topic and topic.of_users else frozenset()
    row = change.rows[0]
    key = orjson.loads(row["body"]).get("original_key")
    return ledger.users_of(row["origin_topic"] or "", key, row["original"])
