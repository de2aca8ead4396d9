"""Albany Theatre, Coventry."""

from spiders.formats.html_page import HtmlSpider


class AlbanyTheatreSpider(HtmlSpider):
    """What's on, page for people."""

    name = "albany_theatre"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["https://albanytheatre.co.uk/whats-on"]  # noqa: RUF012
    row = ".query_block_content .list-item"
    fields = {"title": "h4 a", "date": ".show-date"}  # noqa: RUF012
    link = "h4 a::attr(href)"
    house = {"venue": "Albany Theatre", "city": "Coventry", "country": "GB"}  # noqa: RUF012
