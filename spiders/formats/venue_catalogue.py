"""A catalogue of venues in one file: JSON (a list, or an object around one) or CSV with a header."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import orjson
from scrapy import Request
from scrapy.http import Response, TextResponse

from schemas.message import content_hash
from schemas.raw import RawMessage, RawVenue
from schemas.rejection import Reason
from spiders.formats.base import Item, SourceSpider, dig, http_date, listed, number, words

TEXTS = ("name", "city", "region", "country", "tz")
NUMBERS = ("lat", "lon", "capacity")


class VenueCatalogueSpider(SourceSpider):
    """Reads one file; its columns are declared."""

    format = "venue-catalogue"
    message: ClassVar[type[RawMessage]] = RawVenue
    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Our name -> the columns it is taken from, the first that is filled (`names`: all). Absent: the same name."""
    rows: ClassVar[tuple[str, ...]] = ()
    """Where the list stands in a JSON object."""
    separator: ClassVar[str] = ";"
    """Between several names in one CSV field."""

    def read(self, response: Response) -> Iterable[Item | Request]:
        """A message for each row."""
        try:
            rows = list(self._rows(response))
        except (orjson.JSONDecodeError, csv.Error, UnicodeDecodeError) as error:
            self.faults.append(f"{response.url} cannot be read: {error}")
            yield self.unreadable(response, Reason.BAD_DOCUMENT, str(error), response.body)
            return
        changed = http_date(response)
        for row in rows:
            if not isinstance(row, Mapping):
                text = "a venue is not an object"
                yield self.unreadable(response, Reason.WRONG_TYPE, text, orjson.dumps(row))
                continue
            fields = self._fields(row)
            yield self.item(
                response,
                source_id=str(self._first(row, "id") or derived_id(fields)),
                fields=fields,
                payload=row,
                payload_type="application/json",
                changed=changed,
                url=words(self._first(row, "url")),
            )

    def _rows(self, response: Response) -> Iterable[Any]:
        body = response.body.removeprefix(b"\xef\xbb\xbf").lstrip()
        if body.startswith((b"[", b"{")):
            data = orjson.loads(body)
            return listed(dig(data, *self.rows) if isinstance(data, Mapping) else data)
        text = response.text if isinstance(response, TextResponse) else body.decode()
        return csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))

    def _fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return (
            {name: words(self._first(row, name)) for name in TEXTS}
            | {name: number(self._first(row, name)) for name in NUMBERS}
            | {"names": self._names(row)}
        )

    def _first(self, row: Mapping[str, Any], name: str) -> Any:
        return next((row[column] for column in self.columns.get(name, (name,)) if row.get(column)), None)

    def _names(self, row: Mapping[str, Any]) -> list[str]:
        written = [value for column in self.columns.get("names", ("names",)) for value in listed(row.get(column))]
        split = [words(part) for value in written if isinstance(value, str) for part in value.split(self.separator)]
        return list(dict.fromkeys(name for name in split if name is not None))


def derived_id(fields: Mapping[str, Any]) -> str:
    """For catalogues without ids: from what the venue is called and where it is."""
    return "derived-" + content_hash([fields.get(name) for name in ("name", "city", "region", "country")])[:24]
