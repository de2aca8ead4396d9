"""What an import does to a history, a few hundred entries in a transaction: their rows and messages, the place reached.

Each import says of an entry what it remembers of it (`body`), or that it is not there (null: a row that a corrected
file no longer has). In force is what the last import says that is not undone, else what was there before any import
(`base`). So an undo takes back what is in force because of it and nothing else, in whatever order imports are undone:
what an earlier import, a later one or the user has as well stays, and a text that was changed comes back.

An entry's messages all go by one topic, the one that its first import took: its tombstone would otherwise overtake it.
Decisions are the user's and stay as they are: match withdraws the suggestions of an entry that is gone, a confirmed
show stays in the journal until it is undone there.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.outbox import put_in_outbox
from schemas.history import BackfilledEntry, Entry, EntryOrigin
from schemas.outgoing import Outgoing, outgoing, tombstone
from schemas.tables import ImportOutcome

STAGE = "api"
BATCH = 500
"""Entries of a transaction, about: a row's entries are never parted."""
AT_A_TIME = 5_000
"""Entries that are read, or asked for, at once: the API holds no more of a file."""
MOST_LIVE = 200
"""Entries of an import that goes by the live topic; more is a backfill."""
ALIKE = 0.3
"""Share of an earlier import's entries that a file must have to be that one, corrected: a small part of it is not."""

IN_FORCE = text(
    """
    select distinct on (entry_id) entry_id, import_id, body, base, backfill, undone
    from (
        select * from state.import_entries
        where user_id = :user and entry_id = any(cast(:ids as text[])) and import_id <> :id
    ) said
    order by entry_id, undone, seq desc
    """
)
"""The last row that is not undone, or the last of those that are."""
WRITTEN = text(
    """
    select entry_id, body from state.entries
    where user_id = :user and entry_id = any(cast(:ids as text[])) and body is not null
    """
)
PUT = text(
    """
    insert into state.import_entries (import_id, user_id, entry_id, outcome, said, facts, body, base, backfill)
    select :id, :user, entry_id, cast(outcome as state.import_outcome), said, coalesce(facts, '{}'), body, base,
        backfill
    from json_to_recordset(cast(:rows as json)) as r
        (entry_id text, outcome text, said text, facts bigint[], body jsonb, base jsonb, backfill boolean)
    on conflict (import_id, entry_id) do nothing
    """
)
OF_IMPORT = text(
    """
    select entry_id, seq, body, base, backfill from state.import_entries
    where import_id = :id and not undone order by seq limit :most
    """
)
OTHERS = text(
    """
    select distinct on (entry_id) entry_id, seq, body from state.import_entries
    where user_id = :user and entry_id = any(cast(:ids as text[])) and not undone
        and import_id <> all(cast(:mine as uuid[]))
    order by entry_id, seq desc
    """
)
MARK_UNDONE = text(
    """
    update state.import_entries set undone = true, updated_at = now()
    where user_id = :user and entry_id = any(cast(:ids as text[])) and import_id = any(cast(:mine as uuid[]))
    """
)
CONFIRMED = text(
    """
    select count(*) from (
        select distinct on (entry_id, suggestion_id) entry_id, action from state.decisions
        where user_id = :user and entry_id = any(cast(:ids as text[])) order by entry_id, suggestion_id, seq desc
    ) last where action = 'confirmed'
    """
)
EARLIER = text(
    """
    select i.import_id, i.file_hash = :file_hash as same, lower(i.name) = lower(:name) as named,
        (select count(*) from state.import_entries e where e.import_id = i.import_id and e.body is not null) as entries
    from state.imports i
    where i.user_id = :user and i.state = 'applied' and i.import_id <> :id
    order by i.applied_at desc limit 100
    """
)
SHARED = text(
    """
    select import_id, count(*) as shared from state.import_entries
    where user_id = :user and entry_id = any(cast(:ids as text[])) and not undone and body is not null
    group by import_id
    """
)
KNOWN = text(
    """
    select entry_id, said, facts, seq from state.import_entries
    where import_id = :id and not undone and body is not null and seq > :after order by seq limit :most
    """
)


@dataclass(frozen=True, slots=True)
class Said:
    """An entry as a file says it; `body` null: a corrected file has it no more."""

    entry_id: str
    said: str | None = None
    facts: tuple[int, ...] = ()
    body: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Hand:
    """Whose import it is, and how its messages are written."""

    import_id: UUID
    user: str
    backfill: bool
    """Of entries that are new."""
    corrects: UUID | None
    now: datetime
    trace: str
    shards: int

    def message(self, entry_id: str, body: dict[str, Any] | None, backfill: bool) -> Outgoing:
        """What the entry says from now on, or its end."""
        kind = BackfilledEntry if backfill else Entry
        if body is None:
            key = f"{self.user}/{entry_id}"
            return tombstone(kind, key, trace=self.trace, stage=STAGE, partition_by=self.user)
        envelope = {"user": self.user, "entry_id": entry_id, "seen_at": self.now, "origin": EntryOrigin.IMPORT}
        return outgoing(kind.model_validate(body | envelope), trace=self.trace, stage=STAGE)


