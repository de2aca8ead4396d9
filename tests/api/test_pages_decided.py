"""The history of decisions: every one that was made, whether it stands, and an undo for whatever does."""

import re
from datetime import date
from html import unescape
from typing import Any
from uuid import uuid4

import pytest

from tests.api.forms import Sent, Shown, page, send
from tests.api.support import ASTORIA, READING, Client, Clock, Story
from tests.api.test_api_decisions import Said, known, show_again

pytestmark = pytest.mark.stack

HOSTILE = '<script>alert("x")</script>\u202e'
LONG = "wordwithoutanend" * 32


@pytest.fixture
async def said(client: Client, story: Story, clock: Clock) -> Said:
    await story.sign_in(client, clock)
    return Said(client, story, clock)


def items(shown: Shown) -> list[str]:
    """The text of each item, newest first."""
    parts = re.findall(r"<li class=\"card.*?</li>", shown.html, re.DOTALL)
    return [unescape(" ".join(re.sub(r"<[^>]+>", " ", one).split())).replace(" ,", ",") for one in parts]


def undos(shown: Shown) -> list[Sent]:
    """The forms that undo, newest first."""
    return [form for form in shown.forms if form.action.endswith("/undo")]


async def find(story: Story, entry_id: str, **more: Any) -> Any:
    """The suggestion id of an entry with one find."""
    (one,) = await story.found(entry_id, story.suggestion(entry_id, READING.model_copy(update=more)))
    return one


async def test_an_empty_history_leads_to_the_inbox(said: Said) -> None:
    shown = await page(said.client, "/decisions")
    assert "Nothing decided yet" in shown.text and "/inbox" in shown.links and items(shown) == []


async def test_each_kind_of_decision_is_told_and_undone_from_the_history(
    said: Said, story: Story, clock: Clock
) -> None:
    await said.say("confirm", await find(story, "e1", artist="Low"))
    await said.say("dismiss", await find(story, "e2", artist="Pulp"))
    await said.say("snooze", await find(story, "e3", artist="Blur"), {"days": 7})
    first, second = story.suggestion("e4", READING, 0.6), story.suggestion("e4", ASTORIA, 0.5)
    await story.found("e4", first, second)
    clock.move(minutes=1)
    await said.say("other-night", first.suggestion_id, {"concert_id": str(second.concert_id)})
    shown = await page(said.client, "/decisions")
    newest, *others = items(shown)
    assert newest.startswith("Another night Stands Radiohead, Friday, 27 May 1994, Astoria")
    assert "and not Radiohead, Saturday, 27 August 1994" in newest and "1 Mar 2026, 12:01" in newest
    for told, kind, artist in zip(
        others, ("Put off (until 8 Mar 2026)", "Dismissed", "Confirmed"), ("Blur", "Pulp", "Low"), strict=True
    ):
        assert told.startswith(f"{kind} Stands {artist}, Saturday, 27 August 1994, Little John's Farm, Reading")
        assert "You wrote: Radiohead, summer 1994" in told
    clock.move(days=400)  # there is no time limit
    await story.sign_in(said.client, clock)
    shown = await page(said.client, "/decisions")
    assert items(shown)[1].startswith("Put off (until 8 Mar 2026) Over: it is asked again")
    for left in (3, 2, 1):
        assert len(undos(shown)) == left
        shown = await send(said.client, undos(shown)[-1], {})
        assert "Undone: " in shown.text
    assert undos(shown) == []
    assert [one.split(" on ")[0] for one in items(shown) if "Taken back" in one] == [
        "Another night Taken back", "Dismissed Taken back", "Confirmed Taken back",
    ]  # fmt: skip
    assert set((await said.states()).values()) == {"open"}


async def test_an_act_that_was_not_seen_is_taken_back_as_well(said: Said, story: Story) -> None:
    bill = [{"concert_id": str(uuid4()), "artist": "Support", "role": "support"}]
    concert = READING.model_validate(READING.model_dump() | {"bill": bill})
    (one,) = await story.found("e1", story.suggestion("e1", concert))
    await said.say("not-seen", one, {"concert_id": bill[0]["concert_id"]})
    shown = await page(said.client, "/decisions?kind=not_seen")
    assert items(shown)[0].startswith("Not seen Stands Support, Saturday, 27 August 1994")
    undone = await send(said.client, undos(shown)[0], {})
    assert "Not seen Taken back" in items(undone)[0]
    assert await said.actions() == ["not_seen", "undone"]


