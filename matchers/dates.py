"""When: dates as sources write them, and as people type them.

A source's date is one night or refused. What a person typed is one or more readings, each an interval: where day and
month could be either, both readings are given, never a guess. What decides is the weekday, or the order of the whole
column (`matchers.columns`), which the caller hands in.

Errors
    DateError       not a date, or not one that exists; the text says which
"""

import re
import unicodedata
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from matchers.date_words import CJK_WEEKDAYS, MONTHS, SEASONS, WEEKDAYS, bare, feast, month_of, nth_weekday, weekend_at

FIRST_YEAR, LAST_YEAR = 1900, 2299
"""What every store can hold: ClickHouse's Date32 has no more. Beyond it a date is a slip of the pen anyway."""
DAWN = time(5)
"""Shows that begin after midnight and before dawn belong to the evening before."""
CENTURY_TURNS = 50
"""Two-digit years below it are 20xx. No clock is asked: the same text means the same at every replay."""
LONGEST_RUN = 31
"""Nights: a range so long is a run of shows; a longer one is a season."""
LONGEST_DATE = 120
"""Characters: nothing longer is read as a date, so that no text costs more than a short one."""
_DAY = timedelta(days=1)


class DateError(ValueError):
    """Not a date, or not one that exists."""


class Order(StrEnum):
    """In which order a column writes the numbers of its dates."""

    DMY = "DMY"
    MDY = "MDY"
    YMD = "YMD"


class Precision(StrEnum):
    """How much of the date was known."""

    DAY = "day"
    MONTH = "month"
    SEASON = "season"
    YEAR = "year"
    RANGE = "range"


@dataclass(frozen=True, slots=True)
class When:
    """The nights that a text can mean, both ends included."""

    start: date
    end: date
    precision: Precision
    doubt: bool = False
    """The text contradicts itself: its weekday is not that day's. The day as typed, and those that the weekday fits."""

    def __contains__(self, night: date) -> bool:
        return self.start <= night <= self.end

    @property
    def days(self) -> int:
        """How many nights."""
        return (self.end - self.start).days + 1

    def away(self, night: date) -> int:
        """Days between the night and the interval; 0 within."""
        if night < self.start:
            return (self.start - night).days
        return max(0, (night - self.end).days)


@dataclass(frozen=True, slots=True)
class Moment:
    """A source's date: the night, the hour as far as given."""

    night: date
    start: datetime | None = None
    """Aware where the zone is known, else local and naive."""
    doubt: str | None = None
    """What in the text contradicts the night."""
    doors: bool = False
    """`start` is when the doors open."""


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours that a text tells: when the doors open, when it begins."""

    doors: time | None = None
    start: time | None = None


def evening_of(moment: datetime) -> date:
    """The night a local time belongs to."""
    return moment.date() - _DAY if moment.time() < DAWN else moment.date()


@lru_cache(maxsize=512)
def zone(name: str) -> tzinfo | None:
    """An IANA zone; None for a name that is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return None


# -- hours ------------------------------------------------------------------------------------------------------------

_AT_HOUR = r"(?:alle |dalle )?ore|alle|dalle|kl\.?|klo|um|às|as|à|a las|godz\.?|saat|в"
"""Words that make an hour of the bare number behind them: 'ore 21', 'kl. 19'."""
_CLOCK = re.compile(
    rf"\s*(?:(?:{_AT_HOUR}|at|@|ab|from)(?![^\W\d_]))?\s*(\d{{1,2}})[:.h](\d{{2}})(?::(\d{{2}})(?:[.,]\d+)?)?"
    r"\s*(?:(a|p)(?:\.?\s?m)?\.?|h|hrs?|uhr)?\s*$",
    re.IGNORECASE,
)
_HOUR = re.compile(
    rf"\s*(?:(?:{_AT_HOUR}|at|@|ab|from)(?![^\W\d_]))?\s*(\d{{1,2}})\s*(?:(a|p)(?:\.?\s?m)?\.?|h|hrs?|uhr|o'?clock)\s*$"
    rf"|\s*(?:{_AT_HOUR})\s*(\d{{1,2}})\s*$",
    re.IGNORECASE,
)
_END_OF_DAY = re.compile(r"\s*24(?:[:.h]?00(?::00)?)?\s*(?:h|hrs?|uhr)?\s*$", re.IGNORECASE)
_NAMED_HOURS = {"noon": time(12), "midday": time(12), "mittags": time(12), "midnight": time(0), "mitternacht": time(0)}
_DOORS = r"doors?|einlass|portes|puertas|apertura|deuren|zaal open|portas|dører|insläpp|opening|open"
_BEGIN = r"show(?:time)?|start[s]?|beginn?|stage|concert|music|spectacle|début|inicio|início|inizio|aanvang|music"
_TWO_SHOWS = re.compile(r"&|\+|\b(?:and|und|et|y|e|en)\b", re.IGNORECASE)
_DATED = re.compile(r"\d{4}-|[./-]\d{4}|\b\d{1,2}[./]\d{1,2}[./]\d|\d{5}")
_TOLD = re.compile(
    rf"\b(?P<doors>{_DOORS})\b|\b(?P<begin>{_BEGIN})\b"
    r"|(?<![\d:.])(?P<time>\d{1,2}[:.h]\d{2}(?!\.?\d)(?::\d{2})?(?:\s*[ap]\.?\s?m\b\.?|[ap]\b)?"
    rf"|(?:\b(?:{_AT_HOUR})\s*)\d{{1,2}}(?![\d:.h])(?:\s*uhr\b)?"
    r"|\d{1,2}(?:\s*(?:[ap]\.?\s?m\b\.?|uhr\b|h\b)|[ap]\b))"
    r"|(?<![\d:.])(?P<bare>\d{1,2})(?![\d:.])",
    re.IGNORECASE,
)


def clock(text: str) -> time | None:
    """A time of day: 20:00, 8pm, 20h30, 8:30 PM, 20 Uhr, 'doors 7, show 8'; None when it is none.

    Of several the one at which it begins, else the doors.
    """
    one = _one_hour(text)
    if one is not None:
        return one
    told = told_hours(text)
    return told.start or told.doors


