"""Belgrade Theatre, Coventry."""

from spiders.formats.html_page import HtmlSpider


class BelgradeTheatreSpider(HtmlSpider):
    """What's on by months: the year stands in the heading above."""

    name = "belgrade_theatre"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["http://www.belgrade.co.uk/whats-on/"]  # noqa: RUF012
    row = "#secondary-content .production"
    fields = {  # noqa: RUF012
        "title": "h3",
        "date": ("p.date", "substring-after(preceding-sibling::h2[1], ' ')"),
    }
    link = "a.production-link::attr(href)"
    house = {"venue": "Belgrade Theatre", "city": "Coventry", "country": "GB"}  # noqa: RUF012
