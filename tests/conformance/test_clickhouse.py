"""What Gigz asks of ClickHouse, over clickhouse-connect: one suite for the local front and for real servers.

With `GIGZ_CLICKHOUSE_URL` set it runs against that server, in a database of its own; else it starts the front. Tests
of the front alone (restart, refusals) are skipped there.
"""

import asyncio
import gzip
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from deploy import settings

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Server:
    """Where to connect to, and whether the front answers there."""

    url: str
    is_front: bool

    def client(self, **options: Any) -> Client:
        return clickhouse_connect.get_client(**{**self._address(), **options})

    async def async_client(self, **options: Any) -> AsyncClient:
        return await clickhouse_connect.get_async_client(**{**self._address(), **options})

    def post(self, statement: str | bytes, **parameters: str) -> httpx.Response:
        address = self._address()
        return httpx.post(
            f"{address['interface']}://{address['host']}:{address['port']}/",
            params=parameters,
            content=statement,
            headers={"X-ClickHouse-User": address["username"], "X-ClickHouse-Key": address["password"]},
            timeout=30,
            trust_env=False,
        )

    def _address(self) -> dict[str, Any]:
        parts = urlsplit(self.url)
        return {
            "interface": parts.scheme,
            "host": parts.hostname,
            "port": parts.port or {"http": 8123, "https": 8443}[parts.scheme],
            "username": parts.username or "default",
            "password": parts.password or "",
        }


class Front:
    """The front as a process of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "deploy.local.clickhouse_front", "--port", "0", "--data", str(self.data)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the front did not start: {self.process.communicate()[1]}")
        self.server = Server(url=line.split()[-1], is_front=True)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        _, self.errors = self.process.communicate(timeout=30)
        return self.process.returncode


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    url = settings.load().clickhouse_url
    if url:
        yield Server(url=url, is_front=False)
        return
    front = Front(tmp_path_factory.mktemp("clickhouse"))
    yield front.server
    assert front.stop() == 0, front.errors
    assert front.errors == ""


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[str]:
    name = f"gigz_conformance_{uuid.uuid4().hex[:12]}"
    with server.client() as client:
        client.command(f"CREATE DATABASE {name}")
        yield name
        client.command(f"DROP DATABASE {name} SYNC")


@pytest.fixture
def client(server: Server, database: str) -> Iterator[Client]:
    with server.client(database=database, tz_mode="aware") as client:
        yield client


@pytest.fixture
async def async_client(server: Server, database: str) -> AsyncIterator[AsyncClient]:
    client = await server.async_client(database=database, tz_mode="aware")
    yield client
    await client.close()


@pytest.fixture
def front_server(server: Server) -> Server:
    if not server.is_front:
        pytest.skip("of the front alone")
    return server


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    if settings.load().clickhouse_url:
        pytest.skip("of the front alone")
    with ExitStack() as stack:
        front = Front(tmp_path / "data & more +")
        stack.callback(lambda: front.process.poll() is None and front.stop(signal.SIGKILL))
        yield front


def table(client: Client, columns: str, engine: str = "MergeTree ORDER BY id") -> str:
    """A new table of these columns; its name."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    client.command(f"CREATE TABLE {name} ({columns}) ENGINE = {engine}")
    return name


# -- connecting ---------------------------------------------------------------------------------------------------


def test_the_handshake_tells_version_zone_and_settings(server: Server, client: Client) -> None:
    assert int((client.server_version or "0").split(".")[0]) >= 24
    if server.is_front:
        assert str(client.server_tz) == "UTC"
    assert client.server_settings["max_block_size"].value == "65409"


def test_a_ping_is_answered(client: Client) -> None:
    assert client.ping()


async def test_a_ping_of_the_async_client_is_answered(async_client: AsyncClient) -> None:
    assert await async_client.ping()


@pytest.mark.parametrize(("user", "password"), [("default", "wrong"), ("nobody", "")])
def test_a_wrong_user_or_password_is_refused(server: Server, user: str, password: str) -> None:
    with pytest.raises(DatabaseError) as refusal:
        server.client(username=user, password=password)
    assert (refusal.value.code, refusal.value.name) == (516, "AUTHENTICATION_FAILED")


async def test_a_wrong_password_of_the_async_client_is_refused(server: Server) -> None:
    with pytest.raises(DatabaseError) as refusal:
        await server.async_client(password="wrong")
    assert refusal.value.code == 516


