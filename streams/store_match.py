"""The memory of match: entries and their suggestions.

Entries are stored in one transaction; suggestions are computed in a second, under the locks of their entries' rows,
from what is there then. The concert side looks for entries only after a concert is committed, so no pair is missed:
either match sees the concert, or the concert side sees the entry.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.erasing import ledger
from deploy.outbox import put_in_outbox
from matchers.candidates import entry_keys
from matchers.catalogue import Catalogue, fewest_first
from matchers.match import Question, match_rows
from matchers.reference import entry_names
from matchers.settle import settle, shared
from matchers.wants import Want, wants
from matchers.weights import MOST_CANDIDATES, Tables, default_tables
from schemas.concert import Concert
from schemas.decision import Decision
from schemas.history import Entry
from schemas.suggestion import Nothing, Suggestions
from streams.record import Cause, follow, says_the_same
from streams.reference import known_names
from streams.sql import BY_INDEX, as_rows, body, take_locks
from streams.stage import Clock
from streams.unasked import keep_unasked
from streams.wanted import ask

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
READ_ENTRY = text("select cast(body as text) as body from state.entries where user_id = :user and entry_id = :entry")
ASKED = text(
    """
    select asked.key, array_agg(c.concert_id) as concerts from unnest(cast(:keys as text[])) as asked (key)
    cross join lateral (
        select concert_id from state.concerts where live and keys @> array[asked.key] limit :most + 1
    ) c
    group by asked.key
    """
)
"""Key by key: 10,000 keys against 3,600 concerts took 2.7 s as `keys && :keys`, 0.03 s as this join. A key that more
concerts share than are compared is of no use: it need not be read to its end."""
CONCERTS = text(
    """
    select c.concert_id, cast(c.body as text) as body, held.told
    from state.concerts c
    left join (
        select concert_id, array_agg(listing_id) as told from state.concert_members
        where listing_id = any(cast(:told as uuid[])) group by concert_id
    ) held using (concert_id)
    where c.live and (c.concert_id = any(cast(:ids as uuid[])) or held.told is not null)
    """
)
"""Also what the user decided on, wherever its facts moved since: by the listings of that time."""
PUT_KEYS = text(
    """
    update state.entries e set keys = r.keys
    from json_to_recordset(cast(:rows as json)) as r (user_id text, entry_id text, keys text[])
    where e.user_id = r.user_id and e.entry_id = r.entry_id
    """
)
DECISIONS = text(
    """
    select user_id, entry_id, cast(d.body as text) as body from state.decisions d
    join json_to_recordset(cast(:rows as json)) as r (user_id text, entry_id text) using (user_id, entry_id)
    order by d.seq
    """
)
SUGGESTIONS = text(
    """
    select user_id, entry_id, s.rev, s.claims, cast(s.body as text) as body, cast(s.alone as text) as alone
    from state.suggestions s
    join json_to_recordset(cast(:rows as json)) as r (user_id text, entry_id text) using (user_id, entry_id)
    """
)
RIVALS = text(
    """
    select user_id, entry_id, s.rev, s.claims, cast(s.body as text) as body, cast(s.alone as text) as alone
    from state.suggestions s
    where user_id = any(cast(:users as text[])) and claims && cast(:ids as uuid[])
    order by user_id, entry_id
    """
)
"""Sets of the same users that could propose the same concerts. A user has some hundred."""
PUT_SUGGESTIONS = text(
    """
    insert into state.suggestions (user_id, entry_id, rev, suggestion_ids, confidence, claims, alone, body)
    select user_id, entry_id, rev, suggestion_ids, confidence, claims, alone, body
    from json_to_recordset(cast(:rows as json)) as r
        (user_id text, entry_id text, rev bigint, suggestion_ids uuid[], confidence double precision, claims uuid[],
         alone jsonb, body jsonb)
    on conflict (user_id, entry_id) do update set
        rev = excluded.rev, suggestion_ids = excluded.suggestion_ids, confidence = excluded.confidence,
        claims = excluded.claims, alone = excluded.alone, body = excluded.body, tx = default, updated_at = now()
    """
)
ENTRIES_OF = text(
    """
    select user_id, entry_id, asked.key from unnest(cast(:keys as text[])) as asked (key)
    join state.entries e on e.keys @> array[asked.key]
    union all
    select user_id, entry_id, asked.key from unnest(cast(:keys as text[])) as asked (key)
    join state.unasked u on u.keys @> array[asked.key]
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
        self,
        engine: AsyncEngine,
        outbox_shards: int,
        clock: Clock,
        shown: Callable[[str], None] = lambda moment: None,
        tables: Tables | None = None,
    ) -> None:
        self._engine = engine
        self._tables = tables or default_tables()
        self._shards = outbox_shards
        self._clock = clock
        self._shown = shown
        """Told of moments between statements: tests stop there."""

    async def put(self, entries: Sequence[Entry], deleted: Iterable[Key] = (), after: Sequence[Entry] = ()) -> None:
        """Store the newest version of each entry, delete those to be deleted, store what was written after that.

        A version older than what is stored changes nothing. Nothing is written of users who were erased.
        """
        deleted = list(deleted)
        async with self._engine.begin() as connection:
            users = {user for user, _ in deleted} | {entry.user for entry in (*entries, *after)}
            if erased := await ledger.erased_among(connection, users):
                entries = [entry for entry in entries if entry.user not in erased]
                after = [entry for entry in after if entry.user not in erased]
                deleted = [at for at in deleted if at[0] not in erased]
            tables = await self._knowing(connection, (*entries, *after))
            if rows := _entry_rows(entries, tables):
                await connection.execute(PUT_ENTRIES, {"rows": as_rows(rows)})
            if gone := _rows(deleted):
                await connection.execute(DELETE_ENTRIES, {"rows": as_rows(gone)})
            if rows := _entry_rows(after, tables):
                await connection.execute(PUT_ENTRIES, {"rows": as_rows(rows)})

    async def match(self, causes: Mapping[Key, Cause]) -> Matched:
        """Compute the sets of these entries anew; store and publish those that differ.

        Unknown entries, and those of users who were erased, are left.
        """
        while causes:
            async with self._engine.begin() as connection:
                matched = await self._match(connection, causes)
            if matched is not None:
                await keep_unasked(self._engine, self._shards, self._clock, causes)
                return matched
        return Matched(0, 0)

    async def _match(self, connection: AsyncConnection, causes: Mapping[Key, Cause]) -> Matched | None:
        """One transaction; None when it only brought the entries' keys up to date, and has to be begun anew."""
        await connection.execute(BY_INDEX)
        if erased := await ledger.erased_among(connection, {user for user, _ in causes}):
            causes = {at: cause for at, cause in causes.items() if at[0] not in erased}
        # Sets of a user are settled side by side: this writes those of entries that it did not come for, and whose rows
        # it does not lock. History, decisions and rematches are read side by side, too.
        await take_locks(connection, (f"match {user}" for user, _ in causes))
        asked = {"rows": as_rows(_rows(causes))}
        entries = list(await connection.execute(LOCK_ENTRIES, asked))
        self._shown("locked")
        read = {(r.user_id, r.entry_id): Entry.model_validate_json(r.body) for r in entries if r.body is not None}
        tables = await self._knowing(connection, read.values())
        keys = {at: entry_keys(entry, tables) for at, entry in read.items()}
        # Names are learned and forgotten, other weights know others, another fold makes other keys.
        stale = [
            {"user_id": r.user_id, "entry_id": r.entry_id, "keys": sorted(now)}
            for r in entries
            if r.body is not None
            and (now := keys[r.user_id, r.entry_id] | entry_names(read[r.user_id, r.entry_id])) != set(r.held)
        ]
        if stale:
            # Committed before any concert is read: else one that comes meanwhile would neither be seen here, nor find
            # the entry by its new keys.
            await connection.execute(PUT_KEYS, {"rows": as_rows(stale)})
            return None
        proposed = await _propose(connection, asked, read, keys, tables)
        stored, alone = proposed.stored, proposed.alone
        asking: dict[Key, Sequence[Want]] = {}
        for row in entries:
            at = (row.user_id, row.entry_id)
            asking[at] = wants(proposed.questions[at], alone[at], proposed.catalogue, tables) if at in read else ()
            if row.body is None and at in stored:  # else nobody was ever shown anything
                alone[at] = Suggestions(user=at[0], entry_id=at[1], reason=Nothing.ENTRY_DELETED)
        rivals = await _rivals(connection, alone, stored)
        changed = _changed(alone, stored, rivals)
        rows, out = [], []
        for at, found in changed.items():
            before = stored.get(at) or rivals.get(at)
            cause = causes.get(at) or causes[min(key for key in causes if key[0] == at[0])]
            raw = alone[at] if at in alone else rivals[at].alone
            if before is None or not says_the_same(before.body, found):
                rev = before.rev if before is not None else 0
                found = found.model_copy(update={"rev": rev + 1, "made_at": self._clock()})
                out.append(follow(found, cause, STAGE))
            else:  # it reads as before; what it says for itself does not
                found = found.model_copy(update={"rev": before.rev, "made_at": before.body.made_at})
            rows.append(_row(found, raw))
        if rows:
            await connection.execute(PUT_SUGGESTIONS, {"rows": as_rows(rows)})
        wanted = await ask(connection, asking)
        self._shown("written")
        await put_in_outbox(connection, [*out, *wanted], self._shards)
        return Matched(len(entries), len(out))

    async def again(self, at: Key) -> "Again | None":
        """What the entry's set would be if it were computed now, beside the one that is stored; None without one.

        From one snapshot, by what a batch goes by. Nothing is locked or written.
        """
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            asked = {"rows": as_rows(_rows([at]))}
            row = (await connection.execute(READ_ENTRY, {"user": at[0], "entry": at[1]})).first()
            if row is None:
                return None
            read = {} if row.body is None else {at: Entry.model_validate_json(row.body)}
            tables = await self._knowing(connection, read.values())
            keys = {key: entry_keys(entry, tables) for key, entry in read.items()}
            await connection.execute(BY_INDEX)
            proposed = await _propose(connection, asked, read, keys, tables)
            if at not in proposed.stored:
                return None
            if not read:
                proposed.alone[at] = Suggestions(user=at[0], entry_id=at[1], reason=Nothing.ENTRY_DELETED)
            rivals = await _rivals(connection, proposed.alone, proposed.stored)
        stored = proposed.stored[at]
        anew = _settled(proposed.alone, rivals)[at]
        rows = proposed.questions[at].rows if read else ()
        return Again(
            read.get(at),
            stored.body,
            anew,
            says_the_same(stored.body, anew),
            tuple(proposed.catalogue.concerts[int(number)] for number in rows),
            tuple(proposed.decisions[at]),
            tables.version,
        )

    async def _knowing(self, connection: AsyncConnection, entries: Iterable[Entry]) -> Tables:
        """The weights, and what the artists and venues of these entries are called as far as is known now."""
        names = await known_names(connection, frozenset().union(*(entry_names(entry) for entry in entries)))
        return self._tables.knowing(names)

    async def erased(self, users: Iterable[str]) -> frozenset[str]:
        """Those of the users that were erased until now."""
        async with self._engine.connect() as connection:
            return await ledger.erased_among(connection, users)

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


