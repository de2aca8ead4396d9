"""Resorts World Arena, Birmingham."""

from spiders.formats.html_page import HtmlSpider


class ResortsWorldArenaSpider(HtmlSpider):
    """What's on: a card for each event; below, those of the sister arena."""

    name = "resorts_world_arena"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["https://www.resortsworldarena.co.uk/whats-on/"]  # noqa: RUF012
    row = ".event-card"
    fields = {  # noqa: RUF012
        "artist": ".title",
        "title": (".title", ".subtitle"),
        "support": ("substring-after(.//*[@class='subtitle'], 'Plus ')", ".subtitle:contains('Special Guest :')"),
        "date": ".date",
        "venue": "substring('Arena Birmingham', 1 div count(ancestor::*[@id='external-results']))",
    }
    house = {"venue": "Resorts World Arena", "city": "Birmingham", "country": "GB"}  # noqa: RUF012
