"""What docs/sources/pages.md claims of every recorded page and calendar is what the spiders make of it."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from scrapy import Request
from scrapy.http import HtmlResponse, Response

from matchers.normalise import normalise
from schemas.listing import Listing
from schemas.raw import RawMessage
from spiders.formats.base import SourceSpider
from spiders.formats.html_page import PAGE, HtmlSpider
from spiders.sources import SPIDERS
from tests.spiders.reading import messages, unreadable

DOC = Path(__file__).parents[2] / "docs" / "sources" / "pages.md"
FOLDERS = {".html": "venue_pages", ".ics": "calendars", ".xml": "calendars"}
SPIDER_BY_NAME = {spider.name: spider for spider in SPIDERS}


@dataclass(frozen=True)
class Claim:
    """A row of the table."""

    file: str
    spider: str
    day: str
    seen: int
    messages: int
    rejected: int
    listings: int
    fields: str
    left: str


def claims() -> list[Claim]:
    rows = re.findall(r"^\| (\S+\.(?:html|ics|xml)) \|(.+)\|$", DOC.read_text(), re.MULTILINE)
    cells = [[file, *(cell.strip() for cell in rest.split("|"))] for file, rest in rows]
    return [Claim(c[0], c[1], c[2], int(c[3]), int(c[4]), int(c[5]), int(c[6]), c[7], c[8]) for c in cells]


def read(claim: Claim, data_dir: Path) -> tuple[SourceSpider, list[object]]:
    """The file as if its spider had been answered with it on that day."""
    kind = SPIDER_BY_NAME[claim.spider]
    now = datetime.fromisoformat(f"{claim.day}T12:00:00").replace(tzinfo=UTC)
    spider = kind(clock=lambda: now)
    path = data_dir / "fixtures" / FOLDERS[Path(claim.file).suffix] / claim.file
    page = re.search(r"_(\d)\.html$", claim.file)
    counted = {PAGE: int(page[1])} if page and issubclass(kind, HtmlSpider) and kind.pages_at else {}
    request = Request(spider.start_url, meta=counted)
    if path.suffix == ".html":
        answer: Response = HtmlResponse(request.url, body=path.read_bytes(), encoding="utf-8", request=request)
    else:
        answer = Response(request.url, body=path.read_bytes(), request=request)
    return spider, list(spider.parse(answer))


def shares(found: list[RawMessage]) -> str:
    """Fields by how many of the messages have them: 'title date venue 100 %, room 70 %'."""
    filled = Counter(name for message in found for name in message.fields)
    by_share: dict[int, list[str]] = {}
    for name, count in sorted(filled.items(), key=lambda one: (-one[1], one[0])):
        by_share.setdefault(round(100 * count / len(found)), []).append(name)
    return ", ".join(f"{' '.join(names)} {share} %" for share, names in by_share.items()) or "none"


def listings(found: list[RawMessage]) -> Iterator[Listing]:
    for message in found:
        told = normalise(message)
        for one in told if isinstance(told, tuple) else ():
            assert isinstance(one, Listing)
            yield one


def test_the_table_has_a_row_for_each_recorded_file_and_says_why_anything_is_left_out() -> None:
    told = claims()
    assert len(told) == 22 and len({claim.file for claim in told}) == 22
    for claim in told:
        assert claim.messages + claim.rejected >= claim.seen, "nothing that a person sees is left out"
        assert claim.left if claim.listings < claim.messages or claim.rejected else True, claim.file


@pytest.mark.data
def test_every_recorded_page_and_calendar_has_a_row(data_dir: Path) -> None:
    there = {path.name for folder in set(FOLDERS.values()) for path in (data_dir / "fixtures" / folder).iterdir()}
    assert there == {claim.file for claim in claims()}


@pytest.mark.data
@pytest.mark.parametrize("claim", claims(), ids=lambda claim: claim.file)
def test_a_recorded_file_gives_what_the_table_claims(claim: Claim, data_dir: Path) -> None:
    spider, found = read(claim, data_dir)
    told = messages(found)
    nights = [one.night for one in listings(told)]
    assert (len(told), len(unreadable(found)), len(nights)) == (claim.messages, claim.rejected, claim.listings)
    assert shares(told) == claim.fields
    assert spider.faults == []
    assert len({message.key for message in told}) == len(told)
    day = datetime.fromisoformat(claim.day).date()
    assert all(-60 <= (night - day).days <= 730 for night in nights), "an agenda is of what comes"
    for message in told:
        assert message.url and message.payload and message.fields["title"]


@pytest.mark.data
def test_dates_without_a_year_fall_on_the_weekday_that_the_page_tells(data_dir: Path) -> None:
    checked = 0
    for claim in claims():
        _, found = read(claim, data_dir)
        for message in messages(found):
            written = str(message.fields["date"])
            for one in listings([message]):
                if re.match(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)", written):
                    assert f"{one.night:%a}" == written[:3] and one.doubt is None, (claim.file, written, one.night)
                    checked += "read_in" in message.fields
    assert checked > 40
