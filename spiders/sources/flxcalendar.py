"""FLXcalendar: what is on in the Finger Lakes."""

from spiders.formats.calendar_file import CalendarSpider


class FlxcalendarSpider(CalendarSpider):
    """Its calendar as XML."""

    name = "flxcalendar"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    start_urls = ["https://calendar.time.ly/o9b0uzpj/export?format=xml"]  # noqa: RUF012
    house = {"region": "NY", "country": "US"}  # noqa: RUF012
