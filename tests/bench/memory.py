"""What each worker keeps in memory while messages pass through it, by the hundred thousand.

Everything runs; listings are sent as fast as the slowest stage takes them, until every worker has taken so many. Memory
is the resident set. The figure is growth: the median of the second half of a worker's messages against that of its
first half, the first tenth aside, in which caches fill.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import psutil
from aiokafka import TopicPartition

from deploy.clients import kafka_consumer, kafka_producer, publish
from deploy.feed import feed
from deploy.flow import CONSUMERS, PUBLISHED, WORKER_OF, Lag, gauge
from deploy.local import workers
from deploy.settings import Settings
from schemas.raw import RawEvent
from tests.bench.frameworks import OURS, STAGES
from tests.bench.inputs import entries, listings
from tests.bench.latency import as_record
from tests.bench.measuring import engines, lines
from tests.bench.weighing import weigh

AT_ONCE = 2_000
FULL = 20_000
"""Messages waiting before one stage: no more are sent."""
LOOK_S = 5.0
SETTLED = 0.1
MOST_SAMPLES = 240
ENTRIES = 0.05
"""Of users, for each message."""
NAMES = (*(f"{stage}-1" for stage in STAGES), *OURS)


def taken(lag: Lag, published: int) -> dict[str, int]:
    """Messages by worker. For the relay, those on the topics that it writes: it reads a table."""
    done = dict.fromkeys(NAMES, 0) | {"relay-1": published}
    for stage in CONSUMERS:
        done[f"{WORKER_OF.get(stage, stage)}-1"] += lag.done[stage]
    return done


async def _measured(settings: Settings, messages: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    processes = {name: psutil.Process(workers.start_worker(settings, name).pid) for name in NAMES}
    with lines(entries(int(ENTRIES * messages))) as file:
        await feed(settings, [file], "history")
    rows, samples, began, told = listings(10**9), list[dict[str, Any]](), time.monotonic(), 0
    relayed = [TopicPartition(topic, p) for topic in PUBLISHED for p in range(settings.partitions)]
    async with (
        gauge(settings) as reading,
        kafka_consumer(settings, (), None) as consumer,
        kafka_producer(settings, "gigz-bench") as producer,
    ):
        while True:
            lag = await reading.lag()
            done = taken(lag, sum((await consumer.end_offsets(relayed)).values()))
            workers.alive(settings, list(NAMES))
            if not samples or time.monotonic() - began - samples[-1]["seconds"] >= LOOK_S:
                memory = {name: process.memory_info().rss / 1e6 for name, process in processes.items()}
                samples.append({"seconds": time.monotonic() - began, "taken": done, "mb": memory})
            if min(done.values()) >= told + messages // 10:
                told = min(done.values())
                say(f"{time.monotonic() - began:6,.0f} s  every worker has taken {told:,} messages")
            if min(done.values()) >= messages:
                return samples
            if max(*lag.waiting.values(), lag.outbox) < FULL:
                some = [as_record(row, RawEvent) for row in islice(rows, AT_ONCE)]
                await publish(producer, some, settings.partitions)
            else:
                await asyncio.sleep(LOOK_S / 5)


def measure(messages: int, say: Callable[[str], None]) -> dict[str, Any]:
    """On engines of its own."""
    with engines() as settings:
        samples = asyncio.run(_measured(settings, messages, say))
        weights = asyncio.run(weigh(settings))
    found = {"messages": messages, "samples": thinned(samples), "bytes": weights}
    for name in NAMES:
        first, second = halves(samples, name)
        say(f"{name:18} {first:6.0f} MB, then {second:6.0f} MB: {100 * (second / first - 1):+.1f} %")
    return found


def thinned(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many as a chart can show, the last one among them."""
    every = -(-len(samples) // MOST_SAMPLES)
    return samples[::-1][::every][::-1]


def halves(samples: list[Mapping[str, Any]] | list[dict[str, Any]], name: str) -> tuple[float, float]:
    """Medians of a worker's memory in MB in the first half of its messages, the first tenth aside, and the second."""
    most = samples[-1]["taken"][name]
    first = [one["mb"][name] for one in samples if SETTLED * most <= one["taken"][name] < most / 2]
    second = [one["mb"][name] for one in samples if one["taken"][name] >= most / 2]
    return statistics.median(first or second), statistics.median(second)
