"""Ticket mails as records: schema.org markup first, then a calendar that comes along, then the words of the mail.

Markup is what Gmail's reservation cards are made of (EventReservation; developers.google.com/gmail/markup). Without it,
lines such as 'Venue: Paradiso' are read in the languages of `headings`, and the subject tells who plays.
"""

import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from email import message_from_bytes, policy
from email.header import decode_header
from email.message import Message
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, BinaryIO

import extruct
from lxml import etree

from api.imports import wordings
from api.imports.calendars import calendar_records
from api.imports.headings import meant
from api.imports.shapes import Cell, Fault, Field, Reason, Record
from api.imports.uploads import Line
from matchers.dates import readings
from matchers.text import clean

LONGEST_MAIL = 25_000_000
"""Bytes; mail servers take no larger one."""
LONGEST_TEXT = 1_000_000
"""Characters of a text or page in a mail that are read."""
MOST_PARTS = 500
DEEPEST = 30
MOST_EVENTS = 50
"""Of one mail: a newsletter's programme is no evening of its reader's."""
_TICKET = (
    r"e-?tickets?|tickets?|eintrittskarten?|konzertkarten?|karten|billets?|places|entradas?|boletos?|biglietti|biglietto"
    r"|bilhetes?|ingressos?|bilety|bilet|kaartjes?|kaarten|billetter|biljetter|biljett|liput|lippu|vstupenky|vstupenka"
    r"|jegyek|jegyed|bilet(?:in|leri)|билеты?|квитки|チケット|order|bestellung|buchung|booking|commande|réservation"
    r"|reserva|pedido|ordine|prenotazione|bestelling|reservering|ordre|beställning|zamówienie|objednávka"
)
TICKET = re.compile(rf"\b(?:{_TICKET})\b", re.IGNORECASE)
_FOR = re.compile(
    rf"\b(?:{_TICKET})\b[^:–|]{{0,60}}?(?:\s(?:for|für|to see|to|pour|para|per|voor|til|till|na|do|на|для"
    r"|zum|zur|zu|de|di|von)\s+|\s*[:–—|]\s+|\s-\s)(.{2,})$",
    re.IGNORECASE,
)
_REPLIES = re.compile(r"^(?:(?:re|fwd?|wg|aw|tr|rv|i|enc|vs|vb|sv|doorst)\s*:\s*)+", re.IGNORECASE)
_LABEL = re.compile(r"^\W{0,4}([^\W\d_][\w .'/-]{1,40}?)\s*[:：]\s*(.*)$")
_DAYS = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2})?|\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})\b|\d{1,2}(?:st|nd|rd|th|\.|º)?\s+(?:de\s+)?[^\W\d_]{3,12}\.?,?\s+(?:de\s+)?\d{4}"
    r"|[^\W\d_]{3,12}\.?\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4}|\d{4}年\d{1,2}月\d{1,2}日"
)
_CANCELLED = re.compile(
    r"cancel|refund|abgesagt|storno|storniert|erstatt|annul|rembours|reembols|rimbors|geannuleerd|inställ|aflyst",
    re.IGNORECASE,
)


# -- mailboxes --------------------------------------------------------------------------------------------------------


def mails_of(file: BinaryIO) -> Iterator[tuple[int, bytes, Fault | None]]:
    """The mails of a mailbox (mbox), or the one of a file; with the line at which each begins."""
    number, begun = 0, 1
    mail = bytearray()  # not a list of lines: a million short ones weigh fifty times as much
    size = 0
    blank, boxed = True, False
    while line := file.readline():
        number += 1
        if blank and line.startswith(b"From ") and (boxed or number == 1):
            boxed = True
            if mail:
                yield begun, bytes(mail), _oversized(size)
            mail, size, begun = bytearray(), 0, number
            continue
        size += len(line)
        if size <= LONGEST_MAIL:
            mail += line[1:] if boxed and line[:1] == b">" and re.match(rb">+From ", line) else line
        blank = not line.strip()
    if mail:
        yield begun, bytes(mail), _oversized(size)


