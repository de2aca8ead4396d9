"""Catalogues in files become events, setlists, venues and artists."""

import gzip
import sqlite3
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from scrapy import Request
from scrapy.http import Response

from deploy.settings import SettingsError
from matchers.normalise import normalise
from schemas.listing import Listing
from schemas.raw import RawVenue
from schemas.reference import Artist, DatedName, Venue
from schemas.rejection import Reason
from spiders.formats.file_catalogue import FileCatalogueSpider
from spiders.sources.artists import ArtistsSpider
from spiders.sources.events import EventsSpider
from spiders.sources.setlists import SetlistsSpider
from spiders.sources.venues import VenuesSpider
from tests.spiders.collecting import collect_all
from tests.spiders.reading import NOW, messages, spider_for, unreadable
from tests.spiders.test_crawl import serving

URL = "https://catalogue.example/files/rows.csv"


def file(body: str | bytes, url: str = URL, **headers: str) -> Response:
    """The file at an address."""
    body = body if isinstance(body, bytes) else body.encode()
    return Response(url, body=body, headers=headers, request=Request(url))


def test_a_row_of_each_kind_becomes_what_the_matcher_reads() -> None:
    listings = "source_id,artist,date,venue,city,country,openers\n7,Moths,2014-11-14,The Alibi,Århus,DK,Lamps; Dust\n"
    (event,) = messages(list(spider_for(EventsSpider, URL).parse(file(listings))))
    (listing,) = normalise(event)  # type: ignore[misc]
    assert isinstance(listing, Listing)
    assert ([act.name for act in listing.acts], listing.night) == (["Moths", "Lamps", "Dust"], date(2014, 11, 14))
    assert (event.key, event.seen_at) == ("catalogue.example:7", NOW)

    played = '[{"artist": 311, "date": "2014-11-14", "songs": ["Wick", {"name": "Rust"}]}]'
    (setlist,) = messages(list(spider_for(SetlistsSpider, URL).parse(file(played))))
    (listing,) = normalise(setlist)  # type: ignore[misc]
    assert isinstance(listing, Listing)
    assert (listing.acts[0].name, listing.songs) == ("311", ("Wick", "Rust"))

    names = '[{"name": "Town Hall", "until": "1987"}, "Alibi; Old Alibi"]'
    halls = f'[{{"name": "The Alibi", "city": "Århus", "names": {names}}}]'
    (hall,) = messages(list(spider_for(VenuesSpider, URL).parse(file(halls))))
    (venue,) = normalise(hall)  # type: ignore[misc]
    assert isinstance(venue, Venue)
    assert venue.names == (
        DatedName(name="Town Hall", until=date(1987, 12, 31)),
        DatedName(name="Alibi"),
        DatedName(name="Old Alibi"),
    )

    people = "name;alias;country\nSøren Møl;Moth, The;DK\n"
    (person,) = messages(list(spider_for(ArtistsSpider, URL).parse(file(people))))
    (artist,) = normalise(person)  # type: ignore[misc]
    assert isinstance(artist, Artist)
    assert (artist.name, artist.aliases, artist.country) == ("Søren Møl", ("Moth, The",), "DK")


class HallsSpider(FileCatalogueSpider):
    """Declares what no file of its kind tells."""

    name = "halls"
    message = RawVenue
    columns = {"name": ("Halle",), "city": ("Ort.Name", "Ort"), "id": ("Nr",), "names": ("früher", "auch")}  # noqa: RUF012
    fixed = {"country": "DE"}  # noqa: RUF012
    separator = "/"


