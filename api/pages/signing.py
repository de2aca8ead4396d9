"""Signing in to the pages, and out: in development by a link that the terminal prints, everywhere by the app's token.

POST /session   from the app's web view, a form with the field `token`, or with Authorization: Bearer. The session is of
                the token's user and has none of its roles: /ops asks for a token each time, so that a role that is
                withdrawn is gone within minutes.
POST /sign-out  ends the session itself, not only this browser's copy of its cookie (api.sessions).

The cookie is SameSite=Strict, and a browser sends no such cookie after a redirect that another site began. So whoever
comes from another site gets a page of ours first, which goes on by itself: the next request is our own.

Nobody is signed in as somebody else behind their back (login CSRF): the token comes from a page of ours, of a listed
origin, or from no page at all. A browser says which by Origin, and by Sec-Fetch-Site, which no page can write.
"""

import secrets
from contextlib import suppress
from dataclasses import replace
from typing import Any

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Redirect, Template
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api import sessions
from api.audit import Line, record
from api.erased import refuse_erased
from api.errors import AnyRequest, ForbiddenError, UnauthorizedError
from api.pages.frame import Form, check_form, session_cookie
from api.services import COOKIE, Caller, Services, bearer, user_of
from api.tokens import DEVELOPMENT, OPERATOR, SERVICE, Audience, Claims
from schemas.tables import Audited

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@get("/", include_in_schema=False, opt={"unlimited": True})
async def root() -> Redirect:
    """The inbox."""
    return Redirect("/inbox", status_code=303)


@get("/open", include_in_schema=False, opt={"limit": "sign_in"})
async def open_inbox(
    request: AnyRequest, services: NamedDependency[Services], trace: NamedDependency[str], token: FromQuery[str] = ""
) -> Response[Any]:
    """Sign in by a link. The token does not stay in the address."""
    claims = await services.tokens.check(token, Audience.LINK, services.clock())
    user = claims.subject.removeprefix(DEVELOPMENT)
    began = _begun(claims, claims.roles)
    # Away: the link signs in all the same, and the page says what is away.
    with suppress(OperationalError, InterfaceError, PoolTimeoutError):
        await _written_down(services, user, began, trace)
    begins = "/ops" if OPERATOR in claims.roles else "/inbox"
    return _let_in(request, services, user, began, begins)


@post("/session", include_in_schema=False, status_code=200, opt={"limit": "sign_in"})
async def begin_session(
    request: AnyRequest, services: NamedDependency[Services], trace: NamedDependency[str]
) -> Response[Any]:
    """Sign in by a token of the API. ForbiddenError for one that another site sends."""
    listed = services.settings.cors_origins.split(",")
    own = f"{request.url.scheme}://{request.url.netloc}"
    site = request.headers.get("sec-fetch-site")
    if not welcome(request.headers.get("origin"), site, own, {one.strip() for one in listed} - {""}):
        raise ForbiddenError(
            "This sign-in comes from another site. Remedy: begin at the app, or list its origin in GIGZ_CORS_ORIGINS."
        )
    claims = await _brought(request, services)
    if SERVICE in claims.roles:
        raise ForbiddenError("This token is a service's, which is nobody's user. Remedy: send a user's own.")
    user = await user_of(services, claims)
    began = _begun(claims)
    await _written_down(services, user, began, trace)
    return _let_in(request, services, user, began, "/inbox")


@post("/sign-out", include_in_schema=False)
async def sign_out(
    request: AnyRequest, services: NamedDependency[Services], trace: NamedDependency[str], data: Form
) -> Redirect:
    """End the session, on whichever device its cookie is. One that is over already is not asked for its form."""
    token = request.cookies.get(COOKIE, "")
    if not token:  # nor is anything taken from a browser that another site sends here
        return Redirect("/signed-out", status_code=303)
    with suppress(UnauthorizedError):
        claims = await services.tokens.check(token, Audience.PAGE, services.clock())
        user = await user_of(services, claims)
        request.scope["user"] = Caller(user, claims)
        check_form(request, services, data)
        async with services.engine.begin() as connection:
            await refuse_erased(connection, user)
            ended = await sessions.end(connection, user, claims.session, services.clock())
            if ended is not None:
                line = Line(user, services.clock(), Audited.SIGNED_OUT, trace, thing=str(ended))
                await record(connection, line)
    return Redirect("/signed-out", status_code=303, cookies=[no_cookie(request)])


@get("/signed-out", include_in_schema=False)
async def signed_out(services: NamedDependency[Services]) -> Template:
    """How to come back."""
    development = services.settings.environment == "development"
    return Template("signed_out.html", context={"development": development})


def welcome(origin: str | None, site: str | None, own: str, listed: set[str]) -> bool:
    """Whether a sign-in may come from there. `origin`, `site`: the headers Origin and Sec-Fetch-Site."""
    if origin is None or origin == "null":
        # No page, or one that hides where it is from. A web view that posts by itself says that no page did.
        return site in ((None, "none", "same-origin") if origin is None else ("none",))
    return origin == own or origin in listed or site == "same-origin"


def no_cookie(request: AnyRequest) -> Cookie:
    """Takes the session out of this browser."""
    https = request.url.scheme == "https"
    return Cookie(key=COOKIE, value="", path="/", max_age=0, httponly=True, samesite="strict", secure=https)


async def _brought(request: AnyRequest, services: Services) -> Claims:
    """Of the token that came along, in a form or as a header."""
    if "authorization" not in request.headers and request.headers.get("content-type", "").startswith(FORMS):
        token = (await request.form()).get("token")
        if isinstance(token, str) and token:
            return await services.tokens.check(token.strip(), Audience.API, services.clock())
        raise UnauthorizedError("Send the app's token: a form with the field token, or Authorization: Bearer …")
    return await bearer(request, services)


def _begun(claims: Claims, roles: frozenset[str] = frozenset()) -> Claims:
    """Of a session of our own, whatever the token says of its issuer's."""
    return replace(claims, session=secrets.token_hex(16), roles=roles, signed_in=None)


async def _written_down(services: Services, user: str, began: Claims, trace: str) -> None:
    async with services.engine.begin() as connection:
        await refuse_erased(connection, user)
        thing = str(sessions.named(began.session))
        await record(connection, Line(user, services.clock(), Audited.SIGNED_IN, trace, thing=thing))


def _let_in(request: AnyRequest, services: Services, user: str, began: Claims, address: str) -> Response[Any]:
    told: dict[str, Any] = {
        "cookies": [session_cookie(request, services, user, began)],
        "headers": {"referrer-policy": "no-referrer"},
    }
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = f"{request.url.scheme}://{request.url.netloc}"
    if site == "cross-site" or (site is None and origin not in (None, own)):
        return Template("onward.html", context={"address": address}, status_code=200, **told)
    return Redirect(address, status_code=303, **told)


in_development = [open_inbox]
handlers = [root, begin_session, sign_out, signed_out]
