"""Connections to Kafka and the stores, made one way everywhere.

Errors
    deploy.settings.SettingsError    an address is missing, malformed, or nobody answers there: names the setting
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.codec import lz4_encode
from aiokafka.errors import KafkaError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from deploy.settings import PREFIX, Settings, SettingsError
from schemas.outgoing import Outgoing

if TYPE_CHECKING:
    import meilisearch
    from clickhouse_connect.driver.asyncclient import AsyncClient
    from clickhouse_connect.driver.client import Client

# The stores' clients are imported where they are used: a stage that needs none starts half a second sooner.
CONNECT_S = 10
LEAVE_S = 1.5
"""Kafka's clients close in milliseconds as a rule."""
T = TypeVar("T")

# aiokafka has no setting for the level and takes 9, the slowest: 15 times the processor time of level 1 for a tenth
# less room (docs/decisions/0011-lz4-at-its-fast-level.md).
LZ4_LEVEL = 1
lz4_encode.__defaults__ = (LZ4_LEVEL,)


def bootstrap(settings: Settings) -> str:
    """Kafka's host:port list."""
    url = settings.engine_url("kafka").removeprefix("kafka://")
    for server in url.split(","):
        if not server.rpartition(":")[2].isdigit():
            raise unusable("kafka", settings, "is not host:port")
    return url


@asynccontextmanager
async def kafka_producer(settings: Settings, client_id: str) -> AsyncIterator[AIOKafkaProducer]:
    """Idempotent, acks=all, lz4: a retry inside the producer never writes twice."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap(settings),
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=settings.producer_linger_ms,
        max_batch_size=131_072,
        max_request_size=6 * 1_048_576,  # what is too large is refused before, with a rejection
        request_timeout_ms=30_000,
    )
    try:
        await asyncio.wait_for(producer.start(), CONNECT_S)
    except (KafkaError, TimeoutError, OSError) as error:
        await _stop(producer)
        raise unusable("kafka", settings, str(error) or "does not answer") from error
    except BaseException:  # cancelled half-way: its connections would stay open
        await _stop(producer)
        raise
    try:
        yield producer
    finally:
        await _stop(producer)


async def _stop(producer: AIOKafkaProducer) -> None:
    # An idempotent producer retries for ever, and its stop waits for that: with the broker away it would never end.
    # What was awaited is acknowledged; what was not was never promised.
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(producer.stop(), CONNECT_S)


@asynccontextmanager
async def kafka_consumer(
    settings: Settings, topics: Sequence[str], group: str | None, **overrides: Any
) -> AsyncIterator[AIOKafkaConsumer]:
    """Commits by hand, after the write; starts at the oldest message a new group has not read."""
    options: dict[str, Any] = {
        "bootstrap_servers": bootstrap(settings),
        "group_id": group,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "session_timeout_ms": int(settings.session_timeout_s * 1000),
        "heartbeat_interval_ms": 3_000,
        "max_poll_interval_ms": int(settings.poll_interval_s * 1000),
        "max_partition_fetch_bytes": 6 * 1_048_576,
    }
    consumer = AIOKafkaConsumer(*topics, **(options | overrides))
    try:
        await asyncio.wait_for(consumer.start(), CONNECT_S)
    except (KafkaError, TimeoutError, OSError) as error:
        await consumer.stop()
        raise unusable("kafka", settings, str(error) or "does not answer") from error
    except BaseException:  # cancelled half-way: its connections would stay open
        await consumer.stop()
        raise
    try:
        yield consumer
    finally:
        await consumer.stop()


@asynccontextmanager
async def left_in_time(client: AbstractAsyncContextManager[T], seconds: float = LEAVE_S) -> AsyncIterator[T]:
    """A consumer or producer of Kafka that is not waited for any longer at its end.

    In the middle of a rebalance, or while the broker is away, it would wait for answers that change nothing any more.
    """
    entered = await client.__aenter__()
    try:
        yield entered
    finally:
        try:
            await asyncio.wait_for(client.__aexit__(None, None, None), seconds)
        except TimeoutError:
            # What its own stop would have closed next; there is no public way.
            for part in (getattr(entered, "_fetcher", None), getattr(entered, "_client", None)):
                if part is not None:
                    await part.close()


@asynccontextmanager
async def kafka_admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """For topics, offsets and groups."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap(settings), request_timeout_ms=30_000)
    try:
        await asyncio.wait_for(admin.start(), CONNECT_S)
    except (KafkaError, TimeoutError, OSError) as error:
        await admin.close()
        raise unusable("kafka", settings, str(error) or "does not answer") from error
    except BaseException:
        await admin.close()
        raise
    try:
        yield admin
    finally:
        await admin.close()


