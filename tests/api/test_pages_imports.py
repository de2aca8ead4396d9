"""The pages of imports as a browser without scripts has them: over PostgreSQL, and rendered by themselves."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from api.importing.views import Answers, Corrections, DryRunView, Entries, ImportView, Progress, Rows
from api.imports.reporting import report
from api.pages import imports as pages
from api.pages.frame import template_config
from api.pages.wordings import Told
from api.pages.words import spoken
from api.services import Caller
from api.tokens import Claims
from deploy.clients import postgres_engine
from deploy.settings import Settings
from schemas.tables import ImportState
from tests.api.forms import Sent, Shown, page, send
from tests.api.imports.files import reading_of, zipped
from tests.api.support import READING, START, Clock, Story, reach

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'
GIGS = "Band,When,Where\nMuse,25/06/2001,Apollo\nPulp,26/07/2002,Barrowland\nBlur,27/08/2003,Astoria\n"
WITH_ALL = GIGS + "Oasis,31/31/2004,Knebworth\nSuede,,Forum\nMuse,25/06/2001,Apollo\n"
ENGLISH = {"Accept-Language": "en-GB"}
GERMAN = "de-DE"


# -- rendered by themselves -------------------------------------------------------------------------------------------


def nobody(*told: object) -> None:
    """Whom a dry run tells."""


def view_of(name: str, body: str | bytes, state: str = "ready", **more: Any) -> ImportView:
    """An import of this file, as the API shows it."""
    told = report(reading_of(name, body), refuse=nobody, take=nobody, tell=nobody)
    counts = more.pop("entries", {})
    return ImportView(
        import_id=uuid4(),
        name=name,
        kind=more.pop("kind", "file"),
        state=ImportState(state),
        size=len(body),
        created_at=START,
        progress=Progress(done=more.pop("done", told["rows"]), total=told["rows"]),
        rows=Rows(total=told["rows"], **told["counts"]),
        entries=Entries(expected=told["entries"], **counts),
        dry_run=DryRunView.model_validate({part: told[part] for part in ("parts", "more_parts", "samples")}),
        **more,
    )


def rendered(view: ImportView, language: str = "en-GB", **more: Any) -> Shown:
    """Its page."""
    every = {"user": "u-1", "path": "/imports/x", "room": "imports", "form_token": "t"}
    environment: Any = template_config({}).instance
    with spoken(language):
        html = environment.engine.get_template("import.html").render(every | pages.pictured(view, **more))
    return Shown(httpx.Response(200, text=html, headers={"content-type": "text/html"}))


def test_a_dry_run_shows_rows_beside_what_was_understood_and_why() -> None:
    shown = rendered(view_of("gigs.csv", WITH_ALL))
    assert "4 shows are ready to be taken" in shown.text and "Take these 4 shows" in shown.text
    for told in ("By its heading “Band”.", "Line 2", "25 Jun 2001", "Apollo", "It has no date.", "No such date."):
        assert told in shown.text, told
    assert "“31/31/2004” is in no calendar." in shown.text
    assert "Write the day as 2014-11-14" in shown.text
    assert len([link for link in shown.links if "/unread" in link]) == 3


def test_days_are_written_as_the_reader_writes_them() -> None:
    assert "25.06.2001" in rendered(view_of("gigs.csv", WITH_ALL), GERMAN).text


def test_names_that_mean_harm_stay_text() -> None:
    body = f'"{HOSTILE.replace(chr(34), chr(34) * 2)}",When\n"{HOSTILE.replace(chr(34), chr(34) * 2)}",25/06/2001\n'
    shown = rendered(view_of(f"{HOSTILE}.csv".replace("/", ""), body))
    assert "<img" not in shown.html.replace('<img src="/static', "") and "<script>alert" not in shown.html
    assert HOSTILE in shown.text


def test_a_file_of_hostile_headings_is_a_page_of_bounded_size() -> None:
    heading = ",".join(["Band", "When", *(f"x{number}" * 60 for number in range(150))])
    rows = "\n".join(",".join([f"Act {n}", "25/06/2001", *["y"] * 150]) for n in range(3))
    assert len(rendered(view_of("wide.csv", f"{heading}\n{rows}\n")).html) < 400_000


def test_a_table_without_headings_has_numbered_columns_to_choose_from() -> None:
    shown = rendered(view_of("gigs.csv", "Muse,25/06/2001,Apollo\nPulp,26/07/2002,Barrowland\n"))
    assert "Column 1" in shown.text and "column 1" not in shown.text


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("fetching", "Page 2 of 4"),
        ("reading", "2 of 4 rows"),
        ("applying", "Taking your shows in"),
        ("undoing", "2 of 4 shows"),
        ("undone", "3 shows left your history"),
    ],
)
def test_every_state_has_its_words(state: str, told: str) -> None:
    view = view_of("gigs.csv", GIGS + "Suede,2004,Forum\n", state, done=2, entries={"withdrawn": 3})
    assert told in rendered(view).text
    assert ('http-equiv="refresh"' in rendered(view).html) == (state != "undone")
    assert ("data-stream" in rendered(view).html) == (state != "undone")


def test_what_goes_on_is_read_again_without_scripts_and_told_with_them() -> None:
    view = view_of("gigs.csv", GIGS, "applied", answers=Answers(found=1, waiting=2), applied_at=START)
    shown = rendered(view)
    assert "1 of 3" in shown.text and "Looking for your shows" in shown.text
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in shown.html
    assert f'data-stream="/imports/{view.import_id}/progress" data-swap="import heard" data-until="rest"' in shown.html


def test_a_report_ends_with_what_was_found() -> None:
    answers = Answers(found=37, to_decide=4, unknown=3)
    view = view_of("gigs.csv", GIGS, "applied", answers=answers, entries={"added": 44}, applied_at=START)
    shown = rendered(view)
    assert "37 found, 4 to decide, 3 unknown" in shown.text
    assert {f"/imports/{view.import_id}/unknown", f"/imports/{view.import_id}/undo", "/inbox"} <= set(shown.links)


@pytest.mark.parametrize(
    ("entry", "cells"),
    [
        ({"artist": "Muse", "date": "2001-06-25"}, {"artist": "Muse", "when": "25 Jun 2001"}),
        ({"date": "summer 2001", "time": "20:00"}, {"when": "summer 2001 20:00"}),
        ({"city": "Reading", "country": "gb"}, {"town": "Reading, United Kingdom"}),
        ({"country": "England"}, {"town": "England"}),
        ({"lat": 52.3622, "lon": 4.8839}, {"town": "52.362, 4.884"}),
        (
            {"songs": ["Creep"], "with": ["Jo", "Al"], "note": "wet"},
            {"songs": "1 song", "with": "Jo and Al", "note": "wet"},
        ),
        ({"date": "2001-02-31"}, {"when": "2001-02-31"}),
    ],
)
def test_an_entry_is_shown_as_a_person_would_say_it(entry: dict[str, Any], cells: dict[str, str]) -> None:
    assert pages.cells_of(entry) == cells


def test_a_correction_is_what_was_chosen_otherwise_and_nothing_else() -> None:
    view = view_of("gigs.csv", GIGS)
    part = view.dry_run.parts[0] if view.dry_run else None
    same = {"map-artist": "=", "map-date": "=", "date_order": "", "separator": "", "encoding": "", "format": ""}
    assert pages.correction_of(view, part, same).model_fields_set == set()
    more = same | {"map-artist": "c:Where", "map-venue": "-", "map-city": "", "date_order": "mdy", "separator": "\r\n"}
    wish = pages.correction_of(view, part, more)
    assert wish.model_dump(exclude_unset=True) == {
        "mapping": {"artist": ["Where"], "venue": [], "city": None},
        "date_order": "mdy",
        "separator": "\n",
    }
    forgotten = pages.correction_of(view, part, {"do": "guess"})
    assert forgotten.model_dump(exclude_unset=True) == dict.fromkeys(
        ("mapping", "date_order", "separator", "encoding", "format")
    )
    assert pages.correction_of(view, part, {"do": "again", "map-artist": "c:Where"}).model_fields_set == set()


def test_a_heading_of_two_lines_is_found_again_as_forms_write_it() -> None:
    view = view_of("gigs.csv", GIGS.replace("Where", '"Where\nexactly"'))
    assert view.dry_run is not None
    wish = pages.correction_of(view, view.dry_run.parts[0], {"map-city": "c:Where\r\nexactly"})
    assert wish.mapping == {"city": ["Where\nexactly"]}


def test_what_does_not_fit_is_told_at_its_field_with_what_was_chosen() -> None:
    typed = {"map-artist": "c:Nobody", "part": "0"}
    fault = Told("The file has no column 'Nobody'.", "Choose one of these.")
    shown = rendered(view_of("gigs.csv", GIGS), faults={"artist": fault}, typed=typed)
    assert "has no column" in shown.wrong.get("map-artist", "") or "has no column" in shown.text
    assert '<option value="c:Nobody" selected>' in shown.html


def test_corrections_in_force_are_shown_and_can_be_forgotten() -> None:
    view = view_of("gigs.csv", GIGS, corrections=Corrections.model_validate({"date_order": "dmy"}))
    shown = rendered(view)
    assert '<option value="dmy" selected>' in shown.html and "Forget my choices" in shown.text


# -- over PostgreSQL --------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def engine(migrated: Settings) -> AsyncIterator[AsyncEngine]:
    engine = postgres_engine(migrated, 8, "gigz-test")
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def app_client(migrated: Settings) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    app = create_app(migrated, clock=Clock(), rate_limits=False)
    async with reach(app) as client:
        client.timeout = httpx.Timeout(60)
        yield app, client


@dataclass(frozen=True)
class Somebody:
    """A user in a browser."""

    app: Any
    client: httpx.AsyncClient
    story: Story

    async def page(self, address: str, status: int = 200) -> Shown:
        return await page(self.client, address, status)

    async def start(self) -> Shown:
        return await self.page("/imports")

    async def bring(self, way: str, status: int = 303, **parts: Any) -> Shown:
        """Send one of the forms that carry something; the import's page once nobody is at it, or what was refused."""
        form = (await self.start()).form(f"/imports?way={way}")
        answer = await self.client.post(form.action, data=form.fields, files=parts, headers=ENGLISH)
        assert answer.status_code == status, answer.text
        return await self.rested(answer.headers["location"]) if status == 303 else Shown(answer)

    async def file(self, body: str | bytes, name: str = "gigs.csv", status: int = 303) -> Shown:
        return await self.bring("file", status, file=(name, body))

    async def rested(self, address: str) -> Shown:
        shown = await self.page(address.partition("#")[0])
        while 'http-equiv="refresh"' in shown.html and "Looking for your shows" not in shown.text:
            await asyncio.sleep(0.2)
            shown = await self.page(address.partition("#")[0])
        return shown

    async def send(self, form: Sent, **changes: str | None) -> Shown:
        """Press a button of an import; its page once nobody is at it."""
        await send(self.client, form, changes)
        return await self.rested(form.action.rpartition("/")[0])

    async def imports(self) -> int:
        async with self.story.engine.connect() as connection:
            told = await connection.execute(
                text("select count(*) from state.imports where user_id = :user"), {"user": self.story.user}
            )
            return int(told.scalar_one())

    async def entry_ids(self, import_id: str) -> list[str]:
        asked = "select entry_id from state.import_entries where import_id = :id order by seq"
        async with self.story.engine.connect() as connection:
            return list(await connection.scalars(text(asked), {"id": import_id}))


