"""Kafka and the stores side by side, on real engines: every kind of tampering is found, and nothing else."""

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from deploy.settings import Settings, environment_for
from schemas.concert import Concert
from schemas.decision import Action
from schemas.message import Message
from sinks.held import Form, Held, differing, plain, told_by
from sinks.received import receive
from sinks.reconcile import Report, Sum, reconcile
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
    NOON,
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

on_engines = pytest.mark.stack
NAMES = [f"n{number}" for number in range(60)]


def held(id_: str, version: int = 1, digest: bytes = b"d") -> Held:
    return Held(id_, id_, version, digest)


def test_a_sum_does_not_depend_on_order_and_knows_id_version_and_content() -> None:
    some = [held("a"), held("b"), held("c", 2)]
    hashes = set()
    for order in itertools.permutations(some):
        one = Sum()
        for each in order:
            one.add(each)
        hashes.add((one.ids, one.hash))
    assert len(hashes) == 1
    for other in (held("c", 3), held("d", 2), held("c", 2, b"other")):
        changed = Sum()
        for each in (*some[:2], other):
            changed.add(each)
        assert (changed.ids, changed.hash) not in hashes


def test_a_message_and_the_same_with_its_fields_in_another_order_are_the_same_content() -> None:
    concert = a_concert("order")
    shuffled = json.dumps(dict(reversed(json.loads(concert.to_bytes()).items()))).encode()
    assert Concert.from_bytes(shuffled) == concert
    records = [record_of(sent(concert)), record_of(sent(concert))]
    records[1].value = shuffled
    one, other = (told_by(receive(record))[Form.WHOLE] for record in records)
    assert one.same(other)


def test_an_empty_set_is_nothing_where_empty_sets_are_not_kept() -> None:
    found = told_by(receive(record_of(sent(some_suggestions("u", "e", [])))))
    assert found.keys() == {Form.WHOLE}
    assert found[Form.WHOLE].size == 0


def test_values_of_any_driver_compare_as_one() -> None:
    at = datetime(2024, 6, 1, 12, 0, 0, 123_456, UTC)
    assert plain(at) == plain(at.replace(tzinfo=None, microsecond=123_000))
    assert plain(uid("a")) == plain(str(uid("a")))
    assert plain((1, 2)) == plain([1, 2])
    assert differing({"a": 1, "b": None}, {"a": 1, "b": "x", "c": 2}) == ["b"]


# -- on engines ------------------------------------------------------------------------------------------------------


def world() -> list[Message]:
    """Two versions of everything: histories, and rows that an old version can come back to."""
    made: list[Message] = [an_artist(name) for name in NAMES[:10]] + [a_venue(name) for name in NAMES[:10]]
    for version in (1, 2):
        songs = ("first",) * version
        made += [a_listing(name, version, songs=songs) for name in NAMES]
        made += [a_concert(name, version, songs=songs) for name in NAMES]
        made += [some_suggestions("u1", name, ["a", "b", "c"][:version], version) for name in NAMES]
        made += [some_suggestions("u2", name, ["a"] if version == 1 else [], version) for name in NAMES[:5]]
        made += [a_decision("u1", name, Action.CONFIRMED, minute=version) for name in NAMES[:30]]
    return made


@pytest.fixture(scope="module")
def filled(laid: Settings) -> Settings:
    """Engines with the world in every place."""
    dead = [a_concert(f"dead {n}") for n in range(5)]
    asyncio.run(happen(laid, [*world(), *dead]))
    asyncio.run(bury(laid, dead))
    return laid


async def bury(settings: Settings, dead: list[Concert]) -> None:
    await produce(settings, [gone(Concert, one.key, rev=2) for one in dead])
    listed = ", ".join(f"'{one.concert_id}'" for one in dead)
    await ask_postgres(settings, f"update state.concerts set live = false, rev = 2 where concert_id in ({listed})")
    async with sinking(settings):
        await until_sunk(settings)


