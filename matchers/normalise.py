"""Raw message -> listing, venue or artist, or the reason why not. Total: never raises on what `fields` may hold.

An optional field that says nothing readable is left out; a wrong type where text or a number belongs, a number out of
its range, a date that does not exist, are refused with the field's name.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from uuid import UUID

from matchers.billing import billing, read_names, read_status, status_of_title
from matchers.dates import DateError, Moment, evening_of, source_date, source_start, zone
from matchers.places import country_code, known, time_zone
from matchers.refused import LONGEST, Refusal, Refused, kind_of
from matchers.text import clean
from schemas import ids
from schemas.listing import Listing, Place, StartPrecision
from schemas.raw import RawArtist, RawKind, RawMessage, RawVenue
from schemas.reference import Artist, DatedName, Venue
from schemas.rejection import Reason

NIGHTS = (date(1900, 1, 1), date(2299, 12, 31))
"""What every store can hold: ClickHouse's Date32 ends there. Beyond it a date is a slip of the pen anyway."""


Normalised = tuple[Listing, ...] | tuple[Venue, ...] | tuple[Artist, ...] | Refused


def normalise(raw: RawMessage) -> Normalised:
    """What a raw message says, in Gigz's own words; its class decides whether that is a listing, venue or artist."""
    try:
        if isinstance(raw, RawVenue):
            return (_venue(raw),)
        if isinstance(raw, RawArtist):
            return (_artist(raw),)
        return (_listing(raw),)
    except Refusal as refusal:
        return refusal.refused


# -- one shape each ---------------------------------------------------------------------------------------------------


def _listing(raw: RawMessage) -> Listing:
    fields = raw.fields
    title = _text(fields, "title")
    bill = billing(_text(fields, "artist"), title, read_names(fields, "support"), _mbid(fields, "artist_mbid"))
    place = _place(fields, "venue")
    night, start_at, precision = _when(fields, place)
    if not NIGHTS[0] <= night <= NIGHTS[1]:
        raise Refusal(Reason.BAD_DATE, f"date: {night} is not between {NIGHTS[0].year} and {NIGHTS[1].year}")
    songs = _songs(fields)
    return Listing(
        listing_id=ids.listing_id(raw.source, raw.source_id),
        source=raw.source,
        source_id=raw.source_id,
        version=raw.version,
        seen_at=raw.seen_at,
        content_hash=raw.content_hash,
        payload_hash=raw.payload_hash,
        url=_address(raw.url),
        acts=bill.acts,
        title=title,
        festival=_text(fields, "festival") or bill.festival,
        tour=_text(fields, "tour"),
        night=night,
        start_at=start_at,
        start_precision=precision,
        place=place,
        status=read_status(_text(fields, "status") or status_of_title(title), songs),
        vanished=raw.kind is RawKind.VANISHED,
        songs=songs,
    )


def _venue(raw: RawMessage) -> Venue:
    fields = raw.fields
    name = known(_text(fields, "name"))
    if name is None:
        raise Refusal(Reason.NO_VENUE_NAME, "name: a venue needs one")
    place = _place(fields, "name")
    return Venue(
        venue_id=ids.venue_id(raw.source, raw.source_id),
        source=raw.source,
        source_id=raw.source_id,
        version=raw.version,
        seen_at=raw.seen_at,
        name=name,
        names=_dated_names(fields, name),
        place=place,
        capacity=_capacity(fields),
        url=_address(raw.url),
        vanished=raw.kind is RawKind.VANISHED,
    )


def _artist(raw: RawMessage) -> Artist:
    fields = raw.fields
    name = _text(fields, "name")
    if name is None:
        raise Refusal(Reason.NO_ARTIST, "name: an artist needs one")
    aliases = [alias for alias in read_names(fields, "aliases", split=False) if alias != name]
    return Artist(
        artist_id=ids.artist_id(raw.source, raw.source_id),
        source=raw.source,
        source_id=raw.source_id,
        version=raw.version,
        seen_at=raw.seen_at,
        name=name,
        mbid=_mbid(fields, "mbid"),
        aliases=tuple(dict.fromkeys(aliases)),
        country=country_code(_text(fields, "country")),
        disambiguation=_text(fields, "disambiguation"),
        url=_address(raw.url),
        vanished=raw.kind is RawKind.VANISHED,
    )


