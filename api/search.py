"""GET /v1/search: concerts by any of their words, typing mistakes forgiven."""

import asyncio
from typing import Annotated, Any

import structlog
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from meilisearch.errors import MeilisearchApiError, MeilisearchCommunicationError, MeilisearchTimeoutError
from pydantic import BaseModel

from api.answers import TAKE, Cursor, Page, PageMeta, Take, cursor_of, place_of, plain
from api.errors import UnavailableError, told
from api.services import SEARCH_S, Services
from deploy.settings import SettingsError

log = structlog.get_logger()

INDEX = "concerts"

Words = Annotated[str, QueryParameter(name="q", min_length=1, max_length=500, description="Artist, venue, city …")]
Year = Annotated[int | None, QueryParameter(name="year", ge=1900, le=2200)]
Country = Annotated[str | None, QueryParameter(name="country", pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2.")]
Artist = Annotated[str | None, QueryParameter(name="artist", max_length=200, description="The whole name, as written.")]


class Found(BaseModel):
    """A concert, as far as a list needs it."""

    concert_id: str
    artist: str
    night: str
    venue: str | None = None
    city: str | None = None
    country: str | None = None


@get("/", summary="Concerts by their words", opt={"limit": "search"}, responses=told(400, 503))
async def search_concerts(
    services: NamedDependency[Services],
    words: Words,
    year: Year = None,
    country: Country = None,
    artist: Artist = None,
    take: Take = TAKE,
    cursor: Cursor = None,
) -> Page[Found]:
    """Best match first."""
    (skip,) = place_of(cursor, int) if cursor else (0,)
    options: dict[str, Any] = {"limit": take + 1, "offset": max(skip, 0)}
    wanted = [
        f"{name} = {_quoted(value)}"
        for name, value in (("year", year), ("country", country), ("artist", plain("artist", artist)))
        if value is not None
    ]
    if wanted:
        options["filter"] = wanted
    hits = await _search(services, words, options)
    more = cursor_of([skip + take]) if len(hits) > take else None
    return Page(data=[Found.model_validate(hit) for hit in hits[:take]], meta=PageMeta(next_cursor=more, take=take))


async def _search(services: Services, words: str, options: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        # The client blocks; its own time limit ends the thread.
        answer = await asyncio.wait_for(
            asyncio.to_thread(lambda: services.search.index(INDEX).search(words, options)), SEARCH_S + 1
        )
    except (
        SettingsError,
        MeilisearchApiError,
        MeilisearchCommunicationError,
        MeilisearchTimeoutError,
        TimeoutError,
    ) as error:
        log.error("search_away", why=str(error)[:300])
        raise UnavailableError("The search does not answer. Try again in a moment.") from error
    hits: list[dict[str, Any]] = answer["hits"]
    return hits


def _quoted(value: str | int) -> str:
    """A value of a filter expression."""
    if isinstance(value, int):
        return str(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


router = Router(
    "/v1/search",
    route_handlers=[search_concerts],
    opt={"credential": "bearer"},
    tags=["search"],
)
