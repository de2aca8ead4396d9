"""A producer that outlives its broker's absence: what it keeps, what it gives up, what it refuses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, LeaderNotAvailableError, TopicAuthorizationFailedError

from deploy.clients import kafka_producer
from deploy.settings import Settings
from deploy.topics import apply_topics
from schemas.outgoing import Outgoing
from spiders.delivery.broker import Broker, Pulse, Refused, abandon
from tests.spiders.handing import Kafka, until


@dataclass(eq=False)
class Letter:
    """Something to send."""

    key: str
    topic: str = "gigz.raw-event.v1"
    arrived: bool = False
    record: Outgoing = field(init=False)

    def __post_init__(self) -> None:
        self.record = Outgoing(self.topic, self.key, self.key, b"{}")

    def acknowledged(self) -> None:
        """Note it."""
        self.arrived = True


@asynccontextmanager
async def sending(kafka: Kafka, away_s: float = 5) -> AsyncIterator[Broker[Letter]]:
    """Open."""
    broker: Broker[Letter] = Broker(kafka.connect, 24, Pulse(), away_s)
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()


def letters(*keys: str) -> list[Letter]:
    return [Letter(key) for key in keys]


async def test_what_was_taken_is_acknowledged_and_counted() -> None:
    kafka, some = Kafka(), letters("a", "b", "a")
    async with sending(kafka) as broker:
        assert await broker.send(some) == []
        assert broker.on_their_way == 3 and set(broker.unacknowledged) == set(some)
        kafka.acknowledge()
        await until(lambda: all(letter.arrived for letter in some))
        assert (broker.on_their_way, broker.bytes_on_their_way, broker.acknowledged) == (0, 0, 3)


async def test_away_from_the_start_takes_nothing_until_it_is_there() -> None:
    kafka = Kafka()
    kafka.away, kafka.acknowledges = True, True
    async with sending(kafka) as broker:
        some = letters("a", "b")
        assert broker.away and await broker.send(some) == some
        assert "GIGZ_KAFKA_URL" in broker.why
        kafka.away = False
        await until(lambda: not broker.away)
        assert await broker.send(some) == []
        await until(lambda: broker.acknowledged == 2)


async def test_silence_is_being_away_and_an_answer_ends_it() -> None:
    kafka = Kafka()
    async with sending(kafka, away_s=0.2) as broker:
        await broker.send(letters("a"))
        assert not broker.away
        await until(lambda: broker.away)
        assert await broker.send(late := letters("b")) == late
        kafka.acknowledge()
        await until(lambda: not broker.away)
        assert kafka.producers == 1


async def test_a_producer_that_cannot_go_on_is_replaced_and_what_it_had_goes_first() -> None:
    kafka = Kafka()
    async with sending(kafka) as broker:
        await broker.send(letters("a", "b"))
        kafka.sent[0][3].set_exception(KafkaError("out of order"))
        await until(lambda: kafka.producers == 2)
        await until(lambda: len(kafka.sent) == 4)
        await broker.send(letters("a"))
        kafka.acknowledge()
        await until(lambda: broker.on_their_way == 0)
        assert [key for number, key, *_ in kafka.sent if number == 2] == ["a", "b", "a"]


async def test_what_is_refused_again_and_again_is_no_accident() -> None:
    kafka = Kafka()
    kafka.fails = TopicAuthorizationFailedError("gigz.raw-event.v1")
    async with sending(kafka) as broker:
        await broker.send(letters("a"))
        await until(lambda: broker.refused is not None)
        with pytest.raises(Refused, match=r"TopicAuthorizationFailed.*Remedy"):
            await broker.send(letters("b"))
        assert kafka.producers == 4


async def test_what_passes_by_itself_is_never_a_refusal() -> None:
    kafka = Kafka()
    kafka.fails = LeaderNotAvailableError()
    async with sending(kafka) as broker:
        await broker.send(letters("a"))
        await until(lambda: kafka.producers > 6)
        kafka.fails, kafka.acknowledges = None, True
        await until(lambda: broker.on_their_way == 0)


async def test_a_topic_that_is_not_there_is_told_with_its_remedy() -> None:
    async with sending(Kafka(), away_s=0.3) as broker:
        with pytest.raises(Refused, match=r"no topic gigz.raw-venue.v1 with 24 partitions.*gigz topics apply"):
            await broker.send([Letter("a", "gigz.raw-venue.v1")])


@pytest.mark.stack
async def test_an_abandoned_producer_sends_nothing_more_and_closes_at_once(stack: Settings) -> None:
    # Pins what `abandon` and `patient` know of aiokafka.
    await apply_topics(stack)
    async with contextlib.AsyncExitStack() as opened:
        slow = stack.model_copy(update={"producer_linger_ms": 60_000})
        producer: AIOKafkaProducer = await opened.enter_async_context(kafka_producer(slow, "gigz-test"))
        assert isinstance(producer._message_accumulator._batch_ttl, float)
        future = await producer.send("gigz.raw-event.v1", b"{}", key=b"abandoned", partition=0)
        async with asyncio.timeout(5):
            await abandon(producer)
            with pytest.raises(KafkaError, match="given up"):
                await future
            assert producer._sender.sender_task.done()
            await opened.aclose()
