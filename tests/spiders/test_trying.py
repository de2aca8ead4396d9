"""`gigz spider try`: which formats fit an address, and what they would emit, without publishing."""

import asyncio
import gzip
import json
from pathlib import Path

import pytest
from aiohttp import web
from scrapy.http import HtmlResponse, Response, TextResponse

from deploy.settings import SettingsError
from spiders.authoring.scaffold import sample
from spiders.authoring.trying import address_of, described, fits_of, source_of
from spiders.formats import formats
from tests.spiders.commanding import USER_AGENT, gigz
from tests.spiders.reading import answer
from tests.spiders.test_crawl import serving

URL = "https://www.example.org/agenda/"


def page(html: str) -> HtmlResponse:
    """A page."""
    return HtmlResponse(URL, body=html.encode(), encoding="utf-8")


def text(body: str | bytes, url: str = URL) -> TextResponse:
    """Anything else."""
    return TextResponse(url, body=body.encode() if isinstance(body, str) else body, encoding="utf-8")


@pytest.mark.parametrize("name", sorted(formats()))
def test_every_format_recognises_its_own_sample_and_no_other_format_claims_it_first(name: str) -> None:
    _, path = sample(name)
    kind = HtmlResponse if path.suffix == ".html" else TextResponse
    fits = list(fits_of(kind(URL, body=path.read_bytes(), encoding="utf-8"), 5))
    assert name in [fit.format for fit in fits]
    if name != "html":  # its selectors are declared by a source, and no source has the sample's
        assert fits[0].total > 0, fits
        assert {fit.format for fit in fits if fit.total} == {name}


@pytest.mark.parametrize(
    ("saved", "format_"),
    [("setlists_p1.json", "setlist-api"), ("ticketmaster_p0.json", "ticketmaster"), ("seatgeek_p1.json", "seatgeek")],
)
def test_the_saved_answer_of_an_api_is_that_apis_before_it_is_any_list_of_objects(saved: str, format_: str) -> None:
    for url in (URL, f"file:///srv/{saved}"):
        assert next(fits_of(answer(saved, url), 1)).format == format_


def test_a_sources_saved_answer_is_read_as_from_where_the_source_begins() -> None:
    assert source_of("file:///srv/answers/albany_theatre.html") == "https://albanytheatre.co.uk/whats-on"
    assert source_of("file:///srv/answers/nobody.html") == source_of("file:///srv/venuepages.html") == ""


def test_messages_are_shown_up_to_the_limit_and_all_are_counted() -> None:
    rows = "\n".join(["artist,date", *(f"Moths {number},2014-11-14" for number in range(20)), "a,b,c"])
    (fit,) = fits_of(text(rows), 2)
    assert (fit.spider, fit.total, len(fit.messages), fit.refused) == ("events", 20, 2, 1)
    assert fit.unreadable == ("bad_value: line 22: 3 fields where the header has 2",)


def test_pages_that_a_crawl_would_ask_for_are_told() -> None:
    url = "https://api.setlist.fm/rest/1.0/artist/x/setlists"
    (fit,) = fits_of(answer("setlists_p1.json", url), 5)
    assert (fit.spider, fit.asks, fit.follows) == ("setlistfm", 1, (f"{url}?p=2",))


def test_another_site_with_the_same_api_is_not_taken_for_the_source_that_is_known() -> None:
    (fit,) = fits_of(answer("setlists_p1.json", "https://setlists.example/rest"), 5)
    assert (fit.spider, fit.messages[0].source) == ("", "setlists.example")


def test_messages_without_a_place_hint_at_the_house_and_others_do_not() -> None:
    (fit,) = fits_of(text("artist,date\nMoths,2014-11-14\n"), 3)
    assert 'house = {"venue": "...", "city": "...", "country": "DK"}' in fit.hint
    assert fit.as_json()["hint"] == fit.hint
    (placed,) = fits_of(text("artist,date,city\nMoths,2014-11-14,Oslo\n"), 3)
    assert placed.hint == "" and placed.as_json()["hint"] is None


def test_a_page_without_declared_rows_names_the_spider_to_be_written_and_no_format_of_ours() -> None:
    days = "".join(f"<p>Moths {day} May 2030</p>" for day in range(1, 6))
    (fit,) = fits_of(page(f"<title>On soon</title>{days}"), 3)
    assert fit.faults == (
        f"{URL}: no row: none is declared. Remedy: look at the page, and declare the rows it has now in your spider",
    )


