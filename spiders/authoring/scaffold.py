"""A new source: its file, a saved answer, a test that passes, and its line in the list of sources.

Every format has a sample of both in `formats/samples/`: `FORMAT.py.txt`, a source with $name, $class_name, $title and
$start_url in it, and `FORMAT.html` (.json, .csv, ...), an answer that it reads. What the test expects is what the new
source made of the answer just now.

Errors
    SettingsError    a bad name, an unknown format, files that are there already, an installation without tests
"""

import importlib.util
import json
import keyword
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlsplit

from scrapy import Request
from scrapy.http import HtmlResponse, TextResponse

from deploy.settings import SettingsError
from schemas.raw import RawMessage
from spiders.errand import Errand
from spiders.formats import formats
from spiders.formats.base import SourceSpider, Unreadable
from spiders.sources import SPIDERS, spiders_of

ROOT = Path(__file__).parents[2]
SAMPLES = Path(__file__).parents[1] / "formats" / "samples"
SOURCE = ".py.txt"
READ_AT = datetime(2024, 2, 1, 12, tzinfo=UTC)
"""When the samples were read: tests.spiders.reading.NOW. A saved answer's test reads it on the day it was saved."""
TELLING = ("artist", "title", "name", "date", "venue", "city", "mbid")
"""Fields that a test of a new source names, as far as its messages have them."""
LINE = 120
_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
BEGIN, END = "<!-- sources: written by `gigz spider new` -->", "<!-- end of sources -->"


@dataclass(frozen=True)
class Written:
    """The files of a new source."""

    source: Path
    answer: Path
    test: Path
    messages: int

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """In the order to look at them."""
        return self.source, self.answer, self.test


def new_source(name: str, format_: str, start_url: str = "", root: Path = ROOT) -> Written:
    """Write them. SettingsError; then nothing is left behind."""
    check_name(name)
    template, answer = sample(format_)
    url = start_url or f"https://www.example.org/{name}/"
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r'[\s"\\{}]', url):
        raise SettingsError(f"{url!r} is no address. Remedy: --start-url https://www.example.org/agenda/")
    tests = root / "tests" / "spiders"
    if not (tests / "answers").is_dir():
        raise SettingsError(
            f"there are no tests in {tests}. Remedy: a checkout of Gigz; sources live beside their tests."
        )
    written = Written(
        root / "spiders" / "sources" / f"{name}.py",
        tests / "answers" / f"{name}{answer.suffix}",
        tests / f"test_{name}.py",
        0,
    )
    for path in written.files:
        if path.exists():
            raise SettingsError(f"{path.relative_to(root)} is there already. Remedy: another name.")
    text = Template(template.read_text(encoding="utf-8")).substitute(
        name=name, class_name=class_name(name), title=name.replace("_", " ").capitalize(), start_url=url
    )
    body = answer.read_bytes()
    try:
        _write(written.source, text.encode())
        _write(written.answer, body)
        found, refused = _read(written, name, url, READ_AT)
        if refused:
            raise SettingsError(f"{written.answer.name}: {'; '.join(refused)}. Remedy: a sample that is read whole.")
        _write(written.test, test_of(written, name, url, found).encode())
    except BaseException:
        for path in written.files:
            with suppress(FileNotFoundError):
                path.unlink()
        raise
    known = {spider.__module__.rpartition(".")[2] for spider in SPIDERS} | {"__init__"}
    new = [path for path in sorted(written.source.parent.glob("*.py")) if path.stem not in known]
    write_list(root, [*SPIDERS, *(_declared(path, path.stem) for path in new)])
    return Written(*written.files, len(found))


def expected(name: str, root: Path = ROOT) -> tuple[Path, list[RawMessage], list[str]]:
    """Write the test of a source anew, to expect what the source makes of its saved answer now: messages and refusals.

    The answer is read as on the day that the test names, at first the day it was saved: a calendar's coming shows and a
    date without a year depend on it. SettingsError.
    """
    tests = root / "tests" / "spiders"
    source, test = root / "spiders" / "sources" / f"{name}.py", tests / f"test_{name}.py"
    answers = sorted((tests / "answers").glob(f"{name}.*"))
    before = test.read_text(encoding="utf-8") if test.is_file() else ""
    url = re.search(r'^URL = "([^"]+)"$', before, re.MULTILINE)
    if not source.is_file() or url is None or len(answers) != 1 or "EXPECTED" not in before:
        raise SettingsError(
            f"{name} has no source, answer and test as `gigz spider new` writes them. Remedy: edit {test} by hand."
        )
    written = Written(source, answers[0], test, 0)
    read_at = _read_at(before, answers[0])
    found, refused = _read(written, name, url[1], read_at)
    test.write_text(test_of(written, name, url[1], found, len(refused), read_at), encoding="utf-8")
    return test, found, refused


def _read_at(test: str, answer: Path) -> datetime:
    """The day in the test; where it is still the sample's, the one on which the answer was saved."""
    told = re.search(r"^READ_AT = datetime\((\d+), (\d+), (\d+), 12, tzinfo=UTC\)$", test, re.MULTILINE)
    day = READ_AT if told is None else datetime(int(told[1]), int(told[2]), int(told[3]), 12, tzinfo=UTC)
    if day != READ_AT:
        return day
    return datetime.fromtimestamp(answer.stat().st_mtime, UTC).replace(hour=12, minute=0, second=0, microsecond=0)


