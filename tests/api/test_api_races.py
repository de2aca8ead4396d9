"""Devices at once: one decision, one message, and the loser is told what is in force."""

import asyncio
from collections import Counter
from time import perf_counter

import pytest

from schemas.decision import Action
from tests.api.support import ASTORIA, READING, Client, Clock, Story

pytestmark = pytest.mark.stack


async def test_two_hundred_confirmations_at_once_are_one_decision(client: Client, story: Story, clock: Clock) -> None:
    (one,) = await story.found("e1", story.suggestion("e1", READING))
    headers = story.headers(clock)
    began = perf_counter()
    answers = await asyncio.gather(
        *(
            client.post(f"/v1/suggestions/{one}/confirm", headers=headers | {"Idempotency-Key": f"k-{number % 50}"})
            for number in range(200)
        )
    )
    assert perf_counter() - began < 20
    assert Counter(answer.status_code for answer in answers) == {200: 200}
    assert len({answer.json()["data"]["decision_id"] for answer in answers}) == 1
    assert len(await story.decisions()) == len(await story.outbox()) == 1


async def test_of_devices_that_say_different_things_one_wins_and_the_others_learn_it(
    client: Client, story: Story, clock: Clock
) -> None:
    headers = story.headers(clock)
    for number in range(4):
        entry = f"e{number}"
        first, second = await story.found(
            entry, story.suggestion(entry, READING, 0.6), story.suggestion(entry, ASTORIA, 0.5)
        )
        calls = [
            (f"{first}/confirm", None),
            (f"{second}/confirm", None),
            (f"{first}/other-night", {"concert_id": str(story.suggestion(entry, ASTORIA).concert_id)}),
        ]
        answers = await asyncio.gather(
            *(client.post(f"/v1/suggestions/{path}", headers=headers, json=body) for path, body in calls)
        )
        by_status = Counter(answer.status_code for answer in answers)
        assert by_status[200] + by_status[409] == 3 and by_status[200] >= 1, by_status
        standing = (await client.get("/v1/suggestions?state=confirmed", headers=headers)).json()["data"]
        (item,) = [item for item in standing if item["entry_id"] == entry]
        (confirmed,) = [one for one in item["decisions"] if one["action"] == "confirmed"]
        for answer in answers:
            if answer.status_code == 409:
                state = {detail["field"]: detail["message"] for detail in answer.json()["error"]["details"]}
                assert answer.json()["error"]["code"] == "CONFLICT"
                assert state["decision"] in {"confirmed", "other_night"}
                assert state["entry_id"] == confirmed["entry_id"]


async def test_one_token_applied_by_ten_at_once_is_applied_once(client: Client, story: Story, clock: Clock) -> None:
    for number in range(20):
        await story.found(f"e{number}", story.suggestion(f"e{number}", READING))
    headers = story.headers(clock)
    asked = {"dry_run": True, "action": "confirm"}
    token = (await client.post("/v1/suggestions/bulk", headers=headers, json=asked)).json()["data"]["token"]
    single = [story.suggestion(f"e{number}", READING).suggestion_id for number in range(0, 20, 4)]
    answers = await asyncio.gather(
        *(client.post("/v1/suggestions/bulk", headers=headers, json={"token": token}) for _ in range(10)),
        *(client.post(f"/v1/suggestions/{one}/confirm", headers=headers) for one in single),
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers[:10]}) == 1
    made = await story.decisions()
    assert len(made) == len(await story.outbox()) == 20
    assert {row.action for row in made} == {Action.CONFIRMED}


async def test_a_key_used_by_many_at_once_gets_one_answer(client: Client, story: Story, clock: Clock) -> None:
    headers = story.headers(clock) | {"Idempotency-Key": "once"}
    show = {"artist": "The Paper Kites", "night": "2011-05-06", "city": "Melbourne"}
    answers = await asyncio.gather(*(client.post("/v1/journal", headers=headers, json=show) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert [row.topic for row in await story.outbox()] == ["gigz.history.v1", "gigz.decision.v1"]
