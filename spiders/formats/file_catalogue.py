"""A catalogue in one file: CSV, JSON lines, JSON, an SQLite database or its dump, packed or not.

A source declares what its rows are (`message`) and which of its columns are what (`columns`); everything else that the
file does not tell by itself, its encoding or its table, can be declared as well. Names of columns are compared without
case. A row that cannot be read is a rejection with its line; its neighbours go on.

Files of this machine (file:///...) are read where the start URL is one: an operator names it. Links never lead there.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from scrapy import Request
from scrapy.http import Response
from w3lib.encoding import http_content_type_encoding

from deploy.settings import SettingsError
from schemas.message import content_hash
from schemas.raw import RawArtist, RawEvent, RawMessage, RawSetlist, RawVenue
from schemas.rejection import Reason
from schemas.rows import FIELDS
from spiders.errand import Errand
from spiders.formats.base import Item, SourceSpider, http_date, listed, number, words
from spiders.formats.catalogue_rows import LARGEST, BadRow, Layout, Read, Row, Table, Unusable, table_of

_COLUMN = re.compile(r"[\w .#/()&%-]{0,60}")
LOOK = 50
"""Rows of JSON that tell which names its objects have."""
NUMBERS = frozenset({"lat", "lon", "capacity"})
LISTS = frozenset({"names", "aliases", "support"})
"""Several names in one field; songs are cut by whoever normalises them, where they are a text."""
USUAL: Mapping[str, tuple[str, ...]] = {
    "id": ("source_id", "id"),
    "artist": ("artist", "artist_name", "band", "performer", "headliner"),
    "date": ("date", "event_date", "show_date", "eventdate", "showdate"),
    "title": ("title", "event", "event_name"),
    "support": ("support", "supports", "openers"),
    "songs": ("songs", "setlist"),
    "venue": ("venue", "venue_name"),
    "city": ("city", "town"),
    "region": ("region", "state", "province"),
    "country": ("country", "country_code"),
    "lat": ("lat", "latitude"),
    "lon": ("lon", "lng", "long", "longitude"),
    "start_time": ("start_time", "time"),
    "tz": ("tz", "timezone"),
    "aliases": ("aliases", "alias", "other_names"),
    "names": ("names", "former_names", "aliases", "other_names"),
}
"""What columns are called where nothing is declared; what is not here has its own name."""
NEEDED: Mapping[type[RawMessage], tuple[tuple[str, ...], ...]] = {
    RawVenue: (("name",),),
    RawArtist: (("name",),),
}
"""Fields without which no row means anything: one of each group. Of listings who played and when."""
_LISTING = (("artist", "title"), ("date", "start_time"))
_TELLING: Mapping[type[RawMessage], tuple[str, ...]] = {
    RawVenue: ("city", "country", "lat", "capacity", "names"),
    RawArtist: ("aliases", "mbid", "disambiguation"),
    RawSetlist: ("songs",),
}
"""Fields of which one tells a table of venues from one of artists, or of anything that has names."""
_DERIVED: Mapping[type[RawMessage], tuple[str, ...]] = {
    RawVenue: ("name", "city", "region", "country"),
    RawArtist: ("name", "disambiguation", "country"),
}
_DERIVED_LISTING = ("date", "start_time", "title", "artist", "venue", "city")


class FileCatalogueSpider(SourceSpider):
    """Reads one file; its columns are declared."""

    format = "file-catalogue"
    message: ClassVar[type[RawMessage]] = RawEvent
    columns: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Our name -> the columns it is taken from, the first that is filled (names: all); a.b is b within a, in JSON."""
    fixed: ClassVar[Mapping[str, Any]] = {}
    """What holds for every row and is in none: {"artist": "...", "date_order": "DMY"}."""
    rows: ClassVar[tuple[str, ...]] = ()
    """Where the list stands in a JSON object."""
    takes = frozenset({"delimiter", "encoding", "table", "member"})
    separator: ClassVar[str] = ";"
    """Between several names in one field."""
    delimiter: ClassVar[str] = ""
    """Between the fields of CSV; empty: the file tells."""
    encoding: ClassVar[str] = ""
    """Empty: the file tells."""
    header: ClassVar[tuple[str, ...]] = ()
    """Names of the columns of CSV whose first line is a row already."""
    table: ClassVar[str] = ""
    """Of a database with several; or a SELECT over them."""
    query: ClassVar[str] = ""
    member: ClassVar[str] = ""
    """Which file of a .zip."""

    @classmethod
    def recognises(cls, response: Response) -> str:
        """A table; a source of this format wants its own columns in it, too."""
        try:
            table = cls._table(response, Errand())
            first = next((row for row in table.rows if isinstance(row, Row)), None)
        except Unusable:
            return ""
        columns = table.columns or (tuple(first.values) if first is not None else ())
        suits = cls.suits(columns)
        if len(columns) < 2 or ("name" in vars(cls) and not suits):
            return ""
        if table.kind == "CSV" and not all(_COLUMN.fullmatch(name) for name in columns):
            return ""  # prose and programs are CSV, too
        if table.kind == "JSON" and not suits and not response.body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            return ""  # any object is a row of its own
        told = ", ".join(columns[:8]) + (", ..." if len(columns) > 8 else "")
        return f"{table.kind} with the columns {told}"

    @classmethod
    def suits(cls, columns: Iterable[str]) -> bool:
        """Whether rows with these columns are what this source has."""
        fields = cls._fields_in(columns)
        telling = _TELLING.get(cls.message)
        if telling is not None and not fields & set(telling):
            return False
        if "date" not in fields and "date" in cls._fields_in(columns, ("date",)):
            return False  # names with dates are listings
        if cls.message is RawEvent and "songs" in fields:
            return False  # what was played, not what is announced
        return all(fields & set(group) for group in NEEDED.get(cls.message, _LISTING))

    @classmethod
    def _fields_in(cls, columns: Iterable[str], names: Iterable[str] = ()) -> set[str]:
        known = {column.casefold() for column in columns}
        wanted = names or FIELDS[cls.message.topic]
        return {
            name for name in wanted if known & {column.split(".")[0].casefold() for column in cls.columns_of(name)}
        } | (set(cls.fixed) & set(wanted))

    @classmethod
    def columns_of(cls, name: str) -> tuple[str, ...]:
        """The columns that a field is taken from."""
        return cls.columns.get(name) or USUAL.get(name, (name,))

    @classmethod
    def _table(cls, response: Response, errand: Errand) -> Table:
        declared = (response.headers.get("Content-Type") or b"").decode("latin-1")
        more = errand.more
        layout = Layout(
            delimiter=(more.get("delimiter") or cls.delimiter).replace("\\t", "\t"),
            encoding=more.get("encoding") or cls.encoding or http_content_type_encoding(declared) or "",
            header=cls.header,
            path=cls.rows,
            table=more.get("table") or cls.table,
            query=cls.query,
            member=more.get("member") or cls.member,
        )
        return table_of(response.body, urlsplit(response.url).path.lower(), layout)

    def begins_at(self) -> list[str]:
        """The file. SettingsError when a file of this machine is not there or too large."""
        addresses = super().begins_at()
        for address in addresses:
            if address.startswith("file:"):
                check_file(address)
        return addresses

    def read(self, response: Response) -> Iterable[Item | Request]:
        """A message for each row."""
        try:
            table = self._table(response, self.errand)
            first, broken = _ahead(table.rows)
            columns = table.columns or _names_in(first)
            if columns and (missing := self._missing(columns)):
                self.faults.append(f"{response.url} has the columns {', '.join(columns)[:500]}: {missing}")
                return
            yield from self._items(response, replace(table, rows=itertools.chain(first, table.rows)))
            if broken is not None:
                raise broken
        except Unusable as error:
            self.faults.append(f"{response.url} cannot be read: {error}")
            yield self.unreadable(response, Reason.BAD_DOCUMENT, str(error), response.body)

    def _items(self, response: Response, table: Table) -> Iterator[Item]:
        changed = http_date(response)
        where = self._places(table.columns) if table.columns is not None else None
        for row in table.rows:
            if isinstance(row, BadRow):
                yield self.unreadable(response, row.reason, row.text, row.original)
                continue
            places = where if where is not None else self._places(row.values)
            fields = self._fields(row.values, places)
            try:
                yield self.item(
                    response,
                    source_id=str(_first(row.values, places["id"]) or derived_id(self.message, fields)),
                    fields=fields,
                    payload=row.values,
                    payload_type="application/json",
                    changed=_instant(_first(row.values, places["observed_at"])) or changed,
                    url=words(_first(row.values, places["url"])),
                )
            except (TypeError, UnicodeError) as error:  # halves of surrogate pairs, numbers beyond 64 bits
                original = repr(row.values).encode("utf-8", "backslashreplace")
                yield self.unreadable(response, Reason.BAD_VALUE, f"line {row.line}: {error}", original)

    def _missing(self, columns: tuple[str, ...]) -> str:
        """What nothing in this header can be, and what to declare; empty when all is there."""
        fields = self._fields_in(columns)
        for group in NEEDED.get(self.message, _LISTING):
            if not fields & set(group):
                return f'none is {" or ".join(group)}. Remedy: columns = {{"{group[0]}": ("ITS COLUMN",), ...}}.'
        return ""

    def _places(self, columns: Iterable[str]) -> dict[str, list[tuple[str, ...]]]:
        """Our name -> the paths to its values in a row with these columns."""
        written = {column.casefold(): column for column in reversed(list(columns))}
        return {
            name: [path for column in self.columns_of(name) if (path := _path(column, written))]
            for name in (*FIELDS[self.topic], "id", "url", "observed_at")
        }

    def _fields(self, row: Mapping[str, Any], places: Mapping[str, list[tuple[str, ...]]]) -> dict[str, Any]:
        fields: dict[str, Any] = dict(self.fixed)
        for name in sorted(FIELDS[self.topic]):
            value: Any
            if name in LISTS:
                value = self._several(row, places[name])
            elif name == "songs":
                value = self._songs(_first(row, places[name]))
            else:
                value = _first(row, places[name])
                value = number(value) if name in NUMBERS else words(value) if isinstance(value, str) else value
            if value not in (None, "", []):
                fields[name] = value
        return fields

    def _several(self, row: Mapping[str, Any], paths: list[tuple[str, ...]]) -> list[Any]:
        found: list[Any] = []
        for path in paths:
            for value in listed(_at(row, path)):
                if isinstance(value, str):
                    found += [name for part in value.split(self.separator) if (name := words(part)) is not None]
                elif isinstance(value, Mapping):  # {name, since, until}
                    found.append(value)
        return [one for at, one in enumerate(found) if one not in found[:at]]

    def _songs(self, value: Any) -> Any:
        if isinstance(value, str) and self.separator in value:
            return [song for part in value.split(self.separator) if (song := words(part)) is not None]
        return words(value) if isinstance(value, str) else value


