"""Limits of hosts and keys, over all processes together; how far a source was read."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import postgres_engine
from deploy.migrate import migrate_postgres
from deploy.settings import Settings
from deploy.topics import apply_topics
from deploy.turns import LEASE_MARGIN_S, Quota, quota_of
from schemas.tables import HostLeaseRow, HostRow, QuotaRow, WatermarkRow
from spiders.formats.base import Left, utc_now
from spiders.polite.limits import Limits, QuotaUsed
from spiders.runs import watermarks
from tests.spiders.test_crawl import serving
from tests.spiders.visiting import errand_to, run_of, visit, visited, visiting

KEY = "an-api-key-of-the-tests"
ALONE = {"own_hosts": ""}
"""Nobody's host is our own: the test's server is asked as any other."""


@pytest.fixture
async def engine(stack: Settings) -> AsyncIterator[AsyncEngine]:
    """The engine, its tables of limits empty."""
    await asyncio.to_thread(migrate_postgres, stack)
    engine = postgres_engine(stack, pool_size=4)
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE state.hosts, state.host_leases, state.quotas, state.watermarks"))
    yield engine
    await engine.dispose()


class Server:
    """Endless pages; keeps when it was asked for what."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.asked: list[tuple[float, str]] = []
        self.keyed = 0
        self.busy = 0
        self.busiest = 0
        self._takes_s = takes_s

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """A page and the next one: `/spider/number/of`."""
        self.asked.append((time.monotonic(), request.path))
        self.keyed += request.headers.get("x-api-key") is not None
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        await asyncio.sleep(self._takes_s)
        self.busy -= 1
        if request.path == "/robots.txt":
            return web.Response(status=404)
        _, name, number, most = request.path.split("/")
        following = {"next": f"/{name}/{int(number) + 1}/{most}"} if int(number) < int(most) else {}
        return web.json_response({"items": [{"id": f"{name}{number}"}], **following})

    @property
    def gaps(self) -> list[tuple[float, str, str]]:
        """Seconds between one request and the next, and what the two asked for."""
        return [(b - a, one, other) for (a, one), (b, other) in pairwise(self.asked)]


def limits(engine: AsyncEngine, holder: str, quota: Quota | None = None, lease_s: float = 5.0) -> Limits:
    """Those of one process."""
    return Limits(engine, holder, quota or Quota(""), clock=utc_now, deadline_s=5, lease_s=lease_s)


def never() -> bool:
    """The crawl goes on."""
    return False


# -- pace -------------------------------------------------------------------------------------------------------------


@pytest.mark.stack
async def test_two_processes_that_crawl_one_host_keep_its_pace_together(stack: Settings, engine: AsyncEngine) -> None:
    server = Server(takes_s=0.05)
    postgres_url = stack.engine_url("postgres")
    async with serving(server.answer) as base:
        told = [errand_to("listing", f"{base}/{name}/1/5", postgres_url=postgres_url, **ALONE) for name in "ab"]
        found = [await visited(child) for child in [await visiting(one) for one in told]]
    assert [visit.faults for (visit,) in found] == [[], []]
    assert {path for _, path in server.asked} >= {"/a/1/5", "/b/1/5", "/a/5/5", "/b/5/5"}
    assert len(server.asked) == 12  # robots.txt counts, once each
    took = server.asked[-1][0] - server.asked[0][0]
    assert took >= 0.95 * 11 * 0.4  # each by itself would need half of it
    assert min(gap for gap, *_ in server.gaps) >= 0.5 * 0.4  # a noisy machine delivers late at times
    assert server.busiest == 1
    async with engine.connect() as connection:
        assert (await connection.execute(select(HostLeaseRow))).all() == []


