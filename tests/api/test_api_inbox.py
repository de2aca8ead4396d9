"""The inbox as a browser without scripts sees it."""

import re
from html.parser import HTMLParser
from uuid import UUID

import httpx
import pytest

from api.app import create_app
from api.tokens import inbox_link, page_token
from deploy.settings import Settings
from schemas.history import Remembered
from schemas.ids import companion_entry_id
from schemas.suggestion import Evidence
from tests.api.support import ASTORIA, READING, START, Client, Clock, Story, reach

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'


class _Page(HTMLParser):
    """Forms with their fields, elements by name, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[dict[str, str]] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.elements.append((tag, told))
        if tag == "form":
            self.forms.append({"action": told["action"]})
        elif tag == "input" and self.forms and "name" in told:
            self.forms[-1][told["name"]] = told.get("value", "")

    def handle_data(self, data: str) -> None:
        self.text += data

    def form(self, ending: str) -> dict[str, str]:
        return next(form for form in self.forms if form["action"].endswith(ending))


async def _page(client: Client, address: str = "/inbox") -> _Page:
    answer = await client.get(address)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    return _Page(answer.text)


async def _press(client: Client, page: _Page, ending: str) -> httpx.Response:
    form = dict(page.form(ending))
    answer = await client.post(form.pop("action"), data=form)
    assert answer.status_code == 303
    return await client.get(answer.headers["location"])


async def test_the_root_leads_to_the_inbox(alone: httpx.AsyncClient) -> None:
    answer = await alone.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/inbox")


async def test_a_stranger_is_told_how_to_come_in(alone: httpx.AsyncClient) -> None:
    answer = await alone.get("/inbox")
    assert answer.status_code == 401
    assert "gigz open" in answer.text and answer.headers["content-type"].startswith("text/html")


async def test_the_link_signs_in_and_leaves_no_token_in_the_address(
    alone: httpx.AsyncClient, offline: Settings, clock: Clock
) -> None:
    answer = await alone.get(inbox_link(offline, "http://gigz.test/", "alice", clock()))
    assert (answer.status_code, answer.headers["location"]) == (303, "/inbox")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    clock.move(days=1, minutes=1)
    late = await alone.get(inbox_link(offline, "http://gigz.test", "alice", START))
    assert late.status_code == 401 and "set-cookie" not in late.headers


async def test_a_link_cannot_be_tried_at_will(alone: httpx.AsyncClient) -> None:
    answers = [await alone.get("/open?token=x") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


async def test_there_is_no_page_in_production_before_it_has_a_sign_in(offline: Settings) -> None:
    production = {
        "environment": "production",
        "jwt_jwks_url": "https://issuer.example/jwks.json",
        "jwt_issuer": "https://issuer.example/",
        "jwt_audience": "gigz",
    }
    async with reach(create_app(offline.model_copy(update=production))) as client:
        for path in ("/inbox", "/open?token=x", "/"):
            assert (await client.get(path)).status_code == 404


@pytest.mark.stack
async def test_a_card_shows_what_was_written_beside_what_the_sources_say(
    client: Client, story: Story, clock: Clock
) -> None:
    why = (
        Evidence(field="artist", bits=14.2, text="same artist"),
        Evidence(field="city", bits=-2.5, text="other town"),
    )
    first = story.suggestion("e1", READING, why=why)
    second = story.suggestion("e1", ASTORIA, 0.02)
    remembered = Remembered(artist="radiohead", date="summer 1994", city="London", note="it rained")
    await story.found("e1", first, second, entry=remembered)
    await story.sign_in(client, clock)
    page = await _page(client)
    for text in (
        "radiohead",
        "summer 1994",
        "it rained",
        "Saturday, 27 August 1994",
        "Little John's Farm",
        "Almost certainly this one",
        "97.0 %",
        "same artist",
        "other town",
        "My Iron Lung",
        "Friday, 27 May 1994",
        "1 to decide",
    ):
        assert text in page.text, text
    links = [told for tag, told in page.elements if tag == "a" and "setlist.fm" in told["href"]]
    assert links and all("noopener" in link["rel"] for link in links)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "style", "iframe", "object"}
    assert not any("style" in told or any(name.startswith("on") for name in told) for _, told in page.elements)


@pytest.mark.stack
async def test_confirming_and_undoing_need_nothing_but_forms(client: Client, story: Story, clock: Clock) -> None:
    (suggestion_id,) = await story.found("e1", story.suggestion("e1", READING))
    await story.sign_in(client, clock)
    confirmed = await _press(client, await _page(client), "/confirm")
    assert "Confirmed." in confirmed.text and "All decided" in confirmed.text
    assert f"/inbox/{suggestion_id}/undo" in confirmed.text
    decided = await _page(client, "/inbox?state=decided")
    assert "You were there" in decided.text
    undone = await _press(client, decided, "/undo")
    assert "Undone." in undone.text
    dismissed = await _press(client, await _page(client), "/dismiss")
    assert "Not this one." in dismissed.text
    assert [row.action.value for row in await story.decisions()] == ["confirmed", "undone", "dismissed"]
    assert "Not you" in (await _page(client, "/inbox?state=decided")).text


@pytest.mark.stack
async def test_an_old_page_on_a_second_device_is_told_of_the_conflict(
    client: Client, story: Story, clock: Clock
) -> None:
    first, second = await story.found("e1", story.suggestion("e1", READING, 0.6), story.suggestion("e1", ASTORIA, 0.5))
    await story.sign_in(client, clock)
    old = await _page(client)
    await _press(client, await _page(client), f"{first}/confirm")
    told = await _press(client, old, f"{second}/confirm")
    assert "Nothing changed: this entry was already confirmed." in told.text
    assert len(await story.decisions()) == 1


@pytest.mark.stack
async def test_a_form_from_elsewhere_decides_nothing(client: Client, story: Story, clock: Clock) -> None:
    (suggestion_id,) = await story.found("e1", story.suggestion("e1", READING))
    await story.sign_in(client, clock)
    other = Story(story.engine, story.settings)
    async with reach(create_app(story.settings, clock=clock)) as elsewhere:
        await other.found("e1", other.suggestion("e1", READING))
        await other.sign_in(elsewhere, clock)
        foreign = (await _page(elsewhere)).form("/confirm")["form_token"]
    for data in ({}, {"form_token": ""}, {"form_token": "ü"}, {"form_token": foreign}):
        answer = await client.post(f"/inbox/{suggestion_id}/confirm", data=data)
        assert answer.status_code == 403
    assert await story.decisions() == []


@pytest.mark.stack
async def test_hostile_names_are_text(client: Client, story: Story, clock: Clock) -> None:
    concert = READING.model_copy(update={"artist": HOSTILE, "songs": (HOSTILE,), "tour": HOSTILE})
    evidence = Evidence(field="artist", bits=1.0, text=HOSTILE)
    suggestion = story.suggestion("e1", concert, why=(evidence,))
    members = (suggestion.members[0].model_copy(update={"source": HOSTILE, "url": "javascript:alert(1)"}),)
    remembered = Remembered(artist=HOSTILE, note=HOSTILE)
    await story.found("e1", suggestion.model_copy(update={"members": members}), entry=remembered)
    await story.sign_in(client, clock)
    for address in ("/inbox", f"/inbox?artist={HOSTILE}"):
        answer = await client.get(address)
        assert "<script" not in answer.text and "<img src=x" not in answer.text
        assert "&lt;script&gt;" in answer.text
        assert "javascript:" not in answer.text
    decided = await _press(client, await _page(client), "/confirm")
    assert "<script" not in decided.text and "&lt;script&gt;" in decided.text


@pytest.mark.stack
async def test_pages_lead_through_all_entries_and_back_to_the_place_after_deciding(
    client: Client, story: Story, clock: Clock
) -> None:
    for number in range(45):
        await story.found(f"e{number:02}", story.suggestion(f"e{number:02}", READING, 0.9 - number / 100))
    await story.sign_in(client, clock)
    seen: list[str] = []
    address = "/inbox"
    while address:
        page = await _page(client, address)
        seen += [form["action"] for form in page.forms if form["action"].endswith("/confirm")]
        address = next((told["href"] for tag, told in page.elements if tag == "a" and told.get("rel") == "next"), "")
        if len(seen) == 40:
            after = await _press(client, page, "/confirm")
            assert "/inbox" in str(after.url) and page.form("/confirm")["cursor"] in str(after.url)
    assert len(seen) == len(set(seen)) == 45


@pytest.mark.stack
async def test_an_empty_inbox_says_what_to_do_next(client: Client, story: Story, clock: Clock) -> None:
    await story.sign_in(client, clock)
    page = await _page(client)
    assert "Your history is empty" in page.text and "gigz feed" in page.text and story.user in page.text
    await story.found("nothing")
    assert "no show is known yet" in (await _page(client)).text


@pytest.mark.stack
async def test_the_session_lasts_while_it_is_used_and_ends_after(client: Client, story: Story, clock: Clock) -> None:
    await story.found("e1", story.suggestion("e1", READING))
    await story.sign_in(client, clock)
    old = await _page(client)
    for _ in range(3):
        clock.move(hours=7)
        page = await _page(client)
    assert page.form("/confirm")["form_token"] == old.form("/confirm")["form_token"]
    await _press(client, old, "/confirm")
    clock.move(hours=9)
    assert (await client.get("/inbox")).status_code == 401


@pytest.mark.stack
@pytest.mark.parametrize("query", ["?band=x", "?year=94", "?cursor=x", "?decided=1", "?artist=%00", "?state=nothing"])
async def test_a_broken_address_is_a_page_that_leads_back(
    client: Client, story: Story, clock: Clock, query: str
) -> None:
    await story.sign_in(client, clock)
    answer = await client.get(f"/inbox{query}")
    assert answer.status_code == 400
    assert re.search(r'<a href="/inbox">', answer.text)


@pytest.mark.stack
async def test_a_notice_about_another_users_decision_is_not_shown(client: Client, story: Story, clock: Clock) -> None:
    (suggestion_id,) = await story.found("e1", story.suggestion("e1", READING))
    await client.post(f"/v1/suggestions/{suggestion_id}/confirm", headers=story.headers(clock))
    stranger = Story(story.engine, story.settings)
    client.cookies.set("gigz_session", page_token(story.settings, stranger.user, clock()))
    page = await _page(client, f"/inbox?decided={suggestion_id}")
    assert "Radiohead" not in page.text.replace("summer 1994", "").split("Your history is empty")[0]


@pytest.mark.stack
async def test_a_companion_says_what_it_hangs_on_instead_of_what_was_written(
    client: Client, story: Story, clock: Clock
) -> None:
    entry_id = companion_entry_id(UUID(int=1), UUID(int=2))
    because = {"text": "on the same bill as Low, which you confirmed"}
    await story.found(
        entry_id, story.suggestion(entry_id, READING, 0.5), entry=Remembered(), origin="companion", because=because
    )
    await story.sign_in(client, clock)
    page = await _page(client)
    assert "Did you also see" in page.text and because["text"] in page.text
    assert entry_id not in page.text and "You wrote" not in page.text
    after = await _press(client, page, "/confirm")
    assert "Confirmed." in after.text
