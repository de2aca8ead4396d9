"""One worker process: `gigz worker normalise|resolve|match|relay --instance N`."""

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import check_postgres, kafka_admin, kafka_producer, postgres_engine, unusable
from deploy.flow import WORKER_OF
from deploy.logs import configure
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
from streams.app import data_folder, make_app
from streams.reference import NameStore
from streams.relay import Relay, outbox_rows
from streams.retry import GaveUp, engine_at_fault
from streams.stage import Frame, TooManyRejections, utc_now
from streams.store_match import MatchStore
from streams.store_resolve import ResolveStore

Stage = Literal["normalise", "resolve", "match", "relay"]
FINISH_S = 8.0
"""For the batch at hand after SIGTERM; with what follows it stays below 10 s."""
TAKE_APART_S = 1.5
"""For Faust to close its connections. What matters is committed before."""
log = structlog.get_logger()


def run_worker(settings: Settings, stage: Stage, instance: int) -> int:
    """Run one stage until SIGTERM: 0. Stopped by a bad world, too many rejections or a bug: 1, offset unmoved.

    SettingsError, before anything is read, when Kafka or PostgreSQL cannot be used or topics are missing.
    """
    if stage not in get_args(Stage):
        raise SettingsError(f"there is no stage {stage!r}. Remedy: one of {', '.join(get_args(Stage))}.")
    configure(settings.log_level, settings.log_format, stage)
    structlog.contextvars.bind_contextvars(instance=instance)
    if stage == "relay":
        code = asyncio.run(_relay(settings))
    else:
        with _alone(settings, stage, instance):
            code = asyncio.run(_consume(settings, stage, instance))
    if threading.active_count() > 1:
        # Faust's threads are no daemons: one that hangs would keep the process for ever. All is committed or to be
        # read again.
        sys.stderr.flush()
        os._exit(code)
    return code


async def outbox_size(settings: Settings) -> int:
    """How many messages wait in the outbox."""
    engine = postgres_engine(settings, pool_size=1, name="gigz-outbox")
    try:
        return await outbox_rows(engine)
    finally:
        await engine.dispose()


async def _consume(settings: Settings, stage: Stage, instance: int) -> int:
    await check_topics(settings, stage)
    async with (
        _postgres(settings, stage) as engine,
        kafka_producer(settings, f"gigz-{stage}-{instance}-out") as producer,
    ):
        if stage != "normalise":
            await check_postgres(engine, settings)
        frame = Frame(settings, stage, producer)
        app = make_app(settings, stage, instance)
        _read_topics(frame, app, stage, engine)
        _on_signals(frame.stopping)
        await run_app(frame, app)
        return _verdict(frame.failure, settings)


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
    ends = [asyncio.create_task(event.wait()) for event in (frame.stopping, frame.failed)]
    await asyncio.wait([crashed, *ends], return_when=asyncio.FIRST_COMPLETED)
    if crashed.done() and frame.failure is None:
        frame.fail(app.crash_reason or RuntimeError("Faust's consumer crashed"))
    for task in (crashed, *ends):
        task.cancel()
    await take_apart(frame, app)


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
            await app.consumer.commit()
    except Exception as error:
        log.warning("not committed: the last batches will be read again", error=repr(error))
    app.consumer.halted = True
    try:
        async with asyncio.timeout(TAKE_APART_S):
            await app.stop()
    except Exception as error:
        log.warning("Faust did not stop in time; everything is committed", error=repr(error))


async def _relay(settings: Settings) -> int:
    await check_topics(settings, "relay")
    stopping = asyncio.Event()
    async with _postgres(settings, "relay") as engine, kafka_producer(settings, "gigz-relay") as producer:
        await check_postgres(engine, settings)
        _on_signals(stopping)
        log.info("started")
        try:
            await Relay(settings, engine, producer, utc_now).run(stopping)
        except Exception as error:
            return _verdict(error, settings)
    return _verdict(None, settings)


def _verdict(failure: BaseException | None, settings: Settings) -> int:
    if failure is None or (isinstance(failure, GaveUp) and not str(failure)):
        log.info("stopped")
        return 0
    if isinstance(failure, (GaveUp, TooManyRejections)):
        log.error("halted", why=str(failure))
    elif engine := engine_at_fault(failure):
        log.error("halted", why=f"{unusable(engine, settings, repr(failure))} The offset has not moved.")
    else:
        log.error("bug: the offset has not moved, the batch will be read again", exc_info=failure)
    return 1


async def check_topics(settings: Settings, stage: Stage) -> None:
    """SettingsError when a topic that the stage reads or writes is missing, or has other partitions than are set."""
    stages = [stage, *(inner for inner, worker in WORKER_OF.items() if worker == stage)]
    names = {topic.name for one in stages for topic in (*read_by(one), *written_by(one))}
    async with kafka_admin(settings) as admin:
        missing = sorted(names - set(await admin.list_topics()))
        if missing:
            raise SettingsError(f"Kafka has no topic {', '.join(missing)}. Remedy: `gigz topics apply`.")
        if not names:
            return
        for told in await admin.describe_topics(sorted(names)):
            if len(told["partitions"]) != settings.partitions:
                raise SettingsError(
                    f"{told['topic']} has {len(told['partitions'])} partitions, GIGZ_PARTITIONS={settings.partitions}: "
                    "keys would go elsewhere. Remedy: set GIGZ_PARTITIONS to what the topics were made with."
                )


@contextlib.contextmanager
def _alone(settings: Settings, stage: Stage, instance: int) -> Iterator[None]:
    """SettingsError when a process of this machine has the instance: the two would take the group from each other."""
    with (data_folder(settings.home, stage, instance) / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SettingsError(
                f"{stage} --instance {instance} runs already on this machine. Remedy: take another number, or stop it."
            ) from error
        yield


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