def check_name(name: str) -> None:
    """SettingsError when a spider cannot be called that."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name.endswith("_"):
        raise SettingsError(
            f"{name!r} is no name for a spider. Remedy: 2 to 40 small letters, digits and _, a letter first: red_hall."
        )
    if any(spider.name == name for spider in SPIDERS):
        raise SettingsError(f"there is a spider {name} already. Remedy: another name; `gigz spiders` lists them.")


def sample(format_: str) -> tuple[Path, Path]:
    """The template and the answer of a format. SettingsError."""
    if format_ not in formats():
        raise SettingsError(f"there is no format {format_!r}. Remedy: one of {', '.join(sorted(formats()))}.")
    answers = [path for path in SAMPLES.glob(f"{format_}.*") if not path.name.endswith(SOURCE)]
    template = SAMPLES / f"{format_}{SOURCE}"
    if len(answers) != 1 or not template.is_file():
        raise SettingsError(
            f"{format_} has no sample. Remedy: {template} and one answer beside it, as the others have."
        )
    return template, answers[0]


def class_name(name: str) -> str:
    """'red_hall' -> 'RedHallSpider'."""
    return "".join(part.capitalize() for part in name.split("_")) + "Spider"


def test_of(
    written: Written,
    name: str,
    url: str,
    found: Sequence[RawMessage],
    refused: int = 0,
    read_at: datetime = READ_AT,
) -> str:
    """The test: what the source makes of the saved answer, and how much of it it refuses."""
    names = [field for field in TELLING if any(field in message.fields for message in found)]
    rows = [_literal({field: message.fields.get(field) for field in names}) for message in found]
    none = "unreadable(found) == []" if not refused else f"len(unreadable(found)) == {refused}"
    return f'''"""What {name} makes of the answer that was saved of it."""

from datetime import UTC, datetime

from spiders.sources.{name} import {class_name(name)}
from tests.spiders.reading import answer, messages, spider_for, unreadable

URL = "{url}"
READ_AT = datetime({read_at.year}, {read_at.month}, {read_at.day}, 12, tzinfo=UTC)
EXPECTED = [
{chr(10).join(rows)}
]


def test_the_saved_answer_gives_these_messages() -> None:
    spider = spider_for({class_name(name)}, URL, now=READ_AT)
    found = list(spider.parse(answer("{written.answer.name}", URL)))
    assert {none}
    assert [{{name: message.fields.get(name) for name in EXPECTED[0]}} for message in messages(found)] == EXPECTED
'''


def _literal(row: dict[str, Any]) -> str:
    """A row of the test, as the formatter would have it."""
    pairs = [
        f'"{field}": {"None" if value is None else json.dumps(value, ensure_ascii=False)}'
        for field, value in row.items()
    ]
    line = f"    {{{', '.join(pairs)}}},"
    if len(line) <= LINE:
        return line
    return "    {\n" + "".join(f"        {pair},\n" for pair in pairs) + "    },"


def _write(path: Path, body: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(body)
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}. Remedy: a checkout that is yours.") from error


def _read(written: Written, name: str, url: str, read_at: datetime) -> tuple[list[RawMessage], list[str]]:
    """What a source makes of its answer, and why it refuses rows of it. SettingsError when the answer as such fails."""
    kind = HtmlResponse if written.answer.suffix == ".html" else TextResponse
    response = kind(url, body=written.answer.read_bytes(), encoding="utf-8", request=Request(url))
    spider = _declared(written.source, name)(errand=Errand(start_url=url), clock=lambda: read_at)
    found = list(spider.parse(response))
    refused = [one.text for one in found if isinstance(one, Unreadable)]
    messages = [one for one in found if isinstance(one, RawMessage)]
    if spider.faults or not messages:
        told = "; ".join([*refused, *spider.faults]) or "no message in it"
        at = f"{written.answer.name} cannot be read by {name} as from {url}"
        raise SettingsError(f"{at}: {told}. Remedy: change the source until it can.")
    return messages, refused


def _declared(path: Path, name: str) -> type[SourceSpider]:
    """The spider in a file."""
    spec = importlib.util.spec_from_file_location(f"spiders.sources.{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (spider,) = spiders_of(module)
    return spider


# -- the list of sources ----------------------------------------------------------------------------------------------


def list_of(spiders: Sequence[type[SourceSpider]]) -> str:
    """All sources as a table in Markdown."""
    rows = ["| spider | source | format | what it gives | politeness | terms |", "|---|---|---|---|---|---|"]
    for spider in sorted(spiders, key=lambda one: one.name):
        topic = spider.topic.removeprefix("gigz.").removesuffix(".v1")
        file = f"{spider.__module__.rpartition('.')[2]}.py"
        cells = (spider.source or "the host's name", f"`{spider.format}`", topic, str(spider.pace), spider.licence)
        link = f"[{spider.name}](../../spiders/sources/{file})"
        rows.append(" | ".join([f"| {link}", *(cell.replace("|", "/") for cell in cells)]) + " |")
    return "\n".join(rows)


def write_list(root: Path, spiders: Sequence[type[SourceSpider]]) -> None:
    """Put the table into docs/sources/README.md, where that file is."""
    page = root / "docs" / "sources" / "README.md"
    if page.is_file():
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        page.write_text(f"{before}{BEGIN}\n{list_of(spiders)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write_list(ROOT, SPIDERS)
