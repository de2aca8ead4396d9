"""Files that mean harm, or are broken: each gives its clear answer, and memory stays what it is.

Every file is made here. Memory is the peak of what Python itself holds (tracemalloc) while a file is read; the limits
are a small multiple of the file, where a careless reader would take a hundred times as much.
"""

import csv
import gzip
import io
import json
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from io import BytesIO, StringIO

import pytest

from api.imports import unmatched
from api.imports.photos import shot_of
from api.imports.reading import dry_run, format_of
from api.imports.shapes import Code, Fault, Format, ImportFailed, Limits, Reason, Row, Standing
from api.imports.uploads import Upload
from api.imports.wordings import acts
from matchers.gazetteer import warm
from tests.api.imports.files import exif, faults_of, jpeg, reading_of, rows_of, said, zipped

MB = 1_000_000


@pytest.fixture(autouse=True, scope="module")
def _gazetteer() -> None:
    """Read once in a process, and no file's fault."""
    warm()


@contextmanager
def at_most(megabytes: float, seconds: float = 30) -> Iterator[None]:
    """No more memory and time than this."""
    tracemalloc.start()
    begun = time.monotonic()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * MB, f"{peak / MB:.1f} MB"
    assert time.monotonic() - begun < seconds


def refused(name: str, body: bytes, **options: object) -> ImportFailed:
    with pytest.raises(ImportFailed) as caught:
        list(reading_of(name, body, **options).rows())
    assert "Remedy: " in caught.value.text
    return caught.value


# -- limits -----------------------------------------------------------------------------------------------------------


def test_a_file_above_50_mb_is_refused_with_the_limit() -> None:
    body = b"Artist,Date\n" + bytes(50 * MB)
    with at_most(1):
        error = refused("large.csv", body)
    assert error.code is Code.TOO_LARGE and "50 MB" in error.text


def test_more_rows_than_one_import_may_be_are_refused_with_the_limit() -> None:
    assert Limits() == Limits(50_000_000, 200_000, 1_000)
    body = b"Artist,Date\n" + b"Muse,2001-05-05\n" * 3_001
    error = refused("many.csv", body, limits=Limits(rows=3_000))
    assert error.code is Code.TOO_MANY_ROWS and "3,000 rows" in error.text


def test_more_pages_than_one_import_may_be_are_refused_with_the_limit() -> None:
    show = {"id": "a", "eventDate": "03-04-2014", "artist": {"name": "Hallworth"}}
    pages = [{"type": "setlists", "page": page, "setlist": [show | {"id": str(page)}]} for page in range(1_001)]
    error = refused("attended.json", json.dumps(pages).encode())
    assert error.code is Code.TOO_MANY_PAGES and "1,000 pages" in error.text


