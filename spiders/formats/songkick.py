"""Songkick's API 3.0: events, and the venues, artists and setlists that it has besides.

    {"resultsPage": {"status": "ok", "page": 1, "perPage": 50, "totalEntries": 992, "results": {"event": [
      {"id", "type": "Concert" or "Festival", "status", "displayName", "uri", "start": {"date", "time", "datetime"},
       "end": {"date"}, "series": {"displayName"}, "location": {"city": "Austin, TX, US", "lat", "lng"},
       "performance": [{"displayName", "billing", "billingIndex", "artist": {"displayName", "identifier": [{"mbid"}]}}],
       "venue": {"displayName", "lat", "lng", "metroArea": {"displayName", "state", "country"}}}]}}}

What a user is going to has the events under `calendarEntry` with a reason beside each, which is not kept. An error is
`{"resultsPage": {"status": "error", "error": {"message"}}}`, with any HTTP status. The offset in `datetime` is not
the venue's, so date and time are taken. An artist with several MusicBrainz ids is one where Songkick does not know
which. A metro area is not the city that a venue is in: of it only the country is believed. `popularity` says nothing of
an event. Documented at https://www.songkick.com/developer (as of 2014).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, ClassVar
from urllib.parse import quote

from scrapy import Request
from scrapy.http import Response
from w3lib.url import add_or_replace_parameters

from schemas.raw import RawArtist, RawEvent, RawMessage, RawSetlist, RawVenue
from spiders.errand import Errand
from spiders.formats.base import Item, Unreadable, dig, listed, number, words
from spiders.formats.json_api import (
    JsonApiSpider,
    glanced,
    identifier,
    mbid_in,
    named,
    span,
    whole,
    without_repeats,
)

API = "https://api.songkick.com/api/3.0"
CALENDARS = [
    f"{API}/metro_areas/{{metro_area}}/calendar.json",
    f"{API}/venues/{{venue}}/calendar.json",
    f"{API}/artists/{{artist_id}}/gigography.json",
    f"{API}/artists/{{artist_id}}/calendar.json",
    f"{API}/users/{{user}}/gigography.json",
    f"{API}/users/{{user}}/calendar.json?reason=attendance",
]
"""Whose events there are."""
STATUSES = {"ok": "announced", "cancelled": "cancelled", "canceled": "cancelled", "postponed": "postponed"}
BY_MBID = "/artists/mbid:"
NO_VENUE = "unknown venue"
_AT_THE_END = re.compile(r"\s*\(([^()]*\d[^()]*)\)(?:\s*\([A-Z ]+\))?\s*$")
_SHORT_YEAR = re.compile(r"(\d{1,2} [A-Za-z]{3}) (\d\d)")


class SongkickPages(JsonApiSpider):
    """Page after page of what stands under `results`."""

    results: ClassVar[tuple[str, ...]]
    """Names of the list, or of the one thing, that is read."""

    @classmethod
    def recognises(cls, response: Response) -> str:
        """A resultsPage with this format's things."""
        found = dig(glanced(response), "resultsPage", "results")
        name = next((name for name in cls.results if dig(found, name)), None)
        return f"a page of {name} as Songkick's API 3.0 gives it" if name else ""

    def refusal(self, page: Any) -> str | None:
        """What stands under `error`."""
        told = dig(page, "resultsPage", "error")
        if told is None and words(dig(page, "resultsPage", "status")) not in (None, "ok"):
            told = dig(page, "resultsPage", "status")
        return None if told is None else words(dig(told, "message")) or str(told)

    def absent(self, wrong: str) -> bool:
        """A search by a MusicBrainz id that Songkick has not."""
        return self.searching and wrong == "Resource not found"

    def read_page(self, response: Response, page: Any) -> Iterable[Item | Request]:
        """The things of a page, then the next page."""
        found = page if isinstance(page, list) else dig(page, "resultsPage", "results")
        others = [name for name in found if name not in self.results] if isinstance(found, Mapping) else []
        total, size = (whole(dig(page, "resultsPage", name)) for name in ("totalEntries", "perPage"))
        things: list[Any] = []
        for name in self.results:
            things += listed(dig(found, name))
        if isinstance(page, list):  # an answer that someone took the pages off
            things = page
        elif not isinstance(found, Mapping) and (found or total != 0):
            self.fault(response, f"has no resultsPage with results: is it a list of {self.answers}?")
        elif others and not things:
            told = ", ".join(map(str, others))[:200]
            self.fault(response, f"has no {self.answers} but {told}. Remedy: see `gigz spiders`.")
        for thing in self.objects(response, things, f"one of the {self.answers}"):
            yield from [thing] if isinstance(thing, Unreadable) else self.read_thing(response, thing)
        if total == 0 and not things:
            self.found_nothing()
        if total is None or size is None or size < 1:
            return  # one thing has no pages
        told = dig(page, "resultsPage", "page")
        here = self.page_asked(response, told)
        if things:
            yield from self.next_page(response, told, here, -(-total // size))
        elif total > (here - 1) * size and not others:
            self.fault(response, f"has no {self.answers}, though there should be {total}")

    def read_thing(self, response: Response, thing: Mapping[str, Any]) -> Iterator[Item | Request]:
        """Its message."""
        raise NotImplementedError


class SongkickSpider(SongkickPages):
    """Calendars and gigographies of artists, venues, metro areas and users, and the search for events."""

    format = "songkick"
    message: ClassVar[type[RawMessage]] = RawEvent
    answers = "events"
    absent_status = frozenset({404})
    results = ("event", "calendarEntry")

    def searches(self, errand: Errand) -> Iterable[str]:
        """By MusicBrainz id what was and what will be; by name what will be, and whose gigography to ask for."""
        base = self.search.partition("/events.json")[0]
        if errand.mbid:
            for kind in ("gigography", "calendar"):
                yield self._within_days(f"{base}{BY_MBID}{quote(errand.mbid)}/{kind}.json")
            return
        yield from map(self._within_days, super().searches(errand))
        yield add_or_replace_parameters(f"{base}/search/artists.json", {"query": errand.artist})

    def read(self, response: Response) -> Iterable[Item | Request]:
        """An artist whose MusicBrainz id Songkick has not is looked for by name."""
        errand = self.errand
        if response.status == 404 and self.searching and errand.artist and BY_MBID in response.url:
            return [self.ask(url) for url in self.searches(replace(errand, mbid=""))]
        return super().read(response)

    def _within_days(self, url: str) -> str:
        """With both ends, which the API wants together."""
        errand = self.errand
        if errand.since is None and errand.until is None:
            return url
        first, last = errand.since or date(1950, 1, 1), errand.until or date(self.clock().year + 2, 12, 31)
        return add_or_replace_parameters(url, {"min_date": first.isoformat(), "max_date": last.isoformat()})

    def read_page(self, response: Response, page: Any) -> Iterable[Item | Request]:
        """Events; where a search found artists, the gigography of each with the very name."""
        found = dig(page, "resultsPage", "results", "artist")
        if not self.searching or found is None:
            yield from super().read_page(response, page)
            return
        base, _, _ = response.url.partition("/search/artists.json")
        known = False
        for artist in self.objects(response, listed(found), "an artist"):
            if isinstance(artist, Unreadable):
                yield artist
                continue
            name, artist_id = words(artist.get("displayName")) or "", identifier(artist.get("id"))
            if artist_id is not None and name.casefold() == self.errand.artist.strip().casefold():
                known = True
                yield self.ask(self._within_days(f"{base}/artists/{artist_id}/gigography.json"))
        if not known:
            self.found_nothing()

    def read_thing(self, response: Response, thing: Mapping[str, Any]) -> Iterator[Item | Request]:
        """An event, or what a user's calendar says of one: without the user's reason."""
        event = thing.get("event") if "event" in thing else thing
        for one in self.objects(response, [event], "an event"):
            if isinstance(one, Unreadable):
                yield one
                continue
            source_id = identifier(one.get("id"))
            yield from self.listing(response, one, source_id=source_id, fields=event_fields(one), url=one.get("uri"))


class SongkickVenuesSpider(SongkickPages):
    """Venues by id or by search."""

    format = "songkick-venues"
    message: ClassVar[type[RawMessage]] = RawVenue
    answers = "venues"
    results = ("venue",)

    def read_thing(self, response: Response, thing: Mapping[str, Any]) -> Iterator[Item | Request]:
        """Where it is and how many it holds."""
        city, metro = thing.get("city"), thing.get("metroArea")
        fields = {
            "name": named(thing.get("displayName")),
            "city": words(dig(city, "displayName")),
            "region": words(dig(city, "state", "displayName")),
            "country": words(dig(city, "country", "displayName")) or words(dig(metro, "country", "displayName")),
            "lat": number(thing.get("lat")),
            "lon": number(thing.get("lng")),
            "capacity": number(thing.get("capacity")),
        }
        source_id = identifier(thing.get("id"))
        yield from self.listing(response, thing, source_id=source_id, fields=fields, url=thing.get("uri"))


class SongkickArtistsSpider(SongkickPages):
    """Artists by id, by search, and in lists of artists."""

    format = "songkick-artists"
    message: ClassVar[type[RawMessage]] = RawArtist
    answers = "artists"
    results = ("artist",)

    def read_thing(self, response: Response, thing: Mapping[str, Any]) -> Iterator[Item | Request]:
        """A name, and the MusicBrainz id where there is one and no doubt."""
        fields = {"name": named(thing.get("displayName")), "mbid": mbid_of(thing)}
        source_id = identifier(thing.get("id"))
        yield from self.listing(response, thing, source_id=source_id, fields=fields, url=thing.get("uri"))


class SongkickSetlistsSpider(SongkickPages):
    """What was played at an event: `/events/{id}/setlists.json`."""

    format = "songkick-setlists"
    message: ClassVar[type[RawMessage]] = RawSetlist
    answers = "setlists"
    results = ("setlist",)

    def read_thing(self, response: Response, thing: Mapping[str, Any]) -> Iterator[Item | Request]:
        """Songs; when and where stands in the title only: 'Wilco at Troxy (25 Aug 09)'."""
        artist = named(dig(thing, "artist", "displayName"))
        title, day = dated(thing.get("displayName"))
        songs = [song for item in listed(thing.get("setlistItem")) if (song := identifier(dig(item, "name")))]
        before, at, venue = (title or "").partition(f"{artist} at ")
        fields = {
            "artist": artist,
            "artist_mbid": mbid_of(thing.get("artist")),
            "date": day,
            "venue": _venue(venue) if at and not before else None,
            "songs": songs,
            "status": "happened" if songs else None,
        }
        number_ = identifier(thing.get("id"))
        # An event of the same number is something else.
        yield from self.listing(response, thing, source_id=number_ and f"setlist-{number_}", fields=fields)


def event_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event under the names of a listing row."""
    acts = [act for act in listed(event.get("performance")) if isinstance(act, Mapping)]
    acts.sort(key=lambda act: (act.get("billing") == "support", whole(act.get("billingIndex")) or 0))
    names = without_repeats(_act(act) for act in acts)
    venue, start = event.get("venue"), event.get("start")
    name = _venue(dig(venue, "displayName"))
    written = named(event.get("displayName"))
    title, day = dated(written)
    festival = words(event.get("type")) == "Festival"
    first = named(dig(start, "date")) or day
    status = words(event.get("status"))
    at = f" at {words(dig(venue, 'displayName'))}"
    return {
        "artist": names[0] if names else None,
        "support": names[1:],
        "artist_mbid": mbid_of(acts[0].get("artist")) if names else None,
        # A concert's says nothing that the bill, the venue and the date do not.
        "title": written if festival else (None if names else (title or "").removesuffix(at) or None),
        "festival": written if festival else None,
        "date": span(first, words(dig(event, "end", "date"))) if festival and isinstance(first, str) else first,
        "start_time": words(dig(start, "time")),
        "status": STATUSES.get((status or "").lower(), status),
        "venue": name,
        **_place(event),
    }


def mbid_of(artist: Any) -> str | None:
    """The MusicBrainz id, where there is just one."""
    found = {mbid for one in listed(dig(artist, "identifier")) if (mbid := mbid_in(dig(one, "mbid")))}
    return found.pop() if len(found) == 1 else None


def dated(written: Any) -> tuple[str | None, str | None]:
    """'Wilco at Troxy (25 Aug 09)' -> the text before the day, and the day with its century."""
    text = words(written) or ""
    found = _AT_THE_END.search(text)
    if found is None:
        return text or None, None
    return text[: found.start()] or None, _SHORT_YEAR.sub(_with_century, found[1])


def _with_century(found: re.Match[str]) -> str:
    year = int(found[2])
    return f"{found[1]} {1900 + year if year > 50 else 2000 + year}"


def _act(act: Mapping[str, Any]) -> Any:
    return named(dig(act, "artist", "displayName")) or named(act.get("displayName"))


def _venue(name: Any) -> str | None:
    written = words(name)
    return None if written is None or written.casefold() == NO_VENUE else written


def _place(event: Mapping[str, Any]) -> dict[str, Any]:
    """The city as 'Austin, TX, US' tells it, and the venue's coordinates, or the city's where it has none."""
    venue = event.get("venue")
    location = event.get("location")
    parts = [part.strip() or None for part in (words(dig(location, "city")) or "").split(",")]
    country = parts[-1] if len(parts) > 1 else words(dig(venue, "metroArea", "country", "displayName"))
    point: Any = venue if dig(venue, "lat") is not None and dig(venue, "lng") is not None else location
    return {
        "city": parts[0],
        "region": parts[-2] if len(parts) > 2 else None,
        "country": country,
        "lat": number(dig(point, "lat")),
        "lon": number(dig(point, "lng")),
    }
