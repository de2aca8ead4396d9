"""What no known concert could answer: asked of the spiders. Nothing about the users goes along.

A tombstone says that nobody asks any more: the answer came, or the entries are gone or decided.
"""

from datetime import date
from typing import ClassVar

from schemas.message import Field, Message, Text


class Wanted(Message):
    """An artist and a year to be fetched."""

    topic: ClassVar[str] = "gigz.wanted.v1"

    artist_key: str = Field(min_length=1, max_length=2_000, description="The folded artist.")
    artist: Text = Field(description="As most entries write it.")
    year: int = Field(ge=1900, le=2200)
    since: date
    until: date
    asked: int = Field(default=1, ge=1, description="Entries that ask, of all users: most wanted first.")
    rev: int = Field(default=0, ge=0, description="Counted up under the row's lock at every change.")

    @property
    def key(self) -> str:
        """artist key/year."""
        return f"{self.artist_key}/{self.year}"
