"""What a rebuild leaves for whoever comes after it, should it be killed between its swap and its last pass.

Before the swap it notes where that pass begins; after the pass it takes the note back. A sink that finds a note when it
starts does the pass first. Until then `gigz reconcile` tells of it. ClickHouse and Meilisearch only: Postgres has the
pass and the swap in one transaction.

The note is the commit of a group that nobody joins, so it is in Kafka, where the messages are. A broker forgets such
commits after a week (`offsets.retention.minutes`); `gigz reconcile` finds what differs without it.
"""

from collections.abc import Mapping
from typing import Literal

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata
from sqlalchemy.exc import DBAPIError

from deploy.clients import kafka_admin, kafka_consumer
from deploy.flow import commits_of
from deploy.settings import Settings
from schemas.topics import read_by
from sinks.postgres import store_error
from sinks.pump import Sink

What = Literal["clickhouse", "catalogue", "meilisearch"]
"""What can be rebuilt."""
PASSED_OVER: tuple[What, ...] = ("clickhouse", "meilisearch")
"""Stores whose swap leaves out what the sink writes in that moment."""
PENDING, DONE = "pass begins here", "done"
PASSES = 5
"""Each over what came during the one before."""
Mark = Mapping[TopicPartition, int]
"""Offset of the first message of the pass."""


async def note(settings: Settings, what: What, mark: Mark) -> None:
    """Before the swap. An older note of a pass that nobody did stays as far back as it is."""
    before = await noted(settings, what)
    await _commit(
        settings, what, {part: min(offset, before.get(part, offset)) for part, offset in mark.items()}, PENDING
    )


async def forget(settings: Settings, what: What, mark: Mark) -> None:
    """After the pass."""
    await _commit(settings, what, mark, DONE)


async def noted(settings: Settings, what: What) -> dict[TopicPartition, int]:
    """Where a pass that nobody did begins; empty when there is none."""
    async with kafka_admin(settings) as admin:
        commits = await commits_of(admin, _group(what))
    return {part: commit.offset for part, commit in commits.items() if commit.metadata == PENDING}


async def left_over(settings: Settings, what: What) -> bool:
    """Whether a rebuild left a pass that nobody is about to do."""
    if not await noted(settings, what):
        return False
    from sinks.rebuild import RebuildFailed, alone

    try:
        async with alone(settings, what):
            return bool(await noted(settings, what))
    except RebuildFailed:  # it runs, and does the pass itself
        return False


async def finish(settings: Settings, what: What, sink: Sink) -> int | None:
    """Do the pass of a rebuild that was broken off, by this sink; messages, None: there is none to do here.

    A rebuild that still runs, or another sink that starts, has the lock, and does it itself. StoreError.
    """
    mark = await noted(settings, what)
    if not mark:
        return None
    from sinks.rebuild import Fill, RebuildFailed, alone

    topics = tuple(topic.name for topic in read_by(f"sink-{sink.store}"))
    try:
        async with alone(settings, what), kafka_consumer(settings, (), None) as consumer:
            fill = Fill(consumer, sink, topics, settings.partitions, upto=dict(mark))
            for _ in range(PASSES):
                if not await fill.catch_up():
                    break
            await forget(settings, what, mark)
            return fill.messages
    except RebuildFailed:
        return None
    except DBAPIError as error:
        raise store_error(error) from error


async def _commit(settings: Settings, what: What, mark: Mark, told: str) -> None:
    async with kafka_consumer(settings, (), _group(what)) as consumer:
        consumer.assign(list(mark))
        await consumer.commit({part: OffsetAndMetadata(offset, told) for part, offset in mark.items()})


def _group(what: What) -> str:
    return f"gigz-rebuild-{what}"