async def publish(producer: AIOKafkaProducer, records: Iterable[Outgoing], partitions: int) -> int:
    """Send all and wait until Kafka acknowledged each; the number sent. KafkaError when one could not be."""
    waiting = [
        await producer.send(
            record.topic,
            value=record.value,
            key=record.key.encode(),
            partition=record.partition(partitions),
            headers=record.kafka_headers,
        )
        for record in records
    ]
    for acknowledgement in waiting:
        await acknowledgement
    return len(waiting)


def sqlalchemy_url(settings: Settings) -> str:
    """PostgreSQL's address with the driver we use."""
    url = settings.engine_url("postgres")
    if not url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        raise unusable("postgres", settings, "is not postgresql://user:password@host:port/db")
    return "postgresql+psycopg://" + url.partition("://")[2]


def postgres_engine(settings: Settings, pool_size: int | None = None, name: str = "gigz") -> AsyncEngine:
    """A pool within the connection budget. Nothing is opened before the first use: see `check_postgres`."""
    return create_async_engine(
        sqlalchemy_url(settings),
        pool_size=pool_size or settings.postgres_pool_size,
        max_overflow=0,
        pool_recycle=settings.postgres_lifetime_s,
        pool_pre_ping=True,
        connect_args={"connect_timeout": settings.postgres_connect_timeout_s, "application_name": name},
    )


async def check_postgres(engine: AsyncEngine, settings: Settings) -> None:
    """SettingsError, naming the setting, when PostgreSQL does not answer or has not our tables."""
    try:
        async with engine.connect() as connection:
            there = await connection.scalar(text("select to_regclass('state.outbox')"))
    except (SQLAlchemyError, OSError) as error:
        raise unusable("postgres", settings, str(getattr(error, "orig", error))) from error
    if there is None:
        raise unusable("postgres", settings, "does not have the tables; if the address is right: `gigz migrate`")


def _clickhouse_options(settings: Settings) -> dict[str, Any]:
    url = settings.engine_url("clickhouse")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise unusable("clickhouse", settings, "is not http(s)://user:password@host:port/db")
    return {
        "host": parts.hostname,
        "port": parts.port or (8443 if parts.scheme == "https" else 8123),
        "secure": parts.scheme == "https",
        "username": parts.username or "default",
        "password": parts.password or "",
        "database": parts.path.strip("/") or "default",
        "connect_timeout": CONNECT_S,
        "autogenerate_session_id": False,  # several statements at once on one client
    }


def clickhouse(settings: Settings) -> "Client":
    """A client. SettingsError when nobody answers."""
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import Error as ClickHouseError

    try:
        return clickhouse_connect.get_client(**_clickhouse_options(settings))
    except (ClickHouseError, OSError) as error:
        raise unusable("clickhouse", settings, str(error)) from error


async def clickhouse_async(settings: Settings) -> "AsyncClient":
    """The same for asyncio; close it after use."""
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import Error as ClickHouseError

    try:
        return await clickhouse_connect.get_async_client(**_clickhouse_options(settings))
    except (ClickHouseError, OSError) as error:
        raise unusable("clickhouse", settings, str(error)) from error


def meilisearch_client(settings: Settings) -> "meilisearch.Client":
    """A client. SettingsError when nobody answers."""
    import meilisearch

    url = settings.engine_url("meilisearch")
    if urlsplit(url).scheme not in {"http", "https"}:
        raise unusable("meilisearch", settings, "is not http(s)://host:port")
    client = meilisearch.Client(url, settings.meilisearch_key.get_secret_value() or None, timeout=30)
    try:
        client.health()
    except Exception as error:  # the client raises a different kind for each layer
        raise unusable("meilisearch", settings, str(error)) from error
    return client


def unusable(engine: str, settings: Settings, why: str) -> SettingsError:
    """The error for an engine that does not answer or refuses: names the setting and the remedy, hides the password."""
    shown = url = settings.engine_url(engine)
    if "@" in url:
        scheme, _, rest = url.rpartition("://")
        shown = f"{scheme}://…@{rest.rpartition('@')[2]}"
    return SettingsError(
        f"{PREFIX}{engine.upper()}_URL: {engine} at {shown} {_short(why)}. "
        f"Remedy: correct {PREFIX}{engine.upper()}_URL, or unset it and start the local stack with `gigz up`."
    )


def _short(why: str) -> str:
    line = " ".join(why.split())
    return line if line.startswith(("is not", "does not")) else f"cannot be used: {line[:300]}"
