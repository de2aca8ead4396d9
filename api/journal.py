"""GET and POST /v1/journal: the shows that a user confirmed, and what the user keeps of them.

A show is named by its suggestion id. Facts are the catalogue's present ones, else those that were shown when it was
confirmed. Note, rating and company are kept apart from decisions and travel on no topic: nobody else sees them. A show
itself is private, too, until its owner shows it to friends; then note and rating are, where the owner says so for it.

POST writes a show that no source knows, or one that was found by search. Both become a line of the history and its
confirmation, in one transaction: match stores the line, and should a source tell of the show one day, finds it.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID, uuid4

from litestar import Router, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sqlalchemy import func, insert, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from api.answers import TAKE, Answer, Cursor, Take, Year, cursor_of, place_of, plain
from api.asked import WHOLE, Day, East, North, absent, only, rule
from api.audit import Line, record
from api.calls import Call, Device, Key, write_once
from api.concerts import present_concert, web
from api.decisions import STAGE, keep, lock
from api.entries import anywhere, read_decisions
from api.errors import Detail, InvalidError, NotFoundError, told
from api.services import Services
from api.suggestions import suggestion_uuid
from api.verdicts import Wish, conflict, the_confirmed
from schemas import ids
from schemas.concert import Facts, Member
from schemas.decision import Action, Decision
from schemas.history import Entry, EntryOrigin, Remembered
from schemas.listing import Place, Status
from schemas.message import Text, content_hash
from schemas.outgoing import outbox_values, outgoing
from schemas.tables import Audited, JournalRow, OutboxRow, Visibility

OWN = "journal-"
"""How the entry ids of such shows begin."""
EARLIEST = date(1900, 1, 1)
LONGEST_NOTE = 10_000

_LAST = """
with last as (
    select distinct on (entry_id, suggestion_id) entry_id, suggestion_id, concert_id, action, decided_at, decision_id
    from state.decisions where user_id = :user{only}
    order by entry_id, suggestion_id, seq desc
)"""
_NOW = """
    left join catalogue.concerts here on here.concert_id = last.concert_id and not here.gone
    left join state.concerts old on old.concert_id = case when here.concert_id is null then last.concert_id end
    left join state.concert_members held on held.listing_id = old.anchor_listing_id and held.act = old.anchor_act
    left join catalogue.concerts there on there.concert_id = held.concert_id and not there.gone
    cross join lateral (
        select coalesce(here.concert_id, there.concert_id) as concert_id, coalesce(here.night, there.night) as night,
            coalesce(here.artist, there.artist) as artist, coalesce(here.body, there.body) as body
    ) now
"""
"""The catalogue's concert of a decision as `now`: under its id, else as the one that its listing belongs to now.

Null equals nothing: where the first look finds it, indexes are not searched again.
"""
_KEPT = """
    left join state.journal kept on kept.user_id = :user and kept.entry_id = last.entry_id
    left join state.entries entry on entry.user_id = :user and entry.entry_id = last.entry_id
"""
_WHOLE = """
    kept.note, kept.rating, kept.company, entry.body->'with' as came, kept.shared,
    kept.visibility as visibility_set, coalesce(kept.visibility,
        (select journal from state.preferences where user_id = :user), 'private') as visibility
"""

SHOWS = (
    _LAST.format(only="")  # noqa: S608 - of constants, as are these:
    + """
