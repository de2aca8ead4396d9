"""Town Hall and Symphony Hall, Birmingham."""

from spiders.formats.html_page import HtmlSpider


class SymphonyHallSpider(HtmlSpider):
    """What's on in both houses; of a run the first night."""

    name = "symphony_hall"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["https://www.thsh.co.uk/whats-on"]  # noqa: RUF012
    row = ".event-block"
    fields = {  # noqa: RUF012
        "title": "h3",
        "date": "time[itemprop=startDate]::attr(datetime)",
        "venue": ".event-block__category span",
    }
    link = "@href"
    next_page = ".pagination__link--next::attr(href)"
    house = {"city": "Birmingham", "country": "GB"}  # noqa: RUF012