def test_columns_are_declared_compared_without_case_and_may_stand_within_others() -> None:
    csv = "nr;HALLE;Ort;früher;auch\n1;Ölmühle;München;Altes Werk/Werk 2;Werk 2/Mühle\n".encode("latin-1")
    names = '"früher": ["Altes Werk", "Werk 2"], "auch": "Mühle"'
    json = f'[{{"Nr": 1, "Halle": "Ölmühle", "Ort": {{"Name": "München"}}, {names}}}]'
    for body in (csv, json.encode()):
        (found,) = messages(list(spider_for(HallsSpider, URL).parse(file(body))))
        assert found.source_id == "1"
        assert found.fields == {
            "name": "Ölmühle",
            "city": "München",
            "country": "DE",
            "names": ["Altes Werk", "Werk 2", "Mühle"],
        }


def test_a_header_without_what_is_needed_fails_the_run_and_names_its_columns() -> None:
    spider = spider_for(EventsSpider, URL)
    assert list(spider.parse(file("Show,When\nMoths,2014-11-14\n"))) == []
    assert (
        "Show, When" in spider.faults[0]
        and "artist or title" in spider.faults[0]
        and "Remedy: columns" in spider.faults[0]
    )


def test_a_bad_row_is_a_rejection_with_its_line_and_its_neighbours_go_on() -> None:
    body = b'{"artist": "Moths", "date": "2014-11-14"}\n{"artist": \n{"artist": "Lamps", "date": 2014}\n'
    spider = spider_for(EventsSpider, URL)
    found = list(spider.parse(file(body)))
    assert [one.fields["artist"] for one in messages(found)] == ["Moths", "Lamps"]
    (bad,) = unreadable(found)
    assert (bad.reason, bad.original, spider.faults) == (Reason.NOT_JSON, b'{"artist":', [])
    assert bad.text.startswith("line 2: ")


def test_a_row_that_cannot_be_written_again_is_a_rejection() -> None:
    body = b'[{"artist": "x\\ud83d", "date": "2014-11-14"}, {"artist": "Moths", "date": "2014-11-14"}]'
    found = list(spider_for(EventsSpider, URL).parse(file(body)))
    assert [one.fields["artist"] for one in messages(found)] == ["Moths"]
    assert [bad.reason for bad in unreadable(found)] == [Reason.BAD_VALUE]


def test_a_file_that_ends_too_early_fails_the_run_and_keeps_what_was_read() -> None:
    spider = spider_for(EventsSpider, URL)
    found = list(spider.parse(file(b'[{"artist": "Moths", "date": "2014-11-14"}, {"artist')))
    assert len(messages(found)) == 1
    assert [bad.reason for bad in unreadable(found)] == [Reason.BAD_DOCUMENT]
    assert URL in spider.faults[0] and "Remedy" in spider.faults[0]


def test_observed_at_comes_before_the_file_s_own_date_and_years_are_asked_for() -> None:
    header, dust = "artist,date,observed_at", "Dust,2016-01-01,2016-02-03T04:05:06+01:00"
    body = f"{header}\nMoths,2014-11-14,2015-01-02\nLamps,2015-11-14,\n{dust}\n"
    page = file(body, **{"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"})
    seen = {one.fields["artist"]: one.seen_at for one in messages(list(spider_for(EventsSpider, URL).parse(page)))}
    assert seen == {
        "Moths": datetime(2015, 1, 2, tzinfo=UTC),
        "Lamps": datetime(2024, 1, 1, tzinfo=UTC),
        "Dust": datetime(2016, 2, 3, 3, 5, 6, tzinfo=UTC),
    }
    bounded = spider_for(EventsSpider, URL, since=date(2015, 1, 1), until=date(2015, 12, 31))
    assert [one.fields["artist"] for one in messages(list(bounded.parse(page)))] == ["Lamps"]


def test_rows_without_ids_get_one_from_what_they_tell() -> None:
    body = "artist,date,venue\nMoths,2014-11-14,The Alibi\nMoths,2014-11-15,The Alibi\nMoths,2014-11-14,The Alibi\n"
    first, second, again = messages(list(spider_for(EventsSpider, URL).parse(file(body))))
    assert first.source_id == again.source_id != second.source_id


