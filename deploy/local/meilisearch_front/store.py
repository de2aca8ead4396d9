# ruff: noqa: S608 - conditions are column names of this module and question marks
"""SQLite: the documents of record and the queue of tasks.

A write is one transaction: its documents and the end of its task become true together, or not at all. WAL with
synchronous=NORMAL survives the death of the process, which is what a development server must survive.
"""

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

_TABLES = """
CREATE TABLE IF NOT EXISTS indexes (
    id INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE, primary_key TEXT, settings TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS documents (
    index_id INTEGER NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (index_id, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS documents_by_id ON documents (index_id, id);
CREATE TABLE IF NOT EXISTS tasks (
    uid INTEGER PRIMARY KEY AUTOINCREMENT, index_uid TEXT, type TEXT NOT NULL, status TEXT NOT NULL,
    content TEXT NOT NULL, payload BLOB, details TEXT, error TEXT, canceled_by INTEGER, custom_metadata TEXT,
    enqueued_at TEXT NOT NULL, started_at TEXT, finished_at TEXT
);
CREATE INDEX IF NOT EXISTS tasks_by_status ON tasks (status, uid);
"""
_CHUNK = 500
"""Parameters of one statement; SQLite takes more, this is as fast."""


@dataclass(frozen=True)
class IndexRow:
    """An index as stored; the id stays when indexes are swapped or renamed."""

    id: int
    uid: str
    primary_key: str | None
    settings: dict[str, Any]
    created_at: str
    updated_at: str


@dataclass(frozen=True)
class Task:
    """A task as stored; `payload` is the body of a request that sent documents, until the task is done."""

    uid: int
    index_uid: str | None
    type: str
    status: str
    content: dict[str, Any]
    payload: bytes | None
    details: dict[str, Any] | None
    error: dict[str, Any] | None
    canceled_by: int | None
    custom_metadata: str | None
    enqueued_at: str
    started_at: str | None
    finished_at: str | None

    def view(self) -> dict[str, Any]:
        """The task as clients read it."""
        shown: dict[str, Any] = {
            "uid": self.uid,
            "batchUid": None if self.started_at is None else self.uid,
            "indexUid": self.index_uid,
            "status": self.status,
            "type": self.type,
            "canceledBy": self.canceled_by,
            "details": self.details,
            "error": self.error,
            "duration": _duration(self.started_at, self.finished_at),
            "enqueuedAt": self.enqueued_at,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
        }
        if self.custom_metadata is not None:
            shown["customMetadata"] = self.custom_metadata
        return shown

    def summary(self) -> dict[str, Any]:
        """The answer to a write."""
        return {
            "taskUid": self.uid,
            "indexUid": self.index_uid,
            "status": self.status,
            "type": self.type,
            "enqueuedAt": self.enqueued_at,
        }


def _duration(started: str | None, finished: str | None) -> str | None:
    if started is None or finished is None:
        return None
    return f"PT{(datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds():.6f}S"


class TaskQuery:
    """Conditions on tasks; those of one kind are alternatives."""

    COLUMNS: Mapping[str, str] = {
        "uids": "uid",
        "batchUids": "uid",
        "indexUids": "index_uid",
        "statuses": "status",
        "types": "type",
        "canceledBy": "canceled_by",
    }

    def __init__(self, chosen: Mapping[str, Sequence[Any]]) -> None:
        self.conditions: list[str] = []
        self.parameters: list[Any] = []
        for name, values in chosen.items():
            self.conditions.append(f"{self.COLUMNS[name]} IN ({','.join('?' * len(values))})")
            self.parameters += values

    def sql(self, *more: str) -> str:
        """The WHERE clause."""
        conditions = [*self.conditions, *more]
        return f" WHERE {' AND '.join(conditions)}" if conditions else ""


