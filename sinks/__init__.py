"""Kafka -> ClickHouse, Postgres, Meilisearch: plain consumers that commit after the write."""
