"""What the user said."""

from typing import ClassVar

from schemas.action import Action
from schemas.concert import Facts, Member
from schemas.history import Remembered
from schemas.message import UUID, AwareDatetime, Field, Message, User
from schemas.suggestion import Band, Evidence


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
    entry: Remembered = Field(default=Remembered(), description="What the user wrote.")
    concert: Facts | None = Field(default=None, description="What was shown when the user decided, as are these:")
    members: tuple[Member, ...] = ()
    confidence: float | None = Field(default=None, ge=0, le=1)
    band: Band | None = None
    why: tuple[Evidence, ...] = ()
    until: AwareDatetime | None = Field(default=None, description="End of a snooze.")
    undoes: UUID | None = Field(default=None, description="The decision that this one takes back.")
    together: UUID | None = Field(
        default=None,
        description="Of decisions that one call made and one undo takes back: another night with the night that it "
        "was, or a bulk.",
    )

    @property
    def key(self) -> str:
        """user/entry."""
        return f"{self.user}/{self.entry_id}"

    @property
    def partition_by(self) -> str:
        """The user."""
        return self.user


__all__ = ["Action", "Decision"]
