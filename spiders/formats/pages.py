"""What pages, calendars and feeds have in common: texts, ids, places told in one line, nights that share an id.

An id is the source's own where it has one. Nights of one page, or of one crawl, that share an id or an address have the
date behind it (`/events/jam@2024-01-12`), so that none replaces another. A night that was moved keeps the id it had:
where ids have dates, the one before the move.
"""

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, ClassVar
from urllib.parse import urljoin, urlsplit

from scrapy.http import Response, TextResponse
from scrapy.utils.response import get_base_url
from w3lib.html import remove_tags

from schemas.message import content_hash
from schemas.raw import RawEvent, RawMessage
from schemas.rejection import Reason
from spiders.formats.base import Item, Shows, SourceSpider, called

LONGEST_ID = 900
"""Characters; a longer one becomes its hash."""
LONGEST_URL = 4_000
MOST_A_PAGE = 20_000
"""Nights of one page or calendar that are given; no house has more, and rules can name them by the million."""
MOST_REMEMBERED = 50_000
"""Ids of a crawl, for repeats and shared ids: some MB; then it forgets, and a repeat is sent once more."""


@dataclass(frozen=True)
class Found:
    """One event of a page, before it has its id."""

    fields: Mapping[str, Any]
    payload: Any
    payload_type: str
    own_id: str = ""
    """As the source tells it, or an address; empty: it is derived."""
    night: str = ""
    """What tells nights of one id apart: the date as first announced."""
    url: str | None = None
    changed: datetime | None = None
    missing: tuple[str, ...] = ()
    """Fields without which the source has declared it is no event."""
    original: bytes = b""
    """What the page has for it, for the rejection of one with something missing."""
    told_by: str = field(default="", compare=False)
    """Which of a page's voices: its JSON-LD, its microdata. What two of them tell of one id and night is one event."""

    @property
    def title(self) -> str:
        """What it is called, to tell two events of one id and night apart."""
        return " ".join(str(self.fields.get("title") or self.fields.get("artist") or "").casefold().split())


