"""Ticketmaster's Discovery API v2: events by country, keyword, attraction or venue.

    {"_embedded": {"events": [{"id", "name", "url", "test", "dates": {"start": {"localDate", "localTime", "dateTime",
       "dateTBD", "dateTBA", "timeTBA", "noSpecificTime"}, "end", "timezone", "status": {"code"}, "spanMultipleDays"},
       "classifications": [{"segment", "genre", "subGenre", "type", "subType"}],
       "_embedded": {"venues": [{"name", "city", "state", "country", "location", "timezone"}],
                     "attractions": [{"name", "externalLinks": {"musicbrainz": [{"id"}]}}]}}]},
     "page": {"size", "totalElements", "totalPages", "number": 0}}

It gives the first 1,000 of what it finds. A question with more answers is put again for shorter windows of time, until
each has fewer; what has no date yet is in no window. Attractions come in the order of the bill. Documented at
https://developer.ticketmaster.com/products-and-docs/apis/discovery-api/v2/ (as of 2024).
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar

import orjson
from scrapy import Request
from scrapy.http import Response
from w3lib.url import add_or_replace_parameters, url_query_parameter

from schemas.raw import RawEvent, RawMessage
from schemas.rejection import Reason
from spiders.errand import Errand
from spiders.formats.base import Item, Unreadable, dig, listed, number, words
from spiders.formats.json_api import (
    JsonApiSpider,
    day_in,
    flag,
    glanced,
    identifier,
    mbid_in,
    named,
    span,
    whole,
    without_repeats,
)

DEEPEST = 1_000
"""Events that can be had by turning pages."""
OPEN_STEP = timedelta(days=60)
"""How long the first window of a question without an end is."""
LAST_START = timedelta(days=5 * 366)
"""Nothing is on sale further ahead."""
SHORTEST = timedelta(hours=1)
DAY = timedelta(days=1)
STATUSES = {
    "onsale": "announced",
    "offsale": "announced",
    "rescheduled": "announced",  # its dates are the new ones
    "postponed": "postponed",
    "canceled": "cancelled",
    "cancelled": "cancelled",
}


class TicketmasterSpider(JsonApiSpider):
    """Page after page of events, window after window."""

    format = "ticketmaster"
    message: ClassVar[type[RawMessage]] = RawEvent
    answers = "events"
    first_page = 0

    @classmethod
    def recognises(cls, response: Response) -> str:
        """Events under _embedded, or one event with its local date."""
        page = glanced(response)
        events = list(listed(dig(page, "_embedded", "events"))) or [page]
        if dig(events[0], "dates", "start") is not None and dig(events[0], "name") is not None:
            return "events as Ticketmaster's Discovery API 2 gives them"
        return ""

    def searches(self, errand: Errand) -> Iterable[str]:
        """The search for an artist's name, from a day before to a day after the errand's: the API's days are UTC's."""
        for url in super().searches(errand):
            told = {}
            if errand.since is not None:
                told["startDateTime"] = _stamp(datetime.combine(errand.since, time(0), UTC) - DAY)
            if errand.until is not None:
                told["endDateTime"] = _stamp(datetime.combine(errand.until, time(0), UTC) + 2 * DAY)
            yield add_or_replace_parameters(url, told) if told else url

    def refusal(self, page: Any) -> str | None:
        """`{"fault": {"faultstring": ...}}` of its gateway, `{"errors": [{"code", "detail"}]}` of the API."""
        if dig(page, "fault") is not None:
            return words(dig(page, "fault", "faultstring")) or str(dig(page, "fault"))
        told = [words(dig(error, "detail")) or str(error) for error in listed(dig(page, "errors"))]
        return "; ".join(told) or None

    def read_page(self, response: Response, page: Any) -> Iterable[Item | Request]:
        """The events of a page, then the next page or shorter windows."""
        if dig(page, "dates") is not None:  # /events/{id}
            yield from self._event(response, page)
            return
        events = list(listed(dig(page, "_embedded", "events")))
        total, pages, size = (whole(dig(page, "page", name)) for name in ("totalElements", "totalPages", "size"))
        if total is None or pages is None:
            self.fault(response, f"has no page with totalElements and totalPages: is it a list of {self.answers}?")
        elif total and not events:
            self.fault(response, f"has no {self.answers}, though there should be {total}")
        elif not events:
            self.found_nothing()
        here = self.page_asked(response, dig(page, "page", "number"))
        if total is not None and total > DEEPEST and here == 0:
            windows = list(narrower(response.url, self.clock()))
            if windows:  # they give these events again
                yield from (self.ask(window) for window in windows)
                return
            self.cut = self.cut or self.public(f"{response.url} has {total} events, of which the API gives {DEEPEST}")
        for event in self.objects(response, events, "an event"):
            yield from [event] if isinstance(event, Unreadable) else self._event(response, event)
        if not events or total is None or pages is None:
            return
        reachable = DEEPEST // max(1, size or len(events))
        yield from self.next_page(response, dig(page, "page", "number"), here, min(pages, reachable) - 1)

    def _event(self, response: Response, event: Mapping[str, Any]) -> Iterator[Item]:
        source_id = identifier(event.get("id"))
        if flag(event.get("test")):
            told = f"test: {source_id} is no event, Ticketmaster tries things on it"
            yield self.unreadable(response, Reason.BAD_VALUE, told, orjson.dumps(event))
            return
        yield from self.listing(response, event, source_id=source_id, fields=event_fields(event), url=event.get("url"))


def event_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event under the names of a listing row."""
    title = named(event.get("name"))
    festival = is_festival(event)
    acts = [act for act in listed(dig(event, "_embedded", "attractions")) if isinstance(act, Mapping)]
    if festival:  # the festival itself heads its bill
        acts = [act for act in acts if not is_festival(act) and named(act.get("name")) != title]
    names = without_repeats(named(act.get("name")) for act in acts)
    start = dig(event, "dates", "start")
    timed = not flag(dig(start, "timeTBA")) and not flag(dig(start, "noSpecificTime"))
    status = words(dig(event, "dates", "status", "code"))
    return {
        "artist": names[0] if names else None,
        "support": names[1:],
        "artist_mbid": _mbid(acts[0]) if names else None,
        "title": title,
        "festival": title if festival else None,
        "date": night(event),
        "start_time": words(dig(start, "localTime")) if timed else None,
        "doors_time": words(dig(event, "doorsTimes", "localTime")),
        "status": STATUSES.get((status or "").lower(), status),
        **place_fields(event),
    }


