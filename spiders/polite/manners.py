"""Scrapy's middlewares as they behave here: what may be asked, robots.txt, redirects, retries, pages without end."""

import asyncio
import hashlib
import random
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar

from scrapy import Request, signals
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.downloadermiddlewares.redirect import MetaRefreshMiddleware, RedirectMiddleware
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
)
from scrapy.http import Response
from scrapy.http.request import NO_CALLBACK
from scrapy.robotstxt import ProtegoRobotParser, RobotParser
from scrapy.utils.httpobj import urlparse_cached
from sqlalchemy.exc import SQLAlchemyError

from deploy.turns import LONGEST_WAIT_S, means_the_day
from spiders.formats.base import SURE_SECRET, Item, Left, SourceSpider, spellings, utc_now
from spiders.polite.download import check_leaving, host_of, larger, leaving
from spiders.polite.guard import Guard, Refused, plain
from spiders.polite.limits import Limits, LimitsAway, QuotaUsed, pause

FIRST_WAIT_S = 1.0
ROBOTS_RETRIES = 2
LARGEST_ROBOTS = 512 * 1024
"""RFC 9309 wants 500 KiB read at least."""
MOST_BEYOND = 100_000
"""Links remembered that are too deep: enough that some of an endless site are among them."""
OWN = "own hosts"
"""The slot of those that are asked without a pause."""


class Manners:
    """What the middlewares share."""

    limits: ClassVar[Limits | None] = None
    crawler: Crawler

    @property
    def spider(self) -> SourceSpider:
        """The one that crawls."""
        spider = self.crawler.spider
        assert isinstance(spider, SourceSpider)
        return spider

    def leaving(self) -> bool:
        """Whether the crawl is ending."""
        return leaving(self.crawler)

    def leave(self, error: QuotaUsed) -> QuotaUsed:
        """End in order: what is left for today is nothing."""
        self.spider.cut = self.spider.cut or str(error)
        self.spider.leaving = self.spider.leaving or str(error)
        return error


