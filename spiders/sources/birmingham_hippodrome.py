"""Birmingham Hippodrome."""

from spiders.formats.html_page import HtmlSpider


class BirminghamHippodromeSpider(HtmlSpider):
    """What's on, sixteen at a time; dates have a weekday and no year."""

    name = "birmingham_hippodrome"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["https://www.birminghamhippodrome.com/whats-on/"]  # noqa: RUF012
    row = "li.events-list-item"
    fields = {"title": ".performance-listing-title", "date": ".performance-listing-date"}  # noqa: RUF012
    nights = r"\s&\s"
    link = ".performance-listing-title a::attr(href)"
    next_page = "a.next.page-numbers::attr(href)"
    house = {"venue": "Birmingham Hippodrome", "city": "Birmingham", "country": "GB"}  # noqa: RUF012
