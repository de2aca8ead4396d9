"""The matcher on rows of files: the same functions as the stages, with no service running.

Lines come as (where, bytes), `where` naming file and line for messages; nothing is read or written here.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from matchers.candidates import concert_keys, entry_keys
from matchers.dates import impossible
from matchers.match import match
from matchers.normalise import normalise
from matchers.refused import Refused
from matchers.resolve import block_keys, resolve
from matchers.text import fold
from schemas.concert import Concert, Member
from schemas.history import Entry
from schemas.ids import listing_id
from schemas.listing import Listing, Place, Status
from schemas.message import Message, MessageError
from schemas.raw import RawMessage
from schemas.reference import Venue
from schemas.rejection import Reason
from schemas.rows import entry_from_row, listing_row, raw_from_row
from schemas.suggestion import Suggestions

Lines = Iterable[tuple[str, bytes]]


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


def read_messages(lines: Lines, message: type[RawMessage]) -> Iterator[Message | Refusal]:
    """Listings, venues or artists of raw messages or rows; what cannot be used stands in its place as a refusal."""
    for where, line in lines:
        try:
            raw = raw_from_row(_json(line), message)
        except MessageError as error:
            yield Refusal.of(where, line, error.reason, error.text)
            continue
        made = normalise(raw)
        if isinstance(made, Refused):
            yield Refusal.of(where, line, made.reason.value, made.text)
        else:
            yield from made


def message_row(message: Message) -> dict[str, Any]:
    """A listing as a listing row; venues and artists as their message."""
    if isinstance(message, Listing):
        return listing_row(message)
    row: dict[str, Any] = orjson.loads(message.to_bytes())
    return row


def newest(messages: Iterable[Message]) -> list[Listing]:
    """The last version of each listing: several rows of one id are its history."""
    last: dict[Any, Listing] = {}
    for message in messages:
        if isinstance(message, Listing):
            known = last.get(message.listing_id)
            if known is None or message.version >= known.version:
                last[message.listing_id] = message
    return list(last.values())


def resolve_blocks(listings: Iterable[Listing], venues: Iterable[Venue] = ()) -> list[Concert]:
    """All concerts of any number of listings, block by connected block, ordered by night and artist."""
    venues = list(venues)
    concerts = [concert for block in connected_blocks(listings) for concert in resolve(block, venues)]
    return sorted(concerts, key=lambda c: (c.night, c.artist_key, str(c.concert_id)))


def connected_blocks(listings: Iterable[Listing]) -> list[list[Listing]]:
    """Listings that share blocking keys, directly or through others, together (union-find)."""
    everything = list(listings)
    parent = list(range(len(everything)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str, int] = {}
    for i, listing in enumerate(everything):
        for key in block_keys(listing):
            parent[root(i)] = root(first.setdefault(key, i))
    blocks: dict[int, list[Listing]] = defaultdict(list)
    for i, listing in enumerate(everything):
        blocks[root(i)].append(listing)
    return list(blocks.values())


def read_concerts(lines: Lines, message: type[RawMessage]) -> tuple[list[Concert], list[Refusal]]:
    """Concerts of concert rows and of listing rows, which are resolved first."""
    concerts: list[Concert] = []
    refused: list[Refusal] = []
    listed: list[tuple[str, bytes]] = []
    for where, line in lines:
        try:
            row = _json(line)
            if isinstance(row, dict) and "concert_id" in row:
                concerts.append(concert_from_row(row))
            else:
                listed.append((where, line))
        except MessageError as error:
            refused.append(Refusal.of(where, line, error.reason, error.text))
    read = list(read_messages(listed, message))
    refused += [one for one in read if isinstance(one, Refusal)]
    messages = [one for one in read if isinstance(one, Message)]
    return concerts + resolve_blocks(newest(messages), (m for m in messages if isinstance(m, Venue))), refused


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
    lines: Lines, concerts: Iterable[Concert]
) -> Iterator[tuple[dict[str, Any] | Suggestions, Refusal | None]]:
    """One answer for every entry line, in order: its suggestions, or an empty row with the reason beside a refusal."""
    by_key: dict[str, list[Concert]] = defaultdict(list)
    for concert in concerts:
        for key in concert_keys(concert):
            by_key[key].append(concert)
    for where, line in lines:
        row: Any = None
        try:
            row = _json(line)
            entry = entry_from_row(row, Entry)
            if entry.date and (wrong := impossible(entry.date)):
                raise MessageError(Reason.BAD_DATE, f"date: {wrong}")
        except MessageError as error:
            named = row if isinstance(row, dict) else {}
            empty: dict[str, Any] = {
                "user": named.get("user"),
                "entry_id": named.get("entry_id"),
                "suggestions": [],
                "reason": error.reason,
            }
            yield empty, Refusal.of(where, line, error.reason, error.text)
            continue
        found = {concert.concert_id: concert for key in entry_keys(entry) for concert in by_key.get(key, ())}
        yield match(entry, list(found.values())), None


def _json(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise MessageError("not_json", f"not JSON: {error}") from error


__all__ = [
    "Refusal",
    "concert_from_row",
    "connected_blocks",
    "match_entries",
    "message_row",
    "newest",
    "read_concerts",
    "read_messages",
    "resolve_blocks",
]
