"""When: dates as sources write them, and as people type them.

A source's date is one night or refused. What a person typed is one or more readings, each an interval: where day and
month could be either, both readings are given, never a guess.

Errors
    DateError       not a date, or not one that exists; the text says which
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

FIRST_YEAR, LAST_YEAR = 1850, 2199
DAWN = time(5)
"""Shows that begin after midnight and before dawn belong to the evening before."""
CENTURY_TURNS = 50
"""Two-digit years below it are 20xx. No clock is asked: the same text means the same at every replay."""
_DAY = timedelta(days=1)


class DateError(ValueError):
    """Not a date, or not one that exists."""


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


# English, German, Portuguese, Spanish, French, Italian, Dutch, Danish and Swedish, as far as the first letters tell.
_MONTHS = {
    1: "january jan januar jänner janeiro enero ene janvier janv gennaio gen januari",
    2: "february feb februar fevereiro fev febrero février fevrier févr fevr fév febbraio febbr februari",
    3: "march mar märz maerz mär mrz março marco marzo mars maart mrt marts",
    4: "april apr abril abr avril avr aprile",
    5: "may mai maio mayo maggio mag mei maj",
    6: "june jun juni junho junio juin giugno giu",
    7: "july jul juli julho julio juillet juil luglio lug",
    8: "august aug agosto ago août aout augustus augusti",
    9: "september sep sept setembro set septiembre septembre settembre sett",
    10: "october oct oktober okt outubro out octubre octobre ottobre ott",
    11: "november nov novembro noviembre novembre",
    12: "december dec dezember dez dezembro diciembre dic décembre decembre déc dicembre",
}
_MONTH_OF = {word: number for number, words in _MONTHS.items() for word in words.split()}
_SEASONS = {
    "spring": "spring frühling frühjahr primavera printemps",
    "summer": "summer sommer verão verao verano été ete estate zomer",
    "autumn": "autumn fall herbst outono otoño otono automne autunno herfst",
    "winter": "winter inverno invierno hiver",
}
_SEASON_OF = {word: season for season, words in _SEASONS.items() for word in words.split()}

_SEP = r"\s*[-./ ]\s*"
_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]+(.+))?$")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2})?(Z)?)?$")
_YMD = re.compile(r"(\d{4})[./ ](\d{1,2})[./ ](\d{1,2})$")
_NUMERIC = re.compile(r"(\d{1,2})([-./ ])\s*(\d{1,2})[-./ ]\s*'?(\d{4}|\d{2})\.?$")
_DAY_MONTH_YEAR = re.compile(
    r"(\d{1,2})(?:st|nd|rd|th|\.|º|er)?[\s./-]*(?:of |de |den )?([^\W\d_]+)\.?,?[\s./-]*(?:de )?'?(\d{4}|\d{2})$"
)
_MONTH_DAY_YEAR = re.compile(r"([^\W\d_]+)\.?[\s-]*(\d{1,2})(?:st|nd|rd|th)?(?:,\s*|\s+|-)'?(\d{4}|\d{2})$")
_MONTH_YEAR = re.compile(r"([^\W\d_]+)\.?,?[\s./-]*(?:of |de )?'?(\d{4}|\d{2})$")
_YEAR_MONTH_WORD = re.compile(r"(\d{4})[\s,/-]+([^\W\d_]+)\.?$")
_YEAR_MONTH = re.compile(r"(\d{4})[-./](\d{1,2})$")
_MONTH_YEAR_NUMERIC = re.compile(r"(\d{1,2})[-./](\d{4})$")
_YEAR = re.compile(r"(\d{4})$")
_DECADE = re.compile(r"(?:the )?(?:(\d{3})0|'?(\d)0)['’]?s$")
_DAYS_OF_MONTH = re.compile(r"(\d{1,2})\.?\s*[-–&+]\s*(\d{1,2})\.?\s+([^\W\d_]+)\.?,?\s*(\d{4})$")
_MONTH_DAYS = re.compile(r"([^\W\d_]+)\.?\s*(\d{1,2})\s*[-–&]\s*(\d{1,2}),?\s*(\d{4})$")
_WEEKDAY = re.compile(
    r"^(?:mon|tue|wed|thu|fri|sat|sun|mo|di|mi|do|fr|sa|so)[^\W\d_]{0,9}(?:-feira)?[.,]*\s+(?=\S*\d|[^\W\d_]+\.? \d)",
    re.IGNORECASE,
)
_ABOUT = re.compile(r"^(?:~|ca?\.|circa|about|around|approx\.?|sometime|on|in)\s*(?=[\w'])", re.IGNORECASE)
_PART = re.compile(r"^(early|mid|late|beginning of|middle of|end of|anfang|mitte|ende)[\s-]+", re.IGNORECASE)
_CLOCK = re.compile(
    r"\s*(?:um|at|@|às)?\s*(\d{1,2})[:.h](\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s*(?:(a|p)\.?m\.?|h|uhr)?\s*$", re.IGNORECASE
)
_HOUR = re.compile(r"\s*(\d{1,2})\s*(?:(a|p)\.?\s?m\.?|h|uhr|o'?clock)\s*$", re.IGNORECASE)
_ZONE = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")


def evening_of(moment: datetime) -> date:
    """The night a local time belongs to."""
    return moment.date() - _DAY if moment.time() < DAWN else moment.date()


def clock(text: str) -> time | None:
    """A time of day: 20:00, 8pm, 20h30, 8:30 PM, 20 Uhr; None when it is none."""
    text = text.strip()
    if text.casefold() in {"noon", "midday"}:
        return time(12)
    if text.casefold() == "midnight":
        return time(0)
    found = _CLOCK.fullmatch(text)
    if found:
        hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
        half = found[4]
    else:
        found = _HOUR.fullmatch(text)
        if not found:
            return None
        hour, minute, second, half = int(found[1]), 0, 0, found[2]
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in "pP" else 0)
    if hour == 24 and minute == second == 0:
        hour = 0
    return time(hour, minute, second) if hour < 24 and minute < 60 and second < 60 else None


@lru_cache(maxsize=512)
def zone(name: str) -> tzinfo | None:
    """An IANA zone; None for a name that is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError on 3.11
        return None
    except KeyError:
        return None


