"""/v1/imports over PostgreSQL: dry run, corrections, apply, the same file, a corrected one, undo, and who may."""

import asyncio
import io
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
import pytest_asyncio
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from api.importing.files import sweep
from api.importing.leases import advance, claim, is_at_work, waiting
from api.importing.runs import ImportRuns
from api.importing.turns import quota_for
from api.imports.attended import A_DAY, EVERY_S, HOST
from deploy.clients import postgres_engine
from deploy.settings import Settings
from deploy.turns import Quota, quota_of, used_today
from schemas.history import BackfilledEntry, Entry
from spiders.formats.base import utc_now
from spiders.polite.limits import Limits
from spiders.polite.limits import QuotaUsed as LimitsQuotaUsed
from spiders.sources.setlistfm import SetlistfmSpider
from spiders.sources.setlistfm_attended import SetlistfmAttendedSpider
from tests.api.imports.files import exif, jpeg
from tests.api.support import Clock, Story, reach

# One process's worth of application for all: its reader takes two seconds to begin.
pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

GIGS = """Band,When,Where
Muse,25/06/2001,Apollo
Pulp,26/07/2002,Barrowland
Blur,27/08/2003,Astoria
Oasis,31/31/2004,Knebworth
"""
EITHER_WAY = "Band,When,Where\nMuse,05/06/2001,Apollo\nPulp,06/07/2002,Barrowland\nBlur,07/08/2003,Astoria\n"


