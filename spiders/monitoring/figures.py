"""What a run is judged by: counts, requests by status, bytes, latency, how full the fields are."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from scrapy import Request
from scrapy.http import Response

from schemas.raw import RawMessage
from spiders.delivery import Counts, Lost
from spiders.formats.base import Item, Left, SourceSpider, Unreadable, short, told_night
from spiders.polite.limits import LimitsAway, QuotaUsed

SAMPLES = 5
"""Errors of each kind that are told as they were; the rest is counted."""
LONGEST_SAMPLE = 500
"""Characters: a line or two of a page."""
STATUS = "downloader/response_status_count/"
EXCEPTION = "downloader/exception_type_count/"
ROBOTS = "robotstxt/response_status_count/"
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
UNSENT = frozenset(kind.__name__ for kind in (Left, QuotaUsed, LimitsAway))
"""Requests that were never sent because the crawl was ending: no failures of the source; the run says why it ended."""
MARKS = frozenset({"read_in", "doubt", "date_order", "synthetic_time"})
"""Fields that formats add for normalising: nothing that a source tells."""


class Reach(StrEnum):
    """How much of its scope a run read: only runs of one reach can be compared."""

    WHOLE = "whole"
    NEWS = "news"
    """What is newer than the watermark."""
    PART = "part"
    """Some years, or until a quota, a stop or a fault ended it."""


@dataclass(frozen=True)
class Figures:
    """As a run's row keeps them."""

    items: int = 0
    requests: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)
    """HTTP status, or the name of an exception where there was no answer -> requests."""
    nothing_found: int = 0
    """Those of them whose status is the source's way to say that it has none of what was searched for: a 404."""
    bytes: int = 0
    seconds: float = 0.0
    latency_s: float = 0.0
    """Mean time from a request to the head of its answer."""
    coverage: Mapping[str, float] = field(default_factory=dict)
    """Field -> share of the messages that have it, 0 to 1; `coordinates` are lat and lon together."""
    years: Mapping[str, int] = field(default_factory=dict)
    """Year of the night -> messages, as far as their dates tell it."""
    errors: int = 0
    """Everything that went wrong, once each: requests that failed, other faults of the crawl, rejected items."""
    rejected: int = 0
    """Items that no message can be made of, or that are too large."""
    samples: tuple[str, ...] = ()
    known: int = 0
    """Ids that the scope had before this run."""
    missing: int = 0
    """Those of them that it did not find."""
    new: int = 0
    """Ids that it found for the first time."""
    reach: Reach = Reach.PART

    def as_json(self) -> dict[str, Any]:
        """For the row."""
        return asdict(self)


def statuses_in(stats: Mapping[str, Any]) -> dict[str, int]:
    """Answers by status, in Scrapy's counts, and requests without one by the exception's name.

    A site without robots.txt answers 404 for it: nothing is wrong then, and it does not count. Nor does a request that
    was not sent because the crawl was ending.
    """
    statuses: Counter[str] = Counter()
    for name, n in stats.items():
        if name.startswith(STATUS):
            status = name.removeprefix(STATUS)
            statuses[status] += n - (stats.get(f"{ROBOTS}{status}", 0) if status >= "400" else 0)
        elif name.startswith(EXCEPTION):
            kind = name.removeprefix(EXCEPTION).rpartition(".")[2]
            statuses[kind] += 0 if kind in UNSENT else n
    return {status: n for status, n in sorted(statuses.items()) if n > 0}


def failing(statuses: Mapping[str, int]) -> int:
    """Requests that were answered with an error, or not at all."""
    return sum(n for status, n in statuses.items() if not status.startswith(("1", "2", "3")))


def figures_of(told: Mapping[str, Any]) -> Figures:
    """The figures in a row; what it does not know is as it is when nothing was counted."""
    names = {name: value for name, value in told.items() if name in Figures.__dataclass_fields__}
    if "reach" in names:
        names["reach"] = Reach(names["reach"])
    if "coverage" in names:  # rows of before marks were left out
        names["coverage"] = {name: share for name, share in names["coverage"].items() if name not in MARKS}
    return Figures(**names | {"samples": tuple(names.get("samples", ()))})