@pytest.mark.stack
async def test_of_two_paces_for_one_host_the_longer_lies_between_their_requests(
    stack: Settings, engine: AsyncEngine
) -> None:
    server = Server()
    postgres_url = stack.engine_url("postgres")
    async with serving(server.answer) as base:
        slow = await visiting(errand_to("leisurely", f"{base}/slow/1/4", postgres_url=postgres_url, **ALONE))
        fast = await visiting(errand_to("listing", f"{base}/fast/1/8", postgres_url=postgres_url, **ALONE))
        assert [(await visited(child))[0].faults for child in (slow, fast)] == [[], []]
    between = [gap for gap, *paths in server.gaps if any(path.startswith("/slow") for path in paths)]
    assert len(between) >= 4 and min(between) >= 0.75


@pytest.mark.stack
async def test_the_connection_of_a_process_that_was_killed_comes_free_by_itself(
    stack: Settings, engine: AsyncEngine
) -> None:
    hangs, gone = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/hang":
            hangs.set()
            await gone.wait()
        return web.json_response({"items": [{"id": "a"}]}, status=404 if request.path == "/robots.txt" else 200)

    told = {"postgres_url": stack.engine_url("postgres"), **ALONE}
    async with serving(answer) as base:
        child = await visiting(errand_to("listing", f"{base}/hang", page_timeout_s=50, **told))
        async with asyncio.timeout(60):
            await hangs.wait()
        os.kill(child.pid, signal.SIGKILL)
        await child.communicate()
        gone.set()
        async with engine.begin() as connection:
            (held,) = (await connection.execute(select(HostLeaseRow.expires_at))).scalars()
            left = (held - datetime.now(UTC)).total_seconds()
            assert 40 < left <= 50 + LEASE_MARGIN_S
            soon = "UPDATE state.host_leases SET expires_at = clock_timestamp() + interval '6 s' RETURNING expires_at"
            free = await connection.scalar(text(soon))
        found = await visit("listing", f"{base}/x", **told)
    assert (found.faults, found.scraped) == ([], 1)
    assert free is not None and datetime.now(UTC) >= free


@pytest.mark.stack
async def test_no_more_connections_than_a_host_allows_are_held_and_a_late_one_is_not_given_back_twice(
    engine: AsyncEngine,
) -> None:
    one, other = limits(engine, "one"), limits(engine, "other", lease_s=-LEASE_MARGIN_S + 0.3)
    held: list[str] = []

    async def hold(by: Limits, name: str, seconds: float) -> None:
        async with by.turn("a.example", 0.0, 2, counts=False, leaving=never):
            held.append(name)
            assert len(held) <= 3
            await asyncio.sleep(seconds)

    await asyncio.gather(hold(one, "a", 0.5), hold(one, "b", 0.5), hold(one, "c", 0.1))
    assert held[:2] != ["c", "c"]
    async with other.turn("b.example", 0.0, 1, counts=False, leaving=never):
        await asyncio.sleep(0.5)  # it ran out
        async with one.turn("b.example", 0.0, 1, counts=False, leaving=never), engine.connect() as connection:
            assert (await connection.execute(select(HostLeaseRow.holder))).scalars().all() == ["one"]
    async with engine.connect() as connection:
        assert (await connection.execute(select(HostLeaseRow))).all() == []


@pytest.mark.stack
async def test_turns_of_many_tasks_are_spaced_by_the_clock_of_the_database(engine: AsyncEngine) -> None:
    granted: list[datetime] = []

    async def ask(by: Limits) -> None:
        async with by.turn("a.example", 0.2, 3, counts=False, leaving=never):
            async with engine.connect() as connection:
                next_at = await connection.scalar(select(HostRow.next_at))
            assert next_at is not None
            granted.append(next_at)

    await asyncio.gather(*(ask(limits(engine, f"process {n}")) for n in range(6)))
    assert len(set(granted)) == 6
    assert min((b - a).total_seconds() for a, b in pairwise(sorted(granted))) >= 0.2


