"""Other names of artists and venues count as soon as they are known, in whatever order they come."""

import itertools
import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from matchers.catalogue import Catalogue
from matchers.match import match_all
from matchers.normalise import normalise
from matchers.reference import MOST_ROWS, names_of, with_names
from matchers.resolve import resolve
from matchers.settle import settle
from matchers.weights import default_tables
from schemas.history import Entry
from schemas.message import Message
from schemas.outgoing import Outgoing, tombstone
from schemas.raw import RawArtist, RawKind, RawVenue
from schemas.reference import Artist, Venue
from schemas.rows import envelope
from schemas.suggestion import Band, Suggestions
from streams.store_match import MatchStore
from tests.streams.conftest import rows
from tests.streams.flow import Flow
from tests.streams.support import CAUSE, NOON, clock, entry, listing
from tests.streams.test_wanted_topic import asked, rows_gone

pytestmark = pytest.mark.stack

OSLO = {"venue": "Rockefeller", "city": "Oslo", "country": "NO"}
LINE = entry("u", "1", artist="Thornwick", date="2019-06-01", city="Oslo")
SHOW = listing("a", "1", "Alma Quay", "2019-06-01", **OSLO)


def artist(name: str, *aliases: str, source_id: str = "1", hours: int = 0, gone: bool = False) -> Artist:
    fields: dict[str, Any] = {"name": name, "aliases": list(aliases)}
    return _made(RawArtist, fields, source_id, hours, gone, Artist)


def venue(name: str, *names: dict[str, str], source_id: str = "1", hours: int = 0, **place: Any) -> Venue:
    return _made(RawVenue, {"name": name, "names": list(names), **place}, source_id, hours, False, Venue)


def _made(raw: Any, fields: dict[str, Any], source_id: str, hours: int, gone: bool, kind: Any) -> Any:
    message = envelope(
        raw,
        source="ref",
        source_id=source_id,
        seen_at=NOON + timedelta(hours=hours),
        spider="test",
        fields=fields,
        kind=RawKind.VANISHED if gone else RawKind.SEEN,
    )
    made = normalise(message)
    assert isinstance(made, tuple) and isinstance(made[0], kind), made
    return made[0]


ALIAS = artist("Alma Quay", "Thornwick")


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))], ids=str)
async def test_an_alias_finds_the_show_whatever_came_first(engine: AsyncEngine, order: tuple[int, ...]) -> None:
    flow = Flow(engine)
    for place in order:
        await flow.send([(LINE, SHOW, ALIAS)[place]])
    found = (await flow.suggestions())["u", "1"]
    (first,) = found.suggestions
    assert first.band is Band.SURE
    assert "'Thornwick' is another name of Alma Quay" in [one.text for one in first.why]
    assert found.weights == default_tables().version
    assert asked(flow.published) == {}


@pytest.mark.parametrize("how", ["vanished", "ended", "written anew", "older"])
async def test_an_alias_that_is_withdrawn_is_withdrawn_from_who_had_it(engine: AsyncEngine, how: str) -> None:
    flow = Flow(engine)
    await flow.send([SHOW, LINE])
    without = (await flow.suggestions())["u", "1"]
    await flow.send([ALIAS])
    assert (await flow.suggestions())["u", "1"] != without
    last: Message | Outgoing = {
        "vanished": artist("Alma Quay", "Thornwick", hours=1, gone=True),
        "written anew": artist("Alma Quay", hours=1),
        "older": artist("Alma Quay", hours=-1),
        "ended": tombstone(Artist, ALIAS.key, trace="t", stage="test"),
    }[how]
    await flow.send([last])
    again = (await flow.suggestions())["u", "1"]
    assert (again != without) if how == "older" else (again == without)


