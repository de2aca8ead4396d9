"""What a row, a message and a document take on disk, in bytes, after a run: `weigh`."""

from collections.abc import Iterable
from pathlib import Path

from aiokafka import TopicPartition
from sqlalchemy import text

from deploy.clients import clickhouse, kafka_consumer, meilisearch_client, postgres_engine
from deploy.settings import Settings
from schemas.topics import TOPICS

LEAST = 500
"""Of fewer rows the first page would be most of the size."""
TABLES = text(
    """
    select n.nspname || '.' || c.relname as name, pg_total_relation_size(c.oid) as bytes, pg_indexes_size(c.oid) as keys
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname in ('state', 'catalogue')
    """
)
PARTS = "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active GROUP BY table"
Weights = dict[str, dict[str, dict[str, float]]]


async def weigh(settings: Settings) -> Weights:
    """Engine -> table, topic or index -> rows, and bytes of one (`of_keys`: those of PostgreSQL's indexes)."""
    return {
        "postgres": await _postgres(settings),
        "kafka": await _kafka(settings),
        "clickhouse": _clickhouse(settings),
        "meilisearch": _meilisearch(settings),
    }


async def _postgres(settings: Settings) -> dict[str, dict[str, float]]:
    engine = postgres_engine(settings, pool_size=1)
    found = {}
    try:
        async with engine.connect() as connection:
            for name, size, keys in (await connection.execute(TABLES)).all():
                rows = await connection.scalar(text(f"select count(*) from {name}")) or 0  # names of the catalogue
                if rows >= LEAST:
                    found[name] = {"rows": rows, "bytes": size / rows, "of_keys": keys / rows}
    finally:
        await engine.dispose()
    return found


async def _kafka(settings: Settings) -> dict[str, dict[str, float]]:
    found = {}
    async with kafka_consumer(settings, (), None) as consumer:
        for topic in TOPICS:
            parts = [TopicPartition(topic.name, p) for p in range(settings.partitions)]
            begins, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
            count = sum(ends.values()) - sum(begins.values())
            logs = settings.home.glob(f"kafka/**/{topic.name}-*/*.log")
            if count >= LEAST:
                found[topic.name] = {"rows": count, "bytes": _size(logs) / count}
    return found


def _clickhouse(settings: Settings) -> dict[str, dict[str, float]]:
    client = clickhouse(settings)
    try:
        rows = client.query(PARTS).result_rows
    finally:
        client.close()
    return {str(table): {"rows": count, "bytes": size / count} for table, count, size in rows if count >= LEAST}


def _meilisearch(settings: Settings) -> dict[str, dict[str, float]]:
    count = meilisearch_client(settings).index("concerts").get_stats().number_of_documents
    files = (path for path in (settings.home / "meilisearch").rglob("*") if path.is_file())
    return {"concerts": {"rows": count, "bytes": _size(files) / count}} if count >= LEAST else {}


def _size(files: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in files)
