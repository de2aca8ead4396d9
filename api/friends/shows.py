"""GET /v1/friends/shows and GET /v1/concerts/{id}/friends: what friends show each other, and nobody else.

Friendship, what is confirmed and what is shown are read by the one statement that answers: whoever ends or hides
something is not seen from the next request on. A show that its owner confirmed on several lines is shown only if none
of them is hidden. Nothing of the owner's own lines is in the answer: no entry, no company, no reason, and of a show
that no source knows no coordinates; note and rating only where the owner shares them with the show.

Shows are listed by the night as it was confirmed: an index has it, so that a page costs a page from each friend. The
sources may have moved it since; then the answer tells the night of now.
"""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import TAKE, Cursor, Page, PageMeta, Take, Year, cursor_of, place_of, plain
from api.asked import NO_NUL
from api.errors import Detail, InvalidError, NotFoundError, told
from api.services import Services
from schemas.concert import Facts
from schemas.decision import Decision

# Friends who show nothing at all are left out first: most of a journal is private. Bodies are read for the page alone.
_FRIENDS = """
with friends as (
    select mine.other_id as friend,
        exists (select from state.preferences p where p.user_id = mine.other_id and p.journal = 'friends') as shows
    from state.follows mine
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
_NIGHT = "coalesce({}.body #>> '{{concert,night}}', '')"
"""As the index of confirmed decisions has it."""
_LATEST = """
not exists (select from state.decisions later
    where later.user_id = {0}.user_id and later.entry_id = {0}.entry_id and later.seq > {0}.seq
        and later.suggestion_id = {0}.suggestion_id)"""
_PRESENT = """
coalesce((select held.concert_id from state.concerts old
    join state.concert_members held on held.listing_id = old.anchor_listing_id and held.act = old.anchor_act
    where old.concert_id = {0}.concert_id), {0}.concert_id)"""
_NEXT = f"""
    and d.action = 'confirmed' and {_LATEST.format("d")}
    and {_NIGHT.format("d")} between cast(:since as text) and cast(:until as text)
    and (cast(:before as text) is null or {_NIGHT.format("d")} < cast(:before as text)
        or ({_NIGHT.format("d")} = cast(:before as text)
            and (friends.friend, d.decision_id) > (cast(:after as text), cast(:one as uuid))))
    order by night desc, place limit (select number from each)"""  # noqa: S608 - of constants
# From each friend a few lines in the order of the index: `last` is one behind which others of that friend may come. Of
# a friend who shows single shows, these are looked for by what is kept of them. A show on several lines is listed with
# the first of them, and only if none is hidden: `lines` are all that the friend confirmed of it, under whatever id.
_LISTED = f"""
, each as (
    select least(cast(:most as int), 3 + 2 * cast(:most as int) / greatest(1, count(*))) * cast(:times as int) as number
    from friends
), lines_of_each as (
    select friends.friend, friends.shows, near.*, near.number = (select number from each) as last
    from friends cross join lateral (
        select one.*, row_number() over (order by one.night desc, one.place) as number from (
            (
                select d.decision_id as place, d.user_id, d.concert_id, {_NIGHT.format("d")} as night
                from state.decisions d
                where friends.shows and d.user_id = friends.friend and not exists (select from state.journal own
                    where own.user_id = d.user_id and own.entry_id = d.entry_id and own.visibility = 'private')
                {_NEXT}
            ) union all (
                select d.decision_id as place, d.user_id, d.concert_id, {_NIGHT.format("d")} as night
                from (
                    select k.entry_id from state.journal k
                    where k.user_id = friends.friend and k.visibility = 'friends' offset 0
                ) own
                cross join lateral (
                    select * from state.decisions d
                    where d.user_id = friends.friend and d.entry_id = own.entry_id offset 0
                ) d
                where not friends.shows
                {_NEXT}
            )
        ) one
    ) near
), page as (
    select d.friend, d.night, d.place, d.last, present.concert_id, lines.decision_id, lines.note, lines.rating,
        lines.shown and not lines.again as fits
    from lines_of_each d
    cross join lateral (select {_PRESENT.format("d")} as concert_id offset 0) present
    cross join lateral (
        select bool_and(coalesce(kept.visibility = 'friends', d.shows)) as shown,
            bool_or(({_NIGHT.format("o")}, d.place) > (d.night, o.decision_id)) as again,
            (array_agg(o.decision_id order by o.entry_id))[1] as decision_id,
            (array_agg(kept.note order by o.entry_id)
                filter (where kept.note is not null and 'note' = any(kept.shared)))[1] as note,
            (array_agg(kept.rating order by o.entry_id)
                filter (where kept.rating is not null and 'rating' = any(kept.shared)))[1] as rating
        from (
            select was.concert_id from state.concert_members member join state.concerts was
                on was.anchor_listing_id = member.listing_id and was.anchor_act = member.act
            where member.concert_id = present.concert_id
            union select present.concert_id union select d.concert_id
        ) ever
        join state.decisions o on o.concert_id = ever.concert_id and o.user_id = d.user_id and o.action = 'confirmed'
        left join state.journal kept on kept.user_id = o.user_id and kept.entry_id = o.entry_id
        where {_LATEST.format("o")} and {_PRESENT.format("o")} = present.concert_id
    ) lines
)
select page.*, said.body as said, now.body as concert from (
    select * from page where fits or last order by night desc, friend, place limit :most
) page
join state.decisions said on said.decision_id = page.decision_id
left join catalogue.concerts now on now.concert_id = page.concert_id and not now.gone
order by page.night desc, page.friend, page.place
"""  # noqa: S608 - of constants
PAGE = text(_FRIENDS + _LISTED)
_MYSELF = """
with friends as (
    select cast(:user as text) as friend,
        exists (select from state.preferences where user_id = :user and journal = 'friends') as shows
)"""
SEEN = text(_MYSELF + _LISTED)
"""What a friend of the user would see, by the same words."""
SEEN_COUNT = text(
    _MYSELF  # noqa: S608 - of constants
    + _SHOWN
    + """