@pytest.mark.stack
async def test_who_asks_a_host_seldom_gets_a_turn_beside_one_who_asks_often(engine: AsyncEngine) -> None:
    turns: list[tuple[str, datetime]] = []
    until = time.monotonic() + 6

    async def ask(name: str, every_s: float) -> None:
        by = limits(engine, name)
        while time.monotonic() < until:
            async with by.turn("a.example", every_s, 1, counts=False, leaving=never):
                async with engine.connect() as connection:
                    now = await connection.scalar(text("SELECT clock_timestamp()"))
                assert now is not None
                turns.append((name, now))
                await asyncio.sleep(0.2)  # a page that takes long frees the connection just before it asks again

    await asyncio.gather(ask("seldom", 0.6), ask("often", 0.1))
    assert all(one != other for (one, _), (other, _) in pairwise(turns)) and len(turns) >= 8
    assert min((b - a).total_seconds() for (_, a), (_, b) in pairwise(turns)) >= 0.55


@pytest.mark.stack
async def test_turns_are_given_in_the_order_of_asking_and_a_process_that_is_gone_is_passed_over(
    engine: AsyncEngine,
) -> None:
    order: list[int] = []

    async def ask(n: int, leaving: Callable[[], bool] = never) -> None:
        async with limits(engine, f"process {n}").turn("a.example", 0.3, 1, counts=False, leaving=leaving):
            order.append(n)

    async with limits(engine, "first").turn("a.example", 0.3, 1, counts=False, leaving=never):
        asking = []
        for n in range(5):
            asking.append(asyncio.create_task(ask(n)))
            await asyncio.sleep(0.2)
        async with engine.begin() as connection:  # as one that was killed leaves it: nobody looks for it any more
            gone = "INSERT INTO state.host_leases (host, slot, holder, waits, expires_at)"
            await connection.execute(
                text(f"{gone} SELECT 'a.example', 1, 'gone', true, clock_timestamp() + interval '3 s'")
            )
        began = time.monotonic()
    await asyncio.gather(*asking)
    assert order == [0, 1, 2, 3, 4]
    assert 2 < time.monotonic() - began < 10
    async with engine.connect() as connection:
        assert (await connection.execute(select(HostLeaseRow.holder))).scalars().all() == []


@pytest.mark.stack
async def test_one_who_gives_up_waiting_leaves_the_line(engine: AsyncEngine) -> None:
    async with limits(engine, "first").turn("a.example", 0.1, 1, counts=False, leaving=never):
        over = time.monotonic() + 0.5
        with pytest.raises(Left):
            async with limits(engine, "other").turn(
                "a.example", 0.1, 1, counts=False, leaving=lambda: time.monotonic() > over
            ):
                pass
        async with engine.connect() as connection:
            assert (await connection.execute(select(HostLeaseRow.holder))).scalars().all() == ["first"]


# -- Retry-After ------------------------------------------------------------------------------------------------------


@pytest.mark.stack
async def test_a_server_that_asks_to_wait_is_waited_for_by_every_process(stack: Settings, engine: AsyncEngine) -> None:
    asked: list[tuple[float, str]] = []
    told = {"postgres_url": stack.engine_url("postgres"), **ALONE}
    refused = asyncio.Event()

    async def busy(request: web.Request) -> web.StreamResponse:
        asked.append((time.monotonic(), request.path))
        if request.path == "/robots.txt":
            return web.Response(status=404)
        if not refused.is_set():
            refused.set()
            return web.Response(status=429, headers={"Retry-After": "6"})
        return web.json_response({"items": [{"id": request.path}]})

    async with serving(busy) as base:
        one = await visiting(errand_to("listing", f"{base}/one", **told))
        async with asyncio.timeout(60):
            await refused.wait()
        at = time.monotonic()
        other = await visiting(errand_to("listing", f"{base}/other", **told))
        assert [(await visited(child))[0].faults for child in (one, other)] == [[], []]
    after = [moment for moment, _ in asked if moment > at + 0.2]
    assert len(after) == 3 and min(after) >= at + 5.5  # the second's robots.txt, too