async def put(connection: AsyncConnection, hand: Hand, entries: Sequence[Said]) -> dict[str, int]:
    """Write a batch; how many were added, changed, unchanged, gone and withdrawn."""
    counts = dict.fromkeys(("added", "changed", "unchanged", "gone", "withdrawn"), 0)
    if not entries:
        return counts
    ids = [one.entry_id for one in entries]
    asked = {"user": hand.user, "ids": ids, "id": hand.import_id}
    held = {row.entry_id: row for row in await connection.execute(IN_FORCE, asked)}
    unsaid = [one for one in ids if one not in held or held[one].undone]
    written = {row.entry_id: row.body for row in await connection.execute(WRITTEN, asked | {"ids": unsaid})}
    rows, messages = [], []
    for one in entries:
        last = held.get(one.entry_id)
        if one.body is None and (last is None or last.undone or last.import_id != hand.corrects):
            continue  # it is gone from the file, but another import has it
        if last is not None and not last.undone:
            before, base = last.body, last.base
        elif last is not None:
            # Its message may still be on its way, or the tombstone of its undo: what is stored says nothing.
            before = base = last.base
        else:
            before = base = remembered(written.get(one.entry_id))
        backfill = hand.backfill if last is None else last.backfill
        outcome = _outcome(one.body, before)
        counts[outcome.value] += 1
        if one.body is None and before is not None:
            counts["withdrawn"] += 1
        if outcome is not ImportOutcome.UNCHANGED and one.body != before:
            messages.append(hand.message(one.entry_id, one.body, backfill))
        rows.append(
            {
                "entry_id": one.entry_id,
                "outcome": outcome.value,
                "said": one.said,
                "facts": one.facts,
                "body": one.body,
                "base": base,
                "backfill": backfill,
            }
        )
    told = {"id": hand.import_id, "user": hand.user, "rows": orjson.dumps(rows).decode()}
    await connection.execute(PUT, told)
    await put_in_outbox(connection, messages, hand.shards)
    return counts


def _outcome(body: dict[str, Any] | None, before: dict[str, Any] | None) -> ImportOutcome:
    if body is None:
        return ImportOutcome.GONE
    if before is None:
        return ImportOutcome.ADDED
    return ImportOutcome.UNCHANGED if body == before else ImportOutcome.CHANGED


async def take_back(connection: AsyncConnection, hand: Hand, copies: Sequence[UUID]) -> dict[str, int] | None:
    """Undo the next batch; how many entries were withdrawn, restored, stayed, decided. None: all are.

    `copies` are later imports of the same file: they go with it.
    """
    rows = (await connection.execute(OF_IMPORT, {"id": hand.import_id, "most": BATCH})).all()
    if not rows:
        return None
    ids = [row.entry_id for row in rows]
    asked = {"user": hand.user, "ids": ids, "mine": [hand.import_id, *copies]}
    others = {row.entry_id: row for row in await connection.execute(OTHERS, asked)}
    counts = dict.fromkeys(("withdrawn", "restored", "stayed", "decided"), 0)
    messages, withdrawn = [], []
    for row in rows:
        other = others.get(row.entry_id)
        target = row.base if other is None else other.body
        if (other is not None and other.seq > row.seq) or target == row.body:
            counts["stayed"] += 1
            continue
        messages.append(hand.message(row.entry_id, target, row.backfill))
        if target is None:
            withdrawn.append(row.entry_id)
        else:
            counts["restored"] += 1
    counts["withdrawn"] = len(withdrawn)
    if withdrawn:
        counts["decided"] = int(await connection.scalar(CONFIRMED, asked | {"ids": withdrawn}) or 0)
    await connection.execute(MARK_UNDONE, asked)
    await put_in_outbox(connection, messages, hand.shards)
    return counts


_ENVELOPE = ("user", "entry_id", "seen_at", "origin")


def remembered(body: dict[str, Any] | None) -> dict[str, Any] | None:
    """What an entry of match's table remembers, as an import writes it: nothing of its envelope, nothing empty."""
    if body is None:
        return None
    return {name: value for name, value in body.items() if name not in _ENVELOPE and value not in (None, [])}


# -- which file this is, corrected -------------------------------------------------------------------------------------


async def earlier(connection: AsyncConnection, hand: Hand, name: str, file_hash: str) -> Sequence[Any]:
    """Imports of the user that are in force, the latest first."""
    asked = {"user": hand.user, "id": hand.import_id, "name": name, "file_hash": file_hash}
    return (await connection.execute(EARLIER, asked)).all()


async def corrected(
    connection: AsyncConnection, hand: Hand, candidates: Sequence[Any], ids: Iterable[Sequence[str]]
) -> UUID | None:
    """The import whose file this is, corrected: the same file, else that which shares most entries, else the name's.

    `ids`: the file's entries, some thousand at a time.
    """
    same: UUID | None = next((row.import_id for row in candidates if row.same), None)
    if same is not None:
        return same
    shared: dict[UUID, int] = {}
    for some in ids:
        for row in await connection.execute(SHARED, {"user": hand.user, "ids": list(some)}):
            shared[row.import_id] = shared.get(row.import_id, 0) + row.shared
    best: UUID | None = None
    most = 0
    for row in candidates:
        count = shared.get(row.import_id, 0)
        if count > most and count >= ALIKE * row.entries:
            best, most = row.import_id, count
    return best or next((row.import_id for row in candidates if row.named), None)


async def known_of(engine: AsyncEngine, import_id: UUID) -> AsyncIterator[bytes]:
    """What the entries of an import are known again by, in their order: lines as the reader's `carry` takes them."""
    after = 0
    while True:
        async with engine.connect() as connection:
            asked = {"id": import_id, "after": after, "most": AT_A_TIME}
            rows = (await connection.execute(KNOWN, asked)).all()
        if not rows:
            return
        yield b"".join(orjson.dumps([row.entry_id, row.said, row.facts]) + b"\n" for row in rows)
        after = rows[-1].seq