async def test_a_bulk_is_one_item_with_one_undo_and_can_be_looked_at_one_by_one(said: Said, story: Story) -> None:
    for number in range(25):
        await find(story, f"e{number:02}", artist=f"Band {number:02}")
    await said.say("confirm", await find(story, "single", artist="Alone"))
    token = (await said.post("/suggestions/bulk", {"dry_run": True, "action": "confirm"}))["data"]["token"]
    await said.post("/suggestions/bulk", {"token": token})
    shown = await page(said.client, "/decisions")
    assert len(items(shown)) == 2
    assert items(shown)[0].startswith("Confirmed: 25 entries at once Stands Band ") and "and others" in items(shown)[0]
    each = await page(said.client, f"/decisions?together={token}")
    assert len(items(each)) == 20 and all("Confirmed Stands Band" in one for one in items(each))
    earlier = next(link for link in each.links if "cursor=" in link)
    assert len(items(await page(said.client, earlier))) == 5
    one = await send(said.client, undos(each)[0], {})
    assert "Confirmed Taken back" in items(one)[0] and f"together={token}" in str(one.forms[-1].fields) + one.html
    part = await page(said.client, "/decisions")
    assert "24 of them still stand" in items(part)[0]
    undo = next(form for form in undos(part) if token in form.action)
    undone = await send(said.client, undo, {})
    assert "Undone: 24 are open again. 1 was decided otherwise since" in " ".join(undone.text.split())
    assert "Taken back, or decided otherwise later" in items(undone)[0] and len(undos(undone)) == 1
    assert set((await said.states("state=all&take=100")).values()) == {"open", "confirmed"}


async def test_pages_lead_through_all_decisions_newest_first(said: Said, story: Story) -> None:
    for number in range(45):
        await said.say("confirm", await find(story, f"e{number:02}", artist=f"Band {number:02}"))
    told: list[str] = []
    address = "/decisions"
    while address:
        shown = await page(said.client, address)
        told += items(shown)
        address = next((link for link in shown.links if "cursor=" in link), "")
    assert [re.search(r"Band \d\d", one)[0] for one in told] == [f"Band {n:02}" for n in range(44, -1, -1)]  # type: ignore[index]


async def test_the_history_is_filtered_by_artist_and_kind(said: Said, story: Story) -> None:
    await said.say("confirm", await find(story, "e1", artist="Low"))
    await said.say("dismiss", await find(story, "e2", artist="Low"))
    await said.say("dismiss", await find(story, "e3", artist="100% Pulp_"))
    for query, number in (
        ("artist=low", 2), ("artist=low&kind=dismissed", 1), ("kind=dismissed", 2), ("artist=%25 pulp_", 1),
        ("artist=radiohead", 3), ("kind=snoozed", 0), ("artist=lo%25w", 0),
    ):  # fmt: skip
        shown = await page(said.client, f"/decisions?{query}")
        assert len(items(shown)) == number, query
    assert "No decision fits." in shown.text and "/decisions" in shown.links
    filtered = await page(said.client, "/decisions?artist=low&kind=dismissed")
    after = await send(said.client, undos(filtered)[0], {})
    assert [one.split(" on ")[0] for one in items(after)] == ["Dismissed Taken back"]


async def test_what_does_not_stand_any_more_says_why_and_has_no_undo(said: Said, story: Story) -> None:
    lifted = story.suggestion("e1", READING)
    await story.found("e1", lifted)
    await said.say("dismiss", lifted.suggestion_id)
    await show_again(story, "e1", lifted.model_copy(update={"signature": "s2"}))
    later = await find(story, "e2")
    await said.say("snooze", later, {"days": 7})
    await said.say("confirm", later)
    shown = await page(said.client, "/decisions")
    assert [one.split(" Radiohead")[0] for one in items(shown)] == [
        "Confirmed Stands",
        "Put off (until 8 Mar 2026) Decided otherwise later",
        "Dismissed Asked again: what is known of it has changed",
    ]
    assert len(undos(shown)) == 1


