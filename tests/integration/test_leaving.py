"""A user who asked is erased by the scheduler, whatever is killed meanwhile; the receipt answers without a token."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from api.tokens import issue_token
from deploy.clients import kafka_producer, postgres_engine, publish
from deploy.erasing import ledger, run, waiting
from deploy.migrate import migrate_stores
from deploy.settings import Settings, environment_for
from deploy.topics import apply_topics
from schemas.history import Entry
from schemas.outgoing import Outgoing
from tests.api.processes import started
from tests.api.support import reach
from tests.faults.mortal_api import LEAVING
from tests.support import ROOT, running_engines

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def lines(mark: str) -> list[dict[str, str]]:
    """Nobody else wrote these."""
    return [
        {"artist": f"Mogwai {mark}", "date": "2014", "note": f"a seat behind the pillar, {mark} {n}"} for n in range(3)
    ]


def utc() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def whole() -> Iterator[Settings]:
    """Engines of its own: an erasure reads every store there is."""
    quick = {"erasure_wait_s": 0.0, "erasure_poll_s": 0.2, "partitions": 4, "kafka_heap_mb": 256}
    with running_engines("gigz-leaving-", **quick) as settings:
        asyncio.run(apply_topics(settings))
        migrate_stores(settings)
        yield settings


@pytest.fixture
async def engine(whole: Settings) -> AsyncIterator[AsyncEngine]:
    engine = postgres_engine(whole, 4, "gigz-test")
    yield engine
    await engine.dispose()


@pytest.fixture
async def client(whole: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with reach(create_app(whole, rate_limits=False)) as client:
        yield client


def bearer(settings: Settings, user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(settings, user, utc())}"}


async def somebody(
    settings: Settings, engine: AsyncEngine, client: httpx.AsyncClient, friend: str, mark: str | None = None
) -> str:
    """A user with lines in PostgreSQL and in Kafka, and a friend who stays."""
    user = uuid4().hex
    mine, theirs = bearer(settings, user), bearer(settings, friend)
    mark = mark or uuid4().hex[:12]
    assert (await client.post("/v1/history", headers=mine, json={"entries": lines(mark)})).status_code == 202
    body = {"artist": f"The {mark} Kites", "night": "2011-05-06", "note": "Upstairs, by the window, to the end."}
    assert (await client.post("/v1/journal", headers=mine, json=body)).status_code == 201
    for one, other in ((mine, friend), (theirs, user)):
        assert (await client.post(f"/v1/follows/{other}", headers=one)).status_code == 200
    async with engine.begin() as connection:  # as the relay does
        rows = await connection.execute(
            text("delete from state.outbox returning topic, key, partition_by, value, headers")
        )
        records = [Outgoing(r.topic, r.key, r.partition_by, r.value, r.headers) for r in rows]
    assert {one.topic for one in records} >= {Entry.topic}
    async with kafka_producer(settings, "test") as producer:
        await publish(producer, records, settings.partitions)
    return user


async def leave(settings: Settings, client: httpx.AsyncClient, user: str) -> str:
    sent = {"headers": bearer(settings, user), "json": {"confirm": user}}
    answer = await client.request("DELETE", "/v1/me", **sent)  # type: ignore[arg-type]
    assert answer.status_code == 202, answer.text
    address: str = answer.json()["data"]["address"]
    return address


async def receipt_at(client: httpx.AsyncClient, address: str) -> dict[str, Any]:
    answer = await client.get(address)
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()["data"]
    return told


async def names(engine: AsyncEngine, user: str) -> dict[str, int]:
    """Table -> rows that name the user anywhere."""
    found = {}
    async with engine.connect() as connection:
        tables = await connection.execute(
            text("select schemaname || '.' || tablename from pg_tables where schemaname in ('state', 'catalogue')")
        )
        for (table,) in tables.all():
            query = text(f"select count(*) from {table} t where strpos(t::text, :user) > 0")
            if number := await connection.scalar(query, {"user": user}):
                found[table] = int(number)
    return found


class Killed(BaseException):
    """As if the process were."""


async def test_whoever_asked_is_erased_and_the_work_goes_on_where_it_was_cut(
    whole: Settings, engine: AsyncEngine, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    friend = uuid4().hex
    user = await somebody(whole, engine, client, friend)
    address = await leave(whole, client, user)
    assert (await receipt_at(client, address))["state"] == "waiting"
    for step in ("remove_rows", "mutate", "vacuum"):
        with monkeypatch.context() as patched:

            def cut(*_: Any) -> Any:
                raise Killed

            patched.setattr(run.stores, step, cut)
            with pytest.raises(Killed):
                await waiting.erase_waiting(whole, engine, utc)
        told = await receipt_at(client, address)
        assert (told["state"], told["receipt"]) == ("under_way", None)
        assert (await client.get("/v1/me", headers=bearer(whole, user))).status_code == 401
        async with engine.begin() as connection:  # time passes
            await connection.execute(text("update state.erasures set next_at = now() - interval '1 s'"))
    assert await waiting.erase_waiting(whole, engine, utc) == 1
    told = await receipt_at(client, address)
    assert told["state"] == "done" and told["receipt"]["clean"] and told["done_at"]
    assert told["receipt"]["removed"]["postgres state.follows"] == 2
    assert user not in str(told) and "pillar" not in str(told)
    assert await names(engine, user) == {}
    # The friend has everything but the friend.
    mine = bearer(whole, friend)
    for path in ("/v1/friends", "/v1/follows?direction=out", "/v1/follows"):
        assert (await client.get(path, headers=mine)).json()["data"] == []
    assert await waiting.erase_waiting(whole, engine, utc) == 0


async def test_two_who_wrote_the_same_lines_are_erased_one_after_the_other(
    whole: Settings, engine: AsyncEngine, client: httpx.AsyncClient
) -> None:
    """What the first one wrote is in Kafka until the broker compacts, under ids that the second one has as well."""
    friend, mark = uuid4().hex, uuid4().hex[:12]
    for _ in range(2):
        user = await somebody(whole, engine, client, friend, mark)
        address = await leave(whole, client, user)
        assert await waiting.erase_waiting(whole, engine, utc) == 1
        told = await receipt_at(client, address)
    assert told["state"] == "done" and await names(engine, user) == {}
    found = {one["what"]: one for one in told["receipt"]["found"] if one["where"] == Entry.topic}
    # Of each line the message and its tombstone, and of the journal's the same.
    assert found["messages of others"]["count"] == found["messages"]["count"] + found["tombstones"]["count"] == 8


@pytest.mark.long
async def test_whoever_leaves_an_api_that_is_killed_is_erased_or_not_at_all(
    whole: Settings, engine: AsyncEngine, client: httpx.AsyncClient
) -> None:
    addresses = {}
    for way in LEAVING:
        user = await somebody(whole, engine, client, uuid4().hex)
        sent: dict[str, Any] = {"headers": bearer(whole, user), "json": {"confirm": user}}
        answer = None
        with started(whole, "tests.faults.mortal_api", way) as api, contextlib.suppress(httpx.TransportError):
            async with httpx.AsyncClient(base_url=api.address, trust_env=False) as caller:
                answer = await caller.request("DELETE", "/v1/me", **sent)
        assert api.process.returncode == -signal.SIGKILL, way
        assert answer is None or way == "answered"
        async with engine.connect() as connection:
            entered = await ledger.known(connection, user)
            query = text("select receipt_id from state.erasures where user_id = :user")
            asked = await connection.scalar(query, {"user": user})
        assert (entered and entered.receipt_id) == asked, "the ledger and the request, or neither"
        assert (asked is None) == (way == "entered"), way
        if asked is None:
            assert (await client.get("/v1/me", headers=sent["headers"])).status_code == 200
            addresses[user] = await leave(whole, client, user)
        else:
            addresses[user] = f"/v1/erasures/{asked}"
            assert answer is None or answer.json()["data"]["address"] == addresses[user]
        for _ in range(2):  # the same call again
            again = await client.request("DELETE", "/v1/me", **sent)
            error = again.json()["error"]
            assert again.status_code == 401
            assert error["details"] == [{"field": "receipt", "message": addresses[user]}], way
    assert await waiting.erase_waiting(whole, engine, utc) == len(LEAVING)
    for user, address in addresses.items():
        assert (await receipt_at(client, address))["state"] == "done"
        assert await names(engine, user) == {}


async def test_a_store_that_is_away_is_written_down_and_asked_again(
    whole: Settings, engine: AsyncEngine, client: httpx.AsyncClient
) -> None:
    user = await somebody(whole, engine, client, uuid4().hex)
    address = await leave(whole, client, user)
    away = whole.model_copy(update={"clickhouse_url": "http://127.0.0.1:1/none"})
    assert await waiting.erase_waiting(away, engine, utc) == 0
    assert (await receipt_at(client, address))["state"] == "under_way"
    async with engine.begin() as connection:
        query = "update state.erasures set next_at = now() where user_id = :user returning last_error"
        why = await connection.scalar(text(query), {"user": user})
    assert "CLICKHOUSE_URL" in why and user not in why
    assert await waiting.erase_waiting(whole, engine, utc) == 1
    assert (await receipt_at(client, address))["state"] == "done"


def scheduler(settings: Settings, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(ROOT / "gigz.py"), "worker", "scheduler"]
    return subprocess.Popen(command, cwd=ROOT, env=environment_for(settings), stdout=log, stderr=log)


@pytest.mark.long
async def test_the_scheduler_does_it_and_one_that_is_killed_is_followed_by_the_next(
    whole: Settings, engine: AsyncEngine, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    user = await somebody(whole, engine, client, uuid4().hex)
    address = await leave(whole, client, user)
    with (tmp_path / "log").open("ab") as log:
        for number in range(2):
            process = scheduler(whole, log)
            async with asyncio.timeout(60):
                while not await tries(engine) > number:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.5 * number)
            process.kill()
            process.wait()
            assert (await receipt_at(client, address))["state"] == "under_way"
            async with engine.begin() as connection:  # time passes
                await connection.execute(text("update state.erasures set next_at = now() where user_id is not null"))
        process = scheduler(whole, log)
        try:
            async with asyncio.timeout(90):
                while (await receipt_at(client, address))["state"] != "done":  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
        finally:
            process.terminate()
            assert process.wait(30) == 0
    assert await names(engine, user) == {}


async def tries(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        query = text("select coalesce(max(tries), 99) from state.erasures where user_id is not null")
        return int(await connection.scalar(query) or 0)
