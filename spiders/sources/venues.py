"""A catalogue of venues."""

from schemas.raw import RawVenue
from spiders.formats.file_catalogue import FileCatalogueSpider


class VenuesSpider(FileCatalogueSpider):
    """Where it is, how many it holds, what it was called before."""

    name = "venues"
    message = RawVenue
    licence = "that of the catalogue"
    example = "https://www.example.org/venues.json"
    rows = ("venues",)
