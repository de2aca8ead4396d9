"""The journal's pages as a browser without scripts sees them: on PostgreSQL alone, whatever else is away."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import httpx
import pytest

from api.errors import UnavailableError
from api.pages import finding, journal
from api.pages.journal import Chosen, by_year, pattern
from api.pages.show import kept_of
from api.pages.words import spoken
from api.pages.writing import show_of
from schemas.concert import BillAct, Facts
from schemas.ids import companion_entry_id, suggestion_id
from schemas.listing import Place, Role, StartPrecision
from tests.api.support import ASTORIA, READING, START, Client, Clock, Story
from tests.api.test_api_decisions import Said, known

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>\u202e'
LONG = "wordwithoutanend" * 32
LOW = Facts(
    artist="Low",
    night=date(2004, 7, 1),
    place=Place(name="Ancienne Belgique", city="Brussels", country="BE", lat=50.847, lon=4.348),
)
stack = pytest.mark.stack


class _Page(HTMLParser):
    """Forms with their fields, links, and what is written."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.forms: list[dict[str, Any]] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._area = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.tags.append((tag, told))
        if tag == "form":
            self.forms.append({"action": told["action"], "fields": {}, "buttons": []})
        elif tag in ("input", "button") and self.forms:
            form = self.forms[-1]
            if tag == "button":
                form["buttons"].append((told.get("name"), told.get("value")))
            elif told.get("type") not in ("radio", "checkbox") or "checked" in told:
                form["fields"][told.get("name", "")] = told.get("value", "on")
        elif tag == "textarea":
            self._area = told["name"]
            self.forms[-1]["fields"][self._area] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._area:
            self.forms[-1]["fields"][self._area] += data

    def form(self, action: str, nth: int = 0) -> dict[str, Any]:
        return [form for form in self.forms if form["action"].endswith(action)][nth]

    @property
    def words(self) -> str:
        """The text, each space once."""
        return " ".join(self.text.split())


class Reader:
    """Somebody who is signed in, and reads."""

    def __init__(self, client: Client, said: Said) -> None:
        self.client, self.said = client, said

    async def open(self, address: str, status: int = 200, language: str = "en-GB") -> _Page:
        answer = await self.client.get(address, headers={"accept-language": language})
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("text/html")
        return _Page(answer.text)

    async def send(self, form: dict[str, Any], **fields: str | None) -> httpx.Response:
        data = {name: value for name, value in (form["fields"] | fields).items() if value is not None}
        return await self.client.post(form["action"], data=data)

    async def press(self, form: dict[str, Any], **fields: str | None) -> _Page:
        """The page that comes after a form; each POST is followed by a GET."""
        answer = await self.send(form, **fields)
        assert answer.status_code == 303, answer.text
        return await self.open(answer.headers["location"])

    async def was_at(self, entry_id: str, facts: Facts, **more: Any) -> UUID:
        (one,) = await self.said.story.found(entry_id, self.said.story.suggestion(entry_id, facts), **more)
        await self.said.say("confirm", one)
        return one


@pytest.fixture
async def reader(client: Client, story: Story, clock: Clock) -> Reader:
    await story.sign_in(client, clock)
    return Reader(client, Said(client, story, clock))