def _oversized(size: int) -> Fault | None:
    if size <= LONGEST_MAIL:
        return None
    text = f"the mail has {size:,} bytes; none is larger than {LONGEST_MAIL:,}"
    return Fault(Reason.TOO_LONG, text, "save it without its attachments")


def mail_records(mails: Iterable[tuple[int, bytes, Fault | None]], source: str) -> Iterator[Record]:
    """The shows of some mails; a mail that tells none is a row that could not be read."""
    for number, raw, fault in mails:
        where = f"{source}:{number}"
        if not raw.strip():
            continue
        fault = fault or _unwieldy(raw)
        if fault is not None:
            yield Record(where, raw, fault=fault)
            continue
        try:
            yield from _shows(message_from_bytes(raw, policy=policy.compat32), raw, where)
        except (RecursionError, ValueError, LookupError, TypeError, AttributeError, IndexError) as error:
            # of the readers of mails and pages: a mail can be anything, and one must not stop the mailbox
            fault = Fault(Reason.BROKEN, f"the mail cannot be read: {type(error).__name__}", "save it again as .eml")
            yield Record(where, raw, fault=fault)


def _unwieldy(raw: bytes) -> Fault | None:
    """Told before it is parsed: parts within parts cost more than they weigh."""
    small = raw.lower()
    if small.count(b"multipart/") > DEEPEST * 2 or small.count(b"\ncontent-type:") > MOST_PARTS:
        return Fault(
            Reason.BROKEN,
            f"the mail has more parts than {MOST_PARTS}",
            "save the ticket's mail without what it is attached to",
        )
    return None


def _shows(mail: Message, raw: bytes, where: str) -> Iterator[Record]:
    subject = _header(mail.get("Subject"))
    own = clean(str(mail.get("Message-ID") or "")).strip("<> ")
    pages: list[str] = []
    texts: list[str] = []
    calendars: list[str] = []
    for part in islice(mail.walk(), MOST_PARTS):
        kind = part.get_content_type()
        if kind in ("text/html", "text/plain", "text/calendar"):
            {"text/html": pages, "text/plain": texts, "text/calendar": calendars}[kind].append(_body(part))
    if _CANCELLED.search(subject):
        fault = Fault(
            Reason.NO_SHOW,
            "the mail says that it was cancelled or paid back",
            "enter the show by hand if it took place",
        )
        yield Record(where, raw, {"event": subject}, fault=fault)
        return
    found = [event for page in pages for event in _marked(page)]
    if not found:
        found = [{"cells": record.cells, "sure": True} for text in calendars for record in _of_calendar(text, where)]
    if not found:
        words = _in_words(subject, "\n".join(texts) or "\n".join(_text_of(page) for page in pages), _sent(mail))
        found = [words] if words else []
    if not found:
        fault = Fault(
            Reason.NO_SHOW,
            "it is no ticket: it has no event's markup, and its words name no show and day",
            "enter the show by hand",
        )
        yield Record(where, raw, {"event": subject}, fault=fault)
        return
    for index, event in enumerate(found[:MOST_EVENTS]):
        mark = f"mail:{own}:{index}" if len(own) >= 8 else None
        yield Record(
            where,
            raw,
            event["cells"],
            mark,
            doubt=None if event["sure"] else event.get("doubt") or "it was read from the words of the mail",
        )


def _header(value: Any) -> str:
    if value is None:
        return ""
    try:
        parts = [
            part.decode(charset or "ascii", "replace") if isinstance(part, bytes) else part
            for part, charset in decode_header(str(value))
        ]
    except (LookupError, ValueError, binascii.Error):
        return clean(str(value))
    return clean(" ".join(parts))


