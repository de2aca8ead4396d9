"""Every history as people really keep it: how much of it comes out right, counted against a reading of our own.

What is right is read here by other means: the csv module and the columns' meanings as a person sees them.
"""

import csv
import html
import json
import re
from datetime import date
from io import StringIO
from pathlib import Path

import pytest

from api.imports.reading import Reading, dry_run, read, read_rows
from api.imports.shapes import Standing
from api.imports.uploads import Upload

pytestmark = pytest.mark.data

Show = tuple[str, str | None, str | None]
"""Who, when, in which house."""


def kept(data_dir: Path, name: str) -> tuple[Reading, str]:
    path = data_dir / "histories" / "as_kept" / name
    return read(Upload.of_path(path)), path.read_text(encoding="utf-8")


def shows(reading: Reading) -> list[Show]:
    return [
        (one.remembered.artist or "", one.remembered.date, one.remembered.venue)
        for row in reading.rows()
        for one in row.entries
    ]


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(StringIO(text)))


def month_first(text: str) -> str | None:
    if not text:
        return None
    month, day, year = (int(part) for part in text.split("/"))
    return date(year + 2000 if year < 100 else year, month, day).isoformat()


def test_bands_parted_by_dashes_and_coordinates_are_read_whole(data_dir: Path) -> None:
    reading, text = kept(data_dir, "a_lat_lng_bands.csv")
    expected = [
        (" ".join(band.split()), row[0], html.unescape(row[3]))
        for row in cells(text)[1:]
        for band in dict.fromkeys(html.unescape(row[5]).split("---"))
        if band.strip()
    ]
    assert len(expected) == 905
    assert shows(reading) == expected
    points = [(one.remembered.lat, one.remembered.lon) for row in reading.rows() for one in row.entries[:1]]
    assert points == [(float(row[1]), float(row[2])) for row in cells(text)[1:]]


def test_ragged_rows_with_dates_month_first_are_read_whole(data_dir: Path) -> None:
    reading, text = kept(data_dir, "b_ragged_us_dates.csv")
    expected = [
        (" ".join(band.split()), month_first(row[1]), row[2])
        for row in cells(text)[1:]
        for band in row[6:]
        if band.strip(" ?")
    ]
    assert shows(reading) == expected
    run = dry_run(reading)
    assert (run.counts[Standing.UNDERSTOOD], run.counts[Standing.DOUBTFUL]) == (35, 6)
    assert all("it has no date" in row.doubts for row in run.samples[Standing.DOUBTFUL])
    towns = {one.remembered.city for row in reading.rows() for one in row.entries}
    assert "????" not in towns and "Seattle" in towns


def test_a_table_in_a_page_of_markdown_is_read_whole(data_dir: Path) -> None:
    reading, text = kept(data_dir, "c_table.md")
    lines = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("| 2")]
    expected = [
        (band.strip(), day.strip(), venue.strip()) for day, bands, venue, _ in lines for band in bands.split(",")
    ]
    found = shows(reading)
    assert reading.total == len(lines) == 41
    assert found == expected


def test_the_export_of_a_setlistfm_list_is_read_whole_and_known_by_its_ids(data_dir: Path) -> None:
    reading, text = kept(data_dir, "d_setlistfm_export.csv")
    expected = [(row[2].strip(), row[3], row[4]) for row in cells(text)[1:]]
    assert shows(reading) == [(" ".join(who.split()), when, where) for who, when, where in expected]
    assert {row.standing for row in reading.rows()} == {Standing.UNDERSTOOD}
    otherwise = text.replace('"Sloan"', '"SLOAN"')
    again = read(Upload.of_bytes("again.csv", otherwise.encode()))
    ids = [one.entry_id for row in reading.rows() for one in row.entries]
    assert [one.entry_id for row in again.rows() for one in row.entries] == ids


def test_two_digit_years_and_noughts_for_nothing_are_read_whole(data_dir: Path) -> None:
    reading, text = kept(data_dir, "e_two_digit_years.csv")
    rows = cells(text)[1:]
    expected = list(dict.fromkeys((" ".join(row[1].split()), month_first(row[0]), row[2]) for row in rows))
    found = shows(reading)
    assert set(found) == set(expected)
    assert sum(row.standing is Standing.REPEATED for row in reading.rows()) == len(rows) - len(found)
    linked = [row for row in rows if "setlist.fm" in row[4]]
    towns = [one.remembered.city for row in reading.rows() for one in row.entries if one.remembered.city]
    assert len(towns) >= 0.9 * len({tuple(row) for row in linked})
    assert "Philadelphia" in towns
    assert not any(one.remembered.note == "0" for row in reading.rows() for one in row.entries)


def test_what_two_listeners_typed_comes_back_as_it_was(data_dir: Path) -> None:
    lines = (data_dir / "histories" / "entries.jsonl").read_text(encoding="utf-8").splitlines()
    typed = [json.loads(line) for line in lines]
    rows = [{name: row[name] for name in ("artist", "date", "venue", "city") if name in row} for row in typed]
    reading = read_rows(rows)
    found = [
        {"artist": one.artist, "date": one.date, "venue": one.venue, "city": one.city}
        for row in reading.rows()
        for one in (entry.remembered for entry in row.entries)
    ]
    wanted = [{name: row.get(name) for name in ("artist", "date", "venue", "city")} for row in rows]
    tidy = [
        {name: re.sub(r"\s+", " ", value).strip() if value else value for name, value in row.items()} for row in wanted
    ]
    assert len([row for row in tidy if row in found]) >= 0.98 * len(tidy)
    assert len(found) >= len({json.dumps(row, sort_keys=True) for row in tidy})
