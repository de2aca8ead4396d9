"""Events that a page tells machines, after schema.org: JSON-LD, microdata or RDFa.

Types MusicEvent, Event, Festival and their kin (`types`), alone, in lists, under @graph, as list elements or as parts
of another event; what a page names by @id and describes elsewhere is put together. What the page shows to people,
offers and pictures are not read.

A part of a festival, and a part of its part, has its name as `festival`, and the festival's place where it tells none.
An event with several dates is a message for each. An event that was moved
keeps its id, so that its new night replaces the old one; `previousStartDate` itself stands in the payload only, for
normalising knows one night of a listing. Moved without a new date yet, it is postponed. A festival of several days, and
what tells days but no hour, has both ends as its date: normalising refuses it as a span (docs/decisions/0008), for it
says nothing of any one night.
"""

import html
import json
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeGuard

import extruct
import orjson
from scrapy import Request
from scrapy.http import HtmlResponse, JsonResponse, Response, TextResponse, XmlResponse
from scrapy.linkextractors import LinkExtractor

from schemas.rejection import Reason
from spiders.formats.base import Item, dig, http_date, listed, number, words
from spiders.formats.pages import (
    Found,
    PagesSpider,
    address_id,
    address_in,
    base_of,
    derived_id,
    joined,
    place_in,
    plain,
)

PARTS = ("@graph", "itemListElement", "item", "mainEntity", "mainEntityOfPage", "about", "event", "events")
"""Where events stand within other things."""
SUB_EVENTS = ("subEvent", "subEvents")
STATUSES = {
    "eventscheduled": "announced",
    "eventrescheduled": "announced",  # startDate is the new night
    "eventmovedonline": "moved",
    "eventpostponed": "postponed",
    "eventcancelled": "cancelled",
    "eventcanceled": "cancelled",
}
_GRAVER = ("announced", "moved", "postponed", "cancelled")
"""An event can have several; the last of these counts."""
BANDS = frozenset({"MusicGroup", "PerformingGroup", "Person"})
TOWNS, REGIONS = frozenset({"City"}), frozenset({"State", "AdministrativeArea"})
DEEPEST = 30
"""Things within things; a page that goes further is no page of events."""
MOST_NESTED = 20_000
"""Things of an RDFa graph that are put into others: in a graph with circles there is no end of them."""
MOST_BLOCKS = 5_000
"""JSON-LD blocks of a page that are read, about a second; pages with a block for each event have some hundred."""
MOST_MARKED_UP = 5_000
"""Things in a page's microdata or RDFa, whose readers take all of it or nothing: some seconds."""
LARGEST_REPAIR = 2_000_000
"""Characters of a broken block that are worth repairing: what does it reads them one by one."""

