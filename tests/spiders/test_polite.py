"""How spiders behave: who may be asked, robots.txt, redirects, keys, pages that did not change, ranges of nights."""

import asyncio
import gzip
import ipaddress
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from scrapy import Request
from scrapy.exceptions import CannotResolveHostError
from scrapy.http import Response
from scrapy.settings import Settings as ScrapySettings

from deploy.settings import SettingsError, load
from spiders.errand import errand_of
from spiders.formats.base import told_night
from spiders.polite import unlogged
from spiders.polite.guard import Guard, Refused, private
from spiders.polite.manners import on_site, secret_in
from spiders.polite.pages import Conditional, Pages
from tests.spiders.reading import spider_for
from tests.spiders.test_crawl import serving
from tests.spiders.visiting import Keyed, KeyedByParameter, Listing, asked, errand_to, raw_server, visit, visit_all

PUBLIC = "93.184.216.34"
KEY = "0123456789abcdef-key/+"


@asynccontextmanager
async def site(pages: dict[str, Any], log: list[web.Request] | None = None) -> AsyncIterator[str]:
    """A site: path -> JSON, or a function of the request. Anything else is not there."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if log is not None:
            log.append(request)
        page = pages.get(request.path)
        if callable(page):
            found: web.StreamResponse = page(request)
            return found
        return web.Response(status=404) if page is None else web.json_response(page)

    async with serving(answer) as base:
        yield base


def files(folder: Path) -> list[Path]:
    """All of them."""
    return [path for path in folder.rglob("*") if path.is_file()]


# -- who may be asked -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "192.0.0.1",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "fe80::1",
        "fc00::1",
        "fd12::1",
        "fec0::1",
        "ff02::1",
        "2002:7f00:1::",
        "2002:a00:1::",
        "2001::1",
        "2001:db8::1",
        "::127.0.0.1",
        "100::1",
        "fe80::1%eth0",
        "192.0.0.9",
        "192.88.99.1",
        "198.51.100.1",
        "203.0.113.1",
        "100:0:0:1::1",
        "2001:1ff::1",
        "3fff::1",
        "3fff:fff::1",
        "5f00::1",
        "4000::1",
        "e000::1",
    ],
)
def test_an_address_that_is_no_public_hosts_is_refused(address: str) -> None:
    assert private(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    if "%" not in address:
        assert "GIGZ_PRIVATE_HOSTS" in Guard(frozenset()).refusal(f"http://{host}:8080/x")


@pytest.mark.parametrize("address", ["8.8.8.8", PUBLIC, "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_a_public_address_is_not(address: str) -> None:
    assert not private(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "http://LOCALHOST./",
        "http://a.localhost/",
        "http://printer.local/",
        "http://db.internal/",
        "ftp://a.example/",
        "file:///etc/passwd",
        "gopher://a.example/",
        "data:text/plain,x",
        "http:///x",
        "http://user@127.0.0.1/",
        "http://[::1/",
        "http://a.example:x/",
    ],
)
def test_names_of_this_network_and_other_schemes_are_refused(url: str) -> None:
    assert Guard(frozenset()).refusal(url)


def test_a_host_that_is_allowed_may_be_asked_and_no_other() -> None:
    guard = Guard(frozenset({"127.0.0.1:8080", "Stage.local", "::1"}))
    for url in ("http://127.0.0.1:8080/x", "https://stage.local/x", "http://[::1]:99/"):
        assert not guard.refusal(url)
    for url in ("http://127.0.0.1/", "http://127.0.0.1:8081/", "http://x.stage.local/", "file:///stage.local"):
        assert guard.refusal(url)


async def test_what_a_name_leads_to_is_looked_up_once_and_only_public_addresses_are_connected_to() -> None:
    answers = iter([[PUBLIC, "10.0.0.1"], ["127.0.0.1"], []])

    async def lookup(_: str, __: int) -> list[str]:
        return next(answers)

    guard = Guard(frozenset(), lookup)
    assert await guard.addresses("rebind.example", 80) == [PUBLIC]
    with pytest.raises(Refused, match=r"rebind.example is 127.0.0.1, this machine.*GIGZ_PRIVATE_HOSTS=rebind.example"):
        await guard.addresses("rebind.example", 80)
    with pytest.raises(CannotResolveHostError):
        await guard.addresses("rebind.example", 80)


@pytest.mark.network
async def test_no_spelling_of_this_machine_is_asked() -> None:
    hosts = ("127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "0")
    alone = {"private_hosts": "", "own_hosts": "", "page_retries": 0}
    log: list[web.Request] = []
    async with site({"/x": {"items": [{"id": "a"}]}}, log) as base:
        port = base.rpartition(":")[2]
        visits = [errand_to("listing", f"http://{host}:{port}/x", **alone) for host in hosts]
        for host, found in zip(hosts, await visit_all(*visits), strict=True):
            assert found.pages == 0
            assert "GIGZ_PRIVATE_HOSTS" in found.faults[0] and host in found.faults[0]
    assert log == []


@pytest.mark.network
async def test_a_redirect_to_a_private_address_is_refused() -> None:
    places = [
        "http://127.0.0.1:{port}/y",
        "http://2130706433:{port}/y",
        "http://169.254.169.254/",
        "file:///etc/hostname",
    ]
    log: list[web.Request] = []

    def away(request: web.Request) -> web.Response:
        to = places[int(request.path[2:])]
        return web.Response(status=302, headers={"Location": to.format(port=request.url.port)})

    pages: dict[str, Any] = {f"/x{n}": away for n in range(len(places))}
    async with site(pages | {"/y": {"items": [{"id": "a"}]}}, log) as base:
        start = base.replace("127.0.0.1", "localhost")
        told = {"private_hosts": "localhost", "own_hosts": "localhost"}
        visits = [errand_to("listing", f"{start}/x{n}", **told) for n in range(len(places))]
        for to, found in zip(places, await visit_all(*visits), strict=True):
            assert len(found.faults) == 1 and to.partition("{")[0] in found.faults[0]
    assert {request.path for request in log} == {"/robots.txt", *pages}


@pytest.mark.network
async def test_links_and_redirects_to_another_host_are_not_followed_even_after_a_retry() -> None:
    log: list[web.Request] = []
    tries: Counter[str] = Counter()

    def away(request: web.Request) -> web.Response:
        tries["x"] += 1
        if tries["x"] == 1:
            return web.Response(status=500)
        return web.Response(status=301, headers={"Location": f"http://localhost:{request.url.port}/y"})

    async with site({"/x": away, "/y": {"items": [{"id": "a"}]}}, log) as base:
        found = await visit("listing", f"{base}/x")
    assert "/y" not in [request.path for request in log]
    assert "is on localhost, another host: not followed" in found.faults[0]


def test_a_host_with_and_without_www_is_one() -> None:
    assert on_site("example.org", ["www.example.org"]) and on_site("www.example.org", ["example.org"])
    assert not on_site("badexample.org", ["example.org"]) and not on_site("example.org", ["a.example.org"])


@pytest.mark.network
async def test_a_file_is_read_only_where_an_operator_begins_there(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"items": [{"id": "a"}], "links": ["b.json"], "next": "c.json"}')
    for name in "bc":
        (tmp_path / f"{name}.json").write_text('{"items": [{"id": "secret"}]}')
    found = await visit("listing", f"file://{tmp_path}/a.json")
    assert [item["source_id"] for item in found.items] == ["a"]
    assert len(found.faults) == 1 and "c.json" in found.faults[0] and "only http: and https:" in found.faults[0]


@pytest.mark.network
async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    proxied: list[str] = []

    async def proxy(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        proxied.append(await asked(reader))

    async with raw_server(proxy) as between, site({"/x": {"items": [{"id": "a"}]}}) as base:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, between)
        found = await visit("listing", f"{base}/x")
    assert (found.faults, proxied) == ([], [])


# -- robots.txt -------------------------------------------------------------------------------------------------------


ROBOTS = [
    (200, "User-agent: *\nDisallow: /x\n", False),
    (200, "User-agent: gigz-tests\nDisallow: /x\n\nUser-agent: *\nDisallow:\n", False),
    (200, "User-agent: gigz-tests\nDisallow:\n\nUser-agent: *\nDisallow: /\n", True),
    (200, "User-agent: *\nDisallow: /\nAllow: /x\n", True),
    (200, "<html>not here</html>", True),
    (404, "", True),
    (403, "User-agent: *\nDisallow: /x\n", True),
    (429, "", False),
    (500, "", False),
    (200, "#" * 600_000, False),
]


@pytest.mark.network
async def test_robots_txt_is_obeyed_and_one_that_cannot_be_had_forbids() -> None:
    async with AsyncExitStack() as open_:
        logs: list[list[web.Request]] = [[] for _ in ROBOTS]
        bases: list[str] = []
        for log, (status, body, _) in zip(logs, ROBOTS, strict=True):
            robots = partial(lambda _, **told: web.Response(**told), status=status, text=body)
            pages = {"/robots.txt": robots, "/x": {"items": [{"id": "a"}]}}
            bases.append(await open_.enter_async_context(site(pages, log)))
        visits = await visit_all(*(errand_to("listing", f"{base}/x") for base in bases))
    for base, log, found, (status, body, read) in zip(bases, logs, visits, ROBOTS, strict=True):
        assert (found.scraped == 1) is read, (status, body[:50])
        assert ("/x" in [request.path for request in log]) is read
        if not read:
            assert f"{base}/x" in found.faults[0] and "robots.txt" in found.faults[0]


@pytest.mark.network
async def test_the_longer_of_the_crawl_delay_and_the_pace_holds() -> None:
    times: list[float] = []
    delay = "0.9"

    def page(request: web.Request) -> web.Response:
        times.append(time.monotonic())
        following = {"next": f"/{len(times)}"} if len(times) < 3 else {}
        return web.json_response({"items": [{"id": str(len(times))}], **following})

    robots = {"/robots.txt": lambda _: web.Response(text=f"User-agent: *\nCrawl-delay: {delay}\n")}
    async with site(robots | {f"/{name}": page for name in ("x", "1", "2")}) as base:
        found = await visit("listing", f"{base}/x", own_hosts="")
        assert (found.faults, found.pages) == ([], 3)
        assert min(b - a for a, b in pairwise(times)) > 0.8
        delay = "86400"
        times.clear()
        found = await visit("listing", f"{base}/x", own_hosts="")
    assert "robots.txt wants 86400 s between two requests" in found.faults[0] and times == []


@pytest.mark.network
async def test_a_site_that_grows_slow_is_asked_more_slowly() -> None:
    times: list[float] = []

    async def slow(request: web.Request) -> web.StreamResponse:
        if request.path == "/robots.txt":
            return web.Response(status=404)
        times.append(time.monotonic())
        await asyncio.sleep(0.7)
        following = {"next": f"/{len(times)}"} if len(times) < 4 else {}
        return web.json_response({"items": [{"id": str(len(times))}], **following})

    async with serving(slow) as base:
        found = await visit("throttled", f"{base}/x", own_hosts="")
    assert found.faults == []
    assert min(b - a for a, b in pairwise(times)) > 0.7  # its pace alone would be 0.05 s


# -- Retry-After ------------------------------------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("written", ["2", "date"])
async def test_retry_after_is_waited_for_in_seconds_and_as_a_date(status: int, written: str) -> None:
    times: list[float] = []

    def busy(_: web.Request) -> web.Response:
        times.append(time.monotonic())
        if len(times) > 1:
            return web.json_response({"items": [{"id": "a"}]})
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)  # whole seconds: 2 at least
        return web.Response(status=status, headers={"Retry-After": later if written == "date" else written})

    async with site({"/x": busy}) as base:
        found = await visit("listing", f"{base}/x")
    assert (found.faults, found.scraped, len(times)) == ([], 1, 2)
    assert 1.8 < times[1] - times[0] < 10


# -- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.parametrize("spider", ["keyed", "keyed-by-parameter"])
async def test_a_key_does_not_go_to_another_host_nor_into_logs_errors_pages_or_messages(
    spider: str, tmp_path: Path
) -> None:
    log: list[web.Request] = []

    def away(request: web.Request) -> web.Response:
        other = f"http://localhost:{request.url.port}/y?{request.query_string}"
        return web.Response(status=302, headers={"Location": other})

    def repeats(request: web.Request) -> web.Response:
        told = str(request.url)
        page = {"items": [{"id": "a", "told": told, "key": KEY}], "next": "/gone", "links": ["/away", "/broken"]}
        return web.json_response(page, headers={"ETag": '"1"', "X-Told": KEY})

    def broken(_: web.Request) -> web.Response:
        return web.Response(body=b"x", headers={"Content-Length": "100000000"})

    pages = {"/x": repeats, "/away": away, "/y": {"items": []}, "/broken": broken}
    async with site(pages, log) as base:
        found = await visit(spider, f"{base}/x", key=KEY, home=str(tmp_path), page_retries=0, page_timeout_s=2)
    sent = {request.path: request for request in log}
    assert "x-api-key" in sent["/x"].headers or sent["/x"].query["apikey"] == KEY
    assert "/y" not in sent  # localhost is another host: not followed at all
    assert "/gone answered 404" in found.faults[0]
    kept = [path.read_bytes() for path in files(tmp_path)]
    assert kept
    for told in (str(found.faults), found.cut, str(found.items), *(gzip.decompress(file).decode() for file in kept)):
        for secret in secrets():
            assert secret not in told


def secrets() -> list[str]:
    """The key in its spellings."""
    from urllib.parse import quote, quote_plus

    return [KEY, quote(KEY, safe=""), quote_plus(KEY), KEY[:16]]


@pytest.mark.network
@pytest.mark.parametrize("spider", ["keyed", "keyed-by-parameter"])
async def test_a_redirect_below_the_same_site_is_followed_without_the_key(spider: str) -> None:
    log: list[web.Request] = []
    pages: dict[str, Any] = {}
    async with site(pages, log) as base, site({"/y": {"items": [{"id": "a"}]}}, log) as other:
        pages["/x"] = lambda request: web.Response(
            status=302, headers={"Location": f"{other}/y?{request.query_string}&page=2"}
        )
        found = await visit(spider, f"{base}/x", key=KEY)
    (reached,) = [request for request in log if request.path == "/y"]
    assert found.scraped == 1
    assert not any(secret in f"{reached.url} {dict(reached.headers)}" for secret in secrets())
    assert reached.query["page"] == "2"


def test_a_key_goes_to_its_hosts_by_https_and_to_where_the_crawl_began() -> None:
    class Api(Keyed):
        name = "api"
        key_hosts = frozenset({"api.example"})

    spider = spider_for(Api, "https://api.example/x", api_key="k")
    goes = ("https://api.example/y", "https://api.example/x?p=2")
    stays = ("http://api.example/y", "https://other.example/y", "https://api.example.evil/", "https://x.api.example/")
    assert all(spider.ask(url).headers.get("x-api-key") == b"k" for url in goes)
    assert not any(spider.ask(url).headers.get("x-api-key") for url in stays)


def test_a_short_key_is_found_in_addresses_only_and_a_long_one_everywhere() -> None:
    short, long = secret_in("word", "app_id"), secret_in(KEY, "app_id")
    assert short is not None and long is not None
    text = b'{"artist": "word", "url": "https://a.example/?x=1&app_id=word\\u0026y=1&app_id=wordy"}'
    assert short.sub(b"***", text) == text.replace(b"app_id=word\\", b"app_id=***\\")
    assert long.sub(b"***", f"<{KEY}>".encode()) == b"<***>"
    assert secret_in("", "app_id") is None


def test_a_log_does_not_tell_the_key(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("scrapy.test")
    with unlogged(KEY, "apikey"):
        log.warning("Gave up <GET http://a.example/?apikey=%s>", KEY)
        try:
            raise ValueError(f"http://a.example/?apikey={KEY}")
        except ValueError:
            log.exception("no")
    assert KEY not in caplog.text and caplog.text.count("***") == 2


# -- pages that did not change ----------------------------------------------------------------------------------------


class Versioned:
    """A page with validators."""

    def __init__(self, **headers: str) -> None:
        self.headers = headers
        self.items = [{"id": "a"}]
        self.asked: list[tuple[str | None, str | None]] = []
        self.answered: list[int] = []

    def __call__(self, request: web.Request) -> web.Response:
        """304 when the client has what there is."""
        told = request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since")
        self.asked.append(told)
        same = any(mine and mine == theirs for mine, theirs in zip(self.mine, told, strict=True))
        self.answered.append(304 if same else 200)
        if same:
            return web.Response(status=304, headers=self.headers)
        return web.json_response({"items": self.items}, headers=self.headers)

    @property
    def mine(self) -> tuple[str | None, str | None]:
        """The validators that hold now."""
        return self.headers.get("ETag"), self.headers.get("Last-Modified")


@pytest.mark.network
@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": '"one"'},
        {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"},
        {"ETag": 'W/"one"', "Cache-Control": "max-age=3600"},
        {"ETag": '"one"', "Cache-Control": "no-cache"},
    ],
)
async def test_a_page_is_asked_whether_it_changed_and_its_items_are_found_again(
    headers: dict[str, str], tmp_path: Path
) -> None:
    page = Versioned(**headers)
    async with site({"/x": page}) as base:
        told = errand_to("listing", f"{base}/x", home=str(tmp_path))
        for found in await visit_all(told, told):
            assert (found.faults, [item["source_id"] for item in found.items]) == ([], ["a"])
        assert page.answered == [200, 304]
        page.items, page.headers = (
            [{"id": "b"}],
            headers
            | {
                name: value
                for name, value in {"ETag": '"two"', "Last-Modified": "Thu, 22 Oct 2015 07:28:00 GMT"}.items()
                if name in headers
            },
        )
        for found in await visit_all(told, told | {"fresh": True}):
            assert [item["source_id"] for item in found.items] == ["b"]
    assert page.answered == [200, 304, 200, 200] and page.asked[-1] == (None, None)


@pytest.mark.network
async def test_a_page_that_says_nothing_to_compare_by_or_may_not_be_kept_is_asked_for_anew(tmp_path: Path) -> None:
    kept, bare = Versioned(ETag='"one"', **{"Cache-Control": "no-store"}), Versioned()
    async with site({"/x": kept, "/y": bare}) as base:
        visits = [errand_to("listing", f"{base}{path}", home=str(tmp_path)) for path in ("/x", "/y", "/x", "/y")]
        assert [found.faults for found in await visit_all(*visits)] == [[]] * 4
    assert kept.answered == bare.answered == [200, 200]
    assert not files(tmp_path)


@pytest.mark.network
async def test_a_server_that_lies_about_its_pages_does_no_harm(tmp_path: Path) -> None:
    page = Versioned(ETag='"one"')
    async with site({"/x": page, "/304": lambda _: web.Response(status=304)}) as base:
        unasked = await visit("listing", f"{base}/304", home=str(tmp_path))
        assert f"{base}/304 answered 304" in unasked.faults[0]
        await visit("listing", f"{base}/x", home=str(tmp_path))
        page.headers = {"ETag": '"never"'}
        page.items = [{"id": "b"}]
        assert [item["source_id"] for item in (await visit("listing", f"{base}/x", home=str(tmp_path))).items] == ["b"]
        for torn in files(tmp_path):
            torn.write_bytes(torn.read_bytes()[:-9])
        again = await visit("listing", f"{base}/x", home=str(tmp_path))
    assert (again.faults, again.scraped) == ([], 1) and page.asked[-1] == (None, None)


@pytest.mark.network
async def test_an_error_is_not_answered_with_an_old_page(tmp_path: Path) -> None:
    page = Versioned(ETag='"one"')
    answer: list[Callable[[web.Request], web.Response]] = [page]
    async with site({"/x": lambda request: answer[0](request)}) as base:
        await visit("listing", f"{base}/x", home=str(tmp_path))
        answer[0] = lambda _: web.Response(status=500)
        found = await visit("listing", f"{base}/x", home=str(tmp_path), page_retries=0)
    assert f"{base}/x answered 500" in found.faults[0] and found.scraped == 0


def storage(folder: Path, most: int) -> Pages:
    """The folder, open."""
    pages = Pages(ScrapySettings({"HTTPCACHE_DIR": str(folder / "listing"), "GIGZ_PAGES_BYTES": most}))
    pages.open_spider(spider_for(Listing, "http://a.example/"))
    return pages


def test_the_oldest_pages_go_when_there_are_too_many_and_two_processes_may_share_them(tmp_path: Path) -> None:
    spider = spider_for(KeyedByParameter, "http://127.0.0.1/", api_key=KEY)
    body = bytes(range(256)) * 40
    one, other = storage(tmp_path, 50_000), storage(tmp_path, 50_000)
    for n in range(100):
        request = Request(f"http://a.example/{n}?apikey={KEY.replace('+', '%2B').replace('/', '%2F')}")
        noise = n.to_bytes(2, "big") + bytes((i * n * n + i) % 251 for i in range(2_000)) + body
        (one, other)[n % 2].store_response(spider, request, Response(request.url, body=noise, headers={"ETag": "1"}))
    one.close_spider(spider)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 50_000
    found = [one.retrieve_response(spider, Request(f"http://a.example/{n}")) for n in range(100)]  # with another key
    assert found[0] is None and found[99] is not None and found[99].headers["ETag"] == b"1"
    assert found[99].body[:2] == (99).to_bytes(2, "big")


def test_the_policy_keeps_whole_pages_only() -> None:
    policy, request = Conditional(ScrapySettings()), Request("http://a.example/")
    for status, kept in ((200, True), (206, False), (301, False), (401, False), (404, False), (500, False)):
        assert policy.should_cache_response(Response("http://a.example/", status, {"ETag": "1"}), request) is kept


# -- nights that are asked for ----------------------------------------------------------------------------------------


@pytest.mark.network
async def test_items_of_other_nights_are_left_out_and_those_that_cannot_be_told_are_not() -> None:
    dates = [
        "2014-10-31",
        "2014-11-01",
        "2014-11-30T20:00",
        "2014-12-01T01:30",
        "2014-12-01",
        "some day",
        None,
        "01/12/14",
    ]
    items = [{"id": str(n), "date": written} for n, written in enumerate(dates)]
    async with site({"/x": {"items": items}}) as base:
        found = await visit("listing", f"{base}/x", errand={"since": "2014-11", "until": "2014-11"})
    assert [item["source_id"] for item in found.items] == ["1", "2", "3", "5", "6", "7"]
    assert (found.faults, found.scraped, found.outside) == ([], 6, 2)


@pytest.mark.parametrize(
    ("written", "night"),
    [
        ("2014-11-14", date(2014, 11, 14)),
        ("2014-11-14T20:00:00+01:00", date(2014, 11, 14)),
        ("2014-11-14 00:30", date(2014, 11, 13)),
        ("2014-11-14T00:00", date(2014, 11, 14)),
        ("2014-11-14T05:00", date(2014, 11, 14)),
        ("2014-13-14", None),
        ("0001-01-01T01:00", date(1, 1, 1)),
        ("14.11.2014", None),
        ("2014-11", None),
        (20141114, None),
        (None, None),
    ],
)
def test_the_night_of_a_date(written: Any, night: date | None) -> None:
    assert told_night(written) == night


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"since": "2015", "until": "2014"}, r"since 2015-01-01 is after until 2014-12-31.*Remedy"),
        ({"since": "yesterday"}, r"since: 'yesterday' is no day.*Remedy"),
        ({"until": "2014-02-30"}, r"until: '2014-02-30' is no day.*Remedy"),
    ],
)
def test_a_range_that_is_none_is_refused(arguments: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        errand_of(arguments)


def test_settings_bound_what_a_crawl_takes() -> None:
    settings = load({})
    assert settings.page_timeout_s <= 60 and settings.page_mb <= 64 and settings.pages_most <= 50_000
