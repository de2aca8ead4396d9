"""Artrix, Bromsgrove."""

from spiders.formats.html_page import HtmlSpider


class ArtrixSpider(HtmlSpider):
    """What's on, in pages that are counted up; most dates have no year."""

    name = "artrix"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["https://www.artrix.co.uk/whats-on/"]  # noqa: RUF012
    row = "#gridview-new > li"
    fields = {"title": "h3 a", "date": ".postDate_l", "start_time": ".EvtListTime"}  # noqa: RUF012
    link = "h3 a::attr(href)"
    pages_at = "https://www.artrix.co.uk/whats-on/?page={page}"
    house = {"venue": "Artrix", "city": "Bromsgrove", "country": "GB"}  # noqa: RUF012
