"""Faust's own look at its partitions ends a worker that has just got one back from a broker that restarts."""

from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.subscription_state import SubscriptionState
from faust.transport.drivers.aiokafka import Consumer

from deploy.settings import load
from streams.app import make_app
from streams.polling import PollingConsumer

AT = TopicPartition("gigz.listing.v1", 0)


@pytest.fixture
async def consumer(tmp_path: Path) -> AsyncIterator[Any]:
    """A stage's consumer as a long restart leaves it: fetched before, assigned anew, with no position yet."""
    app = make_app(load({"home": tmp_path, "kafka_url": "localhost:1"}), "resolve", 1)
    made = app.consumer
    assert isinstance(made, PollingConsumer)
    subscriptions = SubscriptionState()
    subscriptions.assign_from_user({AT})
    state = subscriptions.subscription.assignment.state_value(AT)
    state.timestamp, state.highwater = monotonic() * 1000, 80
    assert not state.has_valid_position
    fetcher = SimpleNamespace(_subscriptions=subscriptions)
    made._thread._consumer = SimpleNamespace(_fetcher=fetcher, assignment=lambda: {AT})
    made._thread.time_started = monotonic() - 3_600
    yield made
    made._thread.thread_loop.close()


async def test_a_partition_without_a_position_after_a_broker_was_away_does_not_end_the_worker(consumer: Any) -> None:
    await consumer.verify_all_partitions_active()


async def test_the_librarys_own_look_would_end_it(consumer: Any) -> None:
    """When this no longer fails, the library is mended: take our own `verify_all_partitions_active` away."""
    with pytest.raises(AssertionError):
        await Consumer.verify_all_partitions_active(consumer)
