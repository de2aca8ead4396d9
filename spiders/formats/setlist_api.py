"""The setlist API: setlist.fm's REST API 1.0, artist and user pages alike.

    {"type": "setlists", "itemsPerPage": 20, "page": 1, "total": 2038, "setlist": [
      {"id", "eventDate": "31-12-2018", "lastUpdated", "artist": {"mbid", "name"}, "tour": {"name"}, "url",
       "venue": {"name", "city": {"name", "state", "stateCode", "coords": {"lat", "long"}, "country": {"code"}}},
       "sets": {"set": [{"name", "encore", "song": [{"name", "tape", "cover": {...}}]}]}}]}

Coordinates are the city's. Songs with `tape` came from a tape and were not played.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

import orjson
from scrapy import Request
from scrapy.http import Response
from w3lib.url import add_or_replace_parameter

from schemas.raw import RawMessage, RawSetlist
from schemas.rejection import Reason
from spiders.formats.base import Item, SourceSpider, dig, listed, number, words

_DAY = re.compile(r"(\d{2})-(\d{2})-(\d{4})")


class SetlistApiSpider(SourceSpider):
    """Page after page of setlists."""

    format = "setlist-api"
    message: ClassVar[type[RawMessage]] = RawSetlist

    def headers(self) -> dict[str, str]:
        """JSON, not XML."""
        return {"Accept": "application/json"}

    def read(self, response: Response) -> Iterable[Item | Request]:
        """One page: its setlists, then the next page while there is more."""
        try:
            page = orjson.loads(response.body)
        except orjson.JSONDecodeError as error:
            self.faults.append(f"{response.url} is not JSON")
            yield self.unreadable(response, Reason.NOT_JSON, str(error), response.body)
            return
        setlists = list(listed(dig(page, "setlist")))
        for setlist in setlists:
            yield self._setlist(response, setlist)
        number_, size, total = (dig(page, name) for name in ("page", "itemsPerPage", "total"))
        if not all(isinstance(value, int) for value in (number_, size, total)):
            self.faults.append(f"{response.url} has no page, itemsPerPage and total: is it a list of setlists?")
        elif setlists and number_ * size < total:
            yield self.ask(add_or_replace_parameter(response.url, "p", str(number_ + 1)))

    def _setlist(self, response: Response, setlist: Any) -> Item:
        source_id = words(dig(setlist, "id"))
        if source_id is None:
            return self.unreadable(response, Reason.MISSING_FIELD, "id: Field required", orjson.dumps(setlist))
        return self.item(
            response,
            source_id=source_id,
            fields=setlist_fields(setlist),
            payload=setlist,
            payload_type="application/json",
            changed=last_updated(setlist),
            url=words(setlist.get("url")),
        )


def setlist_fields(setlist: Mapping[str, Any]) -> dict[str, Any]:
    """A setlist under the names of a listing row."""
    city = dig(setlist, "venue", "city")
    songs = list(played(setlist))
    return {
        "artist": words(dig(setlist, "artist", "name")),
        "artist_mbid": words(dig(setlist, "artist", "mbid")),
        "date": iso_day(words(setlist.get("eventDate"))),
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
    for part in listed(dig(setlist, "sets", "set")):
        for song in listed(dig(part, "song")):
            title = words(dig(song, "name"))
            if title is not None and not dig(song, "tape"):
                yield title


def iso_day(written: str | None) -> str | None:
    """'31-12-2018' -> '2018-12-31'; anything else stays as it is."""
    found = _DAY.fullmatch(written or "")
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
