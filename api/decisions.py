"""What the user says of a suggestion, kept once: decision and message in one transaction, under the entry's lock.

match takes the same lock, so that it computes before a decision or after it, never across.

Errors
    NotFoundError    no such suggestion of this user
    ConflictError    decided otherwise; details are the decision in force
    InvalidError     an Idempotency-Key that stands for another request
    UnauthorizedError    the user was erased
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import orjson
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.entries import read_decisions
from api.erased import refuse_erased
from api.errors import ConflictError, Detail, InvalidError, NotFoundError
from schemas.decision import Action, Decision
from schemas.outgoing import outbox_values, outgoing
from schemas.suggestion import Suggestion, Suggestions
from schemas.tables import DecisionRow, EntryRow, OutboxRow, SuggestionsRow

STAGE = "api"
TICK = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    user: str
    suggestion_id: UUID
    action: Action
    """CONFIRMED, DISMISSED or UNDONE."""
    at: datetime
    trace: str
    idempotency_key: str | None = None


async def decide(engine: AsyncEngine, wish: Wish, shards: int) -> Decision:
    """The decision, new or as it was made before: a repeat changes nothing and gets the same answer."""
    try:
        async with engine.begin() as connection:
            return await _decide(connection, wish, shards)
    except IntegrityError:
        # The same key went to two entries at once, and the other one was first: now it is there to be read.
        async with engine.begin() as connection:
            return await _decide(connection, wish, shards)


async def _decide(connection: AsyncConnection, wish: Wish, shards: int) -> Decision:
    await refuse_erased(connection, wish.user)
    entry_id = await _entry_of(connection, wish)
    locked = await connection.scalar(
        select(EntryRow.entry_id).where(EntryRow.user_id == wish.user, EntryRow.entry_id == entry_id).with_for_update()
    )
    if locked is None:
        raise _unknown(wish)
    repeated = await _repeated(connection, wish)
    if repeated:
        return repeated
    in_force = (await read_decisions(connection, wish.user, [entry_id]))[entry_id]
    mine = next((one for one in in_force if one.suggestion_id == wish.suggestion_id), None)
    decision: Decision
    if wish.action is Action.UNDONE:
        if mine is None:
            return await _undone_before(connection, wish)
        decision = _undo(wish, mine)
    elif mine and mine.action is wish.action:
        return mine
    else:
        confirmed = next((one for one in in_force if one.action is Action.CONFIRMED), None)
        if mine or confirmed:
            raise _conflict(mine or confirmed)
        decision = _decision(wish, await _suggestion(connection, wish, entry_id))
    return await _keep(connection, wish, decision, shards)


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


async def _repeated(connection: AsyncConnection, wish: Wish) -> Decision | None:
    if wish.idempotency_key is None:
        return None
    row = (
        await connection.execute(
            select(DecisionRow.suggestion_id, DecisionRow.action, DecisionRow.body).where(
                DecisionRow.user_id == wish.user, DecisionRow.idempotency_key == wish.idempotency_key
            )
        )
    ).one_or_none()
    if row is None:
        return None
    if (row.suggestion_id, row.action) != (wish.suggestion_id, wish.action):
        raise InvalidError(
            "This Idempotency-Key stands for another request.",
            [Detail(field="Idempotency-Key", message="take a new key for each decision; repeat it only to try again")],
        )
    return Decision.model_validate(row.body)


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


async def _suggestion(connection: AsyncConnection, wish: Wish, entry_id: str) -> tuple[Suggestions, Suggestion]:
    body = await connection.scalar(
        select(SuggestionsRow.body).where(SuggestionsRow.user_id == wish.user, SuggestionsRow.entry_id == entry_id)
    )
    present = Suggestions.model_validate(body) if body else None
    for one in present.suggestions if present else ():
        if present and one.suggestion_id == wish.suggestion_id:
            return present, one
    raise _unknown(wish)


def _decision(wish: Wish, shown: tuple[Suggestions, Suggestion]) -> Decision:
    present, suggestion = shown
    return Decision(
        decision_id=uuid4(),
        user=wish.user,
        entry_id=present.entry_id,
        entry=present.entry,
        suggestion_id=suggestion.suggestion_id,
        concert_id=suggestion.concert_id,
        action=wish.action,
        decided_at=wish.at,
        listing_ids=tuple(member.listing_id for member in suggestion.members),
        signature=suggestion.signature,
        concert=suggestion.concert,
        members=suggestion.members,
        confidence=suggestion.confidence,
        band=suggestion.band,
        why=suggestion.why,
    )


def _undo(wish: Wish, undone: Decision) -> Decision:
    changed = {"decision_id": uuid4(), "action": Action.UNDONE, "decided_at": wish.at, "undoes": undone.decision_id}
    return undone.model_copy(update=changed)


async def _keep(connection: AsyncConnection, wish: Wish, decision: Decision, shards: int) -> Decision:
    before = (
        await connection.execute(
            select(DecisionRow.action, DecisionRow.decided_at)
            .where(DecisionRow.user_id == wish.user, DecisionRow.entry_id == decision.entry_id)
            .order_by(DecisionRow.seq.desc())
            .limit(1)
        )
    ).one_or_none()
    if before is not None and decision.decided_at <= before.decided_at:
        # Stores take the latest instant for the last word: a clock that stepped back must not bring an old one back.
        decision = decision.model_copy(update={"decided_at": before.decided_at + TICK})
    record = outgoing(decision, trace=wish.trace, stage=STAGE)
    await connection.execute(
        insert(DecisionRow).values(
            decision_id=decision.decision_id,
            user_id=decision.user,
            entry_id=decision.entry_id,
            suggestion_id=decision.suggestion_id,
            concert_id=decision.concert_id,
            before=None if before is None else before.action,
            action=decision.action,
            decided_at=decision.decided_at,
            idempotency_key=wish.idempotency_key,
            body=orjson.loads(record.value or b"null"),
        )
    )
    await connection.execute(insert(OutboxRow).values(**outbox_values(record, shards)))
    return decision


def _unknown(wish: Wish) -> NotFoundError:
    return NotFoundError("suggestion", f"There is no suggestion {wish.suggestion_id}.")


def _conflict(in_force: Decision | None) -> ConflictError:
    assert in_force is not None
    state = {
        "decision": in_force.action.value,
        "suggestion_id": str(in_force.suggestion_id),
        "concert_id": str(in_force.concert_id),
        "decision_id": str(in_force.decision_id),
        "decided_at": in_force.decided_at.isoformat(),
    }
    return ConflictError(
        f"This entry is already {in_force.action.value}. Undo that first.",
        [Detail(field=name, message=value) for name, value in state.items()],
    )
