"""A consumed message without its framework, and what may become of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from schemas.message import HEADER_TRACE, Message, MessageError, new_trace
from schemas.outgoing import Origin, Outgoing, first_origin, fitting, headers_as_text, outgoing, reject
from schemas.rejection import Reason
from schemas.rows import judged_as_row
from schemas.suggestion import Suggestions

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Cause:
    """What a message came from: its trace goes on every message that follows, its place beside it."""

    trace: str
    origin: Origin


@dataclass(frozen=True)
class Record:
    """Key, bytes (None: a tombstone) and headers of one message, and where it stood."""

    origin: Origin
    key: str
    value: bytes | None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def cause(self) -> Cause:
        """Of what follows from this message; a trace begins here if nobody began one before."""
        return Cause(self.headers.get(HEADER_TRACE) or new_trace(), self.origin)

    def rejected(
        self, reason: Reason | str, text: str, *, stage: str, at: datetime, source: str | None = None
    ) -> Outgoing:
        """This message as a rejection."""
        return reject(
            reason,
            text,
            origin=first_origin(self.origin, self.headers),
            original=self.value,
            stage=stage,
            at=at,
            trace=self.cause.trace,
            key=self.key,
            source=source,
        )


def record_of(
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes]] | None,
) -> Record:
    """A record from what a consumer gives. Bytes that are no UTF-8 are replaced: a key is checked where it is used."""
    return Record(
        Origin(topic, partition, offset),
        (key or b"").decode("utf-8", "replace"),
        value,
        headers_as_text(headers or ()),
    )


def read(
    records: Iterable[Record], message: type[M], *, stage: str, at: datetime
) -> tuple[list[tuple[M, Record]], list[Outgoing]]:
    """The messages with their records, in order, and a rejection for each that is none."""
    good: list[tuple[M, Record]] = []
    rejections: list[Outgoing] = []
    for record in records:
        try:
            good.append((message.from_bytes(record.value), record))
        except MessageError as error:
            plainer, source = judged_as_row(record.value, message)
            error = plainer or error
            rejections.append(record.rejected(error.reason, error.text, stage=stage, at=at, source=source))
    return good, rejections


def follow(message: Message, cause: Cause, stage: str) -> Outgoing:
    """A message that follows from another."""
    return outgoing(message, trace=cause.trace, stage=stage, origin=cause.origin)


def says_the_same(one: Suggestions, other: Suggestions) -> bool:
    """Whether two sets say the same, whenever they were made."""
    neutral = {"rev": 0, "made_at": None}
    return one.model_copy(update=neutral).to_bytes() == other.model_copy(update=neutral).to_bytes()


def without_giants(records: Iterable[Outgoing], *, stage: str, at: datetime) -> list[Outgoing]:
    """The same records; one that its topic would refuse becomes a rejection."""
    return [fitting(record, stage=stage, at=at) for record in records]