def told_hours(text: str) -> Hours:
    """'Doors: 7pm / Show: 8pm', 'Einlass 19:00 Beginn 20:00', '20:00 - 23:00': what is named, else the first hour."""
    one = _one_hour(text)
    if one is not None:
        return Hours(start=one)
    if len(text) > LONGEST_DATE or _DATED.search(text):
        return Hours()
    found = list(_TOLD.finditer(text))
    names_lead = bool(found) and found[0].lastgroup in ("doors", "begin")
    hours: dict[str, time] = {}
    named: str | None = None
    waiting: time | None = None
    for piece in found:
        kind = piece.lastgroup
        if kind in ("doors", "begin"):
            if not names_lead and waiting is not None:
                hours.setdefault(kind, waiting)
                waiting = None
            named = kind if names_lead else None
            continue
        hour = _one_hour(piece.group())
        if kind == "bare":  # only 'doors 7' says that a number is an hour, and of the evening
            number = int(piece.group())
            hour = time(number + 12 if number < 12 else number) if named and 0 < number < 24 else None
        if hour is None:
            continue
        if named:
            hours.setdefault(named, hour)
            named = None
        elif waiting is None:
            waiting = hour
        elif _TWO_SHOWS.search(text):  # '7:30pm & 10pm': an early and a late one, and nobody says which
            return Hours()
    if waiting is not None and "begin" not in hours:
        hours["begin"] = waiting
    return Hours(hours.get("doors"), hours.get("begin"))


def _one_hour(text: str) -> time | None:
    if len(text) > LONGEST_DATE:
        return None
    text = text.strip()
    if text.casefold() in _NAMED_HOURS:
        return _NAMED_HOURS[text.casefold()]
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    found = _CLOCK.fullmatch(text)
    if found:
        hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
        half = found[4]
    else:
        found = _HOUR.fullmatch(text)
        if not found:
            return None
        hour, minute, second, half = int(found[1] or found[3]), 0, 0, found[2]
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in "pP" else 0)
    if hour == 24 and minute == second == 0:
        hour = 0
    return time(hour, minute, second) if hour < 24 and minute < 60 and second < 60 else None


# -- sources ----------------------------------------------------------------------------------------------------------


def source_date(text: str, order: Order | None = None, years: tuple[int, ...] = ()) -> Moment:
    """A source's date, with its hour where it has one. DateError for what is none, impossible or ambiguous.

    `order`: of the source's column; without it 14-11-2014 and 14.11.2014 are day first, as setlist.fm and Europe write
    them, and 11/12/2014, which could be either, is refused. `years`: those that the rest of the message names, for a
    date without one.
    """
    written = text.strip()[:80]
    text = _tidy(text)
    if found := _ISO.match(text):
        day = _date(text, *map(int, found.group(1, 2, 3)))
        if found[4] is None:
            return Moment(day)
        start, doors = _local(day, found[4], _is_strict(found))
        # Midnight sharp on a date is how programs write that they know no hour.
        if start is None or (start.time() == time(0) and _is_local(start)):
            return Moment(day)
        return Moment(evening_of(start), start, doors=doors)
    about = _ABOUT.match(text)
    if about:
        text = text[about.end() :]
    told = _tell(text, False, order, years)
    days = _nights(told.spans)
    if len(days) > 1 and order is None and "/" not in text:
        told = _tell(text, False, Order.DMY, years)
        days = _nights(told.spans)
    if not told.spans:
        raise DateError(f"{written!r} is no date; 2014-11-14 would be right")
    if len(days) != 1:
        which = " or ".join(day.isoformat() for day in days)
        if not which:
            raise DateError(f"{written!r} means no single night; {_instead(told.spans)}")
        raise DateError(f"{written!r} means {which}; 2014-11-14 would be right, or the source's date_order: DMY or MDY")
    doubt = None
    if any(span.doubt for span in told.spans):
        doubt = f"{days[0].isoformat()} is a {days[0]:%A}"
    elif about:
        doubt = f"the source says about {days[0].isoformat()}"
    if told.hour is None or (told.hour == time(0) and told.tz is None):
        return Moment(days[0], None, doubt)
    start = datetime.combine(days[0], told.hour, told.tz)
    return Moment(evening_of(start), start, doubt, told.doors)


def coming_date(text: str, month: date, order: Order | None = None) -> Moment:
    """A date that may have no year, from a page of coming shows read in this month (its first day). DateError.

    Its weekday decides: in three years running no two days of the same date share one. Without a weekday, or with one
    that fits none of them, it is the first such day from the month before on, and in doubt.
    """
    if _A_YEAR.search(text):
        return source_date(text, order)
    found: dict[int, Moment] = {}
    refused: DateError | None = None
    for year in (month.year, month.year - 1, month.year + 1):
        try:
            found[year] = source_date(_with_year(text, year), order, (year,))
        except DateError as error:
            refused = refused or error
    firm = [moment for moment in found.values() if moment.doubt is None]
    if len(firm) == 1:
        return firm[0]
    earliest = (month - _DAY).replace(day=1)
    for year in sorted(found):
        moment = found[year]
        if moment.night >= earliest:
            told = f"the source tells no year; {moment.night.year} is the first from {earliest:%Y-%m} on"
            return replace(moment, doubt="; ".join(filter(None, (moment.doubt, told))))
    raise refused or DateError(f"{text.strip()[:80]!r} is no date; 2014-11-14 would be right")


_A_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_MONTH_AND_DAY = re.compile(r"(?<![^\W\d_])([^\W\d_]{3,})\.? (\d{1,2})(?:st|nd|rd|th)?(?![\d:.h])", re.IGNORECASE)


def _with_year(text: str, year: int) -> str:
    """'Aug 11', which could be August 2011, as 'Aug 11, 2026'; any other as it is."""
    for found in _MONTH_AND_DAY.finditer(text):
        if month_of(found[1]) and bare(found[1]) not in WEEKDAYS:
            return f"{text[: found.end()]}, {year}{text[found.end() :]}"
    return text


def _instead(spans: tuple[When, ...]) -> str:
    """What to send instead of a date of several nights."""
    if any(span.precision is Precision.RANGE and span.days <= LONGEST_RUN for span in spans):
        return "list each night for itself, with a source_id of its own: 2014-11-14"
    return "2014-11-14 would be right"


def _nights(spans: tuple[When, ...]) -> list[date]:
    return sorted({span.start for span in spans if span.precision is Precision.DAY and span.days == 1})


def source_start(text: str, night: date | None, order: Order | None = None) -> Moment | None:
    """A start of its own field: an hour of the night, or an ISO moment. None when it says nothing readable.

    An hour before dawn on a date moves the night to the evening before; a moment on the morning after it stays with it.
    Midnight sharp without a zone is how programs write that they know no hour; 24:00 is the end of the night's day.
    """
    text = text.strip()
    if night is not None and _END_OF_DAY.match(text):
        return Moment(night, datetime.combine(night + _DAY, time(0)))
    if night is not None and (found := _ZONED_HOUR.match(text)):  # the night's own date, by the clock of that zone
        start, _ = _local(night, found[0])
        if start is not None:
            return None if start.time() == time(0) else Moment(evening_of(start), start)
    hour = clock(text)
    if hour is not None:
        if night is None or (hour == time(0) and any(character.isdigit() for character in text)):
            return None
        start = datetime.combine(night, hour)
        return Moment(evening_of(start), start)
    try:
        found = _ISO.match(text)
        if found is None:
            told = source_date(text, order)
            return told if told.start is not None else None
        day = _date(text, *map(int, found.group(1, 2, 3)))
        start_, doors = _local(day, found[4], _is_strict(found)) if found[4] else (None, False)
    except DateError:
        return None
    if start_ is None:
        return None
    if start_.time() == time(0) and start_.tzinfo is None:
        return Moment(start_.date())
    return Moment(evening_of(start_), start_, doors=doors)


