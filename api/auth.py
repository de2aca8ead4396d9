"""POST /v1/auth/token, refresh, revoke: the issuer of development. In production these routes do not exist.

Signing in is by what only somebody at this machine has: the secret that tokens are signed with, or a link that
`gigz open USER` printed. An access token lives for 15 minutes and is looked up nowhere; a refresh token lives for 7
days, is used once, and is kept as a hash.

Rotation   Each refresh gives the token that follows the used one: an HMAC of it, by our secret. So a family of tokens
           is a line that never forks, and whoever lost an answer asks again and is told the same successor.
Reuse      A used token that comes again ends its whole family: one of the two who had it was a thief, and we cannot
           know which. Except for REPEAT_S after its use, while its successor is not used: that is a phone that lost
           the answer in a tunnel, or two tabs at once. A thief who repeats within these seconds gets the successor
           that the owner has as well; the second of the two to use it ends the family. So nothing is given away but
           the thief's time until then.
Revoke     Ends the family. Access tokens that were given out before are good until they expire.

Errors
    UnauthorizedError    no such secret, link or token; one that was ended or used; an erased user
    TokenExpiredError    a refresh token that was not used for 7 days
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

from litestar import Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from api import audit
from api.answers import Answer
from api.asked import NO_NUL, absent, only, rule
from api.calls import Device
from api.erased import refuse_erased
from api.errors import ApiError, TokenExpiredError, UnauthorizedError, told
from api.services import Services
from api.tokens import DEVELOPMENT, Audience, development_secret, issue_token
from schemas.message import User
from schemas.tables import Audited, RefreshTokenRow, SignInEnd, SignInRow

REPEAT_S = 10
"""For an answer that was lost: a phone asks again within seconds."""


class SignIn(BaseModel):
    """The secret of this machine and a user of one's choice, or a link."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"user": "listener-1", "secret": "what GIGZ_HOME/jwt.secret holds"},
                {"link": "http://127.0.0.1:18000/open?token=eyJhbGciOiJIUzI1NiJ9.e30.c2ln"},
            ],
            **rule(
                {
                    "oneOf": [
                        {"allOf": [only("link", "string"), absent("user", "secret", "roles")]},
                        {"allOf": [only("user", "string"), only("secret", "string"), absent("link")]},
                    ]
                }
            ),
        },
    )

    user: User | None = Field(default=None, description="Whom to sign in; with the secret.")
    secret: str | None = Field(
        default=None, max_length=1_000, description="GIGZ_JWT_SECRET, else the content of GIGZ_HOME/jwt.secret."
    )
    roles: list[Literal["operator", "service"]] = Field(
        default=[], max_length=2, description="With the secret; a link has its own."
    )
    link: str | None = Field(
        default=None, max_length=8_000, description="As `gigz open USER` prints it, or the token in it."
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.link is not None and (self.user is not None or self.secret is not None or self.roles):
            raise ValueError("link says who signs in: leave out user, secret and roles")
        if self.link is None and (self.user is None or self.secret is None):
            raise ValueError("needs user and secret, or the link that `gigz open USER` prints")
        return self


class Refresh(BaseModel):
    """A refresh token."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"refresh_token": "qYb1mJ0rU3pXw7VtK9sZc2LdNfGhRa5eTi8oBu4yPk0"}]},
    )

    refresh_token: str = Field(min_length=1, max_length=200, pattern=NO_NUL)


class Tokens(BaseModel):
    """What a client keeps."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "access_token": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
                    "token_type": "Bearer",
                    "expires_in": 900,
                    "refresh_token": "qYb1mJ0rU3pXw7VtK9sZc2LdNfGhRa5eTi8oBu4yPk0",
                    "refresh_expires_in": 604800,
                }
            ]
        }
    )

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a kind of token
    expires_in: int = Field(description="Seconds.")
    refresh_token: str = Field(description="For one use; the answer to it has the next.")
    refresh_expires_in: int = Field(description="Seconds.")


@dataclass(frozen=True)
class _Family:
    """A sign-in that is locked."""

    sign_in_id: UUID
    user: str
    roles: list[str]
    ended: SignInEnd | None


@post("/token", status_code=200, summary="Sign in, in development", opt={"limit": "sign_in"}, responses=told(400))
async def sign_in(
    services: NamedDependency[Services],
    trace: NamedDependency[str],
    data: JSONBody[SignIn],
    device: Device = None,
) -> Answer[Tokens]:
    """As the user of a link, or as any user by the secret of this machine."""
    now = services.clock()
    user, roles = await _whom(services, data, now)
    family = _Family(uuid4(), user, roles, None)
    token = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    async with services.engine.begin() as connection:
        await refuse_erased(connection, user)
        await connection.execute(
            insert(SignInRow).values(sign_in_id=family.sign_in_id, user_id=user, roles=family.roles)
        )
        until = await _give(connection, services, family, token, now)
        await audit.record(connection, _line(family, Audited.SIGNED_IN, now, trace, device))
    return _answer(services, family, token, until, now)


@post("/refresh", status_code=200, summary="The next pair of tokens", responses=told(400))
async def refresh(
    services: NamedDependency[Services],
    trace: NamedDependency[str],
    data: JSONBody[Refresh],
    device: Device = None,
) -> Answer[Tokens]:
    """Once for each refresh token; used again, it ends all that followed it."""
    now = services.clock()
    async with services.engine.begin() as connection:
        found = await _rotate(connection, services, data.refresh_token, now, trace, device)
    if isinstance(found, ApiError):
        # After the commit: what a reuse ended stays ended.
        raise found
    return found


