"""What the user says of a suggestion, kept once: decision and message in one transaction, under the entry's lock.

match takes the same lock, so that it computes before a decision or after it, never across. Companions and habits have
no entry of their own: the lock is that of the row they all hang on (`schemas.ids.COMPANION`, `HABIT`). What has no row
yet, because match has not stored it, is locked by its name.

Errors
    NotFoundError    no such suggestion of this user, or no such night
    ConflictError    decided otherwise; details are the decision in force
    InvalidError     a night or an act that is not told clearly
    UnauthorizedError    the user was erased
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
from sqlalchemy import Uuid, cast, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.audit import record_decisions
from api.calls import Call, write_once
from api.entries import read_decisions
from api.errors import ConflictError, Detail, InvalidError, NotFoundError
from api.verdicts import Night, Target, Wish, conflict, last_of, the_confirmed, the_night, to_undo, verdict
from schemas import ids
from schemas.concert import Concert, Facts, Member
from schemas.decision import Action, Decision
from schemas.outgoing import outbox_values, outgoing
from schemas.suggestion import Origin, Suggestion, Suggestions
from schemas.tables import DecisionRow, OutboxRow, SuggestionsRow

STAGE = "api"
TICK = timedelta(milliseconds=1)
NEAR_DAYS = 31
"""As far as a night counts as a neighbour: a residency, or the same tour coming back."""

LOCK_UNASKED = text(
    """
    select entry_id from state.unasked where user_id = :user and entry_id = any(:entries) order by entry_id for update
    """
)
LOCK = text(
    """
    select entry_id from state.entries where user_id = :user and entry_id = any(:entries) order by entry_id for update
    """
)
LOCK_NAMES = text(
    """
    select pg_advisory_xact_lock(hashtextextended(:user || '/' || name, 0))
    from (select unnest(cast(:names as text[])) as name order by 1) names
    """
)
LAST = text(
    """
    select distinct on (entry_id) entry_id, action, decided_at from state.decisions
    where user_id = :user and entry_id = any(:entries) order by entry_id, seq desc
    """
)
AROUND = text(
    """
    select c.body from catalogue.concerts c
    join catalogue.concerts shown on shown.concert_id = :concert and shown.artist_key = c.artist_key
    where not c.gone and c.status <> 'cancelled' and c.concert_id <> :concert
        and c.night between shown.night - :days and shown.night + :days
    order by c.night, c.concert_id
    """
)


@dataclass(frozen=True)
class Shown:
    """What is decided on: the entry, and a concert as the user saw it."""

    found: Suggestions
    suggestion: Suggestion | None
    """As match has it now; None where it was decided before and is there no more."""
    facts: Facts
    concert_id: UUID


async def decide(engine: AsyncEngine, wish: Wish, shards: int) -> Decision:
    """The decision, new or as it was made before: a repeat changes nothing and gets the same answer.

    Of another night: the confirmation of the night that it was.
    """

    async def write(connection: AsyncConnection) -> Decision:
        return await decide_in(connection, wish, shards)

    asked = [wish.action, wish.suggestion_id, wish.written, _told(wish.target), wish.act]
    call = Call(wish.user, wish.idempotency_key, [None if one is None else str(one) for one in asked])
    return await write_once(engine, call, Decision, write)


async def decide_in(connection: AsyncConnection, wish: Wish, shards: int) -> Decision:
    """The same in a transaction of the caller's."""
    entry_id = await _entry_of(connection, wish)
    locked = [entry_id]
    if wish.action is Action.NOT_SEEN and wish.act is not None:
        # Both at once, so that all take them in the same order: an act that was not seen is kept under its own entry.
        locked.append(ids.companion_entry_id(wish.act, wish.act))
    await lock(connection, wish.user, locked)
    in_force = (await read_decisions(connection, wish.user, [entry_id]))[entry_id]
    if wish.action is Action.UNDONE:
        return await _undo(connection, wish, in_force, shards)
    if wish.action is Action.NOT_SEEN:
        return await _not_seen(connection, wish, entry_id, in_force, shards)
    found = await _set(connection, wish.user, entry_id)
    shown = next((one for one in found.suggestions if one.suggestion_id == wish.suggestion_id), None)
    standing = verdict(wish, in_force, shown)
    if standing is not None:
        return standing
    if wish.action is Action.OTHER_NIGHT:
        return await _move(connection, wish, found, in_force, shards)
    if shown is None:
        raise _unknown(wish)
    decision = decision_of(wish, found, shown)
    (kept,) = await keep(connection, [decision], wish, shards)
    return kept


