"""What Gigz would make of an address: fetched once, politely, and nothing published.

Every source and every format base is asked whether it recognises the answer; those that do read it, and their messages
are shown. Where nothing fits, what was found is told, and what is nearest to it.

Errors
    SettingsError    no such file, or an address that is none
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from scrapy import Request
from scrapy.http import HtmlResponse, Response, TextResponse
from scrapy.utils.log import configure_logging

from deploy.settings import PREFIX, Settings, SettingsError
from schemas.raw import RawEvent, RawMessage, RawSetlist
from spiders.contact import check_contact
from spiders.crawling import crawl, in_reactor
from spiders.delivery import Counts, Lost
from spiders.errand import Errand
from spiders.formats import formats
from spiders.formats.base import Item, SourceSpider, Unreadable
from spiders.formats.catalogue_rows import Row, Unusable, table_of
from spiders.formats.feed import FeedSpider, date_advice
from spiders.formats.file_catalogue import FileCatalogueSpider, check_file
from spiders.formats.json_api import glanced
from spiders.polite import scrapy_settings
from spiders.sources import SPIDERS

MOST = 5_000
"""Items read of one answer; whoever tries has seen enough."""
SAMPLES = 3
"""Unreadable pieces and further addresses that are shown; the rest is counted."""


@dataclass(frozen=True)
class Fit:
    """A format that reads the answer."""

    format: str
    spider: str
    """The source that read it; empty: the bare format."""
    why: str
    """How the format recognised it."""
    total: int = 0
    messages: tuple[RawMessage, ...] = ()
    unreadable: tuple[str, ...] = ()
    refused: int = 0
    follows: tuple[str, ...] = ()
    asks: int = 0
    """Further pages that a crawl would ask for; `follows` are the first."""
    faults: tuple[str, ...] = ()
    advice: str = ""
    """What the format itself says to answers that it recognises and cannot use."""

    @property
    def filled(self) -> int:
        """Fields in all messages shown: of two that fit, the one that understands more."""
        return sum(len(message.fields) for message in self.messages)

    @property
    def hint(self) -> str:
        """What is lacking although a line in the source would give it; empty: nothing."""
        if self.advice:
            return self.advice
        if not self.messages or self.messages[0].topic not in (RawEvent.topic, RawSetlist.topic):
            return ""
        if any(message.fields.get(name) for message in self.messages for name in ("venue", "city")):
            return ""
        return (
            "no venue and no town in these. Where all is in one house, the source declares it: "
            'house = {"venue": "...", "city": "...", "country": "DK"}. Without a town the hour is left out, too.'
        )

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        shown = [message.model_dump(mode="json", exclude={"payload"}, exclude_none=True) for message in self.messages]
        return {
            "format": self.format,
            "spider": self.spider or None,
            "why": self.why,
            "topic": self.messages[0].topic if self.messages else None,
            "total": self.total,
            "messages": shown,
            "refused": self.refused,
            "unreadable": list(self.unreadable),
            "more_pages": self.asks,
            "follows": list(self.follows),
            "faults": list(self.faults),
            "hint": self.hint or None,
        }


@dataclass(frozen=True)
class Tried:
    """What came of it."""

    url: str
    status: int | None = None
    content_type: str = ""
    size: int = 0
    found: str = ""
    """What the answer is."""
    fits: tuple[Fit, ...] = ()
    """The likeliest first."""
    remedy: str = ""
    """What to do where nothing fits, or where nothing was to be had."""
    base: str = ""
    """Of a file: the address that it was read as from."""

    @property
    def ok(self) -> bool:
        """Some format gives messages."""
        return any(fit.total for fit in self.fits)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "url": self.url,
            "read_as_from": self.base or None,
            "status": self.status,
            "content_type": self.content_type,
            "bytes": self.size,
            "found": self.found,
            "fits": [fit.as_json() for fit in self.fits],
            "remedy": self.remedy or None,
        }


def try_address(settings: Settings, address: str, limit: int, save: Path | None = None, base: str = "") -> Tried:
    """Fetch and read; once in a process. SettingsError.

    `save`: where the answer is kept, for a test. `base`: where a file came from, for its links and ids; else a saved
    answer that is called like a source is that source's.
    """
    if base and not (base.startswith(("http://", "https://")) and urlsplit(base).hostname):
        raise SettingsError(f"{base!r} is no address. Remedy: --base https://www.example.org/agenda/")
    if save is not None and save.exists():
        raise SettingsError(f"{save} is there already. Remedy: remove it, or --save another file.")
    url = address_of(address)
    response, faults = fetched(settings, url)
    if response is None:
        told = "; ".join(faults) or "no answer"
        return Tried(url, found=f"nothing could be had: {told}", remedy=_remedy_of(settings, url, told))
    if save is not None:
        try:
            save.write_bytes(response.body)
        except OSError as error:
            raise SettingsError(f"{save} cannot be written: {error.strerror}. Remedy: --save another file.") from error
    base = (base or source_of(url)) if url.startswith("file:") else ""
    at = response.url
    if base:
        response = response.replace(url=base)
    fits = tuple(fits_of(response, limit))
    found, remedy = described(response)
    return Tried(
        url=at,
        base=base,
        status=None if url.startswith("file:") else response.status,
        content_type=(response.headers.get("Content-Type") or b"").decode("latin-1"),
        size=len(response.body),
        found=found,
        fits=fits,
        remedy="" if any(fit.total for fit in fits) else remedy,
    )


def source_of(url: str) -> str:
    """Where the source begins whose saved answer a file is, by its name; empty where none is called so."""
    name = Path(urlsplit(url).path).name.partition(".")[0]
    starts = next((one.start_urls for one in SPIDERS if one.name == name), [])
    return next((start for start in starts if "{" not in start), "")


def address_of(address: str) -> str:
    """A URL, or the file:// of a path. SettingsError when it is neither."""
    if address.startswith(("http://", "https://")):
        if not urlsplit(address).hostname:
            raise SettingsError(f"{address!r} names no host. Remedy: https://www.example.org/agenda/")
        return address
    if address.startswith("file:"):
        return check_file(address).as_uri()
    if "://" in address:
        raise SettingsError(f"{address!r} is not http(s):// or a file. Remedy: the address that a browser shows.")
    path = Path(address).expanduser().resolve()
    if not path.is_file():
        raise SettingsError(f"there is no file {address}. Remedy: a path, or https://{address.strip('/')}")
    return check_file(path.as_uri()).as_uri()


