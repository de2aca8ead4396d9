"""/journal: the shows that a user was at, as a time line, as figures and on a map.

PostgreSQL answers everything of what was confirmed, as it is now. ClickHouse adds what it alone counts, the way from
show to show and the songs heard most: it is asked at the same time, and the page waits no longer than FIGURES_S for it.

Filters    part of a name, as GET /v1/journal has it; in quotation marks the whole name and nothing else, which is what
           links of the page use. The years show what fits artist and place in every year, all else the year as well.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.response import Template
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import plain
from api.entries import anywhere, read_counts
from api.errors import AnyRequest, UnavailableError
from api.journal import BRIEF, JournalShow, chosen, read_shows
from api.listening import Stats, count
from api.pages import maps, pictures
from api.pages.frame import show
from api.pages.notices import read_notice
from api.services import Caller, Services

TAKE = 25
TOP = 10
MOST_TOWNS = 400
"""On the map; more circles could not be told apart."""
FIGURES_S = 1.0
LONGEST = 2_100
"""Of a filter: the longest name that a concert can have, in quotation marks."""

OVERVIEW = text(
    BRIEF  # noqa: S608 - of constants
    + """
, fitting as materialized (
    select distinct on (concert_id) concert_id, cast(extract(year from night) as int) as year, artist, venue, city,
        place->>'country' as country, cast(place->>'lat' as float8) as lat, cast(place->>'lon' as float8) as lon
    from shows
    where (cast(:artist as text) is null or artist ilike :artist)
        and (cast(:venue as text) is null or venue ilike :venue or city ilike :venue)
    order by concert_id
), chosen as (
    select * from fitting where cast(:year as int) is null or year = :year
), years as (
    select year, count(*) as shows from fitting group by year
), artists as (
    select min(artist) as name, count(*) as shows from chosen group by lower(artist)
), venues as (
    select min(venue) as name, min(city) as town, count(*) as shows from chosen
    where venue is not null group by lower(venue), lower(city)
), towns as (
    select min(city) as name, country, count(*) as shows, avg(lat) as lat, avg(lon) as lon
    from chosen where city is not null group by lower(city), country
)
select (select count(*) from chosen) as shows, (select count(*) from artists) as artists,
    (select count(*) from venues) as venues, (select count(*) from towns) as cities,
    (select count(*) from (select distinct country from chosen where country is not null) countries) as countries,
    coalesce((select jsonb_object_agg(year, shows) from years), '{}') as years,
    coalesce((select jsonb_agg(top) from (
        select * from artists order by shows desc, name limit :top) top), '[]') as top_artists,
    coalesce((select jsonb_agg(top) from (
        select * from venues order by shows desc, name, town limit :top) top), '[]') as top_venues,
    coalesce((select jsonb_agg(top) from (
        select * from towns order by shows desc, name limit :towns) top), '[]') as towns
"""
)

Year = Annotated[str, QueryParameter(name="year", pattern=r"^(|19\d\d|2[01]\d\d)$")]
Artist = Annotated[str, QueryParameter(name="artist", max_length=LONGEST)]
Venue = Annotated[str, QueryParameter(name="venue", max_length=LONGEST)]
Cursor = Annotated[str, QueryParameter(name="cursor", max_length=1_000)]
Did = Annotated[str, QueryParameter(name="did", max_length=20)]


@dataclass(frozen=True)
class Chosen:
    """Which shows; nothing given: all. As it was typed."""

    year: int | None = None
    artist: str = ""
    venue: str = ""

    @property
    def filtered(self) -> bool:
        """Whether it is a part only."""
        return bool(self.year or self.artist or self.venue)

    def address(self, **otherwise: Any) -> str:
        """Of the journal with this filter, or with one that is partly another: year=2014, artist="Low"."""
        told = {"year": self.year, "artist": self.artist, "venue": self.venue} | otherwise
        query = urlencode({name: value for name, value in told.items() if value})
        return "/journal" + (f"?{query}" if query else "")

    def asked(self, user: str) -> dict[str, Any]:
        """As the statements take it. InvalidError."""
        return chosen(user, self.year, pattern("artist", self.artist), pattern("venue", self.venue))


@dataclass(frozen=True)
class Top:
    """A name, and at how many shows."""

    name: str
    shows: int
    town: str | None = None


@dataclass(frozen=True)
class Overview:
    """Of all that was chosen, not of this page."""

    shows: int
    artists: int
    venues: int
    cities: int
    countries: int
    years: dict[int, int]
    """Whatever year was chosen."""
    top_artists: tuple[Top, ...]
    top_venues: tuple[Top, ...]
    towns: tuple[Top, ...]
    """Those that are known, those without coordinates among them; `town` is the country's code."""
    spots: tuple[maps.Spot, ...]
    """Those with coordinates."""