@pytest.mark.stack
async def test_a_host_that_wants_an_hour_is_not_asked_by_the_next_run_either(
    stack: Settings, engine: AsyncEngine
) -> None:
    asked: list[str] = []

    async def closed(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        status = 404 if request.path == "/robots.txt" else 503
        return web.Response(status=status, headers={"Retry-After": "3600"})

    told = {"postgres_url": stack.engine_url("postgres"), **ALONE}
    async with serving(closed) as base:
        first = await visit("listing", f"{base}/x", **told)
        second = await visit("listing", f"{base}/x", **told)
    assert "answered 503" in first.faults[0] and asked == ["/robots.txt", "/x"]
    until = datetime.now(UTC) + timedelta(hours=1)
    assert "asked to be left alone until" in second.faults[0] and f"{until:%Y-%m-%d %H}" in second.faults[0]
    assert second.seconds < 15


# -- Postgres away ----------------------------------------------------------------------------------------------------


@pytest.mark.network
async def test_without_postgres_no_host_is_asked() -> None:
    server = Server()
    async with serving(server.answer) as base:
        nobody = "postgresql://gigz:gigz@127.0.0.1:9/gigz"
        found = await visit("listing", f"{base}/a/1/3", postgres_url=nobody, retry_deadline_s=2, **ALONE)
    assert server.asked == []
    assert len(found.faults) == 1 and "PostgreSQL keeps the limits" in found.faults[0] and "Remedy" in found.faults[0]
    assert 1 < found.seconds < 30


# -- quotas -----------------------------------------------------------------------------------------------------------


@pytest.mark.stack
async def test_a_key_is_used_as_often_as_its_day_allows_and_the_crawl_ends_in_order(
    stack: Settings, engine: AsyncEngine
) -> None:
    server = Server()
    told = {"postgres_url": stack.engine_url("postgres"), "setlistfm_api_key": KEY, **ALONE}
    async with serving(server.answer) as base:
        children = [
            await visiting(errand_to("keyed", f"{base}/{name}/1/99", key=KEY, **told)) for name in ("one", "other")
        ]
        found = [(await visited(child))[0] for child in children]
        assert server.keyed == 5 and sum(visit.scraped for visit in found) == 5
        for visit_ in found:
            assert visit_.faults == ([] if visit_.scraped else [visit_.cut])
            assert "the quota of GIGZ_SETLISTFM_API_KEY is used up: 5 of 5 requests of this day" in visit_.cut
            assert f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d} 00:00 UTC" in visit_.cut
        before = len(server.asked)
        again = await visit("keyed", f"{base}/again/1/99", key=KEY, **told)
        assert len(again.faults) == 1 and "is used up" in again.faults[0]  # a run that yields nothing fails
        assert len(server.asked) == before and again.seconds < 15
        another = {**told, "setlistfm_api_key": "another key"}
        assert (await visit("keyed", f"{base}/new/1/2", key="another key", **another)).scraped == 2
    async with engine.connect() as connection:
        rows = (await connection.execute(select(QuotaRow.key, QuotaRow.day, QuotaRow.used))).all()
    assert sorted(used for *_, used in rows) == [2, 5] and KEY not in str(rows)
    assert all(key.startswith("setlistfm_api_key:") and day == datetime.now(UTC).date() for key, day, _ in rows)