def test_a_table_of_a_database_is_named_by_an_argument() -> None:
    made = sqlite3.connect(":memory:")
    made.executescript(
        "create table shows(artist, date); insert into shows values ('Moths', '2014-11-14'); create table other(x)"
    )
    page = file(gzip.compress(made.serialize()), "https://catalogue.example/shows.db.gz")
    spider = spider_for(EventsSpider, URL)
    assert messages(list(spider.parse(page))) == []
    assert "2 tables: shows, other" in spider.faults[0]
    spider = spider_for(EventsSpider, URL, more={"table": "shows"})
    assert [one.fields["artist"] for one in messages(list(spider.parse(page)))] == ["Moths"]


@pytest.mark.parametrize(
    ("kind", "columns", "fits"),
    [
        (EventsSpider, "artist,date,venue", True),
        (EventsSpider, "artist,date,songs", False),
        (SetlistsSpider, "artist,date,songs", True),
        (SetlistsSpider, "artist,date,venue", False),
        (VenuesSpider, "name,lat,lng", True),
        (VenuesSpider, "name,date,city", False),
        (VenuesSpider, "name,price", False),
        (ArtistsSpider, "name,mbid", True),
        (FileCatalogueSpider, "what,ever", True),
        (FileCatalogueSpider, "import os, sys;print(1)", False),
        (FileCatalogueSpider, "no table at all", False),
    ],
)
def test_a_source_recognises_the_tables_that_have_its_columns(
    kind: type[FileCatalogueSpider], columns: str, fits: bool
) -> None:
    assert bool(kind.recognises(file(f"{columns}\n1,2,3\n"))) is fits


def test_a_file_of_this_machine_is_named_by_an_operator_and_has_to_be_there(tmp_path: Path) -> None:
    path = tmp_path / "my shows.csv"
    with pytest.raises(SettingsError, match=r"no file .*my shows\.csv.*Remedy"):
        spider_for(EventsSpider, path.as_uri())
    path.write_text("artist,date\nMoths,2014-11-14\n")
    spider = spider_for(EventsSpider, path.as_uri())
    (found,) = messages(list(spider.parse(file(path.read_bytes(), path.as_uri()))))
    assert found.source == "my shows"
    assert spider_for(EventsSpider, path.as_uri(), source="mine").catalogue == "mine"


@pytest.mark.network
async def test_a_file_of_this_machine_is_crawled_and_no_page_leads_to_one(tmp_path: Path) -> None:
    path = tmp_path / "shows.csv"
    path.write_text("artist,date\nMoths,2014-11-14\nLamps,2014-11-15\nDust,x,y\n")

    async def page(request: web.Request) -> web.Response:
        link = f'<a href="{path.as_uri()}/events/">all</a><a href="{path.as_uri()}">shows</a>'
        return web.Response(text=f"<html>{link}</html>" if "agenda" in request.path else "", content_type="text/html")

    async with serving(page) as base:
        mine, page_ = await collect_all([("events", path.as_uri(), ""), ("venuepages", f"{base}/agenda/", "")])
    assert (mine.faults, mine.counts.delivered, mine.counts.rejected) == ([], 2, 1)
    assert [item["source"] for item in mine.items] == ["shows", "shows"]
    assert page_.items == [] and page_.pages == 1


@pytest.mark.data
def test_the_recorded_catalogues_are_read_row_by_row(data_dir: Path) -> None:
    venues = (data_dir / "venues" / "songkick_venues.csv").read_bytes()
    found = list(spider_for(VenuesSpider, URL).parse(file(venues)))
    assert (len(messages(found)), len(unreadable(found))) == (10_937, 0)
    assert all("lat" in one.fields for one in messages(found)[:100])
    shows = (data_dir / "listings" / "grateful_dead.jsonl").read_bytes()
    listings = messages(list(spider_for(EventsSpider, URL).parse(file(shows))))
    rows = [orjson.loads(line) for line in shows.splitlines()]
    assert len(listings) == len(rows) == 2_147
    assert all(one.fields["date"] == row["date"] for one, row in zip(listings, rows, strict=True))
