"""The concert side of match: which entries could a changed concert concern? Only their keys are published."""

import contextlib
from collections.abc import Sequence
from uuid import UUID

import orjson

from matchers.candidates import concert_keys
from schemas.concert import Concert
from schemas.history import Rematch
from schemas.outgoing import HEADER_LOST_KEYS, Outgoing
from streams.record import Record, follow, read
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


def _place(record: Record) -> tuple[int, int]:
    return record.origin.offset, record.origin.partition


def lost_keys(record: Record) -> list[str]:
    """Keys that the concert had before this message and has no more."""
    try:
        keys = orjson.loads(record.headers.get(HEADER_LOST_KEYS, "[]"))
    except orjson.JSONDecodeError:
        return []
    return [key for key in keys if isinstance(key, str)] if isinstance(keys, list) else []
