"""A catalogue of artists."""

from schemas.raw import RawArtist
from spiders.formats.file_catalogue import FileCatalogueSpider


class ArtistsSpider(FileCatalogueSpider):
    """What they are called, and what else."""

    name = "artists"
    message = RawArtist
    licence = "that of the catalogue"
    example = "https://www.example.org/artists.csv"
    rows = ("artists",)
