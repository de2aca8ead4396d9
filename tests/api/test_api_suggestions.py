"""Suggestions as their user sees them, and decisions that take effect once."""

import asyncio
from datetime import date
from typing import Any
from uuid import uuid4

import orjson
import pytest
from sqlalchemy import select, update

from schemas.decision import Action, Decision
from schemas.history import Remembered
from schemas.message import new_trace
from schemas.suggestion import Nothing, Suggestions
from schemas.tables import EntryRow, SuggestionsRow
from tests.api.support import ASTORIA, READING, Client, Clock, Story

pytestmark = pytest.mark.stack


async def _listed(client: Client, story: Story, clock: Clock, query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/suggestions{query}", headers=story.headers(clock))
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def test_an_entry_is_shown_with_all_that_a_person_needs(client: Client, story: Story, clock: Clock) -> None:
    suggestion = story.suggestion("e1", READING)
    remembered = Remembered.model_validate({"artist": "radiohead", "date": "1994", "with": ["Jo"]})
    await story.found("e1", suggestion, entry=remembered)
    (item,) = await _listed(client, story, clock)
    assert (item["entry_id"], item["state"], item["decision"], item["decisions"]) == ("e1", "open", None, [])
    assert item["entry"]["with"] == ["Jo"]
    (shown,) = item["suggestions"]
    assert shown["suggestion_id"] == str(suggestion.suggestion_id)
    assert shown["concert"]["night"] == "1994-08-27"
    assert shown["concert"]["place"]["name"] == "Little John's Farm"
    assert shown["members"][0]["url"].startswith("https://www.setlist.fm/")
    assert (shown["confidence"], shown["band"]) == (0.97, "sure")
    assert shown["why"] == [{"field": "artist", "bits": 14.2, "text": "same artist"}]


async def test_pages_together_show_every_entry_once_best_first(client: Client, story: Story, clock: Clock) -> None:
    confidences = [0.5, 0.9, 0.1 + 0.2, 0.9, 0.9, 0.7, 0.30000000000000004]
    for number, confidence in enumerate(confidences):
        await story.found(f"e{number}", story.suggestion(f"e{number}", READING, confidence))
    seen: list[tuple[float, str]] = []
    cursor = ""
    while True:
        answer = (await client.get(f"/v1/suggestions?take=2{cursor}", headers=story.headers(clock))).json()
        assert answer["meta"]["take"] == 2 and len(answer["data"]) <= 2
        seen += [(item["suggestions"][0]["confidence"], item["entry_id"]) for item in answer["data"]]
        if answer["meta"]["next_cursor"] is None:
            break
        cursor = f"&cursor={answer['meta']['next_cursor']}"
    assert [entry for _, entry in seen] == ["e1", "e3", "e4", "e5", "e0", "e2", "e6"]


async def test_filters_choose_by_band_year_artist_and_state(client: Client, story: Story, clock: Clock) -> None:
    other = READING.model_copy(update={"artist": "100% _Wolf_", "night": date(2004, 7, 1)})
    await story.found("radiohead", story.suggestion("radiohead", READING, 0.97))
    await story.found("wolf", story.suggestion("wolf", other, 0.3), entry=Remembered(artist="the wolf thing"))
    await story.found("nothing")

    async def ids(query: str) -> list[str]:
        return [item["entry_id"] for item in await _listed(client, story, clock, query)]

    assert await ids("") == ["radiohead", "wolf"]
    assert await ids("?band=sure") == ["radiohead"]
    assert await ids("?year=2004") == ["wolf"]
    assert await ids("?artist=RADIO") == ["radiohead"]
    assert await ids("?artist=the%20wolf") == ["wolf"]
    assert await ids("?artist=0%25%20_w") == ["wolf"]
    assert await ids("?artist=%25") == ["wolf"]
    assert await ids("?state=all") == ["radiohead", "wolf", "nothing"]
    assert await ids("?state=decided") == []


async def test_another_users_suggestions_are_not_there(client: Client, story: Story, clock: Clock) -> None:
    (suggestion_id,) = await story.found("e1", story.suggestion("e1", READING))
    stranger = Story(story.engine, story.settings)
    assert await _listed(client, stranger, clock, "?state=all") == []
    for verb in ("confirm", "dismiss", "undo"):
        theirs = await client.post(f"/v1/suggestions/{suggestion_id}/{verb}", headers=stranger.headers(clock))
        unknown = await client.post(f"/v1/suggestions/{uuid4()}/{verb}", headers=stranger.headers(clock))
        malformed = await client.post(f"/v1/suggestions/1/{verb}", headers=stranger.headers(clock))
        for answer in (theirs, unknown, malformed):
            assert answer.status_code == 404
            assert answer.json()["error"]["code"] == "SUGGESTION_NOT_FOUND"
    assert not await story.decisions() and not await story.outbox()


async def test_a_confirmation_is_kept_told_and_shown_at_once(client: Client, story: Story, clock: Clock) -> None:
    suggestion = story.suggestion("e1", READING)
    await story.found("e1", suggestion)
    trace = new_trace()
    answer = await client.post(
        f"/v1/suggestions/{suggestion.suggestion_id}/confirm",
        headers=story.headers(clock) | {"X-Request-Id": trace},
    )
    assert answer.status_code == 200
    decision = Decision.model_validate(answer.json()["data"])
    assert decision.action is Action.CONFIRMED and decision.decided_at == clock()
    assert decision.listing_ids == (suggestion.members[0].listing_id,)
    assert (decision.signature, decision.concert) == ("s1", READING)
    assert (decision.confidence, decision.band, decision.why) == (
        suggestion.confidence,
        suggestion.band,
        suggestion.why,
    )
    assert decision.members == suggestion.members
    (row,) = await story.decisions()
    assert (row.action, row.before, row.body) == (Action.CONFIRMED, None, orjson.loads(decision.to_bytes()))
    (message,) = await story.outbox()
    assert (message.topic, message.key) == ("gigz.decision.v1", f"{story.user}/e1")
    assert message.value == decision.to_bytes()
    assert (message.headers["trace"], message.headers["stage"]) == (trace, "api")
    assert 0 <= message.shard < story.settings.outbox_shards
    assert await _listed(client, story, clock) == []
    (item,) = await _listed(client, story, clock, "?state=decided")
    assert (item["state"], item["decision"]) == ("confirmed", "confirmed")
    assert item["decisions"][0]["decision_id"] == str(decision.decision_id)


async def test_twenty_posts_at_once_make_one_decision(client: Client, story: Story, clock: Clock) -> None:
    (suggestion_id,) = await story.found("e1", story.suggestion("e1", READING))
    headers = story.headers(clock)
    answers = await asyncio.gather(
        *(client.post(f"/v1/suggestions/{suggestion_id}/confirm", headers=headers) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["data"]["decision_id"] for answer in answers}) == 1
    assert len(await story.decisions()) == len(await story.outbox()) == 1


async def test_two_devices_that_disagree_get_one_decision_and_one_conflict(
    client: Client, story: Story, clock: Clock
) -> None:
    headers = story.headers(clock)
    for number in range(5):
        first, second = await story.found(
            f"e{number}", story.suggestion(f"e{number}", READING, 0.6), story.suggestion(f"e{number}", ASTORIA, 0.5)
        )
        answers = await asyncio.gather(
            client.post(f"/v1/suggestions/{first}/confirm", headers=headers),
            client.post(f"/v1/suggestions/{second}/confirm", headers=headers),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        (won,) = [answer.json()["data"] for answer in answers if answer.status_code == 200]
        (lost,) = [answer.json()["error"] for answer in answers if answer.status_code == 409]
        assert lost["code"] == "CONFLICT"
        state = {detail["field"]: detail["message"] for detail in lost["details"]}
        assert state["decision"] == "confirmed"
        assert state["suggestion_id"] == won["suggestion_id"] and state["decision_id"] == won["decision_id"]
    assert len(await story.decisions()) == len(await story.outbox()) == 5


async def test_a_decision_waits_for_the_lock_that_match_holds(client: Client, story: Story, clock: Clock) -> None:
    """match withdraws the set while the user presses: the user is told that it is gone."""
    (suggestion_id,) = await story.found("e1", story.suggestion("e1", READING))
    empty = Suggestions(user=story.user, entry_id="e1", rev=2)
    async with story.engine.begin() as match:
        await match.execute(select(EntryRow.entry_id).where(EntryRow.user_id == story.user).with_for_update())
        press = asyncio.create_task(
            client.post(f"/v1/suggestions/{suggestion_id}/confirm", headers=story.headers(clock))
        )
        await asyncio.sleep(0.3)
        assert not press.done()
        await match.execute(
            update(SuggestionsRow)
            .where(SuggestionsRow.user_id == story.user)
            .values(suggestion_ids=[], confidence=0.0, body=orjson.loads(empty.to_bytes()))
        )
    assert (await press).status_code == 404
    assert not await story.decisions()


async def test_the_same_key_gets_the_same_answer_and_nothing_twice(client: Client, story: Story, clock: Clock) -> None:
    (suggestion_id,) = await story.found("e1", story.suggestion("e1", READING))
    headers = story.headers(clock) | {"Idempotency-Key": "k-1"}
    first = await client.post(f"/v1/suggestions/{suggestion_id}/confirm", headers=headers)
    await client.post(f"/v1/suggestions/{suggestion_id}/undo", headers=story.headers(clock))
    clock.move(minutes=1)
    again = await client.post(f"/v1/suggestions/{suggestion_id}/confirm", headers=headers)
    assert (again.status_code, again.json()) == (200, first.json())
    assert [row.action for row in await story.decisions()] == [Action.CONFIRMED, Action.UNDONE]


async def test_a_key_stands_for_one_request_only(client: Client, story: Story, clock: Clock) -> None:
    (first,) = await story.found("e1", story.suggestion("e1", READING))
    (second,) = await story.found("e2", story.suggestion("e2", READING))
    headers = story.headers(clock) | {"Idempotency-Key": "k-1"}
    answers = await asyncio.gather(
        *(client.post(f"/v1/suggestions/{one}/confirm", headers=headers) for one in (first, second))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    (refused,) = [answer.json()["error"] for answer in answers if answer.status_code == 409]
    assert refused["details"][0]["field"] == "Idempotency-Key"
    assert len(await story.decisions()) == len(await story.outbox()) == 1
    long = await client.post(
        f"/v1/suggestions/{second}/confirm", headers=story.headers(clock) | {"Idempotency-Key": "k" * 201}
    )
    assert long.status_code == 400
    assert long.json()["error"]["details"][0]["field"] == "Idempotency-Key"


async def test_dismissing_one_leaves_the_others_to_decide(client: Client, story: Story, clock: Clock) -> None:
    first, second = await story.found("e1", story.suggestion("e1", READING, 0.6), story.suggestion("e1", ASTORIA, 0.5))
    headers = story.headers(clock)
    for _ in range(2):
        assert (await client.post(f"/v1/suggestions/{first}/dismiss", headers=headers)).status_code == 200
    (item,) = await _listed(client, story, clock)
    assert [one["suggestion_id"] for one in item["suggestions"]] == [str(second)]
    assert (await client.post(f"/v1/suggestions/{first}/confirm", headers=headers)).status_code == 409
    assert (await client.post(f"/v1/suggestions/{second}/dismiss", headers=headers)).status_code == 200
    assert await _listed(client, story, clock) == []
    (item,) = await _listed(client, story, clock, "?state=decided")
    assert (item["state"], len(item["decisions"])) == ("dismissed", 2)
    assert len(await story.decisions()) == 2


async def test_a_confirmed_entry_refuses_a_dismissal_until_it_is_undone(
    client: Client, story: Story, clock: Clock
) -> None:
    first, second = await story.found("e1", story.suggestion("e1", READING, 0.6), story.suggestion("e1", ASTORIA, 0.5))
    headers = story.headers(clock)
    confirmed = (await client.post(f"/v1/suggestions/{first}/confirm", headers=headers)).json()["data"]
    for one in (first, second):
        assert (await client.post(f"/v1/suggestions/{one}/dismiss", headers=headers)).status_code == 409
    undone = await client.post(f"/v1/suggestions/{first}/undo", headers=headers)
    assert (undone.json()["data"]["action"], undone.json()["data"]["undoes"]) == ("undone", confirmed["decision_id"])
    again = await client.post(f"/v1/suggestions/{first}/undo", headers=headers)
    assert (again.status_code, again.json()) == (200, undone.json())
    (item,) = await _listed(client, story, clock)
    assert (item["decision"], len(item["suggestions"])) == (None, 2)
    assert (await client.post(f"/v1/suggestions/{second}/dismiss", headers=headers)).status_code == 200
    assert [(row.before, row.action) for row in await story.decisions()] == [
        (None, Action.CONFIRMED),
        (Action.CONFIRMED, Action.UNDONE),
        (Action.UNDONE, Action.DISMISSED),
    ]


async def test_a_clock_that_steps_back_does_not_bring_an_old_decision_back(
    client: Client, story: Story, clock: Clock
) -> None:
    (suggestion_id,) = await story.found("e1", story.suggestion("e1", READING))
    for step in ("confirm", "undo", "dismiss", "undo"):
        answer = await client.post(f"/v1/suggestions/{suggestion_id}/{step}", headers=story.headers(clock))
        assert answer.status_code == 200, answer.text
        clock.move(seconds=-30)
    instants = [row.decided_at for row in await story.decisions()]
    assert len(instants) == 4
    assert instants == sorted(set(instants))


async def test_there_is_nothing_to_undo_before_a_decision(client: Client, story: Story, clock: Clock) -> None:
    (suggestion_id,) = await story.found("e1", story.suggestion("e1", READING))
    answer = await client.post(f"/v1/suggestions/{suggestion_id}/undo", headers=story.headers(clock))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CONFLICT")


async def test_a_decision_can_be_undone_after_match_took_the_suggestion_away(
    client: Client, story: Story, clock: Clock
) -> None:
    (suggestion_id,) = await story.found("e1", story.suggestion("e1", READING))
    headers = story.headers(clock)
    await client.post(f"/v1/suggestions/{suggestion_id}/dismiss", headers=headers)
    empty = Suggestions(user=story.user, entry_id="e1", rev=2, reason=Nothing.DISMISSED)
    async with story.engine.begin() as match:
        await match.execute(
            update(SuggestionsRow)
            .where(SuggestionsRow.user_id == story.user)
            .values(suggestion_ids=[], confidence=0.0, body=orjson.loads(empty.to_bytes()))
        )
    (item,) = await _listed(client, story, clock, "?state=decided")
    assert item["state"] == "dismissed" and item["decisions"][0]["concert"]["artist"] == "Radiohead"
    assert (await client.post(f"/v1/suggestions/{suggestion_id}/undo", headers=headers)).status_code == 200
    assert (await story.decisions())[-1].action is Action.UNDONE


async def test_one_users_messages_go_through_one_relay(client: Client, story: Story, clock: Clock) -> None:
    headers = story.headers(clock)
    for number in range(3):
        (suggestion_id,) = await story.found(f"e{number}", story.suggestion(f"e{number}", READING))
        await client.post(f"/v1/suggestions/{suggestion_id}/confirm", headers=headers)
    await client.post("/v1/history", headers=headers, json={"entries": [{"artist": "Radiohead"}]})
    rows = await story.outbox()
    assert [row.topic for row in rows] == ["gigz.decision.v1"] * 3 + ["gigz.history.v1"]
    assert len({row.shard for row in rows}) == 1
    assert all(row.partition_by == story.user for row in rows)
