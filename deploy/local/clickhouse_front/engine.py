"""The one engine of the process, and statements run on it.

A request gets a connection of its own (measured: 1 ms), so that its database and settings end with it.
"""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import chdb

from deploy.local.clickhouse_front.errors import ServerError, from_engine, not_implemented
from deploy.local.clickhouse_front.statements import Statement

VERSION: str = chdb.engine_version
FRONT = f"clickhouse over chdb-core {version('chdb-core')}"

CONFIG = """<clickhouse>
    <!-- A share of one developer's machine, not all of it. -->
    <max_server_memory_usage>2147483648</max_server_memory_usage>
    <mark_cache_size>67108864</mark_cache_size>
    <background_pool_size>1</background_pool_size>
    <max_thread_pool_size>200</max_thread_pool_size>
</clickhouse>
"""

# chDB takes "1+1" for "SELECT 1+1"; a server calls it a syntax error.
_CONNECTION_SETTINGS = "SET implicit_select = 0"

# Names that chDB's Python side keeps for objects of its own.
_PYTHON_FORMATS = frozenset(("arrowtable", "dataframe", "datastore", "debug"))


@dataclass(frozen=True, slots=True)
class Query:
    """A statement with what came along: database, settings and the values of its {name:Type} places."""

    statement: Statement
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    default_format: str = "TabSeparated"


@dataclass(frozen=True, slots=True)
class Result:
    """Bytes in `format` (None: the statement gives no rows), and the counts of X-ClickHouse-Summary."""

    body: bytes
    format: str | None
    summary: Mapping[str, int]


class Engine:
    """chDB on a folder. Not for several threads at once: the front has one thread for it."""

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        # chDB reads what follows "?" as a form, in which a full path with + or & would be another one.
        os.chdir(data)
        Path("front.xml").write_text(CONFIG, encoding="utf-8")
        self._address = f"{data}?config-file=front.xml"
        self._kept = self._connect()  # the engine stops with its last connection

    def close(self) -> None:
        """Stop the engine; all acknowledged data are in files already."""
        self._kept.close()

    def run(self, query: Query) -> Result:
        """Run one statement to its end. ServerError with the engine's code and text."""
        started = time.perf_counter_ns()
        connection = self._connect()
        try:
            for statement in _preparation(query):
                connection.query(statement, "Null")
            if query.statement.input_format:
                body, counts = b"", _insert(connection, query, query.statement.input_format)
            else:
                body, counts = _ask(connection, query)
        except (chdb.ChdbError, RuntimeError) as error:
            raise from_engine(str(error)) from error
        finally:
            connection.close()
        summary = {**counts, "elapsed_ns": time.perf_counter_ns() - started}
        return Result(body, _format(query) if query.statement.returns_rows else None, summary)

    def _connect(self) -> chdb.state.sqlitelike.Connection:
        return chdb.connect(self._address)


def _preparation(query: Query) -> list[str]:
    statements = [_CONNECTION_SETTINGS]
    if query.database:
        statements.append(f"USE {_quote(query.database, '`')}")
    # readonly last: behind it no setting can be changed any more
    names = sorted(query.settings, key=lambda name: name == "readonly")
    for name in names:
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            raise ServerError(115, "UNKNOWN_SETTING", f"Unknown setting '{name}'.")
    if names:
        statements.append("SET " + ", ".join(f"{name} = {_quote(query.settings[name])}" for name in names))
    return statements


def _ask(connection: chdb.state.sqlitelike.Connection, query: Query) -> tuple[bytes, dict[str, int]]:
    result = connection.query(query.statement.sql, _format(query), params=dict(query.parameters))
    body: bytes = result.bytes()
    return body, {
        "read_rows": result.storage_rows_read(),
        "read_bytes": result.storage_bytes_read(),
        "written_rows": result.rows_written(),
        "written_bytes": result.bytes_written(),
        "result_rows": result.rows_read(),
        "result_bytes": len(body),
    }


def _insert(connection: chdb.state.sqlitelike.Connection, query: Query, input_format: str) -> dict[str, int]:
    if query.parameters:
        raise not_implemented("parameters in an INSERT with FORMAT")
    with connection.send_insert(query.statement.sql, input_format) as insert:
        if query.statement.data:
            insert.append(query.statement.data)
        done = insert.finish()
    rows, size = done.rows_written, done.bytes_written
    return {"read_rows": rows, "read_bytes": size, "written_rows": rows, "written_bytes": size, "result_rows": rows}


def _format(query: Query) -> str:
    name = query.statement.output_format or query.default_format
    if name.lower() in _PYTHON_FORMATS or not re.fullmatch(r"\w+", name, re.ASCII):
        raise ServerError(73, "UNKNOWN_FORMAT", f"Unknown format {name}.")
    return name


def _quote(text: str, mark: str = "'") -> str:
    escaped = text.replace("\\", "\\\\").replace(mark, f"\\{mark}")
    return f"{mark}{escaped}{mark}"