def _is_local(moment: datetime) -> bool:
    """Whether the clock is the venue's: no zone, or an offset other than UTC's."""
    return moment.tzinfo is None or bool(moment.utcoffset())


_ZONE = re.compile(r"\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2}|(?<=:\d{2}:\d{2})[+-]\d{2})$")
_ZONED_HOUR = re.compile(r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})$")
_FROM_TO = re.compile(r"(\d{1,2}):(\d{2})-(\d{2}):(\d{2})$")
"""'19:00-23:00' is a start and an end; behind a T, as ISO 8601 has it, only where no zone is so far west."""
_UNTIL = re.compile(r"\s*(?:[-/]|\b(?:to|till?|until|bis|au?|al|até|tot)\b)\s*(?=\d{1,4}[-./])", re.IGNORECASE)
EAST, WEST = 14 * 60, -12 * 60
"""Minutes: no clock on earth is farther from UTC."""


def _is_strict(iso: re.Match[str]) -> bool:
    """Whether a match of `_ISO` has its T."""
    return iso.string[iso.start(4) - 1] in "Tt"


def _local(day: date, rest: str, strict: bool = False) -> tuple[datetime | None, bool]:
    """The moment that a text's second half names, and whether that is only when the doors open."""
    offset: tzinfo | None = None
    until = _FROM_TO.match(rest)
    found = None if until and not (strict and int(until[3]) * 60 <= -WEST) else _ZONE.search(rest)
    if found:
        rest = rest[: found.start()]
        sign = found[1]
        if sign in ("Z", "UTC", "GMT"):
            offset = UTC
        else:
            minutes = int(sign[1:3]) * 60 + (int(sign[-2:]) if len(sign) > 3 else 0)
            minutes = -minutes if sign[0] == "-" else minutes
            if not WEST <= minutes <= EAST:
                return None, False
            offset = timezone(timedelta(minutes=minutes))
    told = told_hours(_UNTIL.split(rest, maxsplit=1)[0])
    hour = told.start or told.doors
    return (None if hour is None else datetime.combine(day, hour, offset)), told.start is None


def _date(text: str, year: int, month: int, day: int) -> date:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise DateError(f"{text[:80]!r}: the year is not between {FIRST_YEAR} and {LAST_YEAR}")
    try:
        return date(year, month, day)
    except ValueError:
        raise DateError(f"{text[:80]!r} does not exist in the calendar") from None


# -- people -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=50_000)
def readings(
    text: str,
    southern: bool = False,
    order: Order | None = None,
    years: tuple[int, ...] = (),
    tz: tzinfo | None = None,
) -> tuple[When, ...]:
    """What a typed date can mean, each as an interval; empty when it is no date.

    `southern`: seasons are those of the southern half of the earth. `order`: of the column, where it is known. `years`:
    those that the rest of the row names, for a date without one. `tz`: of the place, for an instant in another zone.

    A weekday settles the order of day and month. One that fits no reading is doubt: first the day as typed, then the
    nearest such weekday, and the same day of the year or month beside it that is one.
    """
    text = _tidy(text)
    try:
        told = _tell(text, southern, order, years)
    except DateError:
        return ()
    spans = told.spans
    if told.hour is not None:
        spans = tuple(_by_hour(span, told.hour, told.tz, tz) for span in spans)
    if told.weekday is not None and any(span.doubt for span in spans):
        typed = _nights(spans)
        other = [] if order is None else _nights(_tell(text, southern, None, years).spans)
        slips = dict.fromkeys((*other, *_slips(typed, told.weekday)))
        spans += tuple(_day(day, doubt=True) for day in slips if day not in typed)
    return spans


def impossible(text: str, order: Order | None = None) -> str | None:
    """What is wrong with a typed date that has the form of one and that no calendar has; None where nothing is.

    '2014-02-31', '31 Feb 2014', '31/02/2014', '2014-06-01/2014-05-01'. What has no such form ('around then') is not
    judged.
    """
    tidy = _tidy(text)
    if readings(text, False, order):
        return None
    first, _, second = tidy.partition("/")
    if second and readings(first) and readings(second):
        return f"{text.strip()[:80]!r} ends before it begins"
    try:
        _tell(tidy, False, order, ())
    except DateError as error:
        return str(error)
    if _THREE_NUMBERS.fullmatch(tidy):
        return f"{text.strip()[:80]!r} does not exist in the calendar"
    return None


_THREE_NUMBERS = re.compile(r"\d{1,4}([-/. ])\d{1,2}\1\d{1,4}")


def _by_hour(span: When, hour: time, told: tzinfo | None, tz: tzinfo | None) -> When:
    """The night of an instant by the place's clock; before dawn the night can be the one before."""
    if span.precision is not Precision.DAY:
        return span
    if told is not None and tz is not None:
        try:
            night = evening_of(datetime.combine(span.start, hour, told).astimezone(tz))
        except (OverflowError, ValueError):
            return span
        return replace(span, start=night, end=night)
    return replace(span, start=span.start - _DAY) if time(0) < hour < DAWN else span


def _slips(typed: list[date], weekday: int) -> Iterator[date]:
    """The days that a slip of the hand would have made of such a weekday: nearest first."""
    for day in typed:
        yield day + timedelta(days=(weekday - day.weekday() + 3) % 7 - 3)
    for day in typed:
        for months in (-12, 12, -1, 1):
            year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
            try:
                other = date(year, month + 1, day.day)
            except ValueError:
                continue
            if other.weekday() == weekday:
                yield other


@dataclass(frozen=True, slots=True)
class _Told:
    """A date text taken apart. `spans` are the readings as typed, in order."""

    spans: tuple[When, ...] = ()
    weekday: int | None = None
    hour: time | None = None
    tz: tzinfo | None = None
    doors: bool = False
    """The hour is when the doors open."""


