"""Every page in German: what it says in the same words as in English is a name, or was forgotten."""

import re
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from api.app import create_app
from api.pages.words import countries
from api.services import COOKIE
from api.tokens import page_token
from deploy.clients import postgres_engine
from deploy.settings import Settings
from tests.api.support import Clock, Story, reach
from tests.pages.furnishing import HOSTILE, LIST, WILD, Furnished, furnished, newcomer
from tests.pages.walking import STOPS, Stop

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

SPOKEN = ("aria-label", "alt", "title", "placeholder", "data-busy", "value", "aria-description", "label")
"""Attributes that a person reads or hears."""
ALIKE = "gigz import name tour online csv json excel ical setlist fm km mb utf iso windows mac bit bits utc person code"
ALIKE += " songs festival link mails"
"""Words that are the same in both languages, or names."""
VOID = frozenset(
    {"meta", "link", "input", "img", "br", "hr", "source", "path", "circle", "image", "rect", "line", "use"}
)


class Spoken(HTMLParser):
    """All that a page says: texts and attributes, in order; without what is marked as another language's."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.language = ""
        self.said: list[str] = []
        self.handlers: list[str] = []
        """Attributes that hold code."""
        self._open: list[tuple[str, bool]] = []
        self.feed(html)

    @property
    def _silent(self) -> bool:
        return bool(self._open) and self._open[-1][1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.handlers += [name for name in told if name.startswith("on") or told[name].startswith("javascript:")]
        if tag == "html":
            self.language = told.get("lang", "")
        foreign = tag != "html" and told.get("lang", self.language) != self.language
        silent = self._silent or foreign or tag in ("script", "style", "code", "kbd")
        # What was typed, and a button's value, which only the server reads, are no words of the page.
        own = [] if silent else [name for name in SPOKEN if name in told and (name != "value" or tag == "submit")]
        self.said += [told[name] for name in own]
        if tag not in VOID:
            self._open.append((tag, silent))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and not self._silent:
            self.said.append(text)


def words(text: str) -> list[str]:
    """'Told by setlist.fm, 12 km' -> ['told', 'by', 'setlist', 'fm', 'km']."""
    return re.findall(r"[^\W\d_]{2,}", text.casefold())


def names_in(kept: Any) -> Iterator[str]:
    """The words of whatever a user has, evidence aside: that is said by Gigz."""
    if isinstance(kept, dict):
        for name, value in kept.items():
            if name not in ("why", "because", "reason", "text"):
                yield from names_in(value)
    elif isinstance(kept, list):
        for value in kept:
            yield from names_in(value)
    elif isinstance(kept, str):
        yield from words(kept)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(migrated: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with reach(create_app(migrated, clock=Clock(), rate_limits=False)) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def story(migrated: Settings) -> AsyncIterator[Story]:
    engine = postgres_engine(migrated, 4, "gigz-test")
    yield Story(engine, migrated)
    await engine.dispose()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ann(client: httpx.AsyncClient, story: Story) -> Furnished:
    return await furnished(client, story, Clock())


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def names(client: httpx.AsyncClient, ann: Furnished) -> frozenset[str]:
    """Words of what is ann's own."""
    kept = await client.get("/v1/export", headers=ann.person.story.headers(Clock()))
    assert kept.status_code == 200
    users = words(f"{ann.person.user} {ann.friend.user}")
    lands = words(" ".join(name for _, name in countries()))
    return frozenset([*names_in(orjson.loads(kept.content)), *users, *lands, *words(ALIKE), *words(LIST)])


async def read(client: httpx.AsyncClient, who: Furnished, stop: Stop, language: str) -> str:
    """A page as this user's browser asks for it."""
    user = who.person.user
    cookie = f"{COOKIE}={page_token(who.person.story.settings, user, Clock()())}" if stop.signed_in else ""
    headers = {"accept-language": language, "accept": "text/html", "cookie": cookie}
    answer = await client.get(stop.address(who.named), headers=headers)
    assert answer.status_code == stop.status, answer.text
    return answer.text


@pytest.mark.parametrize("stop", STOPS, ids=[stop.name for stop in STOPS])
async def test_a_german_page_has_no_english_words(
    client: httpx.AsyncClient, story: Story, ann: Furnished, names: frozenset[str], stop: Stop
) -> None:
    for who in (ann, newcomer(client, story, Clock())) if stop.bare else (ann,):
        english, german = [Spoken(await read(client, who, stop, language)) for language in ("en", "de-AT,de;q=0.9")]
        assert (english.language, german.language) == ("en", "de")
        both = set(english.said) & set(german.said)
        own = names | set(words(who.person.user))
        forgotten = [text for text in both if any(word not in own for word in words(text))]
        assert not forgotten, f"{stop.address(who.named)} says in both languages: {sorted(forgotten)}"


@pytest.mark.parametrize("wild", WILD, ids=["script", "long", "right-to-left"])
async def test_hostile_names_stay_text_on_every_page(client: httpx.AsyncClient, story: Story, wild: Any) -> None:
    who = await furnished(client, story, Clock(), wild)
    shown = 0
    for stop in STOPS:
        html = await read(client, who, stop, "en")
        assert "<script>alert" not in html and "<img src=x" not in html, stop.name
        assert not Spoken(html).handlers, stop.name
        shown += "&lt;script&gt;" in html
    assert shown >= 5 or wild.artist is not HOSTILE, "hardly a page shows the artist: this test looks at nothing"
