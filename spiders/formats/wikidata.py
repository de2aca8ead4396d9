"""Venues out of a SPARQL endpoint's results (application/sparql-results+json), as Wikidata's query service gives them.

    {"head": {"vars": [...]}, "results": {"bindings": [{"item": {"type": "uri", "value": "http://.../Q1"},
      "coord": {"value": "Point(12.57 55.68)"}, "name": {...}, "since": {...}, "sincePrecision": {"value": "9"}}]}}

A row is one statement: the rows of one item are one venue, whichever columns each of them fills. A query with LIMIT and
OFFSET is asked again, further on, until a page has fewer rows; ORDER BY the item keeps its rows together, and the last
item of a page waits for the next page. Times have a precision: 9 a year, 10 a month, 11 a day.

Source     https://www.wikidata.org/wiki/Wikidata:SPARQL_query_service
Manners    one query at a time, and a user agent that says who asks:
           https://foundation.wikimedia.org/wiki/Policy:Wikimedia_Foundation_User-Agent_Policy
A query that takes longer than 60 s is cut off: with status 500, or with 200 and a Java stack trace in the JSON.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response
from w3lib.url import add_or_replace_parameter

from schemas.raw import RawMessage, RawVenue
from schemas.rejection import Reason
from spiders.contact import check_contact
from spiders.formats.base import Item, Unreadable, dig, number, words
from spiders.formats.json_api import JsonApiSpider, glanced

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "item": ("item", "venue", "place"),
    "label": ("itemLabel", "venueLabel", "placeLabel", "label"),
    "coord": ("coord", "coords", "coordinates", "location"),
    "lat": ("lat", "latitude"),
    "lon": ("lon", "long", "lng", "longitude"),
    "capacity": ("capacity",),
    "city": ("cityLabel", "city"),
    "region": ("regionLabel", "region"),
    "country": ("countryCode", "country", "countryLabel"),
    "mbid": ("mbid", "musicbrainz"),
    "name": ("name", "officialName", "alias"),
    "since": ("since", "start", "begin"),
    "until": ("until", "end"),
}
"""Ours -> the variables of a query that it is taken from, the first that is bound to a text."""
LABELLED = frozenset({"label", "city", "region", "country"})
"""What is an entity's label: where the service knows none it gives the id."""
_QID = re.compile(r"Q\d+")
_POINT = re.compile(r"Point\(\s*(-?[\d.eE+-]+)\s+(-?[\d.eE+-]+)\s*\)", re.IGNORECASE)
_TIME = re.compile(r"\+?(\d{4})-(\d\d)-(\d\d)(?:T.*)?")
_OFFSET = re.compile(r"(\bOFFSET\s+)(\d+)", re.IGNORECASE)
_LIMIT = re.compile(r"\bLIMIT\s+(\d+)", re.IGNORECASE)
_ENTITY = re.compile(r"https?://www\.wikidata\.org/entity/(Q\d+)")

VENUES = """
SELECT ?item ?itemLabel ?coord ?capacity ?cityLabel ?countryCode ?mbid ?name
       ?since ?sincePrecision ?until ?untilPrecision WHERE {
  { SELECT DISTINCT ?item WHERE {
      VALUES ?kind { wd:Q8719053 wd:Q1060829 wd:Q153562 wd:Q24354 wd:Q483110 wd:Q641226 wd:Q622425 wd:Q18674739 }
      ?item wdt:P31/wdt:P279* ?kind ; wdt:P17 ?in . ?in wdt:P297 "COUNTRY" .
    } ORDER BY ?item LIMIT 500 OFFSET 0 }
  { ?item wdt:P17 ?land . ?land wdt:P297 ?countryCode . }
  UNION { ?item wdt:P625 ?coord . }
  UNION { ?item wdt:P1083 ?capacity . }
  UNION { ?item wdt:P131 ?city . }
  UNION { ?item wdt:P1004 ?mbid . }
  UNION { ?item skos:altLabel ?name . FILTER(LANG(?name) = "en") }
  UNION { VALUES (?claims ?says) { (p:P1448 ps:P1448) (p:P2561 ps:P2561) (p:P1813 ps:P1813) }
    ?item ?claims ?told . ?told ?says ?name .
    OPTIONAL { ?told pqv:P580 [ wikibase:timeValue ?since ; wikibase:timePrecision ?sincePrecision ] . }
    OPTIONAL { ?told pqv:P582 [ wikibase:timeValue ?until ; wikibase:timePrecision ?untilPrecision ] . } }
  SERVICE wikibase:label { bd:serviceParam wikibase:language "en,mul,de,fr,es,it,nl,sv,da,nb,pl,pt,ja" . }
} ORDER BY ?item
"""
"""Music venues, concert halls, opera houses, theatres, stadiums, arenas, nightclubs and event venues of one country.
P625 coordinates, P1083 capacity, P131 where, P1004 MusicBrainz's place; names: P1448 official, P2561 name, P1813 short,
each with P580 since and P582 until."""