@get("/journal", include_in_schema=False)
async def journal(
    request: AnyRequest,
    services: NamedDependency[Services],
    year: Year = "",
    artist: Artist = "",
    venue: Venue = "",
    cursor: Cursor = "",
    did: Did = "",
    which: FromQuery[UUID | None] = None,
) -> Template:
    """The time line, and what there is to see of all of it."""
    caller: Caller = request.user
    wanted = Chosen(int(year) if year else None, artist.strip(), venue.strip())
    # Two connections: of a long life, each of the two takes as long as the other.
    counted, listed, figures = await asyncio.gather(
        _counted(services, caller.user, wanted),
        _listed(services, caller.user, wanted, cursor, did, which),
        asyncio.sleep(0) if wanted.filtered or cursor else _figures(services, caller.user),
    )
    more = {"figures": figures, "wanted": wanted, "cursor": cursor}
    return show(request, services, "journal.html", **counted, **listed, **more)


async def _counted(services: Services, user: str, wanted: Chosen) -> dict[str, Any]:
    async with services.engine.connect() as connection:
        overview = await read_overview(connection, user, wanted)
        nothing = not overview.shows and not wanted.filtered
        waiting = (await read_counts(connection, user, services.clock())).open if nothing else 0
    return {
        "overview": overview,
        "bars": pictures.years(overview.years),
        "map": maps.view(overview.spots),
        "waiting": waiting,
        "share": pictures.share,
        "exactly": exactly,
    }


async def _listed(
    services: Services, user: str, wanted: Chosen, cursor: str, did: str, which: UUID | None
) -> dict[str, Any]:
    async with services.engine.connect() as connection:
        shows, following = await read_shows(connection, wanted.asked(user), TAKE, cursor or None)
        notice = await read_notice(connection, user, did, which)
    return {
        "years": by_year(shows),
        "following": following and wanted.address(cursor=following),
        "notice": notice,
        "here": wanted.address(cursor=cursor),
    }


async def read_overview(connection: AsyncConnection, user: str, wanted: Chosen) -> Overview:
    """Everything that is counted of what was chosen, by one statement."""
    asked = wanted.asked(user) | {"top": TOP, "towns": MOST_TOWNS}
    row = (await connection.execute(OVERVIEW, asked)).one()
    return Overview(
        shows=row.shows,
        artists=row.artists,
        venues=row.venues,
        cities=row.cities,
        countries=row.countries,
        years={int(one): shows for one, shows in row.years.items()},
        top_artists=tuple(Top(one["name"], one["shows"]) for one in row.top_artists),
        top_venues=tuple(Top(one["name"], one["shows"], one["town"]) for one in row.top_venues),
        towns=tuple(Top(one["name"], one["shows"], one["country"]) for one in row.towns),
        spots=tuple(
            maps.Spot(one["name"], one["country"], one["shows"], one["lat"], one["lon"])
            for one in row.towns
            if one["lat"] is not None and one["lon"] is not None
        ),
    )


async def _figures(services: Services, user: str) -> Stats | None:
    """What ClickHouse counts; None when it does not answer in time."""
    try:
        return await asyncio.wait_for(count(services, user), FIGURES_S)
    except (UnavailableError, TimeoutError):
        return None


def pattern(name: str, typed: str) -> str | None:
    """What was typed as a pattern of LIKE: part of a name, or all of it in quotation marks. InvalidError.

    >>> pattern("artist", "low"), pattern("artist", '"Low"'), pattern("artist", "")
    ('%low%', 'Low', None)
    """
    told = plain(name, typed) or ""
    if len(told) > 2 and told[0] == told[-1] == '"':
        return anywhere(told[1:-1])[1:-1]
    return anywhere(told) if told else None


def exactly(name: str) -> str:
    """A filter that this name alone fits."""
    return f'"{name}"'


def by_year(shows: Sequence[JournalShow]) -> list[tuple[int, list[JournalShow]]]:
    """Shows under their years, in the order that they come."""
    return [(year, list(one)) for year, one in groupby(shows, key=lambda show: show.concert.night.year)]


handlers = [journal]
