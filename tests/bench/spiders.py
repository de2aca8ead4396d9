"""What delivery costs a crawl: the same crawl with delivery and with its items thrown away. `make bench-spiders`.

A server in a process of its own gives setlists as the API has them, 20 a page and 2 kB each; it is our own host, so
nothing is paced. Crawls run in processes of their own, the kinds in turn: only ratios of one window count on a noisy
machine. Delivery is all of it: looked up in PostgreSQL, acknowledged by Kafka, remembered in PostgreSQL; every item is
new, then none. At last one crawl of many items, whose memory is looked at every 10,000.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from aiohttp import web
from rich.console import Console
from rich.table import Table

from deploy.clients import postgres_engine
from deploy.local import stack
from deploy.migrate import migrate_postgres
from deploy.settings import Settings, current, environment_for, load
from deploy.topics import apply_topics
from spiders.crawling import crawl, in_reactor
from spiders.delivery import Counts, Delivery, Lost, delivering
from spiders.errand import Errand
from spiders.formats.base import Item, utc_now
from spiders.polite import polite
from spiders.sources.setlistfm import SetlistfmSpider
from tests.spiders.running import PER_PAGE, setlist
from tests.support import ANY_FREE_PORTS, ROOT

SAMPLE = 10_000
LEAST = 0.8
"""Of the speed with items thrown away."""
MOST_GROWTH_MB = 20
"""Between the first sample of memory and the last."""


class Discarding:
    """Counts items and throws them away."""

    def __init__(self) -> None:
        self.counts = Counts()

    async def deliver(self, item: Item) -> None:
        """Away with it."""
        counts = self.counts
        self.counts = replace(counts, scraped=counts.scraped + 1, delivered=counts.delivered + 1)

    async def settle(self) -> None:
        """Nothing is on its way."""

    async def lost(self) -> Lost:
        """Nothing is remembered."""
        return Lost()

    async def vanish(self) -> None:
        """Nothing is remembered."""


# -- the server ------------------------------------------------------------------------------------------------------


def serve(items: int) -> None:
    """Until it is killed; its port is the first line of its output."""
    marker = "0123456789"
    one = json.dumps(setlist(4711)).replace("s4711", f"s{marker}").replace("/4711.html", f"/{marker}.html").encode()

    async def answer(request: web.Request) -> web.Response:
        if not request.path.endswith("/setlists"):
            return web.Response(status=404)
        number = int(request.query.get("p", "1"))
        some = range((number - 1) * PER_PAGE, min(items, number * PER_PAGE))
        page = b",".join(one.replace(marker.encode(), b"%010d" % n) for n in some)
        head = b'{"page":%d,"itemsPerPage":%d,"total":%d,"setlist":[' % (number, PER_PAGE, items)
        return web.Response(body=head + page + b"]}", content_type="application/json")

    async def run() -> None:
        application = web.Application()
        application.add_routes([web.get("/{path:.*}", answer)])
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sys.stdout.write(f"{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    asyncio.run(run())


# -- a crawl ---------------------------------------------------------------------------------------------------------


async def measured(settings: Settings, url: str, source: str, *, deliver: bool) -> dict[str, Any]:
    """Seconds, processor seconds, items, and the memory on the way."""
    engine = postgres_engine(settings, pool_size=2)
    process, memory = psutil.Process(), list[tuple[int, float]]()
    try:
        async with AsyncExitStack() as open_:
            run_id, spider = uuid4(), SetlistfmSpider
            to: Delivery = Discarding()
            if deliver:
                to = await open_.enter_async_context(
                    delivering(settings, engine, run_id, f"bench {source}", spider, utc_now)
                )
            politely = await open_.enter_async_context(polite(settings, engine, str(run_id), spider, fresh=True))

            async def look() -> None:
                while True:
                    await asyncio.sleep(0.1)
                    scraped = to.counts.scraped
                    if scraped >= SAMPLE * (len(memory) + 1):
                        memory.append((scraped, process.memory_info().rss / 1e6))

            looking = asyncio.get_running_loop().create_task(look())
            began, busy = time.monotonic(), time.process_time()
            outcome = await crawl(spider, to, Errand(start_url=url, source=source), politely, key="key")
            seconds, busy = time.monotonic() - began, time.process_time() - busy
            looking.cancel()
            memory.append((to.counts.scraped, process.memory_info().rss / 1e6))
    finally:
        await engine.dispose()
    if outcome.told or not to.counts.settled:
        raise SystemExit(f"the crawl did not end well: {outcome.told} {to.counts}")
    return {"items": to.counts.scraped, "seconds": seconds, "busy": busy, "memory": memory, "pages": outcome.pages}


def child(settings: Settings, url: str, *, deliver: bool, source: str = "") -> dict[str, Any]:
    """One crawl in a process of its own."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.bench.spiders",
            "--crawl",
            url,
            "--source",
            source or uuid4().hex[:9],
            *(["--deliver"] * deliver),
        ],
        cwd=ROOT,
        env=environment_for(settings) | {"GIGZ_LOG_LEVEL": "WARNING"},
        stdout=subprocess.PIPE,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@asynccontextmanager
