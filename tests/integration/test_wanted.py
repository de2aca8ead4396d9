"""The wanted list on the real stack: from an entry that nothing answers to the answer, and what operators do to it."""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest
from aiohttp import web
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import kafka_admin, kafka_producer, postgres_engine, publish
from deploy.migrate import migrate_postgres
from deploy.settings import Settings, environment_for
from deploy.topics import apply_topics
from deploy.turns import quota_of
from schemas.history import Entry
from schemas.message import new_trace
from schemas.outgoing import Outgoing, outgoing, tombstone
from schemas.rejection import Rejection
from schemas.rows import entry_from_row
from schemas.wanted import Wanted
from spiders.errand import Errand
from spiders.formats.base import Shows, SourceSpider
from spiders.sources import SPIDERS
from spiders.wanted import (
    AGAIN,
    AGAIN_AFTER_FAILURE,
    GROUP,
    LONGEST,
    WantedRefused,
    add,
    boost,
    drain,
    hide,
    keys_of,
    outlook,
    plan,
    remove,
    take_wanted,
    told_of,
    tried,
)
from tests.integration.local_setlists import setlist, spider_of
from tests.streams.conftest import Workers, everything_in
from tests.support import ROOT, running_engines

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

NOW = datetime(2021, 5, 1, 12, tzinfo=UTC)
LOOPBACK = "127.0.0.1,localhost"
_databases = iter(range(1_000))


@pytest.fixture(scope="module")
def engines() -> Iterator[Settings]:
    absent = {"clickhouse_url": "http://127.0.0.1:1/none", "meilisearch_url": "http://127.0.0.1:1"}
    quick = {"partitions": 4, "batch_linger_s": 0.05, "outbox_poll_s": 0.05, "session_timeout_s": 6.0}
    local = {"private_hosts": LOOPBACK, "own_hosts": LOOPBACK, "user_agent": "gigz-tests (+https://example.org)"}
    with running_engines("gigz-wanted-", **absent, **quick, **local, kafka_heap_mb=256) as settings:
        asyncio.run(apply_topics(settings))
        yield settings


@pytest.fixture
def settings(engines: Settings) -> Settings:
    """With a migrated, empty database of this test's own."""
    url = engines.engine_url("postgres")
    name = f"wanted_{next(_databases)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    settings = engines.model_copy(update={"postgres_url": url.rpartition("/")[0] + f"/{name}"})
    migrate_postgres(settings)
    return settings


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    pool = postgres_engine(settings, pool_size=6, name="test")
    yield pool
    await pool.dispose()


async def rows(engine: AsyncEngine, statement: str, **values: object) -> list[tuple[Any, ...]]:
    async with engine.begin() as connection:
        found = await connection.execute(text(statement), values)
        return [tuple(row) for row in found] if found.returns_rows else []


def wanted(artist: str, year: int, asked: int = 1, rev: int = 1) -> Outgoing:
    message = Wanted(
        artist_key=artist.casefold(),
        artist=artist,
        year=year,
        since=date(year, 1, 1),
        until=date(year, 12, 31),
        asked=asked,
        rev=rev,
    )
    return outgoing(message, trace=new_trace(), stage="test")


def withdrawn(artist: str, year: int, rev: int) -> Outgoing:
    return tombstone(Wanted, f"{artist.casefold()}/{year}", trace=new_trace(), stage="test", rev=rev)


async def send(settings: Settings, *records: Outgoing) -> None:
    async with kafka_producer(settings, "test") as producer:
        await publish(producer, records, settings.partitions)


async def until(what: str, condition: Callable[[], Awaitable[object]], seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:.0f} s"
        await asyncio.sleep(0.1)


