"""The matcher on rows of files: the same functions as the stages, with no service running.

Lines come as (where, bytes), `where` naming file and line for messages; nothing is read or written here.
"""

import json
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Any, TypeAlias
from uuid import UUID

import orjson

from matchers.catalogue import Catalogue
from matchers.columns import Columns
from matchers.dates import impossible
from matchers.match import match_all
from matchers.normalise import normalise
from matchers.refused import Refused
from matchers.resolve import Sets, block_keys, listing_venue_keys, resolve, venue_keys
from matchers.settle import settle
from matchers.text import fold
from matchers.weights import Tables
from schemas.concert import Concert, Member
from schemas.history import Entry
from schemas.ids import listing_id
from schemas.listing import Listing, Place, Status
from schemas.message import Message, MessageError
from schemas.raw import RawMessage
from schemas.reference import Venue
from schemas.rejection import Reason
from schemas.rows import entry_from_row, listing_row, raw_from_row, read_json
from schemas.suggestion import Suggestions

Lines = Iterable[tuple[str, bytes]]
_Read: TypeAlias = "Entry | tuple[dict[str, Any], Refusal]"


@dataclass(frozen=True)
class Refusal:
    """A line that could not be used, where it stands and why."""

    origin: str
    reason: str
    text: str
    original: str

    @classmethod
    def of(cls, where: str, line: bytes, reason: str, text: str) -> "Refusal":
        """From the bytes of the line."""
        return cls(where, reason, text, line.decode("utf-8", "replace"))


def read_messages(
    lines: Lines, message: type[RawMessage], columns: Columns | None = None
) -> Iterator[Message | Refusal]:
    """Listings, venues or artists of raw messages or rows; what cannot be used stands in its place as a refusal.

    03/04/2014 is read by the whole column of its source: such a row waits, with those behind it, until all lines are
    read. `columns` is told what the rows have, and can say afterwards what was decided.
    """
    columns = Columns() if columns is None else columns
    waiting: deque[tuple[str, bytes, RawMessage | Refusal]] = deque()
    for where, line in lines:
        read: RawMessage | Refusal
        try:
            read = raw_from_row(read_json(line), message)
            columns.see(read.source, read.fields)
        except MessageError as error:
            read = Refusal.of(where, line, error.reason, error.text)
        waiting.append((where, line, read))
        while waiting:
            read = waiting[0][2]
            if isinstance(read, RawMessage) and columns.needs(read.source, read.fields):
                break
            yield from _normalised(*waiting.popleft(), columns)
    while waiting:
        yield from _normalised(*waiting.popleft(), columns)


def _normalised(where: str, line: bytes, read: RawMessage | Refusal, columns: Columns) -> Iterable[Message | Refusal]:
    if isinstance(read, Refusal):
        return [read]
    order = columns.order(read.source)
    made = normalise(read, order.order, columns.synthetic(read.source))
    if not isinstance(made, Refused):
        return made
    text = made.text
    if made.reason is Reason.BAD_DATE and order.order is None and order.ambiguous:
        text = f"{text} (of {read.source}: {order.text})"
    return [Refusal.of(where, line, made.reason.value, text)]


def message_row(message: Message) -> dict[str, Any]:
    """A listing as a listing row; venues and artists as their message."""
    if isinstance(message, Listing):
        return listing_row(message)
    row: dict[str, Any] = orjson.loads(message.to_bytes())
    return row


# -- listings -> concerts -----------------------------------------------------------------------------------------


def resolve_blocks(
    listings: Iterable[Listing], venues: Iterable[Venue] = (), day_off: Collection[str] = ()
) -> list[Concert]:
    """All concerts of any number of listings, block by connected block, ordered by night and artist."""
    held = Held(day_off)
    for message in (*listings, *venues):
        held.add(message)
    return list(held.concerts())


def read_concerts(lines: Lines, message: type[RawMessage]) -> tuple[list[Concert], list[Refusal]]:
    """Concerts of concert rows and of listing rows, which are resolved first."""
    concerts: list[Concert] = []
    refused: list[Refusal] = []
    for one in resolve_rows(lines, message):
        if isinstance(one, Concert):
            concerts.append(one)
        else:
            refused.append(one)
    return concerts, refused