, shows as (
    select last.entry_id, last.suggestion_id, last.decided_at, said.body as said, now.body as concert,
        coalesce(now.concert_id, last.concert_id) as concert_id,
        coalesce(now.night, cast(said.body->'concert'->>'night' as date)) as night,
        coalesce(now.artist, said.body->'concert'->>'artist') as artist,
        coalesce(now.body, said.body->'concert')->'place'->>'name' as venue,
        coalesce(now.body, said.body->'concert')->'place'->>'city' as city,
"""
    + _WHOLE
    + """
    from last join state.decisions said on said.decision_id = last.decision_id
"""
    + _NOW
    + _KEPT
    + """
    where last.action = 'confirmed'
)
"""
)
"""The rows `shows` of `:user`: confirmed, as they are now, with all that is known and kept of them."""
_BRIEF = (
    ", brief as materialized ("  # noqa: S608
    + """
    select last.entry_id, last.suggestion_id, last.decision_id, last.decided_at,
        coalesce(now.concert_id, last.concert_id) as concert_id,
        coalesce(now.night, cast(said.body->'concert'->>'night' as date)) as night,
        coalesce(now.artist, said.body->'concert'->>'artist') as artist,
        coalesce(now.body, said.body->'concert')->'place' as place,
        coalesce(now.body, said.body->'concert')->>'festival' as festival
    from last
"""
    + _NOW
    + """
    left join state.decisions said on said.decision_id = case when now.concert_id is null then last.decision_id end
    where last.action = 'confirmed'
), shows as (
    select brief.*, place->>'name' as venue, place->>'city' as city from brief
)
"""
)
BRIEF = _LAST.format(only="") + _BRIEF
"""The rows `shows` of `:user` without what a list of thousands has no use for: a decision is read only where the
catalogue knows nothing of its concert.
"""
_CHOSEN = """
, chosen as (
    select * from shows
    where (cast(:year as int) is null or extract(year from night) = :year)
        and (cast(:artist as text) is null or artist ilike :artist)
        and (cast(:venue as text) is null or venue ilike :venue or city ilike :venue)
)
"""
PAGE = text(
    _LAST.format(only=" and (cast(:one as uuid) is null or suggestion_id = :one)")  # noqa: S608
    + _BRIEF
    + _CHOSEN
    + """
, last_of_page as (
    select * from chosen
    where cast(:before as date) is null or night < :before or (night = :before and suggestion_id > cast(:after as uuid))
    order by night desc, suggestion_id
    limit :most
)
select last.entry_id, last.suggestion_id, last.decided_at, last.concert_id, last.night, said.body as said,
    now.body as concert,
"""
    + _WHOLE
    + """
from last_of_page last
join state.decisions said on said.decision_id = last.decision_id
left join catalogue.concerts now on now.concert_id = last.concert_id and not now.gone
"""
    + _KEPT
    + """
order by last.night desc, last.suggestion_id
"""
)
COUNTS = text(
    BRIEF  # noqa: S608 - of constants
    + _CHOSEN
    + """
select count(distinct concert_id) as shows, count(distinct lower(artist)) as artists,
    count(distinct (lower(venue), lower(city))) filter (where venue is not null) as venues,
    coalesce((select jsonb_object_agg(year, number) from (
        select cast(extract(year from night) as int) as year, count(distinct concert_id) as number
        from chosen group by 1) years), '{}') as years