@asynccontextmanager
async def taking(settings: Settings, engine: AsyncEngine) -> AsyncIterator[None]:
    """The scheduler's part."""
    task = asyncio.create_task(take_wanted(settings, engine))
    try:
        yield
    finally:
        assert not task.done(), task.exception()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def setlists(known: list[dict[str, Any]], asked: list[str]) -> AsyncIterator[str]:
    """An API that knows these: 404 for a search without results, as setlist.fm answers."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(status=404)
        asked.append(request.path_qs)
        name, year = request.query.get("artistName", ""), request.query.get("year", "")
        found = [one for one in known if one["artist"]["name"] == name and one["eventDate"].endswith(year)]
        if not found:
            return web.json_response({"code": 404, "status": "Not Found", "message": "not found"}, status=404)
        page = {"type": "setlists", "itemsPerPage": 20, "page": 1, "total": len(found), "setlist": found}
        return web.json_response(page)

    application = web.Application()
    application.add_routes([web.get("/{path:.*}", answer)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def search(settings: Settings, base: str, errand: Errand) -> tuple[UUID, dict[str, Any]]:
    """As the scheduler would: a run in a process of its own."""
    run = uuid4()
    argv = [sys.executable, "-W", "ignore", "-m", "tests.integration.local_setlists", base, str(run)]
    child = await asyncio.create_subprocess_exec(
        *argv,
        json.dumps(errand.as_json()),
        cwd=ROOT,
        env=environment_for(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await child.communicate()
    assert child.returncode == 0, errors.decode()[-3_000:]
    return run, orjson.loads(out.splitlines()[-1])


def gigz(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "gigz.py", *arguments],
        cwd=ROOT,
        env=environment_for(settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def test_an_entry_that_nothing_answers_is_searched_for_answered_and_withdrawn(
    settings: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    workers = Workers(settings, tmp_path)
    for stage in ("normalise", "resolve", "match", "relay"):
        workers.start(stage)
    lines = [
        {"user": "u", "entry_id": "1", "artist": "night ferry", "date": "14 Nov 1994"},
        {"user": "u", "entry_id": "2", "artist": "Night Ferry", "date": "1994/1995"},
        {"user": "v", "entry_id": "1", "artist": "Night Ferry", "date": "1997"},
        {"user": "v", "entry_id": "2", "artist": "Nobody At All", "date": "1994"},
    ]
    known = [
        setlist("a1", "Night Ferry", "14-11-1994", "Harbour", "Lantern"),
        setlist("a2", "Night Ferry", "02-02-1995", "Harbour"),
    ]
    asked: list[str] = []
    try:
        async with setlists(known, asked) as base, taking(settings, engine):
            spiders = [spider_of(base)]
            entries = [outgoing(entry_from_row(line, Entry), trace=new_trace(), stage="test") for line in lines]
            await send(settings, *entries)

            async def listed() -> set[tuple[Any, ...]]:
                return set(await rows(engine, "select artist, year, asked from state.wanted_list where asked > 0"))

            async def all_wanted() -> bool:
                return {("Night Ferry", 1994, 2), ("Night Ferry", 1995, 1), ("Night Ferry", 1997, 1)} < await listed()

            await until("the list", all_wanted)
            first, *others = planned = await plan(engine, settings, spiders, datetime.now(UTC), 5)
            name, errand, keys = first
            assert (name, errand.artist, errand.since, errand.until) == (
                "localsetlists",
                "Night Ferry",
                date(1994, 1, 1),
                date(1995, 12, 31),
            )
            assert keys == ["night ferry/1994", "night ferry/1995"] == await keys_of(engine, errand)
            assert {key for _, _, some in others for key in some} == {"night ferry/1997", "nobody at all/1994"}
            for _, errand, _ in planned:
                _, report = await search(settings, base, errand)
                assert report["state"] == "finished"
            assert len(asked) == 4  # two years in one errand, newest first
            tries = await rows(engine, "select artist_key, year, tries, found from state.wanted_tries order by 1, 2")
            assert tries == [
                ("night ferry", 1994, 1, 1),
                ("night ferry", 1995, 1, 1),
                ("night ferry", 1997, 1, 0),
                ("nobody at all", 1994, 1, 0),
            ]

            async def answered() -> bool:
                return await listed() == {("Night Ferry", 1997, 1), ("Nobody At All", 1994, 1)}

            await until("the answer", answered)
            found = await rows(engine, "select user_id, entry_id, confidence from state.suggestions order by 1, 2")
            # The other one could be either of the two, which nobody can tell: there is nothing more to search for.
            assert [at[:2] for at in found if at[2] > 0.99] == [("u", "1")]
            assert await plan(engine, settings, spiders, datetime.now(UTC), 5) == []  # both were searched for, in vain
            later = datetime.now(UTC) + AGAIN + timedelta(hours=1)
            assert len(await plan(engine, settings, spiders, later, 5)) == 2
            told = gigz(settings, "wanted", "list", "--json")
            assert told.returncode == 0, told.stderr
            assert {(row["artist"], row["year"], row["state"]) for row in json.loads(told.stdout)["wanted"]} == {
                ("Night Ferry", 1997, "tried"),
                ("Nobody At All", 1994, "tried"),
            }
        last = {one.key: one.value for one in await everything_in(settings, Wanted.topic)}
        assert [key for key in ("night ferry/1994", "night ferry/1995") if last[key] is not None] == []
        assert last["night ferry/1997"] is not None
        assert not any(b"entry_id" in value or b'"u"' in value for value in last.values() if value)
    finally:
        workers.stop()


async def test_the_list_follows_the_topic_whatever_is_repeated(settings: Settings, engine: AsyncEngine) -> None:
    records = [
        wanted("Repeats", 1990, 1, 1),
        wanted("Repeats", 1990, 5, 2),
        wanted("Gone", 1991, 1, 1),
        withdrawn("Gone", 1991, 2),
        wanted("Back", 1992, 1, 1),
        withdrawn("Back", 1992, 2),
        wanted("Back", 1992, 2, 3),
    ]
    read = "select artist_key, year, asked from state.wanted_list where artist_key in ('repeats', 'gone', 'back')"
    expected = {("repeats", 1990, 5), ("gone", 1991, 0), ("back", 1992, 2)}
    await send(settings, *records)
    await drain(settings, engine)
    assert set(await rows(engine, read)) == expected
    await send(settings, *records[:4])  # as a relay repeats a batch after a crash: in order
    await drain(settings, engine)
    await drain(settings, engine)
    assert set(await rows(engine, read)) == expected


async def test_what_is_no_wish_is_a_rejection_and_the_rest_goes_on(settings: Settings, engine: AsyncEngine) -> None:
    before = len(await everything_in(settings, Rejection.topic))
    bad = [
        Outgoing(Wanted.topic, "no year", "x", b"{}", {}),
        Outgoing(Wanted.topic, "no slash", "x", None, {"rev": "1"}),
        Outgoing(Wanted.topic, "no rev/1990", "x", None, {}),
    ]
    async with taking(settings, engine):
        await send(settings, *bad, wanted("Goes On", 1990))

        async def there() -> object:
            return await rows(engine, "select 1 from state.wanted_list where artist_key = 'goes on'")

        await until("the good one", there)

        async def committed() -> bool:
            async with kafka_admin(settings) as admin:
                offsets = await admin.list_consumer_group_offsets(GROUP)
            records = await everything_in(settings, Wanted.topic)
            return len(records) == sum(max(0, at.offset) for part, at in offsets.items() if part.topic == Wanted.topic)

        await until("the commit", committed)
    found = [Rejection.from_bytes(one.value) for one in await everything_in(settings, Rejection.topic)]
    assert [(one.stage, one.origin_topic) for one in found[before:]] == [("spiders", Wanted.topic)] * 3


async def test_reading_beside_a_scheduler_takes_nothing_from_it(settings: Settings, engine: AsyncEngine) -> None:
    async with taking(settings, engine):
        await send(settings, wanted("Before", 1990))

        async def there(name: str) -> object:
            return await rows(engine, "select 1 from state.wanted_list where artist_key = :name", name=name)

        await until("the first", lambda: there("before"))
        await drain(settings, engine)
        await send(settings, wanted("After", 1990))
        await until("the second", lambda: there("after"))


# -- the order of searches ---------------------------------------------------------------------------------------------


async def put(engine: AsyncEngine, *wishes: tuple[str, int, int], days: int = 0, **more: object) -> None:
    """Rows (artist, year, asked), since so many days."""
    for artist, year, asked in wishes:
        row = {"key": artist.casefold(), "artist": artist, "year": year, "asked": asked}
        row |= {"since": NOW - timedelta(days=days), "boost": 0, "hidden": False, "added": False} | more
        await rows(
            engine,
            "insert into state.wanted_list (artist_key, year, artist, asked, rev, since, boost, hidden, added) "
            "values (:key, :year, :artist, :asked, 1, :since, :boost, :hidden, :added)",
            **row,
        )


async def run_of(engine: AsyncEngine, spider: str, state: str = "finished", pages: int = 2, **errand: str) -> UUID:
    """A run for the wanted list."""
    run_id = uuid4()
    ended = None if state in ("running", "queued") else NOW
    await rows(
        engine,
        "insert into state.runs (run_id, spider, state, trigger, started_at, finished_at, pages, arguments) values "
        "(:id, :spider, cast(:state as state.run_state), 'wanted', :at, :ended, :pages, cast(:errand as jsonb))",
        id=run_id,
        spider=spider,
        state=state,
        at=NOW,
        ended=ended,
        pages=pages,
        errand=json.dumps(errand),
    )
    return run_id


LOCAL = spider_of("http://127.0.0.1:9")


class Agenda(LOCAL):  # type: ignore[misc, valid-type]
    """Knows what lies ahead, without a limit."""

    name = "agenda"
    shows = Shows.UPCOMING
    pace = LOCAL.pace.__class__(every_s=1)


class ById(LOCAL):  # type: ignore[misc, valid-type]
    """Searches by MusicBrainz's id alone."""

    name = "byid"
    search = "http://127.0.0.1:9/artist/{mbid}"
    pace = LOCAL.pace.__class__(every_s=1)


