"""Bandsintown's public API: the events of one artist, those to come, gone by or of a range of days.

    [{"id", "url", "datetime": "2018-02-13T19:30:00", "title", "description", "lineup": [...], "status",
      "venue": {"name", "city", "region", "country", "latitude": "27.97", "longitude": "-82.70", "location"},
      "artist": {"name", "mbid"}, "festival_start_date", "festival_end_date", "datetime_display_rule"}]

Coordinates are texts. Everything comes at once, there are no pages. Where an event has a title of its own, the venue's
name may be that title instead. An artist that it does not know is an error object, `{warn=Not found}` or a 404.
A venue may be its name alone, or a list of which the first is read.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import quote

from scrapy import Request
from scrapy.http import Response

from schemas.raw import RawEvent, RawMessage
from spiders.errand import Errand
from spiders.formats.base import Item, Unreadable, dig, listed, number, words
from spiders.formats.json_api import (
    JsonApiSpider,
    glanced,
    identifier,
    last_step,
    mbid_in,
    named,
    span,
    without_repeats,
)

_NOT_FOUND = re.compile(r"not ?found|unknown artist", re.IGNORECASE)
_WARNING = re.compile(rb"\s*\{\s*warn\s*=\s*[^}]*not found\s*\}\s*", re.IGNORECASE)
_ID_STEP = re.compile(r"(?:id|fbid|mbid)_")


class BandsintownSpider(JsonApiSpider):
    """One answer, one artist."""

    format = "bandsintown"
    message: ClassVar[type[RawMessage]] = RawEvent
    answers = "events"
    absent_status = frozenset({404})

    @classmethod
    def recognises(cls, response: Response) -> str:
        """A bare list of events with lineups."""
        page = glanced(response)
        first = page[0] if isinstance(page, list) and page else None
        if (
            isinstance(dig(first, "venue"), Mapping)
            and dig(first, "datetime")
            and isinstance(dig(first, "lineup"), list)
        ):
            return "an artist's events as Bandsintown's API gives them"
        return ""

    def searches(self, errand: Errand) -> Iterable[str]:
        """The artist's events; all of them where no days are asked for. What a path cannot hold is quoted twice."""
        address = re.sub(r"[/?*\"]", lambda found: quote(found[0], safe=""), errand.artist)
        for url in super().searches(replace(errand, artist=address)):
            yield url if errand.since or errand.until else re.sub(r"(?<=[?&])date=[^&]*", "date=all", url)

    def read(self, response: Response) -> Iterable[Item | Request]:
        """An artist that is not known may be no JSON at all."""
        if self.searching and _WARNING.fullmatch(response.body):
            self.found_nothing()
            return []
        return super().read(response)

    def refusal(self, page: Any) -> str | None:
        """Anything that is no list: `{"errorMessage": ...}`, `{"message": ...}`, `{"warn": ...}`, `{"errors": ...}`."""
        if isinstance(page, list) or dig(page, "datetime") is not None:
            return None
        told = (dig(page, name) for name in ("errorMessage", "message", "warn", "error", "errors"))
        return next((words(one) or str(one) for one in told if one), f"no list of {self.answers}")

    def absent(self, wrong: str) -> bool:
        """'[NotFound] The artist was not found', 'Unknown Artist'."""
        return self.searching and bool(_NOT_FOUND.search(wrong))

    def read_page(self, response: Response, page: Any) -> Iterable[Item | Request]:
        """The events."""
        step = last_step(response.url, "events")
        artist = "" if _ID_STEP.match(step) else step
        if page == []:
            self.found_nothing()
        for event in self.objects(response, listed(page), "an event"):
            if isinstance(event, Unreadable):
                yield event
                continue
            yield from self.listing(
                response,
                event,
                source_id=identifier(event.get("id")),
                fields=event_fields(event, artist),
                url=event.get("url"),
            )


def event_fields(event: Mapping[str, Any], asked: str = "") -> dict[str, Any]:
    """An event under the names of a listing row. `asked`: whose events they are, for one without a lineup."""
    artist = event.get("artist")
    told = [dig(act, "name") if isinstance(act, Mapping) else act for act in listed(event.get("lineup"))]
    names = without_repeats(named(name) for name in told)
    names = names or without_repeats([named(dig(artist, "name")) or words(asked)])
    title = named(event.get("title"))
    venue = _venue(event.get("venue"))
    first, last = words(event.get("festival_start_date")), words(event.get("festival_end_date"))
    moment = named(event.get("datetime")) or named(event.get("starts_at"))
    by_day = words(event.get("datetime_display_rule")) == "date" and isinstance(moment, str)
    name = named(dig(venue, "name"))
    return {
        "artist": names[0] if names else None,
        "support": names[1:],
        "artist_mbid": mbid_in(dig(artist, "mbid")) if names and named(dig(artist, "name")) == names[0] else None,
        "title": title,
        "festival": (title or name) if first else None,
        # The act's own day, where it is told, and not the festival's days.
        "date": span(first, last) if moment is None else (moment[:10] if by_day else moment),
        "status": words(event.get("status")),
        "venue": None if name == title else name,
        "city": words(dig(venue, "city")),
        "region": words(dig(venue, "region")),
        "country": words(dig(venue, "country")),
        "lat": number(dig(venue, "latitude")),
        "lon": number(dig(venue, "longitude")),
        "tz": words(dig(venue, "timezone")),
    }


def _venue(told: Any) -> Any:
    """The venue as an object, also where it is a list or only its name."""
    first = next((one for one in listed(told) if isinstance(one, Mapping | str)), None)
    return {"name": first} if isinstance(first, str) else first