@dataclass(frozen=True)
class Again:
    """A set as it is stored, and as it comes out now."""

    entry: Entry | None
    """None: deleted."""
    stored: Suggestions
    anew: Suggestions
    same: bool
    """Whatever their rev and the time they were made."""
    candidates: tuple[Concert, ...]
    decisions: tuple[Decision, ...]
    """Of this entry, first one first."""
    weights: str
    """Version that it was computed with now."""


@dataclass(frozen=True)
class _Proposed:
    """The sets of some entries, each for itself, and what they were computed from."""

    catalogue: Catalogue
    questions: dict[Key, Question]
    decisions: Mapping[Key, Sequence[Decision]]
    stored: dict[Key, "_Stored"]
    alone: dict[Key, Suggestions]


async def _propose(
    connection: AsyncConnection,
    asked: Mapping[str, str],
    read: Mapping[Key, Entry],
    keys: Mapping[Key, frozenset[str]],
    tables: Tables,
) -> _Proposed:
    """Candidates and decisions of these entries, and the sets that follow. `asked`: all keys, as rows."""
    decisions: dict[Key, list[Decision]] = defaultdict(list)
    for row in await connection.execute(DECISIONS, asked):
        decisions[row.user_id, row.entry_id].append(Decision.model_validate_json(row.body))
    told = {i for made in decisions.values() for decision in made for i in decision.listing_ids}
    known = await _candidates(connection, set().union(*keys.values()), told)
    stored = {(row.user_id, row.entry_id): _Stored.of(row) for row in await connection.execute(SUGGESTIONS, asked)}
    questions = {at: known.question(entry, keys[at], decisions[at]) for at, entry in read.items()}
    alone = dict(zip(questions, match_rows([*questions.values()], known.catalogue, tables), strict=True))
    return _Proposed(known.catalogue, questions, decisions, stored, alone)


