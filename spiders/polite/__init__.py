"""How every spider behaves on other people's servers, and Scrapy's settings that follow from it.

guard     which addresses may be asked at all
limits    how often, by all processes together
download  a request's way out, and the bounds of an answer
manners   robots.txt, redirects, retries, pages without end
pages     what is kept to ask only whether it changed
"""

import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scrapy.downloadermiddlewares.httpcache import HttpCacheMiddleware
from scrapy.downloadermiddlewares.httpcompression import HttpCompressionMiddleware
from scrapy.downloadermiddlewares.offsite import OffsiteMiddleware
from scrapy.downloadermiddlewares.redirect import MetaRefreshMiddleware, RedirectMiddleware
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.settings import Settings as ScrapySettings
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.settings import Settings
from deploy.turns import LONGEST_WAIT_S, quota_of
from spiders.formats.base import SourceSpider, utc_now
from spiders.polite.download import Download, OwnFile
from spiders.polite.guard import Guard, Refused, port_of
from spiders.polite.limits import Limits
from spiders.polite.manners import (
    OWN,
    Asking,
    Circles,
    PatientRetry,
    Redirect,
    Refresh,
    Robots,
    Scrub,
    Unpack,
    retry_after,
    secret_in,
    wait_s,
)
from spiders.polite.pages import Conditional, PageCache, Pages

__all__ = ["LONGEST_WAIT_S", "Guard", "Refused", "polite", "retry_after", "scrapy_settings", "wait_s"]

AT_ONCE_OWN = 8
MEGABYTE = 1_048_576


@asynccontextmanager
async def polite(
    settings: Settings, engine: AsyncEngine, holder: str, spider: type[SourceSpider], *, fresh: bool = False
) -> AsyncIterator[ScrapySettings]:
    """Scrapy's settings for one run of this spider, with what they need open behind them.

    `holder` names the run in leases; `fresh` asks for every page as if it were not known.
    """
    key: str = getattr(settings, spider.key_setting).get_secret_value() if spider.key_setting else ""
    limits = Limits(
        engine,
        holder,
        quota_of(spider.key_setting, key, spider.pace.a_day, spider.name),
        clock=utc_now,
        deadline_s=settings.retry_deadline_s,
        lease_s=settings.page_timeout_s,
    )
    pages = settings.home / "pages" / spider.name if settings.page_cache_mb else None
    with unlogged(key, spider.key_parameter):
        yield scrapy_settings(settings, spider, limits=limits, pages=pages, fresh=fresh)


def scrapy_settings(
    settings: Settings,
    spider: type[SourceSpider],
    *,
    limits: Limits | None = None,
    pages: Path | None = None,
    fresh: bool = False,
) -> ScrapySettings:
    """What holds for every spider, and the spider's own pace.

    Without `limits` the pace is kept by this process alone; without `pages` none are kept.
    """
    pace = spider.pace

    def ours(kind: type[Any]) -> type[Any]:
        return type(kind.__name__, (kind,), {"limits": limits})  # settings are copied deeply: they can hold a class

    download = ours(Download)
    return ScrapySettings(
        {
            "USER_AGENT": settings.user_agent,
            "ROBOTSTXT_OBEY": True,
            "DOWNLOAD_HANDLERS": {
                "http": download,
                "https": download,
                "file": OwnFile,
                "data": None,
                "ftp": None,
                "s3": None,
            },
            "DOWNLOADER_MIDDLEWARES": {
                OffsiteMiddleware: None,
                ours(Asking): 50,
                RobotsTxtMiddleware: None,
                ours(Robots): 100,
                RetryMiddleware: None,
                ours(PatientRetry): 550,
                MetaRefreshMiddleware: None,
                ours(Refresh): 580,
                HttpCompressionMiddleware: None,
                ours(Unpack): 590,
                HttpCacheMiddleware: None,
                PageCache: 585,  # of pages as they are once unpacked and without a key
                ours(Scrub): 587,
                RedirectMiddleware: None,
                ours(Redirect): 600,
            },
            "SPIDER_MIDDLEWARES": {ours(Circles): 950},
            "HTTPPROXY_ENABLED": False,  # behind a proxy no address can be checked
            "REFERRER_POLICY": "strict-origin-when-cross-origin",
            "RETRY_TIMES": settings.page_retries,
            "DOWNLOAD_DELAY": pace.every_s,
            "DOWNLOAD_DELAY_JITTER": 0,
            "CONCURRENT_REQUESTS_PER_DOMAIN": pace.at_once,
            "DOWNLOAD_SLOTS": {OWN: {"concurrency": AT_ONCE_OWN, "delay": 0, "jitter": 0}},
            "AUTOTHROTTLE_ENABLED": pace.adapts,
            "AUTOTHROTTLE_START_DELAY": 2.0,
            "COOKIES_ENABLED": False,
            "HTTPCACHE_ENABLED": pages is not None,
            "HTTPCACHE_DIR": str(pages or ""),
            "HTTPCACHE_POLICY": Conditional,
            "HTTPCACHE_STORAGE": Pages,
            "REDIRECT_MAX_TIMES": 5,
            # The nearest pages first: one that is met far away first would be too deep to go on from.
            "DEPTH_PRIORITY": 1,
            "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
            "DOWNLOAD_TIMEOUT": settings.page_timeout_s,
            "DOWNLOAD_MAXSIZE": int(settings.page_mb * MEGABYTE),
            "DOWNLOAD_WARNSIZE": 0,
            "DOWNLOAD_VERIFY_CERTIFICATES": True,
            "TELNETCONSOLE_ENABLED": False,
            "STATS_DUMP": False,
            "GIGZ_PRIVATE_HOSTS": sorted(settings.hosts_private | spider.private_hosts | mirror_of(settings, spider)),
            "GIGZ_OWN_HOSTS": sorted(settings.hosts_own),
            "GIGZ_PAGES_MOST": settings.pages_most,
            "GIGZ_PAGES_BYTES": settings.page_cache_mb * MEGABYTE,
            "GIGZ_PAGES_FRESH": fresh,
        }
    )


def mirror_of(settings: Settings, spider: type[SourceSpider]) -> frozenset[str]:
    """Host and port of the spider's mirror: whoever names it means it, private or not."""
    origin = urlsplit(settings.mirrors.get(spider.name, ""))
    if not origin.hostname:
        return frozenset()
    host = f"[{origin.hostname}]" if ":" in origin.hostname else origin.hostname
    return frozenset({f"{host}:{port_of(origin)}"})


@contextmanager
def unlogged(key: str, parameter: str) -> Iterator[None]:
    """While it is open, records of the standard library's logging are without the API key, Scrapy's among them."""
    pattern = secret_in(key, parameter)
    if pattern is None:
        yield
        return

    def scrubbed(record: logging.LogRecord) -> bool:
        told = record.getMessage()
        if record.exc_info:
            told += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        if pattern.search(told.encode("utf-8", "replace")):
            record.msg = pattern.sub(b"***", told.encode("utf-8", "replace")).decode()
            record.args, record.exc_info, record.exc_text = (), None, None
        return True

    handlers = [*logging.getLogger().handlers]
    for handler in handlers:
        handler.addFilter(scrubbed)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(scrubbed)
