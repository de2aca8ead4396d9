"""Who is calling: tokens given out in development, tokens checked everywhere.

Development  HS256; the secret is the setting, else one made once and kept in the home folder with mode 0600.
             The subject `dev:USER` is the user USER.
Production   RS256 or EdDSA, keys by JWKS (api.jwks), from the issuer and for the audience that the settings name;
             subjects become our own opaque ids through state.accounts.
Pages        HS256 in both: the development secret, or GIGZ_PAGES_SECRET. Given out by POST /session for a token of the
             API, or for a link; renewed with every page. See api.sessions for how they end before their time.

A token is for one purpose (its audience): a link does not call the API, and a bearer token opens no inbox. Its
algorithm is the one of our key, whatever its header says; keys that it brings along or names by address are refused.
Roles are the claim `roles`, a list of names: `operator` may use /ops; `service` is an app's backend, which acts for
itself and is nobody's user. No role, or another one: a user.

Errors
    deploy.settings.SettingsError     no usable secret or no JWKS address
    api.errors.UnauthorizedError      the token is not one of ours
      api.errors.TokenExpiredError    it was
    api.errors.UnavailableError       the keys cannot be fetched
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import jwt
import structlog
from jwt.types import Options
from pydantic import TypeAdapter, ValidationError

from api.errors import TokenExpiredError, UnauthorizedError
from api.jwks import ALGORITHMS, Keys, fetching
from deploy.settings import PREFIX, Settings, SettingsError
from schemas.message import User

log = structlog.get_logger()

ISSUER = "gigz-development"
DEVELOPMENT = "dev:"
"""Begins the subject of a token given out in development; the user's id follows."""
SECRET_FILE = "jwt.secret"  # noqa: S105 - the name of the file
LEAST_SECRET = 32
"""Bytes; RFC 7518 asks for as many as the hash has."""
LINK_LIFE = timedelta(days=1)
"""A link printed at a terminal is opened the same day."""
SESSION_LIFE = timedelta(hours=8)
"""Counted from the last page read: someone who looks at a page over lunch can still press its buttons."""
SESSION_MOST = timedelta(days=30)
"""Counted from the sign-in, however many pages are read: a cookie that was stolen is not good for ever."""
PAGES_ISSUER = "gigz-pages"
"""Of page tokens in production: nothing that another part signs is one, even by the same secret."""

OPERATOR = "operator"
"""The role that may schedule spiders, start and stop them, and replay rejections."""
SERVICE = "service"
"""The role of an app's backend: reads the catalogue, and nothing of anybody's."""
ROLES = (OPERATOR, SERVICE)

BROUGHT = ("jwk", "jku", "x5u")
"""Headers with which a token would choose its own key."""

_USER = TypeAdapter(User)


class Audience(StrEnum):
    """What a token is good for."""

    API = "gigz-api"
    LINK = "gigz-link"
    PAGE = "gigz-page"


@dataclass(frozen=True)
class Claims:
    """What is read out of a token."""

    subject: str
    expires: datetime
    session: str = ""
    """Of page tokens: stays the same while the token is renewed, so that forms stay good."""
    roles: frozenset[str] = frozenset()
    user: str = ""
    """Of page tokens: our id of who signed in. A cookie never makes an account, nor follows a subject to a new one."""
    signed_in: datetime | None = None
    """Of page tokens: when their session began."""


def issue_token(settings: Settings, user: str, now: datetime, roles: Collection[str] = ()) -> str:
    """A bearer token of development for this user. SettingsError in production; ValueError for an impossible id."""
    expires = now + timedelta(minutes=settings.access_token_minutes)
    return _issue(settings, user, Audience.API, now, expires, roles)


def inbox_link(settings: Settings, base_url: str, user: str, now: datetime, roles: Collection[str] = ()) -> str:
    """An address that signs this user in to the inbox, or an operator to /ops, in development."""
    token = _issue(settings, user, Audience.LINK, now, now + LINK_LIFE, roles)
    return f"{base_url.rstrip('/')}/open?token={quote(token, safe='')}"


def page_token(
    settings: Settings,
    user: str,
    now: datetime,
    session: str = "",
    roles: Collection[str] = (),
    *,
    subject: str = "",
    signed_in: datetime | None = None,
) -> str:
    """The content of the pages' cookie. `session` and `signed_in`: of the one it follows; none: a session begins.

    `subject`: of the token that signed in; development has its own. SettingsError in production without
    GIGZ_PAGES_SECRET.
    """
    development = settings.environment == "development"
    _check_user(user)
    began = signed_in or now
    claims = {
        "sub": subject or DEVELOPMENT + user,
        "iss": ISSUER if development else PAGES_ISSUER,
        "aud": Audience.PAGE.value,
        "iat": int(now.timestamp()),
        "exp": int(session_end(now, began).timestamp()),
        "sid": session or secrets.token_hex(16),
        "user": user,
        "auth_time": int(began.timestamp()),
    }
    return jwt.encode(claims | _told(roles), form_secret(settings), algorithm="HS256")


