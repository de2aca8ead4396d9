"""Do the stores hold what Kafka says? Counts and content hashes by partition first, then the ids that differ.

    wait            until what was written before the start has passed the outbox and the sinks
    sum             every place read once in pages: a count and a hash for each partition, by murmur2 as the topics
    compare         only partitions whose sums differ are read again, some at a time, and compared id by id
    look again      what differs is looked at until it is equal, still under way (lag), or the same difference twice

The hash of a partition is the sum of a hash of each id with its version and content: no order, no counter. Memory holds
one partition's newest messages, or GROUP ids of the partitions that differ, whatever the number of all.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import (
    check_postgres,
    clickhouse_async,
    kafka_admin,
    kafka_consumer,
    meilisearch_client,
    postgres_engine,
)
from deploy.erasing import ledger
from deploy.flow import Offsets, commits_of, group_of
from deploy.settings import Settings
from schemas.tables import OutboxRow
from schemas.topics import BY_NAME, partition_of
from sinks.broken_off import PASSED_OVER, left_over
from sinks.held import DIGEST_BYTES, Form, Held, partitioned_by
from sinks.newest import Newest, Reader
from sinks.places import Noun, Place, nouns

GROUP = 200_000
"""Ids compared at once: some 100 bytes each in every place."""
NAMED = 1_000
"""Differences of a place that are named; the others are counted."""
FEW = 50_000
"""Changed ids up to which places are asked for these alone."""
LOOK_S = 0.3
"""Between two looks at what differs."""
FETCH_MS = 10
"""A fetch that waits for messages holds up the next partition's: half a second each, as it comes."""
MODULUS = 1 << (8 * DIGEST_BYTES)

Commits = Callable[[], Awaitable[Mapping[str, Offsets]]]
"""Stage -> offset of the first message of each partition that it has not written yet."""
log = structlog.get_logger()


@dataclass
class Sum:
    """Of the ids in one partition, or of all."""

    ids: int = 0
    count: int = 0
    total: int = 0

    def add(self, held: Held) -> None:
        """One more id."""
        self.ids += 1
        self.count += held.size
        self.total = (self.total + int.from_bytes(held.mark, "big")) % MODULUS

    def __add__(self, other: "Sum") -> "Sum":
        return Sum(self.ids + other.ids, self.count + other.count, (self.total + other.total) % MODULUS)

    @property
    def hash(self) -> str:
        """32 hex digits."""
        return f"{self.total:032x}"


