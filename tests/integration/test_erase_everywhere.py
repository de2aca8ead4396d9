"""A user erased on the whole of Gigz, with everything running: nowhere afterwards, and nobody else touched."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from rich.console import Console
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.tokens import ISSUER, Audience, development_secret, issue_token
from deploy.clients import (
    clickhouse,
    kafka_admin,
    kafka_consumer,
    kafka_producer,
    meilisearch_client,
    postgres_engine,
    publish,
)
from deploy.digests.job import Digests
from deploy.erasing import ErasureError, ledger, run, stores, topics
from deploy.feed import feed
from deploy.local import stack as local_stack
from deploy.local import workers
from deploy.local.demo.run import Steps, start_all, stream
from deploy.local.processes import Processes
from deploy.migrate import migrate_stores
from deploy.outbox import put_in_outbox
from deploy.replay import Filters, replay
from deploy.settings import Settings, environment_for, load
from deploy.topics import apply_topics
from schemas import erasure
from schemas.erasure import How
from schemas.history import Entry, Rematch
from schemas.outgoing import Origin, outgoing
from schemas.rejection import Rejection
from schemas.rows import entry_from_row
from schemas.suggestion import Suggestions
from schemas.topics import Topic
from sinks.asking import asking
from sinks.clickhouse import open_clickhouse_sink
from sinks.postgres import open_postgres_sink
from sinks.received import Change, Received, receive
from tests.support import ANY_FREE_PORTS, ROOT, open_network

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

ANN = "5f3c9a1e0b7d4c22a96e8f10d4b7c3aa"
BOB = "b0b5e1f27c9d4a6e8f30112233445566"
CID = "c1d0c1d0a7b64f0e9d3c5a1b2e4f6071"
"""A friend of both."""
TOKEN = "qxzvkwjypfbhgdmt"
"""Nothing in it was written before: a compressed batch has it as it is, once."""
NOTE = f"rained through the encore and Ruaridh lost the red umbrella, {TOKEN}"
WORKERS = (*workers.WORKERS, workers.API)
ARTISTS = ("Mogwai", "Arab Strap", "Camera Obscura", "Belle and Sebastian", "Frightened Rabbit", "Teenage Fanclub")
TOWNS = (("Barrowland Ballroom", "Glasgow"), ("Usher Hall", "Edinburgh"))


def utc() -> datetime:
    return datetime.now(UTC)


def listings() -> Iterator[dict[str, Any]]:
    for n, artist in enumerate(ARTISTS):
        for m, (venue, city) in enumerate(TOWNS):
            place = {"venue": venue, "city": city, "country": "GB"}
            yield {"source": "t", "source_id": f"{n}-{m}", "artist": artist, "date": f"2014-{n + 3:02}-1{m}", **place}


def history(user: str, note: str) -> Iterator[str]:
    """Good lines, ids that others have as well; one that nobody can answer; two that are refused."""
    for n, row in enumerate(listings()):
        entry = {"user": user, "entry_id": f"e{n}", "note": f"{note} {n}", "with": ["Ruaridh Macleod of Stornoway"]}
        yield json.dumps(entry | {name: row[name] for name in ("artist", "date", "city")})
    yield json.dumps({"user": user, "entry_id": "w1", "artist": "The Unheard Of", "date": "1999", "note": note})
    if user == ANN:
        yield json.dumps({"user": user, "entry_id": "w2", "artist": "Nobody But Ann", "date": "1998", "note": note})
    yield json.dumps({"user": user, "entry_id": "bad", "artist": "Mogwai", "date": "2014-02-31", "note": note})
    yield f'{{"user": "{user}", "entry_id": "cut", "note": "{note}", "artist": '


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Engines, topics, tables and all workers, in a folder of their own; few partitions, quick batches."""
    quick = {"partitions": 4, "batch_linger_s": 0.05, "sink_linger_s": 0.2, "outbox_poll_s": 0.05}
    home = tmp_path_factory.mktemp("erase") / "home"
    settings = load({"home": home, **ANY_FREE_PORTS, **quick, "kafka_heap_mb": 384})
    try:
        with open_network():
            local_stack.up(settings)
        asyncio.run(apply_topics(settings))
        migrate_stores(settings)
        asyncio.run(start_all(settings, Steps(Console(quiet=True))))
        yield settings
    finally:
        workers.stop(settings, WORKERS)
        local_stack.down(settings)


