"""What every answer has, whoever asks for whatever."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from litestar import get
from litestar.routes import HTTPRoute

from api.app import create_app
from api.errors import body_of
from api.tokens import issue_token
from deploy.settings import Settings, SettingsError
from tests.api.support import START, Clock, reach
from tests.support import ROOT


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


async def test_options_name_every_method_of_an_address(alone: httpx.AsyncClient, offline: Settings) -> None:
    for path, methods in (("/v1/journal", {"GET", "POST"}), ("/v1/me", {"GET", "DELETE"}), ("/v1/stream", {"GET"})):
        answer = await alone.options(path, headers=_bearer(offline))
        assert answer.status_code == 204
        assert {one.strip() for one in answer.headers["allow"].split(",")} == methods | {"OPTIONS"}


async def test_null_is_no_number(alone: httpx.AsyncClient, offline: Settings) -> None:
    for query, field in (("year=null", "year"), ("band=null", "band"), ("take=null", "take")):
        answer = await alone.get(f"/v1/suggestions?{query}", headers=_bearer(offline))
        assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (400, field)


async def test_every_answer_carries_trace_id_and_security_headers(alone: httpx.AsyncClient) -> None:
    mine = "0af7651916cd43dd8448eb211c80319c"
    for path in ("/v1/nothing", "/v1/suggestions", "/inbox", "/static/style.css", "/schema"):
        answer = await alone.get(path, headers={"X-Request-Id": mine})
        assert answer.headers["x-request-id"] == mine
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "strict-origin-when-cross-origin"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy


async def test_malformed_json_is_the_callers_fault_and_says_where(alone: httpx.AsyncClient, offline: Settings) -> None:
    answer = await alone.post("/v1/history", content=b'{"entries": [', headers=_bearer(offline))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "VALIDATION_ERROR")
    assert error["details"][0]["field"] == "body" and "JSON" in error["details"][0]["message"]


BODY_MAY_BE_ABSENT = {
    "/v1/suggestions/{id}/snooze",
    "/v1/suggestions/{id}/not-seen",
    "/v1/imports/{id}",
    "/v1/imports/{id}/apply",
}


def _writes(offline: Settings) -> Iterator[tuple[str, str]]:
    """Method and path of each route of the API that takes JSON."""
    for route in create_app(offline).routes:
        if isinstance(route, HTTPRoute) and route.path_format.startswith("/v1/"):
            for method, (handler, _) in route.route_handler_map.items():
                if body_of(handler) is not None:
                    yield method, re.sub(r"{[^}]*}", "{id}", route.path_format)


@pytest.mark.network
async def test_a_body_that_is_needed_and_absent_is_asked_for_with_an_example_and_others_may_be_absent(
    offline: Settings, clock: Clock
) -> None:
    writes, goes_without = list(_writes(offline)), set()
    assert len(writes) > 12
    async with reach(create_app(offline, clock=clock, rate_limits=False)) as client:
        for method, path in writes:
            address = path.replace("{id}", "8b7cf6a0-3f3e-5d6c-8a92-2a1f0e3b7c11")
            absent = await client.request(method, address, headers=_bearer(offline))
            if absent.status_code == 503:  # it was understood: PostgreSQL is away here
                goes_without.add(path)
            else:
                (detail,) = absent.json()["error"]["details"]
                assert (absent.status_code, detail["field"]) == (400, "body"), path
                assert detail["message"].startswith("is missing: send JSON, for example {"), path
            odd = await client.request(method, address, headers=_bearer(offline), json=[1])
            (detail,) = odd.json()["error"]["details"]
            assert (odd.status_code, detail["field"]) == (400, "body"), path
            assert detail["message"].startswith("must be a JSON object, for example {"), path
    assert goes_without == BODY_MAY_BE_ABSENT


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
    answers = [await alone.get("/v1/search?q=", headers=_bearer(offline)) for _ in range(20)]
    clock.move(seconds=20)
    answers.append(await alone.get("/v1/search?q=", headers=_bearer(offline)))
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


async def test_the_openapi_document_is_served_as_it_is_committed(alone: httpx.AsyncClient) -> None:
    answer = await alone.get("/schema")
    assert answer.headers["content-type"] == "application/vnd.oai.openapi+json"
    assert answer.json() == json.loads((ROOT / "docs/api/openapi.json").read_text(encoding="utf-8"))


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
