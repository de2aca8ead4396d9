"""GET /v1/suggestions; POST /v1/suggestions/{id}/confirm, dismiss, undo."""

from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, QueryParameter

from api.answers import TAKE, Answer, Cursor, Page, PageMeta, Take, plain
from api.decisions import Wish, decide
from api.entries import EntryView, Filters, Wanted, read_entries
from api.errors import NotFoundError, told
from api.services import Services
from schemas.decision import Action, Decision
from schemas.suggestion import Band

Year = Annotated[int | None, QueryParameter(name="year", ge=1900, le=2200, description="Of a suggested night.")]
Artist = Annotated[str | None, QueryParameter(name="artist", max_length=200, description="Part of a name.")]
Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Yours; the same key gets the same answer, and nothing happens twice.",
    ),
]


@get("/", summary="Entries with what was found for them, best first", responses=told(400))
async def list_suggestions(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    band: FromQuery[Band | None] = None,
    year: Year = None,
    artist: Artist = None,
    wanted: Annotated[Wanted, QueryParameter(name="state")] = Wanted.OPEN,
    take: Take = TAKE,
    cursor: Cursor = None,
) -> Page[EntryView]:
    """One item for each entry: its suggestions with the concerts' facts, sources and reasons."""
    filters = Filters(wanted, band, year, plain("artist", artist))
    async with services.engine.connect() as connection:
        views, following = await read_entries(connection, user, filters, take, cursor)
    return Page(data=views, meta=PageMeta(next_cursor=following, take=take))


@post("/{suggestion_id:str}/confirm", status_code=200, summary="It was this one", responses=told(400, 404, 409))
async def confirm(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    idempotency_key: Key = None,
) -> Answer[Decision]:
    """Confirmed already: the decision as it was made."""
    return Answer(data=await _decide(services, user, trace, suggestion_id, Action.CONFIRMED, idempotency_key))


@post("/{suggestion_id:str}/dismiss", status_code=200, summary="Not this one", responses=told(400, 404, 409))
async def dismiss(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    idempotency_key: Key = None,
) -> Answer[Decision]:
    """Stays dismissed unless its evidence changes materially."""
    return Answer(data=await _decide(services, user, trace, suggestion_id, Action.DISMISSED, idempotency_key))


@post("/{suggestion_id:str}/undo", status_code=200, summary="Take a decision back", responses=told(400, 404, 409))
async def undo(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    idempotency_key: Key = None,
) -> Answer[Decision]:
    """Of this suggestion; at any time."""
    return Answer(data=await _decide(services, user, trace, suggestion_id, Action.UNDONE, idempotency_key))


async def _decide(
    services: Services, user: str, trace: str, suggestion_id: str, action: Action, key: str | None
) -> Decision:
    wish = Wish(user, suggestion_uuid(suggestion_id), action, services.clock(), trace, key)
    return await decide(services.engine, wish, services.settings.outbox_shards)


def suggestion_uuid(given: str) -> UUID:
    """The id in a path. NotFoundError for what cannot be one."""
    try:
        return UUID(given)
    except ValueError as error:
        raise NotFoundError("suggestion", f"There is no suggestion {given[:60]!r}.") from error


router = Router(
    "/v1/suggestions",
    route_handlers=[list_suggestions, confirm, dismiss, undo],
    opt={"credential": "bearer"},
    tags=["suggestions"],
)