@pytest_asyncio.fixture(loop_scope="module")
async def me(app_client: tuple[Any, httpx.AsyncClient], story: Story, clock: Clock) -> Somebody:
    app, client = app_client
    client.cookies.clear()
    await story.sign_in(client, clock)
    return Somebody(app, client, story)


def id_of(shown: Shown) -> str:
    """Of the import that a page shows."""
    form = next(form for form in shown.forms if form.action.startswith("/imports/"))
    return form.action.split("/")[2]


def on_the_stack(test: Any) -> Any:
    """A test over PostgreSQL, of one application for all: its reader takes two seconds to begin."""
    return pytest.mark.stack(pytest.mark.asyncio(loop_scope="module")(test))


@on_the_stack
async def test_a_file_is_shown_corrected_taken_and_taken_back(me: Somebody) -> None:
    shown = await me.file(WITH_ALL)
    one = id_of(shown)
    assert "4 shows are ready to be taken" in shown.text
    shown = await me.send(shown.form(f"/imports/{one}/read"), **{"map-venue": "-", "map-note": "c:Where"})
    assert "As you said." in shown.text
    shown = await me.send(shown.form(f"/imports/{one}/read"), do="guess")
    assert "As you said." not in shown.text
    shown = await me.send(shown.form(f"/imports/{one}/apply"))
    assert "4 shows are new in your history" in shown.text and "1 row could not be read" in shown.text
    asked = await me.page(f"/imports/{one}/undo")
    assert "The 4 shows that it brought leave your history" in asked.text
    shown = await me.send(asked.form(f"/imports/{one}/undo"))
    assert "4 shows left your history" in shown.text
    listed = await me.start()
    assert "gigs.csv" in listed.text and "Undone" in listed.text


