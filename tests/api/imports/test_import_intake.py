"""What is kept of an upload: a file as it is, of photos only when and where."""

import csv
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from api.importing import files as import_files
from api.imports.intake import taken_in
from api.imports.reading import read
from api.imports.shapes import Format, ImportFailed, Limits
from api.imports.uploads import Upload
from tests.api.imports.files import exif, faults_of, heic, jpeg, said, zipped

HALL = (53.5561, 9.9699)
EVENING = jpeg(exif("2014:11:14 21:03:22", HALL), b"PIXELS" * 1_000)


def kept(tmp_path: Path, name: str, body: bytes, limits: Limits | None = None) -> tuple[str, bytes]:
    path = tmp_path / "came"
    path.write_bytes(body)
    told = taken_in(path, name, tmp_path / "kept", limits or Limits())
    return told["name"], Path(told["path"]).read_bytes()


@pytest.mark.parametrize("body", [EVENING, heic(exif("2014:11:14 21:03:22", HALL))])
def test_of_a_photo_only_when_and_where_is_kept(tmp_path: Path, body: bytes) -> None:
    name, told = kept(tmp_path, "IMG_1.jpg", body)
    assert name == "IMG_1.jpg.csv" and len(told) < 200
    (row,) = csv.DictReader(io.StringIO(told.decode()))
    assert row["SourceFile"] == "IMG_1.jpg" and row["DateTimeOriginal"] == "2014:11:14 21:03:22"
    reading = read(Upload.of_bytes(name, told))
    assert reading.parts[0].format is Format.PHOTOS
    (show,) = said(list(reading.rows()))
    assert show["date"] == "2014-11-14" and (show["lat"], show["lon"]) == pytest.approx(HALL, abs=1e-4)


def test_a_photo_that_tells_nothing_keeps_its_reason(tmp_path: Path) -> None:
    name, told = kept(tmp_path, "=cmd.jpg", jpeg(exif(None)))
    rows = list(read(Upload.of_bytes(name, told)).rows())
    assert "does not tell when it was taken" in faults_of(rows)[0] and "messengers" in faults_of(rows)[0]
    assert rows[0].where == "=cmd.jpg"


def test_an_archive_keeps_its_lists_and_of_its_photos_a_table(tmp_path: Path) -> None:
    body = zipped({"a/IMG_1.jpg": EVENING, "b/list.txt": b"Blur, London 1995\n", "hidden.dat": EVENING})
    name, told = kept(tmp_path, "phone.zip", body)
    assert b"PIXELS" not in told
    with zipfile.ZipFile(io.BytesIO(told)) as archive:
        assert sorted(archive.namelist()) == ["list.txt", "photos.csv"]
        assert b"PIXELS" not in b"".join(archive.read(one) for one in archive.namelist())
    shows = said(list(read(Upload.of_bytes(name, told)).rows()))
    assert {show.get("artist") for show in shows} == {"Blur", None}


def test_what_cannot_be_opened_in_an_archive_is_a_row_and_not_kept(tmp_path: Path) -> None:
    inner = zipped({"IMG_1.jpg": EVENING}, zipfile.ZIP_STORED)
    name, told = kept(tmp_path, "phone.zip", zipped({"inner.zip": inner, "list.txt": b"Blur, London 1995\n"}))
    with zipfile.ZipFile(io.BytesIO(told)) as archive:
        assert b"PIXELS" not in b"".join(archive.read(one) for one in archive.namelist())
    assert any(
        "an archive in an archive" in fault for fault in faults_of(list(read(Upload.of_bytes(name, told)).rows()))
    )


def test_the_same_photos_give_the_same_bytes_whatever_their_order(tmp_path: Path) -> None:
    other = jpeg(exif("2014:11:16 21:03:22", HALL))
    one = kept(tmp_path, "a.zip", zipped({"1.jpg": EVENING, "2.jpg": other}))
    assert kept(tmp_path, "a.zip", zipped({"2.jpg": other, "1.jpg": EVENING})) == one


@pytest.mark.parametrize(
    "body", [b"Radiohead, Reading 1994\n", zipped({"list.txt": b"Blur, London 1995\n"}), b"\x1f\x8b"]
)
def test_any_other_file_is_kept_as_it_is(tmp_path: Path, body: bytes) -> None:
    if body == b"\x1f\x8b":
        with pytest.raises(ImportFailed, match="no whole gzip file"):
            kept(tmp_path, "x", body)
        return
    assert kept(tmp_path, "list", body) == ("list", body)


def test_an_archive_that_is_too_much_is_refused_before_anything_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="unpacks to more than"):
        kept(tmp_path, "bomb.zip", zipped({"a.txt": bytes(2_000_000)}), Limits(bytes=1_000_000))


def test_folders_of_killed_processes_are_cleared_and_no_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    (tmp_path / f"gigz-import-{process.pid}-x").mkdir()
    (tmp_path / f"gigz-import-{process.pid}-x" / "upload").write_bytes(EVENING)
    (tmp_path / "gigz-imports").mkdir()
    with import_files.folder() as mine:
        import_files.clear_folders()
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([Path(mine).name, "gigz-imports"])
