"""Who decided what, when, from which device: one line for each decision, in its own transaction."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from api.audit import Line, record
from api.tidying import tidy
from deploy.settings import Settings
from schemas.tables import Audited
from tests.api.support import ASTORIA, READING, START, Client, Clock, Story

pytestmark = pytest.mark.stack


async def test_a_decision_leaves_a_line_with_what_was_before_and_after(
    client: Client, story: Story, clock: Clock
) -> None:
    (one,) = await story.found("e1", story.suggestion("e1", READING))
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = story.headers(clock) | {"X-Device": "phone", "X-Request-Id": trace}
    await client.post(f"/v1/suggestions/{one}/dismiss", headers=headers)
    await client.post(f"/v1/suggestions/{one}/dismiss", headers=headers)  # a repeat decides nothing
    await client.post(f"/v1/suggestions/{one}/undo", headers=story.headers(clock))
    conflict = await client.post(f"/v1/suggestions/{one}/other-night", headers=headers, json={"step": "after"})
    assert conflict.status_code == 404  # nor does a failure
    answer = await client.get("/v1/me/audit", headers=story.headers(clock))
    undone, dismissed = answer.json()["data"]
    assert (dismissed["what"], dismissed["thing"], dismissed["before"]) == ("decided", "e1", None)
    assert (dismissed["device"], dismissed["request_id"]) == ("phone", trace)
    assert dismissed["after"]["action"] == "dismissed" and dismissed["after"]["suggestion_id"] == str(one)
    assert dismissed["at"] == START.isoformat().replace("+00:00", "Z")
    assert (undone["before"], undone["after"]["action"]) == ({"action": "dismissed"}, "undone")
    assert undone["after"]["undoes"] == dismissed["after"]["decision_id"] and undone["device"] is None


async def test_a_bulk_leaves_a_line_for_each_decision(client: Client, story: Story, clock: Clock) -> None:
    for number in range(30):
        await story.found(f"e{number}", story.suggestion(f"e{number}", READING))
    headers = story.headers(clock)
    asked = await client.post("/v1/suggestions/bulk", headers=headers, json={"dry_run": True, "action": "confirm"})
    token = asked.json()["data"]["token"]
    await client.post("/v1/suggestions/bulk", headers=headers, json={"token": token})
    lines = (await client.get("/v1/me/audit?take=100", headers=headers)).json()["data"]
    assert len(lines) == 30 and {line["after"]["together"] for line in lines} == {token}
    assert len({line["thing"] for line in lines}) == 30


async def test_the_log_is_read_page_by_page_and_by_kind(
    client: Client, story: Story, clock: Clock, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await record(
            connection,
            *(
                Line(story.user, START, what, "0" * 32, thing=f"{number}-{what}", after={"visibility": "friends"})
                for number in range(5)
                for what in (Audited.VISIBILITY, Audited.EXPORTED)
            ),
        )
    headers, found, cursor = story.headers(clock), [], ""
    while cursor is not None:
        page = (await client.get(f"/v1/me/audit?take=3{cursor and '&cursor=' + cursor}", headers=headers)).json()
        found += [line["thing"] for line in page["data"]]
        cursor = page["meta"]["next_cursor"]
    assert found == [f"{number}-{what}" for number in range(4, -1, -1) for what in ("exported", "visibility")]
    exported = (await client.get("/v1/me/audit?what=exported", headers=headers)).json()["data"]
    assert len(exported) == 5 and {line["what"] for line in exported} == {"exported"}
    for wrong in ("what=nothing", "cursor=x", "take=0"):
        assert (await client.get(f"/v1/me/audit?{wrong}", headers=headers)).status_code == 400


async def test_a_line_is_never_changed(story: Story, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await record(connection, Line(story.user, START, Audited.EXPORTED, "0" * 32))
    with pytest.raises(DBAPIError, match=r"rows of state\.audit are never changed"):
        async with engine.begin() as connection:
            await connection.execute(text("update state.audit set thing = 'x' where user_id = :u"), {"u": story.user})


async def test_an_idempotency_key_is_known_for_its_time_and_removed_after_it(
    client: Client, story: Story, clock: Clock, engine: AsyncEngine, migrated: Settings
) -> None:
    await story.found("e1", story.suggestion("e1", READING), story.suggestion("e1", ASTORIA, 0.5))
    headers = story.headers(clock)
    for key in ("old", "young"):
        body = {"companions": key == "old"}
        answer = await client.patch("/v1/preferences", headers=headers | {"Idempotency-Key": key}, json=body)
        assert answer.status_code == 200
    aged = text(
        "update state.calls set created_at = now() - make_interval(hours => :h) where user_id = :u and key = :k"
    )
    left = text("select key from state.calls where user_id = :u")
    async with engine.begin() as connection:
        await connection.execute(aged, {"u": story.user, "k": "old", "h": migrated.call_hours + 1})
        await connection.execute(aged, {"u": story.user, "k": "young", "h": migrated.call_hours - 1})
    assert (await tidy(engine, migrated))["calls"] >= 1
    async with engine.connect() as connection:
        assert list(await connection.scalars(left, {"u": story.user})) == ["young"]
    again = await client.patch(
        "/v1/preferences", headers=headers | {"Idempotency-Key": "young"}, json={"companions": False}
    )
    assert again.status_code == 200
    other = await client.patch(
        "/v1/preferences", headers=headers | {"Idempotency-Key": "young"}, json={"companions": True}
    )
    assert other.status_code == 409