def session_end(now: datetime, signed_in: datetime | None) -> datetime:
    """Until when a session is good of which a page is read now. None: it begins."""
    return min(now + SESSION_LIFE, (signed_in or now) + SESSION_MOST)


def form_token(secret: str, session: str) -> str:
    """Proves that a form came from a page of this session: another site cannot know it (CSRF)."""
    return hmac.new(secret.encode(), f"form\n{session}".encode(), hashlib.sha256).hexdigest()


def form_secret(settings: Settings) -> str:
    """What signs forms and sessions of pages. SettingsError in production where GIGZ_PAGES_SECRET is not set."""
    if settings.environment == "development":
        return development_secret(settings)
    secret = settings.pages_secret.get_secret_value()
    if len(secret.encode()) < LEAST_SECRET:
        raise SettingsError(
            f"{PREFIX}PAGES_SECRET has fewer than {LEAST_SECRET} bytes. Remedy: take a longer one, in every process."
        )
    return secret


def development_secret(settings: Settings) -> str:
    """The HS256 secret, made at the first call. SettingsError in production, or when it is too short."""
    if settings.environment == "production":
        raise SettingsError(
            f"{PREFIX}ENVIRONMENT is production: no tokens are given out here. "
            f"Remedy: take one from the issuer behind {PREFIX}JWT_JWKS_URL."
        )
    given = settings.jwt_secret.get_secret_value()
    secret = given or _kept_secret(settings.home / SECRET_FILE)
    if len(secret.encode()) < LEAST_SECRET:
        where = f"{PREFIX}JWT_SECRET" if given else str(settings.home / SECRET_FILE)
        raise SettingsError(f"{where}: shorter than {LEAST_SECRET} bytes. Remedy: take a longer one, or remove it.")
    return secret


def _kept_secret(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written aside and linked: of two processes that start at once, one wins and both read the whole secret.
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        Path(aside).unlink()
    return path.read_text(encoding="ascii").strip()


def _issue(
    settings: Settings, user: str, audience: Audience, now: datetime, expires: datetime, roles: Collection[str]
) -> str:
    secret = development_secret(settings)
    _check_user(user)
    claims = {
        "sub": DEVELOPMENT + user,
        "iss": ISSUER,
        "aud": audience.value,
        "iat": int(now.timestamp()),
        "exp": int(expires.timestamp()),
    }
    return jwt.encode(claims | _told(roles), secret, algorithm="HS256")


def _check_user(user: str) -> None:
    try:
        _USER.validate_python(user)
    except ValidationError as error:
        raise ValueError(f"user {user!r}: 1 to 128 characters, no slash, no space in front") from error


def _told(roles: Collection[str]) -> dict[str, Any]:
    return {"roles": sorted(roles)} if roles else {}


class Checker(Protocol):
    """Reads tokens and trusts none."""

    async def check(self, token: str, audience: Audience, now: datetime) -> Claims:
        """What the token says, if it is good for this purpose now; else UnauthorizedError or TokenExpiredError."""

    async def close(self) -> None:
        """Let go of what it holds."""


def checker(settings: Settings) -> Checker:
    """The one for this environment. SettingsError names what production must know of the issuer."""
    if settings.environment == "development":
        return DevelopmentChecker(development_secret(settings), settings.jwt_leeway_s)
    wanted = {
        "jwt_jwks_url": "the address of the issuer's keys (…/.well-known/jwks.json)",
        "jwt_issuer": "the claim iss of its tokens, letter by letter",
        "jwt_audience": "the claim aud of tokens for this API: others of the same issuer are for others",
    }
    for name, remedy in wanted.items():
        if not getattr(settings, name):
            raise SettingsError(
                f"{PREFIX}{name.upper()} is not set, and {PREFIX}ENVIRONMENT is production. Remedy: {remedy}."
            )
    address = urlsplit(settings.jwt_jwks_url)
    if address.scheme not in ("https", "http") or not address.hostname:
        raise SettingsError(f"{PREFIX}JWT_JWKS_URL: {settings.jwt_jwks_url!r} is no http(s) address. Remedy: https://…")
    if address.scheme == "http" and address.hostname not in ("127.0.0.1", "::1", "localhost"):
        log.warning(
            "keys_over_plain_http", setting=f"{PREFIX}JWT_JWKS_URL", why="whoever is in between can sign tokens"
        )
    return JwksChecker(
        Keys(fetching(settings.jwt_jwks_url)),
        settings.jwt_issuer,
        settings.jwt_audience,
        settings.jwt_leeway_s,
        settings.pages_secret.get_secret_value(),
    )


@dataclass(frozen=True)
class DevelopmentChecker:
    """Tokens of ours, by one secret."""

    secret: str
    leeway_s: float

    async def check(self, token: str, audience: Audience, now: datetime) -> Claims:
        """See Checker."""
        claims = _ours(token, self.secret, audience, ISSUER)
        return _current(claims, now, self.leeway_s, audience)

    async def close(self) -> None:
        """It holds nothing."""


@dataclass(frozen=True)
class JwksChecker:
    """Tokens of an issuer, by its public keys, and those of our own pages."""

    keys: Keys
    issuer: str
    audience: str
    leeway_s: float
    pages_secret: str = field(default="", repr=False)
    """Empty: there are no pages."""

    async def check(self, token: str, audience: Audience, now: datetime) -> Claims:
        """See Checker; UnavailableError when the issuer's keys cannot be known."""
        if audience is Audience.PAGE and self.pages_secret:
            claims = _ours(token, self.pages_secret, audience, PAGES_ISSUER)
            return _current(claims, now, self.leeway_s, audience)
        if audience is not Audience.API:
            raise _refused()
        try:
            header = _header(token)
            if header.get("alg") not in ALGORITHMS:
                raise jwt.InvalidAlgorithmError("not one of ours")
            key = await self.keys.find(header.get("kid"), header["alg"])
            if key is None:
                raise jwt.InvalidKeyError("not one of the issuer's")
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self.audience,
                issuer=self.issuer,
                options=_OPTIONS,
            )
        except jwt.PyJWTError as error:
            raise _refused() from error
        return _current(claims, now, self.leeway_s, audience)

    async def close(self) -> None:
        """See Checker."""
        await self.keys.close()