_DASHES = str.maketrans({"–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-", "’": "'", "‘": "'", "´": "'", "\u00a0": " "})
_DOTS = re.compile(r"(?<=\d)([·•∙‧・])(?=\d)|\s+[·•∙‧・]\s+")
"""15·11·2019; between words they only part: 'Fri 15 Nov · 20:00'."""
_CJK_DATE = re.compile(r"\s*(年|월|月|년)\s*|\s*(日|일)")
_CJK_WEEKDAY = re.compile(r"\(?([月火水木金土日월화수목금토일])(?:曜日?|요일|\))\)?")
_ABOUT = re.compile(
    r"^(?:~|ca?\.|circa|about|around|approx(?:imately|\.)?|roughly|vers|etwa|ungefähr|gegen|cerca de|hacia|por volta de"
    r"|rond|omstreeks|verso)\s*(?=[\w'])",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"^(?:sometime|probably|maybe|possibly|perhaps|date:|on|in|im|am|the (?:night|evening) of|(?:night|evening) of"
    r"|le|el|den|der|das|em|en)\s+(?=[\w'])",
    re.IGNORECASE,
)
_SHOW = re.compile(
    r"[\s,;(/-]*\b(?:early|late|matin[ée]e|first|second|1st|2nd|afternoon|evening)\s+(?:show|set|performance|concert)\b"
    r"\)?|[\s,;(/-]*\bmatin[ée]e\b\)?|[\s,;(]+(?:in the )?(?:evening|night|abends?|soir|noche|noite)\)?$",
    re.IGNORECASE,
)
_SHOWS = re.compile(r"show|set|perf|conc|matin|even|night|abend|soir|no[ci]", re.IGNORECASE)
_HOUR_TAIL = re.compile(
    r"[\s,;T]+(?:-\s*)?(?:um|at|@|à|às|a las|kl\.?|ab|from)?\s*"
    r"((?:\d{1,2}[:.h]\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:[ap]\.?m\.?|uhr|h|hrs)?|\d{1,2}\s*(?:[ap]\.?m\.?|uhr|h|o'clock))"
    r"\s*(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})?)$",
    re.IGNORECASE,
)
_CTIME = re.compile(r"^([^\W\d_]{3,}\.? \d{1,2}) (\d{1,2}:\d{2}(?::\d{2})?)(?: [A-Z]{3,4})? (\d{4})$")
_LEADING_WORD = re.compile(r"([^\W\d_]+(?:-feira)?)s?\b[.,]*\s*(?:[-/&+]\s*([^\W\d_]+)\b[.,]*)?\s*(?:the\s+)?(?=[\w'])")
_TRAILING_WORD = re.compile(r"[\s,(]+([^\W\d_]+)\.?\)?$")
_ONE_OF = re.compile(r"^(?:an?|one|some|ein(?:em|en)?|un|une|um|uma|een)\s+", re.IGNORECASE)


def _tidy(text: str) -> str:
    """In one script, one kind of dash, single spaces; '' for what is too long to be a date."""
    if len(text) > LONGEST_DATE:
        text = " ".join(text[: 4 * LONGEST_DATE].split())
        if len(text) > LONGEST_DATE:
            return ""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_DASHES)).translate(_DASHES)
        text = _DOTS.sub(lambda dot: "." if dot[1] else ", ", text)
        text = "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in text)
    return " ".join(text.split()).strip(' .,;?!()[]"')


@lru_cache(maxsize=16_384)
def _tell(text: str, southern: bool, order: Order | None, years: tuple[int, ...]) -> _Told:
    """A tidy text's readings, weekday and hour. DateError for a date that no calendar has."""
    if not text:
        return _Told()
    if _WHOLE.match(text):  # most are plain: 2014-11-14, 14/11/2014
        return _Told(_one(text, southern, order))
    hour: time | None = None
    tz: tzinfo | None = None
    weekday: int | None = None
    if not text.isascii():
        if found := _CJK_WEEKDAY.search(text):
            weekday = CJK_WEEKDAYS[found[1]]
            text = (text[: found.start()] + " " + text[found.end() :]).strip()
        text = _CJK_DATE.sub(lambda one: "-" if one[1] else " ", text).strip(" -")
    if _SHOWS.search(text):
        text = _SHOW.sub("", text).strip()
    loose = False
    while lead := _ABOUT.match(text) or _FILLER.match(text):
        loose = loose or lead.re is _ABOUT
        text = text[lead.end() :]
    if weekday is None:
        weekday, text = _weekday(text, southern, order, years)
    if found := _CTIME.match(text):
        text = f"{found[1]} {found[3]} {found[2]}"
    spans, wrong = _attempt(text, southern, order, years)
    if not spans and weekday is not None and (found := _DAY_OF_YEAR.match(text)):  # Friday the 13th 1977
        spans = _such_days(int(found[2]), int(found[1]), weekday)
    doors = False
    if not spans and (found := _HOUR_TAIL.search(text)):
        head = text[: found.start()].rstrip(" ,;-")
        days, _ = _attempt(head, southern, order, years)
        moment, doors = _local(date(2000, 1, 1), found[1]) if days else (None, False)
        if moment is not None and all(span.precision is Precision.DAY for span in days):
            spans, hour, tz = days, moment.time(), moment.tzinfo
    if not spans:
        spans, told = _before_hours(text, southern, order, years)
        hour, doors = told.start or told.doors, told.start is None
    if not spans and (found := _ISO_START.match(text)):
        spans, wrong = _attempt(found[1], southern, order, years)
    if not spans and wrong is not None:
        raise wrong
    if spans and (found := _ISO.match(text)) and found[4]:
        start, doors = _local(spans[0].start, found[4], _is_strict(found))
        if start is not None:
            hour, tz = start.time(), start.tzinfo
    if loose:
        spans = tuple(
            When(one.start - 3 * _DAY, one.end + 3 * _DAY, Precision.RANGE) if one.precision is Precision.DAY else one
            for one in spans
        )
    if weekday is not None:
        spans = _on_weekday(spans, weekday)
    return _Told(spans, weekday, hour, tz, doors and hour is not None)


def _before_hours(
    text: str, southern: bool, order: Order | None, years: tuple[int, ...]
) -> tuple[tuple[When, ...], Hours]:
    """A day with hours behind it in any words: '15 Nov 2019, Einlass 19 Uhr, Beginn 20 Uhr', '11 May 2019 7pm-11pm'."""
    for found in list(_TOLD.finditer(text))[:MOST_JOINS]:
        head = _BEFORE_HOURS.sub("", text[: found.start()])
        if found.lastgroup == "bare" or not head:
            continue
        days, _ = _attempt(head, southern, order, years)
        if days and all(span.precision is Precision.DAY for span in days):
            return days, told_hours(text[found.start() :])
    return (), Hours()


_BEFORE_HOURS = re.compile(r"(?:[\s,;|/(@-]+|\s(?:at|from|ab|von|de|da)(?=\s*$))+$", re.IGNORECASE)


