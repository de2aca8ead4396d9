"""Who is calling: tokens given out in development, tokens checked everywhere.

Development  HS256; the secret is the setting, else one made once and kept in the home folder with mode 0600.
             The subject `dev:USER` is the user USER.
Production   RS256 or EdDSA, keys by JWKS; subjects become our own opaque ids through state.accounts.

A token is for one purpose (its audience): a link does not call the API, and a bearer token opens no inbox.
Roles are the claim `roles`, a list of names: `operator` may use /ops.

Errors
    deploy.settings.SettingsError     no usable secret or no JWKS address
    api.errors.UnauthorizedError      the token is not one of ours
      api.errors.TokenExpiredError    it was
    api.errors.UnavailableError       the keys cannot be fetched
"""

import asyncio
import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import jwt
from jwt.types import Options
from pydantic import TypeAdapter, ValidationError

from api.errors import TokenExpiredError, UnauthorizedError, UnavailableError
from deploy.settings import PREFIX, Settings, SettingsError
from schemas.message import User

ISSUER = "gigz-development"
DEVELOPMENT = "dev:"
"""Begins the subject of a token given out in development; the user's id follows."""
SECRET_FILE = "jwt.secret"  # noqa: S105 - the name of the file
LEAST_SECRET = 32
"""Bytes; RFC 7518 asks for as many as the hash has."""
LEEWAY_S = 10
"""Clocks of two machines differ by this much at most."""
LINK_LIFE = timedelta(days=1)
"""A link printed at a terminal is opened the same day."""
SESSION_LIFE = timedelta(hours=8)
"""Counted from the last page read: someone who looks at a page over lunch can still press its buttons."""

OPERATOR = "operator"
"""The role that may schedule spiders, start and stop them, and replay rejections."""

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


def issue_token(settings: Settings, user: str, now: datetime, roles: Collection[str] = ()) -> str:
    """A bearer token of development for this user. SettingsError in production; ValueError for an impossible id."""
    return _issue(settings, user, Audience.API, now, timedelta(minutes=settings.access_token_minutes), roles)


def inbox_link(settings: Settings, base_url: str, user: str, now: datetime, roles: Collection[str] = ()) -> str:
    """An address that signs this user in to the inbox, or an operator to /ops, in development."""
    token = _issue(settings, user, Audience.LINK, now, LINK_LIFE, roles)
    return f"{base_url.rstrip('/')}/open?token={quote(token, safe='')}"


def page_token(settings: Settings, user: str, now: datetime, session: str = "", roles: Collection[str] = ()) -> str:
    """The content of the inbox's cookie; `session` of the one it follows."""
    return _issue(settings, user, Audience.PAGE, now, SESSION_LIFE, roles, sid=session or secrets.token_hex(16))


def form_token(secret: str, session: str) -> str:
    """Proves that a form came from a page of this session: another site cannot know it (CSRF)."""
    return hmac.new(secret.encode(), f"form\n{session}".encode(), hashlib.sha256).hexdigest()


def form_secret(settings: Settings) -> str:
    """What signs the forms of pages. SettingsError in production where GIGZ_PAGES_SECRET is not set."""
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
    settings: Settings,
    user: str,
    audience: Audience,
    now: datetime,
    life: timedelta,
    roles: Collection[str],
    **more: str,
) -> str:
    secret = development_secret(settings)
    try:
        _USER.validate_python(user)
    except ValidationError as error:
        raise ValueError(f"user {user!r}: 1 to 128 characters, no slash, no space in front") from error
    issued = int(now.timestamp())
    claims: dict[str, Any] = {
        "sub": DEVELOPMENT + user,
        "iss": ISSUER,
        "aud": audience.value,
        "iat": issued,
        "exp": issued + int(life.total_seconds()),
    }
    if roles:
        claims["roles"] = sorted(roles)
    return jwt.encode(claims | more, secret, algorithm="HS256")


class Checker(Protocol):
    """Reads tokens and trusts none."""

    async def check(self, token: str, audience: Audience, now: datetime) -> Claims:
        """What the token says, if it is good for this purpose now; else UnauthorizedError or TokenExpiredError."""


def checker(settings: Settings) -> Checker:
    """The one for this environment."""
    if settings.environment == "development":
        return DevelopmentChecker(development_secret(settings))
    if not settings.jwt_jwks_url:
        raise SettingsError(
            f"{PREFIX}JWT_JWKS_URL is not set, and {PREFIX}ENVIRONMENT is production. "
            f"Remedy: the address of the issuer's keys (…/.well-known/jwks.json)."
        )
    try:
        return JwksChecker(jwt.PyJWKClient(settings.jwt_jwks_url, timeout=5))
    except jwt.PyJWKClientError as error:
        raise SettingsError(f"{PREFIX}JWT_JWKS_URL: {error}") from error


@dataclass(frozen=True)
class DevelopmentChecker:
    """Tokens of ours, by one secret."""

    secret: str

    async def check(self, token: str, audience: Audience, now: datetime) -> Claims:
        """See Checker."""
        try:
            claims = jwt.decode(
                token, self.secret, algorithms=["HS256"], audience=audience.value, issuer=ISSUER, options=_OPTIONS
            )
        except jwt.PyJWTError as error:
            raise UnauthorizedError("The token is not valid.") from error
        return _current(claims, now)


@dataclass(frozen=True)
class JwksChecker:
    """Tokens of an issuer, by its public keys."""

    keys: jwt.PyJWKClient

    async def check(self, token: str, audience: Audience, now: datetime) -> Claims:
        """See Checker."""
        if audience is not Audience.API:
            raise UnauthorizedError("The token is not valid.")
        try:
            key = await asyncio.to_thread(self.keys.get_signing_key_from_jwt, token)
            claims = jwt.decode(token, key, algorithms=["RS256", "EdDSA"], options=_OPTIONS | {"verify_aud": False})
        except jwt.PyJWKClientConnectionError as error:
            raise UnavailableError("The keys of the token's issuer cannot be fetched.") from error
        except jwt.PyJWTError as error:
            raise UnauthorizedError("The token is not valid.") from error
        return _current(claims, now)


# Times are compared with our own clock, below.
_OPTIONS: Options = {"require": ["sub", "exp"], "verify_exp": False, "verify_nbf": False, "verify_iat": False}


def _current(claims: dict[str, Any], now: datetime) -> Claims:
    seconds = now.timestamp()
    try:
        expires, not_before = float(claims["exp"]), float(claims.get("nbf", 0))
        until = datetime.fromtimestamp(expires, tz=now.tzinfo)
        told = Claims(claims["sub"], until, str(claims.get("sid", "")), _roles(claims.get("roles")))
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise UnauthorizedError("The token is not valid.") from error
    if seconds >= expires + LEEWAY_S:
        raise TokenExpiredError("The token has expired.")
    if seconds < not_before - LEEWAY_S or not told.subject or "\x00" in told.subject:
        raise UnauthorizedError("The token is not valid.")
    return told


def _roles(told: Any) -> frozenset[str]:
    """What is no list of names gives no role."""
    return frozenset(role for role in told if isinstance(role, str)) if isinstance(told, list) else frozenset()
