"""A row by its layout: the entries in it, what is doubtful about them, or why there are none.

Every act of a bill is an entry of its own, as a journal has a line for each act. A day that is certain is written as
2014-11-14; any other date stays as typed, with the order of the file beside it.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from pydantic import ValidationError

from api.imports import wordings
from api.imports.columns import texts_of
from api.imports.identity import entry_id, row_hash
from api.imports.shapes import Fault, Field, Imported, Layout, Reason, Record, Row, Standing
from matchers.columns import DateOrder, column_order, numbered
from matchers.dates import LONGEST_DATE, DateError, Order, Precision, clock, impossible, readings, source_date
from matchers.gazetteer import exact_cities, known
from matchers.text import clean
from schemas.history import Remembered

LONGEST_NAME = 300
"""Characters of an act, a venue or a town; what is longer is a sentence."""
LONGEST_NOTE = 10_000
LONGEST_ENTRY = 100_000
SMALL = 10_000
"""Bytes: a setlist of five hundred songs is a quarter of the first; a row below the second gives no such entry."""
MOST_ACTS = 200
"""Of one row. The largest festivals have fewer names on a day."""
_ONCE = re.compile(r"(\d{4}):(\d{2}):(\d{2})(?: (\d{2}:\d{2})(?::\d{2})?.*)?$")
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})\d{0,2}(Z?))?$")
_HOUR_BEHIND = re.compile(r"^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(?::\d{2}(?:\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?$")
_DEGREES = re.compile(
    r"""\s*([+-]?\d{1,3}(?:[.,]\d+)?)\s*(?:deg|°|º|\s)?\s*(?:(\d{1,2}(?:[.,]\d+)?)\s*['′’]?\s*)?(?:(\d{1,2}(?:[.,]\d+)?)\s*["″”]?\s*)?([NSEWOnsewo])?\s*$"""
)
_SETLIST = re.compile(r"https?://www\.setlist\.fm/setlist/[^/]+/((?:19|20)\d\d)/([a-z0-9-]+)-[0-9a-f]+\.html")
EMPTY_SIGNS = frozenset(["0", "none", "null", "nan", "n/a", "na", "#n/a", "-", "--"])


def read_row(record: Record, layout: Layout) -> Row:
    """The row with its entries. Total: what cannot be read says so."""
    digest = row_hash(record) if record.cells else ""
    if record.fault is not None:
        return Row(record.where, record.original, Standing.UNREADABLE, digest, fault=record.fault)
    said: dict[str, Any] = {}
    doubts: list[str] = [record.doubt] if record.doubt else []
    acts = _acts(record, layout, said)
    fault = (
        _where(record, layout, said)
        or _when(record, layout, said, doubts)
        or _besides(record, layout, said, doubts)
        or _too_long(acts)
    )
    if (
        fault is None
        and not acts
        and not (said.get("date") and (said.get("venue") or said.get("city") or "lat" in said))
    ):
        fault = Fault(
            Reason.SAYS_NOTHING,
            "it says neither who played nor when and where",
            "fill in the artist, or the date and the place",
        )
    if fault is not None:
        return Row(record.where, record.original, Standing.UNREADABLE, digest, doubts=tuple(doubts), fault=fault)
    if not said.get("date"):
        doubts.append("it has no date")
    if not acts and not record.complete:
        doubts.append("it does not say who played")
    entries: list[Imported] = []
    for act in acts or (None,):
        try:
            remembered = Remembered.model_validate({**said, "artist": act})
        except ValidationError as error:
            told = error.errors(include_url=False, include_input=False)[0]
            text = f"{'.'.join(map(str, told['loc']))}: {told['msg']}"
            fault = Fault(Reason.BAD_VALUE, text, "correct the value, or leave it out")
            return Row(record.where, record.original, Standing.UNREADABLE, digest, fault=fault)
        if len(record.original) > SMALL and len(remembered.model_dump_json()) > LONGEST_ENTRY:
            text = f"an entry of it would have more than {LONGEST_ENTRY:,} bytes"
            fault = Fault(Reason.TOO_LONG, text, "keep of songs and notes what a show has")
            return Row(record.where, record.original, Standing.UNREADABLE, digest, fault=fault)
        entries.append(Imported(entry_id(record, digest, act), remembered))
    standing = Standing.DOUBTFUL if doubts else Standing.UNDERSTOOD
    return Row(record.where, record.original, standing, digest, tuple(entries), tuple(doubts))


# -- who --------------------------------------------------------------------------------------------------------------


def _texts(record: Record, layout: Layout, name: Field) -> list[str]:
    return [text for column in layout.columns(name) for text in texts_of(record.cells.get(column)) if text.strip()]


def _one(record: Record, layout: Layout, name: Field) -> str | None:
    """A field's text as a person would have typed it; None where it says that nothing is known."""
    if not layout.columns(name):
        return None
    texts = [
        tidy
        for text in _texts(record, layout, name)
        if (tidy := known(clean(text))) and tidy.casefold() not in EMPTY_SIGNS
    ]
    return ", ".join(dict.fromkeys(texts)) or None


def _acts(record: Record, layout: Layout, said: dict[str, Any]) -> list[str]:
    found: dict[str, None] = {}
    for column in layout.columns(Field.ARTIST):
        cell = record.cells.get(column)
        separator = layout.separator if isinstance(cell, str) else None
        for text in texts_of(cell):
            for act in wordings.acts(text, separator):
                if _is_named(act):
                    found[act] = None
    event = _one(record, layout, Field.EVENT)
    if not found and event:
        told = wordings.title(event)
        for act in wordings.acts(told.artist or "", "names") if told.artist else []:
            if _is_named(act):
                found[act] = None
        if told.date:
            said["date"] = told.date
        for name, text in wordings.place(told.place) if told.place else ():
            said.setdefault(name, text)
    for text in _texts(record, layout, Field.SUPPORT):
        for act in wordings.acts(text, "names"):
            if _is_named(act):
                found[act] = None
    return list(found)


def _is_named(act: str) -> bool:
    return bool(act) and known(act) is not None and act.casefold() not in {"0", "null", "nan", "#n/a"}


def _too_long(acts: list[str]) -> Fault | None:
    if len(acts) > MOST_ACTS:
        text = f"it names {len(acts):,} acts; a row may have {MOST_ACTS}"
        return Fault(Reason.TOO_LONG, text, "write the acts that you saw, a row for each night")
    if any(len(act) > LONGEST_NAME for act in acts):
        text = f"what stands for the artist has {max(map(len, acts)):,} characters; a name has at most {LONGEST_NAME}"
        return Fault(Reason.TOO_LONG, text, "shorten it to the name, or correct which column is the artist's")
    return None


# -- where ------------------------------------------------------------------------------------------------------------


def _where(record: Record, layout: Layout, said: dict[str, Any]) -> Fault | None:
    for name in (Field.VENUE, Field.CITY, Field.REGION, Field.COUNTRY):
        text = _one(record, layout, name)
        if text is not None:
            if len(text) > LONGEST_NAME and name is Field.VENUE:
                text = dict(wordings.place(text)).get("venue", text)[:LONGEST_NAME]
            said[name.value] = text[:LONGEST_NAME]
    if "city" not in said and "," in said.get("venue", ""):
        parts = dict(wordings.place(said["venue"]))
        if "city" in parts and "venue" in parts:
            said |= {name: text for name, text in parts.items() if name == "venue" or name not in said}
    if "," in said.get("city", ""):
        parts = dict(wordings.place(said["city"]))
        if "city" in parts and "venue" not in parts:
            said["city"] = parts.pop("city")
            said |= {name: text for name, text in parts.items() if name not in said}
    festival = _one(record, layout, Field.FESTIVAL)
    if festival and "venue" not in said:
        said["venue"] = festival
    lat, lon = (_one(record, layout, name) for name in (Field.LAT, Field.LON))
    if lat and lon:
        point = degrees(lat), degrees(lon)
        if point[0] is None or point[1] is None or abs(point[0]) > 90 or abs(point[1]) > 180:
            return Fault(
                Reason.BAD_VALUE, f"{lat[:40]!r}, {lon[:40]!r} is no point on earth", "write degrees: 52.3622, 4.8839"
            )
        if point != (0.0, 0.0):
            said["lat"], said["lon"] = point
    if "city" not in said:
        for link in _texts(record, layout, Field.LINK):
            said.update(_town_of_link(link))
    return None


def degrees(text: str) -> float | None:
    """52.3622, '52,3622', '51 deg 30' 26.40" N'; None for what is no number of degrees."""
    found = _DEGREES.match(text[:60])
    if found is None:
        return None
    whole, minutes, seconds = (float((found[n] or "0").replace(",", ".")) for n in (1, 2, 3))
    size = abs(whole) + minutes / 60 + seconds / 3600
    west = (found[4] or "").upper() in ("S", "W", "O") or found[1].startswith("-")
    return round(-size if west else size, 7)


def _town_of_link(link: str) -> Mapping[str, str]:
    """Town and state of a setlist.fm address: '.../2022/the-fillmore-philadelphia-pa-6bb33af6.html'."""
    found = _SETLIST.match(link)
    words = found[2].split("-") if found else []
    for size in (3, 2, 1):
        if len(words) > size + 1 and len(words[-1]) == 2:
            town = " ".join(words[-1 - size : -1]).title()
            if exact_cities(town, words[-1].upper(), "US"):
                return {"city": town, "region": words[-1].upper()}
    return {}


# -- when -------------------------------------------------------------------------------------------------------------


def _when(record: Record, layout: Layout, said: dict[str, Any], doubts: list[str]) -> Fault | None:
    text = _one(record, layout, Field.DATE) or said.pop("date", None) or _of_parts(record, layout)
    if text is None:
        return None
    text = " ".join(text.split())
    if len(text) > LONGEST_DATE:
        doubts.append(f"what stands for the date is too long to be one: {text[:40]!r}...")
        return None
    hour = _one(record, layout, Field.TIME)
    text, own_hour = _plain(text)
    if hour is None and own_hour is not None:
        hour = own_hour
    if hour and clock(hour) is not None:
        said["time"] = hour
    order = layout.date_order
    wrong = impossible(text, order)
    if wrong is not None:
        return Fault(Reason.BAD_DATE, f"date: {wrong}", "write the day as 2014-11-14, or what you know of it: Nov 2014")
    told = readings(text, False, order)
    said["date"] = text
    if not told:
        doubts.append(f"{text!r} is no date that could be read")
    elif any(one.doubt for one in told):
        doubts.append(f"{text!r}: the weekday is not that day's; {told[0].start} is a {told[0].start:%A}")
    elif len(told) > 1:
        doubts.append(f"{text!r} could be {' or '.join(sorted({one.start.isoformat() for one in told}))}")
    elif told[0].precision is Precision.DAY and told[0].days == 1 and not _says_more(text):
        said["date"] = told[0].start.isoformat()
        if order is not None and _is_against(text, order):
            doubts.append(f"{text!r} is not in the order of the other dates; it can only be {told[0].start}")
        if "time" not in said and (begins := _hour_of(text, order, told[0].start)):
            said["time"] = begins
    if order is not None and said["date"] == text and numbered(text):
        said["date_order"] = order.value
    return None


def _is_against(text: str, order: Order) -> bool:
    """Whether a date of numbers exists in another order than its column's only."""
    alone = column_order([text]) if numbered(text) else DateOrder()
    only = {Order.DMY: alone.day_first_only, Order.MDY: alone.month_first_only, Order.YMD: alone.year_first_only}
    return any(only.values()) and not only[order]


def _hour_of(text: str, order: Order | None, night: date) -> str | None:
    """The hour in a date's text: 'Fr, 14.11.2014, 20:00 Uhr'."""
    try:
        moment = source_date(text, order)
    except DateError:
        return None
    return f"{moment.start:%H:%M}" if moment.start is not None and moment.night == night else None


def _plain(text: str) -> tuple[str, str | None]:
    """A date of a program without its hour, and the hour: '2014:11:14 21:03:22', '2014-11-14T21:03'."""
    if found := _ONCE.match(text):
        return f"{found[1]}-{found[2]}-{found[3]}", found[4]
    if (found := _COMPACT.match(text)) and found[4]:
        text = f"{found[1]}-{found[2]}-{found[3]}T{found[4]}:{found[5]}:00{found[6]}"
    if (found := _HOUR_BEHIND.match(text)) and found[3] != "Z":
        if found[2] < "05:00":  # whose night it is, the matcher says
            return (text, None) if found[2] != "00:00" else (found[1], None)
        return found[1], found[2]
    return text, None


def _of_parts(record: Record, layout: Layout) -> str | None:
    """A date of three columns, or of as many as are filled."""
    year, month, day = (_one(record, layout, name) for name in (Field.YEAR, Field.MONTH, Field.DAY))
    if year is None:
        return None
    if month is None:
        return year
    if month.isdecimal():
        try:
            if day is not None and day.strip(". ").isdecimal():
                return date(int(year), int(month), int(day.strip(". "))).isoformat()
        except ValueError:
            return f"{day}.{month}.{year}"
        return f"{year}-{int(month):02}"
    return f"{day} {month} {year}" if day else f"{month} {year}"


def _says_more(text: str) -> bool:
    """Whether it is an instant, whose night the place's clock tells."""
    return text.endswith("Z")


# -- what else --------------------------------------------------------------------------------------------------------


def _besides(record: Record, layout: Layout, said: dict[str, Any], doubts: list[str]) -> Fault | None:
    songs = _texts(record, layout, Field.SONGS)
    if len(songs) == 1 and not isinstance(record.cells.get(layout.columns(Field.SONGS)[0]), tuple):
        songs = re.split(r"\s*[,;|\n]\s*", songs[0])
    tidy = [
        name
        for song in songs
        if (name := known(clean(song))) and name.casefold() not in EMPTY_SIGNS and "://" not in name
    ]
    if tidy:
        said["songs"] = [name[:LONGEST_NAME] for name in tidy[:500]]
    people = [
        name
        for text in _texts(record, layout, Field.WITH)
        for part in re.split(r"\s*[,;|&\n]\s*", text)
        if (name := known(clean(part))) and name.casefold() not in EMPTY_SIGNS
    ]
    if people:
        said["with"] = [name[:LONGEST_NAME] for name in people[:50]]
    notes = [_one(record, layout, Field.NOTE)]
    if layout.columns(Field.ARTIST):
        acts = {clean(text).casefold() for text in _texts(record, layout, Field.ARTIST)}
        event = _one(record, layout, Field.EVENT)
        if event and event.casefold() not in acts and not _lists(event, record, layout):
            notes.insert(0, event)
    festival = _one(record, layout, Field.FESTIVAL)
    if festival and said.get("venue") != festival:
        notes.insert(0, festival)
    note = "; ".join(dict.fromkeys(filter(None, notes)))
    if len(note) > LONGEST_NOTE:
        doubts.append(f"its note has {len(note):,} characters; the first {LONGEST_NOTE:,} are kept")
    if note:
        said["note"] = note[:LONGEST_NOTE]
    return None


def _lists(event: str, record: Record, layout: Layout) -> bool:
    """Whether an event is called by its acts and nothing else."""
    rest = event.casefold()
    for text in _texts(record, layout, Field.ARTIST):
        for act in sorted(wordings.acts(text, layout.separator), key=len, reverse=True):
            rest = rest.replace(act.casefold(), "")
    return not any(sign.isalnum() for sign in re.sub(r"\b(?:and|und|with|mit|the|feat)\b", "", rest))


__all__ = ["Order", "degrees", "read_row"]