# -- fetching ---------------------------------------------------------------------------------------------------------


class _Nowhere:
    """A delivery to nobody: nothing is published."""

    counts = Counts()

    async def deliver(self, item: Item) -> None:
        """No item comes: pages are read once they are here."""

    async def settle(self) -> None:
        """Nothing is on its way."""

    async def lost(self) -> Lost:
        """Nothing is remembered."""
        return Lost()

    async def vanish(self) -> None:
        """Nothing is remembered."""


def fetched(settings: Settings, url: str) -> tuple[Response | None, list[str]]:
    """The answer, by a crawl of one page: robots.txt, user agent, bounds and private addresses count as in any crawl.

    Or what stood against it. The API key goes along where a source has it for that host.
    """
    known = next((spider for spider in SPIDERS if _host(url) in spider.key_hosts), None)
    mirrors = settings.mirrors
    mirror = next((mirrors[s.name] for s in SPIDERS if s.name in mirrors and _host(url) in s.source_hosts()), "")
    hosts = frozenset[str]().union(*(getattr(spider, "contact_hosts", ()) for spider in SPIDERS))
    if not mirror:
        check_contact("gigz spider try", [url], hosts, settings.user_agent)
    answers: list[Response] = []

    class Trying(SourceSpider):
        name = "try"
        format = "page"
        message = RawEvent
        example = url

        def read(self, response: Response) -> Iterator[Item | Request]:
            answers.append(response)
            yield from ()

        def headers(self) -> dict[str, str]:
            return {} if known is None else known.headers(self)

    key = ""
    if known is not None:
        for name in ("key_setting", "key_hosts", "key_header", "key_parameter", "pace"):
            setattr(Trying, name, getattr(known, name))
        key = getattr(settings, known.key_setting).get_secret_value()
    configure_logging({"LOG_ENABLED": False})
    politely = scrapy_settings(
        settings.model_copy(update={"source_mirrors": f"try={mirror}" if mirror else ""}), Trying
    )
    politely.set("LOG_ENABLED", False)
    outcome = in_reactor(lambda: crawl(Trying, _Nowhere(), Errand(start_url=url), politely, key=key, mirror=mirror))
    return (answers[0], []) if answers else (None, [told for told in outcome.told if "yielded nothing" not in told])


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _remedy_of(settings: Settings, url: str, told: str) -> str:
    """What helps against a refusal, where the refusal does not say it itself."""
    if "Remedy:" in told:
        return ""
    known = next((spider for spider in SPIDERS if _host(url) in spider.key_hosts), None)
    if known is not None and not getattr(settings, known.key_setting).get_secret_value():
        return f"{known.name} needs a key of your own: {PREFIX}{known.key_setting.upper()}."
    if "cannot be found" in told:
        return "look whether the host's name is spelled right."
    if "robots.txt" in told:
        return "ask the site for a feed or an API: what its robots.txt forbids is not read."
    if re.search(r"answered 40[134]", told):
        return "open the address in a browser; it may need signing in, or have moved."
    return "look whether the address opens in a browser."


