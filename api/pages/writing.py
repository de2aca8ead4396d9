"""/journal/new: a show that no source knows. Before it is written, what is known of that artist and night is shown."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Redirect, Template
from pydantic import ValidationError
from sqlalchemy import text

from api.errors import AnyRequest, ConflictError, NotFoundError, UnavailableError
from api.journal import EARLIEST, OwnShow, Writing, add_show
from api.pages.finding import find_concerts
from api.pages.frame import Form, back, check_form, show
from api.pages.show import kept_of, mine
from api.pages.words import _, countries, day
from api.services import Caller, Services
from schemas.concert import Concert
from schemas.listing import Status

MOST_SONGS = 500
AHEAD = timedelta(days=1)
"""Somewhere it is tomorrow already."""
MOST_KNOWN = 6
LONGEST_TEXT = 2_000
TEXTS = ("artist", "venue", "city", "region", "festival")
FIELDS = (*TEXTS, "night", "country", "songs", "note", "rating", "with", "visibility", "shared_note", "shared_rating")

OF_THE_NIGHT = text(
    """
    select body from catalogue.concerts
    where not gone and night = :night and (lower(artist) = lower(:artist) or concert_id = any(cast(:ids as uuid[])))
    order by lower(artist) = lower(:artist) desc, artist, concert_id limit :most
    """
)


@get("/journal/new", include_in_schema=False)
async def new_show(
    request: AnyRequest,
    services: NamedDependency[Services],
    artist: Annotated[str, QueryParameter(name="artist", max_length=LONGEST_TEXT)] = "",
    night: Annotated[str, QueryParameter(name="night", max_length=10)] = "",
) -> Template:
    """The form; a search that found nothing fills in what was looked for."""
    return _form(request, services, {"artist": artist, "night": night})


@post("/journal/new", include_in_schema=False)
async def write_show(
    request: AnyRequest, services: NamedDependency[Services], trace: NamedDependency[str], data: Form
) -> Redirect | Template:
    """Write it, or ask first whether it is one of those that are known (`mine`: it is none; `concert_id`: it is this).

    What is not right is told at its field, with everything that was typed.
    """
    check_form(request, services, data)
    caller: Caller = request.user
    typed = {name: data[name].replace("\x00", "") for name in FIELDS if name in data}
    told, errors = show_of(typed, services.clock().date())
    kept, wrong = kept_of(typed)
    errors |= wrong
    concert = data.get("concert_id")
    if concert and not wrong:
        return await _add(request, services, trace, typed, {"concert_id": concert} | kept)
    if errors:
        return _form(request, services, typed, errors)
    if not data.get("mine"):
        known = await known_of(services, told["artist"], told["night"])
        if known:
            async with services.engine.connect() as connection:
                there = await mine(connection, caller.user, [one.concert_id for one in known])
            return _form(request, services, typed, known=known, there=there)
    return await _add(request, services, trace, typed, told | kept)


def show_of(typed: Mapping[str, str], today: date) -> tuple[dict[str, Any], dict[str, str]]:
    """What the fields say of the show, as `OwnShow` takes it; and what is wrong, by field."""
    errors: dict[str, str] = {}
    told: dict[str, Any] = {}
    for name in TEXTS:
        value = " ".join(typed.get(name, "").split())
        if len(value) > LONGEST_TEXT:
            errors[name] = _("At most 2,000 characters.")
        elif value:
            told[name] = value
    if "artist" not in told and "artist" not in errors:
        errors["artist"] = _("Who played? Write the artist's name.")
    latest = today + AHEAD
    try:
        night = date.fromisoformat(typed.get("night", "").strip())
    except ValueError:
        errors["night"] = _("Which night was it? Year, month and day: %(example)s.", example="2014-11-14")
    else:
        if EARLIEST <= night <= latest:
            told["night"] = night
        elif night > latest:
            errors["night"] = _("That night is still to come: a journal is of shows you were at.")
        else:
            errors["night"] = _("Nights from %(first)s on can be written.", first=day(EARLIEST))
    country = typed.get("country", "").strip()
    if country and country not in dict(countries()):
        errors["country"] = _("Choose a country of the list, or none.")
    elif country:
        told["country"] = country
    songs = [" ".join(line.split()) for line in typed.get("songs", "").splitlines()]
    songs = [song for song in songs if song]
    if len(songs) > MOST_SONGS or any(len(song) > LONGEST_TEXT for song in songs):
        errors["songs"] = _("At most 500 songs, one a line.")
    elif songs:
        told["songs"] = songs
    return told, errors


async def known_of(services: Services, artist: str, night: date) -> list[Concert]:
    """Shows of that night by an artist of that name, typing mistakes forgiven while Meilisearch answers."""
    found: Sequence[UUID] = ()
    try:
        concerts, near, _more = await find_concerts(services, artist[:500], {"year": night.year}, take=50)
        found = [UUID(one.concert_id) for one in concerts if one.night == night.isoformat() and not near]
    except UnavailableError:
        pass  # the same night and name is found without it
    asked = {"night": night, "artist": artist, "ids": list(found), "most": MOST_KNOWN}
    async with services.engine.connect() as connection:
        bodies = list(await connection.scalars(OF_THE_NIGHT, asked))
    known = [Concert.model_validate(body) for body in bodies]
    return [one for one in known if one.status is not Status.CANCELLED]


async def _add(
    request: AnyRequest, services: Services, trace: str, typed: dict[str, str], told: dict[str, Any]
) -> Redirect | Template:
    caller: Caller = request.user
    try:
        own = OwnShow.model_validate(told)
    except ValidationError as error:
        # Nothing that a field of the form can hold: told all the same, and nothing typed is lost.
        return _form(request, services, typed, {"artist": "; ".join(one["msg"] for one in error.errors())})
    try:
        added = await add_show(services, Writing(caller.user, trace), own)
    except NotFoundError:
        gone = _("That show is not known any more. Write it as your own, or look for it again.")
        return _form(request, services, typed, {"artist": gone})
    except ConflictError:
        return back("/journal", did="conflict")
    return back(f"/journal/{added.suggestion_id}", did="added", which=added.suggestion_id)


def _form(
    request: AnyRequest,
    services: Services,
    typed: dict[str, str],
    errors: dict[str, str] | None = None,
    known: Sequence[Concert] = (),
    there: Mapping[UUID, UUID] | None = None,
) -> Template:
    return show(
        request,
        services,
        "write.html",
        status=400 if errors else 200,
        typed=typed,
        errors=errors or {},
        known=known,
        there=there or {},
        first=EARLIEST,
        latest=services.clock().date() + AHEAD,
    )


handlers = [new_show, write_show]
