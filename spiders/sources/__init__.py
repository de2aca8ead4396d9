"""One file for each source."""

from spiders.formats.base import SourceSpider
from spiders.sources.setlistfm import SetlistfmSpider
from spiders.sources.venuepages import VenuePagesSpider
from spiders.sources.venues import VenuesSpider

SPIDERS: tuple[type[SourceSpider], ...] = (SetlistfmSpider, VenuePagesSpider, VenuesSpider)
"""Every spider: name, topic, format, licence, politeness, an example of a start URL."""
