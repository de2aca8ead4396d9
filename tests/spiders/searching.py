"""Searches of setlist.fm's spider against a server of the test's, in a process of its own: a reactor runs once.

python -W error -m tests.spiders.searching HOST ERRAND...    errands as JSON objects
"""

import json
import sys
from typing import Any

from spiders.crawling import Crawling, crawl, in_reactor
from spiders.delivery import Lost
from spiders.errand import errand_of
from spiders.monitoring.figures import Tally
from spiders.polite import scrapy_settings
from spiders.sources.setlistfm import SetlistfmSpider
from tests.spiders.collecting import SETTINGS, Collected


async def searched(host: str, errands: list[dict[str, str]]) -> list[dict[str, Any]]:
    """How each crawl ended, and the ids of what it found."""

    class Here(SetlistfmSpider):
        """The same, of another host."""

        search = SetlistfmSpider.search.replace("https://api.setlist.fm", host)

    told = []
    for errand in errands:
        to = Collected()
        tally, crawling = Tally(), Crawling()
        politely = scrapy_settings(SETTINGS, Here)
        outcome = await crawl(Here, to, errand_of(errand), politely, key="a key", tally=tally, crawling=crawling)
        figures = tally.figures(to.counts, crawling.stats, 1.0, Lost())
        ids = [item.source_id for item in to.items]
        told.append({"faults": outcome.faults, "cut": outcome.cut, "complete": outcome.complete, "ids": ids})
        told[-1] |= {"statuses": dict(figures.statuses), "nothing_found": figures.nothing_found}
        told[-1] |= {"errors": figures.errors, "samples": figures.samples, "years": dict(figures.years)}
    return told


if __name__ == "__main__":
    given = [json.loads(one) for one in sys.argv[2:]]
    sys.stdout.write(json.dumps(in_reactor(lambda: searched(sys.argv[1], given))))
