"""The small site that the demo crawls: true concerts, in the formats that their sources would send.

    /rest/1.0/artist/{mbid}/setlists?p=N     setlists as setlist.fm's API 1.0 has them; any x-api-key will do
    /agenda/                                 venues, each linking to its events: pages with JSON-LD
    /agenda/{catalogue}/                     the same, of one catalogue
    /venues.json                             a catalogue of venues

Everything comes from `facts/`; `facts/SOURCES.md` says whose they are. The same request gets the same answer, byte for
byte, from every start and port.

    python -m deploy.local.demo.site --port N
"""

import argparse
import html
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

FACTS = Path(__file__).parent / "facts"
CHANGED = datetime(2024, 6, 1, tzinfo=UTC)
"""When everything here was last changed: one fixed time, so that a second crawl finds nothing new."""
MBID = "6faa7ca7-0d99-4a5e-bfa6-1fd5037520c6"
"""Grateful Dead."""
PER_PAGE = 20
API_KEY = "demo"
"""What the demo sends; the site takes any."""
EVENTS = ("jerrybase", "songkick")
STATUS = {"cancelled": "https://schema.org/EventCancelled"}

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Crawl:
    """One crawl of this site: which spider, from where, and whose facts it finds there."""

    spider: str
    path: str
    source: str


CRAWLS = (
    Crawl("venues", "/venues.json", "demo-venues"),
    Crawl("setlistfm", f"/rest/1.0/artist/{MBID}/setlists", "gdshowsdb"),
    Crawl("venuepages", "/agenda/jerrybase/", "jerrybase"),
    Crawl("venuepages", "/agenda/songkick/", "songkick"),
)
"""Everything that can be crawled here."""


@lru_cache
def facts(name: str) -> tuple[Row, ...]:
    """The rows of one file."""
    return tuple(orjson.loads(line) for line in (FACTS / f"{name}.jsonl").read_bytes().splitlines())


def slug(*parts: str | None) -> str:
    """'The Omni', 'Atlanta' -> 'the-omni-atlanta'."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(part for part in parts if part).lower()).strip("-")


# -- setlists ------------------------------------------------------------------------------------------------------


def setlist(row: Row) -> dict[str, Any]:
    """A concert as setlist.fm's API has it; coordinates are the town's."""
    town = _towns().get(_town_key(row), {})
    city = {"id": slug(row["city"]), "name": row["city"], "country": {"code": row["country"]}}
    if "region" in row:
        city["stateCode"] = row["region"]
    if town:
        city["coords"] = {"lat": town["lat"], "long": town["lon"]}
    return {
        "id": row["source_id"],
        "eventDate": "-".join(reversed(row["date"].split("-"))),
        "lastUpdated": CHANGED.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        "artist": {"mbid": MBID, "name": row["artist"], "sortName": row["artist"]},
        "venue": {"id": slug(row["venue"], row["city"]), "name": row["venue"], "city": city},
        "sets": {"set": [{"song": [{"name": song} for song in row["songs"]]}]},
        "url": f"https://github.com/jefmsmit/gdshowsdb/blob/master/data/gdshowsdb/{row['date'][:4]}.yaml",
    }


async def setlists(request: web.Request) -> web.Response:
    """One page of an artist's setlists, newest first."""
    if not request.headers.get("x-api-key"):
        return _json({"message": "Forbidden"}, status=403)
    given = request.query.get("p", "1")
    page = int(given) if given.isdigit() else 0
    rows = sorted(facts("gdshowsdb"), key=lambda row: str(row["date"]), reverse=True)
    here = rows[(page - 1) * PER_PAGE : page * PER_PAGE] if page > 0 and request.match_info["mbid"] == MBID else []
    if not here:
        return _json({"code": 404, "status": "Not Found", "message": "not found"}, status=404)
    answer = {
        "type": "setlists",
        "itemsPerPage": PER_PAGE,
        "page": page,
        "total": len(rows),
        "setlist": [setlist(row) for row in here],
    }
    return _json(answer)


# -- events --------------------------------------------------------------------------------------------------------


def event(row: Row) -> dict[str, Any]:
    """A concert as JSON-LD."""
    acts = [row["artist"], *row.get("support", ())]
    festival = row.get("festival")
    address = {
        "@type": "PostalAddress",
        "addressLocality": row["city"],
        "addressRegion": row.get("region"),
        "addressCountry": row["country"],
    }
    return {
        "@context": "https://schema.org",
        "@type": "Festival" if festival else "MusicEvent",
        "identifier": row["source_id"],
        "name": festival or f"{' + '.join(acts)} at {row['venue']}",
        "startDate": row["date"],
        "eventStatus": STATUS.get(row.get("status", ""), "https://schema.org/EventScheduled"),
        "performer": [{"@type": "MusicGroup", "name": act} for act in acts],
        "location": {
            "@type": "MusicVenue",
            "name": row["venue"],
            "address": {name: value for name, value in address.items() if value is not None},
        },
    }


