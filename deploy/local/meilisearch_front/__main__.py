"""Start the front: python -m deploy.local.meilisearch_front --port 17700 --data DIR [--key KEY]."""

import argparse
import asyncio
import fcntl
import ipaddress
import signal
import sqlite3
import sys
from pathlib import Path

from aiohttp import web

from deploy.local.meilisearch_front.app import FRONT_NAME, Front

MAX_ADDRESS = 64 * 1024
"""Bytes of an address or a header: a list of some thousand task uids."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="meilisearch_front", description="Meilisearch's API over tantivy, loopback only."
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, required=True, help="0 takes any free one")
    parser.add_argument("--data", type=Path, required=True, help="folder of the documents and tasks")
    parser.add_argument("--key", default=None, help="the key that every request must carry; none by default")
    options = parser.parse_args(arguments)
    if not _is_loopback(options.host):
        parser.error(
            f"--host {options.host}: this front has no protection and listens on loopback only. Use 127.0.0.1."
        )
    options.data.mkdir(parents=True, exist_ok=True)
    with (options.data / "lock").open("w") as lock:  # held until the process ends, however it ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _fail(f"{options.data} is served by another process. Remedy: stop that one first.")
        try:
            asyncio.run(_serve(options.host, options.port, options.data, options.key))
        except sqlite3.Error as error:
            return _fail(f"{options.data} cannot be read: {error}. Remedy: remove the folder and feed it again.")
        except OSError as error:
            return _fail(f"{options.host}:{options.port}: {error.strerror or error}. Remedy: take another port.")
    return 0


def _fail(message: str) -> int:
    print(f"meilisearch_front: {message}", file=sys.stderr)  # noqa: T201
    return 1


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _serve(host: str, port: int, data: Path, key: str | None) -> None:
    application = Front(data, key).application()
    runner = web.AppRunner(application, access_log=None, max_line_size=MAX_ADDRESS, max_field_size=MAX_ADDRESS)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
        address = runner.addresses[0]
        print(f"{FRONT_NAME} on http://{address[0]}:{address[1]}", flush=True)  # noqa: T201
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await stop.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main())
