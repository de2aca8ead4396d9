"""GET /v1/suggestions; POST /v1/suggestions/{id}/confirm, dismiss, snooze, other-night, not-seen, undo."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from litestar import Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from pydantic import BaseModel, ConfigDict, Field

from api import bulk
from api.answers import TAKE, Answer, Cursor, Page, PageMeta, Take, plain
from api.asked import WHOLE, Day, Moment, absent, only, rule
from api.calls import Device, Key
from api.decisions import decide, nights_around
from api.entries import EntryView, Filters, Wanted, read_entries
from api.errors import Detail, InvalidError, NotFoundError, told
from api.services import Services
from api.verdicts import RULES, Step, Target, Wish
from schemas.concert import Facts
from schemas.decision import Action, Decision
from schemas.suggestion import Band, Origin

SNOOZE_DAYS = 30
LONGEST_SNOOZE = timedelta(days=366)

Year = Annotated[int | None, QueryParameter(name="year", ge=1900, le=2200, description="Of a suggested night.")]
Artist = Annotated[str | None, QueryParameter(name="artist", max_length=200, description="Part of a name.")]


class Rule(BaseModel):
    """What the decision comes to."""

    rule: str = Field(description="How long it holds, and what ends it.")


class Decided(BaseModel):
    """A decision, and the rule that it stands under."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "data": {
                        "decision_id": "4f6d7a52-9f0e-4a53-8ef2-9f39a0f6a5a1",
                        "user": "u-1",
                        "entry_id": "e1",
                        "suggestion_id": "8b7cf6a0-3f3e-5d6c-8a92-2a1f0e3b7c11",
                        "concert_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33",
                        "action": "dismissed",
                        "decided_at": "2026-03-01T12:00:00Z",
                    },
                    "meta": {"rule": RULES[Action.DISMISSED]},
                }
            ]
        }
    )

    data: Decision
    meta: Rule


class Snooze(BaseModel):
    """Until when."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"days": 7}, {}],
            **rule({"anyOf": [absent("until"), absent("days")]}),
        },
    )

    until: Moment | None = Field(default=None, description=f"Ahead, by at most {LONGEST_SNOOZE.days} days.")
    days: Annotated[int, Field(ge=1, le=366), WHOLE] | None = Field(
        default=None, description=f"{SNOOZE_DAYS} when neither is given."
    )


class OtherNight(BaseModel):
    """The night that it was: one of the three."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"night": "1994-08-28"}, {"step": "after"}],
            **rule({"oneOf": [only(name, "string") for name in ("night", "step", "concert_id")]}),
        },
    )

    night: Day | None = Field(default=None, description="YYYY-MM-DD.")
    step: Step | None = Field(default=None, description="The artist's nearest show before or after.")
    concert_id: UUID | None = Field(default=None, description="One of GET /v1/suggestions/{id}/nights.")


class NotSeen(BaseModel):
    """An act of the bill."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"concert_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33"}]}
    )

    concert_id: UUID | None = Field(
        default=None, description="The act's concert, of `concert.bill`; of a companion it may be left out."
    )


class NightView(BaseModel):
    """A show that an entry can be moved to."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "concert_id": "0e4b6f4e-0a7b-5c6f-9d0c-5b8a8f1f2d33",
                    "concert": {"artist": "Radiohead", "night": "1994-08-28", "place": {"city": "Reading"}},
                }
            ]
        }
    )

    concert_id: UUID
    concert: Facts


@get("/", summary="Entries with what was found for them, best first", responses=told(400))
async def list_suggestions(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    band: FromQuery[Band | None] = None,
    year: Year = None,
    artist: Artist = None,
    origin: FromQuery[Origin | None] = None,
    wanted: Annotated[Wanted, QueryParameter(name="state")] = Wanted.OPEN,
    take: Take = TAKE,
    cursor: Cursor = None,
) -> Page[EntryView]:
    """One item for each entry: its suggestions, alternatives behind the best, with facts, sources and reasons."""
    filters = Filters(wanted, band, year, plain("artist", artist), origin)
    async with services.engine.connect() as connection:
        views, following = await read_entries(connection, user, filters, services.clock(), take, cursor)
    return Page(data=views, meta=PageMeta(next_cursor=following, take=take))


@get(
    "/{suggestion_id:str}/nights",
    summary="Nights that it could be moved to",
    responses=told(404, missing=["suggestion"]),
)
async def list_nights(
    services: NamedDependency[Services], user: NamedDependency[str], suggestion_id: FromPath[str]
) -> Answer[list[NightView]]:
    """The entry's alternatives, and what the artist played within a month, by night."""
    wish = Wish(user, suggestion_uuid(suggestion_id), Action.OTHER_NIGHT, services.clock(), "")
    async with services.engine.connect() as connection:
        nights = await nights_around(connection, wish)
    return Answer(data=[NightView(concert_id=one.concert_id, concert=one.facts) for one in nights])


@post(
    "/{suggestion_id:str}/confirm",
    status_code=200,
    summary="It was this one",
    responses=told(400, 404, 409, missing=["suggestion"]),
)
async def confirm(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    idempotency_key: Key = None,
    device: Device = None,
) -> Decided:
    """Confirmed already: the decision as it was made."""
    one = suggestion_uuid(suggestion_id)
    return await _decide(services, Wish(user, one, Action.CONFIRMED, services.clock(), trace, idempotency_key, device))


