"""HTTP: Meilisearch's routes over a store, a catalogue and a writer."""

import asyncio
import hmac
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import orjson
from aiohttp import web

from deploy.local.meilisearch_front import MODEL_VERSION, filters
from deploy.local.meilisearch_front import settings as index_settings
from deploy.local.meilisearch_front.errors import ApiError, not_served
from deploy.local.meilisearch_front.payloads import check_content_type, read_documents
from deploy.local.meilisearch_front.search import (
    MAX_COUNT,
    facet_search,
    from_query_string,
    pick,
    read_parameters,
    search,
    select,
    sort_by_value,
    sort_rules,
)
from deploy.local.meilisearch_front.store import IndexRow, Store, Task, TaskQuery
from deploy.local.meilisearch_front.tasks import Catalogue, Clock, Entry, Writer, document_id_of, stamp

FRONT_HEADER = "X-Gigz-Front"
FRONT_NAME = f"meilisearch over tantivy {'.'.join(version('tantivy').split('.')[:2])}"
MAX_BODY = 100 * 1024 * 1024
"""Bytes; Meilisearch's default."""
SEARCH_THREADS = 4

log = logging.getLogger(__name__)

_UID = re.compile(r"[A-Za-z0-9_-]{1,400}")
_TASK_STATUSES = ("enqueued", "processing", "succeeded", "failed", "canceled")
_TASK_TYPES = (
    "documentAdditionOrUpdate",
    "documentEdition",
    "documentDeletion",
    "settingsUpdate",
    "indexCreation",
    "indexDeletion",
    "indexUpdate",
    "indexSwap",
    "taskCancelation",
    "taskDeletion",
    "dumpCreation",
    "snapshotCreation",
    "export",
    "upgradeDatabase",
    "indexCompaction",
)
_NOT_SERVED = (
    "/keys",
    "/keys/{rest:.*}",
    "/batches",
    "/batches/{rest:.*}",
    "/dumps",
    "/snapshots",
    "/webhooks",
    "/webhooks/{rest:.*}",
    "/network",
    "/export",
    "/metrics",
    "/logs/{rest:.*}",
    "/chats",
    "/chats/{rest:.*}",
    "/experimental-features",
    "/dynamic-search-rules",
    "/dynamic-search-rules/{rest:.*}",
    "/render-template",
    "/tasks/{uid}/documents",
    "/indexes/{uid}/similar",
    "/indexes/{uid}/fields",
    "/indexes/{uid}/compact",
    "/indexes/{uid}/documents/edit",
    "/indexes/{uid}/settings/{name}",
)
"""Meilisearch's routes that answer with a refusal here."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
T = TypeVar("T")


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


class Front:
    """The server's parts and its routes."""

    def __init__(self, folder: Path, key: str | None = None, clock: Clock = lambda: datetime.now(UTC)) -> None:
        self._key = key
        self._clock = clock
        self._store = Store(folder)
        self._catalogue = Catalogue(self._store)
        self._writer = Writer(self._catalogue, clock)
        # Writes of tasks have a thread of their own, so that searches never wait behind them.
        self._searches = ThreadPoolExecutor(SEARCH_THREADS, "search")
        self._enqueues = ThreadPoolExecutor(1, "enqueue")

    def application(self) -> web.Application:
        """The aiohttp application; the writer lives as long as it does."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._answer])
        app.cleanup_ctx.append(self._lifetime)
        app.on_response_prepare.append(_name_the_front)
        index, documents = "/indexes/{uid}", "/indexes/{uid}/documents"
        routes: list[tuple[str, str, Handler]] = [
            ("GET", "/health", self._health),
            ("GET", "/version", self._version),
            ("GET", "/stats", self._all_stats),
            ("GET", "/indexes", self._list_indexes),
            ("POST", "/indexes", self._create_index),
            ("GET", index, self._get_index),
            ("PATCH", index, self._update_index),
            ("DELETE", index, self._delete_index),
            ("GET", f"{index}/stats", self._index_stats),
            ("POST", "/swap-indexes", self._swap_indexes),
            ("GET", f"{index}/settings", self._get_settings),
            ("PATCH", f"{index}/settings", self._update_settings),
            ("DELETE", f"{index}/settings", self._reset_settings),
            ("GET", documents, self._list_documents),
            ("POST", f"{documents}/fetch", self._fetch_documents),
            ("POST", documents, partial(self._put_documents, merge=False)),
            ("PUT", documents, partial(self._put_documents, merge=True)),
            ("DELETE", documents, self._delete_all_documents),
            ("POST", f"{documents}/delete-batch", self._delete_batch),
            ("POST", f"{documents}/delete", self._delete_by_filter),
            ("GET", f"{documents}/{{id}}", self._get_document),
            ("DELETE", f"{documents}/{{id}}", self._delete_document),
            ("GET", f"{index}/search", self._search),
            ("POST", f"{index}/search", self._search),
            ("POST", f"{index}/facet-search", self._facet_search),
            ("POST", "/multi-search", self._multi_search),
            ("GET", "/tasks", self._list_tasks),
            ("DELETE", "/tasks", self._delete_tasks),
            ("POST", "/tasks/cancel", self._cancel_tasks),
            ("GET", "/tasks/{uid}", self._get_task),
        ]
        for route, name in index_settings.BY_ROUTE.items():
            verb = "PATCH" if isinstance(index_settings.DEFAULTS[name], dict) and name != "synonyms" else "PUT"
            address = f"{index}/settings/{route}"
            routes.append(("GET", address, partial(self._get_setting, name=name)))
            routes.append((verb, address, partial(self._put_setting, name=name)))
            routes.append(("DELETE", address, partial(self._reset_setting, name=name)))
        for method, address, handler in routes:
            app.router.add_route(method, address, handler)
        for address in _NOT_SERVED:
            app.router.add_route("*", address, _refuse)
        return app

    async def _lifetime(self, _: web.Application) -> AsyncIterator[None]:
        self._writer.start()
        yield
        await asyncio.to_thread(self._writer.stop)
        self._searches.shutdown()
        self._enqueues.shutdown()

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Who may ask, and every failure in Meilisearch's shape."""
        try:
            if request.path != "/health":
                self._authorise(request)
            return await handler(request)
        except ApiError as error:
            refusal = error
        except web.HTTPRequestEntityTooLarge:
            limit = "The provided payload reached the size limit. The maximum accepted payload size is 100 MiB."
            refusal = ApiError("payload_too_large", limit)
        except web.HTTPMethodNotAllowed:
            refusal = ApiError("method_not_allowed", f"{request.method} {request.path} is not a route of Meilisearch.")
        except web.HTTPNotFound:
            refusal = ApiError("not_found", f"{request.path} is not a route of Meilisearch.")
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            refusal = ApiError("internal", "An unexpected error occurred; see the front's log.")
        return _json(refusal.body(), refusal.status)

    def _authorise(self, request: web.Request) -> None:
        if self._key is None:
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise ApiError(
                "missing_authorization_header",
                "The Authorization header is missing. It must use the bearer authorization method.",
            )
        if not hmac.compare_digest(token.strip().encode(), self._key.encode()):
            raise ApiError("invalid_api_key", "The provided API key is invalid.")

    async def _reading(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._searches, work)

    def _entry(self, request: web.Request) -> Entry:
        return self._catalogue.entry(_uid(request))

    # -- the server --------------------------------------------------------------------------------------------------

    async def _health(self, _: web.Request) -> web.Response:
        return _json({"status": "available"})

    async def _version(self, _: web.Request) -> web.Response:
        return _json({"commitSha": "unknown", "commitDate": "unknown", "pkgVersion": MODEL_VERSION})

    async def _all_stats(self, _: web.Request) -> web.Response:
        def work() -> dict[str, Any]:
            with self._catalogue.lock:
                entries = list(self._catalogue.entries.values())
            return {
                "databaseSize": self._store.file_size(),
                "usedDatabaseSize": self._store.file_size(),
                "lastUpdate": max((entry.row.updated_at for entry in entries), default=None),
                "indexes": {entry.row.uid: self._stats(entry) for entry in entries},
            }

        return _json(await self._reading(work))

    def _stats(self, entry: Entry) -> dict[str, Any]:
        count, size = len(entry.live.view.columns.documents), self._store.sizes(entry.row.id)
        busy = TaskQuery({"indexUids": [entry.row.uid], "statuses": ["processing"]})
        return {
            "numberOfDocuments": count,
            "rawDocumentDbSize": size,
            "avgDocumentSize": size // count if count else 0,
            "isIndexing": self._store.count_tasks(busy) > 0,
            "numberOfEmbeddings": 0,
            "numberOfEmbeddedDocuments": 0,
            "fieldDistribution": self._store.field_distribution(entry.row.id),
        }

    # -- indexes -----------------------------------------------------------------------------------------------------

    async def _list_indexes(self, request: web.Request) -> web.Response:
        offset, limit = _page(request.query, "index")
        with self._catalogue.lock:
            rows = [entry.row for _, entry in sorted(self._catalogue.entries.items())]
        shown = [_index_view(row) for row in rows[offset : offset + limit]]
        return _json({"results": shown, "offset": offset, "limit": limit, "total": len(rows)})

    async def _create_index(self, request: web.Request) -> web.Response:
        body = await _object(request, {"uid", "primaryKey"})
        if "uid" not in body:
            raise ApiError("missing_index_uid", "Missing field `uid`")
        uid, primary_key = _valid_uid(body["uid"]), _optional_text(body, "primaryKey", "invalid_index_primary_key")
        content = {"primaryKey": primary_key}
        return await self._enqueue("indexCreation", uid, content, content)

    async def _get_index(self, request: web.Request) -> web.Response:
        return _json(_index_view(self._entry(request).row))

    async def _update_index(self, request: web.Request) -> web.Response:
        body = await _object(request, {"uid", "primaryKey"})
        primary_key = _optional_text(body, "primaryKey", "invalid_index_primary_key")
        new_uid = None if body.get("uid") is None else _valid_uid(body["uid"])
        details = {"primaryKey": primary_key}
        if new_uid:
            details |= {"oldIndexUid": _uid(request), "newIndexUid": new_uid}
        return await self._enqueue(
            "indexUpdate", _uid(request), {"primaryKey": primary_key, "newUid": new_uid}, details, request
        )

    async def _delete_index(self, request: web.Request) -> web.Response:
        return await self._enqueue("indexDeletion", _uid(request), {}, {"deletedDocuments": None}, request)

    async def _index_stats(self, request: web.Request) -> web.Response:
        entry = self._entry(request)
        return _json(await self._reading(partial(self._stats, entry)))

    async def _swap_indexes(self, request: web.Request) -> web.Response:
        body = await _body(request)
        swaps: list[dict[str, Any]] = []
        for swap in body if isinstance(body, list) else [body]:
            indexes = swap.get("indexes") if isinstance(swap, dict) else None
            if not isinstance(indexes, list) or len(indexes) != 2:
                message = f"Two indexes must be given for each swap, but found: `{swap!r}`."
                raise ApiError("invalid_swap_indexes", message)
            if swap.get("rename"):
                raise not_served("A swap with `rename`")
            swaps.append({"indexes": [_valid_uid(uid) for uid in indexes], "rename": False})
        named = [uid for swap in swaps for uid in swap["indexes"]]
        twice = sorted({uid for uid in named if named.count(uid) > 1})
        if twice:
            listed = ", ".join(f"`{uid}`" for uid in twice)
            raise ApiError(
                "invalid_swap_duplicate_index_found",
                f"Indexes must be declared only once during a swap. {listed} "
                f"{'was' if len(twice) == 1 else 'were'} specified several times.",
            )
        return await self._enqueue("indexSwap", None, {"swaps": swaps}, {"swaps": swaps})

    # -- settings ----------------------------------------------------------------------------------------------------

    async def _get_settings(self, request: web.Request) -> web.Response:
        return _json(self._entry(request).live.view.settings)

    async def _get_setting(self, request: web.Request, name: str) -> web.Response:
        return _json(self._entry(request).live.view.settings[name])

    async def _update_settings(self, request: web.Request) -> web.Response:
        return await self._change_settings(request, await _body(request))

    async def _put_setting(self, request: web.Request, name: str) -> web.Response:
        return await self._change_settings(request, {name: await _body(request)})

    async def _reset_settings(self, request: web.Request) -> web.Response:
        return await self._change_settings(request, dict.fromkeys(index_settings.DEFAULTS))

    async def _reset_setting(self, request: web.Request, name: str) -> web.Response:
        return await self._change_settings(request, {name: None})

    async def _change_settings(self, request: web.Request, update: Any) -> web.Response:
        checked = index_settings.check(update)
        index_settings.merge({}, checked)
        return await self._enqueue("settingsUpdate", _uid(request), checked, checked, request)

    # -- documents ---------------------------------------------------------------------------------------------------

    async def _put_documents(self, request: web.Request, merge: bool) -> web.Response:
        uid, query = _uid(request), request.query
        for name in query:
            if name not in ("primaryKey", "csvDelimiter", "customMetadata", "skipCreation"):
                raise ApiError("bad_request", f"Unknown parameter `{name}`")
        content_type = request.content_type if "Content-Type" in request.headers else ""
        delimiter = query.get("csvDelimiter")
        check_content_type(content_type, delimiter)
        skip = query.get("skipCreation", "false").lower()
        if skip not in ("true", "false"):
            raise ApiError("invalid_skip_creation", f"skipCreation must be either `true` or `false`. Found: `{skip}`")
        body = await request.read()
        received = await self._reading(lambda: len(read_documents(body, content_type, delimiter)))
        content = {
            "contentType": content_type,
            "csvDelimiter": delimiter,
            "primaryKey": query.get("primaryKey"),
            "merge": merge,
            "skipCreation": skip == "true",
        }
        details = {"receivedDocuments": received, "indexedDocuments": None}
        return await self._enqueue("documentAdditionOrUpdate", uid, content, details, request, body)

    async def _get_document(self, request: web.Request) -> web.Response:
        entry, document_id = self._entry(request), request.match_info["id"]
        fields = request.query.get("fields")
        document = await self._reading(lambda: self._store.document(entry.row.id, document_id))
        if document is None:
            raise ApiError("document_not_found", f"Document `{document_id}` not found.")
        return _json(pick(document, fields.split(",") if fields else ["*"]))

    async def _list_documents(self, request: web.Request) -> web.Response:
        query = request.query
        asked: dict[str, Any] = {name: query[name].split(",") for name in ("fields", "ids", "sort") if query.get(name)}
        if "filter" in query:
            asked["filter"] = query["filter"]
        asked["offset"], asked["limit"] = _page(query, "document")
        return await self._documents(self._entry(request), asked)

    async def _fetch_documents(self, request: web.Request) -> web.Response:
        known = {"offset", "limit", "fields", "filter", "ids", "sort", "retrieveVectors"}
        asked = await _object(request, known)
        if asked.get("retrieveVectors"):
            raise not_served("The parameter `retrieveVectors`")
        for name in ("offset", "limit"):
            value = asked.get(name, 0)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_COUNT:
                raise ApiError(f"invalid_document_{name}", f"Invalid value at `.{name}`: expected a positive integer")
        for name in ("fields", "ids", "sort"):
            value = asked.get(name)
            if value is not None and not (isinstance(value, list) and all(isinstance(v, str | int) for v in value)):
                raise ApiError(f"invalid_document_{name}", f"Invalid value at `.{name}`: expected an array of strings")
            asked[name] = None if value is None else [str(item) for item in value]
        return await self._documents(self._entry(request), asked)

    async def _documents(self, entry: Entry, asked: Mapping[str, Any]) -> web.Response:
        def work() -> dict[str, Any]:
            row, view, code = entry.row, entry.live.view, "invalid_document_filter"
            tree = None if asked.get("filter") is None else filters.parse(asked["filter"], code)
            chosen = view.columns.documents if tree is None else select(view, tree, code)
            if asked.get("ids") is not None:
                chosen = chosen.intersection(self._store.numbers_by_id(row.id, asked["ids"]).values())
            numbers = sorted(chosen)
            rules = sort_rules(asked.get("sort") or [], view.settings["sortableAttributes"], "invalid_document_sort")
            for attribute, descending in reversed(rules):
                sort_by_value(view, numbers, attribute, descending=descending)
            offset, limit = asked.get("offset", 0), asked.get("limit", 20)
            shown = numbers[offset : offset + limit]
            found = self._store.documents(row.id, shown)
            results = [pick(found[number], asked.get("fields") or ["*"]) for number in shown if number in found]
            return {"results": results, "offset": offset, "limit": limit, "total": len(numbers)}

        return _json(await self._reading(work))

    async def _delete_document(self, request: web.Request) -> web.Response:
        return await self._delete(request, {"kind": "ids", "ids": [_valid_id(request.match_info["id"])]}, None)

    async def _delete_batch(self, request: web.Request) -> web.Response:
        ids = await _body(request)
        if not isinstance(ids, list):
            raise ApiError("bad_request", f"Invalid value type: expected an array, but found: `{ids!r}`")
        return await self._delete(request, {"kind": "ids", "ids": [_valid_id(value) for value in ids]}, None)

    async def _delete_all_documents(self, request: web.Request) -> web.Response:
        return await self._delete(request, {"kind": "all", "ids": []}, None)

    async def _delete_by_filter(self, request: web.Request) -> web.Response:
        body = await _object(request, {"filter"})
        if body.get("filter") is None:
            raise ApiError("missing_document_filter", "Missing field `filter`")
        if filters.parse(body["filter"], "invalid_document_filter") is None:
            raise ApiError("invalid_document_filter", "Sending an empty filter is forbidden.")
        original = orjson.dumps(body["filter"]).decode()
        return await self._delete(request, {"kind": "filter", "ids": [], "filter": body["filter"]}, original)

    async def _delete(self, request: web.Request, content: dict[str, Any], original: str | None) -> web.Response:
        details = {"providedIds": len(content["ids"]), "deletedDocuments": None, "originalFilter": original}
        return await self._enqueue("documentDeletion", _uid(request), content, details, request)

    # -- searches ----------------------------------------------------------------------------------------------------

    async def _search(self, request: web.Request) -> web.Response:
        entry = self._entry(request)
        body = from_query_string(request.query) if request.method == "GET" else await _body(request)
        return _json(await self._reading(partial(self._answer_search, entry, {} if body is None else body)))

    def _answer_search(self, entry: Entry, body: Any) -> dict[str, Any]:
        index_id = entry.row.id
        return search(entry.live.view, lambda n: self._store.documents(index_id, n), read_parameters(body))

    async def _facet_search(self, request: web.Request) -> web.Response:
        entry, body = self._entry(request), await _object(request, None)
        view, index_id = entry.live.view, entry.row.id
        fetch = lambda numbers: self._store.documents(index_id, numbers)  # noqa: E731
        return _json(await self._reading(lambda: facet_search(view, fetch, body)))

    async def _multi_search(self, request: web.Request) -> web.Response:
        body = await _object(request, {"queries", "federation"})
        if body.get("federation") is not None:
            raise not_served("Federated search")
        queries = body.get("queries")
        if not isinstance(queries, list) or not all(isinstance(query, dict) for query in queries):
            raise ApiError("bad_request", "Invalid value at `.queries`: expected an array of objects")

        def work() -> list[dict[str, Any]]:
            results = []
            for place, query in enumerate(queries):
                try:
                    if "indexUid" not in query:
                        raise ApiError("missing_index_uid", "Missing field `indexUid`")
                    uid = _valid_uid(query["indexUid"])
                    given = {name: value for name, value in query.items() if name != "indexUid"}
                    results.append({"indexUid": uid, **self._answer_search(self._catalogue.entry(uid), given)})
                except ApiError as error:
                    raise ApiError(error.code, f"Inside `.queries[{place}]`: {error.message}") from error
            return results

        return _json({"results": await self._reading(work)})

    # -- tasks -------------------------------------------------------------------------------------------------------

    async def _enqueue(
        self,
        type_: str,
        index_uid: str | None,
        content: Mapping[str, Any],
        details: Mapping[str, Any] | None,
        request: web.Request | None = None,
        payload: bytes | None = None,
    ) -> web.Response:
        def write() -> Task:
            return self._store.enqueue(
                type_=type_,
                index_uid=index_uid,
                content=content,
                details=details,
                now=stamp(self._clock),
                payload=payload,
                metadata=None if request is None else request.query.get("customMetadata"),
            )

        task = await asyncio.get_running_loop().run_in_executor(self._enqueues, write)
        self._writer.wake()
        return _json(task.summary(), 202)

    async def _get_task(self, request: web.Request) -> web.Response:
        uid = request.match_info["uid"]
        if not _is_number(uid):
            raise ApiError(
                "invalid_task_uids", f"Task uid `{uid}` is invalid. It should only contain numeric characters."
            )

        def work() -> Task | None:
            with self._catalogue.lock:  # never a finished task before what it did
                return self._store.task(int(uid))

        task = await self._reading(work)
        if task is None:
            raise ApiError("task_not_found", f"Task `{uid}` not found.")
        return _json(task.view())

    async def _list_tasks(self, request: web.Request) -> web.Response:
        query = request.query
        chosen = _task_conditions({n: v for n, v in query.items() if n not in ("limit", "from", "reverse")})
        limit = _number(query, "limit", 20, "invalid_task_limit")
        start = _number(query, "from", None, "invalid_task_from")
        oldest_first = query.get("reverse") == "true"

        def work() -> tuple[list[Task], int]:
            asked = TaskQuery(chosen)
            with self._catalogue.lock:
                page = self._store.tasks(asked, limit=(limit or 0) + 1, start=start, oldest_first=oldest_first)
                return page, self._store.count_tasks(asked)

        found, total = await self._reading(work)
        shown = found[:limit]
        return _json(
            {
                "results": [task.view() for task in shown],
                "total": total,
                "limit": limit,
                "from": shown[0].uid if shown else None,
                "next": found[len(shown)].uid if len(found) > len(shown) else None,
            }
        )

    async def _cancel_tasks(self, request: web.Request) -> web.Response:
        return await self._about_tasks(request, "taskCancelation", "canceledTasks")

    async def _delete_tasks(self, request: web.Request) -> web.Response:
        return await self._about_tasks(request, "taskDeletion", "deletedTasks")

    async def _about_tasks(self, request: web.Request, type_: str, counted: str) -> web.Response:
        chosen = _task_conditions(request.query)
        if not request.query:
            raise ApiError(
                "missing_task_filters",
                "Query parameters to filter the tasks are missing. Available query parameters are: "
                + ", ".join(f"`{name}`" for name in TaskQuery.COLUMNS),
            )
        matched = await self._reading(lambda: self._store.count_tasks(TaskQuery(chosen)))
        details = {"matchedTasks": matched, counted: None, "originalFilter": f"?{request.query_string}"}
        return await self._enqueue(type_, None, {"query": chosen}, details)


