"""A client generated from the OpenAPI document, as another team would use it."""

import importlib
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest

from api.tokens import issue_token
from tests.api.support import READING, Clock, Story
from tests.codegen import DOCUMENT, PACKAGE, write_client


@pytest.fixture(scope="module")
def gigz_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The package, written for these tests and forgotten after them."""
    folder: Path = tmp_path_factory.mktemp("client")
    write_client(folder)
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(PACKAGE)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]


def function(tag: str, name: str) -> Any:
    """The module of one operation."""
    return importlib.import_module(f"{PACKAGE}.api.{tag}.{name}")


def model(name: str) -> Any:
    return getattr(importlib.import_module(f"{PACKAGE}.models"), name)


def test_a_client_has_a_function_for_every_operation(gigz_client: ModuleType) -> None:
    document = orjson.loads(DOCUMENT.read_bytes())
    for methods in document["paths"].values():
        for operation in methods.values():
            assert callable(function(operation["tags"][0], operation["operationId"]).asyncio)
    assert model("OwnShow")(artist="Low", night=date(1999, 5, 6)).to_dict() == {"artist": "Low", "night": "1999-05-06"}


@pytest.mark.stack
async def test_a_show_is_found_confirmed_undone_and_confirmed_again_through_the_client(
    gigz_client: ModuleType, client: httpx.AsyncClient, story: Story, clock: Clock
) -> None:
    await story.found("e1", story.suggestion("e1", READING))
    token = issue_token(story.settings, story.user, clock())
    client.headers["Authorization"] = f"Bearer {token}"
    mine = gigz_client.AuthenticatedClient("http://gigz.test", token=token, raise_on_unexpected_status=True)
    mine.set_async_httpx_client(client)

    page = await function("suggestions", "list_suggestions").asyncio(client=mine, state="open")
    (entry,) = page.data
    (found,) = entry.suggestions
    assert (found.concert.artist, found.concert.night, found.band) == ("Radiohead", date(1994, 8, 27), "sure")
    assert isinstance(found.suggestion_id, UUID) and page.meta.next_cursor is None

    confirm = function("suggestions", "confirm")
    decided = await confirm.asyncio(found.suggestion_id, client=mine, idempotency_key="k-1", x_device="phone")
    again = await confirm.asyncio(found.suggestion_id, client=mine, idempotency_key="k-1", x_device="phone")
    assert decided.data.action == "confirmed" and again == decided
    refused = await function("suggestions", "dismiss").asyncio_detailed(found.suggestion_id, client=mine)
    assert (refused.status_code, refused.parsed.error.code) == (409, "CONFLICT")

    journal = await function("journal", "read_journal").asyncio(client=mine, year=1994)
    assert [show.concert_id for show in journal.data] == [found.concert_id]
    assert journal.meta.counts.years.additional_properties == {"1994": 1}
    kept = model("Kept")(note="Rain all day.", rating=5)
    show = await function("journal", "keep_of_show").asyncio(found.suggestion_id, client=mine, body=kept)
    assert (show.data.note, show.data.rating, show.data.with_) == ("Rain all day.", 5, [])

    undone = await function("suggestions", "undo").asyncio(found.suggestion_id, client=mine)
    assert undone.data.undoes == decided.data.decision_id
    assert (await function("journal", "read_journal").asyncio(client=mine)).data == []
    snoozed = await function("suggestions", "snooze").asyncio(found.suggestion_id, client=mine)
    assert snoozed.data.action == "snoozed" and (snoozed.data.until - clock()).days == 30

    own = model("OwnShow")(artist="The Paper Kites", night=date(2011, 5, 6), city="Melbourne")
    written = await function("journal", "write_show").asyncio(client=mine, body=own)
    assert written.data.own and written.data.concert.place.city == "Melbourne"
    missing = await function("catalogue", "one_concert").asyncio(written.data.concert_id, client=mine)
    assert missing.error.code == "CONCERT_NOT_FOUND"
