"""What a run is judged by: counts, requests by status, bytes, latency, how full the fields are."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from schemas.raw import RawMessage
from spiders.delivery import Counts, Lost
from spiders.formats.base import Item, Unreadable

SAMPLES = 5
"""Errors told as they were; the rest is counted."""


@dataclass(frozen=True)
class Figures:
    """As a run's row keeps them."""

    items: int = 0
    requests: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)
    """HTTP status, or the name of an exception -> answers."""
    bytes: int = 0
    seconds: float = 0.0
    latency_s: float = 0.0
    """Mean time of an answer."""
    coverage: Mapping[str, float] = field(default_factory=dict)
    """Field -> share of the items that have it, 0 to 1."""
    errors: int = 0
    samples: tuple[str, ...] = ()
    known: int = 0
    missing: int = 0
    new: int = 0

    def as_json(self) -> dict[str, Any]:
        """For the row."""
        return asdict(self)


class Tally:
    """Counts items as they are scraped."""

    def __init__(self) -> None:
        self.filled: Counter[str] = Counter()
        self.messages = 0
        self.errors = 0
        self.samples: list[str] = []

    def add(self, item: Item) -> None:
        """One item."""
        if isinstance(item, Unreadable):
            self.errors += 1
            if len(self.samples) < SAMPLES:
                self.samples.append(f"{item.url}: {item.text}")
            return
        assert isinstance(item, RawMessage)
        self.messages += 1
        self.filled.update(item.fields.keys())

    def figures(self, counts: Counts, stats: Mapping[str, Any], seconds: float, lost: Lost) -> Figures:
        """The figures; `stats` are Scrapy's."""
        prefix = "downloader/response_status_count/"
        return Figures(
            items=counts.scraped,
            requests=stats.get("downloader/request_count", 0),
            statuses={name.removeprefix(prefix): n for name, n in stats.items() if name.startswith(prefix)},
            bytes=stats.get("downloader/response_bytes", 0),
            seconds=round(seconds, 3),
            coverage={name: round(n / self.messages, 4) for name, n in sorted(self.filled.items())},
            errors=self.errors,
            samples=tuple(self.samples),
            known=lost.known,
            missing=lost.missing,
            new=lost.new,
        )