# -- reading requests --------------------------------------------------------------------------------------------------


async def _name_the_front(_: web.Request, response: web.StreamResponse) -> None:
    response.headers[FRONT_HEADER] = FRONT_NAME


async def _refuse(request: web.Request) -> web.StreamResponse:
    raise not_served(f"{request.method} {request.path}")


async def _body(request: web.Request) -> Any:
    """The JSON of a request; None for an empty body."""
    if request.can_read_body and "Content-Type" not in request.headers:
        raise ApiError(
            "missing_content_type",
            "A Content-Type header is missing. Accepted values for the Content-Type header are: `application/json`",
        )
    if request.can_read_body and request.content_type != "application/json":
        raise ApiError(
            "invalid_content_type",
            f"The Content-Type `{request.content_type}` is invalid. "
            "Accepted values for the Content-Type header are: `application/json`",
        )
    body = await request.read()
    try:
        return orjson.loads(body) if body else None
    except ValueError as error:
        raise ApiError("malformed_payload", f"The json payload provided is malformed. `{error}`.") from error


async def _object(request: web.Request, known: set[str] | None) -> dict[str, Any]:
    body = await _body(request)
    if not isinstance(body, dict):
        raise ApiError("bad_request", f"Invalid value type: expected an object, but found: `{body!r}`")
    for name in body:
        if known is not None and name not in known:
            listed = ", ".join(f"`{field}`" for field in sorted(known))
            raise ApiError("bad_request", f"Unknown field `{name}`: expected one of {listed}")
    return body


