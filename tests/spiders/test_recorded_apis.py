"""Answers of real APIs give what docs/sources/apis.md says: the table is the expectation."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.raw import RawMessage
from schemas.rows import FIELDS
from spiders.sources import SPIDERS
from tests.spiders.normal import refusals
from tests.spiders.reading import messages, spider_for, unreadable
from tests.spiders.recordings import Recording, recordings

PAGE = Path(__file__).parents[2] / "docs" / "sources" / "apis.md"
BY_NAME = {spider.name: spider for spider in SPIDERS}
MARKS = {
    "setlistfm": "eventDate",
    "ticketmaster": "dates",
    "bandsintown": "lineup",
    "seatgeek": "datetime_local",
    "songkick": "performance",
    "songkick_venues": "capacity",
    "songkick_artists": "onTourUntil",
    "songkick_setlists": "setlistItem",
}
"""What only the things have that a spider should find: they are counted without it."""


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    file: str
    spider: str
    answers: int
    messages: int
    topic: str
    faults: int
    refused: int
    venue: int
    city: int
    point: int
    told: str


def table() -> list[Row]:
    """The table of the page."""
    lines = (
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| `(apis|songkick_api)/", line)
    )
    rows = []
    for line in lines:
        file, spider, answers, given, *counts, told = [cell.strip() for cell in line.strip("|").split("|")]
        number, _, topic = given.partition(" ")
        faults, refused, venue, city, point = map(int, counts)
        rows.append(
            Row(file.strip("`"), spider, int(answers), int(number), topic, faults, refused, venue, city, point, told)
        )
    return rows


TABLE = table()


def read(row: Row, recorded: list[Recording]) -> tuple[list[RawMessage], int]:
    """Messages of the answers, and how many of these fail the run."""
    found: list[RawMessage] = []
    faults = 0
    for recording in recorded:
        spider = spider_for(BY_NAME[row.spider], recording.url)
        given = list(spider.parse(recording.response))
        found += messages(given)
        faults += bool(spider.faults)
        assert not unreadable(given) or spider.faults, "a rejection that the table does not tell of"
    return found, faults


def objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from objects(part)


def test_the_table_has_a_reason_for_whatever_is_not_read() -> None:
    assert len(TABLE) == 56 and len({row.file for row in TABLE}) == 56
    assert all(len(row.told) >= 8 for row in TABLE)
    assert all(row.messages or row.told.startswith(("Nothing", "An error", "As above", "The same")) for row in TABLE)


@pytest.mark.data
def test_every_recorded_answer_is_in_the_table(data_dir: Path) -> None:
    fixtures = data_dir / "fixtures"
    files = {f"{part}/{path.name}" for part in ("apis", "songkick_api") for path in (fixtures / part).iterdir()}
    assert files == {row.file for row in TABLE}


@pytest.mark.data
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.file)
def test_a_recorded_answer_gives_what_the_table_says(row: Row, data_dir: Path) -> None:
    kind = BY_NAME[row.spider]
    recorded = recordings(data_dir / "fixtures" / row.file, kind.example)
    found, faults = read(row, recorded)
    have = Counter(name for message in found for name in message.fields)
    counted = Row(
        row.file,
        row.spider,
        answers=len(recorded),
        messages=len(found),
        topic=kind.topic.removeprefix("gigz.").removesuffix(".v1") if found else "",
        faults=faults,
        refused=len(refusals(found)),
        venue=have["name"] if kind.topic == "gigz.raw-venue.v1" else have["venue"],
        city=have["city"],
        point=have["lat"],
        told=row.told,
    )
    assert counted == row
    by_rule(found)
    mark = MARKS.get(row.spider)
    if mark and not faults:
        things = [one for recording in recorded for one in objects(orjson.loads(recording.body)) if mark in one]
        inner = [one for one in things if mark == "performance" and isinstance(one.get("setlistItem"), list)]
        assert len(things) - len(inner) == row.messages, "counted without the spider"


def by_rule(found: list[RawMessage]) -> None:
    """What holds for every message, whatever its source."""
    for message in found:
        fields = message.fields
        assert set(fields) <= FIELDS[message.topic]
        assert message.payload and "apikey=" not in message.payload and "app_id=" not in message.payload
        assert message.url is None or message.url.startswith("http")
        assert -90 <= fields.get("lat", 0) <= 90 and -180 <= fields.get("lon", 0) <= 180
        assert ("lat" in fields) == ("lon" in fields)
        if message.topic in ("gigz.raw-event.v1", "gigz.raw-setlist.v1"):
            assert fields["date"] and (fields.get("artist") or fields.get("title"))
            assert fields.get("venue", "").lower() != "unknown venue"
            assert all(isinstance(name, str) and name for name in fields.get("support", []))
        else:
            assert fields["name"]
        if message.topic == "gigz.raw-setlist.v1":
            assert fields["songs"] and fields["status"] == "happened"
    spans = {message.source_id for message in found if "/" in str(message.fields.get("date"))}
    assert refusals(found) == dict.fromkeys(spans, "bad_date")  # nothing else that is read is refused


@pytest.mark.data
def test_recorded_events_are_read_to_the_letter(data_dir: Path) -> None:
    def of(file: str, source_id: str) -> Mapping[str, Any]:
        (row,) = (row for row in TABLE if row.file == file)
        found, _ = read(row, recordings(data_dir / "fixtures" / file, BY_NAME[row.spider].example))
        return next(message.fields for message in found if message.source_id == source_id)

    assert of("apis/ticketmaster_apguan.js", "G5vYZfNi53_zo") == {
        "artist": "Lady Gaga",
        "title": "Lady Gaga Joanne World Tour",
        "date": "2017-08-13",
        "start_time": "19:00:00",
        "status": "announced",
        "venue": "AT & T Park",
        "city": "San Francisco",
        "region": "CA",
        "country": "US",
        "lat": 37.77840589,
        "lon": -122.38944009,
        "tz": "America/Los_Angeles",
    }
    cancelled = of("songkick_api/event_search_string.yml", "19225284")
    assert (cancelled["status"], cancelled["city"], "venue" in cancelled) == ("cancelled", "Knebworth", False)
    setlist = of("songkick_api/concert_setlists.yml", "setlist-15061")
    assert (setlist["date"], setlist["venue"], len(setlist["songs"])) == ("25 Aug 2009", "Troxy", 24)
    shows = (("apis/phishnet_1997-11-22.json", "1252683584", 15), ("apis/kglwnet_2022-10-10.json", "1678309429", 27))
    assert all(len(of(file, show)["songs"]) == songs for file, show, songs in shows)
    tickets = of("songkick_api/users_attendance_calendar.json", "17472154")
    assert (tickets["artist"], tickets["support"]) == ("Oceano", ["Reflections", "Sworn In", "Adestria"])
    assert "artist_mbid" not in tickets  # Songkick has two and does not know which
