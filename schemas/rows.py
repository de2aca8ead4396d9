"""Rows of files: one JSON object a line, with the names that people and other programs use.

listing row     source, source_id, artist (or title and support), date; optional venue city region country lat lon
                start_time status songs artist_mbid tour festival url observed_at; date_order (DMY, MDY, YMD) and
                synthetic_time, the hour that stands for none, of its source; doubt, what speaks against its date;
                read_in (2024-02), the month in which a page of coming shows was read, for a date without a year
entry row       user, entry_id; any of artist date venue city region country lat lon time songs note with
concert row     concert_id artist night venue city region country lat lon status songs, members, parent
suggestion row  user entry_id, suggestions: [{rank concert_id members confidence band why}], reason

Unknown fields are ignored. Several rows of one (source, source_id) are its history: the last observed_at counts.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from schemas.concert import Concert
from schemas.history import Entry, EntryOrigin
from schemas.listing import Listing, Place
from schemas.message import AwareDatetime, Message, MessageError, canonical, content_hash, message_error
from schemas.raw import RawKind, RawMessage, packed
from schemas.suggestion import Suggestions

FED_AT = datetime(2000, 1, 1, tzinfo=UTC)
"""Stands for an absent observed_at: one fixed time, so that the same file fed twice changes nothing."""

_PLACE_FIELDS = ("city", "region", "country", "lat", "lon", "tz")
LISTING_FIELDS = frozenset(
    [
        "artist",
        "title",
        "support",
        "date",
        "read_in",
        "doubt",
        "start_time",
        "doors_time",
        "status",
        "songs",
        "artist_mbid",
        "tour",
        "festival",
        "date_order",
        "synthetic_time",
    ]
) | {"venue", "room", *_PLACE_FIELDS}
VENUE_FIELDS = frozenset({"name", "names", "capacity", *_PLACE_FIELDS})
ARTIST_FIELDS = frozenset(["name", "mbid", "aliases", "country", "disambiguation"])
FIELDS = {
    "gigz.raw-setlist.v1": LISTING_FIELDS,
    "gigz.raw-event.v1": LISTING_FIELDS,
    "gigz.raw-venue.v1": VENUE_FIELDS,
    "gigz.raw-artist.v1": ARTIST_FIELDS,
}

LABELS = frozenset({"gold", "label", "other"})
"""Of labelled sets: only `evaluate` reads them, and they do not travel."""

R = TypeVar("R", bound=RawMessage)
E = TypeVar("E", bound=Entry)
_INSTANT = TypeAdapter(AwareDatetime)


def envelope(
    message: type[R],
    *,
    source: str,
    source_id: str,
    seen_at: datetime,
    spider: str,
    fields: Mapping[str, Any],
    url: str | None = None,
    kind: RawKind = RawKind.SEEN,
    payload: str | None = None,
    payload_type: str | None = None,
) -> R:
    """A raw message around what was read, hashes included. MessageError names the field that does not fit.

    A large payload is packed; `payload_hash` is of the text.
    """
    known = {name: value for name, value in fields.items() if value not in (None, "", [], ())}
    written, encoding = (None, None) if payload is None else packed(payload)
    try:
        return message(
            source=source,
            source_id=source_id,
            seen_at=seen_at,
            url=url,
            spider=spider,
            kind=kind,
            fields=known,
            content_hash=content_hash([kind, known]),
            payload=written,
            payload_type=payload_type,
            payload_hash=None if payload is None else hashlib.sha256(payload.encode()).hexdigest(),
            payload_encoding=encoding,
        )
    except ValidationError as error:
        raise message_error(error) from error


def raw_from_row(
    row: Any, message: type[R], learned: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
) -> R:
    """The raw message of a listing row, or of a line that is an envelope already. MessageError says what is wrong.

    `learned`: fields that the whole file adds to a row; the row's own come before them.
    """
    if not isinstance(row, Mapping):
        raise MessageError("wrong_type", "the line is not a JSON object")
    if isinstance(row.get("fields"), Mapping):
        return message.from_bytes(canonical(dict(row)))
    if not row.get("source"):
        raise MessageError("missing_field", "source: Field required")
    fields = {name: value for name, value in row.items() if name in FIELDS[message.topic]}
    if learned is not None:
        fields = {**learned(row), **fields}
    return envelope(
        message,
        source=row["source"],
        source_id=str(row.get("source_id") or _derived_id(row)),
        seen_at=_instant(row.get("observed_at")),
        spider="feed",
        fields=fields,
        url=row.get("url"),
        payload=canonical({name: value for name, value in row.items() if name not in LABELS}).decode(),
        payload_type="application/json",
    )


def entry_from_row(
    row: Any, message: type[E], learned: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
) -> E:
    """The history message of an entry row. MessageError says what is wrong. `learned`: as for `raw_from_row`."""
    if not isinstance(row, Mapping):
        raise MessageError("wrong_type", "the line is not a JSON object")
    if learned is not None:
        row = {**learned(row), **row}
    body = {name: value for name, value in row.items() if value is not None and name not in LABELS}
    for name in ("user", "entry_id", "date", "time", "artist"):  # a spreadsheet's numbers: 17, 2014, 311
        if isinstance(body.get(name), int) and not isinstance(body[name], bool):
            body[name] = str(body[name])
    if isinstance(body.get("songs"), str):
        body["songs"] = [song.strip() for song in body["songs"].split(",") if song.strip()]
    body.setdefault("entry_id", content_hash(body)[:16])
    body.setdefault("seen_at", _instant(row.get("observed_at")).isoformat())
    body.setdefault("origin", EntryOrigin.FEED)
    return message.from_bytes(canonical(body))


def judged_as_row(body: bytes | None, message: type[Message]) -> tuple[MessageError | None, str | None]:
    """What a sender of rows should hear of a body that is no message, and the source that it names.

    A line of a file that is no row travels as it stands; told what its envelope lacks, nobody would find the fault.
    """
    try:
        row = read_json(body or b"")
    except MessageError as error:
        return error, None
    if not isinstance(row, Mapping) or "fields" in row or "spider" in row:
        return None, None
    source = row.get("source")
    named = source if isinstance(source, str) and source else None
    try:
        if issubclass(message, RawMessage):
            raw_from_row(row, message)
        elif issubclass(message, Entry):
            entry_from_row(row, message)
    except MessageError as error:
        return error, named
    return None, named


def read_json(line: bytes) -> Any:
    """A line's value. MessageError says where the line stops being JSON, and what to write there."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        told = f"not JSON: {error}"
    if found := _NO_NUMBER.search(line):
        told += f"; {found[1].decode()} is no JSON number: leave the field out, or write null"
    raise MessageError("not_json", told)


