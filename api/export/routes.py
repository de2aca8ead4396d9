"""GET /v1/export: everything of the user, as JSON or as a zip of CSV files."""

from collections.abc import AsyncIterator
from enum import StrEnum
from typing import Annotated, Any

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from litestar.response import Stream
from pydantic import BaseModel, ConfigDict, Field

from api import audit
from api.audit import Line
from api.calls import Device
from api.erased import refuse_erased
from api.errors import RateLimitedError, told
from api.export.json_file import FORMAT, json_document
from api.export.rows import snapshot
from api.export.zip_file import zip_of_csv
from api.services import Services
from schemas.tables import Audited

MOST_AT_ONCE = 4
"""Exports that one process sends: each holds a connection, and a snapshot, for as long as its reader takes."""
WAIT_S = 20


class ExportFormat(StrEnum):
    """What it is written as."""

    JSON = "json"
    CSV = "csv"


class ExportMeta(BaseModel):
    """What the document is; its last part."""

    format: str
    user: str
    made_at: str = Field(description="The instant of the snapshot.")
    about: dict[str, str] = Field(description="Kind -> what it is.")
    left_out: dict[str, str] = Field(description="Place -> why it is not here.")
    complete: bool


class Export(BaseModel):
    """Everything that there is of a user."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "data": {"preferences": [{"companions": True, "habits": False, "journal": "private"}]},
                    "meta": {
                        "format": FORMAT,
                        "user": "u-1",
                        "made_at": "2026-03-01T12:00:00+00:00",
                        "about": {"preferences": "what you want to be asked, told and to show"},
                        "left_out": {"state.erased": "hashes of those who are no more"},
                        "complete": True,
                    },
                }
            ]
        }
    )

    data: dict[str, list[dict[str, Any]]] = Field(description="Kind -> rows.")
    meta: ExportMeta


class Open:
    """Exports under way in this process."""

    def __init__(self) -> None:
        self.users: set[str] = set()

    def enter(self, user: str) -> None:
        """RateLimitedError while the user has one already, or too many others have."""
        if user in self.users or len(self.users) >= MOST_AT_ONCE:
            raise RateLimitedError(WAIT_S)
        self.users.add(user)


_open = Open()


@get(
    "/",
    summary="Everything of yours, as JSON or a zip of CSV files",
    opt={"limit": "export", "also_sent": ["application/zip"]},
    responses={
        **told(400),
        200: ResponseSpec(Export, generate_examples=False, description="format=csv: application/zip."),
    },
)
async def export(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    written_as: Annotated[
        ExportFormat, QueryParameter(name="format", description="csv: a zip, a file for each kind.")
    ] = (ExportFormat.JSON),
    device: Device = None,
) -> Stream:
    """One snapshot, sent as it is read. What was cut off has no `meta.complete`, or is no zip."""
    return await send(services, user, written_as, trace, device)


async def send(
    services: Services, user: str, written_as: ExportFormat, trace: str, device: str | None = None
) -> Stream:
    """The user's export as a file. RateLimitedError while there is another, UnauthorizedError for who was erased."""
    _open.enter(user)
    try:
        async with services.engine.begin() as connection:
            await refuse_erased(connection, user)
            line = Line(user, services.clock(), Audited.EXPORTED, trace, written_as.value, device=device)
            await audit.record(connection, line)
    except BaseException:
        _open.users.discard(user)
        raise
    pieces = _pieces(services, user, written_as)
    first = await anext(pieces)  # what goes wrong before anything is sent is answered as an error
    kind, ending = ("application/json", "json") if written_as is ExportFormat.JSON else ("application/zip", "zip")
    day = services.clock().strftime("%Y-%m-%d")
    headers = {"content-disposition": f'attachment; filename="gigz-{day}.{ending}"'}
    return Stream(_all(first, pieces), media_type=kind, headers=headers)


async def _pieces(services: Services, user: str, written_as: ExportFormat) -> AsyncIterator[bytes]:
    """Begun before the answer is: so its end comes, and gives everything back, even if nobody ever reads it."""
    try:
        async with snapshot(services.engine, user) as taken:
            pieces = json_document(taken) if written_as is ExportFormat.JSON else zip_of_csv(taken)
            async for piece in pieces:
                yield piece
    finally:
        _open.users.discard(user)


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        if piece:
            yield piece


router = Router("/v1/export", route_handlers=[export], opt={"credential": "bearer"}, tags=["account"])
