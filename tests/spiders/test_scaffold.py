"""`gigz spider new`: a source, a saved answer and a test that passes at once, for every format there is."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from deploy.settings import SettingsError
from spiders.authoring.scaffold import (
    BEGIN,
    END,
    READ_AT,
    check_name,
    class_name,
    expected,
    list_of,
    new_source,
    sample,
)
from spiders.formats import formats
from spiders.sources import SPIDERS
from tests.spiders.commanding import gigz
from tests.spiders.reading import NOW
from tests.spiders.test_crawl import serving
from tests.support import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a new source touches."""
    for folder in ("spiders", "tests/spiders", "docs/sources"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "gigz.py", "tests/conftest.py", "tests/support.py", "tests/reaper.py"):
        shutil.copy(ROOT / file, tmp_path / file)
    for folder in ("schemas", "deploy", "matchers"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    return tmp_path


def ran(checkout: Path, *command: str) -> None:
    """A program in the copy: fails with what it said."""
    environment = dict(os.environ) | {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *command], cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


EVERY = """
from spiders.formats import formats
from spiders.authoring.scaffold import ROOT, new_source

for name in formats():
    new_source("made_" + name.replace("-", "_"), name)
new_source("made_elsewhere", "json-ld", "https://www.example.org/" + "a" * 150 + "?x=$y&z=%7B")
"""


def test_what_is_written_for_every_format_passes_its_test_and_the_linters_at_once(checkout: Path) -> None:
    ran(checkout, "-c", EVERY)
    written = [str(path) for path in (*checkout.rglob("made_*.py"), *checkout.rglob("test_made_*.py"))]
    tests = [path for path in written if "test_made" in path]
    assert len(tests) == len(formats()) + 1
    ran(checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    ran(checkout, "-m", "ruff", "check", *written)
    ran(checkout, "-m", "ruff", "format", "--check", *written)
    ran(checkout, "-m", "mypy", *(path for path in written if "test_made" not in path))
    assert all(len(Path(path).read_text().splitlines()) <= 20 for path in written if "sources" in path)
    listed = (checkout / "docs" / "sources" / "README.md").read_text(encoding="utf-8")
    assert all(f"[made_{name.replace('-', '_')}]" in listed for name in formats())
    assert all(f"[{spider.name}]" in listed for spider in SPIDERS)


async def test_the_command_says_what_it_wrote_and_refuses_to_write_it_twice(checkout: Path) -> None:
    arguments = ("spider", "new", "red_hall", "--format", "json-ld", "--start-url", "https://redhall.example/agenda/")
    typed = await gigz(checkout, *arguments, root=checkout)
    assert typed.code == 0, typed
    assert typed.out.split("\n")[:3] == [
        "wrote spiders/sources/red_hall.py",
        "wrote tests/spiders/answers/red_hall.html",
        "wrote tests/spiders/test_red_hall.py",
    ]
    assert 'START = "https://redhall.example/agenda/"' in (checkout / "spiders/sources/red_hall.py").read_text()
    again = await gigz(checkout, *arguments, root=checkout)
    assert again.code == 2 and "there is a spider red_hall already" in again.err


PAGE = """<!doctype html><title>Program</title>
<article class="koncert"><h2><a href="/program/vega-folk">Vega Folk</a></h2><p class="when">Fri 3 May 2030</p>
  <p class="doors">Doors 19:00, music 20:00</p><p class="guests">Lille Bror</p></article>
<article class="koncert"><h2><a href="/program/nordlys">Nordlys (AFLYST)</a></h2><p class="when">Sat 4 May 2030</p>
</article>
"""


@pytest.mark.network
async def test_a_source_is_added_as_the_page_about_it_says(checkout: Path) -> None:
    async def program(request: web.Request) -> web.Response:
        return web.Response(text=PAGE if request.path == "/program/" else "", content_type="text/html")

    told = (ROOT / "docs" / "add-a-source.md").read_text(encoding="utf-8")
    declared = re.findall(r"^    ((?:row|fields|house) = .*)$", told, flags=re.MULTILINE)
    answer, source = checkout / "tests/spiders/answers/nordhall.html", checkout / "spiders/sources/nordhall.py"
    async with serving(program) as base:
        url = f"{base}/program/"
        assert "--format html" in (await gigz(checkout, "spider", "try", url, root=checkout)).out
        written = await gigz(
            checkout, "spider", "new", "nordhall", "--format", "html", "--start-url", url, root=checkout
        )
        assert written.code == 0, written
        answer.unlink()
        await gigz(checkout, "spider", "try", url, "--save", str(answer), root=checkout)
        text = source.read_text(encoding="utf-8")
        for line in declared:
            text = re.sub(rf"^    {line.split()[0]} = .*$", f"    {line}", text, flags=re.MULTILINE)
        source.write_text(text, encoding="utf-8")
    raw = await gigz(checkout, "spider", "try", str(answer), "--raw", root=checkout)
    acts = [orjson.loads(line)["fields"]["artist"] for line in raw.out.splitlines()]
    assert acts == ["Vega Folk", "Nordlys (AFLYST)"]
    (checkout / "raw.jsonl").write_text(raw.out)
    normalised = await gigz(checkout, "normalise", "raw.jsonl", root=checkout)
    listings = [orjson.loads(line) for line in normalised.out.splitlines()]
    nights = [(one["date"], one["status"], one["venue"]) for one in listings]
    assert nights == [("2030-05-03", "announced", "Nordhall"), ("2030-05-04", "cancelled", "Nordhall")]
    expect = await gigz(checkout, "spider", "expect", "nordhall", root=checkout)
    assert expect.code == 0 and "2 messages" in expect.out, expect
    ran(checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/spiders/test_nordhall.py")
    ran(checkout, "-m", "ruff", "check", "spiders/sources/nordhall.py", "tests/spiders/test_nordhall.py")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The folders that a new source is written into."""
    for folder in ("spiders/sources", "tests/spiders/answers", "docs/sources"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(ROOT / "docs/sources/README.md", tmp_path / "docs/sources/README.md")
    return tmp_path


def saved(root: Path, name: str, day: datetime) -> Path:
    """The answer of a source, as if it had been saved on that day."""
    (answer,) = (root / "tests/spiders/answers").glob(f"{name}.*")
    os.utime(answer, (day.timestamp(), day.timestamp()))
    return answer


def test_what_a_format_refuses_of_the_answer_is_counted_in_the_test_and_told(bare: Path) -> None:
    new_source("red_hall", "html", root=bare)
    answer = bare / "tests/spiders/answers/red_hall.html"
    letter = '<li class="event"><a href="/letter"><h3>Our letter</h3></a></li></ul>'
    answer.write_text(answer.read_text().replace("</ul>", letter))
    test, found, refused = expected("red_hall", bare)
    assert (len(found), refused) == (3, ["date: the page has none here (row 4, Our letter)"])
    assert "assert len(unreadable(found)) == 1" in test.read_text()
    answer.write_text(answer.read_text().replace(letter, "</ul>"))
    assert expected("red_hall", bare)[2] == [] and "assert unreadable(found) == []" in test.read_text()
    answer.write_text("<ul></ul>")
    with pytest.raises(SettingsError, match=r"no row: 'li.event' finds nothing.*spiders.sources.red_hall"):
        expected("red_hall", bare)


def test_a_saved_answer_is_read_as_on_the_day_it_was_saved_which_stays(bare: Path) -> None:
    new_source("red_hall", "html", root=bare)
    answer = saved(bare, "red_hall", datetime(2026, 5, 1, 23, 30, tzinfo=UTC))
    answer.write_text(answer.read_text().replace('datetime="2024-05-03"', 'datetime="3 May"'))
    saved(bare, "red_hall", datetime(2026, 5, 1, 23, 30, tzinfo=UTC))
    test, found, _ = expected("red_hall", bare)
    assert "READ_AT = datetime(2026, 5, 1, 12, tzinfo=UTC)" in test.read_text()
    assert found[0].fields["read_in"] == "2026-05"
    saved(bare, "red_hall", datetime(2027, 8, 8, tzinfo=UTC))  # as a checkout changes it
    _, again, _ = expected("red_hall", bare)
    assert again[0].fields["read_in"] == "2026-05" and "2026, 5, 1" in test.read_text()


@pytest.mark.parametrize("format_", ["html", "feed"])
def test_the_house_that_a_new_source_does_not_fill_in_says_nothing(bare: Path, format_: str) -> None:
    new_source("red_hall", format_, root=bare)
    source = bare / "spiders/sources/red_hall.py"
    assert 'house = {"venue": "", "city": "", "country": ""}' in source.read_text()
    _, found, _ = expected("red_hall", bare)
    assert "city" not in found[0].fields
    source.write_text(source.read_text().replace('"city": ""', '"city": "Aarhus"'))
    _, found, _ = expected("red_hall", bare)
    assert {message.fields["city"] for message in found} == {"Aarhus"}


@pytest.mark.parametrize("name", ["", "x", "Red", "red-hall", "1st", "red hall", "class", "../red", "a" * 41, "red_"])
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="Remedy"):
        check_name(name)


def test_a_name_that_is_taken_an_unknown_format_and_no_address_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "tests/spiders/answers").mkdir(parents=True)
    (tmp_path / "spiders/sources").mkdir(parents=True)
    with pytest.raises(SettingsError, match="venues already"):
        new_source("venues", "json-ld", root=tmp_path)
    with pytest.raises(SettingsError, match=r"no format 'jsonld'.*json-ld.*setlist-api"):
        new_source("red_hall", "jsonld", root=tmp_path)
    for url in ("redhall.example", "file:///etc/passwd", 'https://red"hall.example', "https://"):
        with pytest.raises(SettingsError, match="no address"):
            new_source("red_hall", "json-ld", url, root=tmp_path)
    (tmp_path / "tests/spiders/test_red_hall.py").touch()
    with pytest.raises(SettingsError, match="is there already"):
        new_source("red_hall", "json-ld", root=tmp_path)
    assert not (tmp_path / "spiders/sources/red_hall.py").exists()
    with pytest.raises(SettingsError, match="checkout"):
        new_source("red_hall", "json-ld", root=tmp_path / "elsewhere")


def test_every_format_has_a_sample_and_every_source_is_a_short_file() -> None:
    assert all(sample(name) for name in formats())
    long = {spider.__module__ for spider in SPIDERS if len(_text(spider.__module__).splitlines()) > 20}
    assert long == set(), "a source declares; what takes more belongs into its format"


def _text(module: str) -> str:
    return (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")


def test_the_list_of_sources_is_every_spider_and_no_other() -> None:
    page = (ROOT / "docs" / "sources" / "README.md").read_text(encoding="utf-8")
    _, _, rest = page.partition(BEGIN)
    assert rest.partition(END)[0].strip() == list_of(SPIDERS), "Remedy: python -m spiders.authoring.scaffold"


def test_formats_are_explained_in_the_list_of_sources() -> None:
    page = (ROOT / "docs" / "sources" / "README.md").read_text(encoding="utf-8")
    assert [name for name in formats() if f"| `{name}` |" not in page] == []


def test_the_clock_is_that_of_the_tests() -> None:
    assert READ_AT == NOW
    assert class_name("red_hall_2") == "RedHall2Spider"
