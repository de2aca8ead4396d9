"""POST /v1/suggestions/bulk: many at once. Counted first; what was counted, and nothing else, is decided by the token.

The suggestions of a dry run are kept by their ids: what is decided, withdrawn or lifted on another device meanwhile is
left as it is, and told in the answer. One undo takes back what the bulk decided and what still stands of it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import Answer, plain
from api.asked import WHOLE, Moment, absent, only, rule
from api.calls import Call, Device, Key, write_once
from api.decisions import decision_of, keep, lock, undoing
from api.entries import EntryView, Filters, Wanted, read_decisions, read_entries
from api.errors import ConflictError, Detail, InvalidError, NotFoundError, told
from api.services import Services
from api.verdicts import Wish, last_of, verdict
from schemas.decision import Action, Decision
from schemas.suggestion import Band, Origin, Suggestion, Suggestions
from schemas.tables import BulkRow, DecisionRow, SuggestionsRow

MOST = 2_000
"""Entries of one bulk: they are locked together, for about a second."""
TOKEN_LIFE = timedelta(hours=1)
"""What was counted longer ago is not what the user means."""
SNOOZE = timedelta(days=30)

ACTIONS = {"confirm": Action.CONFIRMED, "dismiss": Action.DISMISSED, "snooze": Action.SNOOZED}


class Chosen(BaseModel):
    """Which open entries; nothing given: all."""

    band: Band | None = None
    year: Annotated[int, Field(ge=1900, le=2200), WHOLE] | None = Field(
        default=None, description="Of a suggested night."
    )
    artist: str | None = Field(default=None, max_length=200, description="Part of a name.")
    origin: Origin | None = None


class Bulk(BaseModel):
    """A dry run (action and filter) or the token of one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"dry_run": True, "action": "confirm", "filter": {"band": "sure", "year": 1994}},
                {"token": "6a3e0c0e-54fb-4a0c-9f6a-2f7c4be21d11"},
            ],
            **rule(
                {
                    "oneOf": [
                        {"allOf": [only("dry_run", "boolean", const=True), only("action", "string"), absent("token")]},
                        {"allOf": [only("token", "string"), {"properties": {"dry_run": {"const": False}}}]},
                    ]
                },
                {"anyOf": [absent("until"), only("action", "string", const="snooze")]},
            ),
        },
    )

    dry_run: StrictBool = False
    action: Literal["confirm", "dismiss", "snooze"] | None = Field(
        default=None, description="Confirm: the best of each entry. Dismiss: all that is shown for it. Of a dry run."
    )
    filter: Chosen = Chosen()
    until: Moment | None = Field(default=None, description="Of a snooze; a month when absent.")
    token: UUID | None = Field(default=None, description="Of the dry run that is to be applied.")


