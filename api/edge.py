"""Around every request, answered or not: who calls, trace id, headers, count and time, one line of log.

Nothing that a caller wrote or owns is logged: no path, query, header or body, and of an error no text, only its kind
and where it happened.
"""

import re
from collections.abc import Callable, Iterable
from time import perf_counter

import orjson
import structlog
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.addresses import Networks, caller
from api.limits import Share
from api.metrics import Metrics
from api.pages.words import spoken
from deploy.logs import places
from schemas.message import new_trace

log = structlog.get_logger()

HEADERS = {
    # Pages need our own style sheets, pictures, script and forms, and nothing else; nothing written into a page runs.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "strict-origin-when-cross-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    # Of what is loaded without asking; a page of a listed origin asks (CORS).
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
HSTS = {"strict-transport-security": "max-age=63072000; includeSubDomains"}
"""In production, where a proxy speaks HTTPS: browsers do so for two years."""
_BROKEN = orjson.dumps(
    {
        "error": {
            "code": "INTERNAL_ERROR",
            "message": "Something went wrong on our side. The X-Request-Id of this answer finds it.",
            "details": [],
        }
    }
)
_JSON = (b"content-type", b"application/json")
_HEX32 = re.compile(r"[0-9a-f]{32}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class Edge:
    """The outermost ASGI layer."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        timer: Callable[[], float] = perf_counter,
        *,
        proxies: Networks = (),
        https: bool = False,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._timer = timer
        self._proxies = proxies
        self._headers = HEADERS | (HSTS if https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        trace = trace_of(scope["headers"])
        scope["state"]["trace"] = trace
        self._behind_proxies(scope)
        status = 500
        began_to_answer = streams = False
        began = self._timer()

        async def out(message: Message) -> None:
            nonlocal status, streams, began_to_answer
            if message["type"] == "http.response.start":
                began_to_answer = True
                status = message["status"]
                headers = MutableScopeHeaders.from_message(message)
                headers["x-request-id"] = trace
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                share: Share | None = scope["state"].get("share")
                if share is not None:
                    headers["ratelimit-limit"] = str(share.most)
                    headers["ratelimit-remaining"] = str(share.left)
                    headers["ratelimit-reset"] = str(share.reset_s)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("cache-control", "no-store")  # answers are one user's
                if headers.get("content-type", "").startswith("text/event-stream"):
                    # A stream is answered when it begins: how long somebody listens is no latency.
                    streams = True
                    self._metrics.answered(self._timer() - began, scope["method"], _path(scope), status)
            await send(message)

        accepted = next((value for name, value in scope["headers"] if name == b"accept-language"), b"")
        with structlog.contextvars.bound_contextvars(trace=trace), spoken(accepted.decode("latin-1")):
            try:
                await self._app(scope, receive, out)
            except Exception as error:  # of an answer that had begun, or of our own handling of errors
                log.error("broken_answer", path=_path(scope), **places(error))
                if not began_to_answer:
                    await out({"type": "http.response.start", "status": 500, "headers": [_JSON]})
                    await out({"type": "http.response.body", "body": _BROKEN, "more_body": False})
                # Else the server sees that the answer has no end, and cuts the connection: the caller sees it, too.
            finally:
                seconds = self._timer() - began
                method, path = scope["method"], _path(scope)
                if not streams:
                    self._metrics.answered(seconds, method, path, status)
                log.info("request", method=method, path=path, status=status, ms=round(seconds * 1000, 1))

    def _behind_proxies(self, scope: Scope) -> None:
        """Put the caller's own address, and how it came, where the peer's is: behind a proxy of ours."""
        client = scope.get("client")
        if not client or not self._proxies:
            return
        told = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        address = caller(client[0], ",".join(told), self._proxies)
        if address != client[0]:
            scope["client"] = (address, 0)
            proto = next((value for name, value in scope["headers"] if name == b"x-forwarded-proto"), b"")
            if proto.strip() in (b"http", b"https"):
                scope["scheme"] = proto.strip().decode()


def _path(scope: Scope) -> str:
    """The route's template, never the path: labels stay few and name no one."""
    return scope.get("path_template") or "none"


def trace_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's trace id, where it sent a usable one (X-Request-Id or traceparent), else a new one."""
    told = {name: value.decode("latin-1").strip().lower() for name, value in headers}
    asked = told.get(b"x-request-id", "").replace("-", "")
    if _HEX32.fullmatch(asked):
        return asked
    parent = _TRACEPARENT.fullmatch(told.get(b"traceparent", ""))
    return parent[1] if parent else new_trace()
