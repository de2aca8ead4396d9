"""The shapes of an import: what comes out of a file, what was understood of it, and how that is corrected.

Errors
    ImportFailed    the file as a whole: too large, no such format, a mapping that names no column of it
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from matchers.columns import DateOrder
from matchers.dates import Order
from schemas.history import Remembered

MOST_BYTES = 50_000_000
MOST_ROWS = 200_000
MOST_PAGES = 1_000
"""What one import may hold; pages are those of a list that came page by page, as services give them."""
MOST_ENTRIES = 500_000
MOST_WRITTEN = 500_000_000
"""What may come of it: each of two hundred acts of a row repeats what the row says."""


class Format(StrEnum):
    """How a file keeps its rows."""

    CSV = "csv"
    MARKDOWN = "markdown"
    HTML = "html"
    TEXT = "text"
    JSON = "json"
    ICALENDAR = "icalendar"
    SETLISTFM = "setlistfm"
    SONGKICK = "songkick"
    BANDSINTOWN = "bandsintown"
    PHOTOS = "photos"
    MAIL = "mail"
    ZIP = "zip"
    ROWS = "rows"


class Field(StrEnum):
    """What a column can be. The last ones are parts from which an entry's fields are made."""

    ARTIST = "artist"
    DATE = "date"
    VENUE = "venue"
    CITY = "city"
    REGION = "region"
    COUNTRY = "country"
    LAT = "lat"
    LON = "lon"
    TIME = "time"
    SONGS = "songs"
    NOTE = "note"
    WITH = "with"
    SUPPORT = "support"
    EVENT = "event"
    FESTIVAL = "festival"
    LINK = "link"
    YEAR = "year"
    MONTH = "month"
    DAY = "day"


class Standing(StrEnum):
    """What became of a row."""

    UNDERSTOOD = "understood"
    DOUBTFUL = "doubtful"
    UNREADABLE = "unreadable"
    REPEATED = "repeated"
    """It says what a row above it says."""


class Code(StrEnum):
    """Why a whole file is refused."""

    TOO_LARGE = "too_large"
    TOO_MANY_ROWS = "too_many_rows"
    TOO_MANY_PAGES = "too_many_pages"
    EMPTY = "empty"
    BAD_DOCUMENT = "bad_document"
    BAD_MAPPING = "bad_mapping"
    NOT_A_FILE = "not_a_file"
    TOO_SLOW = "too_slow"
    UNKNOWN_USER = "unknown_user"
    SERVICE_AWAY = "service_away"
    QUOTA_USED = "quota_used"
    """Not a failure: the list waits for the next day."""
    GONE = "gone"


class Reason(StrEnum):
    """Why a row is unreadable."""

    SAYS_NOTHING = "says_nothing"
    BAD_DATE = "bad_date"
    BAD_VALUE = "bad_value"
    BROKEN = "broken"
    TOO_LONG = "too_long"
    NO_SHOW = "no_show"
    NO_TIME = "no_time"
    NO_PLACE = "no_place"
    UNKNOWN_FORMAT = "unknown_format"


class ImportFailed(Exception):
    """A file that cannot be imported: a code, and what to do."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one import may be. An archive's limits are those of what is in it."""

    bytes: int = MOST_BYTES
    rows: int = MOST_ROWS
    pages: int = MOST_PAGES
    entries: int = MOST_ENTRIES
    written: int = MOST_WRITTEN
    """Bytes of rows, each as often as it is an entry."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row cannot be read, and what would help."""

    reason: Reason
    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.text}. Remedy: {self.remedy}"


Cell = str | tuple[str, ...]
"""Of one column: a text, or a list where the file itself has one."""


@dataclass(frozen=True, slots=True)
class Record:
    """A row as the file has it, before anybody asked what it means."""

    where: str
    """File and line: 'shows.csv:12'."""
    original: bytes
    """The line, the cells or the object, as it stood."""
    cells: Mapping[str, Cell] = field(default_factory=dict)
    own_id: str | None = None
    """An id that means the same row in every file: 'setlistfm:63db2ebf'."""
    fault: Fault | None = None
    doubt: str | None = None
    complete: bool = False
    """Without an artist it says enough: a photo has a time and a place."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which columns were taken for a field."""

    field: Field
    columns: tuple[str, ...]
    why: str
    confidence: float


@dataclass(frozen=True)
class Layout:
    """How the columns of one table are read: guessed from the whole of it, or corrected."""

    choices: tuple[Choice, ...] = ()
    unused: tuple[str, ...] = ()
    order: DateOrder = field(default_factory=DateOrder)
    given: Order | None = None
    """The order of day and month that the user told; it comes before the guessed one."""
    separator: str | None = None
    """What stands between two acts in one cell; `names`: commas and the like, read as a bill is."""
    separator_why: str = ""

    @property
    def date_order(self) -> Order | None:
        """The order in force; None where no date needs one, or nobody can say."""
        return self.given or self.order.order

    def columns(self, name: Field) -> tuple[str, ...]:
        """The columns of a field."""
        return self._by_field.get(name, ())

    @cached_property
    def _by_field(self) -> dict[Field, tuple[str, ...]]:
        return {choice.field: choice.columns for choice in self.choices}


@dataclass(frozen=True, slots=True)
class Corrections:
    """What the user says otherwise. A field without columns is left out; the rest stays as guessed."""

    columns: Mapping[Field, tuple[str, ...]] = field(default_factory=dict)
    date_order: Order | None = None
    separator: str | None = None
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """An entry of a row: what it says, and the id by which it is known at every import."""

    entry_id: str
    remembered: Remembered

    def as_row(self, user: str) -> dict[str, Any]:
        """The entry row of `schemas/rows.py`."""
        said = self.remembered.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {"user": user, "entry_id": self.entry_id} | {name: value for name, value in said.items() if value != []}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the file, read. One row can be several entries: each act of a bill is one."""

    where: str
    original: bytes
    standing: Standing
    row_hash: str
    entries: tuple[Imported, ...] = ()
    doubts: tuple[str, ...] = ()
    fault: Fault | None = None
