"""Raw message -> listing, venue or artist, or the reason why not. Total: never raises on what `fields` may hold.

What a listing cannot do without, who plays and on which night, is refused with the field's name where it is of a wrong
type, too long, or a date that does not exist. Any other field that says nothing readable is left out.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from uuid import UUID

from matchers.billing import Billing, billing, read_names, read_status, status_of_title
from matchers.dates import (
    FIRST_YEAR,
    LAST_YEAR,
    DateError,
    Moment,
    Order,
    clock,
    coming_date,
    evening_of,
    readings,
    source_date,
    source_start,
    told_hours,
    zone,
)
from matchers.places import country_code, known, read_place, time_zone
from matchers.refused import LONGEST, Refusal, Refused, kind_of
from matchers.shows import is_dj_set
from matchers.text import clean
from schemas import ids
from schemas.listing import Listing, Place, StartPrecision
from schemas.raw import RawArtist, RawKind, RawMessage, RawVenue
from schemas.reference import Artist, DatedName, Venue
from schemas.rejection import Reason

Normalised = tuple[Listing, ...] | tuple[Venue, ...] | tuple[Artist, ...] | Refused


def normalise(raw: RawMessage, order: Order | None = None, synthetic: time | None = None) -> Normalised:
    """What a raw message says, in Gigz's own words; its class decides whether that is a listing, venue or artist.

    `order`, `synthetic`: what the source's whole column tells (`matchers.columns`): the order of day and month, and the
    hour that stands for none. The message's own `date_order` and `synthetic_time` come before them.
    """
    try:
        if isinstance(raw, RawVenue):
            return (_venue(raw, order),)
        if isinstance(raw, RawArtist):
            return (_artist(raw),)
        return (_listing(raw, order, synthetic),)
    except Refusal as refusal:
        return refusal.refused


# -- one shape each ---------------------------------------------------------------------------------------------------


def _listing(raw: RawMessage, order: Order | None, synthetic: time | None) -> Listing:
    fields = raw.fields
    order = _order(fields) or order
    if told := _text(fields, "synthetic_time"):
        synthetic = clock(told) or synthetic
    artist = _needed(fields, "artist")
    title = _text(fields, "title") if artist else _needed(fields, "title")
    bill = billing(artist, title, _names(fields, "support"), _mbid(fields, "artist_mbid"))
    place = _where(fields)
    when = _when(fields, place, order, synthetic)
    if not FIRST_YEAR <= when.night.year <= LAST_YEAR:
        raise Refusal(Reason.BAD_DATE, f"date: {when.night} is not between {FIRST_YEAR} and {LAST_YEAR}")
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
        title=_with_set(_with_show(title, fields, bill, place), artist),
        festival=_text(fields, "festival") or bill.festival,
        tour=_text(fields, "tour") or bill.tour,
        night=when.night,
        doubt=when.doubt or _text(fields, "doubt"),
        start_at=when.start_at,
        start_precision=when.precision,
        place=place,
        status=read_status(_text(fields, "status"), songs, status_of_title(title), bill.note),
        vanished=raw.kind is RawKind.VANISHED,
        songs=songs,
    )


def _venue(raw: RawMessage, order: Order | None) -> Venue:
    fields = raw.fields
    order = _order(fields) or order
    name = known(_needed(fields, "name"))
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
        names=_dated_names(fields, name, order),
        place=place,
        capacity=_capacity(fields),
        url=_address(raw.url),
        vanished=raw.kind is RawKind.VANISHED,
    )


def _artist(raw: RawMessage) -> Artist:
    fields = raw.fields
    name = _needed(fields, "name")
    if name is None:
        raise Refusal(Reason.NO_ARTIST, "name: an artist needs one")
    aliases = [alias for alias in _names(fields, "aliases", split=False) if alias != name]
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


def _needed(fields: Mapping[str, Any], name: str) -> str | None:
    """A text without which there is no listing, tidied; None when absent or empty. A number is its digits: 311."""
    value = _said(fields.get(name))
    if value is None:
        return None
    if not isinstance(value, str):
        raise Refusal(Reason.WRONG_TYPE, f"{name}: text was expected, not {kind_of(value)}")
    value = clean(value)
    if len(value) > LONGEST:
        raise Refusal(Reason.BAD_VALUE, f"{name}: {len(value)} characters; at most {LONGEST} are a name")
    return value or None


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    """The same of a field that can be left out, and is, where it is no text or too long for one."""
    try:
        return _needed(fields, name)
    except Refusal:
        return None


LARGEST = 10**15
"""Of a number that stands for a text: above it, floats are not exact."""


def _said(value: object) -> object:
    """A whole number as the text that it stands for."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        return value
    return str(int(value)) if value == int(value) else value


