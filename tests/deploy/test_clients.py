"""What every client has in common."""

import asyncio
import contextlib
import gc
import warnings
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from aiokafka.codec import lz4_encode
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from deploy.clients import LZ4_LEVEL, kafka_admin, kafka_consumer, kafka_producer
from deploy.settings import Settings, load

LISTING = b'{"artist":"Owl","date":"2014-11-14","venue":"Grosse Freiheit","songs":["One","Two","Three"],"n":%d}'


def built() -> bytes:
    """A batch as a producer closes it."""
    builder = DefaultRecordBatchBuilder(2, DefaultRecordBatch.CODEC_LZ4, 0, -1, -1, 0, 131_072)
    for n in range(300):
        assert builder.append(n, 0, b"key%d" % n, LISTING % (n * 7919), [])
    return bytes(builder.build())


def test_producers_compress_at_the_fast_level_of_lz4(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = built()
    monkeypatch.setattr(lz4_encode, "__defaults__", (9,))
    slow = built()
    assert len(slow) < len(ours), "level 9 makes nothing smaller: is it another library's?"
    monkeypatch.setattr(lz4_encode, "__defaults__", (LZ4_LEVEL,))
    assert built() == ours
    assert [record.value for record in DefaultRecordBatch(ours)] == [LISTING % (n * 7919) for n in range(300)]


OPEN: dict[str, Callable[[Settings], AbstractAsyncContextManager[Any]]] = {
    "producer": lambda settings: kafka_producer(settings, "test"),
    "consumer": lambda settings: kafka_consumer(settings, (), None),
    "admin": kafka_admin,
}


@pytest.mark.network
@pytest.mark.parametrize("kind", OPEN)
def test_a_client_of_kafka_that_is_cancelled_in_the_middle_of_its_start_leaves_nothing_open(kind: str) -> None:
    """Nobody would close it, and whoever runs when it is collected would be told."""
    connected = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()  # to the end of the connection
        writer.close()

    async def cancelled() -> None:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        _, port = server.sockets[0].getsockname()
        settings = load({"kafka_url": f"127.0.0.1:{port}"})

        async def use() -> None:
            async with OPEN[kind](settings):
                raise AssertionError("nobody answered")

        using = asyncio.create_task(use())
        await connected.wait()
        await asyncio.sleep(0.1)
        using.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await using
        server.close()
        await asyncio.sleep(0.1)

    gc.collect()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        asyncio.run(cancelled())
        gc.collect()
    assert [str(one.message) for one in told if one.category is ResourceWarning] == []
