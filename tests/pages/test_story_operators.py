"""The operators' pages in a browser, light and dark, as wide as a hand and as a desk: no barriers."""

import pytest
from sqlalchemy import delete

from api.tokens import OPERATOR
from deploy.settings import Settings
from deploy.topics import apply_topics
from schemas.tables import AlertRow, CatalogueRejection, RunRow, ScheduleRow, WantedListRow
from tests.api.test_ops_browser import furnish
from tests.pages.looking import DESK, HAND, illegible, look, misplaced, refused
from tests.pages.serving import Site

pytestmark = [
    pytest.mark.stack,
    pytest.mark.long,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]


async def test_an_operators_page_is_free_of_barriers(site: Site, migrated: Settings) -> None:
    await apply_topics(migrated)
    async with site.story.engine.begin() as connection:
        for table in (AlertRow, RunRow, ScheduleRow, CatalogueRejection, WantedListRow):
            await connection.execute(delete(table))
    suspect = await furnish(site.story.engine)
    pages = ["/ops", "/ops/runs", f"/ops/runs/{suspect}", f"/ops/runs/{suspect}/accept", "/ops/schedules"]
    pages += ["/ops/schedules/new", "/ops/schedules/nightly", "/ops/spiders/setlistfm", "/ops/spiders/setlistfm/start"]
    pages += ["/ops/alerts", "/ops/rejections", "/ops/rejections/replay", "/ops/wanted", "/ops/nothing-here"]
    found = []
    async with site.visiting("ada", roles=[OPERATOR]) as page:
        for path in pages:
            await page.goto(site.base + path)
            told = await misplaced(page, (320, HAND, DESK)) + await look(page, "unfocused")
            for scheme in ("dark", "light"):
                await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                told += await refused(page)
            found += [f"{path}: {one}" for one in told + await illegible(page)]
    assert not found, "\n".join(found)
