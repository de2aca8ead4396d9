"""`gigz worker sink-clickhouse | sink-postgres | sink-meilisearch`: one process of a sink.

Exit codes
    0    stopped by SIGTERM or SIGINT
    1    gave up with the offset unmoved: the log's last line names store, setting and remedy
SettingsError is the caller's: nothing was read and nothing committed.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Literal, TypeAlias, TypeVar

import structlog
from aiokafka.errors import KafkaError

from deploy.clients import kafka_consumer, kafka_producer, publish
from deploy.flow import group_of
from deploy.settings import PREFIX, Settings, SettingsError
from schemas.topics import Topic, read_by
from sinks.clickhouse import open_clickhouse_sink
from sinks.errors import StoreError
from sinks.meilisearch import open_meilisearch_sink
from sinks.postgres import open_postgres_sink
from sinks.pump import START_AGAIN, Limits, Ownership, Sink, TooManyRejections, pump

Store: TypeAlias = Literal["clickhouse", "postgres", "meilisearch"]

_OPEN: dict[Store, Callable[[Settings], AbstractAsyncContextManager[Sink]]] = {
    "clickhouse": open_clickhouse_sink,
    "postgres": open_postgres_sink,
    "meilisearch": open_meilisearch_sink,
}
LEAVE_S = 2.0
"""Kafka's clients close in milliseconds as a rule."""
log = structlog.get_logger()
T = TypeVar("T")


async def run_sink(settings: Settings, store: Store, instance: int, stop: asyncio.Event | None = None) -> int:
    """Run until SIGTERM, or until `stop` where one is given; the exit code. SettingsError for what is set wrong.

    Messages go from the group's commit, or from the oldest, into the store. One instance number, one process.
    """
    stage = f"sink-{store}"
    topics = read_by(stage)
    if settings.retry_deadline_s >= settings.poll_interval_s:
        raise SettingsError(
            f"{PREFIX}RETRY_DEADLINE_S is {settings.retry_deadline_s:.0f}, {PREFIX}POLL_INTERVAL_S is "
            f"{settings.poll_interval_s:.0f}: Kafka would take the partitions first. Remedy: make the former smaller."
        )
    with _stopping(stop) as stopped:
        try:
            async with AsyncExitStack() as stack:
                sink = await stack.enter_async_context(_OPEN[store](settings))
                name = f"{group_of(stage)}-{instance}"
                producer = await stack.enter_async_context(_left_in_time(kafka_producer(settings, name)))
                consumer = await stack.enter_async_context(
                    _left_in_time(kafka_consumer(settings, (), group_of(stage), client_id=name, group_instance_id=name))
                )
                _check_topics(topics, await consumer.topics())
                ownership = Ownership()
                consumer.subscribe([topic.name for topic in topics], listener=ownership)
                log.info("started", store=store, instance=instance, topics=[topic.name for topic in topics])
                await pump(
                    consumer,
                    sink,
                    lambda rejections: publish(producer, rejections, settings.partitions),
                    limits=Limits.of(settings, stage),
                    ownership=ownership,
                    stop=stopped,
                )
        except StoreError as error:
            _give_up(error.store, error.why, error.remedy)
            return 1
        except KafkaError as error:
            _give_up("kafka", f"{type(error).__name__}: {error}", START_AGAIN)
            return 1
        except TooManyRejections as error:
            log.error("halted, offset unmoved", why=str(error))
            return 1
    log.info("stopped")
    return 0


def _give_up(store: str, why: str, remedy: str) -> None:
    log.error("gave up, offset unmoved", store=store, setting=f"{PREFIX}{store.upper()}_URL", why=why, remedy=remedy)


def _check_topics(wanted: tuple[Topic, ...], found: set[str]) -> None:
    missing = [topic.name for topic in wanted if topic.name not in found]
    if missing:
        raise SettingsError(
            f"{PREFIX}KAFKA_URL: this broker lacks {', '.join(missing)}. "
            "Remedy: `gigz topics apply`, or name the broker that has them."
        )


@contextlib.asynccontextmanager
async def _left_in_time(client: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """A Kafka client that is not waited for longer than LEAVE_S at its end.

    In the middle of a rebalance, or while the broker is away, it would wait for answers that change nothing any more.
    """
    entered = await client.__aenter__()
    try:
        yield entered
    finally:
        try:
            await asyncio.wait_for(client.__aexit__(None, None, None), LEAVE_S)
        except TimeoutError:
            # What its own stop would have closed next; there is no public way.
            for part in (getattr(entered, "_fetcher", None), getattr(entered, "_client", None)):
                if part is not None:
                    await part.close()


@contextlib.contextmanager
def _stopping(stop: asyncio.Event | None) -> Iterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set; the given one, without signals, where there is one."""
    if stop is not None:
        yield stop
        return
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
