"""iCalendar as records: each VEVENT is a row, read by itself, so that a broken one leaves its neighbours alone.

A calendar holds more than shows. What has a word for music, a house's name or the form 'X @ Y' in it is taken for one;
other appointments are given back unread, and nothing of them is kept.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta, tzinfo

from icalendar import Event

from api.imports import wordings
from api.imports.shapes import Cell, Fault, Reason, Record
from api.imports.uploads import Line
from matchers.billing import status_of_title, told_status
from matchers.dates import evening_of, zone
from matchers.gazetteer import country_code, the_city
from matchers.text import clean
from matchers.venues import is_kind_of_venue
from schemas.listing import Status

LONGEST_EVENT = 5_000
"""Lines."""
LONGEST_RUN = timedelta(days=10)
"""Of whole days: a festival; what lasts longer is something else, and its first day stands."""
EVENING = 17
"""The hour from which an appointment in a place may be a show."""
_SERVICES = re.compile(
    r"songkick|bandsintown|setlist\.fm|dice\.fm|ticketmaster|eventim|seetickets|residentadvisor|ra\.co|last\.fm|eventbrite|axs\.com",
    re.I,
)
_NOT_A_SHOW = re.compile(
    r"\b(?:dentist|doctor|zahnarzt|arzt|meeting|call|standup|lunch|birthday|geburtstag|anniversaire|flight|flug|vol|train|urlaub|holiday|vacation)\b",
    re.I,
)


def calendar_records(lines: Iterable[Line], source: str) -> Iterator[Record]:
    """The events of a calendar file."""
    event: list[Line] | None = None
    musical, tz = False, None
    for line in lines:
        name = line.text.strip().upper()
        if name == "BEGIN:VEVENT":
            if event is not None:
                yield _broken(event, source, "it has no END:VEVENT")
            event = [line]
        elif event is None:
            if name.startswith(("X-WR-CALNAME", "NAME:", "PRODID")):
                musical = musical or bool(wordings.SHOW.search(line.text) or _SERVICES.search(line.text))
            elif name.startswith("X-WR-TIMEZONE:"):
                tz = line.text.partition(":")[2].strip()
        else:
            event.append(line)
            if name == "END:VEVENT":
                yield event_record(event, source, musical, tz)
                event = None
            elif len(event) > LONGEST_EVENT:
                yield _broken(event, source, f"it has more than {LONGEST_EVENT:,} lines")
                event = None
    if event is not None:
        yield _broken(event, source, "it has no END:VEVENT")


def _broken(lines: list[Line], source: str, why: str) -> Record:
    fault = Fault(Reason.BROKEN, f"the event cannot be read: {why}", "export the calendar again")
    return Record(f"{source}:{lines[0].number}", _raw(lines), fault=fault)


def _raw(lines: list[Line]) -> bytes:
    return b"\r\n".join(line.raw for line in lines)


def event_record(lines: list[Line], source: str, musical: bool, tz: str | None = None) -> Record:
    """The record of one event. `tz`: the calendar's zone, for instants in a place whose zone nobody knows."""
    fault = next((line.fault for line in lines if line.fault is not None), None)
    if fault is not None:
        return Record(f"{source}:{lines[0].number}", _raw(lines), fault=fault)
    try:
        event = Event.from_ical("\r\n".join(line.text for line in lines) + "\r\n")
        start = event.get("DTSTART")
        begins = None if start is None else start.dt
        end = event.get("DTEND")
        ends = None if end is None else end.dt
        told = {
            name: clean(str(event.get(name, "")))
            for name in ("SUMMARY", "LOCATION", "UID", "STATUS", "URL", "CATEGORIES")
        }
        told["DESCRIPTION"] = str(event.get("DESCRIPTION", ""))[:5_000]
        geo = event.get("GEO")
        point = (str(geo.latitude), str(geo.longitude)) if geo is not None else ("", "")
    except Exception as error:  # of the reader: it has many, and one event must not stop the file
        return _broken(lines, source, str(error)[:200] or type(error).__name__)
    said = wordings.title(told["SUMMARY"])
    cells: dict[str, Cell] = {"artist": "", "date": "", "time": ""}
    acts = wordings.acts(said.artist, "names") if said.artist else []
    cells["artist"] = tuple(acts)
    places = dict(wordings.place(told["LOCATION"])) if told["LOCATION"] else {}
    if said.place:
        places = dict(wordings.place(said.place)) | places
    cells |= places
    if point[0]:
        cells |= {"lat": point[0], "lon": point[1]}
    tzid = str(start.params.get("TZID", "")) if start is not None else ""
    cells["date"], cells["time"] = _when(begins, tzid, _zone_of(places, tz))
    if isinstance(begins, date) and isinstance(ends, date) and _are_days(begins, ends):
        last = ends - timedelta(days=1)  # of whole days the end is the first that no longer counts
        if timedelta(0) < last - begins <= LONGEST_RUN:
            cells["date"] = f"{begins}/{last}"
    uid = told["UID"]
    where = f"{source}:{lines[0].number}"
    note = status_of_title(told["SUMMARY"])
    if told["STATUS"].upper() == "CANCELLED" or (note is not None and told_status(note) is Status.CANCELLED):
        fault = Fault(Reason.NO_SHOW, "the calendar says that it was cancelled", "change its status if it took place")
        return Record(where, _raw(lines), cells, fault=fault)
    doubt = None
    words = f"{told['SUMMARY']}\n{told['LOCATION']}\n{told['DESCRIPTION']}\n{told['CATEGORIES']}"
    sure = (
        musical
        or bool(wordings.SHOW.search(words))
        or bool(_SERVICES.search(f"{uid} {told['URL']} {told['DESCRIPTION']}"))
    )
    housed = said.place is not None or is_kind_of_venue(places.get("venue", "")) or is_kind_of_venue(told["LOCATION"])
    evening = (
        not isinstance(begins, datetime)
        or begins.hour >= EVENING
        or begins.hour < 5
        or str(cells["date"]).endswith("Z")
    )
    if not sure and (not (housed or (told["LOCATION"] and evening)) or _NOT_A_SHOW.search(words)):
        fault = Fault(
            Reason.NO_SHOW, "nothing says that it was a show", "write 'Concert: ' before its title, or where it was"
        )
        return Record(where, _raw(lines), cells, fault=fault)
    if event.get("RRULE") is not None:
        doubt = "it repeats; only its first night is taken"
    elif not sure and not housed:
        doubt = "no word of it says that it was a show"
    return Record(where, _raw(lines), cells, f"ical:{uid}:{cells['date']}" if len(uid) >= 8 else None, doubt=doubt)


def _are_days(*ends: date) -> bool:
    return not any(isinstance(one, datetime) for one in ends)


def _zone_of(places: dict[str, str], tz: str | None) -> tzinfo | None:
    """Of the town, else the calendar's own."""
    town = the_city(places.get("city"), places.get("region"), country_code(places.get("country")))
    name = town.tz if town is not None else tz
    return zone(name) if name else None


def _when(begins: date | datetime | None, tzid: str, here: tzinfo | None) -> tuple[str, str]:
    """Day and hour by the clock of the event's zone, of UTC by that of the place; the instant where none is known."""
    if begins is None:
        return "", ""
    if not isinstance(begins, datetime):
        return begins.isoformat(), ""
    if begins.tzinfo is not None and tzid in ("", "UTC", "Etc/UTC", "GMT"):
        if here is None:
            return f"{begins:%Y-%m-%dT%H:%M:%S}Z", ""
        begins = begins.astimezone(here)
        return evening_of(begins).isoformat(), f"{begins:%H:%M}" if begins.hour >= 5 else ""
    if begins.hour < 5 and (begins.hour or begins.minute):
        return f"{begins:%Y-%m-%d %H:%M}", ""
    return begins.date().isoformat(), f"{begins:%H:%M}"
