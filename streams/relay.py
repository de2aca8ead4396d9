"""outbox -> topics: what was committed beside a change is published, in order, until Kafka has it.

A relay holds shards by PostgreSQL's session locks: one holder a shard, and the lock goes with the session when the
process dies. Several relays share the shards evenly. A shard's rows are read in the order of their ids, published by an
idempotent producer, awaited, deleted. A crash before the delete publishes them again, in the same order.

Backfills come last and in small parts: behind an import of thousands of lines no decision waits. So a topic's rows keep
their order, and those of a backfill's topic may be passed by others: nothing leans on an order between topics.

There is no cursor over the ids: they are drawn before the commit, so a smaller one may appear later. That is harmless,
because those of one aggregate are drawn under its lock: the later change always has the larger id, and appears later.
"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.clients import publish
from deploy.failures import answered
from deploy.locks import GIGZ as LOCK_CLASS
from deploy.locks import GIVE, HOLDERS, RELAYS_PRESENT, TAKE
from deploy.logs import some_traces
from deploy.meters import RelayMeters, counted, relay_meters
from deploy.settings import Settings
from schemas.history import BackfilledEntry
from schemas.message import HEADER_TRACE
from schemas.outgoing import Outgoing
from schemas.rejection import ERROR_HEADERS, Rejection
from streams.record import without_giants
from streams.retry import Engine, GaveUp, Patience
from streams.stage import Clock, utc_now

STAGE = "relay"
BATCH = 1_000
"""Rows read at once: a third of a second of a broker's time, and what a crash repeats at most."""
LAST = BackfilledEntry.topic
BACKFILL_BATCH = 200
"""Of them, rows of that topic."""
SHARE_EVERY_S = 2.0
"""How often shards are shared out anew, so how long those of a dead relay wait at most."""
LEAVE_S = 1.5
log = structlog.get_logger()

OUTBOX = "outbox"
"""Stands for a topic in the relay's figures."""
SIZE = text("select count(*) from state.outbox")
WAITING = text(
    """
    select count(*), count(*) filter (where mine), min(created_at) filter (where mine)
    from (select created_at, shard = any(cast(:shards as smallint[])) as mine from state.outbox) as outbox
    """
)
READ = text(
    """
    select id, topic, key, partition_by, value, headers from (
        (select * from state.outbox where shard = any(cast(:shards as smallint[])) and topic <> :last
            order by id limit :batch)
        union all
        (select * from state.outbox where shard = any(cast(:shards as smallint[])) and topic = :last
            order by id limit :backfill)
    ) as outbox
    order by topic = :last, id limit :batch
    """
)
DELETE = text("delete from state.outbox where id = any(cast(:ids as bigint[]))")
ENTER = text("select pg_advisory_lock_shared(:lock_class, :number)")


async def outbox_rows(engine: AsyncEngine) -> int:
    """How many messages wait to be published."""
    async with engine.connect() as connection:
        return int(await connection.scalar(SIZE) or 0)


