"""A set that reads the same while what it says for itself has changed."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.suggestion import Nothing
from tests.streams.flow import Flow
from tests.streams.support import entry, listing

pytestmark = pytest.mark.stack

OSLO = {"venue": "Rockefeller", "city": "Oslo", "country": "NO"}


async def test_a_show_that_changes_while_another_entry_has_it_changes_no_rev_and_stops_nobody(
    engine: AsyncEngine,
) -> None:
    flow = Flow(engine)
    doubtful = entry("u", "off", artist="Low", date="2019-05-31", city="Oslo")
    meant = entry("u", "meant", artist="Low", date="2019-06-01", city="Oslo")
    await flow.send([listing("a", "1", "Low", "2019-06-01", **OSLO), doubtful])
    await flow.send([meant])
    taken, rev = (await flow.suggestions())["u", "off"], await flow.rev("u", "off")
    assert taken.reason is Nothing.TAKEN and rev > 0
    await flow.send([listing("a", "1", "Low", "2019-06-01", hours=5, songs=["Silver Rider", "Sunflower"], **OSLO)])
    assert (await flow.suggestions())["u", "meant"].suggestions[0].concert.songs
    assert (await flow.suggestions())["u", "off"] == taken
    assert await flow.rev("u", "off") == rev
