"""How every spider behaves on other people's servers, and Scrapy's settings that follow from it."""

import asyncio
import random
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.downloadermiddlewares.retry import RetryMiddleware
from scrapy.http import Response
from scrapy.settings import Settings as ScrapySettings

from spiders.formats.base import LOOPBACK, utc_now

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


def scrapy_settings(user_agent: str, start_url: str, pipeline: type[Any]) -> ScrapySettings:
    """What holds for every spider. A spider's own pace is in its `custom_settings`."""
    settings = ScrapySettings(
        {
            "USER_AGENT": user_agent,
            "ROBOTSTXT_OBEY": True,
            "ITEM_PIPELINES": {pipeline: 500},
            "DOWNLOADER_MIDDLEWARES": {RetryMiddleware: None, PatientRetry: 550},
            "RETRY_TIMES": RETRIES,
            "CONCURRENT_REQUESTS_PER_DOMAIN": 2,
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
    if urlsplit(start_url).hostname in LOOPBACK:
        # The demo's site and tests: our own server, and nobody else's to spare. A spider follows no link off its host.
        hurry = {"DOWNLOAD_DELAY": 0, "AUTOTHROTTLE_ENABLED": False, "CONCURRENT_REQUESTS_PER_DOMAIN": 8}
        settings.setdict(hurry, priority="cmdline")
    return settings
