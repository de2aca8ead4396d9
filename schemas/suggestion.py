"""A concert proposed to a user, with how sure Gigz is and why."""

from datetime import date
from enum import StrEnum
from typing import ClassVar

from schemas.action import Action
from schemas.concert import Facts, Member
from schemas.history import Remembered
from schemas.message import UUID, AwareDatetime, Field, Message, Shape, Text, User


class Band(StrEnum):
    """How a confidence reads."""

    SURE = "sure"
    LIKELY = "likely"
    POSSIBLE = "possible"


class Origin(StrEnum):
    """What the suggestion answers."""

    ENTRY = "entry"
    COMPANION = "companion"
    HABIT = "habit"


class Nothing(StrEnum):
    """Why an entry has no suggestion."""

    NO_CANDIDATE = "no_candidate"
    TOO_WEAK = "too_weak"
    NOTHING_TO_GO_BY = "nothing_to_go_by"
    DISMISSED = "dismissed"
    UNREADABLE_DATE = "unreadable_date"
    TOO_MANY = "too_many"
    TAKEN = "taken"
    ENTRY_DELETED = "entry_deleted"


class Evidence(Shape):
    """What speaks for or against a pair."""

    field: str = Field(
        description="artist, date, city, region, country, distance, venue, songs, time, status, prior, cap; of "
        "companions bill, festival or venue, and acts."
    )
    bits: float = Field(description="log2 of m/u: they add; 10 bits are odds of about 1000 to 1.")
    text: Text = Field(description="For a person to read.")


class Suggestion(Shape):
    """One concert for one entry."""

    suggestion_id: UUID = Field(description="Of the pair of entry and concert.")
    rank: int = Field(ge=1, le=3)
    concert_id: UUID
    concert: Facts = Field(description="Enough to show it without asking back.")
    members: tuple[Member, ...]
    confidence: float = Field(ge=0, le=1, description="Probability that it is this one.")
    band: Band
    why: tuple[Evidence, ...]
    signature: str = Field(description="Of the evidence: a dismissal holds while it stays materially the same.")


class Because(Shape):
    """What a companion or a habit hangs on, in place of a line that the user wrote."""

    text: Text = Field(description="For a person to read.")
    concert_id: UUID | None = Field(default=None, description="The confirmed show, of a companion.")
    artist: Text | None = Field(default=None, description="Of the confirmed show, or the habit's.")
    night: date | None = Field(default=None, description="Of the confirmed show.")
    town: Text | None = Field(default=None, description="The habit's.")


class Suggestions(Message):
    """An entry's complete set, best first; an empty set withdraws what was there."""

    topic: ClassVar[str] = "gigz.suggestion.v1"

    user: User
    entry_id: str = Field(min_length=1, max_length=200)
    origin: Origin = Origin.ENTRY
    rev: int = Field(default=0, ge=0, description="Counted up under the row's lock at every change.")
    made_at: AwareDatetime | None = Field(default=None, description="When this set was computed.")
    entry: Remembered = Field(default=Remembered(), description="What the user wrote, to be shown beside it.")
    because: Because | None = Field(default=None, description="Of a companion or a habit: what it hangs on.")
    suggestions: tuple[Suggestion, ...] = Field(default=(), max_length=3)
    reason: Nothing | None = Field(default=None, description="Why the set is empty.")
    decision: Action | None = Field(default=None, description="What the user has decided for this entry, if anything.")
    weights: str = Field(default="", description="Version of the weights.")
    fold: str = Field(default="", description="Version of the text folding.")

    @property
    def key(self) -> str:
        """user/entry."""
        return f"{self.user}/{self.entry_id}"

    @property
    def partition_by(self) -> str:
        """The user."""
        return self.user
