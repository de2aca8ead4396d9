"""The stack's bookkeeping, with no engine running."""

import json
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

from deploy.local import clickhouse, kafka, meilisearch, stack
from deploy.local.errors import StackError, StackErrors, remedy_for
from deploy.local.ports import Ports
from deploy.local.processes import Processes
from deploy.local.room import Room, engine_environment, python_environment
from deploy.settings import Settings, load

SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
ELSEWHERE = {
    "kafka_url": "kafka.example:9092",
    "postgres_url": "postgresql://gigz:secret@postgres.example/gigz",
    "clickhouse_url": "https://gigz:secret@clickhouse.example:8443/gigz",
    "meilisearch_url": "https://meilisearch.example",
}


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(SLEEP)
    yield process
    process.kill()
    process.wait()


def test_nothing_is_started_when_all_engines_are_elsewhere(tmp_path: Path) -> None:
    settings = load({"home": tmp_path, **ELSEWHERE})
    started = stack.up(settings)
    assert started.urls == {}
    assert started.processes == ()
    assert [line.state for line in stack.status(settings)] == ["elsewhere"] * 4
    assert "secret" not in repr(stack.status(settings))


def test_a_home_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StackError, match=r"(?s)file/home cannot be written: .*Remedy: set GIGZ_HOME"):
        stack.up(Settings(home=tmp_path / "file" / "home"))


def test_a_full_disk_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**10, 10**10, 10**8))
    with pytest.raises(StackError, match=r"(?s)the disk of .* is full: 0.1 GB free.*Remedy: free some space"):
        stack.up(Settings(home=tmp_path))
    assert Processes(tmp_path).names() == []


def test_down_without_a_home_stops_nothing(tmp_path: Path) -> None:
    assert stack.down(Settings(home=tmp_path / "never")) == []
    assert not (tmp_path / "never").exists()


def test_down_stops_our_processes_before_the_engines_and_no_others(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    processes = Processes(tmp_path)
    for name in ("kafka", "normalise-1"):
        processes.start(name, SLEEP, environment={})
    gone = processes.start("api", SLEEP, environment={})
    processes.stop("api")
    record = json.loads((tmp_path / "run" / "kafka.json").read_text())
    taken_over = {**record, "name": "api", "pid": stranger.pid, "create_time": gone.create_time - 5}
    (tmp_path / "run" / "api.json").write_text(json.dumps(taken_over))
    told: list[tuple[str, str]] = []

    assert stack.down(Settings(home=tmp_path), lambda name, what: told.append((name, what))) == ["normalise-1", "kafka"]

    assert told == [(name, what) for name in ("normalise-1", "kafka") for what in ("stopping", "stopped")]
    assert stranger.poll() is None, "a stranger was stopped"
    assert processes.names() == []


def test_status_tells_what_runs_and_what_died(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    running = processes.start("kafka", SLEEP, environment={}, address="127.0.0.1:19092")
    dead = processes.start("api", SLEEP, environment={}, address="http://127.0.0.1:18000")
    killed = psutil.Process(dead.pid)
    killed.kill()
    killed.wait(10)
    lines = {line.name: line for line in stack.status(Settings(home=tmp_path))}
    try:
        assert list(lines) == ["kafka", "postgres", "clickhouse", "meilisearch", "api"]
        assert (lines["kafka"].state, lines["kafka"].address) == ("running", "127.0.0.1:19092")
        assert (lines["kafka"].pid, lines["kafka"].since) == (running.pid, running.started_at)
        assert lines["kafka"].memory_bytes > 1_000_000
        assert (lines["api"].state, lines["api"].address, lines["api"].pid) == ("died", "127.0.0.1:18000", None)
        assert lines["postgres"].state == "stopped"
    finally:
        stack.down(Settings(home=tmp_path))


@pytest.mark.parametrize(("module", "name"), [(clickhouse, "clickhouse"), (meilisearch, "meilisearch")])
def test_a_program_that_is_set_but_not_there_is_an_error(module: object, name: str) -> None:
    with pytest.raises(StackError, match=rf"(?s)GIGZ_{name.upper()}_BIN names /no/such.*Remedy"):
        clickhouse.find_program(name, "/no/such")


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    ids = {kafka.new_cluster_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert {len(cluster) for cluster in ids} == {22}
    assert not [cluster for cluster in ids if cluster.startswith("-")]


def test_the_last_words_of_an_engine_choose_the_remedy() -> None:
    assert "free some space" in remedy_for("write failed: No space left on device", "GIGZ_KAFKA_PORT", "else")
    assert "GIGZ_KAFKA_PORT=0" in remedy_for("BindException: Address already in use", "GIGZ_KAFKA_PORT", "else")
    assert remedy_for("something new", "GIGZ_KAFKA_PORT", "else") == "else"


def test_an_error_names_engine_last_lines_and_remedy() -> None:
    error = StackError("kafka", "ended while starting.", "do this.", "one\ntwo")
    assert str(error) == "kafka: ended while starting.\nits last log lines:\n    one\n    two\nRemedy: do this."
    both = StackErrors([error, StackError("postgres", "too.", "do that.")])
    assert "two\nRemedy: do this.\n\npostgres: too.\nRemedy: do that." in str(both)
    assert both.engine == "kafka, postgres"


def test_engines_see_neither_our_secrets_nor_settings_of_theirs_meant_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PGPORT", "MEILI_MASTER_KEY", "CLICKHOUSE_PASSWORD"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("UNRELATED", "kept")
    environment = engine_environment(Settings(jwt_secret="hush"))
    assert environment["UNRELATED"] == "kept"
    assert not [name for name in environment if name.startswith(("GIGZ_", "PG", "MEILI_", "CLICKHOUSE_"))]
    assert "hush" not in environment.values()


def test_children_find_our_packages_before_others() -> None:
    path = python_environment({"PYTHONPATH": "/other"})["PYTHONPATH"]
    assert path.endswith(":/other")
    assert (Path(path.split(":")[0]) / "deploy").is_dir()


@pytest.mark.network
def test_a_real_clickhouse_listens_on_loopback_only_and_keeps_data_of_its_own(tmp_path: Path) -> None:
    room = room_at(tmp_path / "a & b", clickhouse_bin=sys.executable)
    launch = clickhouse.launch(room)
    program, command, option = launch.argv
    assert (program, command) == (str(Path(sys.executable).resolve()), "server")
    config = ElementTree.parse(option.removeprefix("--config-file=")).getroot()
    assert [element.text for element in config.iter("listen_host")] == ["127.0.0.1"]
    assert [element.tag for element in config.iter() if element.tag.endswith("_port")] == ["http_port"]
    assert config.findtext("path") == f"{tmp_path}/a & b/clickhouse-server/data/"
    users = ElementTree.parse(config.findtext("user_directories/users_xml/path") or "").getroot()
    assert [element.text for element in users.iter("ip")] == ["127.0.0.1"]


@pytest.mark.network
def test_a_real_meilisearch_gets_its_key_where_no_process_list_shows_it(tmp_path: Path) -> None:
    launch = meilisearch.launch(room_at(tmp_path, meilisearch_bin=sys.executable, meilisearch_key="hush"))
    assert launch.environment["MEILI_MASTER_KEY"] == "hush"
    assert "hush" not in " ".join(launch.argv)
    assert launch.argv[launch.argv.index("--http-addr") + 1] == launch.url.removeprefix("http://")


def room_at(home: Path, **overrides: object) -> Room:
    settings = load({"home": home, "clickhouse_port": 0, "meilisearch_port": 0, **overrides})
    return Room(settings, Processes(settings.home), Ports(settings), lambda engine, what: None)
