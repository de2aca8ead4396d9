"""Counts and times of this process, in Prometheus' text format 0.0.4."""

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.meters import Machine, QueryMeters
from deploy.settings import Settings

HTTP_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0)
HTTP_LABELS = ("method", "path", "status")
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Metrics:
    """What the conventions ask of an API process. `path` is a route's template: labels stay few and name no one."""

    def __init__(self, settings: Settings) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("http_requests_total", "Requests answered.", HTTP_LABELS, registry=registry)
        self.seconds = Histogram(
            "http_request_duration_seconds",
            "Time until the answer was sent.",
            HTTP_LABELS,
            buckets=HTTP_SECONDS,
            registry=registry,
        )
        self.queries = QueryMeters(registry)
        ProcessCollector(registry=registry)
        registry.register(Machine(settings.home))

    def answered(self, seconds: float, method: str, path: str, status: int) -> None:
        """One request more. A method is a word that the caller makes up: what is none of HTTP's counts as other."""
        labels = (method if method in METHODS else "other", path, str(status))
        self.requests.labels(*labels).inc()
        self.seconds.labels(*labels).observe(seconds)

    def watch(self, engine: AsyncEngine) -> None:
        """Time every statement of this engine, and count its connections."""
        self.queries.watch(engine)

    def render(self) -> str:
        """The whole page."""
        return generate_latest(self.registry).decode()
