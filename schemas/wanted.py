"""What no known concert could answer: asked of the spiders. Nothing about the user goes along."""

from datetime import date
from typing import ClassVar

from schemas.message import Field, Message, Text


class Wanted(Message):
    """An artist and a year to be fetched."""

    topic: ClassVar[str] = "gigz.wanted.v1"

    artist_key: str = Field(min_length=1, max_length=2_000)
    artist: Text
    year: int = Field(ge=1900, le=2200)
    since: date
    until: date

    @property
    def key(self) -> str:
        """artist key/year."""
        return f"{self.artist_key}/{self.year}"