from chosen
"""
)


_FACTS = ("artist", "night", "venue", "city", "region", "country", "lat", "lon", "festival", "songs")


class Shared(StrEnum):
    """What of the private can be shown with a show."""

    NOTE = "note"
    RATING = "rating"


class JournalShow(BaseModel):
    """A show that the user was at."""

    model_config = ConfigDict(
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {
                    "suggestion_id": "8b7cf6a0-3f3e-5d6c-8a92-2a1f0e3b7c11",
                    "entry_id": "e1",
                    "concert_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33",
                    "concert": {
                        "artist": "Radiohead",
                        "night": "1994-08-27",
                        "place": {"name": "Little John's Farm", "city": "Reading", "country": "GB"},
                    },
                    "own": False,
                    "sources": ["https://www.setlist.fm/setlist/63de4613.html"],
                    "confirmed_at": "2026-03-01T12:00:00Z",
                    "note": "Rain all day.",
                    "rating": 5,
                    "with": ["Jo"],
                }
            ]
        },
    )

    suggestion_id: UUID = Field(description="Names the show here, and undoes it: POST /v1/suggestions/{id}/undo.")
    entry_id: str
    concert_id: UUID
    concert: Facts
    own: bool = Field(description="No source knows it: the user wrote it.")
    sources: list[str] = Field(description="Addresses of sources that tell of it.")
    confirmed_at: datetime
    note: str | None = Field(default=None, description="Private, unless shared.")
    rating: int | None = Field(default=None, description="1 to 5; private, unless shared.")
    with_: list[str] = Field(default=[], alias="with", description="Who came along; private.")
    visibility: Visibility = Field(default=Visibility.PRIVATE, description="Who sees the show beside you.")
    visibility_set: Visibility | None = Field(
        default=None, description="As said of this show; null: as of the whole journal (PATCH /v1/preferences)."
    )
    shared: list[Shared] = Field(default=[], description="What those see with it who see the show.")


class Counts(BaseModel):
    """Of all that fits the filter, not of this page."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"shows": 1, "artists": 1, "venues": 1, "years": {"1994": 1}}]}
    )

    shows: int
    artists: int
    venues: int
    years: dict[str, int] = Field(description="Shows by year.")


class JournalMeta(BaseModel):
    """Where the list goes on, and how much there is."""

    next_cursor: str | None = Field(examples=[None])
    take: int = Field(examples=[20])
    counts: Counts


class JournalPage(BaseModel):
    """A part of the journal, latest night first."""

    data: list[JournalShow]
    meta: JournalMeta


class Private(BaseModel):
    """What a user keeps of a show."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    note: str | None = Field(default=None, max_length=LONGEST_NOTE)
    rating: Annotated[int, Field(ge=1, le=5), WHOLE] | None = None
    with_: list[Text] | None = Field(default=None, alias="with", max_length=100, description="Who came along.")
    visibility: Visibility | None = Field(
        default=None, description="Of this show; null: as of the whole journal (PATCH /v1/preferences)."
    )
    shared: list[Shared] | None = Field(
        default=None, max_length=2, description="What friends see with a show that they see; null: neither."
    )

    @field_validator("note", "with_")
    @classmethod
    def _storable(cls, told: Any) -> Any:
        if any("\x00" in one for one in ([told] if isinstance(told, str) else told or ())):
            raise ValueError("must not contain NUL")
        return told


class Kept(Private):
    """What is to be otherwise: null takes away, absent leaves as it is."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {"note": "Rain all day.", "rating": 5, "with": ["Jo"]},
                {"visibility": "friends", "shared": ["rating"]},
            ]
        },
    )


