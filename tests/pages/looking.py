"""What can be seen to be wrong with a page in a browser: each check gives what it found, in words, or nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
HAND, DESK = 390, 1280
"""A phone, upright, and a desk."""
WIDTHS = (320, HAND, 640, 768, DESK, 1920)
"""320 is a desk at four times the size, 640 at twice: some read it so."""
SMALLEST_PX = 12
PRESSED_PX, LEAST_PX = 44, 24
"""High, for a finger; and for anybody (WCAG 2.2, 2.5.8)."""

_AXE = Axe()
_CHECKS = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


async def look(page: Page, check: str, *values: Any) -> list[str]:
    """What one of the checks of looking.js finds."""
    told = ", ".join(json.dumps(one) for one in values)
    found: list[str] | None = await page.evaluate(f"{_CHECKS.strip()}.{check}({told})")
    return found or []


async def refused(page: Page) -> list[str]:
    """What axe-core says against it as it is: rule, how bad, where."""
    options = {"runOnly": {"type": "tag", "values": list(TAGS)}, "resultTypes": ["violations"]}
    found = await _AXE.run(page, options=options)
    return [
        f"axe {one['id']} ({one['impact']}): "
        + "; ".join(f"{' '.join(map(str, node['target']))} {_why(node)}" for node in one["nodes"][:3])
        for one in found.response["violations"]
    ]


def _why(node: Mapping[str, Any]) -> str:
    told = [check["message"] for kind in ("any", "all", "none") for check in node[kind]]
    return f"[{told[0][:160]}]" if told else ""


async def misplaced(page: Page, widths: tuple[int, ...] = WIDTHS) -> list[str]:
    """What is wider than its window, or cut off. Afterwards the window is as wide as the last of them."""
    found = []
    for width in widths:
        await page.set_viewport_size({"width": width, "height": 900})
        found += [f"at {width} px: {one}" for check in ("wide", "cut") for one in await look(page, check)]
    return found


async def illegible(page: Page) -> list[str]:
    """Text too small to read; no heading of the first level, or several."""
    headings = await page.locator("h1:visible").count()
    return await look(page, "small", SMALLEST_PX) + ([] if headings == 1 else [f"{headings} h1"])
