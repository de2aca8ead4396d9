"""The other side of match: which entries could a changed concert, artist or venue concern? Their keys are published.

What changed is committed first, entries are looked for afterwards: either match sees it, or the entry is found here.
"""

import contextlib
from collections.abc import Sequence
from uuid import UUID

import orjson

from matchers.candidates import concert_keys
from schemas.concert import Concert
from schemas.history import Rematch
from schemas.outgoing import HEADER_LOST_KEYS, Outgoing
from schemas.reference import Artist, Venue
from schemas.rejection import Reason
from streams.record import Record, follow, read
from streams.reference import NameStore
from streams.stage import Clock, Handle
from streams.store_match import MatchStore

STAGE = "rematch"


def handler(store: MatchStore, clock: Clock) -> Handle:
    """Concerts and their tombstones -> rematch, one message an entry."""

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        good, rejections = read((r for r in batch if r.value is not None), Concert, stage=STAGE, at=clock())
        by_key: dict[str, Record] = {}
        by_id: dict[UUID, Record] = {}
        for concert, record in good:
            by_key.update(dict.fromkeys(concert_keys(concert), record))
        for record in batch:
            by_key.update(dict.fromkeys(lost_keys(record), record))
            with contextlib.suppress(ValueError):
                by_id[UUID(record.key)] = record
        asked = []
        for (user, entry), ways in await store.entries_of(by_key, by_id):
            record = max((by_id[way] if isinstance(way, UUID) else by_key[way] for way in ways), key=_place)
            again = Rematch(user=user, entry_id=entry, cause=f"concert:{record.key}"[:200])
            asked.append(follow(again, record.cause, STAGE))
        return rejections + asked

    return handle


def names_handler(message: type[Artist] | type[Venue], names: NameStore, store: MatchStore, clock: Clock) -> Handle:
    """Artists or venues and their tombstones -> their names stored, and rematch of the entries that write one of them.

    Every message looks, changed or not, and for every name it ever bore: a crash after the commit loses no rematch, and
    a name that is withdrawn is withdrawn from those who had it.
    """
    kind = message.topic.split(".")[1]

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        good, rejections = read((r for r in batch if r.value is not None), message, stage=STAGE, at=clock())
        newest: dict[UUID, Artist | Venue] = {}
        ended: set[UUID] = set()
        records: dict[UUID, Record] = {}
        in_order = {record.origin: one for one, record in good}
        for record in batch:
            if record.value is None:
                try:
                    one_id = UUID(record.key)
                except ValueError:
                    text = f"a tombstone needs the {kind}'s id as its key"
                    rejections.append(record.rejected(Reason.MISSING_FIELD, text, stage=STAGE, at=clock()))
                    continue
                ended.add(one_id)
                newest.pop(one_id, None)
                records[one_id] = record
            elif record.origin in in_order:
                one = in_order[record.origin]
                one_id = one.artist_id if isinstance(one, Artist) else one.venue_id
                ended.discard(one_id)
                if one_id not in newest or newest[one_id].version <= one.version:
                    newest[one_id] = one
                    records[one_id] = record
        by_key: dict[str, Record] = {}
        for one_id, keys in (await names.put(newest, ended)).items():
            by_key.update(dict.fromkeys(keys, records[one_id]))
        asked = []
        for (user, entry), ways in await store.entries_of(by_key, ()):
            record = max((by_key[way] for way in ways if isinstance(way, str)), key=_place)
            again = Rematch(user=user, entry_id=entry, cause=f"{kind}:{record.key}"[:200])
            asked.append(follow(again, record.cause, STAGE))
        return rejections + asked

    return handle


def _place(record: Record) -> tuple[int, int]:
    return record.origin.offset, record.origin.partition


def lost_keys(record: Record) -> list[str]:
    """Keys that the concert had before this message and has no more."""
    try:
        keys = orjson.loads(record.headers.get(HEADER_LOST_KEYS, "[]"))
    except orjson.JSONDecodeError:
        return []
    return [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []
