"""Everything that there is of a user, in one snapshot, in as much memory as a few rows take."""

import csv
import io
import zipfile
from typing import Any
from uuid import uuid4

import orjson
import psutil
import pytest
from sqlalchemy import insert, text

from api.export.kinds import KINDS, LEFT_OUT
from api.export.rows import snapshot
from api.export.zip_file import README, zip_of_csv
from schemas.history import Remembered
from schemas.rejection import Reason
from schemas.tables import CatalogueRejection, EntryRow
from tests.api.support import ASTORIA, READING, START, Client, Clock, Story
from tests.api.test_friends import Person, at_a_show, befriend

pytestmark = pytest.mark.stack


@pytest.fixture
def people(client: Client, story: Story, clock: Clock) -> list[Person]:
    return [Person(client, Story(story.engine, story.settings), clock) for _ in range(3)]


async def as_json(person: Person) -> dict[str, Any]:
    answer = await person.ask("GET", "/export")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["content-disposition"] == 'attachment; filename="gigz-2026-03-01.json"'
    told: dict[str, Any] = answer.json()
    assert told["meta"]["complete"] and told["meta"]["user"] == person.user
    return told["data"]


async def as_zip(person: Person) -> zipfile.ZipFile:
    answer = await person.ask("GET", "/export?format=csv")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    return archive


def table(archive: zipfile.ZipFile, kind: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read(f"{kind}.csv").decode(), newline="")))


async def lived(people: list[Person], story: Story) -> Person:
    """Somebody with something in most places."""
    ann, bob, cid = people
    await befriend(ann, bob)
    await cid.follow(ann)
    await ann.post(f"/follows/{cid.user}/decline")
    await ann.post(f"/blocks/{uuid4().hex}")
    entry = Remembered.model_validate({"artist": "=Radiohead", "date": "1994", "with": ["Jo", "@Al"], "note": "-rain"})
    concert = await at_a_show(story)
    one = ann.story.suggestion("e1", concert.facts, concert_id=concert.concert_id)
    await ann.story.found("e1", one, entry=entry)
    await ann.say("confirm", one.suggestion_id, **{"Idempotency-Key": "k1", "X-Device": "phone"})
    await ann.keep(one.suggestion_id, note='Rain, "all" day.\nAnd mud.', rating=5, visibility="friends")
    await ann.story.found("e2", ann.story.suggestion("e2", ASTORIA), ann.story.suggestion("e2", READING, 0.7))
    await ann.prefer(tz="Europe/Berlin")
    async with story.engine.begin() as connection:
        for key, original in (
            (f"{ann.user}/bad", b'{"user": "someone else"}'),
            (None, b'{"user": "%s"' % ann.user.encode()),
        ):
            body = {"original_key": key, "original": "eyJ1c2VyIjog"}
            await connection.execute(
                insert(CatalogueRejection).values(
                    key=f"gigz.history.v1:0:{uuid4()}",
                    stage="match",
                    reason=Reason.NOT_JSON,
                    text="not JSON",
                    origin_topic="gigz.history.v1",
                    rejected_at=START,
                    original=original,
                    original_size=len(original),
                    body=body,
                )
            )
    return ann


async def test_an_export_has_every_kind_and_nothing_of_anybody_else(people: list[Person], story: Story) -> None:
    ann, bob, cid = people
    await lived(people, story)
    data = await as_json(ann)
    assert list(data) == [kind.name for kind in KINDS]
    assert [row["entry_id"] for row in data["entries"]] == ["e1", "e2"]
    assert data["entries"][0]["body"]["with"] == ["Jo", "@Al"]
    assert data["decisions"][0]["action"] == "confirmed" and data["decisions"][0]["device"] == "phone"
    (show,) = data["shows"]
    assert (show["artist"], show["rating"], show["visibility"], show["with"]) == (
        *("Radiohead", 5, "friends"),
        ["Jo", "@Al"],
    )
    assert {row["user"] for row in data["follows"]} == {bob.user}
    assert {row["user"]: row["declined_at"] is None for row in data["followers"]} == {bob.user: True, cid.user: False}
    assert len(data["blocks"]) == 1 and data["calls"][0]["key"] == "k1"
    assert {row["what"] for row in data["audit"]} >= {"decided", "exported", "visibility"}
    assert len(data["rejections"]) == 2
    assert data["preferences"][0]["tz"] == "Europe/Berlin"
    assert "declined" not in str((await as_json(cid))["follows"])
    nobody = await as_json(Person(ann.client, Story(story.engine, story.settings), ann.clock))
    assert {name for name, rows in nobody.items() if rows} == {"audit"}


async def test_every_row_that_the_tables_have_of_a_user_is_in_the_export(people: list[Person], story: Story) -> None:
    """Counted by the registry, not by the list of kinds."""
    from deploy.erasing import stores

    ann = await lived(people, story)
    data = await as_json(ann)
    async with story.engine.connect() as connection:
        there = await stores.count_rows(connection, ann.user)
    for name, number in there.items():
        if name in LEFT_OUT:
            continue
        found = sum(len(data[kind.name]) for kind in KINDS if kind.table == name)
        assert found == number, name


