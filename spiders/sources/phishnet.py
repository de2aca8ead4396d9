"""phish.net: every show of Phish and of its members, with what was played."""

from spiders.formats.base import Pace
from spiders.formats.fan_archive import PHISHNET, FanArchiveSpider

PHISH = {"Phish": "e01646f2-2a04-450d-8bf2-0d993082e058"}


class PhishnetSpider(FanArchiveSpider):
    """By year."""

    name = source = "phishnet"
    search = "https://api.phish.net/v5/shows/showyear/{year}.json"
    artists = dict.fromkeys(("Trey Anastasio", "Mike Gordon", "Page McConnell", "Jon Fishman"), "") | PHISH
    first_year, site = 1983, "https://phish.net/setlists/"
    columns = PHISHNET
    licence = "terms of phish.net's API: a key of one's own, attribution with a link, no commercial use without consent"
    pace = Pace(every_s=1)
    example = "https://api.phish.net/v5/setlists/showyear/1997.json"
    key_setting, key_parameter, key_hosts = "phishnet_api_key", "apikey", frozenset({"api.phish.net"})
