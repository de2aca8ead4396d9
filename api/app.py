"""The application, composed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import structlog
from litestar import Litestar, Response
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.plugins.pydantic import PydanticPlugin
from litestar.routes import HTTPRoute

from api import (
    audit,
    auth,
    concerts,
    health,
    history,
    journal,
    listening,
    me,
    ops,
    preferences,
    search,
    stream,
    suggestions,
)
from api.addresses import networks
from api.asked import refuse_null
from api.edge import Edge
from api.errors import MOST_BODY_MB, AnyRequest, handlers
from api.export import routes as export
from api.friends import follows, shows
from api.importing import routes as importing
from api.limits import Limits
from api.metrics import Metrics
from api.openapi import config as openapi_config
from api.operations import Operating
from api.pages import inbox, rooms
from api.pages.frame import static_router, template_config
from api.services import Services, admit
from api.tidying import tidying
from api.tokens import checker, form_secret
from deploy.clients import check_postgres, meilisearch_client, postgres_engine
from deploy.settings import PREFIX, Settings, SettingsError

VERSION = "0.1.0"
A_DAY_S = 86_400
log = structlog.get_logger()


def now_utc() -> datetime:
    """The clock of a running process."""
    return datetime.now(UTC)


def create_app(
    settings: Settings,
    *,
    clock: Callable[[], datetime] = now_utc,
    rate_limits: bool = True,
    operations: Operating | None = None,
) -> Litestar:
    """The application. SettingsError here for a wrong setting, at the start of its lifespan for PostgreSQL away.

    `operations`: what /ops acts through; without, it is for reading only.
    """
    metrics = Metrics(settings)
    engine = postgres_engine(settings, settings.postgres_pool_size_api, "gigz-api")
    metrics.watch(engine)
    limits = Limits(clock, engine) if rate_limits else None
    services = Services(settings, engine, checker(settings), clock, metrics, limits, operations and operations(engine))

    @asynccontextmanager
    async def connected(_: Litestar) -> AsyncIterator[None]:
        try:
            await check_postgres(engine, settings)
            await _say_if_search_is_away(settings)
            services.imports.start()
            async with tidying(engine, settings):
                yield
        finally:
            await services.close()

    networks("metrics_networks", settings.metrics_networks)  # says now what is none
    development = settings.environment == "development"
    with_pages = development or bool(settings.pages_secret.get_secret_value())
    if with_pages:
        form_secret(settings)  # says now, not at the first form, when it is too short
    app = Litestar(
        route_handlers=[
            suggestions.router,
            stream.router,
            preferences.router,
            journal.router,
            listening.stats_router,
            listening.router,
            concerts.router,
            history.router,
            importing.router,
            search.router,
            *follows.routers,
            *shows.routers,
            me.router,
            audit.router,
            export.router,
            me.erasures_router,
            health.router,
            # In production tokens come from the issuer behind GIGZ_JWT_JWKS_URL.
            *([auth.router] if development else []),
            # Their sessions and forms are signed: GIGZ_PAGES_SECRET.
            *([*rooms.routers(development), ops.router(), static_router()] if with_pages else []),
        ],
        state=State({"services": services}),
        lifespan=[connected],
        guards=[admit],
        before_request=_before,
        dependencies={
            "services": Provide(_services, sync_to_thread=False),
            "user": Provide(_user, sync_to_thread=False),
            "trace": Provide(_trace, sync_to_thread=False),
        },
        exception_handlers=handlers(),
        cors_config=_cors(settings),
        template_config=template_config(ops.HELPERS | inbox.HELPERS),
        openapi_config=openapi_config(VERSION),
        # None, not False: that would take the strictness of single fields away ("no" for false, "5" for 5).
        plugins=[PydanticPlugin(prefer_alias=True, validate_strict=None)],  # type: ignore[arg-type]
        request_max_body_size=MOST_BODY_MB * 1_048_576,
        logging_config=None,  # structlog is set up by the process
        debug=False,
    )
    app.state.methods = {
        route.path_format: ", ".join(sorted(route.methods)) for route in app.routes if isinstance(route, HTTPRoute)
    }
    # Around the router too: what no route answers gets its trace id, its headers and its count as well.
    app.asgi_handler = Edge(
        app.asgi_handler,
        metrics,
        proxies=networks("trusted_proxies", settings.trusted_proxies),
        https=not development,
    )
    return app


async def _say_if_search_is_away(settings: Settings) -> None:
    """Everything else goes on without it: search answers 503 until it is there."""
    try:
        await asyncio.to_thread(meilisearch_client, settings)
    except SettingsError as error:
        log.warning("there is no search", why=str(error))


async def _before(request: AnyRequest) -> Response[None] | None:
    """The framework's own answer to OPTIONS names the methods of the first router only that has the address."""
    if request.method == "OPTIONS":
        methods: str = request.app.state.methods[request.scope["path_template"]]
        return Response(None, status_code=204, headers={"allow": methods})
    await refuse_null(request)
    return None


def _services(state: State) -> Services:
    services: Services = state.services
    return services


def _user(request: AnyRequest) -> str:
    user: str = request.user.user
    return user


def _trace(request: AnyRequest) -> str:
    trace: str = request.scope["state"]["trace"]
    return trace


def _cors(settings: Settings) -> CORSConfig | None:
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    if not origins:
        return None
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or f"{parts.scheme}://{parts.netloc}" != origin:
            # "*" together with credentials would let every site call with what the browser keeps of ours.
            raise SettingsError(
                f"{PREFIX}CORS_ORIGINS: {origin!r} is no origin. Remedy: https://app.example, with commas; no path, "
                "no * and no slash at the end."
            )
    return CORSConfig(
        allow_origins=origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            "authorization",
            "content-type",
            "idempotency-key",
            "last-event-id",
            "x-device",
            "x-request-id",
        ],
        expose_headers=[
            "content-disposition",
            "ratelimit-limit",
            "ratelimit-remaining",
            "ratelimit-reset",
            "retry-after",
            "x-request-id",
        ],
        allow_credentials=True,
        max_age=A_DAY_S,
    )
