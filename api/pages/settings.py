"""/settings: what friends see, what is asked, what is told, and everything of the user's as a file.

Each group is a form of its own and changes nothing of the others. What cannot be taken stands in its field again, with
what is wrong with it.
"""

from collections.abc import Mapping
from datetime import time
from functools import lru_cache
from typing import Annotated, Any
from zoneinfo import available_timezones

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.response import Redirect, Stream, Template

from api.errors import AnyRequest, InvalidError
from api.export.routes import ExportFormat, send
from api.friends.shows import count_shown
from api.pages.frame import Form, back, check_form, show
from api.pages.words import _, marked
from api.preferences import Changed, Preferences, prefer, preferences_of
from api.services import Caller, Services
from schemas.tables import Visibility

VISIBILITY, QUESTIONS, DIGEST = "visibility", "questions", "digest"
SAVED = {
    VISIBILITY: marked("Saved: who sees your shows."),
    QUESTIONS: marked("Saved: what Gigz asks you."),
    DIGEST: marked("Saved: the weekly digest."),
}
"""Group -> what the page says once it is saved."""
WRONG = {
    "journal": marked("Choose one of the two."),
    "tz": marked("There is no such time zone. Take one from the list, for example Europe/Berlin."),
    "quiet_from": marked("Give a time of day, for example 22:00."),
    "quiet_until": marked("Give a time of day, for example 22:00."),
}
"""Field -> what the page says when it cannot be taken."""
REGIONS = frozenset(
    {"Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"}
)
"""Parts of the zone database where people are; the rest are names of yesterday, which are taken but not offered."""
NOWHERE = frozenset({"localtime", "posixrules", "Factory"})
"""Of the machine that this runs on, not of a place."""
CONTENTS = {
    "account": marked("Who the app says you are"),
    "preferences": marked("These settings"),
    "entries": marked("Lines of your history, as you wrote them"),
    "shows": marked("Your shows, as the journal has them"),
    "journal": marked("Notes, ratings, company and who sees them"),
    "decisions": marked("Everything you ever decided"),
    "suggestions": marked("What was found for your lines, with the reasons"),
    "follows": marked("Whom you follow, or asked to"),
    "followers": marked("Who follows you, or asked to"),
    "blocks": marked("Whom you block"),
    "digests": marked("The last digest"),
    "imports": marked("What you imported, and what became of it"),
    "import_entries": marked("Which import wrote which line"),
    "import_steps": marked("What an import did, step by step"),
    "import_files": marked("The files themselves, for as long as they are kept"),
    "bulks": marked("What you decided at one go"),
    "wants": marked("Artists and years that are searched for on your account"),
    "unasked": marked("What questions about companions and habits hang on"),
    "calls": marked("Answers kept for a repeated request"),
    "sign_ins": marked("Sign-ins, and sessions you ended"),
    "audit": marked("The record of what was done with your account"),
    "rejections": marked("Lines of yours that could not be used, and why"),
}
"""Kind of an export -> what it is."""


@get("/settings", include_in_schema=False)
async def settings(request: AnyRequest, services: NamedDependency[Services], saved: FromQuery[str] = "") -> Template:
    """All groups."""
    return await _page(request, services, saved=_(SAVED[saved]) if saved in SAVED else None)


@post("/settings", include_in_schema=False)
async def save(
    request: AnyRequest, services: NamedDependency[Services], trace: NamedDependency[str], data: Form
) -> Redirect | Template:
    """One group. A box that is not ticked is not sent."""
    check_form(request, services, data)
    caller: Caller = request.user
    group = data.get("group", "")
    if group not in SAVED:
        raise InvalidError(_("This button is not known here. Open the page again."))
    told = {VISIBILITY: visibility_of, QUESTIONS: questions_of, DIGEST: digest_of}[group](data)
    wrong = {name: _(WRONG[name]) for name, value in told.items() if value is None}
    if wrong:
        typed = {name: data.get(name, "") if value is None else value for name, value in told.items()}
        return await _page(request, services, wrong=wrong, typed=typed)
    await prefer(services, caller.user, Changed.model_validate(told), trace)
    return back("/settings", saved=group)


def visibility_of(data: Mapping[str, str]) -> dict[str, Any]:
    """Field -> what it says, as `Changed` takes it; None: nothing that can be taken. So do the two below."""
    known = data.get("journal") in {one.value for one in Visibility}
    return {"journal": data["journal"] if known else None}


def questions_of(data: Mapping[str, str]) -> dict[str, Any]:
    """See `visibility_of`."""
    return {name: name in data for name in ("companions", "habits")}


def digest_of(data: Mapping[str, str]) -> dict[str, Any]:
    """See `visibility_of`."""
    hours = {name: _hour(data.get(name, "")) for name in ("quiet_from", "quiet_until")}
    return {"digest": "digest" in data, "tz": zone_named(data.get("tz", "")), **hours}


def _hour(told: str) -> str | None:
    """'22:00', of that or of '22:00:30'; None for what is no time of day."""
    try:
        return f"{time.fromisoformat(told):%H:%M}"
    except ValueError:
        return None


@get("/settings/export", include_in_schema=False, opt={"limit": "export"})
async def export_file(
    request: AnyRequest,
    services: NamedDependency[Services],
    trace: NamedDependency[str],
    written_as: Annotated[ExportFormat, QueryParameter(name="format")] = ExportFormat.JSON,
) -> Stream:
    """Everything of the user's, as a file that comes as it is read."""
    caller: Caller = request.user
    return await send(services, caller.user, written_as, trace)


def zone_named(told: str) -> str | None:
    """The zone that is meant, however it is written: 'europe/berlin', 'New York', 'utc'. None: none, or several."""
    asked = "_".join(told.split()).casefold()
    by_name = _zones()
    exact = by_name.get(asked)
    if exact is not None or not asked:
        return exact
    towns = [zone for name, zone in by_name.items() if name.rpartition("/")[2] == asked and _offered(zone)]
    return towns[0] if len(towns) == 1 else None


@lru_cache(maxsize=1)
def _zones() -> dict[str, str]:
    """Folded -> as the database writes it."""
    return {zone.casefold(): zone for zone in sorted(available_timezones() - NOWHERE)}


def _offered(zone: str) -> bool:
    return zone == "UTC" or zone.partition("/")[0] in REGIONS


@lru_cache(maxsize=1)
def offered_zones() -> tuple[str, ...]:
    """What the page proposes."""
    return tuple(zone for zone in _zones().values() if _offered(zone))


async def _page(
    request: AnyRequest,
    services: Services,
    *,
    saved: str | None = None,
    wrong: Mapping[str, str] | None = None,
    typed: Mapping[str, Any] | None = None,
) -> Template:
    """`wrong`: field -> what is wrong with it; `typed`: field -> what stands in it instead of what is kept."""
    caller: Caller = request.user
    async with services.engine.connect() as connection:
        kept: Preferences = await preferences_of(connection, caller.user)
        seen, confirmed = await count_shown(connection, caller.user)
    return show(
        request,
        services,
        "settings.html",
        status=400 if wrong else 200,
        kept=kept.model_dump(mode="json") | dict(typed or {}),
        wrong=dict(wrong or {}),
        saved=saved,
        seen=seen,
        confirmed=confirmed,
        zones=offered_zones(),
        contents=[_(one) for one in CONTENTS.values()],
    )


handlers = [settings, save, export_file]
