"""Bandsintown: where an artist plays, as the artist tells it."""

from spiders.formats.bandsintown import BandsintownSpider
from spiders.formats.base import Pace, Shows


class BandsintownEventsSpider(BandsintownSpider):
    """`--artist NAME`."""

    name = source = "bandsintown"
    search = "https://rest.bandsintown.com/artists/{artist}/events?date={since}%2C{until}"
    shows = Shows.UPCOMING
    licence = "API terms of Bandsintown: an app_id of one's own by agreement, data to be shown with a link to the event"
    pace = Pace(every_s=1)
    example = "https://rest.bandsintown.com/artists/ARTIST/events?date=all"
    key_setting = "bandsintown_app_id"
    key_hosts = frozenset({"rest.bandsintown.com"})
    key_parameter = "app_id"
