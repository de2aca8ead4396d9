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
    custom_settings = {"DEPTH_LIMIT": 6}  # noqa: RUF012
