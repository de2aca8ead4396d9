"""A source's mirror, and keys that a person typed into an address."""

import pytest
from aiohttp import web
from scrapy.http import TextResponse

from deploy.settings import SettingsError, load
from schemas.raw import RawMessage
from spiders.crawl import mirror_of, without_keys
from spiders.errand import Errand
from spiders.polite import scrapy_settings
from spiders.sources.musicbrainz_events import MusicBrainzEventsSpider
from spiders.sources.setlistfm import SetlistfmSpider
from spiders.sources.songkick import SongkickEventsSpider
from spiders.sources.venuepages import VenuePagesSpider
from tests.spiders.test_crawl import serving
from tests.spiders.visiting import visit

MIRROR = "http://10.0.0.5:5000"
KEY = "a key+of/ours"


def test_a_search_goes_to_the_mirror_and_its_run_is_told_as_the_sources() -> None:
    spider = MusicBrainzEventsSpider(errand=Errand(artist="Moths"), mirror=MIRROR)
    assert spider.addresses[0].startswith(f"{MIRROR}/ws/2/event?") and "Moths" in spider.addresses[0]
    assert spider.start_url.startswith("https://musicbrainz.org/ws/2/event?")
    assert (spider.catalogue, spider.allowed_domains) == ("musicbrainz", ["10.0.0.5"])
    assert spider.ask("https://musicbrainz.org/ws/2/event/x").url == f"{MIRROR}/ws/2/event/x"
    assert spider.ask("https://elsewhere.example/x").url == "https://elsewhere.example/x"
    assert spider.official(f"{MIRROR}/ws/2/event/x") == "https://musicbrainz.org/ws/2/event/x"
    assert spider.official(f"{MIRROR}0/ws") == f"{MIRROR}0/ws"


def test_a_key_goes_to_the_mirror_that_the_operator_named() -> None:
    spider = SetlistfmSpider(errand=Errand(artist="Moths"), api_key=KEY, mirror="https://cache.example")
    request = spider.ask("https://api.setlist.fm/rest/1.0/x")
    assert request.url == "https://cache.example/rest/1.0/x" and request.headers["x-api-key"] == KEY.encode()


def test_a_mirror_may_be_private_and_its_setting_is_checked() -> None:
    settings = load({"source_mirrors": f"musicbrainz_events={MIRROR}, setlistfm=https://cache.example/"})
    assert "10.0.0.5:5000" in scrapy_settings(settings, MusicBrainzEventsSpider)["GIGZ_PRIVATE_HOSTS"]
    assert mirror_of(settings, SetlistfmSpider) == "https://cache.example"
    assert mirror_of(settings, VenuePagesSpider) == ""
    for wrong in ("musicbrainz_events", "=http://a", "setlistfm=ftp://a", "setlistfm=http://a/b", "nobody=http://a"):
        with pytest.raises(SettingsError, match=r"SOURCE_MIRRORS.*Remedy"):
            mirror_of(load({"source_mirrors": wrong}), SetlistfmSpider)


@pytest.mark.network
async def test_a_crawl_of_a_mirror_gives_the_same_messages_and_needs_no_contact() -> None:
    asked: list[str] = []
    event = {
        "id": "6faa7ca7-0d99-4a5e-bfa6-1fd5037520c6",
        "name": "Moths",
        "type": "Concert",
        "life-span": {"begin": "2014-11-14", "end": "2014-11-14"},
        "relations": [{"type": "main performer", "target-type": "artist", "artist": {"id": "a", "name": "Moths"}}],
    }

    async def musicbrainz(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == "/robots.txt":
            return web.Response(status=404)
        return web.json_response({"created": "2024-01-01", "count": 1, "offset": 0, "events": [event]})

    async with serving(musicbrainz) as base:
        found = await visit(
            "musicbrainz_events",
            "",
            errand={"artist": "Moths"},
            source_mirrors=f"musicbrainz_events={base}",
            private_hosts="",
            user_agent="",
        )
    assert found.faults == [] and found.scraped == 1 and asked == ["/robots.txt", "/ws/2/event"]
    (item,) = found.items
    assert item["source"] == "musicbrainz" and item["source_id"].startswith(event["id"])
    assert "127.0.0.1" not in str(item) and item["url"].startswith("https://musicbrainz.org/")


@pytest.mark.parametrize("host", ["api.songkick.com", "elsewhere.example"])
def test_a_key_typed_into_an_address_stands_nowhere(host: str) -> None:
    url = f"https://{host}/api/3.0/x.json?apikey=a+key%2Bof%2Fours&page=2"
    errand = Errand(start_url=url, more={"query": KEY, "page": "2"})
    spider = SongkickEventsSpider(errand=errand, api_key=KEY)
    told = without_keys(spider, errand)
    assert told.start_url == f"https://{host}/api/3.0/x.json?page=2"
    assert "key" not in told.scope("songkick", spider.catalogue, told.start_url)
    assert told.more == {"query": "", "page": "2"}
    assert spider.public(f"{url} answered 404") == f"https://{host}/api/3.0/x.json?page=2 answered 404"


def test_a_key_of_another_source_is_not_told_either() -> None:
    long = "another-sources-api-key"
    url = f"https://a.example/agenda?token={long}"
    spider = VenuePagesSpider(errand=Errand(start_url=url), secrets=(long, "gigs"))
    assert without_keys(spider, spider.errand).start_url == "https://a.example/agenda"
    assert spider.public(f"{long} of https://a.example/gigs?x=gigs") == "*** of https://a.example/gigs"
    found = spider.item(TextResponse(url), source_id="a", fields={}, payload={}, payload_type="x", changed=None)
    assert isinstance(found, RawMessage) and found.url == "https://a.example/agenda"
