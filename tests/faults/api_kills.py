"""The API killed after commits: every decision is published, none takes effect twice.

    python -m tests.faults.api_kills [--kills N] [--seed N]

A process of the API is killed by SIGKILL at its first decision, right after the commit or while it answers, with more
decisions in the air; whoever got no answer asks another process again with the same Idempotency-Key, as clients do.
Users confirm, dismiss, move to another night, take back and decide again. A real relay publishes meanwhile. At the end:

    each call was answered once with 200, and each decision it speaks of is in PostgreSQL once
    PostgreSQL has no decision that no call made
    Kafka has every decision of PostgreSQL, with the same content, however often
    the last word of each entry is the same in both

The last line is the verdict, the exit code says the same.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from random import Random
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import func, select

from api.tokens import issue_token
from deploy.clients import postgres_engine
from deploy.flow import scan
from deploy.local.workers import start_worker, stop
from deploy.migrate import migrate_stores
from deploy.settings import Settings, environment_for
from deploy.topics import apply_topics
from schemas.concert import Facts
from schemas.decision import Decision
from schemas.listing import Place
from schemas.tables import DecisionRow, OutboxRow
from tests.api.support import Story
from tests.faults.mortal_api import WAYS
from tests.support import ROOT, running_engines

AT_ONCE = 5
"""Decisions in the air when a process dies."""
DYING_AT_ONCE = 4
"""Processes: most of a round is waiting for one to start."""
RELAY = "relay-1"
AGAIN_S = 0.05


@dataclass
class Tally:
    """What was asked and answered."""

    answered: list[dict[str, Any]] = field(default_factory=list)
    """Decisions, as the answers had them; a repeated call is here once."""
    lost: int = 0
    """Calls whose first answer never came."""
    kills: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """One call of a client."""

    path: str
    body: dict[str, Any] | None = None
    key: str = field(default_factory=lambda: uuid4().hex)


async def run(settings: Settings, kills: int, seed: int) -> Tally:
    """So many deaths; what came of it."""
    engine = postgres_engine(settings, 4, "gigz-kills")
    story, dice, tally = Story(engine, settings), Random(seed), Tally()
    token = issue_token(settings.model_copy(update={"access_token_minutes": 240}), story.user, datetime.now(UTC))
    headers = {"Authorization": f"Bearer {token}", "X-Device": "phone"}
    try:
        async with (
            _process(settings, "never") as (_, standing),
            httpx.AsyncClient(headers=headers, timeout=20, trust_env=False) as client,
        ):
            chains = [
                [await _chain(story, f"e{number}-{place}", dice) for place in range(AT_ONCE)] for number in range(kills)
            ]
            few = asyncio.Semaphore(DYING_AT_ONCE)

            async def one(number: int) -> None:
                async with few:
                    await _round(settings, client, tally, chains[number], WAYS[number % len(WAYS)], standing)

            await asyncio.gather(*map(one, range(kills)))
    finally:
        await engine.dispose()
    tally.wrong += await _compare(settings, story.user, tally)
    return tally


async def _round(
    settings: Settings,
    client: httpx.AsyncClient,
    tally: Tally,
    chains: Sequence[Sequence[Step]],
    way: str,
    standing: str,
) -> None:
    """One death, with as many calls in the air as there are chains."""
    async with _process(settings, way) as (process, mortal):
        await asyncio.gather(*(_decide(client, tally, chain, mortal, standing) for chain in chains))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 10)
        if process.returncode == -signal.SIGKILL:
            tally.kills[way] += 1
        else:
            tally.wrong.append(f"the process that was to die {way} is alive")


@contextlib.asynccontextmanager
async def _process(settings: Settings, way: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A mortal process and its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.mortal_api", way),
        cwd=ROOT,
        env=environment_for(settings.model_copy(update={"api_port": 0})),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        address = (await process.stdout.readline()).decode().strip()
        assert address, "the API did not start"
        yield process, address
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _chain(story: Story, entry: str, dice: Random) -> list[Step]:
    """An entry with two nights, and what its user says of it, one after the other."""
    nights = [
        Facts(artist=f"Artist of {entry}", night=date(1994, 8, day), place=Place(city="Reading", country="GB"))
        for day in (27, 28)
    ]
    shown = [story.suggestion(entry, night, 0.6 - place / 10) for place, night in enumerate(nights)]
    first, second = await story.found(entry, *shown)
    one = f"/v1/suggestions/{first}"
    decided = Step(f"{one}/confirm"), Step(f"{one}/dismiss"), Step(f"{one}/snooze", {"days": 7})
    moved = Step(f"{one}/other-night", {"concert_id": str(shown[1].concert_id)})
    chain = [dice.choice((*decided, moved))]
    if dice.random() < 0.5:
        chain.append(Step(f"{one}/undo"))
        if dice.random() < 0.5:
            chain.append(Step(f"/v1/suggestions/{second}/confirm"))
    return chain


async def _decide(client: httpx.AsyncClient, tally: Tally, chain: Sequence[Step], mortal: str, standing: str) -> None:
    """Each call until it is answered: at the mortal process while it lives, then at the other."""
    address = mortal
    for step in chain:
        lost = False
        for _ in range(200):
            try:
                answer = await client.post(
                    f"{address}{step.path}", json=step.body, headers={"Idempotency-Key": step.key}
                )
                break
            except httpx.TransportError:
                lost, address = True, standing
                await asyncio.sleep(AGAIN_S)
        else:
            tally.wrong.append(f"{step.path}: never answered")
            return
        tally.lost += lost
        if answer.status_code != 200:
            tally.wrong.append(f"{step.path}: {answer.status_code} {answer.text[:300]}")
            return
        told = answer.json()["data"]
        if lost:
            again = await client.post(f"{standing}{step.path}", json=step.body, headers={"Idempotency-Key": step.key})
            if again.json().get("data") != told:
                tally.wrong.append(f"{step.path}: the same key was answered otherwise")
        tally.answered.append(told)


async def _compare(settings: Settings, user: str, tally: Tally) -> list[str]:
    """What is not as it should be, once the relay has nothing left."""
    await _published(settings)
    engine = postgres_engine(settings, 1, "gigz-kills")
    try:
        async with engine.connect() as connection:
            query = select(DecisionRow.decision_id, DecisionRow.body).where(DecisionRow.user_id == user)
            rows = (await connection.execute(query.order_by(DecisionRow.seq))).all()
    finally:
        await engine.dispose()
    kept = {str(row.decision_id): Decision.model_validate(row.body) for row in rows}
    sent: dict[str, Decision] = {}
    last_sent: dict[str, Decision] = {}
    wrong: list[str] = []
    async for record in scan(settings, [Decision.topic]):
        decision = Decision.from_bytes(record.value)
        if decision.user != user:
            continue
        before = sent.setdefault(str(decision.decision_id), decision)
        if before != decision:
            wrong.append(f"{decision.decision_id} is published with two contents")
        last_sent[decision.entry_id] = decision
    return wrong + differences(kept, sent, last_sent, tally.answered)


def differences(
    kept: dict[str, Decision],
    sent: dict[str, Decision],
    last_sent: dict[str, Decision],
    answered: Sequence[dict[str, Any]],
) -> list[str]:
    """Between what PostgreSQL keeps (in its order), what Kafka has, and what clients were told."""
    wrong = [f"{one} is not published" for one in kept.keys() - sent.keys()]
    wrong += [f"{one} is published, and not kept" for one in sent.keys() - kept.keys()]
    wrong += [
        f"{one} is published otherwise than it is kept" for one in kept.keys() & sent.keys() if kept[one] != sent[one]
    ]
    told = Counter(one["decision_id"] for one in answered)
    wrong += [f"{one} is the answer to {times} calls" for one, times in told.items() if times > 1]
    wrong += [f"{one} was told to a client, and is not kept" for one in told.keys() - kept.keys()]
    # Another night is two decisions, and its undo two more: all that one call made carry the same instant or bond.
    bonds = {kept[one].together for one in told if one in kept and kept[one].together is not None}
    taken_back = {kept[one].undoes for one in told if one in kept}
    pairs = {kept[one].together for one in kept if kept[one].decision_id in taken_back}
    for one, decision in kept.items():
        if one in told or decision.together in bonds:
            continue
        undone = kept.get(str(decision.undoes))
        if undone is None or undone.together is None or undone.together not in pairs:
            wrong.append(f"{one} ({decision.action}, {decision.entry_id}) was made by no call")
    last_kept = {decision.entry_id: decision for decision in kept.values()}
    for entry, decision in last_kept.items():
        heard = last_sent.get(entry)
        if heard is None or heard.decision_id != decision.decision_id:
            wrong.append(f"{entry}: the last word is {decision.action}, heard was {heard and heard.action}")
    return wrong


async def _published(settings: Settings) -> None:
    """Until the relay has nothing left."""
    engine = postgres_engine(settings, 1, "gigz-kills")
    try:
        async with asyncio.timeout(120):
            while True:
                async with engine.connect() as connection:
                    if not await connection.scalar(select(func.count()).select_from(OutboxRow)):
                        return
                await asyncio.sleep(0.2)
    finally:
        await engine.dispose()


def verdict(tally: Tally, kills: int) -> str:
    """In a line, for people."""
    died = ", ".join(f"{number} {way}" for way, number in sorted(tally.kills.items()))
    wrong = list(tally.wrong)
    if tally.kills.total() < kills:
        wrong.append(f"{tally.kills.total()} of {kills} kills")
    if tally.lost < kills * 2 // 3:
        wrong.append(f"only {tally.lost} answers were lost: the kills hit nothing")
    said = (
        f"{tally.kills.total()} kills ({died}), {len(tally.answered)} calls answered, {tally.lost} of them asked again"
    )
    return f"PASS: {said}" if not wrong else f"FAIL: {said}; " + "; ".join(wrong[:20])


async def go(settings: Settings, kills: int, seed: int) -> str:
    """Topics, tables, a relay; the run; its verdict."""
    await apply_topics(settings)
    await asyncio.to_thread(migrate_stores, settings)
    start_worker(settings, RELAY)
    try:
        return verdict(await run(settings, kills, seed), kills)
    finally:
        await asyncio.to_thread(stop, settings, (RELAY,))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="The API killed after commits.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with running_engines("gigz-kills-") as settings:
        told = asyncio.run(go(settings, asked.kills, asked.seed))
    print(told)
    return 0 if told.startswith("PASS") else 1


if __name__ == "__main__":
    sys.exit(main())