# -- sources ----------------------------------------------------------------------------------------------------------


def source_date(text: str) -> Moment:
    """A source's date, with its hour where it has one. DateError for what is none, impossible or ambiguous.

    ISO is read first; 14-11-2014 and 14.11.2014 are day first, as setlist.fm and Europe write them; 11/12/2014 could be
    either and is refused.
    """
    text = _WEEKDAY.sub("", text.strip())
    found = _ISO.match(text)
    if found:
        day = _date(text, *map(int, found.group(1, 2, 3)))
        if found[4] is None:
            return Moment(day)
        start = _local(day, found[4])
        # Midnight sharp on a date is how programs write that they know no hour.
        if start is None or (start.time() == time(0) and _is_local(start)):
            return Moment(day)
        return Moment(evening_of(start), start)
    found = _COMPACT.match(text)
    if found:
        return Moment(_date(text, *map(int, found.group(1, 2, 3))))
    found = _NUMERIC.match(text)
    if found and found[2] in "-. ":
        return Moment(_date(text, _year(found[4]), int(found[3]), int(found[1])))
    spans = readings(text)
    days = {span.start for span in spans if span.precision is Precision.DAY}
    if not spans:
        raise DateError(f"{text[:80]!r} is no date; 2014-11-14 would be right")
    if len(days) != 1:
        which = " or ".join(sorted(day.isoformat() for day in days)) or "no single night"
        raise DateError(f"{text[:80]!r} means {which}; 2014-11-14 would be right")
    return Moment(days.pop())


def source_start(text: str, night: date | None) -> Moment | None:
    """A start of its own field: an hour of the night, or an ISO moment. None when it says nothing readable.

    An hour before dawn on a date moves the night to the evening before; a moment on the morning after it stays with it.
    """
    text = text.strip()
    hour = clock(text)
    if hour is not None:
        if night is None:
            return None
        start = datetime.combine(night, hour)
        return Moment(evening_of(start), start)
    try:
        found = _ISO.match(text)
        if found is None or found[4] is None:
            return None
        start_ = _local(_date(text, *map(int, found.group(1, 2, 3))), found[4])
    except DateError:
        return None
    if start_ is None:
        return None
    return Moment(evening_of(start_), start_)


