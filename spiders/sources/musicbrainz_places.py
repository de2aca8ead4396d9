"""MusicBrainz: places with a stage, and what they were called when."""

from spiders.formats.base import Pace
from spiders.formats.musicbrainz import Ws2PlacesSpider


class MusicBrainzPlacesSpider(Ws2PlacesSpider):
    """The places of an area: `--arg area=Berlin`, or its id."""

    name = "musicbrainz_places"
    source = "musicbrainz"
    licence = "CC0; supplementary data CC BY-NC-SA 3.0. The user agent must say who asks"
    pace = Pace(every_s=1)
    example = "https://musicbrainz.org/ws/2/place?query=area:Berlin&limit=100&fmt=json"
