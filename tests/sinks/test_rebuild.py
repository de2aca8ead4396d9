"""A store made anew under load: nothing is lost, nobody waits, and a kill leaves what was there."""

import asyncio
import itertools
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from deploy.clients import clickhouse_async, meilisearch_client, postgres_engine, sqlalchemy_url
from deploy.erasing import ledger
from deploy.settings import Settings, environment_for
from schemas.concert import Concert
from schemas.decision import Decision
from schemas.message import Message
from schemas.outgoing import Origin, Outgoing, reject
from schemas.suggestion import Suggestions
from schemas.tables import Base
from sinks.main import Store
from sinks.rebuild import LOCKS, NEW, RebuildFailed, What, rebuild
from sinks.reconcile import reconcile
from tests.sinks.storing import (
    ask_clickhouse,
    ask_postgres,
    commit_together,
    document,
    drop_document,
    happen,
    produce,
    put_document,
    relaying,
    sinking,
    until_sunk,
)
from tests.sinks.support import (
    Action,
    a_concert,
    a_decision,
    a_listing,
    a_venue,
    an_artist,
    gone,
    sent,
    some_suggestions,
    uid,
)
from tests.support import ROOT

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]
WHATS: tuple[What, ...] = ("clickhouse", "catalogue", "meilisearch")
NAMES = [f"r{number}" for number in range(300)]
REVS = itertools.count(3)
"""Whoever draws one has the newest: the tests share the engines."""


@pytest.fixture(scope="module")
def filled(laid: Settings) -> Settings:
    """Engines with two versions of everything in every place."""
    made: list[Message] = [an_artist(name) for name in NAMES[:20]] + [a_venue(name) for name in NAMES[:20]]
    for version in (1, 2):
        made += [a_listing(name, version) for name in NAMES]
        made += [a_concert(name, version) for name in NAMES]
        made += [some_suggestions("u1", name, ["a", "b", "c"][:version], version) for name in NAMES]
        made += [a_decision("u1", name, Action.CONFIRMED, minute=version) for name in NAMES[:50]]
    asyncio.run(happen(laid, made))
    return laid


async def differing(settings: Settings) -> list[str]:
    report = await reconcile(settings, wait_s=30)
    return [f"{one.noun} {one.place} {one.id} {one.how}" for one in report.differences]


async def left_over(settings: Settings) -> list[str]:
    """Names of tables and indexes that a rebuild made and did not put in place."""
    tables = await ask_clickhouse(settings, "SELECT name FROM system.tables WHERE database = currentDatabase()")
    schemas = await ask_postgres(settings, "select nspname from pg_namespace where nspname like 'catalogue_%'")
    indexes = [index.uid for index in meilisearch_client(settings).get_indexes()["results"]]
    return (
        [name for (name,) in tables if NEW in name or "_old" in name]
        + [name for (name,) in schemas]
        + [name for name in indexes if NEW in name]
    )


async def tamper(settings: Settings) -> None:
    one, other, extra = uid("r1"), uid("r2"), uid("made by hand")
    await ask_clickhouse(
        settings,
        f"ALTER TABLE concerts DELETE WHERE concert_id = '{one}'",
        f"ALTER TABLE listings UPDATE artist = 'Else' WHERE listing_id = '{a_listing('r2').listing_id}'",
        f"INSERT INTO concerts SELECT * REPLACE (toUUID('{extra}') AS concert_id) FROM concerts FINAL LIMIT 1",
        "ALTER TABLE suggestions DELETE WHERE entry_id = 'r3' AND rank = 2",
    )
    await ask_postgres(
        settings,
        f"delete from catalogue.concerts where concert_id = '{one}'",
        f"update catalogue.concerts set artist = 'Else' where concert_id = '{other}'",
        f"update catalogue.concerts set rev = 99 where concert_id = '{uid('r3')}'",
        f"delete from catalogue.venues where venue_id = '{one}'",
    )
    drop_document(settings, "concerts", str(one))
    put_document(settings, "concerts", (document(settings, "concerts", str(other)) or {}) | {"rev": 99})
    put_document(settings, "concerts", (document(settings, "concerts", str(other)) or {}) | {"concert_id": "by-hand"})


