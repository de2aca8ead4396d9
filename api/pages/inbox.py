"""The inbox: shows that were found, to be confirmed. Plain HTML, no script; development signs in by a link.

Forms carry a token of the session (CSRF); every POST answers with a redirect, so that reloading repeats nothing.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Router, get, post
from litestar.datastructures import CacheControlHeader, Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter, URLEncodedBody
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect, Template
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig
from sqlalchemy import select

from api.answers import TAKE, plain
from api.decisions import decide
from api.entries import EntryView, Filters, Wanted, read_counts, read_entries
from api.errors import AnyRequest, ConflictError, ForbiddenError, NotFoundError
from api.services import COOKIE, Caller, Services
from api.suggestions import suggestion_uuid
from api.tokens import (
    DEVELOPMENT,
    OPERATOR,
    SESSION_LIFE,
    Audience,
    Claims,
    development_secret,
    form_token,
    page_token,
)
from api.verdicts import Wish
from schemas.concert import Facts, Member
from schemas.decision import Action, Decision
from schemas.history import Remembered
from schemas.suggestion import Band
from schemas.tables import DecisionRow

_HERE = Path(__file__).parent
_STYLE = hashlib.sha256((_HERE / "static" / "style.css").read_bytes()).hexdigest()[:12]

BANDS = {Band.SURE: "Sure", Band.LIKELY: "Likely", Band.POSSIBLE: "Possible"}
ACTIONS = {"confirm": Action.CONFIRMED, "dismiss": Action.DISMISSED, "undo": Action.UNDONE}
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

EXAMPLE = {"artist": "Radiohead", "date": "summer 1994", "city": "Reading"}


@dataclass(frozen=True)
class Notice:
    """What was just decided, and how to take it back."""

    decision: Decision
    conflict: bool = False


@get("/", include_in_schema=False, opt={"unlimited": True})
async def root() -> Redirect:
    """The inbox."""
    return Redirect("/inbox", status_code=303)


@get("/open", include_in_schema=False, opt={"limit": "sign_in"})
async def open_inbox(request: AnyRequest, services: NamedDependency[Services], token: FromQuery[str] = "") -> Redirect:
    """Sign in by a link. The token does not stay in the address."""
    claims = await services.tokens.check(token, Audience.LINK, services.clock())
    cookie = session_cookie(request, services, claims.subject.removeprefix(DEVELOPMENT), claims)
    begins = "/ops" if OPERATOR in claims.roles else "/inbox"
    return Redirect(begins, status_code=303, cookies=[cookie], headers={"referrer-policy": "no-referrer"})


@get("/inbox", include_in_schema=False)
async def inbox(
    request: AnyRequest,
    services: NamedDependency[Services],
    wanted: Annotated[Literal["open", "decided"], QueryParameter(name="state")] = "open",
    band: FromQuery[Literal["", "sure", "likely", "possible"]] = "",
    artist: Annotated[str | None, QueryParameter(name="artist", max_length=200)] = None,
    year: Annotated[str | None, QueryParameter(name="year", pattern=r"^(\d{4})?$")] = None,
    cursor: Annotated[str | None, QueryParameter(name="cursor", max_length=1_000)] = None,
    decided: FromQuery[UUID | None] = None,
    conflict: FromQuery[bool] = False,
) -> Template:
    """Entries to decide, or those that were decided."""
    caller: Caller = request.user
    filters = Filters(
        Wanted(wanted), Band(band) if band else None, int(year) if year else None, plain("artist", artist) or None
    )
    async with services.engine.connect() as connection:
        counts = await read_counts(connection, caller.user, services.clock())
        views, following = await read_entries(connection, caller.user, filters, services.clock(), TAKE, cursor)
        notice = None
        if decided:
            body = await connection.scalar(
                select(DecisionRow.body)
                .where(DecisionRow.user_id == caller.user, DecisionRow.suggestion_id == decided)
                .order_by(DecisionRow.seq.desc())
                .limit(1)
            )
            notice = Notice(Decision.model_validate(body), conflict) if body else None
    chosen = {"state": wanted, "band": band, "artist": artist or "", "year": year or ""}
    context = {
        "views": views,
        "counts": counts,
        "notice": notice,
        "chosen": chosen,
        "filtered": bool(band or artist or year),
        "cursor": cursor or "",
        "next": following and _address(chosen | {"cursor": following}),
        "example": json.dumps({"user": caller.user} | EXAMPLE, ensure_ascii=False),
        "form_token": form_token(development_secret(services.settings), caller.claims.session),
    }
    # Renewed with every page read: the session ends SESSION_LIFE after the last.
    return Template(
        "inbox.html", context=context, cookies=[session_cookie(request, services, caller.user, caller.claims)]
    )


@post("/inbox/{suggestion_id:str}/{verb:str}", include_in_schema=False)
async def decide_on_page(
    request: AnyRequest,
    services: NamedDependency[Services],
    trace: NamedDependency[str],
    suggestion_id: FromPath[str],
    verb: FromPath[str],
    data: URLEncodedBody[dict[str, str]],
) -> Redirect:
    """A button of a card; back to the same place of the list."""
    caller: Caller = request.user
    expected = form_token(development_secret(services.settings), caller.claims.session)
    if not hmac.compare_digest(data.get("form_token", "").encode(), expected.encode()):
        raise ForbiddenError("This form is from another session. Open the inbox again.")
    if verb not in ACTIONS:
        raise NotFoundError("route", f"There is nothing at {request.url.path}.")
    wish = Wish(caller.user, suggestion_uuid(suggestion_id), ACTIONS[verb], services.clock(), trace)
    told = {name: data.get(name, "") for name in ("state", "band", "artist", "year", "cursor")}
    try:
        decision = await decide(services.engine, wish, services.settings.outbox_shards)
    except ConflictError as conflict:
        in_force = {detail.field: detail.message for detail in conflict.details}
        if "suggestion_id" not in in_force:
            raise
        told |= {"decided": in_force["suggestion_id"], "conflict": "true"}
    else:
        told["decided"] = str(decision.suggestion_id)
    return Redirect(_address(told), status_code=303)


def _address(query: dict[str, str]) -> str:
    told = {name: value for name, value in query.items() if value and (name, value) != ("state", "open")}
    return "/inbox" + (f"?{urlencode(told)}" if told else "")


def session_cookie(request: AnyRequest, services: Services, user: str, claims: Claims) -> Cookie:
    """The session, begun or renewed; its roles stay what the link gave."""
    return Cookie(
        key=COOKIE,
        value=page_token(services.settings, user, services.clock(), claims.session, claims.roles),
        path="/",
        max_age=int(SESSION_LIFE.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def night(day: date) -> str:
    """'Friday, 14 November 2014', whatever the machine's language."""
    return f"{_WEEKDAYS[day.weekday()]}, {day.day} {_MONTHS[day.month - 1]} {day.year}"


