"""Songkick: concerts and festivals, those to come and those gone by."""

from spiders.formats.base import Pace, Shows
from spiders.formats.songkick import API, CALENDARS, SongkickSpider


class SongkickEventsSpider(SongkickSpider):
    """`--artist NAME`, or one of `--arg metro_area=ID`, `venue=ID`, `artist_id=ID`, `user=NAME`."""

    name = source = "songkick"
    start_urls = CALENDARS
    search = f"{API}/events.json?artist_name={{artist}}"
    shows = Shows.UPCOMING
    licence = "API terms of Songkick: a key of one's own, given by agreement only, attribution with a link"
    pace = Pace(every_s=1)
    example = f"{API}/artists/253846/gigography.json"
    key_setting, key_parameter = "songkick_api_key", "apikey"
    key_hosts = frozenset({"api.songkick.com"})
