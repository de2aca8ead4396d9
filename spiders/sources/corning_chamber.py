"""Chamber of commerce, Corning NY."""

from spiders.formats.html_page import HtmlSpider


class CorningChamberSpider(HtmlSpider):
    """Events of its members, wherever they are: the page names no venue, at times a town beside its postcode."""

    name = "corning_chamber"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["https://www.corningny.com/events"]  # noqa: RUF012
    row = ".gz-events-card"
    fields = {  # noqa: RUF012
        "title": ".gz-card-title a",
        "date": ".gz-card-date span::attr(content)",
        "city": r"(re:match(string(.//p[contains(@class,'gz-description')]), ', ([^,]+), NY \d{5}'))[last()]/text()",
    }
    link = ".gz-card-title a::attr(href)"
    house = {"region": "NY", "country": "US"}  # noqa: RUF012
