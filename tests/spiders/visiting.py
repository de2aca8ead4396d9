"""A crawl of a server that the test wrote, in a process of its own, as polite as any: there every warning is an error.

python -W error -m tests.spiders.visiting visit '[{"spider": ..., "url": ..., "settings": {...}}, ...]'
"""

import asyncio
import io
import json
import logging
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import orjson
from scrapy import Request
from scrapy.http import Response
from w3lib.url import add_or_replace_parameter

import spiders.crawl
from deploy.clients import postgres_engine
from deploy.settings import load
from schemas.raw import RawEvent, RawMessage
from spiders.crawl import run_crawl
from spiders.crawling import Crawling, crawl, in_reactor
from spiders.errand import errand_of
from spiders.formats.base import Item, Pace, SourceSpider
from spiders.polite import polite, scrapy_settings
from spiders.sources import SPIDERS
from tests.spiders.collecting import LOOPBACK, USER_AGENT, Collected

OURS = {"user_agent": USER_AGENT, "private_hosts": LOOPBACK, "own_hosts": LOOPBACK}
Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listing(SourceSpider):
    """Pages of JSON: items, and the page that comes next."""

    name = "listing"
    source = "listing"
    format = "test"
    message: ClassVar[type[RawMessage]] = RawEvent
    licence = "ours"
    example = "http://127.0.0.1/"
    pace = Pace(every_s=0.4)

    def read(self, response: Response) -> Iterable[Item | Request]:
        """{"items": [{"id", "date"}], "next": url, "links": [urls]}."""
        page = orjson.loads(response.body)
        for row in page.get("items", []):
            yield self.item(
                response,
                source_id=row["id"],
                fields={"artist": "Moths", "date": row.get("date")},
                payload=row,
                payload_type="application/json",
                changed=None,
            )
            self.saw(row.get("changed", ""))
        if page.get("next"):
            yield self.ask(response.urljoin(page["next"]))
        for link in page.get("links", []):
            yield self.ask(response.urljoin(link), needed=False)


class Keyed(Listing):
    """With a key in a header."""

    name = "keyed"
    pace = Pace(every_s=0.05, a_day=5)
    key_setting = "setlistfm_api_key"
    key_header = "x-api-key"


class KeyedByParameter(Listing):
    """With a key in the address."""

    name = "keyed-by-parameter"
    pace = Pace(every_s=0.05, a_day=5)
    key_setting = "songkick_api_key"
    key_parameter = "apikey"


class Leisurely(Listing):
    """Slower."""

    name = "leisurely"
    pace = Pace(every_s=1.0)


class Throttled(Listing):
    """As slow as the server."""

    name = "throttled"
    pace = Pace(every_s=0.05, adapts=True)


class Growing(Listing):
    """Reads what is new only: items have a place in the order in which the source changed."""

    name = "growing"
    incremental = True
    pace = Pace(every_s=0.01)

    def begins_at(self) -> list[str]:
        """From the watermark on."""
        return [add_or_replace_parameter(url, "after", self.errand.watermark) for url in super().begins_at()]


HERE = {kind.name: kind for kind in (Listing, Keyed, KeyedByParameter, Leisurely, Throttled, Growing, *SPIDERS)}


@dataclass(frozen=True)
class Visit:
    """What came of one."""

    faults: list[str]
    cut: str
    pages: int
    scraped: int
    items: list[dict[str, Any]]
    seconds: float
    largest_mb: float
    """The most memory the process ever had."""
    log: str
    stats: dict[str, Any]
    newest: str = ""
    outside: int = 0


def errand_to(
    spider: str, url: str, *, key: str = "", fresh: bool = False, errand: Any = None, **settings: Any
) -> dict[str, Any]:
    """What a child is told. With `postgres_url` its limits hold over all processes; with `home` pages are kept."""
    return {"spider": spider, "url": url, "key": key, "fresh": fresh, "errand": errand or {}, "settings": settings}


async def visit(spider: str, url: str, **more: Any) -> Visit:
    """One crawl, in a child."""
    (found,) = await visit_all(errand_to(spider, url, **more))
    return found