async def test_a_rebuild_mends_what_was_tampered_with_and_leaves_nothing_behind(filled: Settings) -> None:
    assert await differing(filled) == []
    await tamper(filled)
    assert len(await differing(filled)) == 11
    for what in WHATS:
        done = await rebuild(filled, what)
        assert done.messages > 300
    assert await differing(filled) == []
    assert await left_over(filled) == []


async def test_histories_keep_versions_that_kafka_may_have_forgotten(filled: Settings) -> None:
    forgotten = uid("only in history")
    await ask_clickhouse(
        filled,
        f"INSERT INTO concerts_history SELECT * REPLACE (toUUID('{forgotten}') AS concert_id) FROM concerts_history "
        "LIMIT 1",
    )
    counts = "SELECT " + ", ".join(
        f"(SELECT count() FROM {noun}_history FINAL)" for noun in ("listings", "concerts", "suggestions", "decisions")
    )
    before = await ask_clickhouse(filled, counts)
    done = await rebuild(filled, "clickhouse")
    assert await ask_clickhouse(filled, counts) == before
    assert set(done.kept) == {f"{noun}_history" for noun in ("listings", "concerts", "suggestions", "decisions")}
    [(kept,)] = await ask_clickhouse(filled, f"SELECT count() FROM concerts_history WHERE concert_id = '{forgotten}'")
    assert kept == 1
    [(songs,)] = await ask_clickhouse(filled, f"SELECT count() FROM songs WHERE concert_id = '{uid('r1')}'")
    assert songs == 3, "the views read the tables that are there now"


async def test_the_catalogue_made_anew_is_the_catalogue_that_migrations_make(filled: Settings) -> None:
    await ask_postgres(
        filled,
        "do $$ begin create role reader; exception when duplicate_object then null; end $$",
        "grant select on catalogue.concerts to reader",
        "insert into catalogue.rejections (key, stage, reason, text, origin_topic, rejected_at, original_size, body) "
        "values ('old:0:1', 'normalise', 'bad_date', 't', 'gigz.raw-event.v1', '2020-01-01', 0, '{}')",
    )
    names = "select indexname from pg_indexes where schemaname = 'catalogue' order by 1"
    before = await ask_postgres(filled, names)
    done = await rebuild(filled, "catalogue")
    assert done.kept["rejections"] >= 1
    assert await ask_postgres(filled, names) == before
    assert await ask_postgres(filled, "select has_table_privilege('reader', 'catalogue.concerts', 'select')") == [
        (True,)
    ]
    assert await ask_postgres(filled, "select count(*) from catalogue.rejections where key = 'old:0:1'") == [(1,)]
    engine = create_engine(sqlalchemy_url(filled))
    with engine.connect() as connection:
        options = {"include_schemas": True, "include_name": lambda name, kind, _: kind != "schema" or name in OURS}
        context = MigrationContext.configure(connection, opts=options)
        wrong = [one for one in compare_metadata(context, Base.metadata) if "schema_migrations" not in repr(one)]
    engine.dispose()
    assert wrong == []


OURS = ("state", "catalogue")


# -- under load ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def load(settings: Settings) -> AsyncIterator[list[int]]:
    """Concerts and sets that change all the time, tombstones among them; the rows, outbox, relay and sinks are real."""
    stop = asyncio.Event()
    written = [0]

    async def write() -> None:
        for rev in REVS:
            for start in range(0, len(NAMES), 20):
                some = NAMES[start : start + 20]
                made: list[Message] = [a_concert(name, rev, songs=(f"song {rev}",)) for name in some]
                made += [some_suggestions("u1", name, ["a", "b"][: 1 + rev % 2], rev) for name in some]
                made += [a_concert(f"new {rev} {start}", 1)]
                await commit_together(engine, settings, made)
                written[0] += len(made)
                await asyncio.sleep(0.03)
                if stop.is_set():
                    return

    async with relaying(settings) as engine, sinking(settings):
        task = asyncio.create_task(write())
        try:
            yield written
        finally:
            stop.set()
            await task
            await asyncio.sleep(1)
            await until_sunk(settings)


