"""What the API reads, by the thousand: concerts through the sinks, as if they came from Kafka, and rows of match and of
decisions by statements of many rows. The same numbers give the same data.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.clients import postgres_engine
from deploy.settings import Settings
from matchers.text import fold
from schemas import ids
from schemas.concert import Concert, Member
from schemas.decision import Action, Decision
from schemas.history import Entry, EntryOrigin, Remembered
from schemas.listing import Place, Status
from schemas.message import Message
from schemas.outgoing import outgoing
from schemas.reference import Artist, Venue
from schemas.suggestion import Band, Evidence, Suggestion, Suggestions
from schemas.tables import DecisionRow, EntryRow, SuggestionsRow
from schemas.topics import read_by
from sinks.clickhouse import open_clickhouse_sink
from sinks.meilisearch import open_meilisearch_sink
from sinks.postgres import open_postgres_sink
from sinks.received import receive
from tests.bench.inputs import SEEN, artist, show
from tests.sinks.support import record_of

BATCH = 2_000
CONFIRMED, DISMISSED = 0.3, 0.1
"""Shares of entries that were decided before the run."""
SONGS = 0.3
STAGE = "bench"
TRACE = "0" * 32
STATE_CONCERTS = text(
    """
    insert into state.concerts (concert_id, anchor_listing_id, anchor_act, live, rev, night, keys, body)
    select concert_id, cast(body#>>'{members,0,listing_id}' as uuid), body#>>'{members,0,act}', true, rev, night,
        array[artist_key], body
    from catalogue.concerts on conflict do nothing
    """
)
STATE_MEMBERS = text(
    """
    insert into state.concert_members (listing_id, act, concert_id)
    select cast(member->>'listing_id' as uuid), member->>'act', concert_id
    from catalogue.concerts, jsonb_array_elements(body->'members') member on conflict do nothing
    """
)


@dataclass(frozen=True)
class Known:
    """What a client can ask for."""

    users: dict[str, list[str]]
    """User -> suggestion ids of entries that are open."""
    decided: dict[str, list[str]]
    """User -> those that were decided."""
    concerts: list[str]
    artists: list[str]
    """Their names."""
    artist_keys: list[str]
    venues: list[str]


def a_concert(number: int) -> Concert:
    """The number-th show, as resolve would tell of it."""
    shown, dice = show(number), Random(f"api {number}")
    source = ids.listing_id("bench", str(number))
    name = shown["artist"]
    songs = tuple(f"{artist(dice.randrange(500))} Song" for _ in range(12)) if dice.random() < SONGS else ()
    return Concert(
        concert_id=ids.concert_id(source, name),
        rev=1,
        artist=name,
        artist_key=fold(name),
        night=date.fromisoformat(shown["date"]),
        place=Place(
            name=shown["venue"],
            city=shown.get("city"),
            region=shown.get("region"),
            country=shown.get("country"),
            lat=round(dice.uniform(40, 60), 4),
            lon=round(dice.uniform(-5, 20), 4),
        ),
        status=Status.HAPPENED,
        venue_id=_venue_id(shown["venue"], shown.get("city")),
        songs=songs,
        members=(
            Member(
                listing_id=source,
                source="bench",
                source_id=str(number),
                version=1,
                act=name,
                url=f"https://bench.example/{number}",
            ),
        ),
    )


def a_set(user: str, number: int, shows: Sequence[Concert]) -> Suggestions:
    """What match would have found for an entry: the show, and others behind it."""
    best = shows[0]
    remembered = Remembered(artist=best.artist, date=best.night.isoformat()[:7], city=best.place.city)
    entry_id = f"e{number}"
    suggestions = tuple(
        Suggestion(
            suggestion_id=ids.suggestion_id(user, entry_id, one.concert_id),
            rank=rank,
            concert_id=one.concert_id,
            concert=one.facts,
            members=one.members,
            confidence=round((0.97 - number % 40 / 100) / rank, 4),
            band=Band.SURE if number % 40 < 7 and rank == 1 else Band.POSSIBLE if rank > 1 else Band.LIKELY,
            why=(
                Evidence(field="artist", bits=14.2, text="same artist"),
                Evidence(field="date", bits=8.5, text="same month"),
                Evidence(field="city", bits=8.1, text="same town"),
            ),
            signature=f"s{number}",
        )
        for rank, one in enumerate(shows, 1)
    )
    return Suggestions(
        user=user, entry_id=entry_id, rev=1, made_at=SEEN, entry=remembered, suggestions=suggestions, weights="bench"
    )


def a_decision(found: Suggestions, action: Action, number: int) -> Decision:
    """The user's word on the best of a set."""
    best = found.suggestions[0]
    return Decision(
        decision_id=uuid5(NAMESPACE_URL, f"{found.user} {found.entry_id}"),
        user=found.user,
        entry_id=found.entry_id,
        entry=found.entry,
        suggestion_id=best.suggestion_id,
        concert_id=best.concert_id,
        action=action,
        decided_at=SEEN + timedelta(seconds=number),
        listing_ids=tuple(member.listing_id for member in best.members),
        signature=best.signature,
        concert=best.concert,
        members=best.members,
        confidence=best.confidence,
        band=best.band,
        why=best.why,
    )


async def fill(settings: Settings, concerts: int, entries: int, users: int) -> Known:
    """Concerts, artists and venues into every store, entries of so many users into PostgreSQL and ClickHouse."""
    engine = postgres_engine(settings, 2, "gigz-bench")
    try:
        async with _sinks(settings) as write:
            for first in range(0, concerts, BATCH):
                numbers = range(first, min(first + BATCH, concerts))
                await write([a_concert(number) for number in numbers])
            artists, venues = _references(concerts)
            await write(artists)
            await write(venues)
        async with engine.begin() as connection:
            await connection.execute(STATE_CONCERTS)
            await connection.execute(STATE_MEMBERS)
        still_open, decided = await _histories(settings, engine, concerts, entries, users)
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("analyze"))
    finally:
        await engine.dispose()
    few = range(min(concerts, 2_000))
    told = [a_concert(number) for number in few]
    return Known(
        still_open,
        decided,
        [str(one.concert_id) for one in told],
        sorted({one.artist for one in told}),
        sorted({one.artist_key for one in told}),
        [str(one.venue_id) for one in venues],
    )


