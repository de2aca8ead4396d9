"""What a process tells Prometheus, and where: GET /metrics, /live and /ready, answered by a thread of its own.

    StageMeters        a stage or a sink: messages, batches, steps, lag, retries; RelayMeters: and the outbox
    SchedulerMeters    the scheduler: runs, quotas, the spools of the spiders
    watch_engine       times of an SQLAlchemy engine's statements, connections in use
    serving            the endpoint, while the process runs; its address stands in HOME/metrics/STAGE-N.json

Names follow https://prometheus.io/docs/practices/naming/. Labels are few and bounded: stage, topic, step, store, code,
reason, spider, setting. Never a user, a source_id or an address. Everything is counted once a batch, so the cost does
not grow with messages (docs/operations/metrics.md has the figure).

Errors
    SettingsError    the endpoint's address cannot be taken
"""

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socket import AF_INET, AF_INET6
from socketserver import ThreadingTCPServer
from threading import Thread
from time import perf_counter
from typing import Any, Protocol

import psutil
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from deploy.local.processes import write_private
from deploy.progress import SAMPLE_S, Offsets, Partition, Progress
from deploy.settings import PREFIX, Settings, SettingsError

# Every counter would have a series of its own that says when it was made; restarts are seen from the counter itself.
disable_created_metrics()  # type: ignore[no-untyped-call]

QUERY_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0)
STEP_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BATCH_MESSAGES = (1.0, 5.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0)
STEPS = ("read", "handle", "write", "publish", "commit")
FOLDER = "metrics"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
ANSWER_S = 5.0
"""A client that takes longer to ask is let go: each holds a thread."""


class Machine(Collector):
    """How full memory and disk are that this process lives on, measured when asked."""

    def __init__(self, home: Path, cgroup: Path = Path("/sys/fs/cgroup")) -> None:
        self._home = home
        self._cgroup = cgroup

    def collect(self) -> Iterable[Metric]:
        """Two shares between 0 and 1."""
        memory = GaugeMetricFamily("gigz_memory_used_ratio", "Memory in use: of the container's limit, else of all.")
        memory.add_metric([], self._memory())
        yield memory
        disk = GaugeMetricFamily("gigz_disk_used_ratio", "Space in use on the disk of GIGZ_HOME.")
        with suppress(OSError):
            usage = shutil.disk_usage(self._home)
            disk.add_metric([], 1 - usage.free / usage.total)
        yield disk

    def _memory(self) -> float:
        with suppress(OSError, ValueError, ZeroDivisionError):  # no limit reads as "max"; no cgroup: no file
            limit = int((self._cgroup / "memory.max").read_text())
            # The page cache counts as current, and goes when it must.
            statistics = dict(line.split() for line in (self._cgroup / "memory.stat").read_text().splitlines())
            cache = int(statistics.get("inactive_file", 0))
            return (int((self._cgroup / "memory.current").read_text()) - cache) / limit
        return psutil.virtual_memory().percent / 100


class Lags(Collector):
    """What waits before a process and how old its commit is, as it stands when asked."""

    def __init__(self, stage: str, progress: Progress) -> None:
        self._stage = stage
        self._progress = progress

    def collect(self) -> Iterable[Metric]:
        """Of the topics and partitions that this process holds."""
        labels = ["stage", "topic"]
        messages = GaugeMetricFamily("gigz_lag_messages", "Messages of its partitions not committed.", labels=labels)
        seconds = GaugeMetricFamily("gigz_lag_seconds", "Age of the oldest message not committed yet.", labels=labels)
        age = GaugeMetricFamily(
            "gigz_commit_age_seconds",
            "How long the commit has stood still while messages waited; 0: none waits.",
            labels=labels,
        )
        for topic, (waiting, oldest_s, still_s) in self._progress.lags.items():
            messages.add_metric([self._stage, topic], waiting)
            seconds.add_metric([self._stage, topic], oldest_s)
            age.add_metric([self._stage, topic], still_s)
        away = GaugeMetricFamily(
            "gigz_store_waiting_seconds",
            "How long a failed store has been asked again.",
            labels=["stage", "store"],
        )
        store = self._progress.waits_for
        if store is not None:
            away.add_metric([self._stage, store.store], self._progress.waited_s())
        yield from (messages, seconds, age, away)