@post(
    "/{suggestion_id:str}/dismiss",
    status_code=200,
    summary="Not this one",
    responses=told(400, 404, 409, missing=["suggestion"]),
)
async def dismiss(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    idempotency_key: Key = None,
    device: Device = None,
) -> Decided:
    """Stays dismissed unless its evidence changes materially; `meta.rule` says what that is."""
    one = suggestion_uuid(suggestion_id)
    return await _decide(services, Wish(user, one, Action.DISMISSED, services.clock(), trace, idempotency_key, device))


@post(
    "/{suggestion_id:str}/snooze",
    status_code=200,
    summary="Later",
    responses=told(400, 404, 409, missing=["suggestion"]),
)
async def snooze(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    data: JSONBody[Snooze | None] = None,
    idempotency_key: Key = None,
    device: Device = None,
) -> Decided:
    """The entry is not among the open ones until then; without a body for a month."""
    now, asked = services.clock(), data or Snooze()
    until = _until(asked, now)
    one = suggestion_uuid(suggestion_id)
    return await _decide(
        services,
        Wish(
            user, one, Action.SNOOZED, now, trace, idempotency_key, device, until=until, written=asked.model_dump_json()
        ),
    )


@post(
    "/{suggestion_id:str}/other-night",
    status_code=200,
    summary="It was another night of theirs",
    responses=told(400, 404, 409, missing=["suggestion", "concert"]),
)
async def other_night(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    data: JSONBody[OtherNight],
    idempotency_key: Key = None,
    device: Device = None,
) -> Decided:
    """Dismisses the night that was shown, or takes its confirmation back, and confirms the other: one call, one undo.

    The answer is the confirmation of the night that it was.
    """
    one, target = suggestion_uuid(suggestion_id), _target(data)
    return await _decide(
        services,
        Wish(user, one, Action.OTHER_NIGHT, services.clock(), trace, idempotency_key, device, target=target),
    )


@post(
    "/{suggestion_id:str}/not-seen",
    status_code=200,
    summary="There, but not for this act",
    responses=told(400, 404, 409, missing=["suggestion"]),
)
async def not_seen(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    data: JSONBody[NotSeen | None] = None,
    idempotency_key: Key = None,
    device: Device = None,
) -> Decided:
    """Another act of the bill is not asked for. Undo it by the answer's `suggestion_id`."""
    one, act = suggestion_uuid(suggestion_id), None if data is None else data.concert_id
    return await _decide(
        services,
        Wish(user, one, Action.NOT_SEEN, services.clock(), trace, idempotency_key, device, act=act),
    )


@post(
    "/{suggestion_id:str}/undo",
    status_code=200,
    summary="Take a decision back",
    responses=told(400, 404, 409, missing=["suggestion"]),
)
async def undo(
    services: NamedDependency[Services],
    user: NamedDependency[str],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    idempotency_key: Key = None,
    device: Device = None,
) -> Decided:
    """Of this suggestion, whatever was decided; at any time."""
    one = suggestion_uuid(suggestion_id)
    return await _decide(services, Wish(user, one, Action.UNDONE, services.clock(), trace, idempotency_key, device))


async def _decide(services: Services, wish: Wish) -> Decided:
    decision = await decide(services.engine, wish, services.settings.outbox_shards)
    return Decided(data=decision, meta=Rule(rule=RULES[wish.action]))


def _until(asked: Snooze, now: datetime) -> datetime:
    if asked.until is not None and asked.days is not None:
        raise _wrong("until", "say until or days, not both")
    if asked.until is None:
        # To the minute: two presses of a button are one snooze.
        return now.replace(second=0, microsecond=0) + timedelta(days=asked.days or SNOOZE_DAYS)
    if not now < asked.until <= now + LONGEST_SNOOZE:
        raise _wrong("until", f"must lie ahead, by {LONGEST_SNOOZE.days} days at most")
    return asked.until


def _target(asked: OtherNight) -> Target:
    given = [name for name in ("night", "step", "concert_id") if getattr(asked, name) is not None]
    if len(given) != 1:
        raise _wrong(
            given[1] if given else "night", "say one of night, step (before or after) and concert_id: the night it was"
        )
    return Target(asked.concert_id, asked.night, asked.step)


def _wrong(field: str, message: str) -> InvalidError:
    return InvalidError("The request is not valid.", [Detail(field=field, message=message)])


def suggestion_uuid(given: str) -> UUID:
    """The id in a path. NotFoundError for what cannot be one."""
    try:
        return UUID(given)
    except ValueError as error:
        raise NotFoundError("suggestion", f"There is no suggestion {given[:60]!r}.") from error


router = Router(
    "/v1/suggestions",
    route_handlers=[
        list_suggestions,
        list_nights,
        confirm,
        dismiss,
        snooze,
        other_night,
        not_seen,
        undo,
        bulk.bulk,
        bulk.undo_bulk,
    ],
    opt={"credential": "bearer"},
    tags=["suggestions"],
)
