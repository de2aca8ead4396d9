"""Counts and times of this process, in Prometheus' text format 0.0.4."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from time import perf_counter
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

HTTP_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0)
QUERY_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0)

Labels = tuple[tuple[str, str], ...]


class Counters:
    """A counter for each set of labels."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text
        self._values: dict[Labels, int] = {}

    def add(self, **labels: str) -> None:
        """One more."""
        key = tuple(labels.items())
        self._values[key] = self._values.get(key, 0) + 1

    def lines(self) -> Iterator[str]:
        """As Prometheus reads them."""
        yield from _head(self.name, self.text, "counter")
        for labels, value in self._values.items():
            yield f"{self.name}{_braces(labels)} {value}"


class Histograms:
    """A histogram for each set of labels."""

    def __init__(self, name: str, text: str, buckets: Sequence[float]) -> None:
        self.name, self.text, self.buckets = name, text, buckets
        self._counts: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = {}

    def add(self, value: float, **labels: str) -> None:
        """One observation, in seconds."""
        key = tuple(labels.items())
        counts = self._counts.setdefault(key, [0] * (len(self.buckets) + 1))
        counts[bisect_left(self.buckets, value)] += 1
        self._sums[key] = self._sums.get(key, 0.0) + value

    def lines(self) -> Iterator[str]:
        """As Prometheus reads them: buckets are cumulative."""
        yield from _head(self.name, self.text, "histogram")
        for labels, counts in self._counts.items():
            total = 0
            for bound, count in zip((*map(str, self.buckets), "+Inf"), counts, strict=True):
                total += count
                yield f"{self.name}_bucket{_braces((*labels, ('le', bound)))} {total}"
            yield f"{self.name}_sum{_braces(labels)} {self._sums[labels]}"
            yield f"{self.name}_count{_braces(labels)} {total}"


class Metrics:
    """What the conventions ask of an API process."""

    def __init__(self) -> None:
        self.requests = Counters("http_requests_total", "Requests answered.")
        self.seconds = Histograms("http_request_duration_seconds", "Time until the answer was sent.", HTTP_SECONDS)
        self.queries = Histograms("db_query_duration_seconds", "Time in PostgreSQL.", QUERY_SECONDS)

    def watch(self, engine: AsyncEngine) -> None:
        """Time every statement of this engine."""

        def before(connection: Any, *_: Any) -> None:
            connection.info["began"] = perf_counter()

        def after(connection: Any, _: Any, statement: str, *__: Any) -> None:
            operation = statement.split(None, 1)[0].lower()
            operation = "select" if operation == "with" else operation
            self.queries.add(perf_counter() - connection.info["began"], operation=operation)

        event.listen(engine.sync_engine, "before_cursor_execute", before)
        event.listen(engine.sync_engine, "after_cursor_execute", after)

    def render(self, engine: AsyncEngine) -> str:
        """The whole page."""
        pool = engine.pool
        active = pool.checkedout() if isinstance(pool, QueuePool) else 0
        gauge = [*_head("db_connections_active", "Connections in use.", "gauge"), f"db_connections_active {active}"]
        lines: Iterable[str] = (*self.requests.lines(), *self.seconds.lines(), *self.queries.lines(), *gauge)
        return "\n".join(lines) + "\n"


def _head(name: str, text: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _braces(labels: Labels) -> str:
    told = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{told}}}" if told else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
