"""Tables of the stores, as numbered steps: Alembic for PostgreSQL, SQL files for ClickHouse."""
