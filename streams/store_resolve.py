"""The memory of resolve: listings, venues, concerts and their members, one transaction for a batch.

A block is the listings that share blocking keys, directly or through others; a concert never reaches beyond its block.
Two resolvers on one block take the advisory locks of its keys, in one order, so one waits, and then reads what the
other wrote. A block that grew while its locks were waited for is begun anew with the larger set of keys.

Listings also hold, shared, the locks of the venues they could be at, and a changed venue holds them alone: else each
could miss what the other has not committed yet.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.outbox import put_in_outbox
from matchers.candidates import concert_keys
from matchers.resolve import block_keys, listing_venue_keys, resolve, venue_keys
from schemas.concert import Concert
from schemas.listing import Listing
from schemas.message import canonical
from schemas.outgoing import HEADER_LOST_KEYS, Outgoing, tombstone
from schemas.reference import Venue
from streams.record import Cause, follow
from streams.sql import BY_INDEX, as_rows, body, lock_number

STAGE = "resolve"
VENUE_PREFIX = "venue:"
"""Marks keys in state.listings.keys that lead to venues: they do not join blocks."""

LISTINGS = text(
    """
    select listing_id, version, keys as held, cast(body as text) as body from state.listings
    where listing_id = any(array(
        select unnest(cast(:ids as uuid[]))
        union
        select l.listing_id from unnest(cast(:keys as text[])) as asked (key)
        join state.listings l on l.keys @> array[asked.key]
    )) and not listing_id = any(cast(:known as uuid[]))
    """
)
"""Key by key: one `keys && :keys` compares each row with all keys, a hundred times slower for a batch's thousands.

