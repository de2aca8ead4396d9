"""What the stages rely on in Faust and aiokafka, proved with the versions of the lock and a real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from deploy.clients import bootstrap, kafka_admin
from deploy.flow import group_of
from deploy.settings import Settings
from schemas.outgoing import Outgoing
from streams.app import make_app
from streams.main import run_app, take_apart
from streams.record import Record
from streams.stage import Frame, Handle

pytestmark = pytest.mark.stack


class Place:
    """A topic of one partition and a stage that reads it, both of this test alone."""

    def __init__(self, settings: Settings) -> None:
        name = uuid4().hex[:12]
        self.topic, self.stage = f"contract.{name}", f"contract-{name}"
        quick = {"batch_size": 5, "batch_linger_s": 0.05}
        self.settings = settings.model_copy(update=quick)

    async def make(self, partitions: int = 1) -> None:
        async with kafka_admin(self.settings) as admin:
            await admin.create_topics([NewTopic(self.topic, partitions, 1)])

    async def send(self, bodies: Sequence[bytes | None], keys: Sequence[bytes] = (), **headers: bytes) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap(self.settings))
        await producer.start()
        for n, body in enumerate(bodies):
            key = keys[n] if keys else b"k"
            await producer.send_and_wait(self.topic, value=body, key=key, headers=list(headers.items()))
        await producer.stop()

    async def committed(self) -> int | None:
        async with kafka_admin(self.settings) as admin:
            found = await admin.list_consumer_group_offsets(group_of(self.stage))
        at = found.get(TopicPartition(self.topic, 0))
        return None if at is None else int(at.offset)

    @asynccontextmanager
    async def read(self, handle: Handle, instance: int = 0) -> AsyncIterator[Frame]:
        """The stage runs meanwhile; stopped as SIGTERM stops it."""
        frame = Frame(self.settings, self.stage, None)  # type: ignore[arg-type]
        app = make_app(self.settings, self.stage, instance)
        frame.read(app, self.topic, handle)
        running = asyncio.create_task(run_app(frame, app))
        try:
            yield frame
        finally:
            frame.stopping.set()
            async with asyncio.timeout(10):
                await running


class Seen:
    """A handler that keeps what it was given, and may fail."""

    def __init__(self, fails_at: bytes | None = None, wanted: int = 10**9, last: bytes | None = None) -> None:
        self.records: list[Record] = []
        self.fails_at = fails_at
        self.wanted = wanted
        self.last = last
        self.enough = asyncio.Event()

    async def __call__(self, batch: Sequence[Record]) -> list[Outgoing]:
        if any(record.value == self.fails_at for record in batch) and self.fails_at is not None:
            raise ZeroDivisionError
        self.records.extend(batch)
        if len(self.records) >= self.wanted or (self.last is not None and self.last in self.bodies[-len(batch) :]):
            self.enough.set()
        return []

    @property
    def bodies(self) -> list[bytes | None]:
        return [record.value for record in self.records]


@pytest.fixture
async def place(stack: Settings) -> Place:
    made = Place(stack)
    await made.make()
    return made


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - looks into Faust
            await asyncio.sleep(0.1)


def numbers(start: int, end: int) -> list[bytes]:
    return [str(n).encode() for n in range(start, end)]


async def test_bytes_tombstones_headers_and_keys_arrive_as_they_are(place: Place) -> None:
    await place.send([b"\xff\x00 no text", None, b""], keys=[b"\xfe", b"gone", b"k"], trace=b"abc")
    seen = Seen(wanted=3)
    async with place.read(seen):
        await asyncio.wait_for(seen.enough.wait(), 20)
    assert seen.bodies == [b"\xff\x00 no text", None, b""]
    assert [record.key for record in seen.records] == ["\ufffd", "gone", "k"]
    assert all(record.headers == {"trace": "abc"} for record in seen.records)
    assert [record.origin.offset for record in seen.records] == [0, 1, 2]


async def test_a_stop_commits_what_is_done_and_the_next_process_goes_on_there(place: Place) -> None:
    await place.send(numbers(0, 12))
    seen = Seen(wanted=12)
    async with place.read(seen):
        await asyncio.wait_for(seen.enough.wait(), 20)
    assert await place.committed() == 12
    await place.send(numbers(12, 15))
    later = Seen(wanted=3)
    async with place.read(later):
        await asyncio.wait_for(later.enough.wait(), 20)
    assert later.bodies == numbers(12, 15)


async def test_a_stop_waits_for_the_batch_at_hand(place: Place) -> None:
    begun, done = asyncio.Event(), []

    async def slow(batch: Sequence[Record]) -> list[Outgoing]:
        begun.set()
        await asyncio.sleep(1)
        done.extend(batch)
        return []

    await place.send(numbers(0, 20))
    async with place.read(slow):
        await asyncio.wait_for(begun.wait(), 20)
    assert len(done) == 5 and await place.committed() == 5


async def test_faust_by_itself_commits_past_a_batch_that_failed(place: Place) -> None:
    """Why no agent leaves its loop. Should this fail one day, `streams/stage.py` may become simpler."""
    app = make_app(place.settings, place.stage, 0)
    failed = asyncio.Event()

    @app.agent(app.topic(place.topic, key_type=bytes, value_type=bytes), concurrency=1)
    async def leaves(stream: Any) -> None:
        async for _ in stream.noack_take(5, within=0.05):
            failed.set()
            return

    await place.send(numbers(0, 40))
    await app.start()
    await asyncio.wait_for(failed.wait(), 20)
    await asyncio.sleep(2.5)
    await app.stop()
    assert (await place.committed() or 0) > 0


@pytest.mark.parametrize("fails_at", [0, 1, 7, 19])
async def test_a_failing_batch_is_never_committed_past(place: Place, fails_at: int) -> None:
    """Not by what Faust holds and reads afterwards, not when its streams are taken apart."""
    await place.send(numbers(0, 40))
    seen = Seen(fails_at=str(fails_at).encode())
    frame = Frame(place.settings, place.stage, None)  # type: ignore[arg-type]
    app = make_app(place.settings, place.stage, 0)
    frame.read(app, place.topic, seen)
    await app.start()
    await asyncio.wait_for(frame.failed.wait(), 20)
    await place.send(numbers(40, 60))
    await asyncio.sleep(1.5)  # Faust reads on, and its commit interval passes
    assert (await place.committed() or 0) <= fails_at
    await take_apart(frame, app)
    assert isinstance(frame.failure, ZeroDivisionError) and app.consumer.halted
    assert (await place.committed() or 0) <= fails_at
    again = Seen(last=b"59")
    async with place.read(again):
        await asyncio.wait_for(again.enough.wait(), 20)
    first = int(again.bodies[0] or b"-1")
    assert first <= fails_at and again.bodies == numbers(first, 60)


async def test_a_restarted_static_member_takes_its_partitions_back_without_a_rebalance(stack: Settings) -> None:
    place = Place(stack)
    await place.make(partitions=2)
    one, two = Seen(), Seen()
    frame = Frame(place.settings, place.stage, None)  # type: ignore[arg-type]
    app = make_app(place.settings, place.stage, 0)
    frame.read(app, place.topic, one)
    running = asyncio.create_task(run_app(frame, app))
    async with place.read(two, instance=1):
        await until(lambda: app.consumer._thread._consumer and len(app.consumer.assignment()) == 1)
        await asyncio.sleep(0.5)
    before = app.rebalancing_count
    async with place.read(two, instance=1):
        await place.send(numbers(0, 20), keys=numbers(0, 20))
        await until(lambda: len(one.records) + len(two.records) >= 20)
    assert app.rebalancing_count == before
    assert one.records and two.records
    frame.stopping.set()
    await running


async def test_the_app_makes_no_topics(place: Place) -> None:
    async with kafka_admin(place.settings) as admin:
        before = set(await admin.list_topics())
        seen = Seen(wanted=1)
        await place.send([b"1"])
        async with place.read(seen):
            await asyncio.wait_for(seen.enough.wait(), 20)
        assert set(await admin.list_topics()) - before <= {"__consumer_offsets"}


async def test_backfill_waits_while_live_messages_wait(place: Place) -> None:
    backfill = Place(place.settings)
    await backfill.make()
    await place.send(numbers(0, 60))
    await backfill.send(numbers(0, 60))
    order: list[str] = []

    async def live(batch: Sequence[Record]) -> list[Outgoing]:
        await asyncio.sleep(0.1)
        order.extend("live" for _ in batch)
        return []

    async def later(batch: Sequence[Record]) -> list[Outgoing]:
        order.extend("later" for _ in batch)
        return []

    frame = Frame(place.settings.model_copy(update={"batch_size": 8}), place.stage, None)  # type: ignore[arg-type]
    app = make_app(place.settings, place.stage, 0)
    frame.read(app, place.topic, live)
    frame.read(app, backfill.topic, later, backfill=True)
    running = asyncio.create_task(run_app(frame, app))
    await until(lambda: len(order) == 120)
    frame.stopping.set()
    await running
    among = order[order.index("live") : len(order) - order[::-1].index("live")]
    between = "".join(word[1] for word in among).rstrip("i").rstrip("a")  # the last few lie in a batch that is not full
    assert between.count("a") <= 6  # a batch of two that slips in between two live ones
