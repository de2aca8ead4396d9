"""The local stack on its real engines: idempotent, parallel-safe, and whole again after any kill."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import clickhouse_connect
import httpx
import meilisearch
import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local import stack as local_stack
from deploy.local.errors import StackError
from deploy.local.jars import kafka_jars
from deploy.local.ports import is_free
from deploy.local.processes import MARK, Processes
from deploy.settings import Settings, load
from tests.support import ANY_FREE_PORTS, ENGINES, ROOT, open_network

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

NOWHERE = {f"{name}_url": "http://127.0.0.1:1" for name in ENGINES}
"""Every engine elsewhere: with one taken out, only that one is started here."""
IDLE_LIMIT_BYTES = 1_500_000_000
UP = """
import json, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start what runs in the background deaf to it
from deploy.local import stack
from deploy.settings import load
stack.up(load(json.loads(sys.argv[1])), lambda engine, what: print(f"{engine}: {what}", flush=True))
"""


def here(home: Path, *names: str) -> Settings:
    """Settings of a stack at `home` with only these engines (all when none is named), whatever the environment says."""
    elsewhere = {key: "" if not names or key.removesuffix("_url") in names else url for key, url in NOWHERE.items()}
    return load({"home": home, **ANY_FREE_PORTS, **elsewhere})


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home folder whose stack is stopped at the end. Its parents are closed to others, as /root is."""
    with open_network():
        kafka_jars(lambda _: None)
    yield tmp_path / "home"
    local_stack.down(here(tmp_path / "home"))


