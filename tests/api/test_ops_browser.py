"""/ops in a browser, as wide as a desk and as a hand: nothing runs over, the keyboard is enough, and no script."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import uvicorn
from playwright.async_api import Page
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from api.tokens import OPERATOR, inbox_link
from deploy.settings import Settings
from deploy.topics import apply_topics
from schemas.tables import AlertRow, CatalogueRejection, RunRow, RunState, ScheduleRow, WantedListRow
from spiders.schedule.operations import Operations
from tests.api.support import START, Clock
from tests.api.test_api_inbox import HOSTILE
from tests.api.test_ops import GOOD, ran, rejected, rejection
from tests.browsers import browsing

pytestmark = pytest.mark.stack
WIDTHS = (1280, 390)
LONG = "a-very-long-name-that-has-no-place-where-a-line-could-be-broken-" * 3


@pytest.fixture
async def address(migrated: Settings, engine: AsyncEngine, clock: Clock) -> AsyncIterator[str]:
    """A link that signs an operator in, to an API that listens."""
    async with engine.begin() as connection:
        for table in (AlertRow, RunRow, ScheduleRow, CatalogueRejection, WantedListRow):
            await connection.execute(delete(table))
    app = create_app(migrated, clock=clock, rate_limits=False, operations=lambda own: Operations(migrated, own, clock))
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
            await asyncio.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield inbox_link(migrated, f"http://127.0.0.1:{port}", "ada", clock(), [OPERATOR])
    server.should_exit = True
    await serving
    await app.state.services.engine.dispose()


@asynccontextmanager
async def signed_in(address: str, width: int, *, scripts: bool = False) -> AsyncIterator[Page]:
    """A page of an operator; anything that the browser complains of fails the test."""
    complaints: list[str] = []
    async with browsing() as browser:
        viewport = {"width": width, "height": 900}
        context = await browser.new_context(viewport=viewport, java_script_enabled=scripts)  # type: ignore[arg-type]
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(address)
        yield page
        await context.close()
    assert complaints == []


async def furnish(engine: AsyncEngine) -> UUID:
    """Something on every page, names that are long or hostile among it; the id of a suspect run."""
    for minutes in range(25):
        await ran(engine, minutes=2_000 + 60 * minutes, good=20)
    figures = replace(GOOD, items=30, missing=60, rejected=2, errors=4, samples=(HOSTILE, LONG))
    more = {"log_tail": f"{LONG}\n{HOSTILE}", "start_url": f"https://hall.example/{LONG}", "arguments": {"a": LONG}}
    suspect = await ran(engine, figures=figures, good=20, **more)
    await ran(engine, LONG, RunState.FAILED, why=LONG, schedule=LONG)
    await ran(engine, "venuepages", RunState.RUNNING, 3, heartbeat_at=START)
    async with engine.begin() as connection:
        for name, spider in (("nightly", "setlistfm"), (LONG[:64], LONG)):
            row = {"cron": "30 3 * * *", "next_at": START + timedelta(hours=3), "arguments": {"start_url": LONG}}
            await connection.execute(insert(ScheduleRow).values(name=name, spider=spider, **row))
        told = {"kind": "suspect", "text": f"{LONG} {HOSTILE}", "body": {}, "state": "pending"}
        await connection.execute(insert(AlertRow).values(alert_id=uuid4(), next_try_at=START, run_id=suspect, **told))
        asked = {"artist_key": "x", "artist": LONG, "year": 2014, "asked": 3, "since": START}
        await connection.execute(insert(WantedListRow).values(**asked))
    await rejected(engine, rejection(1, LONG.encode(), text=LONG, source=LONG), rejection(2, source=None))
    return suspect


@pytest.mark.parametrize("width", WIDTHS)
async def test_no_page_is_wider_than_the_window_and_every_field_has_a_label(
    address: str, engine: AsyncEngine, migrated: Settings, width: int
) -> None:
    await apply_topics(migrated)
    suspect = await furnish(engine)
    base = address.partition("/open")[0]
    pages = ["/ops", f"/ops/spiders/{LONG}", "/ops/runs", f"/ops/runs/{suspect}", f"/ops/runs/{suspect}/accept"]
    pages += ["/ops/schedules", "/ops/schedules/new", "/ops/schedules/nightly", "/ops/spiders/setlistfm/start"]
    pages += ["/ops/alerts", "/ops/rejections", "/ops/rejections/replay", "/ops/wanted"]
    async with signed_in(address, width, scripts=True) as page:
        for path in pages:
            await page.goto(base + path)
            over = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert over <= 0, f"{path} at {width} px is {over} px too wide"
            bare = await page.evaluate(
                "[...document.querySelectorAll('input:not([type=hidden]), select, textarea')]"
                ".filter(field => !field.labels.length).length"
            )
            assert bare == 0, path
            assert await page.locator("h1").count() == 1, path
            assert await page.locator("script").count() == 0, path


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_keyboard_alone_starts_a_run_and_stops_it_with_a_reason_and_no_script(
    address: str, engine: AsyncEngine, width: int
) -> None:
    async with signed_in(address, width) as page:
        await tab_to(page, "Start venuepages")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/ops/spiders/venuepages/start")
        await tab_to(page, "Start")
        await page.keyboard.press("Enter")  # no reason yet: the browser holds it back
        assert page.url.endswith("/start")
        await page.goto(page.url)
        await tab_to(page, "why")
        await page.keyboard.type("new season")
        await page.keyboard.press("Tab")
        await page.keyboard.type("start_url=https://hall.example/agenda")
        await tab_to(page, "Start")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/ops/runs/*")
        assert "queued" in await page.inner_text("h1") and "new season" in await page.inner_text("main")
        await tab_to(page, "Stop")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/stop")
        await tab_to(page, "why")
        await page.keyboard.type("wrong season")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/ops/runs/*done=stopping")
        assert "stopped" in await page.inner_text("h1") and "wrong season" in await page.inner_text("main")
    async with engine.connect() as connection:
        (row,) = (await connection.execute(select(RunRow.state, RunRow.why))).all()
    assert row.state is RunState.STOPPED and "wrong season" in row.why


async def tab_to(page: Page, wanted: str) -> None:
    """Tab until what has that text, or is the field of that name, has the focus; it must be seen to have it."""
    for _ in range(400):
        await page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if not await focused.count():
            continue
        name = await focused.get_attribute("name")
        if wanted in {name, " ".join((await focused.text_content() or "").split())}:
            # Scripts are off in the page, so the style is asked for over the protocol.
            session = await page.context.new_cdp_session(page)
            await session.send("DOM.enable")
            await session.send("CSS.enable")
            document = await session.send("DOM.getDocument")
            node = await session.send("DOM.querySelector", {"nodeId": document["root"]["nodeId"], "selector": ":focus"})
            style = await session.send("CSS.getComputedStyleForNode", {"nodeId": node["nodeId"]})
            told = {one["name"]: one["value"] for one in style["computedStyle"]}
            assert told["outline-style"] == "solid" and told["outline-width"] == "3px", wanted
            await session.detach()
            return
    raise AssertionError(f"the keyboard does not reach {wanted!r} on {page.url}")


async def test_the_page_of_a_live_run_follows_it_without_a_script(
    address: str, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.ops.REFRESH_S", 1)
    run_id = await ran(engine, state=RunState.RUNNING, minutes=3, heartbeat_at=START)
    base = address.partition("/open")[0]
    async with signed_in(address, 390) as page:
        await page.goto(f"{base}/ops/runs/{run_id}")
        assert "1,234" not in await page.inner_text("dl.tiles")
        async with engine.begin() as connection:
            await connection.execute(update(RunRow).where(RunRow.run_id == run_id).values(scraped=1_234))
        await page.wait_for_selector("dl.tiles :text('1,234')", timeout=10_000)
        await page.click("text=Stand still")
        async with engine.begin() as connection:
            await connection.execute(update(RunRow).where(RunRow.run_id == run_id).values(scraped=5_678))
        await asyncio.sleep(2)
        assert "1,234" in await page.inner_text("dl.tiles")


async def test_marks_tell_kinds_apart_without_colour(address: str, engine: AsyncEngine) -> None:
    await furnish(engine)
    async with signed_in(address, 1280) as page:
        shapes = {}
        for kind in ("finished", "suspect", "failed", "stopped", "lost", "running"):
            shapes[kind] = await page.locator(f".legend .k-{kind}").inner_html()
        assert len(set(shapes.values())) == len(shapes)
        drawn = page.locator("svg.chart").filter(has=page.locator("g.k-suspect"))
        assert await drawn.count() == 1
        assert "1 suspect" in str(await drawn.get_attribute("aria-label"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.mark.parametrize("width", WIDTHS)
async def test_dark_and_light_are_two_pictures(address: str, engine: AsyncEngine, pictures: Path, width: int) -> None:
    await furnish(engine)
    async with signed_in(address, width) as page:
        light = await page.screenshot(path=pictures / f"{width}-light.png")
        await page.emulate_media(color_scheme="dark")
        assert await page.screenshot(path=pictures / f"{width}-dark.png") != light
