"""What a worker does when it is told to stop."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from streams.fastpath import SteadyConsumer
from streams.main import take_apart
from streams.stage import Frame


class Committing(SteadyConsumer):
    """Faust's own `commit`, around one that takes as long as the test likes."""

    def __init__(self) -> None:
        self.app = SimpleNamespace(client_only=False, stop=self.nothing)
        self._commit_fut = None
        self.loop = asyncio.get_running_loop()
        self.acknowledged, self.committed = 1, 0
        self.slow = asyncio.Event()

    async def nothing(self) -> None:
        """There is no worker."""

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """What was acknowledged when it began."""
        seen = self.acknowledged
        await self.slow.wait()
        self.committed = max(self.committed, seen)
        return True


async def test_the_last_batch_is_committed_though_a_commit_of_before_is_under_way() -> None:
    consumer = Committing()
    before = asyncio.create_task(consumer.commit())
    await asyncio.sleep(0)
    consumer.acknowledged = 2  # the batch that a stop waits for
    idle = asyncio.Event()
    idle.set()
    app = SimpleNamespace(consumer=consumer, stop=consumer.nothing)
    stopping = asyncio.create_task(take_apart(cast(Frame, SimpleNamespace(idle=idle)), app))
    await asyncio.sleep(0.01)
    consumer.slow.set()
    await asyncio.gather(before, stopping)
    assert consumer.committed == 2 and consumer.halted
