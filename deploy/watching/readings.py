"""What the workers of this home folder say of themselves, now and a moment ago: read, subtracted, summed by stage.

    targets     HOME/metrics/*.json, written by the workers (`deploy.meters.serving`); what `gigz up` started and died
    read        /metrics, /live and /ready of each, at once
    compare     a row for each process: rates from two readings, lag, age of the commit, processor, memory
    by_stage    the rows of a stage as one

A worker that does not answer is told so, with what the system knows of its process; it never holds up the others.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from deploy.flow import SINKS, STREAMS, WORKER_OF
from deploy.local.processes import SAME_START_S, Processes
from deploy.local.workers import API
from deploy.meters import FOLDER
from schemas.topics import written_by

ANSWER_S = 2.0
"""A worker that takes longer is told as silent: all are asked at once, and a screen is to follow."""
ORDER = (*(stage for stage in STREAMS if stage not in WORKER_OF), "relay", *SINKS, "scheduler", "api")
"""Stages, in the order of the flow."""
THROUGH_OUTBOX = {"resolve": ("resolve",), "match": ("match", "rematch"), "api": ("api",)}
"""Processes whose messages the relay publishes, and the stages that they are."""
OK, STARTS, WAITS, STUCK, SILENT, FROZEN, DOWN = "ok", "starts", "waits", "stuck", "silent", "frozen", "down"
Samples = Mapping[str, Sequence[tuple[Mapping[str, str], float]]]


@dataclass(frozen=True)
class Target:
    """A process that tells of itself."""

    name: str
    stage: str
    address: str
    """host:port; empty: it is known to have died, or has not told yet."""
    pid: int = 0
    create_time: float = 0.0
    """As psutil has it; 0: not known."""

    @property
    def process(self) -> psutil.Process | None:
        """The living process, or None."""
        try:
            process = psutil.Process(self.pid)
            if self.pid and abs(process.create_time() - self.create_time) <= SAME_START_S:
                return process if process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.Error, ValueError):
            pass
        return None


@dataclass(frozen=True)
class Reading:
    """What a process said at a time."""

    target: Target
    at: float
    """Monotonic."""
    state: str
    why: str = ""
    samples: Samples = field(default_factory=dict, repr=False)

    def total(self, name: str, **labels: str) -> float:
        """Sum of a metric over its series with these labels; 0 when it has none."""
        return sum(value for told, value in self.samples.get(name, ()) if labels.items() <= told.items())

    def most(self, name: str) -> float:
        """Largest of a metric's series; 0 when it has none."""
        return max((value for _, value in self.samples.get(name, ())), default=0.0)


@dataclass(frozen=True)
class Row:
    """A process, or a stage's processes together. Rates a second; None: not known, or it has none."""

    name: str
    stage: str
    processes: int = 1
    state: str = OK
    into: float | None = None
    out: float | None = None
    rejected: float | None = None
    lag: int | None = None
    lag_s: float | None = None
    commit_s: float | None = None
    partitions: int | None = None
    cpu: float | None = None
    """1 is one processor."""
    memory: int = 0
    """Resident bytes."""
    address: str = ""
    """host:port of its /metrics, /live and /ready."""
    pid: int = 0
    since: float = 0.0
    """When it was started, seconds since 1970; 0: not known."""
    problems: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {**vars(self), "problems": list(self.problems)}


# -- who there is --------------------------------------------------------------------------------------------------


def targets(home: Path) -> list[Target]:
    """Every worker that this home folder knows, in the order of the flow. A file that cannot be read is left out."""
    found: dict[str, Target] = {}
    for path in (home / FOLDER).glob("*.json"):
        try:
            [told] = json.loads(path.read_text(encoding="utf-8"))
            labels, [address] = told["labels"], told["targets"]
            pid, since = int(labels["__meta_pid"]), float(labels["__meta_create_time"])
            found[labels["instance"]] = Target(labels["instance"], labels["__meta_stage"], address, pid, since)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # half written by a machine that lost power, or removed in this moment
    for process in Processes(home).list():
        stage, dash, number = process.name.rpartition("-")
        if not dash or not number.isdigit() or stage not in ORDER:
            continue
        told_by_itself = found.get(process.name)
        if told_by_itself is None or (told_by_itself.process is None and process.is_alive()):
            address = process.address.removeprefix("http://") if process.name == API else ""
            found[process.name] = Target(process.name, stage, address, process.pid, process.create_time)
    return sorted(found.values(), key=place)


def place(one: Target | Row) -> tuple[int, int, str]:
    """Of a stage in the flow, then of the instance."""
    number = one.name.rpartition("-")[2]
    at = ORDER.index(one.stage) if one.stage in ORDER else len(ORDER)
    return at, int(number) if number.isdigit() else 0, one.name


def forget_dead(home: Path) -> None:
    """Remove the files of workers that are no more."""
    for one in targets(home):
        if one.process is None:
            (home / FOLDER / f"{one.name}.json").unlink(missing_ok=True)


# -- what they say ---------------------------------------------------------------------------------------------------


async def read(which: Iterable[Target]) -> list[Reading]:
    """Ask all at once; each has ANSWER_S."""
    # The environment's proxy is not for addresses of this machine.
    async with httpx.AsyncClient(timeout=ANSWER_S, trust_env=False) as client:
        return list(await asyncio.gather(*(_read(client, one) for one in which)))


