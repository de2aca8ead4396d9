"""From a pasted list to a show in the journal, on the whole of Gigz: by keys, by a finger, and without scripts."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect
from sqlalchemy import func, select

from api.tokens import inbox_link
from deploy.clients import postgres_engine
from deploy.feed import feed
from deploy.local import workers
from deploy.local.processes import Processes
from deploy.migrate import migrate_postgres
from deploy.settings import Settings
from deploy.topics import apply_topics
from schemas.tables import CatalogueConcert
from tests.api import processes
from tests.browsers import watch
from tests.pages.hands import Finger, Keyboard, Pointer
from tests.support import ROOT, running_engines

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

STAGES = tuple(
    f"{stage}-1" for stage in ("normalise", "resolve", "match", "relay", "sink-postgres", "sink-meilisearch")
)
FACTS = ROOT / "deploy" / "local" / "demo" / "facts" / "gdshowsdb.jsonl"
YEARS = ("1977", "1978")
WAIT_S = 40
LIST = """Band,When,Where,Town
Grateful Dead,1977-05-09,War Memorial Auditorium,Buffalo
The Grateful Dead,12 May 1977,Auditorium Theatre,Chicago
Grateful Dead,9/3/77,Raceway Park,Englishtown
Greatful Dead,September 1978,,Cairo
Grateful Dead,14 Nov 1978,Boston Music Hall,Boston
The Paper Kites,6 May 2011,The Workers Club,Melbourne
Grateful Dead,31/31/1978,Jai-Alai,Miami
"""
"""A show a line: sure, two nights in a row, day and month either way, three nights, two nights, one that no source
knows, one that cannot be.
"""


@pytest.fixture(scope="module")
def gigz(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Engines and stages of their own with two years of shows: topics have fixed names, and other tests fill them."""
    stages = {"partitions": 4, "batch_linger_s": 0.05, "outbox_poll_s": 0.05, "sink_linger_s": 0.1}
    quick = {**stages, "session_timeout_s": 6.0, "stream_poll_s": 0.2}
    absent = {"clickhouse_url": "http://127.0.0.1:1/none"}
    with running_engines("gigz-story-", **absent, **quick, kafka_heap_mb=256) as settings:
        asyncio.run(apply_topics(settings))
        migrate_postgres(settings)
        try:
            for name in STAGES:
                workers.start_worker(settings, name)
            rows = [json.loads(line) for line in FACTS.read_text(encoding="utf-8").splitlines()]
            chosen = [row for row in rows if row["date"][:4] in YEARS]
            told = tmp_path_factory.mktemp("told") / "shows.jsonl"
            told.write_text("\n".join(map(json.dumps, chosen)), encoding="utf-8")
            asyncio.run(feed(settings, [told], "raw-setlist"))
            asyncio.run(known(settings, len(chosen)))
            yield settings
        finally:
            workers.stop(settings, STAGES)


async def known(settings: Settings, shows: int) -> None:
    """Wait until the catalogue has them."""
    engine = postgres_engine(settings, 1, "gigz-test")
    deadline = time.monotonic() + WAIT_S
    try:
        while True:
            async with engine.connect() as connection:
                if await connection.scalar(select(func.count()).select_from(CatalogueConcert)) == shows:
                    return
            tails = [f"{name}:\n{Processes(settings.home).tail(name)}" for name in STAGES]
            assert time.monotonic() < deadline, "the shows did not arrive\n" + "\n".join(tails)
            await asyncio.sleep(0.1)
    finally:
        await engine.dispose()


@pytest.fixture(scope="module")
def base(gigz: Settings) -> Iterator[str]:
    with processes.running(gigz, rate_limits=False, level="WARNING") as api:
        yield api.address


@asynccontextmanager
async def in_use(hand: type[Pointer], browser: Browser, base: str) -> AsyncIterator[Pointer]:
    """A browser as this hand has it; anything that it complains of fails the test."""
    viewport = {"width": hand.width, "height": 844}
    context = await browser.new_context(viewport=viewport, locale="en-GB", reduced_motion="reduce", **hand.options)  # type: ignore[arg-type]
    context.set_default_timeout(WAIT_S * 1_000)
    page = await context.new_page()
    complaints = watch(page, base)
    yield hand(page)
    await context.close()
    assert not complaints, complaints


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def expectations() -> None:
    expect.set_options(timeout=20_000)


