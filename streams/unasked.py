"""Companions and habits of the users that a batch concerns: what nobody asked, kept beside what answers entries.

They hang on a row of each user's own (`state.unasked`, one for companions and one for habits): its keys are what
concerts find them by, as they find entries, and it is the lock that decisions on them take, too. Each set is a function
of what is stored: the user's decisions, preferences and entries, what these claim, and the concerts. Whoever changes
one of these sees to it that this is asked anew: the concert side by the keys, which are committed before any concert is
read for them; match for every batch that has something of the user; the API by a rematch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.erasing import ledger
from deploy.outbox import put_in_outbox
from matchers.companions import MOST, companion_keys, companions
from matchers.decided import standing, when_decided
from matchers.habits import Profile, habit_keys, habit_profile, habits
from matchers.questions import names_of
from schemas import ids
from schemas.action import Action
from schemas.concert import Concert
from schemas.decision import Decision
from schemas.history import Entry
from schemas.outgoing import Outgoing
from schemas.suggestion import Nothing, Suggestions
from streams.record import Cause, follow, says_the_same
from streams.sql import BY_INDEX, as_rows, body
from streams.stage import Clock

STAGE = "match"
MOST_A_KEY = 2_000
"""Concerts that share a key: of one night and a few square miles, or of an artist in a town. Smallest ids first."""

CONCERNED = text(
    """
    select user_id from state.unasked where user_id = any(cast(:users as text[]))
    union select user_id from state.decisions where user_id = any(cast(:users as text[])) and action = 'confirmed'
    union select user_id from state.preferences where user_id = any(cast(:users as text[])) and habits
    order by 1
    """
)
PUT_HOOKS = text(
    """
    insert into state.unasked (user_id, entry_id, keys) select :user, unnest(cast(:names as text[])), '{}'
    on conflict do nothing
    """
)
LOCK_HOOKS = text("select entry_id, keys from state.unasked where user_id = :user order by entry_id for update")
PUT_KEYS = text("update state.unasked set keys = :keys, updated_at = now() where user_id = :user and entry_id = :name")
PREFERENCES = text("select companions, habits from state.preferences where user_id = :user")
DECISIONS = text("select cast(body as text) from state.decisions where user_id = :user order by seq")
ENTRIES = text("select cast(body as text) from state.entries where user_id = :user and body is not null")
CLAIMS = text("select distinct unnest(claims) from state.suggestions where user_id = :user")
DECIDED = text(
    """
    select cast(body as text) from state.concerts where live and (
        concert_id = any(cast(:ids as uuid[])) or concert_id in (
            select concert_id from state.concert_members where listing_id = any(cast(:told as uuid[]))))
    """
)
FOUND = text(
    """
    select cast(c.body as text) from (
        select distinct near.concert_id from unnest(cast(:keys as text[])) as asked (key)
        cross join lateral (
            select concert_id from state.concerts where live and keys @> array[asked.key]
            order by concert_id limit :most
        ) near
        union select unnest(cast(:billed as uuid[]))
    ) found
    join state.concerts c on c.concert_id = found.concert_id and c.live
    """
)
STORED = text(
    """
    select entry_id, rev, cast(body as text) as body from state.suggestions
    where user_id = :user and body->>'origin' in ('companion', 'habit')
    """
)
PUT = text(
    """
    insert into state.suggestions (user_id, entry_id, rev, suggestion_ids, confidence, body)
    select user_id, entry_id, rev, suggestion_ids, confidence, body from json_to_recordset(cast(:rows as json)) as r
        (user_id text, entry_id text, rev bigint, suggestion_ids uuid[], confidence double precision, body jsonb)
    on conflict (user_id, entry_id) do update set
        rev = excluded.rev, suggestion_ids = excluded.suggestion_ids, confidence = excluded.confidence,
        body = excluded.body, tx = default, updated_at = now()
    """
)


@dataclass(frozen=True)
class _Wishes:
    companions: bool
    habits: bool


async def keep_unasked(engine: AsyncEngine, shards: int, clock: Clock, causes: Mapping[tuple[str, str], Cause]) -> int:
    """Compute companions and habits of the users of this batch anew; how many sets changed.

    One statement for users who never confirmed anything and asked for no habits.
    """
    users = {user: cause for (user, _), cause in sorted(causes.items(), reverse=True)}
    async with engine.connect() as connection:
        concerned = list(await connection.scalars(CONCERNED, {"users": sorted(users)}))
    changed = 0
    for user in concerned:
        out: list[Outgoing] | None = None
        while out is None:
            async with engine.begin() as connection:
                out = await _keep(connection, user, users[user], shards, clock)
        changed += len(out)
    return changed


async def _keep(
    connection: AsyncConnection, user: str, cause: Cause, shards: int, clock: Clock
) -> list[Outgoing] | None:
    """One transaction; None when it only brought the keys up to date, and has to be begun anew."""
    if await ledger.erased_among(connection, {user}):
        return []
    await connection.execute(BY_INDEX)
    await connection.execute(PUT_HOOKS, {"user": user, "names": [ids.COMPANION, ids.HABIT]})
    held = {row.entry_id: set(row.keys) for row in await connection.execute(LOCK_HOOKS, {"user": user})}
    wishes = await _wishes(connection, user)
    decisions = [Decision.model_validate_json(one) for one in await connection.scalars(DECISIONS, {"user": user})]
    confirmed = await _confirmed(connection, decisions)
    shows = {one.concert_id: one for one in confirmed.values()}
    profile = await _profile(connection, user, confirmed) if wishes.habits else None
    keys = {
        ids.COMPANION: frozenset().union(*map(companion_keys, shows.values())) if wishes.companions else frozenset(),
        ids.HABIT: habit_keys(profile) if profile is not None else frozenset(),
    }
    stale = [name for name, now in keys.items() if now != held[name]]
    for name in stale:
        # Committed before any concert is read: one that comes meanwhile is seen here, or finds the user by these.
        await connection.execute(PUT_KEYS, {"user": user, "name": name, "keys": sorted(keys[name])})
    if stale:
        return None
    sets = await _sets(connection, user, wishes, decisions, shows, profile, keys)
    return await _store(connection, user, sets, cause, shards, clock)


async def _sets(
    connection: AsyncConnection,
    user: str,
    wishes: _Wishes,
    decisions: Sequence[Decision],
    shows: Mapping[UUID, Concert],
    profile: Profile | None,
    keys: Mapping[str, frozenset[str]],
) -> list[Suggestions]:
    already = set(await connection.scalars(CLAIMS, {"user": user}))
    # What was answered stays known when the question is switched off.
    answered = [one for one in decisions if ids.is_question(one.entry_id)]
    kept = await _decided_on(connection, answered)
    billed = {act.concert_id for show in shows.values() for act in show.bill}
    near = await _near(connection, keys[ids.COMPANION], billed if wishes.companions else ())
    found = companions(user, shows.values(), [*near, *kept], already, decisions, MOST if wishes.companions else 0)
    already |= {one.concert_id for made in found for one in made.suggestions}
    profile = profile or Profile(())
    there = await _near(connection, keys[ids.HABIT], ())
    return [*found, *habits(user, profile, [*there, *kept], already, decisions, asked=wishes.habits)]


async def _store(
    connection: AsyncConnection, user: str, sets: Iterable[Suggestions], cause: Cause, shards: int, clock: Clock
) -> list[Outgoing]:
    stored = {row.entry_id: row for row in await connection.execute(STORED, {"user": user})}
    made = {one.entry_id: one for one in sets}
    for entry_id, row in stored.items():
        if entry_id not in made:
            before = Suggestions.model_validate_json(row.body)
            made[entry_id] = Suggestions(
                user=user, entry_id=entry_id, origin=before.origin, reason=Nothing.ENTRY_DELETED
            )
    rows, out = [], []
    for entry_id, one in sorted(made.items()):
        rev = 0
        if entry_id in stored:
            before, rev = Suggestions.model_validate_json(stored[entry_id].body), stored[entry_id].rev
            if says_the_same(before, one):
                continue
        anew = one.model_copy(update={"rev": rev + 1, "made_at": clock()})
        out.append(follow(anew, cause, STAGE))
        rows.append(
            {
                "user_id": user,
                "entry_id": entry_id,
                "rev": anew.rev,
                "suggestion_ids": [each.suggestion_id for each in anew.suggestions],
                "confidence": anew.suggestions[0].confidence if anew.suggestions else 0.0,
                "body": body(anew),
            }
        )
    if rows:
        await connection.execute(PUT, {"rows": as_rows(rows)})
        await put_in_outbox(connection, out, shards)
    return out


async def _wishes(connection: AsyncConnection, user: str) -> _Wishes:
    row = (await connection.execute(PREFERENCES, {"user": user})).one_or_none()
    return _Wishes(True, False) if row is None else _Wishes(row.companions, row.habits)


async def _confirmed(connection: AsyncConnection, decisions: Sequence[Decision]) -> dict[str, Concert]:
    """Entry -> the concert that it was, as that is now."""
    by_entry: dict[str, list[Decision]] = {}
    for decision in sorted(decisions, key=when_decided):
        by_entry.setdefault(decision.entry_id, []).append(decision)
    said = {}
    for entry_id, made in by_entry.items():
        last = {one.concert_id: one for one in standing(made)}
        yes = [one for one in last.values() if one.action is Action.CONFIRMED]
        if yes:
            said[entry_id] = yes[-1]
    named = {name: one for one in await _decided_on(connection, said.values()) for name in names_of(one)}
    found = {}
    for entry_id, decision in said.items():
        for name in (decision.concert_id, *(ids.concert_id(one.listing_id, one.act) for one in decision.members)):
            if name in named:
                found[entry_id] = named[name]
                break
    return found


async def _decided_on(connection: AsyncConnection, decisions: Iterable[Decision]) -> list[Concert]:
    """The concerts of these decisions, and of whatever their listings belong to now."""
    decisions = list(decisions)
    told = {listing for one in decisions for listing in one.listing_ids}
    asked = {"ids": sorted({one.concert_id for one in decisions}), "told": sorted(told)}
    if not decisions:
        return []
    return [Concert.model_validate_json(one) for one in await connection.scalars(DECIDED, asked)]


async def _profile(connection: AsyncConnection, user: str, confirmed: Mapping[str, Concert]) -> Profile:
    entries = [Entry.model_validate_json(one) for one in await connection.scalars(ENTRIES, {"user": user})]
    return habit_profile(entries, confirmed)


async def _near(connection: AsyncConnection, keys: Iterable[str], billed: Iterable[UUID]) -> list[Concert]:
    asked = {"keys": sorted(keys), "billed": sorted(billed), "most": MOST_A_KEY}
    if not asked["keys"] and not asked["billed"]:
        return []
    return [Concert.model_validate_json(one) for one in await connection.scalars(FOUND, asked)]
