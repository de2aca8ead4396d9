"""A run that takes more and more memory: python -m tests.spiders.greedy RUN MEGABYTES_A_SECOND"""

import asyncio
import sys
from uuid import UUID

from deploy.clients import postgres_engine
from deploy.settings import current
from spiders import runs
from spiders.errand import Errand
from spiders.formats.base import utc_now
from spiders.runs import Run


async def grow(run_id: UUID, megabytes: int) -> None:
    """Until someone ends it."""
    settings = current()
    engine = postgres_engine(settings, pool_size=1)
    run = Run(run_id, "venues", "greedy", "venues", "https://a.example", Errand(), utc_now())
    await runs.begin(engine, run)
    held = []
    async with runs.beating(engine, settings, run, dict, lambda why: None):
        while True:
            held.append(bytearray(b"x" * (megabytes * 100_000)))
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(grow(UUID(sys.argv[1]), int(sys.argv[2])))