And by an array: the planner expects a thousand times more rows than the keys find, and would read the whole table to
join them.
"""
OLD_VENUES = text("select keys as held from state.venues where venue_id = any(cast(:ids as uuid[]))")
LOCKS = text(
    """
    select case when alone then pg_advisory_xact_lock(lock) else pg_advisory_xact_lock_shared(lock) end
    from unnest(cast(:locks as bigint[]), cast(:alone as bool[])) as l (lock, alone)
    """
)
PUT_LISTINGS = text(
    """
    insert into state.listings (listing_id, source, source_id, version, night, keys, body)
    select listing_id, source, source_id, version, night, keys, body
    from json_to_recordset(cast(:rows as json)) as r
        (listing_id uuid, source text, source_id text, version bigint, night date, keys text[], body jsonb)
    on conflict (listing_id) do update set
        version = excluded.version, night = excluded.night, keys = excluded.keys, body = excluded.body,
        updated_at = now()
    where listings.version <= excluded.version
    """
)
PUT_VENUES = text(
    """
    insert into state.venues (venue_id, version, keys, body)
    select venue_id, version, keys, body from json_to_recordset(cast(:rows as json)) as r
        (venue_id uuid, version bigint, keys text[], body jsonb)
    on conflict (venue_id) do update set
        version = excluded.version, keys = excluded.keys, body = excluded.body, updated_at = now()
    where venues.version <= excluded.version
    """
)
VENUES = text(
    """
    select cast(body as text) from state.venues where venue_id = any(array(
        select v.venue_id from unnest(cast(:keys as text[])) as asked (key)
        join state.venues v on v.keys @> array[asked.key]
    )) order by venue_id
    """
)
MEMBERS = text(
    "select listing_id, act, concert_id from state.concert_members where listing_id = any(cast(:ids as uuid[]))"
)
CONCERTS = text(
    """
    select concert_id, live, rev, keys as held, cast(body as text) as body from state.concerts
    where concert_id = any(cast(:ids as uuid[])) order by concert_id for update
    """
)
PUT_CONCERTS = text(
    """
    insert into state.concerts (concert_id, anchor_listing_id, anchor_act, live, rev, night, keys, body)
    select concert_id, anchor_listing_id, anchor_act, true, rev, night, keys, body
    from json_to_recordset(cast(:rows as json)) as r
        (concert_id uuid, anchor_listing_id uuid, anchor_act text, rev bigint, night date, keys text[], body jsonb)
    order by concert_id
    on conflict (concert_id) do update set
        live = true, rev = excluded.rev, night = excluded.night, keys = excluded.keys, body = excluded.body,
        updated_at = now()
    """
)
END_CONCERTS = text(
    """
    update state.concerts c set live = false, rev = r.rev, updated_at = now()
    from json_to_recordset(cast(:rows as json)) as r (concert_id uuid, rev bigint) where c.concert_id = r.concert_id
    """
)
DROP_MEMBERS = text(
    """
    delete from state.concert_members m
    using json_to_recordset(cast(:rows as json)) as r (listing_id uuid, act text)
    where m.listing_id = r.listing_id and m.act = r.act
    """
)
PUT_MEMBERS = text(
    """
    insert into state.concert_members (listing_id, act, concert_id)
    select listing_id, act, concert_id from json_to_recordset(cast(:rows as json)) as r
        (listing_id uuid, act text, concert_id uuid)
    on conflict (listing_id, act) do update set concert_id = excluded.concert_id, updated_at = now()
    """
)


@dataclass(frozen=True)
class Applied:
    """What a batch changed."""

    listings: int
    changed: int
    ended: int
    begun_anew: int


@dataclass(frozen=True)
class Stored:
    """A row of state.listings."""

    version: int
    keys: frozenset[str]
    body: str


@dataclass(frozen=True)
class StoredConcert:
    """A row of state.concerts."""

    live: bool
    rev: int
    keys: frozenset[str]
    concert: Concert


class _Grew(Exception):
    """Another resolver joined listings to the block while its locks were waited for."""


class ResolveStore:
    """Applies listings and venues. One batch is one transaction; `Applied` after its commit."""

    def __init__(
        self,
        engine: AsyncEngine,
        outbox_shards: int,
        shown: Callable[[str], None] = lambda moment: None,
        day_off: frozenset[str] = frozenset(),
    ) -> None:
        self._engine = engine
        self._day_off = day_off
        """Sources known to be a day off at times."""
        self._shards = outbox_shards
        self._shown = shown
        """Told of moments between statements: tests stop there."""

    async def apply(self, changes: Sequence[tuple[Listing | Venue, Cause]]) -> Applied:
        """Store what is newer or as new, resolve the blocks around it, put changed concerts in the outbox."""
        listings: dict[UUID, tuple[Listing, Cause]] = {}
        venues: dict[UUID, Venue] = {}
        for message, cause in changes:
            if isinstance(message, Listing):
                if message.listing_id not in listings or listings[message.listing_id][0].version <= message.version:
                    listings[message.listing_id] = (message, cause)
            elif message.venue_id not in venues or venues[message.venue_id].version <= message.version:
                venues[message.venue_id] = message
        batch = _Batch(listings, venues, changes[0][1] if changes else None, self._day_off)
        keys = batch.keys
        begun = 0
        while changes:
            try:
                async with self._engine.begin() as connection:
                    changed, ended = await self._apply(connection, batch, keys)
                return Applied(len(listings), changed, ended, begun)
            except _Grew as grew:
                keys = keys | grew.args[0]
                begun += 1
        return Applied(0, 0, 0, 0)

    async def _apply(self, connection: AsyncConnection, batch: "_Batch", keys: frozenset[str]) -> tuple[int, int]:
        await connection.execute(BY_INDEX)
        foreseen = await _around(connection, batch, keys)
        self._shown("read")
        await _lock(connection, foreseen)
        self._shown("locked")
        block = await _around(connection, batch, foreseen.keys)
        if not (block.locks.keys() <= foreseen.locks.keys()):
            raise _Grew(block.keys)
        await self._store(connection, batch, block)
        listings = [
            batch.listings[i][0] if i in block.newer else Listing.model_validate_json(stored.body)
            for i, stored in block.listings.items()
        ]
        listings += [message for i, (message, _) in batch.listings.items() if i not in block.listings]
        venue_rows = await connection.scalars(VENUES, {"keys": _without_prefix(block.at_venues)})
        venues = [Venue.model_validate_json(row) for row in venue_rows]
        return await self._write(connection, batch, listings, resolve(listings, venues, self._day_off))

    async def _store(self, connection: AsyncConnection, batch: "_Batch", block: "_Block") -> None:
        rows = [
            {
                "listing_id": listing.listing_id,
                "source": listing.source,
                "source_id": listing.source_id,
                "version": listing.version,
                "night": listing.night,
                "keys": sorted(_all_keys(listing, self._day_off)),
                "body": body(listing),
            }
            for i, (listing, _) in batch.listings.items()
            if i in block.newer or i not in block.listings
        ]
        if rows:
            await connection.execute(PUT_LISTINGS, {"rows": as_rows(rows)})
        if batch.venues:
            venues = [
                {"venue_id": v.venue_id, "version": v.version, "keys": sorted(venue_keys(v)), "body": body(v)}
                for v in batch.venues.values()
            ]
            await connection.execute(PUT_VENUES, {"rows": as_rows(venues)})

    async def _write(
        self, connection: AsyncConnection, batch: "_Batch", listings: Sequence[Listing], concerts: Sequence[Concert]
    ) -> tuple[int, int]:
        """The difference between what is stored and what is now, in rows and in the outbox."""
        present = {concert.concert_id: concert for concert in concerts}
        of = {(m.listing_id, m.act): c.concert_id for c in concerts for m in c.members}
        ids = [listing.listing_id for listing in listings]
        was = {(r.listing_id, r.act): r.concert_id for r in await connection.execute(MEMBERS, {"ids": ids})}
        both = sorted({*present, *was.values()})
        stored = {
            r.concert_id: StoredConcert(r.live, r.rev, frozenset(r.held), Concert.model_validate_json(r.body))
            for r in await connection.execute(CONCERTS, {"ids": both})
        }
        rows, out = [], []
        for concert_id, concert in present.items():
            before = stored.get(concert_id)
            keys = frozenset(concert_keys(concert))
            if before is not None and before.live and before.keys == keys and same(before.concert, concert):
                continue
            concert = concert.model_copy(update={"rev": before.rev + 1 if before else 1})
            lost = before.keys - keys if before and before.live else frozenset()
            out.append(_with_lost_keys(follow(concert, batch.cause_of(concert), STAGE), lost))
            rows.append(
                {
                    "concert_id": concert_id,
                    "anchor_listing_id": concert.members[0].listing_id,
                    "anchor_act": concert.members[0].act,
                    "rev": concert.rev,
                    "night": concert.night,
                    "keys": sorted(keys),
                    "body": body(concert),
                }
            )
        ended = []
        for concert_id, before in stored.items():
            if before.live and concert_id not in present:
                ended.append({"concert_id": concert_id, "rev": before.rev + 1})
                cause = batch.cause_of(before.concert)
                end = tombstone(Concert, str(concert_id), trace=cause.trace, stage=STAGE, rev=before.rev + 1)
                out.append(_with_lost_keys(_from(end, cause), before.keys))
        if rows:
            await connection.execute(PUT_CONCERTS, {"rows": as_rows(rows)})
        if ended:
            await connection.execute(END_CONCERTS, {"rows": as_rows(ended)})
        gone = [{"listing_id": i, "act": act} for i, act in was if (i, act) not in of]
        if gone:
            await connection.execute(DROP_MEMBERS, {"rows": as_rows(gone)})
        moved = [{"listing_id": i, "act": act, "concert_id": c} for (i, act), c in of.items() if was.get((i, act)) != c]
        if moved:
            await connection.execute(PUT_MEMBERS, {"rows": as_rows(moved)})
        self._shown("written")
        await put_in_outbox(connection, out, self._shards)
        return len(rows), len(ended)


@dataclass(frozen=True)
class _Batch:
    listings: dict[UUID, tuple[Listing, Cause]]
    venues: dict[UUID, Venue]
    first: Cause | None
    day_off: frozenset[str]

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(key for listing, _ in self.listings.values() for key in block_keys(listing, self.day_off))

    def cause_of(self, concert: Concert) -> Cause:
        """Of the batch's listing among the members, else of the batch."""
        for member in concert.members:
            if member.listing_id in self.listings:
                return self.listings[member.listing_id][1]
        assert self.first is not None
        return self.first