async def planned(
    engine: AsyncEngine, settings: Settings, *spiders: type[SourceSpider], most: int = 20, now: datetime = NOW
) -> list[str]:
    found = await plan(engine, settings, spiders or (LOCAL,), now, most)
    return [f"{name}: {errand.artist} {errand.since:%Y}-{errand.until:%Y}" for name, errand, _ in found]


async def test_the_boosted_come_first_then_the_most_wanted_then_the_oldest(
    settings: Settings, engine: AsyncEngine
) -> None:
    await put(engine, ("Few", 1990, 1), ("Many", 1991, 9))
    await put(engine, ("Old", 1990, 1), days=9)
    await put(engine, ("Boosted", 1990, 1), boost=2)
    await put(engine, ("Hidden", 1990, 99), hidden=True)
    await put(engine, ("Answered", 1990, 0))
    await put(engine, ("Added", 1990, 0), added=True)
    names = [one.split()[1] for one in await planned(engine, settings)]
    assert names == ["Boosted", "Many", "Old", "Few", "Added"]
    assert len(await planned(engine, settings, most=2)) == 2


async def test_years_without_a_gap_are_one_errand(settings: Settings, engine: AsyncEngine) -> None:
    await put(engine, *(("Slint", year, 1) for year in (1988, 1990, 1992, 1994)), ("Slint", 1991, 7))
    await put(engine, *(("Long", year, 1) for year in range(1970, 1995)), days=-1)
    assert await planned(engine, settings, most=4) == [
        "localsetlists: Slint 1990-1992",
        "localsetlists: Slint 1988-1988",
        "localsetlists: Slint 1994-1994",
        "localsetlists: Long 1970-1979",
    ]


