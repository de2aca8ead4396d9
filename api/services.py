"""What handlers work with, made once in `create_app`, and who is calling."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import uuid4

import meilisearch
from clickhouse_connect.driver.asyncclient import AsyncClient
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.addresses import counted_as
from api.erased import refuse_old_token, refuse_token
from api.errors import ApiError, ForbiddenError, RateLimitedError, UnauthorizedError
from api.importing.runs import ImportRuns
from api.limits import Limits
from api.metrics import Metrics
from api.news import News
from api.operations import Operations
from api.sessions import refuse_ended
from api.tokens import DEVELOPMENT, SERVICE, Audience, Checker, Claims
from deploy.clients import clickhouse_async
from deploy.settings import Settings
from schemas.tables import AccountRow

COOKIE = "gigz_session"
SEARCH_S = 3
"""How long a search may take; the limit for 99 of 100 is 0.6 s."""


@dataclass
class Services:
    """Settings, connections, clock."""

    settings: Settings
    engine: AsyncEngine
    tokens: Checker
    clock: Callable[[], datetime]
    metrics: Metrics
    limits: Limits | None
    operations: Operations | None = None
    """What /ops acts through; None: it is for reading only."""
    news: News = field(init=False)
    imports: ImportRuns = field(init=False)
    checks: "tuple[float, asyncio.Task[Any]] | None" = None
    """The last look at all stores, and when it began: see api.health."""
    _clickhouse: "asyncio.Task[AsyncClient] | None" = None

    def __post_init__(self) -> None:
        self.news = News(self.engine, self.settings.stream_poll_s)
        self.imports = ImportRuns(self.settings, self.engine, self.clock)

    @cached_property
    def search(self) -> meilisearch.Client:
        """Meilisearch; nothing is asked yet. SettingsError when its address is not known."""
        key = self.settings.meilisearch_key.get_secret_value() or None
        return meilisearch.Client(self.settings.engine_url("meilisearch"), key, timeout=SEARCH_S)

    async def clickhouse(self) -> AsyncClient:
        """ClickHouse, connected at the first call. SettingsError when nobody answers."""
        task = self._clickhouse
        if task is None or (task.done() and (task.cancelled() or task.exception())):
            task = self._clickhouse = asyncio.create_task(clickhouse_async(self.settings))
        # One connects for all who wait, and goes on when the first of them gives up: connecting asks several questions,
        # and fifty who each began anew at the start would never get there.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End what requests share."""
        await self.news.close()
        await self.imports.close()
        if self.limits is not None:
            await self.limits.close()
        await self.tokens.close()
        if self.checks is not None:
            self.checks[1].cancel()
            await asyncio.gather(self.checks[1], return_exceptions=True)
        if self._clickhouse is not None:
            self._clickhouse.cancel()
            (client,) = await asyncio.gather(self._clickhouse, return_exceptions=True)
            if isinstance(client, AsyncClient):
                await client.close()
            self._clickhouse = None
        await self.engine.dispose()


@dataclass(frozen=True)
class Caller:
    """Who is signed in."""

    user: str
    """Empty: an app's backend, which acts for itself and is nobody's user."""
    claims: Claims


async def admit(connection: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
    """Guard of every route: within the limits, and signed in where the route says `credential`.

    opt credential   "bearer" (the API: a cookie would let other sites call it), "cookie" (pages) or "either" (pages
                     that a proxy signs in to: it sends the bearer token, and the forms carry a token of their own)
    opt role         which the token must have
    opt service      an app's backend may ask as well: nothing of a user is in the answer
    opt limit        a dearer kind of `limits.A_MINUTE`, counted as well
    opt unlimited    asked by machines all the time: health, metrics, style sheets
    """
    services: Services = connection.app.state.services
    credential = handler.opt.get("credential")
    claims, refused = None, None
    if credential:
        try:
            claims = await _claims(connection, services, credential)
        except ApiError as error:
            refused = error
    if services.limits and not handler.opt.get("unlimited"):
        await _count(connection, services.limits, claims, handler.opt.get("limit"))
    if refused:
        raise refused
    if claims is None:
        return
    backend = SERVICE in claims.roles
    if backend and not handler.opt.get("service"):
        raise ForbiddenError("This is a user's. A service reads the catalogue: GET /v1/concerts/{id}, /v1/search.")
    role = handler.opt.get("role")
    if role and role not in claims.roles:
        raise ForbiddenError(f"This is for people with the role {role}.")
    connection.scope["user"] = Caller("" if backend else await user_of(services, claims), claims)


async def bearer(connection: ASGIConnection, services: Services) -> Claims:  # type: ignore[type-arg]
    """What the bearer token of a request says; UnauthorizedError when there is none that is good."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthorizedError("Send a token: Authorization: Bearer …", headers={"WWW-Authenticate": "Bearer"})
    return await services.tokens.check(token.strip(), Audience.API, services.clock())


async def _count(
    connection: ASGIConnection,  # type: ignore[type-arg]
    limits: Limits,
    claims: Claims | None,
    dearer: str | None,
) -> None:
    """RateLimitedError where the call does not fit; the tightest share goes into the answer's headers."""
    address = connection.client.host if connection.client else "unknown"
    kind, who = ("user", claims.subject) if claims else ("address", counted_as(address))
    kinds = [kind, dearer] if dearer else [kind]
    shares = await asyncio.gather(*(limits.take(one, who) for one in kinds))
    share = min(shares, key=lambda one: (-one.wait_s, one.left))
    connection.scope["state"]["share"] = share
    if share.wait_s:
        raise RateLimitedError(share.wait_s)


async def _claims(connection: ASGIConnection, services: Services, credential: str) -> Claims:  # type: ignore[type-arg]
    if credential == "cookie" or (credential == "either" and "authorization" not in connection.headers):
        token = connection.cookies.get(COOKIE, "")
        if not token:
            raise UnauthorizedError("Nobody is signed in.")
        return await services.tokens.check(token, Audience.PAGE, services.clock())
    return await bearer(connection, services)


async def user_of(services: Services, claims: Claims) -> str:
    """Our own opaque id of a subject, made when it first comes with a token that was not given out by us.

    UnauthorizedError when its user was erased, or its session was signed out.
    """
    subject = claims.subject
    if claims.user:
        async with services.engine.connect() as connection:
            await refuse_token(connection, claims.user)
            await refuse_ended(connection, claims.session)
        return claims.user
    if services.settings.environment == "development" and subject.startswith(DEVELOPMENT):
        named = subject.removeprefix(DEVELOPMENT)
        # Away: whatever the request is about is answered, or not, by itself.
        with suppress(OperationalError, InterfaceError, PoolTimeoutError):
            async with services.engine.connect() as connection:
                await refuse_token(connection, named)
        return named
    # Looked up each time: a kept answer would outlive the erasure of an account.
    known = select(AccountRow.user_id).where(AccountRow.subject == subject)
    async with services.engine.begin() as connection:
        user = await connection.scalar(known)
        if user is None:
            life = timedelta(minutes=services.settings.access_token_minutes)
            await refuse_old_token(connection, subject, claims.expires, life)
            await connection.execute(
                insert(AccountRow).values(subject=subject, user_id=uuid4().hex).on_conflict_do_nothing()
            )
            user = await connection.scalar(known)
        await refuse_token(connection, str(user))
    return str(user)