@asynccontextmanager
async def readers(settings: Settings, what: What) -> AsyncIterator[list[tuple[float, int]]]:
    """Somebody who counts the concerts all the time: (seconds the answer took, how many of NAMES there were)."""
    stop = asyncio.Event()
    answers: list[tuple[float, int]] = []
    listed = ", ".join(f"'{uid(name)}'" for name in NAMES)

    async def read(ask: Callable[[], Awaitable[Any]]) -> None:
        while not stop.is_set():
            begun = time.monotonic()
            count = await ask()
            answers.append((time.monotonic() - begun, int(count)))
            await asyncio.sleep(0.02)

    client = await clickhouse_async(settings)
    engine = postgres_engine(settings, pool_size=1)

    async def in_clickhouse() -> Any:
        sql = f"SELECT count() FROM concerts FINAL WHERE concert_id IN ({listed})"
        return (await client.query(sql)).result_rows[0][0]

    async def in_postgres() -> Any:
        async with engine.connect() as connection:
            sql = f"select count(*) from catalogue.concerts where not gone and concert_id in ({listed})"
            return await connection.scalar(text(sql))

    async def in_meilisearch() -> Any:
        asked = {"ids": [str(uid(name)) for name in NAMES], "fields": ["rev"], "limit": 1_000}
        index = meilisearch_client(settings).index("concerts")
        return len((await asyncio.to_thread(index.get_documents, asked)).results)

    asks = {"clickhouse": in_clickhouse, "catalogue": in_postgres, "meilisearch": in_meilisearch}
    task = asyncio.create_task(read(asks[what]))
    try:
        yield answers
    finally:
        stop.set()
        await task
        await client.close()
        await engine.dispose()


@pytest.mark.long
@pytest.mark.parametrize("what", WHATS)
async def test_under_load_nothing_is_lost_and_no_reader_waits_or_misses_a_row(filled: Settings, what: What) -> None:
    async with load(filled) as written:
        await asyncio.sleep(1)
        async with readers(filled, what) as answers:
            before = written[0]
            done = await rebuild(filled, what)
            assert written[0] > before, "the load went on"
        await asyncio.sleep(1)
    assert done.messages > len(NAMES)
    assert len(answers) > 10
    assert {count for _, count in answers} == {len(NAMES)}
    assert max(seconds for seconds, _ in answers) < 5
    assert await differing(filled) == []
    assert await left_over(filled) == []