def _names(fields: Mapping[str, Any], name: str, *, split: bool = True) -> list[str]:
    """Names given as text or an array; of objects their `name`."""
    value = fields.get(name)
    rows = [_named(one) for one in value] if isinstance(value, list | tuple) else _named(value)
    return read_names({name: rows}, name, split=split) if isinstance(rows, list | str) else []


def _named(value: object) -> object:
    return _said(value.get("name") if isinstance(value, Mapping) else value)


def _number(fields: Mapping[str, Any], name: str, limit: float) -> float | None:
    """Degrees, as a number or as text; None for what is none on earth."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value.strip().replace(",", ".") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) <= limit else None


def _place(fields: Mapping[str, Any], name: str) -> Place:
    lat, lon = _number(fields, "lat", 90), _number(fields, "lon", 180)
    if lat is None or lon is None or (lat == 0 and lon == 0):  # half a point, or the one that stands for none
        lat = lon = None
    place = read_place(
        name=_text(fields, name),
        room=_text(fields, "room"),
        city=_text(fields, "city"),
        region=_text(fields, "region"),
        country=_text(fields, "country"),
        lat=lat,
        lon=lon,
        tz=_zone_told(fields),
    )
    if place.tz is None and place.city and (found := time_zone(place)):
        return place.model_copy(update={"tz": found})
    return place


_OFFSET = re.compile(r"T.*[+-]\d\d:?\d\d$")


def _where(fields: Mapping[str, Any]) -> Place:
    """The place. A venue called like a town is a venue where the zone, or the date's own clock, is not that town's."""
    place, venue = _place(fields, "venue"), _text(fields, "venue")
    if place.name or not venue or _text(fields, "city"):
        return place
    town, told = time_zone(place.model_copy(update={"tz": None})), _zone_told(fields)
    there, here = zone(town) if town else None, zone(told) if told else None
    date_ = _text(fields, "date") or ""
    try:
        moment = datetime.fromisoformat(date_)
        offset = moment.utcoffset() if _OFFSET.search(date_) else None
        clock_there = moment.replace(tzinfo=there).utcoffset()
        clock_here = moment.replace(tzinfo=here).utcoffset() if here else offset
    except (ValueError, OverflowError):
        return place
    if there is None or not clock_here or clock_here == clock_there:  # UTC's is written for any place
        return place
    return place.model_copy(update={"name": venue, "city": None, "tz": told})


def _zone_told(fields: Mapping[str, Any]) -> str | None:
    """The zone that the source itself tells."""
    tz = _text(fields, "tz")
    return tz if tz and zone(tz) else None


def _mbid(fields: Mapping[str, Any], name: str) -> UUID | None:
    value = _text(fields, name)
    if value is None:
        return None
    try:
        return UUID(value)
    except ValueError:
        return None


def _songs(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Titles in the order played, an array or one text; of objects their `name`. What is no title is left out."""
    value = fields.get("songs")
    if isinstance(value, str):
        value = value.splitlines() if "\n" in value else value.split(",")
    if not isinstance(value, list | tuple):
        return ()
    songs = (clean(song) for song in map(_named, value) if isinstance(song, str))
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


