"""Operators are told: once each, signed, and again until it was taken."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from aiohttp import web
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from deploy.clients import postgres_engine
from deploy.migrate import migrate_postgres
from deploy.settings import Settings
from schemas.tables import AlertRow, AlertState, RunRow, RunState
from spiders.delivery import Counts
from spiders.formats.base import utc_now
from spiders.monitoring import alerts
from spiders.runs import RunReport

SECRET = "a secret of the test's own"
pytestmark = pytest.mark.stack


@dataclass
class Receiver:
    """A webhook that answers as the test wants and keeps what it was sent."""

    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append((headers, await request.read()))
        await asyncio.sleep(0.02)
        return web.Response(status=self.answers.pop(0) if self.answers else 204)

    @property
    def kinds(self) -> list[str]:
        return [orjson.loads(body)["kind"] for _, body in self.got]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def engine(stack: Settings) -> AsyncIterator[AsyncEngine]:
    migrate_postgres(stack)
    engine = postgres_engine(stack, 4, "gigz-test")
    async with engine.begin() as connection:  # each test begins with nothing to tell
        await connection.execute(delete(AlertRow))
        await connection.execute(delete(RunRow))
    yield engine
    await engine.dispose()


def hooked(stack: Settings, url: str) -> Settings:
    return stack.model_copy(update={"operators_webhook": url, "operators_webhook_secret": secret(SECRET)})


def secret(text: str) -> Any:
    from pydantic import SecretStr

    return SecretStr(text)


async def ended(
    engine: AsyncEngine,
    state: RunState,
    minute: int = 0,
    *,
    spider: str = "hall",
    suspect: bool = False,
    scope: str = "",
) -> RunReport:
    """A run's row, and its report."""
    at = utc_now() - timedelta(hours=1) + timedelta(minutes=minute)
    report = RunReport(
        run_id=uuid4(),
        spider=spider,
        source=spider,
        start_url="https://hall.example/",
        state=state,
        started_at=at,
        finished_at=at + timedelta(seconds=5),
        pages=1,
        counts=Counts(),
        suspect=suspect,
        why="the page is gone" if state is not RunState.FINISHED else None,
    )
    row = {
        "run_id": report.run_id,
        "spider": spider,
        "state": state,
        "scope": scope or spider,
        "started_at": at,
        "finished_at": report.finished_at,
        "suspect": suspect,
        "findings": [{"text": "items: 3 is below the limit of 75"}] if suspect else [],
        "why": report.why,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(RunRow).values(**row))
    return report


async def rows(engine: AsyncEngine) -> list[Row[Any]]:
    async with engine.connect() as connection:
        return list((await connection.execute(select(AlertRow.__table__).order_by(AlertRow.created_at))).all())


async def test_a_receiver_that_fails_twice_gets_the_same_delivery_a_third_time_signed(
    engine: AsyncEngine, stack: Settings, receiver: Receiver
) -> None:
    receiver.answers = [500, 503, 200]
    report = await ended(engine, RunState.FAILED)
    await alerts.about(engine, hooked(stack, receiver.url), report, utc_now)
    assert len(receiver.got) == 3
    assert len({headers["x-gigz-delivery"] for headers, _ in receiver.got}) == 1
    for headers, body in receiver.got:
        signed = f"{headers['x-gigz-timestamp']}.".encode() + body
        expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
        assert headers["x-gigz-signature"] == f"sha256={expected}"
        assert abs(int(headers["x-gigz-timestamp"]) - datetime.now(UTC).timestamp()) < 30
    told = orjson.loads(receiver.got[-1][1])
    assert (told["kind"], told["spider"], told["run_id"]) == ("failed", "hall", str(report.run_id))
    assert "the page is gone" in told["text"]
    (row,) = await rows(engine)
    assert (row.state, row.tries, row.last_error) == (AlertState.SENT, 3, None)


async def test_a_suspect_run_is_told_with_what_was_found_and_in_the_log(
    engine: AsyncEngine, stack: Settings, receiver: Receiver
) -> None:
    report = await ended(engine, RunState.FINISHED, suspect=True)
    with capture_logs() as logged:
        await alerts.about(engine, hooked(stack, receiver.url), report, utc_now)
    (told,) = (line for line in logged if line["event"] == "operators_alert")
    assert told["log_level"] == "error" and "below the limit of 75" in told["text"]
    assert receiver.kinds == ["suspect"]


async def test_a_good_run_is_nothing_to_tell_and_telling_twice_tells_once(
    engine: AsyncEngine, stack: Settings, receiver: Receiver
) -> None:
    settings = hooked(stack, receiver.url)
    await alerts.about(engine, settings, await ended(engine, RunState.FINISHED), utc_now)
    assert await rows(engine) == []
    bad = await ended(engine, RunState.FAILED, 1)
    for _ in range(3):
        await alerts.about(engine, settings, bad, utc_now)
    assert receiver.kinds == ["failed"]


