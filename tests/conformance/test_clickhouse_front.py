"""How the local ClickHouse front reads a request's text and rewords chDB's errors: no engine, no socket."""

import pytest

from deploy.local.clickhouse_front.errors import ServerError, from_engine
from deploy.local.clickhouse_front.statements import read_statement


@pytest.mark.parametrize(
    ("request_text", "sql", "input_format", "data"),
    [
        (b"INSERT INTO t (a, b) FORMAT Native\n\x01\x00;'", "INSERT INTO t (a, b) ", "Native", b"\x01\x00;'"),
        (b"insert into t format JSONEachRow {}", "insert into t ", "JSONEachRow", b"{}"),
        (b"INSERT INTO t FORMAT CSV  \r\n\n1", "INSERT INTO t ", "CSV", b"\n1"),
        (b"INSERT INTO t SETTINGS a = 1 FORMAT TSV\n", "INSERT INTO t SETTINGS a = 1 ", "TSV", b""),
        (b"INSERT INTO format FORMAT CSV 1", "INSERT INTO format ", "CSV", b"1"),
        (b"INSERT INTO d.format FORMAT CSV 1", "INSERT INTO d.format ", "CSV", b"1"),
        (b"INSERT INTO t (`FORMAT x`, values, format) FORMAT CSV 1", None, "CSV", b"1"),
        (b"/* FORMAT a */ INSERT -- FORMAT b\n INTO `t` FORMAT CSV 1", None, "CSV", b"1"),
        (b"INSERT INTO FUNCTION null('a String') FORMAT CSV 1", None, "CSV", b"1"),
    ],
)
def test_data_begin_behind_the_format_of_an_insert(
    request_text: bytes, sql: str | None, input_format: str, data: bytes
) -> None:
    statement = read_statement(request_text)
    assert (statement.input_format, bytes(statement.data)) == (input_format, data)
    assert not statement.returns_rows
    if sql is not None:
        assert statement.sql == sql


@pytest.mark.parametrize(
    "request_text",
    [
        b"INSERT INTO t VALUES (1, 'x FORMAT Native; y')",
        b"INSERT INTO t SELECT a FROM u",
        b"INSERT INTO t (SELECT 1)",
        b"WITH 1 AS x INSERT INTO t SELECT x",
        b"CREATE TABLE t (format String) ENGINE = Memory",
    ],
)
def test_other_writes_are_run_as_they_stand(request_text: bytes) -> None:
    statement = read_statement(request_text)
    assert (statement.sql, statement.input_format, statement.returns_rows) == (request_text.decode(), None, False)


@pytest.mark.parametrize(
    ("request_text", "output_format"),
    [
        (b"SELECT 1\n FORMAT Native", "Native"),
        (b"SELECT 1 format JSON SETTINGS a = 1", "JSON"),
        (b"SELECT 1 FORMAT CSV ; -- end", "CSV"),
        (b"(SELECT format(a, 'FORMAT x') AS format FROM t)", None),
        (b"SELECT a AS format FROM t", None),
        (b"SELECT a AS format;", None),
        (b"SELECT 'FORMAT Native'", None),
        (b"SELECT $$ ; FORMAT Native$$", None),
        (b'SELECT "FORMAT" FROM t # FORMAT CSV', None),
        ("SELECT 'ü' FORMAT TSV".encode(), "TSV"),
    ],
)
def test_the_format_of_a_result_is_its_last_clause(request_text: bytes, output_format: str | None) -> None:
    statement = read_statement(request_text)
    assert (statement.output_format, statement.returns_rows) == (output_format, True)


@pytest.mark.parametrize(
    "request_text", [b"", b" ; ", b"-- SELECT 1", b"SELECT 1; SELECT 2", b"DROP TABLE a;DROP TABLE b"]
)
def test_anything_but_one_statement_is_a_syntax_error(request_text: bytes) -> None:
    with pytest.raises(ServerError) as error:
        read_statement(request_text)
    assert (error.value.code, error.value.status) == (62, 400)


@pytest.mark.parametrize(
    "request_text",
    [
        b"set a = 1",
        b"/* */ USE d",
        b"CREATE OR REPLACE TEMPORARY TABLE t (a Int8)",
        b"SELECT 1 into outfile 'f'",
        b"SELECT '\xff'",
    ],
)
def test_what_needs_a_server_is_refused(request_text: bytes) -> None:
    with pytest.raises(ServerError) as error:
        read_statement(request_text)
    assert (error.value.code, error.value.status) == (48, 501)


@pytest.mark.parametrize(
    ("message", "code", "status", "text"),
    [
        ("Code: 60. DB::Exception: No t. (UNKNOWN_TABLE)", 60, 404, "Code: 60. DB::Exception: No t. (UNKNOWN_TABLE)"),
        (
            "Streaming insert finish failed: "
            "Code: 6. DB::Exception: Bad (x): row 1\n. (CANNOT_PARSE_TEXT) (version 26.9.2.1)",
            6,
            400,
            "Code: 6. DB::Exception: Bad (x): row 1\n. (CANNOT_PARSE_TEXT)",
        ),
        (
            "Code: 115. DB::Exception: Code: 115. DB::Exception: No 'a'. (UNKNOWN_SETTING) (version 26.9.2.1)."
            " (UNKNOWN_SETTING)",
            115,
            404,
            "Code: 115. DB::Exception: No 'a'. (UNKNOWN_SETTING)",
        ),
        ("out of luck", 1002, 500, "Code: 1002. DB::Exception: out of luck (UNKNOWN_EXCEPTION)"),
    ],
)
def test_an_engine_error_is_worded_as_a_servers(message: str, code: int, status: int, text: str) -> None:
    error = from_engine(message)
    assert (error.code, error.status, str(error)) == (code, status, text)
