"""A list of cards that is open while things happen: elsewhere, on the way, or while nobody can be reached."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Locator, Page, Route, expect
from sqlalchemy import text

from tests.api.support import ASTORIA, READING, Story
from tests.api.test_api_decisions import Said, show_again
from tests.pages.furnishing import somebody
from tests.pages.serving import Site

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

TOP = "one => one.getBoundingClientRect().top"
AWAY = "Failed to load resource"
"""What Chromium itself says of an answer that is none, or an error."""


@pytest.fixture
def ann(site: Site) -> Story:
    return somebody(site.client, site.story, site.clock).story


@pytest.fixture
def said(site: Site, ann: Story) -> Said:
    """Her other device."""
    return Said(site.client, ann, site.clock)


async def find(ann: Story, entry_id: str, artist: str, confidence: float = 0.9) -> None:
    await ann.found(entry_id, ann.suggestion(entry_id, READING.model_copy(update={"artist": artist}), confidence))


@asynccontextmanager
async def inbox(site: Site, ann: Story, *artists: str) -> AsyncIterator[Page]:
    """A page with a card for each artist, in this order; what the browser says of broken connections is expected."""
    for number, artist in enumerate(artists):
        await find(ann, f"e{number}", artist, 0.95 - number / 50)
    context = await site.context(ann.user)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda told: complaints.append(told.text) if AWAY not in told.text else None)
    await page.goto(f"{site.base}/inbox")
    await expect(page.locator("[data-card]")).to_have_count(len(artists))
    yield page
    await context.close()
    assert complaints == []


def card(page: Page, artist: str) -> Locator:
    return page.locator("[data-card]").filter(has=page.get_by_role("heading", name=artist, exact=True))


async def actions(ann: Story) -> list[tuple[str, str]]:
    return [(row.entry_id, row.action.value) for row in await ann.decisions()]


async def test_new_shows_come_under_a_heading_at_the_end_with_a_way_to_them(site: Site, ann: Story) -> None:
    async with inbox(site, ann, "Low", "Pulp") as page:
        await card(page, "Low").focus()
        before = await card(page, "Pulp").evaluate(TOP)
        await find(ann, "n0", "Muse", 0.99)
        bar = page.locator("#news")
        await expect(bar).to_contain_text("1 new show found.")
        await find(ann, "n1", "Blur", 0.98)
        await expect(bar).to_contain_text("2 new shows found.")
        assert abs(await card(page, "Pulp").evaluate(TOP) - before) <= 1
        assert await page.locator("[data-card] h2").all_inner_texts() == ["Low", "Pulp", "Muse", "Blur"]
        since = page.get_by_role("region", name="New since you opened this page")
        await expect(since.locator("[data-card]")).to_have_count(2)
        await expect(card(page, "Low")).to_be_focused()
        await bar.get_by_role("link", name="Go to them").click()
        await expect(card(page, "Muse")).to_be_focused()
        await expect(card(page, "Muse")).to_be_in_viewport()
        await expect(bar).to_be_empty()
        await page.keyboard.press("y")
        await expect(page.locator("#toast")).to_contain_text("Muse")
        await expect(card(page, "Blur")).to_be_focused()


async def test_a_card_decided_elsewhere_stays_and_says_so_until_it_is_taken_off_or_undone(
    site: Site, ann: Story, said: Said
) -> None:
    async with inbox(site, ann, "Low", "Pulp", "Blur") as page:
        low, pulp, blur = card(page, "Low"), card(page, "Pulp"), card(page, "Blur")
        before = await blur.evaluate(TOP)
        await said.say("confirm", ann.suggestion("e0", READING.model_copy(update={"artist": "Low"})).suggestion_id)
        await said.say("dismiss", ann.suggestion("e1", READING.model_copy(update={"artist": "Pulp"})).suggestion_id)
        await expect(low).to_contain_text("Confirmed on another device: Low, Saturday, 27 August 1994")
        await expect(pulp).to_contain_text("Dismissed on another device")
        await expect(page.locator("#said")).to_contain_text("on another device")
        assert abs(await blur.evaluate(TOP) - before) <= 1
        await low.focus()
        await page.keyboard.press("y")
        await low.get_by_role("button", name="Not me").click(force=True)
        await page.wait_for_timeout(300)
        assert len(await actions(ann)) == 2  # its buttons are held
        assert await low.evaluate("one => [...one.querySelectorAll('a, button, summary')].map(it => it.tabIndex)") == (
            [-1] * (await low.locator("a, button, summary").count() - 1) + [0]
        )  # what is covered is not come to by Tab
        await said.say("undo", ann.suggestion("e0", READING.model_copy(update={"artist": "Low"})).suggestion_id)
        await expect(low).not_to_contain_text("on another device")
        await expect(low.get_by_role("button", name="Confirm")).to_be_enabled()
        await pulp.get_by_role("button", name="Take it off this page").click()
        await expect(pulp).to_have_count(0)
        await expect(blur).to_be_focused()


async def test_the_focus_stays_on_what_is_read_again_beneath_it(site: Site, ann: Story) -> None:
    async with inbox(site, ann, "Low") as page:
        await page.get_by_role("link", name="History of decisions").focus()
        await find(ann, "n0", "Muse")
        await expect(page.locator("#counts")).to_contain_text("2 to decide")
        await expect(page.get_by_role("link", name="History of decisions")).to_be_focused()


async def test_a_card_that_is_known_otherwise_now_says_so_and_shows_it_when_asked(site: Site, ann: Story) -> None:
    async with inbox(site, ann, "Low", "Pulp") as page:
        one, two = (show.model_copy(update={"artist": "Low"}) for show in (READING, ASTORIA))
        await card(page, "Pulp").focus()
        before = await card(page, "Pulp").evaluate(TOP)
        await show_again(ann, "e0", ann.suggestion("e0", two, 0.9), ann.suggestion("e0", one, 0.1))
        await touched(ann, "e0")
        low = card(page, "Low")
        await expect(low).to_contain_text("Something else is known of this now.")
        if await page.evaluate("scrollY > 0 || document.body.scrollHeight > innerHeight"):
            assert abs(await card(page, "Pulp").evaluate(TOP) - before) <= 1
        await expect(low.locator(".when").first).to_contain_text("27 August 1994")  # it is not changed by itself
        await low.get_by_role("button", name="Show what changed").click()
        await expect(low.locator(".when").first).to_contain_text("27 May 1994")
        await expect(low).to_be_focused()
        await show_again(ann, "e1")
        await touched(ann, "e1")
        await expect(card(page, "Pulp")).to_contain_text("no source tells of it as it did")


async def touched(ann: Story, entry_id: str) -> None:
    """As match leaves a row that it wrote: with the number of its transaction."""
    async with ann.engine.begin() as connection:
        await connection.execute(
            text(
                "update state.suggestions set tx = pg_current_xact_id()::text::bigint"
                " where user_id = :user and entry_id = :entry"
            ),
            {"user": ann.user, "entry": entry_id},
        )


async def test_decisions_that_overtake_each_other_are_all_made_in_their_order(site: Site, ann: Story) -> None:
    async with inbox(site, ann, "Low", "Pulp", "Blur") as page:
        sent: list[str] = []

        async def slower_at_first(route: Route) -> None:
            sent.append(route.request.url)
            await asyncio.sleep(0.8 if len(sent) == 1 else 0)
            await route.continue_()

        await page.route("**/inbox/*/*", slower_at_first)
        for key in "jyjnjy":
            await page.keyboard.press(key)
        await expect(card(page, "Low")).to_have_attribute("aria-busy", "true")
        await page.keyboard.press("y")  # again, on one that is on its way
        await expect(page.get_by_role("heading", name="All decided")).to_be_visible()
    assert await actions(ann) == [("e0", "confirmed"), ("e1", "dismissed"), ("e2", "confirmed")]
    assert len(sent) == 3


async def test_what_did_not_arrive_is_not_lost_and_is_sent_again(site: Site, ann: Story) -> None:
    async with inbox(site, ann, "Low", "Pulp", "Blur") as page:
        await page.context.set_offline(True)
        for key in "jyjn":
            await page.keyboard.press(key)
        trouble = page.get_by_role("alert")
        await expect(trouble).to_contain_text("did not reach us")
        await expect(page.locator("[data-card]")).to_have_count(3)
        await expect(card(page, "Low").get_by_role("button", name="Confirm")).to_be_enabled()
        await trouble.get_by_role("button", name="Try again").click()
        await expect(trouble).to_contain_text("did not reach us")  # still away
        await page.context.set_offline(False)
        await trouble.get_by_role("button", name="Try again").click()
        await expect(page.locator("[data-card]")).to_have_count(1)
        await expect(trouble).to_be_empty()
    assert await actions(ann) == [("e0", "confirmed"), ("e1", "dismissed")]


async def test_an_answer_that_was_lost_is_asked_for_again_and_nothing_is_decided_twice(
    site: Site, ann: Story, said: Said
) -> None:
    async with inbox(site, ann, "Low", "Pulp") as page:
        low = ann.suggestion("e0", READING.model_copy(update={"artist": "Low"})).suggestion_id
        sent: list[str] = []

        async def answer_lost(route: Route) -> None:
            sent.append(route.request.url)
            if len(sent) > 1:
                await route.continue_()
                return
            await route.fulfill(status=503, body="away")
            await expect(page.get_by_role("alert")).to_contain_text("did not reach us")
            await said.say("confirm", low)  # as if it had arrived

        await page.route("**/inbox/*/*", answer_lost)
        for key in "jy":
            await page.keyboard.press(key)
        # The stream tells that it was decided: it is sent again by itself, and the answer is that of the first time.
        await expect(card(page, "Low")).to_have_count(0)
        await expect(page.locator("#toast")).to_contain_text("Confirmed.")
        await expect(page.get_by_role("alert")).to_be_empty()
    assert await actions(ann) == [("e0", "confirmed")] and len(sent) == 2


async def test_what_the_server_refuses_is_said_in_its_words_and_the_list_is_read_anew(site: Site, ann: Story) -> None:
    async with inbox(site, ann, "Low", "Pulp") as page:
        await show_again(ann, "e0")  # withdrawn, and nobody told yet
        for key in "jy":
            await page.keyboard.press(key)
        await expect(page.get_by_role("alert")).to_contain_text("There is no suggestion")
        await expect(card(page, "Low")).to_contain_text("no source tells of it as it did")
        await expect(card(page, "Pulp")).to_have_count(1)
    assert await actions(ann) == []


async def test_a_session_that_is_over_shows_how_to_sign_in(site: Site, ann: Story) -> None:
    async with inbox(site, ann, "Low") as page:
        await page.context.clear_cookies()
        for key in "jy":
            await page.keyboard.press(key)
        await expect(page.get_by_role("heading", name="You are not signed in")).to_be_visible()
    assert await actions(ann) == []


async def test_a_page_that_comes_back_into_view_is_read_again(site: Site, ann: Story, said: Said) -> None:
    async with inbox(site, ann, "Low", "Pulp") as page:
        await page.route("**/inbox/stream*", lambda route: route.abort())  # nothing is told while the lid is closed
        await page.reload()
        await said.say("confirm", ann.suggestion("e0", READING.model_copy(update={"artist": "Low"})).suggestion_id)
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await expect(card(page, "Low")).to_contain_text("Confirmed on another device")
        await expect(page.locator("#counts")).to_contain_text("1 to decide")


async def test_a_page_that_nobody_sees_gives_its_connection_back_and_goes_on_where_it_was(
    site: Site, ann: Story
) -> None:
    async with inbox(site, ann, "Low") as page:
        asked: list[str] = []
        page.on("request", lambda one: asked.append(one.url) if "/inbox/stream" in one.url else None)
        await page.wait_for_timeout(500)  # the stream began
        await page.clock.install()
        for hidden in ("true", "false"):
            await page.evaluate(
                f"Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }});"
                "document.dispatchEvent(new Event('visibilitychange'))"
            )
            if hidden == "true":
                await page.clock.fast_forward(31_000)
                await find(ann, "n0", "Muse")
                await page.wait_for_timeout(1_000)
                await page.clock.fast_forward(5_000)
                assert await page.locator("[data-card]").count() == 1 and asked == []
        for _ in range(20):
            await page.clock.fast_forward(1_000)
            await page.wait_for_timeout(100)
        await expect(page.get_by_role("region", name="New since you opened this page")).to_contain_text("Muse")
        assert len(asked) == 1 and "since=" in asked[0]