# -- reading ----------------------------------------------------------------------------------------------------------


def fits_of(response: Response, limit: int) -> Iterator[Fit]:
    """For each format that recognises the answer, its best reading; without messages only where no other has any."""
    found: list[Fit] = []
    for name, base in formats().items():
        sources = [spider for spider in SPIDERS if spider.format == name]
        readings = [_reading(kind, why, response, limit) for kind in sources if (why := kind.recognises(response))]
        own = [fit for fit in readings if _is_own(fit, response.url) and fit.total]
        general = any(_is_general(fit) and fit.total for fit in readings)
        if not own and not general and (why := base.recognises(response)):
            readings.append(_reading(base, why, response, limit))
        if own or readings:
            found.append(max(own or readings, key=lambda fit: (fit.total > 0, _is_general(fit), fit.filled)))
    telling = [fit for fit in found if fit.total] or found
    exact = [fit for fit in telling if fit.format != FileCatalogueSpider.format]  # any list of objects is a table, too
    yield from sorted(exact or telling, key=lambda fit: -fit.filled)


def _by_name(fit: Fit) -> type[SourceSpider] | None:
    return next((spider for spider in SPIDERS if spider.name == fit.spider), None)


def _is_own(fit: Fit, url: str) -> bool:
    """Whether the answer is from the source's own host."""
    spider = _by_name(fit)
    if spider is None:
        return False
    own = {_host(address) for address in (spider.example, spider.search, *spider.start_urls)} | spider.key_hosts
    return bool(_host(url)) and _host(url) in own


def _is_general(fit: Fit) -> bool:
    """Whether it is for any address of the format, and not for one site."""
    spider = _by_name(fit)
    return spider is None or not (spider.source or spider.start_urls)


def _reading(kind: type[SourceSpider], why: str, response: Response, limit: int) -> Fit:
    """What one spider makes of the answer."""
    name = kind.__dict__.get("name", "")
    reader = kind if name else type(kind.__name__, (kind,), {"name": "try", "__module__": kind.__module__})
    kept: list[RawMessage] = []
    refused: list[str] = []
    follows: list[str] = []
    total = bad = asks = 0
    faults: list[str] = []
    try:
        spider = reader(errand=Errand(start_url=response.url))
        for number, one in enumerate(spider.parse(response)):
            if number == MOST:
                faults.append(f"only the first {MOST:,} were read")
                break
            if isinstance(one, RawMessage):
                total += 1
                kept += [one] if len(kept) < limit else []
            elif isinstance(one, Unreadable):
                bad += 1
                refused += [f"{one.reason}: {one.text}"] if len(refused) < SAMPLES else []
            elif isinstance(one, Request):
                asks += 1
                follows += [one.url] if len(follows) < SAMPLES else []
        faults += spider.faults
    except Exception as error:  # a format that lacks what a source declares, or a fault of ours: both are to be seen
        faults.append(f"in the spider: {type(error).__name__}: {error}")
    return Fit(
        format=kind.format,
        spider=name,
        why=why,
        total=total,
        messages=tuple(kept),
        unreadable=tuple(refused),
        refused=bad,
        follows=tuple(follows),
        asks=asks,
        faults=tuple(faults),
        advice="" if total or not issubclass(kind, FeedSpider) else date_advice(response, kind),
    )