@post("/revoke", status_code=204, summary="Sign out", responses=told(400))
async def revoke(
    services: NamedDependency[Services],
    trace: NamedDependency[str],
    data: JSONBody[Refresh],
    device: Device = None,
) -> None:
    """Ends the token and all of its family. One that is not known is ended already."""
    now = services.clock()
    async with services.engine.begin() as connection:
        family = await _locked(connection, _hash(data.refresh_token))
        if family is not None and family.ended is None:
            await refuse_erased(connection, family.user)
            await _end(connection, family, SignInEnd.SIGNED_OUT, now)
            await audit.record(connection, _line(family, Audited.SIGNED_OUT, now, trace, device))


async def _whom(services: Services, data: SignIn, now: datetime) -> tuple[str, list[str]]:
    if data.link is not None:
        token = parse_qs(urlsplit(data.link).query).get("token", [data.link])[0]
        claims = await services.tokens.check(token, Audience.LINK, now)
        return claims.subject.removeprefix(DEVELOPMENT), sorted(claims.roles)
    assert data.user is not None and data.secret is not None
    known = development_secret(services.settings)
    if not hmac.compare_digest(data.secret.strip().encode("utf-8", "surrogatepass"), known.encode()):
        raise UnauthorizedError("This is not the secret of this machine: see GIGZ_JWT_SECRET, else GIGZ_HOME.")
    return data.user, sorted(set(data.roles))


async def _rotate(
    connection: AsyncConnection, services: Services, token: str, now: datetime, trace: str, device: str | None
) -> Answer[Tokens] | ApiError:
    """The next pair, or why there is none; what was written on the way is to be kept either way."""
    family = await _locked(connection, _hash(token))
    if family is None:
        return UnauthorizedError("The refresh token is not valid. Sign in again.")
    if family.ended is not None:
        return UnauthorizedError(f"This sign-in was ended ({family.ended.value}). Sign in again.")
    await refuse_erased(connection, family.user)
    following = successor(development_secret(services.settings), token)
    # Read under the lock of the family: of two who bring the same token, the second sees that it is used.
    known = {
        row.token_hash: row
        for row in await connection.execute(
            select(RefreshTokenRow.__table__).where(
                RefreshTokenRow.token_hash.in_([_hash(token), _hash(following)]),
            )
        )
    }
    mine, following_row = known[_hash(token)], known.get(_hash(following))
    if mine.used_at is None:
        if mine.expires_at <= now:
            return TokenExpiredError("The refresh token has expired. Sign in again.")
        await connection.execute(
            update(RefreshTokenRow).where(RefreshTokenRow.token_hash == mine.token_hash).values(used_at=now)
        )
        until = await _give(connection, services, family, following, now)
        return _answer(services, family, following, until, now)
    lost = now - mine.used_at <= timedelta(seconds=REPEAT_S)
    if lost and following_row is not None and following_row.used_at is None:
        return _answer(services, family, following, following_row.expires_at, now)
    await _end(connection, family, SignInEnd.REUSED, now)
    await audit.record(connection, _line(family, Audited.REUSED, now, trace, device))
    return UnauthorizedError("This refresh token was used before: its sign-in is ended. Sign in again.")


async def _locked(connection: AsyncConnection, token_hash: str) -> _Family | None:
    named = select(RefreshTokenRow.sign_in_id).where(RefreshTokenRow.token_hash == token_hash).scalar_subquery()
    row = (
        await connection.execute(select(SignInRow.__table__).where(SignInRow.sign_in_id == named).with_for_update())
    ).one_or_none()
    return None if row is None else _Family(row.sign_in_id, row.user_id, list(row.roles), row.ended)


async def _give(
    connection: AsyncConnection, services: Services, family: _Family, token: str, now: datetime
) -> datetime:
    until = now + timedelta(days=services.settings.refresh_token_days)
    await connection.execute(
        insert(RefreshTokenRow).values(
            token_hash=_hash(token), sign_in_id=family.sign_in_id, user_id=family.user, expires_at=until
        )
    )
    return until


async def _end(connection: AsyncConnection, family: _Family, why: SignInEnd, now: datetime) -> None:
    await connection.execute(
        update(SignInRow).where(SignInRow.sign_in_id == family.sign_in_id).values(ended_at=now, ended=why)
    )


def _line(family: _Family, what: Audited, now: datetime, trace: str, device: str | None) -> audit.Line:
    after: dict[str, Any] | None = {"roles": family.roles} if what is Audited.SIGNED_IN and family.roles else None
    return audit.Line(family.user, now, what, trace, thing=str(family.sign_in_id), after=after, device=device)


def _answer(services: Services, family: _Family, token: str, until: datetime, now: datetime) -> Answer[Tokens]:
    settings = services.settings
    return Answer(
        data=Tokens(
            access_token=issue_token(settings, family.user, now, family.roles),
            expires_in=settings.access_token_minutes * 60,
            refresh_token=token,
            refresh_expires_in=int((until - now).total_seconds()),
        )
    )


def successor(secret: str, token: str) -> str:
    """The refresh token that follows one: the same whenever it is asked for; nobody guesses it without the secret."""
    made = hmac.new(secret.encode(), f"refresh\n{token}".encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def _hash(token: str) -> str:
    # 256 random bits: nobody finds them by trying, so that a slow hash would protect nothing.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


router = Router("/v1/auth", route_handlers=[sign_in, refresh, revoke], tags=["account"])