@dataclass(frozen=True)
class Importing:
    """A user who imports."""

    client: httpx.AsyncClient
    story: Story
    clock: Clock

    @property
    def headers(self) -> dict[str, str]:
        return self.story.headers(self.clock)

    async def upload(self, body: str | bytes, name: str = "gigs.csv", **headers: str) -> dict[str, Any]:
        answer = await self.try_upload(body, name, **headers)
        assert answer.status_code == 201, answer.text
        return await self.rested(answer.json()["data"])

    async def rested(self, view: dict[str, Any]) -> dict[str, Any]:
        """The import once nobody is at it: a call answers after some seconds, however busy the machine is."""
        while view["state"] in ("fetching", "reading", "applying", "undoing"):
            await asyncio.sleep(0.2)
            view = (await self.get(view["import_id"])).json()["data"]
        return view

    async def try_upload(self, body: str | bytes, name: str = "gigs.csv", **headers: str) -> httpx.Response:
        sent = self.headers | {"content-type": "application/octet-stream"} | headers
        return await self.client.post("/v1/imports", params={"name": name}, content=body, headers=sent, timeout=60)

    async def post(self, import_id: str, what: str, body: Any = None, **headers: str) -> httpx.Response:
        address = f"/v1/imports/{import_id}/{what}"
        return await self.client.post(address, json=body, headers=self.headers | headers, timeout=60)

    async def apply(self, import_id: str, **how: Any) -> dict[str, Any]:
        answer = await self.post(import_id, "apply", how or None)
        assert answer.status_code == 200, answer.text
        view = await self.rested(answer.json()["data"])
        assert view["state"] == "applied", view
        return view

    async def undo(self, import_id: str) -> dict[str, Any]:
        answer = await self.post(import_id, "undo")
        assert answer.status_code == 200, answer.text
        view = await self.rested(answer.json()["data"])
        assert view["state"] == "undone", view
        return view

    async def taken(self, body: str | bytes, name: str = "gigs.csv", **how: Any) -> dict[str, Any]:
        return await self.apply((await self.upload(body, name))["import_id"], **how)

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.client.get(f"/v1/imports/{path}", params=params, headers=self.headers)

    async def sent(self) -> list[tuple[str, str | None]]:
        """What went to the topics: artist and date of each message, in order; None: a tombstone."""
        rows = []
        for row in await self.story.outbox():
            body = None if row.value is None else orjson.loads(row.value)
            rows.append((row.key.partition("/")[2], body and f"{body.get('artist')} {body.get('date')}"))
        return rows

    async def standing(self) -> dict[str, str]:
        """Entry -> what it says once all messages are read."""
        last = dict(await self.sent())
        return {entry: said for entry, said in last.items() if said is not None}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def engine(migrated: Settings) -> AsyncIterator[AsyncEngine]:
    engine = postgres_engine(migrated, 8, "gigz-test")
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(migrated: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with reach(create_app(migrated, clock=Clock(), rate_limits=False)) as client:
        yield client


@pytest.fixture
def me(client: httpx.AsyncClient, story: Story, clock: Clock) -> Importing:
    return Importing(client, story, clock)


def counts(view: dict[str, Any]) -> dict[str, int]:
    return {name: number for name, number in view["entries"].items() if number and name != "expected"}


async def test_a_file_is_shown_corrected_taken_and_reported(me: Importing) -> None:
    view = await me.upload(EITHER_WAY + "Oasis,31/31/2004,Knebworth\n")
    assert view["state"] == "ready" and view["entries"] == dict.fromkeys(view["entries"], 0) | {"expected": 3}
    assert view["rows"] == {"total": 4, "understood": 0, "doubtful": 3, "unreadable": 1, "repeated": 0}
    part = view["dry_run"]["parts"][0]
    assert {one["field"] for one in part["columns"]} == {"artist", "date", "venue"} and part["date_order"] is None
    assert view["dry_run"]["samples"]["unreadable"][0]["reason"] == "bad_date"
    assert await me.sent() == [], "nothing is kept of it before it is applied"

    answer = await me.client.patch(
        f"/v1/imports/{view['import_id']}",
        json={"date_order": "mdy", "mapping": {"venue": None, "city": "Where"}},
        headers=me.headers,
    )
    corrected = answer.json()["data"]
    assert corrected["corrections"] == {
        "date_order": "mdy",
        "mapping": {"city": ["Where"]},
        "separator": None,
        "encoding": None,
        "format": None,
    }
    assert corrected["dry_run"]["samples"]["understood"][0]["entries"][0]["date"] == "2001-05-06"

    report = await me.apply(view["import_id"])
    assert counts(report) == {"added": 3} and report["answers"]["waiting"] == 3
    assert sorted((await me.standing()).values()) == ["Blur 2003-07-08", "Muse 2001-05-06", "Pulp 2002-06-07"]
    assert {row.topic for row in await me.story.outbox()} == {Entry.topic}

    left = await me.get(f"{view['import_id']}/unmatched")
    assert left.text == "Oasis,31/31/2004,Knebworth\n" and "gigs-unread.txt" in left.headers["content-disposition"]
    told = orjson.loads((await me.get(f"{view['import_id']}/unmatched", **{"as": "jsonl"})).content)
    assert told["reason"] == "bad_date" and told["where"] == "gigs.csv:5" and told["remedy"]
    assert (
        (await me.get(f"{view['import_id']}/unmatched", **{"as": "csv"}))
        .text.splitlines()[0]
        .startswith("where,reason")
    )


async def test_a_correction_that_does_not_fit_changes_nothing(me: Importing) -> None:
    view = await me.upload(GIGS)
    answer = await me.client.patch(
        f"/v1/imports/{view['import_id']}", json={"mapping": {"artist": "Interpret"}}, headers=me.headers
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == "mapping" and "Interpret" in answer.text
    again = (await me.get(view["import_id"])).json()["data"]
    assert again["state"] == "ready" and again["corrections"]["mapping"] == {}
    assert counts(await me.apply(view["import_id"])) == {"added": 3}
    late = await me.client.patch(f"/v1/imports/{view['import_id']}", json={"date_order": "dmy"}, headers=me.headers)
    assert late.status_code == 409


async def test_the_same_file_twice_adds_nothing(me: Importing) -> None:
    assert counts(await me.taken(GIGS)) == {"added": 3}
    before = await me.sent()
    again = await me.taken(GIGS, "another name.csv")
    assert counts(again) == {"unchanged": 3} and again["corrects"] is not None
    assert await me.sent() == before
    applied_again = await me.apply(again["import_id"])
    assert counts(applied_again) == {"unchanged": 3} and await me.sent() == before


async def test_a_corrected_file_changes_its_rows_and_its_undo_gives_their_text_back(me: Importing) -> None:
    first = await me.taken(GIGS)
    before = await me.standing()
    corrected = GIGS.replace("Pulp,26/07/2002", "Pulp,27/07/2002").replace("31/31/2004", "10/08/1996")
    second = await me.taken(corrected.replace("Blur,27/08/2003,Astoria\n", ""), "fixed.csv")
    assert counts(second) == {"added": 1, "changed": 1, "unchanged": 1, "gone": 1}
    assert second["corrects"] == first["import_id"]
    now = await me.standing()
    assert len(now) == 4 and set(before) < set(now), "a row that changed is the entry that it was; a row gone stays"
    undone = await me.undo(second["import_id"])
    assert undone["entries"]["withdrawn"] == 1 and undone["entries"]["restored"] == 1
    assert await me.standing() == before
    await me.undo(first["import_id"])
    assert await me.standing() == {}
    assert counts(await me.taken(GIGS)) == {"added": 3}, "what was undone can be imported again"
    assert await me.standing() == before


async def test_rows_that_a_corrected_file_has_no_more_are_withdrawn_where_that_is_asked_for(me: Importing) -> None:
    first = await me.taken(GIGS)
    before = await me.standing()
    second = await me.taken(GIGS.replace("Blur,27/08/2003,Astoria\n", ""), gone="withdraw")
    assert counts(second) == {"unchanged": 2, "gone": 1, "withdrawn": 1}
    assert sorted((await me.standing()).values()) == sorted(said for said in before.values() if "Blur" not in said)
    await me.undo(second["import_id"])
    assert await me.standing() == before
    assert first["state"] == "applied"


async def test_what_another_import_or_the_user_has_as_well_stays(me: Importing) -> None:
    one = await me.upload(GIGS)
    await me.apply(one["import_id"])
    entry, said = next(iter((await me.standing()).items()))
    other = await me.taken(
        "Band,When,Where\nMuse,25/06/2001,Apollo\nLow,01/02/2003,Knust\nWire,13/02/2003,Knust\n", "other.csv"
    )
    assert counts(other)["added"] == 2 and other["entries"]["unchanged"] == 1
    undone = await me.undo(one["import_id"])
    assert undone["entries"]["stayed"] == 1 and undone["entries"]["withdrawn"] == 2
    assert (await me.standing())[entry] == said
    await me.undo(other["import_id"])
    assert await me.standing() == {}


async def test_what_the_user_wrote_before_comes_back_as_it_was(me: Importing, engine: AsyncEngine) -> None:
    view = await me.upload(GIGS)
    entry = view["dry_run"]["samples"]["understood"][0]["entries"][0]
    own = {"user": me.story.user, "entry_id": entry["entry_id"], "artist": "Muse", "note": "rain", "songs": []}
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "insert into state.entries (user_id, entry_id, version, origin, keys, body) "
                "values (:user, :entry, 1, 'api', '{}', cast(:body as jsonb))"
            ),
            {"user": me.story.user, "entry": entry["entry_id"], "body": orjson.dumps(own).decode()},
        )
    assert counts(await me.apply(view["import_id"])) == {"added": 2, "changed": 1}
    undone = await me.undo(view["import_id"])
    assert undone["entries"]["restored"] == 1 and undone["entries"]["withdrawn"] == 2
    last = [
        orjson.loads(row.value) for row in await me.story.outbox() if row.value and row.key.endswith(entry["entry_id"])
    ]
    assert last[-1]["note"] == "rain" and "date" not in last[-1]


