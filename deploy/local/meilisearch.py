"""The local Meilisearch: a `meilisearch` program when there is one, else the front over tantivy."""

import sys

import httpx

from deploy.local.clickhouse import find_program
from deploy.local.ports import LOOPBACK
from deploy.local.room import Launch, Room, engine_environment, python_environment

NAME = "meilisearch"
PORT_SETTING = "meilisearch_port"


def launch(room: Room) -> Launch:
    """How to start it; its key, where one is set, goes by the environment to the program."""
    environment = engine_environment(room.settings)
    key = room.settings.meilisearch_key.get_secret_value()
    program = find_program(NAME, room.settings.meilisearch_bin)
    port = room.ports.take(NAME, PORT_SETTING)
    # Two folders: the one does not read what the other has written.
    folder = room.home / ("meilisearch-server" if program else NAME)
    folder.mkdir(parents=True, exist_ok=True)
    if program:
        argv = [
            *(program, "--http-addr", f"{LOOPBACK}:{port}", "--env", "development", "--no-analytics"),
            *("--db-path", str(folder / "data"), "--dump-dir", str(folder / "dumps")),
            *("--snapshot-dir", str(folder / "snapshots"), "--max-indexing-memory", "256MiB"),
        ]
        if key:
            environment["MEILI_MASTER_KEY"] = key
    else:
        arguments = ["--host", LOOPBACK, "--port", str(port), "--data", str(folder)]
        argv = [sys.executable, "-m", "deploy.local.meilisearch_front", *arguments, *(["--key", key] if key else [])]
        environment = python_environment(environment)
    return Launch(argv=argv, url=f"http://{LOOPBACK}:{port}", environment=environment)


def probe(url: str) -> None:
    """`GET /health`, which needs no key."""
    answer = httpx.get(f"{url}/health", timeout=5, trust_env=False)
    if answer.status_code != httpx.codes.OK or answer.json().get("status") != "available":
        raise ConnectionError(f"/health was answered by {answer.status_code}: {answer.text[:200]}")
