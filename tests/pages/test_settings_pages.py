"""Settings, friends, leaving and signing in, in a browser: with the script and without, and from another site."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from uuid import UUID

import pytest
from playwright.async_api import Page, expect
from sqlalchemy import update

from api.services import COOKIE
from api.tokens import inbox_link, issue_token
from schemas.tables import ErasureRow
from tests.api.test_friends import Person, befriend
from tests.pages.furnishing import somebody
from tests.pages.hands import Keyboard
from tests.pages.serving import Site, serving

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without"])


@pytest.fixture
def ann(site: Site) -> Person:
    return somebody(site.client, site.story, site.clock)


@asynccontextmanager
async def elsewhere(html: str) -> AsyncIterator[str]:
    """A page of another site: localhost, where the API is 127.0.0.1."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = f"<!doctype html><title>An app</title>{html}".encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}"


def posting(address: str, token: str) -> str:
    return f'<form method="post" action="{address}/session"><input name="token" value="{escape(token)}"><button>Open'


# -- from another site -------------------------------------------------------------------------------------------------


async def test_the_app_on_another_site_signs_in_and_the_inbox_is_there(site: Site, ann: Person) -> None:
    token = issue_token(site.story.settings, ann.user, site.clock())
    context = await site.context(None)
    page = await context.new_page()
    async with elsewhere("<p>The app") as app:
        settings = site.story.settings.model_copy(update={"cors_origins": app})
        async with serving(settings, site.clock) as base, elsewhere(posting(base, token)) as stranger:
            await page.goto(stranger)  # a site that nobody listed
            await page.get_by_role("button").click()
            await expect(page.get_by_role("heading", level=1)).to_have_text("That did not work")
            assert not [one for one in await context.cookies() if one.get("name") == COOKIE]
            await page.goto(app)
            await page.set_content(posting(base, token))
            await page.get_by_role("button").click()
            await page.wait_for_url(f"{base}/inbox")
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
            assert token not in page.url
            (cookie,) = [one for one in await context.cookies() if one.get("name") == COOKIE]
            assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["path"] == "/"
            assert await page.evaluate("document.cookie") == ""
    await context.close()


async def test_a_link_from_another_site_finds_who_is_signed_in(site: Site, ann: Person) -> None:
    context = await site.context(None)
    page = await context.new_page()
    await page.goto(inbox_link(site.story.settings, site.base, ann.user, site.clock()))
    statuses: list[int] = []
    page.on("response", lambda told: statuses.append(told.status) if "/settings" in told.url else None)
    async with elsewhere(f'<a href="{site.base}/settings?saved=digest">What is new') as mail:
        await page.goto(mail)
        await page.get_by_role("link").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Settings")
    # The browser did keep the cookie back at first: else nothing here would be tested.
    assert statuses[0] == 401 and 200 in statuses and page.url.endswith("/settings?saved=digest")
    await context.close()


# -- settings ----------------------------------------------------------------------------------------------------------


@SCRIPTS
async def test_a_group_is_saved_by_its_button_and_what_stands_in_others_stays(
    site: Site, ann: Person, scripts: bool
) -> None:
    async with site.visiting(ann.user, 390, java_script_enabled=scripts) as page:
        await page.goto(f"{site.base}/settings")
        await page.get_by_label("Your time zone").fill("new york")
        await page.get_by_label("shown to friends").check()
        await page.get_by_role("button", name="Save who sees your shows").click()
        await expect(page.locator("#toast")).to_contain_text("Saved: who sees your shows.")
        await expect(page.get_by_label("shown to friends")).to_be_checked()
        zone = page.get_by_label("Your time zone")
        if scripts:  # nothing else of the page was read anew
            await expect(zone).to_have_value("new york")
        await zone.fill("new york")
        await page.get_by_role("button", name="Save the digest").click()
        await expect(page.locator("#toast")).to_contain_text("Saved: the weekly digest.")
        await expect(zone).to_have_value("America/New_York")
        await page.reload()
        await expect(zone).to_have_value("America/New_York")
    assert (await ann.get("/preferences"))["journal"] == "friends"