@on_the_stack
async def test_doubtful_rows_are_left_out_where_their_box_is_not_ticked(me: Somebody) -> None:
    shown = await me.file(WITH_ALL)
    form = shown.form(f"/imports/{id_of(shown)}/apply")
    assert form.fields["doubtful"] == "1" and "Take only the 3 clear rows" in shown.text
    shown = await me.send(form, doubtful=None)
    assert "3 shows are new in your history" in shown.text


@on_the_stack
async def test_a_corrected_file_keeps_or_withdraws_what_is_gone(me: Somebody) -> None:
    first = await me.file(GIGS)
    assert "corrected?" not in first.text, "nothing was taken before"
    await me.send(first.form(f"/imports/{id_of(first)}/apply"))
    again = await me.file(GIGS.replace("Pulp,26/07/2002,Barrowland\n", ""))
    form = again.form(f"/imports/{id_of(again)}/apply")
    assert form.fields["gone"] == "keep" and "corrected?" in again.text
    shown = await me.send(form, gone="withdraw")
    assert "1 was withdrawn" in shown.text and "2 were there already" in shown.text


@on_the_stack
@pytest.mark.parametrize("token", [None, "", "0" * 64])
async def test_a_form_of_another_session_leaves_nothing(me: Somebody, token: str | None) -> None:
    fields = {} if token is None else {"form_token": token}
    answer = await me.client.post("/imports?way=file", data=fields, files={"file": ("gigs.csv", GIGS)}, headers=ENGLISH)
    assert answer.status_code == 403 and "another session" in answer.text
    for path in ("/imports/rows", "/imports/more-rows", f"/imports/{uuid4()}/apply"):
        assert (await me.client.post(path, data=fields | {"rows": "1"})).status_code == 403, path
    assert await me.imports() == 0


