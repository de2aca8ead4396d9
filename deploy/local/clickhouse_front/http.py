"""ClickHouse's HTTP interface as clickhouse-connect 1.12 uses it: an ASGI application around one engine.

Statements run one after the other on one thread; /ping is answered meanwhile. An answer is complete before its first
byte leaves, so an error never follows half a result, and wait_end_of_query changes nothing.
"""

import asyncio
import base64
import binascii
import email
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import cramjam

from deploy.local.clickhouse_front.engine import FRONT, VERSION, Engine, Query
from deploy.local.clickhouse_front.errors import ServerError, not_implemented
from deploy.local.clickhouse_front.statements import read_statement

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_REFUSED = frozenset(("compress", "decompress", "role", "session_check", "close_session", "stacktrace"))
# Without effect here: answers are always complete, results are always of protocol version 0 (the client probes for
# it), and what would need a session is refused.
_IGNORED = frozenset(("wait_end_of_query", "buffer_size", "client_protocol_version", "session_id", "session_timeout"))
_READ = frozenset(
    ("query", "database", "default_format", "query_id", "user", "password", "quota_key", "enable_http_compression")
)
_NOT_SETTINGS = _REFUSED | _IGNORED | _READ

# A server's http_max_field_value_size as it comes: what works here has to work there.
_LONGEST_FIELD = 131_072

# Only codecs that read several frames in a row, which is what the client sends: one for each block.
_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "lz4": cramjam.lz4.decompress,
    "zstd": cramjam.zstd.decompress,
    "gzip": cramjam.gzip.decompress,
}
_ENCODERS: dict[str, Callable[[bytes], Any]] = {
    "lz4": cramjam.lz4.compress,
    "zstd": lambda body: cramjam.zstd.compress(body, level=1),
    "gzip": lambda body: cramjam.gzip.compress(body, level=3),
}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header names in small letters."""

    method: str
    path: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Front:
    """The ASGI application."""

    def __init__(self, engine: Engine, thread: Executor) -> None:
        self._engine = engine
        self._thread = thread

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request; one whose body never came to its end is dropped, so that nothing of it is inserted."""
        body = await _body(receive)
        if body is None:
            return
        try:
            answer = await self._answer(_request(scope, body))
        except ServerError as error:
            answer = _refusal(error)
        headers = {"X-Gigz-Front": FRONT, "Content-Length": str(len(answer.body)), **answer.headers}
        pairs = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, request: Request) -> Answer:
        if request.path in ("/ping", "/replicas_status"):
            return Answer(200, {"Content-Type": "text/html; charset=UTF-8"}, b"Ok.\n")
        if request.path != "/":
            return Answer(404, {"Content-Type": "text/plain"}, f"There is no handle {request.path}\n".encode())
        if request.method not in ("GET", "POST"):
            raise not_implemented(f"the method {request.method}")
        _authenticate(request)
        if not request.parameters and not request.body:
            return Answer(200, {"Content-Type": "text/html; charset=UTF-8"}, b"Ok.\n")
        return await asyncio.get_running_loop().run_in_executor(self._thread, _run, self._engine, request)


async def _body(receive: Receive) -> bytes | None:
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


