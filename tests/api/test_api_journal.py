"""The journal: what was confirmed, what is kept of it, and shows that no source knows."""

from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from schemas import ids
from schemas.decision import Decision
from schemas.history import Entry, Remembered
from tests.api.support import ASTORIA, READING, Client, Clock, Story
from tests.api.test_api_decisions import Said, known

pytestmark = pytest.mark.stack

PAPER = {"artist": "The Paper Kites", "night": "2011-05-06", "venue": "The Workers Club", "city": "Melbourne"}


@pytest.fixture
def said(client: Client, story: Story, clock: Clock) -> Said:
    return Said(client, story, clock)


async def journal(said: Said, query: str = "") -> dict[str, Any]:
    answer = await said.client.get(f"/v1/journal{query}", headers=said.story.headers(said.clock))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def confirmed(said: Said, entry_id: str, facts: Any, **more: Any) -> UUID:
    (one,) = await said.story.found(entry_id, said.story.suggestion(entry_id, facts), **more)
    await said.say("confirm", one)
    return one


async def test_confirmed_shows_are_listed_by_night_with_counts_and_filters(said: Said, story: Story) -> None:
    entry = Remembered.model_validate({"artist": "radiohead", "with": ["Jo"]})
    await confirmed(said, "e1", READING, entry=entry)
    await confirmed(said, "e2", ASTORIA)
    low = READING.model_copy(update={"artist": "Low", "night": date(2004, 7, 1)})
    await confirmed(said, "e3", low)
    await said.say("dismiss", (await story.found("e4", story.suggestion("e4", READING)))[0])
    found = await journal(said)
    assert [show["concert"]["night"] for show in found["data"]] == ["2004-07-01", "1994-08-27", "1994-05-27"]
    assert found["meta"]["counts"] == {"shows": 3, "artists": 2, "venues": 2, "years": {"1994": 2, "2004": 1}}
    assert found["data"][1]["with"] == ["Jo"]
    assert found["data"][0]["sources"] == ["https://www.setlist.fm/setlist/63de4613.html"]
    for query, entries in (
        ("?year=1994", ["e1", "e2"]),
        ("?artist=LOW", ["e3"]),
        ("?venue=astoria", ["e2"]),
        ("?venue=reading", ["e3", "e1"]),
        ("?artist=%25", []),
    ):
        assert [show["entry_id"] for show in (await journal(said, query))["data"]] == entries, query
    first = await journal(said, "?take=2")
    rest = await journal(said, f"?take=2&cursor={first['meta']['next_cursor']}")
    assert [show["entry_id"] for show in first["data"] + rest["data"]] == ["e3", "e1", "e2"]
    assert rest["meta"]["next_cursor"] is None and rest["meta"]["counts"] == found["meta"]["counts"]
    stranger = Said(said.client, Story(story.engine, story.settings), said.clock)
    assert (await journal(stranger))["data"] == []


async def test_note_rating_and_company_are_kept_changed_and_on_no_topic(said: Said, story: Story) -> None:
    one = await confirmed(said, "e1", READING)
    before = len(await story.outbox())
    headers = story.headers(said.clock)
    path = f"/v1/journal/{one}"
    kept = await said.client.patch(path, headers=headers, json={"note": "Rain.", "rating": 5, "with": ["Jo"]})
    assert kept.status_code == 200, kept.text
    assert {name: kept.json()["data"][name] for name in ("note", "rating", "with")} == {
        "note": "Rain.",
        "rating": 5,
        "with": ["Jo"],
    }
    changed = await said.client.patch(path, headers=headers, json={"rating": None})
    assert (changed.json()["data"]["note"], changed.json()["data"]["rating"]) == ("Rain.", None)
    assert len(await story.outbox()) == before
    for body, field in (({"rating": 6}, "rating"), ({"rating": 0}, "rating"), ({"mood": 1}, "mood")):
        refused = await said.client.patch(path, headers=headers, json=body)
        assert (refused.status_code, refused.json()["error"]["details"][0]["field"]) == (400, field)
    stranger = Story(story.engine, story.settings)
    for theirs in (
        await said.client.get(path, headers=stranger.headers(said.clock)),
        await said.client.patch(path, headers=stranger.headers(said.clock), json={"note": "x"}),
        await said.client.get(f"/v1/journal/{uuid4()}", headers=headers),
    ):
        assert theirs.status_code == 404
    await said.say("undo", one)
    assert (await said.client.get(path, headers=headers)).json()["error"]["code"] == "SHOW_NOT_FOUND"