async def test_undone_twice_and_applied_twice_is_once(me: Importing) -> None:
    view = await me.taken(GIGS)
    await me.undo(view["import_id"])
    sent = await me.sent()
    await me.undo(view["import_id"])
    assert await me.sent() == sent
    assert (await me.post(view["import_id"], "apply")).status_code == 409


async def test_the_copy_of_an_import_goes_with_it_and_not_the_other_way_round(me: Importing) -> None:
    first, copy = await me.taken(GIGS), await me.taken(GIGS)
    assert (await me.undo(copy["import_id"]))["entries"]["stayed"] == 3
    assert len(await me.standing()) == 3
    again = await me.taken(GIGS)
    await me.undo(first["import_id"])
    assert await me.standing() == {}
    assert (await me.get(again["import_id"])).json()["data"]["state"] == "undone"


async def test_an_import_of_more_than_200_entries_and_its_undo_go_by_the_topic_of_backfills(me: Importing) -> None:
    body = "Band,When,Where\n" + "".join(f"Band {n},{n % 28 + 1:02}.05.2001,Hall {n}\n" for n in range(1_234))
    view = await me.taken(body)
    assert counts(view) == {"added": 1_234} and view["progress"] == {"done": 1_234, "total": 1_234}
    small = await me.taken(
        "Band,When,Where\nBand 3,04.05.2001,Hall 3\nNew,04.06.2001,Hall 3\nNewer,14.06.2001,Hall 3\n", "small.csv"
    )
    assert counts(small) == {"added": 2, "unchanged": 1}
    undone = await me.undo(view["import_id"])
    assert undone["entries"]["withdrawn"] == 1_233 and undone["entries"]["stayed"] == 1
    kinds = Counter((row.topic, row.value is None) for row in await me.story.outbox())
    assert kinds == {
        (BackfilledEntry.topic, False): 1_234,
        (BackfilledEntry.topic, True): 1_233,
        (Entry.topic, False): 2,
    }


