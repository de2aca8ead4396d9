"""How a request goes out: after its turn, to an address that was checked, and an answer is bounded from its first byte.

Scrapy's own handler bounds the body (DOWNLOAD_MAXSIZE) and the whole time from connecting to the last byte
(DOWNLOAD_TIMEOUT); a head without end, lines of it or one 1xx answer after the other, it would read for all that time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from scrapy import Request
from scrapy.core.downloader.handlers.file import FileDownloadHandler
from scrapy.core.downloader.handlers.http11 import (
    HTTP11DownloadHandler,
    _LenientHTTP11ClientFactory,
    _LenientHTTP11ClientProtocol,
    _ScrapyAgent,
)
from scrapy.crawler import Crawler
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadFailedError,
    ResponseDataLossError,
)
from scrapy.http import Response
from scrapy.utils._download_handlers import wrap_twisted_exceptions
from scrapy.utils.defer import maybe_deferred_to_future
from scrapy.utils.httpobj import urlparse_cached
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure
from twisted.web._newclient import HEADER, STATUS
from twisted.web.client import Agent
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer  # type: ignore[import-untyped]

from deploy.settings import PREFIX
from spiders.formats.base import Left, SourceSpider
from spiders.polite.guard import Guard, plain
from spiders.polite.limits import AskedToWait, Limits, LimitsAway, QuotaUsed

LARGEST_HEAD = 128 * 1024
"""Bytes before a body: no server needs a tenth of it."""


class HeadTooLong(Exception):
    """An answer whose body never begins."""


class Download(HTTP11DownloadHandler):
    """Scrapy's handler with a turn before each request, a checked address and a bounded head."""

    limits: ClassVar[Limits | None] = None
    """None: Scrapy's own pace, that of this process, is all there is."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._pool._factory = _BoundedFactory
        self._guard = Guard(frozenset(crawler.settings.getlist("GIGZ_PRIVATE_HOSTS")))

    async def download_request(self, request: Request) -> Response:
        """The answer. Refused, Left, AskedToWait and Scrapy's download errors, in words."""
        async with self._turn(request):
            try:
                return await self._answer(request)
            except DownloadFailedError as error:
                cause = reason_of(error)
                told = str(cause) or type(cause).__name__
                if isinstance(cause, HeadTooLong):
                    raise DownloadCancelledError(told) from error
                raise DownloadFailedError(f"no HTTP answer: {told}") from error
            except ResponseDataLossError as error:
                raise ResponseDataLossError("the answer broke off before its end") from error
            except DownloadCancelledError as error:
                most = request.meta.get("download_maxsize", self._default_maxsize)
                raise DownloadCancelledError(f"more than {most:,} bytes: left{larger(request)}") from error

    async def _answer(self, request: Request) -> Response:
        from twisted.internet import reactor  # only now is it the right one

        agent = _CheckedAgent(
            guard=self._guard,
            reactor=reactor,
            contextFactory=self._contextFactory,
            pool=self._pool,
            maxsize=self._default_maxsize,
            warnsize=self._default_warnsize,
            fail_on_dataloss=self._fail_on_dataloss,
            crawler=self._crawler,
        )
        with wrap_twisted_exceptions():
            response: Response = await maybe_deferred_to_future(agent.download_request(request))
        return response

    @asynccontextmanager
    async def _turn(self, request: Request) -> AsyncIterator[None]:
        crawler = self._crawler
        spider = crawler.spider
        assert isinstance(spider, SourceSpider)
        every_s = request.meta.get("every_s")
        if self.limits is None or every_s is None:
            yield
            return
        slot = crawler.engine.downloader.slots.get(str(request.meta.get("download_slot")))
        every_s = max(every_s, slot.delay if slot is not None else 0.0)  # AutoThrottle's
        host = host_of(request)
        counts = not request.meta.get("is_robots")
        try:
            async with self.limits.turn(
                host, every_s, spider.pace.at_once, counts=counts, leaving=lambda: leaving(crawler)
            ):
                yield
        except QuotaUsed as error:
            spider.cut = spider.cut or str(error)
            spider.leaving = spider.leaving or str(error)
            raise
        except LimitsAway as error:
            if not spider.leaving and not leaving(crawler):
                spider.faults.append(str(error))
            spider.leaving = spider.leaving or str(error)
            raise
        except AskedToWait as error:
            spider.unread = spider.unread or str(error)
            raise


