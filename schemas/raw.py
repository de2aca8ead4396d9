"""What a spider read, before anyone interpreted it."""

import base64
import binascii
import gzip
import zlib
from enum import StrEnum
from typing import Any, ClassVar

import orjson

from schemas.message import AwareDatetime, Field, Message, MessageError, Text, version_of

PACKED_ABOVE = 262_144
"""Characters of a payload from which it travels packed. Producers compress whole batches (lz4), and fields and payload
say much the same: up to 32 kB a plain payload takes less room on the topic than a packed one (docs/spiders/delivery.md
has the measurement). What packing is for is the limit of 4 MiB a message, which counts before lz4."""
LARGEST_PAYLOAD = 64 * 1_048_576
"""Bytes that a packed payload may become again: as much as a spider reads of one page."""
_GZIP = 31
"""zlib's window bits for gzip's frame."""


class RawKind(StrEnum):
    """Whether the source still shows the item."""

    SEEN = "seen"
    VANISHED = "vanished"


class PayloadEncoding(StrEnum):
    """How a payload is written where it is not the text itself."""

    GZIP_BASE64 = "gzip+base64"
    """UTF-8, gzip (RFC 1952), Base64 (RFC 4648, section 4)."""


class RawMessage(Message):
    """An item of a source, in the source's words, in an envelope of ours."""

    source: str = Field(min_length=1, max_length=200, description="The catalogue, e.g. setlistfm.")
    source_id: str = Field(min_length=1, max_length=1_000, description="The item's id in that catalogue.")
    seen_at: AwareDatetime = Field(description="The source's clock or the spider's, never ours.")
    url: str | None = Field(default=None, max_length=4_000, description="Where a person can look it up.")
    spider: str = Field(min_length=1, max_length=200, description="Which spider read it; `feed` for files.")
    kind: RawKind = Field(default=RawKind.SEEN, description="`vanished`: a complete crawl no longer finds it.")
    fields: dict[str, Any] = Field(description="What the spider understood, under the names of a listing row.")
    content_hash: str = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 of the canonical kind and fields.")
    payload: str | None = Field(
        default=None, description="The source's own words, untouched; in `payload_encoding` where there is one."
    )
    payload_type: str | None = Field(default=None, max_length=200, description="Media type of the payload.")
    payload_hash: str | None = Field(default=None, description="SHA-256 of the payload: lineage after it expired.")
    payload_encoding: PayloadEncoding | None = Field(
        default=None, description="How the payload is written: UTF-8, gzip, Base64. Absent: as it is."
    )

    @property
    def key(self) -> str:
        """source:source_id."""
        return f"{self.source}:{self.source_id}"

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted names, absent for unknown.

        What a spider reads is JSON's own values and times: orjson writes them as pydantic does, twenty times as fast.
        """
        told = {name: value for name, value in self.__dict__.items() if value is not None}
        try:
            return orjson.dumps(told, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
        except TypeError:  # a set, bytes, a number of more than 64 bits
            return super().to_bytes()

    @property
    def version(self) -> int:
        """Newer replaces older; the same content at the same time is the same version."""
        return version_of(self.seen_at, self.content_hash)

    @property
    def payload_text(self) -> str | None:
        """The source's own words, however they are written here. MessageError when they cannot be had back."""
        if self.payload is None or self.payload_encoding is None:
            return self.payload
        return unpacked(self.payload)


class RawSetlist(RawMessage):
    """What was played: one artist, one night."""

    topic: ClassVar[str] = "gigz.raw-setlist.v1"


class RawEvent(RawMessage):
    """What was announced: one act or a bill."""

    topic: ClassVar[str] = "gigz.raw-event.v1"


class RawVenue(RawMessage):
    """A place with a stage. `fields`: name, city, region, country, lat, lon, tz, capacity, aliases."""

    topic: ClassVar[str] = "gigz.raw-venue.v1"


class RawArtist(RawMessage):
    """Who plays. `fields`: name, mbid, aliases, country, disambiguation."""

    topic: ClassVar[str] = "gigz.raw-artist.v1"


def packed(payload: str) -> tuple[str, PayloadEncoding | None]:
    """How a payload travels: a large one packed, where that makes it smaller."""
    if len(payload) <= PACKED_ABOVE:
        return payload, None
    shorter = base64.b64encode(gzip.compress(payload.encode(), 6, mtime=0)).decode()
    return (shorter, PayloadEncoding.GZIP_BASE64) if len(shorter) < len(payload) else (payload, None)


def unpacked(payload: str) -> str:
    """The text again. MessageError when it is none, or more than LARGEST_PAYLOAD."""
    try:
        inflating = zlib.decompressobj(_GZIP)
        body = inflating.decompress(base64.b64decode(payload, validate=True), LARGEST_PAYLOAD)
        if inflating.unconsumed_tail:
            raise MessageError("bad_value", f"payload: more than {LARGEST_PAYLOAD} bytes unpacked")
        if not inflating.eof:
            raise MessageError("bad_value", "payload: ends before its gzip frame does")
        return body.decode()
    except (binascii.Error, zlib.error, UnicodeDecodeError) as error:
        raise MessageError("bad_value", f"payload: not {PayloadEncoding.GZIP_BASE64}: {error}") from error


__all__ = [
    "LARGEST_PAYLOAD",
    "PACKED_ABOVE",
    "PayloadEncoding",
    "RawArtist",
    "RawEvent",
    "RawKind",
    "RawMessage",
    "RawSetlist",
    "RawVenue",
    "Text",
    "packed",
    "unpacked",
]
