"""Alembic's entry: runs inside `deploy.migrate`, which hands over the connection."""

from alembic import context

from schemas.tables import CATALOGUE, STATE, Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    include_schemas=True,
    include_name=lambda name, kind, _: kind != "schema" or name in {STATE, CATALOGUE},
    version_table="schema_migrations",
    compare_type=True,
    compare_server_default=False,
    transaction_per_migration=True,
)
context.run_migrations()