async def test_a_run_whose_process_died_before_it_told_is_told_by_the_next_that_looks(
    engine: AsyncEngine, stack: Settings, receiver: Receiver
) -> None:
    for minute, state in enumerate((RunState.LOST, RunState.FAILED, RunState.STOPPED)):
        await ended(engine, state, minute, spider=f"s{minute}")
    assert await alerts.send_pending(engine, hooked(stack, receiver.url), utc_now) == 2
    assert sorted(receiver.kinds) == ["failed", "lost"]


async def test_a_spider_that_is_well_again_says_so_once(
    engine: AsyncEngine, stack: Settings, receiver: Receiver
) -> None:
    settings = hooked(stack, receiver.url)
    for minute, state in enumerate((RunState.FAILED, RunState.FAILED, RunState.FINISHED, RunState.FINISHED)):
        await alerts.about(engine, settings, await ended(engine, state, minute), utc_now)
    assert receiver.kinds == ["failed", "failed", "recovered"]
    assert "after 2 runs (failed)" in orjson.loads(receiver.got[-1][1])["text"]
    await alerts.about(engine, settings, await ended(engine, RunState.FINISHED, 5, suspect=True), utc_now)
    await alerts.about(engine, settings, await ended(engine, RunState.FINISHED, 6, scope="another"), utc_now)
    await alerts.about(engine, settings, await ended(engine, RunState.FINISHED, 7), utc_now)
    assert receiver.kinds[3:] == ["suspect", "recovered"]


async def test_two_senders_post_each_alert_once(engine: AsyncEngine, stack: Settings, receiver: Receiver) -> None:
    for minute in range(30):
        await ended(engine, RunState.FAILED, minute, spider=f"s{minute}")
    settings = hooked(stack, receiver.url)
    taken = await asyncio.gather(*(alerts.send_pending(engine, settings, utc_now) for _ in range(3)))
    assert sum(taken) == len(receiver.got) == 30
    assert len({headers["x-gigz-delivery"] for headers, _ in receiver.got}) == 30


async def test_what_a_dead_sender_had_claimed_is_sent_by_another(
    engine: AsyncEngine, stack: Settings, receiver: Receiver
) -> None:
    await ended(engine, RunState.FAILED)
    await alerts.send_pending(engine, stack, utc_now)  # no webhook: the row waits
    (claimed,) = await alerts._claim(engine, utc_now(), None)
    settings = hooked(stack, receiver.url)
    assert await alerts.send_pending(engine, settings, utc_now) == 0
    later = utc_now() + alerts.CLAIM
    assert await alerts.send_pending(engine, settings, lambda: later) == 1
    assert UUID(receiver.got[0][0]["x-gigz-delivery"]) == claimed.alert_id


async def test_a_receiver_that_stays_away_is_left_after_a_day_and_the_row_says_why(
    engine: AsyncEngine, stack: Settings, receiver: Receiver
) -> None:
    receiver.answers = [500] * 500
    await ended(engine, RunState.FAILED)
    settings, now = hooked(stack, receiver.url), utc_now()
    waits = []
    for _ in range(200):
        await alerts.send_pending(engine, settings, lambda at=now: at)
        (row,) = await rows(engine)
        if row.state is AlertState.FAILED:
            break
        waits.append((row.next_try_at - now).total_seconds())
        now = row.next_try_at
    assert row.state is AlertState.FAILED and row.last_error.startswith("answered 500")
    assert waits[0] < 2 and max(waits) <= alerts.LONGEST_WAIT_S * 1.25 and len(waits) < 150


async def test_without_a_webhook_alerts_wait_for_the_page(engine: AsyncEngine, stack: Settings) -> None:
    await alerts.about(engine, stack, await ended(engine, RunState.FAILED), utc_now)
    (row,) = await rows(engine)
    assert (row.state, row.tries) == (AlertState.PENDING, 0)


async def test_the_scheduler_tells_of_its_own_troubles_once_a_day(engine: AsyncEngine) -> None:
    for _ in range(2):
        await alerts.tell(engine, utc_now, alerts.SCHEDULER, "schedule nightly names no spider", schedule="nightly")
    (row,) = await rows(engine)
    assert row.body["schedule"] == "nightly" and row.run_id is None


async def test_a_hook_that_is_no_address_is_no_crash(engine: AsyncEngine, stack: Settings) -> None:
    await ended(engine, RunState.FAILED)
    for url in ("not an address", "http://127.0.0.1:1/", "ftp://x/"):
        async with engine.begin() as connection:
            await connection.execute(update(AlertRow).values(next_try_at=utc_now()))
        assert await alerts.send_pending(engine, hooked(stack, url), utc_now) == 0
    (row,) = await rows(engine)
    assert row.tries == 3 and row.last_error