# -- what was found ---------------------------------------------------------------------------------------------------


def described(response: Response) -> tuple[str, str]:
    """What an answer is, and what to do with it where no format reads it as it is."""
    if isinstance(response, HtmlResponse):
        return _page(response)
    value = glanced(response)
    if value is not None:
        return _json(value)
    start = response.body.lstrip()[:300]
    if start.startswith(b"BEGIN:VCALENDAR"):
        return "an iCalendar file", "look whether it has events: BEGIN:VEVENT."
    if start.startswith(b"<"):
        root = re.search(rb"<([A-Za-z][\w:.-]*)", re.sub(rb"<[?!][^>]*>", b"", start))
        name = root[1].decode() if root else "?"
        return f"XML with the root <{name}>", f"{_new('feed')} and declare `row` and the `fields` of its events."
    if start.startswith(b"%PDF"):
        return "a PDF", "ask for the page, calendar or list that it was made from."
    return _file(response)


def _page(response: HtmlResponse) -> tuple[str, str]:
    title = " ".join((response.xpath("string(//title)").get() or "").split())[:80]
    links, scripts = len(response.xpath("//a/@href")), len(response.xpath("//script"))
    text = len(
        " ".join(response.xpath("//body//text()[not(ancestor::script) and not(ancestor::style)]").getall()).split()
    )
    found = f"a page, {title!r}: {text} words, {links} links, and no events for machines in it"
    others = [
        urljoin(response.url, href)
        for href in response.xpath(
            "//link[@rel='alternate'][contains(@type,'calendar') or contains(@type,'rss') or contains(@type,'atom')"
            " or contains(@type,'json')]/@href | //a[contains(@href,'.ics') or starts-with(@href,'webcal:')]/@href"
        ).getall()
    ]
    if others:
        better = others[0].replace("webcal://", "https://")
        return found, f"the page names a calendar or feed: `gigz spider try {better}`"
    if text < 60 and scripts > 2:
        return found, (
            "the page is built by scripts: look in the browser's network tools for the JSON or calendar behind it, and "
            "try that address."
        )
    return found, f"{_new('html')} and declare the selectors of its rows; or look for its calendar (.ics) or feed."


def _json(value: Any) -> tuple[str, str]:
    if isinstance(value, Mapping):
        found = f"JSON with {', '.join(map(str, list(value)[:8]))}"
        path = _list_in(value)
        if path:
            rows: Any = value
            for step in path:
                rows = rows[step]
            told = json.dumps(path).replace("[", "(").replace("]", ",)" if len(path) == 1 else ")")
            columns = ", ".join(list(rows[0])[:10])
            return f"{found}; a list at {'.'.join(path)}, of {columns}", (
                f"{_new('file-catalogue')}, with rows = {told} and `columns` that say which is which."
            )
        return found, "look in the source's documentation for the address that lists its events."
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return f"a JSON list of {len(value)} objects with {', '.join(map(str, list(value[0])[:10]))}", (
            f"{_new('file-catalogue')}, with `columns` that say which of these are artist, date, venue."
        )
    return "JSON without objects", "look for the address that lists events."


def _list_in(value: Mapping[str, Any], depth: int = 3) -> list[str]:
    """The path to the first list of objects."""
    for name, part in value.items():
        if isinstance(part, list) and part and isinstance(part[0], Mapping):
            return [name]
        if isinstance(part, Mapping) and depth and (below := _list_in(part, depth - 1)):
            return [name, *below]
    return []


def _file(response: Response) -> tuple[str, str]:
    try:
        table = table_of(response.body, urlsplit(response.url).path.lower())
        first = next((row for row in table.rows if isinstance(row, Row)), None)
    except Unusable as error:
        return f"{len(response.body):,} bytes: {error}", ""
    columns = table.columns or (tuple(first.values) if first else ())
    if len(columns) < 2 or first is None:
        start = response.text[:80] if isinstance(response, TextResponse) else ""
        return f"{len(response.body):,} bytes of text: {start!r}", "look whether this is the address that was meant."
    return f"{table.kind} with the columns {', '.join(columns[:12])}", (
        f"{_new('file-catalogue')}, with `columns` that say which of these are artist, date, venue."
    )


def _new(format_: str) -> str:
    return f"`gigz spider new NAME --format {format_}`"
