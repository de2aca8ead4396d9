"""Pages for people, read by selectors: a row for each event, a selector for each of its fields.

A selector is CSS or XPath and starts from the row; the first thing it finds counts, as one line of text. Several of
them are joined with blanks ('12' and 'Jan 2024' of two columns). Words are left to normalising: months in any language,
bills, notes of sold out. A date that has no year goes along with the month in which the page was read.

Loud: a page on which `row` finds nothing makes the run fail, and a row without what is `required` is a rejection with
its HTML.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeAlias

from parsel import Selector, SelectorList
from scrapy import Request
from scrapy.http import Response, TextResponse
from scrapy.selector import Selector as ResponseSelector
from twisted.python.failure import Failure

from schemas.rows import FIELDS
from spiders.formats.base import Item, http_date
from spiders.formats.json_ld import JsonLdSpider, is_page
from spiders.formats.pages import Found, PagesSpider, address_id, base_of, joined, plain

Selectors: TypeAlias = str | tuple[str, ...]
LISTS = frozenset({"support", "songs"})
"""Fields of many names: all that their selector finds, a line each."""
ROW = "gigz_rows"
"""In a request's meta: the rows whose detail page it asks for."""
PAGE = "gigz_page"
"""In a request's meta: the number of the page, where pages are counted."""
MANY = 3
"""Dates in the text of a page that make it look like an agenda."""

_XPATH = re.compile(
    r"\.{0,2}/|\(|@|\.\.?$|(?:re:|set:)?[a-z][a-z-]*\("
    r"|(?:ancestor|ancestor-or-self|attribute|child|descendant|descendant-or-self|following|following-sibling|parent"
    r"|preceding|preceding-sibling|self)::"
)
_DATE = re.compile(
    r"\b\d{4}-\d\d-\d\d\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b"
    r"|\b\d{1,2}(?:st|nd|rd|th|\.)?\s+(?:de\s+)?[^\W\d_]{3,9}\.?,?\s+20\d\d\b|\b[^\W\d_]{3,9}\.?\s+\d{1,2},?\s+20\d\d\b"
    r"|\b[^\W\d_]{2,9}\.?,?\s+\d{1,2}(?:st|nd|rd|th|\.)?\s+(?:jan|feb|mar|mär|apr|ma[iyj]|jun|jul|aug|sep|o[ck]t|nov|de[cz])",
    re.IGNORECASE,
)


