"""GET /health, /ready, /metrics: what machines ask."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from time import perf_counter
from typing import Literal
from urllib.parse import urlsplit

import httpx
import psutil
import structlog
from aiokafka.admin import AIOKafkaAdminClient
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Response as AnyResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy import text

from api.addresses import networks, within
from api.answers import Answer
from api.errors import AnyRequest, ApiError, Detail, NotFoundError, UnavailableError, told
from api.services import Services, bearer
from api.tokens import OPERATOR
from deploy.clients import bootstrap
from deploy.meters import TEXT
from deploy.settings import Settings, SettingsError

log = structlog.get_logger()

LIMIT_S = 2.0
"""A check that takes longer counts as an error, so that health always answers."""
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
KEPT_S = 1.0
"""Who asks health more often is told what was found last: it is open to all, and asks every store."""


class Check(BaseModel):
    """Whether one store answers."""

    status: Literal["ok", "error"]
    latency_ms: float


class Health(BaseModel):
    """`error`: requests fail; `degraded`: some do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "ok",
                    "timestamp": "2026-03-01T12:00:00Z",
                    "uptime_s": 86400.0,
                    "memory_mb": 190.5,
                    "checks": {
                        "postgres": {"status": "ok", "latency_ms": 1.2},
                        "clickhouse": {"status": "ok", "latency_ms": 2.1},
                        "meilisearch": {"status": "ok", "latency_ms": 3.4},
                        "kafka": {"status": "ok", "latency_ms": 12.0},
                    },
                }
            ]
        }
    )

    status: Literal["ok", "degraded", "error"]
    timestamp: datetime
    uptime_s: float
    memory_mb: float
    checks: dict[str, Check]


class Ready(BaseModel):
    """Requests may be sent here."""

    status: Literal["ok"] = "ok"


def _told(*statuses: int) -> dict[int, ResponseSpec]:
    """Nobody signs in here, and nobody is counted."""
    return {status: spec for status, spec in told().items() if status in statuses}


@get(
    "/health",
    summary="Each store, with its time",
    responses={503: ResponseSpec(Answer[Health], description="The same, without PostgreSQL."), **_told(500)},
)
async def health(services: NamedDependency[Services]) -> Response[Answer[Health]]:
    """503 only without PostgreSQL; without ClickHouse there are no figures, without Meilisearch no search, and without
    Kafka messages wait.
    """
    checks = await checked(services)
    failed = {name for name, check in checks.items() if check.status == "error"}
    process = psutil.Process()
    found = Health(
        status="error" if "postgres" in failed else "degraded" if failed else "ok",
        timestamp=services.clock(),
        uptime_s=round(services.clock().timestamp() - process.create_time(), 1),
        memory_mb=round(process.memory_info().rss / 1_048_576, 1),
        checks=checks,
    )
    return AnyResponse(Answer(data=found), status_code=503 if "postgres" in failed else 200)


@get("/ready", summary="May requests be sent here?", responses=_told(500, 503))
async def ready(services: NamedDependency[Services]) -> Answer[Ready]:
    """PostgreSQL answers: everything but search works."""
    check = await _timed("postgres", lambda: _postgres(services))
    if check.status == "error":
        raise UnavailableError("Not ready.", [Detail(field="postgres", message="error")])
    return Answer(data=Ready())


@get("/metrics", summary="Prometheus' text format; not public", include_in_schema=False)
async def metrics(request: AnyRequest, services: NamedDependency[Services]) -> Response[str]:
    """For a scraper in a listed network, or with an operator's token; to anybody else it is not there."""
    if not _may_scrape(request, services.settings):
        try:
            claims = await bearer(request, services)
        except ApiError:
            claims = None
        if claims is None or OPERATOR not in claims.roles:
            raise NotFoundError("route", "There is nothing at /metrics.")
    return Response(services.metrics.render(), media_type=TEXT)


def _may_scrape(request: AnyRequest, settings: Settings) -> bool:
    """Whether the peer itself is in a listed network: what came through a proxy is from anywhere."""
    through = any(name in request.headers for name in FORWARDED)
    listed = networks("metrics_networks", settings.metrics_networks)
    return request.client is not None and not through and within(request.client.host, listed)


async def checked(services: Services) -> dict[str, Check]:
    """The same as `check_all`, once for all who ask within a second."""
    if services.checks is None or perf_counter() - services.checks[0] > KEPT_S:
        services.checks = (perf_counter(), asyncio.create_task(check_all(services)))
    found: dict[str, Check] = await asyncio.shield(services.checks[1])
    return found


async def check_all(services: Services) -> dict[str, Check]:
    """Every store this process knows of, at once."""
    checks: dict[str, Callable[[], Awaitable[None]]] = {
        "postgres": lambda: _postgres(services),
        "clickhouse": lambda: _clickhouse(services.settings),
        "meilisearch": lambda: _meilisearch(services.settings),
    }
    if _knows_kafka(services.settings):
        checks["kafka"] = lambda: _kafka(services.settings)
    results = await asyncio.gather(*(_timed(name, check) for name, check in checks.items()))
    return dict(zip(checks, results, strict=True))


async def _timed(name: str, check: Callable[[], Awaitable[None]]) -> Check:
    began = perf_counter()
    status: Literal["ok", "error"] = "ok"
    try:
        async with asyncio.timeout(LIMIT_S):
            await check()
    except Exception as error:  # each client raises kinds of its own; all mean that it does not answer
        status = "error"
        log.warning("check_failed", check=name, why=f"{type(error).__name__}: {error}"[:300])
    return Check(status=status, latency_ms=round((perf_counter() - began) * 1000, 1))


async def _postgres(services: Services) -> None:
    async with services.engine.connect() as connection:
        await connection.execute(text("select 1"))


async def _clickhouse(settings: Settings) -> None:
    address = urlsplit(settings.engine_url("clickhouse"))
    port = f":{address.port}" if address.port else ""
    async with httpx.AsyncClient(timeout=LIMIT_S, trust_env=False) as client:
        (await client.get(f"{address.scheme}://{address.hostname}{port}/ping")).raise_for_status()


async def _meilisearch(settings: Settings) -> None:
    async with httpx.AsyncClient(timeout=LIMIT_S, trust_env=False) as client:
        (await client.get(f"{settings.engine_url('meilisearch').rstrip('/')}/health")).raise_for_status()


async def _kafka(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap(settings), request_timeout_ms=int(LIMIT_S * 1000))
    try:
        await admin.start()
    finally:
        await admin.close()


def _knows_kafka(settings: Settings) -> bool:
    """This process writes to the outbox only; where it was not told of Kafka, the relay's machine watches it."""
    try:
        settings.engine_url("kafka")
    except SettingsError:
        return False
    return True


router = Router("/", route_handlers=[health, ready, metrics], opt={"unlimited": True}, tags=["health"])
