"""The inbox as a browser without scripts sees it."""

import re
from datetime import date
from html.parser import HTMLParser
from time import perf_counter
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
from sqlalchemy import insert

from api.app import create_app
from api.tokens import inbox_link, page_token
from deploy.settings import Settings
from schemas.concert import Facts
from schemas.history import Entry, EntryOrigin, Remembered
from schemas.ids import companion_entry_id
from schemas.suggestion import Evidence, Suggestions
from schemas.tables import EntryRow, SuggestionsRow
from tests.api.support import ASTORIA, READING, START, Client, Clock, Story, reach

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'


class _Page(HTMLParser):
    """Forms with their fields and buttons, elements by name, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.forms: list[dict[str, str]] = []
        self.buttons: list[list[tuple[str, str]]] = []
        """Of each form: names and values."""
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._within = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.elements.append((tag, told))
        if tag == "form":
            self.forms.append({"action": told.get("action", "")})
            self.buttons.append([])
            self._within = True
        elif tag == "input" and self._within and "name" in told:
            self.forms[-1][told["name"]] = told.get("value", "")
        elif tag == "button" and self._within:
            self.buttons[-1].append((told.get("name", ""), told.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._within = False

    def handle_data(self, data: str) -> None:
        self.text += data

    def form(self, does: str) -> tuple[str, dict[str, str]]:
        """Of the first form with a button that does this: where it goes, and what it sends."""
        for form, buttons in zip(self.forms, self.buttons, strict=True):
            sent = dict(form)
            action = sent.pop("action")
            if action.endswith(f"/{does}") and len(buttons) == 1:
                return action, sent
            for name, value in buttons:
                if value == does or value.startswith(f"{does} "):
                    return action, sent | {name: value}
        raise AssertionError(f"no button of this page does {does}")

    def links(self) -> list[str]:
        return [told["href"] for tag, told in self.elements if tag == "a"]


async def _page(client: Client, address: str = "/inbox", **headers: str) -> _Page:
    answer = await client.get(address, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    return _Page(answer.text)


async def _press(client: Client, page: _Page, does: str) -> httpx.Response:
    action, sent = page.form(does)
    answer = await client.post(action, data=sent)
    assert answer.status_code == 303, answer.text
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


async def test_there_is_no_page_in_production_before_its_sessions_can_be_signed(offline: Settings) -> None:
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
        "97%",
        "same artist",
        "other town",
        "My Iron Lung",
        "Friday, 27 May 1994",
        "1 to decide",
        "Sources say",
    ):
        assert text in page.text, text
    links = [told for tag, told in page.elements if tag == "a" and "setlist.fm" in told["href"]]
    assert links and all("noopener" in link["rel"] for link in links)
    tags = [tag for tag, _ in page.elements]
    assert not set(tags) & {"style", "iframe", "object", "base"}
    scripts = [told["src"] for tag, told in page.elements if tag == "script"]
    assert len(scripts) == 1 and scripts[0].startswith("/static/gigz.js?")
    pictures = [told for tag, told in page.elements if tag == "svg"]
    assert pictures and all(one["role"] == "img" and one["aria-label"] for one in pictures)
    assert not any("style" in told or any(name.startswith("on") for name in told) for _, told in page.elements)


@pytest.mark.stack
async def test_confirming_and_undoing_need_nothing_but_forms(client: Client, story: Story, clock: Clock) -> None:
    (suggestion_id,) = await story.found("e1", story.suggestion("e1", READING))
    await story.sign_in(client, clock)
    confirmed = await _press(client, await _page(client), "confirm")
    assert "Confirmed." in confirmed.text and "All decided" in confirmed.text
    assert "undo has no time limit" in confirmed.text
    assert f"/inbox/{suggestion_id}/undo" in confirmed.text
    decided = await _page(client, "/inbox?state=decided")
    assert "You were there" in decided.text
    undone = await _press(client, decided, "undo")
    assert "Undone." in undone.text
    dismissed = await _press(client, await _page(client), "dismiss")
    assert "Not this one." in dismissed.text
    assert [row.action.value for row in await story.decisions()] == ["confirmed", "undone", "dismissed"]
    assert "Not you" in (await _page(client, "/inbox?state=decided")).text


@pytest.mark.stack
async def test_an_old_page_on_a_second_device_is_told_of_the_conflict(
    client: Client, story: Story, clock: Clock
) -> None:
    await story.found("e1", story.suggestion("e1", READING, 0.6), story.suggestion("e1", ASTORIA, 0.5))
    await story.sign_in(client, clock)
    old = await _page(client)
    await _press(client, await _page(client), "confirm")
    told = await _press(client, old, "dismiss")
    assert "Nothing changed: this entry was already confirmed." in told.text
    assert len(await story.decisions()) == 1
    undone = await _press(client, _Page(told.text), "undo")
    assert "Undone." in undone.text


@pytest.mark.stack
async def test_a_form_from_elsewhere_decides_nothing(client: Client, story: Story, clock: Clock) -> None:
    (suggestion_id,) = await story.found("e1", story.suggestion("e1", READING))
    await story.sign_in(client, clock)
    other = Story(story.engine, story.settings)
    async with reach(create_app(story.settings, clock=clock)) as elsewhere:
        await other.found("e1", other.suggestion("e1", READING))
        await other.sign_in(elsewhere, clock)
        foreign = (await _page(elsewhere)).form("confirm")[1]["form_token"]
    for data in ({}, {"form_token": ""}, {"form_token": "ü"}, {"form_token": foreign}):
        for address in (f"/inbox/{suggestion_id}/confirm", "/inbox/questions"):
            answer = await client.post(address, data=data | {"off": "companions"})
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
    for address in ("/inbox", f"/inbox?artist={HOSTILE}", "/inbox/entries/e1"):
        answer = await client.get(address)
        assert "<script>" not in answer.text and "<img src=x" not in answer.text
        assert "&lt;script&gt;" in answer.text
        assert "javascript:" not in answer.text
    decided = await _press(client, await _page(client), "confirm")
    assert "<script>" not in decided.text and "&lt;script&gt;" in decided.text


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
        seen += [form["action"] for form in page.forms if form["action"].endswith("/decide")]
        address = next((told["href"] for tag, told in page.elements if tag == "a" and told.get("rel") == "next"), "")
        if len(seen) == 36:
            action, sent = page.form("confirm")
            leads = urlsplit((await client.post(action, data=sent)).headers["location"])
            assert leads.path == "/inbox" and leads.fragment == sent["at"]
            assert parse_qs(leads.query)["cursor"] == parse_qs(urlsplit(sent["back"]).query)["cursor"]
            after = await client.get(leads.geturl())
            assert any(told.get("id") == sent["at"] for tag, told in _Page(after.text).elements if tag == "li")
            assert action not in {one["action"] for one in _Page(after.text).forms}
    assert len(seen) == len(set(seen)) == 45


@pytest.mark.stack
async def test_an_empty_inbox_says_what_to_do_next(client: Client, story: Story, clock: Clock) -> None:
    await story.sign_in(client, clock)
    page = await _page(client)
    assert "Your history is empty" in page.text and "/imports" in page.links()
    await story.found("nothing")
    page = await _page(client)
    assert "no show is known yet" in page.text and "a year, a town" in page.text
    listed = await _page(client, "/inbox?state=nothing")
    assert "No show is known yet that it could be." in listed.text and "1 without a find" in listed.text


@pytest.mark.stack
async def test_the_session_lasts_while_it_is_used_and_ends_after(client: Client, story: Story, clock: Clock) -> None:
    await story.found("e1", story.suggestion("e1", READING))
    await story.sign_in(client, clock)
    old = await _page(client)
    for _ in range(3):
        clock.move(hours=7)
        page = await _page(client)
    assert page.form("confirm")[1]["form_token"] == old.form("confirm")[1]["form_token"]
    await _press(client, old, "confirm")
    clock.move(hours=9)
    assert (await client.get("/inbox")).status_code == 401


@pytest.mark.stack
@pytest.mark.parametrize(
    "query", ["?band=x", "?year=94", "?cursor=x", "?decided=1", "?artist=%00", "?state=what", "?origin=x"]
)
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
    after = await _press(client, page, "confirm")
    assert "Confirmed." in after.text


@pytest.mark.stack
async def test_another_night_is_one_press_and_one_undo(client: Client, story: Story, clock: Clock) -> None:
    first, second = await story.found("e1", story.suggestion("e1", READING, 0.6), story.suggestion("e1", ASTORIA, 0.4))
    await story.sign_in(client, clock)
    page = await _page(client)
    assert "92 days earlier" in page.text
    moved = await _press(client, page, "other-night")
    assert "Moved to another night." in moved.text and "Friday, 27 May 1994" in moved.text
    assert "One undo takes both back" in moved.text
    made = {row.suggestion_id: row.action.value for row in await story.decisions()}
    assert made == {first: "other_night", second: "confirmed"}
    undone = await _press(client, _Page(moved.text), "undo")
    assert "Undone." in undone.text and "Is this the one?" in undone.text
    assert "Saturday, 27 August 1994" in undone.text


@pytest.mark.stack
async def test_later_is_not_asked_until_then_and_can_be_undone(client: Client, story: Story, clock: Clock) -> None:
    await story.found("e1", story.suggestion("e1", READING))
    await story.sign_in(client, clock)
    later = await _press(client, await _page(client), "snooze")
    assert "For later." in later.text and "1 for later" in later.text and "0 to decide" in later.text
    listed = await _page(client, "/inbox?state=snoozed")
    assert "Asked again on 8 Mar 2026" in listed.text
    await _press(client, listed, "undo")
    assert "1 to decide" in (await _page(client)).text
    await _press(client, await _page(client), "snooze 30")
    clock.move(days=8)
    await story.sign_in(client, clock)
    assert "0 to decide" in (await _page(client)).text
    clock.move(days=23)
    await story.sign_in(client, clock)
    assert "1 to decide" in (await _page(client)).text


@pytest.mark.stack
async def test_a_companion_can_be_unseen_and_all_of_them_switched_off_and_on(
    client: Client, story: Story, clock: Clock
) -> None:
    for number, night in enumerate((READING, ASTORIA)):
        entry_id = companion_entry_id(UUID(int=number), UUID(int=2))
        because = {"text": "on the same bill as Low, which you confirmed"}
        found = story.suggestion(entry_id, night, 0.5)
        await story.found(entry_id, found, entry=Remembered(), origin="companion", because=because)
    await story.sign_in(client, clock)
    unseen = await _press(client, await _page(client), "not-seen")
    assert "you did not see them" in unseen.text and "1 to decide" in unseen.text
    again = await _press(client, _Page(unseen.text), "undo")
    assert "2 to decide" in again.text
    off = await _press(client, _Page(again.text), "companions")
    assert "asked no more about other acts" in off.text and "0 to decide" in off.text
    on = await _press(client, _Page(off.text), "companions")
    assert "asked about other acts of a bill again" in on.text and "2 to decide" in on.text


@pytest.mark.stack
async def test_an_entry_has_a_page_with_all_that_it_can_be(client: Client, story: Story, clock: Clock) -> None:
    name = "my list/line 3?#"
    await story.found(name, story.suggestion(name, READING, 0.6), story.suggestion(name, ASTORIA, 0.4))
    await story.sign_in(client, clock)
    address = next(link for link in (await _page(client)).links() if link.startswith("/inbox/entries"))
    page = await _page(client, address.split("#")[0])
    assert "What speaks for the others" in page.text and page.text.count("same artist") == 2
    assert "Friday, 27 May 1994" in page.text
    confirmed = await _press(client, page, "confirm")
    assert (
        "Confirmed." in confirmed.text and "You were there" in confirmed.text and "/inbox/entries" in str(confirmed.url)
    )
    moved = await _press(client, _Page(confirmed.text), str(story.suggestion(name, ASTORIA).concert_id))
    assert "Moved to another night." in moved.text
    undone = await _press(client, _Page(moved.text), "undo")
    assert "You were there" in undone.text and "Saturday, 27 August 1994" in undone.text


@pytest.mark.stack
async def test_an_entry_of_somebody_else_is_not_there(client: Client, story: Story, clock: Clock) -> None:
    (suggestion_id,) = await story.found("e1", story.suggestion("e1", READING))
    stranger = Story(story.engine, story.settings)
    await stranger.sign_in(client, clock)
    await stranger.found("e2", stranger.suggestion("e2", READING))
    action, sent = (await _page(client)).form("confirm")
    for address in ("/inbox/entries/e1", "/inbox/entries?id=e1", "/inbox/entries", "/inbox/entries?id=%00"):
        assert (await client.get(address)).status_code in (404, 400), address
    other = action.replace(action.split("/")[2], str(suggestion_id))
    assert (await client.post(other, data=sent)).status_code == 404
    assert await story.decisions() == []


@pytest.mark.stack
@pytest.mark.parametrize(
    "said",
    [
        {"do": "snooze x"},
        {"do": "snooze 0"},
        {"do": "snooze 99999999999999999999"},
        {"do": "other-night"},
        {"do": "other-night x"},
        {"do": "not-seen x"},
    ],
)
async def test_a_button_that_says_nothing_sensible_is_refused(
    client: Client, story: Story, clock: Clock, said: dict[str, str]
) -> None:
    await story.found("e1", story.suggestion("e1", READING))
    await story.sign_in(client, clock)
    action, sent = (await _page(client)).form("confirm")
    assert (await client.post(action, data=sent | said)).status_code == 400
    assert (await client.post(action, data=sent | {"do": "explode"})).status_code == 404
    assert await story.decisions() == []


@pytest.mark.stack
async def test_entries_are_filtered_by_artist_year_band_and_origin(client: Client, story: Story, clock: Clock) -> None:
    await story.found("e1", story.suggestion("e1", READING, 0.97))
    low = READING.model_copy(update={"artist": "Low", "night": date(2011, 3, 19)})
    await story.found("e2", story.suggestion("e2", low, 0.5), entry=Remembered(artist="Low"))
    companion = companion_entry_id(UUID(int=1), UUID(int=2))
    pulp = READING.model_copy(update={"artist": "Pulp"})
    await story.found(companion, story.suggestion(companion, pulp, 0.4), entry=Remembered(), origin="companion")
    await story.sign_in(client, clock)
    for query, names in (
        ("", {"Radiohead", "Low", "Pulp"}),
        ("?artist=lo", {"Low"}),
        ("?year=1994", {"Radiohead", "Pulp"}),
        ("?band=sure", {"Radiohead"}),
        ("?origin=companion", {"Pulp"}),
        ("?origin=entry&band=possible", {"Low"}),
    ):
        page = await _page(client, f"/inbox{query}")
        assert {name for name in ("Radiohead", "Low", "Pulp") if f">{name}</h2>" in page.html} == names, query


@pytest.mark.stack
async def test_the_sure_ones_are_counted_as_the_filters_have_it(client: Client, story: Story, clock: Clock) -> None:
    for number in range(3):
        await story.found(f"e{number}", story.suggestion(f"e{number}", READING, 0.97))
    await story.found("e9", story.suggestion("e9", ASTORIA, 0.97))
    await story.sign_in(client, clock)
    page = await _page(client)
    assert "Confirm all 4 sure ones" in page.text and "/inbox/bulk?action=confirm&band=sure" in page.links()
    none = await _page(client, "/inbox?year=2011")
    assert "sure ones" not in none.text and "No entry fits" in none.text


@pytest.mark.stack
async def test_the_page_speaks_the_browsers_language(client: Client, story: Story, clock: Clock) -> None:
    why = (Evidence(field="artist", bits=14.2, text="same artist"),)
    await story.found("e1", story.suggestion("e1", READING, why=why))
    await story.sign_in(client, clock)
    page = await _page(client, **{"accept-language": "de-DE,de;q=0.9,en;q=0.5"})
    assert "Samstag, 27. August 1994" in page.text and "Vereinigtes Königreich" in page.text
    assert ("html", {"lang": "de"}) in page.elements


@pytest.mark.stack
async def test_the_first_page_of_500_suggestions_has_less_than_100_kb(
    client: Client, story: Story, clock: Clock
) -> None:
    await fill(story, 500)
    await story.sign_in(client, clock)
    await _page(client)
    began = perf_counter()
    answer = await client.get("/inbox")
    took = perf_counter() - began
    size = len(answer.content)
    print(f"first page of 500: {size / 1000:.1f} kB in {took * 1000:.0f} ms")
    assert size < 100_000 and "500 to decide" in answer.text


async def fill(story: Story, number: int, first: int = 0) -> None:
    """As many open entries, each as rich as they come: all told, alternatives, a bill, songs, all of the evidence."""
    bill = tuple({"concert_id": uuid4(), "artist": f"Another Act {act}", "role": "support"} for act in range(9))
    songs = tuple(f"{chr(97 + song) * 9} is a Song of Middling Length" for song in range(22))
    place = {"name": "The Grand Old Concert Hall", "city": "Reading", "country": "GB", "lat": 51.4, "lon": -1.0}
    rich = Facts.model_validate(
        {"artist": "Some Artist and the Band", "night": "1994-08-27", "place": place, "songs": songs, "bill": bill}
        | {"festival": "Reading Festival", "start_at": "1994-08-27T18:00:00Z", "start_precision": "minute"}
    )
    said = Remembered(
        artist="some artist & the bnad",
        date="27/8/94",
        time="19:00",
        venue="Old Concert Hall",
        city="London",
        country="UK",
        songs=(songs[0], songs[3], "Not Played"),
        note="what a night, and all the way home on foot",
    )
    why = tuple(
        Evidence(field=name, bits=bits, text=text)
        for name, bits, text in (
            ("artist", 9.1, "artist spelled 'some artist & the bnad'"),
            ("date", 11.2, "same night"),
            ("city", -2.5, "Reading is another town, 61 km away"),
            ("venue", 4.1, "Old Concert Hall is The Grand Old Concert Hall, or part of it"),
            ("songs", 6.0, "2 of your 3 songs were played"),
            ("time", 1.0, "began at 19:00"),
            ("prior", -20.0, "one of about a million concerts"),
        )
    )
    nights = [rich, *(rich.model_copy(update={"night": date(1994, 8, 27 + more)}) for more in (1, 2))]
    entries, rows = [], []
    for line in range(first, first + number):
        entry_id = f"line {line:05}"
        found = tuple(
            story.suggestion(entry_id, facts, 0.97 - rank / 3, why=why).model_copy(update={"rank": rank + 1})
            for rank, facts in enumerate(nights)
        )
        message = Entry(user=story.user, entry_id=entry_id, seen_at=START, **said.model_dump(by_alias=True))
        told = Suggestions(user=story.user, entry_id=entry_id, rev=1, entry=said, suggestions=found)
        entries.append(
            {
                "user_id": story.user,
                "entry_id": entry_id,
                "version": message.version,
                "origin": EntryOrigin.FEED,
                "keys": [],
                "body": orjson.loads(message.to_bytes()),
            }
        )
        rows.append(
            {
                "user_id": story.user,
                "entry_id": entry_id,
                "rev": 1,
                "suggestion_ids": [one.suggestion_id for one in found],
                "confidence": 0.97 - line / 60_000,
                "body": orjson.loads(told.to_bytes()),
            }
        )
    async with story.engine.begin() as connection:
        await connection.execute(insert(EntryRow), entries)
        await connection.execute(insert(SuggestionsRow), rows)
