"""Around every request, answered or not: trace id, security headers, count and time, one line of log."""

import re
from collections.abc import Callable, Iterable
from time import perf_counter

import structlog
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import Metrics
from schemas.message import new_trace

log = structlog.get_logger()

HEADERS = {
    # Pages need our own style sheet and icon, forms of our own, and nothing else: no script at all.
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "strict-origin-when-cross-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_HEX32 = re.compile(r"[0-9a-f]{32}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class Edge:
    """The outermost ASGI layer. Addresses are logged without their query, which may hold a token."""

    def __init__(self, app: ASGIApp, metrics: Metrics, timer: Callable[[], float] = perf_counter) -> None:
        self._app = app
        self._metrics = metrics
        self._timer = timer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        trace = trace_of(scope["headers"])
        scope["state"]["trace"] = trace
        status = 500
        streams = False
        began = self._timer()

        async def out(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableScopeHeaders.from_message(message)
                headers["x-request-id"] = trace
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("cache-control", "no-store")  # answers are one user's
                if headers.get("content-type", "").startswith("text/event-stream"):
                    # A stream is answered when it begins: how long somebody listens is no latency.
                    streams = True
                    self._metrics.answered(self._timer() - began, scope["method"], _path(scope), status)
            await send(message)

        with structlog.contextvars.bound_contextvars(trace=trace):
            try:
                await self._app(scope, receive, out)
            finally:
                seconds = self._timer() - began
                method, path = scope["method"], _path(scope)
                if not streams:
                    self._metrics.answered(seconds, method, path, status)
                log.info("request", method=method, path=path, status=status, ms=round(seconds * 1000, 1))


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
