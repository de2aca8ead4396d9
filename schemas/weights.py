"""How much agreement and disagreement are worth: everything that tunes an answer, frozen in one version.

A file of it is written by `gigz calibrate` and read by the matcher; its version travels with every suggestion.
"""

from datetime import date
from enum import StrEnum
from typing import Self

from schemas.message import Field, Shape, canonical, content_hash


class Level(Shape):
    """One way in which a field can agree: how often it does among right pairs (m), and among all others (u)."""

    m: float = Field(gt=0, le=1)
    u: float = Field(gt=0, le=1)


class Method(StrEnum):
    """How bits become a probability."""

    IDENTITY = "identity"
    PLATT = "platt"
    ISOTONIC = "isotonic"


class Calibration(Shape):
    """A monotone map of log2 odds: `y` at `x`, straight between, flat outside.

    platt: y = slope * x + shift, both in bits; isotonic: by the points.
    """

    method: Method = Method.IDENTITY
    slope: float = 1.0
    shift: float = 0.0
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()


class AliasVenue(Shape):
    """Another name of a venue, where it is, and the time in which it was called by the name that is looked up."""

    name: str
    city: str | None = None
    region: str | None = None
    country: str | None = None
    since: date | None = None
    until: date | None = None


class Names(Shape):
    """Other names, by the name that is typed."""

    artists: dict[str, tuple[str, ...]] = Field(default={}, description="By folded name.")
    venues: dict[str, tuple[AliasVenue, ...]] = Field(
        default={}, description="By venue key: 'fillmorewest'; itself among them."
    )


class Frequencies(Shape):
    """How often a value occurs among the concerts that were counted: shares of `concerts`."""

    concerts: int = 0
    artists: dict[str, float] = Field(default={}, description="By folded name; what is rarer than usual is left out.")
    towns: dict[str, float] = Field(default={}, description="By folded name and country: 'porto,PT'.")
    venues: dict[str, float] = Field(
        default={},
        description="Shares of their town's concerts, by venue key and town: 'fillmorewest@san francisco,US'.",
    )
    sizes: tuple[tuple[int, float], ...] = Field(
        default=(), description="People and share, largest first: for towns that were not counted."
    )


class Weights(Shape):
    """Levels by field, frequencies, aliases, calibration."""

    version: str = ""
    source: str = Field(default="", description="What they were fitted on: data, pairs, date.")
    prior: float = Field(description="log2 odds that a concert taken at random is the one meant.")
    unlisted: float = Field(ge=0, description="Odds that no source lists a show at all.")
    unlisted_here: float = Field(
        ge=0, description="Odds that the artist played the same town on another night in question that no source lists."
    )
    unlisted_anywhere: float = Field(ge=0, description="The same where the town is not known.")
    unlisted_song: float = Field(ge=0, description="Bits by which each remembered song that was played lowers them.")
    levels: dict[str, dict[str, Level]]
    frequencies: Frequencies = Frequencies()
    names: Names = Names()
    users: dict[str, Names] = Field(default={}, description="What single users call things, from their decisions.")
    calibration: Calibration = Calibration()

    def versioned(self) -> Self:
        """With the version that its content has: 12 hex digits of its hash."""
        body = self.model_dump(mode="json", exclude={"version", "source"})
        return self.model_copy(update={"version": content_hash(body)[:12]})

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical(self.model_dump(mode="json"))
