"""MusicBrainz: concerts and festivals, with ids of everyone in them."""

from spiders.formats.base import Pace
from spiders.formats.musicbrainz import Ws2EventsSpider


class MusicBrainzEventsSpider(Ws2EventsSpider):
    """An artist's events, an area's (`--arg area=`), or those of some days."""

    name = "musicbrainz_events"
    source = "musicbrainz"
    licence = "CC0; supplementary data CC BY-NC-SA 3.0. The user agent must say who asks"
    pace = Pace(every_s=1)
    search = "https://musicbrainz.org/ws/2/event?fmt=json&artist={mbid}"
    example = "https://musicbrainz.org/ws/2/event?artist=6faa7ca7-0d99-4a5e-bfa6-1fd5037520c6&limit=100&fmt=json"
