"""Whether a new user's backfill delays the live stream: the same steady entries of others, alone and beside it.

    python -m tests.faults.backfill [--entries N] [--pace N] [--seconds N]

One match and one relay, as they ship, on engines of their own. Live entries and the backfill both come by the outbox,
as the API sends them. A delay is from the outbox row's commit to the entry's set of suggestions, read from Kafka:
relay, match, relay. The last line is the verdict: the delay that the backfill adds is less than a second.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import kafka_consumer, postgres_engine
from deploy.flow import gauge
from deploy.local import workers
from deploy.migrate import migrate_postgres
from deploy.outbox import put_in_outbox
from deploy.settings import Settings
from deploy.topics import apply_topics
from matchers.normalise import normalise
from schemas.history import BackfilledEntry, Entry
from schemas.listing import Listing
from schemas.message import new_trace
from schemas.outgoing import Origin, Outgoing, outgoing
from schemas.raw import RawEvent
from schemas.rows import entry_from_row, raw_from_row
from schemas.suggestion import Suggestions
from streams import resolve
from streams.record import Record
from streams.store_resolve import ResolveStore
from tests.faults.known_input import FIRST, HALLS, SECOND, TOWNS
from tests.support import running_engines

MOST_ADDED_S = 1.0
"""What a backfill may add to any of the three."""
SHOWS = 6_000
LIVE_USERS = 200
BATCH = 500
BEGAN = date(2004, 1, 1)
NO_STORES = {"clickhouse_url": "http://127.0.0.1:1/none", "meilisearch_url": "http://127.0.0.1:1"}
PROCESSES = ("relay-1", "match-1")
IDLE_S = 1_200.0


@dataclass(frozen=True)
class Delays:
    """Of the live entries of one phase, in seconds."""

    phase: str
    seconds: tuple[float, ...]

    @property
    def p50(self) -> float:
        """The median."""
        return statistics.median(self.seconds)

    @property
    def p99(self) -> float:
        """Of a hundred, the second longest."""
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[98]

    @property
    def longest(self) -> float:
        """Of all."""
        return max(self.seconds)

    def __str__(self) -> str:
        return (
            f"{self.phase:<22} {len(self.seconds):>6,} {self.p50:>8.3f} {self.p99:>8.3f} {self.longest:>8.3f}   seconds"
        )


@dataclass(frozen=True)
class Shown:
    """The live stream alone, beside the backfill, and alone again."""

    before: Delays
    beside: Delays
    after: Delays
    backfill_s: float
    """From the backfill's commit to the last of its sets."""
    backfilled: int

    @property
    def added(self) -> float:
        """What the median, the 99th of a hundred or the longest has more than alone: the worst of the three."""
        return max(
            self.beside.p50 - max(self.before.p50, self.after.p50),
            self.beside.p99 - max(self.before.p99, self.after.p99),
            self.beside.longest - max(self.before.longest, self.after.longest),
        )

    @property
    def holds(self) -> bool:
        """Whether that is little enough."""
        return self.added < MOST_ADDED_S


def shows() -> list[dict[str, str]]:
    """A catalogue: some two thousand artists, each a few nights in eighteen towns."""
    dice = Random("shows")
    rows = []
    for number in range(SHOWS):
        town, region, country, *_ = dice.choice(TOWNS)
        rows.append(
            {
                "source": "stage-log",
                "source_id": str(number),
                "artist": f"{dice.choice(FIRST)} {dice.choice(SECOND)} {'of ' + dice.choice(TOWNS)[0]}",
                "date": str(BEGAN + timedelta(days=dice.randrange(7_000))),
                "venue": f"{dice.choice(HALLS)} {town}",
                "city": town,
                "region": region,
                "country": country,
            }
        )
    return rows


def remembered(catalogue: Sequence[dict[str, str]], dice: Random) -> dict[str, str]:
    """What a user writes of a show: the night or its month or year, the town or nothing."""
    show = dice.choice(catalogue)
    written = {"artist": show["artist"], "date": show["date"][: dice.choice((10, 10, 10, 7, 4))]}
    return written | ({"city": show["city"]} if dice.random() < 0.6 else {})