class SparqlVenuesSpider(JsonApiSpider):
    """One query, page after page; rows of one item become one venue."""

    format = "sparql-venues"
    message: ClassVar[type[RawMessage]] = RawVenue
    answers = "rows"
    contact_hosts: ClassVar[frozenset[str]] = frozenset({"wikidata.org"})
    takes = frozenset({"country"})
    endpoint: ClassVar[str] = ""
    query: ClassVar[str] = ""
    """SPARQL with COUNTRY for the code of one (`--arg country=DK,SE`), LIMIT and OFFSET 0."""

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> "SparqlVenuesSpider":
        """The spider of a crawl. SettingsError when its user agent names nobody who could be asked to stop."""
        spider: SparqlVenuesSpider = super().from_crawler(crawler, *args, **kwargs)
        check_contact(spider.name, spider.addresses, cls.contact_hosts, crawler.settings["USER_AGENT"])
        return spider

    @classmethod
    def recognises(cls, response: Response) -> str:
        """Results of SPARQL with an item in each row."""
        page = glanced(response)
        variables = dig(page, "head", "vars")
        if not isinstance(variables, list) or not isinstance(dig(page, "results", "bindings"), list):
            return ""
        if not set(COLUMNS["item"]) & set(variables):
            return ""
        return f"SPARQL results with {', '.join(map(str, variables[:6]))}"

    def begins_at(self) -> list[str]:
        """The query, once for each country."""
        countries = [code.strip().upper() for code in self.errand.more.get("country", "").split(",") if code.strip()]
        if countries and self.query and not self.errand.start_url:
            return [self.address(code) for code in countries]
        return super().begins_at()

    def address(self, country: str) -> str:
        """Of the first page of one country's venues."""
        query = " ".join(self.query.split()).replace("COUNTRY", re.sub(r"[^A-Z]", "", country))
        return f"{self.endpoint}?{urlencode({'query': query, 'format': 'json'})}"

    def headers(self) -> dict[str, str]:
        """JSON, not XML."""
        return {"Accept": "application/sparql-results+json"}

    def read(self, response: Response) -> Iterable[Item | Request]:
        """One page; a query that was cut off ends with a stack trace, whatever the status says."""
        if b"TimeoutException" in response.body or b"QueryTimeout" in response.body:
            self.fault(response, "took too long and was cut off. Remedy: a smaller LIMIT, or --arg country= for fewer")
            yield self.unreadable(response, Reason.BAD_DOCUMENT, "the query took too long", response.body)
            return
        yield from super().read(response)

    def read_page(self, response: Response, page: Any) -> Iterable[Item | Request]:
        """The venues of one page of rows, but for the last one while there is another page."""
        rows = dig(page, "results", "bindings")
        if not isinstance(rows, list):
            self.fault(response, "has no results with bindings: is it SPARQL's JSON?")
            return
        following = next_page(response.url, len(rows))
        waited = response.meta.get("waiting", []) if response.request is not None else []
        good: list[Mapping[str, Any]] = list(waited)
        for row in self.objects(response, rows, "a row"):
            if isinstance(row, Unreadable):
                yield row
            else:
                good.append(row)
        items = grouped(good)
        waiting = items.popitem()[1] if following is not None and items else []
        for item, statements in items.items():
            found = _ENTITY.fullmatch(item)
            yield from self.listing(
                response,
                statements,
                source_id=(found[1] if found else item) or None,
                fields=venue_fields(statements),
                url=f"https://www.wikidata.org/wiki/{found[1]}" if found else item,
            )
        if following is not None:
            yield self.ask(following, meta={"waiting": waiting})


