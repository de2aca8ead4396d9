"""`gigz worker sink-clickhouse | sink-postgres | sink-meilisearch`: one process of a sink.

It ends with a code of `deploy.failures.Exit`, and a last line in its log that says why and what to do. SettingsError is
the caller's: nothing was read and nothing committed.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Literal, TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from deploy.clients import kafka_consumer, kafka_producer, left_in_time, publish
from deploy.failures import Exit, TooManyRejections, check_deadline, run_process
from deploy.flow import group_of
from deploy.inputs import InputGone, Reading, check_topics
from deploy.instances import Held, InstanceTaken, hold, member_of
from deploy.meters import StageMeters, serving, stage_meters, watch
from deploy.progress import ends_and_positions
from deploy.settings import PREFIX, Settings
from schemas.topics import read_by, written_by
from sinks.asking import asking
from sinks.broken_off import finish
from sinks.clickhouse import open_clickhouse_sink
from sinks.errors import BadRows, StoreError, StoreRefuses
from sinks.meilisearch import open_meilisearch_sink
from sinks.postgres import open_postgres_sink
from sinks.pump import Limits, Ownership, Sink, kafka_error, pump

Store: TypeAlias = Literal["clickhouse", "postgres", "meilisearch"]

_OPEN: dict[Store, Callable[[Settings], AbstractAsyncContextManager[Sink]]] = {
    "clickhouse": open_clickhouse_sink,
    "postgres": open_postgres_sink,
    "meilisearch": open_meilisearch_sink,
}
LAST_S = 8.0
"""For all of a stop: the batch at hand, then the clients."""
log = structlog.get_logger()


def run_worker(settings: Settings, store: Store, instance: int, *, reset_offsets: bool = False) -> int:
    """A process of a sink until SIGTERM; an `Exit`. SettingsError as `run_sink`."""
    return run_process(run_sink(settings, store, instance, reset_offsets=reset_offsets))


async def run_sink(
    settings: Settings, store: Store, instance: int, stop: asyncio.Event | None = None, *, reset_offsets: bool = False
) -> int:
    """Run until SIGTERM, or until `stop` where one is given; the exit code. SettingsError for what is set wrong.

    Messages go from the group's commit, or from the oldest, into the store. One instance number, one process:
    InstanceTaken when another has it. `reset_offsets`: where what was to be read is gone, go on at the oldest message.
    """
    check_deadline(settings)
    with _stopping(stop) as stopped:
        async with hold(settings, f"sink-{store}", instance) as held:
            losing = asyncio.create_task(_stop_when_lost(held, stopped))
            try:
                await _in_time(_run(settings, store, instance, stopped, reset_offsets), stopped)
                if held.lost.is_set():
                    raise InstanceTaken(held.why)
            except StoreError as error:
                return _give_up(error)
            except KafkaError as error:
                return _give_up(kafka_error(error))
            except TooManyRejections as error:
                return _halt(Exit.HALTED, error)
            except InputGone as error:
                return _halt(Exit.GONE, error)
            except InstanceTaken as error:
                return _halt(Exit.TAKEN, error)
            except BadRows as error:  # of no message, so nothing can be rejected: what the sink itself lays
                return _halt(Exit.SETTINGS, error)
            finally:
                losing.cancel()
    log.info("stopped")
    return Exit.STOPPED


async def _in_time(run: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    """Run it; after a stop no longer than LAST_S, wherever it is: a store may fall silent while it is connected to."""
    running = asyncio.create_task(run)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            await asyncio.wait({running}, timeout=LAST_S)
        if running.done():
            await running
        else:
            log.warning("did not stop in time; what is not committed is read again")
    finally:
        stopping.cancel()
        running.cancel()


async def _run(settings: Settings, store: Store, instance: int, stop: asyncio.Event, reset_offsets: bool) -> None:
    stage = f"sink-{store}"
    topics = [topic.name for topic in read_by(stage)]
    await check_topics(settings, {*topics, *(topic.name for topic in written_by(stage))})
    async with AsyncExitStack() as stack:
        bare = await stack.enter_async_context(_OPEN[store](settings))
        sink = await stack.enter_async_context(asking(settings, bare))
        passed_over = None if store == "postgres" else await finish(settings, store, sink)
        if passed_over is not None:
            log.warning("a rebuild was broken off after its swap; its last pass is done now", messages=passed_over)
        name = member_of(stage, instance)
        producer = await stack.enter_async_context(left_in_time(kafka_producer(settings, name)))
        joining = kafka_consumer(
            settings, (), group_of(stage), client_id=name, group_instance_id=name, auto_offset_reset="none"
        )
        consumer = await stack.enter_async_context(left_in_time(joining))
        reading = Reading(consumer, stage, instance, settings.partitions, reset=reset_offsets)
        meters = stage_meters(settings, stage)
        endpoint = stack.enter_context(serving(settings, meters, instance))
        stack.callback(lambda: stop.is_set() and endpoint.ended(Exit.STOPPED))
        ownership = Ownership()
        stack.enter_context(_watching(lambda: _look(meters, consumer, ownership), stop))
        consumer.subscribe(topics, listener=ownership)
        log.info("started", store=store, instance=instance, topics=topics)
        await pump(
            consumer,
            sink,
            lambda rejections: publish(producer, rejections, settings.partitions),
            limits=Limits.of(settings, stage),
            ownership=ownership,
            stop=stop,
            meters=meters,
            poll=reading.poll,
        )


async def _stop_when_lost(held: Held, stop: asyncio.Event) -> None:
    await held.lost.wait()
    stop.set()


def _look(meters: StageMeters, consumer: AIOKafkaConsumer, ownership: Ownership) -> None:
    """What the consumer knows of its partitions, into the figures. It asks nobody and waits for nothing."""
    ends, positions = ends_and_positions(consumer)
    meters.progress.sample(meters.offsets.sample(ends, positions=positions))
    meters.holds(consumer.assignment(), consumer.paused())
    meters.rebalanced(ownership.turn)


@contextlib.contextmanager
def _watching(look: Callable[[], None], stop: asyncio.Event) -> Iterator[None]:
    """Look every second. A look that fails is a bug: the sink stops, and the bug is raised."""

    async def looking() -> None:
        try:
            await watch(look)
        except Exception:
            stop.set()
            raise

    task = asyncio.create_task(looking())
    try:
        yield
    finally:
        if not task.cancel():
            task.result()


def _give_up(error: StoreError) -> int:
    code = Exit.SETTINGS if isinstance(error, StoreRefuses) else Exit.AWAY
    log.error(
        "gave up, offset unmoved",
        store=error.store,
        setting=f"{PREFIX}{error.store.upper()}_URL",
        why=error.why,
        remedy=error.remedy,
        exit_code=int(code),
    )
    return code


def _halt(code: Exit, error: Exception) -> int:
    log.error("halted, offset unmoved", why=str(error), exit_code=int(code))
    return code


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
