"""GET /v1/journal/stats, /v1/artists/{id}/history, /v1/venues/{id}/history: a user's shows, counted by ClickHouse.

A decision is in the figures as soon as the sink wrote it, seconds after it was made. Of each pair of entry and concert
the last word counts, as in the journal. Facts are those of the concerts now, else what was shown at the decision.
Statements are not logged there: a log would keep the user's id.
"""

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any
from uuid import UUID

import structlog
from clickhouse_connect.driver.exceptions import Error as ClickHouseError
from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, PathParameter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text

from api.answers import TAKE, Answer, Cursor, PageMeta, Take, cursor_of, place_of, plain
from api.errors import NotFoundError, UnavailableError, told
from api.services import Services
from deploy.settings import SettingsError
from schemas.reference import Artist, Venue

log = structlog.get_logger()

LIMIT_S = 4.0
TOP = 10

SHOWS = """
WITH decided AS (
    SELECT entry_id, suggestion_id, argMax(
        tuple(action, concert_id, artist, night, venue, city, country, body), version) AS last
    FROM decisions_history WHERE user_id = {user:String} AND is_deleted = 0 GROUP BY entry_id, suggestion_id
), confirmed AS (
    SELECT last.2 AS concert, last.3 AS artist, last.4 AS night, last.5 AS venue, last.6 AS city, last.7 AS country,
        last.8 AS body
    FROM decided WHERE last.1 = 'confirmed' ORDER BY concert LIMIT 1 BY concert
), shows AS (
    SELECT d.concert AS concert, c.concert_id = d.concert AS known, c.artist_key AS artist_key,
        if(known, c.artist, d.artist) AS artist, if(known, c.night, d.night) AS night,
        if(known, c.venue, d.venue) AS venue, if(known, c.city, d.city) AS city,
        if(known, c.country, d.country) AS country, c.venue_id AS venue_id, c.artist_mbid AS mbid,
        if(known, c.lat, JSONExtract(d.body, 'concert', 'place', 'lat', 'Nullable(Float64)')) AS lat,
        if(known, c.lon, JSONExtract(d.body, 'concert', 'place', 'lon', 'Nullable(Float64)')) AS lon,
        if(known AND notEmpty(c.songs), c.songs, JSONExtract(d.body, 'concert', 'songs', 'Array(String)')) AS songs
    FROM confirmed AS d
    LEFT JOIN (
        SELECT concert_id, artist_key, artist, night, venue, city, country, venue_id, artist_mbid, lat, lon, songs
        FROM concerts FINAL WHERE concert_id IN (SELECT concert FROM confirmed)
    ) AS c ON c.concert_id = d.concert
)
"""
STATS = (
    SHOWS
    + """
SELECT count() AS number, sumMap([toYear(night)], [1]), sumMap([artist], [1]),
    sumMapIf([concat(venue, '\\0', city)], [1], venue != ''),
    sumMap(arrayMap(song -> concat(song, '\\0', artist), arrayDistinct(songs)),
        arrayMap(song -> 1, arrayDistinct(songs))),
    arraySort(groupArrayIf(tuple(night, assumeNotNull(lon), assumeNotNull(lat)), lat IS NOT NULL AND lon IS NOT NULL))
        AS path,
    arraySum(arrayMap((one, other) -> geoDistance(one.2, one.3, other.2, other.3),
        arrayPopBack(path), arrayPopFront(path))) / 1000
FROM shows
"""
)
"""One row, since a subquery is run again wherever it is named: keys (two parts by NUL) and counts, and kilometres."""
HISTORY = (
    SHOWS
    + """
SELECT concert, artist, night, venue, city, country, songs, count() OVER () AS total,
    min(night) OVER () AS first, max(night) OVER () AS last
FROM shows WHERE """
)
PAGE = " ORDER BY night DESC, concert LIMIT {most:UInt32} OFFSET {skip:UInt32}"
OF_ARTIST = """
({key:String} != '' AND artist_key = {key:String}) OR has({names:Array(String)}, lowerUTF8(artist))
    OR (mbid IS NOT NULL AND toString(mbid) = {mbid:String})
"""
OF_VENUE = """
(venue_id IS NOT NULL AND toString(venue_id) = {id:String})
    OR (has({names:Array(String)}, lowerUTF8(venue)) AND ({city:String} = '' OR lowerUTF8(city) = {city:String}))
"""

