"""Who did what to their own data: written in the transaction that does it, read at GET /v1/me/audit.

A line has the instant, the device as the caller names it, the X-Request-Id of the answer, and what was before and
after, by ids and states: never notes, names or tokens. Lines are never changed, and go with the account.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import TAKE, Cursor, Page, PageMeta, Take, cursor_of, place_of
from api.errors import told
from api.services import Services
from schemas.tables import Audited, AuditRow

OF_DECISIONS = text(
    """
    insert into state.audit (user_id, at, what, thing, before, after, device, request_id)
    select user_id, decided_at, 'decided', entry_id,
        case when before is not null then jsonb_build_object('action', before) end,
        jsonb_strip_nulls(jsonb_build_object(
            'action', action, 'suggestion_id', suggestion_id, 'concert_id', concert_id, 'decision_id', decision_id,
            'until', body->'until', 'undoes', body->'undoes', 'together', together)),
        device, :request_id
    from state.decisions where decision_id = any(cast(:decisions as uuid[])) order by seq
    """
)


@dataclass(frozen=True)
class Line:
    """What is to be remembered of one thing that was done."""

    user: str
    at: datetime
    what: Audited
    request_id: str
    thing: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    device: str | None = None


class AuditView(BaseModel):
    """One thing that was done."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "at": "2026-03-01T12:00:00Z",
                    "what": "decided",
                    "thing": "e1",
                    "before": {"action": "undone"},
                    "after": {
                        "action": "confirmed",
                        "suggestion_id": "8b7cf6a0-3f3e-5d6c-8a92-2a1f0e3b7c11",
                        "concert_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33",
                        "decision_id": "4f6d7a52-9f0e-4a53-8ef2-9f39a0f6a5a1",
                    },
                    "device": "phone-1",
                    "request_id": "0af7651916cd43dd8448eb211c80319c",
                }
            ]
        }
    )

    at: datetime
    what: Audited
    thing: str | None = Field(default=None, description="Id of what it was done to: an entry, a show, a sign-in.")
    before: dict[str, Any] | None = Field(default=None, description="Null: there was nothing.")
    after: dict[str, Any] | None = None
    device: str | None = Field(default=None, description="As X-Device named it.")
    request_id: str = Field(description="X-Request-Id of the answer.")


async def record(connection: AsyncConnection, *lines: Line) -> None:
    """Write lines down, in the transaction that does what they tell."""
    if lines:
        await connection.execute(
            insert(AuditRow),
            [
                {
                    "user_id": one.user,
                    "at": one.at,
                    "what": one.what,
                    "thing": one.thing,
                    "before": one.before,
                    "after": one.after,
                    "device": one.device,
                    "request_id": one.request_id,
                }
                for one in lines
            ],
        )


async def record_decisions(connection: AsyncConnection, decision_ids: Iterable[UUID], request_id: str) -> None:
    """The same of decisions that this transaction made, however many, by one statement."""
    await connection.execute(OF_DECISIONS, {"decisions": list(decision_ids), "request_id": request_id})


@get("/", summary="What was done with your account, latest first", responses=told(400))
async def list_audit(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    what: Annotated[Audited | None, QueryParameter(name="what", description="Only this.")] = None,
    take: Take = TAKE,
    cursor: Cursor = None,
) -> Page[AuditView]:
    """Decisions, sign-ins, exports, and changes of what others see: when, from which device, before and after."""
    (below,) = place_of(cursor, int) if cursor else (None,)
    query = select(AuditRow.__table__).where(AuditRow.user_id == user).order_by(AuditRow.id.desc()).limit(take + 1)
    if below is not None:
        query = query.where(AuditRow.id < max(min(below, 2**63 - 1), 0))
    if what is not None:
        query = query.where(AuditRow.what == what)
    async with services.engine.connect() as connection:
        rows = (await connection.execute(query)).all()
    views = [AuditView.model_validate(row, from_attributes=True) for row in rows[:take]]
    following = cursor_of([rows[take - 1].id]) if len(rows) > take else None
    return Page(data=views, meta=PageMeta(next_cursor=following, take=take))


router = Router("/v1/me/audit", route_handlers=[list_audit], opt={"credential": "bearer"}, tags=["account"])