def resolve_rows(
    lines: Lines,
    message: type[RawMessage],
    day_off: Collection[str] = (),
    told: Callable[[int, int], None] = lambda done, listings: None,
) -> Iterator[Concert | Refusal]:
    """Concert rows as they come, refusals, then the concerts of all listing rows by night, artist and id.

    Holds one line of those that say the same, then each listing's newest version as bytes, then one block; concerts
    leave as soon as no earlier one can come. `day_off`: see `resolve`; `told` hears how many listings are resolved, of
    how many.
    """
    times: dict[str, int] = {}
    rows: list[Concert | Refusal] = []
    held = Held(day_off)
    for one in read_messages(distinct(_without_concerts(lines, rows), times), message):
        if isinstance(one, Refusal):
            rows += [one] * times.get(one.origin, 1)
        else:
            held.add(one)
        yield from rows
        rows.clear()
    yield from rows
    yield from held.concerts(told)


def _without_concerts(lines: Lines, found: list[Concert | Refusal]) -> Iterator[tuple[str, bytes]]:
    """Lines that are no concert rows; those are put into `found`."""
    for where, line in lines:
        if b'"concert_id"' in line:
            try:
                row = read_json(line)
                if isinstance(row, dict) and "concert_id" in row:
                    found.append(concert_from_row(row))
                    continue
            except MessageError as error:
                found.append(Refusal.of(where, line, error.reason, error.text))
                continue
        yield where, line