class OwnShow(Private):
    """A show that no source knows, or the id of one that does."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {"artist": "The Paper Kites", "night": "2011-05-06", "venue": "The Workers Club", "city": "Melbourne"},
                {"concert_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33", "rating": 4},
            ],
            **rule(
                {
                    "oneOf": [
                        {"allOf": [only("concert_id", "string"), absent(*_FACTS)]},
                        {"allOf": [only("artist", "string"), only("night", "string"), absent("concert_id")]},
                    ]
                },
                {"oneOf": [absent("lat", "lon"), {"allOf": [only("lat", "number"), only("lon", "number")]}]},
            ),
        },
    )

    concert_id: UUID | None = Field(default=None, description="Of a show found by search; then nothing of the rest.")
    artist: Text | None = None
    night: Day | None = Field(default=None, description="On which it began; after midnight is the evening before.")
    venue: Text | None = None
    city: Text | None = None
    region: Text | None = None
    country: str | None = Field(default=None, pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2.")
    lat: North | None = None
    lon: East | None = None
    festival: Text | None = None
    songs: tuple[Text, ...] = Field(default=(), max_length=500)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        facts = [name for name in _FACTS if getattr(self, name) not in (None, ())]
        if self.concert_id is not None and facts:
            raise ValueError(f"concert_id says all of it: leave out {', '.join(facts)}")
        if self.concert_id is None and (self.artist is None or self.night is None):
            raise ValueError("needs artist and night, or the concert_id of a show that is known")
        if (self.lat is None) != (self.lon is None):
            raise ValueError("lat and lon go together")
        if any("\x00" in one for name in _FACTS for one in _texts(getattr(self, name))):
            raise ValueError("must not contain NUL")
        return self


Artist = Annotated[str | None, QueryParameter(name="artist", max_length=200, description="Part of a name.")]
Venue = Annotated[str | None, QueryParameter(name="venue", max_length=200, description="Part of its name or town's.")]


@get("/", summary="Your shows, latest first, with counts", responses=told(400))
async def read_journal(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    year: Year = None,
    artist: Artist = None,
    venue: Venue = None,
    take: Take = TAKE,
    cursor: Cursor = None,
) -> JournalPage:
    """What you confirmed."""
    asked = chosen(user, year, artist and anywhere(artist), venue and anywhere(venue))
    async with services.engine.connect() as connection:
        shows, more = await read_shows(connection, asked, take, cursor)
        counted = (await connection.execute(COUNTS, asked)).one()
    counts = Counts(shows=counted.shows, artists=counted.artists, venues=counted.venues, years=counted.years)
    return JournalPage(data=shows, meta=JournalMeta(next_cursor=more, take=take, counts=counts))


def chosen(user: str, year: int | None, artist: str | None, venue: str | None) -> dict[str, Any]:
    """What `PAGE` and `COUNTS` are asked for: patterns of LIKE, of the artist and of venue or town. InvalidError."""
    return {
        "user": user,
        "year": year,
        "artist": plain("artist", artist) or None,
        "venue": plain("venue", venue) or None,
    }


async def read_shows(
    connection: AsyncConnection, asked: dict[str, Any], take: int, cursor: str | None
) -> tuple[list[JournalShow], str | None]:
    """A page of what was `chosen`, latest night first, and the cursor of the next. InvalidError: a foreign cursor."""
    before, after = place_of(cursor, str, str) if cursor else (None, None)
    asked = asked | _place(before, after) | {"one": None, "most": take + 1}
    rows = (await connection.execute(PAGE, asked)).all()
    page = rows[:take]
    more = cursor_of([page[-1].night.isoformat(), str(page[-1].suggestion_id)]) if len(rows) > take else None
    return [_show(row) for row in page], more


@get("/{suggestion_id:str}", summary="One of your shows", responses=told(404, missing=["show", "suggestion"]))
async def read_show(
    services: NamedDependency[Services], user: NamedDependency[str], suggestion_id: FromPath[str]
) -> Answer[JournalShow]:
    """With what you keep of it."""
    async with services.engine.connect() as connection:
        return Answer(data=await one_show(connection, user, suggestion_uuid(suggestion_id)))


@patch(
    "/{suggestion_id:str}",
    summary="Note, rating and company of a show",
    responses=told(400, 404, missing=["show", "suggestion"]),
)
async def keep_of_show(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    data: JSONBody[Kept],
    idempotency_key: Key = None,
    device: Device = None,
) -> Answer[JournalShow]:
    """Private. Null takes away, absent leaves as it is; `with` null: as the entry says."""
    writing = Writing(user, trace, idempotency_key, device)
    return Answer(data=await change_show(services, writing, suggestion_uuid(suggestion_id), data))


@dataclass(frozen=True)
class Writing:
    """Who writes, and how a repeat of it is known."""

    user: str
    trace: str
    idempotency_key: str | None = None
    device: str | None = None


async def change_show(services: Services, writing: Writing, one: UUID, data: Kept) -> JournalShow:
    """The show `one` (a suggestion id) with what is kept of it now. NotFoundError when it is not in the journal."""
    user = writing.user
    said = {name: getattr(data, name) for name in data.model_fields_set}

    async def write(connection: AsyncConnection) -> JournalShow:
        show = await one_show(connection, user, one)
        await _put(connection, user, show.entry_id, said)
        now = await one_show(connection, user, one)
        if _seen(show) != _seen(now):
            line = Line(
                user,
                services.clock(),
                Audited.VISIBILITY,
                writing.trace,
                str(one),
                _seen(show),
                _seen(now),
                writing.device,
            )
            await record(connection, line)
        return now

    call = Call(user, writing.idempotency_key, ["keep", str(one), data.model_dump(mode="json", exclude_unset=True)])
    return await write_once(services.engine, call, JournalShow, write)


@post("/", status_code=201, summary="Write a show into the journal", responses=told(400, 404, 409, missing=["concert"]))
async def write_show(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    data: JSONBody[OwnShow],
    idempotency_key: Key = None,
    device: Device = None,
) -> Answer[JournalShow]:
    """The same show written twice is one show."""
    return Answer(data=await add_show(services, Writing(user, trace, idempotency_key, device), data))


async def add_show(services: Services, writing: Writing, data: OwnShow) -> JournalShow:
    """The show, new or as it was written before. InvalidError, NotFoundError, ConflictError."""
    user, now = writing.user, services.clock()
    if data.night is not None and not EARLIEST <= data.night <= now.date() + timedelta(days=1):
        raise InvalidError(
            "The request is not valid.",
            [
                Detail(
                    field="night", message=f"must lie between {EARLIEST} and today: a journal is of shows you were at"
                )
            ],
        )

    async def write(connection: AsyncConnection) -> JournalShow:
        decision, entry = await _told(connection, user, data, now)
        await lock(connection, user, [decision.entry_id])
        in_force = (await read_decisions(connection, user, [decision.entry_id]))[decision.entry_id]
        confirmed = the_confirmed(in_force)
        if confirmed is not None and confirmed.concert_id != decision.concert_id:
            raise conflict(confirmed)
        if confirmed is None:
            shards = services.settings.outbox_shards
            line = outgoing(entry, trace=writing.trace, stage=STAGE)
            await connection.execute(insert(OutboxRow).values(**outbox_values(line, shards)))
            wish = Wish(user, decision.suggestion_id, Action.CONFIRMED, now, writing.trace, device=writing.device)
            await keep(connection, [decision], wish, shards)
        await _put(connection, user, decision.entry_id, _private(data))
        return await one_show(connection, user, decision.suggestion_id)

    call = Call(user, writing.idempotency_key, ["journal", data.model_dump(mode="json", exclude_unset=True)])
    return await write_once(services.engine, call, JournalShow, write)


async def _told(connection: AsyncConnection, user: str, data: OwnShow, now: datetime) -> tuple[Decision, Entry]:
    """The confirmation, and the line of history that it stands on."""
    members: tuple[Member, ...] = ()
    if data.concert_id is not None:
        concert = await present_concert(connection, data.concert_id)
        if concert is None:
            raise NotFoundError("concert", f"There is no concert {data.concert_id}. Look for it with GET /v1/search.")
        facts, members, concert_id = concert.facts, concert.members, concert.concert_id
        entry_id = OWN + content_hash([str(concert_id)])[:16]
    else:
        assert data.artist is not None and data.night is not None
        place = Place(
            name=data.venue, city=data.city, region=data.region, country=data.country, lat=data.lat, lon=data.lon
        )
        facts = Facts(
            artist=data.artist,
            night=data.night,
            place=place,
            status=Status.HAPPENED,
            festival=data.festival,
            songs=data.songs,
        )
        entry_id = OWN + content_hash(facts.model_dump(mode="json", exclude={"songs"}))[:16]
        concert_id = ids.own_concert_id(user, entry_id)
    remembered = Remembered(
        artist=facts.artist,
        date=facts.night.isoformat(),
        venue=facts.place.name,
        city=facts.place.city,
        region=facts.place.region,
        country=facts.place.country,
        lat=facts.place.lat,
        lon=facts.place.lon,
        songs=data.songs,
    )
    entry = Entry.model_validate(
        remembered.model_dump(by_alias=True, exclude_none=True)
        | {"user": user, "entry_id": entry_id, "seen_at": now, "origin": EntryOrigin.API}
    )
    decision = Decision(
        decision_id=uuid4(),
        user=user,
        entry_id=entry_id,
        entry=remembered,
        suggestion_id=ids.suggestion_id(user, entry_id, concert_id),
        concert_id=concert_id,
        action=Action.CONFIRMED,
        decided_at=now,
        listing_ids=tuple(member.listing_id for member in members),
        concert=facts,
        members=members,
    )
    return decision, entry


def _seen(show: JournalShow) -> dict[str, Any]:
    """What others see of it, for the audit log."""
    return {"visibility": show.visibility.value, "shared": [one.value for one in show.shared]}


def _private(data: Private) -> dict[str, Any]:
    return {name: getattr(data, name) for name in data.model_fields_set & set(Private.model_fields)}


async def _put(connection: AsyncConnection, user: str, entry_id: str, said: dict[str, Any]) -> None:
    columns = {("company" if name == "with_" else name): value for name, value in said.items()}
    if "shared" in columns:
        columns["shared"] = sorted({Shared(one).value for one in columns["shared"] or ()})
    if columns:
        row = upsert(JournalRow).values(user_id=user, entry_id=entry_id, **columns)
        await connection.execute(
            row.on_conflict_do_update(
                index_elements=["user_id", "entry_id"], set_={**columns, "updated_at": func.now()}
            )
        )


async def one_show(connection: AsyncConnection, user: str, suggestion_id: UUID) -> JournalShow:
    """A confirmed show. NotFoundError when it is not in the user's journal."""
    asked = {"user": user, "year": None, "artist": None, "venue": None, "one": suggestion_id}
    row = (await connection.execute(PAGE, asked | {"before": None, "after": None, "most": 1})).one_or_none()
    if row is None:
        raise NotFoundError("show", f"There is no show {suggestion_id} in your journal. Confirm it first.")
    return _show(row)


