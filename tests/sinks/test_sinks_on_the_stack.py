"""From topics into the three stores, on real engines: what is repeated, late, broken or away changes nothing."""

import asyncio
import base64
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import delete, insert, text

from deploy.clients import (
    clickhouse_async,
    kafka_consumer,
    kafka_producer,
    meilisearch_client,
    postgres_engine,
    publish,
)
from deploy.failures import Exit
from deploy.flow import gauge, group_of, scan
from deploy.local import stack as local_stack
from deploy.local.processes import Processes
from deploy.settings import Settings, SettingsError, environment_for
from schemas.concert import Concert
from schemas.decision import Action, Decision
from schemas.listing import Listing
from schemas.message import Message
from schemas.outgoing import Outgoing
from schemas.rejection import Reason, Rejection
from schemas.suggestion import Suggestions
from schemas.tables import DecisionRow, ListingRow, SuggestionsRow
from schemas.topics import read_by
from sinks.counts import count_stores
from sinks.errors import BadRows
from sinks.main import Store, run_sink
from sinks.meilisearch import open_meilisearch_sink
from sinks.received import Change, receive
from tests.sinks.support import (
    a_concert,
    a_decision,
    a_listing,
    a_venue,
    an_artist,
    gone,
    record_of,
    sent,
    some_suggestions,
    uid,
)
from tests.support import ROOT

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]
STORES: tuple[Store, ...] = ("clickhouse", "postgres", "meilisearch")


async def produce(settings: Settings, records: Iterable[Outgoing]) -> None:
    async with kafka_producer(settings, "test") as producer:
        await publish(producer, records, settings.partitions)


async def produce_raw(settings: Settings, topic: str, key: bytes | None, value: bytes | None) -> tuple[int, int]:
    async with kafka_producer(settings, "test") as producer:
        told = await producer.send_and_wait(topic, value=value, key=key, partition=0)
    return told.partition, told.offset