class HtmlSpider(PagesSpider):
    """Declares what a row is and where its fields stand."""

    format = "html"
    row: ClassVar[str] = ""
    """Finds the events of a page."""
    fields: ClassVar[Mapping[str, Selectors]] = {}
    """A listing row's name -> where it stands in the row."""
    required: ClassVar[tuple[str, ...]] = ("artist", "title", "date")
    """Without these, as far as they are declared, a row is no event."""
    date_order: ClassVar[str] = ""
    """DMY, MDY or YMD, where dates are numbers."""
    link: ClassVar[Selectors] = "a[href]::attr(href)"
    """An event's own address: where a person looks it up, and its id."""
    ids: ClassVar[Selectors] = ""
    """Where the site's own id stands. Empty: the link is the id, else it is derived."""
    nights: ClassVar[str] = ""
    """What stands between the days of one row, a pattern ('&'): each is a listing of its own. Not for 'from - to'."""
    detail: ClassVar[Mapping[str, Selectors]] = {}
    """Fields that stand on the page behind the link. Empty: it is not asked for."""
    next_page: ClassVar[Selectors] = ""
    """The link to the next page."""
    pages_at: ClassVar[str] = ""
    """Or the address of page {page}, counted up until one has no rows."""
    empty: ClassVar[str] = ""
    """What a page that rightly has no rows shows instead."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        unknown = sorted((set(cls.fields) | set(cls.detail)) - FIELDS[cls.topic])
        if unknown:
            raise TypeError(f"{cls.__name__}: no listing row has {', '.join(unknown)}. Remedy: one of its fields.")
        nothing = Selector(text="<html/>")
        for name, written in cls._declared():
            try:
                _all(nothing, written)
            except ValueError as error:
                raise TypeError(f"{cls.__name__}.{name}: {written!r} is no selector: {error}") from None

    @classmethod
    def _declared(cls) -> Iterator[tuple[str, str]]:
        """Every selector, with the name it is declared under."""
        singles = {name: getattr(cls, name) for name in ("row", "link", "ids", "next_page", "empty")}
        for name, written in (*singles.items(), *cls.fields.items(), *cls.detail.items()):
            yield from ((name, one) for one in _several(written))

    @classmethod
    def recognises(cls, response: Response) -> str:
        """That it has the declared rows; of a page that no source declares yet, that it looks like an agenda."""
        if not is_page(response):
            return ""
        if cls.row:
            rows = _all(response.selector, cls.row)
            wanted = [cls.fields[name] for name in cls.required if name in cls.fields]
            whole = sum(all(_first(row, written) for written in wanted) for row in rows)
            return f"{len(rows)} rows of {cls.name}" if 2 * whole > len(rows) else ""
        if JsonLdSpider.recognises(response):
            return ""
        dates = len(_DATE.findall(_text(response.selector))) or len(response.css("time"))
        return f"a page for people with {dates} dates; its selectors have to be declared" if dates >= MANY else ""

    def read(self, response: Response) -> Iterable[Item | Request]:
        """The rows of a page, what their links add, and the next page."""
        meta = response.request.meta if response.request is not None else {}
        if ROW in meta:
            yield from self._completed(response, meta[ROW])
            return
        if not isinstance(response, TextResponse):
            self.faults.append(f"{response.url} is no page of text")
            return
        page = int(meta.get(PAGE, 1))
        rows = _all(response.selector, self.row)
        if not rows and not (self.pages_at and page > 1) and not (self.empty and _all(response.selector, self.empty)):
            found_none = f"{self.row!r} finds nothing" if self.row else "none is declared"
            self.faults.append(
                f"{response.url}: no row: {found_none}. Remedy: look at the page, and declare the rows it has now in "
                f"{self.declared_in()}"
            )
        found = self.at_most(response, (one for row in rows for one in self._found(response, row)))
        if self.detail:
            yield from self._ask_for_details(response, found)
        else:
            yield from self.give(response, found)
        if rows and self.pages_at:
            yield self.ask(response.urljoin(self.pages_at.format(page=page + 1)), meta={PAGE: page + 1})
        following = None if self.pages_at else joined(base_of(response), _first(response.selector, self.next_page))
        if following and following != response.url:
            yield self.ask(following)

    def _found(self, response: TextResponse, row: Selector) -> Iterator[Found]:
        """A row's event: one, or one for each of its nights."""
        fields: dict[str, Any] = {name: _field(row, name, written) for name, written in self.fields.items()}
        if self.date_order:
            fields["date_order"] = self.date_order
        base = base_of(response)
        link = joined(base, _first(row, self.link))
        original = row.get()
        one = Found(
            fields=fields,
            payload={"html": original, "url": response.url},
            payload_type="application/json",
            own_id=_first(row, self.ids) or (address_id(base, link) if link else ""),
            night=str(fields.get("date")),
            url=link or response.url,
            changed=http_date(response),
            original=original.encode(errors="replace"),
        )
        written = fields.get("date")
        days = re.split(self.nights, written) if self.nights and isinstance(written, str) else []
        days = [day.strip() for day in days if day and day.strip()]
        for day in days if len(days) > 1 else [written]:
            yield self._judged(replace(one, fields={**fields, "date": day}, night=str(day)))

    def _judged(self, one: Found) -> Found:
        """With what it lacks; a name may come as artist or as title."""
        wanted = [name for name in self.required if name in self.fields or name in self.detail]
        lacking = tuple(name for name in wanted if not one.fields.get(name))
        named = one.fields.get("artist") or one.fields.get("title")
        return replace(one, missing=tuple(name for name in lacking if name not in ("artist", "title") or not named))

    def _ask_for_details(self, response: Response, found: list[Found]) -> Iterable[Item | Request]:
        """The page behind each link, once for all rows that have it."""
        by_link: dict[str, list[Found]] = {}
        for one in found:
            url = one.url if one.url != response.url else None
            by_link.setdefault(url or "", []).append(one)
        yield from self.give(response, by_link.pop("", []))
        for url, rows in by_link.items():
            request = self.ask(url, needed=False, meta={ROW: rows}, dont_filter=True)
            yield request.replace(errback=self._without_detail)

    def _completed(self, response: Response, rows: list[Found]) -> Iterable[Item]:
        """The rows with what their own page says; what it says comes before what the list said."""
        if not isinstance(response, TextResponse):
            yield from self.give(response, rows)
            return
        told = {name: _field(response.selector, name, written) for name, written in self.detail.items()}
        told = {name: value for name, value in told.items() if value}
        yield from self.give(response, [self._judged(replace(one, fields={**one.fields, **told})) for one in rows])

    def _without_detail(self, failure: Failure) -> Iterable[Item]:
        """A page behind a link that cannot be had: what the list said is kept."""
        self.skipped(failure)
        request: Request = failure.request  # type: ignore[attr-defined]
        yield from self.give(Response(request.url), request.meta[ROW])


