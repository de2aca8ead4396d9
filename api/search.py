"""GET /v1/search, /v1/search/artists, /v1/search/venues: by any of their words, typing mistakes forgiven."""

import asyncio
from typing import Annotated, Any

import structlog
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from meilisearch.errors import MeilisearchApiError, MeilisearchCommunicationError, MeilisearchTimeoutError
from pydantic import BaseModel, ConfigDict, Field

from api.answers import TAKE, Cursor, Page, PageMeta, Take, Year, cursor_of, place_of, plain
from api.errors import UnavailableError, told
from api.services import SEARCH_S, Services
from deploy.settings import SettingsError

log = structlog.get_logger()

CONCERTS, ARTISTS, VENUES = "concerts", "artists", "venues"

Words = Annotated[str, QueryParameter(name="q", min_length=1, max_length=500, description="Artist, venue, city …")]
Country = Annotated[str | None, QueryParameter(name="country", pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2.")]
Artist = Annotated[str | None, QueryParameter(name="artist", max_length=200, description="The whole name, as written.")]
City = Annotated[str | None, QueryParameter(name="city", max_length=200, description="The whole name, as written.")]


def _example(one: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [one]})


class Found(BaseModel):
    """A concert, as far as a list needs it."""

    model_config = _example(
        {
            "concert_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33",
            "artist": "Radiohead",
            "night": "1994-08-27",
            "venue": "Little John's Farm",
            "city": "Reading",
            "country": "GB",
        }
    )

    concert_id: str
    artist: str
    artist_key: str | None = Field(default=None, description="GET /v1/artists/{artist_key}/history.")
    night: str
    title: str | None = None
    festival: str | None = None
    venue: str | None = None
    city: str | None = None
    country: str | None = None


class FoundArtist(BaseModel):
    """An artist, as far as a list needs it."""

    model_config = _example(
        {"artist_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33", "name": "Radiohead", "country": "GB", "aliases": []}
    )

    artist_id: str
    name: str
    aliases: list[str] = []
    country: str | None = None
    disambiguation: str | None = None
    mbid: str | None = None


class FoundVenue(BaseModel):
    """A venue, as far as a list needs it."""

    model_config = _example(
        {"venue_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33", "name": "Astoria", "city": "London", "country": "GB"}
    )

    venue_id: str
    name: str
    names: list[str] = Field(default=[], description="Other and former ones.")
    city: str | None = None
    region: str | None = None
    country: str | None = None


@get("/", summary="Concerts by their words", opt={"limit": "search", "service": True}, responses=told(400, 503))
async def search_concerts(
    services: NamedDependency[Services],
    words: Words,
    year: Year = None,
    country: Country = None,
    artist: Artist = None,
    city: City = None,
    take: Take = TAKE,
    cursor: Cursor = None,
) -> Page[Found]:
    """Best match first."""
    filters = {"year": year, "country": country, "artist": plain("artist", artist), "city": plain("city", city)}
    hits, meta = await find(services, CONCERTS, words, filters, take, cursor)
    return Page(data=[Found.model_validate(hit) for hit in hits], meta=meta)


@get("/artists", summary="Artists by their names", opt={"limit": "search", "service": True}, responses=told(400, 503))
async def search_artists(
    services: NamedDependency[Services],
    words: Words,
    country: Country = None,
    take: Take = TAKE,
    cursor: Cursor = None,
) -> Page[FoundArtist]:
    """Under any of their names; best match first."""
    hits, meta = await find(services, ARTISTS, words, {"country": country}, take, cursor)
    return Page(data=[FoundArtist.model_validate(hit) for hit in hits], meta=meta)


@get(
    "/venues",
    summary="Venues by their names and towns",
    opt={"limit": "search", "service": True},
    responses=told(400, 503),
)
async def search_venues(
    services: NamedDependency[Services],
    words: Words,
    country: Country = None,
    city: City = None,
    take: Take = TAKE,
    cursor: Cursor = None,
) -> Page[FoundVenue]:
    """Under any of their names; best match first."""
    hits, meta = await find(services, VENUES, words, {"country": country, "city": plain("city", city)}, take, cursor)
    return Page(data=[FoundVenue.model_validate(hit) for hit in hits], meta=meta)


async def find(
    services: Services,
    index: str,
    words: str,
    filters: dict[str, str | int | None],
    take: int,
    cursor: str | None,
    *,
    every: bool = False,
) -> tuple[list[dict[str, Any]], PageMeta]:
    """Documents of an index, best match first, and where the list goes on. UnavailableError when it does not answer.

    `every`: only what has all the words; else the last ones may be missing.
    """
    plain("q", words)
    (skip,) = place_of(cursor, int) if cursor else (0,)
    skip = max(skip, 0)
    options: dict[str, Any] = {"limit": take + 1, "offset": skip}
    if every:
        options["matchingStrategy"] = "all"
    wanted = [f"{name} = {_quoted(value)}" for name, value in filters.items() if value is not None]
    if wanted:
        options["filter"] = wanted
    hits = await _search(services, index, words, options)
    more = cursor_of([skip + take]) if len(hits) > take else None
    return hits[:take], PageMeta(next_cursor=more, take=take)


async def _search(services: Services, index: str, words: str, options: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        # The client blocks; its own time limit ends the thread.
        answer = await asyncio.wait_for(
            asyncio.to_thread(lambda: services.search.index(index).search(words, options)), SEARCH_S + 1
        )
    except (
        SettingsError,
        MeilisearchApiError,
        MeilisearchCommunicationError,
        MeilisearchTimeoutError,
        TimeoutError,
    ) as error:
        # Its text repeats what was looked for.
        log.error("search_away", error=type(error).__name__, code=getattr(error, "code", None))
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
    route_handlers=[search_concerts, search_artists, search_venues],
    opt={"credential": "bearer"},
    tags=["search"],
)
