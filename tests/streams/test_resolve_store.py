"""One truth for each block, whoever resolves it, in whatever order."""

import asyncio
import random
import threading
from uuid import UUID

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from matchers.resolve import resolve
from schemas.ids import listing_id
from schemas.listing import Listing
from schemas.outgoing import HEADER_LOST_KEYS, HEADER_REV
from schemas.raw import RawVenue
from schemas.rows import raw_from_row
from streams.store_resolve import ResolveStore, canonical_without_rev
from tests.streams.conftest import rows
from tests.streams.support import CAUSE, caused, listing

pytestmark = pytest.mark.stack

LIVE = "select cast(body as text) from state.concerts where live order by concert_id"
OUTBOX = "select key, value, headers from state.outbox where topic = 'gigz.concert.v1' order by id"


async def concerts(engine: AsyncEngine) -> dict[UUID, bytes]:
    """What is live, without revs."""
    from schemas.concert import Concert

    found = [Concert.model_validate_json(str(body)) for (body,) in await rows(engine, LIVE)]
    return {one.concert_id: canonical_without_rev(one) for one in found}


def expected(listings: list[Listing]) -> dict[UUID, bytes]:
    return {one.concert_id: canonical_without_rev(one) for one in resolve(listings)}


def some_listings(seed: int) -> list[Listing]:
    """Three sources that tell of 40 nights, with slips, a bill now and then, and a second version of some."""
    dice = random.Random(seed)
    made = []
    for night in range(40):
        artist = (
            f"{dice.choice(['Blue', 'Iron', 'Quiet'])} {dice.choice(['Harbour', 'Lantern', 'Meadow'])} {night // 4}"
        )
        for source in ("one", "two", "three"):
            if dice.random() < 0.8:
                name = artist if dice.random() < 0.8 else artist.replace("e", "", 1)
                date = f"2019-05-{1 + night // 2:02}"
                support = ["Third Wheel"] if dice.random() < 0.3 else None
                for hours in range(1 + (dice.random() < 0.2)):
                    place = {"venue": "Paradiso", "city": "Amsterdam", "country": "NL"}
                    made.append(listing(source, f"{night}", name, date, hours, support=support, **place))
    return made


async def test_a_batch_becomes_concerts_and_outbox_rows(engine: AsyncEngine) -> None:
    both = [
        listing("a", "1", "Sigur Rós", "2019-06-01", city="Oslo"),
        listing("b", "9", "Sigur Ros", "2019-06-01", city="Oslo"),
    ]
    done = await ResolveStore(engine, 8).apply(caused(both))
    assert (done.changed, done.ended) == (1, 0)
    assert await concerts(engine) == expected(both)
    ((key, value, headers),) = await rows(engine, OUTBOX)
    assert str(key) in {str(i) for i in expected(both)}
    assert b'"rev":1' in bytes(value)  # type: ignore[arg-type]
    assert headers["trace"] == CAUSE.trace and headers["origin"] == str(CAUSE.origin)  # type: ignore[index]


async def test_a_replayed_batch_publishes_nothing(engine: AsyncEngine) -> None:
    batch = caused(some_listings(1))
    store = ResolveStore(engine, 8)
    await store.apply(batch)
    published = len(await rows(engine, OUTBOX))
    again = await store.apply(batch)
    assert (again.changed, again.ended) == (0, 0)
    assert len(await rows(engine, OUTBOX)) == published


async def test_an_older_listing_after_a_newer_is_ignored(engine: AsyncEngine) -> None:
    store = ResolveStore(engine, 8)
    newer = listing("a", "1", "Low", "2019-06-02", hours=5, city="Oslo")
    older = listing("a", "1", "Low", "2019-06-01", hours=1, city="Oslo")
    await store.apply(caused([newer]))
    await store.apply(caused([older]))
    assert await concerts(engine) == expected([newer])
    await store.apply(caused([listing("a", "1", "Low", "2019-06-03", hours=6, city="Oslo")]))
    assert {str(night) for (night,) in await rows(engine, "select night from state.concerts where live")} == {
        "2019-06-03"
    }


@pytest.mark.parametrize("seed", [1, 2])
async def test_any_order_and_batching_give_the_same_concerts(engine: AsyncEngine, seed: int) -> None:
    listings = some_listings(seed)
    shuffled = random.Random(seed).sample(listings, len(listings))
    store = ResolveStore(engine, 8)
    while shuffled:
        size = random.Random(len(shuffled)).randint(1, 30)
        await store.apply(caused(shuffled[:size]))
        shuffled = shuffled[size:]
    assert await concerts(engine) == expected(listings)


async def test_a_late_listing_joins_two_concerts_and_the_larger_id_ends(engine: AsyncEngine) -> None:
    place = {"venue": "Paradiso", "city": "Amsterdam", "country": "NL"}
    mbid = "f6f2326f-6b25-4170-b89d-e235b25508e8"
    apart = [
        listing("a", "1", "Sigur Rós", "2019-06-01", **place),
        listing("b", "1", "Victory Rose", "2019-06-01", artist_mbid=mbid, city="Amsterdam", country="NL"),
    ]
    smallest = min(one.listing_id for one in apart)
    late = next(str(n) for n in range(99) if listing_id("c", str(n)) > smallest)
    bridge = listing("c", late, "Sigur Ros", "2019-06-01", artist_mbid=mbid, **place)
    store = ResolveStore(engine, 8)
    for one in apart:
        await store.apply(caused([one]))
    assert len(await concerts(engine)) == 2
    done = await store.apply(caused([bridge]))
    assert await concerts(engine) == expected([*apart, bridge])
    (kept,) = await rows(engine, "select anchor_listing_id from state.concerts where live")
    assert kept == (smallest,) and done.ended == 1
    ends = [(key, headers) for key, value, headers in await rows(engine, OUTBOX) if value is None]
    ((ended, headers),) = ends
    assert headers[HEADER_REV] == "2" and HEADER_LOST_KEYS in headers  # type: ignore[index,operator]
    ((live, rev),) = await rows(
        engine, "select live, rev from state.concerts where concert_id = cast(:i as uuid)", i=ended
    )
    assert (live, rev) == (False, 2)
    members = await rows(engine, "select distinct concert_id from state.concert_members")
    assert {row[0] for row in members} == set(expected([*apart, bridge]))


