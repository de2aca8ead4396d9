"""What a page that is open hears of: the stream by its cookie, and what became of the entries that it shows."""

import asyncio
from uuid import UUID

import pytest

from api.app import create_app
from deploy.settings import Settings
from schemas.history import Remembered
from schemas.ids import companion_entry_id
from tests.api.forms import page
from tests.api.support import ASTORIA, READING, Client, Clock, Story, reach
from tests.api.test_api_decisions import Said, show_again

pytestmark = pytest.mark.stack

QUICK = 0.05
HOSTILE = '<script>alert("x")</script>/ä & "e" 1'


@pytest.fixture
async def said(client: Client, story: Story, clock: Clock) -> Said:
    await story.sign_in(client, clock)
    return Said(client, story, clock)


async def listened(client: Client, clock: Clock, address: str, last: int | None = None) -> str:
    """What a stream says until its session ends."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    listening = asyncio.create_task(client.get(address, headers=headers))
    await asyncio.sleep(0.5)
    assert not listening.done(), listening.result().text
    clock.move(hours=9)
    answer = await asyncio.wait_for(listening, 20)
    clock.move(hours=-9)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
    assert "no-store" in answer.headers["cache-control"]
    return answer.text


def ids(text: str) -> list[int]:
    return [int(line.removeprefix("id: ")) for line in text.splitlines() if line.startswith("id: ")]


async def test_the_stream_of_the_page_goes_on_where_it_ended_by_header_or_by_address(
    migrated: Settings, story: Story, clock: Clock
) -> None:
    settings = migrated.model_copy(update={"stream_poll_s": QUICK})
    async with reach(create_app(settings, clock=clock, rate_limits=False)) as client:
        assert (await client.get("/inbox/stream")).status_code == 401
        await story.sign_in(client, clock)
        (last,) = ids(await listened(client, clock, "/inbox/stream"))
        (one,) = await story.found("e1", story.suggestion("e1", READING))
        await client.post(f"/v1/suggestions/{one}/confirm", headers=story.headers(clock))
        for told in (
            await listened(client, clock, "/inbox/stream", last),
            await listened(client, clock, f"/inbox/stream?since={last}"),
            await listened(client, clock, "/inbox/stream?since=1", last),
        ):
            kinds = [line for line in told.splitlines() if line.startswith("event: ")]
            assert kinds == ["event: suggestions", "event: decision", "event: ready"]
            assert '"entry_id":"e1"' in told and "made_at" not in told
        assert (await client.get("/inbox/stream?since=x")).status_code == 400


async def test_news_are_of_what_was_decided_withdrawn_or_put_off_and_not_of_what_is_open(
    said: Said, story: Story
) -> None:
    for entry_id in ("confirmed", "dismissed", "snoozed", "gone", "open"):
        await story.found(entry_id, story.suggestion(entry_id, READING, 0.6), story.suggestion(entry_id, ASTORIA, 0.5))
    one = {entry_id: story.suggestion(entry_id, READING).suggestion_id for entry_id in ("confirmed", "snoozed")}
    await said.say("confirm", one["confirmed"])
    await said.say("snooze", one["snoozed"], {"days": 7})
    for night in (READING, ASTORIA):
        await said.say("dismiss", story.suggestion("dismissed", night).suggestion_id)
    await show_again(story, "gone")
    shown = await page(
        said.client, "/inbox/news?found=3&entry=confirmed&entry=open&entry=dismissed&entry=snoozed&entry=gone&entry=no"
    )
    told = " ".join(shown.text.split())
    assert "3 new shows found." in told
    assert "Confirmed on another device: Radiohead, Saturday, 27 August 1994, Little John's Farm, Reading" in told
    assert "Dismissed on another device: Radiohead, Friday, 27 May 1994" in told
    assert "Put off on another device, until 8 Mar 2026: Radiohead" in told
    assert told.count("no source tells of it as it did") == 2
    assert [part.split('"')[0] for part in shown.html.split('data-entry="')[1:]] == [
        "confirmed", "dismissed", "snoozed", "gone", "no",
    ]  # fmt: skip
    german = await page(said.client, "/inbox/news?found=1&entry=confirmed", language="de")
    assert "1 neues Konzert gefunden." in german.text and "Auf einem anderen Gerät bestätigt" in german.text


async def test_news_without_a_question_say_nothing_and_of_another_user_are_not_told(
    said: Said, story: Story, clock: Clock
) -> None:
    assert "data-entry" not in (await page(said.client, "/inbox/news")).html
    stranger = Story(story.engine, story.settings)
    await stranger.found("theirs", stranger.suggestion("theirs", READING))
    await Said(said.client, stranger, clock).say("confirm", stranger.suggestion("theirs", READING).suggestion_id)
    shown = await page(said.client, "/inbox/news?entry=theirs")
    assert "Radiohead" not in shown.text and 'data-state="gone"' in shown.html
    for query in ("entry=%00", "found=-1", "found=x"):
        await page(said.client, f"/inbox/news?{query}", 400)
    said.client.cookies.clear()
    assert (await said.client.get("/inbox/news")).status_code == 401


async def test_ids_and_names_in_news_are_text(said: Said, story: Story) -> None:
    concert = READING.model_copy(update={"artist": HOSTILE})
    (one,) = await story.found(HOSTILE, story.suggestion(HOSTILE, concert), entry=Remembered(artist=HOSTILE))
    companion = companion_entry_id(UUID(int=1), UUID(int=2))
    await story.found(companion, story.suggestion(companion, concert), entry=Remembered(), origin="companion")
    await said.say("confirm", one)
    answer = await said.client.get("/inbox/news", params={"entry": [HOSTILE, companion]})
    assert answer.status_code == 200
    assert "<script>" not in answer.text.replace('<script type="module"', "") and "&lt;script&gt;" in answer.text
    assert answer.text.count("data-entry=") == 1