async def test_the_quota_of_the_day_is_kept(settings: Settings, engine: AsyncEngine) -> None:
    """A day has 40 requests; a search that nobody knows takes its first address and two more."""
    await put(engine, *((f"Act {n:02}", 1990, 1) for n in range(30)))
    assert len(await planned(engine, settings)) == 13
    key = quota_of("", "", 40, "localsetlists").key
    put_used = "insert into state.quotas (key, day, used) values (:key, :day, :used)"
    await rows(engine, put_used, key=key, day=NOW.date(), used=35)
    assert len(await planned(engine, settings)) == 1
    await run_of(engine, "localsetlists", pages=1)
    assert len(await planned(engine, settings)) == 5  # as long as a search took one
    await rows(engine, "update state.quotas set used = 40")
    assert await planned(engine, settings) == []
    assert len(await planned(engine, settings, now=NOW + timedelta(days=1))) > 0
    seen = await outlook(engine, settings, [LOCAL], NOW)
    assert [(one.spider, one.a_day, one.left) for one in seen.spiders] == [("localsetlists", 40, 0)]
    assert seen.next == []


async def test_who_was_searched_for_rests_longer_each_time(settings: Settings, engine: AsyncEngine) -> None:
    await put(engine, ("Slint", 1990, 1))
    now = NOW
    for rests in (AGAIN, 2 * AGAIN, 4 * AGAIN, 8 * AGAIN, 16 * AGAIN, LONGEST, LONGEST):
        run = await run_of(engine, "localsetlists")
        for _ in range(2):  # told twice, counted once
            await tried(engine, ["slint/1990"], run, {}, lambda now=now: now)  # type: ignore[misc]
        assert await planned(engine, settings, now=now + rests - timedelta(minutes=1)) == []
        now += rests
        assert len(await planned(engine, settings, now=now)) == 1
    run = await run_of(engine, "localsetlists")
    await tried(engine, ["slint/1990", "slint/1991"], run, {"1991": 3, "1992": 5}, lambda: now)
    found = await rows(engine, "select year, found from state.wanted_tries order by year")
    assert found == [(1990, 0), (1991, 3)]
    failed = await run_of(engine, "agenda", "failed")
    await tried(engine, ["slint/1990"], failed, {}, lambda: NOW)
    ((next_at,),) = await rows(engine, "select next_at from state.wanted_tries where spider = 'agenda'")
    assert next_at == NOW + AGAIN_AFTER_FAILURE
    with pytest.raises(LookupError):
        await tried(engine, ["slint/1990"], uuid4(), {})