def test_a_ping_is_answered_while_a_statement_runs(server: Server, database: str, client: Client) -> None:
    def wait() -> None:
        with server.client(database=database) as busy:
            busy.command("SELECT sleep(2)")

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.5)
    started = time.monotonic()
    assert client.ping(timeout=1)
    assert time.monotonic() - started < 1
    assert waiting.is_alive()
    waiting.join()


# -- types --------------------------------------------------------------------------------------------------------

UNICODE = "Sigur Rós — 日本 🎸 'q' \"d\" \\ \t \n end"

TYPES: list[tuple[str, Any]] = [
    ("UUID", uuid.UUID("0188f5c4-6b8e-7c2a-9d3f-1a2b3c4d5e6f")),
    ("String", UNICODE),
    ("String", ""),
    ("LowCardinality(String)", UNICODE),
    ("LowCardinality(Nullable(String))", None),
    ("Nullable(String)", None),
    ("Nullable(String)", UNICODE),
    ("Nullable(Float64)", None),
    ("Nullable(UUID)", None),
    ("FixedString(2)", b"DE"),
    ("Date", date(2014, 11, 14)),
    ("Date32", date(1955, 4, 1)),
    ("Nullable(Date32)", None),
    ("DateTime64(3, 'UTC')", datetime(2014, 11, 14, 23, 59, 59, 123_000, tzinfo=UTC)),
    ("DateTime64(3, 'UTC')", datetime(1955, 4, 1, tzinfo=UTC)),
    ("Nullable(DateTime64(3, 'UTC'))", None),
    ("UInt8", 255),
    ("UInt16", 65_535),
    ("UInt32", 2**32 - 1),
    ("UInt64", 2**64 - 1),
    ("Int32", -(2**31)),
    ("Int64", -(2**63)),
    ("Float32", 0.5),
    ("Float64", 52.370216),
    ("Bool", True),
    ("Enum8('announced' = 1, 'cancelled' = 2)", "cancelled"),
    ("Array(String)", [UNICODE, ""]),
    ("Array(String)", []),
    ("Array(LowCardinality(String))", ["a", "b", "a"]),
    ("Array(Nullable(Float32))", [0.5, None]),
    ("Array(Tuple(String, UInt8))", [("Jóga", 1), ("Hyperballad", 2)]),
    ("Array(Tuple(field String, bits Float64))", [{"field": "artist", "bits": 9.5}]),
    ("Map(String, String)", {"ticket": "x'y", "": UNICODE}),
    ("Map(String, String)", {}),
    ("JSON", {"artist": {"name": "Björk"}, "songs": ["Jóga"]}),
]


@pytest.mark.parametrize(("type_name", "value"), TYPES)
def test_a_value_comes_back_as_it_went_in(client: Client, type_name: str, value: Any) -> None:
    name = table(client, f"id UInt64, value {type_name}")
    client.insert(name, [[1, value]], column_names=["id", "value"])
    assert client.query(f"SELECT value FROM {name}").result_rows == [(value,)]


async def test_the_async_client_reads_and_writes_all_types(async_client: AsyncClient) -> None:
    name = f"t_{uuid.uuid4().hex[:12]}"
    columns = [f"c{number}" for number in range(len(TYPES))]
    declared = ", ".join(f"{column} {type_name}" for column, (type_name, _) in zip(columns, TYPES, strict=True))
    await async_client.command(f"CREATE TABLE {name} ({declared}) ENGINE = MergeTree ORDER BY tuple()")
    row = [value for _, value in TYPES]
    await async_client.insert(name, [row], column_names=columns)
    result = await async_client.query(f"SELECT * FROM {name}")
    assert list(result.result_rows[0]) == row
    assert list(result.column_names) == columns


def test_nested_columns_are_arrays_of_one_length(client: Client) -> None:
    name = table(client, "id UInt64, songs Nested(title String, part UInt8)")
    client.insert(name, [[1, ["Jóga", "Hunter"], [1, 2]]], column_names=["id", "songs.title", "songs.part"])
    assert client.query(f"SELECT songs.title, songs.part FROM {name}").result_rows == [(["Jóga", "Hunter"], [1, 2])]


# -- inserts ------------------------------------------------------------------------------------------------------


def test_an_insert_says_how_many_rows_were_written(client: Client) -> None:
    name = table(client, "id UInt64, name String")
    assert client.insert(name, [[1, "a"], [2, "b"]], column_names=["id", "name"]).written_rows == 2


def test_an_empty_insert_changes_nothing(client: Client) -> None:
    name = table(client, "id UInt64, name String")
    client.insert(name, [], column_names=["id", "name"])
    client.raw_insert(name, insert_block=b"", fmt="JSONEachRow")
    assert client.command(f"SELECT count() FROM {name}") == 0


