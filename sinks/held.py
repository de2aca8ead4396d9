"""What a thing is in Kafka and in each store, told in one form so that it compares.

    whole       the message: Postgres (rows beside a body) and ClickHouse (columns beside a body)
    set         a set of suggestions as ClickHouse has it: without what the user wrote; empty sets are absent
    document    what Meilisearch shows

A store's row is read back into the message it came from, and its columns are compared with what the sink would write
for that message: a row whose columns say something else than its body has another digest than the message in Kafka.
Not looked at: when a row was written, when its message was put on its topic, its trace, its offset. They are of one
store alone. Versions and revs are looked at: they are drawn once and travel with the message.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from schemas import ids
from schemas.concert import Concert
from schemas.decision import Decision
from schemas.listing import Listing
from schemas.message import Message, MessageError, body_without_nul, canonical
from schemas.outgoing import Origin
from schemas.reference import Artist, Venue
from schemas.suggestion import Suggestion, Suggestions
from schemas.topics import BY_NAME
from sinks import clickhouse, meilisearch, postgres
from sinks.received import Received, Row

DIGEST_BYTES = 16


class Form(StrEnum):
    """What of a message a place holds."""

    WHOLE = "whole"
    SET = "set"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Held:
    """One thing as one place holds it."""

    id: str
    """As the store finds it."""
    key: str
    """Of its topic."""
    version: int
    digest: bytes
    size: int = 1
    """What it counts for: of a set, its suggestions."""
    off: str = ""
    """Columns that say something else than the body beside them."""

    @property
    def mark(self) -> bytes:
        """Id, version and content as one number's bytes: their sum depends on no order."""
        told = f"{self.id}\0{self.version}\0".encode() + self.digest
        return hashlib.blake2b(told, digest_size=DIGEST_BYTES).digest()

    def same(self, other: "Held") -> bool:
        """Whether both are the same version of the same content."""
        return self.version == other.version and self.digest == other.digest


def id_of(topic: str, key: str) -> str:
    """How the stores find what has this key: a listing by the id that follows from it, everything else by the key."""
    if topic == Listing.topic:
        source, _, source_id = key.partition(":")
        return str(ids.listing_id(source, source_id))
    return key


def partitioned_by(topic: str, key: str) -> str:
    """What decides the partition of this key."""
    return key.partition("/")[0] if BY_NAME[topic].of_users else key


def version_of(message: Message) -> int:
    """What orders the messages of a key. TypeError for a message that has no such thing."""
    match message:
        case Listing(version=version) | Venue(version=version) | Artist(version=version):
            return version
        case Concert(rev=rev) | Suggestions(rev=rev):
            return rev
        case Decision(decided_at=decided_at):
            return clickhouse.microseconds(decided_at)
    raise TypeError(f"{type(message).__name__} has no version")


def told_by(received: Received) -> dict[Form, Held]:
    """What each form of a readable message is; a form that holds nothing of it is absent."""
    message = received.message
    if message is None:
        return {}
    found = {Form.WHOLE: whole(message)}
    if isinstance(message, Suggestions) and message.suggestions:
        found[Form.SET] = a_set(message)
    if isinstance(message, Concert | Venue | Artist):
        ((row,),) = (meilisearch.change_of(received).rows,)
        found[Form.DOCUMENT] = document(message.topic, row)
    return found


def whole(message: Message) -> Held:
    """A message as it travelled."""
    id_ = str(message.listing_id) if isinstance(message, Listing) else message.key
    return Held(id_, message.key, version_of(message), _content(message, ""), _size(message))


def unreadable(id_: str, key: str, version: int, body: bytes) -> Held:
    """A body that is no message of its topic any more."""
    return Held(id_, key, version, _digest(body, "unreadable"), off="body, which cannot be read")


def a_set(found: Suggestions, off: Iterable[str] = ()) -> Held:
    """A set without what the user wrote; its time to the millisecond, as the column has it."""
    told = found.model_dump(mode="json", exclude_none=True, exclude={"entry", "because", "made_at"})
    if found.made_at is not None:
        told["made_at"] = plain(found.made_at)
    named = ", ".join(sorted(off))
    return Held(found.key, found.key, found.rev, _digest(canonical(told), named), len(found.suggestions), named)


def document(topic: str, row: Mapping[str, Any]) -> Held:
    """A document, whole."""
    id_ = str(row.get(_ID_FIELDS[topic], ""))
    rev = row.get("rev")
    return Held(id_, id_, rev if isinstance(rev, int) else 0, _digest(canonical(dict(row)), ""))