def found_in(report: Report) -> set[tuple[str, str, str, str]]:
    return {(one.noun, one.place, one.id, one.how) for one in report.differences}


@on_engines
async def test_stores_that_say_the_same_have_the_same_hashes(filled: Settings) -> None:
    report = await reconcile(filled, wait_s=20)
    assert found_in(report) == set()
    assert report.ok
    assert report.waiting == {}
    told = report.as_json()["nouns"]
    assert {name: told[name]["kafka"]["count"] for name in told} == {
        "listings": 60,
        "concerts": 60,
        "suggestions": 120,
        "decisions": 30,
        "venues": 10,
        "artists": 10,
    }
    for noun in ("listings", "concerts", "decisions"):
        whole = [one for name, one in told[noun].items() if name != "meilisearch"]
        assert len({one["hash"] for one in whole}) == 1, noun
        assert len({tuple(one["partitions"]) for one in whole}) == 1, noun
        assert len(set(whole[0]["partitions"])) > 2 or noun == "decisions", "of one user, in one partition"
    for places in told.values():
        for name, one in places.items():
            if name != "kafka":
                assert (one["hash"], one["ids"]) == (one["kafka"]["hash"], one["kafka"]["ids"])


@on_engines
async def test_no_rows_are_held_twice_when_memory_holds_few_of_them(
    filled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("places.PAGE", 7), ("places.DOCUMENTS", 7), ("reconcile.GROUP", 20)):
        monkeypatch.setattr(f"sinks.{name}", value)
    few = await reconcile(filled, wait_s=20)
    monkeypatch.undo()
    many = await reconcile(filled, wait_s=20)
    assert few.as_json()["nouns"] == many.as_json()["nouns"]
    assert few.ok


