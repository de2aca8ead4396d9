"""A setlist API on loopback, and the crawl of it in a process of its own.

python -m tests.integration.local_setlists BASE RUN ERRAND, the errand as JSON
"""

import sys
from uuid import UUID

import orjson

from deploy.settings import current
from schemas.tables import Trigger
from spiders import crawl
from spiders.errand import errand_of
from spiders.formats.base import Pace, SourceSpider
from spiders.formats.setlist_api import SetlistApiSpider


def spider_of(base: str) -> type[SourceSpider]:
    """One that searches there."""

    class LocalSetlists(SetlistApiSpider):
        name = "localsetlists"
        source = "localsetlists"
        licence = "a test's own"
        search = f"{base}/search/setlists?artistMbid={{mbid}}&artistName={{artist}}&year={{year}}"
        pace = Pace(every_s=0.1, a_day=40)

    return LocalSetlists


def setlist(source_id: str, artist: str, day: str, *songs: str) -> dict[str, object]:
    """As the API gives one; the day as 31-12-1994."""
    city = {"name": "Oslo", "country": {"code": "NO"}, "coords": {"lat": 59.91, "long": 10.75}}
    return {
        "id": source_id,
        "eventDate": day,
        "lastUpdated": "2019-01-28T03:52:45.000+0000",
        "artist": {"name": artist},
        "venue": {"name": "Rockefeller", "city": city},
        "sets": {"set": [{"song": [{"name": song} for song in songs]}]},
        "url": f"https://example.org/setlist/{source_id}",
    }


if __name__ == "__main__":
    spider = spider_of(sys.argv[1])
    crawl.SPIDERS = (spider,)
    run, errand = UUID(sys.argv[2]), errand_of(orjson.loads(sys.argv[3]))
    report = crawl.run_crawl(current(), spider.name, errand, run_id=run, trigger=Trigger.WANTED)
    sys.stdout.write(orjson.dumps(report.as_json()).decode() + "\n")
    sys.exit(0 if report.ok else 1)