async def test_another_spider_searches_while_one_rests(settings: Settings, engine: AsyncEngine) -> None:
    class Second(LOCAL):  # type: ignore[misc, valid-type]
        name = "second"

    await put(engine, ("Slint", 1990, 1))
    assert await planned(engine, settings, LOCAL, Second) == ["localsetlists: Slint 1990-1990"]
    await tried(engine, ["slint/1990"], await run_of(engine, "localsetlists"), {}, lambda: NOW)
    assert await planned(engine, settings, LOCAL, Second) == ["second: Slint 1990-1990"]


async def test_an_agenda_is_not_asked_for_years_gone_by(settings: Settings, engine: AsyncEngine) -> None:
    await put(engine, ("Slint", 1990, 1), ("Slint", 2021, 1))
    assert await planned(engine, settings, Agenda) == ["agenda: Slint 2021-2021"]


async def test_what_a_run_is_under_way_for_is_left_out(settings: Settings, engine: AsyncEngine) -> None:
    await put(engine, ("Slint", 1990, 1), ("Slint", 1995, 1))
    await run_of(engine, "localsetlists", "running", artist="Slint", since="1990-01-01", until="1990-12-31")
    assert await planned(engine, settings) == ["localsetlists: Slint 1995-1995"]


async def test_spiders_without_their_key_or_without_concerts_are_not_sent(
    settings: Settings, engine: AsyncEngine
) -> None:
    await put(engine, ("Slint", 1990, 1))
    keyless = settings.model_copy(update={"setlistfm_api_key": settings.setlistfm_api_key.__class__("")})
    assert not any(one.startswith("setlistfm") for one in await planned(engine, keyless, *SPIDERS))
    seen = await outlook(engine, keyless, SPIDERS, NOW)
    assert "GIGZ_SETLISTFM_API_KEY" in seen.lacking
    keyed = settings.model_copy(update={"setlistfm_api_key": settings.setlistfm_api_key.__class__("k")})
    named = {spider.name: spider for spider in SPIDERS}
    assert await planned(engine, keyed, named["setlistfm"]) == ["setlistfm: Slint 1990-1990"]


