"""The outbox reaches the topics whatever happens to the relay, in the order of each key."""

import asyncio
from collections import defaultdict

import pytest
from aiokafka.errors import KafkaConnectionError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import kafka_producer
from deploy.outbox import put_in_outbox
from deploy.settings import Settings
from schemas.digest import Digest
from schemas.outgoing import Outgoing, shard_of
from schemas.rejection import Rejection
from schemas.topics import BY_NAME
from schemas.wanted import Wanted
from streams import relay as relays
from streams.main import outbox_size
from streams.relay import Relay
from tests.streams.conftest import everything_in

pytestmark = pytest.mark.stack


def numbered(topic: str, keys: list[str], times: int) -> list[Outgoing]:
    """`times` messages for each key, their number as the body, keys mixed."""
    return [Outgoing(topic, key, key, str(n).encode(), {"trace": "t"}) for n in range(times) for key in keys]


async def store(engine: AsyncEngine, records: list[Outgoing], shards: int = 8) -> None:
    async with engine.begin() as connection:
        await put_in_outbox(connection, records, shards)


async def until_empty(settings: Settings) -> None:
    async with asyncio.timeout(20):
        while await outbox_size(settings):  # noqa: ASYNC110 - looks into a table
            await asyncio.sleep(0.02)


async def bodies(settings: Settings, topic: str, keys: list[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for record in await everything_in(settings, topic):
        if record.key in keys and record.value is not None:
            found[record.key].append(int(record.value))
    return found


async def test_rows_are_published_with_key_partition_headers_and_deleted(
    settings: Settings, engine: AsyncEngine
) -> None:
    end = Outgoing(Wanted.topic, "u/gone", "u", None, {"trace": "t", "rev": "3"})
    await store(engine, [*numbered(Wanted.topic, ["r1", "r2"], 3), end])
    async with kafka_producer(settings, "relay") as producer:
        relay = Relay(settings, engine, producer)
        assert await relay.step() == 7
        await relay.close()
    assert await outbox_size(settings) == 0
    assert await bodies(settings, Wanted.topic, ["r1", "r2"]) == {"r1": [0, 1, 2], "r2": [0, 1, 2]}
    (tombstone,) = [r for r in await everything_in(settings, Wanted.topic) if r.key == "u/gone"]
    assert tombstone.value is None and tombstone.headers == {"trace": "t", "rev": "3"}


async def test_a_relay_that_dies_between_publish_and_delete_repeats_in_order(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "SHARE_EVERY_S", 0.0)
    keys = [f"dies{n}" for n in range(6)]
    await store(engine, numbered(Wanted.topic, keys, 5))

    class Died(BaseException):
        pass

    def dies(moment: str) -> None:
        if moment == "published":
            raise Died

    async with kafka_producer(settings, "relay") as producer:
        first = Relay(settings, engine, producer, shown=dies)
        with pytest.raises(Died):
            await first.step()
        await store(engine, [Outgoing(Wanted.topic, key, key, b"5", {}) for key in keys])
        await first.close()  # what the end of its process does: the session goes, and the locks with it
        second = Relay(settings, engine, producer)
        async with asyncio.timeout(20):
            while await outbox_size(settings):  # the server may still hold the dead one's locks for a moment
                await second.step()
        await second.close()
    found = await bodies(settings, Wanted.topic, keys)
    assert set(found) == set(keys)
    assert all(numbers == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5] for numbers in found.values())
    assert await outbox_size(settings) == 0


async def test_a_smaller_id_that_appears_later_is_published(settings: Settings, engine: AsyncEngine) -> None:
    """Ids are drawn before the commit: no row may be passed over because a later one was already published."""
    async with kafka_producer(settings, "relay") as producer:
        relay = Relay(settings, engine, producer)
        async with engine.connect() as slow:
            await slow.begin()
            await put_in_outbox(slow, [Outgoing(Wanted.topic, "slow", "slow", b"0", {})], 8)
            await store(engine, [Outgoing(Wanted.topic, "quick", "quick", b"0", {})])
            assert await relay.step() == 1
            await slow.commit()
        assert await relay.step() == 1
        await relay.close()
    assert await bodies(settings, Wanted.topic, ["slow", "quick"]) == {"slow": [0], "quick": [0]}


async def test_what_is_live_is_published_before_a_backfill_that_came_first(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "BACKFILL_BATCH", 20)
    monkeypatch.setattr(relays, "LAST", Digest.topic)  # nobody reads it here
    many, few = [f"import/{n}" for n in range(10)], ["live/1", "live/2"]
    await store(engine, numbered(Digest.topic, many, 3))
    await store(engine, numbered(Wanted.topic, few, 2))
    async with kafka_producer(settings, "relay") as producer:
        relay = Relay(settings, engine, producer)
        assert await relay.step() == 24
        assert await bodies(settings, Wanted.topic, few) == {key: [0, 1] for key in few}
        assert await bodies(settings, Digest.topic, many) == {key: [0, 1] for key in many}
        monkeypatch.setattr(relays, "BATCH", 2)
        await store(engine, numbered(Wanted.topic, few, 1))
        assert await relay.step() == 2, "no more than a batch, the live ones of it"
        assert await relay.step() == 2
        monkeypatch.setattr(relays, "BATCH", 100)
        assert await relay.step() == 8
        await relay.close()
    assert await bodies(settings, Digest.topic, many) == {key: [0, 1, 2] for key in many}
    assert await bodies(settings, Wanted.topic, few) == {key: [0, 1, 0] for key in few}


async def test_two_relays_share_the_shards_and_one_takes_over_from_the_dead(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "SHARE_EVERY_S", 0.0)
    keys = [f"shared{n}" for n in range(40)]
    async with kafka_producer(settings, "relay") as producer:
        one, two = Relay(settings, engine, producer), Relay(settings, engine, producer)
        await one.step()
        assert len(one.held) == 8
        for _ in range(2):
            await two.step()
            await one.step()
        assert len(one.held) == len(two.held) == 4 and not one.held & two.held
        await store(engine, numbered(Wanted.topic, keys, 3))
        await asyncio.gather(one.step(), two.step())
        assert await outbox_size(settings) == 0
        await store(engine, numbered(Wanted.topic, keys, 1))
        await one.close()
        while await two.step():
            pass
        assert len(two.held) == 8 and await outbox_size(settings) == 0
        await two.close()
    assert all(numbers == [0, 1, 2, 0] for numbers in (await bodies(settings, Wanted.topic, keys)).values())


async def test_a_message_too_large_for_its_topic_becomes_a_rejection(settings: Settings, engine: AsyncEngine) -> None:
    giant = Outgoing(Digest.topic, "giant", "giant", b"x" * BY_NAME[Digest.topic].max_bytes, {"trace": "t"})
    await store(engine, [giant, Outgoing(Digest.topic, "small", "small", b"1", {})])
    async with kafka_producer(settings, "relay") as producer:
        relay = Relay(settings, engine, producer)
        assert await relay.step() == 2
        await relay.close()
    kept = [r.key for r in await everything_in(settings, Digest.topic)]
    assert [key for key in kept if not key.startswith("import/")] == ["small"]
    (found,) = [r for r in await everything_in(settings, Rejection.topic) if r.key.startswith(Digest.topic)]
    rejection = Rejection.from_bytes(found.value)
    assert (rejection.reason, rejection.stage, rejection.original_key) == ("too_large", "relay", "giant")


async def test_a_session_that_is_cut_is_replaced_and_nothing_is_lost(settings: Settings, engine: AsyncEngine) -> None:
    keys = [f"cut{n}" for n in range(5)]
    async with kafka_producer(settings, "relay") as producer:
        stopping = asyncio.Event()
        relay = Relay(settings, engine, producer)
        running = asyncio.create_task(relay.run(stopping))
        await store(engine, numbered(Wanted.topic, keys, 4))
        await until_empty(settings)
        async with engine.connect() as connection:
            cut = (
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()"
            )
            await connection.execute(text(cut))
        await store(engine, numbered(Wanted.topic, keys, 2))
        await until_empty(settings)
        stopping.set()
        await running
    assert all(numbers == [0, 1, 2, 3, 0, 1] for numbers in (await bodies(settings, Wanted.topic, keys)).values())


async def test_rows_stay_while_kafka_refuses_them(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> int:
        raise KafkaConnectionError("no broker")

    await store(engine, numbered(Wanted.topic, ["refused"], 2))
    async with kafka_producer(settings, "relay") as producer:
        relay = Relay(settings, engine, producer)
        monkeypatch.setattr(relays, "publish", away)
        with pytest.raises(KafkaConnectionError):
            await relay.step()
        await relay.close()
    assert await outbox_size(settings) == 2
    assert {shard_of(one, 8) for one in numbered(Wanted.topic, ["refused"], 1)} <= set(range(8))