def night(event: Mapping[str, Any]) -> Any:
    """The local date; none while it is to be announced; the moment where only that is told; a span of a festival."""
    start = dig(event, "dates", "start")
    if flag(dig(start, "dateTBA")) or flag(dig(start, "dateTBD")):
        return None
    first = named(dig(start, "localDate"))
    if first is None:
        return named(dig(start, "dateTime"))
    last = words(dig(event, "dates", "end", "localDate"))
    begins, ends = day_in(first), day_in(last)
    # An end on the morning after is the end of a night.
    several = begins is not None and ends is not None and ends - begins > (timedelta(0) if is_festival(event) else DAY)
    return span(first, last) if several and flag(dig(event, "dates", "spanMultipleDays")) else first


def place_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    """Venue, city, region, country, coordinates and zone; an event without a venue may have a place."""
    venue: Any = next(listed(dig(event, "_embedded", "venues")), None) or event.get("place")
    return {
        "venue": words(dig(venue, "name")),
        "city": words(dig(venue, "city", "name")),
        "region": words(dig(venue, "state", "stateCode")) or words(dig(venue, "state", "name")),
        "country": words(dig(venue, "country", "countryCode")) or words(dig(venue, "country", "name")),
        "lat": number(dig(venue, "location", "latitude")),
        "lon": number(dig(venue, "location", "longitude")),
        "tz": words(dig(event, "dates", "timezone")) or words(dig(venue, "timezone")),
    }


def is_festival(thing: Mapping[str, Any]) -> bool:
    """Whether a classification says so."""
    kinds = ("genre", "subGenre", "type", "subType")
    told = (dig(one, kind, "name") for one in listed(thing.get("classifications")) for kind in kinds)
    return any("festival" in name.lower() for name in told if isinstance(name, str))


def narrower(url: str, now: datetime) -> Iterator[str]:
    """The same question for two windows that together are as long as its own; none when that cannot be.

    A question without an end is cut off after some time, and its rest stays without one.
    """
    start = _moment(url_query_parameter(url, "startDateTime")) or now
    end = _moment(url_query_parameter(url, "endDateTime"))
    if start > now + LAST_START:
        return
    middle = start + (OPEN_STEP if end is None else (end - start) / 2)
    middle = middle.replace(microsecond=0)
    if end is not None and middle - start < SHORTEST:
        return
    first = {"startDateTime": _stamp(start), "endDateTime": _stamp(middle), "page": "0"}
    # Both ends count: without the second between them an event at the middle would come twice.
    rest = {"startDateTime": _stamp(middle + timedelta(seconds=1)), "page": "0"}
    yield add_or_replace_parameters(url, first)
    yield add_or_replace_parameters(url, rest)


def _mbid(attraction: Mapping[str, Any]) -> str | None:
    links = listed(dig(attraction, "externalLinks", "musicbrainz"))
    return next((mbid for link in links if (mbid := mbid_in(dig(link, "id") or dig(link, "url")))), None)


def _moment(written: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(written)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