async def test_doubtful_rows_are_left_out_when_that_is_asked_for(me: Importing) -> None:
    view = await me.upload("Band,Where\nMuse,Apollo\nPulp,Barrowland\n")
    assert view["rows"]["doubtful"] == 2
    assert counts(await me.apply(view["import_id"], doubtful=False)) == {}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"%PDF-1.7 ...", "a PDF"),
        (b"\x1f\x8b\x08broken", "no whole gzip file"),
        (b"PK\x03\x04nothing", "zip archive"),
        (b"\n\n", "no row"),
    ],
)
async def test_a_file_that_cannot_be_imported_says_why_and_leaves_nothing(
    me: Importing, engine: AsyncEngine, body: bytes, says: str
) -> None:
    key = {"idempotency-key": uuid4().hex}
    answer = await me.try_upload(body, "x", **key)
    assert answer.status_code == 400 and says in answer.text and "Remedy" in answer.text
    assert (await me.get("")).json()["data"] == []
    async with engine.connect() as connection:
        pieces = "select count(*) from state.import_pieces where user_id = :user"
        assert await connection.scalar(text(pieces), {"user": me.story.user}) == 0
    assert (await me.upload(GIGS, **key))["state"] == "ready", "a request that failed leaves no key behind"


async def test_the_same_key_is_the_same_import(me: Importing) -> None:
    key = {"idempotency-key": uuid4().hex}
    first = await me.upload(GIGS, **key)
    assert (await me.upload(GIGS, **key))["import_id"] == first["import_id"]
    other = await me.try_upload(GIGS + "x", **key)
    assert other.status_code == 409 and other.json()["error"]["details"][0]["field"] == "Idempotency-Key"
    applied = [await me.post(first["import_id"], "apply", **key) for _ in range(2)]
    assert [one.status_code for one in applied] == [409, 409]
    assert len((await me.get("")).json()["data"]) == 1


