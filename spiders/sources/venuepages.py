"""A venue's own pages: what is on, as the page tells search engines."""

from scrapy.linkextractors import LinkExtractor

from spiders.formats.base import Pace, Shows
from spiders.formats.json_ld import JsonLdSpider


class VenuePagesSpider(JsonLdSpider):
    """An agenda, and what it links to that is called an event."""

    name = "venuepages"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    pace = Pace(every_s=1, at_once=2, adapts=True)
    shows = Shows.UPCOMING
    example = "https://www.example.org/agenda/"
    links = LinkExtractor(allow=r"/(agenda|calendar|concerts?|events?|gigs?|shows?|whats-?on)(/|\?|$)")
    custom_settings = {  # noqa: RUF012
        "DEPTH_LIMIT": 6,
        "DEPTH_PRIORITY": 1,  # the nearest pages first: one met far away first would be too deep to go on from
        "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
    }