def _dated_names(fields: Mapping[str, Any], name: str, order: Order | None) -> tuple[DatedName, ...]:
    """Other and former names: texts, or {name, since, until}."""
    found: dict[tuple[str, date | None, date | None], DatedName] = {}
    for field in ("names", "aliases"):
        value = fields.get(field)
        for one in value if isinstance(value, list | tuple) else [value]:
            row: Mapping[Any, Any] = one if isinstance(one, Mapping) else {"name": one}
            alias = clean(row["name"]) if isinstance(row.get("name"), str) else ""
            if not 0 < len(alias) <= LONGEST or alias == name or known(alias) is None:
                continue
            since, until = _day(row.get("since"), order), _day(row.get("until"), order, last=True)
            found.setdefault((alias, since, until), DatedName(name=alias, since=since, until=until))
    return tuple(found.values())


def _day(value: object, order: Order | None, last: bool = False) -> date | None:
    """A day; of a month or a year ('until 2004') its first or last."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if 0 < value < 10_000 else None
    if not isinstance(value, str):
        return None
    spans = readings(value, False, order)
    if len(spans) != 1 or spans[0].doubt:
        return None
    return spans[0].end if last else spans[0].start


def _address(url: str | None) -> str | None:
    """Only what a browser may follow: an app will make a link of it."""
    return url if url is not None and url.startswith(("http://", "https://")) else None


# -- which of two shows -----------------------------------------------------------------------------------------------

_SHOW = re.compile(
    r"\b(?:(early|first|1st|afternoon)|late|second|2nd|midnight)[ -](?:show|set|performance|concert)\b"
    r"|\b(matin[ée]e|nachmittagsvorstellung)\b|\bsp[aä]tvorstellung\b",
    re.IGNORECASE,
)
_SETS = re.compile(r"\bset$", re.IGNORECASE)


def _with_show(title: str | None, fields: Mapping[str, Any], bill: Billing, place: Place) -> str | None:
    """The title; where only fields that do not last tell an early show from a late one, with those words behind it."""
    if any(_says_show(text) for text in (title, place.room, *(act.name for act in bill.acts)) if text):
        return title
    told = {bill.show} if bill.show else set()
    for name in () if told else ("artist", "date", "start_time"):
        for found in _SHOW.finditer(_text(fields, name) or ""):
            told.add("early show" if found[1] or found[2] else "late show")
    if len(told) != 1:  # none, or both shows in one listing
        return title
    name = title or _text(fields, "artist") or bill.acts[0].name
    kept = name if _says_show(name) else f"{name} ({told.pop()})"
    return kept if len(kept) <= LONGEST else title


def _with_set(title: str | None, artist: str | None) -> str | None:
    """The same of a band that only plays records: its name lasts without '(DJ Set)'."""
    if artist is None or not is_dj_set(artist) or is_dj_set(title or ""):
        return title
    kept = f"{title} (DJ set)" if title else artist
    return kept if len(kept) <= LONGEST else title


def _says_show(text: str) -> bool:
    """Whether it tells which show, and not only which set."""
    return any(not _SETS.search(found.group()) for found in _SHOW.finditer(text))


# -- when -------------------------------------------------------------------------------------------------------------


def _order(fields: Mapping[str, Any]) -> Order | None:
    """What the spider, or the whole file, says of the order of day and month; None where that is no order."""
    text = (_text(fields, "date_order") or "").upper()
    return Order(text) if text in Order.__members__ else None


_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")


def _years(fields: Mapping[str, Any]) -> tuple[int, ...]:
    """The years that its names tell, for a date that has none: 'Summer Tour 1998'."""
    texts = (_text(fields, name) or "" for name in ("title", "tour", "festival"))
    return tuple(sorted({int(year) for text in texts for year in _YEAR.findall(text)}))


def _month_of_reading(fields: Mapping[str, Any]) -> date | None:
    """The first day of the month in which a page of coming shows was read, where its dates have no year."""
    try:
        return date.fromisoformat(f"{_text(fields, 'read_in')}-01")
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class _When:
    """The night, the start where its zone is known, and how far they can be trusted."""

    night: date
    start_at: datetime | None = None
    precision: StartPrecision = StartPrecision.UNKNOWN
    doubt: str | None = None


def _when(fields: Mapping[str, Any], place: Place, order: Order | None, synthetic: time | None) -> _When:
    tz = zone(place.tz) if place.tz else None
    text = _needed(fields, "date")
    if text is None:
        # A start with its own date is enough.
        start = _text(fields, "start_time") or ""
        moment = source_start(start, None, order)
        if moment is None:
            raise Refusal(Reason.NO_DATE, "date: a listing needs one")
        if moment.start is None or _is(synthetic, moment.start):
            return _When(moment.night if moment.start is None else moment.start.date(), doubt=moment.doubt)
        return _started(moment, tz)
    try:
        month = _month_of_reading(fields)
        if month is not None:
            moment = coming_date(text, month, order)
        else:
            moment = source_date(text, order, () if text[:4].isdecimal() else _years(fields))
    except DateError as error:
        raise Refusal(Reason.BAD_DATE, f"date: {error}") from None
    if moment.start is not None and _is(synthetic, moment.start):
        moment = Moment(moment.start.date(), doubt=moment.doubt)  # as written: an hour that nobody meant moves no night
    moment = _at_home(moment, tz)
    if moment.start is not None:
        return _started(moment, tz)
    for field, precision in (("start_time", StartPrecision.MINUTE), ("doors_time", StartPrecision.DOORS)):
        written = _text(fields, field)
        told = source_start(written, moment.night, order) if written else None
        if written is None or told is None or told.start is None or _is(synthetic, told.start):
            continue
        dated = _has_date(written)
        told = _at_home(told, tz) if dated else _on_day(told, moment.night, tz)
        assert told.start is not None
        night = told.night
        if dated:
            # The date field decides; a moment on another day than its night or the morning after contradicts it.
            if told.start.date() not in (moment.night, moment.night + timedelta(days=1)):
                continue
            night = told.night if told.start.date() == moment.night else moment.night
        elif told_hours(written).start is None:
            precision = StartPrecision.DOORS
        start_at = _aware(told.start, tz)
        return _When(night, start_at, precision if start_at else StartPrecision.UNKNOWN, moment.doubt)
    return _When(moment.night, doubt=moment.doubt)


def _started(moment: Moment, tz: tzinfo | None) -> _When:
    assert moment.start is not None
    start_at = _aware(moment.start, tz)
    moment = _at_home(moment, tz)
    precision = StartPrecision.DOORS if moment.doors else StartPrecision.MINUTE
    return _When(moment.night, start_at, precision if start_at else StartPrecision.UNKNOWN, moment.doubt)


def _is(synthetic: time | None, start: datetime) -> bool:
    """Whether the hour, as written, is the one that the source writes everywhere."""
    return synthetic is not None and start.time() == synthetic


_DATED = re.compile(r"\d{4}-|[./-]\d{4}|\b\d{1,2}[./]\d{1,2}[./]\d|\b(?:19|20)\d\d\b")


def _has_date(text: str) -> bool:
    return bool(_DATED.search(text))


def _at_home(moment: Moment, tz: tzinfo | None) -> Moment:
    """The moment by the venue's clock."""
    start = moment.start
    if start is None or start.tzinfo is None or tz is None:
        return moment
    try:
        start = start.astimezone(tz)
    except (OverflowError, ValueError):
        return moment
    return replace(moment, night=evening_of(start), start=start)


def _on_day(told: Moment, day: date, tz: tzinfo | None) -> Moment:
    """An hour without a date, of any zone, on that day of the venue's: '03:00Z' is an evening in Denver."""
    start = told.start
    if start is None or start.tzinfo is None or tz is None:
        return told
    try:
        start = datetime.combine(day, start.astimezone(tz).time(), tz)
    except (OverflowError, ValueError):
        return told
    return replace(told, night=evening_of(start), start=start)


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
