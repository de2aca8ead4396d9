"""GET /health, /ready, /metrics: what machines ask."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from time import perf_counter
from typing import Literal

import httpx
import psutil
import structlog
from aiokafka.admin import AIOKafkaAdminClient
from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.response import Response as AnyResponse
from pydantic import BaseModel
from sqlalchemy import text

from api.answers import Answer
from api.errors import AnyRequest, Detail, NotFoundError, UnavailableError
from api.services import Services
from deploy.clients import bootstrap
from deploy.meters import TEXT
from deploy.settings import Settings, SettingsError

log = structlog.get_logger()

LIMIT_S = 2.0
"""A check that takes longer counts as an error, so that health always answers."""
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
LOOPBACK = ("127.0.0.1", "::1")


class Check(BaseModel):
    """Whether one store answers."""

    status: Literal["ok", "error"]
    latency_ms: float


class Health(BaseModel):
    """`error`: requests fail; `degraded`: some do."""

    status: Literal["ok", "degraded", "error"]
    timestamp: datetime
    uptime_s: float
    memory_mb: float
    checks: dict[str, Check]


class Ready(BaseModel):
    """Requests may be sent here."""

    status: Literal["ok"] = "ok"


@get("/health", summary="Each store, with its time")
async def health(services: NamedDependency[Services]) -> Response[Answer[Health]]:
    """503 only without PostgreSQL; without Meilisearch there is no search, without Kafka messages wait."""
    checks = await check_all(services)
    failed = {name for name, check in checks.items() if check.status == "error"}
    process = psutil.Process()
    told = Health(
        status="error" if "postgres" in failed else "degraded" if failed else "ok",
        timestamp=services.clock(),
        uptime_s=round(services.clock().timestamp() - process.create_time(), 1),
        memory_mb=round(process.memory_info().rss / 1_048_576, 1),
        checks=checks,
    )
    return AnyResponse(Answer(data=told), status_code=503 if "postgres" in failed else 200)


@get("/ready", summary="May requests be sent here?")
async def ready(services: NamedDependency[Services]) -> Answer[Ready]:
    """PostgreSQL answers: everything but search works."""
    check = await _timed("postgres", lambda: _postgres(services))
    if check.status == "error":
        raise UnavailableError("Not ready.", [Detail(field="postgres", message="error")])
    return Answer(data=Ready())


@get("/metrics", summary="Prometheus' text format; on this machine only", include_in_schema=False)
async def metrics(request: AnyRequest, services: NamedDependency[Services]) -> Response[str]:
    """For a scraper beside the process; through a proxy it is not there."""
    if request.client is None or request.client.host not in LOOPBACK or any(h in request.headers for h in FORWARDED):
        raise NotFoundError("route", "There is nothing at /metrics.")
    return Response(services.metrics.render(), media_type=TEXT)


async def check_all(services: Services) -> dict[str, Check]:
    """Every store this process knows of, at once."""
    checks: dict[str, Callable[[], Awaitable[None]]] = {
        "postgres": lambda: _postgres(services),
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
