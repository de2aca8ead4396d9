"""A crawl into a list, in a process of its own: a reactor runs once, and there every warning is an error.

python -W error -m tests.spiders.collecting SPIDER URL [SOURCE]
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from deploy.settings import load
from schemas.raw import RawMessage
from spiders.crawling import crawl, in_reactor
from spiders.delivery import Counts, Lost, to_record
from spiders.errand import Errand
from spiders.formats.base import Item, utc_now
from spiders.polite import scrapy_settings
from spiders.sources import SPIDERS

USER_AGENT = "gigz-tests (+https://example.org)"
LOOPBACK = "127.0.0.1,localhost"
SETTINGS = load({"user_agent": USER_AGENT, "own_hosts": LOOPBACK, "private_hosts": LOOPBACK})


class Collected:
    """A delivery that keeps what it is given."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.items: list[RawMessage] = []

    async def deliver(self, item: Item) -> None:
        """Keep the messages, count all."""
        _, name = to_record(item, utc_now)
        scraped = replace(self.counts, scraped=self.counts.scraped + 1)
        self.counts = replace(scraped, **{name: getattr(scraped, name) + 1})
        if isinstance(item, RawMessage):
            self.items.append(item)

    async def settle(self) -> None:
        """Nothing is on its way."""

    async def lost(self) -> Lost:
        """Nothing is remembered."""
        return Lost()

    async def vanish(self) -> None:
        """Nothing is remembered."""


@dataclass(frozen=True)
class Crawled:
    """What came of it."""

    pages: int
    faults: list[str]
    counts: Counts
    items: list[dict[str, Any]]


async def collect(spider: str, url: str, source: str = "") -> Crawled:
    """One crawl, in a child."""
    (crawled,) = await collect_all([(spider, url, source)])
    return crawled


async def collect_all(crawls: Sequence[tuple[str, str, str]]) -> list[Crawled]:
    """Crawls (spider, start URL, source) one after the other, in one child: to start it takes longer than they do."""
    return await collected_by(await child_for(crawls))


async def child_for(crawls: Sequence[tuple[str, str, str]]) -> asyncio.subprocess.Process:
    """The child, at work."""
    argv = [sys.executable, "-W", "error", "-m", "tests.spiders.collecting", json.dumps(crawls)]
    return await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)


async def collected_by(child: asyncio.subprocess.Process) -> list[Crawled]:
    """What it found, once it ended."""
    out, errors = await child.communicate()
    assert child.returncode == 0, errors.decode()
    assert errors == b"", errors.decode()
    told = orjson.loads(out)
    return [Crawled(one["pages"], one["faults"], Counts(**one["counts"]), one["items"]) for one in told]


async def here(crawls: Sequence[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """The child's side."""
    told = []
    for name, url, source in crawls:
        (spider,) = (spider for spider in SPIDERS if spider.name == name)
        collected = Collected()
        errand = Errand(start_url=url, source=source)
        outcome = await crawl(spider, collected, errand, scrapy_settings(SETTINGS, spider), key="a key")
        told.append(
            {
                "pages": outcome.pages,
                "faults": outcome.told,
                "counts": collected.counts,
                "items": [item.model_dump(mode="json") for item in collected.items],
            }
        )
    return told


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(in_reactor(lambda: here(json.loads(sys.argv[1])))))
