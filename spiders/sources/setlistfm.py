"""setlist.fm: what was played, written down by fans."""

from spiders.formats.base import Pace
from spiders.formats.setlist_api import SetlistApiSpider


class SetlistfmSpider(SetlistApiSpider):
    """An artist's setlists."""

    name = "setlistfm"
    source = "setlistfm"
    search = "https://api.setlist.fm/rest/1.0/search/setlists?artistMbid={mbid}&artistName={artist}&year={year}"
    incremental = True
    licence = "API terms of setlist.fm: a key of one's own, no commercial use without consent, a link to the setlist"
    pace = Pace(every_s=0.5, a_day=1_440)
    example = "https://api.setlist.fm/rest/1.0/artist/6faa7ca7-0d99-4a5e-bfa6-1fd5037520c6/setlists"
    key_setting = "setlistfm_api_key"
    key_hosts = frozenset({"api.setlist.fm"})
    key_header = "x-api-key"