@pytest.fixture
async def engine(whole: Settings) -> AsyncIterator[AsyncEngine]:
    pool = postgres_engine(whole, pool_size=4, name="test")
    yield pool
    await pool.dispose()


async def settled(settings: Settings) -> None:
    """Until nothing waits in any stage."""
    await stream(settings, Steps(Console(quiet=True)), "all", WORKERS)


@asynccontextmanager
async def api_of(settings: Settings, user: str) -> AsyncIterator[httpx.AsyncClient]:
    running = Processes(settings.home).find(workers.API)
    assert running is not None
    headers = {"Authorization": f"Bearer {issue_token(settings, user, utc())}"}
    async with httpx.AsyncClient(base_url=running.address, headers=headers, timeout=30) as client:
        yield client


async def write_down(settings: Settings, folder: Path, user: str, note: str) -> Path:
    """A history fed, typed and imported, shows confirmed and dismissed; a note kept, a switch turned, many counted; a
    friend, somebody blocked, a sign-in, a digest.
    """
    path = folder / f"{user}.jsonl"
    path.write_text("\n".join(history(user, note)) + "\n", encoding="utf-8")
    await feed(settings, [path], "history")
    async with api_of(settings, user) as client:
        body = {"entries": [{"artist": "Mogwai", "date": "Mar 2014", "note": f"{note}, typed"}]}
        assert (await client.post("/v1/history/", json=body)).status_code == 202
        await settled(settings)
        listed = (await client.get("/v1/suggestions/", params={"take": 5})).json()["data"]
        chosen = [entry["suggestions"][0]["suggestion_id"] for entry in listed[:3]]
        for suggestion, verb in zip(chosen, ("confirm", "confirm", "dismiss"), strict=True):
            key = {"Idempotency-Key": f"{verb}-{suggestion}"}
            assert (await client.post(f"/v1/suggestions/{suggestion}/{verb}", headers=key)).status_code == 200
        kept = {"note": f"{note}, kept", "with": ["Ruaridh Macleod of Stornoway"]}
        assert (await client.patch(f"/v1/journal/{chosen[0]}", json=kept)).status_code == 200
        assert (await client.patch("/v1/preferences", json={"habits": True})).status_code == 200
        counted = {"dry_run": True, "action": "confirm"}
        assert (await client.post("/v1/suggestions/bulk", json=counted)).status_code == 200
        await upload(client, f'artist,date,note\nMogwai,2011-05-06,"{note} again"\nMogwai,32.13.1994,"{note} unread"\n')
        told = {"user": user, "secret": development_secret(settings)}
        assert (await client.post("/v1/auth/token", json=told)).status_code == 200
        async with api_of(settings, CID) as friend:
            for one, other in ((client, CID), (friend, user)):
                assert (await one.post(f"/v1/follows/{other}")).status_code == 200
        assert (await client.post(f"/v1/blocks/{user}x")).status_code == 200
    await settled(settings)
    engine = postgres_engine(settings, pool_size=2, name="test")
    await Digests(engine, settings.outbox_shards, utc, timedelta(0)).round()
    await engine.dispose()
    await settled(settings)
    return path


async def upload(client: httpx.AsyncClient, rows: str) -> None:
    """A file imported, and kept."""
    sent = await client.post("/v1/imports?name=kept.csv", content=rows.encode())
    assert sent.status_code == 201, sent.text
    at = f"/v1/imports/{sent.json()['data']['import_id']}"
    async with asyncio.timeout(90):
        while (await client.get(at)).json()["data"]["state"] != "ready":  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        assert (await client.post(f"{at}/apply", json={})).status_code == 200
        while (await client.get(at)).json()["data"]["state"] != "applied":  # noqa: ASYNC110
            await asyncio.sleep(0.2)


# -- reading every store, in the test's own words --------------------------------------------------------------------


async def everything(settings: Settings) -> list[ConsumerRecord]:
    """All messages of all topics."""
    async with kafka_admin(settings) as admin:
        names = [name for name in await admin.list_topics() if not name.startswith("__")]
    places = [TopicPartition(name, number) for name in names for number in range(settings.partitions)]
    found: list[ConsumerRecord] = []
    async with kafka_consumer(settings, (), None) as consumer:
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=300)).values():
                found += records
    return found


def holds(record: ConsumerRecord, *needles: str) -> bool:
    body = (record.key or b"") + (record.value or b"") + b"".join(value or b"" for _, value in record.headers)
    if record.topic == Rejection.topic and record.value:
        body += Rejection.from_bytes(record.value).original_bytes or b""
    return any(needle.encode() in body for needle in needles)


