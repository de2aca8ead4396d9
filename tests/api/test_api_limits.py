"""How often a caller may call: in one process, in several, and while PostgreSQL is away."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from time import monotonic, perf_counter
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.addresses import caller, counted_as, networks, within
from api.app import create_app
from api.limits import A_MINUTE, ALONE_S, WAIT_S, Limits, name_of
from api.tidying import tidy
from api.tokens import issue_token
from deploy.clients import postgres_engine
from deploy.settings import Settings, SettingsError
from tests.api.processes import running
from tests.api.support import START, Clock, reach

# -- in this process ---------------------------------------------------------------------------------------------------


async def _fits(limits: Limits, kind: str, who: str, times: int) -> int:
    return sum([not (await limits.take(kind, who)).wait_s for _ in range(times)])


async def test_a_caller_is_limited_by_kind_and_by_nobody_elses_calls(clock: Clock) -> None:
    limits = Limits(clock)
    assert await _fits(limits, "search", "a", 30) == A_MINUTE["search"] == 20
    assert await _fits(limits, "search", "b", 1) == await _fits(limits, "user", "a", 1) == 1
    clock.move(seconds=48)
    refused = await limits.take("search", "a")
    assert (refused.wait_s, refused.left, refused.most) == (12, 0, 20)
    clock.move(seconds=12)
    assert await _fits(limits, "search", "a", 30) == 20


async def test_in_no_sixty_seconds_is_more_let_through_than_the_limit(clock: Clock) -> None:
    limits, let_through = Limits(clock), []
    for _ in range(600):  # six calls a second for 100 s, and bursts at the turn of the clock's minutes
        if not (await limits.take("address", "a")).wait_s:
            let_through.append(clock().timestamp())
        clock.move(seconds=1 / 6)
    for began in let_through:
        assert sum(began <= at < began + 60 for at in let_through) <= A_MINUTE["address"]
    assert len(let_through) >= 190


async def test_whoever_is_refused_is_told_when_to_come_back_and_is_let_in_then(clock: Clock) -> None:
    limits = Limits(clock)
    for _ in range(5):
        await limits.take("sign_in", "a")
        clock.move(seconds=3)
    refused = await limits.take("sign_in", "a")
    assert refused.wait_s == 45
    for _ in range(50):
        await limits.take("sign_in", "a")  # a refused call is not counted: hammering does not lock anybody out
    clock.move(seconds=44.9)
    assert (await limits.take("sign_in", "a")).wait_s == 1
    clock.move(seconds=0.2)
    assert (await limits.take("sign_in", "a")).wait_s == 0
    assert (await limits.take("sign_in", "a")).wait_s == 3


async def test_callers_who_are_gone_are_forgotten(clock: Clock) -> None:
    limits = Limits(clock)
    for number in range(1_000):
        await limits.take("address", f"192.0.2.{number}")
    clock.move(minutes=2)
    await limits.take("address", "last")
    assert len(limits._own) == 1 and not limits._full


# -- from where --------------------------------------------------------------------------------------------------------

PROXIES = networks("trusted_proxies", "10.0.0.0/8, 192.0.2.7,2001:db8:ff::/48")


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # nobody's proxy: what it says of itself is not believed
        ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # what the caller wrote in front of it
        ("10.1.2.3", "198.51.100.1, 192.0.2.7, 10.9.9.9", "198.51.100.1"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", "unknown", "10.1.2.3"),
        ("10.1.2.3", "198.51.100.1, _hidden", "10.1.2.3"),
        ("10.1.2.3", "198.51.100.1:4711", "198.51.100.1"),
        ("2001:db8:ff::1", "[2001:db8:1::5]:443", "2001:db8:1::5"),
        ("::ffff:10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "10.0.0.1, 10.0.0.2", "10.0.0.1"),
    ],
)
def test_the_callers_address_is_the_nearest_that_is_no_proxy_of_ours(peer: str, forwarded: str, expected: str) -> None:
    assert caller(peer, forwarded, PROXIES) == expected


def test_a_subscribers_network_of_ipv6_counts_as_one_caller() -> None:
    assert counted_as("2001:db8:1:2::5") == counted_as("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert counted_as("2001:db8:1:3::5") != counted_as("2001:db8:1:2::5")
    assert counted_as("::ffff:192.0.2.1") == counted_as("192.0.2.1") == "192.0.2.1"
    assert counted_as("unix") == "unix" and not within("unix", PROXIES)


@pytest.mark.parametrize("name", ["trusted_proxies", "metrics_networks"])
def test_a_network_that_is_none_is_refused_with_the_settings_name(offline: Settings, name: str) -> None:
    with pytest.raises(SettingsError, match=f"GIGZ_{name.upper()}: '10.0.0.1/8' is no address or network"):
        create_app(offline.model_copy(update={name: "10.0.0.1/8"}))


async def test_behind_a_proxy_of_ours_each_caller_has_its_own_limit_and_elsewhere_nobody_invents_one(
    offline: Settings, clock: Clock
) -> None:
    proxied = create_app(offline.model_copy(update={"trusted_proxies": "10.0.0.0/8"}), clock=clock)

    async def statuses(client: httpx.AsyncClient, times: int) -> Counter[int]:
        answers = [
            await client.get("/v1/suggestions", headers={"X-Forwarded-For": f"198.51.100.{number}"})
            for number in range(times)
        ]
        return Counter(answer.status_code for answer in answers)

    async with reach(proxied, peer="10.0.0.1") as client:
        assert await statuses(client, 120) == {401: 120}
    async with reach(create_app(offline, clock=clock), peer="10.0.0.1") as client:
        assert await statuses(client, 120) == {401: 100, 429: 20}


async def test_answers_tell_what_is_left(offline: Settings, clock: Clock) -> None:
    headers = {"Authorization": f"Bearer {issue_token(offline, 'alice', START)}"}
    async with reach(create_app(offline, clock=clock)) as client:
        first = await client.get("/v1/search?q=", headers=headers)
        assert first.status_code == 400
        names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
        assert [first.headers[name] for name in names] == ["20", "19", "60"]
        clock.move(seconds=10)
        for _ in range(19):
            await client.get("/v1/search?q=", headers=headers)
        refused = await client.get("/v1/search?q=", headers=headers)
        assert refused.status_code == 429 and refused.json()["error"]["code"] == "RATE_LIMITED"
        assert [refused.headers[name] for name in names] == ["20", "0", "50"]
        assert refused.headers["retry-after"] == "50"
        assert "ratelimit-limit" not in (await client.get("/health")).headers


# -- in several processes ----------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _sharing(settings: Settings, clock: Clock, number: int) -> AsyncIterator[list[Limits]]:
    engines = [postgres_engine(settings, 2, "gigz-test-limits") for _ in range(number)]
    all_limits = [Limits(clock, engine) for engine in engines]
    yield all_limits
    for limits in all_limits:
        await limits.close()
    for engine in engines:
        await engine.dispose()


@pytest.mark.stack
async def test_of_many_calls_at_once_in_several_processes_just_the_limit_fits(migrated: Settings, clock: Clock) -> None:
    who = uuid4().hex
    async with _sharing(migrated, clock, 3) as processes:
        shares = await asyncio.gather(
            *(limits.take("user", who) for _ in range(150) for limits in processes),
            *(limits.take("search", who) for _ in range(30) for limits in processes),
        )
        fit = Counter(share.most for share in shares if not share.wait_s)
        assert fit == {300: 300, 20: 20}
        clock.move(seconds=59)
        assert not sum([await _fits(limits, "user", who, 5) for limits in processes])
        clock.move(seconds=1)
        assert sum([await _fits(limits, "user", who, 150) for limits in processes]) == 300


@pytest.mark.stack
async def test_over_processes_too_no_sixty_seconds_hold_more_than_the_limit(migrated: Settings, clock: Clock) -> None:
    who, let_through = uuid4().hex, []
    async with _sharing(migrated, clock, 2) as processes:
        for number in range(300):
            if not (await processes[number % 7 % 2].take("search", who)).wait_s:
                let_through.append(clock().timestamp())
            clock.move(seconds=0.7)
    assert len(let_through) >= 60
    for began in let_through:
        assert sum(began <= at < began + 60 for at in let_through) <= A_MINUTE["search"]


@pytest.mark.stack
async def test_a_caller_who_is_full_costs_no_statement(migrated: Settings, clock: Clock) -> None:
    who = uuid4().hex
    async with _sharing(migrated, clock, 2) as (one, other):
        await _fits(one, "sign_in", who, 5)
        assert not await _fits(other, "sign_in", who, 1)
        asked = other._counting
        assert not await _fits(other, "sign_in", who, 100)
        assert other._counting is asked


@pytest.mark.stack
async def test_rows_hold_no_id_and_are_removed_when_their_minute_is_over(
    migrated: Settings, engine: AsyncEngine, clock: Clock
) -> None:
    who = uuid4().hex
    async with _sharing(migrated, clock, 1) as (limits,):
        await limits.take("user", who)
    async with engine.begin() as connection:
        row = (
            await connection.execute(
                text("select r::text as all_of_it from state.rates r where caller = :c"), {"c": name_of("user", who)}
            )
        ).one()
        assert who not in row.all_of_it
        logged = await connection.scalar(text("select relpersistence from pg_class where relname = 'rates'"))
        assert logged == "u"
        await connection.execute(
            text("update state.rates set updated_at = now() - interval '121 s' where caller = :c"),
            {"c": name_of("user", who)},
        )
    await tidy(engine, migrated)
    async with engine.connect() as connection:
        left = text("select count(*) from state.rates where caller = :c")
        assert await connection.scalar(left, {"c": name_of("user", who)}) == 0


@pytest.mark.stack
async def test_while_postgres_is_slow_a_process_decides_by_itself_and_soon(
    migrated: Settings, engine: AsyncEngine, clock: Clock
) -> None:
    who = uuid4().hex
    async with _sharing(migrated, clock, 1) as (limits,):
        assert await _fits(limits, "search", who, 5) == 5
        async with engine.begin() as holding:
            await holding.execute(text("lock table state.rates in exclusive mode"))
            began = perf_counter()
            shares = await asyncio.gather(*(limits.take("search", who) for _ in range(10)))
            assert perf_counter() - began < WAIT_S + 0.5
            assert not any(share.wait_s for share in shares)
            began = perf_counter()
            assert await _fits(limits, "search", who, 10) == 5  # with the five that it let through before: 20
            assert perf_counter() - began < 0.2
        limits._alone_until = monotonic()  # ALONE_S later
        assert await _fits(limits, "user", who, 1) == 1
        async with engine.connect() as connection:
            counted = text("select cardinality(taken) from state.rates where caller = :c")
            assert await connection.scalar(counted, {"c": name_of("user", who)}) == 1
    assert ALONE_S <= 10


@pytest.mark.stack
async def test_two_api_processes_share_the_limits_and_say_when_to_come_back(migrated: Settings) -> None:
    from datetime import UTC, datetime

    user = f"u-{uuid4().hex}"
    headers = {"Authorization": f"Bearer {issue_token(migrated, user, datetime.now(UTC))}"}
    with running(migrated) as one, running(migrated) as other:
        async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as client:
            began = perf_counter()
            answers = await asyncio.gather(
                *(client.get(f"{each.address}/v1/preferences") for _ in range(170) for each in (one, other))
            )
            assert perf_counter() - began < 50
            found = Counter(answer.status_code for answer in answers)
            assert found == {200: 300, 429: 40}
            refused = [answer for answer in answers if answer.status_code == 429]
            assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
            # Where one process was asked only once, the other has all the rest.
            lone = {"Authorization": f"Bearer {issue_token(migrated, user + '2', datetime.now(UTC))}"}
            assert (await client.get(f"{one.address}/v1/search?q=x&take=0", headers=lone)).status_code == 400
            here = [
                (await client.get(f"{other.address}/v1/search?q=x&take=0", headers=lone)).status_code for _ in range(25)
            ]
            assert Counter(here) == {400: 19, 429: 6}
            # X-Forwarded-For of whoever calls from this machine is not believed: nobody invents an address.
            link = {"link": "x"}
            tried = [
                (
                    await client.post(
                        f"{each.address}/v1/auth/token", json=link, headers={"X-Forwarded-For": f"198.51.100.{number}"}
                    )
                ).status_code
                for number in range(4)
                for each in (one, other)
            ]
            assert Counter(tried) == {401: 5, 429: 3}
