"""Every page in a browser, with something on it and empty, light and dark, as wide as a hand and as a wall."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Page

from tests.pages.furnishing import PLAIN, WILD, Furnished, furnished, newcomer
from tests.pages.looking import DESK, HAND, LEAST_PX, PRESSED_PX, illegible, look, misplaced, refused
from tests.pages.serving import Site
from tests.pages.walking import STOPS, Stop

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]
BARE = tuple(stop for stop in STOPS if stop.bare)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def wild(site: Site) -> Furnished:
    """Somebody whose artists have names that nobody expects."""
    return await furnished(site.client, site.story, site.clock, PLAIN, *WILD)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def nobody(site: Site) -> Furnished:
    return newcomer(site.client, site.story, site.clock)


async def seen(page: Page) -> list[str]:
    """What can be seen to be wrong with a page that is open: folded on a desk, unfolded and dark in a hand."""
    found = await refused(page)
    await look(page, "unfold")
    found += await misplaced(page, (320, 768, DESK, HAND))
    await dressed(page, "dark")
    found += await refused(page) + await illegible(page) + await look(page, "moving")
    found += await look(page, "unfocused") + await look(page, "narrow", PRESSED_PX)
    return list(dict.fromkeys(found))


async def seen_at_length(page: Page) -> list[str]:
    """The same at every width, in both colours, and as people set it who read with difficulty."""
    found = await refused(page)
    await look(page, "unfold")
    found += await misplaced(page)
    for width in (HAND, DESK):
        await page.set_viewport_size({"width": width, "height": 900})
        told = await illegible(page) + await look(page, "unfocused")
        told += await look(page, "narrow", PRESSED_PX if width == HAND else LEAST_PX)
        for scheme in ("dark", "light"):
            await dressed(page, scheme)
            told += [f"{scheme}: {one}" for one in await refused(page)]
        found += [f"at {width} px: {one}" for one in told + await look(page, "moving")]
    await look(page, "space")
    found += [f"set wider, {one}" for one in await misplaced(page, (HAND, DESK))]
    return list(dict.fromkeys(found))


async def dressed(page: Page, scheme: str) -> None:
    """Light or dark, and nothing moves."""
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]


async def walk(site: Site, who: Furnished, stop: Stop, looked: Callable[[Page], Awaitable[list[str]]] = seen) -> None:
    """Open a page as this user and look at it."""
    async with site.visiting(who.person.user if stop.signed_in else None) as page:
        answer = await page.goto(site.base + stop.address(who.named))
        assert answer is not None and answer.status == stop.status, answer and await answer.text()
        found = await looked(page)
    assert not found, "\n".join([stop.address(who.named), *found])


@pytest.mark.parametrize("stop", STOPS, ids=[stop.name for stop in STOPS])
async def test_a_page_is_free_of_barriers(site: Site, wild: Furnished, stop: Stop) -> None:
    await walk(site, wild, stop)


@pytest.mark.long
@pytest.mark.parametrize("stop", STOPS, ids=[stop.name for stop in STOPS])
async def test_a_page_is_free_of_barriers_at_every_width_and_in_both_colours(
    site: Site, wild: Furnished, stop: Stop
) -> None:
    await walk(site, wild, stop, seen_at_length)


@pytest.mark.parametrize("stop", BARE, ids=[stop.name for stop in BARE])
async def test_a_page_is_free_of_barriers_while_there_is_nothing_on_it(
    site: Site, nobody: Furnished, stop: Stop
) -> None:
    await walk(site, nobody, stop)


@dataclass(frozen=True)
class Slip:
    """A form that is sent with something wrong."""

    page: str
    form: str
    """The end of its address."""
    fields: Mapping[str, str]


SLIPS = (
    Slip("/journal/new", "/journal/new", {"artist": "", "night": "1804-01-01"}),
    Slip("/settings", "/settings", {"tz": "Nowhere/Town"}),
    Slip("/settings/leave", "/settings/leave", {"word": "perhaps"}),
    Slip("/friends", "/friends", {"other": "no/id at all"}),
    Slip("/imports", "way=text", {"text": " "}),
    Slip("/imports", "/imports/rows", {}),
)


@pytest.mark.parametrize("slip", SLIPS, ids=[slip.form.strip("/").replace("/", "-") for slip in SLIPS])
@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without"])
async def test_a_refused_form_says_what_is_wrong_at_the_field_and_keeps_what_was_typed(
    site: Site, nobody: Furnished, slip: Slip, scripts: bool
) -> None:
    async with site.visiting(nobody.person.user, HAND, java_script_enabled=scripts) as page:
        await page.goto(site.base + slip.page)
        form = page.locator(f'form[method=post][action$="{slip.form}"]').filter(has=page.locator("button:visible")).last
        if scripts:  # who runs none has no browser that could check it before
            await form.evaluate("form => { form.noValidate = true; }")
        for name, text in slip.fields.items():
            await form.locator(f"[name={name}]").fill(text)
        await form.locator("button:visible").first.click()
        told = page.locator("main [role=alert], main .error").first
        await told.wait_for()
        assert (await told.inner_text()).strip()
        wrong = page.locator("[aria-invalid=true]").first
        described = (await wrong.get_attribute("aria-describedby") or "").split()
        assert any([await page.locator(f"[id='{one}'].error").count() for one in described]), described
        for name, text in slip.fields.items():
            assert await page.locator(f"main [name={name}]").last.input_value() == text, name
        found = [] if not scripts else await refused(page) + await illegible(page) + await misplaced(page, (HAND,))
    assert not found, found


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_help_of_keys_opens_by_a_key_and_closes_again(site: Site, nobody: Furnished, scheme: str) -> None:
    async with site.visiting(nobody.person.user, HAND, color_scheme=scheme) as page:
        await page.goto(f"{site.base}/inbox")
        await page.keyboard.press("?")
        dialog = page.get_by_role("dialog")
        await dialog.wait_for()
        found = await refused(page) + await misplaced(page, (320, HAND)) + await look(page, "narrow", PRESSED_PX)
        await page.keyboard.press("Escape")
        await dialog.wait_for(state="hidden")
    assert not found, found