async def until(what: str, holds: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    for _ in range(int(seconds / 0.1)):
        if await holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


async def until_read(settings: Settings, stores: Iterable[Store] = STORES) -> None:
    async with gauge(settings) as reading:

        async def nothing_waits() -> bool:
            lag = await reading.lag()
            return not any(lag.waiting[f"sink-{store}"] for store in stores)

        await until("the sinks commit all", nothing_waits)


@asynccontextmanager
async def running(settings: Settings, stores: Iterable[Store] = STORES) -> AsyncIterator[list[asyncio.Task[int]]]:
    """The sinks in this process; at the end each must have stopped well."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(run_sink(settings, store, 1, stop)) for store in stores]
    try:
        yield tasks
    finally:
        stop.set()
        codes = await asyncio.wait_for(asyncio.gather(*tasks), 20)
    assert codes == [0] * len(tasks)


async def sink_all(settings: Settings, records: Iterable[Outgoing] = (), stores: Iterable[Store] = STORES) -> None:
    """Publish, and run these sinks until all is read."""
    await produce(settings, records)
    async with running(settings, stores):
        await until_read(settings, stores)


async def ask_clickhouse(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    client = await clickhouse_async(settings)
    try:
        return [tuple(row) for row in (await client.query(sql)).result_rows]
    finally:
        await client.close()


async def ask_postgres(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    engine = postgres_engine(settings)
    async with engine.connect() as connection:
        rows = [tuple(row) for row in await connection.execute(text(sql))]
    await engine.dispose()
    return rows


async def concerts_in(settings: Settings, store: Store, names: Iterable[str]) -> int:
    """Rows or documents of these concerts."""
    listed = ", ".join(f"'{uid(name)}'" for name in names)
    match store:
        case "clickhouse":
            sql = f"SELECT count() FROM concerts FINAL WHERE concert_id IN ({listed})"
            return int((await ask_clickhouse(settings, sql))[0][0])
        case "postgres":
            sql = f"select count(*) from catalogue.concerts where not gone and concert_id in ({listed})"
            return int((await ask_postgres(settings, sql))[0][0])
        case "meilisearch":
            asked = {"filter": f"concert_id IN [{listed}]", "fields": ["rev"], "limit": 1000}
            return len(meilisearch_client(settings).index("concerts").get_documents(asked).results)


def document(settings: Settings, index: str, key: str) -> dict[str, Any] | None:
    found = meilisearch_client(settings).index(index).get_documents({"ids": [key], "limit": 1}).results
    return dict(found[0]) if found else None


async def rejections(settings: Settings) -> list[Rejection]:
    return [Rejection.from_bytes(record.value) async for record in scan(settings, [Rejection.topic])]


async def rewind(settings: Settings, store: Store) -> None:
    """Commit the oldest offsets, as if every later commit had been lost."""
    group = group_of(f"sink-{store}")
    topics = [topic.name for topic in read_by(f"sink-{store}")]
    async with kafka_consumer(settings, topics, group, group_instance_id=f"{group}-1") as consumer:

        async def all_are_ours() -> bool:
            return len(consumer.assignment()) == len(topics) * settings.partitions

        await until("the group's partitions are ours", all_are_ours)
        await consumer.commit(dict.fromkeys(consumer.assignment(), 0))


async def test_each_message_arrives_in_each_store_that_shows_it(laid: Settings) -> None:
    await sink_all(
        laid,
        [
            sent(a_listing("first")),
            sent(a_concert("first")),
            sent(some_suggestions("u1", "e1", ["first", "second"])),
            sent(a_decision("u1", "e1", Action.CONFIRMED)),
            sent(a_venue("Het Depot")),
            sent(an_artist("Sigur Rós")),
        ],
    )
    assert await ask_clickhouse(
        laid, "SELECT artist, acts, night::String, venue, lat, songs FROM listings FINAL WHERE source_id = 'first'"
    ) == [("Sigur Rós", ["Sigur Rós", "Amiina"], "2008-08-16", "Het Depot", 50.88, ["Svefn-g-englar"])]
    assert await ask_clickhouse(
        laid, f"SELECT position, song FROM songs WHERE concert_id = '{uid('first')}' ORDER BY position"
    ) == [(1, "Svefn-g-englar"), (2, "Glósóli"), (3, "Hoppípolla")]
    assert await ask_clickhouse(
        laid, "SELECT rank, concert_id, bits FROM suggestions FINAL WHERE user_id = 'u1' ORDER BY rank"
    ) == [(1, uid("first"), 20.5), (2, uid("second"), 20.5)]
    assert await ask_clickhouse(laid, "SELECT action, decided_at::String FROM decisions FINAL") == [
        ("confirmed", "2024-06-01 12:00:00.000000")
    ]
    [(body,)] = await ask_clickhouse(laid, "SELECT body FROM listings FINAL WHERE source_id = 'first'")
    assert Listing.from_bytes(body.encode()) == a_listing("first")
    [(body, status)] = await ask_postgres(
        laid, f"select body, status::text from catalogue.concerts where concert_id = '{uid('first')}'"
    )
    assert Concert.model_validate(body) == a_concert("first")
    assert status == "announced"
    assert await ask_postgres(laid, "select name, city from catalogue.venues") == [("Het Depot", "Leuven")]
    assert await ask_postgres(laid, "select name from catalogue.artists") == [("Sigur Rós",)]
    shown = document(laid, "concerts", str(uid("first")))
    assert shown is not None
    assert (shown["artist"], shown["year"], shown["night"], shown["rev"]) == ("Sigur Rós", 2008, "2008-08-16", 1)
    assert document(laid, "venues", str(uid("Het Depot"))) is not None
    assert document(laid, "artists", str(uid("Sigur Rós"))) is not None


async def test_a_replayed_batch_counts_once(laid: Settings) -> None:
    messages = [sent(a_listing(f"r{n}")) for n in range(50)]
    messages += [sent(a_concert(f"r{n}")) for n in range(50)]
    messages += [sent(some_suggestions("u2", f"e{n}", ["r1", "r2", "r3"])) for n in range(20)]
    messages += [sent(a_decision("u2", f"e{n}", Action.CONFIRMED)) for n in range(10)]
    await sink_all(laid, messages)
    before = await count_stores(laid)
    histories = "SELECT (SELECT count() FROM {0}_history FINAL)"
    counted = [
        await ask_clickhouse(laid, histories.format(noun))
        for noun in ("listings", "concerts", "suggestions", "decisions", "songs")
    ]
    for store in STORES:
        await rewind(laid, store)
    await sink_all(laid)
    assert await count_stores(laid) == before
    assert counted == [
        await ask_clickhouse(laid, histories.format(noun))
        for noun in ("listings", "concerts", "suggestions", "decisions", "songs")
    ]


async def test_an_older_version_after_a_newer_is_ignored(laid: Settings) -> None:
    newer = [
        sent(a_listing("v", 9, songs=("new",))),
        sent(a_concert("v", 9, songs=("new",))),
        sent(a_venue("v", 9)),
        sent(some_suggestions("u3", "e", ["v"], 9)),
        sent(a_decision("u3", "e", Action.UNDONE, minute=9)),
    ]
    older = [
        sent(a_listing("v", 8, songs=("old", "old"))),
        sent(a_concert("v", 8, songs=("old", "old"))),
        sent(a_venue("v", 8)),
        sent(some_suggestions("u3", "e", ["v", "w", "x"], 8)),
        sent(a_decision("u3", "e", Action.CONFIRMED, minute=8)),
    ]
    await sink_all(laid, newer)
    await sink_all(laid, older)
    assert await ask_clickhouse(laid, "SELECT version, songs FROM listings FINAL WHERE source_id = 'v'") == [
        (9, ["new"])
    ]
    assert await ask_clickhouse(laid, f"SELECT song FROM songs WHERE concert_id = '{uid('v')}'") == [("new",)]
    assert await ask_clickhouse(laid, "SELECT rank FROM suggestions FINAL WHERE user_id = 'u3'") == [(1,)]
    assert await ask_clickhouse(laid, "SELECT action FROM decisions FINAL WHERE user_id = 'u3'") == [("undone",)]
    assert await ask_clickhouse(laid, "SELECT count() FROM listings_history FINAL WHERE source_id = 'v'") == [(2,)]
    assert await ask_postgres(laid, f"select rev from catalogue.concerts where concert_id = '{uid('v')}'") == [(9,)]
    assert await ask_postgres(laid, f"select version from catalogue.venues where venue_id = '{uid('v')}'") == [(9,)]
    for index in ("concerts", "venues"):
        shown = document(laid, index, str(uid("v")))
        assert shown is not None
        assert shown["rev"] == 9


async def test_a_set_that_shrank_and_songs_that_went_leave_no_tail(laid: Settings) -> None:
    await sink_all(laid, [sent(some_suggestions("u4", "e", ["a", "b", "c"], 1)), sent(a_concert("tail", 1))])
    await sink_all(laid, [sent(some_suggestions("u4", "e", ["b"], 2)), sent(a_concert("tail", 2, songs=("one",)))])
    assert await ask_clickhouse(laid, "SELECT concert_id FROM suggestions FINAL WHERE user_id = 'u4'") == [(uid("b"),)]
    assert await ask_clickhouse(laid, f"SELECT song FROM songs WHERE concert_id = '{uid('tail')}'") == [("one",)]
    await sink_all(laid, [sent(some_suggestions("u4", "e", [], 3))])
    assert await ask_clickhouse(laid, "SELECT count() FROM suggestions FINAL WHERE user_id = 'u4'") == [(0,)]


async def test_a_tombstone_deletes_in_all_three_stores_and_an_older_message_stays_away(laid: Settings) -> None:
    key = str(uid("dead"))
    await sink_all(laid, [sent(a_concert("dead", 1)), sent(a_venue("dead"))])
    await sink_all(laid, [gone(Concert, key, rev=2)])
    assert await ask_clickhouse(laid, f"SELECT count() FROM concerts FINAL WHERE concert_id = '{key}'") == [(0,)]
    assert await ask_clickhouse(laid, f"SELECT count() FROM songs WHERE concert_id = '{key}'") == [(0,)]
    row = f"select gone, rev, body from catalogue.concerts where concert_id = '{key}'"
    assert await ask_postgres(laid, row) == [(True, 2, None)]
    assert document(laid, "concerts", key) is None
    await sink_all(laid, [sent(a_concert("dead", 3))])
    assert await ask_clickhouse(laid, f"SELECT rev FROM concerts FINAL WHERE concert_id = '{key}'") == [(3,)]
    assert (await ask_postgres(laid, row))[0][:2] == (False, 3)
    assert document(laid, "concerts", key) is not None


async def test_a_users_tombstones_take_the_history_with_them(laid: Settings) -> None:
    await sink_all(
        laid,
        [
            sent(some_suggestions("erased", "e", ["a"], 1)),
            sent(some_suggestions("erased", "e", ["b"], 2)),
            sent(a_decision("erased", "e", Action.CONFIRMED)),
            sent(some_suggestions("kept", "e", ["a"], 1)),
        ],
    )
    await sink_all(
        laid,
        [
            gone(Suggestions, "erased/e", partition_by="erased"),
            gone(Decision, "erased/e", partition_by="erased"),
        ],
    )
    for table in ("suggestions", "suggestions_history", "decisions", "decisions_history"):
        assert await ask_clickhouse(laid, f"SELECT count() FROM {table} WHERE user_id = 'erased'") == [(0,)], table
    assert await ask_clickhouse(laid, "SELECT count() FROM suggestions FINAL WHERE user_id = 'kept'") == [(1,)]


async def test_poison_becomes_one_rejection_each_and_its_neighbours_go_on(laid: Settings) -> None:
    before = len(await rejections(laid))
    await produce(laid, [sent(a_listing("before poison"))])
    partition, offset = await produce_raw(laid, Listing.topic, b"test:poison", b"\x00\xff not JSON")
    await produce_raw(laid, Listing.topic, b"test:fields", b'{"source": "test"}')
    await produce_raw(laid, Concert.topic, str(uid("no rev")).encode(), None)
    await sink_all(laid, [sent(a_listing("after poison"))])
    assert await ask_clickhouse(
        laid, "SELECT source_id FROM listings FINAL WHERE endsWith(source_id, 'poison') ORDER BY source_id"
    ) == [("after poison",), ("before poison",)]
    found = (await rejections(laid))[before:]
    by_listing = [one for one in found if one.origin_topic == Listing.topic]
    assert sorted((one.reason, one.stage) for one in by_listing) == [
        (Reason.MISSING_FIELD, "sink-clickhouse"),
        (Reason.NOT_JSON, "sink-clickhouse"),
    ]
    [poison] = [one for one in by_listing if one.reason is Reason.NOT_JSON]
    assert (poison.origin_partition, poison.origin_offset) == (partition, offset)
    assert poison.original == base64.b64encode(b"\x00\xff not JSON").decode()
    stages = sorted(one.stage for one in found if one.origin_topic == Concert.topic)
    assert stages == sorted(f"sink-{store}" for store in STORES)
    # The Postgres sink reads rejections too, its own and the others'.
    await sink_all(laid)
    rows = await ask_postgres(
        laid, f"select reason::text, stage, original from catalogue.rejections where key = '{poison.key}'"
    )
    assert rows == [("not_json", "sink-clickhouse", b"\x00\xff not JSON")]


async def test_a_nul_character_and_an_index_entry_too_long_spoil_nothing(laid: Settings) -> None:
    long_key = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(2_000))  # 6 kB that do not compress
    await sink_all(
        laid,
        [
            sent(a_concert("nul", artist="Sig\x00ur Rós", songs=("a\x00b",))),
            sent(a_concert("long", artist_key=long_key)),
            *(sent(a_concert(f"near {n}")) for n in range(10)),
        ],
    )
    [(artist, body)] = await ask_postgres(
        laid, f"select artist, body from catalogue.concerts where concert_id = '{uid('nul')}'"
    )
    assert (artist, body["songs"]) == ("Sigur Rós", ["ab"])
    for n in range(10):
        query = f"select 1 from catalogue.concerts where concert_id = '{uid(f'near {n}')}'"
        assert await ask_postgres(laid, query) == [(1,)]
    [refused] = [one for one in await rejections(laid) if one.original_key == str(uid("long"))]
    assert (refused.reason, refused.stage) == (Reason.BAD_DOCUMENT, "sink-postgres")
    assert "54000" in refused.text
    # So that counts agree again: it goes from the other two as well.
    await sink_all(laid, [gone(Concert, str(uid("long")), rev=2)])


async def test_meilisearch_names_a_bad_document_as_bad(laid: Settings) -> None:
    received = receive(record_of(sent(a_concert("good"))))
    bad = Change("concerts", "not a valid id!", received.origin, 1, ({"concert_id": "not a valid id!", "rev": 1},))
    async with open_meilisearch_sink(laid) as sink:
        with pytest.raises(BadRows, match="invalid_document_id"):
            await sink.write([bad])


KILLED_BEFORE_COMMIT = """
import asyncio, os, signal, sys
from aiokafka import AIOKafkaConsumer
from deploy.settings import current
from sinks.main import run_sink

async def commit(self, offsets=None):
    os.kill(os.getpid(), signal.SIGKILL)

AIOKafkaConsumer.commit = commit
asyncio.run(run_sink(current(), sys.argv[1], 1))
"""


async def waiting(settings: Settings, store: Store) -> int:
    async with gauge(settings) as reading:
        return (await reading.lag()).waiting[f"sink-{store}"]


@pytest.mark.parametrize("store", STORES)
async def test_a_kill_between_write_and_commit_repeats_and_counts_once(laid: Settings, store: Store) -> None:
    names = [f"kill {store} {n}" for n in range(30)]
    await produce(laid, [sent(a_concert(name)) for name in names])
    before = await waiting(laid, store)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED_BEFORE_COMMIT, store),
        cwd=ROOT,
        env=environment_for(laid),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    assert await concerts_in(laid, store, names) > 0, "nothing was written before the kill"
    assert await waiting(laid, store) == before, "something was committed"
    await sink_all(laid, stores=[store])
    assert await concerts_in(laid, store, names) == 30


async def stop_engine(settings: Settings, store: Store) -> None:
    """Of the stack; a server of somebody else is not ours to stop."""
    if getattr(settings, f"{store}_url"):
        pytest.skip(f"GIGZ_{store.upper()}_URL names a server that is not the stack's")
    await asyncio.to_thread(Processes(settings.home).stop, store)


@pytest.mark.parametrize("store", STORES)
async def test_a_store_that_is_away_for_seconds_costs_time_only(laid: Settings, store: Store) -> None:
    names = [f"away {store} {n}" for n in range(20)]
    async with running(laid, [store]):
        await produce(laid, [sent(a_concert(f"before {store} is away"))])
        await until_read(laid, [store])
        await stop_engine(laid, store)
        try:
            await produce(laid, [sent(a_concert(name)) for name in names])
            await asyncio.sleep(3)
        finally:
            await asyncio.to_thread(local_stack.up, laid)
        await until_read(laid, [store])
    assert await concerts_in(laid, store, names) == 20


async def test_a_store_away_past_the_deadline_ends_the_process_with_the_offset_unmoved(
    laid: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    await sink_all(laid, stores=["clickhouse"])
    hasty = laid.model_copy(update={"retry_deadline_s": 2.0})
    task = asyncio.create_task(run_sink(hasty, "clickhouse", 1, asyncio.Event()))
    try:
        await produce(laid, [sent(a_concert("before the deadline"))])
        await until_read(laid, ["clickhouse"])
        await stop_engine(laid, "clickhouse")
        await produce(laid, [sent(a_concert("past the deadline"))])
        assert await asyncio.wait_for(task, 60) == Exit.AWAY
    finally:
        await asyncio.to_thread(local_stack.up, laid)
    told = "".join(capfd.readouterr())
    assert "GIGZ_CLICKHOUSE_URL" in told
    assert "start this worker again" in told
    assert await waiting(laid, "clickhouse") == 1


@pytest.mark.parametrize("store", STORES)
async def test_a_wrong_address_is_told_with_its_setting_and_commits_nothing(laid: Settings, store: Store) -> None:
    await produce(laid, [sent(a_concert(f"wrong address {store}"))])
    before = await waiting(laid, store)
    scheme = "postgresql://gigz@" if store == "postgres" else "http://"
    wrong = laid.model_copy(update={f"{store}_url": f"{scheme}127.0.0.1:9/none"})
    with pytest.raises(SettingsError, match=f"GIGZ_{store.upper()}_URL.*Remedy"):
        await run_sink(wrong, store, 1, asyncio.Event())
    assert await waiting(laid, store) == before > 0


RUN = """
import asyncio, sys
from deploy.settings import current
from sinks.main import run_sink
sys.exit(asyncio.run(run_sink(current(), "clickhouse", int(sys.argv[1]))))
"""


Start = Callable[[int], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start(laid: Settings) -> AsyncIterator[Start]:
    """Starts ClickHouse sinks in processes of their own; none outlives the test."""
    processes: list[asyncio.subprocess.Process] = []

    async def one(instance: int) -> asyncio.subprocess.Process:
        processes.append(await process_of(laid, instance))
        return processes[-1]

    yield one
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def process_of(settings: Settings, instance: int) -> asyncio.subprocess.Process:
    """One that has said that it started."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-c", RUN, str(instance)),
        cwd=ROOT,
        env=environment_for(settings),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert b"started" in await asyncio.wait_for(process.stdout.readline(), 30)
    return process