_NO_NUMBER = re.compile(rb"[:,\[]\s*([+-]?(?:NaN|nan|Infinity|inf))\s*[,\]}]")


def listing_row(listing: Listing) -> dict[str, Any]:
    """A listing as a row of a file; reading it again gives the same listing."""
    headliner, *support = listing.acts
    return _known(
        source=listing.source,
        source_id=listing.source_id,
        listing_id=str(listing.listing_id),
        artist=headliner.name,
        support=[act.name for act in support],
        title=listing.title,
        date=listing.night.isoformat(),
        doubt=listing.doubt,
        **_place(listing.place),
        room=listing.place.room,
        tz=listing.place.tz,
        start_time=None if listing.start_at is None else listing.start_at.isoformat(),
        status=listing.status.value,
        songs=list(listing.songs),
        artist_mbid=None if headliner.mbid is None else str(headliner.mbid),
        tour=listing.tour,
        festival=listing.festival,
        url=listing.url,
        observed_at=listing.seen_at.isoformat(),
        vanished=listing.vanished or None,
    )


def concert_row(concert: Concert) -> dict[str, Any]:
    """A concert as a row of a file."""
    return _known(
        concert_id=str(concert.concert_id),
        artist=concert.artist,
        night=concert.night.isoformat(),
        **_place(concert.place),
        status=concert.status.value,
        songs=list(concert.songs),
        members=[{"source": member.source, "source_id": member.source_id} for member in concert.members],
        parent=None if concert.parent is None else str(concert.parent),
        tour=concert.tour,
        festival=concert.festival,
    )


def suggestion_row(found: Suggestions) -> dict[str, Any]:
    """An entry's set as a row of a file."""
    return _known(
        user=found.user,
        entry_id=found.entry_id,
        reason=None if found.reason is None else found.reason.value,
        weights=found.weights,
        fold=found.fold,
    ) | {
        "suggestions": [
            {
                "rank": one.rank,
                "concert_id": str(one.concert_id),
                "members": [{"source": member.source, "source_id": member.source_id} for member in one.members],
                "confidence": round(one.confidence, 4),
                "band": one.band.value,
                "why": [{"field": e.field, "bits": round(e.bits, 2), "text": e.text} for e in one.why],
            }
            for one in found.suggestions
        ]
    }


def _place(place: Place) -> dict[str, Any]:
    return {
        "venue": place.name,
        "city": place.city,
        "region": place.region,
        "country": place.country,
        "lat": place.lat,
        "lon": place.lon,
    }


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, [], "")}


def _derived_id(row: Mapping[str, Any]) -> str:
    named = [row.get(name) for name in ("date", "title", "artist", "venue", "city")]
    return "derived-" + content_hash([row["source"], *named])[:24]


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def _instant(value: Any) -> datetime:
    if value in (None, ""):
        return FED_AT
    if isinstance(value, str) and _DAY.fullmatch(value.strip()):
        value = f"{value.strip()}T00:00:00Z"
    try:
        moment: datetime = _INSTANT.validate_python(value)
    except ValidationError as error:
        raise MessageError(
            "bad_value", f"observed_at: {value!r} is no time with a zone (2024-12-28T07:33:01+01:00)"
        ) from error
    return moment
