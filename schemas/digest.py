"""What was found for a user since the last digest."""

from typing import ClassVar

from schemas.message import UUID, AwareDatetime, Field, Message, User


class Digest(Message):
    """Counts and the best few, for a mail or a push that the app writes."""

    topic: ClassVar[str] = "gigz.digest.v1"

    user: User
    since: AwareDatetime = Field(description="End of the digest before; of a first one, when anything was found first.")
    until: AwareDatetime
    new: int = Field(ge=0, description="Entries with a suggestion that was not there before.")
    sure: int = Field(ge=0, description="Of these, those whose best suggestion is sure.")
    to_decide: int = Field(ge=0, description="Of these, the others.")
    suggestion_ids: tuple[UUID, ...] = Field(
        default=(), max_length=20, description="The best of each new entry, most confident first."
    )
    week: str | None = Field(
        default=None,
        pattern=r"^\d{4}-W\d{2}$",
        description="Of the user's calendar, ISO 8601. With the user it names the digest: a repeat has the same.",
    )
    tz: str | None = Field(default=None, max_length=64, description="The user's zone, IANA.")
    open: int | None = Field(default=None, ge=0, description="Entries that wait for the user in all.")

    @property
    def key(self) -> str:
        """The user."""
        return self.user
