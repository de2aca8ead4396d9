"""The Alexandra, Birmingham, among the theatres of ATG."""

from spiders.formats.html_page import HtmlSpider


class AlexandraBirminghamSpider(HtmlSpider):
    """What's on: a card for each show."""

    name = "alexandra_birmingham"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    source = "atgtickets"
    start_urls = ["https://www.atgtickets.com/venues/the-alexandra-theatre-birmingham/"]  # noqa: RUF012
    row = "[class*=WhatsOnPanel__ShowCardWrapper]"
    fields = {"title": "h3 a", "date": "[class*=WhatsOnPanel__Appendix] > div"}  # noqa: RUF012
    link = "h3 a::attr(href)"
    house = {"venue": "The Alexandra", "city": "Birmingham", "country": "GB"}  # noqa: RUF012
