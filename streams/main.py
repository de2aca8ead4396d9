"""One worker process: `gigz worker normalise|resolve|match|relay --instance N`.

It ends with a code of `deploy.failures.Exit`, and a last line in its log that says why and what to do.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import check_postgres, kafka_producer, left_in_time, postgres_engine, unusable
from deploy.failures import Exit, Meaning, TooManyRejections, check_deadline, run_process
from deploy.flow import WORKER_OF
from deploy.inputs import InputGone, check_topics
from deploy.instances import Held, InstanceTaken, hold
from deploy.logs import configure
from deploy.meters import RelayMeters, relay_meters, serving, watch
from deploy.progress import SAMPLE_S, Waiting, ends_and_positions
from deploy.settings import Settings, SettingsError
from matchers.places import warm
from matchers.weights import Tables, default_tables, read_weights
from schemas.concert import Concert
from schemas.decision import Decision
from schemas.history import BackfilledEntry, Entry, Rematch
from schemas.message import MessageError
from schemas.reference import Artist, Venue
from schemas.topics import read_by, written_by
from streams import match, normalise, rematch, resolve
from streams.app import make_app
from streams.polling import tells
from streams.reference import NameStore
from streams.relay import OUTBOX, WAITING, Relay, outbox_rows
from streams.retry import GaveUp, Refused, verdict
from streams.stage import Frame, utc_now
from streams.store_match import MatchStore
from streams.store_resolve import ResolveStore

Stage = Literal["normalise", "resolve", "match", "relay"]
FINISH_S = 5.0
"""For the batch at hand after SIGTERM; with what follows it stays below 10 s, whoever is silent."""
OUTBOX_S = 5.0
"""How often the relay counts the outbox, and how long that may take."""
TAKE_APART_S = 1.5
"""For Faust to close its connections. What matters is committed before."""
log = structlog.get_logger()


def run_worker(settings: Settings, stage: Stage, instance: int, *, reset_offsets: bool = False) -> int:
    """Run one stage until SIGTERM; an `Exit`. The offset is unmoved whenever it was not stopped.

    SettingsError, before anything is read, when Kafka or PostgreSQL cannot be used or topics are missing; InstanceTaken
    when another process has the number.
    """
    if stage not in get_args(Stage):
        raise SettingsError(f"there is no stage {stage!r}. Remedy: one of {', '.join(get_args(Stage))}.")
    configure(settings.log_level, settings.log_format, stage)
    structlog.contextvars.bind_contextvars(instance=instance)
    check_deadline(settings)
    return run_process(_run(settings, stage, instance, reset_offsets))


async def _run(settings: Settings, stage: Stage, instance: int, reset_offsets: bool) -> int:
    async with hold(settings, stage, instance) as held:
        if stage == "relay":
            return await _relay(settings, instance, held)
        return await _consume(settings, stage, instance, held, reset_offsets)


async def outbox_size(settings: Settings) -> int:
    """How many messages wait in the outbox."""
    engine = postgres_engine(settings, pool_size=1, name="gigz-outbox")
    try:
        return await outbox_rows(engine)
    finally:
        await engine.dispose()


async def _consume(settings: Settings, stage: Stage, instance: int, held: Held, reset_offsets: bool) -> int:
    await check_topics(settings, _topics_of(stage))
    async with (
        _postgres(settings, stage) as engine,
        left_in_time(kafka_producer(settings, f"gigz-{stage}-{instance}-out")) as producer,
    ):
        if stage != "normalise":
            await check_postgres(engine, settings)
        frame = Frame(settings, stage, producer)
        frame.meters.queries.watch(engine)
        gone = tells(asyncio.get_running_loop(), frame.fail)
        app = make_app(settings, stage, instance, reset_offsets=reset_offsets, gone=gone)
        _read_topics(frame, app, stage, engine)
        _on_signals(frame.stopping)
        losing = asyncio.create_task(_unless_lost(held, frame))
        with serving(settings, frame.meters, instance) as endpoint:
            await run_app(frame, app)
            losing.cancel()
            return endpoint.ended(_verdict(frame.failure, settings))


async def _unless_lost(held: Held, frame: Frame) -> None:
    await held.lost.wait()
    frame.fail(InstanceTaken(held.why))


async def run_app(frame: Frame, app: Any) -> None:
    """Run Faust's app until the frame is told to stop or fails, then take it apart with nothing lost."""
    warm()  # before the first batch: while it reads, nobody else in this process gets a turn
    began = time.monotonic()
    try:
        await app.start()
    except Exception as error:
        frame.fail(error)
    else:
        log.info("started", seconds=round(time.monotonic() - began, 2))
    crashed = asyncio.create_task(app._crashed.wait())
    watching = asyncio.create_task(_watch(frame, app))
    ends = [asyncio.create_task(event.wait()) for event in (frame.stopping, frame.failed)]
    await asyncio.wait([crashed, *ends], return_when=asyncio.FIRST_COMPLETED)
    if crashed.done() and frame.failure is None:
        frame.fail(app.crash_reason or RuntimeError("Faust's consumer crashed"))
    frame.meters.progress.stopping()
    for task in (crashed, watching, *ends):
        task.cancel()
    await take_apart(frame, app)