@pytest.fixture
def without_search(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Meilisearch does not answer."""

    async def away(*_: Any, **__: Any) -> Any:
        raise UnavailableError("away")

    monkeypatch.setattr(finding, "find", away)
    yield


# -- the time line ----------------------------------------------------------------------------------------------------


@stack
async def test_an_empty_journal_says_what_to_do_next(reader: Reader, story: Story) -> None:
    page = await reader.open("/journal")
    assert "Your first show belongs here" in page.text
    assert {"/imports", "/search", "/journal/new"} <= {told.get("href") for _, told in page.tags}
    await story.found("e1", story.suggestion("e1", READING))
    waiting = await reader.open("/journal")
    assert "1 show was found for you and waits in the inbox" in waiting.text


@stack
async def test_shows_stand_under_their_years_with_figures_a_picture_and_a_map(reader: Reader, story: Story) -> None:
    one = await reader.was_at("e1", READING)
    await reader.was_at("e2", ASTORIA)
    low = await reader.was_at("e3", LOW)
    await reader.said.client.patch(
        f"/v1/journal/{low}",
        headers=story.headers(reader.said.clock),
        json={"rating": 4, "note": "Quiet.", "with": ["Jo"]},
    )
    page = await reader.open("/journal")
    for words in ("3 shows", "2 artists", "3 venues", "3 towns", "2 countries"):
        assert words in page.words, words
    assert page.text.index("2004") < page.text.rindex("1994")
    for words in (
        "Sat 27 Aug",
        "Fri 27 May",
        "Ancienne Belgique, Brussels, Belgium",
        "with Jo",
        "Quiet.",
        "4 of 5 stars",
    ):
        assert words in page.words, words
    hrefs = [told.get("href") for tag, told in page.tags if tag == "a"]
    assert f"/journal/{one}" in hrefs and "/journal?year=1994" in hrefs
    assert "/journal?artist=%22Radiohead%22" in hrefs and "/journal?venue=%22Brussels%22" in hrefs
    circles = [told for tag, told in page.tags if tag == "circle"]
    assert len(circles) == 1  # Reading and London have no coordinates: they are in the list
    assert [told["href"].split("?")[0] for tag, told in page.tags if tag == "image"] == ["/static/world.svg"]
    rows = re.findall(r"<th scope=\"row\"><a[^>]*>(\d+)</a></th><td class=\"number\">(\d+)</td>", page.html)
    assert rows == [("2004", "1"), ("1994", "2")]
    assert not any("style" in told or any(name.startswith("on") for name in told) for _, told in page.tags)


@stack
async def test_a_filter_keeps_what_fits_and_quotation_marks_mean_the_whole_name(reader: Reader) -> None:
    await reader.was_at("e1", LOW)
    await reader.was_at("e2", READING.model_copy(update={"artist": "Slowdive"}))
    for query, artists in (
        ("?artist=low", {"Low", "Slowdive"}),
        ("?artist=%22low%22", {"Low"}),
        ("?venue=brussels", {"Low"}),
        ("?venue=%22Brus%22", set()),
        ("?year=1994", {"Slowdive"}),
        ("?year=1995", set()),
    ):
        page = await reader.open(f"/journal{query}")
        assert set(re.findall(r'class="who"[^>]*><b>([^<]+)</b>', page.html)) == artists, query
        assert ("No show fits" in page.text) is not bool(artists)
        assert "Show all" in page.text
    chosen = await reader.open("/journal?year=1994")
    assert re.findall(r'<rect class="bar here"', chosen.html)  # and the other years are still there
    assert "/journal?year=2004" in {told.get("href") for _, told in chosen.tags}
    await reader.open("/journal?year=x", 400)
    await reader.open("/journal?cursor=broken", 400)


@stack
async def test_pages_lead_through_all_shows(reader: Reader) -> None:
    nights = [date(2001, 1, 1) + timedelta(days=9 * number) for number in range(31)]
    for number, night in enumerate(nights):
        await reader.was_at(f"e{number}", LOW.model_copy(update={"night": night}))
    seen: list[str] = []
    address = "/journal"
    while address:
        page = await reader.open(address)
        seen += re.findall(r'<time class="evening" datetime="([^"]+)"', page.html)
        address = next((told["href"] for tag, told in page.tags if told.get("rel") == "next"), "").partition("#")[0]
    assert seen == [night.isoformat() for night in reversed(nights)]


@stack
async def test_the_page_says_what_is_missing_while_clickhouse_is_away(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> Any:
        raise UnavailableError("away")

    monkeypatch.setattr(journal, "count", away)
    await reader.was_at("e1", READING)
    page = await reader.open("/journal")
    assert "does not answer just now" in page.text and "Radiohead" in page.text


@stack
async def test_german_readers_read_german(reader: Reader) -> None:
    await reader.was_at("e1", LOW)
    page = await reader.open("/journal", language="de")
    assert "Do., 1. Juli" in page.text and "Belgien" in page.text


# -- a show -----------------------------------------------------------------------------------------------------------


@stack
async def test_a_show_has_its_facts_sources_and_songs(reader: Reader, story: Story) -> None:
    whole = READING.model_copy(
        update={
            "start_at": START.replace(1994, 8, 27, 18, 30),
            "start_precision": StartPrecision.MINUTE,
            "place": Place(
                name="Little John's Farm", city="Reading", country="GB", lat=51.46, lon=-0.98, tz="Europe/London"
            ),
        }
    )
    concert = await known(story, whole, f"radiohead {story.user}")
    written = await reader.said.post("/journal", {"concert_id": str(concert.concert_id)}, 201)
    page = await reader.open(f"/journal/{written['data']['suggestion_id']}")
    for words in ("Radiohead", "Saturday 27 August 1994, 19:30", "Little John's Farm, Reading, United Kingdom"):
        assert words in page.words.replace("Saturday,", "Saturday"), words
    assert "2 songs" in page.words and "My Iron Lung" in page.text and "Only you see this show." in page.text
    links = [told for tag, told in page.tags if "setlist.fm" in told.get("href", "")]
    assert links and all("noopener" in link["rel"] for link in links)
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert [told["role"] for tag, told in page.tags if tag == "svg" and told.get("class") == "world"] == ["img"]


@stack
async def test_note_rating_company_and_who_sees_it_are_kept_by_one_form(reader: Reader) -> None:
    one = await reader.was_at("e1", READING)
    page = await reader.open(f"/journal/{one}")
    form = page.form("/keep")
    empty = {"note": "", "rating": "", "with": "", "visibility": ""}
    told = {name: value.strip() for name, value in form["fields"].items() if name != "form_token"}
    assert told == empty | {"to": f"/journal/{one}"}
    saved = await reader.press(
        form,
        note="Rain.\r\nAll day.",
        rating="5",
        visibility="friends",
        shared_rating="on",
        **{"with": " Jo, Ann,, Jo"},
    )
    assert "Saved." in saved.text and "With Jo and Ann" in saved.text and "5 of 5 stars" in saved.text
    assert "Friends see this show, with your rating." in saved.text
    fields = saved.form("/keep")["fields"]
    assert (fields["note"].strip(), fields["rating"], fields["visibility"]) == ("Rain.\nAll day.", "5", "friends")
    assert fields["shared_rating"] == "on" and "shared_note" not in fields
    wrong = await reader.send(saved.form("/keep"), note="x" * 10_001, rating="9")
    assert wrong.status_code == 400
    told = _Page(wrong.text)
    assert "1 too many" in told.text and "one to five stars" in told.text
    assert told.form("/keep")["fields"]["note"].strip() == "x" * 10_001
    emptied = await reader.press(
        saved.form("/keep"), note="", rating="", visibility="", shared_rating=None, **{"with": ""}
    )
    assert emptied.form("/keep")["fields"]["with"] == "" and "Only you see this show." in emptied.text


@stack
async def test_a_show_is_taken_out_and_put_back(reader: Reader) -> None:
    one = await reader.was_at("e1", READING)
    page = await reader.open(f"/journal/{one}")
    assert "You said that you were there" in page.text
    out = await reader.press(page.form("/undo"))
    assert "Taken out of your journal." in out.text and "This show is not in your journal." in out.text
    assert "Your first show belongs here" in (await reader.open("/journal")).text
    again = await reader.press(out.form("/again"))
    assert "It is back in your journal." in again.text and "What you keep of it" in again.text
    assert await reader.said.actions() == ["confirmed", "undone", "confirmed"]


@stack
async def test_a_show_of_ones_own_is_put_back_too(reader: Reader) -> None:
    own = {"artist": "The Paper Kites", "night": "2011-05-06", "city": "Melbourne", "songs": ["Bloom"]}
    one = (await reader.said.post("/journal", own, 201))["data"]["suggestion_id"]
    page = await reader.open(f"/journal/{one}")
    assert "written by you" in page.text and "Bloom" in page.text
    out = await reader.press(page.form("/undo"))
    again = await reader.press(out.form("/again"))
    assert "written by you" in again.text and "Bloom" in again.text


@stack
async def test_acts_of_the_bill_are_asked_for_seen_or_not(reader: Reader, story: Story) -> None:
    support = await known(story, READING.model_copy(update={"artist": "Sebadoh"}), f"sebadoh {story.user}")
    other = await known(story, READING.model_copy(update={"artist": "Gene"}), f"gene {story.user}")
    bill = tuple(BillAct(concert_id=act.concert_id, artist=act.artist, role=Role.SUPPORT) for act in (support, other))
    one = await reader.was_at("e1", READING.model_copy(update={"bill": bill}))
    page = await reader.open(f"/journal/{one}")
    assert page.text.count("Did you also see them?") == 2
    yes = page.form("/seen")
    assert yes["fields"]["act"] == str(support.concert_id)
    assert (await reader.send(yes, act=str(uuid4()))).status_code == 404
    added = await reader.press(yes)
    assert "It is in your journal now. Sebadoh" in added.words and "in your journal" in added.text
    passed = await reader.press(added.form("/not-seen"))
    assert "Noted: you did not see them." in passed.text and "not seen" in passed.text
    back = await reader.press(next(form for form in passed.forms if form["action"].endswith("/undo")))
    assert back.text.count("Did you also see them?") == 1
    assert (await reader.said.actions()).count("confirmed") == 2


@stack
async def test_a_question_about_an_act_is_answered_where_it_was_asked(reader: Reader, story: Story) -> None:
    support = await known(story, READING.model_copy(update={"artist": "Sebadoh"}), f"sebadoh {story.user}")
    bill = (BillAct(concert_id=support.concert_id, artist="Sebadoh", role=Role.SUPPORT),)
    concert = await known(story, READING.model_copy(update={"bill": bill}), f"radiohead {story.user}")
    shown = story.suggestion("e1", concert.facts, concert_id=concert.concert_id)
    shown = shown.model_copy(update={"suggestion_id": suggestion_id(story.user, "e1", concert.concert_id)})
    await story.found("e1", shown)
    await reader.said.say("confirm", shown.suggestion_id)
    entry_id = companion_entry_id(concert.concert_id, support.concert_id)
    asked = story.suggestion(entry_id, support.facts, 0.4)
    question = suggestion_id(story.user, entry_id, support.concert_id)
    asked = asked.model_copy(update={"concert_id": support.concert_id, "suggestion_id": question})
    await story.found(entry_id, asked, origin="companion", because={"text": "on the same bill"})
    page = await reader.open(f"/journal/{shown.suggestion_id}")
    await reader.press(page.form("/seen"))
    assert [(row.entry_id, row.action.value) for row in await story.decisions()][-1] == (entry_id, "confirmed")


@stack
async def test_a_show_knows_the_others_of_its_artist_and_venue(reader: Reader) -> None:
    one = await reader.was_at("e1", READING)
    assert "The only show of theirs" in (await reader.open(f"/journal/{one}")).text
    other = await reader.was_at("e2", ASTORIA)
    there = await reader.was_at("e3", LOW.model_copy(update={"place": READING.place}))
    page = await reader.open(f"/journal/{one}")
    assert "You have 1 other show of theirs" in page.text
    hrefs = [told.get("href") for _, told in page.tags]
    assert f"/journal/{other}" in hrefs and f"/journal/{there}" in hrefs


@stack
async def test_a_show_is_its_owners_alone(reader: Reader, story: Story) -> None:
    stranger = Said(reader.client, Story(story.engine, story.settings), reader.said.clock)
    (theirs,) = await stranger.story.found("e1", stranger.story.suggestion("e1", READING))
    await stranger.say("confirm", theirs)
    mine = await reader.was_at("e1", READING)
    token = (await reader.open(f"/journal/{mine}")).form("/keep")["fields"]["form_token"]
    for address in (f"/journal/{theirs}", f"/journal/{uuid4()}", "/journal/none"):
        page = await reader.open(address, 404)
        assert "Radiohead" not in page.text
    for verb in ("keep", "undo", "again", "seen", "not-seen"):
        data = {"form_token": token, "note": "x", "act": str(uuid4())}
        answer = await reader.client.post(f"/journal/{theirs}/{verb}", data=data)
        assert answer.status_code == 404, verb
    for address in (f"/journal/{mine}/keep", f"/journal/{mine}/undo", "/journal/there", "/journal/new"):
        assert (await reader.client.post(address, data={"note": "x"})).status_code == 403
    assert await stranger.actions() == ["confirmed"]


@stack
async def test_forms_lead_to_no_page_but_ours(reader: Reader) -> None:
    one = await reader.was_at("e1", READING)
    form = (await reader.open(f"/journal/{one}")).form("/keep")
    for to in (
        "https://elsewhere.example/",
        "//elsewhere.example/journal",
        "/ops",
        "/journalist",
        "javascript:alert(1)",
    ):
        answer = await reader.send(form, to=to)
        assert answer.headers["location"].startswith(f"/journal/{one}?"), to


# -- search -----------------------------------------------------------------------------------------------------------


@stack
async def test_the_own_journal_is_searched_while_the_search_is_away(reader: Reader, without_search: None) -> None:
    one = await reader.was_at("e1", READING)
    await reader.was_at("e2", LOW)
    page = await reader.open("/search?q=radio+READING&year=1994")
    assert "does not answer just now" in page.text
    assert [href for href in (told.get("href", "") for _, told in page.tags) if href == f"/journal/{one}"]
    assert "Ancienne" not in page.text
    none = await reader.open("/search?q=nobody")
    assert "Nothing in your journal has these words." in none.text


@stack
async def test_what_is_found_can_be_put_into_the_journal_at_once(
    reader: Reader, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    concert = await known(story, ASTORIA, f"radiohead {story.user}")
    asked: list[tuple[str, str, dict[str, Any]]] = []
    hit = {"concert_id": str(concert.concert_id), "artist": "Radiohead", "night": "1994-05-27", "venue": "Astoria"}

    async def find(_: Any, index: str, words: str, filters: dict[str, Any], *__: Any, **more: Any) -> Any:
        asked.append((index, words, filters | more))
        meta = type("Meta", (), {"next_cursor": None})
        return ([hit] if index == "concerts" and not more else []), meta

    monkeypatch.setattr(finding, "find", find)
    page = await reader.open("/search?q=radiohed&place=london&year=1994&country=GB")
    assert ("concerts", "radiohed london", {"country": "GB", "year": 1994, "every": True}) in asked
    assert "No show has all of these words" in page.text
    added = await reader.press(page.form("/there"))
    assert "It is in your journal now. Radiohead" in added.words and "In your journal" in added.text
    assert not [form for form in added.forms if form["action"].endswith("/there")]
    undone = await reader.press(added.form("/undo"))
    assert "Taken out of your journal." in undone.text and undone.form("/there")
    back = await reader.press(undone.form("/again"))
    assert "It is back" in back.text
    assert (await reader.open("/search?q=x&year=20")).text.count("four digits") == 1
    gone = await reader.press(page.form("/there"), concert_id=str(uuid4()))
    assert "No source tells of that show any more." in gone.text


# -- writing one down -------------------------------------------------------------------------------------------------


@stack
async def test_a_show_that_no_source_knows_is_written_down(reader: Reader, without_search: None) -> None:
    form = (await reader.open("/journal/new?artist=The+Paper+Kites")).form("/journal/new")
    assert form["fields"]["artist"] == "The Paper Kites"
    typed = {"night": "2011-05-06", "venue": "The Workers Club", "city": "Melbourne", "country": "AU"}
    more = {"songs": "Bloom\n\n  Featherstone ", "note": "Upstairs.", "rating": "4", "with": "Jo"}
    page = await reader.press(form, **typed, **more)
    for words in (
        "It is in your journal now.",
        "Friday",
        "Melbourne, Australia",
        "Featherstone",
        "Upstairs.",
        "With Jo",
    ):
        assert words in page.text, words


@stack
async def test_what_is_wrong_is_told_at_its_field_and_nothing_typed_is_lost(
    reader: Reader, without_search: None
) -> None:
    form = (await reader.open("/journal/new")).form("/journal/new")
    typed = {"artist": " ", "night": "2011-13-06", "songs": "Bloom", "note": HOSTILE, "country": "XX", "with": "Jo"}
    answer = await reader.send(form, **typed)
    assert answer.status_code == 400
    page = _Page(answer.text)
    assert "Who played?" in page.text and "Which night was it?" in page.text and "Choose a country" in page.text
    kept = page.form("/journal/new")["fields"]
    assert (kept["songs"].strip(), kept["note"].strip(), kept["with"]) == ("Bloom", HOSTILE, "Jo")
    for name in ("artist", "night"):
        field = next(told for tag, told in page.tags if tag == "input" and told.get("id") == name)
        assert field["aria-invalid"] == "true" and f"{name}-error" in field["aria-describedby"]
        assert any(told.get("id") == f"{name}-error" and told["role"] == "alert" for _, told in page.tags)
    assert await reader.said.actions() == []


@stack
async def test_a_show_that_is_known_is_offered_before_ones_own_is_written(
    reader: Reader, story: Story, without_search: None
) -> None:
    artist = f"Radiohead {uuid4().hex[:6]}"
    concert = await known(story, ASTORIA.model_copy(update={"artist": artist}), artist.lower())
    form = (await reader.open("/journal/new")).form("/journal/new")
    typed = {"artist": artist.upper(), "night": "1994-05-27", "note": "Loud.", "rating": "5"}
    answer = await reader.send(form, **typed)
    page = _Page(answer.text)
    assert answer.status_code == 200 and "Is it one of these?" in page.text
    offered = page.form("/journal/new")
    assert ("concert_id", str(concert.concert_id)) in offered["buttons"] and ("mine", "yes") in offered["buttons"]
    assert offered["fields"]["note"] == "Loud." and page.form("/journal/new", 1)["fields"]["note"].strip() == "Loud."
    taken = await reader.press(offered, concert_id=str(concert.concert_id))
    assert "Astoria" in taken.text and "Loud." in taken.text and "written by you" not in taken.text
    own = await reader.press(offered, mine="yes")
    assert "written by you" in own.text


# -- names that nobody expects ----------------------------------------------------------------------------------------


@stack
async def test_hostile_and_endless_names_stay_text_on_every_page(
    reader: Reader, story: Story, without_search: None
) -> None:
    facts = Facts(
        artist=HOSTILE,
        night=date(2001, 2, 3),
        place=Place(name=LONG, city=HOSTILE, country="GB", lat=51.0, lon=0.1),
        songs=(HOSTILE, LONG),
        festival=HOSTILE,
        tour=LONG,
        bill=(BillAct(concert_id=uuid4(), artist=HOSTILE, role=Role.SUPPORT),),
    )
    one = await reader.was_at("e1", facts)
    await reader.was_at("e2", facts.model_copy(update={"night": date(2001, 2, 4)}))
    page = await reader.open(f"/journal/{one}")
    await reader.press(page.form("/keep"), note=HOSTILE, **{"with": HOSTILE})
    exact = quote(f'"{HOSTILE}"')
    for address in ("/journal", f"/journal?artist={exact}", f"/journal/{one}", f"/search?q={quote(HOSTILE)}"):
        page = await reader.open(address)
        assert "<script>alert" not in page.html and "<img src=x" not in page.html, address
        assert HOSTILE in unescape(page.html), address
    assert "No show fits" not in (await reader.open(f"/journal?artist={exact}")).text


# -- pure -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("low", "%low%"),
        ('"Low"', "Low"),
        ("100%_\\", r"%100\%\_\\%"),
        ('"50%"', r"50\%"),
        ('"', '%"%'),
        ('""', '%""%'),
        ("", None),
    ],
)
def test_what_is_typed_is_part_of_a_name_or_all_of_it(typed: str, found: str | None) -> None:
    assert pattern("artist", typed) == found


def test_an_address_keeps_the_filter_that_it_does_not_change() -> None:
    chosen = Chosen(2014, '"Low"', "")
    assert chosen.address() == "/journal?year=2014&artist=%22Low%22"
    assert chosen.address(year=None, venue="x&y") == "/journal?artist=%22Low%22&venue=x%26y"
    assert by_year([]) == [] and not Chosen().filtered


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({"artist": "Low", "night": ""}, "night", "Which night"),
        ({"artist": "Low", "night": "2026-03-03"}, "night", "still to come"),
        ({"artist": "Low", "night": "1804-01-01"}, "night", "1900"),
        ({"artist": "x" * 2_001, "night": "2004-07-01"}, "artist", "2,000"),
        ({"artist": "Low", "night": "2004-07-01", "songs": "a\n" * 501}, "songs", "500"),
        ({"artist": "Low", "night": "2004-07-01", "country": "gb"}, "country", "Choose"),
    ],
)
def test_what_is_no_show_is_told_with_a_remedy(typed: dict[str, str], field: str, words: str) -> None:
    told, errors = show_of(typed, START.date())
    assert list(errors) == [field] and words in errors[field] and field not in told


def test_a_show_is_read_from_its_fields() -> None:
    typed = {"artist": " Low ", "night": "2004-07-01", "songs": "Sunflower\r\n\r\n Dinosaur  Act", "country": "BE"}
    told, errors = show_of(typed, START.date())
    assert (errors, told) == (
        {},
        {"artist": "Low", "night": date(2004, 7, 1), "songs": ["Sunflower", "Dinosaur Act"], "country": "BE"},
    )
    with spoken("de"):
        assert show_of(typed | {"night": "2026-03-02"}, START.date())[1] == {}  # somewhere it is tomorrow


def test_company_is_parted_by_commas_and_lines() -> None:
    told, errors = kept_of({"with": "Jo, Ann\nBob, ,Jo", "note": " x\x00y ", "shared_note": "on"})
    assert errors == {} and told["with"] == ["Jo", "Ann", "Bob"]
    assert (told["note"], told["rating"], told["shared"]) == ("xy", None, ["note"])
    assert set(kept_of({"visibility": "all", "rating": "0"})[1]) == {"visibility", "rating"}
