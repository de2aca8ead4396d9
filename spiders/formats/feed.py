"""Feeds: RSS, Atom and any other XML with a declared row and declared fields.

Fields are named by elements: `title`, `ev:startdate` (with the prefix that the feed or this page uses), `venue/name`
for an element within another, `link@href` for an attribute. Without a prefix the local name counts, whatever its
namespace. The first name that is filled counts.

An event's date comes from the elements that feeds have for it; when an item was published is no date of an event, and
is taken for one only where a source declares `pubDate` or `published` as its `date`.

No entity that a feed defines is expanded, and nothing that it points to is fetched.
"""

import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, TypeAlias

from parsel import Selector
from scrapy import Request
from scrapy.http import Response, TextResponse

from schemas.rejection import Reason
from schemas.rows import FIELDS
from spiders.formats.base import Item, http_date, number
from spiders.formats.pages import Found, PagesSpider, address_id, joined, place_in, plain

Names: TypeAlias = str | tuple[str, ...]
PREFIXES = {
    "ev": "http://purl.org/rss/1.0/modules/event/",
    "xcal": "urn:ietf:params:xml:ns:xcal",
    "geo": "http://www.w3.org/2003/01/geo/wgs84_pos#",
    "georss": "http://www.georss.org/georss",
    "dc": "http://purl.org/dc/elements/1.1/",
    "content": "http://purl.org/rss/1.0/modules/content/",
    "atom": "http://www.w3.org/2005/Atom",
    "gd": "http://schemas.google.com/g/2005",
}
"""What a prefix means where the feed itself does not say."""
ROOTS = frozenset({"rss", "feed", "RDF"})
LISTS = frozenset({"support", "songs"})
NUMBERS = frozenset({"lat", "lon"})
CALENDAR = b"urn:ietf:params:xml:ns:icalendar-2.0"

_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_XML_OWN = frozenset({"amp", "lt", "gt", "quot", "apos"})
LOOKED_AT = 20
"""Rows that are looked through for a date."""
LONGEST_DATE = 60
"""Characters; what is longer is a text with a date in it."""
_DATED = re.compile(
    r"\b\d{4}-?\d\d-?\d\d|\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b|\b\d{1,2}\.?\s+[^\W\d_]{3,9}\.?,?\s+20\d\d\b"
    r"|\b[^\W\d_]{3,9}\.?\s+\d{1,2},?\s+20\d\d\b"
)
_PUBLISHED = re.compile(r"pubdate|publish|updat|modif|created|issued|builddate|\bdc:date\b", re.IGNORECASE)
_STEP = re.compile(r"(?:([\w.-]+):)?([\w.-]+|\*)")