async def ended(process: asyncio.subprocess.Process) -> int:
    """Exit code after SIGTERM, within the time that a stop has."""
    process.terminate()
    await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode is not None
    return process.returncode


async def test_sigterm_ends_a_sink_in_time_with_its_batch_committed(laid: Settings, start: Start) -> None:
    process = await start(1)
    await produce(laid, [sent(a_concert(f"sigterm {n}")) for n in range(20)])
    await until_read(laid, ["clickhouse"])
    assert await ended(process) == 0


@pytest.mark.long
async def test_two_members_share_the_partitions_and_stop_in_the_middle_of_a_rebalance(
    laid: Settings, start: Start
) -> None:
    names = [f"shared {n}" for n in range(300)]
    first = await start(1)
    await produce(laid, [sent(a_concert(name)) for name in names[:100]])
    second = await start(2)
    await produce(laid, [sent(a_concert(name)) for name in names[100:200]])
    await asyncio.sleep(4)  # a heartbeat passes, and both have joined
    await produce(laid, [sent(a_concert(name)) for name in names[200:]])
    await until_read(laid, ["clickhouse"])
    first.send_signal(signal.SIGSTOP)
    third = await start(3)
    await asyncio.sleep(4)  # now the second and the third wait for the first, which is silent
    assert [await ended(second), await ended(third)] == [0, 0]
    first.send_signal(signal.SIGCONT)
    assert await ended(first) == 0
    assert await concerts_in(laid, "clickhouse", names) == 300


