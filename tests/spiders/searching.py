"""Searches of setlist.fm's spider against a server of the test's, in a process of its own: a reactor runs once.

python -W error -m tests.spiders.searching HOST ERRAND...    errands as JSON objects
"""

import json
import sys
from typing import Any

from spiders.crawling import crawl, in_reactor
from spiders.errand import errand_of
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
        outcome = await crawl(Here, to, errand_of(errand), scrapy_settings(SETTINGS, Here), key="a key")
        ids = [item.source_id for item in to.items]
        told.append({"faults": outcome.faults, "cut": outcome.cut, "complete": outcome.complete, "ids": ids})
    return told


if __name__ == "__main__":
    given = [json.loads(one) for one in sys.argv[2:]]
    sys.stdout.write(json.dumps(in_reactor(lambda: searched(sys.argv[1], given))))
