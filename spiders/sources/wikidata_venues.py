"""Wikidata: venues with coordinates, capacity and the names they had."""

from spiders.formats.base import Pace
from spiders.formats.wikidata import VENUES, SparqlVenuesSpider


class WikidataVenuesSpider(SparqlVenuesSpider):
    """The venues of a country: `--arg country=DK`, or several with commas."""

    name = "wikidata_venues"
    source = "wikidata"
    licence = "CC0. The user agent must say who asks"
    pace = Pace(every_s=5)
    endpoint = "https://query.wikidata.org/sparql"
    query = VENUES
    example = "https://query.wikidata.org/sparql?query=SELECT...&format=json, or --arg country=DK"
