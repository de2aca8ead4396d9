"""What the user said."""

from enum import StrEnum
from typing import ClassVar

from schemas.concert import Facts
from schemas.message import UUID, AwareDatetime, Field, Message, User


class Action(StrEnum):
    """Values are only added at the end."""

    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"
    OTHER_NIGHT = "other_night"
    SNOOZED = "snoozed"
    UNDONE = "undone"


class Decision(Message):
    """The last decision on an entry; those before are in the stores."""

    topic: ClassVar[str] = "gigz.decision.v1"

    decision_id: UUID
    user: User
    entry_id: str = Field(min_length=1, max_length=200)
    suggestion_id: UUID
    concert_id: UUID
    action: Action
    decided_at: AwareDatetime
    listing_ids: tuple[UUID, ...] = Field(default=(), description="Members at that time: followed through merges.")
    signature: str = Field(default="", description="Of the evidence at that time.")
    concert: Facts | None = Field(default=None, description="What was shown when the user decided.")
    until: AwareDatetime | None = Field(default=None, description="End of a snooze.")
    undoes: UUID | None = Field(default=None, description="The decision that this one takes back.")

    @property
    def key(self) -> str:
        """user/entry."""
        return f"{self.user}/{self.entry_id}"

    @property
    def partition_by(self) -> str:
        """The user."""
        return self.user
