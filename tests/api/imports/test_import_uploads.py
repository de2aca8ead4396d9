"""What may come as an upload: forms, bodies, wishes; too much of it is told, and memory stays what it is."""

import tempfile
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import Litestar, post

from api.errors import AnyRequest, handlers
from api.importing.uploads import receive
from tests.api.imports.files import exif, jpeg

MB = 1_000_000


@post("/", request_max_body_size=None, status_code=200)
async def echo(request: AnyRequest) -> dict[str, Any]:
    """What was received."""
    with tempfile.TemporaryDirectory() as folder:
        got = await receive(request, Path(folder), request.query_params.get("name"), None)
        told: dict[str, Any] = {"kind": got.kind.value, "name": got.name, "user": got.setlistfm_user}
        if got.path is not None:
            told |= {"size": got.path.stat().st_size, "head": got.path.read_bytes()[:40].decode("latin-1")}
        return told | {"format": got.format and got.format.value}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = Litestar([echo], exception_handlers=handlers(), openapi_config=None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gigz.test") as client:
        yield client


async def test_a_file_of_a_form_is_taken_with_its_name_without_folders(client: httpx.AsyncClient) -> None:
    answer = await client.post("/", files={"file": ("../../etc/gigs.csv", b"Artist,Date\n")}, data={"format": "csv"})
    assert answer.json() == {
        "kind": "file",
        "name": "gigs.csv",
        "user": None,
        "size": 12,
        "head": "Artist,Date\n",
        "format": "csv",
    }


async def test_a_body_is_a_file_that_is_called_as_it_says(client: httpx.AsyncClient) -> None:
    one = (await client.post("/", content=b"a,b\n", headers={"content-type": "text/csv"})).json()
    assert (one["kind"], one["name"]) == ("file", "import.csv")
    assert (await client.post("/?name=x/list.md", content=b"a")).json()["name"] == "list.md"


async def test_a_pasted_text_is_one(client: httpx.AsyncClient) -> None:
    told = (await client.post("/", json={"text": "Radiohead, Reading 1994"})).json()
    assert (told["kind"], told["name"], told["head"]) == ("text", "pasted.txt", "Radiohead, Reading 1994")
    told = (await client.post("/", files={"text": (None, "Blur, London 1995 and more")})).json()
    assert (told["kind"], told["head"]) == ("text", "Blur, London 1995 and more")


async def test_rows_and_names_are_wishes_and_other_json_is_a_file(client: httpx.AsyncClient) -> None:
    assert (await client.post("/", json={"rows": [{"artist": "Pulp"}]})).json()["kind"] == "rows"
    assert (await client.post("/", json={"setlistfm_user": "alice"})).json()["user"] == "alice"
    file = (await client.post("/", json={"shows": [{"artist": "Pulp"}]})).json()
    assert (file["kind"], file["name"]) == ("file", "import.json")
    assert (await client.post("/", json=[{"artist": "Pulp"}])).json()["kind"] == "file"


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"setlistfm_user": "a/b"}, "setlistfm_user"),
        ({"setlistfm_user": 5}, "setlistfm_user"),
        ({"text": "a", "setlistfm_user": "b"}, "body"),
        ({"rows": []}, "rows"),
        ({"name": "x"}, "body"),
    ],
)
async def test_a_wish_that_makes_no_sense_names_its_field(client: httpx.AsyncClient, wish: Any, field: str) -> None:
    answer = await client.post("/", json=wish)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == field


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "text/csv"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"nonsense", "multipart/form-data; boundary=x"),
        (b"nonsense", "multipart/form-data"),
        (
            b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
        (
            b'--x\r\ncontent-disposition: form-data; name="name"\r\n\r\nabc\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
    ],
)
async def test_a_body_without_a_file_is_told(client: httpx.AsyncClient, content: bytes, kind: str) -> None:
    answer = await client.post("/", content=content, headers={"content-type": kind})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "VALIDATION_ERROR"


async def test_of_photos_little_is_taken_and_several_are_one_archive(client: httpx.AsyncClient) -> None:
    photo = jpeg(exif("2014:11:14 21:03:22", (53.5, 9.9)), bytes(4 * MB))
    files = [("file", (f"IMG_{n}.jpg", photo)) for n in range(20)]
    told = (await client.post("/", files=files)).json()
    assert told["name"] == "20 files.zip" and told["head"].startswith("PK") and 20 * MB < told["size"] < 22 * MB


@pytest.mark.parametrize("form", [True, False])
async def test_what_is_too_large_is_heard_to_its_end_and_told(client: httpx.AsyncClient, form: bool) -> None:
    async def body() -> AsyncIterator[bytes]:
        if form:
            yield b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        for _ in range(60):
            yield b"Muse,2001-05-05\n" * (MB // 16)
        if form:
            yield b"\r\n--x--\r\n"

    kind = "multipart/form-data; boundary=x" if form else "text/csv"
    tracemalloc.start()
    answer = await client.post("/", content=body(), headers={"content-type": kind})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.status_code == 400
    assert "50 MB" in answer.json()["error"]["details"][0]["message"]
    assert peak < 12 * MB, peak
