"""Calendars: iCalendar (RFC 5545), and the same as XML (xCal, RFC 6321).

A night that returns is a listing for each time, `UID@the night as first planned`: a night that was moved or cancelled
by itself keeps its id. Only what returns is bounded by `back` and `ahead` of the spider's clock, for it may never end;
single events are given however old. One that is changed from a night on (RANGE=THISANDFUTURE) keeps their ids as well.
Days without an hour that last longer than one have both ends as their date, which
normalising refuses as a span (docs/decisions/0008).

Times are given by the clock of their zone, a VTIMEZONE's, an Olson or a Windows name; where TZID says nothing known,
and for times that float, by the venue's clock, which X-WR-TIMEZONE tells or nobody. One broken event is a rejection.
"""

import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events
from icalendar.timezone import tzp
from parsel import Selector
from scrapy import Request
from scrapy.http import Response, TextResponse

from schemas.message import content_hash
from schemas.rejection import Reason
from spiders.formats.base import Item, http_date
from spiders.formats.pages import MOST_A_PAGE, Found, PagesSpider, place_in, plain, web

XCAL = b"urn:ietf:params:xml:ns:icalendar-2.0"
STRIDE = timedelta(days=366)
"""What returns is followed so far at once, and further where nothing is found."""
TOO_OFTEN = frozenset({"SECONDLY", "MINUTELY", "HOURLY"})
MOST_A_DAY = 24
"""Times that one rule may name for a day; no concert has more, and a rule could name 86,400."""
RULES = ("RRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "DTSTART")
"""What decides which nights there are: an event where one of these cannot be read is a rejection."""


class CalendarSpider(PagesSpider):
    """Reads one calendar file."""

    format = "icalendar"
    back: ClassVar[timedelta] = timedelta(days=366)
    ahead: ClassVar[timedelta] = timedelta(days=731)
    """How far around the spider's clock what returns is followed; the errand's own days come before them."""

    def begins_at(self) -> list[str]:
        """webcal: is https: under a name that opens calendar programs."""
        return [re.sub(r"^webcals?:", "https:", url, flags=re.IGNORECASE) for url in super().begins_at()]

    @classmethod
    def recognises(cls, response: Response) -> str:
        """How many events it has."""
        body = response.body.lstrip(b"\xef\xbb\xbf \t\r\n")
        if XCAL in body[:2_000]:
            return f"a calendar as XML with {body.count(b'<vevent>')} events"
        if not body[:40].upper().startswith(b"BEGIN:VCALENDAR"):
            return ""
        return f"a calendar with {body.upper().count(b'BEGIN:VEVENT')} events"

    def read(self, response: Response) -> Iterable[Item | Request]:
        """The calendar's events, each as often as it takes place."""
        text = from_xcal(response.body) if XCAL in response.body[:2_000] else text_of(response)
        calendar = taken_apart(text)
        if not calendar.begun:
            told = "it has no BEGIN:VCALENDAR"
            self.faults.append(f"{response.url} is no calendar: {told}")
            yield self.unreadable(response, Reason.BAD_DOCUMENT, told, response.body)
            return
        if not calendar.ended:
            self.faults.append(f"{response.url} is cut off: the calendar has no END:VCALENDAR")
        for original in calendar.unended:
            yield self.unreadable(response, Reason.BAD_DOCUMENT, "a VEVENT has no END", original.encode())
        for told in zones(calendar):
            self.logger.warning("%s: %s: its times are taken for the venue's", response.url, told)
        changed = http_date(response)
        left = MOST_A_PAGE
        for texts in by_uid(calendar.events):
            found: list[Found] = []
            for series in series_of(texts[: left + 1]):
                try:
                    nights = occurrences(series, calendar, *self._window(), changed)
                    found += list(islice(nights, max(0, left + 1 - len(found))))
                except BadEvent as error:
                    original = "\n".join(one.text for one in series)
                    yield self.unreadable(response, error.reason, str(error), original.encode(errors="replace"))
            yield from self.give(response, found[:left])
            if len(found) > left or len(texts) > left + 1:
                self.too_many(response, f"{MOST_A_PAGE:,} nights")
                return
            left -= len(found)

    def _window(self) -> tuple[date, date]:
        today = self.clock().date()
        return self.errand.since or today - self.back, self.errand.until or today + self.ahead


class BadEvent(Exception):
    """An event that cannot be read, and why."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


# -- the file ---------------------------------------------------------------------------------------------------------


@dataclass
class Parts:
    """A calendar's text, taken apart so that one broken event leaves its neighbours alone."""

    events: list[str] = field(default_factory=list)
    zones: list[str] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    """Events that the next one begins within."""
    tz: str | None = None
    """X-WR-TIMEZONE, where it is a zone's name."""
    cancels: bool = False
    """It is a message that takes its events back."""
    begun: bool = False
    ended: bool = False


def text_of(response: Response) -> str:
    """The file's text, unfolded: UTF-8 or UTF-16 by its mark, UTF-8 as the standard wants it, else as the server says,
    else as Windows writes.

    Lines are folded after so many bytes, at times within a character (RFC 5545, 3.1): whole again before they are read.
    """
    if response.body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _FOLD.sub("", response.body.decode("utf-16", "replace"))
    body = _FOLD_IN_BYTES.sub(b"", response.body)
    for encoding in ("utf-8-sig", getattr(response, "encoding", None) if isinstance(response, TextResponse) else None):
        try:
            if encoding:
                return _FOLD.sub("", body.decode(encoding))
        except (UnicodeDecodeError, LookupError):
            continue
    return body.decode("cp1252", "replace")


_FOLD = re.compile(r"(?:\r\n|\n|\r)[ \t]")
_FOLD_IN_BYTES = re.compile(rb"(?:\r\n|\n|\r)[ \t]")
_LINE = re.compile(r"\r\n|\n|\r")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def taken_apart(text: str) -> Parts:
    """A calendar's events and zones, each as text of its own. `text`: unfolded."""
    parts, inside, lines = Parts(), "", list[str]()
    for line in _LINE.split(_CONTROL.sub("", text).removeprefix("\ufeff")):
        word = line.strip().upper()
        if inside:
            if word == f"BEGIN:{inside}":  # the one before has no end
                parts.unended.append("\n".join(lines))
                lines = [line]
                continue
            if word == "END:VCALENDAR":
                parts.unended.append("\n".join(lines))
                inside, parts.ended = "", True
                continue
            lines.append(line)
            if word == f"END:{inside}":
                (parts.events if inside == "VEVENT" else parts.zones).append("\r\n".join(lines))
                inside = ""
        elif word in ("BEGIN:VEVENT", "BEGIN:VTIMEZONE"):
            inside, lines = word.partition(":")[2], [line.strip()]
            parts.begun = True
        elif word == "BEGIN:VCALENDAR":
            parts.begun = True
        elif word == "END:VCALENDAR":
            parts.ended = True
        elif word.startswith("X-WR-TIMEZONE"):
            parts.tz = _zone_named(line.partition(":")[2])
        elif word.startswith("METHOD:"):
            parts.cancels = word == "METHOD:CANCEL"
    if inside:
        parts.unended.append("\n".join(lines))
    return parts


def _zone_named(name: str) -> str | None:
    name = name.strip()
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None
    return name if name.upper() not in ("UTC", "GMT", "ETC/UTC") else None


def zones(parts: Parts) -> list[str]:
    """Make the calendar's own zones known to the reader, which forgets those of the calendar before. What it could not
    read."""
    tzp.use_zoneinfo()
    unreadable = []
    for text in parts.zones:
        try:
            tzp.cache_timezone_component(icalendar.Timezone.from_ical(text))
        except Exception as error:  # of the reader, on any of a zone's rules
            unreadable.append(f"a VTIMEZONE cannot be read: {error}")
    return unreadable


@dataclass(frozen=True)
class One:
    """A VEVENT: read, and as it was written."""

    event: icalendar.Event | None
    text: str
    wrong: BadEvent | None = None

    def get(self, name: str) -> str:
        """A property's text; empty where there is none."""
        value = self.event.get(name) if self.event is not None else None
        return str(value[0] if isinstance(value, list) else value) if value is not None else ""


def by_uid(texts: Iterable[str]) -> list[list[str]]:
    """The events that share a UID, unread; one without a UID stands alone."""
    together: dict[str, list[str]] = {}
    for place, text in enumerate(texts):
        found = _UID.search(text)
        uid = found[1].strip() if found else ""
        together.setdefault(uid or f"\n{place}", []).append(text)
    return list(together.values())


_UID = re.compile(r"^[ \t]*UID(?:;[^:\r\n]*)?:(.*)$", re.IGNORECASE | re.MULTILINE)


def series_of(texts: Iterable[str]) -> Iterator[list[One]]:
    """Of events that share a UID those that belong together: one that returns, with what was changed for single nights.

    One that cannot be read stands alone.
    """
    ones: list[One] = []
    for text in texts:
        one = _read(text)
        if one.wrong is not None:
            yield [one]
        else:
            ones.append(one)
    returning = [one for one in ones if one.event is not None and _returns(one.event)]
    if returning or any("RECURRENCE-ID" in (one.event or {}) for one in ones):
        yield ones
    elif ones:  # one that was sent again with changes, or different ones whose program gives them one id
        last = max(_sequence(one) for one in ones)
        yield from ([one] for one in ones if _sequence(one) == last)


def _read(text: str) -> One:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # icalendar's, about the names of zones
            event = icalendar.Event.from_ical(text)
    except Exception as error:  # of the reader: it has many
        return One(None, text, BadEvent(Reason.BAD_DOCUMENT, f"a VEVENT cannot be read: {error}"))
    if not isinstance(event, icalendar.Event):
        return One(None, text, BadEvent(Reason.BAD_DOCUMENT, "a VEVENT cannot be read"))
    if "DTSTART" not in event:
        return One(event, text, BadEvent(Reason.NO_DATE, "DTSTART: an event needs one"))
    wrong = {str(name): str(why) for name, why in event.errors if name}
    for name in RULES:
        if name in wrong or not _readable(event, name):
            reason = Reason.BAD_DATE if name == "DTSTART" else Reason.BAD_VALUE
            return One(event, text, BadEvent(reason, f"{name}: {wrong.get(name, 'it says nothing readable')}"))
    return One(event, text)


def _readable(event: icalendar.Event, name: str) -> bool:
    """Whether a property that is there has its value."""
    value = event.get(name)
    try:
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            if name == "RRULE":
                _check(one)
            elif name in ("RDATE", "EXDATE"):
                _ = [date.dt for date in one.dts]
            elif not isinstance(one.dt, date):
                return False
    except Exception:  # of the reader, on asking a broken property for its value
        return False
    return True


def _check(rule: Any) -> None:
    """ValueError for a rule that names moments by the million, or never goes on."""
    if {str(one).upper() for one in rule.get("FREQ", ())} & TOO_OFTEN or not rule.get("FREQ"):
        raise ValueError("FREQ")
    if any(int(one) < 1 for one in rule.get("INTERVAL", ())):
        raise ValueError("INTERVAL")
    a_day = 1
    for name in ("BYHOUR", "BYMINUTE", "BYSECOND"):
        a_day *= max(1, len(rule.get(name, ())))
    if a_day > MOST_A_DAY:
        raise ValueError("BYHOUR")


def _returns(event: icalendar.Event) -> bool:
    return "RRULE" in event or "RDATE" in event


def _sequence(one: One) -> int:
    told = one.get("SEQUENCE").strip()
    return int(told) if told.isdecimal() and len(told) < 10 else 0


# -- events -----------------------------------------------------------------------------------------------------------


def occurrences(series: list[One], parts: Parts, since: date, until: date, changed: datetime | None) -> Iterator[Found]:
    """What a series takes place as, between two days where it returns. BadEvent."""
    for one in series:
        if one.wrong is not None:
            raise one.wrong
    events = [one.event for one in series if one.event is not None]
    texts = {id(one.event): one.text for one in series}
    if not any(map(_returns, events)):
        for event in events:
            yield _found(event, texts[id(event)], parts, changed, _recurrence(event))
        return
    calendar = icalendar.Calendar()
    for event in events:
        calendar.add_component(event)
    changes = {_recurrence(event): event for event in events if "RECURRENCE-ID" in event}
    series_text = next(texts[id(event)] for event in events if _returns(event))
    for night in _nights(calendar, since, until):
        change = changes.get(_recurrence(night))
        text = series_text if change is None else texts[id(change)]
        yield _found(night, text, parts, changed, _recurrence(night, _move(change)))


def _nights(calendar: icalendar.Calendar, since: date, until: date) -> Iterator[Any]:
    """The nights of a series between two days, a stretch at a time. BadEvent."""
    seen: set[tuple[str, str]] = set()
    stride = STRIDE
    while since <= until:
        last = until if until - since <= stride else since + stride
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                nights = recurring_ical_events.of(calendar).between(since, last + timedelta(days=1))
        except Exception as error:  # of the reader, on rules that contradict themselves
            raise BadEvent(Reason.BAD_VALUE, f"the event's recurrence cannot be read: {error}") from None
        for night in nights:
            told = (_recurrence(night), str(night["DTSTART"].dt))
            if told not in seen:  # one that lasts from one stride into the next is in both
                seen.add(told)
                yield night
        stride = STRIDE if nights else 2 * stride
        since = last + timedelta(days=1)


def _move(change: Any) -> timedelta | None:
    """By how much a change moves its night and all that follow; None where it is of one night alone."""
    if change is None or change["RECURRENCE-ID"].params.get("RANGE", "").upper() != "THISANDFUTURE":
        return None
    try:
        moved: timedelta = change["DTSTART"].dt - change["RECURRENCE-ID"].dt
    except TypeError:  # one of them has an hour or a zone, and the other none
        return None
    return moved


def _recurrence(event: Any, move: timedelta | None = None) -> str:
    """The night as first planned, in UTC where its zone is known; empty for one that does not return.

    `move`: of a night within a range, which has the RECURRENCE-ID of the range's first: how far it was moved.
    """
    told = event.get("RECURRENCE-ID")
    if told is None:
        return ""
    moment = told.dt if move is None else event["DTSTART"].dt - move
    if not isinstance(moment, datetime):
        return f"{moment:%Y%m%d}"
    return f"{moment:%Y%m%dT%H%M%S}" if moment.tzinfo is None else f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _found(event: Any, text: str, parts: Parts, changed: datetime | None, planned: str) -> Found:
    uid = str(event.get("UID") or "").strip()
    title = plain(_said(event, "SUMMARY"))
    date_, tz = when(event, parts.tz)
    place = _said(event, "LOCATION")
    status = _said(event, "STATUS").strip().upper()
    fields: dict[str, Any] = {
        "title": title,
        "date": date_,
        "tz": tz,
        "status": "cancelled" if status == "CANCELLED" or parts.cancels else None,
        "doubt": "the calendar calls it tentative" if status == "TENTATIVE" else None,
        **({} if web(place.strip()) else place_in("\n".join(filter(None, map(plain, place.split("\n")))))),
        **_point(event),
    }
    url = plain(_said(event, "URL"))
    return Found(
        fields=fields,
        payload={"calendar": text, "recurrence_id": planned} if planned else {"calendar": text},
        payload_type="application/json",
        own_id=(f"{uid}@{planned}" if planned else uid) or f"derived-{content_hash([title, date_, place])[:24]}",
        night=date_,
        url=web(url),
        changed=_moment(event, "LAST-MODIFIED") or _moment(event, "DTSTAMP") or changed,
    )


def when(event: Any, home: str | None) -> tuple[str, str | None]:
    """The date as a listing row has it, and the zone whose clock it is by; `home`: that of the calendar."""
    start, end = event.get("DTSTART").dt, _end(event)
    if not isinstance(start, datetime):
        return _span(start, end), home
    tz = getattr(start.tzinfo, "key", None) if start.tzinfo is not None else home
    if start.tzinfo is not None and start.utcoffset() == timedelta(0) and (tz is None or _zone_named(tz) is None):
        tz = home
        start = start.astimezone(ZoneInfo(home)) if home else start
    if isinstance(end, datetime) and start.time() == end.time() == time(0) and end.date() > start.date():
        return _span(start.date(), end.date()), tz  # whole days, of a program that has none
    return start.isoformat().replace("+00:00", "Z") if tz is None else start.isoformat(), tz


def _span(start: date, end: date | None) -> str:
    """One day, or its first and its last; a calendar's end is the day after."""
    last = end - timedelta(days=1) if end is not None and not isinstance(end, datetime) and end > start else start
    return start.isoformat() if last <= start else f"{start.isoformat()}/{last.isoformat()}"


def _end(event: Any) -> date | None:
    try:
        if "DTEND" in event:
            end = event.get("DTEND").dt
            return end if isinstance(end, date) else None
        if "DURATION" in event:
            end = event.get("DTSTART").dt + event.get("DURATION").dt
            return end if isinstance(end, date) else None
    except Exception:  # of the reader, on a broken end: the start is what counts
        return None
    return None


def _said(event: Any, name: str) -> str:
    value = event.get(name)
    value = value[0] if isinstance(value, list) and value else value
    return "" if value is None else str(value)


def _moment(event: Any, name: str) -> datetime | None:
    try:
        moment = event.get(name).dt
    except Exception:  # absent, or broken
        return None
    if not isinstance(moment, datetime):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


_GEO = re.compile(r"\s*(?:geo:)?\s*(-?\d+(?:\.\d+)?)\s*[;,]\s*(-?\d+(?:\.\d+)?)")


def _point(event: Any) -> dict[str, float]:
    """Coordinates: GEO, or what Apple's calendars have."""
    geo = event.get("GEO")
    if geo is not None and hasattr(geo, "latitude"):
        return {"lat": float(geo.latitude), "lon": float(geo.longitude)}
    found = _GEO.match(_said(event, "GEO") or _said(event, "X-APPLE-STRUCTURED-LOCATION"))
    return {"lat": float(found[1]), "lon": float(found[2])} if found else {}


# -- xCal -------------------------------------------------------------------------------------------------------------


def from_xcal(body: bytes) -> str:
    """A calendar as XML, as the text that it stands for (RFC 6321, section 3)."""
    root = Selector(text=body.decode("utf-8-sig", "replace"), type="xml")
    lines = ["BEGIN:VCALENDAR"]
    for prop in root.xpath("//*[local-name()='vcalendar'][1]/*[local-name()='properties']/*"):
        lines.append(_line(prop))
    for name in ("vtimezone", "vevent"):
        for one in root.xpath(f"//*[local-name()='{name}']"):
            lines += _component(one)
    whole = body.rstrip().endswith(b">") and b"</" in body[-200:]
    return "\r\n".join([*lines, "END:VCALENDAR"] if whole and b"icalendar>" in body[-40:] else lines)


def _component(one: Selector) -> list[str]:
    name = _name(one).upper()
    lines = [f"BEGIN:{name}"] + [_line(prop) for prop in one.xpath("./*[local-name()='properties']/*")]
    for part in one.xpath("./*[local-name()='components']/*[local-name()!='valarm']"):
        lines += _component(part)
    return [*lines, f"END:{name}"]


def _line(prop: Selector) -> str:
    parameters = {
        _name(one).upper(): _inside(one) for one in prop.xpath("./*[local-name()='parameters']/*") if _inside(one)
    }
    values = prop.xpath("./*[local-name()!='parameters']")
    kind = _name(values[0]) if values else "text"
    if kind == "date":
        parameters["VALUE"] = "DATE"
    if kind == "recur":
        told = ";".join(_rule(values[0]))
    elif _name(prop) in ("rrule", "exrule") and kind not in ("text", "unknown"):  # without its <recur>, as some write
        told = ";".join(_rule(prop))
    elif _name(prop) == "geo" and len(values) == 2:
        told = f"{_inside(values[0])};{_inside(values[1])}"
    else:
        told = ",".join(_value(_name(one), _inside(one)) for one in values)
    named = "".join(f';{name}="{_quoted(value)}"' for name, value in parameters.items())
    return f"{_name(prop).upper()}{named}:{told}"


def _rule(recur: Selector) -> list[str]:
    parts: dict[str, list[str]] = {}
    for one in recur.xpath("./*[local-name()!='parameters']"):
        value = _inside(one)
        parts.setdefault(_name(one).upper(), []).append(_compact(value) if _name(one) == "until" else value)
    return [f"{name}={','.join(values)}" for name, values in parts.items()]


def _value(kind: str, text: str) -> str:
    if kind in ("date-time", "date", "time", "period"):
        return _compact(text)
    if kind == "utc-offset":
        return text.replace(":", "")
    if kind in ("uri", "integer", "float", "duration", "boolean", "cal-address"):
        return text
    return text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\r", "").replace("\n", "\\n")


def _compact(text: str) -> str:
    return text.replace("-", "").replace(":", "")


def _quoted(text: str) -> str:
    return " ".join(text.replace('"', "'").split())


def _name(one: Selector) -> str:
    return (one.xpath("local-name()").get() or "").lower()


def _inside(one: Selector) -> str:
    return (one.xpath("string()").get() or "").strip()