class PagesSpider(SourceSpider):
    """Gives what a page has: each event once, under an id of its own."""

    message: ClassVar[type[RawMessage]] = RawEvent
    shows: ClassVar[Shows] = Shows.UPCOMING
    house: ClassVar[Mapping[str, Any]] = {}
    """Fields of every message that does not tell them itself: the venue, its city. Empty ones say nothing."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.example and cls.start_urls:
            cls.example = cls.start_urls[0]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._nights: dict[str, str] = {}
        self._given: dict[str, int] = {}

    def give(self, response: Response, found: Iterable[Found]) -> Iterator[Item]:
        """The messages of one page, in its order. What was given before with as much in it is not given again."""
        events: list[Found] = []
        rows = self.at_most(response, found)
        for place, one in enumerate(rows, 1):
            if one.missing:
                row = f"row {place}" if len(rows) > 1 else ""
                which = ", ".join(part for part in (row, called(one.fields)) if part)
                told = f"{' and '.join(one.missing)}: the page has none here" + (f" ({which})" if which else "")
                yield self.unreadable(response, Reason.MISSING_FIELD, told, one.original)
            else:
                events.append(one)
        for one, source_id in zip(events, distinct_ids(events, self._nights), strict=True):
            fields = self._complete(one.fields)
            filled = sum(value not in (None, "", [], ()) for value in fields.values())
            if self._given.get(source_id, -1) >= filled:
                continue
            if len(self._given) >= MOST_REMEMBERED:
                self._given.clear()
                self._nights.clear()
            self._given[source_id] = filled
            yield self.item(
                response,
                source_id=source_id,
                fields=fields,
                payload=one.payload,
                payload_type=one.payload_type,
                changed=one.changed,
                url=web(one.url),
            )

    def at_most(self, response: Response, found: Iterable[Found]) -> list[Found]:
        """The events of one page, up to MOST_A_PAGE of them: where there are more, the run fails and says so."""
        events = list(islice(found, MOST_A_PAGE + 1))
        if len(events) > MOST_A_PAGE:
            self.too_many(response, f"{MOST_A_PAGE:,} events")
        return events[:MOST_A_PAGE]

    def too_many(self, response: Response, told: str) -> None:
        """What comes after these is not read: the run fails."""
        self.faults.append(
            self.public(
                f"{response.url} has more than {told}: the rest is not read. Remedy: an address that has fewer "
                "(--start-url); of a calendar fewer days (--since, --until)"
            )
        )

    def _complete(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """With what holds for the whole source, and for a date without a year the month in which it was read."""
        told = {name: value for name, value in fields.items() if value not in (None, "", [], ())}
        whole = {**{name: value for name, value in self.house.items() if value not in (None, "")}, **told}
        written = whole.get("date")
        if self.shows is Shows.UPCOMING and isinstance(written, str) and not has_year(written):
            whole["read_in"] = f"{self.clock():%Y-%m}"
        return whole


# -- ids --------------------------------------------------------------------------------------------------------------


def distinct_ids(events: list[Found], known: dict[str, str]) -> list[str]:
    """An id for each event of a page. `known`: ids of this crawl and their night, empty where they have several."""
    ids = [_short(event.own_id) or derived_id(event.fields) for event in events]
    nights: dict[str, set[str]] = {}
    titles: dict[tuple[str, str, str], set[str]] = {}
    for source_id, event in zip(ids, events, strict=True):
        nights.setdefault(source_id, set()).add(event.night)
        titles.setdefault((source_id, event.night, event.told_by), set()).add(event.title)
    found = []
    for source_id, event in zip(ids, events, strict=True):
        several = len(nights[source_id]) > 1 or known.get(source_id, event.night) != event.night
        others = len(titles[source_id, event.night, event.told_by]) > 1
        night = f"@{event.night}" if several else ""
        found.append(source_id + night + (f"#{content_hash([event.title])[:8]}" if others else ""))
    for source_id, told in nights.items():
        known.setdefault(source_id, next(iter(told)) if len(told) == 1 else "")
    return found


def derived_id(fields: Mapping[str, Any]) -> str:
    """For events without an id and an address: from what, when and where."""
    told = [fields.get(name) for name in ("title", "date", "venue", "city")]
    if told[0] is None:
        told[0] = fields.get("artist")
    return "derived-" + content_hash(told)[:24]


def address_id(page: str, written: str) -> str:
    """An address as an id; empty where it is none, or only the site's front page.

    One on the page's own host is kept without scheme and host: sites move to https and to www.
    """
    try:
        address = urlsplit(urljoin(page, written))
        at_home = address.netloc == urlsplit(page).netloc
    except ValueError:
        return ""
    if at_home:
        address = address._replace(scheme="", netloc="")
    found = address.geturl()
    return "" if found in ("", "/") else found


def base_of(response: TextResponse) -> str:
    """What a page's addresses are relative to: its own, or what its <base> says."""
    try:
        base: str = get_base_url(response)
    except ValueError:
        return response.url
    return base if base.startswith(("http://", "https://")) else response.url


def web(url: str | None) -> str | None:
    """What a person can open, else nothing."""
    return url if url and url.startswith(("http://", "https://")) and len(url) <= LONGEST_URL else None


def joined(page: str, written: str | None) -> str | None:
    """An address of the page, whole; None for what is none."""
    try:
        return web(urljoin(page, written)) if written else None
    except ValueError:
        return None


def _short(source_id: str) -> str:
    source_id = source_id.strip()
    return source_id if len(source_id) <= LONGEST_ID else "hashed-" + content_hash([source_id])[:40]


# -- texts ------------------------------------------------------------------------------------------------------------