@dataclass(frozen=True)
class _Block:
    """Listings that share keys with the batch, and all keys among them."""

    listings: dict[UUID, Stored]
    newer: frozenset[UUID]
    """Of the batch: at least as new as what is stored."""
    keys: frozenset[str]
    locks: dict[int, bool]
    """Advisory locks; True: held alone."""
    at_venues: frozenset[str]


async def _around(connection: AsyncConnection, batch: _Batch, keys: frozenset[str]) -> _Block:
    """Everything that hangs together with the batch, as far as it is committed now."""
    changed_venues = frozenset(VENUE_PREFIX + key for venue in batch.venues.values() for key in venue_keys(venue))
    if batch.venues:
        rows = await connection.execute(OLD_VENUES, {"ids": list(batch.venues)})
        changed_venues |= frozenset(VENUE_PREFIX + key for row in rows for key in row.held)
    known: dict[UUID, Stored] = {}
    ids, frontier = list(batch.listings), keys | changed_venues
    while ids or frontier:
        asked = {"ids": ids, "keys": sorted(frontier), "known": list(known)}
        for row in await connection.execute(LISTINGS, asked):
            known[row.listing_id] = Stored(row.version, frozenset(row.held), row.body)
        reached = frozenset(key for stored in known.values() for key in stored.keys if not _of_venue(key))
        ids, frontier = [], reached - keys
        keys |= reached
    newer = frozenset(i for i, (m, _) in batch.listings.items() if i in known and m.version >= known[i].version)
    at = frozenset(key for stored in known.values() for key in stored.keys if _of_venue(key))
    at |= frozenset(VENUE_PREFIX + key for m, _ in batch.listings.values() for key in listing_venue_keys(m))
    # The ids as well: two versions of one listing may have no key in common, and both be new here.
    own = frozenset(f"id:{i}" for i in (*batch.listings, *batch.venues))
    locks = {lock_number(key): False for key in at} | {lock_number(key): True for key in keys | changed_venues | own}
    return _Block(known, newer, keys, locks, at)


