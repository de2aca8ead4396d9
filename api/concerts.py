"""GET /v1/concerts/{id}: a show with all its sources.

An id that was given away is answered by the concert that its listing belongs to now: shows merge and part, and what a
client kept must still lead somewhere.
"""

from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import Answer
from api.errors import NotFoundError, told
from api.services import Services
from schemas.concert import Concert, Facts
from schemas.listing import Role

PRESENT = text("select body from catalogue.concerts where concert_id = :id and not gone")
FOLLOWED = text(
    """
    select c.body from state.concerts old
    join state.concert_members held on held.listing_id = old.anchor_listing_id and held.act = old.anchor_act
    join catalogue.concerts c on c.concert_id = held.concert_id and not c.gone
    where old.concert_id = :id
    """
)


class Source(BaseModel):
    """Who tells of the show."""

    source: str
    source_id: str
    act: str = Field(description="The artist as this source writes it.")
    url: str | None = Field(default=None, description="http or https only.")
    listing_id: UUID
    version: int


class ConcertView(Facts):
    """A show, merged from its sources."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "concert_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33",
                    "artist": "Radiohead",
                    "night": "1994-08-27",
                    "place": {"name": "Little John's Farm", "city": "Reading", "country": "GB"},
                    "rev": 2,
                    "artist_key": "radiohead",
                    "vanished": False,
                    "role": "headline",
                    "sources": [
                        {
                            "source": "setlistfm",
                            "source_id": "63de4613",
                            "act": "Radiohead",
                            "url": "https://www.setlist.fm/setlist/63de4613.html",
                            "listing_id": "3c234698-b46e-5d13-9641-1ceb909254ac",
                            "version": 1,
                        }
                    ],
                }
            ]
        }
    )

    concert_id: UUID = Field(description="Its present id.")
    rev: int
    artist_key: str = Field(description="The folded artist: GET /v1/artists/{artist_key}/history.")
    artist_mbid: UUID | None = None
    venue_id: UUID | None = None
    parent: UUID | None = Field(default=None, description="The festival's id, for a festival's concerts.")
    role: Role
    vanished: bool = Field(description="No source shows it any more.")
    sources: list[Source]


@get(
    "/{concert_id:uuid}",
    summary="A show with all its sources",
    responses=told(404, missing=["concert"]),
    opt={"service": True},
)
async def one_concert(services: NamedDependency[Services], concert_id: FromPath[UUID]) -> Answer[ConcertView]:
    """The present one, also by an id it had before."""
    async with services.engine.connect() as connection:
        concert = await present_concert(connection, concert_id)
    if concert is None:
        raise NotFoundError("concert", f"There is no concert {concert_id}. Look for it with GET /v1/search.")
    return Answer(data=_view(concert))


async def present_concert(connection: AsyncConnection, concert_id: UUID) -> Concert | None:
    """The concert of an id, new or old."""
    for query in (PRESENT, FOLLOWED):
        body = await connection.scalar(query, {"id": concert_id})
        if body is not None:
            return Concert.model_validate(body)
    return None


def _view(concert: Concert) -> ConcertView:
    facts = {name: getattr(concert, name) for name in Facts.model_fields}
    kept = ("concert_id", "rev", "artist_key", "artist_mbid", "venue_id", "parent", "role", "vanished")
    sources = [
        Source(
            source=member.source,
            source_id=member.source_id,
            act=member.act,
            url=web(member.url),
            listing_id=member.listing_id,
            version=member.version,
        )
        for member in concert.members
    ]
    return ConcertView.model_validate(facts | {name: getattr(concert, name) for name in kept} | {"sources": sources})


def web(url: str | None) -> str | None:
    """An address that a browser should follow."""
    return url if url and url.lower().startswith(("http://", "https://")) else None


router = Router("/v1/concerts", route_handlers=[one_concert], opt={"credential": "bearer"}, tags=["catalogue"])
