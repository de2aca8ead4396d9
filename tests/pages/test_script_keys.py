"""The inbox by single keys: where the focus goes, what is decided, and when a key does nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from playwright.async_api import Locator, Page, expect

from schemas.history import Remembered
from schemas.ids import companion_entry_id
from tests.api.support import ASTORIA, READING, Story
from tests.pages.furnishing import somebody
from tests.pages.serving import Site

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

ARTISTS = ("Low", "Pulp", "Blur", "Muse", "Oasis", "Suede")
TWO_NIGHTS = ("Muse", "Suede")
TOP = "one => one.getBoundingClientRect().top"


@pytest.fixture
def ann(site: Site) -> Story:
    return somebody(site.client, site.story, site.clock).story


@asynccontextmanager
async def inbox(site: Site, ann: Story, artists: tuple[str, ...] = ARTISTS) -> AsyncIterator[Page]:
    """A page with a card for each artist, in this order; some have another night."""
    for number, artist in enumerate(artists):
        one, other = (show.model_copy(update={"artist": artist}) for show in (READING, ASTORIA))
        entry = f"e{number}"
        made = [ann.suggestion(entry, one, 0.9 - number / 50), ann.suggestion(entry, other, 0.1)]
        await ann.found(entry, *made[: 2 if artist in TWO_NIGHTS else 1])
    async with site.visiting(ann.user) as page:
        await page.goto(f"{site.base}/inbox")
        await expect(page.locator("[data-card]")).to_have_count(len(artists))
        yield page


def card(page: Page, artist: str) -> Locator:
    return page.locator("[data-card]").filter(has=page.get_by_role("heading", name=artist, exact=True))


async def focused(page: Page) -> str:
    """The artist of the card that has the focus itself."""
    return await page.evaluate("document.activeElement.matches('[data-card]') && document.activeElement.id") and str(
        await page.locator("[data-card]:focus h2").inner_text()
    )


async def actions(ann: Story) -> list[tuple[str, str]]:
    return [(row.entry_id, row.action.value) for row in await ann.decisions()]


async def test_j_and_k_walk_through_the_cards_and_show_each(site: Site, ann: Story) -> None:
    async with inbox(site, ann) as page:
        walked = []
        for key in "jjjkj" + "j" * 9 + "kk":
            await page.keyboard.press(key)
            walked.append(await focused(page))
            await expect(page.locator("[data-card]:focus")).to_be_in_viewport()
        assert walked[:5] == ["Low", "Pulp", "Blur", "Pulp", "Blur"]
        assert walked[-3:] == ["Suede", "Oasis", "Muse"]  # at the end j stays there
        assert await page.locator("[data-card]:focus").evaluate(
            "one => getComputedStyle(one).outlineStyle + getComputedStyle(one).outlineWidth"
        ) == ("solid3px")
    assert await actions(ann) == []


async def test_each_key_decides_the_current_card_and_the_next_takes_its_place(site: Site, ann: Story) -> None:
    async with inbox(site, ann) as page:
        await page.keyboard.press("y")  # nothing is current yet: the first card becomes so, and nothing is decided
        assert await focused(page) == "Low" and await actions(ann) == []
        for key, told, following in (
            ("y", "Confirmed.", "Pulp"),
            ("n", "Not this one.", "Blur"),
            ("s", "For later.", "Muse"),
            ("o", "Moved to another night.", "Oasis"),
        ):
            current = page.locator("[data-card]:focus")
            before = await current.evaluate(TOP)
            await page.keyboard.press(key)
            await expect(page.locator("#toast")).to_contain_text(told)
            assert await focused(page) == following
            after = await page.locator("[data-card]:focus").evaluate(TOP)
            assert after <= before + 1, f"the list jumped by {after - before} px"
            await expect(page.locator("[data-card]:focus")).to_be_in_viewport(ratio=0.5)
        await expect(page.locator("#counts")).to_contain_text("2 to decide")
        assert "2 to decide" in await page.title()
        await page.keyboard.press("u")
        await expect(page.locator("#toast")).to_contain_text("Undone.")
        await expect(card(page, "Muse")).to_have_count(1)
        assert await focused(page) == "Muse"
        assert await page.locator("[data-card] h2").all_inner_texts() == ["Muse", "Oasis", "Suede"]
        await card(page, "Suede").focus()
        await page.keyboard.press("n")  # of two nights the second is asked for now, in the same place
        await expect(card(page, "Suede").locator(".when").first).to_contain_text("27 May 1994")
        assert await focused(page) == "Suede"
    made = [("e0", "confirmed"), ("e1", "dismissed"), ("e2", "snoozed"), ("e3", "other_night"), ("e3", "confirmed")]
    assert (await actions(ann))[:5] == made
    assert [what for _, what in (await actions(ann))[5:]] == ["undone", "undone", "dismissed"]


async def test_an_act_that_was_not_seen_is_taken_back_by_a_key_as_well(site: Site, ann: Story) -> None:
    act = companion_entry_id(uuid4(), uuid4())
    because = {"text": "on the same bill as Low, which you confirmed"}
    more = {"entry": Remembered(), "origin": "companion", "because": because}
    support = READING.model_copy(update={"artist": "Support"})
    await ann.found(act, ann.suggestion(act, support, 0.5), **more)  # type: ignore[arg-type]
    async with site.visiting(ann.user) as page:
        await page.goto(f"{site.base}/inbox")
        for key, told in (("jn", "you did not see them"), ("u", "Undone.")):
            for one in key:
                await page.keyboard.press(one)
            await expect(page.locator("#toast")).to_contain_text(told)
        await expect(card(page, "Support")).to_have_count(1)
    assert [what for _, what in await actions(ann)] == ["not_seen", "undone"]


async def test_the_last_card_leaves_what_to_do_next_and_its_undo_brings_it_back(site: Site, ann: Story) -> None:
    async with inbox(site, ann, ("Low",)) as page:
        await page.keyboard.press("j")
        await page.keyboard.press("y")
        await expect(page.get_by_role("heading", name="All decided")).to_be_visible()
        assert await page.evaluate("document.activeElement !== document.body")
        await page.keyboard.press("u")
        await expect(card(page, "Low")).to_have_count(1)
        await expect(page.locator("#toast")).to_contain_text("Undone.")


async def test_no_key_acts_while_one_types_or_holds_another_or_does_not_let_go(site: Site, ann: Story) -> None:
    async with inbox(site, ann) as page:
        await page.keyboard.press("j")
        for chord in ("Control+y", "Alt+y", "Meta+y", "Control+Shift+y"):
            await page.keyboard.press(chord)
        await page.keyboard.press("/")
        search = page.get_by_role("searchbox", name="Artist")
        await expect(search).to_be_focused()
        await page.keyboard.type("yno?uj/")
        assert await search.input_value() == "yno?uj/"
        await page.get_by_label("How sure").focus()
        await page.keyboard.press("y")
        assert not await page.locator("#help").is_visible()
        assert await actions(ann) == []
        await card(page, "Low").focus()
        await page.keyboard.down("y")
        for _ in range(5):
            await page.keyboard.down("y")  # as a key that is held down
        await page.keyboard.up("y")
        await expect(page.locator("#counts")).to_contain_text("5 to decide")
    assert await actions(ann) == [("e0", "confirmed")]


async def test_the_help_opens_closes_gives_the_focus_back_and_holds_the_keys(site: Site, ann: Story) -> None:
    async with inbox(site, ann) as page:
        await page.keyboard.press("j")
        await page.keyboard.press("?")
        help_ = page.get_by_role("dialog", name="Keyboard shortcuts")
        await expect(help_).to_be_visible()
        await page.keyboard.press("y")
        await page.keyboard.press("Escape")
        await expect(help_).to_be_hidden()
        assert await focused(page) == "Low" and await actions(ann) == []
        await page.get_by_role("button", name="Keyboard shortcuts").click()
        await help_.get_by_role("button", name="Close").click()
        await expect(help_).to_be_hidden()
        await expect(page.get_by_role("button", name="Keyboard shortcuts")).to_be_focused()


async def test_single_keys_can_be_switched_off_for_good_and_on_again(site: Site, ann: Story) -> None:
    async with inbox(site, ann) as page:
        for off in (True, False):
            await page.get_by_role("button", name="Keyboard shortcuts").click()
            await page.get_by_label("Single keys are shortcuts").set_checked(not off)
            await page.keyboard.press("Escape")
            await page.reload()
            await page.locator("[data-card]").first.wait_for()
            for key in ("?", "j", "y"):
                await page.keyboard.press(key)
                if not off:
                    await page.keyboard.press("Escape")
            if off:
                assert not await page.locator("#help").is_visible()
                assert await page.locator("[data-card]:focus").count() == 0
        await expect(page.locator("#toast")).to_contain_text("Confirmed.")
    assert await actions(ann) == [("e0", "confirmed")]
