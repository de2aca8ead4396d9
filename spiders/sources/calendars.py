"""Any venue's calendar file."""

from spiders.formats.calendar_file import CalendarSpider


class CalendarsSpider(CalendarSpider):
    """What a calendar program would subscribe to."""

    name = "calendars"
    licence = "facts of public pages; the site's robots.txt is obeyed"
    example = "webcal://www.example.org/events.ics"
