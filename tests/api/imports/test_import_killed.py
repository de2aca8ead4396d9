"""An import goes on when the process that works on it is killed: nothing is lost, nothing is done twice."""

import contextlib
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text

from api.tokens import issue_token
from deploy.clients import sqlalchemy_url
from deploy.settings import Settings
from tests.api.processes import running
from tests.api.support import Story

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(300)]
ROWS = 6_000
BODY = "Band,When,Where\n" + "".join(f"Band {n},{n % 28 + 1:02}.05.2001,Hall {n}\n" for n in range(ROWS))
GIVE_S = 120.0


def await_state(client: httpx.Client, import_id: str, *states: str) -> dict[str, Any]:
    """The import once it is in one of these states."""
    until = time.monotonic() + GIVE_S
    while time.monotonic() < until:
        view: dict[str, Any] = client.get(f"/v1/imports/{import_id}").json()["data"]
        if view["state"] in states:
            return view
        time.sleep(0.1)
    raise AssertionError(f"{view['state']} at {view['progress']} after {GIVE_S} s")


def kill_halfway(settings: Settings, headers: dict[str, str], import_id: str, what: str) -> None:
    """Ask one process for it, see a part of it done, and kill it."""
    with running(settings) as api, httpx.Client(base_url=api.address, headers=headers, trust_env=False) as client:
        with contextlib.suppress(httpx.ReadTimeout):
            client.post(f"/v1/imports/{import_id}/{what}", timeout=0.3)
        until = time.monotonic() + GIVE_S
        while (view := client.get(f"/v1/imports/{import_id}").json()["data"])["progress"]["done"] < ROWS // 6:
            assert time.monotonic() < until, view["progress"]
        api.process.kill()
        api.process.wait()
        assert view["state"] in ("applying", "undoing"), "it was done before it could be killed"


def test_an_apply_and_an_undo_that_are_killed_are_ended_by_the_next_process(migrated: Settings, story: Story) -> None:
    settings = migrated.model_copy(update={"import_lease_s": 2.0})
    headers = {"Authorization": f"Bearer {issue_token(settings, story.user, datetime.now(UTC))}"}
    with running(settings) as api, httpx.Client(base_url=api.address, headers=headers, trust_env=False) as client:
        made = client.post("/v1/imports?name=gigs.csv", content=BODY, timeout=60)
        import_id = made.json()["data"]["import_id"]
        await_state(client, import_id, "ready")
    for _ in range(2):
        kill_halfway(settings, headers, import_id, "apply")
    with running(settings) as api, httpx.Client(base_url=api.address, headers=headers, trust_env=False) as client:
        view = await_state(client, import_id, "applied", "failed")
    assert view["state"] == "applied" and view["entries"]["added"] == ROWS
    engine = create_engine(sqlalchemy_url(settings))
    messages = text("select key, value is null as ends from state.outbox where partition_by = :user order by id")
    with engine.connect() as connection:
        sent = Counter(row.key for row in connection.execute(messages, {"user": story.user}))
    assert len(sent) == ROWS and set(sent.values()) == {1}, "each entry is sent once"

    kill_halfway(settings, headers, import_id, "undo")
    with running(settings) as api, httpx.Client(base_url=api.address, headers=headers, trust_env=False) as client:
        view = await_state(client, import_id, "undone", "failed")
    assert view["state"] == "undone" and view["entries"]["withdrawn"] == ROWS
    with engine.connect() as connection:
        ends = Counter(row.key for row in connection.execute(messages, {"user": story.user}) if row.ends)
    engine.dispose()
    assert len(ends) == ROWS and set(ends.values()) == {1}
