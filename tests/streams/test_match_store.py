"""Suggestions follow from what is there, in whatever order it came."""

import asyncio
import random
import threading
import time

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.settings import Settings
from matchers.candidates import concert_keys, entry_keys
from matchers.match import match
from matchers.resolve import resolve
from matchers.settle import settle
from schemas.decision import Action
from schemas.history import Entry, Rematch
from schemas.listing import Listing
from schemas.outgoing import tombstone
from schemas.suggestion import Band, Nothing, Suggestions
from schemas.wanted import Wanted
from streams.store_match import MatchStore
from tests.streams.conftest import rows
from tests.streams.flow import Flow
from tests.streams.support import CAUSE, clock, decision, entry, listing

pytestmark = pytest.mark.stack

OSLO = {"venue": "Rockefeller", "city": "Oslo", "country": "NO"}


def expected(entries: list[Entry], listings: list[Listing]) -> dict[tuple[str, str], Suggestions]:
    concerts = resolve(listings)
    found = {}
    for one in entries:
        keys = entry_keys(one)
        found[one.user, one.entry_id] = match(one, [c for c in concerts if keys & concert_keys(c)])
    return found


async def test_any_order_of_listings_and_entries_gives_the_same_suggestions(engine: AsyncEngine) -> None:
    nights = [f"2019-05-{1 + n:02}" for n in range(15)]
    listings = [
        listing(source, f"{n}", f"Lantern {n % 5}" if source == "a" else f"Lanterns {n % 5}", night, **OSLO)
        for n, night in enumerate(nights)
        for source in ("a", "b")
    ]
    moved = [listing("a", f"{n}", f"Lantern {n % 5}", "2019-07-20", hours=3, **OSLO) for n in (2, 7)]
    entries = [entry(f"u{n % 3}", f"e{n}", artist=f"Lantern {n % 5}", date=night) for n, night in enumerate(nights)]
    entries += [
        entry("u9", "month", artist="Lantern 2", date="May 2019"),
        entry("u9", "none", artist="Nobody", date="2019"),
    ]
    flow = Flow(engine)
    messages: list[Listing | Entry] = [*listings, *moved, *entries]
    random.Random(4).shuffle(messages)
    for start in range(0, len(messages), 7):
        await flow.send(messages[start : start + 7])
    alone = expected(entries, [*listings, *moved])
    assert await flow.suggestions() == dict(zip(alone, settle([*alone.values()]), strict=True))
    assert sum(bool(found.suggestions) for found in (await flow.suggestions()).values()) >= 10


