"""What every spider does: start at one address, read pages, give raw messages, say what went wrong.

A source declares itself in class attributes; a format base reads its pages. What a source sends is not judged here: a
date that cannot be, or a missing venue, goes along as it was written, and normalising decides. Only what cannot become
a message at all is `Unreadable`.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import PurePath
from typing import Any, ClassVar, TypeAlias
from urllib.parse import quote, quote_plus, unquote, urlsplit

import orjson
from scrapy import Request, Spider
from scrapy.exceptions import DownloadCancelledError, IgnoreRequest
from scrapy.http import Response
from scrapy.spidermiddlewares.httperror import HttpError
from twisted.python.failure import Failure
from w3lib.url import add_or_replace_parameter, url_query_cleaner

from deploy.settings import SettingsError
from schemas.message import MessageError
from schemas.raw import RawMessage
from schemas.rejection import Reason
from schemas.rows import envelope
from spiders.errand import LISTS, Errand

Clock: TypeAlias = Callable[[], datetime]
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
PASSING = (408, 425, 429)
"""Refusals that another time may not meet, as all of 500 and above."""
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:$|[T ](\d\d:\d\d))")
SURE_SECRET = 16
"""A key this long stands for itself wherever it is found; a shorter one may be a word."""
CLOCK_SKEW = timedelta(days=1)
"""A source that claims a change further ahead than this has a wrong clock, and would beat every later version."""


@dataclass(frozen=True)
class Unreadable:
    """Something a source sent that no message can be made of; becomes a rejection."""

    topic: str
    source: str
    url: str
    reason: Reason
    text: str
    original: bytes


class Left(IgnoreRequest):
    """A request that the crawl did not send because it is ending: `leaving`, `cut` or `faults` say why."""


Item: TypeAlias = RawMessage | Unreadable


def utc_now() -> datetime:
    """The clock of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Pace:
    """How fast a host may be asked, by all processes together."""

    every_s: float = 2.0
    """Seconds between two requests."""
    at_once: int = 1
    """Requests under way."""
    a_day: int | None = None
    """Requests with one API key, UTC days; None: as many as the pace lets through."""
    adapts: bool = False
    """AutoThrottle: slower when the server is."""

    def __str__(self) -> str:
        rate = (
            f"{1 / self.every_s:g} requests a second" if self.every_s <= 0.5 else f"a request every {self.every_s:g} s"
        )
        rate = "1 request a second" if self.every_s == 1 else rate
        told = [rate, "one at a time" if self.at_once == 1 else f"{self.at_once} at a time"]
        told += [f"{self.a_day:,} a day"] if self.a_day else []
        return ", ".join(told + (["slower when the server is"] if self.adapts else []))


class Shows(StrEnum):
    """What a complete crawl finds: decides what it means that something is not found any more."""

    EVERYTHING = "everything"
    """An archive: what is gone was taken back."""
    UPCOMING = "upcoming"
    """An agenda: a night gone by leaves it by itself, only what lies ahead can vanish."""