async def test_the_reference_gives_the_name_and_the_id_where_it_knows_one(
    settings: Settings, engine: AsyncEngine
) -> None:
    mbid, other = str(uuid4()), str(uuid4())

    async def known(name: str, mbid: str | None, *keys: str) -> None:
        body = {"artist_id": str(uuid4()), "source": "mb", "source_id": name, "version": 1, "name": name}
        body |= {"seen_at": NOW.isoformat()} | ({"mbid": mbid} if mbid else {})
        await rows(
            engine,
            "insert into state.names (reference_id, topic, version, keys, ever, body) "
            "values (:id, 'gigz.artist.v1', 1, :keys, :keys, cast(:body as jsonb))",
            id=body["artist_id"],
            keys=list(keys),
            body=json.dumps(body),
        )

    await put(engine, ("thornwick", 1990, 1), ("Nirvana", 1990, 2))
    assert await planned(engine, settings, ById) == []
    await known("Alma Quay", mbid, "an:alma quay", "an:thornwick")
    await known("Thornwick", None, "an:thornwick")
    await known("Nirvana", mbid, "an:nirvana")
    await known("Nirvana", other, "an:nirvana")
    ((name, errand, keys),) = await plan(engine, settings, [ById], NOW, 9)
    assert (name, errand.artist, errand.mbid, keys) == ("byid", "Alma Quay", mbid, ["thornwick/1990"])
    assert await keys_of(engine, errand) == keys
    assert await planned(engine, settings) == [
        "localsetlists: Nirvana 1990-1990",
        "localsetlists: Alma Quay 1990-1990",
    ]


# -- operators ---------------------------------------------------------------------------------------------------------


async def test_operators_add_boost_hide_and_remove_and_the_log_tells_who_and_why(
    settings: Settings, engine: AsyncEngine
) -> None:
    await put(engine, ("Sigur Rós", 1999, 4))
    assert await add(engine, "Slint", [1990, 1991], "ann", "a reader's letter", NOW) == ["slint/1990", "slint/1991"]
    assert await boost(engine, "slint", [1991], 5, "ann", "", NOW) == ["slint/1991"]
    assert (await planned(engine, settings))[0] == "localsetlists: Slint 1990-1991"
    assert await hide(engine, "Slint", [], "bob", "not again", NOW) == ["slint/1990", "slint/1991"]
    assert await planned(engine, settings) == ["localsetlists: Sigur Rós 1999-1999"]
    await hide(engine, "Slint", [1990], "bob", "", NOW, hidden=False)
    assert await remove(engine, "Slint", [], "bob", "done", NOW) == ["slint/1990", "slint/1991"]
    with pytest.raises(WantedRefused, match="not on the wanted list"):
        await boost(engine, "Slint", [], 1, "bob", "", NOW)
    with pytest.raises(WantedRefused, match=r"4 entries ask for Sigur Rós 1999.*hide"):
        await remove(engine, "sigur rós", [1999], "bob", "", NOW)
    with pytest.raises(WantedRefused, match="2000 is not on the wanted list"):
        await hide(engine, "Sigur Rós", [1999, 2000], "bob", "", NOW)
    log = await rows(engine, "select about::text, thing, who, before, after, why from state.operator_log order by id")
    assert log[0] == ("wanted", "slint/1990", "ann", None, "added", "a reader's letter")
    assert ("wanted", "slint/1991", "bob", "added, boost 5", "hidden", "not again") in log
    assert len(log) == 2 + 1 + 2 + 1 + 2


