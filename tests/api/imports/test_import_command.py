"""`gigz import` on files as people have them."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

import gigz
from api.imports.shapes import Format, Limits, Reason
from tests.api.imports.files import exif, jpeg

TEXT = "Band;Wann;Ort\nTocotronic;14.11.2014;Hamburg\nDie Ärzte;03.04.2015;Berlin\nNiemand;31.02.2015;Bonn\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shows.csv"
    path.write_text(TEXT, encoding="utf-8")
    return path


def run(*arguments: object, code: int = 0, stdin: bytes | None = None) -> Result:
    result = CliRunner().invoke(gigz.app, ["import", *map(str, arguments)], input=stdin)
    assert result.exit_code == code, result.output
    return result


def rows(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_file_becomes_entry_rows_and_what_could_not_be_read_goes_beside(file: Path, tmp_path: Path) -> None:
    left = tmp_path / "left.jsonl"
    result = run(file, "--user", "ann", "--unmatched", left)
    found = rows(result)
    assert [(row["user"], row["artist"], row["date"], row["city"]) for row in found] == [
        ("ann", "Tocotronic", "2014-11-14", "Hamburg"),
        ("ann", "Die Ärzte", "2015-04-03", "Berlin"),
    ]
    assert found[0]["from"] == "shows.csv:2"
    told = json.loads(left.read_text())
    assert told["original"] == "Niemand;31.02.2015;Bonn" and told["reason"] == "bad_date" and told["remedy"]
    assert "3 rows (2 understood, 1 unreadable), 2 entries" in result.stderr


def test_the_rows_are_what_the_matcher_reads(file: Path, tmp_path: Path) -> None:
    entries, shows = tmp_path / "entries.jsonl", tmp_path / "shows.jsonl"
    entries.write_text(run(file).stdout)
    shows.write_text(
        json.dumps({"source": "a", "source_id": "1", "artist": "Tocotronic", "date": "2014-11-14", "city": "Hamburg"})
    )
    matched = CliRunner().invoke(gigz.app, ["match", "--history", str(entries), "--concerts", str(shows)])
    first = json.loads(matched.stdout.splitlines()[0])
    assert first["suggestions"][0]["members"] == [{"source": "a", "source_id": "1"}]


def test_a_dry_run_tells_people_what_was_guessed_and_keeps_nothing(file: Path) -> None:
    told = run(file, "--dry-run").stdout
    for words in (
        "its heading 'Band'",
        "dates read day first",
        "2 understood",
        "1 unreadable",
        "Nothing was kept",
        "bad_date",
    ):
        assert words in told


def test_a_dry_run_tells_machines_the_same(file: Path) -> None:
    told = json.loads(run(file, "--dry-run", "--json").stdout)
    assert told["counts"] == {"understood": 2, "doubtful": 0, "unreadable": 1, "repeated": 0}
    assert told["parts"][0]["date_order"] == "DMY"
    assert {column["field"] for column in told["parts"][0]["columns"]} == {"artist", "date", "city"}
    assert told["samples"]["unreadable"][0]["remedy"]


def test_columns_and_the_order_of_dates_are_corrected(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text('First,Second,Third\nMuse,Apollo,03/04/2014\nPulp,"Bar, Glasgow",05/06/2014\n')
    (first, _) = rows(run(path, "--map", 'artist=First,venue="Second",date=Third', "--date-order", "mdy"))
    assert (first["artist"], first["venue"], first["date"]) == ("Muse", "Apollo", "2014-03-04")
    assert "there is no column 'Band'" in run(path, "--map", "artist=Band", code=2).stderr
    run(path, "--map", "singer=First", code=2)
    run(path, "--date-order", "xyz", code=2)
    run(path, "--format", "docx", code=2)


def test_a_corrected_file_keeps_the_ids_of_the_entries_it_had(file: Path, tmp_path: Path) -> None:
    before = tmp_path / "before.jsonl"
    had = run(file)
    before.write_text(had.stdout)
    file.write_text(TEXT.replace("31.02.2015", "28.02.2015").replace("Hamburg", "Kiel"), encoding="utf-8")
    result = run(file, "--before", before)
    assert [row["entry_id"] for row in rows(result)][:2] == [row["entry_id"] for row in rows(had)]
    assert "1 unchanged, 1 changed, 1 added, 0 gone" in result.stderr


def test_standard_input_and_a_folder_of_photos_are_read(tmp_path: Path) -> None:
    assert rows(run("-", stdin=b"Radiohead, Reading 1994\n"))[0]["artist"] == "Radiohead"
    (tmp_path / "photos" / "2014").mkdir(parents=True)
    (tmp_path / "photos" / "2014" / "a.jpg").write_bytes(jpeg(exif("2014:11:14 21:03:22", (53.55, 9.95))))
    assert rows(run(tmp_path / "photos"))[0]["date"] == "2014-11-14"


def test_what_cannot_be_imported_says_why_in_a_line(tmp_path: Path) -> None:
    assert "does not exist" in run(tmp_path / "none.csv", code=1).stderr
    empty = tmp_path / "empty.csv"
    empty.touch()
    assert "is empty. Remedy" in run(empty, code=1).stderr


def test_the_page_on_imports_names_every_format_reason_and_limit() -> None:
    page = (Path(gigz.__file__).parent / "docs" / "imports.md").read_text(encoding="utf-8")
    assert all(f"`{reason}`" in page for reason in Reason)
    limits = Limits()
    assert f"{limits.bytes // 1_000_000} MB, {limits.rows:,} rows, {limits.pages:,} pages" in page
    assert f"{limits.entries:,} entries or {limits.written // 1_000_000} MB of them" in page
    helped = CliRunner().invoke(gigz.app, ["import", "--help"], env={"COLUMNS": "400"}).output
    assert all(format_.value in helped for format_ in Format)