def test_an_empty_file_and_one_without_a_show_say_what_to_do() -> None:
    assert refused("nothing.csv", b"").code is Code.EMPTY
    assert refused("blank.txt", b"\n\n   \n").code is Code.EMPTY


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("ticket.pdf", b"%PDF-1.7 ..."),
        ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600),
        ("new.xlsx", zipped({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<x/>"})),
        ("program.exe", b"MZ\x90\0\3\0\0\0" + bytes(range(256)) * 40),
    ],
)
def test_documents_of_other_programs_are_refused_with_what_to_save_them_as(name: str, body: bytes) -> None:
    assert refused(name, body).code is Code.BAD_DOCUMENT


# -- lines and cells --------------------------------------------------------------------------------------------------


def test_a_line_of_10_mb_comes_back_and_its_neighbours_are_read() -> None:
    body = b"Artist,Date\nMuse,2001-05-05\n" + b"x" * 10 * MB + b"\nPulp,2002-06-06\n"
    with at_most(45):
        rows = rows_of("long.csv", body)
    assert [row.standing.value for row in rows] == ["understood", "unreadable", "understood"]
    assert rows[1].original == b"x" * 10 * MB
    assert "10,000,000 bytes" in faults_of(rows)[0]


def test_a_cell_that_is_no_name_is_told_as_too_long() -> None:
    rows = rows_of("gigs.csv", "Artist,Date\n" + "x" * 200_000 + ",2001-05-05\nPulp,2002-06-06\n")
    assert [row.standing.value for row in rows] == ["unreadable", "understood"]
    assert rows[0].fault is not None and rows[0].fault.reason is Reason.TOO_LONG


def test_nul_bytes_are_no_part_of_an_entry_and_stay_in_what_is_given_back() -> None:
    rows = rows_of("gigs.csv", b"Artist,Date\nMu\0se,2001-05-05\nPu\0lp,2001-31-31\n")
    assert said(rows)[0]["artist"] == "Muse"
    assert rows[1].original == b"Pu\0lp,2001-31-31"


def test_half_a_million_quotes_and_commas_are_rows_like_others() -> None:
    with at_most(30, seconds=60):
        rows = rows_of("gigs.csv", b"Artist,Date\n" + b'"' * 250_000 + b"\n" + b"," * 250_000 + b"\nMuse,2001-05-05\n")
    assert rows[-1].standing is Standing.UNDERSTOOD


def test_a_heading_of_three_thousand_columns_is_no_table() -> None:
    body = ",".join(f"Artist {n}" for n in range(3_000)) + "\n" + "\n".join("x," * 2_999 for _ in range(3)) + "\n"
    with at_most(60, seconds=60):
        try:
            rows = rows_of("wide.csv", body)
        except ImportFailed:
            return
    assert all(row.standing is Standing.UNREADABLE for row in rows)


@pytest.mark.parametrize(
    "text", ["a" * 300 + "!" * 300, "(" * 400, "1." * 200, "- " * 200, "@ " * 200, "," * 400, "1/1/1/" * 60]
)
def test_no_line_of_a_list_costs_more_than_a_line(text: str) -> None:
    with at_most(20, seconds=20):
        rows = rows_of("list.txt", (text + "\n") * 20 + "Radiohead, Reading 1994\n")
    assert rows[-1].entries[0].remembered.artist == "Radiohead"


def test_a_cell_that_names_nobody_or_everybody_is_a_row_like_others() -> None:
    for cell in ("/".join(f"Act {n}" for n in range(150)), ", , ,", "&"):
        assert isinstance(acts(cell, "names"), list)


# -- formulas ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("formula", ['=HYPERLINK("http://x")', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "%0a=1"])
def test_a_formula_is_neutralised_where_a_table_is_written_and_kept_where_json_is(formula: str) -> None:
    row = Row("a.csv:1", formula.encode(), Standing.UNREADABLE, "", fault=Fault(Reason.BAD_DATE, "no date", formula))
    table, lines = BytesIO(), BytesIO()
    unmatched.writer(table, "left.csv")(row)
    unmatched.writer(lines, "left.jsonl")(row)
    cells = list(csv.reader(StringIO(table.getvalue().decode(), newline="")))[1]
    assert all(cell[:1] not in "=+-@\t%" for cell in cells)
    assert cells[-1] == f"'{formula}"
    assert json.loads(lines.getvalue())["original"] == formula
    assert unmatched.originals(row) == formula.encode() + b"\n"


def test_bytes_that_are_no_text_are_kept_as_they_are() -> None:
    row = Row("a:1", b"\xff\xfe\0", Standing.UNREADABLE, "", fault=Fault(Reason.BROKEN, "x", "y"))
    assert unmatched.as_json(row)["original_base64"] == "//4A"


# -- archives ---------------------------------------------------------------------------------------------------------


def bomb(megabytes: int) -> bytes:
    return zipped({"gigs.csv": bytes(megabytes * MB)})


def test_a_zip_bomb_is_refused_when_it_has_unpacked_as_much_as_a_file_may_be() -> None:
    body = bomb(100)
    assert len(body) < MB
    with at_most(12, seconds=60):
        error = refused("bomb.zip", body)
    assert error.code is Code.TOO_LARGE and "unpacks to more than 50 MB" in error.text


def test_many_files_that_are_too_much_only_together_are_refused() -> None:
    body = zipped({f"{n}.csv": b"Artist,Date\n" + b"x,2001-05-05\n" * 200_000 for n in range(3)})
    with at_most(12, seconds=60):
        assert refused("bomb.zip", body, limits=Limits(bytes=5 * MB)).code is Code.TOO_LARGE


def test_a_size_that_an_archive_only_claims_is_not_believed() -> None:
    body = bytearray(bomb(60))
    at = body.rfind(b"PK\x01\x02")
    body[at + 24 : at + 28] = struct.pack("<I", 10)
    local = body.find(b"PK\x03\x04")
    body[local + 22 : local + 26] = struct.pack("<I", 10)
    with at_most(12, seconds=60):
        try:
            rows = rows_of("liar.zip", bytes(body))
        except ImportFailed:
            return
    assert all(row.standing is Standing.UNREADABLE for row in rows)


def test_an_archive_in_an_archive_is_not_opened() -> None:
    rows = rows_of("nested.zip", zipped({"inner.zip": bomb(100), "list.txt": b"Radiohead, Reading 1994\n"}))
    assert [show["artist"] for show in said(rows)] == ["Radiohead"]
    assert faults_of(rows) == ["it is an archive in an archive. Remedy: unpack it, and import what is in it"]


def test_a_gzip_bomb_is_refused_alike() -> None:
    body = gzip.compress(bytes(100 * MB))
    with at_most(12, seconds=60):
        error = refused("bomb.csv.gz", body)
    assert error.code is Code.TOO_LARGE


def test_path_names_in_an_archive_lead_nowhere(tmp_path: object) -> None:
    names = ["../../../etc/passwd", "/etc/shadow", "..\\..\\windows\\system.ini", "C:\\boot.ini", "a\0b\x1b[31m.txt"]
    rows = rows_of("paths.zip", zipped({name: f"Band {n}, Reading 199{n}\n".encode() for n, name in enumerate(names)}))
    assert len(said(rows)) == len(names)
    assert all(".." not in row.where and "etc" not in row.where and "\x1b" not in row.where for row in rows)


def test_a_directory_of_a_hundred_thousand_files_is_refused_before_it_is_read() -> None:
    body = BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for number in range(25_000):
            archive.writestr(f"{'n' * 150}{number}.txt", b"")
    with at_most(12, seconds=60):
        error = refused("many.zip", body.getvalue())
    assert "20,000 files" in error.text


@pytest.mark.parametrize("cut", [30, 100, 5_000])
def test_an_archive_that_is_cut_off_says_so(cut: int) -> None:
    body = zipped({"list.txt": b"Radiohead, Reading 1994\n" * 5_000}, zipfile.ZIP_STORED)
    assert refused("cut.zip", body[:-cut]).code is Code.BAD_DOCUMENT


def test_a_locked_file_in_an_archive_is_told_and_the_others_are_read() -> None:
    body = bytearray(zipped({"a.txt": b"Radiohead, Reading 1994\n", "b.txt": b"Blur, London 1995\n"}))
    first = body.find(b"PK\x01\x02")
    body[first + 8] |= 1
    rows = rows_of("locked.zip", bytes(body))
    assert [show["artist"] for show in said(rows)] == ["Blur"]
    assert "encrypted" in faults_of(rows)[0]


# -- markup -----------------------------------------------------------------------------------------------------------


def test_a_page_of_a_billion_laughs_is_a_page_without_a_show() -> None:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    table = "<table><tr><td>Artist</td><td>Date</td></tr><tr><td>&l11;</td><td>2001-05-05</td></tr></table>"
    text = f'<!DOCTYPE html [<!ENTITY l0 "lol">{entities}]><html>{table}'
    with at_most(10):
        rows = rows_of("laughs.html", text)
    assert all(len(show.get("artist", "")) < 300 for show in said(rows))


def test_entities_of_a_page_fetch_nothing() -> None:
    text = (
        "<!DOCTYPE html [<!ENTITY x SYSTEM "
        '"file:///etc/passwd">]><html><table><tr><th>Artist</th><th>Date</th></tr><tr><td>'
        "Muse &x;</td><td>2001-05-05</td></tr></table>"
    )
    assert "root:" not in json.dumps(said(rows_of("xxe.html", text)))


def test_a_page_nested_without_end_is_read_as_far_as_it_goes() -> None:
    body = "<html>" + "<div>" * 200_000 + "<table><tr><td>Muse</td><td>2001-05-05</td></tr></table>"
    with at_most(30, seconds=60):
        try:
            rows_of("deep.html", body)
        except ImportFailed as error:
            assert "Remedy" in error.text


def test_a_table_of_many_thousand_rows_is_read_row_by_row() -> None:
    rows = "".join(
        f"<tr><td>Band {n}</td><td>2001-05-{n % 28 + 1:02}</td><td>{'x' * 100}</td></tr>" for n in range(3_000)
    )
    text = f"<html><table><tr><th>Artist</th><th>Date</th><th>Stars</th></tr>{rows}</table></html>".encode()
    reading = reading_of("large.html", text)
    with at_most(8, seconds=120):
        assert dry_run(reading).entries == 3_000


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"[" + b"{}," * 3_500_000 + b"{}]"])
def test_json_that_is_deep_or_of_millions_of_nothing_is_refused(body: bytes) -> None:
    with at_most(60, seconds=60):
        assert refused("deep.json", body).code in (Code.BAD_DOCUMENT, Code.TOO_MANY_ROWS)