def test_columns_left_out_take_their_defaults(client: Client) -> None:
    name = table(client, "id UInt64, name String DEFAULT 'unknown', twice UInt64 MATERIALIZED id * 2")
    client.insert(name, [[21]], column_names=["id"])
    assert client.query(f"SELECT id, name, twice FROM {name}").result_rows == [(21, "unknown", 42)]


def test_a_hundred_thousand_rows_arrive_once_each(client: Client) -> None:
    name = table(client, "id UInt64, artist String, night Date, songs Array(String)")
    rows = [[n, f"artist {n % 977}", date(2014, 1, 1 + n % 28), [f"song {n % 31}"]] for n in range(100_000)]
    assert client.insert(name, rows, column_names=["id", "artist", "night", "songs"]).written_rows == 100_000
    counted = client.query(f"SELECT count(), uniqExact(id), sum(id), uniqExact(artist), uniqExact(songs) FROM {name}")
    assert counted.result_rows == [(100_000, 100_000, 4_999_950_000, 977, 31)]


@pytest.mark.parametrize("compression", [True, False, "lz4", "zstd", "gzip"])
def test_both_ways_may_be_compressed(server: Server, database: str, compression: bool | str) -> None:
    with server.client(database=database, compress=compression) as client:
        name = table(client, "id UInt64, text String")
        # several blocks, so several frames in one body
        rows = [[n, f"text {n} " * 20] for n in range(30_000)]
        client.insert(name, rows, column_names=["id", "text"])
        assert client.query(f"SELECT * FROM {name} ORDER BY id").result_rows == [tuple(row) for row in rows]


async def test_the_async_client_compresses_both_ways(server: Server, database: str) -> None:
    for compression in ("lz4", "zstd", "gzip"):
        client = await server.async_client(database=database, compress=compression)
        name = f"t_{uuid.uuid4().hex[:12]}"
        await client.command(f"CREATE TABLE {name} (id UInt64, text String) ENGINE = MergeTree ORDER BY id")
        rows = [[n, f"text {n} " * 20] for n in range(30_000)]
        await client.insert(name, rows, column_names=["id", "text"])
        result = await client.query(f"SELECT * FROM {name} ORDER BY id")
        await client.close()
        assert result.result_rows == [tuple(row) for row in rows]


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_json_rows_can_be_inserted_raw(client: Client, compression: str | None) -> None:
    name = table(client, "id UInt64, name Nullable(String), tags Array(String)")
    block = b'{"id": 1, "name": "a \\"b\\"", "tags": ["x"]}\n{"id": 2, "name": null, "unknown": 1}\n'
    body = gzip.compress(block) if compression else block
    client.raw_insert(
        name,
        insert_block=body,
        fmt="JSONEachRow",
        compression=compression,
        settings={"input_format_skip_unknown_fields": 1},
    )
    assert client.query(f"SELECT * FROM {name} ORDER BY id").result_rows == [(1, 'a "b"', ["x"]), (2, None, [])]


def test_a_null_for_a_column_without_nulls_is_refused_and_nothing_is_kept(client: Client) -> None:
    name = table(client, "id UInt64, count UInt8, name String")
    with pytest.raises(ClickHouseError):
        client.insert(name, [[1, 1], [2, None]], column_names=["id", "count"])
    with pytest.raises(DatabaseError):
        client.raw_insert(
            name,
            insert_block=b'{"id": 3, "name": "a"}\n{"id": 4, "name": null}\n',
            fmt="JSONEachRow",
            settings={"input_format_null_as_default": 0},
        )
    assert client.command(f"SELECT count() FROM {name}") == 0


def test_a_null_takes_the_default_where_that_is_asked_for(client: Client) -> None:
    name = table(client, "id UInt64, count UInt8 DEFAULT 7")
    client.raw_insert(
        name,
        insert_block=b'{"id": 4, "count": null}\n',
        fmt="JSONEachRow",
        settings={"input_format_null_as_default": 1},
    )
    assert client.query(f"SELECT * FROM {name}").result_rows == [(4, 7)]


def test_a_batch_with_a_broken_end_is_refused_as_a_whole(client: Client) -> None:
    name = table(client, "id UInt64, name String")
    with pytest.raises(DatabaseError):
        client.raw_insert(name, insert_block=b'{"id": 1, "name": "a"}\n{"id": "x"}\n', fmt="JSONEachRow")
    assert client.command(f"SELECT count() FROM {name}") == 0


