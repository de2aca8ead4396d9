"""One user in two browsers, an API that goes away and comes back, and a history in which anything is undone."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from tests.api.support import ASTORIA, READING, Story
from tests.pages.furnishing import somebody
from tests.pages.serving import QUICK_S, Site, serving

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest.fixture
def ann(site: Site) -> Story:
    """Somebody with three entries; the second has an alternative."""
    return somebody(site.client, site.story, site.clock).story


@pytest_asyncio.fixture(loop_scope="module")
async def found(ann: Story) -> None:
    await ann.found("e1", ann.suggestion("e1", READING.model_copy(update={"artist": "Low"}), 0.98))
    await ann.found("e2", ann.suggestion("e2", READING, 0.8), ann.suggestion("e2", ASTORIA, 0.1))
    await ann.found("e3", ann.suggestion("e3", ASTORIA.model_copy(update={"artist": "Pulp"}), 0.6))


def card(page: Page, artist: str) -> Locator:
    return page.locator("[data-card]").filter(has=page.get_by_role("heading", name=artist))


@asynccontextmanager
async def two(site: Site, ann: Story) -> AsyncIterator[tuple[Page, Page]]:
    """Two browsers that show the same inbox."""
    async with site.visiting(ann.user) as desk, site.visiting(ann.user, 390) as phone:
        for page in (desk, phone):
            await page.goto(f"{site.base}/inbox")
            await expect(page.locator("[data-card]")).to_have_count(3)
        yield desk, phone


async def test_a_decision_in_one_browser_shows_up_in_the_other_and_moves_nothing_there(
    site: Site, ann: Story, found: None
) -> None:
    async with two(site, ann) as (desk, phone):
        await expect(phone.locator("#counts")).to_contain_text("3 to decide")
        lower = card(phone, "Pulp")
        await lower.scroll_into_view_if_needed()
        before = await lower.bounding_box()
        await card(desk, "Low").get_by_role("button", name="Confirm").click()
        await expect(desk.locator("#counts")).to_contain_text("2 to decide")
        await expect(phone.locator("#counts")).to_contain_text("2 to decide")
        await expect(card(phone, "Low")).to_contain_text("Confirmed on another device")
        after = await lower.bounding_box()
        assert before is not None and after is not None and abs(before["y"] - after["y"]) <= 1, (before, after)
        await desk.locator("#toast").get_by_role("button", name="Undo").click()
        await expect(phone.locator("#counts")).to_contain_text("3 to decide")
        await expect(card(phone, "Low").get_by_role("button", name="Confirm")).to_be_enabled()


async def test_what_is_found_meanwhile_appears_below_what_one_looks_at(site: Site, ann: Story, found: None) -> None:
    async with site.visiting(ann.user) as page:
        await page.goto(f"{site.base}/inbox")
        first = card(page, "Low")
        before = await first.bounding_box()
        await ann.found("e4", ann.suggestion("e4", READING.model_copy(update={"artist": "Muse"}), 0.99))
        await expect(card(page, "Muse")).to_have_count(1)
        await expect(page.locator("#counts")).to_contain_text("4 to decide")
        after = await first.bounding_box()
        assert before is not None and after is not None and abs(before["y"] - after["y"]) <= 1, "the list jumped"


async def test_the_loser_of_a_race_is_told_so_and_nothing_is_decided_twice(site: Site, ann: Story, found: None) -> None:
    async with two(site, ann) as (desk, _), site.visiting(ann.user, java_script_enabled=False) as old:
        await old.goto(f"{site.base}/inbox")  # nothing tells this one of what happens elsewhere
        await card(desk, "Radiohead").get_by_role("button", name="Confirm").click()
        await expect(desk.locator("#toast")).to_contain_text("Confirmed.")
        await card(old, "Radiohead").get_by_role("button", name="Not me").click()
        told = old.locator("#toast")
        await expect(told).to_contain_text("Nothing changed: this entry was already confirmed.")
        await expect(told).to_contain_text("27 August 1994")
        await expect(old.locator("[data-card]")).to_have_count(2)
    assert [row.action.value for row in await ann.decisions()] == ["confirmed"]


async def test_both_browsers_press_at_once_and_one_decision_is_made(site: Site, ann: Story, found: None) -> None:
    async with two(site, ann) as (desk, phone):
        await card(desk, "Pulp").get_by_role("button", name="Confirm").click(no_wait_after=True)
        await card(phone, "Pulp").get_by_role("button", name="Confirm").click(no_wait_after=True)
        for page in (desk, phone):
            await expect(page.locator("#counts")).to_contain_text("1 confirmed")
            await expect(page.locator("#toast")).to_contain_text("Pulp")
    assert [row.action.value for row in await ann.decisions()] == ["confirmed"]


async def test_an_open_page_goes_on_after_the_api_was_away(site: Site, ann: Story, found: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = ann.settings.model_copy(update={"stream_poll_s": QUICK_S})
    context = await site.context(ann.user)  # what it complains of while nobody answers is to be expected
    page = await context.new_page()
    async with serving(settings, site.clock, port) as base:
        await page.goto(f"{base}/inbox")
        await expect(page.locator("[data-card]")).to_have_count(3)
    # Nobody is there: what is pressed is not lost, and said not to have arrived.
    await card(page, "Low").get_by_role("button", name="Confirm").click()
    await expect(page.locator("#trouble")).to_contain_text("did not reach us")
    await expect(card(page, "Low")).to_have_count(1)
    await ann.found("e4", ann.suggestion("e4", READING.model_copy(update={"artist": "Muse"}), 0.99))
    async with serving(settings, site.clock, port):
        await expect(card(page, "Muse")).to_have_count(1, timeout=30_000)
        await page.locator("#trouble").get_by_role("button", name="Try again").click()
        await expect(page.locator("#toast")).to_contain_text("Confirmed.")
        await expect(page.locator("#trouble")).to_be_empty()
        await expect(page.locator("#counts")).to_contain_text("1 confirmed")
    await context.close()
    assert [row.action.value for row in await ann.decisions()] == ["confirmed"]


DECIDED = (
    ("Low", "Confirm", "Confirmed."),
    ("Radiohead", "27 May 1994", "Moved to another night."),
    ("Pulp", "Not me", "Not this one."),
)


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without"])
async def test_whatever_was_decided_is_undone_in_the_history(
    site: Site, ann: Story, found: None, scripts: bool
) -> None:
    await ann.found("e4", ann.suggestion("e4", READING.model_copy(update={"artist": "Muse"}), 0.9))
    async with site.visiting(ann.user, java_script_enabled=scripts) as page:
        await page.goto(f"{site.base}/inbox")
        for artist, button, told in (*DECIDED, ("Muse", "in a week", "For later.")):
            await card(page, artist).get_by_role("button", name=button).click()
            await expect(page.locator("#toast")).to_contain_text(told)
            await expect(card(page, artist)).to_have_count(0)
        await page.goto(f"{site.base}/decisions")
        for left in (4, 3, 2, 1):
            undo = page.locator("#history").get_by_role("button", name="Undo")
            await expect(undo).to_have_count(left)
            await undo.last.click()
        await expect(page.locator("#history").get_by_role("button", name="Undo")).to_have_count(0)
        await page.goto(f"{site.base}/inbox")
        await expect(page.locator("[data-card]")).to_have_count(4)
        await expect(page.locator("#counts")).to_contain_text("4 to decide")
