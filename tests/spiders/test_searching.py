"""Searches of an API over HTTP."""

import asyncio
import json
import sys
from datetime import date
from typing import Any

import pytest
from aiohttp import web

from spiders.sources.setlistfm import SetlistfmSpider
from tests.spiders.reading import spider_for
from tests.spiders.test_crawl import serving

MANY = 25


def setlist(year: str, number: int) -> dict[str, Any]:
    return {"id": f"{year}-{number}", "eventDate": f"{number:02}-03-{year}", "artist": {"name": "Die Nachtfalter"}}


@pytest.mark.network
async def test_every_year_is_searched_to_its_end_and_a_404_is_an_answer() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(status=404)
        year, page = request.query.get("year", ""), int(request.query.get("p", "1"))
        asked.append(f"{year}/{page}")
        assert request.headers["x-api-key"] == "a key"
        if year != "2014" or request.query["artistName"] != "Die Nachtfalter":
            return web.json_response({"code": 404, "status": "Not Found", "message": "not found"}, status=404)
        rows = [setlist(year, number) for number in range(1, MANY + 1)][(page - 1) * 20 : page * 20]
        told = {"type": "setlists", "itemsPerPage": 20, "page": page, "total": MANY, "setlist": rows}
        return web.json_response(told)

    async with serving(answer) as host:
        errands = [
            {"artist": "Die Nachtfalter", "since": "2013", "until": "2015"},
            {"artist": "Nobody"},
            {"start_url": f"{host}/rest/1.0/search/setlists?artistName=Nobody"},
        ]
        argv = ["-W", "error", "-m", "tests.spiders.searching", host, *map(json.dumps, errands)]
        child = await asyncio.create_subprocess_exec(sys.executable, *argv, stdout=asyncio.subprocess.PIPE)
        out, _ = await child.communicate()
    found, nobody, absent = json.loads(out)
    assert sorted(asked) == ["/1", "/1", "2013/1", "2014/1", "2014/2", "2015/1"]
    assert (len(found["ids"]), len(set(found["ids"])), found["faults"], found["cut"]) == (MANY, MANY, [], "")
    assert (nobody["ids"], nobody["faults"], nobody["complete"]) == ([], [], False)
    assert nobody["cut"] == "setlistfm found nothing for Nobody"
    assert absent["faults"] and "404" in absent["faults"][0]
    assert (found["statuses"], found["nothing_found"], found["errors"]) == ({"200": 2, "404": 2}, 2, 0)
    assert (nobody["nothing_found"], nobody["errors"], nobody["samples"]) == (1, 0, [])
    assert (absent["nothing_found"], absent["samples"]) == (0, [f"{errands[2]['start_url']} answered 404"])
    assert found["years"] == {"2014": MANY}


async def test_the_newest_year_comes_first_and_what_it_leads_to_before_the_next() -> None:
    spider = spider_for(SetlistfmSpider, artist="Die Nachtfalter", since=date(2013, 1, 1), until=date(2015, 12, 31))
    first = [request async for request in spider.start()]
    assert [(request.url[-4:], request.priority) for request in first] == [("2015", 0), ("2014", -1), ("2013", -2)]
    following = spider.ask("https://api.setlist.fm/rest/1.0/search/setlists?year=2015&p=2")
    assert following.priority > first[1].priority