def test_a_repeated_deduplication_token_counts_once(client: Client) -> None:
    name = table(
        client, "id UInt64, name String", "MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100"
    )
    for token in ("listing:3:10-20", "listing:3:10-20", "listing:3:20-30"):
        client.insert(
            name,
            [[1, "a"]],
            column_names=["id", "name"],
            settings={"insert_deduplication_token": token, "insert_deduplicate": 1, "async_insert": 0},
        )
    assert client.command(f"SELECT count() FROM {name}") == 2


def test_statements_may_insert_values_and_rows_of_other_tables(client: Client) -> None:
    name = table(client, "id UInt64, name String")
    client.command(f"INSERT INTO {name} VALUES (1, 'a; b'), (2, 'FORMAT Native')")
    client.command(f"INSERT INTO {name} (id, name) SELECT id + 10, name FROM {name}")
    assert client.query(f"SELECT id, name FROM {name} ORDER BY id").result_rows == [
        (1, "a; b"),
        (2, "FORMAT Native"),
        (11, "a; b"),
        (12, "FORMAT Native"),
    ]


# -- replacing, deleting ------------------------------------------------------------------------------------------

VERSIONED = "id UUID, name String, version UInt64, is_deleted UInt8"
REPLACING = "ReplacingMergeTree(version, is_deleted) ORDER BY id"
COLUMNS = ["id", "name", "version", "is_deleted"]


def test_the_highest_version_stays_whatever_the_order(client: Client) -> None:
    name = table(client, VERSIONED, REPLACING)
    concert = uuid.uuid4()
    for version in (2, 3, 1):
        client.insert(name, [[concert, f"v{version}", version, 0]], column_names=COLUMNS)
    assert client.query(f"SELECT name, version FROM {name} FINAL").result_rows == [("v3", 3)]
    latest = client.query(f"SELECT argMax(name, version) FROM {name} GROUP BY id")
    assert latest.result_rows == [("v3",)]
    client.command(f"OPTIMIZE TABLE {name} FINAL")
    assert client.command(f"SELECT count() FROM {name}") == 1


def test_a_replayed_batch_counts_once(client: Client) -> None:
    name = table(client, VERSIONED, REPLACING)
    rows = [[uuid.uuid4(), f"concert {n}", 1, 0] for n in range(1_000)]
    client.insert(name, rows, column_names=COLUMNS)
    client.insert(name, rows[300:], column_names=COLUMNS)
    assert client.command(f"SELECT count() FROM {name} FINAL") == 1_000


def test_a_deleted_row_is_gone_until_a_later_version_brings_it_back(client: Client) -> None:
    name = table(client, VERSIONED, REPLACING)
    concert = uuid.uuid4()
    client.insert(name, [[concert, "there", 1, 0]], column_names=COLUMNS)
    client.insert(name, [[concert, "", 2, 1]], column_names=COLUMNS)
    assert client.command(f"SELECT count() FROM {name} FINAL") == 0
    client.insert(name, [[concert, "late", 1, 0]], column_names=COLUMNS)
    assert client.command(f"SELECT count() FROM {name} FINAL") == 0
    client.insert(name, [[concert, "back", 3, 0]], column_names=COLUMNS)
    assert client.query(f"SELECT name FROM {name} FINAL").result_rows == [("back",)]


def test_a_mutation_deletes_for_good(client: Client) -> None:
    name = table(client, "id UInt64, user String")
    client.insert(name, [[1, "u1"], [2, "u2"], [3, "u1"]], column_names=["id", "user"])
    client.command(
        f"ALTER TABLE {name} DELETE WHERE user = {{user:String}}",
        parameters={"user": "u1"},
        settings={"mutations_sync": 2},
    )
    assert client.query(f"SELECT id FROM {name}").result_rows == [(2,)]
    done = client.query("SELECT is_done FROM system.mutations WHERE table = {t:String}", parameters={"t": name})
    assert done.result_rows == [(1,)]


def test_columns_can_be_added_and_tables_exchanged(client: Client) -> None:
    one, other = table(client, "id UInt64"), table(client, "id UInt64")
    client.insert(one, [[1]], column_names=["id"])
    client.command(f"ALTER TABLE {one} ADD COLUMN IF NOT EXISTS note String DEFAULT 'n'")
    client.command(f"EXCHANGE TABLES {one} AND {other}")
    assert client.query(f"SELECT id, note FROM {other}").result_rows == [(1, "n")]
    client.command(f"TRUNCATE TABLE {other}")
    client.command(f"DROP TABLE IF EXISTS {one} SYNC")
    assert client.command(f"SELECT count() FROM {other}") == 0
    assert client.command(f"EXISTS TABLE {one}") == 0