class Bulked(BaseModel):
    """What a bulk would do, or did."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "token": "6a3e0c0e-54fb-4a0c-9f6a-2f7c4be21d11",
                    "action": "confirm",
                    "count": 42,
                    "decisions": 0,
                    "left": 0,
                    "beyond": False,
                    "applied": False,
                    "undone": False,
                    "expires_at": "2026-03-01T13:00:00Z",
                }
            ]
        }
    )

    token: UUID
    action: str
    count: int = Field(description="Entries: of a dry run those that would be decided, else those that were.")
    decisions: int = Field(default=0, description="Made; a dismissal of an entry with alternatives is several.")
    left: int = Field(default=0, description="Entries left as they are: decided or changed since the dry run.")
    beyond: bool = Field(default=False, description=f"More than {MOST} fit; do these first, then count again.")
    applied: bool = False
    undone: bool = False
    expires_at: datetime | None = Field(default=None, description="Of the token, until it is applied.")


@post(
    "/bulk",
    status_code=200,
    summary="Decide many at once, after a dry run",
    responses=told(400, 404, 409, missing=["bulk"]),
)
async def bulk(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    data: JSONBody[Bulk],
    idempotency_key: Key = None,
    device: Device = None,
) -> Answer[Bulked]:
    """`dry_run` counts and gives a token; the token decides just what was counted. Applied twice: the same answer."""
    _check(data)

    async def write(connection: AsyncConnection) -> Bulked:
        if data.dry_run:
            return (await count(connection, user, data, services.clock()))[0]
        assert data.token is not None
        return await _apply(connection, services, user, data.token, trace, device)

    call = Call(user, idempotency_key, ["bulk", data.model_dump(mode="json")])
    return Answer(data=await write_once(services.engine, call, Bulked, write))


@post(
    "/bulk/{token:uuid}/undo",
    status_code=200,
    summary="Take a whole bulk back, at any time",
    responses=told(400, 404, 409, missing=["bulk"]),
)
async def undo_bulk(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    token: FromPath[UUID],
    idempotency_key: Key = None,
    device: Device = None,
) -> Answer[Bulked]:
    """What was decided otherwise since stays. Undone twice: the same answer."""

    return Answer(data=await take_back(services, user, token, trace, idempotency_key, device))


async def apply(services: Services, user: str, token: UUID, trace: str) -> Bulked:
    """Decide what was counted. Applied twice: the same answer. NotFoundError, ConflictError when it is too old."""

    async def write(connection: AsyncConnection) -> Bulked:
        return await _apply(connection, services, user, token, trace, None)

    return await write_once(services.engine, Call(user, None), Bulked, write)


async def take_back(
    services: Services,
    user: str,
    token: UUID,
    trace: str,
    idempotency_key: str | None = None,
    device: str | None = None,
) -> Bulked:
    """Undo what still stands of a bulk. Undone twice: the same answer. NotFoundError; ConflictError: not applied."""

    async def write(connection: AsyncConnection) -> Bulked:
        return await _undo(connection, services, user, token, trace, device)

    return await write_once(services.engine, Call(user, idempotency_key, ["undo bulk", str(token)]), Bulked, write)


def _check(data: Bulk) -> None:
    if data.dry_run and data.token is not None:
        raise _wrong("token", "is of a dry run that was made; leave it out to make one")
    if data.dry_run and data.action is None:
        raise _wrong("action", "is required: confirm, dismiss or snooze")
    if not data.dry_run and data.token is None:
        raise _wrong("token", "is required; ask with dry_run: true first, which counts and gives one")
    if data.until is not None and data.action != "snooze":
        raise _wrong("until", "is of a snooze")
    plain("filter.artist", data.filter.artist)


def _wrong(field: str, message: str) -> InvalidError:
    return InvalidError("The request is not valid.", [Detail(field=field, message=message)])


async def count(
    connection: AsyncConnection, user: str, data: Bulk, now: datetime
) -> tuple[Bulked, Sequence[EntryView]]:
    """What would be decided, and the entries that it is of, best first; kept for the token's time."""
    chosen = data.filter
    filters = Filters(Wanted.OPEN, chosen.band, chosen.year, chosen.artist, chosen.origin)
    views, following = await read_entries(connection, user, filters, now, MOST, None)
    suggestions = [one.suggestion_id for view in views for one in _meant(view, data.action)]
    until = data.until or (now + SNOOZE if data.action == "snooze" else None)
    row = {
        "bulk_id": uuid4(),
        "user_id": user,
        "wish": {
            "action": data.action,
            "filter": chosen.model_dump(mode="json"),
            "until": until and until.isoformat(),
            "entries": len(views),
            "made_at": now.isoformat(),
        },
        "suggestion_ids": suggestions,
    }
    await connection.execute(insert(BulkRow).values(row))
    counted = Bulked(
        token=row["bulk_id"],
        action=str(data.action),
        count=len(views),
        beyond=following is not None,
        expires_at=now + TOKEN_LIFE,
    )
    return counted, views


def _meant(view: EntryView, action: str | None) -> Sequence[Suggestion]:
    return view.suggestions if action == "dismiss" else view.suggestions[:1]


async def _kept(connection: AsyncConnection, user: str, token: UUID) -> Any:
    # Two applications, or an undo beside one, wait for each other here.
    row = (
        await connection.execute(
            select(BulkRow.__table__).where(BulkRow.bulk_id == token, BulkRow.user_id == user).with_for_update()
        )
    ).one_or_none()
    if row is None:
        raise NotFoundError("bulk", f"There is no bulk {token}. Ask with dry_run: true for a token.")
    return row