def _weekday(text: str, southern: bool, order: Order | None, years: tuple[int, ...]) -> tuple[int | None, str]:
    """The weekday at either end, and the text without it; a word that is also a month ('Mar') is a month first."""
    bare_text = _ONE_OF.sub("", text)
    if (found := _LEADING_WORD.match(bare_text)) and (number := WEEKDAYS.get(bare(found[1]))) is not None:
        second = found[2]
        if second is not None and bare(second) not in WEEKDAYS:
            return None, text
        if bare(found[1]) not in MONTHS or not _attempt(text, southern, order, years)[0]:
            rest = bare_text[found.end() :]
            while filler := _FILLER.match(rest):
                rest = rest[filler.end() :]
            return number, rest
    if (found := _TRAILING_WORD.search(text)) and (number := WEEKDAYS.get(bare(found[1]))) is not None:
        head = text[: found.start()].rstrip(" ,")
        days, _ = _attempt(head, southern, order, years)
        if days and all(span.precision is Precision.DAY for span in days):
            return number, head
    return None, text


def _on_weekday(spans: tuple[When, ...], weekday: int) -> tuple[When, ...]:
    """The readings that the weekday fits; a month becomes its such nights. Where none fits, all are in doubt."""
    found: list[When] = []
    for span in spans:
        if span.precision is Precision.MONTH:
            found += [_day(day) for day in _each(span) if day.weekday() == weekday]
        elif span.start.weekday() == weekday or span.days > 7:
            found.append(span)
    return tuple(found) or tuple(replace(span, doubt=True) for span in spans)


def _such_days(year: int, number: int, weekday: int) -> tuple[When, ...]:
    """The days of a year with that number in their month that are such a weekday."""
    whole = When(_date(str(year), year, 1, 1), date(year, 12, 31), Precision.YEAR)
    return tuple(_day(day) for day in _each(whole) if day.day == number and day.weekday() == weekday)


def _each(span: When) -> Iterator[date]:
    return (span.start + timedelta(days=step) for step in range(span.days))


def _attempt(
    text: str, southern: bool, order: Order | None, years: tuple[int, ...]
) -> tuple[tuple[When, ...], DateError | None]:
    """One date, else a range, else a date that lacks its year; beside them what no calendar has."""
    wrong: DateError | None = None
    try:
        spans = _one(text, southern, order)
    except DateError as error:
        spans, wrong = (), error
    if not spans:
        spans = _ranges(text, southern, order)
    if not spans and years and wrong is None:
        spans = _ordered({span for year in years for span in _completed(text, year, southern, order)})
    return spans, wrong


# -- ranges -----------------------------------------------------------------------------------------------------------

_BETWEEN = re.compile(
    r"^(?:from|between|vom|von|zwischen|du|entre|del|desde|de|van|tussen|dal|tra|fra|från|mellan)\s+(?:the |el |o )?",
    re.IGNORECASE,
)
_JOINS = (
    re.compile(
        r"\s+(?:to|till?|until|thru|through|bis(?: zum)?|au|al|ao|às?|a|tot|t/m|do|по)\s+(?:the )?", re.IGNORECASE
    ),
    re.compile(r"\s*\.{2,3}\s*|\s+-\s+|\s*(?<=\d{4})/(?=\d{4})\s*"),
    re.compile(r"\s*(?:&|\+|,|\band\b|\bund\b|\bet\b|\by\b|\be\b|\ben\b|\bog\b|\boch\b|\bi\b)\s*", re.IGNORECASE),
    re.compile(r"\s*(?:\bor\b|\boder\b|\bou\b|\bo\b|\bof\b|\beller\b)\s*", re.IGNORECASE),
    re.compile(r"\s*[-/]\s*"),
)
_BOTH, _EITHER = _JOINS[2], _JOINS[3]
LONGEST_TURN = 100
"""Days of a range over the turn of a year that names only the second."""
MOST_JOINS = 6
"""Places at which a text is tried to fall in two: '2014-11-12-2014-11-14' has five."""


def _ranges(text: str, southern: bool, order: Order | None) -> tuple[When, ...]:
    """'12-14 Nov 2014', 'Nov 2014 - Feb 2015', 'between 2010 and 2012', '12 or 13 Nov 2014'."""
    if found := _DAYS_IN_MONTH.match(text):
        month, year = int(found[1]), _year(found[4])
        days = int(found[2]), int(found[3])
        if month <= 12 and days[0] < days[1] <= monthrange(year, month)[1]:
            return (When(date(year, month, days[0]), date(year, month, days[1]), Precision.RANGE),)
    between = _BETWEEN.match(text)
    whole = text[between.end() :] if between else text
    for join in _JOINS:
        for found in list(join.finditer(whole))[:MOST_JOINS]:
            first, second = whole[: found.start()].strip(), whole[found.end() :].strip()
            if not first or not second:
                continue
            spans: set[When] = set()
            for one_order in (order,) if order else (Order.DMY, Order.MDY):
                spans |= set(_joined(first, second, southern, one_order, join, between is not None))
            if spans:
                return _ordered(spans)
    return ()


def _joined(
    first: str, second: str, southern: bool, order: Order, join: re.Pattern[str], between: bool
) -> Iterator[When]:
    starts, ends = _quiet(first, southern, order), _quiet(second, southern, order)
    if ends and not (starts and starts[0].precision is ends[0].precision):
        starts = _like(first, ends[0].end, ends[0].precision, southern, order) or starts
        if starts and starts[0].start > ends[0].end:  # 30 Dec - 2 Jan 2015
            turned = _like(
                first, ends[0].end.replace(year=ends[0].end.year - 1, day=1), Precision.MONTH, southern, order
            )
            starts = tuple(one for one in turned if (ends[0].end - one.start).days <= LONGEST_TURN)
    elif starts and not ends:
        ends = _like(second, starts[0].start, starts[0].precision, southern, order)
    for one in starts:
        for other in ends:
            if one.precision is not other.precision or one.start > other.end:
                continue
            if join is _EITHER or (join is _BOTH and not between and (other.start - one.end).days > 1):
                yield one
                yield other
            else:
                yield When(one.start, other.end, Precision.RANGE)


def _like(text: str, day: date, precision: Precision, southern: bool, order: Order) -> tuple[When, ...]:
    """A half that leaves out what the other half says: '12.', '30 Nov', 'Nov', '12.11.'."""
    if found := _BARE_DAY.match(text):
        if precision is not Precision.DAY:
            return ()
        try:
            return (_day(day.replace(day=int(found[1]))),)
        except ValueError:
            return ()
    return _completed(text, day.year, southern, order)


def _completed(text: str, year: int, southern: bool, order: Order | None) -> tuple[When, ...]:
    """A date with the year that it leaves out; none where it has one."""
    if found := _DAY_AND_MONTH.match(text):
        return _quiet(f"{found[1]}{found[2]}{found[3]}{found[2]}{year}", southern, order)
    if _YEARED.search(text):
        return ()
    return _quiet(f"{text} {year}", southern, order)