def _ahead(rows: Iterator[Read]) -> tuple[list[Read], Unusable | None]:
    """The first rows, and what keeps others from being read."""
    first: list[Read] = []
    try:
        for row in itertools.islice(rows, LOOK):
            first.append(row)
    except Unusable as error:
        return first, error
    return first, None


def _names_in(rows: Iterable[Read]) -> tuple[str, ...]:
    """All names of these rows, each once."""
    return tuple(dict.fromkeys(name for row in rows if isinstance(row, Row) for name in row.values))


def derived_id(message: type[RawMessage], fields: Mapping[str, Any]) -> str:
    """For catalogues without ids: from what it is called, where it is, and when."""
    return "derived-" + content_hash([fields.get(name) for name in _DERIVED.get(message, _DERIVED_LISTING)])[:24]


def check_file(address: str) -> Path:
    """The file at file:///... SettingsError when there is none, or it has more than may be unpacked."""
    path = Path(unquote(urlsplit(address).path))
    if not path.is_file():
        raise SettingsError(f"there is no file {path}. Remedy: file:///its/whole/path.csv")
    if path.stat().st_size > LARGEST:
        raise SettingsError(f"{path} has more than {LARGEST // 1_048_576} MB. Remedy: pack it (.gz), or split it.")
    return path


def _path(column: str, written: Mapping[str, str]) -> tuple[str, ...]:
    whole = written.get(column.casefold())
    if whole is not None:
        return (whole,)
    first, *steps = column.split(".")
    return (written[first.casefold()], *steps) if steps and first.casefold() in written else ()


def _at(row: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = row
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _first(row: Mapping[str, Any], paths: list[tuple[str, ...]]) -> Any:
    return next((value for path in paths if (value := _at(row, path)) not in (None, "", [])), None)


def _instant(value: Any) -> datetime | None:
    """observed_at: a day is its first moment, and what has no zone is UTC."""
    try:
        moment = (
            datetime.fromisoformat(value) if len(value) > 10 else datetime.combine(date.fromisoformat(value), time())
        )
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
