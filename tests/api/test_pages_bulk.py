"""Many entries decided by one press, after they were shown, and taken back by one."""

from datetime import timedelta

import pytest

from api.bulk import Bulked
from api.pages.bulk import SHOWN, told_of, wrote
from api.pages.words import spoken
from schemas.history import Remembered
from tests.api.forms import Sent, Shown, page, send
from tests.api.support import ASTORIA, READING, Client, Clock, Story
from tests.api.test_api_decisions import Said

HOSTILE = '<script>alert("x")</script>\u202e'
SURE = "/inbox/bulk?action=confirm&band=sure"
stack = pytest.mark.stack


def test_what_a_bulk_came_to_is_told_in_one_sentence_and_what_was_left_in_another() -> None:
    done = Bulked.model_validate(
        {"token": "6a3e0c0e-54fb-4a0c-9f6a-2f7c4be21d11", "action": "confirm", "count": 1_412, "applied": True}
    )
    assert told_of(done) == "1,412 confirmed."
    assert told_of(done.model_copy(update={"left": 1})).startswith("1,412 confirmed. 1 was left as it is")
    undone = done.model_copy(update={"undone": True, "count": 1, "left": 2})
    assert told_of(undone) == "Undone: 1 is open again. 2 were decided otherwise since, and stay so."
    with spoken("de"):
        assert told_of(done) == "1.412 bestätigt."


def test_a_line_of_history_is_told_in_short() -> None:
    assert (
        wrote(Remembered(artist="radiohead", date="summer 1994", city="Reading")) == "radiohead, summer 1994, Reading"
    )
    assert wrote(Remembered(note="x" * 500)) == "x" * 119 + "…"


@pytest.fixture
async def said(client: Client, story: Story, clock: Clock) -> Said:
    await story.sign_in(client, clock)
    return Said(client, story, clock)


async def find(story: Story, *confidences: float) -> None:
    """Entries e0, e1, … with a find each."""
    for number, confidence in enumerate(confidences):
        await story.found(f"e{number}", story.suggestion(f"e{number}", READING, confidence))


def apply_form(shown: Shown) -> Sent:
    return shown.form("/inbox/bulk")


@stack
async def test_what_would_be_decided_is_listed_and_counted_and_nothing_is_decided(said: Said, story: Story) -> None:
    await find(story, *[0.97 - number / 10_000 for number in range(SHOWN + 3)], 0.4)
    shown = await page(said.client, SURE)
    assert f"Confirm {SHOWN + 3} shows at once" in shown.text
    assert shown.text.count("Little John's Farm, Reading, United Kingdom") == SHOWN
    assert shown.text.count("Saturday, 27 August 1994") == shown.text.count("Almost certainly this one") == SHOWN
    assert "and 3 more" in shown.text and "You wrote: Radiohead, summer 1994" in shown.text
    assert shown.html.count("<h1") == 1
    assert await story.decisions() == []


@stack
async def test_one_press_decides_just_what_was_counted_and_one_undo_takes_it_back(said: Said, story: Story) -> None:
    await find(story, 0.97, 0.95, 0.93, 0.5)
    shown = await page(said.client, SURE)
    # Decided on another device, and new since the count.
    await said.say("dismiss", story.suggestion("e1", READING).suggestion_id)
    await story.found("e9", story.suggestion("e9", READING, 0.99))
    done = await send(said.client, apply_form(shown), {})
    assert "2 confirmed. 1 was left as it is" in " ".join(done.text.split())
    assert await said.states() == {
        "e0": "confirmed", "e1": "dismissed", "e2": "confirmed", "e3": "open", "e9": "open",
    }  # fmt: skip
    again = await send(said.client, apply_form(shown), {})  # pressed twice, or sent again after the net broke off
    assert "2 confirmed." in again.text and len(await story.decisions()) == 3
    undo = next(form for form in done.forms if form.action.startswith("/inbox/bulk/"))
    undone = await send(said.client, undo, {})
    assert "Undone: 2 are open again." in undone.text
    assert not [form for form in undone.forms if form.action.startswith("/inbox/bulk/")]
    assert sorted((await said.states("state=open")).values()) == ["open"] * 4
    assert "Undone: 2" in (await send(said.client, undo, {})).text and len(await story.decisions()) == 5


