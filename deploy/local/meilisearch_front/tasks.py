"""The one writer: takes tasks in order, and makes each true in the store and in memory together.

A task is read from the store, so a task that was acknowledged is done after any crash: what was being worked on is
simply done again, since nothing of it was committed.
"""

import ctypes
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from sqlite3 import Connection
from typing import Any

import orjson

from deploy.local.meilisearch_front import filters
from deploy.local.meilisearch_front import settings as index_settings
from deploy.local.meilisearch_front.columns import leaves
from deploy.local.meilisearch_front.errors import ApiError, index_not_found
from deploy.local.meilisearch_front.index import LiveIndex
from deploy.local.meilisearch_front.payloads import read_documents
from deploy.local.meilisearch_front.search import select
from deploy.local.meilisearch_front.store import IndexRow, Store, Task, TaskQuery

log = logging.getLogger(__name__)

MAX_ID_BYTES = 511
_ID_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")

LARGE_PAYLOAD = 2_000_000
"""Bytes; after such a task the process gives memory back."""

Clock = Callable[[], datetime]


def stamp(clock: Clock) -> str:
    """The time as tasks carry it."""
    return clock().isoformat(timespec="microseconds").replace("+00:00", "Z")


def give_memory_back() -> None:
    """Return freed memory to the system where the C library can: after 50,000 documents 490 MB became 210 MB."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@dataclass
class Entry:
    """One index in memory. Only the writer changes it."""

    row: IndexRow
    live: LiveIndex

    @property
    def numbers(self) -> frozenset[int]:
        """Numbers of all its documents."""
        return self.live.view.columns.documents


@dataclass(frozen=True)
class Effect:
    """What a task does once it is known to be possible."""

    details: Mapping[str, Any] | None = None
    write: Callable[[Connection], None] = lambda connection: None
    publish: Callable[[], None] = lambda: None


class Catalogue:
    """All indexes. `lock` makes the end of a task and what it changed visible in one moment."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lock = threading.RLock()
        self.entries: dict[str, Entry] = {row.uid: load(store, row) for row in store.indexes()}

    def entry(self, uid: str) -> Entry:
        """ApiError when there is none."""
        with self.lock:
            found = self.entries.get(uid)
        if found is None:
            raise index_not_found(uid)
        return found


def load(store: Store, row: IndexRow) -> Entry:
    """An index from the documents of record."""
    return Entry(row, LiveIndex(row.settings, store.numbered(row.id)))