@on_the_stack
async def test_a_token_behind_the_file_comes_too_late(me: Somebody) -> None:
    token = (await me.start()).form("/imports?way=file").fields["form_token"]
    parts = [("file", ("gigs.csv", GIGS)), ("form_token", (None, token))]
    answer = await me.client.post("/imports?way=file", files=parts)
    assert answer.status_code == 403
    answer = await me.client.post("/imports?way=file", content=GIGS, headers={"content-type": "text/csv"})
    assert answer.status_code == 403, "what is no form of a page has no token"
    assert await me.imports() == 0


@on_the_stack
@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        ("empty.csv", b"", "Choose a file, or paste a list."),
        ("a.pdf", b"%PDF-1.7 abc", "“a.pdf” is a PDF."),
        ("bomb.zip", zipped({"a.csv": bytes(60_000_000)}), "unpacks to more than 50 MB"),
        ("bomb.csv.gz", gzip.compress(bytes(60_000_000)), "unpacks to more than 50 MB"),
        ("cut.zip", zipped({"a.txt": b"Muse, Reading 1994\n" * 900})[:-50], "not a whole zip archive"),
        ("deep.json", b"[" * 100_000, "is not JSON"),
        ("noise.csv", bytes(range(32)) * 99, "is no text"),
    ],
)
async def test_a_file_that_cannot_be_imported_comes_back_to_the_same_page(
    me: Somebody, name: str, body: bytes, told: str
) -> None:
    shown = await me.file(body, name, status=400)
    assert told in shown.wrong["file"], shown.wrong
    assert await me.imports() == 0, "nothing is left of it"


