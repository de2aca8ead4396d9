"""`make demo`, and then what somebody does who has never seen Gigz: open the printed address, press what is offered."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.browsers import watch
from tests.support import ANY_FREE_PORTS, ROOT

pytestmark = [
    pytest.mark.stack,
    pytest.mark.long,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(900),
]
A_MINUTE = 60.0
SLOWLY_S = 2.0
"""For a person to see where to press."""


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that the demo prints."""
    home = tmp_path_factory.mktemp("demo")
    ports = {f"GIGZ_{name.upper()}": "0" for name in ANY_FREE_PORTS}
    environment = {**os.environ, "GIGZ_HOME": str(home), **ports}

    def gigz(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "gigz.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
        )

    try:
        done = gigz("demo")
        assert done.returncode == 0, done.stderr[-3_000:]
        (address,) = re.findall(r"http://\S+/open\?token=\S+", done.stdout)
        assert done.stdout.rstrip().endswith(address), "what to do next is the last that is said"
        yield address
    finally:
        gigz("down")


@pytest.mark.parametrize(("width", "height", "touch"), [(390, 844, True), (1280, 800, False)])
async def test_a_newcomer_gets_to_a_confirmed_show_in_a_minute(
    inbox: str, browser: Browser, screenshots: Path, width: int, height: int, touch: bool
) -> None:
    context = await browser.new_context(viewport={"width": width, "height": height}, has_touch=touch, is_mobile=touch)
    page = await context.new_page()
    complaints = watch(page, inbox)
    began = time.monotonic()
    await page.goto(inbox)
    await page.screenshot(path=screenshots / f"newcomer-{width}-first.png")
    confirm = page.locator("[data-card]").first.get_by_role("button", name="Confirm")
    box = await confirm.bounding_box()
    assert box is not None and box["y"] + box["height"] <= height, f"Confirm lies below the first screen: {box}"
    before = int(re.findall(r"\d+", await page.locator("#counts").inner_text())[0])
    await page.wait_for_timeout(SLOWLY_S * 1_000)
    await (confirm.tap() if touch else confirm.click())
    await expect(page.locator("#toast")).to_contain_text("Confirmed.")
    await expect(page.locator("#counts")).to_contain_text(f"{before - 1} to decide")
    took = time.monotonic() - began
    await page.screenshot(path=screenshots / f"newcomer-{width}-confirmed.png")
    journal = page.get_by_role("navigation", name="Gigz").get_by_role("link", name="Journal")
    await (journal.tap() if touch else journal.click())
    await expect(page.locator("#shows li").first).to_be_visible()
    await page.screenshot(path=screenshots / f"newcomer-{width}-journal.png", full_page=True)
    await context.close()
    print(f"{width} px: two presses, the second to see the journal; {took - SLOWLY_S:.1f} s of waiting")
    assert took < A_MINUTE and not complaints, (took, complaints)