def _is_local(moment: datetime) -> bool:
    """Whether the clock is the venue's: no zone, or an offset other than UTC's."""
    return moment.tzinfo is None or bool(moment.utcoffset())


def _local(day: date, rest: str) -> datetime | None:
    """The moment that an ISO text's second half names."""
    offset: tzinfo | None = None
    found = _ZONE.search(rest)
    if found:
        rest = rest[: found.start()]
        sign = found[1]
        if sign == "Z":
            offset = UTC
        else:
            minutes = int(sign[1:3]) * 60 + int(sign[-2:])
            if minutes >= 24 * 60:
                return None
            offset = timezone(timedelta(minutes=-minutes if sign[0] == "-" else minutes))
    hour = clock(rest)
    return None if hour is None else datetime.combine(day, hour, offset)


def _date(text: str, year: int, month: int, day: int) -> date:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise DateError(f"{text[:80]!r}: the year is not between {FIRST_YEAR} and {LAST_YEAR}")
    try:
        return date(year, month, day)
    except ValueError:
        raise DateError(f"{text[:80]!r} does not exist in the calendar") from None


# -- people -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=50_000)
def readings(text: str, southern: bool = False) -> tuple[When, ...]:
    """What a typed date can mean, each as an interval; empty when it is no date.

    `southern`: seasons are those of the southern half of the earth.
    """
    text = " ".join(text.split()).strip(" .,;?!()")
    text = _ABOUT.sub("", text)
    text = _WEEKDAY.sub("", text)
    single = _one(text, southern)
    if single:
        return single
    for separator in ("/", " - ", " – ", "–", " to ", " bis ", " until ", " a ", "..", "—", "-"):
        first, found, second = text.partition(separator)
        if found and "/" in second and separator == "/":
            continue
        starts = _one(first.strip(), southern) if found else ()
        ends = _one(second.strip(), southern) if found else ()
        if starts and ends:
            spans = {
                When(one.start, other.end, Precision.RANGE)
                for one in starts
                for other in ends
                if one.start <= other.end and len({one.precision, other.precision}) == 1
            }
            if spans:
                return _ordered(spans)
    return ()


def impossible(text: str) -> str | None:
    """What is wrong with a typed date that has the form of one and that no calendar has; None where nothing is.

    '2014-02-31', '31/02/2014', '2014-06-01/2014-05-01'. What has no such form ('around christmas') is not judged.
    """
    if readings(text):
        return None
    first, _, second = text.partition("/")
    if second and readings(first.strip()) and readings(second.strip()):
        return f"{text.strip()!r} ends before it begins"
    if _THREE_NUMBERS.fullmatch(text.strip()):
        return f"{text.strip()!r} does not exist in the calendar"
    return None


_THREE_NUMBERS = re.compile(r"\d{1,4}([-/. ])\d{1,2}\1\d{1,4}")


def _ordered(spans: set[When]) -> tuple[When, ...]:
    return tuple(sorted(spans, key=lambda span: (span.start, span.end, span.precision)))


def _one(text: str, southern: bool) -> tuple[When, ...]:
    """One date, whatever its precision; without ranges of two."""
    try:
        return _ordered(set(_spans(text, southern)))
    except DateError:
        return ()