ARTIST = text(
    """
    select body from catalogue.artists
    where artist_id = cast(:id as uuid) or body->>'mbid' = cast(:id as text) limit 1
    """
)
BY_KEY = text("select artist from catalogue.concerts where artist_key = :key and not gone limit 1")
VENUE = text("select body from catalogue.venues where venue_id = :id")


class Named(BaseModel):
    """Something, and how many shows."""

    name: str
    shows: int


class NamedVenue(Named):
    """A venue, and how many shows."""

    city: str | None = None


class NamedSong(BaseModel):
    """A song, and at how many shows it was heard."""

    song: str
    artist: str
    shows: int


class Stats(BaseModel):
    """A user's shows, counted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "shows": 2,
                    "artists": 1,
                    "venues": 2,
                    "years": [{"name": "1994", "shows": 2}],
                    "top_artists": [{"name": "Radiohead", "shows": 2}],
                    "top_venues": [{"name": "Astoria", "city": "London", "shows": 1}],
                    "top_songs": [{"song": "Creep", "artist": "Radiohead", "shows": 2}],
                    "distance_km": 58.4,
                }
            ]
        }
    )

    shows: int
    artists: int
    venues: int
    years: list[Named] = Field(description="Earliest first.")
    top_artists: list[Named] = Field(description="Most shows first, ten at most, as are these:")
    top_venues: list[NamedVenue]
    top_songs: list[NamedSong] = Field(description="Most heard first.")
    distance_km: float = Field(
        description="From each show to the next, as the crow flies, where both places are known."
    )


class HeardShow(BaseModel):
    """A show of a history."""

    concert_id: UUID
    artist: str
    night: date
    venue: str | None = None
    city: str | None = None
    country: str | None = None
    songs: int = Field(description="How many are known to have been played.")


class ShowHistory(BaseModel):
    """The user's shows of an artist or at a venue, latest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Radiohead",
                    "shows": 1,
                    "first": "1994-08-27",
                    "last": "1994-08-27",
                    "items": [
                        {
                            "concert_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33",
                            "artist": "Radiohead",
                            "night": "1994-08-27",
                            "venue": "Little John's Farm",
                            "city": "Reading",
                            "country": "GB",
                            "songs": 2,
                        }
                    ],
                }
            ]
        }
    )

    name: str
    shows: int = Field(description="In all, not of this page.")
    first: date | None = None
    last: date | None = None
    items: list[HeardShow]


class HistoryPage(BaseModel):
    """A part of a history."""

    data: ShowHistory
    meta: PageMeta


@get("/stats", summary="Your shows, counted", responses=told(503))
async def stats(services: NamedDependency[Services], user: NamedDependency[str]) -> Answer[Stats]:
    """By year, artist, venue; the song most heard; the distance travelled."""
    return Answer(data=await count(services, user))


async def count(services: Services, user: str) -> Stats:
    """The user's shows, counted. UnavailableError when ClickHouse does not answer."""
    ((shows, years, artists, venues, songs, _, km),) = await ask(services, STATS, {"user": user})
    by_artist = _folded(artists)
    by_venue = _folded(venues)
    return Stats(
        shows=shows,
        artists=len(by_artist),
        venues=len(by_venue),
        years=[Named(name=str(year), shows=number) for year, number in sorted(zip(*years, strict=True))],
        top_artists=[Named(name=name, shows=number) for (name,), number in _most(by_artist)],
        top_venues=[NamedVenue(name=name, city=city or None, shows=n) for (name, city), n in _most(by_venue)],
        top_songs=[NamedSong(song=song, artist=who, shows=n) for (song, who), n in _most(_folded(songs))],
        distance_km=round(km, 1),
    )


def _folded(counted: tuple[Sequence[str], Sequence[int]]) -> list[tuple[tuple[str, ...], int]]:
    """Counts of what is the same but for capitals, under the first of its spellings."""
    found: dict[str, tuple[str, int]] = {}
    for name, number in sorted(zip(*counted, strict=True)):
        spelling, before = found.get(name.lower(), (name, 0))
        found[name.lower()] = spelling, before + number
    return [(tuple(spelling.split("\0")), number) for spelling, number in found.values()]


def _most(counted: list[tuple[tuple[str, ...], int]]) -> list[tuple[tuple[str, ...], int]]:
    return sorted(counted, key=lambda one: (-one[1], one[0]))[:TOP]


ArtistId = Annotated[
    str,
    PathParameter(
        max_length=300, description="Of GET /v1/search/artists, a MusicBrainz id, or the `artist_key` of a concert."
    ),
]


