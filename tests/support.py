"""What conftest files and tests share."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENGINES = ("kafka", "postgres", "clickhouse", "meilisearch")
ANY_FREE_PORTS = {f"{name}_port": 0 for name in (*ENGINES, "kafka_controller", "api", "demo_site")}
"""Settings with which any number of stacks can run side by side."""
CONNECT = socket.socket.connect


@contextlib.contextmanager
def open_network() -> Iterator[None]:
    """Let connections out for a moment: the engines' jars come from a package registry, once for a user."""
    guarded = socket.socket.connect
    socket.socket.connect = CONNECT  # type: ignore[method-assign]
    try:
        yield
    finally:
        socket.socket.connect = guarded  # type: ignore[method-assign]
