"""One line of a user's history, with whatever is known."""

from enum import StrEnum
from typing import ClassVar

from schemas.message import (
    AwareDatetime,
    Field,
    Latitude,
    Longitude,
    Message,
    Shape,
    Text,
    User,
    content_hash,
    version_of,
)


class EntryOrigin(StrEnum):
    """How the line came in."""

    API = "api"
    IMPORT = "import"
    FEED = "feed"


class Remembered(Shape):
    """What the user wrote, as typed."""

    artist: Text | None = None
    date: Text | None = Field(default=None, description="2014-11-14, 14/11/14, Nov 2014, 2014, summer 2014, a/b.")
    date_order: str | None = Field(
        default=None,
        pattern="^(DMY|MDY|YMD)$",
        description="Of the numbers in the date, where the whole file tells it.",
    )
    venue: Text | None = None
    city: Text | None = None
    region: Text | None = None
    country: Text | None = None
    lat: Latitude | None = None
    lon: Longitude | None = None
    time: Text | None = Field(default=None, description="Local time of day, as typed.")
    songs: tuple[Text, ...] = ()
    note: str | None = Field(default=None, max_length=10_000)
    with_: tuple[Text, ...] = Field(default=(), alias="with", description="Who came along; private.")


class Entry(Message, Remembered):
    """A line of a history on its way to the matcher. A deleted entry is a tombstone."""

    topic: ClassVar[str] = "gigz.history.v1"

    user: User
    entry_id: str = Field(min_length=1, max_length=200)
    seen_at: AwareDatetime = Field(description="When the user wrote it, or the file's time.")
    origin: EntryOrigin = EntryOrigin.FEED

    @property
    def key(self) -> str:
        """user/entry."""
        return f"{self.user}/{self.entry_id}"

    @property
    def partition_by(self) -> str:
        """The user: one user's messages stay in order."""
        return self.user

    @property
    def remembered(self) -> Remembered:
        """What was written, without the envelope."""
        return Remembered.model_validate({name: getattr(self, name) for name in Remembered.model_fields})

    @property
    def version(self) -> int:
        """Newer replaces older; see `schemas.message.version_of`."""
        body = self.remembered.model_dump(mode="json", exclude_none=True)
        return version_of(self.seen_at, content_hash(body))


class BackfilledEntry(Entry):
    """The same for imports of more than 200 entries: taken when the live topic is empty."""

    topic: ClassVar[str] = "gigz.history-backfill.v1"


class Rematch(Message):
    """An entry that a changed concert could concern."""

    topic: ClassVar[str] = "gigz.rematch.v1"

    user: User
    entry_id: str = Field(min_length=1, max_length=200)
    cause: str = Field(
        max_length=200, description="What changed: concert:<id>, artist:<id>, venue:<id>, or the user's preferences."
    )

    @property
    def key(self) -> str:
        """user/entry."""
        return f"{self.user}/{self.entry_id}"

    @property
    def partition_by(self) -> str:
        """The user."""
        return self.user
