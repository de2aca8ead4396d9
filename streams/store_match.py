"""The memory of match: entries and their suggestions.

Entries are stored in one transaction; suggestions are computed in a second, under the locks of their entries' rows,
from what is there then. The concert side looks for entries only after a concert is committed, so no pair is missed:
either match sees the concert, or the concert side sees the entry.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from matchers.candidates import entry_keys
from matchers.match import match, wanted
from schemas.concert import Concert
from schemas.decision import Decision
from schemas.history import Entry
from schemas.suggestion import Nothing, Suggestions
from streams.record import Cause, follow
from streams.sql import BY_INDEX, as_rows, body, put_in_outbox
from streams.stage import Clock

STAGE = "match"
Key = tuple[str, str]
"""user, entry"""

PUT_ENTRIES = text(
    """
    insert into state.entries (user_id, entry_id, version, origin, keys, body)
    select user_id, entry_id, version, cast(origin as state.entry_origin), keys, body
    from json_to_recordset(cast(:rows as json)) as r
        (user_id text, entry_id text, version bigint, origin text, keys text[], body jsonb)
    order by user_id, entry_id
    on conflict (user_id, entry_id) do update set
        version = excluded.version, origin = excluded.origin, keys = excluded.keys, body = excluded.body,
        updated_at = now()
    where entries.version < excluded.version or (entries.version = excluded.version and entries.body is not null)
    """
)
"""A deleted entry comes back only with a newer version: a repeat from before the deletion changes nothing."""
DELETE_ENTRIES = text(
    """
    insert into state.entries (user_id, entry_id, version, origin, keys, body)
    select user_id, entry_id, 0, 'feed', '{}', null
    from json_to_recordset(cast(:rows as json)) as r (user_id text, entry_id text)
    order by user_id, entry_id
    on conflict (user_id, entry_id) do update set keys = '{}', body = null, updated_at = now()
    """
)
LOCK_ENTRIES = text(
    """
    select user_id, entry_id, e.keys as held, cast(e.body as text) as body from state.entries e
    join json_to_recordset(cast(:rows as json)) as r (user_id text, entry_id text) using (user_id, entry_id)
    order by user_id, entry_id for update of e
    """
)
CANDIDATES = text(
    """
    select keys as held, cast(body as text) as body from state.concerts
    where live and concert_id = any(array(
        select c.concert_id from unnest(cast(:keys as text[])) as asked (key)
        join state.concerts c on c.live and c.keys @> array[asked.key]
        union
        select concert_id from state.concert_members where listing_id = any(cast(:told as uuid[]))
    ))
    """
)
"""By keys, key by key: 10,000 keys against 3,600 concerts took 2.7 s as `keys && :keys`, 0.03 s as this join. Also what
the user decided on, wherever its facts moved since: by the listings of that time."""
DECISIONS = text(
    """
    select user_id, entry_id, cast(d.body as text) as body from state.decisions d
    join json_to_recordset(cast(:rows as json)) as r (user_id text, entry_id text) using (user_id, entry_id)
    order by d.seq
    """
)
SUGGESTIONS = text(
    """
    select user_id, entry_id, s.rev, cast(s.body as text) as body from state.suggestions s
    join json_to_recordset(cast(:rows as json)) as r (user_id text, entry_id text) using (user_id, entry_id)
    """
)
PUT_SUGGESTIONS = text(
    """
    insert into state.suggestions (user_id, entry_id, rev, suggestion_ids, confidence, body)
    select user_id, entry_id, rev, suggestion_ids, confidence, body
    from json_to_recordset(cast(:rows as json)) as r
        (user_id text, entry_id text, rev bigint, suggestion_ids uuid[], confidence double precision, body jsonb)
    on conflict (user_id, entry_id) do update set
        rev = excluded.rev, suggestion_ids = excluded.suggestion_ids, confidence = excluded.confidence,
        body = excluded.body, updated_at = now()
    """
)
ENTRIES_OF = text(
    """
    select user_id, entry_id, asked.key from unnest(cast(:keys as text[])) as asked (key)
    join state.entries e on e.keys @> array[asked.key]
    """
)
DECIDED_ON = text(
    "select distinct user_id, entry_id, concert_id from state.decisions where concert_id = any(cast(:ids as uuid[]))"
)


@dataclass(frozen=True)
class Matched:
    """What a batch did."""

    entries: int
    changed: int


class MatchStore:
    """Entries in, suggestions out. Each method is one transaction."""

    def __init__(
        self, engine: AsyncEngine, outbox_shards: int, clock: Clock, shown: Callable[[str], None] = lambda moment: None
    ) -> None:
        self._engine = engine
        self._shards = outbox_shards
        self._clock = clock
        self._shown = shown
        """Told of moments between statements: tests stop there."""

    async def put(self, entries: Sequence[Entry], deleted: Iterable[Key] = (), after: Sequence[Entry] = ()) -> None:
        """Store the newest version of each entry, delete those to be deleted, store what was written after that.

        A version older than what is stored changes nothing.
        """
        async with self._engine.begin() as connection:
            if rows := _entry_rows(entries):
                await connection.execute(PUT_ENTRIES, {"rows": as_rows(rows)})
            if gone := _rows(deleted):
                await connection.execute(DELETE_ENTRIES, {"rows": as_rows(gone)})
            if rows := _entry_rows(after):
                await connection.execute(PUT_ENTRIES, {"rows": as_rows(rows)})

    async def match(self, causes: Mapping[Key, Cause]) -> Matched:
        """Compute the sets of these entries anew; store and publish those that differ. Unknown entries are left."""
        if not causes:
            return Matched(0, 0)
        async with self._engine.begin() as connection:
            await connection.execute(BY_INDEX)
            asked = {"rows": as_rows(_rows(causes))}
            entries = list(await connection.execute(LOCK_ENTRIES, asked))
            self._shown("locked")
            decisions: dict[Key, list[Decision]] = defaultdict(list)
            for row in await connection.execute(DECISIONS, asked):
                decisions[row.user_id, row.entry_id].append(Decision.model_validate_json(row.body))
            told = {i for made in decisions.values() for decision in made for i in decision.listing_ids}
            concerts = await _candidates(connection, {key for row in entries for key in row.held}, told)
            stored = {
                (row.user_id, row.entry_id): (row.rev, Suggestions.model_validate_json(row.body))
                for row in await connection.execute(SUGGESTIONS, asked)
            }
            rows, out, asking = [], [], {}
            for row in entries:
                at = (row.user_id, row.entry_id)
                rev, before = stored.get(at, (0, None))
                if row.body is None:
                    if before is None:
                        continue  # nobody was ever shown anything
                    found, want = Suggestions(user=at[0], entry_id=at[1], reason=Nothing.ENTRY_DELETED), None
                else:
                    entry = Entry.model_validate_json(row.body)
                    ways: list[str | UUID] = [*row.held, *(i for made in decisions[at] for i in made.listing_ids)]
                    near = {c.concert_id: c for way in ways for c in concerts.get(way, ())}
                    found = match(entry, [near[i] for i in sorted(near)], decisions[at])
                    want = wanted(entry, found)
                if before is not None and _same(before, found):
                    continue
                found = found.model_copy(update={"rev": rev + 1, "made_at": self._clock()})
                rows.append(_row(found))
                out.append(follow(found, causes[at], STAGE))
                if want is not None:
                    asking[want.key] = follow(want, causes[at], STAGE)
            if rows:
                await connection.execute(PUT_SUGGESTIONS, {"rows": as_rows(rows)})
            self._shown("written")
            await put_in_outbox(connection, [*out, *asking.values()], self._shards)
        return Matched(len(entries), len(rows))

    async def entries_of(self, keys: Iterable[str], concerts: Iterable[UUID]) -> list[tuple[Key, set[str | UUID]]]:
        """Entries that share one of these keys, or whose user decided on one of these concerts; and which."""
        keys, concerts = set(keys), set(concerts)
        found: dict[Key, set[str | UUID]] = defaultdict(set)
        async with self._engine.connect() as connection:
            await connection.execute(BY_INDEX)
            for row in await connection.execute(ENTRIES_OF, {"keys": sorted(keys)}):
                found[row.user_id, row.entry_id].add(row.key)
            for row in await connection.execute(DECIDED_ON, {"ids": sorted(concerts)}):
                found[row.user_id, row.entry_id].add(row.concert_id)
        return sorted(found.items())


async def _candidates(connection: AsyncConnection, keys: set[str], told: set[UUID]) -> dict[str | UUID, list[Concert]]:
    """Live concerts by the keys, and by the listings, that entries find them by."""
    found: dict[str | UUID, list[Concert]] = defaultdict(list)
    if keys or told:
        for row in await connection.execute(CANDIDATES, {"keys": sorted(keys), "told": sorted(told)}):
            concert = Concert.model_validate_json(row.body)
            for way in (*keys.intersection(row.held), *told.intersection(m.listing_id for m in concert.members)):
                found[way].append(concert)  # type: ignore[index]
    return found


def _same(one: Suggestions, other: Suggestions) -> bool:
    """Whether two sets say the same, whenever they were made."""
    neutral = {"rev": 0, "made_at": None}
    return one.model_copy(update=neutral).to_bytes() == other.model_copy(update=neutral).to_bytes()


def _entry_rows(entries: Iterable[Entry]) -> list[dict[str, object]]:
    newest: dict[Key, Entry] = {}
    for entry in entries:
        at = (entry.user, entry.entry_id)
        if at not in newest or newest[at].version <= entry.version:
            newest[at] = entry
    return [
        {
            "user_id": entry.user,
            "entry_id": entry.entry_id,
            "version": entry.version,
            "origin": entry.origin,
            "keys": sorted(entry_keys(entry)),
            "body": body(entry),
        }
        for _, entry in sorted(newest.items())
    ]


def _rows(keys: Iterable[Key]) -> list[dict[str, str]]:
    return [{"user_id": user, "entry_id": entry} for user, entry in sorted(set(keys))]


def _row(found: Suggestions) -> dict[str, object]:
    return {
        "user_id": found.user,
        "entry_id": found.entry_id,
        "rev": found.rev,
        "suggestion_ids": [one.suggestion_id for one in found.suggestions],
        "confidence": found.suggestions[0].confidence if found.suggestions else 0.0,
        "body": body(found),
    }
