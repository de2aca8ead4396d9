"""A stage without its framework: the handlers of `streams` with their stores, called by whoever reads the topics.

The guarantees are the same: effects first, then what follows is published and acknowledged, then the offset may move.
"""

import asyncio
from collections.abc import Sequence

from confluent_kafka import KafkaError, Message, Producer

from deploy.clients import bootstrap, postgres_engine
from deploy.settings import Settings
from matchers.places import warm
from schemas.concert import Concert
from schemas.history import Entry, Rematch
from schemas.outgoing import Outgoing
from streams import match, normalise, rematch, resolve
from streams.record import Record, record_of, without_giants
from streams.stage import Handle, utc_now
from streams.store_match import MatchStore
from streams.store_resolve import ResolveStore

BATCH = 500
LINGER_S = 0.25
"""As the workers have them: GIGZ_BATCH_SIZE, GIGZ_BATCH_LINGER_S."""


def topics_of(stage: str) -> list[str]:
    """What a stage reads in the benchmark: no references, no backfill, no decisions are fed there."""
    return {
        "normalise": [raw.topic for raw in normalise.RAW],
        "resolve": [kind.topic for kind in resolve.READS],
        "match": [Entry.topic, Concert.topic, Rematch.topic],
    }[stage]


class Work:
    """One topic of a stage, with an event loop, a store and a producer of its own: frameworks give it a thread."""

    def __init__(self, settings: Settings, stage: str, topic: str) -> None:
        self.settings, self.stage, self.topic = settings, stage, topic
        warm()
        self._loop = asyncio.new_event_loop()
        self._engine = postgres_engine(settings, name=f"peer-{stage}")
        self._handle = self._handler()
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap(settings),
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": settings.producer_linger_ms,
                "message.max.bytes": 6 * 1_048_576,
            }
        )
        self._failures: list[KafkaError] = []

    def _handler(self) -> Handle:
        if self.stage == "normalise":
            return normalise.handler(next(raw for raw in normalise.RAW if raw.topic == self.topic), utc_now)
        if self.stage == "resolve":
            store = ResolveStore(self._engine, self.settings.outbox_shards, day_off=self.settings.day_off)
            return resolve.handler(next(kind for kind in resolve.READS if kind.topic == self.topic), store, utc_now)
        entries = MatchStore(self._engine, self.settings.outbox_shards, utc_now)
        if self.topic == Entry.topic:
            return match.entries_handler(Entry, entries, utc_now)
        if self.topic == Rematch.topic:
            return match.again_handler(Rematch, entries, utc_now)
        return rematch.handler(entries, utc_now)

    def do(self, batch: Sequence[Record]) -> None:
        """Handle a batch, publish what follows, wait for the acknowledgements. RuntimeError when one is refused."""
        records = without_giants(self._loop.run_until_complete(self._handle(batch)), stage=self.stage, at=utc_now())
        for record in records:
            self._send(record)
        self._producer.flush()
        if self._failures:
            raise RuntimeError(f"not delivered: {self._failures[0]}")

    def _send(self, record: Outgoing) -> None:
        while True:
            try:
                self._producer.produce(
                    record.topic,
                    record.value,
                    record.key.encode(),
                    record.partition(self.settings.partitions),
                    on_delivery=self._delivered,
                    headers=record.kafka_headers,
                )
                return
            except BufferError:
                self._producer.poll(0.05)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append(error)


def as_record(
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]] | None,
) -> Record:
    """What both frameworks hand over, as the handlers read it."""
    return record_of(topic, partition, offset, key, value, headers or ())