# -- mails ------------------------------------------------------------------------------------------------------------


def test_a_mail_of_thousands_of_parts_is_told_and_not_parsed() -> None:
    part = b"--x\nContent-Type: text/plain\n\nVenue: Paradiso\n"
    mail = (
        b"From: a@b.c\nTo: d@e.f\nSubject: tickets\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"
        + part * 20_000
    )
    with at_most(12):
        rows = rows_of("parts.eml", mail)
    assert "more parts than 500" in faults_of(rows)[0]


def test_a_mail_nested_a_thousand_times_is_told_and_not_parsed() -> None:
    head = b"From: a@b.c\nTo: d@e.f\nSubject: tickets\nMIME-Version: 1.0\n"
    body = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1_000))
    with at_most(12):
        rows = rows_of("nested.eml", head + body)
    assert rows[0].standing is Standing.UNREADABLE


def test_a_mail_of_30_mb_comes_back_and_the_next_is_read() -> None:
    small = EmailMessage()
    small["From"], small["To"], small["Subject"] = "a@b.c", "d@e.f", "Deine Tickets für Low"
    small.set_content("Datum: 14.11.2014\nOrt: Knust, Hamburg\n")
    line = b"From a@b.c Tue Mar  4 10:00:00 2014\n"
    box = (
        line
        + b"Subject: x\n\n"
        + b"y" * 70 * 10
        + b"\n"
        + (b"z" * 78 + b"\n") * 400_000
        + b"\n"
        + line
        + small.as_bytes()
    )
    rows = rows_of("box.mbox", box)
    assert [show["artist"] for show in said(rows)] == ["Low"]
    assert rows[0].fault is not None and rows[0].fault.reason is Reason.TOO_LONG