class FeedSpider(PagesSpider):
    """Declares what a row is and which elements its fields are."""

    format = "feed"
    row: ClassVar[Names] = ("item", "entry")
    """The element of one event."""
    fields: ClassVar[Mapping[str, Names]] = {
        "title": ("title", "summary"),
        "date": (
            "ev:startdate",
            "xcal:dtstart",
            "gd:when@startTime",
            "startdate",
            "start_date",
            "startDate",
            "dtstart",
        ),
        "venue": ("ev:location", "xcal:location", "gd:where@valueString", "location", "venue"),
        "status": ("xcal:status", "eventStatus"),
        "lat": ("geo:lat", "lat", "latitude"),
        "lon": ("geo:long", "geo:lon", "long", "lon", "longitude"),
    }
    """A listing row's name -> the elements it is taken from, the first that is filled."""
    required: ClassVar[tuple[str, ...]] = ("artist", "title", "date")
    """Without these, as far as they are declared, a row is no event. Of artist and title one is enough."""
    ids: ClassVar[Names] = ("guid", "id", "uid", "xcal:uid", "@id", "@rdf:about")
    link: ClassVar[Names] = ("link", "link@href", "url", "guid")
    changed: ClassVar[Names] = ("updated", "atom:updated", "dc:modified", "lastModified")
    """When the source last changed the row."""
    date_order: ClassVar[str] = ""
    """DMY, MDY or YMD, where dates are numbers."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        unknown = sorted(set(cls.fields) - FIELDS[cls.topic])
        if unknown:
            raise TypeError(f"{cls.__name__}: no listing row has {', '.join(unknown)}. Remedy: one of its fields.")
        for names in (cls.row, cls.ids, cls.link, cls.changed, *cls.fields.values()):
            for name in _several(names):
                _path(name)

    @classmethod
    def recognises(cls, response: Response) -> str:
        """How many rows it has."""
        root = parsed(response)
        if root is None or CALENDAR in response.body[:2_000]:
            return ""
        name = root.xpath("local-name()").get() or ""
        rows = _rows(root, cls.row)
        if not rows or (cls.row == FeedSpider.row and name not in ROOTS):
            return ""
        dated = sum(bool(_first(row, cls.fields.get("date", ""))) for row in rows)
        return f"a feed ({name}) with {len(rows)} rows, {dated} of them with an event's date"

    def read(self, response: Response) -> Iterable[Item | Request]:
        """A message for each row."""
        root = parsed(response)
        if root is None:
            self.faults.append(f"{response.url} is no XML")
            yield self.unreadable(response, Reason.BAD_DOCUMENT, "it is no XML", response.body)
            return
        name = root.xpath("name()").get() or ""
        if f"</{name}".encode() not in response.body[-4_096:].replace(b"\x00", b"") and not _is_empty(response.body):
            self.faults.append(f"{response.url} is cut off: <{name}> has no end")
        rows = _rows(root, self.row)
        if not rows and root.xpath("local-name()").get() not in ROOTS:
            told = " or ".join(f"<{one}>" for one in _several(self.row))
            self.faults.append(
                f"{response.url}: no row: <{name}> has no {told}. Remedy: look at the feed, and declare the rows it "
                f"has now in {self.declared_in()}"
            )
        yield from self.give(response, (self._found(response, row) for row in rows))

    def _found(self, response: Response, row: Selector) -> Found:
        fields: dict[str, Any] = {name: _field(row, name, names) for name, names in self.fields.items()}
        if isinstance(fields.get("venue"), str) and not fields.get("city"):
            fields |= {name: told for name, told in place_in(fields["venue"]).items() if name == "venue" or told}
        if self.date_order:
            fields["date_order"] = self.date_order
        if isinstance(fields.get("date"), str):
            fields["date"] = _iso(fields["date"])
        link = joined(response.url, _first(row, self.link))
        own = _first(row, self.ids) or ""
        original = row.get()
        wanted = [name for name in self.required if name in self.fields and not fields.get(name)]
        named = fields.get("artist") or fields.get("title")
        return Found(
            fields=fields,
            payload={"xml": original, "url": response.url},
            payload_type="application/json",
            own_id=(address_id(response.url, own) if own.startswith(("http://", "https://")) else own)
            or (address_id(response.url, link) if link else ""),
            night=str(fields.get("date")),
            url=link or response.url,
            changed=_instant(_first(row, self.changed)) or http_date(response),
            missing=tuple(name for name in wanted if name not in ("artist", "title") or not named),
            original=original.encode(errors="replace"),
        )


def date_advice(response: Response, spider: type[FeedSpider]) -> str:
    """Of a feed whose rows have no date where the spider looks: which element could be it, or that none is."""
    root = parsed(response)
    rows = [] if root is None else _rows(root, spider.row)[:LOOKED_AT]
    if not rows or any(_first(row, spider.fields.get("date", "")) for row in rows):
        return ""
    taken = {name for field, names in spider.fields.items() if field != "date" for name in _several(names)}
    found: Counter[str] = Counter()
    for row in rows:
        for path, one in _elements(row):
            told = [(f"{path}@{name.rpartition('}')[2]}", text) for name, text in one.attrib.items()]
            told += [] if one.xpath("*") else [(path, one.xpath("string()").get() or "")]
            found.update(name for name, text in told if name not in taken and _is_date(text))
    names = [name for name, _ in found.most_common() if not _PUBLISHED.search(name)]
    published = [name for name, _ in found.most_common() if _PUBLISHED.search(name)]
    if names:
        could = " or ".join(f"<{name}>" for name in names[:3])
        declared = f'fields = {{**FeedSpider.fields, "date": "{names[0]}"}}'
        return f"no event's date where this format looks. {could} could be it: the source declares {declared}."
    if published:
        return (
            f"no element is an event's date. <{published[0]}> says when a row was published: where that is the night, "
            f'the source declares fields = {{**FeedSpider.fields, "date": "{published[0]}"}}; else try its calendar '
            "(.ics) or page."
        )
    return "no element of a row is a date: try the site's calendar (.ics), or the page that the rows link to."


def _elements(row: Selector) -> Iterable[tuple[str, Selector]]:
    """What stands in a row and one step below, each as `fields` would name it."""
    for one in row.xpath("./*"):
        name = one.xpath("name()").get() or ""
        yield name, one
        yield from ((f"{name}/{below.xpath('name()').get()}", below) for below in one.xpath("./*"))


def _is_date(text: str) -> bool:
    return "://" not in text and len(text.strip()) <= LONGEST_DATE and _DATED.search(text) is not None


def parsed(response: Response) -> Selector | None:
    """The document's root; None when it is no XML. Entities that HTML has and XML has not are characters."""
    body = response.body
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = body.decode("utf-16", "replace")
    else:
        declared = re.match(rb"\s*<\?xml[^>]*encoding=[\"']([A-Za-z0-9._-]+)", body.removeprefix(b"\xef\xbb\xbf"))
        told = declared[1].decode() if declared else getattr(response, "encoding", None)
        text = _decoded(body, told if isinstance(response, TextResponse) or declared else None)
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text.lstrip("\ufeff"))
    text = _DOCTYPE.sub("", text, count=1)
    if not text.lstrip().startswith("<"):
        return None
    text = _CONTROL.sub(" ", _NAMED.sub(_character, text))
    root = Selector(text=text.encode("utf-8", "replace").decode(), type="xml")
    name = root.xpath("local-name()").get() or ""
    return None if not name or name.lower() == "html" else root