_TAG = re.compile(
    r"</?(?:a|b|big|br|div|em|font|h[1-6]|hr|i|img|li|ol|p|s|small|span|strong|sub|sup|table|tbody|td|th|tr|u|ul)"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_PARTS = re.compile(r"</?(?:br|div|h[1-6]|hr|li|ol|p|table|td|th|tr|ul)(?:\s[^<>]*)?/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d+|#x[0-9a-f]+|[a-z][a-z0-9]+);", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def plain(text: Any) -> str | None:
    """A text in one line without entities, which many sites escape twice, and tags; None when nothing is left."""
    if not isinstance(text, str):
        return None
    for _ in range(2):
        if "&" in text:
            text = html.unescape(text)
        if not _ENTITY.search(text):
            break
    if _TAG.search(text):
        text = html.unescape(remove_tags(_PARTS.sub(" ", text), keep=()) if "<" in text else text)
    return " ".join(_CONTROL.sub(" ", text).split()) or None


_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d|\d{1,2}\s*[./-]\s*\d{1,2}\s*[./-]\s*\d\d|['’]\d\d(?!\d)")


def has_year(written: str) -> bool:
    """Whether a date tells its year."""
    return bool(_YEAR.search(written))


# -- places -----------------------------------------------------------------------------------------------------------

_STATES = re.compile(
    r"A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]"
)
_PROVINCES = re.compile(r"AB|BC|MB|N[BLSTU]|ON|PE|QC|SK|YT")
_AMERICAN = re.compile(r"(?:(.*?)\s+)?([A-Z]{2})\s+(\d{5}(?:-\d{4})?|[A-Z]\d[A-Z] ?\d[A-Z]\d)")
_BRITISH = re.compile(r"(.*?)\s*\b[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}")
_COUNTY = re.compile(
    r".*shire|.* (?:Midlands|Sussex|Yorkshire|Manchester)|Cornwall|Cumbria|Devon|Dorset|Essex|Kent|Merseyside|Norfolk"
    r"|Somerset|Suffolk|Surrey|Tyne and Wear|Northumberland"
)
_EUROPEAN = re.compile(
    r"(?:[A-Z]{1,3}-)?\d{4,5}(?: ?[A-Z]{2})? +([^\W\d][^\d]*)|(?:[A-Z]{1,3}-)?\d{3} \d\d +([^\W\d][^\d]*)"
)


def place_in(text: str | None) -> dict[str, str]:
    """Venue, city, region and country of a place told in one line, as far as they are certain.

    Certain are a town beside its postcode, and what follows a street with its number. Anything else stays whole as the
    venue: 'Paradiso, Amsterdam' is for the matcher, which knows towns.
    """
    if not text:
        return {}
    parts = [" ".join(part.split()) for part in re.split(r"[,\n]", text)]
    parts = [part for part in parts if part]
    at, town = _town(parts)
    if not town:
        return {"venue": " ".join(text.split())}
    return {"venue": parts[0], **town} if at > 0 else town


def address_in(text: str | None) -> dict[str, str]:
    """City, region and country of an address told in one line."""
    if not text:
        return {}
    parts = [" ".join(part.split()) for part in re.split(r"[,\n]", text)]
    parts = [part for part in parts if part]
    _, town = _town(parts)
    if town:
        return town
    rest = " ".join(text.split())
    return {} if any(character.isdigit() for character in rest) else {"city": rest}


def _town(parts: list[str]) -> tuple[int, dict[str, str]]:
    """The town of an address in pieces, and how many pieces stand before it; nothing where none is certain."""
    for at in range(len(parts) - 1, -1, -1):
        # '..., Elmira, NY, 14901, United States' is written with the postcode apart as well.
        apart = at + 1 < len(parts) and bool(_STATES.fullmatch(parts[at]) or _PROVINCES.fullmatch(parts[at]))
        part = f"{parts[at]} {parts[at + 1]}" if apart else parts[at]
        if found := _AMERICAN.fullmatch(part):
            states, country = (_STATES, "US") if found[3][0].isdigit() else (_PROVINCES, "CA")
            city = found[1] or (parts[at - 1] if at > 0 else None)
            if states.fullmatch(found[2]) and city and not city[0].isdigit():
                return at - (found[1] is None), {"city": city, "region": found[2], "country": country}
        if found := _BRITISH.fullmatch(part):
            towns = [found[1]] if found[1] else [one for one in parts[1:at] if not _COUNTY.fullmatch(one)][-1:]
            if towns and not any(map(str.isdigit, towns[0])):
                return at, {"city": towns[0], "country": "GB"}
        if found := _EUROPEAN.fullmatch(part):
            after = parts[at + 1 :]
            country = after[-1] if after and not any(map(str.isdigit, after[-1])) else ""
            return at, {"city": found[1] or found[2]} | ({"country": country} if country else {})
    numbered = [at for at, part in enumerate(parts) if any(map(str.isdigit, part))]
    if numbered and numbered[-1] + 1 < len(parts):
        return numbered[-1], {"city": ", ".join(parts[numbered[-1] + 1 :])}
    return 0, {}
