"""The sample of docs/samples, run as an app backend would: it ends with what `state.suggestions` has."""

import asyncio
import contextlib
import importlib.util
import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import bootstrap
from deploy.erasing import stores
from deploy.settings import Settings
from schemas.action import Action
from schemas.outgoing import Outgoing
from schemas.suggestion import Suggestions
from tests.streams.conftest import rows, send
from tests.streams.flow import Flow
from tests.streams.support import decision, entry, listing
from tests.support import ROOT

pytestmark = pytest.mark.stack

SAMPLE = ROOT / "docs" / "samples" / "consume_suggestions.py"


@pytest.fixture
def sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("consume_suggestions", SAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "suggestions.sqlite"


def run(settings: Settings, path: Path, group: str) -> dict[str, int]:
    """The sample as a program, until nothing comes any more."""
    command = [sys.executable, str(SAMPLE), "--kafka", bootstrap(settings), "--database", str(path)]
    done = subprocess.run(
        [*command, "--group", group, "--until-idle", "2"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, int] = json.loads(done.stdout)
    return told


@contextlib.contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        yield database


def kept(path: Path, user: str) -> dict[str, Any]:
    """Entry -> rev and the suggestions shown, of one user."""
    with opened(path) as database:
        sets = database.execute("select entry_id, rev from sets where user_id = ?", (user,)).fetchall()
        shown = "select suggestion_id from suggestions where user_id = ? and entry_id = ? order by rank"
        return {
            entry_id: (rev, [one for (one,) in database.execute(shown, (user, entry_id))]) for entry_id, rev in sets
        }


def in_file(path: Path, user: str) -> bool:
    return user.encode() in path.read_bytes()


async def stored(engine: AsyncEngine, user: str) -> dict[str, Any]:
    """The same of Gigz."""
    found = await rows(
        engine, "select entry_id, rev, suggestion_ids from state.suggestions where user_id = :user", user=user
    )
    return {entry_id: (rev, [str(one) for one in ids]) for entry_id, rev, ids in found}  # type: ignore[attr-defined]


async def a_history(engine: AsyncEngine, *users: str) -> list[Outgoing]:
    """Sets that were found, changed, answered and withdrawn; what was published, in order."""
    flow = Flow(engine)
    hall = {"venue": "Sala Grande", "city": "Lisbon", "country": "PT"}
    await flow.send(
        [listing("one", str(n), artist, f"2011-03-1{n}", **hall) for n, artist in enumerate(("Low", "Ida"))]
    )
    for user in users:
        await flow.send(
            [
                entry(user, "1", artist="Low", date="2011-03", city="Lisbon"),
                entry(user, "2", artist="Ida", date="2011-03-11", city="Lisbon"),
                entry(user, "3", artist="Nobody at all", date="2011"),
            ]
        )
    await flow.send(
        [listing("two", "9", "Low", "2011-03-20", **hall), listing("one", "1", "Idaho", "2011-03-11", 5, **hall)]
    )
    for user in users:
        found = (await flow.suggestions())[user, "1"]
        await flow.decide(decision(found, Action.DISMISSED))
    return [one for one in flow.published if one.topic == Suggestions.topic]


async def test_the_sample_shows_what_gigz_has(settings: Settings, engine: AsyncEngine, path: Path) -> None:
    ann, bob, group = f"ann{uuid4().hex}", f"bob{uuid4().hex}", f"app-{uuid4().hex}"
    messages = await a_history(engine, ann, bob)
    assert any(not Suggestions.from_bytes(one.value).suggestions for one in messages), "some are withdrawn"
    await send(settings, messages[: len(messages) // 2])
    first = await asyncio.to_thread(run, settings, path, group)
    # A relay that was killed publishes its last rows again, in their order.
    await send(settings, messages[len(messages) // 4 :])
    second = await asyncio.to_thread(run, settings, path, group)
    assert first["changed"] and second["changed"]
    for user in (ann, bob):
        assert kept(path, user) == await stored(engine, user) != {}
    # Another app reads from the beginning and comes to the same; the first one again changes nothing.
    await asyncio.to_thread(run, settings, path.with_name("other.sqlite"), f"app-{uuid4().hex}")
    assert kept(path.with_name("other.sqlite"), ann) == kept(path, ann)
    assert (await asyncio.to_thread(run, settings, path, group))["changed"] == 0


async def test_whoever_was_erased_leaves_no_trace_in_it(settings: Settings, engine: AsyncEngine, path: Path) -> None:
    ann, bob, group = f"ann{uuid4().hex}", f"bob{uuid4().hex}", f"app-{uuid4().hex}"
    messages = await a_history(engine, ann, bob)
    await send(settings, messages)
    await asyncio.to_thread(run, settings, path, group)
    assert kept(path, ann) and in_file(path, ann)
    tombstones = stores.tombstones({(one.topic, one.key) for one in messages if one.partition_by == ann}, ann)
    closes = Outgoing(Suggestions.topic, f"erasure/{uuid4()}", ann, None, {"stage": "erase"})
    await send(settings, [*tombstones, closes])
    await asyncio.to_thread(run, settings, path, group)
    assert kept(path, ann) == {} and kept(path, bob) == await stored(engine, bob)
    assert not in_file(path, ann)


async def test_a_consumer_that_is_killed_anywhere_comes_to_the_same(
    settings: Settings, engine: AsyncEngine, path: Path, sample: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its transaction ends, and between that and the commit of Kafka."""
    ann, group = f"ann{uuid4().hex}", f"app-{uuid4().hex}"
    messages = await a_history(engine, ann)
    await send(settings, messages)
    chance = random.Random(7)

    class Killed(BaseException):
        """As if the process were."""

    one, commit = sample._one, sample.AIOKafkaConsumer.commit

    def cut_within(*told: Any) -> int:
        if chance.random() < 0.15:
            raise Killed
        return int(one(*told))

    async def cut_before(*told: Any) -> None:
        if chance.random() < 0.7:
            raise Killed
        await commit(*told)

    monkeypatch.setattr(sample, "_one", cut_within)
    monkeypatch.setattr(sample.AIOKafkaConsumer, "commit", cut_before)
    cuts = 0
    while True:
        with contextlib.closing(sample.open_database(str(path))) as database:
            try:
                consuming = sample.consume(
                    bootstrap(settings), database, asyncio.Event(), group=group, until_idle_s=1.0
                )
                await consuming
                break
            except Killed:
                cuts += 1
        assert cuts < 50
        if cuts == 8:
            chance = random.Random()
            chance.random = lambda: 1.0  # type: ignore[method-assign]
    assert cuts and kept(path, ann) == await stored(engine, ann) != {}
