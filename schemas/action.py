"""What a user can say of a suggestion."""

from enum import StrEnum


class Action(StrEnum):
    """Values are only added at the end."""

    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"
    OTHER_NIGHT = "other_night"
    SNOOZED = "snoozed"
    UNDONE = "undone"
    NOT_SEEN = "not_seen"