class QueryMeters:
    """Statements and connections of an SQLAlchemy engine."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "db_query_duration_seconds",
            "Time in PostgreSQL.",
            ["operation"],
            buckets=QUERY_SECONDS,
            registry=registry,
        )
        self.active = Gauge("db_connections_active", "Connections in use.", registry=registry)
        self.limit = Gauge("db_connections_limit", "Connections that the pool may open.", registry=registry)

    def watch(self, engine: AsyncEngine) -> None:
        """Time every statement of this engine, and count its connections when asked."""

        def before(connection: Any, *_: Any) -> None:
            connection.info["began"] = perf_counter()

        def after(connection: Any, _: Any, statement: str, *__: Any) -> None:
            self.seconds.labels(operation_of(statement)).observe(perf_counter() - connection.info["began"])

        event.listen(engine.sync_engine, "before_cursor_execute", before)
        event.listen(engine.sync_engine, "after_cursor_execute", after)
        pool = engine.pool
        if isinstance(pool, QueuePool):
            self.active.set_function(pool.checkedout)
            self.limit.set(pool.size() + max(0, pool._max_overflow))


OPERATIONS = frozenset(("select", "insert", "update", "delete", "merge", "copy", "set", "show"))


def operation_of(statement: str) -> str:
    """The verb of a statement, for a label; `with` reads as select, what is none of a few is other."""
    words = statement.split(None, 1)
    verb = words[0].lower() if words else ""
    verb = "select" if verb == "with" else verb
    return verb if verb in OPERATIONS else "other"


class StageMeters:
    """Of one process of a stage. Its methods are called once a batch, or once a failure."""

    def __init__(self, stage: str, progress: Progress | None = None, home: Path = Path()) -> None:
        self.stage = stage
        self.progress = progress or Progress(limit_s=float("inf"))
        self.registry = registry = CollectorRegistry()
        self.consumed = Counter(
            "gigz_messages_consumed_total",
            "Messages taken and done with; one that is read again counts again.",
            ["stage", "topic"],
            registry=registry,
        )
        self.produced = Counter(
            "gigz_messages_produced_total",
            "Messages that Kafka has acknowledged, rejections aside.",
            ["stage", "topic"],
            registry=registry,
        )
        self.rejected = Counter(
            "gigz_messages_rejected_total", "Messages that became rejections.", ["stage", "reason"], registry=registry
        )
        self.written = Counter(
            "gigz_rows_written_total", "Messages that a store has taken.", ["stage", "store"], registry=registry
        )
        self.batches = Histogram(
            "gigz_batch_messages",
            "Messages of a batch.",
            ["stage", "topic"],
            buckets=BATCH_MESSAGES,
            registry=registry,
        )
        self.steps = Histogram(
            "gigz_step_duration_seconds",
            "Time of a step of a batch, retries included.",
            ["stage", "step"],
            buckets=STEP_SECONDS,
            registry=registry,
        )
        self.retries = Counter(
            "gigz_store_retries_total",
            "Failures after which a store was asked again.",
            ["stage", "store", "code"],
            registry=registry,
        )
        self.rebalances = Counter(
            "gigz_rebalances_total", "Times that partitions were shared out.", ["stage"], registry=registry
        )
        self.rebalances.labels(stage)
        self.partitions = Gauge(
            "gigz_partitions_assigned", "Partitions that this process holds.", ["stage", "topic"], registry=registry
        )
        self.paused = Gauge(
            "gigz_partitions_paused",
            "Partitions held and not read: their buffer is full, or a store is away.",
            ["stage", "topic"],
            registry=registry,
        )
        self.offsets = Offsets()
        self._topics: set[str] = set()
        """That partitions were held of."""
        self._shared = 0
        registry.register(Lags(stage, self.progress))
        self.queries = QueryMeters(registry)
        _process(registry, home)

    @contextmanager
    def step(self, step: str) -> Iterator[None]:
        """Time a step, whether it succeeds or not."""
        began = perf_counter()
        try:
            yield
        finally:
            self.steps.labels(self.stage, step).observe(perf_counter() - began)

    def took(self, step: str, seconds: float) -> None:
        """A step took so long."""
        self.steps.labels(self.stage, step).observe(seconds)

    def batch(self, topics: Mapping[str, int]) -> None:
        """A batch was done with: messages by topic. Several topics of one batch are batches of their own."""
        for topic, messages in topics.items():
            self.consumed.labels(self.stage, topic).inc(messages)
            self.batches.labels(self.stage, topic).observe(messages)

    def published(self, topics: Mapping[str, int]) -> None:
        """Kafka has these, by topic."""
        for topic, messages in topics.items():
            self.produced.labels(self.stage, topic).inc(messages)

    def refused(self, reasons: Mapping[str, int]) -> None:
        """So many rejections, by reason."""
        for reason, messages in reasons.items():
            self.rejected.labels(self.stage, reason).inc(messages)

    def retry(self, store: str, code: str, until: float) -> None:
        """A store failed and will be asked again, until then (monotonic)."""
        self.retries.labels(self.stage, store, code).inc()
        self.progress.away(store, code, until)

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        """The commit stands at these offsets."""
        self.progress.moved(self.offsets.committed(offsets))

    def rebalanced(self, times: int) -> None:
        """Partitions were shared out so many times since the start."""
        self.rebalances.labels(self.stage).inc(max(0, times - self._shared))
        self._shared = times

    def holds(self, owned: Collection[Any], paused: Collection[Any]) -> None:
        """The partitions that this process has now: anything with a topic, and those of them that are not read."""
        counts = counted(part.topic for part in owned)
        resting = counted(part.topic for part in paused)
        self._topics |= counts.keys()
        for topic in self._topics:
            self.partitions.labels(self.stage, topic).set(counts.get(topic, 0))
            self.paused.labels(self.stage, topic).set(resting.get(topic, 0))


class RelayMeters(StageMeters):
    """Of one relay: the outbox is its topic, a shard of it a partition."""

    def __init__(self, progress: Progress | None = None, home: Path = Path()) -> None:
        super().__init__("relay", progress, home)
        self.outbox = Gauge("gigz_outbox_rows", "Messages in the outbox, of all shards.", registry=self.registry)
        self.shards = Gauge("gigz_outbox_shards", "Shards that this relay holds.", registry=self.registry)


@dataclass(frozen=True)
class SpiderFigures:
    """What the scheduler counts now and then."""

    runs: Mapping[str, int] = field(default_factory=dict)
    """By state."""
    last_good: Mapping[str, float] = field(default_factory=dict)
    """Spider -> when its last good run ended, seconds since 1970."""
    bad: Mapping[str, bool] = field(default_factory=dict)
    """Spider -> whether its latest ended run is suspect, failed or lost."""
    quotas: Mapping[str, float] = field(default_factory=dict)
    """Setting of the key -> share of the day's requests that are used."""
    spools: Mapping[str, int] = field(default_factory=dict)
    """Spider -> bytes."""


