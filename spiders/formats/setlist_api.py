"""The setlist API: setlist.fm's REST API 1.0, the setlists of artists, venues, searches and of what people attended.

    {"type": "setlists", "itemsPerPage": 20, "page": 1, "total": 2038, "setlist": [
      {"id", "eventDate": "31-12-2018", "lastUpdated", "artist": {"mbid", "name"}, "tour": {"name"}, "url",
       "venue": {"name", "city": {"name", "state", "stateCode", "coords": {"lat", "long"}, "country": {"code"}}},
       "sets": {"set": [{"name", "encore", "song": [{"name", "tape", "cover": {...}}]}]}}]}

Coordinates are the city's. Songs with `tape` came from a tape and were not played. A search that finds nothing answers
404. Documented at https://api.setlist.fm/docs/1.0/ (as of 2024): `p` turns pages, a search takes artistName or
artistMbid, year, and lastUpdated (UTC, yyyyMMddHHmmss: changed on or after).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

from scrapy import Request
from scrapy.http import Response
from w3lib.url import add_or_replace_parameter

from schemas.raw import RawMessage, RawSetlist
from spiders.errand import Errand
from spiders.formats.base import CLOCK_SKEW, Item, Unreadable, dig, listed, number, words
from spiders.formats.json_api import JsonApiSpider, glanced, identifier, named, whole

_DAY = re.compile(r"(\d{2})-(\d{2})-(\d{4})")
_STAMP = "%Y%m%d%H%M%S"


class SetlistApiSpider(JsonApiSpider):
    """Page after page of setlists."""

    format = "setlist-api"
    message: ClassVar[type[RawMessage]] = RawSetlist
    answers = "setlists"
    absent_status = frozenset({404})
    page_parameter = "p"

    @classmethod
    def recognises(cls, response: Response) -> str:
        """A page of setlists."""
        page = glanced(response)
        if dig(page, "type") == "setlists" or (dig(page, "itemsPerPage") and isinstance(dig(page, "setlist"), list)):
            return "a page of setlists as setlist.fm's API 1.0 gives them"
        return ""

    def headers(self) -> dict[str, str]:
        """JSON, not XML."""
        return {"Accept": "application/json"}

    def searches(self, errand: Errand) -> Iterable[str]:
        """One search for each year that is asked for, the newest first; one for all years where none is.

        The MusicBrainz id alone where it is known: with a name beside it, both would have to agree.
        """
        if errand.mbid:
            errand = Errand(mbid=errand.mbid, since=errand.since, until=errand.until, watermark=errand.watermark)
        years = errand.since or errand.until
        for url in super().searches(errand):
            found = _told_only(url if years else add_or_replace_parameter(url, "year", ""))
            if errand.watermark and not errand.since and not errand.until:
                found = add_or_replace_parameter(found, "lastUpdated", errand.watermark)
            yield found
            if not years:
                return

    def refusal(self, page: Any) -> str | None:
        """`{"code": 403, "status": "Forbidden", "message": ...}`"""
        if dig(page, "setlist") is None and (dig(page, "code") is not None or dig(page, "message") is not None):
            return f"{dig(page, 'code')} {words(dig(page, 'message')) or words(dig(page, 'status'))}"
        return None

    def absent(self, wrong: str) -> bool:
        """The same 404, told within an answer that is fine."""
        return self.searching and wrong.startswith("404 ")

    def read_page(self, response: Response, page: Any) -> Iterable[Item | Request]:
        """One page: its setlists, then the next page while there is more."""
        if dig(page, "eventDate") is not None:  # /setlist/{id}
            yield from self._setlist(response, page)
            return
        setlists = list(listed(dig(page, "setlist")))
        for setlist in self.objects(response, setlists, "a setlist"):
            yield from [setlist] if isinstance(setlist, Unreadable) else self._setlist(response, setlist)
        told, size, total = (whole(dig(page, name)) for name in ("page", "itemsPerPage", "total"))
        if told is None or size is None or total is None or size < 1:
            self.fault(response, f"has no page, itemsPerPage and total: is it a list of {self.answers}?")
        elif setlists:
            yield from self.next_page(response, told, self.page_asked(response, told), -(-total // size))
        elif total > (self.page_asked(response, told) - 1) * size:
            self.cut = self.cut or self.public(f"{response.url} has no setlists, though there should be {total}")
        elif not total:
            self.found_nothing()

    def _setlist(self, response: Response, setlist: Mapping[str, Any]) -> Iterator[Item]:
        changed = last_updated(setlist)
        if changed is not None and self._follows_changes and changed <= self.clock() + CLOCK_SKEW:
            self.saw(changed.astimezone(UTC).strftime(_STAMP))
        yield from self.listing(
            response,
            setlist,
            source_id=identifier(setlist.get("id")),
            fields=setlist_fields(setlist),
            url=setlist.get("url"),
            changed=changed,
        )

    @property
    def _follows_changes(self) -> bool:
        """Only a search can ask for what changed, and only one for all years saw all that did."""
        return self.incremental and self.searching and not self.errand.since and not self.errand.until


def setlist_fields(setlist: Mapping[str, Any]) -> dict[str, Any]:
    """A setlist under the names of a listing row."""
    city = dig(setlist, "venue", "city")
    songs = list(played(setlist))
    return {
        "artist": named(dig(setlist, "artist", "name")),
        "artist_mbid": words(dig(setlist, "artist", "mbid")),
        "date": iso_day(named(setlist.get("eventDate"))),
        "venue": words(dig(setlist, "venue", "name")),
        "city": words(dig(city, "name")),
        "region": _region(city),
        "country": words(dig(city, "country", "code")) or words(dig(city, "country", "name")),
        "lat": number(dig(city, "coords", "lat")),
        "lon": number(dig(city, "coords", "long")),
        "tour": words(dig(setlist, "tour", "name")),
        "songs": songs,
        "status": "happened" if songs else None,
    }


def played(setlist: Mapping[str, Any]) -> Iterable[str]:
    """Titles in the order played, encores included, tapes not."""
    sets = dig(setlist, "sets", "set")
    for part in listed(setlist.get("set") if sets is None else sets):
        for song in listed(dig(part, "song")):
            title = identifier(dig(song, "name"))
            if title is not None and not dig(song, "tape"):
                yield title


def iso_day(written: Any) -> Any:
    """'31-12-2018' -> '2018-12-31'; anything else stays as it is."""
    found = _DAY.fullmatch(written) if isinstance(written, str) else None
    return "-".join(reversed(found.groups())) if found else written


def last_updated(setlist: Mapping[str, Any]) -> datetime | None:
    """'2019-01-28T03:52:45.000+0000' as a time."""
    try:
        return datetime.strptime(setlist.get("lastUpdated") or "", "%Y-%m-%dT%H:%M:%S.%f%z")
    except (TypeError, ValueError):
        return None


def _region(city: Any) -> str | None:
    code = words(dig(city, "stateCode"))
    # Outside of North America and Britain the code is GeoNames' number, which nobody writes.
    return code if code is not None and code.isalpha() else words(dig(city, "state"))


def _told_only(url: str) -> str:
    """The address without the parameters that say nothing."""
    parts = urlsplit(url)
    told = [pair for pair in parts.query.split("&") if not pair.endswith("=")]
    return urlunsplit(parts._replace(query="&".join(told)))
