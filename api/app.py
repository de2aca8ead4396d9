"""The application, composed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins.pydantic import PydanticPlugin

from api import concerts, health, history, journal, listening, ops, pages, preferences, search, stream, suggestions
from api.edge import Edge
from api.errors import MOST_BODY_MB, AnyRequest, handlers
from api.limits import Limits
from api.metrics import Metrics
from api.openapi import Document
from api.operations import Operating
from api.services import Services, admit
from api.tokens import checker, form_secret
from deploy.clients import check_postgres, meilisearch_client, postgres_engine
from deploy.settings import Settings, SettingsError

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
    limits = Limits() if rate_limits else None
    services = Services(settings, engine, checker(settings), clock, metrics, limits, operations and operations(engine))

    @asynccontextmanager
    async def connected(_: Litestar) -> AsyncIterator[None]:
        try:
            await check_postgres(engine, settings)
            await _say_if_search_is_away(settings)
            yield
        finally:
            await services.close()

    development = settings.environment == "development"
    operators = development or bool(settings.pages_secret.get_secret_value())
    if operators:
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
            search.router,
            health.router,
            # Until the inbox takes the app's token, a person can sign in to it in development only.
            *(pages.routers() if development else []),
            *([ops.router()] if operators else []),
            *([pages.static_router()] if development or operators else []),
        ],
        state=State({"services": services}),
        lifespan=[connected],
        guards=[admit],
        dependencies={
            "services": Provide(_services, sync_to_thread=False),
            "user": Provide(_user, sync_to_thread=False),
            "trace": Provide(_trace, sync_to_thread=False),
        },
        exception_handlers=handlers(),
        cors_config=_cors(settings),
        template_config=pages.template_config(ops.HELPERS),
        openapi_config=OpenAPIConfig(
            title="Gigz",
            version=VERSION,
            description="Shows find you: entries of a history in, suggestions out, decisions kept.",
            render_plugins=[Document()],
            security=[{"bearer": []}],
            components=Components(
                security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}
            ),
        ),
        plugins=[PydanticPlugin(prefer_alias=True)],
        request_max_body_size=MOST_BODY_MB * 1_048_576,
        logging_config=None,  # structlog is set up by the process
        debug=False,
    )
    # Around the router too: what no route answers gets its trace id, its headers and its count as well.
    app.asgi_handler = Edge(app.asgi_handler, metrics)
    return app


async def _say_if_search_is_away(settings: Settings) -> None:
    """Everything else goes on without it: search answers 503 until it is there."""
    try:
        await asyncio.to_thread(meilisearch_client, settings)
    except SettingsError as error:
        log.warning("there is no search", why=str(error))


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
    return CORSConfig(
        allow_origins=origins,
        allow_methods=["GET", "POST", "PATCH"],
        allow_headers=[
            "authorization",
            "content-type",
            "idempotency-key",
            "last-event-id",
            "x-device",
            "x-request-id",
        ],
        expose_headers=["x-request-id", "retry-after"],
        allow_credentials=True,
        max_age=A_DAY_S,
    )
