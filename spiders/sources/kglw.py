"""kglw.net: every show of King Gizzard & the Lizard Wizard, with what was played."""

from spiders.formats.base import Pace
from spiders.formats.fan_archive import SONGFISH, FanArchiveSpider


class KglwSpider(FanArchiveSpider):
    """By year."""

    name = source = "kglw"
    search = "https://kglw.net/api/v2/shows/showyear/{year}.json"
    artists = {"King Gizzard & the Lizard Wizard": ""}  # noqa: RUF012
    first_year, site = 2010, "https://kglw.net/setlists/"
    columns = SONGFISH
    licence = "public API of kglw.net without a key; facts, with attribution"
    pace = Pace(every_s=2)
    example = "https://kglw.net/api/v2/setlists/showyear/2022.json?order_by=showdate"