def test_system_tables_tell_of_tables_columns_and_parts(client: Client, database: str) -> None:
    name = table(client, VERSIONED, REPLACING)
    client.insert(name, [[uuid.uuid4(), "a", 1, 0]], column_names=COLUMNS)
    where = {"d": database, "t": name}
    tables = client.query(
        "SELECT engine, total_rows FROM system.tables WHERE database = {d:String} AND name = {t:String}",
        parameters=where,
    )
    assert tables.result_rows == [("ReplacingMergeTree", 1)]
    columns = client.query(
        "SELECT name FROM system.columns WHERE database = {d:String} AND table = {t:String} ORDER BY position",
        parameters=where,
    )
    assert [row[0] for row in columns.result_rows] == COLUMNS
    parts = client.query(
        "SELECT sum(rows) FROM system.parts WHERE database = {d:String} AND table = {t:String} AND active",
        parameters=where,
    )
    assert parts.result_rows == [(1,)]


# -- queries ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("String", "plain"),
        ("String", 'it\'s "quoted" and `ticked`'),
        ("String", "back\\slash \\n \\N \\' end\\"),
        ("String", "line\nfeed\r\nand\ttab\0zero"),
        ("String", UNICODE),
        ("String", "'; DROP TABLE listings; --"),
        ("String", "{other:String} FORMAT JSON"),
        ("String", ""),
        ("Nullable(String)", None),
        ("UInt64", 2**64 - 1),
        ("Int64", -5),
        ("Float64", 0.1),
        ("Bool", True),
        ("Date", date(2014, 11, 14)),
        ("Date32", date(1955, 4, 1)),
        ("DateTime64(3, 'UTC')", datetime(2014, 11, 14, 23, 59, 59, 123_000, tzinfo=UTC)),
        ("UUID", uuid.UUID("0188f5c4-6b8e-7c2a-9d3f-1a2b3c4d5e6f")),
        ("Array(String)", ["it's", "a\\b", "line\nfeed", "", "日本"]),
        ("Array(String)", []),
        ("Array(UInt64)", [1, 2, 3]),
        ("Array(Date)", [date(2014, 11, 14), date(2015, 1, 2)]),
        ("Array(UUID)", [uuid.UUID("0188f5c4-6b8e-7c2a-9d3f-1a2b3c4d5e6f")]),
    ],
)
def test_a_parameter_reaches_the_query_unchanged(client: Client, type_name: str, value: Any) -> None:
    result = client.query(f"SELECT {{value:{type_name}}} AS value", parameters={"value": value})
    assert result.result_rows == [(value,)]


LONG = [f"{UNICODE} {n}" for n in range(500)]
"""Above 4 kB the client sends the query and its parameters as a form."""


def test_a_long_parameter_reaches_the_query_unchanged(client: Client) -> None:
    ids = [uuid.uuid4() for _ in range(1_000)]
    asked = (
        "SELECT\n{ids:Array(UUID)},\r\n{long:Array(String)}, 'ü', max_block_size\n"
        "FROM (SELECT getSetting('max_block_size') AS max_block_size)\n"
    )
    result = client.query(asked, parameters={"ids": ids, "long": LONG}, settings={"max_block_size": 999})
    assert result.result_rows == [(ids, LONG, "ü", 999)]


def test_a_parameter_above_128_kb_is_refused(client: Client) -> None:
    with pytest.raises(DatabaseError):
        client.query("SELECT length({text:String})", parameters={"text": "x" * 131_073})
    assert client.query("SELECT length({text:String})", parameters={"text": "x" * 131_000}).result_rows == [(131_000,)]


async def test_a_long_parameter_of_the_async_client_reaches_the_query_unchanged(async_client: AsyncClient) -> None:
    result = await async_client.query("SELECT {long:Array(String)}, 'ü'\n", parameters={"long": LONG})
    assert result.result_rows == [(LONG, "ü")]


def test_a_parameter_may_name_a_table(client: Client) -> None:
    name = table(client, "id UInt64")
    result = client.query("SELECT count() FROM {table:Identifier}", parameters={"table": name})
    assert result.result_rows == [(0,)]


