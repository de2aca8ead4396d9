"""How somebody uses a page: by the keyboard alone, by a finger, or with a browser that runs no scripts."""

from typing import ClassVar

from playwright.async_api import Locator, Page

LOOK_MS, PATIENCE = 250, 100
FARTHEST = 400
"""Presses of Tab from one end of a page to the other."""

HAS_FOCUS = "one => one === document.activeElement"
HOLDS_FOCUS = "one => one.contains(document.activeElement)"
SEEN = "one => { const { outlineStyle: how, outlineWidth: wide } = getComputedStyle(one); return `${how} ${wide}`; }"


class Pointer:
    """Clicks; the browser runs no scripts."""

    name: ClassVar = "without-scripts"
    options: ClassVar[dict[str, object]] = {"java_script_enabled": False}
    width: ClassVar = 1280
    scripts: ClassVar = False

    def __init__(self, page: Page) -> None:
        self.page = page

    async def press(self, target: Locator) -> None:
        """A link or a button."""
        await target.click()

    async def write(self, field: Locator, text: str) -> None:
        """Into a field that is empty."""
        await self.press(field)
        await self.page.keyboard.insert_text(text)

    async def decide(self, card: Locator, button: str, key: str) -> None:
        """By a button of a card; `key` is the same for who uses keys."""
        await self.press(card.get_by_role("button", name=button).first)

    async def undo(self) -> None:
        """What was decided last."""
        await self.press(self.page.locator("#toast").get_by_role("button", name="Undo"))

    async def wait_for(self, target: Locator) -> None:
        """Until it is there; where nothing comes by itself, the page is opened again and again."""
        for _ in range(PATIENCE):
            if await target.count():
                return
            await self.page.wait_for_timeout(LOOK_MS)
            if not self.scripts:
                await self.page.reload()
        raise AssertionError(f"{target} does not come to {self.page.url}")


class Finger(Pointer):
    """Taps, on a phone."""

    name: ClassVar = "touch"
    options: ClassVar[dict[str, object]] = {"has_touch": True, "is_mobile": True}
    width: ClassVar = 390
    scripts: ClassVar = True

    async def press(self, target: Locator) -> None:
        """A tap in the middle of it."""
        await target.tap()


class Keyboard(Pointer):
    """Keys alone: no mouse, no finger, and whatever has the focus shows it."""

    name: ClassVar = "keyboard"
    options: ClassVar[dict[str, object]] = {}
    scripts: ClassVar = True

    async def reach(self, target: Locator) -> None:
        """Tab until it has the focus, on and round."""
        await target.wait_for(state="visible")
        for _ in range(FARTHEST):
            if await target.evaluate(HAS_FOCUS):
                assert await target.evaluate(SEEN) == "solid 3px", f"{target} does not show that it has the focus"
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"the keyboard does not reach {target} on {self.page.url}")

    async def press(self, target: Locator) -> None:
        await self.reach(target)
        await self.page.keyboard.press("Enter")

    async def write(self, field: Locator, text: str) -> None:
        await self.reach(field)
        await self.page.keyboard.insert_text(text)

    async def decide(self, card: Locator, button: str, key: str) -> None:
        """To the card by j and k, and the key that is the button's."""
        await card.wait_for(state="visible")
        for way in ("j", "k"):
            for _ in range(await self.page.locator("[data-card]").count() + 1):
                if await card.evaluate(HOLDS_FOCUS):
                    await self.page.keyboard.press(key)
                    return
                await self.page.keyboard.press(way)
        raise AssertionError(f"j and k do not reach {card}")

    async def undo(self) -> None:
        await self.page.keyboard.press("u")