@pytest.mark.stack
async def test_a_refusal_that_speaks_of_the_day_counts_as_the_quota(stack: Settings, engine: AsyncEngine) -> None:
    asked: list[str] = []

    async def spent(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if request.path == "/robots.txt":
            return web.Response(status=404)
        if request.path == "/x":
            return web.json_response({"items": [{"id": "a"}], "next": "/y"})
        return web.json_response({"fault": {"faultstring": "Rate limit quota violation"}}, status=429)

    told = {"postgres_url": stack.engine_url("postgres"), "setlistfm_api_key": KEY, **ALONE}
    async with serving(spent) as base:
        first = await visit("keyed", f"{base}/x", key=KEY, **told)
        second = await visit("keyed", f"{base}/x", key=KEY, **told)
    assert first.faults == [] and second.faults == [second.cut]
    assert f"{base}/y answered 429" in first.cut and "is used up" in second.cut
    assert asked == ["/robots.txt", "/x", "/y"] and first.scraped == 1


@pytest.mark.stack
async def test_the_last_of_a_day_is_given_once(engine: AsyncEngine) -> None:
    quota = quota_of("a_key", KEY, 3, "a spider")
    used: list[int] = []

    async def ask(n: int) -> None:
        by = limits(engine, f"process {n}", quota)
        try:
            async with by.turn(f"host-{n}.example", 0.0, 1, counts=True, leaving=never):
                used.append(n)
        except QuotaUsed:
            pass

    await asyncio.gather(*(ask(n) for n in range(8)))
    assert len(used) == 3
    async with engine.connect() as connection:
        assert await connection.scalar(select(QuotaRow.used)) == 3
        assert (await connection.execute(select(HostLeaseRow))).all() == []


# -- watermarks -------------------------------------------------------------------------------------------------------


class Source:
    """A source that grows: `?after=` has what changed since."""

    def __init__(self) -> None:
        self.rows = [{"id": "a", "date": "2014-11-14", "changed": "2024-01-01"}]
        self.asked: list[str] = []
        self.more: dict[str, Any] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """What is new."""
        if request.path != "/feed":
            return web.Response(status=404)
        after = request.query.get("after", "")
        self.asked.append(after)
        rows = [row for row in self.rows if row["changed"] > after]
        return web.Response(text=json.dumps({"items": rows} | self.more), content_type="application/json")

    def grows(self, row: str, changed: str) -> None:
        """Another one."""
        self.rows.append({"id": row, "date": "2014-11-14", "changed": changed})


@pytest.mark.stack
async def test_a_source_is_read_on_from_where_the_last_good_run_ended(stack: Settings, engine: AsyncEngine) -> None:
    await apply_topics(stack)
    told: dict[str, Any] = {f"{name}_url": stack.engine_url(name) for name in ("kafka", "postgres")}
    told["home"] = str(stack.home)
    source = Source()
    async with serving(source.answer) as base:

        async def crawl(**errand: str) -> tuple[str, int, str | None]:
            report = await run_of("growing", f"{base}/feed", errand=errand, **told)
            async with engine.connect() as connection:
                position = await connection.scalar(select(WatermarkRow.position))
            return report["state"], report["scraped"], position

        source.more = {"next": "/missing"}
        assert await crawl() == ("failed", 1, None)
        source.more = {}
        assert await crawl() == ("finished", 1, "2024-01-01")
        source.grows("b", "2024-02-01")
        assert await crawl() == ("finished", 1, "2024-02-01")
        source.grows("c", "2024-03-01")
        assert await crawl(since="2014") == ("finished", 3, "2024-02-01")  # of some nights only
        source.more = {"next": "/missing"}
        assert await crawl() == ("failed", 1, "2024-02-01")
        source.more = {}
        assert await crawl() == ("finished", 1, "2024-03-01")
        assert await crawl(full="yes") == ("finished", 3, "2024-03-01")
    assert source.asked == ["", "", "2024-01-01", "", "2024-02-01", "2024-02-01", ""]


@pytest.mark.stack
async def test_a_watermark_never_goes_back(engine: AsyncEngine) -> None:
    from uuid import uuid4

    moves = [watermarks.move(engine, "a scope", "growing", f"2024-01-{day:02}", uuid4()) for day in (3, 9, 1, 5, 7)]
    await asyncio.gather(*moves)
    assert await watermarks.read(engine, "a scope") == "2024-01-09"
    assert await watermarks.read(engine, "another") == ""
