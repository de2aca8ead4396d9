"""GET and PATCH /v1/preferences: what a user wants to be asked beside their own lines.

Off is off at once: the lists leave the questions out from the next request on, whenever match withdraws them. What was
confirmed of them stays in the journal.
"""

from litestar import Router, get, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import Answer
from api.calls import Call, Key, write_once
from api.decisions import STAGE
from api.errors import Detail, InvalidError, told
from api.services import Services
from schemas import ids
from schemas.history import Rematch
from schemas.outgoing import outbox_values, outgoing
from schemas.tables import OutboxRow, PreferencesRow


class Preferences(BaseModel):
    """What is asked."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"companions": True, "habits": False}]})

    companions: bool = Field(
        default=True, description="Other acts of the bill or festival day of a confirmed show: at most 50 open."
    )
    habits: bool = Field(
        default=False,
        description="Artists you logged before, in a place and time of yours: at most 20 open, once asked for.",
    )


class Changed(BaseModel):
    """What is to be otherwise; absent: as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"companions": False}]})

    companions: bool | None = None
    habits: bool | None = None


@get("/", summary="What you are asked", responses=told())
async def read_preferences(services: NamedDependency[Services], user: NamedDependency[str]) -> Answer[Preferences]:
    """Companions unless switched off, habits once switched on."""
    async with services.engine.connect() as connection:
        return Answer(data=await preferences_of(connection, user))


@patch("/", summary="Switch companions or habits on or off", responses=told(400))
async def change_preferences(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    data: JSONBody[Changed],
    idempotency_key: Key = None,
) -> Answer[Preferences]:
    """Takes effect at once; those that come are found within seconds."""
    told = data.model_dump(exclude_none=True)
    if not told:
        raise InvalidError(
            "The request is not valid.", [Detail(field="companions", message="say companions or habits, true or false")]
        )

    async def write(connection: AsyncConnection) -> Preferences:
        changed = upsert(PreferencesRow).values(user_id=user, **told)
        await connection.execute(
            changed.on_conflict_do_update(index_elements=["user_id"], set_={**told, "updated_at": func.now()})
        )
        # match withdraws or finds them when it is told to look again.
        again = [
            outgoing(Rematch(user=user, entry_id=hook, cause="preferences"), trace=trace, stage=STAGE)
            for hook in (ids.COMPANION, ids.HABIT)
        ]
        shards = services.settings.outbox_shards
        await connection.execute(insert(OutboxRow), [outbox_values(record, shards) for record in again])
        return await preferences_of(connection, user)

    call = Call(user, idempotency_key, ["preferences", told])
    return Answer(data=await write_once(services.engine, call, Preferences, write))


async def preferences_of(connection: AsyncConnection, user: str) -> Preferences:
    """The user's, or what everybody begins with."""
    row = (
        await connection.execute(
            select(PreferencesRow.companions, PreferencesRow.habits).where(PreferencesRow.user_id == user)
        )
    ).one_or_none()
    return Preferences() if row is None else Preferences(companions=row.companions, habits=row.habits)


router = Router(
    "/v1/preferences",
    route_handlers=[read_preferences, change_preferences],
    opt={"credential": "bearer"},
    tags=["suggestions"],
)
