"""A stack for the sinks alone: what they count, no other test may add to."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import stack as local_stack
from deploy.migrate import migrate_stores
from deploy.settings import Settings, load
from deploy.topics import apply_topics
from tests.support import ANY_FREE_PORTS, open_network


@pytest.fixture(scope="module")
def laid() -> Iterator[Settings]:
    """Engines with topics and tables; few partitions, short waits."""
    home = Path(tempfile.mkdtemp(prefix="gigz-sinks-")).resolve()
    short = {"partitions": 6, "sink_linger_s": 0.2, "retry_deadline_s": 60, "session_timeout_s": 10}
    settings = load({"home": home, **ANY_FREE_PORTS, **short})
    try:
        with open_network():
            local_stack.up(settings)
        asyncio.run(apply_topics(settings))
        migrate_stores(settings)
        yield settings
    finally:
        local_stack.down(settings)
        shutil.rmtree(home, ignore_errors=True)
