"""What is known of venues and artists, whatever was played when."""

from datetime import date
from typing import ClassVar

from schemas.listing import Place
from schemas.message import UUID, AwareDatetime, Field, Message, Shape, Text


class DatedName(Shape):
    """A name and the time it was in use; open ends are unknown."""

    name: Text
    since: date | None = None
    until: date | None = None


class Venue(Message):
    """A place with a stage, as one source knows it."""

    topic: ClassVar[str] = "gigz.venue.v1"

    venue_id: UUID
    source: str
    source_id: str
    version: int = Field(ge=0)
    seen_at: AwareDatetime
    name: Text
    names: tuple[DatedName, ...] = Field(default=(), description="Other and former names.")
    place: Place
    capacity: int | None = Field(default=None, ge=0, description="People.")
    url: str | None = None
    vanished: bool = False

    @property
    def key(self) -> str:
        """Its id."""
        return str(self.venue_id)


class Artist(Message):
    """Who plays, as one source knows them."""

    topic: ClassVar[str] = "gigz.artist.v1"

    artist_id: UUID
    source: str
    source_id: str
    version: int = Field(ge=0)
    seen_at: AwareDatetime
    name: Text
    mbid: UUID | None = None
    aliases: tuple[Text, ...] = ()
    country: str | None = Field(default=None, pattern="^[A-Z]{2}$")
    disambiguation: Text | None = None
    url: str | None = None
    vanished: bool = False

    @property
    def key(self) -> str:
        """Its id."""
        return str(self.artist_id)
