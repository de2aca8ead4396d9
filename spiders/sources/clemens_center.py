"""Clemens Center, Elmira NY."""

from spiders.formats.calendar_file import CalendarSpider


class ClemensCenterSpider(CalendarSpider):
    """Its calendar, which names no place: every event is in the house."""

    name = "clemens_center"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["https://clemenscenter.org/events/?ical=1"]  # noqa: RUF012
    house = {"venue": "Clemens Center", "city": "Elmira", "region": "NY", "country": "US"}  # noqa: RUF012
