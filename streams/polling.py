"""Faust's consumer stays in its group while a store is away, and never passes over messages that are gone.

Polls    When the buffers of all partitions are full, Faust neither fetches nor polls: after the poll interval aiokafka
         takes the member for hung and begins a rebalance, again and again while the store is away. Here the consumer is
         told that it lives as often as needed, while its partitions stay paused and their messages stay in the buffers.
         A stage that hangs is ended by its own deadline, and one that gets nowhere is seen by its commit.
Offsets  Faust has one rule for a new group and for an offset that is out of range. `deploy.inputs` has two.

Written against faust-streaming 0.15.3 and aiokafka 0.14.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from aiokafka import TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP
from mode import Service, get_logger

from deploy.inputs import InputGone, Reading
from streams.fastpath import SteadyConsumer, SteadyTransport

LONGEST_SILENCE_S = 1.0


class PollingThread(AIOKafkaConsumerThread):
    """The thread that owns the connection."""

    reading: Reading | None = None
    logger = get_logger("faust.streams")

    async def on_start(self) -> None:
        """Connect; the rules of reading go around every fetch."""
        await super().on_start()
        self.reading = cast(PollingTransport, self.transport).reading(self)

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - the library's
        max_records: int | None = None,
    ) -> Any:
        fetch = super()._fetch_records
        assert self.reading is not None
        try:
            return await self.reading.poll(lambda: fetch(consumer, active_partitions, timeout, max_records))
        except InputGone as error:
            told = cast(PollingTransport, self.transport).told
            if told is None:
                raise
            told(error)
            return {}

    async def lives(self) -> None:
        """As a poll that finds nothing."""
        if self._consumer is not None:
            with self._consumer._subscription.fetch_context():
                pass


class PollingConsumer(SteadyConsumer):
    """The consumer that a stage has."""

    logger = get_logger("faust.streams")

    def _new_consumer_thread(self) -> PollingThread:
        return PollingThread(self, loop=self.loop, beacon=self.beacon)

    @Service.task
    async def _stay_in_the_group(self) -> None:
        every = min(LONGEST_SILENCE_S, self.app.conf.broker_max_poll_interval / 4)
        while not self.should_stop:
            await self.sleep(every)
            thread = cast(PollingThread, self._thread)
            if not self.should_stop and thread._consumer is not None:
                await thread.call_thread(thread.lives)

    async def verify_all_partitions_active(self) -> None:
        """Nothing: `deploy.progress` sees a commit that stands still.

        The library looks for that by the positions of its partitions, and one that was given back to this member while
        the broker restarts has none yet: the look itself would end the worker.
        """

    def forget(self, part: TopicPartition) -> None:
        """The partition's offsets begin anew: what was acknowledged before has no meaning any more."""
        at = TP(part.topic, part.partition)
        for memory in (self._gap, self._acked, self._acked_index, self._read_offset, self._committed_offset):
            memory.pop(at, None)


class PollingTransport(SteadyTransport):
    """Faust's transport with that consumer."""

    Consumer = PollingConsumer
    stage = ""
    instance = 1
    partitions = 1
    reset_offsets = False
    told: Callable[[InputGone], None] | None = None
    """Told, in the consumer's thread, when what was to be read is not there any more. None: it is raised."""

    def reading(self, thread: PollingThread) -> Reading:
        """The rules for this transport's consumer."""
        consumer = cast(PollingConsumer, thread.consumer)
        return Reading(
            thread._ensure_consumer(),
            self.stage,
            self.instance,
            self.partitions,
            reset=self.reset_offsets,
            forget=consumer.forget,
        )


def tells(loop: asyncio.AbstractEventLoop, fail: Callable[[BaseException], None]) -> Callable[[InputGone], None]:
    """`fail`, called in the loop where the stage lives."""

    def gone(error: InputGone) -> None:
        loop.call_soon_threadsafe(fail, error)

    return gone
