"""`python -m tests.bench.peers.arroyo_peer STAGE`: a stage in arroyo, until SIGTERM."""

import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

from arroyo.backends.kafka.configuration import build_kafka_consumer_configuration
from arroyo.backends.kafka.consumer import KafkaConsumer, KafkaPayload
from arroyo.commit import CommitPolicy
from arroyo.processing.processor import StreamProcessor
from arroyo.processing.strategies import CommitOffsets, RunTask
from arroyo.processing.strategies.abstract import ProcessingStrategy, ProcessingStrategyFactory
from arroyo.processing.strategies.batching import BatchStep, ValuesBatch
from arroyo.types import Commit, Message, Partition, Topic

from deploy.clients import bootstrap
from deploy.settings import Settings, current
from tests.bench.peers.work import BATCH, LINGER_S, Work, as_record, topics_of


class Steps(ProcessingStrategyFactory[KafkaPayload]):
    """Batch, work, commit."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def create_with_partitions(
        self, commit: Commit, partitions: Mapping[Partition, int]
    ) -> ProcessingStrategy[KafkaPayload]:
        """For what this member was given."""
        return BatchStep(BATCH, LINGER_S, RunTask(self._do, CommitOffsets(commit)))

    def _do(self, message: Message[ValuesBatch[KafkaPayload]]) -> None:
        self._work.do(
            [
                as_record(
                    self._work.topic,
                    value.partition.index,
                    value.offset,
                    value.payload.key,
                    value.payload.value,
                    value.payload.headers,
                )
                for value in message.payload
            ]
        )


def processor(settings: Settings, stage: str, topic: str) -> StreamProcessor[KafkaPayload]:
    """Of one topic."""
    configuration: Any = build_kafka_consumer_configuration(
        {},
        group_id=f"gigz-{stage}",
        auto_offset_reset="earliest",
        bootstrap_servers=bootstrap(settings).split(","),
        strict_offset_reset=False,
    )
    steps = Steps(Work(settings, stage, topic))
    return StreamProcessor(KafkaConsumer(configuration), Topic(topic), steps, CommitPolicy(0.5, None))


def main() -> None:
    """A thread for each topic, as a Faust worker has an agent for each."""
    settings, stage = current(), sys.argv[1]
    processors = [processor(settings, stage, topic) for topic in topics_of(stage)]
    threads = [threading.Thread(target=one.run) for one in processors]

    def stop(*_: Any) -> None:
        for one in processors:
            one.signal_shutdown()

    signal.signal(signal.SIGTERM, stop)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
