"""What was found for a user since the last digest."""

from typing import ClassVar

from schemas.message import UUID, AwareDatetime, Field, Message, User


class Digest(Message):
    """Counts and the best few, for a mail or a push that the app writes."""

    topic: ClassVar[str] = "gigz.digest.v1"

    user: User
    since: AwareDatetime
    until: AwareDatetime
    new: int = Field(ge=0, description="Entries with a suggestion that was not there before.")
    sure: int = Field(ge=0)
    to_decide: int = Field(ge=0)
    suggestion_ids: tuple[UUID, ...] = Field(default=(), max_length=20)

    @property
    def key(self) -> str:
        """The user."""
        return self.user