def _ours(token: str, secret: str, audience: Audience, issuer: str) -> dict[str, Any]:
    """The claims of a token that we signed for this. UnauthorizedError for any other."""
    try:
        _header(token)
        claims: dict[str, Any] = jwt.decode(
            token, secret, algorithms=["HS256"], audience=audience.value, issuer=issuer, options=_OPTIONS
        )
    except jwt.PyJWTError as error:
        raise _refused() from error
    return claims


def _header(token: str) -> dict[str, Any]:
    """The header, which nothing vouches for yet. PyJWTError when it is none, or brings its own key."""
    header = jwt.get_unverified_header(token)
    if any(name in header for name in BROUGHT):
        raise jwt.InvalidTokenError("brings its own key")
    return header


def _refused() -> UnauthorizedError:
    return UnauthorizedError("The token is not valid.", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


# Times are compared with our own clock, below.
_OPTIONS: Options = {
    "require": ["sub", "exp", "iss", "aud"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}


def _current(claims: dict[str, Any], now: datetime, leeway_s: float, audience: Audience) -> Claims:
    seconds = now.timestamp()
    try:
        expires, not_before = _instant(claims["exp"]), _instant(claims.get("nbf", 0))
        until = datetime.fromtimestamp(expires, tz=now.tzinfo)
        told = Claims(claims["sub"], until, roles=_roles(claims.get("roles")))
        # An issuer has sessions of its own, by the same names: they are none of ours.
        if audience is Audience.PAGE:
            began = datetime.fromtimestamp(_instant(claims["auth_time"]), tz=now.tzinfo)
            told = replace(told, session=_text(claims["sid"]), user=_text(claims["user"]), signed_in=began)
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise _refused() from error
    if not_before - leeway_s > seconds or not told.subject or "\x00" in told.subject:
        raise _refused()
    if seconds >= expires + leeway_s:
        raise TokenExpiredError(
            "The token has expired.",
            headers={"WWW-Authenticate": 'Bearer error="invalid_token", error_description="expired"'},
        )
    return told


def _instant(told: Any) -> float:
    """Seconds since 1970. TypeError for what is no number."""
    if isinstance(told, bool) or not isinstance(told, int | float):
        raise TypeError("no number")
    return float(told)


def _text(told: Any) -> str:
    """TypeError for anything else, and for nothing."""
    if not isinstance(told, str) or not told:
        raise TypeError("no text")
    return told


def _roles(told: Any) -> frozenset[str]:
    """What is no list of names gives no role."""
    return frozenset(role for role in told if isinstance(role, str)) if isinstance(told, list) else frozenset()