# Not in UTC: there it is an evening in America.
_MIDNIGHT = re.compile(r"(\d{4}-\d\d-\d\d)T00:00(?::00(?:\.0+)?)?(?![+-]00)(?:[+-]\d\d:?\d\d)?")
_MICRODATA = re.compile(r"itemtype\s*=\s*[\"']?[^\"'>]{0,500}(?:Event|Festival)")
_RDFA = re.compile(r"typeof\s*=\s*[\"']?[^\"'>]{0,500}(?:Event|Festival)")
_MBID = re.compile(r"musicbrainz\.org/artist/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)


class JsonLdSpider(PagesSpider):
    """Pages with events, and the links that lead to more of them."""

    format = "json-ld"
    types: ClassVar[frozenset[str]] = frozenset(
        {"Event", "MusicEvent", "Festival", "MusicFestival", "PerformingArtsEvent"}
    )
    """What counts as a concert. ComedyEvent, DanceEvent, TheaterEvent and schema.org's other kinds of event do not: a
    house that uses one of them for its concerts adds it, `types = JsonLdSpider.types | {"DanceEvent"}`."""
    links: ClassVar[LinkExtractor | None] = None
    """Which links are followed; None: the start page is all there is."""

    def read(self, response: Response) -> Iterable[Item | Request]:
        """The events of a page, then its links."""
        if not is_page(response):
            return
        told: list[Told] = []
        for voice in voices(response):
            if isinstance(voice, LeftOut):
                self.too_many(response, voice.text)
            elif isinstance(voice, Broken):
                yield self.unreadable(response, Reason.BAD_DOCUMENT, voice.text, voice.original)
            else:
                told.append(voice)
        changed = http_date(response)
        found = (replace(one, changed=changed) for one in events_of(told, self.types, base_of(response)))
        yield from self.give(response, found)
        if self.links is not None:
            for link in self.links.extract_links(response):
                yield self.ask(link.url, needed=False)

    @classmethod
    def recognises(cls, response: Response) -> str:
        """How many events the page tells machines."""
        if not is_page(response):
            return ""
        told = [voice for voice in voices(response) if isinstance(voice, Told)]
        found = [one.told_by for one in events_of(told, cls.types, base_of(response))]
        by = ", ".join(f"{found.count(voice)} as {voice}" for voice in dict.fromkeys(found))
        return f"events for machines: {by}" if found else ""


# -- what a page tells ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A page's things in one of its voices."""

    voice: str
    payload_type: str
    things: Any


@dataclass(frozen=True)
class Broken:
    """A block that no reader would read."""

    text: str
    original: bytes


@dataclass(frozen=True)
class LeftOut:
    """That there is more than is read."""

    text: str


def is_page(response: Response) -> TypeGuard[TextResponse]:
    """Whether it is HTML, or plain text to a server that does not know better."""
    if isinstance(response, HtmlResponse):
        return True
    plain_text = isinstance(response, TextResponse) and not isinstance(response, XmlResponse | JsonResponse)
    return plain_text and response.body.lstrip()[:1] == b"<"


def voices(response: TextResponse) -> Iterator[Told | Broken | LeftOut]:
    """The page's JSON-LD, block by block, its microdata and its RDFa."""
    blocks = response.xpath(f"({_BLOCKS})[position() <= {MOST_BLOCKS + 1}]").getall()
    if len(blocks) > MOST_BLOCKS:
        yield LeftOut(f"{MOST_BLOCKS:,} blocks of JSON-LD")
    for text in blocks[:MOST_BLOCKS]:
        if not text.strip():
            continue
        try:
            yield Told("JSON-LD", "application/ld+json", whole(read_block(text)))
        except ValueError as error:
            yield Broken(f"a JSON-LD block is not JSON: {error}", text.encode(errors="replace"))
    if _MICRODATA.search(response.text):
        yield from _marked_up(response, "microdata")
    if _RDFA.search(response.text):
        yield from _marked_up(response, "rdfa")


def _marked_up(response: TextResponse, syntax: str) -> Iterator[Told | Broken | LeftOut]:
    if response.text.count("itemtype" if syntax == "microdata" else "typeof") > MOST_MARKED_UP:
        yield LeftOut(f"{MOST_MARKED_UP:,} things in its {syntax}, of which none is read")
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rdflib's, about a page's own dates
            text = _CONTROL.sub(" ", response.text)
            data = extruct.extract(
                text if syntax != "rdfa" else _TIME.sub(r"<time\1datetime=\2 content=\2", text),
                base_url=response.url,
                syntaxes=[syntax],
                uniform=syntax != "rdfa",
            )[syntax]
        things = whole(data if syntax == "microdata" else rdfa_things(data, response.text))
    except Exception as error:  # of the reader: rdflib and lxml have many
        yield Broken(f"the page's {syntax} cannot be read: {type(error).__name__}: {error}", response.body)
        return
    yield Told("microdata" if syntax == "microdata" else "RDFa", "application/json", things)


_BLOCKS = '//script[contains(translate(@type, "LDJSON", "ldjson"), "ld+json")]/text()'
_TIME = re.compile(
    r"<time\b(?![^>]{0,500}\bcontent\s*=)([^>]{0,500}?)\bdatetime\s*=\s*(\"[^\">]*\"|'[^'>]*')", re.IGNORECASE
)
"""RDFa in HTML reads the time of a <time> element; the reader knows XHTML only, where it has none."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ESCAPE = re.compile(r'\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})')
_WRAPPING = re.compile(r"^(?://\s*|/\*\s*)?<!\[CDATA\[\s*(?:\*/)?|(?://\s*|/\*\s*)?\]\]>\s*(?:\*/)?$")


def read_block(text: str) -> Any:
    """What a block says, with the slips that readers forgive. ValueError for what is no JSON even then.

    Comments, commas too many, entities, control characters, backslashes before anything, CDATA, several objects.
    """
    text = _WRAPPING.sub("", _CONTROL.sub(" ", text).lstrip("\ufeff").strip()).strip().removesuffix(";")
    if len(text) > LARGEST_REPAIR:
        return list(_flat(json.loads(text, strict=False)))
    first: ValueError | None = None
    for mended in (text, _ESCAPE.sub(r"\\\\", text), html.unescape(text), _in_one_list(text)):
        if mended is None or (first is not None and mended == text):
            continue
        script = mended.replace("</", "<\\/")  # the same to JSON, and no end of the script
        try:
            return extruct.extract(f'<script type="application/ld+json">{script}</script>', syntaxes=["json-ld"])[
                "json-ld"
            ]
        except ValueError as error:
            first = first or error
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
    assert first is not None
    raise first


def _in_one_list(text: str) -> str | None:
    """Objects one after the other, with or without a comma between them, as one list."""
    decoder, found, at = json.JSONDecoder(strict=False), [], 0
    while at < len(text):
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        found.append(text[at:end])
        while end < len(text) and text[end] in " \t\r\n,;":
            end += 1
        at = end
    return f"[{','.join(found)}]" if len(found) > 1 else None


def whole(data: Any) -> Any:
    """The same without what JSON can write and messages cannot hold. ValueError when it cannot be had.

    Halves of surrogate pairs, from texts cut within an emoji; whole numbers of more than 64 bits.
    """
    try:
        orjson.dumps(data)
    except TypeError:
        try:
            text = json.dumps(data, ensure_ascii=False)
            data = json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), parse_int=_int)
            orjson.dumps(data)
        except (TypeError, RecursionError) as error:
            raise ValueError(str(error)) from None
    return data


def _int(digits: str) -> int | float:
    return int(digits) if len(digits) < 19 else float(digits)


def rdfa_things(nodes: Iterable[Mapping[str, Any]], page: str) -> list[Any]:
    """RDFa as extruct gives it, as nested things with schema.org's bare names. What stands in a list keeps its order
    on the page, which the graph has lost."""
    by_id = {node["@id"]: node for node in nodes}
    budget = [MOST_NESTED]

    def value(one: Any, depth: int) -> Any:
        if not isinstance(one, Mapping):
            return one
        if "@value" in one:
            return one["@value"]
        node = by_id.get(one.get("@id"))
        budget[0] -= 1
        return dict(one) if node is None or depth > DEEPEST or budget[0] < 0 else thing(node, depth + 1)

    def thing(node: Mapping[str, Any], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {"@type": sorted(types_of(node))}
        if not node["@id"].startswith("_:"):
            found["@id"] = node["@id"]
        for name in sorted(node):
            if "schema.org/" in name:
                values = [value(one, depth) for one in listed(node[name])]
                values.sort(key=lambda one: (_position(one, page), str(one)))
                found[term(name)] = values if len(values) > 1 else values[0]
        return found

    return [thing(node, 0) for node in by_id.values() if types_of(node)]


def _position(value: Any, page: str) -> int:
    at = page.find(str(dig(value, "name") if isinstance(value, Mapping) else value))
    return at if at >= 0 else len(page)


# -- events -----------------------------------------------------------------------------------------------------------


def events_of(told: list[Told], types: frozenset[str], page: str) -> Iterator[Found]:
    """The events of a page in all its voices; one that two voices tell is told once."""
    named: dict[str, Mapping[str, Any]] = {}
    for voice in told:
        _name_things(voice.things, named, 0)
    whole_of: dict[int, Mapping[str, Any]] = {}
    for voice in told:
        _name_wholes(voice.things, named, whole_of, 0)
    heard: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for voice in told:
        seen: set[int] = set()
        for event, around in events_in(voice.things, types, named, whole_of):
            if id(event) in seen:
                continue
            seen.add(id(event))
            for night in nights_of(event):
                one = replace(_found(night, around, named, voice, page), payload=event)
                key = (one.title, str(one.fields.get("date"))[:16])
                others = heard.setdefault(key, [])
                place = str(one.fields.get("venue") or "").casefold()
                if one.title and any(by != voice.voice and (not place or not at or place == at) for by, at in others):
                    continue
                others.append((voice.voice, place))
                yield one


def nights_of(event: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """An event with several dates as one event for each; what else is told by night goes along with it.

    A day beside the same day with its hour is told twice, and so is a date beside how people write it.
    """
    told = list(dict.fromkeys(text for one in _flat(event.get("startDate")) if (text := _text(one))))
    if len(told) < 2:
        return [event]
    dated = [one for one in told if _WITH_DAY.match(one)] or told
    with_hour = {one[:10] for one in dated if len(_day(one) or "") > 10}
    starts: dict[str, str] = {}
    for one in dated:
        if len(_day(one) or "") > 10 or one[:10] not in with_hour:
            starts.setdefault(one[:16] if _WITH_DAY.match(one) else one, one)
    if len(starts) == 1:
        return [dict(event, startDate=one) for one in starts.values()]
    found: list[Mapping[str, Any]] = []
    for place, written in enumerate(starts.values()):
        night = {**event, "startDate": written}
        for name in ("endDate", "previousStartDate", "doorTime"):
            each = list(_flat(event.get(name)))
            if len(each) == len(starts):
                night[name] = each[place]
            elif name != "doorTime":  # the end of them all, or the night before of one of them
                night.pop(name, None)
        found.append(night)
    return found


def _found(
    event: Mapping[str, Any],
    around: Sequence[Mapping[str, Any]],
    named: Mapping[str, Mapping[str, Any]],
    voice: Told,
    page: str,
) -> Found:
    fields = event_fields(event, around, named)
    moved = _previous(event)[:1]  # an id that is derived must outlast a move, too
    return Found(
        fields=fields,
        payload=event,
        payload_type=voice.payload_type,
        own_id=event_id(event, page) or (derived_id({**fields, "date": moved[0]}) if moved else ""),
        night=_first_told(event) or str(fields["date"]),
        url=joined(page, _text(event.get("url")) or "") or page,
        told_by=voice.voice,
    )


def _name_things(data: Any, named: dict[str, Mapping[str, Any]], depth: int) -> None:
    """Every thing that a page describes under an @id, the fullest description of each."""
    if depth > DEEPEST:
        return
    if isinstance(data, list):
        for one in data:
            _name_things(one, named, depth + 1)
    elif isinstance(data, Mapping):
        name = data.get("@id")
        if isinstance(name, str) and len(data) > max(1, len(named.get(name, ()))):
            named[name] = data
        for one in data.values():
            if isinstance(one, dict | list):
                _name_things(one, named, depth + 1)


def _told_of(thing: Any, named: Mapping[str, Mapping[str, Any]]) -> Any:
    """A thing that is only named here, as the page describes it elsewhere."""
    if isinstance(thing, Mapping) and isinstance(thing.get("@id"), str) and set(thing) <= {"@id", "@type"}:
        return named.get(thing["@id"], thing)
    return thing


def events_in(
    data: Any,
    types: frozenset[str],
    named: Mapping[str, Mapping[str, Any]],
    whole_of: Mapping[int, Mapping[str, Any]],
    around: Sequence[Mapping[str, Any]] = (),
    depth: int = 0,
) -> Iterator[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]:
    """Every event of these types, at any depth that events are found at, and what it is a part of, the nearest first.

    Those are larger events, and the house or band whose events are listed. `named`: what has an @id; `whole_of`: by a
    part's id(), the event that names it as its part.
    """
    if depth > DEEPEST:
        return
    for thing in _flat(data):
        if not isinstance(thing, Mapping):
            continue
        if types_of(thing) & types and set(thing) - {"@id", "@type"}:
            yield thing, _wholes_around(thing, around, named, whole_of)
        for part in PARTS:
            host = (thing, *around) if part in ("event", "events") else around
            yield from events_in(thing.get(part), types, named, whole_of, host, depth + 1)
        for part in SUB_EVENTS:
            yield from events_in(thing.get(part), types, named, whole_of, (thing, *around), depth + 1)


def _wholes_around(
    event: Mapping[str, Any],
    around: Sequence[Mapping[str, Any]],
    named: Mapping[str, Mapping[str, Any]],
    whole_of: Mapping[int, Mapping[str, Any]],
) -> list[Mapping[str, Any]]:
    """All that an event is a part of: what it stands in, then what it and those name as their whole."""
    found = list(around)
    known = {id(one) for one in (event, *around)}
    parts = [event, *around]
    for one in parts:  # which grows by what is found
        for whole_one in (*_flat(one.get("superEvent")), whole_of.get(id(one))):
            told = _told_of(whole_one, named)
            if isinstance(told, Mapping) and id(told) not in known and len(parts) < DEEPEST:
                known.add(id(told))
                parts.append(told)
                found.append(told)
    return found


def _name_wholes(
    data: Any, named: Mapping[str, Mapping[str, Any]], whole_of: dict[int, Mapping[str, Any]], depth: int
) -> None:
    """Of every part that an event only names by @id: that event."""
    if depth > DEEPEST:
        return
    if isinstance(data, list):
        for one in data:
            _name_wholes(one, named, whole_of, depth + 1)
    elif isinstance(data, Mapping):
        for part in SUB_EVENTS:
            for one in _flat(data.get(part)):
                told = _told_of(one, named)
                if told is not one and isinstance(told, Mapping):
                    whole_of[id(told)] = data
        for one in data.values():
            if isinstance(one, dict | list):
                _name_wholes(one, named, whole_of, depth + 1)


def types_of(thing: Mapping[str, Any]) -> set[str]:
    """'http://schema.org/MusicEvent' and 'schema:MusicEvent' are MusicEvent."""
    return {term(kind) for kind in _flat(thing.get("@type")) if isinstance(kind, str)}


def term(name: str) -> str:
    """The last word of a name: of an address, of one with a prefix, of a bare one."""
    return re.split(r"[/:#]", name.strip().rstrip("/"))[-1]


def event_fields(
    event: Mapping[str, Any],
    above: Sequence[Mapping[str, Any]] = (),
    named: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """An event under the names of a listing row. `date` has the hour and the offset where the page tells them.

    `above`: the events that it is a part of, the house or the band that lists it, the nearest first. `named`: what the
    page describes under an @id.
    """
    named = named or {}
    performers = [_told_of(one, named) for one in _flat(event.get("performer") or event.get("performers"))]
    if not performers and above and types_of(above[0]) & BANDS:
        performers = [above[0]]
    acts: dict[str, Any] = {}
    for performer in performers:
        name = _name(performer)
        if name is not None:
            acts.setdefault(name, performer)
    title = _name(event)
    festival = next((_name(one) for one in (event, *above) if _is_festival(one)), None)
    headliner, support = next(iter(acts), None), list(acts)[1:]
    date = start(event)
    status = _status(event)
    if date is None and (before := _previous(event)):
        date, status = before[-1], "postponed" if status == "announced" else status
    return {
        "artist": headliner,
        "support": support,
        "artist_mbid": _mbid(acts[headliner]) if headliner is not None else None,
        "title": title,
        "festival": festival,
        "date": date,
        "doors_time": _text(event.get("doorTime")),
        "status": status,
        **_where(event, above, named),
    }


def start(event: Mapping[str, Any]) -> str | None:
    """startDate as written; midnight by the venue's clock is how calendars write a day without an hour.

    Of a festival of several days, and of days without an hour, both ends.
    """
    written = _text(event.get("startDate"))
    day = _day(written)
    end = _day(_text(event.get("endDate")))
    if written is None or not _WITH_DAY.match(day or "") or not _WITH_DAY.match(end or ""):
        return day
    assert day is not None and end is not None
    if (len(day) == 10 or _is_festival(event)) and _last_night(end) > day[:10]:
        return f"{day[:10]}/{_last_night(end)}"
    return day


_WITH_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def _day(written: str | None) -> str | None:
    found = _MIDNIGHT.fullmatch(written or "")
    return found[1] if found else written


def _last_night(end: str) -> str:
    """The night on which it ends: what ends before noon began the evening before."""
    hour = end[11:13]
    try:
        day = datetime.fromisoformat(end[:10])
    except ValueError:
        return ""
    return f"{day - timedelta(days=1) if hour.isdigit() and int(hour) < 12 else day:%Y-%m-%d}"


def _previous(event: Mapping[str, Any]) -> list[str]:
    """The dates that it had before, first to last."""
    return sorted(date for one in _flat(event.get("previousStartDate")) if (date := _day(_text(one))))


def _first_told(event: Mapping[str, Any]) -> str | None:
    """The date as first announced: what tells nights that share an id apart must outlast a move."""
    before = _previous(event)
    return before[0] if before else _text(event.get("startDate"))


def _status(event: Mapping[str, Any]) -> str | None:
    told = {STATUSES.get(term(_text(one) or "").casefold()) for one in _flat(event.get("eventStatus"))}
    return max((one for one in told if one), key=_GRAVER.index, default=None)


def _is_festival(event: Any) -> bool:
    return isinstance(event, Mapping) and any("Festival" in kind for kind in types_of(event))


# -- where ------------------------------------------------------------------------------------------------------------


def _where(
    event: Mapping[str, Any], above: Sequence[Mapping[str, Any]], named: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The place of an event, completed from those of the events it is a part of. A stream has none."""
    if any(term(_text(one) or "") == "OnlineEventAttendanceMode" for one in _flat(event.get("eventAttendanceMode"))):
        return place_fields(None)
    own = place_fields(_place(event, named), named)
    for one in above:
        if types_of(one) & BANDS:
            continue
        of_one = place_fields(one if _is_place(one) else _place(one, named), named)
        if not any(own.values()):
            own = of_one
        elif own["city"] is None and own["lat"] is None:
            own |= {name: of_one.get(name) for name in ("city", "region", "country", "lat", "lon") if not own[name]}
    return own


def _place(event: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]]) -> Any:
    """The first location where people can go."""
    places = (_told_of(place, named) for place in _flat(event.get("location")))
    return next((place for place in places if not _is_virtual(place)), None)