async def test_a_block_that_grows_while_its_locks_are_awaited_is_begun_anew(engine: AsyncEngine) -> None:
    """Between the look and the lock another resolver commits a listing that joins ours to a third."""
    far = listing("c", "1", "Third Wheel", "2019-06-01", city="Oslo")
    joining = listing("b", "1", "Low", "2019-06-01", support=["Third Wheel"], city="Oslo")
    ours = listing("a", "1", "Low", "2019-06-01", city="Oslo")
    other = ResolveStore(engine, 8)
    await other.apply(caused([far]))
    done: list[int] = []

    def between(moment: str) -> None:
        if moment == "read" and not done:
            done.append(1)
            thread = threading.Thread(target=lambda: asyncio.run(_elsewhere(engine, joining)))
            thread.start()
            thread.join()

    applied = await ResolveStore(engine, 8, between).apply(caused([ours]))
    assert applied.begun_anew == 1
    assert await concerts(engine) == expected([far, joining, ours])


async def _elsewhere(engine: AsyncEngine, one: Listing) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    own = create_async_engine(engine.url)
    await ResolveStore(own, 8).apply(caused([one]))
    await own.dispose()


async def test_two_resolvers_on_one_block_give_one_truth(engine: AsyncEngine) -> None:
    for round_ in range(3):
        listings = [
            listing(
                source,
                f"{round_}-{number}",
                f"Night Owl {number % 3}",
                f"2018-0{round_ + 1}-01",
                city="Oslo",
                support=["Same Guest"],
            )
            for number in range(12)
            for source in ("a", "b", "c", "d")
        ]
        random.Random(round_).shuffle(listings)
        parts = [listings[index::4] for index in range(4)]

        async def one(part: list[Listing]) -> None:
            store = ResolveStore(engine, 8)
            for start in range(0, len(part), 4):
                await store.apply(caused(part[start : start + 4]))

        await asyncio.gather(*(one(part) for part in parts))
        live = await concerts(engine)
        assert expected(listings).items() <= live.items()


async def test_ids_of_one_concert_are_drawn_in_the_order_of_its_revs(engine: AsyncEngine) -> None:
    """What keeps the relay's order right although ids are drawn before the commit."""
    stores = [ResolveStore(engine, 8) for _ in range(4)]
    listings = [listing(f"s{number}", "1", "Low", "2019-06-01", city="Oslo") for number in range(24)]
    await asyncio.gather(*(stores[n % 4].apply(caused([one])) for n, one in enumerate(listings)))
    revs: dict[object, list[int]] = {}
    for key, value, headers in await rows(engine, OUTBOX):
        rev = int(headers[HEADER_REV]) if value is None else orjson.loads(value)["rev"]  # type: ignore[index,arg-type]
        revs.setdefault(key, []).append(rev)
    assert revs and all(found == sorted(found) and len(found) == len(set(found)) for found in revs.values())
    assert await concerts(engine) == expected(listings)


async def test_a_venue_is_told_to_the_listings_that_it_concerns(engine: AsyncEngine) -> None:
    from matchers.normalise import normalise
    from schemas.reference import Venue

    row = {"source": "places", "source_id": "7", "fields": {}}
    del row["fields"]
    found = normalise(
        raw_from_row(
            row | {"name": "Paradiso", "city": "Amsterdam", "country": "NL", "lat": 52.3622, "lon": 4.8839}, RawVenue
        )
    )
    assert isinstance(found, tuple)
    (venue,) = found
    assert isinstance(venue, Venue)
    one = listing("a", "1", "Low", "2019-06-01", venue="Paradiso", city="Amsterdam", country="NL")
    store = ResolveStore(engine, 8)
    await store.apply(caused([one]))
    await store.apply([(venue, CAUSE)])
    stored = await concerts(engine)
    assert stored == {c.concert_id: canonical_without_rev(c) for c in resolve([one], [venue])}
    assert stored != expected([one])


async def test_a_source_known_to_be_a_day_off_joins_the_night_before(engine: AsyncEngine) -> None:
    place = {"venue": "Paradiso", "city": "Amsterdam", "country": "NL"}
    nights = [
        listing("a", "1", "Sigur Rós", "2019-06-01", **place),
        listing("late", "1", "Sigur Rós", "2019-06-02", **place),
    ]
    store = ResolveStore(engine, 8, day_off=frozenset(["late"]))
    for one in nights:
        await store.apply(caused([one]))
    ((night,),) = await rows(engine, "select night from state.concerts where live")
    assert str(night) == "2019-06-01"
    both = listing("late", "2", "Sigur Rós", "2019-06-01", **place)
    await store.apply(caused([both]))
    assert len(await concerts(engine)) == 2, "a source that lists both nights means both"