async def _lock(connection: AsyncConnection, block: _Block) -> None:
    """All locks in one order for everybody: no two can wait for each other."""
    locks = sorted(block.locks.items())
    await connection.execute(LOCKS, {"locks": [lock for lock, _ in locks], "alone": [alone for _, alone in locks]})


def same(one: Concert, other: Concert) -> bool:
    """Whether two concerts say the same, whatever their rev."""
    return canonical_without_rev(one) == canonical_without_rev(other)


def canonical_without_rev(concert: Concert) -> bytes:
    """What runs are compared by."""
    return canonical(concert.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"rev"}))


def _all_keys(listing: Listing, day_off: frozenset[str]) -> set[str]:
    return {*block_keys(listing, day_off), *(VENUE_PREFIX + key for key in listing_venue_keys(listing))}


def _of_venue(key: str) -> bool:
    return key.startswith(VENUE_PREFIX)


def _without_prefix(keys: Iterable[str]) -> list[str]:
    return sorted(key.removeprefix(VENUE_PREFIX) for key in keys)


def _from(record: Outgoing, cause: Cause) -> Outgoing:
    return Outgoing(
        record.topic, record.key, record.partition_by, record.value, record.headers | {"origin": str(cause.origin)}
    )


def _with_lost_keys(record: Outgoing, lost: Iterable[str]) -> Outgoing:
    keys = sorted(lost)
    if not keys:
        return record
    headers = record.headers | {HEADER_LOST_KEYS: canonical(keys).decode()}
    return Outgoing(record.topic, record.key, record.partition_by, record.value, headers)