def _spans(text: str, southern: bool) -> list[When]:
    if found := _ISO.match(text):
        day = _date(text, *map(int, found.group(1, 2, 3)))
        start = _local(day, found[4]) if found[4] else None
        if start is not None and time(0) < start.time() < DAWN:
            return [When(day - _DAY, day, Precision.DAY)]
        return [_day(day)]
    if (found := _COMPACT.match(text)) or (found := _YMD.match(text)):
        return [_day(_date(text, *map(int, found.group(1, 2, 3))))]
    if found := _NUMERIC.match(text):
        return _numeric(int(found[1]), int(found[3]), found[4], text)
    if (found := _DAYS_OF_MONTH.match(text)) and found[3].casefold() in _MONTH_OF:
        return [_days(found[4], found[3], found[1], found[2], text)]
    if (found := _MONTH_DAYS.match(text)) and found[1].casefold() in _MONTH_OF:
        return [_days(found[4], found[1], found[2], found[3], text)]
    if (found := _DAY_MONTH_YEAR.match(text)) and found[2].casefold() in _MONTH_OF:
        return [_day(_date(text, _year(found[3]), _MONTH_OF[found[2].casefold()], int(found[1])))]
    if (found := _MONTH_DAY_YEAR.match(text)) and found[1].casefold() in _MONTH_OF:
        return [_day(_date(text, _year(found[3]), _MONTH_OF[found[1].casefold()], int(found[2])))]
    if part := _PART.match(text):
        return [_part(part[1].casefold(), span) for span in _spans(text[part.end() :], southern)]
    return _wider(text, southern)


def _wider(text: str, southern: bool) -> list[When]:
    """Months, seasons, years, decades."""
    month: int | None = None
    year = 0
    if found := _MONTH_YEAR.match(text):
        word, year = found[1].casefold(), _year(found[2])
        if word in _SEASON_OF:
            return _season(_SEASON_OF[word], year, southern)
        month = _MONTH_OF.get(word)
    elif found := _YEAR_MONTH_WORD.match(text):
        word, year = found[2].casefold(), _year(found[1])
        if word in _SEASON_OF:
            return _season(_SEASON_OF[word], year, southern)
        month = _MONTH_OF.get(word)
    elif found := _YEAR_MONTH.match(text):
        year, month = int(found[1]), int(found[2])
    elif found := _MONTH_YEAR_NUMERIC.match(text):
        year, month = int(found[2]), int(found[1])
    elif found := _YEAR.match(text):
        return [When(_date(text, int(found[1]), 1, 1), date(int(found[1]), 12, 31), Precision.YEAR)]
    elif found := _DECADE.match(text):
        short = int(found[2] or 0) * 10
        first = int(found[1]) * 10 if found[1] else short + (2000 if short < CENTURY_TURNS else 1900)
        return [When(_date(text, first, 1, 1), _date(text, first + 9, 12, 31), Precision.RANGE)]
    if month is None:
        return []
    first_day = _date(text, year, month, 1)
    return [When(first_day, first_day.replace(day=monthrange(year, month)[1]), Precision.MONTH)]


def _day(day: date) -> When:
    return When(day, day, Precision.DAY)


def _days(year: str, month: str, first: str, last: str, text: str) -> When:
    number = _MONTH_OF[month.casefold()]
    start, end = (_date(text, int(year), number, int(day)) for day in (first, last))
    if end < start:
        raise DateError(f"{text[:80]!r} ends before it begins")
    return When(start, end, Precision.RANGE)


def _numeric(first: int, second: int, year: str, text: str) -> list[When]:
    """Day and month in either order; year first only where nothing else is a date."""
    orders = [(_year(year), second, first), (_year(year), first, second)]
    if len(year) == 2:
        orders.append((_year(f"{first:02}"), second, int(year)))
    found = []
    for order in orders[:2]:
        try:
            found.append(_day(_date(text, *order)))
        except DateError:
            continue
    if not found and len(orders) == 3:
        found.append(_day(_date(text, *orders[2])))
    return found


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


def _part(part: str, span: When) -> When:
    """A third of the interval, with some overlap."""
    days = span.days
    if part in {"early", "beginning of", "anfang"}:
        return When(span.start, span.start + timedelta(days=days * 2 // 5), Precision.RANGE)
    if part in {"late", "end of", "ende"}:
        return When(span.end - timedelta(days=days * 2 // 5), span.end, Precision.RANGE)
    return When(span.start + timedelta(days=days // 4), span.end - timedelta(days=days // 4), Precision.RANGE)


def _year(text: str) -> int:
    year = int(text)
    if len(text) > 2:
        return year
    return year + (2000 if year < CENTURY_TURNS else 1900)