def _uid(request: web.Request) -> str:
    return _valid_uid(unquote(request.match_info["uid"]))


def _valid_uid(uid: Any) -> str:
    if not isinstance(uid, str) or not _UID.fullmatch(uid):
        raise ApiError(
            "invalid_index_uid",
            f"`{uid}` is not a valid index uid. Index uid can be an integer or a string containing only alphanumeric "
            "characters, hyphens (-) and underscores (_), and can not be more than 400 bytes.",
        )
    return uid


def _valid_id(value: Any) -> str:
    document_id = document_id_of(value)
    if document_id is None:
        raise ApiError("invalid_document_id", f"Document identifier `{value!r}` is invalid.")
    return document_id


def _optional_text(body: Mapping[str, Any], name: str, code: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise ApiError(code, f"Invalid value type at `.{name}`: expected a string, but found: `{value!r}`")
    return value


def _is_number(text: str) -> bool:
    return text.isdecimal() and int(text) <= MAX_COUNT


def _number(query: Mapping[str, str], name: str, default: int | None, code: str) -> int | None:
    value = query.get(name)
    if value is None:
        return default
    if not _is_number(value):
        raise ApiError(code, f"Invalid value in parameter `{name}`: could not parse `{value}` as a positive integer")
    return int(value)


def _page(query: Mapping[str, str], what: str) -> tuple[int, int]:
    offset = _number(query, "offset", 0, f"invalid_{what}_offset")
    limit = _number(query, "limit", 20, f"invalid_{what}_limit")
    return offset or 0, 20 if limit is None else limit


def _task_conditions(query: Mapping[str, str]) -> dict[str, list[Any]]:
    """Conditions on tasks out of a query string; '*' is no condition."""
    chosen: dict[str, list[Any]] = {}
    for name, text in query.items():
        if name.startswith(("before", "after")):
            raise not_served(f"The parameter `{name}`")
        if name not in TaskQuery.COLUMNS:
            raise ApiError("bad_request", f"Unknown parameter `{name}`: expected one of {', '.join(TaskQuery.COLUMNS)}")
        values = [value.strip() for value in text.split(",")]
        if "*" in values:
            continue
        allowed = {"statuses": _TASK_STATUSES, "types": _TASK_TYPES}.get(name)
        for value in values:
            numeric = TaskQuery.COLUMNS[name] in ("uid", "canceled_by")
            if (allowed is not None and value not in allowed) or (numeric and not _is_number(value)):
                code = {"uids": "uids", "batchUids": "uids", "canceledBy": "canceled_by"}.get(name, name)
                raise ApiError(
                    f"invalid_task_{code}", f"Invalid value in parameter `{name}`: `{value}` is not one of them."
                )
        chosen[name] = values
    return chosen


def _index_view(row: IndexRow) -> dict[str, Any]:
    return {"uid": row.uid, "createdAt": row.created_at, "updatedAt": row.updated_at, "primaryKey": row.primary_key}