async def test_a_show_that_no_source_knows_becomes_a_line_and_its_confirmation(said: Said, story: Story) -> None:
    written = await said.post("/journal", PAPER | {"note": "Upstairs.", "with": ["Jo"]}, 201)
    show = written["data"]
    assert (show["own"], show["sources"], show["note"], show["with"]) == (True, [], "Upstairs.", ["Jo"])
    assert await said.post("/journal", PAPER, 201) == written
    line, decision = await story.outbox()
    entry = Entry.from_bytes(line.value)
    assert (entry.artist, entry.date, entry.note, entry.with_) == ("The Paper Kites", "2011-05-06", None, ())
    assert Decision.from_bytes(decision.value).concert_id == ids.own_concert_id(story.user, entry.entry_id)
    assert b"Upstairs" not in line.value + decision.value and b"Jo" not in line.value + decision.value
    assert (await journal(said))["meta"]["counts"]["shows"] == 1
    await said.say("undo", UUID(show["suggestion_id"]))
    assert (await journal(said))["data"] == []


async def test_a_show_found_by_search_is_written_by_its_id(said: Said, story: Story) -> None:
    concert = await known(story, ASTORIA, f"radiohead {story.user}")
    written = await said.post("/journal", {"concert_id": str(concert.concert_id), "rating": 4}, 201)
    assert written["data"]["concert_id"] == str(concert.concert_id)
    assert (written["data"]["own"], written["data"]["rating"]) == (False, 4)
    unknown = await said.post("/journal", {"concert_id": str(uuid4())}, 404)
    assert unknown["error"]["code"] == "CONCERT_NOT_FOUND"


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"artist": "Low"}, "body", "night"),
        ({"artist": "Low", "night": "2040-01-01"}, "night", "today"),
        ({"artist": "Low", "night": "1804-01-01"}, "night", "1900"),
        ({"artist": "Low", "night": "2011-05-06", "lat": 1.0}, "body", "lat and lon"),
        ({"artist": "Low", "night": "2011-05-06", "concert_id": str(UUID(int=1))}, "body", "leave out artist"),
        ({"artist": "Lo\x00w", "night": "2011-05-06"}, "body", "NUL"),
        ({"artist": "Low", "night": "2011-05-06", "country": "Germany"}, "country", "pattern"),
    ],
)
async def test_what_is_no_show_is_refused_with_the_reason(said: Said, body: Any, field: str, words: str) -> None:
    answer = await said.post("/journal", body, 400)
    (detail,) = answer["error"]["details"]
    assert field in {detail["field"], "body"} and words in detail["message"], answer


async def test_a_concert_tells_all_its_sources_and_answers_to_an_id_it_had(said: Said, story: Story) -> None:
    concert = await known(story, READING, f"radiohead {story.user}")
    headers = story.headers(said.clock)
    answer = (await said.client.get(f"/v1/concerts/{concert.concert_id}", headers=headers)).json()["data"]
    assert [source["url"] for source in answer["sources"]] == ["https://www.setlist.fm/setlist/63de4613.html"]
    assert (answer["night"], answer["songs"]) == ("1994-08-27", ["Creep", "My Iron Lung"])
    old, listing = uuid4(), uuid4()
    async with story.engine.begin() as connection:
        await connection.execute(
            text(
                "insert into state.concerts (concert_id, anchor_listing_id, anchor_act, live, rev, night, keys, body) "
                "values (:old, :listing, 'Radiohead', false, 1, '1994-08-27', '{}', '{}')"
            ),
            {"old": old, "listing": listing},
        )
        await connection.execute(
            text(
                "insert into state.concert_members (listing_id, act, concert_id) values (:listing, 'Radiohead', :now)"
            ),
            {"listing": listing, "now": concert.concert_id},
        )
    followed = (await said.client.get(f"/v1/concerts/{old}", headers=headers)).json()["data"]
    assert followed == answer
    missing = await said.client.get(f"/v1/concerts/{uuid4()}", headers=headers)
    assert missing.json()["error"]["code"] == "CONCERT_NOT_FOUND"