# -- fields -----------------------------------------------------------------------------------------------------------


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    """A text, tidied; None when absent or empty."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Refusal(Reason.WRONG_TYPE, f"{name}: text was expected, not {kind_of(value)}")
    value = clean(value)
    if len(value) > LONGEST:
        raise Refusal(Reason.BAD_VALUE, f"{name}: {len(value)} characters; at most {LONGEST} are a name")
    return value or None


def _number(fields: Mapping[str, Any], name: str, limit: float) -> float | None:
    """Degrees, as a number or as text."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Refusal(Reason.WRONG_TYPE, f"{name}: a number was expected, not {kind_of(value)}")
    try:
        number = float(value.strip().replace(",", ".") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        raise Refusal(Reason.BAD_VALUE, f"{name}: {str(value)[:40]!r} is no number") from None
    if not math.isfinite(number) or abs(number) > limit:
        raise Refusal(Reason.BAD_VALUE, f"{name}: {number:g} is not between -{limit:g} and {limit:g}")
    return number


def _place(fields: Mapping[str, Any], name: str) -> Place:
    lat, lon = _number(fields, "lat", 90), _number(fields, "lon", 180)
    if lat is None or lon is None or (lat == 0 and lon == 0):  # half a point, or the one that stands for none
        lat = lon = None
    tz = _text(fields, "tz")
    place = Place(
        name=known(_text(fields, name)),
        room=known(_text(fields, "room")),
        city=known(_text(fields, "city")),
        region=known(_text(fields, "region")),
        country=country_code(_text(fields, "country")),
        lat=lat,
        lon=lon,
        tz=tz if tz and zone(tz) else None,
    )
    if place.tz is None and place.city and (found := time_zone(place)):
        return place.model_copy(update={"tz": found})
    return place


def _mbid(fields: Mapping[str, Any], name: str) -> UUID | None:
    value = _text(fields, name)
    if value is None:
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def _songs(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Titles in the order played; what is no title among them is left out."""
    value = fields.get("songs")
    if value is None or value == "":
        return ()
    if not isinstance(value, list | tuple):
        raise Refusal(Reason.WRONG_TYPE, f"songs: an array of titles was expected, not {kind_of(value)}")
    songs = (clean(song) for song in value if isinstance(song, str))
    return tuple(song for song in songs if 0 < len(song) <= LONGEST)


def _capacity(fields: Mapping[str, Any]) -> int | None:
    value = fields.get("capacity")
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value < 10_000_000 else None


def _dated_names(fields: Mapping[str, Any], name: str) -> tuple[DatedName, ...]:
    """Other and former names: texts, or {name, since, until}."""
    found: dict[tuple[str, date | None, date | None], DatedName] = {}
    for field in ("names", "aliases"):
        value = fields.get(field)
        for one in value if isinstance(value, list | tuple) else [value]:
            row: Mapping[Any, Any] = one if isinstance(one, Mapping) else {"name": one}
            alias = clean(row["name"]) if isinstance(row.get("name"), str) else ""
            if not 0 < len(alias) <= LONGEST or alias == name or known(alias) is None:
                continue
            since, until = _day(row.get("since")), _day(row.get("until"))
            found.setdefault((alias, since, until), DatedName(name=alias, since=since, until=until))
    return tuple(found.values())


def _day(value: object) -> date | None:
    try:
        return source_date(value).night if isinstance(value, str) else None
    except DateError:
        return None


def _address(url: str | None) -> str | None:
    """Only what a browser may follow: an app will make a link of it."""
    return url if url is not None and url.startswith(("http://", "https://")) else None


# -- when -------------------------------------------------------------------------------------------------------------


def _when(fields: Mapping[str, Any], place: Place) -> tuple[date, datetime | None, StartPrecision]:
    """The night, the start where its zone is known, and how far that start can be trusted."""
    tz = zone(place.tz) if place.tz else None
    text = _text(fields, "date")
    if text is None:
        # A start with its own date is enough.
        start = _text(fields, "start_time") or ""
        moment = source_start(start, None)
        if moment is None or moment.start is None:
            raise Refusal(Reason.NO_DATE, "date: a listing needs one")
        start_at = _aware(moment.start, tz)
        moment = _at_home(moment, tz)
        return moment.night, start_at, StartPrecision.MINUTE if start_at else StartPrecision.UNKNOWN
    try:
        moment = _at_home(source_date(text), tz)
    except DateError as error:
        raise Refusal(Reason.BAD_DATE, f"date: {error}") from None
    if moment.start is not None:
        start_at = _aware(moment.start, tz)
        return moment.night, start_at, StartPrecision.MINUTE if start_at else StartPrecision.UNKNOWN
    for field, precision in (("start_time", StartPrecision.MINUTE), ("doors_time", StartPrecision.DOORS)):
        told = source_start(_text(fields, field) or "", moment.night)
        if told is None or told.start is None:
            continue
        told = _at_home(told, tz)
        assert told.start is not None
        if _has_date(_text(fields, field) or ""):
            # The date field decides; a moment on another day than its night or the morning after contradicts it.
            if told.start.date() not in (moment.night, moment.night + timedelta(days=1)):
                continue
            night = told.night if told.start.date() == moment.night else moment.night
        else:
            night = told.night
        start_at = _aware(told.start, tz)
        return night, start_at, precision if start_at else StartPrecision.UNKNOWN
    return moment.night, None, StartPrecision.UNKNOWN


def _has_date(text: str) -> bool:
    return bool(re.match(r"\s*\d{4}-", text))


def _at_home(moment: Moment, tz: tzinfo | None) -> Moment:
    """The moment by the venue's clock."""
    start = moment.start
    if start is None or start.tzinfo is None or tz is None:
        return moment
    try:
        start = start.astimezone(tz)
    except (OverflowError, ValueError):
        return moment
    return Moment(evening_of(start), start)


def _aware(start: datetime, tz: tzinfo | None) -> datetime | None:
    """With its zone, in UTC: the same instant in every store."""
    if start.tzinfo is None:
        if tz is None:
            return None
        start = start.replace(tzinfo=tz)
    try:
        return start.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
