"""Forms and links as the script sends them: while typing, by dropping a file, once, and back again."""

import asyncio

import pytest
from playwright.async_api import Route, expect

from tests.api.support import READING, Story
from tests.api.test_api_decisions import Said
from tests.pages.furnishing import somebody
from tests.pages.serving import Site

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest.fixture
def ann(site: Site) -> Story:
    return somebody(site.client, site.story, site.clock).story


async def decide(site: Site, ann: Story, *artists: str) -> None:
    """Confirmed, each in turn."""
    said = Said(site.client, ann, site.clock)
    for number, artist in enumerate(artists):
        (one,) = await ann.found(
            f"e{number:02}", ann.suggestion(f"e{number:02}", READING.model_copy(update={"artist": artist}))
        )
        await said.say("confirm", one)


async def test_a_search_follows_what_is_typed_and_an_older_answer_is_dropped(site: Site, ann: Story) -> None:
    await decide(site, ann, "Low", "Lowlands", "Pulp")
    asked: list[str] = []
    async with site.visiting(ann.user) as page:
        await page.goto(f"{site.base}/decisions")

        async def first_is_slow(route: Route) -> None:
            asked.append(route.request.url)
            await asyncio.sleep(1.0 if len(asked) == 1 else 0)
            await route.continue_()

        await page.route("**/decisions?*", first_is_slow)
        field = page.get_by_role("searchbox", name="Artist")
        await field.press_sequentially("lo", delay=20)
        await page.wait_for_timeout(400)
        await field.press_sequentially("wlands", delay=20)
        await expect(page.locator("#history li")).to_have_count(1)
        await page.wait_for_timeout(900)  # the slow answer would be there by now
        await expect(page.locator("#history li")).to_have_count(1)
        assert 2 <= len(asked) < len("lowlands"), asked  # not one for each key; a busy machine types with pauses
        await expect(field).to_be_focused()
        assert await field.input_value() == "lowlands"
        assert page.url.endswith("/decisions?artist=lowlands&kind=")
        await page.reload()
        await expect(page.locator("#history li")).to_have_count(1)


async def test_a_part_that_a_link_put_in_is_put_back_by_the_browsers_back(site: Site, ann: Story) -> None:
    await decide(site, ann, *(f"Band {number:02}" for number in range(25)))
    async with site.visiting(ann.user) as page:
        await page.goto(f"{site.base}/decisions")
        await page.evaluate("document.querySelector('a[rel=next]').dataset.swap = 'history'; window.stays = true")
        await page.get_by_role("link", name="Earlier ones").click()
        await expect(page.locator("#history li")).to_have_count(5)
        assert "cursor=" in page.url and await page.evaluate("window.stays")
        assert await page.evaluate("document.activeElement !== document.body")
        await page.go_back()
        await expect(page.locator("#history li")).to_have_count(20)
        assert page.url.endswith("/decisions") and await page.evaluate("window.stays")
        await page.go_forward()
        await expect(page.locator("#history li")).to_have_count(5)


async def test_an_undo_in_the_history_keeps_its_place_and_the_focus(site: Site, ann: Story) -> None:
    await decide(site, ann, "Low", "Pulp", "Blur")
    async with site.visiting(ann.user) as page:
        await page.goto(f"{site.base}/decisions")
        for key in "jju":
            await page.keyboard.press(key)
        pulp = page.locator("#history li").nth(1)
        await expect(pulp).to_contain_text("Taken back")
        await expect(pulp).to_be_focused()
        await expect(page.locator("#toast")).to_contain_text("Undone: Pulp")
        await expect(page.locator("#history").get_by_role("button", name="Undo")).to_have_count(2)


async def test_a_button_says_that_it_is_busy_and_is_pressed_once(site: Site, ann: Story) -> None:
    for number in range(3):
        await ann.found(f"e{number}", ann.suggestion(f"e{number}", READING))
    posts: list[str] = []
    async with site.visiting(ann.user) as page:

        async def unanswered(route: Route) -> None:
            posts.append(route.request.url)
            await route.fulfill(status=204)  # the page stays as it is while a form is on its way

        await page.goto(f"{site.base}/inbox")
        await page.get_by_role("link", name="Confirm all 3 sure ones").click()
        await page.route("**/inbox/bulk", unanswered)
        await page.get_by_role("button", name="Confirm all 3").click()
        held = page.get_by_role("button", name="One moment …")
        await expect(held).to_have_attribute("aria-disabled", "true")
        await held.click(force=True)
        await held.press("Enter")
        assert len(posts) == 1, posts
        await page.unroute("**/inbox/bulk")
        await page.reload()
        await page.get_by_role("button", name="Confirm all 3").click()
        await expect(page.locator("#toast")).to_contain_text("3 confirmed.")
        await page.keyboard.press("u")
        await expect(page.locator("#toast")).to_contain_text("Undone: 3 are open again.")
        await expect(page.locator("[data-card]")).to_have_count(3)


async def test_fields_that_are_called_like_parts_of_a_form_are_sent_all_the_same(site: Site, ann: Story) -> None:
    await ann.found("e1", ann.suggestion("e1", READING))
    async with site.visiting(ann.user) as page:
        await page.goto(f"{site.base}/inbox/bulk?action=confirm&band=sure")  # with a field called action
        await page.evaluate("document.querySelector('form.all').dataset.swap = 'main'; window.stays = true")
        await page.get_by_role("button", name="Confirm it").click()
        await expect(page.get_by_role("heading", name="All decided")).to_be_visible()
        assert await page.evaluate("window.stays")
    assert [row.action.value for row in await ann.decisions()] == ["confirmed"]


async def test_a_part_that_the_answer_does_not_have_loads_the_whole_page(site: Site, ann: Story) -> None:
    await ann.found("e1", ann.suggestion("e1", READING))
    async with site.visiting(ann.user) as page:
        await page.goto(f"{site.base}/inbox/bulk?action=confirm&band=sure")
        await page.evaluate(
            "const all = document.querySelector('form.all'); all.id = 'only'; all.dataset.swap = 'only'"
        )
        await page.get_by_role("button", name="Confirm it").click()
        await page.wait_for_url("**/inbox?bulk=*")
        await expect(page.locator("#toast")).to_contain_text("1 confirmed.")


async def test_a_file_that_is_dropped_anywhere_is_imported(site: Site, ann: Story) -> None:
    async with site.visiting(ann.user) as page:
        await page.goto(f"{site.base}/imports")
        dropped = await page.evaluate_handle(
            """() => {
                const files = new DataTransfer();
                files.items.add(new File(["Band,When\\nLow,1.7.2004\\n"], "shows.csv", { type: "text/csv" }));
                return files;
            }"""
        )
        await page.dispatch_event("h1", "dragover", {"dataTransfer": dropped})
        assert await page.evaluate("document.documentElement.matches('.dropping')")
        await page.dispatch_event("h1", "drop", {"dataTransfer": dropped})
        await page.wait_for_url("**/imports/*-*")
        await expect(page.get_by_role("main")).to_contain_text("shows.csv")
        assert not await page.evaluate("document.documentElement.matches('.dropping')")


async def test_nothing_is_shown_of_the_script_where_it_does_not_run(site: Site, ann: Story) -> None:
    for scripts in (True, False):
        async with site.visiting(ann.user, java_script_enabled=scripts) as page:
            await page.goto(f"{site.base}/inbox")
            button = page.get_by_role("button", name="Keyboard shortcuts")
            await expect(button).to_have_count(int(scripts))
            for live in ("#news", "#trouble", "#said", "#toast"):
                await expect(page.locator(live)).to_be_empty()
