"""A catalogue of setlists."""

from schemas.raw import RawSetlist
from spiders.formats.file_catalogue import FileCatalogueSpider


class SetlistsSpider(FileCatalogueSpider):
    """One artist and night a row, with the songs."""

    name = "setlists"
    message = RawSetlist
    licence = "that of the catalogue"
    example = "https://www.example.org/setlists.csv"
    rows = ("setlists",)