def _quiet(text: str, southern: bool, order: Order | None) -> tuple[When, ...]:
    try:
        return _one(text, southern, order)
    except DateError:
        return ()


# -- one date ---------------------------------------------------------------------------------------------------------

_D = r"(\d{1,2})(?:st|nd|rd|th|er|ère|de|ste|ten|go|\.|º|°|ª)?"
_Y = r"'?(\d{4}|\d{2})"
_W = r"([^\W\d_]+)"
_OF = r"(?:of |de |d'|del |do |den |a )?"
_ISO = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]+(\d{1,2}(?:[:.h]\d{2}|\s*[ap]\.?m|\s*uhr).*))?$", re.IGNORECASE | re.DOTALL
)
_ISO_START = re.compile(r"(\d{4}-\d{2}-\d{2})[T ,;(]")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2})?(Z)?)?$")
_YMD = re.compile(r"(\d{4})\s*[./ ]\s*(\d{1,2})\s*[./ ]\s*(\d{1,2})\.?$")
_ROMAN = re.compile(r"(\d{1,2})\s*([-./ ])\s*(I{1,3}|I?V|VI{1,3}|I?X|XI{1,2})\s*\2\s*(\d{4}|\d{2})\.?$", re.IGNORECASE)
"""15.XI.2019: the month in Roman numerals, as in Hungary, Poland and Italy."""
_ROMANS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_ROMAN_MONTHS = {numeral: month for month, numeral in enumerate(_ROMANS, 1)}
_ISO_WEEK = re.compile(r"(\d{4})-?W(\d{2})(?:-?([1-7]))?$", re.IGNORECASE)
_NUMERIC = re.compile(r"(\d{1,2})\s*([-./ ])\s*(\d{1,2})\s*[-./ ]\s*'?(\d{4}|\d{2})\.?$")
_PARTLY = re.compile(r"(\d{4})-(?:(\d{2}|\?\?|xx)-(?:00|\?\?|xx)?)?$", re.IGNORECASE)
_PARTLY_DMY = re.compile(r"(?:00|\?\?|xx)([-./])(\d{1,2}|00|\?\?|xx)\1(\d{4})$", re.IGNORECASE)
_WHOLE = re.compile(r"\d{4}-\d{2}-\d{2}$|\d{1,2}([-./])\d{1,2}\1(?:\d{4}|\d{2})$|\d{4}$")
_DAY_MONTH_YEAR = re.compile(
    rf"(?:the )?{_D}[\s./,-]*{_OF}{_W}[.,]*[\s./-]*(?:de |del |of |the year )?{_Y}(?: ?г| ?r)?$"
)
_MONTH_DAY_YEAR = re.compile(rf"{_W}\.?[\s./-]*(?:the |le |den )?{_D}(?:,\s*|\s+|-|/|\.)(?:of |de )?{_Y}$")
_YEAR_MONTH_DAY = re.compile(rf"(\d{{4}})[\s,./-]+{_W}[.,]?[\s./-]*{_D}$")
_MONTH_YEAR = re.compile(rf"{_W}[.,]*[\s./-]*(?:of |de |del |in |the |the year )*{_Y}(?: ?г| ?r)?$")
_YEAR_MONTH_WORD = re.compile(rf"(\d{{4}})[\s,./-]+{_W}\.?$")
_YEAR_MONTH = re.compile(r"(\d{4})[-./](\d{1,2})$")
_MONTH_YEAR_NUMERIC = re.compile(r"(\d{1,2})[-./](\d{4})$")
_YEAR = re.compile(r"(\d{4})$|'(\d{2})$")
_DECADE = re.compile(
    r"(?:the |die |les |los |anos |años |anni |années |jaren )?(?:(\d{3})0|'?(\d)0)(?:['’]?s|er|er jahre|erne|-talet)$"
    r"|(?:les années|anos|años|los|anni|jaren|die)\s+'?(?:(\d{3})0|(\d)0)$"
)
_DECADES = {"fifties": 1950, "sixties": 1960, "seventies": 1970, "eighties": 1980, "nineties": 1990, "noughties": 2000}
_DAYS_OF_MONTH = re.compile(rf"{_D}\s*(?:-|/|&|\+)\s*{_D}\s*{_OF}{_W}[.,]*\s*(?:de |del )?{_Y}$")
_MONTH_DAYS = re.compile(rf"{_W}\.?\s*{_D}\s*(?:-|/|&|\+|to|and|thru)\s*{_D},?\s+{_Y}$")
_MONTHS_BOTH = re.compile(rf"{_W}\.?\s*{_D}\s*(?:-|to|and|&|thru)\s*{_W}\.?\s*{_D},?\s+{_Y}$")
_DAYS_IN_MONTH = re.compile(r"(\d{1,2})/(\d{1,2})\s*-\s*(\d{1,2})/(\d{4}|\d{2})$")
_WINTER_OF_TWO = re.compile(rf"{_W}\s+(\d{{4}})\s*[-/]\s*(\d{{4}}|\d{{2}})$")
_QUARTER = re.compile(
    r"(?:q([1-4])|([1-4])(?:st|nd|rd|th|\.|er|e|º)?\s*(?:q|quarter|quartal|trimestre|kwartaal))"
    rf"(?: of| de|)[\s/-]*{_Y}$",
    re.IGNORECASE,
)
_YEAR_QUARTER = re.compile(r"(\d{4})[\s/-]*q([1-4])$", re.IGNORECASE)
_PART = re.compile(
    r"^(?:(early|beginning of|start of|anfang|début|principios de|início de|inizio|begin)"
    r"|(mid|middle of|mitte|mi|mediados de|meados de|metà|halverwege)"
    r"|(late|end of|ende|fin|finales de|fim de|fine|eind)|(first half of|1st half of|1\. halbjahr)"
    r"|(second half of|2nd half of|2\. halbjahr))(?: the| de| di| in|)[\s-]+",
    re.IGNORECASE,
)
_NTH = {
    word: number
    for number, words in {
        1: "first 1st erster erstes ersten premier primer primeiro primo eerste 1.",
        2: "second 2nd zweiter zweites zweiten deuxième segundo secondo tweede 2.",
        3: "third 3rd dritter drittes dritten troisième tercer terceiro terzo derde 3.",
        4: "fourth 4th vierter viertes vierten quatrième cuarto quarto vierde 4.",
        5: "fifth 5th fünfter fünftes fünften 5.",
        -1: "last letzter letztes letzten dernier dernière último último ultimo laatste final",
    }.items()
    for word in words.split()
}
_NTH_DAY = re.compile(
    rf"(?:the |der |das |am |le |el |o |il )?([^\W_]+\.?)\s+{_W}\s+(?:of |in |im |de |di |du |van )*(.+)$"
)
_WEEKENDS = frozenset(["weekend", "wochenende", "weekends", "helg"])
_WEEKS = frozenset(["week", "woche", "semaine", "semana", "settimana"])
_WEEKEND_OF = re.compile(r"(?:the )?(?:weekend|wochenende) (?:of|around|um den|vom)\s+(?:the )?(.+)$", re.IGNORECASE)
_FEAST_YEAR = re.compile(r"(.+?)[\s,]+(?:of |in |de )?'?(\d{4}|\d{2})(?:\s*[-/]\s*\d{2,4})?$")
_YEAR_FEAST = re.compile(r"(\d{4})[\s,]+(?:the )?([^\W\d].*)$")
_BARE_DAY = re.compile(rf"(?:the )?{_D}$")
_DAY_OF_YEAR = re.compile(rf"(?:the )?{_D},?\s*(?:of |in )?(\d{{4}})$")
_DAY_AND_MONTH = re.compile(r"(\d{1,2})([-./])(\d{1,2})\.?$")
_YEARED = re.compile(r"\d{4}|'\d\d$")
_SPREADSHEET = re.compile(r"(\d{5})(?:\.\d+)?$")
_SPREADSHEET_DAYS = range(18_264, 54_789)
"""1950 to 2049, as Excel and its kin count the days since 1899-12-30."""