async def lock(connection: AsyncConnection, user: str, entry_ids: Iterable[str]) -> None:
    """Hold these entries until the transaction ends, in one order everywhere."""
    entry_ids = set(entry_ids)
    hooks = sorted({hook for one in entry_ids if (hook := ids.hook_of(one)) is not None})
    entries = sorted(one for one in entry_ids if ids.hook_of(one) is None)
    there = set(await connection.scalars(LOCK, {"user": user, "entries": entries})) if entries else set()
    if hooks:
        there |= set(await connection.scalars(LOCK_UNASKED, {"user": user, "entries": hooks}))
    missing = [name for name in (*entries, *hooks) if name not in there]
    if missing:
        await connection.execute(LOCK_NAMES, {"user": user, "names": missing})


def decision_of(wish: Wish, found: Suggestions, suggestion: Suggestion, **more: Any) -> Decision:
    """A decision on what was shown."""
    told: dict[str, Any] = {
        "decision_id": uuid4(),
        "user": wish.user,
        "entry_id": found.entry_id,
        "entry": found.entry,
        "suggestion_id": suggestion.suggestion_id,
        "concert_id": suggestion.concert_id,
        "action": wish.action,
        "decided_at": wish.at,
        "listing_ids": tuple(member.listing_id for member in suggestion.members),
        "signature": suggestion.signature,
        "concert": suggestion.concert,
        "members": suggestion.members,
        "confidence": suggestion.confidence,
        "band": suggestion.band,
        "why": suggestion.why,
        "until": wish.until,
    }
    return Decision(**(told | more))


async def keep(connection: AsyncConnection, made: Sequence[Decision], wish: Wish, shards: int) -> list[Decision]:
    """Decisions into their table and the outbox, in this order; as they were kept. Call it under their locks."""
    entries = sorted({one.entry_id for one in made})
    before: dict[str, Any] = {
        row.entry_id: (row.action, row.decided_at)
        for row in await connection.execute(LAST, {"user": wish.user, "entries": entries})
    }
    kept, rows, messages = [], [], []
    for decision in made:
        action, at = before.get(decision.entry_id, (None, None))
        if at is not None and decision.decided_at <= at:
            # Stores take the latest instant for the last word: a clock that stepped back brings no old one back.
            decision = decision.model_copy(update={"decided_at": at + TICK})
        before[decision.entry_id] = (decision.action, decision.decided_at)
        record = outgoing(decision, trace=wish.trace, stage=STAGE)
        kept.append(decision)
        messages.append(outbox_values(record, shards))
        rows.append(
            {
                "decision_id": decision.decision_id,
                "user_id": decision.user,
                "entry_id": decision.entry_id,
                "suggestion_id": decision.suggestion_id,
                "concert_id": decision.concert_id,
                "before": action and Action(action),
                "action": decision.action,
                "decided_at": decision.decided_at,
                "together": decision.together,
                "device": wish.device,
                "body": orjson.loads(record.value or b"null"),
            }
        )
    if rows:
        await connection.execute(insert(DecisionRow), rows)
        await connection.execute(insert(OutboxRow), messages)
        await record_decisions(connection, [one.decision_id for one in kept], wish.trace)
    return kept