class Spiders(Collector):
    """The spiders' runs as the active scheduler last counted them."""

    def __init__(self, spool_limit: int, wall: Callable[[], float]) -> None:
        self._spool_limit = spool_limit
        self._wall = wall
        self.figures: SpiderFigures | None = None
        """None: another scheduler is active and tells."""

    def collect(self) -> Iterable[Metric]:
        """Nothing but the names while it stands by."""
        told = self.figures or SpiderFigures()
        now = self._wall()
        families: list[tuple[str, str, str, Mapping[str, float]]] = [
            ("gigz_runs", "Runs of spiders that are kept, by state.", "state", told.runs),
            (
                "gigz_run_last_good_age_seconds",
                "Time since a spider's last run that finished and was not suspect.",
                "spider",
                {spider: max(0.0, now - at) for spider, at in told.last_good.items()},
            ),
            ("gigz_run_last_bad", "1: the spider's latest run is suspect, failed or lost.", "spider", told.bad),
            ("gigz_quota_used_ratio", "Share of a key's requests of the day that are used.", "setting", told.quotas),
            ("gigz_spool_bytes", "What a spider keeps on disk until Kafka has it.", "spider", told.spools),
        ]
        for name, text, label, values in families:
            family = GaugeMetricFamily(name, text, labels=[label])
            for value, number in values.items():
                family.add_metric([value], float(number))
            yield family
        limit = GaugeMetricFamily("gigz_spool_limit_bytes", "What a spider may keep on disk (GIGZ_SPOOL_MB).")
        limit.add_metric([], self._spool_limit)
        yield limit


class SchedulerMeters:
    """Of one scheduler process."""

    def __init__(
        self, settings: Settings, progress: Progress | None = None, wall: Callable[[], float] = time.time
    ) -> None:
        self.stage = "scheduler"
        self.progress = progress or Progress(limit_s=settings.liveness_s)
        self.registry = registry = CollectorRegistry()
        self.active = Gauge(
            "gigz_scheduler_active", "1: it schedules; 0: it stands by, or cannot reach PostgreSQL.", registry=registry
        )
        self.rounds = Counter("gigz_scheduler_rounds_total", "Looks at what is due.", ["outcome"], registry=registry)
        for outcome in ("done", "standby", "failed"):
            self.rounds.labels(outcome)
        self.erasure = Gauge(
            "gigz_erasure_waiting_seconds",
            "How long the oldest erasure that a user asked for is not done; 0: all are.",
            registry=registry,
        )
        self.spiders = Spiders(settings.spool_mb * 1_048_576, wall)
        registry.register(self.spiders)
        self.queries = QueryMeters(registry)
        _process(registry, settings.home)

    def round(self, outcome: str, *, active: bool) -> None:
        """It looked, stood by or failed, and goes on."""
        self.rounds.labels(outcome).inc()
        self.active.set(active)
        if not active:
            self.spiders.figures = None
            self.erasure.set(0)
        self.progress.sample({})