@pytest.mark.parametrize("hand", [Keyboard, Finger, Pointer], ids=lambda hand: str(hand.name))
async def test_a_list_becomes_shows_in_the_journal(
    hand: type[Pointer], gigz: Settings, base: str, browser: Browser, expectations: None, screenshots: Path
) -> None:
    link = inbox_link(gigz, base, f"story-{hand.name}", datetime.now(UTC))
    async with in_use(hand, browser, base) as hands:
        page = hands.page
        await page.goto(link)
        await expect(page.get_by_role("heading", name="Your history is empty")).to_be_visible()
        await hands.press(page.get_by_role("link", name="Import your shows"))
        await bring_the_list(hands)
        await page.screenshot(path=screenshots / f"story-{hand.name}-found.png", full_page=True)
        await hands.press(page.get_by_role("link", name="See them in the inbox"))
        await decide_and_take_back(hands)
        await page.screenshot(path=screenshots / f"story-{hand.name}-inbox.png", full_page=True)
        await hands.press(page.get_by_role("navigation", name="Gigz").get_by_role("link", name="Journal"))
        await find_in_the_journal(hands)
        await page.screenshot(path=screenshots / f"story-{hand.name}-show.png", full_page=True)


async def bring_the_list(hands: Pointer) -> None:
    """Pasted, looked at, taken; matched before one's eyes."""
    page = hands.page
    await hands.write(page.get_by_label("Paste it here"), LIST)
    await hands.press(page.get_by_role("button", name="Read this list"))
    main = page.get_by_role("main")
    for told in ("5 understood", "1 doubtful", "1 not readable", "31/31/1978", "9/3/77"):
        await expect(main).to_contain_text(told, ignore_case=True)
    await hands.press(main.get_by_role("button", name=re.compile("^Take")))
    await expect(main).to_contain_text("1 found, 4 to decide, 1 unknown")


def card(page: Page, words: str) -> Locator:
    """The card that asks about a show."""
    return page.locator("[data-card]").filter(has_text=words)


async def decide_and_take_back(hands: Pointer) -> None:
    """Confirmed, moved, dismissed, put off: each taken back, and done again."""
    page = hands.page
    await expect(page.locator("[data-card]")).to_have_count(5)
    for words, button, key, told in (
        ("Buffalo", "Confirm", "y", "Confirmed."),
        ("Cairo", "September 1978", "o", "Moved to another night."),
        ("Englishtown", "Not me", "n", "Not this one."),
        ("Boston", "in a week", "s", "For later."),
    ):
        for last in (False, True):
            await hands.decide(card(page, words), button, key)
            await expect(page.locator("#toast")).to_contain_text(told)
            await expect(card(page, words)).to_have_count(0)
            if not last:
                await hands.undo()
                await expect(page.locator("#toast")).to_contain_text("Undone.")
                await hands.wait_for(card(page, words))
    await expect(page.locator("[data-card]")).to_have_count(1)
    await expect(page.locator("#counts")).to_contain_text("1 to decide")
    await expect(page.locator("#counts")).to_contain_text("2 confirmed")
    # What came back as new and was decided leaves no heading behind.
    await expect(page.locator("#since:not(:has([data-card]))")).to_have_count(0)


async def find_in_the_journal(hands: Pointer) -> None:
    """By a part of its name, and then its own page."""
    page = hands.page
    await expect(page.locator("#shows li")).to_have_count(2)
    await hands.write(page.get_by_label("Venue or town"), "buff")
    if not hands.scripts:
        await hands.press(page.get_by_role("button", name="Filter"))
    await expect(page.locator("#shows li")).to_have_count(1)
    await hands.press(page.locator("#shows").get_by_role("link", name="Grateful Dead"))
    main = page.get_by_role("main")
    for told in ("Grateful Dead", "9 May 1977", "War Memorial Auditorium", "gdshowsdb"):
        await expect(main).to_contain_text(told)
