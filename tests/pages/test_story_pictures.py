"""Pictures of every page, to be looked at: `pytest tests/pages/test_story_pictures.py -m long --screenshots FOLDER`."""

from pathlib import Path

import pytest
import pytest_asyncio

from tests.pages.furnishing import Furnished, furnished, newcomer
from tests.pages.looking import DESK, HAND
from tests.pages.serving import Site
from tests.pages.walking import STOPS

pytestmark = [
    pytest.mark.stack,
    pytest.mark.long,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ann(site: Site) -> Furnished:
    return await furnished(site.client, site.story, site.clock)


@pytest.mark.parametrize("locale", ["en-GB", "de-DE"])
@pytest.mark.parametrize("width", [HAND, DESK])
async def test_every_page_is_two_pictures_light_and_dark(
    site: Site, ann: Furnished, screenshots: Path, width: int, locale: str
) -> None:
    language = locale[:2]
    same = []
    empty = newcomer(site.client, site.story, site.clock)
    walked = [(stop, ann, "") for stop in STOPS if stop.main or language == "en"]
    walked += [(stop, empty, "-empty") for stop in STOPS if stop.bare]
    for stop, who, state in walked:
        async with site.visiting(who.person.user if stop.signed_in else None, width, locale=locale) as page:
            await page.goto(site.base + stop.address(who.named))
            taken = []
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
                path = screenshots / f"{stop.name}{state}-{width}-{scheme}-{language}.png"
                taken.append(await page.screenshot(path=path, full_page=True))
            same += [path.name] if taken[0] == taken[1] else []
    assert not same, f"as light as dark: {same}"