@dataclass(frozen=True)
class _Candidates:
    """The concerts of a batch of entries, read once, and what finds them."""

    catalogue: Catalogue
    by_key: Mapping[str, Sequence[int]]
    by_listing: Mapping[UUID, Sequence[int]]

    def question(self, entry: Entry, keys: Iterable[str], decisions: Sequence[Decision]) -> Question:
        """The entry with the rows it is compared with: by its keys, and by what was decided on."""
        rows, left = fewest_first({key: self.by_key[key] for key in keys if key in self.by_key}, MOST_CANDIDATES)
        told = {listing for decision in decisions for listing in decision.listing_ids}
        rows |= {row for listing in told for row in self.by_listing.get(listing, ())}
        return Question(entry, np.array(sorted(rows), dtype=np.int64), left, decisions)


async def _candidates(connection: AsyncConnection, keys: set[str], told: set[UUID]) -> _Candidates:
    """Live concerts by the keys, and by the listings, that entries find them by."""
    asked: dict[str, list[UUID]] = {}
    if keys:
        rows = await connection.execute(ASKED, {"keys": sorted(keys), "most": MOST_CANDIDATES})
        asked = {row.key: row.concerts for row in rows}
    # What is shared by too many is looked at for nobody: its concerts need no reading.
    ids = {one for found in asked.values() if len(found) <= MOST_CANDIDATES for one in found}
    place: dict[UUID, int] = {}
    by_listing: dict[UUID, list[int]] = defaultdict(list)
    concerts: list[Concert] = []
    if ids or told:
        for row in await connection.execute(CONCERTS, {"ids": sorted(ids), "told": sorted(told)}):
            place[row.concert_id] = len(concerts)
            concerts.append(Concert.model_validate_json(row.body))
            for listing in row.told or ():
                by_listing[listing].append(place[row.concert_id])
    return _Candidates(
        Catalogue(concerts),
        {
            key: [place[one] for one in found if one in place] if len(found) <= MOST_CANDIDATES else range(len(found))
            for key, found in asked.items()
        },
        by_listing,
    )


