"""Records of a topic as messages, and what of a batch counts.

Bad data raise MessageError here, before any store is asked.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from aiokafka import ConsumerRecord

from schemas.message import HEADER_TRACE, Message, MessageError
from schemas.outgoing import HEADER_REV, Origin, first_origin, headers_as_text
from schemas.topics import BY_NAME

Row = dict[str, Any]
"""Column or field -> value. All rows of one table have the same names in the same order."""

LARGEST = 2**63 - 1
"""Of versions and revs: what every store can hold."""

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Received:
    """A record that could be read. `message` None: a tombstone."""

    origin: Origin
    key: str
    message: Message | None
    value: bytes
    published_at: datetime
    trace: str
    rev: int | None = None
    """Of an aggregate's tombstone; a body carries its own."""

    @property
    def text(self) -> str:
        """The body as it travelled."""
        return self.value.decode()

    def uuid_key(self) -> UUID:
        """The key of a topic whose keys are ids. MessageError when it is none."""
        try:
            return UUID(self.key)
        except ValueError as error:
            raise MessageError("bad_value", f"key: {self.key!r} is no UUID") from error

    def tombstone_rev(self) -> int:
        """What orders a concert's tombstone among its messages. MessageError when it is absent."""
        if self.rev is None:
            raise MessageError("missing_field", f"header {HEADER_REV}: a tombstone of this topic needs it")
        return self.rev


@dataclass(frozen=True, slots=True)
class Change:
    """What one message does to one key of one table or index."""

    table: str
    key: str
    origin: Origin
    version: int | None
    """The highest counts. None: forget the key and all that came before."""
    rows: tuple[Row, ...] = ()


@dataclass(slots=True)
class Settled:
    """What is left to do to one table, in this order."""

    forgotten: list[str] = field(default_factory=list)
    """Keys whose rows of before go."""
    changes: list[Change] = field(default_factory=list)
    """Every version: for histories."""
    last: list[Change] = field(default_factory=list)
    """The highest version of each key, the later one of equals: for what is current."""


def receive(record: ConsumerRecord) -> Received:
    """A record of any of our topics. MessageError says what is wrong with it."""
    headers = {name: value for name, value in record.headers if value is not None}
    if record.value is None and record.key is None:
        raise MessageError("missing_field", "neither key nor body")
    message = None if record.value is None else BY_NAME[record.topic].message.from_bytes(record.value)
    for name in ("version", "rev"):
        if getattr(message, name, 0) > LARGEST:
            raise MessageError("bad_value", f"{name}: above {LARGEST}")
    return Received(
        origin=origin_of(record),
        key=_decoded("key", record.key) if message is None else message.key,
        message=message,
        value=record.value or b"",
        published_at=datetime.fromtimestamp(max(record.timestamp, 0) / 1000, UTC),
        trace=headers.get(HEADER_TRACE, b"").decode(errors="replace"),
        rev=_rev(headers.get(HEADER_REV)) if message is None else None,
    )


def origin_of(record: ConsumerRecord) -> Origin:
    """Where it stood."""
    return Origin(record.topic, record.partition, record.offset)


def first_origin_of(record: ConsumerRecord) -> Origin:
    """Where it stood first: what was sent again has its place of before."""
    return first_origin(origin_of(record), headers_as_text(record.headers))


def expect(message: Message | None, kind: type[M]) -> M:
    """The message as what its topic carries."""
    if not isinstance(message, kind):  # a topic that this sink does not read: our own mistake
        raise TypeError(f"a {kind.__name__} was expected, not {type(message).__name__}")
    return message


def settle(changes: Iterable[Change]) -> dict[str, Settled]:
    """Table -> what is left to do, from changes in the order of their topic."""
    keys: dict[str, dict[str, list[Change]]] = {}
    tables: dict[str, Settled] = {}
    for change in changes:
        versions = keys.setdefault(change.table, {})
        settled = tables.setdefault(change.table, Settled())
        if change.version is None:
            if change.key not in settled.forgotten:
                settled.forgotten.append(change.key)
            versions.pop(change.key, None)
        else:
            versions.setdefault(change.key, []).append(change)
    for table, versions in keys.items():
        tables[table].changes = [change for of_key in versions.values() for change in of_key]
        tables[table].last = [_highest(of_key) for of_key in versions.values()]
    return tables


def _highest(changes: list[Change]) -> Change:
    best = changes[0]
    for change in changes[1:]:
        if (change.version or 0) >= (best.version or 0):
            best = change
    return best


def _rev(header: bytes | None) -> int | None:
    if header is None:
        return None
    try:
        rev = int(header)
    except ValueError as error:
        raise MessageError("wrong_type", f"header {HEADER_REV}: {header!r} is no number") from error
    if not 0 <= rev <= LARGEST:
        raise MessageError("bad_value", f"header {HEADER_REV}: {rev} is not between 0 and {LARGEST}")
    return rev


def _decoded(what: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise MessageError("bad_value", f"{what}: not UTF-8 at byte {error.start}") from error
