"""Messages on their way out, ready for a producer or for the outbox."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache

from schemas.message import HEADER_ORIGIN, HEADER_SCHEMA, HEADER_STAGE, HEADER_TRACE, Message, new_trace
from schemas.rejection import ERROR_HEADERS, Reason, Rejection
from schemas.topics import BY_NAME, partition_of

HEADER_REV = "rev"
"""On tombstones of aggregates, which have no body to carry it."""
HEADER_LOST_KEYS = "lost-keys"
"""On concerts: JSON list of the keys that the concert had before and has no more. Entries found by them are matched
again; the table holds the present ones only."""
REPLAY = "replay"
"""The stage that rejected messages are sent again by."""
KEPT_BODY = 2_900_000
"""Largest original that a rejection carries: as Base64 it stays below the topic's 4 MiB."""


@dataclass(frozen=True)
class Outgoing:
    """One record: topic, key, what decides the partition, bytes (None: a tombstone), headers."""

    topic: str
    key: str
    partition_by: str
    value: bytes | None
    headers: dict[str, str] = field(default_factory=dict)

    def partition(self, partitions: int) -> int:
        """Which of `partitions` it belongs to."""
        return partition_of(self.partition_by, partitions)

    @property
    def kafka_headers(self) -> list[tuple[str, bytes]]:
        """As a producer takes them."""
        return [(name, value.encode()) for name, value in self.headers.items()]

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        size = len(self.key) + len(self.value or b"")
        for name, value in self.headers.items():
            size += len(name) + len(value)
        return size

    @property
    def too_large(self) -> bool:
        """More than its topic takes; a kilobyte is left for the record's frame."""
        return self.size > BY_NAME[self.topic].max_bytes - 1024


@dataclass(frozen=True)
class Origin:
    """Where a consumed message stood."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


@cache
def _schema(of: type[Message]) -> str:
    return f"{of.topic.split('.')[1]}/{of.schema_version}"


def headers_as_text(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    """A consumed record's headers; one without a value is empty, bytes that are no UTF-8 are replaced."""
    return {name: (value or b"").decode("utf-8", "replace") for name, value in headers}


def first_origin(origin: Origin, headers: Mapping[str, str]) -> Origin:
    """Where a message stood first: of one that `gigz replay` sent again its first place, of others `origin`.

    A message that is still bad after a replay is the same rejection, not one more.
    """
    topic, _, place = headers.get(HEADER_ORIGIN, "").partition(":")
    partition, _, offset = place.partition(":")
    again = headers.get(HEADER_STAGE) == REPLAY and topic == origin.topic
    if not (again and partition.isdecimal() and offset.isdecimal()):
        return origin
    return Origin(topic, int(partition), int(offset))


def outgoing(message: Message, *, trace: str, stage: str, origin: Origin | None = None) -> Outgoing:
    """A message with its headers."""
    headers = {
        HEADER_SCHEMA: _schema(type(message)),
        HEADER_TRACE: trace,
        HEADER_STAGE: stage,
    }
    if origin is not None:
        headers[HEADER_ORIGIN] = str(origin)
    return Outgoing(message.topic, message.key, message.partition_by, message.to_bytes(), headers)


def tombstone(
    message: type[Message], key: str, *, trace: str, stage: str, partition_by: str | None = None, rev: int | None = None
) -> Outgoing:
    """The end of a key: consumers delete what they hold of it, compaction forgets it."""
    headers = {HEADER_TRACE: trace, HEADER_STAGE: stage}
    if rev is not None:
        headers[HEADER_REV] = str(rev)
    return Outgoing(message.topic, key, partition_by or key, None, headers)


def reject(
    reason: Reason | str,
    text: str,
    *,
    origin: Origin,
    original: bytes | None,
    stage: str,
    at: datetime,
    trace: str,
    key: str | None = None,
    source: str | None = None,
) -> Outgoing:
    """A rejection, with the headers that Kafka Connect gives its dead letters. Bodies above KEPT_BODY are left out."""
    body = original or b""
    message = Rejection(
        origin_topic=origin.topic,
        origin_partition=origin.partition,
        origin_offset=origin.offset,
        stage=stage,
        reason=Reason(reason),
        text=text[:4_000],
        rejected_at=at,
        source=source,
        original_key=key,
        original=base64.b64encode(body).decode() if original is not None and len(body) <= KEPT_BODY else None,
        original_size=len(body),
        original_hash=hashlib.sha256(body).hexdigest(),
    )
    record = outgoing(message, trace=trace, stage=stage, origin=origin)
    told = {
        "topic": origin.topic,
        "partition": str(origin.partition),
        "offset": str(origin.offset),
        "stage": stage,
        "exception": str(reason),
        "text": text[:1_000],
    }
    return Outgoing(
        record.topic,
        record.key,
        record.partition_by,
        record.value,
        record.headers | {ERROR_HEADERS[name]: value for name, value in told.items()},
    )


def fitting(
    record: Outgoing, *, stage: str, at: datetime, source: str | None = None, url: str | None = None
) -> Outgoing:
    """The record, or a rejection without its body in its place when its topic takes no message of that size."""
    if not record.too_large:
        return record
    return reject(
        Reason.TOO_LARGE,
        f"{record.topic} takes no message of {record.size} bytes; send less of the payload"
        + (f": {url}" if url else ""),
        origin=Origin(record.topic, -1, -1),
        original=record.value,
        stage=stage,
        at=at,
        trace=record.headers.get(HEADER_TRACE) or new_trace(),
        key=record.key,
        source=source,
    )


def shard_of(record: Outgoing, shards: int) -> int:
    """Which relay publishes it: everything alike goes through one, in order."""
    return partition_of(record.partition_by, shards)


def outbox_values(record: Outgoing, shards: int) -> dict[str, object]:
    """The outbox row of a record; its id is drawn at the insert, after the aggregate's lock."""
    return {
        "shard": shard_of(record, shards),
        "topic": record.topic,
        "key": record.key,
        "partition_by": record.partition_by,
        "value": record.value,
        "headers": record.headers,
    }
