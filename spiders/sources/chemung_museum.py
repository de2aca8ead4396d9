"""Chemung Valley Museum, Elmira NY."""

from spiders.formats.calendar_file import CalendarSpider


class ChemungMuseumSpider(CalendarSpider):
    """Its calendar."""

    name = "chemung_museum"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["https://chemungvalleymuseum.org/events/?ical=1"]  # noqa: RUF012
    house = {"city": "Elmira", "region": "NY", "country": "US"}  # noqa: RUF012