def _is_place(thing: Mapping[str, Any]) -> bool:
    return ("address" in thing or "geo" in thing) and "startDate" not in thing and "location" not in thing


def _is_virtual(place: Any) -> bool:
    return isinstance(place, Mapping) and "VirtualLocation" in types_of(place)


def place_fields(place: Any, named: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Venue, hall, city, region, country and coordinates of a location, whichever way it is written."""
    named = named or {}
    found: dict[str, Any] = dict.fromkeys(("venue", "room", "city", "region", "country", "lat", "lon"))
    if isinstance(place, str):
        return found | place_in(plain(place))
    depth = 0
    while isinstance(place, Mapping) and depth < 5:
        kinds, name = types_of(place), _name(place)
        if kinds & TOWNS:
            found["city"] = found["city"] or name
        elif kinds & {"Country"}:
            found["country"] = found["country"] or name
        elif kinds & REGIONS:
            found["region"] = found["region"] or name
        elif depth and name and found["venue"] and found["room"] is None and name != found["venue"]:
            found["room"], found["venue"] = found["venue"], name
        else:
            found["venue"] = found["venue"] or name
        told = _address(place, named) if not kinds & (TOWNS | REGIONS | {"Country"}) else {}
        found |= {name: value for name, value in told.items() if found[name] is None}
        around = place.get("containedInPlace") or place.get("containedIn")
        place = next((_told_of(one, named) for one in _flat(around)), None)
        depth += 1
    return found


def _address(place: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """City, region, country and coordinates as this place tells them."""
    address = next((_told_of(one, named) for one in _flat(place.get("address"))), None)
    geo = next((_told_of(one, named) for one in _flat(place.get("geo"))), None)
    if isinstance(address, Mapping):
        told: dict[str, Any] = {
            "city": _name(_first(address.get("addressLocality"))),
            "region": _name(_first(address.get("addressRegion"))),
            "country": _name(_told_of(_first(address.get("addressCountry")), named)),
        }
    else:
        told = dict(address_in(plain(address)))
    if isinstance(geo, str) and len(pair := re.split(r"\s*[,; ]\s*", geo.strip())) == 2:
        geo = {"latitude": pair[0], "longitude": pair[1]}
    geo = geo if isinstance(geo, Mapping) else place
    return told | {"lat": _degrees(geo.get("latitude")), "lon": _degrees(geo.get("longitude"))}


def _degrees(value: Any) -> Any:
    value = _first(value)
    value = dig(value, "@value") if isinstance(value, Mapping) else value
    found = number(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    return None if isinstance(found, float) and not math.isfinite(found) else found


# -- ids and texts ----------------------------------------------------------------------------------------------------


def event_id(event: Mapping[str, Any], page: str) -> str:
    """The event's identifier, @id or address; empty when it tells none that lasts."""
    for value in _flat(event.get("identifier")):
        identifier = _text(dig(value, "value") if isinstance(value, Mapping) else value)
        if identifier is not None:
            return identifier
    for name in ("@id", "url"):
        written = _text(event.get(name))
        if written is not None and not written.startswith("_:") and (found := address_id(page, written)):
            return found
    return ""


def _flat(value: Any, depth: int = 0) -> Iterator[Any]:
    """One after the other, through lists in lists."""
    for one in listed(value):
        if isinstance(one, list) and depth < DEEPEST:
            yield from _flat(one, depth + 1)
        elif isinstance(one, Mapping) and isinstance(one.get("@list") or one.get("@set"), list) and depth < DEEPEST:
            yield from _flat(one.get("@list") or one.get("@set"), depth + 1)
        else:
            yield one


def _first(value: Any) -> Any:
    return next(_flat(value), None)


def _text(value: Any) -> str | None:
    """A text, whether it is written as one, as a number, with its language or type, or as an address of its own."""
    value = _first(value)
    if isinstance(value, Mapping):
        value = value.get("@value") or value.get("@id")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return words(value)


def _name(thing: Any) -> str | None:
    if isinstance(thing, Mapping) and "@value" not in thing:
        thing = thing.get("name")
    thing = _first(thing)
    return plain(thing.get("@value") if isinstance(thing, Mapping) else thing)


def _mbid(performer: Any) -> str | None:
    if not isinstance(performer, Mapping):
        return None
    for link in (*_flat(performer.get("sameAs")), performer.get("@id"), *_flat(performer.get("identifier"))):
        if isinstance(link, Mapping):
            link = link.get("@id") or link.get("url") or link.get("value")
        if isinstance(link, str) and (found := _MBID.search(link)):
            return found[1].lower()
    return None
