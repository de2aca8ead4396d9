"""Import in a browser: dropped, looked at, read otherwise, taken and taken back; with scripts and without."""

import re
from uuid import uuid4

import pytest
from playwright.async_api import Page, expect
from sqlalchemy import text

from tests.api.support import READING
from tests.pages.furnishing import HOSTILE
from tests.pages.looking import DESK, HAND, illegible, misplaced, refused
from tests.pages.serving import Site

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

EITHER_WAY = "Band,Support,When,Where\nMuse,Ash,05/06/2001,Apollo\nPulp,Gene,06/07/2002,Barrowland\n"
DROP = """([name, body]) => {
    const held = new DataTransfer();
    held.items.add(new File([body], name, { type: "text/csv" }));
    for (const kind of ["dragover", "drop"]) {
        const event = new DragEvent(kind, { dataTransfer: held, bubbles: true, cancelable: true });
        document.querySelector("h1").dispatchEvent(event);
    }
}"""


async def opened(page: Page, site: Site) -> None:
    expect.set_options(timeout=60_000)  # its readers take some seconds to begin where others are at work
    await page.goto(f"{site.base}/imports")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Bring the shows you were at")


async def choose(page: Page, name: str, body: str) -> None:
    """Through the file field, and the button."""
    file = {"name": name, "mimeType": "text/csv", "buffer": body.encode()}
    await page.get_by_label("File, or several").set_input_files(file)  # type: ignore[arg-type]
    await page.get_by_role("button", name="Read this file").click()


async def test_a_file_that_is_dropped_anywhere_is_read_and_its_name_stays_text(site: Site) -> None:
    async with site.visiting(f"u-{uuid4().hex}", DESK) as page:
        await opened(page, site)
        name = f"{HOSTILE}.csv".replace("/", "")
        await page.evaluate(DROP, [name, EITHER_WAY])
        await expect(page.get_by_role("heading", level=1)).to_have_text(name)
        await expect(page.locator("#take")).to_contain_text("shows are ready to be taken")


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without"])
async def test_columns_and_order_are_chosen_and_the_shows_taken_and_taken_back(site: Site, scripts: bool) -> None:
    user = f"u-{uuid4().hex}"
    async with site.visiting(user, HAND, java_script_enabled=scripts) as page:
        await opened(page, site)
        await choose(page, "gigs.csv", EITHER_WAY)
        main = page.get_by_role("main")
        await expect(main).to_contain_text("“05/06/2001” could be Sunday, 6 May 2001 or Tuesday, 5 June 2001")
        await page.get_by_label("Order of dates").select_option("dmy")
        await page.get_by_label("Support acts").select_option(label="None of them")
        await page.get_by_role("button", name="Read it again with these").click()
        await expect(page.locator("#take")).to_have_text("2 shows are ready to be taken")
        await expect(page.get_by_label("Order of dates")).to_have_value("dmy")
        await expect(page.get_by_role("region", name="Rows: Understood")).to_contain_text("5 Jun 2001")
        await page.get_by_role("button", name="Take these 2 shows").click()
        await expect(page.locator("#report")).to_contain_text("Looking for your shows")
        await answered(site, user)  # match has found something, while the page is open
        await expect(page.locator("#report")).to_have_text("1 found, 0 to decide, 1 unknown")
        if scripts:
            assert not await refused(page) + await misplaced(page, (HAND,)) + await illegible(page)
        await page.get_by_role("link", name="The unknown one").click()
        await expect(page.get_by_role("main")).to_contain_text("No source that Gigz reads knows such a show yet.")
        await page.go_back()
        await page.get_by_role("link", name="Undo this import").click()
        await expect(page.get_by_role("main")).to_contain_text("The 2 shows that it brought leave your history")
        await page.get_by_role("button", name="Undo this import").click()
        await expect(page.get_by_role("main")).to_contain_text("2 shows left your history")


async def answered(site: Site, user: str) -> None:
    """As match would: a sure show for the first entry, nothing for the others."""
    story = site.named(user)
    asked = "select entry_id from state.import_entries where user_id = :user order by seq"
    async with story.engine.connect() as connection:
        entries = list(await connection.scalars(text(asked), {"user": user}))
    for number, entry_id in enumerate(entries):
        suggested = [] if number else [story.suggestion(entry_id, READING, 0.99)]
        await story.found(entry_id, *suggested)


async def test_without_the_doubtful_rows_the_button_says_how_many_are_left(site: Site) -> None:
    async with site.visiting(f"u-{uuid4().hex}", DESK) as page:
        await opened(page, site)
        await choose(page, "gigs.csv", "Band,When,Where\nMuse,2001-06-05,Apollo\nPulp,,Barrowland\n")
        button = page.get_by_role("button", name=re.compile("^Take"))
        await expect(button).to_have_accessible_name("Take these 2 shows")
        await page.get_by_label(re.compile("doubtful row")).uncheck()
        await expect(button).to_have_accessible_name("Take only the clear row")
        await button.click()
        await expect(page.get_by_role("main")).to_contain_text("1 show is new in your history")


@pytest.mark.long
@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without"])
async def test_twenty_thousand_rows_tell_how_far_they_are(site: Site, scripts: bool) -> None:
    rows = "".join(f"Act {n % 997},{1 + n % 28}/{1 + n % 12}/{1980 + n % 40},Hall {n},Leeds\n" for n in range(20_000))
    async with site.visiting(f"u-{uuid4().hex}", HAND, java_script_enabled=scripts) as page:
        page.set_default_timeout(120_000)
        await opened(page, site)
        await choose(page, "many.csv", f"Band,When,Where,Town\n{rows}")
        await expect(page.locator("#at-work")).to_have_text("Reading")
        await expect(page.get_by_role("progressbar", name="Reading")).to_be_visible()
        await expect(page.locator("#take")).to_have_text("20,000 shows are ready to be taken", timeout=120_000)
        assert not await misplaced(page, (HAND, DESK)) if scripts else True
        await page.get_by_role("button", name="Take these 20,000 shows").click()
        await expect(page.locator("#at-work")).to_have_text("Taking your shows in")
        await expect(page.get_by_role("main")).to_contain_text("20,000 shows are new in your history", timeout=120_000)
        await expect(page.locator("#report")).to_have_text("Looking for your shows")