async def site(items: int) -> AsyncIterator[str]:
    """The server's address."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.spiders", "--serve", str(items)),
        cwd=ROOT,
        env=environment_for(load()),
        stdout=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(await server.stdout.readline())}/rest/1.0/artist/x/setlists"
    finally:
        server.kill()
        await server.wait()


async def bench(settings: Settings, items: int, rounds: int, many: int, console: Console) -> bool:
    """Both tables; whether the promises hold."""
    table = Table("crawl", "items/s", "ms of processor an item", title=f"{items:,} items", title_justify="left")
    figures: dict[str, list[float]] = {"thrown away": [], "delivered": [], "unchanged": []}
    busy: dict[str, list[float]] = {name: [] for name in figures}
    async with site(items) as url:
        for _ in range(rounds):
            source = uuid4().hex[:9]  # as long as setlist.fm's: what a record costs depends on its key
            for name in figures:  # the last of them finds what the one before delivered
                one = await asyncio.to_thread(child, settings, url, deliver=name != "thrown away", source=source)
                figures[name].append(one["items"] / one["seconds"])
                busy[name].append(1000 * one["busy"] / one["items"])
    for name, speeds in figures.items():
        table.add_row(name, _spread(speeds, ",.0f"), _spread(busy[name], ".2f"))
    console.print(table)
    good = True
    for name in ("delivered", "unchanged"):
        ratios = [fast / slow for fast, slow in zip(figures[name], figures["thrown away"], strict=True)]
        console.print(f"{name}: {_spread(ratios, '.2f')} of the speed with items thrown away")
        good &= statistics.median(ratios) >= LEAST
    if many:
        async with site(many) as url:
            one = await asyncio.to_thread(child, settings, url, deliver=True)
        memory = Table(
            "items", "resident MB", title=f"{one['items'] / one['seconds']:,.0f} items/s", title_justify="left"
        )
        for at, size in one["memory"]:
            memory.add_row(f"{at:,}", f"{size:.0f}")
        console.print(memory)
        growth = one["memory"][-1][1] - one["memory"][0][1]
        console.print(f"{growth:+.0f} MB between {one['memory'][0][0]:,} and {one['memory'][-1][0]:,} items")
        good &= growth <= MOST_GROWTH_MB
    return good


def _spread(values: list[float], form: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def main() -> int:
    """Print tables; 1 when a promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=30_000, help="of each crawl that is compared")
    parser.add_argument("--rounds", type=int, default=5, help="of each of them")
    parser.add_argument("--many", type=int, default=100_000, help="items of the crawl whose memory is looked at")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--crawl", help=argparse.SUPPRESS)
    parser.add_argument("--source", help=argparse.SUPPRESS)
    parser.add_argument("--deliver", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
    if given.crawl:
        told = in_reactor(lambda: measured(current(), given.crawl, given.source, deliver=given.deliver))
        sys.stdout.write(json.dumps(told) + "\n")
        return 0
    console = Console()
    with tempfile.TemporaryDirectory(prefix="gigz-bench-") as folder:
        settings = load(
            {
                "home": Path(folder) / "home",
                **ANY_FREE_PORTS,
                "clickhouse_url": "http://127.0.0.1:1/none",
                "meilisearch_url": "http://127.0.0.1:1",
                "start_deadline_s": 240.0,  # a machine may be busy; it is not what is measured
                "own_hosts": "127.0.0.1",
                "private_hosts": "127.0.0.1",
            }
        )
        try:
            stack.up(settings)
            asyncio.run(apply_topics(settings))
            migrate_postgres(settings)
            good = asyncio.run(bench(settings, given.items, given.rounds, given.many, console))
        finally:
            stack.down(settings)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
