"""POST /v1/history: lines of a user's history on their way to match, which stores them."""

from typing import Any, Self

from litestar import Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import Answer
from api.asked import East, North, only, rule
from api.calls import Call, Key, write_once
from api.decisions import STAGE
from api.errors import Detail, InvalidError, told
from api.services import Services
from matchers.dates import impossible
from schemas.history import Entry, EntryOrigin, Remembered
from schemas.ids import hook_of
from schemas.message import canonical, content_hash
from schemas.outgoing import outbox_values, outgoing
from schemas.tables import OutboxRow

MOST_ENTRIES = 200
"""More at once is an import: it has a topic of its own, which is read when the live one is empty."""


class EntryRow(Remembered):
    """A line of a history as its owner sends it."""

    model_config = ConfigDict(
        json_schema_extra=rule(
            {
                "anyOf": [
                    *(only(name, "string", minLength=1) for name in ("artist", "date", "venue", "city", "note")),
                    only("songs", "array", minItems=1),
                    only("lat", "number"),
                ]
            }
        )
    )

    lat: North | None = None
    lon: East | None = None
    entry_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Yours: sent again, it replaces the line. Absent: derived from the content.",
    )

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, row: Any) -> Any:
        if not isinstance(row, dict):
            return row
        known = {field.alias or name for name, field in cls.model_fields.items()}
        try:
            if b"\\u0000" in canonical({name: value for name, value in row.items() if name in known}):
                raise ValueError("must not contain NUL")
        except TypeError as error:  # half of a surrogate pair
            raise ValueError("must be valid Unicode") from error
        return row

    @field_validator("entry_id")
    @classmethod
    def _is_not_ours(cls, entry_id: str | None) -> str | None:
        if entry_id and hook_of(entry_id) is not None:
            raise ValueError("is how companions and habits are called; take another name")
        return entry_id

    @field_validator("date")
    @classmethod
    def _is_possible(cls, text: str | None) -> str | None:
        wrong = impossible(text) if text else None
        if wrong is not None:
            raise ValueError(wrong)
        return text

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.artist or self.date or self.venue or self.city or self.songs or self.note or self.lat is not None):
            raise ValueError("says nothing: give at least one of artist, date, venue, city, lat and lon, songs, note")
        return self


class History(BaseModel):
    """Lines to be matched."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"entries": [{"artist": "Radiohead", "date": "summer 1994", "city": "Reading"}]}]
        }
    )

    entries: list[EntryRow] = Field(
        min_length=1, max_length=MOST_ENTRIES, description=f"At most {MOST_ENTRIES} at once."
    )


class Accepted(BaseModel):
    """Taken on; suggestions follow in seconds."""

    entry_ids: list[str] = Field(description="In the order of the request.", examples=[["5d41402abc4b2a76"]])


@post("/", status_code=202, summary="Add lines of history", responses=told(400))
async def add_history(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    data: JSONBody[History],
    idempotency_key: Key = None,
) -> Answer[Accepted]:
    """All or none. The same line sent twice is one line."""
    entries = [entry_of(row, user, services) for row in data.entries]
    records = [outgoing(entry, trace=trace, stage=STAGE) for entry in entries]
    large = [index for index, record in enumerate(records) if record.too_large]
    if large:
        raise InvalidError(
            "The request is not valid.",
            [Detail(field=f"entries.{index}", message="larger than 1 MB; shorten note or songs") for index in large],
        )

    async def write(connection: AsyncConnection) -> Accepted:
        await connection.execute(
            insert(OutboxRow), [outbox_values(record, services.settings.outbox_shards) for record in records]
        )
        return Accepted(entry_ids=[entry.entry_id for entry in entries])

    call = Call(user, idempotency_key, ["history", data.model_dump(mode="json", by_alias=True, exclude_none=True)])
    return Answer(data=await write_once(services.engine, call, Accepted, write))


def entry_of(row: EntryRow, user: str, services: Services) -> Entry:
    """The message of a line; its id is derived from what was written where none is given."""
    written = row.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"entry_id"})
    entry_id = row.entry_id or content_hash(written)[:16]
    envelope = {"user": user, "entry_id": entry_id, "seen_at": services.clock(), "origin": EntryOrigin.API}
    return Entry.model_validate(written | envelope)


router = Router(
    "/v1/history",
    route_handlers=[add_history],
    opt={"credential": "bearer"},
    tags=["history"],
)