class Store:
    """One file of SQLite. Each thread has a connection of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "front.sqlite"
        self._local = threading.local()
        self.connection.executescript(_TABLES)

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection; transactions are begun by hand."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = sqlite3.connect(self._path, isolation_level=None, timeout=60)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    def close(self) -> None:
        """Close this thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            del self._local.connection

    def transaction(self, write: Callable[[sqlite3.Connection], None]) -> None:
        """Do all of it or nothing."""
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            write(connection)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    # -- indexes and documents ---------------------------------------------------------------------------------------

    def indexes(self) -> list[IndexRow]:
        """All indexes by name."""
        rows = self.connection.execute("SELECT * FROM indexes ORDER BY uid").fetchall()
        return [IndexRow(**{**dict(row), "settings": orjson.loads(row["settings"])}) for row in rows]

    def numbered(self, index_id: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """All documents of an index with their numbers."""
        rows = self.connection.execute("SELECT number, body FROM documents WHERE index_id = ?", (index_id,))
        for row in rows:
            yield row["number"], orjson.loads(row["body"])

    def numbers_by_id(self, index_id: int, ids: Sequence[str]) -> dict[str, int]:
        """Document id -> number, of those that exist."""
        found: dict[str, int] = {}
        for first in range(0, len(ids), _CHUNK):
            chunk = ids[first : first + _CHUNK]
            marks = ",".join("?" * len(chunk))
            rows = self.connection.execute(
                f"SELECT id, number FROM documents WHERE index_id = ? AND id IN ({marks})", (index_id, *chunk)
            )
            found.update((row["id"], row["number"]) for row in rows)
        return found

    def next_number(self, index_id: int) -> int:
        """A number above all in use."""
        sql = "SELECT COALESCE(MAX(number), -1) + 1 FROM documents WHERE index_id = ?"
        return int(self.connection.execute(sql, (index_id,)).fetchone()[0])

    def documents(self, index_id: int, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Documents by number; those that are gone are left out."""
        found: dict[int, dict[str, Any]] = {}
        for first in range(0, len(numbers), _CHUNK):
            chunk = numbers[first : first + _CHUNK]
            marks = ",".join("?" * len(chunk))
            rows = self.connection.execute(
                f"SELECT number, body FROM documents WHERE index_id = ? AND number IN ({marks})",
                (index_id, *chunk),
            )
            found.update((row["number"], orjson.loads(row["body"])) for row in rows)
        return found

    def document(self, index_id: int, document_id: str) -> dict[str, Any] | None:
        """One document by its id."""
        row = self.connection.execute(
            "SELECT body FROM documents WHERE index_id = ? AND id = ?", (index_id, document_id)
        ).fetchone()
        return None if row is None else orjson.loads(row["body"])

    def field_distribution(self, index_id: int) -> dict[str, int]:
        """Field -> number of documents that have it."""
        rows = self.connection.execute(
            "SELECT key, COUNT(*) AS count FROM documents, json_each(CAST(body AS TEXT)) WHERE index_id = ? "
            "GROUP BY key ORDER BY key",
            (index_id,),
        )
        return {row["key"]: row["count"] for row in rows}

    def sizes(self, index_id: int) -> int:
        """Bytes of an index's documents."""
        row = self.connection.execute(
            "SELECT COALESCE(SUM(LENGTH(body)), 0) FROM documents WHERE index_id = ?", (index_id,)
        ).fetchone()
        return int(row[0])

    def file_size(self) -> int:
        """Bytes of the whole store."""
        return self._path.stat().st_size

    @staticmethod
    def put(connection: sqlite3.Connection, index_id: int, rows: Iterable[tuple[int, str, bytes]]) -> None:
        """Insert or replace documents: number, id, body."""
        connection.executemany(
            "INSERT OR REPLACE INTO documents (index_id, number, id, body) VALUES (?, ?, ?, ?)",
            ((index_id, *row) for row in rows),
        )

    @staticmethod
    def remove(connection: sqlite3.Connection, index_id: int, numbers: Collection[int]) -> None:
        """Delete documents by number."""
        connection.executemany(
            "DELETE FROM documents WHERE index_id = ? AND number = ?", ((index_id, number) for number in numbers)
        )

    # -- tasks -------------------------------------------------------------------------------------------------------

    def enqueue(
        self,
        *,
        type_: str,
        index_uid: str | None,
        content: Mapping[str, Any],
        details: Mapping[str, Any] | None,
        now: str,
        payload: bytes | None = None,
        metadata: str | None = None,
    ) -> Task:
        """Write a task down. From here on it is not lost."""
        cursor = self.connection.execute(
            "INSERT INTO tasks (index_uid, type, status, content, payload, details, custom_metadata, enqueued_at) "
            "VALUES (?, ?, 'enqueued', ?, ?, ?, ?, ?)",
            (index_uid, type_, orjson.dumps(content), payload, orjson.dumps(details), metadata, now),
        )
        task = self.task(cursor.lastrowid or 0)
        assert task is not None
        return task

    def task(self, uid: int) -> Task | None:
        """One task."""
        row = self.connection.execute("SELECT * FROM tasks WHERE uid = ?", (uid,)).fetchone()
        return None if row is None else _task(row)

    def tasks(self, query: TaskQuery, *, limit: int, start: int | None, oldest_first: bool) -> list[Task]:
        """A page of tasks, newest first unless told otherwise, without payloads."""
        more = [] if start is None else [f"uid {'>=' if oldest_first else '<='} {int(start)}"]
        rows = self.connection.execute(
            "SELECT uid, index_uid, type, status, content, NULL AS payload, details, error, canceled_by, "
            f"custom_metadata, enqueued_at, started_at, finished_at FROM tasks{query.sql(*more)} "
            f"ORDER BY uid {'ASC' if oldest_first else 'DESC'} LIMIT {int(limit)}",
            query.parameters,
        )
        return [_task(row) for row in rows]

    def count_tasks(self, query: "TaskQuery", *more: str) -> int:
        """How many tasks there are, under further conditions."""
        row = self.connection.execute(f"SELECT COUNT(*) FROM tasks{query.sql(*more)}", query.parameters).fetchone()
        return int(row[0])

    @staticmethod
    def cancel(connection: sqlite3.Connection, query: "TaskQuery", *more: str, by: int, now: str) -> None:
        """Mark tasks canceled."""
        connection.execute(
            "UPDATE tasks SET status = 'canceled', canceled_by = ?, finished_at = ?, payload = NULL" + query.sql(*more),
            [by, now, *query.parameters],
        )

    @staticmethod
    def forget(connection: sqlite3.Connection, query: "TaskQuery", *more: str) -> None:
        """Delete tasks."""
        connection.execute(f"DELETE FROM tasks{query.sql(*more)}", query.parameters)

    def next_task(self) -> Task | None:
        """The task to do next: cancelations and deletions of tasks first, else the oldest."""
        row = self.connection.execute(
            "SELECT * FROM tasks WHERE status IN ('enqueued', 'processing') "
            "ORDER BY CASE type WHEN 'taskCancelation' THEN 0 WHEN 'taskDeletion' THEN 1 ELSE 2 END, uid LIMIT 1"
        ).fetchone()
        return None if row is None else _task(row)

    def start(self, uid: int, now: str) -> None:
        """The task is being worked on."""
        self.connection.execute("UPDATE tasks SET status = 'processing', started_at = ? WHERE uid = ?", (now, uid))

    @staticmethod
    def finish(
        connection: sqlite3.Connection,
        uid: int,
        *,
        status: str,
        details: Mapping[str, Any] | None,
        error: Mapping[str, Any] | None,
        now: str,
    ) -> None:
        """The task is done; its payload is not needed any more."""
        connection.execute(
            "UPDATE tasks SET status = ?, details = ?, error = ?, finished_at = ?, payload = NULL WHERE uid = ?",
            (status, orjson.dumps(details), None if error is None else orjson.dumps(error), now, uid),
        )


def _task(row: sqlite3.Row) -> Task:
    values = dict(row)
    for name in ("content", "details", "error"):
        values[name] = None if values[name] is None else orjson.loads(values[name])
    return Task(**values)