def some_entries(message: type[Entry], users: Sequence[str], mark: str, count: int) -> Iterator[Outgoing]:
    """Entries of these users in turn, as the API would send them."""
    dice, catalogue = Random(mark), shows()
    at = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    for number in range(count):
        row = remembered(catalogue, dice) | {"user": users[number % len(users)], "entry_id": f"{mark}{number}"}
        yield outgoing(entry_from_row(row | {"observed_at": at}, message), trace=new_trace(), stage="api")


async def fill_catalogue(engine: AsyncEngine, settings: Settings) -> None:
    """The concerts, by resolve's own code."""
    handle = resolve.handler(Listing, ResolveStore(engine, settings.outbox_shards), lambda: datetime.now(UTC))
    found = [normalise(raw_from_row(row, RawEvent)) for row in shows()]
    listings = [one for some in found if isinstance(some, tuple) for one in some if isinstance(one, Listing)]
    records = [
        Record(Origin(Listing.topic, 0, place), one.key, one.to_bytes(), {}) for place, one in enumerate(listings)
    ]
    for begin in range(0, len(records), BATCH):
        await handle(records[begin : begin + BATCH])
    async with engine.begin() as connection:
        await connection.execute(text("analyze"))


@dataclass
class Watch:
    """When each entry was committed to the outbox, and when its first set was read from Kafka."""

    sent: dict[str, float] = field(default_factory=dict)
    read: dict[str, float] = field(default_factory=dict)

    async def follow(self, consumer: AIOKafkaConsumer) -> None:
        """Read the suggestions' topic for ever."""
        while True:
            found = await consumer.getmany(timeout_ms=100)
            now = time.monotonic()
            for record in (one for some in found.values() for one in some):
                self.read.setdefault(record.key.decode(), now)

    def left(self, keys: Sequence[str]) -> int:
        """How many of them have no set yet."""
        return sum(key not in self.read for key in keys)

    def delays(self, phase: str, keys: Sequence[str]) -> Delays:
        """Of these entries."""
        return Delays(phase, tuple(self.read[key] - self.sent[key] for key in keys))


async def commit(settings: Settings, records: Sequence[Outgoing]) -> float:
    """Into the outbox in one transaction, as an import of the API; when it was committed."""
    engine = postgres_engine(settings, pool_size=1, name="backfill")
    try:
        async with engine.begin() as connection:
            await put_in_outbox(connection, records, settings.outbox_shards)
        return time.monotonic()
    finally:
        await engine.dispose()


async def live(
    engine: AsyncEngine, settings: Settings, watch: Watch, entries: Iterator[Outgoing], pace: float, ends: asyncio.Event
) -> list[str]:
    """One entry each 1/pace seconds until `ends`, whatever becomes of them; their keys."""
    keys: list[str] = []
    began = time.monotonic()
    sending: set[asyncio.Task[None]] = set()

    async def send(record: Outgoing) -> None:
        async with engine.begin() as connection:
            await put_in_outbox(connection, [record], settings.outbox_shards)
        watch.sent[record.key] = time.monotonic()

    while not ends.is_set():
        await asyncio.sleep(max(0.0, began + len(keys) / pace - time.monotonic()))
        record = next(entries)
        keys.append(record.key)
        task = asyncio.create_task(send(record))
        sending.add(task)
        task.add_done_callback(sending.discard)
    await asyncio.gather(*sending)
    return keys


async def arrived(watch: Watch, keys: Sequence[str], settings: Settings) -> None:
    """Until each of these has its set. WorkerFailed, TimeoutError."""
    async with asyncio.timeout(IDLE_S):
        while watch.left(keys):
            workers.alive(settings, PROCESSES)
            await asyncio.sleep(0.1)


