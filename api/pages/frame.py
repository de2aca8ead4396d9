"""What every page has: the session of who reads it, forms that only our own pages can send, addresses."""

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Router
from litestar.datastructures import CacheControlHeader, Cookie
from litestar.params import URLEncodedBody
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect, Template
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig

from api.errors import AnyRequest, ForbiddenError
from api.pages import words
from api.services import COOKIE, Caller, Services
from api.tokens import Claims, form_secret, form_token, page_token, session_end

_API = Path(__file__).parent.parent
STATIC = _API / "static"
_VERSIONS = {
    path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in STATIC.iterdir() if path.is_file()
}

Form = URLEncodedBody[dict[str, str]]
"""Fields of a form; of two with one name, the last."""


def static(name: str) -> str:
    """The address of a file that pages load: another one once its content is another. KeyError when there is none."""
    return f"/static/{name}?v={_VERSIONS[name]}"


def show(request: AnyRequest, services: Services, template: str, /, *, status: int = 200, **context: Any) -> Template:
    """A page for who is signed in; reading it renews the session."""
    caller: Caller = request.user
    path = request.url.path
    every = {
        "user": caller.user,
        "path": path,
        "room": path.split("/")[1],
        "form_token": form_token(form_secret(services.settings), caller.claims.session),
    }
    # Renewed with every page read: the session ends SESSION_LIFE after the last, SESSION_MOST after the first.
    cookie = session_cookie(request, services, caller.user, caller.claims)
    return Template(template, context=every | context, status_code=status, cookies=[cookie])


def check_form(request: AnyRequest, services: Services, data: Mapping[str, str]) -> None:
    """ForbiddenError for a form that no page of this session has sent (CSRF)."""
    caller: Caller = request.user
    expected = form_token(form_secret(services.settings), caller.claims.session)
    if not hmac.compare_digest(data.get("form_token", "").encode(), expected.encode()):
        raise ForbiddenError(words._("This form is from another session. Open the page again, and send it once more."))


def back(address: str, **query: Any) -> Redirect:
    """To a page of ours, after a form was taken; what is empty is left out. ValueError for a foreign address."""
    if not address.startswith("/") or address.startswith(("//", "/\\")):
        raise ValueError(f"{address!r} is no address of ours")
    told = {name: str(value) for name, value in query.items() if value not in (None, "", False)}
    return Redirect(address + (f"?{urlencode(told)}" if told else ""), status_code=303)


def session_cookie(request: AnyRequest, services: Services, user: str, claims: Claims) -> Cookie:
    """The session, renewed, or begun where the claims have none; its roles stay what the link gave."""
    now = services.clock()
    token = page_token(
        services.settings,
        user,
        now,
        claims.session,
        claims.roles,
        subject=claims.subject,
        signed_in=claims.signed_in,
    )
    return Cookie(
        key=COOKIE,
        value=token,
        path="/",
        max_age=max(0, int((session_end(now, claims.signed_in) - now).total_seconds())),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


def template_config(more: Mapping[str, Any]) -> TemplateConfig[JinjaTemplateEngine]:
    """Every text is escaped; a name that is not given is an error, never an empty text. `more`: helpers of others."""
    environment = Environment(
        loader=FileSystemLoader(_API / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update({**words.HELPERS, "static": static, **more})
    return TemplateConfig(instance=JinjaTemplateEngine.from_environment(environment))


def static_router() -> Router:
    """What pages load."""
    return create_static_files_router(
        "/static",
        directories=[STATIC],
        # A changed file has another address: see `static`.
        cache_control=CacheControlHeader(max_age=86_400, public=True),
        opt={"unlimited": True},
    )