async def visit_all(*visits: dict[str, Any]) -> list[Visit]:
    """Crawls one after the other in one child: to start it takes longer than they do."""
    return await visited(await visiting(*visits))


async def visiting(*visits: dict[str, Any]) -> asyncio.subprocess.Process:
    """The child, at work."""
    argv = [sys.executable, "-W", "error", "-m", "tests.spiders.visiting", "visit", json.dumps(visits)]
    return await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)


async def visited(child: asyncio.subprocess.Process) -> list[Visit]:
    """What it found, once it ended."""
    out, errors = await child.communicate()
    assert child.returncode == 0, errors.decode()
    assert errors == b"", errors.decode()
    return [Visit(**one) for one in orjson.loads(out)]


async def here(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One after the other."""
    return [await one(each) for each in told]


async def one(told: dict[str, Any]) -> dict[str, Any]:
    """One crawl."""
    kind = HERE[told["spider"]]
    settings = load(OURS | told["settings"])
    written = io.StringIO()
    logging.basicConfig(stream=written, level="DEBUG", force=True)
    collected, began = Collected(), time.monotonic()
    async with AsyncExitStack() as open_:
        if settings.postgres_url:
            engine = postgres_engine(settings, pool_size=2)
            open_.push_async_callback(engine.dispose)
            made = await open_.enter_async_context(polite(settings, engine, str(uuid4()), kind, fresh=told["fresh"]))
        else:
            pages = Path(told["settings"]["home"]) / "pages" / kind.name if "home" in told["settings"] else None
            made = scrapy_settings(settings, kind, pages=pages, fresh=told["fresh"])
        crawling = Crawling()
        errand = errand_of({"start_url": told["url"], **told["errand"]})
        given = {"key": told["key"], "mirror": settings.mirrors.get(kind.name, ""), "secrets": settings.api_keys}
        outcome = await crawl(kind, collected, errand, made, crawling=crawling, **given)
        spider = crawling.crawler.spider if crawling.crawler is not None else None
    return {
        "faults": outcome.faults,
        "cut": outcome.cut,
        "pages": outcome.pages,
        "scraped": collected.counts.scraped,
        "items": [item.model_dump(mode="json") for item in collected.items],
        "seconds": time.monotonic() - began,
        "largest_mb": largest_mb(),
        "log": written.getvalue(),
        "stats": {name: value for name, value in crawling.stats.items() if isinstance(value, int | float)},
        "newest": outcome.newest,
        "outside": getattr(spider, "outside", 0),
    }


@asynccontextmanager
async def raw_server(answer: Raw) -> AsyncIterator[str]:
    """A server that has no manners: it writes what the test says."""
    open_: set[asyncio.StreamWriter] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await answer(reader, writer)
        open_.discard(writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in [*open_]:
            writer.transport.abort()


async def asked(reader: asyncio.StreamReader) -> str:
    """The path of a request, its headers read."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head.split(b" ", 2)[1].decode()


def largest_mb() -> float:
    """The most memory this process ever had: getrusage counts what the parent had at the fork, too."""
    told = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert told is not None
    return int(told[1]) / 1_024


def visits(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The child's side of `visit_all`."""
    return in_reactor(lambda: here(told))


def run(told: dict[str, Any]) -> dict[str, Any]:
    """A whole run: delivered to Kafka, recorded in Postgres. The report."""
    spiders.crawl.SPIDERS = tuple(HERE.values())  # `gigz crawl` knows the installed ones only
    settings = load(OURS | told["settings"])
    return run_crawl(settings, told["spider"], errand_of({"start_url": told["url"], **told["errand"]})).as_json()


async def run_of(spider: str, url: str, **more: Any) -> dict[str, Any]:
    """A whole run, in a child."""
    told = json.dumps(errand_to(spider, url, **more))
    argv = [sys.executable, "-W", "error", "-m", "tests.spiders.visiting", "run", told]
    child = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    out, errors = await child.communicate()
    assert child.returncode == 0, errors.decode()
    report: dict[str, Any] = orjson.loads(out)
    return report


if __name__ == "__main__":
    mode, told = sys.argv[1:]
    sys.stdout.buffer.write(orjson.dumps(run(json.loads(told)) if mode == "run" else visits(json.loads(told))))