async def test_the_async_client_binds_parameters(async_client: AsyncClient) -> None:
    values = {"text": UNICODE, "many": ["it's", "a\\b"]}
    result = await async_client.query("SELECT {text:String}, {many:Array(String)}", parameters=values)
    assert result.result_rows == [(UNICODE, ["it's", "a\\b"])]


def test_a_query_tells_names_types_and_counts(client: Client) -> None:
    result = client.query("SELECT number AS n, toString(number) AS s FROM numbers(3)")
    assert (list(result.column_names), [t.name for t in result.column_types]) == (["n", "s"], ["UInt64", "String"])
    assert list(result.named_results()) == [{"n": n, "s": str(n)} for n in range(3)]
    assert int(result.summary["read_rows"]) == 3


def test_a_query_without_rows_is_empty(client: Client) -> None:
    assert client.query("SELECT 1 WHERE 0").result_rows == []
    assert client.command("SELECT 1 WHERE 0") == ""


def test_the_columns_of_a_query_can_be_asked_for_alone(client: Client) -> None:
    result = client.query("SELECT 1 AS one, 'x' AS two LIMIT 0")
    assert list(result.column_names) == ["one", "two"]


def test_a_command_gives_one_value_or_a_summary(client: Client) -> None:
    assert client.command("SELECT 'a b'") == "a b"
    assert client.command("SELECT 1, 'x'") == ["1", "x"]
    name = f"t_{uuid.uuid4().hex[:12]}"
    assert not isinstance(client.command(f"CREATE TABLE {name} (id UInt8) ENGINE = Memory"), str)


def test_a_raw_query_gives_the_format_asked_for(client: Client) -> None:
    assert client.raw_query("SELECT 1 AS one, 'x' AS two", fmt="JSONEachRow") == b'{"one":1,"two":"x"}\n'
    assert client.raw_query("SELECT 1 AS one FORMAT CSV") == b"1\n"


def test_a_long_result_can_be_read_block_by_block(client: Client) -> None:
    with client.query_row_block_stream(
        "SELECT number FROM numbers(50000)", settings={"max_block_size": 10_000}
    ) as stream:
        blocks = [[row[0] for row in block] for block in stream]
    assert len(blocks) > 1
    assert [n for block in blocks for n in block] == list(range(50_000))


async def test_the_async_client_reads_a_long_result_row_by_row(async_client: AsyncClient) -> None:
    stream = await async_client.query_rows_stream("SELECT number FROM numbers(50000)")
    async with stream:
        numbers = [row[0] async for row in stream]
    assert numbers == list(range(50_000))


def test_a_comment_or_a_semicolon_at_the_end_is_no_second_statement(client: Client) -> None:
    assert client.command("SELECT 'a;b' -- ; SELECT 2\n;") == "a;b"


def test_settings_hold_for_one_query_only(client: Client) -> None:
    asked = "SELECT value FROM system.settings WHERE name = 'max_block_size'"
    assert client.query(asked, settings={"max_block_size": 777}).result_rows == [("777",)]
    assert client.query(asked).result_rows == [("65409",)]


def test_a_query_id_is_given_back(client: Client) -> None:
    chosen = str(uuid.uuid4())
    assert client.query("SELECT 1", settings={"query_id": chosen}).query_id == chosen


# -- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "code", "name", "status"),
    [
        ("SELECT * FROM no_such_table", 60, "UNKNOWN_TABLE", 404),
        ("SELECT * FROM no_such_database.t", 81, "UNKNOWN_DATABASE", 404),
        ("SELECT no_such_column FROM system.one", 47, "UNKNOWN_IDENTIFIER", 404),
        ("SELECT noSuchFunction(1)", 46, "UNKNOWN_FUNCTION", 404),
        ("SELECT 1 FORMAT NoSuchFormat", 73, "UNKNOWN_FORMAT", 404),
        ("SELECT 1 SETTINGS no_such_setting = 1", 115, "UNKNOWN_SETTING", 404),
        ("SELEC 1", 62, "SYNTAX_ERROR", 400),
        ("1 + 1", 62, "SYNTAX_ERROR", 400),
        ("", 62, "SYNTAX_ERROR", 400),
        ("SELECT 1; SELECT 2", 62, "SYNTAX_ERROR", 400),
        ("SELECT toUInt8('x')", 6, "CANNOT_PARSE_TEXT", 400),
        ("SELECT throwIf(1)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO", 500),
        ("SELECT {missing:String}", 456, "UNKNOWN_QUERY_PARAMETER", 500),
        ("CREATE DATABASE system", 82, "DATABASE_ALREADY_EXISTS", 500),
        ("SELECT sleep(1.5) SETTINGS max_execution_time = 0.5", 159, "TIMEOUT_EXCEEDED", 408),
        ("INSERT INTO no_such_table FORMAT JSONEachRow {}", 60, "UNKNOWN_TABLE", 404),
    ],
)
def test_an_error_has_its_code_name_and_status(
    server: Server, database: str, statement: str, code: int, name: str, status: int
) -> None:
    answer = server.post(statement, database=database)
    assert answer.headers.get("X-ClickHouse-Exception-Code") == str(code), answer.text
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert f"({name})" in answer.text
    assert answer.text.count("DB::Exception") == 1
    assert answer.status_code == status