@stack
async def test_counted_too_long_ago_it_is_counted_again_and_decides_nothing(
    said: Said, story: Story, clock: Clock
) -> None:
    await find(story, 0.97, 0.95)
    old = await page(said.client, SURE)
    clock.now += timedelta(hours=2)
    await story.found("e9", story.suggestion("e9", READING, 0.99))
    told = await send(said.client, apply_form(old), {}, status=409)
    assert "nothing was decided" in told.text and "Confirm 3 shows at once" in told.text
    assert await story.decisions() == []
    assert "3 confirmed." in (await send(said.client, apply_form(told), {})).text


@stack
async def test_the_filter_of_the_list_is_that_of_the_bulk(said: Said, story: Story) -> None:
    await story.found("e1", story.suggestion("e1", READING, 0.6), story.suggestion("e1", ASTORIA, 0.5))
    low = ASTORIA.model_copy(update={"artist": "Low"})
    await story.found("e2", story.suggestion("e2", low, 0.97), entry=Remembered(artist="Low"))
    shown = await page(said.client, "/inbox/bulk?action=dismiss&artist=radio&year=1994&origin=entry")
    assert "Dismiss 1 entry at once" in shown.text and "and 1 other that it could have been" in shown.text
    done = await send(said.client, apply_form(shown), {})
    assert "1 dismissed." in done.text and await said.states() == {"e1": "dismissed", "e2": "open"}
    later = await page(said.client, "/inbox/bulk?action=snooze")
    assert "31 Mar 2026" in later.text
    assert "1 put off." in (await send(said.client, apply_form(later), {})).text
    empty = await page(said.client, "/inbox/bulk")
    assert "Nothing to decide at once" in empty.text and "/inbox" in empty.links and not empty.forms[1:]


@stack
@pytest.mark.parametrize("query", ["action=undo", "band=x", "year=94", "year=0000", "artist=%00", "origin=x"])
async def test_a_bulk_that_no_page_asks_for_is_refused_with_a_page(said: Said, query: str) -> None:
    assert (await page(said.client, f"/inbox/bulk?{query}", 400)).links


@stack
async def test_a_form_from_elsewhere_and_the_bulk_of_another_decide_nothing(
    said: Said, story: Story, clock: Clock
) -> None:
    await find(story, 0.97)
    mine = apply_form(await page(said.client, SURE))
    await send(said.client, mine, {"form_token": "x"}, status=403)
    await send(said.client, mine, {"form_token": None}, status=403)
    await send(said.client, mine, {"token": "x"}, status=404)
    token = mine.fields["token"]
    await send(said.client, Sent(f"/inbox/bulk/{token}/undo", mine.fields), {}, status=409)
    stranger = Story(story.engine, story.settings)
    await stranger.sign_in(said.client, clock)
    await stranger.found("e1", stranger.suggestion("e1", READING))
    theirs = apply_form(await page(said.client, SURE))
    await send(said.client, theirs, {"token": token}, status=404)
    await send(said.client, Sent(f"/inbox/bulk/{token}/undo", theirs.fields), {}, status=404)
    assert "confirmed" not in (await page(said.client, f"/inbox?bulk={token}")).text.split("to decide")[0]
    assert await story.decisions() == []


@stack
async def test_hostile_names_of_a_bulk_are_text(said: Said, story: Story) -> None:
    concert = READING.model_copy(update={"artist": HOSTILE})
    await story.found("e1", story.suggestion("e1", concert), entry=Remembered(artist=HOSTILE, date="1994"))
    shown = await page(said.client, f"{SURE}&artist={HOSTILE[:8]}")
    assert "<script>" not in shown.html and "&lt;script&gt;" in shown.html
    done = await send(said.client, apply_form(shown), {})
    assert "<script>" not in done.html and len(await story.decisions()) == 1


@stack
async def test_the_preview_speaks_the_readers_language(said: Said, story: Story) -> None:
    await find(story, 0.97, 0.95)
    shown = await page(said.client, SURE, language="de")
    assert "2 Konzerte auf einmal bestätigen" in shown.text and "Samstag, 27. August 1994" in shown.text
