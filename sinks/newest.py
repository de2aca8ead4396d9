"""The newest message of each key, from Kafka: what the stores should hold.

Newest is what the sinks go by: the highest version, the later of equals; a tombstone without a version forgets all
before it. What no reader can read does not count. A key stays in one partition, so partitions are read one by one and
only one of them is in memory at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from deploy.flow import records_between
from schemas.concert import Concert
from schemas.message import MessageError
from sinks.held import Form, Held, id_of, told_by
from sinks.received import receive


@dataclass(frozen=True, slots=True)
class Newest:
    """The message that counts for an id, and where it stands. `forms` empty: a tombstone."""

    key: str
    offset: int
    partition: int
    version: int
    forms: Mapping[Form, Held]


@dataclass
class Reader:
    """The newest messages of one topic, as far as they are asked for. Reads on where it stopped."""

    consumer: AIOKafkaConsumer
    topic: str
    known: dict[str, Newest] = field(default_factory=dict)
    """By id."""
    upto: dict[int, int] = field(default_factory=dict)
    """Partition -> offset of the next message."""

    async def read(self, partitions: list[int], wanted: Callable[[str], bool] | None = None) -> None:
        """From where it stopped, or the oldest, to what is there now. `wanted`: asked for each key."""
        if not partitions:
            return
        parts = [TopicPartition(self.topic, partition) for partition in partitions]
        ends = await self.consumer.end_offsets(parts)
        begins = await self.consumer.beginning_offsets(parts)
        starts = {part: max(begins[part], self.upto.get(part.partition, 0)) for part in parts}
        async for records in records_between(self.consumer, starts, ends):
            for record in records:
                self._take(record, wanted)
        self.upto |= {part.partition: max(ends[part], starts[part]) for part in parts}

    def forget(self, but: Callable[[str], bool] = lambda id_: False) -> None:
        """Give the memory of all ids back but of these."""
        self.known = {id_: newest for id_, newest in self.known.items() if but(id_)}

    def restart(self) -> None:
        """Begin at the oldest messages again."""
        self.known, self.upto = {}, {}

    def _take(self, record: ConsumerRecord, wanted: Callable[[str], bool] | None) -> None:
        try:
            if wanted is not None and not wanted((record.key or b"").decode()):
                return
            received = receive(record)
            forms = told_by(received)
            if received.message is None:
                id_ = id_of(record.topic, received.key)
                version = received.tombstone_rev() if record.topic == Concert.topic else -1
            else:
                id_, version = forms[Form.WHOLE].id, forms[Form.WHOLE].version
        except (MessageError, UnicodeDecodeError):
            return
        before = self.known.get(id_)
        if before is None or version < 0 or version >= before.version:
            self.known[id_] = Newest(received.key, record.offset, record.partition, version, forms)
