"""Arena Birmingham."""

from spiders.formats.html_page import HtmlSpider


class ArenaBirminghamSpider(HtmlSpider):
    """What's on: a card for each event; below, those of the sister arena."""

    name = "arena_birmingham"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["https://www.arenabham.co.uk/whats-on/"]  # noqa: RUF012
    row = ".event-card"
    fields = {  # noqa: RUF012
        "artist": ".title",
        "title": (".title", ".subtitle"),
        "support": ("substring-after(.//*[@class='subtitle'], 'Plus ')", ".subtitle:contains('Special Guest :')"),
        "date": ".date",
        "venue": "substring('Resorts World Arena', 1 div count(ancestor::*[@id='external-results']))",
    }
    house = {"venue": "Arena Birmingham", "city": "Birmingham", "country": "GB"}  # noqa: RUF012