@lru_cache(maxsize=16_384)
def _one(text: str, southern: bool, order: Order | None) -> tuple[When, ...]:
    """One date, whatever its precision; without ranges of two. DateError for the form of a date that does not exist."""
    return _ordered(set(_spans(text, southern, order)))


def _ordered(spans: set[When]) -> tuple[When, ...]:
    return tuple(sorted(spans, key=lambda span: (span.start, span.end, span.precision)))


def _spans(text: str, southern: bool, order: Order | None) -> list[When]:
    if text[:1].isdigit():
        found_ = _numbered(text, order)
        if found_:
            return found_
    if found := _DAY_MONTH_YEAR.match(text):
        month = month_of(found[2])
        if month:
            return [_day(_date(text, _year(found[3]), month, int(found[1])))]
    if found := _MONTH_DAY_YEAR.match(text):
        month = month_of(found[1])
        if month:
            return [_day(_date(text, _year(found[3]), month, int(found[2])))]
    if found := _YEAR_MONTH_DAY.match(text):
        month = month_of(found[2])
        if month:
            return [_day(_date(text, int(found[1]), month, int(found[3])))]
    if found := _DAYS_OF_MONTH.match(text):
        month = month_of(found[3])
        if month:
            return [_days(found[4], month, found[1], found[2], text)]
    if found := _MONTH_DAYS.match(text):
        month = month_of(found[1])
        if month:
            return [_days(found[4], month, found[2], found[3], text)]
    if (found := _MONTHS_BOTH.match(text)) and (one := month_of(found[1])) and (other := month_of(found[3])):
        end = _date(text, _year(found[5]), other, int(found[4]))
        return [When(_date(text, end.year - (one > other), one, int(found[2])), end, Precision.RANGE)]
    return _wider(text, southern, order)


