"""Songkick: its venues."""

from spiders.formats.base import Pace
from spiders.formats.songkick import API, SongkickVenuesSpider


class VenuesOfSongkickSpider(SongkickVenuesSpider):
    """`--arg query=NAME` or `--arg venue=ID`."""

    name = "songkick_venues"
    source = "songkick"
    start_urls = [f"{API}/search/venues.json?query={{query}}", f"{API}/venues/{{venue}}.json"]  # noqa: RUF012
    licence = "API terms of Songkick: a key of one's own, given by agreement only, attribution with a link"
    pace = Pace(every_s=1)
    example = f"{API}/search/venues.json?query=NAME"
    key_setting, key_parameter = "songkick_api_key", "apikey"
    key_hosts = frozenset({"api.songkick.com"})