def of_row(kind: type[Message], row: Mapping[str, Any], expected: Callable[[Received], Row], **at: Any) -> Held:
    """A row with a body, beside what the sink would write for that body. `at`: id, key and version of the row."""
    body: str = row["body"]
    try:
        message = kind.from_bytes(body.encode())
        received = received_of(message, body, row)
        off = ", ".join(sorted(differing(expected(received), row)))
    except MessageError:
        return unreadable(at["id"], at["key"], at["version"], body.encode())
    return Held(**at, digest=_content(message, off), size=_size(message), off=off)


def received_of(message: Message, body: str, row: Mapping[str, Any]) -> Received:
    """A message as its sink would receive it."""
    at = row.get("published_at") or datetime(1970, 1, 1, tzinfo=UTC)
    return Received(Origin(message.topic, -1, -1), message.key, message, body.encode(), at, row.get("trace") or "")


def of_ranks(rows: Sequence[Mapping[str, Any]]) -> Held:
    """The rows that ClickHouse has of one entry, as the set that they are."""
    first = rows[0]
    at = f"{first['user_id']}/{first['entry_id']}"
    try:
        found = Suggestions.model_validate(
            {
                "user": first["user_id"],
                "entry_id": first["entry_id"],
                "origin": first["origin"],
                "rev": first["rev"],
                "made_at": None if first["made_at"] is None else in_utc(first["made_at"]),
                "suggestions": [Suggestion.model_validate_json(row["body"]) for row in rows],
                "reason": first["reason"] or None,
                "decision": first["decision"] or None,
                "weights": first["weights"],
                "fold": first["fold"],
            }
        )
        expected = clickhouse.change_of(received_of(found, "", first)).rows
    except (ValueError, MessageError):
        bodies = "\n".join(row["body"] for row in rows).encode()
        return unreadable(at, at, max(row["rev"] for row in rows), bodies)
    off = {name for row in rows for name in differing(expected[max(0, min(row["rank"], 3) - 1)], row, _OF_A_ROW)}
    return a_set(found, off)


def differing(expected: Mapping[str, Any], row: Mapping[str, Any], but: Collection[str] = ()) -> list[str]:
    """Columns of the row that are not as expected. Bodies of Postgres are compared as messages, not as texts."""
    skipped = {"body", *but}
    return [n for n, value in expected.items() if n in row and n not in skipped and plain(value) != plain(row[n])]


def plain(value: Any) -> Any:
    """A value as any driver gives it: instants in UTC to the millisecond, ids as texts, lists as lists."""
    if isinstance(value, datetime):
        return in_utc(value).isoformat(timespec="milliseconds")
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def in_utc(moment: datetime) -> datetime:
    """ClickHouse's driver gives UTC without saying so."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def catalogue_row(received: Received) -> Row:
    """What the Postgres sink writes."""
    ((row,),) = (postgres.change_of(received).rows,)
    return row


def clickhouse_row(received: Received) -> Row:
    """What the ClickHouse sink writes of a listing, a concert or a decision."""
    ((row,),) = (clickhouse.change_of(received).rows,)
    return row


def state_row(received: Received) -> Row:
    """The columns that the stages keep beside a body. What they derive (keys, claims) is not in the message."""
    match received.message:
        case Listing() as m:
            return {"source": m.source, "source_id": m.source_id, "version": m.version, "night": m.night}
        case Concert() as m:
            return {"rev": m.rev, "night": m.night}
        case Suggestions() as m:
            first = m.suggestions[0].confidence if m.suggestions else 0.0
            ids_ = [one.suggestion_id for one in m.suggestions]
            return {"rev": m.rev, "suggestion_ids": ids_, "confidence": first}
        case Decision() as m:
            told = {"decision_id": m.decision_id, "suggestion_id": m.suggestion_id, "concert_id": m.concert_id}
            return told | {"action": m.action.value, "decided_at": m.decided_at}
    raise TypeError(f"the stages keep no {type(received.message).__name__}")


def _size(message: Message) -> int:
    return len(message.suggestions) if isinstance(message, Suggestions) else 1


def _content(message: Message, off: str) -> bytes:
    # PostgreSQL holds no NUL: its sink takes them out, so they do not count anywhere.
    return _digest(body_without_nul(message.to_bytes()), off)


def _digest(content: bytes, off: str) -> bytes:
    return hashlib.blake2b(content + off.encode(), digest_size=DIGEST_BYTES).digest()


_ID_FIELDS = {
    Concert.topic: meilisearch.INDEXES["concerts"].id_field,
    Artist.topic: meilisearch.INDEXES["artists"].id_field,
    Venue.topic: meilisearch.INDEXES["venues"].id_field,
}
_OF_A_ROW = ("is_deleted",)