async def test_the_zip_has_a_csv_a_kind_that_a_spreadsheet_can_open(people: list[Person], story: Story) -> None:
    ann = await lived(people, story)
    archive = await as_zip(ann)
    assert set(archive.namelist()) == {f"{kind.name}.csv" for kind in KINDS if not kind.files} | {README}
    first, second = table(archive, "entries")
    assert (first["artist"], first["note"], first["with"]) == ("'=Radiohead", "'-rain", "Jo; @Al")
    assert second["artist"] == "Radiohead"
    (show,) = table(archive, "shows")
    assert (show["note"], show["night"], show["city"]) == ('Rain, "all" day.\nAnd mud.', "1994-08-27", "Reading")
    assert [row["rank"] for row in table(archive, "suggestions")] == ["1", "1", "2"]
    assert table(archive, "suggestions")[0]["why"] == "same artist"
    assert table(archive, "rejections")[0]["original"] == '{"user": '
    readme = archive.read(README).decode()
    assert ann.user in readme and all(place in readme for place in LEFT_OUT)


async def test_what_was_uploaded_comes_back_byte_for_byte(people: list[Person], story: Story) -> None:
    import base64
    import zlib

    ann, *_ = people
    one, pieces = uuid4(), [b"artist;date\n" * 1000, bytes(range(256)) * 100]
    async with story.engine.begin() as connection:
        for number, piece in enumerate(pieces):
            await connection.execute(
                text(
                    "insert into state.import_pieces (import_id, what, number, user_id, body) "
                    "values (:id, 'upload', :number, :user, :body)"
                ),
                {"id": one, "number": number, "user": ann.user, "body": zlib.compress(piece)},
            )
    archive = await as_zip(ann)
    assert archive.read(f"import_files/{one}.upload") == b"".join(pieces)
    rows = (await as_json(ann))["import_files"]
    assert b"".join(base64.b64decode(row["base64"]) for row in rows) == b"".join(pieces)


async def test_an_export_is_of_one_instant_however_long_it_takes(people: list[Person], story: Story) -> None:
    ann, *_ = people
    show = await ann.was_at(await at_a_show(story))
    async with snapshot(story.engine, ann.user) as taken:
        await ann.keep(show, note="written meanwhile")
        await ann.say("undo", show)
        parts = [piece async for piece in zip_of_csv(taken)]
    archive = zipfile.ZipFile(io.BytesIO(b"".join(parts)))
    assert [row["action"] for row in table(archive, "decisions")] == ["confirmed"]
    assert table(archive, "journal") == []


async def test_one_export_at_a_time_and_the_place_is_free_again_when_the_reader_has_gone(
    people: list[Person], story: Story
) -> None:
    from api.export import routes

    ann, bob, _ = people
    services = ann.client._transport.app.state.services  # type: ignore[attr-defined]
    pieces = routes._pieces(services, ann.user, routes.ExportFormat.JSON)
    routes._open.enter(ann.user)
    await anext(pieces)
    refused = await ann.ask("GET", "/export")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "RATE_LIMITED")
    assert (await bob.ask("GET", "/export")).status_code == 200
    await pieces.aclose()
    assert (await ann.ask("GET", "/export")).status_code == 200
    assert services.engine.pool.checkedout() == 0


@pytest.mark.parametrize("written_as", ["json", "csv"])
async def test_memory_does_not_grow_with_what_there_is(people: list[Person], story: Story, written_as: str) -> None:
    from api.export import routes

    ann, *_ = people
    note = "x" * 8_000
    rows = [
        {
            "user_id": ann.user,
            "entry_id": f"e{number}",
            "version": 1,
            "origin": "feed",
            "keys": [],
            "body": {"user": ann.user, "entry_id": f"e{number}", "note": f"{number} {note}"},
        }
        for number in range(500)
    ]
    services = ann.client._transport.app.state.services  # type: ignore[attr-defined]

    async def sent() -> tuple[int, int]:
        """Bytes, and by how much the process grew meanwhile."""
        process = psutil.Process()
        before, most, size = process.memory_info().rss, 0, 0
        async for piece in routes._pieces(services, ann.user, routes.ExportFormat(written_as)):
            size += len(piece)
            assert len(piece) < 4_000_000
            most = max(most, process.memory_info().rss - before)
        return size, most

    for _ in range(2):  # what the first export loads stays
        await sent()
    for batch in range(16):
        async with story.engine.begin() as connection:
            more = [row | {"entry_id": f"{row['entry_id']}-{batch}"} for row in rows]
            await connection.execute(insert(EntryRow), more)
    size, grew = await sent()
    assert written_as == "csv" or size > 60_000_000
    assert grew < 24_000_000, f"{grew:,} bytes more for {size:,}"


async def test_a_format_that_there_is_none_of_is_refused_by_name(people: list[Person]) -> None:
    answer = await people[0].ask("GET", "/export?format=xml")
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (400, "format")
    assert orjson.loads(answer.content)
