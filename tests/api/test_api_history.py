"""Lines of history on their way in."""

from typing import Any

import httpx
import pytest

from api.tokens import issue_token
from deploy.settings import Settings
from schemas.history import Entry, EntryOrigin
from tests.api.support import START, Client, Clock, Story


async def _refused(alone: httpx.AsyncClient, offline: Settings, body: Any) -> list[dict[str, str]]:
    headers = {"Authorization": f"Bearer {issue_token(offline, 'alice', START)}"}
    answer = await alone.post("/v1/history", headers=headers, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR"), answer.text
    return list(answer.json()["error"]["details"])


async def test_every_wrong_field_is_named_with_its_line(alone: httpx.AsyncClient, offline: Settings) -> None:
    lines: list[Any] = [
        {"artist": "Radiohead"},
        {"artist": 7, "lat": 91},
        {},
        {"artist": "a\x00b"},
        {"artist": "x", "songs": ["ok", ""]},
        {"artist": "x", "entry_id": "e" * 201},
        "Radiohead",
        {"artist": "x", "entry_id": "companion-7c8f3a54-1f0d-5a8e-9a2b-6d4e5f3c2b10"},
        {"artist": "x", "entry_id": "habit-"},
    ]
    details = await _refused(alone, offline, {"entries": lines})
    fields = [detail["field"] for detail in details]
    assert fields == [
        "entries.1.artist",
        "entries.1.lat",
        "entries.2",
        "entries.3",
        "entries.4.songs.1",
        "entries.5.entry_id",
        "entries.6",
        "entries.7.entry_id",
        "entries.8.entry_id",
    ]
    told = {detail["field"]: detail["message"] for detail in details}
    assert told["entries.2"].startswith("says nothing: give at least one of artist, date")
    assert told["entries.3"] == "must not contain NUL"


async def test_more_than_two_hundred_lines_are_told_the_limit(alone: httpx.AsyncClient, offline: Settings) -> None:
    (detail,) = await _refused(alone, offline, {"entries": [{"artist": "Radiohead"}] * 201})
    assert detail["field"] == "entries" and "at most 200" in detail["message"]


@pytest.mark.parametrize("body", [{}, {"entries": []}, {"entries": None}, [], "x", None])
async def test_a_body_without_lines_is_refused(alone: httpx.AsyncClient, offline: Settings, body: Any) -> None:
    (detail,) = await _refused(alone, offline, body)
    assert detail["field"] in {"entries", "body", "data"}


async def test_a_line_too_large_for_its_topic_is_named(alone: httpx.AsyncClient, offline: Settings) -> None:
    large = {"artist": "x", "songs": ["y" * 2_000] * 600}
    (detail,) = await _refused(alone, offline, {"entries": [{"artist": "x"}, large]})
    assert detail["field"] == "entries.1"


@pytest.mark.stack
async def test_lines_go_to_match_and_nowhere_else(client: Client, story: Story, clock: Clock) -> None:
    lines = [
        {"artist": "Radiohead", "date": "summer 1994", "with": ["Jo"], "user": "mallory", "origin": "feed"},
        {"entry_id": "mine/7", "venue": "Astoria", "seen_at": "2999-01-01T00:00:00Z"},
    ]
    answer = await client.post("/v1/history", headers=story.headers(clock), json={"entries": lines})
    assert answer.status_code == 202, answer.text
    ids = answer.json()["data"]["entry_ids"]
    rows = await story.outbox()
    entries = [Entry.from_bytes(row.value) for row in rows]
    assert [row.topic for row in rows] == ["gigz.history.v1"] * 2
    assert [entry.entry_id for entry in entries] == ids and ids[1] == "mine/7"
    for entry in entries:
        assert (entry.user, entry.origin, entry.seen_at) == (story.user, EntryOrigin.API, clock())
    assert entries[0].with_ == ("Jo",)
    listed = await client.get("/v1/suggestions?state=all", headers=story.headers(clock))
    assert listed.json()["data"] == []


@pytest.mark.stack
async def test_the_same_line_twice_is_one_line(client: Client, story: Story, clock: Clock) -> None:
    line = {"artist": "Radiohead", "date": "1994-08-27"}
    ids = []
    for _ in range(2):
        answer = await client.post("/v1/history", headers=story.headers(clock), json={"entries": [line]})
        ids += answer.json()["data"]["entry_ids"]
        clock.move(minutes=1)
    assert ids[0] == ids[1]


@pytest.mark.stack
async def test_one_bad_line_keeps_all_out(client: Client, story: Story, clock: Clock) -> None:
    lines = [{"artist": "Radiohead"}, {"artist": 7}]
    answer = await client.post("/v1/history", headers=story.headers(clock), json={"entries": lines})
    assert answer.status_code == 400
    assert await story.outbox() == []


@pytest.mark.stack
async def test_a_date_that_no_calendar_has_is_told_at_once(client: Client, story: Story, clock: Clock) -> None:
    lines = [{"artist": "Radiohead", "date": "2014-02-31"}, {"artist": "Radiohead", "date": "around then"}]
    answer = await client.post("/v1/history", headers=story.headers(clock), json={"entries": lines})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    (detail,) = answer.json()["error"]["details"]
    assert detail["field"] == "entries.0.date" and "does not exist" in detail["message"]
    assert not await story.outbox()


@pytest.mark.stack
async def test_the_same_key_sends_the_lines_once(client: Client, story: Story, clock: Clock) -> None:
    headers = story.headers(clock) | {"Idempotency-Key": "h-1"}
    lines = {"entries": [{"artist": "Radiohead", "date": "1994"}]}
    answers = [await client.post("/v1/history", headers=headers, json=lines) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json() == answers[1].json()
    assert len(await story.outbox()) == 1
    other = await client.post("/v1/history", headers=headers, json={"entries": [{"artist": "Low"}]})
    assert other.json()["error"]["details"][0]["field"] == "Idempotency-Key"