async def in_postgres(engine: AsyncEngine, *needles: str) -> dict[str, int]:
    """Table -> rows that hold one of these anywhere, bytes included."""
    found: dict[str, int] = {}
    async with engine.connect() as connection:
        tables = await connection.execute(
            text("select schemaname || '.' || tablename from pg_tables where schemaname in ('state', 'catalogue')")
        )
        for (table,) in tables.all():
            rows = (await connection.execute(text(f"select * from {table}"))).all()
            hits = sum(any(needle in _all_of(row) for needle in needles) for row in rows)
            found |= {table: hits} if hits else {}
    return found


def _all_of(row: Any) -> str:
    return " ".join(bytes(v).decode("utf-8", "replace") if isinstance(v, bytes | memoryview) else repr(v) for v in row)


def in_clickhouse(settings: Settings, *needles: str) -> dict[str, int]:
    client = clickhouse(settings)
    found: dict[str, int] = {}
    for table in erasure.CLICKHOUSE:
        rows = client.query(f"SELECT * FROM {table}").result_rows
        hits = sum(any(needle in repr(row) for needle in needles) for row in rows)
        found |= {table: hits} if hits else {}
    done = client.query("SELECT command FROM system.mutations").result_rows
    hits = sum(any(needle in str(row) for needle in needles) for row in done)
    found |= {"system.mutations": hits} if hits else {}
    client.close()
    return found


def in_files(settings: Settings, *needles: str) -> list[str]:
    """Segments of the user's topics, on the broker's disk, that hold one of these; those that are let go aside."""
    kept = [name for name, place in erasure.TOPICS.items() if place.how is How.TOMBSTONES]
    return [
        str(path.relative_to(settings.home))
        for path in sorted((settings.home / "kafka" / "data").glob("gigz.*/*.log"))
        if path.parent.name.rpartition("-")[0] in kept
        and any(needle.encode() in path.read_bytes() for needle in needles)
    ]


@dataclass(frozen=True)
class Of:
    """All that is there of one user, byte for byte."""

    postgres: dict[str, list[Any]]
    clickhouse: dict[str, list[Any]]
    kafka: dict[tuple[str, str], bytes | None]


async def of_user(settings: Settings, engine: AsyncEngine, user: str) -> Of:
    rows: dict[str, list[Any]] = {}
    async with engine.connect() as connection:
        for table, place in erasure.POSTGRES.items():
            if place.how is How.DELETE_ROWS:
                query = text(f"select r.* from {table} r where strpos(r::text, :user) > 0 order by r::text")
                hexed = text(f"select r.* from {table} r where strpos(r::text, :hex) > 0 order by r::text")
                asked = {"user": user, "hex": user.encode().hex()}
                held = [*(await connection.execute(query, asked)), *(await connection.execute(hexed, asked))]
                rows[table] = [repr(row) for row in held]
    client = clickhouse(settings)
    columns = {
        name: sorted(map(repr, client.query(f"SELECT * FROM {name} FINAL WHERE user_id = '{user}'").result_rows))
        for name, place in erasure.CLICKHOUSE.items()
        if place.user
    }
    client.close()
    last = {}
    for record in await everything(settings):
        if (record.key or b"").startswith(user.encode()) and erasure.TOPICS[record.topic].how is How.TOMBSTONES:
            last[record.topic, record.key.decode()] = record.value
    return Of(rows, columns, last)


def gigz(settings: Settings, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "gigz.py"), *arguments],
        cwd=folder,
        env=environment_for(settings),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


# -- the tests -------------------------------------------------------------------------------------------------------


async def insist(settings: Settings, path: Path, stop: asyncio.Event, refused: list[int]) -> None:
    """Ann goes on while she is erased: she types, her file is fed, her entries are matched again."""
    keys = [f"e{n}" for n in range(12)]
    number = 0
    async with api_of(settings, ANN) as client, kafka_producer(settings, "test") as producer:
        while not stop.is_set():
            number += 1
            body = {"entries": [{"artist": "Mogwai", "date": "2014", "note": f"{NOTE}, again {number}"}]}
            refused.append((await client.post("/v1/history/", json=body)).status_code)
            rematch = [Rematch(user=ANN, entry_id=key, cause="concert:test") for key in keys]
            await publish(producer, [outgoing(one, trace="t", stage="test") for one in rematch], settings.partitions)
            if number % 5 == 0:
                await feed(settings, [path], "history")
            await asyncio.sleep(0.05)


