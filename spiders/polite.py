"""How every spider behaves on other people's servers, and Scrapy's settings that follow from it."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime

from scrapy import Request
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.http import Response
from scrapy.settings import Settings as ScrapySettings
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.settings import Settings
from spiders.formats.base import SourceSpider, utc_now

RETRIES = 4
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 120.0
"""A server that wants to be left alone for longer is: the run fails, and a later one goes on."""
LARGEST_PAGE = 64 * 1_048_576
MOST_PAGES = 50_000
"""More than any source has; an endless calendar ends here, and the run counts as failed."""


class PatientRetry(RetryMiddleware):
    """Scrapy's retries, which come at once, with a wait before each: Retry-After, or 1, 2, 4, 8 s and some jitter."""

    async def process_response(  # type: ignore[override]
        self, request: Request, response: Response
    ) -> Request | Response:
        """A request to send again after a wait, or the response when it is good or the server asks for too long."""
        again = super().process_response(request, response)
        if not isinstance(again, Request):
            return response
        asked = retry_after(response)
        if asked is not None and asked > LONGEST_WAIT_S:
            return response
        await asyncio.sleep(wait_s(again) if asked is None else asked)
        return again

    async def process_exception(  # type: ignore[override]
        self, request: Request, exception: Exception
    ) -> Request | Response | None:
        """The same for a connection that broke."""
        again = super().process_exception(request, exception)
        if isinstance(again, Request):
            await asyncio.sleep(wait_s(again))
        return again


def wait_s(again: Request) -> float:
    """Doubles with every try."""
    tries: int = again.meta.get("retry_times", 1)
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** (tries - 1)) * random.uniform(0.75, 1.25)


def retry_after(response: Response) -> float | None:
    """Seconds that the server asks to wait, as a number or as a date; None when it does not say."""
    written = (response.headers.get("Retry-After") or b"").decode("latin-1").strip()
    if written.isdigit():
        return float(written)
    try:
        return max(0.0, (parsedate_to_datetime(written) - utc_now()).total_seconds())
    except (TypeError, ValueError):
        return None


@asynccontextmanager
async def polite(
    settings: Settings, engine: AsyncEngine, holder: str, spider: type[SourceSpider], *, fresh: bool = False
) -> AsyncIterator[ScrapySettings]:
    """Scrapy's settings for one run of this spider, with what they need open behind them.

    `holder` names the run in leases; `fresh` asks for every page as if it were not known.
    """
    yield scrapy_settings(settings, spider)


def scrapy_settings(settings: Settings, spider: type[SourceSpider]) -> ScrapySettings:
    """What holds for every spider, and the spider's own pace."""
    pace = spider.pace
    return ScrapySettings(
        {
            "USER_AGENT": settings.user_agent,
            "ROBOTSTXT_OBEY": True,
            "DOWNLOADER_MIDDLEWARES": {RetryMiddleware: None, PatientRetry: 550},
            "RETRY_TIMES": RETRIES,
            "DOWNLOAD_DELAY": 0 if settings.hosts_own else pace.every_s,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 8 if settings.hosts_own else pace.at_once,
            "AUTOTHROTTLE_ENABLED": pace.adapts and not settings.hosts_own,
            "AUTOTHROTTLE_START_DELAY": 2.0,
            "COOKIES_ENABLED": False,
            "HTTPCACHE_ENABLED": False,
            "REDIRECT_MAX_TIMES": 5,
            "DOWNLOAD_TIMEOUT": 60,
            "DOWNLOAD_MAXSIZE": LARGEST_PAGE,
            "CLOSESPIDER_PAGECOUNT": MOST_PAGES,
            "TELNETCONSOLE_ENABLED": False,
            "STATS_DUMP": False,
        }
    )