async def nights_around(connection: AsyncConnection, wish: Wish) -> list[Night]:
    """Where an entry can be moved to: its alternatives, and what the artist played within a month. NotFoundError."""
    user = wish.user
    entry_id = await _entry_of(connection, wish)
    found = await _set(connection, user, entry_id)
    in_force = (await read_decisions(connection, user, [entry_id]))[entry_id]
    return await _nights(connection, found, _shown(wish, found, in_force))


# -- what a wish comes to ---------------------------------------------------------------------------------------------


async def _undo(connection: AsyncConnection, wish: Wish, in_force: Sequence[Decision], shards: int) -> Decision:
    undone = to_undo(wish, in_force)
    if not undone:
        return await _undone_before(connection, wish)
    made = [undoing(one, wish) for one in undone]
    together = undone[0].together
    if together is not None and len(undone) > 1:
        made += await _again(connection, wish, together)
    kept = await keep(connection, made, wish, shards)
    return next(one for one in kept if one.suggestion_id == wish.suggestion_id)


def undoing(undone: Decision, wish: Wish) -> Decision:
    """The decision that takes one back."""
    changed = {
        "decision_id": uuid4(),
        "action": Action.UNDONE,
        "decided_at": wish.at,
        "undoes": undone.decision_id,
        "together": None,
    }
    return undone.model_copy(update=changed)


async def _again(connection: AsyncConnection, wish: Wish, together: UUID) -> list[Decision]:
    """What a move took back, said again: whoever reads only the last word on the entry reads the right one."""
    undone = select(cast(DecisionRow.body["undoes"].astext, Uuid)).where(
        DecisionRow.user_id == wish.user, DecisionRow.together == together, DecisionRow.action == Action.UNDONE
    )
    said = select(DecisionRow.body).where(DecisionRow.user_id == wish.user, DecisionRow.decision_id.in_(undone))
    changed = {"decided_at": wish.at, "undoes": None}
    return [
        Decision.model_validate(body).model_copy(update=changed | {"decision_id": uuid4()})
        for body in await connection.scalars(said.order_by(DecisionRow.seq))
    ]


async def _undone_before(connection: AsyncConnection, wish: Wish) -> Decision:
    """The answer to a repeated undo; ConflictError where nothing was ever decided."""
    body = await connection.scalar(
        select(DecisionRow.body)
        .where(DecisionRow.user_id == wish.user, DecisionRow.suggestion_id == wish.suggestion_id)
        .order_by(DecisionRow.seq.desc())
        .limit(1)
    )
    if body is None:
        raise ConflictError("There is nothing to undo.", [Detail(field="decision", message="none")])
    return Decision.model_validate(body)


async def _move(
    connection: AsyncConnection, wish: Wish, found: Suggestions, in_force: Sequence[Decision], shards: int
) -> Decision:
    assert wish.target is not None
    shown = _shown(wish, found, in_force)
    nights = await _nights(connection, found, shown)
    meant = the_night(wish.target, shown.facts, nights)
    if len(meant) != 1:
        raise _not_one(meant, nights)
    (night,) = meant
    together = uuid4()
    mine = last_of(in_force, wish.suggestion_id)
    taken = last_of(in_force, ids.suggestion_id(wish.user, found.entry_id, night.concert_id))
    made = [
        # What was refused before is it after all; the confirmation of the night that it was not goes with the move.
        undoing(one, wish).model_copy(update={"together": together})
        for one in (taken, mine)
        if one is not None and one.action is not Action.SNOOZED
    ]
    made.append(_on(wish, found, shown, Action.OTHER_NIGHT, together))
    suggestion = next((one for one in found.suggestions if one.concert_id == night.concert_id), None)
    there = Shown(found, suggestion, night.facts, night.concert_id)
    made.append(_on(wish, found, there, Action.CONFIRMED, together, night.members))
    return (await keep(connection, made, wish, shards))[-1]


