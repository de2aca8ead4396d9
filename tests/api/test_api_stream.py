"""The stream: what is new, from any process, each once to whoever stays and at least once to whoever comes back."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from sqlalchemy import text, update

from api.app import create_app
from api.news import Event, News
from api.services import Caller, Services
from api.stream import events, messages
from api.tokens import Claims
from deploy.settings import Settings
from schemas.tables import SuggestionsRow
from tests.api.support import READING, Client, Clock, Story, reach

QUICK = 0.05


def test_the_last_event_of_a_transaction_carries_its_number_and_a_device_is_not_told_of_itself() -> None:
    def event(tx: int, device: str | None = None) -> Event:
        return Event("decision", tx, device, {"decision_id": str(tx), "action": "confirmed", "why": ["long"]})

    told = [*messages([event(1), event(1), event(2, "phone"), event(3)], "phone")]
    assert [one.id for one in told] == [None, 1, 3]
    assert orjson.loads(str(told[0].data)) == {"decision_id": "1", "action": "confirmed"}
    assert len([*messages([event(2, "phone")], None)]) == 1


class Heard:
    """One device that listens."""

    def __init__(self, services: Services, story: Story, clock: Clock, device: str | None, since: int | None) -> None:
        caller = Caller(story.user, Claims("s", clock.now.replace(year=2030)))
        self._stream = events(services, caller, device, since)

    async def next(self) -> tuple[str | None, int | None, dict[str, object]]:
        """Kind, number and data of the next event; comments are left out."""
        while True:
            message = await asyncio.wait_for(anext(self._stream), 20)
            if message.data is not None:
                return message.event, None if message.id is None else int(message.id), orjson.loads(str(message.data))

    async def close(self) -> None:
        await self._stream.aclose()  # type: ignore[attr-defined]


@pytest.fixture
async def services(migrated: Settings, clock: Clock) -> AsyncIterator[Services]:
    """Of a process of its own: not the one that decides."""
    app = create_app(migrated.model_copy(update={"stream_poll_s": QUICK}), clock=clock, rate_limits=False)
    async with reach(app):
        yield app.state.services


@pytest.mark.stack
async def test_a_decision_made_by_another_process_is_told_and_whoever_was_away_hears_it_later(
    client: Client, story: Story, clock: Clock, services: Services
) -> None:
    first, second = [story.suggestion(f"e{n}", READING) for n in range(2)]
    tablet = Heard(services, story, clock, "tablet", None)
    kind, began, _ = await tablet.next()
    assert kind == "ready" and began is not None
    await story.found("e0", first)
    kind, seen, data = await tablet.next()
    assert (kind, data["entry_id"], data["origin"]) == ("suggestions", "e0", "entry")
    assert isinstance(data["best"], dict) and data["best"]["artist"] == "Radiohead"
    phone = story.headers(clock) | {"X-Device": "phone"}
    await client.post(f"/v1/suggestions/{first.suggestion_id}/confirm", headers=phone)
    kind, number, data = await tablet.next()
    assert (kind, data["action"], data["suggestion_id"]) == ("decision", "confirmed", str(first.suggestion_id))
    assert began is not None and seen is not None and number is not None and began < seen < number
    await tablet.close()
    assert services.news.listening(story.user) == 0
    # Away: two things happen, one of them its own.
    await story.found("e1", second)
    own = story.headers(clock) | {"X-Device": "tablet"}
    await client.post(f"/v1/suggestions/{second.suggestion_id}/dismiss", headers=own)
    again = Heard(services, story, clock, "tablet", number + 1)
    told = [await again.next() for _ in range(2)]
    assert [(kind, data.get("entry_id")) for kind, _, data in told] == [("suggestions", "e1"), ("ready", None)]
    await again.close()
    stranger = Heard(services, Story(story.engine, story.settings), clock, None, began + 1)
    assert (await stranger.next())[0] == "ready"
    await stranger.close()


@pytest.mark.stack
async def test_what_commits_late_is_told_late_and_not_missed(story: Story, clock: Clock, services: Services) -> None:
    await story.found("early", story.suggestion("early", READING))
    await story.found("late", story.suggestion("late", READING))
    heard = Heard(services, story, clock, None, None)
    await heard.next()
    touch = update(SuggestionsRow).where(SuggestionsRow.user_id == story.user)
    number = text("(pg_current_xact_id()::text)::bigint")
    async with story.engine.connect() as slow:
        await slow.execute(touch.where(SuggestionsRow.entry_id == "late").values(tx=number))
        async with story.engine.begin() as quick:  # a higher number, committed first
            await quick.execute(touch.where(SuggestionsRow.entry_id == "early").values(tx=number))
        await asyncio.sleep(5 * QUICK)
        await slow.commit()
    assert {(await heard.next())[2]["entry_id"] for _ in range(2)} == {"early", "late"}
    await heard.close()


@pytest.mark.stack
async def test_a_number_of_another_database_or_too_long_ago_asks_to_read_the_lists_again(
    story: Story, clock: Clock, services: Services
) -> None:
    heard = Heard(services, story, clock, None, 10**17)
    assert (await heard.next())[0] == "reset"
    await heard.close()


@pytest.mark.stack
async def test_a_stream_ends_with_its_token_and_with_its_process(
    migrated: Settings, story: Story, clock: Clock
) -> None:
    settings = migrated.model_copy(update={"stream_poll_s": QUICK})
    async with reach(create_app(settings, clock=clock, rate_limits=False)) as client:
        listening = asyncio.create_task(client.get("/v1/stream", headers=story.headers(clock)))
        await asyncio.sleep(1)
        assert not listening.done()
        clock.move(minutes=16)
        answer = await asyncio.wait_for(listening, 20)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "event: ready" in answer.text and ": still here" in answer.text
        wrong = await client.get("/v1/stream", headers=story.headers(clock) | {"Last-Event-ID": "x"})
        assert wrong.json()["error"]["details"][0]["field"] == "Last-Event-ID"
    news = News(story.engine, QUICK)
    async with news.listen(story.user, None) as (listener, _):
        news.stop()
        assert await asyncio.wait_for(listener.looks.get(), 5) is None
    await news.close()