@on_the_stack
async def test_a_list_that_says_nothing_comes_back_as_it_was_typed(me: Somebody) -> None:
    said = "\nhello there, this is a letter and no list of anything at all, as everybody can see who reads it\n"
    shown = await me.bring("text", 303, text=(None, said))
    assert "No show was understood" in shown.text and "It reads like prose" in shown.text
    shown = await me.bring("text", 400, text=(None, "  \n \n"))
    assert "“Your list” holds no line that could be a show." in shown.wrong["text"]
    assert "\n  \n \n</textarea>" in shown.html


@on_the_stack
async def test_a_pasted_list_is_read(me: Somebody) -> None:
    shown = await me.bring(
        "text", text=(None, "Radiohead, Reading 1994\nSigur Rós @ Paradiso, Amsterdam, 14 Nov 2014\n")
    )
    assert (
        "A pasted list" in shown.text and "2 shows are ready to be taken" in shown.text and "14 Nov 2014" in shown.text
    )


@on_the_stack
async def test_typed_rows_are_read_and_more_rows_keep_what_was_typed(me: Somebody) -> None:
    form = (await me.start()).form("/imports/rows")
    typed = {"artist-0": "Muse", "date-0": "summer 2001", "where-0": "Reading", "note-1": HOSTILE}
    more = Sent("/imports/more-rows", form.fields)
    shown = await send(me.client, more, typed, 200)
    again = shown.form("/imports/rows")
    assert again.fields["rows"] == "6" and again.fields["artist-0"] == "Muse" and again.fields["note-1"] == HOSTILE
    answer = await me.client.post(again.action, data=again.fields | {"note-1": ""})
    assert answer.status_code == 303
    shown = await me.rested(answer.headers["location"])
    assert "Typed shows" in shown.text and "1 show is ready to be taken" in shown.text and "summer 2001" in shown.text


@on_the_stack
async def test_no_row_at_all_says_so(me: Somebody) -> None:
    form = (await me.start()).form("/imports/rows")
    shown = await send(me.client, form, {}, 400)
    assert "Fill in a row" in shown.wrong["artist-0"]


@on_the_stack
async def test_without_a_key_for_setlistfm_the_page_says_so(me: Somebody) -> None:
    shown = await me.start()
    assert "has no key for setlist.fm" in shown.text
    token = {"form_token": shown.form("/imports?way=file").fields["form_token"]}
    answer = await me.client.post(
        "/imports?way=setlistfm", data=token, files={"setlistfm_user": (None, "alice")}, headers=ENGLISH
    )
    assert answer.status_code == 404 and "Export the list there" in answer.text


@on_the_stack
async def test_a_column_that_the_file_has_not_is_told_at_its_field(me: Somebody) -> None:
    shown = await me.file(GIGS)
    form = shown.form(f"/imports/{id_of(shown)}/read")
    refused = await send(me.client, form, {"map-artist": "c:Nobody"}, 400)
    assert "The file has no column 'Nobody'." in refused.wrong["map-artist"]
    assert '<option value="c:Nobody" selected>' in refused.html
    for name, value in (("date_order", "xyz"), ("format", "exe"), ("encoding", "klingon"), ("separator", "x" * 50)):
        refused = await send(me.client, form, {name: value}, 400)
        assert refused.wrong[name], (name, refused.wrong)
    assert "By its heading “Band”." in (await me.page(f"/imports/{id_of(shown)}")).text, "the reading stays in force"