@dataclass(frozen=True)
class Difference:
    """One id that a place holds otherwise than Kafka."""

    noun: str
    place: str
    table: str
    id: str
    how: str
    """missing, extra, older, newer or content."""
    version: int | None
    """Of the place."""
    kafka_version: int | None
    what: str = ""
    """Columns that say something else than their body, where the body itself is as in Kafka."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass
class Compared:
    """One place beside Kafka."""

    topic: str
    place: Place
    there: list[Sum]
    expected: list[Sum]
    """Kafka's, in the form of the place; both by partition."""
    differing: int = 0
    named: list[Difference] = field(default_factory=list)
    in_flight: int = 0
    """Ids on their way, after all the waiting."""
    rejected: int = 0
    """Ids whose newest message the place's stage has rejected: what it holds is what it should."""
    erased: int = 0
    """Ids of users who were erased: nobody writes them any more, whatever is left in Kafka."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        there, expected = total(self.there), total(self.expected)
        return {
            "table": self.place.table,
            "count": there.count,
            "ids": there.ids,
            "hash": there.hash,
            "kafka": {"count": expected.count, "ids": expected.ids, "hash": expected.hash},
            "differing": self.differing,
            "in_flight": self.in_flight,
            "rejected": self.rejected,
            "erased": self.erased,
            "partitions": [one.hash for one in self.there],
        }


@dataclass
class Report:
    """What a run found."""

    compared: dict[str, list[Compared]] = field(default_factory=dict)
    kafka: dict[str, list[Sum]] = field(default_factory=dict)
    """Noun -> whole messages, by partition."""
    waiting: dict[str, int] = field(default_factory=dict)
    """Stage -> messages of before the start that it had not written at the end of the wait."""
    since: datetime | None = None
    seconds: float = 0.0
    broken_off: tuple[str, ...] = ()
    """Stores that a rebuild was swapping in when it was killed: messages of that moment may be missing in them."""

    @property
    def differences(self) -> list[Difference]:
        """Those that are named."""
        return [one for places in self.compared.values() for compared in places for one in compared.named]

    @property
    def differing(self) -> int:
        """Of all places."""
        return sum(compared.differing for places in self.compared.values() for compared in places)

    @property
    def ok(self) -> bool:
        """Whether nothing differs. Lag is no difference."""
        return self.differing == 0

    def as_json(self) -> dict[str, Any]:
        """For machines: one object."""
        return {
            "ok": self.ok,
            "since": None if self.since is None else self.since.isoformat(),
            "seconds": round(self.seconds, 1),
            "lag": self.waiting,
            "rebuilds_broken_off": list(self.broken_off),
            "nouns": {
                noun: {
                    "kafka": {
                        "count": total(self.kafka[noun]).count,
                        "ids": total(self.kafka[noun]).ids,
                        "hash": total(self.kafka[noun]).hash,
                        "partitions": [one.hash for one in self.kafka[noun]],
                    },
                    **{one.place.name: one.as_json() for one in places},
                }
                for noun, places in self.compared.items()
            },
            "differing": self.differing,
            "differences": [one.as_json() for one in self.differences],
        }


def total(sums: Iterable[Sum]) -> Sum:
    """Of all partitions."""
    return sum(sums, Sum())


@dataclass
class Stores:
    """Everything that is compared, connected."""

    settings: Settings
    consumer: AIOKafkaConsumer
    admin: AIOKafkaAdminClient
    engine: AsyncEngine
    nouns: tuple[Noun, ...]

    async def commits(self) -> dict[str, Offsets]:
        """Of the stages that write a place from Kafka."""
        stages = {place.stage for noun in self.nouns for place in noun.places if place.stage}
        found: dict[str, Offsets] = {}
        for stage in sorted(stages):
            told = await commits_of(self.admin, group_of(stage))
            found[stage] = {at: commit.offset for at, commit in told.items() if commit.offset >= 0}
        return found

    async def range(self) -> tuple[Offsets, Offsets]:
        """The oldest offset and the next of every partition of the topics that are compared."""
        parts = [TopicPartition(noun.topic, p) for noun in self.nouns for p in range(self.settings.partitions)]
        return await self.consumer.beginning_offsets(parts), await self.consumer.end_offsets(parts)

    async def unpublished(self, topic: str, keys: Iterable[str]) -> set[str]:
        """Of these keys, those with a message in the outbox."""
        sql = select(OutboxRow.key).where(OutboxRow.topic == topic, OutboxRow.key.in_(list(keys))).distinct()
        async with self.engine.connect() as connection:
            return set(await connection.scalars(sql))

    async def newest_outbox_row(self) -> int:
        """Id of the newest message that is to be published; 0 for none."""
        async with self.engine.connect() as connection:
            return await connection.scalar(select(func.max(OutboxRow.id))) or 0

    async def outbox_upto(self, id_: int) -> int:
        """Messages up to that one that are not published."""
        async with self.engine.connect() as connection:
            rows = select(func.count()).select_from(OutboxRow).where(OutboxRow.id <= id_)
            return await connection.scalar(rows) or 0

    async def erased(self, users: Collection[str]) -> frozenset[str]:
        """Of these users, those in the ledger of the erased."""
        found: frozenset[str] = frozenset()
        asked = sorted(users)
        for start in range(0, len(asked), FEW):
            async with self.engine.connect() as connection:
                found |= await ledger.erased_among(connection, asked[start : start + FEW])
        return found

    async def rejected(self, stage: str, newest: Mapping[str, Newest], topic: str) -> set[str]:
        """Of these ids, those whose newest message this stage has rejected."""
        places = {f"{topic}:{one.partition}:{one.offset}": id_ for id_, one in newest.items()}
        sql = text("select key from catalogue.rejections where stage = :stage and key = any(cast(:keys as text[]))")
        async with self.engine.connect() as connection:
            return {places[key] for key in await connection.scalars(sql, {"stage": stage, "keys": list(places)})}


@asynccontextmanager
async def open_stores(settings: Settings) -> AsyncIterator[Stores]:
    """Connections to everything, for reading. SettingsError names the one that does not answer."""
    search = await asyncio.to_thread(meilisearch_client, settings)
    engine = postgres_engine(settings, pool_size=1, name="gigz-reconcile")
    try:
        await check_postgres(engine, settings)
        clickhouse = await clickhouse_async(settings)
        try:
            async with (
                kafka_consumer(settings, (), None, fetch_max_wait_ms=FETCH_MS) as consumer,
                kafka_admin(settings) as admin,
            ):
                yield Stores(settings, consumer, admin, engine, nouns(engine, clickhouse, search))
        finally:
            await clickhouse.close()
    finally:
        await engine.dispose()


async def reconcile(
    settings: Settings,
    *,
    since: datetime | None = None,
    wait_s: float = 60.0,
    tell: Callable[[str], None] = lambda what: None,
) -> Report:
    """Compare everything that rests in more than one place. SettingsError for what does not answer."""
    begun = time.monotonic()
    until = begun + wait_s
    report = Report(since=since)
    async with open_stores(settings) as stores:
        tell("waiting for the sinks")
        report.waiting = await passed(stores, until)
        report.broken_off = tuple([what for what in PASSED_OVER if await left_over(settings, what)])
        for noun in stores.nouns:
            tell(f"reading {noun.name}")
            comparison = Comparison(stores, noun, stores.commits, until, await changed(stores, noun, since))
            report.compared[noun.name] = await comparison.run()
            report.kafka[noun.name] = comparison.kafka
    report.seconds = time.monotonic() - begun
    return report


async def passed(stores: Stores, until: float) -> dict[str, int]:
    """Wait until what is written now is in the stores; the messages that are not, by stage, at the end of the wait."""
    last = await stores.newest_outbox_row()
    ends: Offsets | None = None
    while True:
        unpublished = await stores.outbox_upto(last)
        # What the outbox published is to pass the sinks as well.
        if ends is None and (not unpublished or time.monotonic() >= until):
            begins, ends = await stores.range()
        if ends is not None:
            waiting = {"relay": unpublished} if unpublished else {}
            for stage, commits in (await stores.commits()).items():
                topics = {noun.topic for noun in stores.nouns if any(place.stage == stage for place in noun.places)}
                parts = [part for part in ends if part.topic in topics]
                if behind := sum(max(0, ends[part] - max(commits.get(part, 0), begins[part])) for part in parts):
                    waiting[stage] = behind
            if not waiting or time.monotonic() >= until:
                return waiting
        await asyncio.sleep(LOOK_S)


async def changed(stores: Stores, noun: Noun, since: datetime | None) -> dict[str, str] | None:
    """Key -> id of what Kafka or a store has had written since then; None for everything."""
    if since is None:
        return None
    found: dict[str, str] = {}
    parts = [TopicPartition(noun.topic, partition) for partition in range(stores.settings.partitions)]
    told = await stores.consumer.offsets_for_times(dict.fromkeys(parts, int(since.timestamp() * 1000)))
    reader = Reader(stores.consumer, noun.topic, upto={p.partition: at.offset for p, at in told.items() if at})
    for part in parts:
        if told.get(part) is None:
            continue
        await reader.read([part.partition])
        found |= {newest.key: id_ for id_, newest in reader.known.items()}
        reader.forget()
    for place in noun.places:
        async for page in place.pages(since):
            found |= {held.key: held.id for held in page}
    return found


@dataclass
class Comparison:
    """One noun, in Kafka and in its places."""

    stores: Stores
    noun: Noun
    commits: Commits
    until: float
    only: Mapping[str, str] | None = None
    """Key -> id: nothing else is looked at."""
    kafka: list[Sum] = field(default_factory=list)
    _reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self._reader = Reader(self.stores.consumer, self.noun.topic)

    async def run(self) -> list[Compared]:
        """Sum, compare what differs, look again."""
        partitions = self.stores.settings.partitions
        expected = await self._sum_kafka()
        self.kafka = expected[Form.WHOLE]
        found = []
        for place in self.noun.places:
            there = [Sum() for _ in range(partitions)]
            async for page in self._pages(place):
                for held in page:
                    there[self._partition(held.key)].add(held)
            found.append(Compared(self.noun.topic, place, there, expected[place.form]))
        wrong = {n for one in found for n in range(partitions) if one.there[n] != one.expected[n]}
        for group in self._groups(sorted(wrong), found):
            await self._compare(group, found)
        return found

    def _partition(self, key: str) -> int:
        return partition_of(partitioned_by(self.noun.topic, key), self.stores.settings.partitions)

    def _wanted(self, key: str) -> bool:
        return self.only is None or key in self.only

    async def _sum_kafka(self) -> dict[Form, list[Sum]]:
        partitions = self.stores.settings.partitions
        sums = {form: [Sum() for _ in range(partitions)] for form in Form}
        asked = set(range(partitions)) if self.only is None else set(map(self._partition, self.only))
        for partition in sorted(asked):
            await self._reader.read([partition], self._wanted)
            for newest in self._reader.known.values():
                for form, held in newest.forms.items():
                    sums[form][partition].add(held)
            self._reader.restart()
        return sums

    async def _pages(self, place: Place) -> AsyncIterator[list[Held]]:
        if self.only is None:
            async for page in place.pages():
                yield page
        elif len(self.only) <= FEW:
            yield list((await place.some(list(self.only.values()))).values())
        else:
            ids = set(self.only.values())
            async for page in place.pages():
                yield [held for held in page if held.id in ids]

    def _groups(self, wrong: Sequence[int], found: Sequence[Compared]) -> list[set[int]]:
        """Partitions that are compared together: as many as stay below GROUP ids."""
        groups: list[set[int]] = []
        size = GROUP
        for partition in wrong:
            ids = max(max(one.there[partition].ids, one.expected[partition].ids) for one in found)
            if size + ids > GROUP:
                groups.append(set())
                size = 0
            groups[-1].add(partition)
            size += ids
        return groups

    async def _compare(self, group: set[int], found: Sequence[Compared]) -> None:
        """The ids of these partitions, side by side; those that differ are looked at again."""
        self._reader.restart()
        await self._reader.read(sorted(group), self._wanted)
        doubtful: dict[str, dict[str, str]] = {}
        for compared in found:
            place = compared.place
            if all(compared.there[n] == compared.expected[n] for n in group):
                continue
            expected = {
                id_: one.forms[place.form] for id_, one in self._reader.known.items() if place.form in one.forms
            }
            asked: dict[str, str] = {}
            async for page in self._pages(place):
                for held in page:
                    if self._partition(held.key) in group:
                        right = expected.pop(held.id, None)
                        if right is None or not right.same(held):
                            asked[held.id] = held.key
            doubtful[place.name] = asked | {id_: held.key for id_, held in expected.items()}
        doubted = {id_: key for of_place in doubtful.values() for id_, key in of_place.items()}
        self._reader.forget(but=doubted.__contains__)
        keys = {key for key in doubted.values() if self._wanted(key)}
        for compared in found:
            if of_place := doubtful.get(compared.place.name):
                await self._look_again(compared, of_place, keys)

    async def _look_again(self, compared: Compared, asked: dict[str, str], keys: set[str]) -> None:
        """Until each id is equal, is the same difference in two looks with nothing under way, or time is up.

        `keys`: of the whole group, so that nothing is read past that another place is asked about afterwards.
        """
        place = compared.place
        seen: dict[str, tuple[Held | None, Newest | None]] = {}
        looks = 0
        while asked:
            stage_at = (await self.commits()).get(place.stage, {}) if place.stage else {}
            there = await place.some(list(asked))
            waiting = set() if place.stage else await self.stores.unpublished(self.noun.topic, asked.values())
            await self._reader.read(sorted({self._partition(key) for key in keys}), keys.__contains__)
            left: dict[str, str] = {}
            real: dict[str, tuple[Held | None, Newest | None]] = {}
            for id_, key in asked.items():
                held, newest = there.get(id_), self._reader.known.get(id_)
                right = newest.forms.get(place.form) if newest else None
                if (held is None and right is None) or (held and right and right.same(held)):
                    continue
                on_its_way = key in waiting or (newest is not None and self._ahead(newest, place, stage_at))
                now = (held, newest)
                if not on_its_way and id_ in seen and _unmoved(seen[id_], now):
                    real[id_] = now
                else:
                    left[id_] = key
                seen[id_] = now
            await self._settle(compared, real)
            asked = left
            looks += 1
            # Two looks at least: the first may have been taken between two writes.
            if asked and looks > 1 and time.monotonic() >= self.until:
                compared.in_flight += len(asked)
                return
            if asked:
                await asyncio.sleep(LOOK_S)

    def _ahead(self, newest: Newest, place: Place, commits: Offsets) -> bool:
        """Whether the place's stage has not come to this message yet."""
        if place.stage is None:
            return False
        return newest.offset >= commits.get(TopicPartition(self.noun.topic, newest.partition), 0)

    async def _settle(self, compared: Compared, real: Mapping[str, tuple[Held | None, Newest | None]]) -> None:
        place = compared.place
        stale = {
            id_: newest
            for id_, (held, newest) in real.items()
            if newest is not None and (held is None or not newest.forms or held.version < newest.version)
        }
        rejected = await self.stores.rejected(place.stage, stale, self.noun.topic) if place.stage and stale else set()
        erased: set[str] = set()
        if BY_NAME[self.noun.topic].of_users:
            users = await self.stores.erased({id_.partition("/")[0] for id_ in stale})
            erased = {id_ for id_ in stale if id_.partition("/")[0] in users} - rejected
        compared.rejected += len(rejected)
        compared.erased += len(erased)
        for id_, (held, newest) in sorted(real.items()):
            if id_ in rejected | erased:
                continue
            compared.differing += 1
            if len(compared.named) < NAMED:
                compared.named.append(_difference(self.noun, place, id_, held, newest))


def _unmoved(before: tuple[Held | None, Newest | None], now: tuple[Held | None, Newest | None]) -> bool:
    """Whether neither side has moved between two looks."""
    (held, newest), (held_now, newest_now) = before, now
    where = newest.offset if newest else None
    where_now = newest_now.offset if newest_now else None
    return held == held_now and where == where_now


def _difference(noun: Noun, place: Place, id_: str, held: Held | None, newest: Newest | None) -> Difference:
    right = newest.forms.get(place.form) if newest else None
    if right is None:
        how = "extra"
    elif held is None:
        how = "missing"
    elif held.version != right.version:
        how = "older" if held.version < right.version else "newer"
    else:
        how = "content"
    return Difference(
        noun.name,
        place.name,
        place.table,
        id_,
        how,
        held.version if held else None,
        right.version if right else None,
        held.off if held else "",
    )
