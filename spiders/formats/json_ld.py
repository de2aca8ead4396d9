"""Events that a page tells machines, after schema.org: JSON-LD, or microdata where a page has that instead.

Types MusicEvent, Event and Festival, alone, in lists, under @graph, as list elements or as parts of another event.
What the page shows to people is not read.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urljoin, urlsplit

import extruct
import orjson
from scrapy import Request
from scrapy.http import HtmlResponse, Response
from scrapy.linkextractors import LinkExtractor

from schemas.message import content_hash
from schemas.raw import RawEvent, RawMessage
from schemas.rejection import Reason
from spiders.formats.base import Item, SourceSpider, dig, http_date, listed, number, words

PARTS = ("@graph", "itemListElement", "item", "mainEntity", "event", "events", "subEvent", "subEvents")
"""Where events stand within other things."""
STATUSES = {
    "EventScheduled": "announced",
    "EventRescheduled": "announced",  # startDate is the new night
    "EventMovedOnline": "moved",
    "EventPostponed": "postponed",
    "EventCancelled": "cancelled",
}

# Not in UTC: there it is an evening in America.
_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)T00:00(?::00(?:\.0+)?)?(?![+-]00)(?:[+-]\d\d:?\d\d)?")


class JsonLdSpider(SourceSpider):
    """Pages with events, and the links that lead to more of them."""

    format = "json-ld"
    message: ClassVar[type[RawMessage]] = RawEvent
    types: ClassVar[frozenset[str]] = frozenset({"MusicEvent", "Event", "Festival"})
    links: ClassVar[LinkExtractor | None] = None
    """Which links are followed; None: the start page is all there is."""

    def read(self, response: Response) -> Iterable[Item | Request]:
        """The events of a page, then its links."""
        if not isinstance(response, HtmlResponse):
            return
        yield from self._events(response)
        if self.links is not None:
            for link in self.links.extract_links(response):
                yield self.ask(link.url, needed=False)

    def _events(self, response: HtmlResponse) -> Iterator[Item]:
        changed = http_date(response)
        found: list[tuple[Mapping[str, Any], str]] = []
        for block in response.xpath('//script[@type="application/ld+json"]'):
            try:
                data = extruct.extract(block.get(), base_url=response.url, syntaxes=["json-ld"])["json-ld"]
            except ValueError as error:
                original = (block.xpath("string()").get() or "").encode()
                yield self.unreadable(response, Reason.BAD_DOCUMENT, f"a JSON-LD block is not JSON: {error}", original)
                continue
            found += [(event, "application/ld+json") for event in events_in(whole(data), self.types)]
        if b"itemscope" in response.body:
            data = extruct.extract(response.text, base_url=response.url, syntaxes=["microdata"], uniform=True)
            found += [(event, "application/json") for event in events_in(data["microdata"], self.types)]
        ids = distinct_ids([event for event, _ in found], response.url)
        for (event, payload_type), source_id in zip(found, ids, strict=True):
            yield self.item(
                response,
                source_id=source_id,
                fields=event_fields(event),
                payload=event,
                payload_type=payload_type,
                changed=changed,
                url=_web(urljoin(response.url, words(event.get("url")) or "")),
            )


def whole(data: Any) -> Any:
    """The same without halves of surrogate pairs, which JSON can write and UTF-8 cannot: texts cut within an emoji."""
    try:
        orjson.dumps(data)
    except TypeError:
        text = json.dumps(data, ensure_ascii=False)
        return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return data


def events_in(data: Any, types: frozenset[str]) -> Iterator[Mapping[str, Any]]:
    """Every event of these types, at any depth that events are found at."""
    for thing in listed(data):
        if isinstance(thing, Mapping):
            if types_of(thing) & types:
                yield thing
            for part in PARTS:
                yield from events_in(thing.get(part), types)


def types_of(thing: Mapping[str, Any]) -> set[str]:
    """'http://schema.org/MusicEvent' and 'schema:MusicEvent' are MusicEvent."""
    return {kind.replace(":", "/").rpartition("/")[2] for kind in listed(thing.get("@type")) if isinstance(kind, str)}


def event_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event under the names of a listing row. `date` has the hour and the offset where the page tells them."""
    performers = list(listed(event.get("performer") or event.get("performers")))
    acts = list(dict.fromkeys(name for name in map(_name, performers) if name is not None))
    title = _name(event)
    place = next((place for place in listed(event.get("location")) if "VirtualLocation" not in _kinds(place)), None)
    return {
        "artist": acts[0] if acts else None,
        "support": acts[1:],
        "artist_mbid": _mbid(performers[0]) if acts else None,
        "title": title,
        "festival": title if "Festival" in types_of(event) else None,
        "date": start(event),
        "doors_time": words(event.get("doorTime")),
        "status": STATUSES.get((words(event.get("eventStatus")) or "").rpartition("/")[2]),
        **place_fields(place),
    }