class Relay:
    """Publishes the shards it holds. One connection holds the locks, reads and deletes: no locks, no work."""

    def __init__(
        self,
        settings: Settings,
        engine: AsyncEngine,
        producer: AIOKafkaProducer,
        clock: Clock = utc_now,
        shown: Callable[[str], None] = lambda moment: None,
        meters: RelayMeters | None = None,
    ) -> None:
        self._settings = settings
        self._meters = meters or relay_meters(settings)
        self._engine = engine
        self._producer = producer
        self._clock = clock
        self._shown = shown
        """Told of moments between the steps: tests stop there."""
        self.held: set[int] = set()
        self._shared_at = float("-inf")
        self._session: AsyncConnection | None = None
        self._asked: Engine = "postgres"
        """Who is to answer next."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Until told to stop. GaveUp when Kafka or PostgreSQL stays away."""
        patience = Patience(self._settings, stopping, self._meters)
        try:
            while not stopping.is_set():
                if await patience.persist(self._step, lambda: self._asked) == 0:
                    try:
                        await asyncio.wait_for(stopping.wait(), self._settings.outbox_poll_s)
                    except TimeoutError:
                        continue
        except GaveUp as error:
            if not stopping.is_set():
                raise
            log.info("stopped while waiting", why=str(error))
        finally:
            await self.close()

    async def _step(self) -> int:
        try:
            return await self.step()
        except BaseException as error:
            # A session that failed may have lost its locks: begin with a new one. Kafka's failures leave it alone.
            if not isinstance(error, KafkaError):
                await self.close()
            raise

    async def step(self) -> int:
        """One round: share the shards, publish a batch of those held, delete it. The number of rows."""
        self._asked = "postgres"
        session = await self._locked_session()
        if not self.held:
            return 0
        with self._meters.step("read"):
            asked = {"batch": BATCH, "backfill": BACKFILL_BATCH, "last": LAST}
            rows = list(await session.execute(READ, asked | {"shards": sorted(self.held)}))
        if not rows:
            return 0
        records = [Outgoing(r.topic, r.key, r.partition_by, r.value, r.headers) for r in rows]
        self._shown("read")
        records = without_giants(records, stage=STAGE, at=self._clock())
        self._asked = "kafka"
        with self._meters.step("publish"):
            await publish(self._producer, records, self._settings.partitions)
        self._asked = "postgres"
        log.info("published", records=len(records), **some_traces(r.headers.get(HEADER_TRACE, "") for r in records))
        self._shown("published")
        with self._meters.step("commit"):
            await session.execute(DELETE, {"ids": [row.id for row in rows]})
        self._meters.progress.moved([OUTBOX])
        self._meters.batch({OUTBOX: len(rows)})
        rejections = [record for record in records if record.topic == Rejection.topic]
        self._meters.refused(counted(record.headers.get(ERROR_HEADERS["exception"], "") for record in rejections))
        self._meters.published(counted(record.topic for record in records if record.topic != Rejection.topic))
        return len(rows)

    async def close(self) -> None:
        """Give the shards back: the session ends, its locks with it."""
        self.held = set()
        self._shared_at = float("-inf")
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(TimeoutError):  # a server that is silent hears of it when the connection ends
                await answered(_end(session), LEAVE_S)

    async def _locked_session(self) -> AsyncConnection:
        if self._session is None:
            session = await self._engine.connect()
            self._session = await session.execution_options(isolation_level="AUTOCOMMIT")
            await self._session.execute(ENTER, {"lock_class": LOCK_CLASS, "number": RELAYS_PRESENT})
        now = asyncio.get_running_loop().time()
        if now - self._shared_at >= SHARE_EVERY_S:
            self._shared_at = now
            await self._share(self._session)
        return self._session

    async def _share(self, session: AsyncConnection) -> None:
        """Hold a fair part: as many as there are shards for each relay present, rounded up."""
        shards = self._settings.outbox_shards
        present = int(await session.scalar(HOLDERS, {"lock_class": LOCK_CLASS, "number": RELAYS_PRESENT}) or 1)
        fair = -(-shards // max(1, present))
        before = set(self.held)
        for shard in sorted(self.held, reverse=True)[: max(0, len(self.held) - fair)]:
            await session.execute(GIVE, {"lock_class": LOCK_CLASS, "number": shard})
            self.held.discard(shard)
        for shard in range(shards):
            if len(self.held) >= fair:
                break
            if shard not in self.held and await session.scalar(TAKE, {"lock_class": LOCK_CLASS, "number": shard}):
                self.held.add(shard)
        if self.held != before:
            log.info("shards", held=sorted(self.held), relays=present)


async def _end(session: AsyncConnection) -> None:
    await session.invalidate()  # closes the connection itself; back in the pool it would keep the locks
    await session.close()
