"""Warwick Arts Centre, Coventry."""

from spiders.formats.html_page import HtmlSpider


class WarwickArtsCentreSpider(HtmlSpider):
    """What's on, ten at a time."""

    name = "warwick_arts_centre"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["https://www.warwickartscentre.co.uk/whats-on/list"]  # noqa: RUF012
    row = "article.unit-production-entry"
    fields = {"title": "h2", "date": "p.date", "room": "p.venue::text"}  # noqa: RUF012
    link = "header a::attr(href)"
    next_page = ".unit-pagination .next a::attr(href)"
    empty = "//*[@class='area-production-list'][not(.//article)]"
    house = {"venue": "Warwick Arts Centre", "city": "Coventry", "country": "GB"}  # noqa: RUF012
