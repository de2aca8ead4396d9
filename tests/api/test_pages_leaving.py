"""Leaving by the pages: counted, typed in one's own words, all or nothing; and a receipt that needs no account."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text, update

from api.app import create_app
from api.pages.leaving import STAYS, WORD, stays
from api.pages.words import _, spoken
from api.services import COOKIE
from deploy.erasing import ledger
from schemas.erasure import TOPICS, How
from schemas.tables import ErasureRow
from tests.api.forms import page, send
from tests.api.support import START, Client, Clock, Story, reach
from tests.api.test_friends import Person, at_a_show


def test_every_topic_that_only_expires_is_told_with_its_last_day() -> None:
    assert set(STAYS) == {name for name, place in TOPICS.items() if place.how is How.EXPIRES}
    told = stays(START)
    assert len(told) == len(STAYS) and all(one.until > START for one in told)


@pytest.fixture
def ann(client: Client, story: Story, clock: Clock) -> Person:
    return Person(client, story, clock)


async def gone(story: Story) -> bool:
    async with story.engine.connect() as connection:
        return await ledger.known(connection, story.user) is not None


@pytest.mark.stack
async def test_the_page_counts_what_there_is_and_says_what_stays(ann: Person, story: Story, clock: Clock) -> None:
    await ann.story.sign_in(ann.client, clock)
    assert "There is nothing of yours yet." not in (await page(ann.client, "/settings/leave")).text  # the sign-in is
    await ann.was_at(await at_a_show(story))
    await ann.follow("somebody")
    shown = await page(ann.client, "/settings/leave")
    for about, number in (("Your shows, as the journal has them", 1), ("Whom you follow, or asked to", 1)):
        assert f"{about}</td><td>{number}</td>" in shown.html
    assert "Whom you block" not in shown.text  # of which there is nothing
    assert "at the latest" in shown.text and "Backups" in shown.text and "fingerprint" in shown.text
    assert "/settings#export" in shown.links and not await gone(story)


@pytest.mark.stack
@pytest.mark.parametrize(("language", "words"), [("en", "Delete  EVERYTHING "), ("de", "alles löschen")])
async def test_nothing_is_deleted_before_the_words_are_typed_in_ones_own_language(
    ann: Person, clock: Clock, language: str, words: str
) -> None:
    with spoken(language):
        word = str(_(WORD))
    await ann.story.sign_in(ann.client, clock)
    form = (await page(ann.client, "/settings/leave", language=language)).form("/settings/leave")
    for typed in ("", "yes", ann.user, word[:-1], '"><script>'):
        refused = await send(ann.client, form, {"word": typed}, 400, language=language)
        assert word in refused.wrong["word"] and refused.form("/settings/leave").fields["word"] == typed
        assert "<script>" not in refused.html
    assert (await ann.client.post("/settings/leave", data={"word": word})).status_code == 403
    assert not await gone(ann.story)
    assert " ".join(words.split()).casefold() == word.casefold()
    receipt = await send(ann.client, form, {"word": words}, language=language)
    assert receipt.status == 200 and await gone(ann.story)
    assert COOKIE not in ann.client.cookies


@pytest.mark.stack
async def test_the_receipt_is_read_by_whoever_has_its_address_and_ends_with_what_was_removed(
    ann: Person, clock: Clock
) -> None:
    await ann.story.sign_in(ann.client, clock)
    cookie = ann.client.cookies[COOKIE]
    form = (await page(ann.client, "/settings/leave")).form("/settings/leave")
    receipt = await send(ann.client, form, {"word": "delete everything"})
    (saved,) = [link for link in receipt.links if link.startswith("/v1/erasures/")]
    address = f"/farewell/{saved.rpartition('/')[2]}"
    assert "Everything is being deleted" in receipt.text and f'data-stream="{address}/stream"' in receipt.html
    assert '<noscript><meta http-equiv="refresh"' in receipt.html
    assert ann.user not in receipt.html
    again = await ann.client.get("/inbox", headers={"Cookie": f"{COOKIE}={cookie}"})
    assert again.status_code == 401 and f'<a href="{address}">Your receipt</a>' in again.text
    told = {"removed": {"postgres state.entries": 3}, "found": [], "clean": True}
    left = {"where": "gigz.digest.v1", "what": "messages", "count": 1, "until": "2026-04-01T12:00:00+00:00"}
    done = {"user_id": None, "done_at": clock(), "receipt": told | {"found": [left]}}
    async with ann.story.engine.begin() as connection:
        named = ErasureRow.receipt_id == UUID(saved.rpartition("/")[2])
        await connection.execute(update(ErasureRow).where(named).values(**done))
    shown = await page(ann.client, address)
    assert "Everything is deleted" in shown.text and "data-stream" not in shown.html and "refresh" not in shown.html
    assert "postgres state.entries" in shown.text and "1 Apr 2026" in shown.text
    assert (await ann.client.get(saved)).json()["data"]["receipt"]["removed"] == {"postgres state.entries": 3}
    await page(ann.client, f"/farewell/{uuid4()}", 404)


@pytest.fixture
async def quick(story: Story, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API that looks often."""
    settings = story.settings.model_copy(update={"stream_poll_s": 0.05})
    async with reach(create_app(settings, clock=clock, rate_limits=False)) as client:
        yield client


@pytest.mark.stack
async def test_who_waits_for_the_end_is_told_of_it(quick: httpx.AsyncClient, story: Story, clock: Clock) -> None:
    ann = Person(quick, story, clock)
    receipt_id = (await ann.ask("DELETE", "/me", {"confirm": ann.user})).json()["data"]["receipt_id"]

    async def end() -> None:
        async with story.engine.begin() as connection:
            await asyncio.sleep(0.3)
            await connection.execute(
                text("update state.erasures set tries = 1 where receipt_id = :r"), {"r": receipt_id}
            )
        await asyncio.sleep(0.3)
        async with story.engine.begin() as connection:
            closed = "update state.erasures set user_id = null, done_at = now(), receipt = '{}' where receipt_id = :r"
            await connection.execute(text(closed), {"r": receipt_id})

    ending = asyncio.create_task(end())
    answer = await quick.get(f"/farewell/{receipt_id}/stream")  # ends by itself
    await ending
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("event: ").strip() for line in answer.text.splitlines() if line.startswith("event:")]
    assert events == ["ready", "progress", "done"]
    assert (await quick.get(f"/farewell/{uuid4()}/stream")).status_code == 404