class OwnFile(FileDownloadHandler):
    """A file that an operator named as the start of a crawl: the guard lets nothing else come here."""


def leaving(crawler: Crawler) -> bool:
    """Whether the crawl is ending: nothing more goes out."""
    engine = crawler.engine
    return bool(engine is None or not engine.running or getattr(crawler.spider, "leaving", ""))


def check_leaving(crawler: Crawler) -> None:
    """Left when the crawl is ending."""
    if leaving(crawler):
        raise Left("the crawl is ending")


def host_of(request: Request) -> str:
    """Whose limits hold: the name, on whichever port."""
    return plain(urlparse_cached(request).hostname or "")


def larger(request: Request) -> str:
    """What lets a page through that is too large; nothing does for robots.txt."""
    return (
        "" if request.meta.get("is_robots") else f". Remedy: {PREFIX}PAGE_MB, where the source is known to be as large."
    )


def reason_of(error: BaseException) -> BaseException:
    """Why an answer failed: Twisted wraps the reason in lists."""
    while True:
        reasons = getattr(error, "reasons", None)
        inner = reasons[0].value if reasons else error.__cause__
        if not isinstance(inner, BaseException):
            return error
        error = inner


class _CheckedAgent(_ScrapyAgent):
    def __init__(self, *, guard: Guard, reactor: Any, **more: Any) -> None:
        super().__init__(**more)
        self._guard = guard
        self._reactor = reactor

    def _get_agent(self, request: Request, timeout: float) -> Agent:
        """Ours: no proxy comes between, because behind one no address can be checked."""
        endpoints = _CheckedEndpoints(self._reactor, self._guard, self._contextFactory, timeout)
        agent: Agent = Agent.usingEndpointFactory(  # type: ignore[no-untyped-call]
            self._reactor, endpoints, self._pool
        )
        return agent


@implementer(IAgentEndpointFactory)
class _CheckedEndpoints:
    def __init__(self, reactor: Any, guard: Guard, tls: Any, timeout: float) -> None:
        self._reactor, self._guard, self._tls, self._timeout = reactor, guard, tls, timeout

    def endpointForURI(self, uri: Any) -> Any:
        endpoint: Any = _CheckedEndpoint(self._reactor, self._guard, uri.host.decode("ascii"), uri.port, self._timeout)
        if uri.scheme == b"https":
            return wrapClientTLS(self._tls.creatorForNetloc(uri.host, uri.port), endpoint)
        return endpoint


@implementer(IStreamClientEndpoint)
class _CheckedEndpoint:
    def __init__(self, reactor: Any, guard: Guard, host: str, port: int, timeout: float) -> None:
        self._reactor, self._guard, self._host, self._port, self._timeout = reactor, guard, host, port, timeout

    def connect(self, factory: Any) -> "Deferred[Any]":
        return Deferred.fromFuture(asyncio.ensure_future(self._connect(factory)))

    async def _connect(self, factory: Any) -> Any:
        """Connect to the first of the checked addresses that answers."""
        last: Exception | None = None
        for address in await self._guard.addresses(self._host, self._port):
            kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
            endpoint = kind(self._reactor, address, self._port, self._timeout)
            try:
                return await maybe_deferred_to_future(endpoint.connect(factory))
            except Exception as error:
                last = error
        raise last or CannotResolveHostError(f"there is no host {self._host}")


class _BoundedProtocol(_LenientHTTP11ClientProtocol):
    _head = 0

    def request(self, request: Any) -> Any:
        self._head = 0
        answer = super().request(request)
        if self._parser is not None:
            self._parser.MAX_LENGTH = LARGEST_HEAD  # of a line; what is longer would end it without a reason
        return answer

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)  # type: ignore[no-untyped-call]
        parser = self._parser
        if parser is None or parser.state not in (STATUS, HEADER):
            return
        self._head += len(data)
        if self._head > LARGEST_HEAD:
            transport: Any = self.transport
            error = HeadTooLong(f"more than {LARGEST_HEAD:,} bytes of headers and no body: left")
            self._giveUp(Failure(error))  # type: ignore[no-untyped-call]
            transport.abortConnection()


class _BoundedFactory(_LenientHTTP11ClientFactory):
    def buildProtocol(self, addr: Any) -> _BoundedProtocol:
        return _BoundedProtocol(self._quiescentCallback)  # type: ignore[no-untyped-call]
