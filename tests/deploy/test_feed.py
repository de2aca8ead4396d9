"""Lines of files become messages; no row: sent as it stands; too large: refused with a rejection."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from deploy.feed import FileError, numbered_lines, read_lines, to_record
from schemas.history import Entry
from schemas.raw import RawEvent
from schemas.rejection import Reason, Rejection

AT = datetime(2026, 5, 1, tzinfo=UTC)


def test_a_row_becomes_a_raw_message_keyed_by_its_source() -> None:
    record, good = to_record(b'{"source":"s","source_id":"1","artist":"A","date":"2020-01-01"}', RawEvent, AT)
    assert good
    assert record.key == "s:1"
    assert RawEvent.from_bytes(record.value).fields == {"artist": "A", "date": "2020-01-01"}


def test_what_the_whole_file_tells_goes_along_and_the_rows_own_word_comes_first() -> None:
    row = {"source": "s", "source_id": "1", "artist": "A", "date": "03/04/2014"}
    record, _ = to_record(orjson.dumps(row), RawEvent, AT, lambda _: {"date_order": "DMY"})
    sent = RawEvent.from_bytes(record.value)
    assert sent.fields["date_order"] == "DMY"
    assert "date_order" not in (sent.payload or "")
    record, _ = to_record(orjson.dumps(row | {"date_order": "MDY"}), RawEvent, AT, lambda _: {"date_order": "DMY"})
    assert RawEvent.from_bytes(record.value).fields["date_order"] == "MDY"


@pytest.mark.parametrize("line", [b"{", b"\xff", b"[1]", b'{"artist":"no source"}'])
def test_a_line_that_is_no_row_is_sent_as_it_stands(line: bytes) -> None:
    record, good = to_record(line, RawEvent, AT)
    assert not good
    assert record.topic == RawEvent.topic
    assert record.value == line


def test_labels_do_not_travel() -> None:
    line = orjson.dumps({"user": "u", "entry_id": "1", "artist": "A", "gold": "x", "label": "match", "other": "y"})
    record, _ = to_record(line, Entry, AT)
    assert not {"gold", "label", "other"} & orjson.loads(record.value or b"").keys()


def test_five_megabytes_are_refused_and_the_body_is_not_kept() -> None:
    line = orjson.dumps({"source": "s", "source_id": "1", "artist": "A" * 5_000_000, "date": "2020-01-01"})
    record, _ = to_record(line, RawEvent, AT)
    assert record.topic == Rejection.topic
    assert not record.too_large
    rejection = Rejection.from_bytes(record.value)
    assert rejection.reason is Reason.TOO_LARGE
    assert rejection.original is None
    assert rejection.original_size > 5_000_000
    assert rejection.origin_topic == RawEvent.topic


def test_blank_lines_are_skipped_and_gz_is_unpacked(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.jsonl.gz", "wb") as file:
        file.write(b'{"a":1}\n\n  \n{"a":2}')
    assert list(read_lines(tmp_path / "a.jsonl.gz")) == [b'{"a":1}', b'{"a":2}']


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (b'\n\n{"a":1}\n  \n{"a":2}\n', [(3, b'{"a":1}'), (5, b'{"a":2}')]),
        (b'\xef\xbb\xbf{"a":1}\r\n{"a":2}', [(1, b'{"a":1}'), (2, b'{"a":2}')]),
        (b'{"a":1}\n\xef\xbb\xbf{"a":2}', [(1, b'{"a":1}'), (2, b'{"a":2}')]),
        (b"\xef\xbb\xbf\n", []),
    ],
    ids=["blank lines", "a byte order mark", "two files in one", "a mark alone"],
)
def test_lines_are_counted_as_an_editor_does(written: bytes, lines: list[tuple[int, bytes]], tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(written)
    assert list(numbered_lines(tmp_path / "a.jsonl")) == lines
    assert list(read_lines(tmp_path / "a.jsonl")) == [line for _, line in lines]


def test_a_file_that_is_not_there_a_folder_and_a_broken_gz_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        list(read_lines(tmp_path / "nowhere.jsonl"))
    with pytest.raises(FileError, match="folder"):
        list(read_lines(tmp_path))
    (tmp_path / "broken.gz").write_bytes(b"not gzip")
    with pytest.raises(FileError, match=r"broken\.gz"):
        list(read_lines(tmp_path / "broken.gz"))
