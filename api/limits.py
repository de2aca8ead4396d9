"""How often a caller may call: the conventions' limits, counted in this process.

Windows are whole minutes of the clock. Several API processes count each for themselves.
"""

from collections import Counter
from datetime import datetime

A_MINUTE = {"address": 100, "user": 300, "search": 20, "sign_in": 5}
"""Requests a minute: of an address that is not signed in, of a user, and of the dearer kinds."""


class Limits:
    """Counts of the present minute; those before are dropped, so that memory is bounded by one minute's callers."""

    def __init__(self) -> None:
        self._minute = 0
        self._taken: Counter[tuple[str, str]] = Counter()

    def take(self, kind: str, who: str, now: datetime) -> int:
        """0 when the caller may go on, else the seconds to wait."""
        minute, second = divmod(int(now.timestamp()), 60)
        if minute != self._minute:
            self._minute = minute
            self._taken.clear()
        self._taken[kind, who] += 1
        return 60 - second if self._taken[kind, who] > A_MINUTE[kind] else 0