def percent(confidence: float) -> str:
    """'97.0 %'; never a whole 100, which nobody can promise."""
    return f"{min(100 * confidence, 99.9):.1f} %"


def place(facts: Facts) -> str:
    """'Leeds Festival, Reading, GB', as far as known."""
    parts = (facts.place.name, facts.place.city, facts.place.region, facts.place.country)
    return ", ".join(part for part in parts if part)


def written(entry: Remembered) -> list[tuple[str, str]]:
    """What the user wrote, label and text."""
    where = ", ".join(part for part in (entry.venue, entry.city, entry.region, entry.country) if part)
    if not where and entry.lat is not None and entry.lon is not None:
        where = f"{entry.lat:.4f}, {entry.lon:.4f}"
    told = (
        ("Artist", entry.artist),
        ("When", " ".join(part for part in (entry.date, entry.time) if part)),
        ("Where", where),
        ("Songs", ", ".join(entry.songs)),
        ("With", ", ".join(entry.with_)),
        ("Note", entry.note),
    )
    return [(label, text) for label, text in told if text]


def sources(members: tuple[Member, ...]) -> list[tuple[str, str | None]]:
    """Name of each source and its address, if that is one a browser should follow."""
    found: dict[tuple[str, str | None], None] = {}
    for member in members:
        safe = member.url if member.url and urlsplit(member.url).scheme in {"http", "https"} else None
        found[member.source, safe] = None
    return list(found)


def title(view: EntryView) -> str:
    """The card's heading: what was found, else what was written."""
    decided = view.confirmed or (view.decisions[-1] if view.decisions else None)
    if decided and decided.concert and not (view.suggestions and not view.confirmed):
        return decided.concert.artist
    return view.suggestions[0].concert.artist if view.suggestions else view.entry.artist or "Something you saw"


def template_config(more: Mapping[str, Any]) -> TemplateConfig[JinjaTemplateEngine]:
    """Every text is escaped; a name that is not given is an error, never an empty text. `more`: helpers of others."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    helpers: dict[str, Any] = {
        "night": night,
        "percent": percent,
        "place": place,
        "written": written,
        "sources": sources,
        "title": title,
        "bands": BANDS,
        "style": _STYLE,
    }
    environment.globals.update({**helpers, **more})
    return TemplateConfig(instance=JinjaTemplateEngine.from_environment(environment))


def routers() -> list[Router]:
    """The inbox and the way to it."""
    return [
        Router("/", route_handlers=[root, open_inbox]),
        Router("/", route_handlers=[inbox, decide_on_page], opt={"credential": "cookie"}),
    ]


def static_router() -> Router:
    """What pages load."""
    return create_static_files_router(
        "/static",
        directories=[_HERE / "static"],
        # A changed file has another address: see `style` in the templates.
        cache_control=CacheControlHeader(max_age=86_400, public=True),
        opt={"unlimited": True},
    )
