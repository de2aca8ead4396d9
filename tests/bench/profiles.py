"""Where the time of Gigz's own stages goes: which library, or which room, held the interpreter, by sampling.

`py-spy` looks at the worker a hundred times a second from its first commit to its last, and counts only threads that
hold the interpreter's lock. A sample belongs to the first frame, from the innermost out, of a package that is named
here; what lies further in (pydantic, orjson, the standard library) worked for it.
"""

import asyncio
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from deploy.feed import feed
from deploy.local import workers
from deploy.settings import Settings
from tests.bench.frameworks import QUICK, STAGES
from tests.bench.inputs import A_SHOW, entries, listings
from tests.bench.measuring import TooLittle, backlog, drain_stage, engines, lines, skip
from tests.support import ROOT

RATE = 100
LONGEST_S = 600
OWNERS = {
    "faust": "Faust",
    "mode": "Faust",
    "aiokafka": "aiokafka",
    "sqlalchemy": "SQLAlchemy, psycopg",
    "psycopg": "SQLAlchemy, psycopg",
    "psycopg_pool": "SQLAlchemy, psycopg",
    "matchers": "Gigz: matchers",
    "streams": "Gigz: streams",
    "schemas": "Gigz: schemas",
    "deploy": "Gigz: deploy",
}
OTHER = "asyncio and the rest"


def owner_of(frames: Iterable[str]) -> str:
    """Whose time a stack is. Frames as py-spy writes them, `name (/whole/path:line)`, the outermost first."""
    for frame in reversed(list(frames)):
        path = frame.rpartition("(")[2].rpartition(":")[0]
        _, _, installed = path.partition("/site-packages/")
        package = (installed or path.removeprefix(f"{ROOT}/")).partition("/")[0]
        if package in OWNERS:
            return OWNERS[package]
    return OTHER


def shares(raw: str) -> dict[str, float]:
    """Owner -> share of the samples, from py-spy's raw output: `frame;frame;frame count`."""
    counted = Counter[str]()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        counted[owner_of(stack.split(";"))] += int(count)
    total = counted.total()
    return {owner: count / total for owner, count in counted.most_common()}


def py_spy() -> str:
    """The program. TooLittle names the remedy."""
    found = shutil.which("py-spy")
    if found is None:
        raise TooLittle("py-spy is not on the path. Remedy: `pip install py-spy` into an environment that is.")
    return found


async def _sampled(settings: Settings, stage: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="gigz-profile-") as folder:
        raw = Path(folder) / "raw"
        async with backlog(settings, stage) as waiting:
            before = await waiting()
            process = workers.start_worker(settings, f"{stage}-1")
            while await waiting() == before:  # noqa: ASYNC110 - asks Kafka
                await asyncio.sleep(0.1)
            argv = [py_spy(), "record", "--gil", "-r", str(RATE), "-d", str(LONGEST_S), "-f", "raw", "--full-filenames"]
            argv += ["-o", str(raw), "--pid", str(process.pid)]
            spy = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while await waiting():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            spy.send_signal(signal.SIGINT)  # it writes what it has seen
            await spy.wait()
        workers.stop(settings, [f"{stage}-1"])
        return shares(raw.read_text(encoding="utf-8"))


async def _measured(settings: Settings, rows: int, say: Callable[[str], None]) -> dict[str, Any]:
    found = {}
    with lines(listings(QUICK * rows)) as file:
        await feed(settings, [file], "raw-event")
    for stage in STAGES:
        if stage == "match":
            await drain_stage(settings, "relay")
            await drain_stage(settings, "rematch", "match")
            with lines(entries(rows, int((QUICK - 1) * rows / A_SHOW))) as file:
                await feed(settings, [file], "history")
        found[stage] = await _sampled(settings, stage)
        if stage == "normalise":
            await skip(settings, "resolve", leave=rows)
        say(f"{stage:16} " + ", ".join(f"{owner} {share:.0%}" for owner, share in found[stage].items()))
    return found


def measure(rows: int, say: Callable[[str], None]) -> dict[str, Any]:
    """On engines of its own."""
    py_spy()
    with engines() as settings:
        return {"rows": rows, "shares": asyncio.run(_measured(settings, rows, say))}
