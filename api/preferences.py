"""GET and PATCH /v1/preferences: what a user wants to be asked and told, and what friends see.

Off is off at once: the lists leave the questions out from the next request on, whenever match withdraws them, and no
digest goes out any more. What was confirmed of the questions stays in the journal.
"""

from datetime import time
from typing import Annotated, Any
from zoneinfo import available_timezones

from litestar import Router, get, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import Answer
from api.asked import only, rule
from api.audit import Line, record
from api.calls import Call, Device, Key, write_once
from api.decisions import STAGE
from api.errors import Detail, InvalidError, NotFoundError, told
from api.services import Services
from schemas import ids
from schemas.history import Rematch
from schemas.outgoing import outbox_values, outgoing
from schemas.tables import Audited, OutboxRow, PreferencesRow, Visibility

ASKED = ("companions", "habits")
"""What match has to look again for."""


Zone = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$")]
Minute = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]

_JOURNAL = "Who sees shows of the journal that say nothing of their own: nobody, or friends."
_DIGEST = "What is new, once a week at most. false stops it at once."
_TZ = "IANA zone: whose weeks and whose nights."
_QUIET_FROM = "Local time HH:MM from which no digest goes out; the same as quiet_until: at any time."


class Preferences(BaseModel):
    """What is asked, told and shown."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "companions": True,
                    "habits": False,
                    "journal": "private",
                    "digest": True,
                    "tz": "Europe/Berlin",
                    "quiet_from": "22:00",
                    "quiet_until": "08:00",
                }
            ]
        }
    )

    companions: bool = Field(
        default=True, description="Other acts of the bill or festival day of a confirmed show: at most 50 open."
    )
    habits: bool = Field(
        default=False,
        description="Artists you logged before, in a place and time of yours: at most 20 open, once asked for.",
    )
    journal: Visibility = Field(default=Visibility.PRIVATE, description=_JOURNAL)
    digest: bool = Field(default=True, description=_DIGEST)
    tz: str = Field(default="UTC", description=_TZ)
    quiet_from: Minute = Field(default="22:00", description=_QUIET_FROM)
    quiet_until: Minute = Field(default="08:00", description="Local time HH:MM at which it may again.")


class Changed(BaseModel):
    """What is to be otherwise; absent: as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"companions": False},
                {"digest": False},
                {"journal": "friends"},
                {"tz": "Europe/Berlin", "quiet_from": "21:00", "quiet_until": "09:30"},
            ],
            **rule(
                {
                    "anyOf": [
                        *(only(name, "boolean") for name in ("companions", "habits", "digest")),
                        *(only(name, "string") for name in ("journal", "tz", "quiet_from", "quiet_until")),
                    ]
                }
            ),
        },
    )

    companions: StrictBool | None = None
    habits: StrictBool | None = None
    journal: Visibility | None = Field(default=None, description=_JOURNAL)
    digest: StrictBool | None = Field(default=None, description=_DIGEST)
    tz: Zone | None = Field(default=None, description=_TZ)
    quiet_from: Minute | None = Field(default=None, description=_QUIET_FROM)
    quiet_until: Minute | None = None


@get("/", summary="What you are asked and told, and what friends see", responses=told())
async def read_preferences(services: NamedDependency[Services], user: NamedDependency[str]) -> Answer[Preferences]:
    """Companions and digests unless switched off, habits once switched on, the journal private."""
    async with services.engine.connect() as connection:
        return Answer(data=await preferences_of(connection, user))


@patch("/", summary="Change what you are asked, told and show", responses=told(400, 404, missing=["zone"]))
async def change_preferences(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    data: JSONBody[Changed],
    idempotency_key: Key = None,
    device: Device = None,
) -> Answer[Preferences]:
    """Takes effect at once; questions that come are found within seconds."""
    return Answer(data=await prefer(services, user, data, trace, idempotency_key, device))


async def prefer(
    services: Services, user: str, wanted: Changed, trace: str, key: str | None = None, device: str | None = None
) -> Preferences:
    """Change what is told; all of them, as they are then. InvalidError for nothing, NotFoundError for no such zone."""
    told = wanted.model_dump(exclude_none=True)
    if not told:
        names = ", ".join(Changed.model_fields)
        raise InvalidError("The request is not valid.", [Detail(field="body", message=f"say one or more of {names}")])

    async def write(connection: AsyncConnection) -> Preferences:
        before = await preferences_of(connection, user)
        columns = {name: _column(name, value) for name, value in told.items()}
        changed = upsert(PreferencesRow).values(user_id=user, **columns)
        await connection.execute(
            changed.on_conflict_do_update(index_elements=["user_id"], set_={**columns, "updated_at": func.now()})
        )
        if any(name in told for name in ASKED):
            # match withdraws or finds them when it is told to look again.
            again = [
                outgoing(Rematch(user=user, entry_id=hook, cause="preferences"), trace=trace, stage=STAGE)
                for hook in (ids.COMPANION, ids.HABIT)
            ]
            shards = services.settings.outbox_shards
            await connection.execute(insert(OutboxRow), [outbox_values(record, shards) for record in again])
        now = await preferences_of(connection, user)
        if now.journal is not before.journal:
            seen = {"visibility": before.journal.value}, {"visibility": now.journal.value}
            await record(connection, Line(user, services.clock(), Audited.VISIBILITY, trace, "journal", *seen, device))
        return now

    if wanted.tz is not None and wanted.tz not in available_timezones():
        raise NotFoundError(
            "zone", f"tz: there is no zone {wanted.tz}. Remedy: one of the IANA database, Europe/Berlin."
        )
    asked = wanted.model_dump(mode="json", exclude_none=True)
    call = Call(user, key, ["preferences", asked])
    return await write_once(services.engine, call, Preferences, write)


def _column(name: str, value: Any) -> Any:
    return time.fromisoformat(value) if name in {"quiet_from", "quiet_until"} else value


async def preferences_of(connection: AsyncConnection, user: str) -> Preferences:
    """The user's, or what everybody begins with."""
    columns = [PreferencesRow.__table__.c[name] for name in Preferences.model_fields]
    row = (await connection.execute(select(*columns).where(PreferencesRow.user_id == user))).one_or_none()
    if row is None:
        return Preferences()
    kept = {name: f"{value:%H:%M}" if isinstance(value, time) else value for name, value in row._mapping.items()}
    return Preferences.model_validate(kept)


router = Router(
    "/v1/preferences",
    route_handlers=[read_preferences, change_preferences],
    opt={"credential": "bearer"},
    tags=["suggestions"],
)