async def test_photos_leave_their_time_and_place_and_no_picture(me: Importing, engine: AsyncEngine) -> None:
    photo = jpeg(exif("2014:11:14 21:03:22", (53.5561, 9.9699)), b"PIXELS" * 1_000)
    files = [("file", (f"IMG_{n}.jpg", photo)) for n in range(2)]
    answer = await me.client.post("/v1/imports", files=files, headers=me.headers, timeout=60)
    view = answer.json()["data"]
    assert answer.status_code == 201 and view["entries"]["expected"] == 1
    assert view["dry_run"]["parts"][0]["format"] == "photos" and view["size"] < 1_000
    assert counts(await me.apply(view["import_id"])) == {"added": 1}


async def test_imports_are_listed_latest_first_page_by_page(me: Importing) -> None:
    made = [(await me.upload(GIGS.replace("Muse", name)))["import_id"] for name in ("A", "B", "C")]
    first = (await me.get("", take=2)).json()
    second = (await me.get("", take=2, cursor=first["meta"]["next_cursor"])).json()
    assert [one["import_id"] for one in first["data"] + second["data"]] == made[::-1]
    assert second["meta"]["next_cursor"] is None and "dry_run" not in first["data"][0]


async def test_nobody_sees_or_touches_anothers_import(me: Importing, engine: AsyncEngine, migrated: Settings) -> None:
    view = await me.upload(GIGS)
    other = Importing(me.client, Story(engine, migrated), me.clock)
    answers = [
        await other.get(view["import_id"]),
        await other.get(f"{view['import_id']}/unmatched"),
        await other.get(f"{view['import_id']}/progress"),
        await other.post(view["import_id"], "apply"),
        await other.post(view["import_id"], "undo"),
        await me.client.patch(f"/v1/imports/{view['import_id']}", json={}, headers=other.headers),
        await other.get("nonsense"),
    ]
    assert {(one.status_code, one.json()["error"]["code"]) for one in answers} == {(404, "IMPORT_NOT_FOUND")}
    assert (await other.get("")).json()["data"] == []
    assert (await me.client.post("/v1/imports", content=GIGS)).status_code == 401


# -- progress, and who goes on ----------------------------------------------------------------------------------------


async def test_progress_ends_where_the_import_rests_and_goes_on_after_the_last_event(me: Importing) -> None:
    view = await me.upload(GIGS)
    address = f"/v1/imports/{view['import_id']}/progress"
    told = await me.client.get(address, headers=me.headers)
    assert told.headers["content-type"].startswith("text/event-stream")
    lines = dict(line.split(": ", 1) for line in told.text.replace("\r", "").splitlines() if ": " in line)
    assert lines["event"] == "rest" and orjson.loads(lines["data"]) == {"state": "ready", "done": 4, "total": 4}
    again = await me.client.get(address, headers=me.headers | {"last-event-id": lines["id"]})
    assert again.status_code == 204
    await me.apply(view["import_id"])
    later = await me.client.get(address, headers=me.headers | {"last-event-id": lines["id"]})
    assert '"state":"applied"' in later.text


async def test_what_a_dead_process_left_is_taken_over_when_its_lease_ran_out(
    me: Importing, engine: AsyncEngine, migrated: Settings
) -> None:
    view = await me.upload(GIGS)
    dead = "update state.imports set state = 'applying', reached = 0 where import_id = :id"
    async with engine.begin() as connection:
        await connection.execute(text(dead), {"id": view["import_id"]})
    assert await claim(engine, "a dead process", 1.0, view["import_id"]) is not None
    assert await claim(engine, "another", 1.0, view["import_id"]) is None, "somebody holds it"
    app = create_app(migrated, clock=me.clock, rate_limits=False)
    async with reach(app), asyncio.timeout(120):
        app.state.services.imports.start()
        while (state := (await me.get(view["import_id"])).json()["data"]["state"]) != "applied":
            assert state == "applying"
            await asyncio.sleep(0.2)
    assert len(await me.standing()) == 3


