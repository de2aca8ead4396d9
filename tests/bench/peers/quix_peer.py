"""`python -m tests.bench.peers.quix_peer STAGE TOPIC`: one topic of a stage in Quix Streams, until SIGTERM.

An application of Quix reads topics in one thread and hands its sink all that lies between two checkpoints.
"""

import sys
from collections import defaultdict
from typing import Any

from quixstreams import Application
from quixstreams.sinks.base.sink import BaseSink

from deploy.clients import bootstrap
from deploy.settings import Settings, current
from streams.record import Record
from tests.bench.peers.work import BATCH, LINGER_S, Work, as_record, topics_of


class Batches(BaseSink):
    """What lies between two checkpoints, worked on before the offset moves."""

    def __init__(self, settings: Settings, stage: str) -> None:
        super().__init__()
        self._works = {topic: Work(settings, stage, topic) for topic in topics_of(stage)}
        self._records: dict[str, list[Record]] = defaultdict(list)

    def setup(self) -> None:
        """Nothing: everything is open."""

    def add(
        self,
        value: Any,
        key: Any,
        timestamp: int,
        headers: Any,
        topic: str,
        partition: int,
        offset: int,
    ) -> None:
        """One more."""
        self._records[topic].append(as_record(topic, partition, offset, key, value, headers))

    def flush(self) -> None:
        """Before the checkpoint commits."""
        for topic, records in self._records.items():
            self._works[topic].do(records)
        self._records.clear()


def main() -> None:
    """Run it."""
    settings, stage = current(), sys.argv[1]
    app = Application(
        bootstrap(settings),
        consumer_group=f"gigz-{stage}",
        auto_offset_reset="earliest",
        auto_create_topics=False,
        commit_interval=LINGER_S,
        commit_every=BATCH,
        consumer_poll_timeout=LINGER_S,
        state_dir=settings.home / "quix",
        loglevel="WARNING",
    )
    sink = Batches(settings, stage)
    for topic in topics_of(stage):
        source = app.topic(topic, key_deserializer="bytes", value_deserializer="bytes")
        app.dataframe(source).sink(sink)
    app.run()


if __name__ == "__main__":
    main()