async def agenda(request: web.Request) -> web.Response:
    """Links to the venues of one catalogue, or of all."""
    catalogues = _catalogues(request)
    links = {
        f"/agenda/{catalogue}/{venue}/": f"{rows[0]['venue']}, {rows[0]['city']}"
        for catalogue in catalogues
        for venue, rows in _by_venue(catalogue).items()
    }
    return _page("Agenda", _list(links))


async def venue_agenda(request: web.Request) -> web.Response:
    """Links to the events of a venue."""
    (catalogue,) = _catalogues(request)
    rows = _by_venue(catalogue).get(request.match_info["venue"])
    if rows is None:
        raise web.HTTPNotFound
    links = {f"{request.path}{slug(row['source_id'])}": f"{row['date']} {row['artist']}" for row in rows}
    return _page(rows[0]["venue"], _list(links))


async def event_page(request: web.Request) -> web.Response:
    """One event."""
    (catalogue,) = _catalogues(request)
    rows = _by_venue(catalogue).get(request.match_info["venue"], ())
    row = next((row for row in rows if slug(row["source_id"]) == request.match_info["event"]), None)
    if row is None:
        raise web.HTTPNotFound
    # "</script>" within a name would end the block.
    block = orjson.dumps(event(row), option=orjson.OPT_INDENT_2).decode().replace("</", "<\\/")
    title = f"{row['artist']}, {row['venue']}, {row['date']}"
    return _page(title, f'<script type="application/ld+json">\n{block}\n</script>\n<p>{html.escape(title)}</p>')


# -- the rest ------------------------------------------------------------------------------------------------------


async def venues(request: web.Request) -> web.Response:
    """The catalogue of venues."""
    rows = [
        dict(row) | ({"tz": town["tz"]} if (town := _towns().get(_town_key(row))) else {}) for row in facts("venues")
    ]
    return _json({"venues": rows})


async def robots(request: web.Request) -> web.Response:
    """Everything may be read."""
    return web.Response(text="User-agent: *\nAllow: /\n")


async def front(request: web.Request) -> web.Response:
    """For people who look."""
    return _page("Concerts for a demonstration", _list({crawl.path: crawl.source for crawl in CRAWLS}))


def application() -> web.Application:
    """The site."""
    site = web.Application()
    site.add_routes(
        [
            web.get("/", front),
            web.get("/robots.txt", robots),
            web.get("/rest/1.0/artist/{mbid}/setlists", setlists),
            web.get("/agenda/", agenda),
            web.get("/agenda/{catalogue}/", agenda),
            web.get("/agenda/{catalogue}/{venue}/", venue_agenda),
            web.get("/agenda/{catalogue}/{venue}/{event}", event_page),
            web.get("/venues.json", venues),
        ]
    )
    return site


@asynccontextmanager
async def serve(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """The site while the context lasts; gives its address. Port 0: any free one."""
    runner = web.AppRunner(application(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def main(argv: list[str] | None = None) -> None:
    """`python -m deploy.local.demo.site`."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.demo.site", description="The site the demo crawls.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args(argv)
    web.run_app(application(), host=given.host, port=given.port, access_log=None, print=lambda *_: None)


def _catalogues(request: web.Request) -> tuple[str, ...]:
    named = request.match_info.get("catalogue")
    if named is None:
        return EVENTS
    if named not in EVENTS:
        raise web.HTTPNotFound
    return (named,)


@lru_cache
def _by_venue(catalogue: str) -> Mapping[str, tuple[Row, ...]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in facts(catalogue):
        found[slug(row["venue"], row["city"])].append(row)
    return {venue: tuple(rows) for venue, rows in sorted(found.items())}


@lru_cache
def _towns() -> Mapping[tuple[str, str | None, str], Row]:
    return {_town_key(row): row for row in facts("towns")}


def _town_key(row: Row) -> tuple[str, str | None, str]:
    return row["city"], row.get("region"), row["country"]


def _list(links: Mapping[str, str]) -> str:
    return "<ul>\n" + "".join(_items(links.items())) + "</ul>"


def _items(links: Iterable[tuple[str, str]]) -> Iterator[str]:
    for address, text in links:
        yield f'<li><a href="{html.escape(address)}">{html.escape(text)}</a></li>\n'


def _page(title: str, body: str) -> web.Response:
    head = f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>'
    text = f"{head}\n{body}\n</html>\n"
    return web.Response(text=text, content_type="text/html", headers=_changed())


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json", headers=_changed())


def _changed() -> dict[str, str]:
    return {"Last-Modified": format_datetime(CHANGED, usegmt=True)}


if __name__ == "__main__":
    main()