async def _watch(frame: Frame, app: Any) -> None:
    try:
        await watch(lambda: _look(frame, app))
    except Exception as error:
        frame.fail(error)


def _look(frame: Frame, app: Any) -> None:
    """What Faust's consumer knows of its partitions, into the figures. It asks nobody and waits for nothing."""
    meters, consumer = frame.meters, app.consumer
    consumer.took = meters.took
    client = consumer._thread._consumer  # None until its thread has begun
    if client is None:
        return
    ends, positions = ends_and_positions(client)
    commits = {at: offset for at, offset in consumer._committed_offset.copy().items() if offset is not None}
    read = consumer._read_offset.copy()
    meters.committed({at: commits[at] for at in ends if at in commits})
    level = {
        at: position for at, position in positions.items() if read.get(at) is None or commits.get(at, -1) > read[at]
    }
    meters.progress.sample(meters.offsets.sample(ends, positions=level))
    parts = consumer.assignment()
    meters.holds(parts, parts - consumer._get_active_partitions() if consumer.flow_active else parts)
    meters.rebalanced(app.rebalancing_count)


def _read_topics(frame: Frame, app: Any, stage: Stage, engine: AsyncEngine) -> None:
    settings = frame.settings
    if stage == "normalise":
        for raw in normalise.RAW:
            frame.read(app, raw.topic, normalise.handler(raw, frame.clock))
    elif stage == "resolve":
        concerts = ResolveStore(engine, settings.outbox_shards, day_off=settings.day_off)
        for kind in resolve.READS:
            frame.read(app, kind.topic, resolve.handler(kind, concerts, frame.clock))
    else:
        store = MatchStore(engine, settings.outbox_shards, frame.clock, tables=_tables(settings))
        frame.read(app, Entry.topic, match.entries_handler(Entry, store, frame.clock))
        frame.read(app, Decision.topic, match.again_handler(Decision, store, frame.clock))
        frame.read(app, Rematch.topic, match.again_handler(Rematch, store, frame.clock))
        frame.read(app, Concert.topic, rematch.handler(store, frame.clock))
        names = NameStore(engine)
        for reference in (Artist, Venue):
            # Catalogues of them come by the hundred thousand, and can wait: what they change is matched again.
            handle = rematch.names_handler(reference, names, store, frame.clock)
            frame.read(app, reference.topic, handle, backfill=True)
        backfill = match.entries_handler(BackfilledEntry, store, frame.clock)
        frame.read(app, BackfilledEntry.topic, backfill, backfill=True)


def _tables(settings: Settings) -> Tables:
    """The weights that every suggestion of this process is made with."""
    if not settings.weights:
        return default_tables()
    try:
        return read_weights(Path(settings.weights).read_bytes())
    except (OSError, MessageError) as error:
        raise SettingsError(f"GIGZ_WEIGHTS: {settings.weights}: {error}") from error


async def take_apart(frame: Frame, app: Any) -> None:
    """Finish the batch at hand, commit what was acknowledged, close the door, then stop Faust."""
    deadline = time.monotonic() + FINISH_S
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(frame.idle.wait(), FINISH_S)
    try:
        async with asyncio.timeout(max(0.5, deadline - time.monotonic())):
            # Twice: Faust's may only wait for one that was under way, and that knows nothing of the last batch.
            await app.consumer.commit()
            await app.consumer.commit()
    except Exception as error:
        log.warning("not committed: the last batches will be read again", error=repr(error))
    app.consumer.halted = True
    try:
        async with asyncio.timeout(TAKE_APART_S):
            await app.stop()
    except Exception as error:
        log.warning("Faust did not stop in time; everything is committed", error=repr(error))