async def test_a_move_that_was_moved_on_is_undone_in_its_turn(said: Said, story: Story) -> None:
    nights = [READING.model_copy(update={"night": date(1994, 8, day)}) for day in (27, 28, 29)]
    one, two, three = (story.suggestion("e1", night, 0.5) for night in nights)
    await story.found("e1", one, two, three)
    await said.say("other-night", one.suggestion_id, {"concert_id": str(two.concert_id)})
    await said.say("other-night", two.suggestion_id, {"concert_id": str(three.concert_id)})
    shown = await page(said.client, "/decisions")
    assert [one[:25] for one in items(shown)] == ["Another night Stands Radi", "Another night Taken back "]
    back = await send(said.client, undos(shown)[0], {})
    assert "Another night Stands Radiohead, Sunday, 28 August 1994" in " ".join(items(back))
    await send(said.client, undos(back)[0], {})
    assert await said.states() == {"e1": "open"}


async def test_the_undo_of_an_old_page_takes_nothing_back_that_was_decided_since(said: Said, story: Story) -> None:
    one = await find(story, "e1")
    await said.say("confirm", one)
    old = await page(said.client, "/decisions")
    await said.say("undo", one)
    repeated = await send(said.client, undos(old)[0], {})  # taken back already, by itself
    assert "Undone: Radiohead, 27 Aug 1994" in repeated.text
    await said.say("confirm", one)
    told = await send(said.client, undos(old)[0], {})
    assert "Nothing changed: something else was decided since." in told.text
    assert await said.actions() == ["confirmed", "undone", "confirmed"]


async def test_history_is_the_users_alone_and_its_forms_are_of_its_session(
    said: Said, story: Story, clock: Clock
) -> None:
    await said.say("confirm", await find(story, "e1", artist="Secret"))
    shown = await page(said.client, "/decisions")
    (undo,) = undos(shown)
    await send(said.client, undo, {"form_token": None}, status=403)
    stranger = Story(story.engine, story.settings)
    await stranger.sign_in(said.client, clock)
    await Said(said.client, stranger, clock).say("confirm", await find(stranger, "e1", artist="Own"))
    theirs = await page(said.client, "/decisions")
    assert "Secret" not in theirs.text
    foreign = Sent(undo.action, undos(theirs)[0].fields)
    await send(said.client, foreign, {}, status=404)
    await send(said.client, Sent("/decisions/x/undo", foreign.fields), {}, status=404)
    decision = undo.action.split("/")[2]
    assert "Secret" not in (await page(said.client, f"/decisions?undone={decision}")).text
    said.client.cookies.clear()
    assert (await said.client.get("/decisions")).status_code == 401
    assert await said.actions() == ["confirmed"]


async def test_hostile_names_in_the_history_are_text(said: Said, story: Story) -> None:
    for number, name in enumerate((HOSTILE, LONG)):
        await said.say("confirm", await find(story, f"e{number}", artist=name))
    shown = await page(said.client, "/decisions")
    assert "<script>" not in shown.html and "&lt;script&gt;" in shown.html and LONG in shown.text
    undone = await send(said.client, undos(shown)[-1], {})
    assert "<script>" not in undone.html


async def test_times_are_told_in_the_users_zone_and_language(said: Said, story: Story, clock: Clock) -> None:
    await known(story, READING, "radiohead")
    answer = await said.client.patch(
        "/v1/preferences", headers=story.headers(clock), json={"tz": "Australia/Melbourne"}
    )
    assert answer.status_code == 200
    await said.say("confirm", await find(story, "e1"))
    shown = await page(said.client, "/decisions", language="de")
    assert "01.03.2026, 23:00" in items(shown)[0] and "Bestätigt Gilt" in items(shown)[0]
    assert "Australia/Melbourne" in shown.text


@pytest.mark.parametrize("query", ["kind=x", "cursor=x", "together=x", "artist=%00", "undone=1"])
async def test_a_broken_address_of_the_history_is_a_page(said: Said, query: str) -> None:
    await page(said.client, f"/decisions?{query}", 400)
