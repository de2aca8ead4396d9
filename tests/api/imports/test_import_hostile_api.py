"""Files that mean harm, sent to a process of the API again and again: each its clear error, and memory stays flat."""

import gzip
import struct
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO

import httpx
import psutil
import pytest

from api.tokens import issue_token
from deploy.settings import Settings
from tests.api.imports.files import jpeg, zipped
from tests.api.processes import Running, running
from tests.api.support import Story

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(1_200)]
MB = 1_000_000
ROUNDS = 4
GROWTH = 60 * MB
"""Bytes of the API between the first round and the last: a file that stayed would be more."""
MOST = 1_500 * MB
"""Of the API and its readers together at any time."""


def _circle() -> bytes:
    head = struct.pack(">2sHI", b"MM", 42, 8) + struct.pack(">H", 1)
    return jpeg(head + struct.pack(">HHII", 0x8769, 4, 1, 8) + struct.pack(">I", 8))


def _many_names() -> bytes:
    body = BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for number in range(25_000):
            archive.writestr(f"{'n' * 150}{number}.txt", b"")
    return body.getvalue()


def _laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    table = "<table><tr><td>Artist</td><td>Date</td></tr><tr><td>&l11;</td><td>2001-05-05</td></tr></table>"
    return f'<!DOCTYPE html [<!ENTITY l0 "lol">{entities}]><html>{table}'.encode()


def _acts() -> bytes:
    acts = b"---".join(b"Act %d" % n for n in range(150))
    return b"Artist,Date,Venue\n" + b"".join(acts + b",2001-05-05,Hall %d\n" % row for row in range(9_000))


CORPUS: dict[str, tuple[Callable[[], bytes], bool, str]] = {
    "bomb.zip": (lambda: zipped({"gigs.csv": bytes(100 * MB)}), False, "unpacks to more than 50 MB"),
    "bomb.csv.gz": (lambda: gzip.compress(bytes(100 * MB)), False, "unpacks to more than 50 MB"),
    "many.zip": (_many_names, False, "20,000 files"),
    "cut.zip": (
        lambda: zipped({"list.txt": b"Radiohead, Reading 1994\n" * 5_000})[:-50],
        False,
        "no whole zip archive",
    ),
    "paths.zip": (lambda: zipped({"../../../etc/passwd": b"Muse, Reading 1994\n"}), True, '"artist":"Muse"'),
    "nested.zip": (lambda: zipped({"inner.zip": zipped({"a.csv": bytes(9 * MB)})}), True, "an archive in an archive"),
    "laughs.html": (_laughs, True, '"state":"ready"'),
    "line.csv": (lambda: b"Artist,Date\nMuse,2001-05-05\n" + b"x" * 10 * MB + b"\n", True, "too_long"),
    "one-line.txt": (lambda: b"x" * 10 * MB, True, "too_long"),
    "formulas.csv": (lambda: b"Artist,Date\n=1+1,2001-05-05\n@SUM(A1),31-31-2001\n", True, "=1+1"),
    "nul.csv": (lambda: b"Artist,Date\nMu\0se,2001-05-05\nPu\0lp,2001-31-31\n", True, '"artist":"Muse"'),
    "broken.csv": (
        lambda: b"Artist,Date\nM\xfcnchner Freiheit,2001-05-05\n\xff\xfe\xfd,2002-02-02\n",
        True,
        '"state":"ready"',
    ),
    "deep.json": (lambda: b"[" * 5 * MB, False, "Remedy"),
    "objects.json": (lambda: b'{"a":' * MB, False, "Remedy"),
    "surrogate.json": (lambda: b'[{"artist": "\\ud800", "date": "2001-05-05"}]', False, "not JSON"),
    "values.json": (lambda: b"[" + b"{}," * 3_500_000 + b"{}]", False, "6,000,000 values"),
    "parts.eml": (
        lambda: (
            b"From: a@b.c\nTo: d@e.f\nSubject: tickets\nMIME-Version: 1.0\n"
            b"Content-Type: multipart/mixed; boundary=x\n\n" + b"--x\nContent-Type: text/plain\n\nVenue: x\n" * 100_000
        ),
        True,
        "more parts than 500",
    ),
    "endless.mbox": (
        lambda: b"From a@b.c Tue Mar  4 10:00:00 2014\nSubject: x\n\n" + b"z\n" * 15 * MB,
        True,
        "too_long",
    ),
    "circle.jpg": (_circle, True, "metadata"),
    "quotes.csv": (lambda: b"Artist,Date\n" + b'"' * 5 * MB + b"\nMuse,2001-05-05\n", True, '"state":"ready"'),
    "acts.csv": (_acts, False, "500,000 entries"),
    "large.csv": (lambda: b"Artist,Date\n" + b"Muse,2001-05-05\n" * 3_300_000, False, "50 MB"),
    "rows.csv": (lambda: b"Artist,Date\n" + b"Muse,2001-05-05\n" * 200_001, False, "200,000 rows"),
}


def _rss(pid: int) -> tuple[int, int]:
    """Of the process, and of it with all it started."""
    process = psutil.Process(pid)
    own = int(process.memory_info().rss)
    return own, own + sum(int(one.memory_info().rss) for one in process.children(recursive=True))


@pytest.fixture
def api(migrated: Settings) -> Iterator[Running]:
    with running(migrated, rate_limits=False, level="WARNING") as process:
        yield process


def test_each_gets_its_answer_and_memory_stays_flat(api: Running, migrated: Settings, story: Story) -> None:
    bodies = {name: make() for name, (make, _, _) in CORPUS.items()}
    pid, own, whole = api.process.pid, [], []
    for _ in range(ROUNDS):
        headers = {"Authorization": f"Bearer {issue_token(migrated, story.user, datetime.now(UTC))}"}
        with httpx.Client(base_url=api.address, headers=headers, trust_env=False, timeout=180) as client:
            for name, (_, read, says) in CORPUS.items():
                answer = client.post("/v1/imports", params={"name": name}, content=bodies[name])
                assert answer.status_code in (201, 400), (name, answer.status_code, answer.text[:500])
                view = answer.json().get("data")
                while view is not None and view["state"] == "reading":
                    time.sleep(0.2)
                    answer = client.get(f"/v1/imports/{view['import_id']}")
                    view = answer.json()["data"]
                assert (view is not None and view["state"] == "ready") is read, (name, answer.text[:500])
                assert says in answer.text, (name, answer.text[:2_000])
                whole.append(_rss(pid)[1])
        own.append(_rss(pid)[0])
    print(f"API {own[0] / MB:.0f} -> {own[-1] / MB:.0f} MB, with readers {max(whole) / MB:.0f} MB at most")
    assert own[-1] - own[0] < GROWTH, own
    assert max(whole) < MOST, max(whole)