def _request(scope: Mapping[str, Any], body: bytes) -> Request:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    try:
        pairs = parse_qsl(scope["query_string"].decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise not_implemented("parameters that are not UTF-8") from error
    return Request(scope["method"], scope["path"], dict(pairs), headers, body)


def _authenticate(request: Request) -> None:
    """A fresh server knows the user default, without a password."""
    given = request.headers.get("authorization", "")
    user = request.headers.get("x-clickhouse-user") or request.parameters.get("user") or "default"
    password = request.headers.get("x-clickhouse-key") or request.parameters.get("password") or ""
    if given:
        scheme, _, credentials = given.partition(" ")
        try:
            user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            scheme = "unreadable"
        if scheme.lower() != "basic":
            raise ServerError(
                516,
                "AUTHENTICATION_FAILED",
                f"Invalid authentication: '{scheme}' HTTP Authorization scheme is not supported.",
            )
    if (user, password) != ("default", ""):
        raise ServerError(
            516,
            "AUTHENTICATION_FAILED",
            f"{user}: Authentication failed: password is incorrect, or there is no user with such name.",
        )


def _run(engine: Engine, request: Request) -> Answer:
    """On the engine's thread: read, run, compress."""
    query = _query(request)
    result = engine.run(query)
    headers = {
        "X-ClickHouse-Summary": json.dumps({name: str(count) for name, count in result.summary.items()}),
        "X-ClickHouse-Query-Id": request.parameters.get("query_id") or str(uuid.uuid4()),
        "X-ClickHouse-Timezone": query.settings.get("session_timezone") or "UTC",
        "Content-Type": "application/octet-stream" if result.format == "Native" else "text/plain; charset=UTF-8",
    }
    if result.format:
        headers["X-ClickHouse-Format"] = result.format
    body = result.body
    encoding = _accepted_encoding(request)
    if encoding and body:
        headers["Content-Encoding"] = encoding
        body = bytes(_ENCODERS[encoding](body))
    return Answer(200, headers, body)


def _query(request: Request) -> Query:
    text = _decoded(request)
    parameters = dict(request.parameters)
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        parameters, text = {**parameters, **_form_fields(request.headers["content-type"], text)}, b""
    for name in sorted(_REFUSED):
        if parameters.get(name, "0") not in ("", "0"):
            raise not_implemented(f"the parameter {name}")
    if "query" in parameters:
        text = parameters["query"].encode() + b"\n" + text  # as a server joins the two
    settings = {
        name: value
        for name, value in parameters.items()
        if name and name not in _NOT_SETTINGS and not name.startswith("param_")
    }
    if request.method == "GET" and settings.get("readonly", "0") == "0":
        settings["readonly"] = "2"  # a server writes nothing for a GET
    statement = read_statement(text)
    if settings.get("readonly", "0") != "0" and not statement.returns_rows:
        # The engine, which knows no users, would run it; any page in a browser can send such a GET.
        raise ServerError(164, "READONLY", "Cannot execute query in readonly mode.")
    return Query(
        statement=statement,
        database=request.headers.get("x-clickhouse-database") or parameters.get("database", ""),
        settings=settings,
        parameters={name[6:]: value for name, value in parameters.items() if name.startswith("param_")},
        default_format=request.headers.get("x-clickhouse-format") or parameters.get("default_format") or "TabSeparated",
    )


def _form_fields(content_type: str, body: bytes) -> dict[str, str]:
    """The query and its parameters out of a form: so the client sends them when they are longer than 4 kB."""
    form = email.message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    fields: dict[str, str] = {}
    for part in form.walk():
        if part is form:
            continue
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if part.get_filename() is not None or not isinstance(name, str) or not isinstance(value, bytes):
            raise not_implemented("external tables")
        if name != "query" and not name.startswith("param_"):
            raise not_implemented(f"the form field {name}")
        if len(value) > _LONGEST_FIELD:
            raise ServerError(1000, "POCO_EXCEPTION", "Poco::Exception: HTML Form Exception: Field value too long.")
        try:
            fields[name] = value.decode()
        except UnicodeDecodeError as error:
            raise not_implemented("parameters that are not UTF-8") from error
    if not fields:
        raise not_implemented("empty forms")
    return fields


def _decoded(request: Request) -> bytes:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding == "identity" or not request.body:
        return request.body
    if encoding not in _DECODERS:
        raise not_implemented(f"bodies in the encoding {encoding} ({', '.join(_DECODERS)} are)")
    try:
        return bytes(_DECODERS[encoding](request.body))
    except cramjam.DecompressionError as error:
        raise ServerError(271, "CANNOT_DECOMPRESS", f"Cannot decompress {encoding}-encoded data: {error}.") from error


def _accepted_encoding(request: Request) -> str | None:
    if request.parameters.get("enable_http_compression", "1") == "0":
        return None
    accepted = {part.partition(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")}
    return next((encoding for encoding in _ENCODERS if encoding in accepted), None)


def _refusal(error: ServerError) -> Answer:
    headers = {"X-ClickHouse-Exception-Code": str(error.code), "Content-Type": "text/plain; charset=UTF-8"}
    return Answer(error.status, headers, f"{error} (version {VERSION})\n".encode())
