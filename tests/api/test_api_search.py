"""Search, with a Meilisearch that answers as ours does and with none."""

from typing import Any

import httpx
import meilisearch
import pytest

from api.app import create_app
from api.services import Services
from api.tokens import issue_token
from deploy.clients import meilisearch_client
from deploy.settings import Settings
from sinks.meilisearch import INDEXES
from tests.api.support import START, Client, Clock, Story, reach


class _Index:
    """Keeps what it was asked; answers with as many hits as there are left."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def search(self, words: str, options: dict[str, Any]) -> dict[str, Any]:
        self.asked.append((words, options))
        numbers = range(options["offset"], min(self.total, options["offset"] + options["limit"]))
        return {"hits": [{"concert_id": str(number), "artist": "Ä", "night": "1994-08-27"} for number in numbers]}


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> _Index:
    index = _Index(total=45)

    class _Meilisearch:
        def index(self, name: str) -> _Index:
            assert name == "concerts"
            return index

    monkeypatch.setattr(Services, "search", property(lambda _: _Meilisearch()))
    return index


def _bearer(settings: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(settings, 'alice', START)}"}


async def test_pages_of_hits_follow_each_other(alone: httpx.AsyncClient, offline: Settings, index: _Index) -> None:
    seen: list[str] = []
    cursor = ""
    while True:
        answer = (await alone.get(f"/v1/search?q=radiohed{cursor}", headers=_bearer(offline))).json()
        seen += [hit["concert_id"] for hit in answer["data"]]
        if answer["meta"]["next_cursor"] is None:
            break
        cursor = f"&cursor={answer['meta']['next_cursor']}"
    assert seen == [str(number) for number in range(45)]
    assert len(index.asked) == 3


async def test_a_filter_cannot_be_left_by_quotes(alone: httpx.AsyncClient, offline: Settings, index: _Index) -> None:
    hostile = 'x" OR year > 0 OR artist = "\\'
    answer = await alone.get(
        "/v1/search", params={"q": "a", "artist": hostile, "year": 1994, "country": "GB"}, headers=_bearer(offline)
    )
    assert answer.status_code == 200
    assert index.asked[0][1]["filter"] == [
        "year = 1994",
        'country = "GB"',
        'artist = "x\\" OR year > 0 OR artist = \\"\\\\"',
    ]


async def test_search_wants_words(alone: httpx.AsyncClient, offline: Settings, index: _Index) -> None:
    for query, field in (("", "q"), ("?q=", "q"), ("?q=a&country=Germany", "country"), ("?q=a&year=94", "year")):
        answer = await alone.get(f"/v1/search{query}", headers=_bearer(offline))
        assert answer.status_code == 400
        assert answer.json()["error"]["details"][0]["field"] == field
    assert index.asked == []


@pytest.mark.network
async def test_search_without_meilisearch_is_unavailable(offline: Settings, clock: Clock) -> None:
    app = create_app(offline.model_copy(update={"meilisearch_url": "http://127.0.0.1:1"}), clock=clock)
    async with reach(app) as client:
        answer = await client.get("/v1/search?q=x", headers=_bearer(offline))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert "127.0.0.1" not in answer.text


@pytest.mark.stack
async def test_search_forgives_and_filters_on_the_engine_itself(
    client: Client, story: Story, clock: Clock, migrated: Settings
) -> None:
    engine = meilisearch_client(migrated)
    marker = story.user.replace("-", "")
    _lay(engine)
    nights = [("gb", f"{marker} Radiohead", "1994-08-27", "GB"), ("de", f"{marker} Radiohead", "1997-07-01", "DE")]
    documents = [
        {
            "concert_id": f"{marker}-{one}",
            "artist": artist,
            "night": night,
            "year": int(night[:4]),
            "country": country,
            "city": "X",
            "venue": "Y",
        }
        for one, artist, night, country in nights
    ]
    task = engine.index("concerts").add_documents(documents, "concert_id")
    assert engine.wait_for_task(task.task_uid, timeout_in_ms=20_000).status == "succeeded"

    async def found(query: str) -> list[str]:
        answer = await client.get(f"/v1/search?{query}", headers=story.headers(clock))
        assert answer.status_code == 200, answer.text
        return sorted(hit["concert_id"].rpartition("-")[2] for hit in answer.json()["data"])

    assert await found(f"q={marker}%20radiohed") == ["de", "gb"]
    assert await found(f"q={marker}&year=1994") == ["gb"]
    assert await found(f"q={marker}&country=DE") == ["de"]
    assert await found(f"q={marker}&artist={marker}%20Radiohead") == ["de", "gb"]
    assert await found(f"q={marker}&artist=Other") == []
    assert await found(f"q={marker}&city=x") == ["de", "gb"]
    assert await found(f"q={marker}&city=Berlin") == []


@pytest.mark.stack
async def test_artists_and_venues_are_found_under_their_other_names(
    client: Client, story: Story, clock: Clock, migrated: Settings
) -> None:
    engine = meilisearch_client(migrated)
    marker = story.user.replace("-", "")
    artist = {"artist_id": f"{marker}-a", "name": f"{marker} Radiohead", "aliases": ["On A Friday"], "country": "GB"}
    venue = {"venue_id": f"{marker}-v", "name": f"{marker} Astoria", "names": ["Pickle Factory"], "city": "London"}
    for index, key, document in (("artists", "artist_id", artist), ("venues", "venue_id", venue)):
        _lay(engine, index)
        task = engine.index(index).add_documents([document], key)
        assert engine.wait_for_task(task.task_uid, timeout_in_ms=20_000).status == "succeeded"

    async def found(kind: str, query: str) -> list[dict[str, Any]]:
        answer = await client.get(f"/v1/search/{kind}?{query}", headers=story.headers(clock))
        assert answer.status_code == 200, answer.text
        return list(answer.json()["data"])

    (one,) = await found("artists", f"q={marker}%20fridya&country=GB")
    assert (one["artist_id"], one["aliases"]) == (f"{marker}-a", ["On A Friday"])
    (one,) = await found("venues", f"q={marker}%20pickel%20factory&city=London")
    assert (one["venue_id"], one["names"]) == (f"{marker}-v", ["Pickle Factory"])
    assert await found("venues", f"q={marker}&city=Leeds") == []


def _lay(engine: meilisearch.Client, index: str = "concerts") -> None:
    """The index as the sink makes it."""
    task = engine.create_index(index, {"primaryKey": INDEXES[index].id_field})
    engine.wait_for_task(task.task_uid, timeout_in_ms=20_000)  # it may be there already
    task = engine.index(index).update_settings(INDEXES[index].settings)
    assert engine.wait_for_task(task.task_uid, timeout_in_ms=20_000).status == "succeeded"