async def test_a_user_is_erased_everywhere_while_everything_runs_and_nobody_else_is_touched(
    whole: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    shows = tmp_path / "listings.jsonl"
    shows.write_text("\n".join(json.dumps(row) for row in listings()) + "\n", encoding="utf-8")
    await feed(whole, [shows], "raw-event")
    await settled(whole)
    bobs = await write_down(whole, tmp_path, BOB, "a quiet night, third row, left before the end")
    anns = await write_down(whole, tmp_path, ANN, NOTE)
    before = await of_user(whole, engine, BOB)
    assert all(before.postgres[name] for name in before.postgres if name not in {"state.accounts", "state.outbox"})
    assert all(before.clickhouse.values()) and before.kafka
    held = await in_postgres(engine, ANN, NOTE)
    assert {"state.entries", "state.suggestions", "state.decisions", "state.wants", "catalogue.rejections"} <= set(held)
    assert in_files(whole, TOKEN), "the test sees what is on the disk"
    rejected = [record for record in await everything(whole) if record.topic == Rejection.topic and holds(record, ANN)]
    assert len(rejected) == 2
    async with engine.connect() as connection:
        asked = "select asked from state.wanted where artist_key = :key"
        assert await connection.scalar(text(asked), {"key": "unheard of"}) == 2

    stop, codes = asyncio.Event(), list[int]()
    insisting = asyncio.create_task(insist(whole, anns, stop, codes))
    await asyncio.sleep(1.5)
    relay = Processes(whole.home).find("relay-1")
    assert relay is not None
    os.kill(relay.pid, signal.SIGSTOP)  # with rows of hers read, and more in the outbox
    await asyncio.sleep(1.0)
    erasing = asyncio.create_task(
        asyncio.to_thread(gigz, whole, "erase", ANN, "--yes", "--wait", "90", "--json", folder=tmp_path)
    )
    await asyncio.sleep(4.0)
    os.kill(relay.pid, signal.SIGCONT)
    done = await erasing
    stop.set()
    await insisting
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    told = json.loads(done.stdout)
    assert told["clean"] and told["compacted_s"] is not None
    assert ANN not in done.stdout and NOTE not in done.stdout
    assert codes[0] == 202 and codes[-1] == 401
    assert {one["where"] for one in told["found"]} >= {"gigz.history.v1", "gigz.rejection.v1", "gigz.rematch.v1"}
    assert all(one["verdict"] == "expires" and one["until"] for one in told["found"])
    for place in (
        "postgres state.entries",
        "postgres state.decisions",
        "clickhouse suggestions",
        "postgres state.wants",
    ):
        assert told["removed"][place] > 0, place

    await settled(whole)
    await nowhere(whole, engine, ANN, NOTE)
    assert in_files(whole, TOKEN) == []
    assert await of_user(whole, engine, BOB) == before
    async with engine.connect() as connection:
        assert await connection.scalar(text(asked), {"key": "unheard of"}) == 1
        assert await connection.scalar(text(asked), {"key": "nobody but ann"}) == 0
    last = {record.key: record.value for record in await everything(whole) if record.topic == "gigz.wanted.v1"}
    assert last[b"nobody but ann/1998"] is None
    assert json.loads(last[b"unheard of/1999"] or b"")["asked"] == 1

    await nothing_brings_her_back(whole, engine, anns, bobs, rejected)
    again = await asyncio.to_thread(gigz, whole, "erase", ANN, "--yes", "--wait", "90", "--json", folder=tmp_path)
    assert again.returncode == 0, again.stderr[-3_000:]
    repeated = json.loads(again.stdout)
    assert repeated["receipt"] == told["receipt"] and repeated["erased_at"] == told["erased_at"]
    await nowhere(whole, engine, ANN, NOTE)


async def nowhere(settings: Settings, engine: AsyncEngine, user: str, *words: str) -> None:
    """Not in any store; in topics only as keys of tombstones, or where messages only expire."""
    assert await in_postgres(engine, user, *words) == {}
    assert in_clickhouse(settings, user, *words) == {}
    client = meilisearch_client(settings)
    for index in client.get_indexes()["results"]:
        for document in index.get_documents({"limit": 1_000}).results:
            assert user not in repr(dict(document))
    for record in await everything(settings):
        if erasure.TOPICS[record.topic].how is How.EXPIRES:
            continue
        assert not holds(record, user, *words) or record.value is None, f"{record.topic} {record.offset}"
        assert not holds(record, *words)


async def nothing_brings_her_back(
    settings: Settings, engine: AsyncEngine, anns: Path, bobs: Path, rejected: list[ConsumerRecord]
) -> None:
    """Old files, replays, a rebuild's reading, and messages of somebody who asks nobody."""
    fed = await feed(settings, [anns], "history")
    assert fed.sent == 0 and fed.erased == fed.lines
    assert (await feed(settings, [bobs], "history")).erased == 0
    async with open_postgres_sink(settings) as bare, asking(settings, bare) as sink:
        await sink.write([sink.prepare(receive(record)) for record in rejected])
    assert (await in_postgres(engine, ANN)) == {}
    done = await replay(settings, engine, Filters(), dry=True)
    assert ANN not in repr(done)
    rows = [json.loads(line) for line in list(history(ANN, NOTE))[:3]]
    entries = [outgoing(entry_from_row(row, Entry), trace="t", stage="test") for row in rows]
    bad = outgoing(entry_from_row(rows[0] | {"date": "2014-02-31"}, Entry), trace="t", stage="test")
    sets = [outgoing(Suggestions(user=ANN, entry_id=f"e{n}", rev=99), trace="t", stage="test") for n in range(3)]
    before = len([record for record in await everything(settings) if record.topic == Rejection.topic])
    async with kafka_producer(settings, "test") as producer:
        await publish(producer, [*entries, bad, *sets], settings.partitions)
    await settled(settings)
    assert await in_postgres(engine, ANN, NOTE) == {}
    assert in_clickhouse(settings, ANN, NOTE) == {}
    assert len([record for record in await everything(settings) if record.topic == Rejection.topic]) == before


STEPS = ("the ledger", "the tables", "Kafka: looking", "tombstones", "ClickHouse", "vacuum", "compaction of")


class Killed(BaseException):
    """As if the process were."""


@pytest.mark.long
async def test_an_erasure_that_is_cut_off_anywhere_goes_on_where_it_was(
    whole: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    note = "the second act never came and the bar had closed"
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join(history("cut-off", note)) + "\n", encoding="utf-8")
    await feed(whole, [path], "history")
    await settled(whole)
    for step in STEPS:

        def cut(what: str, step: str = step) -> None:
            if step in what:
                raise Killed

        with pytest.raises(Killed):
            await run.erase(whole, "cut-off", clock=utc, tell=cut)
        await settled(whole)
    receipt = await run.erase(whole, "cut-off", clock=utc, wait_s=90)
    assert receipt.clean, receipt.as_text()
    assert receipt.removed["postgres state.entries"] == 13
    assert receipt.removed["postgres catalogue.rejections"] == 2
    assert receipt.removed["clickhouse suggestions"] == 39
    await nowhere(whole, engine, "cut-off", note)
    assert (await apply_topics(whole)).altered == ()


@pytest.mark.long
async def test_tombstones_that_had_their_time_are_forgotten_by_the_next_run(
    whole: Settings, engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a partition that lies still the broker would keep them, and the id in their keys, for ever."""
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join(history("forgotten", "a long way home in the rain")) + "\n", encoding="utf-8")
    await feed(whole, [path], "history")
    await settled(whole)
    config = vars(Topic)["config"].fget
    short = {"delete.retention.ms": "1000"}
    with monkeypatch.context() as patched:
        patched.setattr(Topic, "config", property(lambda topic: config(topic) | ({} if topic.days else short)))
        first = await run.erase(whole, "forgotten", clock=utc, wait_s=90)
        assert {one.what for one in first.searched.found if one.where == Entry.topic} == {"tombstones"}
        await asyncio.sleep(2)
        second = await run.erase(whole, "forgotten", clock=utc, wait_s=90)
    assert second.clean and second.compacted_s is not None
    assert {one.where for one in second.searched.found} <= {Rejection.topic, Rematch.topic}
    await apply_topics(whole)


async def test_two_erasures_at_once_are_refused(whole: Settings, engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("select pg_advisory_lock(:c, 0)"), {"c": stores.LOCK_CLASS})
        with pytest.raises(ErasureError, match="another erasure is under way"):
            await run.erase(whole, BOB, clock=utc)


async def test_a_user_nobody_knows_is_not_entered(whole: Settings, engine: AsyncEngine, tmp_path: Path) -> None:
    done = gigz(whole, "erase", "a-misspelt-user", "--yes", folder=tmp_path)
    assert done.returncode == 1
    assert "nobody knows a user 'a-misspelt-user'" in done.stderr
    async with engine.connect() as connection:
        assert await ledger.known(connection, "a-misspelt-user") is None


async def test_a_dry_run_tells_and_changes_nothing(whole: Settings, engine: AsyncEngine, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join(history("dry-runner", "n" * 30)) + "\n", encoding="utf-8")
    await feed(whole, [path], "history")
    await settled(whole)
    before = await of_user(whole, engine, "dry-runner")
    done = gigz(whole, "erase", "dry-runner", "--dry-run", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["postgres state.entries"] == told["postgres state.suggestions"] == 13
    assert told["kafka gigz.history.v1"] == 15
    assert told["kafka gigz.suggestion.v1"] >= 13
    assert told["postgres catalogue.rejections"] == told["kafka gigz.rejection.v1"] == 2
    assert await of_user(whole, engine, "dry-runner") == before
    assert "nobody is there to be asked" in gigz(whole, "erase", "dry-runner", folder=tmp_path).stderr


async def test_whoever_writes_is_waited_for_and_whoever_comes_later_is_told(engine: AsyncEngine) -> None:
    """The one rule that everything else leans on."""
    entered = asyncio.Event()

    async def enter() -> None:
        await ledger.enter(engine, "late", utc())
        entered.set()

    async with engine.begin() as writing:
        assert await ledger.erased_among(writing, {"late"}) == frozenset()
        entering = asyncio.create_task(enter())
        await asyncio.sleep(1.0)
        assert not entered.is_set(), "the writer's transaction is open"
    await asyncio.wait_for(entering, 10)
    async with engine.begin() as later:
        assert await ledger.erased_among(later, {"late", "early"}) == {"late"}


async def test_a_writer_that_never_ends_is_named_not_waited_for(engine: AsyncEngine) -> None:
    async with engine.begin() as writing:
        await ledger.erased_among(writing, {"stuck"})
        with pytest.raises(ErasureError, match="pg_stat_activity"):
            await ledger.enter(engine, "stuck", utc(), patience_s=0.1)


async def test_without_a_relay_the_tombstones_are_published_here(whole: Settings, engine: AsyncEngine) -> None:
    workers.stop(whole, ("relay-1",))
    try:
        rows = [entry_from_row({"user": "no-relay", "entry_id": "e1", "artist": "Mogwai"}, Entry)]
        async with engine.begin() as connection:
            records = [outgoing(row, trace="t", stage="api") for row in rows]
            records += stores.tombstones({(Entry.topic, "no-relay/e1")}, "no-relay")
            await put_in_outbox(connection, records, whole.outbox_shards)
        await topics.until_published(whole, engine)
        scanned = await topics.scan(whole, [Entry.topic], topics.mine("no-relay"))
        assert [one.value is None for one in scanned.found] == [False, True]
    finally:
        workers.start_worker(whole, "relay-1")


@pytest.mark.long
async def test_after_a_restore_the_receipts_erase_again(whole: Settings, engine: AsyncEngine, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    note = "they played it twice and nobody minded at all"
    path.write_text("\n".join(history("restored", note)) + "\n", encoding="utf-8")
    await feed(whole, [path], "history")
    await settled(whole)
    done = await run.erase(whole, "restored", clock=utc, wait_s=0)
    async with engine.begin() as connection:  # as a backup of before has it
        await connection.execute(text("delete from state.erased where user_hash = :h"), {"h": done.user_hash})
    await feed(whole, [path], "history")
    await settled(whole)
    assert await in_postgres(engine, "restored")
    kept = json.loads(json.dumps(done.as_json()))
    (again,) = [one for one in await run.again(whole, [kept], clock=utc, wait_s=90) if one.user_hash == done.user_hash]
    assert again.clean, again.as_text()
    assert again.receipt_id == done.receipt_id
    await settled(whole)
    await nowhere(whole, engine, "restored", note)


async def test_what_was_exported_before_is_read_without_the_erased(whole: Settings, tmp_path: Path) -> None:
    path = tmp_path / "decisions.jsonl"
    path.write_text("".join(json.dumps({"user": user, "entry_id": "e1"}) + "\n" for user in (ANN, BOB)), "utf-8")
    done = gigz(whole, "living", str(path), folder=tmp_path)
    assert [json.loads(line)["user"] for line in done.stdout.splitlines()] == [BOB]
    assert "1 lines" in done.stderr


async def test_weights_are_not_fitted_on_what_erased_users_said(
    whole: Settings, engine: AsyncEngine, tmp_path: Path
) -> None:
    """Answers and lines of the one who was erased change nothing: the figures are those of the other's alone."""
    await ledger.enter(engine, ANN, utc())
    shows = tmp_path / "listings.jsonl"
    shows.write_text("".join(json.dumps(row) + "\n" for row in listings()), "utf-8")
    said: dict[str, list[str]] = {ANN: [], BOB: []}
    typed: dict[str, list[str]] = {ANN: [], BOB: []}
    for user in (ANN, BOB):
        for n, row in enumerate(listings()):
            entry = {"user": user, "entry_id": f"e{n}"} | {name: row[name] for name in ("artist", "date", "city")}
            typed[user].append(json.dumps(entry) + "\n")
            answer = {"action": "confirmed", "source": row["source"], "source_id": row["source_id"]}
            said[user].append(json.dumps({"user": user, "entry_id": f"e{n}"} | answer) + "\n")

    def figures(name: str, users: tuple[str, ...]) -> tuple[dict[str, Any], str]:
        decisions, entries = tmp_path / f"{name}-decisions.jsonl", tmp_path / f"{name}-entries.jsonl"
        decisions.write_text("".join(line for user in users for line in said[user]), "utf-8")
        entries.write_text("".join(line for user in users for line in typed[user]), "utf-8")
        asked = ("--history", str(entries), "--decisions", str(decisions), "--json")
        done = gigz(whole, "calibrate", str(shows), *asked, folder=tmp_path)
        assert done.stdout, done.stderr
        return json.loads(done.stdout), done.stderr

    both, told = figures("both", (ANN, BOB))
    alone, nobody = figures("alone", (BOB,))
    assert both == alone and both["decisions"]["answers"] == len(said[BOB])
    assert f"{2 * len(said[ANN])} lines of erased users left out" in told
    assert "0 lines of erased users left out" in nobody


async def test_whoever_signs_in_again_is_somebody_new(whole: Settings, engine: AsyncEngine) -> None:
    running = Processes(whole.home).find(workers.API)
    assert running is not None
    claims = {"sub": "issuer|ann", "iss": ISSUER, "aud": Audience.API.value, "exp": int(utc().timestamp()) + 900}
    token = jwt.encode(claims, development_secret(whole), algorithm="HS256")
    ids = text("select user_id from state.accounts where subject = 'issuer|ann'")
    body = {"entries": [{"artist": "Mogwai", "date": "2014", "note": "a seat behind the pillar, all evening"}]}
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=running.address, headers=headers, timeout=30) as client:
        assert (await client.post("/v1/history/", json=body)).status_code == 202
        await settled(whole)
        async with engine.connect() as connection:
            first = str(await connection.scalar(ids))
        receipt = await run.erase(whole, first, clock=utc, wait_s=0)
        assert receipt.clean, receipt.as_text()
        assert receipt.removed["postgres state.accounts"] == 1
        assert (await client.post("/v1/history/", json=body)).status_code == 202
        await settled(whole)
    async with engine.connect() as connection:
        second = str(await connection.scalar(ids))
    assert second != first
    assert first not in repr(await of_user(whole, engine, second))
    assert await in_postgres(engine, first) == {}


async def test_thousands_of_tombstones_fit_into_mutations(whole: Settings) -> None:
    """Those of one erasure come to the sink in one batch."""
    async with open_clickhouse_sink(whole) as sink:
        entry_ids = [f"{number:032x}" for number in range(5_000)]
        origin = Origin(Suggestions.topic, 0, 10**9)  # nobody else stood there
        at = utc()
        for entry_id in entry_ids[-1:]:
            found = Suggestions(user=BOB + "2", entry_id=entry_id, rev=1)
            received = Received(origin, found.key, found, found.to_bytes(), at, "t")
            await sink.write([sink.prepare(received)])
        assert in_clickhouse(whole, BOB + "2")["suggestions_history"] == 3
        await sink.write([Change("suggestions", f"{BOB}2/{one}", origin, None) for one in entry_ids])
    assert in_clickhouse(whole, BOB + "2") == {}
