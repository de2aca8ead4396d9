"""SeatGeek: concerts with tickets, mostly in the United States and Canada."""

from spiders.formats.base import Pace, Shows
from spiders.formats.seatgeek import SeatGeekSpider


class SeatGeekEventsSpider(SeatGeekSpider):
    """`--arg city=Portland`."""

    name = source = "seatgeek"
    start_urls = ["https://api.seatgeek.com/2/events?taxonomies.name=concert&venue.city={city}&per_page=100"]  # noqa: RUF012
    search = "https://api.seatgeek.com/2/events?taxonomies.name=concert&q={artist}&per_page=100"
    shows = Shows.UPCOMING
    licence = "terms of SeatGeek's platform: a client_id of one's own, data to be shown with a link to the event"
    pace = Pace(every_s=1)
    example = "https://api.seatgeek.com/2/events?taxonomies.name=concert&venue.city=Portland&per_page=100"
    key_setting = "seatgeek_client_id"
    key_hosts = frozenset({"api.seatgeek.com"})
    key_parameter = "client_id"
