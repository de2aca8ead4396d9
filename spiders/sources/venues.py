"""A catalogue of venues."""

from spiders.formats.venue_catalogue import VenueCatalogueSpider


class VenuesSpider(VenueCatalogueSpider):
    """Where it is, how many it holds, what it was called before."""

    name = "venues"
    licence = "that of the catalogue"
    example = "https://www.example.org/venues.json"
    rows = ("venues",)
    columns = {"lon": ("lon", "lng", "long"), "names": ("names", "former_names", "aliases")}  # noqa: RUF012
