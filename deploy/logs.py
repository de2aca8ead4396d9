"""Structured logs: one JSON object a line for machines, colours for a terminal; the trace id rides along."""

import logging
import sys
import traceback
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
TELLS_NO_TEXTS = ("api",)
"""Stages where the text of an error may be what a user wrote: their logs have its kind and place only."""
MOST_TRACES = 50
MOST_CAUSES = 5
MOST_FRAMES = 12
MOST_FOREIGN = 4
"""Places that an error in the log has, the innermost: of libraries the fewer."""
SECRET = ("password", "token", "authorization", "cookie", "secret", "api_key", "refresh_token")


def configure(level: str, form: str, stage: str) -> None:
    """Set up logging for this process; `stage` is on every line."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    errors: list[Any] = (
        [_places_only]
        if stage in TELLS_NO_TEXTS
        else [structlog.processors.StackInfoRenderer(), structlog.processors.format_exc_info]
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
            *errors,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    foreign = [*shared, _places_only] if stage in TELLS_NO_TEXTS else shared
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=foreign))
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


def places(error: BaseException) -> dict[str, Any]:
    """An error for the log without its text: its kind, where it was raised, what caused it, its SQLSTATE."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain and len(chain) < MOST_CAUSES:
        chain.append(following)
        following = _cause(following)
    told: dict[str, Any] = {"error": type(error).__qualname__, "where": _frames(error)[-MOST_FRAMES:]}
    if len(chain) > 1:
        told["caused_by"] = [" ".join((type(one).__qualname__, *_frames(one)[-1:])) for one in chain[1:]]
    codes = [code for one in chain if (code := getattr(one, "sqlstate", None))]
    return told | ({"sqlstate": codes[-1]} if codes else {})


def _cause(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):
        first: BaseException = error.exceptions[0]
        return first
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _frames(error: BaseException) -> list[str]:
    """Our own and the last ones of libraries, in the order of calling."""
    # Not traceback.extract_tb: it reads the source of every line.
    walked = [
        (frame.f_code.co_filename, f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}")
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    last = len(walked) - MOST_FOREIGN
    return [told for place, (file, told) in enumerate(walked) if place >= last or "site-packages" not in file]


def _places_only(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if isinstance(given, tuple):
        given = given[1]
    elif given and not isinstance(given, BaseException):
        given = sys.exc_info()[1]
    return places(given) | event if isinstance(given, BaseException) else event


def _without_secrets(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    return {name: "***" if name.lower() in SECRET else value for name, value in event.items()}