async def test_the_keyboard_alone_changes_a_setting_and_signs_out(site: Site, ann: Person) -> None:
    async with site.visiting(ann.user) as page:
        hands = Keyboard(page)
        await page.goto(f"{site.base}/settings")
        await hands.reach(page.get_by_label("what would be like you"))
        await page.keyboard.press("Space")
        await hands.press(page.get_by_role("button", name="Save what Gigz asks"))
        await expect(page.locator("#toast")).to_contain_text("Saved: what Gigz asks you.")
        await hands.press(page.get_by_role("button", name="Sign out"))
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
        await page.go_back()
        await page.goto(f"{site.base}/settings")
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are not signed in")
    assert (await ann.get("/preferences"))["habits"]


# -- friends -----------------------------------------------------------------------------------------------------------


@SCRIPTS
async def test_two_become_friends_and_one_of_them_ends_it(site: Site, ann: Person, scripts: bool) -> None:
    bob = somebody(site.client, site.story, site.clock)
    async with (
        site.visiting(ann.user, 390, java_script_enabled=scripts) as hers,
        site.visiting(bob.user, java_script_enabled=scripts) as his,
    ):
        await hers.goto(f"{site.base}/friends")
        await hers.get_by_label("The id of your friend").fill(ann.user)
        await hers.get_by_role("button", name="Ask to follow").click()
        await expect(hers.get_by_role("alert").filter(has_text="your own id")).to_be_visible()
        await hers.get_by_label("The id of your friend").fill(bob.user)
        await hers.get_by_role("button", name="Ask to follow").click()
        await expect(hers.locator("#toast")).to_contain_text("Asked.")
        await expect(hers.locator("#asked")).to_contain_text(bob.user)
        await expect(hers.get_by_label("The id of your friend")).to_have_value("")
        await his.goto(f"{site.base}/friends")
        await his.get_by_role("button", name=f"Accept {ann.user}").click()
        await expect(his.locator("#friends")).to_contain_text(ann.user)
        await expect(his.locator("#asking")).not_to_contain_text(ann.user)
        await his.locator("summary").filter(has_text="End it").click()
        await his.get_by_role("button", name=f"Be friends no more {ann.user}").click()
        await expect(his.locator("#toast")).to_contain_text("Neither of you sees")
        await expect(his.locator("#friends")).not_to_contain_text(ann.user)
    assert await ann.others("/friends") == []


# -- leaving -----------------------------------------------------------------------------------------------------------


async def gone_everywhere(site: Site, receipt_id: str) -> None:
    """As the scheduler leaves it."""
    receipt = {"removed": {"postgres state.follows": 2}, "found": []}
    done = {"user_id": None, "done_at": site.clock(), "receipt": receipt}
    async with site.story.engine.begin() as connection:
        await connection.execute(update(ErasureRow).where(ErasureRow.receipt_id == UUID(receipt_id)).values(**done))


async def leave(site: Site, page: Page, words: str) -> None:
    await page.goto(f"{site.base}/settings")
    await page.get_by_role("link", name="Delete everything").click()
    await page.get_by_label("The words above").fill(words)
    await page.get_by_role("button", name="Delete everything for good").click()


@SCRIPTS
async def test_who_leaves_sees_it_end_and_keeps_the_receipt(site: Site, ann: Person, scripts: bool) -> None:
    await befriend(ann, somebody(site.client, site.story, site.clock))
    async with site.visiting(ann.user, 390, java_script_enabled=scripts) as page:
        await leave(site, page, "delete nothing")
        await expect(page.get_by_role("alert").filter(has_text="Nothing was deleted")).to_be_visible()
        await expect(page.get_by_label("The words above")).to_have_value("delete nothing")
        await leave(site, page, "delete everything")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Everything is being deleted")
        assert not await page.context.cookies()
        receipt_id = page.url.rpartition("/")[2]
        await gone_everywhere(site, receipt_id)
        if not scripts:
            await page.get_by_role("link", name="Look again").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Everything is deleted")
        await expect(page.locator("main")).to_contain_text("postgres state.follows")
        async with page.expect_download() as saving:
            await page.get_by_role("link", name="Save the receipt").click()
        saved = await saving.value
        assert saved.suggested_filename == f"gigz-receipt-{receipt_id}.json"