@dataclass(frozen=True)
class _Stored:
    """A set as it was written."""

    rev: int
    body: Suggestions
    alone: Suggestions
    """Before it was settled beside the user's others."""
    claims: frozenset[UUID]

    @classmethod
    def of(cls, row: Any) -> "_Stored":
        """From a row of SUGGESTIONS or RIVALS."""
        shown = Suggestions.model_validate_json(row.body)
        alone = shown if row.alone is None else Suggestions.model_validate_json(row.alone)
        return cls(row.rev, shown, alone, frozenset(row.claims))


async def _rivals(
    connection: AsyncConnection, alone: Mapping[Key, Suggestions], stored: Mapping[Key, _Stored]
) -> dict[Key, _Stored]:
    """What else the same users could be shown of the same concerts, and, one step on, of what these propose.

    A set is settled by what the others say for themselves, which does not change here: two steps are all.
    """
    users = sorted({user for user, _ in alone})
    found: dict[Key, _Stored] = {}
    ids = shared(alone.values()).union(*(one.claims for one in stored.values()))
    asked: set[UUID] = set()
    for _ in range(2):
        if not ids - asked:
            break
        for row in await connection.execute(RIVALS, {"users": users, "ids": sorted(ids - asked)}):
            if (row.user_id, row.entry_id) not in alone:
                found[row.user_id, row.entry_id] = _Stored.of(row)
        asked |= ids
        ids = ids.union(*(one.claims for one in found.values()))
    return found


def _changed(
    alone: Mapping[Key, Suggestions], stored: Mapping[Key, _Stored], rivals: Mapping[Key, _Stored]
) -> dict[Key, Suggestions]:
    """The sets to write: those computed anew, and rivals that read otherwise beside them."""
    touched = shared(alone.values()).union(*(stored[at].claims for at in alone if at in stored))
    settled = _settled(alone, rivals)
    found = {}
    for at in sorted(settled):
        before = stored.get(at) if at in alone else rivals[at]
        if at not in alone and not touched & rivals[at].claims:
            continue
        same = before is not None and says_the_same(before.body, settled[at])
        if not same or (at in alone and before is not None and not says_the_same(before.alone, alone[at])):
            found[at] = settled[at]
    return found


def _settled(alone: Mapping[Key, Suggestions], rivals: Mapping[Key, _Stored]) -> dict[Key, Suggestions]:
    everything = {**{at: one.alone for at, one in rivals.items()}, **alone}
    return dict(zip(everything, settle([*everything.values()]), strict=True))


def _entry_rows(entries: Iterable[Entry], tables: Tables) -> list[dict[str, object]]:
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
            "keys": sorted(entry_keys(entry, tables) | entry_names(entry)),
            "body": body(entry),
        }
        for _, entry in sorted(newest.items())
    ]


def _rows(keys: Iterable[Key]) -> list[dict[str, str]]:
    return [{"user_id": user, "entry_id": entry} for user, entry in sorted(set(keys))]


def _row(found: Suggestions, alone: Suggestions) -> dict[str, object]:
    return {
        "user_id": found.user,
        "entry_id": found.entry_id,
        "rev": found.rev,
        "suggestion_ids": [one.suggestion_id for one in found.suggestions],
        "confidence": found.suggestions[0].confidence if found.suggestions else 0.0,
        "claims": [one.concert_id for one in alone.suggestions],
        "alone": None if alone.suggestions == found.suggestions else body(alone),
        "body": body(found),
    }