def test_the_client_can_read_an_errors_code(client: Client) -> None:
    with pytest.raises(DatabaseError, match="no_such_table") as error:
        client.query("SELECT * FROM no_such_table")
    assert (error.value.code, error.value.name) == (60, "UNKNOWN_TABLE")
    with pytest.raises(DatabaseError) as error:
        client.insert("no_such_table", [[1]], column_names=["id"])
    assert error.value.code == 60


async def test_the_async_client_can_read_an_errors_code(async_client: AsyncClient) -> None:
    with pytest.raises(DatabaseError) as error:
        await async_client.query("SELECT * FROM no_such_table")
    assert (error.value.code, error.value.name) == (60, "UNKNOWN_TABLE")


def test_a_database_that_is_not_there_is_an_error(server: Server) -> None:
    with pytest.raises(DatabaseError) as error:
        server.client(database="no_such_database")
    assert error.value.code == 81


def test_a_read_only_query_writes_nothing(client: Client) -> None:
    name = table(client, "id UInt64")
    with pytest.raises(DatabaseError) as error:
        client.command(f"INSERT INTO {name} VALUES (1)", settings={"readonly": 1})
    assert error.value.code == 164
    assert client.command(f"SELECT count() FROM {name}") == 0


# -- together -----------------------------------------------------------------------------------------------------


def test_clients_at_the_same_time_do_not_disturb_each_other(server: Server, database: str, client: Client) -> None:
    name = table(client, "id UInt64, writer UInt8")
    failures: list[Exception] = []

    def write(writer: int) -> None:
        try:
            with server.client(database=database) as own:
                for batch in range(5):
                    first = (writer * 5 + batch) * 1_000
                    own.insert(name, [[first + n, writer] for n in range(1_000)], column_names=["id", "writer"])
                    assert own.command(f"SELECT count() FROM {name} WHERE writer = {writer}") == (batch + 1) * 1_000
        except Exception as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(6)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    assert not failures
    assert client.query(f"SELECT count(), uniqExact(id) FROM {name}").result_rows == [(30_000, 30_000)]


async def test_one_async_client_may_ask_many_things_at_once(async_client: AsyncClient) -> None:
    results = await asyncio.gather(*(async_client.query(f"SELECT {n} AS n") for n in range(40)))
    assert [result.result_rows[0][0] for result in results] == list(range(40))


# -- the front alone ----------------------------------------------------------------------------------------------


def test_every_answer_names_the_front(front_server: Server) -> None:
    for answer in (
        front_server.post("SELECT 1"),
        front_server.post("SELEC"),
        httpx.get(f"{front_server.url}/ping", trust_env=False),
        httpx.get(f"{front_server.url}/nowhere", trust_env=False),
    ):
        assert answer.headers["X-Gigz-Front"].startswith("clickhouse over chdb-core ")


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        ("SET max_threads = 1", {}),
        ("USE system", {}),
        ("CREATE TEMPORARY TABLE t (id UInt8)", {}),
        ("CREATE USER somebody", {}),
        ("GRANT ALL ON *.* TO default", {}),
        ("SYSTEM SHUTDOWN", {}),
        ("BACKUP DATABASE default TO Disk('d', 'b')", {}),
        ("SELECT 1 INTO OUTFILE '/dev/null'", {}),
        ("INSERT INTO t FROM INFILE '/dev/null' FORMAT CSV", {}),
        ("SELECT * FROM file('/etc/hostname', 'LineAsString')", {}),
        ("INSERT INTO t SELECT * FROM input('id UInt8') FORMAT CSV 1", {}),
        ("INSERT INTO t FORMAT CSV SETTINGS max_threads = 1\n1", {}),
        ("SELECT 1", {"compress": "1"}),
        ("SELECT 1", {"decompress": "1"}),
        ("SELECT 1", {"role": "reader"}),
        ("SELECT 1", {"session_id": "s", "session_check": "1"}),
    ],
)
def test_what_the_front_cannot_do_is_an_error(front_server: Server, statement: str, parameters: dict[str, str]) -> None:
    answer = front_server.post(statement, **parameters)
    assert (answer.status_code, answer.headers.get("X-ClickHouse-Exception-Code")) == (501, "48"), answer.text
    assert "(NOT_IMPLEMENTED)" in answer.text


