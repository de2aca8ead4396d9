"""What every spider does: start at one address, read pages, give raw messages, say what went wrong.

A source declares itself in class attributes; a format base reads its pages. What a source sends is not judged here: a
date that cannot be, or a missing venue, goes along as it was written, and normalising decides. Only what cannot become
a message at all is `Unreadable`.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, TypeAlias
from urllib.parse import urlsplit

import orjson
from scrapy import Request, Spider
from scrapy.http import Response
from scrapy.spidermiddlewares.httperror import HttpError
from twisted.python.failure import Failure

from schemas.message import MessageError
from schemas.raw import RawMessage
from schemas.rejection import Reason
from schemas.rows import envelope

Clock: TypeAlias = Callable[[], datetime]
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
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


Item: TypeAlias = RawMessage | Unreadable


def utc_now() -> datetime:
    """The clock of this machine."""
    return datetime.now(UTC)


class SourceSpider(Spider):
    """A source, as declared: what it is called, what it gives, how it wants to be treated."""

    name: str
    format: ClassVar[str]
    """The family of sources whose pages it can read."""
    message: ClassVar[type[RawMessage]]
    topic: ClassVar[str]
    """Where its messages go: the message's."""
    source: ClassVar[str] = ""
    """The catalogue's name in every message. Empty: the host, for formats that many sites share."""
    licence: ClassVar[str] = ""
    """On what terms the source may be read."""
    politeness: ClassVar[str] = ""
    """How fast it is read, in words; the numbers are in `custom_settings`."""
    example: ClassVar[str] = ""
    """A start URL to copy."""
    key_setting: ClassVar[str] = ""
    """The setting that holds the source's API key, where it wants one."""
    key_hosts: ClassVar[frozenset[str]] = frozenset()
    """The hosts that may see the key; loopback may as well."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "message" in cls.__dict__:
            cls.topic = cls.message.topic

    def __init__(
        self, start_url: str, source: str = "", api_key: str = "", clock: Clock = utc_now, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.start_url = start_url
        self.host = urlsplit(start_url).hostname or ""
        self.allowed_domains = [self.host]
        self.catalogue = source or self.source or self.host
        self.pages = 0
        self.faults: list[str] = []
        self._api_key = api_key if self.host in self.key_hosts | LOOPBACK else ""
        self._clock = clock

    async def start(self) -> AsyncIterator[Request]:
        """The first request; without its answer there is nothing."""
        yield self.ask(self.start_url)

    def ask(self, url: str, *, needed: bool = True) -> Request:
        """A request. When one that is needed fails, so does the run: it would be incomplete."""
        return Request(
            url, callback=self.parse, errback=self.failed if needed else self.skipped, headers=self.headers()
        )

    def headers(self) -> dict[str, str]:
        """Headers of every request, besides Scrapy's own."""
        return {}

    def parse(self, response: Response, **kwargs: Any) -> Iterable[Item | Request]:
        """Count the page and read it."""
        self.pages += 1
        yield from self.read(response)

    def read(self, response: Response) -> Iterable[Item | Request]:
        """Messages, unreadable pieces and further requests of one page."""
        raise NotImplementedError

    def failed(self, failure: Failure) -> None:
        """A page that was needed could not be had."""
        self.faults.append(_why(failure))

    def skipped(self, failure: Failure) -> None:
        """A link that leads nowhere; sites have them."""
        self.logger.warning("not read: %s", _why(failure))

    def seen_at(self, changed: datetime | None) -> datetime:
        """When the source last changed the item, if it says so and can be believed; else now."""
        now = self._clock()
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
                url=url or response.url,
                payload=body,
                payload_type=payload_type,
            )
        except MessageError as error:
            return self.unreadable(response, Reason(error.reason), error.text, body.encode())

    def unreadable(self, response: Response, reason: Reason, text: str, original: bytes) -> Unreadable:
        """Why there is no message."""
        return Unreadable(self.message.topic, self.catalogue, response.url, reason, text, original)


def _why(failure: Failure) -> str:
    error = failure.value
    request = getattr(failure, "request", None)
    url = request.url if request is not None else "a page"
    if isinstance(error, HttpError):
        return f"{error.response.url} answered {error.response.status}"
    return f"{url}: {str(error) or type(error).__name__}"


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
