"""Whole crawls over HTTP, of the demo's site and of servers that behave badly."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from deploy.local.demo import site
from deploy.settings import SettingsError, load
from spiders.crawl import api_key, chosen, run_crawl
from spiders.errand import Errand, errand_of
from spiders.polite import LONGEST_WAIT_S, retry_after, scrapy_settings, wait_s
from spiders.sources import SPIDERS
from spiders.sources.venues import VenuesSpider
from tests.spiders.collecting import SETTINGS, USER_AGENT, child_for, collect, collect_all, collected_by

KINDS = ("artist", "event", "setlist", "venue")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """A server with one answer for everything."""
    application = web.Application()
    application.add_routes([web.get("/{path:.*}", answer)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.network
async def test_the_demo_site_is_crawled_whole_and_a_second_crawl_finds_nothing_new() -> None:
    expected = {"demo-venues": 105, "gdshowsdb": 351, "jerrybase": 75, "songkick": 80}
    versions: list[set[tuple[str, str, str, str]]] = []
    for _ in range(2):  # on another port each time
        seen = set()
        async with site.serve() as base:
            crawls = [(one.spider, base + one.path, one.source) for one in site.CRAWLS]
            for one, found in zip(site.CRAWLS, await collect_all(crawls), strict=True):
                assert found.faults == []
                assert found.counts.scraped == found.counts.delivered == expected[one.source]
                seen |= {(i["source"], i["source_id"], i["seen_at"], i["content_hash"]) for i in found.items}
        versions.append(seen)
    assert len(versions[0]) == sum(expected.values())
    assert versions[0] == versions[1]


@pytest.mark.network
async def test_what_is_crawled_is_what_the_facts_say() -> None:
    async with site.serve() as base:
        crawls = [(one.spider, base + one.path, one.source) for one in (site.CRAWLS[1], site.CRAWLS[3])]
        setlists, events = [{i["source_id"]: i["fields"] for i in found.items} for found in await collect_all(crawls)]
    for row in site.facts("gdshowsdb"):
        told = setlists[row["source_id"]]
        assert all(told[name] == row[name] for name in ("artist", "date", "venue", "city", "country", "songs"))
    for row in site.facts("songkick"):
        told = events[row["source_id"]]
        assert (told["artist"], told.get("support", [])) == (row["artist"], row.get("support", []))
        assert told.get("festival") == row.get("festival")


@pytest.mark.network
async def test_a_crawl_that_yields_nothing_fails() -> None:
    async def empty(_: web.Request) -> web.Response:
        return web.Response(text="<p>nothing on</p>", content_type="text/html")

    async with serving(empty) as base:
        found = await collect("venuepages", f"{base}/agenda/")
    assert found.counts.scraped == 0
    assert "yielded nothing" in found.faults[0] and base in found.faults[0]


@pytest.mark.network
async def test_a_crawl_all_of_whose_items_are_refused_fails_and_says_why_the_first_was() -> None:
    rows = "".join(
        f"<item><title>Moths {n}</title><pubDate>Mon, 01 Jan 2024 10:00:00 GMT</pubDate></item>" for n in "12"
    )

    async def undated(request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(status=404)
        return web.Response(text=f"<rss><channel>{rows}</channel></rss>", content_type="application/rss+xml")

    async with serving(undated) as base:
        found = await collect("feeds", f"{base}/rss")
    assert (found.counts.scraped, found.counts.rejected) == (2, 2)
    assert found.faults == [
        "the crawl yielded nothing: all 2 items that it read were refused, the first because missing_field: date: the "
        "page has none here (row 1, Moths 1)"
    ]


@pytest.mark.network
@pytest.mark.parametrize("status", [401, 404])
async def test_a_start_page_that_is_refused_fails_the_run_and_names_the_answer(status: int) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async with serving(refuse) as base:
        found = await collect("setlistfm", f"{base}/rest/1.0/x/setlists")
    assert f"{base}/rest/1.0/x/setlists answered {status}" in found.faults[0]


@pytest.mark.network
async def test_a_page_missing_in_the_middle_fails_the_run_and_keeps_what_was_read() -> None:
    async def one_page(request: web.Request) -> web.Response:
        if request.path == "/robots.txt" or request.query.get("p") == "2":
            return web.Response(status=404)
        page = {"page": 1, "itemsPerPage": 1, "total": 3, "setlist": [{"id": "a", "artist": {"name": "Moths"}}]}
        return web.json_response(page)

    async with serving(one_page) as base:
        found = await collect("setlistfm", f"{base}/x/setlists")
    assert found.counts.delivered == 1
    assert "p=2 answered 404" in found.faults[0]


@pytest.mark.network
async def test_what_robots_txt_forbids_is_not_read_and_the_user_agent_says_who_asks() -> None:
    asked: list[tuple[str, str]] = []

    async def forbid(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers["User-Agent"]))
        return web.Response(text="User-agent: *\nDisallow: /agenda/\n")

    async with serving(forbid) as base:
        found = await collect("venuepages", f"{base}/agenda/")
    assert asked == [("/robots.txt", USER_AGENT)]
    assert "robots.txt" in found.faults[0]


@pytest.mark.network
async def test_a_server_that_asks_to_wait_is_waited_for() -> None:
    asked: list[float] = []

    async def busy(request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(status=404)
        asked.append(time.monotonic())
        if len(asked) == 1:
            return web.Response(status=429, headers={"Retry-After": "2"})
        return web.json_response([{"name": "The Alibi"}])

    async with serving(busy) as base:
        found = await collect("venues", f"{base}/venues.json")
    assert (found.faults, found.counts.delivered) == ([], 1)
    assert len(asked) == 2 and asked[1] - asked[0] >= 1.9


@pytest.mark.network
async def test_a_server_that_wants_an_hour_is_left_alone() -> None:
    asked: Counter[str] = Counter()

    async def closed(request: web.Request) -> web.Response:
        asked[request.path] += 1
        status = 404 if request.path == "/robots.txt" else 503
        return web.Response(status=status, headers={"Retry-After": "3600"})

    async with serving(closed) as base:
        found = await collect("venues", f"{base}/venues.json")
    assert asked["/venues.json"] == 1
    assert "answered 503" in found.faults[0]


@pytest.mark.network
@pytest.mark.parametrize("at", ["/robots.txt", "/x/setlists"])
async def test_a_signal_stops_the_crawl_in_order_however_early_it_comes(at: str) -> None:
    child: asyncio.Future[asyncio.subprocess.Process] = asyncio.get_running_loop().create_future()
    asked: Counter[str] = Counter()

    async def endless(request: web.Request) -> web.Response:
        asked[request.path] += 1
        if request.path == at and asked[at] == 1:
            (await child).terminate()
        if request.path == "/robots.txt":
            return web.Response(status=404)
        number = int(request.query.get("p", "1"))
        setlist = [{"id": str(number), "artist": {"name": "Moths"}}]
        return web.json_response({"page": number, "itemsPerPage": 1, "total": 10**6, "setlist": setlist})

    async with serving(endless) as base:
        child.set_result(await child_for([("setlistfm", f"{base}/x/setlists", "")]))
        (found,) = await collected_by(await child)
    assert found.faults == ["stopped by SIGTERM"]
    assert found.counts.settled and asked["/x/setlists"] < 100


@pytest.mark.network
async def test_a_link_to_another_host_is_not_followed() -> None:
    asked: list[str] = []

    async def links(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == "/robots.txt":
            return web.Response(status=404)
        other = f"http://localhost:{request.url.port}/events/elsewhere"
        return web.Response(text=f'<a href="{other}">x</a><a href="/events/here">y</a>', content_type="text/html")

    async with serving(links) as base:
        await collect("venuepages", f"{base}/agenda/")
    assert "/events/here" in asked and "/events/elsewhere" not in asked


def test_other_peoples_servers_are_not_hurried() -> None:
    for spider in SPIDERS:
        paced = scrapy_settings(load({"own_hosts": ""}), spider)
        assert paced.getint("CONCURRENT_REQUESTS_PER_DOMAIN") <= 2
        assert paced.getbool("ROBOTSTXT_OBEY")
        assert paced.getfloat("DOWNLOAD_DELAY") == spider.pace.every_s >= 0.2


def test_retries_wait_longer_each_time() -> None:
    from scrapy import Request
    from scrapy.http import Response

    waits = [wait_s(Request("http://a.example", meta={"retry_times": tries})) for tries in (1, 2, 3, 4, 20)]
    assert waits == sorted(waits) and waits[0] < 1.3 and waits[-1] <= 1.25 * LONGEST_WAIT_S
    said = [Response("http://a.example", headers={"Retry-After": text}) for text in ("7", "soon")]
    assert [retry_after(response) for response in said] == [7.0, None]
    past = Response("http://a.example", headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert retry_after(past) == 0.0
    assert retry_after(Response("http://a.example")) is None


def test_a_wrong_spider_address_or_key_is_refused_with_its_remedy() -> None:
    with pytest.raises(SettingsError, match=r"no spider 'sonkick'.*setlistfm"):
        chosen("sonkick")
    with pytest.raises(SettingsError, match=r"needs a start URL.*--start-url https"):
        VenuesSpider(errand=Errand())
    spider = chosen("setlistfm")
    with pytest.raises(SettingsError, match="GIGZ_SETLISTFM_API_KEY"):
        api_key(load({"setlistfm_api_key": ""}), spider)
    assert api_key(load({"setlistfm_api_key": "k"}), spider) == "k"


def test_an_argument_that_a_spider_does_not_know_is_refused_with_those_that_it_does() -> None:
    known = {spider.name: spider.arguments() for spider in SPIDERS}
    assert known["setlistfm_attended"] == ["user"] and known["musicbrainz_places"] == ["area"]
    assert known["wikidata_venues"] == ["country"] and known["venuepages"] == []
    assert known["songkick"] == ["artist_id", "metro_area", "user", "venue"]
    assert known["events"] == ["delimiter", "encoding", "member", "table"]
    url = {"start_url": "https://a.example/agenda"}
    with pytest.raises(SettingsError, match=r"colour=\.\.\. is not known to venuepages. Remedy: it knows since, until"):
        run_crawl(SETTINGS, "venuepages", errand_of(url | {"colour": "red"}))
    with pytest.raises(
        SettingsError, match=r"usr=\.\.\. is not known to setlistfm_attended. Remedy: user=me; it knows user,"
    ):
        chosen("setlistfm_attended").check_arguments(errand_of({"usr": "me"}))


def test_an_artist_is_an_argument_of_those_that_can_search() -> None:
    with pytest.raises(SettingsError, match=r"it knows artist_id, .*, artist, mbid, since"):
        chosen("songkick").check_arguments(errand_of({"zzz": "1"}))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://a.example/agenda", "https://a.example/agenda"),
        ("https://a.example:443/agenda", "https://a.example/agenda"),
        ("http://a.example:80/agenda", "http://a.example/agenda"),
        ("http://ann:secret@a.example:8080/agenda", "http://a.example:8080/agenda"),
        ("http://127.0.0.1:8931/cal.ics", "http://127.0.0.1:8931/cal.ics"),
        ("file:///srv/shows.csv", "file:///srv/shows.csv"),
    ],
)
def test_two_servers_of_one_host_are_two_scopes_and_the_usual_port_says_nothing(url: str, told: str) -> None:
    assert Errand(start_url=url).scope("calendars", "a", url) == f"calendars a {told}"


def test_every_spider_declares_how_it_wants_to_be_treated() -> None:
    for spider in SPIDERS:
        assert all((spider.topic, spider.format, spider.licence, str(spider.pace), spider.example or spider.start_urls))
    assert {spider.topic for spider in SPIDERS} <= {f"gigz.raw-{kind}.v1" for kind in KINDS}


def test_the_sample_history_asks_for_concerts_that_the_facts_have() -> None:
    known = {row["source_id"]: row for name in ("gdshowsdb", *site.EVENTS) for row in site.facts(name)}
    rows = [json.loads(line) for line in (site.FACTS.parent / "sample_history.jsonl").read_bytes().splitlines()]
    assert {row["user"] for row in rows} == {"demo"} and len({row["entry_id"] for row in rows}) == len(rows)
    assert 60 <= len(rows) <= 80
    labels = Counter(row.get("label") for row in rows)
    assert labels["match"] >= 45 and labels["unknown"] >= 2 and labels["other_date"] == 1
    assert all(row["gold"] in known for row in rows if row.get("label") == "match")
    assert all(row["other"] in known for row in rows if row.get("label") == "other_date")