def by_hand(settings: Settings) -> dict[tuple[str, str, str, str], list[str]]:
    """What is found -> what was done in ClickHouse or Postgres."""
    c = {n: str(uid(f"n{n}")) for n in range(60)}
    listing = {n: str(a_listing(f"n{n}").listing_id) for n in range(60)}
    entry = "user_id = 'u1' and entry_id = "
    new = str(uid("made by hand"))
    return {
        # ClickHouse
        ("concerts", "clickhouse", c[1], "missing"): [f"ALTER TABLE concerts DELETE WHERE concert_id = '{c[1]}'"],
        ("concerts", "clickhouse", c[2], "content"): [
            f"ALTER TABLE concerts UPDATE artist = 'Else' WHERE concert_id = '{c[2]}'"
        ],
        ("concerts", "clickhouse", c[3], "older"): [
            f"ALTER TABLE concerts DELETE WHERE concert_id = '{c[3]}'",
            f"INSERT INTO concerts SELECT * FROM concerts_history WHERE concert_id = '{c[3]}' AND rev = 1",
        ],
        ("concerts", "clickhouse", new, "extra"): [
            f"INSERT INTO concerts SELECT * REPLACE (toUUID('{new}') AS concert_id) "
            f"FROM (SELECT * FROM concerts FINAL WHERE concert_id = '{c[4]}')"
        ],
        ("listings", "clickhouse", listing[1], "content"): [
            f"ALTER TABLE listings UPDATE body = replaceOne(body, 'first', 'last') WHERE listing_id = '{listing[1]}'"
        ],
        ("listings", "clickhouse", listing[2], "missing"): [
            f"ALTER TABLE listings DELETE WHERE listing_id = '{listing[2]}'"
        ],
        ("suggestions", "clickhouse", "u1/n1", "content"): [
            f"ALTER TABLE suggestions UPDATE confidence = 0.123 WHERE {entry} 'n1' AND rank = 1"
        ],
        ("suggestions", "clickhouse", "u1/n2", "content"): [
            f"ALTER TABLE suggestions DELETE WHERE {entry} 'n2' AND rank = 2"
        ],
        ("suggestions", "clickhouse", "u1/n3", "missing"): [f"ALTER TABLE suggestions DELETE WHERE {entry} 'n3'"],
        ("decisions", "clickhouse", "u1/n1", "content"): [
            f"ALTER TABLE decisions UPDATE action = 'dismissed' WHERE {entry} 'n1'"
        ],
        ("decisions", "clickhouse", "u1/n2", "older"): [
            f"ALTER TABLE decisions DELETE WHERE {entry} 'n2'",
            f"INSERT INTO decisions SELECT * FROM decisions_history WHERE {entry} 'n2' ORDER BY version LIMIT 1",
        ],
        # Postgres, what is shown
        ("concerts", "postgres", c[11], "missing"): [
            f"delete from catalogue.concerts where concert_id = '{c[11]}'",
        ],
        ("concerts", "postgres", c[12], "missing"): [
            f"update catalogue.concerts set gone = true, body = null where concert_id = '{c[12]}'"
        ],
        ("concerts", "postgres", c[13], "content"): [
            f"update catalogue.concerts set artist = 'Else' where concert_id = '{c[13]}'"
        ],
        ("concerts", "postgres", c[14], "content"): [
            f"update catalogue.concerts set body = jsonb_set(body, '{{tour}}', '\"new\"') where concert_id = '{c[14]}'"
        ],
        ("concerts", "postgres", c[15], "older"): [
            f"update catalogue.concerts set rev = 1 where concert_id = '{c[15]}'"
        ],
        ("concerts", "postgres", c[16], "newer"): [
            f"update catalogue.concerts set rev = 9 where concert_id = '{c[16]}'"
        ],
        ("concerts", "postgres", new, "extra"): [
            "insert into catalogue.concerts (concert_id, rev, gone, artist, artist_key, night, body) "
            f"select '{new}', rev, gone, artist, artist_key, night, body from catalogue.concerts "
            f"where concert_id = '{c[17]}'"
        ],
        ("concerts", "postgres", c[18], "content"): [
            f"update catalogue.concerts set body = '{{\"artist\": 1}}' where concert_id = '{c[18]}'"
        ],
        ("venues", "postgres", str(uid("n1")), "content"): [
            f"update catalogue.venues set name = 'Else' where venue_id = '{uid('n1')}'"
        ],
        ("artists", "postgres", str(uid("n1")), "missing"): [
            f"delete from catalogue.artists where artist_id = '{uid('n1')}'"
        ],
        # Postgres, the stages' memory
        ("concerts", "postgres-state", c[21], "missing"): [
            f"update state.concerts set live = false where concert_id = '{c[21]}'"
        ],
        ("concerts", "postgres-state", c[22], "content"): [
            f"update state.concerts set night = '1999-01-01' where concert_id = '{c[22]}'"
        ],
        ("listings", "postgres", listing[11], "missing"): [
            f"delete from state.listings where listing_id = '{listing[11]}'"
        ],
        ("listings", "postgres", listing[12], "content"): [
            f"update state.listings set body = jsonb_set(body, '{{songs}}', '[]') where listing_id = '{listing[12]}'"
        ],
        ("listings", "postgres", listing[13], "older"): [
            f"update state.listings set version = 1 where listing_id = '{listing[13]}'"
        ],
        ("suggestions", "postgres", "u1/n11", "content"): [
            f"update state.suggestions set confidence = 0.1 where {entry} 'n11'"
        ],
        ("suggestions", "postgres", "u1/n12", "missing"): [f"delete from state.suggestions where {entry} 'n12'"],
        ("suggestions", "postgres", "u1/n99", "extra"): [
            "insert into state.suggestions (user_id, entry_id, rev, suggestion_ids, confidence, body) "
            f"select user_id, 'n99', rev, suggestion_ids, confidence, body from state.suggestions where {entry} 'n13'"
        ],
        ("suggestions", "postgres", "u2/n1", "missing"): [
            "delete from state.suggestions where user_id = 'u2' and entry_id = 'n1'"
        ],
        ("decisions", "postgres", "u1/n11", "older"): [
            f"delete from state.decisions where {entry} 'n11' and decided_at > '{NOON + timedelta(minutes=1)}'"
        ],
        ("decisions", "postgres", "u1/n12", "content"): [
            f"update state.decisions set action = 'dismissed' where {entry} 'n12'"
        ],
    }