async def test_an_import_that_nobody_holds_is_waited_for_until_somebody_does(
    me: Importing, engine: AsyncEngine
) -> None:
    one = UUID((await me.upload(GIGS))["import_id"])
    assert not await is_at_work(engine, one)
    async with engine.begin() as connection:
        await advance(connection, one, state="reading", holder=None, lease_until=None)
    assert await is_at_work(engine, one), "it was left between two hands: whoever asked for it has to go on with it"


async def test_an_upload_is_removed_after_its_days(me: Importing, engine: AsyncEngine) -> None:
    view = await me.upload(GIGS)
    await sweep(engine, datetime.now(UTC) + timedelta(days=29), 30)
    assert (await me.get(view["import_id"])).json()["data"]["kept_until"] is not None
    await sweep(engine, datetime.now(UTC) + timedelta(days=31), 30)
    assert (await me.get(view["import_id"])).json()["data"]["kept_until"] is None
    answer = (await me.post(view["import_id"], "apply")).json()["data"]
    assert answer["state"] == "failed" and "upload the file again" in answer["error"]["message"]


# -- setlist.fm -------------------------------------------------------------------------------------------------------


class SetlistFm(ThreadingHTTPServer):
    """Answers as setlist.fm's API does, on loopback."""

    daemon_threads = True
    shows: list[dict[str, Any]]
    asked: list[tuple[str, str, str]]
    refuse: list[int]
    says: bytes = b'{"code": 404}'


class _Answering(BaseHTTPRequestHandler):
    server: SetlistFm

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        page = int(parse_qs(parts.query)["p"][0])
        self.server.asked.append((parts.path, self.headers["x-api-key"], self.headers["accept"]))
        shows = self.server.shows[20 * (page - 1) : 20 * page]
        body = {"type": "setlists", "itemsPerPage": 20, "page": page, "total": len(self.server.shows), "setlist": shows}
        status = self.server.refuse.pop(0) if self.server.refuse else 200 if "/alice/" in parts.path else 404
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(orjson.dumps(body) if status == 200 else self.server.says)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the runner's terminal."""


def show(number: int) -> dict[str, Any]:
    town = {"name": "Hamburg", "country": {"code": "DE"}}
    return {
        "id": f"63db{number:04x}",
        "eventDate": f"{number % 28 + 1:02}-05-2014",
        "artist": {"name": f"Band {number}"},
        "venue": {"name": "Knust", "city": town},
        "sets": {"set": [{"song": [{"name": "Home"}]}]},
    }


@pytest.fixture
def setlistfm() -> Any:
    server = SetlistFm(("127.0.0.1", 0), _Answering)
    server.shows, server.asked, server.refuse = [show(n) for n in range(45)], [], []
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest_asyncio.fixture(loop_scope="module")
async def keyed(migrated: Settings, story: Story, setlistfm: SetlistFm) -> Settings:
    """With setlist.fm here, and a key that nobody used."""
    mirror = f"setlistfm_attended=http://127.0.0.1:{setlistfm.server_port}"
    async with story.engine.begin() as connection:
        for table in ("state.hosts", "state.host_leases"):
            await connection.execute(text(f"delete from {table} where host = '127.0.0.1'"))
    return migrated.model_copy(update={"source_mirrors": mirror, "setlistfm_api_key": SecretStr(uuid4().hex)})


@pytest_asyncio.fixture(loop_scope="module")
async def fetching(keyed: Settings, story: Story, clock: Clock) -> AsyncIterator[Importing]:
    async with reach(create_app(keyed, clock=clock, rate_limits=False)) as client:
        yield Importing(client, story, clock)


async def use(story: Story, quota: Quota, requests: int) -> None:
    """As if so many were made today."""
    query = """insert into state.quotas (key, day, used) values (:key, (now() at time zone 'utc')::date, :used)
        on conflict (key, day) do update set used = excluded.used"""
    async with story.engine.begin() as connection:
        await connection.execute(text(query), {"key": quota.key, "used": requests})