def _process(registry: CollectorRegistry, home: Path) -> None:
    ProcessCollector(registry=registry)
    registry.register(Machine(home))


# -- the endpoint ------------------------------------------------------------------------------------------------------


class Served(Protocol):
    """What an endpoint tells."""

    @property
    def stage(self) -> str:
        """Name of the stage."""
        ...

    @property
    def registry(self) -> CollectorRegistry:
        """All metrics."""
        ...

    @property
    def progress(self) -> Progress:
        """What the probes are answered from."""
        ...


def answer(served: Served, path: str) -> tuple[int, str, bytes]:
    """Status, content type and body for a path."""
    if path == "/metrics":
        return 200, TEXT, generate_latest(served.registry)
    if path in {"/live", "/ready"}:
        why = served.progress.dead() if path == "/live" else served.progress.unready()
        waits = served.progress.unready()
        said = f"{served.stage}: {why or waits or 'ok'}\n"
        return 503 if why else 200, "text/plain; charset=utf-8", said.encode()
    return 404, "text/plain; charset=utf-8", b"there are /metrics, /live and /ready\n"


class Endpoint:
    """An HTTP server in threads of its own: it answers while the event loop is blocked, and says so."""

    def __init__(self, served: Served, host: str, port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = ANSWER_S

            def do_GET(self) -> None:
                self._send(with_body=True)

            def do_HEAD(self) -> None:
                self._send(with_body=False)

            def _send(self, *, with_body: bool) -> None:
                status, kind, body = answer(served, self.path.partition("?")[0])
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if with_body:
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Scrapes are no news."""

        class Server(ThreadingTCPServer):  # not http.server's, which asks the name service who it is
            address_family = AF_INET6 if ":" in host else AF_INET
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_: Any) -> None:
                """A client that went away is no fault of ours."""

        try:
            self._server = Server((host, port), Handler)
        except (OSError, OverflowError) as error:
            raise SettingsError(
                f"{PREFIX}METRICS_HOST={host}, {PREFIX}METRICS_PORT={port}: cannot be listened on: {error}. "
                f"Remedy: another number for each process of one machine, or 0 for any free one."
            ) from error
        self.address = f"[{host}]" if ":" in host else host
        self.address += f":{self._server.server_address[1]}"
        """host:port."""
        self.as_asked = False
        """It ended because it was told to."""
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True)
        self._thread.start()

    def ended(self, code: int) -> int:
        """The process ends with this exit code, which is given back."""
        self.as_asked = code == 0
        return code

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2)


@contextmanager
def serving(settings: Settings, served: Served, instance: int) -> Iterator[Endpoint]:
    """Answer scrapes and probes. SettingsError when the address cannot be taken.

    HOME/metrics/STAGE-N.json names the address, in the form that Prometheus reads targets from (`file_sd_configs`). One
    that ended as it was asked to takes its file along. One that was killed, or gave up, leaves it: its target is down,
    which is what operators are to be told.
    """
    endpoint = Endpoint(served, settings.metrics_host, settings.metrics_port)
    name = f"{served.stage}-{instance}"
    path = settings.home / FOLDER / f"{name}.json"
    own = target(name, served.stage, endpoint.address)
    try:
        write_private(path, json.dumps([own]))
        path.chmod(0o644)  # Prometheus may be another user; nothing in it is secret
        yield endpoint
    finally:
        endpoint.close()
        with suppress(OSError, ValueError):
            if endpoint.as_asked and json.loads(path.read_text(encoding="utf-8")) == [own]:
                path.unlink()


def target(name: str, stage: str, address: str) -> dict[str, Any]:
    """An entry of a targets file. Labels that begin with __ are Prometheus' to drop: who the process is."""
    process = psutil.Process()
    labels = {
        "instance": name,
        "__meta_stage": stage,  # the metrics have it as a label of their own
        "__meta_pid": str(os.getpid()),
        "__meta_create_time": str(process.create_time()),
    }
    return {"targets": [address], "labels": labels}


def counted(things: Iterable[str]) -> dict[str, int]:
    """How often each occurs."""
    found: dict[str, int] = {}
    for thing in things:
        found[thing] = found.get(thing, 0) + 1
    return found


def stage_meters(settings: Settings, stage: str) -> StageMeters:
    """As the settings say."""
    return StageMeters(stage, Progress(settings.liveness_s), settings.home)


def relay_meters(settings: Settings) -> RelayMeters:
    """The same for the relay."""
    return RelayMeters(Progress(settings.liveness_s), settings.home)


async def watch(look: Callable[[], None]) -> None:
    """Look at the consumer every SAMPLE_S, for ever. What `look` raises is a bug."""
    while True:
        look()
        await asyncio.sleep(SAMPLE_S)