def start(event: Mapping[str, Any]) -> str | None:
    """startDate as written; midnight by the venue's clock is how calendars write a day without an hour."""
    written = words(event.get("startDate"))
    day = _MIDNIGHT.fullmatch(written or "")
    return day[1] if day else written


def place_fields(place: Any) -> dict[str, Any]:
    """Venue, city, region, country and coordinates of a location, whichever way it is written."""
    address = dig(place, "address")
    address = next(listed(address), None)
    country = dig(address, "addressCountry")
    geo = next(listed(dig(place, "geo")), None)
    return {
        "venue": _name(place),
        "city": _plain(dig(address, "addressLocality")),
        "region": _plain(dig(address, "addressRegion")),
        "country": _name(country),
        "lat": number(dig(geo, "latitude")),
        "lon": number(dig(geo, "longitude")),
    }


def distinct_ids(events: list[Mapping[str, Any]], page: str) -> list[str]:
    """An id for each event of a page. Nights that share one id or address have the date behind it."""
    ids = [event_id(event, page) for event in events]
    nights: dict[str, set[str]] = {}
    for source_id, event in zip(ids, events, strict=True):
        nights.setdefault(source_id, set()).add(str(event.get("startDate")))
    return [
        f"{source_id}@{event.get('startDate')}" if len(nights[source_id]) > 1 else source_id
        for source_id, event in zip(ids, events, strict=True)
    ]


def event_id(event: Mapping[str, Any], page: str) -> str:
    """The event's identifier, @id or address; else one derived from what, when and where.

    An address on the page's own host is kept without scheme and host: sites move to https and to www.
    """
    for value in listed(event.get("identifier")):
        identifier = words(dig(value, "value") if isinstance(value, Mapping) else value)
        if identifier is not None:
            return identifier
    for name in ("@id", "url"):
        written = words(event.get(name))
        if written is not None:
            address = urlsplit(urljoin(page, written))
            if address.netloc != urlsplit(page).netloc:
                return address.geturl()
            return address._replace(scheme="", netloc="").geturl() or "/"
    fields = event_fields(event)
    return "derived-" + content_hash([fields[name] for name in ("title", "date", "venue", "city")])[:24]


def _name(thing: Any) -> str | None:
    return _plain(dig(thing, "name") if isinstance(thing, Mapping) else thing)


def _plain(text: Any) -> str | None:
    # Many sites escape twice.
    return words(html.unescape(text)) if isinstance(text, str) else None


def _kinds(place: Any) -> set[str]:
    return types_of(place) if isinstance(place, Mapping) else set()


def _mbid(performer: Any) -> str | None:
    for link in listed(dig(performer, "sameAs")):
        _, found, mbid = str(link).partition("musicbrainz.org/artist/")
        if found:
            return mbid[:36]
    return None


def _web(url: str) -> str | None:
    return url if url.startswith(("http://", "https://")) else None