class Asking(Manners):
    """The first that sees a request: whether it may be sent, and at which pace."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        self._guard = Guard(frozenset(crawler.settings.getlist("GIGZ_PRIVATE_HOSTS")))
        self._own = frozenset(crawler.settings.getlist("GIGZ_OWN_HOSTS"))
        self._looked = False

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> "Asking":
        """As Scrapy makes one."""
        return cls(crawler)

    async def process_request(self, request: Request) -> None:
        """Refused, Left, QuotaUsed; else the request knows its pace."""
        check_leaving(self.crawler)
        if request.url.startswith("file:") and request.url in self.spider.addresses:
            return  # an operator's own file; no page leads to one
        why = self._guard.refusal(request.url)
        if why:
            raise Refused(why)
        host = host_of(request)
        if not request.meta.get("is_robots") and not on_site(host, self.spider.allowed_domains):
            raise IgnoreRequest(f"is on {host}, another host: not followed")
        own = not self._own.isdisjoint({host, f"{host}:{urlparse_cached(request).port}"})
        request.meta["download_slot"] = OWN if own else host
        request.meta["autothrottle_dont_adjust_delay"] = own
        request.meta["every_s"] = None if own else self.spider.pace.every_s
        if not own and not self._looked:
            await self._look()

    async def _look(self) -> None:
        """Say at once, before anything is asked, that the day is used up."""
        self._looked = True
        if self.limits is None:
            return
        try:
            left = await self.limits.left()
        except (SQLAlchemyError, OSError):
            return  # the request's turn waits for Postgres and says so
        if left == 0:
            raise self.leave(QuotaUsed(self.limits.used_up()))


def on_site(host: str, domains: Iterable[str]) -> bool:
    """Whether a host is one of these, below one, or the same without `www.`."""
    return any(
        host == domain or host.endswith(f".{domain}") or f"www.{host}" == domain for domain in map(plain, domains)
    )


class Robots(Manners, RobotsTxtMiddleware):
    """robots.txt by RFC 9309, through Protego: 4xx allows everything, a host that cannot say forbids everything."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._rules: dict[str, asyncio.Future[RobotParser]] = {}

    async def process_request(self, request: Request) -> None:  # type: ignore[override]
        """Raises IgnoreRequest for what is forbidden; slows down to a Crawl-delay."""
        if request.meta.get("is_robots") or not request.url.startswith(("http:", "https:")):
            return
        rules = await self.robot_parser(request)
        self.process_request_2(rules, request)
        delay = rules.crawl_delay(self._robotstxt_useragent or self._default_useragent)
        if delay is None or request.meta.get("every_s") is None:
            return
        if delay > LONGEST_WAIT_S:
            raise IgnoreRequest(
                f"robots.txt wants {delay:g} s between two requests, and {LONGEST_WAIT_S:g} s is the most: left alone"
            )
        if delay > request.meta["every_s"]:
            request.meta["every_s"] = delay
            if self.limits is None:
                slot = self.crawler.engine.downloader._get_slot(request)[1]
                slot.delay = max(slot.delay, delay)

    async def robot_parser(self, request: Request) -> RobotParser:
        """The rules of a site, asked for once. IgnoreRequest when it cannot say what they are."""
        url = urlparse_cached(request)
        site = f"{url.scheme}://{url.netloc}"
        if site not in self._rules:
            self._rules[site] = asyncio.ensure_future(self._fetched(f"{site}/robots.txt"))
        try:
            return await asyncio.shield(self._rules[site])
        except IgnoreRequest as error:
            if isinstance(error, Left | Refused):
                raise
            raise type(error)(*error.args) from error
        except Exception as error:
            raise IgnoreRequest(
                f"{site}/robots.txt cannot be had, so nothing may be read: {str(error) or type(error).__name__}"
            ) from error

    async def _fetched(self, url: str) -> RobotParser:
        request = Request(
            url,
            priority=self.DOWNLOAD_PRIORITY,
            meta={
                "is_robots": True,
                "dont_obey_robotstxt": True,
                "max_retry_times": ROBOTS_RETRIES,
                "download_maxsize": LARGEST_ROBOTS,
            },
            callback=NO_CALLBACK,
        )
        response = await self.crawler.engine.download_async(request)
        if self.crawler.stats is not None and "cached" not in response.flags:
            self.crawler.stats.inc_value(f"robotstxt/response_status_count/{response.status}")
        if response.status >= 500 or response.status == 429:
            raise IgnoreRequest(f"{url} answered {response.status}: what may be read is not known, so nothing is")
        body = response.body if 200 <= response.status < 300 else b""
        return ProtegoRobotParser.from_crawler(self.crawler, body)


class KeepKey(Manners):
    """What a redirect must not take along."""

    def _build_redirect_request(self, source_request: Request, response: Response, **more: Any) -> Request:
        redirected: Request = super()._build_redirect_request(  # type: ignore[misc]
            source_request, response, **more
        )
        spider = self.spider
        if not spider.key_goes_to(redirected.url):
            redirected = redirected.replace(url=spider.keyless(redirected.url))
            if spider.key_header:
                redirected.headers.pop(spider.key_header, None)
        for name in ("If-None-Match", "If-Modified-Since"):  # they are about the page that sent us away
            redirected.headers.pop(name, None)
        redirected.meta.pop("cached_response", None)
        return redirected

    def _redirect(self, redirected: Request, request: Request, reason: Any) -> Request:
        way = [*request.meta.get("redirect_urls", []), request.url]
        if redirected.url in way:
            raise IgnoreRequest(f"redirects in a circle: {' -> '.join([*way, redirected.url])}")
        try:
            again: Request = super()._redirect(redirected, request, reason)  # type: ignore[misc]
        except IgnoreRequest as error:
            most = self.max_redirect_times  # type: ignore[attr-defined]
            raise IgnoreRequest(f"redirects more than {most} times: {way[0]} ... {redirected.url}") from error
        if needed(again, self.spider):
            again.dont_filter = True  # dropped as one that was seen, it would be missing without a word
        return again


class Redirect(KeepKey, RedirectMiddleware):
    """By status and Location."""


class Refresh(KeepKey, MetaRefreshMiddleware):
    """By a page's meta tag."""