_DOCTYPE = re.compile(r"\A\s*(?:<!--(?:(?!-->).)*-->\s*)*<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL | re.IGNORECASE)
"""With all the entities that it defines: none that a feed needs, and the reader gives up on those that it must not
expand."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def _decoded(body: bytes, told: str | None) -> str:
    for encoding in ("utf-8", told or "cp1252"):
        try:
            return body.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return body.decode("utf-8", "replace")


def _character(entity: re.Match[str]) -> str:
    if entity[1] in _XML_OWN:
        return entity[0]
    told = html.unescape(entity[0])
    return entity[0] if told == entity[0] else told


def _is_empty(body: bytes) -> bool:
    return body.rstrip().endswith(b"/>")


def _several(names: Names) -> tuple[str, ...]:
    return tuple(name for name in ((names,) if isinstance(names, str) else names) if name)


def _path(name: str) -> list[tuple[str | None, str, bool]]:
    """The steps of a name: prefix, local name, whether it is an attribute. TypeError for what is no name."""
    elements, at, attribute = name.partition("@")
    steps = [(one, False) for one in elements.split("/") if one] + ([(attribute, True)] if at else [])
    found = []
    for one, is_attribute in steps:
        told = _STEP.fullmatch(one)
        if told is None:
            raise TypeError(f"{name!r} names no element. Remedy: title, ev:startdate, venue/name or link@href.")
        found.append((told[1], told[2], is_attribute))
    return found


def _found(within: Selector, name: str) -> Iterable[Selector]:
    """The elements, or the attributes, that a name means."""
    here = [within]
    for prefix, local, is_attribute in _path(name):
        axis = "@*" if is_attribute else "./*"
        test = "" if local == "*" else f"[local-name()='{local}']"
        there = []
        for one in here:
            for found in one.xpath(f"{axis}{test}"):
                if prefix is None or is_attribute or _is_of(found, prefix):
                    there.append(found)
        here = there
    return here


def _is_of(element: Selector, prefix: str) -> bool:
    if (element.xpath("name()").get() or "").startswith(f"{prefix}:"):
        return True
    space = element.xpath("namespace-uri()").get() or ""
    return bool(space) and space.rstrip("/#") == PREFIXES.get(prefix, "").rstrip("/#")


def _texts(within: Selector, names: Names) -> Iterable[str]:
    for name in _several(names):
        for one in _found(within, name):
            told = plain(one.get() if isinstance(one.root, str) else one.xpath("string()").get())
            if told:
                yield told


def _first(within: Selector, names: Names) -> str | None:
    return next(iter(_texts(within, names)), None)


def _field(row: Selector, name: str, names: Names) -> Any:
    if name in LISTS:
        return list(dict.fromkeys(_texts(row, names)))
    told = _first(row, names)
    return number(told) if name in NUMBERS and told else told


def _rows(root: Selector, names: Names) -> list[Selector]:
    """The rows: the first of the names that the document has."""
    for name in _several(names):
        *above, (prefix, local, _) = _path(name)
        found = [one for one in root.xpath(f"//*[local-name()='{local}']") if prefix is None or _is_of(one, prefix)]
        for depth, (_, around, _) in enumerate(reversed(above), 1):
            found = [one for one in found if one.xpath(f"local-name(ancestor::*[{depth}])").get() == around]
        if found:
            return found
    return []


def _iso(written: str) -> str:
    """A date as mail and RSS write it, year first; any other as it is."""
    if not _MAIL.match(written):
        compact = _COMPACT.fullmatch(written)
        return f"{compact[1]}-{compact[2]}-{compact[3]}T{compact[4]}:{compact[5]}{compact[6]}" if compact else written
    try:
        return parsedate_to_datetime(written).isoformat()
    except ValueError:
        return written


_MAIL = re.compile(r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(?:\d\d)?(Z?)")


def _instant(written: str | None) -> datetime | None:
    if not written:
        return None
    try:
        moment = datetime.fromisoformat(_iso(written))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