def grouped(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Item -> its rows, in the order of the rows; what names no item stands under an empty text."""
    items: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        items.setdefault(_value(row, "item") or "", []).append(row)
    return items


def next_page(url: str, rows: int) -> str | None:
    """The same query further on; None when it has no LIMIT and OFFSET, or this page was not full."""
    query = next(iter(parse_qs(urlsplit(url).query).get("query", [])), "")
    limit, offset = _LIMIT.search(query), _OFFSET.search(query)
    if limit is None or offset is None or rows < int(limit[1]) or not int(limit[1]):
        return None
    reached = int(offset[2]) + int(limit[1])
    return add_or_replace_parameter(url, "query", _OFFSET.sub(rf"\g<1>{reached}", query, count=1))


def venue_fields(rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The statements of one item under the names of a venue row."""
    first = {name: next(_values(rows, name), None) for name in ("label", "city", "region", "country", "mbid")}
    names = dated_names(rows)
    name = first["label"] or next((one["name"] for one in names if "until" not in one), None)
    lat, lon = _point(rows)
    return {
        "name": name,
        "names": [one for one in names if one["name"] != name or len(one) > 1],
        "city": first["city"],
        "region": first["region"],
        "country": first["country"],
        "lat": lat,
        "lon": lon,
        "capacity": _capacity(rows),
        "mbid": first["mbid"],
    }


def dated_names(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """{name, since, until} of every name; one without dates is left out where the same is there with dates."""
    found: list[dict[str, str]] = []
    for row in rows:
        name = _value(row, "name")
        if name is not None:
            told = {"name": name, "since": _when(row, "since"), "until": _when(row, "until")}
            known = {field: value for field, value in told.items() if value is not None}
            if known not in found:
                found.append(known)
    dated = {one["name"] for one in found if len(one) > 1}
    return [one for one in found if len(one) > 1 or one["name"] not in dated]


def _when(row: Mapping[str, Any], name: str) -> str | None:
    """2003, 2003-05 or 2003-05-17, as precise as the statement is. Where no precision is told, 1 January is a year."""
    column = next((one for one in COLUMNS[name] if one in row), name)
    found = _TIME.fullmatch(_value(row, name) or "")
    if found is None:
        return None
    year, month, day = found.groups()
    precision = number(_text(row, f"{column}Precision"))
    if not isinstance(precision, int):
        precision = 9 if (month, day) == ("01", "01") else 11
    if precision < 9 or month == "00":
        return year if month == "00" and precision >= 9 else None
    return {9: year, 10: f"{year}-{month}"}.get(precision, f"{year}-{month}-{day}")


def _point(rows: Iterable[Mapping[str, Any]]) -> tuple[Any, Any]:
    for row in rows:
        found = _POINT.fullmatch((_value(row, "coord") or "").strip())
        if found:
            return number(found[2]), number(found[1])
        lat, lon = number(_value(row, "lat")), number(_value(row, "lon"))
        if lat is not None and lon is not None:
            return lat, lon
    return None, None


def _capacity(rows: Iterable[Mapping[str, Any]]) -> Any:
    """The largest where there are several: of the hall, not of its seats."""
    told = [number(value.removeprefix("+")) for value in _values(rows, "capacity")]
    numbers = [value for value in told if isinstance(value, int | float)]
    return max(numbers) if numbers else (told[0] if told else None)


def _values(rows: Iterable[Mapping[str, Any]], name: str) -> Iterator[str]:
    for row in rows:
        value = _value(row, name)
        if value is not None:
            yield value


def _value(row: Mapping[str, Any], name: str) -> str | None:
    """What is bound to any of the variables; of an entity its address only where an item is asked for.

    A blank node says that something unknown is there, and a label that is an id that there is none.
    """
    for column in COLUMNS[name]:
        value, kind = _text(row, column), dig(row, column, "type")
        if value is None or kind == "bnode" or (kind == "uri" and name != "item"):
            continue
        if name not in LABELLED or not _QID.fullmatch(value):
            return value
    return None


def _text(row: Mapping[str, Any], column: str) -> str | None:
    return words(dig(row, column, "value"))