def up_in_another_process(settings: Settings) -> "subprocess.Popen[str]":
    overrides = {key: value for key, value in settings.model_dump(mode="json").items() if key in NOWHERE}
    overrides |= {"home": str(settings.home), **ANY_FREE_PORTS}
    return subprocess.Popen(
        [sys.executable, "-c", UP, json.dumps(overrides)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def pids(settings: Settings) -> dict[str, int | None]:
    return {line.name: line.pid for line in local_stack.status(settings)}


def copies(home: Path) -> list[str]:
    """Name of each process of this home, one for each copy; children aside."""
    names = []
    for process in psutil.process_iter():
        try:
            place, _, name = process.environ().get(MARK, "").rpartition(":")
            if place == str(home) and os.getsid(process.pid) == process.pid:
                names.append(name)
        except (psutil.Error, ProcessLookupError):
            continue
    return sorted(names)


def wait_until(condition: Callable[[], object], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


async def write_everywhere(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.engine_url("kafka"))
    await admin.start()
    await admin.create_topics([NewTopic("kept", 3, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=settings.engine_url("kafka"), acks="all") as producer:
        await producer.send_and_wait("kept", b"kafka")
    with psycopg.connect(settings.engine_url("postgres")) as connection:
        connection.execute("create table kept as select 'postgres' as word")
    with clickhouse_connect.get_client(dsn=settings.engine_url("clickhouse")) as client:
        client.command("CREATE TABLE kept (word String) ENGINE = MergeTree ORDER BY word")
        client.insert("kept", [["clickhouse"]], column_names=["word"])
    search = meilisearch.Client(settings.engine_url("meilisearch"), "")
    task = search.index("kept").add_documents([{"id": 1, "word": "meilisearch"}], primary_key="id")
    assert search.wait_for_task(task.task_uid, timeout_in_ms=20_000).status == "succeeded"


async def read_everywhere(settings: Settings) -> dict[str, str]:
    async with AIOKafkaConsumer(
        "kept", bootstrap_servers=settings.engine_url("kafka"), auto_offset_reset="earliest"
    ) as consumer:
        message = await consumer.getone()
    with psycopg.connect(settings.engine_url("postgres")) as connection:
        row = connection.execute("select word from kept").fetchone()
    with clickhouse_connect.get_client(dsn=settings.engine_url("clickhouse")) as client:
        words = client.query("SELECT word FROM kept").result_rows
    found = meilisearch.Client(settings.engine_url("meilisearch"), "").index("kept").search("meilisearch")
    assert row is not None
    return {
        "kafka": (message.value or b"").decode(),
        "postgres": row[0],
        "clickhouse": words[0][0],
        "meilisearch": found["hits"][0]["word"],
    }


async def test_the_stack_of_a_run_answers_everywhere(stack: Settings) -> None:
    """The fixture that other tests stand on; against real servers when GIGZ_*_URL name them."""
    with psycopg.connect(stack.engine_url("postgres")) as connection:
        assert connection.execute("show server_encoding").fetchone() == ("UTF8",)
    with clickhouse_connect.get_client(dsn=stack.engine_url("clickhouse")) as client:
        assert client.command("SELECT 1") == 1
    key = stack.meilisearch_key.get_secret_value()
    assert meilisearch.Client(stack.engine_url("meilisearch"), key).health() == {"status": "available"}
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.engine_url("kafka"))
    await admin.start()
    assert len((await admin.describe_cluster())["brokers"]) >= 1
    await admin.close()


def listened_on(url: str) -> bool:
    """By whoever has the port of an engine that was killed: tests of other processes start engines, too."""
    return not is_free(int(url.rpartition(":")[2].partition("/")[0]))


async def test_what_was_written_outlives_a_kill_of_each_engine_and_a_restart(home: Path) -> None:
    settings = here(home)
    first = local_stack.up(settings)
    assert list(first.urls) == list(ENGINES)
    assert (home / "stack.json").stat().st_mode & 0o777 == 0o600
    before = pids(settings)
    addresses_before = listening(settings)
    assert addresses_before, "nothing listens?"
    assert {ip for ip, _ in addresses_before} == {"127.0.0.1"}, "only loopback"

    # idempotent
    assert local_stack.up(settings).urls == first.urls
    assert pids(settings) == before

    memory = sum(line.memory_bytes for line in local_stack.status(settings))
    assert memory < IDLE_LIMIT_BYTES, f"{memory / 1e6:.0f} MB idle"

    await write_everywhere(settings)
    words = {name: name for name in ENGINES}
    assert await read_everywhere(settings) == words

    # one killed: only that one is started again, at the same address if nobody took it meanwhile
    urls = first.urls
    for name in ENGINES:
        pid = pids(settings)[name]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda name=name: pids(settings)[name] is None)  # type: ignore[misc]
        again = local_stack.up(settings).urls
        assert {n for n in ENGINES if again[n] != urls[n]} <= ({name} if listened_on(urls[name]) else set())
        urls = again
        after = pids(settings)
        assert {n for n in ENGINES if after[n] != before[n]} == {name}
        before = after
    assert await read_everywhere(settings) == words
    assert copies(home) == sorted(ENGINES)

    # down and up: everything new, everything kept
    assert sorted(local_stack.down(settings)) == sorted(ENGINES)
    assert copies(home) == []
    assert not (home / "stack.json").exists()
    again = local_stack.up(settings).urls
    assert all(again[name] == urls[name] or listened_on(urls[name]) for name in ENGINES)
    assert await read_everywhere(settings) == words


def listening(settings: Settings) -> set[tuple[str, int]]:
    """Addresses that the stack's processes and their children listen on, or wait for datagrams on."""
    found = set()
    for line in local_stack.status(settings):
        if line.pid is not None:
            leader = psutil.Process(line.pid)
            for process in (leader, *leader.children(recursive=True)):
                for connection in process.net_connections("inet"):
                    if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM:
                        found.add((connection.laddr.ip, connection.laddr.port))
    return found


@pytest.mark.parametrize("moment", ["postgres: making", "kafka: formatting", "kafka: starting", "postgres: answers"])
def test_after_a_kill_of_up_itself_there_is_one_of_each(home: Path, moment: str) -> None:
    settings = here(home)
    first = up_in_another_process(settings)
    assert first.stdout is not None
    for line in first.stdout:
        if line.startswith(moment):
            break
    first.kill()
    first.communicate()
    told: list[str] = []
    local_stack.up(settings, lambda engine, what: told.append(f"{engine}: {what}"))
    assert copies(home) == sorted(ENGINES)
    assert f"(pid {first.pid}," in told[0]
    assert "did not finish" in told[0]
    assert Processes(home).names() == sorted(ENGINES)


def test_two_ups_at_once_make_one_stack(home: Path) -> None:
    settings = here(home, "postgres")
    both = [up_in_another_process(settings) for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert copies(home) == ["postgres"]
    assert sum("postgres: starting" in output for output in outputs) == 1


def test_a_stale_lock_does_not_stop_up(home: Path) -> None:
    settings = here(home, "postgres")
    home.mkdir()
    me = psutil.Process()
    stale = {"pid": me.pid, "create_time": me.create_time() - 3_600, "purpose": "gigz up"}
    (home / "up.lock").write_text(json.dumps(stale))
    told: list[str] = []
    local_stack.up(settings, lambda engine, what: told.append(what))
    assert "did not finish" in told[0]


def test_a_taken_port_is_told_with_its_holder_and_nothing_is_started(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        settings = here(home, "postgres").model_copy(update={"postgres_port": port})
        with pytest.raises(StackError, match=rf"postgres: its port {port} is taken by .*pid {os.getpid()}"):
            local_stack.up(settings)
    assert copies(home) == []


def test_an_engine_that_ends_while_starting_shows_its_last_lines(home: Path) -> None:
    settings = here(home, "postgres")
    local_stack.up(settings)
    local_stack.down(settings)
    (home / "postgres" / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(
        StackError, match=r"(?s)postgres: ended while starting.*incompatible with server.*Remedy: "
    ) as e:
        local_stack.up(settings)
    assert e.value.engine == "postgres"
    assert "postgres.log" in e.value.remedy


def test_ctrl_c_leaves_engines_that_the_next_up_finds(home: Path) -> None:
    settings = here(home)
    first = up_in_another_process(settings)
    assert first.stdout is not None
    for line in first.stdout:
        if line.startswith("kafka: starting"):
            break
    first.send_signal(signal.SIGINT)
    threading.Timer(20, first.kill).start()
    first.communicate()
    assert first.returncode in (1, -signal.SIGINT), "ctrl-C did not end it"
    local_stack.up(settings)
    assert copies(home) == sorted(ENGINES)


def test_a_run_that_is_killed_leaves_no_engine(tmp_path: Path) -> None:
    """The reaper beside the `stack` fixture: `down` and away with the folder, when the run is gone."""
    home = tmp_path / "home"
    local_stack.up(here(home, "postgres"))
    run = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    reaper = subprocess.Popen([sys.executable, str(ROOT / "tests" / "reaper.py"), str(run.pid), str(home)])
    run.kill()
    run.wait()
    assert reaper.wait(timeout=60) == 0
    assert copies(home) == []
    assert not home.exists()


def test_fronts_name_themselves(stack: Settings) -> None:
    """Whoever looks at an answer sees that it is not from the real server."""
    for name, path in (("clickhouse", "/ping"), ("meilisearch", "/health")):
        if not getattr(stack, f"{name}_url"):
            url = httpx.URL(stack.engine_url(name)).copy_with(userinfo=b"", path=path)
            headers = httpx.get(url, trust_env=False).headers
            process = Processes(stack.home).record(name)
            assert process is not None
            if "deploy.local" in " ".join(process.argv):
                assert any("gigz" in f"{key}: {value}".lower() for key, value in headers.items()), dict(headers)
