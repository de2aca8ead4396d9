"""/friends: who asks, whom one asked, who is a friend, what friends show, and what they see.

The other's id comes as a field of a form, never in an address. Whatever id it is, known or not, the same statements
give the same answer (api.friends): nothing here says whether somebody is there, or was at a show.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from litestar.response import Redirect, Template
from markupsafe import Markup
from pydantic import TypeAdapter, ValidationError

from api.answers import Page
from api.errors import AnyRequest, ConflictError, InvalidError, NotFoundError
from api.friends.follows import BLOCKED, FRIENDS, IN, OUT, Other, Verb, change, others
from api.friends.relations import Stand
from api.friends.shows import FriendShow, count_shown, friends_shows, shown_to_friends
from api.pages.frame import Form, back, check_form, show
from api.pages.words import _, marked
from api.preferences import preferences_of
from api.services import Caller, Services
from deploy.digests.times import zone_of
from schemas.message import User

TAKE = 20
DONE = {
    Verb.FOLLOW: marked(
        "Asked. If somebody has this id, they find your request here; once both of you follow, you are friends."
    ),
    Verb.ACCEPT: marked("You are friends now: each sees what the other shows."),
    Verb.DECLINE: marked("Declined. They are not told."),
    Verb.UNFOLLOW: marked("Done. Neither of you sees the other's shows; they are not told."),
    Verb.BLOCK: marked("Blocked. You hear nothing of them any more; they are not told."),
    Verb.UNBLOCK: marked("Not blocked any more. You are friends again once both of you follow."),
}
"""What was done -> what the page says then."""
_USER = TypeAdapter(User)

Cursor = Annotated[str, QueryParameter(max_length=1_000)]


@dataclass(frozen=True)
class Lists:
    """What the page lists, each a part with a cursor of its own."""

    asking: Page[Other]
    friends: Page[Other]
    asked: Page[Other]
    blocked: Page[Other]
    shows: Page[FriendShow]
    seen: Page[FriendShow]


@get("/friends", include_in_schema=False)
async def friends(
    request: AnyRequest,
    services: NamedDependency[Services],
    done: FromQuery[str] = "",
    asking: Cursor = "",
    people: Cursor = "",
    asked: Cursor = "",
    blocked: Cursor = "",
    shows: Cursor = "",
    seen: Cursor = "",
) -> Template:
    """All lists; a cursor leads on in one of them."""
    cursors = {
        "asking": asking,
        "friends": people,
        "asked": asked,
        "blocked": blocked,
        "shows": shows,
        "seen": seen,
    }
    said = _(DONE[Verb(done)]) if done in {verb.value for verb in DONE} else None
    return await _page(request, services, cursors, said=said)


@post("/friends", include_in_schema=False)
async def change_friends(request: AnyRequest, services: NamedDependency[Services], data: Form) -> Redirect | Template:
    """A button of a list, or an id that was typed."""
    check_form(request, services, data)
    caller: Caller = request.user
    other, verb = data.get("other", "").strip(), data.get("verb", "")
    if verb not in {known.value for known in DONE}:
        raise InvalidError(_("This button is not known here. Open the page again."))
    try:
        _USER.validate_python(other)
    except ValidationError:
        return await _refuse(request, services, other, _("An id has 1 to 128 characters and no slash."))
    if other == caller.user:
        return await _refuse(request, services, other, _("This is your own id. Type that of your friend."))
    try:
        follow = await change(services, caller.user, other, Verb(verb))
    except NotFoundError:
        return await _refuse(request, services, "", "", _("This request is not there any more."))
    except ConflictError as error:
        state = error.details[0].message if error.details else ""
        return await _refuse(request, services, other, *_conflict(state))
    # Whoever is followed back by asking was among those who ask: it is no news to say that you are friends.
    friends_now = follow.state is Stand.FRIENDS
    return back("/friends", done=Verb.ACCEPT.value if friends_now else verb)


def _conflict(state: str) -> tuple[str, Markup | None]:
    """What stands in the way: at the field, or over the page."""
    if state == "blocked":
        return _("You block this id. Take it off your list of blocked ids first."), None
    if state == "friends":
        return "", _("Nothing changed: you are friends already.")
    return _("You follow as many as one can. Take some back first."), None


async def _refuse(
    request: AnyRequest, services: Services, typed: str, wrong: str, said: Markup | None = None
) -> Template:
    return await _page(request, services, {}, typed=typed, wrong=wrong, said=said, status=400 if wrong else 409)


async def _page(
    request: AnyRequest,
    services: Services,
    cursors: Mapping[str, str],
    *,
    typed: str = "",
    wrong: str = "",
    said: Markup | None = None,
    status: int = 200,
) -> Template:
    """`typed`, `wrong`: the field for an id. InvalidError for a cursor that is none."""
    caller: Caller = request.user

    def after(name: str) -> str | None:
        return cursors.get(name) or None

    async with services.engine.connect() as connection:
        kept = await preferences_of(connection, caller.user)
        shows = await friends_shows(connection, caller.user, TAKE, after("shows"))
        seen = await shown_to_friends(connection, caller.user, TAKE, after("seen"))
        of_mine, confirmed = await count_shown(connection, caller.user)
    lists = Lists(
        asking=await others(services, IN, caller.user, TAKE, after("asking")),
        friends=await others(services, FRIENDS, caller.user, TAKE, after("friends")),
        asked=await others(services, OUT, caller.user, TAKE, after("asked")),
        blocked=await others(services, BLOCKED, caller.user, TAKE, after("blocked")),
        shows=shows,
        seen=seen,
    )
    return show(
        request,
        services,
        "friends.html",
        status=status,
        lists=lists,
        cursors=cursors,
        journal=kept.journal.value,
        zone=zone_of(kept.tz),
        of_mine=of_mine,
        confirmed=confirmed,
        typed=typed,
        wrong=wrong,
        said=said,
    )


handlers = [friends, change_friends]
