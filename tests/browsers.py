"""Chromium for tests: Debian's, or Playwright's own; and what a page does in it that no page may.

    python -m tests.browsers    finds one, else installs Playwright's; else says how, and ends well all the same

Without one, tests in a browser are skipped; where CI is set they fail.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Error, Page, Request, async_playwright

INSTALL_S = 600
"""For 170 MB; a machine that reaches no mirror gives up long before."""


def program() -> str | None:
    """Debian's; None: there is only Playwright's own, if any."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """Chromium. Without one the test is skipped, or fails where CI is set."""
    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(executable_path=program(), args=["--no-sandbox"])
        except Error as error:
            if os.environ.get("CI"):
                pytest.fail(remedy(error))
            pytest.skip(remedy(error))
        try:
            yield browser
        finally:
            await browser.close()


def remedy(error: Error) -> str:
    """Why there is no browser, and what to do, in a line."""
    why = error.message.splitlines()[0]
    return f"no browser: {why}. Remedy: `apt install chromium`, or `.venv/bin/playwright install chromium`."


def watch(page: Page, base: str) -> list[str]:
    """What it complains of from now on, and whom it asks beside ourselves; grows as it happens."""
    seen: list[str] = []
    own = urlsplit(base).netloc

    def said(message: ConsoleMessage) -> None:
        # A page that is answered with 404 is itself "a resource that failed"; who opens it looks at the status.
        if message.type in ("error", "warning") and message.location.get("url") != page.url:
            seen.append(f"{page.url}: {message.type}: {message.text}")

    def asked(request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.netloc != own:
            seen.append(f"{page.url}: asks {request.url}")

    page.on("console", said)
    page.on("pageerror", lambda error: seen.append(f"{page.url}: {error}"))
    page.on("request", asked)
    return seen


async def _why_none() -> Error | None:
    """None: one starts."""
    async with async_playwright() as playwright:
        try:
            await (await playwright.chromium.launch(executable_path=program(), args=["--no-sandbox"])).close()
        except Error as error:
            return error
    return None


def main() -> None:
    """See the module."""
    error = asyncio.run(_why_none())
    if error and program() is None:
        print("there is no Chromium: installing Playwright's", flush=True)
        try:
            subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], timeout=INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            print(f"that took more than {INSTALL_S} s")
        error = asyncio.run(_why_none())
    if error:
        print(f"{remedy(error)} Tests in a browser are left out.")


if __name__ == "__main__":
    main()
