"""A message that cannot be used, and why."""

from dataclasses import dataclass

from schemas.rejection import Reason

LONGEST = 2_000
"""Characters of a name; `schemas.message.Text` takes no more."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a message could not be used: becomes a rejection."""

    reason: Reason
    text: str


class Refusal(Exception):
    """Raised where it is noticed, caught by `normalise`."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.refused = Refused(reason, text)


def kind_of(value: object) -> str:
    """A type in JSON's words."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return {"dict": "an object", "list": "an array", "tuple": "an array", "str": "text", "NoneType": "null"}.get(
        type(value).__name__, type(value).__name__
    )