def distinct(lines: Lines, times: dict[str, int]) -> Iterator[tuple[str, bytes]]:
    """Of rows that say the same but for `observed_at`, the last seen; what a crawl sees a hundred times is read once.

    `times` is told how often a line stands for others, by its `where`. Lines come in the order of their first.
    """
    last: dict[bytes, tuple[datetime, bytes, str]] = {}
    count: dict[bytes, int] = {}
    for where, line in lines:
        try:
            row = orjson.loads(line)
            seen = datetime.fromisoformat(row.pop("observed_at"))
            if seen.tzinfo is None:
                raise ValueError
            seen = seen.astimezone(UTC)
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError, OverflowError):
            yield where, line  # with no instant to go by, it stands for itself
            continue
        said = blake2b(orjson.dumps(row, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
        count[said] = count.get(said, 0) + 1
        if said not in last or (seen, line) > last[said][:2]:
            last[said] = (seen, line, where)
    for said in list(last):
        _, line, where = last.pop(said)
        if count[said] > 1:
            times[where] = count[said]
        yield where, line


class Held:
    """Any number of listings and venues: the newest version of each, a listing as its bytes, a tenth of the object."""

    def __init__(self, day_off: Collection[str] = ()) -> None:
        self.day_off = day_off
        self.listings: dict[UUID, tuple[int, bytes, date, tuple[int, ...]]] = {}
        self.venues: dict[UUID, Venue] = {}

    def add(self, message: Message) -> None:
        """A listing or a venue; others are nothing to it. Equal versions fall the same way in any order."""
        if isinstance(message, Venue):
            known = self.venues.get(message.venue_id)
            if known is None or (message.version, message.to_bytes()) > (known.version, known.to_bytes()):
                self.venues[message.venue_id] = message
        elif isinstance(message, Listing):
            body = message.to_bytes()
            held = self.listings.get(message.listing_id)
            if held is None or (message.version, body) > held[:2]:
                # Hashes: two keys that share one by chance join two blocks, which `resolve` tells apart again.
                keys = tuple(hash(key) for key in block_keys(message, self.day_off))
                # Copied: orjson's own bytes keep the 8 KB that they were written into.
                body = bytes(memoryview(body))
                self.listings[message.listing_id] = (message.version, body, message.night, keys)

    def concerts(self, told: Callable[[int, int], None] = lambda done, listings: None) -> Iterator[Concert]:
        """By night, artist and id, as soon as no earlier one can come."""
        by_key: dict[str, list[Venue]] = defaultdict(list)
        for venue in self.venues.values():
            for key in venue_keys(venue):
                by_key[key].append(venue)
        waiting: list[tuple[date, str, str, Concert]] = []
        done = 0
        for first_night, block in self._blocks():
            while waiting and waiting[0][0] < first_night:
                yield heappop(waiting)[3]
            listings = [Listing.from_bytes(body) for body in block]
            near = [venue for one in listings for key in listing_venue_keys(one) for venue in by_key.get(key, ())]
            for concert in resolve(listings, near, self.day_off):
                heappush(waiting, (concert.night, concert.artist_key, str(concert.concert_id), concert))
            done += len(listings)
            told(done, len(self.listings))
        while waiting:
            yield heappop(waiting)[3]

    def _blocks(self) -> Iterator[tuple[date, list[bytes]]]:
        """Listings that share keys, directly or through others; the earliest block first."""
        everything = sorted(self.listings.values(), key=lambda held: held[2])
        joined = Sets(len(everything))
        first: dict[int, int] = {}
        for index, (_, _, _, keys) in enumerate(everything):
            for key in keys:
                joined.join(first.setdefault(key, index), index)
        first.clear()
        for block in joined.groups():
            yield everything[block[0]][2], [everything[index][1] for index in block]


def concert_from_row(row: dict[str, Any]) -> Concert:
    """A concert of a concert row. MessageError names what does not fit."""
    try:
        members = tuple(
            Member(
                listing_id=listing_id(str(one["source"]), str(one["source_id"])),
                source=str(one["source"]),
                source_id=str(one["source_id"]),
                version=0,
                act=row["artist"],
            )
            for one in row["members"]
        )
        return Concert(
            concert_id=row["concert_id"],
            artist=row["artist"],
            artist_key=fold(row["artist"]),
            night=row["night"],
            place=Place(
                name=row.get("venue"),
                city=row.get("city"),
                region=row.get("region"),
                country=row.get("country"),
                lat=row.get("lat"),
                lon=row.get("lon"),
            ),
            status=Status(row.get("status", Status.ANNOUNCED)),
            songs=tuple(row.get("songs", ())),
            parent=row.get("parent"),
            tour=row.get("tour"),
            festival=row.get("festival"),
            members=tuple(sorted(members, key=lambda m: m.listing_id)),
        )
    except KeyError as error:
        raise MessageError("missing_field", f"{error.args[0]}: Field required") from error
    except (TypeError, ValueError) as error:
        raise MessageError("bad_value", f"concert row: {error}") from error


def match_entries(
    lines: Lines, concerts: Iterable[Concert] | Catalogue, tables: Tables | None = None
) -> Iterator[tuple[dict[str, Any] | Suggestions, Refusal | None]]:
    """One answer for every entry line, in order: its suggestions, or an empty row with the reason beside a refusal."""
    catalogue = concerts if isinstance(concerts, Catalogue) else Catalogue(concerts)
    read = _with_orders([_entry(where, line) for where, line in lines])
    # Two lines of one user can mean one show: sets are settled beside each other, wherever in the file they stand.
    answers = iter(settle(list(match_all((one for one in read if isinstance(one, Entry)), catalogue, tables))))
    for one in read:
        yield (next(answers), None) if isinstance(one, Entry) else one


def _with_orders(read: list[_Read]) -> list[_Read]:
    """Entries with the order of the numbers in their dates, where all dates of their user tell it."""
    columns = Columns()
    for one in read:
        if isinstance(one, Entry) and one.date:
            columns.see(one.user, {"date": one.date})
    learned = []
    for one in read:
        told = columns.learned(one.user, {"date": one.date}) if isinstance(one, Entry) and one.date else {}
        if isinstance(one, Entry) and one.date_order is None and "date_order" in told:
            one = one.model_copy(update={"date_order": told["date_order"]})
        learned.append(one)
    return learned


def _named(line: bytes) -> dict[str, Any]:
    """Whose line it is, as far as a line that is no JSON tells: a NaN in a column is no reason to lose the user."""
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def _entry(where: str, line: bytes) -> Entry | tuple[dict[str, Any], Refusal]:
    """The entry in a line, or an empty answer and why."""
    row: Any = None
    try:
        row = read_json(line)
        entry = entry_from_row(row, Entry)
        if entry.date and (wrong := impossible(entry.date)):
            raise MessageError(Reason.BAD_DATE, f"date: {wrong}")
    except MessageError as error:
        named = row if isinstance(row, dict) else _named(line)
        empty: dict[str, Any] = {
            "user": named.get("user"),
            "entry_id": named.get("entry_id"),
            "suggestions": [],
            "reason": error.reason,
            "problem": f"{where}: {error.text}",
        }
        return empty, Refusal.of(where, line, error.reason, error.text)
    return entry


__all__ = [
    "Held",
    "Refusal",
    "concert_from_row",
    "distinct",
    "match_entries",
    "message_row",
    "read_concerts",
    "read_messages",
    "resolve_blocks",
    "resolve_rows",
]