def _on(
    wish: Wish,
    found: Suggestions,
    shown: Shown,
    action: Action,
    together: UUID | None = None,
    members: tuple[Member, ...] = (),
) -> Decision:
    """A decision on a suggestion that is there, or on a concert that is none."""
    if shown.suggestion is not None:
        return decision_of(wish, found, shown.suggestion, action=action, together=together)
    return Decision(
        decision_id=uuid4(),
        user=wish.user,
        entry_id=found.entry_id,
        entry=found.entry,
        suggestion_id=ids.suggestion_id(wish.user, found.entry_id, shown.concert_id),
        concert_id=shown.concert_id,
        action=action,
        decided_at=wish.at,
        listing_ids=tuple(member.listing_id for member in members),
        concert=shown.facts,
        members=members,
        together=together,
    )


async def _nights(connection: AsyncConnection, found: Suggestions, shown: Shown) -> list[Night]:
    nights = {
        one.concert_id: Night(one.concert_id, one.concert, one.members)
        for one in found.suggestions
        if one.concert_id != shown.concert_id
    }
    for body in await connection.scalars(AROUND, {"concert": shown.concert_id, "days": NEAR_DAYS}):
        concert = Concert.model_validate(body)
        nights.setdefault(concert.concert_id, Night(concert.concert_id, concert.facts, concert.members))
    return sorted(nights.values(), key=lambda night: (night.facts.night, night.concert_id))


def _not_one(meant: Sequence[Night], nights: Sequence[Night]) -> NotFoundError | InvalidError:
    if meant:
        listed = ", ".join(f"{one.concert_id} ({_where(one)})" for one in meant)
        return InvalidError(
            "The request is not valid.",
            [Detail(field="concert_id", message=f"several shows are of that night; name one of {listed}")],
        )
    known = "; ".join(f"{one.facts.night} {_where(one)}" for one in nights[:10]) or "none"
    return NotFoundError(
        "concert",
        f"No show of that artist is known on that night. Known within {NEAR_DAYS} days: {known}. "
        "Remedy: take one of these, or write the show into the journal with POST /v1/journal.",
    )


def _where(night: Night) -> str:
    place = night.facts.place
    return ", ".join(part for part in (place.name, place.city) if part) or "somewhere"


async def _not_seen(
    connection: AsyncConnection, wish: Wish, entry_id: str, in_force: Sequence[Decision], shards: int
) -> Decision:
    found = await _set(connection, wish.user, entry_id)
    shown = _shown(wish, found, in_force)
    if wish.act is None or (wish.act == shown.concert_id and found.origin is Origin.COMPANION):
        if found.origin is not Origin.COMPANION:
            acts = ", ".join(f"{act.concert_id} ({act.artist})" for act in shown.facts.bill) or "none is known"
            raise InvalidError(
                "The request is not valid.",
                [Detail(field="concert_id", message=f"name the act of the bill that you did not see: {acts}")],
            )
        act = shown
    else:
        act = await _act(connection, wish, shown)
        act_entry = act.found.entry_id
        in_force = (await read_decisions(connection, wish.user, [act_entry]))[act_entry]
    own = Wish(
        wish.user,
        ids.suggestion_id(wish.user, act.found.entry_id, act.concert_id),
        Action.NOT_SEEN,
        wish.at,
        wish.trace,
        device=wish.device,
    )
    standing = verdict(own, in_force, act.suggestion)
    if standing is not None:
        return standing
    elsewhere = await _seen(connection, wish.user, act.concert_id)
    if elsewhere is not None:
        raise conflict(elsewhere)
    members = act.suggestion.members if act.suggestion else await _members(connection, act.concert_id)
    decision = _on(own, act.found, Shown(act.found, None, act.facts, act.concert_id), Action.NOT_SEEN, None, members)
    (kept,) = await keep(connection, [decision], own, shards)
    return kept


