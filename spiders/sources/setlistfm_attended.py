"""setlist.fm: the setlists of the concerts that one of its users attended."""

from spiders.formats.base import Pace
from spiders.formats.setlist_api import SetlistApiSpider


class SetlistfmAttendedSpider(SetlistApiSpider):
    """`--arg user=NAME`. The messages are the concerts'; the user is in none of them."""

    name = "setlistfm_attended"
    source = "setlistfm"
    start_urls = ["https://api.setlist.fm/rest/1.0/user/{user}/attended"]  # noqa: RUF012
    licence = "API terms of setlist.fm: a key of one's own, no commercial use without consent, a link to the setlist"
    pace = Pace(every_s=0.5, a_day=1_440)
    example = "https://api.setlist.fm/rest/1.0/user/NAME/attended"
    key_setting = "setlistfm_api_key"
    key_hosts = frozenset({"api.setlist.fm"})
    key_header = "x-api-key"