async def test_at_the_end_all_stores_count_the_same(laid: Settings) -> None:
    await sink_all(laid)
    kafka = (await count_stores(laid))["kafka"]
    live = await present(laid)
    engine = postgres_engine(laid)
    async with engine.begin() as connection:  # what the stages would hold, taken from the topics
        for row in (ListingRow, SuggestionsRow, DecisionRow):
            await connection.execute(delete(row))
        await connection.execute(insert(ListingRow), live["listings"])
        await connection.execute(insert(SuggestionsRow), live["suggestions"])
        await connection.execute(insert(DecisionRow), live["decisions"])
    await engine.dispose()
    counts = await count_stores(laid)
    assert counts["kafka"] == kafka == counts["postgres"] == counts["clickhouse"]
    assert counts["meilisearch"] == {"concerts": kafka["concerts"]}
    assert kafka["listings"] > 50
    assert kafka["suggestions"] > 50


async def present(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """Rows of the stages' tables for the newest message of each key."""
    newest: dict[tuple[str, str], tuple[float, Message | None]] = {}
    async for record in scan(settings, [Listing.topic, Suggestions.topic, Decision.topic]):
        try:
            received = receive(record)
        except ValueError:
            continue
        match message := received.message:
            case Listing(version=version) | Suggestions(rev=version):
                number: float = version
            case Decision(decided_at=decided_at):
                number = decided_at.timestamp()
            case _:
                number = float("inf")
        known = (record.topic, received.key)
        newest[known] = max(newest.get(known, (0.0, None)), (number, message), key=lambda one: one[0])
    rows: dict[str, list[dict[str, Any]]] = {"listings": [], "suggestions": [], "decisions": []}
    for _, message in newest.values():
        match message:
            case Listing():
                row = message.model_dump(include={"listing_id", "source", "source_id", "version", "night"})
                rows["listings"].append(row | {"keys": [], "body": {}})
            case Suggestions():
                ids = [one.suggestion_id for one in message.suggestions]
                named = {"user_id": message.user, "entry_id": message.entry_id, "rev": message.rev}
                rows["suggestions"].append(named | {"suggestion_ids": ids, "confidence": 0.0, "body": {}})
            case Decision():
                row = message.model_dump(
                    include={"decision_id", "entry_id", "suggestion_id", "concert_id", "action", "decided_at"}
                )
                rows["decisions"].append(row | {"user_id": message.user, "body": {}, "before": None})
    return rows
