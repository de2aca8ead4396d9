"""history, decisions, rematch -> suggestions, through the outbox. All are partitioned by the user."""

from collections.abc import Sequence

from deploy.erasing import ledger
from matchers.dates import impossible
from schemas.decision import Decision
from schemas.history import Entry, Rematch
from schemas.outgoing import Outgoing
from schemas.rejection import Reason
from streams.record import Cause, Record, read
from streams.stage import Clock, Handle
from streams.store_match import STAGE, Key, MatchStore


def entries_handler(message: type[Entry], store: MatchStore, clock: Clock) -> Handle:
    """history and history-backfill: store the entries, then match them. A tombstone deletes one."""

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        batch = _without_erasures(batch)
        good, rejections = read((r for r in batch if r.value is not None), message, stage=STAGE, at=clock())
        written = {}
        for entry, record in good:
            wrong = impossible(entry.date) if entry.date else None
            if wrong is None:
                written[record.origin] = entry
            else:
                rejections.append(record.rejected(Reason.BAD_DATE, f"date: {wrong}", stage=STAGE, at=clock()))
        causes: dict[Key, Cause] = {}
        ended: dict[Key, int] = {}
        for place, record in enumerate(batch):
            if record.value is None:
                at = user_and_entry(record.key)
                if at is None:
                    rejections.append(_no_key(record, clock))
                    continue
                ended[at] = place
                causes[at] = record.cause
            elif record.origin in written:
                entry = written[record.origin]
                causes[entry.user, entry.entry_id] = record.cause
        before: list[Entry] = []
        after: list[Entry] = []
        for place, record in enumerate(batch):
            if record.origin in written:
                entry = written[record.origin]
                (after if place > ended.get((entry.user, entry.entry_id), len(batch)) else before).append(entry)
        await store.put(before, deleted=ended, after=after)
        await store.match(causes)
        return await _of_the_living(rejections, store)

    return handle


def again_handler(message: type[Decision] | type[Rematch], store: MatchStore, clock: Clock) -> Handle:
    """decision and rematch: match again; what was decided is read from the API's table, where it was committed."""

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        batch = _without_erasures(batch)
        good, rejections = read((r for r in batch if r.value is not None), message, stage=STAGE, at=clock())
        causes = {(one.user, one.entry_id): record.cause for one, record in good}
        for record in batch:
            if record.value is None:
                at = user_and_entry(record.key)
                if at is None:
                    rejections.append(_no_key(record, clock))
                else:
                    causes[at] = record.cause
        await store.match(causes)
        return await _of_the_living(rejections, store)

    return handle


def user_and_entry(key: str) -> Key | None:
    """The parts of a key user/entry."""
    user, slash, entry = key.partition("/")
    return (user, entry) if user and slash and entry else None


def _without_erasures(batch: Sequence[Record]) -> list[Record]:
    """The tombstones of an erasure are for those who cannot ask the ledger: here the rows are gone."""
    return [record for record in batch if not ledger.by_erasure(record.headers, record.value)]


async def _of_the_living(rejections: list[Outgoing], store: MatchStore) -> list[Outgoing]:
    """Without those that would keep the bytes of users who were erased."""
    whose = [ledger.users_of_rejection(record.value) for record in rejections]
    erased = await store.erased(frozenset().union(*whose)) if any(whose) else frozenset()
    return [record for record, users in zip(rejections, whose, strict=True) if not users & erased]


def _no_key(record: Record, clock: Clock) -> Outgoing:
    return record.rejected(Reason.MISSING_FIELD, "a tombstone needs the key user/entry", stage=STAGE, at=clock())