# -- selectors --------------------------------------------------------------------------------------------------------


def _several(written: Selectors) -> tuple[str, ...]:
    told = (written,) if isinstance(written, str) else written
    return tuple(one for one in told if one)


def _all(within: Any, selector: str) -> SelectorList[Selector]:
    """What a selector finds. ValueError when it is none."""
    if not selector:
        return SelectorList()
    found: SelectorList[Selector]
    try:
        found = within.xpath(selector) if _XPATH.match(selector) else within.css(selector)
    except Exception as error:  # cssselect has errors of its own
        raise ValueError(str(error)) from None
    return found


def _first(within: Any, written: Selectors) -> str | None:
    """The first text that each of the selectors finds, joined."""
    found = []
    for selector in _several(written):
        texts = (plain(" ".join(_lines(one))) for one in _all(within, selector))
        found.append(next((text for text in texts if text), None))
    return " ".join(text for text in found if text) or None


def _field(within: Any, name: str, written: Selectors) -> Any:
    if name not in LISTS:
        return _first(within, written)
    lines = (line for selector in _several(written) for one in _all(within, selector) for line in _lines(one))
    return list(dict.fromkeys(text for text in map(plain, lines) if text))


_BREAKS = (
    "self::br or self::p or self::div or self::li or self::ul or self::ol or self::tr or self::td or self::th"
    " or self::table or self::h1 or self::h2 or self::h3 or self::h4 or self::h5 or self::h6 or self::section"
    " or self::article or self::header or self::footer or self::dt or self::dd or self::hr or self::figure"
)
_UNSEEN = "ancestor::script or ancestor::style or ancestor::noscript or ancestor::template or ancestor::title"


def _lines(one: Selector) -> list[str]:
    """The text of an element, or the text itself, in the lines that a person sees."""
    if one.type not in ("html", "xml") or not hasattr(one.root, "iter"):
        return [str(one.root if isinstance(one.root, str | float | bool) else one.get())]
    found = [""]
    for piece in one.xpath(f"descendant::text()[not({_UNSEEN})] | descendant-or-self::*[{_BREAKS}]"):
        if isinstance(piece.root, str):
            found[-1] += piece.root
        elif found[-1].strip():
            found.append("")
    return [" ".join(line.split()) for line in found if line.strip()]


def _text(within: ResponseSelector) -> str:
    return "\n".join(_lines(within.xpath("//body")[0])) if within.xpath("//body") else ""
