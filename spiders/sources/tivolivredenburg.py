"""TivoliVredenburg, Utrecht."""

from spiders.formats.html_page import HtmlSpider


class TivolivredenburgSpider(HtmlSpider):
    """The agenda by months; open-air concerts are in a garden in Zeist."""

    name = "tivolivredenburg"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["https://www.tivolivredenburg.nl/agenda/"]  # noqa: RUF012
    row = ".agenda-list-item"
    fields = {  # noqa: RUF012
        "title": ".agenda-list-item__title",
        "date": ".agenda-list-item__time",
        "status": ".agenda-list-item__label",
        "venue": "re:match(.//p[@class='agenda-list-item__text'], 'Openluchtconcert in (Slottuin Zeist)')[2]",
    }
    next_page = ".js-load-more-button a::attr(href)"
    house = {"venue": "TivoliVredenburg", "city": "Utrecht", "country": "NL"}  # noqa: RUF012
