"""What entries ask for is counted, published and withdrawn, in whatever order things come."""

import asyncio
import random
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.decision import Action
from schemas.history import Entry, Rematch
from schemas.listing import Listing
from schemas.outgoing import Outgoing, tombstone
from schemas.wanted import Wanted
from streams.store_match import MatchStore
from tests.streams.conftest import rows
from tests.streams.flow import Flow
from tests.streams.support import CAUSE, clock, decision, entry, listing

pytestmark = pytest.mark.stack

MEMORY = ("listings", "venues", "concerts", "concert_members", "entries", "suggestions", "decisions", "outbox")
MEMORY += ("wants", "wanted", "names")
OSLO = {"venue": "Rockefeller", "city": "Oslo", "country": "NO"}


def last(published: list[Outgoing]) -> dict[str, Wanted | None]:
    """What compaction leaves of the topic."""
    found = {one.key: one.value for one in published if one.topic == Wanted.topic}
    return {key: None if value is None else Wanted.from_bytes(value) for key, value in found.items()}


def asked(published: list[Outgoing]) -> dict[str, tuple[str, int]]:
    """Who is asked for, by how many; what was withdrawn left out."""
    return {key: (one.artist, one.asked) for key, one in last(published).items() if one is not None}


async def stored(engine: AsyncEngine) -> dict[str, tuple[Any, Any]]:
    """The same as the table has it."""
    found = await rows(engine, "select artist_key || '/' || year, artist, asked from state.wanted where asked > 0")
    return {str(key): (artist, count) for key, artist, count in found}


def end(one: Entry) -> Outgoing:
    return tombstone(Entry, one.key, trace="t", stage="test", partition_by=one.user)


async def test_entries_that_nothing_answers_are_counted_by_artist_and_year(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    await flow.send([entry("u", str(n), artist="Slint", date=f"1991-04-0{n}") for n in (1, 2, 3)])
    await flow.send([entry("v", "1", artist="SLINT", date="1990-1991"), Rematch(user="u", entry_id="1", cause="test")])
    assert asked(flow.published) == {"slint/1990": ("SLINT", 1), "slint/1991": ("Slint", 4)} == await stored(engine)
    (message,) = [one for one in flow.published if one.key == "slint/1990"]
    assert message.value is not None
    assert "origin" not in message.headers
    assert set(Wanted.from_bytes(message.value).model_dump()) == {
        "artist_key",
        "artist",
        "year",
        "since",
        "until",
        "asked",
        "rev",
    }


async def test_a_replay_publishes_nothing(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    messages = [entry("u", "1", artist="Slint", date="1991"), entry("u", "2", artist="Slint", date="1991-1993")]
    await flow.send(messages)
    before = len(flow.published)
    await flow.send([*messages, Rematch(user="u", entry_id="2", cause="test")])
    assert len(flow.published) == before


@pytest.mark.parametrize("how", ["answered", "deleted", "decided", "written anew"])
async def test_what_nobody_asks_for_any_more_is_withdrawn(engine: AsyncEngine, how: str) -> None:
    flow = Flow(engine)
    line = entry("u", "1", artist="Low", date="2019-06-01")
    await flow.send([line])
    assert asked(flow.published) == {"low/2019": ("Low", 1)}
    match how:
        case "answered":
            await flow.send([listing("a", "1", "Low", "2019-06-01", **OSLO)])
        case "deleted":
            await flow.send([end(line)])
        case "decided":
            await flow.send([listing("a", "1", "Low", "2019-06-01", **OSLO)])
            await flow.decide(decision((await flow.suggestions())["u", "1"], Action.DISMISSED))
        case "written anew":
            await flow.send([entry("u", "1", hours=1, artist="Slint", date="2019")])
    expected = {"slint/2019": ("Slint", 1)} if how == "written anew" else {}
    assert asked(flow.published) == expected == await stored(engine)
    (withdrawn,) = [one for one in flow.published if one.topic == Wanted.topic and one.value is None]
    assert (withdrawn.key, withdrawn.headers["rev"]) == ("low/2019", "2")
    await flow.send([entry("v", "1", artist="Low", date="2019-12-01")])
    again = last(flow.published)["low/2019"]
    assert again is not None and (again.asked, again.rev) == (1, 3)


async def test_what_a_vanished_listing_answered_is_asked_for_again(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    await flow.send([listing("a", "1", "Low", "2019-06-01", **OSLO), entry("u", "1", artist="Low", date="2019-06-01")])
    assert asked(flow.published) == {}
    await flow.send([listing("a", "1", "Slint", "2003-01-01", hours=4, **OSLO)])
    assert asked(flow.published) == {"low/2019": ("Low", 1)} == await stored(engine)


async def test_any_order_and_any_repetition_ask_for_the_same(engine: AsyncEngine) -> None:
    artists = ["Lantern", "lantern", "LANTERN", "Harbour Lights", "Nobody"]
    dates = ["2018", "2019-05-02", "2018-2020", "May 2019", "the 90s", "never"]
    lines = [entry(f"u{n % 4}", f"e{n}", artist=artists[n % 5], date=dates[n % 6]) for n in range(40)]
    newer = [entry(f"u{n % 4}", f"e{n}", hours=2, artist="Lantern", date="2017") for n in (3, 11)]
    concerts = [listing("a", str(n), "Lantern", f"2019-05-0{n}", **OSLO) for n in (1, 2)]
    concerts += [listing("a", "9", "Nobody", "1994-02-02", **OSLO)]
    found = []
    for seed in range(3):
        await rows_gone(engine)
        flow = Flow(engine)
        messages: list[Listing | Entry] = [*lines, *newer, *concerts]
        messages += random.Random(seed).sample(messages, 15)
        random.Random(seed).shuffle(messages)
        for start in range(0, len(messages), 5 + seed):
            await flow.send(messages[start : start + 5 + seed])
        assert asked(flow.published) == await stored(engine)
        found.append(await stored(engine))
    assert found[0] == found[1] == found[2]
    assert "nobody/1994" not in found[0]  # of the 90s a show is known
    assert {"lantern/2017", "lantern/2018", "harbour lights/2018", "nobody/2018"} <= found[0].keys()


async def rows_gone(engine: AsyncEngine) -> None:
    """An empty memory."""
    async with engine.begin() as connection:
        await connection.execute(text("truncate " + ", ".join(f"state.{name}" for name in MEMORY)))


async def test_two_workers_that_count_the_same_wish_at_once_lose_none(engine: AsyncEngine) -> None:
    lines = [entry(f"u{n}", "1", artist="Slint", date="1991") for n in range(6)]
    stores = [MatchStore(engine, 8, clock) for _ in lines]
    for store, line in zip(stores, lines, strict=True):
        await store.put([line])
    await asyncio.gather(
        *(store.match({(line.user, line.entry_id): CAUSE}) for store, line in zip(stores, lines, strict=True))
    )
    assert await stored(engine) == {"slint/1991": ("Slint", 6)}
    flow = Flow(engine)
    published = await flow._from_outbox()
    counts = [Wanted.from_bytes(one.value).asked for one in published if one.topic == Wanted.topic]
    assert counts == [1, 2, 3, 4, 5, 6]  # in the order of their revs, as the relay reads them