async def _relay(settings: Settings, instance: int, held: Held) -> int:
    await check_topics(settings, _topics_of("relay"))
    stopping = asyncio.Event()
    async with _postgres(settings, "relay") as engine, left_in_time(kafka_producer(settings, "gigz-relay")) as producer:
        await check_postgres(engine, settings)
        _on_signals(stopping)
        meters = relay_meters(settings)
        meters.queries.watch(engine)
        relay = Relay(settings, engine, producer, utc_now, meters=meters)
        with serving(settings, meters, instance) as endpoint:
            watching = asyncio.create_task(_watch_outbox(relay, engine, meters))
            losing = asyncio.create_task(_stop_when_lost(held, stopping))
            log.info("started")
            try:
                await relay.run(stopping)
            except Exception as error:
                return _verdict(error, settings)
            finally:
                meters.progress.stopping()
                watching.cancel()
                losing.cancel()
            return endpoint.ended(_verdict(InstanceTaken(held.why) if held.lost.is_set() else None, settings))


async def _stop_when_lost(held: Held, stopping: asyncio.Event) -> None:
    await held.lost.wait()
    stopping.set()


async def _watch_outbox(relay: Relay, engine: AsyncEngine, meters: RelayMeters) -> None:
    """Count what waits before this relay, and say every second that the event loop runs, whatever PostgreSQL does."""
    waiting = Waiting()
    counted_at = float("-inf")
    counting: asyncio.Task[Waiting] | None = None
    while True:
        if counting is None and time.monotonic() - counted_at >= OUTBOX_S:
            counting = asyncio.create_task(_count_outbox(relay.held, engine, meters))
        if counting is not None and counting.done():
            if counting.exception() is None:
                waiting = counting.result()
            else:
                log.debug("the outbox was not counted", why=repr(counting.exception()))
            counting, counted_at = None, time.monotonic()
        meters.progress.sample({OUTBOX: waiting if relay.held else Waiting()})
        meters.shards.set(len(relay.held))
        await asyncio.sleep(SAMPLE_S)


async def _count_outbox(held: Collection[int], engine: AsyncEngine, meters: RelayMeters) -> Waiting:
    async with asyncio.timeout(OUTBOX_S), engine.connect() as connection:
        total, own, oldest = (await connection.execute(WAITING, {"shards": sorted(held)})).one()
    meters.outbox.set(total)
    return Waiting(own, oldest.timestamp() if oldest is not None else None)


def _verdict(failure: BaseException | None, settings: Settings) -> int:
    if failure is None or (isinstance(failure, GaveUp) and not str(failure)):
        log.info("stopped")
        return Exit.STOPPED
    code, why = _told(failure, settings)
    if code is Exit.BUG:
        log.error("bug: the offset has not moved, the batch will be read again", exc_info=failure)
    else:
        log.error("halted", exit_code=int(code), why=why)
    return code


def _told(failure: BaseException, settings: Settings) -> tuple[Exit, str]:
    match failure:
        case GaveUp():
            return Exit.AWAY, str(failure)
        case Refused():
            return Exit.AWAY if failure.spent else Exit.SETTINGS, str(failure)
        case TooManyRejections():
            return Exit.HALTED, str(failure)
        case InputGone():
            return Exit.GONE, str(failure)
        case InstanceTaken():
            return Exit.TAKEN, str(failure)
        case SettingsError():
            return Exit.SETTINGS, str(failure)
    found = verdict(failure)
    if found is None or found[1] is Meaning.BAD_DATA:
        return Exit.BUG, repr(failure)
    code = Exit.SETTINGS if found[1] is Meaning.REFUSES else Exit.AWAY
    return code, f"{unusable(found[0], settings, repr(failure))} The offset has not moved."


def _topics_of(stage: Stage) -> set[str]:
    """What the stage, and the stages within its worker, read and write."""
    stages = [stage, *(inner for inner, worker in WORKER_OF.items() if worker == stage)]
    return {topic.name for one in stages for topic in (*read_by(one), *written_by(one))}


@asynccontextmanager
async def _postgres(settings: Settings, stage: Stage) -> AsyncIterator[AsyncEngine]:
    engine = postgres_engine(settings, name=f"gigz-{stage}")
    try:
        yield engine
    finally:
        await engine.dispose()


def _on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
