"""What every message on a topic shares: one serialisation, one version rule, one set of headers.

Readers ignore fields they do not know. A field may be added with a default; to drop or retype one, open v2.

Errors
    MessageError                 bad data, the sender's: becomes a rejection
        reason: not_json | missing_field | wrong_type | bad_value
"""

import hashlib
import random
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

HEADER_SCHEMA = "schema"
HEADER_TRACE = "trace"
HEADER_STAGE = "stage"
HEADER_ORIGIN = "origin"
"""`topic:partition:offset` of the message that caused this one: tells a repeat from a second message."""

Text = Annotated[str, Field(min_length=1, max_length=2_000)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
User = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^/\s][^/]*$")]
"""An opaque id of our own: never a token's subject, a name or an address. No slash: keys are user/entry."""

_REASONS = {"missing": "missing_field", "json_invalid": "not_json"}


class MessageError(ValueError):
    """Bytes that are not the message they should be."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class Shape(BaseModel):
    """A frozen value; unknown fields are ignored, unknown values are absent."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Message(Shape):
    """A value with a topic, a key and a partition."""

    topic: ClassVar[str]
    schema_version: ClassVar[int] = 1

    @property
    def key(self) -> str:
        """The key that compaction keeps the last of."""
        raise NotImplementedError

    @property
    def partition_by(self) -> str:
        """What decides the partition: the key, but for topics of users, where it is the user."""
        return self.key

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted names, absent for unknown."""
        return canonical(self.model_dump(mode="json", by_alias=True, exclude_none=True))

    @classmethod
    def from_bytes(cls, body: bytes | None) -> Self:
        """The message in these bytes. MessageError with a reason code and the field's name."""
        if body is None:
            raise MessageError("missing_field", "the message has no body")
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            raise message_error(error) from error


def message_error(error: ValidationError) -> MessageError:
    """The first few faults of a pydantic error, as one reason and one text without the values."""
    faults = error.errors(include_url=False, include_input=False)
    kind = faults[0]["type"]
    if kind in _REASONS:
        reason = _REASONS[kind]
    elif kind.endswith(("_type", "_parsing")) or kind in {"is_instance_of", "dict_type"}:
        reason = "wrong_type"
    else:
        reason = "bad_value"
    return MessageError(
        reason, "; ".join(f"{'.'.join(map(str, f['loc'])) or 'message'}: {f['msg']}" for f in faults[:5])
    )


def canonical(value: Any) -> bytes:
    """The one serialisation that hashes and comparisons use: JSON, UTF-8, sorted names, no spaces."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def without_nul(value: Any) -> Any:
    """A value of JSON as PostgreSQL can hold it: its texts take no U+0000."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [without_nul(one) for one in value]
    if isinstance(value, dict):
        return {without_nul(name): without_nul(one) for name, one in value.items()}
    return value


def body_without_nul(body: bytes) -> bytes:
    """The same of JSON that is written already; most of it has none and stays as it is."""
    return canonical(without_nul(orjson.loads(body))) if b"\\u0000" in body else body


def content_hash(value: Any) -> str:
    """SHA-256 of the canonical serialisation, hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def version_of(seen_at: datetime, digest: str) -> int:
    """Milliseconds of `seen_at`, then 20 bits of a content hash: newer wins, and ties fall the same way everywhere."""
    milliseconds = int(seen_at.astimezone(UTC).timestamp() * 1000)
    return (milliseconds << 20) | int(digest[:5], 16)


def new_trace() -> str:
    """A trace id: 32 random hex digits, as W3C trace context has them; nobody need be unable to guess it."""
    return f"{random.getrandbits(128):032x}"


__all__ = [
    "HEADER_ORIGIN",
    "HEADER_SCHEMA",
    "HEADER_STAGE",
    "HEADER_TRACE",
    "UUID",
    "AwareDatetime",
    "Field",
    "Latitude",
    "Longitude",
    "Message",
    "MessageError",
    "Shape",
    "Text",
    "User",
    "body_without_nul",
    "canonical",
    "content_hash",
    "message_error",
    "new_trace",
    "version_of",
    "without_nul",
]