@pytest.mark.parametrize("what", WHATS)
async def test_what_the_sink_writes_between_the_last_look_and_the_swap_is_there_afterwards(
    filled: Settings, what: What, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sink writes it into the old one, at the worst moment: just before the names change places."""
    from sinks import rebuild as rebuilding

    targets = {
        "clickhouse": rebuilding.ClickHouseTarget,
        "catalogue": rebuilding.CatalogueTarget,
        "meilisearch": rebuilding.MeilisearchTarget,
    }
    swap = targets[what].swap
    late = f"late {what}"

    async def after_a_write(self: Any, fill: Any) -> None:
        await happen(filled, [a_concert(late), *(a_concert(name, next(REVS)) for name in NAMES[5:7])])
        await swap(self, fill)

    monkeypatch.setattr(targets[what], "swap", after_a_write)
    await rebuild(filled, what)
    assert await differing(filled) == []
    [(there,)] = await ask_clickhouse(filled, f"SELECT count() FROM concerts FINAL WHERE concert_id = '{uid(late)}'")
    assert there == 1


# -- kills -----------------------------------------------------------------------------------------------------------

RUN = """
import asyncio, os, sys
from deploy.settings import current
from sinks.rebuild import rebuild
def shown(moment):
    if moment == sys.argv[2]:
        os.kill(os.getpid(), 9)
asyncio.run(rebuild(current(), sys.argv[1], shown=shown))
"""


@pytest.mark.parametrize("what", WHATS)
@pytest.mark.long
async def test_killed_in_the_middle_it_leaves_what_was_there_and_can_be_started_again(
    filled: Settings, what: What
) -> None:
    for moment in ("laid", "compared", "swapped"):  # each start finds what the kill before it has left
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", RUN, what, moment), cwd=ROOT, env=environment_for(filled)
        )
        assert await asyncio.wait_for(process.wait(), 120) == -signal.SIGKILL
        assert await left_over(filled) != []
        assert await differing(filled) == [], moment
    await rebuild(filled, what)
    assert await left_over(filled) == []
    assert await differing(filled) == []


RUN_TO_THE_SWAP = """
import asyncio, os, sys, time
from pathlib import Path
from deploy.settings import current
from sinks import rebuild as rebuilds
what, folder = sys.argv[1], Path(sys.argv[2])
target = {"clickhouse": rebuilds.ClickHouseTarget, "meilisearch": rebuilds.MeilisearchTarget}[what]
swap = target.swap
async def swapped_late(self, fill):
    (folder / "looked").touch()
    while not (folder / "go").exists():
        await asyncio.sleep(0.05)
    await swap(self, fill)
target.swap = swapped_late
def shown(moment):
    if moment == "swapped":
        os.kill(os.getpid(), 9)
asyncio.run(rebuilds.rebuild(current(), what, shown=shown))
"""


@pytest.mark.parametrize("what", ["clickhouse", "meilisearch"])
@pytest.mark.long
async def test_killed_between_swap_and_pass_it_is_told_of_and_the_sinks_next_start_brings_what_is_missing(
    filled: Settings, tmp_path: Path, what: Store
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RUN_TO_THE_SWAP, what, str(tmp_path)), cwd=ROOT, env=environment_for(filled)
    )
    async with asyncio.timeout(120):
        while not (tmp_path / "looked").exists():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
    late = f"late {what}"
    await happen(filled, [a_concert(late)])  # into what is about to be replaced
    (tmp_path / "go").touch()
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    report = await reconcile(filled, wait_s=30)
    assert [(one.id, one.how) for one in report.differences] == [(str(uid(late)), "missing")]
    assert report.broken_off == (what,)
    async with sinking(filled, [what]):
        await until_sunk(filled, [what])
    report = await reconcile(filled, wait_s=30)
    assert report.differences == [] and report.broken_off == ()
    await rebuild(filled, what)
    assert await left_over(filled) == [] and (await reconcile(filled, wait_s=30)).broken_off == ()


async def test_two_rebuilds_of_one_store_do_not_run_at_once(filled: Settings) -> None:
    second: list[BaseException] = []

    async def start_another() -> None:
        try:
            await rebuild(filled, "catalogue")
        except RebuildFailed as error:
            second.append(error)

    others: list[asyncio.Task[None]] = []
    await rebuild(filled, "catalogue", shown=lambda moment: others.append(asyncio.create_task(start_another())))
    await asyncio.gather(*others)
    assert "runs already" in str(second[0])
    assert set(LOCKS) == set(WHATS)


async def test_what_differs_from_kafka_is_not_swapped_in(filled: Settings) -> None:
    """Somebody writes into the new tables while they are built."""
    before = await ask_postgres(filled, "select 'catalogue.concerts'::regclass::oid")

    def break_it(moment: str) -> None:
        if moment == "laid":
            engine = create_engine(sqlalchemy_url(filled))
            with engine.begin() as connection:
                connection.execute(
                    text(
                        "insert into catalogue_rebuild.venues (venue_id, version, name, body) "
                        f"values ('{uid('made by hand')}', 1, 'x', '{{}}')"
                    )
                )
            engine.dispose()

    with pytest.raises(RebuildFailed, match=f"venues {uid('made by hand')}: extra.*untouched.*Remedy"):
        await rebuild(filled, "catalogue", shown=break_it)
    assert await ask_postgres(filled, "select 'catalogue.concerts'::regclass::oid") == before
    assert await left_over(filled) == []


async def test_a_reader_without_an_end_is_not_queued_behind_and_the_old_one_stays(
    filled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.rebuild.LOCK_TRIES", 1)
    before = await ask_postgres(filled, "select 'catalogue.concerts'::regclass::oid")
    engine = postgres_engine(filled, pool_size=1)
    async with engine.begin() as reader:
        await reader.execute(text("select count(*) from catalogue.concerts"))
        with pytest.raises(RebuildFailed, match="pg_stat_activity"):
            await rebuild(filled, "catalogue")
        assert await ask_postgres(filled, "select count(*) > 0 from catalogue.concerts") == [(True,)]
    await engine.dispose()
    assert await ask_postgres(filled, "select 'catalogue.concerts'::regclass::oid") == before
    await rebuild(filled, "catalogue")
    assert await differing(filled) == []


# -- erased users ----------------------------------------------------------------------------------------------------


async def test_who_was_erased_does_not_come_back(filled: Settings) -> None:
    """Neither from Kafka, where the tombstones are still to come, nor from the histories, nor by an original."""
    erased, spared = "listener-erased", "listener-spared"
    made: list[Message] = []
    for user in (erased, spared):
        made += [some_suggestions(user, "e1", ["a"]), a_decision(user, "e1", Action.CONFIRMED)]
    await happen(filled, made)
    for user in (erased, spared):
        named = json.dumps({"user": user}).encode()
        # By its key; by its body, where the key is none or says nothing; by what is left of a body.
        keys_and_bodies = [(f"{user}/e1", b"?"), (None, named), ("no slash", named), (None, named[:-1] + b", oops")]
        await produce(filled, [refused(user, key, body) for key, body in keys_and_bodies])
    async with sinking(filled, ["postgres"]):
        await until_sunk(filled, ["postgres"])
    engine = postgres_engine(filled, pool_size=1)
    await ledger.enter(engine, erased, datetime.now(UTC))
    await engine.dispose()
    for what in ("clickhouse", "catalogue"):
        await rebuild(filled, what)  # type: ignore[arg-type]
    for table in ("suggestions", "suggestions_history", "decisions", "decisions_history"):
        sql = f"SELECT DISTINCT user_id FROM {table} WHERE startsWith(user_id, 'listener-')"
        assert await ask_clickhouse(filled, sql) == [(spared,)], table
    kept = "select origin_topic, body ->> 'original_key', original from catalogue.rejections where stage = 'by-hand'"
    whose = [ledger.users_of(topic, key, body) for topic, key, body in await ask_postgres(filled, kept)]
    assert whose == [{spared}] * 4


async def test_who_is_erased_in_the_middle_does_not_come_back(filled: Settings) -> None:
    user = "listener-in-the-middle"
    await happen(filled, [some_suggestions(user, "e1", ["a"])])

    def erase(moment: str) -> None:
        if moment == "compared":
            engine = create_engine(sqlalchemy_url(filled))
            with engine.begin() as connection:
                connection.execute(ledger.ENTER, {"hash": ledger.hash_of(user), "receipt_id": uid(user), "at": "now"})
            engine.dispose()

    await rebuild(filled, "clickhouse", shown=erase)
    for table in ("suggestions", "suggestions_history"):
        assert await ask_clickhouse(filled, f"SELECT count() FROM {table} WHERE user_id = '{user}'") == [(0,)]


def refused(user: str, key: str | None, original: bytes) -> Outgoing:
    return reject(
        "bad_value",
        "text",
        origin=Origin(Suggestions.topic, 0, abs(hash((user, key, original))) % 1_000_000),
        original=original,
        stage="by-hand",
        at=datetime.now(UTC),
        trace="t" * 32,
        key=key,
    )


async def test_tombstones_are_passed_over_with_the_rest(filled: Settings) -> None:
    await happen(filled, [a_concert("buried"), a_decision("u9", "e1", Action.CONFIRMED)])
    await produce(filled, [gone(Concert, str(uid("buried")), rev=2), gone(Decision, "u9/e1", partition_by="u9")])
    await ask_postgres(
        filled,
        f"update state.concerts set live = false, rev = 2 where concert_id = '{uid('buried')}'",
        "delete from state.decisions where user_id = 'u9'",
    )
    async with sinking(filled):
        await until_sunk(filled)
    for what in WHATS:
        await rebuild(filled, what)
    assert await differing(filled) == []
    await produce(filled, [sent(a_concert("buried", 1))])  # late, and older than the tombstone
    async with sinking(filled):
        await until_sunk(filled)
    for table in ("concerts", "decisions"):
        where = f"concert_id = '{uid('buried')}'" if table == "concerts" else "user_id = 'u9'"
        assert await ask_clickhouse(filled, f"SELECT count() FROM {table} FINAL WHERE {where}") == [(0,)]
    sql = f"select gone, rev from catalogue.concerts where concert_id = '{uid('buried')}'"
    assert await ask_postgres(filled, sql) == [(True, 2)]
