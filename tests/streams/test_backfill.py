"""A backfill is handled in slices that end soon, each behind what is live."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.settings import load
from schemas.history import BackfilledEntry, Entry
from schemas.outgoing import Outgoing
from streams import stage as frames
from streams.record import Record
from streams.stage import SLICE_S, SMALLEST_SLICE, Frame, Slices
from tests.streams.support import clock, entry


def test_a_slice_has_as_many_messages_as_take_their_time() -> None:
    slices = Slices(most=125)
    assert slices.size == SMALLEST_SLICE
    slices.took(SMALLEST_SLICE, SLICE_S / 100)
    assert slices.size == 2 * SMALLEST_SLICE, "not at once as many as one quick slice would allow"
    for _ in range(5):
        slices.took(slices.size, SLICE_S / 100)
    assert slices.size == 125
    slices.took(125, 5 * SLICE_S)
    assert slices.size == 25
    slices.took(25, 100 * SLICE_S)
    assert slices.size == SMALLEST_SLICE
    few = Slices(most=5)
    few.took(5, SLICE_S)
    assert few.size == 5


class Stream:
    """As much of Faust's as the frame asks of it."""

    def __init__(self) -> None:
        self.channel = SimpleNamespace(queue=asyncio.Queue())
        self.acknowledged: list[int] = []

    async def noack_take(self, size: int, within: float) -> AsyncIterator[list[Any]]:
        while True:
            events = [await self.channel.queue.get()]
            while len(events) < size and not self.channel.queue.empty():
                events.append(self.channel.queue.get_nowait())
            yield events

    async def ack(self, event: Any) -> None:
        self.acknowledged.append(event.message.offset)

    def send(self, message: Entry, offset: int) -> None:
        self.channel.queue.put_nowait(
            SimpleNamespace(
                message=SimpleNamespace(
                    topic=message.topic,
                    partition=0,
                    offset=offset,
                    key=message.key.encode(),
                    value=message.to_bytes(),
                    headers=[],
                    timestamp=1.0,
                )
            )
        )


class App:
    """Keeps the agents."""

    def __init__(self) -> None:
        self.agents: dict[str, Callable[[Any], Awaitable[None]]] = {}

    def topic(self, name: str, **_: Any) -> str:
        return name

    def agent(self, topic: str, **_: Any) -> Callable[[Any], Any]:
        return lambda made: self.agents.setdefault(topic, made)


async def test_a_live_message_waits_for_one_slice_of_a_backfill_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    async def published(_: object, records: Sequence[Outgoing], __: int) -> int:
        return len(records)

    monkeypatch.setattr(frames, "publish", published)
    settings = load({"kafka_url": "localhost:1", "postgres_url": "postgresql://u:p@localhost:1/db"})
    frame, app = Frame(settings, "match", None, clock), App()
    live, backfill = Stream(), Stream()
    done: list[str] = []

    async def handle(batch: Sequence[Record]) -> list[Outgoing]:
        kind = "backfill" if batch[0].origin.topic == BackfilledEntry.topic else "live"
        await asyncio.sleep(0.01)
        done.append(f"{kind} {len(batch)}")
        if kind == "backfill" and len(done) == 2:
            for offset in range(3):
                live.send(entry("u", f"l{offset}"), offset)
        return []

    frame.read(app, Entry.topic, handle)
    frame.read(app, BackfilledEntry.topic, handle, backfill=True)
    some = BackfilledEntry.model_validate(entry("new", "b").model_dump(by_alias=True))
    for offset in range(300):
        backfill.send(some, offset)
    running = [asyncio.ensure_future(app.agents[Entry.topic](live))]
    running += [asyncio.ensure_future(app.agents[BackfilledEntry.topic](backfill))]
    async with asyncio.timeout(20):
        while len(backfill.acknowledged) < 300 or len(live.acknowledged) < 3:  # noqa: ASYNC110 - the stream's list
            await asyncio.sleep(0.01)
    for task in running:
        task.cancel()
    assert backfill.acknowledged == list(range(300))
    assert done[:3] == ["backfill 16", "backfill 32", "live 3"], "the third slice waited"
    assert max(int(one.split()[1]) for one in done) <= settings.batch_size // 4
