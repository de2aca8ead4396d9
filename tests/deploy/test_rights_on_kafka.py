"""A real broker with TLS, passwords and ACLs: a process may do what `deploy.rights` says, and is refused the rest."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from deploy.rights import APP_BACKENDS, PROCESSES, Rights, rights_of
from schemas.topics import BY_NAME, TOPICS
from tests.deploy.guarded import OPERATOR, Guarded, grant, guarded_kafka

pytestmark = [pytest.mark.stack, pytest.mark.long]
USERS = {process.replace(" ", "-"): rights_of(process) for process in PROCESSES}
REFUSED = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)
FORCE_S = 20.0
"""Until rights that were given are in force: milliseconds as a rule."""


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Every topic with a message in it, every user with its rights."""
    with guarded_kafka(tmp_path_factory.mktemp("guarded"), USERS) as broker:
        asyncio.run(_fill(broker))
        yield broker


async def _fill(broker: Guarded) -> None:
    async with admin_as(broker, OPERATOR) as admin:
        made = await admin.create_topics([NewTopic(topic.name, 1, 1, topic_configs=topic.config) for topic in TOPICS])
        assert [code for _, code, *_ in made.topic_errors if code] == []
        await grant(admin, USERS)
    async with producer_as(broker, OPERATOR) as producer:
        for name in BY_NAME:
            await producer.send_and_wait(name, b"{}", key=b"k", partition=0)
    async with asyncio.timeout(FORCE_S):
        for user, rights in USERS.items():
            async with admin_as(broker, user) as admin:
                seen = rights.read | rights.write | rights.describe
                while set(await admin.list_topics()) != seen:  # noqa: ASYNC110 - another process decides
                    await asyncio.sleep(0.1)


@asynccontextmanager
async def admin_as(broker: Guarded, user: str, password: str | None = None) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**broker.as_user(user, password), request_timeout_ms=10_000)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def producer_as(broker: Guarded, user: str) -> AsyncIterator[AIOKafkaProducer]:
    """As `deploy.clients` makes it: idempotent, acks=all."""
    producer = AIOKafkaProducer(**broker.as_user(user), acks="all", enable_idempotence=True, request_timeout_ms=10_000)
    try:
        await producer.start()
        yield producer
    finally:
        with suppress(TimeoutError, KafkaError):
            await asyncio.wait_for(producer.stop(), 5)


async def may_write(broker: Guarded, user: str, topic: str) -> bool:
    """A producer of its own for each: one that was refused once is spent."""
    try:
        async with producer_as(broker, user) as producer, asyncio.timeout(10):
            await producer.send_and_wait(topic, b"{}", key=b"k", partition=0)
    except REFUSED:
        return False
    return True


async def may_read(broker: Guarded, user: str, topic: str) -> bool:
    """Whether its oldest message is handed out. Without a group: those are looked at apart."""
    consumer = AIOKafkaConsumer(**broker.as_user(user), enable_auto_commit=False, request_timeout_ms=10_000)
    at = TopicPartition(topic, 0)
    try:
        await consumer.start()
        async with asyncio.timeout(10):
            consumer.assign([at])
            consumer.seek(at, 0)
            return bool((await consumer.getmany(at, timeout_ms=5_000)).get(at))
    except REFUSED:
        return False
    finally:
        await consumer.stop()


async def may_join(broker: Guarded, user: str, group: str, topic: str) -> bool:
    consumer = AIOKafkaConsumer(
        topic, **broker.as_user(user), group_id=group, enable_auto_commit=False, request_timeout_ms=10_000
    )
    try:
        async with asyncio.timeout(20):
            await consumer.start()
            while not consumer.assignment():  # noqa: ASYNC110 - the coordinator decides
                await asyncio.sleep(0.1)
            await consumer.commit(dict.fromkeys(consumer.assignment(), 0))
    except GroupAuthorizationFailedError:
        return False
    finally:
        await consumer.stop()
    return True


@pytest.mark.parametrize("user", USERS)
async def test_a_process_writes_its_own_topics_and_is_refused_every_other(kafka: Guarded, user: str) -> None:
    asked = sorted(BY_NAME) if user in {"normalise", "relay", "api"} else _some(USERS[user], USERS[user].write)
    told = await asyncio.gather(*(may_write(kafka, user, name) for name in asked))
    assert {name for name, may in zip(asked, told, strict=True) if may} == USERS[user].write & set(asked)


@pytest.mark.parametrize("user", [user for user in USERS if user not in {"relay", "api"}])
async def test_a_process_reads_its_own_topics_and_is_refused_every_other(kafka: Guarded, user: str) -> None:
    asked = _some(USERS[user], USERS[user].read)
    told = await asyncio.gather(*(may_read(kafka, user, name) for name in sorted(USERS[user].read & set(asked))))
    assert all(told)
    for name in set(asked) - USERS[user].read:
        if name in USERS[user].write | USERS[user].describe:  # of the others it does not even see that they are there
            assert not await may_read(kafka, user, name), name


def _some(rights: Rights, own: frozenset[str]) -> list[str]:
    """All of its own, and of the others those that would hurt most."""
    return sorted(own | {"gigz.suggestion.v1", "gigz.decision.v1", "gigz.history.v1"} | rights.describe)


async def test_who_may_not_touch_a_topic_does_not_learn_that_it_is_there(kafka: Guarded) -> None:
    for user, rights in USERS.items():
        async with admin_as(kafka, user) as admin:
            assert set(await admin.list_topics()) == rights.read | rights.write | rights.describe, user


async def test_a_process_joins_its_own_group_and_no_other(kafka: Guarded) -> None:
    assert await may_join(kafka, "resolve", "gigz-resolve", "gigz.listing.v1")
    assert await may_join(kafka, "sink-clickhouse", "gigz-rebuild-clickhouse", "gigz.listing.v1")
    assert not await may_join(kafka, "resolve", "gigz-sink-clickhouse", "gigz.listing.v1")
    assert not await may_join(kafka, "match", "gigz-resolve", "gigz.concert.v1")


async def test_nobody_but_an_operator_makes_or_removes_topics(kafka: Guarded) -> None:
    for user in ("relay", "scheduler", APP_BACKENDS.replace(" ", "-")):
        async with admin_as(kafka, user) as admin:
            answer = await admin.create_topics([NewTopic("gigz.other.v1", 1, 1)])
            assert answer.topic_errors[0][1] != 0, user
            gone = await admin.delete_topics(["gigz.concert.v1"])
            assert gone.topic_error_codes[0][1] != 0, user
    async with admin_as(kafka, OPERATOR) as admin:
        assert "gigz.concert.v1" in await admin.list_topics()


async def test_a_wrong_password_is_no_way_in(kafka: Guarded) -> None:
    with pytest.raises(KafkaConnectionError):
        async with admin_as(kafka, "relay", "guessed"):
            pass