class SourceSpider(Spider):
    """A source, as declared: what it is called, what it gives, how it wants to be treated."""

    name: str
    format: ClassVar[str]
    """The family of sources whose pages it can read: a name of `spiders.formats.FORMATS`."""
    message: ClassVar[type[RawMessage]]
    topic: ClassVar[str]
    """Where its messages go: the message's."""
    source: ClassVar[str] = ""
    """The catalogue's name in every message. Empty: the host, for formats that many sites share."""
    start_urls: list[str] = []  # noqa: RUF012 - Scrapy's own declaration
    """Where a crawl begins that is given no start URL; {places} in them are filled by `--arg`. Empty: it must be given
    one."""
    search: ClassVar[str] = ""
    """Address that finds an artist, with any of {artist}, {mbid}, {since}, {until}, {year}. Empty: it cannot search."""
    takes: ClassVar[frozenset[str]] = frozenset()
    """Names of `--arg` that it reads itself, beside the {places} of its addresses."""
    shows: ClassVar[Shows] = Shows.EVERYTHING
    incremental: ClassVar[bool] = False
    """It reads only what is newer than `errand.watermark`, and tells by `saw` how far it came."""
    pace: ClassVar[Pace] = Pace()
    licence: ClassVar[str] = ""
    """On what terms the source may be read."""
    example: ClassVar[str] = ""
    """A start URL to copy."""
    key_setting: ClassVar[str] = ""
    """The setting that holds the source's API key, where it wants one."""
    key_hosts: ClassVar[frozenset[str]] = frozenset()
    """The hosts that may see the key; loopback may as well."""
    key_header: ClassVar[str] = ""
    """The header that carries the key."""
    key_parameter: ClassVar[str] = ""
    """Or the parameter of the address that does."""
    private_hosts: ClassVar[frozenset[str]] = frozenset()
    """Hosts it may ask though their addresses are private; the setting GIGZ_PRIVATE_HOSTS adds to them."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "message" in cls.__dict__:
            cls.topic = cls.message.topic

    @classmethod
    def recognises(cls, response: Response) -> str:
        """Why an answer looks like this format, in a few words; empty when it does not. For `gigz spider try`."""
        return ""

    def __init__(
        self,
        errand: Errand | None = None,
        api_key: str = "",
        clock: Clock = utc_now,
        mirror: str = "",
        secrets: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        """`mirror`: an origin that is asked in place of the source's own hosts, `scheme://host[:port]`.

        `secrets`: keys of other sources, which nothing that is told may have in it either.
        """
        super().__init__(**kwargs)
        self.errand = errand or Errand()
        self.clock = clock
        self.mirror = mirror
        self._secret = api_key
        self._secrets = frozenset(secrets) - {""}
        official = self.begins_at()
        self.addresses = [self.mirrored(url) for url in official]
        """Where the crawl begins."""
        self.start_url = official[0]
        """The first of them as the source itself has it."""
        self.host = urlsplit(self.start_url).hostname or ""
        self.allowed_domains = sorted({urlsplit(url).hostname or "" for url in self.addresses})
        self.catalogue = (
            self.errand.source or self.source or self.host or PurePath(unquote(self.start_url)).name.partition(".")[0]
        )
        self.pages = 0
        self.faults: list[str] = []
        """What makes the run a failed one."""
        self.unanswered: set[str] = set()
        """Those of the faults that are requests that failed: statistics count them, too."""
        self.cut = ""
        """Why the crawl ended before everything was read though nothing failed: a quota. Then nothing vanished."""
        self.leaving = ""
        """Why nothing more is asked: what is still to come fails as `Left`. The reason is in `cut` or `faults`, too."""
        self.unread = ""
        """Why some link could not be read that may be read another time: then nothing counts as gone."""
        self.outside = 0
        """Items that were read and are of nights that the errand does not ask for."""
        self.newest = ""
        """The watermark that this crawl would leave: see `saw`."""
        self._api_key = api_key if self.host in self.key_hosts | LOOPBACK else ""
        """The key where it is sent."""

    @classmethod
    def source_hosts(cls) -> frozenset[str]:
        """The source's own hosts, as declared."""
        addresses = (*cls.start_urls, cls.search, cls.example)
        return (frozenset(urlsplit(address).hostname or "" for address in addresses) | cls.key_hosts) - {""}

    def mirrored(self, url: str) -> str:
        """Where an address of the source is asked: at its mirror, if there is one."""
        parts = urlsplit(url)
        if not self.mirror or parts.scheme not in {"http", "https"} or parts.hostname not in self.source_hosts():
            return url
        scheme, _, place = self.mirror.partition("://")
        return parts._replace(scheme=scheme, netloc=place).geturl()

    def official(self, url: str) -> str:
        """The source's own address of what a mirror answered: ids and messages do not tell who was asked."""
        if not self.mirror or not url.startswith((f"{self.mirror}/", f"{self.mirror}?")):
            return url
        own = urlsplit(self.start_url)
        if own.hostname not in self.source_hosts():
            own = urlsplit(self.search or next(iter(self.start_urls), "") or self.example)
        return urlsplit(url)._replace(scheme=own.scheme, netloc=own.netloc).geturl()

    @classmethod
    def arguments(cls) -> list[str]:
        """Names of its own that an errand may have."""
        places = {name for url in (*cls.start_urls, cls.search) for name in re.findall(r"\{(\w+)\}", url)}
        return sorted((places - {*LISTS, "year"}) | cls.takes)

    @classmethod
    def declared_in(cls) -> str:
        """Where an operator mends it: the source's own file; of a format that no source has declared yet, theirs."""
        return "your spider" if cls.__module__.startswith("spiders.formats.") else cls.__module__

    @classmethod
    def check_arguments(cls, errand: Errand) -> None:
        """SettingsError names an argument that it does not know, and those that it does."""
        known = cls.arguments()
        if strange := sorted(errand.more.keys() - set(known)):
            every = [*known, *(name for name in LISTS if cls.search or name not in {"artist", "mbid"})]
            like = get_close_matches(strange[0], every, n=1, cutoff=0.7)
            meant = f"{like[0]}={errand.more[strange[0]]}; " if like else ""
            raise SettingsError(
                f"--arg {strange[0]}=... is not known to {cls.name}. Remedy: {meant}it knows {', '.join(every)}."
            )

    def begins_at(self) -> list[str]:
        """The first addresses for the errand. SettingsError when the spider cannot do what is asked.

        A start URL of the errand comes before the search, which comes before the spider's own.
        """
        errand = self.errand
        if errand.start_url:
            return [errand.start_url]
        if (errand.artist or errand.mbid) and self.search:
            return list(self.searches(errand))
        if errand.artist or errand.mbid:
            raise SettingsError(f"{self.name} cannot search for an artist. Remedy: leave --artist out, or --start-url.")
        if not self.start_urls:
            raise SettingsError(f"{self.name} needs a start URL. Remedy: --start-url {self.example}")
        return self.filled(self.start_urls)

    def filled(self, urls: Iterable[str]) -> list[str]:
        """The addresses whose {places} the errand's own arguments fill. SettingsError names those that are missing."""
        places = {url: re.findall(r"\{(\w+)\}", url) for url in urls}
        more = {name: quote(value, safe="") for name, value in self.errand.more.items() if value.strip()}
        found = [url.format(**more) for url, names in places.items() if set(names) <= set(more)]
        if not found:
            told = " or ".join(
                dict.fromkeys(" ".join(f"--arg {one}=..." for one in names) for names in places.values())
            )
            raise SettingsError(
                f"{self.name} needs to know whose events. Remedy: {told}, or --start-url {self.example}"
            )
        return found

    def searches(self, errand: Errand) -> Iterable[str]:
        """Addresses that find what the errand asks for: one, or one for each year where the address has {year}."""
        since = errand.since or date(1950, 1, 1)
        until = errand.until or date(self.clock().year + 2, 12, 31)
        years = range(until.year, since.year - 1, -1) if "{year}" in self.search else [until.year]
        for year in years:
            yield self.search.format(
                artist=quote(errand.artist, safe=""),
                mbid=quote(errand.mbid, safe=""),
                since=since.isoformat(),
                until=until.isoformat(),
                year=year,
            )

    async def start(self) -> AsyncIterator[Request]:
        """The first requests; without their answers there is nothing."""
        for place, url in enumerate(self.addresses):
            yield self.ask(url, priority=-place)  # one after the other, each with what it leads to

    def ask(self, url: str, *, needed: bool = True, **more: Any) -> Request:
        """A request. When one that is needed fails, so does the run: it would be incomplete."""
        url = self.mirrored(url)
        headers = self.headers()
        keyed = self._api_key and self.key_goes_to(url)
        if keyed and self.key_header:
            headers[self.key_header] = self._api_key
        if keyed and self.key_parameter:
            url = add_or_replace_parameter(url, self.key_parameter, self._api_key)
        return Request(
            url, callback=self.parse, errback=self.failed if needed else self.skipped, headers=headers, **more
        )

    def key_goes_to(self, url: str) -> bool:
        """Whether the API key may go along to an address: its own hosts by https, and where the crawl began."""
        parts, start = urlsplit(url), urlsplit(self.addresses[0])
        began = (parts.scheme, parts.netloc) == (start.scheme, start.netloc)
        return began or (parts.scheme == "https" and parts.hostname in self.key_hosts)

    def public(self, text: str) -> str:
        """An address or a message without an API key in it, whoever wrote it there.

        Another source's key that is short may be a word: it is one as the value of a parameter only.
        """
        if self._secret or self._secrets:
            keys = self._secrets | {self._secret} - {""}
            text = re.sub(
                rf"([?&]|^)[^?&=\s]+=(?:{_any_of(keys)})(&|(?![\w%]))", lambda at: at[1] if at[2] else "", text
            )
            sure = {key for key in keys if key == self._secret or len(key) >= SURE_SECRET}
            text = re.sub(_any_of(sure), "***", text) if sure else text
        return text

    def keyless(self, url: str) -> str:
        """An address without the parameter that carries the API key, whatever stands in it."""
        if self.key_parameter and f"{self.key_parameter}=" in url:
            url = url_query_cleaner(url, [self.key_parameter], remove=True, unique=False, keep_fragments=True)
        return self.public(url)

    def headers(self) -> dict[str, str]:
        """Headers of every request, besides Scrapy's own and the key's."""
        return {}

    def parse(self, response: Response, **kwargs: Any) -> Iterable[Item | Request]:
        """Count the page and read it; what is of a night that the errand does not ask for is left out."""
        self.pages += 1
        if self.mirror:
            response = response.replace(url=self.official(response.url))
        for found in self.read(response):
            if isinstance(found, RawMessage) and not self.in_range(told_night(found.fields.get("date"))):
                self.outside += 1
            else:
                yield found

    def read(self, response: Response) -> Iterable[Item | Request]:
        """Messages, unreadable pieces and further requests of one page."""
        raise NotImplementedError

    def failed(self, failure: Failure) -> None:
        """A page that was needed could not be had."""
        if not isinstance(failure.value, Left):
            told = self.public(_why(failure))
            self.faults.append(told)
            if isinstance(failure.value, HttpError) or not isinstance(failure.value, IgnoreRequest):
                self.unanswered.add(told)

    def skipped(self, failure: Failure) -> None:
        """A link that leads nowhere; sites have them. One that fails for a while leaves a gap."""
        error = failure.value
        if isinstance(error, Left):
            return
        why = self.public(_why(failure))
        self.logger.warning("not read: %s", why)
        if isinstance(error, HttpError):
            passes = error.response.status >= 500 or error.response.status in PASSING
        else:
            passes = not isinstance(error, IgnoreRequest | DownloadCancelledError)
        if passes:
            self.unread = self.unread or f"a link could not be read, so nothing counts as gone: {why}"

    def saw(self, position: str) -> None:
        """Tell how far the source was read; positions sort as text. The largest becomes the watermark."""
        self.newest = max(self.newest, position)

    def in_range(self, day: date | None) -> bool:
        """Whether a night is one that the errand asks for; one that cannot be told is."""
        errand = self.errand
        return day is None or (errand.since or day) <= day <= (errand.until or day)

    def seen_at(self, changed: datetime | None) -> datetime:
        """When the source last changed the item, if it says so and can be believed; else now."""
        now = self.clock()
        return changed if changed is not None and changed <= now + CLOCK_SKEW else now

    def item(
        self,
        response: Response,
        *,
        source_id: str,
        fields: Mapping[str, Any],
        payload: Any,
        payload_type: str,
        changed: datetime | None,
        url: str | None = None,
    ) -> Item:
        """The raw message of one item. `payload` is the item as the source has it, decoded."""
        body = orjson.dumps(payload).decode()
        try:
            return envelope(
                self.message,
                source=self.catalogue,
                source_id=source_id,
                seen_at=self.seen_at(changed),
                spider=self.name,
                fields=fields,
                url=self.public(url or response.url),
                payload=body,
                payload_type=payload_type,
            )
        except MessageError as error:
            told = f"{error.text} ({called(fields) or short(source_id)})"
            return self.unreadable(response, Reason(error.reason), told, body.encode())

    def unreadable(self, response: Response, reason: Reason, text: str, original: bytes) -> Unreadable:
        """Why there is no message."""
        return Unreadable(self.message.topic, self.catalogue, self.public(response.url), reason, text, original)