async def _read(client: httpx.AsyncClient, target: Target) -> Reading:
    process = await asyncio.to_thread(lambda: target.process)
    now = time.monotonic()
    if process is None:
        return Reading(target, now, DOWN, "is down: start it again, its log says why it ended")
    if not target.address:
        return Reading(target, now, STARTS, "has not told yet where it listens")
    paths = ("/metrics",) if target.stage == "api" else ("/metrics", "/live", "/ready")
    try:
        async with asyncio.timeout(ANSWER_S):
            answers = await asyncio.gather(*(client.get(f"http://{target.address}{path}") for path in paths))
        samples = parse(answers[0].text) if answers[0].status_code == 200 else {}
        now = time.monotonic()
    except (httpx.HTTPError, TimeoutError, ValueError):
        if process.status() == psutil.STATUS_STOPPED:
            return Reading(target, now, FROZEN, f"was frozen by a signal: kill -CONT {target.pid} lets it go on")
        return Reading(target, now, SILENT, f"runs (pid {target.pid}) and does not answer at {target.address}")
    if len(answers) == 1:
        return Reading(target, now, OK, "", samples)
    live, ready = answers[1:]
    if live.status_code != 200:
        return Reading(target, now, STUCK, _said(live), samples)
    if ready.status_code != 200:
        starts = "starting" in ready.text
        return Reading(target, now, STARTS if starts else WAITS, _said(ready), samples)
    return Reading(target, now, OK, "", samples)


def _said(answer: httpx.Response) -> str:
    return answer.text.partition(": ")[2].strip() or answer.text.strip()


def parse(page: str) -> Samples:
    """Name -> labels and value of each sample of a page in Prometheus' text format. ValueError."""
    found: dict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found[sample.name].append((sample.labels, sample.value))
    return found


# -- what it means -------------------------------------------------------------------------------------------------


def compare(now: Sequence[Reading], before: Sequence[Reading]) -> list[Row]:
    """A row for each process. Rates where it was read before, and has not been started anew since."""
    earlier = _by_process(before)
    return [_row(one, earlier.get(_process(one))) for one in now]


def published(now: Sequence[Reading], before: Sequence[Reading]) -> dict[str, float]:
    """Topic -> messages a second that relays publish for the stages that write to the outbox."""
    earlier = _by_process(before)
    rates: dict[str, float] = defaultdict(float)
    for one in now:
        was = earlier.get(_process(one))
        if one.target.stage == "relay" and was is not None and one.at > was.at:
            for labels, value in one.samples.get("gigz_messages_produced_total", ()):
                grown = value - was.total("gigz_messages_produced_total", topic=labels["topic"])
                rates[labels["topic"]] += max(0.0, grown) / (one.at - was.at)
    return rates


def _process(one: Reading) -> tuple[str, int]:
    return one.target.name, one.target.pid


def _by_process(readings: Sequence[Reading]) -> dict[tuple[str, int], Reading]:
    return {_process(one): one for one in readings if one.samples}


def _row(now: Reading, before: Reading | None) -> Row:
    stage = now.target.stage
    why = (f"{now.target.name} {now.why}",) if now.why else ()
    row = Row(
        now.target.name,
        stage,
        state=now.state,
        address=now.target.address,
        pid=now.target.pid,
        since=now.target.create_time,
        problems=why,
    )
    if not now.samples:
        return row

    def rate(name: str, **labels: str) -> float | None:
        if before is None or now.at <= before.at:
            return None
        return max(0.0, (now.total(name, **labels) - before.total(name, **labels)) / (now.at - before.at))

    told: dict[str, object] = {
        "cpu": rate("process_cpu_seconds_total"),
        "memory": int(now.total("process_resident_memory_bytes")),
    }
    if stage == "api":
        statuses = {labels["status"] for labels, _ in now.samples.get("http_requests_total", ())}
        failed = sorted(status for status in statuses if status >= "500")
        told |= {
            "into": rate("http_requests_total"),
            "rejected": _sum([0.0 if before else None, *(rate("http_requests_total", status=one) for one in failed)]),
        }
    elif stage != "scheduler":
        told |= {
            "into": rate("gigz_messages_consumed_total"),
            "out": rate("gigz_rows_written_total" if stage in SINKS else "gigz_messages_produced_total"),
            "rejected": rate("gigz_messages_rejected_total"),
            "lag": int(now.total("gigz_lag_messages")),
            "lag_s": now.most("gigz_lag_seconds"),
            "commit_s": now.most("gigz_commit_age_seconds"),
            "partitions": None if stage == "relay" else int(now.total("gigz_partitions_assigned")),
        }
    return Row(**(vars(row) | told))


def by_stage(rows: Sequence[Row], relayed: Mapping[str, float]) -> list[Row]:
    """One row for each stage: sums, of ages the largest, of states the worst; in the order of the flow.

    `relayed`: see `published`; what a stage wrote to the outbox counts as its own when Kafka has it.
    """
    worst = (OK, STARTS, WAITS, SILENT, FROZEN, STUCK, DOWN)
    found = []
    for stage in dict.fromkeys(row.stage for row in sorted(rows, key=place)):
        own = [row for row in rows if row.stage == stage]
        out = _sum(row.out for row in own)
        through = {topic.name for one in THROUGH_OUTBOX.get(stage, ()) for topic in written_by(one)}
        if through and any(row.into is not None for row in own):
            out = (out or 0.0) + sum(relayed.get(topic, 0.0) for topic in through)
        found.append(
            Row(
                own[0].name if len(own) == 1 else stage,
                stage,
                len(own),
                max((row.state for row in own), key=worst.index),
                _sum(row.into for row in own),
                out,
                _sum(row.rejected for row in own),
                _whole(row.lag for row in own),
                _most(row.lag_s for row in own),
                _most(row.commit_s for row in own),
                _whole(row.partitions for row in own),
                _sum(row.cpu for row in own),
                sum(row.memory for row in own),
                own[0].address if len(own) == 1 else "",
                own[0].pid if len(own) == 1 else 0,
                min(row.since for row in own),
                tuple(problem for row in own for problem in row.problems),
            )
        )
    return found


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _whole(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _most(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None
