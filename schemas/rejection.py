"""A message that could not be used, with the reason, the original bytes and where they came from."""

import base64
from enum import StrEnum
from typing import ClassVar

from schemas.message import AwareDatetime, Field, Message


class Reason(StrEnum):
    """Why. Each is explained in docs/rejections.md. Values are only added at the end."""

    NOT_JSON = "not_json"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_VALUE = "bad_value"
    BAD_DATE = "bad_date"
    NO_DATE = "no_date"
    NO_ARTIST = "no_artist"
    TOO_LARGE = "too_large"
    BAD_DOCUMENT = "bad_document"
    NO_VENUE_NAME = "no_venue_name"


# Names as Kafka Connect's dead letter queues have them, so that its tools read ours.
ERROR_HEADERS = {
    "topic": "__connect.errors.topic",
    "partition": "__connect.errors.partition",
    "offset": "__connect.errors.offset",
    "stage": "__connect.errors.stage",
    "exception": "__connect.errors.exception.class.name",
    "text": "__connect.errors.exception.message",
}


class Rejection(Message):
    """Nothing is lost: the original is in it, to be sent again."""

    topic: ClassVar[str] = "gigz.rejection.v1"

    origin_topic: str
    origin_partition: int = Field(ge=-1, description="-1: refused before it had one.")
    origin_offset: int = Field(ge=-1)
    stage: str
    reason: Reason
    text: str = Field(max_length=4_000, description="Which field, and what would be right.")
    rejected_at: AwareDatetime
    source: str | None = None
    original_key: str | None = None
    original: str | None = Field(default=None, description="Base64 of the bytes; absent when they were too many.")
    original_size: int = Field(ge=0, description="Bytes.")
    original_hash: str = Field(description="SHA-256 of the bytes.")

    @property
    def key(self) -> str:
        """topic:partition:offset; refused before it had an offset: topic and hash."""
        if self.origin_offset < 0:
            return f"{self.origin_topic}:{self.origin_partition}:{self.original_hash}"
        return f"{self.origin_topic}:{self.origin_partition}:{self.origin_offset}"

    @property
    def original_bytes(self) -> bytes | None:
        """The message as it was."""
        return None if self.original is None else base64.b64decode(self.original)
