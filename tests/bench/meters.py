"""What watching costs a stage: `python -m tests.bench.meters`. No engine is needed.

A batch of 500 messages of 24 partitions, as `streams.stage` and `sinks.pump` observe it; a look at 168 partitions
(seven topics), once a second; a scrape. Each is the best of five rounds: what else the machine does makes it slower.
"""

import timeit
from types import SimpleNamespace

from prometheus_client import generate_latest

from deploy.meters import StageMeters, counted
from deploy.progress import Progress, heads_of

BATCH, PARTITIONS = 500, 24
NOON = 1_700_000_000_000
TOPICS = tuple(f"gigz.topic-{n}.v1" for n in range(7))


def batch_of(start: int) -> list[SimpleNamespace]:
    """Records of one topic, as a consumer gives them: partition by partition."""
    return [
        SimpleNamespace(topic=TOPICS[0], partition=n * PARTITIONS // BATCH, offset=start + n, timestamp=NOON)
        for n in range(BATCH)
    ]


def best_us(work: object, number: int) -> float:
    """Microseconds of one call."""
    return min(timeit.repeat(work, number=number, repeat=5)) / number * 1e6  # type: ignore[call-overload,no-any-return]


def main() -> None:
    """Print the figures."""
    meters = StageMeters("normalise", Progress(120.0))
    batch = batch_of(0)
    topics = [record.topic for record in batch]
    reasons = ["bad_date"] * 5

    def observe() -> None:
        meters.took("read", 0.01)
        meters.offsets.took(heads_of(batch))
        with meters.step("handle"):
            pass
        with meters.step("publish"):
            pass
        meters.took("commit", 0.001)
        meters.batch(counted(topics))
        meters.refused(counted(reasons))
        meters.published(counted(topics))
        meters.progress.back()
        meters.committed({(record.topic, record.partition): record.offset + 1 for record in batch[::20]})

    ends = {(topic, p): 10_000 for topic in TOPICS for p in range(PARTITIONS)}
    parts = [SimpleNamespace(topic=topic) for topic, _ in ends]

    def look() -> None:
        meters.progress.sample(meters.offsets.sample(ends, positions=ends))
        meters.holds(parts, ())

    observe(), look()
    of_batch = best_us(observe, 200)
    print(f"a batch of {BATCH}      {of_batch:8.1f} us, {of_batch / BATCH:.3f} us a message")
    print(f"a look, each second   {best_us(look, 100):8.1f} us of {len(ends)} partitions")
    page = len(generate_latest(meters.registry))
    print(f"a scrape              {best_us(lambda: generate_latest(meters.registry), 20):8.1f} us, {page:,} bytes")


if __name__ == "__main__":
    main()
