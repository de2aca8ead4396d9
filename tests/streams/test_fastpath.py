"""The fast path behaves as the library does, and says so when the library changes underneath."""

import asyncio
import hashlib
import importlib
import inspect
from functools import reduce
from typing import Any

import pytest
from mode import Service
from mode.services import WaitResults

from streams.fastpath import READ_FROM, SteadyConsumer


@pytest.mark.parametrize(("where", "digest"), READ_FROM.items())
def test_the_library_is_what_the_fast_path_was_written_against(where: str, digest: str) -> None:
    module, _, path = where.partition(":")
    method = reduce(getattr, path.split("."), importlib.import_module(module))
    now = hashlib.sha256(inspect.getsource(method).encode()).hexdigest()
    assert now == digest, f"{where} has changed: read it, correct streams/fastpath.py, then note {now} in READ_FROM"


class Plain(Service):
    """The library's own wait_first."""


# `super()` in SteadyConsumer.wait_first needs an instance of it: one without a broker.
def quick() -> Any:
    made = object.__new__(SteadyConsumer)
    Service.__init__(made)
    return made


@pytest.fixture(params=["library", "ours"])
async def service(request: pytest.FixtureRequest) -> Any:
    return Plain() if request.param == "library" else quick()


async def test_a_callback_that_ends_at_once_is_done(service: Any) -> None:
    done = []

    async def callback() -> str:
        done.append(1)
        return "put"

    found: WaitResults = await service.wait_first(callback(), asyncio.Event().wait())
    assert done == [1] and found.results[0] == "put" and not found.stopped


async def test_a_callback_that_blocks_goes_on_where_it_stood(service: Any) -> None:
    gate, steps = asyncio.Event(), []

    async def callback() -> str:
        steps.append("begun")
        await gate.wait()
        steps.append("on")
        await asyncio.sleep(0.001)
        return "put"

    asyncio.get_running_loop().call_later(0.01, gate.set)
    found = await service.wait_first(callback(), asyncio.Event().wait())
    assert steps == ["begun", "on"] and found.results == ["put"]


async def test_a_suspension_ends_a_callback_that_blocks(service: Any) -> None:
    suspend, ended = asyncio.Event(), []

    async def callback() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    asyncio.get_running_loop().call_later(0.01, suspend.set)
    await service.wait_first(callback(), suspend.wait())
    await asyncio.sleep(0)
    assert ended == [1]


@pytest.mark.parametrize("blocks", [False, True])
async def test_an_error_of_the_callback_is_raised(service: Any, blocks: bool) -> None:
    async def callback() -> None:
        if blocks:
            await asyncio.sleep(0.001)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await service.wait_first(callback(), asyncio.Event().wait())


async def test_a_halted_consumer_commits_nothing() -> None:
    consumer = quick()
    consumer.halted = True
    assert await consumer._commit_offsets({("topic", 0): 5}) is False