def _numbered(text: str, order: Order | None) -> list[When]:
    """Dates of numbers alone."""
    if found := _PARTLY.match(text):
        return _month(text, int(found[1]), found[2] or "00")
    if found := _ISO.match(text):
        return [_day(_date(text, *map(int, found.group(1, 2, 3))))]
    if found := _NUMERIC.match(text):
        return _numeric(int(found[1]), int(found[3]), found[4], text, order)
    if found := _YMD.match(text):
        return [_day(_date(text, *map(int, found.group(1, 2, 3))))]
    if found := _ROMAN.match(text):
        return [_day(_date(text, _year(found[4]), _ROMAN_MONTHS[found[3].upper()], int(found[1])))]
    if found := _ISO_WEEK.match(text):
        return _iso_week(text, int(found[1]), int(found[2]), int(found[3] or 0))
    if found := _COMPACT.match(text):
        year, month, day = map(int, found.group(1, 2, 3))
        if not (FIRST_YEAR <= year <= LAST_YEAR and 0 < month <= 12) and FIRST_YEAR <= month * 100 + day <= LAST_YEAR:
            return _numeric(year // 100, year % 100, f"{month:02}{day:02}", text, order)
        return [_day(_date(text, year, month, day))]
    if found := _PARTLY_DMY.match(text):
        return _month(text, int(found[3]), found[2])
    if (found := _SPREADSHEET.match(text)) and int(found[1]) in _SPREADSHEET_DAYS:
        return [_day(date(1899, 12, 30) + timedelta(days=int(found[1])))]
    return []


def _iso_week(text: str, year: int, week: int, day: int) -> list[When]:
    """'2019-W46-5', and the whole week where the day is 0."""
    try:
        first = date.fromisocalendar(_date(text, year, 1, 1).year, week, day or 1)
    except ValueError:
        raise DateError(f"{text[:80]!r} does not exist in the calendar") from None
    return [_day(first) if day else When(first, first + 6 * _DAY, Precision.RANGE)]


def _month(text: str, year: int, month: str) -> list[When]:
    """A month, or a year where the month is not told: 2014-11-00, ??.??.2014."""
    if not month.isdigit() or month == "00":
        return [When(_date(text, year, 1, 1), _date(text, year, 12, 31), Precision.YEAR)]
    first = _date(text, year, int(month), 1)
    return [When(first, first.replace(day=monthrange(year, first.month)[1]), Precision.MONTH)]


def _wider(text: str, southern: bool, order: Order | None) -> list[When]:
    """Months, seasons, years, decades, feasts."""
    text = _FILLER.sub("", text)
    if text.startswith("the "):
        text = text[4:]
    word, year, month = "", 0, None
    if found := _MONTH_YEAR.match(text):
        word, year = found[1], _year(found[2])
    elif found := _YEAR_MONTH_WORD.match(text):
        word, year = found[2], int(found[1])
    elif found := _YEAR_MONTH.match(text):
        year, month = int(found[1]), int(found[2])
        if month > 12 and month == (year + 1) % 100:  # the season 2013/14
            return [When(_date(text, year, 1, 1), _date(text, year + 1, 12, 31), Precision.RANGE)]
    elif found := _MONTH_YEAR_NUMERIC.match(text):
        year, month = int(found[2]), int(found[1])
    elif found := _YEAR.match(text):
        year = _year(found[1] or found[2])
        return [When(_date(text, year, 1, 1), date(year, 12, 31), Precision.YEAR)]
    if word:
        season = SEASONS.get(bare(word))
        if season:
            return _season(season, year, southern)
        month = month_of(word)
    if month is not None:
        return _month(text, year, f"{month:02}")
    return _worded(text, southern, order)


def _worded(text: str, southern: bool, order: Order | None) -> list[When]:
    """What is neither a day nor a month of a year in so many words."""
    lower = text.casefold()
    first: int | None = _DECADES.get(lower)
    if found := _DECADE.match(lower):
        short = int(found[2] or found[4] or 0) * 10
        whole = found[1] or found[3]
        first = int(whole) * 10 if whole else short + (2000 if short < CENTURY_TURNS else 1900)
    if first is not None:
        return [When(_date(text, first, 1, 1), _date(text, first + 9, 12, 31), Precision.RANGE)]
    if found := _QUARTER.match(text):
        return _quarter(text, _year(found[3]), int(found[1] or found[2]))
    if found := _YEAR_QUARTER.match(text):
        return _quarter(text, int(found[1]), int(found[2]))
    if (found := _WINTER_OF_TWO.match(text)) and SEASONS.get(bare(found[1])) == "winter":
        return _season("winter", int(found[2]), southern)[-1:]
    if part := _PART.match(text):
        return [_part(part.lastindex or 1, span) for span in _spans(text[part.end() :], southern, order)]
    if found := _WEEKEND_OF.match(text):
        return [
            When(*weekend_at(span.start), Precision.RANGE)
            for span in _spans(found[1], southern, order)
            if span.precision is Precision.DAY
        ]
    if (found := _NTH_DAY.match(text)) and (nth := _NTH.get(found[1].casefold())):
        return _nth(nth, bare(found[2]), _spans(found[3], southern, order))
    if found := _FEAST_YEAR.match(text):
        return _feast(text, found[1], _year(found[2]))
    if found := _YEAR_FEAST.match(text):
        return _feast(text, found[2], int(found[1]))
    return []


def _quarter(text: str, year: int, quarter: int) -> list[When]:
    last = quarter * 3
    start = _date(text, year, last - 2, 1)
    return [When(start, date(year, last, monthrange(year, last)[1]), Precision.RANGE)]


def _feast(text: str, name: str, year: int) -> list[When]:
    days = feast(name, _date(text, year, 1, 1).year)
    if days is None:
        return []
    return [When(*days, Precision.DAY if days[0] == days[1] else Precision.RANGE)]


def _nth(nth: int, word: str, months: list[When]) -> list[When]:
    """'last Saturday of May 2014', 'first weekend of June 2013', 'second week of May 2012'."""
    found = []
    for month in months:
        if month.precision is not Precision.MONTH:
            continue
        year, number = month.start.year, month.start.month
        if word in WEEKDAYS:
            day = nth_weekday(year, number, WEEKDAYS[word], nth)
            found += [_day(day)] if day else []
        elif word in _WEEKENDS:
            day = nth_weekday(year, number, 5, nth)
            found += [When(day - _DAY, day + _DAY, Precision.RANGE)] if day else []
        elif word in _WEEKS:
            start = month.end - 6 * _DAY if nth < 0 else month.start + (nth - 1) * 7 * _DAY
            found.append(When(start, min(start + 6 * _DAY, month.end), Precision.RANGE))
    return [span for span in found if span.start <= span.end]


def _day(day: date, doubt: bool = False) -> When:
    return When(day, day, Precision.DAY, doubt)


def _days(year: str, month: int, first: str, last: str, text: str) -> When:
    start, end = (_date(text, _year(year), month, int(day)) for day in (first, last))
    if end < start:
        raise DateError(f"{text[:80]!r} ends before it begins")
    return When(start, end, Precision.RANGE)


def _numeric(first: int, second: int, year: str, text: str, order: Order | None) -> list[When]:
    """The order that the column has; else day and month in either, and year first only where nothing else is a date."""
    found = numeric_readings(first, second, year)
    if order in found:
        return [_day(found[order])]
    if len(found) > 1:
        found.pop(Order.YMD, None)
    if not found:
        raise DateError(f"{text[:80]!r} does not exist in the calendar")
    return [_day(day) for day in found.values()]


def numeric_readings(first: int, second: int, third: str) -> dict[Order, date]:
    """The dates that three numbers are, by order; `third` with its digits, for two of them can be a day."""
    orders = {Order.DMY: (_year(third), second, first), Order.MDY: (_year(third), first, second)}
    if len(third) == 2:
        orders[Order.YMD] = (_year(f"{first:02}"), second, int(third))
    found = {}
    for order, numbers in orders.items():
        try:
            found[order] = _date("", *numbers)
        except DateError:
            continue
    return found


def three_numbers(text: str) -> tuple[int, str, int, str] | None:
    """First, sign between, second and third number of a date that needs an order; None for what needs none."""
    found = _NUMERIC.match(text)
    return (int(found[1]), found[2], int(found[3]), found[4]) if found else None


def take_weekday(text: str) -> tuple[int | None, str]:
    """The weekday of a text and the tidy text without it."""
    return _weekday(_tidy(text), False, None, ())


def _season(season: str, year: int, southern: bool) -> list[When]:
    """Seasons as people use the words: a few weeks wider than the calendar's."""
    if southern:
        season = {"summer": "winter", "winter": "summer", "spring": "autumn", "autumn": "spring"}[season]
        # Winter 2014 of the south is one; its summer 2014 could be either turn of the year, like a northern winter.
    bounds = {"spring": (3, 1, 6, 21), "summer": (6, 1, 9, 22), "autumn": (9, 1, 12, 21)}
    if season in bounds:
        from_month, from_day, to_month, to_day = bounds[season]
        return [When(_date(season, year, from_month, from_day), date(year, to_month, to_day), Precision.SEASON)]
    return [
        When(_date(season, first, 12, 1), _date(season, first + 1, 3, 21), Precision.SEASON)
        for first in (year - 1, year)
    ]


def _part(third: int, span: When) -> When:
    """The first (1), middle (2) or last (3) of the interval, with some overlap; its halves (4, 5)."""
    days = span.days
    if third == 1:
        return When(span.start, span.start + timedelta(days=days * 2 // 5), Precision.RANGE)
    if third == 3:
        return When(span.end - timedelta(days=days * 2 // 5), span.end, Precision.RANGE)
    if third > 3:
        middle = span.start + timedelta(days=days // 2)
        return (
            When(span.start, middle - _DAY, Precision.RANGE) if third == 4 else When(middle, span.end, Precision.RANGE)
        )
    return When(span.start + timedelta(days=days // 4), span.end - timedelta(days=days // 4), Precision.RANGE)


def _year(text: str) -> int:
    year = int(text)
    if len(text) > 2:
        return year
    return year + (2000 if year < CENTURY_TURNS else 1900)
