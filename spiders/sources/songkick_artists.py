"""Songkick: its artists."""

from spiders.formats.base import Pace
from spiders.formats.songkick import API, SongkickArtistsSpider


class ArtistsOfSongkickSpider(SongkickArtistsSpider):
    """`--arg query=NAME` or `--arg artist_id=ID`."""

    name = "songkick_artists"
    source = "songkick"
    start_urls = [f"{API}/search/artists.json?query={{query}}", f"{API}/artists/{{artist_id}}.json"]  # noqa: RUF012
    licence = "API terms of Songkick: a key of one's own, given by agreement only, attribution with a link"
    pace = Pace(every_s=1)
    example = f"{API}/search/artists.json?query=NAME"
    key_setting, key_parameter = "songkick_api_key", "apikey"
    key_hosts = frozenset({"api.songkick.com"})