async def _act(connection: AsyncConnection, wish: Wish, shown: Shown) -> Shown:
    """An act of the bill that was shown, under the entry that a question about it hangs on."""
    billed = next((one for one in shown.facts.bill if one.concert_id == wish.act), None)
    companion = ids.companion_entry_id(shown.concert_id, wish.act) if wish.act else ""
    found = await _set(connection, wish.user, companion)
    suggestion = next((one for one in found.suggestions if one.concert_id == wish.act), None)
    if wish.act is None or (billed is None and suggestion is None):
        acts = ", ".join(f"{act.concert_id} ({act.artist})" for act in shown.facts.bill) or "none is known"
        raise InvalidError(
            "The request is not valid.",
            [Detail(field="concert_id", message=f"is no act of this bill; its acts are: {acts}")],
        )
    if suggestion is not None:
        return Shown(found, suggestion, suggestion.concert, suggestion.concert_id)
    assert billed is not None
    facts = Facts(artist=billed.artist, night=shown.facts.night, place=shown.facts.place)
    return Shown(found, None, facts, billed.concert_id)


async def _members(connection: AsyncConnection, concert_id: UUID) -> tuple[Member, ...]:
    body = await connection.scalar(
        text("select body from catalogue.concerts where concert_id = :id and not gone"), {"id": concert_id}
    )
    return Concert.model_validate(body).members if body else ()


async def _seen(connection: AsyncConnection, user: str, concert_id: UUID) -> Decision | None:
    """A confirmation of the concert on any entry."""
    entries = select(DecisionRow.entry_id).where(DecisionRow.user_id == user, DecisionRow.concert_id == concert_id)
    listed = list(await connection.scalars(entries.distinct()))
    for in_force in (await read_decisions(connection, user, listed)).values():
        confirmed = the_confirmed(in_force)
        if confirmed is not None and confirmed.concert_id == concert_id:
            return confirmed
    return None


# -- reading ----------------------------------------------------------------------------------------------------------


async def _entry_of(connection: AsyncConnection, wish: Wish) -> str:
    """The entry of a suggestion that is there or, once decided, was there."""
    present = select(SuggestionsRow.entry_id).where(
        SuggestionsRow.user_id == wish.user, SuggestionsRow.suggestion_ids.op("@>")([wish.suggestion_id])
    )
    decided = select(DecisionRow.entry_id).where(
        DecisionRow.user_id == wish.user, DecisionRow.suggestion_id == wish.suggestion_id
    )
    found = await connection.scalar(present) or await connection.scalar(decided.limit(1))
    if found is None:
        raise _unknown(wish)
    return found


async def _set(connection: AsyncConnection, user: str, entry_id: str) -> Suggestions:
    """The entry's set; an empty one where match has made none."""
    body = await connection.scalar(
        select(SuggestionsRow.body).where(SuggestionsRow.user_id == user, SuggestionsRow.entry_id == entry_id)
    )
    return Suggestions.model_validate(body) if body else Suggestions(user=user, entry_id=entry_id or "-")


def _shown(wish: Wish, found: Suggestions, in_force: Sequence[Decision]) -> Shown:
    """What the wish is about, as match has it or as it was decided. NotFoundError when it is neither."""
    suggestion = next((one for one in found.suggestions if one.suggestion_id == wish.suggestion_id), None)
    if suggestion is not None:
        return Shown(found, suggestion, suggestion.concert, suggestion.concert_id)
    mine = last_of(in_force, wish.suggestion_id)
    if mine is None or mine.concert is None:
        raise _unknown(wish)
    return Shown(found, None, mine.concert, mine.concert_id)


def _told(target: Target | None) -> str | None:
    return None if target is None else f"{target.concert_id} {target.night} {target.step}"


def _unknown(wish: Wish) -> NotFoundError:
    return NotFoundError("suggestion", f"There is no suggestion {wish.suggestion_id}.")
