"""`gigz topics apply`: the broker's topics made equal to the one table in `schemas/topics.py`.

Errors
    TopicError    a topic has fewer partitions than the table says, or the broker refused: names topic and remedy
"""

import asyncio
import time
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from deploy.clients import kafka_admin
from deploy.settings import Settings
from schemas.topics import TOPICS, Topic

VISIBLE_S = 30.0
"""How long a new topic may take until the brokers tell of all its partitions."""


class TopicError(Exception):
    """The topics cannot be made what the table says."""


@dataclass(frozen=True)
class Applied:
    """What was done."""

    created: tuple[str, ...]
    altered: tuple[str, ...]
    unchanged: tuple[str, ...]


async def apply_topics(settings: Settings) -> Applied:
    """Create what is missing, set what differs, never delete. TopicError when partitions differ: keys would move."""
    async with kafka_admin(settings) as admin:
        present = await _partitions(admin)
        missing = [topic for topic in TOPICS if topic.name not in present]
        for topic in TOPICS:
            found = present.get(topic.name, settings.partitions)
            if found != settings.partitions:
                raise TopicError(
                    f"{topic.name} has {found} partitions, {settings.partitions} are set. Keys would change their "
                    f"partition. Remedy: set GIGZ_PARTITIONS={found}, or copy the topic into a new one with "
                    f"{settings.partitions}."
                )
        await _create(admin, missing, settings)
        altered = await _alter(admin, [topic for topic in TOPICS if topic not in missing])
        await _until_visible(admin, settings.partitions)
    made = tuple(topic.name for topic in missing)
    return Applied(made, altered, tuple(t.name for t in TOPICS if t.name not in {*made, *altered}))


async def _partitions(admin: AIOKafkaAdminClient) -> dict[str, int]:
    names = set(await admin.list_topics()) & {topic.name for topic in TOPICS}
    if not names:
        return {}
    return {told["topic"]: len(told["partitions"]) for told in await admin.describe_topics(sorted(names))}


async def _create(admin: AIOKafkaAdminClient, topics: list[Topic], settings: Settings) -> None:
    if not topics:
        return
    answer = await admin.create_topics(
        [
            NewTopic(topic.name, settings.partitions, settings.replication_factor, topic_configs=topic.config)
            for topic in topics
        ]
    )
    for name, code, *text in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:  # another `apply` may have been quicker
            raise TopicError(f"{name}: {error.__name__}: {' '.join(str(t) for t in text if t)}")


async def _alter(admin: AIOKafkaAdminClient, topics: list[Topic]) -> tuple[str, ...]:
    if not topics:
        return ()
    wanted = {topic.name: topic.config for topic in topics}
    differing = []
    for response in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in wanted]):
        for resource in response.resources:
            name, entries = resource[3], resource[4]
            found = {entry[0]: entry[1] for entry in entries}
            if any(found.get(option) != value for option, value in wanted[name].items()):
                differing.append(name)
    for name in differing:
        try:
            answer = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=wanted[name])])
        except KafkaError as error:
            raise TopicError(f"{name}: {error}") from error
        for code, text, *_ in (resource for response in answer for resource in response.resources):
            if code:
                raise TopicError(f"{name}: {for_code(code).__name__}: {text}")
    return tuple(sorted(differing))


async def _until_visible(admin: AIOKafkaAdminClient, partitions: int) -> None:
    deadline = time.monotonic() + VISIBLE_S
    while True:
        found = await _partitions(admin)
        waiting = [topic.name for topic in TOPICS if found.get(topic.name) != partitions]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise TopicError(f"the broker does not show {', '.join(waiting)} after {VISIBLE_S:.0f} s")
        await asyncio.sleep(0.1)
