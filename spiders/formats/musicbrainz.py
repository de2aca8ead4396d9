"""MusicBrainz's web service: ws/2 with fmt=json; events, places and artists, as a browse, a search or a look-up.

    browse   {"event-count": 41, "event-offset": 0, "events": [...]}
    search   {"count": 41, "offset": 0, "events": [...]}
    look-up  {"id", "name", ...}

An event's acts, its place and its festival are relations (inc=artist-rels+place-rels+event-rels); its set list is a
text: a line `@ artist`, `* song` or `# remark`, where [mbid|text] is a link and &lsqb; &rsqb; &amp; are signs.

Source    https://musicbrainz.org/doc/MusicBrainz_API and https://musicbrainz.org/doc/Event/Setlist
Manners   one request a second, and a user agent that says who asks and where to complain:
          https://musicbrainz.org/doc/MusicBrainz_API/Rate_Limiting
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response
from w3lib.url import add_or_replace_parameter, url_query_parameter

from schemas.raw import RawArtist, RawEvent, RawMessage, RawVenue
from spiders.contact import check_contact
from spiders.errand import Errand
from spiders.formats.base import Item, Unreadable, dig, listed, number, words
from spiders.formats.json_api import JsonApiSpider, flag, glanced, span, whole

SERVICE = "https://musicbrainz.org/ws/2"
PER_PAGE = 100
"""The most that it gives at once."""
LEAST_SCORE = 90
"""Of an artist found by name: below it, the name is another one."""
NO_STAGE = frozenset({"Studio", "Pressing plant"})
"""Types of places where nobody plays to people."""
ACTS = ("main performer", "support act", "guest performer")
"""Relations of those who play, in the order of a bill."""
TOWNS = frozenset({"City", "Municipality", "District", "Town", "Village", "Island", ""})
"""Types of areas that are written where a town is; others are regions or countries."""
MBID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LINK = re.compile(rf"\[(?:{MBID.pattern})(?:\|([^\]]*))?\]", re.IGNORECASE)
_SIGNS = (
    (re.compile(r"&(?:#91|#x5b|lsqb|lbrack);", re.IGNORECASE), "["),
    (re.compile(r"&(?:#93|#x5d|rsqb|rbrack);", re.IGNORECASE), "]"),
    (re.compile(r"&(?:#38|#x26|amp);", re.IGNORECASE), "&"),
)


class Ws2Spider(JsonApiSpider):
    """Page after page of one kind of entity."""

    entity: ClassVar[str]
    """event, place or artist."""
    includes: ClassVar[str] = ""
    """What each comes with, beside itself."""
    tells: ClassVar[frozenset[str]] = frozenset()
    """Names that only this kind of entity has, in a look-up."""
    contact_hosts: ClassVar[frozenset[str]] = frozenset({"musicbrainz.org"})
    takes = frozenset({"area"})

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> "Ws2Spider":
        """The spider of a crawl. SettingsError when its user agent names nobody who could be asked to stop."""
        spider: Ws2Spider = super().from_crawler(crawler, *args, **kwargs)
        check_contact(spider.name, spider.addresses, cls.contact_hosts, crawler.settings["USER_AGENT"])
        return spider

    @classmethod
    def recognises(cls, response: Response) -> str:
        """By the list's name, or by names that only a look-up of this kind has."""
        page = glanced(response)
        if not isinstance(page, Mapping):
            return ""
        plural = f"{cls.entity}s"
        if isinstance(page.get(plural), list) and ({f"{cls.entity}-count", "created"} & page.keys()):
            return f"a page of {len(page[plural])} MusicBrainz {plural}"
        if "id" in page and "life-span" in page and cls.tells & page.keys():
            return f"one MusicBrainz {cls.entity}"
        return ""

    def address(self, **parameters: str) -> str:
        """Of a browse or a search."""
        told = {"fmt": "json", "limit": str(PER_PAGE)}
        if "query" not in parameters:  # a search takes no inc, and gives an event's relations unasked
            told["inc"] = self.includes
        return f"{SERVICE}/{self.entity}?{urlencode(told | parameters, safe='+')}"

    def within(self, errand: Errand) -> str:
        """Address of what stands in an area (`--arg area=`), a name or an id; empty when none is asked for."""
        area = errand.more.get("area", "")
        if not area:
            return ""
        if MBID.fullmatch(area):
            return self.address(area=area)
        return self.address(query=f"area:{quoted(area)}")

    def refusal(self, page: Any) -> str | None:
        """{"error": "...", "help": "..."}."""
        return words(dig(page, "error"))

    def read_page(self, response: Response, page: Any) -> Iterable[Item | Request]:
        """One page, then the next one while there is more."""
        entities = dig(page, f"{self.entity}s")
        if entities is None and words(dig(page, "id")) is not None:
            yield from self._entity(response, page)
            return
        count, offset = self._paging(page)
        if not isinstance(entities, list) or count is None or offset is None:
            self.fault(response, f"has no {self.entity}s with their count and offset: is it ws/2 with fmt=json?")
            return
        if not count:
            self.found_nothing()
        if offset != (whole(url_query_parameter(response.url, "offset")) or 0):
            self.fault(response, f"begins at {offset}, which was not asked for")
            return
        for entity in self.objects(response, entities, f"one of the {self.entity}s"):
            yield from [entity] if isinstance(entity, Unreadable) else self._entity(response, entity)
        reached = offset + len(entities)
        if not entities and reached < count:
            self.fault(response, f"has no {self.entity}s, though there should be {count}")
        elif reached < count and not self.enough(entities):
            yield self.ask(add_or_replace_parameter(response.url, "offset", str(reached)))

    def enough(self, entities: list[Any]) -> bool:
        """Whether no more pages are worth asking for."""
        return False

    def items(self, entity: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Ids and fields of the messages of one entity."""
        raise NotImplementedError

    def _paging(self, page: Any) -> tuple[int | None, int | None]:
        for prefix in (f"{self.entity}-", ""):
            count, offset = whole(dig(page, f"{prefix}count")), whole(dig(page, f"{prefix}offset"))
            if count is not None:
                return count, offset
        return None, None

    def _entity(self, response: Response, entity: Mapping[str, Any]) -> Iterator[Item]:
        mbid = words(entity.get("id"))
        if mbid is None:
            yield from self.listing(response, entity, source_id=None, fields={})
            return
        for source_id, fields in self.items(entity):
            url = f"https://musicbrainz.org/{self.entity}/{mbid}"
            yield from self.listing(response, entity, source_id=source_id, fields=fields, url=url)


class Ws2EventsSpider(Ws2Spider):
    """Concerts and festivals, with who played, where, and what."""

    format = "musicbrainz-events"
    message: ClassVar[type[RawMessage]] = RawEvent
    entity = "event"
    answers = "events"
    includes = "artist-rels+place-rels+event-rels+area-rels"
    tells = frozenset({"setlist", "cancelled"})

    def begins_at(self) -> list[str]:
        """What is asked for: an artist's events, an area's, or those of some days."""
        errand = self.errand
        if not errand.start_url and not errand.artist and not errand.mbid:
            if area := self.within(errand):
                return [area]
            if errand.since or errand.until:
                return [self.address(query=_days(errand))]
        return super().begins_at()

    def searches(self, errand: Errand) -> Iterable[str]:
        """By id all of the artist's events; by name those that a search finds."""
        if errand.mbid:
            return [self.address(artist=errand.mbid)]
        asked = [f"artist:{quoted(errand.artist)}", *([_days(errand)] if errand.since or errand.until else [])]
        return [self.address(query=" AND ".join(asked))]

    def items(self, entity: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """A message for each night whose acts are told."""
        for night in nights_of(entity):
            yield night.source_id, event_fields(entity, night)


class Ws2PlacesSpider(Ws2Spider):
    """Places with a stage, and what they were called when."""

    format = "musicbrainz-places"
    message: ClassVar[type[RawMessage]] = RawVenue
    entity = "place"
    answers = "places"
    includes = "aliases"
    tells = frozenset({"coordinates", "address"})

    def begins_at(self) -> list[str]:
        """The places of an area."""
        area = "" if self.errand.start_url else self.within(self.errand)
        return [area] if area else super().begins_at()

    def items(self, entity: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """One message, but of studios and factories none."""
        if entity.get("type") not in NO_STAGE:
            yield entity["id"], place_fields(entity)


class Ws2ArtistsSpider(Ws2Spider):
    """Artists under all their names."""

    format = "musicbrainz-artists"
    message: ClassVar[type[RawMessage]] = RawArtist
    entity = "artist"
    answers = "artists"
    includes = "aliases"
    tells = frozenset({"sort-name"})

    def begins_at(self) -> list[str]:
        """An artist by id, those of a name, or those of an area."""
        errand = self.errand
        if errand.start_url:
            return [errand.start_url]
        if errand.mbid:
            return [f"{SERVICE}/artist/{errand.mbid}?fmt=json&inc={self.includes}"]
        if errand.artist:
            name = quoted(errand.artist)
            return [self.address(query=f"artist:{name} OR alias:{name}")]
        area = self.within(errand)
        return [area] if area else super().begins_at()

    def enough(self, entities: list[Any]) -> bool:
        """A search by name goes on for hundreds of pages of other names."""
        return bool(self.errand.artist) and any(_score(entity) < LEAST_SCORE for entity in entities)

    def items(self, entity: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """One message; of a search by name only where the name is that one."""
        if not self.errand.artist or _score(entity) >= LEAST_SCORE:
            yield entity["id"], artist_fields(entity)


# -- events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Night:
    """One night of an event, and the relations of who played then."""

    source_id: str
    date: str | None
    acts: tuple[Mapping[str, Any], ...]


def nights_of(event: Mapping[str, Any]) -> list[Night]:
    """The nights that can be told apart.

    A festival of several days is taken apart by the days of its performers' relations. What is left without a day has
    the span as its date; a festival whose days are events of their own says nothing that those do not.
    """
    begin, end = words(dig(event, "life-span", "begin")), words(dig(event, "life-span", "end"))
    acts = performers(event)
    if end is None or begin is None or end == begin:
        return [Night(event["id"], begin or end, tuple(acts))]
    days: dict[str, list[Mapping[str, Any]]] = {}
    undated: list[Mapping[str, Any]] = []
    for act in acts:
        day = words(act.get("begin"))
        if day is not None and day == (words(act.get("end")) or day):
            days.setdefault(day, []).append(act)
        else:
            undated.append(act)
    nights = [Night(f"{event['id']}@{day}", day, tuple(played)) for day, played in sorted(days.items())]
    if undated or not (nights or _has_parts(event)):
        nights.append(Night(event["id"], span(begin, end), tuple(undated)))
    return nights


def performers(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Relations to artists who played, as a bill has them; those marked as cancelled did not."""
    related = [one for one in listed(event.get("relations")) if isinstance(dig(one, "artist"), Mapping)]
    playing = [one for one in related if "cancelled" not in listed(one.get("attributes"))]
    known = [one for one in playing if one.get("type") in ACTS]
    return sorted(known, key=lambda one: ACTS.index(one["type"])) or playing


def event_fields(event: Mapping[str, Any], night: Night) -> dict[str, Any]:
    """A night under the names of a listing row; songs are the headliner's."""
    names = [_credited(act) for act in night.acts]
    acts = list(dict.fromkeys(name for name in names if name is not None))
    mbid = words(dig(night.acts[0], "artist", "id")) if night.acts else None
    songs = songs_of(words(event.get("setlist")) or "", acts[0] if acts else "", mbid or "")
    title = words(event.get("name"))
    festival = title if event.get("type") == "Festival" else None
    return {
        "artist": acts[0] if acts else None,
        "support": acts[1:],
        "artist_mbid": mbid,
        "title": title,
        "festival": _festival_over(event) or festival,
        "date": night.date,
        "start_time": words(event.get("time")),
        "status": "cancelled" if flag(event.get("cancelled")) else "happened" if songs else None,
        "songs": songs,
        **_held(event),
    }


def songs_of(setlist: str, artist: str, mbid: str = "") -> list[str]:
    """What one artist played: the songs under their line, and those before any artist is named."""
    songs: list[str] = []
    theirs = True
    for line in setlist.splitlines():
        sign, text = line[:2], line[2:]
        if sign == "@ ":
            theirs = (bool(mbid) and mbid in text.lower()) or _plain(text).casefold() == artist.casefold()
        elif sign == "* " and theirs and (song := _plain(text)):
            songs.append(song)
    return songs


def _plain(text: str) -> str:
    """A line of a set list without links and escaped signs."""
    text = _LINK.sub(lambda link: link[1] or "", text)
    for sign, plain in _SIGNS:
        text = sign.sub(plain, text)
    return " ".join(text.split())


def _credited(act: Mapping[str, Any]) -> str | None:
    """The name on the bill, where it is another than the artist's."""
    return words(act.get("target-credit")) or words(dig(act, "artist", "name"))


def _held(event: Mapping[str, Any]) -> dict[str, Any]:
    related = [one for one in listed(event.get("relations")) if isinstance(one, Mapping)]
    place = next((one["place"] for one in related if isinstance(one.get("place"), Mapping)), None)
    area = dig(place, "area") or next((one["area"] for one in related if isinstance(one.get("area"), Mapping)), None)
    return {"venue": words(dig(place, "name")), **area_fields(area), **_point(place)}


def _festival_over(event: Mapping[str, Any]) -> str | None:
    """The festival that it is a day or a stage of."""
    above = [one for one in _parts(event) if one.get("direction") == "backward"]
    return words(dig(above[0], "event", "name")) if above else None


def _has_parts(event: Mapping[str, Any]) -> bool:
    return any(one.get("direction") == "forward" for one in _parts(event))


def _parts(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    related = (one for one in listed(event.get("relations")) if isinstance(dig(one, "event"), Mapping))
    return [one for one in related if one.get("type") == "parts"]


# -- places and artists -----------------------------------------------------------------------------------------------


def place_fields(place: Mapping[str, Any]) -> dict[str, Any]:
    """A place under the names of a venue row; an alias with dates is what it was called then."""
    name = words(place.get("name"))
    return {
        "name": name,
        "names": [alias for alias in dated_aliases(place) if alias["name"] != name or len(alias) > 1],
        **area_fields(place.get("area")),
        **_point(place),
    }


def dated_aliases(entity: Mapping[str, Any]) -> list[dict[str, str]]:
    """{name, since, until} of every alias, as far as they are told."""
    found: list[dict[str, str]] = []
    for alias in listed(entity.get("aliases")):
        told = {
            "name": words(dig(alias, "name")),
            "since": words(dig(alias, "begin")),
            "until": words(dig(alias, "end")),
        }
        row = {field: value for field, value in told.items() if value is not None}
        if "name" in row and row not in found:
            found.append(row)
    return found


def artist_fields(artist: Mapping[str, Any]) -> dict[str, Any]:
    """An artist under the names of an artist row: aliases, the primary ones first, each with how it is sorted."""
    aliases = [one for one in listed(artist.get("aliases")) if isinstance(one, Mapping)]
    aliases.sort(key=lambda alias: alias.get("primary") is not True)
    names = [words(artist.get("sort-name"))]
    for alias in aliases:
        names += [words(alias.get("name")), words(alias.get("sort-name"))]
    name = words(artist.get("name"))
    return {
        "name": name,
        "mbid": words(artist.get("id")),
        "aliases": list(dict.fromkeys(one for one in names if one is not None and one != name)),
        "country": words(artist.get("country")) or area_fields(artist.get("area"))["country"],
        "disambiguation": words(artist.get("disambiguation")),
    }


def area_fields(area: Any) -> dict[str, str | None]:
    """City, region and country of an area; what it lies in is not told but by its ISO codes."""
    name = words(dig(area, "name"))
    country = words(next(listed(dig(area, "iso-3166-1-codes")), None))
    within = words(next(listed(dig(area, "iso-3166-2-codes")), None)) or ""
    if country is not None:
        return {"city": None, "region": None, "country": country}
    code = within[3:]
    region = code if code.isalpha() else None  # numbers and mixtures are nobody's way to write a region
    if (words(dig(area, "type")) or "") in TOWNS:
        return {"city": name, "region": region, "country": within[:2] or None}
    return {"city": None, "region": name, "country": within[:2] or None}


def _point(place: Any) -> dict[str, Any]:
    return {
        "lat": number(dig(place, "coordinates", "latitude")),
        "lon": number(dig(place, "coordinates", "longitude")),
    }


# -- asking -----------------------------------------------------------------------------------------------------------


def quoted(text: str) -> str:
    """A phrase of the search's language, which is Lucene's."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _days(errand: Errand) -> str:
    return f"begin:[{errand.since or '*'} TO {errand.until or '*'}]"


def _score(entity: Any) -> float:
    """How well it fits the search, 0 to 100; what was not searched for fits."""
    score = number(dig(entity, "score"))
    return score if isinstance(score, int | float) else 100