@asynccontextmanager
async def _sinks(settings: Settings) -> AsyncIterator[Any]:
    """A function that writes messages to all three stores."""
    async with AsyncExitStack() as stack:
        opened = {
            stage: await stack.enter_async_context(opening(settings))
            for stage, opening in (
                ("sink-postgres", open_postgres_sink),
                ("sink-clickhouse", open_clickhouse_sink),
                ("sink-meilisearch", open_meilisearch_sink),
            )
        }
        read = {stage: {topic.name for topic in read_by(stage)} for stage in opened}

        async def write(messages: Iterable[Message]) -> None:
            received = [
                receive(record_of(outgoing(one, trace=TRACE, stage=STAGE), place)) for place, one in enumerate(messages)
            ]
            for stage, sink in opened.items():
                taken = [sink.prepare(one) for one in received if one.origin.topic in read[stage]]
                if taken:
                    await sink.write(taken)

        yield write


def _references(concerts: int) -> tuple[list[Artist], list[Venue]]:
    """An artist for each name and a venue for each place of the first shows."""
    artists: dict[str, Artist] = {}
    venues: dict[str, Venue] = {}
    common: dict[str, Any] = {"source": "bench", "version": 1, "seen_at": SEEN}
    for number in range(min(concerts, 2_000)):
        one = a_concert(number)
        artists.setdefault(
            one.artist,
            Artist(artist_id=uuid5(NAMESPACE_URL, one.artist), source_id=one.artist, name=one.artist, **common),
        )
        assert one.venue_id is not None
        venues.setdefault(
            str(one.venue_id),
            Venue(
                venue_id=one.venue_id,
                source_id=str(one.venue_id),
                name=one.place.name or "?",
                place=one.place,
                **common,
            ),
        )
    return list(artists.values()), list(venues.values())


def _venue_id(name: str, city: str | None) -> UUID:
    return uuid5(NAMESPACE_URL, f"{name} {city}")


async def _histories(
    settings: Settings, engine: AsyncEngine, concerts: int, entries: int, users: int
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Sets and decisions of every user. User -> suggestions that are open, and that are decided."""
    still_open: dict[str, list[str]] = {f"user-{number}": [] for number in range(users)}
    decided: dict[str, list[str]] = {user: [] for user in still_open}
    async with open_clickhouse_sink(settings) as sink:
        for first in range(0, entries, BATCH):
            numbers = range(first, min(first + BATCH, entries))
            rows: list[dict[str, Any]] = []
            sets: list[dict[str, Any]] = []
            decisions: list[Decision] = []
            for number in numbers:
                user, dice = f"user-{number % users}", Random(f"entry of api {number}")
                shows = [a_concert((number * 3 + place) % concerts) for place in range(dice.choice((1, 1, 2, 3)))]
                found = a_set(user, number, list({one.concert_id: one for one in shows}.values()))
                rows.append(_entry_row(found))
                sets.append(_set_row(found))
                drawn = dice.random()
                if drawn < CONFIRMED + DISMISSED:
                    action = Action.CONFIRMED if drawn < CONFIRMED else Action.DISMISSED
                    decisions.append(a_decision(found, action, number))
                    decided[user].append(str(found.suggestions[0].suggestion_id))
                else:
                    still_open[user].append(str(found.suggestions[0].suggestion_id))
            async with engine.begin() as connection:
                await connection.execute(insert(EntryRow), rows)
                await connection.execute(insert(SuggestionsRow), sets)
                await connection.execute(insert(DecisionRow), [_decision_row(one) for one in decisions])
            sent = map(partial(outgoing, trace=TRACE, stage=STAGE), decisions)
            await sink.write([sink.prepare(receive(record_of(one, place))) for place, one in enumerate(sent)])
    return still_open, decided


def _entry_row(found: Suggestions) -> dict[str, Any]:
    written = found.entry.model_dump(by_alias=True, exclude_none=True)
    entry = Entry.model_validate(written | {"user": found.user, "entry_id": found.entry_id, "seen_at": SEEN})
    return {
        "user_id": found.user,
        "entry_id": found.entry_id,
        "version": entry.version,
        "origin": EntryOrigin.FEED,
        "keys": [],
        "body": orjson.loads(entry.to_bytes()),
    }


def _set_row(found: Suggestions) -> dict[str, Any]:
    return {
        "user_id": found.user,
        "entry_id": found.entry_id,
        "rev": 1,
        "suggestion_ids": [one.suggestion_id for one in found.suggestions],
        "confidence": found.suggestions[0].confidence,
        "body": orjson.loads(found.to_bytes()),
    }


def _decision_row(decision: Decision) -> dict[str, Any]:
    return {
        "decision_id": decision.decision_id,
        "user_id": decision.user,
        "entry_id": decision.entry_id,
        "suggestion_id": decision.suggestion_id,
        "concert_id": decision.concert_id,
        "action": decision.action,
        "decided_at": decision.decided_at,
        "body": orjson.loads(decision.to_bytes()),
    }
