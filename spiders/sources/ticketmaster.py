"""Ticketmaster: what is on sale, by country."""

from spiders.formats.base import Pace, Shows
from spiders.formats.ticketmaster import TicketmasterSpider

EVENTS = "https://app.ticketmaster.com/discovery/v2/events.json?classificationName=music&locale=*&size=200"


class TicketmasterEventsSpider(TicketmasterSpider):
    """`--arg country=DE`."""

    name = source = "ticketmaster"
    start_urls = [f"{EVENTS}&countryCode={{country}}"]  # noqa: RUF012
    search = f"{EVENTS}&keyword={{artist}}"
    shows = Shows.UPCOMING
    licence = "terms of Ticketmaster's Discovery API: a key of one's own, data to be shown with a link to the event"
    pace = Pace(every_s=0.5, a_day=5_000)
    example = f"{EVENTS}&countryCode=DE"
    key_setting, key_parameter = "ticketmaster_api_key", "apikey"
    key_hosts = frozenset({"app.ticketmaster.com"})
