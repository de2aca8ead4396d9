"""GET /v1/friends/shows and GET /v1/concerts/{id}/friends: what friends show each other, and nobody else.

Friendship, what is confirmed and what is shown are read by the one statement that answers: whoever ends or hides
something is not seen from the next request on. A show that its owner confirmed on several lines is shown only if none
of them is hidden. Nothing of the owner's own lines is in the answer: no entry, no company, no reason, and of a show
that no source knows no coordinates; note and rating only where the owner shares them with the show.
"""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text

from api.answers import TAKE, Cursor, Page, PageMeta, Take, Year, cursor_of, place_of, plain
from api.asked import NO_NUL
from api.errors import Detail, InvalidError, NotFoundError, told
from api.services import Services
from schemas.concert import Facts
from schemas.decision import Decision

# Friends who show nothing at all are left out first: most of a journal is private. Bodies are read for the page alone.
_FRIENDS = """
with friends as (
    select mine.other_id as friend from state.follows mine
    join state.follows theirs on theirs.user_id = mine.other_id and theirs.other_id = mine.user_id
    where mine.user_id = :user
        and (cast(:friend as text) is null or mine.other_id = :friend)
        and not exists (select from state.blocks b where (b.user_id, b.other_id) = (mine.user_id, mine.other_id)
            or (b.user_id, b.other_id) = (mine.other_id, mine.user_id))
        and (exists (select from state.preferences p where p.user_id = mine.other_id and p.journal = 'friends')
            or exists (select from state.journal k where k.user_id = mine.other_id and k.visibility = 'friends'))
)"""
_SHOWN = """
, last as (
    select distinct on (d.user_id, d.entry_id, d.suggestion_id)
        d.user_id, d.entry_id, d.suggestion_id, d.concert_id, d.action, d.decision_id
    from state.decisions d join friends on friends.friend = d.user_id
    where cast(:ids as uuid[]) is null or d.concert_id = any(cast(:ids as uuid[]))
    order by d.user_id, d.entry_id, d.suggestion_id, d.seq desc
), confirmed as (
    select last.user_id as friend, last.entry_id, coalesce(held.concert_id, last.concert_id) as concert_id,
        last.decision_id, coalesce(kept.visibility, wishes.journal, 'private') = 'friends' as shows,
        case when 'note' = any(kept.shared) then kept.note end as note,
        case when 'rating' = any(kept.shared) then kept.rating end as rating
    from last
    left join state.preferences wishes on wishes.user_id = last.user_id
    left join state.journal kept on kept.user_id = last.user_id and kept.entry_id = last.entry_id
    left join state.concerts old on old.concert_id = last.concert_id
    left join state.concert_members held on held.listing_id = old.anchor_listing_id and held.act = old.anchor_act
    where last.action = 'confirmed'
), shown as (
    select friend, concert_id, (array_agg(decision_id order by entry_id))[1] as decision_id,
        (array_agg(note order by entry_id) filter (where note is not null))[1] as note,
        (array_agg(rating order by entry_id) filter (where rating is not null))[1] as rating
    from confirmed group by friend, concert_id having bool_and(shows)
)"""
PAGE = text(
    _FRIENDS  # noqa: S608 - of constants
    + _SHOWN
    + """
, listed as (
    select shown.*, coalesce(now.night, (
        select cast(d.body->'concert'->>'night' as date) from state.decisions d
        where d.decision_id = shown.decision_id)) as night
    from shown left join catalogue.concerts now on now.concert_id = shown.concert_id and not now.gone
), page as (
    select * from listed
    where (cast(:year as int) is null or extract(year from night) = :year)
        and (cast(:before as date) is null or night < :before
            or (night = :before and (friend, concert_id) > (cast(:after as text), cast(:one as uuid))))
    order by night desc, friend, concert_id limit :most
)
select page.*, said.body as said, now.body as concert from page
join state.decisions said on said.decision_id = page.decision_id
left join catalogue.concerts now on now.concert_id = page.concert_id and not now.gone
order by page.night desc, page.friend, page.concert_id
"""
)
SHARED = text(
    _FRIENDS
    + _SHOWN
    + """
select friend, note, rating from shown
where concert_id = :concert and (cast(:after as text) is null or friend > :after) order by friend limit :most
"""
)
IDS = text(
    """
    with present as (
        select coalesce((
            select held.concert_id from state.concerts old
            join state.concert_members held on held.listing_id = old.anchor_listing_id and held.act = old.anchor_act
            where old.concert_id = :id), :id) as concert_id
    )
    select present.concert_id as now, array(
        select old.concert_id from state.concert_members held
        join state.concerts old on old.anchor_listing_id = held.listing_id and old.anchor_act = held.act
        where held.concert_id = present.concert_id union select present.concert_id union select :id) as ids
    from present
    """
)
"""A show's present id, and all that it ever had: decisions are kept under the one of then."""
MINE = text(
    """
    select exists (select from (
        select distinct on (entry_id, suggestion_id) action from state.decisions
        where user_id = :user and concert_id = any(cast(:ids as uuid[])) order by entry_id, suggestion_id, seq desc
    ) last where action = 'confirmed')
    """
)