@pytest.mark.parametrize(
    "header",
    ["=?utf-8?b?!!!!?=", "=?nonsense?q?a?=", "\xff\xfe", "=?utf-8?q?=FF?=" * 50, "x" * 100_000],
)
def test_headers_that_are_none_break_no_mail(header: str) -> None:
    raw = f"From: a@b.c\nTo: {header}\nSubject: {header}\nDate: {header}\nMIME-Version: 1.0\n\ntickets\n".encode(
        "latin-1"
    )
    assert rows_of("odd.eml", raw)[0].standing is Standing.UNREADABLE


# -- photos -----------------------------------------------------------------------------------------------------------


def test_a_pixel_bomb_is_only_its_time_and_place() -> None:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, 65_535, 65_535, 3) + b"\1\x11\0\2\x11\0\3\x11\0"
    photo = jpeg(exif("2014:11:14 21:03:22", (53.5, 9.9)), frame)
    with at_most(3):
        rows = rows_of("bomb.jpg", photo)
    assert said(rows)[0]["date"] == "2014-11-14"


def circular() -> bytes:
    """A directory whose next one is itself."""
    return (
        struct.pack(">2sHI", b"MM", 42, 8)
        + struct.pack(">H", 1)
        + struct.pack(">HHII", 0x8769, 4, 1, 8)
        + struct.pack(">I", 8)
    )


def counted(kind: int) -> bytes:
    """A tag that says it has four thousand million values."""
    head = struct.pack(">2sHI", b"MM", 42, 8) + struct.pack(">H", 1)
    return head + struct.pack(">HHII", 0x9003, kind, 0xFFFFFFFF, 26) + struct.pack(">I", 0)