async def used(story: Story, quota: Quota) -> int:
    async with story.engine.connect() as connection:
        return await used_today(connection, quota)


async def test_an_attended_list_is_fetched_page_by_page_and_a_second_time_adds_what_is_new(
    fetching: Importing, setlistfm: SetlistFm, keyed: Settings
) -> None:
    async def fetch() -> dict[str, Any]:
        answer = await fetching.client.post(
            "/v1/imports", json={"setlistfm_user": "alice"}, headers=fetching.headers, timeout=60
        )
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    setlistfm.refuse = [429]
    view = await fetch()
    assert view["state"] == "ready" and view["entries"]["expected"] == 45
    assert view["dry_run"]["parts"][0]["format"] == "setlistfm"
    assert setlistfm.asked[0] == (
        *("/rest/1.0/user/alice/attended", keyed.setlistfm_api_key.get_secret_value(), "application/json"),
    )
    assert len(setlistfm.asked) == 4, "three pages, one of them asked for twice"
    assert counts(await fetching.apply(view["import_id"])) == {"added": 45}
    setlistfm.shows.insert(0, show(99))
    again = await fetch()
    assert counts(await fetching.apply(again["import_id"])) == {"added": 1, "unchanged": 45}


async def test_a_user_that_setlistfm_does_not_know_and_too_long_a_list_are_told(
    fetching: Importing, setlistfm: SetlistFm
) -> None:
    for name, says in (("bob", "knows no attended shows of 'bob'"), ("alice", "1,000 pages")):
        setlistfm.shows = [show(n) for n in range(20_001)]
        answer = await fetching.client.post(
            "/v1/imports", json={"setlistfm_user": name}, headers=fetching.headers, timeout=60
        )
        assert answer.status_code == 400 and says in answer.text
        assert answer.json()["error"]["details"][0]["field"] == "setlistfm_user"


async def test_a_list_that_broke_off_goes_on_with_the_page_it_was_at(fetching: Importing, setlistfm: SetlistFm) -> None:
    setlistfm.refuse = [200, 403]
    answer = await fetching.client.post(
        "/v1/imports", json={"setlistfm_user": "alice"}, headers=fetching.headers, timeout=60
    )
    view = answer.json()["data"]
    assert view["state"] == "failed" and view["error"]["code"] == "service_away"
    again = await fetching.client.patch(f"/v1/imports/{view['import_id']}", headers=fetching.headers, timeout=60)
    assert again.json()["data"]["entries"]["expected"] == 45
    assert len(setlistfm.asked) == 4, "the first page was not asked for again"


async def test_what_the_key_may_do_is_said_alike_by_spiders_and_imports(keyed: Settings) -> None:
    key = keyed.setlistfm_api_key.get_secret_value()
    for spider in (SetlistfmSpider, SetlistfmAttendedSpider):
        assert quota_of(spider.key_setting, key, spider.pace.a_day, spider.name) == quota_for(keyed)
        assert (spider.pace.every_s, spider.key_hosts) == (EVERY_S, {urlsplit(HOST).hostname})


async def test_spiders_and_imports_count_the_requests_of_a_day_in_one_place(
    fetching: Importing, setlistfm: SetlistFm, keyed: Settings, story: Story
) -> None:
    quota = quota_for(keyed)
    crawl = Limits(story.engine, "a crawl", quota, clock=utc_now, deadline_s=5, lease_s=5)
    await use(story, quota, A_DAY - 5)
    async with crawl.turn("127.0.0.1", EVERY_S, 1, counts=True, leaving=lambda: False):
        assert await used(story, quota) == A_DAY - 4
    await fetching.client.post("/v1/imports", json={"setlistfm_user": "alice"}, headers=fetching.headers, timeout=60)
    assert len(setlistfm.asked) == 3 and await used(story, quota) == A_DAY - 1 and await crawl.left() == 1
    async with crawl.turn("127.0.0.1", EVERY_S, 1, counts=True, leaving=lambda: False):
        pass
    with pytest.raises(LimitsQuotaUsed, match="GIGZ_SETLISTFM_API_KEY is used up"):
        async with crawl.turn("127.0.0.1", EVERY_S, 1, counts=True, leaving=lambda: False):
            pass


