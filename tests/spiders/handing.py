"""A Kafka and a memory that do what a test tells them, and items to hand over."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import orjson
from aiokafka import AIOKafkaProducer

from deploy.settings import SettingsError
from schemas.raw import RawEvent, RawMessage
from schemas.rows import envelope
from spiders.delivery import KafkaDelivery, Parcel
from spiders.delivery.broker import Broker, Pulse
from spiders.delivery.seen import Key, Known, Memory, Scope, Sighting
from spiders.delivery.spool import MEGABYTE, Spool
from spiders.formats.base import utc_now

THEN = datetime(2024, 1, 1, tzinfo=UTC)


def event(source_id: str, payload: str | None = None, source: str = "test", **fields: Any) -> RawMessage:
    """A message of a test's own."""
    return envelope(
        RawEvent,
        source=source,
        source_id=source_id,
        seen_at=THEN,
        spider="venuepages",
        fields={"artist": "Moths", "date": "2024-03-01", **fields},
        url=f"https://alibi.example/{source_id}",
        payload=payload,
    )


class Kafka:
    """Producers whose acknowledgements the test gives."""

    def __init__(self) -> None:
        self.away = False
        """Nobody can connect."""
        self.acknowledges = False
        """Everything, at once."""
        self.fails: BaseException | None = None
        """What it answers to everything."""
        self.sent: list[tuple[int, str, bytes, asyncio.Future[Any]]] = []
        """Which producer, which key, what, its acknowledgement."""
        self.producers = 0
        self.topics = {"gigz.raw-event.v1", "gigz.rejection.v1"}

    @property
    def keys(self) -> list[str]:
        """Everything sent, in order."""
        return [key for _, key, _, _ in self.sent]

    @property
    def notes(self) -> dict[str, list[int]]:
        """What each key was told, in order."""
        found: dict[str, list[int]] = {}
        for _, key, value, _ in self.sent:
            found.setdefault(key, []).append(orjson.loads(value)["fields"]["note"])
        return found

    def acknowledge(self, most: int = 10**6) -> None:
        """The oldest that are not."""
        waiting = [future for *_, future in self.sent if not future.done()]
        for future in list(dict.fromkeys(waiting))[:most]:
            future.set_result(None)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AIOKafkaProducer]:
        """A producer. SettingsError when away."""
        if self.away:
            raise SettingsError("GIGZ_KAFKA_URL: nobody there. Remedy: start it.")
        self.producers += 1
        number = self.producers

        def create_batch() -> Any:
            records: list[tuple[str, bytes]] = []

            def append(*, key: bytes, value: bytes, **more: Any) -> bool:
                records.append((key.decode(), value))
                return True

            return SimpleNamespace(records=records, append=append, close=lambda: None)

        async def send_batch(batch: Any, topic: str, *, partition: int) -> asyncio.Future[Any]:
            if topic not in self.topics:
                await asyncio.sleep(60)
            future = asyncio.get_running_loop().create_future()
            self.sent += [(number, key, value, future) for key, value in batch.records]
            if self.fails is not None:
                future.set_exception(self.fails)
            elif self.acknowledges:
                future.set_result(None)
            return future

        cluster = SimpleNamespace(partitions_for_topic=lambda topic: set(range(24)) if topic in self.topics else None)

        async def metadata() -> Any:
            return cluster

        async def close() -> None:
            return None

        parts = SimpleNamespace(fail_all=lambda error: None, _pending_batches=(), _batches={})
        client = SimpleNamespace(fetch_all_metadata=metadata, close=close, cluster=cluster)
        sender = SimpleNamespace(sender_task=None)
        yield cast(
            AIOKafkaProducer,
            SimpleNamespace(
                create_batch=create_batch,
                send_batch=send_batch,
                client=client,
                _sender=sender,
                _message_accumulator=parts,
            ),
        )


class Remembered(Memory):
    """In a dict."""

    def __init__(self) -> None:
        self.rows: dict[Key, Sighting] = {}
        self.touched: list[Key] = []

    async def known(self, keys: Iterable[Key]) -> dict[Key, Known]:
        """What was remembered."""
        await asyncio.sleep(0)
        return {key: self.rows[key].known for key in keys if key in self.rows}

    async def touch(self, keys: Iterable[Key], run_id: UUID, scope: str, at: datetime) -> None:
        """Write down that they are still there."""
        self.touched += keys

    async def remember(self, sightings: Sequence[Sighting]) -> None:
        """Keep them."""
        self.rows |= {one.key: one for one in sightings}


@asynccontextmanager
async def handing(
    kafka: Kafka,
    folder: Path,
    *,
    memory: Memory | None = None,
    away_s: float = 5,
    wait_s: float = 5,
    limit: int = 10 * MEGABYTE,
    full: bool = False,
) -> AsyncIterator[KafkaDelivery]:
    """A delivery to that Kafka."""
    pulse = Pulse()
    broker: Broker[Parcel] = Broker(kafka.connect, 24, pulse, away_s)
    scope = Scope("a scope", uuid4(), utc_now())
    delivery = KafkaDelivery(broker, Spool(folder, limit), memory or Remembered(), scope, utc_now, pulse, wait_s)
    delivery.full = full
    await delivery.open()
    await broker.open()
    try:
        yield delivery
    finally:
        await delivery.close()
        await broker.close()


async def until(true: Any, within_s: float = 5) -> None:
    """Wait for it."""
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110 - looks into a delivery
            await asyncio.sleep(0.01)
