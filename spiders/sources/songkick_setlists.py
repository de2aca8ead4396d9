"""Songkick: its setlists."""

from spiders.formats.base import Pace
from spiders.formats.songkick import API, SongkickSetlistsSpider


class SetlistsOfSongkickSpider(SongkickSetlistsSpider):
    """`--arg event=ID`."""

    name = "songkick_setlists"
    source = "songkick"
    start_urls = [f"{API}/events/{{event}}/setlists.json"]  # noqa: RUF012
    licence = "API terms of Songkick: a key of one's own, given by agreement only, attribution with a link"
    pace = Pace(every_s=1)
    example = f"{API}/events/786417/setlists.json"
    key_setting, key_parameter = "songkick_api_key", "apikey"
    key_hosts = frozenset({"api.songkick.com"})