async def test_a_list_for_which_the_day_is_used_up_says_so_and_goes_on_the_next_day(
    fetching: Importing, setlistfm: SetlistFm, keyed: Settings, story: Story
) -> None:
    quota = quota_for(keyed)
    await use(story, quota, A_DAY - 2)
    began = monotonic()
    answer = await fetching.client.post(
        "/v1/imports", json={"setlistfm_user": "alice"}, headers=fetching.headers, timeout=60
    )
    view = answer.json()["data"]
    assert answer.status_code == 201 and monotonic() - began < 6
    assert (view["state"], view["error"]["code"]) == ("fetching", "quota_used")
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    assert "2 of 3 pages are fetched" in view["error"]["message"] and f"{tomorrow} 00:00" in view["error"]["message"]
    # It holds nothing up: neither this user's other imports, nor whoever looks for work.
    assert (await fetching.upload(GIGS))["state"] == "ready"
    assert view["import_id"] not in [str(one) for one in await waiting(story.engine)]
    assert len(setlistfm.asked) == 2
    async with story.engine.begin() as connection:  # a night goes by
        await connection.execute(
            text("update state.imports set lease_until = now() - interval '1 s' where import_id = :id"),
            {"id": view["import_id"]},
        )
    await use(story, quota, 0)
    assert view["import_id"] in [str(one) for one in await waiting(story.engine)]
    runs = ImportRuns(keyed, story.engine, fetching.clock)
    await runs.settled(UUID(view["import_id"]), 30)
    await runs.close()
    view = (await fetching.get(view["import_id"])).json()["data"]
    assert (view["state"], view["error"], view["entries"]["expected"]) == ("ready", None, 45)
    assert len(setlistfm.asked) == 3, "the two pages were kept"


async def test_a_service_that_says_that_the_day_is_used_up_is_believed_by_all(
    fetching: Importing, setlistfm: SetlistFm, keyed: Settings, story: Story
) -> None:
    setlistfm.refuse, setlistfm.says = [429], b'{"message": "daily limit reached"}'
    answer = await fetching.client.post(
        "/v1/imports", json={"setlistfm_user": "alice"}, headers=fetching.headers, timeout=60
    )
    assert answer.json()["data"]["error"]["code"] == "quota_used" and len(setlistfm.asked) == 1
    assert await used(story, quota_for(keyed)) == A_DAY


async def test_without_a_key_the_export_is_named_as_the_way(me: Importing) -> None:
    answer = await me.client.post("/v1/imports", json={"setlistfm_user": "alice"}, headers=me.headers)
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "SERVICE_NOT_FOUND"
    assert "upload the file" in answer.text


# -- histories as people keep them ------------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("a_lat_lng_bands.csv", 905),
        ("b_ragged_us_dates.csv", 112),
        ("c_table.md", 92),
        ("d_setlistfm_export.csv", 415),
        ("e_two_digit_years.csv", 253),
    ],
)
async def test_every_kept_history_is_taken_whole_and_only_once(
    me: Importing, data_dir: Path, name: str, entries: int
) -> None:
    body = (data_dir / "histories" / "as_kept" / name).read_bytes()
    with io.BytesIO(body) as file:
        answer = await me.client.post("/v1/imports", files={"file": (name, file)}, headers=me.headers, timeout=60)
    view = answer.json()["data"]
    assert view["state"] == "ready" and view["entries"]["expected"] == entries
    assert counts(await me.apply(view["import_id"])) == {"added": entries}
    assert len(await me.standing()) == entries
    assert counts(await me.taken(body, f"copy of {name}")) == {"unchanged": entries}
    await me.undo(view["import_id"])
    assert await me.standing() == {}
