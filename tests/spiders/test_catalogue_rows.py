"""Rows out of files, whole ones and broken ones, and files that were made to harm."""

import csv
import gzip
import io
import json
import sqlite3
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from schemas.rejection import Reason
from spiders.formats import catalogue_rows
from spiders.formats.catalogue_rows import BadRow, Layout, Row, Unusable, table_of


def rows(body: bytes, name: str = "", **layout: Any) -> list[dict[str, Any]]:
    """The good rows."""
    return [dict(row.values) for row in table_of(body, name, Layout(**layout)).rows if isinstance(row, Row)]


def bad(body: bytes, name: str = "", **layout: Any) -> list[tuple[int, Reason]]:
    """Line and reason of the others."""
    return [(row.line, row.reason) for row in table_of(body, name, Layout(**layout)).rows if isinstance(row, BadRow)]


def database(*statements: str) -> sqlite3.Connection:
    """One in memory."""
    made = sqlite3.connect(":memory:")
    for statement in statements:
        made.execute(statement)
    made.commit()
    return made


def zipped(**files: str) -> bytes:
    """An archive of these."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name.replace("_", "."))  # with no time of its own: tests are named by these bytes
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    return packed.getvalue()


ONE = [{"a": "1", "b": "ö"}]
CSV = "a,b\n1,ö\n"


@pytest.mark.parametrize(
    "body",
    [
        CSV.encode(),
        CSV.encode("utf-8-sig"),
        CSV.encode("latin-1"),
        CSV.encode("utf-16"),
        CSV.replace(",", ";").encode(),
        CSV.replace(",", "\t").encode(),
        CSV.replace(",", "|").encode(),
        CSV.replace("\n", "\r\n").encode(),
        CSV.replace("\n", "\r").encode(),
        f"\n{CSV}\n\n,\n".encode(),
        'a,b\n"1","ö"'.encode(),
        gzip.compress(CSV.encode(), mtime=0),
        zipped(x_csv=CSV),
        gzip.compress(zipped(x_csv=CSV), mtime=0),
        b'[{"a": "1", "b": "\\u00f6"}]',
        '{"a": "1", "b": "ö"}\n\n'.encode(),
        '{\n "a": "1",\n "b": "ö"\n}'.encode(),
        database("create table t(a, b)", "insert into t values ('1', 'ö')").serialize(),
        "\n".join(database("create table t(a, b)", "insert into t values ('1', 'ö')").iterdump()).encode(),
    ],
)
def test_the_same_row_out_of_every_kind_of_file(body: bytes) -> None:
    assert rows(body) == ONE


def test_a_bad_row_is_told_with_its_line_and_its_neighbours_go_on() -> None:
    body = (
        b'a,b\n1,"x\ny"\n"open,2\n3,"Mill, Old"\nshort\n1,2,3\n1,2,,\n"a"b,5\n6,12" vinyl\n'
        + b"\xff\xfe,7\n\xc3\xb6,8\n"
    )
    assert rows(body) == [
        {"a": "1", "b": "x\ny"},
        {"a": "3", "b": "Mill, Old"},
        {"a": "short"},
        {"a": "1", "b": "2"},
        {"a": "6", "b": '12" vinyl'},
        {"a": "ö", "b": "8"},
    ]
    assert [line for line, _ in bad(body)] == [4, 7, 9, 11]
    (spoiled,) = [row for row in table_of(body).rows if isinstance(row, BadRow) and row.line == 11]
    assert (spoiled.text, spoiled.original) == (
        "line 11: byte 0xFF is not utf-8: declare the `encoding`",
        b"\xff\xfe,7\n",
    )


def test_a_quote_that_nobody_closes_costs_its_own_line_only() -> None:
    lines = ["a,b", '"never closed,1', *(f"{number},x" for number in range(1_000))]
    assert len(rows("\n".join(lines).encode())) == 1_000
    assert bad("\n".join(lines).encode()) == [(2, Reason.BAD_VALUE)]


def test_lines_of_json_that_are_none_are_told_with_their_number() -> None:
    body = b'{"a": 1}\n{"a": \n[1]\n{"a": 2}\n'
    assert rows(body, "x.jsonl") == [{"a": 1}, {"a": 2}]
    assert bad(body, "x.jsonl") == [(2, Reason.NOT_JSON), (3, Reason.WRONG_TYPE)]


def test_a_list_within_an_object_is_found_where_it_is_declared() -> None:
    body = json.dumps({"meta": {"rows": [1]}, "data": {"n": 2, "rows": [{"a": 1}, "x", {"a": 2}]}}, indent=1).encode()
    assert rows(body, path=("data", "rows")) == [{"a": 1}, {"a": 2}]
    assert [reason for _, reason in bad(body, path=("data", "rows"))] == [Reason.WRONG_TYPE]
    with pytest.raises(Unusable, match="no list at elsewhere"):
        rows(body, path=("elsewhere",))
    assert rows(b'[{"a": 1}]', path=("data", "rows")) == [{"a": 1}], "a list in the place of the object"


def test_what_can_be_declared_comes_before_what_the_file_seems_to_be() -> None:
    assert rows(b"a;b,c\n1;2,3", delimiter=",") == [{"a;b": "1;2", "c": "3"}]
    assert rows(b"1;2\n3;4", header=("a", "b")) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert rows("a,b\nмир,1".encode("cp1251"), encoding="cp1251") == [{"a": "мир", "b": "1"}]
    assert rows(zipped(x_csv="a,b\n1,2", y_csv="a,b\n3,4"), member="y.csv") == [{"a": "3", "b": "4"}]
    two = database("create table t(a)", "insert into t values (1)", "create table u(a)", "insert into u values (2)")
    assert rows(two.serialize(), table="u") == [{"a": 2}]
    assert rows(two.serialize(), query="select t.a as x, u.a as y from t, u") == [{"x": 1, "y": 2}]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "empty"),
        (b"<!doctype html><title>Sorry</title>", "page"),
        (b"\x89PNG\r\n\x1a\n\0\0", "neither text"),
        (b'[{"a": 1}, {"a"', "JSON"),
        (b'[{"a": 1} {"a": 2}]', "comma"),
        (b"[" * 100_000, "JSON"),
        (gzip.compress(CSV.encode(), mtime=0)[:-9], "unpacked"),
        (zipped(x_csv=CSV)[:-30], "zip"),
        (zipped(x_csv=CSV, y_csv=CSV), "2 files: x.csv, y.csv"),
        (b"SQLite format 3\0" + b"x" * 5_000, "SQLite"),
        (database("create table t(a)", "create table u(a)").serialize(), "2 tables: t, u"),
        (b"CREATE TABLE t (a INT) ENGINE=InnoDB;\n", "line 1"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_what_to_do(body: bytes, told: str) -> None:
    with pytest.raises(Unusable, match=told) as caught:
        list(table_of(body).rows)
    assert "Remedy:" in str(caught.value)


def test_rows_before_a_break_are_kept() -> None:
    read = []
    with pytest.raises(Unusable):
        for row in table_of(b'[{"a": 1}, {"a": 2}, {"a').rows:
            read.append(row)
    assert len(read) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "ATTACH DATABASE '/tmp/gigz-attached.db' AS other;",
        "INSERT INTO t WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r;",
        "INSERT INTO t VALUES (load_extension('x'));",
        "INSERT INTO t VALUES (randomblob(1000000000));",
        "INSERT INTO t VALUES (readfile('/etc/passwd'));",
        "CREATE VIRTUAL TABLE v USING fts5(x);",
        "VACUUM INTO '/tmp/gigz-vacuum.db';",
        "DELETE FROM t;",
        "UPDATE t SET a = 2;",
        "DROP TABLE t;",
    ],
)
def test_a_dump_may_create_and_fill_tables_and_nothing_else(statement: str) -> None:
    with pytest.raises(Unusable, match="line 2"):
        list(table_of(f"CREATE TABLE t(a);\n{statement}\n".encode()).rows)


def test_views_triggers_and_pragmas_of_a_dump_are_passed_over() -> None:
    made = database(
        "create table t(id integer primary key autoincrement, a)",
        "create view v as select * from t",
        "create trigger g after insert on t begin delete from t; select ';'; end",
        "create index i on t(a)",
    )
    made.execute("drop trigger g")
    made.execute("insert into t(a) values ('x;\n''y')")
    made.execute("create trigger g after insert on t begin delete from t; select ';'; end")
    made.commit()
    dump = "\n".join(["PRAGMA foreign_keys=OFF;", *made.iterdump()])
    assert rows(dump.encode()) == [{"id": 1, "a": "x;\n'y"}]


def test_a_view_of_a_hostile_database_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_rows, "PATIENCE_S", 0.2)
    slow = database(
        "create table t(a)",
        "insert into t with recursive r(n) as (select 1 union all select n + 1 from r where n < 3000) select n from r",
        "create view v as select x.a from t x, t y, t z where x.a + y.a + z.a < 0",
    )
    with pytest.raises(Unusable, match="interrupted"):
        list(table_of(slow.serialize(), layout=Layout(table="v")).rows)
    endless = database("create view v as with recursive r(n) as (select 1 union all select n from r) select n from r")
    with pytest.raises(Unusable, match="not authorized"):
        list(table_of(endless.serialize()).rows)


@pytest.mark.parametrize("pack", [gzip.compress, lambda body: zipped(x_csv=body.decode())])
def test_what_unpacks_to_more_than_may_be_is_left(
    pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_rows, "LARGEST", 100_000)
    with pytest.raises(Unusable, match="unpacks to more"):
        list(table_of(pack(b"a,b\n" + b"1,2\n" * 100_000)).rows)


@pytest.mark.parametrize("kind", ["csv", "quoted", "jsonl", "sqlite"])
def test_a_hundred_thousand_rows_take_no_more_memory_than_a_few(kind: str) -> None:
    count = 100_000
    written = [
        (str(number), f"Artist, {number % 100}" if kind == "quoted" else "Artist", "2014-11-14")
        for number in range(count)
    ]
    if kind == "jsonl":
        body = b"".join(b'{"id": "%d", "artist": "x", "date": "2014-11-14"}\n' % number for number in range(count))
    elif kind == "sqlite":
        made = database("create table t(id, artist, date)")
        made.executemany("insert into t values (?, ?, ?)", written)
        made.commit()
        body = made.serialize()
    else:
        text = io.StringIO()
        csv.writer(text).writerows([("id", "artist", "date"), *written])
        body = text.getvalue().encode()
    del written
    table = table_of(body)
    next(table.rows)
    before = sys.getallocatedblocks()
    assert sum(isinstance(row, Row) for row in table.rows) == count - 1
    assert sys.getallocatedblocks() - before < 2_000, "a row kept is five blocks or more"