async def test_a_rematch_that_changes_nothing_publishes_nothing(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    await flow.send([listing("a", "1", "Low", "2019-06-01", **OSLO), entry("u", "1", artist="Low", date="2019-06-01")])
    assert await flow.rev("u", "1") >= 1
    before, published = await flow.rev("u", "1"), len(flow.published)
    await flow.send([Rematch(user="u", entry_id="1", cause="test"), entry("u", "1", artist="Low", date="2019-06-01")])
    assert (await flow.rev("u", "1"), len(flow.published)) == (before, published)


async def test_an_older_entry_after_a_newer_is_ignored(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    await flow.send(
        [listing("a", "1", "Low", "2019-06-01", **OSLO), entry("u", "1", hours=2, artist="Low", date="2019-06-01")]
    )
    await flow.send([entry("u", "1", hours=1, artist="Slint", date="1991")])
    assert (await flow.suggestions())["u", "1"].entry.artist == "Low"


async def test_a_deleted_entry_withdraws_its_set_and_stays_deleted_at_a_replay(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    written = entry("u", "1", artist="Low", date="2019-06-01")
    end = tombstone(Entry, written.key, trace="t", stage="test", partition_by="u")
    await flow.send([listing("a", "1", "Low", "2019-06-01", **OSLO), written])
    await flow.send([end])
    found = (await flow.suggestions())["u", "1"]
    assert found.suggestions == () and found.reason is Nothing.ENTRY_DELETED and found.entry.artist is None
    await flow.send([written])
    assert (await flow.suggestions())["u", "1"].reason is Nothing.ENTRY_DELETED
    await flow.send([entry("u", "1", hours=9, artist="Low", date="2019-06-01")])
    assert (await flow.suggestions())["u", "1"].suggestions


async def test_entry_and_deletion_in_one_batch_count_in_their_order(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    first, later = (entry("u", "1", hours=h, artist="Low", date="2019-06-01") for h in (1, 2))
    end = tombstone(Entry, first.key, trace="t", stage="test", partition_by="u")
    await flow.send([listing("a", "1", "Low", "2019-06-01", **OSLO)])
    await flow.send([first, end])
    assert await flow.suggestions() == {}
    await flow.send([first, end, later])
    assert (await flow.suggestions())["u", "1"].suggestions


async def test_an_entry_without_a_concert_asks_for_its_artist_and_year_once(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    asking = [entry("u", str(n), artist="Slint", date=f"1991-04-0{n}") for n in (1, 2, 3)]
    await flow.send(asking)
    await flow.send([Rematch(user="u", entry_id="1", cause="test")])
    assert [one.key for one in flow.published if one.topic == Wanted.topic] == ["slint/1991"]


async def test_a_dismissal_holds_when_the_concert_merges_under_another_id(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    one = listing("a", "1", "Low", "2019-06-01", **OSLO)
    await flow.send([one, entry("u", "1", artist="Low", date="2019-06-01")])
    shown = (await flow.suggestions())["u", "1"]
    await flow.decide(decision(shown, Action.DISMISSED))
    assert (await flow.suggestions())["u", "1"].reason is Nothing.DISMISSED
    smaller = next(
        other
        for n in range(99)
        if (other := listing("b", str(n), "Low", "2019-06-01", **OSLO)).listing_id < one.listing_id
    )
    await flow.send([smaller])
    ((live,),) = await rows(engine, "select concert_id from state.concerts where live")
    assert live != shown.suggestions[0].concert_id
    assert (await flow.suggestions())["u", "1"].reason is Nothing.DISMISSED


async def test_what_was_confirmed_stays_in_the_set_when_its_facts_move(engine: AsyncEngine) -> None:
    """The concert shares no key with the entry any more; the decision still leads to it."""
    flow = Flow(engine)
    await flow.send([listing("a", "1", "Low", "2019-06-01", **OSLO), entry("u", "1", artist="Low", date="2019-06-01")])
    await flow.decide(decision((await flow.suggestions())["u", "1"], Action.CONFIRMED))
    elsewhere = {"venue": "Vega", "city": "Copenhagen", "country": "DK"}
    await flow.send([listing("a", "1", "Mimi Parker", "2021-02-03", hours=5, **elsewhere)])
    found = (await flow.suggestions())["u", "1"]
    assert [str(one.concert.night) for one in found.suggestions] == ["2021-02-03"]
    assert found.decision is Action.CONFIRMED


async def test_a_decision_during_a_rematch_waits_for_it_and_is_seen_by_the_next(
    engine: AsyncEngine, settings: Settings
) -> None:
    flow = Flow(engine)
    await flow.send([listing("a", "1", "Low", "2019-06-01", **OSLO), entry("u", "1", artist="Low", date="2019-06-01")])
    shown = (await flow.suggestions())["u", "1"]
    before = await flow.rev("u", "1")
    await flow.concerts.apply([(listing("a", "1", "Low", "2019-06-01", hours=2, songs=["Lullaby"], **OSLO), CAUSE)])
    seen: list[int] = []

    def decide() -> None:
        with psycopg.connect(settings.engine_url("postgres")) as connection:
            connection.execute("select 1 from state.entries where user_id = 'u' and entry_id = '1' for update")
            row = connection.execute("select rev from state.suggestions where user_id = 'u'").fetchone()
            assert row is not None
            seen.append(row[0])

    deciding = threading.Thread(target=decide)

    def while_locked(moment: str) -> None:
        if moment == "locked":
            deciding.start()
            time.sleep(0.3)

    changed = await MatchStore(engine, 8, clock, while_locked).match({("u", "1"): CAUSE})
    deciding.join(10)
    assert changed.changed == 1
    assert seen == [before + 1]  # the API's transaction saw what the match wrote, not what it was about to replace
    await flow.decide(decision(shown, Action.CONFIRMED))
    assert (await flow.suggestions())["u", "1"].decision is Action.CONFIRMED


async def test_a_show_that_another_entry_means_leaves_a_set_and_comes_back_with_its_deletion(
    engine: AsyncEngine,
) -> None:
    flow = Flow(engine)
    doubtful = entry("u", "off", artist="Low", date="2019-05-31", city="Oslo")
    meant = entry("u", "meant", artist="Low", date="2019-06-01", city="Oslo")
    await flow.send([listing("a", "1", "Low", "2019-06-01", **OSLO), doubtful])
    before = (await flow.suggestions())["u", "off"]
    assert before.suggestions[0].band is Band.POSSIBLE
    await flow.send([meant])
    assert (await flow.suggestions())["u", "off"].reason is Nothing.TAKEN
    assert (await flow.suggestions())["u", "meant"].suggestions[0].band is Band.SURE
    await flow.send([tombstone(Entry, meant.key, trace="t", stage="test", partition_by="u")])
    assert (await flow.suggestions())["u", "off"] == before


async def test_sets_of_one_user_are_settled_alike_in_any_order(engine: AsyncEngine) -> None:
    nights = [listing("a", str(n), "Low", f"2019-06-0{n}", **OSLO) for n in (1, 2, 3)]
    typed = ["2019-06-01", "2019-06-02", "Jun 2019", "2019-05-31", "2019-06-02"]
    entries = [entry("u", str(n), artist="Low", date=when, city="Oslo") for n, when in enumerate(typed)]
    alone = expected(entries, nights)
    settled = {(one.user, one.entry_id): one for one in settle([*alone.values()])}
    assert settled != alone
    flow = Flow(engine)
    messages: list[Listing | Entry] = [*nights, *entries]
    random.Random(7).shuffle(messages)
    for one in messages:
        await flow.send([one])
    assert await flow.suggestions() == settled


async def test_entries_of_one_user_that_are_matched_at_once_are_settled_beside_each_other(engine: AsyncEngine) -> None:
    """History, decisions and rematches are read side by side: each batch writes sets that others came for."""
    nights = [listing("a", str(n), "Low", f"2019-06-0{n}", **OSLO) for n in (1, 2, 3)]
    typed = ["2019-06-01", "2019-06-02", "Jun 2019", "2019-05-31", "2019-06-02"]
    users = [f"u{n}" for n in range(4)]
    entries = [
        entry(user, str(n), artist="Low", date=when, city="Oslo") for user in users for n, when in enumerate(typed)
    ]
    alone = expected(entries, nights)
    flow = Flow(engine)
    await flow.send(nights)
    await flow.store.put(entries)
    order = [one for _ in range(3) for one in random.Random(3).sample(entries, len(entries))]
    await asyncio.gather(*(flow.store.match({(one.user, one.entry_id): CAUSE}) for one in order))
    assert await flow.suggestions() == {
        (one.user, one.entry_id): one
        for user in users
        for one in settle([found for at, found in alone.items() if at[0] == user])
    }
    query = (
        "select key, cast(convert_from(value, 'UTF8') as json) ->> 'rev' from state.outbox where topic = :t order by id"
    )
    revs: dict[str, list[int]] = {}
    for key, rev in await rows(engine, query, t=Suggestions.topic):
        revs.setdefault(str(key), []).append(int(str(rev)))
    assert set(revs) == {one.key for one in entries}
    assert all(told == list(range(1, len(told) + 1)) for told in revs.values()), revs