select (select count(*) from shown) as shown, (select count(distinct concert_id) from confirmed) as confirmed
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
    """What they confirmed and show, by the night as it was confirmed. Somebody who is no friend shows nothing."""
    async with services.engine.connect() as connection:
        return await friends_shows(connection, user, take, cursor, friend, year)


async def friends_shows(
    connection: AsyncConnection,
    user: str,
    take: int,
    cursor: str | None = None,
    friend: str | None = None,
    year: int | None = None,
) -> Page[FriendShow]:
    """What friends of the user show, latest first. InvalidError for a cursor that is none."""
    asked = {"user": user, "friend": plain("friend", friend), "year": year}
    return await _listed(connection, PAGE, asked, take, cursor)


async def shown_to_friends(
    connection: AsyncConnection, user: str, take: int, cursor: str | None = None
) -> Page[FriendShow]:
    """Which shows of the user friends see, latest first. InvalidError for a cursor that is none."""
    return await _listed(connection, SEEN, {"user": user, "year": None}, take, cursor)


async def count_shown(connection: AsyncConnection, user: str) -> tuple[int, int]:
    """How many shows of the user friends see, of how many there are."""
    counted = (await connection.execute(SEEN_COUNT, {"user": user, "ids": None})).one()
    return counted.shown, counted.confirmed


async def _listed(
    connection: AsyncConnection, query: TextClause, asked: dict[str, Any], take: int, cursor: str | None
) -> Page[FriendShow]:
    place = _place(*place_of(cursor, str, str, str) if cursor else (None, None, None))
    asked |= _nights(asked.pop("year"))
    rows: list[Any] = []
    times = 1
    while True:
        most = take + 1 - len(rows)
        found = (await connection.execute(query, asked | place | {"most": most, "times": times})).all()
        # Behind the last line that was read of a friend, others of that friend may come before those of the rest.
        sure = next((number for number, row in enumerate(found, 1) if row.last), len(found))
        rows += [row for row in found[:sure] if row.fits]
        if len(rows) > take or not any(row.last for row in found):
            break
        last = found[sure - 1]
        place, times = {"before": last.night, "after": last.friend, "one": last.place}, 2 * times
    page = rows[:take]
    more = None
    if len(rows) > take:
        more = cursor_of([page[-1].night, page[-1].friend, str(page[-1].place)])
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
    async with services.engine.connect() as connection:
        return await friends_there(connection, user, concert_id, take, cursor)


async def friends_there(
    connection: AsyncConnection, user: str, concert_id: UUID, take: int, cursor: str | None
) -> Page[FriendThere]:
    """Friends at a show of the user's, by their ids. NotFoundError when the user was not there."""
    (after,) = place_of(cursor, str) if cursor else (None,)
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


def _nights(year: int | None) -> dict[str, Any]:
    return {"since": "" if year is None else f"{year}-01-01", "until": f"{year or 9999}-12-31"}


def _place(before: str | None, after: str | None, one: str | None) -> dict[str, Any]:
    try:
        return {
            "before": before and date.fromisoformat(before).isoformat(),
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