@get(
    "/artists/{artist_id:str}/history",
    summary="Your shows of an artist",
    responses=told(400, 404, 503, missing=["artist"]),
)
async def artist_history(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    artist_id: ArtistId,
    take: Take = TAKE,
    cursor: Cursor = None,
) -> HistoryPage:
    """Under any of the artist's names."""
    plain("artist_id", artist_id)
    name, asked = await _artist(services, artist_id)
    return await _history(services, name, OF_ARTIST, asked | {"user": user}, take, cursor)


@get(
    "/venues/{venue_id:uuid}/history", summary="Your shows at a venue", responses=told(400, 404, 503, missing=["venue"])
)
async def venue_history(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    venue_id: FromPath[UUID],
    take: Take = TAKE,
    cursor: Cursor = None,
) -> HistoryPage:
    """Under any of the venue's names."""
    async with services.engine.connect() as connection:
        body = await connection.scalar(VENUE, {"id": venue_id})
    if body is None:
        raise NotFoundError("venue", f"There is no venue {venue_id}. Look for it with GET /v1/search/venues.")
    venue = Venue.model_validate(body)
    asked = {
        "user": user,
        "id": str(venue_id),
        "names": sorted({venue.name.lower(), *(one.name.lower() for one in venue.names)}),
        "city": (venue.place.city or "").lower(),
    }
    return await _history(services, venue.name, OF_VENUE, asked, take, cursor)


async def _artist(services: Services, given: str) -> tuple[str, dict[str, Any]]:
    """The artist's name, and what its shows are found by. NotFoundError."""
    async with services.engine.connect() as connection:
        if (one := _uuid(given)) is not None:
            body = await connection.scalar(ARTIST, {"id": str(one)})
            if body is not None:
                artist = Artist.model_validate(body)
                names = sorted({artist.name.lower(), *(alias.lower() for alias in artist.aliases)})
                return artist.name, {"names": names, "mbid": str(artist.mbid or ""), "key": ""}
        name = await connection.scalar(BY_KEY, {"key": given})
    if name is None:
        raise NotFoundError("artist", f"There is no artist {given[:60]!r}. Look for it with GET /v1/search/artists.")
    return name, {"names": [], "mbid": "", "key": given}


def _uuid(given: str) -> UUID | None:
    try:
        return UUID(given)
    except ValueError:
        return None


async def _history(
    services: Services, name: str, condition: str, asked: dict[str, Any], take: int, cursor: str | None
) -> HistoryPage:
    (skip,) = place_of(cursor, int) if cursor else (0,)
    skip = min(max(skip, 0), 1_000_000)
    rows = await ask(services, HISTORY + condition + PAGE, asked | {"most": take + 1, "skip": skip})
    items = [
        HeardShow(
            concert_id=row[0],
            artist=row[1],
            night=row[2],
            venue=row[3] or None,
            city=row[4] or None,
            country=row[5] or None,
            songs=len(row[6]),
        )
        for row in rows[:take]
    ]
    total, first, last = (int(rows[0][7]), rows[0][8], rows[0][9]) if rows else (0, None, None)
    history = ShowHistory(name=name, shows=total, first=first, last=last, items=items)
    following = cursor_of([skip + take]) if len(rows) > take else None
    return HistoryPage(data=history, meta=PageMeta(next_cursor=following, take=take))


async def ask(services: Services, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of ClickHouse. UnavailableError when it does not answer in time."""
    try:
        async with asyncio.timeout(LIMIT_S):
            client = await services.clickhouse()
            answer = await client.query(query, parameters=parameters, settings={"log_queries": 0})
    except (SettingsError, ClickHouseError, OSError, TimeoutError) as error:
        log.error("clickhouse_away", error=type(error).__name__, why=_without_values(error))
        raise UnavailableError("The figures cannot be counted just now. Try again in a moment.") from error
    return [tuple(row) for row in answer.result_rows]


def _without_values(error: Exception) -> str:
    """ClickHouse repeats what it was sent, which names a user: only its code goes into the log."""
    words = str(error)
    return words[words.find("Code:") :][:12] if "Code:" in words else type(error).__name__


router = Router(
    "/v1",
    route_handlers=[artist_history, venue_history],
    opt={"credential": "bearer"},
    tags=["journal"],
)
stats_router = Router("/v1/journal", route_handlers=[stats], opt={"credential": "bearer"}, tags=["journal"])