def called(fields: Mapping[str, Any]) -> str:
    """What people call a row that was refused: 'Moths, 2014-11-14'; empty where it says neither."""
    name = next((one for one in map(fields.get, ("title", "artist", "name")) if isinstance(one, str) and one), "")
    day = fields.get("date")
    return ", ".join(short(one) for one in (name, day if isinstance(day, str) else "") if one)


def short(text: str, most: int = 80) -> str:
    """On one line, cut where it is longer."""
    told = " ".join(text.split())
    return told if len(told) <= most else f"{told[: most - 1]}…"


def _any_of(keys: Iterable[str]) -> str:
    spelled = {one for key in keys for one in spellings(key)}
    return "|".join(map(re.escape, sorted(spelled, key=len, reverse=True)))


def spellings(key: str) -> list[str]:
    """An API key as it stands in texts and addresses, the longest first."""
    return sorted({key, quote(key), quote(key, safe=""), quote_plus(key), quote_plus(key, safe="/")}, key=len)[::-1]


def _why(failure: Failure) -> str:
    error = failure.value
    request = getattr(failure, "request", None)
    if isinstance(error, HttpError):
        place = (error.response.headers.get("Location") or b"").decode("latin-1")
        told = f"{error.response.url} answered {error.response.status}"
        if place:
            known = urlsplit(place).scheme in {"", "http", "https"}
            told += f", to {place}" + ("" if known else ": refused, only http: and https: are asked")
    else:
        url = request.url if request is not None else "a page"
        told = f"{url}: {str(error) or type(error).__name__}"
    tries = (request.meta.get("retry_times", 0) if request is not None else 0) + 1
    return f"{told} (tried {tries} times)" if tries > 1 else told


