"""Structured logs: one JSON object a line for machines, colours for a terminal; the trace id rides along."""

import logging
import sys
from collections.abc import Iterable
from typing import Any

import structlog

QUIET = (
    "aiokafka",
    "faust",
    "mode",
    "kafka",
    "httpx",
    "httpcore",
    "urllib3",
    "asyncio",
    "scrapy",
    "twisted",
    "alembic",
)
"""Libraries whose informational records nobody reads: their own loggers are set, because making a record costs a tenth
of a stage's speed even when no handler wants it."""
MOST_TRACES = 50
SECRET = ("password", "token", "authorization", "cookie", "secret", "api_key", "refresh_token")


def configure(level: str, form: str, stage: str) -> None:
    """Set up logging for this process; `stage` is on every line."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_secrets,
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(stage=stage)


def some_traces(traces: Iterable[str]) -> dict[str, Any]:
    """The trace ids of a batch, for its line in the log: all of a small one, the first of a large one.

    A line for each message would cost a stage a tenth of its speed.
    """
    different = list(dict.fromkeys(trace for trace in traces if trace))
    more = len(different) - MOST_TRACES
    return {"traces": different[:MOST_TRACES]} | ({"more_traces": more} if more > 0 else {})


def _without_secrets(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    return {name: "***" if name.lower() in SECRET else value for name, value in event.items()}
