"""The Rockwell Museum, Corning NY."""

from spiders.formats.html_page import HtmlSpider


class RockwellMuseumSpider(HtmlSpider):
    """Events; their dates have a weekday and no year."""

    name = "rockwell_museum"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["https://rockwellmuseum.org/events"]  # noqa: RUF012
    row = ".event-card"
    fields = {"title": ".details .h4 a", "date": ".event-dates"}  # noqa: RUF012
    link = ".details .h4 a::attr(href)"
    house = {"venue": "The Rockwell Museum", "city": "Corning", "region": "NY", "country": "US"}  # noqa: RUF012
