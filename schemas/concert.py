"""One artist, one night, one place, whatever the number of sources."""

from datetime import date
from typing import ClassVar

from schemas.listing import Place, Role, StartPrecision, Status
from schemas.message import UUID, AwareDatetime, Field, Message, Shape, Text


class Member(Shape):
    """A listing that speaks of the concert: lineage that outlives offsets."""

    listing_id: UUID
    source: str
    source_id: str
    version: int
    act: Text = Field(description="The artist as this listing writes it.")
    url: str | None = None
    payload_hash: str | None = None


class BillAct(Shape):
    """Another act of the same bill."""

    concert_id: UUID
    artist: Text
    role: Role


class Facts(Shape):
    """What a person needs to recognise the show; shared by concerts and suggestions."""

    artist: Text
    night: date
    place: Place = Place()
    start_at: AwareDatetime | None = None
    start_precision: StartPrecision = StartPrecision.UNKNOWN
    status: Status = Status.ANNOUNCED
    title: Text | None = None
    festival: Text | None = None
    tour: Text | None = None
    songs: tuple[Text, ...] = ()
    bill: tuple[BillAct, ...] = ()


class Concert(Message, Facts):
    """A show, merged from its listings. A concert that lost its id is a tombstone: key without body."""

    topic: ClassVar[str] = "gigz.concert.v1"

    concert_id: UUID = Field(description="uuid5 of the smallest member listing and the act as that listing writes it.")
    rev: int = Field(default=0, ge=0, description="Counted up under the row's lock at every change.")
    artist_key: str = Field(description="The folded artist: what blocks and searches go by; not an id.")
    artist_mbid: UUID | None = None
    venue_id: UUID | None = None
    parent: UUID | None = Field(default=None, description="The festival's id, for a festival's concerts.")
    role: Role = Role.HEADLINE
    vanished: bool = Field(default=False, description="No source shows it any more.")
    members: tuple[Member, ...] = Field(min_length=1, description="Smallest listing id first.")

    @property
    def key(self) -> str:
        """Its id."""
        return str(self.concert_id)

    @property
    def facts(self) -> Facts:
        """What is shown of it."""
        return Facts.model_validate({name: getattr(self, name) for name in Facts.model_fields})