async def test_years_that_no_source_can_tell_of_are_refused_as_a_whole(engine: AsyncEngine) -> None:
    last = NOW.year + 1
    with pytest.raises(WantedRefused, match=rf"2099 is after next year.*Remedy: 1990-{last}\."):
        await add(engine, "Slint", range(1990, 2100), "ann", "", NOW)
    with pytest.raises(WantedRefused, match=rf"Remedy: {last}\."):
        await add(engine, "Slint", [last + 1], "ann", "", NOW)
    assert not await rows(engine, "select * from state.wanted_list")
    keys = await add(engine, "Slint", [1990, last], "ann", "", NOW)
    assert await told_of(engine, keys) == {"Slint": [1990, last]}


async def test_each_row_says_why_it_is_not_searched_for(settings: Settings, engine: AsyncEngine) -> None:
    await put(engine, ("Sigur Rós", 1999, 4), ("Slint", 1991, 3), ("Moths", 2014, 2), ("Next", 2013, 1))
    await hide(engine, "Slint", [], "bob", "", NOW)
    run_id = await run_of(engine, LOCAL.name)
    await tried(engine, ["moths/2014"], run_id, {}, lambda: NOW)
    said = {row.artist: row.waits for row in (await outlook(engine, settings, [LOCAL], NOW)).rows}
    assert said["Slint"] == "hidden" and said["Sigur Rós"] == said["Next"] == ""
    assert re.fullmatch(rf"tried {NOW:%Y-%m-%d}, next try \d{{4}}-\d\d-\d\d", said["Moths"])
    said = {row.artist: row.waits for row in (await outlook(engine, settings, [], NOW)).rows}
    assert said["Next"] == "no spider that can search has its key"


@pytest.mark.long
def test_the_command_works_without_a_scheduler_and_says_what_comes_next(settings: Settings) -> None:
    keyed = settings.model_copy(update={"setlistfm_api_key": settings.setlistfm_api_key.__class__("a key")})
    asyncio.run(send(settings, wanted("Command Line Act", 1994, 300_000, rev=1)))
    added = gigz(keyed, "wanted", "add", "Another Act", "1990-1991", "--who", "ann", "--reason", "a letter")
    assert (added.returncode, added.stdout.strip()) == (0, "added: Another Act 1990-1991 (2 years)")
    told = gigz(keyed, "wanted", "list")
    assert told.returncode == 0, told.stderr
    assert "Command Line Act" in told.stdout and "300,000" in told.stdout
    first = next(line for line in told.stdout.splitlines() if line.startswith("next:"))
    assert first == "next: setlistfm searches for Command Line Act, 1994"
    assert "setlistfm: 1,440 of 1,440 requests left today (UTC)" in told.stdout
    boost = gigz(keyed, "wanted", "boost", "9", "another act", "1991", "1990", "--why", "the old word for it")
    assert (boost.returncode, boost.stdout.strip()) == (0, "boost 9: Another Act 1990-1991 (2 years)")
    boosted = json.loads(gigz(keyed, "wanted", "list", "--json").stdout)
    assert [row["artist"] for row in boosted["wanted"]][:2] == ["Another Act", "Another Act"]
    assert boosted["next"][0]["keys"] == ["another act/1990", "another act/1991"]
    assert boosted["stale"] is None
    for wrong in (
        ["hide", "Nobody"],
        ["add", "X", "199x"],
        ["add", "X", "1993-1990"],
        ["add", "X", "1990-2099"],
        ["remove", "Command Line Act"],
    ):
        refused = gigz(keyed, "wanted", *wrong)
        assert refused.returncode == 2 and "Remedy" in refused.stderr, wrong
    away = keyed.model_copy(update={"kafka_url": "127.0.0.1:1"})
    old = gigz(away, "wanted", "list")
    assert old.returncode == 0 and "the list is as of" in old.stdout and "GIGZ_KAFKA_URL" in old.stdout