@pytest.mark.parametrize(
    ("response", "found", "remedy"),
    [
        (page("<title>Us</title><p>" + "word " * 90), "a page, 'Us': 90 words", "--format html"),
        (
            page('<link rel="alternate" type="text/calendar" href="/cal.ics">'),
            "a page",
            "try https://www.example.org/cal.ics",
        ),
        (page("<div id=root></div>" + "<script>x</script>" * 4), "a page", "built by scripts"),
        (
            text('{"page": 1, "data": {"shows": [{"who": 1, "when": 2}]}}'),
            "a list at data.shows, of who, when",
            'rows = ("data", "shows")',
        ),
        (text('[{"who": 1, "when": 2}]'), "a JSON list of 1 objects with who, when", "file-catalogue"),
        (text('{"status": "ok"}'), "JSON with status", "documentation"),
        (text("who;when\nMoths;2014\n"), "CSV with the columns who, when", "--format file-catalogue"),
        (text("<?xml version='1.0'?><shows><show/></shows>"), "XML with the root <shows>", "feed"),
        (text("BEGIN:VCALENDAR\nEND:VCALENDAR\n"), "an iCalendar file", "VEVENT"),
        (text("Not found"), "bytes of text: 'Not found'", "address"),
        (Response(URL, body=b"%PDF-1.7"), "a PDF", "made from"),
        (Response(URL, body=b"\x89PNG\0\0"), "neither text", ""),
        (Response(URL, body=gzip.compress(b"a,b\n1,2\n")), "CSV with the columns a, b", "columns"),
        (Response(URL), "empty", ""),
    ],
)
def test_what_nothing_fits_is_described_with_the_nearest_remedy(response: Response, found: str, remedy: str) -> None:
    assert not any(fit.total for fit in fits_of(response, 3))
    told, advice = described(response)
    assert found in told
    assert remedy in advice


def test_what_is_neither_an_address_nor_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a b.csv"
    with pytest.raises(SettingsError, match="there is no file"):
        address_of(str(path))
    path.touch()
    assert address_of(str(path)) == address_of(path.as_uri()) == path.as_uri()
    for wrong in ("ftp://example.org/x", "http://", "example.org", "file:///nowhere.csv"):
        with pytest.raises(SettingsError, match="Remedy"):
            address_of(wrong)


AGENDA = """<!doctype html><title>On soon</title><script type="application/ld+json">
{"@type": "MusicEvent", "url": "/events/1", "name": "Moths", "startDate": "2030-03-01T20:00:00+01:00",
 "location": {"@type": "Place", "name": "The Alibi", "address": {"addressLocality": "Århus"}}}</script>"""


@pytest.mark.network
async def test_an_address_is_fetched_once_and_what_would_be_emitted_is_shown(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    async def agenda(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers["User-Agent"]))
        if request.path == "/robots.txt":
            return web.Response(status=404)
        return web.Response(text=AGENDA, content_type="text/html", charset="utf-8")

    async with serving(agenda) as base:
        shown, machine = await asyncio.gather(
            gigz(tmp_path, "spider", "try", f"{base}/agenda/"),
            gigz(tmp_path, "spider", "try", f"{base}/agenda/", "--json", "--limit", "1"),
        )
    assert (shown.code, machine.code) == (0, 0), (shown, machine)
    assert sorted(asked) == sorted([("/robots.txt", USER_AGENT), ("/agenda/", USER_AGENT)] * 2)
    assert "json-ld fits (spider venuepages)" in shown.out
    assert '"venue": "The Alibi"' in shown.out
    assert "gigz.raw-event.v1" in shown.out
    told = json.loads(machine.out)
    assert told["status"] == 200
    assert [(fit["format"], fit["total"]) for fit in told["fits"]] == [("json-ld", 1)]
    assert told["fits"][0]["messages"][0]["fields"]["city"] == "Århus"


@pytest.mark.network
async def test_what_cannot_be_had_says_why_and_what_to_do(tmp_path: Path) -> None:
    async def forbid(request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nDisallow: /secret/\n")
        return web.Response(status=403)

    async with serving(forbid) as base:
        robots, refused, private, gone = await asyncio.gather(
            gigz(tmp_path, "spider", "try", f"{base}/secret/"),
            gigz(tmp_path, "spider", "try", f"{base}/agenda/"),
            gigz(tmp_path, "spider", "try", f"{base}/agenda/", private_hosts=""),
            gigz(tmp_path, "spider", "try", "http://127.0.0.1:9/", page_retries="0"),
        )
    for typed, told in (
        (robots, "robots.txt"),
        (refused, "answered 403"),
        (private, "GIGZ_PRIVATE_HOSTS"),
        (gone, "Remedy"),
    ):
        assert typed.code == 1, typed
        assert "There is no answer." in typed.out and told in typed.out, typed
        assert "Traceback" not in typed.err


async def test_a_file_is_tried_without_any_network(tmp_path: Path) -> None:
    path = tmp_path / "my shows.csv"
    path.write_text("artist,date,venue\nMoths,2014-11-14,The Alibi\n")
    typed = await gigz(tmp_path, "spider", "try", str(path))
    assert typed.code == 0, typed
    assert "file-catalogue fits (spider events)" in typed.out
    assert '"date": "2014-11-14"' in typed.out


async def test_nobody_in_particular_does_not_try_musicbrainz(tmp_path: Path) -> None:
    typed = await gigz(tmp_path, "spider", "try", "https://musicbrainz.org/ws/2/event?fmt=json", user_agent="")
    assert typed.code == 2
    assert "GIGZ_USER_AGENT" in typed.err