@on_engines
async def test_every_tampering_is_found_by_id_and_kind_and_nothing_else(filled: Settings) -> None:
    done = by_hand(filled)
    for (_, place, _, _), statements in done.items():
        await (ask_clickhouse if place == "clickhouse" else ask_postgres)(filled, *statements)
    key = {n: str(uid(f"n{n}")) for n in range(60)}
    searched = {("concerts", "meilisearch", key[31], "missing"), ("concerts", "meilisearch", key[32], "content")}
    drop_document(filled, "concerts", key[31])
    put_document(filled, "concerts", (document(filled, "concerts", key[32]) or {}) | {"artist": "Else"})
    put_document(filled, "concerts", (document(filled, "concerts", key[33]) or {}) | {"rev": 1})
    put_document(filled, "concerts", (document(filled, "concerts", key[34]) or {}) | {"concert_id": "made-by-hand"})
    put_document(filled, "venues", (document(filled, "venues", key[1]) or {}) | {"capacity": 7})
    searched |= {
        ("concerts", "meilisearch", key[33], "older"),
        ("concerts", "meilisearch", "made-by-hand", "extra"),
        ("venues", "meilisearch", key[1], "content"),
    }
    report = await reconcile(filled, wait_s=20)
    assert found_in(report) == done.keys() | searched
    assert report.differing == len(done) + len(searched)
    assert not report.ok
    by_id = {(one.place, one.id): one for one in report.differences}
    assert by_id["postgres", key[13]].what == "artist"
    assert (by_id["postgres", key[15]].version, by_id["postgres", key[15]].kafka_version) == (1, 2)


@on_engines
async def test_the_command_names_what_differs_and_exits_1(filled: Settings) -> None:
    await ask_postgres(filled, f"delete from catalogue.venues where venue_id = '{uid('n2')}'")
    told = await asyncio.to_thread(gigz, filled, "reconcile", "--json", "--wait", "20")
    assert told.returncode == 1, told.stderr
    report = json.loads(told.stdout)
    assert report["ok"] is False
    named = {(one["noun"], one["place"], one["id"], one["how"]) for one in report["differences"]}
    assert ("venues", "postgres", str(uid("n2")), "missing") in named
    assert report["differing"] == len(report["differences"])
    told = await asyncio.to_thread(gigz, filled, "reconcile", "--wait", "20")
    assert told.returncode == 1
    assert "ids differ" in told.stdout
    assert "meilisearch" in told.stdout


def gigz(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "gigz", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment_for(settings), capture_output=True, text=True, check=False)


@on_engines
async def test_since_looks_at_what_changed_since_and_at_nothing_else(filled: Settings) -> None:
    before = await reconcile(filled, wait_s=20)
    assert not before.ok, "the world is still as it was tampered with"
    await asyncio.sleep(1.1)
    begun = datetime.now(UTC)
    await asyncio.sleep(1.1)
    assert (await reconcile(filled, since=begun, wait_s=20)).ok
    await happen(filled, [a_concert("since 1"), a_concert("since 2"), a_listing("since", 1), a_venue("since")])
    report = await reconcile(filled, since=begun, wait_s=20)
    assert report.ok, found_in(report)
    assert report.as_json()["nouns"]["concerts"]["clickhouse"]["ids"] == 2
    await ask_clickhouse(filled, f"ALTER TABLE concerts DELETE WHERE concert_id = '{uid('since 1')}'")
    drop_document(filled, "concerts", str(uid("since 2")))
    await ask_postgres(
        filled, f"update catalogue.concerts set city = 'Gent', updated_at = now() where concert_id = '{uid('n40')}'"
    )
    report = await reconcile(filled, since=begun, wait_s=20)
    assert found_in(report) == {
        ("concerts", "clickhouse", str(uid("since 1")), "missing"),
        ("concerts", "meilisearch", str(uid("since 2")), "missing"),
        ("concerts", "postgres", str(uid("n40")), "content"),
    }