@on_the_stack
async def test_what_was_found_to_decide_and_unknown_is_told_with_what_would_help(me: Somebody) -> None:
    shown = await me.file(GIGS)
    one = id_of(shown)
    shown = await me.send(shown.form(f"/imports/{one}/apply"))
    assert "Looking for your shows" in shown.text and "0 of 3" in shown.text
    stream = pages.until_found(me.app.state.services, caller(me.story.user), UUID(one))
    first = await anext(stream)
    assert first.event == "progress" and '"waiting":3' in str(first.data)
    for number, entry_id in enumerate(await me.entry_ids(one)):
        suggested = [me.story.suggestion(entry_id, READING, (0.99, 0.7)[number])] if number < 2 else []
        await me.story.found(entry_id, *suggested)
    rest = [message.event async for message in stream]
    assert rest == ["rest"]
    shown = await me.page(f"/imports/{one}")
    assert "1 found, 1 to decide, 1 unknown" in shown.text
    unknown = await me.page(f"/imports/{one}/unknown")
    assert "Blur" in unknown.text and "Muse" not in unknown.text
    assert "No source that Gigz reads knows such a show yet." in unknown.text


def caller(user: str) -> Caller:
    """Whose session goes on for an hour."""
    return Caller(user, Claims(f"dev:{user}", START.replace(hour=23)))


@on_the_stack
async def test_the_stream_of_what_rests_ends_at_once(me: Somebody) -> None:
    shown = await me.file(GIGS)
    answer = await me.client.get(f"/imports/{id_of(shown)}/progress")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "event: rest" in answer.text and '"state":"ready"' in answer.text


@on_the_stack
async def test_what_could_not_be_read_is_given_back_as_a_file(me: Somebody) -> None:
    shown = await me.file(WITH_ALL)
    links = [link for link in shown.links if "/unread" in link]
    assert len(links) == 3
    answers = [await me.client.get(link) for link in links]
    assert answers[0].text == "Oasis,31/31/2004,Knebworth\n"
    assert all("attachment" in answer.headers["content-disposition"] for answer in answers)


@on_the_stack
async def test_the_import_of_another_is_not_there(me: Somebody, clock: Clock, engine: AsyncEngine) -> None:
    one = id_of(await me.file(GIGS))
    token = (await me.start()).form("/imports?way=file").fields
    other = Story(engine, me.story.settings)
    me.client.cookies.clear()
    await other.sign_in(me.client, clock)
    for path in ("", "/undo", "/unknown", "/unread", "/progress"):
        for import_id in (one, str(uuid4()), "nonsense"):
            assert (await me.client.get(f"/imports/{import_id}{path}")).status_code == 404, path
    own = (await page(me.client, "/imports")).form("/imports?way=file").fields
    assert own != token
    for path in ("read", "apply", "undo"):
        assert (await me.client.post(f"/imports/{one}/{path}", data=own)).status_code == 404, path
        assert (await me.client.post(f"/imports/{one}/{path}", data=token)).status_code == 403, path


@on_the_stack
async def test_a_button_pressed_twice_or_too_late_leads_to_how_it_stands(me: Somebody) -> None:
    shown = await me.file(GIGS)
    one = id_of(shown)
    undo = Sent(f"/imports/{one}/undo", shown.form(f"/imports/{one}/apply").fields)
    assert "Waits for your yes" in (await me.send(undo)).text, "it was not taken yet"
    for _ in range(2):
        assert "3 shows are new" in (await me.send(shown.form(f"/imports/{one}/apply"))).text
    late = await me.send(shown.form(f"/imports/{one}/read"), **{"map-venue": "-"})
    assert "3 shows are new" in late.text
    for _ in range(2):
        assert "3 shows left your history" in (await me.send(undo)).text
    assert (await me.client.get(f"/imports/{one}/undo")).status_code == 303


@on_the_stack
async def test_more_imports_than_a_page_holds_are_on_the_next(me: Somebody) -> None:
    async with me.story.engine.begin() as connection:
        await connection.execute(
            text(
                "insert into state.imports (import_id, user_id, name, kind, state, size, wish, options, created_at) "
                "select gen_random_uuid(), :user, 'list ' || n || '.csv', 'file', 'failed', 1, '{}', '{}', "
                "now() - make_interval(mins => n) from generate_series(1, 25) n"
            ),
            {"user": me.story.user},
        )
    first = await me.start()
    assert "list 1.csv" in first.text and "list 25.csv" not in first.text
    following = next(link for link in first.links if "cursor=" in link)
    second = await me.page(following.partition("#")[0])
    assert "list 25.csv" in second.text and "list 1.csv" not in second.text