def test_external_tables_and_unknown_encodings_are_errors(front_server: Server) -> None:
    form = httpx.post(front_server.url, files={"t": b"1"}, params={"query": "SELECT * FROM t"}, trust_env=False)
    field = httpx.post(front_server.url, files={"database": (None, "system")}, params={"query": "SELECT 1"})
    encoded = httpx.post(front_server.url, content=b"SELECT 1", headers={"Content-Encoding": "snappy"}, trust_env=False)
    broken = httpx.post(front_server.url, content=b"SELECT 1", headers={"Content-Encoding": "lz4"}, trust_env=False)
    assert [answer.status_code for answer in (form, field, encoded, broken)] == [501, 501, 501, 500]


def test_a_get_writes_nothing(front_server: Server) -> None:
    answer = httpx.get(front_server.url, params={"query": "CREATE DATABASE by_get"}, trust_env=False)
    assert answer.headers["X-ClickHouse-Exception-Code"] == "164"


def test_tables_and_rows_are_there_after_a_restart(front: Front) -> None:
    with front.server.client() as client:
        client.command("CREATE DATABASE kept")
        for name in ("kept.t", "default.t"):
            client.command(f"CREATE TABLE {name} ({VERSIONED}) ENGINE = {REPLACING}")
            client.insert(name, [[uuid.uuid4(), UNICODE, 1, 0]], column_names=COLUMNS)
    assert front.stop() == 0, front.errors
    front.start()
    with front.server.client() as client:
        for name in ("kept.t", "default.t"):
            assert client.query(f"SELECT name FROM {name} FINAL").result_rows == [(UNICODE,)]
    assert front.stop() == 0, front.errors


def test_a_hard_kill_loses_no_acknowledged_insert(front: Front) -> None:
    with front.server.client() as client:
        client.command("CREATE TABLE t (id UInt64) ENGINE = MergeTree ORDER BY id")
    acknowledged: list[int] = []

    def write() -> None:
        with front.server.client() as own:
            for first in range(0, 10_000_000, 500):
                try:
                    own.insert("t", [[first + n] for n in range(500)], column_names=["id"])
                except Exception:  # the front is gone, whatever the client makes of it
                    return
                acknowledged.append(first)

    writing = threading.Thread(target=write)
    writing.start()
    deadline = time.monotonic() + 30
    while len(acknowledged) < 30 and time.monotonic() < deadline:
        time.sleep(0.01)
    front.stop(signal.SIGKILL)
    writing.join()
    front.start()
    with front.server.client() as client:
        kept = {row[0] for row in client.query("SELECT id FROM t").result_rows}
        count = client.command("SELECT count() FROM t")
    assert len(acknowledged) >= 30
    assert kept >= {first + n for first in acknowledged for n in range(500)}
    assert count == len(kept)
    assert len(kept) % 500 == 0
    assert front.stop() == 0, front.errors


def test_an_upload_that_breaks_off_inserts_nothing(front_server: Server) -> None:
    with front_server.client() as client:
        client.command("CREATE TABLE broken_off (id UInt64) ENGINE = MergeTree ORDER BY id")
        address = urlsplit(front_server.url)
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(
                b"POST /?query=INSERT+INTO+broken_off+FORMAT+JSONEachRow HTTP/1.1\r\nHost: x\r\n"
                b'Transfer-Encoding: chunked\r\n\r\na\r\n{"id": 1}\n\r\n'
            )
        time.sleep(0.5)
        assert client.command("SELECT count() FROM broken_off") == 0
        client.command("DROP TABLE broken_off SYNC")


def test_a_second_front_on_the_same_folder_does_not_start(front: Front) -> None:
    with pytest.raises(AssertionError, match="another front"):
        Front(front.data)
    assert front.server.post("SELECT 1").text == "1\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
def test_only_loopback_is_served(tmp_path: Path, host: str) -> None:
    command = [sys.executable, "-m", "deploy.local.clickhouse_front", "--host", host, "--port", "0"]
    done = subprocess.run([*command, "--data", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "Remedy: 127.0.0.1" in done.stderr
