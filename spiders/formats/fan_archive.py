"""Archives of a band's shows that fans keep: phish.net's API v5, and Songfish, which kglw.net and others run.

    {"error": false, "error_message": "", "data": [
      {"showid", "showdate": "1997-11-22", "artist_name", "song", "set": "1", "position", "venue", "city", "state",
       "country", "tourname", "permalink"}]}

`setlists` has a row for each song, `shows` one for each show, also for those whose songs nobody knows. The columns are
called otherwise by each; a source declares them. Two shows of one night have an id each, and in Songfish a `showorder`.
Documented at https://docs.phish.net (v5) and https://kglw.net/api/docs (v2), as of 2024.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urljoin

import orjson
from scrapy import Request
from scrapy.http import Response

from deploy.settings import SettingsError
from schemas.raw import RawMessage, RawSetlist
from schemas.rejection import Reason
from spiders.errand import Errand
from spiders.formats.base import Item, Unreadable, called, dig, listed, words
from spiders.formats.json_api import JsonApiSpider, glanced, identifier, plain, whole

NOT_THE_SHOW = ("soundcheck", "sound check", "rehearsal", "tape")
PHISHNET = {"show": "showid", "date": "showdate", "artist": "artist_name", "region": "state", "tour": "tourname"}
SONGFISH = {
    "show": "show_id",
    "order": "showorder",
    "date": "showdate",
    "title": "showtitle",
    "support": "opener",
    "venue": "venuename",
    "region": "state",
    "tour": "tourname",
    "song": "songname",
    "set": "setnumber",
}
ORDERS = {1: "early show", 2: "late show"}
Row = Mapping[str, Any]


class FanArchiveSpider(JsonApiSpider):
    """Year after year, the newest first: which shows there were, then what was played at them."""

    format = "fan-archive"
    message: ClassVar[type[RawMessage]] = RawSetlist
    answers = "shows"
    artists: ClassVar[Mapping[str, str]] = {}
    """The bands that it has shows of, with their MusicBrainz ids where they are known."""
    first_year: ClassVar[int] = 1960
    site: ClassVar[str] = ""
    """What a permalink is relative to."""
    columns: ClassVar[Mapping[str, str]] = {}
    """Our name -> its column, where that is called otherwise: show, artist, venue, song, set, title, support..."""

    @classmethod
    def recognises(cls, response: Response) -> str:
        """Rows with a showdate under data."""
        page = glanced(response)
        first = next(listed(dig(page, "data")), None)
        if dig(page, "error_message") is not None and dig(first, "showdate") is not None:
            return "rows of shows as phish.net and Songfish archives give them"
        return ""

    def begins_at(self) -> list[str]:
        """Without a start URL the archive itself: it is searched by year, for an artist as for all."""
        errand = self.errand
        return super().begins_at() if errand.start_url or not self.search else list(self.searches(errand))

    def searches(self, errand: Errand) -> Iterable[str]:
        """The years that are asked for and that the archive has. SettingsError for an artist that it has not."""
        if (errand.artist or errand.mbid) and self._wanted() is None:
            raise SettingsError(
                f"{self.name} has shows of {', '.join(self.artists)} only, not of {errand.artist or errand.mbid}. "
                "Remedy: another spider, see `gigz spiders`."
            )
        last = self.clock().year + 1
        newest = min(last, errand.until.year if errand.until else last)
        oldest = max(self.first_year, errand.since.year if errand.since else self.first_year)
        if oldest > newest:
            raise SettingsError(f"{self.name} has shows from {self.first_year} on. Remedy: other --since and --until.")
        for year in range(newest, oldest - 1, -1):
            yield self.search.format(year=year)

    def refusal(self, page: Any) -> str | None:
        """`{"error": true or a number, "error_message": "..."}`"""
        wrong = dig(page, "error")
        if not wrong or wrong in ("0", "false"):
            return None
        return words(dig(page, "error_message")) or str(wrong)

    def read_page(self, response: Response, page: Any) -> Iterable[Item | Request]:
        """Songs grouped by show; of a year's shows, first what was played at them."""
        rows = dig(page, "data")
        if not isinstance(rows, list):
            self.fault(response, f"has no data: is it a list of {self.answers}?")
            return
        good: list[Row] = []
        for row in self.objects(response, rows, "a row"):
            if isinstance(row, Unreadable):
                yield row
            else:
                good.append(row)
        asked = "" if self.errand.start_url else response.url.replace("/shows/", "/setlists/", 1)
        if good and asked not in ("", response.url):
            yield self.ask(asked, meta={"shows": good})
            return
        yield from self._shows(response, [*response.meta.get("shows", []), *good] if response.request else good)

    def _shows(self, response: Response, rows: list[Row]) -> Iterator[Item]:
        shows: dict[str, list[Row]] = {}
        for row in rows:
            show = identifier(self._at(row, "show"))
            if not self._is_asked_for(row):
                continue
            if show is None:
                which = called({name: self._text(row, name) for name in ("artist", "date")})
                told = f"{self.columns.get('show', 'show')}: Field required" + (f" ({which})" if which else "")
                yield self.unreadable(response, Reason.MISSING_FIELD, told, orjson.dumps(row))
            else:
                shows.setdefault(show, []).append(row)
        groups = [(show, order, part) for show, whole_ in shows.items() for order, part in self._by_order(whole_)]
        nights = [self._night(part[0]) for _, _, part in groups]
        for show, order, part in groups:
            several = nights.count(self._night(part[0])) > 1 or (order or 0) > 1
            yield from self.listing(
                response,
                part,
                source_id=show if len(part) == len(shows[show]) else f"{show}-{order}",
                fields=self._fields(part, ORDERS.get(order or 0) if several else None),
                url=urljoin(self.site, words(part[0].get("permalink")) or "") or None,
            )

    def _by_order(self, rows: list[Row]) -> list[tuple[int | None, list[Row]]]:
        """The rows of one id, by which show of the night; those that do not tell belong to the first."""
        orders = sorted({order for row in rows if (order := whole(self._at(row, "order"))) is not None})
        if len(orders) < 2:
            return [(orders[0] if orders else None, rows)]
        parts: dict[int | None, list[Row]] = {order: [] for order in orders}
        for row in rows:
            order = whole(self._at(row, "order"))
            parts[orders[0] if order is None else order].append(row)
        return list(parts.items())

    def _night(self, row: Row) -> tuple[Any, Any]:
        return self._text(row, "artist"), self._text(row, "date")

    def _fields(self, rows: list[Row], which: str | None) -> dict[str, Any]:
        """A show under the names of a listing row. `which` of two on one night it was."""
        told: dict[str, Any] = {}
        for name in ("artist", "date", "title", "support", "venue", "city", "region", "country", "tour"):
            told[name] = next((value for row in rows if (value := self._text(row, name)) is not None), None)
        if which is not None and which not in str(told["title"] or "").lower():
            told["title"] = f"{told['title'] or told['artist']} ({which})"
        songs = [title for row in self._played(rows) if (title := identifier(self._text(row, "song")))]
        mbids = {_key(name): mbid for name, mbid in self.artists.items()}
        return told | {
            "artist_mbid": mbids.get(_key(str(told["artist"]))),
            "songs": songs,
            "status": "happened" if songs else None,
        }

    def _played(self, rows: list[Row]) -> list[Row]:
        """The rows of songs that the audience heard, by position where each has one: it counts through all sets."""
        played = [row for row in rows if not self._apart(row)]
        places = [whole(row.get("position")) for row in played if self._at(row, "song") is not None]
        if None in places or len(set(places)) < len(places):
            return played
        return sorted(played, key=lambda row: whole(row.get("position")) or 0)

    def _apart(self, row: Row) -> bool:
        sets = (self._text(row, "set"), words(row.get("settype")))
        told = [one.lower() for one in sets if isinstance(one, str)]
        return any(one in ("s", "sc") or one.startswith(NOT_THE_SHOW) for one in told)

    def _is_asked_for(self, row: Row) -> bool:
        wanted = None if self.errand.start_url else self._wanted()
        return wanted is None or _key(str(self._text(row, "artist"))) == wanted

    def _wanted(self) -> str | None:
        """The band that the errand names, by name or by id; None where it names none of the archive's."""
        errand = self.errand
        for name, mbid in self.artists.items():
            if (errand.mbid and errand.mbid == mbid) or _key(name) == _key(errand.artist):
                return _key(name)
        return None

    def _at(self, row: Row, name: str) -> Any:
        return row.get(self.columns.get(name, name))

    def _text(self, row: Row, name: str) -> Any:
        return plain(self._at(row, name))


def _key(name: str) -> str:
    """Also of a name that lost its case and signs: 'king gizzard the lizard wizard'."""
    return " ".join(word for word in re.findall(r"\w+", name.casefold()) if word not in ("and", "the"))