@on_engines
async def test_what_is_still_on_its_way_is_lag_and_no_difference(filled: Settings) -> None:
    begun = datetime.now(UTC)
    await asyncio.sleep(1.1)
    made: list[Message] = [a_concert(f"late {n}") for n in range(20)]
    made += [some_suggestions("u3", f"e{n}", ["a"]) for n in range(20)]
    await happen(filled, made, sinks=False)
    report = await reconcile(filled, since=begun, wait_s=1)
    assert report.ok, found_in(report)
    assert report.waiting["sink-clickhouse"] >= 40
    assert {"sink-postgres", "sink-meilisearch"} <= report.waiting.keys()
    assert report.as_json()["nouns"]["concerts"]["clickhouse"]["in_flight"] == 20
    # Sinks that start within the wait are waited for.
    waiting = asyncio.create_task(reconcile(filled, since=begun, wait_s=40))
    await asyncio.sleep(1)
    async with sinking(filled):
        report = await waiting
    assert report.ok, found_in(report)
    assert report.waiting == {}
    assert report.as_json()["nouns"]["concerts"]["clickhouse"]["in_flight"] == 0


@on_engines
async def test_what_a_sink_rejected_is_told_as_that(filled: Settings) -> None:
    begun = datetime.now(UTC)
    await asyncio.sleep(1.1)
    too_early = a_listing("medieval", start_at=datetime(1200, 1, 1, tzinfo=UTC))
    await happen(filled, [too_early])
    async with sinking(filled, ["postgres"]):  # which also reads what the other sinks reject
        await until_sunk(filled, ["postgres"])
    report = await reconcile(filled, since=begun, wait_s=20)
    assert report.ok, found_in(report)
    assert report.as_json()["nouns"]["listings"]["clickhouse"]["rejected"] == 1
    assert report.as_json()["nouns"]["listings"]["postgres"]["ids"] == 1


@asynccontextmanager
async def load(settings: Settings, names: list[str]) -> AsyncIterator[None]:
    """Concerts and sets that change all the time, through rows, outbox, relay and sinks."""
    stop = asyncio.Event()

    async def write() -> None:
        for rev in itertools.count(1):
            for start in range(0, len(names), 20):
                some = names[start : start + 20]
                made: list[Message] = [a_concert(name, rev, songs=(f"song {rev}",)) for name in some]
                made += [some_suggestions("busy", name, ["a", "b"][: 1 + rev % 2], rev) for name in some]
                await commit_together(engine, settings, made)
                await asyncio.sleep(0.05)
                if stop.is_set():
                    return

    async with relaying(settings) as engine, sinking(settings):
        task = asyncio.create_task(write())
        try:
            yield
        finally:
            stop.set()
            await task
            await asyncio.sleep(1)
            await until_sunk(settings)


@on_engines
async def test_a_busy_pipeline_differs_in_nothing(filled: Settings) -> None:
    begun = datetime.now(UTC)
    await asyncio.sleep(1.1)
    async with load(filled, [f"busy {n}" for n in range(100)]):
        await asyncio.sleep(3)
        report = await reconcile(filled, since=begun, wait_s=30)
        assert report.ok, found_in(report)
        assert report.as_json()["nouns"]["concerts"]["clickhouse"]["ids"] > 0
    quiet = await reconcile(filled, since=begun, wait_s=30)
    assert quiet.ok, found_in(quiet)
    places = quiet.as_json()["nouns"]["concerts"]
    assert all(one["in_flight"] == 0 for name, one in places.items() if name != "kafka")