class Tally:
    """Counts items as they are scraped and answers as they come."""

    def __init__(self) -> None:
        self.messages = 0
        self.first_refused = ""
        """Why the first piece was refused that no message could be made of; empty: none was."""
        self._filled: Counter[str] = Counter()
        self._years: Counter[str] = Counter()
        self._answers = 0
        self._nothing_found = 0
        self._waited_s = 0.0
        self._faults = 0
        self._samples: dict[str, list[str]] = {"fault": [], "answer": [], "item": []}

    def add(self, item: Item) -> None:
        """One item."""
        if isinstance(item, Unreadable):
            self.first_refused = self.first_refused or f"{item.reason}: {short(item.text, LONGEST_SAMPLE)}"
            self._sample("item", f"{item.url}: {item.reason}: {item.text}")
            return
        assert isinstance(item, RawMessage)
        self.messages += 1
        self._filled.update(filled(item.fields))
        year = year_of(item.fields.get("date"))
        if year:
            self._years[year] += 1

    def answered(self, response: Response, request: Request, spider: SourceSpider) -> None:
        """An answer came: Scrapy's signal `response_downloaded`. Pages out of the cache are none."""
        waited = request.meta.get("download_latency")
        if waited is not None:
            self._answers += 1
            self._waited_s += waited
        if response.status >= 400 and response.status in request.meta.get("handle_httpstatus_list", ()):
            self._nothing_found += 1
        elif response.status >= 400 and not (request.meta.get("is_robots") or response.url.endswith("/robots.txt")):
            self._sample("answer", f"{spider.public(request.url)} answered {response.status}")

    def faulty(self, faults: Iterable[str], unanswered: Collection[str] = ()) -> None:
        """What made the run fail, all of it; `unanswered` are those that are counted as failed requests already."""
        told = list(faults)
        self._faults = len(set(told) - set(unanswered))
        self._samples["fault"].clear()
        for fault in told:
            self._sample("fault", fault)

    def figures(
        self, counts: Counts, stats: Mapping[str, Any], seconds: float, lost: Lost, reach: Reach = Reach.PART
    ) -> Figures:
        """The figures; `stats` are Scrapy's."""
        statuses = statuses_in(stats)
        return Figures(
            items=counts.scraped,
            requests=stats.get("downloader/request_count", 0),
            statuses=statuses,
            nothing_found=self._nothing_found,
            bytes=stats.get("downloader/response_bytes", 0),
            seconds=round(seconds, 3),
            latency_s=round(self._waited_s / self._answers, 4) if self._answers else 0.0,
            coverage={name: round(n / self.messages, 4) for name, n in sorted(self._filled.items())},
            years=dict(sorted(self._years.items())),
            errors=self._faults + max(0, failing(statuses) - self._nothing_found) + counts.rejected,
            rejected=counts.rejected,
            samples=tuple(sample for samples in self._samples.values() for sample in samples),
            known=lost.known,
            missing=lost.missing,
            new=lost.new,
            reach=reach,
        )

    def _sample(self, kind: str, text: str) -> None:
        kept = self._samples[kind]
        if len(kept) < SAMPLES:
            kept.append(" ".join(text.split())[:LONGEST_SAMPLE])


def year_of(written: Any) -> str:
    """The year of a message's date: of the night where that can be told, else the only one in it; empty: neither."""
    night = told_night(written)
    told = {str(night.year)} if night else set(_YEAR.findall(written)) if isinstance(written, str) else set()
    year = told.pop() if len(told) == 1 else ""
    return year if _YEAR.fullmatch(year) else ""


def filled(fields: Mapping[str, Any]) -> set[str]:
    """The fields that say something of an event; lat and lon count together, as coordinates."""
    told = {name for name, value in fields.items() if value is not None and value != "" and value != []} - MARKS
    if {"lat", "lon"} <= told:
        told.add("coordinates")
    return told - {"lat", "lon"}