def _show(row: Any) -> JournalShow:
    decision = Decision.model_validate(row.said)
    facts = Facts.model_validate(row.concert) if row.concert else decision.concert
    assert facts is not None
    members = row.concert["members"] if row.concert else [one.model_dump() for one in decision.members]
    addresses = dict.fromkeys(filter(None, (web(one.get("url")) for one in members)))
    came = row.company if row.company is not None else row.came or list(decision.entry.with_)
    return JournalShow(
        suggestion_id=row.suggestion_id,
        entry_id=row.entry_id,
        concert_id=row.concert_id,
        concert=facts,
        own=not members,
        sources=list(addresses),
        confirmed_at=row.decided_at,
        note=row.note,
        rating=row.rating,
        with_=came,
        visibility=row.visibility,
        visibility_set=row.visibility_set,
        shared=row.shared or [],
    )


def _place(before: str | None, after: str | None) -> dict[str, Any]:
    try:
        return {"before": before and date.fromisoformat(before), "after": after and UUID(after)}
    except ValueError as error:
        raise InvalidError(
            "The cursor is not valid.",
            [Detail(field="cursor", message="take meta.next_cursor of the answer before, unchanged")],
        ) from error


def _texts(value: Any) -> list[str]:
    return (
        [value]
        if isinstance(value, str)
        else [one for one in value if isinstance(one, str)]
        if value and isinstance(value, tuple)
        else []
    )


router = Router(
    "/v1/journal",
    route_handlers=[read_journal, read_show, keep_of_show, write_show],
    opt={"credential": "bearer"},
    tags=["journal"],
)
