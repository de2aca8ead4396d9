"""A concert as one source tells it, in Gigz's own words."""

from datetime import date
from enum import StrEnum
from typing import ClassVar

from schemas.message import UUID, AwareDatetime, Field, Latitude, Longitude, Message, Shape, Text


class Role(StrEnum):
    """An act's part in the bill."""

    HEADLINE = "headline"
    SUPPORT = "support"


class Status(StrEnum):
    """What became of the night. Values are only added at the end."""

    ANNOUNCED = "announced"
    HAPPENED = "happened"
    MOVED = "moved"
    POSTPONED = "postponed"
    CANCELLED = "cancelled"


class StartPrecision(StrEnum):
    """How far `start_at` can be trusted."""

    MINUTE = "minute"
    DOORS = "doors"
    UNKNOWN = "unknown"


class Act(Shape):
    """One artist of a bill."""

    name: Text = Field(description="As the source writes it.")
    role: Role = Role.HEADLINE
    mbid: UUID | None = Field(default=None, description="MusicBrainz artist id.")


class Place(Shape):
    """Where; each part as far as known."""

    name: Text | None = Field(default=None, description="The venue.")
    room: Text | None = Field(default=None, description="Hall or stage within a complex.")
    city: Text | None = None
    region: Text | None = Field(default=None, description="State or province, as written.")
    country: str | None = Field(default=None, pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2.")
    lat: Latitude | None = Field(default=None, description="Degrees north, WGS 84.")
    lon: Longitude | None = Field(default=None, description="Degrees east, WGS 84.")
    tz: str | None = Field(default=None, max_length=64, description="IANA zone of the venue.")


class Listing(Message):
    """One source's account of one event: one act or a bill of several."""

    topic: ClassVar[str] = "gigz.listing.v1"

    listing_id: UUID = Field(description="uuid5 of source and source_id: the same source row, the same id.")
    source: str = Field(min_length=1, max_length=200)
    source_id: str = Field(min_length=1, max_length=1_000)
    version: int = Field(ge=0, description="Milliseconds of seen_at, then 20 bits of the content hash.")
    seen_at: AwareDatetime = Field(description="The source's clock or the spider's, never ours.")
    content_hash: str = Field(description="Of the raw message it was read from.")
    payload_hash: str | None = Field(default=None, description="Of the source's own words.")
    url: str | None = None
    acts: tuple[Act, ...] = Field(min_length=1, description="As written, headliner first.")
    title: Text | None = Field(default=None, description="The event's own name, where it has one.")
    festival: Text | None = Field(default=None, description="Name of the festival it belongs to.")
    tour: Text | None = None
    night: date = Field(description="Venue-local; 00:00-05:00 counts as the evening before.")
    doubt: Text | None = Field(default=None, description="What the source's date has against that night: its weekday.")
    start_at: AwareDatetime | None = None
    start_precision: StartPrecision = StartPrecision.UNKNOWN
    place: Place = Place()
    status: Status = Status.ANNOUNCED
    vanished: bool = Field(default=False, description="The source no longer shows it.")
    songs: tuple[Text, ...] = Field(default=(), description="In the order played.")

    @property
    def key(self) -> str:
        """source:source_id."""
        return f"{self.source}:{self.source_id}"
