"""What a spider read, before anyone interpreted it."""

from enum import StrEnum
from typing import Any, ClassVar

from schemas.message import AwareDatetime, Field, Message, Text, version_of


class RawKind(StrEnum):
    """Whether the source still shows the item."""

    SEEN = "seen"
    VANISHED = "vanished"


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
    payload: str | None = Field(default=None, description="The source's own words, untouched.")
    payload_type: str | None = Field(default=None, max_length=200, description="Media type of the payload.")
    payload_hash: str | None = Field(default=None, description="SHA-256 of the payload: lineage after it expired.")

    @property
    def key(self) -> str:
        """source:source_id."""
        return f"{self.source}:{self.source_id}"

    @property
    def version(self) -> int:
        """Newer replaces older; the same content at the same time is the same version."""
        return version_of(self.seen_at, self.content_hash)


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


__all__ = ["RawArtist", "RawEvent", "RawKind", "RawMessage", "RawSetlist", "RawVenue", "Text"]
