"""Pages as they were, to ask only whether they changed: ETag and Last-Modified, 304 and the page that is kept.

Every page is asked for in every run: what a source says about how long it may be kept (max-age) is about browsers, and
a run that is sent to look, looks. A page that may not be kept (no-store) is not, one that says nothing to compare by
neither. `HOME/pages/SPIDER/<two digits>/<digest>`: one gzip file each, put in its place whole, so that two processes
share a folder and a file that is torn is one that is missing. Neither a request's headers nor an API key are in it.
"""

import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from scrapy import Request
from scrapy.downloadermiddlewares.httpcache import HttpCacheMiddleware
from scrapy.extensions.httpcache import RFC2616Policy
from scrapy.http import Headers, Response
from scrapy.responsetypes import responsetypes
from scrapy.settings import BaseSettings
from w3lib.url import canonicalize_url

from spiders.formats.base import SourceSpider

UNKEPT = (b"Set-Cookie",)
SPARE = 0.9
"""Down to this share of the limit the oldest go at once."""


class Conditional(RFC2616Policy):
    """Scrapy's reading of RFC 2616, but no page is taken for fresh, and no error answered with an old one."""

    def should_cache_response(self, response: Response, request: Request) -> bool:
        """Whole pages with something to compare by."""
        named = b"ETag" in response.headers or b"Last-Modified" in response.headers
        return response.status == 200 and named and bool(super().should_cache_response(response, request))

    def is_cached_response_fresh(self, cachedresponse: Response, request: Request) -> bool:
        """It is asked whether it changed."""
        self._set_conditional_validators(request, cachedresponse)
        return False

    def is_cached_response_valid(self, cachedresponse: Response, response: Response, request: Request) -> bool:
        """It did not."""
        return bool(response.status == 304)


class PageCache(HttpCacheMiddleware):
    """Scrapy's, without an old page in place of an error."""

    def process_exception(  # type: ignore[override]
        self, request: Request, exception: Exception
    ) -> None:
        """An error stays one."""
        request.meta.pop("cached_response", None)


class Pages:
    """Scrapy's cache storage: the folder."""

    def __init__(self, settings: BaseSettings) -> None:
        self._folder = Path(settings["HTTPCACHE_DIR"])
        self._most = int(settings.getfloat("GIGZ_PAGES_BYTES"))
        self._fresh = settings.getbool("GIGZ_PAGES_FRESH")
        self._size = 0

    def open_spider(self, spider: SourceSpider) -> None:
        """Count what is there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._evict()

    def close_spider(self, spider: SourceSpider) -> None:
        """Leave no more than may be kept."""
        self._evict()

    def retrieve_response(self, spider: SourceSpider, request: Request) -> Response | None:
        """A page as it was; None when it is not kept, cannot be read, or is to be asked for anew."""
        place = self.place(spider, request)
        if self._fresh:
            return None
        try:
            head, _, body = gzip.decompress(place.read_bytes()).partition(b"\n")
            told: dict[str, Any] = orjson.loads(head)
            headers = Headers()
            for name, value in told["headers"]:
                headers.appendlist(name, value.encode("latin-1"))
            kind = responsetypes.from_args(headers=headers, url=request.url, body=body)
            return kind(url=request.url, status=told["status"], headers=headers, body=body)
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error):
            place.unlink(missing_ok=True)
            return None

    def store_response(self, spider: SourceSpider, request: Request, response: Response) -> None:
        """Keep it. A full disk keeps nothing, and that is all."""
        headers = [
            (name.decode("latin-1"), spider.public(value.decode("latin-1")))
            for name, values in response.headers.items()
            if name not in UNKEPT
            for value in values
        ]
        head = orjson.dumps({"status": response.status, "headers": headers})
        packed = gzip.compress(head + b"\n" + response.body, compresslevel=1)
        if len(packed) > self._most:
            return
        place = self.place(spider, request)
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=place.parent, prefix=".")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(packed)
                Path(name).replace(place)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
            self._size += len(packed)
        if self._size > self._most:
            self._evict()

    def place(self, spider: SourceSpider, request: Request) -> Path:
        """Where a page is: by its address without the API key, what is sent along and the form that is wanted."""
        told = [
            request.method.encode(),
            canonicalize_url(spider.keyless(request.url)).encode(),
            request.body,
            request.headers.get("Accept") or b"",
        ]
        name = hashlib.sha256(b"\0".join(told)).hexdigest()
        return self._folder / name[:2] / name

    def _evict(self) -> None:
        """Down to the limit, the oldest first: those of all spiders count."""
        found = sorted(self._files())
        self._size = sum(size for _, size, _ in found)
        if self._size <= self._most:
            return
        for _, size, path in found:
            if self._size <= self._most * SPARE:
                break
            Path(path).unlink(missing_ok=True)
            self._size -= size

    def _files(self) -> Iterator[tuple[float, int, str]]:
        for folder, _, names in os.walk(self._folder.parent):
            for name in names:
                path = f"{folder}/{name}"
                with suppress(OSError):  # another process was quicker
                    told = Path(path).stat()
                    yield told.st_mtime, told.st_size, path