class PatientRetry(Manners, RetryMiddleware):
    """Scrapy's retries, which come at once, with a wait before each: Retry-After, or 1, 2, 4, 8 s and some jitter.

    A Retry-After holds for all processes.
    """

    async def process_response(  # type: ignore[override]
        self, request: Request, response: Response
    ) -> Request | Response:
        """A request to send again after a wait, or the response when it is good or the server asks for too long."""
        again = super().process_response(request, response)
        asked = retry_after(response) if response.status in {429, 503} else None
        too_long = asked is not None and asked > LONGEST_WAIT_S
        if asked is not None:
            await self._tell_all(request, asked)
        if response.status == 429 and means_the_day(asked, response.body, bool(self.spider.key_setting)):
            await self._used_up(request)
        if not isinstance(again, Request) or too_long:
            return response
        wait = wait_s(again) if asked is None else asked
        if asked is None and response.status in {429, 503}:
            await self._tell_all(request, wait)
        await pause(wait, self.leaving)
        check_leaving(self.crawler)
        return again

    async def process_exception(  # type: ignore[override]
        self, request: Request, exception: Exception
    ) -> Request | Response | None:
        """The same for a connection that broke; one that hangs or breaks off is tried once more, no oftener."""
        most = 1 if isinstance(exception, DownloadTimeoutError | ResponseDataLossError) else self.max_retry_times
        most = min(most, 2) if isinstance(exception, CannotResolveHostError) else most
        if request.meta.get("retry_times", 0) >= most:
            return None
        again = super().process_exception(request, exception)
        if isinstance(again, Request):
            await pause(wait_s(again), self.leaving)
            check_leaving(self.crawler)
        return again

    async def _tell_all(self, request: Request, seconds: float) -> None:
        every_s = request.meta.get("every_s")
        if self.limits is None or every_s is None:
            return
        try:
            await self.limits.pause(host_of(request), seconds, every_s, self.leaving)
        except LimitsAway as error:
            self.spider.faults.append(str(error))
            self.spider.leaving = str(error)
            raise

    async def _used_up(self, request: Request) -> None:
        """The source says that nothing is left of the day."""
        said = f"{self.spider.public(request.url)} answered 429"
        if self.limits is None:
            raise self.leave(QuotaUsed(f"the day's quota is used up: {said}"))
        await self.limits.use_up(self.leaving)
        raise self.leave(QuotaUsed(self.limits.used_up(said)))


def wait_s(again: Request) -> float:
    """Doubles with every try."""
    tries: int = again.meta.get("retry_times", 1)
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (tries - 1)) * random.uniform(0.75, 1.25)


def retry_after(response: Response) -> float | None:
    """Seconds that the server asks to wait, as a number or as a date; None when it does not say."""
    written = (response.headers.get("Retry-After") or b"").decode("latin-1").strip()
    if re.fullmatch(r"[0-9]{1,12}", written):
        return float(written)
    try:
        return max(0.0, (parsedate_to_datetime(written) - utc_now()).total_seconds())
    except (TypeError, ValueError):
        return None


class Unpack(Manners, HttpCompressionMiddleware):
    """Scrapy's, which says in words what it would not unpack."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler=crawler)
        self.crawler = crawler

    def process_response(  # type: ignore[override]
        self, request: Request, response: Response
    ) -> Response | Request:
        """The answer unpacked. IgnoreRequest when it is too large."""
        try:
            return super().process_response(request, response)
        except IgnoreRequest as error:
            most = request.meta.get("download_maxsize", self.crawler.settings.getint("DOWNLOAD_MAXSIZE"))
            told = f"more than {most:,} bytes during decompression: left{larger(request)}"
            raise IgnoreRequest(told) from error


class Scrub(Manners):
    """Pages that repeat our API key do not carry it further: into the cache, messages, payloads."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> "Scrub":
        """As Scrapy makes one."""
        return cls(crawler)

    def process_response(self, request: Request, response: Response) -> Response:
        """The answer without the key."""
        spider = self.spider
        pattern = secret_in(spider._secret, spider.key_parameter)
        if pattern is None or not pattern.search(response.body):
            return response
        return response.replace(body=pattern.sub(b"***", response.body))