class Writer(threading.Thread):
    """Does tasks until told to stop; `wake` it after enqueuing."""

    def __init__(self, catalogue: Catalogue, clock: Clock) -> None:
        super().__init__(name="writer", daemon=True)
        self._catalogue = catalogue
        self._store = catalogue.store
        self._clock = clock
        self._wake = threading.Event()
        self._stopping = False
        self._kinds: dict[str, Callable[[Task], Effect]] = {
            "documentAdditionOrUpdate": self._put_documents,
            "documentDeletion": self._delete_documents,
            "settingsUpdate": self._update_settings,
            "indexCreation": self._create_index,
            "indexUpdate": self._update_index,
            "indexDeletion": self._delete_index,
            "indexSwap": self._swap_indexes,
            "taskCancelation": self._cancel_tasks,
            "taskDeletion": self._delete_tasks,
        }

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def stop(self) -> None:
        """Finish the task at hand and end."""
        self._stopping = True
        self._wake.set()
        self.join()

    def run(self) -> None:
        """The thread."""
        while not self._stopping:
            task = self._store.next_task()
            if task is None:
                self._wake.wait()
                self._wake.clear()
                continue
            self._do(task)
            if len(task.payload or b"") > LARGE_PAYLOAD:
                give_memory_back()
        self._store.close()

    def _do(self, task: Task) -> None:
        self._store.start(task.uid, stamp(self._clock))
        error: ApiError | None = None
        try:
            effect = self._kinds[task.type](task)
            self._commit(task, effect, None)
            return
        except ApiError as refused:
            error = refused
        except Exception:
            log.exception("task %d (%s) failed", task.uid, task.type)
            error = ApiError("internal", "An unexpected error occurred when processing the task; see the front's log.")
            self._reload(task.index_uid)
        self._commit(task, Effect(_nothing_done(task.details)), error)

    def _commit(self, task: Task, effect: Effect, error: ApiError | None) -> None:
        def write(connection: Connection) -> None:
            effect.write(connection)
            self._store.finish(
                connection,
                task.uid,
                status="succeeded" if error is None else "failed",
                details=effect.details,
                error=None if error is None else error.body(),
                now=stamp(self._clock),
            )

        with self._catalogue.lock:
            self._store.transaction(write)
            effect.publish()

    def _reload(self, uid: str | None) -> None:
        """After a failure in the middle of a write: memory follows the store again."""
        row = next((row for row in self._store.indexes() if row.uid == uid), None)
        if row is not None:
            entry = load(self._store, row)
            with self._catalogue.lock:
                self._catalogue.entries[row.uid] = entry

    # -- indexes -----------------------------------------------------------------------------------------------------

    def _existing(self, uid: str | None) -> Entry:
        return self._catalogue.entry(uid or "")

    def _existing_or_new(self, uid: str | None) -> Entry:
        """Documents and settings make their index when it is not there."""
        entry = self._catalogue.entries.get(uid or "")
        return entry if entry is not None else self._new_entry(uid or "", None)

    def _new_entry(self, uid: str, primary_key: str | None) -> Entry:
        taken = self._store.connection.execute("SELECT COALESCE(MAX(id), 0) FROM indexes").fetchone()[0]
        now = stamp(self._clock)
        return Entry(IndexRow(taken + 1, uid, primary_key, {}, now, now), LiveIndex({}, ()))

    def _saved(self, row: IndexRow) -> Callable[[Connection], None]:
        row = replace(row, updated_at=stamp(self._clock))

        def write(connection: Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO indexes (id, uid, primary_key, settings, created_at, updated_at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (row.id, row.uid, row.primary_key, orjson.dumps(row.settings), row.created_at, row.updated_at),
            )

        return write

    def _create_index(self, task: Task) -> Effect:
        uid, primary_key = task.index_uid or "", task.content["primaryKey"]
        if uid in self._catalogue.entries:
            raise ApiError("index_already_exists", f"Index `{uid}` already exists.")
        entry = self._new_entry(uid, primary_key)

        def publish() -> None:
            self._catalogue.entries[uid] = entry

        return Effect({"primaryKey": primary_key}, self._saved(entry.row), publish)

    def _update_index(self, task: Task) -> Effect:
        entry = self._existing(task.index_uid)
        primary_key, new_uid = task.content["primaryKey"], task.content["newUid"]
        if primary_key and entry.numbers and primary_key != entry.row.primary_key:
            raise ApiError(
                "index_primary_key_already_exists",
                f"Index `{entry.row.uid}`: Index already has a primary key: `{entry.row.primary_key}`.",
            )
        if new_uid and new_uid != entry.row.uid and new_uid in self._catalogue.entries:
            raise ApiError("index_already_exists", f"Index `{new_uid}` already exists.")
        row = replace(entry.row, primary_key=primary_key or entry.row.primary_key, uid=new_uid or entry.row.uid)

        def publish() -> None:
            del self._catalogue.entries[entry.row.uid]
            entry.row = row
            self._catalogue.entries[row.uid] = entry

        return Effect(task.details, self._saved(row), publish)

    def _delete_index(self, task: Task) -> Effect:
        entry = self._existing(task.index_uid)

        def write(connection: Connection) -> None:
            connection.execute("DELETE FROM documents WHERE index_id = ?", (entry.row.id,))
            connection.execute("DELETE FROM indexes WHERE id = ?", (entry.row.id,))

        def publish() -> None:
            del self._catalogue.entries[entry.row.uid]

        return Effect({"deletedDocuments": len(entry.numbers)}, write, publish)

    def _swap_indexes(self, task: Task) -> Effect:
        """Names change places, with the history of their tasks; documents and settings stay with the index."""
        names = dict(self._catalogue.entries)
        missing = [uid for swap in task.content["swaps"] for uid in swap["indexes"] if uid not in names]
        if missing:
            listed = ", ".join(f"`{uid}`" for uid in missing)
            plural = f"Indexes {listed} not found." if len(missing) > 1 else f"Index {listed} not found."
            raise ApiError("index_not_found", plural)
        for swap in task.content["swaps"]:
            left, right = swap["indexes"]
            names[left], names[right] = names[right], names[left]
        moved = {uid: entry for uid, entry in names.items() if entry.row.uid != uid}

        def write(connection: Connection) -> None:
            for uid, entry in moved.items():  # two steps: names are unique at every moment
                connection.execute("UPDATE indexes SET uid = ? WHERE id = ?", (f"\0{uid}", entry.row.id))
            for uid, entry in moved.items():
                connection.execute("UPDATE indexes SET uid = ? WHERE id = ?", (uid, entry.row.id))
            renames = {entry.row.uid: uid for uid, entry in moved.items()}
            for old in renames:
                connection.execute(
                    "UPDATE tasks SET index_uid = ? WHERE index_uid = ? AND uid < ?", (f"\0{old}", old, task.uid)
                )
            for old, new in renames.items():
                connection.execute("UPDATE tasks SET index_uid = ? WHERE index_uid = ?", (new, f"\0{old}"))

        def publish() -> None:
            for uid, entry in moved.items():
                entry.row = replace(entry.row, uid=uid)
            self._catalogue.entries = names

        return Effect(task.details, write, publish)

    def _update_settings(self, task: Task) -> Effect:
        entry = self._existing_or_new(task.index_uid)
        stored = index_settings.merge(entry.row.settings, task.content)
        row = replace(entry.row, settings=stored)
        same = stored == entry.row.settings  # workers set theirs at every start
        live = entry.live if same else LiveIndex(stored, self._store.numbered(row.id))

        def publish() -> None:
            entry.row, entry.live = row, live
            self._catalogue.entries[row.uid] = entry

        return Effect(task.details, self._saved(row), publish)

    # -- documents ---------------------------------------------------------------------------------------------------

    def _put_documents(self, task: Task) -> Effect:
        entry = self._existing_or_new(task.index_uid)
        content = task.content
        received = read_documents(task.payload or b"", content["contentType"], content["csvDelimiter"])
        where = f"Index `{task.index_uid}`: "
        primary_key = _primary_key(entry.row.primary_key, content["primaryKey"], received, where)
        merged: dict[str, dict[str, Any]] = {}
        for document in received:
            document_id = _document_id(document, primary_key, where)
            if content["merge"] and document_id in merged:
                merged[document_id] = {**merged[document_id], **document}
            else:
                merged[document_id] = document
        numbers = self._store.numbers_by_id(entry.row.id, list(merged))
        if content["skipCreation"]:
            merged = {document_id: merged[document_id] for document_id in merged if document_id in numbers}
        if content["merge"]:
            before = self._store.documents(entry.row.id, list(numbers.values()))
            merged = {d: {**before.get(numbers.get(d, -1), {}), **document} for d, document in merged.items()}
        free = count(self._store.next_number(entry.row.id))
        numbers |= {document_id: next(free) for document_id in merged if document_id not in numbers}
        by_number = {numbers[document_id]: document for document_id, document in merged.items()}
        rows = [(numbers[document_id], document_id, orjson.dumps(document)) for document_id, document in merged.items()]
        view = entry.live.apply((), by_number)
        row = replace(entry.row, primary_key=primary_key)
        save = self._saved(row)

        def write(connection: Connection) -> None:
            save(connection)
            self._store.put(connection, row.id, rows)

        def publish() -> None:
            entry.row, entry.live.view = row, view
            self._catalogue.entries[row.uid] = entry

        details = {"receivedDocuments": len(received), "indexedDocuments": len(received)}
        return Effect(details, write, publish)

    def _delete_documents(self, task: Task) -> Effect:
        entry = self._existing(task.index_uid)
        content = task.content
        if content["kind"] == "all":
            doomed = list(entry.numbers)
        elif content["kind"] == "ids":
            doomed = list(self._store.numbers_by_id(entry.row.id, content["ids"]).values())
        else:
            tree = filters.parse(content["filter"], "invalid_document_filter")
            doomed = [] if tree is None else list(select(entry.live.view, tree, "invalid_document_filter"))
        view = entry.live.apply(doomed, {})

        def publish() -> None:
            entry.live.view = view

        return Effect(
            {**(task.details or {}), "deletedDocuments": len(doomed)},
            lambda connection: self._store.remove(connection, entry.row.id, doomed),
            publish,
        )

    # -- tasks -------------------------------------------------------------------------------------------------------

    def _cancel_tasks(self, task: Task) -> Effect:
        query = TaskQuery(task.content["query"])
        open_before = ("status IN ('enqueued', 'processing')", f"uid < {task.uid}")
        canceled = self._store.count_tasks(query, *open_before)

        def write(connection: Connection) -> None:
            self._store.cancel(connection, query, *open_before, by=task.uid, now=stamp(self._clock))

        return Effect({**(task.details or {}), "canceledTasks": canceled}, write)

    def _delete_tasks(self, task: Task) -> Effect:
        query = TaskQuery(task.content["query"])
        finished_before = ("status IN ('succeeded', 'failed', 'canceled')", f"uid < {task.uid}")
        deleted = self._store.count_tasks(query, *finished_before)

        def write(connection: Connection) -> None:
            self._store.forget(connection, query, *finished_before)

        return Effect({**(task.details or {}), "deletedTasks": deleted}, write)


def _nothing_done(details: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Details of a failed task: what is still open was not done."""
    if details is None:
        return None
    counts = ("indexedDocuments", "deletedDocuments", "canceledTasks", "deletedTasks")
    return {name: 0 if name in counts and value is None else value for name, value in details.items()}


def _primary_key(known: str | None, asked: str | None, documents: Sequence[Mapping[str, Any]], where: str) -> str:
    """The index's, else the request's, else the one field of the first document whose name ends in `id`."""
    if known is not None:
        if asked is not None and asked != known:
            raise ApiError("index_primary_key_already_exists", f"{where}Index already has a primary key: `{known}`.")
        return known
    if asked is not None:
        return asked
    candidates = sorted(name for name in (documents[0] if documents else ()) if name.lower().endswith("id"))
    remedy = "Please specify the primary key manually using the `primaryKey` query parameter."
    if not candidates:
        raise ApiError(
            "index_primary_key_no_candidate_found",
            f"{where}The primary key inference failed as the engine did not find any field ending with `id` in its "
            f"name. {remedy}",
        )
    if len(candidates) > 1:
        raise ApiError(
            "index_primary_key_multiple_candidates_found",
            f"{where}The primary key inference failed as the engine found {len(candidates)} fields ending with `id` in "
            f"their names: '{candidates[0]}' and '{candidates[1]}'. {remedy}",
        )
    return candidates[0]


def _document_id(document: Mapping[str, Any], primary_key: str, where: str) -> str:
    values = [document[primary_key]] if primary_key in document else _nested(document, primary_key)
    if not values:
        shown = orjson.dumps(document).decode()
        raise ApiError("missing_document_id", f"{where}Document doesn't have a `{primary_key}` attribute: `{shown}`.")
    document_id = document_id_of(values[0])
    if document_id is None:
        raise ApiError(
            "invalid_document_id",
            f"{where}Document identifier `{orjson.dumps(values[0]).decode()}` is invalid. A document identifier can be "
            "of type integer or string, only composed of alphanumeric characters (a-z A-Z 0-9), hyphens (-) and "
            "underscores (_), and can not be more than 511 bytes.",
        )
    return document_id


def _nested(document: Mapping[str, Any], primary_key: str) -> Sequence[Any]:
    return [leaf for path, leaf in leaves(document) if path == primary_key] if "." in primary_key else []


def document_id_of(value: Any) -> str | None:
    """A value as a document id; None when it cannot be one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    valid = isinstance(value, str) and 0 < len(value) <= MAX_ID_BYTES and _ID_CHARACTERS.issuperset(value)
    return value if valid else None
