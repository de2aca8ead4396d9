"""SeatGeek's platform API 2: events by performer, place or day.

    {"events": [{"id", "title", "url", "type", "status", "datetime_local": "2017-08-13T19:00:00", "datetime_utc",
       "datetime_tbd", "date_tbd", "time_tbd",
       "enddatetime_utc",
       "performers": [{"name", "primary", "type", "links": [{"provider": "musicbrainz", "id"}]}],
       "venue": {"name", "city", "state", "country", "timezone", "location": {"lat", "lon"}}}],
     "meta": {"total", "page", "per_page"}}

Where only `datetime_utc` is told, it is read by the clock of the venue's zone. While a time is to be determined,
`datetime_local` has an hour that stands for none (03:30); while a date is, a day.
A festival of several days has both ends as its date: normalising refuses it as a span (docs/decisions/0008).
Documented at https://platform.seatgeek.com (as of 2024).
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from scrapy import Request
from scrapy.http import Response
from w3lib.url import add_or_replace_parameters

from schemas.raw import RawEvent, RawMessage
from spiders.errand import Errand
from spiders.formats.base import Item, Unreadable, dig, listed, number, words
from spiders.formats.json_api import (
    JsonApiSpider,
    flag,
    glanced,
    identifier,
    mbid_in,
    named,
    whole,
    without_repeats,
)

STATUSES = {
    "normal": "announced",
    "contingent": "announced",
    "rescheduled": "announced",  # its date is the new one
    "postponed": "postponed",
    "canceled": "cancelled",
    "cancelled": "cancelled",
}
MOMENTS = ("datetime_local", "datetime_utc")
"""Where an event tells when it is."""


class SeatGeekSpider(JsonApiSpider):
    """Page after page of events."""

    format = "seatgeek"
    message: ClassVar[type[RawMessage]] = RawEvent
    answers = "events"

    @classmethod
    def recognises(cls, response: Response) -> str:
        """Events with datetime_local and performers."""
        page = glanced(response)
        first = next(listed(dig(page, "events")), page)
        if any(dig(first, name) for name in MOMENTS) and isinstance(dig(first, "performers"), list):
            return "events as SeatGeek's platform API gives them"
        return ""

    def searches(self, errand: Errand) -> Iterable[str]:
        """The search for an artist's name, within the errand's days."""
        for url in super().searches(errand):
            told = {}
            if errand.since is not None:
                told["datetime_local.gte"] = errand.since.isoformat()
            if errand.until is not None:
                told["datetime_local.lte"] = f"{errand.until.isoformat()}T23:59:59"
            yield add_or_replace_parameters(url, told) if told else url

    def refusal(self, page: Any) -> str | None:
        """`{"status": "error", "message": ...}`"""
        if dig(page, "events") is None and all(dig(page, name) is None for name in MOMENTS):
            told = words(dig(page, "message")) or words(dig(page, "error"))
            return told or (words(dig(page, "status")) if dig(page, "code") or dig(page, "status") else None)
        return None

    def read_page(self, response: Response, page: Any) -> Iterable[Item | Request]:
        """The events of a page, then the next page."""
        if any(dig(page, name) is not None for name in (*MOMENTS, "performers")):  # /events/{id}
            yield from self._event(response, page)
            return
        events = list(listed(dig(page, "events")))
        for event in self.objects(response, events, "an event"):
            yield from [event] if isinstance(event, Unreadable) else self._event(response, event)
        told, total, size = (whole(dig(page, "meta", name)) for name in ("page", "total", "per_page"))
        here = self.page_asked(response, told)
        if total is None or size is None or size < 1:
            self.fault(response, f"has no meta with total and per_page: is it a list of {self.answers}?")
        elif events:
            yield from self.next_page(response, told, here, -(-total // size))
        elif total > (here - 1) * size:
            self.fault(response, f"has no {self.answers}, though there should be {total}")
        elif not total:
            self.found_nothing()

    def _event(self, response: Response, event: Mapping[str, Any]) -> Iterator[Item]:
        source_id = identifier(event.get("id"))
        yield from self.listing(response, event, source_id=source_id, fields=event_fields(event), url=event.get("url"))


def event_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event under the names of a listing row."""
    title = named(event.get("title"))
    performers = [one for one in listed(event.get("performers")) if isinstance(one, Mapping)]
    festivals = [one for one in performers if _festival(one.get("type"))]
    festival = bool(festivals) or _festival(event.get("type"))
    acts = sorted((one for one in performers if one not in festivals), key=lambda one: not flag(one.get("primary")))
    names = without_repeats(named(one.get("name")) for one in acts)
    venue = event.get("venue")
    status = words(event.get("status"))
    return {
        "artist": names[0] if names else None,
        "support": names[1:],
        "artist_mbid": _mbid(acts[0]) if names else None,
        "title": title,
        "festival": title if festival else None,
        "date": when(event, festival=festival),
        "status": STATUSES.get((status or "").lower(), status),
        "venue": words(dig(venue, "name_v2")) or words(dig(venue, "name")),
        "city": words(dig(venue, "city")),
        "region": words(dig(venue, "state")),
        "country": words(dig(venue, "country")),
        "lat": number(dig(venue, "location", "lat")),
        "lon": number(dig(venue, "location", "lon")),
        "tz": words(dig(venue, "timezone")),
    }


NOON = 12
"""What ends before this hour began the evening before."""


def when(event: Mapping[str, Any], *, festival: bool = False) -> Any:
    """The local date and hour, as far as they are determined; of a festival of several days its first and its last."""
    if flag(event.get("date_tbd")):
        return None
    told = named(event.get("datetime_local")) or _by_the_venues_clock(event)
    last = _last_day(event) if festival else ""
    if isinstance(told, str) and last > told[:10]:
        return f"{told[:10]}/{last}"
    hourless = flag(event.get("time_tbd")) or flag(event.get("datetime_tbd"))
    return told[:10] if hourless and isinstance(told, str) else told


def _by_the_venues_clock(event: Mapping[str, Any]) -> str | None:
    """`datetime_utc` as the local hour; None where there is no such moment or no zone."""
    written, zone = words(event.get("datetime_utc")), words(dig(event, "venue", "timezone"))
    try:
        moment = datetime.fromisoformat(written or "")
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(ZoneInfo(zone or "")).replace(tzinfo=None).isoformat()
    except (ValueError, OverflowError, OSError, KeyError):  # no moment, or no zone
        return None


def _last_day(event: Mapping[str, Any]) -> str:
    """The day on whose evening it ends, by the venue's clock; empty where it does not say."""
    local = words(event.get("enddatetime_local"))
    written = local or words(event.get("enddatetime_utc"))
    try:
        end = datetime.fromisoformat(written or "")
        if not local:
            end = (end if end.tzinfo else end.replace(tzinfo=UTC)).astimezone(
                ZoneInfo(words(dig(event, "venue", "timezone")) or "UTC")
            )
        return f"{end - timedelta(days=end.hour < NOON):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError, KeyError):  # no moment, or no zone
        return ""


def _festival(kind: Any) -> bool:
    return isinstance(kind, str) and "festival" in kind


def _mbid(performer: Mapping[str, Any]) -> str | None:
    links = (link for link in listed(performer.get("links")) if dig(link, "provider") == "musicbrainz")
    return next((mbid for link in links if (mbid := mbid_in(dig(link, "id") or dig(link, "url")))), None)
