"""How many listings, concerts, suggestions and decisions each store has, by one definition, so that they compare.

    listings      that a source has told of
    concerts      that are: a tombstone takes one away
    suggestions   pairs of an entry and a concert proposed for it
    decisions     entries that have one, undone ones included

Each reads the store itself, not what a stage remembers of it.
"""

import asyncio

from sqlalchemy import func, select

from deploy.clients import check_postgres, clickhouse_async, meilisearch_client, postgres_engine
from deploy.flow import scan
from deploy.settings import Settings
from schemas.concert import Concert
from schemas.decision import Decision
from schemas.listing import Listing
from schemas.message import MessageError
from schemas.suggestion import Suggestions
from schemas.tables import CatalogueConcert, DecisionRow, ListingRow, SuggestionsRow
from sinks.received import Received, receive

Counts = dict[str, int]
_NOUNS = {
    Listing.topic: "listings",
    Concert.topic: "concerts",
    Suggestions.topic: "suggestions",
    Decision.topic: "decisions",
}


async def count_stores(settings: Settings) -> dict[str, Counts]:
    """Store -> counts. SettingsError names the store that does not answer."""
    kafka, postgres, clickhouse, meilisearch = await asyncio.gather(
        kafka_counts(settings), postgres_counts(settings), clickhouse_counts(settings), meilisearch_counts(settings)
    )
    return {"kafka": kafka, "postgres": postgres, "clickhouse": clickhouse, "meilisearch": meilisearch}


async def kafka_counts(settings: Settings) -> Counts:
    """The newest message of each key, all topics read once from the beginning. What nobody can read does not count."""
    newest: dict[str, dict[str, tuple[float, int]]] = {noun: {} for noun in _NOUNS.values()}
    async for record in scan(settings, _NOUNS):
        try:
            received = receive(record)
            version, size = _version_and_size(received)
        except MessageError:
            continue
        known = newest[_NOUNS[record.topic]]
        if version is None:
            known.pop(received.key, None)
        elif version >= known.get(received.key, (0, 0))[0]:
            known[received.key] = version, size
    return {noun: sum(size for _, size in known.values()) for noun, known in newest.items()}


def _version_and_size(received: Received) -> tuple[float | None, int]:
    """What orders the messages of a key, None for one that forgets it; and what it counts for."""
    match received.message:
        case Listing(version=version):
            return version, 1
        case Concert(rev=rev):
            return rev, 1
        case Suggestions(rev=rev, suggestions=found):
            return rev, len(found)
        case Decision(decided_at=decided_at):
            return decided_at.timestamp(), 1
    return (received.tombstone_rev(), 0) if received.origin.topic == Concert.topic else (None, 0)


async def postgres_counts(settings: Settings) -> Counts:
    """Concerts of the catalogue that are not gone; the rest as the stages hold it."""
    engine = postgres_engine(settings, pool_size=1, name="gigz-counts")
    try:
        await check_postgres(engine, settings)
        decided = select(DecisionRow.user_id, DecisionRow.entry_id).distinct().subquery()
        async with engine.connect() as connection:
            return {
                "listings": await connection.scalar(select(func.count()).select_from(ListingRow)) or 0,
                "concerts": await connection.scalar(
                    select(func.count()).select_from(CatalogueConcert).where(~CatalogueConcert.gone)
                )
                or 0,
                "suggestions": await connection.scalar(
                    select(func.coalesce(func.sum(func.cardinality(SuggestionsRow.suggestion_ids)), 0))
                )
                or 0,
                "decisions": await connection.scalar(select(func.count()).select_from(decided)) or 0,
            }
    finally:
        await engine.dispose()


async def clickhouse_counts(settings: Settings) -> Counts:
    """Rows of the current tables, exactly."""
    client = await clickhouse_async(settings)
    try:
        counts: Counts = {}
        for noun in _NOUNS.values():
            [[count]] = (await client.query(f"SELECT count() FROM {noun} FINAL")).result_rows  # noqa: S608 - our names
            counts[noun] = count
        return counts
    finally:
        await client.close()


async def meilisearch_counts(settings: Settings) -> Counts:
    """Documents of the index of concerts."""
    client = await asyncio.to_thread(meilisearch_client, settings)
    stats = await asyncio.to_thread(client.index("concerts").get_stats)
    return {"concerts": stats.number_of_documents}
