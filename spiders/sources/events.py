"""A catalogue of events."""

from schemas.raw import RawEvent
from spiders.formats.file_catalogue import FileCatalogueSpider


class EventsSpider(FileCatalogueSpider):
    """Who plays where and when."""

    name = "events"
    message = RawEvent
    licence = "that of the catalogue"
    example = "https://www.example.org/events.csv"
    rows = ("events",)