def secret_in(key: str, parameter: str) -> re.Pattern[bytes] | None:
    """Finds a key in a page: as the parameter of an address, and anywhere when it is long enough to be no word."""
    if not key:
        return None
    secret = "|".join(map(re.escape, spellings(key)))
    anywhere = [secret] if len(key) >= SURE_SECRET else []
    in_address = [rf"(?<=[?&;]{re.escape(parameter)}=)(?:{secret})(?![\w%-])"] if parameter else []
    return re.compile("|".join(in_address + anywhere).encode()) if in_address or anywhere else None


class Circles(Manners):
    """Ends what has no end: more pages than a crawl reads, links that lead on and on, a next page that is the same."""

    def __init__(self, crawler: Crawler) -> None:
        self.crawler = crawler
        self._deepest = crawler.settings.getint("DEPTH_LIMIT")
        self._beyond: dict[str, None] = {}
        self._most = crawler.settings.getint("GIGZ_PAGES_MOST")

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> "Circles":
        """As Scrapy makes one."""
        made = cls(crawler)
        crawler.signals.connect(made.read_all, signals.spider_idle)
        return made

    def read_all(self) -> None:
        """Say which links were too deep, once it is known which of them were met again further up."""
        if not self._beyond:
            return
        scheduler: Any = self.crawler.engine.scheduler
        left = [url for url in self._beyond if not scheduler.df.request_seen(Request(url))]
        self._beyond.clear()
        if left:
            spider = self.spider
            lead = "1 link leads" if len(left) == 1 else f"{len(left):,} links lead"
            told = spider.public(
                f"{lead} more than {self._deepest} steps away from {spider.start_url}, {left[0]} the first: not read, "
                "it may be endless, so nothing counts as gone. Remedy: where the source does go on there, begin there."
            )
            spider.unread = f"{spider.unread}; {told}" if spider.unread else told

    def process_spider_output(self, response: Response, result: Iterable[Item | Request]) -> Iterator[Item | Request]:
        """The same without requests that would never end."""
        page = Page(response)
        for one in result:
            if not isinstance(one, Request) or self._goes_on(page, one):
                yield one

    async def process_spider_output_async(
        self, response: Response, result: AsyncIterator[Item | Request]
    ) -> AsyncIterator[Item | Request]:
        """The same for a spider whose callbacks are asynchronous."""
        page = Page(response)
        async for one in result:
            if not isinstance(one, Request) or self._goes_on(page, one):
                yield one

    def _goes_on(self, page: "Page", request: Request) -> bool:
        spider = self.spider
        if spider.leaving:
            return False
        if self._deepest and page.response.meta.get("depth", 0) >= self._deepest:
            if len(self._beyond) < MOST_BEYOND and on_site(host_of(request), spider.allowed_domains):
                self._beyond[request.url] = None
            return False
        scheduler: Any = self.crawler.engine.scheduler
        waiting = len(scheduler) if scheduler is not None else 0
        if spider.pages + waiting >= self._most:
            self._stop(
                f"{spider.start_url} leads to more than {self._most:,} pages: left, they may be endless. Remedy: begin "
                "further down, or GIGZ_PAGES_MOST, where a source does have more."
            )
            return False
        if needed(request, spider):
            if request.url == page.response.url and request.method == page.method and not request.body:
                self._fault(f"{page.response.url} names itself as its next page: the rest cannot be read")
                return False
            if page.is_as_before:
                self._fault(f"{page.response.url} is the same page again as the one that led to it: it may be endless")
                return False
            request.meta["led_by"] = page.digest
        return True

    def _fault(self, text: str) -> None:
        self.spider.faults.append(self.spider.public(text))

    def _stop(self, text: str) -> None:
        self._fault(text)
        self.spider.leaving = self.spider.public(text)


class Page:
    """A page that requests come from."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.method = response.request.method if response.request is not None else "GET"
        self._digest = b""

    @property
    def digest(self) -> bytes:
        """Of its body."""
        if not self._digest:
            self._digest = hashlib.blake2b(self.response.body, digest_size=16).digest()
        return self._digest

    @property
    def is_as_before(self) -> bool:
        """Whether the page that led here had the same body."""
        led_by = self.response.meta.get("led_by")
        return led_by is not None and led_by == self.digest


def needed(request: Request, spider: SourceSpider) -> bool:
    """Whether the run fails without it."""
    return request.errback is not None and request.errback != spider.skipped
