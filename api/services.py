"""What handlers work with, made once in `create_app`, and who is calling."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from uuid import uuid4

import meilisearch
from clickhouse_connect.driver.asyncclient import AsyncClient
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from api.errors import ApiError, ForbiddenError, RateLimitedError, UnauthorizedError
from api.limits import Limits
from api.metrics import Metrics
from api.news import News
from api.operations import Operations
from api.tokens import DEVELOPMENT, Audience, Checker, Claims
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
    _clickhouse: AsyncClient | None = None

    def __post_init__(self) -> None:
        self.news = News(self.engine, self.settings.stream_poll_s)

    @cached_property
    def search(self) -> meilisearch.Client:
        """Meilisearch; nothing is asked yet. SettingsError when its address is not known."""
        key = self.settings.meilisearch_key.get_secret_value() or None
        return meilisearch.Client(self.settings.engine_url("meilisearch"), key, timeout=SEARCH_S)

    async def clickhouse(self) -> AsyncClient:
        """ClickHouse, connected at the first call. SettingsError when nobody answers."""
        if self._clickhouse is None:
            made = await clickhouse_async(self.settings)
            if self._clickhouse is None:
                self._clickhouse = made
            else:  # another request was as fast
                await made.close()
        return self._clickhouse

    async def close(self) -> None:
        """End what requests share."""
        await self.news.close()
        if self._clickhouse is not None:
            await self._clickhouse.close()
            self._clickhouse = None
        await self.engine.dispose()


@dataclass(frozen=True)
class Caller:
    """Who is signed in."""

    user: str
    claims: Claims


async def admit(connection: ASGIConnection, handler: BaseRouteHandler) -> None:  # type: ignore[type-arg]
    """Guard of every route: within the limits, and signed in where the route says `credential`.

    opt credential   "bearer" (the API: a cookie would let other sites call it), "cookie" (pages) or "either" (pages
                     that a proxy signs in to: it sends the bearer token, and the forms carry a token of their own)
    opt role         which the token must have
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
    address = connection.client.host if connection.client else "unknown"
    if services.limits and not handler.opt.get("unlimited"):
        now = services.clock()
        kind, who = ("user", claims.subject) if claims else ("address", address)
        dearer = handler.opt.get("limit")
        wait = services.limits.take(kind, who, now)
        if dearer:
            wait = max(wait, services.limits.take(dearer, who, now))
        if wait:
            raise RateLimitedError(wait)
    if refused:
        raise refused
    role = handler.opt.get("role")
    if role and (claims is None or role not in claims.roles):
        raise ForbiddenError(f"This is for people with the role {role}.")
    if claims:
        connection.scope["user"] = Caller(await _user_of(services, claims.subject), claims)


async def _claims(connection: ASGIConnection, services: Services, credential: str) -> Claims:  # type: ignore[type-arg]
    if credential == "cookie" or (credential == "either" and "authorization" not in connection.headers):
        token = connection.cookies.get(COOKIE, "")
        if not token:
            raise UnauthorizedError("Nobody is signed in.")
        return await services.tokens.check(token, Audience.PAGE, services.clock())
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthorizedError("Send a token: Authorization: Bearer …", headers={"WWW-Authenticate": "Bearer"})
    return await services.tokens.check(token.strip(), Audience.API, services.clock())


async def _user_of(services: Services, subject: str) -> str:
    """Our own opaque id of a subject, made when it first comes."""
    if services.settings.environment == "development" and subject.startswith(DEVELOPMENT):
        return subject.removeprefix(DEVELOPMENT)
    # Looked up each time: a kept answer would outlive the erasure of an account.
    known = select(AccountRow.user_id).where(AccountRow.subject == subject)
    async with services.engine.begin() as connection:
        user = await connection.scalar(known)
        if user is None:
            await connection.execute(
                insert(AccountRow).values(subject=subject, user_id=uuid4().hex).on_conflict_do_nothing()
            )
            user = await connection.scalar(known)
    return str(user)
