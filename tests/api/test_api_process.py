"""The API as a process: found at a free port, ended in good order."""

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import httpx
import pytest

from api.main import run_api
from api.tokens import issue_token
from deploy.settings import Settings, SettingsError, environment_for
from tests.api.support import READING, Story
from tests.support import ROOT

PROGRAM = """
from api.main import run_api
from deploy.settings import load
run_api(load(), lambda address: print(address, flush=True))
"""


@contextlib.contextmanager
def _running(settings: Settings) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment_for(settings),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        with process.stdout:
            yield process, process.stdout.readline().strip()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.stack
def test_it_says_where_it_listens_and_ends_in_good_order(migrated: Settings) -> None:
    settings = migrated.model_copy(update={"api_port": 0})
    with _running(settings) as (process, address):
        assert address.startswith("http://127.0.0.1:")
        assert httpx.get(f"{address}/ready", trust_env=False).status_code == 200
        answer = httpx.get(f"{address}/metrics", trust_env=False)
        assert answer.status_code == 200 and "server" not in answer.headers
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0


@pytest.mark.stack
async def test_of_two_processes_one_tells_what_the_other_decided_and_ends_with_the_stream_open(
    migrated: Settings, story: Story
) -> None:
    settings = migrated.model_copy(update={"api_port": 0, "stream_poll_s": 0.1})
    (one,) = await story.found("e1", story.suggestion("e1", READING))
    headers = {"Authorization": f"Bearer {issue_token(settings, story.user, datetime.now(UTC))}"}
    with _running(settings) as (telling, there), _running(settings) as (_, here):
        async with (
            httpx.AsyncClient(headers=headers, timeout=20, trust_env=False) as client,
            client.stream("GET", f"{there}/v1/stream") as stream,
        ):
            lines = stream.aiter_lines()
            assert "event: ready" in [await anext(lines) for _ in range(3)]
            assert (await client.post(f"{here}/v1/suggestions/{one}/confirm")).status_code == 200
            heard = [line async for line in until(lines, "event: decision")]
            assert heard[-1] == "event: decision"
            assert '"action":"confirmed"' in await anext(lines)
            telling.send_signal(signal.SIGTERM)
            async for _line in lines:
                pass
        assert telling.wait(timeout=15) == 0


async def until(lines: AsyncIterator[str], last: str) -> AsyncIterator[str]:
    """Up to and with this line."""
    async for line in lines:
        yield line
        if line == last:
            return


@pytest.mark.stack
def test_a_taken_port_is_named_with_its_setting(migrated: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=rf"GIGZ_API_PORT: cannot listen on 127\.0\.0\.1:{port}"):
            run_api(migrated.model_copy(update={"api_port": port}))


@pytest.mark.network
def test_a_wrong_address_of_postgres_is_named_with_its_setting(offline: Settings) -> None:
    with pytest.raises(SettingsError, match="GIGZ_POSTGRES_URL"):
        run_api(offline.model_copy(update={"api_port": 0}))
