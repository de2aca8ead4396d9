"""Answers of a setlist API become setlists."""

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from scrapy.http import TextResponse

from schemas.message import content_hash
from schemas.raw import RawSetlist
from schemas.rejection import Reason
from spiders.sources.setlistfm import SetlistfmSpider
from tests.spiders.reading import ANSWERS, NOW, answer, followed, messages, spider_for, unreadable

URL = "https://api.setlist.fm/rest/1.0/artist/0c1f7a9e-3d44-4f0b-9a55-2f3c1f2b7a10/setlists"


def test_a_setlist_becomes_exactly_this_message() -> None:
    first = messages(list(spider_for(SetlistfmSpider, URL).parse(answer("setlists_p1.json", URL))))[0]
    fields = {
        "artist": "Die Nachtfalter",
        "artist_mbid": "0c1f7a9e-3d44-4f0b-9a55-2f3c1f2b7a10",
        "date": "2018-12-31",
        "venue": "Café Ölmühle",
        "city": "München",
        "region": "Bayern",
        "country": "DE",
        "lat": 48.1374,
        "lon": 11.5755,
        "tour": "Winterreise",
        "songs": ["Straßenlaternen", "Halleluja", "Straßenlaternen"],
        "status": "happened",
    }
    payload = orjson.dumps(json.loads((ANSWERS / "setlists_p1.json").read_text())["setlist"][0]).decode()
    assert first == RawSetlist(
        source="setlistfm",
        source_id="5bd6a3c1",
        seen_at=datetime(2019, 1, 28, 3, 52, 45, tzinfo=UTC),
        url="https://setlists.example/nachtfalter-2018-5bd6a3c1.html",
        spider="setlistfm",
        fields=fields,
        content_hash=content_hash(["seen", fields]),
        payload=payload,
        payload_type="application/json",
        payload_hash=hashlib.sha256(payload.encode()).hexdigest(),
    )


def test_a_date_that_cannot_be_and_a_clock_that_is_wrong_are_not_believed_but_kept() -> None:
    second = messages(list(spider_for(SetlistfmSpider, URL).parse(answer("setlists_p1.json", URL))))[1]
    assert second.fields["date"] == "2018-13-32"
    assert second.seen_at == NOW
    assert (second.fields["region"], "songs" in second.fields, "status" in second.fields) == ("OR", False, False)
    assert "2999-01-01" in (second.payload or "")


def test_pages_are_asked_for_until_the_total_is_reached() -> None:
    spider = spider_for(SetlistfmSpider, URL)
    assert followed(list(spider.parse(answer("setlists_p1.json", URL)))) == [f"{URL}?p=2"]
    assert followed(list(spider.parse(answer("setlists_p2.json", f"{URL}?p=2")))) == []
    assert (spider.pages, spider.faults) == (2, [])


def test_a_total_of_nothing_is_told_like_a_404() -> None:
    spider = spider_for(SetlistfmSpider, artist="Nobody")
    body = b'{"type": "setlists", "setlist": [], "itemsPerPage": 20, "page": 1, "total": 0}'
    assert list(spider.parse(TextResponse(spider.start_url, body=body, encoding="utf-8"))) == []
    assert (spider.faults, spider.cut) == ([], "setlistfm found nothing for Nobody")


def test_a_setlist_without_an_id_is_unreadable_and_says_why() -> None:
    (bad,) = unreadable(list(spider_for(SetlistfmSpider, URL).parse(answer("setlists_p2.json", URL))))
    told = "id: Field required (Die Nachtfalter, 2017-01-01)"
    assert (bad.reason, bad.text, bad.source) == (Reason.MISSING_FIELD, told, "setlistfm")
    assert json.loads(bad.original)["eventDate"] == "01-01-2017"


@pytest.mark.parametrize("body", [b"<html>Sorry</html>", b'{"code": 404, "message": "not found"}', b"[]"])
def test_an_answer_that_is_no_list_of_setlists_fails_the_run(body: bytes) -> None:
    spider = spider_for(SetlistfmSpider, URL)
    assert messages(list(spider.parse(TextResponse(URL, body=body, encoding="utf-8")))) == []
    assert spider.faults and URL in spider.faults[0]


@pytest.mark.parametrize(
    ("start_url", "sent"),
    [(URL, True), ("http://127.0.0.1:1/rest", True), ("https://setlist.fm.evil.example/rest", False)],
)
def test_the_key_is_shown_to_the_source_and_to_loopback_only(start_url: str, sent: bool) -> None:
    request = spider_for(SetlistfmSpider, start_url, api_key="secret").ask(start_url)
    assert (request.headers.get("x-api-key") == b"secret") is sent


@pytest.mark.data
def test_recorded_answers_give_every_setlist_that_is_in_them(data_dir: Path) -> None:
    read: dict[str, int] = {}
    for path in sorted((data_dir / "fixtures" / "apis").glob("setlistfm_*")):
        page = recorded(path.read_text(encoding="utf-8"))
        body = orjson.dumps(page)
        spider = spider_for(SetlistfmSpider, URL)
        found = messages(list(spider.parse(TextResponse(URL, body=body, encoding="utf-8"))))
        assert len(found) == len(page["setlist"]), path.name
        for message, setlist in zip(found, page["setlist"], strict=True):
            titles = [song for part in setlist["sets"]["set"] for song in part["song"]]
            assert message.source_id == setlist["id"]
            assert message.seen_at.year == int(setlist["lastUpdated"][:4]) or message.seen_at == NOW
            assert message.fields["artist"] == setlist["artist"]["name"]
            assert message.fields["venue"] == setlist["venue"]["name"].strip()
            assert message.fields["city"] == setlist["venue"]["city"]["name"].strip()
            assert len(message.fields.get("songs", [])) == sum(bool(s["name"]) and not s.get("tape") for s in titles)
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", message.fields["date"])
            assert -90 <= message.fields["lat"] <= 90
        read[path.name] = len(found)
    assert len(read) == 4 and all(read.values()), read


def recorded(text: str) -> Any:
    """The files hold JSON, or a JavaScript object after a comment or an assignment."""
    start = text.index("{")
    try:
        return json.loads(text[start : text.rindex("}") + 1])
    except ValueError:
        jstyleson = pytest.importorskip("jstyleson")
        plain = re.sub(r"'((?:[^'\\\n]|\\.)*)'", lambda found: json.dumps(found[1].replace("\\'", "'")), text[start:])
        return jstyleson.loads(plain[: plain.rindex("}") + 1])
