"""Numbered files, applied once, in order, and never changed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from deploy import failures
from deploy.clients import clickhouse
from deploy.migrations.clickhouse import FOLDER, MigrationError, apply_clickhouse, migrations
from deploy.settings import Settings
from schemas.erasure import CLICKHOUSE


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


def test_statements_end_with_a_semicolon_at_a_lines_end_wherever_comments_have_theirs(tmp_path: Path) -> None:
    write(
        tmp_path, "0001_a.sql", "-- one; two;\nCREATE TABLE a (x String DEFAULT ';'\n);\n\n-- end;\nDROP TABLE b;  \n"
    )
    [migration] = migrations(tmp_path)
    assert migration.statements == ["CREATE TABLE a (x String DEFAULT ';'\n)", "DROP TABLE b"]


def test_a_file_without_a_number_and_two_of_one_number_are_errors_that_name_them(tmp_path: Path) -> None:
    write(tmp_path, "0001_a.sql", "")
    write(tmp_path, "0001_b.sql", "")
    with pytest.raises(MigrationError, match=r"0001_b\.sql and 0001_a\.sql"):
        migrations(tmp_path)
    write(tmp_path, "first.sql", "")
    (tmp_path / "0001_b.sql").unlink()
    with pytest.raises(MigrationError, match=r"first\.sql"):
        migrations(tmp_path)


@pytest.fixture
def client(stack: Settings, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client of a database of its own."""
    name = "migrations_" + str(abs(hash(request.node.name)))
    outer = clickhouse(stack)
    outer.command(f"DROP DATABASE IF EXISTS {name}")
    outer.command(f"CREATE DATABASE {name}")
    base = stack.engine_url("clickhouse").rstrip("/")
    base = base.rpartition("/")[0] if base.count("/") > 2 else base
    inner = clickhouse(stack.model_copy(update={"clickhouse_url": f"{base}/{name}"}))
    yield inner
    inner.close()
    outer.command(f"DROP DATABASE {name}")
    outer.close()


@pytest.mark.stack
def test_what_is_applied_is_not_applied_again(client: Client) -> None:
    assert apply_clickhouse(client) == [migration.name for migration in migrations()]
    assert apply_clickhouse(client) == []
    tables = {name for (name,) in client.query("SHOW TABLES").result_rows}
    assert tables == set(CLICKHOUSE)


@pytest.mark.stack
def test_two_that_apply_at_once_end_with_one_of_each(client: Client, stack: Settings) -> None:
    base = stack.engine_url("clickhouse").rstrip("/")
    base = base.rpartition("/")[0] if base.count("/") > 2 else base
    own = stack.model_copy(update={"clickhouse_url": f"{base}/{client.database}"})

    def apply(_: int) -> list[str]:
        one = clickhouse(own)
        try:
            return apply_clickhouse(one)
        finally:
            one.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(apply, range(3)))
    assert apply_clickhouse(client) == []
    assert client.query("SELECT count() FROM schema_migrations FINAL").result_rows == [(len(migrations()),)]


@pytest.mark.stack
def test_a_file_that_was_cut_off_is_run_again(client: Client) -> None:
    client.command(migrations()[0].statements[0])
    assert apply_clickhouse(client) == [migration.name for migration in migrations()]


@pytest.mark.stack
def test_a_changed_file_and_one_of_a_newer_release_are_errors_that_name_them(client: Client, tmp_path: Path) -> None:
    write(tmp_path, "0001_a.sql", "CREATE TABLE IF NOT EXISTS a (x Int8) ENGINE = MergeTree ORDER BY x;\n")
    assert apply_clickhouse(client, tmp_path) == ["0001_a.sql"]
    write(tmp_path, "0002_b.sql", "CREATE TABLE IF NOT EXISTS b (x Int8) ENGINE = MergeTree ORDER BY x;\n")
    assert apply_clickhouse(client, tmp_path) == ["0002_b.sql"]
    write(tmp_path, "0001_a.sql", "CREATE TABLE IF NOT EXISTS a (x Int16) ENGINE = MergeTree ORDER BY x;\n")
    with pytest.raises(MigrationError, match=r"0001_a\.sql was changed.*Remedy"):
        apply_clickhouse(client, tmp_path)
    write(tmp_path, "0001_a.sql", "CREATE TABLE IF NOT EXISTS a (x Int8) ENGINE = MergeTree ORDER BY x;\n")
    (tmp_path / "0002_b.sql").unlink()
    with pytest.raises(MigrationError, match=r"0002_b\.sql.*newer release"):
        apply_clickhouse(client, tmp_path)


@pytest.mark.stack
def test_the_codes_are_named_as_clickhouse_names_them(client: Client) -> None:
    for code, (name, _) in failures.CLICKHOUSE.items():
        assert client.query(f"SELECT errorCodeToName({code})").result_rows == [(name,)]


def test_the_files_are_where_they_are_looked_for() -> None:
    assert migrations(FOLDER)