async def measure(settings: Settings, count: int, pace: float, seconds: float) -> Shown:
    """All three phases, on engines that run."""
    await apply_topics(settings)
    await asyncio.to_thread(migrate_postgres, settings)
    engine = postgres_engine(settings, pool_size=8, name="live")
    users = [f"live-{number}" for number in range(LIVE_USERS)]
    entries = some_entries(Entry, users, "l", 100_000)
    backfill = list(some_entries(BackfilledEntry, ["newcomer"], "b", count))
    watch = Watch()
    try:
        await fill_catalogue(engine, settings)
        for name in PROCESSES:
            await asyncio.to_thread(workers.start_worker, settings, name)
        await _nothing_waits(settings)
        parts = [TopicPartition(Suggestions.topic, p) for p in range(settings.partitions)]
        async with kafka_consumer(settings, (), None) as consumer:
            consumer.assign(parts)
            await consumer.seek_to_end(*parts)
            following = asyncio.create_task(watch.follow(consumer))
            try:
                # The first batches are slower: what a process loads when it is first asked is no delay of a backfill.
                await _alone(engine, settings, watch, entries, pace, 5.0, "warm")
                before = await _alone(engine, settings, watch, entries, pace, seconds, "alone")
                ends, begun = asyncio.Event(), time.monotonic()
                beside = asyncio.create_task(live(engine, settings, watch, entries, pace, ends))
                # In a thread of its own: making 5,000 rows is not to hold up the clock of the live ones.
                began = await asyncio.to_thread(lambda: asyncio.run(commit(settings, backfill)))
                await arrived(watch, [one.key for one in backfill], settings)
                backfill_s = max(watch.read[one.key] for one in backfill) - began
                ends.set()
                keys = await beside
                await arrived(watch, keys, settings)
                during = watch.delays("beside the backfill", keys)
                # As long as it was beside it: the longest of many delays is longer than the longest of few.
                lasted = max(seconds, time.monotonic() - begun)
                after = await _alone(engine, settings, watch, entries, pace, lasted, "alone, as long")
            finally:
                following.cancel()
        return Shown(before, during, after, backfill_s, count)
    finally:
        await engine.dispose()
        await asyncio.to_thread(workers.stop, settings, PROCESSES)


async def _alone(
    engine: AsyncEngine,
    settings: Settings,
    watch: Watch,
    entries: Iterator[Outgoing],
    pace: float,
    seconds: float,
    phase: str,
) -> Delays:
    ends = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, ends.set)
    keys = await live(engine, settings, watch, entries, pace, ends)
    await arrived(watch, keys, settings)
    return watch.delays(phase, keys)


async def _nothing_waits(settings: Settings) -> None:
    async with gauge(settings) as reading, asyncio.timeout(IDLE_S):
        while await reading.outbox() or await reading.waiting("match") or await reading.waiting("rematch"):
            workers.alive(settings, PROCESSES)
            await asyncio.sleep(0.3)


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=5_000, help="of the new user")
    parser.add_argument("--pace", type=float, default=20.0, help="live entries a second, of 200 other users")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the live stream alone before")
    asked = parser.parse_args()
    with running_engines(str(Path(tempfile.gettempdir()) / "gigz-backfill-"), **NO_STORES) as settings:
        shown = asyncio.run(measure(settings, asked.entries, asked.pace, asked.seconds))
    one, five, fifteen = os.getloadavg()
    print(f"{os.cpu_count()} cores, load {one:.1f} {five:.1f} {fifteen:.1f}; {asked.pace:g} live entries a second")
    print(f"{'':<22} {'live':>6} {'p50':>8} {'p99':>8} {'longest':>8}")
    print(shown.before, shown.beside, shown.after, sep="\n")
    rate = shown.backfilled / shown.backfill_s
    print(f"the backfill: {shown.backfilled:,} entries in {shown.backfill_s:.1f} s, {rate:.0f}/s")
    verdict = "PASS" if shown.holds else "FAIL"
    print(f"{verdict}: it adds {shown.added:.3f} s, less than {MOST_ADDED_S:g} is asked for")
    return 0 if shown.holds else 1


if __name__ == "__main__":
    sys.exit(main())
