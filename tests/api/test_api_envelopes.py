"""What every answer has, whoever asks for whatever."""

import httpx
import pytest
from litestar import get

from api.app import create_app
from api.tokens import issue_token
from deploy.settings import Settings, SettingsError
from tests.api.support import START, Clock, reach


def _bearer(settings: Settings) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_token(settings, 'alice', START)}"}


async def test_an_unknown_address_is_told_in_the_envelope(alone: httpx.AsyncClient) -> None:
    answer = await alone.get("/v1/nothing")
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {"code": "ROUTE_NOT_FOUND", "message": "There is nothing at /v1/nothing.", "details": []}
    }


async def test_a_wrong_method_is_told_with_the_right_ones(alone: httpx.AsyncClient) -> None:
    answer = await alone.delete("/v1/suggestions")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert "GET" in answer.headers["allow"]


async def test_every_answer_carries_trace_id_and_security_headers(alone: httpx.AsyncClient) -> None:
    mine = "0af7651916cd43dd8448eb211c80319c"
    for path in ("/v1/nothing", "/v1/suggestions", "/inbox", "/static/style.css", "/schema"):
        answer = await alone.get(path, headers={"X-Request-Id": mine})
        assert answer.headers["x-request-id"] == mine
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "strict-origin-when-cross-origin"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src" not in policy


async def test_malformed_json_is_the_callers_fault_and_says_where(alone: httpx.AsyncClient, offline: Settings) -> None:
    answer = await alone.post("/v1/history", content=b'{"entries": [', headers=_bearer(offline))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "VALIDATION_ERROR")
    assert error["details"][0]["field"] == "body" and "JSON" in error["details"][0]["message"]


async def test_wrong_query_values_are_named_each(alone: httpx.AsyncClient, offline: Settings) -> None:
    path = "/v1/suggestions?take=101&band=certain&year=94&state=x"
    error = (await alone.get(path, headers=_bearer(offline))).json()["error"]
    assert error["code"] == "VALIDATION_ERROR"
    assert {detail["field"] for detail in error["details"]} == {"take", "band", "year", "state"}


async def test_an_over_long_body_is_refused_with_the_limit(alone: httpx.AsyncClient, offline: Settings) -> None:
    answer = await alone.post("/v1/history", content=b" " * 3_000_000, headers=_bearer(offline))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"] == [{"field": "body", "message": "at most 2 MB"}]


async def test_a_bug_of_ours_tells_the_caller_nothing_of_its_inside(offline: Settings) -> None:
    @get("/broken")
    async def broken() -> None:
        raise RuntimeError("password=hunter2")

    app = create_app(offline)
    app.register(broken)
    async with reach(app) as client:
        answer = await client.get("/broken")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "INTERNAL_ERROR")
    assert "hunter2" not in answer.text and "Runtime" not in answer.text and "Traceback" not in answer.text


async def test_a_caller_who_asks_too_often_is_told_when_to_come_back(
    alone: httpx.AsyncClient, offline: Settings, clock: Clock
) -> None:
    clock.move(seconds=20)
    answers = [await alone.get("/v1/search?q=", headers=_bearer(offline)) for _ in range(21)]
    assert [answer.status_code for answer in answers] == [400] * 20 + [429]
    assert answers[-1].headers["retry-after"] == "40"
    assert answers[-1].json()["error"]["code"] == "RATE_LIMITED"
    assert (await alone.get("/ready")).status_code != 429
    clock.move(minutes=1)
    assert (await alone.get("/v1/search?q=", headers=_bearer(offline))).status_code == 400


async def test_guessing_tokens_is_limited_by_address(alone: httpx.AsyncClient) -> None:
    answers = [await alone.get("/v1/suggestions", headers={"Authorization": f"Bearer {guess}"}) for guess in range(101)]
    assert [answer.status_code for answer in answers] == [401] * 100 + [429]


async def test_only_listed_origins_may_call_from_a_browser(offline: Settings) -> None:
    app = create_app(offline.model_copy(update={"cors_origins": "https://app.example, https://b.example"}))
    asks = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    async with reach(app) as client:
        allowed = await client.options("/v1/suggestions", headers={"Origin": "https://b.example", **asks})
        foreign = await client.options("/v1/suggestions", headers={"Origin": "https://evil.example", **asks})
    assert allowed.headers["access-control-allow-origin"] == "https://b.example"
    assert allowed.headers["access-control-max-age"] == "86400"
    assert allowed.headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in foreign.headers


async def test_the_openapi_document_knows_every_route_of_the_api(alone: httpx.AsyncClient) -> None:
    document = (await alone.get("/schema")).json()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/v1/suggestions",
        "/v1/suggestions/{suggestion_id}/confirm",
        "/v1/suggestions/{suggestion_id}/dismiss",
        "/v1/suggestions/{suggestion_id}/undo",
        "/v1/suggestions/{suggestion_id}/snooze",
        "/v1/suggestions/{suggestion_id}/other-night",
        "/v1/suggestions/{suggestion_id}/not-seen",
        "/v1/suggestions/{suggestion_id}/nights",
        "/v1/suggestions/bulk",
        "/v1/suggestions/bulk/{token}/undo",
        "/v1/stream",
        "/v1/preferences",
        "/v1/journal",
        "/v1/journal/stats",
        "/v1/journal/{suggestion_id}",
        "/v1/concerts/{concert_id}",
        "/v1/artists/{artist_id}/history",
        "/v1/venues/{venue_id}/history",
        "/v1/history",
        "/v1/search",
        "/v1/search/artists",
        "/v1/search/venues",
        "/health",
        "/ready",
    }


async def test_the_openapi_document_has_an_example_of_every_body_and_no_answer_undocumented(
    alone: httpx.AsyncClient,
) -> None:
    document = (await alone.get("/schema")).json()
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if "$ref" in body:
                name = body["$ref"].rpartition("/")[2]
                assert schemas[name].get("examples"), name
            if path.startswith("/v1/"):
                assert {"401", "429", "500", "503"} <= set(operation["responses"]), path
    for name in ("Decided", "Bulked", "ConcertView", "JournalShow", "Stats", "ShowHistory", "Found", "NightView"):
        assert schemas[name].get("examples"), name


@pytest.mark.network
async def test_without_postgres_the_application_does_not_start_and_names_the_setting(offline: Settings) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(SettingsError, match="GIGZ_POSTGRES_URL"), flatten_subgroups=True):
        async with create_app(offline).lifespan():
            pass


@pytest.mark.network
async def test_postgres_gone_while_running_is_unavailable_not_a_bug(
    alone: httpx.AsyncClient, offline: Settings
) -> None:
    answer = await alone.get("/v1/suggestions", headers=_bearer(offline))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    assert "127.0.0.1" not in answer.text