class FriendShow(BaseModel):
    """A show that a friend was at, and shows."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "friend": "u-2",
                    "concert_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33",
                    "concert": {
                        "artist": "Radiohead",
                        "night": "1994-08-27",
                        "place": {"name": "Little John's Farm", "city": "Reading", "country": "GB"},
                    },
                    "own": False,
                    "rating": 5,
                }
            ]
        }
    )

    friend: str = Field(description="The friend's id.")
    concert_id: UUID
    concert: Facts
    own: bool = Field(description="No source knows it: the friend wrote it.")
    note: str | None = Field(default=None, description="Where the friend shares it.")
    rating: int | None = Field(default=None, description="1 to 5, where the friend shares it.")


class FriendThere(BaseModel):
    """A friend who was there, too."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"friend": "u-2", "rating": 5}]})

    friend: str
    note: str | None = Field(default=None, description="Where the friend shares it.")
    rating: int | None = Field(default=None, description="1 to 5, where the friend shares it.")


Friend = Annotated[
    str | None, QueryParameter(name="friend", max_length=128, pattern=NO_NUL, description="Only this one's.")
]


@get("/shows", summary="Your friends' shows, latest first", responses=told(400))
async def list_friends_shows(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    friend: Friend = None,
    year: Year = None,
    take: Take = TAKE,
    cursor: Cursor = None,
) -> Page[FriendShow]:
    """What they confirmed and show. Somebody who is no friend shows nothing, whoever that is."""
    before, after, one = place_of(cursor, str, str, str) if cursor else (None, None, None)
    asked = {"user": user, "friend": plain("friend", friend), "ids": None, "year": year, "most": take + 1}
    async with services.engine.connect() as connection:
        rows = (await connection.execute(PAGE, asked | _place(before, after, one))).all()
    page = rows[:take]
    more = None
    if len(rows) > take:
        more = cursor_of([page[-1].night.isoformat(), page[-1].friend, str(page[-1].concert_id)])
    return Page(data=[_show(row) for row in page], meta=PageMeta(next_cursor=more, take=take))


@get(
    "/{concert_id:uuid}/friends",
    summary="Who of your friends was at a show of yours",
    responses=told(400, 404, missing=["show"]),
)
async def list_friends_there(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    concert_id: FromPath[UUID],
    take: Take = TAKE,
    cursor: Cursor = None,
) -> Page[FriendThere]:
    """Of a show that you confirmed: those who confirmed it, too, and show it."""
    (after,) = place_of(cursor, str) if cursor else (None,)
    async with services.engine.connect() as connection:
        known = (await connection.execute(IDS, {"id": concert_id})).one()
        if not await connection.scalar(MINE, {"user": user, "ids": known.ids}):
            raise NotFoundError("show", f"The show {concert_id} is not in your journal. Confirm it first.")
        asked = {"user": user, "friend": None, "ids": known.ids, "concert": known.now, "most": take + 1}
        rows = (await connection.execute(SHARED, asked | {"after": plain("cursor", after)})).all()
    more = cursor_of([rows[take - 1].friend]) if len(rows) > take else None
    found = [FriendThere(friend=row.friend, note=row.note, rating=row.rating) for row in rows[:take]]
    return Page(data=found, meta=PageMeta(next_cursor=more, take=take))


def _show(row: Any) -> FriendShow:
    said = Decision.model_validate(row.said)
    facts = Facts.model_validate(row.concert) if row.concert else said.concert
    assert facts is not None
    own = not row.concert and not said.members
    if own:  # typed by the friend, perhaps to the metre
        facts = facts.model_copy(update={"place": facts.place.model_copy(update={"lat": None, "lon": None})})
    return FriendShow(
        friend=row.friend, concert_id=row.concert_id, concert=facts, own=own, note=row.note, rating=row.rating
    )


def _place(before: str | None, after: str | None, one: str | None) -> dict[str, Any]:
    try:
        return {
            "before": before and date.fromisoformat(before),
            "after": plain("cursor", after),
            "one": one and UUID(one),
        }
    except ValueError as error:
        raise InvalidError(
            "The cursor is not valid.",
            [Detail(field="cursor", message="take meta.next_cursor of the answer before, unchanged")],
        ) from error


_SIGNED_IN: dict[str, Any] = {"opt": {"credential": "bearer"}, "tags": ["friends"]}
shows_router = Router("/v1/friends", route_handlers=[list_friends_shows], **_SIGNED_IN)
there_router = Router("/v1/concerts", route_handlers=[list_friends_there], **_SIGNED_IN)
routers = (shows_router, there_router)
