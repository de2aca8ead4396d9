"""Any venue's RSS or Atom feed that tells when its events are."""

from spiders.formats.feed import FeedSpider


class FeedsSpider(FeedSpider):
    """What a feed reader would show, with dates of events."""

    name = "feeds"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    example = "https://www.example.org/events/rss"
