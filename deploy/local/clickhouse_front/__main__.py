"""Start the front: `python -m deploy.local.clickhouse_front --host 127.0.0.1 --port 18123 --data DIR`.

Prints one line with its address when it is ready. Exit codes: 0 after SIGTERM or SIGINT, 1 when it cannot start.
"""

import argparse
import ipaddress
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from deploy.local.clickhouse_front.http import Front


class StartError(Exception):
    """The front cannot start; the message names the remedy."""


def main() -> int:
    """Serve until a signal ends it."""
    arguments = argparse.ArgumentParser(prog="python -m deploy.local.clickhouse_front", description=__doc__)
    arguments.add_argument("--host", default="127.0.0.1", help="a loopback address")
    arguments.add_argument("--port", type=int, required=True, help="0 takes any free one")
    arguments.add_argument("--data", type=Path, required=True, help="folder of the tables")
    given = arguments.parse_args()
    try:
        serve(given.host, given.port, given.data.resolve())
    except StartError as error:
        sys.stderr.write(f"ClickHouse front: {error}\n")
        return 1
    return 0


def serve(host: str, port: int, data: Path) -> None:
    """Open the engine, listen, and close it after a signal. StartError says why it could not."""
    if "?" in str(data):
        raise StartError(f"--data {data} has a question mark in it, which chDB cannot take. Remedy: another folder")
    listener = bind(host, port)
    # uvicorn ends in order on these two, then raises them again, for these handlers: exit code 0.
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: None)
    # The engine's thread: all of chDB happens on it.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine") as thread:
        close, front = thread.submit(_open, data, thread).result()
        config = uvicorn.Config(
            front,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,  # a server's own; the client's pool counts on it
            h11_max_incomplete_event_size=1 << 20,  # a server takes addresses of 1 MB: parameters are in them
        )
        listener.listen()
        name, number = listener.getsockname()[:2]
        sys.stdout.write(f"ClickHouse front listens on http://{name}:{number}\n")
        sys.stdout.flush()
        uvicorn.Server(config).run(sockets=[listener])
        thread.submit(close).result()


def bind(host: str, port: int) -> socket.socket:
    """A bound socket on loopback; any other address is refused, as there is no password."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError as error:
        raise StartError(f"--host {host} is no address. Remedy: 127.0.0.1") from error
    if not address.is_loopback:
        raise StartError(f"--host {host} is not a loopback address, and the front has no password. Remedy: 127.0.0.1")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's delay off; without, each answer waited 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((str(address), port))
    except OSError as error:
        raise StartError(f"cannot bind {address}:{port}: {error.strerror}. Remedy: another --port") from error
    return listener


def _open(data: Path, thread: Executor) -> tuple[Callable[[], None], "Front"]:
    os.environ["TZ"] = "UTC"  # the engine's zone is the process's, and a server in a container has UTC
    time.tzset()
    sys.modules["pyarrow"] = None  # type: ignore[assignment]  # chDB does without; 42 MB less (263 -> 221)
    from deploy.local.clickhouse_front.engine import Engine
    from deploy.local.clickhouse_front.http import Front

    try:
        engine = Engine(data)
    except (OSError, RuntimeError) as error:
        raise StartError(f"cannot open {data}: {error}. Remedy: is another front running on this folder?") from error
    return engine.close, Front(engine, thread)


if __name__ == "__main__":
    sys.exit(main())
