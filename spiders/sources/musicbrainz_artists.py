"""MusicBrainz: artists under all their names."""

from spiders.formats.base import Pace
from spiders.formats.musicbrainz import Ws2ArtistsSpider


class MusicBrainzArtistsSpider(Ws2ArtistsSpider):
    """An artist by name or id, or those of an area: `--arg area=Iceland`."""

    name = "musicbrainz_artists"
    source = "musicbrainz"
    licence = "CC0; supplementary data CC BY-NC-SA 3.0. The user agent must say who asks"
    pace = Pace(every_s=1)
    example = "https://musicbrainz.org/ws/2/artist?query=area:Iceland&limit=100&fmt=json"