def _sent(mail: Message) -> date | None:
    try:
        return parsedate_to_datetime(str(mail.get("Date"))).date()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _body(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    charset = part.get_content_charset() or "utf-8"
    try:
        return payload[: 4 * LONGEST_TEXT].decode(charset, "replace")[:LONGEST_TEXT]
    except LookupError:
        return payload[:LONGEST_TEXT].decode("utf-8", "replace")


# -- markup -----------------------------------------------------------------------------------------------------------


def _marked(page: str) -> Iterator[dict[str, Any]]:
    """Events of a page's JSON-LD and microdata; those that are reserved first of all."""
    if "schema.org" not in page:
        return
    data: dict[str, Any] = {}
    for syntax in ("json-ld", "microdata"):
        try:
            data[syntax] = extruct.extract(page, syntaxes=[syntax], uniform=True).get(syntax, [])
        except Exception:  # noqa: S112 - of the reader: rdflib and lxml have many; the other syntax may still do
            continue
    reserved: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    seen: set[str] = set()
    for items in data.values():
        for item in _items(items, 0):
            kinds = _kinds(item)
            booked = any(kind.endswith("Reservation") for kind in kinds)
            for event in _list(item.get("reservationFor")) if booked else [item]:
                if isinstance(event, Mapping) and (
                    booked or any(kind.endswith("Event") or kind == "Festival" for kind in kinds)
                ):
                    cells = _event(event)
                    if cells["date"] and str(cells) not in seen:
                        seen.add(str(cells))
                        (reserved if booked else others).append(
                            {
                                "cells": cells,
                                "sure": booked,
                                "doubt": "the mail announces it and does not say that a ticket was bought",
                            }
                        )
    yield from reserved or others


def _items(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """All things in markup that are no part of a reservation or an event."""
    if depth > 20:
        return
    if isinstance(value, list):
        for one in value[:1_000]:
            yield from _items(one, depth + 1)
    elif isinstance(value, Mapping):
        kinds = _kinds(value)
        if any(kind.endswith(("Reservation", "Event")) or kind == "Festival" for kind in kinds):
            yield value
        else:
            for one in value.values():
                if isinstance(one, list | Mapping):
                    yield from _items(one, depth + 1)


def _kinds(item: Mapping[str, Any]) -> list[str]:
    return [str(kind).rpartition("/")[2] for kind in _list(item.get("@type"))]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _named(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("name")
    value = next(iter(_list(value)), "")
    return clean(str(value)) if isinstance(value, str | int) else ""


def _event(event: Mapping[str, Any]) -> dict[str, Cell]:
    where = next((one for one in _list(event.get("location"))), None)
    address = where.get("address") if isinstance(where, Mapping) else None
    address = next(iter(_list(address)), None)
    performers = [
        name for one in _list(event.get("performer")) + _list(event.get("performers")) if (name := _named(one))
    ]
    title = _named(event)
    said = wordings.title(title)
    acts = performers or (wordings.acts(said.artist, "names") if said.artist else [])
    cells: dict[str, Cell] = {
        "artist": tuple(dict.fromkeys(acts)),
        "date": _first_text(event.get("startDate")),
        "venue": _named(where) if isinstance(where, Mapping) else "",
    }
    if performers and said.artist and said.artist.casefold() not in {name.casefold() for name in performers}:
        cells["note"] = title
    if isinstance(address, Mapping):
        cells["city"] = _named(address.get("addressLocality"))
        cells["region"] = _named(address.get("addressRegion"))
        cells["country"] = _named(address.get("addressCountry"))
    else:
        text = address if isinstance(address, str) else where if isinstance(where, str) else ""
        cells |= {name: part for name, part in wordings.place(clean(text)) if not cells.get(name)} if text else {}
    geo = where.get("geo") if isinstance(where, Mapping) else None
    if isinstance(geo, Mapping):
        cells |= {"lat": str(geo.get("latitude", "")), "lon": str(geo.get("longitude", ""))}
    return cells


def _first_text(value: Any) -> str:
    return next((clean(one) for one in _list(value) if isinstance(one, str)), "")


def _of_calendar(text: str, where: str) -> Iterator[Record]:
    lines = (Line(number, line.encode(), line) for number, line in enumerate(text.splitlines(), 1))
    for record in calendar_records(lines, where):
        if record.cells.get("date"):
            yield record


# -- words ------------------------------------------------------------------------------------------------------------


def _text_of(page: str) -> str:
    """A page as its reader sees it, a line for each block."""
    parser = etree.HTMLParser(no_network=True, huge_tree=False, remove_comments=True, recover=True)
    try:
        root = etree.fromstring(page.encode("utf-8", "replace"), parser)
    except (etree.XMLSyntaxError, ValueError):
        return ""
    if root is None:
        return ""
    parts: list[str] = []
    for piece in root.iter():
        if not isinstance(piece.tag, str) or piece.tag in ("script", "style", "title", "head"):
            parts.append(piece.tail or "")
            continue
        if piece.tag in ("p", "div", "br", "tr", "td", "th", "li", "h1", "h2", "h3", "h4", "table"):
            parts.append("\n")
        parts.append(piece.text or "")
        parts.append(piece.tail or "")
    return "".join(parts)


_LABELLED = {
    Field.ARTIST: "artist",
    Field.EVENT: "event",
    Field.DATE: "date",
    Field.VENUE: "venue",
    Field.CITY: "city",
    Field.TIME: "time",
}


def _in_words(subject: str, text: str, sent: date | None) -> dict[str, Any] | None:
    """What the words of a ticket mail say, as far as they name who or what, and when."""
    if not TICKET.search(subject) and not TICKET.search(text[:20_000]):
        return None
    cells: dict[str, Cell] = _labelled(text)
    labelled = bool(cells.get("date") and (cells.get("artist") or cells.get("event")))
    if not cells.get("date"):
        cells["date"] = _day(f"{subject}\n{text}", sent)
    if not cells.get("artist") and not cells.get("event"):
        found = _FOR.search(_REPLIES.sub("", subject))
        said = wordings.title(_without_day(found[1] if found else _REPLIES.sub("", subject)))
        if found is None and said.place is None:
            said = wordings.Said()
        cells["artist"] = tuple(wordings.acts(said.artist, "names")) if said.artist else ""
        for name, part in wordings.place(said.place) if said.place else ():
            cells.setdefault(name, part)
    if cells.get("event") and not cells.get("artist"):
        said = wordings.title(str(cells.pop("event")))
        cells["artist"] = tuple(wordings.acts(said.artist, "names")) if said.artist else ""
        for name, part in wordings.place(said.place) if said.place else ():
            cells.setdefault(name, part)
    if isinstance(venue := cells.get("venue"), str) and "," in venue:
        cells |= {name: part for name, part in wordings.place(venue) if name == "venue" or not cells.get(name)}
    if not cells.get("date") or not cells.get("artist"):
        return None
    return {"cells": {name: cell for name, cell in cells.items() if cell}, "sure": labelled}


def _labelled(text: str) -> dict[str, Cell]:
    found: dict[str, Cell] = {}
    lines = [clean(line) for line in text.splitlines()[:5_000] if line.strip()]
    for at, line in enumerate(lines):
        if len(line) > 250:
            continue
        label = _LABEL.match(line)
        named = meant(label[1]) if label else meant(line) if len(line) <= 30 else None
        if named is None or named[1] < 0.95 or named[0] not in _LABELLED:
            continue
        value = label[2].strip() if label else ""
        value = value or (lines[at + 1] if at + 1 < len(lines) else "")
        name = _LABELLED[named[0]]
        if not value or len(value) > 200 or name in found:
            continue
        if name == "date":
            value = value if readings(value) else _day(value, None)
        if value:
            found[name] = value
    return found


def _day(text: str, sent: date | None) -> str:
    """The first day that is named and not before the mail was sent; else the first."""
    first = ""
    for found in islice(_DAYS.finditer(text[:LONGEST_TEXT]), 200):
        days = readings(clean(found.group()))
        if not days or days[0].days != 1:
            continue
        if sent is None or any(one.start >= sent for one in days):
            return clean(found.group())
        first = first or clean(found.group())
    return first


def _without_day(text: str) -> str:
    for found in _DAYS.finditer(text):
        if readings(clean(found.group())):
            text = text.replace(found.group(), "").strip(" ,-–|()")
    return text
