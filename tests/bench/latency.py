"""From a listing produced to its suggestion readable through the API, at half of the throughput measured just before.

Everything runs, the API too. First a file of listings goes through as fast as it can: the throughput. Then listings
flow at half of that; several a second are probes, each the show that one user, and nobody else, remembers. A probe's
time runs from before its listing is handed to Kafka's producer to the first answer of GET /v1/suggestions that holds a
suggestion; the API is asked every `ASK_S`, so that a time is up to that much, and the answer, too long.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
from aiokafka import AIOKafkaProducer

from api.tokens import issue_token
from deploy.clients import kafka_producer, publish
from deploy.feed import feed, to_record
from deploy.local import workers
from deploy.local.ports import Ports
from deploy.settings import Settings
from schemas.history import Entry
from schemas.message import Message
from schemas.outgoing import Outgoing
from schemas.raw import RawEvent
from tests.bench.frameworks import OURS, STAGES, through
from tests.bench.inputs import artist, entries, listings
from tests.bench.measuring import TooLittle, engines, idle, lines

NAMES = (*(f"{stage}-1" for stage in STAGES), *OURS, workers.API)
ASK_S = 0.2
PROBES_A_SECOND = 2
"""Few, and asked seldom: an answer costs the API ten times what a listing costs a stage, and who asks shares the
machine. Four a second, asked ten times a second until they had their answer, were eighty questions a second."""
TICK_S = 0.05
GIVE_UP_S = 30.0
GOAL_P99_S = 2.0
NOBODY_ELSE = 1_000_000
"""From this artist on, nobody plays but probes."""
LOAD = 20_000_000
"""The first show of the load."""


def probe(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """An entry row, and the listing row that answers it."""
    night = (datetime(1990, 1, 1, tzinfo=UTC) + timedelta(days=number)).date().isoformat()
    shown = {"artist": artist(NOBODY_ELSE + number), "date": night, "city": "Berkeley"}
    entry = shown | {"user": f"probe-{number}", "entry_id": "only"}
    place = {"region": "CA", "country": "US", "venue": "Greek Theatre"}
    return entry, shown | place | {"source": "bench-probe", "source_id": str(number)}


async def seen_after(client: httpx.AsyncClient, token: str, began: float) -> float:
    """Seconds from `began` until the user of this token has a suggestion. TooLittle after `GIVE_UP_S`."""
    while time.monotonic() - began < GIVE_UP_S:
        answer = await client.get("/v1/suggestions", headers={"Authorization": f"Bearer {token}"})
        answer.raise_for_status()
        if any(entry["suggestions"] for entry in answer.json()["data"]):
            return time.monotonic() - began
        await asyncio.sleep(ASK_S)
    raise TooLittle(f"a probe had no suggestion after {GIVE_UP_S:.0f} s: the load is too much, or the API is wrong.")


def as_record(row: dict[str, Any], kind: type[Message]) -> Outgoing:
    """A row as `gigz feed` sends it."""
    return to_record(orjson.dumps(row), kind, datetime.now(UTC))[0]


async def _probed(settings: Settings, producer: AIOKafkaProducer, client: httpx.AsyncClient, number: int) -> float:
    token = issue_token(settings, f"probe-{number}", datetime.now(UTC))
    record = as_record(probe(number)[1], RawEvent)
    began = time.monotonic()
    await publish(producer, [record], settings.partitions)
    return await seen_after(client, token, began)


async def _load(settings: Settings, producer: AIOKafkaProducer, rows: Iterator[dict[str, Any]], rate: float) -> int:
    """Listings at this rate until cancelled."""
    began, sent = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - began) * rate) - sent
        await publish(producer, [as_record(next(rows), RawEvent) for _ in range(due)], settings.partitions)
        sent += due
        await asyncio.sleep(TICK_S)


async def _measured(settings: Settings, port: int, rows: int, seconds: int) -> dict[str, Any]:
    probes = seconds * PROBES_A_SECOND
    async with kafka_producer(settings, "gigz-bench") as producer:
        remembered = [as_record(probe(number)[0], Entry) for number in range(probes)]
        await publish(producer, remembered, settings.partitions)
        await idle(settings, NAMES)
        with lines([*entries(rows // 3), *entries(rows // 3, LOAD)]) as file:
            await feed(settings, [file], "history")
        await idle(settings, NAMES)
        with lines(listings(rows)) as file:
            rate = rows / await through(settings, NAMES, file)
        loading = asyncio.create_task(_load(settings, producer, listings(10**9, LOAD), rate / 2))
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=GIVE_UP_S) as client:
                began, asked = time.monotonic(), list[asyncio.Task[float]]()
                for number in range(probes):
                    await asyncio.sleep(max(0.0, began + number / PROBES_A_SECOND - time.monotonic()))
                    asked.append(asyncio.create_task(_probed(settings, producer, client, number)))
                times = await asyncio.gather(*asked)
        finally:
            if not loading.cancel():
                loading.result()
    return {"throughput": rate, "load": rate / 2, "asked_every_s": ASK_S, "seconds": sorted(times)}


def measure(rows: int, seconds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """On engines of its own."""
    with engines() as settings:
        for name in NAMES[:-1]:
            workers.start_worker(settings, name)
        port = Ports(settings).take("api", "api_port")
        workers.start_api(settings, port)
        found = asyncio.run(_measured(settings, port, rows, seconds))
        workers.alive(settings, NAMES)
    say(
        f"{found['throughput']:,.0f} listings/s end to end; at {found['load']:,.0f}/s p50 "
        f"{quantile(found['seconds'], 0.5):.2f} s, p99 {quantile(found['seconds'], 0.99):.2f} s"
    )
    return {"rows": rows, "load_seconds": seconds} | found


def quantile(ordered: list[float], share: float) -> float:
    """The smallest that so large a share does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