async def test_a_venue_s_former_name_counts_in_its_time_only(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    hall = {"city": "Oslo", "country": "NO"}
    renamed = venue("Sentrum Arena", {"name": "Folkets Hus", "until": "2012-12-31"}, **hall)
    shows = [
        listing("a", "1", "Low", "2011-06-01", venue="Sentrum Arena", **hall),
        listing("a", "2", "Low", "2015-06-01", venue="Sentrum Arena", **hall),
    ]
    lines = [
        entry("u", "then", date="2011-06-01", venue="Folkets Hus", artist="Low"),
        entry("u", "later", date="2015-06-01", venue="Folkets Hus", artist="Low"),
    ]
    await flow.send([*shows, *lines])
    before = await flow.suggestions()
    await flow.send([renamed])
    after = await flow.suggestions()
    assert after["u", "later"] == before["u", "later"]
    (first,) = after["u", "then"].suggestions
    assert any(one.field == "venue" and one.bits > 0 for one in first.why), first.why
    assert first.confidence > before["u", "then"].suggestions[0].confidence


async def test_entries_are_found_by_an_alias_when_the_show_comes_last(engine: AsyncEngine) -> None:
    """Nothing but the alias's own keys leads from the concert to the entry, and a month is all that was typed."""
    flow = Flow(engine)
    await flow.send([entry("u", "1", artist="Thornwick", date="Jun 2019")])
    assert asked(flow.published) == {"thornwick/2019": ("Thornwick", 1)}
    await flow.send([ALIAS])
    await flow.send([SHOW])
    assert (await flow.suggestions())["u", "1"].suggestions
    assert asked(flow.published) == {}


async def test_a_concert_that_comes_while_an_alias_is_learned_is_not_missed(engine: AsyncEngine) -> None:
    """The entry's new keys are committed before concerts are read; else neither side would see the other."""
    flow = Flow(engine)
    await flow.send([entry("u", "1", artist="Thornwick", date="Jun 2019")])
    await flow._handlers[Artist.topic][0]([flow._record(_out(ALIAS))])
    await flow.concerts.apply([(SHOW, CAUSE)])
    concert_side = await flow._from_outbox()

    moments: list[str] = []
    store = MatchStore(engine, 8, clock, moments.append)
    await store.match({("u", "1"): CAUSE})
    assert moments == ["locked", "locked", "written"]  # the first transaction wrote keys and nothing else
    ((keys,),) = await rows(engine, "select keys from state.entries")
    assert any("lm" in key for key in list(keys))  # type: ignore[call-overload]
    await flow.send(concert_side)
    assert (await flow.suggestions())["u", "1"].suggestions


def _out(message: Message) -> Outgoing:
    from schemas.outgoing import outgoing

    return outgoing(message, trace="t", stage="test")


async def test_a_crash_between_storing_a_name_and_publishing_loses_no_rematch(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    await flow.send([SHOW, LINE, ALIAS])
    without = artist("Alma Quay", hours=1)
    (handle,) = flow._handlers[Artist.topic]
    first = await handle([flow._record(_out(without))])  # stored; what was to be published is lost
    again = await handle([flow._record(_out(without))])
    assert [one.key for one in again] == [one.key for one in first] == ["u/1"]
    await flow.send(again)
    assert not any(one.band is Band.SURE for one in (await flow.suggestions())["u", "1"].suggestions)


async def test_a_name_that_too_many_bear_is_not_looked_up(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    await flow.send([SHOW, LINE, ALIAS])
    found = await flow.suggestions()
    crowd = [artist(f"Somebody {n}", "Thornwick", source_id=f"c{n}") for n in range(MOST_ROWS)]
    await flow.send(crowd[: MOST_ROWS - 1])
    assert await flow.suggestions() == found
    await flow.send(crowd[-1:])
    assert (await flow.suggestions())["u", "1"].reason is not None


async def test_what_is_no_artist_is_a_rejection(engine: AsyncEngine) -> None:
    flow = Flow(engine)
    bad = [Outgoing(Artist.topic, "1", "1", b"{}", {}), Outgoing(Artist.topic, "no id", "1", None, {})]
    await flow.send([*bad, ALIAS])
    assert sum(one.topic == "gigz.rejection.v1" for one in flow.published) == 2
    assert await rows(engine, "select count(*) from state.names") == [(1,)]


async def test_any_order_gives_what_the_files_would(engine: AsyncEngine) -> None:
    """The sets are those of `gigz match --artists --venues`, but for the version of the weights."""
    hall = {"city": "Oslo", "country": "NO"}
    artists = [artist(f"Lantern {n}", f"Beacon {n}", f"Lighthouse {n}", source_id=f"a{n}") for n in range(4)]
    newer = [artist("Lantern 2", "Lamp 2", source_id="a2", hours=3)]
    venues = [
        venue(f"Hall {n}", {"name": f"Old Hall {n}", "until": "2019-05-10"}, source_id=f"v{n}", **hall) for n in (1, 2)
    ]
    listings = [
        listing("a", f"{n}", f"Lantern {n % 4}", f"2019-05-{1 + n:02}", venue=f"Hall {n % 3}", **hall)
        for n in range(15)
    ]
    lines: list[Entry] = []
    for n in range(15):
        name = ("Beacon", "Lighthouse", "Lamp", "Lantern")[n % 4]
        date = f"2019-05-{1 + n:02}" if n % 3 else "May 2019"
        where = {"venue": f"Old Hall {n % 3}"} if n % 2 else {"city": "Oslo"}
        lines.append(entry(f"u{n % 3}", f"e{n}", artist=f"{name} {n % 4}", date=date, **where))
    tables = with_names(default_tables(), names_of([artists[0], artists[1], newer[0], artists[3]], venues))
    catalogue = Catalogue(resolve(listings, venues))
    alone = list(match_all(lines, catalogue, tables))
    expected = {(one.user, one.entry_id): _plain(one) for one in settle(alone)}
    assert sum(bool(one.suggestions) for one in expected.values()) >= 8
    plain = {(one.user, one.entry_id): _plain(one) for one in settle([*match_all(lines, catalogue)])}
    assert plain != expected  # the names make a difference
    for seed in (1, 2):
        await rows_gone(engine)
        flow = Flow(engine)
        messages: list[Message] = [*artists, *newer, *venues, *listings, *lines]
        messages += random.Random(seed).sample(messages, 10)
        random.Random(seed).shuffle(messages)
        for start in range(0, len(messages), 4):
            await flow.send(messages[start : start + 4])
        assert {at: _plain(one) for at, one in (await flow.suggestions()).items()} == expected


def _plain(found: Suggestions) -> Suggestions:
    return found.model_copy(update={"weights": ""})
