"""The digest: one a user and week, only of what is new, whatever clocks, processes and users do meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import psycopg
import pytest
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from deploy.clients import postgres_engine
from deploy.digests.job import Digests
from deploy.erasing import ledger
from deploy.migrate import migrate_postgres
from deploy.settings import Settings
from schemas.concert import Facts
from schemas.digest import Digest
from schemas.suggestion import Origin, Suggestions
from schemas.tables import SuggestionsRow
from tests.api.support import ASTORIA, READING, Clock, Story, reach
from tests.api.test_friends import Person

pytestmark = pytest.mark.stack

SETTLE = timedelta(minutes=1)
MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def own(stack: Settings) -> Settings:
    """A database of its own: a round is for all users there are."""
    url = stack.engine_url("postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop database if exists gigz_digests")
        connection.execute("create database gigz_digests")
    base, _, query = url.partition("?")
    there = base.rpartition("/")[0] + "/gigz_digests" + (f"?{query}" if query else "")
    settings = stack.model_copy(update={"postgres_url": there})
    migrate_postgres(settings)
    return settings


@pytest.fixture
async def engine(own: Settings) -> AsyncIterator[AsyncEngine]:
    engine = postgres_engine(own, 8, "gigz-test")
    yield engine
    await engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock(MONDAY)


@pytest.fixture
async def ann(own: Settings, engine: AsyncEngine, clock: Clock) -> AsyncIterator[Person]:
    async with reach(create_app(own, clock=clock, rate_limits=False)) as client:
        yield Person(client, Story(engine, own), clock)


@pytest.fixture
def job(engine: AsyncEngine, own: Settings, clock: Clock) -> Digests:
    return Digests(engine, own.outbox_shards, clock, SETTLE)


async def sent(ann: Person) -> list[Digest]:
    return [Digest.from_bytes(row.value) for row in await ann.story.outbox() if row.topic == Digest.topic]


async def finds(ann: Person, entry_id: str, facts: Facts = READING, confidence: float = 0.97, **more: Any) -> Any:
    one = ann.story.suggestion(entry_id, facts, confidence)
    await ann.story.found(entry_id, one, **more)
    return one


async def open_in_the_inbox(ann: Person) -> int:
    return len((await ann.ask("GET", "/suggestions?take=100")).json()["data"])


async def test_what_was_found_is_told_once_and_then_only_what_is_new(ann: Person, job: Digests, clock: Clock) -> None:
    first, second = await finds(ann, "e1"), await finds(ann, "e2", ASTORIA, 0.7)
    await job.round()
    (digest,) = await sent(ann)
    assert (digest.new, digest.sure, digest.to_decide, digest.open) == (2, 1, 1, 2)
    assert digest.suggestion_ids == (first.suggestion_id, second.suggestion_id)
    assert (digest.week, digest.tz, digest.until) == ("2026-W10", "UTC", MONDAY)
    await finds(ann, "e3", ASTORIA)
    for _ in range(3):
        await job.round()
    assert len(await sent(ann)) == 1, "one a week"
    clock.move(days=7)
    await job.round()
    _, second_digest = await sent(ann)
    assert (second_digest.new, second_digest.open, second_digest.week) == (1, 3, "2026-W11")
    assert second_digest.since == digest.until
    for _ in range(4):
        clock.move(days=7)
        await job.round()
    assert len(await sent(ann)) == 2, "weeks without news"


async def test_a_week_without_news_is_told_of_as_soon_as_there_is_some(ann: Person, job: Digests, clock: Clock) -> None:
    await finds(ann, "e1")
    await job.round()
    clock.move(days=8)
    await job.round()
    await finds(ann, "e2", ASTORIA)
    await job.round()
    assert [one.week for one in await sent(ann)] == ["2026-W10", "2026-W11"]


async def test_what_changed_but_was_there_is_no_news(
    ann: Person, job: Digests, clock: Clock, engine: AsyncEngine
) -> None:
    one = await finds(ann, "e1", confidence=0.7)
    await job.round()
    clock.move(days=7)
    again = Suggestions(user=ann.user, entry_id="e1", rev=2, suggestions=(one.model_copy(update={"confidence": 0.99}),))
    async with engine.begin() as connection:
        await connection.execute(
            update(SuggestionsRow)
            .where(SuggestionsRow.user_id == ann.user)
            .values(rev=2, body=orjson.loads(again.to_bytes()), tx=text("default"))
        )
    await job.round()
    assert len(await sent(ann)) == 1


async def test_what_was_decided_snoozed_or_switched_off_is_not_told(ann: Person, job: Digests) -> None:
    decided = {verb: await finds(ann, verb, ASTORIA) for verb in ("confirm", "dismiss", "snooze")}
    for verb, one in decided.items():
        await ann.say(verb, one.suggestion_id, {"days": 3} if verb == "snooze" else None)
    await finds(ann, "companion-7f", READING, 0.6, origin=Origin.COMPANION)
    await ann.prefer(companions=False)
    await job.round()
    assert await sent(ann) == []
    await finds(ann, "e1")
    await job.round()
    (digest,) = await sent(ann)
    assert (digest.new, digest.open) == (1, 1) and await open_in_the_inbox(ann) == 1


async def test_it_counts_what_the_inbox_shows(ann: Person, job: Digests) -> None:
    for number in range(12):
        one = await finds(ann, f"e{number}", ASTORIA if number % 2 else READING, 0.5 + number / 25)
        other = ann.story.suggestion(f"x{number}", READING, 0.6)
        await ann.story.found(f"x{number}", ann.story.suggestion(f"x{number}", ASTORIA), other)
        if number % 3 == 0:
            await ann.say("dismiss", one.suggestion_id)
        if number % 4 == 0:  # one of two stays
            await ann.say("dismiss", other.suggestion_id)
        if number % 5 == 0:
            await ann.say("snooze", ann.story.suggestion(f"x{number}", ASTORIA).suggestion_id, {})
    await job.round()
    (digest,) = await sent(ann)
    shown = (await ann.ask("GET", "/suggestions?take=100")).json()["data"]
    assert digest.new == digest.open == len(shown)
    assert [str(one) for one in digest.suggestion_ids] == [
        view["suggestions"][0]["suggestion_id"] for view in shown[:20]
    ]
    assert digest.sure == sum(view["suggestions"][0]["band"] == "sure" for view in shown)


async def test_one_call_stops_it_and_one_begins_it_again(ann: Person, job: Digests, clock: Clock) -> None:
    await finds(ann, "e1")
    await ann.prefer(digest=False)
    await job.round()
    assert await sent(ann) == []
    await ann.prefer(digest=True)
    await job.round()
    assert len(await sent(ann)) == 1


async def test_nothing_goes_out_in_quiet_hours_whatever_the_zone(ann: Person, job: Digests, clock: Clock) -> None:
    await finds(ann, "e1")
    await ann.prefer(tz="Asia/Kathmandu", quiet_from="17:00", quiet_until="09:30")
    await job.round()  # 17:45 there
    assert await sent(ann) == []
    clock.now = datetime(2026, 3, 3, 3, 44, tzinfo=UTC)  # 09:29
    await job.round()
    assert await sent(ann) == []
    clock.move(minutes=1)
    await job.round()
    assert [one.tz for one in await sent(ann)] == ["Asia/Kathmandu"]


async def test_a_change_of_zone_or_of_quiet_hours_counts_at_once(ann: Person, job: Digests) -> None:
    await finds(ann, "e1")
    await ann.prefer(quiet_from="00:00", quiet_until="23:59")
    await job.round()
    assert await sent(ann) == []
    await ann.prefer(quiet_from="22:00", quiet_until="08:00")
    await job.round()
    assert len(await sent(ann)) == 1


async def test_over_a_year_of_looks_with_clocks_that_change_there_is_one_for_each_week_with_news(
    ann: Person, job: Digests, clock: Clock
) -> None:
    await ann.prefer(tz="America/New_York")
    clock.now = datetime(2026, 1, 5, 3, tzinfo=UTC)
    for number in range(24):
        if number % 3 != 2:
            await finds(ann, f"e{number}", ASTORIA)
        for _ in range(4):
            clock.move(hours=42)
            await job.round()
    told = await sent(ann)
    assert len({one.week for one in told}) == len(told) == 16
    assert all(8 <= _hour(one) < 22 for one in told)


def _hour(digest: Digest) -> int:
    from zoneinfo import ZoneInfo

    return digest.until.astimezone(ZoneInfo("America/New_York")).hour


async def test_while_an_import_goes_on_it_waits(ann: Person, job: Digests, clock: Clock) -> None:
    await finds(ann, "e1", made_at=clock() - timedelta(seconds=20))
    await job.round()
    assert await sent(ann) == []
    clock.move(seconds=30)
    await finds(ann, "e2", ASTORIA, made_at=clock() - timedelta(seconds=1))
    await job.round()
    assert await sent(ann) == []
    clock.move(seconds=61)
    await job.round()
    assert [one.new for one in await sent(ann)] == [2]


async def test_two_processes_at_once_send_one(ann: Person, engine: AsyncEngine, own: Settings, clock: Clock) -> None:
    others = [Person(ann.client, Story(engine, own), clock) for _ in range(10)]
    for one in others:
        await finds(one, "e1")
    jobs = [Digests(engine, own.outbox_shards, clock, SETTLE) for _ in range(3)]
    await asyncio.gather(*(job.round() for job in jobs))
    await asyncio.gather(*(job.round() for job in jobs))
    assert [len(await sent(one)) for one in others] == [1] * 10


class Killed(BaseException):
    """As if the process were."""


async def test_who_is_killed_before_the_commit_has_sent_nothing_and_the_next_sends_it(
    ann: Person, engine: AsyncEngine, own: Settings, clock: Clock
) -> None:
    await finds(ann, "e1")

    def cut(_: str) -> None:
        raise Killed

    for _ in range(3):
        with pytest.raises(Killed):
            await Digests(engine, own.outbox_shards, clock, SETTLE, cut).round()
    assert await sent(ann) == []
    for _ in range(2):
        await Digests(engine, own.outbox_shards, clock, SETTLE).round()
    assert len(await sent(ann)) == 1


async def test_a_process_that_begins_anew_knows_whom_the_one_before_had_not_looked_at(
    ann: Person, engine: AsyncEngine, own: Settings, clock: Clock
) -> None:
    await Digests(engine, own.outbox_shards, clock, SETTLE).round()
    await finds(ann, "e1")
    await Digests(engine, own.outbox_shards, clock, SETTLE).round()
    assert len(await sent(ann)) == 1


async def test_a_set_that_is_committed_late_is_not_missed(
    ann: Person, job: Digests, engine: AsyncEngine, clock: Clock
) -> None:
    await job.round()
    async with engine.connect() as late:
        transaction = await late.begin()
        await late.execute(text("select pg_current_xact_id()"))
        await job.round()
        one = Suggestions(user=ann.user, entry_id="e1", rev=1, suggestions=(ann.story.suggestion("e1", READING),))
        await late.execute(
            text(
                "insert into state.suggestions (user_id, entry_id, rev, suggestion_ids, confidence, body) "
                "values (:user, 'e1', 1, :ids, 0.9, cast(:body as jsonb))"
            ),
            {
                "user": ann.user,
                "ids": [each.suggestion_id for each in one.suggestions],
                "body": one.to_bytes().decode(),
            },
        )
        await job.round()
        await transaction.commit()
    await job.round()
    assert len(await sent(ann)) == 1


async def test_nobody_who_was_erased_is_told_or_written_down(
    ann: Person, job: Digests, engine: AsyncEngine, clock: Clock
) -> None:
    await finds(ann, "e1")
    await ledger.enter(engine, ann.user, clock())
    await job.round()
    assert await sent(ann) == []
    async with engine.connect() as connection:
        query = text("select count(*) from state.digests where user_id = :user")
        assert await connection.scalar(query, {"user": ann.user}) == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tz": "../etc/passwd"}, "tz"),
        ({"quiet_from": "24:00"}, "quiet_from"),
        ({"quiet_until": "8:00"}, "quiet_until"),
        ({"digest": "no"}, "digest"),
        ({"journal": "public"}, "journal"),
    ],
)
async def test_what_is_no_zone_or_no_time_is_refused_by_name(ann: Person, body: dict[str, Any], field: str) -> None:
    answer: httpx.Response = await ann.ask("PATCH", "/preferences", body)
    assert "error" in answer.json(), answer.text
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (400, field)


async def test_a_zone_that_there_is_none_of_is_told_with_one_that_there_is(ann: Person) -> None:
    error = (await ann.ask("PATCH", "/preferences", {"tz": "Europe/Berln"})).json()["error"]
    assert error["code"] == "ZONE_NOT_FOUND" and "tz" in error["message"] and "Europe/Berlin" in error["message"]