@pytest.mark.parametrize(
    "metadata",
    [
        circular(),
        *(counted(kind) for kind in range(1, 13)),
        b"MM\0*" + b"\xff" * 500,
        b"II*\0\x08\0\0\0\xff\xff" + b"\0" * 900,
    ],
)
def test_metadata_that_lead_in_a_circle_or_claim_too_much_are_told(metadata: bytes) -> None:
    with at_most(8, seconds=10):
        shot = shot_of("a.jpg", jpeg(metadata))
    assert shot.taken is None and shot.fault is not None


def test_a_heic_whose_boxes_have_no_size_ends() -> None:
    body = (
        struct.pack(">I", 24)
        + b"ftypheic\0\0\0\0mif1heic"
        + (struct.pack(">I", 1) + b"free" + struct.pack(">Q", 0)) * 1_000
    )
    with at_most(3, seconds=5):
        assert shot_of("a.heic", body).fault is not None


def test_huge_metadata_are_read_as_far_as_a_camera_writes() -> None:
    body = b"\xff\xd8\xff\xe1\xff\xff" + b"Exif\0\0" + exif("2014:11:14 21:03:22", (53.5, 9.9)) + b"\0" * 40 * MB
    with at_most(6, seconds=20):
        rows = rows_of("huge.jpg", body)
    assert said(rows)[0]["date"] == "2014-11-14"


# -- calendars --------------------------------------------------------------------------------------------------------


def test_an_event_without_end_and_one_of_thousands_of_lines_are_told() -> None:
    good = "BEGIN:VEVENT\nUID:aaaaaaaa\nDTSTART;VALUE=DATE:20150117\nSUMMARY:Konzert: Low\nEND:VEVENT\n"
    text = (
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:x\n"
        + good
        + "BEGIN:VEVENT\n"
        + "X-A:1\n" * 30_000
        + "END:VEVENT\n"
        + good.replace("Low", "Wire").replace("aaaaaaaa", "bbbbbbbb")
    )
    with at_most(12, seconds=60):
        rows = rows_of("odd.ics", text)
    assert [show["artist"] for show in said(rows)] == ["Low", "Wire"]
    assert len(faults_of(rows)) >= 2


def test_a_rule_that_repeats_every_second_is_one_night() -> None:
    text = (
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:aaaaaaaa\nDTSTART:20150117T200000\n"
        "RRULE:FREQ=SECONDLY\nSUMMARY:Konzert: Low\nEND:VEVENT\nEND:VCALENDAR\n"
    )
    with at_most(5, seconds=10):
        rows = rows_of("often.ics", text)
    assert len(said(rows)) == 1 and "repeats" in rows[0].doubts[0]


# -- memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("gigs.csv", lambda n: f"Band {n},2001-05-{n % 28 + 1:02},Hall {n % 50}"),
        ("gigs.jsonl", lambda n: json.dumps({"artist": f"Band {n}", "date": "2001-05-05", "venue": "Hall"})),
        ("gigs.txt", lambda n: f"Band{n}x, Reading 1994"),
    ],
)
def test_ten_times_the_rows_take_hardly_more_memory(name: str, line: Callable[[int], str]) -> None:
    peaks = []
    heading = "Artist,Date,Venue\n" if name.endswith(".csv") else ""
    rows_of(name, heading + "\n".join(line(n) for n in range(50)))  # what is read once and kept: the gazetteer
    for count in (400, 4_000):
        body = (heading + "\n".join(line(n) for n in range(count))).encode()
        tracemalloc.start()
        dry_run(reading_of(name, body, limits=Limits()))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 20 * MB, peaks  # the matcher's own caches, which are bounded


def test_what_a_file_is_its_content_says() -> None:
    assert format_of(Upload.of_bytes("x.txt", b"BEGIN:VCALENDAR\n")) is Format.ICALENDAR
    assert format_of(Upload.of_bytes("x", zipped({"a": b""}))) is Format.ZIP
    assert format_of(Upload.of_bytes("x", b"From: a@b.c\nTo: a@b.c\nSubject: x\nDate: y\n\n")) is Format.MAIL
    assert format_of(Upload.of_bytes("x", io.BytesIO(b'[{"artist": "x"}]').read())) is Format.JSON
