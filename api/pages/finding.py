"""/search: any show, artist or place that is known, and the user's own journal, by any of their words.

All words count and typing mistakes are forgiven (Meilisearch). Where nothing has them all, what has most of them is
shown, and said to be that. The journal is searched in PostgreSQL, so that it is found while Meilisearch is away.
"""

import asyncio
import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.response import Template
from sqlalchemy import text

from api.answers import plain
from api.entries import anywhere
from api.errors import AnyRequest, UnavailableError
from api.journal import BRIEF
from api.pages.frame import show
from api.pages.journal import Did
from api.pages.notices import read_notice
from api.pages.show import Other, mine
from api.search import ARTISTS, CONCERTS, VENUES, Found, FoundArtist, FoundVenue, find
from api.services import Caller, Services

TAKE = 20
FEW = 5
"""Artists, venues and shows of the journal: the concerts are what is looked for."""
MOST_WORDS = 12
"""Of what was typed that the journal is searched for."""

JOURNAL = text(
    BRIEF
    + """
select shows.suggestion_id, night, artist, venue, city from shows
left join state.journal kept on kept.user_id = :user and kept.entry_id = shows.entry_id
where (cast(:year as int) is null or extract(year from night) = :year)
    and (cast(:country as text) is null or place->>'country' = :country)
    and regexp_replace(normalize(concat_ws(' ', artist, venue, city, festival, night, kept.note), NFKD),
        '[\u0300-\u036f]', '', 'g') ilike all(cast(:words as text[]))
order by night desc, suggestion_id
limit :most
"""
)

Words = Annotated[str, QueryParameter(name="q", max_length=500)]
Town = Annotated[str, QueryParameter(name="place", max_length=200)]
Typed = Annotated[str, QueryParameter(name="year", max_length=20)]
"""A year while it is typed: 20, 201, 2014."""
Country = Annotated[str, QueryParameter(name="country", pattern="^([A-Z]{2})?$")]


@dataclass(frozen=True)
class Asked:
    """What is looked for, as it was typed."""

    words: str = ""
    place: str = ""
    year: str = ""
    country: str = ""

    @property
    def every(self) -> str:
        """Words of the show and of its place."""
        return f"{self.words} {self.place}".strip()

    @property
    def address(self) -> str:
        """Of this search."""
        told = {"q": self.words, "place": self.place, "year": self.year, "country": self.country}
        query = urlencode({name: value for name, value in told.items() if value})
        return "/search" + (f"?{query}" if query else "")


@dataclass(frozen=True)
class Answers:
    """What Meilisearch found."""

    concerts: tuple[Found, ...] = ()
    artists: tuple[FoundArtist, ...] = ()
    venues: tuple[FoundVenue, ...] = ()
    near: bool = False
    """No concert has all the words; these have most of them."""
    more: bool = False
    """There are more concerts than are shown."""


@get("/search", include_in_schema=False)
async def search(
    request: AnyRequest,
    services: NamedDependency[Services],
    words: Words = "",
    place: Town = "",
    year: Typed = "",
    country: Country = "",
    did: Did = "",
    which: FromQuery[UUID | None] = None,
) -> Template:
    """What is found as one types."""
    caller: Caller = request.user
    year = year.strip()
    whole = year if re.fullmatch(r"19\d\d|2[01]\d\d", year) else ""
    asked = Asked((plain("q", words) or "").strip(), (plain("place", place) or "").strip(), whole, country)
    answers: Answers | None = Answers()
    own: list[Other] = []
    if asked.every:
        answers, own = await asyncio.gather(_ask(services, asked), _journal(services, caller.user, asked))
    async with services.engine.connect() as connection:
        found = [UUID(one.concert_id) for one in answers.concerts] if answers else []
        known = await mine(connection, caller.user, found)
        notice = await read_notice(connection, caller.user, did, which)
    if answers is not None:  # below, these are marked as the user's
        own = [one for one in own if one.suggestion_id not in known.values()][:FEW]
    return show(
        request,
        services,
        "search.html",
        asked=asked,
        answers=answers,
        own=own,
        known={str(concert): one for concert, one in known.items()},
        nights={one.concert_id: date.fromisoformat(one.night) for one in answers.concerts} if answers else {},
        year=year,
        notice=notice,
        today=services.clock().date().isoformat(),
        here=asked.address,
    )


async def find_concerts(
    services: Services, words: str, filters: dict[str, str | int | None], take: int = TAKE
) -> tuple[list[Found], bool, bool]:
    """Concerts that have all the words, else most of them; whether it is the latter; whether there are more.

    UnavailableError when Meilisearch does not answer.
    """
    hits, meta = await find(services, CONCERTS, words, filters, take, None, every=True)
    near = not hits
    if near:
        hits, meta = await find(services, CONCERTS, words, filters, take, None)
    return [Found.model_validate(hit) for hit in hits], near, meta.next_cursor is not None


async def _ask(services: Services, asked: Asked) -> Answers | None:
    """None when Meilisearch does not answer."""
    country: dict[str, str | int | None] = {"country": asked.country or None}
    of_concerts = country | {"year": int(asked.year) if asked.year else None}
    try:
        (concerts, near, more), artists, venues = await asyncio.gather(
            find_concerts(services, asked.every, of_concerts),
            _hits(services, ARTISTS, asked.words, country),
            _hits(services, VENUES, asked.every, country),
        )
    except UnavailableError:
        return None
    return Answers(
        concerts=tuple(concerts),
        artists=tuple(FoundArtist.model_validate(hit) for hit in artists),
        venues=tuple(FoundVenue.model_validate(hit) for hit in venues),
        near=near and bool(concerts),
        more=more,
    )


async def _hits(
    services: Services, index: str, words: str, filters: dict[str, str | int | None]
) -> list[dict[str, Any]]:
    if not words:
        return []
    hits, _meta = await find(services, index, words, filters, FEW, None, every=True)
    return hits


async def _journal(services: Services, user: str, asked: Asked) -> list[Other]:
    """The user's own shows that have all the words; no mistakes forgiven."""
    wanted = {
        "user": user,
        "year": int(asked.year) if asked.year else None,
        "country": asked.country or None,
        "words": [anywhere(word) for word in bare(asked.every).split()[:MOST_WORDS]],
        "most": TAKE,
    }
    async with services.engine.connect() as connection:
        rows = await connection.execute(JOURNAL, wanted)
        return [Other(row.suggestion_id, row.artist, row.night, row.venue, row.city) for row in rows]


def bare(typed: str) -> str:
    """Without accents, as the journal is searched: bjork is Björk.

    >>> bare("Björk, Sigur Rós")
    'Bjork, Sigur Ros'
    """
    return "".join(one for one in unicodedata.normalize("NFKD", typed) if not "\u0300" <= one <= "\u036f")


handlers = [search]
