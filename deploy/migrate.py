"""`gigz migrate`: the stores' tables made what `schemas/` and the numbered files say."""

from pathlib import Path

import alembic.command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from deploy.clients import clickhouse, sqlalchemy_url, unusable
from deploy.migrations.clickhouse import apply_clickhouse
from deploy.settings import Settings

_SCRIPTS = Path(__file__).parent / "migrations" / "postgres"
_LOCK = 0x6769677A  # "gigz": one migration at a time, however many processes start


def migrate_stores(settings: Settings) -> list[str]:
    """Bring PostgreSQL and ClickHouse to what this version needs; what they are at, and what was applied."""
    revision = migrate_postgres(settings)
    client = clickhouse(settings)
    try:
        applied = apply_clickhouse(client)
    finally:
        client.close()
    return [f"postgres {revision}", *(f"clickhouse {name}" for name in applied)]


def migrate_postgres(settings: Settings, revision: str = "head") -> str:
    """Bring PostgreSQL to a revision ("head"; "base" for nothing), up or down. The revision it is at."""
    engine = create_engine(
        sqlalchemy_url(settings), connect_args={"connect_timeout": settings.postgres_connect_timeout_s}
    )
    try:
        with engine.connect() as guard:
            guard.execute(text("select pg_advisory_lock(:lock)"), {"lock": _LOCK})
            guard.commit()  # the session holds the lock; an open transaction would keep indexes from being made
            with engine.connect() as connection:
                # A table that is in use is waited for briefly, not queued for: nobody behind us may hang.
                connection.execute(text("set lock_timeout = '5s'"))
                connection.commit()
                return _run(connection, revision)
    except OperationalError as error:
        raise unusable("postgres", settings, str(error.orig)) from error
    finally:
        engine.dispose()


def heads() -> list[str]:
    """The newest revisions on disk; more than one is a mistake."""
    return ScriptDirectory.from_config(_config(None)).get_heads()


def _run(connection: Connection, revision: str) -> str:
    config = _config(connection)
    present = _present(connection)
    script = ScriptDirectory.from_config(config)
    target = script.get_current_head() if revision == "head" else revision
    if target == "base" or (present and target in {s.revision for s in script.iterate_revisions(present, "base")}):
        if target != present:
            alembic.command.downgrade(config, revision)
    else:
        alembic.command.upgrade(config, revision)
    return _present(connection) or "base"


def _present(connection: Connection) -> str | None:
    if connection.scalar(text("select to_regclass('schema_migrations')")) is None:
        connection.rollback()
        return None
    present: str | None = connection.scalar(text("select version_num from schema_migrations"))
    connection.rollback()
    return present


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    return config