async def _apply(
    connection: AsyncConnection, services: Services, user: str, token: UUID, trace: str, device: str | None
) -> Bulked:
    row = await _kept(connection, user, token)
    if row.applied_at is not None:
        return Bulked.model_validate(row.answer)
    now = services.clock()
    if now > datetime.fromisoformat(row.wish["made_at"]) + TOKEN_LIFE:
        raise ConflictError(
            "This was counted too long ago. Ask with dry_run: true again.",
            [Detail(field="token", message="expired"), Detail(field="made_at", message=row.wish["made_at"])],
        )
    until = row.wish["until"] and datetime.fromisoformat(row.wish["until"])
    action = ACTIONS[row.wish["action"]]
    named = set(row.suggestion_ids)
    found_in = (
        select(SuggestionsRow.entry_id)
        .where(SuggestionsRow.user_id == user, SuggestionsRow.suggestion_ids.op("&&")(row.suggestion_ids))
        .order_by(SuggestionsRow.entry_id)
    )
    entries = list(await connection.scalars(found_in)) if named else []
    await lock(connection, user, entries)
    # Read again under the locks: what match withdrew meanwhile is there no more.
    bodies = await connection.scalars(
        select(SuggestionsRow.body).where(SuggestionsRow.user_id == user, SuggestionsRow.entry_id.in_(entries))
    )
    in_force = await read_decisions(connection, user, entries)
    made: list[Decision] = []
    for body in bodies:
        found = Suggestions.model_validate(body)
        for one in found.suggestions:
            if one.suggestion_id in named:
                wish = Wish(user, one.suggestion_id, action, now, trace, until=until)
                if _stands_open(wish, in_force[found.entry_id], one):
                    made.append(decision_of(wish, found, one, together=token))
    kept = await keep(connection, made, Wish(user, token, action, now, trace, device=device), _shards(services))
    decided = len({one.entry_id for one in kept})
    answer = Bulked(
        token=token,
        action=row.wish["action"],
        count=decided,
        decisions=len(kept),
        left=row.wish["entries"] - decided,
        applied=True,
    )
    await _put(connection, token, {"answer": answer.model_dump(mode="json"), "applied_at": now})
    return answer


def _stands_open(wish: Wish, in_force: Sequence[Decision], shown: Suggestion) -> bool:
    try:
        return verdict(wish, in_force, shown) is None
    except ConflictError:
        return False


async def _undo(
    connection: AsyncConnection, services: Services, user: str, token: UUID, trace: str, device: str | None
) -> Bulked:
    row = await _kept(connection, user, token)
    if row.applied_at is None:
        raise ConflictError(
            "This bulk was not applied: there is nothing to undo.", [Detail(field="applied", message="false")]
        )
    before = Bulked.model_validate(row.answer)
    if row.undone_at is not None:
        return before
    now = services.clock()
    mine = select(DecisionRow.entry_id).where(DecisionRow.user_id == user, DecisionRow.together == token).distinct()
    entries = sorted(await connection.scalars(mine))
    await lock(connection, user, entries)
    in_force = await read_decisions(connection, user, entries)
    wish = Wish(user, token, Action.UNDONE, now, trace, device=device)
    made = [
        undoing(one, wish)
        for entry in entries
        for one in in_force[entry]
        if one.together == token and last_of(in_force[entry], one.suggestion_id) is one
    ]
    await keep(connection, made, wish, _shards(services))
    undone = len({one.entry_id for one in made})
    changed = {"count": undone, "decisions": len(made), "left": before.count - undone, "undone": True}
    answer = before.model_copy(update=changed)
    await _put(connection, token, {"answer": answer.model_dump(mode="json"), "undone_at": now})
    return answer


async def _put(connection: AsyncConnection, token: UUID, values: dict[str, Any]) -> None:
    await connection.execute(update(BulkRow).where(BulkRow.bulk_id == token).values(**values))


def _shards(services: Services) -> int:
    return services.settings.outbox_shards