def http_date(response: Response, name: str = "Last-Modified") -> datetime | None:
    """The time in a header, where there is one that can be read."""
    written = response.headers.get(name)
    if written is None:
        return None
    try:
        moment = parsedate_to_datetime(written.decode("latin-1"))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def told_night(written: Any) -> date | None:
    """The night in a message's date where it is written year first; before 05:00 it is that of the evening before.

    None for anything else: a date in another form is read by normalising, and cannot be told here.
    """
    found = _MOMENT.match(written) if isinstance(written, str) else None
    if found is None:
        return None
    try:
        day = date.fromisoformat(found[1])
    except ValueError:
        return None
    early = found[2] is not None and found[2] < "05:00" and found[2] != "00:00"  # midnight is a day without an hour
    return day - timedelta(days=1) if early and day > date.min else day


def dig(value: Any, *path: str) -> Any:
    """What stands at this path of nested objects; None when a step is missing or is no object."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def words(value: Any) -> str | None:
    """A text without blanks around it; None when it is no text or empty."""
    return value.strip() or None if isinstance(value, str) else None


def number(value: Any) -> Any:
    """A number out of what may be a text; what is none stays as it was written."""
    if isinstance(value, str) and value.strip():
        try:
            found = float(value)
        except ValueError:
            return value.strip()
        return int(found) if found.is_integer() and "." not in value else found
    return None if value == "" else value


def listed(value: Any) -> Iterator[Any]:
    """One after the other, whether there are none, one or a list of them."""
    if isinstance(value, list):
        yield from value
    elif value is not None:
        yield value
